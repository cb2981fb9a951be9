//! Configurations as operators write them, right and wrong.

use super::*;
use crate::model::{Format, Level, SourceLocation};
use proptest::prelude::*;
use std::time::Duration;

/// A folder with a main file, layers and styles.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(main: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.0.path().join("layers")).unwrap();
        folder.with("socle.toml", main)
    }

    fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn load(&self) -> Result<Settings> {
        Settings::load(&self.0.path().join("socle.toml"))
    }

    /// The problems, with the folder's own path taken away.
    fn problems(&self) -> Text {
        let prefix = format!("{}/", self.0.path().display());
        match self.load() {
            Err(Error::Invalid(Text { fr, en })) => {
                Text::new(fr.replace(&prefix, ""), en.replace(&prefix, ""))
            }
            other => panic!("expected problems, got {other:?}"),
        }
    }
}

const LAYER: &str = r#"
id = "communes"
title = "Communes"
producer = "IGN"
licence = "lov2"
[source]
path = "communes.geojson"
"#;

#[test]
fn an_empty_configuration_has_working_defaults() {
    let folder = Folder::new("");
    let settings = folder.load().unwrap();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert!(settings.server.max_url >= 16_384);
    assert!(settings.tiles.renderers >= 2);
    assert_eq!(settings.store.path, folder.0.path().join("data/store"));
    assert_eq!(settings.harvest.stall, Duration::from_secs(30));
    assert!(settings.layers.is_empty());
}

#[test]
fn a_small_layer_gets_its_defaults() {
    let folder = Folder::new("").with("layers/communes.toml", LAYER);
    let def = folder.load().unwrap().layers.remove(0);
    assert_eq!(def.title, Text::same("Communes"));
    assert_eq!(def.attribution, "IGN");
    assert_eq!(def.licence.title, "Licence Ouverte 2.0");
    assert_eq!((def.keep_versions, def.tiles.min_zoom, def.tiles.max_zoom), (3, 0, 14));
    assert_eq!((def.source.max_bytes, def.source.timeout.as_secs()), (2048 << 20, 600));
    assert!(def.territory.by_location);
    let path = folder.0.path().join("layers/communes.geojson");
    assert_eq!(def.source.location, SourceLocation::File(path));
}

#[test]
fn a_full_layer_is_read_whole() {
    let full = r#"
id = "mairies"
title = "Mairies"
title_en = "Town halls"
description = "Les mairies."
producer = "DILA"
contact = "contact@dila.example.fr"
licence = { title = "Licence maison", url = "https://example.fr/licence" }
attribution = "DILA, annuaire"
described_at = 2025-01-01
published_at = "2025-02-03"
page = "https://www.data.gouv.fr/fr/datasets/x/"
key = "id"
label = "nom"
style = "mairies"
max_age_s = 3600
keep_versions = 5
[source]
url = "https://example.fr/m.csv?key=${CARGO_PKG_NAME}"
format = "csv"
crs = "epsg:2154"
encoding = "windows-1252"
max_mb = 10
timeout_s = 1.5
[source.csv]
x = "X"
y = "Y"
separator = ";"
decimal = ","
header = true
text = ["siret"]
[territory]
by_location = false
borders = "com"
borders_where = { column = "type", value = "COM" }
[[territory.columns]]
level = "com"
column = "insee"
[[territory.columns]]
level = "epci"
column = "siren \"é\" group"
[time]
start = "ouverture"
end = "fermeture"
[tiles]
min_zoom = 4
max_zoom = 12
buffer = 256
"#;
    let folder = Folder::new("styles = \"st\"")
        .with("layers/m.toml", full)
        .with("st/mairies.json", r#"{"version":8,"layers":[]}"#);
    let def = folder.load().unwrap().layers.remove(0);
    assert_eq!(def.title.en, "Town halls");
    assert_eq!(def.described_at.unwrap().to_string(), "2025-01-01");
    assert_eq!(def.published_at.unwrap().to_string(), "2025-02-03");
    assert_eq!(def.source.format, Some(Format::Csv));
    assert_eq!(def.source.crs.as_deref(), Some("EPSG:2154"));
    assert_eq!(def.source.timeout, Duration::from_millis(1500));
    assert_eq!(def.source.csv.decimal, Some(','));
    assert_eq!(def.territory.columns.len(), 2);
    assert_eq!(def.territory.columns[1].column, "siren \"é\" group");
    assert_eq!(def.territory.borders, Some(Level::Com));
    assert!(!def.territory.by_location);
    assert_eq!(def.tiles.buffer, Some(256));
    let time = def.time.unwrap();
    assert_eq!((time.start.as_str(), time.end.as_deref()), ("ouverture", Some("fermeture")));
    assert_eq!(def.max_age, Some(Duration::from_secs(3600)));
    // The value of the variable is nowhere in the definition.
    let url = "https://example.fr/m.csv?key=${CARGO_PKG_NAME}";
    assert_eq!(def.source.location, SourceLocation::Http(url.into()));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_one() {
    let main = "[server]\nlisten = \"127.0.0.1:1\"\nlistenn = 3\n\n[tile]\n[tiles]\nzzz = 1\n";
    let problems = Folder::new(main).problems();
    assert_eq!(
        problems.en,
        "socle.toml:3: unknown key \"listenn\" in [server]; did you mean \"listen\"?\n\
         socle.toml:5: unknown key \"tile\"; did you mean \"tiles\"?\n\
         socle.toml:7: unknown key \"zzz\" in [tiles]; \
         possible: cache_mb, renderers, waiting, wait_s, kept_zoom, kept_mb"
    );
    assert!(
        problems.fr.contains("socle.toml:3 : clé inconnue « listenn » dans [server] ; vouliez")
    );
}

#[test]
fn everything_wrong_is_said_at_once_with_its_line() {
    let layer = r#"
id = "Communes"
titel = "x"
producer = 4
licence = "lov3"
contact = "nobody"
[source]
path = "a"
url = "https://x/"
crs = "Lambert93"
format = "pdf"
max_mb = -1
[source.csv]
separator = ";;"
x = "X"
[territory]
level = "commune"
[tiles]
min_zoom = 15
max_zoom = 99
"#;
    let problems = Folder::new("").with("layers/a.toml", layer).problems().en;
    for expected in [
        "layers/a.toml:1: \"title\" is missing",
        "layers/a.toml:2: \"id\": \"Communes\" is not an id",
        "layers/a.toml:3: unknown key \"titel\"; did you mean \"title\"?",
        "layers/a.toml:4: \"producer\": expected a quoted text, not an integer",
        "layers/a.toml:5: \"licence\": unknown licence \"lov3\"; did you mean \"lov2\"?",
        "layers/a.toml:6: \"contact\": expected an e-mail",
        "layers/a.toml:9: \"url\": \"path\" is given",
        "layers/a.toml:10: \"crs\": \"Lambert93\" is not of the form",
        "layers/a.toml:11: \"format\": unknown format \"pdf\"; possible: geojson",
        "layers/a.toml:12: \"max_mb\": must be within 1 and",
        "layers/a.toml:14: \"separator\": expected one ASCII character",
        "layers/a.toml:15: \"x\": \"x\" and \"y\" go together",
        "layers/a.toml:16: \"column\" is missing in [territory]",
        "layers/a.toml:17: \"level\": unknown level \"commune\"",
        "layers/a.toml:20: \"max_zoom\": must be within 0 and 16",
        "layers/a.toml:19: \"min_zoom\": min_zoom (15) is above max_zoom (14)",
    ] {
        assert!(problems.contains(expected), "missing: {expected}\nin:\n{problems}");
    }
}

#[test]
fn a_duplicate_id_names_both_files() {
    let problems =
        Folder::new("").with("layers/a.toml", LAYER).with("layers/b.toml", LAYER).problems();
    assert_eq!(
        problems.en,
        "layers/b.toml:2: layer \"communes\" is already defined in layers/a.toml:2"
    );
}

#[test]
fn styles_are_checked() {
    let styled = LAYER.replace("[source]", "style = \"comunes\"\n[source]");
    let problems = Folder::new("")
        .with("layers/a.toml", &styled)
        .with("styles/communes.json", r#"{"version":8,"layers":[]}"#)
        .with("styles/broken.json", "{\n\n\"layers\": [}")
        .with("styles/other.json", "[]")
        .problems();
    assert!(problems.en.contains("styles/broken.json:3: malformed JSON"), "{problems:?}");
    assert!(problems.en.contains("styles/other.json:1: this is no MapLibre style"));
    assert!(
        problems.en.contains(
            "layers/a.toml:6: style \"comunes\" does not exist; did you mean \"communes\"?"
        )
    );
    // No folder, no style.
    let none = Folder::new("").with("layers/a.toml", &styled).problems();
    assert!(none.en.contains("there is none in the folder"));
    // A style's name is no path.
    let path = styled.replace("comunes", "../../secret");
    assert!(Folder::new("").with("layers/a.toml", path).problems().en.contains("not an id"));
}

#[test]
fn what_cannot_be_read_is_said() {
    let missing = Settings::load(Path::new("nowhere/socle.toml")).unwrap_err();
    assert_eq!(missing.to_string(), "nowhere/socle.toml : introuvable");
    let text = Folder::new("layers = \"elsewhere\"\nstyles = \"nowhere\"").problems().en;
    assert_eq!(text, "nowhere: not found\nelsewhere: not found");
    let folder = Folder::new("").with("layers/a.toml", b"id = \"a\"\ntitle = \"\xe9\"\n");
    assert_eq!(folder.problems().en, "layers/a.toml:2: not UTF-8");
    std::fs::create_dir(folder.0.path().join("layers/z.toml")).unwrap();
    assert!(folder.problems().en.contains("layers/z.toml: a folder, not a file"));
}

#[test]
fn malformed_toml_is_refused_with_its_line() {
    let problems = Folder::new("[server]\nlisten = \n\n[store\n").problems();
    assert!(problems.en.starts_with("socle.toml:2: malformed TOML: "), "{problems:?}");
    assert!(problems.fr.contains("socle.toml:2 : TOML mal formé"));
    let twice = Folder::new("[store]\npath=\"a\"\npath=\"b\"\n").problems().en;
    assert!(twice.starts_with("socle.toml:3: malformed TOML: duplicate key"), "{twice}");
}

#[test]
fn a_missing_variable_is_named_and_values_stay_secret() {
    let with = |url: &str| {
        let layer = LAYER.replace("path = \"communes.geojson\"", &format!("url = \"{url}\""));
        Folder::new("").with("layers/a.toml", layer).problems().en
    };
    assert_eq!(
        with("https://x/?key=${SOCLE_NO_SUCH_VARIABLE}"),
        "layers/a.toml:7: \"url\": the environment variable SOCLE_NO_SUCH_VARIABLE is not set"
    );
    assert!(with("file:///etc/passwd").contains("http://"));
    let secret = with("ftp://user:hunter2@x/");
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn limits_are_checked() {
    let main = "[server]\nadmin_listen = \"127.0.0.1:0\"\nmax_url = 100\nrequest_timeout_s = nan\n\
                drain_s = 1e400\nlinger_s = -1\nmax_connections = 99999999999999999999999\n\
                public_url = \"https://x/?a\"\n[harvest]\nuser_agent = \"é\"\ncache = \"data/store\"\n\
                [blobs]\npath = \"data/store\"\ns3 = \"https://x/\"\n";
    let text = Folder::new(main).problems().en;
    for line in [2, 3, 4, 5, 6, 7, 8, 10, 14] {
        assert!(text.contains(&format!("socle.toml:{line}: ")), "line {line}:\n{text}");
    }
    assert!(text.contains("same folder"), "{text}");
}

#[test]
fn a_byte_order_mark_and_windows_lines_are_fine() {
    let folder = Folder::new("\u{feff}[server]\r\ntitle = \"T\"\r\n")
        .with("layers/a.toml", LAYER.replace('\n', "\r\n"))
        .with("layers/.hidden.toml", "nonsense")
        .with("layers/notes.txt", "nonsense");
    let settings = folder.load().unwrap();
    assert_eq!((settings.server.title.en.as_str(), settings.layers.len()), ("T", 1));
}

#[test]
fn a_long_list_of_problems_is_cut_and_counted() {
    let main: String = (0..50).map(|i| format!("zzzzzzzzzz{i} = 1\n")).collect();
    let text = Folder::new(&main).problems().en;
    assert_eq!(text.lines().count(), MAX_LISTED + 1);
    assert!(text.ends_with("… and 20 more"));
}

/// The documented default configuration loads, and its commented keys are those that exist.
#[test]
fn the_default_configuration_documents_every_key() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("config/socle.toml")).unwrap();
    let all = [
        server::KEYS,
        store::KEYS,
        tiles::KEYS,
        harvest::KEYS,
        alerts::KEYS,
        blobs::KEYS,
        exports::KEYS,
        levels::KEYS,
        own_levels::KEYS,
        cog::KEYS,
        KEYS,
    ];
    for key in all.concat() {
        assert!(text.contains(key), "config/socle.toml says nothing of {key}");
    }
    Settings::load(&root.join("config/socle.toml")).unwrap();
    // Every commented `# key = value` is a real key with a value that is accepted.
    let all: String = text
        .lines()
        .map(|l| l.strip_prefix("# ").filter(|l| l.contains(" = ")).unwrap_or(l))
        .filter(|l| !l.starts_with("layers"))
        .fold(String::new(), |all, line| all + line + "\n")
        // A variable that is set wherever tests run.
        .replace("SOCLE_ADMIN_TOKEN", "CARGO_PKG_NAME");
    let folder = Folder::new(&all).with("styles/a.json", r#"{"layers":[]}"#);
    let styles = folder.0.path().join("styles");
    let moved = all.replace("\"../styles\"", &format!("{:?}", styles.display().to_string()));
    folder.with("socle.toml", moved).load().unwrap();
}

/// What the documentation shows is what the program reads.
#[test]
fn the_examples_of_the_documentation_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let blocks: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
    assert!(blocks.len() >= 4, "examples are missing");
    for block in blocks {
        let (main, layer) = if block.contains("id = ") { ("", block) } else { (block, LAYER) };
        let style = r#"{"layers":[]}"#;
        Folder::new(&main.replace("../styles", "styles"))
            .with("layers/example.toml", layer.replace("${PORTAIL_KEY}", "${CARGO_PKG_NAME}"))
            .with("styles/communes.json", style)
            .load()
            .unwrap_or_else(|e| panic!("{e}\nin:\n{block}"));
    }
    let main =
        [KEYS, server::KEYS, store::KEYS, tiles::KEYS, harvest::KEYS, blobs::KEYS, exports::KEYS]
            .concat();
    let layer = [
        layer::KEYS,
        layer::TILE_KEYS,
        source::KEYS,
        source::CSV_KEYS,
        binding::KEYS,
        archive::KEYS,
    ];
    for key in main.into_iter().chain(layer.concat()) {
        let said = [format!("`{key}`"), format!("`[{key}]`")].iter().any(|k| text.contains(k));
        assert!(said, "no word about {key}");
    }
}

/// Values of every type, and tables with the names the program knows.
fn toml_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("2025-01-01".to_owned()),
        Just("2025-02-30T00:00:00Z".to_owned()),
        Just("nan".to_owned()),
        Just("1e999".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        "[a-z:/${}.é;, ]{0,12}".prop_map(|s| format!("{s:?}")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::btree_map(toml_key(), inner, 0..3).prop_map(|m| {
                let items: Vec<_> = m.into_iter().map(|(k, v)| format!("{k} = {v}")).collect();
                format!("{{ {} }}", items.join(", "))
            }),
        ]
    })
}

fn toml_key() -> impl Strategy<Value = String> {
    let known: Vec<&str> = [
        KEYS,
        server::KEYS,
        store::KEYS,
        tiles::KEYS,
        harvest::KEYS,
        exports::KEYS,
        source::KEYS,
        binding::KEYS,
        &["id", "title", "licence", "source", "territory", "csv", "x", "separator", "column"],
    ]
    .concat();
    prop_oneof![prop::sample::select(known).prop_map(str::to_owned), "[a-z]{1,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_text_never_panics(main in any::<String>(), layer in "[\\PC\n]{0,200}") {
        let doc = Document::new("a.toml", main);
        doc.read(KEYS, |table| Some(Main::read(table, Path::new(""))));
        doc.into_problems();
        let doc = Document::new("b.toml", layer);
        let _ = layer::read(&doc, Path::new("layers"));
        doc.into_problems();
    }

    #[test]
    fn arbitrary_tables_never_panic(
        entries in prop::collection::btree_map(toml_key(), toml_value(), 0..8)
    ) {
        let text: String = entries.iter().map(|(k, v)| format!("{k} = {v}\n")).collect();
        let doc = Document::new("a.toml", text.clone());
        doc.read(KEYS, |table| Some(Main::read(table, Path::new(""))));
        doc.into_problems();
        let doc = Document::new("b.toml", text);
        let read = layer::read(&doc, Path::new("layers"));
        let problems = doc.into_problems();
        prop_assert!(read.is_some() || !problems.is_empty(), "a refusal is always explained");
    }
}

#[test]
fn tables_are_layers_of_the_postgis_store() {
    let main = r#"
[store]
kind = "postgis"
[[tables]]
table = "gestion.Écoles d'été"
key = "id"
srid = 2154
max_age_s = 0
properties = ["nom"]
[tables.territory]
level = "com"
column = "insee"
[[tables]]
table = "communes"
"#;
    let settings = Folder::new(main).load().unwrap();
    let ids: Vec<&str> = settings.layers.iter().map(|l| l.id.as_str()).collect();
    assert_eq!(ids, ["communes", "ecoles-d-ete"]);
    let StoreKind::Postgis(store) = &settings.store.kind else { panic!("not PostGIS") };
    assert_eq!(store.tables.len(), 2);
    let SourceLocation::Table(table) = &settings.layers[1].source.location else { panic!() };
    assert_eq!((table.schema.as_str(), table.table.as_str()), ("gestion", "Écoles d'été"));
    assert_eq!((table.srid, table.key.as_deref()), (Some(2154), Some("id")));
    assert!(settings.layers[0].is_live() && !settings.layers[0].territory.by_location);
    assert_eq!(settings.layers[1].max_age, Some(Duration::ZERO));

    let twice = Folder::new(main).with("layers/communes.toml", LAYER).problems();
    assert!(
        twice.en.contains("socle.toml:14: ") && twice.en.contains("already defined"),
        "{twice:?}"
    );
    let embedded = Folder::new("[[tables]]\ntable = \"a\"\ntabel = 1").problems();
    assert!(
        embedded.en.contains("postgis") && embedded.en.contains("unknown key \"tabel\""),
        "{embedded:?}"
    );
    let sized = |n: u8| main.replace("\"postgis\"\n", &format!("\"postgis\"\npool_size = {n}\n"));
    let one = Folder::new(&sized(1)).problems();
    assert!(
        one.en.contains("socle.toml:4: \"pool_size\": must be at least 2")
            && one.en.lines().count() == 1,
        "{one:?}"
    );
    assert!(Folder::new(&sized(2)).load().is_ok());
    // Without published tables one is enough.
    assert!(Folder::new("[store]\nkind = \"postgis\"\npool_size = 1").load().is_ok());
}

/// Levels are derived from the first layer of communes, where no layer draws them.
#[test]
fn levels_follow_from_a_layer_of_communes() {
    let layer = |id: &str, level: &str| {
        format!(
            "id = \"{id}\"\ntitle = \"{id}\"\nproducer = \"IGN\"\nlicence = \"lov2\"\n\
             described_at = 2025-01-01\n[source]\npath = \"x.geojson\"\n\
             [territory]\nlevel = \"{level}\"\ncolumn = \"code\"\nborders = \"{level}\"\n"
        )
    };
    let communes = layer("communes", "com");
    let ids = |settings: &Settings| -> Vec<String> {
        settings.layers.iter().map(|def| def.id.to_string()).collect()
    };
    let settings = Folder::new("").with("layers/c.toml", &communes).load().unwrap();
    let derived = ["arr", "dep", "epci", "ept", "reg"].map(|l| format!("territoires-{l}"));
    assert_eq!(ids(&settings), [&["communes".to_owned()][..], &derived].concat());
    for def in settings.layers.iter().filter_map(|def| def.derived().map(|made| (def, made))) {
        let (def, made) = def;
        assert_eq!(made.from.as_str(), "communes");
        assert_eq!(def.territory.borders, Some(made.level));
        assert_eq!(def.described_at, settings.layers[0].described_at);
        assert!(!def.is_live() && !def.territory.by_location);
    }
    let folder = Folder::new("[territories]\nderived = [\"dep\", \"reg\"]\n");
    let folder = folder.with("layers/c.toml", &communes).with("layers/d.toml", layer("d", "dep"));
    assert_eq!(ids(&folder.load().unwrap()), ["communes", "d", "territoires-reg"]);
    let none = Folder::new("territories.derived = []").with("layers/c.toml", &communes);
    assert_eq!(ids(&none.load().unwrap()), ["communes"]);
    let wrong = Folder::new("[territories]\nderived = [\"epi\"]").problems().en;
    assert!(wrong.contains("socle.toml:2: ") && wrong.contains("\"epci\""), "{wrong}");
    assert_eq!(
        ids(&Folder::new("").with("layers/d.toml", layer("d", "dep")).load().unwrap()),
        ["d"]
    );
}
