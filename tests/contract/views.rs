//! The views.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use permitd::{
    domain::{
        bounds::{DataAction, KeyBounds, KeyScopes},
        event::{BounceKind, Event, ImportCounts, RevocationReason, Role},
        id::{StreamId, UserId},
        link::LinkPurpose,
        notice::NoticeChoice,
        personal::Personal,
        plan::{KeyRules, Limits},
        sign_in::{SessionEnd, SignInEvent, SignInMethod},
        view::{InvitationState, Rows, UserStatus},
    },
    store::{DueFilter, UserFilter},
};
use uuid::Uuid;

use crate::backend::{Backend, Stream, beginning, invited, issued, key};

pub(crate) async fn rows_come_back_as_they_were_written<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let (old, new) = (key(1), key(2));
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    ana.write(&stores, vec![issued(&old)], beginning()).await;
    let valid_until = beginning().checked_add(SignedDuration::from_micros(90_000_001)).unwrap();
    let rotated = Event::ApiKeyRotated { key_id: old.id(), replaced_by: new.id(), valid_until };
    ana.write(&stores, vec![issued(&new), rotated], beginning()).await;
    let bounds = KeyBounds {
        expires_at: Some(beginning().checked_add(SignedDuration::from_hours(24 * 40)).unwrap()),
        allowed_ips: Some(Personal::Known("192.0.2.0/24 2001:db8::1".to_owned())),
        scopes: KeyScopes { datasets: Some(vec!["permits".to_owned()]), actions: vec![DataAction::Export] },
    };
    let changed = Event::ApiKeyChanged { key_id: new.id(), label: Some(Personal::Known("büro".to_owned())), bounds };
    ana.write(&stores, vec![changed], beginning()).await;
    let choice = NoticeChoice { keys: false, quota: false, ..NoticeChoice::default() };
    ana.write(&stores, vec![Event::NoticesChosen { choice }], beginning()).await;
    let failed = Event::MailFailed {
        invitation: Uuid::from_u128(5),
        class: "550".to_owned(),
        reason: Personal::Known("550".to_owned()),
    };
    ana.write(&stores, vec![failed], beginning()).await;
    let rows = ana.rows();
    assert_eq!(stores.views.user(ana.user_id()).await.unwrap().as_ref(), rows.users.first());
    assert_eq!(stores.views.keys(ana.user_id()).await.unwrap().len(), 2);
    for row in &rows.keys {
        assert_eq!(stores.views.key(row.id).await.unwrap().as_ref(), Some(row));
    }
    let mut plan = Stream::plan("large");
    let limits = Limits { rate_per_s: 0.25, burst: 7, quota_per_day: 123_456_789_012 };
    let rules = KeyRules { key_max_age_days: Some(90), datasets: Some(vec!["permits".to_owned()]), keys_max: Some(3) };
    plan.write(&stores, vec![Event::PlanDefined { limits, rules }], beginning()).await;
    assert_eq!(stores.views.plan("large").await.unwrap().as_ref(), plan.rows().plans.first());
    assert_eq!(stores.views.plan("small").await.unwrap(), None);
    assert_eq!(stores.views.plans().await.unwrap(), plan.rows().plans);

    let id = StreamId::DataSet("permits".to_owned());
    let mut data_set = Stream::of(id);
    let import = Uuid::from_u128(9);
    let counts = ImportCounts { inserted: 1, updated: 2, unchanged: 3, removed: 4, rejected: 5 };
    let started =
        Event::ImportStarted { import, file_name: "ñ.csv".to_owned(), definition: "d".to_owned(), replace: true };
    data_set.write(&stores, vec![started], beginning()).await;
    assert_eq!(stores.views.import(import).await.unwrap().as_ref(), data_set.rows().imports.first());
    let completed = Event::ImportCompleted { import, dataset_version: 3, counts };
    data_set.write(&stores, vec![completed], beginning()).await;
    assert_eq!(stores.views.imports(Some("permits"), 10).await.unwrap(), data_set.rows().imports);
    assert!(stores.views.imports(Some("other"), 10).await.unwrap().is_empty());
    assert_eq!(stores.views.imports(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn an_older_row_never_replaces_a_newer_one<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    ana.write(&stores, vec![issued(&key(1))], beginning()).await;
    let old = ana.rows();
    ana.write(&stores, vec![Event::RoleChanged { role: Role::Admin }], beginning()).await;
    let new = ana.rows();
    for late in [&old, &new, &old] {
        stores.log.project(late.clone()).await.unwrap();
        assert_eq!(stores.views.user(ana.user_id()).await.unwrap().as_ref(), new.users.first());
        assert_eq!(stores.views.keys(ana.user_id()).await.unwrap(), new.keys);
    }
    // A row that is newer than the stored one is written, and one that is not there yet.
    let mut ahead = new.clone();
    ahead.users[0].version += 1;
    ahead.users[0].plan = "large".to_owned();
    stores.log.project(ahead.clone()).await.unwrap();
    assert_eq!(stores.views.user(ana.user_id()).await.unwrap().as_ref(), ahead.users.first());
    let ben = Stream::user(2).commit(vec![invited("ben@example.org")], beginning()).1.rows();
    stores.log.project(Rows { users: ben.users.clone(), ..Rows::default() }).await.unwrap();
    assert_eq!(stores.views.user(ben.users[0].id).await.unwrap().as_ref(), ben.users.first());
}

pub(crate) async fn people_are_found_and_listed_in_pages<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    for number in 1..=25u8 {
        let at = beginning().checked_add(SignedDuration::from_secs(i64::from(number / 5))).unwrap();
        let mut user = Stream::user(u128::from(number));
        let mut event = invited(&format!("user{number}@example.org"));
        if let (8, Event::UserInvited { name, .. }) = (number, &mut event) {
            *name = Some(Personal::Known("Jörg Straße".to_owned()));
        }
        user.write(&stores, vec![event], at).await;
        if number == 7 {
            user.write(&stores, vec![Event::UserDeleted], at).await;
        }
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = stores.views.users(UserFilter { after, limit: 4, ..UserFilter::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed.extend(page);
    }
    assert_eq!(listed.len(), 25);
    assert!(listed.is_sorted_by(|left, right| (left.invited_at, left.id) > (right.invited_at, right.id)));
    let found = |filter| async { stores.views.users(filter).await.unwrap().len() };
    assert_eq!(found(UserFilter { search: Some("USER2".to_owned()), limit: 100, ..UserFilter::default() }).await, 7);
    for search in ["JO\u{308}RG", "strasse"] {
        assert_eq!(found(UserFilter { search: Some(search.to_owned()), limit: 100, ..UserFilter::default() }).await, 1);
    }
    assert_eq!(found(UserFilter { search: Some("%".to_owned()), limit: 100, ..UserFilter::default() }).await, 0);
    let deleted = UserFilter { status: Some(UserStatus::Deleted), limit: 100, ..UserFilter::default() };
    assert_eq!(found(deleted).await, 1);
    assert!(stores.views.user_by_email("user3@example.org").await.unwrap().is_some());
    assert!(stores.views.user_by_email("user7@example.org").await.unwrap().is_none(), "erased");
    assert!(stores.views.user_by_email("user").await.unwrap().is_none());
}

pub(crate) async fn rows_are_written_with_their_commit<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let other = backend.stores_of_another_process();
    let mut ana = Stream::user(1);
    for number in 0..20u64 {
        let event = if number == 0 { invited("ana@example.org") } else { Event::RoleChanged { role: Role::Admin } };
        ana.write(&stores, vec![event], beginning()).await;
        let row = other.views.user(ana.user_id()).await.unwrap().expect("the row");
        assert_eq!(row.version, ana.version, "what was acknowledged is seen by another process");
    }
}

pub(crate) async fn a_session_is_found_by_its_id_and_its_network_is_erased_with_its_person<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let started = |number: u8| {
        Event::SignIn(SignInEvent::SessionStarted {
            session: key(number).id(),
            hash: key(number).hash(),
            expires_at: beginning().checked_add(SignedDuration::from_hours(24)).unwrap(),
            idle_s: 3600,
            method: SignInMethod::Password,
            network: Personal::Known("192.0.2.77".to_owned()),
        })
    };
    ana.write(&stores, vec![started(1)], beginning()).await;
    ana.write(&stores, vec![started(2)], beginning().checked_add(SignedDuration::from_secs(1)).unwrap()).await;
    let ended = SignInEvent::SessionEnded { session: key(1).id(), reason: SessionEnd::SignedOut };
    ana.write(&stores, vec![Event::SignIn(ended)], beginning()).await;
    let by_time = |rows: Rows| {
        let mut sessions = rows.sessions;
        sessions.sort_by_key(|row| (row.started_at, row.id));
        sessions
    };
    let rows = by_time(ana.rows());
    assert_eq!(stores.views.sessions(ana.user_id()).await.unwrap(), rows);
    for row in &rows {
        assert_eq!(stores.views.session(row.id).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(stores.views.session(key(3).id()).await.unwrap(), None);
    assert!(stores.views.sessions(Stream::user(2).user_id()).await.unwrap().is_empty());
    assert_eq!(rows[0].end_reason.as_deref(), Some("signed_out"));
    assert!(rows.iter().all(|row| row.network.as_deref() == Some("192.0.2.77")));

    ana.write(&stores, vec![Event::UserDeleted], beginning()).await;
    let rows = stores.views.sessions(ana.user_id()).await.unwrap();
    assert_eq!(rows, by_time(ana.rows()));
    assert!(rows.iter().all(|row| row.network.is_none() && row.ended_at.is_some()), "{rows:?}");
    assert_eq!(crate::replay::differences(&stores), Vec::<String>::new());
    crate::replay::rebuild(&*stores.replay);
    assert_eq!(stores.views.sessions(ana.user_id()).await.unwrap(), rows, "a rebuild comes to the same");
}

/// How far invitations have come is kept, filtered by what a moment makes of it, and rebuilt.
pub(crate) async fn how_far_an_invitation_has_come_is_kept_and_filtered<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let after_h = |hours: i64| beginning().checked_add(SignedDuration::from_hours(hours)).unwrap();
    let invitation = Uuid::from_u128(5);
    let mailed = |number: u8| {
        let message_id = format!("invitation-{invitation}-{number}");
        Event::ApiKeyMailed { key_id: key(number).id(), invitation, message_id }
    };
    let link = |number: u8| {
        Event::SignIn(SignInEvent::LinkIssued {
            number: 1,
            purpose: LinkPurpose::Invitation,
            mail: invitation,
            hash: key(number).hash(),
            secret_version: 1,
            expires_at: after_h(10),
        })
    };
    let bounced = Event::MailBounced {
        kind: BounceKind::Transient,
        class: "full".to_owned(),
        reason: Personal::Known("full".to_owned()),
        message_id: Some(format!("invitation-{invitation}-5")),
    };
    let further = [
        (InvitationState::Mailed, vec![]),
        (InvitationState::Mailed, vec![link(2)]),
        (InvitationState::Opened, vec![link(3), Event::SignIn(SignInEvent::LinkUsed { number: 1 })]),
        (InvitationState::Used, vec![link(4), Event::InvitationAccepted]),
        (InvitationState::Bounced, vec![link(5), bounced]),
    ];
    let mut people = Vec::new();
    for (number, (state, events)) in (1..).zip(further) {
        let mut stream = Stream::user(u128::from(number));
        stream.write(&stores, vec![invited(&format!("user{number}@example.org"))], beginning()).await;
        stream.write(&stores, vec![issued(&key(number)), mailed(number)], after_h(1)).await;
        for event in events {
            stream.write(&stores, vec![event], after_h(2)).await;
        }
        let row = stores.views.user(stream.user_id()).await.unwrap().unwrap();
        assert_eq!((Some(&row), row.invitation.state), (stream.rows().users.first(), state));
        people.push(stream.user_id());
    }
    let found = async |state, now| -> Vec<UserId> {
        let filter = UserFilter { invitation: Some((state, now)), limit: 100, ..UserFilter::default() };
        let mut found: Vec<_> = stores.views.users(filter).await.unwrap().iter().map(|user| user.id).collect();
        found.sort();
        found
    };
    assert_eq!(found(InvitationState::Mailed, after_h(3)).await, people[..2]);
    assert_eq!(found(InvitationState::Expired, after_h(3)).await, []);
    assert_eq!(found(InvitationState::Mailed, after_h(10)).await, people[..1], "one without links does not expire");
    assert_eq!(found(InvitationState::Expired, after_h(10)).await, people[1..2]);
    for (state, at) in [(InvitationState::Opened, 2), (InvitationState::Used, 3), (InvitationState::Bounced, 4)] {
        assert_eq!(found(state, after_h(99)).await, people[at..=at]);
    }
    let unreached = async |now| {
        let filter = UserFilter { unreached: Some(now), limit: 100, ..UserFilter::default() };
        let found = stores.views.users(filter).await.unwrap();
        let everybody = stores.views.users(UserFilter { limit: 100, ..UserFilter::default() }).await.unwrap();
        let expected: Vec<_> = everybody.into_iter().filter(|user| user.is_unreached(now)).collect();
        assert_eq!(found, expected);
        found.len()
    };
    assert_eq!(
        (unreached(after_h(3)).await, unreached(after_h(10)).await),
        (1, 2),
        "one whose links have ended besides"
    );
    let mut standing: BTreeMap<(UserStatus, InvitationState), u64> = BTreeMap::new();
    for user in stores.views.users(UserFilter { limit: 100, ..UserFilter::default() }).await.unwrap() {
        *standing.entry((user.status, user.invitation.state)).or_default() += 1;
    }
    assert!(standing.len() > 3);
    assert_eq!(stores.views.people_by_standing().await.unwrap(), standing);
    assert_eq!(crate::replay::differences(&stores), Vec::<String>::new());
    crate::replay::rebuild(&*stores.replay);
    assert_eq!(found(InvitationState::Expired, after_h(10)).await, people[1..2], "a rebuild comes to the same");
}

/// Keys that expire are found in the order in which they are due, a page at a time, until it is noticed.
pub(crate) async fn keys_that_expire_are_found_when_they_are_due<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let after_h = |hours: i64| beginning().checked_add(SignedDuration::from_hours(hours)).unwrap();
    let mut people = Vec::new();
    for number in 1..=12u8 {
        let mut stream = Stream::user(u128::from(number));
        stream.write(&stores, vec![invited(&format!("user{number}@example.org"))], beginning()).await;
        let mut event = issued(&key(number));
        if let Event::ApiKeyIssued { bounds, .. } = &mut event {
            // The first notice is due after so many hours; of pairs at the same moment.
            bounds.expires_at = Some(after_h(30 * 24 + i64::from(number.div_ceil(2))));
        }
        stream.write(&stores, vec![event], beginning()).await;
        people.push(stream);
    }
    let mut never = Stream::user(99);
    never.write(&stores, vec![invited("never@example.org")], beginning()).await;
    never.write(&stores, vec![issued(&key(99))], beginning()).await;
    let all = async |from: i64, until: i64| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let filter = DueFilter { from: after_h(from), until: after_h(until), after, limit: 3 };
            let page = stores.views.due_notices(filter).await.unwrap();
            after = page.last().copied();
            found.extend(page);
            if after.is_none() {
                return found;
            }
        }
    };
    assert!(all(0, 0).await.is_empty(), "none is due yet");
    let due = all(0, 4).await;
    assert_eq!(due.len(), 8, "{due:?}");
    assert!(due.is_sorted_by(|left, right| (left.at, left.key) < (right.at, right.key)), "{due:?}");
    assert_eq!(all(3, 100).await.len(), 8, "those that are due since an earlier moment are left out");
    for found in &due {
        let stream = people.iter_mut().find(|stream| stream.user_id() == found.user).expect("its owner");
        assert_eq!(stores.views.keys(found.user).await.unwrap()[0].id, found.key);
        let noticed = Event::ApiKeyExpiring { key_id: found.key, days: 30 };
        stream.write(&stores, vec![noticed], after_h(5)).await;
    }
    assert!(all(0, 4).await.is_empty(), "what was noticed is due no more");
    assert_eq!(all(0, 6).await.len(), 4);
    assert_eq!(all(0, 23 * 24 + 6).await.len(), 12, "the next notice is due 23 days later");
    let last = people.last_mut().unwrap();
    let revoked = Event::ApiKeyRevoked { key_id: key(12).id(), reason: RevocationReason::Requested };
    last.write(&stores, vec![revoked], after_h(6)).await;
    assert_eq!(all(0, 6).await.len(), 3, "nobody is told of a key that is revoked");
}
