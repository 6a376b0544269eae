//! The code from an app beside the password: set up, used, lost, and removed.

use permitd::domain::totp;
use serde_json::json;

use super::entering::{enter, looks, sign_in};
use crate::{guard::Kind, page::Browser, server::Server};

const ANA: &str = "ana@example.org";

/// An app that has the secret, as on a phone.
struct App {
    secret: Vec<u8>,
    last: u64,
}

impl App {
    fn of(secret: &str) -> Self {
        Self { secret: totp::unbase32(&secret.replace(' ', "")).unwrap(), last: 0 }
    }

    /// A code that was not used before: the present one, or the next, which the server takes too.
    fn code(&mut self) -> String {
        self.last = totp::step_at(jiff::Timestamp::now()).max(self.last + 1);
        totp::code(&self.secret, self.last).unwrap()
    }
}

fn gives(browser: &mut Browser, code: &str) -> u16 {
    browser.fill("Code", code);
    browser.loads(|browser| browser.click_within("main form", "Code", "Sign in"))
}

#[tokio::test]
async fn a_second_factor_is_set_up_used_and_removed() {
    for look in looks() {
        let server = Server::start();
        server.member(&json!({ "email": ANA, "name": "Ana Ito" })).await;
        let Some(mut browser) = enter(&server, look, ANA, "/home/security") else { return };
        browser.sees("Second factor");
        browser.accessible("security, without a second factor");
        browser.follow("Set up a second factor");
        browser.sees("Scan this picture with it.");
        browser.accessible("security, a second factor is set up");
        let mut app = App::of(&browser.read("#factor-secret"));
        browser.expect(Kind::Failed, "400 POST");
        browser.fill("Code", "12345");
        assert_eq!(browser.follow("Turn it on"), 400);
        browser.sees("This code is not right");
        browser.accessible("security, a wrong code");
        let secret = browser.read("#factor-secret");
        assert_eq!(App::of(&secret).secret, app.secret, "it is still the same that the app has");
        browser.fill("Code", &app.code());
        browser.follow("Turn it on");
        browser.sees("The second factor is on.");
        browser.accessible("recovery codes");
        let codes = browser.read("#codes");
        let codes: Vec<&str> = codes.split_whitespace().collect();
        assert!(codes.len() > 2, "{codes:?}");
        browser.follow("I have kept them");
        browser.sees("Hello, Ana Ito");
        assert!(!browser.text().contains(codes[0]), "they are shown once");
        browser.follow("Security and settings");
        browser.sees(&format!("{} recovery codes are left.", codes.len()));
        browser.accessible("security, with a second factor");
        browser.follow("Sign out");
        browser.sees("You are signed out.");

        // The password alone does not do any more.
        sign_in(&mut browser, ANA);
        browser.sees("One more step");
        browser.accessible("the code is asked for");
        browser.go(&format!("{}/home", server.told("url")));
        browser.sees("E-mail address");
        sign_in(&mut browser, ANA);
        browser.expect(Kind::Failed, "401 POST");
        assert_eq!(gives(&mut browser, "12345"), 401);
        browser.sees("This code is not right, or was used already.");
        browser.accessible("the code is asked for again");
        let code = app.code();
        assert_eq!(gives(&mut browser, &code), 200);
        browser.sees("Hello, Ana Ito");
        browser.follow("Sign out");

        // The phone is lost.
        sign_in(&mut browser, ANA);
        assert_eq!(gives(&mut browser, codes[0]), 200);
        browser.sees("Hello, Ana Ito");
        browser.follow("Security and settings");
        browser.sees(&format!("{} recovery codes are left.", codes.len() - 1));
        browser.click("Remove the second factor …");
        browser.sees("Signing in takes only your password then");
        browser.accessible("a second factor, about to be removed");
        browser.fill("Code", codes[0]);
        assert_eq!(browser.follow("Remove it"), 400, "it counts once");
        browser.fill("Code", codes[1]);
        assert_eq!(browser.follow("Remove it"), 200);
        browser.sees("The second factor is removed.");
        browser.follow("Sign out");
        sign_in(&mut browser, ANA);
        browser.sees("Hello, Ana Ito");
        browser.close();
    }
}
