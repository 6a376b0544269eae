//! Any history of a person's keys and sessions: they spend from one quota, which is never exceeded, and of which nothing is lost while no
//! node dies.

use std::time::Duration;

use permitd::{
    actors::{account::AccountCommand, grants::Admission, person::user_in},
    domain::{
        bounds::KeyChange,
        credential::{Credential, CredentialKind},
        event::Role,
        id::{StreamId, UserId},
        key::{KeyId, PresentedKey},
        plan::{DEFAULT_PLAN, Limits},
        sign_in::{Bounds, NewSession, SessionEnd, SignInCommand},
        user::{Command, ProviderSignIn, decide},
        view::State,
    },
};
use proptest::{prelude::*, test_runner::Config};

use crate::world::{ANYTHING, GRANT_LIFE, World};

const NODES: usize = 3;
const DAY: Duration = Duration::from_secs(86_400);

/// What may happen; the numbers choose where and which.
#[derive(Debug, Clone)]
enum Deed {
    Ask(usize, usize, u32),
    Issue,
    Rotate(usize),
    Revoke(usize),
    Begin,
    End(usize),
    Die(usize),
    Pass(u64),
    NextDay,
}

fn deed(may_die: bool) -> impl Strategy<Value = Deed> {
    let any = 0..32usize;
    prop_oneof![
        12 => (any.clone(), any.clone(), 1..40u32).prop_map(|(node, which, times)| Deed::Ask(node, which, times)),
        2 => Just(Deed::Issue),
        2 => any.clone().prop_map(Deed::Rotate),
        1 => any.clone().prop_map(Deed::Revoke),
        2 => Just(Deed::Begin),
        1 => any.clone().prop_map(Deed::End),
        u32::from(may_die) => any.prop_map(Deed::Die),
        5 => (1..2_500u64).prop_map(Deed::Pass),
        1 => Just(Deed::NextDay),
    ]
}

/// A person whose nodes are asked with all that they have.
struct History {
    nodes: Vec<World>,
    user: UserId,
    quota: u32,
    working: Vec<Credential>,
    /// What was revoked or ended, and when that has reached every node.
    ended: Vec<(Credential, jiff::Timestamp)>,
    sessions: u8,
    admitted: u32,
    has_died: bool,
}

impl History {
    async fn begin(quota: u32) -> Self {
        let world = World::new().await;
        // A bucket that no day empties, though nodes hold parts of it while the time stands still.
        world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1.0, burst: 1_000_000, quota_per_day: quota.into() }).await;
        let (user, key) = world.member("ana@example.org").await;
        let working = vec![Credential::key(key.as_bytes()).unwrap()];
        let nodes = vec![world.again().await, world.again().await, world];
        assert_eq!(nodes.len(), NODES);
        Self { nodes, user, quota, working, ended: Vec::new(), sessions: 0, admitted: 0, has_died: false }
    }

    /// The node by which commands are given.
    fn world(&self) -> &World {
        self.nodes.last().unwrap()
    }

    async fn ask(&mut self, node: usize, shown: Credential, times: u32) -> u32 {
        let mut admitted = 0;
        for _ in 0..times {
            match self.nodes[node % NODES].book.admit(&shown, 1, &ANYTHING).await.unwrap() {
                Admission::Admitted(_) => admitted += 1,
                Admission::Ended | Admission::Unknown | Admission::Limited { quota: true, .. } => {}
                other => panic!("{other:?}"),
            }
        }
        self.admitted += admitted;
        assert!(self.admitted <= self.quota, "{} of {}", self.admitted, self.quota);
        admitted
    }

    async fn perform(&mut self, command: AccountCommand) {
        // A person has so many keys at most: a refusal is an answer as well.
        if let Ok(done) = self.world().perform(self.user, command).await
            && let Some(key) = done.key
        {
            self.working.push(PresentedKey::parse(key.reveal().as_bytes()).unwrap().into());
        }
    }

    /// Takes one of the kind out of what works.
    fn take(&mut self, kind: CredentialKind, which: usize) -> Option<Credential> {
        let places: Vec<usize> = (0..self.working.len()).filter(|at| self.working[*at].kind == kind).collect();
        places.get(which % places.len().max(1)).map(|at| self.working.remove(*at))
    }

    fn has_ended(&mut self, of: Credential) {
        let everywhere = self.world().now().checked_add(jiff::SignedDuration::try_from(GRANT_LIFE).unwrap()).unwrap();
        self.ended.push((of, everywhere));
    }

    async fn run(&self, command: Command) {
        let decided = |state: &State| Ok(decide(user_in(state), command.clone())?);
        let world = self.world();
        world.committer.run(&StreamId::User(self.user), &world.once(), decided).await.unwrap();
    }

    async fn carry_out(&mut self, deed: &Deed) {
        match *deed {
            Deed::Ask(node, which, times) => {
                let known: Vec<_> = self.working.iter().chain(self.ended.iter().map(|(of, _)| of)).copied().collect();
                let Some(shown) = known.get(which % known.len().max(1)).copied() else { return };
                let now = self.world().now();
                let is_over = self.ended.iter().any(|(of, everywhere)| *of == shown && *everywhere <= now);
                let admitted = self.ask(node, shown, times).await;
                assert!(!is_over || admitted == 0, "{shown:?} has ended on every node");
            }
            Deed::Issue => self.perform(AccountCommand::IssueApiKey(KeyChange::default())).await,
            Deed::Rotate(which) => {
                // With a grace: both work for now.
                let keys: Vec<_> = self.working.iter().filter(|of| of.kind == CredentialKind::Key).collect();
                let Some(key) = keys.get(which % keys.len().max(1)).map(|of| of.id) else { return };
                self.perform(AccountCommand::RotateApiKey { key, grace_s: 30 * 86_400 }).await;
            }
            Deed::Revoke(which) => {
                let Some(key) = self.take(CredentialKind::Key, which) else { return };
                self.world().perform(self.user, AccountCommand::RevokeApiKey { key: key.id }).await.unwrap();
                self.has_ended(key);
            }
            Deed::Begin => {
                self.sessions += 1;
                let id = KeyId::from_random([self.sessions; 12]);
                let token = self.world().committer.secrets.session_token(id);
                let now = self.world().now();
                let expires_at = now.checked_add(jiff::SignedDuration::from_hours(24 * 90)).unwrap();
                let network = "192.0.2.1".to_owned();
                let session = NewSession { id, hash: token.hash(), expires_at, idle_s: 90 * 86_400, network };
                let bounds = Bounds { sessions: 1000, sessions_per_hour: 1000 };
                let begin = ProviderSignIn { role: None, session, has_factor: false, code: None, now, bounds };
                self.run(Command::SignInByProvider(Box::new(begin))).await;
                self.working.push(Credential::session(token.reveal().as_bytes()).unwrap());
            }
            Deed::End(which) => {
                let Some(session) = self.take(CredentialKind::Session, which) else { return };
                let end = SignInCommand::EndSession { session: session.id, reason: SessionEnd::SignedOut };
                self.run(Command::SignIn(end)).await;
                self.has_ended(session);
            }
            Deed::Die(node) => {
                // With whatever it holds.
                let node = node % (NODES - 1);
                self.nodes[node] = self.world().again().await;
                self.has_died = true;
            }
            Deed::Pass(ms) => self.world().advance(Duration::from_millis(ms)),
            Deed::NextDay => self.end_day().await,
        }
    }

    /// Spends what is left of the day: all of it, unless a node has died.
    async fn end_day(&mut self) {
        self.world().advance(2 * GRANT_LIFE);
        for node in &self.nodes {
            node.book.withdraw_all().await.unwrap();
        }
        if self.working.is_empty() {
            self.perform(AccountCommand::IssueApiKey(KeyChange::default())).await;
        }
        let shown = self.working[0];
        let times = self.quota + 5;
        self.ask(0, shown, times).await;
        assert!(self.has_died || self.admitted == self.quota, "{} of {} were there", self.admitted, self.quota);
        self.nodes[0].book.withdraw_all().await.unwrap();
        self.world().advance(DAY);
        (self.admitted, self.has_died) = (0, false);
    }
}

async fn lives(quota: u32, deeds: &[Deed]) {
    let mut history = History::begin(quota).await;
    for deed in deeds {
        history.carry_out(deed).await;
    }
    history.end_day().await;
    history.world().verify().await;
}

proptest! {
    #![proptest_config(Config { cases: 16, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_history_of_keys_and_sessions_exceeds_the_quota(
        quota in 1..200u32, deeds in prop::collection::vec(deed(true), 1..60),
    ) {
        actix_web::rt::System::new().block_on(lives(quota, &deeds));
    }

    #[test]
    fn no_history_of_keys_and_sessions_loses_any_of_the_quota_while_no_node_dies(
        quota in 1..200u32, deeds in prop::collection::vec(deed(false), 1..60),
    ) {
        actix_web::rt::System::new().block_on(lives(quota, &deeds));
    }
}

/// A session is refused at once by the node that ends it, and by every other within the life of a grant.
#[actix_web::test]
async fn a_session_that_has_ended_is_refused_elsewhere_within_the_life_of_a_grant() {
    let mut history = History::begin(1000).await;
    history.carry_out(&Deed::Begin).await;
    let session = history.working[1];
    for node in 0..NODES {
        assert_eq!(history.ask(node, session, 1).await, 1);
    }
    history.world().perform(history.user, AccountCommand::ChangeRole(Role::Manager)).await.unwrap();
    assert_eq!(history.ask(NODES - 1, session, 1).await, 0);
    history.world().advance(GRANT_LIFE - Duration::from_millis(1));
    assert_eq!(history.ask(0, session, 1).await, 1, "what it was told is still believed");
    history.world().advance(Duration::from_millis(1));
    for node in 0..NODES {
        assert_eq!(history.ask(node, session, 1).await, 0);
    }
    history.end_day().await;
}
