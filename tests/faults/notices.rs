//! Notices by mail: each once, by the log, whatever fails, comes twice or is late.

use std::time::Duration;

use futures_util::future::join;
use jiff::SignedDuration;
use permitd::{
    actors::account::AccountCommand,
    domain::{
        bounds::KeyChange,
        id::{CommandId, StreamId, UserId, Who},
        key::KeyId,
        notice::ChosenNotices,
        plan::{DEFAULT_PLAN, KeyRules, Limits},
        user::UserChanges,
    },
    queue::{EventMessage, Message},
};

use crate::{
    faults::Fault,
    world::{World, envelope},
};

const ANA: &str = "ana@example.org";
const DAY: Duration = Duration::from_secs(86_400);

fn ending(world: &World, days: i64) -> KeyChange {
    let end = world.now().checked_add(SignedDuration::from_hours(24 * days)).unwrap();
    KeyChange { expires_at: Some(Some(end)), ..KeyChange::default() }
}

/// A person whose invitation's key ends after so many days.
async fn with_end(world: &World, days: i64) -> (UserId, KeyId) {
    let (user, _) = world.member(ANA).await;
    let key = *world.load(user).await.keys.keys().next().unwrap();
    world.perform(user, AccountCommand::ChangeApiKey { key, change: ending(world, days) }).await.unwrap();
    (user, key)
}

/// Looks, mails, and tells what was mailed of the ends of keys: the days of each notice.
async fn told(world: &World) -> Vec<String> {
    world.notices.sweep().await.unwrap();
    world.mailers.drain().await.unwrap();
    let days = |id: String| Some(id.strip_prefix("expires-")?.rsplit_once('-')?.1.to_owned());
    world.mailbox.notices_to(ANA).into_iter().filter_map(days).collect()
}

#[actix_web::test]
async fn the_end_of_a_key_is_told_thirty_seven_and_one_day_before() {
    let world = World::new().await;
    let (user, _) = with_end(&world, 40).await;
    let mut days_told = Vec::new();
    for day in 1..45 {
        world.advance(DAY);
        let count = told(&world).await.len();
        if count > days_told.len() {
            days_told.push(day);
        }
    }
    assert_eq!(told(&world).await, ["30", "7", "1"]);
    assert_eq!(days_told, [10, 33, 39]);
    assert_eq!(world.count(user, "ApiKeyExpiring").await, 3);
    assert_eq!(world.count(user, "NoticeMailed").await, 3);
    {
        let mails = world.mailbox.mails.lock().unwrap();
        let last = mails.last().unwrap();
        assert!(last.subject.contains("expires on 20") && !last.text.contains("pmt_"), "{}", last.text);
    }
    world.verify().await;
}

#[actix_web::test]
async fn of_notices_that_were_missed_the_last_is_mailed_and_none_after_the_end() {
    let world = World::new().await;
    with_end(&world, 40).await;
    world.advance(35 * DAY);
    assert_eq!(told(&world).await, ["7"], "nobody looked for 35 days");
    world.advance(10 * DAY);
    assert_eq!(told(&world).await, ["7"], "it has ended");
    world.verify().await;
}

#[actix_web::test]
async fn an_end_that_is_near_when_it_is_set_is_told_only_of_what_is_still_to_come() {
    let world = World::new().await;
    with_end(&world, 5).await;
    assert!(told(&world).await.is_empty());
    world.advance(DAY * 4);
    assert_eq!(told(&world).await, ["1"]);
}

#[actix_web::test]
async fn an_end_that_is_put_off_is_told_anew_and_one_that_is_taken_away_not_at_all() {
    let world = World::new().await;
    let (user, key) = with_end(&world, 31).await;
    world.advance(DAY * 2);
    assert_eq!(told(&world).await, ["30"]);
    world.perform(user, AccountCommand::ChangeApiKey { key, change: ending(&world, 31) }).await.unwrap();
    world.advance(DAY * 2);
    assert_eq!(told(&world).await, ["30", "30"], "of the other end");
    let never = KeyChange { expires_at: Some(None), ..KeyChange::default() };
    world.perform(user, AccountCommand::ChangeApiKey { key, change: never }).await.unwrap();
    world.advance(DAY * 40);
    assert_eq!(told(&world).await.len(), 2);
    world.verify().await;
}

#[actix_web::test]
async fn a_key_that_was_replaced_or_revoked_meanwhile_is_told_of_no_more() {
    for is_rotated in [true, false] {
        let world = World::new().await;
        let (user, key) = with_end(&world, 31).await;
        world.advance(DAY * 2);
        world.notices.sweep().await.unwrap();
        // The message is on its way.
        let command = match is_rotated {
            true => AccountCommand::RotateApiKey { key, grace_s: 60 },
            false => AccountCommand::RevokeApiKey { key },
        };
        world.perform(user, command).await.unwrap();
        assert_eq!(world.count(user, "ApiKeyExpiring").await, 1);
        world.mailers.drain().await.unwrap();
        let mailed = world.mailbox.notices_to(ANA);
        assert!(!mailed.iter().any(|id| id.starts_with(&format!("expires-{key}"))), "{mailed:?}");
        world.verify().await;
    }
}

#[actix_web::test]
async fn two_nodes_that_look_at_once_tell_once() {
    let world = World::new().await;
    let other = world.again().await;
    let (user, _) = with_end(&world, 31).await;
    world.advance(DAY * 2);
    let (one, two) = join(world.notices.sweep(), other.notices.sweep()).await;
    assert_eq!(one.unwrap() + two.unwrap(), 1, "it is news to one of them");
    world.settle().await;
    assert_eq!(world.count(user, "ApiKeyExpiring").await, 1);
    assert_eq!(told(&world).await, ["30"]);
}

#[actix_web::test]
async fn a_notice_is_mailed_once_though_its_message_comes_again() {
    let world = World::new().await;
    let (user, _) = with_end(&world, 31).await;
    world.advance(DAY * 2);
    world.faults.add("mark_published", Fault::Before);
    world.notices.sweep().await.unwrap();
    world.settle().await;
    let documents = world.documents().await;
    let event = documents.iter().find(|document| document["type"] == "ApiKeyExpiring").unwrap();
    let message = Message::V1(EventMessage {
        event: event["id"].as_str().unwrap().parse().unwrap(),
        type_name: "ApiKeyExpiring".to_owned(),
        stream: StreamId::User(user).to_string(),
        version: event["version"].as_u64().unwrap(),
        correlation_id: "again".to_owned(),
    });
    for sent in world.committer.queue.send(&[message.clone(), message]).await.unwrap() {
        sent.unwrap();
    }
    world.settle().await;
    assert_eq!(told(&world).await, ["30"]);
    assert_eq!(world.count(user, "NoticeMailed").await, 1);
}

#[actix_web::test]
async fn a_notice_that_is_not_taken_for_now_comes_later_and_once() {
    let world = World::new().await;
    let (user, _) = with_end(&world, 31).await;
    world.advance(DAY * 2);
    world.faults.add_many("mail", 2, || Fault::Before);
    assert!(told(&world).await.is_empty());
    world.settle().await;
    assert_eq!(told(&world).await, ["30"]);
    assert_eq!(world.count(user, "NoticeMailed").await, 1);
}

#[actix_web::test]
async fn the_answer_to_a_notice_is_lost_and_both_mails_bear_the_same_id() {
    let world = World::new().await;
    with_end(&world, 31).await;
    world.advance(DAY * 2);
    world.faults.add("mail", Fault::After);
    world.notices.sweep().await.unwrap();
    world.settle().await;
    let ids = world.mailbox.notices_to(ANA);
    assert_eq!(ids.len(), 2, "the one unavoidable duplicate: {ids:?}");
    assert_eq!(ids[0], ids[1]);
}

#[actix_web::test]
async fn a_notice_that_is_refused_for_good_is_not_tried_again() {
    let world = World::new().await;
    let (user, _) = with_end(&world, 31).await;
    world.advance(DAY * 2);
    *world.mailbox.refuse.lock().unwrap() = Some("550 no such mailbox".to_owned());
    assert!(told(&world).await.is_empty());
    *world.mailbox.refuse.lock().unwrap() = None;
    world.settle().await;
    assert!(told(&world).await.is_empty());
    assert_eq!(world.count(user, "NoticeFailed").await, 1);
    let row = world.stores.views.user(user).await.unwrap().unwrap();
    assert_eq!(row.mail_failure.as_deref(), Some("550 no such mailbox"));
    world.verify().await;
}

#[actix_web::test]
async fn a_store_that_is_away_while_ends_are_noticed_loses_none() {
    let world = World::new().await;
    with_end(&world, 31).await;
    world.advance(DAY * 2);
    world.faults.add_many("append", 3, || Fault::Before);
    world.notices.sweep().await.expect_err("the store is away");
    world.faults.add("append", Fault::After);
    world.notices.sweep().await.unwrap();
    world.settle().await;
    assert_eq!(told(&world).await, ["30"]);
}

#[actix_web::test]
async fn many_keys_that_end_at_once_are_each_told_of_once() {
    let world = World::new().await;
    let rules = KeyRules { key_max_age_days: Some(40), ..KeyRules::default() };
    world.plan_with(DEFAULT_PLAN, Limits::default(), rules).await;
    let mut people = Vec::new();
    for number in 0..120 {
        people.push(world.member(&format!("user{number}@example.org")).await.0);
    }
    world.advance(DAY * 11);
    assert_eq!(world.notices.sweep().await.unwrap(), 120, "more than a page of them");
    assert_eq!(world.notices.sweep().await.unwrap(), 0);
    world.settle().await;
    for number in 0..120 {
        assert_eq!(world.mailbox.notices_to(&format!("user{number}@example.org")).len(), 1);
    }
}

#[actix_web::test]
async fn whoever_has_a_key_made_or_revoked_by_somebody_else_is_told() {
    let world = World::new().await;
    let (user, _) = world.member(ANA).await;
    assert!(world.mailbox.notices_to(ANA).is_empty(), "an invitation's own key is no notice");
    let made = world.perform(user, AccountCommand::IssueApiKey(KeyChange::labelled("laptop"))).await.unwrap();
    let made = made.key.unwrap().id();
    let rotated = world.perform(user, AccountCommand::RotateApiKey { key: made, grace_s: 60 }).await.unwrap();
    let rotated = rotated.key.unwrap().id();
    world.perform(user, AccountCommand::RevokeApiKey { key: rotated }).await.unwrap();
    world.mailers.drain().await.unwrap();
    // Of the one that was revoked before its notice was mailed, that alone.
    assert_eq!(world.mailbox.notices_to(ANA), [format!("made-{made}"), format!("revoked-{rotated}")]);
    world.settle().await;
    assert_eq!(world.mailbox.notices_to(ANA).len(), 2);
    let mails = world.mailbox.mails.lock().unwrap().clone();
    assert!(mails.iter().skip(1).all(|mail| !mail.text.contains("pmt_") && !mail.html.contains("pmt_")));

    let own = |command: &str| {
        let mut envelope = envelope(CommandId::stored(command));
        envelope.origin.who = Who::user(user);
        envelope
    };
    let issue = AccountCommand::IssueApiKey(KeyChange::default());
    let mine = world.accounts.perform(user, issue, own("once:own-1")).await.unwrap().key.unwrap().id();
    world.accounts.perform(user, AccountCommand::RevokeApiKey { key: mine }, own("once:own-2")).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.notices_to(ANA).len(), 2, "what they do themselves they know");
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    world.settle().await;
    assert_eq!(world.mailbox.notices_to(ANA).len(), 2, "a deletion mails nothing");
}

#[actix_web::test]
async fn a_notice_for_somebody_who_is_deleted_or_disabled_meanwhile_is_not_mailed() {
    for command in [AccountCommand::DeleteUser, AccountCommand::DisableUser] {
        let world = World::new().await;
        let (user, _) = with_end(&world, 31).await;
        world.advance(DAY * 2);
        world.notices.sweep().await.unwrap();
        world.notices.quota_reached(user, 20_000, 80).await.unwrap();
        world.perform(user, command).await.unwrap();
        world.settle().await;
        assert!(world.mailbox.notices_to(ANA).is_empty());
        world.notices.quota_reached(user, 20_001, 80).await.unwrap();
        world.settle().await;
        assert!(world.mailbox.notices_to(ANA).is_empty());
        world.verify().await;
    }
}

#[actix_web::test]
async fn a_share_of_the_quota_is_told_once_a_day_whoever_notices_it() {
    let world = World::new().await;
    let other = world.again().await;
    let (user, _) = world.member(ANA).await;
    for (day, percent) in
        [(20_000, 80), (20_000, 80), (20_000, 100), (20_000, 80), (20_001, 100), (20_001, 80), (20_000, 100)]
    {
        let (one, two) =
            join(world.notices.quota_reached(user, day, percent), other.notices.quota_reached(user, day, percent))
                .await;
        one.unwrap();
        two.unwrap();
        world.mailers.drain().await.unwrap();
    }
    assert_eq!(world.mailbox.notices_to(ANA), ["quota-20000-80", "quota-20000-100", "quota-20001-100"]);
    world.verify().await;
}

#[actix_web::test]
async fn a_first_request_is_written_down_once_whoever_notices_it() {
    let world = World::new().await;
    let other = world.again().await;
    let (user, _) = world.member(ANA).await;
    for _ in 0..3 {
        let (one, two) = join(world.notices.has_made_requests(user), other.notices.has_made_requests(user)).await;
        one.unwrap();
        two.unwrap();
    }
    assert_eq!(world.count(user, "InvitationAccepted").await, 1);
    let row = world.stores.views.user(user).await.unwrap().unwrap();
    assert!(row.first_request_at.is_some());
    world.perform(user, AccountCommand::DeleteUser).await.unwrap();
    other.notices.has_made_requests(user).await.unwrap();
    assert_eq!(world.count(user, "InvitationAccepted").await, 1);
    world.verify().await;
}

#[actix_web::test]
async fn notices_that_somebody_does_not_want_are_not_mailed() {
    let world = World::new().await;
    let (user, key) = with_end(&world, 31).await;
    let choose = async |wanted: bool| {
        let notices = Some(ChosenNotices { expiry: Some(wanted), keys: Some(wanted), quota: Some(wanted) });
        world
            .perform(user, AccountCommand::ChangeUser(UserChanges { notices, ..UserChanges::default() }))
            .await
            .unwrap();
    };
    choose(false).await;
    world.advance(DAY * 2);
    world.notices.quota_reached(user, 20_000, 80).await.unwrap();
    assert!(told(&world).await.is_empty());
    world.perform(user, AccountCommand::IssueApiKey(KeyChange::default())).await.unwrap();
    world.settle().await;
    assert!(world.mailbox.notices_to(ANA).is_empty());
    assert!(!world.stores.views.user(user).await.unwrap().unwrap().notices.expiry);
    choose(true).await;
    world.advance(DAY * 24);
    assert_eq!(told(&world).await, ["7"], "{key}: the next one");
    world.verify().await;
}

#[actix_web::test]
async fn whoever_spends_their_quota_is_told_at_eighty_and_at_a_hundred_percent() {
    let world = World::new().await;
    world.plan(DEFAULT_PLAN, Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 200 }).await;
    let (user, key) = world.member(ANA).await;
    let told = async || {
        // What is noticed is written down beside the requests.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        world.settle().await;
        world
            .mailbox
            .notices_to(ANA)
            .into_iter()
            .filter_map(|id| Some(id.rsplit_once('-')?.1.to_owned()))
            .collect::<Vec<_>>()
    };
    let mut admitted = 0;
    for expected in [vec![], vec!["80"], vec!["80", "100"]] {
        let until = [100, 185, 200][expected.len()];
        while admitted < until {
            admitted += u64::from(world.request(&key).await == 200);
        }
        // The next grant tells.
        world.advance(Duration::from_secs(2));
        let next = world.request(&key).await;
        admitted += u64::from(next == 200);
        assert_eq!(next == 429, admitted == 200);
        let noticed = async || world.count(user, "QuotaReached").await == expected.len();
        for _ in 0..1000 {
            if noticed().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(told().await, expected, "after {admitted} of 200");
    }
    assert_eq!(world.request(&key).await, 429);
    world.verify().await;
}
