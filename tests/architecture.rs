//! The import table of the design, enforced: an arrow between rooms that it does not allow fails
//! here, before it becomes a habit.

use std::{collections::BTreeMap, fs, path::Path};

/// What each room may import of ours, besides itself. The rooms of DESIGN §5; `model` and `error`
/// are open to all but `model`.
#[rustfmt::skip] // a table: one line per room
fn table() -> BTreeMap<&'static str, Vec<&'static str>> {
    let base = ["model", "error"];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    let services =
        with(&["catalog", "territory", "store", "blobs", "formats", "geometry", "query", "config"]);
    BTreeMap::from([
        ("model", vec![]),
        ("error", vec!["model"]),
        ("config", with(&[])),
        ("blobs", with(&["config"])),
        ("formats", with(&[])),
        ("geometry", with(&[])),
        ("query", with(&[])),
        ("territory", with(&["geometry"])),
        ("store", with(&["formats", "geometry", "query", "config"])),
        ("catalog", with(&["store", "config"])),
        ("harvest", with(&["blobs", "config"])),
        ("import", with(&["catalog", "territory", "store", "blobs", "formats", "geometry", "query", "config"])),
        ("items", services.clone()),
        ("tiles", services.clone()),
        ("exports", services.clone()),
        ("stats", services.clone()),
        // It asks border layers about places as an import does.
        ("resolve", [&services[..], &["import"]].concat()),
        ("jobs", with(&["harvest", "import", "catalog", "store", "config"])),
        // Tells of what the journal holds: never of a run under way, which `jobs` knows.
        ("alerts", with(&["store", "config"])),
        ("app", with(&["alerts", "items", "tiles", "exports", "stats", "resolve", "import", "catalog", "territory", "store", "blobs", "config", "jobs"])),
        ("http", with(&["app", "alerts", "jobs", "items", "tiles", "exports", "stats", "resolve", "catalog", "territory", "query", "config"])),
        ("cli", with(&["app", "alerts", "jobs", "http", "items", "tiles", "exports", "resolve", "harvest", "import", "catalog", "territory", "store", "query", "blobs", "config"])),
        ("main", vec!["cli"]),
    ])
}

/// Every Rust file under a folder.
fn files(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The rooms that a file's code names after `crate::` (or `socle::` in `main`), tests left out.
fn arrows(text: &str) -> Vec<(usize, String)> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut found = Vec::new();
    let mut grouped = false; // inside `use crate::{ … }`
    for (number, line) in code.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            if rest.starts_with('{') {
                grouped = true;
            } else {
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.push((number + 1, name));
            }
        }
        if grouped {
            // One room per line at the group's first depth, as rustfmt lays them out, or several.
            let inner = line.trim().trim_start_matches("use crate::{");
            let mut depth = 0usize;
            let mut name = String::new();
            for c in inner.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') => name.push(c),
                    c if depth == 0 => {
                        if c == ':' && !name.is_empty() {
                            found.push((number + 1, std::mem::take(&mut name)));
                        }
                        if c == ',' {
                            name.clear();
                        }
                    }
                    _ => {}
                }
            }
            if line.contains("};") {
                grouped = false;
            }
        }
    }
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = table();
    let mut all = Vec::new();
    files(&root, &mut all);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in all {
        let inside = path.strip_prefix(&root).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        // What tests are made with may look everywhere.
        let name = inside.to_str().unwrap();
        let of_tests = name.contains("/tests/") || name.ends_with("tests.rs");
        if room == "lib" || of_tests || name.ends_with("testing.rs") {
            continue;
        }
        let allowed = table.get(room).unwrap_or_else(|| panic!("no line for the room {room}"));
        let text = fs::read_to_string(&path).unwrap();
        for (line, name) in arrows(&text) {
            // Names of nested paths inside a group (`model::{…}`) are not rooms.
            if !table.contains_key(name.as_str()) || name == room {
                continue;
            }
            seen += 1;
            if !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}:{line}: {room} → {name}", inside.display()));
            }
        }
    }
    assert!(seen > 100, "the reader of `use` lines finds too little: {seen}");
    assert!(wrong.is_empty(), "arrows outside the table:\n{}", wrong.join("\n"));
}

#[test]
fn axum_and_sql_stay_in_their_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    for path in all {
        let inside = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        if !inside.starts_with("http/") && inside != "http.rs" {
            assert!(!text.contains("axum::"), "{inside} names axum");
        }
        if inside.contains("/tests/") || inside.ends_with("tests.rs") {
            continue;
        }
        let sql_room = inside.starts_with("store/")
            || inside.starts_with("formats/geopackage")
            || inside.starts_with("formats/mbtiles");
        if !sql_room {
            assert!(!text.contains("rusqlite"), "{inside} names SQL");
        }
    }
}

#[test]
fn arrows_are_read_from_groups_and_paths() {
    let text = "use crate::{\n    model::{BBox, catalog},\n    store::At,\n};\nlet x = crate::items::Page;\n";
    let names: Vec<String> = arrows(text).into_iter().map(|(_, n)| n).collect();
    assert!(names.contains(&"model".to_owned()) && names.contains(&"store".to_owned()));
    assert!(names.contains(&"items".to_owned()));
    assert!(!names.contains(&"catalog".to_owned()));
}
