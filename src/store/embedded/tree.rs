//! A static, packed R-tree over integer boxes in their given (Hilbert) order, sixteen to a node,
//! laid out leaf level first. It is searched level by level from a file: neighbouring nodes are
//! read together, so that a wide search costs few reads and a narrow one few bytes.

use crate::error::Result;
use std::ops::Range;

/// Boxes per node.
pub(super) const NODE: usize = 16;
/// Bytes per box: four little-endian `i32` (min x, min y, max x, max y).
const BOX: usize = 16;
/// Boxes written at once: whole nodes.
const STEP: usize = 1024 * NODE;
/// Runs of nodes closer than this are read together: a read costs more than the bytes between.
const GAP: usize = 32;

/// The number of boxes of each level, leaves first, root last (one box unless empty).
fn levels(count: usize) -> Vec<usize> {
    let mut levels = vec![count];
    let mut n = count;
    while n > 1 {
        n = n.div_ceil(NODE);
        levels.push(n);
    }
    levels
}

/// The byte of the packed tree from which its upper levels start: those of at most `most` boxes
/// together. Every search begins there.
pub(super) fn upper(count: usize, most: usize) -> u64 {
    let levels = levels(count);
    let mut kept = 0;
    for boxes in levels.iter().rev() {
        if kept + boxes > most {
            break;
        }
        kept += boxes;
    }
    ((levels.iter().sum::<usize>() - kept) * BOX) as u64
}

/// Writes all levels end to end, leaves first; `leaf` gives the boxes of the lowest one.
pub(super) fn pack(
    count: usize,
    leaf: impl Fn(usize) -> Option<[i32; 4]>,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let bytes = |boxes: &[[i32; 4]]| -> Vec<u8> {
        boxes.iter().flatten().flat_map(|v| v.to_le_bytes()).collect()
    };
    let mut level: Vec<[i32; 4]> = Vec::with_capacity(count.div_ceil(NODE));
    for from in (0..count).step_by(STEP) {
        let boxes: Vec<_> = (from..count.min(from + STEP)).map_while(&leaf).collect();
        write(&bytes(&boxes))?;
        level.extend(boxes.chunks(NODE).map(union));
    }
    if count <= 1 {
        return Ok(());
    }
    loop {
        write(&bytes(&level))?;
        if level.len() <= 1 {
            return Ok(());
        }
        level = level.chunks(NODE).map(union).collect();
    }
}

fn union(boxes: &[[i32; 4]]) -> [i32; 4] {
    boxes.iter().fold([i32::MAX, i32::MAX, i32::MIN, i32::MIN], |a, b| {
        [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
    })
}

/// The positions whose box meets `window`, ascending. `read` gives the bytes of a range of the
/// packed tree.
pub(super) fn search(
    count: usize,
    window: [i32; 4],
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>>,
) -> Result<Vec<u32>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let levels = levels(count);
    let starts: Vec<usize> = levels
        .iter()
        .scan(0, |at, n| {
            let start = *at;
            *at += n;
            Some(start)
        })
        .collect();
    let mut wanted: Vec<u32> = vec![0];
    for level in (0..levels.len()).rev() {
        let mut hits = Vec::new();
        for run in runs(&wanted) {
            let (first, last) = (wanted[run.start] as usize, wanted[run.end - 1] as usize);
            let from = (starts[level] + first) * BOX;
            let bytes = read(from as u64..(from + (last - first + 1) * BOX) as u64)?;
            for &w in &wanted[run] {
                let at = (w as usize - first) * BOX;
                if bytes.get(at..at + BOX).is_some_and(|b| meets(b, window)) {
                    hits.push(w);
                }
            }
        }
        if level == 0 {
            return Ok(hits);
        }
        let below = levels[level - 1] as u32;
        let node = NODE as u32;
        wanted = hits.iter().flat_map(|h| h * node..((h + 1) * node).min(below)).collect();
    }
    Ok(wanted)
}

/// Groups sorted positions into runs worth reading at once: ranges of indexes into `sorted`.
pub(super) fn runs(sorted: &[u32]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for i in 1..=sorted.len() {
        if i == sorted.len() || (sorted[i] - sorted[i - 1]) as usize > GAP {
            runs.push(start..i);
            start = i;
        }
    }
    runs
}

fn meets(bytes: &[u8], w: [i32; 4]) -> bool {
    let v = |i: usize| {
        let mut b = [0; 4];
        b.copy_from_slice(&bytes[i * 4..i * 4 + 4]);
        i32::from_le_bytes(b)
    };
    v(0) <= w[2] && v(2) >= w[0] && v(1) <= w[3] && v(3) >= w[1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = Vec<[i32; 4]>> {
        let one = (-1000..1000i32, -1000..1000i32, 0..300i32, 0..300i32)
            .prop_map(|(x, y, w, h)| [x, y, x + w, y + h]);
        proptest::collection::vec(one, 0..600)
    }

    fn packed(boxes: &[[i32; 4]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let write = |more: &[u8]| {
            bytes.extend_from_slice(more);
            Ok(())
        };
        pack(boxes.len(), |i| boxes.get(i).copied(), write).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_scan_finds(boxes in boxes(), w in (-1000..1000i32, -1000..1000i32, 0..500i32, 0..500i32)) {
            let window = [w.0, w.1, w.0 + w.2, w.1 + w.3];
            let packed = packed(&boxes);
            let found = search(boxes.len(), window, |r| {
                Ok(packed[r.start as usize..r.end as usize].to_vec())
            }).unwrap();
            let plain: Vec<u32> = (0..boxes.len() as u32).filter(|i| {
                let b = boxes[*i as usize];
                b[0] <= window[2] && b[2] >= window[0] && b[1] <= window[3] && b[3] >= window[1]
            }).collect();
            prop_assert_eq!(found, plain);
        }
    }

    #[test]
    fn upper_levels_are_whole() {
        // 1000 leaves, 63, 4, 1.
        let place = |boxes: usize| (boxes * BOX) as u64;
        assert_eq!(upper(1000, 0), place(1068));
        assert_eq!(upper(1000, 67), place(1063));
        assert_eq!(upper(1000, 68), place(1000));
        assert_eq!(upper(1000, 5000), 0);
    }

    #[test]
    fn an_empty_tree_holds_nothing() {
        assert!(packed(&[]).is_empty());
        assert!(search(0, [0, 0, 1, 1], |_| unreachable!()).unwrap().is_empty());
    }
}
