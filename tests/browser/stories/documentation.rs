//! The documentation of the interface: the guide is read, and the reference tried with a key.

use crate::{guard::Kind, look::Look, page::Browser, server::Server};

/// Gives the reference a key to try requests with.
pub(super) fn authorize(browser: &mut Browser, key: &str, picture: &str) {
    browser.click_on(".auth-wrapper .authorize");
    browser.sees("An administrator's token");
    // The cookie of a session, which comes later, has a field of the same name.
    let first = ":nth-child(1 of .auth-container:has(#api_key_value))";
    browser.fill_in(&format!("{first} #api_key_value"), key);
    browser.picture(picture);
    browser.click_on(&format!("{first} .authorize"));
    browser.sees("Logout");
    browser.click_on(".modal-ux .close-modal");
}

/// Opens what stands there about pages of permits; returns where that is.
pub(super) fn open_list(browser: &mut Browser) -> &'static str {
    let list = "#operations-permits-permits_list";
    browser.click_on(&format!("{list} .opblock-summary-control"));
    browser.sees("Conditions on 32 columns");
    list
}

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

#[tokio::test]
async fn the_reference_is_read_and_tried() {
    let server = Server::start();
    let own = format!("{}/", server.told("url"));
    let Some(mut browser) = Browser::open(&format!("{own}docs")) else { return };
    // Swagger UI asks for the description that it shows.
    browser.expect(Kind::Requests, "");
    browser.follow("Reference");
    for shown in
        ["San Francisco building permits", "/permits/{key}/{record_id}", "/permits/facets", "/me/keys", "/sessions"]
    {
        browser.sees(shown);
    }
    assert!(!browser.text().contains("/users/{id}/keys"), "the administration has a reference of its own");
    browser.picture("docs");
    let ground = |browser: &mut Browser| browser.evaluate("getComputedStyle(document.body).backgroundColor");
    let of_reference = ground(&mut browser);
    let weight = browser.weigh(&format!("{own}docs/reference"));
    assert_eq!(weight.requests, 4, "document, style, script and description: {weight:?}");
    println!("the reference weighs {weight:?}");
    browser.go(&format!("{own}docs"));
    assert_eq!(of_reference, ground(&mut browser), "what stands around the reference looks as other pages do");
    browser.follow("Reference");

    // With a key of one's own a request is tried.
    browser.sees("/permits/facets");
    authorize(&mut browser, &server.key().await, "docs-authorize");
    let list = open_list(&mut browser);
    assert!(!browser.text().contains("estimated_cost__between"), "conditions are shown as they are chosen");
    browser.click_on(&format!("{list} .try-out__btn"));
    browser.choose_in(&format!("{list} .conditions select"), "estimated_cost");
    browser.sees("estimated_cost__between");
    browser.picture("docs-conditions");
    browser.fill_in("tr[data-param-name='estimated_cost__gte'] input", "1");
    browser.click_on(&format!("{list} .execute"));
    browser.sees("\"application_number\": \"#");
    browser.picture("docs-answer");
    browser.resize(400);
    browser.picture("docs-narrow");
    let wide = browser.wider_than_the_window();
    assert!(wide.is_empty(), "nothing is wider than a narrow screen: {wide:?}");

    let requests = browser.requests();
    assert!(
        requests.iter().any(|url| url.contains("/permits?") && url.contains("estimated_cost__gte=1")),
        "{requests:?}"
    );

    browser.resize(1280);
    browser.loads(|browser| browser.click_within("nav", "Guide", "Administration"));
    for shown in ["/users/{id}/keys", "/plans", "/imports"] {
        browser.sees(shown);
    }
    assert!(!browser.text().contains("/permits/facets"));
    browser.picture("docs-admin");
    browser.close();
}

/// Without scripts there is no Swagger UI: the page says where the description is.
#[tokio::test]
async fn the_references_say_without_scripts_where_their_descriptions_are() {
    let server = Server::start();
    let url = server.told("url").to_owned();
    for (page, document) in [("/docs/reference", "/openapi.json"), ("/docs/admin", "/openapi-admin.json")] {
        let Some(mut browser) = Browser::open_as(Look::phone().without_scripts(), &format!("{url}{page}")) else {
            return;
        };
        browser.sees("This page needs JavaScript.");
        browser.sees(document);
        browser.accessible("a reference without scripts");
        browser.close();
    }
}
