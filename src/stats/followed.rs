//! What changed in a layer since a version or a moment, publications put together: what a copy made
//! then must add, replace and remove to be as the layer is now.

use super::{Stats, news::Seen};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{ChangeKind, Changes, ChangesHead, Selection, VersionId},
    territory::Reference,
    text,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// Where a copy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// It is of this version.
    Version(VersionId),
    /// It was made at this moment.
    Moment(Timestamp),
}

/// What to do to a copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The version the copy is of.
    pub base: VersionId,
    /// The version it is of afterwards: the one in force.
    pub version: VersionId,
    /// Features, by id.
    pub changes: Vec<FollowedChange>,
}

/// A feature to add, replace or remove.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowedChange {
    /// Its id.
    pub id: String,
    /// Which of the three.
    pub kind: ChangeKind,
    /// Its name, the last one of what was removed.
    pub label: Option<String>,
}

impl Stats {
    /// What changed in a layer since then, in a territory (everywhere without one). A feature that
    /// moved into the territory was added there, one that left it was removed.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a version that is none of the layer's; [`Error::Gone`] when what changed
    /// is not known feature by feature (too long ago, too much at once, or since before its first
    /// publication): the layer has to be loaded again.
    pub async fn followed(
        &self,
        layer: &Layer,
        reference: &Arc<Reference>,
        selection: Option<&Arc<Selection>>,
        since: &Since,
    ) -> Result<Followed> {
        let id = &layer.def.id;
        let current = &layer.at()?.version.id;
        let history = self.store.history(id).await?;
        let heads = between(&history, current, since).ok_or_else(|| reload(layer))?;
        let base = match (heads.last(), since) {
            (Some(first), _) => first.base.clone().ok_or_else(|| reload(layer))?,
            (None, Since::Version(version)) if version != current => {
                return match self.store.versions(id).await?.iter().any(|v| v.id == *version) {
                    true => Err(reload(layer)),
                    false => Err(unknown(layer, version)),
                };
            }
            (None, _) => current.clone(),
        };
        let mut all = BTreeMap::new();
        for head in heads.iter().rev() {
            if head.is_empty() {
                continue;
            }
            let changes = self.store.changes(id, head.at).await?;
            let changes = changes.filter(|c| c.head.is_complete()).ok_or_else(|| reload(layer))?;
            let (selection, reference) = (selection.cloned(), reference.clone());
            let work = move || {
                follow(&mut all, &changes, selection.as_deref(), &reference);
                Ok(all)
            };
            all = super::aside(work).await?;
        }
        let one = |(id, (kind, label))| FollowedChange { id, kind, label };
        Ok(Followed { base, version: current.clone(), changes: all.into_iter().map(one).collect() })
    }
}

/// The publications since then that led to the version in force, newest first; `None` when the way
/// there is not known.
fn between<'a>(
    history: &'a [ChangesHead],
    current: &VersionId,
    since: &Since,
) -> Option<Vec<&'a ChangesHead>> {
    // The snapshot may be a publication behind the store.
    let start = history.iter().position(|head| head.version == *current);
    if matches!(since, Since::Version(version) if version == current) {
        return Some(Vec::new());
    }
    let mut way: Vec<&ChangesHead> = Vec::new();
    for head in history.get(start?..).unwrap_or_default() {
        let joined = way.last().is_none_or(|next| next.base.as_ref() == Some(&head.version));
        match since {
            Since::Moment(moment) if head.at <= *moment => return joined.then_some(way),
            _ if !joined => return None,
            _ => {}
        }
        way.push(head);
        if let (Since::Version(version), Some(base)) = (since, &head.base)
            && version == base
        {
            return Some(way);
        }
    }
    match since {
        // None of those that are known began there.
        Since::Version(_) => Some(Vec::new()),
        Since::Moment(_) => None,
    }
}

/// Takes a publication into what came before it.
fn follow(
    all: &mut BTreeMap<String, (ChangeKind, Option<String>)>,
    changes: &Changes,
    selection: Option<&Selection>,
    reference: &Reference,
) {
    use ChangeKind::{Added, Changed, Removed};
    let seen = Seen::new(changes, selection, reference);
    for change in &changes.list {
        let Some(kind) = seen.kind(change) else { continue };
        let before = all.get(&change.id).map(|(kind, _)| *kind);
        let kind = match (before, kind) {
            (None, kind) => kind,
            (Some(Added), Removed) => {
                all.remove(&change.id);
                continue;
            }
            (Some(Added), _) => Added,
            (Some(_), Removed) => Removed,
            (Some(_), _) => Changed,
        };
        all.insert(change.id.clone(), (kind, change.label.clone()));
    }
}

fn reload(layer: &Layer) -> Error {
    let id = &layer.def.id;
    Error::Gone {
        text: text!(
            "Ce qui a changé depuis n'est pas connu entité par entité (trop ancien, ou trop à la fois) : rechargez la couche « {id} » entière.",
            "What changed since then is not known feature by feature (too long ago, or too much at once): load layer \"{id}\" again."
        ),
        follow: Some(format!("collections/{id}/items")),
    }
}

fn unknown(layer: &Layer, version: &VersionId) -> Error {
    let id = &layer.def.id;
    Error::NotFound(text!(
        "La couche « {id} » n'a pas eu de version « {version} » dont les changements soient connus : voyez /collections/{id}/versions.",
        "Layer \"{id}\" had no version \"{version}\" whose changes are known: see /collections/{id}/versions."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publications, oldest first, as `base>version` at one second each.
    fn history(all: &[(&str, &str)]) -> Vec<ChangesHead> {
        let head = |(second, (base, version)): (usize, &(&str, &str))| ChangesHead {
            at: Timestamp::from_second(second as i64 + 1).unwrap(),
            version: version.parse().unwrap(),
            base: (!base.is_empty()).then(|| base.parse().unwrap()),
            added: 1,
            changed: 0,
            removed: 0,
            listed: 1,
        };
        let mut heads: Vec<ChangesHead> = all.iter().enumerate().map(head).collect();
        heads.reverse();
        heads
    }

    fn way(heads: &[ChangesHead], current: &str, since: &Since) -> Option<String> {
        let way = between(heads, &current.parse().unwrap(), since)?;
        Some(way.iter().map(|h| h.version.to_string()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_way_from_a_version_or_a_moment() {
        let all = history(&[("", "a"), ("a", "b"), ("b", "c")]);
        let version = |v: &str| Since::Version(v.parse().unwrap());
        let moment = |s: i64| Since::Moment(Timestamp::from_second(s).unwrap());
        assert_eq!(way(&all, "c", &version("a")).unwrap(), "c b");
        assert_eq!(way(&all, "c", &version("c")).unwrap(), "");
        assert_eq!(way(&all, "c", &version("x")).unwrap(), "");
        assert_eq!(way(&all, "c", &moment(2)).unwrap(), "c");
        assert_eq!(way(&all, "c", &moment(9)).unwrap(), "");
        assert_eq!(way(&all, "c", &moment(0)), None, "before the first publication");
        // The snapshot is a publication behind.
        assert_eq!(way(&all, "b", &version("a")).unwrap(), "b");
        // Something was published without a word in between.
        let torn = history(&[("", "a"), ("a", "b"), ("x", "c")]);
        assert_eq!(way(&torn, "c", &version("a")), None);
        assert_eq!(way(&torn, "c", &moment(2)), None);
        // A way that goes back counts once the newest time it was there.
        let back = history(&[("", "a"), ("a", "b"), ("b", "a"), ("a", "c")]);
        assert_eq!(way(&back, "c", &version("a")).unwrap(), "c");
        assert_eq!(way(&back, "c", &version("b")).unwrap(), "c a");
    }
}
