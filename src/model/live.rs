//! Live layers: tables owned elsewhere and published as they are. They have a revision instead of
//! a version, and remember where each revision touched them.

use super::{LayerId, Text, TileId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Zoom of the cells that revisions are kept by.
pub const CELL_ZOOM: u8 = 8;
/// Widest buffer of a tile, as a share of its side: cells that far away change it too.
const REACH: f64 = 0.25;

/// A table or view of the store's database, published as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSource {
    /// Its schema, as the database spells it.
    pub schema: String,
    /// Its name, the same.
    pub table: String,
    /// The geometry column; `None`: the only one, or the first.
    pub geometry: Option<String>,
    /// EPSG code where the column itself says none.
    pub srid: Option<u32>,
    /// The key column; `None`: the primary key, else a unique one.
    pub key: Option<String>,
    /// The columns shown; `None`: all.
    pub properties: Option<Vec<String>>,
    /// Served although it is large and every answer reads all of it.
    pub allow_slow: bool,
}

/// What the description of a live layer says beside that of a version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Live {
    /// Number of the revision.
    pub revision: u64,
    /// Whether the number of features is exact, or the database's estimate.
    pub exact: bool,
    /// Title from the table's comment.
    pub title: Option<String>,
    /// Description from the table's comment.
    pub description: Option<String>,
    /// What the comments of columns say of fields, by field: a title on the first line, and more.
    pub fields: BTreeMap<String, String>,
    /// What people should know: what it costs to serve, what was left out.
    pub notices: Vec<Text>,
    /// Names the table's form (columns, options): part of the names of all its tiles.
    pub form: String,
    /// Where the revisions touched it.
    #[serde(skip)]
    pub cells: Cells,
    /// The revision that the attachments were made from.
    pub attached: u64,
}

/// The last revision of each part of a live layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cells {
    /// The last revision that touched the whole layer.
    pub base: u64,
    /// Later ones, by column and row of the cells of zoom [`CELL_ZOOM`] that they touched.
    pub touched: BTreeMap<(u32, u32), u64>,
}

impl Cells {
    /// The last revision that may have changed a tile or what its buffer shows.
    pub fn of(&self, tile: TileId) -> u64 {
        if self.touched.is_empty() {
            return self.base;
        }
        let side = f64::from(CELL_ZOOM).exp2();
        let span = |low: f64, high: f64| {
            let (low, high) = (low * side, high * side);
            // Saturating casts; a tile that ends on a cell's edge shows nothing beyond it.
            low.floor().max(0.0) as u32..=((high.ceil() - 1.0).max(0.0) as u32).min(255)
        };
        let [west, north, east, south] = tile.on_mercator(REACH);
        let (columns, rows) = (span(west, east), span(north, south));
        let within = self.touched.range((*columns.start(), 0)..=(*columns.end(), u32::MAX));
        let last = within.filter(|((_, row), _)| rows.contains(row)).map(|(_, rev)| *rev).max();
        last.unwrap_or(0).max(self.base)
    }
}

impl Live {
    /// Title and description of a field, from its column's comment.
    pub fn field(&self, name: &str) -> Option<(&str, Option<&str>)> {
        let comment = self.fields.get(name)?.trim();
        let (title, rest) = comment.split_once('\n').unwrap_or((comment, ""));
        let rest = Some(rest.trim()).filter(|r| !r.is_empty());
        (!title.is_empty()).then_some((title.trim(), rest))
    }

    /// What of a territory's tiles the attachments do not know yet: the number of the revision
    /// they were made from when the tile has changed since, else nothing.
    pub fn behind(&self, last: u64) -> u64 {
        if self.attached < last { self.attached + 1 } else { 0 }
    }
}

/// The name of a reach index made from a revision.
pub fn reach_name(basis: &str, revision: u64) -> String {
    format!("{basis}r{revision}")
}

/// What a reach index of a live layer was made with, beside the rows.
pub fn reach_basis(name: &str) -> &str {
    name.split_once('r').map_or(name, |(basis, _)| basis)
}

/// A layer's id from a table's name: what is left of it in small letters; `None` when nothing is.
pub fn id_of_table(table: &str) -> Option<LayerId> {
    let mut id = String::new();
    for c in table.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => id.push(c),
            'à' | 'â' | 'ä' => id.push('a'),
            'é' | 'è' | 'ê' | 'ë' => id.push('e'),
            'î' | 'ï' => id.push('i'),
            'ô' | 'ö' => id.push('o'),
            'ù' | 'û' | 'ü' => id.push('u'),
            'ç' => id.push('c'),
            _ if !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    id.truncate(64);
    id.trim_matches(['-', '_']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_changes_the_tiles_over_its_cell_and_no_others() {
        let cells = Cells { base: 3, touched: BTreeMap::from([((130, 86), 7)]) };
        let of = |z, x, y| cells.of(TileId::new(z, x, y).unwrap());
        assert_eq!((of(0, 0, 0), of(8, 130, 86), of(10, 130 * 4, 86 * 4)), (7, 7, 7));
        // Next to it: within the buffer, then beyond.
        assert_eq!((of(8, 131, 86), of(8, 132, 86), of(8, 130, 90)), (7, 3, 3));
        assert_eq!((of(10, 130 * 4 + 4, 86 * 4), of(10, 130 * 4 + 5, 86 * 4)), (7, 3));
        assert_eq!((of(5, 16, 10), of(5, 20, 10)), (7, 3));
    }

    #[test]
    fn attachments_older_than_a_tile_have_a_name_of_their_own() {
        let live = Live { revision: 9, attached: 4, ..Live::default() };
        assert_eq!((live.behind(3), live.behind(4), live.behind(9)), (0, 0, 5));
        assert_eq!(reach_basis(&reach_name("a1b2", 12)), "a1b2");
    }

    #[test]
    fn tables_names_make_ids() {
        let id = |t: &str| id_of_table(t).map(|i| i.to_string());
        assert_eq!(id("Établissements Scolaires").as_deref(), Some("etablissements-scolaires"));
        assert_eq!(id("LINE_NUMB-SEG").as_deref(), Some("line_numb-seg"));
        assert_eq!(id("select \"x\"").as_deref(), Some("select-x"));
        assert_eq!(id("日本"), None);
    }
}
