//! Counts the places that each address takes, so that no address takes all.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::address::Network;

/// Locks over which the addresses are spread.
const SHARDS: usize = 16;

/// The taken places, by address. An address without a place is not stored, so there are never more addresses than places.
#[derive(Debug, Default)]
pub(super) struct Places {
    shards: [Mutex<HashMap<Network, u32>>; SHARDS],
    hasher: RandomState,
    taken: AtomicUsize,
    emptied: Notify,
}

impl Places {
    /// Takes a place for an address that has fewer than `max`.
    pub(super) fn take(self: &Arc<Self>, network: Network, max: u32) -> Option<Place> {
        let mut shard = self.shard(network)?.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shard.get(&network).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        shard.insert(network, count + 1);
        self.taken.fetch_add(1, Ordering::SeqCst);
        Some(Place { network, places: Arc::clone(self) })
    }

    fn give_back(&self, network: Network) {
        if let Some(shard) = self.shard(network) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            match shard.get_mut(&network) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(shard.remove(&network)),
            }
        }
        if self.taken.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }

    fn shard(&self, network: Network) -> Option<&Mutex<HashMap<Network, u32>>> {
        let at = usize::try_from(self.hasher.hash_one(network) % SHARDS as u64).unwrap_or(0);
        self.shards.get(at)
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Returns as soon as no place is taken.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(in crate::http) struct Place {
    network: Network,
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.network);
    }
}
