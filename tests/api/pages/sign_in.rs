//! Signing in.

use std::sync::Arc;

use permitd::{
    clock::{Clock, ManualClock},
    domain::totp,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    accounts::{member, sign_in},
    app::{Options, TestApp},
    browser::Browser,
};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";

pub(super) async fn at_noon(settings: &[(&'static str, &str)], sample_rows: u64) -> (TestApp, Arc<ManualClock>) {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
    let options = Options { clock: clock.clone(), settings, sample_rows, ..Options::default() };
    (TestApp::with(options).await, clock)
}

/// The code that an app shows.
pub(super) fn code(secret: &str, clock: &ManualClock) -> String {
    let secret = totp::unbase32(&secret.replace(' ', "")).unwrap();
    totp::code(&secret, totp::step_at(clock.now())).unwrap()
}

/// Gives somebody a second factor; its secret.
async fn factor(app: &TestApp, clock: &ManualClock) -> String {
    let token = sign_in(app, ANA).await;
    let begun = app.send(app.request(Method::POST, "/me/second-factor").bearer_auth(&token)).await.expect(201).json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let body = json!({ "code": code(&secret, clock) });
    app.send(app.request(Method::PUT, "/me/second-factor").bearer_auth(&token).json(&body)).await.expect(200);
    clock.advance_us(60_000_000);
    secret
}

#[tokio::test]
async fn a_wrong_password_keeps_the_address_and_leads_back_in_the_end() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    // Whoever opens a page of theirs signs in first, and comes back to it.
    let asked = browser.open("/home/use").await.expect(200);
    assert_eq!(asked.path, "/sign-in?return_to=%2Fhome%2Fuse");
    let wrong = asked.form("Sign in").with("email", "ana@example.org\"><script>").with("password", "a wrong password");
    let again = browser.send(&wrong).await.expect(401);
    again.shows("The address or the password is wrong");
    assert!(!again.html.contains("<script>") && !again.html.contains("a wrong password"));
    let right = again.form("Sign in");
    assert!(right.fields.contains(&("email".to_owned(), "ana@example.org\"><script>".to_owned())));
    let home = browser.send(&right.with("email", ANA).with("password", PASSWORD)).await.expect(200);
    assert_eq!(home.path, "/home/use");
    // No other server is led to.
    let other = Browser::new(&app);
    let asked = other.open("/sign-in?return_to=//evil.example.org").await;
    let form = asked.form("Sign in").with("email", ANA).with("password", PASSWORD);
    assert_eq!(other.send(&form).await.expect(200).path, "/home");
}

#[tokio::test]
async fn whoever_tries_too_often_is_told_how_long_to_wait() {
    let (app, _) = at_noon(&[("http.wrong_keys_max", "1000")], 0).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    for email in [ANA, "nobody@example.org"] {
        for _ in 0..5 {
            browser.sign_in(email, "a wrong password").await.expect(401);
        }
        let wait = browser.sign_in(email, PASSWORD).await.expect(429);
        wait.shows("Too many tries. Try again in 10 seconds.");
        assert_eq!(wait.headers["retry-after"], "10");
    }
    let german = Browser::reading(&app, "de");
    let form = german.open("/sign-in").await.form("Anmelden");
    german
        .send(&form.with("email", ANA).with("password", "x"))
        .await
        .expect(429)
        .shows("Versuchen Sie es in 10 Sekunden noch einmal");
}

#[tokio::test]
async fn the_second_factor_is_a_second_step_without_the_password() {
    let (app, clock) = at_noon(&[], 0).await;
    member(&app, ANA).await;
    let secret = factor(&app, &clock).await;
    let browser = Browser::new(&app);
    let step = browser.sign_in(ANA, PASSWORD).await.expect(200);
    assert_eq!(step.path, "/sign-in/code");
    step.shows("One more step");
    assert!(!step.html.contains(PASSWORD) && !step.html.contains("type=\"password\"") && !browser.has_session());
    assert!(!browser.cookies.lock().unwrap().values().any(|value| value.contains(PASSWORD)));
    let wrong = browser.send(&step.form("Sign in").with("code", "000000")).await.expect(401);
    wrong.shows("This code is not right");
    let right = wrong.form("Sign in").with("code", &code(&secret, &clock));
    let home = browser.send(&right).await.expect(200);
    assert_eq!((home.path.as_str(), browser.has_session()), ("/home", true));
    browser.open("/home/security").await.shows("password and code");

    // The proof counts for one session and some minutes, and not for a password that was changed since.
    let second = Browser::new(&app);
    let step = second.sign_in(ANA, PASSWORD).await.form("Sign in");
    clock.advance_us(10 * 60 * 1_000_000);
    let late = second.send(&step.with("code", &code(&secret, &clock))).await.expect(200);
    assert_eq!(late.path, "/sign-in");
    late.shows("Signing in took too long");
    let step = second.sign_in(ANA, PASSWORD).await.form("Sign in");
    let proof = second.cookies.lock().unwrap()["permitd-proof"].clone();
    second.send(&step.clone().with("code", &code(&secret, &clock))).await.expect(200);
    assert!(second.has_session());
    let third = Browser::new(&app);
    let step = third.sign_in(ANA, PASSWORD).await.form("Sign in");
    third.cookies.lock().unwrap().insert("permitd-proof".to_owned(), proof);
    clock.advance_us(60_000_000);
    assert_eq!(third.send(&step.with("code", &code(&secret, &clock))).await.path, "/sign-in", "used up");
    assert!(!third.has_session());
    let step = third.sign_in(ANA, PASSWORD).await.form("Sign in");
    clock.advance_us(60_000_000);
    let change = second.open("/home/security").await.form("Change the password");
    second.send(&change.with("current", PASSWORD).with("password", "another long password")).await.expect(200);
    assert_eq!(third.send(&step.with("code", &code(&secret, &clock))).await.path, "/sign-in", "another password");
    assert!(!third.has_session());
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_link_and_nothing_tells_who_is_known() {
    let (app, clock) = at_noon(&[], 0).await;
    member(&app, ANA).await;
    clock.advance_us(1_000_000);
    let mut told = Vec::new();
    for email in ["nobody@example.org", ANA] {
        let browser = Browser::new(&app);
        let form = browser.open("/sign-in/forgotten").await.expect(200).form("Send the link");
        let sent = browser.send(&form.with("email", email)).await.expect(200);
        sent.shows("If somebody with this address was invited here");
        assert!(!sent.html.contains(email));
        told.push((sent.path.clone(), sent.text()));
    }
    assert_eq!(told[0], told[1]);
    let link = app.mail_to(ANA, 2).await.links[0].clone();
    let browser = Browser::new(&app);
    let page = browser.open(&link).await.expect(200);
    page.shows("Choose a new password").shows("All your sessions end");
    let home = browser.send(&page.form("Set password and sign in").with("password", "another long password")).await;
    assert_eq!(home.expect(200).path, "/home");
    let other = Browser::new(&app);
    other.sign_in(ANA, PASSWORD).await.expect(401);
    assert_eq!(other.sign_in(ANA, "another long password").await.expect(200).path, "/home");
    // Whoever has a second factor gives a code of it first.
    let token = app
        .send(
            app.request(Method::POST, "/sessions").json(&json!({ "email": ANA, "password": "another long password" })),
        )
        .await;
    let token = token.expect(201).json()["token"].as_str().unwrap().to_owned();
    let begun = app.send(app.request(Method::POST, "/me/second-factor").bearer_auth(&token)).await.expect(201).json();
    let secret = begun["secret"].as_str().unwrap();
    let body = json!({ "code": code(secret, &clock) });
    app.send(app.request(Method::PUT, "/me/second-factor").bearer_auth(&token).json(&body)).await.expect(200);
    clock.advance_us(60_000_000);
    let form = browser.open("/sign-in/forgotten").await.form("Send the link");
    browser.send(&form.with("email", ANA)).await.expect(200);
    let link = app.mail_to(ANA, 3).await.links[0].clone();
    let browser = Browser::new(&app);
    let form = browser.open(&link).await.form("Set password and sign in").with("password", PASSWORD);
    let step = browser.send(&form).await.expect(200);
    assert_eq!((step.path.as_str(), browser.has_session()), ("/sign-in/code", false));
    browser.send(&step.form("Sign in").with("code", &code(secret, &clock))).await.expect(200);
    assert!(browser.has_session());
}

#[tokio::test]
async fn a_session_that_has_ended_says_so() {
    let app = TestApp::start().await;
    let user = member(&app, ANA).await;
    let browser = Browser::new(&app);
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    app.admin_send(Method::PATCH, &format!("/users/{user}"), &json!({ "status": "disabled" })).await.expect(200);
    let out = browser.open("/home").await.expect(200);
    assert_eq!((out.path.as_str(), browser.has_session()), ("/sign-in?return_to=%2Fhome", false));
    out.shows("Your session has ended");
    browser.sign_in(ANA, PASSWORD).await.expect(401);
    // Whoever was never signed in is told nothing of the kind.
    assert!(!Browser::new(&app).open("/home").await.says("Your session has ended"));
}

#[tokio::test]
async fn what_is_typed_while_a_session_ends_is_not_lost() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    let browser = Browser::reading(&app, "de");
    let sign_in_again = async || {
        let form = browser.open("/sign-in").await.form("Anmelden").with("email", ANA).with("password", PASSWORD);
        browser.send(&form).await.expect(200);
    };
    sign_in_again().await;
    let typed = browser.open("/home/keys/new").await.form("Schlüssel machen").with("label", "\"Büro\" <b>");
    let ended = app.send(app.request(Method::DELETE, "/me/sessions").bearer_auth(sign_in(&app, ANA).await)).await;
    ended.expect(200);
    // Another site learns and keeps nothing.
    let kept = browser.ask_from("https://elsewhere.example", Method::POST, &typed.action, Some(&typed)).await;
    assert!(!kept.html.contains("Büro"), "{}", kept.html);
    let out = browser.send(&typed).await.expect(401);
    out.shows("Ihre Sitzung ist beendet").shows("was Sie eingegeben haben, ist auf dieser Seite noch da");
    let again = out.form("Noch einmal senden");
    let label = ("label".to_owned(), "\"Büro\" <b>".to_owned());
    assert!(again.fields.contains(&label) && again.action == typed.action, "{again:?}");
    // As long as nobody has signed in, it stays as it is.
    assert!(browser.send(&again).await.expect(401).form("Noch einmal senden").fields.contains(&label));
    sign_in_again().await;
    let asked = browser.send(&again).await.expect(403);
    asked.shows("Noch einmal senden?").shows("Es ist noch nichts geschehen");
    assert!(!browser.open("/home").await.says("Büro"), "nothing is done unasked");
    browser.send(&asked.form("Noch einmal senden")).await.expect(200);
    browser.open("/home").await.expect(200).shows("\"Büro\" <b>");
}

/// Whoever runs a server and opens it at another address than it knows is told what to set.
#[tokio::test]
async fn a_server_that_is_opened_at_another_address_says_so() {
    let app = TestApp::set(&[("public_url", "http://permits.example.org")], 0).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    let form = browser.open("/sign-in").await.form("Sign in").with("email", ANA).with("password", PASSWORD);
    let opened = browser.ask(Method::POST, "/sign-in", Some(&form)).await.expect(403);
    opened.shows("knows itself as http://permits.example.org").shows("public_url");
    let elsewhere = browser.ask_from("http://evil.example", Method::POST, "/sign-in", Some(&form)).await.expect(403);
    elsewhere.shows("The form was sent from another site");
}

#[tokio::test]
async fn refusals_are_told_in_the_readers_language() {
    let app = TestApp::start().await;
    let german = Browser::reading(&app, "de");
    let missing = german.open("/nix").await.expect(404);
    missing.shows("Unter diesem Pfad gibt es nichts").shows("Prüfen Sie die Schreibweise");
    assert!(!missing.says("There is nothing at this path"), "{}", missing.text());
    german.open("/problems/quota-exceeded").await.expect(200).shows("Das Kontingent des Plans ist aufgebraucht");
    german.open("/problems").await.expect(200).shows("Zu viele Versuche für ein Konto");
    let english = Browser::new(&app).open("/nix").await.expect(404);
    assert_eq!(english.text().matches("There is nothing at this path").count(), 1, "{}", english.text());
}

#[tokio::test]
async fn what_is_secret_is_never_kept_for_later() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    let form = browser.open("/home/security").await.form("Change the password");
    let form =
        form.with("current", PASSWORD).with("new", "another long password").with("repeated", "another long password");
    app.send(app.request(Method::DELETE, "/me/sessions").bearer_auth(sign_in(&app, ANA).await)).await.expect(200);
    let out = browser.send(&form).await.expect(200);
    assert_eq!(out.path, "/sign-in");
    assert!(!out.html.contains("another long password") && !out.html.contains(PASSWORD));
    // A form of more fields than any page has is refused as a whole.
    let many =
        (0..2_001).fold(browser.open("/sign-in").await.form("Sign in"), |form, nth| form.ticked("x", &nth.to_string()));
    browser.send(&many).await.expect(413);
}

#[tokio::test]
async fn with_a_token_nobody_is_led_around() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    let mut asked = browser.open("/sign-in?return_to=%2Fhome").await.form("Sign in");
    asked.action = "/sign-in/token".to_owned();
    let admin = browser.send(&asked.with("token", &app.admin_token)).await.expect(200);
    assert_eq!(admin.path, "/admin", "a token has no pages of its own");
    assert_eq!(browser.open("/sign-in").await.path, "/admin");
    // What is somebody's own asks who they are, and goes on there.
    let asked = browser.open("/home/security").await.expect(200);
    assert_eq!(asked.path, "/sign-in?return_to=%2Fhome%2Fsecurity");
    let form = asked.form("Sign in").with("email", ANA).with("password", PASSWORD);
    assert_eq!(browser.send(&form).await.expect(200).path, "/home/security");
}

#[tokio::test]
async fn the_next_one_at_the_same_browser_finds_nothing_of_the_last() {
    let (app, clock) = at_noon(&[], 0).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(ANA, PASSWORD).await.expect(200);
    let security = browser.open("/home/security").await.expect(200);
    let setting_up = browser.send(&security.form("Set up a second factor")).await.expect(200);
    let secret = setting_up.copied("factor-secret");
    let codes = browser.send(&setting_up.form("Turn it on").with("code", &code(&secret, &clock))).await.expect(200);
    codes.shows("Your recovery codes");
    browser.send(&page.form("Sign out")).await.expect(200).shows("signed out");
    let left = browser.cookies.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(left.iter().all(|name| name == "permitd-form"), "{left:?}");
}

#[tokio::test]
async fn what_a_stranger_types_is_short() {
    let app = TestApp::start().await;
    let browser = Browser::new(&app);
    for (page, button) in [("/sign-in", "Sign in"), ("/sign-in/forgotten", "Send the link")] {
        let form = browser.open(page).await.form(button);
        assert!(browser.send(&form.clone().with("email", &"\"".repeat(4000))).await.status < 500);
        browser.send(&form.with("email", &"\"".repeat(20_000))).await.expect(413).shows("too large");
    }
}
