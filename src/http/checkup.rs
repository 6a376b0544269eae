//! The readiness check: tries all that requests need, and lists what fails.
//!
//! Guarantees: all tries run at the same time, each for at most two seconds; however often the check is asked, it tries at most once a
//! second (once in five where calls cost money); the next try forgets a trouble that is over.

mod tried;

use tokio::sync::Mutex;

/// How long an outcome is reused, microseconds.
const LIFE_US: i64 = 1_000_000;
/// How long a good outcome is reused where every try calls AWS, microseconds.
const SHARED_LIFE_US: i64 = 5_000_000;

/// Keeps the last outcome. Concurrent callers wait for the try under way.
#[derive(Debug)]
pub struct Checkup {
    last: Mutex<Option<LastCheckup>>,
    life_us: i64,
}

#[derive(Debug)]
struct LastCheckup {
    at_us: i64,
    troubles: Vec<String>,
}

impl Checkup {
    /// A check that has tried nothing yet; `shared` says that the stores are behind a network.
    pub fn new(shared: bool) -> Self {
        Self { last: Mutex::default(), life_us: if shared { SHARED_LIFE_US } else { LIFE_US } }
    }

    /// Returns the last outcome while it is fresh, else that of `look`.
    async fn kept_or(&self, now_us: i64, look: impl Future<Output = Vec<String>>) -> Vec<String> {
        let mut last = self.last.lock().await;
        if let Some(LastCheckup { at_us, troubles }) = &*last {
            let life_us = if troubles.is_empty() { self.life_us } else { LIFE_US };
            if now_us.saturating_sub(*at_us) < life_us {
                return troubles.clone();
            }
        }
        let troubles = look.await;
        for trouble in &troubles {
            tracing::warn!(trouble, "not ready");
        }
        *last = Some(LastCheckup { at_us: now_us, troubles: troubles.clone() });
        troubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_requests_need_is_tried_at_most_once_a_second_and_in_aws_once_in_five() {
        let good: &[&str] = &[];
        for (is_shared, life_us) in [(false, 1_000_000), (true, 5_000_000)] {
            let checkup = Checkup::new(is_shared);
            // The time, what a try would find, and the outcome returned: a trouble is kept for one second in both cases.
            for (now_us, found, told) in [
                (0, good, good),
                (life_us - 1, &["full"], good),
                (life_us, &["full"], &["full"]),
                (life_us + 999_999, good, &["full"]),
                (life_us + 1_000_000, good, good),
            ] {
                let look = async { found.iter().map(|one| (*one).to_owned()).collect() };
                assert_eq!(checkup.kept_or(now_us, look).await, told, "{is_shared} {now_us}");
            }
        }
    }
}
