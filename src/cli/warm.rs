//! `socle warm`: the tiles of small zooms, drawn and kept before anybody asks for them.

use super::{out, progress::Shown, store};
use crate::{
    app::App,
    catalog::Layer,
    config::Settings,
    error::{Error, Result},
    model::Progress,
    text,
    tiles::Filled,
};
use std::{process::ExitCode, sync::Arc};

/// Arguments of `socle warm`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  socle warm\n  socle warm communes cantons --max-zoom 8")]
pub(super) struct Args {
    /// The layers; all of them without.
    #[arg(value_name = "LAYER")]
    layers: Vec<String>,
    /// The deepest zoom, 10 at most; that of the configuration (kept_zoom) without.
    #[arg(long, value_name = "ZOOM", value_parser = clap::value_parser!(u8).range(0..=10))]
    max_zoom: Option<u8>,
}

pub(super) async fn run(settings: Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    if settings.tiles.kept_bytes == 0 {
        return Err(Error::Invalid(text!(
            "Rien n'est conservé : [tiles] dit kept_mb = 0.",
            "Nothing is kept: [tiles] says kept_mb = 0."
        )));
    }
    let store = store(&settings)?;
    let app = App::new(settings, store).await?;
    let snapshot = app.catalog.snapshot();
    let layers: Vec<Arc<Layer>> = match args.layers.as_slice() {
        [] => snapshot.served().cloned().collect(),
        ids => ids.iter().map(|id| snapshot.layer(id).cloned()).collect::<Result<_>>()?,
    };
    let shown = Shown::new(lang);
    let mut lines = Vec::new();
    for layer in &layers {
        let filled = app.tiles.keep(layer, args.max_zoom, &shown).await;
        let id = &layer.def.id;
        match filled {
            Ok(filled) => lines.push(told(id.as_str(), filled)),
            Err(e) => {
                shown.finish();
                return Err(e);
            }
        }
    }
    shown.finish();
    for line in lines {
        out::line(line.get(lang));
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of a layer.
fn told(id: &str, filled: Filled) -> crate::model::Text {
    let Filled { zoom, tiles, bytes, known } = filled;
    let kb = bytes.div_ceil(1000);
    match zoom {
        None => text!(
            "{id} : rien à conserver (table vivante, couche sans tuiles, ou plus de place : kept_mb)",
            "{id}: nothing to keep (a live table, a layer without tiles, or no room left: kept_mb)"
        ),
        Some(zoom) if known => text!(
            "{id} : déjà conservée jusqu'au zoom {zoom} ({kb} ko)",
            "{id}: kept already down to zoom {zoom} ({kb} kB)"
        ),
        Some(zoom) => text!(
            "{id} : {tiles} tuiles conservées jusqu'au zoom {zoom} ({kb} ko)",
            "{id}: {tiles} tiles kept down to zoom {zoom} ({kb} kB)"
        ),
    }
}
