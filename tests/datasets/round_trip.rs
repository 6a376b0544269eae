//! A table of whatever values, written in whatever way, comes back the same through a proposal, an import and an export.

use std::{convert::Infallible, io::Cursor};

use permitd::dataset::{
    Definition, Record,
    definition::Said,
    export::{RowWriter, WorkbookPlace},
    infer::propose,
    json,
    query::{Format, Query},
    reader::{FileRow, ReadLimits, open},
};
use proptest::prelude::*;
use rust_xlsxwriter::Workbook;

/// A kind of column: its header, and values that are texts, each perhaps none.
fn column() -> impl Strategy<Value = (&'static str, Vec<String>)> {
    let of = |header: &'static str, values: BoxedStrategy<String>| {
        proptest::collection::vec(prop_oneof![9 => values, 1 => Just(String::new())], ROWS)
            .prop_map(move |values| (header, values))
    };
    prop_oneof![
        of("remark", "[a-zA-Zéßλ№ ,;|\"'.\n\t+-]{0,12}".boxed()),
        of("count", (-9_999_i64..9_999).prop_map(|number| number.to_string()).boxed()),
        of("large", any::<i64>().prop_map(|number| number.to_string()).boxed()),
        of("measure", (-99_999_i64..99_999, 1_u32..7).prop_map(|(digits, places)| decimal(digits, places)).boxed()),
        of(
            "exact",
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| number.to_string())
                .boxed()
        ),
        of("cost", (-99_999_i64..99_999).prop_map(|cents| decimal(cents, 2)).boxed()),
        of("padded", "0[0-9]{1,6}".boxed()),
        of("digits", "[0-9]{15,22}".boxed()),
        of("day", (1950_i16..2090, 1_i8..13, 1_i8..29).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}")).boxed()),
        of("american", (1950_i16..2090, 1_i8..13, 1_i8..29).prop_map(|(y, m, d)| format!("{m}/{d}/{y}")).boxed()),
        of(
            "moment",
            (0_i64..4_000_000_000, 0_i32..1_000_000_000)
                .prop_map(|(s, n)| jiff::Timestamp::new(s, n).unwrap().to_string())
                .boxed()
        ),
        of("share", (0_u32..1_000).prop_map(|tenths| format!("{}%", f64::from(tenths) / 10.0)).boxed()),
        of(
            "mixed",
            prop_oneof![
                Just("1,234".to_owned()),
                Just("1.234".to_owned()),
                Just("n/a".to_owned()),
                Just("TRUE".to_owned()),
                Just("1E5".to_owned())
            ]
            .boxed()
        ),
    ]
}

const ROWS: usize = 12;

fn decimal(digits: i64, places: u32) -> String {
    let scale = 10_i64.pow(places);
    let sign = if digits < 0 { "-" } else { "" };
    let (whole, rest) = (digits.unsigned_abs() / scale.unsigned_abs(), digits.unsigned_abs() % scale.unsigned_abs());
    format!("{sign}{whole}.{rest:0width$}", width = places as usize)
}

/// A table: its header and its rows, each with a key.
#[derive(Debug, Clone)]
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn table() -> impl Strategy<Value = Table> {
    proptest::collection::vec(column(), 1..6).prop_map(|columns| {
        let mut header = vec!["case no".to_owned()];
        header.extend(
            columns
                .iter()
                .enumerate()
                .map(|(nth, (name, _))| format!("{name} {}", ['a', 'b', 'c', 'd', 'e', 'f'][nth])),
        );
        let row = |nth: usize| {
            std::iter::once(format!("K{nth}")).chain(columns.iter().map(|(_, values)| values[nth].clone())).collect()
        };
        Table { header, rows: (0..ROWS).map(row).collect() }
    })
}

/// How a text file is written.
#[derive(Debug, Clone, Copy)]
struct Style {
    delimiter: u8,
    always_quoted: bool,
    crlf: bool,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    Utf8,
    Utf8Marked,
    Utf16Le,
    Utf16Be,
}

fn style() -> impl Strategy<Value = Style> {
    let encoding =
        prop_oneof![Just(Encoding::Utf8), Just(Encoding::Utf8Marked), Just(Encoding::Utf16Le), Just(Encoding::Utf16Be)];
    (prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')], any::<bool>(), any::<bool>(), encoding)
        .prop_map(|(delimiter, always_quoted, crlf, encoding)| Style { delimiter, always_quoted, crlf, encoding })
}

fn written(table: &Table, style: Style) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(style.delimiter)
        .quote_style(if style.always_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
        .terminator(if style.crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
        .from_writer(Vec::new());
    writer.write_record(&table.header).unwrap();
    table.rows.iter().for_each(|row| writer.write_record(row).unwrap());
    let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    let marked = format!("\u{feff}{text}");
    match style.encoding {
        Encoding::Utf8 => text.into_bytes(),
        Encoding::Utf8Marked => marked.into_bytes(),
        Encoding::Utf16Le => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Utf16Be => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

fn workbook(table: &Table) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (line, row) in (0..).zip(std::iter::once(&table.header).chain(&table.rows)) {
        for (column, text) in (0..).zip(row) {
            if !text.is_empty() {
                sheet.write_string(line, column, text).unwrap();
            }
        }
    }
    workbook.save_to_buffer().unwrap()
}

fn read(bytes: &[u8], name: &str, definition: &Definition) -> Vec<Record> {
    let source = open(Cursor::new(bytes.to_vec()), name, definition, &ReadLimits::default()).unwrap();
    let record = |row: Result<FileRow, _>| match row.unwrap() {
        FileRow::Record { record, .. } => record,
        rejected @ FileRow::Rejected { .. } => panic!("{rejected:?}"),
    };
    source.map(record).collect()
}

fn exported(definition: &Definition, records: &[Record], format: Format) -> Vec<u8> {
    let query = Query { format: Some(format), ..Query::everything(1) };
    let place = WorkbookPlace { folder: std::env::temp_dir(), bytes_max: u64::MAX };
    let mut writer = RowWriter::new(definition, &query, &place).unwrap();
    let mut out = Vec::new();
    writer.begin(&mut out).unwrap();
    for record in records {
        let values: Vec<Vec<u8>> = record
            .values
            .iter()
            .map(|value| {
                let mut text = Vec::new();
                json::write_value(value, &mut text);
                text
            })
            .collect();
        writer.row(values.iter().map(Vec::as_slice), &mut out).unwrap();
    }
    let mut file = Vec::new();
    let Ok(()) = writer
        .finish(out, |part| {
            file.extend(part);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    file
}

/// Whether a published value says what the file said.
fn says(shown: &str, written: &str, is_date: bool) -> bool {
    let written = written.trim();
    if shown == written {
        return true;
    }
    if is_date {
        let parts: Vec<&str> = written.split('/').collect();
        return match parts[..] {
            [month, day, year] => shown == format!("{year}-{month:0>2}-{day:0>2}"),
            _ => shown
                .parse::<jiff::Timestamp>()
                .is_ok_and(|shown| written.parse().is_ok_and(|written: jiff::Timestamp| shown == written)),
        };
    }
    // `5.10` and 5.1 are one number, and so are 1,234 and 1234 where another column shows what a point is.
    let number = |text: &str| text.replace(',', "").parse::<f64>().ok().map(|number| number + 0.0);
    number(shown).is_some() && number(shown) == number(written)
}

fn check(bytes: &[u8], name: &str, table: &Table) -> Result<(), TestCaseError> {
    let toml = propose(Cursor::new(bytes.to_vec()), name, "some", &Said::default(), &ReadLimits::default()).unwrap();
    let definition = Definition::from_toml(&toml, "some.toml").unwrap();
    let records = read(bytes, name, &definition);
    prop_assert_eq!(records.len(), ROWS);
    for (record, row) in records.iter().zip(&table.rows) {
        for (header, written) in table.header.iter().zip(row) {
            let place = definition.column_index(&header.replace(' ', "_"));
            let place = place.unwrap_or_else(|| panic!("{header} is not published\n{toml}"));
            let value = &record.values[place];
            let field = definition.source.fields.iter().find(|field| field.target == Some(place));
            let mut blanks = field.into_iter().flat_map(|field| &field.blanks);
            let is_blank = written.trim().is_empty() || blanks.any(|blank| blank.eq_ignore_ascii_case(written.trim()));
            if is_blank {
                prop_assert!(value.is_null(), "{header} {written:?} {value:?}");
                continue;
            }
            let mut shown = Vec::new();
            json::write_value(value, &mut shown);
            let shown = String::from_utf8(shown).unwrap();
            let shown = if shown.starts_with('"') { serde_json::from_str(&shown).unwrap() } else { shown };
            let is_text = definition.column_kind(place).as_str() == "text";
            let is_date = ["date", "timestamp"].contains(&definition.column_kind(place).as_str());
            let same = if is_text { shown == written.trim() } else { says(&shown, written, is_date) };
            prop_assert!(same, "{header}: {written:?} is published as {shown:?}\n{toml}");
        }
    }
    // What is exported is imported with nothing changed.
    for (format, name) in
        [(Format::Csv, "export.csv"), (Format::Ndjson, "export.ndjson"), (Format::Xlsx, "export.xlsx")]
    {
        let mut kept = records.clone();
        for (nth, record) in kept.iter_mut().enumerate() {
            record.values[definition.record_id] = permitd::dataset::Value::Integer(i64::try_from(nth).unwrap() + 1);
        }
        let again = read(&exported(&definition, &kept, format), name, &definition);
        prop_assert_eq!(&again, &kept, "{}\n{}", name, &toml);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn any_text_file_comes_back(table in table(), style in style()) {
        // Among tabs and bars, lines that are each a row could be two rows with marks in their texts.
        let delimiter = char::from(style.delimiter);
        let is_unsure = |text: &String| text.contains('\n') && text.contains(delimiter);
        prop_assume!(matches!(delimiter, ',' | ';') || !table.rows.iter().flatten().any(is_unsure));
        let name = if style.delimiter == b'\t' { "some.tsv" } else { "some.csv" };
        check(&written(&table, style), name, &table)?;
    }

    #[test]
    fn any_workbook_comes_back(table in table()) {
        check(&workbook(&table), "some.xlsx", &table)?;
    }
}
