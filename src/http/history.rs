//! What became of territories: the movements of a commune, the last perimeter of a dissolved
//! EPCI.

use super::{
    Answer,
    links::{Link, media},
    negotiate::Format,
    pages,
    params::name,
    reply::Document,
    territories::{VINTAGE, named},
    visit::Visit,
};
use crate::{
    error::{Error, Result},
    model::{Lang, Level, TerritoryCode, Text},
    territory::{Dissolved, Step},
    text,
};
use axum::extract::Path;
use serde_json::{Value, json};

/// `GET /territories/{level}-{code}/history`
pub async fn history(Path(code): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let code = written(&visit, &code)?;
    let tag = visit.tag(&["history"]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let reference = visit.reference();
    let steps = match code.level {
        Level::Com => reference.history(code.code.as_str()),
        _ => Vec::new(),
    };
    let gone = reference.dissolved(&code);
    if steps.is_empty() && gone.is_none() {
        // Known and unmoved, or refused by name.
        reference.resolve(&code.to_string())?;
    }
    let history = History { code, steps, gone };
    if format == Format::Html {
        return visit.send(&tag, Document::html(pages::history::page(&visit, &history))).await;
    }
    visit.send(&tag, Document::json(media::JSON, &value(&visit, &history))).await
}

/// The history of a territory.
pub struct History {
    /// The territory, of today or not.
    pub code: TerritoryCode,
    /// Movements, oldest first.
    pub steps: Vec<Step>,
    /// What it was, when it is a dissolved EPCI.
    pub gone: Option<Dissolved>,
}

/// The code as it is written: old ones have a history of their own and are not carried.
fn written(visit: &Visit, code: &str) -> Result<TerritoryCode> {
    match code.parse() {
        Ok(code) => Ok(code),
        Err(_) => Ok(visit.reference().resolve(code)?.code),
    }
}

fn value(visit: &Visit, history: &History) -> Value {
    let reference = visit.reference();
    let mut value = named(visit, &history.code);
    if value["name"].is_null() {
        value["name"] = name_then(visit, &history.code).into();
    }
    value["vintage"] = reference.vintage().into();
    value["history"] = history
        .steps
        .iter()
        .map(|step| {
            let side = |codes: &[TerritoryCode]| -> Vec<Value> {
                codes
                    .iter()
                    .map(|c| json!({ "id": c.to_string(), "name": name_then(visit, c) }))
                    .collect()
            };
            json!({
                "date": date(step),
                "mod": step.kind,
                "kind": visit.say(&kind(step.kind)),
                "before": side(&step.before),
                "after": side(&step.after),
            })
        })
        .collect();
    if let Some(gone) = &history.gone {
        value["dissolved"] = dissolved(visit, gone);
    }
    value["links"] = json!(visit.own_links(media::JSON));
    value
}

fn dissolved(visit: &Visit, gone: &Dissolved) -> Value {
    json!({
        "last": gone.last,
        "since": gone.last + 1,
        "followedBy": gone.heirs.iter().map(|(heir, communes)| {
            let mut value = named(visit, heir);
            value["communes"] = (*communes).into();
            value
        }).collect::<Vec<_>>(),
    })
}

/// `GET /territories/epci-{code}?vintage=`: the last perimeter of an EPCI that is dissolved.
pub async fn perimeter(visit: &Visit, code: &str) -> Answer {
    let reference = visit.reference();
    let code = written(visit, code)?;
    let year = visit.params.number(VINTAGE)?.unwrap_or_default();
    let Some(gone) = reference.dissolved(&code) else {
        let vintage = reference.vintage();
        return Err(Error::Invalid(text!(
            "Paramètre « vintage » : il donne le dernier périmètre d'un EPCI dissous. « {code} » n'en est pas un (COG {vintage}).",
            "Parameter \"vintage\": it gives the last perimeter of a dissolved EPCI. \"{code}\" is none (COG {vintage})."
        ))
        .into());
    };
    let last = gone.last;
    if year != u64::from(last) {
        return Err(Error::Invalid(text!(
            "Paramètre « vintage » : le périmètre connu de {code} est celui de {last}.",
            "Parameter \"vintage\": the perimeter known of {code} is that of {last}."
        ))
        .into());
    }
    let tag = visit.tag(&["perimeter"]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let members = gone.members.iter().map(
        |c| json!({ "id": c.to_string(), "code": c.code.to_string(), "name": name_then(visit, c) }),
    );
    let mut value = json!({
        "id": code.to_string(),
        "level": code.level.id(),
        "code": code.code.to_string(),
        "name": gone.name,
        "vintage": last,
        "members": members.collect::<Vec<_>>(),
        "dissolved": dissolved(visit, &gone),
    });
    let mut links = visit.own_links(media::JSON);
    let history = visit.url(&format!("territories/{}/history", code.path()));
    links.push(Link::new("related", media::JSON, history));
    let service = format!("{}t/{}@{last}/", visit.base(), code.path());
    links.push(Link::new("service", media::JSON, service).titled(
        visit.say(&text!("Le service pour ce territoire", "The service for this territory")),
    ));
    value["links"] = json!(links);
    visit.present(&tag, media::JSON, &gone.name, &value).await
}

/// The name of a territory of today or of the past.
pub fn name_then(visit: &Visit, code: &TerritoryCode) -> Option<String> {
    let reference = visit.reference();
    match code.level {
        Level::Com => reference.commune_name(code.code.as_str()).map(str::to_owned),
        _ => reference
            .get(code)
            .map(|t| t.name)
            .or_else(|| reference.dissolved(code).map(|gone| gone.name)),
    }
}

/// The day of a movement, as RFC 3339 writes it.
pub fn date(step: &Step) -> String {
    let (year, month, day) = step.date;
    format!("{year:04}-{month:02}-{day:02}")
}

/// A kind of movement in words; INSEE's codes.
pub fn kind(code: u8) -> Text {
    match code {
        20 => text!("création", "creation"),
        21 => text!("rétablissement", "restoration"),
        30 => text!("suppression, territoire partagé", "suppression, territory shared out"),
        31 => text!("fusion simple", "merger"),
        32 => text!("commune nouvelle", "new commune"),
        33 => text!("fusion-association", "merger with association"),
        34 => text!("fusion simple d'une commune associée", "full merger of an associated commune"),
        41 => text!("changement de code", "change of code"),
        50 => text!("transfert de chef-lieu", "move of the seat"),
        _ => text!("mouvement", "movement"),
    }
}

/// A territory's page title in a language.
pub fn title(visit: &Visit, code: &TerritoryCode) -> String {
    let name = name_then(visit, code).unwrap_or_else(|| code.to_string());
    match visit.lang() {
        Lang::Fr => format!("Histoire de {name}"),
        Lang::En => format!("History of {name}"),
    }
}
