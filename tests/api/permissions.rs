//! Who may what: a table of every route with what it needs, walked with every kind of caller. A route that the table does not name
//! fails the test, and so does one whose description says something else.

use std::collections::BTreeSet;

use permitd::clock::ManualClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    accounts,
    app::{Answer, Options, TestApp},
    data::unlimited,
};

/// What a route needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// Nothing; but what is shown has to be right.
    NothingWrong,
    /// A session.
    Session,
    /// An API key or a session.
    Oneself,
    /// These scopes, all of them.
    Scopes(&'static [&'static str]),
    /// These scopes, or an API key or a session: whoever has the scopes sees more.
    ScopesOrOneself(&'static [&'static str]),
}

const ALL_SCOPES: [&str; 5] = ["people", "data", "plans", "events", "server"];
const PEOPLE: Need = Need::Scopes(&["people"]);
const DATA: Need = Need::Scopes(&["data"]);
const PLANS: Need = Need::Scopes(&["plans"]);
const EVENTS: Need = Need::Scopes(&["events"]);
const SERVER: Need = Need::Scopes(&["server"]);
const EVERYTHING: Need = Need::Scopes(&ALL_SCOPES);

/// Every route, as the description names it. `{…}` stands for something that is there or not: see [`Paths`].
const TABLE: &[(&str, &str, Need)] = &[
    ("GET", "/", Need::Nothing),
    ("GET", "/docs", Need::Nothing),
    ("GET", "/docs/reference", Need::Nothing),
    ("GET", "/docs/admin", Need::Nothing),
    ("GET", "/openapi.json", Need::NothingWrong),
    ("GET", "/openapi-admin.json", Need::Nothing),
    ("GET", "/problems", Need::Nothing),
    ("GET", "/problems/{code}", Need::Nothing),
    ("POST", "/leaks", Need::Nothing),
    ("POST", "/sessions", Need::Nothing),
    ("GET", "/sign-in/provider", Need::Nothing),
    ("GET", "/sign-in/provider/callback", Need::Nothing),
    ("POST", "/sign-in/provider/callback", Need::Nothing),
    ("POST", "/password-resets", Need::Nothing),
    ("GET", "/links/{token}", Need::Nothing),
    ("POST", "/links/{token}", Need::Nothing),
    ("DELETE", "/sessions/current", Need::Session),
    ("GET", "/me", Need::Oneself),
    ("PATCH", "/me", Need::Session),
    ("GET", "/me/usage", Need::Oneself),
    ("PUT", "/me/password", Need::Session),
    ("GET", "/me/export", Need::Session),
    ("GET", "/me/keys", Need::Session),
    ("POST", "/me/keys", Need::Session),
    ("PATCH", "/me/keys/{key_id}", Need::Session),
    ("DELETE", "/me/keys/{key_id}", Need::Session),
    ("POST", "/me/keys/{key_id}/rotate", Need::Session),
    ("GET", "/me/sessions", Need::Session),
    ("DELETE", "/me/sessions", Need::Session),
    ("DELETE", "/me/sessions/{key_id}", Need::Session),
    ("POST", "/me/second-factor", Need::Session),
    ("PUT", "/me/second-factor", Need::Session),
    ("DELETE", "/me/second-factor", Need::Session),
    ("GET", "/permits", Need::Oneself),
    ("GET", "/permits/changes", Need::Oneself),
    ("GET", "/permits/facets", Need::Oneself),
    ("GET", "/permits/groups", Need::Oneself),
    ("GET", "/permits/stats", Need::Oneself),
    ("GET", "/permits/proof", Need::Oneself),
    ("GET", "/permits/{key}", Need::Oneself),
    ("GET", "/permits/{key}/history", Need::Oneself),
    ("GET", "/permits/{key}/{record_id}", Need::Oneself),
    ("GET", "/permits/{key}/{record_id}/history", Need::Oneself),
    ("GET", "/users", PEOPLE),
    ("POST", "/users", PEOPLE),
    ("GET", "/users/{id}", PEOPLE),
    ("PATCH", "/users/{id}", PEOPLE),
    ("DELETE", "/users/{id}", PEOPLE),
    ("POST", "/users/{id}/invitations", PEOPLE),
    ("POST", "/invitations", PEOPLE),
    ("POST", "/invitations/resend", PEOPLE),
    ("POST", "/users/{id}/mail/allow", PEOPLE),
    ("GET", "/users/{id}/usage", PEOPLE),
    ("GET", "/users/{id}/events", PEOPLE),
    ("GET", "/users/{id}/keys", PEOPLE),
    ("POST", "/users/{id}/keys", PEOPLE),
    ("GET", "/users/{id}/keys/{key_id}", PEOPLE),
    ("PATCH", "/users/{id}/keys/{key_id}", PEOPLE),
    ("DELETE", "/users/{id}/keys/{key_id}", PEOPLE),
    ("POST", "/users/{id}/keys/{key_id}/rotate", PEOPLE),
    ("GET", "/users/{id}/sessions", PEOPLE),
    ("DELETE", "/users/{id}/sessions", PEOPLE),
    ("POST", "/users/{id}/password-resets", PEOPLE),
    ("DELETE", "/users/{id}/second-factor", PEOPLE),
    ("GET", "/users/{id}/export", PEOPLE),
    ("GET", "/plans", PLANS),
    ("GET", "/plans/{name}", PLANS),
    ("GET", "/plans/{name}/users", PEOPLE),
    ("PUT", "/plans/{name}", PLANS),
    ("DELETE", "/plans/{name}", PLANS),
    ("GET", "/imports", DATA),
    ("POST", "/imports", DATA),
    ("GET", "/imports/{id}", DATA),
    ("GET", "/imports/{id}/rejects", DATA),
    ("POST", "/imports/{id}/approve", DATA),
    ("POST", "/imports/{id}/discard", DATA),
    ("POST", "/imports/{id}/cancel", DATA),
    ("GET", "/datasets", Need::ScopesOrOneself(&["data"])),
    ("GET", "/datasets/{name}", Need::ScopesOrOneself(&["data"])),
    ("DELETE", "/datasets/{name}", DATA),
    ("POST", "/datasets/{name}/withdraw", DATA),
    ("POST", "/datasets/{name}/restore", DATA),
    ("POST", "/datasets/{name}/rename", DATA),
    ("GET", "/events", EVENTS),
    ("GET", "/checkpoints", Need::ScopesOrOneself(&["events"])),
    ("GET", "/checkpoints/{number}", Need::ScopesOrOneself(&["events"])),
    ("GET", "/dead-letters", SERVER),
    ("POST", "/dead-letters/redrive", SERVER),
    ("POST", "/dead-letters/discard", SERVER),
    ("POST", "/dead-letters/{id}/redrive", SERVER),
    ("POST", "/mail/test", SERVER),
    ("GET", "/admin/counters", SERVER),
    ("GET", "/admin-tokens", EVERYTHING),
    ("POST", "/admin-tokens", EVERYTHING),
    ("GET", "/admin-tokens/{id}", EVERYTHING),
    ("DELETE", "/admin-tokens/{id}", EVERYTHING),
];

/// Somebody who asks: with these headers, and known to the administration with these permissions.
struct Caller {
    name: String,
    headers: Vec<(&'static str, String)>,
    has_key: bool,
    /// Whose session it is, for whoever has one.
    signed_in: Option<&'static str>,
    /// Scopes, and whether they are for reading only; none for whoever the administration does not know.
    may: Option<(Vec<&'static str>, bool)>,
}

impl Caller {
    /// One whom the administration does not know.
    fn stranger(name: &str, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let headers = headers.into_iter().collect();
        Self { name: name.to_owned(), headers, has_key: false, signed_in: None, may: None }
    }

    /// Somebody who is signed in, whose role has these scopes.
    fn with_session(email: &'static str, token: &str, scopes: &[&'static str]) -> Self {
        let stranger = Self::stranger(&format!("the session of {email}"), bearer(token));
        Self { signed_in: Some(email), may: Some((scopes.to_vec(), false)), ..stranger }
    }

    fn with_token(name: String, token: &str, scopes: &[&'static str], read_only: bool) -> Self {
        Self { may: Some((scopes.to_vec(), read_only)), ..Self::stranger(&name, bearer(token)) }
    }

    /// Begins another session: what somebody may do to their own sessions ends this one.
    async fn sign_in_anew(&mut self, app: &TestApp, email: &str) {
        let token = accounts::sign_in(app, email).await;
        for (name, value) in &mut self.headers {
            match *name {
                "authorization" => *value = format!("Bearer {token}"),
                "cookie" => *value = format!("permitd={token}"),
                _ => {}
            }
        }
    }

    /// The status that refuses them, if they are refused.
    fn refused(&self, method: &str, need: Need) -> Option<u16> {
        match (need, &self.may) {
            (Need::Nothing, _) => None,
            (Need::NothingWrong, _) => {
                let is_known = self.has_key || self.signed_in.is_some() || self.may.is_some();
                (!is_known && !self.headers.is_empty()).then_some(401)
            }
            (Need::Session, _) => self.signed_in.is_none().then_some(401),
            (Need::Oneself, _) => (!self.has_key && self.signed_in.is_none()).then_some(401),
            (Need::ScopesOrOneself(_), _) if self.has_key || self.signed_in.is_some() => None,
            (Need::Scopes(_) | Need::ScopesOrOneself(_), None) => Some(401),
            (Need::Scopes(needed) | Need::ScopesOrOneself(needed), Some((scopes, read_only))) => {
                let has_all = needed.iter().all(|scope| scopes.contains(scope));
                (!has_all || (*read_only && method != "GET")).then_some(403)
            }
        }
    }
}

fn bearer(token: &str) -> Option<(&'static str, String)> {
    Some(("authorization", format!("Bearer {token}")))
}

/// Makes a token; gives its id and the token itself.
async fn token(
    app: &TestApp,
    name: &str,
    scopes: &[&str],
    read_only: bool,
    expires_at: Option<&str>,
) -> (String, String) {
    let body = json!({ "name": name, "scopes": scopes, "read_only": read_only, "expires_at": expires_at });
    let made = app.admin_send(Method::POST, "/admin-tokens", &body).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

async fn callers(app: &TestApp, clock: &ManualClock, key: &str) -> Vec<Caller> {
    let mut callers = vec![
        Caller::stranger("nobody", None),
        Caller::stranger("a wrong token", bearer("pmt_admin_0")),
        Caller { has_key: true, ..Caller::stranger("a reader's key", Some(("x-api-key", key.to_owned()))) },
        Caller::with_token("the first token".to_owned(), &app.admin_token, &ALL_SCOPES, false),
    ];
    for scope in ALL_SCOPES {
        for (kind, read_only) in [("", false), (", read-only", true)] {
            let name = format!("a token of {scope}{kind}");
            let (_, token) = token(app, &name, &[scope], read_only, None).await;
            callers.push(Caller::with_token(name, &token, &[scope], read_only));
        }
    }
    let others = ["data", "plans", "events", "server"];
    let (_, all_but_people) = token(app, "all but people", &others, false, None).await;
    callers.push(Caller::with_token("all but people".to_owned(), &all_but_people, &others, false));
    let (_, reading) = token(app, "all, read-only", &ALL_SCOPES, true, None).await;
    callers.push(Caller::with_token("all, read-only".to_owned(), &reading, &ALL_SCOPES, true));
    let (id, revoked) = token(app, "revoked", &ALL_SCOPES, false, None).await;
    app.send(app.admin(Method::DELETE, &format!("/admin-tokens/{id}"))).await.expect(200);
    callers.push(Caller::stranger("a revoked token", bearer(&revoked)));
    for (email, role, scopes) in [
        ("reader@example.org", "reader", &[][..]),
        ("manager@example.org", "manager", &["data"]),
        ("admin@example.org", "admin", &ALL_SCOPES),
    ] {
        let user = accounts::member_as(app, email, role).await;
        let plan = json!({ "plan": "unlimited" });
        app.admin_send(Method::PATCH, &format!("/users/{user}"), &plan).await.expect(200);
        callers.push(Caller::with_session(email, &accounts::sign_in(app, email).await, scopes));
    }
    let cookie = format!("permitd={}", accounts::sign_in(app, "admin@example.org").await);
    let headers = vec![("cookie", cookie), ("sec-fetch-site", "same-origin".to_owned())];
    let name = "the cookie of an administrator, from a page of the server".to_owned();
    callers.push(Caller { name, headers, ..Caller::with_session("admin@example.org", "", &ALL_SCOPES) });
    let over = accounts::sign_in(app, "admin@example.org").await;
    app.send(app.request(Method::DELETE, "/sessions/current").bearer_auth(&over)).await.expect(200);
    callers.push(Caller::stranger("a session that is over", bearer(&over)));
    let (_, expired) = token(app, "expired", &ALL_SCOPES, false, Some("2026-03-01T12:01:00Z")).await;
    clock.advance_us(60_000_000);
    callers.push(Caller::stranger("an expired token", bearer(&expired)));
    callers
}

/// What stands for the `{…}` of a path.
struct Paths {
    user: String,
    key_id: String,
    import: String,
    token: String,
    number: String,
    record: String,
    link: String,
}

impl Paths {
    /// The path with what is there.
    fn known(&self, path: &str) -> String {
        let id = match path.split('/').nth(1) {
            Some("users") => &self.user,
            Some("imports") => &self.import,
            Some("admin-tokens") => &self.token,
            _ => "none",
        };
        let path = path.replace("{id}", id).replace("{key_id}", &self.key_id);
        let path = path.replace("{name}", if path.starts_with("/datasets") { "permits" } else { "default" });
        let path =
            path.replace("{code}", "not-found").replace("{key}", &self.number).replace("{record_id}", &self.record);
        let path = path.replace("/links/{token}", &self.link).replace("{number}", "1");
        // What a route cannot do without.
        match path.rsplit('/').next() {
            Some("facets") => format!("{path}?columns=status"),
            Some("groups") => format!("{path}?by=status"),
            Some("stats") => format!("{path}?columns=estimated_cost"),
            Some("changes") => format!("{path}?since=1"),
            _ => path,
        }
    }

    /// The path with what is not there.
    fn unknown(path: &str) -> String {
        let id =
            if path.starts_with("/admin-tokens") { "0000000000000000" } else { "00000000-0000-0000-0000-000000000000" };
        let path = path.replace("{id}", id).replace("{key_id}", "0000000000000000").replace("{name}", "none");
        let path = path.replace("{code}", "none").replace("{key}", "209912310001").replace("{record_id}", "9");
        path.replace("{token}", "pml_none").replace("{number}", "1")
    }
}

async fn ask(app: &TestApp, caller: &Caller, method: &str, path: &str) -> Answer {
    let request = app.request(method.parse().unwrap(), path);
    let request = caller.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    app.send(if method == "GET" { request } else { request.header("content-type", "application/json").body("{}") })
        .await
}

fn described(document: &Value) -> Vec<(String, String, Need)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            let need = match security.first() {
                None => Need::Nothing,
                Some(first) if *first == json!({}) => Need::NothingWrong,
                Some(first) if first["apiKey"].is_array() => {
                    assert!(security.iter().any(|other| other["session"].is_array()), "{method} {path}: {security:?}");
                    Need::Oneself
                }
                Some(first) if first["session"].is_array() => Need::Session,
                Some(first) => {
                    let scopes: Vec<&str> =
                        first["adminToken"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
                    let named = TABLE.iter().find(|(at, of, _)| *of == path && at.to_lowercase() == *method);
                    let reads = security.iter().any(|other| other["apiKey"].is_array());
                    match named {
                        Some((_, _, need @ Need::Scopes(needed))) if !reads && scopes == *needed => *need,
                        Some((_, _, need @ Need::ScopesOrOneself(needed))) if reads && scopes == *needed => *need,
                        _ => panic!("{method} {path} needs {scopes:?}, says its description; the table has {named:?}"),
                    }
                }
            };
            found.push((method.to_uppercase(), path.clone(), need));
        }
    }
    found
}

#[tokio::test]
async fn everybody_may_what_the_table_says_and_nothing_else() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    // What does not work counts as a guess, of which there are many here.
    let many = || "100000".to_owned();
    let settings = vec![
        ("http.wrong_keys_max", many()),
        ("http.leak_reports_max", many()),
        ("http.refusal_delay_max_ms", "0".to_owned()),
        ("accounts.sessions_per_hour_max", "1000".to_owned()),
    ];
    let app = TestApp::with(Options { clock: clock.clone(), settings, sample_rows: 5, ..Options::default() }).await;
    let key = unlimited(&app).await;
    let link = app.mail_to("ana@example.org", 1).await.links[0].clone();
    let list = async |path: &str| app.admin_get(path).await.expect(200).json()["data"][0].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (user, import, first) = (list("/users").await, list("/imports").await, list("/admin-tokens").await);
    let permit = app.get("/permits?limit=1", &key).await.expect(200).json()["data"][0].clone();
    let (number, record) = (text(&permit["application_number"]), permit["record_id"].to_string());
    let (user, import, token) = (text(&user["id"]), text(&import["id"]), text(&first["id"]));
    let paths = Paths { user, key_id: key[4..20].to_owned(), import, token, number, record, link };

    let mut described = Vec::new();
    for path in ["/openapi.json", "/openapi-admin.json"] {
        let document = app.send(app.request(Method::GET, path)).await.expect(200).json();
        described.extend(self::described(&document));
    }
    let named: BTreeSet<(&str, &str)> = TABLE.iter().map(|(method, path, _)| (*method, *path)).collect();
    let there: BTreeSet<(&str, &str)> =
        described.iter().map(|(method, path, _)| (method.as_str(), path.as_str())).collect();
    assert_eq!(there, named, "each route has its row, and each row its route");
    for (method, path, need) in &described {
        let row = TABLE.iter().find(|row| (row.0, row.1) == (method.as_str(), path.as_str())).unwrap();
        assert_eq!(row.2, *need, "{method} {path}");
    }

    for mut caller in callers(&app, &clock, &key).await {
        for (method, path, need) in TABLE {
            if let Some(email) = caller.signed_in {
                caller.sign_in_anew(&app, email).await;
            }
            let refused = caller.refused(method, *need);
            let unknown = Paths::unknown(path);
            check(&caller, method, &unknown, refused, &ask(&app, &caller, method, &unknown).await);
            // Whoever may not gets no further with what is there; whoever may reads it, and changes nothing here.
            if refused.is_some() || *method == "GET" {
                let known = paths.known(path);
                let answer = ask(&app, &caller, method, &known).await;
                check(&caller, method, &known, refused, &answer);
                // Of this import no row was rejected.
                let expected = if path.ends_with("/rejects") { 404 } else { 200 };
                // Nothing is there without a provider: `api::provider` has one.
                let is_absent = path.starts_with("/sign-in/") && answer.status == 404;
                let is_read = refused.is_some() || answer.status == expected || is_absent;
                assert!(is_read, "{} {method} {known}: {} {}", caller.name, answer.status, answer.body);
            }
        }
    }
    assert_eq!(app.admin_get(&format!("/users/{}", paths.user)).await.expect(200).json()["status"], "active");
}

/// A session administers as its role may, but for what another site makes a browser send, and where a second factor is missing.
#[tokio::test]
async fn a_session_administers_only_from_the_own_pages_and_with_what_is_demanded() {
    let app = TestApp::start().await;
    let user = accounts::member_as(&app, "ana@example.org", "admin").await;
    let token = accounts::sign_in(&app, "ana@example.org").await;
    let invite = |name: &str| {
        app.request(Method::POST, "/users").json(&json!({ "email": format!("{name}@example.org"), "role": "reader" }))
    };
    let by_cookie = |request: reqwest::RequestBuilder| request.header("cookie", format!("permitd={token}"));
    for site in ["cross-site", "same-site"] {
        let refused = app.send(by_cookie(invite("ben")).header("sec-fetch-site", site)).await.expect(403).json();
        assert_eq!(refused["type"], "/problems/cross-origin");
    }
    app.send(by_cookie(invite("ben"))).await.expect(403);
    app.send(by_cookie(app.request(Method::GET, "/users"))).await.expect(200);
    app.send(by_cookie(invite("ben")).header("sec-fetch-site", "same-origin")).await.expect(201);
    // A token beside the cookie is what counts.
    app.send(by_cookie(invite("eve")).bearer_auth("pmt_admin_0").header("sec-fetch-site", "same-origin"))
        .await
        .expect(401);
    let made = app.send(invite("eve").bearer_auth(&token)).await.expect(201).json();
    let events = app.admin_get(&format!("/users/{}/events", made["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(events["data"][0]["actor"], format!("user:{user}"), "the log names who did it");
    let body = json!({ "name": "nightly", "scopes": ALL_SCOPES });
    app.send(app.request(Method::POST, "/admin-tokens").bearer_auth(&token).json(&body)).await.expect(201);

    let app = TestApp::set(&[("accounts.second_factor", "administrators")], 0).await;
    accounts::member_as(&app, "ana@example.org", "admin").await;
    accounts::member_as(&app, "ben@example.org", "manager").await;
    let (ana, ben) =
        (accounts::sign_in(&app, "ana@example.org").await, accounts::sign_in(&app, "ben@example.org").await);
    let refused = app.send(app.request(Method::GET, "/users").bearer_auth(&ana)).await.expect(403).json();
    assert_eq!(refused["type"], "/problems/second-factor-required");
    app.send(app.request(Method::GET, "/imports").bearer_auth(&ben)).await.expect(200);
}

#[track_caller]
fn check(caller: &Caller, method: &str, path: &str, refused: Option<u16>, answer: &Answer) {
    let told = || format!("{}: {method} {path}: {} {}", caller.name, answer.status, answer.body);
    match refused {
        Some(status) => {
            assert_eq!(answer.status, status, "{}", told());
            let problem = answer.json();
            match status {
                401 => assert!(answer.header("www-authenticate").is_some(), "{}", told()),
                _ => {
                    assert_eq!(problem["type"], "/problems/missing-permission", "{}", told());
                    let challenge = answer.header("www-authenticate").unwrap_or_default();
                    assert!(challenge.contains("insufficient_scope"), "{}", told());
                    assert!(problem["detail"].as_str().unwrap().contains("is needed; you have"), "{}", told());
                }
            }
        }
        None => assert!(![401, 403, 429].contains(&answer.status) && answer.status < 500, "{}", told()),
    }
}
