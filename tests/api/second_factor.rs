//! The second factor: codes by the time, recovery codes, and where it is demanded.

use std::sync::Arc;

use permitd::{
    actors::account::AccountCommand,
    clock::{Clock, ManualClock},
    domain::{
        event::{Origin, Role},
        id::{CommandId, UserId, Who},
        totp,
    },
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    accounts::{member, sign_in},
    app::{Answer, Options, TestApp},
};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";

async fn at_noon(settings: &[(&'static str, &str)]) -> (TestApp, Arc<ManualClock>) {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
    let options = Options { clock: clock.clone(), settings, ..Options::default() };
    (TestApp::with(options).await, clock)
}

async fn with(app: &TestApp, token: &str, method: Method, body: &Value) -> Answer {
    app.send(app.request(method, "/me/second-factor").bearer_auth(token).json(body)).await
}

async fn try_code(app: &TestApp, code: Option<&str>) -> Answer {
    let body = json!({ "email": ANA, "password": PASSWORD, "code": code });
    app.send(app.request(Method::POST, "/sessions").json(&body)).await
}

fn code(secret: &str, clock: &ManualClock) -> String {
    totp::code(&totp::unbase32(secret).unwrap(), totp::step_at(clock.now())).unwrap()
}

/// Sets a second factor up; its secret and the recovery codes.
async fn set_up(app: &TestApp, token: &str, clock: &ManualClock) -> (String, Vec<String>) {
    let begun = with(app, token, Method::POST, &json!({})).await.expect(201).json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(begun["otpauth"].as_str().unwrap().starts_with("otpauth://totp/permitd:ana%40example.org?secret="));
    let wrong = with(app, token, Method::PUT, &json!({ "code": "000000" })).await;
    assert!(wrong.status == 400 || code(&secret, clock) == "000000", "{}", wrong.body);
    let confirmed = with(app, token, Method::PUT, &json!({ "code": code(&secret, clock) })).await.expect(200).json();
    let codes = confirmed["recovery_codes"].as_array().unwrap();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn a_code_is_wanted_taken_once_and_a_recovery_code_as_well() {
    let (app, clock) = at_noon(&[("accounts.wrong_passwords_max", "1000"), ("http.wrong_keys_max", "1000")]).await;
    member(&app, ANA).await;
    let (token, other) = (sign_in(&app, ANA).await, sign_in(&app, ANA).await);
    let (secret, recovery) = set_up(&app, &token, &clock).await;
    assert_eq!(recovery.len(), 10);
    let me = async |token: &str| app.send(app.request(Method::GET, "/me").bearer_auth(token)).await;
    assert_eq!(me(&token).await.expect(200).json()["recovery_codes_left"], 10);
    me(&other).await.expect(401);
    let wanted = try_code(&app, None).await.expect(401);
    assert!(wanted.body.contains("/problems/code-required"), "{}", wanted.body);
    assert!(try_code(&app, Some("000000")).await.expect(401).body.contains("/problems/invalid-credentials"));
    let used = code(&secret, &clock);
    try_code(&app, Some(&used)).await.expect(401);
    clock.advance_us(30_000_000);
    let next = code(&secret, &clock);
    let session = try_code(&app, Some(&next)).await.expect(201).json();
    assert_eq!(session["method"], "password_and_code");
    try_code(&app, Some(&next)).await.expect(401);
    assert_eq!(try_code(&app, Some(&recovery[3])).await.expect(201).json()["method"], "password_and_recovery_code");
    try_code(&app, Some(&recovery[3])).await.expect(401);
    assert_eq!(me(&token).await.expect(200).json()["recovery_codes_left"], 9);
    with(&app, &token, Method::POST, &json!({})).await.expect(409);

    with(&app, &token, Method::DELETE, &json!({})).await.expect(400);
    with(&app, &token, Method::DELETE, &json!({ "code": "000000" })).await.expect(400);
    // The password alone is what somebody may have found out who has no second factor.
    with(&app, &token, Method::DELETE, &json!({ "password": PASSWORD })).await.expect(400);
    let wrong = json!({ "code": recovery[5], "password": "a wrong password" });
    with(&app, &token, Method::DELETE, &wrong).await.expect(401);
    try_code(&app, None).await.expect(401);
    with(&app, &token, Method::DELETE, &json!({ "code": recovery[3] })).await.expect(400);
    with(&app, &token, Method::DELETE, &json!({ "code": recovery[5], "password": PASSWORD })).await.expect(200);
    try_code(&app, None).await.expect(201);
    // And by a code by the time.
    let (secret, _) = set_up(&app, &token, &clock).await;
    clock.advance_us(30_000_000);
    with(&app, &token, Method::DELETE, &json!({ "code": code(&secret, &clock) })).await.expect(200);
    try_code(&app, None).await.expect(201);
}

#[tokio::test]
async fn a_right_password_between_them_makes_guesses_of_codes_no_cheaper() {
    let (app, clock) = at_noon(&[("accounts.wrong_passwords_max", "3")]).await;
    member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    let (secret, _) = set_up(&app, &token, &clock).await;
    clock.advance_us(30_000_000);
    for _ in 0..3 {
        try_code(&app, Some("000000")).await.expect(401);
        assert!(try_code(&app, None).await.expect(401).body.contains("/problems/code-required"));
    }
    try_code(&app, Some("000000")).await.expect(429);
    // One count holds wherever a code is given: also for who is signed in, and whatever else they show.
    let removal = json!({ "code": "000000", "password": PASSWORD });
    with(&app, &token, Method::DELETE, &removal).await.expect(429);
    clock.advance_us(10_000_000);
    with(&app, &token, Method::DELETE, &removal).await.expect(400);
    try_code(&app, Some(&code(&secret, &clock))).await.expect(429);
    clock.advance_us(20_000_000);
    try_code(&app, Some(&code(&secret, &clock))).await.expect(201);
    // All is forgotten after a right one.
    for _ in 0..3 {
        with(&app, &token, Method::DELETE, &removal).await.expect(400);
    }
    with(&app, &token, Method::DELETE, &removal).await.expect(429);
}

#[tokio::test]
async fn of_many_who_use_one_code_at_once_one_signs_in() {
    let (app, clock) = at_noon(&[("accounts.wrong_passwords_max", "1000"), ("http.wrong_keys_max", "1000")]).await;
    member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    let (secret, _) = set_up(&app, &token, &clock).await;
    clock.advance_us(30_000_000);
    let code = code(&secret, &clock);
    let tries = (0..6).map(|_| try_code(&app, Some(&code)));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(tries).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401, 401, 401, 401, 401]);
}

#[tokio::test]
async fn an_administrator_without_one_can_set_it_up_and_nothing_else_where_it_is_demanded() {
    let (app, clock) = at_noon(&[("accounts.second_factor", "administrators")]).await;
    let user = member(&app, ANA).await;
    let origin = Origin { who: Who::system("test"), correlation_id: "role".to_owned(), causation_id: None };
    let envelope = permitd::actors::commit::Envelope::new(CommandId::stored("test:role"), origin);
    let change = AccountCommand::ChangeRole(Role::Admin);
    let reader = sign_in(&app, ANA).await;
    app.service().accounts.perform(UserId::parse(&user).unwrap(), change, envelope).await.unwrap();
    let get = async |token: &str| app.send(app.request(Method::GET, "/me").bearer_auth(token)).await;
    get(&reader).await.expect(401);
    let session = try_code(&app, None).await.expect(201).json();
    assert_eq!(session["second_factor_required"], true);
    let token = session["token"].as_str().unwrap();
    let refused = get(token).await.expect(403);
    assert!(refused.body.contains("/problems/second-factor-required"), "{}", refused.body);
    set_up(&app, token, &clock).await;
    get(token).await.expect(200);
    // An administrator helps who has lost it, and nobody so themselves.
    let own = format!("/users/{user}/second-factor");
    app.send(app.request(Method::DELETE, &own).bearer_auth(token)).await.expect(409);
    get(token).await.expect(200);
    app.send(app.admin(Method::DELETE, &format!("/users/{user}/second-factor"))).await.expect(200);
    get(token).await.expect(403);
}
