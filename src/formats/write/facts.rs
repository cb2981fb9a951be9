//! What every file says of a layer, wherever it is written: where it comes from, its licence, its
//! dates (DESIGN §4, provenance), in French, as their producers' are.

use super::{Fact, Said};
use crate::model::{Lang, LayerDef, Version};

impl Fact {
    /// A fact, where there is something to say.
    pub fn of(key: &'static str, label: &'static str, value: Option<String>) -> Option<Self> {
        value.filter(|v| !v.is_empty()).map(|value| Self { key, label, value })
    }

    /// Those of a version of a layer.
    pub fn of_layer(def: &LayerDef, version: &Version) -> Vec<Self> {
        let source = &version.source;
        let described = def.described_at.map(|d| d.to_string());
        let all = [
            Self::of("producer", "Producteur", Some(def.producer.clone())),
            Self::of("contact", "Contact", def.contact.clone()),
            Self::of("licence", "Licence", Some(def.licence.title.clone())),
            Self::of("licence_url", "Texte de la licence", def.licence.url.clone()),
            Self::of("attribution", "Mention à reprendre", Some(def.attribution.clone())),
            Self::of("source", "Source", Some(source.origin.clone())),
            Self::of("page", "Jeu de données", def.page.clone()),
            Self::of("described", "État au", described),
            Self::of("published", "Publié le", version.published(def)),
            Self::of("fetched", "Récupéré le", Some(source.fetched_at.to_string())),
            Self::of("checked", "Vérifié le", Some(source.checked_at.to_string())),
            Self::of("version", "Version", Some(version.id.to_string())),
            Self::of("sha256", "SHA-256 de la source", Some(source.sha256.clone())),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Said {
    /// What is said of the fields of a version of a layer; of those with nothing but a name, nothing.
    pub fn of_layer(def: &LayerDef, version: &Version) -> Vec<Self> {
        let fields = version.schema.fields.iter();
        let said = fields.filter_map(|field| {
            let said = def.field(version, &field.name, Lang::Fr);
            let unit = said.unit.map(|unit| format!("Unité : {}", unit.words()));
            let words: Vec<&str> = said.description.into_iter().chain(unit.as_deref()).collect();
            let description = (!words.is_empty()).then(|| words.join("\n"));
            let title = said.title.to_owned();
            let more = title != field.name || description.is_some();
            more.then(|| Self { name: field.name.clone(), title, description })
        });
        said.collect()
    }
}
