//! What is made from versions into versions: so far, reach indexes. They are rebuilt aside when
//! the reference or a border layer changes, from what the store holds, without the source.

use super::{
    attach::{Attacher, Subject},
    borders::Borders,
};
use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{LayerDef, ValueRef},
    query::{Filter, Scan, Start},
    store::{At, Reach, Store},
    territory::Reference,
};
use geo_types::Geometry;
use rayon::prelude::*;
use std::{
    borrow::Cow,
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// A stored feature's codes, geometry and id.
type Stored = (Vec<Option<String>>, Option<Vec<u8>>, String);

/// The reach index of a stored version. Called from a blocking thread of the runtime.
pub(super) fn reach(
    store: &Arc<dyn Store>,
    at: &At,
    def: &LayerDef,
    reference: &Arc<Reference>,
    borders: &Borders,
) -> Result<Reach> {
    let mut attacher = Attacher::new(def, &at.version.schema, reference, borders)?;
    let fields = attacher.code_fields();
    let rows: Arc<Mutex<Vec<Stored>>> = Arc::default();
    let out = rows.clone();
    let sink = Box::new(move |row: &crate::store::Row<'_>| {
        let code = |i: &usize| match row.values.get(*i) {
            Some(ValueRef::Text(s)) if !s.trim().is_empty() => Some(s.trim().to_owned()),
            Some(ValueRef::Int(n)) => Some(n.to_string()),
            _ => None,
        };
        let codes = fields.iter().map(code).collect();
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out.push((codes, row.wkb.map(<[u8]>::to_vec), row.id.to_owned()));
        ControlFlow::Continue(())
    });
    let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
    tokio::runtime::Handle::current().block_on(store.scan(at, scan, sink))?;
    let rows = std::mem::take(&mut *rows.lock().unwrap_or_else(PoisonError::into_inner));
    let communes = attacher.commune_columns();
    let mut distinct = BTreeSet::new();
    for (codes, _, _) in &rows {
        for cell in communes.iter().filter_map(|i| codes.get(*i)?.as_deref()) {
            attacher.add_codes(cell, &mut distinct);
        }
    }
    attacher.date(distinct);
    let attached: Result<Vec<_>> = rows
        .par_iter()
        .map(|(codes, bytes, _)| {
            let geometry: Option<Geometry<f64>> = match bytes {
                Some(bytes) => {
                    Some(wkb::read(bytes).map_err(|e| Error::fault("stored geometry", e))?)
                }
                None => None,
            };
            let codes = codes.iter().map(|c| c.as_deref().map(Cow::Borrowed)).collect();
            attacher.attach(&Subject { codes, geometry: geometry.as_ref() })
        })
        .collect();
    let reach = attacher.gather(attached?);
    let ids = rows.into_iter().map(|row| row.2).collect();
    let ids = if at.version.live.is_some() { ids } else { Vec::new() };
    Ok(Reach { id: attacher.reach_id(&at.version), ids, ..reach })
}
