//! How many invitations are mailed: so many an hour for each person, and over all. Decided from what the log says, so that
//! it holds over restarts and for all nodes together.

use jiff::{SignedDuration, Timestamp};

/// The hour in which invitations count.
pub const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The most invitations of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvitationBounds {
    /// To one person.
    pub per_person: u32,
    /// Over all.
    pub over_all: u32,
}

/// Whether something of then counts now. A clock that was set back must not stop anybody for longer than an hour. So what is up to
/// an hour in the future counts, and nothing beyond: a clock that is set back by more lets an hour's invitations pass once more.
pub fn counts(then: Timestamp, now: Timestamp) -> bool {
    now.duration_since(then).abs() < HOUR
}

/// How long to wait until one more is within the bound: none when it is so now.
pub fn wait(earlier: impl Iterator<Item = Timestamp>, bound: u32, now: Timestamp) -> Option<SignedDuration> {
    let mut counted: Vec<Timestamp> = earlier.filter(|then| counts(*then, now)).collect();
    let over = counted.len().checked_sub(usize::try_from(bound).unwrap_or(usize::MAX))?;
    counted.sort_unstable();
    // When this one has left the hour, there is room for one more.
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
