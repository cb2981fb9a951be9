//! The formats that pages of features have: which one is asked for, and the links to the others.

use crate::{
    error::Result,
    exports::{Kind, Options},
    http::{
        exports,
        links::{Link, media},
        negotiate::{self, Format},
        params::name,
        problem::Failure,
        visit::Visit,
    },
    items::Form,
};
use axum::http::header;

/// What a page of features is asked as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// GeoJSON with its links, or a page for people.
    Document(Format),
    /// A file of a format.
    File(&'static Kind),
}

/// The names of all formats in `f`.
pub fn names() -> Vec<&'static str> {
    [Format::Json, Format::Html].map(Format::id).into_iter().chain(files().map(|k| k.id)).collect()
}

/// The formats that are files.
pub fn files() -> impl Iterator<Item = &'static Kind> {
    Form::files()
}

impl Asked {
    /// `f`, else what `Accept` prefers.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] listing the formats; [`Failure::NotAcceptable`].
    pub fn read(visit: &Visit) -> Result<Self, Failure> {
        let Some(f) = visit.params.get(name::F) else {
            let accept = visit.header(header::ACCEPT);
            let kinds: Vec<_> = files().collect();
            let types: Vec<&[&str]> = kinds.iter().map(|kind| types(kind)).collect();
            let special = negotiate::special(accept, &types);
            return match special.and_then(|at| kinds.get(at).copied()) {
                Some(kind) => Ok(Self::File(kind)),
                None => visit.format().map(Self::Document),
            };
        };
        match files().find(|kind| kind.id == f) {
            Some(kind) => Ok(Self::File(kind)),
            None if f == "geojson" => Ok(Self::Document(Format::Json)),
            None => visit.form(&names()).and_then(|_| visit.format()).map(Self::Document),
        }
    }

    /// Its name in `f`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Document(format) => format.id(),
            Self::File(kind) => kind.id,
        }
    }

    /// Its media type.
    pub fn media(self) -> &'static str {
        match self {
            Self::Document(Format::Json) => media::GEOJSON,
            Self::Document(Format::Html) => media::HTML,
            Self::File(kind) => kind.media,
        }
    }

    /// Whether it is a page for people.
    pub fn is_page(self) -> bool {
        self == Self::Document(Format::Html)
    }

    /// Whether it is a table, which has parameters of its own.
    pub fn is_table(self) -> bool {
        matches!(self, Self::File(kind) if kind.id == "csv")
    }

    /// How the service writes it; `optional`: the parameters of tables are no properties' here.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] about what was asked of the format.
    pub fn form(self, visit: &Visit, optional: bool) -> Result<Form> {
        // Wrong ones are wrong in every format.
        let options = if optional { exports::options(visit)? } else { Options::default() };
        Ok(match self {
            Self::Document(_) => Form::Features,
            Self::File(kind) => Form::File(kind, options),
        })
    }

    /// This page and the same in the other formats.
    pub fn links(self, visit: &Visit) -> Vec<Link> {
        let words = visit.words("Ce document", "This document");
        let all = [Self::Document(Format::Json), Self::Document(Format::Html)];
        let all = all.into_iter().chain(files().map(Self::File));
        let link = |other: Self| {
            let rel = if other == self { "self" } else { "alternate" };
            let with = [(name::F, other.id())];
            // GeoJSON is what the plain address gives, and what tools go by.
            let with = if other.media() == media::GEOJSON { &with[..0] } else { &with[..] };
            let title = match other {
                Self::Document(Format::Json) => words.to_owned(),
                Self::Document(Format::Html) => format!("{words} (HTML)"),
                Self::File(kind) => format!("{words} ({})", kind.title),
            };
            Link::new(rel, other.media(), visit.address(&[name::F], with)).titled(title)
        };
        let (own, others): (Vec<Link>, Vec<Link>) = all.map(link).partition(|l| l.rel == "self");
        own.into_iter().chain(others).collect()
    }
}

/// The media types a client may ask a format by.
fn types(kind: &Kind) -> &'static [&'static str] {
    match kind.id {
        "geojsonseq" => &["application/geo+json-seq"],
        "ndjson" => &["application/x-ndjson", "application/ndjson", "application/geo+json-lines"],
        "fgb" => &["application/flatgeobuf", "application/vnd.flatgeobuf"],
        "csv" => &["text/csv"],
        _ => &[],
    }
}
