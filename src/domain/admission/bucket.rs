//! The bucket that a plan describes.

use super::returned::Return;
use crate::domain::plan::Limits;

/// A stretch lasts at least this part of a grant's life, because the ledger's answer takes time.
const STRETCH_LIFE_PART: i64 = 256;

/// The factor by which a stretch is lengthened if the previous one ended before the ledger's answer came.
const LATE_FACTOR: u64 = 8;

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;

/// Nanoseconds of a day; all UTC days of a Unix clock have the same length.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

/// The bucket that a plan describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Nanoseconds between two requests at the plan's rate.
    pub interval_ns: i64,
    /// Requests that the bucket holds.
    pub burst: i64,
    /// Requests per UTC day.
    pub quota: u64,
}

impl Bucket {
    /// The bucket for these limits. An interval that is no whole number of nanoseconds is rounded towards the slower rate.
    pub fn of(limits: &Limits) -> Self {
        // Within the bounds of a plan (1e-3..=1e7 a second) this is 1e2..=1e12, which an f64 holds exactly enough.
        let interval_ns = (1e9 / limits.rate_per_s).ceil() as i64;
        Self { interval_ns: interval_ns.max(1), burst: i64::from(limits.burst), quota: limits.quota_per_day }
    }

    pub(super) fn depth_ns(&self) -> i64 {
        self.interval_ns.saturating_mul(self.burst)
    }

    /// The cost of a request, capped at what the bucket holds and at a day's quota.
    pub fn capped(&self, cost: u64) -> u64 {
        cost.min(u64::try_from(self.burst).unwrap_or(1)).min(self.quota).max(1)
    }

    /// How far ahead the TAT may be after a grant with this life.
    pub fn horizon_ns(&self, now_ns: i64, life_ns: i64) -> i64 {
        now_ns.saturating_add(self.depth_ns()).saturating_add(life_ns)
    }

    /// Requests that have their place between two moments of virtual time.
    pub(super) fn places(&self, from_ns: i64, to_ns: i64) -> u64 {
        u64::try_from(to_ns.saturating_sub(from_ns) / self.interval_ns).unwrap_or(0)
    }

    /// The longest stretch for a node whose key others may share, if a stretch of a whole grant's life would leave no places for them. It
    /// is half of what the bucket holds, but not so short that it ends before the ledger's answer comes.
    pub(super) fn most_beside_others(&self, life_ns: i64, returned: Option<&Return>, alone: bool) -> Option<u64> {
        let depth = u64::try_from(self.burst).unwrap_or(0);
        // With one more place on each side.
        let lasting = self.places(0, life_ns).saturating_add(2);
        if lasting.saturating_mul(4) <= depth.saturating_mul(3) {
            return None;
        }
        let least = self.places(0, life_ns / STRETCH_LIFE_PART).max(1);
        let late = returned.filter(|back| back.late && back.interval_ns == self.interval_ns);
        let longer = late.map_or(0, |back| self.places(back.tat_ns, back.limit_ns).saturating_mul(LATE_FACTOR));
        // A node known to share the key takes not much more than it spent last.
        let known = returned.filter(|_| !alone).map_or(u64::MAX, |back| back.spent.saturating_mul(2).max(1));
        Some(half(depth).min(known).max(least).max(longer))
    }

    /// Carries consumption over to another plan: the TAT at which this bucket has consumed as many requests as `tat_ns` says of a bucket
    /// with another interval, at most that of an empty bucket; and the excess beyond it.
    ///
    /// The plan may have changed `since_ns` ago, although the ledger only learns of it now. A slower plan is assumed to have started then:
    /// requests flowed in at the slower rate since, and the change gives no part of a second burst.
    pub(super) fn carried(&self, tat_ns: i64, interval_ns: i64, now_ns: i64, since_ns: i64) -> (i64, i64) {
        if interval_ns <= 0 {
            return (tat_ns, 0);
        }
        let since_ns = if self.interval_ns > interval_ns { since_ns } else { 0 };
        let ahead_ns = tat_ns.saturating_sub(now_ns).saturating_add(since_ns);
        if ahead_ns <= 0 {
            return (tat_ns, 0);
        }
        let scaled = i128::from(ahead_ns) * i128::from(self.interval_ns);
        // Rounded up, so that no part of a request is given twice.
        let scaled_ns =
            i64::try_from((scaled + i128::from(interval_ns) - 1) / i128::from(interval_ns)).unwrap_or(i64::MAX);
        let ahead_ns = scaled_ns.saturating_sub(since_ns);
        let held_ns = ahead_ns.min(self.depth_ns());
        (now_ns.saturating_add(held_ns), ahead_ns.saturating_sub(held_ns))
    }

    /// The number of requests that a bucket with this TAT would admit at once.
    pub(super) fn available(&self, tat_ns: i64, now_ns: i64) -> i64 {
        let room = now_ns.saturating_add(self.depth_ns()).saturating_sub(tat_ns.max(now_ns));
        (room / self.interval_ns).clamp(0, self.burst)
    }
}

/// The UTC day of a moment, counted from 1970-01-01.
pub fn day_of(now_ns: i64) -> i64 {
    now_ns.div_euclid(DAY_NS)
}

/// The share that a node takes to leave something for another one, rounded up.
pub(super) fn half(count: u64) -> u64 {
    count.div_ceil(2)
}
