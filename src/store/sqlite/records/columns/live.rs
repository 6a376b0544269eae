//! Blocks that are read from SQLite as they are needed: for data sets without a projection.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use super::{
    super::{
        reading::{QuestionFailure, RecordReading},
        schema::RecordTable,
    },
    states::{StateBlock, StateReader},
};
use crate::dataset::columns::{
    BLOCK_ROWS, ChunkBounds, Codes, ColumnBlocks, ColumnChunk, Dictionary, FoundRow, Mask, Ranks,
};

/// The size that a block of whole records may have, bytes.
const BLOCK_BYTES: u64 = 64 << 20;

/// The states of a version, read from SQLite block by block. One block is kept.
pub(in super::super) struct LiveBlocks<'a> {
    reading: &'a RecordReading<'a>,
    version: u64,
    columns: Vec<usize>,
    /// The table and the first number of each block.
    blocks: Vec<(RecordTable, i64)>,
    /// The numbers that a block covers, whether there are states of them or not.
    block_rows: usize,
    loaded: RefCell<Option<(usize, Arc<StateBlock>)>>,
}

impl<'a> LiveBlocks<'a> {
    /// The states of a version, with these columns and those that identify a record.
    pub(super) fn new(
        reading: &'a RecordReading<'a>,
        version: u64,
        columns: &[usize],
    ) -> Result<Self, QuestionFailure> {
        let definition = &reading.data_set.definition;
        let columns: BTreeSet<usize> = columns.iter().copied().chain([definition.key, definition.record_id]).collect();
        let bytes: u64 = reading.connection().query_row(
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            [],
            |row| row.get(0),
        )?;
        let record_bytes = (bytes / reading.records.max(1)).max(1);
        let block_rows = usize::try_from(BLOCK_BYTES / record_bytes).unwrap_or(BLOCK_ROWS).clamp(16, BLOCK_ROWS);
        let mut blocks = Vec::new();
        let tables: &[RecordTable] = match version == reading.version {
            true => &[RecordTable::Records],
            false => &[RecordTable::Records, RecordTable::Old],
        };
        for table in tables {
            let sql = format!("SELECT min(\"$row\"), max(\"$row\") FROM {}", table.name());
            let ends: (Option<i64>, Option<i64>) =
                reading.connection().query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if let (Some(first), Some(last)) = ends {
                blocks.extend((first..=last).step_by(block_rows).map(|first| (*table, first)));
            }
        }
        Ok(Self {
            reading,
            version,
            columns: columns.into_iter().collect(),
            blocks,
            block_rows,
            loaded: RefCell::default(),
        })
    }

    fn load(&self, block: usize) -> Result<Arc<StateBlock>, QuestionFailure> {
        if let Some((loaded, states)) = &*self.loaded.borrow()
            && *loaded == block
        {
            return Ok(Arc::clone(states));
        }
        let Some((table, first)) = self.blocks.get(block).copied() else {
            return Err(QuestionFailure::columns("there is no such block"));
        };
        let shape = self.reading.shape;
        let select = StateReader::select(shape, &self.columns, table);
        let sql = format!("{select} NOT INDEXED WHERE \"$row\" >= ?1 AND \"$row\" < ?2 ORDER BY \"$row\"");
        let end = first.saturating_add(i64::try_from(self.block_rows).unwrap_or(i64::MAX));
        let mut statement = self.reading.connection().prepare_cached(&sql)?;
        let mut rows = statement.query((first, end))?;
        let mut reader = StateReader::new(shape, &self.columns, table);
        // A state's place in the block follows from its number, so that there is no need to remember it.
        let mut next = first;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            (next..number).for_each(|missing| reader.skip(missing));
            reader.take(row)?;
            next = number.saturating_add(1);
        }
        let states = Arc::new(reader.finish());
        *self.loaded.borrow_mut() = Some((block, Arc::clone(&states)));
        Ok(states)
    }

    /// The table and number of a state.
    pub(super) fn address(&self, found: FoundRow) -> Result<(RecordTable, i64), QuestionFailure> {
        let block = self.blocks.get(found.block).copied();
        let row = i64::try_from(found.row).unwrap_or(i64::MAX);
        let address = block.map(|(table, first)| (table, first.saturating_add(row)));
        address.ok_or_else(|| QuestionFailure::columns("there is no such block"))
    }
}

impl ColumnBlocks for LiveBlocks<'_> {
    type Failure = QuestionFailure;

    fn are_kept(&self) -> bool {
        false
    }

    fn count(&self) -> usize {
        self.blocks.len()
    }

    fn rows(&self, block: usize) -> Result<usize, QuestionFailure> {
        Ok(self.load(block)?.rows.len())
    }

    fn visible(&self, block: usize) -> Result<Mask, QuestionFailure> {
        Ok(self.load(block)?.visible(self.version))
    }

    fn bounds(&self, _block: usize, _column: usize) -> Option<&ChunkBounds> {
        None
    }

    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, QuestionFailure> {
        Ok(self.load(block)?.column(column)?.chunk.clone())
    }

    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, QuestionFailure> {
        Ok(Arc::clone(&self.load(block)?.column(column)?.chunk.codes))
    }

    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, QuestionFailure> {
        Ok(self.load(block)?.column(column)?.folded())
    }

    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, QuestionFailure> {
        Ok(self.load(block)?.column(column)?.bare())
    }

    fn folded_at_hand(&self, _block: usize, _column: usize) -> Option<Arc<Dictionary>> {
        None
    }

    fn bare_at_hand(&self, _block: usize, _column: usize) -> Option<Arc<Dictionary>> {
        None
    }

    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, QuestionFailure> {
        let definition = &self.reading.data_set.definition;
        self.load(block)?.ranks(definition.key, definition.record_id)
    }
}
