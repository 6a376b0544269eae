//! The changes that a tally makes in a person's item.

use std::{borrow::Cow, collections::BTreeMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    change::Change,
    known::{Known, count_names, count_values, use_names},
};
use crate::{
    domain::{admission::UsageCount, key::KeyId},
    store::dynamodb::item::{number, text},
};

/// Attributes that count a day's requests. Further requests are counted in one line that names neither key nor data set: an update
/// has 4 KB for its expression.
pub(super) const COUNTS_MAX: usize = 120;
/// Attributes of a day's counts that the write that begins a day moves, for the same reason. The rest, where many nodes have added
/// to them at once, is counted with the next day.
const MOVED_MAX: usize = 160;

/// Last uses that are kept when a day begins, the newest: each new session adds one, and the item must stay small.
const USES_KEPT: usize = 32;
/// Older uses that one write removes.
const USES_REMOVED_MAX: usize = 40;

/// A key's last use, sealed.
#[derive(Debug, Clone)]
pub(super) struct SealedUse {
    pub(super) key: KeyId,
    pub(super) at_us: i64,
    /// The network, if it differs from the last written one.
    pub(super) network: Option<SealedNetwork>,
}

/// A network in plain and sealed.
#[derive(Debug, Clone)]
pub(super) struct SealedNetwork {
    pub(super) network: String,
    pub(super) sealed: String,
}

/// A tally in the form that is written.
#[derive(Debug, Clone, Default)]
pub(super) struct TallyWrite {
    pub(super) lines: Vec<UsageCount>,
    pub(super) uses: Vec<SealedUse>,
    /// The use of the asking key: see [`Self::note_asking`].
    pub(super) asking: Option<SealedUse>,
}

impl TallyWrite {
    /// Adds the asking use to the others, if requests were granted.
    pub(super) fn note_asking(&mut self, is_granted: bool) {
        if let Some(asking) = self.asking.take().filter(|_| is_granted) {
            self.uses.retain(|known| known.key != asking.key);
            self.uses.push(asking);
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.uses.is_empty()
    }

    /// The sums to add to the counts of a day, by attribute name; `seen` are the present attributes.
    fn sums<'l>(lines: impl Iterator<Item = &'l UsageCount>, seen: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for line in lines {
            let is_there =
                seen.len() < COUNTS_MAX || count_names(line).first().is_some_and(|name| seen.contains_key(name));
            let line = match is_there {
                true => Cow::Borrowed(line),
                false => Cow::Owned(UsageCount { key: None, dataset: Box::default(), status: 0, ..line.clone() }),
            };
            for (name, value) in
                count_names(&line).into_iter().zip(count_values(&line)).filter(|(_, value)| *value != 0)
            {
                *sums.entry(name).or_default() += value;
            }
        }
        sums
    }

    /// The names of the counts that are removed from the item when a day begins, except those that begin anew.
    fn moved<'s>(seen: &'s Known, begun: &BTreeMap<String, i64>) -> impl Iterator<Item = &'s String> {
        seen.counts.keys().filter(|name| !begun.contains_key(*name)).take(MOVED_MAX)
    }

    /// The counts of a day that ends: the seen ones, and late ones of this tally.
    pub(super) fn ended(&self, day: i64, seen: &Known) -> BTreeMap<String, i64> {
        let begun = self.begun(Some(day));
        let names = Self::moved(seen, &begun).chain(seen.counts.keys().filter(|name| begun.contains_key(*name)));
        let mut counts: BTreeMap<String, i64> =
            names.filter_map(|name| Some((name.clone(), *seen.counts.get(name)?))).collect();
        for (name, value) in Self::sums(self.lines.iter().filter(|line| line.day == day), &seen.counts) {
            *counts.entry(name).or_default() += value;
        }
        counts
    }

    /// The counts of a day that begins after `ended`. Late counts of earlier days are counted with it.
    pub(super) fn begun(&self, ended: Option<i64>) -> BTreeMap<String, i64> {
        Self::sums(self.lines.iter().filter(|line| Some(line.day) != ended), &BTreeMap::new())
    }

    /// The last uses that are removed from the item when a day begins: the oldest, except those of this tally.
    pub(super) fn forgotten(&self, seen: &Known) -> Vec<KeyId> {
        let is_told = |key: &KeyId| self.uses.iter().any(|used| used.key == *key);
        let mut known: Vec<(i64, KeyId)> = seen.uses.iter().map(|(key, at_us)| (*at_us, *key)).collect();
        known.sort_unstable();
        let over = known.len().saturating_sub(USES_KEPT).min(USES_REMOVED_MAX);
        known.into_iter().take(over).map(|(_, key)| key).filter(|key| !is_told(key)).collect()
    }

    /// Adds the tally to the counts of the item.
    pub(super) fn add_to(&self, seen: &BTreeMap<String, i64>, change: &mut Change) {
        for (place, (name, value)) in Self::sums(self.lines.iter(), seen).into_iter().enumerate() {
            let (place, placed) = (format!("#c{place}"), format!(":c{place}"));
            change.add(format!("{place} {placed}"));
            change.name(&place, &name);
            change.value(&placed, number(value));
        }
        self.tell_uses(change);
        if !self.is_empty() {
            change.add("tn :once");
            change.value(":once", number(1));
        }
    }

    /// Replaces the seen counts by those of a new day.
    pub(super) fn begin(&self, ended: Option<i64>, seen: &Known, change: &mut Change) {
        let begun = self.begun(ended);
        for (place, (name, value)) in begun.iter().enumerate() {
            let (place, placed) = (format!("#c{place}"), format!(":c{place}"));
            change.set(format!("{place} = {placed}"));
            change.name(&place, name);
            change.value(&placed, number(value));
        }
        for (place, name) in Self::moved(seen, &begun).enumerate() {
            let place = format!("#o{place}");
            change.name(&place, name);
            change.remove(place);
        }
        for (nth, key) in self.forgotten(seen).into_iter().enumerate() {
            for (kind, name) in ["x", "y"].into_iter().zip(use_names(key)) {
                let place = format!("#{kind}{nth}");
                change.name(&place, &name);
                change.remove(place);
            }
        }
        self.tell_uses(change);
        change.set("tn = :tn");
        change.value(":tn", number(seen.tallies.saturating_add(1)));
    }

    fn tell_uses(&self, change: &mut Change) {
        for (nth, used) in self.uses.iter().enumerate() {
            let [at_name, network_name] = use_names(used.key);
            let mut put = |kind: &str, name: &str, value: AttributeValue| {
                change.set(format!("#{kind}{nth} = :{kind}{nth}"));
                change.name(&format!("#{kind}{nth}"), name);
                change.value(&format!(":{kind}{nth}"), value);
            };
            put("l", &at_name, number(used.at_us));
            if let Some(network) = &used.network {
                put("w", &network_name, text(format!("{} {}", used.at_us, network.sealed)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_uses_go_when_a_day_begins_and_what_is_told_stays() {
        let key = |number: u8| KeyId::from_random([number; 12]);
        let uses = (0..50u8).map(|number| (key(number), i64::from(number))).collect();
        let seen = Known { uses, ..Known::default() };
        let used = SealedUse { key: key(3), at_us: 99, network: None };
        let tally = TallyWrite { uses: vec![used], ..TallyWrite::default() };
        let expected: Vec<KeyId> = (0..18u8).filter(|number| *number != 3).map(key).collect();
        assert_eq!(tally.forgotten(&seen), expected);
        let few = Known { uses: (0..32u8).map(|number| (key(number), 0)).collect(), ..Known::default() };
        assert!(tally.forgotten(&few).is_empty());
    }
}
