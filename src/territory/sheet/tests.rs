use super::*;
use crate::{
    error::{Error, Result},
    formats::{encoding::Charset, sheet},
};
use proptest::prelude::*;
use std::time::Instant;

fn read(
    bytes: Vec<u8>,
    kind: Option<sheet::Kind>,
    charset: Option<Charset>,
) -> Result<sheet::Table> {
    sheet::read(bytes, kind, charset, &Budget::default())
}

fn carried_as(csv: &str, ask: &Ask, located: &[Located]) -> CarriedSheet {
    let sheet = read(csv.as_bytes().to_vec(), None, None).unwrap().sheet;
    let carrier = Carrier::new(Reference::builtin());
    let plan = carrier.plan(&sheet, ask).unwrap();
    let mut done = carrier.carry(sheet, &plan, ask, located).unwrap();
    carrier.widen(&mut done, ask, Vec::new()).unwrap();
    done
}

fn carried(csv: &str, ask: &Ask) -> CarriedSheet {
    carried_as(csv, ask, &[])
}

fn cell(out: &CarriedSheet, row: usize, column: &str) -> String {
    let at = out.sheet.header.iter().position(|name| name == column).unwrap();
    out.sheet.cell(row, at).text().into_owned()
}

#[test]
fn rows_get_their_commune_parents_and_verdict() {
    let add = vec![Add::Code(Level::Epci), Add::Code(Level::Dep), Add::Name(Level::Dep)];
    let ask = Ask { add, ..Ask::default() };
    let out = carried("Code INSEE;n\n60455;1\n1001;2\n01015;3\n99999;4\n75101;5\n", &ask);
    assert_eq!(cell(&out, 0, "socle_com"), "60694");
    assert_eq!(cell(&out, 0, "socle_verdict"), "carried");
    assert_eq!(cell(&out, 0, "socle_dep"), "60");
    assert_eq!(cell(&out, 0, "socle_dep_nom"), "Oise");
    assert_eq!(cell(&out, 1, "socle_com"), "01001");
    assert!(cell(&out, 1, "socle_note").contains("01001"));
    assert_eq!(cell(&out, 1, "Code INSEE"), "1001");
    assert_eq!(cell(&out, 2, "socle_candidats"), "com:01015 comd:01015");
    assert!(cell(&out, 2, "socle_note").contains("vérifiez laquelle"));
    assert_eq!(cell(&out, 3, "socle_com"), "");
    assert_eq!(cell(&out, 3, "socle_verdict"), "unknown");
    assert_eq!(cell(&out, 4, "socle_com"), "75056");
    assert_eq!(cell(&out, 4, "socle_candidats"), "arm:75101");
    assert!(out.detected.is_some_and(|d| d.last == 2018));
    assert_eq!(out.counts[&Verdict::Carried], 2);
    assert_eq!(out.counts.values().sum::<u64>(), 5);
}

#[test]
fn names_need_their_departement_when_several_bear_them() {
    let out = carried(
        "Commune,Département\nSaint-Denis,93\nSaint-Denis,\nLille,Nord\nNulle part,59\nHAVRE (LE),76\nst etienne,42\nLa Neuville-Garnier,60\nLille,Atlantide\nParis 1er Arrondissement,75\n,59\nBourg-en-Bresse,1\n",
        &Ask::default(),
    );
    let com = |row| cell(&out, row, "socle_com");
    assert_eq!(com(0), "93066");
    assert_eq!(com(1), "");
    assert_eq!(cell(&out, 1, "socle_verdict"), "undecidable");
    assert!(cell(&out, 1, "socle_candidats").contains("com:97411"));
    assert_eq!(com(2), "59350");
    assert_eq!(cell(&out, 3, "socle_verdict"), "unknown");
    assert_eq!(com(4), "76351");
    assert_eq!(com(5), "42218");
    // A commune of the past, by the name it had.
    assert_eq!((com(6).as_str(), cell(&out, 6, "socle_verdict").as_str()), ("60694", "carried"));
    assert!(cell(&out, 6, "socle_note").contains("60455"));
    assert!(cell(&out, 7, "socle_note").contains("Atlantide"));
    assert_eq!(com(8), "75056");
    assert_eq!(cell(&out, 9, "socle_verdict"), "unknown");
    assert_eq!(com(10), "01053");
}

#[test]
fn namesakes_that_are_one_commune_today_are_that_one() {
    // Gadancourt had a code in Seine-et-Oise, then one in the Val-d'Oise.
    let out = carried("commune;dep\nGadancourt;\nGadancourt;95\n", &Ask::default());
    for row in [0, 1] {
        assert_eq!(cell(&out, row, "socle_com"), "95040", "{}", cell(&out, row, "socle_note"));
        assert_eq!(cell(&out, row, "socle_verdict"), "carried");
    }
    assert_eq!(cell(&out, 0, "socle_candidats"), "");
    // Whatever the name, nothing is a candidate twice.
    let reference = Reference::builtin();
    let table = &reference.table;
    let old: Vec<&str> = (0..table.old.len() as u32).map(|at| table.old_names.get(at)).collect();
    let out = carried(&format!("commune\n{}\n", old.join("\n")), &Ask::default());
    for (row, name) in out.rows.iter().zip(old) {
        let mut once = row.candidates.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), row.candidates.len(), "{name}: {:?}", row.candidates);
        assert!(row.fate.verdict != Verdict::Undecidable || once.len() > 1, "{name}");
    }
}

#[test]
fn what_is_added_counts() {
    let sheet = read(format!("code\n{}", "59350\n".repeat(500)).into(), None, None).unwrap().sheet;
    let carrier = Carrier::new(Reference::builtin());
    let budget = Arc::new(Budget::new(Some(200_000), None));
    let mut ask = Ask { budget, ..Ask::default() };
    let plan = carrier.plan(&sheet, &ask).unwrap();
    let mut done = carrier.carry(sheet, &plan, &ask, &[]).unwrap();
    assert!(carrier.widen(&mut done.clone(), &ask, Vec::new()).is_ok());
    ask.budget = Arc::new(Budget::new(Some(200_000), None));
    ask.add = vec![Add::Name(Level::Epci); 50];
    assert!(matches!(carrier.widen(&mut done, &ask, Vec::new()), Err(Error::Invalid(_))));
}

#[test]
fn rows_that_meet_with_different_values_are_listed() {
    let table =
        "insee_com,statut,habitants\n93059,C,1\n93066,NC,2\n59350,C,3\n60455,C,4\n60694,C,4\n";
    let out = carried(table, &Ask { vintage: Some(2018), ..Ask::default() });
    assert_eq!(out.vintage, Some(2018));
    let [only] = out.conflicts.as_slice() else { panic!("{:?}", out.conflicts) };
    assert_eq!((only.commune.to_string().as_str(), only.codes.len()), ("com:93066", 2));
    assert_eq!(only.columns, ["statut", "habitants"]);
    assert_eq!(only.rows, [0, 1]);
    assert_eq!(cell(&out, 0, "socle_conflit"), "93066");
    assert_eq!(cell(&out, 3, "socle_conflit"), "");
    // A table with several rows of one code is of things in communes, not of communes.
    let out = carried("insee_com,statut\n93059,C\n93059,D\n93066,NC\n", &Ask::default());
    assert!(out.conflicts.is_empty());
    // Names differ because they are names.
    let out = carried("insee_com,nom\n93059,Pierrefitte\n93066,Saint-Denis\n", &Ask::default());
    assert!(out.conflicts.is_empty(), "{:?}", out.conflicts);
}

#[test]
fn columns_are_named_or_recognised_or_listed() {
    let sheet = |text: &str| read(text.as_bytes().to_vec(), None, None).unwrap().sheet;
    let carrier = Carrier::new(Reference::builtin());
    let nothing = sheet("a;b\nx;y\n");
    let refused = carrier.plan(&nothing, &Ask::default()).unwrap_err();
    assert!(refused.to_string().contains("a, b"), "{refused}");
    let ask = Ask { code: Some("c".into()), ..Ask::default() };
    assert!(carrier.plan(&nothing, &ask).unwrap_err().to_string().contains("« c »"));
    let by = |text: &str, ask: &Ask| carrier.plan(&sheet(text), ask).unwrap().by;
    // By what is in it, where no name tells.
    assert_eq!(by("x;truc\na;59350\nb;62041\n", &Ask::default()), By::Code(1));
    // `code` is a code of something else here.
    let place = Ask { place: Some((1, 2)), ..Ask::default() };
    assert_eq!(by("code;lon;lat\nA1;3.06;50.63\n", &place), By::Place { x: 1, y: 2 });
    assert_eq!(by("code;lon;lat\n59350;3.06;50.63\n", &place), By::Code(0));
    let named = Ask { by_place: true, ..place };
    assert_eq!(by("code;lon;lat\n59350;3.06;50.63\n", &named), By::Place { x: 1, y: 2 });
}

#[test]
fn a_place_decides_and_contradicts() {
    let reference = Reference::builtin();
    let rank = |code: &str| match reference.carry(code) {
        super::super::Carry::Current(rank) => rank,
        other => panic!("{code}: {other:?}"),
    };
    let at = |code: &str| Located::In(vec![rank(code)]);
    let located = [at("08454"), at("62041"), Located::Unreadable, at("59350")];
    let ask = Ask::default();
    let out = carried_as("code\n08227\n59350\n59350\n59350\n", &ask, &located);
    assert_eq!(
        (cell(&out, 0, "socle_com").as_str(), cell(&out, 0, "socle_verdict").as_str()),
        ("08454", "carried")
    );
    assert_eq!(cell(&out, 1, "socle_com"), "59350");
    assert!(cell(&out, 1, "socle_note").contains("com:62041"));
    assert!(cell(&out, 2, "socle_note").contains("illisibles"));
    assert_eq!(cell(&out, 3, "socle_note"), "");
    let ask = Ask { place: Some((0, 1)), by_place: true, ..Ask::default() };
    let located =
        [at("59350"), Located::In(Vec::new()), Located::Near(rank("62160")), Located::Nowhere];
    let out = carried_as("lon;lat\n1;2\n3;4\n5;6\n;7\n", &ask, &located);
    let verdicts: Vec<_> = (0..4).map(|row| cell(&out, row, "socle_verdict")).collect();
    assert_eq!(verdicts, ["located", "unknown", "located", "unknown"]);
    assert!(cell(&out, 2, "socle_note").contains("la plus proche"));
}

#[test]
fn columns_already_there_stay() {
    let once = carried("code;socle_com\n59350;mine\n", &Ask::default());
    assert_eq!(cell(&once, 0, "socle_com"), "mine");
    assert_eq!(cell(&once, 0, "socle_com_2"), "59350");
}

#[test]
fn there_is_an_end_to_patience() {
    let sheet = read(b"code\n59350\n".to_vec(), None, None).unwrap().sheet;
    let carrier = Carrier::new(Reference::builtin());
    let budget = Arc::new(Budget::new(None, Some(Instant::now())));
    let ask = Ask { budget, ..Ask::default() };
    let plan = carrier.plan(&sheet, &ask).unwrap();
    assert!(matches!(carrier.carry(sheet, &plan, &ask, &[]), Err(Error::Unavailable(_))));
}

proptest! {
    #[test]
    fn any_text_is_a_table_or_refused(text in r"\PC{0,60}(\n\PC{0,60}){0,5}") {
        let Ok(table) = read(text.into_bytes(), None, None) else { return Ok(()) };
        let carrier = Carrier::new(Reference::builtin());
        let rows = table.sheet.rows.len();
        let Ok(plan) = carrier.plan(&table.sheet, &Ask::default()) else { return Ok(()) };
        let mut out = carrier.carry(table.sheet, &plan, &Ask::default(), &[]).unwrap();
        carrier.widen(&mut out, &Ask::default(), Vec::new()).unwrap();
        prop_assert_eq!(out.sheet.rows.len(), rows);
        prop_assert!(out.sheet.rows.iter().all(|row| row.len() == out.sheet.header.len()));
    }

    #[test]
    fn carrying_twice_changes_nothing(codes in proptest::collection::vec("[0-9]{5}", 1..30)) {
        let named = Ask { code: Some("code".into()), ..Ask::default() };
        let once = carried(&format!("code\nx\n{}\n", codes.join("\n")), &named);
        let now: Vec<String> = (0..once.sheet.rows.len())
            .map(|i| cell(&once, i, "socle_com")).filter(|c| !c.is_empty()).collect();
        prop_assume!(!now.is_empty());
        let twice = carried(&format!("code\nx\n{}\n", now.join("\n")), &named);
        for (i, code) in now.iter().enumerate() {
            prop_assert_eq!(&cell(&twice, i + 1, "socle_com"), code);
        }
    }
}
