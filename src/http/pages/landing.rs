//! The first page and the list of layers.

use super::{address, paragraphs, territory_form};
use crate::{
    catalog::{Layer, Snapshot},
    error::Result,
    http::{collections, reply::number, visit::Visit},
};
use maud::{Markup, html};

/// `/`
pub async fn page(visit: &Visit, snapshot: &Snapshot) -> Result<String> {
    let server = &visit.site.app.settings.server;
    let title = visit.titled(&server.title);
    let content = html! {
        h1 { (title) }
        (paragraphs(visit, &server.description))
        (territory_form(visit, None))
        h2 { (visit.words("Couches", "Layers")) }
        (cards(visit, snapshot).await?)
        h2 id="qgis" { (visit.words("Dans QGIS", "In QGIS")) }
        ol {
            li { (visit.words("Menu Couche → Ajouter une couche → WFS / OGC API - Entités.", "Layer menu → Add Layer → WFS / OGC API - Features.")) }
            li { (visit.words("Nouvelle connexion : collez cette adresse, puis « Connexion ».", "New connection: paste this address, then \"Connect\".")) }
        }
        ul.urls { (address(visit, "OGC API", &visit.root())) }
        p { (visit.words("Pour des tuiles vectorielles, l'adresse est sur la page de chaque couche.", "For vector tiles, the address is on each layer's page.")) }
        p { (visit.words("Pour un seul territoire, ajoutez-le à l'adresse : t/dep-59/ pour le Nord.", "For one territory, add it to the address: t/dep-59/ for the Nord.")) }
    };
    Ok(visit.html(&title, &content))
}

/// `/collections`
pub async fn collections(visit: &Visit, snapshot: &Snapshot) -> Result<String> {
    let title = visit.words("Couches", "Layers");
    let content = html! {
        h1 { (title) }
        (cards(visit, snapshot).await?)
    };
    Ok(visit.html(title, &content))
}

async fn cards(visit: &Visit, snapshot: &Snapshot) -> Result<Markup> {
    let mut cards = Vec::new();
    for layer in snapshot.layers.values() {
        cards.push(card(visit, layer).await?);
    }
    Ok(html! {
        @if cards.is_empty() {
            p { (visit.words("Aucune couche n'est déclarée.", "No layer is declared.")) }
        } @else {
            ul.cards { @for card in cards { (card) } }
        }
    })
}

async fn card(visit: &Visit, layer: &Layer) -> Result<Markup> {
    let def = &layer.def;
    let Some(at) = &layer.current else {
        return Ok(html! {
            li {
                h3 { (visit.say(&def.title)) }
                p.muted { (visit.words("Pas encore moissonnée.", "Not harvested yet.")) }
            }
        });
    };
    let count = collections::count(visit, layer).await?;
    let href = visit.url(&format!("collections/{}?f=html", def.id));
    let date = def.described_at.map(|d| d.to_string()).or(collections::published(def, &at.version));
    Ok(html! {
        li {
            h3 { a href=(href) { (visit.say(&def.title)) } }
            p.muted {
                @if let Some(count) = count {
                    (number(count, visit.lang())) " " (visit.words("entités", "features")) " · "
                }
                @if let Some(date) = date { (visit.words("état au ", "as of ")) (date) " · " }
                (def.producer)
            }
        }
    })
}
