//! Reads rows of .xlsx as a stream: only the parts of ECMA-376 that values need, with no more of a part in memory than a cell.
//!
//! Sheets are read as written: all digits of a number, how the sheet shows it, and whether a formula has a value. An archive's own
//! declarations are never trusted.

use std::io::{Read, Seek};

use self::looks::SheetLooks;
use super::{ReadError, ReadLimits, RowSink, SheetName, rows::Flow};
use archive::Archive;
use sheet::Sheet;
pub(in crate::dataset) use sheet::letters_of;
use styles::Styles;

mod archive;
mod looks;
mod part;
mod sheet;
mod strings;
mod styles;
mod workbook;

/// Reads the rows of one sheet after another, visible sheets first.
pub(super) fn read<R: Read + Seek>(
    source: R,
    wanted: Option<&str>,
    limits: &ReadLimits,
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
            return Err(part::missing(&place.path));
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
