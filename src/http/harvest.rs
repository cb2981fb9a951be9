//! The journal of harvests: what became of each layer's last runs, and when the next is due.

use super::{
    Answer,
    links::{Link, media},
    negotiate::Format,
    pages,
    params::name,
    reply::Document,
    visit::Visit,
};
use crate::{
    jobs::{Due, due},
    model::{LayerDef, Outcome, ReferenceTable, RunRecord, Withdrawal, stable_hash},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How many runs of a layer are told.
const TOLD: usize = 20;

/// One layer of the journal.
pub struct Entry<'a> {
    /// The layer.
    pub def: &'a LayerDef,
    /// When it is due; `None` without a schedule.
    pub due: Option<Due>,
    /// Its last runs, newest first.
    pub runs: Vec<RunRecord>,
    /// Whether its source is not there any more.
    pub withdrawn: Option<&'a Withdrawal>,
}

/// `GET /harvest`
pub async fn journal(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let mut runs = visit.site.app.store.runs(TOLD).await?;
    let snapshot = visit.snapshot();
    let harvested = visit
        .site
        .app
        .catalog
        .defs()
        .iter()
        .filter(|def| !def.is_live() && def.derived().is_none());
    let entries: Vec<Entry<'_>> = harvested
        .map(|def| {
            let runs = runs.remove(&def.id).unwrap_or_default();
            let layer = snapshot.layers.get(&def.id);
            let last = layer.and_then(|layer| layer.current.as_ref().or(layer.withdrawn.as_ref()));
            let withdrawn = layer.and_then(|layer| layer.withdrawal());
            Entry { def, due: due(def, runs.first(), last), runs, withdrawn }
        })
        .collect();
    let listed: Vec<Value> = entries.iter().map(|entry| shown(&visit, entry)).collect();
    let state = &snapshot.reference;
    let waiting: Vec<&ReferenceTable> = state.waiting().collect();
    let mut told = json!({ "timeZone": "Europe/Paris", "layers": listed });
    let waits = waiting.iter().map(|table| {
        json!({ "id": table.id, "source": table.source, "loaded": table.loaded_at.to_string() })
    });
    told["reference"] = json!({
        "inForce": visit.reference().id(),
        "waiting": waits.collect::<Vec<Value>>(),
    });
    let tag = visit.tag(&["harvest", &format!("{:x}", stable_hash(&told.to_string()))]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    if format == Format::Html {
        return visit
            .send(&tag, Document::html(pages::harvest::page(&visit, &waiting, &entries)))
            .await;
    }
    let mut value = told;
    let mut links = visit.own_links(media::JSON);
    links.push(Link::new("related", media::ATOM_TYPE, visit.url("harvest.atom")).titled(
        visit.words(
            "Alertes : pannes, changements de forme, livraisons retenues",
            "Alerts: failures, changes of form, deliveries held",
        ),
    ));
    value["links"] = json!(links);
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

fn shown(visit: &Visit, entry: &Entry<'_>) -> Value {
    let def = entry.def;
    let mut value = json!({ "id": def.id, "title": visit.say(&def.title) });
    if let Some(schedule) = &def.schedule {
        value["schedule"] = json!({
            "cron": schedule.cron,
            "jitterSeconds": schedule.jitter.as_secs(),
            "retries": schedule.retries,
            "backoffSeconds": schedule.backoff.as_secs(),
        });
    }
    if let Some(due) = &entry.due {
        let later = due.at > Timestamp::now();
        value["overdue"] = json!(!later);
        value["nextDue"] = json!(later.then(|| due.at.to_string()));
    }
    if let Some(Withdrawal { since, until, text }) = entry.withdrawn {
        value["withdrawn"] = json!({
            "since": since.to_string(),
            "until": until.map(|at| at.to_string()),
            "text": visit.say(text),
        });
    }
    let runs = entry.runs.iter().map(|run| run_shown(visit, run));
    value["runs"] = runs.collect();
    value
}

fn run_shown(visit: &Visit, run: &RunRecord) -> Value {
    let mut value = json!({
        "started": run.started.to_string(),
        "seconds": run.took_ms as f64 / 1000.0,
        "trigger": run.trigger,
        "attempt": run.attempt,
        "outcome": run.outcome.name(),
    });
    match &run.outcome {
        Outcome::Published { version, count, .. } => {
            value["version"] = json!(version);
            value["count"] = json!(count);
        }
        Outcome::Unchanged { version } => value["version"] = json!(version),
        Outcome::Held { version, text } => {
            value["version"] = json!(version);
            value["text"] = json!(visit.say(text));
        }
        Outcome::Failed { fault, text, retry_at, .. } => {
            value["fault"] = json!(fault);
            value["text"] = json!(visit.say(text));
            if let Some(at) = retry_at {
                value["retryAt"] = json!(at.to_string());
            }
        }
    }
    value
}
