//! The pattern of LIKE: `%` is any text, `_` any one character, `\` before them makes them
//! themselves.

use super::fold::Fold;

/// A pattern, in the one spelling of those that mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    One,
    Any,
}

impl Pattern {
    /// Reads a pattern; its letters are folded, its wildcards stay.
    pub fn new(written: &str, fold: Fold) -> Self {
        let mut pieces = Vec::new();
        let mut chars = written.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' if pieces.last() == Some(&Piece::Any) => {}
                '%' => pieces.push(Piece::Any),
                '_' => pieces.push(Piece::One),
                c => {
                    let meant = if c == '\\' { chars.next().unwrap_or('\\') } else { c };
                    let mut bytes = [0; 4];
                    let folded = fold.apply(meant.encode_utf8(&mut bytes));
                    pieces.extend(folded.chars().map(Piece::Char));
                }
            }
        }
        Self(pieces)
    }

    /// Its text, as LIKE of SQL with the escape `\` reads it.
    pub fn to_sql(&self) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Any => out.push('%'),
                Piece::One => out.push('_'),
                Piece::Char(c) => {
                    if matches!(c, '%' | '_' | '\\') {
                        out.push('\\');
                    }
                    out.push(*c);
                }
            }
        }
        out
    }

    /// Whether a text is like it. Takes at most the product of both lengths.
    pub fn matches(&self, text: &str) -> bool {
        let (mut piece, mut rest) = (0, text.chars());
        // Where the last `%` stood, and what of the text it has left to the pieces after it.
        let mut back: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            let next = ahead.next();
            match (self.0.get(piece), next) {
                (Some(Piece::Any), _) => {
                    piece += 1;
                    back = Some((piece, rest.clone()));
                    continue;
                }
                (Some(Piece::One), Some(_)) => {
                    piece += 1;
                    rest = ahead;
                    continue;
                }
                (Some(Piece::Char(c)), Some(found)) if *c == found => {
                    piece += 1;
                    rest = ahead;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after, taken)) = &mut back else { return false };
            if taken.next().is_none() {
                return false;
            }
            piece = *after;
            rest = taken.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str) -> bool {
        Pattern::new(pattern, Fold::default()).matches(text)
    }

    #[test]
    fn patterns_match_as_sql_says() {
        for (text, pattern) in [
            ("", ""),
            ("", "%"),
            ("Berne", "B_r%"),
            ("aXbXc", "a%b%c"),
            ("100 %", "100 \\%"),
            ("a_b", "a\\_b"),
            ("a\\", "a\\"),
            ("été", "_t_"),
            ("abcabd", "%abd"),
        ] {
            assert!(like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in
            [("a", ""), ("", "_"), ("Berne", "b%"), ("axb", "a\\_b"), ("abc", "%abd"), ("ab", "a")]
        {
            assert!(!like(text, pattern), "{text} {pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let text = "a".repeat(2_000);
        assert!(!like(&text, &format!("{}b", "a%".repeat(100))));
    }
}
