//! Figures of requests, by route and status. Handles are registered once and then only bumped:
//! no look-up by name on the way of a request.

use super::router::path;
use axum::http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use std::{sync::OnceLock, time::Duration};

/// Statuses that have a handle of their own; any other is counted under its class.
const STATUSES: [u16; 16] =
    [200, 204, 302, 304, 400, 404, 405, 406, 409, 410, 414, 500, 503, 299, 499, 599];

/// One route's handles.
#[derive(Default)]
struct Meter {
    seconds: OnceLock<Histogram>,
    totals: [OnceLock<Counter>; STATUSES.len()],
}

/// All handles; the last meter is for addresses that have no route.
pub struct Meters(Vec<Meter>);

impl Meters {
    /// No handle is registered before its first request: the recorder may come later.
    pub fn new() -> Self {
        Self((0..=path::ALL.len()).map(|_| Meter::default()).collect())
    }

    /// Counts a request.
    pub fn record(&self, route: Option<usize>, status: StatusCode, took: Duration) {
        let name = route.and_then(|i| path::ALL.get(i).copied()).unwrap_or("none");
        let Some(meter) = self.0.get(route.unwrap_or(path::ALL.len())) else { return };
        let code = status.as_u16();
        let slot = STATUSES.iter().position(|s| *s == code).unwrap_or(match code / 100 {
            1..=3 => 13,
            4 => 14,
            _ => 15,
        });
        if let Some(total) = meter.totals.get(slot) {
            let total = total.get_or_init(|| {
                let status = if slot > 12 { format!("{}xx", code / 100) } else { code.to_string() };
                counter!("socle_http_requests_total", "route" => name, "status" => status)
            });
            total.increment(1);
        }
        let seconds =
            meter.seconds.get_or_init(|| histogram!("socle_http_request_seconds", "route" => name));
        seconds.record(took.as_secs_f64());
    }
}
