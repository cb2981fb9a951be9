//! What PostGIS finds: attachments by geometry, with DESIGN §4's rules written out in SQL, and cuts.

use super::{
    Found,
    data::{Layer, Site},
};
use crate::support::{postgres, postgres::Postgres, tool};
use geo::{Area, Euclidean, Length};
use geo_types::{Coord, LineString, Polygon};
use serde_json::Value;
use socle::{
    model::{Level, LevelDef, LevelSource, LevelTable, TerritoryCode},
    territory::{Carry, Reference},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What one feature is attached to; whether that is beyond what measuring differently may change.
#[derive(Debug, Default, Clone)]
pub struct Attached {
    /// Ranks of communes.
    pub communes: BTreeMap<u32, bool>,
    /// Territories of other levels.
    pub others: BTreeMap<String, bool>,
}

/// What is so, by PostGIS.
pub struct Truth {
    postgis: &'static Postgres,
    database: String,
    reference: Arc<Reference>,
    attached: BTreeMap<&'static str, BTreeMap<String, Attached>>,
    /// Territories to draw from, by level.
    pub pool: Vec<(String, Vec<TerritoryCode>)>,
}

/// The overlaps that attach: not under 1 % of the smaller area nor under 1 ha; lines, not under
/// 50 m; the largest always. `sure` when no measure within a thousandth says otherwise; less than
/// 2 m² may be what rounding leaves where borders run together, and a point on a border has one.
const ATTACHED: &str = "
  CREATE TABLE attached AS
  WITH pieces AS (
    SELECT f.layer, f.id, f.dim, b.level, b.code, f.area AS fa, b.area AS ba,
      CASE f.dim WHEN 0 THEN 1 WHEN 1 THEN ST_Length(ST_Intersection(f.g, b.g)::geography)
        ELSE ST_Area(ST_Intersection(f.g, b.g)::geography) END AS size
    FROM feature f JOIN border b ON ST_Intersects(f.g, b.g)
    WHERE f.level IS DISTINCT FROM b.level),
  ranked AS (
    SELECT *, max(size) OVER w AS most, count(*) OVER w AS several FROM pieces WHERE size > 0
    WINDOW w AS (PARTITION BY layer, id, level)),
  judged AS (
    SELECT layer, id, level, code, size, most, dim = 2 AND size <= 2 OR dim = 0 AND several > 1 AS rounded,
      CASE dim WHEN 0 THEN 0 WHEN 1 THEN 50
        ELSE greatest(10000, 0.01 * least(fa, ba)) END AS least
    FROM ranked)
  SELECT layer, id, level, code, NOT rounded AND (size >= least * 1.001 OR size = most) AS sure
  FROM judged WHERE size >= least * 0.999 OR size >= most * 0.9999";

impl Truth {
    pub fn of(postgis: &'static Postgres, site: &Site) -> Self {
        let database = postgis.database();
        let sql = |text: &str| postgis.sql(&database, text);
        sql("CREATE TABLE feature (layer text, level text, id text, dim int, g geometry, area float, sound bool);
             CREATE TABLE border (level text, code text, g geometry, area float)");
        let to = format!(
            "PG:host=127.0.0.1 port={} user={} dbname={database}",
            postgis.port,
            postgres::USER
        );
        let polygons = |level: &&str| !["com", "canton", "qpv"].contains(level);
        let parts = ["arm", "comd", "coma"].into_iter().filter(|l| site.levels.contains(l));
        let parts = parts.filter(polygons).map(|id| Layer { id, level: Some(id), dimension: 2 });
        for layer in site.layers.iter().copied().chain(parts.clone()) {
            let file = site.file(layer.id);
            let raw = format!("raw_{}", layer.id);
            let names = ["-nln", &raw, "-nlt", "GEOMETRY", "-lco", "GEOMETRY_NAME=g"];
            let source = ["-f", "PostgreSQL", &to, file.to_str().unwrap()];
            tool("ogr2ogr", &[&source[..], &names[..]].concat());
            let level = layer.level.map_or("NULL".to_owned(), |l| format!("'{l}'"));
            if !parts.clone().any(|part| part == layer) {
                sql(&format!(
                    "INSERT INTO feature SELECT '{}', {level}, id, {}, v, ST_Area(v::geography), ST_IsValid(g)
                     FROM {raw}, LATERAL (SELECT ST_MakeValid(g) AS v) made",
                    layer.id, layer.dimension
                ));
            }
            if layer.dimension == 2 {
                sql(&format!(
                    "INSERT INTO border SELECT {level}, id, v, ST_Area(v::geography)
                     FROM {raw}, LATERAL (SELECT ST_MakeValid(g) AS v) made"
                ));
            }
        }
        sql("CREATE INDEX ON feature USING gist (g); CREATE INDEX ON border USING gist (g);
             CREATE INDEX ON border (level, code); ANALYZE");
        sql(ATTACHED);
        let reference = reference(site);
        let mut truth =
            Self { postgis, database, reference, attached: BTreeMap::new(), pool: Vec::new() };
        truth.read(site);
        truth.pool = truth.territories(site);
        truth
    }

    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    pub fn features(&self, layer: &Layer) -> &BTreeMap<String, Attached> {
        &self.attached[layer.id]
    }

    fn rank(&self, code: &str) -> Option<u32> {
        match self.reference.carry(code) {
            Carry::Current(rank) | Carry::Carried(rank) => Some(rank),
            _ => None,
        }
    }

    /// By their own codes, and by location what their codes do not say.
    fn read(&mut self, site: &Site) {
        let rows = self.sql("SELECT layer, id, '', '', true FROM feature UNION ALL SELECT layer, id, level, code, sure FROM attached");
        for row in rows.lines() {
            let cells: Vec<&str> = row.split('|').collect();
            let [layer, id, level, code, sure] = cells[..] else { panic!("{row}") };
            let layer = site.layers.iter().find(|l| l.id == layer).unwrap();
            let (rank, own) = (self.rank(code), self.rank(id));
            let of_layer = self.attached.entry(layer.id).or_default();
            let attached = of_layer.entry(id.to_owned()).or_default();
            match (level, layer.level) {
                ("", Some("com")) => attached.communes.extend(own.map(|rank| (rank, true))),
                ("", Some(level)) => _ = attached.others.insert(format!("{level}:{id}"), true),
                ("", None) => {}
                ("com", _) => {
                    let seen = rank.map(|rank| attached.communes.entry(rank).or_default());
                    if let Some(seen) = seen {
                        *seen |= sure == "t";
                    }
                }
                _ => _ = attached.others.insert(format!("{level}:{code}"), sure == "t"),
            }
        }
    }

    /// The territories that the data has something of.
    fn territories(&self, site: &Site) -> Vec<(String, Vec<TerritoryCode>)> {
        let communes = self.sql("SELECT DISTINCT code FROM border WHERE level = 'com'");
        let here: BTreeSet<u32> = communes.lines().filter_map(|code| self.rank(code)).collect();
        let of_level = |name: &&str| {
            let level: Level = name.parse().unwrap();
            let drawn = format!("SELECT code FROM border WHERE level = '{level}'");
            let mut codes: Vec<TerritoryCode> = match level.is_communal() {
                true => self.reference.units(level).list.into_iter().map(|u| u.code).collect(),
                false => self
                    .sql(&drawn)
                    .lines()
                    .filter_map(|code| TerritoryCode::new(level, code).ok())
                    .collect(),
            };
            if level == Level::Fr {
                codes.push(TerritoryCode::france());
            }
            let touched = |code: &TerritoryCode| match self.reference.communes(code) {
                Some(set) => set.iter().any(|rank| here.contains(&rank)),
                None => true,
            };
            codes.retain(touched);
            (name.to_string(), codes)
        };
        let levels = site.levels.iter().map(of_level);
        levels.filter(|(_, codes)| !codes.is_empty()).collect()
    }

    fn sql(&self, text: &str) -> String {
        self.postgis.sql(&self.database, text)
    }

    /// Each part against `ST_Intersection` with the `ST_Union` of the border, in the same CRS:
    /// within 1 mm times the perimeter. What a source has invalid may be repaired in several ways:
    /// that is left out.
    pub fn check_cut(
        &self,
        layer: &Layer,
        territories: &[TerritoryCode],
        found: &Found,
        concerned: &BTreeSet<String>,
    ) {
        let mut borders: Vec<String> = Vec::new();
        let mut ranks = BTreeSet::new();
        for territory in territories {
            match self.reference.communes(territory) {
                Some(set) => ranks.extend(set.iter()),
                None => borders.push(format!("('{}','{}')", territory.level, territory.code)),
            }
        }
        let communes = self.sql("SELECT code FROM border WHERE level = 'com'");
        let within = |code: &&str| self.rank(code).is_some_and(|rank| ranks.contains(&rank));
        borders.extend(communes.lines().filter(within).map(|code| format!("('com','{code}')")));
        if borders.is_empty() || concerned.is_empty() {
            return;
        }
        let ids: Vec<String> = concerned.iter().map(|id| format!("'{id}'")).collect();
        let rows = self.sql(&format!(
            "WITH edge AS (SELECT ST_Union(g) AS u FROM border WHERE (level, code) IN ({})),
             cut AS (SELECT id, dim, g, ST_Intersection(g, u) AS i FROM feature, edge
               WHERE layer = '{}' AND sound AND id IN ({}))
             SELECT id, CASE dim WHEN 0 THEN ST_NPoints(i) WHEN 1 THEN ST_Length(i) ELSE ST_Area(i) END,
               CASE dim WHEN 0 THEN 0 WHEN 1 THEN ST_Length(g) ELSE ST_Perimeter(g) END FROM cut",
            borders.join(","),
            layer.id,
            ids.join(",")
        ));
        for row in rows.lines() {
            let cells: Vec<&str> = row.split('|').collect();
            let theirs: f64 = cells[1].parse().unwrap();
            let around: f64 = cells[2].parse().unwrap();
            // 1 mm in degrees of the meridian, the longest; of lines, that much at each end.
            let allowed = match layer.dimension {
                0 => 0.0,
                1 => 1e-3 / 111_320.0 * 4.0,
                _ => 1e-3 / 111_320.0 * around,
            };
            let ours = found.features.get(cells[0]).map_or(0.0, |f| size(&f["geometry"]));
            assert!(
                (ours - theirs).abs() <= allowed,
                "{} {} in {territories:?}: {ours:e} and {theirs:e}",
                layer.id,
                cells[0]
            );
        }
    }
}

/// The reference with the site's own level, as the program reads it.
fn reference(site: &Site) -> Arc<Reference> {
    let level = Level::add(socle::model::LevelWords {
        id: "pays".into(),
        title: socle::model::Text::new("pays", "pays"),
        plural: socle::model::Text::new("pays", "pays"),
        communal: true,
    });
    let table = LevelTable {
        file: "pays.csv".into(),
        text: std::fs::read_to_string(site.site.path("pays.csv")).unwrap().into(),
        commune: None,
        code: "pays".into(),
        name: None,
    };
    let def = LevelDef { level: level.unwrap(), source: LevelSource::Table(table) };
    Reference::builtin().with_levels(&[def]).unwrap().0
}

/// Area, length or number of points, in degrees.
fn size(geometry: &Value) -> f64 {
    let ring = |list: &Value| -> LineString<f64> {
        let place = |p: &Value| Coord { x: p[0].as_f64().unwrap(), y: p[1].as_f64().unwrap() };
        LineString(list.as_array().unwrap().iter().map(place).collect())
    };
    let polygon = |list: &Value| {
        let mut rings = list.as_array().unwrap().iter().map(ring);
        let shell = rings.next().unwrap();
        Polygon::new(shell, rings.collect()).unsigned_area()
    };
    let list = &geometry["coordinates"];
    let each = |of: &dyn Fn(&Value) -> f64| list.as_array().unwrap().iter().map(of).sum();
    match geometry["type"].as_str() {
        Some("Polygon") => polygon(list),
        Some("MultiPolygon") => each(&polygon),
        Some("LineString") => Euclidean.length(&ring(list)),
        Some("MultiLineString") => each(&|line| Euclidean.length(&ring(line))),
        Some("Point") => 1.0,
        Some("MultiPoint") => list.as_array().unwrap().len() as f64,
        other => panic!("{other:?}"),
    }
}
