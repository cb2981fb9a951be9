//! What a page is written on: features of GeoJSON that a document is put around, or a whole file of
//! one of the formats of [`write`](crate::formats::write). Either waits in a [`Spool`], in memory
//! while it is small: what goes wrong with its last feature is a plain refusal, never half a page.

use super::{System, View};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    formats::{
        geojson,
        gml::{self, Gml, Part},
        wkb,
        write::{Fact, Head, Kind, Options, Row, Said, Spool, Target, Writer},
    },
    geometry::generalise::generalise,
    model::{Field, FieldKind, GeometryKind, Schema, ValueRef},
};
use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of a page kept in memory.
const MEMORY: usize = 8 << 20;

/// The formats of pages besides GeoJSON documents, by their ids.
const FILES: [&str; 4] = ["geojsonseq", "ndjson", "fgb", "csv"];
/// Those where a feature has columns and no id.
const WITHOUT_IDS: [&str; 2] = ["fgb", "csv"];

/// How a page is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Form {
    /// Features of GeoJSON, with commas between them.
    #[default]
    Features,
    /// A file.
    File(&'static Kind, Options),
    /// Members of a collection of GML.
    Members(Members),
}

/// How members of GML are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Members {
    /// The version.
    pub gml: Gml,
    /// What of each feature.
    pub part: Part,
    /// The system as the client spells it.
    pub srs: String,
}

impl Form {
    /// The formats of files that pages have.
    pub fn files() -> impl Iterator<Item = &'static Kind> {
        FILES.iter().filter_map(|id| Kind::of(id))
    }
}

/// Takes the features of a page, one after the other.
pub(super) struct Paper {
    pen: Pen,
    spool: Shared,
    /// Where it waits when it is large.
    folder: PathBuf,
    system: System,
    view: View,
    /// Fields of the layer itself; what stands behind them is always shown.
    own: usize,
    /// Whether single geometries become multi ones, as the format wants them all alike.
    multi: bool,
    /// Whether the first column is the id: the format has no place for it, and no field is it.
    named: bool,
    /// Whether a feature was written.
    begun: bool,
    scratch: Vec<u8>,
    /// Why it takes no more.
    fault: Option<Error>,
}

enum Pen {
    Features(geojson::FeatureWriter),
    Members(gml::FeatureWriter),
    File(Box<dyn Writer>),
}

/// What is to be written of a layer.
pub(super) struct Sheet<'a> {
    pub(super) layer: &'a Layer,
    /// Fields of the rows, those that a cut adds behind the layer's own.
    pub(super) schema: &'a Schema,
    pub(super) form: Form,
    pub(super) system: System,
    pub(super) view: View,
}

impl Paper {
    /// One that waits in a folder where it is large.
    pub(super) fn new(sheet: Sheet<'_>, folder: &Path) -> Result<Self> {
        let own = sheet.layer.at()?.version.schema.fields.len();
        let mut shown = sheet.view.schema(sheet.schema, own);
        let spool = Shared(Arc::new(Mutex::new(Spool::holding(folder, MEMORY))));
        let (mut system, mut multi, mut named) = (sheet.system, false, false);
        let pen = match sheet.form {
            Form::Features => {
                let writer = geojson::FeatureWriter::new(&shown);
                Pen::Features(match system.decimals() {
                    Some(decimals) => writer.with_decimals(decimals),
                    None => writer,
                })
            }
            Form::Members(Members { gml, part, srs }) => {
                multi = has_multi(shown.geometry);
                let id = sheet.layer.def.id.as_str();
                let geometry = sheet.schema.geometry_name();
                let writer = gml::FeatureWriter::new(gml, part, id, &shown, &geometry, &srs);
                Pen::Members(match system.decimals() {
                    Some(decimals) => writer.with_decimals(decimals),
                    None => writer,
                })
            }
            Form::File(kind, options) => {
                multi = has_multi(shown.geometry);
                let keyed = sheet.layer.at()?.version.key.is_some();
                named = !keyed && WITHOUT_IDS.contains(&kind.id);
                if named {
                    let name = sheet.schema.free_name("id");
                    let id = Field { name, kind: FieldKind::Text };
                    shown.fields.insert(0, id);
                }
                let head = head(sheet.layer, shown, &system)?;
                if !kind.crs84 {
                    // Files of no JSON have x before y, whatever the authority says.
                    system = system.with_x_first();
                }
                let out = Box::new(spool.clone());
                let mut writer = kind.open(Target { out, scratch: folder.to_owned() }, options)?;
                writer.begin(&head)?;
                Pen::File(writer)
            }
        };
        let view = sheet.view;
        let folder = folder.to_owned();
        Ok(Self {
            pen,
            spool,
            folder,
            system,
            view,
            own,
            multi,
            named,
            begun: false,
            scratch: Vec::new(),
            fault: None,
        })
    }

    /// Writes a feature. `Break`: it could not.
    pub(super) fn add(
        &mut self,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
    ) -> ControlFlow<()> {
        match self.write(id, values, wkb) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => self.fail(fault),
        }
    }

    /// Takes no more, and says why when it is finished.
    pub(super) fn fail(&mut self, fault: Error) -> ControlFlow<()> {
        self.fault = Some(fault);
        ControlFlow::Break(())
    }

    fn write(&mut self, id: &str, values: &[ValueRef<'_>], wkb: Option<&[u8]>) -> Result<()> {
        let wkb = wkb.filter(|_| !self.view.no_geometry);
        let coarse = match (wkb, self.view.zoom) {
            (Some(wkb), Some(zoom)) => coarse(wkb, zoom)?,
            _ => None,
        };
        let shown = match coarse.as_deref().or(wkb) {
            Some(wkb) => Some(self.system.show(wkb, self.multi, &mut self.scratch)?),
            None => None,
        };
        let picked = self.view.values(values, self.own);
        let values = picked.as_deref().unwrap_or(values);
        let first = !std::mem::replace(&mut self.begun, true);
        match &mut self.pen {
            Pen::File(writer) if self.named => {
                let values = [&[ValueRef::Text(id)], values].concat();
                writer.row(&Row { id, values: &values, wkb: shown })
            }
            Pen::File(writer) => writer.row(&Row { id, values, wkb: shown }),
            Pen::Members(writer) => self.spool.lock(|spool| {
                spool.grow(|out| {
                    let written = writer.write(id, values, shown, out);
                    written.map_err(|e| Error::fault("a stored geometry cannot be read", e))
                })
            }),
            Pen::Features(writer) => self.spool.lock(|spool| {
                spool.grow(|out| {
                    if !first {
                        out.extend_from_slice(b",\n");
                    }
                    let written = writer.try_write(id, values, shown, out);
                    written.map_err(|e| Error::fault("a stored geometry cannot be read", e))
                })
            }),
        }
    }

    /// What was written since the last look: of a file, what its writer gave on already.
    pub(super) fn take(&mut self) -> Result<Vec<u8>> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.spool.lock(|spool| {
            spool.seal()?;
            std::mem::replace(spool, Spool::holding(&self.folder, MEMORY)).into_bytes()
        })
    }

    /// Whether finishing makes more than a few bytes: an index.
    pub(super) fn takes_time(&self) -> bool {
        matches!(self.pen, Pen::File(_)) && self.fault.is_none()
    }

    /// What was written; a geometry that cannot be shown fails, it is never a hole in the answer.
    /// Not on a thread that serves: an index may have to be made.
    pub(super) fn finish(self) -> Result<Spool> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Pen::File(mut writer) = self.pen {
            writer.end()?;
            writer.finish()?;
        }
        self.spool.lock(|spool| {
            spool.seal()?;
            Ok(std::mem::replace(spool, Spool::new(Path::new(""))))
        })
    }
}

/// A geometry generalised for a zoom; `None` where that takes nothing away.
fn coarse(wkb: &[u8], zoom: u8) -> Result<Option<Vec<u8>>> {
    let stored = wkb::read(wkb).map_err(|e| Error::fault("a stored geometry cannot be read", e))?;
    Ok(generalise(&stored, zoom).map(|coarse| {
        let mut out = Vec::new();
        wkb::write(&coarse, &mut out);
        out
    }))
}

/// Whether geometries of a kind are all multi ones.
fn has_multi(kind: GeometryKind) -> bool {
    use GeometryKind as K;
    matches!(kind, K::MultiPoint | K::MultiLineString | K::MultiPolygon)
}

/// What a file says of a layer.
fn head(layer: &Layer, schema: Schema, system: &System) -> Result<Head> {
    let (def, version) = (&layer.def, &layer.at()?.version);
    Ok(Head {
        name: def.id.to_string(),
        title: def.title.fr.clone(),
        description: def.description.fr.clone(),
        label: def.label.as_deref().and_then(|name| schema.index(name)),
        said: Said::of_layer(def, version),
        schema,
        system: system.spelled()?,
        facts: Fact::of_layer(def, version),
        style: None,
        project: None,
    })
}

/// A spool that a writer writes to.
#[derive(Clone)]
struct Shared(Arc<Mutex<Spool>>);

impl Shared {
    fn lock<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock(|spool| spool.push(bytes)).map_err(|e| match e {
            Error::Full(_) => io::ErrorKind::StorageFull.into(),
            other => io::Error::other(other),
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
