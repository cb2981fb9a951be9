//! The words of a CQL2 text.

use super::error::at;
use crate::{error::Result, text};

/// A word, a literal or a sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword, a function's name or a property.
    Word(String),
    /// A property between double quotes.
    Quoted(String),
    /// A character literal, as it is meant.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// A sign.
    Sign(&'static str),
}

/// A token with its place, in characters from 1.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) at: usize,
    pub(super) token: Token,
}

/// Signs, the longer before those they begin with. `!=` is what some clients write for `<>`.
const SIGNS: [(&str, &str); 16] = [
    ("<>", "<>"),
    ("!=", "<>"),
    ("<=", "<="),
    (">=", ">="),
    ("<", "<"),
    (">", ">"),
    ("=", "="),
    ("(", "("),
    (")", ")"),
    (",", ","),
    ("+", "+"),
    ("-", "-"),
    ("*", "*"),
    ("/", "/"),
    ("%", "%"),
    ("^", "^"),
];

/// Words that are no property unless they are quoted.
const RESERVED: [&str; 12] =
    ["AND", "OR", "NOT", "LIKE", "ILIKE", "BETWEEN", "IN", "IS", "NULL", "DIV", "TRUE", "FALSE"];

/// Whether a word, in letters of either case, is no property unless it is quoted.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|r| r.eq_ignore_ascii_case(word))
}

/// Cuts a text into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>> {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, next: 0 };
    let mut all = Vec::new();
    while let Some(c) = reader.peek(0) {
        let at = reader.next + 1;
        let token = match c {
            c if c.is_whitespace() => {
                reader.next += 1;
                continue;
            }
            '\'' => Token::Text(reader.literal()?),
            '"' => Token::Quoted(reader.quoted()?),
            c if starts_number(c, reader.peek(1)) => Token::Number(reader.number()),
            c if starts_name(c) => {
                Token::Word(reader.take(|c| starts_name(c) || c.is_numeric() || c == '.'))
            }
            _ => Token::Sign(reader.sign()?),
        };
        all.push(Placed { at, token });
    }
    Ok(all)
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | ':')
}

fn starts_number(c: char, next: Option<char>) -> bool {
    c.is_ascii_digit() || c == '.' && next.is_some_and(|n| n.is_ascii_digit())
}

/// Whether a property's name needs no quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(starts_name)
        && chars.all(|c| starts_name(c) || c.is_numeric() || c == '.')
}

struct Reader<'a> {
    chars: &'a [char],
    next: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.next + ahead).copied()
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let rest = self.chars.get(self.next..).unwrap_or_default();
        let taken: String = rest.iter().copied().take_while(|c| belongs(*c)).collect();
        self.next += taken.chars().count();
        taken
    }

    /// `'…'`: a quote is doubled or has a backslash before it; two backslashes are one, as QGIS
    /// writes them; any other backslash is itself.
    fn literal(&mut self) -> Result<String> {
        let start = self.next + 1;
        self.next += 1;
        let mut out = String::new();
        loop {
            let (Some(c), next) = (self.peek(0), self.peek(1)) else {
                return Err(at(
                    start,
                    text!(
                        "texte sans apostrophe fermante (une apostrophe dans un texte s'écrit deux fois : 'L''Haÿ').",
                        "text without its closing quote (a quote inside a text is written twice: 'L''Haÿ')."
                    ),
                ));
            };
            self.next += 1;
            match (c, next) {
                ('\'', Some('\'')) | ('\\', Some('\'' | '\\')) => {
                    out.extend(next);
                    self.next += 1;
                }
                ('\'', _) => return Ok(out),
                _ => out.push(c),
            }
        }
    }

    /// `"…"`, quotes doubled.
    fn quoted(&mut self) -> Result<String> {
        let start = self.next + 1;
        self.next += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek(0) else {
                return Err(at(
                    start,
                    text!(
                        "nom de champ sans guillemet fermant.",
                        "property name without its closing quote."
                    ),
                ));
            };
            self.next += 1;
            if c != '"' {
                out.push(c);
            } else if self.peek(0) == Some('"') {
                out.push('"');
                self.next += 1;
            } else {
                return Ok(out);
            }
        }
    }

    fn number(&mut self) -> String {
        let digit = |c: char| c.is_ascii_digit();
        let mut out = self.take(digit);
        if self.peek(0) == Some('.') {
            self.next += 1;
            out.push('.');
            out.push_str(&self.take(digit));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let signed = matches!(self.peek(1), Some('+' | '-'));
            let first = self.peek(if signed { 2 } else { 1 });
            if first.is_some_and(|c| c.is_ascii_digit()) {
                let head = if signed { 2 } else { 1 };
                for _ in 0..head {
                    out.extend(self.peek(0));
                    self.next += 1;
                }
                out.push_str(&self.take(digit));
            }
        }
        out
    }

    fn sign(&mut self) -> Result<&'static str> {
        let here = [self.peek(0), self.peek(1)];
        let here: String = here.into_iter().flatten().collect();
        let Some((written, meant)) = SIGNS.iter().find(|(s, _)| here.starts_with(s)) else {
            let c = self.peek(0).unwrap_or_default();
            return Err(at(
                self.next + 1,
                text!("signe inattendu « {c} ».", "unexpected sign \"{c}\"."),
            ));
        };
        self.next += written.len();
        Ok(meant)
    }
}
