//! `/harvest.atom`: sources that fail, change their form or are held, and those that are well
//! again, as Atom (RFC 4287).

use super::{
    Answer,
    feed::{head, link, xml},
    links::{Link, media},
    reply::Document,
    visit::Visit,
};
use crate::model::{Alert, AlertKind, stable_hash};
use jiff::Timestamp;
use std::fmt::Write;

/// Entries of the feed, the newest.
const ENTRIES: usize = 100;

/// `GET /harvest.atom`
pub async fn feed(visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    let all = visit.site.app.alerts.all().await?;
    let newest: Vec<&Alert> = all.iter().rev().take(ENTRIES).collect();
    let body = document(&visit, &newest);
    let tag = visit.tag(&["alerts", &format!("{:x}", stable_hash(&body))]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    visit.send(&tag, Document::new(media::ATOM, body)).await
}

fn document(visit: &Visit, alerts: &[&Alert]) -> String {
    let service = visit.say(&visit.site.app.settings.server.title);
    let title = format!("{service} — {}", visit.words("alertes", "alerts"));
    let updated = alerts.iter().map(|alert| alert.at).max().unwrap_or(Timestamp::UNIX_EPOCH);
    let address = visit.url("harvest.atom");
    let links = [
        Link::new("self", media::ATOM_TYPE, address.as_str()),
        Link::new("alternate", media::HTML, visit.url("harvest?f=html")),
    ];
    let mut out = head(visit, &address, &title, updated, &links);
    alerts.iter().for_each(|alert| entry(visit, alert, &mut out));
    out.push_str("</feed>\n");
    out
}

fn entry(visit: &Visit, alert: &Alert, out: &mut String) {
    let (layer, at, kind) = (alert.layer.as_str(), alert.at, alert.kind);
    let title = visit.site.app.alerts.title(&alert.layer);
    let (title, words) = (visit.say(&title), kind.words());
    let words = visit.say(&words);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<entry>\n<id>{}</id>\n<title>{}</title>\n<updated>{at}</updated>\n<published>{at}</published>\n<category term=\"{}\" label=\"{}\"/>\n<category term=\"{}\" label=\"{}\"/>\n",
        // The same in every scope: one event is one entry.
        xml(&format!("{}harvest.atom#{}", visit.base(), alert.id)),
        xml(&format!("{title} — {words}")),
        kind.name(),
        xml(words),
        xml(layer),
        xml(title),
    );
    link(out, &Link::new("alternate", media::HTML, visit.url(&format!("harvest?f=html#{layer}"))));
    if let (AlertKind::Held | AlertKind::Changed, Some(version)) = (kind, &alert.version) {
        let report = visit.url(&format!("collections/{layer}/versions/{version}/report?f=html"));
        link(out, &Link::new("related", media::HTML, report));
    }
    let _ = writeln!(out, "<summary>{}</summary>\n</entry>", xml(visit.say(&alert.text)));
}
