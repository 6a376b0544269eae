//! The views' tables. Their names take a suffix, so that a rebuild writes new ones beside the live ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params, types::Value as SqlValue};
use uuid::Uuid;

use super::{
    Database, StoreError, corrupt,
    roll::{KeptRoll, Roll},
};
use crate::{
    dataset::text::folded,
    domain::{
        bounds::KeyScopes,
        event::{ImportCounts, Role},
        id::{StreamId, UserId},
        key::{KeyHash, KeyId},
        permission::Permission,
        plan::{KeyRules, Limits},
        user::MailStop,
        view::{
            ImportRow, InvitationProgress, InvitationState, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow,
            UserStatus,
        },
    },
    store::{DueFilter, DueNotice, UserFilter, Views, words},
};

/// The views' tables, in the order in which they are made, and the columns that identify a row.
pub(in crate::store) const TABLES: [&str; 6] = ["users", "keys", "sessions", "plans", "imports", "tokens"];

/// The statements that make the tables with this suffix, without [`indexes`]. A person's keys lie together: they are written
/// and read together, and a rebuild, which goes from person to person in the order of their ids, only ever appends.
pub(in crate::store) fn tables(suffix: &str) -> String {
    format!(
        "CREATE TABLE users{suffix} (
             id TEXT PRIMARY KEY, version INTEGER NOT NULL, email TEXT, name TEXT, role TEXT NOT NULL, plan TEXT NOT NULL,
             status TEXT NOT NULL, invited_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, deleted_at INTEGER,
             mail_failure TEXT, notices_off TEXT, invitation TEXT NOT NULL DEFAULT 'invited',
             invitation_since INTEGER NOT NULL DEFAULT 0, mail_stop TEXT
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

/// The statements that write rows into the tables with one suffix. Their texts are made once: a replay runs them for every
/// row of every view.
pub(in crate::store) struct Statements {
    users: String,
    keys: String,
    sessions: String,
    plans: String,
    imports: String,
    tokens: String,
}

/// Those that write into the live tables.
static LIVE: LazyLock<Statements> = LazyLock::new(|| Statements::upserts(""));

/// Writes rows into the live tables where the stored ones are older.
pub(in crate::store) fn put(connection: &Connection, rows: &Rows) -> Result<(), StoreError> {
    LIVE.put(connection, std::slice::from_ref(rows))
}

impl Statements {
    /// Statements that change a stored row where it is older. They need the tables' [`indexes`].
    pub(in crate::store) fn upserts(suffix: &str) -> Self {
        Self::of(|table, columns| upsert(table, suffix, columns))
    }

    /// Statements for tables that hold none of the rows yet.
    pub(in crate::store) fn inserts(suffix: &str) -> Self {
        Self::of(|table, columns| insert(table, suffix, columns))
    }

    fn of(statement: impl Fn(&str, &[&str]) -> String) -> Self {
        Self {
            users: statement("users", &USER_COLUMNS),
            keys: statement("keys", &KEY_COLUMNS),
            sessions: statement("sessions", &SESSION_COLUMNS),
            plans: statement("plans", &PLAN_COLUMNS),
            imports: statement("imports", &IMPORT_COLUMNS),
            tokens: statement("tokens", &TOKEN_COLUMNS),
        }
    }

    /// Writes rows, table by table.
    pub(in crate::store) fn put(&self, connection: &Connection, rows: &[Rows]) -> Result<(), StoreError> {
        put_each(connection, &self.users, rows.iter().flat_map(|rows| &rows.users), put_user)?;
        put_each(connection, &self.keys, rows.iter().flat_map(|rows| &rows.keys), put_key)?;
        put_each(connection, &self.sessions, rows.iter().flat_map(|rows| &rows.sessions), put_session)?;
        put_each(connection, &self.plans, rows.iter().flat_map(|rows| &rows.plans), put_plan)?;
        put_each(connection, &self.imports, rows.iter().flat_map(|rows| &rows.imports), put_import)?;
        put_each(connection, &self.tokens, rows.iter().flat_map(|rows| &rows.tokens), put_token)
    }
}

/// Runs a statement for each row.
fn put_each<'a, T: 'a>(
    connection: &Connection,
    sql: &str,
    rows: impl Iterator<Item = &'a T>,
    put: impl Fn(&mut Statement<'_>, &T) -> rusqlite::Result<usize>,
) -> Result<(), StoreError> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        put(&mut statement, row)?;
    }
    Ok(())
}

fn put_user(statement: &mut Statement<'_>, row: &UserRow) -> rusqlite::Result<usize> {
    statement.execute(params![
        hyphenated(row.id.0, &mut Uuid::encode_buffer()),
        row.version,
        row.email,
        row.name,
        row.role.as_str(),
        row.plan,
        row.status.as_str(),
        row.invited_at.as_microsecond(),
        row.changed_at.as_microsecond(),
        row.deleted_at.map(Timestamp::as_microsecond),
        row.mail_failure,
        words::of_unwanted(row.notices),
        row.invitation.state.as_str(),
        row.invitation.since.as_microsecond(),
        row.mail_stop.map(MailStop::as_str),
    ])
}

fn put_key(statement: &mut Statement<'_>, row: &KeyRow) -> rusqlite::Result<usize> {
    statement.execute(params![
        row.id.as_str(),
        hyphenated(row.user.0, &mut Uuid::encode_buffer()),
        row.version,
        row.hash.to_hex(),
        row.last_four,
        row.label,
        row.issued_at.as_microsecond(),
        row.mailed_at.map(Timestamp::as_microsecond),
        row.valid_until.map(Timestamp::as_microsecond),
        row.replaced_by.as_ref().map(KeyId::as_str),
        row.revoked_at.map(Timestamp::as_microsecond),
        row.revocation_reason,
        row.expires_at.map(Timestamp::as_microsecond),
        row.allowed_ips.as_deref().map(words::joined),
        row.scopes.datasets.as_deref().map(words::joined),
        words::of_actions(&row.scopes.actions),
        row.notice_at.map(Timestamp::as_microsecond),
    ])
}

fn put_session(statement: &mut Statement<'_>, row: &SessionRow) -> rusqlite::Result<usize> {
    statement.execute(params![
        row.id.as_str(),
        hyphenated(row.user.0, &mut Uuid::encode_buffer()),
        row.version,
        row.hash.to_hex(),
        row.started_at.as_microsecond(),
        row.expires_at.as_microsecond(),
        row.idle_at.as_microsecond(),
        row.seen_at.as_microsecond(),
        row.method,
        row.network,
        row.ended_at.map(Timestamp::as_microsecond),
        row.end_reason,
    ])
}

fn put_plan(statement: &mut Statement<'_>, row: &PlanRow) -> rusqlite::Result<usize> {
    let Limits { rate_per_s, burst, quota_per_day } = row.limits;
    let KeyRules { key_max_age_days, datasets, keys_max } = &row.rules;
    let datasets = datasets.as_deref().map(words::joined);
    statement.execute(params![
        row.name,
        row.version,
        rate_per_s,
        burst,
        quota_per_day,
        row.retired,
        key_max_age_days,
        datasets,
        keys_max,
    ])
}

fn put_import(statement: &mut Statement<'_>, row: &ImportRow) -> rusqlite::Result<usize> {
    statement.execute(params![
        hyphenated(row.id, &mut Uuid::encode_buffer()),
        row.dataset,
        row.version,
        row.file_name,
        row.definition,
        row.replace,
        row.status,
        row.started_at.as_microsecond(),
        row.ended_at.map(Timestamp::as_microsecond),
        row.dataset_version,
        row.counts.map(|counts| counts.inserted),
        row.counts.map(|counts| counts.updated),
        row.counts.map(|counts| counts.unchanged),
        row.counts.map(|counts| counts.removed),
        row.counts.map(|counts| counts.rejected),
        row.reason,
    ])
}

fn put_token(statement: &mut Statement<'_>, row: &TokenRow) -> rusqlite::Result<usize> {
    let scopes: Vec<&str> = row.scopes.iter().map(|scope| scope.as_str()).collect();
    statement.execute(params![
        row.id.as_str(),
        row.version,
        row.hash.to_hex(),
        row.name,
        scopes.join(","),
        row.read_only,
        row.issued_at.as_microsecond(),
        row.expires_at.map(Timestamp::as_microsecond),
        row.revoked_at.map(Timestamp::as_microsecond),
    ])
}

fn hyphenated(id: Uuid, buffer: &mut [u8]) -> &str {
    id.hyphenated().encode_lower(buffer)
}

fn insert(table: &str, suffix: &str, columns: &[&str]) -> String {
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO {table}{suffix} ({}) VALUES ({})", columns.join(", "), places.join(", "))
}

/// An insert that, where there is such a row, changes it if its version is older.
fn upsert(table: &str, suffix: &str, columns: &[&str]) -> String {
    let changes: Vec<String> = columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "{} ON CONFLICT ({}) DO UPDATE SET {} WHERE excluded.version > version{}",
        insert(table, suffix, columns),
        if table == "sessions" { "user, id" } else { columns.first().copied().unwrap_or_default() },
        changes.join(", "),
        // A key that was issued twice stays its first owner's.
        if table == "keys" { " AND excluded.user = user" } else { "" },
    )
}

pub(super) const USER_COLUMNS: [&str; 15] = [
    "id",
    "version",
    "email",
    "name",
    "role",
    "plan",
    "status",
    "invited_at",
    "changed_at",
    "deleted_at",
    "mail_failure",
    "notices_off",
    "invitation",
    "invitation_since",
    "mail_stop",
];
const KEY_COLUMNS: [&str; 17] = [
    "id",
    "user",
    "version",
    "sha256",
    "last_four",
    "label",
    "issued_at",
    "mailed_at",
    "valid_until",
    "replaced_by",
    "revoked_at",
    "revocation_reason",
    "expires_at",
    "allowed_ips",
    "datasets",
    "actions",
    "notice_at",
];
const SESSION_COLUMNS: [&str; 12] = [
    "id",
    "user",
    "version",
    "sha256",
    "started_at",
    "expires_at",
    "idle_at",
    "seen_at",
    "method",
    "network",
    "ended_at",
    "end_reason",
];
const PLAN_COLUMNS: [&str; 9] =
    ["name", "version", "rate_per_s", "burst", "quota_per_day", "retired", "key_max_age_days", "datasets", "keys_max"];
const IMPORT_COLUMNS: [&str; 16] = [
    "id",
    "dataset",
    "version",
    "file_name",
    "definition",
    "replaces",
    "status",
    "started_at",
    "ended_at",
    "dataset_version",
    "inserted",
    "updated",
    "unchanged",
    "removed",
    "rejected",
    "reason",
];

const TOKEN_COLUMNS: [&str; 9] =
    ["id", "version", "sha256", "name", "scopes", "read_only", "issued_at", "expires_at", "revoked_at"];

pub(super) fn moment(us: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(us).map_err(|error| corrupt("moment", error))
}

fn optional_moment(us: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    us.map(moment).transpose()
}

pub(super) fn optional_text<'r>(row: &'r Row<'_>, column: usize) -> Result<Option<&'r str>, StoreError> {
    row.get_ref(column)?.as_str_or_null().map_err(|error| corrupt("text", error))
}

fn user_id(text: &str) -> Result<UserId, StoreError> {
    UserId::parse(text).map_err(|error| corrupt("user id", error))
}

pub(super) fn key_id(text: &str) -> Result<KeyId, StoreError> {
    KeyId::parse(text).map_err(|error| corrupt("key id", error))
}

fn read_user(row: &Row<'_>) -> Result<UserRow, StoreError> {
    let role: String = row.get(4)?;
    let role = Role::named(&role).ok_or_else(|| corrupt("role", role))?;
    let status = match row.get::<_, String>(6)?.as_str() {
        "invited" => UserStatus::Invited,
        "active" => UserStatus::Active,
        "disabled" => UserStatus::Disabled,
        "deleted" => UserStatus::Deleted,
        other => return Err(corrupt("status", other)),
    };
    let invitation: String = row.get(12)?;
    Ok(UserRow {
        id: user_id(&row.get::<_, String>(0)?)?,
        version: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        role,
        plan: row.get(5)?,
        status,
        invited_at: moment(row.get(7)?)?,
        changed_at: moment(row.get(8)?)?,
        deleted_at: optional_moment(row.get(9)?)?,
        mail_failure: row.get(10)?,
        notices: words::choice(optional_text(row, 11)?).map_err(|word| corrupt("notice", word))?,
        invitation: InvitationProgress {
            state: InvitationState::named(&invitation).ok_or_else(|| corrupt("invitation", invitation))?,
            since: moment(row.get(13)?)?,
        },
        mail_stop: row
            .get::<_, Option<String>>(14)?
            .map(|name| MailStop::named(&name).ok_or_else(|| corrupt("mail_stop", name)))
            .transpose()?,
    })
}

fn read_key(row: &Row<'_>) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: key_id(&row.get::<_, String>(0)?)?,
        user: user_id(&row.get::<_, String>(1)?)?,
        version: row.get(2)?,
        hash: KeyHash::parse(&row.get::<_, String>(3)?).map_err(|error| corrupt("key hash", error))?,
        last_four: row.get(4)?,
        label: row.get(5)?,
        issued_at: moment(row.get(6)?)?,
        mailed_at: optional_moment(row.get(7)?)?,
        valid_until: optional_moment(row.get(8)?)?,
        replaced_by: row.get::<_, Option<String>>(9)?.as_deref().map(key_id).transpose()?,
        revoked_at: optional_moment(row.get(10)?)?,
        revocation_reason: row.get(11)?,
        expires_at: optional_moment(row.get(12)?)?,
        allowed_ips: optional_text(row, 13)?.map(words::split),
        scopes: read_scopes(row, 14)?,
        notice_at: optional_moment(row.get(16)?)?,
    })
}

fn read_session(row: &Row<'_>) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: key_id(&row.get::<_, String>(0)?)?,
        user: user_id(&row.get::<_, String>(1)?)?,
        version: row.get(2)?,
        hash: KeyHash::parse(&row.get::<_, String>(3)?).map_err(|error| corrupt("session hash", error))?,
        started_at: moment(row.get(4)?)?,
        expires_at: moment(row.get(5)?)?,
        idle_at: moment(row.get(6)?)?,
        seen_at: moment(row.get(7)?)?,
        method: row.get(8)?,
        network: row.get(9)?,
        ended_at: optional_moment(row.get(10)?)?,
        end_reason: row.get(11)?,
    })
}

/// The scopes of a key: its data sets stand in this column, what it may do in the next.
pub(super) fn read_scopes(row: &Row<'_>, column: usize) -> Result<KeyScopes, StoreError> {
    let datasets = optional_text(row, column)?.map(words::split);
    let actions = words::actions(optional_text(row, column + 1)?).map_err(|word| corrupt("action", word))?;
    Ok(KeyScopes { datasets, actions })
}

fn read_token(row: &Row<'_>) -> Result<TokenRow, StoreError> {
    let scopes: String = row.get(4)?;
    let scope = |name: &str| Permission::named(name).ok_or_else(|| corrupt("scope", name));
    Ok(TokenRow {
        id: key_id(&row.get::<_, String>(0)?)?,
        version: row.get(1)?,
        hash: KeyHash::parse(&row.get::<_, String>(2)?).map_err(|error| corrupt("token hash", error))?,
        name: row.get(3)?,
        scopes: scopes.split(',').map(scope).collect::<Result<_, _>>()?,
        read_only: row.get(5)?,
        issued_at: moment(row.get(6)?)?,
        expires_at: optional_moment(row.get(7)?)?,
        revoked_at: optional_moment(row.get(8)?)?,
    })
}

fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    select(connection, &format!("SELECT {} FROM tokens ORDER BY id", columns(&TOKEN_COLUMNS)), &[], read_token)
}

fn read_plan(row: &Row<'_>) -> Result<PlanRow, StoreError> {
    let limits = Limits { rate_per_s: row.get(2)?, burst: row.get(3)?, quota_per_day: row.get(4)? };
    let rules = KeyRules {
        key_max_age_days: row.get(6)?,
        datasets: optional_text(row, 7)?.map(words::split),
        keys_max: row.get(8)?,
    };
    Ok(PlanRow { name: row.get(0)?, version: row.get(1)?, limits, rules, retired: row.get(5)? })
}

fn read_due(row: &Row<'_>) -> Result<DueNotice, StoreError> {
    Ok(DueNotice {
        at: moment(row.get(0)?)?,
        key: key_id(&row.get::<_, String>(1)?)?,
        user: user_id(&row.get::<_, String>(2)?)?,
    })
}

/// All imports, as a connection sees them.
pub(super) fn all_imports(connection: &Connection) -> Result<Vec<ImportRow>, StoreError> {
    select(connection, &format!("SELECT {} FROM imports", columns(&IMPORT_COLUMNS)), &[], read_import)
}

fn read_import(row: &Row<'_>) -> Result<ImportRow, StoreError> {
    let inserted: Option<u64> = row.get(10)?;
    let counts = match inserted {
        None => None,
        Some(inserted) => Some(ImportCounts {
            inserted,
            updated: row.get(11)?,
            unchanged: row.get(12)?,
            removed: row.get(13)?,
            rejected: row.get(14)?,
        }),
    };
    Ok(ImportRow {
        id: Uuid::parse_str(&row.get::<_, String>(0)?).map_err(|error| corrupt("import id", error))?,
        dataset: row.get(1)?,
        version: row.get(2)?,
        file_name: row.get(3)?,
        definition: row.get(4)?,
        replace: row.get(5)?,
        status: row.get(6)?,
        started_at: moment(row.get(7)?)?,
        ended_at: optional_moment(row.get(8)?)?,
        dataset_version: row.get(9)?,
        counts,
        reason: row.get(15)?,
    })
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
    if let Some(invitation) = filter.invitation {
        sql.push_str(" AND invitation = ?");
        values.push(text(invitation.as_str()));
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
        let sql = format!("SELECT {} FROM sessions WHERE id = ?", columns(&SESSION_COLUMNS));
        self.read(move |connection| Ok(select(connection, &sql, &[text(id)], read_session)?.pop())).await
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
