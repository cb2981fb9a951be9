//! The figures of a layer as a table that sorts by any column.

use super::trail;
use crate::{
    http::{
        params::encode,
        reply::number,
        stats::{Answered, OUTSIDE, WHOLE},
        territories::page_url,
        visit::Visit,
    },
    model::Lang,
    stats::{Figure, Row, Sharing},
};
use maud::{Markup, html};

/// Rows shown; files have them all.
const SHOWN: usize = 500;

/// `/collections/{id}/stats`
pub fn page(visit: &Visit, a: &Answered<'_>) -> String {
    let id = a.layer.def.id.as_str();
    let level = a.by.plural(visit.lang());
    let words = visit.words("chiffres par territoire", "figures by territory");
    let title = format!("{} — {words} ({level})", visit.titled(&a.layer.def.title));
    let file = |f: &str| visit.address(&["f", "sort"], &[("f", f)]);
    let content = html! {
        (trail(visit, &[
            (visit.root(), visit.words("Accueil", "Home").into()),
            (visit.url(&format!("collections/{id}?f=html")), visit.say(&a.layer.def.title).into()),
        ]))
        h1 { (title) }
        p {
            a href=(file("csv")) download { "CSV" } " · "
            a href=(file("json")) { "JSON" } " · "
            a href=(file("geojson")) { (visit.words("GeoJSON (carte)", "GeoJSON (map)")) }
        }
        (explained(visit, a))
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                caption { (caption(visit, a)) }
                thead { tr {
                    (head(visit, a, "code", "Code", false))
                    (head(visit, a, "name", visit.words("Nom", "Name"), false))
                    @for metric in a.metrics { (head(visit, a, &metric.name, &metric.name, true)) }
                } }
                tbody { @for row in a.rows.iter().take(SHOWN) { (line(visit, id, row)) } }
                tfoot {
                    tr { td {} th scope="row" { (visit.words(OUTSIDE.0, OUTSIDE.1)) } (cells(visit, &a.figures.outside)) }
                    tr { td {} th scope="row" { (visit.words(WHOLE.0, WHOLE.1)) } (cells(visit, &a.figures.total)) }
                }
            }
        }
        @if a.rows.len() > SHOWN {
            p.muted {
                (visit.words("Premières lignes seulement : ", "First rows only: "))
                (SHOWN) " / " (number(a.rows.len() as u64, visit.lang()))
                (visit.words(". Le fichier CSV les a toutes.", ". The CSV file has them all."))
            }
        }
    };
    visit.html(&title, &content)
}

fn caption(visit: &Visit, a: &Answered<'_>) -> String {
    let count = number(a.figures.total_distinct, visit.lang());
    match visit.lang() {
        Lang::Fr => {
            format!("{count} entités, chacune comptée dans chaque territoire qu'elle concerne")
        }
        Lang::En => format!("{count} features, each counted in every territory that it concerns"),
    }
}

/// What a reader needs to know to add rows up.
fn explained(visit: &Visit, a: &Answered<'_>) -> Markup {
    let several = number(a.figures.several, visit.lang());
    let unattached = a.figures.unattached;
    html! {
        @if a.figures.several > 0 {
            p.notice {
                (several) " "
                (visit.words("entités concernent plusieurs de ces territoires ; le total ne les compte qu'une fois.", "features concern several of these territories; the total counts them once."))
                @match a.share {
                    Some(Sharing::Main) => { " " (visit.words("Leurs valeurs vont au territoire principal.", "Their values go to the main territory.")) }
                    Some(Sharing::Area) => { " " (visit.words("Leurs valeurs sont réparties au prorata de la surface.", "Their values are shared out by area.")) }
                    Some(Sharing::None) => { " " (visit.words("Leurs valeurs comptent entières dans chacun : les lignes dépassent le total.", "Their values count whole in each: rows exceed the total.")) }
                    None => {}
                }
            }
        }
        @if unattached > 0 {
            p.muted { (number(unattached, visit.lang())) " " (visit.words("entités ne sont rattachées à aucun territoire.", "features are attached to no territory.")) }
        }
    }
}

/// A header that sorts by its column, and back when it does already.
fn head(visit: &Visit, a: &Answered<'_>, column: &str, label: &str, numeric: bool) -> Markup {
    let (sorted, descending) = a.sort;
    let ours = sorted == column;
    let down = if ours { !descending } else { numeric };
    let sort = if down { format!("-{column}") } else { column.to_owned() };
    let href = visit.address(&["sort"], &[("sort", &sort)]);
    let state = match (ours, descending) {
        (false, _) => None,
        (true, false) => Some("ascending"),
        (true, true) => Some("descending"),
    };
    let mark = match state {
        None => "",
        Some("ascending") => " ▲",
        Some(_) => " ▼",
    };
    html! {
        th scope="col" class=[numeric.then_some("number")] aria-sort=[state] {
            a href=(href) { (label) } span aria-hidden="true" { (mark) }
        }
    }
}

fn line(visit: &Visit, id: &str, row: &Row) -> Markup {
    let items =
        format!("collections/{id}/items?territory={}&f=html", encode(&row.code.to_string()));
    html! {
        tr {
            td { a href=(visit.url(&items)) { (row.code.code) } }
            th scope="row" { a href=(page_url(visit, &row.code)) { (row.name) } }
            (cells(visit, &row.values))
        }
    }
}

fn cells(visit: &Visit, values: &[Figure]) -> Markup {
    html! { @for figure in values { td.number { (shown(visit, figure)) } } }
}

/// A figure as people read it.
pub fn shown(visit: &Visit, figure: &Figure) -> String {
    match figure {
        Figure::Null => "–".to_owned(),
        Figure::Text(text) => text.clone(),
        Figure::Int(i) => {
            let digits = number(i.unsigned_abs(), visit.lang());
            if *i < 0 { format!("−{digits}") } else { digits }
        }
        Figure::Float(f) => {
            let text = format!("{f:.2}");
            let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
            let sign = if whole.starts_with('-') { "−" } else { "" };
            let whole = whole.trim_start_matches('-');
            let whole =
                whole.parse().map_or_else(|_| whole.to_owned(), |n| number(n, visit.lang()));
            let mark = if visit.lang() == Lang::Fr { ',' } else { '.' };
            format!("{sign}{whole}{mark}{rest}")
        }
    }
}
