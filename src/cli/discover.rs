//! `socle discover`: what a catalogue or a service offers, with the `[source]` that each takes.

use super::out;
use crate::{
    blobs::Blobs,
    config::Settings,
    error::Result,
    harvest::{Discovery, Harvester, Offer},
    model::Text,
    text,
};
use std::process::ExitCode;

/// Arguments of `socle discover`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle discover https://data.geopf.fr/wfs --search commune\n  socle discover https://www.data.gouv.fr/datasets/code-officiel-geographique-cog/\n  socle discover https://catalogue.example.fr/csw --most 20"
)]
pub(super) struct Args {
    /// Address of a catalogue (DCAT, CSW), a service (OGC API Features, WFS, ArcGIS) or a dataset
    /// of data.gouv.fr.
    url: String,
    /// Only datasets with these words in their title.
    #[arg(long, default_value = "", hide_default_value = true)]
    search: String,
    /// How many datasets are listed.
    #[arg(long, default_value_t = 50, value_name = "N")]
    most: usize,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let harvester = Harvester::new(settings.harvest.clone(), Blobs::open(&settings.blobs)?);
    let found = harvester.discover(&args.url, &args.search, args.most).await?;
    let lang = out::lang();
    out::line(head(&found).get(lang));
    for offer in &found.offers {
        print(offer);
    }
    Ok(ExitCode::SUCCESS)
}

fn head(found: &Discovery) -> Text {
    let (kind, listed) = (found.kind, found.offers.len());
    match found.total.filter(|total| *total > listed as u64) {
        Some(total) => text!(
            "# {kind} : {listed} jeux de données sur {total} (--most, --search)",
            "# {kind}: {listed} datasets of {total} (--most, --search)"
        ),
        None => text!("# {kind} : {listed} jeux de données", "# {kind}: {listed} datasets"),
    }
}

/// Ready to be copied: everything but the source is a comment.
fn print(offer: &Offer) {
    let more = [&offer.producer, &offer.licence, &offer.page];
    let more: Vec<&str> = more.into_iter().flatten().map(String::as_str).collect();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    out::line("");
    out::line(&format!("## {}", one_line(&offer.title)));
    if !more.is_empty() {
        out::line(&format!("# {}", one_line(&more.join(" — "))));
    }
    for way in &offer.ways {
        out::line(&format!("# {} <{}>", one_line(&way.name), one_line(&way.url)));
        if let Some(source) = &way.source {
            out::line(source.trim_end());
        }
    }
}
