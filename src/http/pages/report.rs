//! The versions of a layer and the report of one, for people.

use super::{fact, moment, trail};
use crate::{
    catalog::Layer,
    http::{reply::number, versions::changes_since, visit::Visit},
    model::{Comparison, Held, Hold, Report, Version, VersionId},
};
use maud::{Markup, html};

/// `/collections/{id}/versions`; the newest first.
pub fn versions(
    visit: &Visit,
    layer: &Layer,
    all: &[Version],
    current: &VersionId,
    held: Option<&Held>,
) -> String {
    let id = layer.def.id.as_str();
    let title = format!("{} — Versions", visit.say(&layer.def.title));
    let fetched = |v: &Version| moment(visit, &v.source.fetched_at.to_string());
    let report =
        |v: &Version| visit.url(&format!("collections/{id}/versions/{}/report?f=html", v.id));
    let content = html! {
        (trail(visit, &[(visit.url(&format!("collections/{id}?f=html")), visit.say(&layer.def.title).into())]))
        h1 { (title) }
        p { a href=(visit.address(&["f"], &[("f", "json")])) { "JSON" } }
        @if let Some(held) = held {
            div.notice role="note" {
                p {
                    (visit.words("Une livraison est retenue : ", "A delivery is held: "))
                    a href=(report(&held.version)) { (held.version.id) }
                }
                (reasons(visit, &held.hold))
            }
        }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr {
                    th scope="col" { "Version" }
                    th scope="col" { (visit.words("Récupérée le", "Fetched")) }
                    th scope="col" { "Source" }
                    th.number scope="col" { (visit.words("Entités", "Features")) }
                    th.number scope="col" { (visit.words("Refusées", "Refused")) }
                    th scope="col" { (visit.words("Depuis", "Since")) }
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
                            td {
                                @if version.id != *current {
                                    a href=(changes_since(visit, id, version)) {
                                        (visit.words("ce qui a changé", "what changed"))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    visit.html(&title, &content)
}

/// `/collections/{id}/versions/{v}/report`
pub fn page(visit: &Visit, layer: &Layer, version: &Version, hold: Option<&Hold>) -> String {
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
        @if let Some(hold) = hold {
            div.notice role="note" {
                p {
                    (visit.words(
                        "Cette livraison n'est pas publiée : elle attend une décision.",
                        "This delivery is not published: it waits for a decision.",
                    ))
                }
                (reasons(visit, hold))
            }
        }
        (figures(visit, &version.report))
        @if let Some(found) = &version.report.comparison { (comparison(visit, found, hold)) }
        (lists(visit, &version.report))
    };
    visit.html(&title, &content)
}

/// Why a delivery waits.
fn reasons(visit: &Visit, hold: &Hold) -> Markup {
    html! {
        ul { @for reason in &hold.reasons { li { (visit.say(&reason.text)) } } }
        p { (visit.words("Depuis le ", "Since ")) (moment(visit, &hold.at.to_string())) }
    }
}

/// What moved since the version that was in force.
fn comparison(visit: &Visit, found: &Comparison, hold: Option<&Hold>) -> Markup {
    let count = |n: u64| number(n, visit.lang());
    let share = |s: f64| format!("{:.1} %", s * 100.0);
    let words = |list: &[String]| html! { (list.join(", ")) };
    let mut rows = vec![
        (visit.words("Comparée à", "Compared with"), html! { (found.base) }),
        (
            visit.words("Entités", "Features"),
            html! { (count(found.rows_before)) " → " (count(found.rows_after)) },
        ),
        (
            visit.words("Lignes refusées", "Refused rows"),
            html! { (share(found.refused_before)) " → " (share(found.refused_after)) },
        ),
    ];
    if let Some(head) = hold.and_then(|hold| hold.changes.as_ref()) {
        let by_key =
            html! { "+" (count(head.added)) " −" (count(head.removed)) " ~" (count(head.changed)) };
        rows.push((visit.words("Par clé", "By key"), by_key));
    }
    if let Some(kept) = found.extent_kept {
        let label = visit.words("Emprise encore couverte", "Extent still covered");
        rows.push((label, html! { (share(kept)) }));
    }
    if found.geometry_before != found.geometry_after {
        let names = (found.geometry_before.ogc_name(), found.geometry_after.ogc_name());
        rows.push((visit.words("Géométrie", "Geometry"), html! { (names.0) " → " (names.1) }));
    }
    for (label, list) in [
        (visit.words("Colonnes nouvelles", "New columns"), &found.columns_added),
        (visit.words("Colonnes perdues", "Lost columns"), &found.columns_lost),
    ] {
        if !list.is_empty() {
            rows.push((label, words(list)));
        }
    }
    if !found.columns_retyped.is_empty() {
        let names: Vec<String> = found.columns_retyped.iter().map(|c| c.column.clone()).collect();
        rows.push((
            visit.words("Colonnes d'un autre type", "Columns of another type"),
            words(&names),
        ));
    }
    html! {
        h2 { (visit.words("Ce qui a changé", "What changed")) }
        dl.metadata { @for (label, value) in &rows { (fact(label, value)) } }
    }
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
