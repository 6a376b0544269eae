//! Statements that read records: unfinished and finished ones.

use rusqlite::types::Value as Sql;

use super::schema::{RecordTable, quoted};

/// A statement and its parameters.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) sql: String,
    pub(super) params: Vec<Sql>,
}

/// An unfinished statement.
#[derive(Debug, Default)]
pub(super) struct StatementText {
    pub(super) sql: String,
    pub(super) params: Vec<Sql>,
    conditions: usize,
}

impl StatementText {
    pub(super) fn select(columns: &str, table: RecordTable, index: Option<&str>) -> Self {
        let mut text = Self::default();
        text.begin(&format!("SELECT {columns}"));
        text.from(table, index);
        text
    }

    /// Appends the beginning of a statement, or of the next part of a compound one.
    pub(super) fn begin(&mut self, start: &str) {
        self.sql.push_str(start);
        self.conditions = 0;
    }

    /// Appends the table, and the index to read it by, if any.
    pub(super) fn from(&mut self, table: RecordTable, index: Option<&str>) {
        self.sql.push_str(" FROM ");
        self.sql.push_str(table.name());
        match index {
            Some(index) => self.sql.push_str(&format!(" INDEXED BY {}", quoted(&table.index(index)))),
            None => self.sql.push_str(" NOT INDEXED"),
        }
    }

    pub(super) fn condition(&mut self, condition: &str, params: impl IntoIterator<Item = Sql>) {
        self.sql.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.params.extend(params);
        self.conditions += 1;
    }

    pub(super) fn order(&mut self, terms: impl Iterator<Item = String>) {
        let terms: Vec<String> = terms.collect();
        if !terms.is_empty() {
            self.sql.push_str(" ORDER BY ");
            self.sql.push_str(&terms.join(", "));
        }
    }

    /// The finished statement with a limit as its last parameter.
    pub(super) fn limited(mut self) -> Segment {
        self.sql.push_str(" LIMIT ?");
        Segment { sql: self.sql, params: self.params }
    }
}
