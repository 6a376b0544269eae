//! An import's memory of earlier rows: how many bore a key, or which line held a record id. Up to a bound it is in memory, beyond
//! that in a table that SQLite keeps on disk.

use std::collections::HashMap;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::dataset::Value;

/// Some 18 MB.
const IN_MEMORY_MAX: usize = 900_000;

const COUNT: &str = "INSERT INTO noted (digest, number) VALUES (?1, 1)
    ON CONFLICT (digest) DO UPDATE SET number = number + 1 RETURNING number";
const NOTE: &str = "INSERT INTO noted (digest, number) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const NOTED: &str = "SELECT number FROM noted WHERE digest = ?1";

/// 96 bits of a hash without known collisions stand for a text of any length: the probability that two of a hundred million texts
/// collide is below 10⁻¹³.
type RowMark = [u8; 12];

pub(super) struct Seen {
    in_memory: HashMap<RowMark, u32>,
    in_memory_max: usize,
}

impl Seen {
    /// Makes the table, which is dropped with the connection.
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        Self::with_bound(connection, IN_MEMORY_MAX)
    }

    fn with_bound(connection: &Connection, in_memory_max: usize) -> rusqlite::Result<Self> {
        connection.execute_batch(
            "CREATE TEMP TABLE noted (digest BLOB PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        )?;
        // Reserves all of it at once: growing takes half as much again for a while, and time.
        Ok(Self { in_memory: HashMap::with_capacity(in_memory_max), in_memory_max })
    }

    /// Frees the memory, after the last row.
    pub(super) fn forget(&mut self) {
        self.in_memory = HashMap::new();
    }

    /// The number of rows so far with the key, including this one.
    pub(super) fn count(&mut self, connection: &Connection, key: &str) -> rusqlite::Result<i64> {
        let mark = mark(key, None);
        if let Some(count) = self.in_memory.get_mut(&mark) {
            *count =
                count.checked_add(1).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::from(u32::MAX) + 1))?;
            return Ok(i64::from(*count));
        }
        if self.in_memory.len() < self.in_memory_max {
            self.in_memory.insert(mark, 1);
            return Ok(1);
        }
        connection.prepare_cached(COUNT)?.query_row((mark,), |row| row.get(0))
    }

    /// Notes the line of a record id. Returns the line of the first row that had it, if there was one.
    pub(super) fn note(
        &mut self,
        connection: &Connection,
        key: &str,
        id: &Value,
        line: u64,
    ) -> rusqlite::Result<Option<u64>> {
        let mark = mark(key, Some(id));
        if let Some(first) = self.in_memory.get(&mark) {
            return Ok(Some(u64::from(*first)));
        }
        if self.in_memory.len() < self.in_memory_max
            && let Ok(line) = u32::try_from(line)
        {
            self.in_memory.insert(mark, line);
            return Ok(None);
        }
        if connection.prepare_cached(NOTE)?.execute((mark, line.cast_signed()))? == 1 {
            return Ok(None);
        }
        let first: i64 = connection.prepare_cached(NOTED)?.query_row((mark,), |row| row.get(0))?;
        Ok(Some(first.cast_unsigned()))
    }
}

fn mark(key: &str, id: Option<&Value>) -> RowMark {
    let mut hash = Sha256::new_with_prefix(key.as_bytes());
    if let Some(id) = id {
        // A byte that occurs in no text separates the two.
        hash.update([0xff]);
        match id {
            Value::Text(text) => hash.update(text.as_bytes()),
            other => hash.update(other.to_string().as_bytes()),
        }
    }
    let digest = hash.finalize();
    let mut mark = RowMark::default();
    mark.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    mark
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn memory_and_disk_count_as_one(keys in proptest::collection::vec("[a-f]", 0..60), bound in 0_usize..6) {
            let connection = Connection::open_in_memory().unwrap();
            let mut seen = Seen::with_bound(&connection, bound).unwrap();
            let mut expected: BTreeMap<String, i64> = BTreeMap::new();
            for key in keys {
                let count = expected.entry(key.clone()).or_insert(0);
                *count += 1;
                prop_assert_eq!(seen.count(&connection, &key).unwrap(), *count);
            }
        }

        #[test]
        fn memory_and_disk_note_as_one(ids in proptest::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..60), bound in 0_usize..6) {
            let connection = Connection::open_in_memory().unwrap();
            let mut seen = Seen::with_bound(&connection, bound).unwrap();
            let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
            for (line, (key, id)) in (1_u64..).zip(ids) {
                let first = seen.note(&connection, &key, &Value::Text(id.clone()), line).unwrap();
                prop_assert_eq!(first, expected.get(&(key.clone(), id.clone())).copied());
                expected.entry((key, id)).or_insert(line);
            }
        }
    }
}
