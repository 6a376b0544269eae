//! Rows 2, 7, 9, 10, 15 and 21 with AWS itself misbehaving: the real clients meet the errors that AWS sends, lose answers, read
//! indexes that lag and get messages twice.

use std::{collections::BTreeSet, time::Duration};

use permitd::{
    actors::{account::AccountCommand, commit::CommandError},
    domain::{
        event::Role,
        plan::{DEFAULT_PLAN, Limits},
    },
    store::{StoreError, UserFilter, dynamodb::schema},
};

use crate::{
    support::proxy::{Gate, On, Refusal, Trouble},
    world::{World, user_of},
};

const ANA: &str = "ana@example.org";
/// Tries that the SDK makes of one call.
const ATTEMPTS: usize = 5;

impl World {
    async fn change_role(&self, user: permitd::domain::id::UserId, role: Role) -> Result<bool, CommandError> {
        let done = self.perform(user, AccountCommand::ChangeRole(role)).await?;
        Ok(done.committed.repeated)
    }
}

/// The write of a commit alone.
fn commits() -> On {
    On::operation("PutItem").table(schema::EVENTS)
}

/// The write of a commit with claims and a personal key.
fn transactions() -> On {
    On::operation("TransactWriteItems").table(schema::EVENTS)
}

fn marks() -> On {
    On::operation("UpdateItem").table(schema::EVENTS)
}

fn sends() -> On {
    On::operation("SendMessageBatch").queue("messages")
}

#[actix_web::test]
async fn row_02_the_answer_to_an_append_is_lost() {
    let world = World::behind_a_proxy().await;
    world.proxy().add(transactions(), Trouble::LoseAnswer);
    let user = world.invite(ANA).await;
    assert_eq!(world.count(user, "UserInvited").await, 1);
    world.proxy().add(commits(), Trouble::LoseAnswer);
    world.change_role(user, Role::Manager).await.unwrap();
    assert_eq!(world.count(user, "RoleChanged").await, 1);
    assert_eq!(world.load(user).await.role, Role::Manager);
    world.settle().await;
    world.check_invited(user, ANA).await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    assert_eq!(world.proxy().left(), 0);
}

#[actix_web::test]
async fn row_02_an_append_is_written_and_then_nothing_is_heard() {
    let world = World::behind_a_proxy().await;
    let user = world.invite(ANA).await;
    // It is written, and all that the client tries after it is cut.
    world.proxy().add(commits(), Trouble::LoseAnswer);
    world.proxy().add_many(&commits(), ATTEMPTS - 1, || Trouble::Cut);
    let repeated = world.change_role(user, Role::Manager).await.unwrap();
    assert!(repeated, "the command's next try finds what the first wrote");
    assert_eq!(world.count(user, "RoleChanged").await, 1);
    let row = world.stores.views.user(user).await.unwrap().expect("the row");
    assert_eq!(row.role, Role::Manager, "whoever is answered sees what was done");
    let marked = world.stores.log.unpublished(None, 10).await.unwrap();
    assert!(marked.iter().all(|commit| commit.version == 2), "{marked:?}");
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_02_dynamodb_stays_away_and_the_client_comes_back() {
    let world = World::behind_a_proxy().await;
    let command = world.once();
    world.proxy().add(transactions(), Trouble::LoseAnswer);
    world.proxy().add_many(&transactions(), 100, || Trouble::Cut);
    world.proxy().add_many(&On::operation("Query").table(schema::EVENTS), 100, || Trouble::Cut);
    let gone = world.try_invite(ANA, command.clone()).await;
    let Err(CommandError::Store(StoreError::Unavailable(reason))) = gone else { panic!("{gone:?}") };
    assert!(reason.contains("events") && reason.contains("cannot be reached"), "{reason}");
    assert!(!reason.contains(ANA) && !reason.contains("ana"), "{reason}");
    world.proxy().clear();
    let user = user_of(&world.try_invite(ANA, command).await.unwrap());
    assert_eq!(world.count(user, "UserInvited").await, 1);
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_02_a_grant_whose_answer_is_lost_is_never_spent_twice() {
    let world = World::behind_a_proxy().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1.0, burst: 1000, quota_per_day: 100 }).await;
    let (_, key) = world.member(ANA).await;
    world.proxy().add(On::operation("UpdateItem").table(schema::LEDGER), Trouble::LoseAnswer);
    let mut admitted = 0;
    for _ in 0..300 {
        admitted += u32::from(world.request(&key).await == 200);
    }
    assert_eq!(world.proxy().left(), 0);
    // What the lost grant held was found in the item.
    assert_eq!(admitted, 100);
    world.advance(Duration::from_secs(86_400));
    let mut tomorrow = 0;
    for _ in 0..300 {
        tomorrow += u32::from(world.request(&key).await == 200);
    }
    assert_eq!(tomorrow, 100, "the next day is whole");
}

#[actix_web::test]
async fn row_02_answers_of_the_ledger_that_are_lost_withhold_nothing() {
    let world = World::behind_a_proxy().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 200 }).await;
    let (_, key) = world.member(ANA).await;
    let grants = On::operation("UpdateItem").table(schema::LEDGER);
    let (mut admitted, mut failed) = (0, 0);
    for round in 0..12 {
        // One is found by the next try; of three the request fails, and the next request finds what they left.
        world.proxy().add_many(&grants, if round % 3 == 0 { 3 } else { 1 }, || Trouble::LoseAnswer);
        if round % 2 == 0 {
            world.proxy().add(grants.clone(), Trouble::Refuse(Refusal::Throttled));
        }
        for _ in 0..8 {
            match world.request(&key).await {
                200 => admitted += 1,
                503 => failed += 1,
                other => panic!("{other} in round {round}"),
            }
        }
        world.proxy().clear();
        world.advance(Duration::from_millis(1100));
    }
    assert!(failed > 0, "some were to fail");
    for _ in 0..300 {
        admitted += u32::from(world.request(&key).await == 200);
    }
    assert_eq!(admitted, 200);
}

#[actix_web::test]
async fn row_02_the_queue_takes_a_message_and_the_answer_is_lost() {
    let world = World::behind_a_proxy().await;
    world.proxy().add(sends(), Trouble::LoseAnswer);
    let user = world.invite(ANA).await;
    assert_eq!(world.committer.queue.depth().await.unwrap().visible, 2, "sent twice");
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1, "and mailed once");
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_03_a_transaction_has_the_item_at_the_same_time() {
    let world = World::behind_a_proxy().await;
    world.proxy().add_many(&transactions(), 3, || Trouble::Refuse(Refusal::Conflict));
    let user = world.invite(ANA).await;
    world.proxy().add_many(&commits(), 3, || Trouble::Refuse(Refusal::Conflict));
    world.proxy().add_many(&On::operation("PutItem").table(schema::VIEWS), 2, || Trouble::Refuse(Refusal::Conflict));
    assert!(!world.change_role(user, Role::Manager).await.unwrap());
    assert_eq!(world.proxy().left(), 0);
    assert_eq!(world.stores.views.user(user).await.unwrap().expect("the row").role, Role::Manager);
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_07_batch_send_partly_fails() {
    let world = World::behind_a_proxy().await;
    world.proxy().add(sends(), Trouble::First(0));
    let user = world.invite(ANA).await;
    assert_eq!(world.committer.queue.depth().await.unwrap().visible, 0);
    let marked = world.stores.log.unpublished(None, 10).await.unwrap();
    assert_eq!(marked.len(), 1, "a batch of which one message failed keeps its mark");
    world.settle().await;
    world.check_invited(user, ANA).await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
}

#[actix_web::test]
async fn row_07_batch_read_comes_in_parts() {
    let world = World::behind_a_proxy().await;
    world.proxy().add_many(&sends(), 6 * ATTEMPTS, || Trouble::Refuse(Refusal::Unavailable));
    for number in 0..6 {
        world.invite(&format!("user{number}@example.org")).await;
    }
    for (first, name) in [(1, "one at a time"), (0, "nothing at all, twice")] {
        world.proxy().add_many(&On::operation("BatchGetItem"), 2, || Trouble::First(first));
        let marked = world.stores.log.unpublished(None, 100).await.unwrap();
        let streams: BTreeSet<_> = marked.iter().map(|commit| commit.stream.to_string()).collect();
        assert_eq!((marked.len(), streams.len()), (6, 6), "{name}");
        assert_eq!(world.proxy().left(), 0, "{name}");
    }
}

#[actix_web::test]
async fn row_09_the_index_of_marked_commits_lags() {
    let world = World::behind_a_proxy().await;
    let events = world.place.table(schema::EVENTS);
    let lag = world.proxy().lag(&events, schema::OUTBOX);
    world.proxy().add_many(&sends(), ATTEMPTS, || Trouble::Refuse(Refusal::Internal));
    let user = world.invite(ANA).await;
    world.advance(Duration::from_secs(1));
    assert_eq!(world.relay.sweep().await.unwrap(), 0, "it does not show the commit yet");
    drop(lag);
    // From here on it shows the mark for ever.
    let lag = world.proxy().lag(&events, schema::OUTBOX);
    assert_eq!(world.relay.sweep().await.unwrap(), 1);
    assert_eq!(world.relay.sweep().await.unwrap(), 0, "the table says that the mark is gone");
    assert_eq!(world.committer.queue.depth().await.unwrap().visible, 1, "published once");
    world.mailers.drain().await.unwrap();
    drop(lag);
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1);
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_09_the_indexes_of_the_lists_lag_and_what_decides_does_not() {
    let world = World::behind_a_proxy().await;
    let (ana, key) = world.member(ANA).await;
    let views = world.place.table(schema::VIEWS);
    let lags = [schema::LISTS, schema::EMAILS].map(|index| world.proxy().lag(&views, index));
    let (ben, _) = world.member("ben@example.org").await;
    world.perform(ana, AccountCommand::DeleteUser).await.unwrap();
    // Reads by key, and the address as such, are of now.
    assert_eq!(world.request(&key).await, 401);
    assert!(world.stores.views.user(ben).await.unwrap().is_some());
    assert_eq!(world.stores.views.user(ana).await.unwrap().expect("the row").email, None);
    assert_eq!(world.stores.views.user_by_email(ANA).await.unwrap(), None, "an index is no authority on an address");
    let taken = world.try_invite("ben@example.org", world.once()).await;
    assert!(matches!(&taken, Err(CommandError::EmailTaken { user }) if *user == ben.to_string()), "{taken:?}");
    // A list may come later, but shows nobody under an address that is erased.
    let everybody = || UserFilter { limit: 10, ..UserFilter::default() };
    let listed = world.stores.views.users(everybody()).await.unwrap();
    assert!(listed.iter().all(|row| row.email.as_deref() != Some(ANA)), "{listed:?}");
    drop(lags);
    let listed = world.stores.views.users(everybody()).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<BTreeSet<_>>(), [ana, ben].into());
    world.settle().await;
    world.verify().await;
}

#[actix_web::test]
async fn row_10_clearing_throttled() {
    let world = World::behind_a_proxy().await;
    // Once more than the client tries, and by both of DynamoDB's errors: the commit keeps its mark.
    world.proxy().add_many(&marks(), ATTEMPTS - 2, || Trouble::Refuse(Refusal::Throttled));
    world.proxy().add_many(&marks(), 2, || Trouble::Refuse(Refusal::OverLimit));
    let user = world.invite(ANA).await;
    assert_eq!(world.proxy().left(), 0);
    let marked = world.stores.log.unpublished(None, 10).await.unwrap();
    assert_eq!(marked.len(), 1);
    world.advance(Duration::from_secs(1));
    world.proxy().add_many(&marks(), ATTEMPTS, || Trouble::Refuse(Refusal::Throttled));
    let swept = world.relay.sweep().await;
    assert!(swept.as_ref().is_err_and(|error| error.to_string().contains("Throughput")), "{swept:?}");
    world.settle().await;
    assert_eq!(world.mailbox.keys_to(ANA).len(), 1, "published three times, mailed once");
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_10_projecting_throttled() {
    let world = World::behind_a_proxy().await;
    let (user, _) = world.member(ANA).await;
    for table in [schema::VIEWS, schema::LEDGER] {
        for operation in ["PutItem", "UpdateItem"] {
            let on = On::operation(operation).table(table);
            world.proxy().add_many(&on, ATTEMPTS, || Trouble::Refuse(Refusal::Throttled));
        }
    }
    world.perform(user, AccountCommand::DisableUser).await.unwrap();
    assert!(world.proxy().left() <= 2 * ATTEMPTS, "rows and terms met it");
    let key = world.mailbox.keys_to(ANA).remove(0);
    assert_eq!(world.request(&key).await, 401, "whoever is answered sees what was done");
    world.proxy().clear();
    world.settle().await;
    world.verify().await;
}

#[actix_web::test]
async fn row_10_a_ledger_that_is_throttled_lets_nobody_pass() {
    let world = World::behind_a_proxy().await;
    let (_, key) = world.member(ANA).await;
    let grants = On::operation("UpdateItem").table(schema::LEDGER);
    world.proxy().add(grants.clone(), Trouble::Refuse(Refusal::Throttled));
    assert_eq!(world.request(&key).await, 200, "a moment's throttling is waited for");
    world.advance(Duration::from_secs(2));
    world.proxy().add_many(&grants, 100, || Trouble::Refuse(Refusal::OverLimit));
    assert_eq!(world.request(&key).await, 503, "fail closed");
    let tried = 100 - world.proxy().left();
    assert!((2..20).contains(&tried), "{tried} tries");
    world.proxy().clear();
    assert_eq!(world.request(&key).await, 200);
}

#[actix_web::test]
async fn row_15_a_heartbeat_is_throttled_while_the_mail_is_on_its_way() {
    let world = World::behind_a_proxy().await;
    let user = world.invite(ANA).await;
    let beating = world.beside(world.clock.clone(), Duration::from_millis(15)).await;
    let heartbeats = On::operation("ChangeMessageVisibility").queue("messages");
    world.proxy().add_many(&heartbeats, 2 * ATTEMPTS, || Trouble::Refuse(Refusal::Throttled));
    let (clock, mailers) = (world.clock.clone(), beating.mailers.clone());
    let slow = async move {
        // Less than its visibility in all, however long the heartbeats take.
        for beats in 1..=4 {
            clock.advance(Duration::from_secs(5));
            while mailers.counts().heartbeats < beats {
                tokio::task::yield_now().await;
            }
        }
    };
    beating.faults.add("mail", crate::faults::Fault::first(slow));
    assert_eq!(beating.mailers.drain().await.unwrap(), 1);
    assert_eq!(world.proxy().left(), 0, "heartbeats were refused");
    assert_eq!(beating.mailbox.keys_to(ANA).len(), 1);
    world.settle().await;
    assert!(world.mailbox.mails.lock().unwrap().is_empty(), "it is done");
    beating.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn row_15_a_message_comes_twice_while_it_is_being_worked_on() {
    let world = World::behind_a_proxy().await;
    let other = world.again().await;
    let user = world.invite(ANA).await;
    world.proxy().add(On::operation("ReceiveMessage").queue("messages"), Trouble::Twice);
    let mailers = other.mailers.clone();
    world.faults.add(
        "mail",
        crate::faults::Fault::first(async move {
            assert_eq!(mailers.drain().await.unwrap(), 1, "although it is invisible");
        }),
    );
    world.mailers.drain().await.unwrap();
    let (here, there) = (world.mailbox.keys_to(ANA), other.mailbox.keys_to(ANA));
    assert_eq!((here.len(), &here), (1, &there), "both mails carry the same key");
    assert_eq!((world.count(user, "ApiKeyIssued").await, world.count(user, "ApiKeyMailed").await), (1, 1));
    world.settle().await;
    world.check_invited(user, ANA).await;
}

#[actix_web::test]
async fn messages_out_of_order_and_late_end_the_same() {
    let world = World::behind_a_proxy().await;
    world.proxy().add(sends(), Trouble::Delay(60));
    let late = world.invite("late@example.org").await;
    let mut users = vec![(late, "late@example.org".to_owned())];
    for number in 0..4 {
        let address = format!("user{number}@example.org");
        users.push((world.invite(&address).await, address));
    }
    let deleted = users.pop().expect("somebody").0;
    world.perform(deleted, AccountCommand::DeleteUser).await.unwrap();
    world.proxy().add(On::operation("ReceiveMessage").queue("messages"), Trouble::Backwards);
    world.mailers.drain().await.unwrap();
    assert!(world.mailbox.keys_to("late@example.org").is_empty(), "it cannot be received yet");
    world.settle().await;
    for (user, address) in users {
        world.check_invited(user, &address).await;
        assert_eq!(world.mailbox.keys_to(&address).len(), 1);
    }
    assert_eq!(world.load(deleted).await.unrevoked_keys().count(), 0);
}

#[actix_web::test]
async fn row_16_user_deleted_while_the_key_is_on_its_way_to_the_log() {
    let world = World::behind_a_proxy().await;
    let user = world.invite(ANA).await;
    let other = world.again().await;
    let (mut gate, hold) = Gate::new();
    world.proxy().add(transactions().holding("ApiKeyIssued"), Trouble::Before(hold));
    let deleting = async {
        gate.reached().await;
        other.perform(user, AccountCommand::DeleteUser).await.unwrap();
        gate.open();
    };
    let (drained, ()) = tokio::join!(world.mailers.drain(), deleting);
    drained.unwrap();
    world.settle().await;
    assert_eq!(world.count(user, "ApiKeyIssued").await, 0, "no key can be created for a deleted user");
    assert!(world.mailbox.mails.lock().unwrap().is_empty());
    world.verify().await;
}

#[actix_web::test]
async fn row_18_a_view_row_arrives_after_a_newer_one() {
    let world = World::behind_a_proxy().await;
    let (user, _) = world.member(ANA).await;
    let other = world.again().await;
    let (mut gate, hold) = Gate::new();
    world.proxy().add(On::operation("PutItem").table(schema::VIEWS), Trouble::Before(hold));
    let newer = async {
        gate.reached().await;
        other.perform(user, AccountCommand::DisableUser).await.unwrap();
        gate.open();
    };
    let (changed, ()) = tokio::join!(world.change_role(user, Role::Manager), newer);
    changed.unwrap();
    let row = world.stores.views.user(user).await.unwrap().expect("the row");
    assert_eq!((row.version, row.role, row.status), (5, Role::Manager, permitd::domain::view::UserStatus::Disabled));
    world.settle().await;
    world.verify().await;
}

#[actix_web::test]
async fn row_19_a_dead_letter_is_shown_once_however_often_it_was_buried() {
    let buries = On::operation("SendMessage").queue("dead-letters");
    let deletes = On::operation("DeleteMessage").queue("messages");
    // The answer to the burial is lost, so it is done twice; or the message itself stays, and SQS buries it once more.
    for (on, count, trouble) in
        [(&buries, 1, (|| Trouble::LoseAnswer) as fn() -> Trouble), (&deletes, ATTEMPTS, || Trouble::Cut)]
    {
        let world = World::behind_a_proxy().await;
        let user = world.invite(ANA).await;
        // Not the mail: one that is not taken is put off, and not received five times.
        world.faults.add_many("load", 200, || crate::faults::Fault::Before);
        world.proxy().add_many(on, count, trouble);
        for _ in 0..10 {
            world.advance(Duration::from_secs(301));
            // The burial fails when the message cannot be deleted.
            world.mailers.drain().await.ok();
        }
        world.faults.clear();
        assert_eq!(world.proxy().left(), 0);
        let letters = world.committer.queue.dead_letters(10).await.unwrap();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert!(letters[0].reason.contains("an injected fault"), "{}", letters[0].reason);
        assert_eq!(letters[0].receives, 5);
        world.committer.queue.redrive(&letters[0].id).await.unwrap();
        world.settle().await;
        world.check_invited(user, ANA).await;
        assert_eq!(world.committer.queue.dead_letters(10).await.unwrap(), [], "nothing of it is left behind");
    }
}

#[actix_web::test]
async fn row_21_clocks_of_two_writers_disagree_and_the_indexes_go_by_them() {
    for skew_s in [-7200i64, 7200] {
        let world = World::behind_a_proxy().await;
        let events = world.place.table(schema::EVENTS);
        let skewed = world.beside(world.clock.skewed(skew_s), Duration::from_secs(30)).await;
        // The skewed writer's message is lost, and the index shows neither its mark nor, at first, its commit.
        let lags = [schema::OUTBOX, schema::FEED].map(|index| world.proxy().lag(&events, index));
        world.proxy().add_many(&sends(), ATTEMPTS, || Trouble::Refuse(Refusal::Unavailable));
        let user = skewed.invite(ANA).await;
        world.change_role(user, Role::Manager).await.unwrap();
        let person = world.load(user).await;
        assert_eq!((person.version, person.role), (2, Role::Manager), "versions order a stream, not clocks");
        world.advance(Duration::from_secs(1));
        assert_eq!(world.relay.sweep().await.unwrap(), 0);
        drop(lags);
        assert_eq!(
            world.relay.sweep().await.unwrap(),
            1,
            "a clock that is {skew_s} s off hides nothing from the relay"
        );
        world.mailers.drain().await.unwrap();
        world.check_invited(user, ANA).await;
        // By time both commits are there once, whichever way one reads.
        let log = &world.stores.log;
        let mut forwards = Vec::new();
        while let Some(commit) = log
            .read(forwards.last().map_or(0, |commit: &permitd::domain::persisted::StoredCommit| commit.position), 1)
            .await
            .unwrap()
            .pop()
        {
            forwards.push(commit);
        }
        let mut backwards = log.read_back(None, 100).await.unwrap();
        backwards.reverse();
        let names = |commits: &[permitd::domain::persisted::StoredCommit]| -> Vec<_> {
            commits.iter().map(|commit| (commit.stream.to_string(), commit.version)).collect()
        };
        assert_eq!(names(&forwards), names(&backwards));
        // The plan, and of the person: the invitation, the role, the key, the mail, the first request.
        assert_eq!(forwards.len(), 6);
    }
}
