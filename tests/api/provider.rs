//! Signing in at a provider of identities, which the test starts: what is right, and each thing that can be wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use permitd::{
    clock::{Clock, ManualClock},
    domain::totp,
};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::{
    accounts,
    app::{Answer, Options, TestApp},
    identity_server::{CLIENT, IdentityServer, Manners, SECRET, Signing},
    support::backend::Mode,
};

const ANA: &str = "ana@example.org";
const BEN: &str = "ben@example.org";
const BEGIN: &str = "/sign-in/provider";
const CALLBACK: &str = "/sign-in/provider/callback";
const MINUTE_US: i64 = 60_000_000;

/// A server and its provider, whose clocks stand.
struct Pair {
    app: TestApp,
    provider: IdentityServer,
    clock: Arc<ManualClock>,
}

impl Pair {
    async fn start(settings: &[(&'static str, &str)]) -> Self {
        let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
        let provider = IdentityServer::start(clock.now());
        let fixed = [
            ("oidc.issuer", provider.issuer.as_str()),
            ("oidc.client_id", CLIENT),
            ("oidc.client_secret", SECRET),
            ("http.wrong_keys_max", "1000"),
            ("accounts.sessions_per_hour_max", "1000"),
        ];
        let settings = fixed.iter().chain(settings).map(|(path, value)| (*path, (*value).to_owned())).collect();
        let app = TestApp::with(Options { clock: clock.clone(), settings, ..Options::default() }).await;
        Self { app, provider, clock }
    }

    /// One with somebody who was invited, and whom the provider knows.
    async fn with_ana(settings: &[(&'static str, &str)]) -> (Self, String) {
        let pair = Self::start(settings).await;
        let user = pair.invite(ANA).await;
        pair.provider.knows(ANA);
        (pair, user)
    }

    async fn invite(&self, email: &str) -> String {
        self.app.invite_as(&json!({ "email": email, "name": "Ana Núñez" })).await.0
    }

    fn advance_min(&self, minutes: i64) {
        self.clock.advance_us(minutes * MINUTE_US);
        let now_s = self.clock.now().as_second();
        self.provider.is_told(|manners| manners.now_s = now_s);
    }

    /// Somebody signs in there, in a browser of their own.
    async fn sign_in(&self) -> (Browser, Answer) {
        let browser = Browser::new();
        let answer = browser.sign_in(&self.app).await;
        (browser, answer)
    }

    async fn is_let_in(&self) -> Browser {
        let (browser, answer) = self.sign_in().await;
        answer.expect(303);
        browser
    }

    async fn is_refused(&self, what: &str) -> Value {
        let browser = Browser::accepting("application/json");
        let answer = browser.sign_in(&self.app).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.body);
        assert!(browser.session().is_none() && answer.header("set-cookie").is_none(), "{what}");
        let mut problem = answer.json();
        assert_eq!(problem["type"], "/problems/not-admitted", "{what}");
        problem["instance"].take();
        problem
    }

    async fn user(&self, id: &str) -> Value {
        self.app.admin_get(&format!("/users/{id}")).await.expect(200).json()
    }

    async fn sessions(&self, id: &str) -> usize {
        let sessions = self.app.admin_get(&format!("/users/{id}/sessions")).await.expect(200).json();
        sessions["data"].as_array().unwrap().len()
    }

    async fn people(&self) -> usize {
        self.app.admin_get("/users").await.expect(200).json()["data"].as_array().unwrap().len()
    }
}

/// A browser: it keeps the server's cookies, and goes where it is led only when the test says so.
struct Browser {
    client: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
    accepts: &'static str,
}

impl Browser {
    fn new() -> Self {
        Self::accepting("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    }

    fn accepting(accepts: &'static str) -> Self {
        let redirect = reqwest::redirect::Policy::none();
        let client =
            reqwest::Client::builder().redirect(redirect).no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { client, cookies: Mutex::default(), accepts }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("accept", self.accepts).header("cookie", cookies.join("; "));
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.lock().unwrap().remove(name),
                value => self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned()),
            };
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    async fn get(&self, app: &TestApp, path: &str) -> Answer {
        self.send(self.client.get(app.url(path))).await
    }

    /// Where the provider is asked to sign somebody in.
    async fn begin(&self, app: &TestApp, path: &str) -> Url {
        let begun = self.get(app, path).await.expect(303);
        Url::parse(begun.header("location").unwrap()).unwrap()
    }

    /// Goes there; the query that it is sent back with.
    async fn visit(&self, place: Url) -> String {
        let response = self.client.get(place).send().await.unwrap();
        assert_eq!(response.status(), 303);
        let back = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
        assert_eq!(back.path(), CALLBACK);
        back.query().unwrap().to_owned()
    }

    async fn come_back(&self, app: &TestApp, query: &str) -> Answer {
        self.get(app, &format!("{CALLBACK}?{query}")).await
    }

    async fn sign_in(&self, app: &TestApp) -> Answer {
        let place = self.begin(app, BEGIN).await;
        let query = self.visit(place).await;
        self.come_back(app, &query).await
    }

    fn session(&self) -> Option<String> {
        self.cookies.lock().unwrap().get("permitd").cloned()
    }

    async fn me(&self, app: &TestApp) -> Answer {
        self.send(self.client.get(app.url("/me"))).await
    }
}

#[tokio::test]
async fn from_the_invitation_to_a_session_without_a_password() {
    let (pair, user) = Pair::with_ana(&[]).await;
    let browser = Browser::new();
    let begun = browser.get(&pair.app, "/sign-in/provider?return_to=/permits?limit%3D3").await.expect(303);
    assert_eq!(
        (begun.header("cache-control"), begun.header("referrer-policy")),
        (Some("no-store"), Some("no-referrer"))
    );
    let cookie = begun.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("permitd-visit=") && cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"));
    let place = Url::parse(begun.header("location").unwrap()).unwrap();
    let asked: BTreeMap<_, _> = place.query_pairs().into_owned().collect();
    assert_eq!(asked["scope"], "openid email profile");
    assert_eq!(asked["redirect_uri"], pair.app.url(CALLBACK));
    // What the browser keeps tells nothing of what goes with the visit.
    assert!(!cookie.contains(&asked["state"]) && !cookie.contains(&asked["nonce"]));
    let query = browser.visit(place).await;
    let back = browser.come_back(&pair.app, &query).await.expect(303);
    assert_eq!(back.header("location"), Some("/permits?limit=3"));
    assert_eq!((back.header("cache-control"), back.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    assert_eq!(browser.cookies.lock().unwrap().keys().collect::<Vec<_>>(), ["permitd"], "the visit is over");
    let me = browser.me(&pair.app).await.expect(200).json();
    assert_eq!((&me["id"], &me["has_password"]), (&json!(user), &json!(false)));
    let token = browser.session().unwrap();
    let sessions = pair.app.send(pair.app.request(Method::GET, "/me/sessions").bearer_auth(&token)).await.expect(200);
    let session = &sessions.json()["data"][0];
    assert_eq!((&session["method"], &session["network"]), (&json!("provider"), &json!("127.0.0.0/24")));
    let events = pair.app.admin_get(&format!("/users/{user}/events")).await.expect(200).json();
    let started = events["data"].as_array().unwrap().iter().find(|event| event["type"] == "SessionStarted").unwrap();
    assert_eq!((&started["schema_version"], &started["actor"]), (&json!(2), &json!(format!("user:{user}"))));

    // For whoever asks for JSON, as signing in with a password.
    let script = Browser::accepting("application/json");
    let session = script.sign_in(&pair.app).await.expect(201).json();
    assert_eq!((&session["user"], &session["method"]), (&json!(user), &json!("provider")));
    let token = session["token"].as_str().unwrap();
    pair.app.send(pair.app.request(Method::DELETE, "/sessions/current").bearer_auth(token)).await.expect(200);
    script.me(&pair.app).await.expect(401);
}

#[tokio::test]
async fn a_key_of_the_kind_that_most_providers_have_is_taken() {
    let (pair, _) = Pair::with_ana(&[]).await;
    pair.provider.has_an_rsa_key();
    pair.advance_min(1);
    pair.is_let_in().await;
    // As some write it.
    pair.provider.is_told(|manners| manners.person["email_verified"] = json!("true"));
    pair.is_let_in().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_the_provider_s_word_the_answer_is_one() {
    let (pair, user) = Pair::with_ana(&[("oidc.create", "true"), ("oidc.create_domains", "example.com")]).await;
    let now_s = pair.clock.now().as_second();
    let usual = {
        pair.is_let_in().await;
        let mut kept = None;
        pair.provider.is_told(|manners| kept = Some(manners.clone()));
        kept.unwrap()
    };
    type Lie = (&'static str, Box<dyn Fn(&mut Manners)>);
    let edit = |what: &'static str, edit: fn(&mut Value, i64)| -> Lie {
        let lie = move |manners: &mut Manners| manners.edit = Arc::new(move |token: &mut Value| edit(token, now_s));
        (what, Box::new(lie))
    };
    let signing = |what: &'static str, signing: Signing| -> Lie {
        (what, Box::new(move |manners: &mut Manners| manners.signing = signing))
    };
    let person = |what: &'static str, person: Value| -> Lie {
        (what, Box::new(move |manners: &mut Manners| manners.person = person.clone()))
    };
    let lies = [
        edit("for another client", |token, _| token["aud"] = json!("another")),
        edit("for another client as well", |token, _| token["aud"] = json!([CLIENT, "another"])),
        edit("for nobody", |token, _| token["aud"] = json!([])),
        edit("given to another client", |token, _| token["azp"] = json!("another")),
        edit("of another issuer", |token, _| token["iss"] = json!("https://evil.example.org")),
        edit("of the issuer with a slash", |token, _| {
            token["iss"] = json!(format!("{}/", token["iss"].as_str().unwrap()))
        }),
        edit("of another sign-in", |token, _| token["nonce"] = json!("another")),
        edit("of no sign-in", |token, _| drop(token.as_object_mut().unwrap().remove("nonce"))),
        edit("expired", |token, now_s| token["exp"] = json!(now_s - 61)),
        edit("without an end", |token, _| drop(token.as_object_mut().unwrap().remove("exp"))),
        edit("of the future", |token, now_s| token["iat"] = json!(now_s + 120)),
        signing("unsigned", Signing::Unsigned),
        signing("signed with a key that is not known", Signing::UnknownKey),
        signing("signed with a forged key", Signing::ForgedKey),
        signing("signed with the client's secret", Signing::ClientSecret),
        signing("signed with the public key as a secret", Signing::PublicKey),
        person("not verified", json!({ "email": ANA, "email_verified": false })),
        person("said not to be verified", json!({ "email": ANA, "email_verified": "false" })),
        person("nothing said of verifying", json!({ "email": ANA })),
        person("no address", json!({ "email_verified": true })),
        person("nobody has it", json!({ "email": BEN, "email_verified": true })),
        person("it is no address", json!({ "email": "ana", "email_verified": true })),
        person("two addresses", json!({ "email": [ANA], "email_verified": true })),
        (
            "another provider answers",
            Box::new(|manners: &mut Manners| {
                manners.issuer = Some("https://evil.example.org".to_owned());
            }),
        ),
        ("nobody says who answers", Box::new(|manners: &mut Manners| manners.issuer = None)),
    ];
    let mut answers = Vec::new();
    for (what, lie) in &lies {
        pair.provider.is_told(|manners| {
            *manners = usual.clone();
            lie(manners);
        });
        answers.push((*what, pair.is_refused(what).await));
    }
    pair.provider.is_told(|manners| *manners = usual);
    assert_eq!(pair.sessions(&user).await, 1);
    assert_eq!(pair.people().await, 1);
    // In a browser it is a page.
    pair.provider.knows(BEN);
    let (_, page) = pair.sign_in().await;
    let page = page.expect(403);
    assert!(page.body.contains("lets you in here only if its e-mail address is verified"), "{}", page.body);
    assert!(page.body.contains("href=\"/sign-in/provider\""), "{}", page.body);
    assert_eq!((page.header("referrer-policy"), page.header("cache-control")), (Some("no-referrer"), Some("no-store")));
    pair.provider.knows(ANA);
    // Who is disabled or deleted gets the same.
    let disable = pair.app.admin_send(Method::PATCH, &format!("/users/{user}"), &json!({ "status": "disabled" })).await;
    disable.expect(200);
    answers.push(("disabled", pair.is_refused("disabled").await));
    pair.app.send(pair.app.admin(Method::DELETE, &format!("/users/{user}"))).await.expect(200);
    answers.push(("deleted", pair.is_refused("deleted").await));
    for (what, answer) in &answers {
        assert_eq!(answer, &answers[0].1, "{what}");
    }
    assert!(!answers[0].1.to_string().contains("ana@"));
}

#[tokio::test]
async fn an_answer_counts_for_the_browser_that_began_once_and_for_ten_minutes() {
    let (pair, user) = Pair::with_ana(&[]).await;
    pair.provider.is_told(|manners| manners.takes_codes_again = true);
    let again = async |answer: Answer| {
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(
            answer.body.contains("sign-in-again") || answer.body.contains("Begin the sign-in again"),
            "{}",
            answer.body
        );
    };
    let (ana, eve) = (Browser::accepting("application/json"), Browser::accepting("application/json"));
    let query = ana.visit(ana.begin(&pair.app, BEGIN).await).await;

    // Another browser, which has begun nothing, or something else: neither with what was stolen, nor with what was foisted on it.
    again(eve.come_back(&pair.app, &query).await).await;
    let other = eve.visit(eve.begin(&pair.app, BEGIN).await).await;
    again(eve.come_back(&pair.app, &query).await).await;
    again(ana.come_back(&pair.app, &other).await).await;
    let without_state = query.split('&').filter(|part| !part.starts_with("state=")).collect::<Vec<_>>().join("&");
    again(ana.come_back(&pair.app, &without_state).await).await;
    again(ana.come_back(&pair.app, &format!("{query}&state=other")).await).await;
    // The provider did not sign anybody in.
    let declined = query.replace("code=", "error=access_denied&was=");
    again(ana.come_back(&pair.app, &declined).await).await;
    again(ana.come_back(&pair.app, &format!("{query}&error=access_denied")).await).await;
    // A code that is another visit's: the provider knows whose it is by its challenge.
    let code = |query: &str| query.split('&').find(|part| part.starts_with("code=")).unwrap().to_owned();
    let injected = query.replace(&code(&query), &code(&other));
    ana.come_back(&pair.app, &injected).await.expect(403);
    // What the browser keeps cannot be changed.
    let kept = ana.cookies.lock().unwrap()["permitd-visit"].clone();
    for changed in [kept.replacen('~', "~1", 1), kept.to_uppercase(), kept[..kept.len() - 1].to_owned(), String::new()]
    {
        ana.cookies.lock().unwrap().insert("permitd-visit".to_owned(), changed);
        again(ana.come_back(&pair.app, &query).await).await;
    }
    ana.cookies.lock().unwrap().insert("permitd-visit".to_owned(), kept.clone());
    assert_eq!(pair.sessions(&user).await, 0);

    ana.come_back(&pair.app, &query).await.expect(201);
    // Once, though this provider takes a code again.
    let before = pair.provider.asked("token");
    ana.cookies.lock().unwrap().insert("permitd-visit".to_owned(), kept);
    again(ana.come_back(&pair.app, &query).await).await;
    assert!(pair.provider.asked("token") > before, "the provider has taken it");
    pair.app.send(pair.app.admin(Method::DELETE, &format!("/users/{user}/sessions"))).await.expect(200);
    again(ana.come_back(&pair.app, &query).await).await;
    assert_eq!(pair.sessions(&user).await, 0);

    pair.provider.is_told(|manners| manners.takes_codes_again = false);
    let query = ana.visit(ana.begin(&pair.app, BEGIN).await).await;
    pair.advance_min(10);
    again(ana.come_back(&pair.app, &query).await).await;
    let query = ana.visit(ana.begin(&pair.app, BEGIN).await).await;
    pair.advance_min(9);
    ana.come_back(&pair.app, &query).await.expect(201);
}

#[tokio::test]
async fn of_many_who_come_back_at_once_one_is_let_in() {
    let (pair, user) = Pair::with_ana(&[]).await;
    pair.provider.is_told(|manners| manners.takes_codes_again = true);
    let browser = Browser::accepting("application/json");
    let query = browser.visit(browser.begin(&pair.app, BEGIN).await).await;
    let kept = browser.cookies.lock().unwrap()["permitd-visit"].clone();
    let copies = (0..5).map(|_| {
        let copy = Browser::accepting("application/json");
        copy.cookies.lock().unwrap().insert("permitd-visit".to_owned(), kept.clone());
        copy
    });
    let copies: Vec<Browser> = copies.collect();
    let answers = copies.iter().map(|copy| copy.come_back(&pair.app, &query));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(answers).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400, 400, 400, 400]);
    assert_eq!(pair.sessions(&user).await, 1);
}

#[tokio::test]
async fn a_browser_is_led_to_this_server_alone() {
    let (pair, _) = Pair::with_ana(&[]).await;
    for place in
        ["https://evil.example.org", "//evil.example.org", "/%5Cevil.example.org", "evil", "/%0D%0Ax:y", "/%09/evil"]
    {
        let refused = Browser::new().get(&pair.app, &format!("{BEGIN}?return_to={place}")).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (400, None), "{place}");
    }
    Browser::new().get(&pair.app, &format!("{BEGIN}?return_to=/a&return_to=/b")).await.expect(400);
    Browser::new().get(&pair.app, &format!("{BEGIN}?next=/a")).await.expect(400);
    // Nor does what comes back say where to go.
    let browser = Browser::new();
    let query = browser.visit(browser.begin(&pair.app, &format!("{BEGIN}?return_to=/admin")).await).await;
    let back = browser.come_back(&pair.app, &format!("{query}&return_to=//evil.example.org")).await.expect(303);
    assert_eq!(back.header("location"), Some("/admin"));
}

#[tokio::test]
async fn behind_tls_the_cookies_are_bound_to_the_server() {
    let settings = [("public_url", "https://permits.example.org/api")];
    let (pair, _) = Pair::with_ana(&settings).await;
    let browser = Browser::new();
    let begun = browser.get(&pair.app, &format!("{BEGIN}?return_to=/admin")).await.expect(303);
    let cookie = begun.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-permitd-visit=") && cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    let place = Url::parse(begun.header("location").unwrap()).unwrap();
    let (_, redirect) = place.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap();
    assert_eq!(redirect, "https://permits.example.org/api/sign-in/provider/callback");
    let response = browser.client.get(place).send().await.unwrap();
    let back = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    let back = browser.come_back(&pair.app, back.query().unwrap()).await.expect(303);
    assert_eq!(back.header("location"), Some("/api/admin"));
    let cookies: Vec<&str> = back.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(cookies[0].starts_with("__Host-permitd=pms_") && cookies[0].ends_with("; HttpOnly; SameSite=Lax; Secure"));
    assert!(cookies[1].starts_with("__Host-permitd-visit=; ") && cookies[1].contains("Max-Age=0"));
}

#[tokio::test]
async fn a_claim_gives_a_role_at_each_sign_in_and_never_more_than_is_configured() {
    let settings = [
        ("oidc.role_claim", "cognito:groups"),
        ("oidc.admin_values", "permitd-admins,chiefs"),
        ("oidc.manager_values", "permitd-data"),
    ];
    let (pair, user) = Pair::with_ana(&settings).await;
    let groups = |groups: Value| pair.provider.is_told(|manners| manners.person["cognito:groups"] = groups);
    let role = async || pair.user(&user).await["role"].as_str().unwrap().to_owned();
    for (claim, expected) in [
        (json!(["permitd-data", "others"]), "manager"),
        (json!("permitd-data"), "manager"),
        (json!(["admin", "manager", "Permitd-Admins", "permitd-admins "]), "reader"),
        (json!(null), "reader"),
        (json!({ "permitd-admins": true }), "reader"),
        (json!(""), "reader"),
    ] {
        groups(claim.clone());
        pair.is_let_in().await;
        assert_eq!(role().await, expected, "{claim}");
    }
    groups(json!(["permitd-data", "permitd-admins"]));
    let ana = pair.is_let_in().await;
    assert_eq!(role().await, "admin");
    let list = async |browser: &Browser| browser.get(&pair.app, "/users").await.status;
    assert_eq!(list(&ana).await, 200);

    // Whoever is the last who can administer is not lowered, nor let in with more than the claim gives.
    groups(json!(["permitd-data"]));
    let (browser, refused) = pair.sign_in().await;
    assert_eq!((refused.status, browser.session()), (409, None), "{}", refused.body);
    assert_eq!(role().await, "admin");
    let disable = json!({ "status": "disabled" });
    let conflict = pair.app.admin_send(Method::PATCH, &format!("/users/{user}"), &disable).await.expect(409);
    assert!(conflict.body.contains("last administrator"), "{}", conflict.body);
    let ben = pair.invite(BEN).await;
    pair.provider.knows(BEN);
    groups(json!("chiefs"));
    pair.is_let_in().await;
    assert_eq!(pair.user(&ben).await["role"], "admin");
    pair.provider.knows(ANA);
    groups(json!([]));
    let lowered = pair.is_let_in().await;
    assert_eq!((role().await.as_str(), list(&lowered).await, list(&ana).await), ("reader", 403, 401));
}

#[tokio::test]
async fn without_a_claim_roles_are_given_here_alone() {
    let (pair, user) = Pair::with_ana(&[]).await;
    pair.provider.is_told(|manners| manners.person["role"] = json!("admin"));
    pair.is_let_in().await;
    assert_eq!(pair.user(&user).await["role"], "reader");
}

#[tokio::test]
async fn nobody_is_created_but_in_the_named_domains() {
    let (pair, _) = Pair::with_ana(&[("oidc.create_domains", "example.com")]).await;
    pair.provider.knows("eve@example.com");
    pair.is_refused("oidc.create is false").await;
    assert_eq!(pair.people().await, 1);

    let settings = [
        ("oidc.create", "true"),
        ("oidc.create_domains", "example.com"),
        ("oidc.role_claim", "groups"),
        ("oidc.manager_values", "data"),
    ];
    let pair = Pair::start(&settings).await;
    for email in ["eve@example.org", "eve@sub.example.com", "eve@evilexample.com", "eve@example.com.evil.org"] {
        pair.provider.knows(email);
        pair.is_refused(email).await;
    }
    pair.provider.is_told(|manners| manners.person = json!({ "email": "eve@example.com", "email_verified": false }));
    pair.is_refused("not verified").await;
    assert_eq!(pair.people().await, 0);
    pair.provider.knows("Eve@Example.com");
    pair.provider.is_told(|manners| manners.person["groups"] = json!(["data"]));
    let me = pair.is_let_in().await.me(&pair.app).await.expect(200).json();
    assert_eq!(
        (&me["email"], &me["name"], &me["role"]),
        (&json!("eve@example.com"), &json!("Ana Núñez"), &json!("manager"))
    );
    assert!(pair.app.mail_to("eve@example.com", 1).await.key.is_some(), "as whoever is invited");
    pair.is_let_in().await;
    assert_eq!(pair.people().await, 1, "the same person");
    pair.app.admin_send(Method::POST, "/users", &json!({ "email": "eve@example.com" })).await.expect(409);
}

fn code(secret: &str, clock: &ManualClock) -> String {
    totp::code(&totp::unbase32(secret).unwrap(), totp::step_at(clock.now())).unwrap()
}

/// Sets a second factor up; its secret.
async fn second_factor(pair: &Pair, browser: &Browser) -> String {
    let token = browser.session().unwrap();
    let with = |method: Method, body: Value| {
        pair.app.send(pair.app.request(method, "/me/second-factor").bearer_auth(&token).json(&body))
    };
    let begun = with(Method::POST, json!({})).await.expect(201).json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    with(Method::PUT, json!({ "code": code(&secret, &pair.clock) })).await.expect(200);
    secret
}

#[tokio::test]
async fn a_second_factor_is_wanted_here_unless_the_provider_s_counts() {
    let settings = [("accounts.second_factor", "administrators"), ("oidc.second_factor_values", "mfa,https://level/2")];
    let (pair, user) = Pair::with_ana(&settings).await;
    let raise = pair.app.admin_send(Method::PATCH, &format!("/users/{user}"), &json!({ "role": "admin" })).await;
    raise.expect(200);
    // Without any, an administrator can set one up and nothing else; the provider's is as good as one here.
    let without = pair.is_let_in().await;
    without.me(&pair.app).await.expect(403);
    for (name, value) in [("amr", json!(["pwd", "mfa"])), ("acr", json!("https://level/2"))] {
        pair.provider.is_told(|manners| manners.person[name] = value);
        let with = pair.is_let_in().await;
        with.me(&pair.app).await.expect(200);
        with.get(&pair.app, "/users").await.expect(200);
        pair.provider.is_told(|manners| drop(manners.person.as_object_mut().unwrap().remove(name)));
    }
    pair.provider.is_told(|manners| manners.person["amr"] = json!(["pwd", "MFA", "otp"]));
    pair.is_let_in().await.me(&pair.app).await.expect(403);

    let secret = second_factor(&pair, &without).await;
    pair.advance_min(1);
    // A page with a form, for a browser.
    let (browser, wanted) = pair.sign_in().await;
    let wanted = wanted.expect(200);
    assert!(wanted.body.contains("Six digits from the app"), "{}", wanted.body);
    let token = wanted.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!((wanted.header("referrer-policy"), browser.session()), (Some("no-referrer"), None));
    let give = async |browser: &Browser, given: &str, site: &str| {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", given)
            .append_pair("csrf", &token)
            .finish();
        let request = browser.client.post(pair.app.url(CALLBACK)).header("sec-fetch-site", site);
        browser.send(request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
    };
    give(&browser, &code(&secret, &pair.clock), "cross-site").await.expect(403);
    let wrong = give(&browser, "000000", "same-origin").await.expect(401);
    assert!(wrong.body.contains("This code is not right") && wrong.body.contains("<form"), "{}", wrong.body);
    assert_eq!(browser.session(), None);
    give(&browser, &code(&secret, &pair.clock), "same-origin").await.expect(303);
    browser.me(&pair.app).await.expect(200);
    // The form was for somebody who was not signed in.
    give(&browser, &code(&secret, &pair.clock), "same-origin").await.expect(403);
    // The code was taken, and what the browser kept with it.
    let script = Browser::accepting("application/json");
    let wanted = script.sign_in(&pair.app).await.expect(401);
    assert_eq!(wanted.json()["type"], "/problems/code-required");
    let post = async |given: &str| {
        let request = script.client.post(pair.app.url(CALLBACK)).json(&json!({ "code": given }));
        script.send(request).await
    };
    post(&code(&secret, &pair.clock)).await.expect(401);
    pair.advance_min(1);
    let session = post(&code(&secret, &pair.clock)).await.expect(201).json();
    assert_eq!((&session["method"], &session["second_factor_required"]), (&json!("provider_and_code"), &json!(false)));
    // What was kept of a visit before the code was wanted gives no code.
    let script = Browser::accepting("application/json");
    script.begin(&pair.app, BEGIN).await;
    script.send(script.client.post(pair.app.url(CALLBACK)).json(&json!({ "code": "000000" }))).await.expect(400);
}

#[tokio::test]
async fn whoever_guesses_codes_waits() {
    let (pair, _) = Pair::with_ana(&[("accounts.wrong_passwords_max", "3")]).await;
    let ana = pair.is_let_in().await;
    let secret = second_factor(&pair, &ana).await;
    pair.advance_min(1);
    let script = Browser::accepting("application/json");
    script.sign_in(&pair.app).await.expect(401);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let request = script.client.post(pair.app.url(CALLBACK)).json(&json!({ "code": "000000" }));
        statuses.push(script.send(request).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429], "{}", code(&secret, &pair.clock));
}

#[tokio::test]
async fn new_keys_of_the_provider_are_asked_for_and_not_more_often_than_they_may_be() {
    let (pair, _) = Pair::with_ana(&[]).await;
    pair.is_let_in().await;
    let asked = || pair.provider.asked("description");
    assert_eq!(asked(), 1, "at the start");
    pair.is_let_in().await;
    assert_eq!((asked(), pair.provider.asked("keys")), (1, 1), "what is known is not asked for");
    pair.advance_min(1);
    pair.provider.changes_its_key("second");
    pair.is_let_in().await;
    assert_eq!(asked(), 2);
    // Tokens with keys that nobody knows have it asked once in a while, however many there are.
    pair.provider.is_told(|manners| manners.signing = Signing::UnknownKey);
    for _ in 0..4 {
        pair.is_refused("an unknown key").await;
    }
    assert_eq!(asked(), 2, "it was asked a moment ago");
    pair.advance_min(1);
    for _ in 0..4 {
        pair.is_refused("an unknown key").await;
    }
    assert_eq!(asked(), 3);
    // A key that the provider has given up ends with the hour.
    pair.provider.is_told(|manners| manners.signing = Signing::Right);
    pair.advance_min(60);
    pair.is_let_in().await;
    assert_eq!(asked(), 4);
}

#[tokio::test]
async fn a_provider_that_is_away_or_leads_elsewhere_lets_nobody_in() {
    let (pair, _) = Pair::with_ana(&[("oidc.timeout_s", "5")]).await;
    pair.is_let_in().await;
    let (other, long) = (IdentityServer::start(pair.clock.now()), format!("\"{}\"", "x".repeat(2 << 20)));
    let away = async |what: &str| {
        let browser = Browser::accepting("application/json");
        let refused = browser.get(&pair.app, BEGIN).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (503, None), "{what}: {}", refused.body);
        assert!(refused.header("retry-after").is_some());
    };
    let elsewhere = format!("{}/.well-known/openid-configuration", other.issuer);
    for (what, instead) in [
        ("an error", (500, String::new(), "{}".to_owned())),
        ("a redirect", (302, elsewhere, String::new())),
        ("more than is read", (200, String::new(), long)),
        ("nonsense", (200, String::new(), "{\"issuer\":".to_owned())),
    ] {
        pair.provider.is_told(|manners| manners.instead = Some(instead));
        pair.advance_min(61);
        away(what).await;
    }
    assert_eq!(other.asked("description"), 0, "no redirect is followed");
    pair.provider.is_told(|manners| manners.instead = None);
    for (what, description) in [
        ("another issuer", json!({ "issuer": other.issuer })),
        ("keys without TLS", json!({ "jwks_uri": "http://169.254.169.254/keys" })),
        ("people without TLS", json!({ "authorization_endpoint": "http://192.0.2.1/authorize" })),
        ("no way of signing that counts", json!({ "id_token_signing_alg_values_supported": ["HS256", "none"] })),
    ] {
        pair.provider.is_told(|manners| manners.description = description);
        pair.advance_min(61);
        away(what).await;
    }
    pair.provider.is_told(|manners| manners.description = json!({ "token_endpoint": "http://192.0.2.1/token" }));
    pair.advance_min(61);
    let (_, refused) = pair.sign_in().await;
    refused.expect(503);
    // It is asked again when it is back; and one that takes the client's secret in the body only is told it there.
    let in_body = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    pair.provider.is_told(|manners| manners.description = in_body);
    pair.advance_min(61);
    pair.is_let_in().await;
}

#[tokio::test]
async fn another_node_finishes_what_one_began() {
    let (mut pair, _) = Pair::with_ana(&[("public_url", "https://permits.example.org")]).await;
    let named = |browser: &Browser| {
        // Behind TLS, which the test is not.
        let cookies = browser.cookies.lock().unwrap();
        assert!(cookies.contains_key("__Host-permitd-visit"), "{:?}", cookies.keys());
    };
    let browser = Browser::accepting("application/json");
    let place = browser.begin(&pair.app, BEGIN).await;
    named(&browser);
    let back = browser.client.get(place).send().await.unwrap();
    let back = Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let kept = browser.cookies.lock().unwrap().clone();
    match crate::MODE {
        Mode::Aws => {
            let other = pair.app.beside().await;
            browser.come_back(&other, back.query().unwrap()).await.expect(201);
        }
        Mode::Sqlite => {
            pair.app.restart().await;
            browser.come_back(&pair.app, back.query().unwrap()).await.expect(201);
        }
    }
    // Nor does the first one let it in once more.
    pair.provider.is_told(|manners| manners.takes_codes_again = true);
    *browser.cookies.lock().unwrap() = kept;
    browser.come_back(&pair.app, back.query().unwrap()).await.expect(400);
}

#[tokio::test]
async fn the_page_of_a_link_leads_to_the_provider_where_there_is_one() {
    let (pair, _) = Pair::with_ana(&[("oidc.label", "Example & Co")]).await;
    let page = async |app: &TestApp, email: &str| {
        let link = app.mail_to(email, 1).await.links[0].clone();
        Browser::new().get(app, &link).await.expect(200).body
    };
    let shown = page(&pair.app, ANA).await;
    assert!(shown.contains("<a href=\"/sign-in/provider\">Sign in with Example &amp; Co</a>"), "{shown}");
    let without = TestApp::start().await;
    without.invite(ANA).await;
    assert!(!page(&without, ANA).await.contains("/sign-in/provider"));
    let none = without.send(without.request(Method::GET, BEGIN)).await.expect(404);
    assert!(none.body.contains("oidc.issuer"), "{}", none.body);
    // Passwords work on beside it.
    accounts::set_password(&pair.app, ANA).await;
    accounts::sign_in(&pair.app, ANA).await;
}
