//! A copy of a deployment as it was, made while a server runs, by a process that may die at each step.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, Serving},
    support::{self, Process},
};

const ANA: &str = "ana@example.org";
const EVE: &str = "eve@example.org";

/// A deployment as it was at a moment, and what has happened to it since.
struct Story {
    deployment: Deployment,
    serving: Serving,
    /// The moment: after the first two people, twenty records and three requests of Ana.
    at: String,
    ana: String,
    eve: String,
    key: String,
}

async fn story() -> Story {
    let deployment = Deployment::new().await;
    let (well, text) = deployment.import("", 20);
    assert!(well, "{text}");
    let serving = deployment.serve("");
    let ana = deployment.invite(&serving, ANA).await.unwrap();
    let eve = deployment.invite(&serving, EVE).await.unwrap();
    let key = deployment.check_invited(&serving, &ana, ANA).await;
    deployment.check_invited(&serving, &eve, EVE).await;
    let at = jiff::Timestamp::now().to_string();

    // What comes later is not of that moment.
    let body = json!({ "email": "bob@example.org" });
    let (status, _) = deployment.admin(&serving, Method::POST, "/users", "bob", Some(body)).await.unwrap();
    assert_eq!(status, 201);
    deployment.delete(&serving, &eve).await.unwrap();
    let (status, keys) =
        deployment.admin(&serving, Method::GET, &format!("/users/{ana}/keys"), "", None).await.unwrap();
    let id = keys["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(status, 200, "{keys}");
    let path = format!("/users/{ana}/keys/{id}");
    let (status, answer) = deployment.admin(&serving, Method::DELETE, &path, "", None).await.unwrap();
    assert!((200..300).contains(&status), "{answer}");
    let file = deployment.sample(12);
    let name = file.to_str().unwrap();
    let (well, text) = deployment.run("", &["import", name, "--dataset", "permits", "--replace", "--yes"]);
    assert!(well, "{text}");
    Story { deployment, serving, at, ana, eve, key }
}

impl Story {
    fn beside(&self, name: &str) -> PathBuf {
        self.deployment.place().folder().join(name)
    }

    fn copy(&self, failpoints: &str, into: &Path) -> (bool, String) {
        let into = into.to_str().unwrap();
        self.deployment.run(failpoints, &["events", "replay", "--as-of", &self.at, "--into", into, "--json"])
    }
}

/// Serves a copy; gives the process, and what it said.
fn show(data: &Path) -> (Process, Value) {
    let mut command = support::permitd();
    command.args([
        "serve",
        "--read-only",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
        "--data",
    ]);
    command.arg(data).env("PERMITD_LOG_FILTER", "warn");
    Process::start(&mut command, |line| serde_json::from_str::<Value>(line).ok())
}

/// Runs the program on a copy; whether it ended well, and what it printed.
fn on(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = support::permitd();
    let output = command.arg("--data").arg(data).args(arguments).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), text)
}

/// What must hold of the copy.
async fn check(story: &Story, data: &Path) {
    for absent in ["secret.json", "outbox", "imports", ".replicas"] {
        assert!(!data.join(absent).exists(), "{absent}");
    }
    let (code, text) = on(data, &["events", "verify"]);
    assert!(code == Some(0) && text.contains("no differences"), "{text}");
    let (_process, ready) = show(data);
    assert!(ready["copy"]["as_of"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() <= story.at.parse().unwrap());
    let url = ready["url"].as_str().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str, header: (&str, &str)| {
        let answer = client.get(format!("{url}{path}")).header(header.0, header.1).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap_or_default())
    };
    // Her key was in force, and there were twenty records. It was used once, when it was seen to be admitted.
    let (status, headers, page) = get("/permits?count=exact&limit=1", ("x-api-key", &story.key)).await;
    assert_eq!((status, &page["page"]["count"]), (200, &json!(20)), "{page}");
    assert_eq!(page["dataset"]["version"], 1, "{page}");
    let limits = headers["ratelimit"].to_str().unwrap();
    let left: u64 = limits.split("\"daily\";r=").nth(1).unwrap().split([';', ',']).next().unwrap().parse().unwrap();
    assert!((990..999).contains(&left), "the day's consumption of then, and this request: {limits}");
    let bearer = format!("Bearer {}", ready["admin_token"].as_str().unwrap());
    let admin = async |path: &str| get(path, ("authorization", &bearer)).await.2;
    let users = admin("/users").await;
    let people: Vec<&str> = users["data"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    assert!(people.len() == 2 && people.contains(&story.ana.as_str()), "Bob came later: {users}");
    let ana = admin(&format!("/users/{}", story.ana)).await;
    assert_eq!((&ana["email"], &ana["status"]), (&json!(ANA), &json!("active")), "{ana}");
    // Who was erased since stays so, though the log of then has her.
    let eve = admin(&format!("/users/{}", story.eve)).await;
    assert!(eve["email"].is_null() && eve["name"].is_null(), "{eve}");
    let events = admin("/events?limit=1000").await.to_string();
    assert!(!events.contains("UserDeleted") && !events.contains("ApiKeyRevoked"), "{events}");
}

#[tokio::test]
async fn a_copy_made_beside_a_server_shows_what_was() {
    let story = story().await;
    let into = story.beside("copy");
    let (well, text) = story.copy("", &into);
    assert!(well, "{text}");
    let mark: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(mark["datasets"], json!([{ "name": "permits", "version": 1, "records": 20 }]), "{mark}");
    assert_eq!(mark["left_out"], json!([]));
    check(&story, &into).await;
    // The same program makes the same of the log; the copy lacks what came later.
    let (well, text) = story.deployment.run("", &["events", "verify", "--with", env!("CARGO_BIN_EXE_permitd")]);
    assert!(well && text.contains("no differences"), "{text}");
    let (well, text) = story.deployment.run("", &["events", "verify", "--with", into.to_str().unwrap()]);
    assert!(!well && text.contains(&format!("users {}, status", story.eve)), "{text}");

    // It is shown, and nothing else.
    for refused in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["invite", "dan@example.org"],
        &["plans", "set", "gold"],
        &["events", "replay"],
        &["secret", "replace", "--yes"],
        &["import", "nothing.csv", "--dataset", "permits"],
        &["backup", "elsewhere"],
        &["events", "replay", "--as-of", "position:1", "--into", "elsewhere"],
    ] {
        let (code, text) = on(&into, refused);
        assert!(matches!(code, Some(2..=4)), "{refused:?}: {code:?} {text}");
    }
    let (code, text) = on(&into, &["users", "list"]);
    assert!(code == Some(0) && text.contains(ANA), "{text}");
    // No other copy is made over it.
    let (well, text) = story.copy("", &into);
    assert!(!well && text.contains("is not empty"), "{text}");

    // Records that are not held any more are told, and left out; the deployment goes on.
    let (well, text) = story.deployment.run("", &["datasets", "remove", "permits", "--yes"]);
    assert!(well, "{text}");
    let into = story.beside("without");
    let (well, text) = story.copy("", &into);
    assert!(well, "{text}");
    let mark: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&mark["datasets"], &mark["left_out"][0]["name"]), (&json!([]), &json!("permits")), "{mark}");
    assert_eq!(story.deployment.read(&story.serving, "/health", "").await.unwrap(), 404, "the server goes on");
}

#[tokio::test]
async fn a_copy_that_was_killed_is_unfinished_and_is_made_again() {
    let story = story().await;
    let into = story.beside("copy");
    for point in ["copy-begun", "copy-before-views", "replay-before-switch", "copy-records", "copy-before-whole"] {
        let (well, text) = story.copy(&format!("{point}=return"), &into);
        assert!(!well, "{point}: it was killed: {text}");
        for arguments in [&["serve", "--read-only", "--listen", "127.0.0.1:0"][..], &["users", "list"]] {
            let (code, text) = on(&into, arguments);
            assert!(code == Some(4) && text.contains("unfinished copy"), "{point}: {code:?} {text}");
        }
    }
    let (well, text) = story.copy("", &into);
    assert!(well, "{text}");
    check(&story, &into).await;
}
