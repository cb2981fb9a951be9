//! The compiled table is whole and sound, and a damaged one is refused.

use super::*;
use crate::error::Error;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
};

fn code(text: &str) -> TerritoryCode {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn texts(codes: &[TerritoryCode]) -> Vec<String> {
    codes.iter().map(ToString::to_string).collect()
}

fn get(text: &str) -> Territory {
    Reference::builtin().get(&code(text)).unwrap_or_else(|| panic!("{text} is unknown"))
}

#[test]
fn the_table_is_that_of_2026() {
    let reference = Reference::builtin();
    assert_eq!(reference.vintage(), 2026);
    assert!(reference.id().starts_with("cog-2026-"), "{}", reference.id());
    assert_eq!(reference.source(), "@etalab/decoupage-administratif@6.0.0");
    assert_eq!(reference.commune_count(), 34_969);
    let counts = [
        (Level::Arm, 45),
        (Level::Comd, 2_105),
        (Level::Coma, 471),
        (Level::Epci, 1_255),
        (Level::Ept, 11),
        (Level::Arr, 333),
        (Level::Dep, 109),
        (Level::Reg, 26),
    ];
    for (level, count) in counts {
        assert_eq!(reference.table.level(level).len(), count, "{level}");
    }
    assert!(BUILTIN.len() <= 1 << 20);
}

#[test]
fn regions_and_departements_are_single_ranges() {
    let reference = Reference::builtin();
    for level in [Level::Reg, Level::Dep] {
        for unit in reference.table.level(level) {
            let set = reference.communes(&reference.table.code(unit).unwrap()).unwrap();
            assert_eq!(set.ranges().len(), 1, "{:?}", reference.table.code(unit));
        }
    }
    for part in ["fr", "fr:metro", "fr:drom", "fr:com"] {
        assert_eq!(reference.communes(&code(part)).unwrap().ranges().len(), 1, "{part}");
    }
    assert_eq!(reference.communes(&code("fr")).unwrap().len(), 34_969);
}

#[test]
fn each_partition_of_the_communes_is_one() {
    let reference = Reference::builtin();
    for (level, whole) in [(Level::Reg, 34_969), (Level::Dep, 34_969), (Level::Epci, 34_871)] {
        let mut seen = BTreeSet::new();
        for unit in reference.table.level(level) {
            let set = reference.communes(&reference.table.code(unit).unwrap()).unwrap();
            assert!(!set.is_empty());
            for rank in set.iter() {
                assert!(seen.insert(rank), "rank {rank} is in two {level}");
            }
        }
        assert_eq!(seen.len(), whole, "{level}");
    }
}

#[test]
fn every_commune_is_found_at_its_rank() {
    let reference = Reference::builtin();
    for rank in 0..reference.commune_count() {
        let commune = reference.commune(rank).unwrap();
        assert_eq!(reference.carry(commune.code.as_str()), Carry::Current(rank));
        assert!(reference.communes(&commune).unwrap().contains(rank));
    }
    assert_eq!(reference.commune(reference.commune_count()), None);
    assert_eq!(reference.commune(u32::MAX), None);
}

#[test]
fn territories_know_what_they_belong_to() {
    let lille = get("com:59350");
    assert_eq!(texts(&lille.parents), ["epci:200093201", "arr:595", "dep:59", "reg:32"]);
    assert_eq!((lille.name.as_str(), lille.label().as_str()), ("Lille", "Lille (59)"));
    assert_eq!(lille.postal_codes, ["59000", "59160", "59260", "59777", "59800"]);
    assert_eq!(lille.population, Some(238_246));
    let denis = get("com:93066");
    assert_eq!(
        texts(&denis.parents),
        ["epci:200054781", "ept:200057867", "arr:933", "dep:93", "reg:11"]
    );
    assert_eq!(get("com:01001").postal_codes, ["01400"]);
    assert_eq!(texts(&get("coma:59355").parents)[..2], ["com:59350", "epci:200093201"]);
    assert_eq!(texts(&get("arm:75101").parents)[0], "com:75056");
    assert_eq!(texts(&get("arr:595").parents), ["dep:59", "reg:32"]);
    assert_eq!(texts(&get("dep:2A").parents), ["reg:94"]);
    assert_eq!(get("dep:59").label(), "Nord");
    assert!(get("reg:32").parents.is_empty());
    assert_eq!(texts(&get("fr:drom").parents), ["fr"]);
    assert_eq!(get("epci:200093201").epci_kind, Some(EpciKind::Metropole));
    assert_eq!(get("epci:200046977").epci_kind, Some(EpciKind::MetropoleDeLyon));
    assert_eq!(get("com:98415").population, None);
    assert!(get("com:98818").parents.contains(&code("reg:988")));
}

#[test]
fn an_epci_across_departements_lists_each() {
    let reference = Reference::builtin();
    let across = reference
        .table
        .level(Level::Epci)
        .filter_map(|unit| reference.territory(unit))
        .find(|epci| epci.parents.iter().filter(|up| up.level == Level::Dep).count() > 1)
        .unwrap();
    assert_eq!(across.department, None);
    assert_eq!(across.label(), across.name);
}

#[test]
fn members_are_one_level_down() {
    let reference = Reference::builtin();
    let members = |text: &str| texts(&reference.members(&code(text)));
    assert_eq!(members("fr:drom"), ["reg:01", "reg:02", "reg:03", "reg:04", "reg:06"]);
    assert_eq!(members("fr").len(), 26);
    assert_eq!(members("reg:32"), ["dep:02", "dep:59", "dep:60", "dep:62", "dep:80"]);
    let north = members("dep:59");
    assert_eq!(north.iter().filter(|m| m.starts_with("arr:")).count(), 6);
    assert_eq!(north.len(), 6 + 647);
    assert!(north.windows(2).skip(6).all(|w| w[0] < w[1]));
    assert_eq!(members("com:59350"), ["coma:59298", "coma:59355"]);
    assert_eq!(members("com:75056").len(), 20);
    assert_eq!(members("epci:200093201").len(), 95);
    assert!(members("coma:59355").is_empty());
    assert!(members("canton:5901").is_empty());
    assert!(members("com:59999").is_empty());
}

#[test]
fn what_the_cog_does_not_list_has_no_answer() {
    let reference = Reference::builtin();
    for text in ["canton:5901", "qpv:QN05901M", "com:59355", "com:59999", "epci:200057867"] {
        assert!(reference.get(&code(text)).is_none(), "{text}");
        assert!(reference.communes(&code(text)).is_none(), "{text}");
    }
    assert!(reference.communes(&code("coma:59355")).is_none());
}

#[test]
fn populations_add_up_at_every_level() {
    let reference = Reference::builtin();
    let sum = |level: Level| {
        let units = reference.table.level(level);
        units.filter_map(|unit| reference.table.population(unit)).sum::<u64>()
    };
    assert_eq!(sum(Level::Com), sum(Level::Dep));
    assert_eq!(sum(Level::Com), sum(Level::Reg));
    assert_eq!(get("fr").population, Some(sum(Level::Com)));
}

#[test]
fn an_empty_reference_answers_nothing() {
    let nothing = Reference::default();
    assert_eq!(nothing.commune_count(), 0);
    assert_eq!(nothing.carry("59350"), Carry::Unknown);
    assert!(nothing.resolve("dep:59").is_err());
    assert!(nothing.search("lille", None, 5).is_empty());
    assert!(nothing.communes(&code("fr")).is_some_and(|set| set.is_empty()));
}

fn plain() -> String {
    let mut text = String::new();
    DeflateDecoder::new(BUILTIN).read_to_string(&mut text).unwrap();
    text
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    match Reference::from_bytes(bytes) {
        Err(Error::Refused(text)) => text.fr,
        other => panic!("{other:?}"),
    }
}

#[test]
fn damaged_tables_are_refused_with_their_line() {
    let text = plain();
    assert_eq!(Reference::from_bytes(&packed(&text)).unwrap().id(), Reference::builtin().id());
    let lines: BTreeMap<&str, usize> = text.lines().zip(1..).collect();
    for (old, new) in [
        ("socle-cog\t2\t", "socle-cog\t1\t"),
        ("\tNord\t32\n", "\tNord\t33\n"),
        ("59\tNord\t", "2C\tNord\t"),
        ("\n02\tMartinique\t", "\n01\tMartinique\t"),
        ("01\tGuadeloupe\tdrom", "01\tGuadeloupe\tlune"),
        ("@com\t34969", "@com\t34968"),
        ("@com\t34969", "@com\t4294967295"),
        ("@com\t34969", "@com\t-1"),
        ("\n55273\t55386\t", "\n55273\t55273\t"),
        ("\n55273\t55386\t", "\n55273\t55386\t\n55273\t55386\t"),
        ("\n2019-01-01\t32\t", "\n2019-13-01\t32\t"),
        ("\n2019-01-01\t32\t60455\t", "\n2019-01-01\t32\t6045\t"),
        ("\n200012060\tCC", "\n200093201\tCC"),
    ] {
        assert!(text.contains(old), "{old:?}");
        let refusal = refusal(&packed(&text.replacen(old, new, 1)));
        assert!(refusal.contains("ligne"), "{refusal}");
    }
    let zone = text.replacen("01\tGuadeloupe\tdrom", "01\tGuadeloupe\tlune", 1);
    let line = lines["01\tGuadeloupe\tdrom"];
    assert!(refusal(&packed(&zone)).contains(&format!("ligne {line}.")));
    for bytes in [&b""[..], b"\0", b"socle-cog", &BUILTIN[..BUILTIN.len() / 2]] {
        refusal(bytes);
    }
    refusal(&packed(&format!("{text}\n")));
    refusal(&packed(&text[..text.len() - 1]));
}

#[test]
fn a_table_that_unpacks_without_end_is_refused() {
    let bomb = packed(&"\n".repeat(64 << 20));
    assert!(bomb.len() < 1 << 20);
    assert!(refusal(&bomb).contains("trop gros"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_line_gone_or_a_byte_changed_never_panics(at in 0_usize..1_800_000, byte in 32_u8..127) {
        let mut bytes = plain().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(reference) = Reference::from_bytes(&packed(&text))
        {
            reference.search("saint", None, 5);
        }
    }
}

/// A small set of ranks and its model.
fn ranks() -> impl Strategy<Value = BTreeSet<u32>> {
    proptest::collection::btree_set(0_u32..40, 0..30)
}

proptest! {
    #[test]
    fn rank_sets_are_sets(a in ranks(), b in ranks()) {
        let set = |ranks: &BTreeSet<u32>| RankSet::from_ranks(ranks.iter().rev().copied());
        let list = |set: &RankSet| set.iter().collect::<BTreeSet<u32>>();
        let (x, y) = (set(&a), set(&b));
        prop_assert_eq!(&list(&x), &a);
        prop_assert_eq!(x.len(), a.len());
        prop_assert_eq!(x.is_empty(), a.is_empty());
        prop_assert_eq!(list(&x.union(&y)), &a | &b);
        prop_assert_eq!(list(&x.intersection(&y)), &a & &b);
        prop_assert_eq!(x.union(&y), set(&(&a | &b)));
        prop_assert_eq!(x.intersection(&y), set(&(&a & &b)));
        for rank in 0..42 {
            prop_assert_eq!(x.contains(rank), a.contains(&rank));
        }
    }

    #[test]
    fn ranges_in_any_order_make_the_same_set(
        ranges in proptest::collection::vec((0_u32..40, 0_u32..6), 0..12),
    ) {
        let ranges = ranges.into_iter().map(|(start, length)| start..start + length);
        let ranks = RankSet::from_ranks(ranges.clone().flatten());
        let set = RankSet::from_ranges(ranges.rev());
        prop_assert!(set.ranges().windows(2).all(|w| w[0].end < w[1].start));
        prop_assert_eq!(set, ranks);
    }
}

/// What no rule of thumb gets right: who is in no EPCI, and which EPCI no département holds.
#[test]
fn exceptions_are_told_as_they_are() {
    let reference = Reference::builtin();
    let metro = reference.communes(&code("fr:metro")).unwrap();
    let epci = reference.units(Level::Epci);
    let alone = |set: RankSet| -> Vec<String> {
        let alone = set.iter().filter(|rank| epci.of(*rank).is_none());
        alone.map(|rank| reference.commune(rank).unwrap().code.to_string()).collect()
    };
    let mut islands = alone(metro);
    islands.sort();
    assert_eq!(islands, ["22016", "29083", "29155", "85113"]);
    assert!(alone(reference.communes(&code("fr:drom")).unwrap()).is_empty());
    // Overseas collectivities have no EPCI, no arrondissement, and stand for their own région.
    let overseas = reference.communes(&code("fr:com")).unwrap();
    assert_eq!(alone(overseas.clone()).len(), overseas.len());
    for rank in overseas.iter() {
        let place = get(&reference.commune(rank).unwrap().to_string());
        let above: Vec<Level> = place.parents.iter().map(|p| p.level).collect();
        assert_eq!(above, [Level::Dep, Level::Reg], "{}", place.code);
        assert_eq!(place.parents[0].code, place.parents[1].code);
    }
    // Paris is of the metropolis, and of none of its EPT.
    let paris = get("com:75056");
    assert_eq!(texts(&paris.parents), ["epci:200054781", "arr:751", "dep:75", "reg:11"]);
    assert_eq!(get("epci:200054781").epci_kind, Some(EpciKind::Metropole));
    assert_eq!(reference.members(&paris.code).len(), 20);
    assert_eq!(get("arm:75101").parents.first(), Some(&paris.code));

    let across = |level: Level| {
        let many = |unit: &&Unit| {
            get(&unit.code.to_string()).parents.iter().filter(|p| p.level == level).count() > 1
        };
        epci.list.iter().filter(many).count()
    };
    assert_eq!((epci.list.len(), across(Level::Dep), across(Level::Reg)), (1_255, 89, 26));
    let four = get("epci:245900758");
    assert_eq!(texts(&four.parents), ["dep:59", "dep:62", "reg:32"]);
    let members = reference.communes(&four.code).unwrap();
    for side in ["dep:59", "dep:62"] {
        let side = reference.communes(&code(side)).unwrap();
        assert_eq!(side.intersection(&members).len(), 4);
    }
}
