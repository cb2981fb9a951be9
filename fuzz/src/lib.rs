//! What is fuzzed: one function per kind of foreign bytes, over the program's public functions.
//! Any input must be taken or refused: a panic, an arithmetic overflow, a stack of 2 MiB that is
//! used up, seconds or hundreds of megabytes for some kilobytes are faults, and so is a broken
//! promise that can be told without knowing the right answer (what is written reads back as it was,
//! no answer is a 500).
//!
//! `fuzz_targets/` gives each to libFuzzer; `tests/fuzz.rs` includes this file and replays
//! `seeds/`, so that it is compiled and run by every build of the tests.

mod codes;
mod filters;
mod places;
mod service;
mod settings;
mod sources;
mod tables;

/// A kind of foreign bytes.
pub struct Target {
    /// Its name: of the program in `fuzz_targets/` and of the folder in `seeds/`.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 22] = [
    // What is asked for
    Target { name: "cql2_text", run: filters::text },
    Target { name: "cql2_json", run: filters::json },
    Target { name: "fes", run: filters::fes },
    Target { name: "parameters", run: service::parameters },
    Target { name: "items", run: service::items },
    Target { name: "scope", run: codes::scope },
    Target { name: "requests", run: service::requests },
    Target { name: "wfs", run: service::wfs },
    Target { name: "resolve", run: tables::resolve },
    // What is harvested
    Target { name: "geojson", run: sources::geojson },
    Target { name: "csv", run: sources::csv },
    Target { name: "shapefile", run: sources::shapefile },
    Target { name: "geopackage", run: sources::geopackage },
    Target { name: "archive", run: sources::archive },
    Target { name: "answers", run: sources::answers },
    Target { name: "import", run: sources::import },
    Target { name: "wkb", run: places::wkb },
    Target { name: "geometry", run: places::geometry },
    Target { name: "mvt", run: places::mvt },
    // What an operator brings
    Target { name: "cog", run: codes::cog },
    Target { name: "config", run: settings::config },
    Target { name: "style", run: settings::style },
];

/// Runs the target of a name.
#[allow(dead_code, reason = "the tests go by the table")]
pub fn run(name: &str, bytes: &[u8]) {
    for target in TARGETS.iter().filter(|target| target.name == name) {
        (target.run)(bytes);
    }
}

/// Bytes as text, when they are.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
