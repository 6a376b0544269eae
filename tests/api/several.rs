//! Requests that show several credentials at once: one rule for every route, whichever of them the route takes.

use permitd::domain::key::{ApiKey, KeyId, SECRET_BYTES};
use reqwest::Method;
use serde_json::json;

use crate::{
    accounts::{member_as, sign_in},
    app::TestApp,
};

/// What is written into `x-api-key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Nothing,
    Empty,
    Junk,
    Ana,
    Ben,
}

/// What is written into `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Nothing,
    Empty,
    /// What a proxy in between wants to see.
    Negotiate,
    Foreign,
    Bearer(Own),
    Basic(Own),
    /// The token of Ana's session.
    Session,
    /// A session's token whose checksum is wrong.
    WrongSession,
    /// An administrator's token.
    Admin,
}

/// For whom a request is to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Nobody,
    Two,
    Key(&'static str),
    Reader,
    Admin,
    /// By the cookie.
    Carl,
}

const OWN: [Own; 5] = [Own::Nothing, Own::Empty, Own::Junk, Own::Ana, Own::Ben];
const OTHER: [Other; 12] = [
    Other::Nothing,
    Other::Empty,
    Other::Negotiate,
    Other::Foreign,
    Other::Bearer(Own::Junk),
    Other::Bearer(Own::Ana),
    Other::Bearer(Own::Ben),
    Other::Basic(Own::Ana),
    Other::Basic(Own::Ben),
    Other::Session,
    Other::WrongSession,
    Other::Admin,
];
/// Routes, and what they answer to a key, to a reader's session and to a token of the administration.
const ROUTES: [(&str, [u16; 3]); 8] = [
    ("/permits?limit=1", [200, 200, 401]),
    ("/permits/201612013997", [200, 200, 401]),
    ("/me", [200, 200, 401]),
    ("/me/keys", [401, 200, 401]),
    ("/me/sessions", [401, 200, 401]),
    ("/users", [401, 403, 200]),
    ("/datasets", [200, 200, 200]),
    ("/imports", [401, 403, 200]),
];

fn of_key(own: Own) -> Counts {
    match own {
        Own::Ana => Counts::Key("ana@example.org"),
        Own::Ben => Counts::Key("ben@example.org"),
        Own::Nothing | Own::Empty | Own::Junk => Counts::Nobody,
    }
}

fn expected(own: Own, other: Other, has_cookie: bool) -> Counts {
    match (own, other) {
        (Own::Nothing, Other::Nothing) if has_cookie => Counts::Carl,
        (Own::Nothing | Own::Empty, Other::Empty) => Counts::Nobody,
        (_, Other::Empty) => Counts::Two,
        (own, Other::Nothing | Other::Negotiate | Other::Foreign) => of_key(own),
        (Own::Nothing, Other::Bearer(key) | Other::Basic(key)) => of_key(key),
        (own, Other::Bearer(key) | Other::Basic(key)) if own == key => of_key(own),
        (Own::Nothing, Other::Session) => Counts::Reader,
        (Own::Nothing, Other::WrongSession) => Counts::Nobody,
        (Own::Nothing, Other::Admin) => Counts::Admin,
        _ => Counts::Two,
    }
}

#[tokio::test]
async fn of_several_credentials_one_rule_holds_at_every_route() {
    let settings = [("http.wrong_keys_max", "1000000"), ("http.refusal_delay_max_ms", "0")];
    let app = TestApp::set(&settings, 5).await;
    let limits = json!({ "rate_per_s": 100_000, "burst": 100_000, "quota_per_day": 1_000_000 });
    app.admin_send(Method::PUT, "/plans/default", &limits).await.expect(200);
    member_as(&app, "ana@example.org", "reader").await;
    member_as(&app, "carl@example.org", "admin").await;
    let (ana, ben) = (app.mail_to("ana@example.org", 1).await.key.unwrap(), app.invite("ben@example.org").await);
    let (session, cookie) = (sign_in(&app, "ana@example.org").await, sign_in(&app, "carl@example.org").await);
    let cookie = format!("permitd={cookie}");
    let junk = "pmt_junk".to_owned();
    let text = |own: Own| match own {
        Own::Nothing => None,
        Own::Empty => Some(""),
        Own::Junk => Some(junk.as_str()),
        Own::Ana => Some(ana.as_str()),
        Own::Ben => Some(ben.as_str()),
    };
    let showing = |method: Method, path: &str, own: Own, other: Other, has_cookie: bool| {
        let mut request = app.request(method, path);
        if let Some(own) = text(own) {
            request = request.header("x-api-key", own);
        }
        request = match other {
            Other::Nothing => request,
            Other::Empty => request.header("authorization", ""),
            Other::Negotiate => request.header("authorization", "Negotiate YII"),
            Other::Foreign => request.basic_auth("proxy", Some("secret")),
            Other::Bearer(key) => request.bearer_auth(text(key).unwrap()),
            Other::Basic(key) => request.basic_auth(text(key).unwrap(), Some("")),
            Other::Session => request.bearer_auth(&session),
            Other::WrongSession => request.bearer_auth("pms_wrong"),
            Other::Admin => request.bearer_auth(&app.admin_token),
        };
        if has_cookie { request.header("cookie", &cookie).header("sec-fetch-site", "same-origin") } else { request }
    };
    for own in OWN {
        for (other, has_cookie) in OTHER.iter().flat_map(|other| [(*other, false), (*other, true)]) {
            let counts = expected(own, other, has_cookie);
            for (path, [by_key, by_session, by_token]) in ROUTES {
                let answer = app.send(showing(Method::GET, path, own, other, has_cookie)).await;
                let told = || format!("{path}: {own:?}, {other:?}, {has_cookie}: {} {}", answer.status, answer.body);
                let status = match counts {
                    Counts::Nobody => 401,
                    Counts::Two => 400,
                    Counts::Key(_) => by_key,
                    Counts::Reader => by_session,
                    Counts::Admin => by_token,
                    Counts::Carl => 200,
                };
                assert_eq!(answer.status, status, "{}", told());
                match (counts, path) {
                    (Counts::Two, _) => {
                        let problem = answer.json();
                        assert_eq!(problem["type"], "/problems/invalid-request", "{}", told());
                        assert!(problem["detail"].as_str().unwrap().contains("two different keys"), "{}", told());
                    }
                    (Counts::Key(who), "/me") => assert_eq!(answer.json()["email"], who, "{}", told()),
                    (Counts::Reader, "/me") => assert_eq!(answer.json()["email"], "ana@example.org", "{}", told()),
                    (Counts::Carl, "/me") => assert_eq!(answer.json()["email"], "carl@example.org", "{}", told()),
                    (_, _) if status == 401 => {
                        assert!(answer.header("www-authenticate").is_some(), "{}", told());
                    }
                    _ => {}
                }
            }
        }
    }
    // Nothing is changed in the name of whoever only happens to be signed in.
    for (own, other, status) in [
        (Own::Ana, Other::Nothing, 401),
        (Own::Empty, Other::Nothing, 401),
        (Own::Ana, Other::Admin, 400),
        (Own::Nothing, Other::Nothing, 201),
    ] {
        for (path, body) in [
            ("/me/keys", json!({ "label": "made" })),
            ("/users", json!({ "email": format!("{own:?}{other:?}@example.org") })),
        ] {
            let request = showing(Method::POST, path, own, other, true).json(&body);
            assert_eq!(app.send(request).await.status, status, "{path}: {own:?}, {other:?}");
        }
    }
    // A session's token beside a key in one field of Basic, and one in the field that only keys have.
    for path in ROUTES.map(|(path, _)| path) {
        let get = || app.request(Method::GET, path);
        app.send(get().basic_auth(&ana, Some(&session))).await.expect(400);
        app.send(get().basic_auth(&session, Some(""))).await.expect(401);
        app.send(get().header("x-api-key", &session).header("cookie", &cookie)).await.expect(401);
        let forged = ApiKey::new(KeyId::from_random([1; 12]), &[7; SECRET_BYTES]);
        app.send(get().header("x-api-key", forged.reveal()).header("cookie", &cookie)).await.expect(401);
    }
}
