//! Rows of .xlsx (streamed) and .xls (which the format forces into memory).

use std::io::{BufReader, Cursor, Read, Seek};

use calamine::{
    CellErrorType, Data, DataRef, ExcelDateTime, ExcelDateTimeType, Reader, SheetType, Xls, XlsError, Xlsx, XlsxError,
};
use jiff::civil;

use super::{Cell, Flow, Limits, ReadError, RowCells, RowSink, biff, compound};

/// One more than the last day Excel knows, 9999-12-31.
const SERIAL_END: f64 = 2_958_466.0;

/// Streams the rows of an .xlsx, sheet after sheet. The archive has been checked.
pub(super) fn read_xlsx<R: Read + Seek>(source: R, limits: &Limits, sink: &mut impl RowSink) -> Result<(), ReadError> {
    let mut workbook: Xlsx<_> = Xlsx::new(BufReader::with_capacity(64 * 1024, source)).map_err(xlsx_error)?;
    let epoch_1904 = workbook.has_1904_epoch();
    let names = worksheet_names(&workbook, limits)?;
    for name in names {
        sink.sheet(Some(&name), epoch_1904);
        let mut cells = match workbook.worksheet_cells_reader(&name) {
            Ok(cells) => cells,
            Err(XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(xlsx_error(error)),
        };
        if stream_rows(|| cells.next_cell(), limits, sink)? == Flow::Stop || sink.sheet_end() == Flow::Stop {
            break;
        }
    }
    Ok(())
}

fn stream_rows<'a>(
    mut next_cell: impl FnMut() -> Result<Option<calamine::Cell<DataRef<'a>>>, XlsxError>,
    limits: &Limits,
    sink: &mut impl RowSink,
) -> Result<Flow, ReadError> {
    let mut row = XlsxRow::default();
    let mut current: Option<u32> = None;
    let mut rows: u64 = 0;
    loop {
        let next = next_cell().map_err(xlsx_error)?;
        let position = next.as_ref().map(calamine::Cell::get_position);
        if let Some(finished) = current
            && position.map(|(line, _)| line) != current
        {
            rows += 1;
            limits.check_rows(rows)?;
            match sink.row(u64::from(finished) + 1, &row)? {
                Flow::Continue => row.clear(),
                other => return Ok(other),
            }
        }
        let (Some(cell), Some((line, _))) = (next, position) else { return Ok(Flow::Continue) };
        current = Some(line);
        row.put(cell, limits)?;
    }
}

#[derive(Default)]
struct XlsxRow<'a> {
    cells: Vec<DataRef<'a>>,
    text_bytes: usize,
}

impl<'a> XlsxRow<'a> {
    fn clear(&mut self) {
        self.cells.clear();
        self.text_bytes = 0;
    }

    fn put(&mut self, cell: calamine::Cell<DataRef<'a>>, limits: &Limits) -> Result<(), ReadError> {
        let (line, column) = cell.get_position();
        let place = usize::try_from(column).unwrap_or(usize::MAX);
        limits.check_columns(place.saturating_add(1))?;
        let value = cell.get_value();
        self.text_bytes += match value {
            DataRef::Empty => return Ok(()),
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.len(),
            DataRef::SharedString(text) => text.len(),
            _ => 0,
        };
        limits.check_texts(self.text_bytes)?;
        if self.cells.len() <= place {
            self.cells.resize(place + 1, DataRef::Empty);
        }
        if let Some(slot) = self.cells.get_mut(place) {
            if !matches!(slot, DataRef::Empty) {
                let detail = format!("row {} has two cells in column {}", u64::from(line) + 1, u64::from(column) + 1);
                return Err(ReadError::Malformed { detail });
            }
            *slot = value.clone();
        }
        Ok(())
    }
}

impl RowCells for XlsxRow<'_> {
    fn width(&self) -> usize {
        self.cells.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        match self.cells.get(place) {
            None | Some(DataRef::Empty) => Cell::Blank,
            Some(DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text)) => Cell::Text(text),
            Some(DataRef::SharedString(text)) => Cell::Text(text),
            Some(DataRef::Int(number)) => Cell::Integer(*number),
            Some(DataRef::Float(number)) => Cell::Number(*number),
            Some(DataRef::Bool(flag)) => Cell::Bool(*flag),
            Some(DataRef::DateTime(moment)) => moment_cell(moment),
            Some(DataRef::Error(error)) => Cell::Error(error_text(error)),
        }
    }

    fn is_delimited(&self) -> bool {
        false
    }
}

/// Reads the rows of an .xls. Its size has been checked.
pub(super) fn read_xls<R: Read>(source: R, limits: &Limits, sink: &mut impl RowSink) -> Result<(), ReadError> {
    let mut workbook: Xls<_> = Xls::new(Cursor::new(checked_xls(source, limits)?)).map_err(xls_error)?;
    let epoch_1904 = workbook.has_1904_epoch();
    for name in worksheet_names(&workbook, limits)? {
        let range = workbook.worksheet_range(&name).map_err(xls_error)?;
        let (first_line, first_column) = range.start().unwrap_or_default();
        let offset = usize::try_from(first_column).unwrap_or(0);
        sink.sheet(Some(&name), epoch_1904);
        let mut rows = 0;
        for (line, cells) in (u64::from(first_line) + 1..).zip(range.rows()) {
            // What lies between the cells of the sheet is no row of it.
            if cells.iter().all(|cell| matches!(cell, Data::Empty)) {
                continue;
            }
            rows += 1;
            let row = XlsRow { cells, offset };
            limits.check_rows(rows)?;
            limits.check_columns(row.width())?;
            limits.check_texts(row.text_bytes())?;
            match sink.row(line, &row)? {
                Flow::Continue => {}
                Flow::NextSheet => break,
                Flow::Stop => return Ok(()),
            }
        }
        if sink.sheet_end() == Flow::Stop {
            break;
        }
    }
    Ok(())
}

/// What of an .xls is safe to read.
fn checked_xls(source: impl Read, limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let mut stream = {
        let mut file = Vec::new();
        source.take(limits.xls_bytes_max).read_to_end(&mut file)?;
        compound::workbook_stream(&file)?
    };
    biff::check(&mut stream, limits)?;
    compound::wrapped(&stream)
}

struct XlsRow<'a> {
    cells: &'a [Data],
    offset: usize,
}

impl XlsRow<'_> {
    fn text_bytes(&self) -> usize {
        self.cells.iter().map(|cell| if let Data::String(text) = cell { text.len() } else { 0 }).sum()
    }
}

impl RowCells for XlsRow<'_> {
    fn width(&self) -> usize {
        self.offset + self.cells.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        match place.checked_sub(self.offset).and_then(|place| self.cells.get(place)) {
            None | Some(Data::Empty) => Cell::Blank,
            Some(Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text)) => Cell::Text(text),
            Some(Data::Int(number)) => Cell::Integer(*number),
            Some(Data::Float(number)) => Cell::Number(*number),
            Some(Data::Bool(flag)) => Cell::Bool(*flag),
            Some(Data::DateTime(moment)) => moment_cell(moment),
            Some(Data::Error(error)) => Cell::Error(error_text(error)),
        }
    }

    fn is_delimited(&self) -> bool {
        false
    }
}

/// Visible and hidden worksheets, in the workbook's order.
fn worksheet_names<R: Read + Seek, W: Reader<R>>(workbook: &W, limits: &Limits) -> Result<Vec<String>, ReadError> {
    let sheets = workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let names: Vec<String> = sheets.map(|sheet| sheet.name.clone()).take(limits.sheets_max).collect();
    if names.is_empty() {
        return Err(ReadError::NotASpreadsheet { found: "is a workbook without a worksheet".into() });
    }
    Ok(names)
}

fn moment_cell(moment: &ExcelDateTime) -> Cell<'static> {
    let serial = moment.as_f64();
    if moment.is_duration() {
        return Cell::Number(serial);
    }
    if !(0.0..SERIAL_END).contains(&serial) {
        return Cell::Error("a date outside the spreadsheet's calendar");
    }
    // Excel's calendar has a 29th of February 1900, and a day 0.
    civil_moment(moment).map_or(Cell::Error("a day that does not exist"), Cell::Moment)
}

/// The moment that a number of days since the epoch means, if it can mean one.
pub(in crate::dataset) fn moment_of_serial(days: f64, epoch_1904: bool) -> Option<civil::DateTime> {
    let is_day = (1.0..SERIAL_END).contains(&days);
    is_day.then(|| civil_moment(&ExcelDateTime::new(days, ExcelDateTimeType::DateTime, epoch_1904)))?
}

fn civil_moment(moment: &ExcelDateTime) -> Option<civil::DateTime> {
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    civil::DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        i32::from(milli) * 1_000_000,
    )
    .ok()
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

fn xlsx_error(error: XlsxError) -> ReadError {
    match error {
        XlsxError::Password => ReadError::Encrypted,
        XlsxError::Io(error) => ReadError::Io(error),
        XlsxError::Zip(error) => ReadError::Truncated { detail: error.to_string() },
        XlsxError::ColumnNumberOverflow => ReadError::TooMany { what: "columns", max: 16_384 },
        XlsxError::RowNumberOverflow => ReadError::TooMany { what: "rows in a sheet", max: 1_048_576 },
        // The others may quote what a cell holds, and nobody has said that its column is published.
        other => ReadError::Malformed { detail: what_is_wrong(&other).to_owned() },
    }
}

fn what_is_wrong(error: &XlsxError) -> &'static str {
    match error {
        XlsxError::CellTAttribute(_) => "a cell is of a type that workbooks do not have",
        XlsxError::CellError(_) => "a cell holds an error of a kind that is not known",
        XlsxError::ParseFloat(_) | XlsxError::ParseInt(_) => "a number is not written as one",
        XlsxError::Unrecognized { typ, .. } => typ,
        XlsxError::Unexpected(what) => what,
        XlsxError::Xml(_) | XlsxError::XmlAttr(_) | XlsxError::XmlEof(_) | XlsxError::Encoding(_) => {
            "one of its parts is not well-formed XML in UTF-8"
        }
        XlsxError::FileNotFound(_) | XlsxError::RelationshipNotFound | XlsxError::WorksheetNotFound(_) => {
            "one of its parts is missing"
        }
        _ => "it is not made as a workbook is",
    }
}

fn xls_error(error: XlsError) -> ReadError {
    match error {
        XlsError::Password => ReadError::Encrypted,
        XlsError::Io(error) => ReadError::Io(error),
        other => ReadError::Malformed { detail: format!("not a readable .xls workbook: {other}") },
    }
}
