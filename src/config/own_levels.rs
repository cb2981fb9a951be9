//! `[[levels]]`: levels that the operator adds, each from a layer of polygons or from a table of
//! member communes.

use super::{
    Document,
    document::{clip, hint},
    files, relative,
    server::bilingual,
    table::Table,
};
use crate::{
    model::{
        LayerDef, LayerId, Level, LevelDef, LevelSource, LevelTable, LevelWords, Text,
        layer::CodeColumn,
    },
    text,
};
use std::path::Path;

pub(super) const KEYS: &[&str] = &[
    "id",
    "title",
    "title_en",
    "title_plural",
    "title_plural_en",
    "layer",
    "members",
    "commune",
    "code",
    "name",
];

/// A level, with the columns of its layer and the line that names it.
pub(super) struct Read {
    pub(super) def: LevelDef,
    code: String,
    name: Option<String>,
    line: usize,
}

/// Reads all of them, and makes them known: layer files may name them.
pub(super) fn read(tables: &[Table<'_>], base: &Path) -> Vec<Read> {
    let mut levels: Vec<Read> = Vec::new();
    for table in tables {
        let Some(read) = one(table, base) else { continue };
        if levels.iter().any(|other| other.def.level == read.def.level) {
            let id = read.def.level;
            table.report(
                "id",
                text!("le niveau « {id} » est déjà défini", "level \"{id}\" is already defined"),
            );
            continue;
        }
        levels.push(read);
    }
    levels
}

fn one(table: &Table<'_>, base: &Path) -> Option<Read> {
    for key in ["id", "title", "code"] {
        if !table.has(key) {
            table.missing(key);
        }
    }
    let title = bilingual(table, "title", "title_en", Text::default());
    let plural = bilingual(table, "title_plural", "title_plural_en", title.clone());
    let source = source(table, base);
    let communal = matches!(source, Some(LevelSource::Table(_)));
    let level = table.parsed("id", |id| {
        let words = LevelWords { id: id.to_owned(), title, plural, communal };
        Level::add(words).ok_or_else(|| refused(id))
    });
    let (code, name) = (table.string("code"), table.string("name"));
    let line = table.line_of("layer");
    Some(Read { def: LevelDef { level: level?, source: source? }, code: code?, name, line })
}

fn refused(id: &str) -> Text {
    let (id, taken) = (clip(id), Level::ALL.map(Level::id));
    if taken.contains(&id.as_str()) {
        let list = taken.join(", ");
        return text!(
            "« {id} » est un niveau que Socle connaît déjà ({list})",
            "\"{id}\" is a level that Socle knows already ({list})"
        );
    }
    text!(
        "« {id} » n'est pas un identifiant de niveau : 1 à 16 lettres de a à z, ni « within » ni « clip »",
        "\"{id}\" is not the id of a level: 1 to 16 letters from a to z, neither \"within\" nor \"clip\""
    )
}

fn source(table: &Table<'_>, base: &Path) -> Option<LevelSource> {
    match (table.has("layer"), table.has("members")) {
        (true, true) => {
            let what =
                text!("« layer » est déjà donné : l'un ou l'autre", "\"layer\" is given: either");
            table.report("members", what);
            None
        }
        (false, false) => {
            table.missing("layer");
            None
        }
        (true, false) => {
            if table.has("commune") {
                let what = text!("ne sert qu'avec « members »", "only serves with \"members\"");
                table.report("commune", what);
            }
            table.parsed("layer", super::layer::layer_id).map(LevelSource::Layer)
        }
        (false, true) => members(table, base).map(LevelSource::Table),
    }
}

fn members(table: &Table<'_>, base: &Path) -> Option<LevelTable> {
    let path = relative(table, "members", base)?;
    match files::read_any(&path) {
        Ok(text) => Some(LevelTable {
            file: files::shown(&path),
            text: text.into(),
            commune: table.string("commune"),
            code: table.string("code")?,
            name: table.string("name"),
        }),
        Err(why) => {
            table.report("members", why);
            None
        }
    }
}

/// Has the layers that levels name draw them.
pub(super) fn bind(layers: &mut [LayerDef], levels: &[Read], doc: &Document) {
    for Read { def, code, name, line } in levels {
        let LevelSource::Layer(id) = &def.source else { continue };
        let level = def.level;
        let known: Vec<String> = layers.iter().map(|def| def.id.to_string()).collect();
        let Some(layer) = layers.iter_mut().find(|def| def.id == *id) else {
            doc.report(*line, unknown(id, &known));
            continue;
        };
        if let Some(other) = layer.territory.borders.filter(|other| *other != level) {
            doc.report(
                *line,
                text!(
                    "« layer » : la couche « {id} » porte déjà les limites du niveau « {other} »",
                    "\"layer\": layer \"{id}\" has the borders of level \"{other}\" already"
                ),
            );
            continue;
        }
        layer.territory.borders = Some(level);
        let column = CodeColumn { level, column: code.clone() };
        if !layer.territory.columns.contains(&column) {
            layer.territory.columns.push(column);
        }
        if layer.label.is_none() {
            layer.label.clone_from(name);
        }
    }
}

fn unknown(id: &LayerId, known: &[String]) -> Text {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let Text { fr, en } = hint(id.as_str(), &known);
    text!("« layer » : couche inconnue « {id} » ; {fr}", "\"layer\": unknown layer \"{id}\"; {en}")
}
