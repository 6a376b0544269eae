//! Reads the records of an answer: those of a walk through an index, in its order, or states that were found by their columns.

use std::cmp::Ordering;

use rusqlite::{
    CachedStatement, Connection, Row, Rows,
    fallible_streaming_iterator::FallibleStreamingIterator,
    params_from_iter,
    types::{Value as Sql, ValueRef},
};

use super::{
    reading::QuestionFailure,
    schema::{self, RecordTable},
    shape::Shape,
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
    source: &'r RecordSource<'r>,
}

/// Where records come from.
struct RecordSource<'r> {
    snapshot: &'r Connection,
    shape: &'r Shape,
    order: &'r [SortTerm],
    /// The table in which a record's place has to be looked up; none where each row has it behind the values.
    apart: Option<RecordTable>,
}

impl<'r> Yielded<'r> {
    fn of(row: &'r Row<'r>, source: &'r RecordSource<'r>) -> rusqlite::Result<Self> {
        Ok(Self { values: row.get_ref(0)?.as_bytes()?, row, source })
    }

    /// Its place in the order.
    pub(super) fn position(&self, definition: &Definition, version: u64) -> rusqlite::Result<Position> {
        let RecordSource { snapshot, shape, order, apart } = self.source;
        let values = |row: &Row<'_>| {
            let value = |(nth, term): (usize, &SortTerm)| {
                let kind = definition.columns.get(term.column).map(|column| column.kind);
                let kind = kind.ok_or(rusqlite::Error::InvalidColumnIndex(term.column))?;
                Ok(schema::value(kind, row.get_ref(1 + nth)?)?)
            };
            order.iter().enumerate().map(value).collect::<rusqlite::Result<Vec<Value>>>()
        };
        let values = match apart {
            None => values(self.row)?,
            Some(table) => {
                let sql = way::by_number(&way::with_place(shape, order, *table), *table);
                snapshot.prepare_cached(&sql)?.query_row([self.row.get::<_, i64>(1)?], values)?
            }
        };
        Ok(Position { version, values })
    }
}

/// Whether more records are wanted.
#[derive(Clone, Copy)]
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
    let limit = Sql::Integer(limit);
    if let [stream] = way.streams.as_slice() {
        let source = RecordSource { snapshot, shape, order, apart: Some(RecordTable::Records) };
        for segment in stream {
            let mut statement = snapshot.prepare_cached(&segment.sql)?;
            let mut rows = statement.query(params_from_iter(segment.params.iter().chain([&limit])))?;
            while let Some(row) = rows.next()? {
                if let RecordsWanted::Enough = take(Yielded::of(row, &source)?)? {
                    return Ok(());
                }
            }
        }
        return Ok(());
    }
    let statements: rusqlite::Result<Vec<Vec<CachedStatement<'_>>>> = way
        .streams
        .iter()
        .map(|stream| stream.iter().map(|segment| snapshot.prepare_cached(&segment.sql)).collect())
        .collect();
    let mut statements = statements?;
    let mut heads: Vec<StreamHead<'_>> = Vec::with_capacity(way.streams.len());
    for (stream, statements) in way.streams.iter().zip(&mut statements) {
        let mut segments = Vec::with_capacity(stream.len());
        for (segment, statement) in stream.iter().zip(statements) {
            segments.push(statement.query(params_from_iter(segment.params.iter().chain([&limit])))?);
        }
        let mut head = StreamHead { segments, at: 0 };
        head.advance()?;
        heads.push(head);
    }
    merge(&mut heads, &RecordSource { snapshot, shape, order, apart: None }, &mut take)
}

/// Whose places are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PlacesWanted {
    /// Those of a few records: each is looked up.
    Few,
    /// Those of all: they are read with the records.
    All,
}

/// Hands states to `take`, by their tables and numbers, until it has enough.
pub(super) fn fetch(
    snapshot: &Connection,
    shape: &Shape,
    (order, places): (&[SortTerm], PlacesWanted),
    states: &[(RecordTable, i64)],
    mut take: impl FnMut(Yielded<'_>) -> Result<RecordsWanted, QuestionFailure>,
) -> Result<(), QuestionFailure> {
    let statement = |table: RecordTable| {
        let results = match places {
            PlacesWanted::Few => way::with_number(table),
            PlacesWanted::All => way::with_place(shape, order, table),
        };
        snapshot.prepare_cached(&way::by_number(&results, table))
    };
    let mut present = statement(RecordTable::Records)?;
    let mut old = statement(RecordTable::Old)?;
    for (table, number) in states {
        let mut rows = match table {
            RecordTable::Records => present.query((number,))?,
            RecordTable::Old => old.query((number,))?,
        };
        let row = rows.next()?.ok_or_else(|| QuestionFailure::columns("a state is not in the records"))?;
        let apart = (places == PlacesWanted::Few).then_some(*table);
        let source = RecordSource { snapshot, shape, order, apart };
        if let RecordsWanted::Enough = take(Yielded::of(row, &source)?)? {
            return Ok(());
        }
    }
    Ok(())
}

/// The next record of a stream.
struct StreamHead<'s> {
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
    source: &RecordSource<'_>,
    take: &mut impl FnMut(Yielded<'_>) -> Result<RecordsWanted, QuestionFailure>,
) -> Result<(), QuestionFailure> {
    let order = source.order;
    loop {
        let mut first: Option<(usize, &Row<'_>)> = None;
        for (nth, head) in heads.iter().enumerate() {
            let Some(row) = head.row() else { continue };
            let earlier = match first {
                None => true,
                Some((_, known)) => compared(order, row, known)?.is_lt(),
            };
            if earlier {
                first = Some((nth, row));
            }
        }
        let Some((nth, row)) = first else { return Ok(()) };
        let wanted = take(Yielded::of(row, source)?)?;
        if let RecordsWanted::Enough = wanted {
            return Ok(());
        }
        // The order is total: streams at the same place have the same record.
        let mut same = vec![nth];
        for (other, head) in heads.iter().enumerate().filter(|(other, _)| *other != nth) {
            if let (Some(row), Some(taken)) = (head.row(), heads.get(nth).and_then(StreamHead::row))
                && compared(order, row, taken)?.is_eq()
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
