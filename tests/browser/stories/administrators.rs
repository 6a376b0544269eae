//! Administrators, one and two of them.

use serde_json::json;

use crate::{look::Look, page::Browser, server::Server};

/// They sign in by the link that the server prints, or paste the token; they invite, look, and look at everything that there is.
#[tokio::test]
async fn everything_is_run_without_a_shell() {
    let server = Server::start();
    let looks = [Look::default(), Look::phone().without_scripts()];
    for look in looks {
        let is_first = look.scripts;
        let Some(mut browser) = Browser::open_as(look, server.told("sign_in_url")) else { return };
        if !is_first {
            browser.click("With an administrator’s token");
            browser.fill("Token", server.told("admin_token"));
            browser.loads(|browser| browser.press_key("Enter"));
        }
        browser.sees("Overview");
        let token = server.told("admin_token");
        assert!(!browser.url().contains(token), "the token is taken out of the address");
        browser.accessible("overview");
        if is_first {
            browser.loads(|browser| browser.click_within("header", "Plans", "People"));
            browser.accessible("people, none");
            browser.follow("Invite people");
            browser.accessible("invite");
            browser.fill("List", "ben@example.org, Ben Okafor\nno address\neva@example.org, Eva Lindqvist");
            browser.follow("Check the list");
            browser.sees("2 new");
            browser.sees("1 line is wrong");
            browser.accessible("invite, preview");
            browser.loads(|browser| browser.click_on("button[name=send]"));
            browser.sees("2 invited");
        }
        browser.loads(|browser| browser.click_within("header", "Plans", "People"));
        browser.sees("Ben Okafor");
        browser.accessible("people");
        browser.follow("Ben Okafor");
        browser.accessible("a person");
        for (page, seen) in
            [("Plans", "default"), ("Events", "Ben Okafor"), ("Tokens", "token"), ("Health", "Where things are kept")]
        {
            browser.loads(|browser| browser.click_within("header", "Plans", page));
            browser.sees(seen);
            browser.accessible(page);
        }
        browser.follow("Sign out");
        browser.sees("You are signed out.");
        browser.close();
    }
}

/// What one has shown on their screen, the other changes. What the first does then is done where it is still meant.
#[tokio::test]
async fn two_administrators_at_once_do_not_get_in_each_others_way() {
    let server = Server::start();
    server.invite(&json!({ "email": "ben@example.org", "name": "Ben Okafor" })).await;
    let Some(mut one) = Browser::open(server.told("sign_in_url")) else { return };
    let mut other = one.beside(Look::default(), server.told("sign_in_url"));
    for browser in [&mut one, &mut other] {
        browser.sees("Overview");
        browser.loads(|browser| browser.click_within("header", "Plans", "People"));
        browser.follow("Ben Okafor");
    }
    one.follow("Send the invitation again");
    one.sees("is sent again");
    // Shown before that, and still meant.
    other.click("Disable…");
    other.follow("Disable Ben Okafor");
    other.sees("Ben Okafor is disabled");
    one.click("Delete…");
    one.follow("Delete Ben Okafor");
    other.follow("Enable");
    other.sees("has already been deleted");
    one.close();
    other.close();
}
