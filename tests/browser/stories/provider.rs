//! Signing in where people have their account already.

use serde_json::json;

use super::entering::looks;
use crate::{
    guard::Kind,
    identity_server::{CLIENT, IdentityServer, SECRET},
    page::Browser,
    server::Server,
};

const LABEL: &str = "City of Springfield";

#[tokio::test]
async fn somebody_signs_in_where_they_have_an_account_already() {
    for look in looks() {
        let provider = IdentityServer::start(jiff::Timestamp::now());
        let server = Server::with(
            &[],
            &[
                ("PERMITD_OIDC_ISSUER", &provider.issuer),
                ("PERMITD_OIDC_CLIENT_ID", CLIENT),
                ("PERMITD_OIDC_CLIENT_SECRET", SECRET),
                ("PERMITD_OIDC_LABEL", LABEL),
            ],
        );
        server.invite(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
        provider.knows("eve@example.org");
        let Some(mut browser) = Browser::open_as(look, &format!("{}/home/use", server.told("url"))) else { return };
        browser.expect(Kind::Elsewhere, &provider.issuer);
        let begin = format!("Sign in with {LABEL}");
        browser.sees(&begin);
        browser.accessible("sign in, also at a provider");

        // Whoever was not invited is not let in, and told whom to ask.
        browser.expect(Kind::Failed, "403 GET");
        assert_eq!(browser.follow(&begin), 403);
        browser.sees("lets you in here only if its e-mail address is verified and was invited");
        browser.accessible("sign in, not let in");

        // What was asked for first is where they are led.
        provider.knows("ana@example.org");
        browser.go(&format!("{}/home/use", server.told("url")));
        assert_eq!(browser.follow(&begin), 200);
        browser.sees("Ana Ito");
        assert!(browser.url().ends_with("/home/use"), "{}", browser.url());
        browser.follow("Security and settings");
        browser.sees(&format!("You sign in with {LABEL} and have no password here."));
        browser.accessible("security, without a password");
        browser.follow("Sign out");
        browser.sees("You are signed out.");

        // Somebody who changes their mind there is asked again here.
        browser.expect(Kind::Failed, "/callback?error=access_denied");
        browser.go(&format!("{}/sign-in/provider/callback?error=access_denied&state=x", server.told("url")));
        browser.sees("Signing in there was not finished");
        browser.accessible("sign in, cancelled at the provider");
        browser.close();
    }
}
