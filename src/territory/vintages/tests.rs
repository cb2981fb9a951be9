use super::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, fs::File, io::Read, path::PathBuf, sync::Arc};

fn passage(vintage: u16) -> Passage {
    Passage::new(&Reference::builtin(), vintage)
}

fn codes(ranks: &[u32]) -> Vec<String> {
    let reference = Reference::builtin();
    ranks.iter().map(|rank| reference.commune(*rank).unwrap().code.to_string()).collect()
}

/// A file of the shared data, unpacked; `None`, said by name, where it is absent.
fn shared(test: &str, path: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    let Ok(file) = File::open(&path) else {
        println!("skipped {test}: no {}", path.display());
        return None;
    };
    let mut text = String::new();
    match path.extension().is_some_and(|e| e == "gz") {
        true => flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap(),
        false => (&file).read_to_string(&mut text).unwrap(),
    };
    Some(text)
}

/// The communes of a year, as the movements tell them.
pub(in crate::territory) fn communes(year: u16) -> Vec<String> {
    let reference = Reference::builtin();
    let table = &reference.table;
    let mut all: FxHashSet<Packed> =
        table.codes.iter().take(reference.commune_count() as usize).copied().collect();
    all.extend(reference.lives().moved.keys());
    let day = new_year(year);
    let alive = all.iter().filter(|code| reference.lives().on(table, code, day));
    let mut codes: Vec<String> =
        alive.map(|code| crate::territory::table::text(code).to_owned()).collect();
    codes.sort();
    codes
}

#[test]
fn each_year_has_its_communes() {
    // INSEE's counts of metropolitan France and the overseas départements; 93 more are the
    // overseas collectivities', which the table lists and no movement names.
    for (year, count) in [
        (1975, 36_520),
        (1999, 36_694),
        (2012, 36_700),
        (2015, 36_658),
        (2016, 35_885),
        (2018, 35_357),
        (2019, 34_970),
        (2021, 34_965),
        (2024, 34_935),
        (2025, 34_875),
    ] {
        let all = communes(year);
        let listed = all.iter().filter(|code| {
            !["975", "977", "978", "98"].iter().any(|prefix| code.starts_with(prefix))
        });
        let found = listed.count();
        assert!(found.abs_diff(count) <= 1, "{year}: {found}");
        assert_eq!(Reference::builtin().communes_in_year(year), Some(all.len() as u64));
    }
}

#[test]
fn codes_are_judged_by_where_they_lead() {
    for (vintage, code, verdict, to) in [
        (2018, "59350", Verdict::Unchanged, "59350"),
        (2018, "60455", Verdict::Carried, "60694"),
        (1970, "55273", Verdict::Carried, "55386"),
        (2018, "14712", Verdict::Redefined, "14666 14712"),
        (2018, "85084", Verdict::Redefined, "85084 85165 85212"),
        // Restored since: each takes its own territory and no more.
        (2015, "85165", Verdict::Unchanged, "85165"),
        (2016, "14666", Verdict::Unchanged, "14666"),
        (2016, "14712", Verdict::Unchanged, "14712"),
        // Absorbed others.
        (2018, "93066", Verdict::Redefined, "93066"),
        (2018, "93059", Verdict::Carried, "93066"),
        // 27676 became 27058, which was another's code, then 27676 again.
        (2022, "27058", Verdict::Carried, "27676"),
        (2018, "27676", Verdict::Unchanged, "27676"),
        (2016, "27676", Verdict::Redefined, "27676"),
        (1975, "20004", Verdict::Carried, "2A004"),
        (1960, "08227", Verdict::Undecidable, "08203 08454"),
        (1960, "51606", Verdict::Undecidable, "51235 51313 51369"),
        (2018, "99999", Verdict::Unknown, ""),
        (2018, "75101", Verdict::Unknown, ""),
    ] {
        let fate = passage(vintage).fate(code);
        assert_eq!((fate.verdict, codes(&fate.to).join(" ").as_str()), (verdict, to), "{code}");
        let main = codes(&fate.main.into_iter().collect::<Vec<_>>());
        match verdict {
            Verdict::Unchanged | Verdict::Carried => assert_eq!(main.join(""), to),
            Verdict::Redefined => assert_eq!(main, [code]),
            _ => assert!(main.is_empty()),
        }
    }
}

#[test]
fn the_vintage_of_a_whole_year_is_found() {
    let reference = Reference::builtin();
    for year in [1950, 1968, 1975, 1990, 1999, 2008, 2014, 2016, 2018, 2019, 2021, 2023, 2026] {
        let all = communes(year);
        let found = reference.detect(all.iter().map(String::as_str)).unwrap();
        // Years in which nothing moved are one vintage.
        assert_eq!(communes(found.vintage), all, "{year}: {found:?}");
        assert_eq!(found.matched, all.len() as u64);
    }
    // A few codes of today fit any year: the latest is presumed.
    let few = reference.detect(["59350", "75056"]).unwrap();
    assert_eq!((few.first, few.last, few.vintage), (FIRST_VINTAGE, 2026, 2026));
    // One old code among them says before when.
    assert_eq!(reference.detect(["59350", "60455"]).unwrap().last, 2018);
    assert_eq!(reference.detect(["", "x", "99999"]), None);
}

#[test]
fn the_communes_of_2018_are_carried() {
    let test = "the_communes_of_2018_are_carried";
    let from_file = shared(test, "communes-2018.geojson.gz").map(|text| {
        let rows = text.split("\"code\":").skip(1);
        let code =
            |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned());
        let mut codes: Vec<String> = rows.filter_map(code).collect();
        codes.sort();
        codes
    });
    let metropolitan =
        |code: &String| !["975", "977", "978", "98"].iter().any(|p| code.starts_with(p));
    let by_moves: Vec<String> = communes(2018).into_iter().filter(metropolitan).collect();
    let all = from_file.unwrap_or(by_moves);
    let reference = Reference::builtin();
    assert_eq!(reference.detect(all.iter().map(String::as_str)).unwrap().vintage, 2018);
    let passage = passage(2018);
    let mut counts: BTreeMap<Verdict, u32> = BTreeMap::new();
    let mut shrank = Vec::new();
    for code in &all {
        let fate = passage.fate(code);
        *counts.entry(fate.verdict).or_default() += 1;
        if fate.to.len() > 1 {
            shrank.push(code.as_str());
        }
    }
    assert_eq!(counts.get(&Verdict::Unknown), None);
    assert_eq!(counts.get(&Verdict::Undecidable), None);
    assert_eq!(counts[&Verdict::Carried], 493);
    // 316 grew; three gave communes back.
    assert_eq!(shrank, ["14712", "15141", "85084"]);
    assert_eq!(counts[&Verdict::Redefined], 316 + 3);
}

/// INSEE's own movements, as pairs of communes by date: what the table's must say.
#[test]
fn the_movements_are_those_of_insee() {
    let test = "the_movements_are_those_of_insee";
    let Some(text) = shared(test, "cog-insee-2024/mouvements-communes.csv.gz") else { return };
    let mut insee: FxHashSet<(String, String, String)> = FxHashSet::default();
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = row.unwrap();
        let communes = &row[2] == "COM" && &row[8] == "COM";
        // Changes of name and creations: the packages do not tell what was cut.
        if communes && &row[0] != "20" && row[3] != row[9] {
            insee.insert((row[1].to_owned(), row[3].to_owned(), row[9].to_owned()));
        }
    }
    let reference = Reference::builtin();
    let name = |code: &Packed| crate::territory::table::text(code).to_owned();
    let ours: FxHashSet<(String, String, String)> = (reference.table.moves.iter())
        .filter(|m| m.date < 20240102 && m.from.is_some_and(|from| from != m.to))
        .map(|m| {
            let date = format!("{}-{:02}-{:02}", m.date / 10_000, m.date / 100 % 100, m.date % 100);
            (date, name(&m.from.unwrap()), name(&m.to))
        })
        .collect();
    let mut missing: Vec<_> = insee.difference(&ours).collect();
    let mut extra: Vec<_> = ours.difference(&insee).collect();
    missing.sort();
    extra.sort();
    println!("missing: {missing:?}\nextra: {extra:?}");
    assert!(missing.len() <= 12, "{missing:?}");
    assert!(extra.len() <= 12, "{extra:?}");
}

/// Where COGugaison's tables say something that movements do not: it lacks the splits of 2012 to
/// 2014 and of 2024 that INSEE's file holds, or the one by which 52124 left 52504.
const FAULTS: [(u16, &str); 17] = [
    (1968, "52033"),
    (1968, "52124"),
    (1968, "52266"),
    (1968, "52278"),
    (1968, "52465"),
    (1968, "55138"),
    (1968, "76601"),
    (1982, "52504"),
    (2015, "85165"),
    (2015, "85212"),
    (2018, "60455"),
    (2018, "60694"),
    (2023, "60054"),
    (2023, "60694"),
    (2023, "85084"),
    (2023, "85165"),
    (2023, "85212"),
];

/// COGugaison's tables as a referee. Put end to end they forget whose territory a merged commune
/// brought, so that one restored since is everywhere its commune is: they say more places than
/// there are, never others, but for the known faults.
#[test]
fn passages_agree_with_cogugaison() {
    let test = "passages_agree_with_cogugaison";
    let Some(text) = shared(test, "cogugaison-passage/passage_annee_a_annee.csv.gz") else {
        return;
    };
    let mut steps: BTreeMap<u16, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    let mut ends: BTreeMap<u16, u16> = BTreeMap::new();
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = row.unwrap();
        let (from, to): (u16, u16) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        if from < to {
            ends.insert(from, to);
            let list = steps.entry(from).or_default().entry(row[2].to_owned()).or_default();
            list.push(row[3].to_owned());
        }
    }
    // Year by year, from each year they know, to 2024.
    let (mut agree, mut wider, mut other) = (0_u32, 0_u32, Vec::new());
    for (start, moved) in &steps {
        let passage = passage(*start);
        for code in moved.keys() {
            let mut places = vec![code.clone()];
            let mut year = *start;
            while let Some(next) = ends.get(&year) {
                let table = &steps[&year];
                let step = |place: &String| {
                    table.get(place).cloned().unwrap_or_else(|| vec![place.clone()])
                };
                places = places.iter().flat_map(step).collect();
                places.sort();
                places.dedup();
                year = *next;
            }
            // What happened after 2024 is ours alone.
            let later = self::passage(2024);
            let mut theirs: Vec<String> =
                places.iter().flat_map(|place| codes(&later.fate(place).to)).collect();
            theirs.sort();
            theirs.dedup();
            let mut ours = codes(&passage.fate(code).to);
            ours.sort();
            match ours == theirs {
                true => agree += 1,
                false if ours.iter().all(|place| theirs.contains(place)) => wider += 1,
                false => other.push((*start, code.clone())),
            }
        }
    }
    println!("{agree} agree, {wider} where it says more places, faults: {other:?}");
    let known = FAULTS.map(|(year, code)| (year, code.to_owned()));
    assert!(other.iter().all(|found| known.contains(found)), "{other:?}");
    assert!(agree > 5_000 && wider < 500, "{agree}, {wider}");
}

#[test]
fn a_commune_knows_its_history() {
    let reference = Reference::builtin();
    let history = reference.history("85084");
    let step = history.iter().find(|s| s.date == (2016, 1, 1)).unwrap();
    assert!(step.before.len() == 4 && step.after.len() == 1, "{step:?}");
    assert!(history.iter().any(|s| s.kind == 21 && s.date.0 == 2024 && s.after.len() == 3));
    assert!(reference.history("59999").is_empty());
    assert_eq!(reference.commune_name("60455"), Some("La Neuville-Garnier"));
    assert_eq!(reference.commune_name("59350"), Some("Lille"));
}

proptest! {
    #[test]
    fn carrying_twice_changes_nothing(year in 1943_u16..=2026, at in any::<prop::sample::Index>()) {
        let all = communes(year);
        let fate = passage(year).fate(&all[at.index(all.len())]);
        prop_assert_ne!(fate.verdict, Verdict::Unknown);
        for rank in &fate.to {
            let reference = Reference::builtin();
            let code = reference.commune(*rank).unwrap();
            let again = Passage::new(&reference, reference.vintage()).fate(code.code.as_str());
            prop_assert_eq!(again.verdict, Verdict::Unchanged);
            prop_assert_eq!(again.main, Some(*rank));
        }
    }

    #[test]
    fn any_text_has_a_fate(code in r"\PC{0,12}", year in 1900_u16..2100) {
        let fate = passage(year).fate(&code);
        prop_assert_eq!(fate.to.is_empty(), fate.verdict == Verdict::Unknown);
    }
}

#[test]
fn passages_share_the_reference() {
    let reference = Reference::builtin();
    let passage = Passage::new(&reference, 2018);
    assert!(Arc::ptr_eq(passage.reference(), &reference));
    assert_eq!(passage.vintage(), 2018);
}
