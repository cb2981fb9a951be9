use super::*;
use crate::territory::Verdict;
use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

async fn resolve(bytes: impl Into<Vec<u8>>, ask: Ask) -> Result<Resolved> {
    let resolver = Arc::new(Resolver::new(None));
    let sent = Sent { bytes: bytes.into(), kind: None, charset: None, held: None };
    resolver.resolve(sent, ask, &Reference::builtin(), None).await
}

/// The communes of 2018 as a table.
fn communes_of_2018(test: &str) -> Option<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/communes-2018.geojson.gz");
    let Ok(file) = File::open(&path) else {
        println!("skipped {test}: no communes-2018.geojson.gz");
        return None;
    };
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let codes = text.split("\"code\":").skip(1).filter_map(|rest| {
        Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned())
    });
    Some(format!("code\n{}\n", codes.collect::<Vec<_>>().join("\n")))
}

#[tokio::test]
async fn the_communes_of_2018_are_all_known() {
    let Some(table) = communes_of_2018("the_communes_of_2018_are_all_known") else { return };
    let ask = || Ask { add: vec!["epci".into(), "dep".into()], ..Ask::default() };
    // No commune of 2018, but what became of it is known all the same.
    let older = resolve("code\n55273\n60455\n", ask()).await.unwrap();
    assert_eq!(older.done.sheet.column(1).collect::<Vec<_>>(), ["55386", "60694"]);
    let done = resolve(table, ask()).await.unwrap();
    let counts: BTreeMap<&str, u64> =
        done.done.counts.iter().map(|(verdict, n)| (verdict.id(), *n)).collect();
    assert_eq!(
        counts,
        BTreeMap::from([("carried", 493), ("redefined", 319), ("unchanged", 34_545)])
    );
    assert_eq!(done.done.vintage, Some(2018));
    let reference = Reference::builtin();
    let to = |code: &str| {
        let row = done.done.sheet.column(0).position(|cell| cell == code).unwrap();
        let main = done.done.rows[row].fate.main.and_then(|rank| reference.commune(rank));
        main.unwrap().code.to_string()
    };
    assert_eq!(to("60455"), "60694");
    assert_eq!(done.done.rows.len(), 35_357);
    assert!(done.done.rows.iter().all(|row| row.fate.verdict != Verdict::Unknown));
}

#[tokio::test]
async fn the_form_is_that_of_the_table_or_the_one_asked_for() {
    let csv = "code,n\n60455,1\n";
    let same = resolve(csv, Ask::default()).await.unwrap();
    assert_eq!((same.form.kind, same.form.separator), (Kind::Csv, b','));
    assert!(String::from_utf8(same.bytes).unwrap().starts_with("code,n,socle_com,"));
    let book = resolve(csv, Ask { kind: Some(Kind::Xlsx), ..Ask::default() }).await.unwrap();
    let again = resolve(book.bytes, Ask::default()).await.unwrap();
    assert_eq!(again.form.kind, Kind::Xlsx);
    assert_eq!(again.done.sheet.cell(0, 0).text(), "60455");
    assert!(
        again.done.sheet.header.contains(&"socle_com_2".to_owned()),
        "{:?}",
        again.done.sheet.header
    );
    let json = resolve("[{\"code\":1001,\"x\":[1]}]", Ask::default()).await.unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&json.bytes).unwrap();
    assert_eq!(
        (rows[0]["socle_com"].as_str(), rows[0]["code"].as_i64()),
        (Some("01001"), Some(1001))
    );
}

#[tokio::test]
async fn wishes_that_cannot_be_met_say_what_can() {
    for (add, said) in [
        ("lune", "« lune »"),
        ("qpv", "ne se déduit pas de la commune"),
        ("communes:nom", "« communes:nom »"),
    ] {
        let ask = Ask { add: vec![add.into()], ..Ask::default() };
        let Err(Error::Invalid(text)) = resolve("code\n59350\n", ask).await else {
            panic!("{add}")
        };
        assert!(text.fr.contains(said), "{add}: {text}");
    }
    let many = Ask { add: vec!["epci".into(); 51], ..Ask::default() };
    assert!(resolve("code\n59350\n", many).await.is_err());
    let half = Ask { x: Some("code".into()), ..Ask::default() };
    assert!(matches!(resolve("code\n59350\n", half).await, Err(Error::Invalid(_))));
    let late = Ask { within: Some(Duration::ZERO), ..Ask::default() };
    assert!(matches!(resolve("code\n59350\n", late).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_table_takes_what_memory_it_may() {
    let csv = format!("code\n{}", "59350\n".repeat(20_000));
    let ask = |memory| Ask { memory: Some(memory), ..Ask::default() };
    assert!(resolve(csv.clone(), ask(256 << 20)).await.is_ok());
    let Err(Error::Invalid(said)) = resolve(csv, ask(12 << 20)).await else { panic!() };
    assert!(said.fr.contains("12 Mio") && said.fr.contains("Coupez-la"), "{said}");
}

/// Work that goes on after its sender has left keeps its turn, and its share of what bodies may
/// take up, until it has ended.
#[test]
fn the_turn_lasts_as_long_as_the_work() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        // The only thread for such work is busy until it is told.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv().is_ok());
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let sent = Sent {
            bytes: b"code\n59350\n".to_vec(),
            kind: None,
            charset: None,
            held: Some(Box::new(ended)),
        };
        let resolver = Arc::new(Resolver::new(None));
        let reference = Reference::builtin();
        let mut work = Box::pin(resolver.resolve(sent, Ask::default(), &reference, None));
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        assert_eq!(resolver.turns.available_permits(), AT_ONCE - 1);
        drop(go);
        busy.await.unwrap();
        // Dropped with the work.
        assert!(end.await.is_err());
        assert_eq!(resolver.turns.available_permits(), AT_ONCE);
    });
}
