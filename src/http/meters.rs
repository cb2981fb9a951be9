//! Figures of requests, by route and status. Handles are registered once and then only bumped:
//! no look-up by name on the way of a request.

use super::router::path;
use crate::error::{Error, Result};
use axum::http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{future::Future, sync::OnceLock, time::Duration};

/// Upper bounds of the latency histogram, seconds.
const BUCKETS: [f64; 12] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
/// The one recorder of the process, installed at first use.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Has all figures of the process recorded from now on; gives the upkeep, to be run as long as
/// they are.
pub fn record_all() -> Result<impl Future<Output = ()> + Send> {
    let recorder = match RECORDER.get() {
        Some(recorder) => recorder.clone(),
        None => {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
                .map_err(|e| Error::fault("metrics buckets", e))?;
            let made =
                builder.install_recorder().map_err(|e| Error::fault("metrics recorder", e))?;
            RECORDER.get_or_init(|| made).clone()
        }
    };
    Ok(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            recorder.run_upkeep();
        }
    })
}

/// All figures in Prometheus's text form; empty when nothing is recorded.
pub fn shown() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

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
