//! The views' tables. Their names take a suffix, so that a rebuild writes new ones beside the live ones.

pub(super) mod rows;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, types::Value as SqlValue};
use uuid::Uuid;

use self::rows::TableRow;
pub(in crate::store) use self::rows::{Statements, put};
use super::{
    Database, StoreError, corrupt,
    roll::{KeptRoll, Roll},
};
use crate::{
    dataset::text::folded,
    domain::{
        id::{StreamId, UserId},
        key::KeyId,
        view::{ImportRow, InvitationState, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow, UserStatus},
    },
    store::{DueFilter, DueNotice, Live, UserFilter, Views, view_rows::ViewRow},
};

/// The views' tables, in the order of their creation.
pub(in crate::store) const TABLES: [&str; 6] =
    [UserRow::VIEW, KeyRow::VIEW, SessionRow::VIEW, PlanRow::VIEW, ImportRow::VIEW, TokenRow::VIEW];

/// The condition of [`UserRow::is_unreached`].
const UNREACHED: &str = " AND status != 'deleted' AND (failing OR invitation IN ('bounced', 'failed', 'expired') \
                         OR (invitation = 'mailed' AND invitation_ends <= ?))";

/// The statements that make the tables with this suffix, without [`indexes`]. A person's keys lie together: they are written and
/// read together, and a rebuild, which goes through people in the order of their ids, only ever appends.
pub(in crate::store) fn tables(suffix: &str) -> String {
    format!(
        "CREATE TABLE users{suffix} (
             id TEXT PRIMARY KEY, version INTEGER NOT NULL, email TEXT, name TEXT, plan TEXT NOT NULL, status TEXT NOT NULL,
             invited_at INTEGER NOT NULL, invitation TEXT NOT NULL, invitation_ends INTEGER, failing INTEGER NOT NULL,
             document TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE keys{suffix} (
             id TEXT NOT NULL, user TEXT NOT NULL, version INTEGER NOT NULL, notice_at INTEGER, personal INTEGER NOT NULL,
             document TEXT NOT NULL, PRIMARY KEY (user, id)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE sessions{suffix} (
             id TEXT NOT NULL, user TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (user, id)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE plans{suffix} (
             name TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE imports{suffix} (
             id TEXT PRIMARY KEY, dataset TEXT NOT NULL, version INTEGER NOT NULL, started_at INTEGER NOT NULL,
             document TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE tokens{suffix} (
             id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;"
    )
}

/// The statements that make the indexes of the tables with this suffix: much faster for many rows at once than row by row. Index
/// names are unique within the file, so they contain a generation.
pub(in crate::store) fn indexes(suffix: &str, generation: i64) -> String {
    format!(
        "CREATE INDEX users_email_{generation} ON users{suffix} (email) WHERE email IS NOT NULL;
         CREATE INDEX users_invited_{generation} ON users{suffix} (invited_at, id);
         CREATE INDEX users_plan_{generation} ON users{suffix} (plan, invited_at, id) WHERE status != 'deleted';
         CREATE UNIQUE INDEX keys_id_{generation} ON keys{suffix} (id);
         CREATE INDEX keys_notice_{generation} ON keys{suffix} (notice_at, id) WHERE notice_at IS NOT NULL;
         CREATE INDEX imports_started_{generation} ON imports{suffix} (started_at, id);
         CREATE INDEX sessions_id_{generation} ON sessions{suffix} (id);"
    )
}

/// Runs a query and reads its rows.
fn select<T>(
    connection: &Connection,
    sql: &str,
    values: &[SqlValue],
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The row with the document in this column.
fn read<T: ViewRow>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    T::from_document(row.get_ref(column)?.as_str().map_err(|error| corrupt("document", error))?)
}

/// The rows of a view that match this condition and order, such as `WHERE id = ?`.
fn find<T: ViewRow>(connection: &Connection, which: &str, values: &[SqlValue]) -> Result<Vec<T>, StoreError> {
    select(connection, &format!("SELECT document FROM {} {which}", T::VIEW), values, |row| read(row, 0))
}

pub(super) fn moment(us: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(us).map_err(|error| corrupt("moment", error))
}

pub(super) fn key_id(text: &str) -> Result<KeyId, StoreError> {
    KeyId::parse(text).map_err(|error| corrupt("key id", error))
}

/// The row of a view with this id.
pub(super) fn find_one<T: ViewRow>(connection: &Connection, id: impl ToString) -> Result<Option<T>, StoreError> {
    Ok(find(connection, "WHERE id = ?", &[text(id)])?.pop())
}

/// The plan of this name.
pub(super) fn find_plan(connection: &Connection, name: impl ToString) -> Result<Option<PlanRow>, StoreError> {
    Ok(find(connection, "WHERE name = ?", &[text(name)])?.pop())
}

fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    find(connection, "ORDER BY id", &[])
}

/// All imports, as the connection sees them.
pub(super) fn all_imports(connection: &Connection) -> Result<Vec<ImportRow>, StoreError> {
    find(connection, "", &[])
}

fn text(value: impl ToString) -> SqlValue {
    SqlValue::Text(value.to_string())
}

fn count(limit: usize) -> SqlValue {
    SqlValue::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn users(connection: &Connection, roll: &Mutex<KeptRoll>, filter: &UserFilter) -> Result<Vec<UserRow>, StoreError> {
    let mut sql = "SELECT document FROM users WHERE 1".to_owned();
    let mut values = Vec::new();
    if let Some(status) = filter.status {
        sql.push_str(" AND status = ?");
        values.push(text(status.as_str()));
    }
    if let Some(plan) = &filter.plan {
        sql.push_str(" AND plan = ? AND status != 'deleted'");
        values.push(text(plan));
    }
    if let Some((invitation, now)) = filter.invitation {
        let (stored, expired) = match invitation {
            InvitationState::Expired => (InvitationState::Mailed, Some("<= ?")),
            InvitationState::Mailed => (InvitationState::Mailed, Some("> ? OR invitation_ends IS NULL")),
            stored => (stored, None),
        };
        sql.push_str(" AND status != 'deleted' AND invitation = ?");
        values.push(text(stored.as_str()));
        if let Some(expired) = expired {
            sql.push_str(&format!(" AND (invitation_ends {expired})"));
            values.push(SqlValue::Integer(now.as_microsecond()));
        }
    }
    if let Some(now) = filter.unreached {
        sql.push_str(UNREACHED);
        values.push(SqlValue::Integer(now.as_microsecond()));
    }
    let after = match filter.after {
        None => None,
        Some(after) => {
            let found = connection
                .prepare_cached("SELECT invited_at FROM users WHERE id = ?1")?
                .query_row([after.to_string()], |row| row.get::<_, i64>(0))
                .optional()?;
            Some((found.unwrap_or(i64::MAX), after.0))
        }
    };
    if let Some(search) = filter.search.as_deref().filter(|search| !search.is_empty()) {
        let needle = folded(search);
        sql.push_str(" AND (contains_folded(email, ?) OR contains_folded(name, ?)) AND id = ?");
        values.extend([text(&needle), text(&needle)]);
        let roll = Roll::current(connection, roll)?;
        return each(connection, &sql, &values, roll.search(&needle, after), filter.limit);
    }
    if let Some((invited_at, after)) = after {
        sql.push_str(" AND (invited_at, id) < (?, ?)");
        values.extend([SqlValue::Integer(invited_at), text(after)]);
    }
    sql.push_str(" ORDER BY invited_at DESC, id DESC LIMIT ?");
    values.push(count(filter.limit));
    select(connection, &sql, &values, |row| read(row, 0))
}

/// The rows of these people, by a query whose last value is a person's id.
fn each(
    connection: &Connection,
    sql: &str,
    values: &[SqlValue],
    people: impl Iterator<Item = UserId>,
    limit: usize,
) -> Result<Vec<UserRow>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for id in people {
        if found.len() >= limit {
            break;
        }
        let id = text(id);
        let mut rows = statement.query(rusqlite::params_from_iter(values.iter().chain([&id])))?;
        if let Some(row) = rows.next()? {
            found.push(read(row, 0)?);
        }
    }
    Ok(found)
}

/// The live rows of a stream.
pub(in crate::store) fn live(connection: &Connection, stream: &StreamId) -> Result<Live, StoreError> {
    let (mut rows, mut wrong) = (Rows::default(), Vec::new());
    match stream {
        StreamId::User(id) => {
            rows.users = checked(connection, "id", text(id), &mut wrong)?;
            rows.keys = checked(connection, "user", text(id), &mut wrong)?;
            rows.sessions = checked(connection, "user", text(id), &mut wrong)?;
        }
        StreamId::Plan(name) => rows.plans = checked(connection, "name", text(name), &mut wrong)?,
        StreamId::DataSet(name) => rows.imports = checked(connection, "dataset", text(name), &mut wrong)?,
        StreamId::AdminTokens => rows.tokens = checked(connection, "1", SqlValue::Integer(1), &mut wrong)?,
    }
    Ok(Live { rows, wrong })
}

/// The rows of a stream, by this column. Names those whose columns differ from their documents.
fn checked<T: TableRow>(
    connection: &Connection,
    column: &str,
    stream: SqlValue,
    wrong: &mut Vec<String>,
) -> Result<Vec<T>, StoreError> {
    let sql = format!("SELECT {}, document FROM {} WHERE {column} = ?", T::COLUMNS.join(", "), T::VIEW);
    let read = |stored: &Row<'_>| {
        let row: T = read(stored, T::COLUMNS.len())?;
        let id: String = stored.get(0)?;
        Ok(((!row.is_beside(stored)?).then(|| format!("columns of {} {id}", T::VIEW)), row))
    };
    let (strayed, rows): (Vec<Option<String>>, Vec<T>) = select(connection, &sql, &[stream], read)?.into_iter().unzip();
    wrong.extend(strayed.into_iter().flatten());
    Ok(rows)
}

#[async_trait]
impl Views for Database {
    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        self.read(move |connection| find_one(connection, id)).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, StoreError> {
        let email = text(email);
        self.read(move |connection| Ok(find(connection, "WHERE email = ? AND status != 'deleted'", &[email])?.pop()))
            .await
    }

    async fn users(&self, filter: UserFilter) -> Result<Vec<UserRow>, StoreError> {
        let shared = Arc::clone(&self.shared);
        if filter.search.is_some() {
            super::database::watch_roll(&shared);
        }
        self.read(move |connection| users(connection, &shared.roll, &filter)).await
    }

    async fn keys(&self, user: UserId) -> Result<Vec<KeyRow>, StoreError> {
        let found = self.read(move |connection| find(connection, "WHERE user = ?", &[text(user)])).await;
        let mut keys: Vec<KeyRow> = found?;
        keys.sort_by_key(|key| (key.issued_at, key.id));
        Ok(keys)
    }

    async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, StoreError> {
        self.read(move |connection| find_one(connection, id)).await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let found = self.read(move |connection| find(connection, "WHERE user = ?", &[text(user)])).await;
        let mut sessions: Vec<SessionRow> = found?;
        sessions.sort_by_key(|session| (session.started_at, session.id));
        Ok(sessions)
    }

    async fn session(&self, id: KeyId) -> Result<Option<SessionRow>, StoreError> {
        self.read(move |connection| find_one(connection, id)).await
    }

    async fn due_notices(&self, filter: DueFilter) -> Result<Vec<DueNotice>, StoreError> {
        let sql = "SELECT notice_at, id, user FROM keys
                   WHERE notice_at IS NOT NULL AND (notice_at, id) > (?, ?) AND notice_at <= ? ORDER BY notice_at, id LIMIT ?";
        // The empty id sorts before all others: all keys of that moment are shown.
        let (at, id) = filter.after.map_or((filter.from, String::new()), |after| (after.at, after.key.to_string()));
        let moment = |at: Timestamp| SqlValue::Integer(at.as_microsecond());
        let values = [moment(at), SqlValue::Text(id), moment(filter.until), count(filter.limit)];
        let read = |row: &Row<'_>| {
            let (key, user): (String, String) = (row.get(1)?, row.get(2)?);
            let user = UserId::parse(&user).map_err(|error| corrupt("user id", error))?;
            Ok(DueNotice { at: self::moment(row.get(0)?)?, key: key_id(&key)?, user })
        };
        self.read(move |connection| select(connection, sql, &values, read)).await
    }

    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError> {
        self.read(|connection| find(connection, "ORDER BY name", &[])).await
    }

    async fn plan(&self, name: &str) -> Result<Option<PlanRow>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| find_plan(connection, name)).await
    }

    async fn people_of_plans(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let sql = "SELECT plan, count(*) FROM users WHERE status != 'deleted' GROUP BY plan";
        self.read(move |connection| {
            let counted = select(connection, sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(counted.into_iter().collect())
        })
        .await
    }

    async fn people_by_standing(&self) -> Result<BTreeMap<(UserStatus, InvitationState), u64>, StoreError> {
        let sql = "SELECT status, invitation, count(*) FROM users GROUP BY status, invitation";
        let read = |row: &Row<'_>| {
            let (status, invitation): (String, String) = (row.get(0)?, row.get(1)?);
            let standing = (
                UserStatus::named(&status).ok_or_else(|| corrupt("status", status))?,
                InvitationState::named(&invitation).ok_or_else(|| corrupt("invitation", invitation))?,
            );
            Ok((standing, row.get(2)?))
        };
        self.read(move |connection| Ok(select(connection, sql, &[], read)?.into_iter().collect())).await
    }

    async fn admin_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read(tokens).await
    }

    async fn admin_token(&self, id: KeyId) -> Result<Option<TokenRow>, StoreError> {
        self.read(move |connection| find_one(connection, id)).await
    }

    async fn imports(&self, dataset: Option<&str>, limit: usize) -> Result<Vec<ImportRow>, StoreError> {
        let mut values: Vec<SqlValue> = dataset.map(text).into_iter().collect();
        values.push(count(limit));
        let of_one = if dataset.is_some() { "WHERE dataset = ? " } else { "" };
        let which = format!("{of_one}ORDER BY started_at DESC, id DESC LIMIT ?");
        self.read(move |connection| find(connection, &which, &values)).await
    }

    async fn import(&self, id: Uuid) -> Result<Option<ImportRow>, StoreError> {
        self.read(move |connection| find_one(connection, id)).await
    }
}
