//! Admission: decides how many requests a key may make, so that neither the quota nor the rate is exceeded.
//!
//! The rate is a token bucket in its virtual scheduling form, the generic cell rate algorithm (GCRA, ITU-T I.371). All that is kept of a
//! bucket is its *theoretical arrival time* (TAT): the moment at which it will be full again.
//!
//! The ledger keeps a [`LedgerRow`] for each key. A node takes a [`Grant`] from it: a number of requests, counted against the quota and the
//! bucket *in advance*, up to what will flow into the bucket while the grant lives. Inside a grant the node runs the same bucket. So it
//! releases requests at the plan's rate and not sooner, and only inside the grant's stretch of virtual time: the time after it may belong
//! to another node. The node returns unspent requests ([`Return`]) with its next grant. The quota always takes them back; the bucket does
//! so if nobody has taken a grant since. Otherwise the node keeps its stretch for as long as it lasts. A crash loses what was not returned:
//! it can only under-admit.
//!
//! All moments are nanoseconds since the Unix epoch.

mod bucket;
mod grant;
mod reservation;
mod returned;
mod tally;

use self::bucket::half;
pub use self::{
    bucket::{Bucket, DAY_NS, SECOND_NS, day_of},
    grant::{Grant, KeyStanding, Slot, Verdict},
    reservation::{Reservation, settled, was_carried_out},
    returned::{GrantHolder, Return},
    tally::{KeyUse, TALLY_LINES_MAX, Tally, UsageCount},
};

/// A node takes itself for the only one of its key after so many of its grants in a row without a grant of another node: others may have
/// kept stretches of theirs meanwhile.
const ALONE_STREAK: u8 = 4;
/// A node may give up the rest of its stretch while at least this part of the bucket can be spent at once: a fourth.
const SPARE_PART: u64 = 4;
/// How far the clocks of two nodes may differ before one of them is taken for set back.
const CLOCKS_APART_NS: i64 = 10 * SECOND_NS;
/// How many days the ledger may be ahead of a clock before one of the two is taken for wrong. Clocks that differ by less share one day,
/// which only rises. Beyond that each has its own day, so that a clock in a wrong year does not lock a key until then.
pub const DAYS_AHEAD_MAX: i64 = 2;
/// Requests that the first grant asks for. The following grants ask for twice as much while demand lasts.
pub const WANT_MIN: u64 = 64;
/// Most requests that one grant may hold, and so the most that a node's crash can withhold from a key.
pub const WANT_MAX: u64 = 1 << 20;

/// The ledger's account of a key's consumption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerRow {
    /// The bucket's theoretical arrival time.
    pub tat_ns: i64,
    /// The UTC day whose requests `used` counts.
    pub day: i64,
    /// Requests of that day that were spent or are held by grants.
    pub used: u64,
    /// The interval of the bucket that the TAT belongs to; 0 if it was not recorded yet.
    pub interval_ns: i64,
    /// Virtual time consumed of a deeper bucket beyond what the present bucket holds. It does not delay requests, but a deeper bucket
    /// counts it as consumed: a bucket made shallow and deep again gives no second burst. It runs out while the bucket is full.
    pub owed_ns: i64,
    /// The bucket's depth in requests when `owed_ns` was recorded; 0 if nothing is owed.
    pub owed_burst: i64,
}

/// What a node asks the ledger for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The bucket of the key's plan.
    pub bucket: Bucket,
    /// The node's clock.
    pub now_ns: i64,
    /// How long the grant may live.
    pub life_ns: i64,
    /// The most requests that the grant may hold; `need` is granted in any case.
    pub want: u64,
    /// The cost of the request that waits for the grant: with fewer it cannot pass.
    pub need: u64,
    /// What the node returns of its last grant.
    pub returned: Option<Return>,
    /// The earlier count of the day on which the grant begins ([`LedgerRow::day_at`]), if the ledger left that day and comes back to it.
    /// Usually 0.
    pub kept: u64,
}

/// How a grant changed the bucket's TAT, for a ledger that writes the row without having read it just before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TatStep {
    /// Unchanged: the node goes on with its own stretch, or no stretch is available.
    Kept,
    /// The node returned the rest of its stretch and took another from the same place: no other node took one in between.
    Resumed,
    /// The stretch begins at the TAT, which was ahead of the clock.
    Advanced,
    /// The stretch begins now: the bucket was full.
    Restarted,
    /// The TAT was impossibly far ahead: the bucket counts as empty.
    Corrected,
    /// The TAT was replaced by what was consumed: it was another plan's or came from a clock wrong by days, or requests were owed that
    /// count in a deeper bucket.
    Carried,
}

impl LedgerRow {
    /// Takes back what a node returns. Every return is used once: a second use would count requests twice as unspent.
    pub fn take_back(&mut self, returned: &Return) {
        if self.tat_ns == returned.limit_ns && self.interval_ns == returned.interval_ns {
            self.tat_ns = returned.tat_ns;
        }
        self.uncount(returned);
    }

    fn uncount(&mut self, returned: &Return) {
        if self.day == returned.day {
            self.used = self.used.saturating_sub(returned.unspent);
        }
    }

    /// The UTC day to which a request at this moment is counted: the clock's, or the row's if that is ahead of the clock by no more than
    /// [`DAYS_AHEAD_MAX`]. If it is not the row's day, the caller has to keep the row's count and pass the earlier count of the new day
    /// ([`Asked::kept`]).
    pub fn day_at(&self, now_ns: i64) -> i64 {
        let today = day_of(now_ns);
        let is_ahead = (1..=DAYS_AHEAD_MAX).contains(&self.day.saturating_sub(today));
        if is_ahead { self.day } else { today }
    }

    /// Takes back the return and grants at most the requests that are wanted, to be spent within the grant's life. A grant without requests
    /// says until when there are none.
    ///
    /// A grant is a stretch of virtual time, which passes as the clock does. A stretch shorter than the grant's life would end early, for a
    /// fast plan before the ledger's answer arrives. So it is as long as what the plan lets flow into the bucket in that life, even if
    /// fewer requests are wanted. Only the wanted requests are taken from the quota, so that a crash withholds no more.
    ///
    /// Stretches never overlap, on any node. A request takes a place in its node's stretch that is not behind the clock and not further
    /// ahead than the bucket's depth: that alone bounds the rate. So a node may keep its stretch from one grant to the next. It does so
    /// when others have taken stretches after its own, because it cannot return its stretch then: a key used through several nodes would
    /// otherwise lose them all and be refused below its rate. For the same reason a node that may not be alone takes half of what there is.
    ///
    /// If the bucket is shallower than what flows in while a grant lives, such a stretch would keep all other nodes out for as long. The
    /// node then takes shorter stretches until it has been alone for two grants' lives, in which other nodes would have asked, too: also
    /// under another plan, which it knows before others do.
    ///
    /// A change of plan lowers the new bucket by as many requests as were consumed of the old one. What it cannot hold of them is owed
    /// ([`LedgerRow::owed_ns`]).
    ///
    /// A clock that went back never restores quota: the ledger's day only rises, unless it is so far ahead that a clock must have been
    /// wrong. Then each day has its own count.
    pub fn renew(&mut self, asked: &Asked) -> (Grant, TatStep) {
        let asked = &Asked { need: asked.bucket.capped(asked.need), ..*asked };
        let Asked { bucket, now_ns, life_ns, want, returned, .. } = *asked;
        let is_wrong_day = self.turn_to_day(asked);
        let by_quota = bucket.quota.saturating_sub(self.used);
        let alone = returned.is_some_and(|returned| returned.limit_ns == self.tat_ns);
        let horizon_ns = bucket.horizon_ns(now_ns, life_ns);
        let mut ahead_ns = match returned {
            Some(returned) if alone => returned.tat_ns,
            _ => self.tat_ns,
        };
        let is_other_rate = self.interval_ns != 0 && self.interval_ns != bucket.interval_ns;
        let is_deeper = self.owed_ns > 0 && bucket.burst > self.owed_burst;
        if is_wrong_day {
            // As a bucket with one request left, so that a wrong clock leads to no refusal.
            let empty_ns = now_ns.saturating_add(bucket.depth_ns()).saturating_sub(bucket.interval_ns);
            ahead_ns = ahead_ns.min(empty_ns);
        } else if is_other_rate || is_deeper {
            // The node's grant was made under the old plan and knew no other for as long as it lived.
            let held = returned.filter(|_| alone).map(|back| now_ns.saturating_sub(back.since_ns).clamp(0, life_ns));
            let consumed_ns = ahead_ns.saturating_add(self.owed_ns);
            let (carried_ns, owed_ns) = bucket.carried(consumed_ns, self.interval_ns, now_ns, held.unwrap_or(0));
            ahead_ns = carried_ns;
            self.owe(bucket.burst, owed_ns);
        }
        self.interval_ns = bucket.interval_ns;
        let is_carried = is_wrong_day || is_other_rate || is_deeper;
        if let Some(back) = returned.filter(|back| !alone && !is_carried && self.keeps_its_stretch(asked, back)) {
            let places = bucket.places(back.tat_ns.max(now_ns), back.limit_ns);
            let count = places.min(by_quota).min(want.max(asked.need));
            let mut grant = self.grant(bucket, back.tat_ns, back.limit_ns, count, by_quota);
            grant.reach = if asked.need > 1 { places } else { u64::MAX };
            return (grant, TatStep::Kept);
        }
        // A TAT further ahead than clocks differ and a bucket can be drained comes from a clock that was set back, or from a deeper bucket:
        // it counts as an empty bucket, not as a debt.
        if ahead_ns > horizon_ns.saturating_add(CLOCKS_APART_NS) {
            self.owe(bucket.burst, self.owed_ns.saturating_add(ahead_ns.saturating_sub(horizon_ns)));
            self.tat_ns = horizon_ns;
            return (self.grant(bucket, horizon_ns, horizon_ns, 0, by_quota), TatStep::Corrected);
        }
        let from_ns = ahead_ns.max(now_ns);
        let by_rate = bucket.places(from_ns, horizon_ns);
        let at_once = bucket.places(from_ns, now_ns.saturating_add(bucket.depth_ns()));
        // A node that has been alone for a while takes all there is. Any other takes half of what can be spent at once, or half of what
        // flows in while the grant lives; a node known to share the key takes not much more than it spent last.
        let modest = half(at_once.max(by_rate - at_once)).min(by_quota);
        let since_ns = match returned {
            Some(Return { since_ns, .. }) if alone && !is_carried => since_ns.min(now_ns),
            _ => now_ns,
        };
        let most = match returned {
            Some(Return { streak, .. }) if streak >= ALONE_STREAK && now_ns.saturating_sub(since_ns) / 2 >= life_ns => {
                None
            }
            _ => bucket.most_beside_others(life_ns, returned.as_ref(), alone),
        };
        let share = match returned {
            Some(Return { streak, .. }) if alone && streak >= ALONE_STREAK => by_rate.min(by_quota),
            Some(Return { spent, .. }) if !alone && most.is_none() => modest.min(spent.saturating_mul(2).max(1)),
            _ => modest,
        };
        // A request that needs several places needs them in one grant. If there are not so many, the node takes no more than usual.
        let need = if asked.need <= by_rate.min(by_quota) { asked.need } else { 1 };
        let share = share.min(most.unwrap_or(u64::MAX)).max(need).min(by_rate).min(by_quota);
        let count = share.min(want.max(need));
        // Up to the very end: a request that comes then takes its places behind it.
        let tail_ns = bucket.interval_ns.saturating_mul(i64::try_from(need).unwrap_or(i64::MAX).saturating_add(1)) - 1;
        let lasting = bucket.places(from_ns, now_ns.saturating_add(life_ns).saturating_add(tail_ns));
        let stretch = count.max(lasting.min(most.unwrap_or(u64::MAX))).min(by_rate);
        let step = match () {
            () if is_carried => TatStep::Carried,
            () if alone => TatStep::Resumed,
            () if stretch == 0 => TatStep::Kept,
            () if ahead_ns > now_ns => TatStep::Advanced,
            () => TatStep::Restarted,
        };
        let limit_ns = if stretch > 0 && stretch == by_rate {
            // Up to the very end of what there is: the request comes a little after the grant was asked for, so its last place would end
            // behind the last whole one.
            horizon_ns
        } else {
            from_ns.saturating_add(i64::try_from(stretch).unwrap_or(i64::MAX).saturating_mul(bucket.interval_ns))
        };
        if step != TatStep::Kept {
            self.tat_ns = limit_ns;
            // The debt runs out for as long as the bucket was full.
            let full_ns = from_ns.saturating_sub(ahead_ns);
            self.owe(self.owed_burst, self.owed_ns.saturating_sub(full_ns));
        }
        let mut grant = self.grant(bucket, from_ns, limit_ns, count, by_quota);
        // A node that shares the key leaves what will still flow in to the others until this grant has ended. With short stretches the
        // nodes take turns instead.
        let soon = if alone || returned.is_none() || most.is_some() { by_rate } else { at_once };
        grant.streak = returned.filter(|_| alone).map_or(0, |returned| returned.streak.saturating_add(1));
        grant.since_ns = since_ns;
        grant.more = count < share || count < soon.min(by_quota);
        grant.reach = by_rate;
        (grant, step)
    }

    fn owe(&mut self, burst: i64, owed_ns: i64) {
        (self.owed_ns, self.owed_burst) = if owed_ns > 0 { (owed_ns, burst) } else { (0, 0) };
    }

    /// Takes back quota, and switches the row to the day that requests count to now. Returns whether the row's day or the clock is wrong by
    /// days.
    fn turn_to_day(&mut self, asked: &Asked) -> bool {
        let (before, day) = (self.day, self.day_at(asked.now_ns));
        if let Some(returned) = &asked.returned {
            self.uncount(returned);
        }
        if day == before {
            return false;
        }
        (self.day, self.used) = (day, asked.kept);
        if let Some(returned) = &asked.returned {
            self.uncount(returned);
        }
        day < before
    }

    /// Tells whether a node goes on with the rest of its stretch. A rest that ends long before a grant, or is too small for what the node
    /// spends, would cost another write soon: the node gives it up, but only while the bucket has enough that nobody misses it. It also
    /// gives up a rest smaller than the request needs, if the bucket has more.
    fn keeps_its_stretch(&self, asked: &Asked, back: &Return) -> bool {
        let Asked { bucket, now_ns, life_ns, need, .. } = *asked;
        if back.unanswered || back.interval_ns != bucket.interval_ns {
            return false;
        }
        let left = bucket.places(back.tat_ns.max(now_ns), back.limit_ns);
        let elsewhere = bucket.places(self.tat_ns.max(now_ns), bucket.horizon_ns(now_ns, life_ns));
        if left < need && elsewhere >= need {
            return false;
        }
        let lasts_short = back.limit_ns.saturating_sub(now_ns) < life_ns / 2 || left < back.spent / 2;
        let at_once = bucket.places(self.tat_ns.max(now_ns), now_ns.saturating_add(bucket.depth_ns()));
        let depth = u64::try_from(bucket.burst).unwrap_or(0);
        let is_missed = at_once < (depth / SPARE_PART).max(left);
        left > 0 && (!lasts_short || is_missed)
    }

    fn grant(&mut self, bucket: Bucket, tat_ns: i64, limit_ns: i64, count: u64, by_quota: u64) -> Grant {
        self.used = self.used.saturating_add(count);
        Grant {
            holder: GrantHolder::default(),
            bucket,
            tat_ns,
            limit_ns,
            left: count,
            spent: 0,
            streak: 0,
            since_ns: i64::MAX,
            refused: false,
            day: self.day,
            quota_elsewhere: bucket.quota.saturating_sub(self.used),
            more: count > 0 && count < by_quota,
            reach: 0,
            moved_up_ns: 0,
        }
    }
}

/// The number of requests that the next grant should ask for: twice what was spent while demand lasts, so that a busy key asks the ledger
/// at most once in a grant's life.
pub fn next_want(previous_want: u64, spent: u64, ran_out: bool) -> u64 {
    let basis = if ran_out { previous_want } else { spent };
    basis.saturating_mul(2).clamp(WANT_MIN, WANT_MAX)
}

#[cfg(test)]
mod tests;
