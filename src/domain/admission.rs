//! Admission: how many requests a key may make, decided so that the quota is never exceeded and the rate neither.
//!
//! The rate is a token bucket in its virtual scheduling form, the generic cell rate algorithm (GCRA, ITU-T I.371): all
//! that is kept of a bucket is its *theoretical arrival time* (TAT), the moment at which it will be full again.
//!
//! The ledger keeps a [`LedgerRow`] for each key. A node takes a [`Grant`] from it: a number of requests, counted against
//! the quota and against the bucket *in advance*, up to what will flow into the bucket while the grant lives. Inside a
//! grant the node runs the same bucket, so that requests are released at the plan's rate and not sooner, and only inside the
//! stretch of virtual time that the grant was cut from: what follows it may belong to another node. What it did not spend it
//! returns ([`Return`]) with its next grant; the bucket takes it back if nobody has taken a grant since, the quota always. If
//! somebody has, the node keeps its stretch for as long as it lasts. A crash loses what was not returned: it can only
//! under-admit.
//!
//! All moments are nanoseconds since the Unix epoch.

use super::plan::Limits;

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a day; UTC days of a Unix clock are all as long.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;
/// Grants in a row that nobody else's came between, after which a node takes itself for the only one of its key: others may
/// have kept stretches of theirs meanwhile.
const ALONE_STREAK: u8 = 4;
/// A rest of a stretch may be given up while at least this part of the bucket can be spent at once: a fourth.
const SPARE_PART: u64 = 4;
/// How far the clocks of two nodes may be apart without one of them being taken for set back.
const CLOCKS_APART_NS: i64 = 10 * SECOND_NS;
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

    /// How far ahead the TAT may be after a grant that lives so long.
    pub fn horizon_ns(&self, now_ns: i64, life_ns: i64) -> i64 {
        now_ns.saturating_add(self.depth_ns()).saturating_add(life_ns)
    }

    /// Requests that have their place between two moments of virtual time.
    fn places(&self, from_ns: i64, to_ns: i64) -> u64 {
        u64::try_from(to_ns.saturating_sub(from_ns) / self.interval_ns).unwrap_or(0)
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
    /// Requests that were spent.
    pub spent: u64,
    /// Grants in a row since which nobody else has taken one.
    pub streak: u8,
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

impl Return {
    /// Requests that do not count against the quota.
    pub fn spare(&self) -> u64 {
        self.unspent.saturating_add(self.refunded)
    }
}

/// A number of requests that a node may admit without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    bucket: Bucket,
    tat_ns: i64,
    limit_ns: i64,
    left: u64,
    spent: u64,
    streak: u8,
    refunded: u64,
    day: i64,
    quota_elsewhere: u64,
    /// Whether the ledger may have more when these are spent.
    more: bool,
}

/// What a node asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The bucket of the key's plan.
    pub bucket: Bucket,
    /// The node's clock.
    pub now_ns: i64,
    /// How long the grant may live.
    pub life_ns: i64,
    /// At most so many requests.
    pub want: u64,
    /// What the node gives back of its last grant.
    pub returned: Option<Return>,
}

/// What a grant did to the bucket's TAT: what a ledger must know that writes it without having read the row just before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the node goes on with its own stretch, or there is none to be had.
    Kept,
    /// The node gave the rest of its stretch back and took another that begins there: nobody took one in between.
    Resumed,
    /// The stretch begins at the TAT, which was ahead of the clock.
    Advanced,
    /// The stretch begins now: the bucket was full.
    Restarted,
    /// The TAT was impossibly far ahead and counts as an empty bucket.
    Corrected,
}

impl LedgerRow {
    /// Takes back what a node returns. Every return is used once: a second use would count requests twice as unspent.
    pub fn take_back(&mut self, returned: &Return) {
        if self.tat_ns == returned.limit_ns {
            self.tat_ns = returned.tat_ns;
        }
        self.uncount(returned);
    }

    fn uncount(&mut self, returned: &Return) {
        if self.day == returned.day {
            self.used = self.used.saturating_sub(returned.spare());
        }
    }

    /// Takes back what is returned and grants at most as many requests as are wanted, to be spent within the grant's life. It
    /// may hold no request at all: then it tells until when there are none.
    ///
    /// A grant is a stretch of virtual time, which passes as the clock does: one that is shorter than the grant's life would
    /// be over early, of a fast plan before the ledger's answer arrives. So it is as long as what the plan lets flow into the
    /// bucket in that life, even if fewer requests are wanted; of the quota no more is taken than those, so that a crash
    /// withholds no more.
    ///
    /// Stretches never overlap, whoever has them, and a request takes a place in its node's stretch that is not behind the
    /// clock and not further ahead than the bucket is deep: that alone bounds the rate. So a node may keep its stretch from
    /// one grant to the next. It does when others have taken stretches after its own, which can then not be given back: a key
    /// that is used through several nodes would otherwise lose them all, and be refused below its rate. For the same reason a
    /// node that may not be alone takes half of what there is.
    ///
    /// A clock that has gone back never brings quota back: the ledger's day only rises.
    pub fn renew(&mut self, asked: &Asked) -> (Grant, Step) {
        let Asked { bucket, now_ns, life_ns, want, returned } = *asked;
        if let Some(returned) = &returned {
            self.uncount(returned);
        }
        self.begin_day(now_ns);
        let by_quota = bucket.quota.saturating_sub(self.used);
        let alone = returned.is_some_and(|returned| returned.limit_ns == self.tat_ns);
        if let Some(back) = returned.filter(|back| !alone && self.keeps_its_stretch(asked, back)) {
            let count = bucket.places(back.tat_ns.max(now_ns), back.limit_ns).min(by_quota).min(want);
            return (self.grant(bucket, back.tat_ns, back.limit_ns, count, by_quota), Step::Kept);
        }
        // A TAT that is further ahead than clocks are apart and a bucket can be drained comes from a clock that was set back,
        // or from a plan with a slower rate: it counts as an empty bucket, not as a debt.
        let horizon_ns = bucket.horizon_ns(now_ns, life_ns);
        let ahead_ns = match returned {
            Some(returned) if alone => returned.tat_ns,
            _ => self.tat_ns,
        };
        if ahead_ns > horizon_ns.saturating_add(CLOCKS_APART_NS) {
            self.tat_ns = horizon_ns;
            return (self.grant(bucket, horizon_ns, horizon_ns, 0, by_quota), Step::Corrected);
        }
        let from_ns = ahead_ns.max(now_ns);
        let by_rate = bucket.places(from_ns, horizon_ns);
        let at_once = bucket.places(from_ns, now_ns.saturating_add(bucket.depth_ns()));
        // Who has been alone for a while takes all that there is. Else half of what can be spent at once, or of what flows in
        // while the grant lives; and who is known to share the key, not much more than was spent last.
        let modest = half(at_once.max(by_rate - at_once)).min(by_quota);
        let share = match returned {
            Some(Return { streak, .. }) if alone && streak >= ALONE_STREAK => by_rate.min(by_quota),
            Some(Return { spent, .. }) if !alone => modest.min(spent.saturating_mul(2).max(1)),
            _ => modest,
        };
        let count = share.min(want);
        // To its very end: a request that comes then takes a place behind it.
        let lasting_ns = now_ns.saturating_add(life_ns).saturating_add(bucket.interval_ns.saturating_mul(2) - 1);
        let lasting = bucket.places(from_ns, lasting_ns);
        let stretch = count.max(lasting).min(by_rate);
        let step = match () {
            () if alone => Step::Resumed,
            () if stretch == 0 => Step::Kept,
            () if ahead_ns > now_ns => Step::Advanced,
            () => Step::Restarted,
        };
        let limit_ns =
            from_ns.saturating_add(i64::try_from(stretch).unwrap_or(i64::MAX).saturating_mul(bucket.interval_ns));
        if step != Step::Kept {
            self.tat_ns = limit_ns;
        }
        let mut grant = self.grant(bucket, from_ns, limit_ns, count, by_quota);
        // Who shares the key leaves what only flows in to the others until this grant has ended.
        let soon = if alone || returned.is_none() { by_rate } else { at_once };
        grant.streak = returned.filter(|_| alone).map_or(0, |returned| returned.streak.saturating_add(1));
        grant.more = count < share || count < soon.min(by_quota);
        (grant, step)
    }

    /// Whether a node goes on with what is left of its stretch. A rest that is over long before a grant is, or too small for
    /// what the node spends, would cost another write soon: it is given up, but only while the bucket has so much that nobody
    /// misses it.
    fn keeps_its_stretch(&self, asked: &Asked, back: &Return) -> bool {
        let Asked { bucket, now_ns, life_ns, .. } = *asked;
        let left = bucket.places(back.tat_ns.max(now_ns), back.limit_ns);
        let lasts_short = back.limit_ns.saturating_sub(now_ns) < life_ns / 2 || left < back.spent / 2;
        let at_once = bucket.places(self.tat_ns.max(now_ns), now_ns.saturating_add(bucket.depth_ns()));
        let depth = u64::try_from(bucket.burst).unwrap_or(0);
        let is_missed = at_once < (depth / SPARE_PART).max(left);
        left > 0 && (!lasts_short || is_missed)
    }

    fn begin_day(&mut self, now_ns: i64) {
        let today = day_of(now_ns);
        if today > self.day {
            self.day = today;
            self.used = 0;
        }
    }

    fn grant(&mut self, bucket: Bucket, tat_ns: i64, limit_ns: i64, count: u64, by_quota: u64) -> Grant {
        self.used += count;
        Grant {
            bucket,
            tat_ns,
            limit_ns,
            left: count,
            spent: 0,
            streak: 0,
            refunded: 0,
            day: self.day,
            quota_elsewhere: bucket.quota.saturating_sub(self.used),
            more: count > 0 && count < by_quota,
        }
    }
}

/// What a node takes that leaves something for another one, rounded up.
fn half(count: u64) -> u64 {
    count.div_ceil(2)
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
        if day_of(now_ns) > self.day || (self.left == 0 && self.more) {
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
            self.spent += 1;
            self.tat_ns = next_tat_ns;
            return Verdict::Admit;
        }
        let rate_wait_ns = if rate { early_ns.max(1) } else { 0 };
        let quota_wait_ns = if quota { until_tomorrow_ns(now_ns) } else { 0 };
        Verdict::Refuse { rate, quota, retry_after_ns: rate_wait_ns.max(quota_wait_ns) }
    }

    /// The same grant where the ledger in fact put it: its stretch ends at `limit_ns`, and `used` requests of the day are out.
    /// For a ledger that is written without having been read just before.
    pub fn placed(self, limit_ns: i64, used: u64) -> Self {
        let tat_ns = self.tat_ns.saturating_add(limit_ns.saturating_sub(self.limit_ns));
        Self { tat_ns, limit_ns, quota_elsewhere: self.bucket.quota.saturating_sub(used), ..self }
    }

    /// Requests that it holds.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The end of its stretch.
    pub fn limit_ns(&self) -> i64 {
        self.limit_ns
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
        let Self { tat_ns, limit_ns, left, spent, streak, refunded, day, .. } = self;
        Return { spent, streak, unspent: left, refunded, tat_ns, limit_ns, day }
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
