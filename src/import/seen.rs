//! Which of many things came before, told by hashes of 64 bits: in a third of the memory of a set of
//! texts. What happens to have the hash of another is told apart by whoever asks.

use crate::error::Result;
use hashbrown::HashTable;

/// The hashes of what came so far, by their rank; 14 to 20 bytes of each.
#[derive(Default)]
pub(super) struct Seen {
    hashes: Vec<u64>,
    /// Ranks, to be found by their hash.
    ranks: HashTable<u32>,
}

impl Seen {
    pub(super) fn with_room_for(rows: usize) -> Self {
        Self { hashes: Vec::with_capacity(rows), ranks: HashTable::with_capacity(rows) }
    }

    /// The rank of what came with a hash and is the `same` indeed.
    pub(super) fn find(
        &self,
        hash: u64,
        same: impl Fn(u32) -> Result<bool>,
    ) -> Result<Option<u32>> {
        let mut failed = None;
        let found = self.ranks.find(spread(hash), |rank| {
            let alike = self.hashes.get(*rank as usize) == Some(&hash);
            alike
                && same(*rank).unwrap_or_else(|e| {
                    failed = Some(e);
                    true
                })
        });
        match failed {
            Some(e) => Err(e),
            None => Ok(found.copied()),
        }
    }

    /// Notes a hash under the next rank.
    pub(super) fn add(&mut self, hash: u64) {
        let rank = self.hashes.len() as u32;
        self.hashes.push(hash);
        let Self { hashes, ranks } = self;
        let of = |rank: &u32| spread(hashes.get(*rank as usize).copied().unwrap_or_default());
        ranks.insert_unique(spread(hash), rank, of);
    }
}

/// The table looks at the upper bits as well as at the lower ones.
fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_hash_is_told_apart() {
        let texts = ["a", "b", "c"];
        let mut seen = Seen::with_room_for(1);
        [7, 9, 7].into_iter().for_each(|hash| seen.add(hash));
        let find = |hash, text| {
            seen.find(hash, |rank| Ok(texts.get(rank as usize) == Some(&text))).unwrap()
        };
        assert_eq!([find(7, "a"), find(9, "b"), find(7, "c")], [Some(0), Some(1), Some(2)]);
        assert_eq!([find(7, "b"), find(8, "a")], [None, None]);
        let failed = seen.find(9, |_| Err(crate::error::Error::broken("no file")));
        assert!(failed.is_err());
    }

    #[test]
    fn many_are_found_again() {
        let mut seen = Seen::default();
        (0..20_000u64).for_each(|i| seen.add(i << 40));
        for i in 0..20_000u64 {
            assert_eq!(seen.find(i << 40, |_| Ok(true)).unwrap(), Some(i as u32));
        }
        assert_eq!(seen.find(1, |_| Ok(true)).unwrap(), None);
    }
}
