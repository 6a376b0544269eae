//! Executes a way: yields its records in order, one after the other.

use std::cmp::Ordering;

use rusqlite::{
    CachedStatement, Connection, Row, Rows,
    fallible_streaming_iterator::FallibleStreamingIterator,
    params_from_iter,
    types::{Value as Sql, ValueRef},
};

use super::{
    lane::Shape,
    pool::QuestionFailure,
    schema::{self, RecordTable},
    way::{self, Way},
};
use crate::dataset::{
    Definition, Value,
    query::{Position, SortTerm},
};

/// A record that is about to be added to an answer.
pub(super) struct Yielded<'r> {
    /// Its values in the form of answers.
    pub(super) values: &'r [u8],
    row: &'r Row<'r>,
}

impl Yielded<'_> {
    /// Its place in the order.
    pub(super) fn position(
        &self,
        definition: &Definition,
        order: &[SortTerm],
        version: u64,
    ) -> rusqlite::Result<Position> {
        let value = |(nth, term): (usize, &SortTerm)| {
            let kind = definition.columns.get(term.column).map(|column| column.kind);
            let kind = kind.ok_or(rusqlite::Error::InvalidColumnIndex(term.column))?;
            Ok(schema::value(kind, self.row.get_ref(1 + nth)?)?)
        };
        let values = order.iter().enumerate().map(value).collect::<rusqlite::Result<Vec<Value>>>()?;
        Ok(Position { version, values })
    }
}

/// Whether more records are wanted.
pub(super) enum RecordsWanted {
    More,
    Enough,
}

/// Hands the records of a way to `take`, in order and each once, until it has enough. No stream is asked for more than `limit`
/// records; a negative limit is none.
pub(super) fn each(
    snapshot: &Connection,
    shape: &Shape,
    order: &[SortTerm],
    way: &Way,
    limit: i64,
    mut take: impl FnMut(Yielded<'_>) -> Result<RecordsWanted, QuestionFailure>,
) -> Result<(), QuestionFailure> {
    let mut fetches = Fetches { snapshot, shape, order };
    match way.streams.as_slice() {
        [stream] => {
            for segment in &stream.segments {
                let mut statement = snapshot.prepare_cached(&segment.sql)?;
                let limit = Sql::Integer(limit);
                let mut rows = statement.query(params_from_iter(segment.params.iter().chain([&limit])))?;
                if way.ordered {
                    while let Some(row) = rows.next()? {
                        let values = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
                        if let RecordsWanted::Enough = take(Yielded { values, row })? {
                            return Ok(());
                        }
                    }
                } else {
                    // Sorts by row numbers first: a sort of whole records would be many times the work.
                    let mut fetch = fetches.whole(stream.table)?;
                    while let Some(row) = rows.next()? {
                        let number: i64 = row.get(0)?;
                        let mut record = fetch.query((number,))?;
                        if let Some(row) = record.next()? {
                            let values = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
                            if let RecordsWanted::Enough = take(Yielded { values, row })? {
                                return Ok(());
                            }
                        }
                    }
                }
            }
            Ok(())
        }
        streams => {
            let statements: rusqlite::Result<Vec<Vec<CachedStatement<'_>>>> = streams
                .iter()
                .map(|stream| stream.segments.iter().map(|segment| snapshot.prepare_cached(&segment.sql)).collect())
                .collect();
            let mut statements = statements?;
            let limit = Sql::Integer(limit);
            let mut heads: Vec<StreamHead<'_>> = Vec::with_capacity(streams.len());
            for (stream, statements) in streams.iter().zip(&mut statements) {
                let mut segments = Vec::with_capacity(stream.segments.len());
                for (segment, statement) in stream.segments.iter().zip(statements) {
                    segments.push(statement.query(params_from_iter(segment.params.iter().chain([&limit])))?);
                }
                let mut head = StreamHead { table: stream.table, segments, at: 0 };
                head.advance()?;
                heads.push(head);
            }
            merge(&mut heads, way.ordered, &mut fetches, &mut take)
        }
    }
}

/// The next record of a stream.
struct StreamHead<'s> {
    table: RecordTable,
    segments: Vec<Rows<'s>>,
    at: usize,
}

impl<'s> StreamHead<'s> {
    fn row(&self) -> Option<&Row<'s>> {
        self.segments.get(self.at)?.get()
    }

    /// Goes on to the next record, or to the first.
    fn advance(&mut self) -> rusqlite::Result<()> {
        while let Some(rows) = self.segments.get_mut(self.at) {
            rows.advance()?;
            if rows.get().is_some() {
                break;
            }
            self.at += 1;
        }
        Ok(())
    }
}

fn merge(
    heads: &mut [StreamHead<'_>],
    ordered: bool,
    fetches: &mut Fetches<'_>,
    take: &mut impl FnMut(Yielded<'_>) -> Result<RecordsWanted, QuestionFailure>,
) -> Result<(), QuestionFailure> {
    let terms: Vec<SortTerm> = fetches.order.to_vec();
    loop {
        let mut first: Option<(usize, &Row<'_>)> = None;
        for (nth, head) in heads.iter().enumerate() {
            let Some(row) = head.row() else { continue };
            let earlier = match first {
                None => true,
                Some((_, known)) => compared(&terms, row, known)?.is_lt(),
            };
            if earlier {
                first = Some((nth, row));
            }
        }
        let Some((nth, row)) = first else { return Ok(()) };
        let wanted = if ordered {
            let values = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
            take(Yielded { values, row })?
        } else {
            let table = heads.get(nth).map_or(RecordTable::Records, |head| head.table);
            let number: i64 = row.get(0)?;
            let mut fetch = fetches.values(table)?;
            let mut record = fetch.query((number,))?;
            match record.next()? {
                Some(record) => {
                    let values = record.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
                    take(Yielded { values, row })?
                }
                None => RecordsWanted::More,
            }
        };
        if let RecordsWanted::Enough = wanted {
            return Ok(());
        }
        // The order is total: streams at the same place have the same record.
        let mut same = vec![nth];
        for (other, head) in heads.iter().enumerate().filter(|(other, _)| *other != nth) {
            if let (Some(row), Some(taken)) = (head.row(), heads.get(nth).and_then(StreamHead::row))
                && compared(&terms, row, taken)?.is_eq()
            {
                same.push(other);
            }
        }
        for place in same {
            if let Some(head) = heads.get_mut(place) {
                head.advance()?;
            }
        }
    }
}

/// Compares two rows by the order; their first column is not part of it.
fn compared(order: &[SortTerm], left: &Row<'_>, right: &Row<'_>) -> rusqlite::Result<Ordering> {
    for (nth, term) in order.iter().enumerate() {
        let (left, right) = (left.get_ref(1 + nth)?, right.get_ref(1 + nth)?);
        let ascending = match (left, right) {
            (ValueRef::Null, ValueRef::Null) => Ordering::Equal,
            // Nulls come last in both directions.
            (ValueRef::Null, _) => return Ok(Ordering::Greater),
            (_, ValueRef::Null) => return Ok(Ordering::Less),
            (ValueRef::Integer(left), ValueRef::Integer(right)) => left.cmp(&right),
            (ValueRef::Real(left), ValueRef::Real(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
            (ValueRef::Text(left), ValueRef::Text(right)) => left.cmp(right),
            _ => Ordering::Equal,
        };
        if ascending.is_ne() {
            return Ok(if term.descending { ascending.reverse() } else { ascending });
        }
    }
    Ok(Ordering::Equal)
}

/// Fetches records by their row numbers.
struct Fetches<'a> {
    snapshot: &'a Connection,
    shape: &'a Shape,
    order: &'a [SortTerm],
}

impl<'a> Fetches<'a> {
    /// Fetches with the columns of the order.
    fn whole(&mut self, table: RecordTable) -> rusqlite::Result<CachedStatement<'a>> {
        let columns = way::results(self.shape, self.order, table);
        self.snapshot.prepare_cached(&format!("SELECT {columns} FROM {} WHERE \"$row\" = ?", table.name()))
    }

    /// Fetches the values alone.
    fn values(&mut self, table: RecordTable) -> rusqlite::Result<CachedStatement<'a>> {
        self.snapshot.prepare_cached(match table {
            RecordTable::Records => "SELECT \"$values\" FROM records WHERE \"$row\" = ?",
            RecordTable::Old => "SELECT before FROM changes WHERE n = ?",
        })
    }
}
