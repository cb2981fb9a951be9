//! Tests of backups.

use super::*;
use crate::model::Silent;

/// A backup of nothing: enough for what a manifest is checked for.
fn sealed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("layers/a/versions")).unwrap();
    fs::write(dir.path().join("layers/a/versions/x.bin"), b"bytes").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(seal(dir.path(), &Silent)).unwrap();
    dir
}

fn refused(dir: &tempfile::TempDir) -> String {
    match check(dir.path(), &Silent) {
        Err(Error::Refused(text)) => text.en,
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_change_is_seen() {
    let dir = sealed();
    assert_eq!(check(dir.path(), &Silent).unwrap().files, 1);
    let file = dir.path().join("layers/a/versions/x.bin");
    fs::write(&file, b"bytez").unwrap();
    assert!(refused(&dir).contains("x.bin"));
    fs::remove_file(&file).unwrap();
    assert!(refused(&dir).contains("x.bin"));
    fs::write(&file, b"bytes").unwrap();
    check(dir.path(), &Silent).unwrap();
    fs::write(dir.path().join("layers/a/current"), b"more").unwrap();
    assert!(refused(&dir).contains("current"));
    fs::remove_file(dir.path().join("layers/a/current")).unwrap();
    for name in [MANIFEST, SUMS] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(refused(&dir).contains("damaged") || name == MANIFEST);
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refused(&dir);
        fs::remove_file(&path).unwrap();
        refused(&dir);
        fs::write(&path, &whole).unwrap();
    }
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("layers/a/lien")).unwrap();
    assert!(refused(&dir).contains("lien"));
}

#[test]
fn a_newer_one_is_told_apart_from_a_damaged_one() {
    let dir = sealed();
    let path = dir.path().join(MANIFEST);
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    value["store_format"] = 99.into();
    value["program"] = "9.9.9".into();
    value["layers"] = "in a form of its own".into();
    fs::write(&path, value.to_string()).unwrap();
    assert!(refused(&dir).contains("9.9.9"));
}

#[test]
fn a_second_writer_stays_out() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("b");
    let first = aside(&to).unwrap();
    assert!(matches!(aside(&to), Err(Error::Conflict(_))));
    fs::write(first.0.join("left"), b"x").unwrap();
    drop(first);
    let (again, _held) = aside(&to).unwrap();
    assert_eq!(fs::read_dir(again).unwrap().count(), 0);
    assert!(matches!(aside(Path::new("/")), Err(Error::Invalid(_))));
}
