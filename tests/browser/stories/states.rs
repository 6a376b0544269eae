//! States of the administration's pages that no other story comes to.

use reqwest::Method;
use serde_json::json;

use super::entering::{enter, looks};
use crate::{chromium::PATIENCE, guard::Kind, look::Look, page::Browser, server::Server};

async fn server_of_ada() -> Server {
    let server = Server::start();
    server.member(&json!({ "email": "ada@example.org", "name": "Ada Adler", "role": "admin" })).await;
    server
}

#[tokio::test]
async fn tokens_are_made_and_revoked() {
    for look in looks() {
        let server = server_of_ada().await;
        let Some(mut browser) = enter(&server, look, "ada@example.org", "/admin/tokens") else { return };
        browser.expect(Kind::Failed, "400 POST");
        browser.click("Make a token");
        browser.fill("Name", "nightly import");
        assert_eq!(browser.follow("Make the token"), 400);
        browser.sees("Tick at least one");
        browser.accessible("tokens, a form that is not right");
        browser.tick("Data sets and imports");
        browser.follow("Make the token");
        browser.sees("This is the only time that it is shown.");
        let token = browser.read("#new-token");
        browser.accessible("tokens, a new one");
        let listed = server.client.get(format!("{}/imports", server.told("url"))).bearer_auth(&token);
        assert_eq!(listed.send().await.unwrap().status(), 200);
        browser.follow("I have saved it");
        browser.sees_no(&token);
        browser.click_within("tr", "nightly import", "Revoke…");
        browser.sees("Programs with the token “nightly import” are refused at once.");
        browser.accessible("a token, about to be revoked");
        browser.follow("Revoke the token");
        browser.sees("The token “nightly import” was revoked.");
        browser.close();
    }
}

/// What two administrators change in a plan at once is put beside one another.
#[tokio::test]
async fn plans_are_made_changed_at_once_and_retired() {
    for look in looks() {
        let server = server_of_ada().await;
        let Some(mut browser) = enter(&server, look, "ada@example.org", "/admin/plans") else { return };
        browser.expect(Kind::Failed, " POST ");
        browser.click("Make a plan");
        browser.fill("Name", "Schools!");
        browser.fill("Requests a day", "many");
        assert_eq!(browser.follow("Make the plan"), 400);
        browser.sees("Write up to 40 lower-case letters");
        browser.accessible("plans, a form that is not right");
        browser.fill("Name", "schools");
        assert_eq!(browser.follow("Make the plan"), 400);
        browser.sees("Write a whole number");
        browser.fill("Requests a day", "500");
        browser.follow("Make the plan");
        browser.sees("The plan schools was made.");
        if !browser.url().ends_with("/schools") {
            browser.follow("schools");
        }
        browser.sees("Nobody has this plan.");
        let other = json!({ "rate_per_s": 7, "burst": 7, "quota_per_day": 700 });
        server.send(Method::PUT, "/plans/schools", &other).await;
        browser.fill("Requests a day", "600");
        browser.follow("Save");
        browser.sees("Somebody changed this plan meanwhile.");
        browser.accessible("a plan, changed meanwhile");
        browser.follow("Save what I typed");
        browser.sees("The plan schools was changed.");
        server.invite(&json!({ "email": "ben@example.org", "name": "Ben Okafor", "plan": "schools" })).await;
        browser.reload();
        browser.sees("Ben Okafor");
        browser.accessible("a plan of somebody");
        browser.click("Retire the plan…");
        browser.sees("1 person has the plan schools and keeps it");
        browser.follow("Retire schools");
        browser.sees("The plan schools was retired.");
        browser.accessible("a plan, retired");
        browser.close();
    }
}

#[tokio::test]
async fn a_person_is_acted_upon_in_every_way() {
    for look in looks() {
        let server = server_of_ada().await;
        let ben = server.member(&json!({ "email": "ben@example.org", "name": "Ben Okafor" })).await;
        let page = format!("/admin/people/{ben}");
        let Some(mut browser) = enter(&server, look, "ada@example.org", &page) else { return };
        browser.click("Issue a key…");
        browser.fill("What it is called (optional)", "laptop");
        browser.accessible("a person, a key is issued");
        browser.follow("Issue the key");
        browser.sees("This is the only time that it is shown.");
        browser.accessible("a person, a new key");
        let key = browser.read("#new-key");
        assert_eq!(server.status("/permits?limit=1", &key).await, 200);
        browser.follow("I have saved it");
        browser.click_within("tr", "laptop", "Replace…");
        browser.accessible("a person, a key about to be replaced");
        browser.follow("Replace the key");
        browser.sees("The key was replaced.");
        browser.follow("I have saved it");
        browser.choose("Role", "manager");
        browser.follow("Change the role");
        browser.sees("Ben Okafor has the role manager now.");
        browser.follow("Mail a link to set a password");
        browser.sees("A link to set a password is on its way to Ben Okafor.");
        browser.click("Disable…");
        browser.accessible("a person, about to be disabled");
        browser.follow("Disable Ben Okafor");
        browser.accessible("a person, disabled");
        browser.follow("Enable");
        browser.sees("Ben Okafor is enabled.");
        browser.fill("As of an earlier moment (UTC)", "2100-01-01T00:00");
        browser.loads(|browser| browser.click_within("form", "As of an earlier moment", "Show"));
        browser.sees("This is how it stood then");
        browser.accessible("a person, as of a moment");
        browser.follow("Show how it stands now");
        browser.click("Delete…");
        browser.sees("This cannot be undone.");
        browser.accessible("a person, about to be deleted");
        browser.follow("Delete Ben Okafor");
        browser.sees("was deleted");
        browser.go(&format!("{}{page}", server.told("url")));
        browser.sees("Erased person");
        browser.accessible("a person, deleted");
        // Whoever is there already is not invited again.
        browser.go(&format!("{}/admin/people/invite", server.told("url")));
        browser.expect(Kind::Failed, "400 POST");
        browser.fill("E-mail address", "ada@example.org");
        assert_eq!(browser.follow("Invite"), 400);
        browser.sees("Already here:");
        browser.accessible("invite, somebody who is there");
        browser.close();
    }
}

#[tokio::test]
async fn a_data_set_is_withdrawn_renamed_and_removed() {
    for look in looks() {
        let server = server_of_ada().await;
        let Some(mut browser) = enter(&server, look, "ada@example.org", "/admin/data/permits") else { return };
        browser.expect(Kind::Failed, "400 POST");
        browser.click("Withdraw");
        browser.sees("no reader gets them any more");
        browser.accessible("a data set, about to be withdrawn");
        browser.follow("Yes, withdraw it");
        browser.sees("permits is withdrawn.");
        browser.accessible("a data set, withdrawn");
        browser.loads(|browser| browser.click_within("header", "Imports", "Data sets"));
        browser.sees("withdrawn");
        browser.back();
        browser.click("Restore");
        browser.follow("Yes, restore it");
        browser.sees("permits is served again.");
        browser.click("Rename");
        browser.fill("New name", "not a name!");
        assert_eq!(browser.follow("Rename it"), 400);
        browser.accessible("a data set, a name that is not right");
        browser.fill("New name", "building_permits");
        browser.follow("Rename it");
        browser.sees("permits is called building_permits now.");
        browser.click("Remove");
        browser.fill("To remove it, type building_permits", "something else");
        assert_eq!(browser.follow("Remove 50 records for good"), 400);
        browser.accessible("a data set, not removed");
        browser.fill("To remove it, type building_permits", "building_permits");
        browser.follow("Remove 50 records for good");
        browser.sees("building_permits was removed, with 50 records.");
        browser.close();
    }
}

/// What the server gives up is listed with its reason, and tried again when that is mended.
#[tokio::test]
async fn what_was_given_up_is_tried_again() {
    for look in looks() {
        let server = server_of_ada().await;
        // Where mails go there is no folder any more.
        let outbox = server.folder.path().join("data/outbox");
        let aside = server.folder.path().join("aside");
        server.mail("ada@example.org", "/links/").await;
        std::fs::rename(&outbox, &aside).unwrap();
        std::fs::write(&outbox, "").unwrap();
        server.invite(&json!({ "email": "ben@example.org", "name": "Ben Okafor" })).await;
        let Some(mut browser) = enter(&server, look, "ada@example.org", "/admin/undone") else { return };
        let deadline = std::time::Instant::now() + PATIENCE;
        while !browser.text().contains("An invitation could not be sent") {
            assert!(std::time::Instant::now() < deadline, "nothing is given up: {}", browser.text());
            browser.reload();
        }
        browser.sees("given up on");
        browser.accessible("undone, an invitation");
        browser.go(&format!("{}/admin", server.told("url")));
        browser.accessible("overview, something waits");
        browser.back();
        browser.click("The messages as the server keeps them");
        browser.click("Try all again");
        browser.sees("All that was given up is tried again");
        browser.accessible("undone, about to be tried again");
        std::fs::remove_file(&outbox).unwrap();
        std::fs::rename(&aside, &outbox).unwrap();
        browser.follow("Yes, try all again");
        browser.sees("One is tried again now.");
        server.mail("ben@example.org", "/links/").await;
        browser.loads(|browser| browser.click_within("header", "Mail", "Failed tasks"));
        browser.sees("Nothing has failed.");

        browser.loads(|browser| browser.click_within("header", "Failed tasks", "Mail"));
        browser.fill("To", "ada@example.org");
        browser.follow("Send the example");
        browser.sees("was written to a file");
        browser.accessible("mail, an example is sent");
        browser.close();
    }
}

/// A link that takes no password that everybody guesses, and one that was used.
#[tokio::test]
async fn links_of_mails_in_every_state() {
    let server = Server::start();
    for (nth, look) in [Look::default(), Look::phone().without_scripts().in_language("de")].into_iter().enumerate() {
        let email = format!("ana{nth}@example.org");
        server.invite(&json!({ "email": email })).await;
        let link = server.link(&email).await;
        let Some(mut browser) = Browser::open_as(look, &link) else { return };
        for status in ["400 POST", "410 GET"] {
            browser.expect(Kind::Failed, status);
        }
        browser.fill_in("input[name=password]", &email);
        browser.loads(|browser| browser.press_key("Enter"));
        browser.accessible("a link, a password that is guessed");
        browser.fill_in("input[name=password]", crate::server::PASSWORD);
        browser.loads(|browser| browser.press_key("Enter"));
        browser.go(&link);
        browser.accessible("a link, used");
        browser.close();
    }
}
