//! `permitd move`, out of AWS into a data directory and on into other tables, by processes that die at each step.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    app,
    deployment::{Deployment, PATIENCE},
    support::Process,
};

const ANA: &str = "ana@example.org";
const BEN: &str = "ben@example.org";
const EVE: &str = "eve@example.org";
const OLD: &str = "old@example.org";
/// Where a move may die, in the order of its steps.
const POINTS: [&str; 11] = [
    "move-closed",
    "move-log-batch",
    "move-log-written",
    "move-step",
    "move-secret-kept",
    "move-ledger-page",
    "move-views-made",
    "move-records-moved",
    "move-compared",
    "move-before-open",
    "move-opened",
];
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A side of a move: variables that differ from the deployment's.
#[derive(Clone)]
struct Side<'a> {
    of: &'a Deployment,
    further: BTreeMap<&'static str, String>,
    data: PathBuf,
    /// The administrator's.
    token: String,
}

struct Served {
    process: Process,
    url: String,
    ops: String,
    client: Client,
    token: String,
}

impl<'a> Side<'a> {
    fn of(of: &'a Deployment, backend: &str, prefix: &str, data: &str) -> Self {
        let data = of.place().folder().join(data);
        let further = [
            ("PERMITD_BACKEND", backend.to_owned()),
            ("PERMITD_AWS_PREFIX", prefix.to_owned()),
            ("PERMITD_DATA", data.display().to_string()),
        ];
        Self { of, further: further.into(), data, token: of.token().to_owned() }
    }

    fn backend(&self) -> &str {
        &self.further["PERMITD_BACKEND"]
    }

    /// Makes room for a move to this side.
    fn prepare(&self, to: &Self) {
        if to.backend() == "aws" {
            to.done(&["aws", "setup"]);
        }
    }

    fn command(&self, failpoints: &str) -> Command {
        let mut command = self.of.command(failpoints);
        command.envs(&self.further).current_dir(self.of.place().folder());
        command
    }

    /// Runs the program; whether it ended well, and what it printed.
    fn run(&self, failpoints: &str, arguments: &[&str]) -> (bool, String) {
        let output = self.command(failpoints).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (well, text) = self.run("", arguments);
        assert!(well, "{arguments:?}: {text}");
        text
    }

    fn refused(&self, arguments: &[&str], says: &str) {
        let (well, text) = self.run("", arguments);
        assert!(!well && text.contains(says), "{arguments:?}: {text}");
    }

    /// The commits of its log, as a file of `events export` has them.
    fn commits(&self, name: &str) -> Vec<String> {
        self.done(&["events", "export", name]);
        let text = zstd::decode_all(fs::File::open(self.of.place().folder().join(name)).unwrap()).unwrap();
        let text = String::from_utf8(text).unwrap();
        // Whether its messages were sent is no part of a commit: the new side sends again what may be owed.
        let commits = text.lines().filter(|line| line.starts_with("{\"commit\""));
        commits.map(|line| line.replace("\"unpublished\":true,", "")).collect()
    }

    fn serve(&self, failpoints: &str) -> Served {
        let mut program = self.command(failpoints);
        program.args(["serve", "--json"]);
        let (process, ready) = Process::start(&mut program, |line| serde_json::from_str::<Value>(line).ok());
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        let ops = ready["ops_url"].as_str().unwrap().to_owned();
        Served { process, url, ops, client, token: self.token.clone() }
    }

    /// The keys in the mails that this side sent to an address.
    fn mailed(&self, address: &str) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.data.join("outbox")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        let mails = files.iter().filter_map(|path| app::read_mail(path)).filter(|mail| mail.to == address);
        mails.filter_map(|mail| mail.key).collect()
    }

    /// Moves, dying at each step.
    fn move_to(&self, to: &str) {
        let arguments = ["move", "--to", to, "--yes", "--servers-stopped"];
        for point in POINTS {
            let (well, text) = self.run(&format!("{point}=return"), &arguments);
            assert!(!well && text.contains("killed"), "{point}: {text}");
            let (well, told) = self.run("", &["invite", "more@example.org"]);
            assert!(!well && told.contains("is being moved to"), "{point}: {text} {told}");
        }
        self.refused(&["move", "--abandon"], "is open already");
        let text = self.done(&arguments);
        assert!(text.contains("both sides were compared"), "{text}");
        self.refused(&arguments, "was moved at");
        self.refused(&["serve"], "was moved at");
        self.refused(&["events", "seal"], "was moved at");
        self.refused(&["invite", "more@example.org"], "was moved at");
        assert!(self.done(&["events", "list"]).contains("UserInvited"), "what happened can still be read");
    }
}

impl Served {
    async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Option<Value> {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.header("idempotency-key", body.to_string().replace('"', "")).json(&body),
            None => request,
        };
        let response = request.send().await.ok()?;
        let (status, text) = (response.status(), response.text().await.ok()?);
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).ok()
    }

    async fn invite(&self, address: &str) -> Option<String> {
        let user = self.admin(Method::POST, "/users", Some(json!({ "email": address }))).await?;
        Some(user["id"].as_str().unwrap().to_owned())
    }

    async fn usage(&self, user: &str) -> Value {
        self.admin(Method::GET, &format!("/users/{user}/usage"), None).await.unwrap()
    }

    async fn read(&self, key: &str) -> u16 {
        let answer =
            self.client.get(format!("{}/permits?limit=1", self.url)).header("x-api-key", key).send().await.unwrap();
        answer.status().as_u16()
    }

    /// Waits until no message is in the queue.
    async fn is_quiet(&self) {
        let is_empty = async || {
            let metrics = self.client.get(format!("{}/metrics", self.ops)).send().await.unwrap().text().await.unwrap();
            let mut depths = metrics.lines().filter(|line| line.starts_with("permitd_queue_messages{"));
            depths.clone().count() == 2 && depths.all(|line| line.ends_with(" 0"))
        };
        wait("an empty queue", is_empty).await;
    }

    /// Stops it in order.
    async fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        wait("the server to stop", async || self.process.has_ended()).await;
    }

    async fn dies(mut self) {
        wait("the server to die", async || self.process.has_ended()).await;
    }
}

/// Whether a status is that of a key that works, whether the data set is there or not.
fn admits(status: u16) -> bool {
    [200, 404, 410].contains(&status)
}

async fn wait(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// A person, and what must go on for them wherever their deployment is.
struct Reader {
    id: String,
    key: String,
    usage: Value,
    /// Whether there is a checkpoint.
    is_sealed: bool,
    /// What the data answers, by path: the bodies and their tags.
    answers: BTreeMap<String, (String, String)>,
}

/// What readers ask: pages in an order, with the cursor of another side, exports, what changed, and what was.
const QUESTIONS: [&str; 6] = [
    "/permits?limit=7&sort=-estimated_cost",
    "/permits?format=ndjson",
    "/permits/changes?since=1",
    "/permits?as_of=1&limit=3",
    "/permits/201612013997/history",
    "/permits/facets?columns=status",
];

impl Served {
    /// The body and the tag of an answer, once there is one: a node may still be copying the records.
    async fn answer(&self, path: &str, key: &str) -> (String, String) {
        let answer = std::cell::RefCell::new((String::new(), String::new()));
        wait(&format!("an answer to {path}"), async || {
            let request = self.client.get(format!("{}{path}", self.url)).header("x-api-key", key);
            let response = request.send().await.unwrap();
            let (status, tag) = (response.status().as_u16(), response.headers().get("etag").cloned());
            let body = response.text().await.unwrap();
            assert!([200, 503].contains(&status), "{path}: {status} {body}");
            let tag = tag.map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
            *answer.borrow_mut() = (body, tag);
            status == 200
        })
        .await;
        answer.into_inner()
    }

    async fn answers(&self, key: &str) -> BTreeMap<String, (String, String)> {
        let mut answers = BTreeMap::new();
        for path in QUESTIONS {
            answers.insert(path.to_owned(), self.answer(path, key).await);
        }
        let first: Value = serde_json::from_str(&answers[QUESTIONS[0]].0).unwrap();
        let next = format!("{}&cursor={}", QUESTIONS[0], first["page"]["next"].as_str().expect("a next page"));
        answers.insert(next.clone(), self.answer(&next, key).await);
        answers
    }
}

/// Serves a side on which somebody's mail is still owed, checks what must hold after a move, and leaves the mail to `next` owed.
async fn check(side: &Side<'_>, reader: &mut Reader, owed: &str, next: Option<&str>) {
    let text = side.done(&["events", "verify"]);
    assert!(text.contains("no differences"), "{text}");
    if reader.is_sealed {
        let text = side.done(&["events", "prove"]);
        assert!(text.contains("the log is what it was"), "{text}");
    }
    let serving = side.serve("");
    assert_eq!(serving.usage(&reader.id).await, reader.usage, "quotas go on where they were");
    // The cursor of the old side is among the questions.
    for (path, answer) in &reader.answers {
        assert_eq!(&serving.answer(path, &reader.key).await, answer, "{path}");
    }
    wait(&format!("the mail to {owed}"), async || !side.mailed(owed).is_empty()).await;
    let key = side.mailed(owed).pop().unwrap();
    for key in [&reader.key, &key] {
        wait("a key that works", async || admits(serving.read(key).await)).await;
    }
    serving.is_quiet().await;
    assert_eq!(side.mailed(owed).len(), 1, "one mail");
    assert!(side.mailed(ANA).is_empty(), "nobody who had a mail gets another");
    serving.stop().await;
    // A server that is stopped in order gives back what it holds of quotas.
    let serving = side.serve("");
    reader.usage = serving.usage(&reader.id).await;
    serving.stop().await;
    if let Some(next) = next {
        let serving = side.serve("mailer-received=return");
        serving.invite(next).await;
        serving.dies().await;
    }
}

/// Fills a deployment: a reader, somebody erased, somebody whose mail is owed, two versions of a data set, a checkpoint.
async fn filled(here: &Side<'_>) -> Reader {
    let sample = |rows| here.of.sample(rows).to_str().unwrap().to_owned();
    here.done(&["plans", "set", "default", "--rate", "1000", "--burst", "1000", "--quota", "100000"]);
    here.done(&["import", &sample(20), "--dataset", "permits"]);
    here.done(&["import", &sample(12), "--dataset", "permits", "--replace", "--yes"]);
    let serving = here.serve("");
    let id = serving.invite(ANA).await.unwrap();
    let old = serving.invite(OLD).await.unwrap();
    for address in [ANA, OLD] {
        wait("a mail", async || !here.mailed(address).is_empty()).await;
    }
    let key = here.mailed(ANA).pop().unwrap();
    let answers = serving.answers(&key).await;
    let deletion = serving.client.delete(format!("{}/users/{old}", serving.url)).bearer_auth(&serving.token);
    assert!(deletion.send().await.unwrap().status().is_success());
    serving.is_quiet().await;
    serving.stop().await;
    // What was reserved and not spent came back.
    let serving = here.serve("");
    let usage = serving.usage(&id).await;
    assert!(usage["data"][0]["used"].as_u64().unwrap() > 6, "{usage}");
    serving.stop().await;
    // In AWS nothing is settled so soon.
    let is_sealed = here.backend() == "sqlite" && here.done(&["events", "seal"]).contains("checkpoint 1");
    let serving = here.serve("mailer-received=return");
    serving.invite(BEN).await;
    serving.dies().await;
    Reader { id, key, usage, is_sealed, answers }
}

/// Moves from one side to a second, and on to a third. `out` and `on` are the first and second side in settings that name the next one, too.
async fn moved_twice(here: &Side<'_>, out: &Side<'_>, there: &Side<'_>, on: &Side<'_>, back: &Side<'_>) {
    let mut reader = filled(here).await;
    let before = out.commits("before");
    assert!(before.len() > 5);
    out.prepare(there);
    let told = out.done(&["move", "--to", there.backend(), "--dry-run", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let counted = (told["commits"].as_u64(), told["records"].as_u64(), told["versions"].as_u64());
    assert_eq!(counted, (u64::try_from(before.len()).ok(), Some(12), Some(2)), "{told}");
    // Only writing into AWS has a price.
    let cost = told["cost_usd"].as_f64();
    assert_eq!(cost.is_some_and(|cost| cost > 0.0), there.backend() == "aws", "{told}");
    assert_eq!(before, out.commits("rehearsed"), "nothing was changed");
    out.move_to(there.backend());
    assert_eq!(before, out.commits("closed"), "the old side is as it was");
    assert_eq!(before, there.commits("moved"), "byte for byte");
    check(there, &mut reader, BEN, Some(EVE)).await;
    let before = there.commits("before-on");
    on.prepare(back);
    on.move_to(back.backend());
    assert_eq!(before, back.commits("moved-on"), "byte for byte");
    check(back, &mut reader, EVE, None).await;
    assert!(back.done(&["users", "list"]).contains(ANA));
    // What is imported next is the next version.
    let sample = here.of.sample(15).to_str().unwrap().to_owned();
    let imported = back.done(&["import", &sample, "--dataset", "permits", "--replace", "--yes", "--json"]);
    let imported: Value = serde_json::from_str(&imported).unwrap();
    assert_eq!(imported["dataset_version"], 3, "{imported}");
}

#[tokio::test]
async fn a_move_goes_there_and_back_with_deaths_at_every_step_and_nobody_notices() {
    let deployment = Deployment::new().await;
    let prefix = deployment.place().table("").trim_end_matches('-').to_owned();
    let here = Side { data: deployment.place().data(), ..Side::of(&deployment, "aws", &prefix, "data") };
    let out = Side::of(&deployment, "aws", &prefix, "there");
    let there = Side::of(&deployment, "sqlite", &format!("{prefix}-back"), "there");
    let back = Side::of(&deployment, "aws", &format!("{prefix}-back"), "back");
    moved_twice(&here, &out, &there, &there, &back).await;
}

#[tokio::test]
async fn a_data_directory_moves_into_aws_and_back_with_deaths_at_every_step_and_nobody_notices() {
    let deployment = Deployment::new().await;
    let prefix = format!("{}-own", deployment.place().table("").trim_end_matches('-'));
    let mut here = Side::of(&deployment, "sqlite", &prefix, "first");
    let (process, ready) = {
        let mut program = here.command("");
        Process::start(program.args(["serve", "--json"]), |line| serde_json::from_str::<Value>(line).ok())
    };
    here.token = ready["admin_token"].as_str().expect("a token at the first start").to_owned();
    drop(process);
    let side =
        |backend: &str, data: &str| Side { token: here.token.clone(), ..Side::of(&deployment, backend, &prefix, data) };
    let (there, on, back) = (side("aws", "between"), side("aws", "last"), side("sqlite", "last"));
    moved_twice(&here, &here, &there, &on, &back).await;
}

#[tokio::test]
async fn a_server_of_a_closed_deployment_says_where_it_went_and_a_move_that_is_given_up_leaves_it_as_it_was() {
    let deployment = Deployment::new().await;
    let prefix = deployment.place().table("").trim_end_matches('-').to_owned();
    let here = Side { data: deployment.place().data(), ..Side::of(&deployment, "aws", &prefix, "data") };
    let (well, text) = deployment.import("", 20);
    assert!(well, "{text}");
    let serving = here.serve("");
    let ana = serving.invite(ANA).await.unwrap();
    wait("a mail", async || !here.mailed(ANA).is_empty()).await;
    let key = here.mailed(ANA).pop().unwrap();
    for _ in 0..3 {
        wait("the records", async || serving.read(&key).await == 200).await;
    }
    let out = Side::of(&deployment, "aws", &prefix, "there");
    let rehearsed = out.done(&["move", "--to", "sqlite", "--dry-run", "--json"]);
    let rehearsed: Value = serde_json::from_str(&rehearsed).unwrap();
    assert_eq!((rehearsed["people"].as_u64(), rehearsed["keys"].as_u64()), (Some(1), Some(1)), "{rehearsed}");
    assert!(rehearsed["commits"].as_u64().unwrap() > 3 && rehearsed["cost_usd"].is_null(), "{rehearsed}");
    assert_eq!(serving.read(&key).await, 200, "nothing was changed");
    out.refused(&["move", "--to", "aws"], "already");
    out.refused(&["move", "--to", "sqlite"], "--yes");
    out.refused(&["move", "--abandon"], "not being moved");

    let arguments = ["move", "--to", "sqlite", "--yes", "--servers-stopped", "--address", "https://new.example.org"];
    let (well, text) = out.run("move-log-written=return", &arguments);
    assert!(!well, "{text}");
    let refused = async || {
        let answer =
            serving.client.get(format!("{}/permits", serving.url)).header("x-api-key", &key).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        status == 503 && text.contains("/problems/moved") && text.contains("https://new.example.org")
    };
    wait("the server to notice", refused).await;
    let body = json!({ "email": BEN });
    let invited = serving.client.post(format!("{}/users", serving.url)).bearer_auth(&serving.token).json(&body).send();
    assert_eq!(invited.await.unwrap().status().as_u16(), 503);
    serving.stop().await;

    out.done(&["move", "--abandon"]);
    let serving = here.serve("");
    wait("the key to work", async || serving.read(&key).await == 200).await;
    let usage = serving.usage(&ana).await;
    assert!(usage["data"][0]["used"].as_u64().unwrap() >= 5, "{usage}");
    serving.invite(BEN).await.unwrap();
    wait("a mail", async || !here.mailed(BEN).is_empty()).await;
    out.refused(&arguments, "was interrupted in");
}
