//! Whatever the road, one answer: for random layers, territories and modes, over every level and
//! overseas included, pages of items, the count, the file, the figures and the tiles hold the same
//! features, which are those that PostGIS finds by geometry with the rules as they are stated
//! (DESIGN §4); what is cut has the area that PostGIS cuts.
//!
//! Real communes, neighbourhoods and town halls where the shared data is there, else the demo's.

mod data;
mod postgis;

use crate::support::{Server, gunzip, has, postgres};
use data::{Layer, Site};
use postgis::{Attached, Truth};
use serde_json::Value;
use socle::{formats::mvt, model::TerritoryCode, territory::Reference};
use std::collections::{BTreeMap, BTreeSet};

/// Triples per store: 200 in all.
const EMBEDDED: usize = 140;
const DATABASE: usize = 60;
/// Tiles looked at for one answer.
const MOST_TILES: usize = 40;
/// The zoom that shows everything that is not a sliver, and the coarsest one worth a look.
const ALL_SHOWN: u8 = 9;
const COARSEST: u8 = 7;

#[test]
fn every_road_gives_what_postgis_finds() {
    agree(EMBEDDED, 0x5eed_0001);
}

#[test]
fn every_road_gives_what_postgis_finds_over_a_database() {
    crate::support::over_postgis(|| agree(DATABASE, 0x5eed_0002));
}

/// A layer, territories and how they are bound.
#[derive(Debug)]
struct Triple {
    layer: Layer,
    territories: Vec<TerritoryCode>,
    mode: &'static str,
}

fn agree(count: usize, seed: u64) {
    let (Some(postgis), true) = (postgres::shared(), has("ogr2ogr")) else { return };
    let site = data::site();
    let truth = Truth::of(postgis, &site);
    let server = site.site.serve();
    lille_has_its_neighbourhoods(&server, &site);
    // The demo has fewer kinds of places, and larger ones.
    let count = if site.levels.contains(&"qpv") { count } else { count / 3 };
    let mut random = Random(seed);
    let (mut seen, mut looked, mut cut) = (BTreeSet::new(), 0, 0);
    for _ in 0..count {
        let triple = draw(&mut random, &site, &truth);
        seen.extend(triple.territories.iter().map(|t| t.level.id()));
        let expected = Expected::of(&triple, &truth);
        let found = roads(&server, &triple);
        expected.check(&triple, &found);
        if triple.mode == "clip" {
            truth.check_cut(&triple.layer, &triple.territories, &found, &expected.may);
            cut += 1;
        }
        looked += usize::from(tiles_agree(&server, &triple, &found));
    }
    println!("{count} triples, {cut} cuts, {looked} sets of tiles, levels {seen:?}");
    assert!(looked * 2 > count && cut * 8 > count && seen.len() >= site.levels.len().min(8));
}

/// Small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }

    fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn draw(random: &mut Random, site: &Site, truth: &Truth) -> Triple {
    let layer = *random.one(&site.layers);
    let territory = |random: &mut Random| {
        let (_, codes) = random.one(&truth.pool);
        random.one(codes).clone()
    };
    let mut territories = vec![territory(random)];
    if random.below(5) == 0 {
        territories.push(territory(random));
    }
    let communal = territories.iter().all(|t| t.level.is_communal());
    let mode = match random.below(3) {
        0 if communal => "within",
        1 => "clip",
        _ => "concerns",
    };
    Triple { layer, territories, mode }
}

/// What must and what may be there; they differ where an overlap is within a thousandth of the
/// rule's thresholds.
struct Expected {
    must: BTreeSet<String>,
    may: BTreeSet<String>,
}

impl Expected {
    fn of(triple: &Triple, truth: &Truth) -> Self {
        let reference = truth.reference();
        let (mut communes, mut others) = (BTreeSet::new(), BTreeSet::new());
        for territory in &triple.territories {
            match reference.communes(territory) {
                Some(set) => communes.extend(set.iter()),
                None => _ = others.insert(territory.to_string()),
            }
        }
        let within = triple.mode == "within";
        let passes = |a: &Attached, sure: bool| {
            // Of what is uncertain, what makes it pass or not.
            let wide = a.communes.keys().all(|rank| communes.contains(rank));
            let sure_ones = || a.communes.iter().filter(|(_, s)| **s).map(|(rank, _)| rank);
            let narrow = sure_ones().all(|rank| communes.contains(rank));
            match within {
                true if sure => wide && sure_ones().next().is_some(),
                true => narrow && !a.communes.is_empty(),
                false => {
                    let counts = |s: &bool| *s || !sure;
                    a.communes.iter().any(|(rank, s)| counts(s) && communes.contains(rank))
                        || a.others.iter().any(|(code, s)| counts(s) && others.contains(code))
                }
            }
        };
        let features = truth.features(&triple.layer);
        let ids = |sure: bool| {
            let passing = features.iter().filter(|(_, a)| passes(a, sure));
            passing.map(|(id, _)| id.clone()).collect()
        };
        Self { must: ids(true), may: ids(false) }
    }

    fn check(&self, triple: &Triple, found: &Found) {
        let ids: BTreeSet<String> = found.features.keys().cloned().collect();
        let more: Vec<_> = ids.difference(&self.may).collect();
        assert!(more.is_empty(), "{triple:?}: not by PostGIS: {more:?}");
        // A cut leaves out what it leaves nothing of; its own check looks at that.
        if triple.mode != "clip" {
            let less: Vec<_> = self.must.difference(&ids).collect();
            assert!(less.is_empty(), "{triple:?}: by PostGIS too: {less:?}");
        }
    }
}

/// The features that the items gave, all roads agreeing.
pub struct Found {
    /// By id.
    pub features: BTreeMap<String, Value>,
}

fn scope(triple: &Triple) -> String {
    let units: Vec<String> = triple.territories.iter().map(TerritoryCode::path).collect();
    let suffix = match triple.mode {
        "concerns" => String::new(),
        mode => format!("-{mode}"),
    };
    format!("{}{suffix}", units.join("+"))
}

fn total(answer: &Value, key: &str) -> usize {
    answer[key].as_u64().unwrap_or_else(|| panic!("no {key} in {answer}")) as usize
}

/// Items, page after page; the count by the other spelling; the file; the figures.
fn roads(server: &Server, triple: &Triple) -> Found {
    let (layer, scope) = (triple.layer.id, scope(triple));
    let base = format!("/t/{scope}/collections/{layer}");
    let mut features = BTreeMap::new();
    let mut matched = BTreeSet::new();
    let mut next = Some(format!("{base}/items?limit=400"));
    while let Some(path) = next {
        let page = server.json(&path);
        matched.insert(total(&page, "numberMatched"));
        for feature in page["features"].as_array().unwrap() {
            let id = feature["id"].as_str().unwrap().to_owned();
            assert!(features.insert(id, feature.clone()).is_none(), "{path}: twice");
        }
        let link = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next");
        let link = link.map(|l| l["href"].as_str().unwrap().to_owned());
        next = link.map(|l| l.replace(server.base.trim_end_matches('/'), ""));
    }
    let count = features.len();
    assert_eq!(matched, BTreeSet::from([count]), "{base}: numberMatched");
    let codes: Vec<String> = triple.territories.iter().map(ToString::to_string).collect();
    let asked = format!("territory={}&territory-mode={}", codes.join(","), triple.mode);
    let hits = server.json(&format!("/collections/{layer}/items?{asked}&resultType=hits"));
    assert_eq!(total(&hits, "numberMatched"), count, "{base}: {asked}");
    let file = server.json(&format!("{base}/export?f=geojson"));
    let exported: BTreeSet<&str> =
        file["features"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert!(exported.iter().copied().eq(features.keys().map(String::as_str)), "{base}: the file");
    let figures = server.json(&format!("{base}/stats?by=reg"));
    assert_eq!(total(&figures, "total_distinct"), count, "{base}: figures");
    Found { features }
}

/// The tiles that features lie on hold them, each once when put together; whether they were looked
/// at: there may be too many.
fn tiles_agree(server: &Server, triple: &Triple, found: &Found) -> bool {
    let Some((zoom, tiles)) = tiles_of(found) else { return false };
    let (layer, scope) = (triple.layer.id, scope(triple));
    let mut shown = BTreeSet::new();
    for (x, y) in tiles {
        let path = format!("/t/{scope}/collections/{layer}/tiles/{zoom}/{x}/{y}.mvt");
        let tile = server.send("GET", &path, &[("accept-encoding", "gzip")]);
        if tile.status == 204 {
            continue;
        }
        assert_eq!(tile.status, 200, "{path}: {}", tile.text());
        for decoded in mvt::read(&gunzip(&tile.body)).unwrap() {
            for feature in &decoded.features {
                let id = decoded.properties(feature).find(|(name, _)| *name == "id");
                match id {
                    Some((_, mvt::DecodedValue::Text(id))) => _ = shown.insert(id.clone()),
                    other => panic!("{path}: {other:?}"),
                }
            }
        }
    }
    let strangers: Vec<_> = shown.iter().filter(|id| !found.features.contains_key(*id)).collect();
    assert!(strangers.is_empty(), "{triple:?}: in tiles alone: {strangers:?}");
    if zoom >= ALL_SHOWN {
        let seen = |f: &Value| !is_sliver(f) && !is_speck(f, zoom);
        let hidden = found.features.iter().filter(|(id, f)| !shown.contains(*id) && seen(f));
        let hidden: Vec<_> = hidden.map(|(id, _)| id).collect();
        assert!(hidden.is_empty(), "{triple:?}: not in tiles at {zoom}: {hidden:?}");
    }
    true
}

/// What a cut left of a feature is too little to be drawn.
fn is_sliver(feature: &Value) -> bool {
    feature["properties"]["socle_part"].as_f64().is_some_and(|part| part < 0.02)
}

/// Whether a polygon's box holds less than eight pixels (a tile has 512 on a side): it may go when
/// its outline is simplified.
fn is_speck(feature: &Value, zoom: u8) -> bool {
    if !feature["geometry"]["type"].as_str().is_some_and(|kind| kind.ends_with("Polygon")) {
        return false;
    }
    let Some([west, south, east, north]) = bounds(&feature["geometry"]["coordinates"]) else {
        return false;
    };
    let world = 512.0 * f64::from(1u32 << zoom);
    let height = |lat: f64| lat.to_radians().tan().asinh() / std::f64::consts::TAU * world;
    (east - west) / 360.0 * world * (height(north) - height(south)) < 8.0
}

/// The finest zoom with few enough tiles, and those that the features' boxes touch.
fn tiles_of(found: &Found) -> Option<(u8, BTreeSet<(u32, u32)>)> {
    let boxes: Vec<[f64; 4]> =
        found.features.values().filter_map(|f| bounds(&f["geometry"]["coordinates"])).collect();
    (COARSEST..=ALL_SHOWN).rev().find_map(|zoom| {
        let mut tiles = BTreeSet::new();
        for [west, south, east, north] in &boxes {
            let ((left, top), (right, bottom)) =
                (tile(*west, *north, zoom), tile(*east, *south, zoom));
            for x in left..=right {
                tiles.extend((top..=bottom).map(|y| (x, y)));
            }
            if tiles.len() > MOST_TILES {
                return None;
            }
        }
        Some((zoom, tiles))
    })
}

fn tile(lon: f64, lat: f64, zoom: u8) -> (u32, u32) {
    let side = f64::from(1u32 << zoom);
    let y = (1.0 - lat.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0;
    (((lon + 180.0) / 360.0 * side) as u32, (y * side) as u32)
}

fn bounds(coordinates: &Value) -> Option<[f64; 4]> {
    let list = coordinates.as_array()?;
    if let [Value::Number(x), Value::Number(y), ..] = list.as_slice() {
        let (x, y) = (x.as_f64()?, y.as_f64()?);
        return Some([x, y, x, y]);
    }
    let merge =
        |a: [f64; 4], b: [f64; 4]| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
    list.iter().filter_map(bounds).reduce(merge)
}

/// The five neighbourhoods of Lille, those that lie in other communes too among them; and the EPCI
/// across two départements is in both.
fn lille_has_its_neighbourhoods(server: &Server, site: &Site) {
    let reference = Reference::builtin();
    let across: TerritoryCode = "epci:245900758".parse().unwrap();
    assert_eq!(reference.communes(&across).unwrap().len(), 8);
    let ids = |path: &str| -> BTreeSet<String> {
        let page = server.json(path);
        let features = page["features"].as_array().unwrap().iter();
        features.map(|f| f["id"].as_str().unwrap().to_owned()).collect()
    };
    for side in ["dep-59", "dep-62"] {
        let path = format!("/t/{side}/collections/territoires-epci/items?limit=1000");
        assert!(ids(&path).contains("245900758"), "{side}");
        let path = format!("/t/{side}/collections/communes/items?territory=epci:245900758");
        assert_eq!(ids(&path).len(), 4, "{side}");
    }
    let both = "/t/dep-59+dep-62/collections/territoires-epci";
    let all = server.json(&format!("{both}/items?limit=1000"));
    let figures = server.json(&format!("{both}/stats?by=dep"));
    assert_eq!(figures["total_distinct"], all["numberMatched"]);
    if !site.layers.iter().any(|layer| layer.id == "qpv") {
        println!("skipped: the neighbourhoods of Lille (no shared data)");
        return;
    }
    let own = ids("/t/com-59350/collections/qpv/items");
    assert_eq!(own.len(), 5, "{own:?}");
    // Two of them lie in neighbours too: by Loos and Faches, by Mons-en-Barœul and Villeneuve-d'Ascq.
    for neighbours in ["com-59220+com-59346+com-59360", "com-59009+com-59410"] {
        let theirs = ids(&format!("/t/{neighbours}/collections/qpv/items"));
        assert!(theirs.intersection(&own).count() >= 1, "{neighbours}: {theirs:?}");
    }
}
