//! Small XML documents that strangers send, as a tree: requests and filters. What makes XML
//! dangerous is not there: a document type, and with it every entity but the five of XML itself, is
//! refused; size, depth and number of elements are bounded before anything looks at the tree.

use crate::{
    error::{Error, Result},
    model::{Element, Text},
    text,
};
use quick_xml::{
    escape::unescape,
    events::{BytesStart, Event},
    name::ResolveResult,
    reader::NsReader,
};
use std::borrow::Cow;

/// Most bytes of a document.
pub const MAX_BYTES: usize = 1 << 20;
/// Most elements inside each other.
pub const MAX_DEPTH: usize = 100;
/// Most elements.
pub const MAX_ELEMENTS: usize = 5_000;
/// Most attributes of an element.
const MAX_ATTRIBUTES: usize = 64;

/// Reads a document.
///
/// # Errors
/// [`Error::Invalid`] saying what is wrong and at which byte, or which limit it passes.
pub fn read(document: &str) -> Result<Element> {
    let size = document.len();
    if size > MAX_BYTES {
        return Err(wrong(text!(
            "{size} octets, {MAX_BYTES} au plus.",
            "{size} bytes, at most {MAX_BYTES}."
        )));
    }
    let mut reader = NsReader::from_str(document.trim_start_matches('\u{feff}').trim_start());
    reader.config_mut().expand_empty_elements = true;
    let mut tree = Tree::default();
    loop {
        let at = reader.buffer_position();
        let event = match reader.read_resolved_event() {
            Ok((space, event)) => (space_of(&space), event),
            Err(e) => return Err(unreadable(at, &e)),
        };
        match event {
            (space, Event::Start(start)) => tree.open(element(space, &start, at)?)?,
            (_, Event::End(_)) => tree.close(),
            (_, Event::Text(text)) => tree.text(&text.xml10_content(), at)?,
            (_, Event::CData(text)) => tree.text(&text.xml10_content(), at)?,
            (_, Event::GeneralRef(entity)) => {
                let name: &str = &entity;
                let c = match entity.resolve_char_ref() {
                    Ok(Some(c)) => Some(c),
                    _ => predefined(name),
                };
                let Some(c) = c else { return Err(no_entity(at)) };
                tree.text(c.encode_utf8(&mut [0; 4]), at)?;
            }
            (_, Event::DocType(_)) => return Err(no_document_type(at)),
            (_, Event::Eof) => break,
            (_, Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_)) => {}
        }
    }
    tree.whole()
}

/// The elements open, and the root when it is closed.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    count: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<()> {
        self.count += 1;
        if self.count > MAX_ELEMENTS {
            return Err(wrong(text!(
                "plus de {MAX_ELEMENTS} éléments.",
                "more than {MAX_ELEMENTS} elements."
            )));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(wrong(text!(
                "plus de {MAX_DEPTH} éléments les uns dans les autres.",
                "more than {MAX_DEPTH} elements inside each other."
            )));
        }
        if self.root.is_some() {
            return Err(wrong(text!("deux racines.", "two roots.")));
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str, at: u64) -> Result<()> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => {
                return Err(wrong(text!(
                    "octet {at} : texte hors de la racine.",
                    "byte {at}: text outside the root."
                )));
            }
        }
        Ok(())
    }

    fn whole(self) -> Result<Element> {
        match (self.root, self.open.last()) {
            (Some(root), None) => Ok(root),
            (_, Some(open)) => {
                let name: String = open.name.chars().take(60).collect();
                Err(wrong(text!("« {name} » n'est pas fermé.", "\"{name}\" is not closed.")))
            }
            (None, None) => Err(wrong(text!("document vide.", "empty document."))),
        }
    }
}

pub(super) fn element(space: String, start: &BytesStart<'_>, at: u64) -> Result<Element> {
    let local: &str = start.local_name().into_inner();
    one_name(local, at)?;
    let mut element = Element { name: local.to_owned(), space, ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| unreadable(at, &e))?;
        if attribute.value.contains('<') {
            return Err(wrong(text!(
                "octet {at} : « < » dans un attribut s'écrit &amp;lt;.",
                "byte {at}: \"<\" in an attribute is written &amp;lt;."
            )));
        }
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
        let value = value.map_err(|_| no_entity(at))?.into_owned();
        let key: &str = attribute.key.into_inner();
        one_name(key.split_once(':').map_or(key, |(_, local)| local), at)?;
        match key.split_once(':') {
            None if key == "xmlns" => element.declared.push((String::new(), value)),
            Some(("xmlns", prefix)) => element.declared.push((prefix.to_owned(), value)),
            Some((_, local)) => element.attributes.push((local.to_owned(), value)),
            None => element.attributes.push((key.to_owned(), value)),
        }
        if element.attributes.len() + element.declared.len() > MAX_ATTRIBUTES {
            return Err(wrong(text!(
                "octet {at} : plus de {MAX_ATTRIBUTES} attributs.",
                "byte {at}: more than {MAX_ATTRIBUTES} attributes."
            )));
        }
    }
    Ok(element)
}

/// Names have one prefix at most (Namespaces in XML 1.0, clause 3), and none of what marks XML up.
fn one_name(local: &str, at: u64) -> Result<()> {
    let name = || local.chars().take(60).collect::<String>();
    if local.contains(':') {
        let name = name();
        return Err(wrong(text!(
            "octet {at} : « {name} » a plus d'un préfixe.",
            "byte {at}: \"{name}\" has more than one prefix."
        )));
    }
    if local.contains(['=', '"', '\'', '/', '<', '>', '&']) {
        let name = name();
        return Err(wrong(text!(
            "octet {at} : « {name} » n'est pas un nom.",
            "byte {at}: \"{name}\" is no name."
        )));
    }
    Ok(())
}

/// Old clients leave declarations of prefixes out: such names are in no namespace.
pub(super) fn space_of(space: &ResolveResult<'_>) -> String {
    match space {
        ResolveResult::Bound(space) => {
            // It comes as it is written; a declaration with another entity was refused with its element.
            let written = space.into_inner();
            unescape(written).map_or_else(|_| written.to_owned(), Cow::into_owned)
        }
        ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
    }
}

pub(super) fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

fn wrong(text: Text) -> Error {
    Error::Invalid(Text::new(format!("XML : {}", text.fr), format!("XML: {}", text.en)))
}

fn unreadable(at: u64, e: &dyn std::fmt::Display) -> Error {
    let why: String = e.to_string().chars().take(120).collect();
    wrong(text!("octet {at} : illisible ({why}).", "byte {at}: unreadable ({why})."))
}

pub(super) fn no_document_type(at: u64) -> Error {
    wrong(text!(
        "octet {at} : un type de document (DOCTYPE) n'est pas accepté.",
        "byte {at}: a document type (DOCTYPE) is not accepted."
    ))
}

pub(super) fn no_entity(at: u64) -> Error {
    wrong(text!(
        "octet {at} : entité inconnue ; seules &amp;amp; &amp;lt; &amp;gt; &amp;quot; &amp;apos; et les numéros de caractère sont acceptés.",
        "byte {at}: unknown entity; only &amp;amp; &amp;lt; &amp;gt; &amp;quot; &amp;apos; and character numbers are accepted."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_spaces_and_text() {
        let root = read(
            "<?xml version='1.0'?><!-- x --><a xmlns='u' xmlns:p='v' p:q='1 &lt;'>x&amp;&#233;<p:b/><![CDATA[<z>]]></a>",
        )
        .unwrap();
        assert_eq!((root.name.as_str(), root.space.as_str()), ("a", "u"));
        assert_eq!(root.attribute("q"), Some("1 <"));
        assert_eq!(root.text, "x&é<z>");
        assert_eq!(root.child("b").unwrap().space, "v");
        assert_eq!(read("<g:a/>").unwrap().space, "");
        assert_eq!(read("<a xmlns='u?v&amp;w'/>").unwrap().space, "u?v&w");
        let again = read(&root.to_xml()).unwrap();
        assert_eq!(again.child("b").unwrap().space, "v");
        assert_eq!(again.text, root.text);
    }

    #[test]
    fn what_is_dangerous_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]><a>&d;</a>";
        let file = "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>";
        let outside = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
        let deep = format!("{}{}", "<a>".repeat(101), "</a>".repeat(101));
        let many = format!("<a>{}</a>", "<b/>".repeat(10_000));
        let long = format!("<a>{}</a>", "x".repeat(MAX_BYTES));
        let wide = format!("<a {}/>", (0..100).map(|i| format!("b{i}='' ")).collect::<String>());
        let (twice, attribute) = ("<a:b:c/>", "<a b:c:d='1'/>");
        for bad in [bomb, file, outside, &deep, &many, &long, &wide, twice, attribute] {
            assert!(matches!(read(bad), Err(Error::Invalid(_))), "{:.60}", bad);
        }
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "x",
            "<a>&x;</a>",
            "<a b=&x;/>",
            "<a b='&x;'/>",
            "<a b='<'/>",
            "<a='b'/>",
            "<a/b='c'/>",
        ] {
            assert!(matches!(read(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(<|>|/|&|;|a|b|=|'|!|\\[|\\]|<a>|</a>|<!\\[CDATA\\[|\\PC){0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn a_tree_survives_being_written(text in "[ -~é\n\t]{0,20}", value in "[ -~é]{0,20}") {
            let inner = Element { name: "b".into(), text, ..Element::default() };
            let attributes = vec![("c".to_owned(), value)];
            let root = Element { name: "a".into(), space: "u".into(), attributes, children: vec![inner], ..Element::default() };
            let read = read(&root.to_xml()).unwrap();
            prop_assert_eq!(&read.children[0].text, &root.children[0].text);
            prop_assert_eq!(&read.attributes, &root.attributes);
        }
    }
}
