//! The data set that the guide's examples are about: one that the reader may see, with values that its figures show to whoever may see
//! it; or one that is made up.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{dataset::ColumnType, http::about::columns_of, store::records::DataSet};

/// A value stands in an example if it has no more characters.
const VALUE_CHARS_MAX: usize = 40;
/// What stays as it is in the query of an example. Commas separate the values of a list.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// What the examples are about.
#[derive(Debug)]
pub(super) struct Subject {
    /// The address of the server.
    pub(super) public_url: String,
    /// The data set's name.
    pub(super) name: String,
    /// Its title.
    pub(super) title: String,
    /// Its version.
    pub(super) version: u64,
    /// How many records it has; none where it is made up.
    pub(super) records: Option<u64>,
    /// Its columns.
    pub(super) columns: Vec<SubjectColumn>,
    /// The place of the key column.
    pub(super) key: usize,
    /// The place of the record id's column.
    pub(super) record_id: usize,
}

/// A column of it.
#[derive(Debug)]
pub(super) struct SubjectColumn {
    /// Its name.
    pub(super) name: String,
    /// The type of its values.
    pub(super) kind: ColumnType,
    /// What it means.
    pub(super) description: String,
    /// Whether it tells records apart, as the key and the record id do.
    pub(super) identifies: bool,
    /// Records without a value, where that is known.
    pub(super) empty: Option<u64>,
    /// Of texts: values that it has, and how many records have each, the most frequent first.
    pub(super) frequent: Vec<(String, Option<u64>)>,
    /// Of other types: the least and the greatest value that it has.
    pub(super) range: Option<(String, String)>,
}

impl SubjectColumn {
    /// Two values to ask for, in their order. They are the column's own where its figures show some; else they look like some.
    pub(super) fn two_values(&self) -> (String, String) {
        if let Some((least, greatest)) = &self.range {
            return (least.clone(), greatest.clone());
        }
        let own = |place: usize| self.frequent.get(place).map(|(value, _)| value.clone());
        let (low, high) = match self.kind {
            ColumnType::Text => ("example", "sample"),
            ColumnType::Integer => ("10", "20"),
            ColumnType::Money => ("100.00", "250.00"),
            ColumnType::Number => ("1.5", "2.5"),
            ColumnType::Date => ("2026-01-01", "2026-12-31"),
            ColumnType::Timestamp => ("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"),
        };
        match (own(0), own(1)) {
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => (one, high.to_owned()),
            _ => (low.to_owned(), high.to_owned()),
        }
    }

    /// The value that is asked for first.
    pub(super) fn value(&self) -> String {
        self.two_values().0
    }

    /// Whether examples ask for values that it has.
    pub(super) fn has_values(&self) -> bool {
        self.range.is_some() || !self.frequent.is_empty()
    }
}

impl Subject {
    /// A data set. Whoever sees this may see its figures.
    pub(super) fn of(public_url: &str, set: &DataSet) -> Self {
        let definition = &set.definition;
        let figures = set.present_figures();
        let columns = columns_of(set, figures.as_ref()).into_iter().map(|column| {
            let frequent = column.values.iter().map(|shown| (shown.value.text(), Some(shown.count)));
            let range = column.least.zip(column.greatest).map(|(least, greatest)| (least.text(), greatest.text()));
            SubjectColumn {
                name: column.name,
                kind: column.kind,
                description: column.description,
                identifies: column.identifies,
                empty: column.empty,
                frequent: frequent.filter(|(value, _)| is_writable(value)).collect(),
                range,
            }
        });
        Self {
            public_url: public_url.to_owned(),
            name: definition.name.clone(),
            title: definition.title.clone(),
            version: set.version,
            records: Some(set.records),
            columns: columns.collect(),
            key: definition.key,
            record_id: definition.record_id,
        }
    }

    /// One that is made up, for whoever may see none.
    pub(super) fn made_up(public_url: &str) -> Self {
        let column = |name: &str, kind: ColumnType, description: &str| SubjectColumn {
            name: name.to_owned(),
            kind,
            description: description.to_owned(),
            identifies: matches!(name, "isbn" | "copy"),
            empty: None,
            frequent: Vec::new(),
            range: None,
        };
        let subjects = ["history", "law"].map(|value| (value.to_owned(), None));
        let columns = vec![
            column("isbn", ColumnType::Text, "The number of the edition."),
            column("copy", ColumnType::Integer, "Which copy of it, from 1."),
            SubjectColumn {
                frequent: subjects.into(),
                ..column("subject", ColumnType::Text, "What the book is about.")
            },
            column("pages", ColumnType::Integer, "How many pages it has."),
            column("price", ColumnType::Money, "What it has cost."),
            column("weight_kg", ColumnType::Number, "Its weight."),
            column("published", ColumnType::Date, "The day it was published."),
            column("lent_at", ColumnType::Timestamp, "When it was lent last."),
        ];
        Self {
            public_url: public_url.to_owned(),
            name: "books".to_owned(),
            title: "Books".to_owned(),
            version: 1,
            records: None,
            columns,
            key: 0,
            record_id: 1,
        }
    }

    /// The address of the data set.
    pub(super) fn address(&self) -> String {
        format!("{}/{}", self.public_url, self.name)
    }

    /// The name of the column at a place.
    pub(super) fn column_name(&self, place: usize) -> &str {
        self.columns.get(place).map_or("", |column| column.name.as_str())
    }

    /// The column that examples of these types are best about: one that records have in common, with values that may be shown.
    pub(super) fn best(&self, is_meant: impl Fn(ColumnType) -> bool) -> Option<&SubjectColumn> {
        let meant = || self.columns.iter().filter(|column| is_meant(column.kind));
        let common = || meant().filter(|column| !column.identifies);
        common().find(|column| column.has_values()).or_else(|| common().next()).or_else(|| meant().next())
    }
}

/// Whether a value can stand in a line that is copied.
fn is_writable(value: &str) -> bool {
    !value.is_empty() && value.chars().count() <= VALUE_CHARS_MAX && !value.chars().any(char::is_control)
}

/// A value as the query of an address has it.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, PLAIN).to_string()
}

/// Values as the query of an address has a list of them.
pub(super) fn encoded_list(values: &[&str]) -> String {
    match values.iter().any(|value| value.contains(',') || value.starts_with('[')) {
        true => encoded(&serde_json::json!(values).to_string()),
        false => values.iter().map(|value| encoded(value)).collect::<Vec<_>>().join(","),
    }
}
