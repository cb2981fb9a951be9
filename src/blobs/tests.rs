//! What drafts do. The cases that folder and object storage share are in `tests/blobs.rs`.

use super::*;
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

fn open(dir: &Path) -> Blobs {
    Blobs::open(&BlobSettings { path: dir.to_path_buf(), s3: None }).unwrap()
}

fn drafts(dir: &Path) -> usize {
    fs::read_dir(dir.join(DRAFTS)).map_or(0, Iterator::count)
}

#[tokio::test]
async fn what_dead_runs_left_goes_and_what_runs_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(DRAFTS)).unwrap();
    fs::write(dir.path().join(DRAFTS).join("999999-0.part"), "dead").unwrap();
    let blobs = open(dir.path());
    let mut running = blobs.begin(10).unwrap();
    assert_eq!(drafts(dir.path()), 1);
    running.write(b"abc").await.unwrap();
    let other = blobs.begin(10).unwrap();
    assert_eq!(drafts(dir.path()), 2, "a locked file is left alone");
    drop((running, other));
    assert_eq!(drafts(dir.path()), 0, "a dropped draft leaves nothing");
}

#[tokio::test]
async fn a_draft_can_be_written_by_its_path_and_is_still_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = open(dir.path());
    let key: Key = "exports/a.gpkg".parse().unwrap();
    let draft = blobs.begin(8).unwrap();
    fs::OpenOptions::new().append(true).open(draft.path()).unwrap();
    fs::write(draft.path(), "12345678").unwrap();
    assert_eq!(draft.keep(&key).await.unwrap().bytes, 8);
    let draft = blobs.begin(8).unwrap();
    fs::write(draft.path(), "123456789").unwrap();
    assert!(matches!(draft.keep(&key).await, Err(Error::Refused(_))));
    assert_eq!(fs::read(dir.path().join("exports/a.gpkg")).unwrap(), b"12345678");
    assert_eq!(drafts(dir.path()), 0);
}

#[tokio::test]
async fn sweeping_bounds_the_bytes_and_spares_young_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = open(dir.path());
    fs::write(dir.path().join("notes of ours.txt"), "not a key").unwrap();
    for (name, age) in [("e/a", 50), ("e/b", 40), ("e/c", 30), ("e/d", 0), ("other/z", 50)] {
        let key: Key = name.parse().unwrap();
        let mut draft = blobs.begin(100).unwrap();
        draft.write(&[0; 10]).await.unwrap();
        let path = draft.keep_here(&key).await.unwrap();
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age * 60)).unwrap();
    }
    let keep = |stat: &Stat| stat.key.name() == "a";
    let grace = Duration::from_secs(600);
    // The newest of the two that may go fits.
    let sweep = Sweep { grace, keep: &keep, max_bytes: 10 };
    assert_eq!(blobs.sweep("e", &sweep).await.unwrap(), 1);
    let names =
        |stats: Vec<Stat>| -> Vec<String> { stats.iter().map(|s| s.key.to_string()).collect() };
    assert_eq!(names(blobs.list("").await.unwrap()), ["e/a", "e/c", "e/d", "other/z"]);
    assert_eq!(blobs.sweep("e", &Sweep { max_bytes: 0, ..sweep }).await.unwrap(), 1);
    assert_eq!(names(blobs.list("e").await.unwrap()), ["e/a", "e/d"]);
    assert!(dir.path().join("notes of ours.txt").exists());
}
