//! The pages in a real browser: the administrator's, clicked through as an administrator would, and the documentation. Needs Chromium (`make test-tools`
//! installs Debian's): without it the test is skipped, and fails where the variable `CI` is `true`.
//! `PERMITD_TEST_PICTURES=FOLDER` keeps pictures of what was shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod acts;
mod axe;
mod chromium;
mod guard;
mod guarded;
mod heard;
mod itself;
mod keys;
mod look;
mod page;
mod pictures;
mod prefix;
mod screenshots;
mod served;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod weights;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use guard::Kind;
use page::Browser;
use prefix::{BelowPrefix, PREFIX};
use serde_json::Value;
use support::Process;

/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A server of a new data directory with fifty records, whose outbox cannot be written as long as something is in the way.
struct Server {
    folder: tempfile::TempDir,
    _process: Process,
    ready: Value,
    client: reqwest::Client,
}

impl Server {
    fn start() -> Self {
        Self::listening("127.0.0.1:0", &[])
    }

    fn listening(listen: &str, variables: &[(&str, &str)]) -> Self {
        let folder = support::data_dir();
        let permitd = |arguments: &[&str]| {
            let mut command = support::permitd();
            command.current_dir(folder.path()).env("PERMITD_DATA", "data").env("PERMITD_LOG_FILTER", "error");
            command.env("PERMITD_QUEUE_RECEIVES_MAX", "1").args(arguments);
            command
        };
        let done = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
        done(&mut permitd(&["sample", "--rows", "50", "-o", "december.csv"]));
        done(&mut permitd(&["import", "december.csv", "--dataset", "permits"]));
        std::fs::write(folder.path().join("data/outbox"), "in the way").unwrap();
        let mut serve = permitd(&["serve", "--json", "--listen", listen, "--ops-listen", "127.0.0.1:0"]);
        serve.envs(variables.iter().copied());
        let (process, ready) = Process::start(&mut serve, |line| serde_json::from_str::<Value>(line).ok());
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { folder, _process: process, ready, client }
    }

    fn told(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    async fn status(&self, path: &str, key: &str) -> u16 {
        let request = self.client.get(format!("{}{path}", self.told("url"))).header("x-api-key", key);
        request.send().await.unwrap().status().as_u16()
    }

    /// A key of somebody who is invited for it.
    async fn key(&self) -> String {
        let post = async |path: &str, body: Value| -> Value {
            let request = self.client.post(format!("{}{path}", self.told("url"))).bearer_auth(self.told("admin_token"));
            request.json(&body).send().await.unwrap().json().await.unwrap()
        };
        let user = post("/users", serde_json::json!({ "email": "ida@example.org" })).await;
        let key = post(&format!("/users/{}/keys", user["id"].as_str().unwrap()), serde_json::json!({})).await;
        key["key"].as_str().unwrap().to_owned()
    }

    /// Looks as the administrator until the answer is as wanted. The page does not look again by itself.
    async fn until(&self, what: &str, path: &str, is_so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.client.get(format!("{}{path}", self.told("url"))).bearer_auth(self.told("admin_token"));
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            if is_so(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}: {answer}");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

#[tokio::test]
async fn an_administrators_day() {
    let server = Server::start();
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    // The page of today asks for all that it shows.
    browser.expect(Kind::Requests, "");
    browser.sees("Nobody has been invited yet.");
    browser.picture("people-none");
    let token = server.told("admin_token");
    assert!(
        !browser.addresses().concat().contains(token),
        "the token is taken out of the address: {:?}",
        browser.addresses()
    );

    // The data is there, and where it came from.
    browser.click("Data");
    browser.sees("San Francisco building permits");
    browser.sees("50 records, version 1");
    browser.sees("december.csv");
    let columns = browser.read("summary");
    browser.click(&columns);
    browser.sees("application_number");
    browser.picture("data");

    // A plan of one's own.
    browser.click("Plans");
    browser.sees("default");
    browser.fill("Name", "research");
    browser.click("Add");
    browser.click_within("section", "research", "Save");
    browser.sees("The plan research is saved.");
    browser.picture("plans");

    // An invitation whose mail does not go out.
    browser.click("People");
    browser.fill("Address", "ana@example.org");
    browser.fill("Name (optional)", "Ana <b>López</b>");
    browser.click("Invite");
    browser.sees("ana@example.org is invited.");
    browser.sees("Ana <b>López</b>");
    server.until("the dead letter", "/dead-letters", |letters| letters["data"][0]["id"].is_string()).await;
    browser.click("Dead letters");
    browser.sees("UserInvited");
    browser.sees("outbox");
    browser.picture("dead-letters");
    std::fs::remove_file(server.folder.path().join("data/outbox")).unwrap();
    browser.click("Send again");
    browser.sees("Every message was done");
    server.until("the mail", "/users", |users| users["data"][0]["status"] == "active").await;

    // She is shown with her key; another is made, works, and is revoked.
    browser.click("People");
    browser.sees("active");
    browser.picture("people");
    browser.click("ana@example.org");
    browser.sees("UserInvited");
    browser.fill("Label (optional)", "laptop");
    browser.click("Issue a key");
    browser.sees("This is the only time that the key is shown.");
    browser.picture("key");
    let key = browser.read("dialog .secret");
    assert_eq!(server.status("/permits/201612013997", &key).await, 200);
    browser.click("Done");
    browser.sees("laptop");
    assert!(!browser.text().contains(&key), "it was shown once");
    browser.click_within("tr", "laptop", "Revoke…");
    browser.sees("Revoke the key?");
    browser.click("Cancel");
    browser.sees_no("Revoke the key?");
    assert_eq!(server.status("/permits/201612013997", &key).await, 200, "nothing happened");
    browser.click_within("tr", "laptop", "Revoke…");
    browser.click("Revoke");
    browser.sees("The key was revoked.");
    assert_eq!(server.status("/permits/201612013997", &key).await, 401);
    browser.picture("person");

    // The end of her.
    browser.click("Delete…");
    browser.sees("Delete ana@example.org?");
    browser.picture("delete");
    browser.click("Delete");
    browser.sees("ana@example.org was deleted.");
    browser.sees("Erased person");
    browser.click("← People");
    browser.sees("(erased)");
    browser.reload();
    browser.sees("(erased)");
    assert!(!browser.text().contains("ana@") && !browser.text().contains("López"));

    browser.click("Events");
    browser.sees("UserDeleted");
    browser.picture("events");
    browser.click("Counters");
    for panel in ["Gate", "Commits", "Mailers", "Relay", "Importer", "Queue"] {
        browser.sees(panel);
    }
    browser.picture("counters");
    browser.click("Sign out");
    browser.sees("Administrator's token");
    browser.reload();
    browser.sees("Administrator's token");
    browser.picture("signed-out");

    browser.close();
}

/// Gives the documentation's page a key to try requests with.
fn authorize(browser: &mut Browser, key: &str, picture: &str) {
    browser.click_on(".auth-wrapper .authorize");
    browser.sees("An administrator's token");
    // The cookie of a session, which comes later, has a field of the same name.
    let first = ":nth-child(1 of .auth-container:has(#api_key_value))";
    browser.fill_in(&format!("{first} #api_key_value"), key);
    browser.picture(picture);
    browser.click_on(&format!("{first} .authorize"));
    browser.sees("Logout");
    browser.click_on(".modal-ux .close-modal");
}

/// Opens what stands there about pages of permits; returns where that is.
fn open_list(browser: &mut Browser) -> &'static str {
    let list = "#operations-permits-permits_list";
    browser.click_on(&format!("{list} .opblock-summary-control"));
    browser.sees("Conditions on 32 columns");
    list
}

#[tokio::test]
async fn the_documentation_is_read_and_tried() {
    let server = Server::start();
    let own = format!("{}/", server.told("url"));
    let Some(mut browser) = Browser::open(&format!("{own}docs")) else { return };
    // The page of today asks for all that it shows.
    browser.expect(Kind::Requests, "");
    for shown in [
        "San Francisco building permits",
        "/permits/{key}/{record_id}",
        "/permits/facets",
        "/users/{id}/keys",
        "/plans",
    ] {
        browser.sees(shown);
    }
    browser.picture("docs");

    // With a key of one's own a request is tried.
    authorize(&mut browser, &server.key().await, "docs-authorize");
    let list = open_list(&mut browser);
    assert!(!browser.text().contains("estimated_cost__between"), "conditions are shown as they are chosen");
    browser.click_on(&format!("{list} .try-out__btn"));
    browser.choose_in(&format!("{list} .conditions select"), "estimated_cost");
    browser.sees("estimated_cost__between");
    browser.picture("docs-conditions");
    browser.fill_in("tr[data-param-name='estimated_cost__gte'] input", "1");
    browser.click_on(&format!("{list} .execute"));
    browser.sees("\"application_number\": \"#");
    browser.picture("docs-answer");
    browser.resize(400);
    browser.picture("docs-narrow");
    let wide = browser.wider_than_the_window();
    assert!(wide.is_empty(), "nothing is wider than a narrow screen: {wide:?}");

    let requests = browser.requests();
    assert!(
        requests.iter().any(|url| url.contains("/permits?") && url.contains("estimated_cost__gte=1")),
        "{requests:?}"
    );
    browser.close();
}

/// A proxy serves the API below a path and takes it off: every page, what it loads, its links and what is tried stay below it.
#[tokio::test]
async fn the_pages_work_below_a_path_prefix() {
    let address = support::own_address();
    let proxy = BelowPrefix::before(address);
    let server = Server::listening(&address.to_string(), &[("PERMITD_PUBLIC_URL", &proxy.url)]);
    assert_eq!(server.told("url"), proxy.url);
    let key = server.key().await;
    let Some(mut browser) = Browser::open(&format!("{}/", proxy.url)) else { return };
    // The page of today asks for all that it shows.
    browser.expect(Kind::Requests, "");
    browser.sees("San Francisco building permits");
    browser.click("All there is to ask, and a place to try it");
    browser.sees("/permits/{key}/{record_id}");
    browser.sees(&proxy.url);
    browser.picture("prefix-docs");
    authorize(&mut browser, &key, "prefix-authorize");
    let list = open_list(&mut browser);
    browser.click_on(&format!("{list} .try-out__btn"));
    browser.click_on(&format!("{list} .execute"));
    browser.sees("\"application_number\": \"#");
    browser.picture("prefix-answer");
    assert!(browser.requests().iter().any(|url| url.starts_with(&format!("{}/permits", proxy.url))));

    // From the documentation to what problems mean, and back by their links.
    browser.click("Problems");
    browser.sees("How this server says no");
    browser.click("A valid API key is required");
    browser.sees("401 Unauthorized");
    browser.picture("prefix-problem");
    browser.click("All problems");
    browser.sees("How this server says no");

    browser.go(server.told("sign_in_url"));
    browser.sees("ida@example.org");
    browser.click("Data");
    browser.sees("50 records, version 1");
    assert_eq!(proxy.strays(), Vec::<String>::new(), "nothing is asked for outside of {PREFIX}");
    browser.close();
}

/// A person is shown, their mail goes out, and the administrator changes what they see: that is still meant. What somebody else has
/// changed of it is not.
#[tokio::test]
async fn what_is_still_meant_is_done_and_what_is_not_is_refused() {
    let server = Server::start();
    let send = async |method: reqwest::Method, path: &str, body: Value| -> Value {
        let request = server.client.request(method, format!("{}{path}", server.told("url")));
        let request = request.bearer_auth(server.told("admin_token")).json(&body);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    };
    let limits = serde_json::json!({ "rate_per_s": 1, "burst": 2, "quota_per_day": 3 });
    for plan in ["/plans/large", "/plans/small"] {
        send(reqwest::Method::PUT, plan, limits.clone()).await;
    }
    let user = send(reqwest::Method::POST, "/users", serde_json::json!({ "email": "eva@example.org" })).await;
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    let plan = async |path: &str| send_get(&server, path).await["plan"].clone();
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    // The page of today asks for all that it shows.
    browser.expect(Kind::Requests, "");
    browser.expect(Kind::Failed, "412 PATCH");
    browser.click("eva@example.org");
    browser.sees("What happened");
    send(reqwest::Method::POST, &format!("{path}/keys"), serde_json::json!({})).await;
    browser.choose_in("select[aria-label=Plan]", "large");
    browser.sees("Changed.");
    // The page has read the person anew by now, and shows what it knows.
    browser.sees("version 4");
    assert_eq!(plan(&path).await, "large");
    send(reqwest::Method::PATCH, &path, serde_json::json!({ "plan": "default" })).await;
    browser.choose_in("select[aria-label=Plan]", "small");
    browser.sees("It has changed meanwhile");
    assert_eq!(plan(&path).await, "default");
    browser.close();
}

async fn send_get(server: &Server, path: &str) -> Value {
    let request = server.client.get(format!("{}{path}", server.told("url"))).bearer_auth(server.told("admin_token"));
    request.send().await.unwrap().json().await.unwrap()
}
