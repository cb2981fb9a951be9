//! Large XML files that strangers made, element by element: what is wanted whole comes as a tree,
//! the rest is walked through. As hardened as [`super::xml_reader`]: a document type is refused, and
//! with it every entity but the five of XML; depth, size and number of elements of a tree are
//! bounded, and nothing else is held.

use super::{
    encoding::{self, Charset, TextSource},
    refused,
    xml_reader::{MAX_DEPTH, element, no_document_type, no_entity, predefined, space_of},
};
use crate::{
    error::{Error, Result},
    model::{Element, Text},
    text,
};
use quick_xml::{errors::IllFormedError, events::Event, reader::NsReader};
use std::{
    fs::File,
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
};

/// Most bytes of one tree, and of anything between two.
const MAX_BYTES: usize = 64 << 20;
/// Most elements of one tree.
const MAX_ELEMENTS: usize = 500_000;

/// What comes next.
pub(super) enum Piece {
    /// An element that is walked into.
    Open(Element),
    /// An element with all that is inside.
    Whole(Element),
    /// The end of an element that was walked into.
    Close,
    /// The end of the document.
    End,
}

/// An XML file being read.
pub(super) struct XmlStream {
    reader: NsReader<Source>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Names of the elements walked into.
    open: Vec<String>,
    seen_root: bool,
    detected: encoding::Detected,
    /// Name of elements that keep the words inside of others as their own text.
    flat: Option<&'static str>,
    /// How deep inside of such an element reading stands.
    within: usize,
}

impl XmlStream {
    /// Opens a file; `declared` is what the configuration says of its encoding.
    pub(super) fn open(path: &Path, declared: Option<&str>) -> Result<Self> {
        let detected = charset(path, declared)?;
        let text = TextSource::open(path, detected.charset)?;
        let source = Source { text, chunk: Vec::new(), at: 0, left: MAX_BYTES };
        let mut reader = NsReader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        let (buffer, open) = (Vec::new(), Vec::new());
        Ok(Self {
            reader,
            path: path.to_owned(),
            buffer,
            open,
            seen_root: false,
            detected,
            flat: None,
            within: 0,
        })
    }

    /// Elements of this name keep what is written in the elements inside as text of their own, in
    /// order: paragraphs of OpenDocument, whose words are in spans, links and spaces.
    pub(super) fn flattening(self, name: &'static str) -> Self {
        Self { flat: Some(name), ..self }
    }

    /// What was found about the encoding, and what could not be read in it.
    pub(super) fn notes(&self) -> Vec<Text> {
        let malformed = self.reader.get_ref().text.decoder.note();
        // XML is UTF-8 unless it says otherwise: that goes without saying.
        let utf8 = self.detected.charset == encoding::UTF_8;
        self.detected.note().filter(|_| !utf8).into_iter().chain(malformed).collect()
    }

    /// Bytes of the file read so far.
    pub(super) fn position(&self) -> u64 {
        self.reader.get_ref().text.taken
    }

    /// The next piece; `whole` says of an element inside of others (their names, outermost first)
    /// whether it is wanted whole.
    pub(super) fn next(&mut self, whole: impl Fn(&Element, &[String]) -> bool) -> Result<Piece> {
        let mut tree = Tree::default();
        self.reader.get_mut().left = MAX_BYTES;
        loop {
            if tree.open.is_empty() {
                self.reader.get_mut().left = MAX_BYTES;
            }
            self.buffer.clear();
            let at = self.reader.buffer_position();
            let event = match self.reader.read_resolved_event_into(&mut self.buffer) {
                Ok((space, event)) => (space_of(&space), event),
                Err(e) => return Err(broken(&self.path, at, &e)),
            };
            match event {
                (_, Event::Start(start))
                    if self.within > 0 || self.flat.is_some() && tree.name() == self.flat =>
                {
                    self.within += 1;
                    match start.local_name().into_inner() {
                        "s" | "tab" => tree.add(" "),
                        "line-break" => tree.add("\n"),
                        _ => {}
                    }
                }
                (_, Event::End(_)) if self.within > 0 => self.within -= 1,
                (space, Event::Start(start)) => {
                    let element = element(space, &start, at).map_err(as_refusal)?;
                    tree.bear(self.open.len(), at)?;
                    if self.open.is_empty() && tree.open.is_empty() {
                        if self.seen_root {
                            return Err(refused(text!("XML : deux racines", "XML: two roots")));
                        }
                        self.seen_root = true;
                    }
                    if !tree.open.is_empty() || whole(&element, &self.open) {
                        tree.open.push(element);
                    } else {
                        self.open.push(element.name.clone());
                        return Ok(Piece::Open(element));
                    }
                }
                (_, Event::End(_)) if tree.open.is_empty() => {
                    self.open.pop();
                    return Ok(Piece::Close);
                }
                (_, Event::End(_)) => {
                    if let Some(whole) = tree.close() {
                        return Ok(Piece::Whole(whole));
                    }
                }
                (_, Event::Text(text)) => tree.add(&text.xml10_content()),
                (_, Event::CData(text)) => tree.add(&text.xml10_content()),
                (_, Event::GeneralRef(entity)) => {
                    let c = match entity.resolve_char_ref() {
                        Ok(Some(c)) => Some(c),
                        _ => predefined(&entity),
                    };
                    let Some(c) = c else { return Err(as_refusal(no_entity(at))) };
                    tree.add(c.encode_utf8(&mut [0; 4]));
                }
                (_, Event::DocType(_)) => return Err(as_refusal(no_document_type(at))),
                (_, Event::Eof) => return self.end(&tree, at),
                (_, Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_)) => {}
            }
        }
    }

    /// The end of the file: of the document too, or within it.
    fn end(&self, tree: &Tree, at: u64) -> Result<Piece> {
        if self.open.is_empty() && tree.open.is_empty() && self.seen_root {
            return Ok(Piece::End);
        }
        Err(refused(text!(
            "XML tronqué : le fichier s'arrête à l'octet {at}, dans un élément ouvert",
            "truncated XML: the file stops at byte {at}, within an open element"
        )))
    }
}

/// An element that is wanted whole, as far as it has been read.
#[derive(Default)]
struct Tree {
    /// The elements that are not closed, outermost first.
    open: Vec<Element>,
    /// How many it holds.
    count: usize,
}

impl Tree {
    /// The name of the innermost element.
    fn name(&self) -> Option<&str> {
        self.open.last().map(|e| e.name.as_str())
    }

    fn add(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
        }
    }

    /// Whether there is room for one more element, inside of so many others.
    fn bear(&mut self, around: usize, at: u64) -> Result<()> {
        self.count += 1;
        if self.count > MAX_ELEMENTS {
            return Err(refused(text!(
                "XML : plus de {MAX_ELEMENTS} éléments dans une entité (octet {at})",
                "XML: more than {MAX_ELEMENTS} elements in a feature (byte {at})"
            )));
        }
        if around + self.open.len() >= MAX_DEPTH {
            return Err(refused(text!(
                "XML : plus de {MAX_DEPTH} éléments les uns dans les autres (octet {at})",
                "XML: more than {MAX_DEPTH} elements inside each other (byte {at})"
            )));
        }
        Ok(())
    }

    /// Closes the innermost element; the whole when it was the outermost.
    fn close(&mut self) -> Option<Element> {
        let done = self.open.pop()?;
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(done);
                None
            }
            None => Some(done),
        }
    }
}

/// What is wrong with a document, as a refusal of the file.
fn as_refusal(error: Error) -> Error {
    match error {
        Error::Invalid(text) => refused(text),
        other => other,
    }
}

fn broken(path: &Path, at: u64, error: &quick_xml::Error) -> Error {
    if let quick_xml::Error::Io(e) = error {
        if e.kind() == io::ErrorKind::FileTooLarge {
            let most = MAX_BYTES >> 20;
            return refused(text!(
                "XML : un élément de plus de {most} Mio (octet {at})",
                "XML: an element of more than {most} MiB (byte {at})"
            ));
        }
        return Error::io(path, io::Error::new(e.kind(), e.to_string()));
    }
    if let quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(name)) = error {
        let name: String = name.chars().take(60).collect();
        return refused(text!(
            "XML tronqué : « {name} » n'est pas fermé",
            "truncated XML: \"{name}\" is not closed"
        ));
    }
    let why: String = error.to_string().chars().take(120).collect();
    refused(text!("XML illisible à l'octet {at} ({why})", "unreadable XML at byte {at} ({why})"))
}

/// The encoding of an XML file: declared here, else by its byte order mark, else by itself, else
/// UTF-8 where it is that.
fn charset(path: &Path, declared: Option<&str>) -> Result<encoding::Detected> {
    use encoding::{Detected, Why};
    if let Some(label) = declared {
        return Ok(Detected { charset: Charset::from_option(label)?, why: Why::Declared });
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    file.take(1024).read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
    if encoding_rs::Encoding::for_bom(&head).is_none()
        && let Some(label) = label(&head)
    {
        let charset = Charset::from_label(&label).ok_or_else(|| {
            let label: String = label.chars().take(60).collect();
            refused(text!(
                "le fichier annonce un encodage inconnu (« {label} ») : déclarer « encoding »",
                "the file names an unknown encoding (\"{label}\"): declare \"encoding\""
            ))
        })?;
        return Ok(Detected { charset, why: Why::Named });
    }
    encoding::detect(path)
}

/// The encoding that an XML declaration names.
fn label(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split_once(quote).map(|(label, _)| label.to_owned())
}

/// The file as UTF-8, with a bound on what may be read before somebody looks.
struct Source {
    text: TextSource,
    chunk: Vec<u8>,
    at: usize,
    left: usize,
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut held = self.fill_buf()?;
        let n = held.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        while self.at >= self.chunk.len() {
            self.chunk.clear();
            self.at = 0;
            if !self.text.fill(&mut self.chunk)? {
                break;
            }
        }
        Ok(self.chunk.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
        self.left = self.left.saturating_sub(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(text: &[u8]) -> Result<Vec<String>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut stream = XmlStream::open(file.path(), None)?;
        let mut seen = Vec::new();
        loop {
            match stream.next(|e, _| e.name == "w")? {
                Piece::Open(e) => seen.push(format!("<{}", e.name)),
                Piece::Whole(e) => {
                    seen.push(format!("{}:{}:{}", e.name, e.text, e.children.len()));
                }
                Piece::Close => seen.push(">".into()),
                Piece::End => return Ok(seen),
            }
        }
    }

    fn refusal(text: &[u8]) -> String {
        match all(text) {
            Err(Error::Refused(text)) => text.en,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wanted_comes_whole_and_the_rest_is_walked_through() {
        let xml = "<?xml version='1.0'?><a>x<b/><w>é&amp;<c/><![CDATA[<]]></w></a>";
        assert_eq!(all(xml.as_bytes()).unwrap(), ["<a", "<b", ">", "w:é&<:1", ">"]);
    }

    #[test]
    fn encodings_are_those_that_the_file_names() {
        let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a><w>\xe9t\xe9</w></a>";
        assert_eq!(all(latin).unwrap()[1], "w:été:0");
        let euro = b"<?xml version='1.0' encoding = 'ISO-8859-15' ?><w>\xa4</w>";
        assert_eq!(all(euro).unwrap(), ["w:€:0"]);
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(
                "<?xml version='1.0' encoding='UTF-16'?><w>é</w>"
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes),
            )
            .collect();
        assert_eq!(all(&utf16).unwrap(), ["w:é:0"]);
        assert_eq!(all(b"<w>\xe9</w>").unwrap(), ["w:é:0"]);
        let unknown = b"<?xml version='1.0' encoding='klingon'?><w/>";
        assert!(refusal(unknown).contains("klingon"));
    }

    #[test]
    fn what_is_dangerous_or_cut_is_refused() {
        let bomb = b"<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]><a><w>&d;</w></a>";
        assert!(refusal(bomb).contains("DOCTYPE"));
        assert!(refusal(b"<a><w>&x;</w></a>").contains("entity"));
        assert!(refusal(format!("{}<w>", "<a>".repeat(101)).as_bytes()).contains("100 elements"));
        assert!(
            refusal(format!("<w>{}</w>", "<b/>".repeat(500_001)).as_bytes()).contains("500000")
        );
        assert!(refusal(format!("<w>{}</w>", " ".repeat(65 << 20)).as_bytes()).contains("64 MiB"));
        for cut in ["<a>", "<a><w>x", "<a><w>x</w>", "", "<a", "<a><w></a>", "<a/><b/>"] {
            refusal(cut.as_bytes());
        }
    }
}
