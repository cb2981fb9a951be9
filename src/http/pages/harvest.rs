//! The journal of harvests, for people.

use super::moment;
use crate::{
    http::{harvest::Entry, reply::number, visit::Visit},
    model::{Outcome, ReferenceTable, RunRecord, Trigger, Withdrawal},
};
use jiff::Timestamp;
use maud::{Markup, html};

/// How many runs of a layer the page shows; JSON has more.
const SHOWN: usize = 5;

/// `/harvest`
pub fn page(visit: &Visit, waiting: &[&ReferenceTable], entries: &[Entry<'_>]) -> String {
    let title = visit.words("Moissonnages", "Harvests");
    let content = html! {
        h1 { (title) }
        p {
            a href=(visit.address(&["f"], &[("f", "json")])) { "JSON" } " · "
            a href=(visit.url("harvest.atom")) { (visit.words("S'abonner aux alertes (Atom)", "Subscribe to alerts (Atom)")) }
        }
        p { (visit.words("Les horaires sont à l'heure de Paris, les moments en UTC.", "Schedules are in the time of Paris, moments in UTC.")) }
        @for table in waiting {
            p.note {
                (visit.words("Code officiel géographique : ", "Official geographic code: "))
                code { (table.id) }
                (visit.words(
                    " est chargé et attend (« socle cog preview », puis « socle cog apply »).",
                    " is loaded and waits (\"socle cog preview\", then \"socle cog apply\").",
                ))
            }
        }
        @if entries.is_empty() {
            p { (visit.words("Aucune couche n'est moissonnée.", "No layer is harvested.")) }
        }
        @for entry in entries { (layer(visit, entry)) }
    };
    visit.html(title, &content)
}

fn layer(visit: &Visit, entry: &Entry<'_>) -> Markup {
    let def = entry.def;
    let id = def.id.as_str();
    let title = visit.say(&def.title);
    html! {
        h2 id=(id) {
            a href=(visit.url(&format!("collections/{id}/versions?f=html"))) { (title) }
        }
        p {
            @match &def.schedule {
                Some(schedule) => {
                    code { (schedule.cron) } " · "
                    @if let Some(due) = &entry.due {
                        @if due.at > Timestamp::now() {
                            (visit.words("prochain : ", "next: ")) (moment(visit, &due.at.to_string()))
                        } @else { (visit.words("à faire maintenant", "due now")) }
                    }
                }
                None => { (visit.words("À la demande", "On demand")) }
            }
        }
        @if let Some(gone) = entry.withdrawn { (withdrawn(visit, gone)) }
        @if entry.runs.is_empty() {
            p { (visit.words("Aucun moissonnage au journal.", "No run in the journal.")) }
        } @else {
            div.table tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (visit.words("Début", "Start")) }
                        th.number scope="col" { (visit.words("Durée", "Duration")) }
                        th scope="col" { (visit.words("Origine", "Trigger")) }
                        th scope="col" { (visit.words("Issue", "Outcome")) }
                    } }
                    tbody { @for run in entry.runs.iter().take(SHOWN) { (row(visit, id, run)) } }
                }
            }
        }
    }
}

/// The source is not there any more, and what follows from it.
fn withdrawn(visit: &Visit, gone: &Withdrawal) -> Markup {
    let day = |at: &Timestamp| at.strftime("%Y-%m-%d").to_string();
    let over = gone.until.is_some_and(|until| until <= Timestamp::now());
    html! {
        p.note {
            (visit.words("La source a disparu depuis le ", "The source is gone since "))
            (day(&gone.since)) " (" (visit.say(&gone.text)) ")"
            @match &gone.until {
                Some(until) if over => {
                    (visit.words(" : la couche n'est plus servie depuis le ", ": the layer is served no longer since "))
                    (day(until))
                }
                Some(until) => {
                    (visit.words(" : la couche ne sera plus servie après le ", ": the layer will be served no longer after "))
                    (day(until))
                }
                None => {}
            }
            "."
        }
    }
}

fn row(visit: &Visit, id: &str, run: &RunRecord) -> Markup {
    let trigger = match run.trigger {
        Trigger::Schedule => visit.words("horaire", "schedule"),
        Trigger::Retry => visit.words("nouvel essai", "retry"),
        Trigger::Webhook => visit.words("demande", "request"),
        Trigger::Command => visit.words("commande", "command"),
    };
    let report = |version: &crate::model::VersionId| {
        visit.url(&format!("collections/{id}/versions/{version}/report?f=html"))
    };
    html! {
        tr {
            th scope="row" { (moment(visit, &run.started.to_string())) }
            td.number { (seconds(visit, run.took_ms)) }
            td { (trigger) @if run.attempt > 1 { " (" (run.attempt) ")" } }
            td {
                @match &run.outcome {
                    Outcome::Published { version, count, .. } => {
                        (visit.words("publiée : ", "published: "))
                        a href=(report(version)) { (version) } " (" (number(*count, visit.lang())) ")"
                    }
                    Outcome::Unchanged { .. } => { (visit.words("inchangée", "unchanged")) }
                    Outcome::Held { version, text } => {
                        strong { (visit.words("retenue : ", "held: ")) }
                        a href=(report(version)) { (version) } " — " (visit.say(text))
                    }
                    Outcome::Failed { fault, text, retry_at, .. } => {
                        strong { (visit.words("échec", "failed")) }
                        " (" code { (fault.name()) } ") : " (visit.say(text))
                        @if let Some(at) = retry_at {
                            " — " (visit.words("nouvel essai : ", "retry: ")) (moment(visit, &at.to_string()))
                        }
                    }
                }
            }
        }
    }
}

/// Milliseconds as seconds with a tenth.
fn seconds(visit: &Visit, ms: u64) -> String {
    let tenths = ms.div_ceil(100);
    let mark = visit.words(",", ".");
    format!("{}{mark}{} s", number(tenths / 10, visit.lang()), tenths % 10)
}
