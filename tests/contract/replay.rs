//! Rebuilding and verifying.

use std::sync::Arc;

use permitd::{
    domain::{
        event::{Event, RevocationReason, Role},
        personal::PersonalKey,
        plan::{KeyRules, Limits},
        view::{Rows, UserStatus},
    },
    replay::{self, QuarantineError},
    store::{
        Append, AppendError, ClaimChange, PersonalChange, Progress, Quarantine, ReplayBatch, ReplayBeginning,
        ReplayPlan, ReplayView, Replayable, ReplayedTo, Stores,
    },
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

/// An event that no permitd knows.
pub(crate) const FROM_THE_FUTURE: &str = r#"[{"id":"01900000-0000-7000-8000-000000000001","type":"UserPromoted","schema_version":1,"actor":"system:test","correlation_id":"test","causation_id":null,"data":{}}]"#;

/// Writes a commit that cannot be read.
pub(crate) async fn unreadable(stores: &Stores, stream: &mut Stream, events: &str) {
    let (append, _) = stream.commit(vec![Event::UserDisabled], beginning());
    let append = Append { events: events.to_owned(), rows: Rows::default(), ..append };
    stream.version = stores.log.append(append).await.unwrap();
}

pub(crate) async fn what_cannot_be_read_is_set_aside_and_all_else_goes_on<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut streams = history(&stores).await;
    let before = live(&stores, &streams).await;
    // One that a newer permitd wrote, one that is damaged, and one of which nothing can be read.
    unreadable(&stores, &mut streams[0], FROM_THE_FUTURE).await;
    unreadable(&stores, &mut streams[1], "[{\"id\":").await;
    let mut nothing = Stream::user(77);
    let (append, _) = nothing.commit(vec![invited("nobody@example.org")], beginning());
    let claims = vec![ClaimChange::Take { name: "email#nobody".to_owned(), owner: nothing.user_id().to_string() }];
    let personal = PersonalChange::Create(nothing.user_id(), PersonalKey::from_bytes([7; 32]));
    let first = Append { events: FROM_THE_FUTURE.to_owned(), rows: Rows::default(), claims, personal, ..append };
    nothing.version = stores.log.append(first).await.unwrap();

    let rebuilt = || {
        let mut space = stores.replay.replay_space().unwrap();
        replay::rebuild(&mut *space, &mut |_| {})
    };
    let by = |stream: &Stream| (stream.id.clone(), ("cli:test", beginning()));
    for stream in [&streams[0], &streams[1], &nothing] {
        let stopped = rebuilt().unwrap_err().to_string();
        assert!(stopped.contains("user#"), "{stopped}");
        let (id, who) = by(stream);
        let aside = replay::quarantine(&stores, &id, who, "after the rollback").await.unwrap();
        assert!(aside.problem.contains(&id.to_string()), "{aside:?}");
        let again = replay::quarantine(&stores, &id, who, "again").await;
        assert!(matches!(again, Err(QuarantineError::Already(_))), "{again:?}");
    }
    let (readable, who) = by(&streams[2]);
    let refused = replay::quarantine(&stores, &readable, who, "for fun").await;
    assert!(matches!(refused, Err(QuarantineError::Readable(_))), "{refused:?}");
    let (none, who) = by(&Stream::user(5000));
    assert!(matches!(replay::quarantine(&stores, &none, who, "x").await, Err(QuarantineError::NoStream(_))));

    let progress = rebuilt().unwrap();
    assert_eq!((progress.commits, progress.streams), (84, 32), "all were gone through");
    assert_eq!(live(&stores, &streams).await, before, "the state before what cannot be read");
    assert_eq!(differences(&stores), Vec::<String>::new());
    assert!(stores.log.personal_key(nothing.user_id()).await.unwrap().is_some(), "it may be needed yet");
    let other = Stream::user(78);
    let (append, _) = other.commit(vec![invited("nobody@example.org")], beginning());
    let claims = vec![ClaimChange::Take { name: "email#nobody".to_owned(), owner: other.user_id().to_string() }];
    let taken = stores.log.append(Append { claims, ..append }).await;
    assert!(matches!(taken, Err(AppendError::ClaimTaken { .. })), "the address is still theirs: {taken:?}");
    // The others go on.
    streams[2].write(&stores, vec![Event::RoleChanged { role: Role::Reader }], beginning()).await;
    rebuilt().unwrap();
    assert_eq!(differences(&stores), Vec::<String>::new());
}

pub(crate) async fn what_was_set_aside_is_recorded_and_comes_back<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut streams = history(&stores).await;
    unreadable(&stores, &mut streams[0], FROM_THE_FUTURE).await;
    let who = ("cli:test", beginning());
    replay::quarantine(&stores, &streams[0].id, who, "after the rollback").await.unwrap();
    let other = backend.stores_of_another_process();
    let seen = other.quarantines.fresh().await.unwrap();
    let aside = seen.of(&streams[0].id).expect("another process sees it");
    assert_eq!(
        (aside.who.as_str(), aside.reason.as_str(), aside.since),
        ("cli:test", "after the rollback", beginning())
    );
    assert!(aside.problem.contains("UserPromoted"), "{aside:?}");
    let still = replay::release(&stores, &streams[0].id, who).await;
    assert!(matches!(still, Err(QuarantineError::Unreadable { .. })), "{still:?}");
    let never = replay::release(&stores, &streams[1].id, who).await;
    assert!(matches!(never, Err(QuarantineError::NotQuarantined(_))), "{never:?}");

    // One that an older permitd set aside, and this one can read. Its rows were made of a part of it.
    let stream = streams[3].id.clone();
    let set_aside = Quarantine { stream: stream.clone(), ..aside.clone() };
    assert!(stores.quarantines.begin(set_aside.clone()).await.unwrap());
    assert!(!stores.quarantines.begin(set_aside).await.unwrap(), "once");
    let released = replay::release(&stores, &stream, ("cli:other", beginning())).await.unwrap();
    assert_eq!(released.stream, stream);
    assert!(other.quarantines.fresh().await.unwrap().of(&stream).is_none());
    let past = other.quarantines.past(10).await.unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!((&past[0].quarantine.stream, past[0].released_by.as_str()), (&stream, "cli:other"));
    assert_eq!(past[0].released_at, beginning());
    assert!(
        stores.quarantines.begin(Quarantine { stream, ..aside.clone() }).await.unwrap(),
        "it can be set aside again"
    );
}

/// Gives a person and a key rows that do not follow from the log.
async fn spoil(stores: &Stores, stream: &Stream) {
    let mut wrong = stream.rows();
    wrong.users[0].version += 1;
    wrong.users[0].plan = "wrong".to_owned();
    wrong.keys[0].version += 1;
    wrong.keys[0].last_four = "xxxx".to_owned();
    stores.log.project(Rows { users: wrong.users, keys: wrong.keys, ..Rows::default() }).await.unwrap();
}

fn rebuild_with(stores: &Stores, plan: &ReplayPlan) -> (ReplayBeginning, Progress) {
    let mut space = stores.replay.replay_space_for(plan).unwrap();
    let beginning = space.begin().unwrap();
    let progress = replay::rebuild_from(&mut *space, &beginning, &mut |_| {}).unwrap();
    (beginning, progress)
}

fn kinds(found: &[String]) -> Vec<&str> {
    let kinds = found.iter().filter_map(|row| row.split(' ').next());
    let mut kinds: Vec<&str> = kinds.filter(|kind| ["users", "keys"].contains(kind)).collect();
    kinds.sort_unstable();
    kinds
}

pub(crate) async fn one_view_or_one_stream_is_rebuilt_alone<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let streams = history(&stores).await;
    spoil(&stores, &streams[0]).await;
    spoil(&stores, &streams[1]).await;
    assert_eq!(kinds(&differences(&stores)), ["keys", "keys", "users", "users"]);
    let of = |view| ReplayPlan { view: Some(view), ..ReplayPlan::default() };
    let (beginning, progress) = rebuild_with(&stores, &of(ReplayView::Plans));
    assert_eq!((beginning, progress.streams), (ReplayBeginning::New, 1), "only the streams that it follows from");
    assert_eq!(kinds(&differences(&stores)).len(), 4);
    let (_, progress) = rebuild_with(&stores, &of(ReplayView::Keys));
    assert_eq!(progress.streams, 30);
    assert_eq!(kinds(&differences(&stores)), ["users", "users"]);
    // One person, and of them one view.
    stores.replay.mend(&streams[0].id, Some(ReplayView::Keys)).unwrap();
    assert_eq!(kinds(&differences(&stores)), ["users", "users"]);
    let progress = stores.replay.mend(&streams[0].id, None).unwrap();
    assert_eq!((progress.commits, progress.events, progress.streams), (2, 3, 1));
    assert_eq!(kinds(&differences(&stores)), ["users"]);
    for view in ReplayView::ALL {
        rebuild_with(&stores, &of(view));
    }
    assert_eq!(differences(&stores), Vec::<String>::new());
    assert_eq!(stores.replay.replay_status().await.unwrap(), None);
}

pub(crate) async fn an_interrupted_rebuild_is_gone_on_with<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut streams = history(&stores).await;
    streams.pop();
    streams.sort_by(|a, b| a.id.cmp(&b.id));
    let plan = ReplayPlan::default();
    // The half of all people is written, then it is killed. In the order of streams people come after plans.
    let half = |plan: &ReplayPlan| {
        let mut space = stores.replay.replay_space_for(plan).unwrap();
        let beginning = space.begin().unwrap();
        let last = streams[14].id.clone();
        let progress = Progress { commits: 40, events: 60, streams: 16 };
        // Whoever goes on writes no row again.
        let first = if matches!(beginning, ReplayBeginning::Resumed(_)) { 15 } else { 0 };
        let rows: Vec<Rows> = streams[first..15].iter().map(Stream::rows).collect();
        let batch = ReplayBatch { rows, reached: Some(ReplayedTo { stream: last, progress }) };
        space.sides().1.put(&batch).unwrap();
        beginning
    };
    assert_eq!(half(&plan), ReplayBeginning::New);
    let status = stores.replay.replay_status().await.unwrap().expect("it is told of");
    assert_eq!((status.view, status.progress.commits, status.commits_total), (None, 40, 81));
    assert!(status.is_running(jiff::Timestamp::now()));
    assert!(!status.is_running(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(61)));
    let gone_on = ReplayBeginning::Resumed(Progress { commits: 40, events: 60, streams: 16 });
    assert_eq!(half(&plan), gone_on, "as often as it is killed");
    // Another view is another rebuild, and so is one that is to begin anew.
    let keys = ReplayPlan { view: Some(ReplayView::Keys), ..plan };
    assert!(matches!(half(&keys), ReplayBeginning::Anew(why) if why.contains("other views")));
    assert!(matches!(half(&ReplayPlan { anew: true, ..keys }), ReplayBeginning::Anew(why) if why.contains("--anew")));
    // What was written before and what is written meanwhile is in the views.
    streams[3].write(&stores, vec![Event::RoleChanged { role: Role::Reader }], beginning()).await;
    streams[20].write(&stores, vec![Event::RoleChanged { role: Role::Reader }], beginning()).await;
    spoil(&stores, &streams[20]).await;
    let (begun, progress) = rebuild_with(&stores, &keys);
    assert!(matches!(begun, ReplayBeginning::Resumed(_)), "{begun:?}");
    assert!(progress.streams >= 31, "{progress:?}");
    assert_eq!(kinds(&differences(&stores)), ["users"], "the keys are right");
    assert_eq!(stores.replay.replay_status().await.unwrap(), None);
    let (begun, _) = rebuild_with(&stores, &plan);
    assert_eq!(begun, ReplayBeginning::New, "what is done is not gone on with");
    assert_eq!(differences(&stores), Vec::<String>::new());
}
