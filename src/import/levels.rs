//! Levels drawn from communes: the version of a layer whose features are the territories of a
//! level, each the union of its communes as a layer of these has them.
//!
//! Made from a version into a version: nothing is fetched, and the same communes under the same
//! reference give the same features.

use super::{
    Importer, Job,
    borders::{Borders, Communes},
    check::Checked,
    read::Rows,
};
use crate::{
    error::{Error, Result},
    geometry::{area, dissolve::dissolve, validity},
    model::{
        Field, FieldKind, Harvested, LayerDef, Level, Progress, RankSet, Refusal, RefusalReason,
        Report, Schema, TerritoryCode, Value,
    },
    store::NewVersion,
    territory::{Reference, Unit},
    text,
};
use geo::{BoundingRect, Centroid};
use geo_types::{Geometry, MultiPolygon};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// Raised when this program makes other features of the same communes.
const RECIPE: u32 = 1;
/// Communes that a note names, so that someone can go and look at them.
const NAMED: usize = 20;

impl Importer {
    /// What a level would be made from now, in the words of a source: the state of the layer of
    /// communes under this reference has the checksum, and its dates are those of that layer.
    /// `None` while there is no such layer.
    pub fn level_source(&self, def: &LayerDef, borders: &Borders) -> Option<Harvested> {
        let made = def.derived()?;
        let border = borders.communes(&made.from)?;
        let (from, version) = (&made.from, &border.at().version);
        let state = self.reference().level_key(made.level).unwrap_or_default().to_owned();
        let reference = self.reference().id().to_owned();
        let inputs = [border.key(), reference, made.level.to_string(), state];
        let digest = Sha256::digest(format!("{RECIPE}\n{}", inputs.join("\n")));
        Some(Harvested {
            name: from.to_string(),
            origin: format!("{from} {}", version.id),
            sha256: super::hex(&digest, 64),
            path: std::path::PathBuf::new(),
            etag: None,
            ..version.source.clone()
        })
    }

    /// The polygons of the layer of communes that a level is made from. Called from a blocking
    /// thread of the runtime.
    pub fn level_communes(&self, def: &LayerDef, borders: &Borders) -> Result<Arc<Communes>> {
        let border = def.derived().and_then(|made| borders.communes(&made.from));
        let border = border.ok_or_else(|| Error::broken("a level made from no layer"))?;
        border.communes(&self.reference()).map(Arc::new)
    }

    /// The version of a level; without a feature when no territory of the level has a commune in the
    /// layer. `workdir`: a folder for rows too many to be held.
    pub fn level(
        &self,
        def: &LayerDef,
        source: &Harvested,
        communes: &Communes,
        workdir: &Path,
        progress: &dyn Progress,
    ) -> Result<NewVersion> {
        let made = def.derived().ok_or_else(|| Error::broken("a layer that is not derived"))?;
        let mut report = Report::default();
        let reference = self.reference();
        let drawn = draw(&reference, made.level, communes, &mut report);
        let none = drawn.is_empty();
        report.read = drawn.len() as u64;
        let schema = Schema { fields: fields(made.level), ..Schema::default() };
        let mut checked = Vec::with_capacity(drawn.len());
        for (line, unit) in (1u64..).zip(drawn) {
            match unit.shape {
                Ok(shape) => checked.push(row(&reference, made.level, line, &unit.code, shape)),
                Err(problem) => report.refuse(refusal(line, &unit.code, &problem)),
            }
        }
        let rows = Rows::new(checked.into(), schema);
        let borders = Borders::default();
        let job = Job { def, source, borders: &borders, workdir, progress };
        let new = self.version(&job, rows, report)?;
        if !none {
            super::some(&new.version.report)?;
        }
        Ok(new)
    }
}

/// A territory and what could be drawn of it.
struct Drawn {
    code: TerritoryCode,
    shape: std::result::Result<Shape, validity::Problem>,
}

/// The union of the communes there are.
struct Shape {
    polygons: MultiPolygon<f64>,
    /// Communes that the layer lacks.
    absent: u64,
    /// Thin gaps between communes that should touch.
    gaps: usize,
}

/// Draws the territories that have a commune in the layer, in the order of their codes.
fn draw(
    reference: &Reference,
    level: Level,
    communes: &Communes,
    report: &mut Report,
) -> Vec<Drawn> {
    let units = reference.units(level);
    let mut members: Vec<Vec<&Geometry<f64>>> = vec![Vec::new(); units.list.len()];
    let mut ranks: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); units.list.len()];
    let mut outside = BTreeSet::new();
    for (rank, geometry) in &communes.polygons {
        let place = units.of(*rank).map(|unit| unit as usize);
        match place.and_then(|unit| Some((members.get_mut(unit)?, ranks.get_mut(unit)?))) {
            Some((members, ranks)) => {
                members.push(geometry);
                ranks.insert(*rank);
            }
            None => _ = outside.insert(*rank),
        }
    }
    let drawn: Vec<Drawn> = units
        .list
        .par_iter()
        .zip(members)
        .zip(ranks)
        .filter_map(|((unit, members), ranks)| one(reference, unit, &members, &ranks))
        .collect();
    tell(reference, level, &drawn, units.list.len(), &outside, report);
    drawn
}

fn one(
    reference: &Reference,
    unit: &Unit,
    members: &[&Geometry<f64>],
    ranks: &BTreeSet<u32>,
) -> Option<Drawn> {
    let code = unit.code.clone();
    let all = reference.communes(&code).as_ref().map_or(0, RankSet::len);
    let absent = all.saturating_sub(ranks.len()) as u64;
    let shape = match dissolve(members.iter().copied()) {
        Ok(union) => {
            let union = union?;
            Ok(Shape { polygons: union.shape, absent, gaps: union.gaps })
        }
        Err(problem) => Err(problem),
    };
    Some(Drawn { code, shape })
}

/// Puts into the report what a person should know of the drawing.
fn tell(
    reference: &Reference,
    level: Level,
    drawn: &[Drawn],
    all: usize,
    outside: &BTreeSet<u32>,
    report: &mut Report,
) {
    let vintage = reference.vintage();
    let count = |what: fn(&Shape) -> bool| {
        drawn.iter().filter_map(|d| d.shape.as_ref().ok()).filter(|s| what(s)).count()
    };
    let made = drawn.len();
    report.notes.push(text!(
        "{made} territoires sur les {all} du COG {vintage} ont des communes dans la couche.",
        "{made} territories of the {all} of the COG {vintage} have communes in the layer."
    ));
    let partial = count(|s| s.absent > 0);
    if partial > 0 {
        report.notes.push(text!(
            "{partial} territoires ont des communes que la couche n'a pas (« communes_absentes ») : leur contour est incomplet.",
            "{partial} territories have communes that the layer lacks (\"communes_absentes\"): their outline is incomplete."
        ));
    }
    let gaps = count(|s| s.gaps > 0);
    if gaps > 0 {
        report.notes.push(text!(
            "{gaps} territoires gardent des interstices entre communes dont les limites ne coïncident pas.",
            "{gaps} territories keep thin gaps between communes whose borders do not coincide."
        ));
    }
    // Most communes are in no EPT: that is how it should be.
    if !outside.is_empty() && level != Level::Ept {
        let names = outside.iter().filter_map(|rank| reference.get(&reference.commune(*rank)?));
        let names: Vec<String> =
            names.take(NAMED).map(|t| format!("{} ({})", t.name, t.code.code)).collect();
        let (n, more) = (outside.len(), if outside.len() > NAMED { "…" } else { "" });
        let names = names.join(", ");
        report.notes.push(text!(
            "{n} communes ne sont dans aucun territoire de ce niveau : {names}{more}.",
            "{n} communes are in no territory of this level: {names}{more}."
        ));
    }
}

fn refusal(line: u64, code: &TerritoryCode, problem: &validity::Problem) -> Refusal {
    let problem = problem.text();
    Refusal {
        line,
        column: Some("code".into()),
        value: Some(code.code.to_string()),
        reason: RefusalReason::InvalidGeometry,
        text: text!(
            "La réunion des communes n'est pas valide : {fr}",
            "The union of the communes is not valid: {en}",
            fr = problem.fr,
            en = problem.en
        ),
    }
}

/// The columns of a level, with their kinds.
fn fields(level: Level) -> Vec<Field> {
    let kind = |name: &str| match name {
        "population" | "communes" | "communes_absentes" => FieldKind::Int,
        "superficie_km2" | "centre_lon" | "centre_lat" => FieldKind::Float,
        "bbox" => FieldKind::Json,
        _ => FieldKind::Text,
    };
    let named = level.derived_columns().into_iter();
    named.map(|name| Field { name: name.into(), kind: kind(name) }).collect()
}

fn row(
    reference: &Reference,
    level: Level,
    line: u64,
    code: &TerritoryCode,
    shape: Shape,
) -> Checked {
    let (absent, mut geometry) = (shape.absent, Geometry::MultiPolygon(shape.polygons));
    validity::normalise(&mut geometry);
    let known = reference.get(code);
    let values = fields(level).into_iter().map(|field| match field.name.as_str() {
        "code" => Value::Text(code.code.to_string()),
        "nom" => Value::Text(reference.name(code)),
        "nature" => {
            let nature = known.as_ref().and_then(|t| reference.nature(t));
            nature.map_or(Value::Null, |n| Value::Text(n.into()))
        }
        "population" => int(known.as_ref().and_then(|t| t.population)),
        "communes" => int(reference.communes(code).map(|set| set.len() as u64)),
        "communes_absentes" => int(Some(absent)),
        "membres" => list(reference.members(code).into_iter().filter(|m| m.level != Level::Com)),
        "superficie_km2" => Value::Float(round(area::area_m2(&geometry) / 1e6, 4)),
        "centre_lon" => geometry.centroid().map_or(Value::Null, |c| Value::Float(round(c.x(), 6))),
        "centre_lat" => geometry.centroid().map_or(Value::Null, |c| Value::Float(round(c.y(), 6))),
        "bbox" => bbox(&geometry),
        parents => {
            let of = known.as_ref().map(|t| t.parents.as_slice()).unwrap_or_default();
            list(of.iter().filter(|p| p.level.id() == parents).cloned())
        }
    });
    Checked { line, values: values.collect(), geometry: Some(geometry), repaired: false }
}

/// Codes, `59, 62`; null when there is none.
fn list(codes: impl Iterator<Item = TerritoryCode>) -> Value {
    let codes: Vec<String> = codes.map(|c| c.code.to_string()).collect();
    if codes.is_empty() { Value::Null } else { Value::Text(codes.join(", ")) }
}

fn int(number: Option<u64>) -> Value {
    number.and_then(|n| i64::try_from(n).ok()).map_or(Value::Null, Value::Int)
}

/// West, south, east and north in degrees, as a JSON array.
fn bbox(geometry: &Geometry<f64>) -> Value {
    geometry.bounding_rect().map_or(Value::Null, |r| {
        let [w, s, e, n] = [r.min().x, r.min().y, r.max().x, r.max().y].map(|v| round(v, 7));
        Value::Json(format!("[{w},{s},{e},{n}]"))
    })
}

fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}
