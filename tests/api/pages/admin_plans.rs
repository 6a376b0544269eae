//! Pages of plans.

use reqwest::Method;
use serde_json::json;

use super::staff::{administrator, token_for, with_token};
use crate::app::TestApp;

#[tokio::test]
async fn a_plan_is_made_changed_and_retired() {
    let app = TestApp::with_sample(5).await;
    let browser = administrator(&app).await;
    let list = browser.open("/admin/plans").await.expect(200);
    list.shows("default").shows("for new people");
    let form = list.form("Make the plan");
    let wrong = [
        ("name", "Gold!", "write up to 40 lower-case letters"),
        ("name", "default", "there is a plan of this name already"),
        ("rate_per_s", "fast", "write a number, such as 5 or 0.5"),
        ("burst", "0", "write a whole number from 1 to 10,000,000"),
        ("keys_max", "1000", "write a whole number from 1 to 100"),
        ("rate_per_s", "1e300", "rate_per_s must be between"),
    ];
    let typed = form.with("name", "gold").with("rate_per_s", "2.5").with("burst", "7").with("quota_per_day", "500");
    for (field, value, says) in wrong {
        let again = browser.send(&typed.clone().with(field, value)).await.expect(400);
        again.shows(says);
        let kept = again.form("Make the plan").fields;
        assert!(kept.contains(&(field.to_owned(), value.to_owned())), "{field}: {kept:?}");
    }
    let some = typed.clone().with("reach", "some").without("datasets");
    browser.send(&some).await.expect(400).shows("tick at least one data set");
    let made = browser.send(&some.ticked("datasets", "permits")).await.expect(200);
    made.shows("The plan gold was made.").shows("Nobody has this plan.");
    let plan = app.admin_get("/plans/gold").await.expect(200).json();
    assert_eq!((&plan["rate_per_s"], &plan["datasets"]), (&json!(2.5), &json!(["permits"])));

    app.admin_send(Method::POST, "/users", &json!({ "email": "ana@example.org", "name": "<i>Ana", "plan": "gold" }))
        .await
        .expect(201);
    let page = browser.open("/admin/plans/gold").await.expect(200);
    page.shows("1 person")
        .shows("<i>Ana")
        .shows("1 person has the plan gold and keeps it until you give them another one.");
    assert!(!page.html.contains("<i>Ana"));
    let change = page.form("Save").with("burst", "9");
    // Somebody else is faster: both are shown, and nothing is lost.
    app.admin_send(Method::PUT, "/plans/gold", &json!({ "rate_per_s": 4, "burst": 11, "quota_per_day": 600 }))
        .await
        .expect(200);
    let conflict = browser.send(&change).await.expect(409);
    conflict.shows("Somebody changed this plan meanwhile.").shows("Set now\nYou typed").shows("At once\n11\n9");
    let saved = browser.send(&conflict.form("Save what I typed")).await.expect(200);
    saved.shows("The plan gold was changed.");
    let plan = app.admin_get("/plans/gold").await.expect(200).json();
    assert_eq!((&plan["burst"], &plan["rate_per_s"]), (&json!(9), &json!(2.5)));

    let retired = browser.send(&page.form("Retire gold")).await.expect(200);
    retired.shows("The plan gold was retired.").shows("retired");
    browser.send(&page.form("Retire gold")).await.expect(200).shows("The plan gold was retired already.");
    let default = browser.open("/admin/plans/default").await.expect(200);
    default.shows("This is the plan of every invitation that names none.");
    let form = crate::browser::Form { action: "/admin/plans/default/retire".to_owned(), ..default.form("Save") };
    browser.send(&form).await.expect(200).shows("default is the plan of every invitation that names none.");
    browser.open("/admin/plans/none").await.expect(404);
}

#[tokio::test]
async fn who_may_see_plans_alone_sees_nobody_and_german_is_there() {
    let app = TestApp::start().await;
    app.invite("ana@example.org").await;
    let browser = with_token(&app, &token_for(&app, "plans", &["plans"]).await, "de").await;
    let page = browser.open("/admin/plans/default").await.expect(200);
    page.shows("1 Person hat diesen Plan.");
    assert!(!page.html.contains("ana@example.org"));
    let wrong = browser.send(&page.form("Speichern").with("rate_per_s", "viel")).await.expect(400);
    wrong.shows("Schreiben Sie eine Zahl wie 5 oder 0,5");
    let saved = browser.send(&page.form("Speichern").with("rate_per_s", "2,5")).await.expect(200);
    saved.shows("Der Plan default wurde geändert.");
}
