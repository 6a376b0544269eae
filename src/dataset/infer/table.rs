//! The chosen header and the rows below it, column by column.

use super::column::{ColumnStats, Readings};
use crate::dataset::{
    definition::Said,
    last_rows::LastRows,
    mapping::{is_ruler, stops_at},
    reader::{Flow, Note, ReadError, RowCells, RowSink},
    text::folded,
};

/// The most hashes of values kept for all columns together, to detect repeated values.
pub(super) const HASHES_MAX: usize = 4 << 20;

/// The header that was chosen.
#[derive(Debug, Clone)]
pub(super) struct ChosenHeader {
    pub(super) sheet: Option<String>,
    pub(super) line: u64,
    pub(super) names: Vec<String>,
    /// The rows above the header: the first line, the last line and their number.
    pub(super) above: Option<(u64, u64, u64)>,
}

/// The rows below the header, column by column.
pub(super) struct ColumnTable {
    header_line: u64,
    skip_rows: u32,
    /// Texts that end the table before their row.
    stop_at: Vec<String>,
    readings: Readings,
    pub(super) columns: Vec<ColumnStats>,
    pub(super) rows: u64,
    hashes_left: usize,
    pub(super) delimiter: Option<u8>,
    pub(super) notes: Vec<Note>,
    pub(super) last: LastRows,
    /// Texts that mean "no value", folded.
    blanks: Vec<String>,
    /// The line of the first row, and whether its first cell is blank.
    pub(super) first: Option<(u64, bool)>,
}

impl ColumnTable {
    pub(super) fn new(chosen: &ChosenHeader, said: &Said) -> Self {
        Self {
            header_line: chosen.line,
            skip_rows: said.dialect.skip_rows,
            stop_at: said.dialect.stop_at.clone(),
            readings: Readings::of(&said.dialect),
            columns: chosen.names.iter().map(|header| ColumnStats::new(header)).collect(),
            rows: 0,
            hashes_left: HASHES_MAX,
            delimiter: None,
            notes: Vec::new(),
            last: LastRows::default(),
            blanks: said.blanks.iter().map(|blank| folded(blank).into_owned()).collect(),
            first: None,
        }
    }
}

impl RowSink for ColumnTable {
    fn delimiter(&mut self, delimiter: u8) {
        self.delimiter = Some(delimiter);
    }

    fn sheet(&mut self, _name: Option<&str>, _epoch_1904: bool) {}

    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError> {
        if line <= self.header_line.max(u64::from(self.skip_rows)) {
            return Ok(Flow::Continue);
        }
        if stops_at(&self.stop_at, row) {
            return Ok(Flow::Stop);
        }
        if self.rows == 0 && is_ruler(row) {
            return Ok(Flow::Continue);
        }
        let width = row.width();
        let (mut filled, mut first_place) = (0, None);
        for place in 0..width {
            if self.columns.len() <= place {
                self.columns.resize_with(place + 1, || ColumnStats::new(""));
            }
            let Some(column) = self.columns.get_mut(place) else { break };
            if column.add(line, row.cell(place), (&self.blanks, &self.readings), &mut self.hashes_left) {
                filled += 1;
                first_place.get_or_insert(place);
                column.first_row_filled = column.first_row_filled || self.rows == 0;
            }
        }
        if filled == 0 {
            return Ok(Flow::Continue);
        }
        self.rows += 1;
        let place = first_place.unwrap_or(0);
        self.first.get_or_insert((line, place > 0));
        self.last.meet(line, row);
        Ok(Flow::Continue)
    }

    fn sheet_end(&mut self) -> Flow {
        Flow::Stop
    }

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}
