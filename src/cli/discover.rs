//! `socle discover`: what a catalogue or a service offers, each as a layer file begins.

use super::out;
use crate::{
    blobs::Blobs,
    config::{self, Settings},
    error::Result,
    harvest::{Discovery, Harvester, Offer},
    model::Text,
    text,
};
use std::process::ExitCode;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

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

/// What a layer file begins with: of several sources the first, the others as comments.
fn print(offer: &Offer) {
    out::line("");
    out::line(&format!("## {}", one_line(&offer.title)));
    if let Some(page) = &offer.page {
        out::line(&format!("# <{}>", one_line(page)));
    }
    if offer.ways.iter().any(|way| way.source.is_some()) {
        out::line(&format!("id = {}", quoted(&id(&offer.title))));
        out::line(&format!("title = {}", quoted(&offer.title)));
        if let Some(producer) = &offer.producer {
            out::line(&format!("producer = {}", quoted(producer)));
        }
        if let Some(words) = &offer.licence {
            out::line(&format!("licence = {}", licence(words)));
        }
    }
    let mut first = true;
    for way in &offer.ways {
        let format = match way.format.as_str() {
            "" => String::new(),
            format => format!(" ({})", one_line(format)),
        };
        out::line(&format!("# {}{format} <{}>", one_line(&way.name), one_line(&way.url)));
        let lines = way.source.iter().flat_map(|source| source.lines());
        lines.for_each(|line| out::line(&format!("{}{line}", if first { "" } else { "# " })));
        first &= way.source.is_none();
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(one_line(text)).to_string()
}

/// A licence as a layer file has it: by its id, or spelled out.
fn licence(words: &str) -> String {
    let words = one_line(words);
    if let Some(id) = config::licence_named(&words) {
        return quoted(id);
    }
    let url = match words.starts_with("http") {
        true => format!(", url = {}", quoted(&words)),
        false => String::new(),
    };
    format!("{{ title = {}{url} }}", quoted(&words))
}

/// An id for a title: its first words without accents.
fn id(title: &str) -> String {
    let plain = title.nfd().filter(|c| !is_combining_mark(*c)).collect::<String>().to_lowercase();
    let mut id = String::new();
    for word in plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if id.len() + word.len() >= 40 {
            break;
        }
        if !id.is_empty() {
            id.push('-');
        }
        id.push_str(word);
    }
    if id.is_empty() { "couche".to_owned() } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LayerId;

    #[test]
    fn titles_give_ids() {
        for (title, wanted) in [
            ("Limites des communes (2026)", "limites-des-communes-2026"),
            ("Arrêts de bus — réseau d'Étampes", "arrets-de-bus-reseau-d-etampes"),
            ("Œ", "couche"),
            ("", "couche"),
            (&"a".repeat(70), "couche"),
        ] {
            assert_eq!(id(title), wanted);
            assert!(id(title).parse::<LayerId>().is_ok());
        }
    }

    #[test]
    fn licences_are_called_by_their_ids_where_they_have_one() {
        assert_eq!(licence("lov2"), "\"lov2\"");
        assert_eq!(licence("Licence Ouverte 2.0"), "\"lov2\"");
        assert_eq!(licence("https://opendatacommons.org/licenses/odbl/1-0/"), "\"odc-odbl\"");
        assert_eq!(licence("CC BY\n maison \"x\""), "{ title = 'CC BY maison \"x\"' }");
        let url = "https://x.fr/l";
        assert_eq!(licence(url), format!("{{ title = \"{url}\", url = \"{url}\" }}"));
    }
}
