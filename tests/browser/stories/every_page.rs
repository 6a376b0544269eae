//! Every page that there is, looked at by those who may see it, with much on it and with nothing.

use std::{collections::BTreeSet, path::Path, time::Instant};

use reqwest::Method;
use serde_json::json;

use super::entering::{enter, sign_in};
use crate::{
    chromium::PATIENCE,
    guard::Kind,
    look::Look,
    page::Browser,
    server::{PASSWORD, Server},
    support,
};

/// Who looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Anybody,
    Person,
    Administrator,
}

/// What a page's address is filled in with.
struct Ids {
    person: String,
    key: String,
    file: String,
    import: String,
    link: String,
}

/// A page: its template, its route, who looks at it, and what the parts of its route are.
struct Known {
    template: &'static str,
    route: &'static str,
    who: Who,
    path: fn(&Ids) -> String,
}

macro_rules! pages {
    ($($who:ident $template:literal $route:literal $(=> $path:expr)?;)*) => {
        &[$(Known { template: $template, route: $route, who: Who::$who, path: pages!(@ $route $($path)?) }),*]
    };
    (@ $route:literal) => { |_| $route.to_owned() };
    (@ $route:literal $path:expr) => { $path };
}

/// Add a page here when it is made: the test fails for one that is not named.
const PAGES: &[Known] = pages![
    Anybody "front" "/";
    Anybody "problem" "/problems";
    Anybody "problem" "/problems/{code}" => |_| "/problems/quota-exceeded".to_owned();
    Anybody "docs" "/docs";
    Anybody "docs/definitions" "/docs/definitions";
    Anybody "docs/reference" "/docs/reference";
    Anybody "docs/reference/operation" "/docs/reference/{operation}" => |_| "/docs/reference/permits_list".to_owned();
    Anybody "docs/reference/operation" "/docs/reference/{operation}" => |_| "/docs/reference/permits_changes".to_owned();
    Anybody "docs/reference/operation" "/docs/reference/{operation}" => |_| "/docs/reference/show_link".to_owned();
    Anybody "docs/reference" "/docs/admin";
    Anybody "docs/reference/operation" "/docs/admin/{operation}" => |_| "/docs/admin/invite_users".to_owned();
    Anybody "docs/reference/operation" "/docs/admin/{operation}" => |_| "/docs/admin/send_import".to_owned();
    Anybody "docs/reference/operation" "/docs/admin/{operation}" => |_| "/docs/admin/export_user".to_owned();
    Anybody "sign_in" "/sign-in";
    Anybody "sign_in/forgotten" "/sign-in/forgotten";
    Anybody "sign_in/forgotten" "/sign-in/forgotten/sent";
    Anybody "links" "/links/{token}" => |ids| ids.link.clone();
    Anybody "links" "/links/{token}" => |_| "/links/pml_over".to_owned();
    Anybody "about" "/{dataset}/about" => |_| "/permits/about".to_owned();
    Person "front" "/";
    Person "home" "/home";
    Person "home/usage" "/home/use";
    Person "home/examples" "/home/examples";
    Person "home/security" "/home/security";
    Person "home/key" "/home/keys/new";
    Person "home/key" "/home/keys/{key_id}" => |ids| format!("/home/keys/{}", ids.key);
    Person "explore" "/{dataset}/explore" => |_| "/permits/explore?limit=10&values-of=status&chart-of=status".to_owned();
    Person "explore/record" "/{dataset}/explore/{key}" => |_| "/permits/explore/NONE".to_owned();
    Administrator "admin/overview" "/admin";
    Administrator "admin/people" "/admin/people";
    Administrator "admin/people" "/admin/people" => |_| "/admin/people?search=nobody-at-all".to_owned();
    Administrator "admin/invite" "/admin/people/invite";
    Administrator "admin/person" "/admin/people/{id}" => |ids| format!("/admin/people/{}", ids.person);
    Administrator "admin/plans" "/admin/plans";
    Administrator "admin/plan" "/admin/plans/{name}" => |_| "/admin/plans/default".to_owned();
    Administrator "admin/data" "/admin/data";
    Administrator "admin/data_set" "/admin/data/{name}" => |_| "/admin/data/permits".to_owned();
    Administrator "admin/imports" "/admin/imports";
    Administrator "admin/import" "/admin/imports/{id}" => |ids| ids.import.clone();
    Administrator "admin/sent_file" "/admin/imports/files/{id}" => |ids| ids.file.clone();
    Administrator "admin/mail" "/admin/mail";
    Administrator "admin/undone" "/admin/undone";
    Administrator "admin/events" "/admin/events";
    Administrator "admin/events" "/admin/events" => |_| "/admin/events?since=never".to_owned();
    Administrator "admin/tokens" "/admin/tokens";
    Administrator "admin/health" "/admin/health";
];

/// Pages that an address alone does not lead to, and the story that has looked at them.
const TOLD_ELSEWHERE: &[(&str, &str, &str)] = &[
    ("again", "invited.rs", "accessible(\"a form again, the session over\")"),
    ("home/codes", "second_factor.rs", "accessible(\"recovery codes\")"),
    ("sign_in/code", "second_factor.rs", "accessible(\"the code is asked for\")"),
];

/// Routes below the pages that are no page of a template, or told elsewhere.
const NO_PAGE: [&str; 7] = [
    "/-/{folder}/{file}",
    "/admin/counters",
    "/admin/imports/{id}/rejects",
    "/home/security/codes",
    "/sign-in/code",
    "/openapi.json",
    "/openapi-admin.json",
];

/// Routes of pages that are not made where the others are.
const BEYOND: [&str; 4] = ["/links/{token}", "/{dataset}/about", "/{dataset}/explore", "/{dataset}/explore/{key}"];

fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The quoted texts that follow a word.
fn quoted_after<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
    text.split(word).skip(1).filter_map(|rest| rest.strip_prefix('"')?.split_once('"'))
}

#[test]
fn no_page_is_left_out() {
    let folder = support::repository().join("src/http/pages");
    let mut program = String::new();
    sources(&folder, &mut program);
    let readable = quoted_after(&program, "method::readable(").map(|(route, _)| route);
    let resources = quoted_after(&program, "method::resource(").filter(|(_, rest)| rest.starts_with(", \"GET"));
    let routes: BTreeSet<&str> = readable.chain(resources.map(|(route, _)| route)).collect();
    let known: BTreeSet<&str> = PAGES.iter().map(|page| page.route).chain(NO_PAGE).collect();
    let beyond: BTreeSet<&str> = BEYOND.into();
    assert!(routes.len() > 20, "{routes:?}");
    assert_eq!(known.difference(&beyond).copied().collect::<BTreeSet<_>>(), routes, "name each page in PAGES");

    let list = std::fs::read_to_string(folder.join("files.rs")).unwrap();
    let list = list.split_once("&folders![").unwrap().1.split_once("];").unwrap().0;
    let templates: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let elsewhere = TOLD_ELSEWHERE.iter().map(|(template, ..)| *template);
    let known: BTreeSet<&str> = PAGES.iter().map(|page| page.template).chain(elsewhere).collect();
    assert_eq!(known, templates, "name each template in PAGES");
    for (template, story, state) in TOLD_ELSEWHERE {
        let told = std::fs::read_to_string(support::repository().join("tests/browser/stories").join(story)).unwrap();
        assert!(told.contains(state), "{template}: {story} does not look at it any more");
    }
}

/// Opens every page that this person may see.
fn look_at_all(browser: &mut Browser, server: &Server, ids: &Ids, who: Who) {
    for page in PAGES.iter().filter(|page| page.who == who) {
        let path = (page.path)(ids);
        browser.go(&format!("{}{path}", server.told("url")));
        browser.sees("permitd");
        browser.accessible(&path);
    }
}

/// Fills a server: people in every state, keys, files, imports, tokens, plans.
async fn filled(server: &Server) -> (String, String) {
    server.member(&json!({ "email": "ada@example.org", "name": "Ada Adler", "role": "admin" })).await;
    let person = server.member(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    for (number, change) in [(0, json!({ "status": "disabled" })), (1, json!({ "role": "manager" }))] {
        let other = server.invite(&json!({ "email": format!("other{number}@example.org") })).await;
        server.send(Method::PATCH, &format!("/users/{other}"), &change).await;
    }
    let plan =
        json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 1000, "datasets": ["permits"], "keys_max": 5 });
    server.send(Method::PUT, "/plans/schools", &plan).await;
    server.send(Method::PATCH, &format!("/users/{person}"), &json!({ "plan": "schools" })).await;
    server.send(Method::POST, "/admin-tokens", &json!({ "name": "ci", "scopes": ["data"] })).await;
    let key = server.send(Method::POST, &format!("/users/{person}/keys"), &json!({ "label": "laptop" })).await;
    assert_eq!(server.status("/permits?limit=1", key["key"].as_str().unwrap()).await, 200);
    assert_eq!(server.status("/permits?wrong=1", key["key"].as_str().unwrap()).await, 400);
    (person, key["id"].as_str().unwrap().to_owned())
}

/// Brings a file, and tries it out; where both are told of.
fn file_and_import(browser: &mut Browser, server: &Server) -> (String, String) {
    browser.go(&format!("{}/admin/imports", server.told("url")));
    browser.choose_in("select[name=dataset]", "permits");
    browser.choose_file_in("input[name=file]", &server.folder.path().join("december.csv"));
    browser.loads(|browser| browser.click_on("main form[enctype] button"));
    let file = browser.url();
    browser.loads(|browser| browser.click_on("button[formaction$='/try']"));
    let deadline = Instant::now() + PATIENCE;
    while browser.evaluate("!!document.querySelector('[data-again]')") == true {
        assert!(Instant::now() < deadline, "the file is not tried out: {}", browser.text());
        browser.reload();
    }
    let path = |url: String| url.strip_prefix(server.told("url")).unwrap().to_owned();
    (path(file), path(browser.url()))
}

async fn all_pages_with(look: Look) {
    let server = Server::start();
    let (person, key) = filled(&server).await;
    server.invite(&json!({ "email": "new@example.org", "name": "Ned New" })).await;
    let link = server.link("new@example.org").await;
    let link = link.strip_prefix(server.told("url")).unwrap().to_owned();
    let Some(mut browser) = enter(&server, look.clone(), "ada@example.org", "/admin") else { return };
    let (file, import) = file_and_import(&mut browser, &server);
    let ids = Ids { person, key, file, import, link };
    for status in ["400 GET", "404 GET"] {
        browser.expect(Kind::Failed, status);
    }
    browser.go(&format!("{}/admin/imports/none", server.told("url")));
    browser.accessible("an import that there is not");
    look_at_all(&mut browser, &server, &ids, Who::Administrator);

    let mut person = browser.beside(look.clone(), &format!("{}/home", server.told("url")));
    person.expect(Kind::Failed, "404 GET");
    sign_in(&mut person, "ana@example.org");
    look_at_all(&mut person, &server, &ids, Who::Person);
    person.close();

    let mut anybody = browser.beside(look, server.told("url"));
    anybody.expect(Kind::Failed, "410 GET");
    look_at_all(&mut anybody, &server, &ids, Who::Anybody);
    anybody.close();
    browser.close();
}

#[tokio::test]
async fn every_page_can_be_used_by_everybody() {
    all_pages_with(Look::default()).await;
}

#[tokio::test]
async fn every_page_can_be_used_by_everybody_in_german_on_a_phone_without_scripts() {
    all_pages_with(Look::phone().without_scripts().in_language("de")).await;
}

/// A server on its first day: no data, nobody invited, nothing mailed.
#[tokio::test]
async fn every_page_can_be_used_on_the_first_day() {
    let server = Server::empty();
    let Some(mut browser) = Browser::open(server.told("sign_in_url")) else { return };
    browser.sees("Overview");
    for path in [
        "/admin",
        "/admin/people",
        "/admin/plans",
        "/admin/data",
        "/admin/imports",
        "/admin/mail",
        "/admin/undone",
        "/admin/events",
        "/",
    ] {
        browser.go(&format!("{}{path}", server.told("url")));
        browser.sees("permitd");
        browser.accessible(&format!("{path}, on the first day"));
    }
    server.invite(&json!({ "email": "ana@example.org" })).await;
    let mut person = browser.beside(Look::default(), &server.link("ana@example.org").await);
    person.fill("New password", PASSWORD);
    person.follow("Set password and sign in");
    for path in ["/home", "/home/use", "/home/examples", "/home/security"] {
        person.go(&format!("{}{path}", server.told("url")));
        person.sees("permitd");
        person.accessible(&format!("{path}, on the first day"));
    }
    person.close();
    browser.close();
}
