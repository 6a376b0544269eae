//! Checkpoints over HTTP: what a mirror sees and checks.

use std::{fs, path::Path, process::Command, sync::Arc};

use jiff::SignedDuration;
use permitd::{
    domain::checkpoint::{CheckpointKey, LogCheckpoint, SignedCheckpoint, hash_of},
    sealing::{HeldVersions, SealOutcome, seal},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    data::{import, things},
    support::{backend::Mode, repository, tools},
};

const SEED: [u8; 32] = [9; 32];

/// Makes a checkpoint of all that there is.
async fn sealed(app: &TestApp) -> u64 {
    let service = app.service();
    // All is settled by then, also where commits may come late.
    let at = service.committer.clock.now() + SignedDuration::from_hours(1);
    let versions = HeldVersions(Arc::clone(&service.records));
    match seal(&service.committer.stores, &versions, &CheckpointKey::from_seed(&SEED), at).await.unwrap() {
        SealOutcome::New(kept) => kept.number,
        other => panic!("{other:?}"),
    }
}

/// The Python of the page about checkpoints.
fn check_py(folder: &Path) -> Command {
    let page = fs::read_to_string(repository().join("docs/CHECKPOINTS.md")).unwrap();
    let code = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(code.lines().count() <= 24, "it is to stay short");
    let file = folder.join("check.py");
    fs::write(&file, code).unwrap();
    let mut python = Command::new(tools::folder().join("venv/bin/python"));
    python.arg(file).env("PYTHONDONTWRITEBYTECODE", "1").env("no_proxy", "*");
    python
}

#[tokio::test]
async fn a_mirror_checks_its_copy_with_the_lines_of_the_page() {
    let app = TestApp::set(&[("checkpoints.every_h", "0")], 30).await;
    let plenty = json!({ "rate_per_s": 1_000_000, "burst": 1_000_000, "quota_per_day": 1_000_000 });
    app.admin_send(Method::PUT, "/plans/default", &plenty).await.expect(200);
    let key = app.invite("ana@example.org").await;
    let missing = app.get("/permits/proof", &key).await.expect(404).json();
    assert!(missing["detail"].as_str().unwrap().contains("no checkpoint has version 1"), "{missing}");
    assert_eq!(app.get("/checkpoints", &key).await.expect(200).json()["data"], Value::Array(Vec::new()));
    for name in ["a", "b", "c"] {
        import(&app, things(), format!("Name,Height\n{name},1\n").into_bytes(), "things.csv").await;
    }
    sealed(&app).await;
    import(&app, things(), b"Name,Height\nd,7\n".to_vec(), "things.csv").await;
    sealed(&app).await;

    let public = CheckpointKey::from_seed(&SEED).public();
    let folder = tempfile::tempdir().unwrap();
    let check = |data_set: &str, public: &str| {
        let ran = check_py(folder.path()).args([&app.url(data_set), &key, public]).output().unwrap();
        (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    for (data_set, says) in
        [("/permits", "version 1 is what checkpoint 1"), ("/things", "version 4 is what checkpoint 2")]
    {
        let (well, said) = check(data_set, &public);
        assert!(well && said.contains(says), "{said}");
    }
    let (well, said) = check("/permits", &CheckpointKey::from_seed(&[1; 32]).public());
    assert!(!well && said.contains("InvalidSignature"), "{said}");

    // Every version has a proof, with an answer that says so when it does not.
    for version in 1..=4 {
        let proof = app.get(&format!("/things/proof?version={version}"), &key).await.expect(200).json();
        let digest = app.get(&format!("/things?format=ndjson&as_of={version}"), &key).await.expect(200).body;
        assert_eq!(proof["sha256"].as_str().unwrap(), hash_of(&digest));
        assert_eq!(proof["checkpoint"]["number"], if version < 4 { 1 } else { 2 }, "{proof}");
    }
    for (query, says) in [("version=5", "its present one is 4"), ("version=0", "its present one is 4")] {
        let problem = app.get(&format!("/things/proof?{query}"), &key).await.expect(404).json();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    app.get("/things/proof?version=x", &key).await.expect(400);
    app.get("/things/proof?of=1", &key).await.expect(400);
    app.get("/things/proof", "pmt_no").await.expect(401);
    let tag = app.get("/things/proof", &key).await.expect(200).header("etag").unwrap().to_owned();
    let again = app.request(Method::GET, "/things/proof").header("x-api-key", &key).header("if-none-match", tag);
    app.send(again).await.expect(304);

    // The list, for readers and administrators; each names the one before it.
    for answer in [app.get("/checkpoints", &key).await, app.admin_get("/checkpoints").await] {
        let listed = answer.expect(200).json();
        let all: Vec<(SignedCheckpoint, LogCheckpoint)> = listed["data"].as_array().unwrap().iter().map(read).collect();
        assert_eq!(all.iter().map(|(_, said)| said.number).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(all[0].1.previous, Some(hash_of(&all[1].0.text)));
    }
    let page = app.get("/checkpoints?limit=1", &key).await.expect(200);
    assert!(page.link("next").unwrap().contains("after=2"), "{}", page.body);
    let next = app.get("/checkpoints?limit=1&after=2", &key).await.expect(200).json();
    assert_eq!((next["data"][0]["number"].as_u64(), &next["page"]["next"]), (Some(1), &Value::Null));
    let one = app.get("/checkpoints/1", &key).await.expect(200).json();
    assert_eq!(one, next["data"][0]);
    for none in ["/checkpoints/0", "/checkpoints/3", "/checkpoints/x", "/checkpoints/18446744073709551615"] {
        app.get(none, &key).await.expect(404);
        app.admin_get(none).await.expect(404);
    }
    app.send(app.request(Method::GET, "/checkpoints")).await.expect(401);
    app.send(app.request(Method::POST, "/checkpoints").header("x-api-key", &key)).await.expect(405);
}

fn read(document: &Value) -> (SignedCheckpoint, LogCheckpoint) {
    let text = |name: &str| document[name].as_str().unwrap().to_owned();
    let signed = SignedCheckpoint { text: text("text"), signature: text("signature"), public_key: text("public_key") };
    let said = signed.checked().unwrap();
    assert_eq!(document["root"], said.root.to_string());
    (signed, said)
}

#[tokio::test]
async fn a_server_makes_checkpoints_by_itself_and_mails_them() {
    if crate::MODE == Mode::Aws {
        // There what is younger than 20 minutes is not settled, and no test waits for that.
        return;
    }
    let settings = [("checkpoints.mail_to", "auditor@example.org,mirror@example.org")];
    let app = TestApp::set(&settings, 5).await;
    let mail = app.notice_to("auditor@example.org", "Checkpoint 1 of").await;
    app.notice_to("mirror@example.org", "Checkpoint 1").await;
    let begins = mail.text.find("permitd checkpoint 1").expect("the checkpoint");
    let text = mail.text[begins..].replace("\r\n", "\n");
    let signed = SignedCheckpoint::parse_file(&text).unwrap();
    assert_eq!(signed.checked().unwrap().number, 1);
    let kept = app.admin_get("/checkpoints/1").await.expect(200).json();
    assert_eq!(read(&kept).0, signed, "what was mailed is what is kept");
}

#[tokio::test]
async fn a_checkpoint_that_was_not_mailed_yet_is_mailed_after_the_next_start_and_then_no_more() {
    if crate::MODE == Mode::Aws {
        // There another server has its turn first, for ten minutes.
        return;
    }
    let settings = [("checkpoints.every_h", "0"), ("checkpoints.mail_to", "auditor@example.org")];
    let mut app = TestApp::set(&settings, 5).await;
    let first = "Checkpoint 1 of";
    let noted = async || app.service().committer.stores.checkpoints.mailed().await.unwrap();
    app.eventually("the first look", noted).await;
    for number in 1..=2 {
        assert_eq!(sealed(&app).await, number);
        app.invite(&format!("reader{number}@example.org")).await;
        app.restart().await;
        app.notice_to("auditor@example.org", &format!("Checkpoint {number} of")).await;
    }
    assert_eq!(app.mails().iter().filter(|mail| mail.subject.contains(first)).count(), 1);
}
