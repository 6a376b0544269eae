//! Proposes a definition for a file that nobody has described yet: a commented TOML to start from.
//!
//! The whole file is read. A type is proposed only if every value of the column has it and loses nothing of what is written,
//! but for decimals of a place's degrees beyond the seventh. Otherwise the
//! column is text, and a comment says how many values do not fit. Columns that look personal are proposed as unpublished, for a person to
//! decide.

use std::io::{Read, Seek, SeekFrom};

use self::table::{ChosenHeader, ColumnTable};
use super::{
    Definition,
    definition::Said,
    reader::{Flow, Note, ReadError, ReadLimits, RowCells, RowSink, SheetName, scan},
    text::nfc,
};
use header::{KeptCell, Top};

mod column;
mod header;
mod name;
mod personal;
mod propose;
mod table;
mod verdict;

/// Most bytes kept of the tops of all sheets.
const TOPS_BYTES_MAX: usize = 32 << 20;

/// Proposes a definition for a file, as TOML that [`super::Definition::from_toml`] reads if `dataset` is a valid name. What is said of the
/// file is followed, and written into the proposal.
///
/// # Errors
/// When the file is no spreadsheet, or none of its first rows looks like a header.
pub fn propose(
    mut source: impl Read + Seek,
    file_name: &str,
    dataset: &str,
    said: &Said,
    limits: &ReadLimits,
) -> Result<String, ReadError> {
    propose_as(&mut source, file_name, dataset, said, None, limits)
}

/// Proposes a definition; `guessed` is the number of rows that were not UTF-8, if the encoding in `said` is a guess.
fn propose_as(
    source: &mut (impl Read + Seek),
    file_name: &str,
    dataset: &str,
    said: &Said,
    guessed: Option<u64>,
    limits: &ReadLimits,
) -> Result<String, ReadError> {
    let dialect = &said.dialect;
    source.seek(SeekFrom::Start(0))?;
    let mut tops = Tops { limits, skip_rows: dialect.skip_rows, sheets: Vec::new(), tops: Vec::new(), bytes: 0 };
    scan(&mut *source, file_name, dialect, limits, &mut tops)?;
    let Some(chosen) = tops.best() else {
        return Err(ReadError::NoHeader {
            dataset: dataset.to_owned(),
            rows: tops.tops.iter().map(|(_, top)| top.rows.len()).max().unwrap_or(0),
            detail: "no row looks like one: texts, over most of the columns, with rows below it. Write a row of names above the \
                     values; or leave rows at the top out (skip_rows), or say what separates cells (delimiter)"
                .to_owned(),
        });
    };
    let mut reading = dialect.clone();
    reading.sheet = reading.sheet.or_else(|| chosen.sheet.clone());
    source.seek(SeekFrom::Start(0))?;
    let mut table = ColumnTable::new(&chosen, said);
    scan(&mut *source, file_name, &reading, limits, &mut table)?;
    // If most rows are UTF-8, the few others are wrong. Otherwise everything, including the header, is read again in the guessed encoding.
    let other = table.notes.iter().find_map(|note| match note {
        Note::NotUtf8 { records, is_few: false, looks_like, .. } if dialect.encoding.is_none() => {
            Some((*records, *looks_like))
        }
        _ => None,
    });
    if let Some((records, looks_like)) = other {
        let mut said = said.clone();
        if said.dialect.say("encoding", looks_like).is_ok() {
            return propose_as(source, file_name, dataset, &said, Some(records), limits);
        }
    }
    if let Some((first, last, rows)) = chosen.above {
        table.notes.insert(0, Note::AboveHeader { lines: (first, last), rows });
    }
    if let Some(read) = &chosen.sheet {
        table.notes.splice(0..0, Note::of_sheets(&tops.sheets, read));
    }
    propose::definition(dataset, file_name, (said, guessed), &chosen, table).ok_or_else(|| ReadError::NoHeader {
        dataset: dataset.to_owned(),
        rows: 1,
        detail: "the row that looks like one names no column that could be published".to_owned(),
    })
}

/// A valid data set name made from a text such as a file name.
pub fn data_set_name(text: &str) -> String {
    let name = name::joined(&name::words_of(&nfc(text)));
    let name = match name.as_bytes().first() {
        Some(first) if first.is_ascii_lowercase() => name,
        Some(_) => format!("data_{name}"),
        None => "data".to_owned(),
    };
    if Definition::check_name(&name).is_ok() { name } else { format!("{name}_data") }
}

/// The tops of all sheets, from which one sheet and its header are chosen.
struct Tops<'a> {
    limits: &'a ReadLimits,
    skip_rows: u32,
    sheets: Vec<SheetName>,
    tops: Vec<(Option<String>, Top)>,
    /// Bytes kept of the tops.
    bytes: usize,
}

impl Tops<'_> {
    /// The header of the first sheet whose table is at least half as large as the largest.
    fn best(&self) -> Option<ChosenHeader> {
        let is_hidden =
            |name: &Option<String>| self.sheets.iter().any(|sheet| sheet.hidden && Some(&sheet.name) == name.as_ref());
        for hidden in [false, true] {
            let tops = self.tops.iter().filter(|(name, _)| is_hidden(name) == hidden);
            let headers: Vec<_> = tops.filter_map(|(name, top)| Some((name, top, top.header()?))).collect();
            let largest = headers.iter().map(|(_, top, place)| top.size(*place)).max().unwrap_or(0);
            let first = headers.into_iter().find(|(_, top, place)| top.size(*place) * 2 >= largest);
            if let Some((name, top, place)) = first {
                let (line, cells) = top.rows.get(place)?;
                let names = cells.iter().map(|cell| cell.text.clone()).collect();
                return Some(ChosenHeader { sheet: name.clone(), line: *line, names, above: top.above(place) });
            }
        }
        None
    }
}

impl RowSink for Tops<'_> {
    fn sheets(&mut self, sheets: &[SheetName]) {
        self.sheets = sheets.to_vec();
    }

    fn sheet(&mut self, name: Option<&str>, _epoch_1904: bool) {
        self.tops.push((name.map(str::to_owned), Top::default()));
    }

    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError> {
        if line <= u64::from(self.skip_rows) {
            return Ok(Flow::Continue);
        }
        let Some((_, top)) = self.tops.last_mut() else { return Ok(Flow::Stop) };
        let cells = KeptCell::of(row);
        self.bytes += cells.iter().map(KeptCell::bytes).sum::<usize>();
        top.rows.push((line, cells));
        // Small files can hold many large sheets that share their texts: the first sheets are enough to choose from.
        if self.bytes > TOPS_BYTES_MAX {
            return Ok(Flow::Stop);
        }
        Ok(if top.rows.len() >= self.limits.header_rows_max { Flow::NextSheet } else { Flow::Continue })
    }

    fn sheet_end(&mut self) -> Flow {
        Flow::Continue
    }
}

#[cfg(test)]
mod tests;
