//! What is said: JSON for programs, letters for people.

use super::{Service, mail::Letter};
use crate::{
    model::{Alert, AlertKind, Lang, Text, stable_hash},
    text,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;

/// Layers named in the subject of a letter; beyond, they are counted.
const NAMED: usize = 3;

/// One event, for a webhook.
pub(super) fn json(service: &Service, title: &Text, alert: &Alert, lang: Lang) -> Value {
    let title = title.get(lang);
    let mut value = json!({
        "id": alert.id,
        "event": alert.kind.name(),
        "at": alert.at.to_string(),
        "service": service.title.get(lang),
        "layer": alert.layer,
        "title": title,
        // What Mattermost, Slack and Rocket.Chat show.
        "text": format!("{title}{}{}", colon(lang), alert.text.get(lang)),
        "stands": alert.stands,
    });
    let mut put = |key: &str, told: Option<Value>| {
        if let Some(told) = told {
            value[key] = told;
        }
    };
    put("since", alert.since.map(|at| json!(at.to_string())));
    put("tries", alert.tries.map(|n| json!(n)));
    put("fault", alert.fault.map(|fault| json!(fault)));
    put("version", alert.version.as_ref().map(|version| json!(version)));
    put("shape", alert.shape.as_ref().map(|shape| json!(shape)));
    put("link", service.link(alert).map(|link| json!(link)));
    value
}

/// A letter about events, which are at least one.
pub(super) fn letter(service: &Service, alerts: &[(&Alert, &Text)], lang: Lang) -> Letter {
    let name = service.title.get(lang);
    let colon = colon(lang);
    let subject = match alerts {
        [(alert, title)] => {
            format!("[{name}] {}{colon}{}", title.get(lang), alert.kind.words().get(lang))
        }
        _ => {
            let count = alerts.len();
            let first = alerts.iter().take(NAMED).map(|(_, title)| title.get(lang));
            let mut titles = first.collect::<Vec<_>>().join(", ");
            if count > NAMED {
                titles.push_str(", …");
            }
            let words =
                text!("[{name}] {count} alertes : {titles}", "[{name}] {count} alerts: {titles}");
            words.get(lang).to_owned()
        }
    };
    let mut body = String::new();
    for (alert, title) in alerts {
        let (title, layer) = (title.get(lang), &alert.layer);
        let kind = alert.kind.words();
        // Writing to a string cannot fail.
        let _ = writeln!(body, "{title} ({layer}) — {}", kind.get(lang));
        let _ = writeln!(body, "{}.", sentence(alert.text.get(lang)));
        if let Some(link) = service.link(alert) {
            let _ = writeln!(body, "{link}");
        }
        body.push('\n');
    }
    body.push_str(&foot(service, lang));
    let ids: Vec<&str> = alerts.iter().map(|(alert, _)| alert.id.as_str()).collect();
    Letter { id: format!("{:x}", stable_hash(&ids.join(" "))), subject, body }
}

/// What a webhook is sent to try it.
pub(super) fn trial_json(service: &Service, lang: Lang) -> Value {
    let words = trial(service);
    json!({
        "id": "trial",
        "event": "trial",
        "at": Timestamp::now().to_string(),
        "service": service.title.get(lang),
        "text": words.get(lang),
    })
}

/// The letter to try mail with.
pub(super) fn trial_letter(service: &Service, lang: Lang) -> Letter {
    let (name, words) = (service.title.get(lang), trial(service));
    let subject = text!("[{name}] Essai des alertes", "[{name}] Trial of alerts");
    let now = Timestamp::now().as_nanosecond();
    Letter {
        id: format!("{:x}", stable_hash(&format!("trial {now}"))),
        subject: subject.get(lang).to_owned(),
        body: format!("{}\n\n{}", words.get(lang), foot(service, lang)),
    }
}

fn trial(service: &Service) -> Text {
    let (fr, en) = (&service.title.fr, &service.title.en);
    text!(
        "Essai demandé par « socle alerts --test » : les alertes de « {fr} » arriveront ici.",
        "Trial asked for by \"socle alerts --test\": alerts of \"{en}\" will arrive here."
    )
}

fn foot(service: &Service, lang: Lang) -> String {
    let Some(url) = &service.public_url else { return String::new() };
    let words =
        text!("Journal des moissonnages : {url}harvest\n", "Journal of harvests: {url}harvest\n");
    words.get(lang).to_owned()
}

impl Service {
    /// Where people see more of an event.
    fn link(&self, alert: &Alert) -> Option<String> {
        let (url, layer) = (self.public_url.as_ref()?, &alert.layer);
        Some(match (alert.kind, &alert.version) {
            (AlertKind::Held | AlertKind::Changed, Some(version)) => {
                format!("{url}collections/{layer}/versions/{version}/report?f=html")
            }
            _ => format!("{url}harvest?f=html#{layer}"),
        })
    }
}

fn colon(lang: Lang) -> &'static str {
    match lang {
        Lang::Fr => " : ",
        Lang::En => ": ",
    }
}

/// With a capital at its beginning.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}
