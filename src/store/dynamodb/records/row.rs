//! A record as an item: one attribute of its own type for each value, the attributes that the indexes are keyed by, and the
//! epochs in which it was written and replaced.
//!
//! A null is an attribute that is not there. The record id's attribute is the table's sort key: the id, `#` and the epoch in
//! ten digits, so that versions of a record lie beside each other.

use std::{collections::HashSet, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

use super::order;
use crate::{
    dataset::{Column, ColumnType, Definition, Record, Value, json},
    store::{
        StoreError,
        dynamodb::{
            ITEM_BYTES_MAX, PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX,
            item::{self, Item, damaged, find_number, get_number, get_text, number, text},
            schema,
        },
        records::RecordStoreError,
    },
};

/// The epoch that a row was written in.
pub(super) const FROM: &str = "$from";
/// The epoch that it was replaced or removed in.
pub(super) const TO: &str = "$to";
/// The version that the record has been like this since. It stays when the row is only written anew for other columns.
pub(super) const VERSION: &str = "$version";
/// The version that the record was not like this any more at.
pub(super) const UNTIL: &str = "$until";
/// The epoch in which values were taken from it that are not published any more.
pub(super) const ERASED: &str = "$erased";

/// Digits of an epoch in the sort key.
const EPOCH_DIGITS: usize = 10;
/// What is added to an item when it is replaced, bytes.
const ROOM_FOR_TO_BYTES: usize = 48;
/// Powers of ten between which a number is certainly kept exactly. Beyond them it is kept as text.
const EXACT_NUMBERS: std::ops::Range<f64> = 1e-120..1e120;

/// An index of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexLayout {
    /// Its name.
    pub(super) name: String,
    /// The attribute of its partition key.
    pub(super) partition_attribute: String,
    /// The attribute of its sort key.
    pub(super) order_attribute: String,
    /// The column that partitions it; none for the index of all records.
    pub(super) partition: Option<usize>,
    /// The columns that its sort key is made of. The last ones are the key and the record id.
    pub(super) order: Vec<usize>,
}

/// How the records of a data set lie in its table.
#[derive(Debug)]
pub(super) struct Layout {
    definition: Arc<Definition>,
    /// Parts of each partition of an index, so that partitions of few values are spread.
    shards: u32,
    /// The index of all records comes first.
    indexes: Vec<IndexLayout>,
}

impl Layout {
    pub(super) fn new(definition: Arc<Definition>, shards: u32) -> Self {
        let indexes = indexes(&definition);
        Self { definition, shards: shards.max(1), indexes }
    }

    pub(super) fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    pub(super) fn shards(&self) -> u32 {
        self.shards
    }

    pub(super) fn indexes(&self) -> &[IndexLayout] {
        &self.indexes
    }

    /// The name of the table's partition key.
    pub(super) fn key_attribute(&self) -> &str {
        self.name(self.definition.key)
    }

    /// The name of the table's sort key.
    pub(super) fn id_attribute(&self) -> &str {
        self.name(self.definition.record_id)
    }

    fn name(&self, column: usize) -> &str {
        self.definition.column_name(column)
    }

    /// The partition key of one shard of a value, of null, or of all records.
    pub(super) fn partition(&self, index: &IndexLayout, value: &Value, shard: u32) -> String {
        match (index.partition, value) {
            (None, _) => shard.to_string(),
            (Some(_), Value::Null) => format!("{shard}#n"),
            (Some(_), value) => format!("{shard}#v{}", order::canonical(value)),
        }
    }

    /// The place of a record in an index.
    pub(super) fn place(&self, index: &IndexLayout, record: &Record) -> String {
        order::place(index.order.iter().map(|column| value(record, *column)))
    }

    /// The shard that a record is in.
    pub(super) fn shard(&self, key: &str, id: &str) -> u32 {
        // Of all hashes one that never changes: rows stay where they are.
        let digest =
            Sha256::new_with_prefix(key.as_bytes()).chain_update([0xff]).chain_update(id.as_bytes()).finalize();
        let four = digest.iter().take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        four % self.shards
    }

    /// The attributes that the indexes are keyed by.
    pub(super) fn index_attributes(
        &self,
        line: u64,
        record: &Record,
    ) -> Result<Vec<(String, String)>, RecordStoreError> {
        let (key, id) = (value(record, self.definition.key), value(record, self.definition.record_id));
        let shard = self.shard(&key.to_string(), &id.to_string());
        let mut attributes = Vec::with_capacity(self.indexes.len() * 2);
        for index in &self.indexes {
            let value = index.partition.map_or(&Value::Null, |column| value(record, column));
            let (partition, place) = (self.partition(index, value, shard), self.place(index, record));
            if let Some(column) = index.partition {
                self.check(line, column, partition.len(), PARTITION_KEY_BYTES_MAX)?;
            }
            if let Some(column) = index.order.first() {
                self.check(line, *column, place.len(), SORT_KEY_BYTES_MAX)?;
            }
            attributes.push((index.partition_attribute.clone(), partition));
            attributes.push((index.order_attribute.clone(), place));
        }
        Ok(attributes)
    }

    fn check(&self, line: u64, column: usize, bytes: usize, bytes_max: usize) -> Result<(), RecordStoreError> {
        if bytes <= bytes_max {
            return Ok(());
        }
        let what = format!("the value of {} as the key of a table or an index", self.name(column));
        Err(RecordStoreError::TooLong { line, what, bytes, bytes_max })
    }

    /// The record as the item that an import writes in its epoch. It has been like this since `version`.
    pub(super) fn item(
        &self,
        line: u64,
        record: &Record,
        (epoch, version): (u64, u64),
    ) -> Result<Item, RecordStoreError> {
        let definition = &self.definition;
        let key = value(record, definition.key).to_string();
        if key.is_empty() {
            let reason = "the key is empty".to_owned();
            return Err(RecordStoreError::BadRow { line, reason });
        }
        let sort_key = sort_key(&value(record, definition.record_id).to_string(), epoch);
        self.check(line, definition.key, key.len(), PARTITION_KEY_BYTES_MAX)?;
        self.check(line, definition.record_id, sort_key.len(), SORT_KEY_BYTES_MAX)?;
        let mut item = Item::with_capacity(definition.columns.len() + 2 * self.indexes.len() + 2);
        for (place, (column, value)) in definition.columns.iter().zip(&record.values).enumerate() {
            if place != definition.record_id
                && let Some(attribute) = attribute(value)
            {
                item.insert(column.name.clone(), attribute);
            }
        }
        item.insert(self.id_attribute().to_owned(), text(sort_key));
        item.insert(FROM.to_owned(), number(epoch));
        item.insert(VERSION.to_owned(), number(version));
        for (name, value) in self.index_attributes(line, record)? {
            item.insert(name, text(value));
        }
        let bytes = item::bytes(&item) + ROOM_FOR_TO_BYTES;
        if bytes > ITEM_BYTES_MAX {
            let longest =
                definition.columns.iter().zip(&record.values).max_by_key(|(_, value)| value.to_string().len());
            let longest = longest.map_or("", |(column, _)| column.name.as_str());
            let what = format!("the record, whose longest value is that of {longest},");
            return Err(RecordStoreError::TooLong { line, what, bytes, bytes_max: ITEM_BYTES_MAX });
        }
        Ok(item)
    }

    /// Reads the record of an item. To be asked only of what is seen: what is not may be of another definition.
    pub(super) fn record(&self, item: &Item) -> Result<Record, StoreError> {
        let definition = &self.definition;
        let mut values = Vec::with_capacity(definition.columns.len());
        for (place, column) in definition.columns.iter().enumerate() {
            values.push(if place == definition.record_id {
                self.id(item, column)?
            } else {
                read(item.get(&column.name), column)?
            });
        }
        Ok(Record { values })
    }

    /// The record id of an item.
    pub(super) fn record_id(&self, item: &Item) -> Result<Value, StoreError> {
        match self.definition.columns.get(self.definition.record_id) {
            Some(column) => self.id(item, column),
            None => Ok(Value::Null),
        }
    }

    fn id(&self, item: &Item, column: &Column) -> Result<Value, StoreError> {
        let (id, _) =
            split_sort_key(get_text(item, &column.name)?).ok_or_else(|| damaged(&column.name, "it has no epoch"))?;
        match column.kind {
            ColumnType::Text => Ok(Value::Text(id.to_owned())),
            kind => Value::parse(kind, id).map_err(|error| damaged(&column.name, error)),
        }
    }
}

/// Whether an attribute is none of a column: their names begin with a letter.
pub(super) fn is_own(attribute: &str) -> bool {
    attribute.starts_with('$')
}

/// Whether an attribute says when something became of its row.
pub(super) fn is_bookkeeping(attribute: &str) -> bool {
    [FROM, TO, VERSION, UNTIL, ERASED].contains(&attribute)
}

/// When an item was written, and when it was replaced.
pub(super) fn epochs(item: &Item) -> Result<(u64, Option<u64>), StoreError> {
    Ok((get_number(item, FROM)?, find_number(item, TO)?))
}

/// The sort key of a version of a record.
pub(super) fn sort_key(id: &str, epoch: u64) -> String {
    format!("{id}#{epoch:0EPOCH_DIGITS$}")
}

/// The record id and the epoch that a sort key is made of.
pub(super) fn split_sort_key(sort_key: &str) -> Option<(&str, u64)> {
    let (id, epoch) = sort_key.rsplit_once('#')?;
    Some((id, epoch.parse().ok()?))
}

/// What tells two versions of a record apart: a hash, without known collisions, of all its values but the load date.
pub(super) fn fingerprint(definition: &Definition, record: &Record) -> [u8; 16] {
    let mut text = Vec::with_capacity(512);
    for (place, value) in record.values.iter().enumerate() {
        if Some(place) != definition.load_date {
            json::write_value(value, &mut text);
        }
        text.push(b',');
    }
    let digest = Sha256::digest(&text);
    let mut half = [0; 16];
    half.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    half
}

/// Appends the record as it is published, with all columns or those selected.
pub(super) fn write_json(definition: &Definition, record: &Record, select: Option<&[usize]>, out: &mut Vec<u8>) {
    let Some(select) = select else { return json::write_record(definition, record, out) };
    out.push(b'{');
    for (nth, column) in select.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        json::write_string(definition.column_name(*column), out);
        out.push(b':');
        json::write_value(value(record, *column), out);
    }
    out.push(b'}');
}

/// A record's value; null where there is no such column.
pub(super) fn value(record: &Record, column: usize) -> &Value {
    record.values.get(column).unwrap_or(&Value::Null)
}

fn indexes(definition: &Definition) -> Vec<IndexLayout> {
    let identity = [definition.key, definition.record_id];
    let walk = IndexLayout {
        name: schema::WALK.to_owned(),
        partition_attribute: "$walk".to_owned(),
        order_attribute: "$order".to_owned(),
        partition: None,
        order: identity.to_vec(),
    };
    let mut indexes = vec![walk];
    let mut names = HashSet::new();
    for declared in &definition.indexes {
        let name = schema::index_name(&declared.partition, declared.sort.as_deref());
        let Some(partition) = definition.column_index(&declared.partition) else { continue };
        if !names.insert(name.clone()) {
            continue;
        }
        let mut order = Vec::new();
        for column in declared.sort.iter().filter_map(|sort| definition.column_index(sort)).chain(identity) {
            if column != partition && !order.contains(&column) {
                order.push(column);
            }
        }
        let (partition_attribute, order_attribute) = (format!("${name}"), format!("${name}.order"));
        indexes.push(IndexLayout { name, partition_attribute, order_attribute, partition: Some(partition), order });
    }
    indexes
}

/// The value as an attribute; none for a null.
fn attribute(value: &Value) -> Option<AttributeValue> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(_) | Value::Money(_) => number(value),
        Value::Number(float) => match *float {
            // DynamoDB knows no negative zero, and a smaller range.
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
        Layout::new(Arc::new(definition()), 4)
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
            let item = layout().item(1, &record, (epoch, 1)).unwrap();
            prop_assert_eq!(epochs(&item).unwrap(), (epoch, None));
            prop_assert_eq!(layout().record(&item).unwrap(), record);
        }

        #[test]
        fn every_number_comes_back(float in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
            let record = record(&[(5, Value::Number(float))]);
            let read = layout().record(&layout().item(1, &record, (1, 1)).unwrap()).unwrap();
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
            assert_eq!(layout().record(&layout().item(1, &record, (1, 1)).unwrap()).unwrap(), record);
        }
        let negative_zero = record(&[(5, Value::Number(-0.0))]);
        let read = layout().record(&layout().item(1, &negative_zero, (1, 1)).unwrap()).unwrap();
        assert_eq!(fingerprint(&definition(), &read), fingerprint(&definition(), &negative_zero));
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
    fn what_no_key_can_hold_is_named() {
        let long = "x".repeat(3_000);
        let refused = layout().item(7, &record(&[(2, Value::Text(long))]), (1, 1)).unwrap_err().to_string();
        assert!(refused.contains("line 7") && refused.contains("status"), "{refused}");
        let mut definition = definition();
        definition.indexes.clear();
        let plain = Layout::new(Arc::new(definition), 1);
        let large = record(&[(2, Value::Text("x".repeat(ITEM_BYTES_MAX)))]);
        let refused = plain.item(8, &large, (1, 1)).unwrap_err().to_string();
        assert!(refused.contains("line 8") && refused.contains("status"), "{refused}");
        let mut keyless = record(&[]);
        keyless.values[0] = Value::Text(String::new());
        assert!(matches!(plain.item(9, &keyless, (1, 1)), Err(RecordStoreError::BadRow { line: 9, .. })));
    }

    #[test]
    fn a_load_date_makes_no_difference() {
        let dated = |day| record(&[(8, Value::Date(date(2026, 1, day)))]);
        assert_eq!(fingerprint(&definition(), &dated(1)), fingerprint(&definition(), &dated(2)));
        assert_ne!(
            fingerprint(&definition(), &dated(1)),
            fingerprint(&definition(), &record(&[(3, Value::Integer(1))]))
        );
    }
}
