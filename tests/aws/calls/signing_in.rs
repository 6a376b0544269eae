//! What somebody calls who signs in, signs out and forgets their password.

use permitd::aws::Access;
use reqwest::Method;
use serde_json::{Value, json};

use super::counting::Counting;
use crate::app::{Answer, TestApp};

/// Counts them for somebody who was invited and has one key.
pub(super) async fn count(app: &TestApp, counting: &mut Counting<'_>, address: &str) {
    let access = app.place().access().await.expect("access to AWS");
    let post = |path: String, body: Value| async move { app.send(app.request(Method::POST, &path).json(&body)).await };
    let [invited] = links(&access, address).await.try_into().unwrap();
    let password = json!({ "password": "correct horse battery" });
    let set = post(invited.clone(), password.clone());
    counting.count("use of an invitation's link, which sets a password", &[("K", 1)], set).await.expect(200);
    let sign_in = || post("/sessions".to_owned(), json!({ "email": address, "password": password["password"] }));
    let session = counting.count("sign in by password", &[("K", 1)], sign_in()).await.expect(201).json();
    let token = session["token"].as_str().unwrap();
    let sign_out = app.send(app.request(Method::DELETE, "/sessions/current").bearer_auth(token));
    counting.count("sign out", &[("K", 1)], sign_out).await.expect(200);
    let ask = post("/password-resets".to_owned(), json!({ "email": address }));
    let asked: Answer = counting.count_with_message("forgotten password, up to the mail", &[("K", 1)], ask).await;
    asked.expect(202);
    let reset = links(&access, address).await.into_iter().find(|link| *link != invited).unwrap();
    let reset = post(reset, json!({ "password": "another horse battery" }));
    counting.count("use of the link of that mail", &[("K", 1)], reset).await.expect(200);
}

/// Counts how somebody signs in at the provider that the server has, from the way there to the session.
pub(super) async fn count_at_provider(app: &TestApp, counting: &mut Counting<'_>) {
    let redirect = reqwest::redirect::Policy::none();
    let browser = reqwest::Client::builder().redirect(redirect).no_proxy().build().unwrap();
    let sign_in = async {
        let begun = browser.get(app.url("/sign-in/provider")).header("accept", "text/html").send().await.unwrap();
        let visit = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let place = begun.headers()["location"].to_str().unwrap();
        let visited = browser.get(place).send().await.unwrap();
        let (_, query) = visited.headers()["location"].to_str().unwrap().split_once('?').unwrap();
        let back = app.url(&format!("/sign-in/provider/callback?{query}"));
        let back = browser.get(back).header("cookie", visit).header("accept", "application/json");
        app.send(back).await
    };
    let session = counting.count("sign in at a provider", &[("K", 1)], sign_in).await;
    assert!((200..300).contains(&session.status), "{}", session.body);
    let token = session.json()["token"].as_str().unwrap().to_owned();
    let sign_out = app.send(app.request(Method::DELETE, "/sessions/current").bearer_auth(token));
    counting.aside(sign_out).await.expect(200);
}

/// The links in the mails to an address, as the emulator has them.
async fn links(access: &Access, address: &str) -> Vec<String> {
    let url = format!("{}/_ministack/ses/messages", access.endpoints().ses.as_ref().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let mails = answer["messages"].as_object().unwrap().values().flat_map(|mails| mails.as_array().unwrap());
    let texts = mails.filter(|mail| mail["To"] == json!([address])).filter_map(|mail| mail["BodyText"].as_str());
    let path = |word: &str| word.find("/links/pml_").map(|at| word[at..].to_owned());
    texts.flat_map(str::split_whitespace).filter_map(path).collect()
}
