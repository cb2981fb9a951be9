//! Gives rows without geometry that of the territory their code names, from the layer that draws
//! its level. The id of a row does not follow from it: a new layer of communes names nobody anew.

use super::{
    Job,
    attach::{Attacher, Attachment, split},
};
use crate::{
    error::{Error, Result},
    geometry::dissolve::dissolve,
    model::{Code, Feature, Level, Report, SourceLimits, TerritoryCode, TerritoryGeometry, Value},
    store::{
        Spool,
        spool::{Spill, Spooling},
    },
    text,
};
use geo::{Centroid, Contains, CoordsIter, InteriorPoint};
use geo_types::Geometry;
use std::collections::{BTreeMap, BTreeSet};

/// Territories that a note names, so that someone can go and look at them.
const NAMED: usize = 20;

type Shapes = BTreeMap<TerritoryCode, Geometry<f64>>;

/// Fills in the geometries and says what became of whom; gives the features on.
pub(super) fn fill(
    attacher: &Attacher<'_>,
    job: &Job<'_>,
    limits: &SourceLimits,
    features: Spool<Feature>,
    spill: &Spill,
    report: &mut Report,
) -> Result<Spool<Feature>> {
    let form = job.def.territory.geometry;
    if form.is_none() {
        return Ok(features);
    }
    let mut wanted: BTreeMap<Level, BTreeSet<TerritoryCode>> = BTreeMap::new();
    features.each(|_, batch| {
        let bare = batch.iter().filter(|f| f.geometry.is_none());
        for code in bare.flat_map(|feature| attacher.named(feature, job)) {
            wanted.entry(code.level).or_default().insert(code);
        }
        Ok(())
    })?;
    let mut shapes = Shapes::new();
    for (level, codes) in &wanted {
        let Some(border) = job.borders.drawing(*level) else { continue };
        shapes.extend(border.polygons(attacher.reference, codes)?);
    }
    let mut told = Told::default();
    let (mut vertices, mut filled) = (0u64, Spooling::new(&spill.like(&features)));
    features.drain(|mut batch| {
        for feature in batch.iter_mut().filter(|f| f.geometry.is_none()) {
            let named = attacher.named(feature, job);
            if named.is_empty() {
                told.unnamed += 1;
                continue;
            }
            match drawn(&named, &shapes, form) {
                Some(shape) => {
                    told.filled += 1;
                    vertices += shape.coords_count() as u64;
                    feature.geometry = Some(shape);
                }
                None => told.lacking(&named, &shapes, job),
            }
            if vertices > limits.max_total_vertices {
                return Err(too_many(limits.max_total_vertices));
            }
        }
        filled.extend(batch)
    })?;
    told.report(form, report);
    filled.finish()
}

fn too_many(most: u64) -> Error {
    Error::Refused(text!(
        "Les contours des territoires pris par les lignes ont plus de {most} sommets (max_total_vertices) : geometry = \"centroid\" n'en prend qu'un point.",
        "The territories' polygons that rows take have more than {most} vertices (max_total_vertices): geometry = \"centroid\" takes but a point."
    ))
}

impl Attacher<'_> {
    /// The territories that a feature's codes name, by the first column that names any.
    fn named(&self, feature: &Feature, job: &Job<'_>) -> Vec<TerritoryCode> {
        for (level, field) in &self.columns {
            let Some(cell) = feature.values.get(*field).and_then(Value::as_code) else { continue };
            let mut named = Vec::new();
            for part in split(&cell) {
                match level {
                    Level::Com => self.commune(part, job, &mut named),
                    level => named.extend(
                        Code::new(*level, part)
                            .ok()
                            .map(|code| TerritoryCode { level: *level, code }),
                    ),
                }
            }
            if !named.is_empty() {
                named.sort();
                named.dedup();
                return named;
            }
        }
        Vec::new()
    }

    /// What a commune's code names today; the arrondissement itself where the code is that of one
    /// and a layer draws them.
    fn commune(&self, part: &str, job: &Job<'_>, named: &mut Vec<TerritoryCode>) {
        let mut a = Attachment::default();
        self.by_commune_code(part, &mut a);
        match a.others.pop().filter(|other| job.borders.drawing(other.level).is_some()) {
            Some(arm) => named.push(arm),
            None => named.extend(a.communes.iter().filter_map(|r| self.reference.commune(*r))),
        }
    }
}

/// What territories look like together; `None` unless all of them are drawn.
fn drawn(
    named: &[TerritoryCode],
    shapes: &Shapes,
    form: TerritoryGeometry,
) -> Option<Geometry<f64>> {
    let parts: Vec<&Geometry<f64>> =
        named.iter().map(|code| shapes.get(code)).collect::<Option<_>>()?;
    let whole = match parts.as_slice() {
        [one] => Geometry::clone(one),
        several => dissolve(several.iter().copied()).ok()??.shape.into(),
    };
    match form {
        TerritoryGeometry::Centroid => {
            let centre = whole.centroid().filter(|centre| whole.contains(centre));
            centre.or_else(|| whole.interior_point()).map(Geometry::from)
        }
        _ => Some(whole),
    }
}

/// What became of the rows without geometry.
#[derive(Default)]
struct Told {
    filled: u64,
    /// Rows whose codes name no territory.
    unnamed: u64,
    /// Rows by level that no layer draws.
    undrawn: BTreeMap<Level, u64>,
    /// Rows whose territory has no polygon in the layer that draws its level.
    missing: u64,
    missing_codes: BTreeSet<String>,
}

impl Told {
    fn lacking(&mut self, named: &[TerritoryCode], shapes: &Shapes, job: &Job<'_>) {
        let mut lacking = named.iter().filter(|code| !shapes.contains_key(code)).peekable();
        let level = lacking.peek().map(|code| code.level);
        match level.filter(|level| job.borders.drawing(*level).is_none()) {
            Some(level) => *self.undrawn.entry(level).or_default() += 1,
            None => {
                self.missing += 1;
                self.missing_codes.extend(lacking.map(|code| code.code.to_string()));
            }
        }
    }

    fn report(self, form: TerritoryGeometry, report: &mut Report) {
        let Self { filled, unnamed, undrawn, missing, missing_codes } = self;
        let point = form == TerritoryGeometry::Centroid;
        let (fr, en) =
            if point { ("le centre", "the centre") } else { ("le contour", "the polygon") };
        if filled > 0 {
            report.notes.push(text!(
                "{filled} lignes sans géométrie ont pris {fr} de leur territoire.",
                "{filled} rows without geometry took {en} of their territory."
            ));
        }
        for (level, rows) in undrawn {
            report.notes.push(text!(
                "{rows} lignes restent sans géométrie : aucune couche moissonnée ne dessine encore le niveau « {level} » (borders = \"{level}\"). Elles la prendront quand il y en aura une.",
                "{rows} rows stay without geometry: no harvested layer draws the level \"{level}\" yet (borders = \"{level}\"). They will take it once there is one."
            ));
        }
        if missing > 0 {
            let count = missing_codes.len();
            let codes: Vec<&str> = missing_codes.iter().map(String::as_str).take(NAMED).collect();
            let (codes, more) = (codes.join(", "), if count > NAMED { "…" } else { "" });
            report.notes.push(text!(
                "{missing} lignes restent sans géométrie : leur territoire n'a pas de contour dans la couche qui dessine son niveau ({codes}{more}).",
                "{missing} rows stay without geometry: their territory has no polygon in the layer that draws its level ({codes}{more})."
            ));
        }
        if unnamed > 0 {
            report.notes.push(text!(
                "{unnamed} lignes restent sans géométrie : aucun de leurs codes ne désigne un territoire d'aujourd'hui.",
                "{unnamed} rows stay without geometry: none of their codes names a territory of today."
            ));
        }
    }
}
