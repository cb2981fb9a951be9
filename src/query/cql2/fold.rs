//! Text without regard to case or accents. The same mapping of characters in every store: none
//! asks its database what a capital is.

use rustc_hash::FxHashMap;
use std::{borrow::Cow, sync::OnceLock};
use unicode_normalization::UnicodeNormalization;

/// What is not regarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Fold {
    /// Capitals and small letters are the same.
    pub case: bool,
    /// Letters with and without accents are the same; œ is oe.
    pub accents: bool,
}

/// Letters that no decomposition takes apart.
const WHOLE: [(char, &str); 16] = [
    ('œ', "oe"),
    ('Œ', "OE"),
    ('æ', "ae"),
    ('Æ', "AE"),
    ('ß', "ss"),
    ('ẞ', "SS"),
    ('ø', "o"),
    ('Ø', "O"),
    ('đ', "d"),
    ('Đ', "D"),
    ('ł', "l"),
    ('Ł', "L"),
    ('ħ', "h"),
    ('Ħ', "H"),
    ('ŧ', "t"),
    ('Ŧ', "T"),
];

/// Where characters that a fold changes may lie: past it there are scripts without case, and
/// those of the supplementary planes, which have none in the data.
const LAST: u32 = 0x1_FFFF;

fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

fn lower(c: char) -> char {
    if c == 'ς' {
        return 'σ';
    }
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn bare(c: char) -> String {
    if let Some((_, whole)) = WHOLE.iter().find(|(w, _)| *w == c) {
        return (*whole).to_owned();
    }
    if !std::iter::once(c).nfd().any(is_mark) {
        return c.to_string();
    }
    // What is left without its accents may be one of those above: ǿ is ø, and so o.
    let left: String = std::iter::once(c).nfd().filter(|c| !is_mark(*c)).nfc().collect();
    let whole = |c: char| WHOLE.iter().find(|(w, _)| *w == c).map(|(_, whole)| *whole);
    left.chars().map(|c| whole(c).map_or_else(|| c.to_string(), str::to_owned)).collect()
}

impl Fold {
    /// Whether it changes nothing.
    pub fn is_none(self) -> bool {
        !self.case && !self.accents
    }

    /// Both together.
    pub fn with(self, other: Self) -> Self {
        Self { case: self.case || other.case, accents: self.accents || other.accents }
    }

    /// Every character that changes, with what it becomes; ascending.
    pub fn table(self) -> &'static [(char, String)] {
        static TABLES: [OnceLock<Vec<(char, String)>>; 4] = [const { OnceLock::new() }; 4];
        let index = usize::from(self.case) + 2 * usize::from(self.accents);
        let Some(table) = TABLES.get(index) else { return &[] };
        table.get_or_init(|| {
            let changed = |c: char| {
                let becomes = self.one(c);
                (!(becomes.len() == c.len_utf8() && becomes.starts_with(c))).then_some((c, becomes))
            };
            (0..=LAST).filter_map(char::from_u32).filter_map(changed).collect()
        })
    }

    fn one(self, c: char) -> String {
        let bare = if self.accents { bare(c) } else { c.to_string() };
        if self.case { bare.chars().map(lower).collect() } else { bare }
    }

    /// The folded text.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        if self.is_none() {
            return text.into();
        }
        if text.is_ascii() {
            let plain = !self.case || !text.bytes().any(|b| b.is_ascii_uppercase());
            return if plain { text.into() } else { text.to_ascii_lowercase().into() };
        }
        let map = self.map();
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match map.get(&c) {
                Some(becomes) => out.push_str(becomes),
                None => out.push(c),
            }
        }
        out.into()
    }

    fn map(self) -> &'static FxHashMap<char, &'static str> {
        static MAPS: [OnceLock<FxHashMap<char, &'static str>>; 4] = [const { OnceLock::new() }; 4];
        static NOTHING: OnceLock<FxHashMap<char, &'static str>> = OnceLock::new();
        let index = usize::from(self.case) + 2 * usize::from(self.accents);
        let map = MAPS.get(index).unwrap_or(&NOTHING);
        map.get_or_init(|| self.table().iter().map(|(c, b)| (*c, b.as_str())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASE: Fold = Fold { case: true, accents: false };
    const ACCENTS: Fold = Fold { case: false, accents: true };

    #[test]
    fn letters_fold_as_people_expect() {
        assert_eq!(CASE.apply("KØBENHAVN"), "københavn");
        assert_eq!(ACCENTS.apply("Chișinău"), "Chisinau");
        assert_eq!(CASE.with(ACCENTS).apply("L'HAŸ-les-Rosés"), "l'hay-les-roses");
        assert_eq!(CASE.with(ACCENTS).apply("Œuilly"), "oeuilly");
        assert_eq!(ACCENTS.apply("e\u{301}te\u{301}"), "ete");
        assert_eq!(CASE.apply("ΟΔΟΣ"), CASE.apply("οδος"));
        assert_eq!(ACCENTS.apply("ǿǽ"), "oae");
    }

    #[test]
    fn what_a_fold_gives_it_leaves_as_it_is() {
        for fold in [CASE, ACCENTS, CASE.with(ACCENTS)] {
            for (c, becomes) in fold.table() {
                assert_eq!(fold.apply(becomes), *becomes, "{c}");
            }
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in ".*", case in any::<bool>(), accents in any::<bool>()) {
            let fold = Fold { case, accents };
            let once = fold.apply(&text).into_owned();
            prop_assert_eq!(&*fold.apply(&once), &once);
        }
    }
}
