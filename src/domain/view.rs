//! The views: rows computed from a stream's state and nothing else, so that they can be discarded and rebuilt. A row carries the version
//! that it was projected from, and only replaces a row of an older version.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    admin_token::{IssuedToken, TokenLog},
    bounds::{self, KeyScopes},
    data_set::{DataSetLog, Outcome},
    event::{Fact, ImportCounts, Recorded, Role},
    guard,
    id::{StreamId, UserId},
    key::{KeyHash, KeyId},
    notice::NoticeChoice,
    permission::{Permission, Permissions},
    plan::{KeyRules, Limits, Plan},
    sign_in::{Session, SignInMethod},
    user::{MailStop, Standing, User},
};

/// How a person stands, as the views show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// Invited; no mail has been handed over yet.
    Invited,
    /// A key was mailed or issued.
    Active,
    /// Their keys are refused until they are enabled.
    Disabled,
    /// Deleted and erased.
    Deleted,
}

impl UserStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Invited, Self::Active, Self::Disabled, Self::Deleted];

    /// The name in answers and in the view.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// The status with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// How far the last invitation of a person has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// It was asked for; its mail has not been handed over yet.
    Invited,
    /// Its mail was handed to the mail system.
    Mailed,
    /// A link in its mail was used.
    Opened,
    /// The person has made a request.
    Used,
    /// The links in its mail have ended; none was used, and no request was made.
    Expired,
    /// Its mail came back.
    Bounced,
    /// The mail system refused its mail.
    Failed,
}

impl InvitationState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Invited, Self::Mailed, Self::Opened, Self::Used, Self::Expired, Self::Bounced, Self::Failed];

    /// The name in answers and in the view.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Mailed => "mailed",
            Self::Opened => "opened",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Bounced => "bounced",
            Self::Failed => "failed",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// The state of a person's last invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct InvitationProgress {
    /// How far it has come.
    pub state: InvitationState,
    /// Since when.
    pub since: Timestamp,
    /// When the links in its mail end, while none was used and no request was made; null where it has none.
    pub expires_at: Option<Timestamp>,
}

impl InvitationProgress {
    /// The progress at this moment: a mailed invitation expires by itself.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self.expires_at {
            Some(since) if self.state == InvitationState::Mailed && since <= now => {
                Self { state: InvitationState::Expired, since, ..self }
            }
            _ => self,
        }
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "User", deny_unknown_fields)]
pub struct UserRow {
    /// Who.
    pub id: UserId,
    /// The stream version that the row was projected from.
    pub version: u64,
    /// Their address; none once erased.
    pub email: Option<String>,
    /// Their name; none once erased.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// The plan of their keys.
    pub plan: String,
    /// How they stand.
    pub status: UserStatus,
    /// When they were invited.
    pub invited_at: Timestamp,
    /// When something last happened to them.
    pub changed_at: Timestamp,
    /// When they were deleted.
    pub deleted_at: Option<Timestamp>,
    /// Why the last mail to them failed, unless a later one did not.
    pub mail_failure: Option<String>,
    /// The notices that they get by mail.
    pub notices: NoticeChoice,
    /// How far their last invitation has come.
    pub invitation: InvitationProgress,
    /// Why they get no more mail until an administrator allows it; none where they get it.
    pub mail_stop: Option<MailStop>,
    /// When they made their first request.
    pub first_request_at: Option<Timestamp>,
}

impl UserRow {
    /// The row at this moment: the invitation may have expired.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { invitation: self.invitation.at(now), ..self }
    }

    /// Tells whether mails do not reach the person by this moment, or are not wanted: the last mail failed, the invitation's mail bounced,
    /// or its links have ended unused.
    pub fn is_unreached(&self, now: Timestamp) -> bool {
        let has_failed =
            |state| matches!(state, InvitationState::Bounced | InvitationState::Failed | InvitationState::Expired);
        self.status != UserStatus::Deleted
            && (self.mail_stop.is_some() || self.mail_failure.is_some() || has_failed(self.invitation.at(now).state))
    }
}

/// A key. Never the key itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Key", deny_unknown_fields)]
pub struct KeyRow {
    /// Its public id.
    pub id: KeyId,
    /// Its owner.
    pub user: UserId,
    /// The version of the commit that last changed the row.
    pub version: u64,
    /// The SHA-256 of the key.
    #[serde(skip)]
    pub hash: KeyHash,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// What its owner calls it.
    pub label: Option<String>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// The networks that it may be used from; null for any.
    pub allowed_ips: Option<Vec<String>>,
    /// What it may be used for, as far as its owner's plan allows that.
    pub scopes: KeyScopes,
    /// When its owner is to be told next that it expires.
    #[serde(skip)]
    pub notice_at: Option<Timestamp>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it was last mailed.
    pub mailed_at: Option<Timestamp>,
    /// When it stops working because it was rotated.
    pub valid_until: Option<Timestamp>,
    /// Its successor.
    pub replaced_by: Option<KeyId>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    pub revocation_reason: Option<String>,
}

/// A session. Never its token.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Session", deny_unknown_fields)]
pub struct SessionRow {
    /// Its public id.
    pub id: KeyId,
    /// Whose.
    pub user: UserId,
    /// The version of the commit that last changed the row.
    pub version: u64,
    /// The SHA-256 of its token.
    #[serde(skip)]
    pub hash: KeyHash,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it ends unless it is used.
    pub idle_at: Timestamp,
    /// When it was last used, to a quarter of the time after which it ends as an idle one.
    pub seen_at: Timestamp,
    /// How its owner signed in.
    pub method: String,
    /// Where from; none once erased.
    pub network: Option<String>,
    /// When it ended before its time.
    pub ended_at: Option<Timestamp>,
    /// Why it ended before its time.
    pub end_reason: Option<String>,
}

impl SessionRow {
    /// When the next use has to be recorded, so that the session does not end as idle; `None` if it cannot last longer.
    pub fn see_at(&self) -> Option<Timestamp> {
        let idle_s = self.idle_at.duration_since(self.seen_at).as_secs();
        let after = SignedDuration::from_secs(idle_s / 4);
        Some(self.seen_at.checked_add(after).unwrap_or(self.seen_at)).filter(|_| self.idle_at < self.expires_at)
    }

    /// Tells whether this is an administrator's session that began without a second factor.
    pub fn lacks_factor(&self, role: Role) -> bool {
        role == Role::Admin && !SignInMethod::ALL.iter().any(|way| way.as_str() == self.method && way.has_factor())
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Plan", deny_unknown_fields)]
pub struct PlanRow {
    /// Its name.
    pub name: String,
    /// The stream version that the row was projected from.
    pub version: u64,
    /// Its limits.
    #[serde(flatten)]
    pub limits: Limits,
    /// What it says of keys.
    #[serde(flatten)]
    pub rules: KeyRules,
    /// Whether it was retired.
    pub retired: bool,
}

/// An administrator's token. Never the token itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AdminToken", deny_unknown_fields)]
pub struct TokenRow {
    /// Its public id.
    pub id: KeyId,
    /// The version of the commit that last changed the row.
    pub version: u64,
    /// The SHA-256 of the token.
    #[serde(skip)]
    pub hash: KeyHash,
    /// What it is called.
    pub name: String,
    /// What it may.
    pub scopes: Vec<Permission>,
    /// Whether it may only read.
    pub read_only: bool,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// The token's permissions.
    pub fn permissions(&self) -> Permissions {
        Permissions::of(&self.scopes).only_reading(self.read_only)
    }

    /// Tells whether the token is neither revoked nor expired.
    pub fn works(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|until| now < until)
    }
}

/// The status of a held import, which waits for somebody to approve or discard it.
pub const HELD: &str = "held";
/// The status of a completed import whose records are not under this name any more.
pub const REMOVED: &str = "removed";

/// An import.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Import", deny_unknown_fields)]
pub struct ImportRow {
    /// Which.
    pub id: Uuid,
    /// The data set.
    pub dataset: String,
    /// The version of the commit that last changed the row.
    pub version: u64,
    /// The file's name.
    pub file_name: String,
    /// The fingerprint of the definition that read it.
    pub definition: String,
    /// Whether the file was the whole data set.
    pub replace: bool,
    /// `running`; `held` until somebody approves or discards it; `completed`, `failed`, `cancelled`, `discarded`; or `removed` where it
    /// was completed and its records are not under this name any more.
    #[schemars(extend("enum" = ["running", "held", "completed", "failed", "cancelled", "discarded", "removed"]))]
    pub status: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The data set's version after it.
    pub dataset_version: Option<u64>,
    /// What it did, or would do where it is held.
    pub counts: Option<ImportCounts>,
    /// Why it failed, is held or was discarded.
    pub reason: Option<String>,
}

/// The view rows of one stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// At most one person.
    pub users: Vec<UserRow>,
    /// Their keys.
    pub keys: Vec<KeyRow>,
    /// Their sessions.
    pub sessions: Vec<SessionRow>,
    /// At most one plan.
    pub plans: Vec<PlanRow>,
    /// The imports of a data set.
    pub imports: Vec<ImportRow>,
    /// The administrators' tokens.
    pub tokens: Vec<TokenRow>,
}

impl Rows {
    /// The moments at which something of a person ends by itself: the links of their invitation, and keys.
    pub fn ends(&self) -> impl Iterator<Item = Timestamp> {
        let invitations = self.users.iter().filter_map(|user| user.invitation.expires_at);
        let keys = self.keys.iter().flat_map(|key| [key.expires_at, key.valid_until].into_iter().flatten());
        invitations.chain(keys)
    }

    /// The rows last changed by the commit of this version.
    #[must_use]
    pub fn of_version(mut self, version: u64) -> Self {
        self.users.retain(|row| row.version == version);
        self.keys.retain(|row| row.version == version);
        self.sessions.retain(|row| row.version == version);
        self.plans.retain(|row| row.version == version);
        self.imports.retain(|row| row.version == version);
        self.tokens.retain(|row| row.version == version);
        self
    }

    /// The rows without personal data.
    #[must_use]
    pub fn without_personal(mut self) -> Self {
        self.users.iter_mut().for_each(|row| (row.email, row.name) = (None, None));
        self.keys.iter_mut().for_each(|row| (row.label, row.allowed_ips) = (None, None));
        self.sessions.iter_mut().for_each(|row| row.network = None);
        self
    }
}

/// The state made by folding a stream's events.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there are few at a time, and most are of people")]
pub enum State {
    /// The state of a `user#` stream.
    User(Option<User>),
    /// The state of a `plan#` stream.
    Plan(String, Plan),
    /// The state of a `dataset#` stream.
    DataSet(String, DataSetLog),
    /// The state of the stream `tokens#admin`.
    AdminTokens(TokenLog),
}

impl State {
    /// The state of a stream before its first event.
    pub fn empty(stream: &StreamId) -> Self {
        match stream {
            StreamId::User(_) => Self::User(None),
            StreamId::Plan(name) => Self::Plan(name.clone(), Plan::default()),
            StreamId::DataSet(name) => Self::DataSet(name.clone(), DataSetLog::default()),
            StreamId::AdminTokens => Self::AdminTokens(TokenLog::default()),
        }
    }

    /// Applies one event of the stream.
    pub fn apply(&mut self, recorded: &Recorded) {
        self.take(recorded.fact());
    }

    /// Applies one event of the stream.
    pub fn take(&mut self, fact: Fact<'_>) {
        match self {
            Self::User(user) => super::user::evolve(user, fact),
            Self::Plan(_, plan) => plan.apply(fact.version, fact.event),
            Self::DataSet(_, log) => log.apply(fact),
            Self::AdminTokens(log) => log.apply(fact),
        }
    }

    /// The view rows of the state.
    pub fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        match self {
            Self::User(None) => {}
            Self::User(Some(user)) => {
                rows.users.push(user_row(user));
                rows.keys.extend(user.keys.values().map(|key| key_row(user, key)));
                rows.sessions.extend(user.sign_in.sessions.values().map(|session| session_row(user, session)));
            }
            Self::Plan(name, plan) => rows.plans.extend(plan.limits.map(|limits| PlanRow {
                name: name.clone(),
                version: plan.version,
                limits,
                rules: plan.rules.clone(),
                retired: plan.retired,
            })),
            Self::DataSet(name, log) => rows.imports.extend(import_rows(name, log)),
            Self::AdminTokens(log) => rows.tokens.extend(log.tokens.iter().map(|(id, token)| token_row(*id, token))),
        }
        rows
    }
}

fn user_row(user: &User) -> UserRow {
    let status = match user.standing {
        Standing::Deleted => UserStatus::Deleted,
        Standing::Disabled => UserStatus::Disabled,
        Standing::Enabled if user.current_keys().any(|key| key.mailed_at.is_some() || key.invitation.is_none()) => {
            UserStatus::Active
        }
        Standing::Enabled => UserStatus::Invited,
    };
    UserRow {
        id: user.id,
        version: user.version,
        email: user.email.known().map(ToOwned::to_owned),
        name: user.name.as_ref().and_then(|name| name.known()).map(ToOwned::to_owned),
        role: user.role,
        plan: user.plan.clone(),
        status,
        invited_at: user.invited_at,
        changed_at: user.changed_at,
        deleted_at: user.deleted_at,
        mail_failure: user.mail_failure.clone(),
        notices: user.notices,
        invitation: invitation_progress(user),
        mail_stop: user.mail_stop,
        first_request_at: user.first_request_at,
    }
}

/// The progress of the last invitation: after a repeated request it counts as mailed only once its own mail was.
fn invitation_progress(user: &User) -> InvitationProgress {
    let asked_at = user.invitations_at.last().copied().unwrap_or(user.invited_at);
    let mailed_at = user.invitations.last().and_then(|(_, mailed_at)| *mailed_at);
    let failed_at = user.mail_failed_at.filter(|at| *at >= asked_at);
    let mail = &user.invitation_mail;
    let bounced_at = mail.bounced_at.filter(|at| user.first_request_at.is_none_or(|used_at| used_at < *at));
    let (state, since) = match (mailed_at, failed_at) {
        (None, Some(at)) => (InvitationState::Failed, at),
        (None, None) => (InvitationState::Invited, asked_at),
        (Some(mailed_at), _) => match (bounced_at, user.first_request_at, mail.opened_at) {
            (Some(at), _, _) => (InvitationState::Bounced, at),
            (None, Some(at), _) => (InvitationState::Used, at),
            (None, None, Some(at)) => (InvitationState::Opened, at),
            (None, None, None) => (InvitationState::Mailed, mailed_at),
        },
    };
    let expires_at = mail.links_end.filter(|_| state == InvitationState::Mailed);
    InvitationProgress { state, since, expires_at }
}

fn key_row(user: &User, key: &super::user::Key) -> KeyRow {
    let allowed_ips = key.bounds.allowed_ips.as_ref();
    let listed = |text| bounds::networks(text).map(ToOwned::to_owned).collect();
    KeyRow {
        id: key.id,
        user: user.id,
        version: key.version,
        hash: key.hash,
        last_four: key.last_four.clone(),
        label: key.label.as_ref().and_then(|label| label.known()).map(ToOwned::to_owned),
        expires_at: key.bounds.expires_at,
        // Erased networks become an empty list: nobody may use the key.
        allowed_ips: allowed_ips.map(|networks| networks.known().map(listed).unwrap_or_default()),
        scopes: key.bounds.scopes.clone(),
        notice_at: key.notice_at(),
        issued_at: key.issued_at,
        mailed_at: key.mailed_at,
        valid_until: key.valid_until,
        replaced_by: key.replaced_by,
        revoked_at: key.revoked.map(|(at, _)| at),
        revocation_reason: key.revoked.map(|(_, reason)| reason.as_str().to_owned()),
    }
}

fn session_row(user: &User, session: &Session) -> SessionRow {
    SessionRow {
        id: session.id,
        user: user.id,
        version: session.version,
        hash: session.hash,
        started_at: session.started_at,
        expires_at: session.expires_at,
        idle_at: session.idle_at(),
        seen_at: session.seen_at,
        method: session.method.as_str().to_owned(),
        network: session.network.as_ref().and_then(|network| network.known()).map(ToOwned::to_owned),
        ended_at: session.ended.map(|(at, _)| at),
        end_reason: session.ended.map(|(_, reason)| reason.as_str().to_owned()),
    }
}

fn token_row(id: KeyId, token: &IssuedToken) -> TokenRow {
    TokenRow {
        id,
        version: token.version,
        hash: token.hash,
        name: token.name.clone(),
        scopes: token.permissions.list().collect(),
        read_only: token.permissions.read_only,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
    }
}

fn import_rows<'a>(name: &'a str, log: &'a DataSetLog) -> impl Iterator<Item = ImportRow> + 'a {
    log.imports.values().map(move |import| {
        let (status, dataset_version, counts, reason) = match &import.outcome {
            Outcome::Running => ("running", None, None, None),
            Outcome::Completed { dataset_version, counts } => {
                ("completed", Some(*dataset_version), Some(*counts), None)
            }
            Outcome::Removed { dataset_version, counts } => (REMOVED, Some(*dataset_version), Some(*counts), None),
            Outcome::Held => {
                let held = import.held.as_ref();
                (HELD, None, held.map(|held| held.counts), held.map(|held| guard::told(&held.why)))
            }
            Outcome::Discarded { reason } => ("discarded", None, None, reason.clone()),
            Outcome::Cancelled => ("cancelled", None, None, None),
            Outcome::Failed { reason } => ("failed", None, None, Some(reason.clone())),
        };
        ImportRow {
            id: import.id,
            dataset: name.to_owned(),
            version: import.version,
            file_name: import.file_name.clone(),
            definition: import.definition.clone(),
            replace: import.replace,
            status: status.to_owned(),
            started_at: import.started_at,
            ended_at: import.ended_at,
            dataset_version,
            counts,
            reason,
        }
    })
}
