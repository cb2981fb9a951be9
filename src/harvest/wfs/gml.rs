//! A page of a WFS in GML, as it was written: what is taken into a delivery, and what is counted of
//! it on the way. What the features mean is for whoever reads the file.

use super::super::{failed, xml};
use crate::{
    error::{Error, Result},
    model::Fault,
    text,
};
use quick_xml::events::BytesStart;

/// How many positions tell the order of axes.
const SAMPLE: usize = 256;

/// The elements that hold features.
const HOLDERS: [&str; 4] = ["member", "members", "featureMember", "featureMembers"];

/// A page, and what it holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page<'a> {
    /// The encoding that it names.
    pub(super) encoding: Option<String>,
    /// Its root: name and declarations of prefixes. The rest differs from one answer to the next.
    root: String,
    /// All that is inside of the root.
    inside: &'a [u8],
    /// How many features it has.
    pub(super) count: u64,
    /// How many there are in all, when it says.
    pub(super) matched: Option<u64>,
    /// Their ids, of those that have one.
    pub(super) ids: Vec<String>,
    /// First positions of the first geometries, as they are written.
    pub(super) positions: Vec<(f64, f64)>,
    /// The system that the first geometry names, else the first extent.
    srs: Option<String>,
}

/// What is told of a page besides.
#[derive(Default)]
struct Told {
    /// How many features it says it has.
    announced: Option<u64>,
    /// The system of the first extent.
    extent: Option<String>,
    /// The service failed while writing: what it said.
    broken: Option<String>,
}

impl<'a> Page<'a> {
    /// Reads a page.
    ///
    /// # Errors
    /// [`Fault::Page`] when it is no collection of features; [`Fault::Cut`] when it is not whole.
    pub(super) fn read(body: &'a [u8]) -> Result<Self> {
        let (root, inside) = split(body).ok_or_else(xml::not_xml)?;
        let encoding = xml::encoding(body);
        let mut page = Self { encoding, root, inside, ..Self::default() };
        let mut told = Told::default();
        let mut whole = false;
        xml::walk(body, |element| {
            whole |= element.path.len() == 1 && element.name().ends_with("FeatureCollection");
            page.take(element, &mut told);
        })?;
        if !whole {
            return Err(failed(
                Fault::Page,
                text!(
                    "la source n'a pas répondu une collection d'entités GML",
                    "the source did not answer a collection of features in GML"
                ),
            ));
        }
        told.check(page.count)?;
        page.srs = page.srs.or(told.extent);
        Ok(page)
    }

    fn take(&mut self, element: &xml::Closed<'_>, told: &mut Told) {
        let name = element.name();
        if element.path.len() == 1 {
            let n = element.attribute("numberReturned").or(element.attribute("numberOfFeatures"));
            told.announced = n.and_then(|n| n.parse().ok());
            self.matched = element.attribute("numberMatched").and_then(|n| n.parse().ok());
        }
        if is_feature(element.path) {
            self.count += 1;
            let id = element.attribute("id").or(element.attribute("fid"));
            self.ids.extend(id.map(str::to_owned));
        }
        if let Some(srs) = element.attribute("srsName") {
            let of = if element.is_in("boundedBy") { &mut told.extent } else { &mut self.srs };
            of.get_or_insert_with(|| srs.to_owned());
        }
        if matches!(name, "ExceptionText" | "ServiceException") {
            told.broken.get_or_insert_with(|| element.text.chars().take(200).collect());
        } else if name == "truncatedResponse" {
            told.broken.get_or_insert_default();
        } else if self.positions.len() < SAMPLE
            && matches!(name, "pos" | "posList" | "coordinates")
            && !element.is_in("boundedBy")
        {
            let apart = |c: char| c.is_whitespace() || c == ',';
            let numbers = element.text.split(apart).filter(|n| !n.is_empty());
            let mut numbers = numbers.map_while(|n| n.parse().ok());
            self.positions.extend(numbers.next().zip(numbers.next()));
        }
    }

    /// The page for a delivery; `latitude_first` is what its positions show. Where its system
    /// promises another order, it is named in the way that promises that one: `EPSG:n` is read
    /// as longitude first, the URN as its authority has it.
    ///
    /// # Errors
    /// [`Fault::Page`] when the name of the system is nowhere to be found.
    pub(super) fn written(&self, latitude_first: Option<bool>) -> Result<Vec<u8>> {
        let name = self.root.split_whitespace().next().unwrap_or_default();
        let mut out = format!("<{}>", self.root).into_bytes();
        match (&self.srs, latitude_first) {
            (Some(srs), Some(order)) if order != promises_latitude_first(srs) => {
                out.extend(self.named(srs, &other_name(srs, order))?);
            }
            _ => out.extend_from_slice(self.inside),
        }
        out.extend_from_slice(format!("</{name}>\n").as_bytes());
        Ok(out)
    }

    /// What is inside with another name of its system.
    fn named(&self, from: &str, to: &str) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.inside.len());
        let mut rest = self.inside;
        let mut found = false;
        while let Some(at) = memchr::memmem::find(rest, b"srsName=") {
            let (before, after) = rest.split_at(at + b"srsName=".len());
            out.extend_from_slice(before);
            rest = after;
            let value = after.get(1..).and_then(|value| value.strip_prefix(from.as_bytes()));
            if let (Some(end), Some(quote)) = (value, after.first())
                && end.first() == Some(quote)
            {
                found = true;
                out.push(*quote);
                out.extend_from_slice(to.as_bytes());
                rest = end;
            }
        }
        out.extend_from_slice(rest);
        if found { Ok(out) } else { Err(xml::not_xml()) }
    }
}

impl Told {
    fn check(&self, came: u64) -> Result<()> {
        if let Some(words) = &self.broken {
            return Err(cut(text!(
                "la source s'est interrompue en écrivant une page : {words}",
                "the source broke off while it wrote a page: {words}"
            )));
        }
        match self.announced {
            Some(n) if n != came => Err(cut(text!(
                "une page annonce {n} entités et en a {came}",
                "a page announces {n} features and has {came}"
            ))),
            _ => Ok(()),
        }
    }
}

fn cut(text: crate::model::Text) -> Error {
    failed(Fault::Cut, text)
}

/// A feature is what a collection holds, or a collection in it.
fn is_feature(path: &[String]) -> bool {
    let [around @ .., holder, name] = path else { return false };
    let holds = |name: &String| HOLDERS.contains(&name.as_str());
    let collects = |name: &String| name.ends_with("FeatureCollection");
    holds(holder) && !collects(name) && around.iter().all(|name| holds(name) || collects(name))
}

/// Whether the name of a system says that latitude comes first, as readers take it.
fn promises_latitude_first(srs: &str) -> bool {
    let lower = srs.to_ascii_lowercase();
    let by_authority = lower.starts_with("urn:") || lower.contains("://www.opengis.net/def/crs/");
    by_authority && !lower.contains("crs84")
}

/// Another name of a system of degrees, which says that latitude comes first, or does not.
fn other_name(srs: &str, latitude_first: bool) -> String {
    let code = srs.rsplit([':', '/', '#']).next().unwrap_or_default();
    let code = if code.bytes().all(|b| b.is_ascii_digit()) { code } else { "4326" };
    match latitude_first {
        true => format!("urn:ogc:def:crs:EPSG::{code}"),
        false => format!("EPSG:{code}"),
    }
}

/// The schema of a type, for a delivery before its features: it tells text from numbers. It is
/// written in ASCII, whatever encoding the pages are in. `None` when an answer is none.
pub(super) fn schema(body: &[u8]) -> Option<String> {
    let text = xml::text_of(body);
    let (root, inside) = split(text.as_bytes())?;
    let name = root.split_whitespace().next()?;
    if name.rsplit(':').next() != Some("schema") || xml::walk(body, |_| {}).is_err() {
        return None;
    }
    let inside = std::str::from_utf8(inside).ok()?;
    let whole = format!("<{root}>{inside}</{name}>\n");
    let ascii = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => format!("&#{};", u32::from(c)),
    };
    Some(whole.chars().map(ascii).collect())
}

/// The root of a document, as name and declarations of prefixes, and what is inside of it.
fn split(body: &[u8]) -> Option<(String, &[u8])> {
    let mut rest = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    loop {
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            _ => break,
        };
        let at = memchr::memmem::find(rest, end)?;
        rest = rest.get(at + end.len()..)?.trim_ascii_start();
    }
    let rest = rest.strip_prefix(b"<").filter(|rest| !rest.starts_with(b"!"))?;
    let end = end_of_tag(rest)?;
    let tag = String::from_utf8_lossy(rest.get(..end)?);
    let alone = tag.ends_with('/');
    let tag = tag.trim_end_matches('/').trim_end();
    // The name stands right behind the bracket, or this is no tag.
    let name = tag.split(char::is_whitespace).next().filter(|name| !name.is_empty())?;
    let mut root = name.to_owned();
    for attribute in BytesStart::from_content(tag, name.len()).attributes() {
        let attribute = attribute.ok()?;
        let key: &str = attribute.key.into_inner();
        if key == "xmlns" || key.starts_with("xmlns:") {
            let value: &str = &attribute.value;
            let quote = if value.contains('"') { '\'' } else { '"' };
            root.push_str(&format!(" {key}={quote}{value}{quote}"));
        }
    }
    let inside = rest.get(end + 1..)?;
    let inside = match alone {
        true => &[],
        false => inside.get(..memchr::memmem::rfind(inside, b"</")?)?,
    };
    Some((root, inside))
}

/// Where a tag ends: at the first `>` outside of quotes.
fn end_of_tag(tag: &[u8]) -> Option<usize> {
    let mut open = None;
    tag.iter().position(|byte| match (open, byte) {
        (None, b'>') => true,
        (None, b'"' | b'\'') => {
            open = Some(*byte);
            false
        }
        (Some(quote), byte) if quote == *byte => {
            open = None;
            false
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two features as MapServer 8 writes them.
    fn page(srs: &str, position: &str) -> String {
        format!(
            r#"<?xml version='1.0' encoding="UTF-8" ?>
<!-- hello --><wfs:FeatureCollection xmlns:ms="http://ms" xmlns:gml='http://www.opengis.net/gml/3.2'
   xmlns:wfs="http://www.opengis.net/wfs/2.0" xsi:schemaLocation="a > b" timeStamp="2026-11-30T17:09:52" numberReturned="2">
<wfs:boundedBy><gml:Envelope srsName="{srs}"><gml:lowerCorner>0 0</gml:lowerCorner></gml:Envelope></wfs:boundedBy>
<wfs:member><ms:c gml:id="c.1"><gml:boundedBy><gml:Envelope srsName="{srs}"/></gml:boundedBy><ms:geo><gml:Point gml:id="c.1.1" srsName='{srs}'><gml:pos>{position}</gml:pos></gml:Point></ms:geo><ms:member><ms:x/></ms:member></ms:c></wfs:member>
<wfs:member><ms:c gml:id="c.2"/></wfs:member></wfs:FeatureCollection>
"#
        )
    }

    #[test]
    fn a_page_is_counted_and_kept_as_it_was_written() {
        let body = page("urn:ogc:def:crs:EPSG::4326", "50.5 3.25");
        let read = Page::read(body.as_bytes()).unwrap();
        assert_eq!((read.count, read.encoding.as_deref()), (2, Some("UTF-8")));
        assert_eq!(
            (read.ids.as_slice(), read.positions.as_slice()),
            (&["c.1".to_owned(), "c.2".into()][..], &[(50.5, 3.25)][..])
        );
        let kept = String::from_utf8(read.written(None).unwrap()).unwrap();
        let start = "<wfs:FeatureCollection xmlns:ms=\"http://ms\" xmlns:gml=\"http://www.opengis.net/gml/3.2\" xmlns:wfs=\"http://www.opengis.net/wfs/2.0\">\n<wfs:boundedBy>";
        assert!(kept.starts_with(start), "{kept}");
        assert!(kept.ends_with("</wfs:member></wfs:FeatureCollection>\n"), "{kept}");
        assert!(!kept.contains("timeStamp"), "{kept}");
        assert_eq!(kept, String::from_utf8(read.written(Some(true)).unwrap()).unwrap());
        let again = Page::read(kept.as_bytes()).unwrap();
        assert_eq!((again.count, again.ids), (2, read.ids));
    }

    #[test]
    fn a_system_is_named_by_the_order_that_positions_are_in() {
        let urn = "urn:ogc:def:crs:EPSG::4326";
        for (named, latitude_first, wanted) in [
            ("EPSG:4326", true, urn),
            ("http://www.opengis.net/gml/srs/epsg.xml#4171", true, "urn:ogc:def:crs:EPSG::4171"),
            ("urn:ogc:def:crs:OGC:1.3:CRS84", true, urn),
            (urn, false, "EPSG:4326"),
            ("EPSG:4326", false, "EPSG:4326"),
            ("urn:ogc:def:crs:OGC:1.3:CRS84", false, "urn:ogc:def:crs:OGC:1.3:CRS84"),
        ] {
            let body = page(named, "1 2");
            let page = Page::read(body.as_bytes()).unwrap();
            let kept = page.written(Some(latitude_first)).unwrap();
            let again = Page::read(&kept).unwrap();
            assert_eq!(again.srs.as_deref(), Some(wanted), "{named}");
            assert_eq!(String::from_utf8(kept).unwrap().matches(wanted).count(), 3);
        }
    }

    #[test]
    fn collections_of_all_ages_are_counted() {
        for (inside, count) in [
            (
                "<gml:featureMember><c fid='1'/></gml:featureMember><gml:featureMember><c/></gml:featureMember>",
                2,
            ),
            ("<gml:featureMembers><c/><c/><c><member><x/></member></c></gml:featureMembers>", 3),
            ("<member><FeatureCollection><member><c/></member></FeatureCollection></member>", 1),
            ("", 0),
        ] {
            let body = format!("<FeatureCollection>{inside}</FeatureCollection>");
            assert_eq!(Page::read(body.as_bytes()).unwrap().count, count, "{inside}");
        }
        let alone = b"\xef\xbb\xbf<w:FeatureCollection xmlns:w='\"' numberOfFeatures='0'/>";
        let kept = Page::read(alone).unwrap().written(None).unwrap();
        assert_eq!(kept, b"<w:FeatureCollection xmlns:w='\"'></w:FeatureCollection>\n");
    }

    #[test]
    fn a_schema_is_kept_in_ascii() {
        let body = b"<?xml version='1.0'?><x:schema xmlns:x='http://www.w3.org/2001/XMLSchema' version='1'><x:element name='\xc3\xa9' type='x:string'/></x:schema>";
        let kept = schema(body).unwrap();
        assert_eq!(
            kept,
            "<x:schema xmlns:x=\"http://www.w3.org/2001/XMLSchema\"><x:element name='&#233;' type='x:string'/></x:schema>\n"
        );
        for other in [&b"<a/>"[..], b"<schema>", b"", b"<!DOCTYPE schema><schema/>"] {
            assert_eq!(schema(other), None);
        }
    }

    #[test]
    fn what_is_not_whole_is_no_page() {
        let fault = |body: &str| match Page::read(body.as_bytes()) {
            Err(Error::Source(e)) => (e.fault, e.text.en),
            other => panic!("{body}: {other:?}"),
        };
        let broken = "<FeatureCollection><member><c/></member><truncatedResponse><ExceptionReport><Exception><ExceptionText>lost the database</ExceptionText></Exception></ExceptionReport></truncatedResponse></FeatureCollection>";
        let (kind, words) = fault(broken);
        assert_eq!(kind, Fault::Cut);
        assert!(words.contains("lost the database"), "{words}");
        assert_eq!(
            fault(
                "<FeatureCollection numberReturned='2'><member><c/></member></FeatureCollection>"
            )
            .0,
            Fault::Cut
        );
        for odd in
            ["<a/>", "<!DOCTYPE a><FeatureCollection/>", "<FeatureCollection>", "", "{}", "<"]
        {
            assert_eq!(fault(odd).0, Fault::Page, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_page_is_read_or_refused(words in "(<|/|>|'|\"|=| |<FeatureCollection|</FeatureCollection>|<member>|</member>|srsName|xmlns:a|EPSG:4326|<!--|-->|<\\?|\\?>|1 2|\\PC){0,40}") {
            if let Ok(page) = Page::read(words.as_bytes()) {
                let _ = page.written(Some(true));
            }
        }
    }
}
