//! Health, for orchestrators and load balancers. Never cached.

use super::{Answer, visit::Visit};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A store that does not answer within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /health/live`: the process answers.
pub async fn live(visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    Ok(answer(StatusCode::OK, &json!({ "status": "pass" })))
}

/// `GET /health/ready`: the store answers.
pub async fn ready(visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    let generation = tokio::time::timeout(PATIENCE, visit.site.app.store.generation()).await;
    let snapshot = visit.snapshot();
    let layers = json!({ "declared": snapshot.layers.len(), "served": snapshot.served().count() });
    Ok(match generation {
        Ok(Ok(_)) => answer(StatusCode::OK, &json!({ "status": "pass", "layers": layers })),
        _ => {
            let value = json!({ "status": "fail", "output": "store", "layers": layers });
            answer(StatusCode::SERVICE_UNAVAILABLE, &value)
        }
    })
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/health+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Marks it as a document of ours: it is not replaced by a problem.
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    response
}
