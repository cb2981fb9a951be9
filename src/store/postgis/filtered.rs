//! What filters let through of a version: found once for all that ask at the same time, one after
//! the other, and kept.

use super::{
    column::Column,
    filter::{self, Target},
    link::{Failed, Link, Ran, cell},
    live::Conditions,
    names::Names,
    open::{OpenVersion, ordinal},
};
use crate::{
    error::{Error, Result},
    model::{BBox, FieldKind, Selection},
    query::{
        Filter,
        cql2::{self, Expr, Expression},
    },
    store::filter_cost,
};
use roaring::RoaringBitmap;
use std::{collections::BTreeMap, ops::ControlFlow};
use tokio_postgres::{error::SqlState, types::Type};

/// The features table of a version.
struct Features<'a> {
    open: &'a OpenVersion,
    /// What each territory lets through, as keys of the table.
    territories: BTreeMap<String, Vec<i64>>,
}

impl Target for Features<'_> {
    fn field(&self, index: usize) -> Option<(Column, FieldKind, String)> {
        let column = *self.open.storage.columns.get(index)?;
        let field = self.open.version.schema.fields.get(index)?;
        Some((column, field.kind, format!("c{index}")))
    }

    fn geometry(&self, _: &Names) -> Option<String> {
        self.open.storage.spatial.then(|| "geom".to_owned())
    }

    fn meets(&self, names: &Names, b: &BBox, to: &mut Conditions) -> Option<String> {
        let next = to.next();
        to.bind_box(b);
        let [w, s, e, n] = [next, next + 1, next + 2, next + 3];
        let g = &names.gis;
        Some(format!("geom OPERATOR({g}&&) {g}ST_MakeEnvelope(${w}, ${s}, ${e}, ${n}, 4326)"))
    }

    fn territory(&self, _: &Names, selection: &Selection, to: &mut Conditions) -> Result<String> {
        let keys = self.territories.get(&selection.key).cloned().unwrap_or_default();
        let next = to.next();
        to.bind(keys, Type::INT8_ARRAY);
        Ok(format!("(fid = ANY(${next}))"))
    }
}

/// Territories that a filter asks for.
fn territories<'e>(expr: &'e Expr, found: &mut Vec<&'e Selection>) {
    match expr {
        Expr::And(all) | Expr::Or(all) => all.iter().for_each(|e| territories(e, found)),
        Expr::Not(inner) => territories(inner, found),
        Expr::Territory(t) => found.push(&t.0),
        _ => {}
    }
}

/// The ordinals of which a filter is true.
pub(super) async fn matching(
    link: &mut Link,
    names: &Names,
    open: &OpenVersion,
    expression: &Expression,
) -> Ran<RoaringBitmap> {
    filter_cost::admit(expression, open.version.count)?;
    let mut asked = Vec::new();
    territories(&expression.root, &mut asked);
    let mut features = Features { open, territories: BTreeMap::new() };
    for selection in asked {
        let chosen = open.select(link, names, selection).await?;
        let keys = chosen.selected.ordinals.iter().map(|o| i64::from(o) + 1).collect();
        features.territories.insert(selection.key.clone(), keys);
    }
    let mut to = Conditions::default();
    let condition = filter::lower(&expression.root, names, &features, &mut to)?;
    let sql = format!("SELECT fid FROM {} WHERE {condition}", names.features(open.serial));
    let mut found = RoaringBitmap::new();
    let params = to.params();
    let read = link.each(&sql, &params, |row| {
        found.insert(ordinal(cell(row, 0)?));
        Ok(ControlFlow::Continue(()))
    });
    match tokio::time::timeout(filter_cost::TIME, read).await {
        Ok(done) => done.map_err(refused)?,
        // Late: the link cancels the statement as it is dropped.
        Err(_) => return Err(filter_cost::too_slow().into()),
    }
    Ok(found)
}

/// What a filter's own fault is among the database's errors.
pub(super) fn refused(e: Failed) -> Failed {
    match &e {
        Failed::Late => Failed::Known(filter_cost::too_slow()),
        Failed::Database(d) if d.code() == Some(&SqlState::NUMERIC_VALUE_OUT_OF_RANGE) => {
            Failed::Known(cql2::overflow())
        }
        Failed::Database(d) if d.code() == Some(&SqlState::QUERY_CANCELED) => {
            Failed::Known(filter_cost::too_slow())
        }
        _ => e,
    }
}

/// The same of a statement with a filter among others; without one it is no filter's fault.
pub(super) fn meaning(
    filter: &Filter,
    e: Failed,
    otherwise: impl FnOnce(Failed) -> Error,
) -> Error {
    match if filter.expression.is_some() { refused(e) } else { e } {
        Failed::Known(e) => e,
        other => otherwise(other),
    }
}
