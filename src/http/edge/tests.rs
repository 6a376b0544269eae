use actix_web::{App, HttpRequest, HttpResponse, body::to_bytes, http::header::HeaderMap, test, web};
use serde_json::Value;

use super::*;
use crate::{
    clock::ManualClock,
    config::{LoadFrom, Settings},
    http::{JsonBody, configure, method},
    secrets::SeededEntropy,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    count: u8,
}

struct RawAnswer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl RawAnswer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Checks what all problems have in common, and returns the document.
    fn problem(&self, status: u16, slug: &str) -> Value {
        let document = self.json();
        assert_eq!((self.status, document["status"].as_u64()), (status, Some(u64::from(status))), "{document}");
        assert_eq!(document["type"], format!("/problems/{slug}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(document["instance"], self.header("x-request-id"));
        document
    }
}

async fn ask(origins: &str, request: test::TestRequest) -> RawAnswer {
    let variables = [
        ("PERMITD_HTTP_CORS_ALLOWED_ORIGINS", origins),
        ("PERMITD_HTTP_BODY_BYTES_MAX", "1024"),
        ("PERMITD_HTTP_URL_BYTES_MAX", "256"),
    ];
    let env = variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
    let settings = Settings::load(LoadFrom { config_file: None, env, overrides: &[] }).unwrap().http;
    let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
    let app = App::new()
        .service(method::readable("/things/{number}", |number: web::Path<u32>| async move { number.to_string() }))
        .service(method::resource("/inputs", "POST").route(web::post().to(|input: JsonBody<Input>| async move {
            HttpResponse::Ok().body(format!("{} in {} bytes", input.value.count, input.bytes.len()))
        })))
        .service(method::readable("/panic", || async { panic!("at the disco") as HttpResponse }))
        .service(method::readable("/fault", || async { Err::<HttpResponse, _>(Problem::internal("disk 7")) }))
        .service(method::readable(
            "/id",
            |request: HttpRequest| async move { RequestId::of(&request).unwrap().to_string() },
        ))
        .configure(configure(&settings))
        .wrap(Edge::new(&settings, clock, Arc::new(SeededEntropy::new(1))));
    let app = test::init_service(app).await;
    let response = match app.call(request.to_request()).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body()).await.unwrap();
    RawAnswer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn get(path: &str) -> test::TestRequest {
    test::TestRequest::get().uri(path)
}

fn post(body: &'static str) -> test::TestRequest {
    test::TestRequest::post().uri("/inputs").insert_header(("content-type", "application/json")).set_payload(body)
}

#[actix_web::test]
async fn every_answer_carries_the_request_id_and_is_not_sniffed() {
    let answer = ask("*", get("/id").insert_header(("x-request-id", "mine-1"))).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("x-request-id")), (200, "mine-1", "mine-1"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let answer = ask("*", get("/id")).await;
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(answer.body, answer.header("x-request-id"));
}

#[actix_web::test]
async fn what_cannot_be_answered_is_a_problem() {
    ask("*", get("/nothing/here")).await.problem(404, "unknown-path");
    ask("*", get("/things/seven")).await.problem(400, "invalid-parameters");
    let answer = ask("*", test::TestRequest::delete().uri("/things/7")).await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD");
    let answer = ask("*", get("/inputs")).await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "POST");
    let answer = ask("*", test::TestRequest::with_uri("/things/7").method(Method::HEAD)).await;
    assert_eq!(answer.status, 200);
    ask("*", get(&format!("/things/7?{}", "x".repeat(256)))).await.problem(414, "url-too-long");
}

#[actix_web::test]
async fn a_body_is_bounded_and_its_mistakes_are_placed() {
    let answer = ask("*", post(r#"{"count":3}"#)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "3 in 11 bytes"));
    let detail = |document: Value| document["detail"].as_str().unwrap().to_owned();
    assert!(detail(ask("*", post(r#"{"count":300}"#)).await.problem(400, "invalid-body")).contains("`count`"));
    assert!(detail(ask("*", post(r#"{"cuont":3}"#)).await.problem(400, "invalid-body")).contains("cuont"));
    ask("*", post("{")).await.problem(400, "invalid-body");
    ask("*", post(r#"{"count":3} x"#)).await.problem(400, "invalid-body");
    let large = post("").set_payload(format!(r#"{{"count":3{}}}"#, " ".repeat(1024)));
    assert!(detail(ask("*", large).await.problem(413, "body-too-large")).contains("1024"));
    let text = test::TestRequest::post().uri("/inputs").insert_header(("content-type", "text/plain")).set_payload("{}");
    ask("*", text).await.problem(415, "unsupported-media-type");
}

#[actix_web::test]
async fn a_panic_or_a_fault_is_a_problem_that_keeps_its_cause() {
    for path in ["/panic", "/fault"] {
        let answer = ask("*", get(path).insert_header(("origin", "https://x.example"))).await;
        answer.problem(500, "internal");
        assert!(!answer.body.contains("disco") && !answer.body.contains("disk"), "{}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[actix_web::test]
async fn a_preflight_is_answered_before_any_route() {
    let preflight = || {
        test::TestRequest::with_uri("/nothing/here")
            .method(Method::OPTIONS)
            .insert_header(("origin", "https://x.example"))
            .insert_header(("access-control-request-method", "GET"))
    };
    let answer = ask("*", preflight()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "*"));
    assert!(answer.header("access-control-allow-headers").contains("x-api-key"));
    assert!(answer.header("access-control-allow-methods").contains("DELETE"));
    assert_eq!(ask("https://y.example", preflight()).await.header("access-control-allow-origin"), "");
    let plain = test::TestRequest::with_uri("/things/7").method(Method::OPTIONS);
    ask("*", plain).await.problem(405, "method-not-allowed");
}

#[actix_web::test]
async fn an_answer_can_be_read_by_the_origins_of_the_settings() {
    let from = |origin: &'static str| get("/things/7").insert_header(("origin", origin));
    let answer = ask("*", from("https://x.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("RateLimit-Policy"));
    assert_eq!(ask("*", get("/things/7")).await.header("access-control-allow-origin"), "");
    let listed = "https://x.example,https://y.example";
    let answer = ask(listed, from("https://y.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://y.example");
    let answer = ask(listed, from("https://z.example")).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("", "Origin"));
}

#[actix_web::test]
async fn a_real_server_goes_on_after_a_panic() {
    let settings =
        Settings::load(LoadFrom { config_file: None, env: std::iter::empty(), overrides: &[] }).unwrap().http;
    let edge = Edge::new(&settings, crate::clock::SystemClock::shared(), Arc::new(SeededEntropy::new(1)));
    let server = actix_web::HttpServer::new(move || {
        App::new()
            .service(method::readable("/panic", || async { panic!("at the disco") as HttpResponse }))
            .service(method::readable("/id", |request: HttpRequest| async move {
                RequestId::of(&request).unwrap().to_string()
            }))
            .configure(configure(&settings))
            .wrap(edge.clone())
    });
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);

    let client = reqwest::Client::new();
    let answer = client.get(format!("{base}/panic")).header("x-request-id", "r-1").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap()), (500, "r-1"));
    assert_eq!(answer.json::<Value>().await.unwrap()["instance"], "r-1");
    let answer = client.get(format!("{base}/id")).send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"].to_str().unwrap().to_owned(), answer.text().await.unwrap());
    let answer = client.head(format!("{base}/id")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-length"].to_str().unwrap()), (200, "36"));
    assert_eq!(answer.text().await.unwrap(), "");

    handle.stop(true).await;
    running.await.unwrap().unwrap();
}
