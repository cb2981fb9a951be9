//! XML written element by element: escaped text, balanced tags. For documents of ours; nothing is
//! parsed here.

use std::borrow::Cow;

/// A document being written. Elements are closed in the order they were opened.
pub struct Xml {
    out: String,
    open: Vec<&'static str>,
}

/// Attributes in writing order.
pub type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Xml {
    /// A document that begins with the XML declaration.
    pub fn new() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into(), open: Vec::new() }
    }

    /// A piece of a document, or one whose first lines are given.
    pub fn starting(head: &str) -> Self {
        Self { out: head.to_owned(), open: Vec::new() }
    }

    /// Opens an element.
    pub fn open(&mut self, name: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.tag(name, attributes);
        self.out.push_str(">\n");
        self.open.push(name);
        self
    }

    /// Closes the element opened last.
    pub fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.out.push_str(&"  ".repeat(self.open.len()));
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push_str(">\n");
        }
        self
    }

    /// An element without content.
    pub fn empty(&mut self, name: &str, attributes: Attributes<'_>) -> &mut Self {
        self.tag(name, attributes);
        self.out.push_str("/>\n");
        self
    }

    /// An element that holds text only.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.text_with(name, &[], text)
    }

    /// An element with attributes that holds text only.
    pub fn text_with(&mut self, name: &str, attributes: Attributes<'_>, text: &str) -> &mut Self {
        self.tag(name, attributes);
        self.out.push('>');
        self.out.push_str(&escaped(text));
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
        self
    }

    /// The text, whatever was left open closed.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn tag(&mut self, name: &str, attributes: Attributes<'_>) {
        self.out.push_str(&"  ".repeat(self.open.len()));
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            self.out.push_str(&escaped(value));
            self.out.push('"');
        }
    }
}

impl Default for Xml {
    fn default() -> Self {
        Self::new()
    }
}

/// Text as it stands in elements and attributes of XML 1.0. Characters that XML cannot hold at
/// all (most control characters) become U+FFFD, so that the document stays readable.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let plain = |c: char| {
        !matches!(c, '&' | '<' | '>' | '"' | '\u{fffe}' | '\u{ffff}') && (c >= ' ' || c == '\n')
    };
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            c if plain(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut xml = Xml::starting("");
        xml.open("a", &[("b", "\"<&>'\t")]).text("c", "L'Haÿ & <x>\u{0}\u{b}").close();
        assert_eq!(
            xml.finish(),
            "<a b=\"&quot;&lt;&amp;&gt;'&#9;\">\n  <c>L'Haÿ &amp; &lt;x&gt;\u{fffd}\u{fffd}</c>\n</a>\n"
        );
    }

    #[test]
    fn what_was_opened_is_closed() {
        let mut xml = Xml::starting("");
        xml.open("a", &[]).open("b", &[]).empty("c", &[]);
        assert_eq!(xml.finish(), "<a>\n  <b>\n    <c/>\n  </b>\n</a>\n");
    }
}
