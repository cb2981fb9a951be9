//! Finds out how a CSV is written from its first rows: separator and header.

use super::{columns, rows};
use crate::{
    error::{Error, Result},
    formats::types::column_names,
    model::{CsvOptions, Text},
    text,
};

/// Rows looked at.
const SAMPLE: usize = 200;

/// Separators tried, the most usual in France first.
const SEPARATORS: [u8; 4] = [b';', b',', b'\t', b'|'];

/// How a CSV is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    pub(super) header: bool,
}

/// The dialect of a text whose start is `head` (`whole`: that is all of it), and what to say of it.
pub(super) fn detect(
    head: &str,
    whole: bool,
    options: &CsvOptions,
) -> Result<(Dialect, Vec<Text>)> {
    let mut notes = Vec::new();
    let separator = match options.separator {
        Some(c) => declared_separator(c)?,
        None => {
            let (found, columns) = separator(head, whole);
            let name = name_of(found);
            if columns > 1 {
                notes.push(text!("séparateur {name} (détecté)", "separator {name} (detected)"));
            } else {
                notes.push(text!(
                    "aucun séparateur reconnu : une seule colonne",
                    "no separator recognised: a single column"
                ));
            }
            found
        }
    };
    let rows = rows::sample(head, separator, whole, SAMPLE);
    let header = options.header.unwrap_or_else(|| {
        let header = has_header(&rows);
        if !header {
            notes.push(text!(
                "pas de ligne d'en-tête (détecté) : colonnes nommées col_1, col_2…",
                "no header row (detected): columns are named col_1, col_2…"
            ));
        }
        header
    });
    Ok((Dialect { separator, header }, notes))
}

fn declared_separator(c: char) -> Result<u8> {
    let byte = u8::try_from(c).ok().filter(|b| b.is_ascii() && !matches!(b, b'"' | b'\n' | b'\r'));
    byte.ok_or_else(|| {
        Error::Invalid(text!(
            "le séparateur CSV « {c} » doit être un caractère ASCII autre que le guillemet",
            "the CSV separator \"{c}\" must be an ASCII character other than the quote"
        ))
    })
}

fn name_of(separator: u8) -> String {
    match separator {
        b'\t' => "tabulation".to_owned(),
        b => format!("« {} »", char::from(b)),
    }
}

/// The separator that cuts most rows into as many cells as the first one, and how many cells.
pub(super) fn separator(head: &str, whole: bool) -> (u8, usize) {
    let mut best = (0, 1, SEPARATORS[0]);
    for separator in SEPARATORS {
        let rows = rows::sample(head, separator, whole, SAMPLE);
        let Some(columns) = rows.first().map(rows::Row::len) else { continue };
        if columns < 2 {
            continue;
        }
        let alike = rows.iter().filter(|r| r.len() == columns).count();
        let share = alike * 100 / rows.len().max(1);
        // Within two hundredths, the separator that gives more columns is the one meant.
        let score = (share / 2, columns, separator);
        if (score.0, score.1) > (best.0, best.1) {
            best = score;
        }
    }
    (best.2, best.1)
}

/// Whether the first row names the columns rather than being data.
fn has_header(rows: &[rows::Row]) -> bool {
    let Some((first, rest)) = rows.split_first() else { return true };
    // Codes with leading zeros are data as much as numbers are.
    let numeric = |cell: &str| {
        let cell = cell.trim();
        let digits = !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit());
        digits || columns::number(cell, None).is_some()
    };
    if !first.cells().any(numeric) {
        return true;
    }
    let (names, _) = column_names(first.cells());
    if columns::find_xy(&names).is_some() {
        return true;
    }
    // Years as names: some column has a word on top of nothing but numbers.
    (0..first.len()).any(|i| {
        let below = || rest.iter().map(|r| r.cell(i)).filter(|c| !c.trim().is_empty());
        !first.cell(i).trim().is_empty()
            && !numeric(first.cell(i))
            && below().next().is_some()
            && below().all(numeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (char, bool) {
        let (d, _) = detect(text, true, &CsvOptions::default()).unwrap();
        (char::from(d.separator), d.header)
    }

    #[test]
    fn separators() {
        assert_eq!(of("a;b\n1,5;2,5\n2,5;3,5\n"), (';', true));
        assert_eq!(of("a,b,c\n1,x;y,3\n"), (',', true));
        assert_eq!(of("a\tb\n1\t2\n"), ('\t', true));
        assert_eq!(of("a|b\n1|2,2\n"), ('|', true));
        assert_eq!(of("nom;adresse\n\"A\";\"1, rue, x\ny\"\nB;z\n"), (';', true));
        assert_eq!(of("seul\nx\n").0, ';');
        assert_eq!(of(""), (';', true));
    }

    #[test]
    fn headers() {
        assert!(!of("1;2,5\n3;4,5\n").1);
        assert!(!of("01001;Abergement;4.9;46.1\n01002;Abergement;5.4;46.0\n").1);
        assert!(of("code;2015;2016\n01001;3;4\n").1);
        assert!(of("nom;lon;lat;2020\nA;1;2;x\n").1);
    }

    #[test]
    fn a_separator_must_be_one_byte() {
        let options = CsvOptions { separator: Some('€'), ..CsvOptions::default() };
        assert!(detect("a", true, &options).is_err());
    }
}
