//! Makes the file of a projection from a snapshot of SQLite.
//!
//! One thread reads rows, another sorts and writes blocks: two blocks are in memory at most, and one that is being read.

use std::{path::Path, sync::mpsc::sync_channel};

use rusqlite::OptionalExtension;

use super::{
    super::{
        reading::{QuestionFailure, RecordReading},
        schema::{self, RecordTable},
    },
    ColumnSettings,
    file::{ColumnFileError, ColumnFileWriter, DatabaseMark, ProjectedVersion, path_of},
    states::StateReader,
};

/// A block ends where its texts exceed this size, bytes.
const BLOCK_TEXT_BYTES: usize = 64 << 20;

/// A version as a file says which it is of; none where it is no longer known.
pub(super) fn version_of(
    reading: &RecordReading<'_>,
    version: u64,
) -> Result<Option<ProjectedVersion>, QuestionFailure> {
    let data_set = reading.data_set;
    let mut statement = reading.connection().prepare_cached("SELECT at, changes FROM versions WHERE version = ?1")?;
    let known = statement
        .query_row([version.cast_signed()], |row| Ok((row.get::<_, String>(0)?, schema::count(row, 1)?)))
        .optional()?;
    let (instance, generation) = (data_set.instance, data_set.generation);
    Ok(known.map(|(at, changes)| ProjectedVersion { instance, generation, version, at, changes }))
}

/// Writes the projection of a snapshot to the file beside the data set's, and gives it its name.
pub(super) fn build(
    reading: &RecordReading<'_>,
    database: &Path,
    mark: Option<DatabaseMark>,
    settings: &ColumnSettings,
) -> Result<(), QuestionFailure> {
    let Some(of) = version_of(reading, reading.version)? else {
        return Err(QuestionFailure::columns("the version is not known"));
    };
    let definition = &reading.data_set.definition;
    let (key, id) = (definition.key, definition.record_id);
    let mut writer = ColumnFileWriter::begin(database, reading.shape).map_err(|error| failed(database, &error))?;
    std::thread::scope(|scope| {
        let (sender, blocks) = sync_channel::<StateReader>(1);
        let writing = scope.spawn(move || {
            // It has the low priority of the thread that began it.
            for reader in blocks {
                let states = reader.finish();
                let ranks = states.ranks(key, id)?;
                writer.block(&states, &ranks).map_err(|error| failed(database, &error))?;
            }
            Ok::<_, QuestionFailure>(writer)
        });
        let read = read_all(reading, settings, |reader| sender.send(reader).is_ok());
        drop(sender);
        let written = writing.join().unwrap_or_else(|_| Err(QuestionFailure::columns("its writer has stopped")));
        // Where both failed, the writer's failure was first: the reader stops when nobody takes its blocks.
        let writer = written?;
        read?;
        writer.finish(database, mark, of).map_err(|error| failed(database, &error))
    })
}

/// The failure to write the file, which names it.
fn failed(database: &Path, error: &ColumnFileError) -> QuestionFailure {
    QuestionFailure::Columns(format!("cannot write {}: {error}", path_of(database).display()))
}

/// Reads all states, in blocks. Stops when a block is not taken.
fn read_all(
    reading: &RecordReading<'_>,
    settings: &ColumnSettings,
    mut take: impl FnMut(StateReader) -> bool,
) -> Result<(), QuestionFailure> {
    let shape = reading.shape;
    let columns: Vec<usize> = (0..shape.definition.columns.len()).collect();
    for table in [RecordTable::Records, RecordTable::Old] {
        let select = StateReader::select(shape, &columns, table);
        let mut statement = reading.connection().prepare(&format!("{select} NOT INDEXED ORDER BY \"$row\""))?;
        let mut rows = statement.query([])?;
        let mut reader = StateReader::new(shape, &columns, table);
        while let Some(row) = rows.next()? {
            reader.take(row)?;
            if reader.len() >= settings.block_rows || reader.text_bytes() >= BLOCK_TEXT_BYTES {
                let full = std::mem::replace(&mut reader, StateReader::new(shape, &columns, table));
                if !take(full) {
                    return Ok(());
                }
            }
        }
        if reader.len() > 0 && !take(reader) {
            return Ok(());
        }
    }
    Ok(())
}
