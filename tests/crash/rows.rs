//! One test for each row in which the process dies.

use reqwest::Method;
use serde_json::json;

use crate::deployment::{Deployment, POLICY, Serving};

const ANA: &str = "ana@example.org";

/// Invites with a process that dies at `failpoint`, starts another and invites again as a client does that got no answer.
/// How many mails there are in the end.
pub(crate) async fn dies_while_inviting(failpoint: &str) -> usize {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    let acknowledged = deployment.invite(&serving, ANA).await.ok();
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    if let Some(user) = &acknowledged {
        let (status, _) = deployment.admin(&serving, Method::GET, &format!("/users/{user}"), "", None).await.unwrap();
        assert_eq!(status, 200, "what was acknowledged is there");
    }
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    assert!(acknowledged.is_none_or(|first| first == user), "the retry gets the first answer");
    deployment.check_invited(&serving, &user, ANA).await;
    let (status, events) =
        deployment.admin(&serving, Method::GET, &format!("/users/{user}/events"), "", None).await.unwrap();
    assert_eq!(status, 200, "{events}");
    for type_name in ["UserInvited", "ApiKeyIssued", "ApiKeyMailed"] {
        let count = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == type_name).count();
        assert_eq!(count, 1, "{type_name}: {events}");
    }
    drop(serving);
    deployment.verify();
    deployment.mailed(ANA).len()
}

#[tokio::test]
async fn row_01_crash_before_the_append() {
    assert_eq!(dies_while_inviting("append-before").await, 1);
}

#[tokio::test]
async fn row_04_reply_lost_client_retries() {
    assert_eq!(dies_while_inviting("append-after").await, 1);
}

#[tokio::test]
async fn row_05_appended_crash_before_publishing() {
    assert_eq!(dies_while_inviting("publish-before").await, 1);
}

#[tokio::test]
async fn row_06_published_crash_before_the_mark_is_cleared() {
    assert_eq!(dies_while_inviting("publish-after-send").await, 1);
}

#[tokio::test]
async fn row_11_received_crash_before_the_key() {
    assert_eq!(dies_while_inviting("mailer-received").await, 1);
    assert_eq!(dies_while_inviting("mailer-before-issue").await, 1);
}

#[tokio::test]
async fn row_12_key_issued_crash_before_the_mail() {
    assert_eq!(dies_while_inviting("mailer-after-issue").await, 1);
    assert_eq!(dies_while_inviting("mailer-before-mail").await, 1);
}

#[tokio::test]
async fn row_13_mail_sent_crash_before_it_is_written_down() {
    // The one unavoidable duplicate: the same key in both (a mailer that names its files after the mail has one).
    assert!((1..=2).contains(&dies_while_inviting("mailer-after-mail").await));
}

#[tokio::test]
async fn row_14_mailed_crash_before_acknowledging() {
    assert_eq!(dies_while_inviting("mailer-after-mailed").await, 1);
    assert_eq!(dies_while_inviting("mailer-before-ack").await, 1);
}

/// Deletes with a process that dies at `failpoint`.
pub(crate) async fn dies_while_deleting(failpoint: &str) {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    deployment.check_invited(&serving, &user, ANA).await;
    drop(serving);
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    let acknowledged = deployment.delete(&serving, &user).await.is_ok();
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    if !acknowledged {
        deployment.delete(&serving, &user).await.expect("an answer");
    }
    deployment.check_deleted(&serving, &user, ANA).await;
    // The address is free: somebody else can be invited with it.
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn row_05_deleted_crash_before_publishing() {
    dies_while_deleting("append-after").await;
    dies_while_deleting("publish-before").await;
}

#[tokio::test]
async fn row_11_deletion_received_crash_before_the_revocation() {
    dies_while_deleting("mailer-received").await;
    dies_while_deleting("mailer-before-ack").await;
}

/// Reports a leaked key with a process that dies at `failpoint`; the mails that tell of it in the end.
async fn dies_while_telling_of_a_leak(failpoint: &str) -> usize {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    let key = deployment.check_invited(&serving, &user, ANA).await;
    drop(serving);
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    // The answer does not wait for what is done.
    deployment.report_leak(&serving, &key).await.ok();
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    let told =
        || deployment.mails().into_iter().filter(|mail| mail.to == ANA && mail.text.contains("was revoked")).count();
    deployment.until("the mail about the leak", async || told() > 0).await;
    assert!(!deployment.admits(&serving, &key).await);
    let count = async |type_name: &str| {
        let path = format!("/users/{user}/events");
        let (_, events) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
        events["data"].as_array().unwrap().iter().filter(|event| event["type"] == type_name).count()
    };
    deployment.until("that it is written down", async || count("LeakNoticeMailed").await == 1).await;
    assert_eq!(count("ApiKeyRevoked").await, 1);
    drop(serving);
    deployment.verify();
    told()
}

#[tokio::test]
async fn a_leaked_key_is_revoked_crash_before_its_owner_is_told() {
    for failpoint in ["append-after", "publish-before", "publish-after-send", "mailer-received", "mailer-before-mail"] {
        assert_eq!(dies_while_telling_of_a_leak(failpoint).await, 1, "{failpoint}");
    }
}

#[tokio::test]
async fn a_leaked_key_s_owner_is_told_crash_before_that_is_written_down() {
    // The mail again, with the same message id: one file.
    assert!((1..=2).contains(&dies_while_telling_of_a_leak("mailer-after-mail").await));
    assert_eq!(dies_while_telling_of_a_leak("mailer-after-mailed").await, 1);
    assert_eq!(dies_while_telling_of_a_leak("mailer-before-ack").await, 1);
}

#[tokio::test]
async fn row_24_crash_during_a_rebuild() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    let key = deployment.check_invited(&serving, &user, ANA).await;
    let (well, _) = deployment.run("replay-before-switch=return", &["events", "replay"]);
    assert!(!well, "it was killed");
    assert!(deployment.admits(&serving, &key).await, "the live views are as they were");
    deployment.verify();
    let (well, text) = deployment.run("", &["events", "replay"]);
    assert!(well, "{text}");
    assert!(deployment.admits(&serving, &key).await);
    drop(serving);
    deployment.verify();
}

/// Kills a rebuild at `failpoint`; what the next one says of where it began.
async fn dies_while_rebuilding(failpoint: &str, arguments: &[&str], next: &[&str]) -> (u64, String) {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    let key = deployment.check_invited(&serving, &user, ANA).await;
    let (well, _) = deployment.run(&format!("{failpoint}=return"), arguments);
    assert!(!well, "it was killed");
    assert!(deployment.admits(&serving, &key).await, "the live views are as they were");
    // Somebody comes in between.
    let other = deployment.invite(&serving, "ben@example.org").await.expect("an answer");
    deployment.check_invited(&serving, &other, "ben@example.org").await;
    let (well, text) = deployment.run("", next);
    assert!(well, "{text}");
    drop(serving);
    deployment.verify();
    let document = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>().next();
    let document = document.and_then(Result::ok).unwrap_or_default();
    (document["resumed_after_commits"].as_u64().unwrap_or_default(), text)
}

#[tokio::test]
async fn row_24_a_rebuild_that_was_killed_is_gone_on_with() {
    let all = ["events", "replay", "--json"];
    for failpoint in ["replay-batch", "replay-before-switch"] {
        let (after, text) = dies_while_rebuilding(failpoint, &all, &all).await;
        assert!(after > 0, "{failpoint}: {text}");
    }
    let keys = ["events", "replay", "--view", "keys", "--json"];
    let (after, text) = dies_while_rebuilding("replay-batch", &keys, &keys).await;
    assert!(after > 0, "{text}");
    let anew = ["events", "replay", "--anew", "--json"];
    let (after, _) = dies_while_rebuilding("replay-batch", &all, &anew).await;
    assert_eq!(after, 0);
}

/// Imports with a process that dies at `failpoint`; the number of records that are there afterwards.
async fn dies_while_importing(failpoint: &str) -> u64 {
    let deployment = Deployment::new().await;
    let (well, text) = deployment.import("", 10);
    assert!(well, "{text}");
    let (well, _) = deployment.import(&format!("{failpoint}=return"), 500);
    assert!(!well, "it was killed");
    deployment.let_leases_end().await;
    let serving = deployment.serve("");
    let (status, imports) = deployment.admin(&serving, Method::GET, "/imports", "", None).await.unwrap();
    assert_eq!(status, 200, "{imports}");
    let imports = imports["data"].as_array().expect("a list").clone();
    let last = &imports[0];
    assert_eq!(imports.len(), 2);
    assert_ne!(last["status"], "running", "how it ended is written down");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    let key = deployment.check_invited(&serving, &user, ANA).await;
    // Number and order of the sample are those of its seed: the first rows of a longer one need not be those of a shorter.
    let status = deployment.read(&serving, "/permits/%23201612013997", &key).await.unwrap();
    assert_eq!(status, 200);
    let inserted = if last["status"] == "completed" { last["counts"]["inserted"].as_u64().unwrap() } else { 0 };
    drop(serving);
    deployment.verify();
    let (well, text) = deployment.import("", 500);
    assert!(well, "another import goes on from what is there: {text}");
    inserted
}

#[tokio::test]
async fn an_import_that_dies_is_all_or_nothing() {
    assert_eq!(dies_while_importing("import-started").await, 0);
    assert_eq!(dies_while_importing("import-before-commit").await, 0);
    assert!(dies_while_importing("import-written").await > 0, "committed, and written down at the next start");
}

#[tokio::test]
async fn a_dry_run_that_dies_is_not_heard_of() {
    let deployment = Deployment::new().await;
    deployment.import("", 20);
    let file = deployment.sample(30);
    let arguments = ["import", file.to_str().unwrap(), "--dataset", "permits", "--replace", "--dry-run"];
    let (well, text) = deployment.run("", &arguments);
    assert!(well && text.contains("nothing was changed"), "{text}");
    let (well, _) = deployment.run("import-before-commit=return", &arguments);
    assert!(!well, "it was killed");
    deployment.let_leases_end().await;
    let serving = deployment.serve("");
    let (status, imports) = deployment.admin(&serving, Method::GET, "/imports", "", None).await.unwrap();
    assert_eq!((status, imports["data"].as_array().map(Vec::len)), (200, Some(1)), "{imports}");
    drop(serving);
    let (well, text) = deployment.run("", &arguments);
    assert!(well && text.contains("version"), "{text}");
    deployment.verify();
}

/// Whatever is imported next, and whether or not a server runs meanwhile: what became visible was completed.
async fn dies_once_visible(beside_a_server: bool) {
    let deployment = Deployment::new().await;
    let serving = beside_a_server.then(|| deployment.serve(""));
    let (well, _) = deployment.import("import-written=return", 10);
    assert!(!well, "it was killed");
    deployment.let_leases_end().await;
    let (well, text) = deployment.import("", 500);
    assert!(well, "{text}");
    drop(serving);
    let serving = deployment.serve("");
    let (status, imports) = deployment.admin(&serving, Method::GET, "/imports", "", None).await.unwrap();
    assert_eq!(status, 200, "{imports}");
    let told: Vec<_> = imports["data"].as_array().expect("a list").iter().map(|import| &import["status"]).collect();
    assert_eq!(told, ["completed", "completed"], "{imports}");
    assert_eq!(imports["data"][1]["counts"]["inserted"], 10, "{imports}");
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn an_import_that_dies_once_visible_is_completed_whatever_is_imported_next() {
    dies_once_visible(false).await;
    dies_once_visible(true).await;
}

#[tokio::test]
async fn an_import_that_dies_beside_a_server_is_written_down_by_the_server_or_the_next_import() {
    let deployment = Deployment::new().await;
    let serving = deployment.serve("");
    let (well, _) = deployment.import("import-before-commit=return", 10);
    assert!(!well, "it was killed");
    let told = async || {
        let (status, imports) = deployment.admin(&serving, Method::GET, "/imports", "", None).await.unwrap();
        assert_eq!(status, 200, "{imports}");
        let imports = imports["data"].as_array().expect("a list").clone();
        imports.iter().map(|import| import["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    deployment.let_leases_end().await;
    // In AWS a server looks once a minute.
    deployment.until("the server to notice", async || told().await == ["failed"]).await;
    let (well, _) = deployment.import("import-before-commit=return", 10);
    assert!(!well, "it was killed");
    deployment.let_leases_end().await;
    let (well, text) = deployment.import("", 20);
    assert!(well, "{text}");
    assert_eq!(told().await, ["completed", "failed", "failed"], "while the server runs");
    drop(serving);
    deployment.verify();
}

/// Whoever has the right secret all the same, and replaces it by itself, changes nothing, wherever that ends.
#[tokio::test]
async fn a_replacement_of_the_secret_by_itself_that_dies_keeps_nobody_out() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, "ana@example.org").await.unwrap();
    let key = deployment.check_invited(&serving, &user, "ana@example.org").await;
    drop(serving);
    let (well, said) = deployment.run("secret-replace-under-way=return", &["secret", "replace", "--yes"]);
    assert!(!well && said.contains("killed"), "{said}");
    let serving = deployment.serve("");
    assert!(deployment.admits(&serving, &key).await);
    deployment.invite(&serving, "ben@example.org").await.unwrap();
    drop(serving);
    deployment.verify();
}

/// A command that does not commit dies around the moment in which its answer is kept: nothing happens later.
async fn dies_while_answering(point: &str) {
    let deployment = Deployment::new().await;
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, "ana@example.org").await.unwrap();
    let path = format!("/users/{user}");
    drop(serving);
    let mut serving = deployment.serve(&format!("{point}=return"));
    let enable = async |serving: &Serving| {
        deployment.admin(serving, Method::PATCH, &path, "s1", Some(json!({ "status": "active" }))).await
    };
    enable(&serving).await.expect_err("it dies before it answers");
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    let (status, first) = enable(&serving).await.unwrap();
    assert_eq!(status, 200, "{first}");
    let disable = Some(json!({ "status": "disabled" }));
    deployment.admin(&serving, Method::PATCH, &path, "s2", disable).await.unwrap();
    assert_eq!(enable(&serving).await.unwrap(), (200, first));
    let (_, now) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
    assert_eq!(now["status"], "disabled", "{now}");
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn a_command_that_changed_nothing_is_answered_again_whenever_the_server_died() {
    dies_while_answering("answer-before-keeping").await;
    dies_while_answering("answer-kept").await;
}

/// A key expires a day from now: its owner is told by a process that dies at `failpoint`, or by the one after it. How many mails
/// there are in the end.
async fn dies_while_telling_of_an_end(failpoint: &str) -> usize {
    let deployment = Deployment::with(crate::MODE, POLICY, &[("PERMITD_MAIL_NOTICES_INTERVAL_S", "1")]).await;
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    deployment.settled(&serving, &user, ANA).await;
    let keys = format!("/users/{user}/keys");
    let key = deployment.keys(&serving, &user).await[0]["id"].as_str().unwrap().to_owned();
    drop(serving);
    // Its last notice is due in some seconds.
    let end = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(86_400 + 3)).unwrap();
    let end = end.to_string();
    let (well, text) = deployment.run("", &["keys", "change", &key, "--expires-at", &end]);
    assert!(well, "{text}");
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    let events = async |type_name: &str| {
        let path = format!("/users/{user}/events");
        let (status, events) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
        assert_eq!(status, 200, "{events}");
        events["data"].as_array().unwrap().iter().filter(|event| event["type"] == type_name).count()
    };
    deployment.until("the notice to be written down", async || events("NoticeMailed").await == 1).await;
    assert_eq!(events("ApiKeyExpiring").await, 1, "it was noticed once");
    let (status, shown) = deployment.admin(&serving, Method::GET, &format!("{keys}/{key}"), "", None).await.unwrap();
    assert_eq!((status, shown["revoked_at"].is_null()), (200, true), "{shown}");
    drop(serving);
    deployment.verify();
    deployment.mails().iter().filter(|mail| mail.to == ANA && mail.subject.contains("expires on")).count()
}

#[tokio::test]
async fn an_end_is_told_once_wherever_the_process_dies_before_the_event() {
    assert_eq!(dies_while_telling_of_an_end("notice-before").await, 1);
}

#[tokio::test]
async fn an_end_is_told_once_wherever_the_process_dies_before_the_mail() {
    for failpoint in ["append-after", "publish-before", "publish-after-send", "notice-after", "mailer-before-mail"] {
        assert_eq!(dies_while_telling_of_an_end(failpoint).await, 1, "{failpoint}");
    }
}

#[tokio::test]
async fn an_end_is_told_wherever_the_process_dies_between_the_mail_and_the_event() {
    // The one unavoidable duplicate (a mailer that names its files after the mail has one).
    assert!((1..=2).contains(&dies_while_telling_of_an_end("mailer-after-mail").await));
    assert_eq!(dies_while_telling_of_an_end("mailer-after-mailed").await, 1);
}

/// Hears of a bounce with a process that dies at `failpoint`.
async fn dies_while_told_of_a_bounce(failpoint: &str) {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    deployment.check_invited(&serving, &user, ANA).await;
    drop(serving);
    let bounce = json!({
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bouncedRecipients": [{ "emailAddress": ANA, "status": "5.1.1" }],
            "feedbackId": "one",
        },
        "mail": { "messageId": "m", "tags": { "permitd-user": [user] } },
    });
    deployment.place().put_message(&bounce.to_string()).await;
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    let path = format!("/users/{user}");
    let stop = async || {
        let (_, shown) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
        shown["mail_stop"] == "bounced"
    };
    deployment.until("that mail is stopped", stop).await;
    let is_done = async || {
        let (_, counters) = deployment.admin(&serving, Method::GET, "/admin/counters", "", None).await.unwrap();
        counters["queue"]["visible"] == 0 && counters["queue"]["in_flight"] == 0
    };
    deployment.until("that the message is done", is_done).await;
    let (_, events) = deployment.admin(&serving, Method::GET, &format!("{path}/events"), "", None).await.unwrap();
    let bounces = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "MailBounced").count();
    assert_eq!(bounces, 1, "{events}");
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn a_bounce_is_written_down_once_when_the_process_dies_before_the_event() {
    dies_while_told_of_a_bounce("feedback-before").await;
}

#[tokio::test]
async fn a_bounce_is_written_down_once_when_the_process_dies_before_the_acknowledgement() {
    dies_while_told_of_a_bounce("feedback-recorded").await;
    dies_while_told_of_a_bounce("mailer-before-ack").await;
}

/// Makes the first request of somebody to a process that dies at `failpoint` over writing that down.
async fn dies_over_a_first_request(failpoint: &str) {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, ANA).await.expect("an answer");
    deployment.settled(&serving, &user, ANA).await;
    drop(serving);
    let key = deployment.mailed(ANA)[0].clone();
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    // It may die before it has answered.
    if let Ok(status) = deployment.read(&serving, "/permits?limit=1", &key).await {
        assert_eq!(status, 200);
    }
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    assert_eq!(deployment.read(&serving, "/permits?limit=1", &key).await.unwrap(), 200);
    let path = format!("/users/{user}");
    let is_used = async || {
        let (_, shown) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
        shown["invitation"]["state"] == "used"
    };
    deployment.until("the first request to be written down", is_used).await;
    let (_, events) = deployment.admin(&serving, Method::GET, &format!("{path}/events"), "", None).await.unwrap();
    let accepted = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "InvitationAccepted");
    assert_eq!(accepted.count(), 1, "{events}");
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn a_first_request_is_written_down_once_wherever_the_process_dies() {
    dies_over_a_first_request("first-request-before").await;
    dies_over_a_first_request("first-request-after").await;
}
