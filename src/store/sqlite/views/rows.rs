//! How rows are written and read.

use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::{Connection, Row, Statement, params};
use uuid::Uuid;

use super::super::{StoreError, corrupt};
use crate::{
    domain::{
        bounds::KeyScopes,
        event::{ImportCounts, Role},
        id::UserId,
        key::{KeyHash, KeyId},
        permission::Permission,
        plan::{KeyRules, Limits},
        user::MailStop,
        view::{
            ImportRow, InvitationProgress, InvitationState, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow,
            UserStatus,
        },
    },
    store::{DueNotice, words},
};

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
        row.invitation.expires_at.map(Timestamp::as_microsecond),
        row.first_request_at.map(Timestamp::as_microsecond),
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

pub(in crate::store::sqlite) const USER_COLUMNS: [&str; 17] = [
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
    "invitation_ends",
    "first_request_at",
];
pub(in crate::store::sqlite) const KEY_COLUMNS: [&str; 17] = [
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
pub(in crate::store::sqlite) const SESSION_COLUMNS: [&str; 12] = [
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
pub(in crate::store::sqlite) const PLAN_COLUMNS: [&str; 9] =
    ["name", "version", "rate_per_s", "burst", "quota_per_day", "retired", "key_max_age_days", "datasets", "keys_max"];
pub(in crate::store::sqlite) const IMPORT_COLUMNS: [&str; 16] = [
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

pub(in crate::store::sqlite) const TOKEN_COLUMNS: [&str; 9] =
    ["id", "version", "sha256", "name", "scopes", "read_only", "issued_at", "expires_at", "revoked_at"];

pub(in crate::store::sqlite) fn moment(us: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(us).map_err(|error| corrupt("moment", error))
}

fn optional_moment(us: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    us.map(moment).transpose()
}

pub(in crate::store::sqlite) fn optional_text<'r>(
    row: &'r Row<'_>,
    column: usize,
) -> Result<Option<&'r str>, StoreError> {
    row.get_ref(column)?.as_str_or_null().map_err(|error| corrupt("text", error))
}

fn user_id(text: &str) -> Result<UserId, StoreError> {
    UserId::parse(text).map_err(|error| corrupt("user id", error))
}

pub(in crate::store::sqlite) fn key_id(text: &str) -> Result<KeyId, StoreError> {
    KeyId::parse(text).map_err(|error| corrupt("key id", error))
}

pub(in crate::store::sqlite) fn read_user(row: &Row<'_>) -> Result<UserRow, StoreError> {
    let role: String = row.get(4)?;
    let role = Role::named(&role).ok_or_else(|| corrupt("role", role))?;
    let status: String = row.get(6)?;
    let status = UserStatus::named(&status).ok_or_else(|| corrupt("status", status))?;
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
            expires_at: optional_moment(row.get(15)?)?,
        },
        mail_stop: row
            .get::<_, Option<String>>(14)?
            .map(|name| MailStop::named(&name).ok_or_else(|| corrupt("mail_stop", name)))
            .transpose()?,
        first_request_at: optional_moment(row.get(16)?)?,
    })
}

pub(in crate::store::sqlite) fn read_key(row: &Row<'_>) -> Result<KeyRow, StoreError> {
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

pub(in crate::store::sqlite) fn read_session(row: &Row<'_>) -> Result<SessionRow, StoreError> {
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
pub(in crate::store::sqlite) fn read_scopes(row: &Row<'_>, column: usize) -> Result<KeyScopes, StoreError> {
    let datasets = optional_text(row, column)?.map(words::split);
    let actions = words::actions(optional_text(row, column + 1)?).map_err(|word| corrupt("action", word))?;
    Ok(KeyScopes { datasets, actions })
}

pub(in crate::store::sqlite) fn read_token(row: &Row<'_>) -> Result<TokenRow, StoreError> {
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

pub(in crate::store::sqlite) fn read_plan(row: &Row<'_>) -> Result<PlanRow, StoreError> {
    let limits = Limits { rate_per_s: row.get(2)?, burst: row.get(3)?, quota_per_day: row.get(4)? };
    let rules = KeyRules {
        key_max_age_days: row.get(6)?,
        datasets: optional_text(row, 7)?.map(words::split),
        keys_max: row.get(8)?,
    };
    Ok(PlanRow { name: row.get(0)?, version: row.get(1)?, limits, rules, retired: row.get(5)? })
}

pub(in crate::store::sqlite) fn read_due(row: &Row<'_>) -> Result<DueNotice, StoreError> {
    Ok(DueNotice {
        at: moment(row.get(0)?)?,
        key: key_id(&row.get::<_, String>(1)?)?,
        user: user_id(&row.get::<_, String>(2)?)?,
    })
}

pub(in crate::store::sqlite) fn read_import(row: &Row<'_>) -> Result<ImportRow, StoreError> {
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
