//! Health, for orchestrators and load balancers. Never cached.

use super::{Answer, links::media, visit::Visit};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};

/// A store that does not answer within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(1);

/// `GET /health/live`: the process answers.
pub async fn live(visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    Ok(answer(StatusCode::OK, &json!({ "status": "pass" })))
}

/// `GET /health/ready`: the store answers, and the server is not about to end. Without the store
/// `stale` says for how many seconds what is in memory has been served unconfirmed.
pub async fn ready(visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    if visit.site.leaving.load(Ordering::Relaxed) {
        let value = json!({ "status": "fail", "output": "shutdown" });
        return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, &value));
    }
    let generation = tokio::time::timeout(PATIENCE, visit.site.app.store.generation()).await;
    let snapshot = visit.snapshot();
    let layers = json!({ "declared": snapshot.layers.len(), "served": snapshot.served().count() });
    Ok(match generation {
        Ok(Ok(_)) => answer(StatusCode::OK, &json!({ "status": "pass", "layers": layers })),
        _ => {
            let stale = visit.site.app.catalog.stale().map_or(0, |silent| silent.as_secs());
            let value =
                json!({ "status": "fail", "output": "store", "stale": stale, "layers": layers });
            answer(StatusCode::SERVICE_UNAVAILABLE, &value)
        }
    })
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::HEALTH));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Marks it as a document of ours: it is not replaced by a problem.
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    response
}
