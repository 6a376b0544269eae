//! The retention of a data set's past: one rule for all record stores.

use jiff::Timestamp;

use super::Retention;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// A known version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct KnownVersion {
    pub(in crate::store) version: u64,
    /// The moment of the version.
    pub(in crate::store) at: Timestamp,
    /// The number of its kept changes.
    pub(in crate::store) changes: u64,
}

/// The version up to which all changes are given up, if any: the earliest that can still be read. `versions` are all known versions
/// in order, including the one about to become the present one.
pub(in crate::store) fn floor(versions: &[KnownVersion], retention: Retention, now: Timestamp) -> Option<u64> {
    let horizon_us = now.as_microsecond().saturating_sub(i64::from(retention.days).saturating_mul(DAY_US));
    // The version that was present at that time is still held; changes are held from the next one on.
    let by_age =
        versions.iter().filter(|known| known.at.as_microsecond() <= horizon_us).map(|known| known.version).max();
    let (present, before) = versions.split_last()?;
    let mut kept = present.changes;
    let by_count = before.iter().rev().find(|known| {
        kept = kept.saturating_add(known.changes);
        kept > retention.changes_max
    });
    by_age.max(by_count.map(|known| known.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(version: u64, day: i64, changes: u64) -> KnownVersion {
        KnownVersion { version, at: Timestamp::from_microsecond(day * DAY_US).unwrap(), changes }
    }

    #[test]
    fn what_is_too_old_or_too_much_is_given_up() {
        let versions = [known(1, 0, 0), known(2, 1, 10), known(3, 2, 20), known(4, 3, 30)];
        let floor = |days, changes_max, day| {
            floor(&versions, Retention { days, changes_max }, Timestamp::from_microsecond(day * DAY_US).unwrap())
        };
        assert_eq!(floor(10, 100, 3), None);
        assert_eq!(floor(10, 100, 10), Some(1), "it was the present one ten days ago");
        assert_eq!(floor(10, 100, 12), Some(3));
        assert_eq!(floor(0, 100, 3), Some(4));
        assert_eq!(floor(10, 60, 3), None);
        assert_eq!(floor(10, 59, 3), Some(2), "the changes of 3 and 4 are fifty");
        assert_eq!(floor(10, 49, 3), Some(3));
        assert_eq!(floor(10, 0, 3), Some(3), "the latest import's are kept in any case");
        assert_eq!(floor(1, 59, 3), Some(3), "the later of both");
    }
}
