//! `/feed.atom`: what was added, changed and removed, publication after publication, as Atom
//! (RFC 4287), in pages (RFC 5005) when there is much of it.

use super::{
    Answer,
    links::{Link, media},
    params::encode,
    reply::{Document, number},
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::Error,
    model::{ChangeKind, Lang},
    stats::{LayerNews, Named, News},
    text,
};
use jiff::Timestamp;
use std::fmt::Write;

/// Parameter of the page.
const PAGE: &str = "page";
/// Entries on a page.
const ENTRIES: usize = 50;

/// `GET /feed.atom`
pub async fn feed(visit: Visit) -> Answer {
    visit.params.check(&[PAGE], &[])?;
    let page = usize::try_from(visit.params.number(PAGE)?.unwrap_or(1)).unwrap_or(usize::MAX);
    let snapshot = visit.snapshot();
    let tag = visit.tag(&["feed", &visit.site.state(&snapshot)]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let app = &visit.site.app;
    let selection = visit.selection(None);
    let all = app.stats.all_news(&snapshot, visit.reference(), selection.as_ref()).await?;
    let pages = all.len().div_ceil(ENTRIES).max(1);
    if page == 0 || page > pages {
        return Err(Error::NotFound(text!(
            "Le flux n'a pas de page {page} : il en compte {pages}.",
            "The feed has no page {page}: it has {pages}."
        ))
        .into());
    }
    let newest = snapshot.served().filter_map(|l| l.current.as_ref());
    let newest =
        newest.map(|at| at.version.source.fetched_at).max().unwrap_or(Timestamp::UNIX_EPOCH);
    let updated = all.first().map_or(newest, |first| first.news.head.at);
    let shown: Vec<&LayerNews> = all.iter().skip((page - 1) * ENTRIES).take(ENTRIES).collect();
    let links = links(&visit, page, pages);
    let body = document(&visit, &links, updated, &shown);
    visit.send(&tag, Document::new(media::ATOM, body)).await
}

/// The feed's own links: itself, the pages around, the service as a page.
fn links(visit: &Visit, page: usize, pages: usize) -> Vec<Link> {
    let at = |page: usize| match page {
        1 => visit.url("feed.atom"),
        _ => visit.url(&format!("feed.atom?{PAGE}={page}")),
    };
    let mut links = vec![
        Link::new("self", media::ATOM_TYPE, at(page)),
        Link::new("alternate", media::HTML, visit.root()),
    ];
    if pages > 1 {
        links.push(Link::new("first", media::ATOM_TYPE, at(1)));
        links.push(Link::new("last", media::ATOM_TYPE, at(pages)));
    }
    if page > 1 {
        links.push(Link::new("previous", media::ATOM_TYPE, at(page - 1)));
    }
    if page < pages {
        links.push(Link::new("next", media::ATOM_TYPE, at(page + 1)));
    }
    links
}

fn document(visit: &Visit, links: &[Link], updated: Timestamp, entries: &[&LayerNews]) -> String {
    let title = visit.titled(&visit.site.app.settings.server.title);
    let title = format!("{title} — {}", visit.words("nouveautés", "news"));
    let mut out = head(visit, &visit.url("feed.atom"), &title, updated, links);
    for LayerNews { layer, news } in entries {
        entry(visit, layer, news, &mut out);
    }
    out.push_str("</feed>\n");
    out
}

/// A feed as far as its first entry.
pub fn head(visit: &Visit, id: &str, title: &str, updated: Timestamp, links: &[Link]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    let _ = write!(
        out,
        "<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"{}\">\n<id>{}</id>\n<title>{}</title>\n<updated>{updated}</updated>\n<author><name>{}</name></author>\n<generator version=\"{}\">Socle</generator>\n",
        visit.lang().tag(),
        xml(id),
        xml(title),
        xml(visit.say(&visit.site.app.settings.server.title)),
        env!("CARGO_PKG_VERSION"),
    );
    links.iter().for_each(|l| link(&mut out, l));
    out
}

/// A link of a feed or of an entry.
pub fn link(out: &mut String, link: &Link) {
    let media = link.media.unwrap_or(media::HTML);
    let _ = writeln!(
        out,
        "<link rel=\"{}\" type=\"{}\" href=\"{}\"/>",
        link.rel,
        xml(media),
        xml(&link.href)
    );
}

fn entry(visit: &Visit, layer: &Layer, news: &News, out: &mut String) {
    let (def, head) = (&layer.def, &news.head);
    let id = def.id.as_str();
    let title = format!("{} — {}", visit.say(&def.title), counts(visit.lang(), news));
    let name = visit.url(&format!("collections/{id}#{}", head.at.as_millisecond()));
    let _ = write!(
        out,
        "<entry>\n<id>{}</id>\n<title>{}</title>\n<updated>{at}</updated>\n<published>{at}</published>\n<author><name>{}</name></author>\n<category term=\"{}\" label=\"{}\"/>\n",
        xml(&name),
        xml(&title),
        xml(&def.producer),
        xml(id),
        xml(visit.say(&def.title)),
        at = head.at,
    );
    let page = visit.url(&format!("collections/{id}?f=html"));
    link(out, &Link::new("alternate", media::HTML, page));
    let versions = visit.url(&format!("collections/{id}/versions?f=html"));
    link(out, &Link::new("related", media::HTML, versions));
    let _ = write!(
        out,
        "<rights>{}</rights>\n<content type=\"html\">{}</content>\n</entry>\n",
        xml(&format!("{} — {}", def.attribution, def.licence.title)),
        xml(&content(visit, layer, news)),
    );
}

/// How much of what, in words: « 3 ajoutées, 1 supprimée ».
pub fn counts(lang: Lang, news: &News) -> String {
    let at_least = match (news.is_complete(), lang) {
        (true, _) => "",
        (false, Lang::Fr) => "au moins ",
        (false, Lang::En) => "at least ",
    };
    if news.is_first() {
        let (count, plural) = (number(news.added, lang), if news.added > 1 { "s" } else { "" });
        return match lang {
            Lang::Fr if news.added > 1 => {
                format!("première publication ({count} entités en tout)")
            }
            Lang::Fr => format!("première publication ({count} entité)"),
            Lang::En => format!("first publication ({count} feature{plural} in all)"),
        };
    }
    let part = |n: u64, fr: &str, en: &str| {
        let plural = if n > 1 { "s" } else { "" };
        let count = number(n, lang);
        (n > 0).then(|| match lang {
            Lang::Fr => format!("{count} {fr}{plural}"),
            Lang::En => format!("{count} {en}"),
        })
    };
    let parts = [
        part(news.added, "ajoutée", "added"),
        part(news.changed, "modifiée", "changed"),
        part(news.removed, "supprimée", "removed"),
    ];
    format!("{at_least}{}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// The features by kind, with links to those that are still served.
fn content(visit: &Visit, layer: &Layer, news: &News) -> String {
    let id = layer.def.id.as_str();
    let one = |named: &Named| {
        let label = named.label.as_deref().unwrap_or(&named.id);
        let address = format!("collections/{id}/items/{}?f=html", encode(&named.id));
        maud::html! {
            li {
                @if named.served { a href=(visit.url(&address)) { (label) } } @else { (label) }
                @if named.label.is_some() { " (" (named.id) ")" }
            }
        }
    };
    let kinds = [
        (ChangeKind::Added, news.added, visit.words("Ajoutées", "Added")),
        (ChangeKind::Changed, news.changed, visit.words("Modifiées", "Changed")),
        (ChangeKind::Removed, news.removed, visit.words("Supprimées", "Removed")),
    ];
    let markup = maud::html! {
        p { (counts(visit.lang(), news)) }
        @for (kind, count, words) in kinds {
            @let named: Vec<&Named> = news.named.iter().filter(|n| n.kind == kind).collect();
            @if !named.is_empty() {
                h3 { (words) }
                ul {
                    @for named in &named { (one(named)) }
                    @if count > named.len() as u64 { li { "… " (count - named.len() as u64) " " (visit.words("de plus", "more")) } }
                }
            }
        }
    };
    markup.into_string()
}

/// Text as XML 1.0 may hold it.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(c),
            // Not even a reference to these is well formed.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_xml_forbids_gets_through() {
        assert_eq!(xml("a<b>&\"\u{1}é"), "a&lt;b&gt;&amp;&quot;\u{fffd}é");
    }
}
