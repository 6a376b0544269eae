//! The documentation of the interface: read, and tried with a key.

use crate::{guard::Kind, page::Browser, server::Server};

/// Gives the documentation's page a key to try requests with.
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

#[tokio::test]
async fn the_documentation_is_read_and_tried() {
    let server = Server::start();
    let own = format!("{}/", server.told("url"));
    let Some(mut browser) = Browser::open(&format!("{own}docs")) else { return };
    // Swagger UI asks for the description that it shows, and the page has files of its own.
    browser.expect(Kind::Requests, "");
    for shown in [
        "San Francisco building permits",
        "/permits/{key}/{record_id}",
        "/permits/facets",
        "/users/{id}/keys",
        "/plans",
    ] {
        browser.sees(shown);
    }
    browser.picture("docs");

    // With a key of one's own a request is tried.
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
    browser.close();
}
