//! The first pass over a CSV: names, kinds and coordinate columns, settled over all rows.

use super::{
    columns::{self, Looks, Reading},
    rows::{Cut, Row, Rows},
    shape::{self, Form, Seen},
};
use crate::{
    error::{Error, Result},
    formats::{refused, types},
    model::{CsvOptions, SourceDef, SourceLimits, Text},
    text,
};
use geo_types::Point;
use std::path::Path;

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

/// What makes a row's geometry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Nothing.
    None,
    /// Two columns.
    Axes(Axes),
    /// One column.
    Shape(usize, Form),
}

/// What the first pass finds.
pub(super) struct Survey {
    /// Names of the columns kept.
    pub(super) names: Vec<String>,
    pub(super) readings: Vec<Reading>,
    pub(super) place: Place,
    /// The EPSG code that stands before the first geometry.
    pub(super) srid: Option<u32>,
    /// Whether a geometry was seen.
    geometry_seen: bool,
    /// Rows, refused ones included.
    pub(super) count: u64,
    pub(super) notes: Vec<Text>,
    looks: Vec<Looks>,
    axes: Option<Axes>,
    /// What is said of the axes where they are followed, when they were found by their names.
    axes_found: Option<Text>,
    shapes: Vec<Column>,
    /// The header's cells; `names` stops at the last one that names a column.
    raw: Vec<String>,
    /// Whether a coordinate lies beyond ±360: no degrees.
    far: bool,
}

/// What a column shows of geometries.
struct Column {
    seen: Seen,
    /// The form of its first cell that has one.
    first: Option<Form>,
    /// Whether some cell could be read.
    readable: bool,
    pair: Option<bool>,
}

impl Survey {
    pub(super) fn of(
        rows: &mut Rows,
        path: &Path,
        header: bool,
        source: &SourceDef,
        limits: &SourceLimits,
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
        types::few_columns(first.len(), limits)?;
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
        survey.settle(source)?;
        Ok(survey)
    }

    fn start(first: &Row, header: bool, options: &CsvOptions) -> Result<Self> {
        let columns = first.len();
        let raw: Vec<String> = if header {
            first.cells().map(str::to_owned).collect()
        } else {
            (1..=columns).map(|i| format!("col_{i}")).collect()
        };
        let named = raw.iter().rposition(|n| !n.trim().is_empty()).map_or(columns, |i| i + 1);
        let (names, notes) = types::column_names(raw.iter().take(named).map(String::as_str));
        let (axes, axes_found) = axes(&names, options)?;
        let column = |name: &String| {
            let pair = shape::pair(name);
            Column { seen: Seen::Nothing, first: None, readable: false, pair }
        };
        let shapes = names.iter().map(column).collect();
        let mut survey = Self {
            looks: vec![Looks::default(); columns],
            raw,
            names,
            readings: Vec::new(),
            place: Place::None,
            srid: None,
            geometry_seen: false,
            axes,
            axes_found,
            shapes,
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
        let whole = |column: &Column| matches!(column.seen, Seen::Form(Form::Wkt | Form::GeoJson));
        // Rows that will be refused say nothing about the columns.
        let point = match self.axes.map(|axes| axes.point(row)) {
            Some(Err(_)) if self.axes_found.is_some() && self.shapes.iter().any(whole) => None,
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
        for (i, column) in self.shapes.iter_mut().enumerate() {
            let cell = row.cell(i);
            column.seen.see(cell, column.pair);
            if let Seen::Form(form) = column.seen {
                column.first.get_or_insert(form);
                // The first that can is enough.
                column.readable = column.readable
                    || !cell.trim().is_empty() && shape::read(cell.trim(), form).is_ok();
                if form == Form::Wkt && !self.geometry_seen && !cell.trim().is_empty() {
                    self.geometry_seen = true;
                    self.srid = crate::formats::wkt::code(cell);
                }
            }
        }
    }

    /// Once all rows are seen.
    fn settle(&mut self, source: &SourceDef) -> Result<()> {
        self.settle_unnamed();
        self.place = self.choose(&source.csv)?;
        let whole = matches!(self.place, Place::Shape(..));
        if !matches!(self.place, Place::Shape(_, Form::Wkt)) {
            self.srid = None;
        }
        self.read_columns(&source.csv);
        // Degrees are what no declaration means: say so when the numbers cannot be degrees.
        if self.far && source.crs.is_none() && !whole {
            self.notes.push(text!(
                "les coordonnées ne peuvent pas être des degrés : déclarer « crs » pour cette source",
                "the coordinates cannot be degrees: declare \"crs\" for this source"
            ));
        }
        Ok(())
    }

    /// What makes the geometry: what is declared, else a column of whole geometries, else two
    /// columns by their names, else a column of points.
    fn choose(&mut self, options: &CsvOptions) -> Result<Place> {
        if let Some(wanted) = &options.geometry {
            let at = named(&self.names, wanted)?;
            return Ok(match self.shapes.get(at).and_then(|column| column.first) {
                Some(form) => Place::Shape(at, form),
                None if self.looks.get(at).is_none_or(|looks| looks.is_empty()) => Place::None,
                None => {
                    return Err(refused(text!(
                        "la colonne « {wanted} » ne contient ni WKT, ni GeoJSON, ni couple de coordonnées",
                        "column \"{wanted}\" holds neither WKT, nor GeoJSON, nor a pair of coordinates"
                    )));
                }
            });
        }
        if let (Some(axes), None) = (self.axes, &self.axes_found) {
            return Ok(Place::Axes(axes));
        }
        // What nobody can read gives way to coordinates that stand beside it.
        let axes = self.axes.is_some();
        let find = |wanted: fn(Form) -> bool| {
            self.shapes.iter().enumerate().find_map(|(i, column)| match column.seen {
                Seen::Form(form) if wanted(form) && (column.readable || !axes) => Some((i, form)),
                _ => None,
            })
        };
        let whole = find(|form| !matches!(form, Form::Pair(_)));
        let shape = match (whole, self.axes) {
            (None, None) => find(|form| matches!(form, Form::Pair(_))),
            (whole, _) => whole,
        };
        if let Some((at, form)) = shape {
            let name = self.names.get(at).cloned().unwrap_or_default();
            let Text { fr, en } = shape::named(form);
            self.notes.push(text!(
                "géométrie dans « {name} » : {fr} (détecté)",
                "geometry in \"{name}\": {en} (detected)"
            ));
            return Ok(Place::Shape(at, form));
        }
        self.notes.extend(self.axes_found.take());
        if self.axes.is_none() {
            self.notes.push(text!(
                "aucune colonne de coordonnées reconnue : lignes sans géométrie",
                "no coordinate columns recognised: rows without geometry"
            ));
        }
        Ok(self.axes.map_or(Place::None, Place::Axes))
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
        let (mut commas, mut grouped) = (false, false);
        for (i, (name, looks)) in self.names.iter().zip(&self.looks).enumerate() {
            let mut reading = looks.reading(options.decimal);
            let axis = matches!(self.place, Place::Axes(a) if a.x == i || a.y == i);
            commas |= matches!(reading, Reading::Comma | Reading::GroupedComma)
                || axis && looks.has_comma();
            grouped |= matches!(reading, Reading::Grouped | Reading::GroupedComma);
            if options.text.iter().any(|t| t == name) {
                reading = Reading::Text;
            } else if matches!(reading, Reading::Int | Reading::Grouped)
                && columns::names_codes(name)
            {
                reading = Reading::Text;
                kept_text.push(name.as_str());
            }
            self.readings.push(reading);
        }
        if commas && options.decimal.is_none() {
            self.notes.push(text!("virgule décimale (détectée)", "decimal comma (detected)"));
        }
        if grouped {
            self.notes.push(text!(
                "milliers séparés par des espaces (détecté)",
                "thousands set apart by spaces (detected)"
            ));
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

/// The position of a column by its name.
fn named(names: &[String], wanted: &str) -> Result<usize> {
    let exact = names.iter().position(|n| n == wanted);
    let folded = || names.iter().position(|n| types::fold(n) == types::fold(wanted));
    exact.or_else(folded).ok_or_else(|| {
        let known = names.join(", ");
        refused(text!(
            "colonne de coordonnées « {wanted} » absente ; colonnes : {known}",
            "coordinate column \"{wanted}\" is missing; columns: {known}"
        ))
    })
}

/// The coordinate columns, declared, or found with what there is to say of them.
fn axes(names: &[String], options: &CsvOptions) -> Result<(Option<Axes>, Option<Text>)> {
    let decimal = options.decimal;
    if let Some(mark) = decimal.filter(|m| !matches!(m, '.' | ',')) {
        return Err(Error::Invalid(text!(
            "la marque décimale « {mark} » doit être « . » ou « , »",
            "the decimal mark \"{mark}\" must be \".\" or \",\""
        )));
    }
    match (&options.x, &options.y) {
        (Some(x), Some(y)) => {
            let (x, y) = (named(names, x)?, named(names, y)?);
            return Ok((Some(Axes { x, y, decimal }), None));
        }
        (None, None) => {}
        _ => {
            return Err(Error::Invalid(text!(
                "déclarer les deux colonnes de coordonnées, x et y",
                "declare both coordinate columns, x and y"
            )));
        }
    }
    let Some(((x, y), pairs)) = columns::find_xy(names) else {
        return Ok((None, None));
    };
    let (name_x, name_y) = (names.get(x).cloned(), names.get(y).cloned());
    let (name_x, name_y) = (name_x.unwrap_or_default(), name_y.unwrap_or_default());
    let note = if pairs > 1 {
        text!(
            "coordonnées dans « {name_x} » et « {name_y} » (détecté parmi {pairs} couples possibles)",
            "coordinates in \"{name_x}\" and \"{name_y}\" (detected among {pairs} possible pairs)"
        )
    } else {
        text!(
            "coordonnées dans « {name_x} » et « {name_y} » (détecté)",
            "coordinates in \"{name_x}\" and \"{name_y}\" (detected)"
        )
    };
    Ok((Some(Axes { x, y, decimal }), Some(note)))
}
