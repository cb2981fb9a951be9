//! `/collections/{id}/changes`: what to add, replace and remove in a copy of a layer so that it is as
//! the layer is now, as GeoJSON in pages.

use super::{
    Answer,
    access::TERRITORY_NOTICE,
    items::NUMBER_MATCHED,
    links::{Link, media},
    params::name,
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    items::{Form, PageQuery, System, View},
    model::{ChangeKind, Selection, schedule::midnight},
    query::{DEFAULT_LIMIT, Filter, Start, parse_limit},
    stats::{Followed, FollowedChange, Since},
    text,
};
use axum::extract::Path;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Where the copy stands.
pub const SINCE: &str = "since";
/// The version that pages lead to, in their links.
pub const UNTIL: &str = "until";
/// What a feature was, among its properties.
const CHANGE: &str = "socle_change";

/// Parameters of `…/changes`.
const KNOWN: [&str; 9] = [
    SINCE,
    UNTIL,
    name::LIMIT,
    name::OFFSET,
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::F,
];

/// `GET /collections/{id}/changes`
pub async fn changes(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&KNOWN, &[])?;
    visit.form(&["json", "html"])?;
    let layer = visit.layer(&id)?;
    let at = layer.at()?;
    let since = since(&visit)?;
    let asked = visit.asked_territory()?;
    // A border to cut at, or none to be had of those who ask for one.
    if !matches!(visit.outline(asked.as_ref()), Ok(None)) {
        return Err(Error::Invalid(text!(
            "Les changements ne se découpent pas : prenez le territoire sans « clip ».",
            "Changes are not cut: take the territory without \"clip\"."
        ))
        .into());
    }
    if visit.params.get(UNTIL).is_some_and(|until| until != at.version.id.as_str()) {
        let follow = visit.address(&[UNTIL, name::OFFSET], &[]);
        return Err(Error::Gone {
            text: text!(
                "La couche a été mise à jour pendant le parcours. Reprenez depuis le début.",
                "The layer was updated while you were paging. Start again."
            ),
            follow: follow.strip_prefix(&visit.root()).map(str::to_owned),
        }
        .into());
    }
    let limit = visit.params.get(name::LIMIT).map_or(Ok(DEFAULT_LIMIT), parse_limit)?;
    let offset = visit.params.number(name::OFFSET)?.unwrap_or(0);
    let tag = visit.tag(&["changes", &at.key()]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let selection = visit.selection(asked.as_ref());
    let stats = &visit.site.app.stats;
    let followed = stats.followed(&layer, visit.reference(), selection.as_ref(), &since).await?;
    let (skip, most) = (usize::try_from(offset).unwrap_or(usize::MAX), limit as usize);
    let shown: Vec<&FollowedChange> = followed.changes.iter().skip(skip).take(most).collect();
    let features = features(&visit, &layer, selection, &shown).await?;
    let value = collection(&visit, &id, &followed, features, (offset, limit));
    let title = text!("Changements", "Changes");
    let title = format!("{} — {}", visit.say(&layer.def.title), visit.say(&title));
    let mut answer = visit.present(&tag, media::GEOJSON, &title, &value).await?;
    let matched = followed.changes.len();
    answer.headers_mut().insert(NUMBER_MATCHED, matched.into());
    if let Some(notice) = visit.notice(asked.as_deref())
        && let Ok(notice) = notice.parse()
    {
        answer.headers_mut().insert(TERRITORY_NOTICE, notice);
    }
    Ok(answer)
}

/// A version, a day (its beginning in Paris), or a moment.
fn since(visit: &Visit) -> Result<Since> {
    let words = visit.params.get(SINCE).ok_or_else(|| {
        Error::Invalid(text!(
            "Il manque le paramètre « since » : la version que vous avez, ou le jour ou l'instant où vous l'avez prise (2026-01-31, 2026-01-31T08:00:00Z).",
            "Parameter \"since\" is missing: the version you have, or the day or moment you took it (2026-01-31, 2026-01-31T08:00:00Z)."
        ))
    })?;
    if let Ok(date) = words.parse::<jiff::civil::Date>()
        && words.len() == 10
    {
        return Ok(Since::Moment(midnight(date)));
    }
    if let Ok(moment) = words.parse() {
        return Ok(Since::Moment(moment));
    }
    words.parse().map(Since::Version).map_err(|_| {
        let shown: String = words.chars().take(60).collect();
        Error::Invalid(text!(
            "Paramètre « since » : « {shown} » n'est ni une version, ni un jour (2026-01-31), ni un instant (2026-01-31T08:00:00Z).",
            "Parameter \"since\": \"{shown}\" is no version, no day (2026-01-31), no moment (2026-01-31T08:00:00Z)."
        ))
    })
}

/// The features of a page of changes: those of the layer as they are now, of those removed the id.
async fn features(
    visit: &Visit,
    layer: &Layer,
    selection: Option<Arc<Selection>>,
    shown: &[&FollowedChange],
) -> Result<Vec<Value>> {
    let there = shown.iter().filter(|c| c.kind != ChangeKind::Removed);
    let ids: Vec<String> = there.map(|c| c.id.clone()).collect();
    let query = PageQuery {
        filter: Filter { selection, ..Filter::default() },
        start: Start::Offset(0),
        limit: ids.len() as u64,
        system: System::default(),
        view: View::default(),
        form: Form::Features,
    };
    let page = visit.site.app.items.listed(layer, &ids, query, None).await?;
    let mut json = b"[".to_vec();
    json.extend_from_slice(&page.body.into_bytes()?);
    json.push(b']');
    let found: Vec<Value> =
        serde_json::from_slice(&json).map_err(|e| Error::fault("reading features", e))?;
    let mut found: Map<String, Value> = found
        .into_iter()
        .filter_map(|feature| Some((feature["id"].as_str()?.to_owned(), feature)))
        .collect();
    let one = |change: &&FollowedChange| {
        let mut feature = found.remove(&change.id).unwrap_or_else(
            || json!({ "type": "Feature", "id": change.id, "geometry": null, "properties": {} }),
        );
        feature["properties"][CHANGE] = json!(change.kind);
        feature
    };
    Ok(shown.iter().map(one).collect())
}

fn collection(
    visit: &Visit,
    id: &str,
    followed: &Followed,
    features: Vec<Value>,
    (offset, limit): (u64, u64),
) -> Value {
    let count = |kind| followed.changes.iter().filter(|c| c.kind == kind).count();
    let mut links = visit.own_links(media::GEOJSON);
    let (matched, returned) = (followed.changes.len() as u64, features.len() as u64);
    let until = followed.version.as_str();
    if offset.saturating_add(returned) < matched && returned > 0 {
        let (next, limit) = ((offset + returned).to_string(), limit.to_string());
        let with = [(UNTIL, until), (name::LIMIT, limit.as_str()), (name::OFFSET, next.as_str())];
        links.push(Link::new("next", media::GEOJSON, visit.address(&[], &with)));
    }
    let versions = visit.url(&format!("collections/{id}/versions"));
    links.push(Link::new("up", media::JSON, versions));
    json!({
        "type": "FeatureCollection",
        "since": followed.base.as_str(),
        "version": until,
        "numberMatched": matched,
        "numberReturned": returned,
        "added": count(ChangeKind::Added),
        "changed": count(ChangeKind::Changed),
        "removed": count(ChangeKind::Removed),
        "links": links,
        "features": features,
    })
}
