//! Writes rows: first the columns to search or order by, which follow from the row, then its document.

use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::{
    Connection, Row, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    domain::view::{ImportRow, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow},
    store::{ReplayView, StoreError, view_rows::ViewRow},
};

/// A row with a table of its own.
pub(super) trait TableRow: ViewRow {
    /// The columns before the document.
    const COLUMNS: &'static [&'static str];

    /// The columns that identify an existing row.
    const UNIQUE: &'static str;

    /// The values of the columns.
    fn columns(&self) -> Vec<ToSqlOutput<'_>>;

    /// Tells whether the first columns of a stored row have these values.
    fn is_beside(&self, stored: &Row<'_>) -> Result<bool, StoreError> {
        for (place, value) in self.columns().iter().enumerate() {
            let value = match value {
                ToSqlOutput::Borrowed(value) => *value,
                ToSqlOutput::Owned(value) => ValueRef::from(value),
                _ => return Ok(false),
            };
            if stored.get_ref(place)? != value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

macro_rules! columns {
    ($($type:ident, $unique:literal, |$row:ident| { $($name:literal => $value:expr,)* })*) => {$(
        impl TableRow for $type {
            const COLUMNS: &'static [&'static str] = &[$($name),*];
            const UNIQUE: &'static str = $unique;

            fn columns(&self) -> Vec<ToSqlOutput<'_>> {
                let $row = self;
                vec![$($value),*]
            }
        }
    )*};
}

columns! {
    UserRow, "id", |row| {
        "id" => row.id.to_string().into(),
        "version" => version(row),
        "email" => text(row.email.as_deref()),
        "name" => text(row.name.as_deref()),
        "plan" => text(row.plan.as_str()),
        "status" => text(row.status.as_str()),
        "invited_at" => moment(row.invited_at),
        "invitation" => text(row.invitation.state.as_str()),
        "invitation_ends" => moment(row.invitation.expires_at),
        "failing" => (row.mail_stop.is_some() || row.mail_failure.is_some()).into(),
    }
    KeyRow, "id", |row| {
        "id" => text(row.id.as_str()),
        "user" => row.user.to_string().into(),
        "version" => version(row),
        "notice_at" => moment(row.notice_at),
        "personal" => (row.label.is_some() || row.allowed_ips.is_some()).into(),
    }
    SessionRow, "user, id", |row| {
        "id" => text(row.id.as_str()),
        "user" => row.user.to_string().into(),
        "version" => version(row),
    }
    PlanRow, "name", |row| {
        "name" => text(row.name.as_str()),
        "version" => version(row),
    }
    ImportRow, "id", |row| {
        "id" => row.id.to_string().into(),
        "dataset" => text(row.dataset.as_str()),
        "version" => version(row),
        "started_at" => moment(row.started_at),
    }
    TokenRow, "id", |row| {
        "id" => text(row.id.as_str()),
        "version" => version(row),
    }
}

fn text<'a>(value: impl Into<Option<&'a str>>) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(value.into().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())))
}

fn moment(at: impl Into<Option<Timestamp>>) -> ToSqlOutput<'static> {
    ToSqlOutput::Borrowed(at.into().map_or(ValueRef::Null, |at| ValueRef::Integer(at.as_microsecond())))
}

/// A version always fits into SQLite's number.
fn version(row: &impl ViewRow) -> ToSqlOutput<'static> {
    i64::try_from(row.version()).unwrap_or(i64::MAX).into()
}

/// The statements that write rows into the tables with one suffix. Their texts are made once: a replay runs them for every row of
/// every view.
pub(in crate::store) struct Statements {
    users: String,
    keys: String,
    sessions: String,
    plans: String,
    imports: String,
    tokens: String,
}

/// The statements for the live tables.
static LIVE: LazyLock<Statements> = LazyLock::new(|| Statements::new("", true));

/// Writes rows into the live tables, replacing only older ones.
pub(in crate::store) fn put(connection: &Connection, rows: &Rows) -> Result<(), StoreError> {
    LIVE.put(connection, std::slice::from_ref(rows))
}

impl Statements {
    /// Statements that replace older stored rows, which needs the tables' indexes; or, without `replaces`, statements for tables
    /// that hold none of the rows yet.
    pub(in crate::store) fn new(suffix: &str, replaces: bool) -> Self {
        Self {
            users: statement::<UserRow>(suffix, replaces),
            keys: statement::<KeyRow>(suffix, replaces),
            sessions: statement::<SessionRow>(suffix, replaces),
            plans: statement::<PlanRow>(suffix, replaces),
            imports: statement::<ImportRow>(suffix, replaces),
            tokens: statement::<TokenRow>(suffix, replaces),
        }
    }

    /// Writes the rows of one view, or of all.
    pub(in crate::store) fn put_of(
        &self,
        view: Option<ReplayView>,
        connection: &Connection,
        rows: &[Rows],
    ) -> Result<(), StoreError> {
        match view {
            None => self.put(connection, rows),
            Some(ReplayView::Users) => put_each(connection, &self.users, rows.iter().flat_map(|rows| &rows.users)),
            Some(ReplayView::Keys) => put_each(connection, &self.keys, rows.iter().flat_map(|rows| &rows.keys)),
            Some(ReplayView::Sessions) => {
                put_each(connection, &self.sessions, rows.iter().flat_map(|rows| &rows.sessions))
            }
            Some(ReplayView::Plans) => put_each(connection, &self.plans, rows.iter().flat_map(|rows| &rows.plans)),
            Some(ReplayView::Imports) => {
                put_each(connection, &self.imports, rows.iter().flat_map(|rows| &rows.imports))
            }
            Some(ReplayView::Tokens) => put_each(connection, &self.tokens, rows.iter().flat_map(|rows| &rows.tokens)),
        }
    }

    /// Writes rows, table by table.
    pub(in crate::store) fn put(&self, connection: &Connection, rows: &[Rows]) -> Result<(), StoreError> {
        put_each(connection, &self.users, rows.iter().flat_map(|rows| &rows.users))?;
        put_each(connection, &self.keys, rows.iter().flat_map(|rows| &rows.keys))?;
        put_each(connection, &self.sessions, rows.iter().flat_map(|rows| &rows.sessions))?;
        put_each(connection, &self.plans, rows.iter().flat_map(|rows| &rows.plans))?;
        put_each(connection, &self.imports, rows.iter().flat_map(|rows| &rows.imports))?;
        put_each(connection, &self.tokens, rows.iter().flat_map(|rows| &rows.tokens))
    }
}

/// Runs a statement for each row.
fn put_each<'a, T: TableRow + 'a>(
    connection: &Connection,
    sql: &str,
    rows: impl Iterator<Item = &'a T>,
) -> Result<(), StoreError> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        let document = row.to_document()?;
        statement.execute(params_from_iter(row.columns().into_iter().chain([text(document.as_str())])))?;
    }
    Ok(())
}

/// An insert; with `replaces` it changes an existing row if its version is older.
fn statement<T: TableRow>(suffix: &str, replaces: bool) -> String {
    let columns: Vec<&str> = T::COLUMNS.iter().copied().chain(["document"]).collect();
    let places = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO {}{suffix} ({}) VALUES ({places})", T::VIEW, columns.join(", "));
    if !replaces {
        return insert;
    }
    let changes: Vec<String> = columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
    // A key that was issued twice stays with its first owner.
    let whose = if T::VIEW == KeyRow::VIEW { " AND excluded.user = user" } else { "" };
    format!(
        "{insert} ON CONFLICT ({}) DO UPDATE SET {} WHERE excluded.version > version{whose}",
        T::UNIQUE,
        changes.join(", ")
    )
}
