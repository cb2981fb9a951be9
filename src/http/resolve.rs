//! `/territories/resolve`: a table put on today's territories, in one request. The one resource of
//! the public API that takes a body; nothing of it is kept or logged.
//!
//! Not under `/t/{scope}/`: a table is about the places it names, and cutting rows out of it by a
//! territory would lose some without a word.

use super::{
    Answer,
    body::{Form, Held},
    links::media,
    negotiate::{self, Format},
    pages,
    params::name,
    problem::Failure,
    reply::Document,
    visit::Visit,
};
use crate::{
    error::{Error, Result},
    resolve::{Ask, Kind, Resolved, Sent},
    text,
};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use serde_json::{Value, json};
use std::{fmt::Write, time::Duration};

/// Parameters.
pub const KNOWN: [&str; 12] = [
    "code",
    "name",
    "department",
    "lon",
    "lat",
    "x",
    "y",
    name::CRS,
    "nearest",
    "vintage",
    ADD,
    name::F,
];
/// What to add; may come several times, as the checkboxes of a form send it.
const ADD: &str = "add";

/// Rows by verdict: `unchanged=34545, carried=493`.
const VERDICTS: HeaderName = HeaderName::from_static("socle-verdicts");
/// The vintage that codes were carried from, and the years that fit as well: `2018 (2018-2018)`.
const FROM: HeaderName = HeaderName::from_static("socle-vintage");
/// Communes on which rows meet with different values.
const CONFLICTS: HeaderName = HeaderName::from_static("socle-conflicts");

/// What is left of the time of a request for sending the answer.
const RESERVE: f64 = 0.8;

/// `GET /territories/resolve`: what it takes, or the page.
pub async fn form(visit: Visit) -> Answer {
    unscoped(&visit)?;
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let state = visit.site.state(&visit.snapshot());
    let tag = visit.tag(&["resolve", &state]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let document = match format {
        Format::Html => Document::html(pages::resolve::form(&visit, None)),
        Format::Json => Document::json(media::JSON, &usage(&visit)),
    };
    visit.send(&tag, document).await
}

fn unscoped(visit: &Visit) -> Result<(), Failure> {
    if visit.scope.is_none() { Ok(()) } else { Err(Failure::NoRoute) }
}

fn usage(visit: &Visit) -> Value {
    json!({
        "title": visit.words("Porter une table sur les territoires d'aujourd'hui", "Put a table on today's territories"),
        "method": "POST",
        "accepts": Kind::ALL.map(Kind::media),
        "parameters": KNOWN,
        "limit": visit.site.bodies.limit,
        "reference": visit.reference().id(),
        "links": visit.own_links(media::JSON),
    })
}

/// `POST /territories/resolve`
pub async fn resolve(mut visit: Visit, body: Body) -> Answer {
    unscoped(&visit)?;
    let content = visit.header(header::CONTENT_TYPE).unwrap_or_default().to_owned();
    let declared = visit.header(header::CONTENT_LENGTH).and_then(|n| n.parse().ok());
    let taken = Taken::by(&content)?;
    let Held { bytes, share } = visit.site.bodies.read(body, declared).await?;
    // With the table goes its share of what bodies may take up, until the work on it has ended.
    let held = share.map(|share| Box::new(share) as Box<dyn std::any::Any + Send>);
    let sent = match taken {
        Taken::Form => {
            let form = Form::read(bytes, &content).await?;
            form.fields.into_iter().for_each(|(name, value)| visit.params.push(name, value));
            let bytes = form.table.ok_or_else(no_table)?;
            Sent { bytes, kind: None, charset: None, held }
        }
        Taken::Table(kind, charset) => {
            Sent { bytes, kind, charset: charset.map(str::to_owned), held }
        }
    };
    visit.params.check_but(&KNOWN, ADD)?;
    let page = page_wanted(&visit, taken)?;
    let ask = ask(&visit, page)?;
    let done = visit
        .site
        .app
        .resolver
        .resolve(sent, ask, visit.reference(), Some(visit.snapshot()))
        .await?;
    send(&visit, done, page)
}

fn no_table() -> Error {
    Error::Invalid(text!(
        "Le formulaire ne porte pas de table : choisissez un fichier (« file ») ou collez-la (« table »).",
        "The form bears no table: choose a file (\"file\") or paste it (\"table\")."
    ))
}

/// What a body is, by its media type.
#[derive(Clone, Copy)]
enum Taken<'a> {
    Form,
    /// A table; of a kind and in an encoding, when the type says so.
    Table(Option<Kind>, Option<&'a str>),
}

impl<'a> Taken<'a> {
    fn by(content_type: &'a str) -> Result<Self, Failure> {
        let (essence, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
        let charset = rest.split(';').find_map(|p| p.trim().strip_prefix("charset="));
        let charset = charset.map(|label| label.trim_matches('"'));
        Ok(match essence.trim().to_ascii_lowercase().as_str() {
            "multipart/form-data" => Self::Form,
            "text/csv" | "application/csv" | "text/plain" | "text/tab-separated-values" => {
                Self::Table(Some(Kind::Csv), charset)
            }
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => {
                Self::Table(Some(Kind::Xlsx), None)
            }
            "application/json" => Self::Table(Some(Kind::Json), None),
            // Windows calls CSV so where Excel is installed.
            "" | "application/octet-stream" | "application/vnd.ms-excel" => Self::Table(None, None),
            _ => return Err(Failure::MediaType),
        })
    }
}

/// Whether the answer is a page: only a page's form asks for one.
fn page_wanted(visit: &Visit, taken: Taken<'_>) -> Result<bool, Failure> {
    match visit.params.get(name::F) {
        Some("html") => Ok(true),
        Some(_) => Ok(false),
        None => {
            let form = matches!(taken, Taken::Form);
            let accept = visit.header(header::ACCEPT);
            Ok(form && negotiate::format(accept) == Some(Format::Html))
        }
    }
}

/// The form of the result: `f`, else `Accept` where it names one, else that of the table.
fn kind(visit: &Visit) -> Result<Option<Kind>> {
    let of = |id: &str| Kind::ALL.into_iter().find(|kind| kind.id() == id);
    match visit.params.get(name::F) {
        Some("same") => Ok(None),
        Some(f) => of(f).map(Some).ok_or_else(|| {
            let shown: String = f.chars().take(40).collect();
            Error::Invalid(text!(
                "Paramètre « f » : « {shown} ». Formats possibles : csv, xlsx, json, html ; sans lui, celui de la table.",
                "Parameter \"f\": \"{shown}\". Possible formats: csv, xlsx, json, html; without it, that of the table."
            ))
        }),
        None => {
            let accept = visit.header(header::ACCEPT).unwrap_or_default().to_ascii_lowercase();
            let named = accept.split(',').map(|m| m.split(';').next().unwrap_or_default().trim());
            let kinds = |media: &str| {
                Kind::ALL.into_iter().find(|k| k.media().split(';').next() == Some(media))
            };
            Ok(named.into_iter().find_map(kinds))
        }
    }
}

fn ask(visit: &Visit, page: bool) -> Result<Ask> {
    let params = &visit.params;
    let text = |name: &str| params.get(name).filter(|v| !v.is_empty()).map(str::to_owned);
    let given = |a: &str, b: &str| match (text(a), text(b)) {
        (Some(_), Some(_)) => Err(Error::Invalid(text!(
            "« {a} » et « {b} » disent la même chose : n'en donnez qu'un.",
            "\"{a}\" and \"{b}\" say the same: give one of them."
        ))),
        (one, other) => Ok(one.or(other)),
    };
    let number = |name: &str, most: u64| {
        let found = params.number(name)?;
        match found.filter(|n| *n > most) {
            Some(_) => Err(Error::Invalid(text!(
                "Paramètre « {name} » : {most} au plus.",
                "Parameter \"{name}\": at most {most}."
            ))),
            None => Ok(found),
        }
    };
    let add = params.iter().filter(|(name, _)| *name == ADD);
    let timeout = visit.site.app.settings.server.request_timeout;
    Ok(Ask {
        code: text("code"),
        name: text("name"),
        department: text("department"),
        x: given("lon", "x")?,
        y: given("lat", "y")?,
        crs: text(name::CRS),
        nearest_m: number("nearest", 100_000)?.and_then(|n| n.try_into().ok()),
        vintage: number("vintage", 9999)?.and_then(|n| n.try_into().ok()),
        add: add.flat_map(|(_, v)| v.split(',')).map(|w| w.trim().to_owned()).collect(),
        // A page sends the table on, so that it can be had as a file.
        kind: if page { Some(Kind::Csv) } else { kind(visit)? },
        original: page,
        lang: visit.lang(),
        within: Some(Duration::from_secs_f64(timeout.as_secs_f64() * RESERVE)),
        memory: Some(visit.site.app.settings.server.max_table),
    })
}

fn send(visit: &Visit, done: Resolved, page: bool) -> Answer {
    let (media, bytes) = match (page, done.form.kind) {
        (true, _) => {
            ("text/html; charset=utf-8", pages::resolve::form(visit, Some(&done)).into_bytes())
        }
        (_, Kind::Json) => (Kind::Json.media(), json_document(visit, &done)?),
        (_, kind) => (kind.media(), done.bytes),
    };
    let account = &done.done;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    let mut add = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    add(header::CONTENT_TYPE, media);
    add(header::CONTENT_LANGUAGE, visit.lang().tag());
    add(header::CACHE_CONTROL, "no-store");
    if !page && done.form.kind != Kind::Json {
        let id = done.form.kind.id();
        add(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"socle_table.{id}\""));
    }
    let mut counts = String::new();
    for (verdict, count) in &account.counts {
        let comma = if counts.is_empty() { "" } else { ", " };
        let _ = write!(counts, "{comma}{}={count}", verdict.id());
    }
    add(VERDICTS, &counts);
    if let (Some(vintage), Some(found)) = (account.vintage, account.detected) {
        add(FROM, &format!("{vintage} ({}-{})", found.first, found.last));
    }
    add(CONFLICTS, &account.conflicts.len().to_string());
    Ok(response)
}

/// The rows, an array as they were written, behind the account in one object.
fn json_document(visit: &Visit, resolved: &Resolved) -> Result<Vec<u8>> {
    let account = serde_json::to_vec(&account(visit, resolved));
    let mut document = account.map_err(|e| Error::fault("writing JSON", e))?;
    document.pop();
    document.reserve_exact(resolved.bytes.len() + 16);
    document.extend_from_slice(b",\"rows\":");
    document.extend_from_slice(&resolved.bytes);
    document.push(b'}');
    Ok(document)
}

fn account(visit: &Visit, resolved: &Resolved) -> Value {
    let (done, reference) = (&resolved.done, visit.reference());
    let counts: serde_json::Map<String, Value> =
        done.counts.iter().map(|(verdict, n)| (verdict.id().to_owned(), json!(n))).collect();
    let conflicts = done.conflicts.iter().map(|meeting| {
        let lines: Vec<u64> =
            meeting.rows.iter().filter_map(|row| done.sheet.lines.get(*row)).copied().collect();
        json!({
            "commune": meeting.commune.code.as_str(),
            "name": reference.name(&meeting.commune),
            "codes": meeting.codes,
            "lines": lines,
            "columns": meeting.columns,
        })
    });
    json!({
        "reference": reference.id(),
        "vintage": {
            "from": done.vintage,
            "to": reference.vintage(),
            "detected": done.detected,
        },
        "counts": counts,
        "numberReturned": done.rows.len(),
        "columns": done.sheet.header,
        "notes": done.notes.iter().map(|n| visit.say(n)).collect::<Vec<_>>(),
        "conflicts": conflicts.collect::<Vec<_>>(),
    })
}
