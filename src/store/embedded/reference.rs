//! The territory reference beside the layers: `reference/state.json`, replaced whole, and one file
//! for each table that was loaded, which never changes.

use super::layout::{names, remove, write_atomic};
use crate::{
    error::{Error, Result},
    model::ReferenceState,
    store::outdated,
};
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

/// The pointer: which table is in force.
pub(super) fn state_file(root: &Path) -> PathBuf {
    root.join("reference").join("state.json")
}

fn table_file(root: &Path, id: &str) -> Option<PathBuf> {
    let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain.then(|| root.join("reference").join(format!("{id}.cog")))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// The state; the default before anything was loaded.
pub(super) fn state(root: &Path) -> Result<ReferenceState> {
    let path = state_file(root);
    match read(&path)? {
        None => Ok(ReferenceState::default()),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| Error::fault(format!("{}", path.display()), e)),
    }
}

/// A table's bytes.
pub(super) fn table(root: &Path, id: &str) -> Result<Option<Vec<u8>>> {
    match table_file(root, id) {
        Some(path) => read(&path),
        None => Ok(None),
    }
}

/// Replaces the state, after writing the table it needs. One writer at a time; who read an older
/// state is refused.
pub(super) fn set(root: &Path, state: &ReferenceState, new: Option<(&str, &[u8])>) -> Result<()> {
    let path = state_file(root);
    let folder = root.join("reference");
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let lock = folder.join("lock");
    let held = OpenOptions::new().create(true).append(true).open(&lock);
    let held = held.map_err(|e| Error::io(&lock, e))?;
    held.lock().map_err(|e| Error::io(&lock, e))?;
    if self::state(root)?.serial + 1 != state.serial {
        return Err(outdated());
    }
    if let Some((id, bytes)) = new {
        let place = table_file(root, id).ok_or_else(|| Error::broken(format!("table {id:?}")))?;
        write_atomic(&place, bytes)?;
    }
    let text = serde_json::to_vec(state).map_err(|e| Error::fault("the reference's state", e))?;
    write_atomic(&path, &text)?;
    // What nothing names any more.
    for name in names(&folder)? {
        let id = name.strip_suffix(".cog");
        if id.is_some_and(|id| state.table(id).is_none()) {
            remove(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Copies state and tables into another folder; the state last.
pub(super) fn snapshot(from: &Path, to: &Path) -> Result<()> {
    let state = state(from)?;
    if state.serial == 0 {
        return Ok(());
    }
    let folder = to.join("reference");
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    for kept in &state.tables {
        if let (Some(bytes), Some(place)) = (table(from, &kept.id)?, table_file(to, &kept.id)) {
            write_atomic(&place, &bytes)?;
        }
    }
    let text = serde_json::to_vec(&state).map_err(|e| Error::fault("the reference's state", e))?;
    write_atomic(&state_file(to), &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flip, ReferenceTable};

    fn with_table(serial: u64, id: &str) -> ReferenceState {
        let table = ReferenceTable {
            id: id.to_owned(),
            vintage: 2027,
            source: String::new(),
            communes: 1,
            sha256: String::new(),
            loaded_at: jiff::Timestamp::UNIX_EPOCH,
            applied_at: None,
            compiled: false,
        };
        ReferenceState { serial, tables: vec![table], ..ReferenceState::default() }
    }

    #[test]
    fn the_state_is_replaced_whole_by_one_writer_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(state(root.path()).unwrap(), ReferenceState::default());
        let first = with_table(1, "cog-2027-00000001");
        set(root.path(), &first, Some(("cog-2027-00000001", b"bytes"))).unwrap();
        assert_eq!(state(root.path()).unwrap(), first);
        assert_eq!(
            table(root.path(), "cog-2027-00000001").unwrap().as_deref(),
            Some(&b"bytes"[..])
        );
        // Who read the state before that is refused, and has changed nothing.
        let late = with_table(1, "cog-2028-00000002");
        assert!(matches!(set(root.path(), &late, None), Err(Error::Conflict(_))));
        assert_eq!(state(root.path()).unwrap(), first);
        // A table that nothing names goes.
        set(root.path(), &with_table(2, "cog-2028-00000002"), Some(("cog-2028-00000002", b"x")))
            .unwrap();
        assert_eq!(table(root.path(), "cog-2027-00000001").unwrap(), None);
        assert_eq!(table(root.path(), "../layers").unwrap(), None);
        let copy = tempfile::tempdir().unwrap();
        snapshot(root.path(), copy.path()).unwrap();
        assert_eq!(state(copy.path()).unwrap(), state(root.path()).unwrap());
        assert!(table(copy.path(), "cog-2028-00000002").unwrap().is_some());
    }

    #[test]
    fn an_index_counts_for_the_state_it_was_made_for_only() {
        let (layer, version) =
            ("zones".parse().unwrap(), "20261124T060312Z-3f9a01c2".parse().unwrap());
        let flip = |from: &str, to: &str| Flip {
            layer: "zones".parse().unwrap(),
            version: "20261124T060312Z-3f9a01c2".parse().unwrap(),
            from: from.into(),
            to: to.into(),
        };
        let state = ReferenceState { flips: vec![flip("a", "b")], ..ReferenceState::default() };
        assert_eq!(state.reach(&layer, &version, "a"), "b");
        assert_eq!(state.reach(&layer, &version, "c"), "c");
        assert_eq!(state.reach(&"other".parse().unwrap(), &version, "a"), "a");
    }
}
