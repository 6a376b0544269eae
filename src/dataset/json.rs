//! The canonical JSON of values and records: dates and timestamps as RFC 3339 strings, money as a number with exactly two
//! decimals, columns in their published order, points as GeoJSON geometries.

mod selection;
mod texts;

use std::io::Write;

use jiff::civil::Date;

pub use self::{
    selection::selected,
    texts::{Entries, may_be_text, numbers_as_texts, write_as_text, write_value_as},
};
use super::{Definition, Record, Value};

/// Appends the record as one JSON object without spaces.
pub fn write_record(definition: &Definition, record: &Record, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (column, value)) in definition.columns.iter().zip(&record.values).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_string(&column.name, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

/// Appends one value.
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Text(text) => write_string(text, out),
        Value::Integer(number) => write_integer(*number, out),
        Value::Money(cents) => write_money(*cents, out),
        // JSON has no infinities; no reader of ours produces one.
        Value::Number(number) if !number.is_finite() => out.extend_from_slice(b"null"),
        Value::Date(date) if date.year() >= 0 => write_date(*date, out),
        Value::Date(_) | Value::Timestamp(_) => {
            out.push(b'"');
            write_display(value, out);
            out.push(b'"');
        }
        Value::Number(_) => write_display(value, out),
        Value::Point(point) => point.write_geojson(out),
    }
}

/// Appends a JSON string with the least escaping that RFC 8259 allows.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Appends part of a JSON string, without the surrounding quotes.
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    // Most texts need no escaping. Written so that the compiler compares many bytes at once.
    if !rest.iter().fold(false, |any, byte| any | (*byte < b' ') | (*byte == b'"') | (*byte == b'\\')) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = escaped.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => write_display(&format_args!("\\u{control:04x}"), out),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

fn write_date(date: Date, out: &mut Vec<u8>) {
    let (year, month, day) = (date.year().unsigned_abs(), date.month().unsigned_abs(), date.day().unsigned_abs());
    out.push(b'"');
    for pair in [year / 100, year % 100] {
        write_pair(u64::from(pair), out);
    }
    for pair in [month, day] {
        out.push(b'-');
        write_pair(u64::from(pair), out);
    }
    out.push(b'"');
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_digits(number.unsigned_abs(), out);
}

fn write_money(cents: i64, out: &mut Vec<u8>) {
    if cents < 0 {
        out.push(b'-');
    }
    write_digits(cents.unsigned_abs() / 100, out);
    out.push(b'.');
    write_pair(cents.unsigned_abs() % 100, out);
}

/// Writes a number below a hundred with two digits.
fn write_pair(number: u64, out: &mut Vec<u8>) {
    for digit in [number / 10, number % 10] {
        // Both digits are below ten.
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// Appends a number in decimal digits.
pub fn write_digits(mut number: u64, out: &mut Vec<u8>) {
    // A number of 64 bits has at most twenty digits.
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        // Below ten.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - used));
}

fn write_display(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    let written = write!(out, "{value}");
    // Writing to memory cannot fail.
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::ColumnType;

    fn shown(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_have_one_form() {
        let parse = |kind, text| Value::parse(kind, text).unwrap();
        assert_eq!(shown(&Value::Null), "null");
        assert_eq!(shown(&Value::Money(400_000)), "4000.00");
        assert_eq!(shown(&Value::Money(-5)), "-0.05");
        assert_eq!(shown(&Value::Money(i64::MIN)), "-92233720368547758.08");
        assert_eq!(shown(&parse(ColumnType::Date, "2016-12-01")), r#""2016-12-01""#);
        assert_eq!(shown(&parse(ColumnType::Timestamp, "2016-12-01T10:00:00+01:00")), r#""2016-12-01T09:00:00Z""#);
        assert_eq!(shown(&Value::Number(-122.25)), "-122.25");
        assert_eq!(shown(&Value::Number(f64::NAN)), "null");
        assert_eq!(shown(&Value::Text("a\"b\\c\nd\u{1}½".into())), r#""a\"b\\c\nd\u0001½""#);
    }

    proptest! {
        #[test]
        fn dates_are_written_as_they_are_shown(year in -9999_i16..=9999, month in 1_i8..=12, day in 1_i8..=28) {
            let date = Date::new(year, month, day).unwrap();
            prop_assert_eq!(shown(&Value::Date(date)), format!("\"{date}\""));
        }

        #[test]
        fn every_text_is_read_back_by_another_parser(text in any::<String>()) {
            let read: String = serde_json::from_str(&shown(&Value::Text(text.clone()))).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn every_number_is_read_back_by_another_parser(number in any::<f64>().prop_filter("finite", |n| n.is_finite()), cents in any::<i64>()) {
            let read: f64 = serde_json::from_str(&shown(&Value::Number(number))).unwrap();
            prop_assert!((read - number).abs() <= number.abs() * 1e-15);
            let money: Box<serde_json::value::RawValue> = serde_json::from_str(&shown(&Value::Money(cents))).unwrap();
            let (whole, hundredths) = money.get().split_once('.').unwrap();
            prop_assert_eq!(hundredths.len(), 2);
            let joined = format!("{whole}{hundredths}").parse::<i64>().unwrap();
            prop_assert_eq!(joined, cents);
        }
    }
}
