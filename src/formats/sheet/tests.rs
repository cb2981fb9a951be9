use super::{read as read_within, write as write_within, *};
use crate::model::Cell;
use proptest::prelude::*;

fn read(bytes: Vec<u8>, kind: Option<Kind>, charset: Option<Charset>) -> Result<Table> {
    read_within(bytes, kind, charset, &Budget::default())
}

fn write(sheet: &Sheet, form: Form, extra: &[(&str, Sheet)]) -> Result<Vec<u8>> {
    write_within(sheet, form, extra, &Budget::default())
}

fn table(bytes: &[u8]) -> Table {
    read(bytes.to_vec(), None, None).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes.to_vec(), None, None) {
        Err(Error::Invalid(text)) => text.fr,
        other => panic!("{other:?}"),
    }
}

fn text(cell: &str) -> Cell {
    Cell::from(cell.to_owned())
}

#[test]
fn csv_comes_back_as_it_was() {
    let bytes = "code;nom;n\n01001;\"L'Abergement; dit\";1,50\n2A004;Ajaccio;\n".as_bytes();
    let read = table(bytes);
    assert_eq!(read.form, Form { kind: Kind::Csv, separator: b';', bom: false });
    assert_eq!(read.sheet.header, ["code", "nom", "n"]);
    assert_eq!(read.sheet.rows[1], [text("2A004"), text("Ajaccio"), Cell::Empty]);
    assert_eq!(read.sheet.lines, [2, 3]);
    assert_eq!(write(&read.sheet, read.form, &[]).unwrap(), bytes);
}

#[test]
fn encodings_are_found_and_excel_gets_its_mark_back() {
    let latin = table(b"code;libell\xe9\r\n01001;\xe9t\xe9\r\n");
    assert_eq!(latin.sheet.header[1], "libellé");
    assert!(latin.form.bom && latin.notes.iter().any(|n| n.fr.contains("Windows-1252")));
    let marked = table("\u{feff}code,nom\n01001,été\n".as_bytes());
    assert_eq!((marked.sheet.header[0].as_str(), marked.form.bom), ("code", true));
    assert!(write(&marked.sheet, marked.form, &[]).unwrap().starts_with(b"\xef\xbb\xbfcode,nom\n"));
    let wide: Vec<u8> =
        "\u{feff}code\tnom\n01001\tété\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(table(&wide).sheet.rows[0][1], text("été"));
    let told = table(b"sep=,\ncode,nom\n01001,a;b\n");
    assert_eq!((told.form.separator, told.sheet.lines[0]), (b',', 3));
    let bare = table(b"59350\n59009\n");
    assert_eq!((bare.sheet.header[0].as_str(), bare.sheet.rows.len()), ("col_1", 2));
}

#[test]
fn what_is_no_table_is_refused_with_its_line() {
    for empty in ["", "\n\n", "code;nom\n", "[]", "{\"rows\":[]}", "[{}]"] {
        assert!(refusal(empty.as_bytes()).contains("vide"), "{empty}");
    }
    assert!(refusal(b"a;b\n1;2\n1;2;3\n").contains("Ligne 3 : 3 cellules au lieu de 2"));
    assert!(refusal(b"[{\"a\":1},\n 5]").contains("ligne 2"));
    assert!(refusal(b"{\"a\":1}").contains("rows"));
    assert!(refusal(b"PK\x03\x04 no archive").contains("Excel"));
    assert!(refusal(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1]).contains(".xls"));
}

#[test]
fn json_keeps_order_types_and_digits() {
    let bytes = br#"{"rows":[{"z":"01001","a":1.10,"m":{"x":[1]}},{"a":12345678901234567890,"b":null,"z":""}],"more":1}"#;
    let read = table(bytes);
    assert_eq!(read.sheet.header, ["z", "a", "m", "b"]);
    assert_eq!(read.sheet.rows[0][1], Cell::Json("1.10".into()));
    let out = write(&read.sheet, read.form, &[]).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "[{\"z\":\"01001\",\"a\":1.10,\"m\":{\"x\":[1]},\"b\":null},\n{\"z\":null,\"a\":12345678901234567890,\"m\":null,\"b\":null}]"
    );
    let twice = Sheet {
        header: vec!["a".into(), "a".into()],
        rows: vec![vec![text("1"), text("2")]],
        lines: vec![1],
    };
    let out = write(&twice, Form::usual(Kind::Json), &[]).unwrap();
    assert_eq!(out, br#"[{"a":"1","a_2":"2"}]"#);
}

#[test]
fn workbooks_keep_texts_numbers_dates_and_truth() {
    let moment = |serial: f64, text: &str| Cell::Moment { serial, text: text.into() };
    let rows = vec![
        vec![text("01001"), Cell::Number(12.5), moment(45_322.0, "2024-01-31"), Cell::Bool(true)],
        vec![text("2A004"), Cell::Empty, moment(45_322.25, "2024-01-31T06:00:00"), Cell::Empty],
    ];
    let header = ["code", "n", "le", "ok"].map(str::to_owned).to_vec();
    let sheet = Sheet { header, rows, lines: vec![2, 3] };
    let other = Sheet { header: vec!["x".into()], ..Sheet::default() };
    let bytes = write(&sheet, Form::usual(Kind::Xlsx), &[("Résumé", other)]).unwrap();
    let read = table(&bytes);
    assert_eq!(read.sheet, sheet);
    assert_eq!(read.form.kind, Kind::Xlsx);
    assert!(read.notes[0].fr.contains("« Table »"), "{:?}", read.notes);
}

/// A workbook whose one sheet has this content.
fn book(data: &str) -> Vec<u8> {
    book_with(data, &[])
}

/// The same, with more parts.
fn book_with(data: &str, more: &[(&str, String)]) -> Vec<u8> {
    use std::io::Write;
    let parts = [
        ("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>".to_owned()),
        ("_rels/.rels", "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>".to_owned()),
        ("xl/workbook.xml", "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"a\"/></sheets></workbook>".to_owned()),
        ("xl/_rels/workbook.xml.rels", "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"a\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>".to_owned()),
        ("xl/worksheets/sheet1.xml", format!("<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>{data}</sheetData></worksheet>")),
    ];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in parts.iter().chain(more) {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_workbook_that_claims_a_huge_sheet_costs_what_it_holds() {
    let far = book(
        "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"1048576\"><c r=\"A1048576\"><v>2</v></c></row>",
    );
    let read = table(&far);
    assert_eq!((read.sheet.rows.len(), read.sheet.lines[0]), (1, 1_048_576));
    assert!(refusal(&book("<row r=\"1\"><c r=\"XFD1\"><v>1</v></c></row>")).contains("4096"));
    let beyond = book(
        "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"2\"><c r=\"C2\"><v>2</v></c></row>",
    );
    assert!(refusal(&beyond).contains("Ligne 2"));
}

/// What a budget of so many MiB says of a table; `None`: it is read.
fn beyond(bytes: &[u8], mib: usize) -> Option<String> {
    match read_within(bytes.to_vec(), None, None, &Budget::new(Some(mib << 20), None)) {
        Ok(_) => None,
        Err(Error::Invalid(text)) => Some(text.fr),
        other => panic!("{other:?}"),
    }
}

/// A small file that spells out a large table costs what it holds, and is refused before it does.
#[test]
fn a_table_has_the_memory_it_is_given_and_no_more() {
    let wide = format!("{}x", "x;".repeat(4000));
    let csv = format!("{wide}\n{}", "1\n".repeat(9000));
    assert!(csv.len() < 30_000);
    let names: Vec<String> = (0..4000).map(|n| format!("\"a{n}\":0")).collect();
    let json = format!("[{{{}}}{}]", names.join(","), ",{}".repeat(9000));
    let cells: String = (2..9000)
        .map(|row| format!("<row r=\"{row}\"><c r=\"A{row}\"><v>1</v></c></row>"))
        .collect();
    let first = "<row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"EWV1\"><v>2</v></c></row>";
    let padded = book(&format!("{first}{cells}"));
    for (table, kind) in [(csv.as_bytes(), "csv"), (json.as_bytes(), "json"), (&padded, "xlsx")] {
        let said = beyond(table, 64).unwrap_or_else(|| panic!("{kind} was read"));
        assert!(said.contains("plus de 64 Mio") && said.contains("Coupez-la"), "{kind}: {said}");
    }
    let long = "é".repeat(1 << 19);
    let shared = format!(
        "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><si><t>{long}</t></si></sst>"
    );
    let cells: String = (1..200)
        .map(|row| format!("<row r=\"{row}\"><c r=\"A{row}\" t=\"s\"><v>0</v></c></row>"))
        .collect();
    let shared = book_with(&cells, &[("xl/sharedStrings.xml", shared)]);
    assert!(shared.len() < 30_000);
    assert!(beyond(&shared, 64).is_some_and(|said| said.contains("64 Mio")));
    assert_eq!(beyond(&shared, 512), None);
    // What is written counts too: each object spells out the names.
    let sheet = Sheet {
        header: vec!["n".repeat(10_000)],
        rows: vec![vec![Cell::Bool(true)]; 200],
        lines: (1..=200).collect(),
    };
    let budget = Budget::new(Some(1 << 20), None);
    let written = write_within(&sheet, Form::usual(Kind::Json), &[], &budget);
    assert!(matches!(written, Err(Error::Invalid(_))));
    assert!(
        write_within(&sheet, Form::usual(Kind::Csv), &[], &Budget::new(Some(1 << 20), None))
            .is_ok()
    );
}

/// Room is made for as many shared texts as a workbook announces before it is looked for one.
#[test]
fn a_workbook_announces_no_more_texts_than_it_can_hold() {
    let cells = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c></row><row r=\"2\"><c r=\"A2\"><v>1</v></c></row>";
    let named = |part: &str, count: &str| {
        let texts = format!(
            "<?xml version=\"1.0\"?><!-- {} --><x:sst xmlns:x=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" uniqueCount=\"{count}\"><x:si><x:t>code</x:t></x:si></x:sst>",
            " ".repeat(9_000)
        );
        book_with(cells, &[(part, texts)])
    };
    let part = "xl/sharedStrings.xml";
    assert_eq!(beyond(&named(part, "1"), 64), None);
    for count in ["4000000000", "18446744073709551615", "+1000000000000"] {
        let said = beyond(&named(part, count), 64);
        assert!(said.as_ref().is_some_and(|s| s.contains("illisible")), "{count}: {said:?}");
    }
    // Nor may another element hide it.
    let hidden = "<a><sst uniqueCount=\"4000000000\"><si><t>code</t></si></sst></a>".to_owned();
    let said = beyond(&book_with(cells, &[(part, hidden)]), 64);
    assert!(said.as_ref().is_some_and(|s| s.contains("illisible")), "{said:?}");
}

#[test]
fn reading_and_writing_end_when_the_time_is_up() {
    let late = || Budget::new(None, Some(std::time::Instant::now()));
    for table in [
        &b"code\n01001\n"[..],
        b"[{\"code\":\"01001\"}]",
        &book("<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>"),
    ] {
        let read = read_within(table.to_vec(), None, None, &late());
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    }
    let sheet = table(b"code\n01001\n").sheet;
    for kind in Kind::ALL {
        let written = write_within(&sheet, Form::usual(kind), &[], &late());
        assert!(matches!(written, Err(Error::Unavailable(_))), "{kind:?}");
    }
}

#[test]
fn a_text_that_a_form_cannot_hold_is_refused_where_it_is() {
    let half = refusal(b"[{\"code\":\"01001\"},{\"code\":\"01004\",\"nom\":\"a\\ud800b\"}]");
    assert!(half.contains("Objet 2") && half.contains("nom"), "{half}");
    let pair = table(b"[{\"nom\":\"\\ud83d\\ude00\"}]");
    assert_eq!(pair.sheet.rows[0][0], text("\u{1f600}"));
    let of = |long: String| Sheet {
        header: vec!["code".into(), "note".into()],
        rows: vec![vec![text("01001"), Cell::Empty], vec![text("01004"), text(&long)]],
        lines: vec![2, 5],
    };
    let xlsx = Form::usual(Kind::Xlsx);
    let most = write(&of("é".repeat(32_767)), xlsx, &[]).unwrap();
    assert_eq!(table(&most).sheet.cell(1, 1).text().chars().count(), 32_767);
    let Err(Error::Invalid(said)) = write(&of("é".repeat(32_768)), xlsx, &[]) else { panic!() };
    for words in ["Ligne 5", "« note »", "32768", "f=csv"] {
        assert!(said.fr.contains(words), "{said}");
    }
}

#[test]
fn coordinates_have_their_usual_columns() {
    let header = |names: &[&str]| axes(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    assert_eq!(header(&["id", "lat", "lon"]), Some((2, 1)));
    assert_eq!(header(&["Longitude", "Latitude"]), Some((0, 1)));
    assert_eq!(header(&["x_l93", "y_l93"]), Some((0, 1)));
    assert_eq!(header(&["id", "nom"]), None);
    assert_eq!(coordinate(" 48,85 "), Some(48.85));
}

proptest! {
    #[test]
    fn any_bytes_are_a_table_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(table) = read(bytes, None, None) {
            prop_assert!(table.sheet.rows.iter().all(|row| row.len() == table.sheet.header.len()));
            prop_assert_eq!(table.sheet.rows.len(), table.sheet.lines.len());
        }
    }

    #[test]
    fn cells_survive_each_form(
        rows in proptest::collection::vec(proptest::collection::vec("[a-zé\"\n;,|=0-9 ]{0,6}", 3), 1..6),
    ) {
        let header = ["code", "b c", "é"].map(str::to_owned).to_vec();
        let kept = |row: &Vec<String>| row.iter().any(|cell| !cell.trim().is_empty());
        let rows: Vec<Vec<Cell>> = rows.iter().filter(|r| kept(r)).map(|r| r.iter().map(|c| text(c)).collect()).collect();
        prop_assume!(!rows.is_empty());
        let lines = (1..=rows.len() as u64).collect();
        let sheet = Sheet { header, rows, lines };
        let out = write(&sheet, Form::usual(Kind::Json), &[]).unwrap();
        prop_assert_eq!(&read(out, None, None).unwrap().sheet, &sheet);
        let form = Form::usual(Kind::Csv);
        let out = write(&sheet, form, &[]).unwrap();
        let back = ::csv::ReaderBuilder::new().delimiter(b';').from_reader(&out[3..]).records()
            .map(|r| r.unwrap().iter().map(text).collect::<Vec<_>>()).collect::<Vec<_>>();
        prop_assert_eq!(&back, &sheet.rows);
    }
}
