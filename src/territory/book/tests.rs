use super::{update::Update, *};
use std::{collections::BTreeMap, fs, io::Read, path::Path};

fn file(name: &str, text: impl Into<String>) -> CogFile {
    CogFile { name: name.to_owned(), bytes: text.into().into_bytes() }
}

/// The communes of a table as INSEE writes them, lines changed or dropped by `edit`.
fn v_commune(book: &Book, edit: impl Fn(&str, String) -> Option<String>) -> CogFile {
    let mut text =
        String::from("TYPECOM,COM,REG,DEP,CTCD,ARR,TNCC,NCC,NCCENR,LIBELLE,CAN,COMPARENT\n");
    let mut add = |code: &str, line: String| {
        if let Some(line) = edit(code, line) {
            text.push_str(&line);
            text.push('\n');
        }
    };
    for (code, com) in book.coms.iter().filter(|(_, com)| book.zone(&com.dep) != "com") {
        let reg = &book.deps[&com.dep].of;
        add(code, format!("COM,{code},{reg},{},,{},0,,,\"{}\",,", com.dep, com.arr, com.name));
    }
    for (kind, parts) in [("ARM", &book.arms), ("COMD", &book.comds), ("COMA", &book.comas)] {
        for (code, part) in parts {
            add(
                &format!("{kind}{code}"),
                format!("{kind},{code},,,,,0,,,\"{}\",,{}", part.name, part.parent),
            );
        }
    }
    file("v_commune_2027.csv", text)
}

fn refused(files: &[CogFile]) -> String {
    match update(&Reference::builtin(), files, None) {
        Err(Error::Refused(text)) => text.fr,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_laid_open_and_written_again_is_the_same() {
    let builtin = Reference::builtin();
    let again = Reference::from_bytes(&Book::of(&builtin).bytes().unwrap()).unwrap();
    assert_eq!(again.id(), builtin.id());
    assert!(builtin.compare(&again).is_empty());
}

#[test]
fn communes_merge_and_take_what_files_do_not_say_from_the_table() {
    let builtin = Reference::builtin();
    let book = Book::of(&builtin);
    // 62041 takes 62042 in, which becomes a commune déléguée; 59350 has another name.
    let mut file = v_commune(&book, |code, line| match code {
        "62042" => None,
        "59350" => Some(line.replace("Lille", "Lille-en-Flandre")),
        _ => Some(line),
    });
    file.bytes.extend_from_slice(b"COMD,62042,,,,,0,,,\"Ancienne\",,62041\n");
    let Update { bytes, .. } = update(&builtin, &[file], None).unwrap();
    let next = Reference::from_bytes(&bytes).unwrap();
    assert_eq!(next.vintage(), 2027);
    let seen = builtin.compare(&next);
    assert_eq!(seen.communes, (builtin.commune_count(), builtin.commune_count() - 1));
    let (to, from) = seen.merged.iter().next().unwrap();
    assert_eq!((to.code.as_str(), from[0].code.as_str()), ("62041", "62042"));
    assert_eq!((seen.merged.len(), seen.renamed.len()), (1, 1));
    assert!(
        seen.created.is_empty() && seen.dissolved.is_empty() && seen.regrouped.is_empty(),
        "{seen:?}"
    );
    let rank = |reference: &Reference, code: &str| match reference.carry(code) {
        crate::territory::Carry::Current(rank) | crate::territory::Carry::Carried(rank) => rank,
        other => panic!("{code}: {other:?}"),
    };
    assert_eq!(next.commune(rank(&next, "62042")).unwrap().code.as_str(), "62041");
    // Populations add up, postal codes and EPCI stay.
    let population = |reference: &Reference, code: &str| {
        reference.table.population(rank(reference, code)).unwrap()
    };
    let before = population(&builtin, "62041") + population(&builtin, "62042");
    assert_eq!(population(&next, "62041"), before);
    let epci = |reference: &Reference| {
        reference.get(&"com:62041".parse().unwrap()).unwrap().parents[0].clone()
    };
    assert_eq!(epci(&next), epci(&builtin));
    let passage = crate::territory::Passage::new(&std::sync::Arc::new(next), 2026);
    assert_eq!(passage.fate("62042").verdict, crate::territory::Verdict::Carried);
    assert_eq!(passage.fate("62041").verdict, crate::territory::Verdict::Redefined);
}

#[test]
fn the_package_gives_epci_and_remembers_the_dissolved() {
    let builtin = Reference::builtin();
    let book = Book::of(&builtin);
    let members = |epci: &str| {
        let members = book.coms.iter().filter(|(_, com)| com.epci == epci);
        members.map(|(code, _)| serde_json::json!({ "code": code })).collect::<Vec<_>>()
    };
    // 200093201 takes all of 200000172's members.
    let list: Vec<_> = book
        .epcis
        .iter()
        .filter(|(code, _)| *code != "200000172")
        .map(|(code, epci)| {
            let mut all = members(code);
            if code == "200093201" {
                all.extend(members("200000172"));
            }
            serde_json::json!({ "code": code, "nom": epci.name, "type": epci.of, "membres": all })
        })
        .collect();
    let files = [
        file("package.json", r#"{"name":"@etalab/decoupage-administratif","version":"7.0.0"}"#),
        file("epci.json", serde_json::Value::from(list).to_string()),
    ];
    let next = Reference::from_bytes(&update(&builtin, &files, None).unwrap().bytes).unwrap();
    assert_eq!((next.vintage(), next.source()), (2027, "@etalab/decoupage-administratif@7.0.0"));
    let seen = builtin.compare(&next);
    assert_eq!(seen.dissolved.iter().map(|c| c.code.as_str()).collect::<Vec<_>>(), ["200000172"]);
    assert_eq!(seen.regrouped.len(), members("200000172").len());
    let gone = next.dissolved(&"epci:200000172".parse().unwrap()).unwrap();
    assert_eq!((gone.last, gone.heirs[0].0.code.as_str()), (builtin.vintage(), "200093201"));
}

#[test]
fn what_does_not_hold_together_is_refused_with_its_lines() {
    let book = Book::of(&Reference::builtin());
    let spoiled = |code: &'static str, edit: fn(String) -> Option<String>| {
        refused(&[v_commune(
            &book,
            move |at, line| if at == code { edit(line) } else { Some(line) },
        )])
    };
    let text = spoiled("01001", |line| Some(line.replace(",84,01,", ",84,00,")));
    assert!(
        text.contains("v_commune_2027.csv:2 : com:01001 : département « 00 » inconnu"),
        "{text}"
    );
    let text = spoiled("01002", |line| Some(line.replace(",84,01,", ",32,01,")));
    assert!(
        text.contains(":3 : com:01002 : son département est de la région 84, non 32"),
        "{text}"
    );
    let text = spoiled("01002", |line| Some(line.replace("01002", "01001")));
    assert!(text.contains(":3 : com:01001 est donné deux fois"), "{text}");
    let text = spoiled("COMD01015", |line| {
        Some(line.replace(",01015\n", "").replace("\",,01015", "\",,99999"))
    });
    assert!(text.contains("comd:01015 : sa commune « 99999 » n'existe pas"), "{text}");
    let text = spoiled("01001", |line| Some(line.replace("COM,", "ZZ,")));
    assert!(text.contains("TYPECOM « ZZ »"), "{text}");
    let text = refused(&[v_commune(&book, |code, line| {
        (!code.starts_with("59") && !line.contains(",59")).then_some(line)
    })]);
    assert!(text.contains("dep:59 n'a aucune commune"), "{text}");
    let text = refused(&[v_commune(&book, |code, line| {
        (code < "60" || code.starts_with('C')).then_some(line)
    })]);
    assert!(text.contains("livraison incomplète") || text.contains("n'existe pas"), "{text}");
    assert!(refused(&[file("x.csv", "a,b\n1,2\n")]).contains("Colonnes : a, b"));
    assert!(refused(&[file("x.json", "[{]")]).contains("x.json : JSON illisible, ligne 1"));
    assert!(
        refused(&[file("x.csv", "TYPECOM,COM,LIBELLE,COMPARENT\nCOM,01\n")]).contains("ligne 2")
    );
    let epci = file(
        "epci.json",
        r#"[{"code":"200093201","nom":"X","type":"METRO","membres":[{"code":"99999"}]}]"#,
    );
    assert!(matches!(
        update(&Reference::builtin(), std::slice::from_ref(&epci), None),
        Err(Error::Invalid(_))
    ));
    match update(&Reference::builtin(), &[epci], Some(2027)) {
        Err(Error::Refused(text)) => {
            assert!(text.fr.contains("epci.json:1 : 200093201 : son membre 99999"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}

/// INSEE's files of 2024, as they are.
fn insee_2024(test: &str) -> Option<Vec<CogFile>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cog-insee-2024");
    let mut files = Vec::new();
    for name in [
        "communes.csv.gz",
        "departements.csv",
        "regions.csv",
        "arrondissements.csv",
        "mouvements-communes.csv.gz",
    ] {
        let Ok(raw) = fs::read(folder.join(name)) else {
            println!("skipped {test}: no cog-insee-2024/{name}");
            return None;
        };
        let mut bytes = Vec::new();
        match name.ends_with(".gz") {
            true => drop(
                flate2::read::MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut bytes).unwrap(),
            ),
            false => bytes = raw,
        }
        files.push(CogFile { name: name.trim_end_matches(".gz").to_owned(), bytes });
    }
    Some(files)
}

#[test]
fn insee_s_own_files_give_the_cog_of_2024_and_its_movements() {
    let Some(files) = insee_2024("insee_s_own_files_give_the_cog_of_2024_and_its_movements") else {
        return;
    };
    let builtin = Reference::builtin();
    let Update { bytes, notes } = update(&builtin, &files, Some(2024)).unwrap();
    let made = Reference::from_bytes(&bytes).unwrap();
    let book = Book::of(&made);
    let listed = book.coms.values().filter(|com| book.zone(&com.dep) != "com").count();
    assert_eq!(
        (listed, book.comds.len(), book.comas.len(), book.arms.len()),
        (34_935, 2_081, 483, 45)
    );
    // The communes of each year are those that the compiled table gives.
    for year in [1950, 1968, 1990, 2008, 2016, 2018, 2020, 2023, 2024] {
        let (ours, theirs) = (builtin.communes_in_year(year), made.communes_in_year(year));
        assert!(ours.unwrap().abs_diff(theirs.unwrap()) <= 4, "{year}: {ours:?} {theirs:?}");
    }
    // The same movements as ours, but for what the file tells and the packages do not, and a few
    // dates.
    let pairs = |book: &Book| -> BTreeMap<(String, String), u32> {
        let real = book
            .moves
            .iter()
            .filter(|s| !s.from.is_empty() && s.from != s.to && s.date <= 20_240_101);
        real.map(|s| ((s.from.clone(), s.to.clone()), s.date)).collect()
    };
    let (ours, theirs) = (pairs(&Book::of(&builtin)), pairs(&book));
    let created: Vec<_> = book.moves.iter().filter(|s| s.kind == 20 && s.from != s.to).collect();
    // Two of Italy's came without one, and one of Guyane.
    let orphans: Vec<&str> =
        created.iter().filter(|s| s.from.is_empty()).map(|s| s.to.as_str()).collect();
    assert_eq!(orphans, ["06162", "06163", "97311"]);
    let mothers = theirs
        .keys()
        .filter(|pair| !ours.contains_key(*pair))
        .filter(|(_, to)| created.iter().any(|s| s.to == *to))
        .count();
    assert!(mothers >= 72, "{mothers}");
    let strangers: Vec<_> = theirs
        .keys()
        .filter(|pair| !ours.contains_key(*pair))
        .filter(|(_, to)| !created.iter().any(|s| s.to == *to))
        .collect();
    let lost: Vec<_> = ours.keys().filter(|pair| !theirs.contains_key(*pair)).collect();
    // 49382 was a commune for the one day between two years: the packages do not see it.
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(strangers, [&pair("44060", "49382"), &pair("49382", "49160")], "{notes:?}");
    assert_eq!(lost, [&pair("44060", "49160")]);
    // A commune of the past that neither names a part nor moves is nowhere left out.
    let unknown: Vec<_> = Book::of(&builtin)
        .old
        .keys()
        .filter(|code| !book.coms.contains_key(*code) && !book.old.contains_key(*code))
        .cloned()
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_delivery_that_does_not_hold_together_is_refused_where_it_does_not() {
    let book = Book::of(&Reference::builtin());
    let communes = v_commune(&book, |_, line| Some(line));
    let again = CogFile { name: "v_commune_2027_bis.csv".into(), ..communes.clone() };
    let said = refused(&[communes.clone(), again]);
    assert!(said.contains("bis.csv") && said.contains("« v_commune_2027.csv »"), "{said}");
    let regions = |name: &str, rows: &str| file(name, format!("REG,CHEFLIEU,LIBELLE\n{rows}"));
    let all = |edit: &str| {
        let regs = book.regs.iter().filter(|(_, reg)| reg.of != "com");
        let rows: String = regs.map(|(code, reg)| format!("{code},,{}\n", reg.name)).collect();
        format!("{rows}{edit}")
    };
    let older = regions("v_region_2026.csv", &all(""));
    let said = refused(&[communes.clone(), older]);
    assert!(said.contains("2026") && said.contains("2027"), "{said}");
    let odd = regions("v_region_2027.csv", &all("32,,Twice\n3?,,Odd\n"));
    let said = refused(&[communes.clone(), odd]);
    assert!(said.contains("reg:32 est donné deux fois"), "{said}");
    assert!(said.contains("v_region_2027.csv:") && said.contains("« 3? »"), "{said}");
    // Another year than the one that files name.
    let asked = update(&Reference::builtin(), std::slice::from_ref(&communes), Some(2028));
    assert!(matches!(asked, Err(Error::Invalid(_))), "{asked:?}");
    // Parts or EPCI that are simply not there would be taken for gone.
    let bare = v_commune(&book, |code, line| (!code.starts_with("ARM")).then_some(line));
    assert!(refused(&[bare]).contains("0 arrondissements municipaux, au lieu de"));
    let few = r#"[{"code":"200093201","nom":"MEL","type":"METRO","membres":[{"code":"59350"}]}]"#;
    let package = |version: &str| {
        file(
            "package.json",
            format!(r#"{{"name":"@etalab/decoupage-administratif","version":"{version}"}}"#),
        )
    };
    assert!(
        refused(&[package("7.0.0"), file("epci.json", few)]).contains("1 communes dans un EPCI")
    );
    let odd = few.replace("METRO", "XX");
    assert!(refused(&[package("7.0.0"), file("epci.json", odd)]).contains("nature « XX »"));
    for version in ["65535.0.0", "900.0.0", "latest"] {
        assert!(refused(&[package(version)]).contains(version), "{version}");
    }
}
