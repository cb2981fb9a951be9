//! The page of a layer: what it is, its map, its addresses, its fields.

use super::{
    address, contact, fact, legend::legend, licence, moment, paragraphs, territory_form,
    tiles_label, trail,
};
use crate::{
    catalog::Layer,
    error::Result,
    http::{assets, collections, reply::number, tilesets, visit::Visit},
    model::{FieldKind, FieldWords, Version},
};
use maud::{Markup, html};

/// `/collections/{id}`
pub async fn page(visit: &Visit, layer: &Layer) -> Result<String> {
    let def = &layer.def;
    let at = layer.at()?;
    let id = def.id.as_str();
    let title = visit.titled(&def.title);
    let count = collections::count(visit, layer).await?;
    let url = |rest: &str| visit.url(&format!("collections/{id}{rest}"));
    let map = assets::url(&visit.base(), "socle.js").is_some()
        && assets::url(&visit.base(), "maplibre-gl.mjs").is_some()
        && at.version.bbox.is_some();
    let content = html! {
        (trail(visit, &[(visit.root(), visit.words("Accueil", "Home").into()), (visit.url("collections?f=html"), visit.words("Couches", "Layers").into())]))
        h1 { (title) }
        (paragraphs(visit, &def.description))
        @if map { (map_of(visit, layer, &at.version)) (legend(visit, visit.site.styles.legend(layer).as_ref())) }
        (territory_form(visit, None, Some(id)))
        ul.links {
            li { a href=(url("/items?f=html")) { (visit.words("Voir les entités", "See the features")) } }
            li { a href=(url("/export?f=html")) { (visit.words("Exporter", "Export")) } }
            li { a href=(url("/layer.qlr")) download { (visit.words("À glisser dans QGIS (.qlr)", "To drop into QGIS (.qlr)")) } }
            li { a href=(url("/stats?by=dep&f=html")) { (visit.words("Chiffres par territoire", "Figures by territory")) } }
            li { a href=(url("/versions?f=html")) { "Versions" } }
            li { a href=(url(&format!("/versions/{}/report?f=html", at.version.id))) { (visit.words("Rapport de la version courante", "Report of the current version")) } }
            li { a href=(url("?f=json")) { "JSON" } }
        }
        (addresses(visit, layer, &at.version, &at.key()))
        (facts(visit, layer, &at.version, count))
        (fields(visit, layer, &at.version))
    };
    Ok(if map { visit.html_with_map(&title, &content) } else { visit.html(&title, &content) })
}

/// `key` names the state that versioned tiles are of.
fn addresses(visit: &Visit, layer: &Layer, version: &Version, key: &str) -> Markup {
    let def = &layer.def;
    let id = def.id.as_str();
    let url = |rest: &str| visit.url(&format!("collections/{id}{rest}"));
    let tiles = tilesets::xyz_template(visit, id);
    html! {
        h2 { (visit.words("Adresses à copier", "Addresses to copy")) }
        ul.urls {
            (address(visit, visit.words("QGIS, OGC API - Entités", "QGIS, OGC API - Features"), &visit.root()))
            (address(visit, visit.words("Entités (GeoJSON)", "Features (GeoJSON)"), &url("/items")))
            // Tiles of what has no place would all be empty.
            @if version.bbox.is_some() {
                (address(visit, &tiles_label(visit, (version.min_zoom, version.max_zoom)), &tiles))
                (address(visit, visit.words("Tuiles de cette version (ne changent jamais)", "Tiles of this version (never change)"), &format!("{tiles}?v={key}")))
                (address(visit, "TileJSON", &url("/tilejson.json")))
                @if let Some(style) = visit.site.styles.of(def) {
                    (address(visit, visit.words("Style (MapLibre, QGIS)", "Style (MapLibre, QGIS)"), &visit.url(&format!("styles/{style}"))))
                }
            }
        }
    }
}

fn map_of(visit: &Visit, layer: &Layer, version: &Version) -> Markup {
    let style = visit.site.styles.of(&layer.def).unwrap_or_default();
    let bounds = version.bbox.map(|b| b.to_array().map(|n| n.to_string()).join(","));
    html! {
        div #map data-style=(visit.url(&format!("styles/{style}"))) data-bounds=[bounds]
            data-layer=(layer.def.id) data-key=[version.key.as_deref()]
            data-label=[layer.def.label.as_deref()]
            data-items=(visit.url(&format!("collections/{}/items", layer.def.id))) {
            p { (visit.words("La carte demande JavaScript.", "The map needs JavaScript.")) }
        }
    }
}

fn facts(visit: &Visit, layer: &Layer, version: &Version, count: Option<u64>) -> Markup {
    let def = &layer.def;
    let dates = collections::dates(def, version);
    let date = |name: &str| match dates.get(name).and_then(|d| d.as_str()) {
        Some(date) => html! { (moment(visit, date)) },
        None => html! { span.muted { (visit.words("non précisé", "not stated")) } },
    };
    let source = &version.source;
    html! {
        h2 { (visit.words("À propos", "About")) }
        dl.metadata {
            @if let Some(count) = count { (fact(visit.words("Entités", "Features"), &html! { (number(count, visit.lang())) })) }
            (fact(visit.words("Producteur", "Producer"), &html! { (def.producer) }))
            @if let Some(c) = &def.contact { (fact("Contact", &contact(c))) }
            (fact(visit.words("Licence", "Licence"), &licence(&def.licence)))
            (fact(visit.words("Mention à reprendre", "Attribution"), &html! { (def.attribution) }))
            (fact(visit.words("État au", "As of"), &date("described")))
            (fact(visit.words("Publié le", "Published"), &date("published")))
            (fact(visit.words("Récupéré le", "Fetched"), &date("fetched")))
            (fact(visit.words("Vérifié le", "Checked"), &date("checked")))
            @if let Some(page) = &def.page { (fact(visit.words("Jeu de données", "Dataset"), &html! { a href=(page) { (page) } })) }
            (fact("Source", &html! { (source.name) " · " (number(source.bytes, visit.lang())) " " (visit.words("octets", "bytes")) " · SHA-256 " code { (source.sha256) } }))
            @if let Some(b) = version.bbox {
                (fact(visit.words("Emprise", "Extent"), &html! { (b.to_array().map(|n| format!("{n:.5}")).join(", ")) " " span.muted { (visit.words("(ouest, sud, est, nord)", "(west, south, east, north)")) } }))
            }
            (fact("Version", &html! { code { (version.id) } }))
        }
    }
}

fn fields(visit: &Visit, layer: &Layer, version: &Version) -> Markup {
    let said: Vec<FieldWords<'_>> = version
        .schema
        .fields
        .iter()
        .map(|f| layer.def.field(version, &f.name, visit.lang()))
        .collect();
    // A column that nothing would stand in is left out.
    let units = said.iter().any(|field| field.unit.is_some());
    let names = said.iter().zip(&version.schema.fields);
    let words = names.clone().any(|(s, f)| s.title != f.name || s.description.is_some());
    html! {
        h2 { (visit.words("Champs", "Fields")) }
        div.table tabindex="0" role="region" aria-label=(visit.words("Champs", "Fields")) {
            table {
                thead { tr {
                    th scope="col" { (visit.words("Nom", "Name")) }
                    @if words { th scope="col" { (visit.words("Ce que c'est", "What it is")) } }
                    th scope="col" { "Type" }
                    @if units { th scope="col" { (visit.words("Unité", "Unit")) } }
                } }
                tbody {
                    @for (said, field) in names {
                        tr {
                            th scope="row" { code { (field.name) } @if version.key.as_deref() == Some(field.name.as_str()) { " " span.tag { (visit.words("clé", "key")) } } }
                            @if words {
                                td {
                                    @if said.title != field.name { (said.title) }
                                    @if let Some(more) = said.description { div.muted { (more) } }
                                }
                            }
                            td { (kind(visit, field.kind)) }
                            @if units { td { @if let Some(unit) = said.unit { (unit.words()) } } }
                        }
                    }
                }
            }
        }
    }
}

fn kind(visit: &Visit, kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => visit.words("vrai ou faux", "true or false"),
        FieldKind::Int => visit.words("entier", "integer"),
        FieldKind::Float => visit.words("nombre", "number"),
        FieldKind::Text => visit.words("texte", "text"),
        FieldKind::Date => "date",
        FieldKind::DateTime => visit.words("date et heure", "date and time"),
        FieldKind::Json => "JSON",
    }
}
