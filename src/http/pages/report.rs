//! The versions of a layer and the report of one, for people.

use super::{fact, moment, trail};
use crate::{
    catalog::Layer,
    http::{reply::number, visit::Visit},
    model::{Report, Version, VersionId},
};
use maud::{Markup, html};

/// `/collections/{id}/versions`; the newest first.
pub fn versions(visit: &Visit, layer: &Layer, all: &[Version], current: &VersionId) -> String {
    let id = layer.def.id.as_str();
    let title = format!("{} — Versions", visit.say(&layer.def.title));
    let fetched = |v: &Version| moment(visit, &v.source.fetched_at.to_string());
    let report =
        |v: &Version| visit.url(&format!("collections/{id}/versions/{}/report?f=html", v.id));
    let content = html! {
        (trail(visit, &[(visit.url(&format!("collections/{id}?f=html")), visit.say(&layer.def.title).into())]))
        h1 { (title) }
        p { a href=(visit.address(&["f"], &[("f", "json")])) { "JSON" } }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr {
                    th scope="col" { "Version" }
                    th scope="col" { (visit.words("Récupérée le", "Fetched")) }
                    th scope="col" { "Source" }
                    th.number scope="col" { (visit.words("Entités", "Features")) }
                    th.number scope="col" { (visit.words("Refusées", "Refused")) }
                } }
                tbody {
                    @for version in all.iter().rev() {
                        tr {
                            th scope="row" {
                                a href=(report(version)) { (version.id) }
                                @if version.id == *current { " " span.tag { (visit.words("courante", "current")) } }
                            }
                            td { (fetched(version)) }
                            td { (version.source.name) }
                            td.number { (number(version.count, visit.lang())) }
                            td.number { (number(version.report.refused, visit.lang())) }
                        }
                    }
                }
            }
        }
    };
    visit.html(&title, &content)
}

/// `/collections/{id}/versions/{v}/report`
pub fn page(visit: &Visit, layer: &Layer, version: &Version) -> String {
    let id = layer.def.id.as_str();
    let title = format!(
        "{} — {} {}",
        visit.say(&layer.def.title),
        visit.words("rapport", "report"),
        version.id
    );
    let content = html! {
        (trail(visit, &[
            (visit.url(&format!("collections/{id}?f=html")), visit.say(&layer.def.title).into()),
            (visit.url(&format!("collections/{id}/versions?f=html")), "Versions".into()),
        ]))
        h1 { (title) }
        p { a href=(visit.address(&["f"], &[("f", "json")])) { "JSON" } }
        (figures(visit, &version.report))
        (lists(visit, &version.report))
    };
    visit.html(&title, &content)
}

fn figures(visit: &Visit, report: &Report) -> Markup {
    let rows = [
        (visit.words("Lignes lues", "Rows read"), report.read),
        (visit.words("Gardées", "Kept"), report.kept),
        (visit.words("Refusées", "Refused"), report.refused),
        (visit.words("Géométries réparées", "Geometries repaired"), report.repaired),
        (visit.words("Codes de commune reportés", "Commune codes carried"), report.carried),
        (visit.words("Hors territoire", "Attached to no territory"), report.unattached),
        (visit.words("Sans géométrie", "Without geometry"), report.without_geometry),
        (visit.words("Identiques à une autre", "Identical to another"), report.identical),
    ];
    html! {
        dl.metadata { @for (label, value) in rows { (fact(label, &html! { (number(value, visit.lang())) })) } }
        @if !report.notes.is_empty() {
            h2 { (visit.words("À savoir", "Notes")) }
            ul { @for note in &report.notes { li { (visit.say(note)) } } }
        }
    }
}

fn lists(visit: &Visit, report: &Report) -> Markup {
    let codes = |title: &'static str, list: &[crate::model::Carried]| {
        html! {
            @if !list.is_empty() {
                h2 { (title) }
                table {
                    thead { tr { th scope="col" { (visit.words("Code reçu", "Code received")) } th scope="col" { (visit.words("Code actuel", "Current code")) } th.number scope="col" { (visit.words("Lignes", "Rows")) } } }
                    tbody { @for c in list { tr { td { (c.from) } td { (c.to) } td.number { (number(c.rows, visit.lang())) } } } }
                }
            }
        }
    };
    html! {
        @if !report.refusals.is_empty() {
            h2 { (visit.words("Lignes refusées", "Refused rows")) }
            div.table tabindex="0" role="region" aria-label=(visit.words("Lignes refusées", "Refused rows")) {
                table {
                    thead { tr {
                        th.number scope="col" { (visit.words("Ligne", "Line")) }
                        th scope="col" { (visit.words("Colonne", "Column")) }
                        th scope="col" { (visit.words("Valeur", "Value")) }
                        th scope="col" { (visit.words("Raison", "Reason")) }
                    } }
                    tbody {
                        @for r in &report.refusals {
                            tr { td.number { (r.line) } td { (r.column.as_deref().unwrap_or_default()) } td { (r.value.as_deref().unwrap_or_default()) } td { (visit.say(&r.text)) } }
                        }
                    }
                }
            }
        }
        (codes(visit.words("Codes reportés", "Carried codes"), &report.carried_codes))
        (codes(visit.words("Codes dont le territoire a changé", "Codes whose territory changed"), &report.redefined_codes))
        (codes(visit.words("Codes partagés entre plusieurs communes", "Codes shared out between several communes"), &report.undecidable_codes))
        (conflicts(visit, &report.conflicts))
        (codes(visit.words("Codes inconnus", "Unknown codes"), &report.unknown_codes))
    }
}

/// Communes on which rows of several old ones meet with different values.
fn conflicts(visit: &Visit, list: &[crate::model::report::Conflict]) -> Markup {
    html! {
        @if !list.is_empty() {
            h2 { (visit.words("Conflits", "Conflicts")) }
            table {
                thead { tr { th scope="col" { (visit.words("Commune actuelle", "Commune of today")) } th scope="col" { (visit.words("Codes reçus", "Codes received")) } } }
                tbody { @for c in list { tr { td { (c.commune) } td { (c.codes.join(", ")) } } } }
            }
        }
    }
}
