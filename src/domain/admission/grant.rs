//! A grant held by a node: the requests that the node may admit without asking the ledger.

use super::{Bucket, DAY_NS, GrantHolder, Reservation, Return, day_of};

/// A number of requests that a node may admit without asking the ledger.
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
    /// Whether the grant refused a request, which shows that it came in time to decide.
    pub(super) refused: bool,
    pub(super) day: i64,
    pub(super) quota_elsewhere: u64,
    /// Whether the ledger may have more once these requests are spent.
    pub(super) more: bool,
    /// Requests that the rate allows until the grant ends, these included.
    pub(super) reach: u64,
    /// Total distance by which requests have moved up since the grant was given, into places that were taken back.
    pub(super) moved_up_ns: i64,
}

/// Where the places of an admitted request begin. The request may have moved up since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The place as if no request had moved up since the grant was given.
    unmoved_ns: i64,
}

/// The state of a key's limits, for the `RateLimit` fields.
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
    /// Nanoseconds until the quota is renewed: until the end of the UTC day to which requests are counted.
    pub quota_reset_ns: i64,
    /// The UTC day on which the quota is renewed, counted from 1970-01-01.
    pub next_day: i64,
}

/// The decision on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Admit the request; it is counted.
    Admit,
    /// Take another grant: this one is spent, outlived by idleness, or of another day, but the ledger may have more.
    Renew,
    /// Refuse the request: a limit is reached.
    Refuse {
        /// Whether the rate is reached.
        rate: bool,
        /// Whether the quota is reached.
        quota: bool,
        /// Nanoseconds until such a request could be admitted.
        retry_after_ns: i64,
    },
}

impl Grant {
    /// Decides on a request at `now_ns`, and counts it if it is admitted.
    pub fn admit(&mut self, now_ns: i64) -> Verdict {
        self.admit_as(now_ns, 1)
    }

    /// Decides on a request of this cost: it is admitted as a whole, or nothing is counted.
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
            // Other nodes hold the missing requests: these come behind what was granted.
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

    /// The places of the last admitted request, which had this cost.
    pub fn last_slot(&self, cost: u64) -> Slot {
        let place_ns = self.tat_ns.saturating_sub(self.width_ns(cost));
        Slot { unmoved_ns: place_ns.saturating_add(self.moved_up_ns) }
    }

    /// The cost of a request, capped so that no bucket is too small for it.
    pub fn capped(&self, cost: u64) -> u64 {
        self.bucket.capped(cost)
    }

    /// Takes back the admission of a request that this grant admitted to the places of `slot`: it then
    /// counts as `kept` instead of `kept + cost`.
    ///
    /// All requests admitted later move up by the part of its places that is not behind the clock. So none moves to a place that was behind
    /// the clock when it was admitted, and the rate is kept. The grant does not know which requests that moved up since were earlier than
    /// this one: this one is taken to have moved with all of them, so that no place is freed twice.
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

    /// Records that requests admitted on `day` do not count against the quota after all; they still count against the rate. Requests of
    /// another day than the grant's stay counted: they must not raise that day's quota.
    pub fn refund(&mut self, day: i64, cost: u64) {
        if day == self.day {
            self.left = self.left.saturating_add(cost);
        }
    }

    /// The grant at the place that the ledger gave it: its stretch ends at `limit_ns`, and `used` requests of the day are out. For a ledger
    /// that is written without having been read just before.
    pub fn placed(self, limit_ns: i64, used: u64) -> Self {
        let tat_ns = self.tat_ns.saturating_add(limit_ns.saturating_sub(self.limit_ns));
        let quota_elsewhere = self.bucket.quota.saturating_sub(used);
        // The grant took all of the quota that it saw, and there was more: another node has returned some since.
        let more = self.more || (self.quota_elsewhere == 0 && quota_elsewhere > 0);
        Self { tat_ns, limit_ns, quota_elsewhere, more, ..self }
    }

    /// The grant with this holder.
    pub fn held_by(self, holder: GrantHolder) -> Self {
        Self { holder, ..self }
    }

    /// The ledger's record of the grant.
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

    /// The node and the serial number of the grant.
    pub fn holder(&self) -> GrantHolder {
        self.holder
    }

    /// The number of requests that the grant still holds.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The end of the grant's stretch.
    pub fn limit_ns(&self) -> i64 {
        self.limit_ns
    }

    /// The UTC day whose quota the grant is counted against.
    pub fn day(&self) -> i64 {
        self.day
    }

    /// The state of the key's limits.
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

    /// The return of a grant that is not spent any further.
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
