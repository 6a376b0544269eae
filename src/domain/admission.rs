//! Admission: how many requests a key may make, decided so that the quota is never exceeded and the rate neither.
//!
//! The rate is a token bucket in its virtual scheduling form, the generic cell rate algorithm (GCRA, ITU-T I.371): all
//! that is kept of a bucket is its *theoretical arrival time* (TAT), the moment at which it will be full again.
//!
//! The ledger keeps a [`LedgerRow`] for each key. A node takes a [`Grant`] from it: a number of requests, counted against
//! the quota and against the bucket *in advance*, up to what will flow into the bucket while the grant lives. Inside a
//! grant the node runs the same bucket, so that requests are released at the plan's rate and not sooner, and only inside the
//! stretch of virtual time that the grant was cut from: what follows it may belong to another node. What it did not spend it
//! returns ([`Return`]) with its next grant; the bucket takes it back if nobody has taken a grant since, the quota always.
//! A crash loses what was not returned: it can only under-admit.
//!
//! All moments are nanoseconds since the Unix epoch.

use super::plan::Limits;

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a day; UTC days of a Unix clock are all as long.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;
/// Requests that a first grant asks for. Following ones ask for twice as much while demand lasts.
pub const WANT_MIN: u64 = 64;
/// Most requests that one grant may hold, and so the most that the crash of a node can withhold from a key.
pub const WANT_MAX: u64 = 1 << 20;

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
    /// The bucket of these limits. A rate that is no whole number of nanoseconds apart is rounded so as to be slower.
    pub fn of(limits: &Limits) -> Self {
        // Within the bounds of a plan (1e-3..=1e7 a second) this is 1e2..=1e12, which an f64 holds exactly enough.
        let interval_ns = (1e9 / limits.rate_per_s).ceil() as i64;
        Self { interval_ns: interval_ns.max(1), burst: i64::from(limits.burst), quota: limits.quota_per_day }
    }

    fn depth_ns(&self) -> i64 {
        self.interval_ns.saturating_mul(self.burst)
    }

    /// Requests that a bucket with this TAT would let pass at once.
    fn available(&self, tat_ns: i64, now_ns: i64) -> i64 {
        let room = now_ns.saturating_add(self.depth_ns()).saturating_sub(tat_ns.max(now_ns));
        (room / self.interval_ns).clamp(0, self.burst)
    }
}

/// The UTC day of a moment, counted from 1970-01-01.
pub fn day_of(now_ns: i64) -> i64 {
    now_ns.div_euclid(DAY_NS)
}

/// What the ledger knows of a key's consumption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerRow {
    /// The bucket's theoretical arrival time.
    pub tat_ns: i64,
    /// The UTC day that `used` counts.
    pub day: i64,
    /// Requests of that day that were spent or are out in grants.
    pub used: u64,
}

/// What a node gives back of a grant that it will not spend any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Return {
    /// Requests that were not spent.
    pub unspent: u64,
    /// Requests that were spent but do not count against the quota (the server's own failures).
    pub refunded: u64,
    /// The theoretical arrival time after the last request that was admitted.
    pub tat_ns: i64,
    /// The theoretical arrival time at which the grant would have been spent.
    pub limit_ns: i64,
    /// The UTC day of the grant.
    pub day: i64,
}

/// A number of requests that a node may admit without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    bucket: Bucket,
    tat_ns: i64,
    limit_ns: i64,
    left: u64,
    refunded: u64,
    day: i64,
    quota_elsewhere: u64,
    limited_by_want: bool,
}

impl LedgerRow {
    /// Takes back what a node returns. Every return is used once: a second use would count requests twice as unspent.
    pub fn take_back(&mut self, returned: &Return) {
        if self.tat_ns == returned.limit_ns {
            self.tat_ns = returned.tat_ns;
        }
        if self.day == returned.day {
            self.used = self.used.saturating_sub(returned.unspent + returned.refunded);
        }
    }

    /// Takes a grant of at most `want` requests, to be spent within `life_ns` from now. It may hold no request at all: then
    /// it tells until when there are none.
    ///
    /// A grant is a stretch of virtual time, which passes as the clock does: one that is shorter than the grant's life would
    /// be over early, of a fast plan before the ledger's answer arrives. So it is as long as what the plan lets flow into the
    /// bucket in that life, even if fewer requests are wanted; of the quota no more is taken than those, so that a crash
    /// withholds no more.
    ///
    /// A clock that has gone back never brings quota back: the ledger's day only rises.
    pub fn take(&mut self, bucket: Bucket, now_ns: i64, life_ns: i64, want: u64) -> Grant {
        let today = day_of(now_ns);
        if today > self.day {
            self.day = today;
            self.used = 0;
        }
        // A TAT further ahead than a bucket can be drained comes from a clock that was set back, or from a plan with a
        // slower rate: it counts as an empty bucket, not as a debt.
        let horizon_ns = now_ns.saturating_add(bucket.depth_ns()).saturating_add(life_ns);
        let tat_ns = self.tat_ns.max(now_ns).min(horizon_ns);
        let by_rate = u64::try_from((horizon_ns - tat_ns) / bucket.interval_ns).unwrap_or(0);
        let by_quota = bucket.quota.saturating_sub(self.used);
        let count = by_rate.min(by_quota).min(want);
        let flow = u64::try_from(life_ns / bucket.interval_ns).unwrap_or(0);
        let stretch = count.max(flow).min(by_rate);
        self.tat_ns =
            tat_ns.saturating_add(i64::try_from(stretch).unwrap_or(i64::MAX).saturating_mul(bucket.interval_ns));
        self.used += count;
        let limited_by_want = count == want && want < by_rate.min(by_quota);
        let quota_elsewhere = bucket.quota.saturating_sub(self.used);
        let limit_ns = self.tat_ns;
        Grant { bucket, tat_ns, limit_ns, left: count, refunded: 0, day: self.day, quota_elsewhere, limited_by_want }
    }
}

/// Where a key stands, for the `RateLimit` fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The bucket.
    pub bucket: Bucket,
    /// Requests that may be made at once.
    pub burst_left: u64,
    /// Nanoseconds until the bucket is full.
    pub burst_reset_ns: i64,
    /// Requests that are left of the day's quota.
    pub quota_left: u64,
    /// Nanoseconds until the next UTC day.
    pub quota_reset_ns: i64,
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let it pass; it is counted.
    Admit,
    /// The grant is spent, outlived by idleness, or of another day, but the ledger may have more: take another.
    Renew,
    /// A limit is reached.
    Refuse {
        /// The rate is.
        rate: bool,
        /// The quota is.
        quota: bool,
        /// Nanoseconds until a request could pass.
        retry_after_ns: i64,
    },
}

impl Grant {
    /// Decides one request at `now_ns`, and counts it if it passes.
    pub fn admit(&mut self, now_ns: i64) -> Verdict {
        if day_of(now_ns) > self.day || (self.left == 0 && self.limited_by_want) {
            return Verdict::Renew;
        }
        let tat_ns = self.tat_ns.max(now_ns);
        let early_ns = tat_ns.saturating_add(self.bucket.interval_ns) - now_ns.saturating_add(self.bucket.depth_ns());
        // A grant is cut by the quota exactly when no quota was left behind in the ledger.
        let quota = self.left == 0 && self.quota_elsewhere == 0;
        let rate = early_ns > 0 || (self.left == 0 && !quota);
        if !rate && !quota {
            let next_tat_ns = tat_ns.saturating_add(self.bucket.interval_ns);
            if next_tat_ns > self.limit_ns {
                return Verdict::Renew;
            }
            self.left -= 1;
            self.tat_ns = next_tat_ns;
            return Verdict::Admit;
        }
        let rate_wait_ns = if rate { early_ns.max(1) } else { 0 };
        let quota_wait_ns = if quota { until_tomorrow_ns(now_ns) } else { 0 };
        Verdict::Refuse { rate, quota, retry_after_ns: rate_wait_ns.max(quota_wait_ns) }
    }

    /// The UTC day whose quota the grant was counted against.
    pub fn day(&self) -> i64 {
        self.day
    }

    /// Notes that a request that was admitted on `day` does not count against the quota after all. One of another day than
    /// the grant's stays counted: it must not give that day more than its quota.
    pub fn refund(&mut self, day: i64) {
        self.refunded += u64::from(day == self.day);
    }

    /// Where the key stands.
    pub fn standing(&self, now_ns: i64) -> Standing {
        Standing {
            bucket: self.bucket,
            burst_left: u64::try_from(self.bucket.available(self.tat_ns, now_ns)).unwrap_or(0),
            burst_reset_ns: (self.tat_ns - now_ns).max(0),
            quota_left: (self.quota_elsewhere + self.left + self.refunded).min(self.bucket.quota),
            quota_reset_ns: until_tomorrow_ns(now_ns),
        }
    }

    /// What to give back when the grant is not spent any further.
    pub fn into_return(self) -> Return {
        let Self { tat_ns, limit_ns, left, refunded, day, .. } = self;
        Return { unspent: left, refunded, tat_ns, limit_ns, day }
    }
}

/// How much the next grant should ask for: twice what was spent when demand lasts, so that a busy key asks the ledger at
/// most once in a grant's life.
pub fn next_want(previous_want: u64, spent: u64, ran_out: bool) -> u64 {
    let basis = if ran_out { previous_want } else { spent };
    basis.saturating_mul(2).clamp(WANT_MIN, WANT_MAX)
}

fn until_tomorrow_ns(now_ns: i64) -> i64 {
    DAY_NS - now_ns.rem_euclid(DAY_NS)
}

#[cfg(test)]
mod tests;
