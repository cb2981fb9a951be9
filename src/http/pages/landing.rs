//! The first page and the list of layers.

use super::{address, moment, paragraphs, territory_form};
use crate::{
    catalog::{Layer, Snapshot},
    error::Result,
    http::{collections, feed::counts, landing::why, reply::number, visit::Visit},
    stats::{Concern, Standing},
};
use maud::{Markup, html};

/// `/`; in a scope with the layers as they stand to its territory.
pub async fn page(visit: &Visit, snapshot: &Snapshot, concerns: &[Concern]) -> Result<String> {
    let server = &visit.site.app.settings.server;
    let title = visit.titled(&server.title);
    let content = html! {
        h1 { (title) }
        (paragraphs(visit, &server.description))
        (territory_form(visit, None, None))
        @if visit.scope.is_some() {
            h2 { (visit.words("Ce qui concerne ce territoire", "What concerns this territory")) }
            (standing(visit, concerns))
        } @else {
            h2 { (visit.words("Couches", "Layers")) }
            (cards(visit, snapshot, 3).await?)
            (archives(visit))
        }
        h2 id="qgis" { (visit.words("Dans QGIS", "In QGIS")) }
        ol {
            li { (visit.words("Menu Couche → Ajouter une couche → WFS / OGC API - Entités.", "Layer menu → Add Layer → WFS / OGC API - Features.")) }
            li { (visit.words("Nouveau : donnez un nom, collez l'adresse ci-dessous, choisissez la version « OGC API - Entités », puis OK.", "New: give a name, paste the address below, choose version \"OGC API - Features\", then OK.")) }
            li { (visit.words("« Connexion » liste les couches ; choisissez, puis « Ajouter ».", "\"Connect\" lists the layers; choose, then \"Add\".")) }
        }
        ul.urls {
            (address(visit, "OGC API", &visit.root()))
            (address(visit, "WFS", &visit.url("wfs")))
        }
        p { (visit.words("L'adresse WFS est pour les logiciels qui ne parlent que WFS (2.0.0, 1.1.0, 1.0.0).", "The WFS address is for software that speaks WFS only (2.0.0, 1.1.0, 1.0.0).")) }
        p { (visit.words("Pour des tuiles vectorielles, l'adresse est sur la page de chaque couche.", "For vector tiles, the address is on each layer's page.")) }
        p {
            a href=(visit.url("kit.zip")) download { (visit.words("Télécharger le kit QGIS", "Download the QGIS kit")) } " "
            span.muted { (visit.words("(un GeoPackage de toutes les couches et un projet prêt à ouvrir)", "(one GeoPackage of all layers and a project ready to open)")) }
        }
        h2 id="export" { (visit.words("En un fichier", "As one file")) }
        p {
            a href=(visit.url("export?f=html")) { (visit.words("Exporter toutes les couches", "Export all layers")) } " "
            span.muted { (visit.words("(GeoPackage, Shapefile, CSV, Excel…)", "(GeoPackage, Shapefile, CSV, Excel…)")) }
        }
        @if visit.scope.is_none() {
            p {
                (visit.words("Pour un seul territoire, ajoutez-le à l'adresse ; pour le Nord : ", "For one territory, add it to the address; for the Nord: "))
                a href=(visit.url("t/dep-59/")) { code { (visit.url("t/dep-59/")) } }
            }
        }
    };
    Ok(visit.html(&title, &content))
}

/// Every layer with what it has here, and why where it has nothing.
fn standing(visit: &Visit, concerns: &[Concern]) -> Markup {
    let href = |c: &Concern| visit.url(&format!("collections/{}?f=html", c.layer.def.id));
    let title = visit.words("Couches et ce territoire", "Layers and this territory");
    html! {
        p {
            a href=(visit.url("feed.atom")) { (visit.words("S'abonner aux nouveautés (Atom)", "Subscribe to the news (Atom)")) }
        }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr {
                    th scope="col" { (visit.words("Couche", "Layer")) }
                    th.number scope="col" { (visit.words("Entités", "Features")) }
                    th scope="col" { (visit.words("Dernier changement ici", "Last change here")) }
                    th scope="col" { (visit.words("Producteur", "Producer")) }
                } }
                tbody {
                    @for concern in concerns {
                        tr {
                            th scope="row" {
                                @let title = visit.say(&concern.layer.def.title);
                                // What is not served has no page.
                                @if concern.layer.current.is_some() { a href=(href(concern)) { (title) } } @else { (title) }
                            }
                            td.number {
                                @match concern.count {
                                    Some(count) => { (number(count, visit.lang())) }
                                    None => { "–" }
                                }
                            }
                            td {
                                @if let Some(news) = &concern.last {
                                    (moment(visit, &news.head.at.to_string())) " : " (counts(visit.lang(), news))
                                }
                                @if concern.standing != Standing::Present || concern.overdue {
                                    p.muted { (visit.say(&why(concern))) }
                                }
                            }
                            td { (concern.layer.def.producer) }
                        }
                    }
                }
            }
        }
    }
}

/// `/collections`
pub async fn collections(visit: &Visit, snapshot: &Snapshot) -> Result<String> {
    let title = visit.words("Couches", "Layers");
    let content = html! {
        h1 { (title) }
        (cards(visit, snapshot, 2).await?)
        (archives(visit))
    };
    Ok(visit.html(title, &content))
}

/// Tiles that others made, which are no layers. Nothing where there are none, nor within a scope.
fn archives(visit: &Visit) -> Markup {
    let all: Vec<_> = visit.site.app.archives.iter().collect();
    if all.is_empty() || visit.scope.is_some() {
        return html! {};
    }
    let title = visit.words("Tuiles faites ailleurs", "Tiles made elsewhere");
    html! {
        h2 id="archives" { (title) }
        ul.cards {
            @for archive in all {
                li {
                    h3 { a href=(visit.url(&format!("collections/{}?f=html", archive.def.id))) { (visit.say(&archive.def.title)) } }
                    p.muted { (visit.words("archive de tuiles", "archive of tiles")) " · " (archive.def.producer) }
                }
            }
        }
    }
}

/// The layers; `level` is that of their headings.
async fn cards(visit: &Visit, snapshot: &Snapshot, level: u8) -> Result<Markup> {
    let mut cards = Vec::new();
    for layer in snapshot.layers.values() {
        cards.push(card(visit, layer, level).await?);
    }
    Ok(html! {
        @if cards.is_empty() {
            p { (visit.words("Aucune couche n'est déclarée.", "No layer is declared.")) }
        } @else {
            ul.cards { @for card in cards { (card) } }
        }
    })
}

async fn card(visit: &Visit, layer: &Layer, level: u8) -> Result<Markup> {
    let def = &layer.def;
    let heading = |content: Markup| match level {
        2 => html! { h2 { (content) } },
        _ => html! { h3 { (content) } },
    };
    let Some(at) = &layer.current else {
        return Ok(html! {
            li {
                (heading(html! { (visit.say(&def.title)) }))
                p.muted { (visit.words("Pas encore moissonnée.", "Not harvested yet.")) }
            }
        });
    };
    let count = collections::count(visit, layer).await?;
    let href = visit.url(&format!("collections/{}?f=html", def.id));
    let date = def.described_at.map(|d| d.to_string()).or(at.version.published(def));
    Ok(html! {
        li {
            (heading(html! { a href=(href) { (visit.say(&def.title)) } }))
            p.muted {
                @if let Some(count) = count {
                    (number(count, visit.lang())) " " (visit.words("entités", "features")) " · "
                }
                @if let Some(date) = date { (visit.words("état au ", "as of ")) (moment(visit, &date)) " · " }
                (def.producer)
            }
        }
    })
}
