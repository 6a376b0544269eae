//! Signing in with a server that dies: a session, its end, and the mail to who forgot their password.

use permitd::clock::SystemClock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, Serving},
    identity_server::{CLIENT, IdentityServer, SECRET},
};

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

/// A browser that has been at the provider: what it keeps, and the query with which it comes back.
struct Returning {
    visit: String,
    query: String,
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

impl Returning {
    async fn from_provider(serving: &Serving) -> Self {
        let begun = browser().get(format!("{}/sign-in/provider", serving.url)).send().await.unwrap();
        assert_eq!(begun.status(), 303);
        let visit = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let there = browser().get(begun.headers()["location"].to_str().unwrap()).send().await.unwrap();
        let back = reqwest::Url::parse(there.headers()["location"].to_str().unwrap()).unwrap();
        Self { visit, query: back.query().unwrap().to_owned() }
    }

    /// Comes back; the status and the session's token, if there is one.
    async fn come_back(&self, serving: &Serving) -> Result<(u16, Option<String>), reqwest::Error> {
        let path = format!("{}/sign-in/provider/callback?{}", serving.url, self.query);
        let request = browser().get(path).header("cookie", &self.visit).header("accept", "application/json");
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await?).unwrap_or(Value::Null);
        Ok((status, body["token"].as_str().map(ToOwned::to_owned)))
    }
}

/// Signs somebody in at a provider by a server that dies at `failpoint`. However often they come back with the same answer, which the
/// provider would take again, it comes to one session and one person.
async fn dies_while_signing_in_by_provider(failpoint: &str, is_invited: bool, left: (usize, usize)) {
    let provider = IdentityServer::start(SystemClock::shared().now());
    provider.knows(ANA);
    provider.is_told(|manners| manners.takes_codes_again = true);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap().to_string();
    drop(free);
    let further = [
        // The provider leads browsers to where they came from, which stays the same when the server starts again.
        ("PERMITD_LISTEN", listen.as_str()),
        ("PERMITD_OIDC_ISSUER", provider.issuer.as_str()),
        ("PERMITD_OIDC_CLIENT_ID", CLIENT),
        ("PERMITD_OIDC_CLIENT_SECRET", SECRET),
        ("PERMITD_OIDC_CREATE", "true"),
        ("PERMITD_OIDC_CREATE_DOMAINS", "example.org"),
    ];
    let deployment = Deployment::with(crate::MODE, crate::deployment::POLICY, &further).await;
    deployment.import("", 10);
    if is_invited {
        let serving = deployment.serve("");
        let user = deployment.invite(&serving, ANA).await.unwrap();
        deployment.check_invited(&serving, &user, ANA).await;
    }
    let mut serving = deployment.serve(&format!("{failpoint}=return"));
    let returning = Returning::from_provider(&serving).await;
    returning.come_back(&serving).await.expect_err("it dies before it answers");
    deployment.dies(&mut serving).await;

    let serving = deployment.serve("");
    let people = async || {
        let (status, listed) = deployment.admin(&serving, Method::GET, "/users", "", None).await.unwrap();
        assert_eq!(status, 200, "{listed}");
        let people = listed["data"].as_array().unwrap().iter();
        people.map(|user| user["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let sessions = async |user: &str| {
        let path = format!("/users/{user}/sessions");
        let (_, listed) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
        listed["data"].as_array().unwrap().len()
    };
    let found = people().await;
    let begun = match found.first() {
        Some(user) => sessions(user).await,
        None => 0,
    };
    assert_eq!((found.len(), begun), left, "{failpoint}");
    let (status_of_first, token) = returning.come_back(&serving).await.unwrap();
    assert_eq!((status_of_first, token.is_some()), if begun == 0 { (201, true) } else { (400, false) }, "{failpoint}");
    let (again, other) = returning.come_back(&serving).await.unwrap();
    assert_eq!((again, other), (400, None), "{failpoint}");
    let found = people().await;
    assert_eq!(found.len(), 1, "{failpoint}: {found:?}");
    assert_eq!(sessions(&found[0]).await, 1, "{failpoint}");
    let (anew, token) = Returning::from_provider(&serving).await.come_back(&serving).await.unwrap();
    assert_eq!(anew, 201, "{failpoint}");
    let token = token.unwrap();
    assert_eq!(status(&deployment, &serving, &token).await, 200);
    // Whoever does not know where the other came to ends all.
    let path = format!("/users/{}/sessions", found[0]);
    let (_, ended) = deployment.admin(&serving, Method::DELETE, &path, "", None).await.unwrap();
    assert_eq!(ended["ended"], 2, "{failpoint}");
    assert_eq!(status(&deployment, &serving, &token).await, 401);
    assert_eq!(people().await, found, "{failpoint}");
    deployment.check_invited(&serving, &found[0], ANA).await;
    drop(serving);
    deployment.verify();
}

#[tokio::test]
async fn an_answer_of_a_provider_begins_one_session_wherever_the_server_dies() {
    for (failpoint, begun) in [("provider-vouched", 0), ("session-start-before", 0), ("session-started", 1)] {
        dies_while_signing_in_by_provider(failpoint, true, (1, begun)).await;
    }
}

#[tokio::test]
async fn an_answer_of_a_provider_makes_one_person_wherever_the_server_dies() {
    for (failpoint, left) in [
        ("provider-vouched", (0, 0)),
        ("provider-person-created", (1, 0)),
        ("session-start-before", (1, 0)),
        ("session-started", (1, 1)),
    ] {
        dies_while_signing_in_by_provider(failpoint, false, left).await;
    }
}
