//! The uncommitted work of an import, in parts of bounded size: so that it can be written elsewhere first.

use rusqlite::{Connection, params_from_iter, types::Value as Sql};

use super::{
    epochs,
    schema::{self, Stored},
    table::{self, ROW_OF_ID},
};
use crate::{
    dataset::{ColumnType, Definition, Record, Value},
    store::records::past::ChangeKind,
};

/// A change of an import to a record.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct WorkDone {
    pub(in crate::store) kind: ChangeKind,
    pub(in crate::store) key: String,
    pub(in crate::store) id: Value,
    /// The version since which the record was in its earlier state.
    pub(in crate::store) was: Option<u64>,
}

/// The transaction of an import.
pub(in crate::store) struct Work<'s> {
    pub(super) connection: &'s Connection,
    pub(super) definition: &'s Definition,
    pub(super) version: i64,
    /// Whether the data set begins with this import: then all its records are new, and none is kept as a change.
    pub(super) is_new: bool,
    pub(super) read: &'s str,
}

impl Work<'_> {
    /// The changes to the records after another one, at most `max`, ordered by key and record id.
    pub(in crate::store) fn after(&self, last: Option<&WorkDone>, max: usize) -> rusqlite::Result<Vec<WorkDone>> {
        let (place, mut params) = match last {
            None => ("", Vec::new()),
            Some(done) => {
                (" AND (\"$key\", \"$id\") > (?, ?)", vec![Sql::Text(done.key.clone()), schema::owned(&done.id)])
            }
        };
        let from = match self.is_new {
            true => "SELECT \"$key\", \"$id\", NULL, 1, 0 FROM records INDEXED BY by_key WHERE 1".to_owned(),
            false => {
                params.insert(0, Sql::Integer(self.version));
                "SELECT \"$key\", \"$id\", was, remains, before IS NOT NULL FROM changes INDEXED BY changes_feed
                    WHERE version = ?"
                    .to_owned()
            }
        };
        params.push(Sql::Integer(i64::try_from(max).unwrap_or(i64::MAX)));
        let sql = format!("{from}{place} ORDER BY \"$key\", \"$id\" LIMIT ?");
        let kind_of_id = self.definition.columns.get(self.definition.record_id).map(|column| column.kind);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(&params), |row| {
            let kind = match (row.get(4)?, row.get(3)?) {
                (false, _) => ChangeKind::Inserted,
                (true, true) => ChangeKind::Updated,
                (true, false) => ChangeKind::Removed,
            };
            let was: Option<i64> = row.get(2)?;
            Ok(WorkDone {
                kind,
                key: row.get(0)?,
                id: schema::value(kind_of_id.unwrap_or(ColumnType::Text), row.get_ref(1)?)?,
                was: was.map(i64::cast_unsigned),
            })
        })?;
        rows.collect()
    }

    /// The record after the import.
    pub(in crate::store) fn record(&self, key: &str, id: &Value) -> rusqlite::Result<Record> {
        let row = self.connection.prepare_cached(ROW_OF_ID)?.query_row((key, Stored(id)), |row| row.get(0))?;
        table::read_record(self.connection, self.read, self.definition, row)
    }

    /// The epoch of a version, as the replica knows it.
    pub(in crate::store) fn epoch(&self, version: u64) -> rusqlite::Result<u64> {
        epochs::of_version(self.connection, version)
    }
}
