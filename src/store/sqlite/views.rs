//! The views' tables. Their names take a suffix, so that a rebuild writes new ones beside the live ones.

pub(super) mod rows;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, types::Value as SqlValue};
use uuid::Uuid;

use self::rows::{
    IMPORT_COLUMNS, KEY_COLUMNS, PLAN_COLUMNS, SESSION_COLUMNS, TOKEN_COLUMNS, read_due, read_import, read_key,
    read_plan, read_session, read_token, read_user,
};
pub(in crate::store) use self::rows::{Statements, put};
pub(super) use self::rows::{USER_COLUMNS, key_id, moment, optional_text, read_scopes};
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
    store::{DueFilter, DueNotice, UserFilter, Views},
};

/// The views' tables, in the order in which they are made, and the columns that identify a row.
pub(in crate::store) const TABLES: [&str; 6] = ["users", "keys", "sessions", "plans", "imports", "tokens"];

/// As [`UserRow::is_unreached`] says it.
const UNREACHED: &str = " AND status != 'deleted' AND (mail_stop IS NOT NULL OR mail_failure IS NOT NULL \
                         OR invitation IN ('bounced', 'failed', 'expired') OR (invitation = 'mailed' AND invitation_ends <= ?))";

/// The statements that make the tables with this suffix, without [`indexes`]. A person's keys lie together: they are written
/// and read together, and a rebuild, which goes from person to person in the order of their ids, only ever appends.
pub(in crate::store) fn tables(suffix: &str) -> String {
    format!(
        "CREATE TABLE users{suffix} (
             id TEXT PRIMARY KEY, version INTEGER NOT NULL, email TEXT, name TEXT, role TEXT NOT NULL, plan TEXT NOT NULL,
             status TEXT NOT NULL, invited_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, deleted_at INTEGER,
             mail_failure TEXT, notices_off TEXT, invitation TEXT NOT NULL DEFAULT 'invited',
             invitation_since INTEGER NOT NULL DEFAULT 0, mail_stop TEXT, invitation_ends INTEGER, first_request_at INTEGER
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE keys{suffix} (
             id TEXT NOT NULL, user TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, last_four TEXT NOT NULL,
             label TEXT, issued_at INTEGER NOT NULL, mailed_at INTEGER, valid_until INTEGER, replaced_by TEXT,
             revoked_at INTEGER, revocation_reason TEXT, expires_at INTEGER, allowed_ips TEXT, datasets TEXT, actions TEXT,
             notice_at INTEGER, PRIMARY KEY (user, id)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE plans{suffix} (
             name TEXT PRIMARY KEY, version INTEGER NOT NULL, rate_per_s REAL NOT NULL, burst INTEGER NOT NULL,
             quota_per_day INTEGER NOT NULL, retired INTEGER NOT NULL, key_max_age_days INTEGER, datasets TEXT,
             keys_max INTEGER
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE imports{suffix} (
             id TEXT PRIMARY KEY, dataset TEXT NOT NULL, version INTEGER NOT NULL, file_name TEXT NOT NULL,
             definition TEXT NOT NULL, replaces INTEGER NOT NULL, status TEXT NOT NULL, started_at INTEGER NOT NULL,
             ended_at INTEGER, dataset_version INTEGER, inserted INTEGER, updated INTEGER, unchanged INTEGER,
             removed INTEGER, rejected INTEGER, reason TEXT
         ) STRICT, WITHOUT ROWID;
         {}
         {}",
        sessions(suffix),
        tokens_table(suffix)
    )
}

/// The statement that makes the table of sessions, which a file of an earlier version lacks.
pub(in crate::store) fn sessions(suffix: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS sessions{suffix} (
             id TEXT NOT NULL, user TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL,
             started_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, idle_at INTEGER NOT NULL, seen_at INTEGER NOT NULL,
             method TEXT NOT NULL, network TEXT, ended_at INTEGER, end_reason TEXT, PRIMARY KEY (user, id)
         ) STRICT, WITHOUT ROWID;"
    )
}

/// The statement that makes the table of administrators' tokens, which a file of an earlier permitd lacks.
pub(super) fn tokens_table(suffix: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS tokens{suffix} (
             id TEXT PRIMARY KEY, version INTEGER NOT NULL, sha256 TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
             read_only INTEGER NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER
         ) STRICT, WITHOUT ROWID;"
    )
}

/// The statement that makes its index.
pub(in crate::store) fn sessions_index(suffix: &str, generation: i64) -> String {
    format!("CREATE INDEX IF NOT EXISTS sessions_id_{generation} ON sessions{suffix} (id);")
}

/// The statements that make the indexes of the tables with this suffix: much faster for many rows at once than for one after
/// the other. Index names are of the whole file, so they bear a generation.
pub(in crate::store) fn indexes(suffix: &str, generation: i64) -> String {
    format!(
        "CREATE INDEX users_email_{generation} ON users{suffix} (email) WHERE email IS NOT NULL;
         CREATE INDEX users_invited_{generation} ON users{suffix} (invited_at, id);
         {}
         CREATE UNIQUE INDEX keys_id_{generation} ON keys{suffix} (id);
         CREATE INDEX keys_notice_{generation} ON keys{suffix} (notice_at, id) WHERE notice_at IS NOT NULL;
         CREATE INDEX imports_started_{generation} ON imports{suffix} (started_at, id);
         {}",
        plan_index(suffix, generation),
        sessions_index(suffix, generation)
    )
}

/// The statement that makes the index of people by their plans, which a file of an earlier permitd lacks.
pub(super) fn plan_index(suffix: &str, generation: i64) -> String {
    format!(
        "CREATE INDEX IF NOT EXISTS users_plan_{generation} ON users{suffix} (plan, invited_at, id) WHERE status != 'deleted';"
    )
}

/// Runs a query and reads its rows.
fn select<T>(
    connection: &Connection,
    sql: &str,
    values: &[SqlValue],
    read: fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    select(connection, &format!("SELECT {} FROM tokens ORDER BY id", columns(&TOKEN_COLUMNS)), &[], read_token)
}

/// All imports, as a connection sees them.
pub(super) fn all_imports(connection: &Connection) -> Result<Vec<ImportRow>, StoreError> {
    select(connection, &format!("SELECT {} FROM imports", columns(&IMPORT_COLUMNS)), &[], read_import)
}

fn columns(columns: &[&str]) -> String {
    columns.join(", ")
}

fn text(value: impl ToString) -> SqlValue {
    SqlValue::Text(value.to_string())
}

fn count(limit: usize) -> SqlValue {
    SqlValue::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn users(connection: &Connection, roll: &Mutex<KeptRoll>, filter: &UserFilter) -> Result<Vec<UserRow>, StoreError> {
    let mut sql = format!("SELECT {} FROM users WHERE 1", columns(&USER_COLUMNS));
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
    select(connection, &sql, &values, read_user)
}

/// The rows of these people, as far as a query finds them: its last value is a person's id.
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
            found.push(read_user(row)?);
        }
    }
    Ok(found)
}

/// The live rows of a stream.
pub(in crate::store) fn rows_of(connection: &Connection, stream: &StreamId) -> Result<Rows, StoreError> {
    let by =
        |table: &[&str], name: &str, column: &str| format!("SELECT {} FROM {name} WHERE {column} = ?", columns(table));
    let mut rows = Rows::default();
    match stream {
        StreamId::User(id) => {
            rows.users = select(connection, &by(&USER_COLUMNS, "users", "id"), &[text(id)], read_user)?;
            rows.keys = select(connection, &by(&KEY_COLUMNS, "keys", "user"), &[text(id)], read_key)?;
            rows.sessions = select(connection, &by(&SESSION_COLUMNS, "sessions", "user"), &[text(id)], read_session)?;
        }
        StreamId::Plan(name) => {
            rows.plans = select(connection, &by(&PLAN_COLUMNS, "plans", "name"), &[text(name)], read_plan)?;
        }
        StreamId::DataSet(name) => {
            rows.imports = select(connection, &by(&IMPORT_COLUMNS, "imports", "dataset"), &[text(name)], read_import)?;
        }
        StreamId::AdminTokens => rows.tokens = tokens(connection)?,
    }
    Ok(rows)
}

/// A session, by its id.
pub(in crate::store) fn find_session(connection: &Connection, id: KeyId) -> Result<Option<SessionRow>, StoreError> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {} FROM sessions WHERE id = ?", columns(&SESSION_COLUMNS)));
    Ok(select(connection, &SQL, &[text(id)], read_session)?.pop())
}

#[async_trait]
impl Views for Database {
    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        let sql = format!("SELECT {} FROM users WHERE id = ?", columns(&USER_COLUMNS));
        self.read(move |connection| Ok(select(connection, &sql, &[text(id)], read_user)?.pop())).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, StoreError> {
        let sql = format!("SELECT {} FROM users WHERE email = ? AND status != 'deleted'", columns(&USER_COLUMNS));
        let email = text(email);
        self.read(move |connection| Ok(select(connection, &sql, &[email], read_user)?.pop())).await
    }

    async fn users(&self, filter: UserFilter) -> Result<Vec<UserRow>, StoreError> {
        let shared = Arc::clone(&self.shared);
        if filter.search.is_some() {
            super::database::watch_roll(&shared);
        }
        self.read(move |connection| users(connection, &shared.roll, &filter)).await
    }

    async fn keys(&self, user: UserId) -> Result<Vec<KeyRow>, StoreError> {
        let sql = format!("SELECT {} FROM keys WHERE user = ? ORDER BY issued_at, id", columns(&KEY_COLUMNS));
        self.read(move |connection| select(connection, &sql, &[text(user)], read_key)).await
    }

    async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, StoreError> {
        let sql = format!("SELECT {} FROM keys WHERE id = ?", columns(&KEY_COLUMNS));
        self.read(move |connection| Ok(select(connection, &sql, &[text(id)], read_key)?.pop())).await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let sql = format!("SELECT {} FROM sessions WHERE user = ? ORDER BY started_at, id", columns(&SESSION_COLUMNS));
        self.read(move |connection| select(connection, &sql, &[text(user)], read_session)).await
    }

    async fn session(&self, id: KeyId) -> Result<Option<SessionRow>, StoreError> {
        self.read(move |connection| find_session(connection, id)).await
    }

    async fn due_notices(&self, filter: DueFilter) -> Result<Vec<DueNotice>, StoreError> {
        let sql = "SELECT notice_at, id, user FROM keys
                   WHERE notice_at IS NOT NULL AND (notice_at, id) > (?, ?) AND notice_at <= ? ORDER BY notice_at, id LIMIT ?";
        // Nothing comes before an id that is empty: all of that moment is shown.
        let (at, id) = filter.after.map_or((filter.from, String::new()), |after| (after.at, after.key.to_string()));
        let moment = |at: Timestamp| SqlValue::Integer(at.as_microsecond());
        let values = [moment(at), SqlValue::Text(id), moment(filter.until), count(filter.limit)];
        self.read(move |connection| select(connection, sql, &values, read_due)).await
    }

    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError> {
        let sql = format!("SELECT {} FROM plans ORDER BY name", columns(&PLAN_COLUMNS));
        self.read(move |connection| select(connection, &sql, &[], read_plan)).await
    }

    async fn plan(&self, name: &str) -> Result<Option<PlanRow>, StoreError> {
        let sql = format!("SELECT {} FROM plans WHERE name = ?", columns(&PLAN_COLUMNS));
        let name = text(name);
        self.read(move |connection| Ok(select(connection, &sql, &[name], read_plan)?.pop())).await
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
        let sql = format!("SELECT {} FROM tokens WHERE id = ?", columns(&TOKEN_COLUMNS));
        self.read(move |connection| Ok(select(connection, &sql, &[text(id)], read_token)?.pop())).await
    }

    async fn imports(&self, dataset: Option<&str>, limit: usize) -> Result<Vec<ImportRow>, StoreError> {
        let mut sql = format!("SELECT {} FROM imports", columns(&IMPORT_COLUMNS));
        let mut values = Vec::new();
        if let Some(dataset) = dataset {
            sql.push_str(" WHERE dataset = ?");
            values.push(text(dataset));
        }
        sql.push_str(" ORDER BY started_at DESC, id DESC LIMIT ?");
        values.push(count(limit));
        self.read(move |connection| select(connection, &sql, &values, read_import)).await
    }

    async fn import(&self, id: Uuid) -> Result<Option<ImportRow>, StoreError> {
        let sql = format!("SELECT {} FROM imports WHERE id = ?", columns(&IMPORT_COLUMNS));
        self.read(move |connection| Ok(select(connection, &sql, &[text(id)], read_import)?.pop())).await
    }
}
