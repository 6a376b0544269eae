//! Properties of a sheet that are noted for a person: what is hidden, merged or without a value.

use crate::dataset::reader::Note;

/// What is hidden, merged or without a value in a sheet.
#[derive(Debug, Default)]
pub(super) struct SheetLooks {
    pub(super) hidden_rows: u64,
    pub(super) hidden_columns: Vec<String>,
    pub(super) merged: Vec<String>,
    pub(super) merged_count: u64,
    pub(super) no_values: u64,
}

impl SheetLooks {
    pub(super) fn notes(&mut self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.merged_count > 0 {
            notes.push(Note::Merged { ranges: std::mem::take(&mut self.merged), count: self.merged_count });
        }
        if self.hidden_rows > 0 {
            notes.push(Note::HiddenRows { count: self.hidden_rows });
        }
        if !self.hidden_columns.is_empty() {
            notes.push(Note::HiddenColumns { letters: std::mem::take(&mut self.hidden_columns) });
        }
        if self.no_values > 0 {
            notes.push(Note::NoValues { count: self.no_values });
        }
        notes
    }
}
