//! Pages: plain, fast HTML that works without scripts. Each resource's page is its own file, with
//! its words in both languages beside the markup. No query is made here beyond what a handler
//! already may ask of a service.

pub mod api;
pub mod archive;
pub mod collection;
pub mod document;
pub mod export;
pub mod harvest;
pub mod history;
pub mod items;
pub mod landing;
pub mod legend;
pub mod problem;
pub mod report;
pub mod resolve;
pub mod stats;
pub mod table;
pub mod territory;

use super::{assets, visit::Visit};
use crate::model::{Lang, Licence, Text};
use maud::{DOCTYPE, Markup, html};

/// What surrounds every page.
pub struct Frame<'a> {
    /// Language of the words.
    pub lang: Lang,
    /// Root of the service, for assets.
    pub base: &'a str,
    /// Root within the scope, for navigation.
    pub root: &'a str,
    /// Title of the service.
    pub service: &'a str,
    /// Words for the scope, when the page is in one: it can be left.
    pub scope: Option<String>,
    /// How old codes in the address were understood.
    pub notices: Vec<String>,
    /// Whether the page has a map.
    pub map: bool,
}

/// A whole page around its content.
pub fn frame(frame: &Frame<'_>, title: &str, content: &Markup) -> String {
    let say = |fr: &'static str, en: &'static str| words(frame.lang, fr, en);
    let (base, root) = (frame.base, frame.root);
    let script = assets::url(base, "socle.js");
    let map_sheet = frame.map.then(|| assets::url(base, "maplibre-gl.css")).flatten();
    html! {
        (DOCTYPE)
        html lang=(frame.lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) @if !title.contains(frame.service) { " — " (frame.service) } }
                @if let Some(sheet) = map_sheet { link rel="stylesheet" href=(sheet); }
                link rel="stylesheet" href=(assets::style_sheet(base));
                link rel="alternate" type="application/atom+xml" title=(say("Nouveautés", "News")) href=(format!("{root}feed.atom"));
                // No favicon: an empty one spares each visit a 404.
                link rel="icon" href="data:,";
                @if let Some(script) = script { script type="module" src=(script) {} }
            }
            body {
                a.skip href="#main" { (say("Aller au contenu", "Skip to content")) }
                header {
                    a.brand href=(root) {
                        (frame.service) @if let Some(scope) = &frame.scope { " — " (scope) }
                    }
                    nav aria-label=(say("Navigation principale", "Main navigation")) {
                        ul {
                            li { a href=(format!("{root}collections?f=html")) { (say("Couches", "Layers")) } }
                            li { a href=(format!("{root}table?f=html")) { (say("Tableau", "Table")) } }
                            li { a href=(format!("{root}territories?f=html")) { (say("Territoires", "Territories")) } }
                            li { a href=(format!("{root}api?f=html")) { "API" } }
                        }
                    }
                }
                main id="main" {
                    @for notice in &frame.notices { p.notice { (notice) } }
                    (content)
                }
                footer {
                    @if frame.scope.is_some() {
                        p { a href=(base) { (say("Quitter ce territoire", "Leave this territory")) } }
                    }
                    p { a href=(format!("{root}harvest?f=html")) { (say("Moissonnages", "Harvests")) } }
                    p { "Socle " (env!("CARGO_PKG_VERSION")) }
                }
            }
        }
    }
    .into_string()
}

/// One of two wordings.
pub fn words(lang: Lang, fr: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Fr => fr,
        Lang::En => en,
    }
}

impl Visit {
    /// One of two wordings, by the language of the request.
    pub fn words(&self, fr: &'static str, en: &'static str) -> &'static str {
        words(self.lang(), fr, en)
    }

    /// A page of this request.
    pub fn html(&self, title: &str, content: &Markup) -> String {
        self.framed(title, content, false)
    }

    /// A page with a map.
    pub fn html_with_map(&self, title: &str, content: &Markup) -> String {
        self.framed(title, content, true)
    }

    fn framed(&self, title: &str, content: &Markup, map: bool) -> String {
        let (base, root) = (self.base(), self.root());
        let service = self.say(&self.site.app.settings.server.title);
        let resolved = self.scope.iter().flat_map(|s| &s.resolved);
        let notices =
            resolved.filter_map(|r| r.notice.as_ref()).map(|n| self.say(n).to_owned()).collect();
        let surroundings = Frame {
            lang: self.lang(),
            base: &base,
            root: &root,
            service,
            scope: self.scope_title().map(|t| self.say(&t).to_owned()),
            notices,
            map,
        };
        frame(&surroundings, title, content)
    }
}

/// A trail of pages above a title.
pub fn trail(visit: &Visit, steps: &[(String, String)]) -> Markup {
    html! {
        nav.breadcrumb aria-label=(visit.words("Fil d'Ariane", "Breadcrumb")) {
            ol { @for (href, label) in steps { li { a href=(href) { (label) } } } }
        }
    }
}

/// An address to copy.
pub fn address(visit: &Visit, label: &str, url: &str) -> Markup {
    html! {
        li {
            strong { (label) }
            div {
                code { (url) }
                button type="button" data-copy=(url) hidden { (visit.words("Copier", "Copy")) }
            }
        }
    }
}

/// A row of a metadata list.
pub fn fact(label: &str, value: &Markup) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

/// A licence, with its text where that has an address.
pub fn licence(licence: &Licence) -> Markup {
    html! {
        @if let Some(url) = &licence.url { a href=(url) rel="license" { (licence.title) } }
        @else { (licence.title) }
    }
}

/// How to reach somebody: an address of the web or of mail.
pub fn contact(contact: &str) -> Markup {
    let web = contact.starts_with("http://") || contact.starts_with("https://");
    html! {
        @if web { a href=(contact) { (contact) } }
        @else if contact.contains('@') { a href=(format!("mailto:{contact}")) { (contact) } }
        @else { (contact) }
    }
}

/// What XYZ tiles of these zooms are called.
pub fn tiles_label(visit: &Visit, (min, max): (u8, u8)) -> String {
    match visit.lang() {
        Lang::Fr => {
            format!("Tuiles vectorielles XYZ, zoom min. {min}, max. {max} (à indiquer dans QGIS)")
        }
        Lang::En => {
            format!("XYZ vector tiles, zoom min. {min}, max. {max} (to be set in QGIS)")
        }
    }
}

/// A text's paragraphs.
pub fn paragraphs(visit: &Visit, text: &Text) -> Markup {
    html! {
        @for paragraph in visit.say(text).split("\n\n").filter(|p| !p.trim().is_empty()) {
            p { (paragraph) }
        }
    }
}

/// A date or an instant (RFC 3339) as people read it: `1 janvier 2025`, with the minute in UTC
/// when there is one. What is no such date is shown as it is.
pub fn moment(visit: &Visit, rfc3339: &str) -> String {
    const MONTHS: [(&str, &str); 12] = [
        ("janvier", "January"),
        ("février", "February"),
        ("mars", "March"),
        ("avril", "April"),
        ("mai", "May"),
        ("juin", "June"),
        ("juillet", "July"),
        ("août", "August"),
        ("septembre", "September"),
        ("octobre", "October"),
        ("novembre", "November"),
        ("décembre", "December"),
    ];
    let (date, time) = rfc3339.split_once('T').unwrap_or((rfc3339, ""));
    let mut parts = date.splitn(3, '-').map(str::parse::<usize>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return rfc3339.to_owned();
    };
    let Some((fr, en)) = month.checked_sub(1).and_then(|m| MONTHS.get(m)) else {
        return rfc3339.to_owned();
    };
    let (month, at) = match visit.lang() {
        Lang::Fr => (fr, " à "),
        Lang::En => (en, " at "),
    };
    let first = if day == 1 && visit.lang() == Lang::Fr { "er" } else { "" };
    match time.get(..5).filter(|_| time.ends_with('Z')) {
        Some(minute) => format!("{day}{first} {month} {year}{at}{minute} UTC"),
        None => format!("{day}{first} {month} {year}"),
    }
}

/// The form that searches territories; on a layer's page a choice leads to that layer within it.
pub fn territory_form(visit: &Visit, q: Option<&str>, layer: Option<&str>) -> Markup {
    let (leads_to, label) = match layer {
        Some(layer) => (
            format!("{}t/{{id}}/collections/{layer}", visit.base()),
            visit.words("Voir cette couche pour un territoire", "See this layer for a territory"),
        ),
        None => (
            format!("{}territories/{{id}}", visit.root()),
            visit.words(
                "Nom, code postal ou code d'un territoire",
                "Name, postal code or code of a territory",
            ),
        ),
    };
    html! {
        form action=(visit.url("territories")) method="get" role="search"
            data-territory-search=(leads_to) {
            label for="q" { (label) }
            input id="q" name="q" type="search" value=[q] placeholder="Lille, 59000…";
            input type="hidden" name="f" value="html";
            button type="submit" { (visit.words("Chercher", "Search")) }
        }
    }
}
