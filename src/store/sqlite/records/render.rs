//! Renders records in their published form from the values stored beside their columns.

use rusqlite::types::FromSqlError;

use crate::{
    dataset::{ColumnType, Definition, Record, Value, json},
    store::records::rules,
};

/// Marks a length that takes four more bytes.
const LONG: u8 = u8::MAX;
/// Most names and values are shorter, and nearly all others shorter than two of them. Copying a fixed number of bytes is cheaper than
/// copying by length.
const CHUNK: usize = 32;
/// Room for bytes that are copied beyond the end.
const SPARE: usize = 2 * CHUNK;

/// Writes the JSON of each value after its length: a byte, or [`LONG`] and four bytes, the least significant first. The columns'
/// names, two thirds of a record's text, are left out.
pub(super) fn write_values(record: &Record, out: &mut Vec<u8>) {
    for value in &record.values {
        write_value(out, |out| json::write_value(value, out));
    }
}

fn write_value(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    match (u8::try_from(length), out.get_mut(at)) {
        (Ok(short), Some(place)) if short != LONG => *place = short,
        // Every record's length fits into four bytes.
        _ => {
            drop(out.splice(at..=at, [LONG].into_iter().chain(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes())))
        }
    }
}

/// The values with null at these places.
pub(super) fn without(stored: &[u8], places: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stored.len());
    for (place, value) in values(stored).enumerate() {
        let value = if places.contains(&place) { b"null" } else { value };
        write_value(&mut out, |out| out.extend_from_slice(value));
    }
    out
}

/// Reads the record of these values, which were written for `definition`. None where they were not: what is read would be written
/// in another way.
pub(super) fn read_values(definition: &Definition, stored: &[u8]) -> Option<Record> {
    let parsed = definition.columns.iter().zip(values(stored)).map(|(column, text)| {
        let text = str::from_utf8(text).ok()?;
        match column.kind {
            _ if text == "null" => Some(Value::Null),
            ColumnType::Text => serde_json::from_str(text).ok().map(Value::Text),
            kind @ (ColumnType::Date | ColumnType::Timestamp) => {
                Value::parse(kind, &serde_json::from_str::<String>(text).ok()?).ok()
            }
            // A negative zero is a number like any other.
            ColumnType::Number => text.parse().ok().map(Value::Number),
            kind => Value::parse(kind, text).ok(),
        }
    });
    let record = Record { values: parsed.collect::<Option<Vec<_>>>()? };
    let mut written = Vec::with_capacity(stored.len());
    write_values(&record, &mut written);
    (written == stored && record.values.len() == definition.columns.len()).then_some(record)
}

/// The value of a column with the sign that the record's text has: a column keeps no sign of zero.
pub(super) fn as_published(value: Value, stored: &[u8], place: usize) -> Value {
    match value {
        Value::Number(0.0) if values(stored).nth(place).is_some_and(|text| text.starts_with(b"-")) => {
            Value::Number(-0.0)
        }
        other => other,
    }
}

/// Writes the first `length` bytes of a text at the beginning of `room`, and returns the room after them; nothing if they do not
/// fit.
fn put<'r>(text: &[u8], length: usize, room: &'r mut [u8]) -> Option<&'r mut [u8]> {
    // Bytes copied beyond the length are overwritten by the next text.
    if length <= CHUNK
        && let (Some(text), Some(room)) = (text.first_chunk::<CHUNK>(), room.first_chunk_mut::<CHUNK>())
    {
        *room = *text;
    } else if length <= SPARE
        && let (Some(text), Some(room)) = (text.first_chunk::<SPARE>(), room.first_chunk_mut::<SPARE>())
    {
        *room = *text;
    } else {
        room.get_mut(..length)?.copy_from_slice(text.get(..length)?);
    }
    room.get_mut(length..)
}

/// A text padded so that chunks can be copied.
#[derive(Debug, Clone)]
struct Padded {
    text: Vec<u8>,
    length: usize,
}

impl Padded {
    fn new(mut text: Vec<u8>) -> Self {
        let length = text.len();
        text.resize(length.max(SPARE), 0);
        Self { text, length }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a record is stored with {values} values and has {columns} columns: import its file again with --replace")]
struct Torn {
    values: usize,
    columns: usize,
}

/// The text before each value of a record, and the selected values.
#[derive(Clone)]
pub(super) struct Rendering {
    columns: usize,
    /// Whether all columns are published, in their order.
    all: bool,
    published: Vec<(usize, Padded)>,
    names_bytes: usize,
}

impl Rendering {
    /// Publishes the columns at these places in the definition; all columns where none are given.
    pub(super) fn new(definition: &Definition, select: Option<&[usize]>) -> Self {
        let columns = definition.columns.len();
        let places: Vec<usize> = select.map_or_else(|| (0..columns).collect(), <[usize]>::to_vec);
        let named = places.into_iter().filter_map(|place| definition.columns.get(place).map(|column| (place, column)));
        let published = named.enumerate().map(|(nth, (place, column))| {
            let mut before = vec![if nth == 0 { b'{' } else { b',' }];
            json::write_string(&column.name, &mut before);
            before.push(b':');
            (place, Padded::new(before))
        });
        let published: Vec<(usize, Padded)> = published.collect();
        let names_bytes = published.iter().map(|(_, before)| before.length).sum();
        Self { columns, all: select.is_none(), published, names_bytes }
    }

    /// Publishes the columns of `now`, from values that were written for `then`.
    pub(super) fn adapted(then: &Definition, now: &Definition) -> Self {
        let mut rendering = Self::new(now, None);
        rendering.columns = then.columns.len();
        rendering.all = false;
        for ((place, _), source) in rendering.published.iter_mut().zip(rules::kept_columns(then, now)) {
            // A column that did not exist then has no part.
            *place = source.unwrap_or(usize::MAX);
        }
        rendering
    }

    /// The greatest length of the record with these values.
    pub(super) fn bytes_max(&self, values: &[u8]) -> usize {
        let unstored = self.published.len() * b"null".len();
        values.len() + self.names_bytes + unstored + b"{}".len()
    }

    /// Appends the record with these values.
    pub(super) fn write(&self, values: &[u8], out: &mut Vec<u8>) -> Result<(), FromSqlError> {
        let (start, room) = (out.len(), self.bytes_max(values) + SPARE);
        // Behind the room the values are copied, so that a chunk can be copied of the last ones, too.
        out.resize(start + room + values.len() + SPARE, 0);
        let (room, source) = out.get_mut(start..).unwrap_or_default().split_at_mut(room);
        if let Some(source) = source.get_mut(..values.len()) {
            source.copy_from_slice(values);
        }
        let length = room.len();
        match self.fill(StoredValues { bytes: source, spare: SPARE }, room) {
            Ok(left) => out.truncate(start + length - left),
            Err(torn) => {
                out.truncate(start);
                return Err(FromSqlError::other(torn));
            }
        }
        Ok(())
    }

    /// Writes the record, and returns the size of the remaining room.
    fn fill(&self, mut parts: StoredValues<'_>, mut room: &mut [u8]) -> Result<usize, Torn> {
        let torn = |values| Torn { values, columns: self.columns };
        if self.all {
            for (done, (_, before)) in self.published.iter().enumerate() {
                let (value, length) = parts.next().ok_or_else(|| torn(done))?;
                let behind = put(&before.text, before.length, room).and_then(|room| put(value, length, room));
                room = behind.ok_or_else(|| torn(done))?;
            }
            let more = parts.count();
            if more > 0 {
                return Err(torn(self.columns + more));
            }
        } else {
            let parts: Vec<(&[u8], usize)> = parts.collect();
            if parts.len() != self.columns {
                return Err(torn(parts.len()));
            }
            for (place, before) in &self.published {
                let (value, length) = parts.get(*place).copied().unwrap_or((b"null", 4));
                let behind = put(&before.text, before.length, room).and_then(|room| put(value, length, room));
                room = behind.ok_or_else(|| torn(*place))?;
            }
        }
        let end: &[u8] = if self.published.is_empty() { b"{}" } else { b"}" };
        Ok(put(end, end.len(), room).ok_or_else(|| torn(self.columns))?.len())
    }
}

/// The JSON of each value, in the order of the columns.
pub(super) fn values(stored: &[u8]) -> impl Iterator<Item = &[u8]> {
    StoredValues { bytes: stored, spare: 0 }.map(|(text, length)| text.get(..length).unwrap_or_default())
}

/// Iterates over the stored values, each with its length before it. Ends before a truncated value.
struct StoredValues<'a> {
    bytes: &'a [u8],
    /// Bytes at the end that belong to no value.
    spare: usize,
}

impl<'a> Iterator for StoredValues<'a> {
    type Item = (&'a [u8], usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.len() <= self.spare {
            return None;
        }
        let (first, rest) = self.bytes.split_first()?;
        let (length, rest) = match *first {
            LONG => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
            }
            short => (usize::from(short), rest),
        };
        self.bytes = rest.get(length..).filter(|behind| behind.len() >= self.spare)?;
        Some((rest, length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::records::samples::{any_record, definition};

    proptest! {
        #[test]
        fn values_are_read_as_they_were_written(record in any_record()) {
            let (definition, mut values) = (definition(), Vec::new());
            write_values(&record, &mut values);
            let mut again = Vec::new();
            write_values(&read_values(&definition, &values).unwrap(), &mut again);
            prop_assert_eq!(&again, &values);
            prop_assert!(read_values(&definition, values.split_last().unwrap().1).is_none(), "a part of it is nothing");
        }

        #[test]
        fn a_record_is_written_as_its_canonical_text(record in any_record()) {
            let definition = definition();
            let (mut values, mut direct, mut rendered) = (Vec::new(), Vec::new(), Vec::new());
            write_values(&record, &mut values);
            json::write_record(&definition, &record, &mut direct);
            Rendering::new(&definition, None).write(&values, &mut rendered).unwrap();
            prop_assert_eq!(&rendered, &direct);

            let select = [4, 0];
            rendered.clear();
            Rendering::new(&definition, Some(&select)).write(&values, &mut rendered).unwrap();
            let whole: serde_json::Value = serde_json::from_slice(&direct).unwrap();
            let part: serde_json::Value = serde_json::from_slice(&rendered).unwrap();
            prop_assert_eq!(part, serde_json::json!({ "cost": whole["cost"], "number": whole["number"] }));
        }
    }

    #[test]
    fn values_of_other_columns_are_refused() {
        for select in [None, Some([1].as_slice())] {
            let rendering = Rendering::new(&definition(), select);
            assert!(rendering.write(b"\x03\"1\"\x012", &mut Vec::new()).is_err(), "fewer");
            assert!(rendering.write(&b"\x011".repeat(20), &mut Vec::new()).is_err(), "more");
            let cut_off = b"\x011".repeat(definition().columns.len() - 1);
            assert!(rendering.write(&[&cut_off, b"\x022".as_slice()].concat(), &mut Vec::new()).is_err(), "cut off");
        }
    }

    #[test]
    fn values_of_any_length_come_back() {
        let definition = definition();
        for length in [0, 1, 29, 30, 31, 32, 33, 61, 62, 63, 64, 65, 252, 253, 254, 255, 256, 70_000] {
            let mut values: Vec<Value> = definition.columns.iter().map(|_| Value::Null).collect();
            values[0] = Value::Text("x".repeat(length));
            let record = Record { values };
            let (mut stored, mut direct, mut rendered) = (Vec::new(), Vec::new(), Vec::new());
            write_values(&record, &mut stored);
            json::write_record(&definition, &record, &mut direct);
            Rendering::new(&definition, None).write(&stored, &mut rendered).unwrap();
            assert_eq!(rendered, direct, "{length}");
        }
    }
}
