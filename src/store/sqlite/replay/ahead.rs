//! Reads the commits of streams ahead, stream by stream.
//!
//! A person's commits lie scattered over the log. Read in the order of streams, each of them is a page of its own, found from the top of the
//! tree. So the places of many are taken from the index first, and the rows then read in the order in which they lie in the file: half the
//! work, and no page of the file has to be mapped, which would count as memory of this process.

use std::ops::Range;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::super::{
    StoreError,
    batches::{LogPosition, StreamSource},
    corrupt,
    trouble::events,
};
use crate::{domain::persisted::Encoded, store::CommitBatch};

/// Bytes of events that are read ahead, about.
const BYTES: usize = 4 << 20;
/// A window that has so many times more is read in parts.
const TIMES_MAX: usize = 4;
/// Commits that are read ahead: fewer than are folded meanwhile.
const COMMITS: Range<usize> = 64..8 * 1024;

/// What is read ahead.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// The place behind the commits that were read; none once all were.
    pub(super) at: Option<LogPosition>,
    /// The name behind those of all streams that are read.
    end: String,
    /// Bytes of events that are read ahead, about.
    bytes: usize,
    /// Commits of the next window.
    window: usize,
    text: String,
    rows: Vec<Row>,
    /// The rows that were handed over.
    taken: usize,
    current: Option<StreamSource>,
}

#[derive(Clone, Default)]
struct Row {
    stream: String,
    version: u64,
    position: i64,
    recorded_at: Timestamp,
    events: Range<usize>,
}

impl ReadAhead {
    /// The commits after a place, of streams whose names come before `end`.
    pub(super) fn from(place: LogPosition, end: String) -> Self {
        Self { at: Some(place), end, bytes: BYTES, window: COMMITS.start, ..Self::default() }
    }

    /// The next commits, at most `max`; none at the end.
    pub(super) fn next(&mut self, connection: &Connection, max: usize) -> Result<CommitBatch, StoreError> {
        if self.taken == self.rows.len() {
            self.read(connection)?;
        }
        let mut batch = CommitBatch::default();
        for row in self.rows.iter().skip(self.taken).take(max) {
            let source = match self.current.take().filter(|source| source.is_of(&row.stream)) {
                Some(source) => source,
                None => StreamSource::find(connection, &row.stream)?,
            };
            let events = self.text.get(row.events.clone()).unwrap_or_default();
            let Row { version, recorded_at, .. } = *row;
            batch.push(Encoded { stream: source.id(), version, recorded_at, events }, source.key());
            self.current = Some(source);
        }
        self.taken += batch.len();
        Ok(batch)
    }

    /// Reads the next window.
    fn read(&mut self, connection: &Connection) -> Result<(), StoreError> {
        (self.taken, self.rows) = (0, Vec::new());
        let Some(place) = self.at.take() else { return Ok(()) };
        let mut rows = self.places(connection, &place)?;
        while !self.read_rows(connection, &mut rows)? {
            rows.truncate((rows.len() / 4).max(1));
        }
        self.at = rows.last().map(|last| LogPosition { stream: last.stream.clone(), version: last.version });
        if let Some(mean) = self.text.len().checked_div(rows.len()) {
            self.window = (self.bytes / mean.max(1)).clamp(COMMITS.start, COMMITS.end);
        }
        self.rows = rows;
        Ok(())
    }

    /// The places of the next commits, from the index alone.
    fn places(&self, connection: &Connection, place: &LogPosition) -> Result<Vec<Row>, StoreError> {
        let sql = "SELECT stream, version, position FROM commits INDEXED BY commits_stream
                    WHERE (stream, version) > (?1, ?2) AND stream < ?3 ORDER BY stream, version LIMIT ?4";
        let mut statement = connection.prepare_cached(sql)?;
        let values = params![place.stream, place.version, self.end, self.window];
        let rows = statement.query_map(values, |row| {
            Ok(Row { stream: row.get(0)?, version: row.get(1)?, position: row.get(2)?, ..Row::default() })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the rows at these places. `false` where they are too many bytes together.
    fn read_rows(&mut self, connection: &Connection, rows: &mut [Row]) -> Result<bool, StoreError> {
        self.text.clear();
        let mut in_file: Vec<&mut Row> = rows.iter_mut().collect();
        in_file.sort_unstable_by_key(|row| row.position);
        let is_one = in_file.len() == 1;
        let mut statement = connection.prepare_cached("SELECT recorded_at, events FROM commits WHERE position = ?1")?;
        for row in in_file {
            let mut found = statement.query([row.position])?;
            let stored =
                found.next()?.ok_or_else(|| corrupt("commit", "the index of streams names one that is gone"))?;
            let start = self.text.len();
            self.text.push_str(&events(stored.get_ref(1)?));
            row.events = start..self.text.len();
            row.recorded_at = Timestamp::from_microsecond(stored.get(0)?).map_err(|error| corrupt("moment", error))?;
            if self.text.len() > TIMES_MAX * self.bytes && !is_one {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::sqlite::Database;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever lies where, and however large it is: each commit comes once, stream by stream, also after a stop.
        #[test]
        fn every_commit_comes_once_and_in_the_order_of_streams(
            commits in prop::collection::vec((0..9_u64, 0..3_000_usize), 0..300),
            bytes in 1..20_000_usize,
            max in 1..50_usize,
            stop in 0..20_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let connection = Database::open(folder.path()).unwrap().connect().unwrap();
            let mut versions = [0_u64; 9];
            let mut expected = Vec::new();
            for (position, (plan, size)) in (1_i64..).zip(commits) {
                let place = usize::try_from(plan).unwrap();
                versions[place] += 1;
                let (stream, events) = (format!("plan#p{plan}"), "x".repeat(size));
                let sql = "INSERT INTO commits (stream, version, position, command, recorded_at, events) VALUES (?1, ?2, ?3, ?2, ?3, ?4)";
                connection.execute(sql, params![stream, versions[place], position, events]).unwrap();
                expected.push((stream, versions[place], position, events));
            }
            expected.sort_unstable();
            let mut ahead = ReadAhead::from(LogPosition::default(), "q".to_owned());
            let mut found = Vec::new();
            for nth in 0.. {
                ahead.bytes = bytes;
                let batch = ahead.next(&connection, max).unwrap();
                if batch.is_empty() {
                    break;
                }
                prop_assert!(batch.len() <= max);
                for (commit, _) in batch.iter() {
                    let position = commit.recorded_at.as_microsecond();
                    found.push((commit.stream.to_string(), commit.version, position, commit.events.to_owned()));
                }
                if let Some((stream, version, ..)) = found.last().cloned().filter(|_| nth == stop) {
                    ahead = ReadAhead::from(LogPosition { stream, version }, "q".to_owned());
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
