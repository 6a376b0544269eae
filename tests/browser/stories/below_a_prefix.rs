//! A server behind a proxy that takes a path off.

use crate::{
    page::Browser,
    prefix::{BelowPrefix, PREFIX},
    server::Server,
    support,
};

/// A proxy serves the API below a path and takes it off: every page, what it loads and its links stay below it.
#[tokio::test]
async fn the_pages_work_below_a_path_prefix() {
    let address = support::own_address();
    let proxy = BelowPrefix::before(address);
    let server = Server::listening(&address.to_string(), &[("PERMITD_PUBLIC_URL", &proxy.url)]);
    assert_eq!(server.told("url"), proxy.url);
    let Some(mut browser) = Browser::open(&format!("{}/", proxy.url)) else { return };
    browser.sees("San Francisco building permits");
    browser.follow("Documentation");
    browser.sees(&format!("{}/permits?limit=3", proxy.url));
    browser.follow("Reference");
    browser.sees("/permits/{key}/{record_id}");
    browser.picture("prefix-docs");
    browser.follow("GET /permits/facets");
    browser.sees(&format!("\"{}/permits/facets?columns=", proxy.url));
    browser.picture("prefix-operation");

    // From the documentation to what problems mean, and back by their links.
    browser.follow("Error messages explained");
    browser.sees("How this server says no");
    browser.follow("A valid API key is required");
    browser.picture("prefix-problem");
    browser.follow("All error messages");
    browser.sees("How this server says no");

    assert_eq!(proxy.strays(), Vec::<String>::new(), "nothing is asked for outside of {PREFIX}");
    browser.close();
}
