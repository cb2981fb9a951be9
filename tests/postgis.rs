//! What the database's store has to show besides the contract: the whole program over it, faults
//! of the database, replicas, roles and views, hostile names.

use crate::{
    borders, crash, gdal, harvest, proxy,
    store_contract::{Place, claim, current, feature, layer, point, points, put, rows, version},
    support::{
        QUICK, SLACK, Site, over_postgis,
        postgres::{self, PgBouncer, Postgres},
        said,
    },
};
use proptest::prelude::*;
use socle::{
    error::Error,
    model::{FieldKind, TileId, Value},
    query::{Filter, Scan, Start},
};
use std::{
    fs,
    io::Write,
    net::TcpStream,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Whole-program tests that must come out the same over PostGIS.
macro_rules! same_over_postgis {
    ($($room:ident :: $test:ident),* $(,)?) => {
        mod whole {
            $(#[test]
            fn $test() {
                super::over_postgis(super::$room::$test);
            })*
        }
    };
}

same_over_postgis!(
    harvest::the_demo_is_harvested_whole_and_an_unchanged_source_makes_no_version,
    harvest::a_truncated_geojson_is_refused_and_the_last_version_stays,
    harvest::a_delivery_that_lost_most_of_its_rows_is_held,
    harvest::a_broken_csv_line_is_refused_with_its_number_and_the_rest_kept,
    harvest::communes_of_2018_are_carried_to_the_current_ones,
    gdal::ogrinfo_lists_the_three_layers_with_counts_extents_and_types,
    gdal::the_scope_of_the_nord_holds_its_647_communes,
    gdal::paging_yields_every_commune_once,
    gdal::ogrinfo_reads_a_tile_with_geometry_in_its_place,
    crash::a_harvest_beside_a_running_server_is_seen_within_a_second,
    crash::one_writer_per_layer_and_readers_keep_what_they_read,
    proxy::a_crawl_from_the_landing_page_stays_under_public_url,
    borders::communes_cut_at_the_border_made_of_them_are_whole,
    borders::cantons_across_a_border_are_cut_on_both_sides_of_it,
    borders::pages_of_cut_features_neither_repeat_nor_lose_any,
    borders::tiles_of_a_cut_scope_hold_what_its_items_do,
);

/// A tile over all the test points.
fn tile() -> TileId {
    TileId::new(5, 16, 11).unwrap()
}

/// A place on the shared server, and the name of its database.
fn place() -> Option<(&'static Postgres, String, Place)> {
    let server = postgres::shared()?;
    let database = server.database();
    let place = Place::postgis(&server.url(&database), false);
    Some((server, database, place))
}

/// Holds an exclusive lock on the first version's tables for some seconds: every read of them
/// waits, as behind a slow query.
pub fn block(
    server: &'static Postgres,
    database: &str,
    seconds: f64,
) -> std::thread::JoinHandle<()> {
    let name = database.to_owned();
    let locked = std::thread::spawn(move || {
        let sql = format!(
            "BEGIN; LOCK TABLE socle_store.t1, socle_store.f1 IN ACCESS EXCLUSIVE MODE;
             SELECT pg_sleep({seconds}); COMMIT;"
        );
        server.sql(&name, &sql);
    });
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                AND relation = 'socle_store.t1'::regclass";
    while server.sql(database, held) == "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    locked
}

#[test]
fn a_slow_statement_is_cut_and_its_connection_goes_on() {
    let Some((server, database, place)) = place() else { return };
    let place = place.with(|s| (s.statement, s.pool) = (Duration::from_millis(300), 1));
    let store = place.open();
    let at = place.wait(put(&store, &layer("points"), points(1, 10)));
    let backends = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'socle'
                    AND query NOT LIKE 'LISTEN%'";
    place.wait(store.tile(&at, tile(), 64, None)).unwrap();
    let before = server.sql(&database, backends);
    let locked = block(server, &database, 6.0);
    let started = Instant::now();
    let late = place.wait(store.tile(&at, tile(), 64, None));
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Cut on the server as well, and the one connection serves again at once.
    assert_eq!(place.wait(store.versions(&layer("points"))).unwrap().len(), 1);
    locked.join().unwrap();
    assert!(place.wait(store.tile(&at, tile(), 64, None)).unwrap().is_some());
    assert_eq!(server.sql(&database, backends), before);
}

#[test]
fn a_pool_that_is_exhausted_refuses_in_time() {
    let Some((_, _, place)) = place() else { return };
    let place = place.with(|s| (s.wait, s.pool) = (Duration::from_millis(300), 1));
    let store = place.open();
    let at = place.wait(put(&store, &layer("points"), points(1, 10)));
    place.wait(async {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let slow = {
            let (store, at) = (store.clone(), at.clone());
            tokio::spawn(async move {
                let sink = Box::new(move |_: &socle::store::Row<'_>| {
                    let _ = begun.send(());
                    std::thread::sleep(Duration::from_millis(400));
                    ControlFlow::Continue(())
                });
                let all = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
                store.scan(&at, all, sink).await
            })
        };
        tokio::task::spawn_blocking(move || has_begun.recv()).await.unwrap().unwrap();
        let started = Instant::now();
        let full = store.tile(&at, tile(), 64, None).await;
        assert!(matches!(full, Err(Error::Busy { .. })), "{full:?}");
        assert!(started.elapsed() < Duration::from_secs(3));
        assert_eq!(slow.await.unwrap().unwrap().returned, 10);
        assert!(store.tile(&at, tile(), 64, None).await.unwrap().is_some());
    });
}

#[test]
fn who_leaves_has_the_query_cancelled() {
    let Some((server, database, place)) = place() else { return };
    leave(server, &database, &place);
}

#[test]
fn who_leaves_has_the_query_cancelled_behind_pgbouncer() {
    let Some(server) = postgres::shared() else { return };
    let Some(pooler) = PgBouncer::start(server) else { return };
    let database = server.database();
    // One more than those who leave: their loans are not needed to cancel.
    let place = Place::postgis(&pooler.url(&database), true).with(|s| s.pool = 2);
    leave(server, &database, &place);
    // PgBouncer before 1.21 may die of cancel requests: none was sent.
    assert!(!pooler.log().contains("cancel request"), "{}", pooler.log());
}

fn leave(server: &'static Postgres, database: &str, place: &Place) {
    let store = place.open();
    let at = place.wait(put(&store, &layer("points"), points(1, 10)));
    let locked = block(server, database, 8.0);
    place.wait(async {
        let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
        let sink = || Box::new(|_: &socle::store::Row<'_>| ControlFlow::Continue(()));
        let left = Duration::from_millis(300);
        assert!(tokio::time::timeout(left, store.tile(&at, tile(), 64, None)).await.is_err());
        assert!(tokio::time::timeout(left, store.scan(&at, scan, sink())).await.is_err());
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'socle' AND wait_event_type = 'Lock'";
    let started = Instant::now();
    while server.sql(database, waiting) != "0" {
        assert!(started.elapsed() < Duration::from_secs(5), "queries of those who left go on");
        std::thread::sleep(Duration::from_millis(50));
    }
    locked.join().unwrap();
    assert!(place.wait(store.tile(&at, tile(), 64, None)).unwrap().is_some());
}

/// The same over HTTP: who hangs up ends the query, long before the time of a request is over.
#[test]
fn a_client_that_hangs_up_ends_its_query() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database();
    let site = Site::over(&server.url(&database), "lease_s = 1");
    fs::write(site.path("points.csv"), "id,lon,lat\n1,3.06,50.63\n2,3.17,50.69\n").unwrap();
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    site.harvest();
    let http = site.serve();
    let path = "/collections/points/items?limit=1";
    assert_eq!(http.get(path).status, 200);
    // Longer than both waits below, and shorter than the time of a statement.
    let locked = block(server, &database, 9.0);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'socle' AND wait_event_type = 'Lock'";
    let becomes = |count: &str| {
        let started = Instant::now();
        while server.sql(&database, waiting) != count {
            let long = started.elapsed() > Duration::from_secs(4);
            assert!(!long, "not {count} but {}", server.sql(&database, waiting));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut client = TcpStream::connect(&http.address).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    becomes("1");
    drop(client);
    becomes("0");
    locked.join().unwrap();
    assert_eq!(http.get(path).status, 200);
}

#[test]
fn a_flip_is_followed_within_a_second_also_when_listening_was_cut() {
    let Some((server, database, place)) = place() else { return };
    let (one, two, id) = (place.open(), place.open(), layer("points"));
    place.wait(async {
        put(&one, &id, points(1, 10)).await;
        current(&two, &id).await;
        let mut before = two.generation().await.unwrap();
        for round in 2..5 {
            if round > 2 {
                let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                           WHERE datname = current_database() AND query LIKE 'LISTEN%'";
                server.sql(&database, cut);
            }
            put(&one, &id, points(round, 10)).await;
            let follow = async {
                while two.generation().await.unwrap() == before {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(1) * SLACK, follow).await.expect("it follows");
            before = two.generation().await.unwrap();
            let at = current(&two, &id).await;
            // Never a mixture: all rows of the page are of the version it names.
            let all = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
            let (seen, _) = rows(&two, &at, all).await;
            assert!(seen.iter().all(|r| r.values[1] == format!("text v{round}")));
        }
    });
}

#[test]
fn whoever_listens_is_told_at_once() {
    let Some((_, _, place)) = place() else { return };
    let (one, two, id) = (place.open(), place.open(), layer("points"));
    place.wait(async {
        put(&one, &id, points(1, 10)).await;
        two.generation().await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await; // it connects to listen
        let told = {
            let two = two.clone();
            tokio::spawn(async move { two.changed().await })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        put(&one, &id, points(2, 10)).await;
        tokio::time::timeout(Duration::from_secs(5), told).await.expect("told").unwrap();
    });
}

#[test]
fn a_replica_that_dies_gives_its_claim_back_and_cannot_write_any_more() {
    let Some((server, database, place)) = place() else { return };
    let place = place.with(|s| s.lease = Duration::from_secs(2));
    let (one, two, id) = (place.open(), place.open(), layer("points"));
    place.wait(async {
        let held = claim(&one, &id).await;
        // It is renewed as long as its holder lives.
        tokio::time::sleep(Duration::from_millis(3_000)).await;
        assert!(two.claim(&id).await.unwrap().is_none());
        // One that was kept from renewing it goes on with what nobody else asked for.
        let long_ago = "UPDATE socle_store.claims SET expires = clock_timestamp() - interval '1 h'";
        server.sql(&database, long_ago);
        one.load(&held, points(1, 10)).await.unwrap();
        drop(held);
    });
    // A replica whose runtime stops renews nothing: as good as dead.
    let dying = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let three = place.open();
    let lost = dying.block_on(claim(&three, &id));
    dying.shutdown_background();
    place.wait(async {
        assert!(two.claim(&id).await.unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(2_300)).await;
        let taken = two.claim(&id).await.unwrap();
        assert!(taken.is_some());
        // It was not dead after all: what it writes is refused.
        let late = one.load(&lost, points(1, 10)).await;
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
        assert!(one.versions(&id).await.unwrap().is_empty());
        std::mem::forget(lost);
        std::mem::forget(three);
    });
}

#[test]
fn a_read_replica_that_is_away_is_stood_in_for_by_the_primary() {
    let Some((_, _, place)) = place() else { return };
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = away.local_addr().unwrap().port();
    drop(away);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    fs::write(&file, format!("postgres://socle@127.0.0.1:{port}/x")).unwrap();
    let place = place.with(|s| s.read_url = Some(socle::config::Secret::File(file)));
    let store = place.open();
    let at = place.wait(put(&store, &layer("points"), points(1, 10)));
    let started = Instant::now();
    assert!(place.wait(store.tile(&at, tile(), 64, None)).unwrap().is_some());
    assert!(started.elapsed() < Duration::from_secs(1) * SLACK, "{:?}", started.elapsed());
}

#[test]
fn a_database_of_the_future_is_refused() {
    let Some((server, database, place)) = place() else { return };
    let store = place.open();
    place.wait(store.current()).unwrap();
    server.sql(&database, "INSERT INTO socle_store.migrations (number) VALUES (99)");
    let refused = place.wait(place.open().current());
    let Err(Error::Refused(words)) = refused else { panic!("{refused:?}") };
    assert!(words.en.contains("99") && words.fr.contains("99"));
}

#[test]
fn many_programs_start_on_an_empty_database_at_once() {
    let Some((_, _, place)) = place() else { return };
    let stores: Vec<_> = (0..8).map(|_| place.open()).collect();
    place.wait(async {
        let starts = stores.iter().map(|s| {
            let store = s.clone();
            tokio::spawn(async move { store.current().await.unwrap().len() })
        });
        for start in starts.collect::<Vec<_>>() {
            assert_eq!(start.await.unwrap(), 0);
        }
    });
}

#[test]
fn the_reading_role_sees_views_and_serves_but_writes_nothing() {
    let Some((server, database, place)) = place() else { return };
    let (load, read) = (format!("{database}_load"), format!("{database}_read"));
    for role in [&load, &read] {
        server.sql(&database, &format!("CREATE ROLE {role} LOGIN"));
    }
    server.sql(&database, &format!("GRANT CREATE ON DATABASE {database} TO {load}"));
    let place = place.with(|s| {
        s.load_role = Some(load.clone());
        s.read_role = Some(read.clone());
    });
    let (store, id) = (place.open(), layer("points"));
    place.wait(put(&store, &id, points(1, 10)));
    let as_reader = format!("SET ROLE {read}; ");
    let ask = |sql: &str| server.sql(&database, &format!("{as_reader}{sql}"));
    assert_eq!(ask("SELECT count(*), max(livraison) FROM socle.points"), "10|v1");
    assert_eq!(ask("SELECT ST_SRID(geom) FROM socle.points LIMIT 1"), "4326");
    let owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'socle_store'";
    assert_eq!(server.sql(&database, owner), load);
    // The view moves with the version, in the same step.
    place.wait(put(&store, &id, points(2, 12)));
    assert_eq!(ask("SELECT count(*), max(livraison) FROM socle.points"), "12|v2");
    // A server that only reads serves.
    let url = format!("postgres://{read}@127.0.0.1:{}/{database}", server.port);
    let reader_place = Place::postgis(&url, false);
    let reader = reader_place.open();
    reader_place.wait(async {
        let at = current(&reader, &id).await;
        assert!(reader.tile(&at, tile(), 64, None).await.unwrap().is_some());
        assert!(reader.claim(&id).await.is_err());
    });
}

#[test]
fn views_bear_the_fields_own_names_and_a_view_built_on_them_stops_nothing() {
    let Some((server, database, place)) = place() else { return };
    let (store, id) = (place.open(), layer("points"));
    place.wait(put(&store, &id, points(1, 10)));
    let names = "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'socle.points'::regclass AND attnum > 0";
    assert_eq!(server.sql(&database, names), "fid,socle_id,n,livraison,geom");
    assert!(
        server
            .sql(&database, "SELECT obj_description('socle.points'::regclass)")
            .contains("Essai d'une couche")
    );
    server.sql(&database, "CREATE VIEW public.mine AS SELECT n FROM socle.points");
    // The same columns: the view is replaced under the other one.
    place.wait(put(&store, &id, points(2, 12)));
    assert_eq!(server.sql(&database, "SELECT count(*) FROM public.mine"), "12");
    // Other columns: the version is published all the same; the view waits.
    let other = version(3, &[("x", FieldKind::Text)], vec![feature("a", vec![], point(2.0, 48.0))]);
    place.wait(put(&store, &id, other));
    assert_eq!(place.wait(current(&store, &id)).version.count, 1);
    assert_eq!(server.sql(&database, "SELECT count(*) FROM socle.points"), "12");
    place.wait(async {
        let claim = claim(&store, &id).await;
        assert_eq!(store.prune(&claim, 0).await.unwrap(), 1, "the one the view shows is kept");
        drop(claim);
        server.sql(&database, "DROP VIEW public.mine");
        let claim = self::claim(&store, &id).await;
        store.prune(&claim, 0).await.unwrap();
        assert_eq!(server.sql(&database, "SELECT count(*) FROM socle.points"), "1");
    });
}

/// The columns of a view, one JSON text a line.
fn view_names(server: &Postgres, database: &str, view: &str) -> Vec<String> {
    let sql = format!(
        "SELECT coalesce(json_agg(attname ORDER BY attnum), '[]') FROM pg_attribute
         WHERE attrelid = 'socle.{view}'::regclass AND attnum > 2"
    );
    serde_json::from_str(&server.sql(database, &sql)).unwrap()
}

#[test]
fn hostile_names_and_values_are_nothing_but_data() {
    let Some((server, database, place)) = place() else { return };
    let (store, id) = (place.open(), layer("hostile"));
    let number = std::cell::Cell::new(0);
    let odd = prop_oneof![
        "[\"'\\\\$;%_ \\-a-zé]{1,20}",
        Just("\"; DROP SCHEMA socle_store CASCADE; --".to_owned()),
        Just("$1".to_owned()),
        Just("ctid".to_owned()),
        Just("%I%L%s".to_owned()),
    ];
    let fields = prop::collection::btree_map(odd.clone(), any::<String>(), 1..5);
    let config =
        ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(fields in fields, key in odd)| {
        number.set(number.get() + 1);
        let names: Vec<(&str, FieldKind)> = fields.keys().map(|n| (n.as_str(), FieldKind::Text)).collect();
        let values: Vec<Value> = fields.values().map(|v| Value::Text(v.clone())).collect();
        let new = version(number.get(), &names, vec![feature(&key, values, None)]);
        let (found, equal) = place.wait(async {
            let at = put(&store, &id, new).await;
            let sink = Box::new(|_: &socle::store::Row<'_>| ControlFlow::Continue(()));
            let found = store.feature(&at, &key, sink).await.unwrap();
            let equals = fields.values().enumerate().map(|(field, v)| socle::query::Equals {
                field, value: Value::Text(v.clone()),
            }).collect();
            let filter = Filter { equals, ..Filter::default() };
            let scan = Scan { filter, start: Start::Ordinal(0), limit: Some(10) };
            (found, rows(&store, &at, scan).await.0)
        });
        prop_assert!(found);
        prop_assert_eq!(equal.len(), 1);
        let shown: Vec<String> = fields.values().map(|v| format!("text {v}")).collect();
        prop_assert_eq!(&equal[0].values, &shown);
        prop_assert_eq!(view_names(server, &database, "hostile"), fields.keys().cloned().collect::<Vec<_>>());
    });
}

#[test]
fn no_database_is_said_at_once_and_its_coming_is_noticed() {
    let Some(server) = Postgres::start() else {
        println!("skipped: PostgreSQL with PostGIS is not installed");
        return;
    };
    let url = server.url(&server.database());
    let site = Site::over(&url, &format!("lease_s = 1\n{QUICK}"));
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    crash::delivery(&site, 1);
    site.harvest();
    server.kill();
    // The program starts without it, and says so.
    let web = site.serve();
    assert_eq!(web.get("/health/live").status, 200);
    let started = Instant::now();
    assert_eq!(web.get("/health/ready").status, 503);
    let page = web.get("/collections/points/items");
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.header("retry-after").is_some());
    assert!(started.elapsed() < Duration::from_secs(2) * SLACK, "{:?}", started.elapsed());
    let harvest = site.run(&["harvest"]);
    assert_eq!(harvest.status.code(), Some(1), "{}", said(&harvest));
    server.restart();
    assert!(web.until(Duration::from_secs(2), |s| s.get("/health/ready").status == 200));
    let page = "/collections/points/items";
    let back = web.until(Duration::from_secs(2), |s| s.get(page).status == 200);
    assert!(back, "{}", web.get(page).text());
    let words = said(&site.run(&["check"]));
    assert!(words.contains("points"), "{words}");
    for text in [said(&harvest), words] {
        assert!(!text.contains("postgres://"), "{text}");
    }
}

#[test]
fn kill_nine_leaves_no_table_behind() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database();
    let site = Site::over(&server.url(&database), "lease_s = 1");
    site.layer("points", "key = \"id\"\nkeep_versions = 1\n[source]\npath = \"../points.csv\"");
    crash::delivery(&site, 0);
    let started = Instant::now();
    site.harvest();
    let whole = started.elapsed();
    let server_at_work = site.serve();
    for round in 1..=8u32 {
        crash::delivery(&site, round);
        let mut child = crate::support::command(&["harvest", "--config", &site.config()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * ((round * 5) % 8) / 8);
        let _ = child.kill();
        child.wait().unwrap();
        // A page is never a mixture, whatever was published.
        let _ = crash::shown(&server_at_work);
    }
    std::thread::sleep(Duration::from_millis(1_300));
    crash::delivery(&site, 100);
    site.harvest();
    assert!(server_at_work.until(Duration::from_secs(2), |s| crash::shown(s) == 100));
    std::thread::sleep(Duration::from_millis(1_300));
    let last = site.run(&["harvest", "--force"]);
    assert!(last.status.success(), "{}", said(&last));
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'socle_store' AND tablename ~ '^[ft][0-9]+$'";
    let versions = "SELECT 2 * count(*) FROM socle_store.versions";
    assert_eq!(server.sql(&database, tables), server.sql(&database, versions));
    let kept: u32 =
        server.sql(&database, "SELECT count(*) FROM socle_store.versions").parse().unwrap();
    assert!(kept <= 3, "{kept} versions");
    fs::remove_file(site.path("points.csv")).unwrap();
}
