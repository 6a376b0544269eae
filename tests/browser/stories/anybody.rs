//! Somebody who comes by, without an invitation.

use crate::{guard::Kind, look::Look, page::Browser, server::Server};

#[tokio::test]
async fn whoever_comes_by_is_told_what_this_is_and_how_to_get_in() {
    let server = Server::start();
    for look in [Look::default(), Look::phone().without_scripts()] {
        let Some(mut browser) = Browser::open_as(look, server.told("url")) else { return };
        browser.sees("San Francisco building permits");
        browser.accessible("front");
        browser.expect(Kind::Failed, "401 GET");
        browser.go(&format!("{}/permits?status=issued", server.told("url")));
        browser.sees("You need a key, or you sign in.");
        browser.accessible("an address of the API without a key");
        browser.loads(|browser| browser.click_within("section", "In the browser", "Sign in"));
        browser.sees("E-mail address");
        browser.accessible("sign in");
        browser.expect(Kind::Failed, "401 POST");
        browser.fill("E-mail address", "nobody@example.org");
        browser.fill("Password", "a wrong password");
        browser.loads(|browser| browser.click_within("main form", "Password", "Sign in"));
        browser.sees("The address or the password is wrong.");
        assert_eq!(browser.value("E-mail address"), "nobody@example.org");
        browser.accessible("sign in, refused");
        browser.go(&format!("{}/problems", server.told("url")));
        browser.accessible("problems");
        browser.follow("The form does not hold any more");
        browser.accessible("a problem");
        browser.expect(Kind::Failed, "404 GET");
        browser.go(&format!("{}/nowhere", server.told("url")));
        browser.accessible("nowhere");
        browser.close();
    }
}
