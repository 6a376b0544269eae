//! A place, and the processes that serve it one after the other.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::{
    collections::BTreeSet,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use permitd::queue::Policy;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app,
    support::{
        self,
        backend::{Mode, Place},
    },
};

/// How long anything may take that is bound to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// After a second a message of a process that died is received again.
pub(crate) const POLICY: Policy = Policy { visibility_s: 1, receives_max: 5, retention_days: 14 };
/// Machines that a deployment may have.
const MACHINES_MAX: usize = 3;
/// How often a node may die at a failpoint before it is ready.
const EARLY_DEATHS_MAX: usize = 3;
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Where a process may die between the command to invite somebody and the last step of the mail.
pub(crate) const INVITATION_FAILPOINTS: [&str; 11] = [
    "append-before",
    "append-after",
    "publish-before",
    "publish-after-send",
    "mailer-received",
    "mailer-before-issue",
    "mailer-after-issue",
    "mailer-before-mail",
    "mailer-after-mail",
    "mailer-after-mailed",
    "mailer-before-ack",
];

pub(crate) struct Deployment {
    place: Arc<Place>,
    token: String,
    client: reqwest::Client,
    /// How its queue treats messages. A queue in AWS has been told so when it was made: processes must not be told otherwise.
    policy: Policy,
    /// Variables that differ from those of all.
    further: Vec<(String, String)>,
}

/// A process that serves.
pub(crate) struct Serving {
    pub(crate) process: support::Process,
    pub(crate) url: String,
}

impl Deployment {
    /// A place that was served once, with a token and the default plan.
    pub(crate) async fn new() -> Self {
        Self::with(crate::MODE, POLICY, &[]).await
    }

    /// The same over a backend, with a queue's policy and further variables in the environment of its processes.
    pub(crate) async fn with(mode: Mode, policy: Policy, further: &[(&str, &str)]) -> Self {
        let place = Place::in_real_time(mode, policy).await;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let further = further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut deployment = Self { place, token: String::new(), client, policy, further };
        let (mut process, ready) = deployment.launch(0, "");
        deployment.token = ready["admin_token"].as_str().expect("a token at the first start").to_owned();
        process.kill();
        deployment
    }

    /// The same place with other variables in the environment of its processes.
    pub(crate) fn with_further(self, further: &[(&str, &str)]) -> Self {
        let further = further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { further, ..self }
    }

    /// Where it is kept.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// `permitd` on this place.
    pub(crate) fn command(&self, failpoints: &str) -> Command {
        self.command_of(0, failpoints)
    }

    /// The same on a machine of its own: what it keeps in files is another's.
    pub(crate) fn command_of(&self, machine: usize, failpoints: &str) -> Command {
        let mut command = support::permitd();
        command
            .envs(self.place.environment())
            .env("PERMITD_DATA", self.data(machine))
            .env("PERMITD_LISTEN", "127.0.0.1:0")
            .env("PERMITD_OPS_LISTEN", "127.0.0.1:0")
            .env("PERMITD_HTTP_WORKERS", "2")
            // Within what a machine for tests lets a process open: more of them is a warning at each start.
            .env("PERMITD_HTTP_CONNECTIONS_MAX", "1000")
            .env("PERMITD_QUEUE_VISIBILITY_S", self.policy.visibility_s.to_string())
            .env("PERMITD_QUEUE_RECEIVES_MAX", self.policy.receives_max.to_string())
            .env("PERMITD_QUEUE_RETENTION_DAYS", self.policy.retention_days.to_string())
            .env("PERMITD_QUEUE_POLL_INTERVAL_MS", "20")
            // An emulator does not notice that whoever waits for messages has died, and gives it one all the same.
            .env("PERMITD_QUEUE_WAIT_S", "1")
            // A busy machine is no reason for a 503.
            .env("PERMITD_ACTORS_SEND_TIMEOUT_MS", "60000")
            .env("PERMITD_RECORDS_FIND_TIMEOUT_MS", "60000")
            .env("PERMITD_RELAY_SWEEP_INTERVAL_MS", "50")
            .env("PERMITD_LOG_FILTER", "warn")
            .env("FAILPOINTS", failpoints)
            .envs(self.further.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The administrator's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Lets the time pass for which an import that died keeps others away.
    pub(crate) async fn let_leases_end(&self) {
        self.place.let_leases_end().await;
    }

    fn data(&self, machine: usize) -> PathBuf {
        if machine == 0 { self.place.data() } else { self.place.folder().join(format!("data-{machine}")) }
    }

    fn launch(&self, machine: usize, failpoints: &str) -> (support::Process, Value) {
        let start = |failpoints: &str| {
            let mut command = self.command_of(machine, failpoints);
            let find = |line: &str| serde_json::from_str::<Value>(line).ok();
            support::Process::try_start(command.args(["serve", "--json"]), find)
        };
        // What comes once more of a step that somebody died of before may lead to the failpoint before the node is ready.
        let early_deaths_max = if failpoints.is_empty() { 0 } else { EARLY_DEATHS_MAX };
        let launched = (0..early_deaths_max).find_map(|_| start(failpoints).ok());
        launched.unwrap_or_else(|| {
            if early_deaths_max > 0 {
                // One that dies at every such step never gets past it. A node is ready when it has done what was left behind.
                drop(start("").unwrap_or_else(|error| panic!("machine {machine} is not ready without: {error}")));
            }
            start(failpoints).unwrap_or_else(|error| panic!("machine {machine} is not ready: {error}"))
        })
    }

    /// Serves; dies at the failpoints.
    pub(crate) fn serve(&self, failpoints: &str) -> Serving {
        self.serve_on(0, failpoints)
    }

    /// The same on one of several machines.
    pub(crate) fn serve_on(&self, machine: usize, failpoints: &str) -> Serving {
        let (process, ready) = self.launch(machine, failpoints);
        Serving { process, url: ready["url"].as_str().expect("an address").to_owned() }
    }

    /// A request of the administrator; the process may die over it.
    pub(crate) async fn admin(
        &self,
        serving: &Serving,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), reqwest::Error> {
        self.with_token(serving, method, path, (&self.token, key), body).await
    }

    /// A request with a token, if it is not empty, and an idempotency key, if it is not.
    pub(crate) async fn with_token(
        &self,
        serving: &Serving,
        method: Method,
        path: &str,
        (token, key): (&str, &str),
        body: Option<Value>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", serving.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub(crate) async fn invite(&self, serving: &Serving, address: &str) -> Result<String, reqwest::Error> {
        let body = json!({ "email": address });
        let (status, user) = self.admin(serving, Method::POST, "/users", address, Some(body)).await?;
        assert_eq!(status, 201, "{user}");
        Ok(user["id"].as_str().expect("an id").to_owned())
    }

    pub(crate) async fn delete(&self, serving: &Serving, user: &str) -> Result<(), reqwest::Error> {
        let path = format!("/users/{user}");
        let (status, answer) = self.admin(serving, Method::DELETE, &path, &format!("delete-{user}"), None).await?;
        assert!((200..300).contains(&status), "{status} {answer}");
        Ok(())
    }

    /// Reports a text that holds keys; the process may die over it.
    pub(crate) async fn report_leak(&self, serving: &Serving, text: &str) -> Result<u16, reqwest::Error> {
        let request = self.client.post(format!("{}/leaks", serving.url)).header("content-type", "text/plain");
        Ok(request.body(text.to_owned()).send().await?.status().as_u16())
    }

    /// A request with a key; its status.
    pub(crate) async fn read(&self, serving: &Serving, path: &str, key: &str) -> Result<u16, reqwest::Error> {
        self.get(serving, path, key).await.map(|(status, _)| status)
    }

    /// The same with the answer's body.
    pub(crate) async fn get(&self, serving: &Serving, path: &str, key: &str) -> Result<(u16, String), reqwest::Error> {
        let request = self.client.get(format!("{}{path}", serving.url)).header("x-api-key", key);
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }

    /// Whether a key is admitted, whatever it is told then.
    pub(crate) async fn admits(&self, serving: &Serving, key: &str) -> bool {
        let status = std::cell::Cell::new(0);
        // A node that has just started may still be copying the records.
        let is_judged = async || {
            status.set(self.read(serving, "/permits?limit=1", key).await.unwrap());
            status.get() != 503
        };
        self.until("a node that has copied the records", is_judged).await;
        assert!([200, 401, 429].contains(&status.get()), "{}", status.get());
        status.get() != 401
    }

    /// The keys in the mails to an address, oldest first on each machine.
    pub(crate) fn mailed(&self, address: &str) -> Vec<String> {
        self.mails().into_iter().filter(|mail| mail.to == address).filter_map(|mail| mail.key).collect()
    }

    /// All mails, oldest first on each machine.
    pub(crate) fn mails(&self) -> Vec<app::Mail> {
        let outboxes =
            (0..MACHINES_MAX).filter_map(|machine| std::fs::read_dir(self.data(machine).join("outbox")).ok());
        let mut files: Vec<PathBuf> = outboxes.flatten().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files.iter().filter_map(|path| app::read_mail(path)).collect()
    }

    /// Looks until it is so.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until the process has killed itself.
    pub(crate) async fn dies(&self, serving: &mut Serving) {
        self.until("the process to die", async || serving.process.has_ended()).await;
    }

    /// Waits until the key that somebody was invited to has been mailed.
    pub(crate) async fn settled(&self, serving: &Serving, user: &str, address: &str) {
        self.until(&format!("the key of {address}"), async || {
            let keys = self.keys(serving, user).await;
            keys.iter().any(|key| !key["mailed_at"].is_null())
        })
        .await;
    }

    pub(crate) async fn keys(&self, serving: &Serving, user: &str) -> Vec<Value> {
        let path = format!("/users/{user}/keys");
        let (status, keys) = self.admin(serving, Method::GET, &path, "", None).await.unwrap();
        assert_eq!(status, 200, "{keys}");
        keys["data"].as_array().expect("a list").clone()
    }

    /// What must hold for somebody who was invited, whatever happened.
    pub(crate) async fn check_invited(&self, serving: &Serving, user: &str, address: &str) -> String {
        self.settled(serving, user, address).await;
        let keys = self.keys(serving, user).await;
        let active: Vec<_> = keys.iter().filter(|key| key["revoked_at"].is_null()).collect();
        assert_eq!(active.len(), 1, "one active key: {keys:?}");
        let mailed = self.mailed(address);
        let distinct: BTreeSet<&String> = mailed.iter().collect();
        assert_eq!(distinct.len(), 1, "at least one mail, the same key in all: {} mails", mailed.len());
        let key = mailed[0].clone();
        assert!(key.contains(active[0]["id"].as_str().expect("an id")), "the mailed key is the active one");
        assert!(self.admits(serving, &key).await);
        key
    }

    /// What must hold for somebody who was deleted.
    pub(crate) async fn check_deleted(&self, serving: &Serving, user: &str, address: &str) {
        for key in self.mailed(address) {
            assert!(!self.admits(serving, &key).await, "a key of a deleted person is admitted");
        }
        self.until(&format!("the revocation of the keys of {user}"), async || {
            self.keys(serving, user).await.iter().all(|key| !key["revoked_at"].is_null())
        })
        .await;
    }

    /// Runs a command to its end; whether it ended well, and what it printed.
    pub(crate) fn run(&self, failpoints: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command(failpoints);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = child.spawn().expect("permitd").wait_with_output().expect("an end");
        let mut text = String::new();
        output.stdout.as_slice().read_to_string(&mut text).unwrap();
        output.stderr.as_slice().read_to_string(&mut text).unwrap();
        (output.status.success(), text)
    }

    /// `permitd events verify` finds no difference.
    pub(crate) fn verify(&self) {
        let (well, text) = self.run("", &["events", "verify"]);
        assert!(well, "{text}");
    }

    /// Imports `rows` rows of the sample.
    pub(crate) fn sample(&self, rows: u64) -> PathBuf {
        let file = self.place.folder().join(format!("sample-{rows}.csv"));
        let name = file.to_str().unwrap();
        let (well, text) = self.run("", &["sample", "--rows", &rows.to_string(), "--seed", "1", "-o", name]);
        assert!(well, "{text}");
        file
    }

    pub(crate) fn import(&self, failpoints: &str, rows: u64) -> (bool, String) {
        let file = self.sample(rows);
        self.run(failpoints, &["import", file.to_str().unwrap(), "--dataset", "permits"])
    }
}
