//! What is written in binary forms, read by other libraries.

use std::{convert::Infallible, io::Cursor};

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, TimeUnit};
use calamine::{Data, Reader, Xlsx};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::reader::FileReader};
use proptest::prelude::*;

use super::*;
use crate::dataset::{ColumnType, Value, json, samples};

const COLUMNS: [(&str, &str); 7] = [
    ("number", "text"),
    ("record_id", "integer"),
    ("cost", "money"),
    ("size", "number"),
    ("day", "date"),
    ("moment", "timestamp"),
    ("note", "text"),
];

fn definition() -> Definition {
    samples::definition("things", &COLUMNS)
}

fn query(format: Format) -> Query {
    Query { format: Some(format), ..Query::everything(1) }
}

fn place() -> WorkbookPlace {
    WorkbookPlace { folder: std::env::temp_dir(), bytes_max: u64::MAX }
}

/// A row of values by their canonical texts; an empty one is null.
fn row(values: [&str; 7]) -> Vec<Value> {
    let kinds = definition().columns.into_iter().map(|column| column.kind);
    let parse = |(kind, text): (ColumnType, &str)| match (kind, text) {
        (_, "") => Value::Null,
        // The parser takes none so low: nothing in a file is.
        (ColumnType::Money, "-92233720368547758.08") => Value::Money(i64::MIN),
        _ => Value::parse(kind, text).unwrap(),
    };
    kinds.zip(values).map(parse).collect()
}

fn jsons(values: &[Value]) -> Vec<Vec<u8>> {
    let written = |value: &Value| {
        let mut out = Vec::new();
        json::write_value(value, &mut out);
        out
    };
    values.iter().map(written).collect()
}

fn try_written(query: &Query, rows: &[Vec<Value>], place: &WorkbookPlace) -> Result<Vec<u8>, ExportError> {
    let definition = definition();
    let mut writer = RowWriter::new(&definition, query, place)?;
    let (mut ready, mut out) = (Vec::new(), Vec::new());
    writer.begin(&mut ready)?;
    for values in rows {
        let values = jsons(values);
        match &query.select {
            None => writer.row(values.iter().map(Vec::as_slice), &mut ready)?,
            Some(select) => writer.row(select.iter().map(|place| values[*place].as_slice()), &mut ready)?,
        }
    }
    let Ok(()) = writer.finish(ready, |part| {
        out.extend(part);
        Ok::<(), Infallible>(())
    })?;
    Ok(out)
}

fn written(format: Format, rows: &[Vec<Value>]) -> Vec<u8> {
    try_written(&query(format), rows, &place()).unwrap()
}

fn parquet_read(file: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().build().unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

fn arrow_read(file: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(Cursor::new(file), None).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The values of batches, as this crate has them.
fn values(batches: &[RecordBatch]) -> Vec<Vec<Value>> {
    let value = |batch: &RecordBatch, column: usize, row: usize| {
        let array = batch.column(column);
        if array.is_null(row) {
            return Value::Null;
        }
        match array.data_type() {
            DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
            DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
            DataType::Decimal128(19, 2) => {
                Value::Money(i64::try_from(array.as_primitive::<Decimal128Type>().value(row)).unwrap())
            }
            DataType::Float64 => Value::Number(array.as_primitive::<Float64Type>().value(row)),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().value(row);
                let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
                Value::Date(day)
            }
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                let microseconds = array.as_primitive::<TimestampMicrosecondType>().value(row);
                Value::Timestamp(jiff::Timestamp::from_microsecond(microseconds).unwrap())
            }
            other => panic!("{other}"),
        }
    };
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    rows.map(|(batch, row)| (0..batch.num_columns()).map(|column| value(batch, column, row)).collect()).collect()
}

fn edges() -> Vec<Vec<Value>> {
    vec![
        row(["a", "1", "4000.00", "37.78", "2016-12-01", "2016-12-01T09:30:00Z", "plain"]),
        row([
            "ü½漢\u{10ffff}",
            "9223372036854775807",
            "92233720368547758.07",
            "-0",
            "9999-12-31",
            "9999-12-30T22:00:00Z",
            "\"\\\n\t\u{1}",
        ]),
        row([
            "b",
            "-9223372036854775808",
            "-92233720368547758.08",
            "1.7976931348623157e308",
            "0001-01-01",
            "0001-01-01T00:00:00Z",
            "=1+1",
        ]),
        row(["c", "-1", "-0.05", "5e-324", "1969-12-31", "1969-12-31T23:59:59.999999Z", "_x0041_"]),
        row(["d", "", "", "", "", "", ""]),
    ]
}

/// Equal also in the sign of zero.
fn assert_same(left: &[Vec<Value>], right: &[Vec<Value>]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().flatten().zip(right.iter().flatten()) {
        assert!(left.total_cmp(right).is_eq(), "{left:?} is not {right:?}");
    }
}

#[test]
fn columns_have_the_types_of_the_definition_and_their_values() {
    let (parquet, arrow) =
        (parquet_read(written(Format::Parquet, &edges())), arrow_read(&written(Format::Arrow, &edges())));
    for batches in [parquet, arrow] {
        let schema = batches[0].schema();
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let expected = [
            &DataType::Utf8,
            &DataType::Int64,
            &DataType::Decimal128(19, 2),
            &DataType::Float64,
            &DataType::Date32,
            &moment,
            &DataType::Utf8,
        ];
        assert_eq!(types, expected);
        assert!(
            schema.fields().iter().zip(COLUMNS).all(|(field, (name, _))| field.is_nullable() && field.name() == name)
        );
        assert_same(&values(&batches), &edges());
    }
}

#[test]
fn numbers_are_texts_where_that_is_asked_for() {
    for format in [Format::Parquet, Format::Arrow] {
        let query = Query { numbers_as_texts: true, select: Some(vec![2, 1, 3]), ..query(format) };
        let file = try_written(&query, &edges(), &place()).unwrap();
        let read = values(&if format == Format::Parquet { parquet_read(file) } else { arrow_read(&file) });
        let texts = |row: &Vec<Value>| -> Vec<Value> {
            let text = |value: &Value| if value.is_null() { Value::Null } else { Value::Text(value.to_string()) };
            vec![text(&row[2]), text(&row[1]), row[3].clone()]
        };
        assert_same(&read, &edges().iter().map(texts).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_is_a_file_with_columns_and_no_rows() {
    assert_eq!(values(&parquet_read(written(Format::Parquet, &[]))), Vec::<Vec<Value>>::new());
    let arrow = written(Format::Arrow, &[]);
    let reader = StreamReader::try_new(Cursor::new(&arrow), None).unwrap();
    assert_eq!(reader.schema().fields().len(), 7);
    assert_eq!(reader.count(), 0);
    assert_eq!(sheet(written(Format::Xlsx, &[])).len(), 1);
}

/// A row of some bytes that no compression makes fewer, none like another.
fn long(number: u32) -> Vec<Value> {
    let mut state = u64::from(number) + 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state % 64).unwrap())
    };
    let note: String = (0..640).map(letter).collect();
    row([&number.to_string(), &number.to_string(), "1.00", "", "", "", &note])
}

#[test]
fn many_rows_come_in_groups_of_bounded_size_and_in_parts() {
    let definition = definition();
    for format in [Format::Parquet, Format::Arrow] {
        let mut writer = RowWriter::new(&definition, &query(format), &place()).unwrap();
        let (mut ready, mut out, mut bursts) = (Vec::new(), Vec::new(), 0);
        writer.begin(&mut ready).unwrap();
        for number in 0..60_000 {
            let values = jsons(&long(number));
            writer.row(values.iter().map(Vec::as_slice), &mut ready).unwrap();
            assert!(ready.len() < 24 * 1024 * 1024, "{format:?}: {} bytes at once", ready.len());
            bursts += usize::from(ready.len() > 1024);
            out.append(&mut ready);
        }
        let ended = writer.finish(ready, |part| {
            out.extend(part);
            Ok::<(), Infallible>(())
        });
        assert!(matches!(ended, Ok(Ok(()))));
        assert!(bursts > 0, "{format:?}");
        let batches = match format {
            Format::Arrow => arrow_read(&out),
            _ => {
                let reader = parquet::file::reader::SerializedFileReader::new(bytes::Bytes::from(out.clone())).unwrap();
                assert!(reader.metadata().num_row_groups() > 1);
                parquet_read(out)
            }
        };
        assert!(batches.iter().all(|batch| batch.num_rows() <= 8192));
        let read = values(&batches);
        assert_eq!(read.len(), 60_000);
        assert_same(&read[59_990..], &(59_990..60_000).map(long).collect::<Vec<_>>());
    }
}

#[test]
fn what_breaks_off_is_not_taken_for_whole() {
    let definition = definition();
    for format in [Format::Parquet, Format::Arrow] {
        let mut writer = RowWriter::new(&definition, &query(format), &place()).unwrap();
        let mut ready = Vec::new();
        writer.begin(&mut ready).unwrap();
        let mut cuts = vec![ready.clone()];
        for number in 0..40_000 {
            let values = jsons(&long(number));
            let before = ready.len();
            writer.row(values.iter().map(Vec::as_slice), &mut ready).unwrap();
            if ready.len() > before {
                cuts.push(ready.clone());
            }
        }
        assert!(cuts.len() > 1, "{format:?}");
        for cut in [&cuts[0], &cuts[1], cuts.last().unwrap()] {
            let is_refused = match format {
                Format::Arrow => StreamReader::try_new(Cursor::new(cut), None)
                    .map_or(true, |reader| reader.collect::<Result<Vec<_>, _>>().is_err()),
                _ => ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(cut.clone())).is_err(),
            };
            assert!(is_refused, "{format:?}, cut after {} bytes", cut.len());
        }
    }
}

#[test]
fn a_value_that_a_format_does_not_hold_is_refused() {
    let fine = row(["a", "1", "", "", "", "2016-12-01T09:30:00.0000001Z", ""]);
    for format in [Format::Parquet, Format::Arrow] {
        let refused = try_written(&query(format), std::slice::from_ref(&fine), &place()).unwrap_err();
        assert!(matches!(&refused, ExportError::TooPrecise { column } if column == "moment"), "{refused}");
    }
    let long = |chars: usize, text: &str| row([&text.repeat(chars), "1", "", "", "", "", ""]);
    assert_eq!(sheet(written(Format::Xlsx, &[long(32_767, "a")])).len(), 2);
    for values in [long(32_768, "a"), long(16_384, "😀")] {
        let refused = try_written(&query(Format::Xlsx), &[values], &place()).unwrap_err();
        assert!(matches!(&refused, ExportError::TooLongForCell { column, .. } if column == "number"), "{refused}");
    }
    let nowhere = WorkbookPlace { folder: place().folder.join("permitd-has-no-such-folder"), ..place() };
    let refused = try_written(&query(Format::Xlsx), &[], &nowhere).unwrap_err();
    assert!(matches!(refused, ExportError::Failed { doing: "write a workbook", .. }), "{refused}");
    let narrow = WorkbookPlace { bytes_max: 100_000, ..place() };
    let refused = try_written(
        &query(Format::Xlsx),
        &[long(32_767, "a"), long(32_767, "a"), long(32_767, "a"), long(10_000, "a")],
        &narrow,
    )
    .unwrap_err();
    assert!(matches!(refused, ExportError::TooLargeWorkbook { bytes_max: 100_000 }), "{refused}");
}

#[test]
fn a_sheet_has_as_many_records_as_excel_has_rows_and_no_more() {
    let definition = definition();
    let query = Query { select: Some(vec![0]), ..query(Format::Xlsx) };
    let mut writer = RowWriter::new(&definition, &query, &place()).unwrap();
    let (null, last): (&[u8], &[u8]) = (b"null", b"\"the last\"");
    for _ in 1..WORKBOOK_RECORDS_MAX {
        writer.row([null], &mut Vec::new()).unwrap();
    }
    writer.row([last], &mut Vec::new()).unwrap();
    let refused = writer.row([null], &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, ExportError::TooManyRecords { records_max: 1_048_575 }), "{refused}");
    assert!(refused.to_string().contains("format=parquet"), "{refused}");
    let mut file = Vec::new();
    let ended = writer.finish(Vec::new(), |part| {
        file.extend(part);
        Ok::<(), Infallible>(())
    });
    assert!(matches!(ended, Ok(Ok(()))));
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).unwrap();
    let range = workbook.worksheet_range("things").unwrap();
    assert_eq!(range.get_value((1_048_575, 0)), Some(&Data::String("the last".to_owned())));
}

/// The cells of a workbook, the row of names first.
fn sheet(file: Vec<u8>) -> Vec<Vec<Data>> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).unwrap();
    assert_eq!(workbook.sheet_names(), ["things"]);
    let range = workbook.worksheet_range("things").unwrap();
    range.rows().map(<[Data]>::to_vec).collect()
}

#[test]
fn cells_show_what_the_records_say() {
    let rows = [
        row(["=1+1", "1", "4000.50", "-122.25", "2016-12-01", "2016-12-01T12:00:00Z", "_x0041_\r\n\u{1}\u{fffe} "]),
        row(["00123", "999999999999999", "-9999999999999.99", "0", "1900-01-01", "1900-03-01T06:00:00.5Z", "a"]),
        row(["b", "1000000000000000", "10000000000000.00", "5e-324", "1899-12-31", "9999-12-30T22:00:00.0001Z", "@x"]),
        row([
            "c",
            "-9223372036854775808",
            "-92233720368547758.08",
            "1.7976931348623157e308",
            "9999-12-31",
            "1900-02-28T00:00:00Z",
            "-x",
        ]),
        row(["d", "", "", "", "", "", ""]),
    ];
    let cells = sheet(written(Format::Xlsx, &rows));
    let shown: Vec<Vec<String>> = cells
        .iter()
        .map(|row| {
            let shown = |cell: &Data| match cell {
                Data::Empty => String::new(),
                Data::String(text) => format!("'{text}"),
                Data::Float(number) => number.to_string(),
                Data::DateTime(moment) => format!("day {}", moment.as_f64()),
                other => panic!("{other:?}"),
            };
            row.iter().map(shown).collect()
        })
        .collect();
    let expected = [
        vec!["'number", "'record_id", "'cost", "'size", "'day", "'moment", "'note"],
        vec!["'=1+1", "1", "4000.5", "-122.25", "day 42705", "day 42705.5", "'_x0041_\r\n\u{1}\u{fffe} "],
        vec!["'00123", "999999999999999", "-9999999999999.99", "0", "day 1", "day 61.25000578703704", "'a"],
        vec!["'b", "'1000000000000000", "'10000000000000.00", "'0", "'1899-12-31", "'9999-12-30T22:00:00.0001Z", "'@x"],
        vec!["'c", "'-9223372036854775808", "'-92233720368547758.08", "'1", "day 2958465", "day 59", "'-x"],
        vec!["'d", "", "", "", "", "", ""],
    ];
    for (shown, expected) in shown.iter().zip(expected) {
        for (nth, (shown, expected)) in shown.iter().zip(expected).enumerate() {
            // The texts of extreme numbers are long: only their first characters are compared.
            let is_same =
                if nth == 3 && expected.starts_with('\'') { shown.starts_with(expected) } else { shown == expected };
            assert!(is_same, "{shown:?} is not {expected:?}");
        }
    }
    assert_eq!(shown.len(), 6);
}

#[test]
fn a_sheet_has_a_row_of_names_that_stays_a_filter_and_widths() {
    let file = written(
        Format::Xlsx,
        &[row(["=a", "1", "1.00", "", "2016-12-01", "2016-12-01T12:00:00.25Z", &"long ".repeat(40)])],
    );
    assert_eq!(
        file,
        written(
            Format::Xlsx,
            &[row(["=a", "1", "1.00", "", "2016-12-01", "2016-12-01T12:00:00.25Z", &"long ".repeat(40)])]
        ),
        "two exports of one version are one file"
    );
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut part = |name: &str| std::io::read_to_string(archive.by_name(name).unwrap()).unwrap();
    let (sheet, styles) = (part("xl/worksheets/sheet1.xml"), part("xl/styles.xml"));
    assert!(sheet.contains(r#"<autoFilter ref="A1:G2"/>"#), "{sheet}");
    assert!(sheet.contains(r#"<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>"#), "{sheet}");
    assert!(sheet.contains(r#"<col min="7" max="7" width="60"#), "{sheet}");
    assert!(!sheet.contains("<f>"), "{sheet}");
    assert!(
        styles.contains("<b/>") && styles.contains("quotePrefix=\"1\"") && styles.contains("yyyy-mm-dd hh:mm:ss.000"),
        "{styles}"
    );
}

#[test]
fn a_workbook_that_nobody_takes_ends() {
    let definition = definition();
    let mut writer = RowWriter::new(&definition, &query(Format::Xlsx), &place()).unwrap();
    for number in 0..5_000 {
        let values = jsons(&long(number));
        writer.row(values.iter().map(Vec::as_slice), &mut Vec::new()).unwrap();
    }
    let mut parts = 0;
    let ended = writer.finish(Vec::new(), |_| {
        parts += 1;
        Err::<(), _>("nobody is there")
    });
    assert!(matches!(ended, Ok(Err("nobody is there"))));
    assert_eq!(parts, 1, "nothing is sent after a failure");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_as_it_was(texts in proptest::collection::vec("\\PC{0,40}|[\\x00-\\x20_x0-9A-F]{1,20}|_x[0-9A-F]{4}_|(_x[0-9A-Fa-f]{4}[\\x00-\\x0f_]?){1,3}", 1..20)) {
        let rows: Vec<Vec<Value>> = texts.iter().map(|text| {
            let mut values = row(["", "1", "", "", "", "", "z"]);
            values[0] = Value::Text(text.clone());
            values
        }).collect();
        assert_same(&values(&parquet_read(written(Format::Parquet, &rows))), &rows);
        assert_same(&values(&arrow_read(&written(Format::Arrow, &rows))), &rows);
        let cells = sheet(written(Format::Xlsx, &rows));
        prop_assert_eq!(cells.len(), rows.len() + 1);
        for (cells, text) in cells[1..].iter().zip(&texts) {
            let expected = if text.is_empty() { Data::Empty } else { Data::String(text.clone()) };
            prop_assert_eq!(&cells[0], &expected);
        }
    }
}
