//! What keeps a deployment alive: backups and their restoration, the move from one store to the
//! other, stores of another release, quotas and full disks, a cache in front.

use crate::{
    crash,
    support::{
        Server, Site, StoreKind, command, demo_layers, finish, has, postgres, said, send,
        store_kind,
    },
};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

over_both!(
    a_backup_while_serving_and_harvesting_comes_back_the_same,
    a_backup_has_what_waits_and_the_journal,
    a_damaged_or_newer_backup_is_refused_and_nothing_changes,
    what_is_published_is_not_overwritten_unless_told_to,
    kill_nine_in_backup_and_restore_leaves_nothing_half,
    a_store_of_a_newer_release_is_refused,
    a_quota_refuses_before_the_store_is_full,
);

/// A site with three deliveries of points, the second in force.
fn history() -> Site {
    let site = Site::new();
    points(&site);
    for number in 1..=3 {
        crash::delivery(&site, number);
        site.harvest();
    }
    let back = site.run(&["rollback", "points"]);
    assert!(back.status.success(), "{}", said(&back));
    site
}

fn points(site: &Site) {
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command that has to work.
fn run(site: &Site, args: &[&str]) -> String {
    let output = site.run(args);
    let text = said(&output);
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

/// Runs a command that has to be refused, and gives what it said.
fn refused(site: &Site, args: &[&str]) -> String {
    let output = site.run(args);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
    text
}

/// What `socle versions` says of a layer.
fn versions(site: &Site, layer: &str) -> Vec<String> {
    run(site, &["versions", layer]).lines().map(str::to_owned).collect()
}

/// Tiles, pages and documents that show all of a demo layer and of a territory.
const SHOWN: &[&str] = &[
    "/collections/communes/tiles/6/32/21.mvt",
    "/collections/communes/tiles/10/520/344.mvt",
    "/collections/communes/tiles/13/4157/2754.mvt",
    "/collections/cantons/tiles/8/130/86.mvt",
    "/collections/mairies/tiles/9/260/172.mvt",
    "/t/dep-59/collections/communes/tiles/9/260/172.mvt",
    "/t/dep-02/collections/mairies/tiles/9/261/174.mvt",
    "/collections/communes/items?limit=1000",
    "/t/dep-60/collections/mairies/items?limit=1000",
    "/collections/cantons/items?limit=500",
];

/// What a server shows, apart from the time and its own address.
fn shown(server: &Server) -> Vec<(u16, Option<String>, String)> {
    let one = |p: &&str| {
        let answer = server.send("GET", p, &[("Accept", "application/geo+json, */*;q=0.5")]);
        let mut body = answer.body.clone();
        if p.contains("/items") {
            let mut value = answer.json();
            value.as_object_mut().unwrap().retain(|k, _| k == "features" || k == "numberMatched");
            body = value.to_string().into_bytes();
            assert!(body.len() > 1_000, "{p} shows nothing");
        }
        let sum: String = body
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
            })
            .to_string();
        // A page's tag covers its links, and so the server's address.
        let etag = answer.header("etag").filter(|_| !p.contains("/items"));
        (answer.status, etag.map(str::to_owned), sum)
    };
    SHOWN.iter().map(one).collect()
}

fn a_backup_while_serving_and_harvesting_comes_back_the_same() {
    let site = Site::new();
    demo_layers(&site);
    points(&site);
    for number in 1..=3 {
        crash::delivery(&site, number);
        site.harvest();
    }
    run(&site, &["rollback", "points"]);
    let server = site.serve();
    let before = shown(&server);
    assert!(before.iter().filter(|s| s.0 == 200).count() > 7, "{before:?}");
    let (of_points, of_communes) = (versions(&site, "points"), versions(&site, "communes"));
    assert_eq!(of_points.len(), 3);
    // A harvest of another layer goes on beside.
    let mut beside = command(&["harvest", "mairies", "--force", "--config", &site.config()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let dest = site.path("sauvegarde");
    let said = run(&site, &["backup", path(&dest)]);
    assert!(said.contains("✓ points : 3 versions"), "{said}");
    assert!(beside.wait().unwrap().success());
    assert!(!site.path("sauvegarde.partial").exists());
    assert!(refused(&site, &["backup", path(&dest)]).contains("existe déjà"));
    if has("sha256sum") {
        let mut check = Command::new("sha256sum");
        let check = check.args(["--quiet", "--check", "--strict", "SHA256SUMS"]).current_dir(&dest);
        assert!(check.status().unwrap().success());
    }
    // Into an empty store of either kind, and again: nothing more to do.
    let kinds: &[StoreKind] = match postgres::shared() {
        Some(_) => &[StoreKind::Embedded, StoreKind::Postgis],
        None => &[StoreKind::Embedded],
    };
    for kind in kinds {
        let other = Site::of(*kind);
        demo_layers(&other);
        points(&other);
        fs::copy(site.path("points.csv"), other.path("points.csv")).unwrap();
        let said = run(&other, &["restore", path(&dest)]);
        assert!(said.contains("4 couches restaurées"), "{said}");
        assert_eq!(versions(&other, "points"), of_points);
        assert_eq!(versions(&other, "communes"), of_communes);
        let restored = other.serve();
        assert_eq!(crash::shown(&restored), 2);
        // Under the same names the same bytes, except what was harvested meanwhile.
        for ((path, a), b) in SHOWN.iter().zip(&before).zip(shown(&restored)) {
            if path.contains("mairies") {
                assert_eq!((a.0, &a.2), (b.0, &b.2), "{path}");
            } else {
                assert_eq!(*a, b, "{path}");
            }
        }
        let again = run(&other, &["restore", path(&dest)]);
        assert!(again.contains("identique") && !again.contains("copiée"), "{again}");
        run(&other, &["check"]);
        // History is history: it can be gone back to, and pruned.
        run(&other, &["rollback", "points"]);
        assert!(restored.until(Duration::from_secs(3), |s| crash::shown(s) == 1));
        crash::delivery(&other, 9);
        other.harvest();
        assert!(restored.until(Duration::from_secs(3), |s| crash::shown(s) == 9));
    }
    if store_kind() == StoreKind::Embedded {
        links_are_copies(&site, &dest);
    }
}

/// In the log: a delivery is held.
const ALERT: &str = "points.held.";

fn a_backup_has_what_waits_and_the_journal() {
    let declare = |site: &Site| {
        points(site);
        site.layer("nulle", "[source]\npath = \"../nowhere.csv\"");
    };
    let few = |site: &Site| {
        fs::write(site.path("points.csv"), "id;livraison;lon;lat\n1;2;2.0;48.0\n").unwrap();
    };
    let site = Site::new();
    declare(&site);
    crash::delivery(&site, 1);
    site.run(&["harvest"]);
    few(&site);
    let held = said(&site.run(&["harvest"]));
    assert!(held.contains("retenue") && held.contains(ALERT), "{held}");
    let waiting = versions(&site, "points");
    assert!(waiting.iter().any(|line| line.contains('!')), "{waiting:?}");
    let journal = |site: &Site| {
        let mut told = site.serve().json("/harvest")["layers"].clone();
        for layer in told.as_array_mut().unwrap() {
            layer.as_object_mut().unwrap().retain(|key, _| key == "id" || key == "runs");
        }
        told
    };
    let told = journal(&site);
    assert_eq!(told[0]["runs"].as_array().unwrap().len(), 2, "{told}");
    let dest = site.path("sauvegarde");
    run(&site, &["backup", path(&dest)]);
    let kinds: &[StoreKind] = match postgres::shared() {
        Some(_) => &[StoreKind::Embedded, StoreKind::Postgis],
        None => &[StoreKind::Embedded],
    };
    for kind in kinds {
        let other = Site::of(*kind);
        declare(&other);
        let report = run(&other, &["restore", path(&dest)]);
        assert!(report.lines().any(|line| line.starts_with("! points")), "{report}");
        assert_eq!(versions(&other, "points"), waiting);
        assert_eq!(journal(&other), told);
        let again = run(&other, &["restore", path(&dest)]);
        assert!(again.contains("! points") && !again.contains("copiée"), "{again}");
        assert_eq!((versions(&other, "points"), journal(&other)), (waiting.clone(), told.clone()));
        // It waits as it did: the same source is not loaded again, and it can be published.
        few(&other);
        let held = said(&other.run(&["harvest", "points"]));
        // Nobody is told again of what was told before.
        assert!(held.contains("retenue") && !held.contains(ALERT), "{held}");
        assert_eq!(versions(&other, "points"), waiting);
        run(&other, &["publish", "points", "--held"]);
        let page = other.serve().json("/collections/points/items");
        assert_eq!(page["numberMatched"], 1, "{page}");
        run(&other, &["check"]);
    }
}

/// A backup beside the store shares its files; one that copies does not.
fn links_are_copies(site: &Site, dest: &Path) {
    let of = |root: &Path| {
        let folder = root.join("layers/points/versions");
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    };
    let inode = |p: &PathBuf| fs::metadata(p).unwrap().ino();
    let (here, linked) = (of(&site.path("store")), of(dest));
    assert_eq!(
        here.iter().map(inode).collect::<Vec<_>>(),
        linked.iter().map(inode).collect::<Vec<_>>()
    );
    let copied = site.path("copie");
    run(site, &["backup", "--copy", path(&copied)]);
    assert!(of(&copied).iter().zip(&here).all(|(a, b)| inode(a) != inode(b)));
    // What the store removes stays in its backup.
    fs::remove_dir_all(site.path("store/layers")).unwrap();
    let said = run(site, &["restore", path(dest)]);
    assert!(said.contains("copiée et vérifiée"), "{said}");
    run(site, &["check"]);
}

fn a_damaged_or_newer_backup_is_refused_and_nothing_changes() {
    let site = history();
    let dest = site.path("sauvegarde");
    run(&site, &["backup", "--copy", path(&dest)]);
    let target = Site::new();
    points(&target);
    assert!(
        refused(&target, &["restore", path(&target.path("rien"))])
            .contains("n'est pas une sauvegarde")
    );
    // One bit of one file.
    let folder = dest.join("layers/points/versions");
    let file = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let file = file.filter(|p| p.extension().is_some_and(|e| e == "idx")).max().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 4;
    overwrite(&file, &broken);
    let said = refused(&target, &["restore", path(&dest)]);
    assert!(said.contains("endommagée") && said.contains(".idx"), "{said}");
    overwrite(&file, &whole);
    // One of the future.
    let manifest = dest.join("manifest.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, whole.replace("\"store_format\": 1", "\"store_format\": 7")).unwrap();
    let said = refused(&target, &["restore", path(&dest)]);
    assert!(said.contains("plus récent"), "{said}");
    fs::write(&manifest, whole).unwrap();
    assert!(run(&target, &["layers"]).contains("jamais moissonnée"));
    run(&target, &["restore", path(&dest)]);
    assert_eq!(versions(&target, "points").len(), 3);
}

/// Replaces a read-only file.
fn overwrite(file: &Path, bytes: &[u8]) {
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

fn what_is_published_is_not_overwritten_unless_told_to() {
    let site = history();
    let dest = site.path("sauvegarde");
    run(&site, &["backup", path(&dest)]);
    crash::delivery(&site, 9);
    site.harvest();
    let server = site.serve();
    assert_eq!(crash::shown(&server), 9);
    let said = refused(&site, &["restore", path(&dest)]);
    assert!(said.contains("--force") && said.contains("points"), "{said}");
    assert_eq!(crash::shown(&server), 9);
    run(&site, &["restore", "--force", path(&dest)]);
    assert!(server.until(Duration::from_secs(3), |s| crash::shown(s) == 2));
    // What was in place is still there to go back to.
    let newest = versions(&site, "points").pop().unwrap();
    let newest = newest.split_whitespace().next().unwrap().to_owned();
    run(&site, &["rollback", "points", &newest]);
    assert!(server.until(Duration::from_secs(3), |s| crash::shown(s) == 9));
}

fn kill_nine_in_backup_and_restore_leaves_nothing_half() {
    let site = history();
    let dest = site.path("sauvegarde");
    let started = Instant::now();
    run(&site, &["backup", path(&site.path("entiere"))]);
    let whole = started.elapsed() + Duration::from_millis(50);
    let mut made = 0;
    for round in 0..10u32 {
        killed(&site, &["backup", path(&dest)], whole * ((round * 7) % 10) / 10);
        if dest.exists() {
            made += 1;
            let target = Site::of(StoreKind::Embedded);
            points(&target);
            run(&target, &["restore", path(&dest)]);
            fs::remove_dir_all(&dest).unwrap();
        }
    }
    println!("{made} of 10 backups were whole before they were killed");
    run(&site, &["backup", path(&dest)]);
    assert!(!site.path("sauvegarde.partial").exists());
    // The source is as it was.
    assert_eq!(versions(&site, "points").len(), 3);
    run(&site, &["check"]);
    // Restoring over another delivery: a reader sees the old state or the new one.
    let target = Site::new();
    points(&target);
    crash::delivery(&target, 5);
    target.harvest();
    let server = target.serve();
    let started = Instant::now();
    let spare = Site::new();
    points(&spare);
    run(&spare, &["restore", path(&dest)]);
    let whole = started.elapsed();
    for round in 0..8u32 {
        killed(&target, &["restore", "--force", path(&dest)], whole * ((round * 5) % 8) / 8);
        let now = crash::shown(&server);
        assert!(now == 5 || now == 2, "{now}");
        run(&target, &["check"]);
    }
    // The claim of a dead writer runs out.
    let restored = (0..40).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        target.run(&["restore", "--force", path(&dest)]).status.success()
    });
    assert!(restored);
    assert!(server.until(Duration::from_secs(3), |s| crash::shown(s) == 2));
    assert_eq!(versions(&target, "points").len(), 4);
    run(&target, &["check"]);
}

/// Starts a command and kills it at a moment.
fn killed(site: &Site, args: &[&str], moment: Duration) {
    let config = site.config();
    let mut child = command(&[args, &["--config", &config]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(moment);
    let _ = child.kill();
    child.wait().unwrap();
}

/// The database of a site and its server.
fn database(site: &Site) -> (&'static postgres::Postgres, String) {
    let url = fs::read_to_string(site.path("database")).unwrap();
    (postgres::shared().unwrap(), url.rsplit('/').next().unwrap().trim().to_owned())
}

fn a_store_of_a_newer_release_is_refused() {
    let site = history();
    match store_kind() {
        StoreKind::Embedded => {
            let folder = site.path("store/layers/points/versions");
            let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
            for file in files.filter(|p| p.extension().is_some_and(|e| e == "json")) {
                let text = fs::read_to_string(&file).unwrap();
                overwrite(&file, text.replacen("\"format\":1", "\"format\":2", 1).as_bytes());
            }
        }
        StoreKind::Postgis => {
            let (server, name) = database(&site);
            let sql = "UPDATE socle_store.versions SET storage =
                       jsonb_set(storage::jsonb, '{format}', '2')::json";
            server.sql(&name, sql);
        }
    }
    for args in [
        &["layers"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["backup", path(&site.path("sauvegarde"))],
    ] {
        let said = refused(&site, args);
        assert!(said.contains("format 2") && said.contains("Mettez Socle à jour"), "{said}");
    }
    let check = site.run(&["check"]);
    assert!(!check.status.success());
    assert!(said(&check).contains("format 2"), "{}", said(&check));
    if store_kind() == StoreKind::Postgis {
        let (server, name) = database(&site);
        server.sql(&name, "INSERT INTO socle_store.migrations (number) VALUES (99)");
        let said = refused(&site, &["layers"]);
        assert!(said.contains("99") && said.contains("Mettez Socle à jour"), "{said}");
    }
}

fn a_quota_refuses_before_the_store_is_full() {
    let site = Site::new();
    points(&site);
    crash::delivery(&site, 1);
    site.harvest();
    let config = fs::read_to_string(site.path("socle.toml")).unwrap();
    let limited = |mb: u32| {
        let text = config.replace("[store]\n", &format!("[store]\nquota_mb = {mb}\n"));
        fs::write(site.path("socle.toml"), text).unwrap();
    };
    limited(4);
    let mut refusals = 0;
    for number in 2..=5 {
        crash::delivery(&site, number);
        let output = site.run(&["harvest"]);
        if !output.status.success() {
            refusals += 1;
            assert!(said(&output).contains("quota_mb"), "{}", said(&output));
        }
    }
    assert!(refusals > 0);
    let server = site.serve();
    let kept = crash::shown(&server);
    assert!(kept < 5, "what was in force stays");
    drop(server);
    limited(1_000);
    site.harvest();
    assert_eq!(crash::shown(&site.serve()), 5);
}

#[test]
fn a_quota_that_is_near_is_said_and_measured() {
    let site = Site::new();
    points(&site);
    crash::delivery(&site, 1);
    site.harvest();
    let admin = free_port();
    let config = fs::read_to_string(site.path("socle.toml")).unwrap();
    let config = config
        .replace("[store]\n", "[store]\nquota_mb = 1\n")
        .replace("\"off\"", &format!("\"127.0.0.1:{admin}\""));
    fs::write(site.path("socle.toml"), config).unwrap();
    let output = site.run(&["check"]);
    assert!(output.status.success(), "{}", said(&output));
    let server = site.serve();
    assert_eq!(crash::shown(&server), 1);
    let metrics = || send(&format!("127.0.0.1:{admin}"), "GET", "/metrics", &[]).text();
    let told = server
        .until(Duration::from_secs(5), |_| metrics().contains("socle_store_quota_bytes 1048576"));
    let metrics = metrics();
    assert!(told, "{metrics}");
    let used = metrics.lines().find_map(|l| l.strip_prefix("socle_store_bytes ")).unwrap();
    assert!(used.parse::<f64>().unwrap() > 500_000.0, "{used}");
}

#[test]
fn a_full_disk_is_said_and_leaves_what_is_published() {
    let site = Site::new();
    points(&site);
    crash::delivery(&site, 1);
    site.harvest();
    crash::delivery(&site, 2);
    let program = env!("CARGO_BIN_EXE_socle");
    // A disk of its own that the store does not fit on, where mounting is allowed.
    let script = format!(
        "set -e; cd '{site}'; mkdir full; mount -t tmpfs -o size=$(( $(du -sk store | cut -f1) * 4 / 3 ))k none full; cp -a store/. full/
         sed -i 's/path = \"store\"/path = \"full\"/' socle.toml; '{program}' layers --config socle.toml
         echo ---; '{program}' harvest --config socle.toml; echo \"code $?\" || true
         '{program}' check --config socle.toml; '{program}' versions points --config socle.toml",
        site = path(site.dir.path())
    );
    let script =
        script.replace("; echo \"code $?\" || true", " && echo unexpected || echo \"code $?\"");
    let mounted = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|s| s.success()) {
        println!("skipped: file systems cannot be mounted here");
        return;
    }
    let mut small = Command::new("unshare");
    let output = finish(small.args(["-m", "sh", "-c", &script]).env("LC_ALL", "fr_FR.UTF-8"));
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Le disque est plein") && text.contains("code 1"), "{text}");
    assert!(text.contains("✓ points (versions : 1)"), "{text}");
}

#[test]
fn a_deployment_moves_to_postgis_and_back_with_one_command() {
    if postgres::shared().is_none() {
        return;
    }
    let files = Site::of(StoreKind::Embedded);
    demo_layers(&files);
    points(&files);
    for number in 1..=3 {
        crash::delivery(&files, number);
        files.harvest();
    }
    let database = Site::of(StoreKind::Postgis);
    demo_layers(&database);
    points(&database);
    let report = run(&files, &["migrate-store", "--to", &database.config()]);
    assert!(report.contains("4 couches, 6 versions"), "{report}");
    assert!(report.contains("identiques des deux côtés"), "{report}");
    let (one, two) = (files.serve(), database.serve());
    assert_eq!(shown(&one), shown(&two));
    assert_eq!(versions(&files, "points"), versions(&database, "points"));
    drop((one, two));
    // A source that did not change stays so in the new store.
    fs::copy(files.path("points.csv"), database.path("points.csv")).unwrap();
    let again = run(&database, &["harvest"]);
    assert!(again.contains("source inchangée") && !again.contains("publiée"), "{again}");
    // And the other way, to what it came from.
    let third = Site::of(StoreKind::Embedded);
    demo_layers(&third);
    points(&third);
    let back = run(&database, &["migrate-store", "--to", &third.config()]);
    assert_eq!(checksums(&report).len(), 6);
    assert_eq!(checksums(&report), checksums(&back));
    let output = files.run(&["migrate-store", "--to", "/nowhere/socle.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

/// Layer, version, count and checksum of every line of a report.
fn checksums(report: &str) -> Vec<Vec<String>> {
    let lines = report.lines().filter(|l| l.contains("vérifiée"));
    lines.map(|l| l.split_whitespace().map(str::to_owned).collect()).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx with the configuration that `docs/deploy` gives, in front of a server.
struct Cache {
    child: Child,
    address: String,
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Cache {
    fn start(site: &Site, server: &str) -> Self {
        let documented = crate::support::root().join("docs/deploy/nginx.conf");
        let dir = site.path("nginx");
        fs::create_dir_all(&dir).unwrap();
        let (at, port) = (path(&dir), free_port());
        // The documented file goes into http { } as it is; only places and addresses are others.
        let text = fs::read_to_string(documented).unwrap();
        let text = text
            .replace("/var/cache/nginx/socle", &format!("{at}/cache"))
            .replace("server socle-1:8080;", &format!("server {server};"))
            .replace("server socle-2:8080;", "")
            .replace("listen 80;", &format!("listen 127.0.0.1:{port};"));
        fs::write(dir.join("socle.conf"), text).unwrap();
        let main = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
             events {{ worker_connections 64; }}
             http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;
               fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
               include {at}/socle.conf; }}"
        );
        fs::write(dir.join("nginx.conf"), main).unwrap();
        let child = Command::new("nginx")
            .args(["-p", at, "-c", path(&dir.join("nginx.conf"))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cache = Self { child, address: format!("127.0.0.1:{port}") };
        for _ in 0..100 {
            if TcpStream::connect(&cache.address).is_ok() {
                return cache;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", fs::read_to_string(dir.join("error.log")).unwrap_or_default());
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> crate::support::Answer {
        send(&self.address, "GET", path, headers)
    }
}

#[test]
fn the_documented_cache_hits_revalidates_follows_and_outlives_the_server() {
    if !has("nginx") {
        return;
    }
    let site = Site::new();
    // Kept for two seconds: the layer says so.
    site.layer("points", "key = \"id\"\nmax_age_s = 2\n[source]\npath = \"../points.csv\"");
    crash::delivery(&site, 1);
    site.harvest();
    let server = site.serve();
    let cache = Cache::start(&site, &server.address);
    let tile = "/collections/points/tiles/8/129/88.mvt";
    let state = |a: &crate::support::Answer| a.header("x-cache").unwrap_or_default().to_owned();
    let gzip = [("Accept-Encoding", "gzip")];
    let first = cache.get(tile, &gzip);
    assert_eq!((first.status, state(&first).as_str()), (200, "MISS"));
    let second = cache.get(tile, &gzip);
    assert_eq!((second.status, state(&second).as_str()), (200, "HIT"));
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(second.header("content-encoding"), Some("gzip"));
    // Another encoding is another answer.
    let plain = cache.get(tile, &[]);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(crate::support::gunzip(&second.body), plain.body);
    // The tag passes through, and a client that has the tile is told so from the cache.
    let etag = first.header("etag").unwrap().to_owned();
    let unchanged = cache.get(tile, &[gzip[0], ("If-None-Match", &etag)]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    // What must not be kept is not.
    for _ in 0..2 {
        let health = cache.get("/health/ready", &[]);
        assert_eq!((health.status, state(&health).as_str()), (200, "BYPASS"));
    }
    assert_eq!(cache.get("/collections/nope", &[]).status, 404);
    // The cache keeps both as long as the layer says: then the next version is followed.
    let kept = "public, max-age=2, stale-while-revalidate=10, stale-if-error=86400";
    assert_eq!(first.header("cache-control"), Some(kept));
    let items = "/collections/points/items?limit=1";
    let delivery = |a: &crate::support::Answer| {
        a.json()["features"][0]["properties"]["livraison"].as_u64().unwrap()
    };
    let json = [("Accept", "application/geo+json")];
    assert_eq!(delivery(&cache.get(items, &json)), 1);
    crash::delivery(&site, 2);
    site.harvest();
    assert!(server.until(Duration::from_secs(3), |s| crash::shown(s) == 2));
    let followed = server.until(Duration::from_secs(40), |_| {
        std::thread::sleep(Duration::from_millis(500));
        delivery(&cache.get(items, &json)) == 2
    });
    assert!(followed, "the cache does not follow");
    let fresh = server.get(tile).body;
    assert_ne!(fresh, plain.body, "a tile carries the delivery");
    let followed = server.until(Duration::from_secs(40), |_| {
        std::thread::sleep(Duration::from_millis(500));
        let shown = cache.get(tile, &[]);
        // What was there or what is there now, never anything else.
        assert!(shown.body == plain.body || shown.body == fresh, "a mixture");
        shown.body == fresh
    });
    assert!(followed, "the cache does not follow tiles");
    assert_eq!(cache.get(tile, &[]).header("etag"), server.get(tile).header("etag"));
    // Without any server the cache goes on with what it has.
    drop(server);
    let stale = cache.get(tile, &gzip);
    assert_eq!(stale.status, 200, "{}", stale.text());
    assert!(["HIT", "STALE", "UPDATING"].contains(&state(&stale).as_str()), "{}", state(&stale));
    let page = server_down(&cache, items, &json);
    assert_eq!(delivery(&page), 2);
    assert!(cache.get("/collections/points/items?limit=3", &json).status >= 500);
}

/// Asks until what the cache holds is out of date, and it serves it all the same.
fn server_down(cache: &Cache, path: &str, headers: &[(&str, &str)]) -> crate::support::Answer {
    for _ in 0..60 {
        let answer = cache.get(path, headers);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let state = answer.header("x-cache").unwrap_or_default().to_owned();
        if state == "STALE" || state == "UPDATING" {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("never stale");
}
