//! How far a reader of the log has come who reads on as it grows.
//!
//! Where commits have their places by the clocks of their writers, a late one comes among others that were read before. Such a reader
//! reads the newest part of the log again and again, and remembers what of it was read: the *window*. A commit that is older than the
//! window when it appears would be missed, so the window has to be longer than any commit can be late. Few commits are late by much: of
//! [`PASSES_PER_WHOLE`] passes one goes through the whole window, the others through its end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::id::StreamId;

/// Commits of a window that are remembered at most.
pub const WINDOW_COMMITS_MAX: usize = 200_000;

/// Of so many passes one goes through the whole window.
pub const PASSES_PER_WHOLE: u32 = 20;
/// What is older than so many windows is history. More than one, so that a reader whose own clock is ahead remembers what it has to.
pub const HISTORY_WINDOWS: i32 = 4;
/// The part of the window that the other passes go through: one of so many.
const PARTS: i32 = 30;

/// How far a reader of the log has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Where the reader began: commits up to this position were not asked for.
    begin: u64,
    /// The largest position that was read.
    position: u64,
    /// No commit from before this moment will come any more.
    settled: Timestamp,
    /// What was read of the window: microsecond, then stream and version.
    window: BTreeMap<i64, BTreeSet<(String, u64)>>,
    /// The present pass through the window. A reader who starts again begins with one through the whole window.
    #[serde(skip)]
    pass: WindowPass,
}

/// A pass through the window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct WindowPass {
    /// How many there were before.
    number: u32,
    /// When it began; none before its first page.
    began: Option<Timestamp>,
    /// Where it goes on.
    goes_on: Option<Timestamp>,
    /// Where one begins that does not go through the whole window.
    end_part: Option<Timestamp>,
}

impl WindowPass {
    fn is_whole(&self) -> bool {
        self.number.is_multiple_of(PASSES_PER_WHOLE)
    }
}

impl Reached {
    /// A reader who begins after this position.
    pub fn after(position: u64) -> Self {
        Self {
            begin: position,
            position,
            settled: Timestamp::MIN,
            window: BTreeMap::new(),
            pass: WindowPass::default(),
        }
    }

    /// Where the reader began.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// The largest position that was read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether two readers have read the same, wherever in a pass they are.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.begin, self.position, self.settled) == (other.begin, other.position, other.settled)
            && self.window == other.window
    }

    /// Commits that are remembered.
    pub fn remembered(&self) -> usize {
        self.window.values().map(BTreeSet::len).sum()
    }

    /// The moment from which the reader reads on: within a pass where that goes on, else from the beginning of the window.
    pub fn reads_from(&self) -> Timestamp {
        let end_part = self.pass.end_part.filter(|_| !self.pass.is_whole());
        self.pass.goes_on.or(end_part).map_or(self.settled, |from| from.max(self.settled))
    }

    /// Whether a commit of the window was not read yet.
    pub fn is_new(&self, stream: &str, version: u64, recorded_at: Timestamp) -> bool {
        let read = self.window.get(&recorded_at.as_microsecond());
        recorded_at >= self.settled && !read.is_some_and(|read| read.contains(&(stream.to_owned(), version)))
    }

    /// Notes that the log was read up to a position, where later commits have larger ones.
    pub fn read_to(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// Notes a commit of the window as read.
    pub fn read(&mut self, stream: &StreamId, version: u64, recorded_at: Timestamp, position: u64) {
        self.window.entry(recorded_at.as_microsecond()).or_default().insert((stream.to_string(), version));
        self.read_to(position);
    }

    /// Notes that a pass came to a moment, by a read that began at `now`, and where it goes on; `None` at the log's end, after which the
    /// next pass begins. A whole pass forgets what is older than `window`, reckoned from there or from the pass's beginning, the earlier
    /// of both: what appears from then on is younger. What it has passed that is older than [`HISTORY_WINDOWS`] windows when it begins is
    /// history, of which nothing appears any more, however much there is of one moment.
    pub fn passed(&mut self, until: Timestamp, now: Timestamp, window: SignedDuration, goes_on: Option<Timestamp>) {
        let began = *self.pass.began.get_or_insert(now);
        let newest = until.min(began);
        if self.pass.is_whole() {
            let edge = newest.checked_sub(window).unwrap_or(Timestamp::MIN);
            let history = began.checked_sub(window * HISTORY_WINDOWS).unwrap_or(Timestamp::MIN);
            self.settled = self.settled.max(edge).max(until.min(history));
            self.window = self.window.split_off(&self.settled.as_microsecond());
        }
        self.pass.goes_on = goes_on;
        if goes_on.is_none() {
            let end_part = newest.checked_sub(window / PARTS).ok();
            self.pass = WindowPass { number: self.pass.number.wrapping_add(1), end_part, ..WindowPass::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW_US: i64 = 1_200;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_microsecond(us).unwrap()
    }

    /// One pass, in pages of two, over what is visible; commits may appear between two pages.
    fn pass(reached: &mut Reached, told: &mut Vec<u64>, visible: &[(i64, u64)], now: i64) {
        let window = SignedDuration::from_micros(WINDOW_US);
        loop {
            let from = reached.reads_from();
            let rest = || visible.iter().filter(|(us, _)| at(*us) >= from);
            let Some((last, _)) = rest().take(2).last().copied() else {
                reached.passed(Timestamp::MIN, at(now), window, None);
                return;
            };
            // Whole microseconds.
            for (us, version) in rest().filter(|(us, _)| *us <= last) {
                if reached.is_new("plan#p", *version, at(*us)) {
                    reached.read(&StreamId::Plan("p".to_owned()), *version, at(*us), 0);
                    told.push(*version);
                }
            }
            let is_end = visible.iter().all(|(us, _)| *us <= last);
            reached.passed(at(last), at(now), window, (!is_end).then(|| at(last + 1)));
            if is_end {
                return;
            }
        }
    }

    /// A reader over commits that appear one by one, each late by less than the window.
    fn told(commits: &[(i64, i64)], looks: &[u8], restarts: &[bool]) -> Vec<u64> {
        let mut reached = Reached::after(0);
        let (mut visible, mut told) = (Vec::new(), Vec::new());
        let mut now = 0;
        for (nth, (gap, late)) in commits.iter().enumerate() {
            now += gap;
            visible.push((now - late, u64::try_from(nth).unwrap()));
            visible.sort_unstable();
            if restarts[nth % restarts.len()] {
                let kept = serde_json::to_string(&reached).unwrap();
                reached = serde_json::from_str(&kept).unwrap();
            }
            for _ in 0..looks[nth % looks.len()] {
                pass(&mut reached, &mut told, &visible, now);
            }
        }
        for _ in 0..PASSES_PER_WHOLE {
            pass(&mut reached, &mut told, &visible, now);
        }
        told
    }

    proptest! {
        #[test]
        fn whoever_is_late_by_less_than_the_window_is_told_once(
            commits in proptest::collection::vec((0..400_i64, -400..WINDOW_US - 400), 1..60),
            looks in proptest::collection::vec(0..25_u8, 1..9),
            restarts in proptest::collection::vec(any::<bool>(), 1..9),
        ) {
            let mut told = told(&commits, &looks, &restarts);
            told.sort_unstable();
            prop_assert_eq!(told, (0..u64::try_from(commits.len()).unwrap()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let stream = StreamId::Plan("p".to_owned());
        let window = SignedDuration::from_micros(WINDOW_US);
        let mut reached = Reached::after(7);
        for us in 0..100 {
            reached.read(&stream, 1, at(us * 100), 8);
            reached.passed(at(us * 100), at(10_000), window, Some(at(us * 100 + 1)));
        }
        assert_eq!((reached.remembered(), reached.position()), (13, 8));
        assert!(!reached.is_new("plan#p", 2, at(8_699)) && reached.is_new("plan#p", 2, at(8_700)));
        assert_eq!(reached.reads_from(), at(9_901), "within the pass");
        reached.passed(at(9_900), at(10_000), window, None);
        assert_eq!(reached.reads_from(), at(9_860), "the end of the window");
        for _ in 2..PASSES_PER_WHOLE {
            reached.passed(at(20_000), at(20_000), window, None);
        }
        assert_eq!((reached.reads_from(), reached.remembered()), (at(19_960), 13), "nothing is forgotten by these");
        reached.passed(at(20_000), at(20_000), window, None);
        assert_eq!(reached.reads_from(), at(8_700), "the whole window");
        // A writer whose clock is ahead does not push the window beyond the reader's own time.
        reached.passed(at(i64::from(u32::MAX)), at(10_000), window, None);
        assert!(reached.is_new("plan#p", 1, at(8_801)) && !reached.is_new("plan#p", 1, at(8_799)));
    }

    #[test]
    fn history_is_not_remembered_however_dense_it_is() {
        let (stream, window) = (StreamId::Plan("p".to_owned()), SignedDuration::from_micros(WINDOW_US));
        let now = at(10 * WINDOW_US);
        let history = i64::from(HISTORY_WINDOWS) * WINDOW_US;
        let mut reached = Reached::after(0);
        // Ten thousand commits of a few moments, as a moved log has them, and some of this hour.
        for us in 0..100 {
            for version in 0..100 {
                reached.read(&stream, us * 100 + version, at(us.cast_signed()), 1);
            }
            reached.passed(at(us.cast_signed()), now, window, Some(at(us.cast_signed() + 1)));
            assert_eq!(reached.remembered(), 100, "those of the last moment");
        }
        let recent = now.as_microsecond() - history + 1;
        for us in [recent, recent + 1, now.as_microsecond()] {
            reached.read(&stream, 1, at(us), 1);
            reached.passed(at(us), now, window, Some(at(us + 1)));
        }
        assert!(!reached.is_new("plan#p", 1, now) && !reached.is_new("plan#p", 9, at(99)));
        assert_eq!(reached.remembered(), 1);
    }
}
