//! Pages that would read a large table to its end for a filter or an order: refused before they
//! begin, with the index that would serve them. The planner judges, on the statement itself: whatever a filter is
//! made of.

use super::{
    super::{
        Inner,
        link::{Link, Ran},
        names::quoted,
    },
    costs::{explain_with, plan_figures, reads_all},
    form::Form,
    select::Conditions,
};
use crate::{
    error::Error,
    model::{LayerId, Text},
    query::{Filter, Sort},
    text,
};

/// A page may cost what reading this many rows one after the other does.
pub(super) const FILTER_ROWS: u64 = 200_000;

/// A page.
pub(super) struct Asked<'a> {
    pub(super) filter: &'a Filter,
    pub(super) sort: Option<&'a Sort>,
    pub(super) limit: u64,
}

/// Refuses a page whose filter on properties, or whose order, has no index to go by, where finding
/// its rows costs too much. `conditions` are those of the filter alone.
pub(super) async fn judge(
    inner: &Inner,
    link: &mut Link,
    layer: &LayerId,
    form: &Form,
    page: &Asked<'_>,
    conditions: &Conditions,
) -> Ran<()> {
    let Asked { filter, sort, limit } = *page;
    if filter.equals.is_empty() && filter.expression.is_none() && sort.is_none() {
        return Ok(());
    }
    let slow = inner.tables.defs.get(layer).and_then(super::source).is_some_and(|s| s.allow_slow);
    if slow || form.estimate <= FILTER_ROWS {
        return Ok(());
    }
    let asked = (format!("{layer}{}{sort:?}", form.hash), filter.key(), limit);
    let refused = match inner.tables.judged.get(&asked) {
        Some(refused) => refused,
        None => {
            let sql = format!(
                "SELECT 1 FROM {}{} ORDER BY {} LIMIT {}",
                form.source(),
                conditions.text(),
                form.order_by(sort),
                limit.saturating_add(1)
            );
            let plan = explain_with(link, &sql, &conditions.params()).await?;
            let most = form.cost * FILTER_ROWS as f64 / form.estimate as f64;
            let refused = plan_figures(&plan).cost > most && reads_all(&plan, most);
            inner.tables.judged.insert(asked, refused);
            refused
        }
    };
    match refused {
        true => Err(Error::Invalid(refusal(form, page)).into()),
        false => Ok(()),
    }
}

/// The fields that a filter's parameters test.
fn fields(filter: &Filter) -> Vec<usize> {
    let mut fields: Vec<usize> = filter.equals.iter().map(|e| e.field).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn refusal(form: &Form, page: &Asked<'_>) -> Text {
    let (fields, rows) = (fields(page.filter), form.estimate);
    if page.sort.is_some() {
        return text!(
            "L'ordre demandé trierait une table d'environ {rows} lignes : il est refusé. Ajoutez une emprise, un territoire plus petits, ou un filtre dont la colonne a un index ; sinon allow_slow = true, ou une couche moissonnée.",
            "The order asked for would sort a table of about {rows} rows: it is refused. Add a smaller box or territory, or a filter whose column has an index; else allow_slow = true, or a harvested layer."
        );
    }
    // What an index may hold for an expression depends on all that stands around its columns.
    if fields.is_empty() {
        return text!(
            "Le filtre lirait une table d'environ {rows} lignes : il est refusé. Ajoutez-lui une emprise, un territoire plus petits, ou un paramètre « champ=valeur » dont la colonne a un index ; sinon allow_slow = true, ou une couche moissonnée.",
            "The filter would read a table of about {rows} rows: it is refused. Add a smaller box or territory to it, or a parameter \"field=value\" whose column has an index; else allow_slow = true, or a harvested layer."
        );
    }
    let of = |i: &usize| form.fields.get(*i);
    let named = |i: &usize| form.schema.fields.get(*i).map(|f| f.name.as_str());
    let list: Vec<&str> = fields.iter().filter_map(named).collect();
    let list = list.join(", ");
    let index: Option<Vec<&str>> =
        fields.iter().map(|i| of(i).and_then(|f| f.index.as_deref())).collect();
    let (fr, en) = match index {
        Some(columns) if form.own_rows => {
            let (relation, columns) = (&form.relation, columns.join(", "));
            let sql = format!("CREATE INDEX ON {relation} ({columns})");
            (
                format!("Un index le servirait : {sql}; puis ANALYZE {relation}. "),
                format!("An index would serve it: {sql}; then ANALYZE {relation}. "),
            )
        }
        Some(_) => (
            "Un index sur les colonnes d'où elles viennent, dans les tables de la vue, le servirait. ".to_owned(),
            "An index on the columns they come from, in the tables under the view, would serve it. ".to_owned(),
        ),
        None => (
            "Aucun index ne peut servir une colonne de ce type. ".to_owned(),
            "No index can serve a column of this type. ".to_owned(),
        ),
    };
    text!(
        "Le filtre sur « {list} » lirait une table d'environ {rows} lignes : il est refusé. {fr}Ou bien : une emprise (bbox) ou un territoire plus petits, allow_slow = true, ou une couche moissonnée.",
        "The filter on \"{list}\" would read a table of about {rows} rows: it is refused. {en}Or else: a smaller bbox or territory, allow_slow = true, or a harvested layer."
    )
}

/// What an index on a column of a type holds, so that [`super::form::Property::compared`] finds it;
/// `None` where that is not the same at all times.
pub(super) fn index(kind: &str, name: &str, compared: &str) -> Option<String> {
    match kind {
        "text" | "varchar" | "int2" | "int4" | "int8" | "date" | "bool" | "float8" => {
            Some(quoted(name))
        }
        "numeric" | "float4" | "uuid" | "bpchar" | "jsonb" | "json" => {
            let bare = compared.replace(&format!("t.{}", quoted(name)), &quoted(name));
            Some(format!("({bare})"))
        }
        _ => None,
    }
}
