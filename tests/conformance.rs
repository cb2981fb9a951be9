//! OGC's own executable test suites against the demo and against one of its scopes. They come from
//! Maven: `make conformance` fetches them and says where they are (`SOCLE_ETS`); without them these
//! tests are skipped by name.

pub mod schemas;

use crate::support::{demo_server, finish_within, root, said};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Longest run of a suite: minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1_800);

over_both!(
    features_parts_1_and_2_of_the_demo,
    features_parts_1_and_2_of_a_scope,
    tiles_part_1_of_the_demo,
    tiles_part_1_of_a_scope,
    wfs_of_the_demo,
    wfs_of_a_scope,
);

#[test]
fn every_class_that_is_declared_is_documented() {
    let text = fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    // A row names its first class whole, those of the same standard by their ends.
    let (mut named, mut prefix) = (Vec::new(), "");
    for word in text.split('`').filter(|w| w.contains("/conf/") || w.starts_with("…/")) {
        match word.strip_prefix("…/") {
            Some(end) => named.push(format!("{prefix}/{end}")),
            None => {
                prefix = word.rsplit_once('/').unwrap().0;
                named.push(word.to_owned());
            }
        }
    }
    let declared = demo_server().json("/conformance")["conformsTo"].clone();
    for class in declared.as_array().unwrap() {
        let class = class.as_str().unwrap().strip_prefix("http://www.opengis.net/spec/").unwrap();
        assert!(named.iter().any(|n| n == class), "docs/conformance.md says nothing of {class}");
    }
}

/// What the suites are tried on, below the root.
const DEMO: &str = "";
const SCOPE: &str = "t/dep-59/";

/// What a suite says of a service.
struct Verdict {
    passed: usize,
    /// Names of tests, with the reason and how often.
    failed: BTreeMap<String, usize>,
    skipped: BTreeMap<String, usize>,
}

/// The suite's jar, with all it needs.
fn suite(name: &str) -> Option<PathBuf> {
    let Some(folder) = env::var_os("SOCLE_ETS") else {
        println!("skipped: no OGC test suite at hand (make conformance)");
        return None;
    };
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let starts = |path: &PathBuf| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
    };
    let found = files.filter(starts).max();
    if found.is_none() {
        println!("skipped: NOT RUN, {name} is not at hand (make conformance says why)");
    }
    found
}

/// Runs a suite with its arguments; `options` are those of the suite's program.
fn run(jar: &Path, options: &[&str], arguments: &[(&str, String)]) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let entries: String =
        arguments.iter().map(|(k, v)| format!("<entry key=\"{k}\">{v}</entry>")).collect();
    // As java.util.Properties reads them: its DTD is looked for on the network otherwise.
    let properties = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
         <!DOCTYPE properties [<!ELEMENT properties (comment?,entry*)>
           <!ATTLIST properties version CDATA \"1.0\"><!ELEMENT comment (#PCDATA)>
           <!ELEMENT entry (#PCDATA)><!ATTLIST entry key CDATA #REQUIRED>]>
         <properties version=\"1.0\">{entries}</properties>"
    );
    let file = dir.path().join("arguments.xml");
    fs::write(&file, properties).unwrap();
    let out = dir.path().join("out");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    // What the suites fetch from schemas.opengis.net is given from here.
    let [host, port] = schemas::proxy();
    let whole = [host.as_str(), &port, "-jar", &text(jar), "-o", &text(&out)];
    let mut java = Command::new("java");
    // What the suites leave beside them goes with the test.
    java.current_dir(dir.path());
    java.args([&whole, options, &[text(&file).as_str()]].concat());
    let ended = finish_within(&mut java, PATIENCE).expect("the suite ends in time");
    assert!(ended.status.success(), "{}", said(&ended));
    let report = fs::read_dir(out.join("testng")).unwrap().next().unwrap().unwrap().path();
    read(&fs::read_to_string(report.join("testng-results.xml")).unwrap())
}

/// Reads TestNG's report: its `test-method` elements, those of configuration left out.
fn read(xml: &str) -> Verdict {
    let mut verdict = Verdict { passed: 0, failed: BTreeMap::new(), skipped: BTreeMap::new() };
    for part in xml.split("<test-method ").skip(1) {
        let (head, body) = part.split_once('>').unwrap();
        let body = body.split("</test-method>").next().unwrap();
        let head = format!(" {head}");
        let attribute = |name: &str| {
            let after = head.split(&format!(" {name}=\"")).nth(1)?;
            after.split('"').next()
        };
        let status = attribute("status").unwrap();
        if attribute("is-config") == Some("true") {
            // Tests of a class that is not declared are left out by failing, in one case.
            let undeclared = attribute("name") == Some("implementsTransactionalWFS");
            assert!(status != "FAIL" || undeclared, "{head}");
            continue;
        }
        let name = attribute("name").unwrap();
        let message = body.split("<message>").nth(1).unwrap_or_default();
        let why = message.split("<![CDATA[").nth(1).and_then(|text| text.split("]]>").next());
        let why = why.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let named: String = format!("{name}: {why}").chars().take(300).collect();
        match status {
            "PASS" => verdict.passed += 1,
            "SKIP" => *verdict.skipped.entry(named).or_default() += 1,
            _ => *verdict.failed.entry(named).or_default() += 1,
        }
    }
    verdict
}

/// Says what was found, and holds the suite to it.
fn judge(what: &str, verdict: &Verdict, least: usize, may_skip: &[&str]) {
    let count = |found: &BTreeMap<String, usize>| found.values().sum::<usize>();
    let (failed, skipped) = (count(&verdict.failed), count(&verdict.skipped));
    println!("{what}: {} passed, {failed} failed, {skipped} skipped", verdict.passed);
    for (why, times) in &verdict.skipped {
        println!("  skipped {times} ×: {why}");
    }
    assert!(verdict.failed.is_empty(), "{what}: {:#?}", verdict.failed);
    assert!(verdict.passed >= least, "{what}: {} passed", verdict.passed);
    // What is skipped is explained in docs/conformance.md.
    let known = |why: &&String| !may_skip.iter().any(|reason| why.contains(reason));
    let new: Vec<&String> = verdict.skipped.keys().filter(known).collect();
    assert!(new.is_empty(), "{what}: skipped without a known reason: {new:#?}");
}

fn features(scope: &str) {
    let Some(jar) = suite("ets-ogcapi-features10") else { return };
    let server = demo_server();
    let base = format!("{}{scope}", server.base);
    let arguments = [("iut", base), ("noofcollections", "3".to_owned())];
    let verdict = run(&jar, &["-h", "false"], &arguments);
    let far = "validateFeaturesWithBoundingBoxResponse: No features were returned for collection";
    let place = if scope.is_empty() { "demo" } else { scope };
    judge(&format!("OGC API Features 1.0, parts 1 and 2, {place}"), &verdict, 500, &[far]);
}

fn tiles(scope: &str) {
    let Some(jar) = suite("ets-ogcapi-tiles10") else { return };
    let server = demo_server();
    let base = format!("{}{scope}", server.base);
    let template = "collections/communes/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}";
    let grid = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad";
    let arguments = [
        ("iut", base.clone()),
        ("noofcollections", "3".to_owned()),
        ("tilematrixsetdefinitionuri", grid.to_owned()),
        ("urltemplatefortiles", format!("{base}{template}")),
        ("tilematrix", "8".to_owned()),
        ("mintilerow", "86".to_owned()),
        ("maxtilerow", "86".to_owned()),
        ("mintilecol", "129".to_owned()),
        ("maxtilecol", "130".to_owned()),
    ];
    let verdict = run(&jar, &["-h", "false"], &arguments);
    let place = if scope.is_empty() { "demo" } else { scope };
    judge(&format!("OGC API Tiles 1.0, part 1, {place}"), &verdict, 15, &[]);
}

/// What the suite of WFS leaves out: tests of classes that are not declared, and of what the
/// demo's layers have nothing of.
const OF_WFS: [&str; 24] = [
    "propertyIsNil: FeatureType",
    "No numeric or temporal property values found",
    "Feature type has no temporal properties",
    "Intersects tests are not supported for point geometry types",
    "ImplementsTransactionalWFS",
    "joinWithIntersects",
    "lockAllFeaturesByType",
    "lockAllQueryResults_20Seconds",
    "lockFeatureAlreadyLocked",
    "lockFeatureAndAttemptDelete",
    "lockFeatureWithLockIdAndQuery",
    "lockQueryResults_hits",
    "lockSomeFeatures",
    "capabilitiesDescribesLockingWFS",
    "supportedStoredQueryLanguages",
    "createStoredQueryWithUnsupportedQueryLanguage",
    "createGetFeatureByTypeName",
    "duplicateQuery",
    "dropNonexistentQuery",
    "dropStoredQuery",
    "replacementVersionHasNoSuccessor",
    "firstVersionHasNoPredecessor",
    "updatedVersionHasSupersededPredecessor",
    "deletedFeatureIsRetired",
];

/// Simple WFS, Basic WFS and response paging: what the capabilities declare is what is run.
fn wfs(scope: &str) {
    let Some(jar) = suite("ets-wfs20") else { return };
    if schemas::folder().is_none() {
        return;
    }
    let server = demo_server();
    let capabilities = format!("{}{scope}wfs?service=WFS&amp;request=GetCapabilities", server.base);
    let mut verdict = run(&jar, &[], &[("wfs", capabilities)]);
    // The suite writes a value of the layer as it is into a path and a pattern of its own: one that
    // holds an apostrophe (« Communauté d'agglomération ») or a bracket it cannot look at.
    verdict.failed.retain(|why, times| {
        let own = why.contains("Like: XPath expression cannot be evaluated");
        if own {
            println!("  not looked at by the suite {times} ×: {why}");
        }
        !own
    });
    let place = if scope.is_empty() { "demo" } else { scope };
    judge(&format!("WFS 2.0, {place}"), &verdict, 140, &OF_WFS);
}

fn wfs_of_the_demo() {
    wfs(DEMO);
}

fn wfs_of_a_scope() {
    wfs(SCOPE);
}

fn features_parts_1_and_2_of_the_demo() {
    features(DEMO);
}

fn features_parts_1_and_2_of_a_scope() {
    features(SCOPE);
}

fn tiles_part_1_of_the_demo() {
    tiles(DEMO);
}

fn tiles_part_1_of_a_scope() {
    tiles(SCOPE);
}
