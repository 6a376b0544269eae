//! Hashing passwords beside the requests: on a few threads, with a bounded number that wait for them.
//!
//! Guarantees: no more passwords are hashed at a time than there are threads for it, whoever has gone meanwhile; a further one waits,
//! and is refused when as many wait as may. Where a processor has both to do, requests come before passwords (on Linux).

use std::{sync::Arc, thread};

use tokio::sync::{Semaphore, oneshot};

use super::{ask::Busy, commit::CommandError, counting::counters};
use crate::{
    domain::password::PasswordText,
    passwords::{HashError, PasswordHashing},
    secrets::Entropy,
};

/// How far the threads that hash give way to others (nice): as far as Linux lets them. Two together get a thirtieth of a
/// processor that others want whole.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

counters! {
    /// What was counted of passwords.
    HashingCounters read as HashingCounts {
        /// Passwords that were compared with a hash, or with none.
        verified,
        /// Passwords that were hashed.
        hashed,
        /// Requests that were refused because too many were waiting.
        refused,
    }
}

/// The threads that hash, and those that wait for them.
pub struct HashingPool {
    hashing: PasswordHashing,
    entropy: Arc<dyn Entropy>,
    at_work: Arc<Semaphore>,
    places: Arc<Semaphore>,
    counters: Arc<HashingCounters>,
}

impl HashingPool {
    /// A pool of so many threads, for which at most so many wait.
    pub fn new(hashing: PasswordHashing, entropy: Arc<dyn Entropy>, threads: usize, waiting_max: usize) -> Self {
        let places = threads.saturating_add(waiting_max).min(Semaphore::MAX_PERMITS);
        let (at_work, places) = (Arc::new(Semaphore::new(threads)), Arc::new(Semaphore::new(places)));
        Self { hashing, entropy, at_work, places, counters: Arc::default() }
    }

    /// What was counted.
    pub fn counts(&self) -> HashingCounts {
        self.counters.read()
    }

    /// Whether a hash was made by other parameters than those in force.
    pub fn is_outdated(&self, phc: &str) -> bool {
        self.hashing.is_outdated(phc)
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// [`Busy`] when too many are waiting; when there are no random bytes.
    pub async fn hash(&self, password: PasswordText) -> Result<String, CommandError> {
        let entropy = Arc::clone(&self.entropy);
        let hashed = self.work(move |hashing| hashing.hash(&password, &*entropy)).await?;
        self.counters.hashed.add(1);
        hashed.map_err(|error| match error {
            HashError::Entropy(error) => CommandError::Entropy(error),
            HashError::Parameters(why) => CommandError::Hashing(why),
        })
    }

    /// Whether a password has this hash. Without one it takes as long, and is not so.
    ///
    /// # Errors
    /// [`Busy`] when too many are waiting.
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
        // Whoever asked may go: the thread is at work until it is done. It is a new one each time, since one that gives way cannot
        // be had back.
        let hash = move || {
            let (_place, _turn) = (place, turn);
            give_way();
            answer.send(work(&hashing)).ok();
        };
        thread::Builder::new().name("hash".to_owned()).spawn(hash).map_err(|_| Busy::Full)?;
        answered.await.map_err(|_| Busy::Stopped.into())
    }
}

/// Lets all other threads of the machine come before this one.
fn give_way() {
    // Linux takes it for the calling thread alone. Where it cannot be, passwords are hashed all the same.
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
        // The turn is held, so that none of them ends before the last one has come.
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
