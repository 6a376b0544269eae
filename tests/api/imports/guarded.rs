//! What is held until somebody approves of it.

use reqwest::Method;
use serde_json::json;

use super::{Things, files, things};
use crate::app::Answer;

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
