//! The JSON document that answers a read: the records, the data set and its version.

use super::json;

const OPEN: &[u8] = b"{\"data\":";

/// An answer being written: a list of records, or a single one. It is written once from beginning to end, so that each record is copied
/// only once, from the store into the answer.
#[derive(Debug, Clone)]
pub struct Document {
    bytes: Vec<u8>,
    count: u32,
    list: bool,
}

impl Document {
    /// The beginning of a list of records: `{"data":[`.
    pub fn list() -> Self {
        Self { bytes: [OPEN, b"["].concat(), count: 0, list: true }
    }

    /// The beginning of an answer that is one record: `{"data":`.
    pub fn single() -> Self {
        Self { bytes: OPEN.to_vec(), count: 0, list: false }
    }

    /// The buffer to which the next record's JSON is appended.
    pub fn next_record(&mut self) -> &mut Vec<u8> {
        if self.count > 0 {
            self.bytes.push(b',');
        }
        self.count += 1;
        &mut self.bytes
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// The number of records so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The whole document. `members` follow the records: each is a name that needs no escaping, and its JSON. The data set's name and
    /// version come last.
    pub fn finish(mut self, members: &[(&str, &str)], data_set: &str, version: u64) -> Vec<u8> {
        if self.list {
            self.bytes.push(b']');
        }
        for (name, value) in members {
            for part in [",\"", name, "\":", value] {
                self.bytes.extend_from_slice(part.as_bytes());
            }
        }
        self.bytes.extend_from_slice(b",\"dataset\":{\"name\":");
        json::write_string(data_set, &mut self.bytes);
        self.bytes.extend_from_slice(b",\"version\":");
        json::write_digits(version, &mut self.bytes);
        self.bytes.extend_from_slice(b"}}");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn finished(mut document: Document, records: &[&str], members: &[(&str, &str)]) -> Value {
        for record in records {
            document.next_record().extend_from_slice(record.as_bytes());
        }
        assert_eq!(document.count() as usize, records.len());
        serde_json::from_slice(&document.finish(members, "permits", 12)).unwrap()
    }

    #[test]
    fn a_list_and_a_single_record() {
        let data_set = json!({ "name": "permits", "version": 12 });
        let (two, none) = (["{\"a\":1}", "{\"a\":2}"], []);
        assert_eq!(finished(Document::list(), &none, &[]), json!({ "data": [], "dataset": data_set }));
        assert_eq!(
            finished(Document::list(), &two, &[("page", "{\"limit\":2}")]),
            json!({ "data": [{ "a": 1 }, { "a": 2 }], "page": { "limit": 2 }, "dataset": data_set })
        );
        assert_eq!(finished(Document::single(), &two[..1], &[]), json!({ "data": { "a": 1 }, "dataset": data_set }));
    }
}
