//! Somebody who comes by, without an invitation.

use serde_json::json;

use crate::{guard::Kind, look::Look, page::Browser, server::Server, support};

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

/// A name, a color that no text can be read in, and a logo that brings a script along.
#[tokio::test]
async fn the_pages_have_the_brand_of_whoever_runs_the_server() {
    let folder = support::data_dir();
    let logo = folder.path().join("logo.svg");
    let picture = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 144 36' onload='window.__ran=1'>\
                   <script>window.__ran=1</script><rect width='144' height='36'/></svg>";
    std::fs::write(&logo, picture).unwrap();
    let logo = logo.display().to_string();
    for (logo, is_written) in [("", true), (logo.as_str(), false)] {
        let settings = [
            ("PERMITD_MAIL_BRAND", "City <b>records</b>"),
            ("PERMITD_PAGES_BRAND_COLOR", "#ffd400"),
            ("PERMITD_PAGES_LOGO", logo),
        ];
        let server = Server::with(&[], &settings);
        let Some(mut browser) = Browser::open(server.told("url")) else { return };
        assert_eq!(browser.read(".brand"), "City <b>records</b>", "it is read out also where there is a picture");
        assert!(browser.title().contains("City <b>records</b>"), "{}", browser.title());
        let shows =
            "getComputedStyle(document.querySelector('.brand')).backgroundImage.startsWith('url(\"data:image/svg')";
        if !is_written {
            browser.wait("the picture", shows);
        }
        assert_eq!(browser.evaluate(shows), json!(!is_written));
        let color = "getComputedStyle(document.querySelector('a.button')).backgroundColor";
        browser.wait("the colour", &format!("{color} === 'rgb(255, 212, 0)'"));
        browser.accessible("the front in a brand's look");
        browser.go(&format!("{}/sign-in", server.told("url")));
        browser.accessible("sign in, in a brand's look");
        browser.close();
    }
}
