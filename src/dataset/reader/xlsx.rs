//! Rows of .xlsx, streamed: the parts of ECMA-376 that values need, and no more of a part in memory than a cell.
//!
//! The sheets are read as they are written: all digits of a number, how the sheet shows it, whether a formula has a value. What
//! an archive declares about itself is never believed.

use std::io::{Read, Seek};

use super::{Limits, Note, ReadError, RowSink, SheetName, rows::Flow};
use archive::Archive;
use sheet::Sheet;
pub(in crate::dataset) use sheet::letters_of;
use styles::Styles;

mod archive;
mod part;
mod sheet;
mod strings;
mod styles;
mod workbook;

/// Reads the rows of one sheet after another, the visible ones first.
pub(super) fn read<R: Read + Seek>(
    source: R,
    wanted: Option<&str>,
    limits: &Limits,
    sink: &mut impl RowSink,
) -> Result<(), ReadError> {
    let mut archive = Archive::open(source, limits)?;
    let workbook = workbook::read(&mut archive)?;
    let names: Vec<SheetName> = workbook.sheets.iter().map(|sheet| sheet.name.clone()).collect();
    sink.sheets(&names);
    let styles = match &workbook.styles {
        Some(path) => styles::read(&mut archive, path)?,
        None => Styles::default(),
    };
    let strings = match &workbook.strings {
        Some(path) => strings::read(&mut archive, path)?,
        None => strings::Strings::default(),
    };
    let chosen = workbook.sheets.iter().filter(|sheet| wanted.is_none_or(|wanted| sheet.name.name == wanted));
    let mut some = false;
    for place in chosen {
        some = true;
        sink.sheet(Some(&place.name.name), workbook.epoch_1904);
        let Some(part) = archive.part(&place.path)? else {
            return Err(missing(&place.path));
        };
        let mut sheet = Sheet::new(part, &strings, &styles, workbook.epoch_1904, limits);
        let flow = sheet.rows(sink)?;
        let notes = if flow == Flow::Continue { sheet.notes()? } else { Vec::new() };
        notes.into_iter().for_each(|note| sink.note(note));
        if flow == Flow::Stop || sink.sheet_end() == Flow::Stop {
            return Ok(());
        }
    }
    match wanted {
        Some(wanted) if !some => Err(no_such_sheet(wanted, &names)),
        _ => Ok(()),
    }
}

pub(super) fn no_such_sheet(wanted: &str, names: &[SheetName]) -> ReadError {
    let names: Vec<String> = names.iter().map(|sheet| format!("{:?}", sheet.name)).collect();
    ReadError::NoSheet { wanted: wanted.to_owned(), names: names.join(", ") }
}

fn missing(part: &str) -> ReadError {
    ReadError::Malformed { detail: format!("its part {part:?} is missing") }
}

/// Notes about what a sheet looks like.
#[derive(Debug, Default)]
struct Looks {
    hidden_rows: u64,
    hidden_columns: Vec<String>,
    merged: Vec<String>,
    merged_count: u64,
    no_values: u64,
}

impl Looks {
    fn notes(&mut self) -> Vec<Note> {
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
