//! The log as a page.

use reqwest::Method;
use serde_json::json;

use super::staff::{administrator, token_for, with_token};
use crate::app::TestApp;

#[tokio::test]
async fn the_log_is_told_in_sentences_the_newest_first() {
    let app = TestApp::with_sample(5).await;
    let (id, key) = app.invite_as(&json!({ "email": "ana@example.org", "name": "<u>Ana" })).await;
    let keys = app.admin_get(&format!("/users/{id}/keys")).await.expect(200).json();
    let (key_id, last_four) = (keys["data"][0]["id"].as_str().unwrap(), keys["data"][0]["last_four"].as_str().unwrap());
    app.send(app.admin(Method::DELETE, &format!("/users/{id}/keys/{key_id}"))).await.expect(200);
    let browser = administrator(&app).await;
    let page = browser.open("/admin/events").await.expect(200);
    assert!(!page.html.contains("<u>Ana") && !page.html.contains(&key));
    let text = page.text();
    let revoked = format!("The key ending in {last_four} was revoked by an administrator.");
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words:?}: {text}"));
    assert!(at(&revoked) < at("<u>Ana was invited by an administrator, as reader with the plan default."));
    at("An import into permits was completed: 5 new, 0 changed, 0 removed, 0 rejected.");
    at(
        "The administrator’s token “first” was made by the server. It may read and change: people, data sets, plans, events, server.",
    );
    // Ids stand where they are asked for.
    assert!(page.html.contains("<details><summary>Details</summary>"));

    let some = browser.open("/admin/events?type=ApiKeyRevoked&since=&until=").await.expect(200);
    some.shows(&revoked);
    assert!(!some.says("as reader with the plan"), "{}", some.text());
    browser.open(&format!("/admin/events?person={id}")).await.expect(200).shows("as reader with the plan");
    let first = app.admin_get(&format!("/events?person={id}&limit=1")).await.expect(200).json()["data"][0].clone();
    let request = first["correlation_id"].as_str().unwrap();
    browser.open(&format!("/admin/events?correlation={request}")).await.expect(200).shows("as reader with the plan");
    browser.open("/admin/events?correlation=x").await.expect(200).shows("Nothing of this kind is in the log.");
    browser.open("/admin/events?until=2001-01-01").await.expect(200).shows("Nothing of this kind is in the log.");
    browser.open("/admin/events?since=2001-01-01").await.expect(200).shows(&revoked);
    let wrong = browser.open("/admin/events?since=yesterday&type=ApiKeyRevoked").await.expect(400);
    wrong.shows("write a moment such as");
    assert!(wrong.html.contains("value=\"yesterday\"") && wrong.html.contains("value=\"ApiKeyRevoked\" selected"));
    browser.open("/admin/events?type=Nonsense").await.expect(400).shows("choose one of the list");

    // Who may see the log alone sees no names.
    let auditor = with_token(&app, &token_for(&app, "audit", &["events"]).await, "de").await;
    let page = auditor.open("/admin/events").await.expect(200);
    page.shows("Jemand wurde von der Verwaltung eingeladen, mit der Rolle Lesen und dem Plan default.");
    assert!(!page.html.contains("Ana"), "{}", page.text());
}

#[tokio::test]
async fn a_long_log_goes_on_on_the_next_page() {
    let app = TestApp::start().await;
    let plan = |nth: u32| json!({ "rate_per_s": 1, "burst": nth, "quota_per_day": 10 });
    for nth in 1..=60 {
        app.admin_send(Method::PUT, "/plans/gold", &plan(nth)).await;
    }
    let browser = administrator(&app).await;
    let first = browser.open("/admin/events?type=PlanDefined").await.expect(200);
    first.shows("Requests a second: 1; at once: 60; a day: 10.");
    let next = first.links().into_iter().find(|link| link.contains("after=")).unwrap();
    let second = browser.open(&next).await.expect(200);
    second.shows("at once: 10;").shows("First page");
    assert!(!second.says("at once: 60;"));
}
