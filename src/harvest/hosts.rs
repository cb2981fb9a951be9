//! Politeness: a host is asked by two at once at most, whatever layers it serves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many ask one host at once.
const AT_ONCE: usize = 2;

/// Who is being asked, by host.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

impl Hosts {
    /// Waits for the turn to ask a host; the turn lasts as long as what is given.
    pub(super) async fn turn(&self, host: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits or asks holds a share: the others are forgotten.
            hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
            let turns = hosts.entry(host.to_ascii_lowercase());
            turns.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        turns.acquire_owned().await.ok() // never closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_third_waits_for_one_of_two_and_other_hosts_do_not() {
        let hosts = Hosts::default();
        let first = hosts.turn("a.example.fr").await;
        let _second = hosts.turn("A.example.fr").await;
        assert!(hosts.turn("a.example.fr").now_or_never().is_none());
        assert!(hosts.turn("b.example.fr").now_or_never().is_some());
        drop(first);
        assert!(hosts.turn("a.example.fr").now_or_never().is_some());
    }
}
