//! Rows as lines of text: NDJSON, or CSV as of RFC 4180.

use super::published;
use crate::dataset::{
    Column, json,
    query::{Format, Query},
};

/// Characters with which a CSV cell must not begin, because a spreadsheet would take it for a formula (OWASP, "CSV Injection").
pub(super) const FORMULA_STARTS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '＠'];

/// Writes rows as lines, each from the JSON of its values.
#[derive(Debug, Clone)]
pub(super) struct TextRows {
    format: Format,
    csv_safe: bool,
    bom: bool,
    delimiter: u8,
    /// The text before each value in NDJSON, the column's name in CSV.
    before: Vec<Vec<u8>>,
    /// For each value, whether a number is written as a text.
    as_text: Vec<bool>,
}

impl TextRows {
    /// Writes these columns in the form that the query asks for: CSV, or NDJSON.
    pub(super) fn new(columns: &[&Column], query: &Query, format: Format) -> Self {
        let before = columns.iter().enumerate().map(|(nth, column)| {
            if format == Format::Csv {
                return column.name.as_bytes().to_vec();
            }
            let mut before = vec![if nth == 0 { b'{' } else { b',' }];
            json::write_string(&column.name, &mut before);
            before.push(b':');
            before
        });
        let as_text = columns.iter().map(|column| query.numbers_as_texts && json::may_be_text(column.kind));
        Self {
            format,
            csv_safe: query.csv_safe,
            bom: query.bom,
            delimiter: query.delimiter.unwrap_or_default().byte(),
            before: before.collect(),
            as_text: as_text.collect(),
        }
    }

    /// Appends what precedes the first row: in CSV the names of the columns.
    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            if self.bom {
                out.extend_from_slice("\u{feff}".as_bytes());
            }
            for (nth, name) in self.before.iter().enumerate() {
                if nth > 0 {
                    out.push(self.delimiter);
                }
                out.extend_from_slice(name);
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends a row of values, each as [`json::write_value`] writes it, in the order of the columns.
    pub(super) fn row<'v>(&self, values: impl IntoIterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        for (nth, ((before, as_text), value)) in self.before.iter().zip(&self.as_text).zip(values).enumerate() {
            if self.format == Format::Csv {
                if nth > 0 {
                    out.push(self.delimiter);
                }
                self.cell(value, out);
            } else {
                out.extend_from_slice(before);
                if *as_text { json::write_as_text(value, out) } else { out.extend_from_slice(value) }
            }
        }
        out.extend_from_slice(match self.format {
            Format::Csv => b"\r\n",
            _ if self.before.is_empty() => b"{}\n",
            _ => b"}\n",
        });
    }

    /// A null is an empty cell, an empty text is `""`.
    fn cell(&self, value: &[u8], out: &mut Vec<u8>) {
        let Some(inside) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
            match value {
                // Most readers would skip an empty line.
                b"null" if self.before.len() == 1 => out.extend_from_slice(b"\"\""),
                b"null" => {}
                // Only a point is an object.
                object if object.first() == Some(&b'{') => match published::point(object) {
                    Some(point) => out.extend_from_slice(point.to_string().as_bytes()),
                    None => out.extend_from_slice(object),
                },
                plain => out.extend_from_slice(plain),
            }
            return;
        };
        let text = published::text(value).unwrap_or_else(|| String::from_utf8_lossy(inside));
        let guarded = self.csv_safe && text.starts_with(FORMULA_STARTS);
        let has_quotes = memchr::memchr(b'"', text.as_bytes()).is_some();
        let quoted = text.is_empty()
            || has_quotes
            || memchr::memchr3(self.delimiter, b'\r', b'\n', text.as_bytes()).is_some()
            || text.starts_with(char::is_whitespace)
            || text.ends_with(char::is_whitespace);
        if quoted {
            out.push(b'"');
        }
        if guarded {
            out.push(b'\'');
        }
        if has_quotes {
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        if quoted {
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{Definition, Record, Value, json, query::Delimiter, samples};

    fn definition() -> Definition {
        samples::definition("things", &[("number", "text"), ("record_id", "integer"), ("cost", "money")])
    }

    fn csv(select: &[usize], csv_safe: bool) -> Query {
        Query { select: Some(select.to_vec()), format: Some(Format::Csv), csv_safe, ..Query::everything(1) }
    }

    fn writer(definition: &Definition, query: &Query) -> TextRows {
        let columns: Vec<&Column> = match &query.select {
            None => definition.columns.iter().collect(),
            Some(select) => select.iter().map(|place| &definition.columns[*place]).collect(),
        };
        TextRows::new(&columns, query, query.format.unwrap_or(Format::Ndjson))
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let cost = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::Money)];
        (any::<String>(), 1_i64..9, cost)
            .prop_map(|(number, id, cost)| Record { values: vec![Value::Text(number), Value::Integer(id), cost] })
    }

    fn values(record: &Record) -> Vec<Vec<u8>> {
        let written = |value: &Value| {
            let mut text = Vec::new();
            json::write_value(value, &mut text);
            text
        };
        record.values.iter().map(written).collect()
    }

    fn written(writer: &TextRows, records: &[Record]) -> Vec<u8> {
        let mut out = Vec::new();
        writer.begin(&mut out);
        for record in records {
            writer.row(values(record).iter().map(Vec::as_slice), &mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn every_line_of_ndjson_is_the_record(records in proptest::collection::vec(any_record(), 0..5)) {
            let definition = definition();
            let out = written(&writer(&definition, &Query::everything(1)), &records);
            let lines: Vec<&[u8]> = out.split_inclusive(|byte| *byte == b'\n').collect();
            prop_assert_eq!(lines.len(), records.len());
            for (line, record) in lines.iter().zip(&records) {
                let mut expected = Vec::new();
                json::write_record(&definition, record, &mut expected);
                expected.push(b'\n');
                prop_assert_eq!(*line, expected.as_slice());
            }
        }

        #[test]
        fn another_reader_reads_the_csv(
            texts in proptest::collection::vec(any::<String>(), 1..6),
            delimiter in proptest::sample::select(Delimiter::ALL.to_vec()),
        ) {
            let definition = definition();
            let record = |text: &String| {
                let mut values = vec![Value::Null; definition.columns.len()];
                values[0] = Value::Text(text.clone());
                values[2] = Value::Money(-1250);
                Record { values }
            };
            let records: Vec<_> = texts.iter().map(record).collect();
            let writer = writer(&definition, &Query { delimiter: Some(delimiter), ..csv(&[0, 2], false) });
            let mut out = Vec::new();
            writer.begin(&mut out);
            for record in &records {
                let values = values(record);
                writer.row([values[0].as_slice(), values[2].as_slice()], &mut out);
            }
            let mut reader = csv::ReaderBuilder::new().delimiter(delimiter.byte()).from_reader(out.as_slice());
            prop_assert_eq!(reader.headers().unwrap(), vec!["number", "cost"]);
            let read: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), texts.len());
            for (row, text) in read.iter().zip(&texts) {
                prop_assert_eq!((&row[0], &row[1]), (text.as_str(), "-12.50"));
            }
        }
    }

    fn cells(writer: &TextRows, texts: &[Value]) -> String {
        let mut out = Vec::new();
        for text in texts {
            let mut value = Vec::new();
            json::write_value(text, &mut value);
            writer.row([value.as_slice()], &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be_and_formulas_guarded_where_asked_for() {
        let text = |text: &str| Value::Text(text.to_owned());
        let values = [
            Value::Null,
            text(""),
            text("a,b"),
            text("say \"so\""),
            text("a\nb"),
            text("=1+1"),
            text("-x"),
            Value::Money(-5),
        ];
        let plain = writer(&definition(), &csv(&[0], false));
        let safe = writer(&definition(), &csv(&[0], true));
        assert_eq!(
            cells(&plain, &values),
            "\"\"\r\n\"\"\r\n\"a,b\"\r\n\"say \"\"so\"\"\"\r\n\"a\nb\"\r\n=1+1\r\n-x\r\n-0.05\r\n"
        );
        assert_eq!(
            cells(&safe, &values),
            "\"\"\r\n\"\"\r\n\"a,b\"\r\n\"say \"\"so\"\"\"\r\n\"a\nb\"\r\n'=1+1\r\n'-x\r\n-0.05\r\n"
        );
    }

    #[test]
    fn what_is_quoted_depends_on_the_delimiter() {
        let values = ["a,b", "a;b", "a\tb", "a|b"].map(|text| Value::Text(text.to_owned()));
        for (delimiter, expected) in [
            (None, "\"a,b\"\r\na;b\r\na\tb\r\na|b\r\n"),
            (Some(Delimiter::Semicolon), "a,b\r\n\"a;b\"\r\na\tb\r\na|b\r\n"),
            (Some(Delimiter::Tab), "a,b\r\na;b\r\n\"a\tb\"\r\na|b\r\n"),
            (Some(Delimiter::Pipe), "a,b\r\na;b\r\na\tb\r\n\"a|b\"\r\n"),
        ] {
            let query = Query { delimiter, ..csv(&[0], false) };
            assert_eq!(cells(&writer(&definition(), &query), &values), expected, "{delimiter:?}");
        }
    }
}
