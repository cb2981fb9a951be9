//! `[territory]` of a layer file: how its features are bound to territories.

use super::{
    document::{clip, hint},
    table::Table,
};
use crate::{
    model::{Level, TerritoryBinding, TerritoryGeometry, Text, layer::CodeColumn},
    text,
};

pub(super) const KEYS: &[&str] = &[
    "level",
    "column",
    "columns",
    "by_location",
    "borders",
    "borders_where",
    "vintage",
    "nearest",
    "geometry",
];
/// Those of a published table, whose geometry is what the database holds.
pub(super) const TABLE_KEYS: &[&str] = &[
    "level",
    "column",
    "columns",
    "by_location",
    "borders",
    "borders_where",
    "vintage",
    "nearest",
];

/// The levels a code or a border can be of: all but `fr`, which is the whole.
const LEVELS: &[(&str, Level)] = &[
    ("com", Level::Com),
    ("epci", Level::Epci),
    ("ept", Level::Ept),
    ("arr", Level::Arr),
    ("dep", Level::Dep),
    ("reg", Level::Reg),
    ("arm", Level::Arm),
    ("comd", Level::Comd),
    ("coma", Level::Coma),
    ("canton", Level::Canton),
    ("qpv", Level::Qpv),
];

/// What holds without a `[territory]` table: attachment by location.
pub(super) fn by_default() -> TerritoryBinding {
    TerritoryBinding { by_location: true, ..TerritoryBinding::default() }
}

/// Reads the table.
pub(super) fn read(table: &Table<'_>) -> TerritoryBinding {
    let mut columns: Vec<CodeColumn> = Vec::new();
    let single = table.has("level") || table.has("column");
    if single {
        columns.extend(column(table));
    }
    for inner in table.tables("columns", &["level", "column"]) {
        if single {
            let what = text!(
                "« level » et « column » sont déjà donnés : l'un ou l'autre",
                "\"level\" and \"column\" are given: either"
            );
            table.report("columns", what);
            break;
        }
        columns.extend(column(&inner));
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = columns.iter().find(|c| !seen.insert((c.level, c.column.clone()))) {
        let name = clip(&twice.column);
        table.report(
            "columns",
            text!("la colonne « {name} » est donnée deux fois", "column \"{name}\" is given twice"),
        );
    }
    let borders = table.parsed("borders", level);
    if table.has("borders_where") && !table.has("borders") {
        let what = text!("ne sert qu'avec « borders »", "only serves with \"borders\"");
        table.report("borders_where", what);
    }
    let geometry = table.parsed("geometry", geometry).unwrap_or_default();
    if !geometry.is_none() && columns.is_empty() {
        let what = text!(
            "il faut une colonne de codes : « level » et « column »",
            "a column of codes is needed: \"level\" and \"column\""
        );
        table.report("geometry", what);
    }
    if let Some(column) = columns.iter().find(|c| Some(c.level) == borders && !geometry.is_none()) {
        let level = column.level;
        let what = text!(
            "cette couche dessine elle-même le niveau « {level} »",
            "this layer itself draws the level \"{level}\""
        );
        table.report("geometry", what);
    }
    TerritoryBinding {
        columns,
        geometry,
        by_location: table.boolean("by_location").unwrap_or(true),
        borders,
        vintage: table.integer("vintage", 1943..=2100).and_then(|year| u16::try_from(year).ok()),
        nearest_m: table.integer("nearest", 1..=100_000).and_then(|m| u32::try_from(m).ok()),
        borders_where: borders_where(table),
    }
}

fn column(table: &Table<'_>) -> Option<CodeColumn> {
    for key in ["level", "column"] {
        if !table.has(key) {
            table.missing(key);
        }
    }
    let level = table.parsed("level", level);
    let column = table.string("column");
    Some(CodeColumn { level: level?, column: column? })
}

fn geometry(words: &str) -> Result<TerritoryGeometry, Text> {
    match words {
        "none" => Ok(TerritoryGeometry::None),
        "territory" => Ok(TerritoryGeometry::Territory),
        "centroid" => Ok(TerritoryGeometry::Centroid),
        _ => {
            let words = clip(words);
            let Text { fr, en } = hint(&words, &["territory", "centroid", "none"]);
            Err(text!(
                "géométrie inconnue « {words} » ; {fr}",
                "unknown geometry \"{words}\"; {en}"
            ))
        }
    }
}

fn borders_where(table: &Table<'_>) -> Option<(String, String)> {
    let inner = table.table("borders_where", &["column", "value"])?;
    for key in ["column", "value"] {
        if !inner.has(key) {
            inner.missing(key);
        }
    }
    Some((inner.string("column")?, inner.free_text("value")?))
}

fn level(words: &str) -> Result<Level, Text> {
    let own = Level::every().into_iter().filter(|level| matches!(level, Level::Own(_)));
    let own: Vec<(&str, Level)> = own.map(|level| (level.id(), level)).collect();
    let known = LEVELS.iter().chain(&own).find(|(name, _)| *name == words);
    known.map(|(_, level)| *level).ok_or_else(|| {
        let names: Vec<&str> = LEVELS.iter().chain(&own).map(|(n, _)| *n).collect();
        let (words, list) = (clip(words), names.join(", "));
        let Text { fr, en } = hint(&words, &names);
        // The whole list is short: it is always given, beside the guess.
        if fr.contains(&list) {
            return text!("niveau inconnu « {words} » ; {fr}", "unknown level \"{words}\"; {en}");
        }
        text!(
            "niveau inconnu « {words} » ; {fr} (possibles : {list})",
            "unknown level \"{words}\"; {en} (possible: {list})"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_named_as_everywhere_else() {
        for (name, level) in LEVELS {
            assert_eq!(serde_json::to_value(level).unwrap(), serde_json::json!(name));
        }
        let unknown = level("commune").unwrap_err();
        assert!(unknown.en.contains("com, epci, ept"), "{unknown:?}");
        assert!(level("epcii").unwrap_err().en.contains("did you mean \"epci\"?"));
        assert!(level("fr").is_err());
    }
}
