//! Counts a person's requests beside the quota: by key, data set, day and status. A node counts in memory and sends the counts to the
//! ledger with its other requests.

use core::net::IpAddr;

use crate::domain::{key::KeyId, network::network_of};

/// The most lines of one tally. Any further kinds share one line without key and data set.
pub const TALLY_LINES_MAX: usize = 48;
/// The most keys of one tally whose last use is reported.
const USES_MAX: usize = 32;

/// The number of requests of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageCount {
    /// The UTC day, counted from 1970-01-01.
    pub day: i64,
    /// The key, if known.
    pub key: Option<KeyId>,
    /// The data set; empty if unknown: for a request that a limit refused, and for counts of an earlier version.
    pub dataset: Box<str>,
    /// The status of the answer; 0 if unknown.
    pub status: u16,
    /// Requests. Negative if earlier counts are taken back.
    pub requests: i64,
    /// The requests' cost against the quota.
    pub counted: i64,
}

impl UsageCount {
    /// Tells whether both count requests of the same kind.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.day, self.key, self.status) == (other.day, other.key, other.status) && self.dataset == other.dataset
    }
}

/// A key's last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: KeyId,
    /// When, microseconds since the Unix epoch.
    pub at_us: i64,
    /// The client's address, if it is known.
    pub from: Option<IpAddr>,
}

impl KeyUse {
    /// The network from which the key was used.
    pub fn network(&self) -> Option<String> {
        self.from.map(network_of)
    }
}

/// Counts that the ledger does not have yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    lines: Vec<UsageCount>,
    uses: Vec<KeyUse>,
}

impl Tally {
    /// Counts requests.
    pub fn count(&mut self, day: i64, key: KeyId, dataset: &str, status: u16, (requests, counted): (i64, i64)) {
        let is_it = |line: &&mut UsageCount| {
            line.day == day && line.status == status && line.key == Some(key) && *line.dataset == *dataset
        };
        if let Some(line) = self.lines.iter_mut().find(is_it) {
            line.requests += requests;
            line.counted += counted;
            return;
        }
        let line = UsageCount { day, key: Some(key), dataset: dataset.into(), status, requests, counted };
        if self.lines.len() < TALLY_LINES_MAX {
            self.lines.push(line);
            return;
        }
        let other = UsageCount { key: None, dataset: Box::default(), status: 0, ..line };
        match self.lines.iter_mut().find(|line| line.is_like(&other)) {
            Some(line) => {
                line.requests += requests;
                line.counted += counted;
            }
            None => self.lines.push(other),
        }
    }

    /// Records the use of a key.
    pub fn note_use(&mut self, new: KeyUse) {
        if let Some(known) = self.uses.iter_mut().find(|known| known.key == new.key) {
            if new.at_us >= known.at_us {
                *known = KeyUse { from: new.from.or(known.from), ..new };
            }
        } else if self.uses.len() < USES_MAX {
            self.uses.push(new);
        }
    }

    /// The counts.
    pub fn lines(&self) -> &[UsageCount] {
        &self.lines
    }

    /// The last use of each key.
    pub fn uses(&self) -> &[KeyUse] {
        &self.uses
    }

    /// Tells whether the tally is empty.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.uses.is_empty()
    }

    /// Tells whether the tally has more than refusals.
    pub fn has_answers(&self) -> bool {
        !self.uses.is_empty() || self.lines.iter().any(|line| line.counted != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> KeyId {
        KeyId::from_random([number; 12])
    }

    #[test]
    fn a_tally_is_bounded_and_loses_no_request() {
        let mut tally = Tally::default();
        for number in 0..10_000u32 {
            let [dataset, last] = [number % 500, number % 7];
            tally.count(3, key(u8::try_from(last).unwrap()), &format!("set{dataset}"), 200, (1, 2));
        }
        assert!(tally.lines().len() <= TALLY_LINES_MAX + 1);
        let sum = |of: fn(&UsageCount) -> i64| tally.lines().iter().map(of).sum::<i64>();
        assert_eq!((sum(|line| line.requests), sum(|line| line.counted)), (10_000, 20_000));
    }

    #[test]
    fn what_is_alike_is_one_line_and_the_last_use_counts() {
        let mut tally = Tally::default();
        for (day, status) in [(1, 200), (1, 200), (2, 200), (1, 404)] {
            tally.count(day, key(1), "permits", status, (1, 1));
        }
        let lines: Vec<_> = tally.lines().iter().map(|line| (line.day, line.status, line.requests)).collect();
        assert_eq!(lines, [(1, 200, 2), (2, 200, 1), (1, 404, 1)]);
        let used =
            |at_us, from: Option<&str>| KeyUse { key: key(1), at_us, from: from.map(|text| text.parse().unwrap()) };
        tally.note_use(used(5, Some("203.0.113.77")));
        tally.note_use(used(9, None));
        tally.note_use(used(7, Some("198.51.100.1")));
        assert_eq!(tally.uses(), [used(9, Some("203.0.113.77"))]);
        assert_eq!(tally.uses()[0].network().as_deref(), Some("203.0.113.0/24"));
        assert_eq!(used(1, Some("::ffff:203.0.113.77")).network().as_deref(), Some("203.0.113.0/24"));
        assert_eq!(used(1, Some("2001:db8:1:2::3")).network().as_deref(), Some("2001:db8:1::/48"));
    }
}
