//! The border itself, and a feature cut at it.

use super::{
    blocking,
    outline::{Outline, Source},
};
use crate::{
    error::{Error, Result},
    formats::{mvt, wkb},
    geometry::{
        clip::{self, Clipper, Space},
        crs::Crs,
        dissolve::dissolve,
        validity,
    },
    model::ValueRef,
    query::{Filter, Scan, Start},
    store::{Row, RowSink, Store},
    text,
};
use geo_types::Geometry;
use rustc_hash::FxHashSet;
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// A border ready to cut. `Sync`; one serves any number of threads.
#[derive(Debug)]
pub struct Border {
    /// Names its territories and the state of the layers it comes from.
    pub key: String,
    /// How many of the communes that make it up have no polygon in the layer: 0 where it is whole.
    pub missing: u64,
    /// A feature is cut by one after the other.
    clippers: Vec<Clipper>,
    /// By source, in the order of the outline: the MVT ids of the polygons it is made of.
    pub(super) members: Vec<FxHashSet<u64>>,
}

/// A polygon of a source: MVT id and WKB.
type Polygon = (u64, Vec<u8>);

/// What a border leaves of a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Cut {
    /// All: the bytes given stay as they are.
    Inside,
    /// Nothing: the feature is left out.
    Outside,
    /// A part.
    Part {
        /// ISO WKB, little endian, in the border's CRS: one geometry of the dimension it had.
        wkb: Vec<u8>,
        /// `socle_part`: the share of the area, length or points that is left, 0 to 1.
        share: f64,
    },
}

impl Border {
    /// Cuts a geometry in ISO WKB, of the border's CRS.
    ///
    /// # Errors
    /// [`Error::Fault`] when the bytes are no geometry; [`Error::Conflict`] when it is not valid
    /// and cannot be cut for that reason, which only live tables can hold.
    pub fn cut(&self, bytes: &[u8]) -> Result<Cut> {
        let geometry = wkb::read(bytes).map_err(|e| Error::fault("a geometry to cut", e))?;
        Ok(match self.cut_geometry(&geometry)? {
            clip::Cut::Inside => Cut::Inside,
            clip::Cut::Outside => Cut::Outside,
            clip::Cut::Part(part) => {
                let mut wkb = Vec::with_capacity(bytes.len());
                wkb::write(&part.geometry, &mut wkb);
                Cut::Part { wkb, share: part.share }
            }
        })
    }

    /// The same for a geometry already read.
    ///
    /// # Errors
    /// [`Error::Conflict`], as [`Border::cut`].
    pub fn cut_geometry(&self, geometry: &Geometry<f64>) -> Result<clip::Cut> {
        let mut left = clip::Cut::Inside;
        for clipper in &self.clippers {
            left = match left {
                clip::Cut::Inside => one(clipper, geometry)?,
                clip::Cut::Outside => return Ok(clip::Cut::Outside),
                clip::Cut::Part(part) => match one(clipper, &part.geometry)? {
                    clip::Cut::Inside => clip::Cut::Part(part),
                    clip::Cut::Outside => clip::Cut::Outside,
                    clip::Cut::Part(less) => {
                        clip::Cut::Part(clip::Part { share: less.share * part.share, ..less })
                    }
                },
            };
        }
        Ok(left)
    }

    /// The shapes whose common part is inside.
    pub fn shapes(&self) -> impl Iterator<Item = &geo_types::MultiPolygon<f64>> {
        self.clippers.iter().map(Clipper::shape)
    }

    /// Bytes it takes, about.
    pub(super) fn weight(&self) -> usize {
        let vertices = |m: &geo_types::MultiPolygon<f64>| -> usize {
            let rings = m.0.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
            rings.map(|r| r.0.len()).sum()
        };
        // A vertex, and its edge in the index, about twice.
        let shapes: usize = self.shapes().map(|m| 80 * vertices(m)).sum();
        shapes + self.members.iter().map(|m| 16 * m.len()).sum::<usize>() + 512
    }
}

fn one(clipper: &Clipper, geometry: &Geometry<f64>) -> Result<clip::Cut> {
    let problem = match clipper.cut(geometry) {
        Ok(cut) => return Ok(cut),
        Err(problem) => problem,
    };
    // Tables published as they are hold what they hold.
    match validity::repair(geometry.clone()) {
        Some(repaired) => clipper.cut(&repaired).map_err(|p| uncut(&p)),
        None => Err(uncut(&problem)),
    }
}

fn uncut(problem: &validity::Problem) -> Error {
    let problem = problem.text();
    Error::Conflict(text!(
        "Une géométrie invalide ne peut pas être découpée : {fr}.",
        "An invalid geometry cannot be cut: {en}.",
        fr = problem.fr,
        en = problem.en
    ))
}

/// Reads the polygons of an outline and prepares their union.
pub(super) async fn read(
    store: &Arc<dyn Store>,
    outline: &Outline,
    crs: Option<&Crs>,
) -> Result<Border> {
    let mut border =
        Border { key: outline.key.clone(), missing: 0, clippers: vec![], members: vec![] };
    for sources in &outline.perimeters {
        let mut polygons = Vec::new();
        for source in sources {
            let found = polygons_of(store, source).await?;
            if found.is_empty() {
                return Err(nothing(source));
            }
            if let Some(communes) = &source.communes {
                border.missing += (communes.len() as u64).saturating_sub(found.len() as u64);
            }
            border.members.push(found.iter().map(|f| f.0).collect());
            polygons.extend(found.into_iter().map(|f| f.1));
        }
        let crs = crs.cloned();
        let clipper = blocking(move || prepare(&polygons, crs.as_ref())).await??;
        border.clippers.push(clipper);
    }
    if border.missing > 0 {
        let (border, communes) = (&border.key, border.missing);
        tracing::warn!(border, communes, "a border lacks communes that its layer does not hold");
    }
    Ok(border)
}

/// MVT id and WKB of each polygon of a source.
async fn polygons_of(store: &Arc<dyn Store>, source: &Source) -> Result<Vec<Polygon>> {
    let filters: Vec<Filter> = match source.selection() {
        Some(selection) => {
            vec![Filter { selection: Some(selection), ..Filter::default() }]
        }
        None => {
            let one = |t| Filter { equals: vec![source.equals(t)], ..Filter::default() };
            source.territories.iter().map(one).collect()
        }
    };
    let found: Arc<Mutex<Vec<Polygon>>> = Arc::default();
    for filter in filters {
        let (out, only) = (found.clone(), source.only.clone());
        let sink: RowSink = Box::new(move |row: &Row<'_>| {
            let wanted = only.as_ref().is_none_or(|(field, value)| match row.values.get(*field) {
                Some(ValueRef::Text(s)) => s.trim() == value,
                Some(ValueRef::Int(n)) => n.to_string() == *value,
                _ => false,
            });
            if let (true, Some(wkb)) = (wanted, row.wkb) {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                out.push((mvt::feature_id(row.id), wkb.to_vec()));
            }
            ControlFlow::Continue(())
        });
        let scan = Scan { filter, start: Start::Ordinal(0), limit: None };
        store.scan(&source.at, scan, sink).await?;
    }
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *found))
}

fn prepare(polygons: &[Vec<u8>], crs: Option<&Crs>) -> Result<Clipper> {
    let mut members = Vec::with_capacity(polygons.len());
    for bytes in polygons {
        let mut geometry = wkb::read(bytes).map_err(|e| Error::fault("a border's geometry", e))?;
        if let Some(crs) = crs {
            crs.from_crs84(&mut geometry).map_err(|e| Error::fault("projecting a border", e))?;
        }
        members.push(geometry);
    }
    let union = dissolve(&members).map_err(|e| Error::fault("the union of a border", e))?;
    let shape = union.map(|u| u.shape).unwrap_or(geo_types::MultiPolygon(Vec::new()));
    let degrees = crs.is_none_or(Crs::is_geographic);
    Ok(Clipper::new(shape, if degrees { Space::Degrees } else { Space::Plane }))
}

fn nothing(source: &Source) -> Error {
    let names: Vec<String> = source.territories.iter().map(ToString::to_string).collect();
    let (names, layer) = (names.join(", "), &source.at.layer);
    Error::Conflict(text!(
        "La couche « {layer} » ne contient pas la limite de {names} : le découpage n'est pas possible.",
        "Layer \"{layer}\" does not hold the border of {names}: nothing can be cut at it."
    ))
}
