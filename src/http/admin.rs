//! For whoever runs the service: figures, and published tables looked at again. They answer on a
//! listener of their own, which only the machine itself reaches by default, and on the public
//! address to the bearer of the operator's token; without a token they are not there.

use super::{Answer, Site, meters, params::SECRETS, problem::Failure, router::path, visit::Visit};
use crate::{app::Looked, config::Secret, error::Error, text};
use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What the listener of its own answers.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(path::METRICS, get(metrics))
        .route(path::RELOAD, post(reload))
        .route(path::HARVEST_NOW, post(harvest))
        .fallback(async || Failure::NoRoute)
}

/// `GET /metrics`: Prometheus's text form.
async fn metrics(_: Visit) -> Answer {
    Ok(answer("text/plain; version=0.0.4; charset=utf-8", meters::shown()))
}

/// `POST /admin/reload`: published tables looked at again, and what became of each.
async fn reload(visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    by_a_program(&visit)?;
    let looked = visit.site.app.reload().await?;
    let tables: Vec<Value> = looked.iter().map(|table| shown(&visit, table)).collect();
    Ok(answer("application/json", json!({ "tables": tables }).to_string()))
}

/// A page of another site may make a browser send this; no program does.
fn by_a_program(visit: &Visit) -> Result<(), Failure> {
    if visit.header(header::ORIGIN).is_none() {
        return Ok(());
    }
    Err(Failure::Domain(Error::Conflict(text!(
        "Une page web ne peut pas demander cela : utilisez un programme, comme curl.",
        "A web page may not ask for this: use a program such as curl."
    ))))
}

/// `POST /admin/harvest/{id}`: a layer is harvested now, by this server. What becomes of it is in
/// the journal.
async fn harvest(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    by_a_program(&visit)?;
    let layer = visit.snapshot().layer(&id)?.clone();
    if layer.def.is_live() || layer.def.derived().is_some() {
        return Err(Failure::Domain(Error::Conflict(text!(
            "« {id} » n'a pas de source à moissonner.",
            "\"{id}\" has no source to harvest."
        ))));
    }
    visit.site.app.harvests.ask(layer.def.id.clone())?;
    let journal = visit.url("harvest");
    let value = json!({ "layer": layer.def.id, "status": "accepted", "journal": journal });
    let mut response = answer("application/json", value.to_string());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

fn shown(visit: &Visit, table: &Looked) -> Value {
    let mut shown = json!({
        "id": table.layer,
        "served": table.version.is_some(),
        "changed": table.changed,
    });
    if let Some(version) = &table.version {
        shown["version"] = json!(version);
    }
    for (name, columns) in [("columnsAdded", &table.added), ("columnsRemoved", &table.removed)] {
        if !columns.is_empty() {
            shown[name] = json!(columns);
        }
    }
    if let Some(why) = &table.refused {
        shown["reason"] = json!(visit.say(why));
    }
    shown
}

fn answer(kind: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// `GET /metrics` on the public address.
pub async fn public_metrics(visit: Visit) -> Answer {
    admit(&visit)?;
    metrics(visit).await
}

/// `POST /admin/reload` on the public address.
pub async fn public_reload(visit: Visit) -> Answer {
    admit(&visit)?;
    reload(visit).await
}

/// `POST /admin/harvest/{id}` on the public address.
pub async fn public_harvest(id: Path<String>, visit: Visit) -> Answer {
    admit(&visit)?;
    harvest(id, visit).await
}

/// Lets the bearer of the token in.
fn admit(visit: &Visit) -> Result<(), Failure> {
    // Without a token there is nothing here, and nothing says that there might be.
    let door = visit.site.door.as_ref().ok_or(Failure::NoRoute)?;
    match offered(visit).is_some_and(|token| door.opens(&token)) {
        true => Ok(()),
        false => Err(Failure::Unauthorized),
    }
}

/// The token a request brings: as Bearer, as the password of Basic, or as a parameter.
fn offered(visit: &Visit) -> Option<String> {
    if let Some((way, given)) =
        visit.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '))
    {
        let given = given.trim();
        if way.eq_ignore_ascii_case("bearer") {
            return Some(given.to_owned());
        }
        if way.eq_ignore_ascii_case("basic") {
            let words = String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok()?;
            return words.split_once(':').map(|(_, password)| password.to_owned());
        }
        return None;
    }
    SECRETS.iter().find_map(|name| visit.params.get(name)).map(str::to_owned)
}

/// The operator's token, known by its hash only.
pub struct Door([u8; 32]);

impl Door {
    /// From where the configuration says it is; `None` when nothing is there.
    pub fn read(secret: &Secret) -> Option<Self> {
        Some(Self(Sha256::digest(secret.read().ok()?).into()))
    }

    /// Whether it is the token. Hashes are compared: how long that takes tells nothing of it.
    fn opens(&self, token: &str) -> bool {
        <[u8; 32]>::from(Sha256::digest(token)) == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Mood, Site, settings};
    use std::fs;

    const TOKEN: &str = "jeton d'exploitant";

    async fn guarded(folder: &tempfile::TempDir) -> Site {
        let file = folder.path().join("token");
        fs::write(&file, TOKEN).unwrap();
        let mut settings = settings();
        settings.server.admin_token = Some(Secret::File(file));
        Site::with(settings, Mood::Well).await
    }

    #[tokio::test]
    async fn the_public_gets_in_with_the_token_only() {
        let folder = tempfile::tempdir().unwrap();
        let site = guarded(&folder).await;
        let basic = |user: &str, word: &str| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{word}")))
        };
        let bearer = format!("Bearer {TOKEN}");
        for way in [
            bearer.clone(),
            bearer.to_uppercase().replace(&TOKEN.to_uppercase(), TOKEN),
            basic("qgis", TOKEN),
            basic("", TOKEN),
        ] {
            let got = site.send("POST", "/admin/reload", &[("authorization", &way)]).await;
            assert_eq!((got.status.as_u16(), got.text()), (200, "{\"tables\":[]}"), "{way}");
            assert_eq!(got.header("cache-control"), "private, no-store");
        }
        let key = "/admin/reload?key=jeton+d%27exploitant";
        assert_eq!(site.send("POST", key, &[]).await.status, 200);
        let metrics = site.send("GET", "/metrics", &[("authorization", &bearer)]).await;
        assert_eq!(metrics.status, 200);
        for way in ["Bearer", "Bearer x", "Basic %%%", "Digest x", &basic(TOKEN, "x")] {
            for (method, path) in [("POST", "/admin/reload"), ("GET", "/metrics")] {
                let got = site.send(method, path, &[("authorization", way)]).await;
                assert_eq!(got.status, 401, "{way}");
                assert!(got.headers.get_all("www-authenticate").iter().count() == 2);
                assert!(!got.text().contains(TOKEN));
            }
        }
        assert_eq!(site.send("POST", "/admin/reload?key=x", &[]).await.status, 401);
        // No page of another site rides on what a browser remembers.
        let page = [("authorization", bearer.as_str()), ("origin", "https://example.org")];
        assert_eq!(site.send("POST", "/admin/reload", &page).await.status, 409);
    }

    #[tokio::test]
    async fn without_a_token_there_is_nothing_to_find() {
        let site = Site::new().await;
        for (method, path) in [("POST", "/admin/reload"), ("GET", "/metrics")] {
            let got = site.send(method, path, &[("authorization", "Bearer x")]).await;
            assert_eq!(got.status, 404, "{path}");
        }
        assert!(!site.get("/api").await.text().contains("admin"));
    }
}
