//! Harvests on schedule by servers: what is due, what is tried again, what is asked for between, by
//! one of several replicas; and the journal of all that.

use crate::support::{Answer, Server, Site, StoreKind, postgres, said, store_kind};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

over_both!(
    what_was_never_harvested_is_at_once_and_then_when_it_is_due,
    a_failing_source_is_tried_again_when_it_says_so_and_the_journal_tells,
    whoever_has_the_token_has_a_layer_harvested_now,
    of_two_replicas_one_harvests,
    a_journal_that_cannot_be_written_has_no_source_asked_for_ever,
    a_journal_that_cannot_be_read_is_in_no_other_layers_way,
    a_layer_follows_its_source_that_is_gone_and_comes_back_with_it,
);

const DATA: &str = "id;lon;lat\n1;3;50\n2;3.1;50.1\n";
const LONG: Duration = Duration::from_secs(60);

/// A source that answers the n-th request with the n-th answer, the last one for ever; how often
/// it was asked, and what the last request said.
struct Source {
    url: String,
    asked: Arc<AtomicUsize>,
    head: Arc<std::sync::Mutex<String>>,
}

fn source(answers: &[String]) -> Source {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/points.csv", listener.local_addr().unwrap());
    let (asked, head) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let (count, seen): (_, Arc<std::sync::Mutex<String>>) = (asked.clone(), Arc::clone(&head));
    let answers = answers.to_vec();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            *seen.lock().unwrap() = String::from_utf8_lossy(&request[..n]).into_owned();
            let at = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let _ = stream.write_all(answers[at].as_bytes());
        }
    });
    Source { url, asked, head }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let n = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {n}\r\nConnection: close\r\n\r\n{body}")
}

/// The journal's entry of the layer.
fn entry(server: &Server) -> Value {
    server.json("/harvest")["layers"][0].clone()
}

fn runs(server: &Server) -> Vec<Value> {
    entry(server)["runs"].as_array().unwrap().clone()
}

fn accept(language: &str) -> [(&str, &str); 2] {
    [("Accept", "text/html"), ("Accept-Language", language)]
}

fn what_was_never_harvested_is_at_once_and_then_when_it_is_due() {
    let source = source(&[answer("200 OK", "", DATA)]);
    let site = Site::with("public_url = \"https://sig.example.fr/socle/\"");
    let url = &source.url;
    site.layer("points", &format!("key = \"id\"\n[source]\nurl = \"{url}\"\n[schedule]\ncron = \"0 4 1 1 *\"\njitter_s = 0"));
    let mut server = site.serve();
    assert!(server.until(LONG, |s| !runs(s).is_empty()), "{}", entry(&server));
    let told = entry(&server);
    assert_eq!(
        (&told["runs"][0]["outcome"], &told["runs"][0]["trigger"]),
        (&"published".into(), &"schedule".into())
    );
    assert_eq!(told["runs"][0]["count"], 2);
    let next = told["nextDue"].as_str().unwrap();
    assert!(next.ends_with("-01-01T03:00:00Z") && told["overdue"] == false, "{next}");
    assert!(server.until(LONG, |s| s.get("/collections/points/items").status == 200));
    let head = source.head.lock().unwrap().to_ascii_lowercase();
    assert!(head.contains("(+https://sig.example.fr/socle/)"), "{head}");
    // A restart forgets nothing and repeats nothing; unless it is told to.
    server.stop();
    let server = site.serve();
    assert_eq!(runs(&server).len(), 1);
    drop(server);
    assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    let server = Server::of(site.serve_command(&["--now"]));
    assert!(server.until(LONG, |s| runs(s).len() == 2));
    assert_eq!(runs(&server)[0]["outcome"], "unchanged");
    // Commands are in the journal as well.
    assert!(site.run(&["harvest", "points", "--force"]).status.success());
    let last = &runs(&server)[0];
    assert_eq!((&last["trigger"], &last["outcome"]), (&"command".into(), &"published".into()));
    for (language, words) in [("fr", ["Moissonnages", "horaire"]), ("en", ["Harvests", "schedule"])]
    {
        let page = server.send("GET", "/harvest", &accept(language)).text();
        assert!(words.iter().all(|w| page.contains(w)) && page.contains("0 4 1 1 *"), "{page}");
    }
}

fn a_failing_source_is_tried_again_when_it_says_so_and_the_journal_tells() {
    let source = source(&[
        answer("500 Oops", "", "x"),
        answer("429 Slow", "Retry-After: 3\r\n", "x"),
        answer("200 OK", "Content-Type: text/html\r\n", "<!DOCTYPE html><html></html>"),
        answer("200 OK", "", DATA),
        answer("404 Gone", "", "x"),
    ]);
    let site = Site::new();
    let url = &source.url;
    site.layer("points", &format!("key = \"id\"\n[source]\nurl = \"{url}\"\n[schedule]\ncron = \"0 4 1 1 *\"\nbackoff_s = 1"));
    let server = site.serve();
    assert!(server.until(LONG, |s| runs(s).len() == 4), "{}", entry(&server));
    let told = runs(&server);
    let of = |i: usize, key: &str| told[i][key].clone();
    let faults: Vec<Value> = (1..4).rev().map(|i| of(i, "fault")).collect();
    assert_eq!(faults, ["failing", "busy", "page"]);
    let attempts: Vec<Value> = (0..4).rev().map(|i| of(i, "attempt")).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    assert_eq!((of(0, "outcome"), of(0, "trigger")), ("published".into(), "retry".into()));
    // Not before the source asked for it.
    let time = |value: Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let (asked, again) = (time(of(2, "started")), time(of(1, "started")));
    assert!(again.duration_since(asked).as_secs() >= 2, "{asked} {again}");
    assert!(of(2, "text").as_str().unwrap().contains("429"));
    assert!(entry(&server)["nextDue"].as_str().unwrap().contains("-01-01T"));
    // What a person has to settle is not tried again before its time; what is published stays.
    let output = site.run(&["harvest", "points"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let last = &runs(&server)[0];
    assert_eq!((&last["fault"], &last["retryAt"]), (&"gone".into(), &Value::Null));
    // A publication is seen within a second.
    assert!(server.until(LONG, |s| s.get("/collections/points/items").status == 200));
    assert_eq!(server.json("/collections/points/items")["numberMatched"], 2);
    let page = server.send("GET", "/harvest", &accept("fr")).text();
    assert!(page.contains("échec") && page.contains("a répondu 404"), "{page}");
}

fn whoever_has_the_token_has_a_layer_harvested_now() {
    let site = Site::with("admin_token_env = \"SOCLE_TEST_HARVEST_TOKEN\"");
    fs::write(site.path("points.csv"), DATA).unwrap();
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    let serve = || {
        let mut command = site.serve_command(&[]);
        command.env("SOCLE_TEST_HARVEST_TOKEN", "sesame");
        Server::of(command)
    };
    let server = serve();
    let ask = |server: &Server, layer: &str, token: &str| -> Answer {
        let bearer = format!("Bearer {token}");
        server.send("POST", &format!("/admin/harvest/{layer}"), &[("Authorization", &bearer)])
    };
    assert_eq!(ask(&server, "points", "wrong").status, 401);
    assert_eq!(ask(&server, "nowhere", "sesame").status, 404);
    // Without a schedule nothing was harvested so far.
    assert!(runs(&server).is_empty() && entry(&server)["schedule"].is_null());
    let accepted = ask(&server, "points", "sesame");
    assert_eq!((accepted.status, &accepted.json()["status"]), (202, &"accepted".into()));
    assert!(server.until(LONG, |s| runs(s).len() == 1));
    assert_eq!(
        (&runs(&server)[0]["trigger"], &runs(&server)[0]["outcome"]),
        (&"webhook".into(), &"published".into())
    );
    drop(server);
    // A replica that only serves says so.
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("[harvest]", "[harvest]\nschedule = false")).unwrap();
    let server = serve();
    assert_eq!(ask(&server, "points", "sesame").status, 409);
}

fn of_two_replicas_one_harvests() {
    let source = source(&[answer("200 OK", "", DATA)]);
    let site = Site::new();
    let url = &source.url;
    site.layer(
        "points",
        &format!("key = \"id\"\n[source]\nurl = \"{url}\"\n[schedule]\ncron = \"@yearly\""),
    );
    let servers = [site.serve(), site.serve(), site.serve()];
    for server in &servers {
        assert!(server.until(LONG, |s| runs(s).len() == 1), "{}", entry(server));
    }
    // Each of them has looked since.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    assert_eq!(runs(&servers[0]).len(), 1);
}

/// A site with a layer that was harvested by a command, and one on schedule that never was.
fn two(source: &Source, more: &str) -> Site {
    let site = Site::new();
    fs::write(site.path("autres.csv"), DATA).unwrap();
    site.layer("autres", "key = \"id\"\n[source]\npath = \"../autres.csv\"");
    site.harvest();
    let url = &source.url;
    let schedule = format!("[schedule]\ncron = \"0 4 1 1 *\"\n{more}");
    site.layer("points", &format!("key = \"id\"\n[source]\nurl = \"{url}\"\n{schedule}"));
    site
}

fn sql(site: &Site, sql: &str) {
    let url = fs::read_to_string(site.path("database")).unwrap();
    postgres::shared().unwrap().sql(url.rsplit('/').next().unwrap().trim(), sql);
}

fn runs_of(server: &Server, layer: &str) -> Vec<Value> {
    let told = server.json("/harvest");
    let layers = told["layers"].as_array().unwrap();
    let layer = layers.iter().find(|l| l["id"] == layer).unwrap_or_else(|| panic!("{told}"));
    layer["runs"].as_array().unwrap().clone()
}

fn a_journal_that_cannot_be_written_has_no_source_asked_for_ever() {
    let source = source(&[answer("500 Oops", "", "x")]);
    let site = two(&source, "backoff_s = 3");
    match store_kind() {
        // Nothing can be written in the place of a folder.
        StoreKind::Embedded => {
            fs::create_dir_all(site.path("store/layers/points/runs.tmp")).unwrap();
        }
        StoreKind::Postgis => sql(
            &site,
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql
               AS $$ BEGIN RAISE 'no room'; END $$;
             CREATE TRIGGER no_room BEFORE INSERT ON socle_store.runs
               FOR EACH ROW EXECUTE FUNCTION no_room()",
        ),
    }
    let server = site.serve();
    let asked = || source.asked.load(Ordering::SeqCst);
    // At once, after three seconds, after six more.
    assert!(server.until(LONG, |_| asked() == 2));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(asked(), 2);
    assert!(runs_of(&server, "points").is_empty());
}

fn a_journal_that_cannot_be_read_is_in_no_other_layers_way() {
    let source = source(&[answer("200 OK", "", DATA)]);
    let site = two(&source, "");
    match store_kind() {
        StoreKind::Embedded => {
            fs::write(site.path("store/layers/autres/runs.json"), "[{\"layer\":").unwrap();
        }
        StoreKind::Postgis => sql(&site, "UPDATE socle_store.runs SET record = '{}'"),
    }
    let server = site.serve();
    assert!(server.until(LONG, |s| runs_of(s, "points").len() == 1));
    assert!(runs_of(&server, "autres").is_empty());
    assert!(site.run(&["harvest", "autres"]).status.success());
    assert_eq!(runs_of(&server, "autres").len(), 1);
}

/// Puts the end of the time of grace of the layer into the past.
fn end_the_grace(site: &Site, until: &str) {
    match store_kind() {
        StoreKind::Embedded => {
            let current = site.path("store/layers/points/current");
            let text = fs::read_to_string(&current).unwrap();
            assert!(text.contains(until), "{text}");
            fs::write(&current, text.replace(until, "2020-01-01T00:00:00Z")).unwrap();
        }
        StoreKind::Postgis => sql(
            site,
            &format!(
                "UPDATE socle_store.layers
                   SET source = replace(source::text, '{until}', '2020-01-01T00:00:00Z')::json
                   WHERE layer = 'points'"
            ),
        ),
    }
}

fn a_layer_follows_its_source_that_is_gone_and_comes_back_with_it() {
    let source = source(&[
        answer("200 OK", "", DATA),
        answer("404 Not Found", "", "x"),
        answer("410 Gone", "", "x"),
        answer("500 Oops", "", "x"),
        answer("200 OK", "", DATA),
    ]);
    let site = Site::new();
    let url = &source.url;
    site.layer("points", &format!("key = \"id\"\n[source]\nurl = \"{url}\""));
    site.harvest();
    let harvest = |code: i32| {
        let output = site.run(&["harvest", "points"]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    };
    let gone = |server: &Server| entry(server)["withdrawn"].clone();
    // Missed for the first time: noted, and served as before.
    harvest(1);
    let server = site.serve();
    let first = gone(&server);
    let time = |key: &str| first[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("until").duration_since(time("since")).as_hours(), 30 * 24);
    assert!(first["text"].as_str().unwrap().contains("a répondu 404"), "{first}");
    assert!(server.send("GET", "/harvest", &accept("en")).text().contains("The source is gone"));
    assert_eq!(server.json("/collections/points/items")["numberMatched"], 2);
    // Missed again, or merely out of order: the first time counts.
    harvest(1);
    harvest(1);
    assert_eq!(gone(&server)["since"], first["since"]);
    drop(server);
    // Then it is served no longer, and says why; its versions are there.
    end_the_grace(&site, first["until"].as_str().unwrap());
    let server = site.serve();
    for path in ["", "/items", "/items/1", "/tiles/0/0/0.mvt", "/tilejson.json", "/versions"] {
        let answer = server.get(&format!("/collections/points{path}"));
        assert_eq!(answer.status, 410, "{path}: {}", answer.text());
        assert!(answer.text().contains("n'est plus servie"), "{}", answer.text());
    }
    assert_eq!(server.json("/collections")["collections"], serde_json::json!([]));
    assert!(said(&site.run(&["versions", "points"])).contains('2'));
    // It is back, and so is the layer.
    harvest(0);
    assert!(server.until(LONG, |s| s.get("/collections/points/items").status == 200));
    assert_eq!(gone(&server), Value::Null);
}
