//! Items, read as the rows that they are.

use uuid::Uuid;

use super::super::item::{
    Item, damaged, find_moment, find_number, find_text, get_bool, get_moment, get_number, get_text,
};
use super::{IMPORT_PREFIX, KEY_PREFIX, SESSION_PREFIX, TOKEN_PREFIX};
use crate::{
    domain::{
        bounds::KeyScopes,
        event::{ImportCounts, Role},
        id::StreamId,
        key::{KeyHash, KeyId},
        permission::Permission,
        plan::{KeyRules, Limits},
        user::MailStop,
        view::{
            ImportRow, InvitationProgress, InvitationState, KeyRow, PlanRow, SessionRow, TokenRow, UserRow, UserStatus,
        },
    },
    store::{DueNotice, StoreError, words},
};

fn stream_of(item: &Item) -> Result<StreamId, StoreError> {
    StreamId::parse(get_text(item, "k")?).map_err(|error| damaged("k", error))
}

fn wrong_stream() -> StoreError {
    damaged("k", "the row is of another kind than its stream")
}

/// Reads a person's row.
pub(in crate::store::dynamodb) fn read_user(item: &Item) -> Result<UserRow, StoreError> {
    let StreamId::User(id) = stream_of(item)? else { return Err(wrong_stream()) };
    let role = get_text(item, "role")?;
    let role = Role::named(role).ok_or_else(|| damaged("role", role))?;
    Ok(UserRow {
        id,
        version: get_number(item, "pv")?,
        email: owned(find_text(item, "email")?),
        name: owned(find_text(item, "name")?),
        role,
        plan: get_text(item, "plan")?.to_owned(),
        status: read_status(item)?,
        invited_at: get_moment(item, "invited_at")?,
        changed_at: get_moment(item, "changed_at")?,
        deleted_at: find_moment(item, "deleted_at")?,
        mail_failure: owned(find_text(item, "mail_failure")?),
        notices: words::choice(find_text(item, "notices_off")?).map_err(|word| damaged("notices_off", word))?,
        invitation: read_invitation(item)?,
        mail_stop: find_text(item, "mail_stop")?
            .map(|name| MailStop::named(name).ok_or_else(|| damaged("mail_stop", name)))
            .transpose()?,
        first_request_at: find_moment(item, "first_request_at")?,
    })
}

/// How far a person's last invitation has come. A row of an earlier permitd does not say so: it tells what it knows, until the next
/// commit of the person, or a replay, writes it anew.
fn read_invitation(item: &Item) -> Result<InvitationProgress, StoreError> {
    if let Some(state) = find_text(item, "invitation")? {
        let state = InvitationState::named(state).ok_or_else(|| damaged("invitation", state))?;
        let (since, expires_at) = (get_moment(item, "invitation_since")?, find_moment(item, "invitation_ends")?);
        return Ok(InvitationProgress { state, since, expires_at });
    }
    let state = match (find_text(item, "mail_failure")?, read_status(item)?) {
        (Some(_), _) => InvitationState::Failed,
        (None, UserStatus::Active) => InvitationState::Mailed,
        (None, _) => InvitationState::Invited,
    };
    Ok(InvitationProgress { state, since: get_moment(item, "changed_at")?, expires_at: None })
}

/// How the person of a row stands.
pub(in crate::store::dynamodb) fn read_status(item: &Item) -> Result<UserStatus, StoreError> {
    Ok(match get_text(item, "status")? {
        "invited" => UserStatus::Invited,
        "active" => UserStatus::Active,
        "disabled" => UserStatus::Disabled,
        "deleted" => UserStatus::Deleted,
        other => return Err(damaged("status", other)),
    })
}

/// Reads a key's row.
pub(in crate::store::dynamodb) fn read_key(item: &Item) -> Result<KeyRow, StoreError> {
    let StreamId::User(user) = stream_of(item)? else { return Err(wrong_stream()) };
    let id = get_text(item, "r")?.strip_prefix(KEY_PREFIX).unwrap_or_default();
    let key_id = |name: &str, id: &str| KeyId::parse(id).map_err(|error| damaged(name, error));
    Ok(KeyRow {
        id: key_id("r", id)?,
        user,
        version: get_number(item, "pv")?,
        hash: KeyHash::parse(get_text(item, "sha256")?).map_err(|error| damaged("sha256", error))?,
        last_four: get_text(item, "last_four")?.to_owned(),
        label: owned(find_text(item, "label")?),
        issued_at: get_moment(item, "issued_at")?,
        mailed_at: find_moment(item, "mailed_at")?,
        valid_until: find_moment(item, "valid_until")?,
        replaced_by: find_text(item, "replaced_by")?.map(|id| key_id("replaced_by", id)).transpose()?,
        revoked_at: find_moment(item, "revoked_at")?,
        revocation_reason: owned(find_text(item, "revocation_reason")?),
        expires_at: find_moment(item, "expires_at")?,
        allowed_ips: find_text(item, "allowed_ips")?.map(words::split),
        scopes: read_scopes(item, "datasets", "actions")?,
        notice_at: find_moment(item, "notice_at")?,
    })
}

/// Reads a session's row.
pub(in crate::store::dynamodb) fn read_session(item: &Item) -> Result<SessionRow, StoreError> {
    let StreamId::User(user) = stream_of(item)? else { return Err(wrong_stream()) };
    let id = get_text(item, "r")?.strip_prefix(SESSION_PREFIX).unwrap_or_default();
    Ok(SessionRow {
        id: KeyId::parse(id).map_err(|error| damaged("r", error))?,
        user,
        version: get_number(item, "pv")?,
        hash: KeyHash::parse(get_text(item, "sha256")?).map_err(|error| damaged("sha256", error))?,
        started_at: get_moment(item, "started_at")?,
        expires_at: get_moment(item, "expires_at")?,
        idle_at: get_moment(item, "idle_at")?,
        seen_at: get_moment(item, "seen_at")?,
        method: get_text(item, "method")?.to_owned(),
        network: owned(find_text(item, "network")?),
        ended_at: find_moment(item, "ended_at")?,
        end_reason: owned(find_text(item, "end_reason")?),
    })
}

/// The scopes of a key, as these attributes have them.
pub(in crate::store::dynamodb) fn read_scopes(
    item: &Item,
    datasets: &str,
    actions: &str,
) -> Result<KeyScopes, StoreError> {
    Ok(KeyScopes {
        datasets: find_text(item, datasets)?.map(words::split),
        actions: words::actions(find_text(item, actions)?).map_err(|word| damaged(actions, word))?,
    })
}

/// Reads of a key's row when its owner is to be told of its end; none when that is not so any more.
pub(in crate::store::dynamodb) fn read_due(item: &Item) -> Result<Option<DueNotice>, StoreError> {
    let key = read_key(item)?;
    Ok(key.notice_at.map(|at| DueNotice { at, key: key.id, user: key.user }))
}

/// Reads the row of an administrator's token.
pub(in crate::store::dynamodb) fn read_token(item: &Item) -> Result<TokenRow, StoreError> {
    let id = get_text(item, "r")?.strip_prefix(TOKEN_PREFIX).unwrap_or_default();
    let scope = |name: &str| Permission::named(name).ok_or_else(|| damaged("scopes", name));
    Ok(TokenRow {
        id: KeyId::parse(id).map_err(|error| damaged("r", error))?,
        version: get_number(item, "pv")?,
        hash: KeyHash::parse(get_text(item, "sha256")?).map_err(|error| damaged("sha256", error))?,
        name: get_text(item, "name")?.to_owned(),
        scopes: get_text(item, "scopes")?.split(',').map(scope).collect::<Result<_, _>>()?,
        read_only: get_bool(item, "read_only")?,
        issued_at: get_moment(item, "issued_at")?,
        expires_at: find_moment(item, "expires_at")?,
        revoked_at: find_moment(item, "revoked_at")?,
    })
}

/// Reads a plan's row.
pub(in crate::store::dynamodb) fn read_plan(item: &Item) -> Result<PlanRow, StoreError> {
    let StreamId::Plan(name) = stream_of(item)? else { return Err(wrong_stream()) };
    let limits = Limits {
        rate_per_s: get_number(item, "rate_per_s")?,
        burst: get_number(item, "burst")?,
        quota_per_day: get_number(item, "quota_per_day")?,
    };
    let rules = KeyRules {
        key_max_age_days: find_number(item, "key_max_age_days")?,
        datasets: find_text(item, "datasets")?.map(words::split),
        keys_max: find_number(item, "keys_max")?,
    };
    Ok(PlanRow { name, version: get_number(item, "pv")?, limits, rules, retired: get_bool(item, "retired")? })
}

/// Reads an import's row.
pub(in crate::store::dynamodb) fn read_import(item: &Item) -> Result<ImportRow, StoreError> {
    let StreamId::DataSet(dataset) = stream_of(item)? else { return Err(wrong_stream()) };
    let id = get_text(item, "r")?.strip_prefix(IMPORT_PREFIX).unwrap_or_default();
    let counts = match find_number(item, "inserted")? {
        None => None,
        Some(inserted) => Some(ImportCounts {
            inserted,
            updated: get_number(item, "updated")?,
            unchanged: get_number(item, "unchanged")?,
            removed: get_number(item, "removed")?,
            rejected: get_number(item, "rejected")?,
        }),
    };
    Ok(ImportRow {
        id: Uuid::parse_str(id).map_err(|error| damaged("r", error))?,
        dataset,
        version: get_number(item, "pv")?,
        file_name: get_text(item, "file_name")?.to_owned(),
        definition: get_text(item, "definition")?.to_owned(),
        replace: get_bool(item, "replaces")?,
        status: get_text(item, "status")?.to_owned(),
        started_at: get_moment(item, "started_at")?,
        ended_at: find_moment(item, "ended_at")?,
        dataset_version: find_number(item, "dataset_version")?,
        counts,
        reason: owned(find_text(item, "reason")?),
    })
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(ToOwned::to_owned)
}
