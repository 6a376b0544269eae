//! A server for stories, and what its administrator arranges by the API.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::support::{self, Process};

/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A server of a new data directory with fifty records.
pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    _process: Process,
    ready: Value,
    pub(crate) client: reqwest::Client,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::listening("127.0.0.1:0", &[])
    }

    pub(crate) fn listening(listen: &str, variables: &[(&str, &str)]) -> Self {
        let folder = support::data_dir();
        let permitd = |arguments: &[&str]| {
            let mut command = support::permitd();
            command.current_dir(folder.path()).env("PERMITD_DATA", "data").env("PERMITD_LOG_FILTER", "error");
            command.env("PERMITD_QUEUE_RECEIVES_MAX", "1").args(arguments);
            command
        };
        let done = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
        done(&mut permitd(&["sample", "--rows", "50", "-o", "december.csv"]));
        done(&mut permitd(&["import", "december.csv", "--dataset", "permits"]));
        let mut serve = permitd(&["serve", "--json", "--listen", listen, "--ops-listen", "127.0.0.1:0"]);
        // A password's hash gives way to everything else on a busy machine.
        serve.env("PERMITD_ACCOUNTS_ARGON2_MEMORY_KIB", "16").env("PERMITD_ACCOUNTS_ARGON2_ITERATIONS", "1");
        serve.envs(variables.iter().copied());
        let (process, ready) = Process::start(&mut serve, |line| serde_json::from_str::<Value>(line).ok());
        // Between two requests a story waits for its browser, and does not see that the server has closed a connection.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(PATIENCE).build().unwrap();
        Self { folder, _process: process, ready, client }
    }

    pub(crate) fn told(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    pub(crate) async fn status(&self, path: &str, key: &str) -> u16 {
        let request = self.client.get(format!("{}{path}", self.told("url"))).header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    }

    /// A key of somebody who is invited for it.
    pub(crate) async fn key(&self) -> String {
        let post = async |path: &str, body: Value| -> Value {
            let request = self.client.post(format!("{}{path}", self.told("url"))).bearer_auth(self.told("admin_token"));
            request.json(&body).send().await.unwrap().json().await.unwrap()
        };
        let user = post("/users", serde_json::json!({ "email": "ida@example.org" })).await;
        let key = post(&format!("/users/{}/keys", user["id"].as_str().unwrap()), serde_json::json!({})).await;
        key["key"].as_str().unwrap().to_owned()
    }

    /// What the API answers the administrator.
    pub(crate) async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.told("url"))).json(body);
        let answer = request.bearer_auth(self.told("admin_token")).send().await.unwrap();
        let answer = answer.error_for_status().unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Invites somebody; returns their id.
    pub(crate) async fn invite(&self, body: &Value) -> String {
        self.send(reqwest::Method::POST, "/users", body).await["id"].as_str().unwrap().to_owned()
    }

    /// The newest mail to somebody that has this text in it, once it is there.
    pub(crate) async fn mail(&self, email: &str, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let to = format!("To: {email}");
        loop {
            let files = std::fs::read_dir(self.folder.path().join("data/outbox")).into_iter().flatten();
            let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
            paths.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
            paths.sort();
            let mut mails = paths.iter().rev().filter_map(|path| std::fs::read_to_string(path).ok());
            if let Some(mail) = mails.find(|mail| mail.contains(&to) && mail.contains(wanted)) {
                return mail;
            }
            assert!(Instant::now() < deadline, "waited in vain for a mail to {email} with {wanted}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// The link in the newest mail to somebody.
    pub(crate) async fn link(&self, email: &str) -> String {
        let mail = self.mail(email, "/links/").await;
        let from = mail.find("/links/").unwrap();
        let path: String = mail[from..].chars().take_while(|c| !c.is_whitespace() && !"\"<>)".contains(*c)).collect();
        format!("{}{path}", self.told("url"))
    }
}
