//! The analyst's table: a form that chooses level and layers, and what it gives.

use super::{moment, trail};
use crate::{
    catalog::Snapshot,
    http::{reply::number, table::Asked, visit::Visit},
    model::Level,
    stats::{Cell, Sheet, Show},
};
use maud::{Markup, html};

/// Rows shown; files have them all.
const SHOWN: usize = 500;

/// `/table`
pub fn page(visit: &Visit, snapshot: &Snapshot, asked: &Asked, made: Option<&Sheet>) -> String {
    let words = visit.words("Tableau par territoire", "Table by territory");
    let title = match visit.scope_title() {
        Some(scope) => format!("{words} — {}", visit.say(&scope)),
        None => words.to_owned(),
    };
    let content = html! {
        (trail(visit, &[(visit.root(), visit.words("Accueil", "Home").into())]))
        h1 { (title) }
        (form(visit, snapshot, asked))
        @if let Some(sheet) = made { (shown(visit, asked, sheet, &title)) }
    };
    visit.html(&title, &content)
}

fn form(visit: &Visit, snapshot: &Snapshot, asked: &Asked) -> Markup {
    let levels = Level::every().into_iter().filter(|l| *l != Level::Fr);
    let chosen = |id: &str| asked.columns.iter().any(|c| c.name == id);
    html! {
        form.filters action=(visit.url("table")) method="get" {
            p {
                label for="level" { (visit.words("Une ligne par", "One row per")) } " "
                select id="level" name="level" {
                    @for level in levels {
                        option value=(level.id()) selected[asked.level == Some(level)] { (level.label(visit.lang())) }
                    }
                }
                " "
                label for="show" { (visit.words("montrer", "showing")) } " "
                select id="show" name="show" {
                    option value="presence" selected[!asked.counted] { (visit.words("oui ou non", "yes or no")) }
                    option value="count" selected[asked.counted] { (visit.words("le nombre d'entités", "the number of features")) }
                }
            }
            fieldset {
                legend { (visit.words("Une colonne par couche", "One column per layer")) }
                @for layer in snapshot.served() {
                    @let id = layer.def.id.as_str();
                    label { input type="checkbox" name="collections" value=(id) checked[chosen(id)]; " " (visit.say(&layer.def.title)) } " "
                }
                @for column in asked.columns.iter().filter(|c| matches!(c.show, Show::Field(_))) {
                    label { input type="checkbox" name="collections" value=(column.name) checked; " " code { (column.name) } } " "
                }
            }
            input type="hidden" name="f" value="html";
            button type="submit" { (visit.words("Afficher", "Show")) }
            p.muted {
                (visit.words("Dans l'adresse, « couche:propriété » montre une propriété à la place : ", "In the address, \"layer:property\" shows a property instead: "))
                code { "collections=communes:population" }
            }
        }
    }
}

fn shown(visit: &Visit, asked: &Asked, sheet: &Sheet, title: &str) -> Markup {
    let file = |f: &str| visit.address(&["f", "collections"], &parameters(asked, f));
    html! {
        p {
            a href=(file("xlsx")) download { "Excel (XLSX)" } " · "
            a href=(file("csv")) download { "CSV" } " · "
            a href=(file("json")) { "JSON" }
        }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                caption { (number(sheet.rows.len() as u64, visit.lang())) " " (visit.words("lignes", "rows")) }
                thead { tr { @for name in &sheet.header { th scope="col" { (name) } } } }
                tbody {
                    @for row in sheet.rows.iter().take(SHOWN) {
                        tr { @for (i, cell) in row.iter().enumerate() { (self::cell(visit, cell, i == 1)) } }
                    }
                }
            }
        }
        @if sheet.rows.len() > SHOWN {
            p.muted { (SHOWN) " / " (number(sheet.rows.len() as u64, visit.lang())) (visit.words(" lignes montrées ; le fichier CSV les a toutes.", " rows shown; the CSV file has them all.")) }
        }
        (sources(visit, asked))
    }
}

/// The columns chosen, as one parameter, with the format.
fn parameters<'a>(asked: &'a Asked, f: &'a str) -> Vec<(&'a str, &'a str)> {
    let columns = asked.columns.iter().map(|c| ("collections", c.name.as_str()));
    columns.chain([("f", f)]).collect()
}

fn cell(visit: &Visit, cell: &Cell, heading: bool) -> Markup {
    match cell {
        Cell::Empty => html! { td {} },
        Cell::Text(text) if heading => html! { th scope="row" { (text) } },
        Cell::Text(text) => html! { td { (text) } },
        Cell::Figure(figure) => html! { td.number { (super::stats::shown(visit, figure)) } },
    }
}

fn sources(visit: &Visit, asked: &Asked) -> Markup {
    let fetched = |c: &crate::stats::Column| {
        let at = c.layer.current.as_ref();
        at.map(|at| moment(visit, &at.version.source.fetched_at.to_string()))
    };
    html! {
        h2 { "Sources" }
        ul {
            @for column in &asked.columns {
                li {
                    code { (column.name) } " : " (visit.say(&column.layer.def.title)) " · " (column.layer.def.attribution) " · " (column.layer.def.licence.title)
                    @if let Some(day) = column.layer.def.described_at { " · " (visit.words("état au ", "as of ")) (moment(visit, &day.to_string())) }
                    @if let Some(at) = fetched(column) { " · " (visit.words("récupérée le ", "fetched ")) (at) }
                }
            }
        }
    }
}
