//! Records as they are published, from the values that are kept beside their columns.

use memchr::memchr_iter;
use rusqlite::types::FromSqlError;

use crate::dataset::{Definition, Record, json};

/// What parts two values. JSON has no line feed outside of the space between its tokens.
const SEPARATOR: u8 = b'\n';

/// Writes the JSON of each value, a line each. The columns' names are left out, being two thirds of a record's text.
pub(super) fn write_values(record: &Record, out: &mut Vec<u8>) {
    for (place, value) in record.values.iter().enumerate() {
        if place > 0 {
            out.push(SEPARATOR);
        }
        json::write_value(value, out);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a record is stored with {values} values and has {columns} columns: import its file again with --replace")]
struct Torn {
    values: usize,
    columns: usize,
}

/// What a record's text has before each value, and which values these are.
pub(super) struct Rendering {
    columns: usize,
    /// In the order of the columns, where all are published.
    all: bool,
    published: Vec<(usize, Vec<u8>)>,
    names_bytes: usize,
}

impl Rendering {
    /// With the columns at these places in the definition; with all where none are given.
    pub(super) fn new(definition: &Definition, select: Option<&[usize]>) -> Self {
        let columns = definition.columns.len();
        let places: Vec<usize> = select.map_or_else(|| (0..columns).collect(), <[usize]>::to_vec);
        let named = places.into_iter().filter_map(|place| definition.columns.get(place).map(|column| (place, column)));
        let published = named.enumerate().map(|(nth, (place, column))| {
            let mut before = vec![if nth == 0 { b'{' } else { b',' }];
            json::write_string(&column.name, &mut before);
            before.push(b':');
            (place, before)
        });
        let published: Vec<(usize, Vec<u8>)> = published.collect();
        let names_bytes = published.iter().map(|(_, before)| before.len() + 1).sum();
        Self { columns, all: select.is_none(), published, names_bytes }
    }

    /// Appends the record that has these values.
    pub(super) fn write(&self, values: &[u8], out: &mut Vec<u8>) -> Result<(), FromSqlError> {
        let mut parts = parts(values);
        if self.all {
            out.reserve(values.len() + self.names_bytes);
            let mut count = 0;
            for ((_, before), value) in self.published.iter().zip(&mut parts) {
                out.extend_from_slice(before);
                out.extend_from_slice(value);
                count += 1;
            }
            self.check(count + parts.count())?;
        } else {
            let parts: Vec<&[u8]> = parts.collect();
            self.check(parts.len())?;
            for (place, before) in &self.published {
                out.extend_from_slice(before);
                out.extend_from_slice(parts.get(*place).copied().unwrap_or(b"null"));
            }
        }
        out.extend_from_slice(if self.published.is_empty() { b"{}" } else { b"}" });
        Ok(())
    }

    fn check(&self, values: usize) -> Result<(), FromSqlError> {
        if values == self.columns { Ok(()) } else { Err(FromSqlError::other(Torn { values, columns: self.columns })) }
    }
}

/// The values in their order.
fn parts(values: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(SEPARATOR, values).chain([values.len()]).map(move |end| {
        let part = values.get(start..end).unwrap_or_default();
        start = end + 1;
        part
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tests::{any_record, definition},
        *,
    };

    proptest! {
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
            assert!(rendering.write(b"\"1\"\n2", &mut Vec::new()).is_err());
            assert!(rendering.write(&b"1\n".repeat(20), &mut Vec::new()).is_err());
        }
    }
}
