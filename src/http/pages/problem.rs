//! The page of a problem.

use super::{Frame, frame, words};
use crate::http::{Site, problem::Problem};
use maud::html;

/// A problem for people.
pub fn page(site: &Site, base: &str, problem: &Problem) -> String {
    let lang = problem.lang;
    let title = problem.kind.title(lang);
    let content = html! {
        h1 { (title) }
        div.problem { p { (problem.detail) } }
        @if !problem.links.is_empty() {
            h2 { (words(lang, "Voir plutôt", "See instead")) }
            ul { @for link in &problem.links { li { a href=(link.href) { (link.href) } } } }
        }
        p { a href=(base) { (words(lang, "Retour à l'accueil", "Back to the first page")) } }
        p.muted { (words(lang, "Numéro de la demande : ", "Request id: ")) code { (problem.id) } " · " (problem.kind.status.as_u16()) }
    };
    let surroundings = Frame {
        lang,
        base,
        root: base,
        service: site.app.settings.server.title.get(lang),
        notices: Vec::new(),
        scope: None,
        map: false,
    };
    frame(&surroundings, title, &content)
}
