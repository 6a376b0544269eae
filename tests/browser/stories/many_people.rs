//! An administrator of very many people.

use std::{fmt::Write, net::TcpListener};

use reqwest::Method;
use serde_json::json;

use super::entering::looks;
use crate::{page::Browser, server::Server};

const PEOPLE: usize = 5_000;
/// People that a page of the list has.
const SHOWN: usize = 100;

/// A server with so many people, whose mail waits.
async fn crowded(mails: &TcpListener) -> Server {
    // Takes connections and says nothing: whoever mails waits for it, and keeps the machine free for the story.
    let port = mails.local_addr().unwrap().port().to_string();
    let server = Server::with(
        &[],
        &[
            ("PERMITD_MAIL_TRANSPORT", "smtp"),
            ("PERMITD_MAIL_SMTP_HOST", "127.0.0.1"),
            ("PERMITD_MAIL_SMTP_PORT", &port),
            ("PERMITD_MAIL_SMTP_TLS", "none"),
            ("PERMITD_MAIL_SMTP_TIMEOUT_S", "300"),
            ("PERMITD_MAIL_INVITATIONS_PER_HOUR_MAX", "1000000"),
        ],
    );
    let plan = json!({ "rate_per_s": 5, "burst": 5, "quota_per_day": 50 });
    server.send(Method::PUT, "/plans/schools", &plan).await;
    let mut list = String::from("email,name,plan\n");
    for number in 0..PEOPLE {
        let plan = if number % 50 == 0 { "schools" } else { "default" };
        writeln!(list, "person{number:04}@example.org,Person {number:04},{plan}").unwrap();
    }
    let request =
        server.client.post(format!("{}/invitations", server.told("url"))).bearer_auth(server.told("admin_token"));
    let invited = request.header("content-type", "text/csv").body(list).send().await.unwrap();
    let invited: serde_json::Value = invited.error_for_status().unwrap().json().await.unwrap();
    assert_eq!(invited["counts"]["invited"], PEOPLE);
    server
}

/// The people that the list shows.
fn shown(browser: &mut Browser) -> usize {
    usize::try_from(browser.evaluate("document.querySelectorAll('tbody tr').length").as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn five_thousand_people_are_paged_searched_and_acted_upon() {
    let mails = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = crowded(&mails).await;
    for (nth, look) in looks().into_iter().enumerate() {
        let Some(mut browser) = Browser::open_as(look, &format!("{}/sign-in", server.told("url"))) else { return };
        browser.click("With an administrator’s token");
        browser.fill("Token", server.told("admin_token"));
        browser.loads(|browser| browser.press_key("Enter"));
        browser.sees("5,000 people");
        browser.accessible("overview of many");

        // Page by page, and back.
        browser.loads(|browser| browser.click_within("header", "Plans", "People"));
        assert_eq!(shown(&mut browser), SHOWN);
        let first = browser.text();
        browser.follow("Next page");
        assert_eq!(shown(&mut browser), SHOWN);
        assert_ne!(browser.text(), first);
        browser.accessible("people, the second page");
        browser.follow("First page");
        assert_eq!(browser.text(), first);

        // One among them, by a part of the name.
        browser.fill("Name or address", "son 4321");
        browser.follow("Search");
        assert_eq!(shown(&mut browser), 1);
        browser.accessible("people, one found");
        browser.fill("Name or address", "nobody at all");
        browser.follow("Search");
        browser.sees("Nobody is so.");
        browser.accessible("people, none found");
        browser.follow("Show everybody");

        // Those of a plan; one of them is disabled, and the list is where it was.
        browser.choose("Plan", "schools");
        browser.follow("Search");
        assert_eq!(shown(&mut browser), PEOPLE / 50);
        let list = browser.url();
        let name = format!("Person {:04}", 50 * (nth + 3));
        browser.follow(&name);
        browser.click("Disable…");
        browser.sees(&format!("This disables {name}"));
        browser.follow(&format!("Disable {name}"));
        browser.sees(&format!("{name} is disabled."));
        browser.accessible("a person, disabled");
        browser.back();
        browser.back();
        assert_eq!(browser.url(), list, "the same place");
        browser.choose("State", "disabled");
        browser.follow("Search");
        assert_eq!(shown(&mut browser), nth + 1);
        assert_eq!(browser.read("#field-plan option:checked"), "schools", "what was chosen is still chosen");
        browser.sees(&name);

        // A list with mistakes is looked at before anybody is invited.
        browser.follow("Invite people");
        let pasted = format!(
            "email,name,plan\nnew{nth}@example.org,Ida New,schools\nno address,Ben,default\nperson0007@example.org,Twice,\n\
             kim{nth}@example.org,Kim,no such plan\n"
        );
        browser.fill("List", &pasted);
        browser.follow("Check the list");
        for seen in ["1 new", "1 known already", "2 lines are wrong", "The 2 wrong lines are left out."] {
            browser.sees(seen);
        }
        browser.accessible("a list with mistakes");
        browser.follow("Invite 1 person");
        browser.sees("1 invited");
        browser.follow(&format!("new{nth}@example.org"));
        browser.sees("Ida New");
        browser.loads(|browser| browser.click_within("header", "Plans", "Events"));
        browser.sees("Ida New");
        browser.close();
    }
}
