//! A provider of identities, as an operator meets it: settings that cannot be, and what the log keeps of sign-ins.

use super::{
    Home,
    identity_server::{CLIENT, IdentityServer, SECRET, Signing},
    server::Server,
};

#[tokio::test]
async fn the_log_holds_nothing_that_comes_back_from_a_provider() {
    let home = Home::new();
    let provider = IdentityServer::start(jiff::Timestamp::now());
    let log = home.path("log");
    let variables = [
        ("PERMITD_LOG_FILTER", "debug"),
        ("PERMITD_LOG_FORMAT", "json"),
        ("PERMITD_OIDC_ISSUER", &provider.issuer),
        ("PERMITD_OIDC_CLIENT_ID", CLIENT),
        ("PERMITD_OIDC_CLIENT_SECRET", SECRET),
        ("PERMITD_OIDC_CREATE", "true"),
        ("PERMITD_OIDC_CREATE_DOMAINS", "example.org"),
    ];
    let mut server = Server::with(&home, "serve", std::fs::File::create(&log).unwrap().into(), &variables);
    let base = server.ready()["url"].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut secrets = vec!["ana@example.org".to_owned(), "code_verifier".to_owned(), SECRET.to_owned()];
    provider.knows("ana@example.org");
    for (signing, expected) in [(Signing::Right, 303), (Signing::ForgedKey, 403)] {
        provider.is_told(|manners| manners.signing = signing);
        let begun = client.get(format!("{base}/sign-in/provider")).send().await.unwrap();
        let text = |response: &reqwest::Response, name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let (place, cookie) = (text(&begun, "location"), text(&begun, "set-cookie"));
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let back = text(&client.get(&place).send().await.unwrap(), "location");
        for (name, value) in
            reqwest::Url::parse(&back).unwrap().query_pairs().chain(reqwest::Url::parse(&place).unwrap().query_pairs())
        {
            if ["code", "state", "nonce", "code_challenge"].contains(&&*name) {
                secrets.push(value.into_owned());
            }
        }
        secrets.push(cookie.split_once('=').unwrap().1.to_owned());
        let answer = client.get(&back).header("cookie", cookie).send().await.unwrap();
        assert_eq!(answer.status(), expected);
        if let Some(session) = answer.headers().get("set-cookie") {
            secrets.push(session.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned());
        }
    }
    server.stop();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("/sign-in/provider/callback"), "{log}");
    assert!(log.contains("the signature of its token is wrong"), "whoever runs it finds the reason: {log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log: {log}");
    }
}
