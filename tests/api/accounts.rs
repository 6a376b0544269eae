//! Signing in, as people do it: the link in a mail, a password, a session; and what others try with these.

use std::collections::BTreeSet;

use permitd::{
    clock::ManualClock,
    domain::{id::UserId, link::LinkToken},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    app::{Answer, Options, TestApp},
    browser::Browser,
};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";
const NOON: &str = "2026-03-01T12:00:00Z";

/// A server whose clock stands.
async fn at_noon(settings: &[(&'static str, &str)]) -> (TestApp, std::sync::Arc<ManualClock>) {
    let clock = ManualClock::at(NOON.parse().unwrap());
    let settings = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
    let options = Options { clock: clock.clone(), settings, ..Options::default() };
    (TestApp::with(options).await, clock)
}

/// Invites somebody; their id and the link in their mail.
async fn invited(app: &TestApp, email: &str) -> (String, String) {
    let (user, _) = app.invite_as(&json!({ "email": email, "name": "Ana Núñez" })).await;
    (user, app.mail_to(email, 1).await.links[0].clone())
}

async fn post(app: &TestApp, path: &str, body: &Value) -> Answer {
    app.send(app.request(Method::POST, path).json(body)).await
}

/// A request as a browser's form makes it.
fn posted(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Invites somebody, who sets a password.
pub(crate) async fn member(app: &TestApp, email: &str) -> String {
    member_as(app, email, "reader").await
}

/// Invites somebody of this role, who sets a password.
pub(crate) async fn member_as(app: &TestApp, email: &str, role: &str) -> String {
    let (user, _) = app.invite_as(&json!({ "email": email, "name": "Ana Núñez", "role": role })).await;
    set_password(app, email).await;
    user
}

/// Sets a password by the link in the last mail to somebody.
pub(crate) async fn set_password(app: &TestApp, email: &str) {
    let link = app.mail_to(email, 1).await.links[0].clone();
    post(app, &link, &json!({ "password": PASSWORD })).await.expect(200);
}

async fn try_sign_in(app: &TestApp, email: &str, password: &str) -> Answer {
    post(app, "/sessions", &json!({ "email": email, "password": password })).await
}

/// Signs in; the session's token.
pub(crate) async fn sign_in(app: &TestApp, email: &str) -> String {
    try_sign_in(app, email, PASSWORD).await.expect(201).json()["token"].as_str().unwrap().to_owned()
}

async fn with(app: &TestApp, token: &str, method: Method, path: &str) -> Answer {
    app.send(app.request(method, path).bearer_auth(token)).await
}

async fn me(app: &TestApp, token: &str) -> u16 {
    with(app, token, Method::GET, "/me").await.status
}

/// The events about a person, by type.
async fn events(app: &TestApp, user: &str) -> Vec<String> {
    let events = app.admin_get(&format!("/users/{user}/events")).await.expect(200).json();
    events["data"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn from_the_invitation_to_a_session_and_out_again() {
    let app = TestApp::start().await;
    let (user, link) = invited(&app, ANA).await;
    let started = post(&app, &link, &json!({ "password": PASSWORD })).await.expect(200);
    assert_eq!(started.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(started.header("cache-control"), Some("no-store"));
    let session = try_sign_in(&app, "ANA@example.org", PASSWORD).await.expect(201);
    let cookie = session.header("set-cookie").unwrap().to_owned();
    let token = session.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("pms_") && cookie.starts_with(&format!("permitd={token}; ")), "{cookie}");
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"),
        "{cookie}"
    );
    let shown = with(&app, &token, Method::GET, "/me").await.expect(200).json();
    assert_eq!((&shown["id"], &shown["email"], &shown["has_password"]), (&json!(user), &json!(ANA), &json!(true)));
    assert_eq!(shown["limits"]["quota_per_day"], json!(1000));
    let sessions = with(&app, &token, Method::GET, "/me/sessions").await.expect(200).json();
    let listed = &sessions["data"][0];
    assert_eq!((&listed["current"], &listed["network"]), (&json!(true), &json!("127.0.0.0/24")));
    assert!(!sessions.to_string().contains(&token) && listed["hash"].is_null());
    assert_eq!(shown["notices"], json!({ "expiry": true, "keys": true, "quota": true }));
    let change = app.request(Method::PATCH, "/me").bearer_auth(&token).json(&json!({ "notices": { "quota": false } }));
    let changed = app.send(change).await.expect(200).json();
    assert_eq!(changed["notices"], json!({ "expiry": true, "keys": true, "quota": false }));
    let wrong = app.request(Method::PATCH, "/me").bearer_auth(&token).json(&json!({ "notices": { "foo": true } }));
    let told = app.send(wrong).await.expect(400).json()["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("`foo` is an unknown field; the fields are: expiry, keys, quota"), "{told}");
    assert_eq!(app.admin_get(&format!("/users/{user}")).await.json()["notices"]["quota"], json!(false));
    let out = with(&app, &token, Method::DELETE, "/sessions/current").await.expect(200);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    with(&app, &token, Method::GET, "/me").await.expect(401);
    with(&app, &token, Method::DELETE, "/sessions/current").await.expect(401);
}

#[tokio::test]
async fn a_scanner_that_follows_links_spends_nothing_and_a_link_works_once() {
    let app = TestApp::start().await;
    let (user, link) = invited(&app, ANA).await;
    app.eventually("the mail to be written down", async || {
        events(&app, &user).await.contains(&"ApiKeyMailed".to_owned()).then_some(())
    })
    .await;
    let before = events(&app, &user).await;
    for _ in 0..3 {
        let shown = app.send(app.request(Method::GET, &link)).await.expect(200);
        assert_eq!(shown.json()["purpose"], "invitation");
        app.send(app.request(Method::HEAD, &link)).await.expect(200);
    }
    let page = app.send(app.request(Method::GET, &link).header("accept", "text/html")).await.expect(200);
    assert!(page.body.contains("<form method=\"post\"") && !page.body.contains("<script>"), "{}", page.body);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(page.header("content-security-policy").unwrap().contains("form-action 'self'"));
    assert_eq!(events(&app, &user).await, before, "looking spends nothing");
    for (wrong, says) in [("short", "12 characters"), (ANA, "e-mail address")] {
        let refused = post(&app, &link, &json!({ "password": wrong })).await.expect(400);
        assert!(refused.body.contains(says) && !refused.body.contains("pml_"), "{}", refused.body);
    }
    // As a browser posts the form: see `pages/links.rs` for more.
    let browser = Browser::new(&app);
    let form = browser.open(&link).await.form("Set password and sign in");
    browser.send(&form.clone().with("password", "short")).await.expect(400).shows("at least 12 characters");
    browser.send(&form.with("password", PASSWORD)).await.expect(200);
    post(&app, &link, &json!({ "password": "another long one" })).await.expect(410);
    app.send(app.request(Method::GET, &link)).await.expect(410);
    for over in [browser.open(&link).await, Browser::new(&app).open(&link).await] {
        let over = over.expect(410);
        assert!(over.says("does not work any more") && !over.html.contains("pml_"), "{}", over.html);
    }
    assert_eq!(try_sign_in(&app, ANA, PASSWORD).await.status, 201);
    let used = events(&app, &user).await.iter().filter(|name| *name == "LinkUsed").count();
    assert_eq!(used, 1);
}

#[tokio::test]
async fn of_many_who_use_a_link_at_once_one_does() {
    let app = TestApp::start().await;
    let (_, link) = invited(&app, ANA).await;
    let passwords: Vec<String> = (0..6).map(|nth| format!("a long password {nth}")).collect();
    let bodies: Vec<Value> = passwords.iter().map(|password| json!({ "password": password })).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| post(&app, &link, body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let winner = statuses.iter().position(|status| *status == 200).unwrap();
    assert_eq!(try_sign_in(&app, ANA, &passwords[winner]).await.status, 201);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410, 410, 410, 410, 410]);
}

#[tokio::test]
async fn links_end_by_their_time_and_by_a_newer_one() {
    let (app, clock) = at_noon(&[]).await;
    let (user, first) = invited(&app, ANA).await;
    clock.advance_us(1_000_000);
    app.send(app.admin(Method::POST, &format!("/users/{user}/invitations"))).await.expect(202);
    let second = app.mail_to(ANA, 2).await.links[0].clone();
    assert_ne!(first, second);
    app.send(app.request(Method::GET, &first)).await.expect(410);
    clock.advance_us(7 * 86_400 * 1_000_000 - 1);
    app.send(app.request(Method::GET, &second)).await.expect(200);
    clock.advance_us(1);
    app.send(app.request(Method::GET, &second)).await.expect(410);
    post(&app, &second, &json!({ "password": PASSWORD })).await.expect(410);
    // What nobody was sent is the same.
    let place = permitd::domain::link::LinkPlace { user: UserId::parse(&user).unwrap(), number: 2 };
    let made_up = format!("/links/{}", LinkToken::new(place, &[7; 32]).reveal());
    for wrong in [made_up.as_str(), "/links/pml_x", "/links/x"] {
        app.send(app.request(Method::GET, wrong)).await.expect(410);
    }
}

#[tokio::test]
async fn whoever_forgot_their_password_gets_a_link_and_their_sessions_end() {
    let (app, clock) = at_noon(&[]).await;
    member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    clock.advance_us(1_000_000);
    post(&app, "/password-resets", &json!({ "email": ANA })).await.expect(202);
    let mail = app.mail_to(ANA, 2).await;
    assert!(mail.key.is_none() && mail.text.contains("until 2026-03-01 13:00 UTC"), "{}", mail.text);
    let new = "another long password";
    post(&app, &mail.links[0], &json!({ "password": new })).await.expect(200);
    assert_eq!(me(&app, &token).await, 401, "sessions of before end");
    assert_eq!(try_sign_in(&app, ANA, PASSWORD).await.status, 401);
    assert_eq!(try_sign_in(&app, ANA, new).await.status, 201);
    clock.advance_us(1_000_000);
    post(&app, "/password-resets", &json!({ "email": ANA })).await.expect(202);
    let late = app.mail_to(ANA, 3).await.links[0].clone();
    clock.advance_us(3_600 * 1_000_000);
    post(&app, &late, &json!({ "password": PASSWORD })).await.expect(410);
}

#[tokio::test]
async fn one_person_is_mailed_so_many_links_an_hour_and_no_answer_tells() {
    let (app, clock) = at_noon(&[("mail.invitations_per_person_per_hour", "2")]).await;
    let user = member(&app, ANA).await;
    let mut answers = BTreeSet::new();
    for (email, mails) in [(ANA, 2), ("nobody@example.org", 2), (ANA, 3), (ANA, 3), ("not an address", 3)] {
        clock.advance_us(1_000_000);
        let answer = post(&app, "/password-resets", &json!({ "email": email })).await.expect(202);
        answers.insert(answer.body);
        app.mail_to(ANA, mails).await;
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    // The third was refused by then: an administrator's is as well.
    app.send(app.admin(Method::POST, &format!("/users/{user}/password-resets"))).await.expect(429);
    assert_eq!(app.mails().iter().filter(|mail| mail.to == ANA).count(), 3);
}

#[tokio::test]
async fn nothing_tells_whether_an_address_is_known() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    invited(&app, "ben@example.org").await;
    let disabled = member(&app, "eve@example.org").await;
    app.admin_send(Method::PATCH, &format!("/users/{disabled}"), &json!({ "status": "disabled" })).await.expect(200);
    let counts = || app.service().sign_ins.pool().counts().verified;
    let mut answers = BTreeSet::new();
    let long = "x".repeat(2000);
    for (email, password) in [
        (ANA, "a wrong password"),
        (ANA, long.as_str()),
        ("nobody@example.org", PASSWORD),
        ("ben@example.org", PASSWORD),
        ("eve@example.org", PASSWORD),
        ("not an address", PASSWORD),
    ] {
        let before = counts();
        let answer = try_sign_in(&app, email, password).await.expect(401);
        assert_eq!(counts() - before, 1, "{email}: one password is compared, whoever it is");
        assert!(answer.header("set-cookie").is_none());
        let mut problem = answer.json();
        problem.as_object_mut().unwrap().remove("instance");
        answers.insert(problem.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn whoever_guesses_waits_longer_and_longer_whether_there_is_such_an_account_or_not() {
    let (app, clock) = at_noon(&[("http.wrong_keys_max", "1000")]).await;
    member(&app, ANA).await;
    for email in [ANA, "nobody@example.org"] {
        for _ in 0..5 {
            assert_eq!(try_sign_in(&app, email, "a wrong password").await.status, 401);
        }
        let before = app.service().sign_ins.pool().counts().verified;
        let wait = try_sign_in(&app, email, PASSWORD).await.expect(429);
        assert_eq!(wait.header("retry-after"), Some("10"), "{email}");
        assert_eq!(app.service().sign_ins.pool().counts().verified, before, "a wait costs nothing");
        clock.advance_us(10_000_000);
        assert_eq!(try_sign_in(&app, email, "a wrong password").await.status, 401);
        assert_eq!(try_sign_in(&app, email, PASSWORD).await.expect(429).header("retry-after"), Some("20"), "{email}");
    }
    clock.advance_us(20_000_000);
    assert_eq!(try_sign_in(&app, ANA, PASSWORD).await.status, 201, "a right one ends it");
    assert_eq!(try_sign_in(&app, ANA, "a wrong password").await.status, 401);
}

/// A stranger's guesses make strangers wait. Whoever comes from where they have signed in signs in, and whoever is signed in changes
/// their password.
#[tokio::test]
async fn whoever_guesses_keeps_nobody_out_of_their_account() {
    let settings = [("http.wrong_keys_max", "1000"), ("http.trusted_proxies", "127.0.0.1")];
    let (app, clock) = at_noon(&settings).await;
    member(&app, ANA).await;
    let from = async |client: &str, email: &str, password: &str| {
        let given = json!({ "email": email, "password": password });
        app.send(app.request(Method::POST, "/sessions").header("x-forwarded-for", client).json(&given)).await
    };
    let token = from("203.0.113.9", ANA, PASSWORD).await.expect(201).json()["token"].as_str().unwrap().to_owned();
    from("2001:db8:1:2::1", ANA, PASSWORD).await.expect(201);
    for email in [ANA, "nobody@example.org"] {
        for _ in 0..5 {
            from("198.51.100.7", email, "a wrong password").await.expect(401);
        }
        // Nothing tells a stranger apart who guesses right.
        let before = app.service().sign_ins.pool().counts().verified;
        for client in ["198.51.100.7", "192.0.2.1"] {
            assert_eq!(from(client, email, PASSWORD).await.expect(429).header("retry-after"), Some("10"), "{email}");
        }
        assert_eq!(app.service().sign_ins.pool().counts().verified, before, "a wait costs no hash");
    }
    // Nor does it tell who has an account that somebody of the same network has one.
    for nth in 0..6 {
        let status = if nth < 5 { 401 } else { 429 };
        from("203.0.113.8", "nobody@example.org", PASSWORD).await.expect(status);
    }
    for client in ["203.0.113.77", "2001:db8:1:ffff::2"] {
        from(client, ANA, PASSWORD).await.expect(201);
    }
    from("198.51.100.7", ANA, PASSWORD).await.expect(429);
    let change = json!({ "current": PASSWORD, "new": "another horse battery" });
    let request = app.request(Method::PUT, "/me/password").bearer_auth(&token).json(&change);
    app.send(request).await.expect(200);
    // Who guesses from there waits as well.
    for _ in 0..5 {
        from("203.0.113.5", ANA, "a wrong password").await.expect(401);
    }
    assert_eq!(from("203.0.113.5", ANA, PASSWORD).await.expect(429).header("retry-after"), Some("10"));
    clock.advance_us(10_000_000);
    from("203.0.113.5", ANA, "another horse battery").await.expect(201);
}

#[tokio::test]
async fn wrong_passwords_count_for_the_address_they_come_from() {
    let app = TestApp::set(&[("http.wrong_keys_max", "3")], 0).await;
    for nth in 0..3 {
        assert_eq!(try_sign_in(&app, &format!("nobody{nth}@example.org"), PASSWORD).await.status, 401);
    }
    assert_eq!(try_sign_in(&app, "nobody9@example.org", PASSWORD).await.status, 429);
    post(&app, "/password-resets", &json!({ "email": ANA })).await.expect(429);
}

#[tokio::test]
async fn a_session_ends_with_all_that_ends_it() {
    let app = TestApp::start().await;
    for (nth, change) in [
        json!({ "status": "disabled" }),
        json!({ "sessions": "end" }),
        json!({ "one": "end" }),
        json!({ "password": "another long password" }),
        json!({ "user": "delete" }),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("ana{nth}@example.org");
        let user = member(&app, &email).await;
        let (mine, other) = (sign_in(&app, &email).await, sign_in(&app, &email).await);
        assert_ne!(mine, other, "each sign-in is another session");
        let path = format!("/users/{user}");
        match change.as_object().unwrap().keys().next().unwrap().as_str() {
            "status" => drop(app.admin_send(Method::PATCH, &path, &change).await.expect(200)),
            "sessions" => drop(app.send(app.admin(Method::DELETE, &format!("{path}/sessions"))).await.expect(200)),
            "user" => drop(app.send(app.admin(Method::DELETE, &path)).await.expect(200)),
            "one" => {
                let listed = with(&app, &mine, Method::GET, "/me/sessions").await.expect(200).json();
                let all = listed["data"].as_array().unwrap();
                let it = all.iter().find(|session| session["current"] == json!(false)).unwrap();
                let path = format!("/me/sessions/{}", it["id"].as_str().unwrap());
                with(&app, &mine, Method::DELETE, &path).await.expect(200);
                with(&app, &mine, Method::DELETE, "/me/sessions/0000000000000000").await.expect(404);
            }
            _ => {
                let change = |current: &str| json!({ "current": current, "new": change["password"] });
                let put =
                    |body: Value| app.send(app.request(Method::PUT, "/me/password").bearer_auth(&mine).json(&body));
                put(change("a wrong password")).await.expect(401);
                put(change(PASSWORD)).await.expect(200);
            }
        }
        let lives = matches!(nth, 2 | 3);
        assert_eq!(me(&app, &mine).await, if lives { 200 } else { 401 }, "{change}");
        assert_eq!(me(&app, &other).await, 401, "{change}");
        if nth == 0 {
            app.admin_send(Method::PATCH, &path, &json!({ "status": "active" })).await.expect(200);
            assert_eq!(me(&app, &mine).await, 401, "what has ended does not begin again");
        }
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_end() {
    let (app, clock) = at_noon(&[("accounts.session_h", "3"), ("accounts.session_idle_min", "60")]).await;
    let user = member(&app, ANA).await;
    let (used, idle) = (sign_in(&app, ANA).await, sign_in(&app, ANA).await);
    for _ in 0..5 {
        clock.advance_us(30 * 60 * 1_000_000);
        assert_eq!(me(&app, &used).await, 200);
    }
    assert_eq!(me(&app, &idle).await, 401);
    let seen = events(&app, &user).await.iter().filter(|name| *name == "SessionSeen").count();
    assert_eq!(seen, 5, "not each use is written down, and not none");
    assert_eq!(me(&app, &used).await, 200);
    clock.advance_us(30 * 60 * 1_000_000);
    assert_eq!(me(&app, &used).await, 401, "three hours are over");
}

#[tokio::test]
async fn so_many_sessions_and_the_oldest_ends() {
    let app = TestApp::set(&[("accounts.sessions_max", "2"), ("accounts.sessions_per_hour_max", "4")], 0).await;
    member(&app, ANA).await;
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(sign_in(&app, ANA).await);
    }
    let mut lives = Vec::new();
    for token in &tokens {
        lives.push(me(&app, token).await);
    }
    assert_eq!(lives, [401, 401, 200, 200]);
    assert_eq!(try_sign_in(&app, ANA, PASSWORD).await.status, 429);
}

#[tokio::test]
async fn a_cookie_counts_only_in_requests_of_the_own_pages() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    let request = |method: Method, path: &str| app.request(method, path).header("cookie", format!("permitd={token}"));
    app.send(request(Method::GET, "/me").header("sec-fetch-site", "cross-site")).await.expect(200);
    let write = || request(Method::POST, "/me/keys").json(&json!({ "label": "mine" }));
    let origin = app.url("");
    for (field, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        app.send(write().header(field, value)).await.expect(403);
    }
    app.send(write()).await.expect(403);
    app.send(write().header("sec-fetch-site", "same-origin")).await.expect(201);
    app.send(write().header("origin", &origin)).await.expect(201);
    // A script sends the token itself, and no cookie with it counts.
    app.send(write().bearer_auth(&token)).await.expect(201);
    app.send(write().bearer_auth("pms_wrong").header("sec-fetch-site", "same-origin")).await.expect(401);
    let twice = app.request(Method::GET, "/me").header("cookie", format!("permitd={token}; permitd={token}"));
    app.send(twice).await.expect(401);
    // A page of another site can send a form, but no cookie comes of it.
    let given = json!({ "email": ANA, "password": PASSWORD });
    let foreign = app.request(Method::POST, "/sessions").header("origin", "https://evil.example").json(&given);
    assert!(app.send(foreign).await.expect(201).header("set-cookie").is_none());
    let form = posted(app.request(Method::POST, "/sessions"), &[("email", ANA), ("password", PASSWORD)]);
    app.send(form).await.expect(415);
}

#[tokio::test]
async fn a_session_that_somebody_brings_along_is_not_taken_over() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    member(&app, "eve@example.org").await;
    let eve = sign_in(&app, "eve@example.org").await;
    let given = json!({ "email": ANA, "password": PASSWORD });
    let request = app.request(Method::POST, "/sessions").header("cookie", format!("permitd={eve}")).json(&given);
    let token = app.send(request).await.expect(201).json()["token"].as_str().unwrap().to_owned();
    assert_ne!(token, eve);
    assert_eq!(with(&app, &eve, Method::GET, "/me").await.json()["email"], "eve@example.org");
    assert_eq!(with(&app, &token, Method::GET, "/me").await.json()["email"], ANA);
}

#[tokio::test]
async fn people_keep_their_keys_and_see_nobody_else_s() {
    let app = TestApp::with_sample(5).await;
    member(&app, ANA).await;
    let (other, other_key) = app.invite_as(&json!({ "email": "eve@example.org" })).await;
    let token = sign_in(&app, ANA).await;
    let own = |method: Method, path: &str| app.request(method, path).bearer_auth(&token);
    let issued = app.send(own(Method::POST, "/me/keys").json(&json!({ "label": "laptop" }))).await.expect(201);
    let (id, key) =
        (issued.json()["id"].as_str().unwrap().to_owned(), issued.json()["key"].as_str().unwrap().to_owned());
    assert_eq!(issued.header("location"), Some(app.url(&format!("/me/keys/{id}")).as_str()));
    app.get("/permits?limit=1", &key).await.expect(200);
    assert_eq!(app.get("/me", &key).await.expect(200).json()["email"], ANA);
    assert_eq!(app.send(app.request(Method::GET, "/me").bearer_auth(&key)).await.expect(200).json()["email"], ANA);
    app.get("/me/usage", &key).await.expect(200);
    // A key reads; it makes no others and shows no sessions.
    for path in ["/me/keys", "/me/sessions", "/me/export"] {
        app.get(path, &key).await.expect(401);
    }
    assert_eq!(app.send(own(Method::GET, "/me/keys")).await.expect(200).json()["data"].as_array().unwrap().len(), 2);
    let rotated = app.send(own(Method::POST, &format!("/me/keys/{id}/rotate"))).await.expect(201).json();
    app.get("/me", &key).await.expect(401);
    let new = rotated["id"].as_str().unwrap();
    app.send(own(Method::DELETE, &format!("/me/keys/{new}"))).await.expect(200);
    app.get("/me", rotated["key"].as_str().unwrap()).await.expect(401);
    // Somebody else's key is not there.
    app.send(own(Method::DELETE, &format!("/me/keys/{}", &other_key[4..20]))).await.expect(404);
    app.get("/me", &other_key).await.expect(200);
    for path in ["/users", "/events", &format!("/users/{other}/export")] {
        app.send(own(Method::GET, path)).await.expect(403);
    }
}

#[tokio::test]
async fn a_claim_link_shows_the_key_once() {
    let app = TestApp::set(&[("mail.delivery", "claim-link"), ("accounts.sign_in", "false")], 5).await;
    let user = app.admin_send(Method::POST, "/users", &json!({ "email": ANA })).await.expect(201).json();
    assert_eq!(try_sign_in(&app, ANA, PASSWORD).await.status, 404, "nobody signs in here");
    post(&app, "/password-resets", &json!({ "email": ANA })).await.expect(404);
    let mail = app.mail_to(ANA, 1).await;
    assert!(mail.key.is_none() && mail.links.len() == 1 && !mail.text.contains("password"), "{}", mail.text);
    let link = &mail.links[0];
    for _ in 0..2 {
        let shown = app.send(app.request(Method::GET, link)).await.expect(200);
        assert!(shown.json()["purpose"] == "claim_key" && !shown.body.contains("pmt_"));
    }
    let key = app.send(app.request(Method::POST, link)).await.expect(200).json()["key"].as_str().unwrap().to_owned();
    app.get("/permits?limit=1", &key).await.expect(200);
    app.send(app.request(Method::POST, link)).await.expect(410);
    // Sent again it is another link, to the same key.
    let path = format!("/users/{}/invitations", user["id"].as_str().unwrap());
    app.send(app.admin(Method::POST, &path)).await.expect(202);
    let again = app.mail_to(ANA, 2).await.links[0].clone();
    let browser = Browser::new(&app);
    let page = browser.open(&again).await.expect(200);
    assert_eq!(browser.send(&page.form("Show my key")).await.expect(200).copied("new-key"), key);
}

/// The texts in a document.
fn texts(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn an_export_shows_what_is_kept_and_erasure_removes_what_is_personal_in_it() {
    let app = TestApp::start().await;
    let user = member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    let label = app.request(Method::POST, "/me/keys").bearer_auth(&token).json(&json!({ "label": "under the stairs" }));
    app.send(label).await.expect(201);
    let own = with(&app, &token, Method::GET, "/me/export").await.expect(200).json();
    let by_administrator = app.admin_get(&format!("/users/{user}/export")).await.expect(200).json();
    assert_eq!((&own["events"], &own["keys"]), (&by_administrator["events"], &by_administrator["keys"]));
    let stored = app.admin_get(&format!("/users/{user}/events")).await.expect(200).json();
    assert_eq!(own["events"].as_array().unwrap().len(), stored["data"].as_array().unwrap().len(), "every event");
    let (mut shown, mut sealed) = (BTreeSet::new(), BTreeSet::new());
    texts(&own, &mut shown);
    texts(&stored, &mut sealed);
    for personal in [ANA, "Ana Núñez", "under the stairs", "127.0.0.0/24"] {
        assert!(shown.contains(personal) && !sealed.contains(personal), "{personal}");
    }
    assert!(!own.to_string().contains("$argon2id$") && !own.to_string().contains("pms_"), "nobody signs in by it");

    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    let erased = app.admin_get(&format!("/users/{user}/export")).await.expect(200).json();
    let mut left = BTreeSet::new();
    texts(&erased, &mut left);
    for personal in [ANA, "Ana Núñez", "under the stairs", "127.0.0.0/24"] {
        assert!(!left.contains(personal), "{personal} is left");
    }
    assert!(
        erased["events"].as_array().unwrap().len() > own["events"].as_array().unwrap().len(),
        "the log stays whole"
    );
}

#[tokio::test]
async fn an_export_shows_what_somebody_did_to_others_without_their_data() {
    let app = TestApp::start().await;
    let user = member(&app, ANA).await;
    app.admin_send(Method::PATCH, &format!("/users/{user}"), &json!({ "role": "admin" })).await.expect(200);
    let token = sign_in(&app, ANA).await;
    let invite = app.request(Method::POST, "/users").bearer_auth(&token);
    let invite = invite.json(&json!({ "email": "eve.unusual@example.org", "name": "Eve Unusual" }));
    let other = app.send(invite).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    with(&app, &token, Method::DELETE, &format!("/users/{other}")).await.expect(200);
    let own = with(&app, &token, Method::GET, "/me/export").await.expect(200).json();
    let done = own["done"].as_array().unwrap();
    let told: Vec<_> =
        done.iter().map(|event| (event["type"].as_str().unwrap(), event["stream"].as_str().unwrap())).collect();
    let stream = format!("user#{other}");
    for event in ["UserInvited", "UserDeleted"] {
        assert!(told.contains(&(event, stream.as_str())), "{event}: {told:?}");
    }
    assert!(done.iter().all(|event| event["data"] == json!({})), "{done:?}");
    assert!(!own.to_string().contains("unusual") && !own.to_string().contains("Unusual"));
}

#[tokio::test]
async fn what_people_do_for_themselves_is_repeated_safely() {
    let app = TestApp::start().await;
    member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    let issue = || {
        let request = app.request(Method::POST, "/me/keys").bearer_auth(&token).header("idempotency-key", "one");
        request.json(&json!({ "label": "laptop" }))
    };
    let (first, again) = (app.send(issue()).await.expect(201), app.send(issue()).await.expect(201));
    assert_eq!(first.json()["key"], again.json()["key"]);
}

/// Everything in the files below a folder.
fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => std::fs::read(&path).map(|bytes| vec![(path, bytes)]).unwrap_or_default(),
    };
    entries.flat_map(read).collect()
}

#[tokio::test]
async fn nothing_of_an_erased_person_is_in_any_file() {
    let mut app = TestApp::set(&[("http.trusted_proxies", "127.0.0.1")], 5).await;
    let email = "ana.unusual@example.org";
    let body = json!({ "email": email, "name": "Ana Unusual" });
    let (user, _) = app.invite_as(&body).await;
    let link = app.mail_to(email, 1).await.links[0].clone();
    post(&app, &link, &json!({ "password": PASSWORD })).await.expect(200);
    let given = json!({ "email": email, "password": PASSWORD });
    for _ in 0..3 {
        let request = app.request(Method::POST, "/sessions").header("x-forwarded-for", "203.0.113.77").json(&given);
        let token = app.send(request).await.expect(201).json()["token"].as_str().unwrap().to_owned();
        let listed = with(&app, &token, Method::GET, "/me/sessions").await.expect(200);
        assert!(listed.body.contains("203.0.113.0/24"), "{}", listed.body);
    }
    post(&app, "/password-resets", &json!({ "email": email })).await.expect(202);
    app.mail_to(email, 2).await;
    let holds = |app: &TestApp, text: &str| -> Vec<std::path::PathBuf> {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        files(&app.data()).into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
    };
    assert!(!holds(&app, email).is_empty(), "the outbox has the mails");
    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    app.eventually("an outbox without their mails", async || {
        app.mails().iter().all(|mail| mail.to != email).then_some(())
    })
    .await;
    app.stop().await;
    for text in [email, "Ana Unusual", "203.0.113.77", "203.0.113.0/24", "pml_", PASSWORD] {
        assert_eq!(holds(&app, text), Vec::<std::path::PathBuf>::new(), "{text}");
    }
}
