//! Territories: scopes of paths, codes, names, and files of the COG.

use super::text;
use socle::{
    http::{Asked, Scopes},
    import::{CogFile, Reference, update},
    model::TerritoryCode,
};
use std::{cell::OnceCell, sync::Arc};

thread_local! {
    static REFERENCE: OnceCell<Arc<Reference>> = const { OnceCell::new() };
}

fn reference() -> Arc<Reference> {
    REFERENCE.with(|kept| kept.get_or_init(Reference::builtin).clone())
}

/// A scope's segment, a `territory` parameter, a code, a name that is looked for.
pub fn scope(bytes: &[u8]) {
    let Some(written) = text(bytes) else { return };
    let (reference, scopes) = (reference(), Scopes::default());
    if let Ok(scope) = scopes.path(&reference, written) {
        let canonical = scope.canonical();
        let again = scopes.path(&reference, &canonical);
        // A code that is no more stands for what followed it, which may be no territory of that year.
        assert!(scope.vintage.is_some() || again.is_ok(), "{written}: {canonical}");
        let inner = scopes.parameter(&reference, "dep:59", Asked::Within, None);
        let _ = inner.map(|inner| scopes.meet(&reference, &scope, &inner));
    }
    for mode in [Asked::Concerns, Asked::Within, Asked::Clip] {
        for vintage in [None, Some(2018)] {
            let _ = scopes.parameter(&reference, written, mode, vintage);
        }
    }
    let _ = reference.search(written, None, 20);
    let _ = reference.carry(written);
    let _ = reference.history(written);
    if let Ok(code) = written.parse::<TerritoryCode>() {
        let _ = reference.get(&code);
        let _ = reference.members(&code);
        let _ = reference.gone(&code);
    }
}

/// Files of the COG, and a table made of them earlier. The first line names the file, `\0` ends
/// each.
pub fn cog(bytes: &[u8]) {
    let _ = Reference::from_bytes(bytes);
    let files: Vec<CogFile> = bytes
        .split(|b| *b == 0)
        .take(4)
        .filter_map(|file| {
            let end = file.iter().position(|b| *b == b'\n')?;
            let (name, rest) = file.split_at(end);
            Some(CogFile { name: text(name)?.to_owned(), bytes: rest.get(1..)?.to_vec() })
        })
        .collect();
    let vintage = bytes.len().is_multiple_of(2).then_some(2026);
    if let Ok(update) = update(&reference(), &files, vintage) {
        let read = Reference::from_bytes(&update.bytes);
        assert!(read.is_ok(), "a table that was written is read");
    }
}
