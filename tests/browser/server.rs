//! A server for stories, and what its administrator arranges by the API.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{self, Process};

/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What somebody types as their password.
pub(crate) const PASSWORD: &str = "a sentence that nobody guesses";

/// A data set that is there when the server starts: its definition and its file.
pub(crate) struct Table<'a> {
    pub(crate) definition: &'a str,
    pub(crate) file: &'a str,
}

/// A server of a new data directory with fifty records.
pub(crate) struct Server {
    // It ends before its folder goes.
    _process: Process,
    pub(crate) folder: tempfile::TempDir,
    ready: Value,
    pub(crate) client: reqwest::Client,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::listening("127.0.0.1:0", &[])
    }

    pub(crate) fn listening(listen: &str, variables: &[(&str, &str)]) -> Self {
        Self::holding(&[], listen, variables)
    }

    /// One that has these data sets beside the fifty records.
    pub(crate) fn with(tables: &[Table<'_>], variables: &[(&str, &str)]) -> Self {
        Self::holding(tables, "127.0.0.1:0", variables)
    }

    /// One without any records.
    pub(crate) fn empty() -> Self {
        Self::of(&[], "127.0.0.1:0", &[], 0)
    }

    fn holding(tables: &[Table<'_>], listen: &str, variables: &[(&str, &str)]) -> Self {
        Self::of(tables, listen, variables, 50)
    }

    fn of(tables: &[Table<'_>], listen: &str, variables: &[(&str, &str)], permits: usize) -> Self {
        let folder = support::data_dir();
        let permitd = |arguments: &[&str]| {
            let mut command = support::permitd();
            command.current_dir(folder.path()).env("PERMITD_DATA", "data").env("PERMITD_LOG_FILTER", "error");
            command.env("PERMITD_QUEUE_RECEIVES_MAX", "1").args(arguments);
            command
        };
        let done = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        if permits > 0 {
            done(&mut permitd(&["sample", "--rows", &permits.to_string(), "-o", "december.csv"]));
            done(&mut permitd(&["import", "december.csv", "--dataset", "permits"]));
        }
        for (nth, table) in tables.iter().enumerate() {
            let (definition, file) = (format!("table-{nth}.toml"), format!("table-{nth}.csv"));
            std::fs::write(folder.path().join(&definition), table.definition).unwrap();
            std::fs::write(folder.path().join(&file), table.file).unwrap();
            done(&mut permitd(&["import", &file, "--definition", &definition]));
        }
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

    /// Another key of somebody.
    pub(crate) async fn key_of(&self, user: &str) -> String {
        let key = self.send(Method::POST, &format!("/users/{user}/keys"), &json!({})).await;
        key["key"].as_str().unwrap().to_owned()
    }

    /// Imports a file of values with commas, and waits until nothing further happens to it.
    pub(crate) async fn import(&self, dataset: &str, file: &str) -> Value {
        self.import_as("file.csv", dataset, file).await
    }

    /// The same of a file of this name.
    pub(crate) async fn import_as(&self, name: &str, dataset: &str, file: &str) -> Value {
        let url = format!("{}/imports?dataset={dataset}&mode=replace&filename={name}", self.told("url"));
        let request = self.client.post(url).bearer_auth(self.told("admin_token")).header("content-type", "text/csv");
        let begun = request.body(file.to_owned()).send().await.unwrap().error_for_status().unwrap();
        let begun: Value = begun.json().await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let path = format!("/imports/{}", begun["id"].as_str().unwrap());
            let shown = self.send(Method::GET, &path, &Value::Null).await;
            if !["uploading", "reading", "committing"].contains(&shown["status"].as_str().unwrap()) {
                return shown;
            }
            assert!(Instant::now() < deadline, "the import does not end: {shown}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// What the API answers the administrator. Nothing is sent for `null`.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.told("url")));
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.bearer_auth(self.told("admin_token")).send().await.unwrap();
        let answer = answer.error_for_status().unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// A file of this name on the disk of whoever uses the browser.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Invites somebody who has set [`PASSWORD`]; returns their id.
    pub(crate) async fn member(&self, body: &Value) -> String {
        let user = self.invite(body).await;
        let link = self.link(body["email"].as_str().unwrap()).await;
        let request = self.client.post(link).json(&json!({ "password": PASSWORD }));
        request.send().await.unwrap().error_for_status().unwrap();
        user
    }

    /// Invites somebody; returns their id.
    pub(crate) async fn invite(&self, body: &Value) -> String {
        self.send(Method::POST, "/users", body).await["id"].as_str().unwrap().to_owned()
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
