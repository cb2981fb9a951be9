//! Attachments of a published table to territories: made by `import` as for any layer, kept in the
//! store's schema by the rows' keys, in force from a revision on. Those of rows that were touched
//! are replaced where they are: whoever reads them reads the rows as they are now, too.

use super::{
    super::{
        Inner, claims, column, copy,
        link::{Failed, Link, Param, Ran, cell},
        load::first,
        names::Names,
        write,
    },
    form::Held,
    select,
};
use crate::{
    error::{Error, Result},
    model::VersionId,
    store::{At, Claim, Reach, Touched},
};
use std::{collections::HashMap, ops::ControlFlow, sync::Arc};
use tokio_postgres::types::Type;

/// Older attachments kept for readers that still use them.
const KEPT: i64 = 1;

/// The number of a revision in its name.
fn revision(version: &VersionId) -> Option<i64> {
    version.as_str().split('-').nth(1)?.strip_prefix('r')?.parse().ok()
}

/// Writes attachments aside: beside what the rows held, where that was noted just before.
pub(in super::super) async fn load_reach(
    inner: &Arc<Inner>,
    claim: &Claim,
    version: &VersionId,
    reach: Reach,
) -> Result<()> {
    let names = &inner.ready().await?.names;
    let (Some(revision), Some(form)) = (revision(version), inner.tables.form(&claim.layer)) else {
        return Err(super::super::no_version(version));
    };
    let (_, held) = form.held();
    let vintage = reach.vintage.map(i32::from);
    let mut link = inner.write_link().await?;
    let work = async {
        // As long as nobody sees it nothing is locked: the claim is looked at last.
        link.begin(inner.role()).await?;
        let marked = names.sql(
            "SELECT serial FROM {s}live_reaches WHERE layer = $1 AND id = '' AND revision = $2
               AND serial = (SELECT max(serial) FROM {s}live_reaches WHERE layer = $1)",
        );
        let bare = names.sql(
            "INSERT INTO {s}live_reaches (layer, id, revision) VALUES ($1, '', $2) RETURNING serial",
        );
        let layer = claim.layer.as_str();
        let params: [Param<'_>; 2] = [(&layer, Type::TEXT), (&revision, Type::INT8)];
        let serial: i64 = match link.row(&marked, &params).await? {
            Some(row) => cell(&row, 0)?,
            None => first(&mut link, &bare, &params).await?,
        };
        link.batch(&select::create(names, serial, held)).await?;
        let id = reach.id.clone();
        write(&mut link, names, serial, held, Arc::new(reach)).await?;
        let (communes, others) = (select::attached(names, serial), select::other(names, serial));
        link.batch(&format!(
            "CREATE INDEX ON {communes} (rank, key); CREATE INDEX ON {communes} (key);
             CREATE INDEX ON {others} (territory, key); CREATE INDEX ON {others} (key);
             ANALYZE {communes}, {others}"
        ))
        .await?;
        claims::assure(&mut link, names, claim).await?;
        let named = names.sql("UPDATE {s}live_reaches SET id = $2, vintage = $3 WHERE serial = $1");
        let params: [Param<'_>; 3] =
            [(&serial, Type::INT8), (&id, Type::TEXT), (&vintage, Type::INT4)];
        link.run(&named, &params).await?;
        link.commit().await
    };
    work.await.map_err(|e: Failed| e.meaning("loading the attachments of a table"))
}

/// Puts the attachments of touched rows in the place of those they had.
pub(in super::super) async fn amend(
    inner: &Arc<Inner>,
    claim: &Claim,
    at: &At,
    touched: Touched,
    reach: Reach,
) -> Result<()> {
    let names = &inner.ready().await?.names;
    let form = inner.tables.form_at(at)?;
    let serial = inner.tables.reach(at).ok_or_else(super::unattached)?;
    let revision =
        revision(&at.version.id).ok_or_else(|| super::super::no_version(&at.version.id))?;
    let (_, held) = form.held();
    let (name, reach) = (reach.id.clone(), Arc::new(reach));
    let mut link = inner.write_link().await?;
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        let kind = held.sql_type();
        let prints = select::prints(names, serial);
        for table in [&select::attached(names, serial), &select::other(names, serial), &prints] {
            let sql = format!("DELETE FROM {table} WHERE key = ANY ($1::{kind}[])");
            link.run(&sql, &[(&touched.ids, Type::TEXT_ARRAY)]).await?;
        }
        write(&mut link, names, serial, held, reach).await?;
        let sql = format!("COPY {prints} FROM STDIN (FORMAT binary)");
        copy::copy(&mut link, &sql, move |out| {
            for (id, print) in touched.ids.iter().zip(&touched.prints) {
                if let Some(print) = print {
                    super::touched::print(id, print, held, out)?;
                }
            }
            Ok(())
        })
        .await?;
        let sql = names.sql(
            "UPDATE {s}live_reaches SET id = $2, revision = $3
             WHERE serial = (SELECT l.reach FROM {s}live l WHERE l.layer = $1) AND serial = $4",
        );
        let layer = claim.layer.as_str();
        let params: [Param<'_>; 4] = [
            (&layer, Type::TEXT),
            (&name, Type::TEXT),
            (&revision, Type::INT8),
            (&serial, Type::INT8),
        ];
        if link.run(&sql, &params).await? == 0 {
            return Err(Failed::Known(super::super::gone(at)));
        }
        forget(&mut link, names, layer, revision).await?;
        let generation = write::announce(&mut link, names).await?;
        link.commit().await?;
        Ok(generation)
    };
    let generation = work.await.map_err(|e: Failed| e.meaning("amending attachments"))?;
    inner.pulse.saw(generation);
    Ok(())
}

/// Forgets which rows were touched up to a revision.
async fn forget(link: &mut Link, names: &Names, layer: &str, revision: i64) -> Ran<()> {
    let sql = names.sql("DELETE FROM {s}live_touched WHERE layer = $1 AND revision <= $2");
    link.run(&sql, &[(&layer, Type::TEXT), (&revision, Type::INT8)]).await.map(drop)
}

/// Writes attachments into their tables.
async fn write(
    link: &mut Link,
    names: &Names,
    serial: i64,
    held: Held,
    reach: Arc<Reach>,
) -> Ran<()> {
    let (communes, others) = (select::attached(names, serial), select::other(names, serial));
    let copied = reach.clone();
    copy::copy(link, &format!("COPY {communes} FROM STDIN (FORMAT binary)"), move |out| {
        for (rank, ordinals) in (0i32..).zip(&copied.communes) {
            for ordinal in ordinals {
                let degree = copied.degree.get(*ordinal as usize).copied().unwrap_or(1);
                out.bytes.extend_from_slice(&3i16.to_be_bytes());
                column::field(&rank.to_be_bytes(), &mut out.bytes)?;
                column::field(&degree.to_be_bytes(), &mut out.bytes)?;
                key(&copied, *ordinal, held, &mut out.bytes)?;
                out.send_when_full()?;
            }
        }
        Ok(())
    })
    .await?;
    copy::copy(link, &format!("COPY {others} FROM STDIN (FORMAT binary)"), move |out| {
        for (territory, ordinals) in &reach.others {
            for ordinal in ordinals {
                out.bytes.extend_from_slice(&2i16.to_be_bytes());
                column::field(territory.as_bytes(), &mut out.bytes)?;
                key(&reach, ordinal, held, &mut out.bytes)?;
                out.send_when_full()?;
            }
        }
        Ok(())
    })
    .await
}

/// Appends the key of a row, as attachments hold it, to a COPY.
pub(super) fn held_key(id: &str, held: Held, out: &mut Vec<u8>) -> Result<()> {
    match held {
        Held::Int => {
            let id: i64 = id.parse().map_err(|_| Error::broken("a key that is no number"))?;
            column::field(&id.to_be_bytes(), out)
        }
        Held::Text | Held::Other => column::field(id.as_bytes(), out),
    }
}

fn key(reach: &Reach, ordinal: u32, held: Held, out: &mut Vec<u8>) -> Result<()> {
    held_key(reach.ids.get(ordinal as usize).map_or("", String::as_str), held, out)
}

/// The attachments in force of a state, whole; features are named by their keys.
pub(in super::super) async fn reach(inner: &Arc<Inner>, at: &At) -> Result<Reach> {
    let names = &inner.ready().await?.names;
    let serial = inner.tables.reach(at).ok_or_else(super::unattached)?;
    let (communes, others) = (select::attached(names, serial), select::other(names, serial));
    let mut link = inner.primary.link().await?;
    let mut found = Gathered::default();
    let work = async {
        // Both tables as they were at one moment: touched rows are replaced in them.
        link.begin(None).await?;
        link.batch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let sql = format!("SELECT rank, degree, key::text FROM {communes}");
        link.each(&sql, &[], |row| {
            let ordinal = found.ordinal(cell::<&str>(row, 2)?);
            let rank = cell::<i32>(row, 0)?.unsigned_abs() as usize;
            found.put(rank, ordinal, cell::<i32>(row, 1)?.unsigned_abs());
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        let sql = format!("SELECT territory, key::text FROM {others}");
        link.each(&sql, &[], |row| {
            let ordinal = found.ordinal(cell::<&str>(row, 1)?);
            found.reach.others.entry(cell(row, 0)?).or_default().insert(ordinal);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        link.rollback().await
    };
    let work: Ran<()> = work.await;
    work.map_err(|e| match e.is_gone() {
        true => super::super::gone(at),
        false => e.meaning("reading the attachments of a table"),
    })?;
    Ok(Reach { id: at.reach.clone(), ..found.reach })
}

/// A reach index being put together from rows in any order.
#[derive(Default)]
struct Gathered {
    reach: Reach,
    ordinals: HashMap<String, u32>,
}

impl Gathered {
    fn ordinal(&mut self, key: &str) -> u32 {
        if let Some(known) = self.ordinals.get(key) {
            return *known;
        }
        let next = self.reach.ids.len() as u32;
        self.ordinals.insert(key.to_owned(), next);
        self.reach.ids.push(key.to_owned());
        self.reach.degree.push(0);
        next
    }

    fn put(&mut self, rank: usize, ordinal: u32, degree: u32) {
        if rank >= self.reach.communes.len() {
            self.reach.communes.resize(rank + 1, Vec::new());
        }
        if let Some(features) = self.reach.communes.get_mut(rank) {
            features.push(ordinal);
        }
        if let Some(held) = self.reach.degree.get_mut(ordinal as usize) {
            *held = degree;
        }
    }
}

/// Puts attachments in force.
pub(in super::super) async fn publish(
    inner: &Arc<Inner>,
    claim: &Claim,
    reach: &str,
) -> Result<()> {
    let names = &inner.ready().await?.names;
    let mut link = inner.write_link().await?;
    let layer = claim.layer.as_str();
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        let sql = names.sql(
            "UPDATE {s}live l SET reach = r.serial FROM {s}live_reaches r
             WHERE l.layer = $1 AND r.layer = $1 AND r.id = $2
               AND r.serial = (SELECT max(serial) FROM {s}live_reaches WHERE layer = $1 AND id = $2)",
        );
        link.run(&sql, &[(&layer, Type::TEXT), (&reach, Type::TEXT)]).await?;
        let sql = names.sql(
            "SELECT r.revision FROM {s}live l JOIN {s}live_reaches r ON r.serial = l.reach
             WHERE l.layer = $1",
        );
        if let Some(row) = link.row(&sql, &[(&layer, Type::TEXT)]).await? {
            forget(&mut link, names, layer, cell(&row, 0)?).await?;
        }
        let generation = write::announce(&mut link, names).await?;
        link.commit().await?;
        Ok(generation)
    };
    let generation = work.await.map_err(|e: Failed| e.meaning("publishing attachments"))?;
    inner.pulse.saw(generation);
    Ok(())
}

/// Removes attachments that are no longer in force.
pub(in super::super) async fn prune(inner: &Arc<Inner>, claim: &Claim) -> Result<usize> {
    let names = &inner.ready().await?.names;
    let mut link = inner.write_link().await?;
    let layer = claim.layer.as_str();
    let work = async {
        link.begin(inner.role()).await?;
        claims::assure(&mut link, names, claim).await?;
        link.batch("SET LOCAL lock_timeout = '2s'").await?;
        let sql = names.sql(
            "DELETE FROM {s}live_reaches WHERE serial IN (
               SELECT r.serial FROM {s}live_reaches r JOIN {s}live l ON l.layer = r.layer
               WHERE r.layer = $1 AND r.serial IS DISTINCT FROM l.reach
               ORDER BY r.serial DESC OFFSET $2) RETURNING serial",
        );
        let rows = link.rows(&sql, &[(&layer, Type::TEXT), (&KEPT, Type::INT8)]).await?;
        for row in &rows {
            let serial: i64 = cell(row, 0)?;
            let (a, o) = (select::attached(names, serial), select::other(names, serial));
            let k = select::prints(names, serial);
            link.batch(&format!("DROP TABLE IF EXISTS {a}, {o}, {k}")).await?;
        }
        link.commit().await?;
        Ok(rows.len())
    };
    work.await.map_err(|e: Failed| e.meaning("removing old attachments"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_from_its_name() {
        let id = VersionId::revision(jiff::Timestamp::UNIX_EPOCH, 42, "a1b2c3d4");
        assert_eq!(revision(&id), Some(42));
        assert_eq!(revision(&"20261124T060312Z-3f9a01c2".parse().unwrap()), None);
    }
}
