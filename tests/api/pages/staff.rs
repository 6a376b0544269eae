//! Who sees which page of the administration, and how it stands at a glance.

use reqwest::Method;
use serde_json::json;

use crate::{
    accounts::{member, member_as, sign_in},
    app::TestApp,
    browser::{Browser, Form, Page},
};

/// A browser in which somebody is signed in.
pub(super) async fn signed_in<'a>(app: &'a TestApp, email: &str, language: &'static str) -> Browser<'a> {
    let token = sign_in(app, email).await;
    let browser = Browser::reading(app, language);
    browser.cookies.lock().unwrap().insert("permitd".to_owned(), token);
    browser
}

/// A browser in which an administrator's token was shown.
pub(super) async fn with_token<'a>(app: &'a TestApp, token: &str, language: &'static str) -> Browser<'a> {
    let browser = Browser::reading(app, language);
    let page = browser.open("/sign-in").await.expect(200);
    let csrf = page.html.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = vec![("csrf".to_owned(), csrf), ("token".to_owned(), token.to_owned())];
    browser.send(&Form { action: "/sign-in/token".to_owned(), fields }).await.expect(200);
    browser
}

/// One with the first token.
pub(crate) async fn administrator(app: &TestApp) -> Browser<'_> {
    with_token(app, &app.admin_token, "en").await
}

/// A token that may these.
pub(super) async fn token_for(app: &TestApp, name: &str, scopes: &[&str]) -> String {
    let made = app.admin_send(Method::POST, "/admin-tokens", &json!({ "name": name, "scopes": scopes })).await;
    made.expect(201).json()["token"].as_str().unwrap().to_owned()
}

const PAGES: [(&str, &[&str]); 8] = [
    ("/admin/people", &["people"]),
    ("/admin/people/invite", &["people"]),
    ("/admin/plans", &["plans"]),
    ("/admin/plans/default", &["plans"]),
    ("/admin/tokens", &["people", "data", "plans", "events", "server"]),
    ("/admin/events", &["events"]),
    ("/admin/health", &["server"]),
    ("/admin", &[]),
];

/// A page is whole, and loads nothing from elsewhere.
fn is_whole(page: &Page) {
    assert!(page.html.trim_end().ends_with("</html>"), "{}", page.path);
    assert!(!page.html.contains(" style=") && !page.html.contains("<style") && !page.html.contains(" onclick"));
    assert_eq!(page.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn each_page_is_shown_to_whoever_may_see_it_and_to_nobody_else() {
    let app = TestApp::start().await;
    for (path, _) in PAGES {
        let stranger = Browser::new(&app).open(path).await.expect(200);
        assert!(stranger.path.contains("/sign-in?return_to="), "{path}: {}", stranger.path);
    }
    for scope in ["people", "data", "plans", "events", "server"] {
        let token = token_for(&app, scope, &[scope]).await;
        let browser = with_token(&app, &token, "en").await;
        for (path, needed) in PAGES {
            let page = browser.open(path).await;
            let may = needed.iter().all(|needed| *needed == scope);
            assert_eq!(page.status, if may { 200 } else { 403 }, "{scope} at {path}: {}", page.text());
            if may {
                is_whole(&page);
                // What they may not see is not offered.
                let people = page.links().iter().any(|link| link.ends_with("/admin/people"));
                assert_eq!(people, scope == "people", "{scope} at {path}");
            }
        }
    }
    let administrator = administrator(&app).await;
    for (path, _) in PAGES {
        is_whole(&administrator.open(path).await.expect(200));
    }
}

#[tokio::test]
async fn a_reader_is_told_that_they_may_not_and_a_manager_sees_no_people() {
    let app = TestApp::with_sample(5).await;
    member(&app, "ana@example.org").await;
    member_as(&app, "ben@example.org", "manager").await;
    let reader = signed_in(&app, "ana@example.org", "en").await;
    for path in ["/admin", "/admin/people", "/admin/health"] {
        let page = reader.open(path).await.expect(403);
        is_whole(&page);
        page.shows("permission");
    }
    let manager = signed_in(&app, "ben@example.org", "en").await;
    let overview = manager.open("/admin").await.expect(200);
    overview.shows("Data sets").shows("5 records").shows("Last import");
    assert!(!overview.says("person") && !overview.html.contains("ana@example.org"), "{}", overview.text());
    manager.open("/admin/people").await.expect(403);
}

#[tokio::test]
async fn the_overview_says_what_waits_and_leads_there() {
    let app = TestApp::start().await;
    let browser = administrator(&app).await;
    browser.open("/admin").await.expect(200).shows("Nobody has been invited yet.").shows("reach nobody");
    app.invite("ana@example.org").await;
    // The mail is handed over before that is written down.
    let active = async || {
        let listed = app.admin_get("/users?status=active").await.expect(200).json();
        listed["data"].as_array().filter(|active| active.len() == 1).cloned()
    };
    app.eventually("an invitation that was sent", active).await;
    let overview = browser.open("/admin").await.expect(200);
    overview.shows("1 person").shows("It is ready, and all that it needs answers.");
    assert!(overview.links().iter().any(|link| link == "/admin/people?status=active"), "{:?}", overview.links());
    let german = with_token(&app, &app.admin_token, "de").await;
    german.open("/admin").await.expect(200).shows("erreichen niemanden").shows("1 Person");
}

#[tokio::test]
async fn the_health_is_told_in_words() {
    let app = TestApp::start().await;
    let browser = administrator(&app).await;
    let page = browser.open("/admin/health").await.expect(200);
    page.shows("The server is ready, and all that it needs answers.").shows("0 wait, 0 are being done.");
    page.shows("are kept free of imports").shows(&format!("permitd {}", env!("CARGO_PKG_VERSION")));
    let german = with_token(&app, &app.admin_token, "de").await;
    german.open("/admin/health").await.expect(200).shows("Der Server ist bereit").shows("0 warten, 0 sind in Arbeit.");
}
