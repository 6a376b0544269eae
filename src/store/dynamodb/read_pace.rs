//! Bounds the read units that a replay takes from DynamoDB. A task runs its reads within [`within`]; each request waits until what the
//! earlier ones have taken is paid for.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};

use crate::clock::SharedClock;

tokio::task_local! {
    static PACE: Arc<ReadPace>;
}

const SECOND_US: i64 = 1_000_000;

/// A token bucket of read units that holds those of one second. What a request takes is known only afterwards: the bucket may owe, and
/// nothing is taken until that is paid.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadBudget {
    per_s: u32,
    /// What is left, in millionths of a unit; negative where it owes.
    left: i64,
    at_us: i64,
}

impl ReadBudget {
    /// A full bucket.
    pub(super) fn new(per_s: u32, now_us: i64) -> Self {
        Self { per_s: per_s.max(1), left: i64::from(per_s.max(1)) * SECOND_US, at_us: now_us }
    }

    /// How long to wait before the next request, microseconds.
    pub(super) fn wait_us(&mut self, now_us: i64) -> i64 {
        let (per_s, passed) = (i64::from(self.per_s), now_us.saturating_sub(self.at_us).max(0));
        // A unit is a million parts, and a second a million microseconds: a microsecond earns `per_s` parts.
        self.left = self.left.saturating_add(passed.saturating_mul(per_s)).min(per_s * SECOND_US);
        self.at_us = self.at_us.max(now_us);
        if self.left > 0 { 0 } else { (-self.left) / per_s + 1 }
    }

    /// Takes what a request has taken, in units.
    pub(super) fn took(&mut self, units: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a request takes a few hundred units at most; the cast saturates"
        )]
        let parts = (units * 1_000_000.0).ceil() as i64;
        self.left = self.left.saturating_sub(parts.max(0));
    }
}

/// The budget of one replay.
#[derive(Debug)]
pub(super) struct ReadPace {
    budget: Mutex<ReadBudget>,
    clock: SharedClock,
}

impl ReadPace {
    pub(super) fn new(per_s: u32, clock: SharedClock) -> Arc<Self> {
        let budget = Mutex::new(ReadBudget::new(per_s, clock.monotonic_us()));
        Arc::new(Self { budget, clock })
    }

    async fn wait(&self) {
        loop {
            let now_us = self.clock.monotonic_us();
            let wait_us = self.budget.lock().unwrap_or_else(PoisonError::into_inner).wait_us(now_us);
            if wait_us == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_micros(u64::try_from(wait_us).unwrap_or(0))).await;
        }
    }
}

/// Runs reads within a budget, if there is one.
pub(super) async fn within<T>(pace: Option<Arc<ReadPace>>, work: impl Future<Output = T>) -> T {
    match pace {
        Some(pace) => PACE.scope(pace, work).await,
        None => work.await,
    }
}

/// Waits until the next request may be sent.
pub(super) async fn turn() {
    if let Ok(pace) = PACE.try_with(Arc::clone) {
        pace.wait().await;
    }
}

/// Whether DynamoDB is to say what a request takes.
pub(super) fn asked() -> Option<ReturnConsumedCapacity> {
    PACE.try_with(|_| ReturnConsumedCapacity::Total).ok()
}

/// Takes what a request has taken.
pub(super) fn took<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
    let units: f64 = consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
    PACE.try_with(|pace| pace.budget.lock().unwrap_or_else(PoisonError::into_inner).took(units)).ok();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However large the requests are and whenever they are sent: what all but the last one took is never more than a second's units
        /// and what the time has earned.
        #[test]
        fn no_more_is_taken_than_the_time_has_earned(
            per_s in 1..2_000_u32,
            requests in prop::collection::vec((0..5_000_u32, 0..300_000_i64), 1..200),
        ) {
            let mut budget = ReadBudget::new(per_s, 0);
            let (mut now_us, mut taken, mut waited) = (0_i64, 0_f64, 0_i64);
            for (tenths, pause_us) in requests {
                now_us += pause_us;
                let wait_us = budget.wait_us(now_us);
                now_us += wait_us;
                waited += wait_us;
                prop_assert_eq!(budget.wait_us(now_us), 0, "one wait is enough");
                let earned = f64::from(per_s) * (now_us as f64 / 1_000_000.0 + 1.0);
                prop_assert!(taken <= earned + 1e-3, "{} units after {} µs of {} a second", taken, now_us, per_s);
                let units = f64::from(tenths) / 10.0;
                budget.took(units);
                taken += units;
            }
            // And it does not wait longer than it has to.
            let owed = taken / f64::from(per_s) * 1_000_000.0;
            prop_assert!(waited as f64 <= owed + 200.0 + 1.0, "waited {} µs for {} µs", waited, owed);
        }
    }

    #[test]
    fn a_clock_that_stands_still_earns_nothing() {
        let mut budget = ReadBudget::new(10, 5);
        budget.took(30.0);
        assert_eq!(budget.wait_us(5), 2_000_001);
        assert_eq!(budget.wait_us(5), 2_000_001);
        assert_eq!(budget.wait_us(1_000_005), 1_000_001);
    }
}
