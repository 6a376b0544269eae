//! From a command to a commit: load the stream, decide, append under the expected version, publish. Used by all deciding actors.

mod administrators;
mod as_of;
mod error;

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use uuid::Uuid;

pub use self::{as_of::PastStream, error::CommandError};
use super::counting::counters;
use crate::{
    clock::SharedClock,
    domain::{
        chain::ChainHash,
        email::Email,
        event::{Event, Origin, Recorded},
        fulfilment,
        id::{CommandId, StreamId, UserId},
        permission::{AccessKind, Permissions},
        persisted::{self, NewEvent, StoredCommit},
        personal::{Personal, PersonalKey},
        user::CommandRefusal,
        view::State,
    },
    failpoint::crash_point,
    queue::{BATCH_MAX, EventMessage, Message, Queue, QueueError},
    secrets::{Entropy, EntropyError, Secrets, SecretsError},
    store::{Append, AppendError, ClaimChange, PersonalChange, StoreError, Stores},
};

/// How often a command is decided again after losing a race.
const TRIES_MAX: u32 = 16;
/// How often one command asks a store that does not answer.
const STORE_TRIES_MAX: u32 = 3;
/// The default number of days for which answers without a commit are stored.
pub const IDEMPOTENCY_DAYS: u32 = 30;
/// Commits that are loaded at a time.
const PAGE_COMMITS: usize = 256;

counters! {
    /// The committer's counters.
    CommitCounters read as CommitCounts {
        /// Commits appended.
        appended,
        /// Appends that lost a race and were decided again.
        conflicts,
        /// Commands that an earlier try had carried out.
        repeated,
        /// Messages published.
        published,
        /// Publications that were left to the relay.
        publish_failures,
    }
}

/// What every command carries.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Identifies the command, so that a retry gets the first answer.
    pub command: CommandId,
    /// A hash of the client's request with an `Idempotency-Key`: its method, path, condition and body. Only commands with one are found
    /// again in any stream, and get their answer stored when it needed no commit.
    pub request_hash: Option<String>,
    /// The version that the client expects (`If-Match`).
    pub expected_version: Option<u64>,
    /// The sender of the command, and its request.
    pub origin: Origin,
    /// The sender's permissions: nothing changes for a person whose role has more.
    pub may: Permissions,
}

impl Envelope {
    /// For a command without an idempotency key or expected version, whose sender has all permissions.
    pub fn new(command: CommandId, origin: Origin) -> Self {
        Self { command, request_hash: None, expected_version: None, origin, may: Permissions::ALL }
    }

    /// # Errors
    /// When the command is about a person whose role has more permissions than its sender.
    fn may_act_on(&self, state: &State) -> Result<(), CommandError> {
        let State::User(Some(user)) = state else { return Ok(()) };
        match Permissions::of_role(user.role) {
            needed if self.may.may(needed, AccessKind::Write) => Ok(()),
            needed => Err(CommandError::Beyond { role: user.role, needed, has: self.may }),
        }
    }
}

/// A command that was carried out, by this try or an earlier one.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The state right after the command's commit.
    pub state: State,
    /// The stream's version right after the commit.
    pub version: u64,
    /// The command's events; none when the state was already as wanted.
    pub events: Vec<Recorded>,
    /// Whether an earlier try carried it out.
    pub repeated: bool,
}

/// A loaded stream.
pub struct LoadedStream {
    /// Its state.
    pub state: State,
    /// Its version.
    pub version: u64,
    /// Its hash up to this version.
    head: ChainHash,
    key: Option<PersonalKey>,
    earlier: Option<FirstTry>,
}

/// The outcome of an earlier try of a command.
pub(super) enum EarlierTry {
    /// No earlier try is known.
    None,
    /// The earlier try committed in this stream.
    InStream(StreamId),
    /// The earlier try found the state already as wanted.
    Unchanged(Box<Committed>),
}

/// The commit of an earlier try of the same command.
struct FirstTry {
    committed: Committed,
    /// Whether the commit still has its outbox mark.
    marked: bool,
}

/// Carries commands out.
pub struct Committer {
    /// The stores.
    pub stores: Stores,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The server secret.
    pub secrets: Secrets,
    pub(super) counters: CommitCounters,
    pub(super) answers_kept_for: SignedDuration,
    appended: tokio::sync::Notify,
}

impl Committer {
    /// A committer over these.
    pub fn new(
        stores: Stores,
        queue: Arc<dyn Queue>,
        clock: SharedClock,
        entropy: Arc<dyn Entropy>,
        secrets: Secrets,
    ) -> Self {
        let (counters, appended) = (CommitCounters::default(), tokio::sync::Notify::new());
        let answers_kept_for = days(IDEMPOTENCY_DAYS);
        Self { stores, queue, clock, entropy, secrets, counters, answers_kept_for, appended }
    }

    /// The same with this number of days for stored answers; the default is [`IDEMPOTENCY_DAYS`].
    #[must_use]
    pub fn keeping_answers_for(self, idempotency_days: u32) -> Self {
        Self { answers_kept_for: days(idempotency_days), ..self }
    }

    /// Returns when this process publishes a message, so that consumers need not wait for their next poll.
    pub async fn wait_for_message(&self) {
        self.appended.notified().await;
    }

    /// Whether this process's server secret is still the deployment's: another node may have added a version or replaced it. A mismatch,
    /// once noticed, lasts until a restart ([`Secrets::doubted`]).
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn check_secret(&self) -> Result<bool, StoreError> {
        if self.secrets.doubted().is_none() {
            let marks = self.stores.upkeep.secret_marks().await?;
            if let Err(error) = self.secrets.check(&marks) {
                tracing::error!(%error, "messages are left to other servers; start this one again with the right secret");
                self.secrets.doubt(error.to_string());
            }
        }
        Ok(self.secrets.doubted().is_none())
    }

    fn other_secret(&self) -> CommandError {
        let what = "another one has replaced it".to_owned();
        SecretsError::NotOurs { place: self.secrets.place().to_owned(), what }.into()
    }

    /// The present counts.
    pub fn counts(&self) -> CommitCounts {
        self.counters.read()
    }

    /// A new identifier, UUID version 7.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn new_id(&self) -> Result<Uuid, EntropyError> {
        let mut random = [0; 10];
        self.entropy.fill(&mut random)?;
        let millis = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Carries out a command: appends the events that `decide` returns for the stream's state in one commit. `decide` is called again after
    /// a lost race, and not at all when the same command was answered before: see `answers.rs`.
    ///
    /// # Errors
    /// The errors of `decide`, and those of [`CommandError`].
    pub async fn run(
        &self,
        stream: &StreamId,
        envelope: &Envelope,
        decide: impl Fn(&State) -> Result<Vec<Event>, CommandError>,
    ) -> Result<Committed, CommandError> {
        let mut store_failures = 0;
        for _ in 0..TRIES_MAX {
            match self.try_once(stream, envelope, &decide).await {
                Ok(Some(committed)) => return Ok(committed),
                Ok(None) => {
                    self.counters.conflicts.add(1);
                }
                // It is unknown whether the commit was written: the next try finds out by the command's id.
                Err(CommandError::Store(StoreError::Unavailable(_))) if store_failures + 1 < STORE_TRIES_MAX => {
                    store_failures += 1;
                    tokio::time::sleep(Duration::from_millis(20 << store_failures)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(CommandError::Contended)
    }

    /// `None` when somebody else wrote the version first.
    async fn try_once(
        &self,
        stream: &StreamId,
        envelope: &Envelope,
        decide: &impl Fn(&State) -> Result<Vec<Event>, CommandError>,
    ) -> Result<Option<Committed>, CommandError> {
        // A retry is answered from the first try's stream.
        let (stream, has_committed) = match &self.earlier(envelope).await? {
            EarlierTry::Unchanged(unchanged) => return Ok(Some(*unchanged.clone())),
            EarlierTry::InStream(first) => (&first.clone(), true),
            EarlierTry::None => (stream, false),
        };
        let loaded = self.load(stream, Some(envelope)).await?;
        if let Some(FirstTry { committed: earlier, marked }) = loaded.earlier {
            if marked {
                // The first try may not have projected its commit, so this does. Publishing is left to the relay, since the first try may
                // be about to publish.
                self.stores.log.project(loaded.state.rows()).await?;
            }
            self.counters.repeated.add(1);
            return Ok(Some(earlier));
        }
        if has_committed {
            let what =
                format!("{stream} has no commit of a command that has one: restore all of the store as of one moment");
            return Err(StoreError::Corrupt(what).into());
        }
        let decided = match envelope.expected_version.filter(|expected| *expected != loaded.version) {
            Some(_) => Err(CommandError::Stale { current: loaded.version }),
            // Checked on the decided state: the person's role may have changed meanwhile.
            None => envelope.may_act_on(&loaded.state).and_then(|()| decide(&loaded.state)),
        };
        match decided {
            Err(error) => self.keep_error(envelope, error).await,
            Ok(events) if events.is_empty() => {
                let LoadedStream { state, version, .. } = loaded;
                let unchanged = Committed { state, version, events: Vec::new(), repeated: false };
                self.keep_unchanged(stream, envelope, unchanged).await
            }
            Ok(events) => self.append(stream, envelope, loaded, events).await,
        }
    }

    async fn append(
        &self,
        stream: &StreamId,
        envelope: &Envelope,
        loaded: LoadedStream,
        events: Vec<Event>,
    ) -> Result<Option<Committed>, CommandError> {
        let recorded_at = self.clock.now();
        let version = loaded.version + 1;
        let new_event = |event| Ok(NewEvent { id: self.new_id()?, origin: envelope.origin.clone(), event });
        let events: Vec<NewEvent> = events.into_iter().map(new_event).collect::<Result<_, EntropyError>>()?;
        let (personal, key) = self.personal_change(stream, &events, loaded.key)?;
        let encoded = persisted::encode(&events, key.as_ref())?;
        let claims = self.claims(stream, &loaded.state, &events);
        let could_administer = can_administer(&loaded.state);
        let mut state = loaded.state;
        let recorded: Vec<Recorded> = events
            .into_iter()
            .zip(0u32..)
            .map(|(NewEvent { id, origin, event }, index)| Recorded {
                id,
                stream: stream.clone(),
                version,
                index,
                recorded_at,
                origin,
                event,
            })
            .collect();
        recorded.iter().for_each(|event| state.apply(event));
        // Checked before the write, unlike a claimed name: in DynamoDB all commands that issue keys would contend for one item.
        let is_derived = |event: &Event| matches!(event, Event::ApiKeyIssued { .. } | Event::AdminTokenIssued { .. });
        if recorded.iter().any(|recorded| is_derived(&recorded.event)) && !self.check_secret().await? {
            return Err(self.other_secret());
        }
        let change = self.administrators_change(stream, could_administer, can_administer(&state)).await;
        let administrators = match change {
            Ok(change) => change,
            Err(error) => return self.keep_error(envelope, error).await,
        };
        let takes_names = claims.iter().any(|change| matches!(change, ClaimChange::Take { .. }));
        let append = Append {
            stream: stream.clone(),
            expected_version: loaded.version,
            previous: loaded.head,
            command: envelope.command.clone(),
            request_hash: envelope.request_hash.as_ref().map(|hash| self.secrets.request_mark(hash)),
            recorded_at,
            events: encoded,
            secret: takes_names.then(|| self.secrets.current_mark()),
            claims,
            personal,
            administrators,
            rows: state.rows(),
            publishes: recorded.iter().any(|recorded| fulfilment::duty(recorded).is_some()),
        };
        let publishes = append.publishes;
        crash_point("append-before");
        match self.stores.log.append(append).await {
            Ok(_) => {}
            Err(AppendError::Conflict | AppendError::AlreadyDone(_) | AppendError::Answered) => return Ok(None),
            Err(AppendError::ClaimTaken { owner }) => {
                return self.keep_error(envelope, CommandError::EmailTaken { user: owner }).await;
            }
            Err(AppendError::KeyIssued { key }) => {
                return self.keep_error(envelope, CommandRefusal::KeyExists(key).into()).await;
            }
            Err(AppendError::OtherSecret) => {
                self.check_secret().await?;
                return Err(self.other_secret());
            }
            Err(AppendError::Store(error)) => return Err(error.into()),
        }
        crash_point("append-after");
        self.counters.appended.add(1);
        let committed = Committed { state, version, events: recorded, repeated: false };
        if publishes && let Err(error) = self.publish(&committed.events).await {
            // The commit keeps its mark, so that the relay publishes it.
            self.counters.publish_failures.add(1);
            tracing::warn!(stream = %stream, version, %error, "not published at once; left to the relay");
        }
        Ok(Some(committed))
    }

    fn personal_change(
        &self,
        stream: &StreamId,
        events: &[NewEvent],
        key: Option<PersonalKey>,
    ) -> Result<(PersonalChange, Option<PersonalKey>), EntropyError> {
        let StreamId::User(user) = stream else { return Ok((PersonalChange::Keep, key)) };
        if events.iter().any(|new| matches!(new.event, Event::UserInvited { .. })) {
            let mut bytes = [0; 32];
            self.entropy.fill(&mut bytes)?;
            let key = PersonalKey::from_bytes(bytes);
            return Ok((PersonalChange::Create(*user, key.clone()), Some(key)));
        }
        if events.iter().any(|new| matches!(new.event, Event::UserDeleted)) {
            return Ok((PersonalChange::Destroy(*user), key));
        }
        Ok((PersonalChange::Keep, key))
    }

    fn claims(&self, stream: &StreamId, before: &State, events: &[NewEvent]) -> Vec<ClaimChange> {
        let StreamId::User(user) = stream else { return Vec::new() };
        let owner = || user.to_string();
        let names = |email: &Personal| email.known().map(|email| self.claim_names(email)).unwrap_or_default();
        let take = |name| ClaimChange::Take { name, owner: owner() };
        let release = |name| ClaimChange::Release { name, owner: owner() };
        let claims = |new: &NewEvent| match (&new.event, before) {
            (Event::UserInvited { email, .. }, _) => names(email).into_iter().map(take).collect(),
            (Event::UserDeleted, State::User(Some(person))) => names(&person.email).into_iter().map(release).collect(),
            _ => Vec::new(),
        };
        events.iter().flat_map(claims).collect()
    }

    /// The claim names of a mailbox: one for each form of the address and each version of the server secret, so that the mailbox belongs to
    /// one person whichever of them an earlier permitd claimed.
    pub fn claim_names(&self, address: &str) -> Vec<String> {
        // Some addresses that an earlier permitd accepted are invalid for this one.
        let forms = Email::parse(address).map(|email| email.forms()).unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        for form in std::iter::once(address).chain(forms.iter().map(String::as_str)) {
            for claim in self.secrets.email_claims(form) {
                let name = format!("email#{claim}");
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Loads a stream. With an envelope, detects whether its command was carried out before.
    ///
    /// # Errors
    /// When the stream cannot be read or is in quarantine, or the command's id was used for another request.
    pub async fn load(&self, stream: &StreamId, envelope: Option<&Envelope>) -> Result<LoadedStream, CommandError> {
        self.refuse_quarantined(stream).await?;
        let key = self.personal_key(stream).await?;
        let mut loaded =
            LoadedStream { state: State::empty(stream), version: 0, head: ChainHash::START, key, earlier: None };
        loop {
            let commits = self.stores.log.load(stream, loaded.version, PAGE_COMMITS).await?;
            // A missing key means an erased person, but also one that was invited after the key was looked up.
            if loaded.version == 0 && loaded.key.is_none() && !commits.is_empty() {
                loaded.key = self.personal_key(stream).await?;
            }
            for commit in &commits {
                loaded.take(commit, envelope, &self.secrets)?;
            }
            if commits.len() < PAGE_COMMITS {
                return Ok(loaded);
            }
        }
    }

    /// The state of a stream at a version.
    pub(super) async fn load_until(&self, stream: &StreamId, version: u64) -> Result<State, CommandError> {
        let key = self.personal_key(stream).await?;
        let mut loaded =
            LoadedStream { state: State::empty(stream), version: 0, head: ChainHash::START, key, earlier: None };
        while loaded.version < version {
            let commits = self.stores.log.load(stream, loaded.version, PAGE_COMMITS).await?;
            if commits.is_empty() {
                return Err(StoreError::Corrupt(format!("{stream} ends before version {version}")).into());
            }
            for commit in commits.iter().filter(|commit| commit.version <= version) {
                loaded.take(commit, None, &self.secrets)?;
            }
        }
        Ok(loaded.state)
    }

    /// Refuses a stream in quarantine.
    ///
    /// # Errors
    /// [`CommandError::Quarantined`]; when the quarantines cannot be read.
    pub async fn refuse_quarantined(&self, stream: &StreamId) -> Result<(), CommandError> {
        let quarantined = self.stores.quarantines.recent(self.clock.monotonic_us()).await?;
        match quarantined.of(stream) {
            Some(quarantine) => Err(CommandError::Quarantined(Box::new(quarantine.clone()))),
            None => Ok(()),
        }
    }

    /// The present state of a person who may sign in, if nothing else forbids it: of one in quarantine nobody knows whether they still may.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn load_admissible(&self, id: UserId) -> Result<Option<crate::domain::user::User>, CommandError> {
        match self.load_user(id).await {
            Err(CommandError::Quarantined(_)) => Ok(None),
            loaded => loaded,
        }
    }

    async fn personal_key(&self, stream: &StreamId) -> Result<Option<PersonalKey>, StoreError> {
        match stream {
            StreamId::User(user) => self.stores.log.personal_key(*user).await,
            StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => Ok(None),
        }
    }

    /// The present state of a person.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn load_user(&self, id: UserId) -> Result<Option<crate::domain::user::User>, CommandError> {
        match self.load(&StreamId::User(id), None).await?.state {
            State::User(user) => Ok(user),
            State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => Ok(None),
        }
    }

    /// Sends the messages of one commit and clears its mark.
    ///
    /// # Errors
    /// When some messages were not sent; the mark stays.
    pub async fn publish(&self, events: &[Recorded]) -> Result<(), QueueError> {
        let Some(first) = events.first() else { return Ok(()) };
        let messages: Vec<Message> =
            events.iter().filter(|recorded| fulfilment::duty(recorded).is_some()).map(message).collect();
        for batch in messages.chunks(BATCH_MAX) {
            crash_point("publish-before");
            for sent in self.queue.send(batch).await? {
                sent?;
            }
        }
        crash_point("publish-after-send");
        self.stores.log.mark_published(&first.stream, first.version).await.map_err(|error| {
            // The messages were sent but the mark remains: the relay sends them again, which consumers bear.
            QueueError::Unavailable(error.to_string())
        })?;
        if !messages.is_empty() {
            self.counters.published.add(u64::try_from(messages.len()).unwrap_or(0));
            self.appended.notify_one();
        }
        Ok(())
    }
}

impl LoadedStream {
    fn take(
        &mut self,
        commit: &StoredCommit,
        envelope: Option<&Envelope>,
        secrets: &Secrets,
    ) -> Result<(), CommandError> {
        let events = persisted::decode(commit, self.key.as_ref())?;
        events.iter().for_each(|event| self.state.apply(event));
        self.version = commit.version;
        self.head = commit.hash_after(self.head);
        let Some(envelope) = envelope.filter(|envelope| envelope.command == commit.command) else { return Ok(()) };
        let is_same = match (&commit.request_hash, &envelope.request_hash) {
            (Some(kept), Some(request_hash)) => secrets.is_mark_of(kept, request_hash),
            (kept, request_hash) => kept.is_none() && request_hash.is_none(),
        };
        if !is_same {
            return Err(CommandError::KeyReused);
        }
        let committed = Committed { state: self.state.clone(), version: self.version, events, repeated: true };
        self.earlier = Some(FirstTry { committed, marked: commit.marked });
        Ok(())
    }
}

/// Whether the person of a stream can administer.
fn can_administer(state: &State) -> bool {
    matches!(state, State::User(Some(user)) if user.can_administer())
}

fn message(recorded: &Recorded) -> Message {
    Message::V1(EventMessage {
        event: recorded.id,
        type_name: recorded.event.type_name().to_owned(),
        stream: recorded.stream.to_string(),
        version: recorded.version,
        correlation_id: recorded.origin.correlation_id.clone(),
    })
}

/// A number of days.
const fn days(number: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * number as i64)
}
