//! The page of a territory's movements.

use super::trail;
use crate::{
    http::{
        history::{History, date, kind, name_then, title},
        territories::page_url,
        visit::Visit,
    },
    model::TerritoryCode,
};
use maud::{Markup, html};

/// `/territories/{level}-{code}/history`
pub fn page(visit: &Visit, history: &History) -> String {
    let title = title(visit, &history.code);
    let content = html! {
        (trail(visit, &[
            (visit.url("territories?f=html"), visit.words("Territoires", "Territories").into()),
            (page_url(visit, &history.code), history.code.to_string()),
        ]))
        h1 { (title) }
        @if let Some(gone) = &history.gone {
            p.notice { (visit.words("Dernière année : ", "Last year: ")) (gone.last) }
            h2 { (visit.words("Ses communes sont aujourd'hui dans", "Its communes are today in")) }
            (side(visit, &gone.heirs.iter().map(|(heir, _)| heir.clone()).collect::<Vec<_>>()))
        } @else if history.steps.is_empty() {
            p { (visit.words("Aucun mouvement connu depuis 1943.", "No movement known since 1943.")) }
        } @else {
            div.table tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { "Date" }
                        th scope="col" { (visit.words("Mouvement", "Movement")) }
                        th scope="col" { (visit.words("Avant", "Before")) }
                        th scope="col" { (visit.words("Après", "After")) }
                    } }
                    tbody {
                        @for step in &history.steps {
                            tr {
                                td { (date(step)) }
                                td { (visit.say(&kind(step.kind))) }
                                td { (side(visit, &step.before)) }
                                td { (side(visit, &step.after)) }
                            }
                        }
                    }
                }
            }
        }
    };
    visit.html(&title, &content)
}

fn side(visit: &Visit, codes: &[TerritoryCode]) -> Markup {
    html! {
        ul {
            @for code in codes {
                @let name = name_then(visit, code).unwrap_or_default();
                li { a href=(format!("{}/history", page_url(visit, code))) { (name) } " " small { (code.code) } }
            }
        }
    }
}
