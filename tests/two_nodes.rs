//! Two nodes of one deployment in AWS: real processes, each on a machine of its own as far as files go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "support/app.rs"]
mod app;
#[path = "crash/deployment.rs"]
mod deployment;
mod support;

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use deployment::{Deployment, Serving};
use futures_util::future::join_all;
use jiff::Timestamp;
use permitd::secrets::{Secrets, SystemEntropy};
use reqwest::Method;
use serde_json::{Value, json};

const MODE: support::backend::Mode = support::backend::Mode::Aws;
const ANA: &str = "ana@example.org";
/// Requests of the storm, at the least.
const REQUESTS: u64 = 10_000;
const CONNECTIONS: usize = 8;
/// `grant_ttl`.
const GRANT_TTL: Duration = Duration::from_secs(1);

/// A deployment with a data set and a plan, and somebody's key.
async fn deployment(limits: Value) -> (Deployment, String, String) {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let (status, plan) = deployment.admin(&serving, Method::PUT, "/plans/default", "", Some(limits)).await.unwrap();
    assert!((200..300).contains(&status), "{status} {plan}");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    deployment.settled(&serving, &user, ANA).await;
    let key = deployment.mailed(ANA).pop().expect("a mail");
    (deployment, user, key)
}

/// What came of requests that were sent one after the other, and of which several were under way at a time.
#[derive(Default)]
struct Storm {
    sent: Cell<u64>,
    /// Of each request that was admitted, when it was sent and when it was answered.
    admitted: RefCell<Vec<(Instant, Instant)>>,
}

impl Storm {
    fn admitted(&self) -> u64 {
        u64::try_from(self.admitted.borrow().len()).unwrap()
    }

    /// Sends, with the keys in turn, until the quota is used up, as this node sees it, and enough were sent; or until the node is
    /// gone.
    async fn rage(&self, deployment: &Deployment, serving: &Serving, keys: &RefCell<Vec<String>>) {
        let connection = || async {
            loop {
                let sent_at = Instant::now();
                self.sent.set(self.sent.get() + 1);
                let key = keys.borrow()[usize::try_from(self.sent.get()).unwrap() % keys.borrow().len()].clone();
                match deployment.get(serving, "/permits/201612013997", &key).await {
                    Ok((200, _)) => self.admitted.borrow_mut().push((sent_at, Instant::now())),
                    Ok((429, problem)) if problem.contains("\"daily\"") && self.sent.get() >= REQUESTS => return,
                    Ok((429, _)) => tokio::task::yield_now().await,
                    Ok((status, problem)) => panic!("{status} {problem}"),
                    // It was killed.
                    Err(_) => return,
                }
            }
        };
        join_all((0..CONNECTIONS).map(|_| connection())).await;
    }

    /// Whatever stretch of time one looks at: of the requests that lie in it whole, there are no more than the plan allows.
    fn check_rate(&self, rate_per_s: f64, burst: f64) {
        let mut admitted = self.admitted.borrow().clone();
        admitted.sort_by_key(|(_, answered)| *answered);
        let beginnings: Vec<Instant> = admitted.iter().map(|(sent, _)| *sent).collect();
        for begin in beginnings {
            let mut count = 0.0;
            for (_, answered) in admitted.iter().filter(|(sent, _)| *sent >= begin) {
                count += 1.0;
                let stretch_s = answered.duration_since(begin).as_secs_f64();
                assert!(count <= burst + rate_per_s * stretch_s + 1.0, "{count} requests in {stretch_s} s");
            }
        }
    }
}

fn today() -> String {
    Timestamp::now().to_string().chars().take(10).collect()
}

/// Whether a quota of one day was measured on one day; says so if not.
fn is_still(day: &str) -> bool {
    if day != today() {
        println!("skipped: midnight came in between, and requests over two days prove nothing");
    }
    day == today()
}

#[tokio::test]
async fn ten_thousand_requests_through_both_with_several_keys_are_admitted_to_the_quota_and_within_the_rate() {
    const RATE_PER_S: u32 = 400;
    const BURST: u32 = 100;
    const QUOTA: u64 = 1500;
    let day = today();
    let limits = json!({ "rate_per_s": RATE_PER_S, "burst": BURST, "quota_per_day": QUOTA });
    let (deployment, user, first) = deployment(limits).await;
    let nodes = [deployment.serve_on(1, ""), deployment.serve_on(2, "")];
    let issue = async |node: &Serving, path: &str, body: Value| {
        let path = format!("/users/{user}/keys{path}");
        let (status, issued) = deployment.admin(node, Method::POST, &path, "", Some(body)).await.unwrap();
        assert_eq!(status, 201, "{issued}");
        issued["key"].as_str().unwrap().to_owned()
    };
    let second = issue(&nodes[0], "", json!({})).await;
    let (storm, keys) = (Storm::default(), RefCell::new(vec![first, second]));
    // Meanwhile each of them is rotated, through the other node.
    let rotations = async {
        for (nth, node) in nodes.iter().enumerate() {
            while storm.admitted() < QUOTA / 4 * (nth as u64 + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let id = keys.borrow()[nth].split('_').nth(1).unwrap().to_owned();
            let next = issue(node, &format!("/{id}/rotate"), json!({ "grace_s": 3600 })).await;
            keys.borrow_mut().push(next);
        }
    };
    let requests = join_all(nodes.iter().map(|node| storm.rage(&deployment, node, &keys)));
    tokio::join!(requests, rotations);
    if !is_still(&day) {
        return;
    }
    assert!(storm.sent.get() >= REQUESTS);
    assert_eq!(storm.admitted(), QUOTA, "exactly");
    storm.check_rate(RATE_PER_S.into(), BURST.into());
}

#[tokio::test]
async fn the_quota_holds_when_a_node_is_killed_in_the_middle() {
    const RATE_PER_S: u64 = 400;
    const BURST: u64 = 50;
    const QUOTA: u64 = 1500;
    let day = today();
    let limits = json!({ "rate_per_s": RATE_PER_S, "burst": BURST, "quota_per_day": QUOTA });
    let (deployment, _, key) = deployment(limits).await;
    let keys = RefCell::new(vec![key]);
    let (staying, mut dying) = (deployment.serve_on(1, ""), deployment.serve_on(2, ""));
    let storm = Storm::default();
    let killed_after = async {
        while storm.admitted() < QUOTA / 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let survivor = storm.rage(&deployment, &staying, &keys);
    let victim = async {
        tokio::select! {
            () = storm.rage(&deployment, &dying, &keys) => panic!("the quota was used up before the node could be killed"),
            () = killed_after => {}
        }
        dying.process.kill();
    };
    tokio::join!(survivor, victim);
    let again = deployment.serve_on(2, "");
    storm.rage(&deployment, &again, &keys).await;
    if !is_still(&day) {
        return;
    }
    let admitted = storm.admitted();
    assert!(admitted <= QUOTA, "{admitted} of {QUOTA}");
    // The death costs what the node's grant held, and the answers that were on their way.
    let lost_max = BURST + RATE_PER_S + u64::try_from(CONNECTIONS).unwrap();
    assert!(admitted >= QUOTA - lost_max, "{admitted}: the death cost more than a grant");
}

#[tokio::test]
async fn a_revocation_on_one_is_refused_on_the_other_within_the_life_of_a_grant() {
    let (deployment, user, key) =
        deployment(json!({ "rate_per_s": 100_000, "burst": 100_000, "quota_per_day": 1_000_000 })).await;
    let (one, other) = (deployment.serve_on(1, ""), deployment.serve_on(2, ""));
    assert!(deployment.admits(&one, &key).await && deployment.admits(&other, &key).await);
    let answered_at: Cell<Option<Instant>> = Cell::new(None);
    let revoking = async {
        let id = key.split('_').nth(1).expect("the key's id");
        let path = format!("/users/{user}/keys/{id}");
        let (status, revoked) = deployment.admin(&one, Method::DELETE, &path, "", None).await.unwrap();
        answered_at.set(Some(Instant::now()));
        assert_eq!(status, 200, "{revoked}");
        assert!(!deployment.admits(&one, &key).await, "at once where it was revoked");
        let moment = |name: &str| revoked[name].as_str().expect("a moment").parse::<Timestamp>().unwrap();
        let told = moment("effective_at").duration_since(moment("revoked_at"));
        assert_eq!(Duration::try_from(told).unwrap(), GRANT_TTL, "the answer says when it is in force everywhere");
    };
    let mut last_admitted = None;
    let asking = async {
        loop {
            let sent_at = Instant::now();
            match deployment.read(&other, "/permits/201612013997", &key).await.unwrap() {
                200 => last_admitted = Some(sent_at),
                401 => return,
                status => panic!("{status}"),
            }
            assert!(answered_at.get().is_none_or(|at| at.elapsed() < 20 * GRANT_TTL), "it is admitted for ever");
        }
    };
    tokio::join!(revoking, asking);
    let late = last_admitted.expect("it was admitted before").saturating_duration_since(answered_at.get().unwrap());
    assert!(late <= GRANT_TTL, "admitted {late:?} after the revocation");
}

/// Invites on a node that dies at this step, and again on the other as a client does that got no answer, or whose answer says
/// nothing of the mail.
#[cfg(feature = "failpoints")]
async fn dies_while_inviting(deployment: &Deployment, failpoint: &str) {
    let address = format!("{failpoint}@example.org");
    let mut dying = deployment.serve_on(1, &format!("{failpoint}=return"));
    let acknowledged = deployment.invite(&dying, &address).await.ok();
    deployment.dies(&mut dying).await;
    let other = deployment.serve_on(2, "");
    let user = deployment.invite(&other, &address).await.expect("an answer");
    assert!(acknowledged.is_none_or(|first| first == user), "{failpoint}: the retry gets the first answer");
    deployment.check_invited(&other, &user, &address).await;
    let issued = deployment.keys(&other, &user).await.len();
    assert_eq!(issued, 1, "{failpoint}: one key");
    let mails = deployment.mailed(&address).len();
    let mails_max = if failpoint == "mailer-after-mail" { 2 } else { 1 };
    assert!((1..=mails_max).contains(&mails), "{failpoint}: {mails} mails");
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn an_invitation_whose_node_dies_at_any_step_ends_in_one_key_and_a_mail() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    for failpoint in deployment::INVITATION_FAILPOINTS {
        dies_while_inviting(&deployment, failpoint).await;
    }
    deployment.verify();
}

/// A server secret of another deployment, in a file.
fn foreign_secret(deployment: &Deployment) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = deployment.sample(1).with_file_name("secret.json");
    let secret = Secrets::generate(&SystemEntropy).unwrap();
    std::fs::write(&path, secret.as_bytes()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A server that is still at work with the secret that was replaced would claim addresses under names that nobody else looks at.
#[tokio::test]
async fn a_node_whose_secret_was_replaced_makes_no_second_person_and_no_key() {
    let (deployment, user, key) = deployment(json!({ "rate_per_s": 100, "burst": 100, "quota_per_day": 1000 })).await;
    let secret = foreign_secret(&deployment);
    let node = deployment.serve_on(1, "");
    assert_eq!(deployment.read(&node, "/permits/201612013997", &key).await.unwrap(), 200);
    let run = |arguments: &[&str]| {
        let mut command = deployment.command_of(2, "");
        let ran = command.env("PERMITD_SECRET_FILE", &secret).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{arguments:?}: {said}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let replaced: Value = serde_json::from_str(&run(&["secret", "replace", "--yes", "--json"])).unwrap();
    assert_eq!((&replaced["keys_ended"], &replaced["without_key"][0]), (&1.into(), &user.as_str().into()));
    run(&["invite", "eve@example.org"]);
    for (path, body) in [
        ("/users".to_owned(), json!({ "email": "eve@example.org" })),
        ("/users".to_owned(), json!({ "email": ANA })),
        (format!("/users/{user}/keys"), json!({})),
    ] {
        let (status, problem) = deployment.admin(&node, Method::POST, &path, "", Some(body)).await.unwrap();
        assert_eq!(status, 503, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("another server secret"), "{path}: {problem}");
    }
    assert_eq!(deployment.read(&node, "/permits/201612013997", &key).await.unwrap(), 401);
    drop(node);
    let people: Value = serde_json::from_str(&run(&["users", "list", "--json"])).unwrap();
    assert_eq!(people["users"].as_array().map(Vec::len), Some(2), "{people}");
    run(&["events", "verify"]);
}

#[tokio::test]
async fn records_that_do_not_fit_the_log_are_differences() {
    let (deployment, _, _) = deployment(json!({ "rate_per_s": 100, "burst": 100, "quota_per_day": 1000 })).await;
    let verify = || {
        let ran = deployment.command_of(1, "").args(["events", "verify"]).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let older = deployment.place().copy_of_the_records("permits").await;
    deployment.import("", 12);
    assert_eq!(verify().0, Some(0));
    deployment.place().put_back_the_records("permits", &older).await;
    let (code, said) = verify();
    assert!(code == Some(1) && said.contains("older than the log"), "{said}");
    deployment.place().forget_the_records("permits").await;
    let (code, said) = verify();
    assert!(code == Some(1) && said.contains("are gone"), "{said}");
    deployment.import("", 12);
    assert_eq!(verify().0, Some(0));
}

/// A new one in its place would end every key.
#[tokio::test]
async fn a_lost_secret_of_all_nodes_is_never_replaced_by_a_new_one() {
    let (deployment, _, _) = deployment(json!({ "rate_per_s": 100, "burst": 100, "quota_per_day": 1000 })).await;
    deployment.place().lose_the_secret().await;
    for arguments in [&["serve", "--json"][..], &["invite", "eve@example.org", "--json"]] {
        let ran = deployment.command_of(1, "").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(7), "{arguments:?}: {said}");
        assert!(said.contains("is missing, but keys were derived from it"), "{arguments:?}: {said}");
    }
}

/// Its keys would all be answered with 401, its mails carry keys that no other node takes, and messages be buried.
#[tokio::test]
async fn a_node_with_the_secret_of_another_deployment_does_not_start() {
    let (deployment, _, key) = deployment(json!({ "rate_per_s": 100, "burst": 100, "quota_per_day": 1000 })).await;
    let secret = foreign_secret(&deployment);
    for arguments in [&["serve", "--json"][..], &["invite", "eve@example.org", "--json"]] {
        let mut command = deployment.command_of(1, "");
        let ran = command.env("PERMITD_SECRET_FILE", &secret).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(7), "{arguments:?}: {said}");
        assert!(said.contains("is not the server secret of this deployment"), "{arguments:?}: {said}");
    }
    // A file that lies in a data directory is not what nodes in AWS use.
    let node = deployment.serve_on(2, "");
    let data = secret.with_file_name("data-2");
    std::fs::copy(&secret, data.join("secret.json")).unwrap();
    drop(node);
    let node = deployment.serve_on(2, "");
    assert_eq!(deployment.read(&node, "/permits/201612013997", &key).await.unwrap(), 200);
    let user = deployment.invite(&node, "ben@example.org").await.expect("an answer");
    deployment.check_invited(&node, &user, "ben@example.org").await;
    assert!(deployment.mailed("eve@example.org").is_empty());
    deployment.verify();
}

/// What a command prints, line by line, as documents.
fn printed(deployment: &Deployment, arguments: &[&str]) -> Vec<Value> {
    let output = deployment.command("").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_is_tailed_traced_and_looked_back_on() {
    let deployment = Deployment::new().await;
    let serving = [deployment.serve_on(0, ""), deployment.serve_on(1, "")];
    let tail = ["events", "tail", "--checkpoint", "audit"];
    let (mut told, mut requests) = (Vec::new(), Vec::new());
    for nth in 0..6 {
        let address = format!("ana{nth}@example.org");
        let user = deployment.invite(&serving[nth % 2], &address).await.unwrap();
        deployment.settled(&serving[nth % 2], &user, &address).await;
        told.extend(printed(&deployment, &tail));
        requests.push(user);
    }
    told.extend(printed(&deployment, &tail));
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    let mut all: Vec<String> = printed(&deployment, &["events", "tail"]).iter().map(id).collect();
    let mut once: Vec<String> = told.iter().map(id).collect();
    all.sort();
    once.sort();
    assert_eq!(once, all, "each event once, over restarts");
    assert!(printed(&deployment, &tail).is_empty());

    let invited = told.iter().find(|event| event["type"] == "UserInvited").unwrap();
    let trace = &printed(&deployment, &["events", "trace", invited["correlation_id"].as_str().unwrap(), "--json"])[0];
    let commits = trace["commits"].as_array().unwrap();
    assert_eq!((commits[0]["events"][0]["message"]["state"].as_str(), &commits[0]["depth"]), (Some("done"), &json!(0)));
    assert!(commits.len() > 1 && commits[1..].iter().all(|commit| commit["caused_by"] == invited["id"]), "{trace}");

    let position = invited["position"].as_str().expect("a text: it is larger than exact numbers");
    let as_of = format!("position:{position}");
    let user = requests[0].as_str();
    let past = &printed(&deployment, &["users", "show", user, "--as-of", &as_of, "--json"])[0];
    assert_eq!((&past["user"]["status"], &past["keys"]), (&json!("invited"), &json!([])), "{past}");
}
