//! The GeoPackage R-tree extension, its nodes packed in one pass: SQLite's own insertion costs
//! more than all the rest of a load. The node format is that of SQLite's R*Tree module
//! (<https://www.sqlite.org/rtree.html>, §"Shadow tables"); SQLite's `rtreecheck()` judges it in
//! the tests.

use super::form::quoted;
use crate::error::{Error, Result};
use rusqlite::{Connection, params};

/// Cells per node that SQLite chooses for two dimensions (capped at 51 whatever the page size).
const CELLS: usize = 51;
/// Bytes of a cell: id and four 32-bit floats.
const CELL: usize = 24;
/// Bytes of a node.
const NODE: usize = 4 + CELLS * CELL;

fn sql(e: rusqlite::Error) -> Error {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::disk_full(),
        _ => Error::fault("GeoPackage R-tree", e),
    }
}

/// A cell: what it points to (row or node) and its box, rounded outward to 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    id: i64,
    min_x: f32,
    max_x: f32,
    min_y: f32,
    max_y: f32,
}

/// Names of the table to be indexed.
#[derive(Debug, Clone, Copy)]
pub struct Indexed<'a> {
    /// The table.
    pub table: &'a str,
    /// Its geometry column.
    pub geom: &'a str,
    /// Its row number's column.
    pub fid: &'a str,
}

/// Creates the index over the given boxes, and the triggers the extension demands.
///
/// # Errors
/// A full disk, or SQLite's.
pub fn create(db: &Connection, d: Indexed<'_>, cells: Vec<Cell>) -> Result<()> {
    let name = format!("rtree_{}_{}", d.table, d.geom);
    let create =
        format!("CREATE VIRTUAL TABLE {} USING rtree(id, minx, maxx, miny, maxy)", quoted(&name));
    db.execute_batch(&create).map_err(sql)?;
    db.execute(
        "INSERT INTO gpkg_extensions VALUES (?,?,'gpkg_rtree_index',
         'http://www.geopackage.org/spec120/#extension_rtree','write-only')",
        params![d.table, d.geom],
    )
    .map_err(sql)?;
    pack(db, &name, cells)?;
    triggers(db, d, &name)
}

fn pack(db: &Connection, name: &str, mut cells: Vec<Cell>) -> Result<()> {
    if cells.is_empty() {
        return Ok(()); // the module made the empty root itself
    }
    let table = |suffix: &str| quoted(&format!("{name}_{suffix}"));
    let prepare = |sql_text: String| db.prepare(&sql_text).map_err(sql);
    let mut node = prepare(format!("INSERT OR REPLACE INTO {} VALUES (?,?)", table("node")))?;
    let mut parent = prepare(format!("INSERT INTO {} VALUES (?,?)", table("parent")))?;
    let mut rowid = prepare(format!("INSERT INTO {} VALUES (?,?)", table("rowid")))?;
    let mut next_node = 2i64;
    let mut depth = 0u16;
    // The node of each row, by its number: rows have numbers without gaps, and are noted in the order
    // of these, each page of the table written once.
    let highest = cells.iter().map(|cell| cell.id).max().unwrap_or_default();
    let mut nodes = vec![0u32; usize::try_from(highest).unwrap_or_default() + 1];
    let mut children = |cells: &[Cell], number: i64, depth: u16| -> Result<()> {
        for cell in cells {
            if depth > 0 {
                parent.execute(params![cell.id, number]).map_err(sql)?;
            } else if let Some(node) = nodes.get_mut(cell.id as usize) {
                *node = number as u32;
            }
        }
        Ok(())
    };
    loop {
        // The root is always node 1 and bears the tree's depth.
        if cells.len() <= CELLS {
            node.execute(params![1, encode(depth, &cells)]).map_err(sql)?;
            children(&cells, 1, depth)?;
            break;
        }
        let mut above = Vec::with_capacity(cells.len() / CELLS + 1);
        for group in tiles_of(&mut cells) {
            let number = next_node;
            next_node += 1;
            node.execute(params![number, encode(0, group)]).map_err(sql)?;
            children(group, number, depth)?;
            above.push(union(number, group));
        }
        cells = above;
        depth += 1;
    }
    for (id, node) in (0i64..).zip(nodes).filter(|(_, node)| *node > 0) {
        rowid.execute(params![id, node]).map_err(sql)?;
    }
    Ok(())
}

/// Sort-tile-recursive grouping: slices by x, then nodes by y. Nodes are filled evenly, so that
/// none falls under the module's minimum of a third.
fn tiles_of(cells: &mut [Cell]) -> Vec<&[Cell]> {
    let nodes = cells.len().div_ceil(CELLS);
    let slices = (nodes as f64).sqrt().ceil() as usize;
    let per_slice = cells.len().div_ceil(slices);
    cells.sort_by(|a, b| (a.min_x + a.max_x).total_cmp(&(b.min_x + b.max_x)));
    let mut groups = Vec::with_capacity(nodes + slices);
    for slice in cells.chunks_mut(per_slice) {
        slice.sort_by(|a, b| (a.min_y + a.max_y).total_cmp(&(b.min_y + b.max_y)));
        let count = slice.len().div_ceil(CELLS);
        let per_node = slice.len().div_ceil(count);
        groups.extend(slice.chunks(per_node));
    }
    groups
}

fn union(id: i64, cells: &[Cell]) -> Cell {
    let start = Cell {
        id,
        min_x: f32::INFINITY,
        max_x: f32::NEG_INFINITY,
        min_y: f32::INFINITY,
        max_y: f32::NEG_INFINITY,
    };
    cells.iter().fold(start, |u, c| Cell {
        id,
        min_x: u.min_x.min(c.min_x),
        max_x: u.max_x.max(c.max_x),
        min_y: u.min_y.min(c.min_y),
        max_y: u.max_y.max(c.max_y),
    })
}

impl Cell {
    /// The cell of a row; `b`: min x, max x, min y, max y.
    pub fn new(id: i64, b: [f64; 4]) -> Self {
        let down = |v: f64| {
            let f = v as f32;
            if f64::from(f) > v { f.next_down() } else { f }
        };
        let up = |v: f64| {
            let f = v as f32;
            if f64::from(f) < v { f.next_up() } else { f }
        };
        Self { id, min_x: down(b[0]), max_x: up(b[1]), min_y: down(b[2]), max_y: up(b[3]) }
    }
}

fn encode(depth: u16, cells: &[Cell]) -> Vec<u8> {
    let mut out = Vec::with_capacity(NODE);
    out.extend_from_slice(&depth.to_be_bytes());
    out.extend_from_slice(&(cells.len() as u16).to_be_bytes());
    for c in cells {
        out.extend_from_slice(&c.id.to_be_bytes());
        for v in [c.min_x, c.max_x, c.min_y, c.max_y] {
            out.extend_from_slice(&v.to_be_bytes());
        }
    }
    out.resize(NODE, 0);
    out
}

/// The triggers of the R-tree extension (OGC 12-128r18, F.3), for whoever copies the file and
/// edits the copy.
fn triggers(db: &Connection, d: Indexed<'_>, name: &str) -> Result<()> {
    let text = include_str!("rtree_triggers.sql")
        .replace("{name}", &quoted(name))
        .replace("{t}", &quoted(d.table))
        .replace("{c}", &quoted(d.geom))
        .replace("{i}", &quoted(d.fid));
    let trigger = |suffix: &str| quoted(&format!("{name}_{suffix}"));
    let mut text = text;
    for suffix in ["insert", "update1", "update2", "update3", "update4", "delete"] {
        text = text.replace(&format!("{{trigger:{suffix}}}"), &trigger(suffix));
    }
    db.execute_batch(&text).map_err(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row and box.
    type RowBox = (i64, [f64; 4]);

    /// A table's index over `count` scattered boxes, as a load makes it.
    fn indexed(count: i64) -> (Connection, Vec<RowBox>) {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE gpkg_extensions (t, c, e, d, s); CREATE TABLE \"a-b\" (fid, geom);",
        )
        .unwrap();
        // Scattered without chance: multiples of the golden ratio.
        let at = |i: i64, k: f64| (i as f64 * k).fract() * 20.0;
        let boxes: Vec<RowBox> = (1..=count)
            .map(|i| {
                let (x, y) = (at(i, 0.618_033_988_7), at(i, 0.754_877_666_2));
                (i, [x, x + 0.3, y, y + 0.2])
            })
            .collect();
        let cells = boxes.iter().map(|(id, b)| Cell::new(*id, *b)).collect();
        create(&db, Indexed { table: "a-b", geom: "geom", fid: "fid" }, cells).unwrap();
        (db, boxes)
    }

    #[test]
    fn sqlite_judges_the_packed_tree_sound_and_finds_what_a_scan_finds() {
        // One node, two levels, three levels, and the edges between them.
        for count in [0, 1, 51, 52, 103, 2_601, 2_602, 9_000] {
            let (db, boxes) = indexed(count);
            let judged: String =
                db.query_row("SELECT rtreecheck('rtree_a-b_geom')", [], |r| r.get(0)).unwrap();
            assert_eq!(judged, "ok", "{count} boxes");
            let found: i64 = db
                .query_row(
                    "SELECT count(*) FROM \"rtree_a-b_geom\"
                     WHERE minx <= 6 AND maxx >= 4 AND miny <= 9 AND maxy >= 8",
                    [],
                    |r| r.get(0),
                )
                .unwrap();
            let scanned = boxes
                .iter()
                .filter(|(_, b)| b[0] <= 6.0 && b[1] >= 4.0 && b[2] <= 9.0 && b[3] >= 8.0);
            assert_eq!(found as usize, scanned.count(), "{count} boxes");
        }
    }
}
