//! What a file is, by its first bytes: names lie.

use crate::{formats::encoding, model::Format};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gzip,
    Zip,
    Data(Format),
    /// The `.dbf` of a Shapefile, alone.
    Dbf,
    Html,
    Xml,
    /// A format known by name only.
    Foreign(&'static str),
    /// Text that is nothing else: perhaps CSV.
    Text,
    Empty,
    Binary,
}

/// What a file's first bytes are; `charset` is that of text, when it is known.
pub(super) fn sniff(head: &[u8], charset: Option<encoding::Charset>) -> Kind {
    match head {
        [] => return Kind::Empty,
        [0x1f, 0x8b, ..] => return Kind::Gzip,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Kind::Zip,
        [0, 0, 0x27, 0x0a, ..] => return Kind::Data(Format::Shapefile),
        [b'f', b'g', b'b', 3, ..] => return Kind::Data(Format::Flatgeobuf),
        [b'P', b'A', b'R', b'1', ..] => return Kind::Data(Format::Parquet),
        [b'%', b'P', b'D', b'F', ..] => return Kind::Foreign("PDF"),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => return Kind::Foreign("XLS"),
        [b'7', b'z', 0xbc, 0xaf, ..] => return Kind::Foreign("7z"),
        [b'R', b'a', b'r', b'!', ..] => return Kind::Foreign("RAR"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Kind::Foreign("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return Kind::Foreign("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Kind::Foreign("zstd"),
        _ => {}
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Kind::Data(Format::Geopackage);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Kind::Foreign("tar");
    }
    let wide = charset.is_some_and(encoding::Charset::is_wide);
    if !wide && head.contains(&0) {
        return if is_dbf(head) { Kind::Dbf } else { Kind::Binary };
    }
    let text = charset.unwrap_or(encoding::WINDOWS_1252).decode(head).0;
    let start =
        text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{1e}');
    match start.chars().next() {
        None => Kind::Empty,
        Some('<') => {
            let lower: String = start.chars().take(4096).collect::<String>().to_ascii_lowercase();
            let html =
                ["<!doctype html", "<html", "<head", "<body"].iter().any(|t| lower.contains(t));
            if html { Kind::Html } else { xml(start) }
        }
        Some('{' | '[') => Kind::Data(Format::Geojson),
        Some(_) if is_mapinfo(start) => Kind::Foreign("MapInfo"),
        Some(_) => Kind::Text,
    }
}

/// Whether a text is the head of a MapInfo file: MIF begins with its version, TAB with `!table`.
fn is_mapinfo(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.trim().to_ascii_lowercase());
    let first = lines.next().unwrap_or_default();
    let version = first.strip_prefix("version ").is_some_and(|n| n.trim().parse::<u32>().is_ok());
    first == "!table" || version && lines.any(|l| l.starts_with("columns "))
}

/// What an XML document is, by its root: KML, else GML, which has as many roots as there are
/// services; reading tells.
fn xml(text: &str) -> Kind {
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        if rest.starts_with(['?', '!']) {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let local = name.rsplit(':').next().unwrap_or_default();
        return Kind::Data(if local == "kml" { Format::Kml } else { Format::Gml });
    }
    Kind::Xml
}

/// Whether bytes start like a dBASE table: version, a date that exists, a sane header.
fn is_dbf(head: &[u8]) -> bool {
    let [version, _, month, day, _, _, _, _, low, high, ..] = head else { return false };
    let length = u16::from_le_bytes([*low, *high]);
    matches!(version & 0x07, 3..=5) && *month <= 12 && *day <= 31 && length % 32 <= 1 && length > 32
}
