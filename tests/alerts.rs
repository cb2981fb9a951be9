//! Alerts: what is told of sources that fail, change their form or are held, by the log, the feed,
//! webhooks and mail; once each, over both stores, by one of several processes.

use crate::support::{
    Server, Site, authority, python, said,
    smtp::Smtp,
    tool,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

over_both!(
    a_source_that_fails_is_told_of_once_on_every_way_and_again_when_it_is_well,
    another_form_and_a_held_delivery_are_told_and_their_end_too,
    of_several_servers_one_tells,
);

const LONG: Duration = Duration::from_secs(60);
const DATA: &str = "id;nom;lon;lat\n1;Un;3;50\n2;Deux;3.1;50.1\n";

/// A source that is there or not, and what it holds.
struct Source {
    upstream: Upstream,
    well: Arc<AtomicBool>,
    holds: Arc<Mutex<String>>,
}

impl Source {
    fn start() -> Self {
        let (well, holds) =
            (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(DATA.to_owned())));
        let (is_well, held) = (well.clone(), holds.clone());
        let upstream = Upstream::start(move |_| match is_well.load(Ordering::SeqCst) {
            true => Reply::Ok("text/csv", held.lock().unwrap().clone().into_bytes()),
            false => Reply::Status(500, String::new(), b"oops".to_vec()),
        });
        Self { upstream, well, holds }
    }

    fn layer(&self, site: &Site, more: &str) {
        let url = &self.upstream.base;
        site.layer("points", &format!("title_en = \"Points of <interest>\"\nkey = \"id\"\n[source]\nurl = \"{url}/points.csv\"\n{more}"));
    }

    fn hold(&self, data: &str) {
        data.clone_into(&mut self.holds.lock().unwrap());
    }
}

/// What webhooks are sent to.
fn sink() -> Upstream {
    Upstream::start(|_| Reply::Status(204, String::new(), Vec::new()))
}

fn events(sink: &Upstream) -> Vec<Value> {
    let read = |asked: &Asked| serde_json::from_slice(&asked.body).unwrap();
    sink.asked().iter().map(read).collect()
}

fn kinds(sink: &Upstream) -> Vec<String> {
    events(sink).iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

fn configure(site: &Site, alerts: &str) {
    let text = fs::read_to_string(site.config()).unwrap();
    let before = text.split("\n[alerts]").next().unwrap();
    fs::write(site.config(), format!("{before}\n[alerts]\n{alerts}\n")).unwrap();
}

/// Harvests with the secret that webhooks are sent; the exit code and what was said.
fn harvest(site: &Site) -> (Option<i32>, String) {
    let config = site.config();
    let mut command = crate::support::command(&["harvest", "--config", &config]);
    let output = crate::support::finish(command.env("SOCLE_TEST_HOOK", "Bearer sesame"));
    (output.status.code(), said(&output))
}

/// Subject and text of a letter, read by Python.
fn letter(data: &str) -> Option<(String, String)> {
    let python = python("email")?;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("letter.eml");
    fs::write(&file, data).unwrap();
    let script = "import email, email.policy, json, sys\n\
        m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)\n\
        assert m['Date'] and m['Message-ID'] and m['Auto-Submitted'] == 'auto-generated'\n\
        assert not m.defects, m.defects\n\
        print(json.dumps([m['Subject'], m.get_content()]))";
    let out = tool(&python, &["-c", script, file.to_str().unwrap()]);
    serde_json::from_str(&out).unwrap()
}

/// The entries of the feed, read by a reader of another maker where there is one: id, title, text.
fn entries(server: &Server, language: &str) -> Vec<[String; 3]> {
    let answer = server.send("GET", "/harvest.atom", &[("Accept-Language", language)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("application/atom+xml"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("harvest.atom");
    fs::write(&file, &answer.body).unwrap();
    let script = r#"
import json, sys
import xml.etree.ElementTree as T
A = "{http://www.w3.org/2005/Atom}"
feed = T.parse(sys.argv[1]).getroot()
for e in [feed] + feed.findall(A + "entry"):
    for name in ("id", "title", "updated"):
        assert len(e.findall(A + name)) == 1, (e.tag, name)
assert feed.find(A + "author").find(A + "name").text
found = [[e.findtext(A + n) for n in ("id", "title", "summary")] for e in feed.findall(A + "entry")]
assert len({e[0] for e in found}) == len(found)
try:
    import feedparser
    read = feedparser.parse(open(sys.argv[1], "rb").read(), sanitize_html=False)
    assert not read.bozo, read.bozo_exception
    assert read.version == "atom10", read.version
    assert [e.id for e in read.entries] == [e[0] for e in found]
    assert all(e.updated_parsed and e.link for e in read.entries)
except ImportError:
    print("skipped: feedparser for Python is not installed", file=sys.stderr)
print(json.dumps(found))
"#;
    let python = python("feedparser").unwrap_or_else(|| "python3".to_owned());
    let out = tool(&python, &["-c", script, file.to_str().unwrap()]);
    serde_json::from_str(&out).unwrap()
}

/// Two failures are told by a webhook and by mail.
fn tell_both(site: &Site, sink: &Upstream, smtp: &Smtp) {
    let (hook, port) = (&sink.base, smtp.port);
    configure(
        site,
        &format!(
            "tries = 2\n[[alerts.webhooks]]\nurl = \"{hook}/hook\"\nheader_env = \"SOCLE_TEST_HOOK\"\n\
             [alerts.mail]\nserver = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
             from = \"Socle <socle@example.fr>\"\nto = [\"sig@example.fr\", \"élodie <dsi@example.fr>\"]"
        ),
    );
}

fn a_source_that_fails_is_told_of_once_on_every_way_and_again_when_it_is_well() {
    let (source, sink, smtp) = (Source::start(), sink(), Smtp::start());
    let site = Site::with("public_url = \"https://sig.example.fr/socle/\"");
    source.layer(&site, "");
    tell_both(&site, &sink, &smtp);
    assert_eq!(harvest(&site).0, Some(0));
    source.well.store(false, Ordering::SeqCst);
    let (code, said_first) = harvest(&site);
    assert!(code == Some(1) && !said_first.contains("alert="), "{said_first}");
    assert!(sink.asked().is_empty() && smtp.letters().is_empty());
    // The second failure makes it an event; the third is the same one.
    let said_second = harvest(&site).1;
    let line = said_second.lines().find(|l| l.contains("alert=\"failing\"")).unwrap_or_default();
    assert!(line.contains("layer=points") && line.contains("tries=2"), "{said_second}");
    assert!(line.contains("fault=\"failing\""), "{line}");
    let said_third = harvest(&site).1;
    assert!(!said_third.contains("alert="), "{said_third}");
    let told = events(&sink);
    assert_eq!(told.len(), 1, "{told:?}");
    let event = &told[0];
    assert_eq!(sink.asked()[0].header("authorization"), "Bearer sesame");
    assert!(sink.asked()[0].head.starts_with("POST /hook "), "{}", sink.asked()[0].head);
    for (key, value) in [("event", "failing"), ("layer", "points"), ("fault", "failing")] {
        assert_eq!(event[key], value, "{event}");
    }
    assert_eq!((&event["tries"], &event["stands"]), (&2.into(), &true.into()));
    assert_eq!(event["link"], "https://sig.example.fr/socle/harvest?f=html#points");
    let text = event["text"].as_str().unwrap();
    assert!(text.starts_with("points : la source échoue, 2 fois de suite") && text.contains("500"));
    let letters = smtp.letters();
    assert_eq!((letters.len(), letters[0].to.len()), (1, 2), "{letters:?}");
    if let Some((subject, body)) = letter(&letters[0].data) {
        assert_eq!(subject, "[Socle] points : source en panne");
        assert!(body.contains("La source échoue") && body.contains("socle/harvest?f=html#points"));
    }
    let status = site.run(&["alerts"]);
    assert!(
        status.status.code() == Some(1) && said(&status).contains("✗ points : source en panne")
    );

    source.well.store(true, Ordering::SeqCst);
    assert_eq!(harvest(&site).0, Some(0));
    harvest(&site);
    assert_eq!(kinds(&sink), ["failing", "well"]);
    assert_eq!(smtp.letters().len(), 2);
    let status = site.run(&["alerts"]);
    assert!(status.status.success() && said(&status).contains("Rien à signaler"));

    // The feed tells the same, under the same names, whoever serves it.
    let server = site.serve();
    let feed = entries(&server, "fr");
    let titles: Vec<&str> = feed.iter().map(|e| e[1].as_str()).collect();
    assert_eq!(titles, ["points — rétablie", "points — source en panne"]);
    assert!(feed[1][0].ends_with(&format!("harvest.atom#{}", event["id"].as_str().unwrap())));
    assert!(feed[1][0].starts_with("https://sig.example.fr/socle/"));
    let english = entries(&server, "en");
    assert_eq!(english[1][1], "Points of <interest> — source failing");
    assert!(english[1][2].contains("2 times in a row"), "{english:?}");
    let answer = server.get("/harvest.atom");
    let tag = answer.header("etag").unwrap().to_owned();
    let again = server.send("GET", "/harvest.atom", &[("If-None-Match", &tag)]);
    assert_eq!(again.status, 304);
    let links = server.json("/harvest")["links"].to_string();
    assert!(links.contains("https://sig.example.fr/socle/harvest.atom"), "{links}");
    assert!(server.page("/harvest").text().contains("harvest.atom"));
    drop(server);
    let ids = |feed: Vec<[String; 3]>| feed.into_iter().map(|[id, ..]| id).collect::<Vec<_>>();
    assert_eq!(ids(entries(&site.serve(), "fr")), ids(feed));
    assert_eq!(kinds(&sink), ["failing", "well"]);
}

fn another_form_and_a_held_delivery_are_told_and_their_end_too() {
    let (source, sink) = (Source::start(), sink());
    let site = Site::new();
    source.layer(&site, "");
    let hook = &sink.base;
    configure(&site, &format!("lang = \"en\"\n[[alerts.webhooks]]\nurl = \"{hook}/\""));
    harvest(&site);
    source.hold("id;nom;lon;lat;ouvert\n1;Un;3;50;oui\n2;Deux;3.1;50.1;non\n");
    assert_eq!(harvest(&site).0, Some(0));
    let told = events(&sink);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["event"], &told[0]["shape"]["columnsAdded"][0]),
        (&"changed".into(), &"ouvert".into())
    );
    assert!(told[0]["text"].as_str().unwrap().starts_with("Points of <interest>: version"));
    source.hold("id;lon;lat;ouvert\n1;3;50;oui\n2;3.1;50.1;non\n");
    assert_eq!(harvest(&site).0, Some(1));
    assert_eq!(harvest(&site).0, Some(1));
    assert_eq!(kinds(&sink), ["changed", "held"]);
    let output = site.run(&["publish", "points", "--held"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(kinds(&sink), ["changed", "held", "well", "changed"]);
    let last = &events(&sink)[3];
    assert_eq!(last["shape"]["columnsLost"][0], "nom", "{last}");
    harvest(&site);
    assert_eq!(sink.asked().len(), 4);
}

fn of_several_servers_one_tells() {
    let (source, sink) = (Source::start(), sink());
    let site = Site::new();
    source.well.store(false, Ordering::SeqCst);
    source.layer(&site, "[schedule]\ncron = \"0 4 1 1 *\"\nbackoff_s = 1");
    configure(&site, "tries = 1");
    harvest(&site);
    // What stands is told to whoever is named later, too; all begin at the same moment.
    let hook = &sink.base;
    configure(&site, &format!("tries = 1\n[[alerts.webhooks]]\nurl = \"{hook}/\""));
    let servers: Vec<Server> = (0..4).map(|_| site.serve()).collect();
    assert!(servers[0].until(LONG, |_| !sink.asked().is_empty()));
    // The retry is a run of one of them, which tells of what came of it.
    source.well.store(true, Ordering::SeqCst);
    assert!(servers[0].until(LONG, |_| sink.asked().len() >= 2));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(kinds(&sink), ["failing", "well"]);
}

#[test]
fn a_webhook_that_is_away_delays_no_harvest_and_is_asked_again_later() {
    let source = Source::start();
    let away =
        Upstream::start(|_| Reply::Status(302, "Location: http://127.0.0.1:1/\r\n".into(), vec![]));
    let site = Site::new();
    source.layer(&site, "");
    let hook = &away.base;
    configure(&site, &format!("tries = 1\n[[alerts.webhooks]]\nurl = \"{hook}/\""));
    harvest(&site);
    source.well.store(false, Ordering::SeqCst);
    let (code, text) = harvest(&site);
    assert!(code == Some(1) && text.contains("did not arrive") && text.contains("302"), "{text}");
    // Not at once, and the harvest goes on meanwhile.
    source.well.store(true, Ordering::SeqCst);
    assert_eq!(harvest(&site).0, Some(0));
    assert_eq!(kinds(&away), ["failing", "well"]);
}

#[test]
fn mail_goes_over_starttls_with_a_login_to_a_server_of_another_maker() {
    let Some(python) = python("aiosmtpd") else { return };
    let site = Site::new();
    authority(site.dir.path(), "mail", "localhost");
    fs::write(site.path("sink.py"), SINK).unwrap();
    let at = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let mut child = Command::new(python)
        .args([at("sink.py"), at("mail.pem"), at("mail.key"), at("letter.eml")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut port).unwrap();
    let port = port.trim();
    let mail = format!(
        "[alerts.mail]\nserver = \"localhost\"\nport = {port}\nfrom = \"socle@example.fr\"\n\
         to = [\"sig@example.fr\"]\nuser_env = \"SOCLE_TEST_USER\"\npassword_env = \"SOCLE_TEST_PASSWORD\""
    );
    let trial = |alerts: &str, password: &str| {
        configure(&site, alerts);
        let config = site.config();
        let mut command = crate::support::command(&["alerts", "--test", "--config", &config]);
        command.env("SOCLE_TEST_USER", "socle").env("SOCLE_TEST_PASSWORD", password);
        let output = crate::support::finish(&mut command);
        (output.status.success(), said(&output))
    };
    // Whose authority nobody vouches for is not written to.
    let unknown = trial(&mail, "sésame");
    let known = format!("ca_file = \"mail-ca.pem\"\n{mail}");
    let wrong = trial(&known, "wrong");
    let nothing = !site.path("letter.eml").exists();
    let right = trial(&known, "sésame");
    let _ = child.kill();
    let _ = child.wait();
    assert!(!unknown.0 && unknown.1.contains("ertificate"), "{}", unknown.1);
    assert!(!wrong.0 && wrong.1.contains("535") && !wrong.1.contains("wrong"), "{}", wrong.1);
    assert!(nothing, "{}\n{}", unknown.1, wrong.1);
    assert!(right.0 && right.1.contains("✓ courriel à sig@example.fr"), "{}", right.1);
    let (subject, body) = letter(&fs::read_to_string(site.path("letter.eml")).unwrap()).unwrap();
    assert_eq!(subject, "[Socle] Essai des alertes");
    assert!(body.contains("« Socle »"), "{body}");
}

/// A server that takes mail over STARTTLS from who logs in, and writes it to a file.
const SINK: &str = r#"
import ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP
certificate, key, place = sys.argv[1:]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
class Handler:
    async def handle_DATA(self, server, session, envelope):
        open(place, "wb").write(envelope.content)
        return "250 taken"
def login(server, session, envelope, mechanism, data):
    good = data.login == b"socle" and data.password == "s\u00e9same".encode()
    return AuthResult(success=good, handled=False)
class Strict(SMTP):
    # As servers of mail do when TLS fails.
    async def handle_exception(self, error):
        self.transport.abort()
        return "421 closing"
class Free(Controller):
    def factory(self):
        return Strict(self.handler, **self.SMTP_kwargs)
    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
sink = Free(Handler(), hostname="127.0.0.1", port=0, tls_context=tls, require_starttls=True,
    auth_required=True, authenticator=login)
sink.start()
print(sink.port, flush=True)
time.sleep(120)
"#;

#[test]
fn what_is_not_configured_is_not_tried_and_what_is_wrong_is_named() {
    let site = Site::new();
    let none = site.run(&["alerts", "--test"]);
    assert!(none.status.code() == Some(1) && said(&none).contains("[[alerts.webhooks]]"));
    configure(
        &site,
        "tris = 3\n[[alerts.webhooks]]\nurl = \"ftp://x/\"\n[alerts.mail]\nserver = \"smtp.example.fr:25\"\n\
         security = \"none\"\nfrom = \"nobody\"\nto = []\nuser_env = \"A\"\npassword_env = \"B\"",
    );
    let output = site.run(&["check"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for words in ["« tries »", "http://", "« server »", "« from »", "« to »", "en clair"] {
        assert!(text.contains(words), "« {words} » not in {text}");
    }
}
