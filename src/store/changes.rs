//! How differences are written, the same by all stores: the head as JSON, the rest as compressed
//! JSON.

use crate::{
    error::{Error, Result},
    model::{Change, Changes, ChangesHead, TerritoryCode},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// Differences kept of a layer, the newest.
pub(super) const KEPT: usize = 100;

/// All but the head.
#[derive(Serialize)]
struct BodyRef<'a> {
    communes: &'a [String],
    others: &'a [TerritoryCode],
    list: &'a [Change],
}

#[derive(Deserialize)]
struct Body {
    communes: Vec<String>,
    others: Vec<TerritoryCode>,
    list: Vec<Change>,
}

/// The head as text.
pub(super) fn head(changes: &Changes) -> Result<String> {
    serde_json::to_string(&changes.head).map_err(|e| Error::fault("a difference's head", e))
}

/// The head of that text.
pub(super) fn read_head(text: &str) -> Result<ChangesHead> {
    serde_json::from_str(text).map_err(|e| Error::fault("a difference's head", e))
}

/// The rest as bytes.
pub(super) fn body(changes: &Changes) -> Result<Vec<u8>> {
    let Changes { communes, others, list, .. } = changes;
    let failed = |e: std::io::Error| Error::fault("writing a difference", e);
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut out, &BodyRef { communes, others, list })
        .map_err(|e| Error::fault("writing a difference", e))?;
    out.flush().map_err(failed)?;
    out.finish().map_err(failed)
}

/// The whole again.
pub(super) fn read(head: ChangesHead, body: &[u8]) -> Result<Changes> {
    let mut text = Vec::new();
    let failed = |e: std::io::Error| Error::fault("a difference", e);
    GzDecoder::new(body).read_to_end(&mut text).map_err(failed)?;
    let body: Body = serde_json::from_slice(&text).map_err(|e| Error::fault("a difference", e))?;
    let Body { communes, others, list } = body;
    Ok(Changes { head, communes, others, list })
}
