//! The figures of a table: how many rows it has, where they lie and of what kind they are.

use super::super::{
    link::{Link, Ran, cell},
    load::first,
    names::Names,
};
use super::discover::refused;
use super::form::{Form, Geometry, Key, SURFACES};
use super::shape::kind_of;
use crate::{
    error::{Error, Result},
    model::{GeometryKind, Text},
    text,
};

/// The figures of a table: how many rows, where, of what kind.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, Default)]
pub(super) struct Figures {
    pub(super) count: u64,
    pub(super) exact: bool,
    pub(super) bbox: Option<[f64; 4]>,
    pub(super) kind: GeometryKind,
    /// Whether rows had to be brought to degrees one by one.
    #[serde(default)]
    pub(super) guarded: bool,
    /// Rows with a geometry that has no place on the map.
    #[serde(default)]
    pub(super) unplaced: u64,
    /// Rows without a key, which are not shown.
    #[serde(default)]
    pub(super) unkeyed: u64,
    /// Rows with a surface in space (TIN, polyhedral surface), shown without geometry.
    #[serde(default)]
    pub(super) spatial: u64,
    /// The lowest zoom of its tiles; `None`: the declared one.
    #[serde(default)]
    pub(super) lowest: Option<u8>,
    /// How many edits were told, and how many there were.
    #[serde(default)]
    pub(super) told: Told,
}

/// Rows of relations that announce their edits: those announced beside those that PostgreSQL's
/// statistics count. When these grow more than those, some were edited without a word: by a program
/// that keeps triggers from firing, or in a transaction that was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, Default)]
pub(super) struct Told {
    /// Rows announced so far.
    pub(super) announced: i64,
    /// Rows counted so far.
    pub(super) counted: i64,
    /// How many more were counted than announced when the whole table was last looked at.
    pub(super) ahead: i64,
}

impl Told {
    /// Whether rows were edited without being announced, `announced` rows being taken now and
    /// `counted` in all. Statistics come late: fewer counted than announced means nothing, unless
    /// they were reset.
    pub(super) fn misses(self, announced: i64, counted: i64) -> bool {
        counted - (self.announced + announced) > self.ahead || counted < self.counted
    }

    /// After taking them; `whole`: all of the table is looked at anew.
    pub(super) fn after(self, announced: i64, counted: i64, whole: bool) -> Self {
        let announced = self.announced + announced;
        let ahead = if whole { counted - announced } else { self.ahead };
        Self { announced, counted, ahead }
    }
}

impl Figures {
    /// What people should know of rows that are not shown as they are.
    pub(super) fn notices(&self) -> Vec<Text> {
        let (unkeyed, spatial) = (self.unkeyed, self.spatial);
        let mut notices = Vec::new();
        if unkeyed > 0 {
            notices.push(text!(
                "{unkeyed} lignes sans clé ne sont pas montrées : donnez-leur une clé, ou choisissez une autre colonne (« key »).",
                "{unkeyed} rows without a key are not shown: give them one, or choose another column (\"key\")."
            ));
        }
        if spatial > 0 {
            notices.push(text!(
                "{spatial} lignes ont une surface dans l'espace (TIN, PolyhedralSurface) et sont montrées sans géométrie : publiez une vue qui en fait des polygones (ST_Dump, ST_Union).",
                "{spatial} rows have a surface in space (TIN, PolyhedralSurface) and are shown without geometry: publish a view that makes polygons of them (ST_Dump, ST_Union)."
            ));
        }
        notices
    }
}

/// Reads the figures of a table; what takes too long is the planner's estimate. Where the rows
/// together have no extent in degrees, some row of them has no place: then each is brought there
/// on its own.
pub(super) async fn figures(link: &mut Link, names: &Names, form: &Form) -> Ran<Figures> {
    let guarded = form.guarded();
    match read_figures(link, names, form).await {
        Err(e) if e.is_of_geometry() && !guarded && form.geometry.is_some() => {}
        Ok(figures) if !guarded && beyond(figures.bbox) => {}
        other => return other,
    }
    form.guard();
    read_figures(link, names, form).await
}

/// Whether an extent is none that degrees can say.
fn beyond(bbox: Option<[f64; 4]>) -> bool {
    const SLACK: f64 = 1e-6;
    bbox.is_some_and(|[w, s, e, n]| {
        let within =
            w >= -180.0 - SLACK && e <= 180.0 + SLACK && s >= -90.0 - SLACK && n <= 90.0 + SLACK;
        !within
    })
}

/// What is counted of all rows: their number, the types of their geometries, how many have no
/// place, how many are surfaces in space, their SRIDs.
fn counted(names: &Names, form: &Form) -> [String; 5] {
    let g = &names.gis;
    let kind = form.schema.geometry;
    let mut list =
        ["count(*)", "NULL::text[]", "0::int8", "0::int8", "NULL::int4[]"].map(str::to_owned);
    if let (Some(geometry), true) = (&form.geometry, kind == GeometryKind::Geometry) {
        let c = &geometry.column;
        list[1] =
            format!("array_agg(DISTINCT {g}GeometryType({c})) FILTER (WHERE {c} IS NOT NULL)");
        list[3] = format!("count(*) FILTER (WHERE {g}GeometryType({c}) = ANY ('{SURFACES}'))");
    }
    if let Some(geometry) = form.geometry.as_ref().filter(|g| g.bare) {
        let c = &geometry.column;
        list[4] = format!("array_agg(DISTINCT {g}ST_SRID({c})) FILTER (WHERE {c} IS NOT NULL)");
    }
    if let (Some(geometry), true) = (&form.geometry, form.guarded()) {
        let (c, placed) = (&geometry.column, geometry.in_crs84(names));
        list[2] = format!("count(*) FILTER (WHERE NOT {g}ST_IsEmpty({c}) AND {placed} IS NULL)");
    }
    list
}

async fn read_figures(link: &mut Link, names: &Names, form: &Form) -> Ran<Figures> {
    let kind = form.schema.geometry;
    let guarded = form.guarded();
    let mut figures = Figures { count: form.estimate, kind, guarded, ..Figures::default() };
    let list = counted(names, form);
    let (extent, columns) = match &form.geometry {
        Some(geometry) => extent(names, geometry),
        None => {
            ("NULL".to_owned(), "NULL::float8, NULL::float8, NULL::float8, NULL::float8".into())
        }
    };
    let with_key = form.with_key().map(|k| format!(" WHERE {k}")).unwrap_or_default();
    let checks = match (&form.key, form.small) {
        (Key::Columns(columns), true) if columns.len() == 1 => {
            let c = columns.first().map(|c| c.column.as_str()).unwrap_or("NULL");
            format!("count({c}) AS keys, count(DISTINCT {c}::text) AS distinct_keys")
        }
        _ => "0::int8 AS keys, 0::int8 AS distinct_keys".to_owned(),
    };
    let sql = format!(
        "SELECT n, k, keys, distinct_keys, {columns}, unplaced, surfaces, srids
         FROM (SELECT {} AS n, {} AS k, {} AS unplaced, {} AS surfaces, {} AS srids, {checks}, {extent} AS e FROM {} AS t{with_key}) AS f",
        list[0], list[1], list[2], list[3], list[4], form.relation
    );
    let row = match link.row(&sql, &[]).await {
        Ok(row) => row,
        // Too much to look at in time: the estimate stays, the world is the extent.
        Err(super::super::link::Failed::Late) => {
            figures.bbox = form.geometry.as_ref().map(|_| [-180.0, -90.0, 180.0, 90.0]);
            return Ok(figures);
        }
        Err(e) => return Err(e),
    };
    let row = row.ok_or_else(|| Error::broken("a count gave no row"))?;
    figures.count = cell::<i64>(&row, 0)?.unsigned_abs();
    figures.exact = true;
    if let Some(kinds) = cell::<Option<Vec<String>>>(&row, 1)? {
        let kinds = kinds.iter().map(|k| kind_of(k));
        figures.kind = kinds.reduce(GeometryKind::widen).unwrap_or(kind);
    }
    let (keys, distinct) = (cell::<i64>(&row, 2)?, cell::<i64>(&row, 3)?);
    if keys > distinct {
        let twice = keys - distinct;
        return Err(refused(text!(
            "La clé se répète : {twice} lignes de trop. Choisissez une autre colonne (« key »).",
            "The key repeats: {twice} rows too many. Choose another column (\"key\")."
        )));
    }
    let sides: Vec<Option<f64>> = (4..8).map(|i| cell(&row, i)).collect::<Result<_>>()?;
    if let [Some(w), Some(s), Some(e), Some(n)] = sides[..] {
        figures.bbox = Some([w, s, e, n]);
        if !beyond(figures.bbox) {
            figures.bbox = Some([w.max(-180.0), s.max(-90.0), e.min(180.0), n.min(90.0)]);
        }
    }
    figures.unplaced = cell::<i64>(&row, 8)?.unsigned_abs();
    figures.spatial = cell::<i64>(&row, 9)?.unsigned_abs();
    if let (Some(geometry), Some(srids)) = (&form.geometry, cell::<Option<Vec<i32>>>(&row, 10)?) {
        one_srid(geometry, &srids)?;
    }
    if let (Some(with_key), true) = (form.with_key(), form.small) {
        let sql = format!("SELECT count(*) FROM {} AS t WHERE NOT ({with_key})", form.relation);
        figures.unkeyed = first::<i64>(link, &sql, &[]).await?.unsigned_abs();
    }
    Ok(figures)
}

/// Refuses values of several reference systems: nothing says at what cost, or whether on purpose.
fn one_srid(geometry: &Geometry, srids: &[i32]) -> Result<()> {
    // Declared: those that bear none are taken for it.
    let declared = geometry.native == 0;
    let other = |s: &&i32| **s != geometry.srid && !(declared && **s == 0);
    if !srids.iter().any(|s| other(&s)) {
        return Ok(());
    }
    let list = srids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let srid = geometry.srid;
    Err(Error::Refused(text!(
        "Les géométries sont de plusieurs SRID : {list}. Ramenez-les à un seul (ALTER TABLE … ALTER COLUMN … TYPE geometry(Geometry, {srid}) USING ST_Transform(…, {srid})), ou publiez une vue qui le fait.",
        "The geometries are of several SRIDs: {list}. Bring them to one (ALTER TABLE … ALTER COLUMN … TYPE geometry(Geometry, {srid}) USING ST_Transform(…, {srid})), or publish a view that does."
    )))
}

/// The extent of the rows of a query, as a shape to aggregate and its sides in degrees.
pub(super) fn extent(names: &Names, geometry: &Geometry) -> (String, String) {
    let (g, column, srid) = (&names.gis, &geometry.column, geometry.srid);
    if geometry.guard.is_up() {
        let placed = geometry.in_crs84(names);
        let list = ["XMin", "YMin", "XMax", "YMax"].map(|f| format!("{g}ST_{f}(e)"));
        return (format!("{g}ST_Extent({placed})::{g}geometry"), list.join(", "));
    }
    let shape =
        format!("{g}ST_SetSRID({g}ST_Extent({g}ST_Force2D({column}))::{g}geometry, {srid})");
    let sides = format!(
        "{g}ST_Transform({g}ST_Segmentize(e, greatest({g}ST_XMax(e) - {g}ST_XMin(e), {g}ST_YMax(e) - {g}ST_YMin(e)) / 16 + 1e-9), 4326)"
    );
    let list = ["XMin", "YMin", "XMax", "YMax"].map(|f| format!("{g}ST_{f}({sides})"));
    (shape, list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_nobody_announced_are_missed() {
        let told = Told::default().after(0, 100, true);
        // Announced and counted; announced and not counted yet; counted alone; reset.
        assert!(!told.misses(3, 103) && !told.misses(3, 100));
        assert!(told.misses(0, 101) && told.misses(3, 104) && told.misses(0, 7));
        let later = told.after(3, 100, false);
        assert!(!later.misses(0, 103) && later.misses(0, 104));
        assert!(!told.after(0, 7, true).misses(0, 7));
    }
}
