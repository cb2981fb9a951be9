//! Whole versions from any store to any other: what a backup, its restoration and a move to
//! another store have in common. A version arrives under its own name, with its report, its
//! provenance and its reach indexes; it is read again on the other side and compared by a checksum
//! before it becomes current there, last and in one step. What is already there is compared too,
//! and not written again: a copy that was cut short goes on where it was.

mod rows;
#[cfg(test)]
pub(super) mod tests;

use super::{At, Beside, Claim, KEPT_RUNS, NewVersion, Spool, Store, spool::Spill};
use crate::{
    error::{Error, Result},
    model::{Feature, LayerId, Progress, RunRecord, Version, VersionId},
    text,
};
use rows::{Keeping, read};
use std::sync::Arc;

/// How often a layer whose current version leaves while it is read is begun again.
const TRIES: usize = 5;

/// A version on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub id: VersionId,
    /// Its features.
    pub count: u64,
    /// SHA-256 over ids, values and geometry in order, the same on both sides; hexadecimal.
    pub checksum: String,
    /// Whether it was already there, the same.
    pub already: bool,
    /// Whether it is the current one.
    pub current: bool,
    /// Whether it waits for a person.
    pub held: bool,
}

/// Copies a layer: its older versions, then the current one, which is published last; then its
/// journal and what is held of it. Only what the layer shows in `to` afterwards changes, in one step;
/// versions that were there stay, and so does what is held there.
///
/// # Errors
/// [`Error::NotFound`] when `from` has no current version of it; [`Error::Conflict`] when someone
/// else writes the layer; [`Error::Refused`] when what arrived, or was already there under the same
/// name, is not the same. Nothing visible has changed then.
pub async fn layer(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    id: &LayerId,
    spill: &Spill,
    progress: &dyn Progress,
) -> Result<Vec<Copied>> {
    let claim = claimed(to, id).await?;
    let copy = Copy { from, to, claim: &claim, spill, progress };
    for _ in 0..TRIES {
        let current = from.current().await?.remove(id).ok_or_else(|| nothing(id))?;
        match copy.all(&current).await {
            // A publication moved on, and the version it left is gone.
            Err(Error::Gone { .. }) => {}
            Err(other) => return Err(other),
            Ok(mut copied) => {
                match copy.held().await {
                    Err(Error::Gone { .. }) => {} // released or published while it was copied
                    held => copied.extend(held?),
                }
                runs(from, to, &claim).await?;
                return Ok(copied);
            }
        }
    }
    Err(Error::Refused(text!(
        "« {id} » change de version plus vite qu'elle ne se copie : réessayez.",
        "\"{id}\" changes its version faster than it is copied: try again."
    )))
}

async fn claimed(to: &Arc<dyn Store>, id: &LayerId) -> Result<Claim> {
    to.claim(id).await?.ok_or_else(|| {
        Error::Conflict(text!(
            "« {id} » est en cours d'écriture par un autre programme : réessayez ensuite.",
            "\"{id}\" is being written by another program: try again afterwards."
        ))
    })
}

/// Copies the journals of layers that were never published: those of the others come with them.
///
/// # Errors
/// [`Error::Conflict`] when someone else writes such a layer; what the stores fail with. Gives the layers.
pub async fn journals(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Result<Vec<LayerId>> {
    let (published, mut copied) = (from.current().await?, Vec::new());
    for id in from.runs(1).await?.into_keys().filter(|id| !published.contains_key(id)) {
        runs(from, to, &claimed(to, &id).await?).await?;
        copied.push(id);
    }
    Ok(copied)
}

/// Copies the runs of a layer that are not there.
async fn runs(from: &Arc<dyn Store>, to: &Arc<dyn Store>, claim: &Claim) -> Result<()> {
    let theirs = from.runs(KEPT_RUNS).await?.remove(&claim.layer).unwrap_or_default();
    let ours = to.runs(KEPT_RUNS).await?.remove(&claim.layer).unwrap_or_default();
    let known = |run: &RunRecord| ours.iter().any(|our| our.started == run.started);
    let new: Vec<RunRecord> = theirs.into_iter().filter(|run| !known(run)).collect();
    match new.is_empty() {
        true => Ok(()),
        false => to.note_runs(claim, new).await,
    }
}

/// Copies the territory reference: the tables kept, and which is in force. Called behind the layers,
/// whose reach indexes came along.
pub async fn reference(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Result<()> {
    let (theirs, mut ours) = (from.reference().await?, to.reference().await?);
    if theirs.serial == 0 && ours.serial == 0 {
        return Ok(());
    }
    for table in &theirs.tables {
        if ours.table(&table.id).is_some() {
            continue;
        }
        let Some(bytes) = from.reference_table(&table.id).await? else { continue };
        ours.tables.push(table.clone());
        ours.serial += 1;
        to.set_reference(ours.clone(), Some((table.id.clone(), bytes))).await?;
    }
    ours.serial += 1;
    ours.current = theirs.current;
    ours.before = theirs.before;
    ours.flips = theirs.flips;
    to.set_reference(ours, None).await
}

/// Copies what was told of alerts, as far as it is not known there: nobody is told again of what a
/// journal that came along holds. Whoever tells there at this moment goes on.
///
/// # Errors
/// [`Error::Conflict`] when others tell there all the while; what the stores fail with.
pub async fn told(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Result<()> {
    let theirs = from.told().await?.events;
    for _ in 0..TRIES {
        let mut ours = to.told().await?;
        let known = ours.events.len();
        for (id, event) in &theirs {
            ours.events.entry(id.clone()).or_insert_with(|| event.clone());
        }
        if ours.events.len() == known {
            return Ok(());
        }
        ours.serial += 1;
        match to.set_told(ours).await {
            Err(Error::Conflict(_)) => {}
            done => return done,
        }
    }
    Err(super::told_meanwhile())
}

fn nothing(id: &LayerId) -> Error {
    Error::NotFound(text!("« {id} » n'a aucune version.", "\"{id}\" has no version."))
}

/// Copies what publications changed, the oldest first, as far as it is not there.
async fn history(from: &Arc<dyn Store>, to: &Arc<dyn Store>, claim: &Claim) -> Result<()> {
    for head in from.history(&claim.layer).await?.into_iter().rev() {
        if to.changes(&claim.layer, head.at).await?.is_some() {
            continue;
        }
        if let Some(changes) = from.changes(&claim.layer, head.at).await? {
            to.load_changes(claim, changes).await?;
        }
    }
    Ok(())
}

fn gone(id: &LayerId) -> Error {
    Error::Gone {
        text: text!(
            "Une version de « {id} » vient d'être supprimée.",
            "A version of \"{id}\" was just removed."
        ),
        follow: None,
    }
}

/// What a layer is copied with.
struct Copy<'a> {
    from: &'a Arc<dyn Store>,
    to: &'a Arc<dyn Store>,
    claim: &'a Claim,
    spill: &'a Spill,
    progress: &'a dyn Progress,
}

impl Copy<'_> {
    /// Copies the versions, the current one last, and puts it in force.
    async fn all(&self, current: &At) -> Result<Vec<Copied>> {
        let Self { from, to, claim, .. } = self;
        let (id, now) = (&claim.layer, &current.version.id);
        let there = to.versions(id).await?;
        let mut done = Vec::new();
        let versions = from.versions(id).await?;
        let (last, older): (Vec<_>, Vec<_>) = versions.into_iter().partition(|v| v.id == *now);
        for version in older {
            let already = there.iter().any(|v| v.id == version.id);
            match self.one(&version, already, None).await {
                // History that was removed while it was copied is no loss.
                Err(Error::Gone { .. }) => continue,
                copied => done.push(copied?),
            }
            to.keep(claim, &version.id).await?;
        }
        let last = last.into_iter().next().ok_or_else(|| gone(id))?;
        let already = there.iter().any(|v| v.id == last.id);
        let wanted = Some(current.reach.as_str());
        let mut copied = self.one(&last, already, wanted).await?;
        copied.current = true;
        done.push(copied);
        history(from, to, claim).await?;
        let shown = to.current().await?.remove(id);
        if shown.is_none_or(|at| at.key() != current.key()) {
            to.publish(claim, now, &current.reach).await?;
        }
        let shown = to.current().await?.remove(id);
        if shown.is_none_or(|at| at.version.source != current.version.source) {
            to.touch(claim, &current.version.source).await?;
        }
        Ok(done)
    }

    /// Copies what is held of the layer, unless something is held there.
    async fn held(&self) -> Result<Option<Copied>> {
        let Self { from, to, claim, .. } = self;
        let Some(held) = from.held(&claim.layer).await? else { return Ok(None) };
        let there = to.held(&claim.layer).await?.map(|there| there.version.id);
        let known = to.versions(&claim.layer).await?.iter().any(|v| v.id == held.version.id);
        if known || there.as_ref().is_some_and(|there| *there != held.version.id) {
            return Ok(None);
        }
        let copied = self.one(&held.version, there.is_some(), None).await?;
        to.hold(claim, &copied.id, held.hold).await?;
        Ok(Some(Copied { held: true, ..copied }))
    }

    /// Copies one version, unless it is there, and compares both sides.
    async fn one(&self, version: &Version, already: bool, reach: Option<&str>) -> Result<Copied> {
        let Self { from, to, claim, progress, .. } = self;
        let id = &claim.layer;
        let name = format!("{id} {}", version.id);
        progress.stage(crate::model::Text::same(name), Some(version.count));
        let beside = from.beside(id, &version.id).await?.ok_or_else(|| gone(id))?;
        if reach.is_some_and(|wanted| !beside.reaches.iter().any(|r| r.id == wanted)) {
            return Err(gone(id)); // another index came into force meanwhile
        }
        let at = |reach: &str| At {
            layer: id.clone(),
            version: Arc::new(version.clone()),
            reach: reach.to_owned(),
        };
        let pinned = beside.reaches.first().map_or("", |r| r.id.as_str()).to_owned();
        let kept = (!already).then(|| Keeping::new(self.spill, &beside.mvt_ids));
        let read = read(from, &at(&pinned), kept, *progress).await?;
        if let Some(features) = read.features {
            self.load(version, features, beside.clone()).await?;
        }
        let arrived = self::read(to, &at(""), None, &crate::model::Silent).await?;
        let found = to.beside(id, &version.id).await?.ok_or_else(|| differs(id, version))?;
        if arrived.count != version.count || arrived.checksum != read.checksum {
            return Err(differs(id, version));
        }
        let same = beside.mvt_ids.iter().zip(&found.mvt_ids).all(|(a, b)| *a == 0 || a == b);
        if !same || found.mvt_ids.len() != beside.mvt_ids.len() {
            return Err(differs(id, version));
        }
        for reach in beside.reaches {
            match found.reaches.iter().find(|r| r.id == reach.id) {
                Some(same) if *same == reach => {}
                Some(_) => return Err(differs(id, version)),
                None => to.load_reach(claim, &version.id, reach).await?,
            }
        }
        let (id, count, checksum) = (version.id.clone(), read.count, read.checksum);
        Ok(Copied { id, count, checksum, already, current: false, held: false })
    }

    async fn load(
        &self,
        version: &Version,
        features: Spool<Feature>,
        mut beside: Beside,
    ) -> Result<()> {
        if beside.mvt_ids.len() != features.len() || beside.reaches.is_empty() {
            return Err(Error::broken(format!("{}: indexes and rows disagree", version.id)));
        }
        let rest = beside.reaches.split_off(1);
        let Some(reach) = beside.reaches.pop() else { return Ok(()) };
        let new = NewVersion {
            version: version.clone(),
            features,
            reach,
            weighed: None,
            title: beside.title,
            provenance: beside.provenance,
        };
        self.to.load(self.claim, new).await?;
        for reach in rest {
            self.to.load_reach(self.claim, &version.id, reach).await?;
        }
        Ok(())
    }
}

fn differs(id: &LayerId, version: &Version) -> Error {
    let version = &version.id;
    Error::Refused(text!(
        "« {id} » : la version {version} n'est pas la même des deux côtés ; rien de publié n'a changé.",
        "\"{id}\": version {version} is not the same on both sides; nothing published has changed."
    ))
}
