//! Territory levels and codes: types that cannot hold a malformed one (DESIGN §2).
//!
//! Form only: whether a well-formed code is that of a territory is the reference's business
//! (`territory`), and for cantons and neighbourhoods the store's.

mod error;
mod level;
mod own;

pub use error::TerritoryError;
pub use level::Level;
pub use own::{LevelDef, LevelSource, LevelTable, LevelWords, OwnLevel};

use error::shown;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Longest code, in bytes. Room is left for levels that a configuration adds.
const CODE_LEN: usize = 14;

/// A code, well formed for the level it was made for; empty only for the whole of France. Held in
/// place, so that copying one costs nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// The code, then zeros: the derived order is the text's.
    bytes: [u8; CODE_LEN],
    len: u8,
}

impl Code {
    /// The code `text` of a level, if it has the form of one.
    pub fn new(level: Level, text: &str) -> Result<Self, TerritoryError> {
        let mut bytes = [0; CODE_LEN];
        match bytes.get_mut(..text.len()) {
            Some(held) if level.admits(text) => held.copy_from_slice(text.as_bytes()),
            _ => return Err(TerritoryError::Code { level, given: shown(text) }),
        }
        Ok(Self { bytes, len: text.len() as u8 })
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.len))
            .and_then(|b| std::str::from_utf8(b).ok())
            .unwrap_or_default()
    }

    /// Whether there is none: the whole of France.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// `level:code`. In JSON, configuration and parameters it is the text `dep:59`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TerritoryCode {
    /// The level.
    pub level: Level,
    /// The code, unique within its level.
    pub code: Code,
}

impl TerritoryCode {
    /// The territory of that code, if it has the form of its level's codes.
    pub fn new(level: Level, code: &str) -> Result<Self, TerritoryError> {
        Ok(Self { level, code: Code::new(level, code)? })
    }

    /// The whole of France, overseas included.
    pub fn france() -> Self {
        Self { level: Level::Fr, code: Code { bytes: [0; CODE_LEN], len: 0 } }
    }

    /// Its form in a path: `dep-59`, `fr`, `fr-metro`.
    pub fn path(&self) -> String {
        let mut text = self.to_string();
        if let Some(at) = text.find(':') {
            text.replace_range(at..=at, "-");
        }
        text
    }
}

/// `dep:59`, `fr:metro`, and `fr` alone for the whole of France.
impl fmt::Display for TerritoryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level.id())?;
        if !self.code.is_empty() {
            write!(f, ":{}", self.code)?;
        }
        Ok(())
    }
}

impl fmt::Debug for TerritoryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `dep:59` and `dep-59`. A bare code names no level: the reference resolves those.
impl FromStr for TerritoryCode {
    type Err = TerritoryError;

    fn from_str(text: &str) -> Result<Self, TerritoryError> {
        if text == Level::Fr.id() {
            return Ok(Self::france());
        }
        match text.split_once([':', '-']) {
            Some((level, code)) if !code.is_empty() => {
                // The refusal names all that was written: `saint-denis` is no level `saint`.
                let level = level.parse().map_err(|_| TerritoryError::Level { given: shown(text) });
                Self::new(level?, code)
            }
            _ => Err(TerritoryError::form(text)),
        }
    }
}

impl Serialize for TerritoryCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TerritoryCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(text: &str) -> TerritoryCode {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn well_formed_codes_are_read_and_written_back() {
        for text in
            "com:59350 com:2A004 com:2B033 com:97411 com:97502 com:98818 com:98901 com:20004 \
            arm:75101 arm:75120 arm:69381 arm:69389 arm:13201 arm:13216 comd:01015 coma:59355 \
            epci:200093201 ept:200057867 dep:01 dep:95 dep:2A dep:2B dep:971 dep:976 dep:988 \
            reg:01 reg:32 reg:94 reg:975 reg:989 arr:011 arr:2A1 arr:9741 canton:0101 canton:2A01 \
            canton:97401 canton:69NR qpv:QN00101M qpv:QN02A01N qpv:QN98735C qpv:QP009002 \
            fr fr:metro fr:drom fr:com"
                .split_whitespace()
        {
            let code = ok(text);
            assert_eq!(code.to_string(), text);
            assert_eq!(code.path(), text.replace(':', "-"));
            assert_eq!(ok(&code.path()), code);
        }
    }

    #[test]
    fn malformed_codes_are_refused() {
        for text in ": - 59 dep dep: dep:00 dep:20 dep:96 dep:2C dep:2a dep:970 dep:979 dep:983 \
            dep:+9 dep:059 com:5935 com:593500 com:99004 com:2C004 com:2a004 com:00001 com:96001 \
            com:97901 com:5935é com:é350 com:+9350 arm:75056 arm:75100 arm:75121 arm:69380 \
            arm:69390 arm:13200 arm:13217 arm:59350 epci:20009320 epci:2000932011 epci:20009320X \
            reg:1 reg:123 reg:971 arr:59 arr:59A arr:97411 canton:01 canton:01011 canton:01a1 \
            qpv:QN00101 qpv:QN00101m qpv:QP00900A qpv:QX009002 qpv:QN99901M qpv:QN0é101 fr: fr:59 \
            fr:METRO FR pays:59 Dep:59 dep:59-within dep:59:60 dep:59+dep:62"
            .split_whitespace()
            .chain(["", "dep: 59", "dep:59 ", "com:593 0", "dep:\0\0", "dep-\u{2f}"])
        {
            assert!(text.parse::<TerritoryCode>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn errors_say_what_is_allowed() {
        let error = |text: &str| text.parse::<TerritoryCode>().unwrap_err().text();
        assert!(error("pays:59").fr.contains("com, epci, ept"));
        assert!(error("dep:20").en.contains("01 to 95"), "{}", error("dep:20"));
        assert!(error("com:5935").fr.contains("2A004"));
        assert!(error("59").fr.contains("dep:59"));
        let long = error(&format!("com:{}", "9".repeat(10_000)));
        assert!(long.fr.len() < 400);
        assert!(!error("com:1\r\n2").fr.contains('\n'));
    }

    #[test]
    fn json_is_the_text() {
        let code = ok("dep:59");
        assert_eq!(serde_json::to_string(&code).unwrap(), r#""dep:59""#);
        assert_eq!(serde_json::from_str::<TerritoryCode>(r#""dep-59""#).unwrap(), code);
        assert_eq!(serde_json::to_string(&TerritoryCode::france()).unwrap(), r#""fr""#);
        assert!(serde_json::from_str::<TerritoryCode>(r#""dep:20""#).is_err());
        assert!(serde_json::from_str::<TerritoryCode>("59").is_err());
        assert_eq!(serde_json::to_string(&Level::Coma).unwrap(), r#""coma""#);
    }

    #[test]
    fn levels_know_their_kind() {
        let communal: Vec<_> = Level::ALL.into_iter().filter(|l| l.is_communal()).collect();
        assert_eq!(communal, &Level::ALL[..7]);
        for level in Level::ALL {
            assert_eq!(level.id().parse(), Ok(level));
            assert!(level.id().bytes().all(|b| b.is_ascii_lowercase()));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_written_back(text in r"\PC{0,16}") {
            for level in Level::ALL {
                if let Ok(code) = TerritoryCode::new(level, &text) {
                    prop_assert_eq!(code.code.as_str(), text.as_str());
                    prop_assert_eq!(ok(&code.to_string()), code);
                }
            }
            let _ = text.parse::<TerritoryCode>();
        }

        #[test]
        fn near_codes_never_panic(
            text in "(com|dep|arm|qpv|fr|reg|canton)?[:-]?[0-9ABQNPabé]{0,10}",
        ) {
            if let Ok(code) = text.parse::<TerritoryCode>() {
                prop_assert_eq!(code.path(), text.replace(':', "-"));
            }
        }

        #[test]
        fn codes_sort_as_their_text(a in "[0-9]{5}", b in "[0-9]{5}") {
            if let (Ok(x), Ok(y)) = (Code::new(Level::Com, &a), Code::new(Level::Com, &b)) {
                prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            }
        }
    }
}
