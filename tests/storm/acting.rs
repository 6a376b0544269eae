//! Carrying out what the script says: requests over HTTP, and the program run beside the server.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    living::Storm,
    memory::{Answer, Reading, Request},
    script::{Act, Step},
};

/// A record that every file has, and every key may read.
const RECORD: &str = "/permits/201612013997";
const DAY_S: i64 = 86_400;
/// How long a client waits when it was not answered.
const AFTER_SILENCE: Duration = Duration::from_millis(10);
/// The default of `records.export_cost`.
const EXPORT_COST: u64 = 10;

fn day() -> i64 {
    Timestamp::now().as_second().div_euclid(DAY_S)
}

/// A command without who gives it.
struct Order {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Storm {
    /// What one client does during a life.
    pub(crate) async fn act(&self, life: u64, client: usize, nodes: &[String]) {
        let mut chances = self.script.borrow().chances(life, client);
        while !self.is_over.get() {
            let step = self.script.borrow_mut().step(life, client, &mut chances, &self.memory.borrow());
            let Some(step) = step else { return };
            // The traces of two runs differ in this alone, which no check minds.
            let node = &nodes[chances.place(nodes.len())];
            self.take(node, step).await;
            tokio::task::yield_now().await;
        }
    }

    async fn take(&self, url: &str, step: Step) {
        match step.act {
            Act::Read { key } => self.read(url, key, RECORD, 1).await,
            Act::Page { key } => self.read(url, key, "/permits?limit=3", 1).await,
            Act::Export { key } => self.read(url, key, "/permits?format=ndjson", EXPORT_COST).await,
            Act::Look { person } => self.look_at(url, person).await,
            Act::Import { rows, killed_after_ms, failpoint } => self.import(rows, killed_after_ms, failpoint).await,
            Act::Rebuild { dies } => self.rebuild(dies).await,
            Act::Pause { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Act::Repeat { request } => self.repeat(url, request).await,
            command => {
                let order = self.order(&command);
                if let Some(order) = order {
                    self.give(url, order, step.key).await;
                }
            }
        }
    }

    /// The request that a command is; none when it is about nobody yet.
    fn order(&self, act: &Act) -> Option<Order> {
        let memory = self.memory.borrow();
        let person = |at: usize| Some(&memory.people.get(at % memory.people.len().max(1))?.id);
        let key = |at: usize| memory.keys.get(at % memory.keys.len().max(1));
        let order = |method, path: String, body: Value| {
            // Fields that say nothing are left out.
            let body = match body {
                Value::Object(mut fields) => {
                    fields.retain(|_, value| !value.is_null());
                    Value::Object(fields)
                }
                other => other,
            };
            Some(Order { method, path, body: (!body.is_null()).then_some(body) })
        };
        match act {
            Act::Invite { address, plan } => {
                order(Method::POST, "/users".to_owned(), json!({ "email": address_of(*address), "plan": plan }))
            }
            Act::Resend { person: at } => {
                order(Method::POST, format!("/users/{}/invitations", person(*at)?), Value::Null)
            }
            Act::Change { person: at, status, role, plan } => order(
                Method::PATCH,
                format!("/users/{}", person(*at)?),
                json!({ "status": status, "role": role, "plan": plan }),
            ),
            Act::Delete { person: at } => order(Method::DELETE, format!("/users/{}", person(*at)?), Value::Null),
            Act::Issue { person: at, label } => {
                order(Method::POST, format!("/users/{}/keys", person(*at)?), json!({ "label": label }))
            }
            Act::Rotate { key: at, grace_s } => {
                let key = key(*at)?;
                let path = format!("/users/{}/keys/{}/rotate", key.owner, key.id);
                order(Method::POST, path, json!({ "grace_s": grace_s }))
            }
            Act::Revoke { key: at } => {
                let key = key(*at)?;
                order(Method::DELETE, format!("/users/{}/keys/{}", key.owner, key.id), Value::Null)
            }
            Act::Define { plan, quota_per_day } => order(
                Method::PUT,
                format!("/plans/{plan}"),
                json!({ "rate_per_s": 500, "burst": 200, "quota_per_day": quota_per_day }),
            ),
            Act::Retire { plan } => order(Method::DELETE, format!("/plans/{plan}"), Value::Null),
            other => panic!("{other:?} is no command"),
        }
    }

    async fn repeat(&self, url: &str, at: usize) {
        let earlier = {
            let memory = self.memory.borrow();
            memory.requests.get(at % memory.requests.len().max(1)).cloned()
        };
        // Without a key it would be another command.
        let Some(Request { method, path, body, key: Some(key), .. }) = earlier else { return };
        self.give(url, Order { method, path, body }, Some(key)).await;
    }

    async fn give(&self, url: &str, Order { method, path, body }: Order, key: Option<String>) {
        let number = self.memory.borrow().requests.len();
        let id = id_of(number);
        let mut request = self.client.request(method.clone(), format!("{url}{path}"));
        request = request.bearer_auth(self.deployment.token()).header("x-request-id", id.to_string());
        if let Some(key) = &key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let asked = Request { method, path, body, key, id, sent_at: Instant::now(), answer: None };
        self.memory.borrow_mut().requests.push(asked);
        let answer = answer_to(request).await.map(|(status, text)| {
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Answer { at: Instant::now(), status, body }
        });
        if answer.is_none() {
            // The server has just died, or not begun to answer yet: not many others need to be sent in vain.
            tokio::time::sleep(AFTER_SILENCE).await;
        }
        let mut memory = self.memory.borrow_mut();
        memory.requests[number].answer = answer;
        memory.learn(number);
        let request = &memory.requests[number];
        self.script.borrow_mut().answered(number, request.sent(), request.answered());
    }

    async fn read(&self, url: &str, at: usize, path: &str, cost: u64) {
        let key = {
            let memory = self.memory.borrow();
            memory.keys.get(at % memory.keys.len().max(1)).cloned()
        };
        if let Some(key) = key {
            self.read_with(url, &key.id, &key.text, path, cost).await;
        }
    }

    /// Reads with a key and remembers that; the status and the answer, if there was one.
    pub(crate) async fn read_with(
        &self,
        url: &str,
        id: &str,
        text: &str,
        path: &str,
        cost: u64,
    ) -> Option<(u16, String)> {
        let (sent_at, first_day) = (Instant::now(), day());
        let answered = answer_to(self.client.get(format!("{url}{path}")).header("x-api-key", text)).await;
        let (status, body) = answered?;
        let known = [200, 401, 404, 429, 503].contains(&status);
        assert!(known, "GET {path} with the key {id}: {status} {body}");
        let days = (first_day, day());
        let reading = Reading { key: id.to_owned(), sent_at, days, status, cost, path: path.to_owned() };
        self.memory.borrow_mut().readings.push(reading);
        Some((status, body))
    }

    async fn look_at(&self, url: &str, at: usize) {
        let person = {
            let memory = self.memory.borrow();
            memory.people.get(at % memory.people.len().max(1)).cloned()
        };
        let Some(person) = person else { return };
        for path in [format!("/users/{}", person.id), format!("/users/{}/keys", person.id), "/plans".to_owned()] {
            let request = self.client.get(format!("{url}{path}")).bearer_auth(self.deployment.token());
            let Some((status, body)) = answer_to(request).await else { return };
            assert!([200, 429, 503].contains(&status), "GET {path}: {status} {body}");
        }
    }

    async fn import(&self, rows: u64, killed_after_ms: Option<u64>, failpoint: Option<String>) {
        let file = &self.files[&rows];
        let failpoints = failpoint.map(|name| format!("{name}=return")).unwrap_or_default();
        let arguments = ["import", file.to_str().unwrap(), "--dataset", "permits", "--replace", "--yes", "--json"];
        let Some((well, out)) = self.run(&failpoints, &arguments, killed_after_ms).await else { return };
        if well {
            let summary: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
            let id = summary["import"].as_str().expect("an import's id").to_owned();
            self.memory.borrow_mut().imported.insert(id, rows);
        }
    }

    async fn rebuild(&self, dies: bool) {
        let failpoints = if dies { "replay-before-switch=return" } else { "" };
        if let Some((well, out)) = self.run(failpoints, &["events", "replay", "--json"], None).await {
            assert!(well || dies, "a rebuild beside a server fails: {out}");
        }
    }

    /// Runs the program beside the server; whether it ended well, and its standard output. None when it was killed from outside.
    async fn run(&self, failpoints: &str, arguments: &[&str], killed_after_ms: Option<u64>) -> Option<(bool, String)> {
        let mut command = self.deployment.command(failpoints);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("permitd");
        if let Some(ms) = killed_after_ms {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            child.kill().expect("the process can be killed");
        }
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let out = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        killed_after_ms.is_none().then(|| (ended.status.success(), out))
    }
}

pub(crate) fn address_of(number: usize) -> String {
    format!("user{number}@storm.example")
}

/// The name of a request.
fn id_of(number: usize) -> Uuid {
    let mut bytes = *b"storm\0\0\0\0\0\0\0\0\0\0\0";
    bytes[8..].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    Uuid::new_v8(bytes)
}

/// The status and the whole body; none when the server died over it.
pub(crate) async fn answer_to(request: reqwest::RequestBuilder) -> Option<(u16, String)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.text().await.ok()?))
}
