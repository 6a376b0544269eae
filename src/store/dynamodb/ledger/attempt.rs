//! A grant that is about to be written: its changes of the item and their conditions. Pure.

use std::collections::BTreeMap;

use super::{
    change::Change,
    counting::{SealedUse, TallyWrite},
    known::{Known, reservation_name, reservation_value},
};
use crate::{
    domain::admission::{Asked, Grant, GrantHolder, LedgerRow, Reservation, Return, TatStep},
    store::dynamodb::item::number,
};

/// A grant that is about to be written.
pub(super) struct Attempt {
    holder: GrantHolder,
    asked: Asked,
    /// The row that the grant is based on: the one last seen, or its probable successor.
    before: LedgerRow,
    after: LedgerRow,
    grant: Grant,
    pub(super) step: TatStep,
    /// Counts that are not in the item yet.
    counting: TallyWrite,
}

impl Attempt {
    /// Plans the write for a row that was seen; `fresh` if just now.
    pub(super) fn plan(seen: &Known, asked: Asked, holder: GrantHolder, fresh: bool, mut counting: TallyWrite) -> Self {
        let mut before = seen.row;
        // The place of a bucket of another plan has to be known exactly, and so has that of a bucket with something owed.
        let is_same_rate = before.interval_ns == asked.bucket.interval_ns && before.owed_ns == 0;
        if seen.shared && !fresh && is_same_rate && before.day_at(asked.now_ns) == before.day {
            // Others have probably taken stretches since. These last for a grant's life each: on average half of one lies ahead of
            // the clock. A smaller guess takes a stretch longer than a life, and leaves less to the others.
            let probable_ns = asked.now_ns.saturating_add(asked.life_ns / 2).max(asked.now_ns.saturating_add(1));
            before.tat_ns = before.tat_ns.saturating_add(asked.bucket.interval_ns).max(probable_ns);
        }
        let mut after = before;
        let (grant, step) = after.renew(&asked);
        counting.note_asking(grant.left() > 0);
        Self { holder, asked, before, after, grant: grant.held_by(holder), step, counting }
    }

    /// The same grant without a write: it holds nothing.
    pub(super) fn unwritten(self) -> Self {
        let holder = GrantHolder { serial: 0, ..self.holder };
        Self { holder, grant: self.grant.held_by(holder), ..self }
    }

    /// The last uses that it writes.
    pub(super) fn uses(&self) -> &[SealedUse] {
        &self.counting.uses
    }

    fn reservation(&self) -> Reservation {
        self.grant.reservation(self.holder.serial)
    }

    /// Tells whether it changes nothing: no request can be granted, and none comes back.
    pub(super) fn needs_no_write(&self) -> bool {
        let brings_back = self.asked.returned.is_some_and(|back| back.unspent > 0);
        // A tally of refusals alone can wait.
        let has_answers = !self.counting.uses.is_empty() || self.counting.lines.iter().any(|line| line.counted != 0);
        self.grant.left() == 0 && self.step == TatStep::Kept && !brings_back && !has_answers
    }

    fn begins_a_day(&self, seen: &Known) -> bool {
        seen.unused || self.after.day != seen.row.day
    }

    /// The day that the grant ends, if anything of it is to be kept: its row with the returned requests, and its counts.
    pub(super) fn ended_day(&self, seen: &Known) -> Option<(LedgerRow, BTreeMap<String, i64>)> {
        let mut ended = seen.row;
        if let Some(returned) = &self.asked.returned {
            ended.take_back(returned);
        }
        let counts = self.counting.ended(ended.day, seen);
        (self.begins_a_day(seen) && !seen.unused && (ended.used > 0 || !counts.is_empty())).then_some((ended, counts))
    }

    /// The day that the grant ends, if there was one.
    fn day_that_ends(seen: &Known) -> Option<i64> {
        (!seen.unused).then_some(seen.row.day)
    }

    /// The item after a write that begins a day. The condition of that write is that the item is as seen.
    pub(super) fn known_after(&self, seen: &Known) -> Known {
        let (counts, tallies) = (self.counting.begun(Self::day_that_ends(seen)), seen.tallies.saturating_add(1));
        let far_day = self.far_day(seen);
        let mut after = Known { row: self.after, unused: false, far_day, counts, tallies, ..seen.clone() };
        for node in self.long_gone(seen) {
            after.reservations.remove(&node);
        }
        for key in self.counting.forgotten(seen) {
            after.uses.remove(&key);
        }
        after.uses.extend(self.counting.uses.iter().map(|used| (used.key, used.at_us)));
        after.reservations.insert(self.holder.node, self.reservation());
        after
    }

    /// The latest day that was left for an earlier one, this time included.
    fn far_day(&self, seen: &Known) -> Option<i64> {
        let left = Some(seen.row.day).filter(|day| !seen.unused && *day > self.after.day);
        left.max(seen.far_day)
    }

    /// Nodes that last asked before the day that ends: nothing comes back to them any more.
    fn long_gone(&self, seen: &Known) -> Vec<u64> {
        let since = seen.row.day.min(self.after.day);
        let others = seen.reservations.iter().filter(|(node, kept)| **node != self.holder.node && kept.day < since);
        others.map(|(node, _)| *node).collect()
    }

    /// The write as a change of the item.
    pub(super) fn change(&self, seen: &Known) -> Change {
        let mut change = Change::default();
        change.name("#day", "day");
        change.name("#me", &reservation_name(self.holder.node));
        change.set("#me = :out, iv = :iv");
        change.value(":out", reservation_value(&self.reservation()));
        change.value(":iv", number(self.after.interval_ns));
        // It is known whether this node's earlier request was carried out: if it arrives late, it fails on this condition.
        match seen.reservations.get(&self.holder.node) {
            Some(kept) => {
                change.only_if("#me.s = :mine");
                change.value(":mine", number(kept.serial));
            }
            None => change.only_if("attribute_not_exists(#me)"),
        }
        if seen.unused || seen.row.interval_ns == 0 {
            change.only_if("attribute_not_exists(iv)");
        } else {
            change.only_if("iv = :rate");
            change.value(":rate", number(seen.row.interval_ns));
        }
        let LedgerRow { owed_ns, owed_burst, .. } = self.after;
        let stored = if seen.unused { (0, 0) } else { (seen.row.owed_ns, seen.row.owed_burst) };
        if (owed_ns, owed_burst) != stored {
            // Each write that changes what is owed has an exact condition on the TAT.
            change.set("ow = :owed, ob = :depth");
            change.value(":owed", number(owed_ns));
            change.value(":depth", number(owed_burst));
        }
        if self.begins_a_day(seen) {
            self.begin_day(seen, &mut change);
        } else {
            self.count(&mut change);
            self.advance(&mut change);
            self.counting.add_to(&seen.counts, &mut change);
        }
        change
    }

    fn begin_day(&self, seen: &Known, change: &mut Change) {
        change.set("tat = :tat, #day = :today, used = :used");
        change.value(":tat", number(self.after.tat_ns));
        change.value(":today", number(self.after.day));
        change.value(":used", number(self.after.used));
        if let Some(far_day) = self.far_day(seen) {
            change.set("far = :far");
            change.value(":far", number(far_day));
        }
        for (place, node) in self.long_gone(seen).into_iter().enumerate() {
            let gone = format!("#gone{place}");
            change.name(&gone, &reservation_name(node));
            change.remove(gone);
        }
        self.counting.begin(Self::day_that_ends(seen), seen, change);
        if seen.unused {
            change.only_if("attribute_not_exists(#day)");
            return;
        }
        change.only_if("#day = :day AND used = :was AND tat = :from");
        if seen.tallies == 0 {
            change.only_if("attribute_not_exists(tn)");
        } else {
            change.only_if("tn = :tallies");
            change.value(":tallies", number(seen.tallies));
        }
        change.value(":day", number(seen.row.day));
        change.value(":was", number(seen.row.used));
        change.value(":from", number(seen.row.tat_ns));
    }

    /// Changes the day's count by a difference: what others have counted meanwhile stays.
    fn count(&self, change: &mut Change) {
        change.only_if("#day = :day");
        change.value(":day", number(self.after.day));
        let (more, less) = (self.grant.left(), self.asked.returned.map_or(0, |back| self.spare(&back)));
        if more >= less {
            let more = more - less;
            change.set("used = used + :more");
            change.only_if("used <= :room");
            change.value(":more", number(more));
            // At the quota, a grant that is no larger than the returned requests is allowed all the same.
            let room = self.asked.bucket.quota.max(self.before.used).saturating_sub(more);
            change.value(":room", number(room));
        } else {
            change.set("used = used - :less");
            change.only_if("used >= :less");
            change.value(":less", number(less - more));
        }
    }

    fn spare(&self, back: &Return) -> u64 {
        if back.day == self.before.day { back.unspent.min(self.before.used) } else { 0 }
    }

    /// Moves the bucket's TAT.
    fn advance(&self, change: &mut Change) {
        let Asked { bucket, now_ns, life_ns, returned, .. } = self.asked;
        match self.step {
            TatStep::Kept => {}
            TatStep::Resumed | TatStep::Corrected | TatStep::Carried => {
                let resumed = returned.filter(|_| self.step == TatStep::Resumed);
                change.set("tat = :tat");
                change.only_if("tat = :from");
                change.value(":tat", number(self.after.tat_ns));
                change.value(":from", number(resumed.map_or(self.before.tat_ns, |returned| returned.limit_ns)));
            }
            TatStep::Restarted => {
                change.set("tat = :tat");
                change.only_if("tat <= :now");
                change.value(":tat", number(self.after.tat_ns));
                change.value(":now", number(now_ns));
                if self.before.owed_ns > 0 {
                    change.only_if("tat = :from");
                    change.value(":from", number(self.before.tat_ns));
                }
            }
            TatStep::Advanced => {
                let stretch_ns = self.stretch_ns();
                change.set("tat = tat + :stretch");
                change.only_if("tat BETWEEN :now AND :latest");
                change.value(":stretch", number(stretch_ns));
                change.value(":now", number(now_ns));
                change.value(":latest", number(bucket.horizon_ns(now_ns, life_ns).saturating_sub(stretch_ns)));
            }
        }
    }

    fn stretch_ns(&self) -> i64 {
        self.after.tat_ns.saturating_sub(self.before.tat_ns)
    }

    /// The grant, placed in the row after the write.
    pub(super) fn granted(&self, after: &LedgerRow) -> Grant {
        let limit_ns = if self.step == TatStep::Advanced { after.tat_ns } else { self.grant.limit_ns() };
        self.grant.placed(limit_ns, after.used)
    }

    /// Tells whether others take grants of the person, judging by the row after the write.
    pub(super) fn shared_after(&self, seen: &Known, after: &LedgerRow) -> bool {
        let Some(returned) = self.asked.returned else { return seen.shared };
        match self.step {
            TatStep::Kept => after.tat_ns != returned.limit_ns,
            TatStep::Advanced => after.tat_ns.saturating_sub(self.stretch_ns()) != returned.limit_ns,
            TatStep::Resumed => false,
            TatStep::Restarted | TatStep::Corrected | TatStep::Carried => seen.shared,
        }
    }
}
