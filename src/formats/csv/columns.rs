//! What a CSV's columns hold: kinds inferred over all values, and the columns of coordinates.

use crate::{
    formats::types::{fold, nfc},
    model::{FieldKind, Value},
};

/// What one cell looks like. A column's looks are a set of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Look {
    Int = 1,
    /// A leading zero, a plus sign or too many digits: a code, not a quantity.
    Code = 2,
    Point = 4,
    Comma = 8,
    IsoDate = 16,
    FrenchDate = 32,
    Instant = 64,
    Bool = 128,
    Text = 256,
    /// Groups of three digits: `1 234`.
    Grouped = 512,
    /// The same with a decimal comma: `1 234,5`.
    GroupedComma = 1024,
}

/// How the cells of a column become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Reading {
    Text,
    Int,
    /// Decimal mark `.`.
    Point,
    /// Decimal mark `,`.
    Comma,
    /// Whole numbers in groups of three digits.
    Grouped,
    /// The same with a decimal comma.
    GroupedComma,
    IsoDate,
    FrenchDate,
    Instant,
    Bool,
    /// `0` and `1`, where the file says that they are no numbers.
    Bit,
}

impl Reading {
    /// The field's kind.
    pub(in crate::formats) fn kind(self) -> FieldKind {
        match self {
            Self::Text => FieldKind::Text,
            Self::Int | Self::Grouped => FieldKind::Int,
            Self::Point | Self::Comma | Self::GroupedComma => FieldKind::Float,
            Self::IsoDate | Self::FrenchDate => FieldKind::Date,
            Self::Instant => FieldKind::DateTime,
            Self::Bool | Self::Bit => FieldKind::Bool,
        }
    }

    /// A cell's value. An empty cell is null; text stays as it stands.
    pub(in crate::formats) fn value(self, cell: &str) -> Value {
        if cell.is_empty() {
            return Value::Null;
        }
        let trimmed = cell.trim();
        if self != Self::Text && trimmed.is_empty() {
            return Value::Null;
        }
        let value = match self {
            Self::Text => None,
            Self::Int => trimmed.parse().ok().map(Value::Int),
            Self::Point => number(trimmed, Some('.')).map(Value::Float),
            Self::Comma => number(trimmed, Some(',')).map(Value::Float),
            Self::Grouped => joined(trimmed).parse().ok().map(Value::Int),
            Self::GroupedComma => number(&joined(trimmed), Some(',')).map(Value::Float),
            Self::IsoDate => iso_date(trimmed).map(Value::Date),
            Self::FrenchDate => french_date(trimmed).map(Value::Date),
            Self::Instant => trimmed.parse().ok().map(Value::DateTime),
            Self::Bool => boolean(trimmed).map(Value::Bool),
            Self::Bit => (trimmed.len() == 1).then_some(Value::Bool(trimmed == "1")),
        };
        // The inference saw every cell, so the fallback is never met; were it, nothing is lost.
        value.unwrap_or_else(|| Value::Text(nfc(cell.to_owned())))
    }
}

/// The looks of one column's cells so far.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::formats) struct Looks {
    set: u16,
    /// Fewest and most digits of its numbers in groups.
    digits: Option<(u8, u8)>,
    /// Whether some cell is neither `0` nor `1`.
    beyond_bits: bool,
}

impl Looks {
    /// Looks at one more cell.
    pub(in crate::formats) fn see(&mut self, cell: &str) {
        // A column that holds text, or codes, is settled.
        if self.set & (Look::Text as u16 | Look::Code as u16) != 0 {
            return;
        }
        let cell = cell.trim();
        if cell.is_empty() {
            return;
        }
        let look = look(cell);
        self.set |= look as u16;
        self.beyond_bits |= !matches!(cell, "0" | "1");
        if matches!(look, Look::Grouped | Look::GroupedComma) {
            let whole = cell.split(',').next().unwrap_or_default();
            let count = whole.bytes().filter(u8::is_ascii_digit).count().min(255) as u8;
            let (least, most) = self.digits.unwrap_or((count, count));
            self.digits = Some((least.min(count), most.max(count)));
        }
    }

    /// Whether no cell held anything.
    pub(in crate::formats) fn is_empty(self) -> bool {
        self.set == 0
    }

    /// Whether all cells are `0` or `1`.
    pub(in crate::formats) fn are_bits(self) -> bool {
        self.set == Look::Int as u16 && !self.beyond_bits
    }

    /// Whether some cells are decimals with a comma.
    pub(super) fn has_comma(self) -> bool {
        self.set & Look::Comma as u16 != 0
    }

    /// How to read the column; `decimal`: the only mark allowed, when declared.
    pub(in crate::formats) fn reading(self, decimal: Option<char>) -> Reading {
        const INT: u16 = Look::Int as u16;
        const POINT: u16 = Look::Point as u16;
        const COMMA: u16 = Look::Comma as u16;
        const GROUPED: u16 = Look::Grouped as u16;
        const BOTH: u16 = GROUPED | Look::GroupedComma as u16;
        let set = self.set;
        // Numbers that all have as many digits are codes in groups: a SIREN, a telephone number.
        let varied = set & (INT | COMMA | Look::GroupedComma as u16) != 0
            || self.digits.is_some_and(|(least, most)| least != most);
        let within = |allowed: u16| set & !allowed == 0;
        match set {
            0 => Reading::Text,
            _ if within(INT) => Reading::Int,
            _ if within(INT | POINT) && decimal != Some(',') => Reading::Point,
            _ if within(INT | COMMA) && decimal != Some('.') => Reading::Comma,
            _ if varied && set & BOTH != 0 && within(INT | GROUPED) => Reading::Grouped,
            _ if varied
                && set & BOTH != 0
                && within(INT | COMMA | BOTH)
                && decimal != Some('.') =>
            {
                Reading::GroupedComma
            }
            _ if within(Look::IsoDate as u16) => Reading::IsoDate,
            _ if within(Look::FrenchDate as u16) => Reading::FrenchDate,
            _ if within(Look::Instant as u16) => Reading::Instant,
            _ if within(Look::Bool as u16) => Reading::Bool,
            _ => Reading::Text,
        }
    }
}

fn look(cell: &str) -> Look {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let quantity = digits == "0" || !digits.starts_with('0');
        let fits = cell.parse::<i64>().is_ok();
        return if quantity && fits && cell != "-0" { Look::Int } else { Look::Code };
    }
    if number(cell, Some('.')).is_some() {
        return Look::Point;
    }
    if number(cell, Some(',')).is_some() {
        return Look::Comma;
    }
    if let Some(look) = grouped(cell) {
        return look;
    }
    if iso_date(cell).is_some() {
        return Look::IsoDate;
    }
    if french_date(cell).is_some() {
        return Look::FrenchDate;
    }
    if boolean(cell).is_some() {
        return Look::Bool;
    }
    // Only with an offset is it an instant; without one nobody knows when it was.
    let instant = cell.len() >= 20
        && cell.as_bytes().get(10).is_some_and(|b| matches!(b, b'T' | b't' | b' '));
    if instant && cell.parse::<jiff::Timestamp>().is_ok() {
        return Look::Instant;
    }
    Look::Text
}

/// A decimal number with this mark (`None`: either). No thousands separators, no leading zeros;
/// an exponent only behind a mark (`2E10` is a code more often than a number).
pub(super) fn number(cell: &str, mark: Option<char>) -> Option<f64> {
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at)?, unsigned.get(at + 1..)),
        None => (unsigned, None),
    };
    let found = mantissa.find(['.', ',']);
    let (whole, fraction) = match found {
        Some(at) => (mantissa.get(..at)?, Some(mantissa.get(at + 1..)?)),
        None => (mantissa, None),
    };
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let used = found.and_then(|at| mantissa.get(at..)).and_then(|s| s.chars().next());
    let sound = all_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && (mark.is_none() || used.is_none() || used == mark)
        && exponent.is_none_or(|e| {
            fraction.is_some() && all_digits(e.strip_prefix(['+', '-']).unwrap_or(e))
        });
    if !sound {
        return None;
    }
    let value: f64 = if used == Some(',') {
        cell.replacen(',', ".", 1).parse().ok()?
    } else {
        cell.parse().ok()?
    };
    value.is_finite().then_some(value)
}

fn iso_date(cell: &str) -> Option<jiff::civil::Date> {
    let b = cell.as_bytes();
    // GDAL writes `2024/01/31` where a format has no dates.
    let mark = b.get(4).filter(|b| matches!(b, b'-' | b'/'));
    if b.len() != 10 || mark.is_none() || b.get(7) != mark {
        return None;
    }
    civil(cell.get(0..4)?, cell.get(5..7)?, cell.get(8..10)?)
}

/// `31/01/2024`, also `1/2/2024`, `31-01-2024` and `31.01.2024`.
fn french_date(cell: &str) -> Option<jiff::civil::Date> {
    if !(8..=10).contains(&cell.len()) {
        return None;
    }
    let mark = cell.chars().find(|c| !c.is_ascii_digit()).filter(|c| "/-.".contains(*c))?;
    let mut parts = cell.split(mark);
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let short = |part: &str| matches!(part.len(), 1 | 2);
    if parts.next().is_some() || !short(day) || !short(month) || year.len() != 4 {
        return None;
    }
    civil(year, month, day)
}

/// Spaces that stand between groups of digits.
const SPACES: [char; 3] = [' ', '\u{a0}', '\u{202f}'];

/// A number in groups of three digits without what is between them.
fn joined(cell: &str) -> String {
    cell.chars().filter(|c| !SPACES.contains(c)).collect()
}

/// `1 234 567` or `1 234,5`.
fn grouped(cell: &str) -> Option<Look> {
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = match unsigned.split_once(',') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let mut groups = whole.split(SPACES);
    let first = groups.next().filter(|g| digits(g) && g.len() <= 3 && !g.starts_with('0'))?;
    let mut rest = groups.peekable();
    rest.peek()?;
    if first.is_empty() || !rest.all(|g| digits(g) && g.len() == 3) || whole.len() > 30 {
        return None;
    }
    if fraction.is_some_and(|f| !digits(f)) {
        return None;
    }
    // More digits than an integer holds are a code.
    joined(whole).parse::<i64>().ok()?;
    Some(if fraction.is_some() { Look::GroupedComma } else { Look::Grouped })
}

fn civil(year: &str, month: &str, day: &str) -> Option<jiff::civil::Date> {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(year) || !digits(month) || !digits(day) {
        return None;
    }
    jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

fn boolean(cell: &str) -> Option<bool> {
    if cell.eq_ignore_ascii_case("true") {
        Some(true)
    } else if cell.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Whether a column's name says that it holds codes, which stay text even when all of them look
/// like numbers.
pub(in crate::formats) fn names_codes(name: &str) -> bool {
    let folded = fold(name);
    ["code", "insee", "siren", "siret", "postal"].iter().any(|w| folded.contains(w))
        || folded.split(' ').any(|w| matches!(w, "cp" | "cog" | "nic" | "rna" | "uai" | "finess"))
}

/// Words that name an easting or longitude, each with its northing or latitude; the surest first.
const AXES: [(&str, &str); 9] = [
    ("longitude", "latitude"),
    ("lon", "lat"),
    ("lng", "lat"),
    ("long", "lat"),
    ("x", "y"),
    ("coordx", "coordy"),
    ("xcoord", "ycoord"),
    ("coordonneex", "coordonneey"),
    ("easting", "northing"),
];

/// The columns of x and y among these names, if two belong together: their names are the same
/// but for the word that names the axis. With the number of such pairs found.
pub(in crate::formats) fn find_xy(names: &[String]) -> Option<((usize, usize), usize)> {
    let words: Vec<Vec<String>> = names.iter().map(|n| axis_words(n)).collect();
    let mut pairs: Vec<(usize, (usize, usize))> = Vec::new();
    for (rank, (x, y)) in AXES.iter().enumerate() {
        for (i, xs) in words.iter().enumerate() {
            let Some(rest) = without(xs, x) else { continue };
            let partner = words.iter().position(|ys| without(ys, y).as_ref() == Some(&rest));
            // `long` is also a length: it counts only beside a `lat`, which the pair ensures.
            if let Some(j) = partner.filter(|j| *j != i) {
                pairs.push((rest.len() * AXES.len() + rank, (i, j)));
            }
        }
    }
    let best = pairs.iter().min()?.1;
    let mut distinct: Vec<_> = pairs.iter().map(|p| p.1).collect();
    distinct.sort_unstable();
    distinct.dedup();
    Some((best, distinct.len()))
}

/// The words of a name, `X_L93` giving `x l93` and `xWGS84` giving `xwgs84`.
fn axis_words(name: &str) -> Vec<String> {
    let folded = fold(name);
    let words: Vec<String> = folded.split(' ').map(str::to_owned).collect();
    // Glued projections: `xl93`, `ywgs84`, `xlambert93`.
    match words.as_slice() {
        [one] if one.len() > 1 => {
            let (axis, rest) = one.split_at(usize::from(one.is_char_boundary(1)));
            let known = ["l93", "wgs84", "lambert93", "lambert", "l2e", "coord", "geo"];
            if matches!(axis, "x" | "y") && known.contains(&rest) {
                return vec![axis.to_owned(), rest.to_owned()];
            }
            words
        }
        _ => words,
    }
}

/// The words but one occurrence of `word`; `None` when it is not among them.
fn without(words: &[String], word: &str) -> Option<Vec<String>> {
    let at = words.iter().position(|w| w == word)?;
    let mut rest = words.to_vec();
    rest.remove(at);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading(cells: &[&str]) -> Reading {
        let mut looks = Looks::default();
        cells.iter().for_each(|c| looks.see(c));
        looks.reading(None)
    }

    #[test]
    fn columns_read_as_people_mean_them() {
        assert_eq!(reading(&["1", "", "-20"]), Reading::Int);
        assert_eq!(reading(&["1", "2,5"]), Reading::Comma);
        assert_eq!(reading(&["1", "2.5", "1.5E-3"]), Reading::Point);
        assert_eq!(reading(&["1.5", "2,5"]), Reading::Text);
        assert_eq!(reading(&["75056", "01001"]), Reading::Text);
        assert_eq!(reading(&["75056", "2A004"]), Reading::Text);
        assert_eq!(reading(&["2E10"]), Reading::Text);
        assert_eq!(reading(&["+33"]), Reading::Text);
        assert_eq!(reading(&["99999999999999999999"]), Reading::Text);
        assert_eq!(reading(&["2024-02-29"]), Reading::IsoDate);
        assert_eq!(reading(&["2023-02-29"]), Reading::Text);
        assert_eq!(reading(&["29/02/2024", ""]), Reading::FrenchDate);
        assert_eq!(reading(&["29/02/2024", "2024-02-29"]), Reading::Text);
        assert_eq!(reading(&["2024-02-29T10:00:00+01:00"]), Reading::Instant);
        assert_eq!(reading(&["2024-02-29 10:00:00"]), Reading::Text);
        assert_eq!(reading(&["true", "FALSE"]), Reading::Bool);
        assert_eq!(reading(&["oui", "non"]), Reading::Text);
        assert_eq!(reading(&["", ""]), Reading::Text);
        // One way of writing alone may be a code in groups.
        assert_eq!(reading(&["1 234"]), Reading::Text);
        assert_eq!(reading(&["552 100 554", "130 025 265"]), Reading::Text);
        assert_eq!(reading(&["1 234", "12"]), Reading::Grouped);
        assert_eq!(reading(&["1 234", "12 345"]), Reading::Grouped);
        assert_eq!(reading(&["1\u{202f}234,5", "0,5"]), Reading::GroupedComma);
        assert_eq!(reading(&["1 234,5"]), Reading::GroupedComma);
        assert_eq!(reading(&["12 34", "1"]), Reading::Text);
        assert_eq!(reading(&["1/2/2024", "31-01-2024"]), Reading::FrenchDate);
        assert_eq!(reading(&["NaN", "inf"]), Reading::Text);
    }

    #[test]
    fn values() {
        assert_eq!(Reading::Comma.value(" 46,5 "), Value::Float(46.5));
        assert_eq!(
            Reading::FrenchDate.value("01/02/2020"),
            Value::Date(jiff::civil::date(2020, 2, 1))
        );
        assert_eq!(Reading::Text.value(" "), Value::Text(" ".into()));
        assert_eq!(Reading::Int.value(" "), Value::Null);
        assert_eq!(Reading::Text.value(""), Value::Null);
        assert_eq!(Reading::Text.value("e\u{301}"), Value::Text("é".into()));
    }

    #[test]
    fn code_columns_by_name() {
        for name in ["code_insee", "INSEE_COM", "Code postal", "siret", "CP", "siren_epci"] {
            assert!(names_codes(name), "{name}");
        }
        for name in ["population", "pcpa", "surface", "année"] {
            assert!(!names_codes(name), "{name}");
        }
    }

    #[test]
    fn coordinate_columns_by_name() {
        let find = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            find_xy(&names).map(|(p, _)| p)
        };
        assert_eq!(find(&["X", "Y", "nom"]), Some((0, 1)));
        assert_eq!(find(&["latitude", "Longitude"]), Some((1, 0)));
        assert_eq!(find(&["EQUIP_LAT", "EQUIP_LONG"]), Some((1, 0)));
        assert_eq!(find(&["coord_x", "coord_y"]), Some((0, 1)));
        assert_eq!(find(&["Coordonnée X", "Coordonnée Y"]), Some((0, 1)));
        assert_eq!(find(&["xl93", "yl93"]), Some((0, 1)));
        assert_eq!(find(&["x", "y", "lon", "lat"]), Some((2, 3)));
        assert_eq!(find(&["x", "lat"]), None);
        assert_eq!(find(&["long", "nom"]), None);
        assert_eq!(find(&["lat_siege", "lon_depot"]), None);
        assert_eq!(find(&[]), None);
    }

    proptest! {
        #[test]
        fn inference_and_reading_agree(cells in prop::collection::vec("[0-9,.eE/ +-]{0,11}|true|[0-9]{2}/[0-9]{2}/20[0-9]{2}", 0..6)) {
            let mut looks = Looks::default();
            cells.iter().for_each(|c| looks.see(c));
            let reading = looks.reading(None);
            for c in &cells {
                let v = reading.value(c);
                if let Some(kind) = crate::formats::types::kind_of(&v) {
                    prop_assert_eq!(kind, reading.kind());
                }
            }
        }
    }
}
