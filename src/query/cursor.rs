//! Cursors: where a page ended, in which state of the layer.

use crate::{
    error::{Error, Result},
    text,
};

/// A keyset cursor. It names the state (`version.reach`) it was made in, so that a page never
/// mixes two versions: when that state is gone the answer is `410` with the link to start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// `version.reach`, see [`crate::store::At::key`].
    pub state: String,
    /// Ordinal of the first feature of the next page.
    pub ordinal: u64,
}

impl Cursor {
    /// Its text in URLs: `state~ordinal`, made of unreserved characters only.
    pub fn to_text(&self) -> String {
        format!("{}~{}", self.state, self.ordinal)
    }

    /// Reads a cursor back.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let parsed = text.rsplit_once('~').and_then(|(state, ordinal)| {
            let ok = !state.is_empty() && state.len() <= 120 && state.chars().all(plain);
            let digits = !ordinal.is_empty() && ordinal.bytes().all(|b| b.is_ascii_digit());
            (ok && digits)
                .then(|| ordinal.parse().ok())
                .flatten()
                .map(|ordinal| Self { state: state.to_owned(), ordinal })
        });
        parsed.ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::Invalid(text!(
                "Paramètre « cursor » illisible : « {shown} ». Suivez les liens « next » tels quels.",
                "Unreadable \"cursor\" parameter: \"{shown}\". Follow \"next\" links as they are."
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let c = Cursor { state: "20261124T060312Z-3f9a01c2.a1b2c3d4".into(), ordinal: 12_000 };
        assert_eq!(Cursor::parse(&c.to_text()).unwrap(), c);
    }

    #[test]
    fn hostile_cursors_are_refused() {
        for bad in
            ["", "~", "x~", "~1", "a~-1", "a b~1", "a~1e3", "a/../b~1", "a~99999999999999999999"]
        {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
