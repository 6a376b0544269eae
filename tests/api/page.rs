//! The pages for people.

use reqwest::Method;

use crate::app::{Answer, TestApp};

/// A page loads nothing from elsewhere, and its policy forbids it to.
fn is_self_contained(answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
    for elsewhere in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "@import", "url("] {
        assert!(!answer.body.contains(elsewhere), "{elsewhere}");
    }
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn the_documentation_brings_all_it_needs_and_its_files_are_kept() {
    let app = TestApp::start().await;
    let get = async |path: &str| app.send(app.request(Method::GET, path)).await;
    let page = get("/docs").await.expect(200);
    is_self_contained(&page);
    assert!(!page.body.contains("<script>") && !page.body.contains("style=") && !page.body.contains("<style"));
    assert!(!page.header("content-security-policy").unwrap().contains("unsafe"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    // Relative to the page: they are found below whatever path a proxy puts before it.
    let attributes = page.body.split(['"']).filter(|text| text.starts_with("docs/"));
    let files: Vec<String> = attributes.map(|path| format!("/{path}")).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for path in files {
        let file = get(&path).await.expect(200);
        assert!(file.header("cache-control").unwrap().contains("immutable"), "{path}");
        let media_type =
            if path.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!(file.header("content-type"), Some(media_type));
        // A page of another version finds the file, but must not keep it under that name.
        let (_, name) = path.rsplit_once('/').unwrap();
        let other = get(&format!("/docs/0000000000000000/{name}")).await.expect(200);
        assert_eq!((other.body == file.body, other.header("cache-control")), (true, Some("no-cache")));
    }
    get("/docs/0000000000000000/app.js").await.expect(404);
}

#[tokio::test]
async fn the_first_page_is_for_people_and_for_programs() {
    let app = TestApp::with_sample(5).await;
    let html = app.send(app.request(Method::GET, "/").header("accept", "text/html,*/*;q=0.8")).await.expect(200);
    is_self_contained_but_for_links(&html);
    assert!(html.body.contains("/admin") && html.body.contains("5 records"));
    assert!(html.body.contains("href=\"/docs\"") && html.body.contains("href=\"/openapi.json\""));
    let json = app.send(app.request(Method::GET, "/").header("accept", "application/json")).await.expect(200).json();
    assert_eq!(json["datasets"][0]["path"], "/permits");
    assert_eq!(json["datasets"][0]["records"], 5);
    assert_eq!((&json["docs"], &json["openapi"]), (&"/docs".into(), &"/openapi.json".into()));
}

fn is_self_contained_but_for_links(answer: &Answer) {
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(!answer.body.contains("<script") && !answer.body.contains("src="));
}

#[tokio::test]
async fn the_first_page_shows_a_request_once_there_is_data() {
    let home = async |app: &TestApp| {
        app.send(app.request(Method::GET, "/").header("accept", "text/html")).await.expect(200).body
    };
    let empty = home(&TestApp::start().await).await;
    assert!(empty.contains("Nothing has been imported yet") && !empty.contains("curl"), "{empty}");
    let app = TestApp::with_sample(5).await;
    let served = home(&app).await;
    assert!(served.contains(&format!("'{}'", app.url("/permits?limit=3"))), "{served}");
}
