//! The links of mails.

use reqwest::Method;
use serde_json::json;

use crate::{
    app::TestApp,
    browser::{Browser, Form},
};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";

async fn link_to(app: &TestApp, email: &str) -> String {
    app.mail_to(email, 1).await.links[0].clone()
}

#[tokio::test]
async fn from_the_invitation_over_a_password_to_a_key_that_works_and_ends() {
    let app = TestApp::with_sample(5).await;
    app.invite_as(&json!({ "email": ANA, "name": "Ana <b>Núñez</b>" })).await;
    let link = link_to(&app, ANA).await;
    let browser = Browser::new(&app);
    let page = browser.open(&link).await.expect(200);
    page.shows("Welcome: choose a password").shows("At least 12 characters");
    for (name, value) in
        [("referrer-policy", "no-referrer"), ("x-robots-tag", "noindex"), ("cache-control", "no-store")]
    {
        assert_eq!(page.headers[name], value);
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe") && policy.contains("form-action 'self'"), "{policy}");
    assert!(!page.html.contains("style=") && !page.html.contains("<script>"));
    // What is wrong is told at the field, and the link still works.
    let form = page.form("Set password and sign in");
    let again = browser.send(&form.clone().with("password", "short")).await.expect(400);
    again.shows("a password has at least 12 characters");
    assert!(!again.html.contains("short"), "no password is shown again");
    browser.send(&form.clone().with("password", ANA)).await.expect(400).shows("your e-mail address would be the first");

    let home = browser.send(&form.with("password", PASSWORD)).await.expect(200);
    assert_eq!(home.path, "/home");
    home.shows("Your password is set, and you are signed in")
        .shows("Hello, Ana <b>Núñez</b>")
        .shows("1,000 of 1,000 requests");
    assert!(!home.html.contains("<b>Núñez"));
    for place in ["/permits/about", "/permits/explore", "/home/use", "/home/examples", "/home/security"] {
        assert!(home.links().contains(&place.to_owned()), "{place}: {:?}", home.links());
    }

    let new = browser.open("/home/keys/new").await.expect(200).form("Make the key");
    let filled = new.with("label", "My <i>report</i>");
    let made = browser.send(&filled).await.expect(200);
    made.shows("My <i>report</i>").shows("Your new key");
    assert!(!made.html.contains("<i>report"));
    let key = made.copied("new-key");
    assert_eq!(app.get("/permits?limit=1", &key).await.status, 200);
    assert!(made.copied("new-key-line").contains(&format!("x-api-key: {key}")));
    // Sent twice, it is made once; reloaded, it is still there.
    let twice = browser.send(&filled).await.expect(200);
    assert_eq!(browser.open(&made.path).await.copied("new-key"), key);
    let named = |page: &crate::browser::Page| page.path.clone();
    assert_eq!(named(&twice), named(&made), "the same form makes the same key");

    // Replaced: the old one works on for a day.
    let rotated = browser.send(&made.form("Replace the key")).await.expect(200);
    rotated.shows("The old one works for 1 day more");
    let second = rotated.copied("new-key");
    assert!(second != key && rotated.path != made.path);
    assert_eq!(app.get("/permits?limit=1", &key).await.status, 200);
    assert_eq!(app.get("/permits?limit=1", &second).await.status, 200);
    let old = browser.open(&made.path).await.expect(200);
    old.shows("This key was replaced. It works until");
    assert!(!old.html.contains(&key) && !old.html.contains(&second));
    let kept = browser.send(&rotated.form("I have saved it")).await.expect(200);
    kept.shows("The key is not shown again");
    for path in ["/home", rotated.path.as_str(), made.path.as_str(), "/home/examples"] {
        let page = browser.open(path).await.expect(200);
        assert!(!page.html.contains(&second) && !page.html.contains(&key), "{path}");
    }

    let page = browser.open(&rotated.path).await;
    page.shows("Programs with this key are refused within a second. It was last used on");
    let gone = browser.send(&page.form("Revoke the key")).await.expect(200);
    gone.shows("is revoked. Programs with it are refused.").shows("revoked");
    assert_eq!(app.get("/permits?limit=1", &second).await.status, 401);
    // Once more does nothing, and says so kindly.
    browser.send(&page.form("Revoke the key")).await.expect(200).shows("is revoked");
}

#[tokio::test]
async fn a_form_without_its_token_or_with_another_browser_s_does_nothing() {
    let app = TestApp::start().await;
    app.invite(ANA).await;
    let link = link_to(&app, ANA).await;
    let (browser, other) = (Browser::new(&app), Browser::new(&app));
    let form = browser.open(&link).await.form("Set password and sign in").with("password", PASSWORD);
    let foreign = other.open(&link).await.form("Set password and sign in").with("password", PASSWORD);
    for wrong in [form.clone().without("csrf"), form.clone().with("csrf", "x"), foreign] {
        let refused = browser.send(&wrong).await.expect(403);
        assert!(refused.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(!refused.html.contains("pml_"), "{}", refused.html);
    }
    assert!(!browser.has_session());
    // The link was not used.
    assert_eq!(browser.send(&form).await.expect(200).path, "/home");
    let new = browser.open("/home/keys/new").await.form("Make the key");
    let before = browser.open("/home").await.text();
    browser.send(&new.clone().without("csrf")).await.expect(403);
    assert_eq!(browser.open("/home").await.text(), before);
    // Another site's page.
    let cookie = format!("permitd={}", browser.cookies.lock().unwrap()["permitd"]);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&new.fields).finish();
    let request = app.request(Method::POST, "/home/keys/new").header("cookie", cookie).header("accept", "text/html");
    let request =
        request.header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", "cross-site");
    app.send(request.body(body)).await.expect(403);
    assert_eq!(browser.open("/home").await.text(), before);
}

#[tokio::test]
async fn a_link_that_is_over_says_how_to_get_another() {
    let app = TestApp::start().await;
    app.invite(ANA).await;
    let link = link_to(&app, ANA).await;
    let browser = Browser::new(&app);
    let form = browser.open(&link).await.form("Set password and sign in").with("password", PASSWORD);
    browser.send(&form).await.expect(200);
    let stranger = Browser::new(&app);
    for path in [link.as_str(), "/links/pml_x", "/links/<script>"] {
        let over = stranger.open(path).await.expect(410);
        over.shows("This link does not work any more");
        assert!(
            over.links().contains(&"/sign-in/forgotten".to_owned()) && !over.html.contains("pml_"),
            "{}",
            over.html
        );
        assert_eq!(
            (&over.headers["referrer-policy"], &over.headers["x-robots-tag"]),
            (&"no-referrer".parse().unwrap(), &"noindex".parse().unwrap())
        );
    }
    // The form that was open in another tab.
    browser.send(&browser.open("/home/keys/new").await.form("Make the key")).await.expect(200);
    let late = Form { action: link, ..stranger.open("/sign-in/forgotten").await.form("Send the link") };
    stranger.send(&late.with("password", PASSWORD)).await.expect(410);
    let german = Browser::reading(&app, "de-DE,de;q=0.9");
    german.open("/links/pml_x").await.expect(410).shows("Dieser Link gilt nicht mehr");
}

/// A key that is claimed is on the page until its owner has it: a reload does not lose it.
#[tokio::test]
async fn a_key_is_claimed_once_and_shown_until_it_is_kept() {
    let app = TestApp::set(&[("mail.delivery", "claim-link")], 5).await;
    app.admin_send(Method::POST, "/users", &json!({ "email": ANA })).await.expect(201);
    let links = app.mail_to(ANA, 1).await.links;
    let purpose = async |link: &String| app.send(app.request(Method::GET, link)).await.json()["purpose"].clone();
    let mut claim = None;
    for link in &links {
        if purpose(link).await == "claim_key" {
            claim = Some(link.clone());
        }
    }
    let claim = claim.unwrap();
    let browser = Browser::new(&app);
    let page = browser.open(&claim).await.expect(200);
    page.shows("It is shown once");
    let shown = browser.send(&page.form("Show my key")).await.expect(200);
    let key = shown.copied("new-key");
    assert_eq!(app.get("/permits?limit=1", &key).await.status, 200);
    assert_eq!(browser.open(&claim).await.expect(200).copied("new-key"), key);
    // It is the one browser's that claimed it.
    let stranger = Browser::new(&app);
    let over = stranger.open(&claim).await.expect(410);
    assert!(!over.html.contains(&key));
    let kept = browser.send(&shown.form("I have saved it")).await.expect(200);
    kept.shows("the key is not shown again");
    assert!(!browser.open(&claim).await.expect(410).html.contains(&key));
}
