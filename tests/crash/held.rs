//! Files that are sent to be imported, imports that are held, and what is decided about them: each killed at its steps.

use reqwest::Method;
use serde_json::Value;

use crate::deployment::{Deployment, Serving};

/// Sends so many rows of the sample as the whole data set; none where the process died over it.
async fn send(deployment: &Deployment, serving: &Serving, key: &str, rows: u64) -> Option<String> {
    let file = std::fs::read(deployment.sample(rows)).unwrap();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let request = client.post(format!("{}/imports?dataset=permits&mode=replace", serving.url));
    let request = request.bearer_auth(deployment.token()).header("idempotency-key", key);
    let answer = request.header("content-type", "text/csv").body(file).send().await.ok()?;
    assert_eq!(answer.status(), 202);
    let accepted: Value = serde_json::from_str(&answer.text().await.ok()?).unwrap();
    Some(accepted["id"].as_str().unwrap().to_owned())
}

async fn status(deployment: &Deployment, serving: &Serving, import: &str) -> String {
    let path = format!("/imports/{import}");
    let (status, shown) = deployment.admin(serving, Method::GET, &path, "", None).await.unwrap();
    assert_eq!(status, 200, "{shown}");
    shown["status"].as_str().unwrap().to_owned()
}

async fn becomes(deployment: &Deployment, serving: &Serving, import: &str, wanted: &str) {
    let mut last = String::new();
    let is_so = async || {
        last = status(deployment, serving, import).await;
        last == wanted
    };
    deployment.until(&format!("the import to be {wanted}"), is_so).await;
}

async fn imports(deployment: &Deployment, serving: &Serving) -> Vec<Value> {
    let (status, imports) = deployment.admin(serving, Method::GET, "/imports", "", None).await.unwrap();
    assert_eq!(status, 200, "{imports}");
    imports["data"].as_array().unwrap().clone()
}

async fn records(deployment: &Deployment, serving: &Serving) -> u64 {
    let (status, shown) = deployment.admin(serving, Method::GET, "/datasets/permits", "", None).await.unwrap();
    assert_eq!(status, 200, "{shown}");
    shown["records"].as_u64().unwrap()
}

/// The files that are kept of those that were sent, apart from what is told of them.
fn kept(deployment: &Deployment) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(deployment.place().data().join("imports")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".json")).collect()
}

async fn decide(deployment: &Deployment, serving: &Serving, import: &str, command: &str) -> Option<u16> {
    let path = format!("/imports/{import}/{command}");
    deployment.admin(serving, Method::POST, &path, "", None).await.ok().map(|(status, _)| status)
}

#[tokio::test]
async fn a_file_that_is_sent_is_imported_once_or_leaves_nothing_wherever_the_server_dies() {
    for failpoint in ["upload-arriving", "upload-kept", "upload-answered"] {
        let deployment = Deployment::new().await;
        deployment.import("", 10);
        let mut serving = deployment.serve(&format!("{failpoint}=return"));
        assert_eq!(send(&deployment, &serving, "once", 12).await, None, "{failpoint}");
        deployment.dies(&mut serving).await;
        let serving = deployment.serve("");
        if failpoint == "upload-arriving" {
            assert_eq!(kept(&deployment), Vec::<String>::new(), "what had not arrived is gone");
            assert_eq!(imports(&deployment, &serving).await.len(), 1);
        }
        let import = send(&deployment, &serving, "once", 12).await.expect("an answer");
        becomes(&deployment, &serving, &import, "completed").await;
        assert_eq!((imports(&deployment, &serving).await.len(), records(&deployment, &serving).await), (2, 12));
        assert_eq!(kept(&deployment), Vec::<String>::new());
        drop(serving);
        deployment.verify();
    }
}

/// A data set of a hundred records, and an import of three that is held by a server that has ended.
async fn held(deployment: &Deployment) -> String {
    deployment.import("", 100);
    let serving = deployment.serve("");
    let import = send(deployment, &serving, "few", 3).await.expect("an answer");
    becomes(deployment, &serving, &import, "held").await;
    import
}

#[tokio::test]
async fn a_guard_that_dies_has_held_the_import_or_not_and_nothing_is_seen_of_it() {
    for (failpoint, told) in [("import-before-commit", "failed"), ("import-held", "held")] {
        let deployment = Deployment::new().await;
        deployment.import("", 100);
        let mut serving = deployment.serve(&format!("{failpoint}=return"));
        let sent = send(&deployment, &serving, "few", 3).await;
        deployment.dies(&mut serving).await;
        deployment.let_leases_end().await;
        let serving = deployment.serve("");
        let import = match sent {
            Some(import) => import,
            // It died before it could answer.
            None => imports(&deployment, &serving).await[0]["id"].as_str().unwrap().to_owned(),
        };
        becomes(&deployment, &serving, &import, told).await;
        assert_eq!(records(&deployment, &serving).await, 100);
        if told == "held" {
            assert_eq!(decide(&deployment, &serving, &import, "approve").await, Some(202));
            becomes(&deployment, &serving, &import, "completed").await;
            assert_eq!(records(&deployment, &serving).await, 3);
        }
        deployment.until("the file to be gone", async || kept(&deployment).is_empty()).await;
        drop(serving);
        deployment.verify();
    }
}

#[tokio::test]
async fn an_approval_that_dies_is_held_again_or_completed() {
    for (failpoint, told) in [
        ("approval-recorded", "held"),
        ("import-approved", "held"),
        ("import-before-commit", "held"),
        ("import-written", "completed"),
    ] {
        let deployment = Deployment::new().await;
        let import = held(&deployment).await;
        let mut serving = deployment.serve(&format!("{failpoint}=return"));
        // It may die before it has answered.
        decide(&deployment, &serving, &import, "approve").await;
        deployment.dies(&mut serving).await;
        deployment.let_leases_end().await;
        let serving = deployment.serve("");
        becomes(&deployment, &serving, &import, told).await;
        if told == "held" {
            assert_eq!(records(&deployment, &serving).await, 100, "{failpoint}");
            assert_eq!(decide(&deployment, &serving, &import, "approve").await, Some(202));
            becomes(&deployment, &serving, &import, "completed").await;
        }
        assert_eq!(records(&deployment, &serving).await, 3, "{failpoint}");
        deployment.until("the file to be gone", async || kept(&deployment).is_empty()).await;
        drop(serving);
        deployment.verify();
    }
}

#[tokio::test]
async fn a_discarded_import_that_dies_leaves_no_file() {
    let deployment = Deployment::new().await;
    let import = held(&deployment).await;
    let mut serving = deployment.serve("import-discarded=return");
    assert_eq!(decide(&deployment, &serving, &import, "discard").await, None);
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    assert_eq!(status(&deployment, &serving, &import).await, "discarded");
    assert_eq!(kept(&deployment), Vec::<String>::new());
    assert_eq!(records(&deployment, &serving).await, 100);
    drop(serving);
    deployment.verify();
}

/// What a cancelled import dies of is told; nothing of it is seen either way.
#[tokio::test]
async fn a_cancelled_import_that_dies_has_ended_and_changed_nothing() {
    for (failpoint, told) in [("import-cancel-before", "failed"), ("import-cancelled", "cancelled")] {
        let deployment = Deployment::new().await;
        deployment.import("", 10);
        // It does not go on before it can be cancelled.
        let mut serving = deployment.serve(&format!("import-started=sleep(2000);{failpoint}=return"));
        let import = send(&deployment, &serving, "once", 12).await.expect("an answer");
        deployment
            .until("the import to begin", async || {
                let path = format!("/imports/{import}");
                let (code, _) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
                code == 200
            })
            .await;
        assert_eq!(decide(&deployment, &serving, &import, "cancel").await, Some(202));
        deployment.dies(&mut serving).await;
        deployment.let_leases_end().await;
        let serving = deployment.serve("");
        becomes(&deployment, &serving, &import, told).await;
        assert_eq!(records(&deployment, &serving).await, 10);
        deployment.until("the file to be gone", async || kept(&deployment).is_empty()).await;
        drop(serving);
        deployment.verify();
    }
}

#[tokio::test]
async fn a_withdrawal_that_dies_is_finished_by_the_same_command() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let mut serving = deployment.serve("dataset-withdrawal-recorded=return");
    let withdraw = async |serving: &Serving| {
        deployment.admin(serving, Method::POST, "/datasets/permits/withdraw", "once", None).await
    };
    assert!(withdraw(&serving).await.is_err());
    deployment.dies(&mut serving).await;
    deployment.let_leases_end().await;
    let serving = deployment.serve("");
    let (status, shown) = withdraw(&serving).await.unwrap();
    assert_eq!((status, &shown["withdrawn"]), (200, &Value::Bool(true)), "{shown}");
    drop(serving);
    deployment.verify();
}
