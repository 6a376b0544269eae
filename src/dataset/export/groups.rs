//! Groups as JSON and as CSV.

use super::text_rows::TextRows;
use crate::dataset::{
    Column, Definition,
    columns::{FoundGroups, Measured},
    json,
    query::{Format, Groups, Query},
};

/// Appends a value of a group as JSON. With `as_text`, whole numbers and amounts are strings.
fn write_measured(measured: &Measured, as_text: bool, out: &mut Vec<u8>) {
    match measured {
        Measured::Value(value) => json::write_value_as(value, as_text, out),
        Measured::Sum(sum) => sum.write(as_text, out),
        Measured::Middle { halves, is_money } => {
            let (sign, halves) = (if *halves < 0 { "-" } else { "" }, halves.unsigned_abs());
            let (whole, half) = (halves / 2, if halves % 2 == 1 { "5" } else { "" });
            let exact = match (*is_money, half) {
                (true, half) => format!("{sign}{}.{:02}{half}", whole / 100, whole % 100),
                (false, "") => format!("{sign}{whole}"),
                (false, half) => format!("{sign}{whole}.{half}"),
            };
            if as_text { json::write_as_text(exact.as_bytes(), out) } else { out.extend_from_slice(exact.as_bytes()) }
        }
    }
}

/// The list of groups, each an object of its keys and measures.
pub fn groups_as_json(definition: &Definition, asked: &Groups, found: &FoundGroups) -> Vec<u8> {
    let columns = asked.columns(definition);
    let mut out = vec![b'['];
    for (nth, row) in found.rows.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        for (nth, (column, measured)) in columns.iter().zip(row).enumerate() {
            out.push(if nth == 0 { b'{' } else { b',' });
            json::write_string(&column.name, &mut out);
            out.push(b':');
            write_measured(measured, asked.numbers_as_texts, &mut out);
        }
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// A table (RFC 4180) under the names of keys and measures, with a row for each group.
pub fn groups_as_csv(definition: &Definition, asked: &Groups, found: &FoundGroups) -> Vec<u8> {
    let columns = asked.columns(definition);
    let form = Query {
        csv_safe: asked.csv_safe,
        bom: asked.bom,
        delimiter: asked.delimiter,
        ..Query::everything(asked.limit)
    };
    let writer = TextRows::new(&columns.iter().collect::<Vec<&Column>>(), &form, Format::Csv);
    let mut out = Vec::new();
    writer.begin(&mut out);
    for row in &found.rows {
        let cell = |measured: &Measured| {
            let mut cell = Vec::new();
            write_measured(measured, false, &mut cell);
            cell
        };
        let cells: Vec<Vec<u8>> = row.iter().map(cell).collect();
        writer.row(cells.iter().map(Vec::as_slice), &mut out);
    }
    out
}
