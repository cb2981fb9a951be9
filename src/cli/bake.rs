//! `socle bake`: the tiles of layers as one local file.

use super::{cut, out, progress::Shown, store};
use crate::{
    app,
    catalog::{Catalog, Snapshot},
    config::Settings,
    error::{Error, Result},
    import,
    model::{Lang, Progress, TerritoryCode},
    query::Filter,
    store::border::Borders,
    text,
    tiles::{
        Part,
        bake::{Order, bake},
    },
};
use serde_json::{Map, json};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Arguments of `socle bake`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle bake communes -o communes.pmtiles\n  socle bake communes cantons mairies --territory dep:59 --max-zoom 12 -o nord.pmtiles\n  socle bake communes --territory epci:200093201 --territory-mode clip -o mel.mbtiles"
)]
pub(super) struct Args {
    /// The layers: each an MVT layer of its own in every tile.
    #[arg(required = true, value_name = "LAYER")]
    layers: Vec<String>,
    /// Territories, separated by commas (dep:59, epci:200093201…); all of each layer without.
    #[arg(long, value_name = "TERRITORIES")]
    territory: Option<String>,
    /// How features are bound to the territory: concerns, within or clip.
    #[arg(long, default_value = "concerns", value_name = "MODE")]
    territory_mode: String,
    /// The first zoom; the first that the layers have without.
    #[arg(long, value_name = "ZOOM")]
    min_zoom: Option<u8>,
    /// The deepest zoom; the deepest that the layers have without.
    #[arg(long, value_name = "ZOOM")]
    max_zoom: Option<u8>,
    /// The file to write, .pmtiles or .mbtiles; an older one of that name is replaced once the
    /// new one is whole.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let reference = app::reference(settings)?;
    let store = store(settings)?;
    let snapshot = Catalog::open(settings.layers.clone(), store.clone()).await?.snapshot();
    let state = &snapshot.reference;
    let reference = import::in_force(&*store, state, &reference, &settings.levels).await?;
    let (mode, clip) = cut::mode(&args.territory_mode)?;
    let resolved = cut::territories(&reference, args.territory.as_deref())?;
    let codes: Vec<TerritoryCode> = resolved.iter().map(|r| r.code.clone()).collect();
    if clip && codes.is_empty() {
        return Err(cut::no_border());
    }
    let selection = match codes.is_empty() {
        true => None,
        false => Some(Arc::new(reference.select(&codes, mode)?)),
    };
    let outline = match clip {
        true => Some(snapshot.outline(&reference.perimeter(&codes)?)?),
        false => None,
    };
    let filter = Filter { selection, ..Filter::default() };
    let parts = parts(&snapshot, &args.layers, &filter)?;
    let zooms = Order::zooms(&parts, args.min_zoom, args.max_zoom)?;
    let mut extra = Map::new();
    let mut name =
        parts.iter().map(|p| p.layer.def.title.fr.as_str()).collect::<Vec<_>>().join(", ");
    if !codes.is_empty() {
        let extent = cut::words(&reference, &codes, mode, clip);
        name = format!("{name} — {}", extent.words.get(Lang::Fr));
        extra.insert("territory".to_owned(), json!(extent.slug));
        extra.insert("vintage".to_owned(), json!(reference.vintage()));
    }
    for notice in resolved.iter().filter_map(|r| r.notice.as_ref()) {
        out::line(notice.get(lang));
    }
    let borders = Arc::new(Borders::new(store.clone()));
    let order = Order { parts, outline, zooms, name, extra };
    let shown = Shown::new(lang);
    let baked = bake(&store, &borders, &order, &args.output, &shown).await;
    shown.finish();
    for line in baked?.lines(&args.output.display().to_string()) {
        out::line(line.get(lang));
    }
    Ok(ExitCode::SUCCESS)
}

/// The layers asked for, in the order of their ids, none twice.
fn parts(snapshot: &Snapshot, asked: &[String], filter: &Filter) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for id in asked {
        let layer = snapshot.layer(id)?.clone();
        if layer.at()?.version.schema.geometry.dimension().is_none()
            && layer.at()?.version.bbox.is_none()
        {
            return Err(Error::Invalid(text!(
                "La couche « {id} » n'a pas de géométrie : elle n'a pas de tuiles.",
                "Layer \"{id}\" has no geometry: it has no tiles."
            )));
        }
        if parts.iter().all(|p| p.layer.def.id != layer.def.id) {
            parts.push(Part { layer, filter: filter.clone() });
        }
    }
    parts.sort_by(|a, b| a.layer.def.id.cmp(&b.layer.def.id));
    Ok(parts)
}
