//! A proposal of a definition for a file that nobody has described yet: a commented TOML to start from.
//!
//! Types are told by the values of the first rows, the key by its header and by how rarely its values repeat. Columns that
//! look personal are proposed as not published: it is for a person to decide otherwise.

use std::io::{Read, Seek};

use guess::Guess;

use super::{
    definition::{COLUMNS_MAX, normal_header},
    mapping::convert::text_of,
    reader::{Cell, Flow, Limits, ReadError, RowCells, RowSink, scan},
};

mod guess;
mod propose;

/// How many rows are looked at.
const ROWS_MAX: usize = 2_000;
/// How many bytes of them are kept.
const KEPT_BYTES_MAX: usize = 32 << 20;
/// How many bytes of a cell are kept: enough to tell a type.
const CELL_BYTES_MAX: usize = 200;
/// A longer header may have been cut within its last character, and would not be recognised in the file.
const HEADER_BYTES_MAX: usize = CELL_BYTES_MAX - 4;
/// A header names at least this share, in tenths, of the columns of the widest row.
const HEADER_TENTHS_MIN: usize = 6;

/// Proposes a definition for a file, as TOML that [`super::Definition::from_toml`] reads when `dataset` is a valid name.
///
/// # Errors
/// When the file is no spreadsheet, or none of its first rows looks like a header.
pub fn propose(source: impl Read + Seek, file_name: &str, dataset: &str, limits: &Limits) -> Result<String, ReadError> {
    let mut sheet = Sheet::default();
    scan(source, file_name, limits, &mut sheet)?;
    let no_header = |detail: &str| ReadError::NoHeader {
        dataset: dataset.to_owned(),
        rows: sheet.rows.len().min(limits.header_rows_max),
        detail: detail.to_owned(),
    };
    let Some(header) = sheet.header(limits.header_rows_max) else {
        return Err(no_header("no row looks like one: at least two texts, over most of the columns"));
    };
    let (names, rows) = header;
    let mut guesses: Vec<Guess> = Vec::new();
    for (place, header) in names.iter().enumerate().take(COLUMNS_MAX - 2) {
        if normal_header(header).is_empty() || header.len() > HEADER_BYTES_MAX {
            continue;
        }
        let values = rows.iter().filter_map(|row| row.get(place)).filter(|cell| !cell.text.is_empty());
        guesses.push(Guess::of(header, values, rows.len(), &guesses));
    }
    if guesses.is_empty() {
        return Err(no_header("the row that looks like one holds no letter or digit, so no column can be named"));
    }
    Ok(propose::definition(dataset, file_name, &guesses, rows.len()))
}

/// A cell as far as its type can be told from it.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    text: String,
    nature: Nature,
}

/// What the file itself says of a cell's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Text,
    Number,
    Moment,
}

#[derive(Debug, Default)]
struct Sheet {
    rows: Vec<Vec<Kept>>,
    bytes: usize,
}

impl Sheet {
    /// The first row that names most columns, and the rows below it.
    fn header(&self, rows_max: usize) -> Option<(Vec<String>, &[Vec<Kept>])> {
        let filled = |row: &Vec<Kept>| row.iter().filter(|cell| !cell.text.is_empty()).count();
        let widest = self.rows.iter().take(rows_max).map(filled).max()?;
        let is_header = |row: &Vec<Kept>| {
            let texts = row.iter().filter(|cell| !cell.text.is_empty());
            filled(row) >= 2
                && filled(row) * 10 >= widest * HEADER_TENTHS_MIN
                && texts.into_iter().all(|cell| cell.nature == Nature::Text && !guess::is_number(&cell.text))
        };
        let place = self.rows.iter().take(rows_max).position(is_header)?;
        let (above, below) = self.rows.split_at_checked(place + 1)?;
        let names = above.last()?.iter().map(|cell| cell.text.clone()).collect();
        Some((names, below))
    }
}

impl RowSink for Sheet {
    fn sheet(&mut self, _name: Option<&str>, _epoch_1904: bool) {
        self.rows.clear();
        self.bytes = 0;
    }

    fn row<R: RowCells>(&mut self, _line: u64, row: &R) -> Result<Flow, ReadError> {
        let keep = |place: usize| {
            let cell = row.cell(place);
            let nature = match cell {
                Cell::Integer(_) | Cell::Number(_) => Nature::Number,
                Cell::Moment(_) => Nature::Moment,
                Cell::Blank | Cell::Text(_) | Cell::Bool(_) | Cell::Error(_) => Nature::Text,
            };
            // A cell with an error says nothing of its column.
            let text = text_of(cell).unwrap_or_default();
            let end = text.floor_char_boundary(CELL_BYTES_MAX);
            Kept { text: text.get(..end).unwrap_or_default().to_owned(), nature }
        };
        let kept: Vec<Kept> = (0..row.width()).map(keep).collect();
        self.bytes += kept.iter().map(|cell| cell.text.len() + size_of::<Kept>()).sum::<usize>();
        self.rows.push(kept);
        let is_enough = self.rows.len() >= ROWS_MAX || self.bytes >= KEPT_BYTES_MAX;
        Ok(if is_enough { Flow::Stop } else { Flow::Continue })
    }

    fn sheet_end(&mut self) -> Flow {
        if self.header(usize::MAX).is_some() { Flow::Stop } else { Flow::Continue }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{ColumnType, Definition, RecordIdRule, definition::DateOrder, reader::open};

    fn proposed(text: &str) -> (String, Definition) {
        let toml = propose(Cursor::new(text.as_bytes().to_vec()), "some.csv", "some", &Limits::default()).unwrap();
        let definition = Definition::from_toml(&toml, "some.toml").unwrap_or_else(|error| panic!("{error}\n{toml}"));
        (toml, definition)
    }

    #[test]
    fn types_key_and_personal_columns() {
        let (toml, definition) = proposed(
            "Permit No,Opened,Fee,Floors,Lot,Lat,Owner Name,Reach,Notes,Limit,,Notes\n\
             A-1,1/31/2020,$5.00,1,001,37.5,Ann Other,a@example.org,x,1,,y\n\
             A-2,2/1/2020,7,2,002,38,Bob Other,b@example.org,,2,,z\n",
        );
        let kind = |name: &str| definition.columns[definition.column_index(name).unwrap()].kind;
        assert_eq!(definition.columns[definition.key].name, "permit_no");
        assert_eq!(definition.record_id_rule, RecordIdRule::Ordinal);
        assert_eq!(definition.source.date_order, DateOrder::MonthFirst);
        assert_eq!(kind("opened"), ColumnType::Date);
        assert_eq!(kind("fee"), ColumnType::Money);
        assert_eq!(kind("floors"), ColumnType::Integer);
        assert_eq!(kind("lot"), ColumnType::Text, "001 is no number");
        assert_eq!(kind("lat"), ColumnType::Number);
        assert_eq!(kind("limit_column"), ColumnType::Integer, "limit is a parameter");
        assert!(definition.column_index("owner_name").is_none(), "its header looks personal");
        assert!(definition.column_index("reach").is_none(), "its values are e-mail addresses");
        assert!(definition.column_index("notes_2").is_some());
        assert!(toml.contains("looks personal"));
        assert!(!toml.contains("Ann Other") && !toml.contains("example.org"));
    }

    #[test]
    fn days_before_months() {
        let (_, definition) = proposed("id,opened\n1,31/1/2020\n2,1/2/2020\n");
        assert_eq!(definition.source.date_order, DateOrder::DayFirst);
    }

    #[test]
    fn a_column_whose_header_was_cut_is_not_proposed() {
        let file = format!("id,{},opened\n1,2,1/1/2020\n", "long é".repeat(40));
        let (_, definition) = proposed(&file);
        let names: Vec<&str> = definition.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "opened", "record_id", "load_date"]);
        let opened = open(Cursor::new(file.into_bytes()), "some.csv", &definition, &Limits::default());
        assert_eq!(opened.unwrap().header().absent, [""; 0]);
    }

    #[test]
    fn a_file_without_a_header() {
        let rows = propose(Cursor::new(b"1,2\n3,4\n".to_vec()), "x.csv", "some", &Limits::default());
        assert!(matches!(rows, Err(ReadError::NoHeader { .. })));
    }

    proptest! {
        #[test]
        fn what_is_proposed_is_a_definition(headers in proptest::collection::vec("[A-Za-z0-9#é _.\"'\\\\-]{1,12}", 2..8), cell in "[a-z0-9]{0,5}") {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&headers).unwrap();
            writer.write_record(headers.iter().map(|_| &cell)).unwrap();
            let bytes = writer.into_inner().unwrap();
            if let Ok(toml) = propose(Cursor::new(bytes), "some.csv", "some", &Limits::default()) {
                let parsed = Definition::from_toml(&toml, "some.toml");
                prop_assert!(parsed.is_ok(), "{parsed:?}\n{toml}");
            }
        }
    }
}
