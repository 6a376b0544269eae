//! Definition files.

use std::sync::Arc;

use crate::dataset::{
    ColumnType, Definition, RecordIdRule,
    definition::{Field, FieldOrigin},
    mapping::HeaderSearch,
    reader::{Cell, RowCells},
};

/// Takes the bytes for a definition file.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Definition::from_toml(text, "some.toml") {
        Ok(definition) => check_accepted(&definition, text),
        Err(error) => {
            assert!(error.file == "some.toml" && !error.path.is_empty() && !error.reason.is_empty(), "{error:?}");
        }
    }
}

fn check_accepted(definition: &Definition, text: &str) {
    let stored = serde_json::to_string(definition).expect("it can be stored");
    let read: Definition = serde_json::from_str(&stored).expect("what was stored can be read");
    assert_eq!(*definition, read);
    assert_eq!(definition.fingerprint(), read.fingerprint());

    let columns = &definition.columns;
    assert_eq!(columns[definition.key].kind, ColumnType::Text);
    assert!(matches!(columns[definition.record_id].kind, ColumnType::Integer | ColumnType::Text));
    assert!(definition.load_date.is_none_or(|place| columns[place].kind == ColumnType::Date));
    for (place, column) in columns.iter().enumerate() {
        assert_eq!(definition.column_index(&column.name), Some(place), "names are unique");
    }
    for index in &definition.indexes {
        let known = |name: &str| definition.column_index(name).is_some();
        assert!(known(&index.partition) && index.sort.as_deref().is_none_or(known), "{index:?}");
    }
    for field in &definition.source.fields {
        check_field(definition, field);
    }
    for key in text.lines().chain(text.split('"')).take(64) {
        let canonical = definition.canonical_key(key);
        assert_eq!(canonical, definition.canonical_key(&canonical), "{key:?} has one form");
    }
    check_header(definition);
}

fn check_field(definition: &Definition, field: &Field) {
    if let Some(target) = field.target {
        let column = &definition.columns[target];
        assert_eq!((&column.name, column.kind), (&field.name, field.kind));
        let id_is_required = target != definition.record_id || definition.record_id_rule == RecordIdRule::Ordinal;
        assert!(field.required || (target != definition.key && id_is_required), "{field:?}");
    }
    if let FieldOrigin::Join { parts } = &field.origin {
        for part in parts {
            assert!(part.field < definition.source.fields.len());
        }
    }
}

/// A row that bears every header that the definition knows is its header, and all of its columns are there.
fn check_header(definition: &Definition) {
    const CELLS_MAX: usize = 4_096;
    let mut cells: Vec<&str> = Vec::new();
    for field in &definition.source.fields {
        let FieldOrigin::Header { headers, occurrence, .. } = &field.origin else { continue };
        for header in headers {
            cells.extend(std::iter::repeat_n(header.as_str(), *occurrence));
        }
    }
    if cells.is_empty() || cells.len() > CELLS_MAX {
        return;
    }
    // Spellings of one column beside each other may be too much of it.
    let Ok(found) = HeaderSearch::new(Arc::new(definition.clone()), 1).look(&Row(cells)) else { return };
    let found = found.expect("its own header");
    assert!(found.absent.is_empty(), "{:?}", found.absent);
}

struct Row<'a>(Vec<&'a str>);

impl RowCells for Row<'_> {
    fn width(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        self.0.get(place).map_or(Cell::Blank, |text| Cell::Text(text))
    }

    fn is_delimited(&self) -> bool {
        true
    }
}
