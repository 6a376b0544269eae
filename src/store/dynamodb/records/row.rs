//! A record as an item: one attribute of its own type for each value, and the version since which the record is in this state.
//!
//! A null is an absent attribute. The record id's attribute is the table's sort key: the id, `#` and the epoch in ten digits, so
//! that the rows of a record lie beside each other, the latest last. An item never changes, except that values of withdrawn columns
//! are erased.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    dataset::{Column, ColumnType, Definition, Point, Record, Value},
    store::{
        StoreError,
        dynamodb::{
            ITEM_BYTES_MAX, PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX,
            item::{Item, damaged, find_number, get_number, get_text, number, text},
        },
        records::{RecordStoreError, rules},
    },
};

/// The attribute for the version since which the record is in this state.
pub(super) const VERSION: &str = "$version";
/// The attribute that marks a record as removed as of that version.
const GONE: &str = "$gone";
/// The attribute for the epoch in which values of withdrawn columns were erased.
pub(super) const ERASED: &str = "$erased";

/// Digits of an epoch in the sort key.
const EPOCH_DIGITS: usize = 10;
/// The last epoch of all.
pub(super) const EPOCH_MAX: u64 = 9_999_999_999;
/// An item's size beside its values, bytes.
const OWN_BYTES: usize = 128;
/// The range of numbers that are certainly kept exactly. Others are kept as text.
const EXACT_NUMBERS: std::ops::Range<f64> = 1e-120..1e120;

/// Since when a column has been published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ColumnSince {
    /// The epoch since which a column of this name and type exists. Earlier rows have null there.
    pub(super) typed: u64,
    /// The epoch since which a column of this name exists. Earlier values under it were withdrawn.
    pub(super) named: u64,
}

/// The layout of a data set's records in its table.
#[derive(Debug)]
pub(super) struct Layout {
    definition: Arc<Definition>,
    /// One entry for each column.
    since: Vec<ColumnSince>,
}

/// The contents of a row beside its values.
#[derive(Debug, PartialEq)]
pub(super) struct RowHeader {
    /// The epoch that it was written in.
    pub(super) epoch: u64,
    /// The version since which the record is in this state.
    pub(super) version: u64,
    /// Whether the record is removed.
    pub(super) is_gone: bool,
}

impl Layout {
    /// The layout of a data set that begins with these columns.
    pub(super) fn new(definition: Arc<Definition>) -> Self {
        let since = vec![ColumnSince::default(); definition.columns.len()];
        Self { definition, since }
    }

    /// The layout after other columns are published, as of an epoch.
    pub(super) fn followed_by(&self, definition: &Arc<Definition>, epoch: u64) -> Self {
        let kept = rules::kept_columns(&self.definition, definition);
        let since = definition.columns.iter().zip(kept).map(|(column, kept)| {
            let named = self.definition.column_index(&column.name).and_then(|place| self.since.get(place));
            let typed = kept.and_then(|place| self.since.get(place));
            ColumnSince {
                typed: typed.map_or(epoch, |since| since.typed),
                named: named.map_or(epoch, |since| since.named),
            }
        });
        Self { since: since.collect(), definition: Arc::clone(definition) }
    }

    /// The stored form beside the definition.
    pub(super) fn since_text(&self) -> String {
        let pairs = self.since.iter().map(|since| format!("{}:{}", since.typed, since.named));
        pairs.collect::<Vec<_>>().join(",")
    }

    /// Reads the stored form.
    pub(super) fn read(definition: Arc<Definition>, since: &str) -> Result<Self, StoreError> {
        let read = |pair: &str| {
            let (typed, named) = pair.split_once(':')?;
            Some(ColumnSince { typed: typed.parse().ok()?, named: named.parse().ok()? })
        };
        let since: Option<Vec<ColumnSince>> = since.split(',').map(read).collect();
        let since = since.filter(|since| since.len() == definition.columns.len());
        Ok(Self { since: since.ok_or_else(|| damaged("since", "it does not fit the columns"))?, definition })
    }

    pub(super) fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// The name of the table's partition key.
    pub(super) fn key_attribute(&self) -> &str {
        self.definition.column_name(self.definition.key)
    }

    /// The name of the table's sort key.
    pub(super) fn id_attribute(&self) -> &str {
        self.definition.column_name(self.definition.record_id)
    }

    /// The key of a record's row of an epoch.
    pub(super) fn key_of(&self, key: &str, id: &str, epoch: u64) -> Item {
        let key = (self.key_attribute().to_owned(), text(key));
        [key, (self.id_attribute().to_owned(), text(sort_key(id, epoch)))].into()
    }

    /// Checks that DynamoDB can keep a record.
    pub(super) fn check(&self, line: u64, key: &str, record: &Record) -> Result<(), RecordStoreError> {
        let definition = &self.definition;
        let name = |place: usize| definition.column_name(place);
        if key.is_empty() {
            let reason = "the key is empty".to_owned();
            return Err(RecordStoreError::BadRow { line, reason });
        }
        let id_bytes = value(record, definition.record_id).to_string().len() + 1 + EPOCH_DIGITS;
        let keys = [
            (definition.key, key.len(), PARTITION_KEY_BYTES_MAX),
            (definition.record_id, id_bytes, SORT_KEY_BYTES_MAX),
        ];
        for (place, bytes, bytes_max) in keys {
            if bytes > bytes_max {
                let what = format!("the value of {} as the key of a table", name(place));
                return Err(RecordStoreError::TooLong { line, what, bytes, bytes_max });
            }
        }
        let mut bytes = OWN_BYTES;
        let mut longest = (0, "");
        for (column, value) in definition.columns.iter().zip(&record.values) {
            let of_value = match value {
                Value::Null => continue,
                Value::Text(text) => text.len(),
                // All other values take at most this.
                _ => 40,
            };
            bytes += column.name.len() + of_value;
            longest = longest.max((of_value, column.name.as_str()));
        }
        if bytes > ITEM_BYTES_MAX {
            let what = format!("the record, whose longest value is that of {},", longest.1);
            return Err(RecordStoreError::TooLong { line, what, bytes, bytes_max: ITEM_BYTES_MAX });
        }
        Ok(())
    }

    /// The record as an item that an import writes in its epoch; it is in this state as of `version`.
    pub(super) fn item(&self, record: &Record, epoch: u64, version: u64) -> Item {
        let definition = &self.definition;
        let mut item = Item::with_capacity(definition.columns.len() + 1);
        for (place, (column, value)) in definition.columns.iter().zip(&record.values).enumerate() {
            if place != definition.record_id
                && let Some(attribute) = attribute(value)
            {
                item.insert(column.name.clone(), attribute);
            }
        }
        let id = value(record, definition.record_id).to_string();
        item.insert(self.id_attribute().to_owned(), text(sort_key(&id, epoch)));
        item.insert(VERSION.to_owned(), number(version));
        item
    }

    /// The tombstone of a record that is removed as of `version`.
    pub(super) fn tombstone(&self, key: &str, id: &Value, epoch: u64, version: u64) -> Item {
        let mut item = self.key_of(key, &id.to_string(), epoch);
        item.insert(VERSION.to_owned(), number(version));
        item.insert(GONE.to_owned(), AttributeValue::Bool(true));
        item
    }

    /// Reads the record of an item.
    pub(super) fn record(&self, item: &Item) -> Result<Record, StoreError> {
        let definition = &self.definition;
        let (id, epoch) = self.place(item)?;
        let columns = definition.columns.iter().zip(&self.since).enumerate();
        let values = columns.map(|(place, (column, since))| match place {
            _ if place == definition.record_id => self.id_of(id),
            _ if epoch < since.typed => Ok(Value::Null),
            _ => read(item.get(&column.name), column),
        });
        Ok(Record { values: values.collect::<Result<_, _>>()? })
    }

    /// The record id of an item in its written form, and the item's epoch.
    pub(super) fn place<'i>(&self, item: &'i Item) -> Result<(&'i str, u64), StoreError> {
        let name = self.id_attribute();
        split_sort_key(get_text(item, name)?).ok_or_else(|| damaged(name, "it has no epoch"))
    }

    /// Reads a record id from its written form.
    pub(super) fn id_of(&self, written: &str) -> Result<Value, StoreError> {
        rules::written_id(&self.definition, written)
            .ok_or_else(|| damaged(self.id_attribute(), "it is not of the type of record ids"))
    }

    /// The attributes of columns that are no longer published.
    pub(super) fn withdrawn_from(&self, item: &Item) -> Result<Vec<String>, StoreError> {
        let (_, epoch) = self.place(item)?;
        let lasts = |name: &str| {
            let place = self.definition.column_index(name);
            place.and_then(|place| self.since.get(place)).is_some_and(|since| since.named <= epoch)
        };
        let is_own = |name: &str| name.starts_with('$') || name == self.key_attribute() || name == self.id_attribute();
        Ok(item.keys().filter(|name| !is_own(name) && !lasts(name)).cloned().collect())
    }
}

/// Reads a row's contents beside its values.
pub(super) fn row(item: &Item, epoch: u64) -> Result<RowHeader, StoreError> {
    Ok(RowHeader { epoch, version: get_number(item, VERSION)?, is_gone: item.contains_key(GONE) })
}

/// Tells whether an import that is not visible here yet has erased values of a row.
pub(super) fn is_news(item: &Item, visible: u64) -> Result<bool, StoreError> {
    Ok(find_number(item, ERASED)?.is_some_and(|erased: u64| erased > visible))
}

/// The sort key of a version of a record.
pub(super) fn sort_key(id: &str, epoch: u64) -> String {
    format!("{id}#{epoch:0EPOCH_DIGITS$}")
}

/// Splits a sort key into the record id and the epoch.
fn split_sort_key(sort_key: &str) -> Option<(&str, u64)> {
    let (id, epoch) = sort_key.rsplit_once('#')?;
    Some((id, epoch.parse().ok()?))
}

/// A record's value; null if there is no such column.
pub(super) fn value(record: &Record, column: usize) -> &Value {
    record.values.get(column).unwrap_or(&Value::Null)
}

/// The value as an attribute; none for a null.
fn attribute(value: &Value) -> Option<AttributeValue> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(_) | Value::Money(_) => number(value),
        Value::Point(point) => number(point.packed()),
        Value::Number(float) => match *float {
            // DynamoDB has no negative zero, and a smaller range.
            zero if zero == 0.0 && zero.is_sign_positive() => number(0),
            float if EXACT_NUMBERS.contains(&float.abs()) => number(format!("{float:e}")),
            _ => text(value.to_string()),
        },
        Value::Text(value) => text(value.as_str()),
        Value::Date(_) | Value::Timestamp(_) => text(value.to_string()),
    })
}

/// Reads the attribute of a column.
fn read(attribute: Option<&AttributeValue>, column: &Column) -> Result<Value, StoreError> {
    let wrong = |error: &dyn std::fmt::Display| damaged(&column.name, error);
    Ok(match (column.kind, attribute) {
        (_, None | Some(AttributeValue::Null(_))) => Value::Null,
        (ColumnType::Text, Some(AttributeValue::S(text))) => Value::Text(text.clone()),
        (ColumnType::Integer, Some(AttributeValue::N(digits))) => {
            Value::Integer(scaled(digits, 0).ok_or_else(|| wrong(&"it is no whole number of 64 bits"))?)
        }
        (ColumnType::Money, Some(AttributeValue::N(digits))) => {
            Value::Money(scaled(digits, 2).ok_or_else(|| wrong(&"it is no amount"))?)
        }
        (ColumnType::Number, Some(AttributeValue::N(digits) | AttributeValue::S(digits))) => {
            Value::Number(digits.parse().map_err(|error| wrong(&error))?)
        }
        (ColumnType::Point, Some(AttributeValue::N(digits))) => {
            let point = scaled(digits, 0).and_then(Point::unpacked);
            Value::Point(point.ok_or_else(|| wrong(&"it is no point"))?)
        }
        (ColumnType::Date, Some(AttributeValue::S(text))) => Value::Date(text.parse().map_err(|error| wrong(&error))?),
        (ColumnType::Timestamp, Some(AttributeValue::S(text))) => {
            Value::Timestamp(text.parse().map_err(|error| wrong(&error))?)
        }
        _ => return Err(wrong(&"it is not of its column's type")),
    })
}

/// A decimal number times a power of ten, if that is whole. DynamoDB may write `100` as `100.0` or as `1E+2`.
fn scaled(digits: &str, decimals: i32) -> Option<i64> {
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let fraction = fraction.trim_end_matches('0');
    let unscaled: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let power = exponent.checked_add(decimals)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    let number = if power >= 0 {
        unscaled.checked_mul(factor)?
    } else if unscaled % factor == 0 {
        unscaled / factor
    } else {
        return None;
    };
    i64::try_from(if negative { -number } else { number }).ok()
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};
    use proptest::prelude::*;

    use super::*;
    use crate::store::records::samples::{any_record, definition};

    fn layout() -> Layout {
        Layout::new(Arc::new(definition()))
    }

    fn record(values: &[(usize, Value)]) -> Record {
        let mut record = Record { values: vec![Value::Null; definition().columns.len()] };
        record.values[0] = Value::Text("k".to_owned());
        record.values[1] = Value::Integer(1);
        for (place, value) in values {
            record.values[*place] = value.clone();
        }
        record
    }

    proptest! {
        #[test]
        fn a_record_comes_back_from_its_item(mut record in any_record(), id in any::<i64>(), epoch in 1_u64..9_999_999_999) {
            record.values[1] = Value::Integer(id);
            let item = layout().item(&record, epoch, 7);
            let (written, found) = layout().place(&item).unwrap();
            prop_assert_eq!((written.to_owned(), found), (id.to_string(), epoch));
            prop_assert_eq!(row(&item, epoch).unwrap(), RowHeader { epoch, version: 7, is_gone: false });
            prop_assert_eq!(layout().record(&item).unwrap(), record);
        }

        #[test]
        fn every_number_comes_back(float in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
            let record = record(&[(5, Value::Number(float))]);
            let read = layout().record(&layout().item(&record, 1, 1)).unwrap();
            let Value::Number(read) = read.values[5] else { panic!("no number") };
            prop_assert_eq!(read.to_bits(), float.to_bits());
        }

        #[test]
        fn amounts_are_read_however_they_are_written(cents in any::<i64>()) {
            let shown = Value::Money(cents).to_string();
            prop_assert_eq!(scaled(&shown, 2), Some(cents));
            prop_assert_eq!(scaled(shown.trim_end_matches('0').trim_end_matches('.'), 2), Some(cents));
            prop_assert_eq!(scaled(&format!("{cents}E-2"), 2), Some(cents));
        }

        #[test]
        fn a_sort_key_is_an_id_and_an_epoch(id in any::<String>(), epoch in 0_u64..9_999_999_999) {
            let key = sort_key(&id, epoch);
            prop_assert_eq!(split_sort_key(&key), Some((id.as_str(), epoch)));
        }
    }

    #[test]
    fn the_ends_of_each_type_come_back() {
        let extremes = [
            (2, Value::Text(String::new())),
            (2, Value::Text("#0000000001".to_owned())),
            (3, Value::Integer(i64::MIN)),
            (3, Value::Integer(i64::MAX)),
            (4, Value::Money(i64::MIN)),
            (4, Value::Money(i64::MAX)),
            (5, Value::Number(f64::MIN)),
            (5, Value::Number(f64::MIN_POSITIVE)),
            (5, Value::Number(5e-324)),
            (6, Value::Date(date(-9999, 1, 1))),
            (6, Value::Date(date(9999, 12, 31))),
            (7, Value::Timestamp(Timestamp::MIN)),
            (7, Value::Timestamp(Timestamp::MAX)),
        ];
        for (place, value) in extremes {
            let record = record(&[(place, value)]);
            assert_eq!(layout().record(&layout().item(&record, 1, 1)).unwrap(), record);
        }
        let negative_zero = record(&[(5, Value::Number(-0.0))]);
        let read = layout().record(&layout().item(&negative_zero, 1, 1)).unwrap();
        let Value::Number(zero) = read.values[5] else { panic!("no number") };
        assert!(zero == 0.0 && zero.is_sign_negative());
    }

    #[test]
    fn exponents_and_fractions_of_whole_numbers() {
        assert_eq!(scaled("1E+2", 0), Some(100));
        assert_eq!(scaled("1.50e1", 2), Some(1500));
        assert_eq!(scaled("-0.0", 0), Some(0));
        for wrong in ["1.5", "9223372036854775808", "x", "1e999"] {
            assert_eq!(scaled(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn what_no_item_can_hold_is_named() {
        let large = record(&[(2, Value::Text("x".repeat(ITEM_BYTES_MAX)))]);
        let refused = layout().check(8, "k", &large).unwrap_err().to_string();
        assert!(refused.contains("line 8") && refused.contains("status"), "{refused}");
        let refused =
            layout().check(7, &"k".repeat(PARTITION_KEY_BYTES_MAX + 1), &record(&[])).unwrap_err().to_string();
        assert!(refused.contains("line 7") && refused.contains("number"), "{refused}");
        assert!(matches!(layout().check(9, "", &record(&[])), Err(RecordStoreError::BadRow { line: 9, .. })));
        layout().check(1, "k", &record(&[(2, Value::Text("x".repeat(ITEM_BYTES_MAX / 2)))])).unwrap();
    }

    fn without(name: &str) -> Arc<Definition> {
        let mut definition = definition();
        definition.columns.retain(|column| column.name != name);
        definition.load_date = definition.columns.iter().position(|column| column.name == "load_date");
        Arc::new(definition)
    }

    #[test]
    fn a_column_that_comes_back_begins_with_nulls() {
        let filed = record(&[(2, Value::Text("filed".to_owned())), (3, Value::Integer(7))]);
        let item = layout().item(&filed, 1, 1);
        let gone = layout().followed_by(&without("status"), 3);
        assert_eq!(gone.withdrawn_from(&item).unwrap(), ["status"]);
        let again = gone.followed_by(&Arc::new(definition()), 5);
        assert_eq!(again.record(&item).unwrap(), record(&[(3, Value::Integer(7))]));
        assert_eq!(again.withdrawn_from(&item).unwrap(), ["status"], "also when it is published again");
        assert!(again.withdrawn_from(&again.item(&filed, 5, 4)).unwrap().is_empty());
        let read = Layout::read(Arc::new(definition()), &again.since_text()).unwrap();
        assert_eq!(read.since, again.since);
        assert!(Layout::read(without("status"), &again.since_text()).is_err());
    }

    #[test]
    fn a_column_of_another_type_begins_with_nulls_and_keeps_what_was() {
        let mut other = definition();
        other.columns[3].kind = ColumnType::Text;
        let now = layout().followed_by(&Arc::new(other), 3);
        let item = layout().item(&record(&[(3, Value::Integer(7))]), 1, 1);
        assert_eq!(now.record(&item).unwrap().values[3], Value::Null);
        assert!(now.withdrawn_from(&item).unwrap().is_empty());
    }

    #[test]
    fn who_has_not_heard_of_an_erasure_is_told() {
        let mut item = layout().item(&record(&[]), 1, 1);
        assert!(!is_news(&item, 0).unwrap());
        item.insert(ERASED.to_owned(), number(5));
        assert!(is_news(&item, 4).unwrap() && !is_news(&item, 5).unwrap());
    }

    #[test]
    fn a_removed_record_says_so() {
        let tombstone = layout().tombstone("k", &Value::Integer(1), 4, 3);
        assert_eq!(row(&tombstone, 4).unwrap(), RowHeader { epoch: 4, version: 3, is_gone: true });
        assert_eq!(layout().place(&tombstone).unwrap(), ("1", 4));
    }
}
