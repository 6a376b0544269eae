//! A whole node with its servers, as a user meets it: over HTTP, in a folder and on ports of its own.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{
    io::Cursor,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use permitd::{
    actors::import::{ImportProgress, Order},
    app::{Listeners, Node, Purpose, Server},
    clock::{SharedClock, SystemClock},
    config::{LoadFrom, Settings},
    dataset::sample::{self, SampleFormat},
    domain::{event::Origin, id::Who},
    http::state::Service,
    queue::Policy,
    secrets::{Entropy, SystemEntropy},
};
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::support::backend::Place;

/// How long a test waits for something that is bound to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How long it waits between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// What every key begins with, followed by its length.
const KEY_PREFIX: &str = "pmt_";

/// What a [`TestApp`] is to be like.
pub(crate) struct Options {
    /// The node's time.
    pub(crate) clock: SharedClock,
    /// The node's randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Settings that differ from the defaults: dotted path and value.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Rows of the generated sample that are imported as `permits`; none when 0.
    pub(crate) sample_rows: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: SystemClock::shared(), entropy: Arc::new(SystemEntropy), settings: Vec::new(), sample_rows: 0 }
    }
}

/// A mail as its recipient reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The address.
    pub(crate) to: String,
    /// What it is about.
    pub(crate) subject: String,
    /// The plain text part.
    pub(crate) text: String,
    /// The key in it.
    pub(crate) key: Option<String>,
    /// The paths of the links in it that work once.
    pub(crate) links: Vec<String>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {} {}", self.status, self.body))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The header field that links to something of this kind.
    pub(crate) fn link(&self, rel: &str) -> Option<&str> {
        let end = format!(">; rel=\"{rel}\"");
        let mut links = self.headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
        links.find(|link| link.ends_with(&end))
    }

    /// The same, once its status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// The node and its thread.
struct Running {
    service: Service,
    public: SocketAddr,
    ops: SocketAddr,
    admin_token: Option<String>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// A running permitd. It stops when it is dropped.
pub(crate) struct TestApp {
    options: Arc<Options>,
    place: Arc<Place>,
    client: reqwest::Client,
    running: Option<Running>,
    /// The administrator's token.
    pub(crate) admin_token: String,
}

impl TestApp {
    /// One with the defaults and without data.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// One with `rows` rows of the sample.
    pub(crate) async fn with_sample(rows: u64) -> Self {
        Self::with(Options { sample_rows: rows, ..Options::default() }).await
    }

    /// One with these settings and so many rows of the sample.
    pub(crate) async fn set(settings: &[(&'static str, &str)], sample_rows: u64) -> Self {
        let settings = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
        Self::with(Options { settings, sample_rows, ..Options::default() }).await
    }

    /// One as `options` want it.
    pub(crate) async fn with(options: Options) -> Self {
        // A connection that idles would hold a stop up.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        let place = Place::in_real_time(crate::MODE, policy(&options)).await;
        Self::start_at(place, client, options).await
    }

    /// The same in this place.
    pub(crate) async fn at(place: Arc<Place>, options: Options) -> Self {
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        Self::start_at(place, client, options).await
    }

    async fn start_at(place: Arc<Place>, client: reqwest::Client, options: Options) -> Self {
        let options = Arc::new(options);
        let rows = options.sample_rows;
        let running = launch(Arc::clone(&options), place.settings(), &place, rows).await;
        let admin_token = running.admin_token.clone().expect("the first start makes a token");
        Self { options, place, client, running: Some(running), admin_token }
    }

    /// Another node of the same deployment, with the same options.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_in(self.place.settings()).await
    }

    /// The same on a machine of its own, which need not be ready.
    pub(crate) async fn on_another_machine(&self) -> Self {
        let folder = self.place.folder().join("another-machine");
        let settings = self.place.settings().into_iter().filter(|(path, _)| *path != "data");
        self.beside_in(settings.chain([("data", folder.display().to_string())]).collect()).await
    }

    async fn beside_in(&self, settings: Vec<(&'static str, String)>) -> Self {
        let running = launch(Arc::clone(&self.options), settings, &self.place, 0).await;
        Self {
            options: Arc::clone(&self.options),
            place: Arc::clone(&self.place),
            client: self.client.clone(),
            running: Some(running),
            admin_token: self.admin_token.clone(),
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the node runs")
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// Where it keeps its things.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The node's own handles, to arrange what no client can.
    pub(crate) fn service(&self) -> &Service {
        &self.running().service
    }

    /// The address of a path of the API. What an answer links to is one already.
    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http://") { path.to_owned() } else { format!("http://{}{path}", self.running().public) }
    }

    /// The address of a path of the port for operators.
    pub(crate) fn ops_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running().ops)
    }

    /// A request to the API, to be completed and given to [`Self::send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request of the administrator.
    pub(crate) fn admin(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path).bearer_auth(&self.admin_token)
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.expect("a body") }
    }

    /// Reads data with a key.
    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        self.send(self.request(Method::GET, path).header("x-api-key", key)).await
    }

    /// Reads as the administrator.
    pub(crate) async fn admin_get(&self, path: &str) -> Answer {
        self.send(self.admin(Method::GET, path)).await
    }

    /// Writes as the administrator.
    pub(crate) async fn admin_send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send(self.admin(method, path).json(body)).await
    }

    /// Reads from the port for operators.
    pub(crate) async fn ops_get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.ops_url(path))).await
    }

    /// Invites somebody on the default plan, waits for the mail and gives the key in it.
    pub(crate) async fn invite(&self, email: &str) -> String {
        self.invite_as(&serde_json::json!({ "email": email })).await.1
    }

    /// Invites somebody, waits for the mail and gives the user's id and the key.
    pub(crate) async fn invite_as(&self, body: &Value) -> (String, String) {
        let user = self.admin_send(Method::POST, "/users", body).await.expect(201).json();
        let email = user["email"].as_str().expect("an address").to_owned();
        let key = self.mail_to(&email, 1).await.key.expect("a key in the mail");
        (user["id"].as_str().expect("an id").to_owned(), key)
    }

    /// The last mail with a key or a link to somebody, once there are at least `count`.
    pub(crate) async fn mail_to(&self, email: &str, count: usize) -> Mail {
        let is_one = |mail: &Mail| mail.to == email && (mail.key.is_some() || !mail.links.is_empty());
        self.eventually(&format!("mail number {count} to {email}"), async || {
            let mut mails: Vec<Mail> = self.mails().into_iter().filter(is_one).collect();
            if mails.len() >= count { mails.pop() } else { None }
        })
        .await
    }

    /// The mail to somebody whose subject has these words, once there is one.
    pub(crate) async fn notice_to(&self, email: &str, words: &str) -> Mail {
        let is_it = |mail: &Mail| mail.to == email && mail.subject.contains(words);
        self.eventually(&format!("a mail of {words:?} to {email}"), async || self.mails().into_iter().find(is_it)).await
    }

    /// Looks until there is what it looks for.
    pub(crate) async fn eventually<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// The mails that were sent, oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let Ok(entries) = std::fs::read_dir(self.data().join("outbox")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry of the outbox").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        files.sort();
        files.iter().filter_map(|path| read_mail(path)).collect()
    }

    /// Stops the node as a signal would.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.halt();
        }
    }

    /// Starts a stopped node again, or a running one anew, on the same directory.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.running = Some(launch(Arc::clone(&self.options), self.place.settings(), &self.place, 0).await);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.halt();
        }
    }
}

impl Running {
    fn halt(self) {
        // The thread may have ended by itself; joining it tells.
        self.stop.send(()).ok();
        let ended = self.thread.join();
        // A panic within a panic would hide the first.
        if !std::thread::panicking() {
            ended.expect("the node's thread ends well");
        }
    }
}

/// Starts a node on a thread of its own.
async fn launch(
    options: Arc<Options>,
    of_place: Vec<(&'static str, String)>,
    place: &Place,
    sample_rows: u64,
) -> Running {
    let waits = of_place.iter().any(|(path, value)| *path == "data" && *value == place.data().display().to_string());
    let (settings, aws) = (settings(&options, of_place), place.access().await);
    let (started, starting) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let listeners = Listeners::bind(&settings).expect("free ports");
            let public = listeners.public_address().expect("the port's number");
            let ops = listeners.ops_address().expect("the port's number");
            let (clock, entropy) = (Arc::clone(&options.clock), Arc::clone(&options.entropy));
            let node = Node::open(settings, clock, entropy, Purpose::Serve, public, aws).await.expect("a node");
            let (service, admin_token) = (node.service.clone(), node.first_admin_token.as_deref().cloned());
            if sample_rows > 0 {
                import_sample(&node, sample_rows).await;
            }
            // As whoever sends requests waits for a node that is ready.
            while waits && node.service.records.copies().iter().any(|copy| !copy.is_ready && copy.trouble.is_none()) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let server = Server::start(node, listeners).expect("servers");
            let sent = started.send((service, public, ops, admin_token));
            assert!(sent.is_ok(), "the test waits for its node");
            // Ends as well when the test is gone.
            stopped.await.ok();
            server.stop().await;
        });
    });
    let (service, public, ops, admin_token) = match starting.await {
        Ok(started) => started,
        Err(_) => {
            thread.join().expect("the node starts");
            panic!("the node's thread ended early");
        }
    };
    Running { service, public, ops, admin_token, stop, thread }
}

/// How the queue is to treat messages.
fn policy(options: &Options) -> Policy {
    let queue = settings(options, Vec::new()).queue;
    let permitd::config::QueueSection { visibility_s, receives_max, retention_days, .. } = queue;
    Policy { visibility_s, receives_max, retention_days }
}

fn settings(options: &Options, of_the_place: Vec<(&'static str, String)>) -> Settings {
    let fixed = [
        ("listen", "127.0.0.1:0".to_owned()),
        ("ops.listen", "127.0.0.1:0".to_owned()),
        ("http.workers", "2".to_owned()),
        ("http.shutdown_timeout_s", "5".to_owned()),
        ("queue.poll_interval_ms", "50".to_owned()),
        // A machine may be busy: what is given up there for taking long is so by a clock that a test moves.
        ("actors.send_timeout_ms", "60000".to_owned()),
        ("records.find_timeout_ms", "60000".to_owned()),
        // What a hash costs is not what is tested.
        ("accounts.argon2_memory_kib", "16".to_owned()),
        ("accounts.argon2_iterations", "1".to_owned()),
    ];
    let overrides: Vec<_> = fixed.into_iter().chain(of_the_place).chain(options.settings.iter().cloned()).collect();
    Settings::load(LoadFrom { config_file: None, env: std::iter::empty(), overrides: &overrides }).expect("settings")
}

async fn import_sample(node: &Node, rows: u64) {
    let mut file = Cursor::new(Vec::new());
    sample::generate(rows, 1, SampleFormat::Csv, &mut file).expect("a sample");
    file.set_position(0);
    let definition = node.definition("permits").expect("the definition of permits");
    let order = Order {
        file: Box::new(file),
        file_name: "sample.csv".to_owned(),
        definition: Arc::clone(definition),
        reading: Arc::clone(definition),
        replace: false,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "sample".to_owned(), causation_id: None },
        progress: Arc::new(ImportProgress::default()),
    };
    let summary = node.service.imports.import(order).await.expect("an import");
    assert_eq!((summary.counts.inserted, summary.counts.rejected), (rows, 0));
}

/// A mail in an outbox; none when it was removed since the outbox was listed, as the mails of those are who were deleted.
pub(crate) fn read_mail(path: &Path) -> Option<Mail> {
    let raw = match std::fs::read_to_string(path) {
        Ok(raw) => raw,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let to = raw.lines().find_map(|line| line.strip_prefix("To: ")).unwrap_or_default().trim().to_owned();
    let subject = raw.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().trim().to_owned();
    let plain = raw.split("\r\n--").find(|part| part.contains("Content-Type: text/plain")).unwrap_or_default();
    let text = plain.split_once("\r\n\r\n").unwrap_or_default().1.to_owned();
    let key = text.split_whitespace().find(|word| word.starts_with(KEY_PREFIX)).map(ToOwned::to_owned);
    let path = |word: &str| word.find("/links/pml_").and_then(|at| word.get(at..)).map(ToOwned::to_owned);
    let links = text.split_whitespace().filter_map(path).collect();
    Some(Mail { to, subject, text, key, links })
}
