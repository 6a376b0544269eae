//! The pages for people.

use permitd::http::ProblemCode;
use reqwest::Method;

use crate::app::{Answer, TestApp};

/// As a browser asks.
async fn page(app: &TestApp, path: &str) -> Answer {
    app.send(app.request(Method::GET, path).header("accept", "text/html,*/*;q=0.8")).await
}

#[tokio::test]
async fn a_page_asks_for_one_style_and_one_script_which_are_kept() {
    let app = TestApp::with_sample(5).await;
    for path in [
        "/",
        "/permits/about",
        "/sign-in",
        "/problems",
        "/problems/not-found",
        "/docs",
        "/docs/definitions",
        "/docs/reference",
        "/docs/reference/permits_list",
        "/docs/admin",
        "/docs/admin/list_users",
    ] {
        let shown = page(&app, path).await.expect(200);
        let policy = shown.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        for inline in ["<style", " style=", "<script>", " onclick=", "src=\"http", "src=\"//"] {
            assert!(!shown.body.contains(inline), "{path}: {inline}");
        }
        let files: Vec<&str> = shown.body.split('"').filter(|text| text.starts_with("/-/")).collect();
        assert_eq!(files.len(), 2, "{path}: {files:?}");
        for file in files {
            let file = app.send(app.request(Method::GET, file)).await.expect(200);
            assert!(file.header("cache-control").unwrap().contains("immutable"));
            assert!(!file.body.contains("@import") && !file.body.contains("innerHTML"), "{path}");
        }
    }
    let old = app.send(app.request(Method::GET, "/-/0000000000000000/style.css")).await.expect(200);
    assert_eq!(old.header("cache-control"), Some("no-cache"), "a page of another version must not keep it");
    app.send(app.request(Method::GET, "/-/0000000000000000/other.css")).await.expect(404);
}

#[tokio::test]
async fn pages_speak_the_readers_language() {
    let app = TestApp::with_sample(5).await;
    let german =
        app.request(Method::GET, "/sign-in").header("accept", "text/html").header("accept-language", "de-CH,en;q=0.5");
    let german = app.send(german).await.expect(200);
    assert!(german.body.contains("<html lang=\"de\">") && german.body.contains("Anmelden"), "{}", german.body);
    assert!(page(&app, "/sign-in").await.body.contains("<html lang=\"en\">"));
}

#[tokio::test]
async fn whoever_opens_an_address_of_the_api_without_a_key_is_told_how_to_get_in() {
    let app = TestApp::with_sample(5).await;
    let refused = page(&app, "/permits?status=issued").await.expect(401);
    assert!(refused.body.contains("You need a key, or you sign in"), "{}", refused.body);
    assert!(refused.body.contains("/sign-in?return_to="), "{}", refused.body);
    assert!(refused.header("www-authenticate").is_some());
    let program = app.send(app.request(Method::GET, "/permits")).await.expect(401);
    assert_eq!(program.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn a_form_counts_from_this_servers_own_pages_alone() {
    let app = TestApp::start().await;
    let shown = page(&app, "/sign-in").await.expect(200);
    let cookie = shown.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = shown.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let send = async |cookie: Option<&str>, token: &str, fields: &[(&'static str, &str)]| {
        let form = |name: &str, value: &str| format!("{name}={}", value.replace('+', "%2B"));
        let body = [form("csrf", token), form("token", &app.admin_token)].join("&");
        let mut request = client.post(app.url("/sign-in/token")).header("accept", "text/html");
        request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        for (name, value) in cookie.map(|cookie| ("cookie", cookie)).into_iter().chain(fields.iter().copied()) {
            request = request.header(name, value);
        }
        app.send(request).await
    };
    assert_eq!(send(Some(&cookie), &token, &[]).await.status, 303);
    let own = [("sec-fetch-site", "same-origin")];
    assert_eq!(send(Some(&cookie), &token, &own).await.status, 303);
    for (cookie, token, fields) in [
        (None, token.as_str(), &[][..]),
        (Some(cookie.as_str()), "", &[]),
        (Some("permitd-form=another"), &token, &[]),
        (Some(&cookie), &token, &[("sec-fetch-site", "cross-site")]),
        (Some(&cookie), &token, &[("origin", "https://evil.example")]),
    ] {
        let refused = send(cookie, token, fields).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{}", refused.body);
    }
}

#[tokio::test]
async fn the_first_page_is_for_people_and_for_programs() {
    let app = TestApp::with_sample(5).await;
    let html = app.send(app.request(Method::GET, "/").header("accept", "text/html,*/*;q=0.8")).await.expect(200);
    assert!(html.body.contains("5 records") && html.body.contains("href=\"/permits/about\""), "{}", html.body);
    assert!(html.body.contains("href=\"/docs\"") && html.body.contains("href=\"/sign-in\""));
    let json = app.send(app.request(Method::GET, "/").header("accept", "application/json")).await.expect(200).json();
    assert_eq!(json["datasets"][0]["path"], "/permits");
    assert_eq!(json["datasets"][0]["records"], 5);
    for (name, path) in [
        ("docs", "/docs"),
        ("reference", "/docs/reference"),
        ("reference_admin", "/docs/admin"),
        ("openapi", "/openapi.json"),
        ("openapi_admin", "/openapi-admin.json"),
    ] {
        assert_eq!(json[name], path);
        app.send(app.request(Method::GET, path)).await.expect(200);
    }
}

#[tokio::test]
async fn the_first_page_says_what_is_missing() {
    let empty = TestApp::start().await;
    assert!(page(&empty, "/").await.body.contains("No data set is shown to everybody here"));
}

#[tokio::test]
async fn every_problem_has_a_page() {
    let app = TestApp::start().await;
    let list = page(&app, "/problems").await.expect(200);
    for code in ProblemCode::ALL {
        assert!(list.body.contains(&format!("href=\"{}\"", code.path())), "{}", code.slug());
        let shown = page(&app, code.path()).await.expect(200);
        assert_eq!(shown.header("content-type"), Some("text/html; charset=utf-8"));
        let explanation = code.explanation().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let explanation = explanation.replace('"', "&quot;").replace('\'', "&#39;");
        assert!(shown.body.contains(&explanation), "{}", code.slug());
    }
    let missing = app.send(app.request(Method::GET, "/problems/none-of-them")).await.expect(404);
    assert_eq!(missing.json()["type"], "/problems/not-found");
}

/// What was answered to a browser that takes this coding: how it is coded, what else the caches are told, and the text.
async fn coded(app: &TestApp, path: &str, coding: &str) -> (Option<String>, String, Vec<u8>) {
    let request = app.request(Method::GET, path).header("accept", "text/html").header("accept-encoding", coding);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let field = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (kind, vary) = (field("content-encoding"), field("vary").unwrap_or_default());
    let sent = response.bytes().await.unwrap();
    let mut plain = Vec::new();
    match kind.as_deref() {
        Some("gzip") => drop(std::io::copy(&mut flate2::read::GzDecoder::new(&*sent), &mut plain).unwrap()),
        Some("br") => drop(std::io::copy(&mut brotli::Decompressor::new(&*sent, 4096), &mut plain).unwrap()),
        Some("zstd") => plain = zstd::stream::decode_all(&*sent).unwrap(),
        Some(other) => panic!("{path}: {other}"),
        None => plain = sent.to_vec(),
    }
    (kind, vary, plain)
}

#[tokio::test]
async fn pages_and_their_files_come_compressed_to_whoever_takes_that() {
    let app = TestApp::start().await;
    let shown = page(&app, "/problems").await.expect(200);
    let files = shown.body.split('"').filter(|text| text.starts_with("/-/")).map(ToOwned::to_owned);
    for path in files {
        let (kind, vary, plain) = coded(&app, &path, "identity").await;
        assert_eq!((kind, vary.as_str()), (None, "Accept-Encoding"), "{path}");
        // The second time it is the one that was kept.
        for coding in ["gzip", "br", "zstd", "gzip", "br", "zstd"] {
            let (kind, vary, text) = coded(&app, &path, coding).await;
            assert_eq!((kind.as_deref(), vary.as_str()), (Some(coding), "Accept-Encoding"), "{path}");
            assert!(text == plain, "{path} in {coding}");
        }
    }
    for coding in ["gzip", "br", "zstd"] {
        let (kind, vary, text) = coded(&app, "/problems", coding).await;
        assert_eq!(kind.as_deref(), Some(coding));
        assert!(
            vary.contains("Accept-Encoding") && vary.contains("Cookie") && vary.contains("Accept-Language"),
            "{vary}"
        );
        assert!(String::from_utf8(text).unwrap().trim_end().ends_with("</html>"));
    }
}
