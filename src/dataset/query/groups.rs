//! Questions for groups of records: by columns, parts of dates and ranges of numbers, with what is measured of each group.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use super::{Delimiter, Filter, Format, PointInTime, SortTerm, push_name};
use crate::dataset::{Column, ColumnType, Definition, Value, place::geohash};

/// What records are grouped by.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupKey {
    /// The name of the key in answers: the column's, or that of the part and the column: `month_file_date`.
    pub name: String,
    /// The column's place.
    pub column: usize,
    /// The part of the column's value.
    pub part: KeyPart,
}

/// The part of a value that records are grouped by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyPart {
    /// The value itself.
    Whole,
    /// The year of a date or moment, as a number.
    Year,
    /// `2016-Q4`.
    Quarter,
    /// `2016-12`.
    Month,
    /// The week of ISO 8601: `2016-W48`.
    Week,
    /// The day of a date or moment, as a date.
    Day,
    /// The beginning of a moment's hour, as a moment.
    Hour,
    /// The day of the week as of ISO 8601: 1 is Monday, 7 is Sunday.
    Weekday,
    /// The beginning of the range of whole numbers or hundredths that the value is in, of this width.
    WholeBin(i64),
    /// The same for numbers with a fraction.
    RealBin(f64),
    /// The geohash of so many letters that a point is in.
    Geohash(u8),
}

impl KeyPart {
    /// The parts of dates by their names.
    pub const DATES: [(&'static str, Self); 7] = [
        ("year", Self::Year),
        ("quarter", Self::Quarter),
        ("month", Self::Month),
        ("week", Self::Week),
        ("day", Self::Day),
        ("hour", Self::Hour),
        ("weekday", Self::Weekday),
    ];

    /// The type of the part of a column's values.
    pub fn kind(self, column: ColumnType) -> ColumnType {
        match self {
            Self::Whole | Self::WholeBin(_) | Self::RealBin(_) => column,
            Self::Year | Self::Weekday => ColumnType::Integer,
            Self::Quarter | Self::Month | Self::Week | Self::Geohash(_) => ColumnType::Text,
            Self::Day => ColumnType::Date,
            Self::Hour => ColumnType::Timestamp,
        }
    }

    /// The part of a value; null of null. Moments are taken in UTC.
    pub fn of(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Whole, value) => value.clone(),
            (Self::WholeBin(width), Value::Integer(whole)) => Value::Integer(bin(*whole, width)),
            (Self::WholeBin(width), Value::Money(cents)) => Value::Money(bin(*cents, width)),
            (Self::RealBin(width), Value::Number(number)) => Value::Number(real_bin(*number, width)),
            (Self::Geohash(length), Value::Point(point)) => Value::Text(geohash(*point, length)),
            (part, Value::Date(date)) => part.of_moment(date.to_datetime(jiff::civil::Time::midnight())),
            (part, Value::Timestamp(moment)) => part.of_moment(moment.to_zoned(TimeZone::UTC).datetime()),
            _ => Value::Null,
        }
    }

    fn of_moment(self, at: DateTime) -> Value {
        let date: Date = at.date();
        match self {
            Self::Year => Value::Integer(i64::from(date.year())),
            Self::Quarter => Value::Text(format!("{:04}-Q{}", date.year(), (date.month() - 1) / 3 + 1)),
            Self::Month => Value::Text(format!("{:04}-{:02}", date.year(), date.month())),
            Self::Week => {
                let week = date.iso_week_date();
                Value::Text(format!("{:04}-W{:02}", week.year(), week.week()))
            }
            Self::Day => Value::Date(date),
            Self::Hour => {
                let hour: Option<Timestamp> = DateTime::new(date.year(), date.month(), date.day(), at.hour(), 0, 0, 0)
                    .and_then(|hour| hour.to_zoned(TimeZone::UTC))
                    .map(|hour| hour.timestamp())
                    .ok();
                hour.map_or(Value::Null, Value::Timestamp)
            }
            Self::Weekday => Value::Integer(i64::from(date.weekday().to_monday_one_offset())),
            Self::Whole | Self::WholeBin(_) | Self::RealBin(_) | Self::Geohash(_) => Value::Null,
        }
    }

    fn write_normal_form(self, out: &mut String) {
        let name = Self::DATES.into_iter().find_map(|(name, part)| (part == self).then_some(name));
        match self {
            Self::WholeBin(width) => out.push_str(&format!("bin {width} ")),
            Self::Geohash(length) => out.push_str(&format!("geohash {length} ")),
            Self::RealBin(width) => out.push_str(&format!("bin {width:?} ")),
            _ => out.push_str(name.unwrap_or_default()),
        }
        out.push(' ');
    }
}

/// The beginning of the range of a width that a number is in, with as many decimals as the width. Where no number is so near, the value
/// stands for itself.
fn real_bin(number: f64, width: f64) -> f64 {
    let width_text = format!("{width}");
    let decimals = width_text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let beginning = |nth: f64| format!("{:.decimals$}", nth * width).parse().unwrap_or(f64::INFINITY);
    let nth = (number / width).floor();
    // A quotient is rounded, too.
    let found = [nth + 1.0, nth, nth - 1.0].map(beginning).into_iter().find(|beginning: &f64| *beginning <= number);
    match found.filter(|beginning| beginning.is_finite()) {
        Some(beginning) => beginning + 0.0,
        None => number,
    }
}

/// The beginning of the range of a width that a whole number is in. At the end of the numbers the range begins with the least one.
fn bin(whole: i64, width: i64) -> i64 {
    whole.checked_sub(whole.rem_euclid(width)).unwrap_or(i64::MIN)
}

/// What is measured of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The name in answers: `count`, or the kind and the column: `sum_estimated_cost`.
    pub name: String,
    /// What is measured.
    pub kind: MeasureKind,
    /// The column's place; none to count records.
    pub column: Option<usize>,
}

/// The kinds of measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureKind {
    /// How many records, or how many of them have a value.
    Count,
    /// The exact sum of numbers or amounts.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The middle value, or the mean of the two in the middle.
    Median,
    /// How many different values.
    Distinct,
}

impl MeasureKind {
    /// All of them by their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("mean", Self::Mean),
        ("min", Self::Min),
        ("max", Self::Max),
        ("median", Self::Median),
        ("distinct", Self::Distinct),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find_map(|(name, kind)| (kind == self).then_some(name)).unwrap_or_default()
    }

    /// Tells whether columns of a type can be measured so.
    pub fn suits(self, kind: ColumnType) -> bool {
        match self {
            Self::Sum | Self::Mean | Self::Median => {
                matches!(kind, ColumnType::Integer | ColumnType::Money | ColumnType::Number)
            }
            Self::Min | Self::Max => kind != ColumnType::Point,
            Self::Count | Self::Distinct => true,
        }
    }

    /// The type of the measure of a column of a type.
    fn kind(self, column: ColumnType) -> ColumnType {
        match self {
            Self::Count | Self::Distinct => ColumnType::Integer,
            Self::Mean | Self::Median => ColumnType::Number,
            Self::Sum | Self::Min | Self::Max => column,
        }
    }
}

/// A question for groups, checked against a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// The filter for the records.
    pub filter: Filter,
    /// What they are grouped by.
    pub by: Vec<GroupKey>,
    /// What is measured.
    pub measures: Vec<Measure>,
    /// The filter for the groups. Its columns are the keys, then the measures.
    pub having: Filter,
    /// The order of the groups, of the same columns. Groups that are alike in it follow in the order of their keys.
    pub sort: Vec<SortTerm>,
    /// The most groups in the answer.
    pub limit: u32,
    /// The form of the answer: JSON or CSV.
    pub format: Option<Format>,
    /// As [`Query::csv_safe`](super::Query::csv_safe).
    pub csv_safe: bool,
    /// As [`Query::bom`](super::Query::bom).
    pub bom: bool,
    /// As [`Query::delimiter`](super::Query::delimiter).
    pub delimiter: Option<Delimiter>,
    /// As [`Query::numbers_as_texts`](super::Query::numbers_as_texts).
    pub numbers_as_texts: bool,
    /// As [`Query::as_of`](super::Query::as_of).
    pub as_of: Option<PointInTime>,
}

/// The columns of groups, as a definition: filters and orders of groups are read against it.
pub fn group_columns(definition: &Definition, by: &[GroupKey], measures: &[Measure]) -> Vec<Column> {
    let column = |name: &str, kind: ColumnType| Column {
        name: name.to_owned(),
        kind,
        description: String::new(),
        personal: false,
        searchable: false,
    };
    let keys = by.iter().map(|key| column(&key.name, key.part.kind(definition.column_kind(key.column))));
    let measured = measures.iter().map(|measure| {
        let of = measure.column.map_or(ColumnType::Integer, |place| definition.column_kind(place));
        column(&measure.name, measure.kind.kind(of))
    });
    keys.chain(measured).collect()
}

impl Groups {
    /// The columns of the answer: the keys, then the measures.
    pub fn columns(&self, definition: &Definition) -> Vec<Column> {
        group_columns(definition, &self.by, &self.measures)
    }

    /// The total order of the groups.
    pub fn order(&self) -> Vec<SortTerm> {
        let mut order = self.sort.clone();
        for column in 0..self.by.len() {
            if !order.iter().any(|term| term.column == column) {
                order.push(SortTerm { column, descending: false });
            }
        }
        order
    }

    /// A text that is equal for all ways to ask the same question of one version; see
    /// [`Query::normal_form`](super::Query::normal_form).
    pub fn normal_form(&self, definition: &Definition) -> String {
        let mut form = String::from("groups;filter=");
        self.filter.write_normal_form(definition, &mut form);
        form.push_str(";by=");
        for key in &self.by {
            key.part.write_normal_form(&mut form);
            push_name(definition, key.column, &mut form);
            form.push_str(&format!("{:?},", key.name));
        }
        form.push_str(";measure=");
        for measure in &self.measures {
            form.push_str(measure.kind.name());
            form.push(' ');
            if let Some(column) = measure.column {
                push_name(definition, column, &mut form);
            }
            form.push_str(&format!("{:?},", measure.name));
        }
        form.push_str(";having=");
        let columns = Definition { columns: self.columns(definition), ..definition.clone() };
        self.having.write_normal_form(&columns, &mut form);
        form.push_str(";sort=");
        for term in self.order() {
            form.push(if term.descending { '-' } else { '+' });
            push_name(&columns, term.column, &mut form);
        }
        let format = self.format.unwrap_or(Format::Json).name();
        form.push_str(&format!(
            ";limit={};{format};safe={};bom={};delimiter={:?};texts={}",
            self.limit, self.csv_safe, self.bom, self.delimiter, self.numbers_as_texts
        ));
        form
    }
}
