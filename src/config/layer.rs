//! A layer file: one layer, its metadata, its source, its territories, its tiles; or an archive of
//! tiles in the place of a source.

use super::{
    archive, binding,
    document::{Document, clip},
    fields, hold, licence, row_schema, schedule,
    server::{bilingual, web_address},
    source, symbols,
    table::Table,
    time,
};
use crate::{
    model::{
        ArchiveDef, LayerDef, LayerId, Licence, RowSchema, Symbols, Text, TileOptions,
        tile_id::MAX_ZOOM,
    },
    text,
};
use std::{path::Path, time::Duration};

pub(super) const KEYS: &[&str] = &[
    "id",
    "title",
    "title_en",
    "description",
    "description_en",
    "producer",
    "contact",
    "licence",
    "attribution",
    "described_at",
    "published_at",
    "page",
    "key",
    "label",
    "fields",
    "style",
    "max_age_s",
    "keep_versions",
    "hold",
    "schema",
    "schedule",
    "source",
    "territory",
    "time",
    "tiles",
    "archive",
];
pub(super) const TILE_KEYS: &[&str] = &[
    "min_zoom",
    "max_zoom",
    "buffer",
    "budget_kb",
    "importance",
    "keep",
    "fields",
    "labels",
    "borders",
];
/// Those of a published table, whose tiles are drawn from its rows as they are.
pub(super) const TABLE_TILE_KEYS: &[&str] =
    &["min_zoom", "max_zoom", "buffer", "labels", "borders"];

/// Deepest zoom geometry may be prepared for: at 16 a grid unit is 15 cm.
const DEEPEST: u64 = 16;

/// What a layer file declares, with the lines other checks of it need.
pub(super) struct Read {
    pub(super) what: Declared,
    pub(super) id_line: usize,
    pub(super) style_line: usize,
}

/// Whether a portal says it: who produces its datasets, and under which licence.
fn left_to_portal(table: &Table<'_>, key: &str) -> bool {
    matches!(key, "producer" | "licence") && !table.has(key) && table.tells("source", "datagouv")
}

fn producer_of(table: &Table<'_>) -> Option<String> {
    let left = left_to_portal(table, "producer");
    if left { Some(String::new()) } else { table.string("producer") }
}

fn licence_of(table: &Table<'_>) -> Option<Licence> {
    let none = || Licence { id: String::new(), title: String::new(), url: None };
    if left_to_portal(table, "licence") { Some(none()) } else { licence::read(table) }
}

/// What a layer file declares.
pub(super) enum Declared {
    /// A layer, which has features.
    Layer(Box<LayerDef>),
    /// An archive of tiles, which has none.
    Archive(Box<ArchiveDef>),
}

impl Declared {
    pub(super) fn id(&self) -> &LayerId {
        match self {
            Self::Layer(def) => &def.id,
            Self::Archive(def) => &def.id,
        }
    }

    pub(super) fn style(&self) -> Option<&String> {
        match self {
            Self::Layer(def) => def.style.as_ref(),
            Self::Archive(def) => def.style.as_ref(),
        }
    }
}

/// What is said of anything that is served, whatever it is made of.
pub(super) struct Head {
    pub(super) id: Option<LayerId>,
    pub(super) title: Text,
    pub(super) description: Text,
    pub(super) producer: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) licence: Option<Licence>,
    pub(super) attribution: Option<String>,
    pub(super) described_at: Option<jiff::civil::Date>,
    pub(super) published_at: Option<jiff::civil::Date>,
    pub(super) page: Option<String>,
    pub(super) label: Option<String>,
    pub(super) style: Option<String>,
    pub(super) symbols: Symbols,
    pub(super) max_age: Option<Duration>,
}

impl Head {
    fn read(table: &Table<'_>) -> Self {
        for key in ["id", "title", "producer", "licence"] {
            if !table.has(key) && !left_to_portal(table, key) {
                table.missing(key);
            }
        }
        Self {
            id: table.parsed("id", layer_id),
            title: bilingual(table, "title", "title_en", Text::default()),
            description: bilingual(table, "description", "description_en", Text::default()),
            producer: producer_of(table),
            contact: table.parsed("contact", contact),
            licence: licence_of(table),
            attribution: table.string("attribution"),
            described_at: table.date("described_at"),
            published_at: table.date("published_at"),
            page: table.parsed("page", |u| web_address(u).map(String::from)),
            label: table.string("label"),
            style: document_of(table),
            symbols: if table.is_table("style") {
                symbols::read(table)
            } else {
                Symbols::default()
            },
            max_age: max_age(table),
        }
    }
}

/// Reads a layer file; `None` when it declares nothing usable, which its problems explain.
pub(super) fn read(doc: &Document, base: &Path) -> Option<Read> {
    doc.read(KEYS, |table| {
        // Everything is read before anything is given up, so that all problems are known.
        let head = Head::read(table);
        let what = match table.has("archive") {
            true => archive::read(table, head, base).map(|def| Declared::Archive(Box::new(def))),
            false => layer(table, head, base).map(|def| Declared::Layer(Box::new(def))),
        };
        let (id_line, style_line) = (table.line_of("id"), table.line_of("style"));
        Some(Read { what: what?, id_line, style_line })
    })
}

/// A layer made from a source.
fn layer(table: &Table<'_>, head: Head, base: &Path) -> Option<LayerDef> {
    if !table.has("source") {
        table.missing("source");
    }
    let source = table.table("source", source::KEYS).and_then(|inner| source::read(&inner, base));
    let territory = table
        .table("territory", binding::KEYS)
        .map_or_else(binding::by_default, |inner| binding::read(&inner));
    let time = table.table("time", time::KEYS).and_then(|inner| time::read(&inner));
    let hold = table.table("hold", hold::KEYS).map(|t| hold::read(&t)).unwrap_or_default();
    let rows = table.table("schema", row_schema::KEYS).and_then(|t| row_schema::read(&t, base));
    let schedule = table.table("schedule", schedule::KEYS).and_then(|t| schedule::read(&t));
    let tiles = symbols::tiles(table, &head.symbols, TILE_KEYS);
    let key = table.string("key");
    let fields = fields::read(table);
    let keep = table.integer("keep_versions", 0..=1000).unwrap_or(3);
    let producer = head.producer?;
    let mut source = source?;
    // Codes that the schema calls texts keep their zeros.
    source.csv.text.extend(rows.iter().flat_map(RowSchema::texts).map(str::to_owned));
    Some(LayerDef {
        id: head.id?,
        title: head.title,
        description: head.description,
        contact: head.contact,
        licence: head.licence?,
        attribution: head.attribution.unwrap_or_else(|| producer.clone()),
        producer,
        described_at: head.described_at,
        published_at: head.published_at,
        page: head.page,
        key,
        label: head.label,
        fields,
        source,
        territory,
        time,
        tiles,
        style: head.style,
        symbols: head.symbols,
        max_age: head.max_age,
        keep_versions: usize::try_from(keep).unwrap_or(usize::MAX),
        hold,
        rows,
        schedule,
    })
}

/// The style document that `style` names, where it names one.
pub(super) fn document_of(table: &Table<'_>) -> Option<String> {
    (!table.is_table("style")).then(|| table.parsed("style", style_id)).flatten()
}

/// How long answers may be kept: whole seconds, a year at most (RFC 9111 knows no fractions).
pub(super) fn max_age(table: &Table<'_>) -> Option<Duration> {
    table.integer("max_age_s", 0..=31_536_000).map(Duration::from_secs)
}

pub(super) fn tile_options(table: Option<Table<'_>>) -> TileOptions {
    let mut options = TileOptions::default();
    let Some(table) = table else { return options };
    let zoom = |key| table.integer(key, 0..=DEEPEST).and_then(|z| u8::try_from(z).ok());
    let (min, max) = (zoom("min_zoom"), zoom("max_zoom"));
    options.min_zoom = min.unwrap_or(options.min_zoom);
    options.max_zoom = max.unwrap_or(options.max_zoom);
    if options.min_zoom > options.max_zoom {
        let (min, max) = (options.min_zoom, options.max_zoom);
        table.report(
            if table.has("min_zoom") { "min_zoom" } else { "max_zoom" },
            text!(
                "min_zoom ({min}) dépasse max_zoom ({max})",
                "min_zoom ({min}) is above max_zoom ({max})"
            ),
        );
    }
    let kb = table.integer("budget_kb", 0..=1 << 20);
    options.budget_kb = kb.and_then(|kb| u32::try_from(kb).ok());
    options.importance = table.string("importance");
    options.keep = table.strings("keep").unwrap_or_default();
    for field in table.tables("fields", &["name", "from"]) {
        let from =
            field.integer("from", 0..=u64::from(MAX_ZOOM)).and_then(|z| u8::try_from(z).ok());
        match (field.string("name"), from) {
            (Some(name), Some(from)) => _ = options.from.insert(name, from),
            _ => ["name", "from"].iter().filter(|k| !field.has(k)).for_each(|k| field.missing(k)),
        }
    }
    options.labels = table.boolean("labels").unwrap_or_default();
    options.borders = table.boolean("borders").unwrap_or_default();
    options.buffer = table.integer("buffer", 0..=1024).and_then(|b| u16::try_from(b).ok());
    options
}

pub(super) fn layer_id(words: &str) -> Result<LayerId, Text> {
    words.parse().map_err(|_| {
        let words = clip(words);
        text!(
            "« {words} » n'est pas un identifiant : a-z, 0-9, « - » et « _ », \
             une lettre ou un chiffre d'abord, 64 caractères au plus",
            "\"{words}\" is not an id: a-z, 0-9, \"-\" and \"_\", \
             a letter or digit first, 64 characters at most"
        )
    })
}

/// A style's id names a file: the same characters as a layer's id, so no path can hide in it.
pub(super) fn style_id(words: &str) -> Result<String, Text> {
    let words = words.strip_suffix(".json").unwrap_or(words);
    layer_id(words).map(|id| id.to_string())
}

pub(super) fn contact(words: &str) -> Result<String, Text> {
    let mail = |w: &str| {
        let parts = w.split_once('@');
        parts.is_some_and(|(who, host)| {
            !who.is_empty() && host.contains('.') && !w.contains(char::is_whitespace)
        })
    };
    let address = words.strip_prefix("mailto:").unwrap_or(words);
    if mail(address) {
        return Ok(address.to_owned());
    }
    web_address(words).map(String::from).map_err(|_| {
        text!(
            "attendu un courriel ou une adresse http(s)",
            "expected an e-mail or an http(s) address"
        )
    })
}
