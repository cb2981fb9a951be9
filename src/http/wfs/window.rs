//! What of all that matches is asked for, how that stands among the rest, and where the pages
//! around it are.

use super::{
    Asked,
    fail::{Fail, Result},
    kvp::Kvp,
    output::Output,
    version::Version,
};
use crate::{
    error::Error,
    http::{feed::xml, parts::Part, visit::Visit},
    text,
};
use std::fmt::Write;

/// Features of an answer when no number is asked for (`CountDefault`).
pub const USUAL: u64 = 1_000;
/// Most features of an answer.
pub const MOST: u64 = 100_000;

/// What of the whole is asked for.
#[derive(Clone, Copy)]
pub struct Window {
    /// Features before it.
    pub start: u64,
    /// Most features of it.
    pub count: u64,
    /// Whether only their number is asked for.
    pub hits: bool,
    /// Whether a number was asked for, or goes without saying.
    pub bounded: bool,
}

impl Window {
    /// Reads `count` (`maxFeatures`), `startIndex` and `resultType`.
    pub fn read(kvp: &Kvp, version: Version, output: Output) -> Result<Self> {
        let hits = match kvp.get("RESULTTYPE") {
            None => false,
            Some(r) if r.eq_ignore_ascii_case("results") => false,
            Some(r) if r.eq_ignore_ascii_case("hits") => true,
            Some(other) => {
                let shown: String = other.chars().take(40).collect();
                return Err(Fail::invalid(
                    "resultType",
                    text!("« {shown} » : results ou hits.", "\"{shown}\": results or hits."),
                ));
            }
        };
        let count = kvp.number(&["COUNT", "MAXFEATURES"])?;
        let start = kvp.number(&["STARTINDEX"])?.unwrap_or(0);
        // Old clients know of no pages, and a file says nothing of those behind it: nothing is kept
        // from them without a word.
        let paged = version == Version::V20 && matches!(output, Output::Gml | Output::Json);
        let bounded = count.is_some() || paged;
        let usual = if bounded { USUAL } else { MOST };
        Ok(Self { start, count: count.unwrap_or(usual).min(MOST), hits, bounded })
    }
}

/// The features of one query, and how they stand among all.
pub struct Found {
    /// The features, written.
    pub body: Part,
    /// How many.
    pub returned: u64,
    /// How many match in all, where that is known.
    pub matched: Option<u64>,
    /// Whether there are more.
    pub more: bool,
}

/// The number of all that match, when it is known.
pub fn matched(found: &[Found]) -> Option<u64> {
    found.iter().map(|f| f.matched).sum()
}

/// The number of features in an answer.
pub fn returned(found: &[Found]) -> u64 {
    found.iter().map(|f| f.returned).sum()
}

/// More match than an answer may hold.
pub fn too_many() -> Fail {
    let text = text!(
        "Plus de {MOST} entités : donnez count (maxFeatures), un BBOX ou un filtre, ou passez au GML de WFS 2.0 et à ses pages.",
        "More than {MOST} features: give count (maxFeatures), a BBOX or a filter, or use the GML of WFS 2.0 and its pages."
    );
    Fail::new("OperationProcessingFailed", "maxFeatures", Error::Conflict(text))
}

/// The addresses of the next page and of the one before.
pub fn around(
    visit: &Visit,
    asked: &Asked,
    window: &Window,
    found: &[Found],
) -> (Option<String>, Option<String>) {
    let [one] = found else { return (None, None) };
    let most = visit.site.app.settings.server.max_url;
    let root = visit.url("wfs");
    let address = |start: u64, count: u64| {
        let with = [
            ("STARTINDEX", Some(start.to_string())),
            ("COUNT", Some(count.to_string())),
            ("MAXFEATURES", None),
            ("RESULTTYPE", None),
            ("SERVICE", Some("WFS".to_owned())),
        ];
        // One too long to be asked is none.
        Some(asked.kvp.address(&root, &with)).filter(|url| url.len() <= most)
    };
    let count = if window.hits && window.count == 0 { USUAL } else { window.count };
    let after = if window.hits { window.start } else { window.start.saturating_add(one.returned) };
    // A page of nothing is the last one, whatever was counted.
    let on = window.hits || one.returned > 0;
    let next = (one.more && on && window.count > 0).then(|| address(after, count)).flatten();
    let before = window.start.saturating_sub(count);
    let previous = (window.start > 0 && !window.hits && count > 0)
        .then(|| address(before, count.min(window.start)))
        .flatten();
    (next, previous)
}

/// The time of an answer.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The numbers and addresses of a collection's root, those of WFS 2.0.
pub fn numbers(
    matched: Option<u64>,
    returned: u64,
    (next, previous): (Option<String>, Option<String>),
) -> String {
    let matched = matched.map_or("unknown".to_owned(), |n| n.to_string());
    let mut out = format!(
        " timeStamp=\"{}\" numberMatched=\"{matched}\" numberReturned=\"{returned}\"",
        now()
    );
    for (name, url) in [("next", next), ("previous", previous)] {
        if let Some(url) = url {
            let _ = write!(out, " {name}=\"{}\"", xml(&url));
        }
    }
    out
}
