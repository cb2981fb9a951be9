//! The page of an archive of tiles: what it is, its map, its addresses, what its tiles hold.

use super::{address, contact, fact, licence, moment, tiles_label, trail};
use crate::{
    http::{archives, assets, tilesets, visit::Visit},
    tiles::archives::{Archive, Opened},
};
use maud::{Markup, html};

/// `/collections/{id}` of an archive.
pub fn page(visit: &Visit, archive: &Archive, opened: &Opened) -> String {
    let def = &archive.def;
    let title = visit.titled(&def.title);
    let url = |rest: &str| visit.url(&format!("collections/{}{rest}", def.id));
    let map = assets::url(&visit.base(), "socle.js").is_some()
        && assets::url(&visit.base(), "maplibre-gl.mjs").is_some();
    let content = html! {
        (trail(visit, &[(visit.root(), visit.words("Accueil", "Home").into()), (visit.url("collections?f=html"), visit.words("Couches", "Layers").into())]))
        h1 { (title) }
        @for paragraph in archives::description(visit, archive, opened).split("\n\n").filter(|p| !p.trim().is_empty()) {
            p { (paragraph) }
        }
        p.muted { (visit.say(&archives::kind_words())) }
        @if map { (map_of(visit, archive, opened)) }
        ul.links {
            li { a href=(url("/tiles?f=html")) { (visit.words("Tuiles", "Tiles")) } }
            li { a href=(url("?f=json")) { "JSON" } }
        }
        (addresses(visit, archive, opened))
        (facts(visit, archive, opened))
        (layers(visit, opened))
    };
    if map { visit.html_with_map(&title, &content) } else { visit.html(&title, &content) }
}

fn map_of(visit: &Visit, archive: &Archive, opened: &Opened) -> Markup {
    let style = visit.url(&format!("styles/{}", archives::style(visit, archive)));
    let bounds = opened.bounds().to_array().map(|n| n.to_string()).join(",");
    html! {
        div #map data-style=(style) data-bounds=(bounds) data-label=[archive.def.label.as_deref()] {
            p { (visit.words("La carte demande JavaScript.", "The map needs JavaScript.")) }
        }
    }
}

fn addresses(visit: &Visit, archive: &Archive, opened: &Opened) -> Markup {
    let id = archive.def.id.as_str();
    let tiles = tilesets::xyz_template(visit, id);
    let style = visit.url(&format!("styles/{}", archives::style(visit, archive)));
    html! {
        h2 { (visit.words("Adresses à copier", "Addresses to copy")) }
        ul.urls {
            (address(visit, &tiles_label(visit, opened.zooms()), &tiles))
            (address(visit, visit.words("Tuiles de cet état (ne changent jamais)", "Tiles of this state (never change)"), &format!("{tiles}?v={}", opened.state)))
            (address(visit, "TileJSON", &visit.url(&format!("collections/{id}/tilejson.json"))))
            (address(visit, "Style (MapLibre, QGIS)", &style))
        }
    }
}

fn facts(visit: &Visit, archive: &Archive, opened: &Opened) -> Markup {
    let def = &archive.def;
    let (min, max) = opened.zooms();
    let bounds = opened.bounds().to_array().map(|n| format!("{n:.5}")).join(", ");
    let date = |day: Option<jiff::civil::Date>| match day {
        Some(day) => html! { (moment(visit, &day.to_string())) },
        None => html! { span.muted { (visit.words("non précisé", "not stated")) } },
    };
    html! {
        h2 { (visit.words("À propos", "About")) }
        dl.metadata {
            (fact(visit.words("Producteur", "Producer"), &html! { (def.producer) }))
            @if let Some(c) = &def.contact { (fact("Contact", &contact(c))) }
            (fact(visit.words("Licence", "Licence"), &licence(&def.licence)))
            (fact(visit.words("Mention à reprendre", "Attribution"), &html! { (archive.attribution(opened)) }))
            (fact(visit.words("État au", "As of"), &date(def.described_at)))
            (fact(visit.words("Publié le", "Published"), &date(def.published_at)))
            @if let Some(page) = &def.page { (fact(visit.words("Jeu de données", "Dataset"), &html! { a href=(page) { (page) } })) }
            (fact("Zooms", &html! { (min) " – " (max) }))
            (fact(visit.words("Emprise", "Extent"), &html! { (bounds) " " span.muted { (visit.words("(ouest, sud, est, nord)", "(west, south, east, north)")) } }))
            (fact(visit.words("État", "State"), &html! { code { (opened.state) } }))
        }
    }
}

fn layers(visit: &Visit, opened: &Opened) -> Markup {
    let title = visit.words("Couches des tuiles", "Layers of the tiles");
    html! {
        h2 { (title) }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr {
                    th scope="col" { (visit.words("Nom", "Name")) }
                    th scope="col" { "Zooms" }
                    th scope="col" { (visit.words("Champs", "Fields")) }
                } }
                tbody {
                    @for layer in opened.layers() {
                        tr {
                            th scope="row" {
                                code { (layer.id) }
                                @if !layer.description.is_empty() { p.muted { (layer.description) } }
                            }
                            td { (layer.zooms.0) " – " (layer.zooms.1) }
                            td { @for (i, (name, _)) in layer.fields.iter().enumerate() { @if i > 0 { ", " } code { (name) } } }
                        }
                    }
                }
            }
        }
    }
}
