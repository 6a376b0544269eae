//! Pages of administrators' tokens.

use super::staff::{administrator, with_token};
use crate::app::TestApp;

/// How the page of tokens is coded for a browser that takes gzip.
async fn coding(app: &TestApp, browser: &crate::browser::Browser<'_>) -> Option<String> {
    let cookies: Vec<String> =
        browser.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = app.request(reqwest::Method::GET, "/admin/tokens").header("cookie", cookies.join("; "));
    let response = request.header("accept", "text/html").header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.headers().get("content-encoding").map(|coding| coding.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_is_made_shown_once_and_revoked() {
    let app = TestApp::start().await;
    let browser = administrator(&app).await;
    let page = browser.open("/admin/tokens").await.expect(200);
    page.shows("first").shows("this page was opened with it").shows("you will be signed out");
    let form = page.form("Make the token").with("access", "read");
    browser.send(&form.clone().with("name", "nightly")).await.expect(400).shows("tick at least one");
    let past = form.clone().with("name", "<b>x").ticked("scopes", "plans").with("expires_at", "2001-01-01");
    let past = browser.send(&past).await.expect(400);
    past.shows("choose a day that is not over");
    let kept = past.form("Make the token").fields;
    for field in [("name", "<b>x"), ("scopes", "plans"), ("expires_at", "2001-01-01")] {
        assert!(kept.contains(&(field.0.to_owned(), field.1.to_owned())), "{kept:?}");
    }
    let taken = form.clone().with("name", "first").ticked("scopes", "plans");
    browser.send(&taken).await.expect(400).shows("a token that works has this name");
    let order = form.with("name", "<b>nightly").ticked("scopes", "plans").with("expires_at", "2099-01-01");
    let made = browser.send(&order).await.expect(200);
    let token = made.copied("new-token");
    assert!(!made.html.contains("<b>nightly") && !made.path.contains(&token));
    assert_eq!(browser.send(&order).await.copied("new-token"), token, "made once");
    assert_eq!(coding(&app, &browser).await, None, "how far a page shrinks tells of the secret on it");
    let kept = browser.send(&made.form("I have saved it")).await.expect(200);
    assert_eq!(coding(&app, &browser).await.as_deref(), Some("gzip"));
    assert!(!kept.html.contains(&token));
    kept.shows("<b>nightly").shows("only reads").shows("until 1 Jan 2099, 23:59 UTC");

    let theirs = with_token(&app, &token, "en").await;
    theirs.open("/admin/plans").await.expect(200);
    theirs.open("/admin/tokens").await.expect(403);
    let made = app.admin_get("/admin-tokens").await.expect(200).json();
    let id = made["data"][0]["id"].as_str().unwrap();
    let revoke = crate::browser::Form { action: format!("/admin/tokens/{id}/revoke"), ..kept.form("Revoke the token") };
    browser.send(&revoke).await.expect(200).shows("was revoked.");
    browser.send(&revoke).await.expect(200).shows("had been revoked already.");
    assert!(theirs.open("/admin/plans").await.path.starts_with("/sign-in"));
}

#[tokio::test]
async fn whoever_revokes_their_own_token_is_signed_out() {
    let app = TestApp::start().await;
    let browser = with_token(&app, &app.admin_token, "de").await;
    let page = browser.open("/admin/tokens").await.expect(200);
    page.shows("Verwaltungstoken").shows("Sie werden abgemeldet");
    let out = browser.send(&page.form("Token widerrufen")).await.expect(200);
    assert!(out.path.starts_with("/sign-in"), "{}", out.path);
    out.shows("wurde widerrufen, und Sie sind abgemeldet.");
    app.admin_get("/users").await.expect(401);
}
