//! Signing in with a server that dies: a session, its end, and the mail to who forgot their password.

use reqwest::Method;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Serving};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";
/// What a hash costs is not what is tested.
const CHEAP: [(&str, &str); 2] =
    [("PERMITD_ACCOUNTS_ARGON2_MEMORY_KIB", "16"), ("PERMITD_ACCOUNTS_ARGON2_ITERATIONS", "1")];

async fn deployment() -> Deployment {
    let deployment = Deployment::with(crate::MODE, crate::deployment::POLICY, &CHEAP).await;
    deployment.import("", 10);
    deployment
}

async fn ask(
    deployment: &Deployment,
    serving: &Serving,
    (method, path): (Method, &str),
    token: &str,
    body: Value,
) -> Result<(u16, Value), reqwest::Error> {
    deployment.with_token(serving, method, path, (token, ""), Some(body)).await
}

/// Invites somebody who sets a password; their id.
async fn member(deployment: &Deployment, serving: &Serving) -> String {
    let user = deployment.invite(serving, ANA).await.unwrap();
    deployment.check_invited(serving, &user, ANA).await;
    let link = deployment.mails()[0].links[0].clone();
    let (status, said) =
        ask(deployment, serving, (Method::POST, &link), "", json!({ "password": PASSWORD })).await.unwrap();
    assert_eq!(status, 200, "{said}");
    user
}

async fn sign_in(deployment: &Deployment, serving: &Serving) -> Result<String, reqwest::Error> {
    let given = json!({ "email": ANA, "password": PASSWORD });
    let (status, session) = ask(deployment, serving, (Method::POST, "/sessions"), "", given).await?;
    assert_eq!(status, 201, "{session}");
    Ok(session["token"].as_str().unwrap().to_owned())
}

async fn status(deployment: &Deployment, serving: &Serving, token: &str) -> u16 {
    deployment.with_token(serving, Method::GET, "/me", (token, ""), None).await.unwrap().0
}

/// Signs out from a server that dies at `failpoint`; whether the session has ended by then.
async fn dies_while_signing_out(failpoint: &str) -> bool {
    let deployment = deployment().await;
    let serving = deployment.serve("");
    member(&deployment, &serving).await;
    let (mine, other) = (sign_in(&deployment, &serving).await.unwrap(), sign_in(&deployment, &serving).await.unwrap());
    drop(serving);
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    ask(&deployment, &serving, (Method::DELETE, "/sessions/current"), &mine, json!({}))
        .await
        .expect_err("it dies before it answers");
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    let has_ended = status(&deployment, &serving, &mine).await == 401;
    if !has_ended {
        let (out, _) =
            ask(&deployment, &serving, (Method::DELETE, "/sessions/current"), &mine, json!({})).await.unwrap();
        assert_eq!(out, 200);
    }
    assert_eq!((status(&deployment, &serving, &mine).await, status(&deployment, &serving, &other).await), (401, 200));
    drop(serving);
    deployment.verify();
    has_ended
}

#[tokio::test]
async fn a_session_whose_end_was_written_has_ended_and_another_can_be_ended_again() {
    assert!(!dies_while_signing_out("session-end-before").await);
    assert!(dies_while_signing_out("session-end-after").await);
}

#[tokio::test]
async fn a_session_that_nobody_was_told_of_is_of_no_use_and_can_be_ended() {
    let deployment = deployment().await;
    let serving = deployment.serve("");
    let user = member(&deployment, &serving).await;
    drop(serving);
    let mut serving = deployment.serve("session-started=return");
    sign_in(&deployment, &serving).await.expect_err("it dies before it answers");
    deployment.dies(&mut serving).await;
    let serving = deployment.serve("");
    let path = format!("/users/{user}/sessions");
    let (_, listed) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    let token = sign_in(&deployment, &serving).await.unwrap();
    let (_, ended) = deployment.admin(&serving, Method::DELETE, &path, "", None).await.unwrap();
    assert_eq!(ended["ended"], 2);
    assert_eq!(status(&deployment, &serving, &token).await, 401);
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn a_mail_to_who_forgot_their_password_is_sent_again_with_the_same_link() {
    for (failpoint, mails) in [("mailer-before-mail", 1), ("mailer-after-mail", 2), ("mailer-after-mailed", 1)] {
        let deployment = deployment().await;
        let serving = deployment.serve("");
        member(&deployment, &serving).await;
        drop(serving);
        let mut serving = deployment.serve(&format!("{failpoint}=return"));
        let asked = ask(&deployment, &serving, (Method::POST, "/password-resets"), "", json!({ "email": ANA })).await;
        assert!(asked.is_err() || asked.is_ok_and(|(status, _)| status == 202));
        deployment.dies(&mut serving).await;
        let serving = deployment.serve("");
        let links = || -> Vec<String> {
            deployment.mails().into_iter().filter(|mail| mail.key.is_none()).flat_map(|mail| mail.links).collect()
        };
        deployment.until("the mail", async || links().len() >= mails).await;
        let links = links();
        assert!(links.len() == mails && links.iter().all(|link| *link == links[0]), "{failpoint}: {links:?}");
        let new = json!({ "password": "another long password" });
        let (status, said) = ask(&deployment, &serving, (Method::POST, &links[0]), "", new.clone()).await.unwrap();
        assert_eq!(status, 200, "{said}");
        let (status, _) = ask(&deployment, &serving, (Method::POST, &links[0]), "", new).await.unwrap();
        assert_eq!(status, 410);
        drop(serving);
        deployment.verify();
    }
}
