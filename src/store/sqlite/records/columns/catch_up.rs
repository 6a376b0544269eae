//! Brings a projection from its version to a later one: changed records get new states in memory, and their earlier states an end.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::OptionalExtension;

use super::{
    super::{
        reading::{QuestionFailure, RecordReading},
        schema::{self, RecordTable, Stored},
    },
    ColumnSettings,
    build::version_of,
    cache::ColumnCache,
    projection::{Projection, ShownVersion, StateEnd, StateEnds},
    states::{StateBlock, StateReader},
};
use crate::{
    dataset::{
        ColumnType, Value,
        columns::{BLOCK_ROWS, ChunkBounds, ColumnBlocks},
        query::ascending,
    },
    store::records::RecordStoreError,
};

/// A record, by key and record id.
#[derive(Debug, Clone, PartialEq)]
struct Identity {
    key: Value,
    id: Value,
}

/// A state of the projection that has come to its end.
struct EndedState {
    of: Identity,
    /// The version since which it counted.
    was: i64,
    end: StateEnd,
}

/// What later versions have done to a projection.
#[derive(Default)]
struct LaterChanges {
    ended: Vec<EndedState>,
    /// The numbers of states that began and ended since.
    passed: Vec<i64>,
    /// The records that have changed, each once.
    changed: Vec<Identity>,
}

/// The projection at the version of the reading; none where it has to be made anew.
pub(super) fn catch_up(
    reading: &RecordReading<'_>,
    projection: &Projection,
    cache: &ColumnCache,
    settings: &ColumnSettings,
) -> Result<Option<Projection>, QuestionFailure> {
    let version = projection.of.version;
    // The versions in between have to be known, and to follow the one that was projected.
    if version < reading.changes_from || version_of(reading, version)?.as_ref() != Some(&projection.of) {
        return Ok(None);
    }
    let sum = "SELECT ifnull(sum(changes), 0) FROM versions WHERE version > ?1";
    let mut statement = reading.connection().prepare_cached(sum)?;
    let changes: u64 = statement.query_row([version.cast_signed()], |row| schema::count(row, 0))?;
    if changes > settings.changes_max {
        return Ok(None);
    }
    let Some(of) = version_of(reading, reading.version)? else { return Ok(None) };
    let later = later_changes(reading, version)?;
    let mut next = Projection { of, ..projection.clone() };
    next.ends = ended(reading, projection, cache, &later.ended)?;
    for (table, states) in [
        (RecordTable::Records, present_states(reading, version, &later.changed)?),
        (RecordTable::Old, passed_states(reading, &later.passed)?),
    ] {
        if states.len() > 0 && !add(reading, &mut next, table, states)? {
            return Ok(None);
        }
    }
    Ok(Some(next))
}

fn later_changes(reading: &RecordReading<'_>, version: u64) -> Result<LaterChanges, QuestionFailure> {
    let definition = &reading.data_set.definition;
    let id_kind = definition.columns.get(definition.record_id).map_or(ColumnType::Text, |column| column.kind);
    let sql = "SELECT \"$key\", \"$id\", version, n, was FROM changes INDEXED BY changes_feed
        WHERE version > ?1 ORDER BY version, \"$key\", \"$id\"";
    let mut statement = reading.connection().prepare_cached(sql)?;
    let mut rows = statement.query([version.cast_signed()])?;
    let mut later = LaterChanges::default();
    while let Some(row) = rows.next()? {
        let key = Value::Text(row.get(0)?);
        let id = schema::value(id_kind, row.get_ref(1)?).map_err(rusqlite::Error::from)?;
        let (until, change): (u64, i64) = (schema::count(row, 2)?, row.get(3)?);
        let of = Identity { key, id };
        match row.get::<_, Option<i64>>(4)? {
            Some(was) if was.unsigned_abs() <= version => {
                later.ended.push(EndedState { of: of.clone(), was, end: StateEnd { until, change } });
            }
            Some(_) => later.passed.push(change),
            None => {}
        }
        later.changed.push(of);
    }
    let by_identity = |left: &Identity, right: &Identity| {
        ascending(&left.key, &right.key).then_with(|| ascending(&left.id, &right.id))
    };
    later.changed.sort_by(by_identity);
    later.changed.dedup();
    Ok(later)
}

/// The ends of states, with those that have been added.
fn ended(
    reading: &RecordReading<'_>,
    projection: &Projection,
    cache: &ColumnCache,
    all: &[EndedState],
) -> Result<BTreeMap<usize, Arc<StateEnds>>, QuestionFailure> {
    let definition = &reading.data_set.definition;
    let shown = ShownVersion { projection, definition, cache, watch: reading.watch, version: projection.of.version };
    let mut ends = projection.ends.clone();
    let mut left: Vec<&EndedState> = all.iter().collect();
    for block in 0..shown.count() {
        if left.is_empty() {
            break;
        }
        let place = projection.block(block)?;
        if place.table() == RecordTable::Old {
            continue;
        }
        let bounds = shown.bounds(block, definition.key);
        let is_outside = |ended: &&EndedState| {
            let key = &ended.of.key;
            let is_below = |bounds: &ChunkBounds| ascending(key, &bounds.least).is_lt();
            let is_above = |greatest: &Value| ascending(key, greatest).is_gt();
            bounds.is_some_and(|bounds| is_below(bounds) || bounds.greatest.as_ref().is_some_and(is_above))
        };
        if left.iter().all(is_outside) {
            continue;
        }
        let (keys, ids) = (shown.chunk(block, definition.key)?, shown.chunk(block, definition.record_id)?);
        let ranks = shown.ranks(block)?;
        let mut found: StateEnds = StateEnds::new();
        let known = ends.get(&block).cloned().unwrap_or_default();
        let mut others = Vec::with_capacity(left.len());
        for ended in left {
            let (begin, behind) = ranks.range(&keys, &ids, &ended.of.key, &ended.of.id);
            let mut row_of = None;
            for row in (begin..behind).filter_map(|rank| ranks.row(rank)).filter(|row| !known.contains_key(row)) {
                if shown.from(block, row)? == Some(ended.was) {
                    row_of = Some(row);
                }
            }
            match row_of {
                Some(row) => drop(found.insert(row, ended.end)),
                None => others.push(ended),
            }
        }
        left = others;
        if !found.is_empty() {
            Arc::make_mut(ends.entry(block).or_default()).append(&mut found);
        }
    }
    match left.is_empty() {
        true => Ok(ends),
        false => Err(QuestionFailure::columns("a changed record is not in it")),
    }
}

/// The present states of records that have changed since a version.
fn present_states(
    reading: &RecordReading<'_>,
    version: u64,
    changed: &[Identity],
) -> Result<StateReader, QuestionFailure> {
    let columns: Vec<usize> = (0..reading.data_set.definition.columns.len()).collect();
    let mut states = StateReader::new(reading.shape, &columns, RecordTable::Records);
    let select = StateReader::select(reading.shape, &columns, RecordTable::Records);
    let sql = format!("{select} INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2 AND \"$from\" > ?3");
    let mut statement = reading.connection().prepare_cached(&sql)?;
    for Identity { key, id } in changed {
        let read = |row: &rusqlite::Row<'_>| states.take(row);
        statement.query_row((Stored(key), Stored(id), version.cast_signed()), read).optional()?;
    }
    Ok(states)
}

/// States that are over, by their numbers.
fn passed_states(reading: &RecordReading<'_>, passed: &[i64]) -> Result<StateReader, QuestionFailure> {
    let columns: Vec<usize> = (0..reading.data_set.definition.columns.len()).collect();
    let mut states = StateReader::new(reading.shape, &columns, RecordTable::Old);
    let select = StateReader::select(reading.shape, &columns, RecordTable::Old);
    let mut statement = reading.connection().prepare_cached(&format!("{select} WHERE \"$row\" = ?1"))?;
    for change in passed {
        let found = statement.query_row([change], |row| states.take(row)).optional()?;
        if found.is_none() {
            let name = reading.data_set.definition.name.clone();
            let reason = format!("the earlier state {change} of a record is missing");
            return Err(RecordStoreError::Corrupt { name, reason }.into());
        }
    }
    Ok(states)
}

/// Adds states to those in memory: a projection has one such block of each table. Tells whether there was room.
fn add(
    reading: &RecordReading<'_>,
    next: &mut Projection,
    table: RecordTable,
    states: StateReader,
) -> Result<bool, QuestionFailure> {
    let place = next.added.iter().position(|block| block.table == table);
    let block: StateBlock = match place.and_then(|place| next.added.get(place)) {
        None => states.finish(),
        Some(before) if before.rows.len() + states.len() > BLOCK_ROWS => return Ok(false),
        Some(before) => {
            let columns: Vec<usize> = (0..reading.data_set.definition.columns.len()).collect();
            // The rows before keep their places, and with them their ends.
            let mut all = StateReader::new(reading.shape, &columns, table);
            all.take_block(before)?;
            all.take_block(&states.finish())?;
            all.finish()
        }
    };
    match place.and_then(|place| next.added.get_mut(place)) {
        Some(before) => *before = Arc::new(block),
        None => next.added.push(Arc::new(block)),
    }
    Ok(true)
}
