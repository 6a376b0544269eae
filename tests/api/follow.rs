//! The log, sieved, line by line, and as it goes on.

use permitd::clock::ManualClock;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{Options, PATIENCE, TestApp};

fn parsed(body: &str) -> Vec<Value> {
    body.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

async fn invite(app: &TestApp, email: &str) -> String {
    let user = app.admin_send(Method::POST, "/users", &json!({ "email": email })).await.expect(201).json();
    app.mail_to(email, 1).await;
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    let mailed = async || (app.admin_get(&path).await.json()["status"] == "active").then_some(());
    app.eventually("the mail to be written down", mailed).await;
    path["/users/".len()..].to_owned()
}

#[tokio::test]
async fn the_log_is_sieved_by_type_time_and_person() {
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: clock.clone(), ..Options::default() }).await;
    let ana = invite(&app, "ana@example.org").await;
    clock.advance_us(3_600_000_000);
    invite(&app, "bob@example.org").await;
    let events = async |query: &str| {
        let page = app.admin_get(&format!("/events?{query}")).await.expect(200).json();
        page["data"].as_array().unwrap().clone()
    };
    assert_eq!(types(&events("type=UserInvited").await), ["UserInvited", "UserInvited"]);
    let of_ana = ["UserInvited", "ApiKeyIssued", "LinkIssued", "ApiKeyMailed"];
    assert_eq!(types(&events(&format!("person={ana}")).await), of_ana);
    assert_eq!(types(&events(&format!("person={ana}&type=ApiKeyMailed&order=newest")).await), ["ApiKeyMailed"]);
    assert_eq!(types(&events("since=2026-03-01T12:30:00Z&type=UserInvited").await), ["UserInvited"]);
    assert!(events("until=2026-03-01T12:30:00Z&type=UserInvited").await[0]["stream"].as_str().unwrap().contains(&ana));

    // Page by page: the same, none twice.
    let (mut path, mut seen) = ("/events?type=UserInvited&limit=1".to_owned(), Vec::new());
    loop {
        let page = app.admin_get(&path).await.expect(200).json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|event| event["position"].clone()));
        let Some(next) = page["page"]["next"].as_str() else { break };
        path = next.to_owned();
    }
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0], seen[1]);

    let wrong = app.admin_get("/events?type=UserInvite").await.expect(400).json();
    assert_eq!(wrong["invalid_params"][0]["did_you_mean"], "UserInvited");
    for query in ["since=noon", "person=ana", "follow=true&order=newest", "follow=true&format=json", "follow=yes"] {
        app.admin_get(&format!("/events?{query}")).await.expect(400);
    }
}

#[tokio::test]
async fn lines_are_all_that_is_wanted_each_with_its_place() {
    let app = TestApp::start().await;
    invite(&app, "ana@example.org").await;
    let lines = app.send(app.admin(Method::GET, "/events").header("accept", "application/x-ndjson")).await.expect(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.header("cache-control"), Some("no-store"));
    let all = parsed(&lines.body);
    let page = app.admin_get("/events").await.expect(200).json();
    assert_eq!(Value::from(all.clone()), page["data"]);
    assert!(!lines.body.contains("ana@example.org"), "sealed");
    let place = all[1]["position"].as_u64().unwrap();
    let rest = app.admin_get(&format!("/events?format=ndjson&after={place}")).await.expect(200);
    let expected: Vec<&Value> = all.iter().filter(|event| event["position"].as_u64().unwrap() > place).collect();
    assert_eq!(parsed(&rest.body).iter().collect::<Vec<_>>(), expected);
    let one = app.admin_get("/events?format=ndjson&limit=1").await.expect(200);
    assert!(parsed(&one.body).iter().all(|event| event["position"] == all[0]["position"]));
}

/// Reads lines until there are as many events.
async fn told(response: &mut Response, events: usize) -> Vec<Value> {
    let mut body = String::new();
    let read = async {
        while parsed_so_far(&body).len() < events {
            let chunk = response.chunk().await.unwrap().unwrap();
            body.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    parsed_so_far(&body)
}

fn parsed_so_far(body: &str) -> Vec<Value> {
    parsed(body.rfind('\n').map_or("", |end| &body[..end]))
}

#[tokio::test]
async fn a_follower_is_told_what_comes_and_ends_with_the_server() {
    let mut app = TestApp::start().await;
    invite(&app, "ana@example.org").await;
    let follow = app.admin(Method::GET, "/events?follow=true&type=UserInvited");
    let mut response = follow.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(told(&mut response, 1).await.len(), 1);
    invite(&app, "bob@example.org").await;
    let next = told(&mut response, 1).await;
    assert_eq!(types(&next), ["UserInvited"]);

    // Whoever was cut off begins again after the last place.
    let after = next[0]["position"].as_u64().unwrap();
    let mut again = app.admin(Method::GET, &format!("/events?follow=true&after={after}")).send().await.unwrap();
    assert_eq!(types(&told(&mut again, 3).await), ["ApiKeyIssued", "LinkIssued", "ApiKeyMailed"]);
    app.stop().await;
    while let Ok(Some(chunk)) = response.chunk().await {
        assert_eq!(&*chunk, b"\n");
    }
}

#[tokio::test]
async fn so_many_follow_and_no_more() {
    let app = TestApp::start().await;
    let mut followers = Vec::new();
    for _ in 0..16 {
        let response = app.admin(Method::GET, "/events?follow=true").send().await.unwrap();
        assert_eq!(response.status(), 200);
        followers.push(response);
    }
    let refused = app.admin_get("/events?follow=true").await.expect(503);
    assert!(refused.header("retry-after").is_some());
    app.admin_get("/events?format=ndjson").await.expect(200);
    followers.pop();
    let follows = async || {
        let response = app.admin(Method::GET, "/events?follow=true").send().await.unwrap();
        (response.status() == 200).then_some(())
    };
    app.eventually("a place", follows).await;
}
