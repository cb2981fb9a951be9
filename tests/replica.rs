//! A streaming replica of PostgreSQL that serves reads: made by PostgreSQL's own means, behind,
//! hanging, killed and back. Skipped by name where PostgreSQL is absent.

use crate::{
    crash::{delivery, shown},
    support::{QUICK, Server, Site, command, postgres::Postgres, said},
};
use std::{fs, time::Duration};

/// Long enough for a busy machine.
const LONG: Duration = Duration::from_secs(20);
const VARIABLE: &str = "SOCLE_TEST_READ_URL";

/// A primary with a harvested layer, its replica, and a server that reads from the replica.
struct Pair {
    site: Site,
    database: String,
    web: Server,
    primary: Postgres,
    replica: Postgres,
}

impl Pair {
    fn start() -> Option<Self> {
        let Some(primary) = Postgres::start() else {
            println!("skipped: PostgreSQL with PostGIS is not installed");
            return None;
        };
        let database = primary.database();
        let site = Site::over(&primary.url(&database), &format!("lease_s = 1\n{QUICK}"));
        site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
        delivery(&site, 1);
        site.harvest();
        let replica = primary.standby();
        // The same configuration with the replica's address: what harvests needs none.
        let text = fs::read_to_string(site.path("socle.toml")).unwrap();
        let reading = format!("kind = \"postgis\"\nread_url_env = \"{VARIABLE}\"");
        let text = text.replace("kind = \"postgis\"", &reading);
        fs::write(site.path("reading.toml"), text).unwrap();
        let config = site.path("reading.toml");
        let mut serve = command(&["serve", "--listen", "127.0.0.1:0", "--config"]);
        serve.arg(config).env(VARIABLE, replica.url(&database));
        let web = Server::of(serve);
        Some(Self { site, database, web, primary, replica })
    }

    /// How often the replica itself has read tables of features.
    fn reads(&self) -> u64 {
        let sql = "SELECT coalesce(sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)), 0)::int8
                   FROM pg_stat_all_tables WHERE schemaname = 'socle_store' AND relname ~ '^f[0-9]+$'";
        self.replica.sql(&self.database, sql).parse().unwrap()
    }

    /// Whether pages come from the replica from now on; each of them is whole.
    fn reads_from_the_replica(&self) -> bool {
        let before = self.reads();
        self.web.until(LONG, |web| {
            shown(web);
            self.reads() > before
        })
    }

    fn publish(&self, number: u32) {
        delivery(&self.site, number);
        let output = self.site.run(&["harvest"]);
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn a_replica_that_lags_is_never_seen_and_follows_after_replay() {
    let Some(pair) = Pair::start() else { return };
    assert_eq!(shown(&pair.web), 1);
    assert!(pair.reads_from_the_replica(), "the replica serves no reads");
    pair.replica.sql("postgres", "SELECT pg_wal_replay_pause()");
    for number in 2..=4 {
        pair.publish(number);
        let mut last = 0;
        // `shown` accepts nothing but 200 and one delivery on the whole page.
        let seen = pair.web.until(LONG, |web| {
            let now = shown(web);
            assert!(now >= last && now <= u64::from(number), "{now} after {last}");
            last = now;
            now == u64::from(number)
        });
        assert!(seen, "version {number} is not seen");
    }
    pair.replica.sql("postgres", "SELECT pg_wal_replay_resume()");
    assert!(pair.reads_from_the_replica(), "the replica is not read again");
    assert_eq!(shown(&pair.web), 4);
}

#[test]
fn a_replica_that_hangs_or_dies_is_left_for_the_primary_and_taken_back() {
    let Some(pair) = Pair::start() else { return };
    assert!(pair.reads_from_the_replica(), "the replica serves no reads");
    pair.replica.freeze(true);
    for _ in 0..10 {
        assert_eq!(shown(&pair.web), 1, "reads go on while the replica hangs");
    }
    assert_eq!(pair.web.get("/health/ready").status, 200);
    pair.replica.freeze(false);
    assert!(pair.reads_from_the_replica(), "not taken back after it hung");
    pair.replica.kill();
    for number in 2..=3 {
        pair.publish(number);
        assert!(pair.web.until(LONG, |web| shown(web) == u64::from(number)));
    }
    pair.replica.restart();
    assert!(pair.reads_from_the_replica(), "not taken back after it died");
    assert_eq!(shown(&pair.web), 3);
    drop(pair.web);
    assert_eq!(pair.primary.sql("postgres", "SELECT pg_is_in_recovery()"), "f");
}
