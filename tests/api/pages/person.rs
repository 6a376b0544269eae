//! What somebody has here: their data, their keys, their use.

use std::{fs, path::Path, process::Command};

use reqwest::Method;
use serde_json::json;

use super::sign_in::at_noon;
use crate::{
    accounts::member,
    app::TestApp,
    browser::Browser,
    data::unlimited,
    support::{data_dir, tools},
};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn a_form_of_a_key_keeps_what_was_typed_where_something_is_wrong() {
    let (app, _) = at_noon(&[], 5).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    let form = browser.open("/home/keys/new").await.form("Make the key");
    let typed = form.with("label", "\"><script>x").ticked("datasets", "permits");
    let bad = [
        ("expires_at", "2026-02-01", "this day is over"),
        ("expires_at", "tomorrow", "give a day such as"),
        ("expires_at", "2099-01-01", "this is too late"),
        ("allowed_ips", "192.0.2.0/24\nfoo", "no address and no network"),
    ];
    for (field, value, says) in bad {
        let again = browser.send(&typed.clone().with(field, value)).await.expect(400);
        again.shows(says);
        assert!(again.html.contains("aria-invalid") && !again.html.contains("<script>x"), "{}", again.html);
        let kept = again.form("Make the key").fields;
        for (name, value) in [("label", "\"><script>x"), (field, value), ("datasets", "permits")] {
            assert!(kept.contains(&(name.to_owned(), value.to_owned())), "{name}: {kept:?}");
        }
    }
    browser.open("/home").await.shows("Your keys");
    let right = typed.with("label", "Report").with("expires_at", "2026-12-31");
    let right = right.with("allowed_ips", "192.0.2.0/24, 127.0.0.1\n::1");
    let made = browser.send(&right).await.expect(200);
    made.shows("31 Dec 2026").shows("192.0.2.0/24, 127.0.0.1, ::1").shows("permits");
    let key = made.copied("new-key");
    assert_eq!(app.get("/permits?limit=1", &key).await.status, 200);

    // Changed: what is left alone stays.
    let change = made.form("Save");
    assert!(change.fields.contains(&("expires_at".to_owned(), "2026-12-31".to_owned())), "{:?}", change.fields);
    let changed = browser.send(&change.with("label", "Another").with("allowed_ips", "")).await.expect(200);
    changed.shows("The key is changed.").shows("Another").shows("anywhere").shows("31 Dec 2026");
    browser
        .send(&changed.form("Save").with("allowed_ips", "foo").with("label", "Third"))
        .await
        .expect(400)
        .shows("no address and no network");
    let id = made.path.rsplit('/').next().unwrap();
    let stranger = member(&app, "ben@example.org").await;
    assert!(!stranger.is_empty());
    let other = Browser::new(&app);
    other.sign_in("ben@example.org", PASSWORD).await.expect(200);
    other.open(&format!("/home/keys/{id}")).await.expect(404);
    let foreign = crate::browser::Form {
        action: format!("/home/keys/{id}/revoke"),
        ..other.open("/home/keys/new").await.form("Make the key")
    };
    other.send(&foreign).await.expect(404);
    assert_eq!(app.get("/permits?limit=1", &key).await.status, 200);
}

#[tokio::test]
async fn the_use_of_a_day_is_counted_drawn_and_ends_with_the_quota() {
    let (app, _) = at_noon(&[], 5).await;
    let plan = json!({ "rate_per_s": 100, "burst": 100, "quota_per_day": 4 });
    app.admin_send(Method::PUT, "/plans/small", &plan).await.expect(201);
    let (_, key) = app.invite_as(&json!({ "email": ANA, "plan": "small" })).await;
    crate::accounts::set_password(&app, ANA).await;
    let browser = Browser::new(&app);
    let home = browser.sign_in(ANA, PASSWORD).await.expect(200);
    home.shows("4 of 4 requests").shows("Three steps").shows("100 requests per second, up to 100 at once");
    browser.open("/home/use").await.expect(200).shows("You have asked for nothing in the last 30 days");
    app.get("/permits?limit=1", &key).await.expect(200);
    let used = browser.open("/home/use").await.expect(200);
    used.shows("3 of 4 requests").shows("1 request").shows("permits").shows("answered");
    assert!(used.html.contains("class=\"used\" width=\"25\""), "{}", used.html);
    for _ in 0..3 {
        app.get("/permits?limit=1", &key).await.expect(200);
    }
    app.get("/permits?limit=1", &key).await.expect(429);
    let out = browser.open("/home").await.expect(200);
    out.shows("0 of 4 requests").shows("Today’s requests are used up. There are new ones at 2 Mar 2026, 00:00 UTC");
    assert!(out.html.contains("class=\"used\" width=\"100\""));
    let drawn = browser.open("/home/use").await;
    drawn.shows("too many (429)");
    assert!(drawn.html.contains("<title>1 Mar 2026: answered, 4</title>"), "{}", drawn.html);
}

#[tokio::test]
async fn without_data_or_keys_pages_say_what_to_do_next() {
    let app = TestApp::start().await;
    let user = member(&app, ANA).await;
    let keys = app.admin_get(&format!("/users/{user}/keys")).await.json();
    let id = keys["data"][0]["id"].as_str().unwrap().to_owned();
    app.send(app.admin(Method::DELETE, &format!("/users/{user}/keys/{id}"))).await.expect(200);
    let browser = Browser::new(&app);
    let home = browser.sign_in(ANA, PASSWORD).await.expect(200);
    home.shows("Nothing is published here yet").shows("You have no key that works").shows("1 key that has ended");
    browser.open(&format!("/home/keys/{id}")).await.expect(200).shows("This key was revoked on");
    browser.open("/home/examples").await.expect(200).shows("Nothing is published here yet");
    browser.open("/home/keys/pmt_nothing").await.expect(404);
    let german = Browser::reading(&app, "de");
    *german.cookies.lock().unwrap() = browser.cookies.lock().unwrap().clone();
    german.open("/home").await.shows("Sie haben keinen Schlüssel, der gilt").shows("1.000 von 1.000 Anfragen");
    for (path, says) in [
        ("/home/use", "Sie haben in den letzten 30 Tagen nichts abgefragt"),
        ("/home/examples", "Beispiele"),
        ("/home/security", "Sicherheit und Einstellungen"),
        ("/home/keys/new", "Neuer Schlüssel"),
    ] {
        german.open(path).await.expect(200).shows(says);
    }
}

#[tokio::test]
async fn examples_name_the_server_and_the_data_set() {
    let app = TestApp::with_sample(5).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    let page = browser.open("/home/examples?dataset=%3Cscript%3E").await.expect(200);
    let line = page.copied("line-curl");
    assert!(line.starts_with("curl -H 'x-api-key: YOUR_KEY' 'http") && line.ends_with("/permits?limit=3'"), "{line}");
    for id in ["line-curl-csv", "line-python", "line-pandas", "line-r", "line-js", "line-excel", "line-m"] {
        assert!(page.copied(id).contains("permits"), "{id}");
    }
    assert!(!page.html.contains("<script>"));
}

/// All records come, however many pages they take: programs of these languages are there wherever the tests run.
#[tokio::test]
async fn examples_read_all_records() {
    let app = TestApp::with_sample(1_100).await;
    let key = unlimited(&app).await;
    member(&app, "ben@example.org").await;
    let browser = Browser::new(&app);
    browser.sign_in("ben@example.org", PASSWORD).await.expect(200);
    let page = browser.open("/home/examples").await.expect(200);
    let line = |id: &str| page.copied(id).replace("YOUR_KEY", &key);
    let folder = data_dir();
    let printed = |program: &Path, arguments: &[&str], text: &str| {
        let mut command = Command::new(program);
        let output =
            command.args(arguments).arg(text).current_dir(folder.path()).env("NO_PROXY", "*").output().unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    printed(Path::new("sh"), &["-c"], &line("line-curl-csv"));
    let table = fs::read_to_string(folder.path().join("permits.csv")).unwrap();
    let records = csv::Reader::from_reader(table.as_bytes()).records().count();
    assert!(records > 1_000, "{records} are on one page");
    let python = tools::folder().join("venv/bin/python");
    assert_eq!(printed(&python, &["-c"], &line("line-python")).trim(), records.to_string());
    assert_eq!(
        printed(Path::new("node"), &["--input-type=module", "-e"], &line("line-js")).trim(),
        records.to_string()
    );
}
