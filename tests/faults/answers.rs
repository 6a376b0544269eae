//! Commands that come again under one `Idempotency-Key`: with the same request or another, at once or much later.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use permitd::{
    actors::{
        account::{AccountCommand, Done, WithheldReason},
        commit::{CommandError, Committed, Envelope},
        redrive::RedriveError,
    },
    domain::{
        bounds::KeyChange,
        chain::ChainHash,
        event::Role,
        id::{CommandId, StreamId, UserId, Who},
        key::KeyId,
        plan::{KeyRules, Limits},
        user::{CommandRefusal, Standing},
        view::Rows,
    },
    queue::{EventMessage, Message, QueueError},
    replay,
    store::{AnswerPlace, Append, NewAnswer, PersonalChange},
};
use proptest::{prelude::*, test_runner::Config};

use crate::{
    faults::Fault,
    world::{World, envelope, user_of},
};

const ANA: &str = "ana@example.org";
const BEN: &str = "ben@example.org";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A client's command: its idempotency key, and what stands for its method, path and body.
fn keyed(key: &str, request: &str) -> Envelope {
    let mut envelope = envelope(CommandId::from_idempotency_key(&Who("admin:1".to_owned()), key));
    envelope.request_hash = Some(request.to_owned());
    envelope
}

fn issue() -> AccountCommand {
    AccountCommand::IssueApiKey(KeyChange::default())
}

async fn issue_under(world: &World, user: UserId, key: &str, request: &str) -> Result<Done, CommandError> {
    world.accounts.perform(user, issue(), keyed(key, request)).await
}

fn same(one: &Committed, other: &Committed) -> bool {
    (&one.state, one.version, &one.events) == (&other.state, other.version, &other.events)
}

#[actix_web::test]
async fn a_request_cannot_be_guessed_from_what_is_kept_of_it() {
    let world = World::new().await;
    let request = "0f".repeat(32);
    let user = user_of(&world.try_invite(ANA, keyed("k", &request)).await.unwrap());
    let commits = world.stores.log.load(&StreamId::User(user), 0, 1).await.unwrap();
    let refused = world.accounts.perform(UserId(uuid::Uuid::nil()), issue(), keyed("n", &request)).await;
    assert!(matches!(refused, Err(CommandError::Refused(CommandRefusal::NoUser))), "{refused:?}");
    let answer = world.stores.answers.find(&keyed("n", &request).command, &request, world.now()).await.unwrap();
    for kept in [commits[0].request_hash.clone().unwrap(), answer.unwrap().request_hash] {
        assert!(world.committer.secrets.is_mark_of(&kept, &request), "{kept}");
        assert!(!kept.contains(&request), "the hash alone can be guessed by whoever knows what addresses look like");
    }
}

/// What an earlier version kept was the hash itself.
#[actix_web::test]
async fn commands_of_an_earlier_version_are_answered_again() {
    let world = World::new().await;
    let golden = std::fs::read_to_string("schemas/events/golden/PlanDefined.v1.json").unwrap();
    let append = Append {
        stream: StreamId::Plan("old".to_owned()),
        expected_version: 0,
        previous: ChainHash::START,
        command: keyed("p", "one").command,
        request_hash: Some("one".to_owned()),
        recorded_at: world.now(),
        events: format!("[{golden}]"),
        secret: None,
        administrators: None,
        claims: Vec::new(),
        personal: PersonalChange::Keep,
        rows: Rows::default(),
        publishes: false,
    };
    world.stores.log.append(append).await.unwrap();
    let again = world
        .accounts
        .define_plan("old".to_owned(), Limits::default(), KeyRules::default(), keyed("p", "one"))
        .await
        .unwrap();
    assert!(again.repeated && again.version == 1);
    let reused =
        world.accounts.define_plan("old".to_owned(), Limits::default(), KeyRules::default(), keyed("p", "two")).await;
    assert!(matches!(reused, Err(CommandError::KeyReused)), "{reused:?}");

    let nobody = UserId(uuid::Uuid::nil());
    assert!(world.accounts.perform(nobody, issue(), keyed("n", "one")).await.is_err());
    let command = keyed("n", "one").command;
    let kept = world.stores.answers.find(&command, "one", world.now()).await.unwrap().unwrap().kept;
    let AnswerPlace::Text(answer) = kept else { panic!("nothing was committed") };
    let other = World::new().await;
    let (now, request_hash) = (other.now(), "one".to_owned());
    let expires_at = now.checked_add(jiff::SignedDuration::from_hours(24)).unwrap();
    let old = NewAnswer { command, request_hash, answer, instead_of: None, now, expires_at };
    assert!(other.stores.answers.keep(old).await.unwrap());
    let again = other.accounts.perform(nobody, issue(), keyed("n", "one")).await;
    assert!(matches!(again, Err(CommandError::Refused(CommandRefusal::NoUser))), "{again:?}");
    let reused = other.accounts.perform(nobody, issue(), keyed("n", "two")).await;
    assert!(matches!(reused, Err(CommandError::KeyReused)), "{reused:?}");
}

#[actix_web::test]
async fn a_key_that_was_used_for_one_person_is_refused_for_another() {
    let world = World::new().await;
    let (ana, ben) = (world.invite(ANA).await, world.invite(BEN).await);
    let first = issue_under(&world, ana, "k", "POST /users/ana/keys").await.unwrap();
    let reused = issue_under(&world, ben, "k", "POST /users/ben/keys").await;
    assert!(matches!(reused, Err(CommandError::KeyReused)), "{reused:?}");
    let elsewhere = world.inviting.invite(crate::world::invitee("eve@example.org"), keyed("k", "POST /users")).await;
    assert!(matches!(elsewhere, Err(CommandError::KeyReused)), "{elsewhere:?}");
    let plan = world
        .accounts
        .define_plan("p".to_owned(), Limits::default(), KeyRules::default(), keyed("k", "PUT /plans/p"))
        .await;
    assert!(matches!(plan, Err(CommandError::KeyReused)), "{plan:?}");
    assert_eq!(world.count(ben, "ApiKeyIssued").await, 0);
    // Another process knows as well.
    let again = issue_under(&world.again().await, ana, "k", "POST /users/ana/keys").await.unwrap();
    assert_eq!(again.key.unwrap().reveal(), first.key.unwrap().reveal());
    world.verify().await;
}

#[actix_web::test]
async fn the_same_command_in_two_streams_issues_two_keys() {
    // As an older version's mailers and clients could ask for: nothing but the stream tells them apart.
    let world = World::new().await;
    let (ana, ben) = (world.invite(ANA).await, world.invite(BEN).await);
    let command = envelope(CommandId::stored("idem:1"));
    let one = world.accounts.perform(ana, issue(), command.clone()).await.unwrap().key.unwrap();
    let other = world.accounts.perform(ben, issue(), command).await.unwrap().key.unwrap();
    assert_ne!(one.id(), other.id());
    assert_eq!((world.request(one.reveal()).await, world.request(other.reveal()).await), (200, 200));
    world.verify().await;
}

#[actix_web::test]
async fn what_was_so_already_is_answered_again_and_not_done_later() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    let enable = || world.accounts.perform(user, AccountCommand::EnableUser, keyed("s1", "enable"));
    let first = enable().await.unwrap();
    assert!(first.committed.events.is_empty() && !first.committed.repeated);
    let disable = world.accounts.perform(user, AccountCommand::DisableUser, keyed("s2", "disable")).await.unwrap();
    let again = enable().await.unwrap();
    assert!(again.committed.repeated && same(&again.committed, &first.committed), "{again:?}");
    let other = world.again().await;
    let again = other.accounts.perform(user, AccountCommand::EnableUser, keyed("s1", "enable")).await.unwrap();
    assert!(same(&again.committed, &first.committed));
    assert_eq!(world.load(user).await.standing, Standing::Disabled, "nothing happened later");
    assert_eq!(world.load(user).await.version, disable.committed.version);

    // A plan that was so already does not come back over a newer one.
    let (old, new) = (Limits { burst: 7, ..Limits::default() }, Limits { burst: 8, ..Limits::default() });
    world.plan("p", old).await;
    let define = |limits, key: &'static str| {
        world.accounts.define_plan("p".to_owned(), limits, KeyRules::default(), keyed(key, key))
    };
    let first = define(old, "p1").await.unwrap();
    define(new, "p2").await.unwrap();
    assert!(same(&define(old, "p1").await.unwrap(), &first));
    assert_eq!(world.stores.views.plan("p").await.unwrap().unwrap().limits, new);
    // For as long as it is kept; then it is a new command.
    world.advance(29 * DAY);
    assert!(same(&define(old, "p1").await.unwrap(), &first));
    world.advance(2 * DAY);
    assert!(!define(old, "p1").await.unwrap().repeated);
    assert_eq!(world.stores.views.plan("p").await.unwrap().unwrap().limits, old);
    // What changed something is kept for ever.
    world.advance(400 * DAY);
    assert!(define(new, "p2").await.unwrap().repeated);
    world.verify().await;
}

#[actix_web::test]
async fn what_the_state_refused_stays_refused() {
    let world = World::new().await;
    let ana = world.invite(ANA).await;
    let invite = |key: &'static str| world.inviting.invite(crate::world::invitee(ANA), keyed(key, "POST /users ana"));
    let taken = invite("i").await;
    assert!(matches!(&taken, Err(CommandError::EmailTaken { user }) if *user == ana.to_string()), "{taken:?}");
    let assign = || world.accounts.perform(ana, AccountCommand::AssignPlan("gold".to_owned()), keyed("g", "gold"));
    assert!(matches!(assign().await, Err(CommandError::NoPlan { .. })));
    let mut stale = keyed("m", "if-match 7");
    stale.expected_version = Some(7);
    let change = |stale| world.accounts.perform(ana, AccountCommand::ChangeRole(Role::Manager), stale);
    assert!(matches!(change(stale.clone()).await, Err(CommandError::Stale { current: 1 })));
    let nobody = UserId(uuid::Uuid::from_u128(7));
    let missing = || world.accounts.perform(nobody, AccountCommand::DisableUser, keyed("n", "nobody"));
    assert!(matches!(missing().await, Err(CommandError::Refused(CommandRefusal::NoUser))));

    // Nothing of it is so any more.
    world.plan("gold", Limits::default()).await;
    world.perform(ana, AccountCommand::DeleteUser).await.unwrap();
    let again = invite("i").await;
    assert!(matches!(&again, Err(CommandError::EmailTaken { user }) if *user == ana.to_string()), "{again:?}");
    assert!(matches!(assign().await, Err(CommandError::NoPlan { .. })));
    assert!(matches!(change(stale).await, Err(CommandError::Stale { current: 1 })));
    assert!(matches!(missing().await, Err(CommandError::Refused(CommandRefusal::NoUser))));
    // Another key asks anew.
    invite("j").await.unwrap();
    world.settle().await;
    world.verify().await;
}

#[actix_web::test]
async fn what_says_nothing_of_the_state_is_not_kept() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    world.faults.add_many("load", 3, || Fault::Before);
    let away = issue_under(&world, user, "k", "issue").await;
    assert!(matches!(away, Err(CommandError::Store(_))), "{away:?}");
    let long = AccountCommand::IssueApiKey(KeyChange::labelled(&"x".repeat(81)));
    let refused = world.accounts.perform(user, long, keyed("k", "too long")).await;
    assert!(matches!(refused, Err(CommandError::Refused(CommandRefusal::TooLong { .. }))), "{refused:?}");
    assert!(!issue_under(&world, user, "k", "issue").await.unwrap().committed.repeated);
}

#[actix_web::test]
async fn of_requests_that_come_at_once_one_is_carried_out() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let other = world.again().await;
    let tries = (0..5).flat_map(|_| [&world, &other]).map(|node| issue_under(node, user, "k", "issue"));
    let done: Vec<Done> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert!(done.iter().all(|one| same(&one.committed, &done[0].committed)), "all are told the same");
    assert_eq!(done.iter().filter(|done| !done.committed.repeated).count(), 1);
    assert_eq!(world.count(user, "ApiKeyIssued").await, 1);
    // One that is refused, and one that would not be any more.
    world.perform(user, AccountCommand::DisableUser).await.unwrap();
    let (accounts, enable) = (other.accounts.clone(), other.once());
    world.faults.add(
        "load",
        Fault::then(async move {
            accounts.perform(user, AccountCommand::EnableUser, enable).await.unwrap();
        }),
    );
    let (one, two) = tokio::join!(issue_under(&world, user, "r", "issue"), issue_under(&other, user, "r", "issue"));
    assert_eq!(one.is_ok(), two.is_ok(), "both are told the same: {one:?} {two:?}");
    let again = issue_under(&world, user, "r", "issue").await;
    assert_eq!(again.is_ok(), one.is_ok());
    world.verify().await;
}

#[actix_web::test]
async fn a_key_is_shown_again_for_an_hour_while_it_works() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let shown = issue_under(&world, user, "k", "issue").await.unwrap().key.unwrap();
    world.advance(HOUR);
    assert_eq!(issue_under(&world, user, "k", "issue").await.unwrap().key.unwrap().reveal(), shown.reveal());
    world.advance(Duration::from_secs(1));
    let late = issue_under(&world, user, "k", "issue").await.unwrap();
    assert!(late.key.is_none() && late.committed.repeated);
    assert_eq!(late.withheld.map(|withheld| (withheld.id, withheld.reason)), Some((shown.id(), WithheldReason::Late)));

    let revoked = issue_under(&world, user, "r", "issue").await.unwrap().key.unwrap();
    world.perform(user, AccountCommand::RevokeApiKey { key: revoked.id() }).await.unwrap();
    let after = issue_under(&world, user, "r", "issue").await.unwrap();
    assert!(after.key.is_none());
    assert_eq!(after.withheld.map(|withheld| withheld.reason), Some(WithheldReason::Ended));

    let rotate = || {
        let command = AccountCommand::RotateApiKey { key: shown.id(), grace_s: 60 };
        world.accounts.perform(user, command, keyed("o", "rotate"))
    };
    let rotated = rotate().await.unwrap().key.unwrap();
    assert_eq!(rotate().await.unwrap().key.unwrap().reveal(), rotated.reveal());
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    assert_eq!(rotate().await.unwrap().withheld.map(|withheld| withheld.reason), Some(WithheldReason::Ended));
}

#[actix_web::test]
async fn a_dead_letter_is_sent_again_once() {
    let world = World::new().await;
    let user = world.invite(ANA).await;
    let poison = Message::V1(EventMessage {
        event: uuid::Uuid::from_u128(7),
        type_name: "UserInvited".to_owned(),
        stream: StreamId::User(user).to_string(),
        version: 99,
        correlation_id: "test".to_owned(),
    });
    world.committer.queue.send(&[poison]).await.unwrap();
    let letters = async || {
        world.settle().await;
        world.committer.queue.dead_letters(10).await.unwrap()
    };
    let first = letters().await;
    assert_eq!(first.len(), 1, "{first:?}");
    let id = first[0].id.clone();
    let redrive = async |key: &str| world.committer.redrive(&id, &keyed(key, "redrive")).await;
    redrive("k").await.unwrap();
    assert_eq!(letters().await.len(), 1, "it is as poisonous as before");
    // It has died again, perhaps under the same id: what was asked for has been done.
    redrive("k").await.unwrap();
    assert_eq!(world.committer.queue.depth().await.unwrap().visible, 0);
    assert_eq!(world.committer.queue.dead_letters(10).await.unwrap().len(), 1);
    let missing = world.committer.redrive("none", &keyed("m", "redrive none")).await;
    assert!(matches!(missing, Err(RedriveError::Queue(QueueError::NoDeadLetter(_)))), "{missing:?}");
    let missing = world.committer.redrive("none", &keyed("m", "redrive none")).await;
    assert!(matches!(missing, Err(RedriveError::Queue(QueueError::NoDeadLetter(_)))), "{missing:?}");
    let reused = world.committer.redrive(&id, &keyed("m", "redrive")).await;
    assert!(matches!(reused, Err(RedriveError::Command(CommandError::KeyReused))), "{reused:?}");
    world.check_invited(user, ANA).await;
}

/// What a client may ask for; the numbers choose of whom, and under which idempotency key.
#[derive(Debug, Clone)]
enum Asked {
    Account(usize, Account, usize),
    Invite(usize, usize),
    Plan(u32, usize),
    Days(u32),
}

#[derive(Debug, Clone, Copy)]
enum Account {
    Issue,
    Disable,
    Enable,
    Admin,
    Reader,
    Rotate,
    Revoke,
    Delete,
}

const PEOPLE: usize = 3;
const KEYS: usize = 5;

fn asked() -> impl Strategy<Value = Asked> {
    use Account::{Admin, Delete, Disable, Enable, Issue, Reader, Revoke, Rotate};
    let account = prop_oneof![
        4 => Just(Issue),
        1 => Just(Disable),
        2 => Just(Enable),
        1 => Just(Admin),
        1 => Just(Reader),
        2 => Just(Rotate),
        1 => Just(Revoke),
    ];
    let account = prop_oneof![20 => account, 1 => Just(Delete)];
    prop_oneof![
        8 => (0..PEOPLE, account, 0..KEYS).prop_map(|(person, account, key)| Asked::Account(person, account, key)),
        2 => (0..PEOPLE + 1, 0..KEYS).prop_map(|(person, key)| Asked::Invite(person, key)),
        2 => (1..3u32, 0..KEYS).prop_map(|(burst, key)| Asked::Plan(burst, key)),
        1 => (1..40u32).prop_map(Asked::Days),
    ]
}

/// What the first request under a key was, and its answer.
struct First {
    request: String,
    answer: String,
    /// Whether it is kept for ever.
    has_committed: bool,
    at: jiff::Timestamp,
}

/// An answer in a form that two can be compared in.
fn told(answer: &Result<Committed, CommandError>) -> String {
    match answer {
        // Of somebody who was deleted meanwhile name and address are gone.
        Ok(Committed { state, version, events, .. }) => {
            let events: Vec<_> = events.iter().map(|event| (event.id, event.event.type_name())).collect();
            format!("{version} {events:?} {:?}", state.rows().keys)
        }
        Err(error) => format!("{error:?}"),
    }
}

struct Model {
    people: Vec<UserId>,
    first: BTreeMap<usize, First>,
    /// Whose each key is that was ever handed out.
    owners: BTreeMap<String, UserId>,
}

impl Model {
    /// Asks, and compares the answer with what the model says.
    async fn ask(&mut self, world: &World, asked: &Asked) {
        let (key, request) = match asked {
            Asked::Days(days) => return world.advance(*days * DAY),
            Asked::Account(.., key) | Asked::Invite(_, key) | Asked::Plan(_, key) => {
                // What is asked of a key names it, as a path does.
                (*key, format!("{asked:?}"))
            }
        };
        let envelope = keyed(&format!("key {key}"), &request);
        let answer = match asked {
            Asked::Account(person, account, _) => self.account(world, *person, *account, envelope).await,
            Asked::Invite(person, _) => {
                let invitee = crate::world::invitee(&format!("user{person}@example.org"));
                world.inviting.invite(invitee, envelope).await
            }
            Asked::Plan(burst, _) => {
                let limits = Limits { burst: *burst, ..Limits::default() };
                world.accounts.define_plan("p".to_owned(), limits, KeyRules::default(), envelope).await
            }
            Asked::Days(_) => unreachable!("it was seen to above"),
        };
        let now = world.now();
        let kept = self.first.get(&key).filter(|first| {
            first.has_committed || now.duration_since(first.at) < jiff::SignedDuration::from_hours(30 * 24)
        });
        match kept {
            Some(first) if first.request == request => {
                assert_eq!(told(&answer), first.answer, "{request} again");
            }
            Some(first) => {
                let reused = matches!(answer, Err(CommandError::KeyReused));
                assert!(reused, "{request} under the key of {}: {answer:?}", first.request);
            }
            None => {
                let has_committed = answer.as_ref().is_ok_and(|committed| !committed.events.is_empty());
                assert!(!answer.as_ref().is_ok_and(|committed| committed.repeated), "{request}: nobody asked before");
                self.first.insert(key, First { request, answer: told(&answer), has_committed, at: now });
            }
        }
    }

    async fn account(
        &mut self,
        world: &World,
        person: usize,
        account: Account,
        envelope: Envelope,
    ) -> Result<Committed, CommandError> {
        let user = self.people[person];
        let person = world.load(user).await;
        // The first key that there ever was, so that a repeated request is the same.
        let key = person.keys.values().min_by_key(|key| (key.version, key.id)).map(|key| key.id);
        let key = key.unwrap_or_else(|| KeyId::from_random([9; 12]));
        let command = match account {
            Account::Issue => issue(),
            Account::Disable => AccountCommand::DisableUser,
            Account::Enable => AccountCommand::EnableUser,
            Account::Admin => AccountCommand::ChangeRole(Role::Manager),
            Account::Reader => AccountCommand::ChangeRole(Role::Reader),
            Account::Rotate => AccountCommand::RotateApiKey { key, grace_s: 60 },
            Account::Revoke => AccountCommand::RevokeApiKey { key },
            Account::Delete => AccountCommand::DeleteUser,
        };
        let done = world.accounts.perform(user, command, envelope).await?;
        if let Some(key) = &done.key {
            let owner = self.owners.entry(key.reveal().to_owned()).or_insert(user);
            assert_eq!(*owner, user, "two people have the same key");
        }
        Ok(done.committed)
    }
}

proptest! {
    #![proptest_config(Config { cases: 16, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_is_asked_under_few_keys_nobody_gets_anothers_and_repeats_are_told_the_same(
        asked in proptest::collection::vec(asked(), 1..40)
    ) {
        actix_web::rt::System::new().block_on(async {
            let world = World::new().await;
            let mut model = Model { people: Vec::new(), first: BTreeMap::new(), owners: BTreeMap::new() };
            for person in 0..PEOPLE {
                model.people.push(world.invite(&format!("user{person}@example.org")).await);
            }
            for asked in &asked {
                model.ask(&world, asked).await;
            }
            world.verify().await;
            let views = async || {
                let mut rows = Vec::new();
                for user in &model.people {
                    rows.push((world.stores.views.user(*user).await.unwrap(), world.stores.views.keys(*user).await.unwrap()));
                }
                rows
            };
            let live = views().await;
            let mut ids: Vec<KeyId> = live.iter().flat_map(|(_, keys)| keys.iter().map(|key| key.id)).collect();
            let count = ids.len();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), count, "two people have a key of one id");
            let mut space = world.stores.replay.replay_space().unwrap();
            replay::rebuild(&mut *space, &mut |_| {}).unwrap();
            assert!(space.issued_twice().is_empty());
            drop(space);
            assert_eq!(views().await, live);
            world.verify().await;
        });
    }
}

#[actix_web::test]
async fn an_invitation_finds_the_stream_of_its_first_try() {
    let world = World::new().await;
    let invite = |body: &'static str| world.inviting.invite(crate::world::invitee(ANA), keyed("k", body));
    let first = invite("POST /users ana").await.unwrap();
    let user = user_of(&first);
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    assert_eq!(user_of(&invite("POST /users ana").await.unwrap()), user, "it invites nobody anew");
    assert!(matches!(invite("POST /users ben").await, Err(CommandError::KeyReused)));
    assert_eq!(world.stores.log.load(&StreamId::User(user), 0, 10).await.unwrap().len(), 2);
}
