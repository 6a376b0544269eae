//! The data set of the guide's examples: one that the reader may see, with values from its figures, which the reader may see, too; or a
//! made-up one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{dataset::ColumnType, http::about::columns_of, store::records::DataSet};

/// Longest value in an example, characters.
const VALUE_CHARS_MAX: usize = 40;
/// The characters that are encoded in an example's query. Commas are among them: they separate the values of a list.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// The data set of the examples.
#[derive(Debug)]
pub(super) struct Subject {
    /// The address of the server.
    pub(super) public_url: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) version: u64,
    /// The number of its records; none for a made-up data set.
    pub(super) records: Option<u64>,
    pub(super) columns: Vec<SubjectColumn>,
    /// The place of the key column.
    pub(super) key: usize,
    /// The place of the record id's column.
    pub(super) record_id: usize,
    /// The place of a column that is searched for words, where `q` looks for them.
    pub(super) searched: Option<usize>,
}

/// A column of the data set.
#[derive(Debug)]
pub(super) struct SubjectColumn {
    pub(super) name: String,
    /// The type of its values.
    pub(super) kind: ColumnType,
    /// Its meaning.
    pub(super) description: String,
    /// Whether the column tells records apart, as the key and the record id do.
    pub(super) identifies: bool,
    /// Records without a value, where their number is known.
    pub(super) empty: Option<u64>,
    /// For texts: values of the column with their numbers of records, the most frequent first.
    pub(super) frequent: Vec<(String, Option<u64>)>,
    /// For other types: the least and the greatest value.
    pub(super) range: Option<(String, String)>,
}

impl SubjectColumn {
    /// Two values to ask for, in order: from the column's figures where these show some, otherwise made up.
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
            ColumnType::Point => ("37.7749,-122.4194", "37.7955,-122.3937"),
        };
        match (own(0), own(1)) {
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => (one, high.to_owned()),
            _ => (low.to_owned(), high.to_owned()),
        }
    }

    /// The first value to ask for.
    pub(super) fn value(&self) -> String {
        self.two_values().0
    }

    /// Whether examples ask for values from the column's figures.
    pub(super) fn has_values(&self) -> bool {
        self.range.is_some() || !self.frequent.is_empty()
    }
}

impl Subject {
    /// A data set whose figures the reader may see.
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
        let searched = definition.searched().next().filter(|_| definition.is_searched());
        Self {
            public_url: public_url.to_owned(),
            name: definition.name.clone(),
            title: definition.title.clone(),
            version: set.version,
            records: Some(set.records),
            columns: columns.collect(),
            key: definition.key,
            record_id: definition.record_id,
            searched,
        }
    }

    /// A made-up data set, for readers who may see none.
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
            column("library", ColumnType::Point, "Where it is."),
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
            searched: Some(2),
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

    /// The best column for examples of these types: preferably one that does not identify records, with values from its figures.
    pub(super) fn best(&self, is_meant: impl Fn(ColumnType) -> bool) -> Option<&SubjectColumn> {
        let meant = || self.columns.iter().filter(|column| is_meant(column.kind));
        let common = || meant().filter(|column| !column.identifies);
        common().find(|column| column.has_values()).or_else(|| common().next()).or_else(|| meant().next())
    }
}

/// Whether a value can stand in a line to copy.
fn is_writable(value: &str) -> bool {
    !value.is_empty() && value.chars().count() <= VALUE_CHARS_MAX && !value.chars().any(char::is_control)
}

/// A value encoded for a query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, PLAIN).to_string()
}

/// A list of values encoded for a query.
pub(super) fn encoded_list(values: &[&str]) -> String {
    match values.iter().any(|value| value.contains(',') || value.starts_with('[')) {
        true => encoded(&serde_json::json!(values).to_string()),
        false => values.iter().map(|value| encoded(value)).collect::<Vec<_>>().join(","),
    }
}
