//! Where a process over DynamoDB can die that copies records, follows them, or uploads an import: the next one has the right
//! records, the right past, and nothing of what it did not come to finish.

use std::process::Stdio;

use reqwest::Method;
use serde_json::Value;

use crate::deployment::{Deployment, Serving};

const ANA: &str = "ana@example.org";
const ROWS: u64 = 60;

/// A deployment with two versions of records and somebody's key.
async fn imported() -> (Deployment, String) {
    let deployment = Deployment::new().await;
    for rows in [ROWS, ROWS + 5] {
        let (well, text) = deployment.import("", rows);
        assert!(well, "{text}");
    }
    let serving = deployment.serve("");
    let limits = serde_json::json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 100_000 });
    let (status, plan) = deployment.admin(&serving, Method::PUT, "/plans/default", "", Some(limits)).await.unwrap();
    assert!((200..300).contains(&status), "{status} {plan}");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    deployment.settled(&serving, &user, ANA).await;
    let key = deployment.mailed(ANA).pop().expect("a mail");
    (deployment, key)
}

/// What a node answers, as soon as it has a copy: a sorted page, all changes, and the past of a record.
async fn answers(deployment: &Deployment, serving: &Serving, key: &str) -> Vec<String> {
    let mut answers = Vec::new();
    let first = page(deployment, serving, key, "/permits?limit=1").await;
    let first: Value = serde_json::from_str(&first).unwrap();
    let number = first["data"][0]["application_number"].as_str().unwrap().trim_start_matches('#').to_owned();
    for path in [
        "/permits?limit=1000&sort=-estimated_cost&count=exact".to_owned(),
        "/permits/facets?columns=status".to_owned(),
        "/permits/changes?since=1&limit=1000".to_owned(),
        format!("/permits/{number}"),
    ] {
        answers.push(page(deployment, serving, key, &path).await);
    }
    answers
}

async fn page(deployment: &Deployment, serving: &Serving, key: &str, path: &str) -> String {
    let answer = std::cell::RefCell::new(String::new());
    let answered = async || {
        let (status, body) = deployment.get(serving, path, key).await.unwrap();
        assert!(status == 200 || status == 503 && body.contains("copied to this server"), "{path}: {status} {body}");
        *answer.borrow_mut() = body;
        status == 200
    };
    deployment.until("a copy", answered).await;
    answer.into_inner()
}

/// Serves on a machine until it dies: it copies and follows as soon as it starts.
fn dies(deployment: &Deployment, machine: usize, point: &str) {
    let mut command = deployment.command_of(machine, &format!("{point}=return"));
    let serving = command.arg("serve").stdout(Stdio::null()).stderr(Stdio::null());
    assert!(!serving.status().unwrap().success(), "{point}: it was killed");
}

#[tokio::test]
async fn a_node_that_dies_while_it_copies_copies_again() {
    let (deployment, key) = imported().await;
    let expected = answers(&deployment, &deployment.serve(""), &key).await;
    for (machine, point) in [(1, "replica-copying"), (2, "replica-copied")] {
        dies(&deployment, machine, point);
        assert_eq!(answers(&deployment, &deployment.serve_on(machine, ""), &key).await, expected, "{point}");
    }
    deployment.verify();
}

#[tokio::test]
async fn a_node_that_dies_while_it_follows_goes_on_from_the_version_that_it_has() {
    let (deployment, key) = imported().await;
    for (machine, point) in [(1, "replica-following"), (2, "replica-followed")] {
        drop(answers(&deployment, &deployment.serve_on(machine, ""), &key).await);
        for more in [10, 20] {
            let (well, text) = deployment.import("", ROWS + u64::from(machine as u32) * 30 + more);
            assert!(well, "{text}");
        }
        let expected = answers(&deployment, &deployment.serve(""), &key).await;
        dies(&deployment, machine, point);
        assert_eq!(answers(&deployment, &deployment.serve_on(machine, ""), &key).await, expected, "{point}");
    }
    deployment.verify();
}

#[tokio::test]
async fn an_import_that_dies_while_it_uploads_is_cleared_away_by_its_list() {
    let (deployment, key) = imported().await;
    let before = answers(&deployment, &deployment.serve(""), &key).await;
    let items = async || {
        let (records, lists) =
            (deployment.place().items_of("records-permits").await, deployment.place().items_of("changes").await);
        (records.len(), lists.len())
    };
    let were = items().await;
    for point in ["import-listed=return", "import-uploading=4*off->return", "import-uploaded=return"] {
        let (well, text) = deployment.import(point, ROWS + 40);
        assert!(!well, "{point}: it was killed: {text}");
        deployment.let_leases_end().await;
        assert_eq!(answers(&deployment, &deployment.serve(""), &key).await, before, "{point}: nothing is seen of it");
        // The same rows as before: it clears away what is left, and changes nothing.
        let (well, text) = deployment.import("", ROWS + 5);
        assert!(well, "{text}");
        assert_eq!(items().await, were, "{point}");
    }
    deployment.verify();
}

#[tokio::test]
async fn an_import_that_dies_between_its_commit_and_that_of_its_copy_is_there() {
    let (deployment, key) = imported().await;
    let (well, text) = deployment.import("import-committed=return", ROWS + 40);
    assert!(!well, "it was killed: {text}");
    let here = deployment.serve("");
    let seen = answers(&deployment, &here, &key).await;
    assert!(seen[0].contains(&format!("\"count\":{}", ROWS + 40)), "{}", &seen[0][..300]);
    assert_eq!(answers(&deployment, &deployment.serve_on(1, ""), &key).await, seen, "as a node that has copied it");
    drop(here);
    deployment.let_leases_end().await;
    drop(deployment.serve(""));
    deployment.verify();
}
