//! Somebody who was invited five minutes ago and has never heard of an API.

use serde_json::json;

use crate::{
    guard::Kind,
    look::Look,
    page::Browser,
    server::{PASSWORD, Server},
};

/// From the link in the mail to a key that works, another in its place, and none.
#[tokio::test]
async fn from_the_invitation_to_a_key_and_its_end() {
    let server = Server::start();
    for (nth, look) in [Look::default(), Look::phone().without_scripts()].into_iter().enumerate() {
        let email = format!("ana{nth}@example.org");
        server.invite(&json!({ "email": email, "name": "Ana Ito" })).await;
        let Some(mut browser) = Browser::open_as(look, &server.link(&email).await) else { return };
        browser.sees("Welcome: choose a password");
        browser.accessible("the link of an invitation");
        browser.fill("New password", PASSWORD);
        browser.follow("Set password and sign in");
        browser.sees("Hello, Ana Ito");
        browser.accessible("home");

        browser.follow("New key");
        browser.accessible("a new key's form");
        browser.fill("Name (optional)", "laptop");
        browser.follow("Make the key");
        browser.sees("It stays here until you say that you have it");
        browser.accessible("a new key");
        let key = browser.read("#new-key");
        assert_eq!(server.status("/permits?limit=1", &key).await, 200);
        browser.press_key("Escape");
        browser.reload();
        assert_eq!(browser.read("#new-key"), key, "it is not lost");
        browser.follow("I have saved it");
        browser.sees_no(&key);

        browser.follow("Replace the key");
        browser.sees("The key is replaced.");
        let second = browser.read("#new-key");
        assert_ne!(second, key);
        for key in [&key, &second] {
            assert_eq!(server.status("/permits?limit=1", key).await, 200, "the old one works on for a day");
        }
        browser.follow("I have saved it");
        browser.click("Revoke this key …");
        browser.sees("This cannot be undone");
        browser.accessible("a key, about to be revoked");
        browser.follow("Revoke the key");
        browser.sees("is revoked");
        assert_eq!(server.status("/permits?limit=1", &second).await, 401);

        for (page, seen) in [("Use", "Use"), ("Examples", "curl"), ("Security and settings", "Password")] {
            browser.follow(page);
            browser.sees(seen);
            browser.accessible(page);
        }
        browser.close();
    }
}

/// The password is forgotten; a link comes by mail, and the account is there as before.
#[tokio::test]
async fn whoever_forgot_their_password_gets_in_again() {
    let server = Server::start();
    server.invite(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    server.link("ana@example.org").await;
    let Some(mut browser) = Browser::open(&format!("{}/sign-in", server.told("url"))) else { return };
    browser.follow("I have forgotten my password, or never set one");
    browser.accessible("a forgotten password");
    browser.fill("E-mail address", "ana@example.org");
    browser.loads(|browser| browser.press_key("Enter"));
    browser.accessible("a link is on its way");
    let mail = server.mail("ana@example.org", "password").await;
    assert!(mail.contains("/links/"), "{mail}");
    browser.go(&server.link("ana@example.org").await);
    browser.fill("New password", PASSWORD);
    browser.follow("Set password and sign in");
    browser.sees("Hello, Ana Ito");
    browser.close();
}

/// An administrator disables somebody who is looking: the next page says that they are signed out, and nothing is done.
#[tokio::test]
async fn whoever_is_disabled_meanwhile_is_signed_out() {
    let server = Server::start();
    let user = server.invite(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    let Some(mut browser) = Browser::open(&server.link("ana@example.org").await) else { return };
    browser.fill("New password", PASSWORD);
    browser.follow("Set password and sign in");
    browser.follow("New key");
    let disabled = json!({ "status": "disabled" });
    server.send(reqwest::Method::PATCH, &format!("/users/{user}"), &disabled).await;
    browser.fill("Name (optional)", "laptop");
    browser.expect(Kind::Failed, "401 POST");
    browser.follow("Make the key");
    browser.sees("Your session has ended");
    let mut tab = browser.another_tab(&format!("{}/sign-in", server.told("url")));
    tab.expect(Kind::Failed, "401 POST");
    tab.fill("E-mail address", "ana@example.org");
    tab.fill("Password", PASSWORD);
    tab.loads(|tab| tab.press_key("Enter"));
    tab.sees("The address or the password is wrong.");
    tab.close();
    browser.follow("Send again");
    browser.sees("Your session has ended");
    browser.close();
}

/// Somebody is asked to sign in when they send a form: they do so in another tab, come back, and what they typed is still there.
#[tokio::test]
async fn what_was_typed_outlasts_a_session() {
    let server = Server::start();
    let user = server.invite(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    let Some(mut browser) = Browser::open(&server.link("ana@example.org").await) else { return };
    browser.fill("New password", PASSWORD);
    browser.follow("Set password and sign in");
    browser.follow("New key");
    browser.fill("Name (optional)", "The report <b>of Mondays</b>");
    server.send(reqwest::Method::DELETE, &format!("/users/{user}/sessions"), &json!({})).await;
    browser.expect(Kind::Failed, "401 POST");
    browser.follow("Make the key");
    browser.accessible("a form again, the session over");
    browser.click("What is sent");
    browser.sees("The report <b>of Mondays</b>");
    let mut tab = browser.another_tab(&format!("{}/sign-in", server.told("url")));
    tab.fill("E-mail address", "ana@example.org");
    tab.fill("Password", PASSWORD);
    tab.follow("Sign in");
    tab.sees("Hello, Ana Ito");
    browser.expect(Kind::Failed, "403 POST");
    browser.follow("Send again");
    browser.sees("Send it again?");
    browser.accessible("a form again, signed in meanwhile");
    browser.follow("Send again");
    browser.sees("Your new key");
    tab.go(&format!("{}/home", server.told("url")));
    tab.sees("The report <b>of Mondays</b>");
    tab.close();
    browser.close();
}
