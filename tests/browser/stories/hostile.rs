//! Names and labels that want to be scripts.

use serde_json::json;

use crate::{page::Browser, server::Server};

const HOSTILE: &str = "\"><svg onload=window.__ran=1><script>window.__ran=1</script><img src=x onerror=window.__ran=1>";

/// Whatever somebody is called, it is shown as text. The guard of the browser fails the story when a script runs.
#[tokio::test]
async fn no_name_becomes_a_script() {
    let server = Server::start();
    let user = server.invite(&json!({ "email": "eve@example.org", "name": HOSTILE })).await;
    let key = json!({ "label": &HOSTILE[..70] });
    server.send(reqwest::Method::POST, &format!("/users/{user}/keys"), &key).await;
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    browser.sees("Overview");
    for path in ["/admin", "/admin/people", &format!("/admin/people/{user}"), "/admin/events"] {
        browser.go(&format!("{}{path}", server.told("url")));
        browser.sees("Administration");
        assert!(path == "/admin" || browser.text().contains("<svg onload"), "{path}: it is shown as it is");
    }
    // What stands in an address is shown again, too.
    for path in ["/admin/people?search=", "/sign-in?return_to="] {
        let query: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
        browser.go(&format!("{}{path}{query}", server.told("url")));
    }
    browser.close();

    let Some(mut browser) = Browser::open(&server.link("eve@example.org").await) else { return };
    browser.fill("New password", "a sentence that nobody guesses");
    browser.follow("Set password and sign in");
    for path in [
        "/home",
        "/home/use",
        "/home/examples",
        "/home/security",
        "/permits/explore?status=%22%3E%3Csvg%20onload%3Dwindow.__ran%3D1%3E",
    ] {
        browser.go(&format!("{}{path}", server.told("url")));
    }
    browser.close();
}
