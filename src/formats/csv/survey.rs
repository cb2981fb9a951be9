//! The first pass over a CSV: names, kinds and coordinate columns, settled over all rows.

use super::{
    columns::{self, Looks, Reading},
    rows::{Cut, Row, Rows},
};
use crate::{
    error::{Error, Result},
    formats::{refused, types},
    model::{CsvOptions, SourceDef, Text},
    text,
};
use geo_types::Point;
use std::path::Path;

/// Most columns a header may have; beyond, the separator was mistaken or the file is hostile.
const MAX_COLUMNS: usize = 4096;

/// Which columns make the point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axes {
    x: usize,
    y: usize,
    /// The declared decimal mark; `None`: either, as a single mark is never ambiguous.
    decimal: Option<char>,
}

impl Axes {
    /// The row's point; none when both cells are empty. The error is the column at fault.
    pub(super) fn point(self, row: &Row) -> Result<Option<Point<f64>>, usize> {
        let (x, y) = (row.cell(self.x).trim(), row.cell(self.y).trim());
        if x.is_empty() && y.is_empty() {
            return Ok(None);
        }
        let x = coordinate(x, self.decimal).ok_or(self.x)?;
        let y = coordinate(y, self.decimal).ok_or(self.y)?;
        Ok(Some(Point::new(x, y)))
    }
}

/// A coordinate; spreadsheets also write `5.0E-1`, `+5,2` and `048.5`.
pub(in crate::formats) fn coordinate(cell: &str, decimal: Option<char>) -> Option<f64> {
    let bare = cell.strip_prefix('+').unwrap_or(cell);
    let (sign, digits) = bare.strip_prefix('-').map_or(("", bare), |d| ("-", d));
    let mut digits = digits;
    while digits.len() > 1
        && digits.starts_with('0')
        && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
    {
        digits = digits.get(1..).unwrap_or_default();
    }
    columns::number(&format!("{sign}{digits}"), decimal)
}

/// What the first pass finds.
pub(super) struct Survey {
    /// Names of the columns kept.
    pub(super) names: Vec<String>,
    pub(super) readings: Vec<Reading>,
    pub(super) axes: Option<Axes>,
    /// Rows, refused ones included.
    pub(super) count: u64,
    pub(super) notes: Vec<Text>,
    looks: Vec<Looks>,
    /// The header's cells; `names` stops at the last one that names a column.
    raw: Vec<String>,
    /// Whether a coordinate lies beyond ±360: no degrees.
    far: bool,
}

impl Survey {
    pub(super) fn of(
        rows: &mut Rows,
        path: &Path,
        header: bool,
        source: &SourceDef,
    ) -> Result<Self> {
        let mut next = || rows.next().map_err(|e| Error::io(path, e));
        let first = loop {
            match next()? {
                Cut::Row(row) if row.is_blank() => {}
                Cut::Row(row) => break row,
                Cut::Broken { line, text, .. } => {
                    let Text { fr, en } = text;
                    return Err(refused(text!(
                        "en-tête illisible (ligne {line}) : {fr}",
                        "unreadable header (line {line}): {en}"
                    )));
                }
                Cut::Lost { line } => return Err(lost(line)),
                Cut::End => {
                    return Err(refused(text!("le fichier CSV est vide", "the CSV file is empty")));
                }
            }
        };
        let mut survey = Self::start(&first, header, &source.csv)?;
        loop {
            match next()? {
                Cut::Row(row) if row.is_blank() => {}
                Cut::Row(row) => survey.see(&row),
                Cut::Broken { .. } => survey.count += 1,
                Cut::Lost { line } => return Err(lost(line)),
                Cut::End => break,
            }
        }
        survey.notes.extend(rows.source().decoder.note());
        survey.settle(source);
        Ok(survey)
    }

    fn start(first: &Row, header: bool, options: &CsvOptions) -> Result<Self> {
        let columns = first.len();
        if columns > MAX_COLUMNS {
            return Err(refused(text!(
                "{columns} colonnes : plus que les {MAX_COLUMNS} admises",
                "{columns} columns: more than the {MAX_COLUMNS} allowed"
            )));
        }
        let raw: Vec<String> = if header {
            first.cells().map(str::to_owned).collect()
        } else {
            (1..=columns).map(|i| format!("col_{i}")).collect()
        };
        let named = raw.iter().rposition(|n| !n.trim().is_empty()).map_or(columns, |i| i + 1);
        let (names, mut notes) = types::column_names(raw.iter().take(named).map(String::as_str));
        let axes = axes(&names, options, &mut notes)?;
        let mut survey = Self {
            looks: vec![Looks::default(); columns],
            raw,
            names,
            readings: Vec::new(),
            axes,
            count: 0,
            notes,
            far: false,
        };
        if !header {
            survey.see(first);
        }
        Ok(survey)
    }

    fn see(&mut self, row: &Row) {
        self.count += 1;
        // Rows that will be refused say nothing about the columns.
        let point = match self.axes.map(|axes| axes.point(row)) {
            Some(Err(_)) => return,
            Some(Ok(point)) => point,
            None => None,
        };
        if row.len() < self.names.len() {
            return;
        }
        self.far |= point.is_some_and(|p| p.x().abs() > 360.0 || p.y().abs() > 360.0);
        for (i, looks) in self.looks.iter_mut().enumerate() {
            looks.see(row.cell(i));
        }
    }

    /// Once all rows are seen.
    fn settle(&mut self, source: &SourceDef) {
        self.settle_unnamed();
        self.read_columns(&source.csv);
        // Degrees are what no declaration means: say so when the numbers cannot be degrees.
        if self.far && source.crs.is_none() {
            self.notes.push(text!(
                "les coordonnées ne peuvent pas être des degrés : déclarer « crs » pour cette source",
                "the coordinates cannot be degrees: declare \"crs\" for this source"
            ));
        }
    }

    /// Columns behind the last named one: when they hold nothing they come from separators at
    /// line ends, else they get names.
    fn settle_unnamed(&mut self) {
        let named = self.names.len();
        let unnamed = self.looks.get(named..).unwrap_or_default();
        if unnamed.iter().any(|l| !l.is_empty()) {
            let (names, notes) = types::column_names(self.raw.iter().map(String::as_str));
            let (_, known) = types::column_names(self.raw.iter().take(named).map(String::as_str));
            self.notes.extend(notes.into_iter().skip(known.len()));
            self.names = names;
        } else if !unnamed.is_empty() {
            let dropped = unnamed.len();
            self.looks.truncate(named);
            self.notes.push(text!(
                "colonnes sans nom ni valeur en fin de ligne, ignorées : {dropped}",
                "columns without name or value at line ends, ignored: {dropped}"
            ));
        }
    }

    fn read_columns(&mut self, options: &CsvOptions) {
        let mut kept_text = Vec::new();
        let mut commas = false;
        for (i, (name, looks)) in self.names.iter().zip(&self.looks).enumerate() {
            let mut reading = looks.reading(options.decimal);
            let axis = self.axes.is_some_and(|a| a.x == i || a.y == i);
            commas |= reading == Reading::Comma || axis && looks.has_comma();
            if options.text.iter().any(|t| t == name) {
                reading = Reading::Text;
            } else if reading == Reading::Int && columns::names_codes(name) {
                reading = Reading::Text;
                kept_text.push(name.as_str());
            }
            self.readings.push(reading);
        }
        if commas && options.decimal.is_none() {
            self.notes.push(text!("virgule décimale (détectée)", "decimal comma (detected)"));
        }
        if !kept_text.is_empty() {
            let names = kept_text.join(", ");
            self.notes.push(text!(
                "codes gardés comme texte bien que tous numériques : {names}",
                "codes kept as text though all numeric: {names}"
            ));
        }
    }
}

fn lost(line: u64) -> Error {
    refused(text!(
        "trop de guillemets jamais refermés (ligne {line}) : ce n'est pas un CSV lisible",
        "too many quotes never closed (line {line}): not a readable CSV"
    ))
}

/// The coordinate columns, declared or found.
fn axes(names: &[String], options: &CsvOptions, notes: &mut Vec<Text>) -> Result<Option<Axes>> {
    let decimal = options.decimal;
    if let Some(mark) = decimal.filter(|m| !matches!(m, '.' | ',')) {
        return Err(Error::Invalid(text!(
            "la marque décimale « {mark} » doit être « . » ou « , »",
            "the decimal mark \"{mark}\" must be \".\" or \",\""
        )));
    }
    let named = |wanted: &str| {
        let exact = names.iter().position(|n| n == wanted);
        let folded = || names.iter().position(|n| types::fold(n) == types::fold(wanted));
        exact.or_else(folded).ok_or_else(|| {
            let known = names.join(", ");
            refused(text!(
                "colonne de coordonnées « {wanted} » absente ; colonnes : {known}",
                "coordinate column \"{wanted}\" is missing; columns: {known}"
            ))
        })
    };
    match (&options.x, &options.y) {
        (Some(x), Some(y)) => return Ok(Some(Axes { x: named(x)?, y: named(y)?, decimal })),
        (None, None) => {}
        _ => {
            return Err(Error::Invalid(text!(
                "déclarer les deux colonnes de coordonnées, x et y",
                "declare both coordinate columns, x and y"
            )));
        }
    }
    let Some(((x, y), pairs)) = columns::find_xy(names) else {
        notes.push(text!(
            "aucune colonne de coordonnées reconnue : lignes sans géométrie",
            "no coordinate columns recognised: rows without geometry"
        ));
        return Ok(None);
    };
    let (name_x, name_y) = (names.get(x).cloned(), names.get(y).cloned());
    let (name_x, name_y) = (name_x.unwrap_or_default(), name_y.unwrap_or_default());
    notes.push(if pairs > 1 {
        text!(
            "coordonnées dans « {name_x} » et « {name_y} » (détecté parmi {pairs} couples possibles)",
            "coordinates in \"{name_x}\" and \"{name_y}\" (detected among {pairs} possible pairs)"
        )
    } else {
        text!(
            "coordonnées dans « {name_x} » et « {name_y} » (détecté)",
            "coordinates in \"{name_x}\" and \"{name_y}\" (detected)"
        )
    });
    Ok(Some(Axes { x, y, decimal }))
}
