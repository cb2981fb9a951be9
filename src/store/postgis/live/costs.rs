//! What serving a table costs, from the planner: how many rows there are, and whether it has a way
//! to some of them.

use super::super::{
    column::Raw,
    link::{Failed, Link, Param, Ran, cell},
    names::Names,
};
use super::discover::refused;
use super::form::{Form, Key, KeyColumn};
use crate::{
    model::{TableSource, Text},
    text,
};
use serde_json::Value as Json;
use tokio_postgres::{error::SqlState, types::Type};

/// From this many rows on, reading all of them for an answer hurts, and counting is left out.
pub(super) const LARGE: u64 = 100_000;

/// Asks the planner how many rows there are and whether it has a way to some of them; says so to
/// people, or refuses.
pub(super) async fn costs(
    link: &mut Link,
    names: &Names,
    source: &TableSource,
    form: &mut Form,
) -> Ran<()> {
    let plan = explain(link, &format!("SELECT 1 FROM {} AS t", form.relation), false).await?;
    let all = plan_figures(&plan);
    (form.estimate, form.cost) = (all.rows as u64, all.cost);
    form.counted = counted(link, form).await?;
    form.small = form.estimate < LARGE;
    let mut ways = Vec::new();
    if let Some(geometry) = &form.geometry {
        let sides = ["0.0", "0.0", "1.0", "1.0"].map(|v| format!("{v}::float8"));
        let meets = geometry.meets_sides(names, sides);
        let sql = format!("SELECT 1 FROM {} AS t WHERE {meets}", form.relation);
        let found = explain(link, &sql, true).await.is_ok_and(|p| by_index(&p));
        if !found {
            let hint = match form.own_rows {
                true => {
                    format!(" (CREATE INDEX ON {} USING gist ({}))", form.relation, geometry.index)
                }
                false => String::new(),
            };
            ways.push(text!(
                "sans index spatial, chaque tuile et chaque emprise lit toute la table{hint}",
                "without a spatial index every tile and every box reads the whole table{hint}"
            ));
        }
    }
    let sorted = match &form.key {
        Key::Row { .. } => {
            ways.push(text!(
                "sans clé, les identifiants sont l'empreinte des lignes : ils changent avec elles, et chaque page lit toute la table",
                "without a key ids are a hash of the rows: they change with them, and every page reads the whole table"
            ));
            false
        }
        Key::Columns(columns) => sorts(link, form, columns).await?,
    };
    if sorted {
        ways.push(text!(
            "la clé n'a pas d'index : chaque page trie toute la table",
            "the key has no index: every page sorts the whole table"
        ));
    }
    if !form.counted && !form.small {
        form.notices.push(text!(
            "Pas encore de statistiques : lancez ANALYZE sur la table, le plus petit zoom de ses tuiles en dépend.",
            "No statistics yet: run ANALYZE on the table, the lowest zoom of its tiles depends on them."
        ));
    }
    if ways.is_empty() {
        return Ok(());
    }
    let join = |of: fn(&Text) -> &str| ways.iter().map(of).collect::<Vec<_>>().join(" ; ");
    let (fr, en) = (join(|t| &t.fr), join(|t| &t.en));
    let rows = form.estimate;
    if !form.small && !source.allow_slow {
        return Err(refused(text!(
            "Table d'environ {rows} lignes, trop pour être servie ainsi : {fr}. Ajoutez l'index ou la clé, ou allow_slow = true.",
            "A table of about {rows} rows, too many to serve like this: {en}. Add the index or the key, or allow_slow = true."
        )));
    }
    form.notices.push(text!("Coût : {fr}.", "Cost: {en}."));
    Ok(())
}

/// Whether following the key means to sort all rows.
async fn sorts(link: &mut Link, form: &Form, columns: &[KeyColumn]) -> Ran<bool> {
    let order = form.order();
    let sql = format!("SELECT 1 FROM {} AS t ORDER BY {order} LIMIT 1", form.relation);
    match explain(link, &sql, true).await {
        Ok(plan) => Ok(plan.contains("\"Sort\"")),
        Err(e) if e.is(&SqlState::UNDEFINED_FUNCTION) => {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            Err(no_order(&names.join(", ")))
        }
        Err(_) => Ok(false),
    }
}

/// A column that pages cannot follow.
pub(super) fn no_order(name: &str) -> Failed {
    refused(text!(
        "La clé « {name} » est d'un type sans ordre : choisissez une colonne de nombres, de textes ou de dates (« key »).",
        "The key \"{name}\" is of a type without an order: choose a column of numbers, texts or dates (\"key\")."
    ))
}

/// A plan as JSON text; `forced`: with every way preferred to reading all and to sorting.
pub(super) async fn explain(link: &mut Link, sql: &str, forced: bool) -> Ran<String> {
    link.begin(None).await?;
    if forced {
        link.batch("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off").await?;
    }
    let rows = link.rows(&format!("EXPLAIN (FORMAT JSON) {sql}"), &[]).await;
    link.rollback().await?;
    Ok(match rows?.first() {
        Some(row) => String::from_utf8_lossy(cell::<Raw<'_>>(row, 0)?.0).into_owned(),
        None => String::new(),
    })
}

/// The plan of a statement with its values.
pub(super) async fn explain_with(link: &mut Link, sql: &str, params: &[Param<'_>]) -> Ran<String> {
    let row = link.row(&format!("EXPLAIN (FORMAT JSON) {sql}"), params).await?;
    Ok(match row {
        Some(row) => String::from_utf8_lossy(cell::<Raw<'_>>(&row, 0)?.0).into_owned(),
        None => String::new(),
    })
}

/// Whether the planner has statistics of the geometries.
async fn counted(link: &mut Link, form: &Form) -> Ran<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
                 WHERE c.oid = ANY ($1))";
    super::super::load::first(link, sql, &[(&form.relations, Type::OID_ARRAY)]).await
}

/// Shows the nodes of a plan.
fn nodes(plan: &str, mut show: impl FnMut(&serde_json::Map<String, Json>)) {
    fn walk(node: &Json, show: &mut dyn FnMut(&serde_json::Map<String, Json>)) {
        match node {
            Json::Array(all) => all.iter().for_each(|n| walk(n, show)),
            Json::Object(members) => {
                show(members);
                members.values().for_each(|value| walk(value, show));
            }
            _ => {}
        }
    }
    if let Ok(plan) = serde_json::from_str::<Json>(plan) {
        walk(&plan, &mut show);
    }
}

/// Whether some part of a plan finds boxes by an index.
fn by_index(plan: &str) -> bool {
    let mut found = false;
    nodes(plan, |node| {
        let condition = node.get("Index Cond").and_then(Json::as_str);
        found |= condition.is_some_and(|c| c.contains("&&"));
    });
    found
}

/// Whether the parts of a plan that go through all of something cost more than `most`.
pub(super) fn reads_all(plan: &str, most: f64) -> bool {
    let mut cost = 0.0;
    nodes(plan, |node| {
        let all = match node.get("Node Type").and_then(Json::as_str).unwrap_or_default() {
            "Seq Scan" | "Function Scan" | "Foreign Scan" => true,
            "Index Scan" | "Index Only Scan" => !node.contains_key("Index Cond"),
            _ => false,
        };
        if all {
            cost += node.get("Total Cost").and_then(Json::as_f64).unwrap_or_default();
        }
    });
    cost > most
}

/// What the planner expects of a whole plan.
pub(super) struct PlanFigures {
    pub(super) rows: f64,
    /// Bytes of a row.
    pub(super) width: f64,
    /// In the planner's units.
    pub(super) cost: f64,
}

pub(super) fn plan_figures(plan: &str) -> PlanFigures {
    let plan: Json = serde_json::from_str(plan).unwrap_or_default();
    let of = |name: &str| {
        let figure = plan.pointer("/0/Plan").and_then(|p| p.get(name)?.as_f64());
        figure.unwrap_or_default().max(0.0)
    };
    PlanFigures { rows: of("Plan Rows"), width: of("Plan Width"), cost: of("Total Cost") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read() {
        let plan = r#"[{"Plan": {"Node Type": "Limit", "Total Cost": 90.5, "Plan Rows": 7, "Plan Width": 4,
            "Plans": [{"Node Type": "Index Scan", "Index Cond": "(g && 'x')", "Total Cost": 8.0},
                      {"Node Type": "Seq Scan", "Total Cost": 40.0}]}}]"#;
        let found = plan_figures(plan);
        assert_eq!((found.rows, found.width, found.cost), (7.0, 4.0, 90.5));
        assert!(by_index(plan) && reads_all(plan, 39.0) && !reads_all(plan, 41.0));
        assert!(!by_index("") && !reads_all("{", 0.0) && plan_figures("").rows == 0.0);
    }
}
