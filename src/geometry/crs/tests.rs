use super::*;
use proptest::prelude::*;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Positions computed with PROJ 9.1 (through GDAL 3.6.2): code, longitude, latitude, x, y.
const REFERENCE: [(u32, f64, f64, f64, f64); 19] = [
    (2154, 2.3522, 48.8566, 652_469.022_709_136, 6_862_035.259_420_08),
    (2154, -4.4861, 48.3904, 146_632.978_527_516, 6_836_262.326_655_94),
    (2154, 9.45, 42.697, 1_228_573.270_395_44, 6_199_088.089_554_46),
    (3942, 9.45, 42.697, 2_228_010.305_063_8, 1_297_314.665_039_11),
    (3945, 4.8357, 45.764, 1_842_790.967_708_39, 4_286_523.211_868),
    (3949, 2.3522, 48.8566, 1_652_467.868_924_46, 8_184_256.869_147_06),
    (3950, 3.0573, 50.6292, 1_704_054.198_524_83, 9_269_986.104_927_18),
    (5490, -61.5331, 16.2412, 656_770.818_119_831, 1_796_177.240_609_77),
    (5490, -61.0742, 14.6161, 707_436.954_022_333, 1_616_745.597_399_93),
    (4559, -62.8339, 17.8962, 517_594.060_517_493, 1_978_709.411_266_78),
    (2972, -52.3135, 4.9224, 354_363.155_495_969, 544_229.781_518_344),
    (2975, 55.4504, -20.8789, 338_807.609_393_152, 7_690_477.745_404_35),
    (4471, 45.2279, -12.7806, 524_735.374_749_63, 8_587_115.811_503_16),
    (4467, -56.1775, 46.7791, 562_788.159_803_456, 5_180_945.194_523_3),
    (3857, 2.3522, 48.8566, 261_845.706_243_938, 6_250_564.349_543_13),
    (3857, 55.4504, -20.8789, 6_172_710.292_283_34, -2_377_444.550_733_12),
    (27572, 2.3522, 48.8566, 601_152.299_296_814, 2_428_695.896_968_2),
    (27572, -4.4861, 48.3904, 95_210.271_152_363_2, 2_398_759.846_950_9),
    (3163, 166.458, -22.2758, 447_201.338_971_107, 214_033.899_304_443),
];

fn crs(code: u32) -> Crs {
    Crs::from_epsg(code).unwrap()
}

#[test]
fn reference_positions_to_the_hundredth_of_a_millimetre() {
    for (code, lon, lat, x, y) in REFERENCE {
        let crs = crs(code);
        let p = crs.point_from_crs84(Coord { x: lon, y: lat }).unwrap();
        assert!((p.x - x).abs() < 1e-5 && (p.y - y).abs() < 1e-5, "{code}: {p:?} for {x} {y}");
        let back = crs.point_to_crs84(Coord { x, y }).unwrap();
        // The datum shift of the NTF drops a height: half a millimetre, with PROJ too.
        let near = if code == 27572 { 1e-8 } else { 1e-10 };
        assert!((back.x - lon).abs() < near && (back.y - lat).abs() < near, "{code}: {back:?}");
    }
}

const NTF: &str = "+ellps=clrk80ign +towgs84=-168,-60,320 +units=m +no_defs";

/// Runs `gdaltransform` over points; `None` when it is not installed.
fn gdal(from: &str, to: &str, points: &[Coord<f64>]) -> Option<Vec<Coord<f64>>> {
    let mut child = Command::new("gdaltransform")
        .args(["-output_xy", "-s_srs", from, "-t_srs", to])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut lines = String::new();
    for p in points {
        lines.push_str(&format!("{:.17} {:.17}\n", p.x, p.y));
    }
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    let parse = |line: &str| {
        let mut words = line.split(' ').map(|w| w.parse().unwrap());
        Coord { x: words.next().unwrap(), y: words.next().unwrap() }
    };
    Some(String::from_utf8(output.stdout).unwrap().lines().map(parse).collect())
}

#[test]
fn grids_agree_with_proj() {
    let mut worst: f64 = 0.0;
    for code in Crs::known() {
        let crs = crs(code);
        // The younger realisations of RGF93 have the same parameters as the first, and the UTM
        // of WGS 84 differs from those overseas by its ellipsoid only: one will do.
        let repeated = code > 9777 || code > 32620 || [25831, 27571, 27573].contains(&code);
        if crs.is_crs84() || repeated {
            continue;
        }
        let [w, s, e, n] = match code {
            3857 => [-179.0, -84.0, 179.0, 84.0],
            4171..=4999 if crs.is_geographic() => [-5.0, 41.0, 10.0, 51.5],
            _ => crs.area,
        };
        let step = |a: f64, b: f64, i: i32| a + (b - a) * f64::from(i) / 24.0 * 0.98 + 0.0123;
        let grid: Vec<Coord<f64>> = (0..25)
            .flat_map(|i| (0..25).map(move |j| Coord { x: step(w, e, i), y: step(s, n, j) }))
            .collect();
        // The registry offers a grid file for the NTF; we take the three parameters.
        let target = match crs.params.method {
            known::Method::Lambert(c) if crs.params.datum == known::Datum::Ntf => format!(
                "+proj=lcc +lat_1={0} +lat_0={0} +lon_0=0 +k_0={1} +x_0={2} +y_0={3} {NTF} +pm=paris",
                c.lat_0, c.k, c.x_0, c.y_0
            ),
            known::Method::Geographic => format!("+proj=longlat {NTF}"),
            _ => format!("EPSG:{code}"),
        };
        let Some(expected) = gdal("EPSG:4326", &target, &grid) else {
            println!("grids_agree_with_proj: skipped, gdaltransform is not installed");
            return;
        };
        let scale = if crs.is_geographic() { 111_000.0 } else { 1.0 };
        assert_eq!(expected.len(), grid.len());
        for (c, e) in grid.iter().zip(&expected) {
            let p = crs.point_from_crs84(*c).unwrap();
            let off = scale * (p.x - e.x).hypot(p.y - e.y);
            worst = worst.max(off);
            assert!(off < 1e-5, "{code} at {c:?}: {p:?} for {e:?}, {off} m");
        }
        let back = gdal(&target, "EPSG:4326", &expected).unwrap();
        for (e, b) in expected.iter().zip(&back) {
            let p = crs.point_to_crs84(*e).unwrap();
            let off = 111_000.0 * (p.x - b.x).hypot(p.y - b.y);
            worst = worst.max(off);
            assert!(off < 1e-5, "{code} at {e:?}: {p:?} for {b:?}, {off} m");
        }
    }
    println!("grids_agree_with_proj: worst {:.4} mm", worst * 1000.0);
}

#[test]
fn every_spelling_of_a_code() {
    for text in [
        "EPSG:2154",
        "epsg:2154",
        " 2154 ",
        "urn:ogc:def:crs:EPSG::2154",
        "urn:ogc:def:crs:EPSG:9.8:2154",
        "URN:OGC:DEF:CRS:EPSG::2154",
        "http://www.opengis.net/def/crs/EPSG/0/2154",
        "https://www.opengis.net/def/crs/EPSG/0/2154",
        "http://www.opengis.net/gml/srs/epsg.xml#2154",
        "RGF93 v1 / Lambert-93",
        "RGF93 / Lambert-93",
        "RGF_1993_Lambert_93",
        "Lambert 93",
        "[EPSG:2154]",
    ] {
        assert_eq!(Crs::parse(text).unwrap().epsg(), Some(2154), "{text}");
    }
    for text in [
        "CRS84",
        "OGC:CRS84",
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "urn:ogc:def:crs:OGC::CRS84",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    ] {
        let crs = Crs::parse(text).unwrap();
        assert!(crs.is_crs84() && crs.epsg().is_none() && !crs.authority_is_lat_lon(), "{text}");
    }
    let wgs84 = Crs::parse("EPSG:4326").unwrap();
    assert!(wgs84.is_crs84() && wgs84.authority_is_lat_lon());
    assert_eq!(wgs84, Crs::crs84());
    assert!(!crs(2154).authority_is_lat_lon());
    assert_eq!(crs(2154).uri().unwrap(), "http://www.opengis.net/def/crs/EPSG/0/2154");
    assert_eq!(Crs::crs84().uri().unwrap(), "http://www.opengis.net/def/crs/OGC/1.3/CRS84");
}

#[test]
fn names_that_people_and_programs_write() {
    for (name, code) in [
        ("RGF93_CC49", 3949),
        ("RGF_1993_CC42", 3942),
        ("RGF93 v1 / CC49", 3949),
        ("RGF93 v2b / CC50", 9850),
        ("CC46", 3946),
        ("RGAF09_UTM_Zone_20N", 5490),
        ("RGR_1992_UTM_40S", 2975),
        ("RGFG_1995_UTM_22N", 2972),
        ("RGM_2004_UTM_Zone_38S", 4471),
        ("RGSPM_2006_UTM_Zone_21N", 4467),
        ("WGS_1984_Web_Mercator_Auxiliary_Sphere", 3857),
        ("GCS_WGS_1984", 4326),
        ("GCS_RGF_1993", 4171),
        ("NTF_Paris_Lambert_Zone_II", 27572),
        ("Lambert II étendu", 27572),
    ] {
        assert_eq!(Crs::parse(name).unwrap().epsg(), Some(code), "{name}");
    }
}

#[test]
fn unknown_systems_are_named_with_what_is_known() {
    for text in [
        "EPSG:99999",
        "EPSG:21540000000000",
        "",
        "lambert",
        "ESRI:102110",
        "urn:x:2154",
        "CC51",
        "PROJCS[",
    ] {
        let error = Crs::parse(text).unwrap_err();
        assert!(error.text().fr.contains("2154") && error.text().fr.contains("5490"), "{text}");
    }
}

const LAMBERT_93: &str = r#"PROJCS["NAME",GEOGCS["GCS_RGF_1993",DATUM["D_RGF_1993",SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Lambert_Conformal_Conic"],PARAMETER["False_Easting",700000.0],PARAMETER["False_Northing",6600000.0],PARAMETER["Central_Meridian",3.0],PARAMETER["Standard_Parallel_1",44.0],PARAMETER["Standard_Parallel_2",49.0],PARAMETER["Latitude_Of_Origin",46.5],UNIT["Meter",1.0]]"#;

#[test]
fn wkt_by_name_by_parameters_and_unnamed() {
    let named = LAMBERT_93.replace("NAME", "RGF_1993_Lambert_93");
    assert_eq!(Crs::parse(&named).unwrap().epsg(), Some(2154));
    assert_eq!(Crs::parse(LAMBERT_93).unwrap().epsg(), Some(2154));
    // A name that lies: the parameters win.
    let lying = LAMBERT_93.replace("NAME", "RGF93_CC49");
    assert_eq!(Crs::parse(&lying).unwrap().epsg(), Some(2154));
    // A local grid with a false easting of its own is still understood.
    let own = Crs::parse(&LAMBERT_93.replace("700000.0", "100000.0")).unwrap();
    assert_eq!(own.epsg(), None);
    let p = own.point_to_crs84(Coord { x: 52_469.022_709, y: 6_862_035.259_420 }).unwrap();
    assert!((p.x - 2.3522).abs() < 1e-8 && (p.y - 48.8566).abs() < 1e-8);
    // Feet and strange projections are not.
    let feet = LAMBERT_93.replace(r#"UNIT["Meter",1.0]"#, r#"UNIT["Foot",0.3048]"#);
    assert!(Crs::parse(&feet).is_err());
    assert!(Crs::parse(&LAMBERT_93.replace("Lambert_Conformal_Conic", "Krovak")).is_err());
    assert!(Crs::parse(&"A[".repeat(10_000)).is_err());
}

#[test]
fn wkt_of_gdal_in_three_dialects() {
    // One of each kind: every call of the program takes a tenth of a second.
    for code in [4326, 4171, 4275, 3857, 2154, 9794, 3949, 5490, 2975, 27572, 27564, 3163] {
        for dialect in ["wkt1", "wkt2", "wkt_esri"] {
            let run = Command::new("gdalsrsinfo")
                .args(["--single-line", "-o", dialect, &format!("EPSG:{code}")])
                .output();
            let Ok(output) = run else {
                println!("wkt_of_gdal_in_three_dialects: skipped, gdalsrsinfo is not installed");
                return;
            };
            let text = String::from_utf8(output.stdout).unwrap();
            let crs = Crs::parse(&text).unwrap_or_else(|e| panic!("{code} {dialect}: {e}\n{text}"));
            assert_eq!(crs, self::crs(code), "{code} {dialect}");
            if dialect != "wkt_esri" {
                assert_eq!(crs.epsg(), Some(code), "{dialect}");
            }
        }
    }
}

#[test]
fn coordinates_that_cannot_be_are_refused() {
    let lambert = crs(2154);
    // Degrees in a file that claims Lambert-93.
    for at in [(2.35, 48.85), (f64::NAN, 6e6), (6e5, f64::INFINITY), (48.85, 2.35)] {
        assert!(lambert.point_to_crs84(at.into()).is_err(), "{at:?}");
    }
    for code in [5490, 2972, 2975, 4471, 4467, 27572] {
        let at = Coord { x: 2.35, y: 48.85 };
        assert!(crs(code).point_to_crs84(at).is_err(), "{code}");
    }
    // Metres in a file that claims degrees.
    let mut metres: Geometry<f64> = geo_types::Point::new(652_469.0, 6_862_035.0).into();
    let outside = crs(4326).to_crs84(&mut metres).unwrap_err();
    assert_eq!(outside.at, Coord { x: 652_469.0, y: 6_862_035.0 });
    assert!(outside.text(&crs(4326)).fr.contains("WGS 84"));
    // The far side of a transverse Mercator.
    assert!(crs(5490).point_from_crs84(Coord { x: 100.0, y: 10.0 }).is_err());
    assert!(crs(3857).point_from_crs84(Coord { x: 0.0, y: 90.0 }).is_err());
}

#[test]
fn geometries_are_transformed_in_place() {
    let mut g: Geometry<f64> = geo_types::LineString::from(vec![
        (652_469.022_709, 6_862_035.259_420),
        (700_000.0, 6_600_000.0),
    ])
    .into();
    let before = g.clone();
    crs(2154).to_crs84(&mut g).unwrap();
    let Geometry::LineString(l) = &g else { panic!("still a line") };
    assert!((l.0[1].x - 3.0).abs() < 1e-12 && (l.0[1].y - 46.5).abs() < 1e-12);
    crs(2154).from_crs84(&mut g).unwrap();
    let (Geometry::LineString(a), Geometry::LineString(b)) = (g, before) else { panic!() };
    assert!(a.0.iter().zip(&b.0).all(|(a, b)| (a.x - b.x).hypot(a.y - b.y) < 1e-6));
}

#[test]
fn a_grid_of_a_million_positions() {
    let cpu = crate::geometry::real::cpu;
    for code in [2154, 5490, 27572] {
        let crs = crs(code);
        let [w, s, e, n] = crs.area;
        let (mut sum, begin) = (0.0, cpu());
        for i in 0..1_000_000u32 {
            let (u, v) = (f64::from(i % 1000) / 1000.0, f64::from(i / 1000) / 1000.0);
            let p = crs.projection.forward(Coord { x: w + u * (e - w), y: s + v * (n - s) });
            sum += p.x;
        }
        let forth = cpu();
        for i in 0..1_000_000u32 {
            let at = Coord { x: 6e5 + f64::from(i % 1000) * 100.0, y: 18e5 + f64::from(i / 1000) };
            sum += crs.projection.inverse(at).x;
        }
        assert!(sum.is_finite());
        let (forth, back) = (forth - begin, cpu() - forth);
        println!("a_grid_of_a_million_positions: {code} forth {forth:.3} s, back {back:.3} s");
    }
}

proptest! {
    #[test]
    fn forth_and_back(i in any::<prop::sample::Index>(), u in 0.01..0.99f64, v in 0.01..0.99f64) {
        let codes: Vec<u32> = Crs::known().collect();
        let crs = crs(codes[i.index(codes.len())]);
        let [w, s, e, n] = crs.area;
        let c = Coord { x: w + u * (e - w), y: (s + v * (n - s)).clamp(-85.0, 85.0) };
        let back = crs.point_to_crs84(crs.point_from_crs84(c).unwrap()).unwrap();
        // Some millimetres with the shift of the NTF far from France, 1 µm otherwise.
        let near = if crs.params.datum == known::Datum::Ntf { 1e-7 } else { 1e-11 };
        prop_assert!((back.x - c.x).abs() < near && (back.y - c.y).abs() < near, "{} {:?} {:?}", crs.name(), c, back);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,60}", cut in 0..600usize) {
        let _ = Crs::parse(&text);
        let _ = Crs::parse(LAMBERT_93.get(..cut).unwrap_or(LAMBERT_93));
    }
}
