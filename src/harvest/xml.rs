//! What services say of themselves in XML, read as it comes: each element with its path, its
//! attributes and its text. A document type is refused, and with it every entity but XML's own.

use super::failed;
use crate::{
    error::{Error, Result},
    model::{Element, Fault},
    text,
};
use quick_xml::{Reader, events::Event};
use std::borrow::Cow;

/// Most elements inside each other.
const MAX_DEPTH: usize = 64;

/// An element that has just been closed.
pub(super) struct Closed<'a> {
    /// Local names, from the root to it.
    pub(super) path: &'a [String],
    /// Its attributes, by local name.
    attributes: &'a [(String, String)],
    /// Its own text, trimmed.
    pub(super) text: &'a str,
}

impl Closed<'_> {
    /// Its local name.
    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The local name of the element around it.
    pub(super) fn parent(&self) -> &str {
        self.path.iter().rev().nth(1).map_or("", String::as_str)
    }

    /// Whether it lies inside an element of that name.
    pub(super) fn is_in(&self, name: &str) -> bool {
        self.path.iter().rev().skip(1).any(|p| p == name)
    }

    /// An attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Goes through a document; `each` is told of every element when it closes, the root last.
///
/// # Errors
/// [`Error::Source`] (`page`) when it is no XML, or has a document type.
pub(super) fn walk(body: &[u8], mut each: impl FnMut(&Closed<'_>)) -> Result<()> {
    let text = text_of(body);
    let mut reader = Reader::from_str(text.trim_start());
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut open: Vec<(Vec<(String, String)>, String)> = Vec::new();
    let mut closed = 0_u64;
    loop {
        match reader.read_event().map_err(|_| not_xml())? {
            Event::Start(start) => {
                if path.len() >= MAX_DEPTH {
                    return Err(not_xml());
                }
                let name: &str = start.local_name().into_inner();
                path.push(name.to_owned());
                let mut attributes = Vec::new();
                for attribute in start.attributes().flatten() {
                    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
                    let name: &str = attribute.key.local_name().into_inner();
                    attributes.push((name.to_owned(), value.map_err(|_| not_xml())?.into_owned()));
                }
                open.push((attributes, String::new()));
            }
            Event::End(_) => {
                if let Some((attributes, text)) = open.pop() {
                    each(&Closed { path: &path, attributes: &attributes, text: text.trim() });
                    closed += 1;
                }
                path.pop();
            }
            Event::Text(words) => add(&mut open, &words.xml10_content()),
            Event::CData(words) => add(&mut open, &words.xml10_content()),
            Event::GeneralRef(entity) => {
                let name: &str = &entity;
                let known = match name {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "apos" => Some('\''),
                    "quot" => Some('"'),
                    _ => entity.resolve_char_ref().ok().flatten(),
                };
                add(&mut open, known.ok_or_else(not_xml)?.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(not_xml()),
            Event::Eof if closed > 0 && path.is_empty() => return Ok(()),
            Event::Eof => return Err(not_xml()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => {}
        }
    }
}

/// A document's text, without the mark of its encoding.
pub(super) fn text_of(body: &[u8]) -> Cow<'_, str> {
    let label = encoding(body);
    let named = label.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    named.unwrap_or(encoding_rs::UTF_8).decode(body).0
}

/// The encoding that a document names.
pub(super) fn encoding(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(body.get(..body.len().min(256)).unwrap_or_default());
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let declaration = head.strip_prefix("<?xml")?.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split_once(quote).map(|(label, _)| label.to_owned())
}

fn add(open: &mut [(Vec<(String, String)>, String)], words: &str) {
    if let Some((_, text)) = open.last_mut() {
        text.push_str(words);
    }
}

/// A whole document as a tree, without namespaces.
pub(super) fn tree(body: &[u8]) -> Result<Element> {
    // Children close before the element around them.
    let mut closed: Vec<(usize, Element)> = Vec::new();
    walk(body, |element| {
        let depth = element.path.len();
        let first = closed.iter().rposition(|(d, _)| *d <= depth).map_or(0, |at| at + 1);
        let children = closed.drain(first..).map(|(_, child)| child).collect();
        let whole = Element {
            name: element.name().to_owned(),
            attributes: element.attributes.to_vec(),
            text: element.text.to_owned(),
            children,
            ..Element::default()
        };
        closed.push((depth, whole));
    })?;
    closed.pop().map(|(_, root)| root).ok_or_else(not_xml)
}

/// What a service's exception says, when a document is one: its first words.
pub(super) fn exception(body: &[u8]) -> Option<String> {
    let (mut is_one, mut words) = (false, String::new());
    let read = walk(body, |element| match element.name() {
        "ExceptionReport" | "ServiceExceptionReport" => is_one = true,
        "ExceptionText" | "ServiceException" if words.is_empty() => {
            words = element.text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        _ => {}
    });
    read.ok()?;
    let words: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
    is_one.then_some(words)
}

pub(super) fn not_xml() -> Error {
    failed(
        Fault::Page,
        text!(
            "la source n'a pas répondu le XML attendu",
            "the source did not answer the XML expected"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_told_with_their_paths() {
        let mut told = Vec::new();
        let document =
            b"\xef\xbb\xbf<?xml version=\"1.0\"?><a:r v='1'><b x='&lt;'>t&amp;u<c/> </b></a:r>";
        walk(document, |e| {
            let value = e.attribute("x").unwrap_or("-");
            told.push(format!("{} {} {value} {}", e.path.join("/"), e.text, e.is_in("r")));
        })
        .unwrap();
        assert_eq!(told, ["r/b/c  - true", "r/b t&u < true", "r  - false"]);
    }

    #[test]
    fn documents_are_in_the_encoding_that_they_name() {
        let mut told = String::new();
        let latin = b"<?xml version='1.0' encoding=\"ISO-8859-1\" ?><a>\xe9t\xe9</a>";
        walk(latin, |e| told.push_str(e.text)).unwrap();
        walk("<a>-été</a>".as_bytes(), |e| told.push_str(e.text)).unwrap();
        assert_eq!(told, "été-été");
        assert_eq!(encoding(latin).as_deref(), Some("ISO-8859-1"));
        for none in ["<?xml version='1.0'?><a encoding='x'/>", "<a/>", "", "<?xml encoding"] {
            assert_eq!(encoding(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_tree_keeps_what_lies_in_what() {
        let root = tree(b"<a><b n='1'><c>x</c><c>y</c></b><d/><b><c>z</c></b></a>").unwrap();
        let names: Vec<&str> = root.children.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["b", "d", "b"]);
        let inner: Vec<&str> = root.children[0].all("c").map(Element::trimmed).collect();
        assert_eq!((inner, root.children[0].attribute("n")), (vec!["x", "y"], Some("1")));
        assert_eq!(root.children[2].child("c").unwrap().text, "z");
    }

    #[test]
    fn exceptions_are_quoted() {
        let document = "<ows:ExceptionReport><ows:Exception><ows:ExceptionText>No\n such type</ows:ExceptionText></ows:Exception></ows:ExceptionReport>";
        assert_eq!(exception(document.as_bytes()).as_deref(), Some("No such type"));
        assert_eq!(exception(b"<r/>"), None);
    }

    #[test]
    fn document_types_and_foreign_entities_are_refused() {
        for bad in
            ["<!DOCTYPE r [<!ENTITY x 'y'>]><r>&x;</r>", "<r>&x;</r>", "<r>", "", "{}", "<a></b>"]
        {
            assert!(walk(bad.as_bytes(), |_| {}).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(words in "[<>a/!&;'=\" \\[\\]-]{0,60}") {
            let _ = walk(words.as_bytes(), |_| {});
        }
    }
}
