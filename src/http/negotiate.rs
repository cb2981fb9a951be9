//! Content negotiation (RFC 9110 §12): what a client can read, from its `Accept*` headers, and
//! what it already has, from `If-None-Match`. Plain functions over header values; which formats a
//! resource has is its handler's business.

use crate::model::Lang;

/// A representation that nearly every resource has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON of some kind.
    Json,
    /// A page.
    Html,
}

impl Format {
    /// The value of `f` that asks for it.
    pub fn id(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Html => "html",
        }
    }
}

/// JSON media types any of our JSON resources answers to: OGC clients ask for the general type
/// where a special one is served, and the reverse.
const JSON_TYPES: [&str; 8] = [
    "application/json",
    "application/geo+json",
    "application/schema+json",
    "application/problem+json",
    "application/vnd.oai.openapi+json",
    "application/openapi+json",
    "application/vnd.mapbox.style+json",
    "application/ld+json",
];

/// One member of a header with weights.
struct Weighed<'a> {
    value: &'a str,
    q: f32,
}

/// The members of an `Accept*` header; parameters other than `q` are dropped.
fn weighed(header: &str) -> impl Iterator<Item = Weighed<'_>> {
    header.split(',').filter_map(|member| {
        let mut parts = member.split(';');
        let value = parts.next()?.trim();
        let q = parts
            .filter_map(|p| p.trim().strip_prefix("q="))
            .find_map(|q| q.trim().parse::<f32>().ok())
            .unwrap_or(1.0);
        (!value.is_empty()).then_some(Weighed { value, q })
    })
}

/// Whether a client reads JSON by its general name, and not by that of JSON Schema: GDAL before
/// 3.7 refuses queryables of any other type than it asks for.
pub fn schema_as_json(accept: Option<&str>) -> bool {
    let named = |types: &[&str]| {
        let given = weighed(accept.unwrap_or_default()).filter(|w| w.q > 0.0);
        given.into_iter().any(|w| types.iter().any(|t| w.value.eq_ignore_ascii_case(t)))
    };
    named(&["application/json", "application/geo+json"])
        && !named(&["application/schema+json", "application/*", "*/*"])
}

/// The format an `Accept` header prefers: JSON unless a page is preferred strictly (browsers do).
/// `None`: neither is acceptable.
pub fn format(accept: Option<&str>) -> Option<Format> {
    let Some(accept) = accept.filter(|a| !a.trim().is_empty()) else {
        return Some(Format::Json);
    };
    // The most specific range decides each type's weight (RFC 9110 §12.5.1).
    let (mut html, mut json): ((u8, f32), (u8, f32)) = ((0, 0.0), (0, 0.0));
    let keep = |best: &mut (u8, f32), rank: u8, q: f32| {
        if rank > best.0 || (rank == best.0 && q > best.1) {
            *best = (rank, q);
        }
    };
    for Weighed { value, q } in weighed(accept) {
        let value = value.to_ascii_lowercase();
        match value.as_str() {
            "text/html" | "application/xhtml+xml" => keep(&mut html, 3, q),
            "text/*" => keep(&mut html, 2, q),
            "application/*" => keep(&mut json, 2, q),
            "*/*" => {
                keep(&mut html, 1, q);
                keep(&mut json, 1, q);
            }
            other if JSON_TYPES.contains(&other) => keep(&mut json, 3, q),
            _ => {}
        }
    }
    match (html.1 > 0.0, json.1 > 0.0) {
        (true, _) if html.1 > json.1 => Some(Format::Html),
        (_, true) => Some(Format::Json),
        (true, false) => Some(Format::Html),
        (false, false) => None,
    }
}

/// The position of the first of the formats, each with its media types, that an `Accept` header
/// names and prefers strictly to JSON and to pages. What is only covered by a wildcard is not
/// named.
pub fn special(accept: Option<&str>, formats: &[&[&str]]) -> Option<usize> {
    let (mut best, mut usual) = ((None, 0.0f32), 0.0f32);
    for Weighed { value, q } in weighed(accept?) {
        let is = |media: &&str| value.eq_ignore_ascii_case(media);
        match formats.iter().position(|types| types.iter().any(is)) {
            Some(at) if q > best.1 => best = (Some(at), q),
            Some(_) => {}
            None if value != "*/*" && format(Some(value)).is_some() => usual = usual.max(q),
            None => {}
        }
    }
    best.0.filter(|_| best.1 > usual)
}

/// The language an `Accept-Language` header prefers; French when it names neither.
pub fn lang(accept: Option<&str>) -> Lang {
    let mut best = (Lang::Fr, 0.0);
    for Weighed { value, q } in weighed(accept.unwrap_or_default()) {
        let primary = value.split('-').next().unwrap_or_default();
        let lang = if primary.eq_ignore_ascii_case("fr") {
            Lang::Fr
        } else if primary.eq_ignore_ascii_case("en") {
            Lang::En
        } else {
            continue;
        };
        if q > best.1 {
            best = (lang, q);
        }
    }
    best.0
}

/// Whether gzip may be sent: named with a weight above zero, or `*` where it is not named.
pub fn gzip(accept: Option<&str>) -> bool {
    let Some(accept) = accept else { return false };
    if accept == "gzip" || accept.starts_with("gzip, ") {
        return true; // what nearly every client sends
    }
    let (mut named, mut star) = (None, None);
    for Weighed { value, q } in weighed(accept) {
        if value.eq_ignore_ascii_case("gzip") || value.eq_ignore_ascii_case("x-gzip") {
            named = Some(q);
        } else if value == "*" {
            star = Some(q);
        }
    }
    named.or(star).is_some_and(|q| q > 0.0)
}

/// Whether an `If-None-Match` header names the tag: weak comparison (RFC 9110 §8.8.3.2), lists
/// and `*`. `tag` is the opaque tag with its quotes, without `W/`.
pub fn none_match(header: Option<&str>, tag: &str) -> bool {
    let Some(header) = header else { return false };
    header
        .split(',')
        .map(str::trim)
        .any(|member| member == "*" || member.strip_prefix("W/").unwrap_or(member) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_bear_the_name_that_a_client_knows() {
        let geo = "application/geo+json, application/json";
        assert!(schema_as_json(Some(geo)) && schema_as_json(Some("application/json")));
        for accept in
            ["*/*", "application/schema+json, application/json", "application/json, */*;q=0.1"]
        {
            assert!(!schema_as_json(Some(accept)), "{accept}");
        }
        assert!(!schema_as_json(None) && !schema_as_json(Some("text/html")));
    }

    #[test]
    fn browsers_get_pages_and_tools_get_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        assert_eq!(format(Some(browser)), Some(Format::Html));
        for tool in [
            None,
            Some(""),
            Some("*/*"),
            Some("application/json"),
            Some("application/geo+json, application/json"),
            Some(
                "application/vnd.oai.openapi+json;version=3.0, application/openapi+json;version=3.0",
            ),
            Some("text/html;q=0.1, */*"),
            Some("application/*"),
        ] {
            assert_eq!(format(tool), Some(Format::Json), "{tool:?}");
        }
        assert_eq!(format(Some("text/*")), Some(Format::Html));
        assert_eq!(format(Some("image/png")), None);
        assert_eq!(format(Some("text/html;q=0, application/json;q=0")), None);
        // A refused type stays refused whatever the wildcard says.
        assert_eq!(format(Some("text/html;q=0, */*")), Some(Format::Json));
    }

    #[test]
    fn formats_with_a_name_are_given_to_those_who_name_them() {
        let formats: [&[&str]; 2] = [&["text/csv"], &["application/flatgeobuf", "application/fgb"]];
        for (accept, expected) in [
            ("text/csv", Some(0)),
            ("application/FGB, */*;q=0.1", Some(1)),
            ("text/csv;q=0.5, application/flatgeobuf", Some(1)),
            ("text/csv, */*", Some(0)),
            ("text/csv, application/geo+json", None),
            ("text/csv;q=0.9, text/html", None),
            ("text/csv;q=0", None),
            ("text/*", None),
            ("*/*", None),
        ] {
            assert_eq!(special(Some(accept), &formats), expected, "{accept}");
        }
        assert_eq!(special(None, &formats), None);
    }

    #[test]
    fn french_is_the_default_language() {
        assert_eq!(lang(None), Lang::Fr);
        assert_eq!(lang(Some("de, *")), Lang::Fr);
        assert_eq!(lang(Some("en-GB,en;q=0.9")), Lang::En);
        assert_eq!(lang(Some("en;q=0.5, fr;q=0.8")), Lang::Fr);
        assert_eq!(lang(Some("en;q=0")), Lang::Fr);
    }

    #[test]
    fn gzip_is_sent_only_where_allowed() {
        assert!(gzip(Some("gzip")) && gzip(Some("gzip, deflate, br")) && gzip(Some("br, *")));
        assert!(gzip(Some("deflate, GZIP;q=0.5")));
        for no in
            [None, Some(""), Some("identity"), Some("gzip;q=0"), Some("gzip;q=0, *"), Some("*;q=0")]
        {
            assert!(!gzip(no), "{no:?}");
        }
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(none_match(Some("\"a\", W/\"b\""), "\"b\""));
        assert!(none_match(Some("*"), "\"b\""));
        assert!(!none_match(Some("\"b-gz\""), "\"b\""));
        assert!(!none_match(None, "\"b\""));
    }
}
