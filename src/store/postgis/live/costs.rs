//! What serving a table costs, from the planner: how many rows there are, and whether it has a way
//! to some of them.

use super::super::{
    column::Raw,
    link::{Link, Ran, cell},
    names::Names,
};
use super::discover::refused;
use super::form::{Form, Key};
use crate::{
    model::{TableSource, Text},
    text,
};

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
    form.estimate = plan_rows(&plan);
    form.small = form.estimate < LARGE;
    let mut ways = Vec::new();
    if let Some(geometry) = &form.geometry {
        let sides = ["0.0", "0.0", "1.0", "1.0"].map(|v| format!("{v}::float8"));
        let meets = geometry.meets_sides(names, sides);
        let sql = format!("SELECT 1 FROM {} AS t WHERE {meets}", form.relation);
        let found = explain(link, &sql, true).await.is_ok_and(|p| by_index(&p));
        if !found {
            ways.push(text!(
                "sans index spatial, chaque tuile et chaque emprise lit toute la table",
                "without a spatial index every tile and every box reads the whole table"
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
        Key::Columns(_) => {
            let order = form.order();
            let sql = format!("SELECT 1 FROM {} AS t ORDER BY {order} LIMIT 1", form.relation);
            explain(link, &sql, true).await.is_ok_and(|p| p.contains("\"Sort\""))
        }
    };
    if sorted {
        ways.push(text!(
            "la clé n'a pas d'index : chaque page trie toute la table",
            "the key has no index: every page sorts the whole table"
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

/// A plan as JSON text; `forced`: with every way preferred to reading all and to sorting.
async fn explain(link: &mut Link, sql: &str, forced: bool) -> Ran<String> {
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

/// Whether some part of a plan finds boxes by an index.
fn by_index(plan: &str) -> bool {
    fn walk(node: &serde_json::Value) -> bool {
        match node {
            serde_json::Value::Array(all) => all.iter().any(walk),
            serde_json::Value::Object(members) => members.iter().any(|(name, value)| {
                let condition =
                    name == "Index Cond" && value.as_str().is_some_and(|c| c.contains("&&"));
                condition || walk(value)
            }),
            _ => false,
        }
    }
    serde_json::from_str(plan).is_ok_and(|plan: serde_json::Value| walk(&plan))
}

fn plan_rows(plan: &str) -> u64 {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap_or_default();
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64);
    rows.unwrap_or_default().max(0.0) as u64
}
