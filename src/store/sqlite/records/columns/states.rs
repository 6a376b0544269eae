//! States of records in memory: a block that was read from SQLite.

use std::sync::{Arc, OnceLock};

use rusqlite::{Row, types::ValueRef};

use super::super::{
    reading::QuestionFailure,
    schema::{self, RecordTable},
    shape::Shape,
};
use crate::dataset::{
    ColumnType,
    columns::{ChunkBuilder, ColumnChunk, Dictionary, Mask, Ranks},
};

/// States of records of one table, and some or all of their columns.
#[derive(Debug)]
pub(super) struct StateBlock {
    pub(super) table: RecordTable,
    /// The number of each state in its table.
    pub(super) rows: Vec<i64>,
    /// The version since which each state counts; null where there is no state.
    pub(super) from: ColumnChunk,
    /// The version until which each state counts; null where that is open.
    pub(super) until: ColumnChunk,
    /// The columns, by place in the definition.
    pub(super) columns: Vec<Option<BlockColumn>>,
    ranks: OnceLock<Arc<Ranks>>,
}

/// A column of a block in memory.
#[derive(Debug)]
pub(super) struct BlockColumn {
    pub(super) chunk: ColumnChunk,
    folded: OnceLock<Arc<Dictionary>>,
    bare: OnceLock<Arc<Dictionary>>,
}

impl BlockColumn {
    fn new(chunk: ColumnChunk) -> Self {
        Self { chunk, folded: OnceLock::new(), bare: OnceLock::new() }
    }

    pub(super) fn folded(&self) -> Arc<Dictionary> {
        Arc::clone(self.folded.get_or_init(|| Arc::new(self.chunk.dictionary.folded())))
    }

    pub(super) fn bare(&self) -> Arc<Dictionary> {
        Arc::clone(self.bare.get_or_init(|| Arc::new(self.chunk.dictionary.bare())))
    }
}

impl StateBlock {
    /// The rows whose state counts in a version.
    pub(super) fn visible(&self, version: u64) -> Mask {
        counting(Some(&self.from), Some(&self.until), version)
    }

    pub(super) fn column(&self, place: usize) -> Result<&BlockColumn, QuestionFailure> {
        let column = self.columns.get(place).and_then(Option::as_ref);
        column.ok_or_else(|| QuestionFailure::columns("a column was not read"))
    }

    /// The order by key and record id.
    pub(super) fn ranks(&self, key: usize, id: usize) -> Result<Arc<Ranks>, QuestionFailure> {
        let (key, id) = (self.column(key)?, self.column(id)?);
        Ok(Arc::clone(self.ranks.get_or_init(|| Arc::new(Ranks::new(&key.chunk, &id.chunk)))))
    }
}

/// The rows whose states count in a version, by their first versions and the versions after their last ones; without those, all do.
pub(super) fn counting(from: Option<&ColumnChunk>, until: Option<&ColumnChunk>, version: u64) -> Mask {
    let version = version.cast_signed();
    let begun = from.map_or(Mask::Everything, |from| from.at_most(version));
    until.map_or(Mask::Everything, |until| until.at_most(version).inverted()).and(begun)
}

/// Reads states into a block.
pub(super) struct StateReader {
    table: RecordTable,
    kinds: Vec<(usize, ColumnType)>,
    rows: Vec<i64>,
    from: ChunkBuilder,
    until: ChunkBuilder,
    columns: Vec<ChunkBuilder>,
    /// The size of the texts so far.
    text_bytes: usize,
}

impl StateReader {
    /// A reader of these columns.
    pub(super) fn new(shape: &Shape, columns: &[usize], table: RecordTable) -> Self {
        let kinds: Vec<_> = columns.iter().map(|place| (*place, shape.definition.column_kind(*place))).collect();
        Self {
            table,
            rows: Vec::new(),
            from: ChunkBuilder::new(ColumnType::Integer),
            until: ChunkBuilder::new(ColumnType::Integer),
            columns: kinds.iter().map(|(_, kind)| ChunkBuilder::new(*kind)).collect(),
            kinds,
            text_bytes: 0,
        }
    }

    /// The beginning of the statement whose rows it takes.
    pub(super) fn select(shape: &Shape, columns: &[usize], table: RecordTable) -> String {
        let until = match table {
            RecordTable::Records => "NULL",
            RecordTable::Old => "\"$to\"",
        };
        let mut sql = format!("SELECT \"$row\", \"$from\", {until}");
        for column in columns {
            sql.push_str(", ");
            sql.push_str(shape.name(*column));
        }
        sql.push_str(" FROM ");
        sql.push_str(table.name());
        sql
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The size of the texts so far, bytes.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Takes in a state.
    pub(super) fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.rows.push(row.get(0)?);
        self.from.push_whole(row.get(1)?);
        match row.get::<_, Option<i64>>(2)? {
            Some(until) => self.until.push_whole(until),
            None => self.until.push_null(),
        }
        for (nth, ((_, kind), column)) in self.kinds.iter().zip(&mut self.columns).enumerate() {
            let stored = row.get_ref(3 + nth)?;
            if let ValueRef::Text(text) = stored {
                self.text_bytes += text.len();
            }
            schema::push(column, *kind, stored)?;
        }
        Ok(())
    }

    /// Takes in that there is no state of this number.
    pub(super) fn skip(&mut self, row: i64) {
        self.rows.push(row);
        self.from.push_null();
        self.until.push_null();
        self.columns.iter_mut().for_each(ChunkBuilder::push_null);
    }

    /// Takes in the states of a block that has all columns.
    pub(super) fn take_block(&mut self, block: &StateBlock) -> Result<(), QuestionFailure> {
        for row in 0..block.rows.len() {
            self.from.push(&block.from.value(row));
            self.until.push(&block.until.value(row));
        }
        self.rows.extend(&block.rows);
        for ((place, _), column) in self.kinds.iter().zip(&mut self.columns) {
            let chunk = &block.column(*place)?.chunk;
            (0..block.rows.len()).for_each(|row| column.push(&chunk.value(row)));
        }
        Ok(())
    }

    /// The block.
    pub(super) fn finish(self) -> StateBlock {
        let columns = self.kinds.iter().map(|(place, _)| place + 1).max().unwrap_or_default();
        let mut columns: Vec<Option<BlockColumn>> = (0..columns).map(|_| None).collect();
        for ((place, _), column) in self.kinds.iter().zip(self.columns) {
            if let Some(slot) = columns.get_mut(*place) {
                *slot = Some(BlockColumn::new(column.finish()));
            }
        }
        StateBlock {
            table: self.table,
            rows: self.rows,
            from: self.from.finish(),
            until: self.until.finish(),
            columns,
            ranks: OnceLock::new(),
        }
    }
}
