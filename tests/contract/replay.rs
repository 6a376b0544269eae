//! Rebuilding and verifying.

use std::sync::Arc;

use permitd::{
    domain::{
        event::{Event, RevocationReason, Role},
        plan::{KeyRules, Limits},
        view::{Rows, UserStatus},
    },
    replay,
    store::{Replayable, Stores},
};

use crate::backend::{Backend, Stream, beginning, invited, issued, key};

pub(crate) fn rebuild(replayable: &dyn Replayable) -> replay::Progress {
    let mut space = replayable.replay_space().unwrap();
    replay::rebuild(&mut *space, &mut |_| {}).unwrap()
}

pub(crate) fn differences(stores: &Stores) -> Vec<String> {
    let mut rows = Vec::new();
    let mut space = stores.replay.replay_space().unwrap();
    replay::verify(&mut *space, &mut |difference| rows.push(difference.row), &mut |_| {}).unwrap();
    rows
}

async fn history(stores: &Stores) -> Vec<Stream> {
    let mut streams = Vec::new();
    let mut plan = Stream::plan("default");
    plan.write(stores, vec![Event::PlanDefined { limits: Limits::default(), rules: KeyRules::default() }], beginning())
        .await;
    for number in 1..=30u8 {
        let (mut user, key) = (Stream::user(u128::from(number)), key(number));
        user.write(stores, vec![invited(&format!("user{number}@example.org"))], beginning()).await;
        user.write(stores, vec![issued(&key), Event::RoleChanged { role: Role::Admin }], beginning()).await;
        if number % 3 == 0 {
            user.write(stores, vec![Event::UserDeleted], beginning()).await;
            let revoked = Event::ApiKeyRevoked { key_id: key.id(), reason: RevocationReason::UserDeleted };
            user.write(stores, vec![revoked], beginning()).await;
        }
        streams.push(user);
    }
    streams.push(plan);
    streams
}

async fn live(stores: &Stores, streams: &[Stream]) -> Vec<Rows> {
    let mut rows = Vec::new();
    for stream in streams {
        let expected = stream.rows();
        let mut found = Rows::default();
        for user in &expected.users {
            found.users.extend(stores.views.user(user.id).await.unwrap());
            found.keys.extend(stores.views.keys(user.id).await.unwrap());
        }
        for plan in &expected.plans {
            found.plans.extend(stores.views.plan(&plan.name).await.unwrap());
        }
        rows.push(found);
    }
    rows
}

pub(crate) async fn a_rebuild_gives_the_same_rows<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    assert_eq!(rebuild(&*stores.replay).commits, 0, "an empty log gives empty views");
    let mut streams = history(&stores).await;
    let before = live(&stores, &streams).await;
    let progress = rebuild(&*stores.replay);
    assert_eq!((progress.commits, progress.events, progress.streams), (81, 111, 31));
    assert_eq!(live(&stores, &streams).await, before);
    assert_eq!(differences(&stores), Vec::<String>::new());
    // It goes on as before: what is appended after the switch is in the new views.
    streams[0].write(&stores, vec![Event::UserDisabled], beginning()).await;
    let row = stores.views.user(streams[0].user_id()).await.unwrap().expect("the row");
    assert_eq!(row.status, UserStatus::Disabled);
    rebuild(&*stores.replay);
    assert_eq!(differences(&stores), Vec::<String>::new());
}

pub(crate) async fn appends_go_on_while_views_are_rebuilt<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut streams = history(&stores).await;
    let replayable = Arc::clone(&stores.replay);
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let rebuilding = std::thread::spawn(move || {
        let mut rebuilds = 0;
        while rebuilds < 3 || is_done.try_recv().is_err() {
            rebuild(&*replayable);
            rebuilds += 1;
        }
    });
    for number in 0..300usize {
        let role = if number.is_multiple_of(2) { Role::Admin } else { Role::Reader };
        let stream = &mut streams[number % 30];
        let version = stream.write(&stores, vec![Event::RoleChanged { role }], beginning()).await;
        let row = stores.views.user(stream.user_id()).await.unwrap().expect("the row");
        assert_eq!(row.version, version, "what was acknowledged is seen, whichever views are live");
    }
    done.send(()).unwrap();
    rebuilding.join().unwrap();
    assert_eq!(differences(&stores), Vec::<String>::new());
}

pub(crate) async fn differences_are_found<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let streams = history(&stores).await;
    let mut wrong = streams[0].rows();
    wrong.users[0].version += 1;
    wrong.users[0].email = Some("eve@example.org".to_owned());
    let mut orphan = wrong.keys[0].clone();
    (orphan.id, orphan.user) = (key(200).id(), Stream::user(999).user_id());
    stores.log.project(Rows { users: wrong.users, keys: vec![orphan], ..Rows::default() }).await.unwrap();
    let found = differences(&stores);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("users ") && found[1].starts_with("keys "), "{found:?}");
    rebuild(&*stores.replay);
    assert_eq!(differences(&stores), Vec::<String>::new(), "a rebuild puts them right");
}

pub(crate) async fn a_key_that_was_issued_twice_is_named_and_stays_the_first_one_s<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    Stream::plan("default")
        .write(&stores, vec![Event::PlanDefined { limits: Limits::default(), rules: KeyRules::default() }], beginning())
        .await;
    // In the order of their ids the second comes first.
    let (mut first, mut second) = (Stream::user(2), Stream::user(1));
    let key = key(1);
    for person in [&mut first, &mut second] {
        person.write(&stores, vec![invited("x@example.org")], beginning()).await;
    }
    first.write(&stores, vec![issued(&key)], beginning()).await;
    assert_eq!(differences(&stores), Vec::<String>::new());
    backend.copy_last_commit(&first.id, &second.id, 2);
    let row = format!("keys {}", key.id());
    let found = differences(&stores);
    assert!(found.contains(&row), "{found:?}");

    let rebuilt = || {
        let mut space = stores.replay.replay_space().unwrap();
        replay::rebuild(&mut *space, &mut |_| {}).unwrap();
        space.issued_twice()
    };
    let twice = rebuilt();
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert_eq!((twice[0].key, twice[0].is_over), (key.id(), false));
    assert_eq!((twice[0].first, twice[0].other), (first.user_id(), second.user_id()));
    assert_eq!(rebuilt(), twice, "as often as it is asked");
    assert_eq!(stores.views.key(key.id()).await.unwrap().map(|row| row.user), Some(first.user_id()));
    assert_eq!(stores.views.keys(second.user_id()).await.unwrap(), []);
    assert_eq!(differences(&stores), [row.as_str()], "it is named until it is revoked for both");
    let mut said = String::new();
    let mut space = stores.replay.replay_space().unwrap();
    replay::verify(&mut *space, &mut |difference| said.push_str(&format!("{difference:?}")), &mut |_| {}).unwrap();
    drop(space);
    assert!([&first, &second].iter().all(|person| said.contains(&person.user_id().to_string())), "{said}");

    // What happens to the second one's does nothing to the first one's.
    let revoked = Event::ApiKeyRevoked { key_id: key.id(), reason: RevocationReason::Requested };
    (second.state, second.version) = (second.commit(vec![issued(&key)], beginning()).1, 2);
    second.write(&stores, vec![Event::RoleChanged { role: Role::Admin }], beginning()).await;
    second.write(&stores, vec![revoked.clone()], beginning()).await;
    let kept = stores.views.key(key.id()).await.unwrap().expect("the key");
    assert_eq!((kept.user, kept.revoked_at), (first.user_id(), None));
    assert_eq!(differences(&stores), [row]);
    first.write(&stores, vec![revoked], beginning()).await;
    assert_eq!(differences(&stores), Vec::<String>::new());
    rebuilt();
    assert_eq!(differences(&stores), Vec::<String>::new());
    assert!(stores.views.key(key.id()).await.unwrap().is_some_and(|key| key.revoked_at.is_some()));
}
