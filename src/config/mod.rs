//! Settings as checked values, one file per concern. Unknown keys are refused with file, line and
//! the nearest valid key; relative paths are relative to their file.
//!
//! It reads the operator's files and nothing else: it opens no source, no store and no socket.
//! What enters is text; what leaves is values that need no further check, or one
//! [`Error::Invalid`] that lists everything wrong at once. `docs/configuration.md` shows every
//! key by example.

mod alerts;
mod archive;
mod binding;
mod blobs;
mod cog;
mod document;
mod exports;
mod fields;
mod files;
mod harvest;
mod hold;
mod layer;
mod levels;
mod licence;
mod network;
mod own_levels;
mod row_schema;
mod schedule;
pub mod secrets;
mod server;
mod services;
mod source;
mod store;
mod styles;
mod symbols;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod tiles;
mod time;

pub use alerts::{AlertSettings, MailSecurity, MailSettings, SecretHeader, WebhookSettings};
pub use blobs::{BlobSettings, S3Settings};
pub use cog::CogSettings;
pub use exports::ExportSettings;
pub use harvest::HarvestSettings;
pub use licence::{licence, licence_named};
pub use network::{Allowed, Network};
pub use server::ServerSettings;
pub use store::{PostgisSettings, Secret, StoreKind, StoreSettings};
pub use tiles::TileServiceSettings;

use crate::{
    error::{Error, Result},
    model::{ArchiveDef, LayerDef, Level, LevelDef, Text},
    text,
};
use document::Document;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use table::Table;

/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// HTTP.
    pub server: ServerSettings,
    /// Where versions live.
    pub store: StoreSettings,
    /// The tile cache and renderers.
    pub tiles: TileServiceSettings,
    /// Fetching.
    pub harvest: HarvestSettings,
    /// Who is told of sources that fail or change.
    pub alerts: AlertSettings,
    /// Files shared by replicas.
    pub blobs: BlobSettings,
    /// Exports.
    pub exports: ExportSettings,
    /// Folder of MapLibre style documents. Default `styles` beside the configuration, where it
    /// need not exist as long as no layer names a style.
    pub styles: PathBuf,
    /// The layers, those of `[[tables]]` and derived levels among them, sorted by id.
    pub layers: Vec<LayerDef>,
    /// The archives of tiles, sorted by id; none has the id of a layer.
    pub archives: Vec<ArchiveDef>,
    /// The levels of the configuration.
    pub levels: Vec<LevelDef>,
    /// Where new vintages of the territory reference come from.
    pub cog: CogSettings,
}

const KEYS: &[&str] = &[
    "alerts",
    "server",
    "store",
    "tiles",
    "harvest",
    "blobs",
    "cog",
    "exports",
    "layers",
    "levels",
    "styles",
    "tables",
    "territories",
];

/// Problems listed in one message; beyond, they are counted.
const MAX_LISTED: usize = 30;

impl Settings {
    /// Reads `config/socle.toml` and the layer files beside it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one line per problem, `file:line: what is wrong and what is
    /// allowed`, files named as they were given.
    pub fn load(file: &Path) -> Result<Self> {
        let base = file.parent().unwrap_or(Path::new("")).to_path_buf();
        let text = files::read(file).map_err(Error::Invalid)?;
        let doc = Document::new(files::shown(file), text);
        let mut main = doc.read(KEYS, |table| Some(Main::read(table, &base)));
        let mut problems = Vec::new();
        let Read { mut layers, mut archives } = Read::default();
        if let Some(main) = &mut main {
            let styles = main.styles_here.then(|| styles::check(&main.styles, &mut problems));
            let styles = styles.unwrap_or_default();
            Read { layers, archives } = read_layers(&main.layers, &styles, &mut problems);
            main.publish(&mut layers, &archives, &styles, &doc);
            own_levels::bind(&mut layers, &main.levels, &doc);
            levels::derive(&mut layers, &main.derived);
            apart(&mut layers, &archives);
        }
        problems.splice(0..0, doc.into_problems());
        match main {
            Some(main) if problems.is_empty() => Ok(Self {
                server: main.server,
                store: main.store,
                tiles: main.tiles,
                harvest: main.harvest,
                alerts: main.alerts,
                blobs: main.blobs,
                exports: main.exports,
                styles: main.styles,
                levels: main.levels.into_iter().map(|read| read.def).collect(),
                layers,
                cog: main.cog,
                archives,
            }),
            _ => Err(Error::Invalid(one_message(&problems))),
        }
    }
}

/// The main file.
struct Main {
    server: ServerSettings,
    store: StoreSettings,
    tiles: TileServiceSettings,
    harvest: HarvestSettings,
    alerts: AlertSettings,
    blobs: BlobSettings,
    exports: ExportSettings,
    styles: PathBuf,
    /// Whether the folder must be read: it was named, or exists where it would be.
    styles_here: bool,
    layers: PathBuf,
    tables: Vec<tables::Read>,
    /// Levels to draw from communes, where no layer draws them.
    derived: Vec<Level>,
    levels: Vec<own_levels::Read>,
    cog: CogSettings,
}

impl Main {
    fn read(table: &Table<'_>, base: &Path) -> Self {
        let server = table.table("server", server::KEYS);
        let store = table.table("store", store::KEYS);
        let tiles = table.table("tiles", tiles::KEYS);
        let harvest = table.table("harvest", harvest::KEYS);
        let alerts = table.table("alerts", alerts::KEYS);
        let blobs = table.table("blobs", blobs::KEYS);
        let exports = table.table("exports", exports::KEYS);
        let levels = own_levels::read(&table.tables("levels", own_levels::KEYS), base);
        let own: Vec<LevelDef> = levels.iter().map(|read| read.def.clone()).collect();
        let styles = relative(table, "styles", base).unwrap_or_else(|| base.join("styles"));
        let main = Self {
            server: server.map_or_else(ServerSettings::default, |t| ServerSettings::read(&t)),
            store: store.map_or_else(
                || StoreSettings::default_in(base),
                |t| StoreSettings::read(&t, base, table.has("tables")),
            ),
            tiles: tiles
                .map_or_else(TileServiceSettings::default, |t| TileServiceSettings::read(&t)),
            harvest: harvest.map_or_else(
                || HarvestSettings::default_in(base),
                |t| HarvestSettings::read(&t, base),
            ),
            alerts: alerts.map_or_else(AlertSettings::default, |t| AlertSettings::read(&t, base)),
            blobs: blobs
                .map_or_else(|| BlobSettings::default_in(base), |t| BlobSettings::read(&t, base)),
            exports: exports.map_or_else(
                || ExportSettings::default_in(base),
                |t| ExportSettings::read(&t, base),
            ),
            styles_here: table.has("styles") || styles.is_dir(),
            styles,
            layers: relative(table, "layers", base).unwrap_or_else(|| base.join("layers")),
            tables: table.tables("tables", tables::KEYS).iter().filter_map(tables::read).collect(),
            derived: levels::read(table.table("territories", levels::KEYS).as_ref(), &own),
            levels,
            cog: table
                .table("cog", cog::KEYS)
                .map_or_else(CogSettings::default, |t| CogSettings::read(&t, base)),
        };
        let main = main.presented(table);
        // Each cleans its own folder: they must not meet.
        let folders = [
            ("harvest", "« cache »", "\"cache\"", &main.harvest.cache, &main.store.path),
            ("blobs", "« path »", "\"path\"", &main.blobs.path, &main.store.path),
            ("exports", "« path »", "\"path\"", &main.exports.path, &main.store.path),
        ];
        for (key, fr, en, own, other) in folders {
            if own == other {
                table.report(
                    key,
                    text!(
                        "{fr} et « path » de [store] sont le même dossier",
                        "{en} and \"path\" of [store] are the same folder"
                    ),
                );
            }
        }
        if matches!(main.store.kind, StoreKind::Embedded) && table.has("tables") {
            table.report(
                "tables",
                text!(
                    "des tables se publient depuis la base du magasin : il faut kind = \"postgis\" dans [store]",
                    "tables are published from the store's database: [store] needs kind = \"postgis\""
                ),
            );
        }
        main
    }

    /// Sources are told where the service is, unless they are told something else.
    fn presented(mut self, table: &Table<'_>) -> Self {
        let default = HarvestSettings::default_in(Path::new("")).user_agent;
        let said = table.has("harvest") && self.harvest.user_agent != default;
        if let (Some(url), false) = (&self.server.public_url, said) {
            self.harvest.user_agent = format!("{default} (+{url})");
        }
        self
    }

    /// Adds the published tables to the layers, and tells the store of them.
    fn publish(
        &mut self,
        layers: &mut Vec<LayerDef>,
        archives: &[ArchiveDef],
        styles: &BTreeSet<String>,
        doc: &Document,
    ) {
        for tables::Read { def, id_line, style_line } in std::mem::take(&mut self.tables) {
            let id = &def.id;
            let taken = layers.iter().any(|l| l.id == *id) || archives.iter().any(|a| a.id == *id);
            if taken {
                doc.report(
                    id_line,
                    text!(
                        "la couche « {id} » est déjà définie",
                        "layer \"{id}\" is already defined"
                    ),
                );
                continue;
            }
            if let Some(style) = def.style.as_ref().filter(|s| !styles.contains(*s)) {
                doc.report(style_line, unknown_style(style, styles));
            }
            if let StoreKind::Postgis(settings) = &mut self.store.kind {
                settings.tables.push(def.clone());
            }
            layers.push(def);
        }
        layers.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

/// A path of the configuration, relative to the file that names it.
fn relative(table: &Table<'_>, key: &str, base: &Path) -> Option<PathBuf> {
    let words = table.raw(key)?;
    if words.is_empty() || words.contains('\0') {
        table.report(key, text!("attendu un chemin", "expected a path"));
        return None;
    }
    Some(base.join(words))
}

/// What the layer files declare, each sorted by id.
#[derive(Default)]
struct Read {
    layers: Vec<LayerDef>,
    archives: Vec<ArchiveDef>,
}

/// Reads every `*.toml` of the folder, one layer or archive each.
fn read_layers(folder: &Path, styles: &BTreeSet<String>, problems: &mut Vec<Text>) -> Read {
    let paths = files::list(folder, "toml").unwrap_or_else(|why| {
        problems.push(why);
        Vec::new()
    });
    // Each with the file and line that gave it its id.
    let mut found: BTreeMap<_, (String, layer::Declared)> = BTreeMap::new();
    for path in paths {
        let text = match files::read(&path) {
            Ok(text) => text,
            Err(why) => {
                problems.push(why);
                continue;
            }
        };
        let doc = Document::new(files::shown(&path), text);
        if let Some(layer::Read { what, id_line, style_line }) = layer::read(&doc, folder) {
            if let Some(style) = what.style().filter(|s| !styles.contains(*s)) {
                doc.report(style_line, unknown_style(style, styles));
            }
            let id = what.id().clone();
            if let Some((first, _)) = found.get(&id) {
                doc.report(
                    id_line,
                    text!(
                        "la couche « {id} » est déjà définie dans {first}",
                        "layer \"{id}\" is already defined in {first}"
                    ),
                );
            } else {
                found.insert(id, (format!("{}:{id_line}", doc.shown()), what));
            }
        }
        problems.extend(doc.into_problems());
    }
    let mut read = Read::default();
    for (_, what) in found.into_values() {
        match what {
            layer::Declared::Layer(def) => read.layers.push(*def),
            layer::Declared::Archive(def) => read.archives.push(*def),
        }
    }
    read
}

/// A level is drawn from communes where nothing else bears its name.
fn apart(layers: &mut Vec<LayerDef>, archives: &[ArchiveDef]) {
    layers.retain(|layer| archives.iter().all(|archive| archive.id != layer.id));
}

fn unknown_style(style: &str, styles: &BTreeSet<String>) -> Text {
    let known: Vec<&str> = styles.iter().map(String::as_str).collect();
    if known.is_empty() {
        return text!(
            "le style « {style} » n'existe pas : aucun style dans le dossier des styles",
            "style \"{style}\" does not exist: there is none in the folder of styles"
        );
    }
    let Text { fr, en } = document::hint(style, &known);
    text!("le style « {style} » n'existe pas ; {fr}", "style \"{style}\" does not exist; {en}")
}

/// All problems, one a line.
fn one_message(problems: &[Text]) -> Text {
    let mut message = Text::default();
    for problem in problems.iter().take(MAX_LISTED) {
        for (all, one) in [(&mut message.fr, &problem.fr), (&mut message.en, &problem.en)] {
            if !all.is_empty() {
                all.push('\n');
            }
            all.push_str(one);
        }
    }
    if let Some(more) = problems.len().checked_sub(MAX_LISTED).filter(|n| *n > 0) {
        message.fr.push_str(&format!("\n… et {more} autres"));
        message.en.push_str(&format!("\n… and {more} more"));
    }
    message
}
