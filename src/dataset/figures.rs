//! The figures that an import computes for the columns of a data set, for people who want to know what it contains.
//!
//! Figures may be seen by people who may see no record, so they reveal nothing about a single record. A value is shown if many records have
//! it; a least and greatest value if the column is not personal; for keys and record ids only their number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ColumnType, Definition, Record, Value, json,
    summary::{FacetTally, FiguresTally, TallyRoom},
};

/// The fewest records with a value for it to be shown.
pub const SHOWN_RECORDS_MIN: u64 = 10;
/// In addition at least one in so many records must have the value: 0.1 % of all.
pub const SHOWN_ONE_IN_MAX: u64 = 1_000;
/// The most frequent values of a column that are shown.
pub const SHOWN_VALUES_MAX: u32 = 10;
/// A column with more different values than this shows none of them, and the counting stops. Values too long to be shown do not count.
const DIFFERENT_VALUES_MAX: usize = 1_000;
/// The longest value that is shown, bytes of JSON.
const VALUE_BYTES_MAX: usize = 400;
/// The longest text that is counted: with its quotes it fits into [`VALUE_BYTES_MAX`].
const COUNTED_BYTES_MAX: usize = VALUE_BYTES_MAX - 2;
/// Memory for the different values of all columns while they are counted, bytes. The text columns share it equally: with up to eight such
/// columns every column is counted to the end; in a wider table the counting of a column with many long values stops.
const TALLY_BYTES_MAX: usize = 8 << 20;
/// Size of all frequent values together, bytes of JSON. Beyond it the values of the last columns are left out.
const VALUES_BYTES_MAX: usize = 48 * 1024;

/// The figures of a data set's columns at one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableFigures {
    /// The version that the figures describe.
    pub version: u64,
    /// When they were made.
    pub made_at: Timestamp,
    /// The number of records.
    pub records: u64,
    /// One for each published column, in their order.
    pub columns: Vec<ColumnFigures>,
}

/// The figures of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnFigures {
    /// The column's name.
    pub name: String,
    /// Records without a value in the column.
    pub empty: u64,
    /// The least number, amount, date or moment. Absent if the column is personal or empty.
    #[serde(default)]
    pub least: Option<WrittenValue>,
    /// The greatest value.
    #[serde(default)]
    pub greatest: Option<WrittenValue>,
    /// The most frequent values that may be shown, most frequent first: for a text column with few different values that is not personal.
    #[serde(default)]
    pub values: Vec<ValueCount>,
}

/// A value and how many records have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValueCount {
    /// The value.
    pub value: WrittenValue,
    /// Records that have it.
    pub count: u64,
}

/// A value as JSON answers write it: amounts keep their two decimals, whole numbers all their digits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WrittenValue(Box<RawValue>);

impl WrittenValue {
    /// The written form of a value; `None` for a null.
    fn of(value: &Value) -> Option<Self> {
        let mut text = Vec::new();
        match value {
            Value::Null => return None,
            // Not every store keeps the sign of zero.
            Value::Number(number) => json::write_value(&Value::Number(number + 0.0), &mut text),
            other => json::write_value(other, &mut text),
        }
        String::from_utf8(text).ok().and_then(|text| RawValue::from_string(text).ok()).map(Self)
    }

    /// The value's text for people, without quotes.
    pub fn text(&self) -> String {
        serde_json::from_str(self.0.get()).unwrap_or_else(|_| self.0.get().to_owned())
    }

    fn bytes(&self) -> usize {
        self.0.get().len()
    }
}

impl PartialEq for WrittenValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl TableFigures {
    /// The figures that may be shown under this definition: of its columns only, and no value of a personal column.
    #[must_use]
    pub fn shown_with(&self, definition: &Definition) -> Self {
        let of = |(place, column): (usize, &super::Column)| {
            let found = self.columns.iter().find(|found| found.name == column.name)?;
            let mut found = found.clone();
            if !shows_values(definition, place) {
                (found.least, found.greatest) = (None, None);
                found.values.clear();
            }
            Some(found)
        };
        Self { columns: definition.columns.iter().enumerate().filter_map(of).collect(), ..self.clone() }
    }
}

/// Tells whether the figures may show values of a column.
fn shows_values(definition: &Definition, place: usize) -> bool {
    let is_personal = definition.columns.get(place).is_none_or(|column| column.personal);
    !is_personal && place != definition.key && place != definition.record_id
}

/// The counts kept for a column.
#[derive(Debug)]
enum Counted {
    /// Only the number of empty values.
    Empty,
    Range(FiguresTally),
    Values(FacetTally),
}

/// Adds up the figures of all columns, record by record.
#[derive(Debug)]
pub struct TableTally {
    records: u64,
    columns: Vec<(String, u64, Counted)>,
}

impl TableTally {
    /// A tally for the columns of a definition.
    pub fn new(definition: &Definition) -> Self {
        let is_text = |(place, column): &(usize, &super::Column)| {
            column.kind == ColumnType::Text && shows_values(definition, *place)
        };
        let texts = definition.columns.iter().enumerate().filter(is_text).count();
        let room = TallyRoom {
            different_max: DIFFERENT_VALUES_MAX,
            bytes_max: TALLY_BYTES_MAX / texts.max(1),
            text_bytes_max: COUNTED_BYTES_MAX,
        };
        let of = |(place, column): (usize, &super::Column)| {
            let counted = match column.kind {
                _ if !shows_values(definition, place) => Counted::Empty,
                // The southernmost point says little of the others, and much of one record.
                ColumnType::Point => Counted::Empty,
                ColumnType::Text => Counted::Values(FacetTally::within(place, room)),
                _ => Counted::Range(FiguresTally::new(place)),
            };
            (column.name.clone(), 0, counted)
        };
        Self { records: 0, columns: definition.columns.iter().enumerate().map(of).collect() }
    }

    /// Tells whether the column at this place needs [`TableTally::add`] with its value; for others [`TableTally::add_any`] is enough.
    pub fn wants(&self, place: usize) -> bool {
        match self.columns.get(place) {
            Some((_, _, Counted::Values(tally))) => !tally.has_given_up(),
            Some((_, _, Counted::Range(_))) => true,
            Some((_, _, Counted::Empty)) | None => false,
        }
    }

    /// Counts a record, before its values.
    pub fn add_record(&mut self) {
        self.records += 1;
    }

    /// Counts whether a record has a value in a column.
    pub fn add_any(&mut self, place: usize, is_empty: bool) {
        if let Some((_, empty, _)) = self.columns.get_mut(place) {
            *empty += u64::from(is_empty);
        }
    }

    /// Counts a record's value in a column.
    pub fn add(&mut self, place: usize, value: &Value) {
        self.add_any(place, value.is_null());
        match self.columns.get_mut(place) {
            Some((_, _, Counted::Values(tally))) if !value.is_null() => tally.add(value),
            Some((_, _, Counted::Range(tally))) => tally.add(value),
            _ => {}
        }
    }

    /// Counts a record with all of its values.
    pub fn add_all(&mut self, record: &Record) {
        self.add_record();
        record.values.iter().enumerate().for_each(|(place, value)| self.add(place, value));
    }

    /// Bytes held for the different values now.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        let of = |(_, _, counted): &(String, u64, Counted)| match counted {
            Counted::Values(tally) => tally.held_bytes(),
            _ => 0,
        };
        self.columns.iter().map(of).sum()
    }

    /// The number of records counted.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The figures for a version of the data set.
    pub fn finish(self, version: u64, made_at: Timestamp) -> TableFigures {
        let records = self.records;
        let mut bytes_left = VALUES_BYTES_MAX;
        let of = |(name, empty, counted): (String, u64, Counted)| {
            let mut figures = ColumnFigures { name, empty, least: None, greatest: None, values: Vec::new() };
            match counted {
                Counted::Empty => {}
                Counted::Range(tally) => {
                    let range = tally.finish();
                    (figures.least, figures.greatest) = (WrittenValue::of(&range.min), WrittenValue::of(&range.max));
                }
                Counted::Values(tally) => figures.values = frequent(tally, records),
            }
            let bytes: usize = figures.values.iter().map(|shown| shown.value.bytes()).sum();
            match bytes_left.checked_sub(bytes) {
                Some(left) => bytes_left = left,
                None => figures.values.clear(),
            }
            figures
        };
        TableFigures { version, made_at, records, columns: self.columns.into_iter().map(of).collect() }
    }
}

/// The most frequent values that may be shown.
fn frequent(tally: FacetTally, records: u64) -> Vec<ValueCount> {
    if tally.has_given_up() {
        return Vec::new();
    }
    let may_be_shown = |count: u64| count >= SHOWN_RECORDS_MIN && count.saturating_mul(SHOWN_ONE_IN_MAX) >= records;
    let counted = tally.finish(SHOWN_VALUES_MAX).values.into_iter();
    let shown = counted.filter(|(_, count)| may_be_shown(*count));
    let written = shown.filter_map(|(value, count)| Some(ValueCount { value: WrittenValue::of(&value)?, count }));
    written.filter(|shown| shown.value.bytes() <= VALUE_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn definition() -> Definition {
        let text = "name = \"things\"\n[key]\ncolumn = \"number\"\n[[column]]\nname = \"number\"\nheaders = [\"N\"]\n\
            [[column]]\nname = \"record_id\"\ntype = \"integer\"\nimport = true\n[[column]]\nname = \"state\"\nheaders = [\"S\"]\n\
            [[column]]\nname = \"owner\"\nheaders = [\"O\"]\npersonal = true\n[[column]]\nname = \"cost\"\ntype = \"money\"\n\
            headers = [\"C\"]\n[[column]]\nname = \"wage\"\ntype = \"money\"\nheaders = [\"W\"]\npersonal = true\n";
        Definition::from_toml(text, "things.toml").unwrap()
    }

    fn counted(definition: &Definition, records: &[Record]) -> TableFigures {
        let mut tally = TableTally::new(definition);
        for record in records {
            tally.add_record();
            for (place, value) in record.values.iter().enumerate() {
                if tally.wants(place) { tally.add(place, value) } else { tally.add_any(place, value.is_null()) }
            }
        }
        tally.finish(3, AT)
    }

    fn record(nth: usize, state: Option<String>, cost: Option<i64>) -> Record {
        let text = |text: &str| Value::Text(text.to_owned());
        Record {
            values: vec![
                text(&format!("key{nth}")),
                Value::Integer(1),
                state.map_or(Value::Null, Value::Text),
                text("Ann Other"),
                cost.map_or(Value::Null, Value::Money),
                Value::Money(4_200),
            ],
        }
    }

    proptest! {
        #[test]
        fn figures_are_those_of_a_naive_count(
            rows in proptest::collection::vec((proptest::option::of(0..40_u32), proptest::option::of(-900..900_i64)), 0..1500),
        ) {
            // Low numbers are frequent, high ones rare.
            let state = |number: u32| format!("state \"{}\"", 40 / (number + 1));
            let records: Vec<Record> = rows
                .iter()
                .enumerate()
                .map(|(nth, (number, cost))| record(nth, number.map(state), *cost))
                .collect();
            let figures = counted(&definition(), &records);
            prop_assert_eq!((figures.version, figures.records), (3, rows.len() as u64));
            let empty: Vec<u64> = figures.columns.iter().map(|column| column.empty).collect();
            let no_state = rows.iter().filter(|row| row.0.is_none()).count() as u64;
            let no_cost = rows.iter().filter(|row| row.1.is_none()).count() as u64;
            prop_assert_eq!(empty, vec![0, 0, no_state, 0, no_cost, 0]);

            let mut naive: BTreeMap<String, u64> = BTreeMap::new();
            rows.iter().filter_map(|row| row.0).for_each(|number| *naive.entry(state(number)).or_default() += 1);
            let mut naive: Vec<(String, u64)> = naive.into_iter().collect();
            naive.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
            naive.truncate(10);
            naive.retain(|(_, count)| *count >= 10 && *count as f64 >= rows.len() as f64 * 0.001);
            let shown: Vec<(String, u64)> =
                figures.columns[2].values.iter().map(|shown| (shown.value.text(), shown.count)).collect();
            prop_assert_eq!(shown, naive);

            let costs = || rows.iter().filter_map(|row| row.1);
            let written = |cents: Option<i64>| cents.map(|cents| Value::Money(cents).to_string());
            let cost = &figures.columns[4];
            prop_assert_eq!(cost.least.as_ref().map(WrittenValue::text), written(costs().min()));
            prop_assert_eq!(cost.greatest.as_ref().map(WrittenValue::text), written(costs().max()));
            prop_assert!(cost.values.is_empty());
            let document = serde_json::to_string(&figures).unwrap();
            prop_assert_eq!(serde_json::from_str::<TableFigures>(&document).unwrap(), figures);
        }
    }

    /// Texts of which some may be too long to be shown.
    fn texts() -> impl Strategy<Value = Vec<String>> {
        let length = prop_oneof![8 => 1..40_usize, 4 => 300..398_usize, 2 => 399..500_usize, 1 => Just(65_536_usize)];
        let text = (length, 0..2_000_u32).prop_map(|(length, number)| {
            let number = number.to_string();
            number.clone() + &"x".repeat(length.saturating_sub(number.len()))
        });
        proptest::collection::vec(text, 1..60)
    }

    /// A definition with so many text columns.
    fn wide(columns: usize) -> Definition {
        let mut definition = definition();
        let kind = definition.columns[2].clone();
        for nth in 1..columns {
            definition.columns.push(super::super::Column { name: format!("text{nth}"), ..kind.clone() });
        }
        definition
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_counted_has_a_bound_and_does_not_depend_on_the_order(
            texts in texts(), columns in 1..400_usize, times in 1..40_usize, turned in 0..60_usize,
        ) {
            let definition = wide(columns);
            let tallied = |texts: &[String]| {
                let mut tally = TableTally::new(&definition);
                let mut held = 0;
                for text in texts.iter().cycle().take(texts.len() * times) {
                    tally.add_record();
                    for place in std::iter::once(2).chain(6..definition.columns.len()) {
                        if tally.wants(place) {
                            tally.add(place, &Value::Text(text.clone()));
                        }
                    }
                    held = held.max(tally.held_bytes());
                }
                (tally.finish(1, AT), held)
            };
            let (figures, held) = tallied(&texts);
            prop_assert!(held <= TALLY_BYTES_MAX, "{held} bytes are held");
            let mut other = texts.clone();
            other.rotate_left(turned % texts.len());
            other.reverse();
            prop_assert_eq!(&tallied(&other).0, &figures);

            let mut naive: BTreeMap<&str, u64> = BTreeMap::new();
            for text in texts.iter().filter(|text| text.len() + 2 <= VALUE_BYTES_MAX) {
                *naive.entry(text).or_default() += times as u64;
            }
            let bytes: usize = naive.keys().map(|text| 2 * text.len() + 192).sum();
            let fits = bytes <= (8 << 20) / columns;
            let mut expected: Vec<(&str, u64)> = naive.into_iter().filter(|_| fits).collect();
            expected.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
            expected.truncate(10);
            expected.retain(|(_, count)| *count >= SHOWN_RECORDS_MIN);
            let shown: Vec<(String, u64)> =
                figures.columns[2].values.iter().map(|shown| (shown.value.text(), shown.count)).collect();
            let expected: Vec<(String, u64)> = expected.into_iter().map(|(text, count)| (text.to_owned(), count)).collect();
            prop_assert_eq!(shown, expected);
        }
    }

    #[test]
    fn values_that_are_too_long_to_be_shown_do_not_hide_the_others() {
        let states =
            (0..5_000).map(|nth| if nth % 2 == 0 { "filed".to_owned() } else { format!("{nth}{}", "z".repeat(400)) });
        let records: Vec<Record> = states.enumerate().map(|(nth, state)| record(nth, Some(state), None)).collect();
        let shown = counted(&definition(), &records).columns[2].values.clone();
        assert_eq!(
            shown.iter().map(|shown| (shown.value.text(), shown.count)).collect::<Vec<_>>(),
            [("filed".to_owned(), 2_500)]
        );
    }

    #[test]
    fn nothing_of_a_person_a_key_or_a_rare_value_is_shown() {
        let mut records: Vec<Record> = (0..20_000).map(|nth| record(nth, Some("filed".into()), Some(5))).collect();
        for (nth, record) in records.iter_mut().enumerate().take(50) {
            // 20 of 20,000 are 0.1 %, 19 are less, and 11 are far too few.
            let state = if nth < 20 {
                "issued"
            } else if nth < 39 {
                "revoked for Ann Other"
            } else {
                "seldom"
            };
            record.values[2] = Value::Text(state.to_owned());
        }
        let document = serde_json::to_value(counted(&definition(), &records)).unwrap();
        let columns = document["columns"].as_array().unwrap();
        let values = [
            serde_json::json!({ "value": "filed", "count": 19_950 }),
            serde_json::json!({ "value": "issued", "count": 20 }),
        ];
        assert_eq!(columns[2]["values"], serde_json::json!(values));
        for place in [0, 1, 3, 5] {
            let nothing = serde_json::json!({
                "name": definition().columns[place].name, "empty": 0, "least": null, "greatest": null, "values": [],
            });
            assert_eq!(columns[place], nothing);
        }
        assert!(!document.to_string().contains("Ann Other") && !document.to_string().contains("key1"));
        let few: Vec<Record> = (0..9).map(|nth| record(nth, Some("filed".into()), Some(5))).collect();
        assert!(counted(&definition(), &few).columns[2].values.is_empty(), "nine records are not many");
    }

    #[test]
    fn a_column_of_many_values_is_not_counted_to_its_end() {
        let mut records: Vec<Record> =
            (0..20_000).map(|nth| record(nth, Some(format!("s{}", nth % 1_001)), None)).collect();
        assert!(counted(&definition(), &records).columns[2].values.is_empty());
        records.iter_mut().for_each(|record| {
            if record.values[2] == Value::Text("s1000".into()) {
                record.values[2] = Value::Text("s0".into());
            }
        });
        let values = counted(&definition(), &records).columns[2].values.clone();
        assert_eq!(
            values.iter().map(|shown| shown.count).collect::<Vec<_>>(),
            [39, 20, 20, 20, 20, 20, 20, 20, 20, 20]
        );
    }

    #[test]
    fn what_a_later_definition_calls_personal_is_shown_no_more() {
        let records: Vec<Record> = (0..100).map(|nth| record(nth, Some("filed".into()), Some(5))).collect();
        let mut now = definition();
        let figures = counted(&now, &records);
        assert_eq!(figures.shown_with(&now), figures);
        now.columns[2].personal = true;
        now.columns[4].personal = true;
        now.columns[5].name = "pay".to_owned();
        let shown = figures.shown_with(&now);
        assert_eq!(shown.columns.len(), 5, "a column that was not counted has no figures");
        assert!(shown.columns[2].values.is_empty());
        assert_eq!((&shown.columns[4].least, &shown.columns[4].greatest), (&None, &None));
    }

    #[test]
    fn figures_take_bounded_room() {
        let long = |nth: usize| format!("{}{:04}", "x".repeat(390), nth % 5);
        let mut definition = definition();
        let kind = definition.columns[2].clone();
        for nth in 0..100 {
            definition.columns.push(super::super::Column { name: format!("text{nth}"), ..kind.clone() });
        }
        let records: Vec<Record> = (0..100)
            .map(|nth| {
                let mut record = record(nth, Some(long(nth)), None);
                record.values.extend((0..100).map(|_| Value::Text(long(nth))));
                record
            })
            .collect();
        let figures = counted(&definition, &records);
        assert_eq!(figures.columns[2].values.len(), 5);
        assert!(figures.columns.last().unwrap().values.is_empty());
        assert!(serde_json::to_string(&figures).unwrap().len() < 64 * 1024);
        let too_long: Vec<Record> = (0..100).map(|nth| record(nth, Some("y".repeat(399)), None)).collect();
        assert!(counted(&definition, &too_long).columns[2].values.is_empty());
    }
}
