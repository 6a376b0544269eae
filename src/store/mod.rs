//! The stores: the event log, the views, the ledger and the records. Code outside this folder uses only the traits.

pub mod accounts;
mod answers;
pub mod checkpoints;
pub mod dynamodb;
mod earlier_token;
mod error;
pub mod last_use;
mod ledger;
pub mod quarantine;
pub mod records;
mod replay;
mod replay_plan;
pub mod sqlite;
mod transfer;
mod user_list;
mod view_rows;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use self::ledger::{NETWORK, use_name};
pub use self::{
    answers::{AnswerPlace, KeptAnswer, KeptAnswers, NewAnswer},
    checkpoints::{KeptCheckpoint, KeptCheckpoints, LeavesName},
    earlier_token::EarlierToken,
    error::StoreError,
    ledger::{
        DayUsage, GivenBack, GrantRequest, Granted, KeyRefusal, KeyTerms, LastUse, Ledger, PlanDatasets,
        SERIALS_PER_REQUEST,
    },
    quarantine::{Quarantine, Quarantined, Quarantines},
    replay::{
        CommitBatch, IssuedTwice, Live, ReplayLog, ReplaySpace, ReplayViews, Replayable, Settled, Stage, last_readable,
    },
    replay_plan::{Progress, ReplayBatch, ReplayBeginning, ReplayPlan, ReplayStatus, ReplayView, ReplayedTo},
    transfer::{
        BesideLog, DeploymentMark, LogChunk, LogOrder, LogSource, LogTarget, MoveStep, Moving, Room, TakeBeside,
        Transferable,
    },
};
use crate::{
    domain::{
        chain::{ChainHash, CommitContent},
        id::{CommandId, StreamId, UserId},
        key::KeyId,
        persisted::StoredCommit,
        personal::PersonalKey,
        reached::Reached,
        view::{ImportRow, InvitationState, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow, UserStatus},
    },
    secrets::SecretMark,
};

/// A change of the claims that make a name, such as an e-mail address, unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimChange {
    /// Takes the name; fails when somebody else has it.
    Take {
        /// The name.
        name: String,
        /// The new owner.
        owner: String,
    },
    /// Releases the name, if it belongs to this owner.
    Release {
        /// The name.
        name: String,
        /// The owner.
        owner: String,
    },
}

/// A change of the personal keys, which are kept outside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonalChange {
    /// No change.
    Keep,
    /// A key for a new person.
    Create(UserId, PersonalKey),
    /// Destroys the key of an erased person.
    Destroy(UserId),
}

/// A change of the set of administrators who can sign in ([`crate::domain::user::administrators`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdministratorsChange {
    /// The set that the decision was based on; none when there was none yet.
    pub seen: Option<Vec<UserId>>,
    /// The set from now on.
    pub now: Vec<UserId>,
}

/// One command's commit: written as a whole or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The version that the decision was based on; 0 for a new stream.
    pub expected_version: u64,
    /// The hash of the stream up to and with that version; [`ChainHash::START`] for a new stream. The commit's own hash follows on it.
    pub previous: ChainHash,
    /// The command.
    pub command: CommandId,
    /// The mark of what the client sent with its `Idempotency-Key` ([`crate::secrets::Secrets::request_mark`]).
    pub request_hash: Option<String>,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The encoded events.
    pub events: String,
    /// The mark of the server secret from which names that the commit takes were derived. The deployment has to remember it: a
    /// process that still uses a replaced secret writes no such commit.
    pub secret: Option<SecretMark>,
    /// Names that the commit takes and releases.
    pub claims: Vec<ClaimChange>,
    /// Personal keys that the commit makes and destroys.
    pub personal: PersonalChange,
    /// The set of administrators, where the commit changes it. Written only if the set is still the one that was seen; otherwise
    /// the append is a [`AppendError::Conflict`].
    pub administrators: Option<AdministratorsChange>,
    /// The rows that follow from the stream after this commit.
    pub rows: Rows,
    /// Whether messages follow from the commit. It stays marked as unpublished until they are sent.
    pub publishes: bool,
}

/// Why a commit was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another commit has this version: load again and decide again.
    #[error("the stream has moved on")]
    Conflict,
    /// The same command committed earlier, with this commit.
    #[error("the command has already been carried out")]
    AlreadyDone(Box<StoredCommit>),
    /// A client's command was answered before, in another stream or without a commit: [`KeptAnswers::find`] gives the answer.
    #[error("the command has already been answered")]
    Answered,
    /// A key with this id was issued before, to any person: an id is never issued twice.
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
    /// The store did not answer; it is unknown whether it wrote the commit.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a reader reads on.
#[derive(Debug, Clone, Copy)]
pub struct ReadingPace {
    /// The reader's time.
    pub now: Timestamp,
    /// How late a commit may appear.
    pub window: SignedDuration,
    /// Commits to read at once.
    pub max: usize,
}

/// The append-only log, with all that must change in the same write.
///
/// # Errors
/// Each read fails with a [`StoreError`] where the log cannot be read, or holds commits that this permitd does not understand.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Writes a commit at `expected_version + 1`, marked as unpublished if messages follow from it. Returns its version. A store
    /// that does not write the rows together with the commit marks every commit until its rows are written.
    ///
    /// A commit with a `request_hash` is a client's: its command commits once in all streams, and not at all if an answer to it was
    /// kept ([`KeptAnswers`]). No key id is issued twice in any stream. Both are checked in the same write.
    ///
    /// `expected_version` is the version that the caller loaded, and the caller has searched all loaded commits for the command. So
    /// a store needs to look for an earlier commit of the command only when the stream has grown since. This ensures that a command
    /// commits once: a caller that loaded before the earlier try committed expects a version that has been written.
    ///
    /// # Errors
    /// [`AppendError`]; after `Store` the commit may or may not have been written: a retry of the same command finds out.
    async fn append(&self, append: Append) -> Result<u64, AppendError>;

    /// Commits of a stream in order, after a version, at most `max`.
    async fn load(&self, stream: &StreamId, after_version: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// The person's key, unless it was destroyed.
    async fn personal_key(&self, user: UserId) -> Result<Option<PersonalKey>, StoreError>;

    /// The set of administrators who can sign in; none before a commit has written one.
    async fn administrators(&self) -> Result<Option<Vec<UserId>>, StoreError>;

    /// Commits of all streams in log order, after a position, at most `max`.
    async fn read(&self, after_position: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// Commits in reverse log order, before a position or from the end, at most `max`.
    async fn read_back(&self, before_position: Option<u64>, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// When the last commit up to a position was recorded; none where there is no such commit.
    async fn moment_of(&self, position: u64) -> Result<Option<Timestamp>, StoreError> {
        let last = self.read_back(position.checked_add(1), 1).await?;
        Ok(last.first().map(|commit| commit.recorded_at))
    }

    /// Reads on: commits that were not read yet, in log order as far as they have come, at most about `pace.max`. Notes them in
    /// `reached`, and returns whether these are all for now. Where commits have their places by their writers' clocks, a commit that
    /// appears late is read as well, once, if it is younger than `pace.window` then.
    ///
    /// # Errors
    /// [`StoreError`], also where more commits than [`crate::domain::reached::WINDOW_COMMITS_MAX`] are in the window; `reached` is as it was.
    async fn read_on(&self, reached: &mut Reached, pace: ReadingPace) -> Result<(Vec<StoredCommit>, bool), StoreError> {
        let commits = self.read(reached.position(), pace.max).await?;
        commits.iter().for_each(|commit| reached.read_to(commit.position));
        let is_all = commits.len() < pace.max;
        Ok((commits, is_all))
    }

    /// Commits that are marked as not yet published, oldest first, at most `max`: all, or those behind one that an earlier call returned.
    async fn unpublished(&self, after: Option<&StoredCommit>, max: usize) -> Result<Vec<StoredCommit>, StoreError>;

    /// Writes view rows. A row that is not newer than the stored one changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] where some rows may not have been written. Repeat the call: a row that was written does not change again.
    async fn project(&self, rows: Rows) -> Result<(), StoreError>;

    /// Clears a commit's outbox mark.
    ///
    /// # Errors
    /// [`StoreError`] where the mark may still be set: the relay clears it.
    async fn mark_published(&self, stream: &StreamId, version: u64) -> Result<(), StoreError>;
}

/// Selects people to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Part of an address or a name, ignoring case and Unicode composition.
    pub search: Option<String>,
    /// The status of the person.
    pub status: Option<UserStatus>,
    /// The state of the last invitation at this moment.
    pub invitation: Option<(InvitationState, Timestamp)>,
    /// The plan; deleted people do not match.
    pub plan: Option<String>,
    /// Matches people whom mails do not reach at this moment, or who want none.
    pub unreached: Option<Timestamp>,
    /// The last entry of the page before.
    pub after: Option<UserId>,
    /// The largest number of entries.
    pub limit: usize,
}

/// A key whose owner is to be told that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueNotice {
    /// When the notice became due.
    pub at: Timestamp,
    /// The key.
    pub key: KeyId,
    /// Its owner.
    pub user: UserId,
}

/// Selects keys whose owners are to be told that they end.
#[derive(Debug, Clone, Copy)]
pub struct DueFilter {
    /// Leaves out notices that became due before this moment.
    pub from: Timestamp,
    /// Takes notices that are due at this moment.
    pub until: Timestamp,
    /// The last entry of the page before.
    pub after: Option<DueNotice>,
    /// The largest number of entries.
    pub limit: usize,
}

/// The views, for day-to-day reads.
///
/// # Errors
/// Each read fails with a [`StoreError`] where the views cannot be read, or this permitd does not understand a row.
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
    /// A person's sessions, oldest first, including ended ones.
    async fn sessions(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError>;
    /// A session.
    async fn session(&self, id: KeyId) -> Result<Option<SessionRow>, StoreError>;
    /// Keys whose owners are to be told that they end, the longest due first. A row that was written just now may be missing or
    /// shown in its earlier state.
    async fn due_notices(&self, filter: DueFilter) -> Result<Vec<DueNotice>, StoreError>;
    /// The plans by name.
    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError>;
    /// A plan.
    async fn plan(&self, name: &str) -> Result<Option<PlanRow>, StoreError>;
    /// How many people have each plan, without deleted people. A plan that nobody has is left out. DynamoDB reads all people for
    /// it.
    async fn people_of_plans(&self) -> Result<BTreeMap<String, u64>, StoreError>;
    /// How many people have each status and stored state of their last invitation: an expired invitation counts as mailed.
    /// Combinations that nobody has are left out. DynamoDB reads all people for it.
    async fn people_by_standing(&self) -> Result<BTreeMap<(UserStatus, InvitationState), u64>, StoreError>;
    /// The administrators' tokens by id, including ended ones.
    async fn admin_tokens(&self) -> Result<Vec<TokenRow>, StoreError>;
    /// An administrator's token.
    async fn admin_token(&self, id: KeyId) -> Result<Option<TokenRow>, StoreError>;
    /// Imports, the last begun first, at most `limit`.
    async fn imports(&self, dataset: Option<&str>, limit: usize) -> Result<Vec<ImportRow>, StoreError>;
    /// An import.
    async fn import(&self, id: uuid::Uuid) -> Result<Option<ImportRow>, StoreError>;
}

/// The administrators' tokens that are kept outside the log, and their last uses.
#[async_trait]
pub trait AdminTokens: Send + Sync {
    /// The tokens that an earlier permitd kept outside the log, oldest first. They are never removed: the log says what became of them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn earlier(&self) -> Result<Vec<EarlierToken>, StoreError>;
    /// Notes that a token was used, unless a later use is noted already.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: the next use is noted.
    async fn note_use(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError>;
    /// When each token was last used, as far as noted.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError>;
}

/// The store as a whole: its health, the server secret that it was written with, and its shutdown.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Tests all that a request and a command need: that the ledger and the log can be read, and that a write reaches the disk.
    /// Changes nothing visible.
    ///
    /// # Errors
    /// The error that a request or a command would be refused with.
    async fn probe(&self) -> Result<(), StoreError>;

    /// The remembered marks of the server secret's versions that this deployment has used.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read: a node does not start then.
    async fn secret_marks(&self) -> Result<Vec<SecretMark>, StoreError>;

    /// Remembers versions of the server secret. A version that is remembered already stays unchanged.
    ///
    /// # Errors
    /// [`StoreError`] where they may not have been written: repeat the call.
    async fn add_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError>;

    /// Remembers these versions of the server secret and forgets all others.
    ///
    /// # Errors
    /// [`StoreError`] where they may not have been written: repeat the call.
    async fn replace_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError>;

    /// Replaces the claims of all people: each owner gets these names. Returns pairs of an owner whose name was refused and the
    /// owner who has it.
    ///
    /// # Errors
    /// [`StoreError`] where the store could not be read or written: repeat the call.
    async fn reclaim(&self, owners: Vec<(String, Vec<String>)>) -> Result<Vec<(String, String)>, StoreError>;

    /// The deployment's mark: it is being filled, or was moved. None for one that is in use.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read: a node does not start then.
    async fn mark(&self) -> Result<Option<DeploymentMark>, StoreError>;

    /// Replaces the deployment's mark.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat the call.
    async fn set_mark(&self, mark: Option<DeploymentMark>) -> Result<(), StoreError>;

    /// Replaces the deployment's mark if it is the expected one. Returns whether it bears the new one afterwards.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat the call.
    async fn swap_mark(&self, from: Option<DeploymentMark>, to: Option<DeploymentMark>) -> Result<bool, StoreError>;

    /// Shuts down in order: moves write-ahead logs into their databases, so that a copy of the file is whole.
    ///
    /// # Errors
    /// When another process is reading or writing: nothing is lost, the write-ahead log is read at the next start.
    async fn close(&self) -> Result<(), StoreError>;
}

/// All stores of a node, behind the traits.
#[derive(Clone)]
pub struct Stores {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The answers to clients' commands.
    pub answers: Arc<dyn KeptAnswers>,
    /// The views.
    pub views: Arc<dyn Views>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// People's accounts in the ledger as a whole.
    pub accounts: Arc<dyn accounts::LedgerAccounts>,
    /// The administrator's tokens.
    pub admin_tokens: Arc<dyn AdminTokens>,
    /// The streams in quarantine.
    pub quarantines: Quarantines,
    /// The signed checkpoints.
    pub checkpoints: Arc<dyn KeptCheckpoints>,
    /// Rebuilding and verifying.
    pub replay: Arc<dyn Replayable>,
    /// The log as a whole.
    pub transfer: Arc<dyn Transferable>,
    /// The store as a whole.
    pub upkeep: Arc<dyn Upkeep>,
}

impl Append {
    /// The hash of the stream up to and with this commit.
    pub fn hash(&self) -> ChainHash {
        self.previous.then(&CommitContent {
            stream: &self.stream,
            version: self.expected_version.saturating_add(1),
            recorded_at: self.recorded_at,
            command: &self.command,
            request_hash: self.request_hash.as_deref(),
            events: &self.events,
        })
    }
}

impl Stores {
    /// All people, a page at a time.
    pub fn everybody(&self) -> Everybody<'_> {
        Everybody { views: &*self.views, after: None }
    }
}

/// The number of people that one read gets.
const PEOPLE_PAGE: usize = 500;

/// Reads all people, a page at a time.
pub struct Everybody<'a> {
    views: &'a dyn Views,
    after: Option<UserId>,
}

impl Everybody<'_> {
    /// The next page; none after the last.
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
