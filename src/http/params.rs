//! Query parameters: read once, percent-decoded, and checked against the list a resource knows.
//! Values' own syntax (boxes, limits) is `query`'s; this room knows names.

use crate::{
    error::{Error, Result},
    text,
};

/// Names used by more than one resource.
pub mod name {
    /// Format of the answer.
    pub const F: &str = "f";
    /// Page size.
    pub const LIMIT: &str = "limit";
    /// Features to skip.
    pub const OFFSET: &str = "offset";
    /// Where a page starts, from a `next` link.
    pub const CURSOR: &str = "cursor";
    /// Box.
    pub const BBOX: &str = "bbox";
    /// CRS of the box.
    pub const BBOX_CRS: &str = "bbox-crs";
    /// CRS of the answer.
    pub const CRS: &str = "crs";
    /// Time or interval.
    pub const DATETIME: &str = "datetime";
    /// Territories.
    pub const TERRITORY: &str = "territory";
    /// The same, in French.
    pub const TERRITOIRE: &str = "territoire";
    /// How features are bound to them.
    pub const MODE: &str = "territory-mode";
    /// The year of the codes in `territory`.
    pub const VINTAGE: &str = "vintage";
    /// Layers of a tile.
    pub const COLLECTIONS: &str = "collections";
    /// CQL2 filter.
    pub const FILTER: &str = "filter";
    /// How it is written.
    pub const FILTER_LANG: &str = "filter-lang";
    /// CRS of the geometries in it.
    pub const FILTER_CRS: &str = "filter-crs";
    /// Properties shown.
    pub const PROPERTIES: &str = "properties";
    /// Whether geometry is left out.
    pub const SKIP_GEOMETRY: &str = "skipGeometry";
    /// Whether a style names features.
    pub const LABELS: &str = "labels";
    /// The zoom that geometry is generalised for.
    pub const ZOOM_LEVEL: &str = "zoom-level";
    /// Properties to sort by.
    pub const SORTBY: &str = "sortby";
    /// State of the layer a URL is made for.
    pub const V: &str = "v";
}

/// Parameters any resource lets through: credentials that desktop clients add to every URL.
/// They never reach links, logs or problem documents.
pub const SECRETS: [&str; 2] = ["key", "token"];

/// The decoded query, in order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a raw query string.
    pub fn parse(query: Option<&str>) -> Result<Self> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// Parameters that stand for those that were not given.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    /// Adds a pair that came otherwise than in the address: a form's field.
    pub fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// All pairs, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Refuses what is not in `known` (nor a field of the layer) and what is given twice
    /// (OGC API Features `/req/core/query-param-unknown`).
    pub fn check(&self, known: &[&str], fields: &[&str]) -> Result<()> {
        self.checked(known, fields, None)
    }

    /// The same where one parameter may come several times, as the checkboxes of a form send it.
    pub fn check_but(&self, known: &[&str], repeated: &str) -> Result<()> {
        self.checked(known, &[], Some(repeated))
    }

    fn checked(&self, known: &[&str], fields: &[&str], repeated: Option<&str>) -> Result<()> {
        for (i, (name, _)) in self.iter().enumerate() {
            let listed = known.contains(&name) || fields.contains(&name);
            if !listed && !SECRETS.contains(&name) {
                let shown: String = name.chars().take(80).collect();
                let list = known.iter().chain(fields).copied().collect::<Vec<_>>().join(", ");
                return Err(Error::Invalid(text!(
                    "Paramètre inconnu : « {shown} ». Paramètres possibles : {list}.",
                    "Unknown parameter: \"{shown}\". Possible parameters: {list}."
                )));
            }
            let once = repeated != Some(name);
            if once && self.iter().skip(i + 1).any(|(other, _)| other == name) {
                let shown: String = name.chars().take(80).collect();
                return Err(Error::Invalid(text!(
                    "Paramètre donné deux fois : « {shown} ».",
                    "Parameter given twice: \"{shown}\"."
                )));
            }
        }
        Ok(())
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let shown: String = other.chars().take(40).collect();
                Err(Error::Invalid(text!(
                    "Paramètre « {name} » : « {shown} ». Valeurs possibles : true, false.",
                    "Parameter \"{name}\": \"{shown}\". Possible values: true, false."
                )))
            }
        }
    }

    /// A non-negative whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        match value.parse() {
            Ok(n) if digits => Ok(Some(n)),
            _ => {
                let shown: String = value.chars().take(60).collect();
                Err(Error::Invalid(text!(
                    "Paramètre « {name} » : « {shown} » n'est pas un entier positif ou nul.",
                    "Parameter \"{name}\": \"{shown}\" is not a non-negative whole number."
                )))
            }
        }
    }
}

/// Decodes `%xx` and `+`; the result must be UTF-8.
pub fn decode(text: &str) -> Result<String> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
                _ => return Err(undecodable()),
            },
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| undecodable())
}

fn undecodable() -> Error {
    Error::Invalid(text!(
        "L'adresse contient une séquence « % » illisible ou du texte qui n'est pas de l'UTF-8.",
        "The address holds an unreadable \"%\" sequence or text that is not UTF-8."
    ))
}

/// Percent-encodes all but unreserved characters, commas and colons: safe as one path segment or
/// one query value.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' => {
                out.push(char::from(byte));
            }
            other => {
                out.push('%');
                for digit in [other >> 4, other & 15] {
                    out.push(
                        char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase(),
                    );
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_and_repeated_names_are_refused() {
        let params = Params::parse(Some("limit=1&x=2&key=s")).unwrap();
        let Err(Error::Invalid(text)) = params.check(&["limit"], &["nom"]) else { panic!() };
        assert!(text.fr.contains("« x »") && text.fr.contains("limit, nom"));
        assert!(params.check(&["limit"], &["x"]).is_ok());
        let twice = Params::parse(Some("limit=1&limit=2")).unwrap();
        assert!(twice.check(&["limit"], &[]).is_err());
    }

    #[test]
    fn values_are_decoded_or_refused() {
        let params = Params::parse(Some("a=%C3%A9t%c3%a9+1&b&c=x=y")).unwrap();
        assert_eq!(params.get("a"), Some("été 1"));
        assert_eq!(params.get("b"), Some(""));
        assert_eq!(params.get("c"), Some("x=y"));
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(Params::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn encoding_survives_decoding(text in ".*") {
            let encoded = encode(&text);
            prop_assert!(encoded.is_ascii() && !encoded.contains(['/', '?', '#', '&', '"', '<', ' ']));
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }

        #[test]
        fn no_query_breaks_the_reader(text in ".*") {
            let _ = Params::parse(Some(&text));
        }
    }
}
