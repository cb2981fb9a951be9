//! TLS to the database with an authority of one's own, all made by openssl here: who it is that
//! answers is checked, and what is wrong is said. Skipped by name where PostgreSQL is absent.

use crate::{
    crash::delivery,
    support::{Site, authority, command, finish, has, postgres::Postgres, said},
};
#[test]
fn the_database_is_who_its_certificate_says_or_is_refused_in_words() {
    if !has("openssl") {
        return;
    }
    let Some(server) = Postgres::start() else {
        println!("skipped: PostgreSQL with PostGIS is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    authority(dir.path(), "ours", "localhost");
    authority(dir.path(), "other", "localhost");
    server.offer_tls(&dir.path().join("ours.pem"), &dir.path().join("ours.key"));
    let database = server.database();
    let at = |host: &str| {
        let url = server.url(&database).replace("127.0.0.1", host);
        format!("{url}?sslmode=verify-full")
    };
    let site = |host: &str, ca: Option<&str>| {
        let ca = ca.map(|name| dir.path().join(name));
        let ca = ca.map_or(String::new(), |path| format!("ca_file = {path:?}"));
        let site = Site::over(&at(host), &ca);
        site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
        delivery(&site, 1);
        site
    };
    let good = site("localhost", Some("ours-ca.pem"));
    good.harvest();
    let web = good.serve();
    assert_eq!(web.get("/collections/points/items?limit=1").status, 200);
    let plain = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                 WHERE a.application_name LIKE 'socle%' AND NOT s.ssl";
    assert_eq!(server.sql(&database, plain), "0", "all connections are encrypted");
    for (host, ca, fr, en) in [
        ("localhost", Some("other-ca.pem"), "aucune autorité connue", "no known authority"),
        ("localhost", None, "aucune autorité connue", "no known authority"),
        ("127.0.0.1", Some("ours-ca.pem"), "d'un autre hôte", "of another host"),
    ] {
        let bad = site(host, ca);
        let failed = bad.run(&["harvest"]);
        assert!(!failed.status.success(), "{host} {ca:?}");
        assert!(said(&failed).contains(fr), "{host} {ca:?}: {}", said(&failed));
        let mut english = command(&["harvest", "--config", &bad.config()]);
        let failed = finish(english.env("LC_ALL", "en_GB.UTF-8"));
        assert!(said(&failed).contains(en), "{host} {ca:?}: {}", said(&failed));
        // A server of such a configuration starts, and says that its store is away.
        let web = bad.serve();
        assert_eq!(web.get("/health/ready").status, 503);
    }
    let missing = site("localhost", Some("absent.pem")).run(&["layers"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(said(&missing).contains("ca_file"), "{}", said(&missing));
}
