//! A node without servers, over real stores of the binary's backend behind [`super::faults`], under a clock that the test moves.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use permitd::{
    actors::{
        account::{AccountCommand, Accounts, Done},
        commit::{CommandError, Committed, Committer, Envelope},
        grants::{Admission, GrantBook},
        invite::{Invitee, Inviting},
        mailer::{LinkPolicy, Mailers, Offer, Offering},
        notices::Notices,
        relay::Relay,
    },
    clock::Clock,
    domain::{
        bounds::DataAction,
        email::Email,
        event::{Event, Origin, Role},
        id::{CommandId, StreamId, UserId, Who},
        key::PresentedKey,
        pace::InvitationBounds,
        persisted,
        plan::{DEFAULT_PLAN, KeyRules, Limits},
        reach::KeyPurpose,
        user::User,
    },
    mail::Mailer,
    replay,
    secrets::{Secrets, SystemEntropy},
    store::{StoreError, Stores},
};

use super::{
    faults::{Faults, FaultyLedger, FaultyLog, FaultyQueue, Mailbox},
    support::{
        backend::{BEGINNING, Kept, Place, PlaceClock},
        proxy::Proxy,
    },
};

/// How long a world waits for an actor.
const PATIENCE: Duration = Duration::from_secs(180);
/// Commands that an actor of a world takes before it is full.
const MAILBOX_CAPACITY: usize = 16;
/// How long a message is invisible.
const VISIBILITY: Duration = Duration::from_secs(30);
/// How long a mail is tried that is not taken: five tries, in 18 minutes.
const RETRY_FOR: Duration = Duration::from_secs(1800);
/// The invitations of an hour.
pub(crate) const BOUNDS: InvitationBounds = InvitationBounds { per_person: 20, over_all: 1000 };
/// How long a grant lives in a world.
pub(crate) const GRANT_LIFE: Duration = Duration::from_secs(1);

/// A request that every key may be used for that is not bound to an address.
pub(crate) const ANYTHING: KeyPurpose<'_> = KeyPurpose { from: None, dataset: None, action: DataAction::Read };

/// A node.
pub(crate) struct World {
    pub(crate) place: Arc<Place>,
    /// What is behind the faults.
    pub(crate) stores: Stores,
    pub(crate) clock: PlaceClock,
    pub(crate) faults: Arc<Faults>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) inviting: Inviting,
    pub(crate) accounts: Accounts,
    pub(crate) mailers: Mailers,
    pub(crate) notices: Notices,
    pub(crate) relay: Relay,
    pub(crate) book: Arc<GrantBook>,
}

impl World {
    /// A node in a place of its own, with the default plan.
    pub(crate) async fn new() -> Self {
        Self::begin(Place::new(crate::MODE).await).await
    }

    /// One that reaches AWS through a proxy: what misbehaves then is behind the real clients, not before them.
    pub(crate) async fn behind_a_proxy() -> Self {
        Self::begin(Place::behind_a_proxy().await).await
    }

    async fn begin(place: Arc<Place>) -> Self {
        let clock = PlaceClock::of(&place);
        let world = Self::on(place, clock, MAILBOX_CAPACITY, VISIBILITY).await;
        world.plan(DEFAULT_PLAN, Limits::default()).await;
        world
    }

    /// A node on a place; its mailers' heartbeats come every third of `visibility`, in real time.
    pub(crate) async fn on(
        place: Arc<Place>,
        clock: PlaceClock,
        mailbox_capacity: usize,
        visibility: Duration,
    ) -> Self {
        let kept = place.open(clock.shared()).await;
        // As a start does.
        if kept.stores.upkeep.secret_marks().await.unwrap().is_empty() {
            kept.stores.upkeep.add_secret_marks(kept.secrets.marks()).await.unwrap();
        }
        Self::over(place, kept, clock, mailbox_capacity, visibility)
    }

    /// Another process on the same place, with this server secret.
    pub(crate) async fn with_secret(&self, secrets: Secrets) -> Self {
        let kept = Kept { secrets, ..self.place.open(self.clock.shared()).await };
        Self::over(Arc::clone(&self.place), kept, self.clock.clone(), MAILBOX_CAPACITY, VISIBILITY)
    }

    fn over(place: Arc<Place>, kept: Kept, clock: PlaceClock, mailbox_capacity: usize, visibility: Duration) -> Self {
        let shared = clock.shared();
        let Kept { stores, queue, secrets } = kept;
        let faults = Arc::new(Faults::default());
        let faulty = Stores {
            log: Arc::new(FaultyLog { inner: Arc::clone(&stores.log), faults: Arc::clone(&faults) }),
            ledger: Arc::new(FaultyLedger { inner: Arc::clone(&stores.ledger), faults: Arc::clone(&faults) }),
            ..stores.clone()
        };
        let queue = Arc::new(FaultyQueue { inner: queue, faults: Arc::clone(&faults) });
        let ledger = Arc::clone(&faulty.ledger);
        let committer =
            Arc::new(Committer::new(faulty, queue, Arc::clone(&shared), Arc::new(SystemEntropy), secrets.clone()));
        let mailbox =
            Arc::new(Mailbox { faults: Arc::clone(&faults), mails: Mutex::default(), refuse: Mutex::default() });
        let notices = Notices::start(Arc::clone(&committer), None, mailbox_capacity);
        let book = GrantBook::new(ledger, shared, secrets, GRANT_LIFE).refusing(stores.quarantines.clone());
        let book = Arc::new(book.telling(Some(notices.clone())));
        place.knows(&book);
        let offer = || Offer {
            brand: "permitd".to_owned(),
            public_url: "http://127.0.0.1".to_owned(),
            contact: None,
            datasets: Vec::new(),
            links: LinkPolicy::keys_alone(),
        };
        let mailer: Arc<dyn Mailer> = mailbox.clone();
        Self {
            inviting: Inviting::start(Arc::clone(&committer), BOUNDS, mailbox_capacity, PATIENCE),
            accounts: Accounts::start(
                Arc::clone(&committer),
                Arc::clone(&book),
                None,
                DEFAULT_PLAN,
                mailbox_capacity,
                PATIENCE,
            ),
            mailers: Mailers::start(
                Arc::clone(&committer),
                mailer,
                Offering::new(offer),
                visibility,
                RETRY_FOR,
                true,
                2,
                None,
                mailbox_capacity,
            ),
            notices,
            relay: Relay::start(Arc::clone(&committer), Some(Duration::from_secs(3600)), mailbox_capacity),
            place,
            stores,
            clock,
            faults,
            committer,
            mailbox,
            book,
        }
    }

    /// Another node on the same place and clock: what a restart finds, or a second process.
    pub(crate) async fn again(&self) -> Self {
        self.beside(self.clock.clone(), VISIBILITY).await
    }

    /// The same with a clock and heartbeats of its own.
    pub(crate) async fn beside(&self, clock: PlaceClock, visibility: Duration) -> Self {
        Self::on(Arc::clone(&self.place), clock, MAILBOX_CAPACITY, visibility).await
    }

    /// What misbehaves, of a world behind it.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.place.proxy()
    }

    /// A command that comes once.
    pub(crate) fn once(&self) -> Envelope {
        envelope(CommandId::unique(self.committer.new_id().unwrap()))
    }

    pub(crate) async fn plan(&self, name: &str, limits: Limits) -> Committed {
        self.plan_with(name, limits, KeyRules::default()).await
    }

    pub(crate) async fn plan_with(&self, name: &str, limits: Limits, rules: KeyRules) -> Committed {
        self.accounts.define_plan(name.to_owned(), limits, rules, self.once()).await.unwrap()
    }

    /// Invites; the user's id.
    pub(crate) async fn invite(&self, address: &str) -> UserId {
        let committed = self.try_invite(address, self.once()).await.unwrap();
        user_of(&committed)
    }

    pub(crate) async fn try_invite(&self, address: &str, envelope: Envelope) -> Result<Committed, CommandError> {
        self.inviting.invite(invitee(address), envelope).await
    }

    /// Invites and works the queue off; the user's id and key.
    pub(crate) async fn member(&self, address: &str) -> (UserId, String) {
        let user = self.invite(address).await;
        self.mailers.drain().await.unwrap();
        let keys = self.mailbox.keys_to(address);
        (user, keys.last().expect("a mail").clone())
    }

    pub(crate) async fn perform(&self, user: UserId, command: AccountCommand) -> Result<Done, CommandError> {
        self.accounts.perform(user, command, self.once()).await
    }

    pub(crate) async fn load(&self, user: UserId) -> User {
        self.committer.load_user(user).await.unwrap().expect("the user")
    }

    /// A request with this key: 200, 401, 429 or 503.
    pub(crate) async fn request(&self, key: &str) -> u16 {
        let Some(presented) = PresentedKey::parse(key.as_bytes()) else { return 401 };
        match self.book.admit(&presented.into(), 1, &ANYTHING).await {
            Ok(Admission::Admitted(_)) => 200,
            Ok(Admission::Ended | Admission::Unknown) => 401,
            Ok(Admission::OutOfReach(_)) => 403,
            Ok(Admission::Limited { .. }) => 429,
            Err(StoreError::Unavailable(_)) => 503,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets the relay and the mailers work until nothing is left that is not dead.
    pub(crate) async fn settle(&self) {
        for _ in 0..40 {
            self.advance(Duration::from_secs(301));
            self.relay.sweep().await.unwrap();
            self.mailers.drain().await.unwrap();
            let depth = self.committer.queue.depth().await.unwrap();
            let marked = self.stores.log.unpublished(None, 10).await.unwrap();
            if depth.visible + depth.in_flight == 0 && marked.is_empty() {
                return;
            }
        }
        panic!("messages are still waiting: {:?}", self.committer.queue.depth().await);
    }

    /// The whole log, as documents.
    pub(crate) async fn documents(&self) -> Vec<serde_json::Value> {
        let commits = self.stores.log.read(0, usize::MAX >> 1).await.unwrap();
        commits.iter().flat_map(|commit| persisted::documents(commit).unwrap()).collect()
    }

    /// How often each event occurs in a person's stream.
    pub(crate) async fn count(&self, user: UserId, type_name: &str) -> usize {
        let stream = StreamId::User(user).to_string();
        let documents = self.documents().await;
        documents
            .iter()
            .filter(|document| document["stream"] == stream.as_str() && document["type"] == type_name)
            .count()
    }

    /// `events verify`: the views are what the log says.
    pub(crate) async fn verify(&self) {
        self.place.has_written_down().await;
        let mut differences = Vec::new();
        let mut space = self.stores.replay.replay_space().unwrap();
        replay::verify(&mut *space, &mut |difference| differences.push(difference), &mut |_| {}).unwrap();
        assert!(differences.is_empty(), "the views differ from the log: {differences:#?}");
    }

    /// What must hold whatever happened: one working key of an invited person, at least one mail that carries it, and no
    /// other key in any mail.
    pub(crate) async fn check_invited(&self, user: UserId, address: &str) -> String {
        let person = self.load(user).await;
        let current: Vec<_> = person.current_keys().collect();
        assert_eq!(current.len(), 1, "one active key: {current:?}");
        let mut keys = self.mailbox.keys_to(address);
        assert!(!keys.is_empty(), "at least one mail");
        keys.dedup();
        assert_eq!(keys.len(), 1, "the same key in all mails");
        let presented = PresentedKey::parse(keys[0].as_bytes()).expect("a key");
        assert_eq!(presented.id(), current[0].id);
        assert_eq!(self.request(&keys[0]).await, 200);
        assert!(person.is_mailed(person.invitations[0].0), "the mail is written down");
        self.verify().await;
        keys.remove(0)
    }
}

/// Somebody to invite.
pub(crate) fn invitee(address: &str) -> Invitee {
    let (email, plan) = (Email::parse(address).unwrap(), DEFAULT_PLAN.to_owned());
    Invitee { email, name: Some("Ana".to_owned()), role: Role::Reader, plan }
}

pub(crate) fn envelope(command: CommandId) -> Envelope {
    let origin = Origin { who: Who("admin:test".to_owned()), correlation_id: "test".to_owned(), causation_id: None };
    Envelope::new(command, origin)
}

/// The person whose stream a commit is of.
pub(crate) fn user_of(committed: &Committed) -> UserId {
    match &committed.events[0].stream {
        StreamId::User(user) => *user,
        other => panic!("{other} is no person's stream"),
    }
}

/// Whether an event of this type is among them.
pub(crate) fn has(committed: &Committed, is: impl Fn(&Event) -> bool) -> bool {
    committed.events.iter().any(|recorded| is(&recorded.event))
}

/// A moment after the beginning.
pub(crate) fn after(duration: Duration) -> Timestamp {
    let beginning: Timestamp = BEGINNING.parse().unwrap();
    beginning.checked_add(SignedDuration::try_from(duration).unwrap()).unwrap()
}
