//! Limits the mailing of invitations: so many an hour to each person, and in total. Decided from the log, so that the limits hold over
//! restarts and for all nodes together.

use jiff::{SignedDuration, Timestamp};

/// The period over which invitations are counted.
pub const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The most invitations in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvitationBounds {
    /// To one person.
    pub per_person: u32,
    /// In total.
    pub over_all: u32,
}

/// Tells whether something at `then` still counts. A clock that was set back must not stop anybody for longer than an hour. So moments up
/// to an hour in the future count, and later ones do not: a clock set back further lets an hour's invitations pass once more.
pub fn counts(then: Timestamp, now: Timestamp) -> bool {
    now.duration_since(then).abs() < HOUR
}

/// The wait until one more is within the bound; `None` if it is within the bound now.
pub fn wait(earlier: impl Iterator<Item = Timestamp>, bound: u32, now: Timestamp) -> Option<SignedDuration> {
    let mut counted: Vec<Timestamp> = earlier.filter(|then| counts(*then, now)).collect();
    let over = counted.len().checked_sub(usize::try_from(bound).unwrap_or(usize::MAX))?;
    counted.sort_unstable();
    // There is room for one more as soon as this one is an hour old.
    let leaves = counted.get(over).map_or(HOUR, |then| then.duration_since(now) + HOUR);
    Some(leaves.clamp(SignedDuration::from_secs(1), HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn wait_min(earlier: &[i64], bound: u32, now: i64) -> Option<i64> {
        wait(earlier.iter().copied().map(at), bound, at(now)).map(|wait| wait.as_secs() / 60)
    }

    #[test]
    fn the_oldest_of_the_hour_makes_room() {
        assert_eq!(wait_min(&[], 1, 0), None);
        assert_eq!(wait_min(&[0], 2, 0), None);
        assert_eq!(wait_min(&[0, 10], 2, 20), Some(40));
        assert_eq!(wait_min(&[10, 0], 2, 59), Some(1));
        assert_eq!(wait_min(&[0, 10], 2, 60), None);
        assert_eq!(wait_min(&[0, 10, 20, 30], 2, 40), Some(40), "two have to leave more than are allowed");
    }

    #[test]
    fn a_clock_set_back_stops_nobody_for_long() {
        assert_eq!(wait_min(&[1440, 1441], 2, 0), None, "a day ahead: whoever wrote that was wrong");
        assert_eq!(wait_min(&[30, 40], 2, 0), Some(60), "half an hour ahead: never longer than an hour");
    }
}
