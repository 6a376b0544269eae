//! A data set's definition, as written in `schemas/datasets/<name>.toml`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::column::{Column, ColumnType};
use super::text::nfc;
pub use about::SelfDescription;
pub use date_order::{DATE_ORDERS, DateOrder};
pub use dialect::{Dialect, Mark, Quote, Said};
pub use node::DefinitionError;
pub use parse::{COLUMNS_MAX, DEFINITION_BYTES_MAX, RESERVED_COLUMNS};
pub use source::{Case, Extract, Field, FieldOrigin, Fold, JoinPart, KeyFormat, Source, normal_header};

mod about;
mod column;
mod date_order;
mod dialect;
mod node;
mod parse;
mod source;
#[cfg(test)]
mod tests;
mod write;

/// The definitions built into the program: file name and text.
const BUILTIN: [(&str, &str); 2] = [
    ("permits.toml", include_str!("../../schemas/datasets/permits.toml")),
    ("sf_open_data.toml", include_str!("../../schemas/datasets/sf_open_data.toml")),
];

/// The source of a record's id, the second part of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordIdRule {
    /// The row's place among the file's rows with the same key, from 1.
    Ordinal,
    /// The value of a source column; a second row with the same id is rejected.
    Source,
}

/// A declared index: it finds rows by `partition`, in the order of `sort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The column that is compared for equality.
    pub partition: String,
    /// The column that orders the rows of a partition.
    #[serde(default)]
    pub sort: Option<String>,
}

/// The data set's own limits of the guard, in percent. Absent limits follow the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The share of stored records that may be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_max: Option<u32>,
    /// The share of the file's rows that may be rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_max: Option<u32>,
    /// The share of a column's stored values that may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulled_max: Option<u32>,
}

impl Guard {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A data set's definition: what the server publishes, and how a file's rows become records.
///
/// `columns` always holds the key column, the record id column (type integer or text) and, when declared, the load date
/// column; [`Definition::key`], [`Definition::record_id`] and [`Definition::load_date`] are their places in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The data set's name: the first segment of its paths.
    pub name: String,
    /// A title for people.
    pub title: String,
    /// The published columns in their published order.
    pub columns: Vec<Column>,
    /// The place of the key column (text). Its value is the second segment of a record's path.
    pub key: usize,
    /// The place of the record id column. Its value is the third segment.
    pub record_id: usize,
    /// Where record ids come from.
    pub record_id_rule: RecordIdRule,
    /// The place of the column with the day when an import last inserted or changed the record, if there is one. The import sets it;
    /// comparisons of rows ignore it.
    pub load_date: Option<usize>,
    /// Declared indexes.
    pub indexes: Vec<Index>,
    /// How a file's rows are read.
    #[serde(default)]
    pub source: Source,
    /// The data set's limits of the guard.
    #[serde(default, skip_serializing_if = "Guard::is_default")]
    pub guard: Guard,
    /// The data set's description of itself.
    #[serde(default, skip_serializing_if = "SelfDescription::is_default")]
    pub about: SelfDescription,
}

impl Definition {
    /// The definitions built into the program; a test checks that they are valid.
    pub fn builtin() -> Result<Vec<Self>, DefinitionError> {
        BUILTIN.iter().map(|(file, text)| Self::from_toml(text, file)).collect()
    }

    /// This definition with additional statements about one file.
    ///
    /// # Errors
    /// When a column to be filled down is not one of the file's, or one mark would have two meanings.
    pub fn reading_as(&self, said: &Said) -> Result<Self, String> {
        let mut reading = self.clone();
        let source = &mut reading.source;
        source.dialect = source.dialect.overridden(&said.dialect);
        source.dialect.check()?;
        if let Some(order) = said.date_order {
            source.date_order = order;
            source.fields.iter_mut().for_each(|field| field.date_order = None);
        }
        source.blanks.extend(said.blanks.iter().cloned());
        for name in &said.fill_down {
            source::fill_down_column(&mut source.fields, name)?;
        }
        Ok(reading)
    }

    /// A stable hash of everything the definition says, in hexadecimal. Definitions with the same fingerprint read every file alike;
    /// comments and TOML layout do not count.
    pub fn fingerprint(&self) -> String {
        // The derived form has neither maps nor floats, so it is always the same and writing it cannot fail.
        let resolved = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&resolved).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The place of a published column.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The places of the columns that a search for words looks into.
    pub fn searched(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(|(_, column)| column.searchable).map(|(place, _)| place)
    }

    /// Whether `q` looks for words: there are columns for that, and none has this name.
    pub fn is_searched(&self) -> bool {
        self.searched().next().is_some() && self.column_index("q").is_none()
    }

    /// The name of the column at a place; empty if there is none.
    pub fn column_name(&self, place: usize) -> &str {
        self.columns.get(place).map_or("", |column| column.name.as_str())
    }

    /// The type of the column at a place; text if there is none.
    pub fn column_kind(&self, place: usize) -> ColumnType {
        self.columns.get(place).map_or(ColumnType::Text, |column| column.kind)
    }

    /// The places of the columns of points.
    pub fn points(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| column.kind == ColumnType::Point).map(|(place, _)| place).collect()
    }

    /// The text in the form that the column at a place stores: in NFC, in the column's case, and for the key column in its one form.
    /// Queries use it too, so that they find what an import stored.
    pub fn canonical_text<'t>(&self, place: usize, text: &'t str) -> Cow<'t, str> {
        if place == self.key {
            return Cow::Owned(self.canonical_key(text));
        }
        let field = self.source.fields.iter().find(|field| field.target == Some(place));
        field.map_or_else(Fold::default, |field| field.fold).folded(text)
    }

    /// The one form of a key: in NFC, without surrounding space, with the definition's prefix, in its case. With the prefix `#` both
    /// `201612013997` and `#201612013997` give `#201612013997`. A key in its one form stays as it is.
    pub fn canonical_key(&self, text: &str) -> String {
        let format = &self.source.key_format;
        // Folded before leads are removed: folding later could make new leads.
        let folded = format.fold.folded(text.trim());
        let mut bare = folded.as_ref();
        let leads = || std::iter::once(&format.prefix).chain(&format.strip).filter(|lead| !lead.is_empty());
        while let Some(rest) = leads().find_map(|lead| bare.strip_prefix(format.fold.folded(lead).as_ref())) {
            bare = rest.trim_start();
        }
        if bare.is_empty() {
            return String::new();
        }
        let prefix = nfc(&format.prefix);
        let mut key = String::with_capacity(prefix.len() + bare.len());
        key.push_str(&prefix);
        key.push_str(bare);
        // A combining mark at the beginning would merge with the prefix, which would not be recognised again.
        if matches!(nfc(&key), Cow::Owned(_)) { bare.to_owned() } else { key }
    }
}
