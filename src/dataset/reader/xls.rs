//! Reads rows of .xls, which has to be read into memory.

use std::io::{Cursor, Read};

use calamine::{CellErrorType, Data, Reader, SheetType, SheetVisible, Xls, XlsError};
use jiff::civil;

use super::{
    Cell, Flow, NumberFormat, Numeral, ReadError, ReadLimits, RowCells, RowSink, SheetName,
    biff::{self, Formats},
    compound,
    serial::moment_of_days,
    xlsx::no_such_sheet,
};

static GENERAL: NumberFormat = NumberFormat::General;

/// Reads the rows of one sheet after another, visible sheets first. The file's size was checked before.
pub(super) fn read<R: Read>(
    source: R,
    wanted: Option<&str>,
    limits: &ReadLimits,
    sink: &mut impl RowSink,
) -> Result<(), ReadError> {
    let (file, formats) = checked(source, limits)?;
    let mut workbook: Xls<_> = Xls::new(Cursor::new(file)).map_err(xls_error)?;
    let epoch_1904 = workbook.has_1904_epoch();
    let metadata = workbook.sheets_metadata().iter().enumerate();
    let mut sheets: Vec<(usize, SheetName)> = metadata
        .filter(|(_, sheet)| sheet.typ == SheetType::WorkSheet)
        .map(|(place, sheet)| {
            (place, SheetName { name: sheet.name.clone(), hidden: sheet.visible != SheetVisible::Visible })
        })
        .collect();
    sheets.sort_by_key(|(_, sheet)| sheet.hidden);
    sheets.truncate(limits.sheets_max);
    if sheets.is_empty() {
        return Err(ReadError::NotASpreadsheet { found: "is a workbook without a worksheet".into() });
    }
    let names: Vec<SheetName> = sheets.iter().map(|(_, sheet)| sheet.clone()).collect();
    sink.sheets(&names);
    let mut some = false;
    for (place, sheet) in sheets {
        if wanted.is_some_and(|wanted| sheet.name != wanted) {
            continue;
        }
        some = true;
        let range = workbook.worksheet_range(&sheet.name).map_err(xls_error)?;
        let (first_line, first_column) = range.start().unwrap_or_default();
        let offset = usize::try_from(first_column).unwrap_or(0);
        sink.sheet(Some(&sheet.name), epoch_1904);
        let mut rows = 0;
        for (line, cells) in (first_line..).zip(range.rows()) {
            // Blank lines between the sheet's cells are no rows.
            if cells.iter().all(|cell| matches!(cell, Data::Empty)) {
                continue;
            }
            rows += 1;
            let row = XlsRow::of(cells, offset, epoch_1904, |column| formats.of_cell(place, line, column));
            limits.check_rows(rows)?;
            limits.check_columns(row.width())?;
            limits.check_texts(row.text_bytes())?;
            match sink.row(u64::from(line) + 1, &row)? {
                Flow::Continue => {}
                Flow::NextSheet => break,
                Flow::Stop => return Ok(()),
            }
        }
        if sink.sheet_end() == Flow::Stop {
            return Ok(());
        }
    }
    match wanted {
        Some(wanted) if !some => Err(no_such_sheet(wanted, &names)),
        _ => Ok(()),
    }
}

/// The file in a form that the library can trust, and how its cells show numbers. The original is freed before the library begins.
fn checked(source: impl Read, limits: &ReadLimits) -> Result<(Vec<u8>, Formats), ReadError> {
    let mut stream = {
        let mut file = Vec::new();
        source.take(limits.xls_bytes_max).read_to_end(&mut file)?;
        compound::workbook_stream(&file)?
    };
    let formats = biff::check(&mut stream, limits)?;
    Ok((compound::wrapped(&stream)?, formats))
}

struct XlsRow<'a> {
    cells: &'a [Data],
    offset: usize,
    /// The numbers of the row, by cell.
    numbers: Vec<Option<Number<'a>>>,
}

enum Number<'a> {
    Shown { digits: String, format: &'a NumberFormat },
    Moment(civil::DateTime),
    Unusable(&'static str),
}

impl<'a> XlsRow<'a> {
    fn of(
        cells: &'a [Data],
        offset: usize,
        epoch_1904: bool,
        format_of: impl Fn(u32) -> Option<&'a NumberFormat>,
    ) -> Self {
        let number = |(column, cell): (u32, &Data)| {
            // The library only distinguishes dates from other numbers.
            let (number, otherwise) = match cell {
                Data::Int(number) => {
                    let format = format_of(column).unwrap_or(&GENERAL);
                    return Some(Number::Shown { digits: number.to_string(), format });
                }
                Data::Float(number) => (*number, &GENERAL),
                Data::DateTime(moment) => (moment.as_f64(), &NumberFormat::Date),
                _ => return None,
            };
            Some(match format_of(column).unwrap_or(otherwise) {
                NumberFormat::Date => match moment_of_days(number, epoch_1904) {
                    Ok(moment) => Number::Moment(moment),
                    Err(reason) => Number::Unusable(reason),
                },
                format if number.is_finite() => Number::Shown { digits: number.to_string(), format },
                _ => Number::Unusable("a number without end"),
            })
        };
        let first = u32::try_from(offset).unwrap_or(u32::MAX);
        Self { cells, offset, numbers: (first..).zip(cells).map(number).collect() }
    }

    fn text_bytes(&self) -> usize {
        self.cells.iter().map(|cell| if let Data::String(text) = cell { text.len() } else { 0 }).sum()
    }
}

impl RowCells for XlsRow<'_> {
    fn width(&self) -> usize {
        self.offset + self.cells.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        let Some(place) = place.checked_sub(self.offset) else { return Cell::Blank };
        match self.numbers.get(place) {
            Some(Some(Number::Shown { digits, format })) => return Cell::Number(Numeral { digits, format }),
            Some(Some(Number::Moment(moment))) => return Cell::Moment(*moment),
            Some(Some(Number::Unusable(reason))) => return Cell::Error(reason),
            _ => {}
        }
        match self.cells.get(place) {
            Some(Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text)) => Cell::Text(text),
            Some(Data::Bool(flag)) => Cell::Bool(*flag),
            Some(Data::Error(error)) => Cell::Error(error_text(error)),
            _ => Cell::Blank,
        }
    }

    fn is_delimited(&self) -> bool {
        false
    }
}

fn error_text(error: &CellErrorType) -> &'static str {
    match error {
        CellErrorType::Div0 => "#DIV/0!",
        CellErrorType::NA => "#N/A",
        CellErrorType::Name => "#NAME?",
        CellErrorType::Null => "#NULL!",
        CellErrorType::Num => "#NUM!",
        CellErrorType::Ref => "#REF!",
        CellErrorType::Value => "#VALUE!",
        CellErrorType::GettingData => "#DATA!",
    }
}

fn xls_error(error: XlsError) -> ReadError {
    match error {
        XlsError::Password => ReadError::Encrypted,
        XlsError::Io(error) => ReadError::Io(error),
        other => ReadError::Malformed { detail: format!("not a readable .xls workbook: {other}") },
    }
}
