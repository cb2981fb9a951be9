//! Exports: what may be chosen, and how far an order is.

use super::trail;
use crate::{
    catalog::Layer,
    exports::{FORMATS, Order, Status},
    http::{orders::percent, params::name, problem::Failure, reply::number, visit::Visit},
};
use maud::{Markup, html};
use std::sync::Arc;

/// The formats of an export, each a link, and a form for the rest.
pub fn choice(visit: &Visit, layers: &[Arc<Layer>]) -> String {
    let title = match layers {
        [one] => {
            format!("{} — {}", visit.words("Exporter", "Export"), visit.titled(&one.def.title))
        }
        _ => match visit.scope_title() {
            Some(scope) => format!("{} — {}", visit.words("Exporter", "Export"), visit.say(&scope)),
            None => visit.words("Exporter", "Export").to_owned(),
        },
    };
    let content = html! {
        (trail(visit, &[(visit.root(), visit.words("Accueil", "Home").into()), (visit.url("collections?f=html"), visit.words("Couches", "Layers").into())]))
        h1 { (title) }
        @if layers.len() > 1 {
            p { (number(layers.len() as u64, visit.lang())) " " (visit.words("couches, dans un même fichier.", "layers, in one file.")) }
        }
        ul.links {
            @for kind in &FORMATS {
                li { a href=(visit.address(&[], &[(name::F, kind.id)])) download { (kind.title) } }
            }
        }
        (form(visit))
        p.muted {
            (visit.words(
                "Un petit export arrive aussitôt ; un grand se prépare, et sa page montre l'avancement.",
                "A small export comes at once; a large one is prepared, and its page shows the progress.",
            ))
        }
    };
    visit.html(&title, &content)
}

fn form(visit: &Visit) -> Markup {
    let territory = visit.params.get(name::TERRITORY).or(visit.params.get(name::TERRITOIRE));
    html! {
        form action=(visit.url(visit.path())) method="get" {
            @if let Some(layers) = visit.params.get("collections") {
                input type="hidden" name="collections" value=(layers);
            }
            p {
                label for="f" { (visit.words("Format", "Format")) } " "
                select id="f" name="f" { @for kind in &FORMATS { option value=(kind.id) { (kind.title) } } }
            }
            @if visit.scope.is_none() { p {
                label for="territory" { (visit.words("Territoire", "Territory")) } " "
                input id="territory" name="territory" placeholder="dep:59" value=[territory];
                " "
                label for="mode" { (visit.words("garder", "keep")) } " "
                select id="mode" name="territory-mode" {
                    option value="" { (visit.words("ce qui le concerne", "what concerns it")) }
                    option value="within" { (visit.words("ce qui y est contenu", "what is inside it")) }
                    option value="clip" { (visit.words("ce qui est découpé à sa limite", "what is cut at its border")) }
                }
            } }
            p {
                label for="crs" { (visit.words("Système de coordonnées", "Coordinate reference system")) } " "
                select id="crs" name="crs" {
                    option value="" { (visit.words("le système légal du territoire", "the legal one of the territory")) }
                    @for (code, words) in Order::systems() {
                        option value=(format!("EPSG:{code}")) { (words) " (" (code) ")" }
                    }
                }
            }
            button type="submit" { (visit.words("Exporter", "Export")) }
        }
    }
}

/// Where an order stands.
pub fn standing(visit: &Visit, id: &str, status: &Status) -> String {
    let own = visit.url(&format!("exports/{id}"));
    let title = visit.words("Export", "Export");
    let content = html! {
        h1 { (title) }
        @match status {
            Status::Waiting => {
                p role="status" { (visit.words("L'export attend son tour.", "The export waits for its turn.")) }
                (cancel(&own, visit.words("Annuler", "Cancel")))
            }
            Status::Running { rows, of, bytes } => {
                p role="status" {
                    (percent(*rows, *of)) " % · " (number(*rows, visit.lang())) " "
                    (visit.words("entités", "features")) " · " (size(visit, *bytes))
                }
                progress max="100" value=(percent(*rows, *of)) {}
                (cancel(&own, visit.words("Annuler", "Cancel")))
            }
            Status::Done(ready) => {
                p role="status" { (visit.words("L'export est prêt.", "The export is ready.")) }
                ul.links { li { a href=(format!("{own}/file")) download { (ready.name) } " (" (size(visit, ready.bytes)) ")" } }
                p.muted {
                    (visit.words("Gardé jusqu'au ", "Kept until ")) (super::moment(visit, &ready.until.to_string()))
                }
                (cancel(&own, visit.words("Retirer", "Remove")))
            }
            Status::Failed(_) => {
                p role="status" { (visit.words("L'export n'a pas abouti.", "The export failed.")) }
                @if let Some(words) = reason(visit, status) { p { (words) } }
            }
            Status::Cancelled => {
                p role="status" { (visit.words("L'export a été annulé.", "The export was cancelled.")) }
            }
        }
    };
    visit.html(title, &content)
}

fn reason(visit: &Visit, status: &Status) -> Option<String> {
    let Status::Failed(error) = status else { return None };
    let failure = Failure::from(error.again());
    Some(visit.say(&failure.detail()).to_owned())
}

fn cancel(own: &str, words: &str) -> Markup {
    html! { form action=(own) method="post" { button type="submit" { (words) } } }
}

/// Bytes as people read them.
fn size(visit: &Visit, bytes: u64) -> String {
    let unit = visit.words("Mo", "MB");
    if bytes < 100_000 {
        return format!(
            "{} {}",
            number(bytes.div_ceil(1_000), visit.lang()),
            visit.words("ko", "kB")
        );
    }
    let tenths = bytes / 100_000;
    let mark = visit.words(",", ".");
    format!("{}{mark}{} {unit}", number(tenths / 10, visit.lang()), tenths % 10)
}
