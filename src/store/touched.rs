//! Rows of live layers that changed since their attachments were made.

use super::{At, RowSink, Store};
use crate::{
    error::Result,
    query::{Filter, Scan, Start},
};
use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows that may have changed, appeared or gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Their ids.
    pub ids: Vec<String>,
    /// What each held when it was looked at, as the store notes it; `None`: it was gone.
    pub prints: Vec<Option<[u8; 16]>>,
    /// [`super::Reach::vintage`] of the attachments in force.
    pub vintage: Option<u16>,
}

/// [`Store::distinct`] by reading all rows.
pub(super) async fn distinct<S: Store + ?Sized>(
    store: &S,
    at: &At,
    field: usize,
) -> Result<Vec<String>> {
    let all: Arc<Mutex<HashSet<String>>> = Arc::default();
    let out = all.clone();
    let sink: RowSink = Box::new(move |row| {
        if let Some(code) = row.values.get(field).and_then(|v| v.as_code()) {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            if !out.contains(&*code) {
                out.insert(code.into_owned());
            }
        }
        ControlFlow::Continue(())
    });
    let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
    store.scan_values(at, scan, sink).await?;
    let all = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(all.into_iter().collect())
}
