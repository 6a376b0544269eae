//! A grant in the hands of a node: what it may admit without asking.

use super::{Bucket, DAY_NS, GrantHolder, Reservation, Return, day_of};

/// A number of requests that a node may admit without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub(super) holder: GrantHolder,
    pub(super) bucket: Bucket,
    pub(super) tat_ns: i64,
    pub(super) limit_ns: i64,
    pub(super) left: u64,
    pub(super) spent: u64,
    pub(super) streak: u8,
    pub(super) since_ns: i64,
    /// Whether it has refused a request: then it was in time to decide.
    pub(super) refused: bool,
    pub(super) day: i64,
    pub(super) quota_elsewhere: u64,
    /// Whether the ledger may have more when these are spent.
    pub(super) more: bool,
    /// Requests that the rate allowed until the grant ends, these included.
    pub(super) reach: u64,
    /// How far requests have moved up in all, since the grant was given, into places that were taken back.
    pub(super) moved_up_ns: i64,
}

/// Where the places begin of a request that was admitted. It may have moved up since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The place, as if nobody had moved up since the grant was given.
    unmoved_ns: i64,
}

/// Where a key stands, for the `RateLimit` fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyStanding {
    /// The bucket.
    pub bucket: Bucket,
    /// Requests that may be made at once.
    pub burst_left: u64,
    /// Nanoseconds until the bucket is full.
    pub burst_reset_ns: i64,
    /// Requests that are left of the day's quota.
    pub quota_left: u64,
    /// Nanoseconds until the quota begins anew: with the UTC day after the one that requests are counted to.
    pub quota_reset_ns: i64,
    /// The UTC day with which it does, counted from 1970-01-01.
    pub next_day: i64,
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
        /// Nanoseconds until such a request could pass.
        retry_after_ns: i64,
    },
}

impl Grant {
    /// Decides one request at `now_ns`, and counts it if it passes.
    pub fn admit(&mut self, now_ns: i64) -> Verdict {
        self.admit_as(now_ns, 1)
    }

    /// Decides a request that counts as `cost` of them: all of it passes, or nothing is counted.
    pub fn admit_as(&mut self, now_ns: i64, cost: u64) -> Verdict {
        let is_short = self.left < cost;
        let quota = is_short && self.left.saturating_add(self.quota_elsewhere) < cost;
        let is_in_reach = cost == 1 || cost <= self.reach.saturating_sub(self.spent);
        if day_of(now_ns) > self.day || (is_short && !quota && self.more && is_in_reach) {
            return Verdict::Renew;
        }
        let tat_ns = self.tat_ns.max(now_ns);
        let next_tat_ns = tat_ns.saturating_add(self.width_ns(cost));
        let reaches_ns = now_ns.saturating_add(self.bucket.depth_ns());
        let mut early_ns = next_tat_ns.saturating_sub(reaches_ns);
        let rate = early_ns > 0 || (is_short && !quota);
        if !rate && !quota {
            if next_tat_ns > self.limit_ns {
                return Verdict::Renew;
            }
            self.left -= cost;
            self.spent += cost;
            self.tat_ns = next_tat_ns;
            return Verdict::Admit;
        }
        if rate && early_ns <= 0 {
            // Others have what is missing: it comes behind what was granted.
            early_ns = self.limit_ns.saturating_add(self.width_ns(cost - self.left)).saturating_sub(reaches_ns);
        }
        self.refused = true;
        let rate_wait_ns = if rate { early_ns.max(1) } else { 0 };
        let quota_wait_ns = if quota { self.day_ends_in_ns(now_ns) } else { 0 };
        Verdict::Refuse { rate, quota, retry_after_ns: rate_wait_ns.max(quota_wait_ns) }
    }

    /// Virtual time that so many requests take.
    fn width_ns(&self, count: u64) -> i64 {
        i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(self.bucket.interval_ns)
    }

    fn day_ends_in_ns(&self, now_ns: i64) -> i64 {
        self.day.saturating_add(1).saturating_mul(DAY_NS).saturating_sub(now_ns).max(0)
    }

    /// The places of a request of this cost that was the last one to be admitted.
    pub fn last_slot(&self, cost: u64) -> Slot {
        let place_ns = self.tat_ns.saturating_sub(self.width_ns(cost));
        Slot { unmoved_ns: place_ns.saturating_add(self.moved_up_ns) }
    }

    /// What a request counts as that would count as `cost`: nobody's bucket is too small for it.
    pub fn capped(&self, cost: u64) -> u64 {
        self.bucket.capped(cost)
    }

    /// Takes the admission of a request back, as if it had counted as `kept` and not as `cost` more. It was admitted by this
    /// grant, to the places of `slot`.
    ///
    /// All who were admitted after it move up by what of its places is not behind the clock: then none of them comes to a
    /// place that was behind the clock when it was admitted, and the rate is kept. Of those that moved up since this one was
    /// admitted the grant does not know which were before it: it is taken to have moved with all of them, so that no place is
    /// freed twice.
    pub fn undo(&mut self, slot: Slot, kept: u64, cost: u64, now_ns: i64) {
        let width_ns = self.width_ns(cost);
        let place_ns = slot.unmoved_ns.saturating_sub(self.moved_up_ns);
        let end_ns = place_ns.saturating_add(self.width_ns(kept)).saturating_add(width_ns);
        let freed_ns = end_ns.saturating_sub(now_ns).clamp(0, width_ns);
        self.tat_ns = self.tat_ns.saturating_sub(freed_ns);
        self.moved_up_ns = self.moved_up_ns.saturating_add(freed_ns);
        self.left = self.left.saturating_add(cost);
        self.spent = self.spent.saturating_sub(cost);
    }

    /// Notes that requests that were admitted on `day` do not count against the quota after all; against the rate they do.
    /// Those of another day than the grant's stay counted: they must not give that day more than its quota.
    pub fn refund(&mut self, day: i64, cost: u64) {
        if day == self.day {
            self.left = self.left.saturating_add(cost);
        }
    }

    /// The same grant where the ledger in fact put it: its stretch ends at `limit_ns`, and `used` requests of the day are out.
    /// For a ledger that is written without having been read just before.
    pub fn placed(self, limit_ns: i64, used: u64) -> Self {
        let tat_ns = self.tat_ns.saturating_add(limit_ns.saturating_sub(self.limit_ns));
        let quota_elsewhere = self.bucket.quota.saturating_sub(used);
        // It took all that was seen of the quota, and there was more: somebody has given back since.
        let more = self.more || (self.quota_elsewhere == 0 && quota_elsewhere > 0);
        Self { tat_ns, limit_ns, quota_elsewhere, more, ..self }
    }

    /// The same grant, as this one of a node's.
    pub fn held_by(self, holder: GrantHolder) -> Self {
        Self { holder, ..self }
    }

    /// What the ledger keeps of it.
    pub fn reservation(&self, serial: u64) -> Reservation {
        Reservation {
            serial,
            count: self.left,
            day: self.day,
            tat_ns: self.tat_ns,
            limit_ns: self.limit_ns,
            interval_ns: self.bucket.interval_ns,
        }
    }

    /// Which grant it is, and whose.
    pub fn holder(&self) -> GrantHolder {
        self.holder
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

    /// Where the key stands.
    pub fn standing(&self, now_ns: i64) -> KeyStanding {
        KeyStanding {
            bucket: self.bucket,
            burst_left: u64::try_from(self.bucket.available(self.tat_ns, now_ns)).unwrap_or(0),
            burst_reset_ns: (self.tat_ns - now_ns).max(0),
            quota_left: self.quota_elsewhere.saturating_add(self.left).min(self.bucket.quota),
            quota_reset_ns: self.day_ends_in_ns(now_ns),
            next_day: self.day.saturating_add(1),
        }
    }

    /// What to give back when the grant is not spent any further.
    pub fn into_return(self) -> Return {
        let Self { holder, bucket, tat_ns, limit_ns, left, spent, streak, since_ns, refused, day, .. } = self;
        let interval_ns = bucket.interval_ns;
        let late = spent == 0 && left > 0 && !refused;
        Return {
            holder,
            spent,
            streak,
            since_ns,
            late,
            unspent: left,
            tat_ns,
            limit_ns,
            day,
            interval_ns,
            unanswered: false,
        }
    }
}
