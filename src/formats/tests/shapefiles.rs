use super::*;
use crate::model::RefusalReason;
use geo_types::Geometry;
use proptest::prelude::*;

/// A `.shp` and its `.shx` from record contents.
fn shp(kind: u32, contents: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let header = |bytes: usize| {
        let mut h = vec![0u8; 100];
        h[..4].copy_from_slice(&9994u32.to_be_bytes());
        h[24..28].copy_from_slice(&(bytes as u32 / 2).to_be_bytes());
        h[28..32].copy_from_slice(&1000u32.to_le_bytes());
        h[32..36].copy_from_slice(&kind.to_le_bytes());
        h
    };
    let (mut body, mut index) = (Vec::new(), Vec::new());
    for (i, content) in contents.iter().enumerate() {
        let words = (content.len() as u32 / 2).to_be_bytes();
        index.extend(((100 + body.len() as u32) / 2).to_be_bytes());
        index.extend(words);
        body.extend((i as u32 + 1).to_be_bytes());
        body.extend(words);
        body.extend(content);
    }
    ([header(100 + body.len()), body].concat(), [header(100 + index.len()), index].concat())
}

fn point(kind: u32, numbers: &[f64]) -> Vec<u8> {
    let mut c = kind.to_le_bytes().to_vec();
    numbers.iter().for_each(|n| c.extend(n.to_le_bytes()));
    c
}

fn parts(kind: u32, parts: &[&[(f64, f64)]]) -> Vec<u8> {
    let mut c = kind.to_le_bytes().to_vec();
    c.extend([0u8; 32]);
    c.extend((parts.len() as u32).to_le_bytes());
    c.extend((parts.iter().map(|p| p.len()).sum::<usize>() as u32).to_le_bytes());
    let mut start = 0u32;
    for p in parts {
        c.extend(start.to_le_bytes());
        start += p.len() as u32;
    }
    parts.iter().flat_map(|p| p.iter()).for_each(|(x, y)| {
        c.extend(x.to_le_bytes());
        c.extend(y.to_le_bytes());
    });
    c
}

/// A `.dbf` from columns (name, type, width, decimals) and rows of padded text.
fn dbf(columns: &[(&[u8], u8, u8, u8)], language: u8, rows: &[&[&[u8]]]) -> Vec<u8> {
    let start = 33 + 32 * columns.len();
    let width = 1 + columns.iter().map(|c| usize::from(c.2)).sum::<usize>();
    let mut out = vec![0u8; 32];
    out[0] = 3;
    out[4..8].copy_from_slice(&(rows.len() as u32).to_le_bytes());
    out[8..10].copy_from_slice(&(start as u16).to_le_bytes());
    out[10..12].copy_from_slice(&(width as u16).to_le_bytes());
    out[29] = language;
    for (name, kind, width, decimals) in columns {
        let mut column = [0u8; 32];
        column[..name.len()].copy_from_slice(name);
        (column[11], column[16], column[17]) = (*kind, *width, *decimals);
        out.extend(column);
    }
    out.push(0x0d);
    for row in rows {
        out.push(b' ');
        for (cell, column) in row.iter().zip(columns) {
            let mut cell = cell.to_vec();
            cell.resize(usize::from(column.2), b' ');
            out.extend(cell);
        }
    }
    out.push(0x1a);
    out
}

fn read(files: &[(&str, &[u8])]) -> Result<Whole> {
    let dir = tempfile::tempdir().unwrap();
    for (extension, bytes) in files {
        std::fs::write(dir.path().join(format!("a.{extension}")), bytes).unwrap();
    }
    read_path(&dir.path().join("a.shp"), "a.shp", &source())
}

fn names(rows: &[&[u8]]) -> Vec<u8> {
    let rows: Vec<Vec<&[u8]>> = rows.iter().map(|r| vec![*r]).collect();
    let rows: Vec<&[&[u8]]> = rows.iter().map(Vec::as_slice).collect();
    dbf(&[(b"NOM", b'C', 10, 0)], 0, &rows)
}

#[test]
fn polygons_lines_points_and_nulls() {
    let outer: &[(f64, f64)] = &[(0., 0.), (0., 9.), (9., 9.), (9., 0.), (0., 0.)];
    let hole: &[(f64, f64)] = &[(1., 1.), (2., 1.), (2., 2.), (1., 1.)];
    let other: &[(f64, f64)] = &[(20., 0.), (20., 1.), (21., 1.), (20., 0.)];
    let (s, x) =
        shp(5, &[parts(5, &[hole, outer]), vec![0; 4], parts(5, &[outer, other]), parts(5, &[])]);
    let d = names(&[b"a", b"b", b"c", b"d"]);
    let whole =
        read(&[("shp", &s), ("shx", &x), ("DBF", &d), ("prj", b"PROJCS[\"x\"]\n")]).unwrap();
    let got: Vec<_> = whole.records.iter().map(|r| r.geometry.as_ref()).collect();
    assert!(matches!(got[0], Some(Geometry::Polygon(p)) if p.interiors().len() == 1));
    assert!(got[1].is_none() && got[3].is_none());
    assert!(matches!(got[2], Some(Geometry::MultiPolygon(m)) if m.0.len() == 2));
    assert_eq!(whole.crs.as_deref(), Some("PROJCS[\"x\"]"));
    assert_eq!(whole.expected, Some(4));

    let (s, x) = shp(3, &[parts(3, &[outer]), parts(3, &[outer, hole])]);
    let whole = read(&[("shp", &s), ("shx", &x), ("dbf", &names(&[b"a", b"b"]))]).unwrap();
    assert!(matches!(whole.records[0].geometry, Some(Geometry::LineString(_))));
    assert!(matches!(whole.records[1].geometry, Some(Geometry::MultiLineString(_))));
    assert!(whole.notes.contains("sans .prj"));

    let (s, _) = shp(
        11,
        &[point(11, &[1., 2., 3., 4.]), point(11, &[f64::NAN, 2., 3., 4.]), point(1, &[1., 2.])],
    );
    let whole = read(&[("shp", &s), ("dbf", &names(&[b"a", b"b", b"c"]))]).unwrap();
    assert_eq!(whole.records.len(), 1);
    let reasons: Vec<_> = whole.refused.iter().map(|r| (r.line, r.reason)).collect();
    assert_eq!(reasons, [(2, RefusalReason::BadCoordinate), (3, RefusalReason::BrokenRow)]);
    assert!(whole.notes.contains("Z ou M non gardés : 1") && whole.notes.contains("sans .shx"));
}

#[test]
fn columns_and_encodings() {
    let (s, x) = shp(1, &[point(1, &[1., 2.]), point(1, &[3., 4.])]);
    let table = |language| {
        dbf(
            &[
                (b"NOM", b'C', 8, 0),
                (b"POP", b'N', 6, 0),
                (b"TAUX", b'N', 6, 2),
                (b"LE", b'D', 8, 0),
                (b"OUI", b'L', 1, 0),
            ],
            language,
            &[
                &[b"Cr\xe9py", b"   120", b"  1.50", b"20240229", b"T"],
                &[b"", b"******", b"     2", b"00000000", b"?"],
            ],
        )
    };
    let whole = read(&[("shp", &s), ("shx", &x), ("dbf", &table(0))]).unwrap();
    assert_eq!(whole.value(0, "NOM"), Value::Text("Crépy".into()));
    assert_eq!(whole.value(0, "POP"), Value::Int(120));
    assert_eq!(whole.value(1, "POP"), Value::Null);
    assert_eq!(whole.value(1, "TAUX"), Value::Float(2.0));
    assert_eq!(whole.value(0, "LE"), Value::Date(jiff::civil::date(2024, 2, 29)));
    assert_eq!(whole.value(0, "OUI"), Value::Bool(true));
    assert_eq!(whole.value(1, "OUI"), Value::Null);
    assert!(whole.notes.contains("Windows-1252") && whole.notes.contains("***"));

    let nom = |files: &[(&str, &[u8])]| {
        let whole =
            read(&[&[("shp", s.as_slice()), ("shx", x.as_slice())], files].concat()).unwrap();
        (whole.value(0, "NOM"), whole.notes)
    };
    let dos = dbf(&[(b"NOM", b'C', 8, 0)], 0x02, &[&[b"Cr\x82py"], &[b""]]);
    assert_eq!(nom(&[("dbf", &dos)]).0, Value::Text("Crépy".into()));
    let utf8 = |language| {
        dbf(&[(b"NOM", b'C', 6, 0)], language, &[&["Crépy".as_bytes()], &[b"Orne-\xc3"]])
    };
    let (value, notes) = nom(&[("dbf", &utf8(0x57))]);
    assert_eq!(value, Value::Text("Crépy".into()));
    assert!(notes.contains("contre l'en-tête"), "{notes}");
    let (value, notes) = nom(&[("dbf", &utf8(0)), ("cpg", b"UTF-8\n")]);
    assert_eq!(value, Value::Text("Crépy".into()));
    assert!(notes.contains(".cpg") && !notes.contains("illisibles"), "{notes}");
    let (value, notes) = nom(&[("dbf", &table(0)), ("cpg", b"UTF-8")]);
    assert_eq!(value, Value::Text("Crépy".into()));
    assert!(notes.contains("annonce UTF-8"), "{notes}");
    assert!(nom(&[("dbf", &table(0)), ("cpg", b"Klingon")]).1.contains("Klingon"));
    let declared = SourceDef { encoding: Some("cp850".into()), ..source() };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.shp"), &s).unwrap();
    std::fs::write(dir.path().join("a.dbf"), &dos).unwrap();
    let whole = read_path(&dir.path().join("a.shp"), "a.shp", &declared).unwrap();
    assert!(whole.notes.contains("CP850 (déclaré)"));
}

#[test]
fn incomplete_and_uneven_files_are_refused() {
    let (s, x) = shp(1, &[point(1, &[1., 2.]), point(1, &[3., 4.])]);
    let two = names(&[b"a", b"b"]);
    assert!(refusal(read(&[("shp", &s)])).contains("sans fichier .dbf"));
    assert!(refusal(read_bytes("a.shp", &s, &source())).contains("sans fichier .dbf"));
    assert!(refusal(read_bytes("a.dbf", &two, &source())).contains("sans son .shp"));
    for rows in [names(&[b"a"]), names(&[b"a", b"b", b"c"])] {
        assert!(refusal(read(&[("shp", &s), ("shx", &x), ("dbf", &rows)])).contains("même nombre"));
    }
    for cut in [0, 50, 100, 110, s.len() - 1] {
        let result = read(&[("shp", &s[..cut]), ("shx", &x), ("dbf", &two)]);
        assert!(!refusal(result).is_empty(), "{cut}");
    }
    for cut in [0, 20, 50, two.len() - 5] {
        assert!(refusal(read(&[("shp", &s), ("shx", &x), ("dbf", &two[..cut])])).contains(".dbf"));
    }
    let (patch, _) = shp(31, &[]);
    assert!(refusal(read(&[("shp", &patch), ("dbf", &names(&[]))])).contains("MultiPatch"));
    // Deleted rows leave with their shapes.
    let mut deleted = two;
    let first = deleted.len() - 1 - 2 * 11;
    deleted[first] = b'*';
    let whole = read(&[("shp", &s), ("shx", &x), ("dbf", &deleted)]).unwrap();
    assert_eq!((whole.records.len(), whole.records[0].line), (1, 2));
    assert!(whole.notes.contains("supprimés"));
}

#[test]
fn zipped_several_at_a_time() {
    let (s, x) = shp(1, &[point(1, &[1., 2.])]);
    let (one, two) = (names(&[b"un"]), names(&[b"deux"]));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in
        [("d/a.shp", &s), ("d/a.shx", &x), ("d/a.dbf", &one), ("d/B.SHP", &s), ("d/B.DBF", &two)]
    {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert!(refusal(read_bytes("a.zip", &bytes, &source())).contains("d/a.shp, d/B.SHP"));
    for (member, name) in [("a", "un"), ("b.shp", "deux"), ("d/B.SHP", "deux")] {
        let wanted = SourceDef { member: Some(member.into()), ..source() };
        let whole = read_bytes("a.zip", &bytes, &wanted).unwrap();
        assert_eq!(whole.value(0, "NOM"), Value::Text(name.into()), "{member}");
    }
}

#[test]
fn an_index_that_goes_round_in_circles_ends() {
    let (s, x) = shp(1, &[point(1, &[1., 2.])]);
    let mut index = x.clone();
    for _ in 0..1000 {
        index.extend_from_slice(&x[100..108]);
    }
    let rows = vec![b"a".as_slice(); 1001];
    let result = read(&[("shp", &s), ("shx", &index), ("dbf", &names(&rows))]);
    assert!(refusal(result).contains("corrompu"));
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(
        which in 0usize..3, at in 0usize..400, bytes in prop::collection::vec(any::<u8>(), 1..9)
    ) {
        let ring: &[(f64, f64)] = &[(0., 0.), (0., 9.), (9., 9.), (0., 0.)];
        let (s, x) = shp(5, &[parts(5, &[ring, ring]), parts(5, &[ring])]);
        let mut files = [s, x, names(&[b"a", b"\xc3\xa9"])];
        let file = &mut files[which];
        let at = at % file.len();
        for (place, byte) in file[at..].iter_mut().zip(&bytes) { *place = *byte; }
        let _ = read(&[("shp", &files[0]), ("shx", &files[1]), ("dbf", &files[2])]);
        let _ = read(&[("shp", &files[0]), ("dbf", &files[2])]);
    }

    #[test]
    fn record_contents_never_panic(content in prop::collection::vec(any::<u8>(), 0..120), kind in 0usize..8) {
        let kind = [1u32, 3, 5, 8, 15, 23, 28, 11][kind];
        let mut content = [kind.to_le_bytes().to_vec(), content].concat();
        content.truncate(content.len() & !1);
        let (s, x) = shp(kind, &[content]);
        let _ = read(&[("shp", &s), ("shx", &x), ("dbf", &names(&[b"a"]))]);
    }
}
