//! The documentation of the interface: the guide and the reference are read.

use crate::{look::Look, page::Browser, server::Server};

/// With scripts and without, wide and narrow: the guide is found from the front page, read, and its lines are copied.
#[tokio::test]
async fn the_guide_is_read_with_and_without_scripts() {
    let server = Server::start();
    let url = server.told("url").to_owned();
    for look in [Look::default(), Look::phone().without_scripts(), Look::default().dark()] {
        let has_scripts = look.scripts;
        let Some(mut browser) = Browser::open_as(look, &format!("{url}/")) else { return };
        browser.sees("San Francisco building permits");
        browser.follow("How programs ask for data");
        browser.sees("Guide for programs");
        browser.sees(&format!("{url}/permits?limit=3"));
        browser.sees("Conditions on status");
        browser.accessible("guide");
        browser.picture("guide");
        if has_scripts {
            // By the keyboard: to a place of the contents, and to the line that is copied there.
            browser.go(&format!("{url}/docs"));
            browser.tab_to("Limits");
            browser.sees_focus();
            browser.press_key("Enter");
            assert!(browser.url().ends_with("#limits"), "{}", browser.url());
            browser.tab_to("Copy");
            browser.sees_focus();
        }
        browser.go(&format!("{url}/docs"));
        browser.follow("/problems");
        browser.sees("How this server says no");
        browser.follow("What the guide says about it");
        assert!(browser.url().ends_with("/docs#errors"), "{}", browser.url());
        browser.close();
    }
    // In German the way is German.
    let Some(mut german) = Browser::open_as(Look::default().in_language("de"), &format!("{url}/docs")) else { return };
    german.sees("Die Anleitung selbst ist auf Englisch.");
    german.accessible("guide in German");
    let weight = german.weigh(&format!("{url}/docs"));
    assert!(weight.total() < 60_000 && weight.requests == 3, "{weight:?}");
    german.close();
}

/// With scripts and without, wide and narrow, in both languages: an operation is found, and what it takes is read.
#[tokio::test]
async fn the_reference_is_read_with_and_without_scripts() {
    let server = Server::start();
    let url = server.told("url").to_owned();
    let looks = [
        (Look::default(), "Reference", "Administration"),
        (Look::phone().without_scripts(), "Reference", "Administration"),
        (Look::default().dark().in_language("de"), "Referenz", "Verwaltung"),
    ];
    for (look, reference, administration) in looks {
        let has_scripts = look.scripts;
        let Some(mut browser) = Browser::open_as(look, &format!("{url}/docs")) else { return };
        browser.follow(reference);
        browser.sees("/permits/{key}/{record_id}");
        browser.sees("/me/keys");
        assert!(!browser.text().contains("/users/{id}/keys"), "the administration has a reference of its own");
        browser.accessible("the list of the reference");
        browser.picture("docs-reference");
        browser.follow("GET /permits/facets");
        browser.sees("Count the values of columns");
        browser.sees("estimated_cost__between");
        browser.sees(&format!("\"{url}/permits/facets?columns="));
        browser.accessible("an operation");
        browser.picture("docs-operation");
        let wide = browser.wider_than_the_window();
        assert!(wide.is_empty(), "nothing is wider than the screen: {wide:?}");
        // Beside it are those of the same data set, and what a word on it means is a link away.
        browser.follow("List what imports have changed");
        browser.click("permits_change");
        browser.wait("the object", "location.hash === '#object-permits_change'");
        browser.follow("That version is no longer held");
        browser.sees("410");
        browser.go(&format!("{url}/docs/reference"));
        browser.follow(administration);
        browser.sees("/users/{id}/keys");
        assert!(!browser.text().contains("/permits/facets"));
        browser.picture("docs-admin");
        if has_scripts {
            let weight = browser.weigh(&format!("{url}/docs/reference/permits_list"));
            assert!(weight.total() < 60_000 && weight.requests == 3, "{weight:?}");
            browser.tab_to(reference);
            browser.sees_focus();
        }
        browser.close();
    }
}
