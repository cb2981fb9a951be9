//! Names of blobs.

use crate::{
    error::{Error, Result},
    text,
};
use std::{fmt, str::FromStr};

/// A blob's name: segments of letters, digits, `.`, `_` and `-`, none beginning with a dot,
/// between slashes; 400 bytes at most. It can be a path of any file system and an object's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last slash.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(words: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let segment = |s: &str| !s.is_empty() && !s.starts_with('.') && s.bytes().all(allowed);
        if words.len() > 400 || !words.split('/').all(segment) {
            let words: String = words.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(Error::Invalid(text!(
                "« {words} » n'est pas un nom de fichier partagé : lettres, chiffres, « . », « _ », « - » et « / »",
                "\"{words}\" is not the name of a shared file: letters, digits, \".\", \"_\", \"-\" and \"/\""
            )));
        }
        Ok(Self(words.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_never_leave_their_place() {
        for good in ["a", "sources/3f9a", "exports/2026/x_1.gpkg"] {
            assert_eq!(good.parse::<Key>().unwrap().as_str(), good);
        }
        assert_eq!("exports/2026/x.gpkg".parse::<Key>().unwrap().name(), "x.gpkg");
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", ".parts/x", "a b", "é", "a\\b", "a\0"]
        {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_folder(words in "[a./\\\\_-]{1,20}") {
            if let Ok(key) = words.parse::<Key>() {
                let path = std::path::Path::new("root").join(key.as_str());
                let plain = |c| matches!(c, std::path::Component::Normal(_));
                prop_assert!(path.components().all(plain) && path.starts_with("root"));
            }
        }
    }
}
