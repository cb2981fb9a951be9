use super::{super::open_within, *};
use std::io::Write;
use zip::{ZipWriter, write::SimpleFileOptions};

const GEOJSON: &[u8] = br#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"a":1},"geometry":null}]}"#;
const CSV: &[u8] = b"a;b\n1;2\n";

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn with_member(member: &str) -> SourceDef {
    SourceDef { member: Some(member.into()), ..source() }
}

#[test]
fn gzip_files() {
    let whole = read_bytes("a.geojson.gz", &gzip(GEOJSON), &source()).unwrap();
    assert_eq!(whole.records.len(), 1);
    assert_eq!(whole.notes, "");
    // Two gzip members one behind the other are one file (RFC 1952).
    let two = [gzip(b"a;b\n"), gzip(b"1;2\n")].concat();
    assert_eq!(read_bytes("a.csv.gz", &two, &source()).unwrap().records.len(), 1);
    let packed = gzip(GEOJSON);
    let cut = packed.get(..packed.len() - 9).unwrap();
    assert!(refusal(read_bytes("a.gz", cut, &source())).contains("gzip tronqué"));
    assert!(refusal(read_bytes("a.gz", &gzip(&gzip(CSV)), &source())).contains("archive dans"));
    assert!(
        refusal(read_bytes("a.gz", &gzip(&zip(&[("a.csv", CSV)])), &source()))
            .contains("archive dans")
    );
    assert!(refusal(read_bytes("a.gz", &gzip(b"<html>"), &source())).contains("HTML"));
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![b' '; 40 << 20];
    let packed = gzip(&zeros);
    assert!(packed.len() < 100_000);
    assert!(refusal(read_bytes("a.gz", &packed, &source())).contains("bombe"));
    let packed = zip(&[("a.csv", &zeros)]);
    assert!(refusal(read_bytes("a.zip", &packed, &source())).contains("bombe"));
    // A zip that lies about what it unpacks to is caught while unpacking.
    let mut lying = packed;
    let size = (zeros.len() as u32).to_le_bytes();
    let places: Vec<usize> = memchr::memmem::find_iter(&lying, &size).collect();
    assert!(!places.is_empty());
    for at in places {
        lying[at..at + 4].copy_from_slice(&1000u32.to_le_bytes());
    }
    refusal(read_bytes("a.zip", &lying, &source()));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    std::fs::write(&path, gzip(GEOJSON)).unwrap();
    let limits = SourceLimits { max_unpacked: 50, ..SourceLimits::default() };
    let result = open_within(&path, "a.gz", &source(), dir.path(), &limits);
    let Err(Error::Refused(text)) = result else { panic!("not refused") };
    assert!(text.fr.contains("50 octets"));
}

#[test]
fn members_are_chosen() {
    let one = zip(&[("lisez-moi.txt", b"Bonjour"), ("__MACOSX/._a.csv", b"x"), ("d/a.csv", CSV)]);
    let whole = read_bytes("a.zip", &one, &source()).unwrap();
    assert_eq!(whole.records.len(), 1);
    assert!(whole.notes.contains("d/a.csv"));
    let two = zip(&[("a.csv", CSV), ("b.geojson", GEOJSON)]);
    let words = refusal(read_bytes("a.zip", &two, &source()));
    assert!(words.contains("a.csv, b.geojson"), "{words}");
    for member in ["b.geojson", "B", "b"] {
        let whole = read_bytes("a.zip", &two, &with_member(member)).unwrap();
        assert_eq!(whole.names(), ["a"]);
    }
    let words = refusal(read_bytes("a.zip", &two, &with_member("c")));
    assert!(words.contains("« c »") && words.contains("a.csv"), "{words}");
    let unnamed = zip(&[("export", GEOJSON)]);
    assert_eq!(read_bytes("a.zip", &unnamed, &source()).unwrap().records.len(), 1);
}

#[test]
fn hostile_and_foreign_zips() {
    let of = |entries: &[(&str, &[u8])]| refusal(read_bytes("a.zip", &zip(entries), &source()));
    assert!(of(&[("../../a.csv", CSV)]).contains("sort de son dossier"));
    assert!(of(&[("/etc/a.csv", CSV)]).contains("sort de son dossier"));
    assert!(of(&[("d\\..\\..\\a.csv", CSV)]).contains("sort de son dossier"));
    assert!(of(&[("a.zip", &zip(&[("a.csv", CSV)]))]).contains("archive dans"));
    assert!(of(&[("a.csv", &gzip(CSV))]).contains("archive dans"));
    assert!(of(&[("[Content_Types].xml", b"x"), ("xl/workbook.xml", b"x")]).contains("classeur"));
    assert!(of(&[("a.dbf", b"x"), ("a.prj", b"x")]).contains("sans fichier .shp"));
    assert!(of(&[("a.shp", b"x"), ("a.shx", b"x")]).contains("sans fichier .dbf"));
    assert!(of(&[("a.kml", b"x"), ("b.kml", b"x")]).contains("a.kml, b.kml"));
    assert!(of(&[]).contains("aucun fichier"));
    let many: Vec<String> = (0..10_001).map(|i| format!("{i}.csv")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|n| (n.as_str(), b"".as_slice())).collect();
    assert!(of(&many).contains("10001 entrées"));
    let sound = zip(&[("a.csv", CSV)]);
    for cut in [10, 40, sound.len() - 3] {
        assert!(refusal(read_bytes("a.zip", &sound[..cut], &source())).contains("zip"));
    }
    // The flag "encrypted" in the local and in the central header.
    let mut locked = sound;
    let central = memchr::memmem::find(&locked, b"PK\x01\x02").unwrap();
    locked[6] |= 1;
    locked[central + 8] |= 1;
    assert!(refusal(read_bytes("a.zip", &locked, &source())).contains("mot de passe"));
    let long = vec![b'x'; 5000];
    let mut corrupt = zip(&[("a.csv", &long)]);
    corrupt[45] ^= 0xff;
    refusal(read_bytes("a.zip", &corrupt, &source()));
}

#[test]
fn nothing_is_written_outside_the_workdir() {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let path = dir.path().join("a.zip");
    std::fs::write(&path, zip(&[("deep/er/a.csv", CSV), ("b.txt", b"x")])).unwrap();
    drop(open(&path, "a.zip", &source(), &work).unwrap());
    let written: Vec<_> =
        std::fs::read_dir(&work).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(written, ["member-0.csv"]);
}

proptest::proptest! {
    #[test]
    fn damaged_zips_never_panic(at in 0usize..300, byte in proptest::prelude::any::<u8>()) {
        let mut bytes = zip(&[("a.csv", CSV), ("b.txt", b"hello")]);
        let len = bytes.len();
        bytes[at % len] = byte;
        let _ = read_bytes("a.zip", &bytes, &source());
    }
}
