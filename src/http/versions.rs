//! Where a layer's data comes from: its versions and what each load found.

use super::{
    Answer, changes,
    collections::dates,
    links::{Link, media},
    negotiate::Format,
    pages,
    params::name,
    reply::Document,
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{Hold, Version},
    text,
};
use axum::extract::Path;
use serde_json::{Value, json};

/// `GET /collections/{id}/versions`
pub async fn list(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let layer = visit.layer(&id)?;
    let versions = versions(&visit, &layer).await?;
    let held = visit.site.app.store.held(&layer.def.id).await?;
    let newest = versions.last().map(|v| v.id.to_string()).unwrap_or_default();
    let waiting = held.as_ref().map(|held| held.version.id.to_string()).unwrap_or_default();
    let count = versions.len().to_string();
    let tag = visit.tag(&["versions", &layer.at()?.key(), &newest, &count, &waiting]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let current = &layer.at()?.version.id;
    if format == Format::Html {
        let page = pages::report::versions(&visit, &layer, &versions, current, held.as_ref());
        return visit.send(&tag, Document::html(page)).await;
    }
    let listed: Vec<Value> = versions
        .iter()
        .rev()
        .map(|version| {
            let report = visit.url(&format!("collections/{id}/versions/{}/report", version.id));
            let mut links = vec![Link::new("describedby", media::JSON, report)];
            if version.id != *current {
                let since = changes_since(&visit, &id, version);
                links.push(Link::new("related", media::JSON, since));
            }
            json!({
                "id": version.id.as_str(),
                "current": version.id == *current,
                "count": version.count,
                "dates": dates(&layer.def, version),
                "source": source(version),
                "links": links,
            })
        })
        .collect();
    let mut value = json!({ "links": visit.own_links(media::JSON), "versions": listed });
    if let Some(held) = &held {
        let report = format!("collections/{id}/versions/{}/report", held.version.id);
        value["held"] = json!({
            "id": held.version.id.as_str(),
            "count": held.version.count,
            "source": source(&held.version),
            "hold": hold(&visit, &held.hold),
            "links": [Link::new("describedby", media::JSON, visit.url(&report))],
        });
    }
    let title = text!("Versions", "Versions");
    let title = format!("{} — {}", visit.say(&layer.def.title), visit.say(&title));
    visit.present(&tag, media::JSON, &title, &value).await
}

/// `GET /collections/{id}/versions/{v}/report`
pub async fn report(Path((id, v)): Path<(String, String)>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let layer = visit.layer(&id)?;
    let versions = versions(&visit, &layer).await?;
    let held = visit.site.app.store.held(&layer.def.id).await?;
    let held = held.filter(|held| held.version.id.as_str() == v);
    let found = versions.iter().find(|version| version.id.as_str() == v);
    let version = found.or(held.as_ref().map(|held| &held.version)).ok_or_else(|| {
        let shown: String = v.chars().take(60).collect();
        let list: Vec<&str> = versions.iter().map(|v| v.id.as_str()).collect();
        let list = list.join(", ");
        Error::NotFound(text!(
            "La couche « {id} » n'a pas (ou plus) de version « {shown} ». Versions gardées : {list}.",
            "Layer \"{id}\" has no version \"{shown}\" (any more). Versions kept: {list}."
        ))
    })?;
    let waits = if held.is_some() { "held" } else { "" };
    let tag = visit.tag(&["report", version.id.as_str(), waits]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    if format == Format::Html {
        let page = pages::report::page(&visit, &layer, version, held.as_ref().map(|h| &h.hold));
        return visit.send(&tag, Document::html(page)).await;
    }
    let mut links = visit.own_links(media::JSON);
    links.push(Link::new("up", media::JSON, visit.url(&format!("collections/{id}/versions"))));
    let report =
        serde_json::to_value(&version.report).map_err(|e| Error::fault("writing a report", e))?;
    let mut value = json!({
        "version": version.id.as_str(),
        "dates": dates(&layer.def, version),
        "source": source(version),
        "report": report,
        "links": links,
    });
    if let Some(held) = &held {
        value["held"] = hold(&visit, &held.hold);
    }
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// Where to ask what came after a version.
pub(super) fn changes_since(visit: &Visit, layer: &str, version: &Version) -> String {
    visit.url(&format!("collections/{layer}/changes?{}={}", changes::SINCE, version.id))
}

async fn versions(visit: &Visit, layer: &Layer) -> Result<Vec<Version>> {
    visit.site.app.store.versions(&layer.def.id).await
}

/// Why a version waits, in the language of the request.
fn hold(visit: &Visit, hold: &Hold) -> Value {
    let reasons = hold.reasons.iter();
    let reasons: Vec<Value> =
        reasons.map(|r| json!({ "rule": r.rule, "text": visit.say(&r.text) })).collect();
    let mut value = json!({ "since": hold.at.to_string(), "reasons": reasons });
    if let Some(head) = &hold.changes {
        value["changes"] =
            json!({ "added": head.added, "changed": head.changed, "removed": head.removed });
    }
    value
}

/// The proof of where a version comes from.
fn source(version: &Version) -> Value {
    let source = &version.source;
    let mut value = json!({
        "name": source.name,
        "origin": source.origin,
        "status": source.status,
        "bytes": source.bytes,
        "sha256": source.sha256,
        "modified": source.modified.map(|m| m.to_string()),
    });
    if let Some(dataset) = &source.dataset {
        value["dataset"] = json!(dataset);
    }
    value
}
