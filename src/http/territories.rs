//! Territories: search by name or postal code, and one territory with its parents, members and
//! the way into its scope.

use super::{
    Answer,
    access::TERRITORY_NOTICE,
    links::{Link, media},
    negotiate::Format,
    pages,
    params::name,
    reply::{self, Document},
    visit::Visit,
};
use crate::{
    catalog::{Outline, Snapshot},
    error::{Error, Result},
    model::{Level, TerritoryCode},
    stats::Shape,
    territory::{Resolved, Territory, Unit},
    text,
};
use axum::extract::Path;
use serde_json::{Value, json};

const Q: &str = "q";
const LEVEL: &str = "level";
/// The year of a perimeter.
pub const VINTAGE: &str = "vintage";
/// Parameters of the search.
pub const KNOWN: [&str; 4] = [Q, LEVEL, name::LIMIT, name::F];
/// Results of a search, by default and at most.
const DEFAULT: u64 = 20;
const MOST: u64 = 100;

/// What a search found.
pub struct Search {
    /// What was looked for.
    pub q: Option<String>,
    /// Best first.
    pub found: Vec<Territory>,
}

/// `GET /territories`
pub async fn search(visit: Visit) -> Answer {
    visit.params.check(&KNOWN, &[])?;
    let format = visit.format()?;
    let level = match visit.params.get(LEVEL).filter(|l| !l.is_empty()) {
        Some(text) => Some(text.parse::<Level>().map_err(Error::from)?),
        None => None,
    };
    let limit = match visit.params.number(name::LIMIT)? {
        Some(0) => {
            return Err(Error::Invalid(text!(
                "Paramètre « limit » : de 1 à {MOST}.",
                "Parameter \"limit\": 1 to {MOST}."
            ))
            .into());
        }
        asked => asked.unwrap_or(DEFAULT).min(MOST),
    };
    let tag = visit.tag(&["territories", &visit.site.state(&visit.snapshot())]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let reference = visit.reference();
    let snapshot = visit.snapshot();
    let q = visit.params.get(Q).map(str::trim).filter(|q| !q.is_empty()).map(str::to_owned);
    let found = match &q {
        Some(q) if q.chars().count() > 200 => {
            return Err(Error::Invalid(text!(
                "Recherche trop longue : 200 caractères au plus.",
                "Search too long: 200 characters at most."
            ))
            .into());
        }
        Some(q) => {
            let listed = listed(&visit, &snapshot, level).await?;
            reference.search_also(q, level, usize::try_from(limit).unwrap_or(20), &listed)
        }
        None => of_level(&visit, &snapshot, level, limit).await?,
    };
    let search = Search { q, found };
    if format == Format::Html {
        let page = pages::territory::search(&visit, &search);
        return visit.send(&tag, Document::html(page)).await;
    }
    let value = json!({
        "reference": reference.id(),
        "vintage": reference.vintage(),
        "levels": Level::every().into_iter().map(Level::id).collect::<Vec<_>>(),
        "numberReturned": search.found.len(),
        "territories": search.found.iter().map(|t| brief(&visit, t)).collect::<Vec<_>>(),
        "links": visit.own_links(media::JSON),
    });
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// The first territories of a level, in the order of their codes; without a level the régions,
/// where everybody starts.
async fn of_level(
    visit: &Visit,
    snapshot: &Snapshot,
    level: Option<Level>,
    limit: u64,
) -> Result<Vec<Territory>> {
    let reference = visit.reference();
    let Some(level) = level else {
        let regions = reference.members(&TerritoryCode::france());
        return Ok(regions.iter().filter_map(|c| reference.get(c)).collect());
    };
    let limit = usize::try_from(limit).unwrap_or(20);
    let units = reference.units(level).list;
    if !units.is_empty() {
        return Ok(units.iter().take(limit).filter_map(|u| reference.get(&u.code)).collect());
    }
    let listed = listed(visit, snapshot, Some(level)).await?;
    Ok(listed.iter().take(limit).map(Territory::named).collect())
}

/// The territories that layers list and the reference does not, of a level or of all.
async fn listed(visit: &Visit, snapshot: &Snapshot, level: Option<Level>) -> Result<Vec<Unit>> {
    let (app, reference) = (&visit.site.app, visit.reference());
    let elsewhere =
        |its: &Level| level.is_none_or(|level| level == *its) && !reference.lists_level(*its);
    let mut all = Vec::new();
    for level in Level::every().into_iter().filter(elsewhere) {
        all.extend(app.stats.listed(snapshot, level).await?.iter().cloned());
    }
    Ok(all)
}

/// `GET /territories/{level}-{code}`
pub async fn one(Path(code): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[VINTAGE, name::F], &[])?;
    let format = visit.format()?;
    let reference = visit.reference();
    if visit.params.get(VINTAGE).is_some_and(|v| !v.is_empty()) {
        return super::history::perimeter(&visit, &code).await;
    }
    let resolved = reference.resolve(&code)?;
    if format == Format::Html && resolved.carried_from.is_some() {
        let to = visit.url(&format!("territories/{}", &resolved.code.path()));
        return Ok(reply::redirect(&to, "public, max-age=300"));
    }
    let outline = outline(&visit, &resolved.code);
    let tag = visit.tag(&["territory", outline.as_ref().map_or("", |o| &o.key)]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let members = reference.members(&resolved.code);
    let shape = shape(&visit, outline).await?;
    let listed = listed(&visit, &visit.snapshot(), Some(resolved.code.level)).await?;
    let own = listed.iter().find(|unit| unit.code == resolved.code);
    let listed = own.map(|unit| unit.name.as_str());
    let mut document = if format == Format::Html {
        Document::html(pages::territory::page(&visit, &resolved, listed, &members, shape.as_ref()))
    } else {
        let mut value = value(&visit, &resolved, &members);
        draw(&mut value, shape.as_ref())?;
        if let (true, Some(name)) = (value["name"].is_null(), listed) {
            value["name"] = name.into();
        }
        match visit.params.get(name::F) {
            Some("geojson") => Document::json(media::GEOJSON, &feature(value)),
            _ => Document::json(media::JSON, &value),
        }
    };
    if resolved.notice.is_some() || resolved.carried_from.is_some() {
        let from: String = code.chars().filter(char::is_ascii_graphic).take(40).collect();
        let notice = format!("{from} -> {}", &resolved.code.to_string());
        document = document.with(TERRITORY_NOTICE, notice);
    }
    visit.send(&tag, document).await
}

/// What gives the border of a territory, when a layer does. The whole of France has none here: its
/// régions do.
fn outline(visit: &Visit, code: &TerritoryCode) -> Option<Outline> {
    if code.level == Level::Fr {
        return None;
    }
    let reference = visit.reference();
    let perimeter = reference.perimeter(std::slice::from_ref(code)).ok()?;
    visit.snapshot().outline(&perimeter).ok()
}

/// The shape of a territory; `None` when the layer of its level does not hold it.
async fn shape(visit: &Visit, outline: Option<Outline>) -> Result<Option<Shape>> {
    let Some(outline) = outline else { return Ok(None) };
    let app = &visit.site.app;
    match app.borders.border(&outline, None).await {
        Ok(border) => app.stats.shape(border).await,
        Err(Error::Conflict(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Adds the shape, explicitly null where no layer gives it.
fn draw(value: &mut Value, shape: Option<&Shape>) -> Result<()> {
    let parse = |text: &str| {
        serde_json::from_str::<Value>(text).map_err(|e| Error::fault("a border read back", e))
    };
    let round = |v: f64, scale: f64| (v * scale).round() / scale;
    value["bbox"] = json!(shape.map(|s| s.bbox.to_array().map(|v| round(v, 1e9))));
    value["areaKm2"] = json!(shape.map(|s| round(s.area_km2, 1e4)));
    value["centroid"] = json!(shape.map(|s| s.centroid.map(|v| round(v, 1e6))));
    value["communesMissing"] = json!(shape.map(|s| s.missing));
    value["geometry"] = shape.map(|s| parse(&s.geometry)).transpose()?.unwrap_or_default();
    Ok(())
}

/// The same as a GeoJSON feature (RFC 7946).
fn feature(mut value: Value) -> Value {
    let geometry = value["geometry"].take();
    let bbox = value["bbox"].take();
    let id = value["id"].clone();
    let mut links = Value::Null;
    if let Some(properties) = value.as_object_mut() {
        properties.remove("geometry");
        properties.remove("bbox");
        links = properties.remove("links").unwrap_or_default();
    }
    let mut feature = json!({ "type": "Feature", "id": id, "geometry": geometry });
    if !bbox.is_null() {
        feature["bbox"] = bbox;
    }
    feature["properties"] = value;
    feature["links"] = links;
    feature
}

fn value(visit: &Visit, resolved: &Resolved, members: &[TerritoryCode]) -> Value {
    let reference = visit.reference();
    let mut value = match reference.get(&resolved.code) {
        Some(territory) => {
            let mut value = full(visit, &territory);
            let remarks = reference.remarks(&territory);
            value["remarks"] = remarks.iter().map(|remark| visit.say(remark)).collect();
            value
        }
        None => named(visit, &resolved.code),
    };
    value["members"] = members.iter().map(|c| named(visit, c)).collect();
    if let Some(notice) = &resolved.notice {
        value["notice"] = visit.say(notice).into();
    }
    if let Some(from) = &resolved.carried_from {
        value["carriedFrom"] = from.clone().into();
    }
    if let Some(see) = &resolved.see_also {
        value["seeAlso"] = named(visit, see);
    }
    let mut links = visit.own_links(media::JSON);
    links.push(Link::new("up", media::JSON, visit.url("territories")));
    links.push(Link::new("service", media::JSON, scope_url(visit, &resolved.code)).titled(
        visit.say(&text!("Le service pour ce territoire", "The service for this territory")),
    ));
    value["links"] = json!(links);
    value
}

/// Root of the service scoped to a territory.
pub fn scope_url(visit: &Visit, code: &TerritoryCode) -> String {
    format!("{}t/{}/", visit.base(), code.path())
}

/// The page of a territory.
pub fn page_url(visit: &Visit, code: &TerritoryCode) -> String {
    visit.url(&format!("territories/{}", code.path()))
}

pub(super) fn named(visit: &Visit, code: &TerritoryCode) -> Value {
    let name = visit.reference().get(code).map(|t| t.name);
    json!({
        "id": code.to_string(),
        "level": code.level.id(),
        "code": code.code.to_string(),
        "name": name,
        "href": page_url(visit, code),
    })
}

fn full(visit: &Visit, territory: &Territory) -> Value {
    let mut value = named(visit, &territory.code);
    value["name"] = territory.name.clone().into();
    value["population"] = territory.population.into();
    value["postalCodes"] = json!(territory.postal_codes);
    value["parents"] = territory.parents.iter().map(|c| named(visit, c)).collect();
    value["nature"] = visit.reference().nature(territory).into();
    value
}

fn brief(visit: &Visit, territory: &Territory) -> Value {
    let mut value = full(visit, territory);
    value["links"] = json!([
        Link::new("self", media::JSON, page_url(visit, &territory.code)),
        Link::new("service", media::JSON, scope_url(visit, &territory.code)),
    ]);
    value
}
