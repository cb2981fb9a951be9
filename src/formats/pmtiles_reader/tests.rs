//! What is written is found again, and nothing that is read makes the reader fail otherwise than by
//! saying so, or ask for memory beyond its bounds.

use super::*;
use crate::{
    formats::{
        pmtiles::{number, tile},
        tile_archive::{ArchiveKind, MAX_METADATA},
    },
    model::TileId,
};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::{fs, io::Write, path::Path};

fn about() -> About {
    let members = serde_json::json!({ "name": "essai", "vector_layers": [] });
    About {
        min_zoom: 0,
        max_zoom: 14,
        center: (2.5, 46.5, 5),
        members: members.as_object().unwrap().clone(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Writes tiles, each with its own number as its content, every seventh the same as the others.
fn write(path: &Path, numbers: &[u64]) {
    let mut writer = ArchiveKind::Pmtiles.create(path, &about()).unwrap();
    for n in numbers {
        writer.add(tile(*n).unwrap(), &content(*n)).unwrap();
    }
    writer.finish(BBox { west: -5.0, south: 41.0, east: 9.5, north: 51.0 }).unwrap();
}

fn content(n: u64) -> Vec<u8> {
    gzip(if n.is_multiple_of(7) { "same".to_owned() } else { n.to_string() }.as_bytes())
}

/// The bytes of a tile, found as a client finds them.
fn find(file: &[u8], n: u64) -> Result<Option<Vec<u8>>> {
    let header = Header::read(file, file.len() as u64)?;
    let part = |range: Range<u64>| &file[range.start as usize..range.end as usize];
    let mut entry = header.directory(part(header.root.clone()))?.find(n).copied();
    for _ in 0..=MAX_DEPTH {
        let Some(found) = entry else { return Ok(None) };
        if found.run > 0 {
            return Ok(Some(part(Header::part(&header.tiles, &found)?).to_vec()));
        }
        entry = header.directory(part(Header::part(&header.leaves, &found)?))?.find(n).copied();
    }
    Err(damaged("depth"))
}

#[test]
fn what_is_written_is_found_again_also_below_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pmtiles");
    let numbers: Vec<u64> = (0..60_000).filter(|n| n % 3 != 1).collect();
    write(&path, &numbers);
    let file = fs::read(&path).unwrap();
    let header = Header::read(&file, file.len() as u64).unwrap();
    assert!(!header.leaves.is_empty(), "no directory below the root");
    assert_eq!((header.min_zoom, header.max_zoom, header.center), (0, 14, (2.5, 46.5, 5)));
    assert_eq!(header.bounds.to_array(), [-5.0, 41.0, 9.5, 51.0]);
    let said = &file[header.metadata.start as usize..header.metadata.end as usize];
    assert_eq!(header.described(said).unwrap().about.members["name"], "essai");
    for n in (0..60_100).step_by(37) {
        let there = numbers.binary_search(&n).is_ok();
        assert_eq!(find(&file, n).unwrap(), there.then(|| content(n)), "{n}");
    }
}

proptest! {
    #[test]
    fn every_tile_written_is_found_and_no_other(
        numbers in prop::collection::btree_set(0u64..5000, 1..300),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pmtiles");
        let numbers: Vec<u64> = numbers.into_iter().collect();
        write(&path, &numbers);
        let file = fs::read(&path).unwrap();
        for n in numbers.iter().flat_map(|n| [n.saturating_sub(1), *n, n + 1]).step_by(2) {
            let there = numbers.binary_search(&n).is_ok();
            prop_assert_eq!(find(&file, n).unwrap(), there.then(|| content(n)));
        }
    }

    #[test]
    fn any_bytes_are_a_directory_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(directory) = Directory::read(&bytes) {
            // Four bytes of the file for each entry at least.
            prop_assert!(directory.0.len() <= bytes.len() / 4);
            for n in [0, 1, 1000, u64::MAX] {
                if let Some(entry) = directory.find(n) {
                    prop_assert!(entry.number <= n && entry.length > 0);
                }
            }
        }
    }

    #[test]
    fn a_damaged_archive_is_read_or_refused(
        at in 0usize..2000,
        with in any::<u8>(),
        cut in prop::option::of(0usize..2000),
        n in 0u64..200,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pmtiles");
        write(&path, &(0..100).collect::<Vec<_>>());
        let mut file = fs::read(&path).unwrap();
        let at = at % file.len();
        file[at] = with;
        file.truncate(cut.unwrap_or(file.len()));
        let _ = find(&file, n);
        if let Ok(header) = Header::read(&file, file.len() as u64) {
            let said = file.get(header.metadata.start as usize..header.metadata.end as usize);
            let _ = header.described(said.unwrap());
        }
    }

    #[test]
    fn varints_are_read_as_they_are_written(value in any::<u64>()) {
        let mut bytes = Vec::new();
        let mut rest = value;
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        prop_assert_eq!(varint(&mut &bytes[..]).unwrap(), value);
        for end in 0..bytes.len() {
            prop_assert!(varint(&mut &bytes[..end]).is_err());
        }
    }
}

#[test]
fn varints_beyond_64_bits_are_refused() {
    assert!(varint(&mut &[0xff; 12][..]).is_err());
    assert!(
        varint(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]).is_err()
    );
    assert!(short(&mut &[0x80, 0x80, 0x80, 0x80, 0x10][..]).is_err());
}

#[test]
fn directories_that_announce_too_much_or_go_back_are_refused() {
    // Count, then the four columns.
    for (bytes, what) in [
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x20][..], "too many entries"),
        (&[2, 5, 0, 1, 1, 1, 1, 1, 0], "the same tile twice"),
        (&[1, 0, 1, 0, 1], "a length of nothing"),
        (&[1, 0, 1, 1, 0], "nothing before the first"),
        (
            &[2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1, 1, 1, 1, 1],
            "beyond",
        ),
    ] {
        assert!(Directory::read(bytes).is_err(), "{what}");
    }
    assert_eq!(Directory::read(&[0]).unwrap().find(3), None);
}

#[test]
fn bombs_are_not_unpacked() {
    let zeros = vec![0u8; MAX_DIRECTORY + 1];
    let header = Header::read(&header_bytes(1), 10_000).unwrap();
    assert!(header.directory(&gzip(&zeros)).is_err());
    let spaces = vec![b' '; MAX_METADATA + 2];
    assert!(header.described(&gzip(&spaces)).is_err());
    assert!(header.described(&gzip(b"[1]")).is_err(), "metadata is an object");
    assert!(unpack(b"no gzip", 100).is_err());
    assert_eq!(unpack(&gzip(b"abc"), 3).unwrap(), b"abc");
    assert!(unpack(&gzip(b"abcd"), 3).is_err());
}

/// A header whose sections are all within 10,000 bytes.
fn header_bytes(kind: u8) -> Vec<u8> {
    let mut bytes = b"PMTiles\x03".to_vec();
    for (start, length) in [(127u64, 100u64), (227, 10), (237, 0), (300, 1000)] {
        bytes.extend(start.to_le_bytes());
        bytes.extend(length.to_le_bytes());
    }
    bytes.resize(96, 0);
    bytes.extend([1, 2, 2, kind, 0, 5]);
    bytes.resize(127, 0);
    bytes
}

#[test]
fn headers_are_checked_before_anything_is_read() {
    assert!(Header::read(&header_bytes(1), 10_000).is_ok());
    assert!(Header::read(&header_bytes(1), 1_299).is_err(), "tiles beyond the end");
    assert!(Header::read(&header_bytes(2), 10_000).unwrap_err().to_string().contains("MVT"));
    assert!(Header::read(b"PMTiles\x03", 8).is_err());
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = header_bytes(1);
        bytes[at..at + with.len()].copy_from_slice(with);
        Header::read(&bytes, 10_000)
    };
    assert!(changed(7, &[2]).unwrap_err().to_string().contains('3'));
    assert!(changed(97, &[4]).unwrap_err().to_string().contains("gzip"), "zstd");
    assert!(changed(98, &[3]).unwrap_err().to_string().contains("gzip"), "brotli");
    assert!(changed(100, &[6]).is_err(), "the first zoom behind the last");
    assert!(changed(101, &[27]).is_err(), "a zoom that has no numbers");
    assert!(changed(8, &u64::MAX.to_le_bytes()).is_err(), "a sum beyond 64 bits");
    assert!(changed(16, &9_000u64.to_le_bytes()).is_ok());
    assert!(changed(8, &0u64.to_le_bytes()).is_err(), "the root over the header");
    assert_eq!(number(TileId::mercator(0, 0, 0)), 0);
}
