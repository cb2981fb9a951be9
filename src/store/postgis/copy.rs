//! Binary COPY: rows made on one thread travel while the next are made.

use super::{
    column::{self, Column, Storage},
    link::{Failed, Link, Ran},
};
use crate::{
    error::{Error, Result},
    model::{Feature, GeometryKind, Value},
    store::{NewVersion, stored_wkb},
};
use bytes::Bytes;
use futures_util::SinkExt;
use geo_types::Geometry;
use tokio::sync::mpsc;

/// Bytes of rows sent at once.
const BATCH: usize = 1 << 20;
/// What binary COPY begins with: signature, flags, no extension.
const START: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// And what it ends with.
const END: &[u8] = &(-1i16).to_be_bytes();

/// Rows on their way to the server.
pub(super) struct Batches {
    pub(super) bytes: Vec<u8>,
    out: mpsc::Sender<Bytes>,
}

impl Batches {
    /// Hands over what there is, once it is worth a message.
    pub(super) fn send_when_full(&mut self) -> Result<()> {
        if self.bytes.len() >= BATCH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        let full = std::mem::replace(&mut self.bytes, Vec::with_capacity(BATCH + BATCH / 4));
        self.out.blocking_send(full.into()).map_err(|_| Error::broken("a COPY that ended early"))
    }
}

/// Sends rows that `write` makes on a thread of its own, while they travel.
pub(super) async fn copy(
    link: &mut Link,
    statement: &str,
    write: impl FnOnce(&mut Batches) -> Result<()> + Send + 'static,
) -> Ran<()> {
    let (out, mut batches) = mpsc::channel::<Bytes>(4);
    let writer = tokio::task::spawn_blocking(move || {
        let mut all = Batches { bytes: START.to_vec(), out };
        write(&mut all)?;
        all.bytes.extend_from_slice(END);
        all.send()
    });
    link.set_running(true);
    let sent = async {
        let sink = link.raw()?.copy_in::<_, Bytes>(statement).await.map_err(Failed::Database)?;
        let mut sink = std::pin::pin!(sink);
        while let Some(batch) = batches.recv().await {
            sink.send(batch).await.map_err(Failed::Database)?;
        }
        drop(batches);
        // Only a writer that came to its end has the COPY closed; else dropping aborts it.
        writer.await.map_err(|e| Error::fault("writing rows", e))??;
        sink.finish().await.map_err(Failed::Database)
    };
    let sent: Ran<u64> = sent.await;
    link.set_running(false);
    sent.map(drop)
}

/// The rows of a version's features table.
pub(super) fn feature_rows(
    new: &NewVersion,
    storage: &Storage,
    batches: &mut Batches,
) -> Result<()> {
    let fields = 6 + storage.columns.len() + usize::from(storage.spatial);
    let fields = i16::try_from(fields).map_err(|_| Error::broken("too many columns"))?;
    let kind = new.version.schema.geometry;
    let mut blob = Vec::new();
    new.features.each(|first, features| {
        for (fid, feature) in (first as i64 + 1..).zip(features) {
            let out = &mut batches.bytes;
            out.extend_from_slice(&fields.to_be_bytes());
            column::field(&fid.to_be_bytes(), out)?;
            column::field(feature.id.as_bytes(), out)?;
            sides(feature, out)?;
            for (i, column) in storage.columns.iter().enumerate() {
                column::copy(*column, feature.values.get(i).unwrap_or(&Value::Null), out)?;
            }
            if storage.spatial {
                match &feature.geometry {
                    Some(geometry) => {
                        blob.clear();
                        ewkb(geometry, kind, &mut blob);
                        column::field(&blob, out)?;
                    }
                    None => column::copy(Column::Int, &Value::Null, out)?,
                }
            }
            batches.send_when_full()?;
        }
        Ok(())
    })
}

/// The feature's box, nulls without geometry.
fn sides(feature: &Feature, out: &mut Vec<u8>) -> Result<()> {
    use geo::BoundingRect;
    let rect = feature.geometry.as_ref().and_then(|g| g.bounding_rect());
    let sides = rect.map(|r| [r.min().x, r.min().y, r.max().x, r.max().y]);
    for i in 0..4 {
        let side = sides.and_then(|s| s.get(i).copied()).map_or(Value::Null, Value::Float);
        column::copy(Column::Float, &side, out)?;
    }
    Ok(())
}

/// EWKB in CRS84 (EPSG:4326 as PostGIS means it: longitude first).
fn ewkb(geometry: &Geometry<f64>, kind: GeometryKind, out: &mut Vec<u8>) {
    const SRID: u32 = 0x2000_0000;
    let mut plain = Vec::new();
    stored_wkb::write(geometry, kind, &mut plain);
    if let Some((head, rest)) = plain.split_first_chunk::<5>() {
        let code = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) | SRID;
        out.push(head[0]);
        out.extend_from_slice(&code.to_le_bytes());
        out.extend_from_slice(&4326u32.to_le_bytes());
        out.extend_from_slice(rest);
    }
}
