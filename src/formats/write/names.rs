//! Names that a format takes: each once, whatever the case, within its length.

use std::collections::HashSet;
use unicode_normalization::UnicodeNormalization;

/// The names taken so far in one table.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// The wanted name, or with `_2`, `_3`… after it when it is taken (letter case aside).
    pub fn free(&mut self, wanted: &str) -> String {
        self.within(wanted, usize::MAX)
    }

    /// The same within a number of bytes: cut at the end to make room.
    pub fn within(&mut self, wanted: &str, bytes: usize) -> String {
        let mut name = cut(wanted, bytes).to_owned();
        let mut n = 2u64;
        while !self.0.insert(name.to_lowercase()) {
            let tail = if bytes < 20 { n.to_string() } else { format!("_{n}") };
            name = format!("{}{tail}", cut(wanted, bytes.saturating_sub(tail.len())));
            n += 1;
        }
        name
    }
}

/// The longest start of a text within a number of bytes, cut between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A name of ASCII letters, digits and `_` only, as old formats want: accents dropped.
pub(super) fn ascii(name: &str) -> String {
    let mut out = String::new();
    for c in name.nfd() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            'œ' => out.push_str("oe"),
            'Œ' => out.push_str("OE"),
            'æ' => out.push_str("ae"),
            'Æ' => out.push_str("AE"),
            c if unicode_normalization::char::is_combining_mark(c) => {}
            _ if !out.ends_with('_') => out.push('_'),
            _ => {}
        }
    }
    let trimmed = out.trim_matches('_');
    // A name may not begin with a digit in most programs that read such tables.
    match trimmed.bytes().next() {
        None => "champ".to_owned(),
        Some(b) if b.is_ascii_digit() => format!("c{trimmed}"),
        Some(_) => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_within_their_length() {
        let mut names = Names::default();
        let long = "population_municipale_de_la_commune_2019";
        assert_eq!(names.within(long, 10), "population");
        assert_eq!(names.within("population_2020", 10), "populatio2");
        assert_eq!(names.within("POPULATION", 10), "POPULATIO3");
        assert_eq!(names.free("nom"), "nom");
        assert_eq!(names.free("Nom"), "Nom_2");
        assert_eq!(cut("été", 2), "é");
    }

    #[test]
    fn accents_spaces_and_quotes_leave_plain_names() {
        assert_eq!(ascii("Œuvre d'été \"n°1\""), "OEuvre_d_ete_n_1");
        assert_eq!(ascii("2024"), "c2024");
        assert_eq!(ascii("日本"), "champ");
        assert_eq!(ascii("LINE_NUMB-SEG"), "LINE_NUMB_SEG");
    }
}
