//! Notices edits. A look at a table compares what the catalogue and the statistics say with what
//! the last look saw; edits that a trigger announced are taken as they are. Either moves the
//! revision in the row that all replicas share, and the store's generation with it, so that all
//! see the new state as they see a publication. Any replica looks; one of them moves it.

use super::{
    super::{
        Inner,
        link::{Failed, Link, Param, Ran, cell},
        names::Names,
        write,
    },
    bounds, discover,
    figures::{self, Figures},
    form::Form,
    look, source,
};
use crate::{
    error::{Error, Result},
    model::{Grid, LayerDef, TileId, live::CELL_ZOOM},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio_postgres::types::Type;

/// How often tables are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often a table is looked at whatever it seems: what it costs changes with what it holds.
const AGAIN: Duration = Duration::from_secs(600);
/// Rows touched by one look beyond which they are not named.
const NAMED: usize = 50_000;
/// Cells touched by one look beyond which the whole layer counts as touched.
const MANY: usize = 4096;

/// Looks again and again until the store is gone.
pub(in super::super) fn spawn(inner: &Arc<Inner>) {
    if inner.tables.defs.is_empty() {
        return;
    }
    let weak = Arc::downgrade(inner);
    tokio::spawn(async move {
        loop {
            if !pause(&weak).await {
                return;
            }
            let Some(inner) = weak.upgrade() else { return };
            if let Err(e) = look(&inner).await {
                tracing::debug!(cause = e.chain(), "published tables were not looked at");
            }
        }
    });
}

/// Waits for the next look: its time, or an edit that was announced. `false`: the store is gone.
async fn pause(weak: &Weak<Inner>) -> bool {
    let Some(inner) = weak.upgrade() else { return false };
    let _ = tokio::time::timeout(EVERY, inner.tables.wake.notified()).await;
    true
}

/// Looks at all tables, also at those whose form did not seem to move.
pub(in super::super) async fn reload(inner: &Arc<Inner>) -> Result<()> {
    look_again(inner, true).await
}

/// Looks at all tables once.
pub(super) async fn look(inner: &Arc<Inner>) -> Result<()> {
    look_again(inner, false).await
}

async fn look_again(inner: &Arc<Inner>, anew: bool) -> Result<()> {
    let names = &Box::pin(inner.ready()).await?.names;
    let _one = inner.tables.looking.lock().await;
    for def in inner.tables.defs.values() {
        let mut link = inner.primary.link().await?;
        match table(inner, &mut link, names, def, anew).await {
            Ok(()) => inner.tables.refuse(&def.id, None),
            Err(Failed::Known(Error::Refused(why))) => inner.tables.refuse(&def.id, Some(why)),
            // A server or role that only reads: whoever may write moves the revision.
            Err(e) if e.is_read_only() => {
                tracing::debug!(layer = %def.id, "the revision is left to others");
            }
            Err(e) => match e.meaning("looking at a published table") {
                // One table's trouble keeps no other from being looked at.
                fault @ Error::Fault { .. } => {
                    tracing::error!(layer = %def.id, cause = fault.chain(), "a published table");
                    inner.tables.refuse(&def.id, Some(unreadable(def)));
                }
                other => return Err(other),
            },
        }
    }
    Ok(())
}

fn unreadable(def: &LayerDef) -> crate::model::Text {
    let id = &def.id;
    crate::text!(
        "La table de « {id} » ne peut pas être lue ; le journal dit pourquoi.",
        "The table of \"{id}\" cannot be read; the log says why."
    )
}

async fn table(
    inner: &Arc<Inner>,
    link: &mut Link,
    names: &Names,
    def: &LayerDef,
    anew: bool,
) -> Ran<()> {
    let Some(source) = source(def) else { return Ok(()) };
    let (schema, name) = (&source.schema, &source.table);
    let Some((seen, _)) = look::look(link, source).await? else {
        return Err(discover::refused(crate::text!(
            "La table {schema}.{name} n'existe pas dans la base.",
            "There is no table {schema}.{name} in the database."
        )));
    };
    let fresh = |f: &Arc<Form>| f.seen == seen && f.found.elapsed() < AGAIN;
    let held = inner.tables.form(&def.id).filter(|f| fresh(f) && !anew);
    let found = held.is_none();
    let form = match held {
        Some(form) => form,
        None => {
            let form = discover::discover(link, names, def, source, seen).await?;
            inner.tables.keep(&def.id, form)
        }
    };
    // What is known comes first: when another process takes edits after that, the revision is no
    // longer the one seen, and this look is for nothing. Taken after the edits it would count them
    // twice. Counters come next, that they count no edit which is not announced yet; edits before
    // figures: what they announce is in the table by now, and in these.
    let known = known(link, names, def).await?;
    let counters = look::counters(link, names, &form.relations).await?;
    let edits = edits(link, names, def).await?;
    let fingerprint = format!("{} {}", form.seen, counters.text);
    // A form just found looks for itself whether all its rows have a place.
    if !found && known.as_ref().is_some_and(|k| k.figures.guarded) {
        form.guard();
    }
    let same = known.as_ref().is_some_and(|k| {
        let unguarded = form.guarded() && !k.figures.guarded;
        k.fingerprint == fingerprint && !k.stale && !unguarded
    });
    let taken: i64 = edits.iter().map(|e| e.touched).sum();
    let told = known.as_ref().map(|k| k.figures.told).unwrap_or_default();
    let missed = same && told.misses(taken, counters.announced);
    if missed {
        tracing::info!(layer = %def.id, "rows were edited, or edited and undone, without a word");
    }
    let served = known.as_ref().and_then(|k| k.figures.lowest);
    let mut lowest = served;
    if let (true, Some(known)) = (found, &known) {
        lowest = Some(bounds::lowest(link, names, def, &form, &known.figures, served).await?);
    }
    // The configuration names another key: triggers are to go by it from now on. Noticed once, so
    // that replicas which differ do not take turns.
    let rekeyed = found && known.as_ref().is_some_and(|k| k.key != form.key_names());
    let same = same && !missed && !rekeyed && lowest == served;
    if same && edits.is_empty() {
        return Ok(());
    }
    let whole = !same || edits.iter().any(|e| e.sides.is_none());
    let mut figures = match (&known, whole || form.small) {
        (Some(known), false) => known.figures.clone(),
        _ => {
            let mut figures = figures::figures(link, names, &form).await?;
            figures.lowest = Some(bounds::lowest(link, names, def, &form, &figures, served).await?);
            figures
        }
    };
    if figures.lowest != served && figures.lowest.is_some_and(|z| z > def.tiles.min_zoom) {
        tracing::warn!(layer = %def.id, "{}", bounds::notice(figures.lowest.unwrap_or(0)).en);
    }
    if figures.unplaced > 0 && known.as_ref().map(|k| k.figures.unplaced) != Some(figures.unplaced)
    {
        tracing::warn!(layer = %def.id, "{}", super::unplaced(figures.unplaced).en);
    }
    let cells = cells(&edits, &mut figures);
    figures.told = told.after(taken, counters.announced, !same);
    let keys = if same { keys(&edits, &form.key_names()) } else { None };
    let moved = Moved { whole: whole || cells.len() > MANY, fingerprint, figures, cells, keys };
    turn(inner, link, names, def, &form, known, &edits, moved).await
}

/// A table's row, as far as a look needs it.
struct Known {
    revision: i64,
    fingerprint: String,
    figures: Figures,
    /// The key's columns that triggers go by.
    key: Vec<String>,
    /// Nobody looked for a day: edits may have gone by unannounced.
    stale: bool,
}

async fn known(link: &mut Link, names: &Names, def: &LayerDef) -> Ran<Option<Known>> {
    let sql = names.sql(
        "SELECT revision, fingerprint, figures::text, seen < now() - interval '20 hours',
           seen < now() - interval '1 hour', key FROM {s}live WHERE layer = $1",
    );
    let layer = def.id.as_str();
    let Some(row) = link.hot(&sql, &[(&layer, Type::TEXT)]).await?.into_iter().next() else {
        return Ok(None);
    };
    if cell::<bool>(&row, 4)? {
        let sql = names.sql("UPDATE {s}live SET seen = now() WHERE layer = $1");
        link.run(&sql, &[(&layer, Type::TEXT)]).await?;
    }
    let figures = serde_json::from_str(cell(&row, 2)?)
        .map_err(|e| Error::fault("the figures of a table", e))?;
    let (revision, fingerprint, stale) = (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 3)?);
    Ok(Some(Known { revision, fingerprint, figures, key: cell(&row, 5)?, stale }))
}

/// An announced edit.
struct Edit {
    id: i64,
    /// West, south, east, north; `None`: anywhere.
    sides: Option<[f64; 4]>,
    /// The ids of the rows it touched; `None`: not known.
    keys: Option<Vec<String>>,
    /// The key's columns that these were written from, where that is known.
    key: Option<Vec<String>>,
    /// How many rows it touched.
    touched: i64,
}

/// The ids of all rows that edits touched; `None`: not known, or too many to name.
fn keys<'a>(edits: &'a [Edit], key: &[&str]) -> Option<BTreeSet<&'a str>> {
    let mut all = BTreeSet::new();
    for edit in edits {
        edit.key.as_ref().filter(|written| *written == key)?;
        all.extend(edit.keys.as_ref()?.iter().map(String::as_str));
    }
    (all.len() <= NAMED).then_some(all)
}

async fn edits(link: &mut Link, names: &Names, def: &LayerDef) -> Ran<Vec<Edit>> {
    let sql = names
        .sql("SELECT id, west, south, east, north, keys, touched, key FROM {s}live_edits WHERE layer = $1 ORDER BY id");
    let layer = def.id.as_str();
    let mut all = Vec::new();
    for row in &link.hot(&sql, &[(&layer, Type::TEXT)]).await? {
        let side = |i| cell::<Option<f64>>(row, i);
        let sides = match (side(1)?, side(2)?, side(3)?, side(4)?) {
            (Some(w), Some(s), Some(e), Some(n)) => Some([w, s, e, n]),
            _ => None,
        };
        let (id, keys, touched) = (cell(row, 0)?, cell(row, 5)?, cell(row, 6)?);
        all.push(Edit { id, sides, keys, key: cell(row, 7)?, touched });
    }
    Ok(all)
}

/// The cells that edits touched; the extent grows with them.
fn cells(edits: &[Edit], figures: &mut Figures) -> BTreeSet<(i32, i32)> {
    let mut cells = BTreeSet::new();
    for [w, s, e, n] in edits.iter().filter_map(|e| e.sides) {
        // Rows without geometry touch no cell.
        if ![w, s, e, n].iter().all(|v| v.is_finite()) {
            continue;
        }
        if let Some([west, south, east, north]) = &mut figures.bbox {
            (*west, *south) = (west.min(w.max(-180.0)), south.min(s.max(-90.0)));
            (*east, *north) = (east.max(e.min(180.0)), north.max(n.min(90.0)));
        } else {
            figures.bbox = Some([w.max(-180.0), s.max(-90.0), e.min(180.0), n.min(90.0)]);
        }
        let (low, high) = (cell_of(w, n), cell_of(e, s));
        for x in low.x..=high.x {
            for y in low.y..=high.y {
                cells.insert((x.cast_signed(), y.cast_signed()));
                if cells.len() > MANY {
                    return cells;
                }
            }
        }
    }
    cells
}

/// The cell of a place.
fn cell_of(lon: f64, lat: f64) -> TileId {
    let n = f64::from(1u32 << CELL_ZOOM);
    let [column, row] = Grid::WEB_MERCATOR.share(lon, lat).map(|share| share * n);
    let inside = |v: f64| (v.floor().max(0.0) as u32).min((1 << CELL_ZOOM) - 1);
    TileId::mercator(CELL_ZOOM, inside(column), inside(row))
}

/// What a look found.
struct Moved<'a> {
    whole: bool,
    fingerprint: String,
    figures: Figures,
    cells: BTreeSet<(i32, i32)>,
    /// The ids of the rows touched; `None`: not known.
    keys: Option<BTreeSet<&'a str>>,
}

/// Moves the revision, unless another process did meanwhile.
#[expect(clippy::too_many_arguments, reason = "the end of a look, with all that it saw")]
async fn turn(
    inner: &Arc<Inner>,
    link: &mut Link,
    names: &Names,
    def: &LayerDef,
    form: &Form,
    known: Option<Known>,
    edits: &[Edit],
    moved: Moved<'_>,
) -> Ran<()> {
    let layer = def.id.as_str();
    let figures = serde_json::to_string(&moved.figures)
        .map_err(|e| Error::fault("the figures of a table", e))?;
    let before = known.as_ref().map_or(-1, |k| k.revision);
    let key = form.key_names();
    link.begin(inner.role()).await?;
    // The row of another process that came first is waited for, and then is not the one seen.
    let sql = names.sql(
        "INSERT INTO {s}live AS l
           (layer, own, relations, revision, base, changed_at, fingerprint, figures, key)
         VALUES ($1, $2, $3, 1, 1, clock_timestamp(), $4, $5::text::json, $8)
         ON CONFLICT (layer) DO UPDATE SET own = excluded.own, relations = excluded.relations,
           key = excluded.key,
           revision = l.revision + 1, base = CASE WHEN $6 THEN l.revision + 1 ELSE l.base END,
           changed_at = excluded.changed_at, fingerprint = excluded.fingerprint,
           figures = excluded.figures, seen = now()
         WHERE l.revision = $7 RETURNING revision",
    );
    let params: [Param<'_>; 8] = [
        (&layer, Type::TEXT),
        (&form.oid, Type::OID),
        (&form.relations, Type::OID_ARRAY),
        (&moved.fingerprint, Type::TEXT),
        (&figures, Type::TEXT),
        (&moved.whole, Type::BOOL),
        (&before, Type::INT8),
        (&key, Type::TEXT_ARRAY),
    ];
    let Some(row) = link.row(&sql, &params).await? else { return link.rollback().await };
    let revision: i64 = cell(&row, 0)?;
    let ids: Vec<i64> = edits.iter().map(|e| e.id).collect();
    let sql = names.sql("DELETE FROM {s}live_edits WHERE id = ANY ($1)");
    link.run(&sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    if moved.whole {
        let sql = names.sql("DELETE FROM {s}live_cells WHERE layer = $1");
        link.run(&sql, &[(&layer, Type::TEXT)]).await?;
    } else {
        let (x, y): (Vec<i32>, Vec<i32>) = moved.cells.into_iter().unzip();
        let sql = names.sql(
            "INSERT INTO {s}live_cells (layer, x, y, revision)
             SELECT $1, x, y, $4 FROM unnest($2, $3) AS c (x, y)
             ON CONFLICT (layer, x, y) DO UPDATE SET revision = excluded.revision",
        );
        let params: [Param<'_>; 4] = [
            (&layer, Type::TEXT),
            (&x, Type::INT4_ARRAY),
            (&y, Type::INT4_ARRAY),
            (&revision, Type::INT8),
        ];
        link.run(&sql, &params).await?;
    }
    if def.territory.by_location || !def.territory.columns.is_empty() {
        let keys: Option<Vec<&str>> = moved.keys.map(|keys| keys.into_iter().collect());
        let sql =
            names.sql("INSERT INTO {s}live_touched (layer, revision, keys) VALUES ($1, $2, $3)");
        let params: [Param<'_>; 3] =
            [(&layer, Type::TEXT), (&revision, Type::INT8), (&keys, Type::TEXT_ARRAY)];
        link.run(&sql, &params).await?;
    }
    let generation = write::announce(link, names).await?;
    link.commit().await?;
    inner.pulse.saw(generation);
    tracing::debug!(layer, revision, whole = moved.whole, "a published table moved");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_touches_the_cells_under_it() {
        let mut figures = Figures::default();
        let edit = |sides| Edit { id: 1, sides, keys: None, key: None, touched: 1 };
        // Lille; then a row without a place.
        let all = [edit(Some([3.05, 50.62, 3.06, 50.63])), edit(Some([f64::INFINITY; 4]))];
        let found = cells(&all, &mut figures);
        let lille = cell_of(3.05, 50.63);
        assert_eq!((lille.x, lille.y), (130, 86));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(130, 86)]);
        assert_eq!(figures.bbox, Some([3.05, 50.62, 3.06, 50.63]));
        let world = [edit(Some([-180.0, -90.0, 180.0, 90.0]))];
        assert!(cells(&world, &mut figures).len() > MANY);
    }

    #[test]
    fn ids_written_from_another_key_name_no_rows() {
        let edit = |key: Option<&[&str]>, ids: &[&str]| Edit {
            id: 1,
            sides: None,
            keys: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
            key: key.map(|k| k.iter().map(|c| (*c).to_owned()).collect()),
            touched: 1,
        };
        let all = [edit(Some(&["id"]), &["1", "2"]), edit(Some(&["id"]), &["2", "3"])];
        assert_eq!(keys(&all, &["id"]).unwrap().into_iter().collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(keys(&all, &["code"]), None);
        // A trigger of an earlier program does not say.
        assert_eq!(keys(&[edit(None, &["1"])], &["id"]), None);
    }
}
