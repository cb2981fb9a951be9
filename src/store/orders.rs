//! Orders of a version's features that were asked for, as ordinals.

use moka::{policy::EvictionPolicy, sync::Cache};
use std::sync::Arc;

/// Bytes of orders kept per open version; one at least, however large the version is: every page
/// asks for it again.
const KEPT: u64 = 16 << 20;
/// Bytes that an order takes beside its ordinals, about.
const BESIDE: usize = 128;

/// Orders, by the key of their [`crate::query::Sort`].
pub(super) type Orders = Cache<String, Arc<[u32]>>;

/// Room for orders of so many features. The last two asked for stay: a table is looked at from
/// both ends.
pub(super) fn orders(features: u64) -> Orders {
    let one = features.saturating_mul(4).saturating_add(BESIDE as u64);
    Cache::builder()
        .max_capacity(KEPT.max(one.saturating_mul(2)))
        .eviction_policy(EvictionPolicy::lru())
        .weigher(|_: &String, order: &Arc<[u32]>| {
            u32::try_from(order.len() * 4 + BESIDE).unwrap_or(u32::MAX)
        })
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_large_version_is_kept() {
        let features = 5_000_000u32;
        let orders = orders(u64::from(features));
        let order: Arc<[u32]> = (0..features).collect();
        for key in ["a", "b", "c"] {
            orders.insert(key.to_owned(), order.clone());
            orders.run_pending_tasks();
            assert!(orders.get(key).is_some(), "{key}");
        }
        assert!(orders.get("b").is_some());
        assert!(orders.get("a").is_none(), "two are all there is room for");
    }
}
