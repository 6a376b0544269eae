//! Small definitions for tests.

use super::Definition;

/// A definition of these columns and kinds: the first one is the key, the second one the record id.
pub(crate) fn definition(name: &str, columns: &[(&str, &str)]) -> Definition {
    let columns: Vec<serde_json::Value> =
        columns.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
    // Read from JSON, so that later additions to definitions take their defaults here.
    serde_json::from_value(serde_json::json!({
        "name": name,
        "title": "A sample",
        "columns": columns,
        "key": 0,
        "record_id": 1,
        "record_id_rule": "ordinal",
        "load_date": null,
        "indexes": [],
    }))
    .unwrap()
}
