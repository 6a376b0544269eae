//! Who comes from another product is told how it is done here; who comes with a browser can read it.

use reqwest::Method;
use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn the_grammar_of_other_products_is_refused_with_how_it_is_done_here() {
    let app = TestApp::set(&[], 10).await;
    let limits = serde_json::json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 1000 });
    app.admin_send(Method::PUT, "/plans/default", &limits).await.expect(200);
    let key = app.invite("ana@example.org").await;
    for (query, name, meant, words) in [
        ("status=eq.issued", "status", Some("status"), "status=issued"),
        ("status=neq.issued", "status", Some("status__ne"), "status__ne=issued"),
        ("estimated_cost=gt.5", "estimated_cost", Some("estimated_cost__gt"), "estimated_cost__gt=5"),
        ("description=like.*roof*", "description", Some("description__contains"), "description__contains=roof"),
        ("status=in.(issued,complete)", "status", Some("status__in"), "status__in=issued,complete"),
        ("%24where=status='issued'", "$where", Some("filter"), "filter="),
        ("%24limit=5", "$limit", Some("limit"), "limit="),
        ("%24offset=5", "$offset", Some("cursor"), "cursor="),
        ("%24select=status", "$select", Some("select"), "select=a,b"),
        ("%24order=status", "$order", Some("sort"), "sort=a,-b"),
        ("%24q=roof", "$q", Some("q"), "__contains"),
        ("offset=100", "offset", Some("cursor"), "page.next"),
        ("page=2", "page", Some("cursor"), "page.next"),
        ("per_page=5", "per_page", Some("limit"), "limit="),
        ("_size=5", "_size", Some("limit"), "limit="),
        ("order_by=status", "order_by", Some("sort"), "sort="),
        ("orderBy=status", "orderBy", Some("sort"), "sort="),
        ("fields=status", "fields", Some("select"), "select="),
        ("api_key=pmt_secret", "api_key", None, "x-api-key"),
    ] {
        let refused = app.get(&format!("/permits?{query}"), &key).await.expect(400);
        let param = refused.json()["invalid_params"][0].clone();
        assert_eq!((param["name"].as_str(), param["did_you_mean"].as_str()), (Some(name), meant), "{query}: {param}");
        assert!(param["reason"].as_str().unwrap().contains(words), "{query}: {param}");
        assert!(!refused.body.contains("pmt_secret"), "a key in the address is not repeated");
    }
    // A text that begins so by chance is asked for by its operator.
    let found = app.get("/permits?status__eq=eq.issued", &key).await.expect(200).json();
    assert_eq!(found["data"], Value::Array(Vec::new()));
    let one = app.get("/permits/201612013997?token=pmt_secret", &key).await.expect(400);
    assert!(one.json()["invalid_params"][0]["reason"].as_str().unwrap().contains("x-api-key"));
    let facets = app.get("/permits/facets?columns=status&per_page=5", &key).await.expect(400).json();
    assert_eq!(facets["invalid_params"][0]["did_you_mean"], "limit");
}

#[tokio::test]
async fn a_key_that_comes_in_another_way_is_told_the_one_that_is_read() {
    let app = TestApp::set(&[], 10).await;
    let key = app.invite("ana@example.org").await;
    let detail = async |request: reqwest::RequestBuilder| {
        let refused = app.send(request).await.expect(401);
        assert!(!refused.body.contains(&key), "{}", refused.body);
        assert_eq!(refused.json()["type"], "/problems/invalid-key");
        refused.json()["detail"].as_str().unwrap().to_owned()
    };
    let get = |path: &str| app.request(Method::GET, path);
    for path in ["/permits?api_key", "/permits/201612013997?access_token", "/permits?token", "/permits?whatever"] {
        let said = detail(get(&format!("{path}={key}"))).await;
        assert!(
            said.contains("logs and histories") && said.contains("x-api-key") && said.contains("replaced"),
            "{said}"
        );
    }
    assert!(detail(get("/permits").header("authorization", "Negotiate YII")).await.contains("the scheme"));
    assert!(detail(get("/permits").header("x-api-token", &key)).await.contains("the header x-api-token is not read"));
    // A wrong key where keys are read gets what a missing one gets, whatever else is there.
    let missing = detail(get("/permits")).await;
    assert_eq!(detail(get("/permits").header("x-api-key", "junk").bearer_auth("junk")).await, missing);
}

/// Every link of a mail, opened as a browser does.
#[tokio::test]
async fn the_links_of_a_mail_open_something_to_read() {
    let app = TestApp::set(&[], 10).await;
    app.invite("ana@example.org").await;
    let mail = app.mail_to("ana@example.org", 1).await;
    let base = app.url("");
    let mut links: Vec<&str> = mail
        .text
        .split(|c: char| c.is_whitespace() || "\"'<>".contains(c))
        .filter(|word| word.starts_with(&base))
        .map(|word| word.trim_end_matches(['.', ',']))
        .collect();
    links.sort_unstable();
    links.dedup();
    assert!(
        links.iter().any(|link| link.ends_with("/docs")) && links.iter().any(|link| link.ends_with("/permits")),
        "{links:?}"
    );
    for link in links {
        let path = link.strip_prefix(&base).unwrap();
        let path = if path.is_empty() { "/" } else { path };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let shown = app.send(app.request(Method::GET, path).header("accept", browser)).await;
        assert!(shown.header("content-type").unwrap().starts_with("text/html"), "{path}: {}", shown.body);
        assert!(shown.body.starts_with("<!doctype html>") && shown.body.contains("<a href="), "{path}: {}", shown.body);
    }
    // Programs get what they got, and a page says how to send the key.
    let page = app.send(app.request(Method::GET, "/permits").header("accept", "text/html")).await.expect(401);
    assert!(page.body.contains("x-api-key: …") && page.header("www-authenticate").is_some(), "{}", page.body);
    assert_eq!(app.send(app.request(Method::GET, "/permits")).await.expect(401).json()["status"], 401);
    let hostile = app.send(app.request(Method::GET, "/no<b>such").header("accept", "text/html")).await.expect(404);
    assert!(!hostile.body.contains("<b>"), "{}", hostile.body);
}
