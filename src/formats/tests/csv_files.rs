use super::*;
use crate::model::RefusalReason;
use geo_types::{Geometry, Point};
use proptest::prelude::*;

fn read(text: &str) -> Whole {
    read_bytes("a.csv", text.as_bytes(), &source()).unwrap()
}

#[test]
fn a_french_spreadsheet() {
    let text = "Code INSEE;Nom;Population;Date;X;Y;Actif\r\n\
        01001;\"L'Abergement\r\n-Clémenciat\";776;01/02/2020;4,92;46,15;true\r\n\
        1002;Ambérieu;;;;;false\r\n";
    let bytes = encoding_rs::WINDOWS_1252.encode(text).0;
    let whole = read_bytes("a.csv", &bytes, &source()).unwrap();
    assert_eq!(whole.records.len(), 2);
    assert_eq!(whole.expected, Some(2));
    assert_eq!((whole.records[0].line, whole.records[1].line), (2, 4));
    assert_eq!(whole.kind("Code INSEE"), FieldKind::Text);
    assert_eq!(whole.value(1, "Code INSEE"), Value::Text("1002".into()));
    assert_eq!(whole.kind("Population"), FieldKind::Int);
    assert_eq!(whole.kind("Date"), FieldKind::Date);
    assert_eq!(whole.kind("X"), FieldKind::Float);
    assert_eq!(whole.kind("Actif"), FieldKind::Bool);
    assert_eq!(whole.value(0, "Nom"), Value::Text("L'Abergement\r\n-Clémenciat".into()));
    let point: Geometry<f64> = Point::new(4.92, 46.15).into();
    assert_eq!(whole.records[0].geometry, Some(point));
    assert_eq!(whole.records[1].geometry, None);
    for words in ["Windows-1252", "séparateur « ; »", "virgule décimale", "« X » et « Y »"]
    {
        assert!(whole.notes.contains(words), "{words} in {}", whole.notes);
    }
}

#[test]
fn broken_rows_are_refused_by_their_line() {
    let whole = read(
        "id,lon,lat,nom\n1,2.5,48,a\n2,abc,48,b\n3,2.5,48\n4,2.5,,d\n5,\"2.5\"x,48,e\n\n6,2.5,48,\"f\nf\"\n7,1,2,3,4\n8,2.5,nan,h\n9,2.5,48,i,\n",
    );
    let refused: Vec<_> = whole.refused.iter().map(|r| (r.line, r.reason)).collect();
    use RefusalReason::{BadCoordinate, BrokenRow};
    assert_eq!(
        refused,
        [
            (3, BadCoordinate),
            (4, BrokenRow),
            (5, BadCoordinate),
            (6, BrokenRow),
            (10, BrokenRow),
            (11, BadCoordinate)
        ]
    );
    assert_eq!(whole.refused[0].column.as_deref(), Some("lon"));
    assert_eq!(whole.refused[0].value.as_deref(), Some("abc"));
    assert_eq!(whole.refused[2].column.as_deref(), Some("lat"));
    assert_eq!(whole.records.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 8, 12]);
    // The refused coordinates did not turn the column into text.
    assert_eq!(whole.kind("lon"), FieldKind::Float);
    assert_eq!(whole.expected, Some(9));
    assert!(whole.notes.contains("cellules vides en trop"));
}

#[test]
fn separators_at_line_ends_make_no_column() {
    let whole = read("code;nom;;\n1;a;;\n2;b\n3;c;\n");
    assert_eq!(whole.names(), ["code", "nom"]);
    assert_eq!(whole.records.len(), 3);
    let whole = read("code;nom;;\n1;a;x;\n2;b\n");
    assert_eq!(whole.names(), ["code", "nom", "col_3", "col_4"]);
    assert_eq!(whole.refused.len(), 1);
    let whole = read("a;b;\n;;\n1;2;\n;;;\n");
    assert_eq!(whole.records.len(), 1);
    assert!(whole.notes.contains("entièrement vides, ignorées : 2"), "{}", whole.notes);
}

#[test]
fn options_override_detection() {
    let mut s = source();
    s.csv = CsvOptions {
        x: Some("est".into()),
        y: Some("NORD".into()),
        separator: Some(','),
        decimal: Some('.'),
        header: Some(true),
        text: vec!["n".into()],
        geometry: None,
    };
    s.encoding = Some("latin1".into());
    let whole = read_bytes("a.csv", b"n,est,Nord\n1,700000.5,6600000\n2,\"7,5\",1\n", &s).unwrap();
    assert_eq!(whole.value(0, "n"), Value::Text("1".into()));
    assert_eq!(whole.records.len(), 1);
    assert_eq!(whole.refused[0].value.as_deref(), Some("7,5"));
    assert!(whole.notes.contains("déclaré") && whole.notes.contains("degrés"), "{}", whole.notes);
    s.csv.x = Some("ouest".into());
    let words = refusal(read_bytes("a.csv", b"n,est,Nord\n1,2,3\n", &s));
    assert!(words.contains("ouest") && words.contains("Nord"), "{words}");
    s.csv.x = None;
    assert!(refusal(read_bytes("a.csv", b"n,est,Nord\n1,2,3\n", &s)).contains("les deux"));
    s.csv = CsvOptions { decimal: Some(';'), ..CsvOptions::default() };
    assert!(refusal(read_bytes("a.csv", b"a,b\n1,2\n", &s)).contains("marque décimale"));
    s.encoding = Some("klingon".into());
    assert!(refusal(read_bytes("a.csv", b"a,b\n1,2\n", &s)).contains("klingon"));
}

#[test]
fn without_header() {
    let mut s = source();
    s.csv.x = Some("col_2".into());
    s.csv.y = Some("col_3".into());
    let whole = read_bytes("a.csv", b"59350;3,05;50,63\n62041;2,77;50,29\n", &s).unwrap();
    assert_eq!(whole.names(), ["col_1", "col_2", "col_3"]);
    assert_eq!(whole.records.len(), 2);
    assert_eq!(whole.records[0].line, 1);
    assert!(whole.records[0].geometry.is_some());
}

#[test]
fn odd_files() {
    let whole = read("\u{feff}a;a;b\n1;2;e\u{301}\n");
    assert_eq!(whole.names(), ["a", "a_2", "b"]);
    assert_eq!(whole.value(0, "b"), Value::Text("é".into()));
    assert!(whole.notes.contains("renommée"));
    assert_eq!(read("a;b").records.len(), 0);
    assert_eq!(read("seule\nx\ny\n").records.len(), 2);
    let utf16: Vec<u8> = "\u{feff}a;b\nx;é\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let whole = read_bytes("a.csv", &utf16, &source()).unwrap();
    assert_eq!(whole.value(0, "b"), Value::Text("é".into()));
    assert!(refusal(read_bytes("a.csv", b"\"a;b\nc;d", &source())).contains("en-tête"));
    let wide = "a;".repeat(10_000);
    assert!(refusal(read_bytes("a.csv", wide.as_bytes(), &source())).contains("colonnes"));
}

#[test]
fn quotes_left_open_everywhere_end_soon() {
    // Each line opens a quote that the next lines' doubled quotes do not close.
    let text = format!("a;b\n{}", "x\"\"\";\"y\n".repeat(40_000));
    let words = refusal(read_bytes("a.csv", text.as_bytes(), &source()));
    assert!(words.contains("jamais refermés"), "{words}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_bytes("a.csv", &bytes, &source());
    }

    #[test]
    fn any_table_is_read_or_refused(text in "(lon|lat|a|[;,\"\n\r|0-9.é -]){0,80}") {
        let _ = read_bytes("a.csv", text.as_bytes(), &source());
    }
}
