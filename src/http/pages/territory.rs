//! Territories: the search and the page of one.

use super::{address, fact, stats::shown, territory_form, trail};
use crate::{
    http::{
        assets,
        reply::number,
        territories::{Search, page_url, scope_url},
        visit::Visit,
    },
    model::{Level, TerritoryCode},
    stats::{Figure, Shape},
    territory::{Resolved, Territory},
};
use maud::{Markup, html};

/// `/territories`
pub fn search(visit: &Visit, search: &Search) -> String {
    let title = visit.words("Territoires", "Territories");
    let content = html! {
        h1 { (title) }
        (territory_form(visit, search.q.as_deref(), None))
        @if visit.scope.is_none() {
            p {
                a href=(visit.url("territories/resolve")) {
                    (visit.words("Porter une table (anciens codes, noms, adresses) sur les territoires d'aujourd'hui", "Put a table (old codes, names, addresses) on today's territories"))
                }
            }
        }
        @if search.found.is_empty() {
            p { (visit.words("Aucun territoire trouvé.", "No territory found.")) }
        } @else {
            div.table tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (visit.words("Nom", "Name")) }
                        th scope="col" { (visit.words("Niveau", "Level")) }
                        th scope="col" { "Code" }
                        th scope="col" { (visit.words("Dans", "In")) }
                        th.number scope="col" { "Population" }
                    } }
                    tbody { @for territory in &search.found { (row(visit, territory)) } }
                }
            }
        }
    };
    visit.html(title, &content)
}

/// A result; homonyms are told apart by their département.
fn row(visit: &Visit, territory: &Territory) -> Markup {
    let reference = visit.reference();
    let within = territory
        .parents
        .iter()
        .find(|p| p.level == Level::Dep)
        .or(territory.parents.first())
        .and_then(|p| reference.get(p).map(|t| (p, t.name)));
    html! {
        tr {
            th scope="row" { a href=(page_url(visit, &territory.code)) { (territory.name) } }
            td { (level(visit, territory.code.level)) }
            td { (territory.code.code) }
            td { @if let Some((code, name)) = within { (name) " (" (code.code) ")" } }
            td.number { @if let Some(p) = territory.population { (number(p, visit.lang())) } }
        }
    }
}

/// `/territories/{level}-{code}`
pub fn page(
    visit: &Visit,
    resolved: &Resolved,
    listed: Option<&str>,
    members: &[TerritoryCode],
    shape: Option<&Shape>,
) -> String {
    let reference = visit.reference();
    let territory = reference.get(&resolved.code);
    let id = &resolved.code.to_string();
    let title = territory.as_ref().map(|t| t.name.as_str()).or(listed).unwrap_or(id).to_owned();
    let name =
        |code: &TerritoryCode| reference.get(code).map_or_else(|| code.to_string(), |t| t.name);
    let service = scope_url(visit, &resolved.code);
    let asset = |name: &str| assets::url(&visit.base(), name).is_some();
    let drawn = shape.filter(|_| asset("socle.js") && asset("maplibre-gl.mjs"));
    let content = html! {
        (trail(visit, &[(visit.url("territories?f=html"), visit.words("Territoires", "Territories").into())]))
        h1 { (title) }
        @if let Some(notice) = &resolved.notice { p.notice { (visit.say(notice)) } }
        @if let Some(see) = &resolved.see_also {
            p { (visit.words("Voir aussi : ", "See also: ")) a href=(page_url(visit, see)) { (name(see)) } }
        }
        @for remark in territory.iter().flat_map(|t| reference.remarks(t)) {
            p.notice { (visit.say(&remark)) }
        }
        @if let Some(shape) = drawn { (map_of(visit, &resolved.code, &title, shape)) }
        p { a.button href=(service) { (visit.words("Ouvrir le service pour ce territoire", "Open the service for this territory")) } }
        @if resolved.code.level == Level::Com {
            p { a href=(format!("{}/history", page_url(visit, &resolved.code))) { (visit.words("Histoire : fusions, scissions, codes", "History: mergers, splits, codes")) } }
        }
        ul.urls { (address(visit, visit.words("Adresse pour QGIS", "Address for QGIS"), &service)) }
        dl.metadata {
            (fact(visit.words("Niveau", "Level"), &html! { (level(visit, resolved.code.level)) }))
            (fact("Code", &html! { code { (id) } }))
            @if let Some(territory) = &territory {
                @if let Some(p) = territory.population { (fact("Population", &html! { (number(p, visit.lang())) })) }
                @if !territory.postal_codes.is_empty() {
                    (fact(visit.words("Codes postaux", "Postal codes"), &html! { (territory.postal_codes.join(", ")) }))
                }
                @if let Some(nature) = reference.nature(territory) { (fact("Nature", &html! { (nature) })) }
                @for parent in &territory.parents {
                    (fact(level(visit, parent.level), &html! { a href=(page_url(visit, parent)) { (name(parent)) } }))
                }
            }
            @if let Some(shape) = shape { (measures(visit, &resolved.code, shape)) }
        }
        @for group in members.chunk_by(|a, b| a.level == b.level) {
            @if let Some(first) = group.first() {
                h2 { (plural(visit, first.level)) " (" (number(group.len() as u64, visit.lang())) ")" }
                ul.columns {
                    @for member in group {
                        li { a href=(page_url(visit, member)) { (name(member)) } " " small { (member.code) } }
                    }
                }
            }
        }
    };
    if drawn.is_some() {
        visit.html_with_map(&title, &content)
    } else {
        visit.html(&title, &content)
    }
}

/// The address of a territory as GeoJSON.
fn geojson(visit: &Visit, code: &TerritoryCode) -> String {
    format!("{}?f=geojson", page_url(visit, code))
}

fn map_of(visit: &Visit, code: &TerritoryCode, title: &str, shape: &Shape) -> Markup {
    let bounds = shape.bbox.to_array().map(|n| n.to_string()).join(",");
    html! {
        div #map data-geojson=(geojson(visit, code)) data-bounds=(bounds) data-title=(title) {
            p { (visit.words("La carte demande JavaScript.", "The map needs JavaScript.")) }
        }
    }
}

/// What the shape measures.
fn measures(visit: &Visit, code: &TerritoryCode, shape: &Shape) -> Markup {
    let area = format!("{} km²", shown(visit, &Figure::Float(shape.area_km2)));
    let [lon, lat] = shape.centroid;
    html! {
        (fact(visit.words("Superficie", "Area"), &html! { (area) }))
        (fact(visit.words("Centre (longitude, latitude)", "Centre (longitude, latitude)"), &html! { (format!("{lon:.5}, {lat:.5}")) }))
        (fact(visit.words("Contour", "Outline"), &html! {
            a href=(geojson(visit, code)) { "GeoJSON" }
            @if shape.missing > 0 {
                " " span.muted { (visit.words("(incomplet : communes sans polygone : ", "(incomplete: communes without polygon: ")) (shape.missing) ")" }
            }
        }))
    }
}

fn level(visit: &Visit, level: Level) -> &'static str {
    let (fr, en) = match level {
        Level::Com => ("Commune", "Commune"),
        Level::Epci => ("Intercommunalité (EPCI)", "Intercommunality (EPCI)"),
        Level::Ept => ("Établissement public territorial", "Territorial public body (EPT)"),
        Level::Arr => ("Arrondissement", "Arrondissement"),
        Level::Dep => ("Département", "Département"),
        Level::Reg => ("Région", "Région"),
        Level::Fr => ("France", "France"),
        Level::Arm => ("Arrondissement municipal", "Municipal arrondissement"),
        Level::Comd => ("Commune déléguée", "Delegated commune"),
        Level::Coma => ("Commune associée", "Associated commune"),
        Level::Canton => ("Canton", "Canton"),
        Level::Qpv => ("Quartier prioritaire (QPV)", "Priority neighbourhood (QPV)"),
        Level::Own(own) => return visit.say(&own.words().title),
    };
    visit.words(fr, en)
}

/// A heading over several territories of a level.
fn plural(visit: &Visit, level: Level) -> &'static str {
    let (fr, en) = match level {
        Level::Com => ("Communes", "Communes"),
        Level::Epci => ("Intercommunalités (EPCI)", "Intercommunalities (EPCI)"),
        Level::Ept => ("Établissements publics territoriaux", "Territorial public bodies (EPT)"),
        Level::Arr => ("Arrondissements", "Arrondissements"),
        Level::Dep => ("Départements", "Départements"),
        Level::Reg => ("Régions", "Régions"),
        Level::Fr => ("France", "France"),
        Level::Arm => ("Arrondissements municipaux", "Municipal arrondissements"),
        Level::Comd => ("Communes déléguées", "Delegated communes"),
        Level::Coma => ("Communes associées", "Associated communes"),
        Level::Canton => ("Cantons", "Cantons"),
        Level::Qpv => ("Quartiers prioritaires (QPV)", "Priority neighbourhoods (QPV)"),
        Level::Own(own) => return visit.say(&own.words().plural),
    };
    visit.words(fr, en)
}
