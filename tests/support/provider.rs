//! A provider of identities (OpenID Connect) on this machine: it describes itself, shows its keys, signs people in, and gives tokens. It
//! does it as it should, and lies where a test tells it to.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a provider that cannot be set up fails its test"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use rsa::{RsaPrivateKey, traits::PublicKeyParts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The client that the provider knows.
pub(crate) const CLIENT: &str = "permitd-test";
/// Its secret.
pub(crate) const SECRET: &str = "a secret of the provider & its client";

/// A key of the provider, with its name.
#[derive(Clone)]
enum SigningKey {
    Curve(String, Arc<EcdsaKeyPair>),
    Rsa(String, Box<RsaPrivateKey>),
}

impl SigningKey {
    fn curve(name: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self::Curve(name.to_owned(), Arc::new(pair))
    }

    fn header(&self) -> Value {
        match self {
            Self::Curve(name, _) => json!({ "alg": "ES256", "kid": name, "typ": "JWT" }),
            Self::Rsa(name, _) => json!({ "alg": "RS256", "kid": name }),
        }
    }

    fn shown(&self) -> Value {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Curve(name, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": name, "x": base64(x), "y": base64(y) })
            }
            Self::Rsa(name, key) => {
                let (n, e) = (base64(&key.n().to_bytes_be()), base64(&key.e().to_bytes_be()));
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": n, "e": e })
            }
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        match self {
            Self::Curve(_, pair) => pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Rsa(_, key) => {
                // RFC 8017, section 9.2: what precedes a SHA-256.
                let prefix = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
                let padding = rsa::Pkcs1v15Sign { hash_len: Some(32), prefix: prefix.into() };
                key.sign(padding, &Sha256::digest(text)).unwrap()
            }
        }
    }
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    /// With the provider's key.
    Right,
    /// Not at all.
    Unsigned,
    /// With a key that the provider does not show, under a name of its own.
    UnknownKey,
    /// With such a key, under the name of the provider's.
    ForgedKey,
    /// With the client's secret (HS256).
    ClientSecret,
    /// With the provider's public key as a secret (HS256).
    PublicKey,
}

type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// What the provider does.
#[derive(Clone)]
pub(crate) struct Manners {
    /// What it says of whoever signs in.
    pub(crate) person: Value,
    /// What becomes of a token before it is signed.
    pub(crate) edit: Edit,
    /// How it is signed.
    pub(crate) signing: Signing,
    /// The `iss` of its answer.
    pub(crate) issuer: Option<String>,
    /// Whether a code is taken more than once.
    pub(crate) takes_codes_again: bool,
    /// What its description says beyond, or otherwise.
    pub(crate) description: Value,
    /// What it answers to everything: a status, a place, a text.
    pub(crate) instead: Option<(u16, String, String)>,
    /// The seconds since 1970 at which it gives tokens.
    pub(crate) now_s: i64,
}

struct Grant {
    nonce: Option<String>,
    challenge: String,
    redirect: String,
    person: Value,
    is_used: bool,
}

struct State {
    keys: Vec<SigningKey>,
    manners: Manners,
    grants: BTreeMap<String, Grant>,
    asked: BTreeMap<&'static str, usize>,
}

type Shared = Arc<(String, Mutex<State>)>;

/// The provider. It ends when it is dropped.
pub(crate) struct IdentityServer {
    /// Its name, and where it is.
    pub(crate) issuer: String,
    shared: Shared,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl IdentityServer {
    /// One whose clock stands at this moment.
    pub(crate) fn start(now: jiff::Timestamp) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let manners = Manners {
            person: json!({}),
            edit: Arc::new(|_| {}),
            signing: Signing::Right,
            issuer: Some(issuer.clone()),
            takes_codes_again: false,
            description: json!({}),
            instead: None,
            now_s: now.as_second(),
        };
        let (keys, grants, asked) = (vec![SigningKey::curve("first")], BTreeMap::new(), BTreeMap::new());
        let shared: Shared = Arc::new((issuer.clone(), Mutex::new(State { keys, manners, grants, asked })));
        let (sender, started) = std::sync::mpsc::channel();
        let data = web::Data::new(Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    App::new()
                        .app_data(data.clone())
                        .route("/.well-known/openid-configuration", web::get().to(describe))
                        .route("/keys", web::get().to(keys_shown))
                        .route("/authorize", web::get().to(authorize))
                        .route("/token", web::post().to(token))
                };
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let handle = started.recv().unwrap();
        Self { issuer, shared, handle, thread: Some(thread) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.1.lock().unwrap()
    }

    /// Changes what it does.
    pub(crate) fn is_told(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.state().manners);
    }

    /// Somebody with this address, which it has verified, is who signs in from now on.
    pub(crate) fn knows(&self, email: &str) {
        self.is_told(|manners| manners.person = json!({ "email": email, "email_verified": true, "name": "Ana Núñez" }));
    }

    /// It has another key from now on, and shows no other.
    pub(crate) fn changes_its_key(&self, name: &str) {
        self.state().keys = vec![SigningKey::curve(name)];
    }

    /// The same with a key as Cognito and most others have one.
    pub(crate) fn has_an_rsa_key(&self) {
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        self.state().keys = vec![SigningKey::Rsa("rsa".to_owned(), Box::new(key))];
    }

    /// How often it was asked for this.
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.state().asked.get(what).copied().unwrap_or(0)
    }
}

impl Drop for IdentityServer {
    fn drop(&mut self) {
        // The future only waits for what has been told by then.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Counts a question, and gives what is answered to all of them.
fn counted(shared: &Shared, what: &'static str) -> Option<HttpResponse> {
    let mut state = shared.1.lock().unwrap();
    *state.asked.entry(what).or_default() += 1;
    let (status, place, text) = state.manners.instead.clone()?;
    let mut response = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
    if !place.is_empty() {
        response.insert_header(("location", place));
    }
    Some(response.content_type("application/json").body(text))
}

async fn describe(shared: web::Data<Shared>) -> HttpResponse {
    if let Some(instead) = counted(&shared, "description") {
        return instead;
    }
    let issuer = &shared.0;
    let mut description = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    });
    for (name, value) in shared.1.lock().unwrap().manners.description.as_object().unwrap() {
        description[name] = value.clone();
    }
    HttpResponse::Ok().json(description)
}

async fn keys_shown(shared: web::Data<Shared>) -> HttpResponse {
    if let Some(instead) = counted(&shared, "keys") {
        return instead;
    }
    let keys: Vec<Value> = shared.1.lock().unwrap().keys.iter().map(SigningKey::shown).collect();
    HttpResponse::Ok().json(json!({ "keys": keys }))
}

fn fields(text: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Signs in whoever comes, as the person that the provider knows.
async fn authorize(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    if let Some(instead) = counted(&shared, "authorize") {
        return instead;
    }
    let query = fields(request.query_string().as_bytes());
    assert_eq!((query["response_type"].as_str(), query["client_id"].as_str()), ("code", CLIENT));
    assert_eq!(query["code_challenge_method"], "S256");
    assert!(query["scope"].split(' ').any(|scope| scope == "openid"), "{}", query["scope"]);
    let mut state = shared.1.lock().unwrap();
    let code = format!("code-{}", state.grants.len());
    let grant = Grant {
        nonce: query.get("nonce").cloned(),
        challenge: query["code_challenge"].clone(),
        redirect: query["redirect_uri"].clone(),
        person: state.manners.person.clone(),
        is_used: false,
    };
    state.grants.insert(code.clone(), grant);
    let mut answer = form_urlencoded::Serializer::new(String::new());
    answer.append_pair("code", &code).append_pair("state", &query["state"]);
    if let Some(issuer) = &state.manners.issuer {
        answer.append_pair("iss", issuer);
    }
    // As Keycloak and others do.
    answer.append_pair("session_state", "of the provider");
    let place = format!("{}?{}", query["redirect_uri"], answer.finish());
    HttpResponse::SeeOther().insert_header(("location", place)).finish()
}

async fn token(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    if let Some(instead) = counted(&shared, "token") {
        return instead;
    }
    let sent = fields(&body);
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = format!("{}:{}", encoded(CLIENT), encoded(SECRET));
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials));
    let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let refuse = |error: &str| {
        HttpResponse::BadRequest().json(json!({ "error": error, "error_description": "ana@example.org" }))
    };
    if shown != Some(basic.as_str()) && sent.get("client_secret").map(String::as_str) != Some(SECRET) {
        return refuse("invalid_client");
    }
    let mut state = shared.1.lock().unwrap();
    let manners = state.manners.clone();
    let challenge = sent.get("code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
    let Some(grant) = sent.get("code").and_then(|code| state.grants.get_mut(code)) else {
        return refuse("invalid_grant");
    };
    let is_right = challenge.as_ref() == Some(&grant.challenge)
        && sent.get("redirect_uri") == Some(&grant.redirect)
        && sent["grant_type"] == "authorization_code";
    if !is_right || grant.is_used && !manners.takes_codes_again {
        return refuse("invalid_grant");
    }
    grant.is_used = true;
    let mut payload = json!({
        "iss": shared.0, "aud": CLIENT, "sub": "4711", "nonce": grant.nonce,
        "iat": manners.now_s, "exp": manners.now_s + 300,
    });
    for (name, value) in grant.person.as_object().unwrap() {
        payload[name] = value.clone();
    }
    (manners.edit)(&mut payload);
    let id_token = signed(&state.keys[0], manners.signing, &payload);
    HttpResponse::Ok().json(json!({
        "access_token": "of no use here", "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
    }))
}

fn signed(key: &SigningKey, signing: Signing, payload: &Value) -> String {
    let text = |header: &Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(payload))
    };
    let with = |header: Value, sign: &dyn Fn(&str) -> Vec<u8>| {
        let text = text(&header);
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(sign(&text)))
    };
    let by_secret = |secret: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    match signing {
        Signing::Right => with(key.header(), &|text| key.sign(text)),
        Signing::Unsigned => format!("{}.", text(&json!({ "alg": "none" }))),
        Signing::UnknownKey => {
            let other = SigningKey::curve("unknown");
            with(other.header(), &|text| other.sign(text))
        }
        Signing::ForgedKey => {
            let other = SigningKey::curve("other");
            with(key.header(), &|text| other.sign(text))
        }
        Signing::ClientSecret => with(json!({ "alg": "HS256" }), &|text| by_secret(SECRET.as_bytes(), text)),
        Signing::PublicKey => {
            let shown = key.shown().to_string();
            with(json!({ "alg": "HS256", "kid": "first" }), &|text| by_secret(shown.as_bytes(), text))
        }
    }
}
