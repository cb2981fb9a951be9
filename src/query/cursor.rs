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
    /// Ordinal of the first feature of the next page: its place in the order of the pages.
    pub ordinal: u64,
    /// The name of that order ([`super::Sort::key`]); empty for that of the source.
    pub sort: String,
}

impl Cursor {
    /// Its text in URLs: `state~ordinal`, `state~ordinal~sort` in another order than the source's;
    /// made of unreserved characters only.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}~{}", self.state, self.ordinal);
        if !self.sort.is_empty() {
            text.push('~');
            text.push_str(&self.sort);
        }
        text
    }

    /// Reads a cursor back.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let mut parts = text.split('~');
        let parsed = parts.next().zip(parts.next()).and_then(|(state, ordinal)| {
            let sort = parts.next();
            let named =
                |text: &str| !text.is_empty() && text.len() <= 120 && text.chars().all(plain);
            let ok = named(state) && sort.is_none_or(named) && parts.next().is_none();
            let digits = !ordinal.is_empty() && ordinal.bytes().all(|b| b.is_ascii_digit());
            let ordinal = (ok && digits).then(|| ordinal.parse().ok()).flatten()?;
            let sort = sort.unwrap_or_default().to_owned();
            Some(Self { state: state.to_owned(), ordinal, sort })
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
        for sort in ["", "a0-d12"] {
            let state = "20261124T060312Z-3f9a01c2.a1b2c3d4".into();
            let c = Cursor { state, ordinal: 12_000, sort: sort.into() };
            assert_eq!(Cursor::parse(&c.to_text()).unwrap(), c);
        }
    }

    #[test]
    fn hostile_cursors_are_refused() {
        for bad in [
            "",
            "~",
            "x~",
            "~1",
            "a~-1",
            "a b~1",
            "a~1e3",
            "a/../b~1",
            "a~99999999999999999999",
            "a~1~",
            "a~1~b~c",
            "a~1~é",
        ] {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
