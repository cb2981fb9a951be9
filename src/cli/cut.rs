//! `socle cut`: layers, selected for a territory, as a local file.

use super::{out, progress::Shown, store};
use crate::{
    app,
    blobs::Blobs,
    catalog::{Catalog, Layer},
    config::Settings,
    error::{Error, Result},
    exports::{Exports, Extent, Options, Order, Part, Place, legal_crs},
    import,
    items::Frame,
    model::{BBox, Lang, Mode, Progress, Selection, TerritoryCode, Text},
    query::{
        Filter,
        cql2::{self, Context, Dialect, Expression},
    },
    store::border::Borders,
    territory::{Reference, Resolved},
    text,
};
use geo_types::Geometry;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

/// Arguments of `socle cut`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle cut communes cantons --territory dep:59 --format gpkg -o nord.gpkg\n  socle cut mairies --territory epci:200093201 --format csv --decimal comma -o mairies.csv\n  socle cut communes --territory dep:59 --territory-mode within --format shp --crs EPSG:3950 -o communes.zip\n  socle cut communes --filter \"population > 10000\" --format xlsx -o grandes.xlsx"
)]
pub(super) struct Args {
    /// The layers.
    #[arg(required = true, value_name = "LAYER")]
    layers: Vec<String>,
    /// Territories, separated by commas (dep:59, epci:200093201…); all of each layer without.
    #[arg(long, value_name = "TERRITORIES")]
    territory: Option<String>,
    /// How features are bound to the territory: concerns, within or clip.
    #[arg(long, default_value = "concerns", value_name = "MODE")]
    territory_mode: String,
    /// Only features of which a CQL2 filter is true: "population > 10000 AND nom LIKE 'Saint-%'".
    #[arg(long, value_name = "CQL2")]
    filter: Option<String>,
    /// How the filter is written: cql2-text or cql2-json.
    #[arg(long, default_value = "cql2-text", requires = "filter", value_name = "LANG")]
    filter_lang: String,
    /// The coordinate reference system of the geometries in the filter; CRS84 without.
    #[arg(long, requires = "filter", value_name = "CRS")]
    filter_crs: Option<String>,
    /// The format: gpkg, shp, geojson, geojsonseq, ndjson, fgb, csv, xlsx, parquet or kml.
    #[arg(long, value_name = "FORMAT")]
    format: String,
    /// The coordinate reference system; the territory's legal one without.
    #[arg(long, value_name = "CRS")]
    crs: Option<String>,
    /// Decimal mark of CSV: point or comma.
    #[arg(long, default_value = "point", value_parser = ["point", "comma"])]
    decimal: String,
    /// How tables show geometry: none, wkt or point.
    #[arg(long, default_value = "none", value_parser = ["none", "wkt", "point"])]
    geometry: String,
    /// The file to write; an older one of that name is replaced once the new one is whole.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let kind = Order::kind(&args.format)?;
    let crs = Order::crs(kind, args.crs.as_deref())?;
    Order::check_layers(args.layers.len())?;
    let reference = app::reference(settings)?;
    let store = store(settings)?;
    let snapshot = Catalog::open(settings.layers.clone(), store.clone()).await?.snapshot();
    let state = &snapshot.reference;
    let reference = import::in_force(&*store, state, &reference, &settings.levels).await?;
    let (mode, clip) = mode(&args.territory_mode)?;
    let resolved = territories(&reference, args.territory.as_deref())?;
    let codes: Vec<TerritoryCode> = resolved.iter().map(|r| r.code.clone()).collect();
    if clip && codes.is_empty() {
        return Err(no_border());
    }
    let selection = match codes.is_empty() {
        true => None,
        false => Some(Arc::new(reference.select(&codes, mode)?)),
    };
    let filter = Filtered::read(&args, &reference)?;
    let outline = match clip {
        true => Some(snapshot.outline(&reference.perimeter(&codes)?)?),
        false => None,
    };
    let mut extent = BBox::EMPTY;
    let mut parts: Vec<Part> = Vec::new();
    for id in &args.layers {
        let layer = snapshot.layer(id)?.clone();
        extent.merge(&layer.at()?.version.bbox.unwrap_or(BBox::EMPTY));
        if parts.iter().all(|p| p.layer.def.id != layer.def.id) {
            let expression = filter.on(&layer)?;
            let filter = Filter { selection: selection.clone(), expression, ..Filter::default() };
            parts.push(Part { layer, filter, outline: outline.clone() });
        }
    }
    let whole = Some(&extent).filter(|e| !e.is_empty());
    let crs = crs.unwrap_or_else(|| legal_crs(&reference, &codes, whole));
    let order = Order {
        parts,
        kind,
        crs,
        options: options(&args),
        extent: (!codes.is_empty()).then(|| words(&reference, &codes, mode, clip)),
        vintage: reference.vintage(),
        service: settings.server.public_url.as_ref().map(ToString::to_string),
    };
    filter.hear(&resolved);
    filter.say(lang);
    let blobs = Blobs::open(&settings.blobs)?;
    let borders = Arc::new(Borders::new(store.clone()));
    let (set, styles) = (settings.exports.clone(), settings.styles.clone());
    let exports = Exports::new(store, borders, blobs, set, styles);
    let shown = Shown::new(lang);
    let written = exports.write(&order, &args.output, &shown).await;
    shown.finish();
    let written = written?;
    let (rows, file) = (written.rows, args.output.display());
    let (mb, name) = (written.bytes as f64 / f64::from(1 << 20), order.crs.name());
    let report = text!(
        "✓ {file} : {rows} entités, {mb:.1} Mio, {name}",
        "✓ {file}: {rows} features, {mb:.1} MiB, {name}"
    );
    out::line(report.get(lang));
    Ok(ExitCode::SUCCESS)
}

/// The filter asked for, before anything is known of the layers it is to be asked of.
struct Filtered<'a> {
    tree: Option<cql2::Node>,
    frame: Frame,
    reference: &'a Reference,
    /// How territories by codes that are no longer current were understood.
    notices: Mutex<Vec<Text>>,
}

impl<'a> Filtered<'a> {
    fn read(args: &Args, reference: &'a Reference) -> Result<Self> {
        let dialect = Dialect::parse(&args.filter_lang)?;
        let tree = args.filter.as_deref().map(|text| cql2::parse(dialect, text)).transpose()?;
        let frame = Frame::parse(args.filter_crs.as_deref())?;
        Ok(Self { tree, frame, reference, notices: Mutex::default() })
    }

    /// Keeps how some territories were understood.
    fn hear(&self, resolved: &[Resolved]) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.extend(resolved.iter().filter_map(|r| r.notice.clone()));
    }

    /// Says it, each notice once.
    fn say(&self, lang: Lang) {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let once: BTreeSet<&str> = notices.iter().map(|notice| notice.get(lang)).collect();
        once.into_iter().for_each(out::line);
    }

    fn on(&self, layer: &Layer) -> Result<Option<Arc<Expression>>> {
        let Some(tree) = &self.tree else { return Ok(None) };
        cql2::check(tree, &layer.at()?.version.schema, self).map(Arc::new).map(Some)
    }
}

impl Context for Filtered<'_> {
    fn territory(&self, written: &str, mode: Mode) -> Result<Arc<Selection>> {
        let resolved = territories(self.reference, Some(written))?;
        self.hear(&resolved);
        let codes: Vec<TerritoryCode> = resolved.into_iter().map(|r| r.code).collect();
        self.reference.select(&codes, mode).map(Arc::new)
    }

    fn place(&self, geometry: Geometry<f64>) -> Result<Geometry<f64>> {
        self.frame.place(geometry)
    }

    fn place_box(&self, sides: [f64; 4]) -> Result<Geometry<f64>> {
        self.frame.place_box(sides)
    }

    fn system(&self) -> Option<String> {
        self.frame.name()
    }
}

pub(super) fn territories(reference: &Reference, asked: Option<&str>) -> Result<Vec<Resolved>> {
    let units = asked.into_iter().flat_map(|list| list.split(','));
    units.map(|unit| reference.resolve(unit.trim())).collect()
}

fn options(args: &Args) -> Options {
    let place = match args.geometry.as_str() {
        "wkt" => Place::Wkt,
        "point" => Place::Point,
        _ => Place::None,
    };
    Options { decimal_comma: args.decimal == "comma", place, ..Options::default() }
}

/// Cut, but at the border of what?
pub(super) fn no_border() -> Error {
    Error::Invalid(text!(
        "--territory-mode clip : donnez le territoire à la limite duquel découper (--territory).",
        "--territory-mode clip: give the territory at whose border to cut (--territory)."
    ))
}

/// The mode, and whether features are cut.
pub(super) fn mode(words: &str) -> Result<(Mode, bool)> {
    match words {
        "concerns" => Ok((Mode::Concerns, false)),
        "within" => Ok((Mode::Within, false)),
        "clip" => Ok((Mode::Concerns, true)),
        other => Err(Error::Invalid(text!(
            "--territory-mode : « {other} ». Valeurs possibles : concerns, within, clip.",
            "--territory-mode: \"{other}\". Possible values: concerns, within, clip."
        ))),
    }
}

/// The territory for people and for the file itself.
pub(super) fn words(
    reference: &Reference,
    codes: &[TerritoryCode],
    mode: Mode,
    clip: bool,
) -> Extent {
    let name = |code: &TerritoryCode| match reference.get(code) {
        Some(territory) => format!("{} ({code})", territory.name),
        None => code.to_string(),
    };
    let names = codes.iter().map(name).collect::<Vec<_>>().join(" + ");
    let mut slug = codes.iter().map(TerritoryCode::path).collect::<Vec<_>>().join("+");
    let words = match mode {
        _ if clip => {
            slug.push_str("-clip");
            text!("{names}, découpé", "{names}, cut")
        }
        Mode::Concerns => text!("{names}, sélectionné", "{names}, selected"),
        Mode::Within => {
            slug.push_str("-within");
            text!("{names}, contenu", "{names}, contained")
        }
    };
    Extent { slug, words }
}
