//! What a store in DynamoDB must do beside what every store must: cases that look into its tables.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::SignedDuration;
use permitd::{
    domain::{
        admission::{GrantHolder, day_of},
        event::{Event, RevocationReason, Role},
        id::{CommandId, StreamId},
        key::KeyId,
        persisted::StoredCommit,
        personal::Personal,
        plan::{KeyRules, Limits},
        view::Rows,
    },
    replay,
    secrets::{Secrets, SeededEntropy},
    store::{
        Append, AppendError, GrantRequest, SERIALS_PER_REQUEST, StoreError, Stores,
        dynamodb::{Dynamo, secrets},
    },
};
use uuid::Uuid;

use crate::{
    backend::{Stream, beginning, clock, invited, issued, key, member, now_ns, take},
    dynamodb::Tables,
    replay::{differences, rebuild},
    support::emulator,
};

type Item = HashMap<String, AttributeValue>;

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn item(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

async fn put(dynamo: &Dynamo, table: &str, attributes: &[(&str, AttributeValue)]) {
    let request = dynamo.client().put_item().table_name(dynamo.table(table));
    request.set_item(Some(item(attributes))).send().await.unwrap();
}

async fn get(dynamo: &Dynamo, table: &str, key: &[(&str, AttributeValue)]) -> Option<Item> {
    let request = dynamo.client().get_item().table_name(dynamo.table(table)).consistent_read(true);
    request.set_key(Some(item(key))).send().await.unwrap().item
}

async fn delete(dynamo: &Dynamo, table: &str, key: &[(&str, AttributeValue)]) {
    let request = dynamo.client().delete_item().table_name(dynamo.table(table));
    request.set_key(Some(item(key))).send().await.unwrap();
}

/// Sets attributes of an item, whatever it is.
async fn set(dynamo: &Dynamo, table: &str, key: &[(&str, AttributeValue)], attributes: &[(&str, AttributeValue)]) {
    let mut item = get(dynamo, table, key).await.unwrap_or_default();
    item.extend(key.iter().chain(attributes).map(|(name, value)| ((*name).to_owned(), value.clone())));
    dynamo.client().put_item().table_name(dynamo.table(table)).set_item(Some(item)).send().await.unwrap();
}

fn live(key: KeyId) -> [(&'static str, AttributeValue); 2] {
    [("k", text(key.as_str())), ("d", text("0"))]
}

/// An earlier permitd kept the administrators' tokens as items, beside one that counted their changes.
pub(crate) async fn tokens_of_before_are_found_oldest_first<B: Tables>() {
    let backend = B::new();
    let dynamo = backend.dynamo();
    let hash = |digit: &str| digit.repeat(64);
    for (id, digit, at) in [("b", "1", "2"), ("a", "2", "1")] {
        let attributes = [("sha256", text(&hash(digit))), ("at", AttributeValue::N(at.to_owned()))];
        set(&dynamo, "state", &[("k", text("admin")), ("r", text(id))], &attributes).await;
    }
    set(
        &dynamo,
        "state",
        &[("k", text("admin")), ("r", text("first"))],
        &[("changes", AttributeValue::N("2".to_owned()))],
    )
    .await;
    let found = backend.stores().admin_tokens.earlier().await.unwrap();
    let found: Vec<(&str, String)> = found.iter().map(|token| (token.id.as_str(), token.hash.to_hex())).collect();
    assert_eq!(found, [("a", hash("2")), ("b", hash("1"))]);
}

/// The log in pages, both ways: the same.
async fn whole_log(stores: &Stores, page: usize) -> Vec<StoredCommit> {
    let (mut forwards, mut after) = (Vec::new(), 0);
    while let read = stores.log.read(after, page).await.unwrap()
        && let Some(last) = read.last()
    {
        after = last.position;
        forwards.extend(read);
    }
    let (mut backwards, mut before) = (Vec::new(), None);
    while let read = stores.log.read_back(before, page).await.unwrap()
        && let Some(last) = read.last()
    {
        before = Some(last.position);
        backwards.extend(read);
    }
    backwards.reverse();
    assert_eq!(forwards, backwards);
    forwards
}

pub(crate) async fn appends_to_many_streams_at_once_are_all_in_feed_and_outbox_once<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    let appends = (1..=30u128).map(|number| {
        let stores = if number % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
        async move {
            let stream = Stream::user(number);
            let (mut append, _) = stream.commit(vec![invited("x@example.org")], beginning());
            append.publishes = true;
            assert_eq!(stores.log.append(append).await.unwrap(), 1);
            stream.id
        }
    });
    let streams: HashSet<StreamId> = join_all(appends).await.into_iter().collect();
    let once = |commits: &[StoredCommit]| {
        assert_eq!(commits.len(), 30);
        let seen: HashSet<StreamId> = commits.iter().map(|commit| commit.stream.clone()).collect();
        assert_eq!(seen, streams);
        assert!(commits.iter().all(|commit| commit.marked));
    };
    once(&whole_log(&stores, 7).await);
    once(&stores.log.unpublished(None, 100).await.unwrap());
    for stream in &streams {
        stores.log.mark_published(stream, 1).await.unwrap();
    }
    assert!(stores.log.unpublished(None, 100).await.unwrap().is_empty());
    assert_eq!(whole_log(&stores, 100).await.iter().filter(|commit| !commit.marked).count(), 30);
}

pub(crate) async fn commits_are_read_in_the_order_of_their_moments<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    // Clocks of different writers, one of which is behind; some commits share a microsecond.
    let moment = |number: i64| beginning().checked_add(SignedDuration::from_micros(number * 37 % 50 - 25)).unwrap();
    let mut streams: Vec<Stream> = (1..=6).map(Stream::user).collect();
    for number in 0..60i64 {
        let stream = &mut streams[usize::try_from(number % 6).unwrap()];
        let event =
            if stream.version == 0 { invited("x@example.org") } else { Event::RoleChanged { role: Role::Admin } };
        stream.write(&stores, vec![event], moment(number)).await;
    }
    for page in [1, 7, 60, 1000] {
        let log = whole_log(&stores, page).await;
        assert_eq!(log.len(), 60, "in pages of {page}");
        assert!(log.is_sorted_by(|a, b| a.position < b.position && a.recorded_at <= b.recorded_at));
    }
    let log = whole_log(&stores, 1000).await;
    let after = log[20].position;
    assert_eq!(stores.log.read(after, 1000).await.unwrap(), log[21..]);
    assert_eq!(stores.log.read_back(Some(after), 3).await.unwrap().last(), Some(&log[17]));
    assert!(stores.log.read(log[59].position, 10).await.unwrap().is_empty());
    assert!(stores.log.read(u64::MAX, 10).await.unwrap().is_empty());
    assert!(stores.log.read_back(Some(0), 10).await.unwrap().is_empty());
}

pub(crate) async fn a_command_that_is_sent_twice_at_once_commits_once<B: Tables>() {
    let backend = B::new();
    for with_claim in [false, true] {
        let (mut append, _) =
            Stream::user(if with_claim { 1 } else { 2 }).commit(vec![invited("ana@example.org")], beginning());
        append.command = CommandId::stored("idem:1");
        if with_claim {
            append.claims = vec![take("email#ana", "1")];
        } else {
            append.personal = permitd::store::PersonalChange::Keep;
        }
        let tries = (0..10).map(|number| {
            let stores = if number % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
            let append = append.clone();
            async move { stores.log.append(append).await }
        });
        let done = join_all(tries).await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
        for done in done.iter().filter(|done| done.is_err()) {
            let Err(AppendError::AlreadyDone(earlier)) = done else { panic!("{done:?}") };
            assert_eq!((earlier.version, &earlier.events), (1, &append.events));
        }
    }
}

pub(crate) async fn an_early_command_is_found_in_a_stream_over_1_mb<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let failed = Event::MailFailed {
        invitation: Uuid::from_u128(5),
        class: "550".to_owned(),
        reason: Personal::Known("ö".repeat(90_000)),
    };
    for _ in 0..6 {
        ana.write(&stores, vec![failed.clone()], beginning()).await;
    }
    let (mut late, state) = ana.commit(vec![Event::RoleChanged { role: Role::Admin }], beginning());
    late.command = CommandId::stored("idem:late");
    ana.head = late.hash();
    ana.version = stores.log.append(late.clone()).await.unwrap();
    ana.state = state;
    ana.write(&stores, vec![Event::UserDisabled], beginning()).await;
    for expected_version in [1, 8] {
        let again = stores.log.append(Append { expected_version, ..late.clone() }).await;
        assert!(matches!(&again, Err(AppendError::AlreadyDone(earlier)) if earlier.version == 8), "{again:?}");
    }
    let (other, _) = Stream::user(1).commit(vec![invited("ana@example.org")], beginning());
    let conflict = stores.log.append(other).await;
    assert!(matches!(conflict, Err(AppendError::Conflict)), "{conflict:?}");
}

pub(crate) async fn more_than_a_transaction_takes_is_refused_before_it_is_sent<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    let ana = Stream::user(1);
    let (mut append, _) = ana.commit(vec![invited("ana@example.org")], beginning());
    append.claims = (0..99).map(|number| take(&format!("name#{number}"), "1")).collect();
    let refused = stores.log.append(append.clone()).await.unwrap_err();
    assert!(
        matches!(&refused, AppendError::Store(StoreError::Limit(text)) if text.contains("101 writes")),
        "{refused}"
    );
    let (mut large, _) = ana.commit(vec![invited("ana@example.org")], beginning());
    large.rows.users[0].mail_failure = Some("x".repeat(401 * 1024));
    let refused = stores.log.append(large).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(StoreError::Limit(text)) if text.contains("409600")), "{refused}");
    assert!(stores.log.load(&ana.id, 0, 10).await.unwrap().is_empty(), "nothing was written");
    append.claims.pop();
    assert_eq!(stores.log.append(append).await.unwrap(), 1, "one less is taken");
}

pub(crate) async fn rows_that_cannot_be_written_leave_the_mark<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    emulator::drop_table(&dynamo, "views").await;
    let ana = Stream::user(1);
    let (append, state) = ana.commit(vec![invited("ana@example.org")], beginning());
    let failed = stores.log.append(append.clone()).await.unwrap_err();
    assert!(
        matches!(&failed, AppendError::Store(StoreError::Unavailable(text)) if text.contains("aws setup")),
        "{failed}"
    );
    emulator::make_tables(&dynamo, &[]).await;
    // Whoever looks for what was left behind finds it, and so does a retry of the command.
    let left = stores.log.unpublished(None, 10).await.unwrap();
    assert!(left.len() == 1 && left[0].stream == ana.id && left[0].marked, "{left:?}");
    let again = stores.log.append(append).await;
    assert!(matches!(&again, Err(AppendError::AlreadyDone(earlier)) if earlier.marked), "{again:?}");
    assert_eq!(stores.views.user(ana.user_id()).await.unwrap(), None);
    stores.log.project(state.rows()).await.unwrap();
    stores.log.mark_published(&ana.id, 1).await.unwrap();
    assert_eq!(stores.views.user(ana.user_id()).await.unwrap(), state.rows().users.pop());
    assert!(stores.log.unpublished(None, 10).await.unwrap().is_empty());
}

pub(crate) async fn an_append_makes_few_calls<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    let mut counted = backend.calls();
    let mut since = |expected: &[(&str, u64)]| {
        let now = backend.calls();
        let mut made: BTreeMap<String, u64> = now
            .iter()
            .map(|(name, count)| (name.clone(), count - counted.get(name).copied().unwrap_or(0)))
            .filter(|(_, count)| *count > 0)
            .collect();
        counted.clone_from(&now);
        // A writer asks once in a few seconds whether the deployment is open.
        if expected.iter().all(|(name, _)| *name != "GetItem") {
            assert!(made.remove("GetItem").is_none_or(|asked| asked == 1), "{now:?}");
        }
        assert_eq!(made, expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect());
    };
    // The commit with the personal key; the person's row; the mark.
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    since(&[("TransactWriteItems", 1), ("PutItem", 1), ("UpdateItem", 1)]);
    // The commit with the key's owner; the person's row and the key's; the key's terms and the mark.
    ana.write(&stores, vec![issued(&key(1))], beginning()).await;
    since(&[("TransactWriteItems", 1), ("PutItem", 2), ("UpdateItem", 2)]);
    // What is to be published keeps its mark.
    let (mut append, state) = ana.commit(vec![Event::RoleChanged { role: Role::Admin }], beginning());
    append.publishes = true;
    (ana.version, ana.state) = (stores.log.append(append).await.unwrap(), state);
    since(&[("PutItem", 2), ("UpdateItem", 1)]);
    stores.log.load(&ana.id, 0, 100).await.unwrap();
    stores.log.personal_key(ana.user_id()).await.unwrap();
    since(&[("Query", 1), ("GetItem", 1)]);
    stores.views.user(ana.user_id()).await.unwrap();
    stores.views.key(key(1).id()).await.unwrap();
    since(&[("GetItem", 3)]);
    assert_eq!(stores.log.unpublished(None, 100).await.unwrap().len(), 1);
    since(&[("Query", 4), ("BatchGetItem", 1)]);
}

pub(crate) async fn terms_follow_from_the_person_and_leave_consumption_alone<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    let mut ana = Stream::user(1);
    let (old, new) = (key(1), key(2));
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    ana.write(&stores, vec![issued(&old)], beginning()).await;
    let consumed = [("tat", number(77)), ("day", number(20_513)), ("used", number(5))];
    set(&dynamo, "ledger", &live(old.id()), &consumed).await;
    let terms = async |key: KeyId| {
        let item = get(&dynamo, "ledger", &live(key)).await.expect("the key's row");
        let attribute = |name: &str| item.get(name).cloned();
        if key == old.id() {
            assert!(consumed.iter().all(|(name, value)| attribute(name).as_ref() == Some(value)), "{item:?}");
        }
        (attribute("on"), attribute("pl"), attribute("pv"), attribute("vu"))
    };
    let works = |works| Some(AttributeValue::Bool(works));
    let plan = |name| Some(text(name));
    assert_eq!(terms(old.id()).await, (works(true), plan("default"), Some(number(2)), None));
    let item = get(&dynamo, "ledger", &live(old.id())).await.unwrap();
    assert_eq!(item.get("u"), Some(&text(&ana.user_id().to_string())));
    assert_eq!(item.get("h"), Some(&text(&old.hash().to_hex())));
    ana.write(&stores, vec![Event::UserDisabled], beginning()).await;
    assert_eq!(terms(old.id()).await, (works(false), plan("default"), Some(number(3)), None));
    let disabled = ana.rows();
    let changed = vec![Event::UserEnabled, Event::PlanAssigned { plan: "large".to_owned() }];
    ana.write(&stores, changed, beginning()).await;
    assert_eq!(terms(old.id()).await, (works(true), plan("large"), Some(number(4)), None));
    stores.log.project(disabled).await.unwrap();
    assert_eq!(terms(old.id()).await, (works(true), plan("large"), Some(number(4)), None), "late terms change nothing");
    let valid_until = beginning().checked_add(SignedDuration::from_secs(60)).unwrap();
    let rotated = Event::ApiKeyRotated { key_id: old.id(), replaced_by: new.id(), valid_until };
    ana.write(&stores, vec![issued(&new), rotated], beginning()).await;
    let until = Some(number(valid_until.as_microsecond()));
    assert_eq!(terms(old.id()).await, (works(true), plan("large"), Some(number(5)), until.clone()));
    assert_eq!(terms(new.id()).await, (works(true), plan("large"), Some(number(5)), None));
    let revoked = Event::ApiKeyRevoked { key_id: old.id(), reason: RevocationReason::Requested };
    ana.write(&stores, vec![revoked], beginning()).await;
    assert_eq!(terms(old.id()).await, (works(false), plan("large"), Some(number(6)), until.clone()));
    ana.write(&stores, vec![Event::UserDeleted], beginning()).await;
    assert_eq!(terms(old.id()).await.2, Some(number(6)), "a revoked key's terms are left as they are");
    assert_eq!(
        terms(new.id()).await,
        (works(false), plan("large"), Some(number(7)), None),
        "refused by the deletion itself"
    );
    rebuild(&*stores.replay);
    assert_eq!(terms(old.id()).await, (works(false), plan("large"), Some(number(6)), until));
    assert_eq!(differences(&stores), Vec::<String>::new());
}

/// In an earlier version each key had a bucket and a quota of its own: what they have used of the day counts for the person.
pub(crate) async fn what_keys_have_used_of_the_day_is_the_persons<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    let limits = Limits { rate_per_s: 1000.0, burst: 1000, quota_per_day: 100 };
    let (mut ana, first) = member(&stores, 1, limits).await;
    ana.write(&stores, vec![issued(&key(2))], beginning()).await;
    let now_ns = now_ns(&clock());
    let today = day_of(now_ns);
    let used = |day: i64, used: i64| {
        [("day", number(day)), ("used", number(used)), ("tat", number(now_ns)), ("iv", number(1_000_000))]
    };
    set(&dynamo, "ledger", &live(first), &used(today, 60)).await;
    set(&dynamo, "ledger", &live(key(2).id()), &used(today, 30)).await;
    let user = ana.user_id();
    let request = GrantRequest {
        user,
        plan: "default".into(),
        now_ns,
        life_ns: 1_000_000_000,
        want: 64,
        need: 1,
        holder: GrantHolder { node: 7, serial: SERIALS_PER_REQUEST },
        unanswered_from: None,
        returned: None,
        tally: None,
        used: None,
    };
    assert_eq!(stores.ledger.grant(request).await.unwrap().grant.left(), 10, "what is left of the person's quota");
    let days = stores.ledger.usage(user, 0).await.unwrap();
    assert_eq!(days.iter().map(|day| (day.day, day.used)).collect::<Vec<_>>(), [(today, 100)]);
}

pub(crate) async fn what_is_wrong_is_found_and_put_right<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    Stream::plan("default")
        .write(&stores, vec![Event::PlanDefined { limits: Limits::default(), rules: KeyRules::default() }], beginning())
        .await;
    let mut ana = Stream::user(1);
    let (mut append, state) = ana.commit(vec![invited("ana@example.org")], beginning());
    append.claims = vec![take("email#ana", &ana.user_id().to_string())];
    (ana.version, ana.state) = (stores.log.append(append).await.unwrap(), state);
    ana.write(&stores, vec![issued(&key(1)), issued(&key(2)), issued(&key(3))], beginning()).await;
    let id = StreamId::DataSet("permits".to_owned());
    let mut permits = Stream::of(id);
    for import in [8, 9] {
        let import = Uuid::from_u128(import);
        let (file_name, definition) = ("f.csv".to_owned(), "d".to_owned());
        permits
            .write(&stores, vec![Event::ImportStarted { import, file_name, definition, replace: true }], beginning())
            .await;
    }
    assert_eq!(differences(&stores), Vec::<String>::new());

    let row = |key: KeyId| [("k", text(&ana.id.to_string())), ("r", text(&format!("key#{key}")))];
    let pointer = |import| [("k", text(&format!("import#{}", Uuid::from_u128(import)))), ("r", text("dataset"))];
    let nobody = Uuid::from_u128(99).to_string();
    // Terms that say something else, that claim to be newer than all, and a row that is gone.
    set(&dynamo, "ledger", &live(key(1).id()), &[("pl", text("huge"))]).await;
    set(&dynamo, "ledger", &live(key(2).id()), &[("pv", number(1000)), ("tat", number(7))]).await;
    delete(&dynamo, "views", &row(key(3).id())).await;
    delete(&dynamo, "views", &pointer(9)).await;
    // What no stream accounts for.
    put(&dynamo, "state", &[("k", text("claim")), ("r", text("email#eve")), ("owner", text(&nobody))]).await;
    put(&dynamo, "personal", &[("k", text(&nobody)), ("key", AttributeValue::B(vec![1; 32].into()))]).await;
    let terms = [("u", text(&nobody)), ("h", text("00")), ("pl", text("p")), ("on", AttributeValue::Bool(true))];
    set(&dynamo, "ledger", &live(key(9).id()), &terms).await;
    set(&dynamo, "ledger", &live(key(9).id()), &[("pv", number(1)), ("used", number(3))]).await;
    set(&dynamo, "views", &pointer(77), &[("dataset", text("permits"))]).await;
    set(&dynamo, "views", &[("k", text("plan#ghost")), ("r", text("plan"))], &[("pv", number(1))]).await;

    let mut found = differences(&stores);
    found.sort();
    // The key whose row is gone has its terms still: they are neither orphans nor wrong.
    let expected = [
        format!("claim of user {nobody}"),
        format!("keys {}", key(3).id()),
        format!("ledger terms of key {}", key(1).id()),
        format!("ledger terms of key {}", key(2).id()),
        format!("ledger terms of key {}", key(9).id()),
        format!("personal key of user {nobody}"),
        format!("place of import {}", Uuid::from_u128(9)),
        format!("place of import {}", Uuid::from_u128(77)),
        "plans ghost".to_owned(),
    ];
    assert_eq!(found, expected);

    rebuild(&*stores.replay);
    assert_eq!(differences(&stores), Vec::<String>::new());
    assert_eq!(stores.views.keys(ana.user_id()).await.unwrap().len(), 3);
    assert_eq!(
        stores.views.import(Uuid::from_u128(9)).await.unwrap().map(|row| row.dataset),
        Some("permits".to_owned())
    );
    assert_eq!(stores.log.personal_key(ana.user_id()).await.unwrap(), ana.key, "the living keep theirs");
    let claim = get(&dynamo, "state", &[("k", text("claim")), ("r", text("email#ana"))]).await;
    assert!(claim.is_some());
    let consumed = get(&dynamo, "ledger", &live(key(2).id())).await.unwrap();
    assert_eq!((consumed.get("tat"), consumed.get("pv")), (Some(&number(7)), Some(&number(2))));
    let consumed = get(&dynamo, "ledger", &live(key(9).id())).await.unwrap();
    assert_eq!((consumed.get("used"), consumed.get("u")), (Some(&number(3)), None), "what was consumed stays");
}

pub(crate) async fn verifying_while_others_append_finds_nothing<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut streams: Vec<Stream> = (1..=8).map(Stream::user).collect();
    for (number, stream) in (1..).zip(&mut streams) {
        stream.write(&stores, vec![invited("x@example.org")], beginning()).await;
        stream.write(&stores, vec![issued(&key(number))], beginning()).await;
    }
    let (verified, (done, is_done)) = (stores.clone(), std::sync::mpsc::channel::<()>());
    let verifying = std::thread::spawn(move || {
        let (mut found, mut rounds) = (Vec::new(), 0);
        while rounds < 3 || is_done.try_recv().is_err() {
            found.extend(differences(&verified));
            rounds += 1;
        }
        found
    });
    for number in 0..160usize {
        let event = match number / 8 % 4 {
            0 => Event::UserDisabled,
            1 => Event::PlanAssigned { plan: format!("plan-{number}") },
            2 => Event::UserEnabled,
            _ => Event::RoleChanged { role: Role::Admin },
        };
        streams[number % 8].write(&stores, vec![event], beginning()).await;
    }
    for stream in &mut streams[..4] {
        stream.write(&stores, vec![Event::UserDeleted], beginning()).await;
    }
    done.send(()).unwrap();
    assert_eq!(verifying.join().unwrap(), Vec::<String>::new());
}

pub(crate) async fn a_row_that_cannot_be_read_is_replaced<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let place = [("k", text(&ana.id.to_string())), ("r", text("user"))];
    let document = "{\"email\":\"ana@example.org\"}";
    // As an earlier version wrote it, or as nobody did.
    for damage in [None, Some(("d", text(document)))] {
        delete(&dynamo, "views", &place).await;
        let attributes = [("pv", text("?")), ("status", text("active"))].into_iter().chain(damage);
        set(&dynamo, "views", &place, &attributes.collect::<Vec<_>>()).await;
        let mut space = stores.replay.replay_space().unwrap();
        let verified = replay::verify(&mut *space, &mut |_| {}, &mut |_| {}).unwrap_err().to_string();
        let asked = stores.views.user(ana.user_id()).await.unwrap_err().to_string();
        for refused in [verified, asked] {
            assert!(refused.contains("damaged") && refused.contains("permitd events replay"), "{refused}");
            assert!(!refused.contains("ana@"), "{refused}");
        }
        rebuild(&*stores.replay);
        assert_eq!(stores.views.user(ana.user_id()).await.unwrap(), ana.rows().users.pop());
        assert_eq!(differences(&stores), Vec::<String>::new());
    }
}

pub(crate) async fn an_attribute_that_its_row_does_not_lead_to_is_a_difference<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let place = [("k", text(&ana.id.to_string())), ("r", text("user"))];
    for name in ["email", "o"] {
        set(&dynamo, "views", &place, &[(name, text("eve@example.org"))]).await;
        assert_eq!(differences(&stores), [format!("attributes of {} user", ana.id)], "{name}");
        rebuild(&*stores.replay);
        assert_eq!(differences(&stores), Vec::<String>::new());
    }
}

pub(crate) async fn a_row_of_an_unknown_kind_is_left_alone<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    for stream in [ana.id.to_string(), "tribe#1".to_owned()] {
        let place = [("k", text(&stream)), ("r", text("session#1"))];
        set(&dynamo, "views", &place, &[]).await;
        let mut space = stores.replay.replay_space().unwrap();
        let refused = replay::rebuild(&mut *space, &mut |_| {}).unwrap_err().to_string();
        assert!(refused.contains("session#1") && refused.contains(&stream) && refused.contains("newer"), "{refused}");
        assert!(get(&dynamo, "views", &place).await.is_some());
        delete(&dynamo, "views", &place).await;
    }
    rebuild(&*stores.replay);
}

/// Writes a commit as somebody does who dies before its rows.
async fn without_rows(stores: &Stores, stream: &mut Stream, event: Event) {
    let (append, state) = stream.commit(vec![event], beginning());
    let append = Append { rows: Rows::default(), publishes: true, ..append };
    (stream.version, stream.state) = (stores.log.append(append).await.unwrap(), state);
}

/// The rows that differ, and how many wait.
fn verified(stores: &Stores) -> (Vec<String>, u64) {
    let mut rows = Vec::new();
    let mut space = stores.replay.replay_space().unwrap();
    let found = replay::verify(&mut *space, &mut |difference| rows.push(difference.row), &mut |_| {}).unwrap();
    assert_eq!(found.differences, rows.len() as u64);
    (rows, found.waiting)
}

pub(crate) async fn rows_wait_for_a_commit_that_is_not_published_and_damage_does_not<B: Tables>() {
    let backend = B::new();
    let (stores, dynamo) = (backend.stores(), backend.dynamo());
    let (mut ana, key) = (Stream::user(1), key(1));
    let (user_row, key_row) = (format!("users {}", ana.user_id()), format!("keys {}", key.id()));
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    ana.write(&stores, vec![issued(&key)], beginning()).await;
    let before = ana.rows();
    without_rows(&stores, &mut ana, Event::UserDisabled).await;
    assert_eq!(verified(&stores), (vec![], 2), "the person, and the terms of their key");
    without_rows(&stores, &mut ana, Event::RoleChanged { role: Role::Admin }).await;
    assert_eq!(verified(&stores), (vec![], 2), "whichever of the two commits is missing");

    // What they do not write.
    let mut damaged = before.keys.clone();
    (damaged[0].version, damaged[0].last_four) = (3, "eve!".to_owned());
    stores.log.project(Rows { keys: damaged, ..Rows::default() }).await.unwrap();
    assert_eq!(verified(&stores), (vec![key_row.clone()], 2));
    // What they write, but not so.
    let mut damaged = before.users.clone();
    (damaged[0].version, damaged[0].email) = (3, Some("eve@example.org".to_owned()));
    stores.log.project(Rows { users: damaged, ..Rows::default() }).await.unwrap();
    assert_eq!(verified(&stores), (vec![key_row, user_row.clone()], 1));
    rebuild(&*stores.replay);
    assert_eq!(verified(&stores), (vec![], 0));

    // A later commit has written its rows.
    without_rows(&stores, &mut ana, Event::UserEnabled).await;
    ana.write(&stores, vec![Event::RoleChanged { role: Role::Reader }], beginning()).await;
    assert_eq!(verified(&stores), (vec![], 0));
    delete(&dynamo, "views", &[("k", text(&ana.id.to_string())), ("r", text("user"))]).await;
    assert_eq!(verified(&stores), (vec![user_row], 0));
}

pub(crate) async fn rows_of_somebody_who_is_erased_wait_like_others<B: Tables>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    without_rows(&stores, &mut ana, invited("ana@example.org")).await;
    assert_eq!(verified(&stores), (vec![], 1));
    stores.log.project(ana.rows()).await.unwrap();
    ana.write(&stores, vec![issued(&key(1))], beginning()).await;
    without_rows(&stores, &mut ana, Event::UserDeleted).await;
    assert_eq!(
        verified(&stores),
        (vec![], 2),
        "the person, whose address cannot be read in the log, and the terms of their key"
    );
    stores.log.project(ana.rows()).await.unwrap();
    assert_eq!(verified(&stores), (vec![], 0));
}

pub(crate) async fn nodes_that_start_at_once_share_one_secret<B: Tables>() {
    let backend = B::new();
    let starts = (0..6).map(|node| {
        let dynamo = if node % 2 == 0 { backend.dynamo() } else { backend.dynamo_of_another_process() };
        async move { secrets::open(&dynamo, &SeededEntropy::new(node)).await.unwrap().cursor_key() }
    });
    let keys = join_all(starts).await;
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    let dynamo = backend.dynamo();
    let kept = get(&dynamo, "secrets", &[("k", text("server"))]).await.unwrap();
    let json = kept.get("json").and_then(|json| json.as_s().ok()).unwrap();
    assert_eq!(Secrets::from_json(json.as_bytes(), "the table").unwrap().cursor_key(), keys[0]);
    let damaged = r#"{"current":1,"versions":{"1":"c2hvcnQ="}}"#;
    put(&dynamo, "secrets", &[("k", text("server")), ("json", text(damaged))]).await;
    let refused = secrets::open(&dynamo, &SeededEntropy::new(9)).await.unwrap_err().to_string();
    assert!(refused.contains(&dynamo.table("secrets")) && !refused.contains("c2hvcnQ"), "{refused}");
    let kept = get(&dynamo, "secrets", &[("k", text("server"))]).await.unwrap();
    assert_eq!(kept.get("json"), Some(&text(damaged)), "it is never replaced");
}
