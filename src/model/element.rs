//! XML as a tree: what a reader of a small document (a request, a filter) gives. Prefixes are
//! resolved, comments and processing instructions are gone.

use std::fmt::Write;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its name without prefix.
    pub name: String,
    /// The namespace it is in; empty: none.
    pub space: String,
    /// Its attributes by their names without prefix, in order; declarations of namespaces are not
    /// among them.
    pub attributes: Vec<(String, String)>,
    /// The namespaces it declares, by prefix.
    pub declared: Vec<(String, String)>,
    /// The elements inside, in order.
    pub children: Vec<Element>,
    /// Its own text, pieces between children joined.
    pub text: String,
}

impl Element {
    /// An attribute by its name without prefix.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first element inside with this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    /// All elements inside with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// Its text without space around it.
    pub fn trimmed(&self) -> &str {
        self.text.trim()
    }

    /// It and all inside, as XML that reads back as the same tree.
    pub fn to_xml(&self) -> String {
        let mut out = String::new();
        self.write("", &mut out);
        out
    }

    fn write(&self, around: &str, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        if self.space != around {
            let _ = write!(out, " xmlns=\"{}\"", Escaped(&self.space));
        }
        for (prefix, space) in self.declared.iter().filter(|(prefix, _)| !prefix.is_empty()) {
            let _ = write!(out, " xmlns:{prefix}=\"{}\"", Escaped(space));
        }
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", Escaped(value));
        }
        out.push('>');
        let _ = write!(out, "{}", Escaped(&self.text));
        for child in &self.children {
            child.write(&self.space, out);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(c))?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
