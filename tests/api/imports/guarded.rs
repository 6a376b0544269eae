//! What is held until somebody approves of it.

use reqwest::Method;
use serde_json::json;

use permitd::{clock::ManualClock, dataset::Definition};

use super::{Things, files, things};
use crate::{
    app::{Answer, Options, TestApp},
    data::imported,
    support::{self, backend::Mode},
};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

async fn held(of: &Things, query: &str, file: String) -> (String, serde_json::Value) {
    let held = of.import(query, file).await;
    assert_eq!(held["status"], "held", "{held}");
    (held["id"].as_str().unwrap().to_owned(), held)
}

#[tokio::test]
async fn a_file_that_removes_much_is_held_until_it_is_approved() {
    let of = Things::with(100).await;
    let (id, shown) = held(&of, "&mode=replace", things(0..3)).await;
    let why = &shown["held"]["why"][0];
    assert_eq!((&why["kind"], &why["count"], &why["of"]), (&json!("removed"), &json!(97), &json!(100)), "{shown}");
    assert_eq!((&shown["counts"]["removed"], &shown["held"]["dataset_version"]), (&json!(97), &json!(1)));
    assert_eq!(of.state().await, (100, 1), "nobody sees it");
    let approved = of.decide(&id, "approve").await.expect(202).json();
    assert_eq!(approved["id"], id);
    let done = of.settled(&id).await;
    assert_eq!((&done["status"], &done["counts"]["removed"]), (&json!("completed"), &json!(97)), "{done}");
    assert_eq!(of.state().await, (3, 2));
    assert!(of.decide(&id, "approve").await.expect(409).body.contains("completed"));
    let events = of.app.admin_get("/events?limit=1000").await.body;
    for name in ["ImportHeld", "ImportApproved"] {
        assert_eq!(events.matches(&format!("\"{name}\"")).count(), 1, "{events}");
    }
}

/// Who was told that an approval is accepted is not overtaken by whoever discards.
#[tokio::test]
async fn an_approval_that_was_accepted_is_not_discarded() {
    let of = Things::with(100).await;
    for records in [50, 20, 5] {
        let (id, _) = held(&of, "&mode=replace", things(0..records)).await;
        of.decide(&id, "approve").await.expect(202);
        of.decide(&id, "discard").await.expect(409);
        assert_eq!(of.settled(&id).await["status"], "completed");
    }
}

#[tokio::test]
async fn who_discards_a_held_import_has_nothing_changed_and_nothing_left() {
    let of = Things::with(100).await;
    let (id, _) = held(&of, "&mode=replace", things(0..3)).await;
    assert_eq!(files(&of.app.data().join("imports")).len(), 2);
    let discarded = of.decide(&id, "discard").await.expect(200).json();
    assert_eq!(discarded["status"], "discarded");
    assert_eq!(files(&of.app.data().join("imports")).len(), 1, "the file is gone");
    assert_eq!(of.state().await, (100, 1));
    of.decide(&id, "discard").await.expect(409);
    of.decide(&id, "approve").await.expect(409);
    of.decide(&uuid::Uuid::from_u128(7).to_string(), "approve").await.expect(404);
    of.decide("no-id", "approve").await.expect(404);
}

#[tokio::test]
async fn a_file_without_a_column_or_with_an_empty_one_is_held() {
    let of = Things::with(20).await;
    let renamed = things(0..20).replace("Height", "Hight");
    let (id, shown) = held(&of, "", renamed.clone()).await;
    let why = &shown["held"]["why"][0];
    let told = (&why["kind"], &why["column"], &why["count"], &why["of"]);
    assert_eq!(told, (&json!("nulled"), &json!("height"), &json!(20), &json!(20)), "{shown}");
    assert_eq!(shown["report"]["renamed_headers"], json!([{"header": "Hight", "column": "height"}]));
    assert_eq!(shown["report"]["missing_columns"], json!(["height"]));
    of.decide(&id, "discard").await.expect(200);
    let kept = of.import("&absent=keep", renamed).await;
    assert_eq!((&kept["status"], &kept["counts"]["unchanged"]), (&json!("completed"), &json!(20)), "{kept}");
    let emptied = things(0..20).replace("red", "");
    let (id, shown) = held(&of, "", emptied).await;
    assert_eq!(shown["held"]["why"][0]["column"], "colour");
    of.decide(&id, "approve").await.expect(202);
    assert_eq!(of.settled(&id).await["status"], "completed");
    let record = of.app.get("/things/T1/1", &of.key).await.expect(200).json();
    assert!(record["data"]["colour"].is_null() && record["data"]["height"] == 1, "{record}");
}

#[tokio::test]
async fn a_file_with_many_rejected_rows_is_held_also_into_an_empty_data_set() {
    let of = Things::with(0).await;
    let file = things(0..10) + "T10,red,tall\n=cmd(),red,small\n";
    let (id, shown) = held(&of, "", file).await;
    assert_eq!(shown["held"]["why"][0]["kind"], "rejected", "{shown}");
    assert_eq!(of.state().await.0, 0);
    let path = format!("/imports/{id}/rejects");
    assert_eq!(shown["rejects"], path);
    let rejects = of.app.admin_get(&path).await.expect(200);
    assert_eq!(rejects.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(
        rejects.body.starts_with("line,column,value,reason\n") && rejects.body.contains("tall"),
        "{}",
        rejects.body
    );
    of.decide(&id, "approve").await.expect(202);
    assert_eq!(of.settled(&id).await["status"], "completed");
    assert_eq!(of.state().await.0, 10);
    let clean = of.import("", things(0..10)).await;
    let none = format!("/imports/{}/rejects", clean["id"].as_str().unwrap());
    assert!(of.app.admin_get(&none).await.expect(404).body.contains("none were rejected"));
}

#[tokio::test]
async fn what_has_changed_since_is_compared_anew_and_held_again_where_it_comes_to_more() {
    let of = Things::with(100).await;
    let (id, _) = held(&of, "&mode=replace", things(0..90)).await;
    // Ten more than it was approved for would go.
    assert_eq!(of.import("", things(0..110)).await["status"], "completed");
    of.decide(&id, "approve").await.expect(202);
    let again = of.settled(&id).await;
    assert_eq!((&again["status"], &again["held"]["why"][0]["count"]), (&json!("held"), &json!(20)), "{again}");
    assert_eq!(of.state().await, (110, 2));
    of.decide(&id, "approve").await.expect(202);
    assert_eq!(of.settled(&id).await["status"], "completed");
    assert_eq!(of.state().await, (90, 3));
    // What comes to less is covered.
    let (id, _) = held(&of, "&mode=replace", things(0..45)).await;
    let (other, _) = held(&of, "&mode=replace", things(0..60)).await;
    of.decide(&other, "approve").await.expect(202);
    assert_eq!(of.settled(&other).await["status"], "completed");
    of.decide(&id, "approve").await.expect(202);
    assert_eq!(of.settled(&id).await["status"], "completed");
    assert_eq!(of.state().await.0, 45);
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let of = Things::with(40).await;
    let file = things(0..40).replace("red", "blue").replace("Height", "Weight");
    let told = of.import("&mode=replace&dry_run=true", file).await;
    assert_eq!((&told["status"], &told["dry_run"]), (&json!("completed"), &json!(true)), "{told}");
    let report = &told["report"];
    assert_eq!((&report["counts"]["updated"], &report["changed"]), (&json!(40), &json!(true)));
    let differences = report["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 20);
    let colour = differences.iter().find(|change| change["column"] == "colour").unwrap();
    assert_eq!((&colour["old"], &colour["new"]), (&json!("red"), &json!("blue")));
    assert!(colour["key"].as_str().unwrap().starts_with('T') && colour["record_id"] == "1", "{colour}");
    assert_eq!(report["exceeds"][0]["column"], "height");
    assert_eq!(report["new_headers"], json!(["Weight"]));
    assert_eq!(of.state().await, (40, 1));
    let events = of.app.admin_get("/events?limit=1000").await.body;
    assert_eq!(events.matches("ImportStarted").count(), 1, "the log hears nothing of it");
    assert_eq!(files(&of.app.data().join("imports")).len(), 1, "only what is told of it is kept");
}

#[tokio::test]
async fn a_decision_that_is_repeated_is_made_once() {
    let of = Things::with(100).await;
    let (id, _) = held(&of, "&mode=replace", things(0..3)).await;
    let decide = async |command: &str, key: &str| -> Answer {
        let request = of.app.admin(Method::POST, &format!("/imports/{id}/{command}"));
        of.app.send(request.header("idempotency-key", key)).await
    };
    decide("approve", "a").await.expect(202);
    of.settled(&id).await;
    decide("approve", "a").await.expect(202);
    decide("approve", "b").await.expect(409);
    decide("discard", "a").await.expect(422);
    assert_eq!(of.state().await, (3, 2));
}

#[tokio::test]
async fn events_tell_of_an_import_until_it_rests() {
    let of = Things::with(100).await;
    let (id, _) = held(&of, "&mode=replace", things(0..3)).await;
    let listen = of.app.admin(Method::GET, &format!("/imports/{id}")).header("accept", "text/event-stream");
    let heard = of.app.send(listen).await.expect(200);
    assert_eq!(heard.header("content-type"), Some("text/event-stream"));
    assert!(heard.body.starts_with("event: held\ndata: {") && heard.body.ends_with("}\n\n"), "{}", heard.body);
    of.decide(&id, "approve").await.expect(202);
    let listen = of.app.admin(Method::GET, &format!("/imports/{id}")).header("accept", "text/event-stream");
    let heard = of.app.send(listen).await.expect(200);
    assert!(heard.body.contains("event: completed\n"), "{}", heard.body);
}

#[tokio::test]
async fn a_held_import_survives_a_restart() {
    let mut of = Things::with(100).await;
    let (id, _) = held(&of, "&mode=replace", things(0..3)).await;
    of.app.restart().await;
    let shown = of.app.admin_get(&format!("/imports/{id}")).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["report"]["counts"]["removed"]), (&json!("held"), &json!(97)), "{shown}");
    of.decide(&id, "approve").await.expect(202);
    assert_eq!(of.settled(&id).await["status"], "completed");
    assert_eq!(of.state().await, (3, 2));
}

#[tokio::test]
async fn who_asks_a_server_without_the_file_is_told_which_has_it() {
    let of = Things::with(100).await;
    let (id, shown) = held(&of, "&mode=replace", things(0..3)).await;
    std::fs::remove_file(of.app.data().join(format!("imports/{id}.file"))).unwrap();
    let refused = of.decide(&id, "approve").await.expect(409).json();
    let node = shown["held"]["node"].as_str().unwrap();
    assert!(!node.is_empty() && refused["detail"].as_str().unwrap().contains(node), "{refused}");
    of.decide(&id, "discard").await.expect(200);
}

#[tokio::test]
async fn a_file_that_was_changed_since_is_not_imported() {
    let of = Things::with(100).await;
    let (id, _) = held(&of, "&mode=replace", things(0..3)).await;
    std::fs::write(of.app.data().join(format!("imports/{id}.file")), things(0..90)).unwrap();
    of.decide(&id, "approve").await.expect(202);
    of.app
        .eventually("the reason", async || {
            let shown = of.app.admin_get(&format!("/imports/{id}")).await.expect(200).json();
            let is_told = shown.to_string().contains("it is not what it was");
            (is_told && shown["status"] == "held").then_some(())
        })
        .await;
    assert_eq!(of.state().await, (100, 1));
}

#[tokio::test]
async fn what_nobody_decides_upon_is_discarded_after_a_time() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let options = Options { clock: clock.clone(), ..Options::default() };
    let app = TestApp::with(options).await;
    let definition = Definition::from_toml(super::THINGS, "things.toml").unwrap();
    imported(&app, definition, things(0..100).into_bytes(), "things.csv").await;
    let of = Things { app, key: String::new() };
    let (id, shown) = held(&of, "&mode=replace", things(0..3)).await;
    assert_eq!(shown["held"]["until"].as_str().unwrap().get(..10), Some("2026-03-08"), "{shown}");
    clock.advance_us(6 * DAY_US);
    of.app.service().imports.recover_recent().await.unwrap();
    assert_eq!(of.settled(&id).await["status"], "held");
    clock.advance_us(DAY_US + 1);
    of.app.service().imports.recover_recent().await.unwrap();
    let over = of.settled(&id).await;
    assert_eq!(over["status"], "discarded", "{over}");
    assert!(over["reason"].as_str().unwrap().contains("within 7 days"), "{over}");
    // What is told of it goes in its time, too.
    clock.advance_us(31 * DAY_US);
    of.app.service().imports.tend().await.unwrap();
    assert_eq!(files(&of.app.data().join("imports")), Vec::<String>::new());
}

#[tokio::test]
async fn a_command_beside_the_server_decides_as_well() {
    if crate::MODE == Mode::Aws {
        return;
    }
    let of = Things::with(100).await;
    let run = |arguments: &[&str]| {
        let mut command = support::permitd();
        let output = command.args(arguments).arg("--json").env("PERMITD_DATA", of.app.data()).output().unwrap();
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
        (output.status.code().unwrap(), said)
    };
    let (first, _) = held(&of, "&mode=replace", things(0..3)).await;
    let (second, _) = held(&of, "&mode=replace", things(0..4)).await;
    let (code, listed) = run(&["imports", "list"]);
    assert!(code == 0 && listed.contains(&first) && listed.contains("held"), "{listed}");
    let (code, shown) = run(&["imports", "show", &first]);
    assert!(code == 0 && shown.contains("97 of 100 records would be removed"), "{shown}");
    let (code, done) = run(&["imports", "approve", &first]);
    assert!(code == 0 && done.contains("completed"), "{done}");
    assert_eq!(run(&["imports", "discard", &second]).0, 0);
    assert_eq!(run(&["imports", "approve", &second]).0, 4);
    assert_eq!(run(&["imports", "cancel", &second]).0, 4);
    assert_eq!(run(&["imports", "show", "01a222f0-0000-7000-8000-000000000000"]).0, 3);
    of.app.service().records.refresh().await.unwrap();
    assert_eq!(of.state().await.0, 3);
    assert_eq!(run(&["datasets", "withdraw", "things"]).0, 0);
    of.app.service().records.refresh().await.unwrap();
    of.app.get("/things", &of.key).await.expect(410);
    let (_, shown) = run(&["datasets", "show", "things"]);
    assert!(shown.contains("\"withdrawn\":true") || shown.contains("\"withdrawn\": true"), "{shown}");
    assert_eq!(run(&["datasets", "restore", "things"]).0, 0);
    of.app.service().records.refresh().await.unwrap();
    of.app.get("/things", &of.key).await.expect(200);
}
