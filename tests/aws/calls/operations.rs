//! Every operation makes the calls that the table says: no more, no fewer, and none that it does not name.

use std::{io::Cursor, sync::Arc};

use permitd::{
    actors::import::{ImportProgress, Order},
    aws::SetupAction,
    clock::{Clock, ManualClock},
    dataset::{
        Definition,
        sample::{self, SampleFormat},
    },
    domain::{
        event::Origin,
        id::Who,
        key::{AdminToken, ApiKey, KeyId},
    },
    mail::{Sender, ses},
    store::records::Since,
};
use reqwest::Method;
use serde_json::json;

use super::{counting::Counting, quiet, signing_in, table::Table};
use crate::{
    app::TestApp,
    identity_server::{CLIENT, IdentityServer, SECRET},
    support::emulator,
};

const SAMPLE_ROWS: u64 = 60;
/// Rows that the counted import changes, adds and removes.
const CHANGED: u64 = 30;
const ADDED: u64 = 7;
const REMOVED: u64 = 3;
/// The column that the counted import changes.
const COLUMN: &str = "DESCRIPTION";
const FAST: &str = "/plans/fast";
/// A record that every sample has.
const RECORD: &str = "/permits/201612013997";

#[tokio::test]
async fn every_operation_makes_the_calls_that_the_table_says() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let from = format!("Permit Office <permits@{}.example>", emulator::prefix());
    let provider = IdentityServer::start(clock.now());
    let settings = vec![
        ("mail.transport", "ses".to_owned()),
        ("mail.from", from.clone()),
        ("oidc.issuer", provider.issuer.clone()),
        ("oidc.client_id", CLIENT.to_owned()),
        ("oidc.client_secret", SECRET.to_owned()),
    ];
    let app = TestApp::with(quiet(&clock, SAMPLE_ROWS, settings)).await;
    let access = app.place().access().await.expect("access to AWS");
    ses::setup(&access, &Sender::parse(&from, "").unwrap(), "", SetupAction::Make).await.unwrap();
    let mut counting = Counting::of(&app).await;
    // That the token is used is noted once a minute.
    counting.aside(app.admin_get("/plans")).await.expect(200);

    let user = people(&app, &mut counting, &provider).await;
    let (path, nothing) = (format!("/users/{user}/keys"), json!({}));
    let issue = app.admin_send(Method::POST, &path, &nothing);
    // Beside the one that was mailed.
    let issued = counting
        .count_with_message("issue a key, up to the notice", &[("K", 2), ("G", 0)], issue)
        .await
        .expect(201)
        .json();
    let key = issued["key"].as_str().expect("a key").to_owned();
    requests(&app, &mut counting, &clock, &key).await;
    let key_path = format!("{path}/{}", issued["id"].as_str().unwrap());
    keys(&app, &mut counting, &clock, &user, &key_path, &key).await;
    imports(&app, &mut counting).await;
    ticks(&app, &mut counting).await;
    counting.compare(&Table::read());
}

/// Defines a plan and invites somebody; their id.
async fn people(app: &TestApp, counting: &mut Counting<'_>, provider: &IdentityServer) -> String {
    let limits = json!({ "rate_per_s": 100, "burst": 200, "quota_per_day": 100_000 });
    let plan = counting.count("define or change a plan", &[], app.admin_send(Method::PUT, FAST, &limits)).await;
    assert!((200..300).contains(&plan.status), "{}", plan.body);
    let address = format!("ana@{}.example", emulator::prefix());
    let body = json!({ "email": address });
    let invite = app.admin_send(Method::POST, "/users", &body);
    let user = counting.count_with_message("invite somebody, up to the mail", &[], invite).await.expect(201).json();
    let user = user["id"].as_str().expect("an id").to_owned();
    let (path, plan) = (format!("/users/{user}"), json!({ "plan": "fast" }));
    let change = app.admin_send(Method::PATCH, &path, &plan);
    counting.count("give somebody another plan", &[("K", 1), ("G", 0)], change).await.expect(200);
    keyed(app, counting, &path).await;
    signing_in::count(app, counting, &address).await;
    provider.knows(&address);
    signing_in::count_at_provider(app, counting).await;
    user
}

/// Changes of somebody under idempotency keys.
async fn keyed(app: &TestApp, counting: &mut Counting<'_>, path: &str) {
    let change = |key: &str| {
        let disabled = json!({ "status": "disabled" });
        app.send(app.admin(Method::PATCH, path).header("idempotency-key", key).json(&disabled))
    };
    let sizes = [("K", 1), ("G", 0)];
    counting.count("change somebody, under an `Idempotency-Key`", &sizes, change("1")).await.expect(200);
    let operation = "change of somebody that is so already, under an `Idempotency-Key`";
    let first = counting.count(operation, &[("G", 0)], change("2")).await.expect(200);
    let again = counting.count("the same again", &[("G", 0)], change("2")).await.expect(200);
    assert_eq!(first.body, again.body);
    let active = json!({ "status": "active" });
    counting.aside(app.admin_send(Method::PATCH, path, &active)).await.expect(200);
}

/// Requests of records with a key that is on the plan `fast`.
async fn requests(app: &TestApp, counting: &mut Counting<'_>, clock: &ManualClock, key: &str) {
    let first = async {
        let answer = app.get(RECORD, key).await;
        let written = async || (app.service().notices.counts().first_requests == 1).then_some(());
        app.eventually("the first request to be written down", written).await;
        answer
    };
    let operation = "first request of a person, which is written down, of a record that is not cached";
    counting.count(operation, &[("K", 2)], first).await.expect(200);
    let page = counting.aside(app.get("/permits?limit=5", key)).await.expect(200).json();
    let records = page["data"].as_array().expect("records").iter();
    let paths = records.filter_map(|record| record["application_number"].as_str());
    // A sign before the number would begin a fragment.
    let mut paths = paths.map(|number| format!("/permits/{}", number.trim_start_matches('#')));
    let path = paths.find(|path| path != RECORD).expect("another record");
    counting.count("read of a record that is not cached", &[], app.get(&path, key)).await.expect(200);
    counting.count("read of a record that is cached", &[], app.get(&path, key)).await.expect(200);
    let page = app.get("/permits?status=issued&sort=file_date&limit=5", key);
    let page =
        counting.count("page of records, count, facets, groups, stats, export", &[], page).await.expect(200).json();
    assert_eq!(page["data"].as_array().map(Vec::len), Some(5), "a whole page");
    let described = app.get("/datasets/permits", key);
    counting.count("description of a data set, `/datasets/{name}`", &[], described).await.expect(200);
    clock.advance_us(1_000_000);
    let second = app.get(&path, key);
    counting.aside(second).await.expect(200);
    clock.advance_us(1_000_000);
    counting.count("next grant of a person who goes on", &[], app.get(&path, key)).await.expect(200);

    let forged = ApiKey::new(KeyId::from_random([7; 12]), &[7; 24]);
    counting.count("request with junk for a key", &[], app.get(&path, "pmt_junk")).await.expect(401);
    counting.count("request with a forged key", &[], app.get(&path, forged.reveal())).await.expect(401);
    // The id of a key that there is.
    let forged = ApiKey::new(KeyId::parse(key.split('_').nth(1).unwrap()).unwrap(), &[7; 24]);
    counting.count("request with a forged key of a known id", &[], app.get(&path, forged.reveal())).await.expect(401);
}

/// What becomes of the key that the requests were made with; its owner has another, and is deleted at last.
async fn keys(app: &TestApp, counting: &mut Counting<'_>, clock: &ManualClock, user: &str, key_path: &str, key: &str) {
    let usage = format!("/users/{user}/usage");
    counting
        .count("page of somebody's usage, of whom this node has counted something", &[("K", 2)], app.admin_get(&usage))
        .await
        .expect(200);
    // One read of the stream, whichever way the past is named.
    let past = format!("/users/{user}/keys?as_of=2999-01-01T00:00:00Z");
    counting.count("keys of somebody as of an earlier moment", &[], app.admin_get(&past)).await.expect(200);
    let past = format!("/users/{user}?as_of=position:9223372036854775807");
    counting.count("somebody as of a position of the log", &[], app.admin_get(&past)).await.expect(200);
    let (rotate, grace) = (format!("{key_path}/rotate"), json!({ "grace_s": 3600 }));
    let rotate = app.admin_send(Method::POST, &rotate, &grace);
    // The new one, too. This node holds a grant of one of them.
    let rotated = counting
        .count_with_message("rotate a key, up to the notice", &[("K", 3), ("G", 1)], rotate)
        .await
        .expect(201)
        .json();
    let other = app.beside().await;
    let mut elsewhere = Counting::of(&other).await;
    elsewhere.aside(other.get(RECORD, key)).await.expect(200);
    counting.aside(app.get(RECORD, key)).await.expect(200);
    let revoke = app.send(app.admin(Method::DELETE, key_path));
    counting.count_with_message("revoke a key, up to the notice", &[("K", 3), ("G", 1)], revoke).await.expect(200);
    let here = || app.get(RECORD, key);
    counting.count("first request of a revoked key, where it was revoked", &[], here()).await.expect(401);
    counting.count("request of a revoked key within a grant's life of that", &[], here()).await.expect(401);
    let there = || other.get(RECORD, key);
    elsewhere.count("request of a revoked key elsewhere, in the grant that is held", &[], there()).await.expect(200);
    clock.advance_us(1_000_000);
    elsewhere.count("first request of a revoked key elsewhere, after that", &[], there()).await.expect(401);
    counting.join(elsewhere);
    counting.aside(app.get(RECORD, rotated["key"].as_str().unwrap())).await.expect(200);
    let path = format!("/users/{user}");
    let delete = app.send(app.admin(Method::DELETE, &path));
    let sizes = [("K", 2), ("G", 1), ("H", 2)];
    counting.count_with_message("delete somebody, up to their keys", &sizes, delete).await.expect(200);
}

/// The sample with some rows changed, some added and some removed.
fn changed_sample() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    sample::generate(SAMPLE_ROWS + ADDED, 1, SampleFormat::Csv, &mut file).unwrap();
    let file = file.into_inner();
    let mut reader = csv::Reader::from_reader(file.as_slice());
    let headers = reader.headers().unwrap().clone();
    let column = headers.iter().position(|header| header == COLUMN).expect("the column");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&headers).unwrap();
    for (number, row) in (0..).zip(reader.records()).filter(|(number, _)| *number >= REMOVED) {
        let (row, is_changed) = (row.unwrap(), number < REMOVED + CHANGED);
        let cells = row.iter().enumerate();
        let changed = cells.map(|(place, cell)| if is_changed && place == column { "something else" } else { cell });
        writer.write_record(changed).unwrap();
    }
    writer.into_inner().unwrap()
}

async fn imports(app: &TestApp, counting: &mut Counting<'_>) {
    let definition = Definition::builtin().unwrap().into_iter().find(|definition| definition.name == "permits");
    let definition = Arc::new(definition.expect("permits"));
    let order = |file: Vec<u8>| Order {
        file: Box::new(Cursor::new(file)),
        file_name: "changed.csv".to_owned(),
        definition: Arc::clone(&definition),
        reading: Arc::clone(&definition),
        replace: true,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "import".to_owned(), causation_id: None },
        progress: Arc::new(ImportProgress::default()),
    };
    let imports = &app.service().imports;
    let sizes = [("C", CHANGED + ADDED + REMOVED)];
    let import = imports.import(order(changed_sample()));
    let counts = counting.count("import", &sizes, import).await.unwrap().counts;
    assert_eq!((counts.updated, counts.inserted, counts.removed), (CHANGED, ADDED, REMOVED));
    let import = imports.import(order(changed_sample()));
    let counts = counting.count("import that changes nothing", &[], import).await.unwrap().counts;
    assert_eq!((counts.updated, counts.inserted, counts.removed), (0, 0, 0));
}

/// What a node does again and again.
async fn ticks(app: &TestApp, counting: &mut Counting<'_>) {
    let swept = counting.count("sweep of the relay, nothing left behind", &[], app.service().relay.sweep()).await;
    assert_eq!(swept.unwrap(), 0);
    let noticed = counting.count("look for keys that expire, none due", &[], app.service().notices.sweep()).await;
    assert_eq!(noticed.unwrap(), 0);
    let stores = app.service().committer.stores.clone();
    let mark = counting.count("look whether the deployment was moved, one in 3 s", &[], stores.upkeep.mark()).await;
    assert!(mark.unwrap().is_none());
    let last = stores.checkpoints.checkpoints(None, 1);
    let last = counting.count("look whether a checkpoint is due, one in a minute", &[], last).await;
    assert!(last.unwrap().is_empty());
    let drained = counting.count("look for a message, none there", &[], app.service().mailers.drain()).await;
    assert_eq!(drained.unwrap(), 0);
    let ready =
        counting.count("a look at `/health/ready`, at most one in 5 s", &[], app.ops_get("/health/ready")).await;
    ready.expect(200);
    let again = counting.aside(app.ops_get("/health/ready"));
    again.await.expect(200);
    // Last, since it uses connections of this thread's.
    let records = &app.service().records;
    counting.count("refresh of the data sets", &[], records.refresh()).await.unwrap();
    let permits = records.data_set("permits").expect("permits");
    let since = Since::Version(permits.version - 1);
    let changes = records.changes(&permits, &since, 100);
    let changes = counting.count("page of the changes since a version", &[], changes).await.unwrap();
    assert_eq!(u64::from(changes.document.count()), CHANGED + ADDED + REMOVED);
    let changes = changes.document.finish(&[], "permits", changes.version);
    let changes: serde_json::Value = serde_json::from_slice(&changes).unwrap();
    let key = changes["data"][0]["key"].as_str().expect("a key");
    let history = records.history(&permits, key, None, None, 100);
    assert!(counting.count("history of a record", &[], history).await.unwrap().is_some());
}

#[tokio::test]
async fn wrong_tokens_and_keys_make_no_call() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    // Its clock stands, and so would answers that are put off.
    let unpaced = [("http.wrong_keys_max", "100000"), ("http.refusals_per_s", "1000000")];
    let unpaced = unpaced.map(|(name, value)| (name, value.to_owned())).to_vec();
    let app = TestApp::with(quiet(&clock, 0, unpaced)).await;
    let mut counting = Counting::of(&app).await;
    let forged = ApiKey::new(KeyId::from_random([7; 12]), &[7; 24]);
    let token = AdminToken::new(KeyId::from_random([7; 12]), &[7; 24]);
    counting
        .count("500 wrong tokens", &[], async {
            for guess in 0..500 {
                let of_older_form = format!("pmt_admin_{guess:048x}");
                let wrong = [of_older_form.as_str(), token.reveal(), forged.reveal(), "", "x"][guess % 5];
                let answer = app.send(app.request(Method::GET, "/users").bearer_auth(wrong)).await;
                assert!(matches!(answer.status, 401 | 429), "{}", answer.body);
            }
        })
        .await;
    assert_eq!(counting.calls_of("500 wrong tokens"), 0);
    let forged = forged.reveal();
    let is_zero = forged.ends_with('0');
    let sum_is_wrong = format!("{}{}", &forged[..forged.len() - 1], if is_zero { '1' } else { '0' });
    counting
        .count("500 wrong keys", &[], async {
            for guess in 0..500 {
                let without_prefix = forged.trim_start_matches("pmt_");
                let wrong = [without_prefix, &forged[..forged.len() - 1], &sum_is_wrong, forged, "x"][guess % 5];
                let answer = app.get("/permits/201612013997", wrong).await;
                assert!(matches!(answer.status, 401 | 404 | 429), "{}", answer.body);
            }
        })
        .await;
    assert_eq!(counting.calls_of("500 wrong keys"), 0);
}
