//! Statements that read records: unfinished and finished ones.

use rusqlite::types::Value as Sql;

use super::schema::quoted;

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
    /// The beginning of a statement that reads records by an index.
    pub(super) fn select(columns: &str, index: &str) -> Self {
        let sql = format!("SELECT {columns} FROM records INDEXED BY {}", quoted(index));
        Self { sql, ..Self::default() }
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
