//! A grant that is about to be written: which changes of the item under which conditions. Pure.

use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};

use super::known::{Known, Terms};
use crate::{
    domain::admission::{Asked, Grant, LedgerRow, Return, Step},
    store::{Granted, dynamodb::item::number},
};

/// A grant that is about to be written.
pub(super) struct Attempt {
    asked: Asked,
    /// The row that it is made for: the one last seen, or what it has probably become.
    before: LedgerRow,
    after: LedgerRow,
    grant: Grant,
    pub(super) step: Step,
}

impl Attempt {
    /// What to write for a row that was seen, just now if `fresh`.
    pub(super) fn plan(seen: &Known, asked: Asked, fresh: bool) -> Self {
        let mut before = seen.row;
        if seen.shared && !fresh {
            // Others have probably taken stretches since, and are ahead of the clock.
            before.tat_ns = before.tat_ns.saturating_add(asked.bucket.interval_ns).max(asked.now_ns.saturating_add(1));
        }
        let mut after = before;
        let (grant, step) = after.renew(&asked);
        Self { asked, before, after, grant, step }
    }

    /// Whether it changes nothing: there is no request to be had, and none is given back.
    pub(super) fn needs_no_write(&self) -> bool {
        self.grant.left() == 0 && self.step == Step::Kept && self.asked.returned.is_none_or(|back| back.spare() == 0)
    }

    pub(super) fn begins_a_day(&self, seen: &Known) -> bool {
        seen.unused || self.after.day != seen.row.day
    }

    /// The day that ends, with what comes back of it.
    pub(super) fn last_of_day(&self, seen: &Known) -> LedgerRow {
        let mut row = seen.row;
        if let Some(returned) = &self.asked.returned {
            row.take_back(returned);
        }
        row
    }

    pub(super) fn update(&self, seen: &Known, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let mut changes: Vec<&str> = Vec::new();
        let mut conditions = vec!["#on = :on", "pv = :pv"];
        let mut values: Vec<(&str, AttributeValue)> =
            vec![(":on", AttributeValue::Bool(true)), (":pv", number(seen.terms.version))];
        let names = [("#on", "on"), ("#day", "day")];
        if self.begins_a_day(seen) {
            changes.extend(["tat = :tat", "#day = :today", "used = :used"]);
            values.extend([
                (":tat", number(self.after.tat_ns)),
                (":today", number(self.after.day)),
                (":used", number(self.after.used)),
            ]);
            if seen.unused {
                conditions.push("attribute_not_exists(#day)");
            } else {
                conditions.extend(["#day = :day", "used = :was", "tat = :from"]);
                values.extend([
                    (":day", number(seen.row.day)),
                    (":was", number(seen.row.used)),
                    (":from", number(seen.row.tat_ns)),
                ]);
            }
        } else {
            self.count(&mut changes, &mut conditions, &mut values);
            self.advance(&mut changes, &mut conditions, &mut values);
        }
        let update = update
            .update_expression(format!("SET {}", changes.join(", ")))
            .condition_expression(conditions.join(" AND "))
            .set_expression_attribute_names(Some(
                names.iter().map(|(place, name)| ((*place).to_owned(), (*name).to_owned())).collect(),
            ));
        values.into_iter().fold(update, |update, (place, value)| update.expression_attribute_values(place, value))
    }

    /// The day's count, by how much it changes: what others have counted meanwhile stays.
    fn count(
        &self,
        changes: &mut Vec<&str>,
        conditions: &mut Vec<&str>,
        values: &mut Vec<(&'static str, AttributeValue)>,
    ) {
        conditions.push("#day = :day");
        values.push((":day", number(self.after.day)));
        let (more, less) = (self.grant.left(), self.asked.returned.map_or(0, |back| self.spare(&back)));
        if more >= less {
            changes.push("used = used + :more");
            conditions.push("used <= :room");
            let more = more - less;
            values.extend([
                (":more", number(more)),
                // At the quota, a grant that is no larger than what comes back is one all the same.
                (":room", number(self.asked.bucket.quota.max(self.before.used).saturating_sub(more))),
            ]);
        } else {
            changes.push("used = used - :less");
            conditions.push("used >= :less");
            values.push((":less", number(less - more)));
        }
    }

    fn spare(&self, back: &Return) -> u64 {
        if back.day == self.before.day { back.spare().min(self.before.used) } else { 0 }
    }

    /// The bucket's TAT.
    fn advance(
        &self,
        changes: &mut Vec<&str>,
        conditions: &mut Vec<&str>,
        values: &mut Vec<(&'static str, AttributeValue)>,
    ) {
        let Asked { bucket, now_ns, life_ns, returned, .. } = self.asked;
        match self.step {
            Step::Kept => {}
            Step::Resumed | Step::Corrected => {
                changes.push("tat = :tat");
                conditions.push("tat = :from");
                let from_ns =
                    returned.filter(|_| self.step == Step::Resumed).map_or(self.before.tat_ns, |r| r.limit_ns);
                values.extend([(":tat", number(self.after.tat_ns)), (":from", number(from_ns))]);
            }
            Step::Restarted => {
                changes.push("tat = :tat");
                conditions.push("tat <= :now");
                values.extend([(":tat", number(self.after.tat_ns)), (":now", number(now_ns))]);
            }
            Step::Advanced => {
                changes.push("tat = tat + :stretch");
                conditions.push("tat BETWEEN :now AND :latest");
                let stretch_ns = self.stretch_ns();
                let latest_ns = bucket.horizon_ns(now_ns, life_ns).saturating_sub(stretch_ns);
                values.extend([
                    (":stretch", number(stretch_ns)),
                    (":now", number(now_ns)),
                    (":latest", number(latest_ns)),
                ]);
            }
        }
    }

    fn stretch_ns(&self) -> i64 {
        self.after.tat_ns.saturating_sub(self.before.tat_ns)
    }

    /// The grant, in the row as it is after the write.
    pub(super) fn granted(self: &Attempt, seen: &Known, after: &LedgerRow) -> Granted {
        let limit_ns = if self.step == Step::Advanced { after.tat_ns } else { self.grant.limit_ns() };
        let Terms { user, hash, valid_until, plan, .. } = seen.terms.clone();
        Granted { user, hash, valid_until, plan, grant: self.grant.clone().placed(limit_ns, after.used) }
    }

    /// Whether others take grants of the key, as far as the row after the write tells.
    pub(super) fn shared_after(&self, seen: &Known, after: &LedgerRow) -> bool {
        let Some(returned) = self.asked.returned else { return seen.shared };
        match self.step {
            Step::Kept => after.tat_ns != returned.limit_ns,
            Step::Advanced => after.tat_ns.saturating_sub(self.stretch_ns()) != returned.limit_ns,
            Step::Resumed => false,
            Step::Restarted | Step::Corrected => seen.shared,
        }
    }
}
