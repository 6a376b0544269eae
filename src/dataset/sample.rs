//! Generates a report of issued permits with the shape and statistics of a real month: the same 41 columns with the doubled
//! `STREET_NUMBER`, repeated numbers, skewed costs, and the traps of the real sheets. Everything personal is invented: names are words,
//! telephone numbers come from the range reserved for fiction.
//!
//! The same seed gives the same bytes. Rows are written as they are made, in constant memory.

use std::io::{Seek, Write};

use jiff::civil::Date;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format as CellFormat, Workbook, XlsxError};

use row::{SampleCell, SampleRows};

mod row;
mod words;

/// The most rows of a sample. A worksheet holds fewer: [`SHEET_ROWS_MAX`].
pub const ROWS_MAX: u64 = 20_000_000;
/// The most rows of a sample as .xlsx: what a worksheet holds below its header.
pub const SHEET_ROWS_MAX: u64 = 1_048_575;

/// The format of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// Comma-separated, dates as `12/1/2016`.
    Csv,
    /// A workbook of one sheet, dates as dates.
    Xlsx,
}

/// Why no sample was made.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// Too few or too many rows.
    #[error("a sample of this format has from 1 to {max} rows, not {rows}")]
    Rows {
        /// The number of rows asked for.
        rows: u64,
        /// The most rows for the format.
        max: u64,
    },
    /// The output failed.
    #[error("the sample cannot be written: {0}")]
    Write(#[from] std::io::Error),
    /// The text output failed.
    #[error("the sample cannot be written: {0}")]
    Csv(#[from] csv::Error),
    /// The workbook failed.
    #[error("the sample workbook cannot be written: {0}")]
    Xlsx(#[from] XlsxError),
}

/// Writes a report of `rows` rows. The first is always the reference record #201612013997, at 235 Bella Vista Wy.
///
/// # Errors
/// When `rows` is out of range or the output fails.
pub fn generate(rows: u64, seed: u64, format: SampleFormat, out: impl Write + Seek + Send) -> Result<(), SampleError> {
    let max = match format {
        SampleFormat::Csv => ROWS_MAX,
        SampleFormat::Xlsx => SHEET_ROWS_MAX,
    };
    if !(1..=max).contains(&rows) {
        return Err(SampleError::Rows { rows, max });
    }
    match format {
        SampleFormat::Csv => write_csv(SampleRows::new(rows, seed), out),
        SampleFormat::Xlsx => write_xlsx(SampleRows::new(rows, seed), out),
    }
}

fn write_csv(rows: SampleRows, out: impl Write) -> Result<(), SampleError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(words::HEADERS)?;
    let mut text = String::new();
    for row in rows {
        for cell in row {
            text.clear();
            match cell {
                SampleCell::Blank => {}
                SampleCell::Text(word) => text.push_str(&word),
                SampleCell::Integer(number) => text.push_str(&number.to_string()),
                SampleCell::Cents(cents) if cents % 100 == 0 => text.push_str(&(cents / 100).to_string()),
                SampleCell::Cents(cents) => text.push_str(&format!("{}.{:02}", cents / 100, cents % 100)),
                SampleCell::Date(date) => text.push_str(&format!("{}/{}/{}", date.month(), date.day(), date.year())),
            }
            writer.write_field(&text)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()?;
    Ok(())
}

fn write_xlsx(rows: SampleRows, out: impl Write + Seek + Send) -> Result<(), SampleError> {
    let mut workbook = Workbook::new();
    // The current time would make every file different.
    let created = ExcelDateTime::from_ymd(2017, 1, 3)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let day = CellFormat::new().set_num_format("m/d/yyyy");
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name("permits")?;
    for (column, header) in (0..).zip(words::HEADERS) {
        sheet.write_string(0, column, header)?;
    }
    for (line, row) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(row) {
            match cell {
                SampleCell::Blank => {}
                SampleCell::Text(word) => {
                    sheet.write_string(line, column, word)?;
                }
                SampleCell::Integer(number) => {
                    sheet.write_number(line, column, as_float(number))?;
                }
                SampleCell::Cents(cents) => {
                    sheet.write_number(line, column, as_float(cents) / 100.0)?;
                }
                SampleCell::Date(date) => {
                    sheet.write_number_with_format(line, column, serial(date), &day)?;
                }
            }
        }
    }
    workbook.save_to_writer(out)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "generated numbers are far below 2^53")]
fn as_float(number: i64) -> f64 {
    number as f64
}

/// Excel's number of a day after February 1900.
fn serial(date: Date) -> f64 {
    let epoch = Date::constant(1899, 12, 30);
    f64::from(date.since(epoch).map_or(0, |span| span.get_days()))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, io::Cursor};

    use super::*;
    use crate::dataset::{
        Definition,
        json::write_record,
        reader::{FileRow, ReadLimits, open},
    };

    fn sample(rows: u64, seed: u64, format: SampleFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        generate(rows, seed, format, &mut out).unwrap();
        out.into_inner()
    }

    fn permits() -> Definition {
        Definition::builtin().unwrap().remove(0)
    }

    fn import(bytes: Vec<u8>) -> Vec<(String, String)> {
        let definition = permits();
        let rows = open(Cursor::new(bytes), "sample", &definition, &ReadLimits::default()).unwrap();
        assert!(rows.header().unmatched.is_empty() && rows.header().absent.is_empty());
        rows.map(|row| match row.unwrap() {
            FileRow::Record { key, record, .. } => {
                let mut json = Vec::new();
                write_record(&definition, &record, &mut json);
                (key, String::from_utf8(json).unwrap())
            }
            rejected @ FileRow::Rejected { .. } => panic!("{rejected:?}"),
        })
        .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        for format in [SampleFormat::Csv, SampleFormat::Xlsx] {
            assert_eq!(sample(300, 7, format), sample(300, 7, format));
            assert_ne!(sample(300, 7, format), sample(300, 8, format));
        }
    }

    #[test]
    fn both_formats_hold_the_same_records() {
        let csv = import(sample(2_000, 1, SampleFormat::Csv));
        assert_eq!(csv.len(), 2_000);
        assert_eq!(csv, import(sample(2_000, 1, SampleFormat::Xlsx)));
    }

    #[test]
    fn the_reference_record_is_there_once() {
        let rows = import(sample(5_000, 3, SampleFormat::Csv));
        let reference: Vec<&String> =
            rows.iter().filter(|(key, _)| key == "#201612013997").map(|(_, json)| json).collect();
        assert_eq!(reference.len(), 1);
        assert!(reference[0].contains(r#""address":"235 Bella Vista Wy""#));
        assert!(reference[0].contains(r#""estimated_cost":9399.00"#));
        assert_eq!(import(sample(1, 3, SampleFormat::Csv)).len(), 1);
    }

    #[test]
    fn the_statistics_are_those_of_a_real_month() {
        let rows = import(sample(21_660, 11, SampleFormat::Csv));
        let mut by_number: HashMap<&str, usize> = HashMap::new();
        for (key, _) in &rows {
            *by_number.entry(key).or_default() += 1;
        }
        // In the real month 124 numbers cover 275 of 2,166 rows; here ten times as many.
        let repeated: Vec<usize> = by_number.values().copied().filter(|count| *count > 1).collect();
        assert!((1_000..1_500).contains(&repeated.len()), "{}", repeated.len());
        assert!((2_300..3_200).contains(&repeated.iter().sum::<usize>()));
        let having = |text: &str| rows.iter().filter(|(_, json)| json.contains(text)).count();
        assert!((1..40).contains(&having(r#""estimated_cost":null"#)));
        assert!((1_800..3_200).contains(&having(r#""estimated_cost":1.00"#)));
        for trap in ["½", r#""street_suffix":null"#, "03RD", "3rd St", r#""unit":0"#, "FLOOR #1", "CAFÉ", " #"] {
            assert!(having(trap) > 0, "{trap}");
        }
        assert!(
            rows.iter().all(|(_, json)| !json.contains("41555501") && !json.contains("SAMPLEMAN")),
            "telephones are not published"
        );
    }

    #[test]
    fn rows_out_of_range_are_refused() {
        let mut out = Cursor::new(Vec::new());
        for rows in [0, SHEET_ROWS_MAX + 1] {
            assert!(matches!(generate(rows, 1, SampleFormat::Xlsx, &mut out), Err(SampleError::Rows { .. })));
        }
    }
}
