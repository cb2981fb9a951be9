//! Orders: large exports worked on aside, followed, fetched and given up by their address.

use super::{
    Answer,
    exports::file_headers,
    links::{Link, media},
    negotiate::{self, Format},
    pages,
    params::name,
    problem::Failure,
    range,
    reply::Document,
    visit::Visit,
};
use crate::{
    error::Error,
    exports::{FORMATS, Status},
    text,
};
use axum::{
    extract::Path,
    http::{HeaderValue, Method, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

/// `GET /exports/{order}`
pub async fn status(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let status = visit.site.app.exports.status(&id).await?;
    standing(&visit, &id, &status).await
}

/// `DELETE /exports/{order}`
pub async fn cancel(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.site.app.exports.cancel(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /exports/{order}`: what a page without scripts can do instead of `DELETE`.
pub async fn cancel_by_form(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.site.app.exports.cancel(&id).await?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(value) = HeaderValue::from_str(&visit.url("collections?f=html")) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    Ok(response)
}

/// `GET /exports/{order}/file`
pub async fn file(Path(id): Path<String>, method: Method, visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    let exports = &visit.site.app.exports;
    let Some(ready) = exports.ready(&id).await? else {
        return Err(match exports.status(&id).await? {
            Status::Failed(error) => error.again(),
            Status::Cancelled => Error::Gone {
                text: text!("Cet export a été annulé.", "This export was cancelled."),
                follow: None,
            },
            _ => Error::Conflict(text!(
                "Cet export n'est pas encore prêt : suivez son avancement.",
                "This export is not ready yet: follow its progress."
            )),
        }
        .into());
    };
    let etag = format!("\"{id}\"");
    if negotiate::none_match(visit.header(header::IF_NONE_MATCH), &etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        file_headers(&mut response, &etag);
        return Ok(response);
    }
    let mut response = range::file(&visit, &method, &ready).await?;
    file_headers(&mut response, &etag);
    Ok(response)
}

/// Where an order stands, as JSON or as a page that follows it.
pub async fn standing(visit: &Visit, id: &str, status: &Status) -> Answer {
    let format = match visit.params.get(name::F) {
        None | Some("json" | "html") => visit.format()?,
        // `f` named the file's format.
        Some(_) => negotiate::format(visit.header(header::ACCEPT)).unwrap_or(Format::Json),
    };
    let under_way = matches!(status, Status::Waiting | Status::Running { .. });
    let document = match format {
        Format::Json => Document::json(media::JSON, &standing_json(visit, id, status)),
        Format::Html => Document::html(pages::export::standing(visit, id, status)),
    };
    let tag = visit.tag(&["export", id, &format!("{status:?}")]);
    let mut response = visit.send(&tag, document).await?;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::ETAG);
    if under_way && format == Format::Html {
        let to = visit.url(&format!("exports/{id}?f=html"));
        if let Ok(value) = HeaderValue::from_str(&format!("2; url={to}")) {
            headers.insert(header::REFRESH, value);
        }
    }
    Ok(response)
}

fn standing_json(visit: &Visit, id: &str, status: &Status) -> Value {
    let own = visit.url(&format!("exports/{id}"));
    let mut value = json!({ "id": id });
    let mut links = vec![Link::new("self", media::JSON, own.clone())];
    match status {
        Status::Waiting => value["status"] = "accepted".into(),
        Status::Running { rows, of, bytes } => {
            value["status"] = "running".into();
            value["rows"] = (*rows).into();
            value["bytes"] = (*bytes).into();
            value["progress"] = percent(*rows, *of).into();
        }
        Status::Done(ready) => {
            value["status"] = "successful".into();
            value["progress"] = 100.into();
            value["rows"] = ready.rows.into();
            value["bytes"] = ready.bytes.into();
            value["file"] = ready.name.clone().into();
            value["type"] = ready.media.clone().into();
            value["finished"] = ready.made_at.to_string().into();
            value["expires"] = ready.until.to_string().into();
            let mut link = Link::new("enclosure", media::JSON, format!("{own}/file"));
            link.media = FORMATS.iter().map(|k| k.media).find(|m| *m == ready.media);
            links.push(link.titled(ready.name.clone()));
        }
        Status::Failed(error) => {
            let failure = Failure::from(error.again());
            value["status"] = "failed".into();
            value["message"] = visit.say(&failure.detail()).into();
            value["httpStatus"] = failure.kind().status.as_u16().into();
        }
        Status::Cancelled => value["status"] = "dismissed".into(),
    }
    value["links"] = json!(links);
    value
}

/// Hundredths, less than all before the end.
pub fn percent(rows: u64, of: u64) -> u64 {
    (rows.saturating_mul(100) / of.max(1)).min(99)
}
