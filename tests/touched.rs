//! Attachments of published tables that follow edits row by row: only what was touched is attached
//! again, by whichever replica comes first, and what comes of it is what attaching all would give.

use crate::{
    proxy::free_port,
    support::{Server, send},
    tables::{MAIRIES, Place, SOON, ids},
};
use std::{cell::RefCell, collections::BTreeMap};

/// Beside the town halls, attached by location: shops with a key of two columns and a code, edited
/// without a word; and a view of them.
const SHOPS: &str = r#"
CREATE TABLE gestion.commerces (rue text, numero int, code text, nom text, geom geometry(Point, 4326),
  PRIMARY KEY (rue, numero));
INSERT INTO gestion.commerces SELECT 'rue ' || i % 3, i, CASE WHEN i % 2 = 0 THEN '59350' ELSE '62498' END,
  'n' || i, ST_SetSRID(ST_MakePoint(3.05, 50.63), 4326) FROM generate_series(1, 40) i;
CREATE VIEW gestion.ouverts AS SELECT numero, code, geom FROM gestion.commerces WHERE nom <> 'fermé';
"#;

const LAYERS: &str = r#"
[[tables]]
table = "gestion.mairies"
[tables.territory]
by_location = true
[[tables]]
table = "gestion.commerces"
[tables.territory]
level = "com"
column = "code"
by_location = false
[[tables]]
table = "gestion.ouverts"
key = "numero"
[tables.territory]
level = "com"
column = "code"
by_location = false
"#;

/// Two replicas over one database, and where their figures are.
struct Pair {
    place: Place,
    replicas: [Server; 2],
    ports: [u16; 2],
    /// Rows that have to be attached by now, by layer.
    due: RefCell<BTreeMap<String, u64>>,
}

impl Pair {
    fn over(place: Place) -> Self {
        let ports = [free_port(), free_port()];
        place.listen_inside(ports[0]);
        let first = place.site.serve();
        let main = place.site.path("socle.toml");
        let text = std::fs::read_to_string(&main).unwrap();
        std::fs::write(&main, text.replace(&ports[0].to_string(), &ports[1].to_string())).unwrap();
        let second = place.site.serve();
        Self { place, replicas: [first, second], ports, due: RefCell::default() }
    }

    /// Rows of a layer attached so far, by both.
    fn attached(&self, layer: &str) -> u64 {
        let name = format!("socle_table_rows_attached_total{{layer=\"{layer}\"}} ");
        let of = |port: &u16| {
            let figures = send(&format!("127.0.0.1:{port}"), "GET", "/metrics", &[]).text();
            let line = figures.lines().find_map(|l| l.strip_prefix(&name)?.parse::<u64>().ok());
            line.unwrap_or(0)
        };
        self.ports.iter().map(of).sum()
    }

    /// Waits until both answer a territory with these rows.
    fn both_answer(&self, layer: &str, territory: &str, wanted: &[&str]) {
        let path = format!("/collections/{layer}/items?territory={territory}");
        for replica in &self.replicas {
            let same = |s: &Server| {
                let answer = s.get(&path);
                answer.status == 200 && ids(&answer.json()) == wanted
            };
            assert!(replica.until(SOON * 3, same), "{path}: {}", replica.get(&path).text());
        }
    }

    /// Waits until nothing more is attached.
    fn settles(&self, layer: &str) -> u64 {
        let mut last = self.attached(layer);
        let still = |_: &Server| {
            std::thread::sleep(std::time::Duration::from_millis(2500));
            std::mem::replace(&mut last, self.attached(layer)) == self.attached(layer)
        };
        assert!(self.replicas[0].until(SOON * 2, still));
        last
    }

    /// Runs an edit and waits for its answer, and until just so many rows were attached for it. One
    /// too many that comes late is found by the edit after it.
    fn edit(&self, layer: &str, sql: &str, territory: &str, wanted: &[&str], rows: u64) {
        let mut due = self.due.borrow_mut();
        let due = due.entry(layer.to_owned()).or_insert_with(|| self.attached(layer));
        *due += rows;
        self.place.sql(sql);
        self.both_answer(layer, territory, wanted);
        let told = self.replicas[0].until(SOON, |_| self.attached(layer) == *due);
        assert!(told, "{sql}: {} of {due}", self.attached(layer));
    }

    /// Waits until nothing is attached any more, in the database's own tables: answers are empty
    /// as soon as the table is, and what was attached for it later would count rows of the edit
    /// that follows.
    fn attached_to_nothing(&self, layer: &str) {
        let serial = format!("SELECT reach FROM socle_store.live WHERE layer = '{layer}'");
        let empty = |_: &Server| {
            let serial = self.place.sql(&serial);
            self.place.sql(&format!("SELECT count(*) FROM socle_store.k{serial}")) == "0"
        };
        assert!(self.replicas[0].until(SOON, empty), "{layer}");
    }

    /// The attachments in force, as the database holds them; and again once all were made anew,
    /// which the column brings about.
    fn same_as_all_anew(&self, layer: &str, table: &str) {
        let held = || {
            let serial = format!("SELECT reach FROM socle_store.live WHERE layer = '{layer}'");
            let serial = self.place.sql(&serial);
            let rows = format!(
                "SELECT (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM socle_store.a{serial} a)
                   || (SELECT string_agg(k::text, ' ' ORDER BY k::text) FROM socle_store.k{serial} k)"
            );
            {
                let rows = self.place.sql(&rows);
                (serial, rows)
            }
        };
        let before = held();
        self.place.sql(&format!("ALTER TABLE gestion.{table} ADD COLUMN autre int"));
        assert!(self.replicas[0].until(SOON * 3, |_| held().0 != before.0), "{layer}");
        assert_eq!(held().1, before.1, "{layer}");
    }
}

#[test]
fn only_touched_rows_are_attached_again_and_a_lost_word_is_caught() {
    let Some(place) = Place::new(&format!("{MAIRIES}{SHOPS}"), LAYERS) else { return };
    place.with_communes();
    place.sql("SELECT socle_store.watch_table('gestion.mairies', 'geom')");
    let pair = Pair::over(place);
    pair.both_answer("mairies", "com:62498", &["2"]);
    announced(&pair);
    unannounced(&pair);
    pair.same_as_all_anew("mairies", "mairies");
    pair.same_as_all_anew("commerces", "commerces");
}

fn announced(pair: &Pair) {
    pair.settles("mairies");
    let edit = |sql: &str, territory: &str, wanted: &[&str], rows: u64| {
        pair.edit("mairies", sql, territory, wanted, rows);
    };
    // Moved, added, deleted; a row without a place gets one.
    let to_lens = "SET geom = (SELECT geom FROM gestion.mairies WHERE id = 2)";
    let moved = format!("UPDATE gestion.mairies {to_lens} WHERE id = 1");
    edit(&moved, "com:62498", &["1", "2"], 1);
    let added = "INSERT INTO gestion.mairies (id, nom, geom) SELECT 9, 'Lens 2', geom FROM gestion.mairies WHERE id = 2";
    edit(added, "com:62498", &["1", "2", "9"], 1);
    edit("DELETE FROM gestion.mairies WHERE id = 2", "com:62498", &["1", "9"], 0);
    let placed = "UPDATE gestion.mairies SET geom = (SELECT geom FROM gestion.mairies WHERE id = 9) WHERE id = 6";
    edit(placed, "com:62498", &["1", "6", "9"], 1);
    // Two statements, one of them on a key that changes.
    let rekeyed = "UPDATE gestion.mairies SET id = 10 WHERE id = 9; UPDATE gestion.mairies SET geom = NULL WHERE id = 6";
    edit(rekeyed, "com:62498", &["1", "10"], 2);
    // The cable was cut: replicas hear nothing, and look by themselves.
    pair.place.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    );
    edit("DELETE FROM gestion.mairies WHERE id = 10", "com:62498", &["1"], 0);
    // Triggers that do not fire: the database's own count of rows gives the edit away.
    let silent = format!(
        "SET session_replication_role = replica; UPDATE gestion.mairies {} WHERE id = 3",
        to_lens.replace("id = 2", "id = 1")
    );
    edit(&silent, "com:62498", &["1", "3"], 1);
    // All gone, then some again.
    edit("TRUNCATE gestion.mairies", "fr", &[], 0);
    pair.attached_to_nothing("mairies");
    let again = "INSERT INTO gestion.mairies (id, nom, geom) VALUES (1, 'Lille',
        ST_Transform(ST_SetSRID(ST_MakePoint(3.0573, 50.6305), 4326), 2154)), (2, 'Nulle part', NULL)";
    edit(again, "com:59350", &["1"], 2);
    // Nothing was attached for nothing since.
    assert_eq!(pair.settles("mairies"), pair.due.borrow()["mairies"]);
}

fn unannounced(pair: &Pair) {
    pair.settles("ouverts");
    let lens = "com:62498";
    let all: Vec<String> = (1..=40).filter(|i| i % 2 == 1).map(|i| i.to_string()).collect();
    let but = |gone: &[&str]| -> Vec<&str> {
        all.iter().map(String::as_str).filter(|id| !gone.contains(id)).collect()
    };
    pair.both_answer("ouverts", lens, &but(&[]));
    let (shops, views) = (pair.attached("commerces"), pair.attached("ouverts"));
    // A key of two columns; the view sees it through the table below.
    pair.place.sql("UPDATE gestion.commerces SET code = '59350' WHERE numero = 7");
    pair.both_answer("ouverts", lens, &but(&["7"]));
    // It leaves the view, not the table.
    pair.place.sql("UPDATE gestion.commerces SET nom = 'fermé' WHERE numero = 9");
    pair.both_answer("ouverts", lens, &but(&["7", "9"]));
    pair.place.sql("DELETE FROM gestion.commerces WHERE numero = 11");
    pair.both_answer("ouverts", lens, &but(&["7", "9", "11"]));
    let count = |s: &Server| {
        let page = s.get(&format!("/collections/commerces/items?territory={lens}")).json();
        page["numberMatched"] == 18
    };
    assert!(pair.replicas.iter().all(|r| r.until(SOON, count)));
    // What attachments by code are not made from costs nothing.
    pair.place.sql("UPDATE gestion.commerces SET geom = NULL WHERE numero < 20");
    pair.settles("commerces");
    assert_eq!(pair.attached("ouverts") - views, 1);
    assert_eq!(pair.attached("commerces") - shops, 1);
}
