//! Somebody who uses no mouse. Wherever Tab leads, the focus has to be seen.

use serde_json::json;

use super::entering::looks;
use crate::{
    page::Browser,
    server::{PASSWORD, Server},
};

/// Goes to a link or button by Tab, presses Enter on it, and waits for what comes.
fn follow(browser: &mut Browser, name: &str) {
    browser.loads(|browser| {
        browser.tab_to(name);
        browser.press_key("Enter");
    });
}

fn write(browser: &mut Browser, field: &str, text: &str) {
    browser.tab_to(field);
    browser.write(text);
}

/// Signs in, on a page that has the form for it.
fn enter(browser: &mut Browser, email: &str) {
    browser.sees("E-mail address");
    write(browser, "E-mail address", email);
    write(browser, "Password", PASSWORD);
    browser.loads(|browser| browser.press_key("Enter"));
}

#[tokio::test]
async fn an_administrator_needs_no_mouse() {
    let server = Server::start();
    server.member(&json!({ "email": "ada@example.org", "name": "Ada Adler", "role": "admin" })).await;
    for (nth, look) in looks().into_iter().enumerate() {
        let scripts = look.scripts;
        let Some(mut browser) = Browser::open_as(look, &format!("{}/sign-in", server.told("url"))) else { return };
        enter(&mut browser, "ada@example.org");
        browser.sees("Hello, Ada Adler");
        follow(&mut browser, "Administration");
        // What is the same on every page can be passed over.
        browser.tab_to("Skip to the content");
        browser.press_key("Enter");
        assert_eq!(browser.evaluate("location.hash"), "#main");
        browser.tab_to("People");
        follow(&mut browser, "Invite people");
        let email = format!("ben{nth}@example.org");
        write(&mut browser, "E-mail address", &email);
        write(&mut browser, "Name (optional)", &format!("Ben {nth}"));
        follow(&mut browser, "Invite");
        browser.sees(&format!("{email} is invited."));

        // A question is opened, thought better of, and answered.
        follow(&mut browser, "People");
        follow(&mut browser, &format!("Ben {nth}"));
        browser.tab_to("Disable…");
        browser.press_key("Space");
        browser.sees(&format!("This disables Ben {nth}"));
        browser.tab_to(&format!("Disable Ben {nth}"));
        if scripts {
            browser.press_key("Escape");
            browser.sees_no(&format!("This disables Ben {nth}"));
            assert_eq!(browser.focus().as_deref(), Some("Disable…"), "Escape leads back");
            browser.press_key("Enter");
            browser.tab_to(&format!("Disable Ben {nth}"));
        }
        browser.loads(|browser| browser.press_key("Space"));
        browser.sees(&format!("Ben {nth} is disabled."));

        // A file is chosen where others drop it.
        follow(&mut browser, "Imports");
        browser.tab_to("File");
        let file = server.folder.path().join("december.csv");
        browser.asks_for_file(&file, |browser| browser.press_key("Space"));
        follow(&mut browser, "Look at the file");
        browser.sees("How the file is read");
        follow(&mut browser, "Sign out");
        browser.sees("You are signed out.");
        browser.close();
    }
}

#[tokio::test]
async fn a_reader_needs_no_mouse() {
    let server = Server::start();
    server.member(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    for look in looks() {
        let Some(mut browser) = Browser::open_as(look, &format!("{}/home", server.told("url"))) else { return };
        enter(&mut browser, "ana@example.org");
        follow(&mut browser, "New key");
        write(&mut browser, "Name (optional)", "laptop");
        follow(&mut browser, "Make the key");
        browser.sees("Your new key");
        follow(&mut browser, "I have saved it");
        follow(&mut browser, "Home");
        follow(&mut browser, "Explore");
        browser.sees("in the order of application number");
        browser.tab_to("Filters");
        browser.press_key("Enter");
        browser.tab_to("status");
        browser.press_key("Space");
        write(&mut browser, "Is", "issued");
        browser.loads(|browser| browser.press_key("Enter"));
        browser.sees("whose status is issued");
        follow(&mut browser, "Remove: status is issued");
        browser.sees("San Francisco building permits, in the order of application number.");
        browser.close();
    }
}

/// Every stop of the pages that have most on them.
#[tokio::test]
async fn the_focus_is_seen_everywhere() {
    let server = Server::start();
    let user = server.member(&json!({ "email": "ada@example.org", "name": "Ada Adler", "role": "admin" })).await;
    for look in looks() {
        let Some(mut browser) = Browser::open_as(look, &format!("{}/home", server.told("url"))) else { return };
        enter(&mut browser, "ada@example.org");
        let person = format!("/admin/people/{user}");
        for path in [
            "/",
            "/home",
            "/home/keys/new",
            "/home/security",
            "/home/examples",
            "/permits/explore?limit=5",
            "/permits/about",
            "/admin",
            "/admin/people/invite",
            &person,
            "/admin/plans/default",
            "/admin/imports",
            "/admin/tokens",
            "/admin/events",
            "/problems",
        ] {
            browser.go(&format!("{}{path}", server.told("url")));
            browser.sees("permitd");
            assert!(browser.stops().len() > 5, "{path}");
        }
        browser.close();
    }
}
