//! Where things are kept: the event log, the views, the ledger and the records. Everything above this folder knows the
//! traits only.

mod answers;
pub mod dynamodb;
mod error;
pub mod last_use;
pub mod records;
mod replay;
pub mod sqlite;
mod user_list;
mod view_rows;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::{
    answers::{AnswerPlace, KeptAnswer, KeptAnswers, NewAnswer},
    error::StoreError,
    replay::{CommitBatch, IssuedTwice, Live, ReplayLog, ReplaySpace, ReplayViews, Replayable, Settled, Stage},
};
use crate::{
    domain::{
        admission::{Grant, GrantHolder, KeyUse, Return, Tally, UsageCount},
        id::{CommandId, StreamId, UserId},
        key::{KeyHash, KeyId},
        persisted::StoredCommit,
        personal::PersonalKey,
        reach::KeyReach,
        view::{ImportRow, InvitationState, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow, UserStatus},
    },
    secrets::SecretMark,
};

/// A change of the claims that make a name, such as an e-mail address, unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimChange {
    /// Take it; fails when somebody else has it.
    Take {
        /// The name.
        name: String,
        /// Who takes it.
        owner: String,
    },
    /// Let it go, if it is this owner's.
    Release {
        /// The name.
        name: String,
        /// Whose.
        owner: String,
    },
}

/// A change of the personal keys, which are kept outside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonalChange {
    /// None.
    Keep,
    /// The person is new.
    Create(UserId, PersonalKey),
    /// The person is erased.
    Destroy(UserId),
}

/// A change of the set of administrators who can sign in ([`crate::domain::user::administrators`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdministratorsChange {
    /// The set that was seen; none when there was none yet.
    pub seen: Option<Vec<UserId>>,
    /// The set from now on.
    pub now: Vec<UserId>,
}

/// One command's commit: written as a whole or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The version that the decision was made on; 0 for a new stream.
    pub expected_version: u64,
    /// The command.
    pub command: CommandId,
    /// The mark of what the client sent with its `Idempotency-Key` ([`crate::secrets::Secrets::request_mark`]).
    pub request_hash: Option<String>,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The encoded events.
    pub events: String,
    /// What the deployment has to remember of the server secret, where names that the commit takes were derived from it: a process
    /// that still has one that was replaced writes no such commit.
    pub secret: Option<SecretMark>,
    /// Names taken and let go.
    pub claims: Vec<ClaimChange>,
    /// Personal keys made and destroyed.
    pub personal: PersonalChange,
    /// The set of administrators, where the commit changes it. Written only if the set is still what was seen; otherwise the append
    /// is a [`AppendError::Conflict`].
    pub administrators: Option<AdministratorsChange>,
    /// The rows that follow from the stream after this commit.
    pub rows: Rows,
    /// Whether the commit leads to messages. It stays marked as unpublished until they are sent.
    pub publishes: bool,
}

/// Why a commit was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has written that version: load again and decide again.
    #[error("the stream has moved on")]
    Conflict,
    /// The same command committed earlier: this is what it wrote.
    #[error("the command has already been carried out")]
    AlreadyDone(Box<StoredCommit>),
    /// A client's command that was answered before, in another stream or without a commit: [`KeptAnswers::find`] tells what.
    #[error("the command has already been answered")]
    Answered,
    /// A key with this id was issued before, to whomever: an id is never issued twice.
    #[error("a key {key} was issued before")]
    KeyIssued {
        /// The key.
        key: KeyId,
    },
    /// The deployment does not remember [`Append::secret`]: it has another server secret.
    #[error("the deployment has another server secret")]
    OtherSecret,
    /// The name has another owner.
    #[error("the name is taken")]
    ClaimTaken {
        /// Its owner.
        owner: String,
    },
    /// The store did not answer; whether it wrote is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The append-only log, with what must change in the same write.
///
/// # Errors
/// Each read fails with a [`StoreError`] where the log cannot be read, or holds what this permitd does not understand.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Writes a commit at `expected_version + 1`, marked as not yet published if it publishes. Returns its version. A store that
    /// does not write the rows with the commit marks every commit until they are written.
    ///
    /// A commit with a `request_hash` is a client's: its command commits once in all streams, and not at all when an answer to
    /// it was kept ([`KeptAnswers`]). No key id is issued twice, in whatever stream. Both are part of the same write.
    ///
    /// `expected_version` is what the caller loaded, and the caller has looked for the command in all that it loaded: a store may
    /// find an earlier commit of the same command only when somebody has written since. Together that is enough for a command to
    /// commit once: whoever looked before the earlier try committed expects a version that has been written.
    ///
    /// # Errors
    /// [`AppendError`]; after `Store` the commit may or may not have been written: a retry of the same command tells.
    async fn append(&self, append: Append) -> Result<u64, AppendError>;

    /// Commits of a stream in order, after a version, at most `max`.
    async fn load(&self, stream: &StreamId, after_version: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// The person's key, unless it was destroyed.
    async fn personal_key(&self, user: UserId) -> Result<Option<PersonalKey>, StoreError>;

    /// The set of administrators who can sign in; none before a commit has written one.
    async fn administrators(&self) -> Result<Option<Vec<UserId>>, StoreError>;

    /// Commits of all streams in the order of the log, after a position, at most `max`.
    async fn read(&self, after_position: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// The same backwards: commits before a position, or the last ones, newest first, at most `max`.
    async fn read_back(&self, before_position: Option<u64>, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// Commits that are marked as not yet published and were recorded at `from` or later, oldest first, at most `max`.
    async fn unpublished(&self, from: Timestamp, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// Writes view rows; a row whose version is not newer than the stored one's changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] where not all rows may have been written. To be repeated: that changes nothing twice.
    async fn project(&self, rows: Rows) -> Result<(), StoreError>;

    /// Clears the mark.
    ///
    /// # Errors
    /// [`StoreError`] where the mark may still be there: the relay clears it.
    async fn mark_published(&self, stream: &StreamId, version: u64) -> Result<(), StoreError>;
}

/// Which people to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Part of an address or a name, whatever its case and composition.
    pub search: Option<String>,
    /// How they stand.
    pub status: Option<UserStatus>,
    /// How far their last invitation has come by this moment.
    pub invitation: Option<(InvitationState, Timestamp)>,
    /// Their plan; of those who were deleted none counts.
    pub plan: Option<String>,
    /// Those whom mails do not reach by this moment, or who want none.
    pub unreached: Option<Timestamp>,
    /// The last one of the page before.
    pub after: Option<UserId>,
    /// At most so many.
    pub limit: usize,
}

/// A key of whose end its owner is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueNotice {
    /// Since when.
    pub at: Timestamp,
    /// The key.
    pub key: KeyId,
    /// Its owner.
    pub user: UserId,
}

/// Which keys of whose end their owners are to be told.
#[derive(Debug, Clone, Copy)]
pub struct DueFilter {
    /// Not those that are due since before this moment.
    pub from: Timestamp,
    /// Those that are due at this moment.
    pub until: Timestamp,
    /// The last one of the page before.
    pub after: Option<DueNotice>,
    /// At most so many.
    pub limit: usize,
}

/// What is read from day to day.
///
/// # Errors
/// Each read fails with a [`StoreError`] where the views cannot be read, or a row is not one that this permitd understands.
#[async_trait]
pub trait Views: Send + Sync {
    /// A person.
    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError>;
    /// The person with this address (lower case), unless deleted.
    async fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, StoreError>;
    /// People, the last invited first.
    async fn users(&self, filter: UserFilter) -> Result<Vec<UserRow>, StoreError>;
    /// A person's keys, oldest first.
    async fn keys(&self, user: UserId) -> Result<Vec<KeyRow>, StoreError>;
    /// A key.
    async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, StoreError>;
    /// A person's sessions, oldest first, with those that have ended.
    async fn sessions(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError>;
    /// A session.
    async fn session(&self, id: KeyId) -> Result<Option<SessionRow>, StoreError>;
    /// Keys of whose end their owners are to be told, those first that are due for longest. One whose row has only just been
    /// written may be missing, or stand there as it was.
    async fn due_notices(&self, filter: DueFilter) -> Result<Vec<DueNotice>, StoreError>;
    /// The plans by name.
    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError>;
    /// A plan.
    async fn plan(&self, name: &str) -> Result<Option<PlanRow>, StoreError>;
    /// How many people have each plan, those not counted who were deleted. A plan that nobody has is not among them. Over DynamoDB all
    /// people are read for it.
    async fn people_of_plans(&self) -> Result<BTreeMap<String, u64>, StoreError>;
    /// How many people stand how, and how far their last invitation has come as it is written: of one that has expired that it was
    /// mailed. What is true of nobody is not among them. Over DynamoDB all people are read for it.
    async fn people_by_standing(&self) -> Result<BTreeMap<(UserStatus, InvitationState), u64>, StoreError>;
    /// The administrators' tokens, also those that have ended, by id.
    async fn admin_tokens(&self) -> Result<Vec<TokenRow>, StoreError>;
    /// An administrator's token.
    async fn admin_token(&self, id: KeyId) -> Result<Option<TokenRow>, StoreError>;
    /// Imports, the last begun first, at most `limit`.
    async fn imports(&self, dataset: Option<&str>, limit: usize) -> Result<Vec<ImportRow>, StoreError>;
    /// An import.
    async fn import(&self, id: uuid::Uuid) -> Result<Option<ImportRow>, StoreError>;
}

/// What a node asks the ledger for.
#[derive(Debug, Clone)]
pub struct GrantRequest {
    /// The person. All their keys spend from their grants.
    pub user: UserId,
    /// Their plan, as one of their keys was just said to have it ([`Ledger::terms`]).
    pub plan: Arc<str>,
    /// The node's wall clock, nanoseconds since the Unix epoch.
    pub now_ns: i64,
    /// How long the grant may live, nanoseconds.
    pub life_ns: i64,
    /// At most so many requests, but `need` in any case.
    pub want: u64,
    /// What the request that waits for the grant counts as.
    pub need: u64,
    /// The node, and the serial of the grant that it asks for. A ledger that tries several times takes the following ones, up to
    /// [`SERIALS_PER_REQUEST`] in all, so that it knows its own tries apart.
    pub holder: GrantHolder,
    /// The serial of the node's first request for the person that was not answered, if there was one since the last that was.
    pub unanswered_from: Option<u64>,
    /// What the node gives back of its last grant. It keeps that until a request is answered.
    pub returned: Option<Return>,
    /// What the node has counted of the person's requests. It keeps that until a request is answered that took it.
    pub tally: Option<Arc<Tally>>,
    /// The use of a key or session that asks: written down with the grant, unless there is nothing to be had. So what is kept of the last
    /// use is never older than a grant's life, whenever the node dies.
    pub used: Option<KeyUse>,
}

/// What a node gives back of a person's.
#[derive(Debug, Clone)]
pub struct GivenBack {
    /// The person.
    pub user: UserId,
    /// Of its last grant.
    pub returned: Option<Return>,
    /// What it has counted of their requests.
    pub tally: Option<Arc<Tally>>,
}

/// How far apart the serials of two requests are.
pub const SERIALS_PER_REQUEST: u64 = 16;

/// Why a key, or a session, gets no grant. What a client is told does not differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// There is no such key.
    Unknown,
    /// It was revoked, replaced or ended, its time is over, or its owner is disabled or deleted.
    Ended,
}

/// What a node has to know of a key, or a session, that works.
#[derive(Debug, Clone)]
pub struct KeyTerms {
    /// Its owner.
    pub user: UserId,
    /// What the key must hash to.
    pub hash: KeyHash,
    /// When it stops working because it was rotated or expires, whichever comes first, by the clock of the question. What was set
    /// on that clock since the rotation changes nothing of that, as far as the store can tell; a key expires at its date. Of a session
    /// when it ends unless it is used.
    pub valid_until: Option<Timestamp>,
    /// From where it may be used, and what for.
    pub reach: Arc<KeyReach>,
    /// The name of its owner's plan.
    pub plan: Arc<str>,
    /// Of a session, when its use is to be written down.
    pub see_at: Option<Timestamp>,
    /// Whether it is the session of an administrator that began without a second factor.
    pub lacks_factor: bool,
}

/// The data sets that a plan's people may read; none for all.
pub type PlanDatasets = Option<Arc<[String]>>;

/// A grant.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The requests.
    pub grant: Grant,
    /// How old the plan's limits are that it was made by, nanoseconds: the grant is not to live longer than they may.
    pub limits_age_ns: i64,
    /// The data sets that the plan has; of the same age.
    pub datasets: PlanDatasets,
    /// Whether the tally was taken, be it with an earlier request.
    pub tallied: bool,
}

/// A day's consumption of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DayUsage {
    /// The UTC day, counted from 1970-01-01.
    pub day: i64,
    /// Requests that were spent or are out in grants, with whichever of the person's keys.
    pub used: u64,
}

/// A key's last use, exact to a grant's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// The key.
    pub key: KeyId,
    /// When.
    pub at: Timestamp,
    /// The network that it came from, if that is known and the person was not erased.
    pub network: Option<String>,
}

/// The field that a last use's network is sealed as.
const NETWORK: &str = "network";

/// The name under which a last use's network is sealed with its person's key: each is sealed once.
fn use_name(key: KeyId, at_us: i64) -> uuid::Uuid {
    let mut bytes = [0; 16];
    for (byte, of_key) in bytes.iter_mut().zip(key.as_str().bytes()) {
        *byte = of_key;
    }
    for (byte, of_moment) in bytes.iter_mut().rev().zip(at_us.to_le_bytes()) {
        *byte ^= of_moment;
    }
    uuid::Uuid::from_bytes(bytes)
}

/// What people have consumed, and which keys work: one conditional write for a grant.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What a key or a session may, while it works and its owner may; `now_ns` is the node's wall clock. A read, as new as the last
    /// commit that was acknowledged.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read: nobody is admitted then.
    async fn terms(&self, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError>;

    /// Takes back what is returned and grants, in one write. Where an earlier request of the node was carried out, though its
    /// answer was lost, what that one reserved is taken back instead
    /// ([`admission::settled`](crate::domain::admission::settled)); so nothing comes back twice, and nothing is lost.
    ///
    /// # Errors
    /// [`StoreError`] where it may or may not have been taken: what was is lost to its owner, and never spent twice.
    async fn grant(&self, request: GrantRequest) -> Result<Granted, StoreError>;

    /// Takes back what nodes will not spend, and takes what they have counted. What came back before changes nothing: to try again
    /// does no harm. A tally is not to be tried again: one that was not answered may have been taken.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: to be repeated with the next.
    async fn give_back(&self, given: Vec<GivenBack>) -> Result<(), StoreError>;

    /// A person's consumption by day, from a UTC day on.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError>;

    /// What a person's requests were, from a UTC day on: by day, key, data set and status.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    async fn counts(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError>;

    /// When a person's keys were last used, and from where.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    async fn last_uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError>;
}

/// An administrator's token that was made before tokens were events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierToken {
    /// Its id then.
    pub id: String,
    /// The SHA-256 of the token.
    pub hash: KeyHash,
}

/// What is kept of the administrators' tokens beside the log.
#[async_trait]
pub trait AdminTokens: Send + Sync {
    /// Those that an earlier permitd kept outside of the log, oldest first. They are never removed: what became of them is in the log.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn earlier(&self) -> Result<Vec<EarlierToken>, StoreError>;
    /// Notes that a token was used, unless a later use is noted.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: the next use is noted.
    async fn note_use(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError>;
    /// When each token was used last, as far as was noted.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError>;
}

/// The store as a whole: whether it works, whose secret it was written with, and its end.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Tries what a request and a command need: the ledger and the log can be read, and a write reaches the disk. It changes
    /// nothing that anybody can see.
    ///
    /// # Errors
    /// What a request or a command would be refused with.
    async fn probe(&self) -> Result<(), StoreError>;

    /// What is remembered of the versions of the server secret that this deployment has used.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read: a node does not start then.
    async fn secret_marks(&self) -> Result<Vec<SecretMark>, StoreError>;

    /// Remembers versions of the server secret. One that is there stays as it is.
    ///
    /// # Errors
    /// [`StoreError`] where they may not have been written: to be repeated.
    async fn add_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError>;

    /// Forgets all versions of the server secret but these, which it remembers.
    ///
    /// # Errors
    /// [`StoreError`] where they may not have been written: to be repeated.
    async fn replace_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError>;

    /// Replaces the claims of all people: each owner with the names that are theirs from now on. Returns the owners who could
    /// not have a name since another one took it, in pairs of both.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be read or written: to be repeated.
    async fn reclaim(&self, owners: Vec<(String, Vec<String>)>) -> Result<Vec<(String, String)>, StoreError>;

    /// Ends in order: what stands in a write-ahead log is moved into its database, so that a copy of the file is whole.
    ///
    /// # Errors
    /// When somebody else is reading or writing: nothing is lost, the log is read at the next start.
    async fn close(&self) -> Result<(), StoreError>;
}

/// All that a node keeps, behind the traits.
#[derive(Clone)]
pub struct Stores {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// What clients' commands were answered.
    pub answers: Arc<dyn KeptAnswers>,
    /// The views.
    pub views: Arc<dyn Views>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The administrator's tokens.
    pub admin_tokens: Arc<dyn AdminTokens>,
    /// Rebuilding and verifying.
    pub replay: Arc<dyn Replayable>,
    /// The store as a whole.
    pub upkeep: Arc<dyn Upkeep>,
}

impl Stores {
    /// All people, a page at a time.
    pub fn everybody(&self) -> Everybody<'_> {
        Everybody { views: &*self.views, after: None }
    }
}

/// People who are read at once.
const PEOPLE_PAGE: usize = 500;

/// Reads all people, a page at a time.
pub struct Everybody<'a> {
    views: &'a dyn Views,
    after: Option<UserId>,
}

impl Everybody<'_> {
    /// The next ones; none when all were read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn next_page(&mut self) -> Result<Option<Vec<UserRow>>, StoreError> {
        let filter = UserFilter { after: self.after, limit: PEOPLE_PAGE, ..UserFilter::default() };
        let people = self.views.users(filter).await?;
        self.after = people.last().map(|last| last.id);
        Ok(Some(people).filter(|people| !people.is_empty()))
    }
}
