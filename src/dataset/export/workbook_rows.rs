//! Workbooks for spreadsheets (.xlsx): one sheet with a row of names, and a row for each record.
//!
//! A cell shows what the record says, or the export is refused: nothing is cut or rounded. Numbers with more digits than Excel shows,
//! days that its calendar does not have, and moments finer than it shows are texts.
//!
//! The cells are kept in a file without a name until all rows are there: what a sheet begins with depends on them. It goes with the
//! writer, also where the process is killed.

use std::{
    io::Write,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::Offset,
};
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format as CellFormat, IgnoreError, Workbook, Worksheet, XlsxError,
};

use super::{
    error::ExportError,
    published::{PublishedColumn, PublishedValue},
    text_rows::FORMULA_STARTS,
};
use crate::dataset::ColumnType;

/// The most records of a sheet, below the row of names.
pub const WORKBOOK_RECORDS_MAX: u64 = 1_048_575;
/// The most UTF-16 code units of a cell's text.
const CELL_UNITS_MAX: usize = 32_767;
/// Excel shows 15 digits: whole numbers, and hundredths, below this are shown as they are.
const DIGITS_END: u64 = 1_000_000_000_000_000;
/// The greatest and the least numbers that Excel takes.
const NUMBER_MAX: f64 = 9.999_999_999_999_99e307;
const NUMBER_LEAST: f64 = 2.229e-308;
/// The first day of Excel's calendar, and the first one after a day that only Excel has: 1900-02-29.
const CALENDAR_BEGIN: Date = Date::constant(1900, 1, 1);
const CALENDAR_PLAIN: Date = Date::constant(1900, 3, 1);
const NANOSECONDS_OF_MILLISECOND: i32 = 1_000_000;
const MILLISECONDS_OF_DAY: f64 = 86_400_000.0;
/// What a row, a number, and a text beside its letters take on the disk, about, bytes.
const ROW_BYTES: u64 = 40;
const NUMBER_BYTES: u64 = 48;
const LONG_NUMBER_BYTES: u64 = 400;
const TEXT_BYTES: u64 = 64;
/// Numbers that have few digits before and behind the point.
const PLAIN_NUMBERS: Range<f64> = 1e-6..1e21;
/// A longer name is cut: Excel takes no longer ones.
const SHEET_NAME_CHARS_MAX: usize = 31;
/// The widths of columns, in characters. Longer texts are seen in full by opening the cell.
const WIDTH_MIN: usize = 8;
const WIDTH_MAX: usize = 60;
/// The width of the button of the filter beside a name.
const WIDTH_OF_BUTTON: usize = 3;
/// The size of the parts in which the workbook is handed on, bytes.
const PART_BYTES: usize = 64 * 1024;

/// Where the cells of workbooks are kept until they are whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkbookPlace {
    /// The folder of the file without a name.
    pub folder: PathBuf,
    /// The most bytes of the file, about.
    pub bytes_max: u64,
}

/// Writes rows as a workbook.
pub(super) struct SheetRows {
    columns: Vec<SheetColumn>,
    workbook: Workbook,
    formats: CellFormats,
    /// Rows below that of the names.
    rows: u32,
    bytes: u64,
    bytes_max: u64,
}

struct SheetColumn {
    published: PublishedColumn,
    /// The most characters of a value so far.
    width: usize,
}

/// The formats of single cells.
struct CellFormats {
    /// A text that would become a formula if somebody edited the cell.
    guarded: CellFormat,
    milliseconds: CellFormat,
}

impl SheetRows {
    pub(super) fn new(
        data_set: &str,
        columns: Vec<PublishedColumn>,
        place: &WorkbookPlace,
    ) -> Result<Self, ExportError> {
        let mut workbook = Workbook::new();
        workbook.set_tempdir(&place.folder).map_err(|error| failed(&error))?;
        // The present would make two exports of one version differ.
        let created = ExcelDateTime::from_ymd(2000, 1, 1).map_err(|error| failed(&error))?;
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
        let sheet = workbook.add_worksheet_with_constant_memory().map_err(|error| failed(&error))?;
        let columns: Vec<SheetColumn> =
            columns.into_iter().map(|published| SheetColumn { width: WIDTH_MIN, published }).collect();
        begin(sheet, data_set, &columns).map_err(|error| failed(&error))?;
        let formats = CellFormats {
            guarded: CellFormat::new().set_quote_prefix(),
            milliseconds: CellFormat::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
        };
        Ok(Self { columns, workbook, formats, rows: 0, bytes: 0, bytes_max: place.bytes_max })
    }

    pub(super) fn row<'v>(&mut self, values: impl IntoIterator<Item = &'v [u8]>) -> Result<(), ExportError> {
        if u64::from(self.rows) >= WORKBOOK_RECORDS_MAX {
            return Err(ExportError::TooManyRecords { records_max: WORKBOOK_RECORDS_MAX });
        }
        self.rows += 1;
        contained(|| self.write(values))?;
        if self.bytes > self.bytes_max {
            return Err(ExportError::TooLargeWorkbook { bytes_max: self.bytes_max });
        }
        Ok(())
    }

    fn write<'v>(&mut self, values: impl IntoIterator<Item = &'v [u8]>) -> Result<(), ExportError> {
        let row = self.rows;
        self.bytes = self.bytes.saturating_add(ROW_BYTES);
        let sheet = self.workbook.worksheet_from_index(0).map_err(|error| failed(&error))?;
        for ((nth, column), value) in (0_u16..).zip(&mut self.columns).zip(values) {
            self.bytes = self.bytes.saturating_add(column.cell(sheet, (row, nth), value, &self.formats)?);
        }
        Ok(())
    }

    /// Hands the workbook on, part by part.
    pub(super) fn finish<E: Send>(
        mut self,
        send: impl FnMut(Vec<u8>) -> Result<(), E> + Send,
    ) -> Result<Result<(), E>, ExportError> {
        self.end_sheet().map_err(|error| failed(&error))?;
        let mut parts = PartWriter { send, part: Vec::with_capacity(PART_BYTES), failure: None, is_over: false };
        let saved = contained(|| self.workbook.save_to_writer(&mut parts).map_err(|error| failed(&error)));
        if let Some(failure) = parts.failure.take() {
            return Ok(Err(failure));
        }
        saved?;
        let rest = std::mem::take(&mut parts.part);
        Ok((parts.send)(rest))
    }

    /// What depends on all rows.
    fn end_sheet(&mut self) -> Result<(), XlsxError> {
        let sheet = self.workbook.worksheet_from_index(0)?;
        for (nth, column) in (0_u16..).zip(&self.columns) {
            let name = column.published.name.chars().count() + WIDTH_OF_BUTTON;
            let width = column.width.max(name).clamp(WIDTH_MIN, WIDTH_MAX);
            sheet.set_column_width(nth, u32::try_from(width).unwrap_or(u32::MAX))?;
        }
        let last = u16::try_from(self.columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
        sheet.autofilter(0, 0, self.rows, last)?;
        // A text of digits is meant to be one: Excel would mark each with a green corner.
        sheet.ignore_error_range(0, 0, self.rows, last, IgnoreError::NumberStoredAsText)?;
        Ok(())
    }
}

/// What does not depend on the rows.
fn begin(sheet: &mut Worksheet, data_set: &str, columns: &[SheetColumn]) -> Result<(), XlsxError> {
    // Excel keeps the name "history" for itself.
    let name = if data_set.eq_ignore_ascii_case("history") { "records" } else { data_set };
    sheet.set_name(name.chars().take(SHEET_NAME_CHARS_MAX).collect::<String>())?;
    sheet.set_freeze_panes(1, 0)?;
    let bold = CellFormat::new().set_bold();
    for (nth, column) in (0_u16..).zip(columns) {
        let code = match column.published.kind {
            // Digits that somebody edits stay a text.
            ColumnType::Text if column.published.is_number_as_text => Some("@"),
            ColumnType::Text | ColumnType::Integer | ColumnType::Number | ColumnType::Point => None,
            ColumnType::Money => Some("0.00"),
            ColumnType::Date => Some("yyyy-mm-dd"),
            ColumnType::Timestamp => Some("yyyy-mm-dd hh:mm:ss"),
        };
        if let Some(code) = code {
            sheet.set_column_format(nth, &CellFormat::new().set_num_format(code))?;
        }
    }
    for (nth, column) in (0_u16..).zip(columns) {
        sheet.write_string_with_format(0, nth, &column.published.name, &bold)?;
    }
    Ok(())
}

impl SheetColumn {
    /// Writes a cell. Returns about how many bytes it takes.
    fn cell(
        &mut self,
        sheet: &mut Worksheet,
        (row, column): (u32, u16),
        value: &[u8],
        formats: &CellFormats,
    ) -> Result<u64, ExportError> {
        let name = &self.published.name;
        let read = self.published.read(value).ok_or_else(|| ExportError::OfAnotherType { column: name.clone() })?;
        let cell = SheetCell::of(read, value);
        self.width = self.width.max(cell.width());
        let bytes = cell.stored_bytes();
        let written = match cell {
            SheetCell::Blank => return Ok(0),
            SheetCell::Number(number) => sheet.write_number(row, column, number),
            SheetCell::Milliseconds(days) => sheet.write_number_with_format(row, column, days, &formats.milliseconds),
            SheetCell::Text(text) => {
                if text.encode_utf16().nth(CELL_UNITS_MAX).is_some() {
                    return Err(ExportError::TooLongForCell { column: name.clone(), units_max: CELL_UNITS_MAX });
                }
                if let Some(escaped) = escaped(&text) {
                    let run = [(&CellFormat::default(), escaped.as_str())];
                    return match text.starts_with(FORMULA_STARTS) {
                        true => sheet.write_rich_string_with_format(row, column, &run, &formats.guarded),
                        false => sheet.write_rich_string(row, column, &run),
                    }
                    .map(|_| bytes)
                    .map_err(|error| failed(&error));
                }
                match text.starts_with(FORMULA_STARTS) {
                    true => sheet.write_string_with_format(row, column, text, &formats.guarded),
                    false => sheet.write_string(row, column, text),
                }
            }
        };
        written.map(|_| bytes).map_err(|error| failed(&error))
    }
}

/// What a cell holds.
#[derive(Debug, PartialEq)]
enum SheetCell {
    Blank,
    Text(String),
    /// A number, shown as the column shows its numbers.
    Number(f64),
    /// A moment with fractions of a second, in days.
    Milliseconds(f64),
}

impl SheetCell {
    /// The cell of a value. `written` is its JSON.
    fn of(value: PublishedValue<'_>, written: &[u8]) -> Self {
        let as_text = || Self::Text(String::from_utf8_lossy(written).trim_matches('"').to_owned());
        match value {
            PublishedValue::Null => Self::Blank,
            PublishedValue::Text(text) => Self::Text(text.into_owned()),
            PublishedValue::Point(point) => Self::Text(point.to_string()),
            PublishedValue::Integer(number) => exact(number).map_or_else(as_text, Self::Number),
            PublishedValue::Money(cents) => exact(cents).map_or_else(as_text, |cents| Self::Number(cents / 100.0)),
            PublishedValue::Number(number) => {
                match number == 0.0 || (NUMBER_LEAST..=NUMBER_MAX).contains(&number.abs()) {
                    true => Self::Number(number),
                    false => as_text(),
                }
            }
            PublishedValue::Date(date) => day(date).map_or_else(as_text, Self::Number),
            PublishedValue::Timestamp(moment) => match days(moment) {
                Some((days, true)) => Self::Number(days),
                Some((days, false)) => Self::Milliseconds(days),
                None => as_text(),
            },
        }
    }

    /// About how many bytes it takes on the disk.
    fn stored_bytes(&self) -> u64 {
        match self {
            Self::Blank => 0,
            // All digits of a number are written, be there hundreds of zeros.
            Self::Number(number) if *number != 0.0 && !PLAIN_NUMBERS.contains(&number.abs()) => LONG_NUMBER_BYTES,
            Self::Number(_) | Self::Milliseconds(_) => NUMBER_BYTES,
            Self::Text(text) => {
                let escaped = text.bytes().map(|byte| match byte {
                    b'&' | b'<' | b'>' => 5,
                    0..=0x1f | b'_' => 7,
                    _ => 1,
                });
                TEXT_BYTES + escaped.sum::<u64>()
            }
        }
    }

    /// About how many characters it shows.
    fn width(&self) -> usize {
        match self {
            Self::Blank => 0,
            Self::Text(text) => text.chars().take(WIDTH_MAX).count() + 1,
            // A day; longer numbers are rare, and seen by widening the column.
            Self::Number(_) => "yyyy-mm-dd ".len(),
            Self::Milliseconds(_) => "yyyy-mm-dd hh:mm:ss.000 ".len(),
        }
    }
}

/// A text in which a `_` stands escaped where it would begin an escape, if there is a place where rust_xlsxwriter does not do so: it writes
/// `_x0041` with a control character behind it as `_x0041_x0000_`, which is read as `A` and `x0000_`. It escapes none of a text of runs.
fn escaped(text: &str) -> Option<String> {
    let is_escaped = |c: char| c < ' ' && !matches!(c, '\t' | '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
    // Whether so many characters of `rest` are an escape, and whether what follows them is written as one.
    let looks = |rest: &str| {
        let code = rest.strip_prefix("_x").and_then(|rest| rest.split_at_checked(4));
        let (_, behind) = code.filter(|(code, _)| code.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        behind.chars().next().filter(|next| *next == '_' || is_escaped(*next)).map(is_escaped)
    };
    if !text.match_indices("_x").any(|(at, _)| text.get(at..).and_then(looks) == Some(true)) {
        return None;
    }
    let mut escaped = String::with_capacity(text.len() + 6);
    for (at, c) in text.char_indices() {
        escaped.push(c);
        if c == '_' && text.get(at..).and_then(looks).is_some() {
            escaped.push_str("x005F_");
        }
    }
    Some(escaped)
}

/// The number, if Excel shows all of its digits.
fn exact(number: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "it has at most 15 digits")]
    let exact = number as f64;
    (number.unsigned_abs() < DIGITS_END).then_some(exact)
}

/// Excel's number of a day, if its calendar has the day.
fn day(date: Date) -> Option<f64> {
    // The day before the first, by the count before and after the day that does not exist.
    let epoch = match date {
        date if date < CALENDAR_BEGIN => return None,
        date if date < CALENDAR_PLAIN => Date::constant(1899, 12, 31),
        _ => Date::constant(1899, 12, 30),
    };
    Some(f64::from(date.since(epoch).ok()?.get_days()))
}

/// Excel's number of a moment in UTC, and whether it is of a whole second. None if Excel's calendar does not have the day, or the moment
/// is finer than a millisecond.
fn days(moment: Timestamp) -> Option<(f64, bool)> {
    let civil: DateTime = Offset::UTC.to_datetime(moment);
    if civil.subsec_nanosecond() % NANOSECONDS_OF_MILLISECOND != 0 {
        return None;
    }
    let seconds = i32::from(civil.hour()) * 3_600 + i32::from(civil.minute()) * 60 + i32::from(civil.second());
    let milliseconds = seconds * 1_000 + civil.subsec_nanosecond() / NANOSECONDS_OF_MILLISECOND;
    let days = day(civil.date())? + f64::from(milliseconds) / MILLISECONDS_OF_DAY;
    Some((days, civil.subsec_nanosecond() == 0))
}

/// Turns a panic into an error. The library panics where it cannot write to its file, as on a full disk; that should not end the thread.
fn contained(write: impl FnOnce() -> Result<(), ExportError>) -> Result<(), ExportError> {
    catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| {
        let reason = "its sheet cannot be kept on the disk, which may be full".to_owned();
        Err(ExportError::Failed { doing: "write a workbook", reason })
    })
}

fn failed(error: &XlsxError) -> ExportError {
    ExportError::failed("write a workbook", error)
}

/// Takes what the workbook writes, and sends it part by part.
struct PartWriter<S, E> {
    send: S,
    part: Vec<u8>,
    failure: Option<E>,
    /// Whether sending has failed. What is still written, by the library that tidies up, is dropped.
    is_over: bool,
}

impl<E, S: FnMut(Vec<u8>) -> Result<(), E>> Write for PartWriter<S, E> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.is_over {
            return Ok(bytes.len());
        }
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART_BYTES {
            let full = std::mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES));
            if let Err(error) = (self.send)(full) {
                (self.failure, self.is_over) = (Some(error), true);
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
