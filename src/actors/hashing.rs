//! Hashes passwords on a few separate threads, with a bounded queue.
//!
//! Guarantees: at most one password per thread is hashed at a time, even if callers have gone; further ones wait, and are refused when the
//! queue is full. Requests take precedence over hashing on a busy processor (on Linux).

use std::{sync::Arc, thread};

use tokio::sync::{Semaphore, oneshot};

use super::{ask::Busy, commit::CommandError, counting::counters};
use crate::{
    domain::password::PasswordText,
    passwords::{HashError, PasswordHashing},
    secrets::Entropy,
};

/// The nice value of hashing threads: the lowest priority of Linux. Two such threads together get a thirtieth of a processor that others
/// want whole.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

counters! {
    /// The counters of hashing.
    HashingCounters read as HashingCounts {
        /// Passwords that were compared with a hash, or with none.
        verified,
        /// Passwords that were hashed.
        hashed,
        /// Requests refused because the queue was full.
        refused,
    }
}

/// The hashing threads, and the queue for them.
pub struct HashingPool {
    hashing: PasswordHashing,
    entropy: Arc<dyn Entropy>,
    at_work: Arc<Semaphore>,
    places: Arc<Semaphore>,
    counters: Arc<HashingCounters>,
}

impl HashingPool {
    /// A pool with this many threads and this long a queue.
    pub fn new(hashing: PasswordHashing, entropy: Arc<dyn Entropy>, threads: usize, waiting_max: usize) -> Self {
        let places = threads.saturating_add(waiting_max).min(Semaphore::MAX_PERMITS);
        let (at_work, places) = (Arc::new(Semaphore::new(threads)), Arc::new(Semaphore::new(places)));
        Self { hashing, entropy, at_work, places, counters: Arc::default() }
    }

    /// The present counts.
    pub fn counts(&self) -> HashingCounts {
        self.counters.read()
    }

    /// Whether a hash was made with other parameters than those in force.
    pub fn is_outdated(&self, phc: &str) -> bool {
        self.hashing.is_outdated(phc)
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full; when there are no random bytes.
    pub async fn hash(&self, password: PasswordText) -> Result<String, CommandError> {
        let entropy = Arc::clone(&self.entropy);
        let hashed = self.work(move |hashing| hashing.hash(&password, &*entropy)).await?;
        self.counters.hashed.add(1);
        hashed.map_err(|error| match error {
            HashError::Entropy(error) => CommandError::Entropy(error),
            HashError::Parameters(why) => CommandError::Hashing(why),
        })
    }

    /// Whether a password has this hash. Without a hash it takes as long, and returns `false`.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full.
    pub async fn verify(&self, password: PasswordText, phc: Option<String>) -> Result<bool, CommandError> {
        let counters = Arc::clone(&self.counters);
        self.work(move |hashing| {
            counters.verified.add(1);
            hashing.verify(&password, phc.as_deref())
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PasswordHashing) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.counters.refused.add(1);
            return Err(Busy::Full.into());
        };
        let turn = Arc::clone(&self.at_work).acquire_owned().await.map_err(|_| Busy::Stopped)?;
        let hashing = self.hashing.clone();
        let (answer, answered) = oneshot::channel();
        // The caller may go: the thread works on to the end. Each hash has a new thread, since a thread cannot raise its priority again.
        let hash = move || {
            let (_place, _turn) = (place, turn);
            give_way();
            answer.send(work(&hashing)).ok();
        };
        thread::Builder::new().name("hash".to_owned()).spawn(hash).map_err(|_| Busy::Full)?;
        answered.await.map_err(|_| Busy::Stopped.into())
    }
}

/// Gives all other threads of the machine priority over this one.
fn give_way() {
    // Linux applies it to the calling thread only. If it fails, passwords are hashed all the same.
    #[cfg(target_os = "linux")]
    rustix::process::nice(NICENESS).ok();
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::secrets::SeededEntropy;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_thread_that_hashes_gives_way_and_no_other_does() {
        let hashing = PasswordHashing::new(64, 1, 1).unwrap();
        let pool = HashingPool::new(hashing, Arc::new(SeededEntropy::new(1)), 1, 0);
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let of_hash = pool.work(move |_| niceness()).await.unwrap();
        assert_eq!((of_hash, niceness()), (NICENESS, before));
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let hashing = PasswordHashing::new(64, 1, 1).unwrap();
        let pool = HashingPool::new(hashing, Arc::new(SeededEntropy::new(1)), 1, 3);
        let password = || PasswordText::given("correct horse").unwrap();
        // Holding the turn keeps the others from finishing before the last one comes.
        let turn = Arc::clone(&pool.at_work).acquire_owned().await.unwrap();
        let asked = join_all((0..6).map(|_| pool.verify(password(), None)));
        let (verified, ()) = tokio::join!(asked, async {
            tokio::task::yield_now().await;
            drop(turn);
        });
        assert_eq!(verified.iter().filter(|one| matches!(one, Ok(false))).count(), 4);
        assert_eq!(verified.iter().filter(|one| matches!(one, Err(CommandError::Busy(Busy::Full)))).count(), 2);
        assert_eq!((pool.counts().verified, pool.counts().refused), (4, 2));
        assert!(pool.hash(password()).await.is_ok(), "all places were given back");
    }
}
