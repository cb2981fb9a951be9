//! What there is: the landing page, the conformance declaration, the kinds of problems.

use super::{
    Answer, Site,
    collections::dates,
    links::{Link, media, rel},
    negotiate::Format,
    pages,
    params::name,
    problem::KINDS,
    reply::{Document, Tag},
    visit::Visit,
};
use crate::{
    catalog::Snapshot,
    error::Error,
    model::Text,
    stats::{Concern, Standing},
    text,
};
use axum::extract::Path;
use serde_json::{Value, json};

/// Conformance classes that are true of this service, to the letter of their standards.
pub const CONFORMANCE: &[&str] = &[
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/schemas",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/advanced-property-roles",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/returnables-and-receivables",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/sortables",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/case-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/accent-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    // The draft's name for it: QGIS before 4 looks for that one.
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
    "http://www.opengis.net/spec/cql2/1.0/conf/spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/temporal-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/array-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/property-property",
    "http://www.opengis.net/spec/cql2/1.0/conf/functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/arithmetic",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tilesets-list",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/dataset-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/collections-selection",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/datetime",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/mvt",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/oas30",
];

impl Site {
    /// The state of all layers in one text, for tags.
    pub fn state(&self, snapshot: &Snapshot) -> String {
        let mut state = snapshot.reference.current.clone().unwrap_or_default();
        for layer in snapshot.layers.values() {
            if let Some(at) = &layer.current {
                state.push_str(layer.def.id.as_str());
                state.push('@');
                state.push_str(&at.key());
                state.push_str(&at.version.source.checked_at.to_string());
            }
            state.push(' ');
        }
        state
    }
}

impl Visit {
    /// `self` and the other representation.
    pub fn own_links(&self, json: &'static str) -> Vec<Link> {
        let (fr, en) = ("Ce document", "This document");
        let words = match self.lang() {
            crate::model::Lang::Fr => fr,
            crate::model::Lang::En => en,
        };
        vec![
            Link::new("self", json, self.address(&[name::F], &[])).titled(words),
            Link::new("alternate", media::HTML, self.address(&[name::F], &[("f", "html")]))
                .titled(format!("{words} (HTML)")),
        ]
    }

    /// Sends a JSON value, or the page that shows it.
    pub async fn present(
        &self,
        tag: &Tag,
        json: &'static str,
        title: &str,
        value: &Value,
    ) -> Answer {
        let document = match self.format()? {
            Format::Json => Document::json(json, value),
            Format::Html => Document::html(pages::document::page(self, title, value)),
        };
        self.send(tag, document).await
    }
}

/// `GET /`
pub async fn landing(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let snapshot = visit.snapshot();
    let tag = visit.tag(&["landing", &visit.site.state(&snapshot)]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let app = &visit.site.app;
    let concerns = match visit.selection(None) {
        Some(selection) => app.stats.concerns(&snapshot, visit.reference(), &selection).await?,
        None => Vec::new(),
    };
    if format == Format::Html {
        let page = pages::landing::page(&visit, &snapshot, &concerns).await?;
        return visit.send(&tag, Document::html(page)).await;
    }
    let server = &visit.site.app.settings.server;
    let mut value = json!({
        "title": visit.titled(&server.title),
        "description": visit.say(&server.description),
        "links": landing_links(&visit),
    });
    if let Some(scope) = &visit.scope {
        value["territory"] = scope.selection.shown().into();
        value["layers"] = concerns.iter().map(|c| concern(&visit, c)).collect();
    }
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// A layer as it stands to the scope's territory.
fn concern(visit: &Visit, concern: &Concern) -> Value {
    let (def, id) = (&concern.layer.def, concern.layer.def.id.as_str());
    let mut value = json!({
        "id": id,
        "title": visit.say(&def.title),
        "producer": def.producer,
        "count": concern.count,
        "standing": concern.standing.id(),
        "why": visit.say(&why(concern)),
        "lastChange": concern.last.as_ref().map(|news| json!({
            "at": news.head.at.to_string(),
            "version": news.head.version.as_str(),
            "added": news.added,
            "changed": news.changed,
            "removed": news.removed,
            "first": news.is_first(),
        })),
    });
    // What is not served has no address.
    if let Some(at) = &concern.layer.current {
        value["dates"] = dates(def, &at.version);
        value["links"] = json!([
            Link::new("collection", media::JSON, visit.url(&format!("collections/{id}"))),
            Link::new("items", media::GEOJSON, visit.url(&format!("collections/{id}/items"))),
        ]);
    }
    value
}

/// What a count, above all a zero, means.
pub fn why(concern: &Concern) -> Text {
    let mut text = match &concern.standing {
        Standing::Present => text!("La couche a des entités ici.", "The layer has features here."),
        Standing::None => text!(
            "La couche couvre la région et n'a aucune entité ici.",
            "The layer covers the region and has no feature here."
        ),
        Standing::NotCovered => text!(
            "Hors de la couverture de la couche : elle n'a aucune entité dans la région.",
            "Outside the layer's coverage: it has no feature in the region."
        ),
        Standing::Unavailable(why) => why.clone(),
    };
    if concern.overdue {
        text.fr.push_str(" La source n'a pas pu être vérifiée depuis plus de 45 jours.");
        text.en.push_str(" The source has not been checked for more than 45 days.");
    }
    text
}

fn landing_links(visit: &Visit) -> Vec<Link> {
    let say = |fr: &str, en: &str| visit.say(&crate::model::Text::new(fr, en)).to_owned();
    let collections = say("Les couches", "The layers");
    let conformance = say("Classes de conformité", "Conformance classes");
    let definition = say("Définition de l'API", "API definition");
    let mut links = visit.own_links(media::JSON);
    links.extend([
        Link::new("service-desc", media::OPENAPI, visit.url("api")).titled(&definition),
        Link::new("service-doc", media::HTML, visit.url("api?f=html")).titled(&definition),
        Link::new("conformance", media::JSON, visit.url("conformance")).titled(&conformance),
        Link::new(rel::CONFORMANCE, media::JSON, visit.url("conformance")).titled(&conformance),
        Link::new("data", media::JSON, visit.url("collections")).titled(&collections),
        Link::new(rel::DATA, media::JSON, visit.url("collections")).titled(&collections),
        Link::new(rel::TILESETS, media::JSON, visit.url("tiles"))
            .titled(say("Tuiles de toutes les couches", "Tiles of all layers")),
        Link::new(rel::TILING_SCHEMES, media::JSON, visit.url("tileMatrixSets"))
            .titled(say("Grilles de tuiles", "Tile matrix sets")),
        Link::new(rel::FUNCTIONS, media::JSON, visit.url("functions"))
            .titled(say("Fonctions des filtres", "Functions of filters")),
        Link::new(rel::STYLES, media::JSON, visit.url("styles")).titled(say("Styles", "Styles")),
        Link::new("alternate", media::ATOM_TYPE, visit.url("feed.atom"))
            .titled(say("Nouveautés", "News")),
        Link::new(
            "related",
            "application/xml",
            visit.url("wfs?service=WFS&request=GetCapabilities"),
        )
        .titled("WFS"),
        Link::new("related", media::JSON, visit.url("territories"))
            .titled(say("Territoires", "Territories")),
    ]);
    links
}

/// `GET /conformance`
pub async fn conformance(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let tag = visit.tag(&["conformance"]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let value = json!({ "conformsTo": CONFORMANCE, "links": visit.own_links(media::JSON) });
    let title = text!("Conformité", "Conformance");
    visit.present(&tag, media::JSON, visit.say(&title), &value).await
}

/// `GET /problems/{kind}`
pub async fn problem(Path(kind): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let found = KINDS.iter().find(|k| k.id == kind).ok_or_else(|| {
        let list = KINDS.map(|k| k.id).join(", ");
        Error::NotFound(text!(
            "Nature de problème inconnue. Natures : {list}.",
            "Unknown kind of problem. Kinds: {list}."
        ))
    })?;
    let tag = visit.tag(&["problem"]);
    let title = found.title(visit.lang());
    let value = json!({
        "id": found.id,
        "title": title,
        "status": found.status.as_u16(),
        "links": visit.own_links(media::JSON),
    });
    visit.present(&tag, media::JSON, title, &value).await
}
