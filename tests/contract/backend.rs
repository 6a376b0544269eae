//! What a backend is to the suite.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use permitd::{
    clock::{Clock, ManualClock, SharedClock},
    domain::{
        bounds::KeyBounds,
        chain::ChainHash,
        event::{Event, Origin, Recorded, Role},
        id::{CommandId, StreamId, UserId, Who},
        key::{ApiKey, KeyId},
        persisted::{self, NewEvent},
        personal::{Personal, PersonalKey},
        plan::{KeyRules, Limits},
        view::{Rows, State},
    },
    queue::{Policy, Queue},
    store::{Append, AppendError, ClaimChange, PersonalChange, Stores, records::RecordStore},
};
use uuid::Uuid;

/// Stores and a queue of one kind, empty and with nobody else in them. What they need goes with the value.
pub(crate) trait Backend: Send + Sync + Sized + 'static {
    /// Empty ones.
    fn new() -> Self;
    /// The stores.
    fn stores(&self) -> Stores;
    /// Another handle on the same stores, as a second process has it.
    fn stores_of_another_process(&self) -> Stores;
    /// A queue.
    fn queue(&self, clock: SharedClock, policy: Policy) -> Arc<dyn Queue>;
    /// A record store.
    fn records(&self, clock: SharedClock) -> Arc<dyn RecordStore>;
    /// Writes the events of a stream's last commit into another's, as an older version's log may have them: past the stores, which
    /// would refuse a key that was issued before.
    fn copy_last_commit(&self, from: &StreamId, to: &StreamId, version: u64);
    /// Whether the queue's time can be moved. Cases that need it say so and end when it cannot.
    fn queue_time_moves() -> bool {
        true
    }
    /// Moves the queue's time forward, and the clock.
    fn advance(&self, clock: &ManualClock, duration: Duration) {
        advance(clock, duration);
    }
    /// How far the queue's time may have gone on by itself within a case.
    fn queue_slack() -> Duration {
        Duration::ZERO
    }
    /// Whether the queue removes by itself what is too old.
    fn queue_expires_by_itself() -> bool {
        false
    }
}

/// The time at which every case begins.
pub(crate) fn beginning() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn clock() -> Arc<ManualClock> {
    ManualClock::at(beginning())
}

pub(crate) fn seconds(clock: &ManualClock, seconds: u64) {
    advance(clock, Duration::from_secs(seconds));
}

pub(crate) fn advance(clock: &ManualClock, duration: Duration) {
    clock.advance_us(i64::try_from(duration.as_micros()).unwrap());
}

pub(crate) fn now_ns(clock: &ManualClock) -> i64 {
    clock.now().as_microsecond() * 1000
}

/// A stream with what has been written to it, for writing more.
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) state: State,
    pub(crate) version: u64,
    pub(crate) head: ChainHash,
    pub(crate) key: Option<PersonalKey>,
}

impl Stream {
    pub(crate) fn user(number: u128) -> Self {
        let id = StreamId::User(UserId(Uuid::from_u128(number)));
        let key = PersonalKey::from_bytes([u8::try_from(number % 256).unwrap(); 32]);
        Self { state: State::empty(&id), id, version: 0, head: ChainHash::START, key: Some(key) }
    }

    pub(crate) fn plan(name: &str) -> Self {
        let id = StreamId::Plan(name.to_owned());
        Self { state: State::empty(&id), id, version: 0, head: ChainHash::START, key: None }
    }

    /// A stream of nobody.
    pub(crate) fn of(id: StreamId) -> Self {
        Self { state: State::empty(&id), id, version: 0, head: ChainHash::START, key: None }
    }

    pub(crate) fn user_id(&self) -> UserId {
        match &self.id {
            StreamId::User(user) => *user,
            other => panic!("{other} is no person"),
        }
    }

    /// The commit of these events, on the version that this knows.
    pub(crate) fn commit(&self, events: Vec<Event>, at: Timestamp) -> (Append, State) {
        let origin = || Origin { who: Who::system("test"), correlation_id: "test".to_owned(), causation_id: None };
        let new: Vec<NewEvent> =
            events.into_iter().map(|event| NewEvent { id: Uuid::now_v7(), origin: origin(), event }).collect();
        let encoded = persisted::encode(&new, self.key.as_ref()).unwrap();
        let mut state = self.state.clone();
        for (new, index) in new.iter().zip(0..) {
            state.apply(&Recorded {
                id: new.id,
                stream: self.id.clone(),
                version: self.version + 1,
                index,
                recorded_at: at,
                origin: origin(),
                event: new.event.clone(),
            });
        }
        let personal = match (&new[0].event, &self.key) {
            (Event::UserInvited { .. }, Some(key)) => PersonalChange::Create(self.user_id(), key.clone()),
            (Event::UserDeleted, _) => PersonalChange::Destroy(self.user_id()),
            _ => PersonalChange::Keep,
        };
        let append = Append {
            stream: self.id.clone(),
            expected_version: self.version,
            previous: self.head,
            command: CommandId::unique(Uuid::now_v7()),
            request_hash: None,
            recorded_at: at,
            events: encoded,
            secret: None,
            administrators: None,
            claims: Vec::new(),
            personal,
            rows: state.rows(),
            publishes: false,
        };
        (append, state)
    }

    /// Writes events; the new version.
    pub(crate) async fn write(&mut self, stores: &Stores, events: Vec<Event>, at: Timestamp) -> u64 {
        let (append, state) = self.commit(events, at);
        self.head = append.hash();
        self.version = stores.log.append(append).await.unwrap();
        self.state = state;
        self.version
    }

    /// Writes events as somebody might who does not know what others write.
    pub(crate) async fn try_write(&mut self, stores: &Stores, events: Vec<Event>) -> Result<u64, AppendError> {
        let (append, state) = self.commit(events, beginning());
        let head = append.hash();
        let version = stores.log.append(append).await?;
        (self.version, self.state, self.head) = (version, state, head);
        Ok(version)
    }

    pub(crate) fn rows(&self) -> Rows {
        self.state.rows()
    }
}

pub(crate) fn invited(address: &str) -> Event {
    Event::UserInvited {
        email: Personal::Known(address.to_owned()),
        name: Some(Personal::Known("Ana".to_owned())),
        role: Role::Reader,
        plan: "default".to_owned(),
        invitation: Uuid::from_u128(5),
    }
}

pub(crate) fn key(number: u8) -> ApiKey {
    ApiKey::new(KeyId::from_random([number; 12]), &[number; 24])
}

pub(crate) fn issued(key: &ApiKey) -> Event {
    Event::ApiKeyIssued {
        key_id: key.id(),
        hash: key.hash(),
        last_four: key.last_four(),
        secret_version: 1,
        invitation: None,
        label: None,
        bounds: KeyBounds::default(),
    }
}

/// A person with one key on a plan of these limits.
pub(crate) async fn member(stores: &Stores, number: u8, limits: Limits) -> (Stream, KeyId) {
    if stores.views.plan("default").await.unwrap().is_none() {
        Stream::plan("default")
            .write(stores, vec![Event::PlanDefined { limits, rules: KeyRules::default() }], beginning())
            .await;
    }
    let mut stream = Stream::user(u128::from(number));
    let key = key(number);
    stream.write(stores, vec![invited(&format!("user{number}@example.org"))], beginning()).await;
    stream.write(stores, vec![issued(&key)], beginning()).await;
    (stream, key.id())
}

pub(crate) fn take(name: &str, owner: &str) -> ClaimChange {
    ClaimChange::Take { name: name.to_owned(), owner: owner.to_owned() }
}
