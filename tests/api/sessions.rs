//! Sessions read data as keys do: from the same quota, under the same plan, and no longer than they last.

use std::sync::Arc;

use permitd::{
    clock::{Clock, ManualClock},
    domain::{
        key::{KeyId, SECRET_BYTES},
        session_token::SessionToken,
        totp,
    },
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    accounts::{member, member_as, sign_in},
    admission::daily_left,
    app::{Answer, Options, TestApp},
};

const ANA: &str = "ana@example.org";
const PATH: &str = "/permits/201612013997";
const SECOND_US: i64 = 1_000_000;

/// A server with a few records, whose clock stands, and on which nobody is held up.
async fn standing(settings: &[(&'static str, &str)]) -> (TestApp, Arc<ManualClock>) {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let mut settings: Vec<_> = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
    settings.push(("http.refusal_delay_max_ms", "0".to_owned()));
    let options = Options { clock: clock.clone(), settings, sample_rows: 5, ..Options::default() };
    let app = TestApp::with(options).await;
    let limits = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 100 });
    app.admin_send(Method::PUT, "/plans/default", &limits).await.expect(200);
    (app, clock)
}

/// What ends a session: made of its token, and of another of the same person.
type End<'e> = Box<dyn Fn(&str, &str) -> RequestBuilder + 'e>;

fn get(app: &TestApp) -> RequestBuilder {
    app.request(Method::GET, PATH)
}

async fn read(app: &TestApp, token: &str) -> Answer {
    app.send(get(app).bearer_auth(token)).await
}

fn id_of(token: &str) -> &str {
    &token[4..20]
}

#[tokio::test]
async fn keys_and_sessions_of_a_person_spend_from_one_quota_and_are_counted_apart() {
    let (app, clock) = standing(&[]).await;
    let user = member(&app, ANA).await;
    let key = app.mail_to(ANA, 1).await.key.unwrap();
    let (one, two) = (sign_in(&app, ANA).await, sign_in(&app, ANA).await);
    assert_eq!(daily_left(&app.get(PATH, &key).await.expect(200)), 99);
    assert_eq!(daily_left(&read(&app, &one).await.expect(200)), 98);
    let by_cookie = app.send(get(&app).header("cookie", format!("permitd={two}"))).await.expect(200);
    assert_eq!(daily_left(&by_cookie), 97);
    assert!(by_cookie.header("vary").unwrap().contains("Cookie"));
    assert!(by_cookie.header("set-cookie").is_none());
    let mut answered = 3;
    while read(&app, &one).await.status == 200 {
        answered += 1;
    }
    assert_eq!(answered, 100);
    for refused in [read(&app, &two).await, app.get(PATH, &key).await] {
        assert_eq!(refused.expect(429).json()["type"], "/problems/quota-exceeded");
    }
    clock.advance_us(2 * SECOND_US);
    let usage = app.admin_get(&format!("/users/{user}/usage?by=key")).await.expect(200).json();
    let told = usage.to_string();
    for id in [id_of(&key), id_of(&one), id_of(&two)] {
        assert!(told.contains(id), "{told}");
    }
}

/// What the browser sends by itself counts where nothing else is shown; two that are shown are none.
#[tokio::test]
async fn of_a_key_and_a_session_the_shown_one_counts() {
    let (app, _) = standing(&[]).await;
    let user = member(&app, ANA).await;
    let key = app.mail_to(ANA, 1).await.key.unwrap();
    let token = sign_in(&app, ANA).await;
    let cookie = format!("permitd={token}");
    let two = app.send(get(&app).header("x-api-key", &key).bearer_auth(&token)).await.expect(400).json();
    assert_eq!(two["type"], "/problems/invalid-request");
    assert!(two["detail"].as_str().unwrap().contains("a key and a session"), "{two}");
    let two = app.send(app.request(Method::GET, "/me").header("x-api-key", &key).bearer_auth(&token)).await;
    two.expect(400);
    app.send(get(&app).header("x-api-key", &key).header("cookie", &cookie)).await.expect(200);
    app.send(get(&app).bearer_auth(&key).header("cookie", &cookie)).await.expect(200);
    let usage = app.admin_get(&format!("/users/{user}/usage?by=key")).await.expect(200).json().to_string();
    assert!(usage.contains(id_of(&key)) && !usage.contains(id_of(&token)), "{usage}");
    // A wrong key is not made good by the cookie, and a token is read in its own places.
    app.send(get(&app).header("x-api-key", "junk").header("cookie", &cookie)).await.expect(401);
    app.send(get(&app).header("x-api-key", &token)).await.expect(401);
    app.send(get(&app).basic_auth(&token, Some(""))).await.expect(401);
    app.send(app.request(Method::GET, &format!("{PATH}?key={token}"))).await.expect(401);
    for method in [Method::POST, Method::DELETE] {
        app.send(app.request(method, PATH).header("cookie", &cookie)).await.expect(405);
    }
}

/// The cookie needs no proof of where a read comes from: no page of another site gets to see the answer.
#[tokio::test]
async fn a_cookie_gives_nothing_to_other_origins() {
    for origins in ["*", "https://partner.example"] {
        let (app, _) = standing(&[("http.cors_allowed_origins", origins)]).await;
        member(&app, ANA).await;
        let cookie = format!("permitd={}", sign_in(&app, ANA).await);
        for origin in ["https://partner.example", "https://evil.example", "null"] {
            let request = get(&app).header("cookie", &cookie).header("origin", origin);
            let answer = app.send(request.header("sec-fetch-site", "cross-site")).await.expect(200);
            assert!(answer.header("access-control-allow-credentials").is_none(), "{origins} {origin}");
            // With credentials a browser takes the very origin only, and only beside that header.
            let allowed = answer.header("access-control-allow-origin");
            assert_ne!(allowed, Some("https://evil.example"), "{origins}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        let preflight = app.request(Method::OPTIONS, PATH).header("origin", "https://partner.example");
        let answer = app.send(preflight.header("access-control-request-method", "GET")).await;
        assert!(answer.header("access-control-allow-credentials").is_none());
    }
}

/// Each end of a session is one at data from the answer on.
#[tokio::test]
async fn a_session_that_has_ended_reads_nothing() {
    let (app, _) = standing(&[("http.wrong_keys_max", "1000")]).await;
    let user = member(&app, ANA).await;
    let (me, path) = (format!("/users/{user}"), format!("/users/{user}/sessions"));
    let by = |method: Method, path: &str, token: &str| app.request(method, path).bearer_auth(token);
    let patch = |body: Value| app.admin(Method::PATCH, &me).json(&body);
    let password = json!({ "current": "correct horse battery", "new": "another horse battery" });
    let back = json!({ "current": "another horse battery", "new": "correct horse battery" });
    let ends: Vec<End<'_>> = vec![
        Box::new(|token, _| by(Method::DELETE, "/sessions/current", token)),
        Box::new(|token, other| by(Method::DELETE, &format!("/me/sessions/{}", id_of(token)), other)),
        Box::new(|_, other| by(Method::DELETE, "/me/sessions", other)),
        Box::new(|_, other| by(Method::PUT, "/me/password", other).json(&password)),
        Box::new(|_, _| app.admin(Method::DELETE, &path)),
        Box::new(|_, _| patch(json!({ "role": "manager" }))),
        Box::new(|_, _| patch(json!({ "status": "disabled" }))),
        Box::new(|_, _| app.admin(Method::DELETE, &me)),
    ];
    for (nth, end) in ends.iter().enumerate() {
        let (token, other) = (sign_in(&app, ANA).await, sign_in(&app, ANA).await);
        read(&app, &token).await.expect(200);
        app.send(end(&token, &other)).await.expect(200);
        let refused = read(&app, &token).await.expect(401);
        assert!(refused.json()["detail"].as_str().unwrap().contains("sign in again"), "{nth}: {}", refused.body);
        match nth {
            // The session that changes the password goes on.
            3 => {
                read(&app, &other).await.expect(200);
                app.send(by(Method::PUT, "/me/password", &other).json(&back)).await.expect(200);
            }
            6 => {
                app.send(patch(json!({ "status": "active" }))).await.expect(200);
                read(&app, &token).await.expect(401);
            }
            _ => {}
        }
    }
    // One that never was, though its form and checksum are right.
    let forged = SessionToken::new(KeyId::from_random([7; 12]), &[7; SECRET_BYTES]);
    read(&app, forged.reveal()).await.expect(401);
}

/// Reading keeps a session from ending as an idle one, and is written down as seldom as any use. Its time ends it all the same.
#[tokio::test]
async fn a_session_that_reads_is_not_idle_and_ends_at_its_time() {
    let idle_s = 4 * 3600;
    let (app, clock) = standing(&[("accounts.session_idle_min", "240"), ("accounts.session_h", "24")]).await;
    let user = member(&app, ANA).await;
    let (token, idle) = (sign_in(&app, ANA).await, sign_in(&app, ANA).await);
    let seen = async || {
        let events = app.admin_get(&format!("/users/{user}/events")).await.expect(200).json();
        events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "SessionSeen").count()
    };
    for quarter in 0..20 {
        for _ in 0..3 {
            read(&app, &token).await.expect(200);
            // Once a quarter of the time after which it is idle; the first is when it began. The clock stands until it is written.
            app.eventually("the use to be written down", async || (seen().await >= quarter).then_some(())).await;
            assert!(seen().await <= quarter, "{quarter}");
            clock.advance_us(idle_s / 12 * SECOND_US);
        }
    }
    let before = read(&app, &idle).await.expect(401);
    assert_eq!(before.json()["type"], "/problems/invalid-key");
    clock.advance_us(4 * 3600 * SECOND_US - SECOND_US);
    let last = read(&app, &token).await;
    assert_eq!(last.status, 401, "nobody used it for as long as makes it idle, or its day is over");
    let token = sign_in(&app, ANA).await;
    for _ in 0..24 {
        read(&app, &token).await.expect(200);
        clock.advance_us(3600 * SECOND_US);
    }
    read(&app, &token).await.expect(401);
}

#[tokio::test]
async fn a_session_reads_what_the_plan_has() {
    let (app, clock) = standing(&[]).await;
    let user = member(&app, ANA).await;
    let token = sign_in(&app, ANA).await;
    read(&app, &token).await.expect(200);
    let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 100, "datasets": ["trees"] });
    app.admin_send(Method::PUT, "/plans/trees", &plan).await.expect(201);
    app.admin_send(Method::PATCH, &format!("/users/{user}"), &json!({ "plan": "trees" })).await.expect(200);
    clock.advance_us(2 * SECOND_US);
    let refused = read(&app, &token).await.expect(403).json();
    assert_eq!((&refused["type"], &refused["needed"]), (&json!("/problems/scope"), &json!("plan")));
    // A set that is withdrawn is so for sessions as well.
    let other = member(&app, "ben@example.org").await;
    assert_ne!(other, user);
    let token = sign_in(&app, "ben@example.org").await;
    read(&app, &token).await.expect(200);
    app.admin_send(Method::POST, "/datasets/permits/withdraw", &json!({})).await.expect(200);
    assert_eq!(read(&app, &token).await.expect(410).json()["type"], "/problems/data-set-withdrawn");
}

/// Where administrators are to have a second factor, a session without one is good for setting it up and nothing else.
#[tokio::test]
async fn a_session_that_lacks_a_demanded_second_factor_reads_nothing() {
    let (app, clock) = standing(&[("accounts.second_factor", "administrators")]).await;
    member_as(&app, ANA, "admin").await;
    member_as(&app, "ben@example.org", "manager").await;
    let token = sign_in(&app, ANA).await;
    let refused = read(&app, &token).await.expect(403).json();
    assert_eq!(refused["type"], "/problems/second-factor-required");
    read(&app, &sign_in(&app, "ben@example.org").await).await.expect(200);
    let factor = |method: Method, body: Value| app.request(method, "/me/second-factor").bearer_auth(&token).json(&body);
    let begun = app.send(factor(Method::POST, json!({}))).await.expect(201).json();
    let secret = totp::unbase32(begun["secret"].as_str().unwrap()).unwrap();
    let code = totp::code(&secret, totp::step_at(clock.now())).unwrap();
    app.send(factor(Method::PUT, json!({ "code": code }))).await.expect(200);
    read(&app, &token).await.expect(200);
}

/// When keys and sessions were last used, and from where, is shown to their owner and to administrators, and gone with the owner.
#[tokio::test]
async fn the_last_use_of_keys_and_sessions_is_shown_and_erased() {
    let (app, clock) = standing(&[]).await;
    let user = member(&app, ANA).await;
    let key = app.mail_to(ANA, 1).await.key.unwrap();
    let (token, other) = (sign_in(&app, ANA).await, sign_in(&app, ANA).await);
    let mine = async |path: &str| {
        let answer = app.send(app.request(Method::GET, path).bearer_auth(&other)).await;
        answer.expect(200).json()
    };
    let unused = mine("/me/keys").await["data"][0].clone();
    assert_eq!((&unused["last_used_at"], &unused["last_used_from"]), (&Value::Null, &Value::Null));
    clock.advance_us(60 * SECOND_US);
    app.get(PATH, &key).await.expect(200);
    clock.advance_us(60 * SECOND_US);
    read(&app, &token).await.expect(200);
    let expected = |at: &str| (json!(at), json!("127.0.0.0/24"));
    let of = |shown: &Value| (shown["last_used_at"].clone(), shown["last_used_from"].clone());
    let path = format!("/users/{user}/keys");
    let one = app.admin_get(&format!("{path}/{}", id_of(&key))).await.expect(200).json();
    let all = app.admin_get(&path).await.expect(200).json();
    for shown in [&one, &all["data"][0], &mine("/me/keys").await["data"][0]] {
        assert_eq!(of(shown), expected("2026-03-01T12:01:00Z"), "{shown}");
    }
    let of_session = |sessions: &Value, token: &str| {
        let listed = sessions.as_array().unwrap().iter().find(|session| session["id"] == id_of(token));
        of(listed.unwrap())
    };
    let export = mine("/me/export").await;
    assert_eq!(of(&export["keys"][0]), expected("2026-03-01T12:01:00Z"));
    for sessions in [&mine("/me/sessions").await["data"], &export["sessions"]] {
        assert_eq!(of_session(sessions, &token), expected("2026-03-01T12:02:00Z"));
        assert_eq!(of_session(sessions, &other), (Value::Null, Value::Null), "it has read no data");
    }
    app.send(app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    let gone = app.admin_get(&path).await.expect(200).json();
    assert_eq!(of(&gone["data"][0]), (json!("2026-03-01T12:01:00Z"), Value::Null));
}
