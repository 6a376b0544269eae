//! HTTP to the letter: no request has two meanings, and none is answered behind the last one.

use crate::{app::TestApp, raw::Raw};

#[tokio::test]
async fn a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let app = TestApp::start().await;
    let head = "POST /users HTTP/1.1\r\nhost: x\r\n";
    for (wrong, says) in [
        (format!("{head}host: y\r\n\r\n"), "host is there more than once"),
        (format!("{head}x-api-key: a\r\nX-API-Key: b\r\n\r\n"), "x-api-key is there more than once"),
        (format!("{head}authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"), "authorization is"),
        (format!("{head}Idempotency-Key: a\r\nidempotency-key: a\r\n\r\n"), "idempotency-key is"),
        (format!("{head}if-match: \"1\"\r\nif-match: \"2\"\r\n\r\n"), "if-match is"),
        (format!("{head}content-type: application/json\r\ncontent-type: text/plain\r\n\r\n"), "content-type is"),
        (format!("{head}content-length: 2\r\ncontent-length: 2\r\n\r\n{{}}"), "content-length is"),
        (format!("{head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), "send one of them"),
        (format!("{head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "only be chunked"),
        (format!("{head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"), "space before the colon"),
        (format!("{head}a: b\r\n folded\r\n\r\n"), "second line"),
        (format!("{head}a: b\nc: d\r\n\r\n"), "bare line feed"),
        ("GET / HTTP/1.1\nhost: x\n\n".to_owned(), "bare line feed"),
        (format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n"), "size in hexadecimal"),
        ("GET /permits?filter=txt=\"a\" HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "%22"),
        ("GET /permits?txt=caf\u{e9} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "%C3%A9"),
        ("GET /permits?txt=two words HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "a space that must"),
        ("G%T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "not a method"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "host"),
        ("GET / HTTP/3.0\r\nhost: x\r\n\r\n".to_owned(), "HTTP/1.1"),
    ] {
        let mut raw = Raw::to_api(&app);
        raw.send(&wrong);
        raw.send("GET /problems HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = raw.answer().unwrap_or_else(|| panic!("no answer to {wrong:?}"));
        let detail = answer.problem(400, "invalid-request");
        assert!(detail.contains(says), "{wrong:?}: {detail}");
        assert!(answer.closes() && answer.head.contains("x-request-id: "), "{answer:?}");
        raw.ends_in_order();
    }
}

/// What people paste into curl: the answer, or a document that says what is to be encoded.
#[tokio::test]
async fn a_character_that_must_be_encoded_is_told() {
    let (app, key) = crate::data::serving(5).await;
    for (target, character, encoded) in [
        ("/permits?filter=status=\"issued\"", "24, the character \"", "%22"),
        ("/permits?status=caf\u{e9}", "20, the character \u{e9}", "%C3%A9"),
        ("/permits?estimated_cost>5", "24, the character >", "%3E"),
        ("/permits?status=a b", "18, a space", "%20"),
        ("/permits?status__contains=50%", "29, a % without", "%25"),
    ] {
        let mut raw = Raw::to_api(&app);
        raw.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n"));
        let refused = raw.answer().unwrap();
        assert!(refused.head.contains("content-type: application/problem+json"), "{}", refused.head);
        let detail = refused.problem(400, "invalid-request");
        let parts = [&format!("as character {character}"), encoded, "--data-urlencode"];
        assert!(parts.iter().all(|part| detail.contains(*part)), "{target}: {detail}");
    }
    for target in ["/permits?status__in=a|b", "/permits?status={a}", "/permits?status=[1]^`\\"] {
        let mut raw = Raw::to_api(&app);
        raw.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n"));
        assert_eq!(raw.answer().unwrap().status, 200, "{target}");
    }
}

#[tokio::test]
async fn a_head_beyond_what_is_read_is_refused() {
    let app = TestApp::start().await;
    let mut raw = Raw::to_api(&app);
    raw.send(format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "b".repeat(60_000)));
    raw.answer().unwrap().problem(431, "head-too-large");
    raw.ends_in_order();
    let mut raw = Raw::to_api(&app);
    raw.send(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "b".repeat(20_000)));
    raw.answer().unwrap().problem(414, "url-too-long");
}

#[tokio::test]
async fn a_refusal_comes_behind_the_answers_to_what_was_asked_before() {
    let app = TestApp::start().await;
    let mut raw = Raw::to_api(&app);
    raw.send("GET /problems HTTP/1.1\r\nhost: x\r\n\r\nGET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\nG@T");
    raw.send(" / HTTP/1.1\r\n\r\n");
    assert_eq!(raw.answer().unwrap().status, 200);
    assert!(raw.answer().unwrap().body.contains("openapi"));
    raw.answer().unwrap().problem(400, "invalid-request");
    raw.ends_in_order();
}

#[tokio::test]
async fn a_bad_chunk_is_answered_before_the_end() {
    let app = TestApp::start().await;
    let head = format!(
        "POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        app.admin_token
    );
    for pieces in [vec!["5\r\n{\"ema", "\r\nQ\r\n"], vec!["2\r\n{}\r\n", "0\r\nx\n"], vec!["-2\r\n{}\r\n"]] {
        let mut raw = Raw::to_api(&app);
        raw.send(&head);
        for piece in pieces {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            raw.send(piece);
        }
        assert!(raw.answer().unwrap().problem(400, "invalid-request").contains("chunk"));
        raw.ends_in_order();
    }
}

#[tokio::test]
async fn nothing_is_answered_behind_connection_close() {
    let app = TestApp::start().await;
    for last in [
        "GET /problems HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /problems HTTP/1.1\r\nhost: x\r\nConnection: keep-alive, Close\r\n\r\n",
        "GET /problems HTTP/1.0\r\n\r\n",
    ] {
        let mut raw = Raw::to_api(&app);
        raw.send(format!(
            "GET /problems HTTP/1.1\r\nhost: x\r\n\r\n{last}GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
        ));
        assert!(!raw.answer().unwrap().closes());
        assert!(raw.answer().unwrap().body.contains("problems"));
        raw.ends_in_order();
    }
}

#[tokio::test]
async fn who_wants_another_protocol_gets_the_answer_and_the_end() {
    let app = TestApp::start().await;
    // As some clients begin, which then speak HTTP/1.1.
    let mut raw = Raw::to_api(&app);
    raw.send(
        "GET /problems HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
         http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    let answer = raw.answer().unwrap();
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    raw.ends_in_order();
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_said_to() {
    let app = TestApp::start().await;
    for body in ["content-length: 10\r\n\r\n{", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let mut raw = Raw::to_api(&app);
        raw.send(format!(
            "POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{body}",
            app.admin_token
        ));
        raw.end();
        let detail = raw.answer().unwrap().problem(400, "invalid-request");
        assert_eq!(detail, "the connection ended before the body did");
        raw.ends_in_order();
    }
}

#[tokio::test]
async fn requests_that_are_sent_at_once_are_answered_one_by_one() {
    let app = TestApp::start().await;
    let mut raw = Raw::to_api(&app);
    let methods = ["GET", "HEAD", "GET", "GET", "HEAD", "HEAD", "GET"];
    let requests = methods.map(|method| format!("{method} /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"));
    raw.send(requests.concat());
    raw.end();
    for method in methods {
        let answer = raw.answer_to(method).unwrap();
        assert_eq!((answer.status, answer.body.is_empty()), (200, method == "HEAD"), "{method}");
    }
    raw.ends_in_order();
}

#[tokio::test]
async fn a_body_is_asked_for_before_it_is_sent() {
    let app = TestApp::start().await;
    let mut raw = Raw::to_api(&app);
    raw.send(format!(
        "POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        app.admin_token
    ));
    assert_eq!(raw.answer().unwrap().status, 100);
    raw.send("{}");
    raw.answer().unwrap().problem(400, "invalid-body");
    raw.send("GET /problems HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(raw.answer().unwrap().status, 200);
}

/// Who speaks HTTP/1.0 knows no chunks: their sizes would be lines of the file.
#[tokio::test]
async fn a_client_of_http_1_0_gets_an_export_that_ends_with_the_connection() {
    let app = TestApp::with_sample(5).await;
    for (who, more) in [("ana@example.org", ""), ("ben@example.org", "connection: keep-alive\r\n")] {
        let key = app.invite(who).await;
        let mut raw = Raw::to_api(&app);
        raw.send(format!("GET /permits?format=csv&select=status&limit=2 HTTP/1.0\r\nx-api-key: {key}\r\n{more}\r\n"));
        let text = raw.rest();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.contains(" 200 ") && !head.contains("transfer-encoding"), "{head}");
        assert!(!head.contains("keep-alive"), "{head}");
        let lines: Vec<&str> = body.lines().collect();
        assert!(lines.len() == 3 && lines[0].ends_with("status"), "{body:?}");
    }
}
