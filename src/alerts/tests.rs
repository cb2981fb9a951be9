//! Tests of who tells of what, when.

use super::*;
use crate::{
    model::{Delivery, Fault, Outcome, RunRecord, Told, Trigger, Turn},
    store::embedded::EmbeddedStore,
};
use jiff::SignedDuration;
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A configuration with a layer `points`, and its store.
struct Place {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("layers")).unwrap();
        let layer = "id = \"points\"\ntitle = \"Points\"\nproducer = \"Essai\"\nlicence = \"lov2\"\n[source]\npath = \"points.csv\"\n";
        std::fs::write(folder.path().join("layers/points.toml"), layer).unwrap();
        let store = Arc::new(EmbeddedStore::open(&folder.path().join("store")).unwrap());
        Self { folder, store }
    }

    /// A process over it.
    fn alerts(&self, toml: &str) -> Alerts {
        let file = self.folder.path().join("socle.toml");
        let text = format!("territories.derived = []\n[alerts]\ntries = 1\n{toml}");
        std::fs::write(&file, text).unwrap();
        Alerts::new(&Settings::load(&file).unwrap(), self.store.clone())
    }

    /// A run that began some hours ago.
    async fn run(&self, hours_ago: i64, outcome: Outcome) {
        let layer: LayerId = "points".parse().unwrap();
        let claim = self.store.claim(&layer).await.unwrap().unwrap();
        let started = Timestamp::now() - SignedDuration::from_hours(hours_ago);
        let last = self.store.runs(1).await.unwrap().remove(&layer).and_then(|mut runs| runs.pop());
        let outcome = outcome.after(last.as_ref(), started);
        let run = RunRecord {
            layer,
            started,
            took_ms: 1,
            trigger: Trigger::Schedule,
            attempt: 1,
            outcome,
        };
        self.store.note_runs(&claim, vec![run]).await.unwrap();
    }

    /// Changes what was told, as another process would.
    async fn change(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.store.told().await.unwrap();
        told.serial += 1;
        change(&mut told);
        self.store.set_told(told).await.unwrap();
    }
}

fn failed() -> Outcome {
    let text = Text::same("500");
    Outcome::Failed { fault: Fault::Failing, text, retry_at: None, tries: 0, since: None }
}

fn well() -> Outcome {
    Outcome::Unchanged { version: "20260101T000000Z-0".parse().unwrap() }
}

/// A webhook that answers with these statuses in turn, the last one for ever; what it was sent.
fn webhook(statuses: &'static [u16]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let toml =
        format!("[[alerts.webhooks]]\nurl = \"http://{}/\"\n", listener.local_addr().unwrap());
    let (came, count) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let kept = came.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.ends_with(b"}") {
                let n = stream.read(&mut part).unwrap_or(0);
                request.extend_from_slice(&part[..n]);
                if n == 0 {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            kept.lock().unwrap().push(text);
            let at = count.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1);
            let status = statuses[at];
            let _ = stream.write_all(
                format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            );
        }
    });
    (toml, came)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

#[test]
fn what_did_not_arrive_is_put_off_and_told_once_it_can_be() {
    let (toml, came) = webhook(&[500, 204]);
    let place = Place::new();
    block_on(async {
        let alerts = place.alerts(&toml);
        assert_eq!(alerts.round().await.unwrap(), Round::Done);
        assert_eq!(
            place.store.told().await.unwrap(),
            Told::default(),
            "nothing to tell, nothing kept"
        );
        place.run(1, failed()).await;
        alerts.round().await.unwrap();
        let told = place.store.told().await.unwrap();
        let event = told.events.values().next().unwrap();
        let delivery = |way: &str| *event.ways.iter().find(|(n, _)| n.starts_with(way)).unwrap().1;
        assert_eq!(delivery("log"), Delivery { tries: 1, again: None });
        let put_off = delivery("webhook");
        let wait = put_off.again.unwrap().duration_since(Timestamp::now()).as_secs();
        assert!(put_off.tries == 1 && (50..=60).contains(&wait), "{put_off:?}");
        // Another process, after a restart: not before its time, and then once.
        drop(alerts);
        let alerts = place.alerts(&toml);
        alerts.round().await.unwrap();
        assert_eq!(came.lock().unwrap().len(), 1);
        place
            .change(|told| {
                let event = told.events.values_mut().next().unwrap();
                let all = event.ways.values_mut().filter(|d| d.again.is_some());
                all.for_each(|d| d.again = Some(Timestamp::now()));
            })
            .await;
        for _ in 0..3 {
            assert_eq!(alerts.round().await.unwrap(), Round::Done);
        }
        let came = came.lock().unwrap().clone();
        assert_eq!(came.len(), 2);
        assert!(came.iter().all(|sent| sent.contains("\"event\":\"failing\"")), "{came:?}");
        assert_eq!(place.store.told().await.unwrap().turn, None);
    });
}

#[test]
fn one_process_tells_at_a_time_and_a_dead_one_keeps_nobody() {
    let (toml, came) = webhook(&[204]);
    let place = Place::new();
    block_on(async {
        place.run(1, failed()).await;
        let other = |until| Some(Turn { holder: "another".into(), until });
        let soon = Timestamp::now() + SignedDuration::from_secs(30);
        place.change(|told| told.turn = other(soon)).await;
        let alerts = place.alerts(&toml);
        assert_eq!(alerts.round().await.unwrap(), Round::Elsewhere);
        assert!(came.lock().unwrap().is_empty());
        place.change(|told| told.turn = other(Timestamp::now())).await;
        assert_eq!(alerts.round().await.unwrap(), Round::Done);
        assert_eq!(came.lock().unwrap().len(), 1);
        // At the same moment.
        place.run(0, well()).await;
        let all: Vec<Alerts> = (0..8).map(|_| place.alerts(&toml)).collect();
        let rounds = futures_util::future::join_all(all.iter().map(Alerts::round)).await;
        assert!(rounds.into_iter().all(|round| round.is_ok()));
        assert_eq!(came.lock().unwrap().len(), 2);
    });
}

#[test]
fn what_is_over_for_long_is_not_told_and_what_stands_is() {
    let (toml, came) = webhook(&[204]);
    let place = Place::new();
    block_on(async {
        for (hours, outcome) in [(200, failed()), (100, well()), (90, failed())] {
            place.run(hours, outcome).await;
        }
        place.alerts(&toml).round().await.unwrap();
        let came = came.lock().unwrap().clone();
        assert_eq!(came.len(), 1, "{came:?}");
        assert!(came[0].contains("\"stands\":true"));
        let all = place.alerts(&toml).all().await.unwrap();
        assert_eq!(all.len(), 3);
    });
}
