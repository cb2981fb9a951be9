//! Tables: workbooks, and delimited text with whole geometries in a column.

use super::*;
use rust_xlsxwriter::Workbook;

fn csv(text: &str) -> Whole {
    read_bytes("a.csv", text.as_bytes(), &source()).unwrap()
}

fn x(whole: &Whole, row: usize) -> Option<(f64, f64)> {
    use geo::CoordsIter;
    let c = whole.records[row].geometry.as_ref()?.coords_iter().next()?;
    Some((c.x, c.y))
}

#[test]
fn a_column_of_whole_geometries_is_the_geometry_and_no_attribute() {
    let whole = csv("nom;wkt\nA;POINT(2 48)\nB;\nC;\"POLYGON((0 0,1 0,1 1,0 0))\"\nD;\n");
    assert_eq!(whole.names(), ["nom"]);
    assert_eq!(
        (x(&whole, 0), x(&whole, 1), x(&whole, 2)),
        (Some((2.0, 48.0)), None, Some((0.0, 0.0)))
    );
    assert!(whole.notes.contains("géométrie dans « wkt » : WKT (détecté)"), "{}", whole.notes);
    // What a portal writes: a shape beside a point, both named; the shape wins and the point stays.
    let whole = csv(
        "geo_point_2d,geo_shape,n\n\"48.5, 2.5\",\"{\"\"type\"\":\"\"Point\"\",\"\"coordinates\"\":[2.5,48.5]}\",1\n",
    );
    assert_eq!(whole.names(), ["geo_point_2d", "n"]);
    assert_eq!(x(&whole, 0), Some((2.5, 48.5)));
    let pair = csv("geo_point_2d;n\n48.5, 2.5;1\n48.6,2.6;2\n");
    assert_eq!((x(&pair, 0), x(&pair, 1)), (Some((2.5, 48.5)), Some((2.6, 48.6))));
    assert_eq!(pair.names(), ["geo_point_2d", "n"]);
    let named = csv("n;geo_point_2d\n1;\"{\"\"lon\"\": 2.5, \"\"lat\"\": 48.5}\"\n");
    assert_eq!(x(&named, 0), Some((2.5, 48.5)));
    let irve = csv("coordonneesXY;n\n\"[2.5, 48.5]\";1\n");
    assert_eq!(x(&irve, 0), Some((2.5, 48.5)));
    // Geometries that nobody can read give way to coordinates beside them.
    let broken = csv("wkt;lon;lat\nPOLYGON(1 2, 3 4);2.5;48.5\n;2.6;48.6\n");
    assert_eq!((x(&broken, 0), broken.names().len()), (Some((2.5, 48.5)), 3));
    let readable = csv("wkt;lon;lat\nPOLYGON(1 2, 3 4);2.5;48.5\nPOINT(3 4);2.6;48.6\n");
    assert_eq!((readable.records.len(), readable.refused.len()), (1, 1));
    // Coordinates that are declared go before what looks like a geometry.
    let declared = SourceDef {
        csv: CsvOptions { x: Some("x".into()), y: Some("y".into()), ..CsvOptions::default() },
        ..source()
    };
    let both = read_bytes("a.csv", b"x;y;wkt\n1;2;POINT(3 4)\n", &declared).unwrap();
    assert_eq!((x(&both, 0), both.names().len()), (Some((1.0, 2.0)), 3));
}

#[test]
fn geometries_that_are_none_are_refused_by_their_line() {
    let declared = SourceDef {
        csv: CsvOptions { geometry: Some("g".into()), ..CsvOptions::default() },
        ..source()
    };
    let text = "n;g\n1;POINT(1 2)\n2;POINT(1\n3;SRID=2154;POINT(1 2)\n4;{\"type\":\"Point\"}\n5;POINT(3 4)\n";
    let text = text.replace("SRID=2154;POINT(1 2)", "\"SRID=2154;POINT(1 2)\"");
    let whole = read_bytes("a.csv", text.as_bytes(), &declared).unwrap();
    let lines: Vec<u64> = whole.refused.iter().map(|r| r.line).collect();
    assert_eq!((whole.records.len(), lines), (2, vec![3, 4, 5]), "{:?}", whole.refused);
    assert!(whole.refused.iter().all(|r| r.column.as_deref() == Some("g")));
    let words = refusal(read_bytes("a.csv", b"n;g\n1;x\n", &declared));
    assert!(words.contains("ni WKT, ni GeoJSON"), "{words}");
    let ewkt = csv("n;g\n1;\"SRID=2154;POINT(700000 6600000)\"\n");
    assert_eq!(ewkt.crs.as_deref(), Some("EPSG:2154"));
}

#[test]
fn french_numbers_dates_and_codes() {
    let whole = csv(
        "insee;pop;aire;jour;siren\n1001;1 234;12,5;1/2/2024;552 100 554\n75056;2 145 906;1 234,5;31/12/2023;130 025 265\n",
    );
    assert_eq!(whole.kind("insee"), FieldKind::Text);
    assert_eq!(whole.value(1, "pop"), Value::Int(2_145_906));
    assert_eq!(whole.value(1, "aire"), Value::Float(1234.5));
    assert_eq!(whole.value(0, "jour"), Value::Date(jiff::civil::date(2024, 2, 1)));
    assert_eq!(whole.value(0, "siren"), Value::Text("552 100 554".into()));
    assert!(whole.notes.contains("milliers séparés par des espaces"), "{}", whole.notes);
    let tabs = read_bytes("a.tsv", b"code\tx\ty\n01001\t5\t46\n", &source()).unwrap();
    assert_eq!((tabs.names().len(), x(&tabs, 0)), (3, Some((5.0, 46.0))));
}

#[test]
fn encodings_of_tables() {
    let text = "nom;prix\nÉtang;12 €\n";
    let latin9: Vec<u8> = text
        .chars()
        .map(|c| match c {
            '€' => 0xa4,
            'É' => 0xc9,
            c => c as u8,
        })
        .collect();
    let declared = SourceDef { encoding: Some("iso-8859-15".into()), ..source() };
    let whole = read_bytes("a.csv", &latin9, &declared).unwrap();
    assert_eq!(whole.value(0, "prix"), Value::Text("12 €".into()));
    let noticed = read_bytes("a.csv", &latin9, &source()).unwrap();
    assert_eq!(noticed.value(0, "prix"), Value::Text("12 €".into()));
    assert!(noticed.notes.contains("ISO-8859-15 (supposé"), "{}", noticed.notes);
    let cp1252: Vec<u8> = latin9.iter().map(|b| if *b == 0xa4 { 0x80 } else { *b }).collect();
    assert_eq!(
        read_bytes("a.csv", &cp1252, &source()).unwrap().value(0, "prix"),
        Value::Text("12 €".into())
    );
    let sixteen = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    for bytes in [
        format!("\u{feff}{text}").into_bytes(),
        text.as_bytes().to_vec(),
        sixteen(u16::to_le_bytes),
        sixteen(u16::to_be_bytes),
        // Without its mark.
        sixteen(u16::to_le_bytes)[2..].to_vec(),
        sixteen(u16::to_be_bytes)[2..].to_vec(),
    ] {
        let whole = read_bytes("a.csv", &bytes, &source()).unwrap();
        assert_eq!(whole.value(0, "nom"), Value::Text("Étang".into()));
        assert_eq!(whole.names(), ["nom", "prix"]);
    }
    let declared = SourceDef { encoding: Some("utf-16le".into()), ..source() };
    let bytes = &sixteen(u16::to_le_bytes)[2..];
    assert_eq!(read_bytes("a.csv", bytes, &declared).unwrap().names(), ["nom", "prix"]);
}

#[test]
fn encodings_of_json_and_xml_without_a_mark() {
    let geojson = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"nom":"Cœur"},"geometry":null}]}"#;
    let gml = "<w:FeatureCollection xmlns:w='w'><w:member><a><nom>Cœur</nom></a></w:member></w:FeatureCollection>";
    for text in [geojson, gml] {
        let sixteen: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let latin9 = encoding_rs::ISO_8859_15.encode(text).0;
        for bytes in [sixteen.as_slice(), &latin9] {
            let whole = read_bytes("a", bytes, &source()).unwrap();
            assert_eq!(whole.value(0, "nom"), Value::Text("Cœur".into()), "{}", whole.notes);
        }
    }
}

fn xlsx(fill: impl FnOnce(&mut Workbook)) -> Vec<u8> {
    let mut book = Workbook::new();
    fill(&mut book);
    book.save_to_buffer().unwrap()
}

#[test]
fn workbooks_of_excel() {
    let bytes = xlsx(|book| {
        let page = book.add_worksheet();
        page.set_name("Données").unwrap();
        // A title row alone would be the header: blank rows are not.
        for (i, name) in ["code", "nom", "lon", "lat", "n", "jour", "sûr"].iter().enumerate() {
            page.write_string(1, i as u16, *name).unwrap();
        }
        let date = rust_xlsxwriter::Format::new().set_num_format("dd/mm/yyyy");
        for (row, code) in [(2, "01001"), (3, "75056"), (6, "2A004")] {
            page.write_string(row, 0, code).unwrap();
            page.write_string(row, 1, "deux\nlignes").unwrap();
            page.write_number(row, 2, 2.5).unwrap();
            page.write_number(row, 3, 48.25).unwrap();
            page.write_number(row, 4, 7.0).unwrap();
            page.write_number_with_format(row, 5, 45_292.0, &date).unwrap();
            page.write_boolean(row, 6, true).unwrap();
        }
        page.write_string(7, 2, "est").unwrap();
        book.add_worksheet().set_name("Vide").unwrap();
    });
    let whole = read_bytes("a.xlsx", &bytes, &source()).unwrap();
    assert_eq!(whole.names(), ["code", "nom", "lon", "lat", "n", "jour", "sûr"]);
    assert_eq!(whole.records.iter().map(|r| r.line).collect::<Vec<_>>(), [3, 4, 7]);
    assert_eq!(whole.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [8]);
    assert_eq!(x(&whole, 0), Some((2.5, 48.25)));
    assert_eq!(whole.value(1, "code"), Value::Text("75056".into()));
    assert_eq!(whole.value(0, "nom"), Value::Text("deux\nlignes".into()));
    assert_eq!(whole.value(0, "n"), Value::Int(7));
    assert_eq!(whole.value(0, "jour"), Value::Date(jiff::civil::date(2024, 1, 1)));
    assert_eq!(whole.value(0, "sûr"), Value::Bool(true));
    assert!(whole.notes.contains("feuille « Données »"), "{}", whole.notes);
    let two = xlsx(|book| {
        for name in ["Un", "Deux"] {
            let page = book.add_worksheet();
            page.set_name(name).unwrap();
            page.write_string(0, 0, "code").unwrap();
            page.write_string(1, 0, name).unwrap();
        }
    });
    let words = refusal(read_bytes("a.xlsx", &two, &source()));
    assert!(words.contains("plusieurs feuilles") && words.contains("Un, Deux"), "{words}");
    let chosen = SourceDef { member: Some("deux".into()), ..source() };
    let whole = read_bytes("a.xlsx", &two, &chosen).unwrap();
    assert_eq!(whole.value(0, "code"), Value::Text("Deux".into()));
    // Numbers that are numbers in their cells are numbers here, text that looks like them is not.
    let codes = xlsx(|book| {
        let page = book.add_worksheet();
        page.write_string(0, 0, "zone").unwrap();
        page.write_string(1, 0, "75056").unwrap();
    });
    let whole = read_bytes("a.xlsx", &codes, &source()).unwrap();
    assert_eq!(whole.value(0, "zone"), Value::Text("75056".into()));
}

/// A workbook with these parts.
fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn ods(rows: &str) -> Vec<u8> {
    let content = format!(
        "<?xml version='1.0'?><office:document-content xmlns:office='o' xmlns:table='t' xmlns:text='x'><office:body><office:spreadsheet><table:table table:name='Feuille 1'>{rows}</table:table></office:spreadsheet></office:body></office:document-content>"
    );
    zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("content.xml", &content),
    ])
}

#[test]
fn workbooks_of_open_document() {
    let text = |words: &str| {
        format!(
            "<table:table-cell office:value-type='string'><text:p>{words}</text:p></table:table-cell>"
        )
    };
    let number = |n: &str| {
        format!(
            "<table:table-cell office:value-type='float' office:value='{n}'><text:p>{n}</text:p></table:table-cell>"
        )
    };
    let date = "<table:table-cell office:value-type='date' office:date-value='2024-01-31'/>";
    let row = |cells: &[String]| format!("<table:table-row>{}</table:table-row>", cells.concat());
    let gap = "<table:table-row table:number-rows-repeated='2'><table:table-cell table:number-columns-repeated='16384'/></table:table-row>";
    let end = "<table:table-row table:number-rows-repeated='1048570'><table:table-cell table:number-columns-repeated='16384'/></table:table-row>";
    let same =
        format!("<table:table-row table:number-rows-repeated='2'>{}</table:table-row>", text("x"));
    let rows = [
        row(&[text("code"), text("nom"), text("lon"), text("lat"), text("jour")]),
        row(&[
            text("01001"),
            text("a<text:span>b</text:span>c<text:s/>d"),
            number("2.5"),
            number("48"),
            date.into(),
        ]),
        gap.into(),
        row(&[text("75056"), text(""), number("3"), number("49")]),
        same,
        end.into(),
    ];
    let whole = read_bytes("a.ods", &ods(&rows.concat()), &source()).unwrap();
    assert_eq!(whole.records.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 5, 6, 7]);
    assert_eq!(whole.value(0, "nom"), Value::Text("abc d".into()));
    assert_eq!(whole.value(1, "code"), Value::Text("75056".into()));
    assert_eq!(whole.value(0, "jour"), Value::Date(jiff::civil::date(2024, 1, 31)));
    assert_eq!((x(&whole, 0), x(&whole, 1)), (Some((2.5, 48.0)), Some((3.0, 49.0))));
}

#[test]
fn workbooks_that_would_unpack_without_end_are_refused() {
    let cell = "<table:table-cell table:number-columns-repeated='16384' office:value-type='string'><text:p>x</text:p></table:table-cell>";
    let wide = ods(&format!("<table:table-row>{cell}</table:table-row>"));
    assert!(refusal(read_bytes("a.ods", &wide, &source())).contains("max_columns"));
    let long = "<table:table-row table:number-rows-repeated='4000000000'><table:table-cell office:value-type='string'><text:p>x</text:p></table:table-cell></table:table-row>";
    assert!(refusal(read_bytes("a.ods", &ods(long), &source())).contains("max_rows"));
    let bytes = ods("");
    assert!(refusal(read_bytes("a.ods", &bytes[..bytes.len() - 30], &source())).contains("zip"));
    assert!(refusal(read_bytes("a.ods", &bytes, &source())).contains("vide"));
    // A count that makes room for what is not there.
    let shared = "<sst count='99999999999' uniqueCount='99999999999'><si><t>x</t></si></sst>";
    let book = zipped(&[
        ("xl/workbook.xml", "<workbook><sheets/></workbook>"),
        ("xl/sharedStrings.xml", shared),
        ("[Content_Types].xml", "<Types/>"),
    ]);
    assert!(refusal(read_bytes("a.xlsx", &book, &source())).contains("corrompu"));
    let budget = crate::model::Budget::default();
    assert!(crate::formats::sheet::read(book, None, None, &budget).is_err());
}
