//! Addresses that can be used as they stand: below `public_url`, with a slash too many, without a body, with nothing on a page.

use permitd::dataset::Definition;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Options, TestApp},
    data::{import, permits, serving, things_with, unlimited},
    past::one_permit,
    raw::Raw,
};

const PUBLIC: &str = "https://x.example/api/v1";

async fn behind_a_prefix() -> (TestApp, String) {
    let settings = vec![("public_url", PUBLIC.to_owned())];
    let app = TestApp::with(Options { settings, sample_rows: 30, ..Options::default() }).await;
    let key = unlimited(&app).await;
    (app, key)
}

/// Asks for what an answer links to, as a client behind the proxy does.
fn behind(link: &str) -> String {
    let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a next link");
    target.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{target} is not below {PUBLIC}")).to_owned()
}

#[tokio::test]
async fn behind_a_path_prefix_every_address_is_below_it() {
    let (app, key) = behind_a_prefix().await;
    // So that each has a next page.
    for status in ["filed", "revoked"] {
        import(&app, permits(), one_permit("201612013997", status), "one.csv").await;
    }
    for path in [
        "/permits?limit=1",
        "/permits?status__ne=%22a%22&sort=-file_date&limit=2",
        "/permits/201612013997/history?limit=1",
        "/permits/changes?since=1&limit=1",
    ] {
        let answer = app.get(path, &key).await.expect(200);
        let link = answer.link("next").unwrap_or_else(|| panic!("{path} has no next page: {}", answer.body));
        let next = app.get(&behind(link), &key).await.expect(200);
        assert_ne!(next.json()["data"], answer.json()["data"], "{path}");
    }
    for name in ["bob", "cem"] {
        let body = json!({ "email": format!("{name}@example.org") });
        let made = app.admin_send(Method::POST, "/users", &body).await.expect(201);
        assert!(made.header("location").unwrap().starts_with(&format!("{PUBLIC}/users/")));
    }
    let users = app.admin_get("/users?limit=1").await.expect(200);
    app.admin_get(&behind(users.header("link").unwrap())).await.expect(200);
    let document = app.send(app.request(Method::GET, "/openapi.json")).await.expect(200).json();
    assert_eq!(document["servers"], json!([{ "url": PUBLIC }]));

    // Paths in bodies are those of the description: below the server's address.
    let about = app.send(app.request(Method::GET, "/")).await.expect(200).json();
    for name in ["problems", "openapi", "openapi_admin", "docs", "reference", "reference_admin"] {
        app.send(app.request(Method::GET, about[name].as_str().unwrap())).await.expect(200);
    }
    app.get(about["datasets"][0]["path"].as_str().unwrap(), &key).await.expect(200);
    let taken = app.admin_send(Method::POST, "/users", &json!({ "email": "bob@example.org" })).await.expect(409).json();
    app.admin_get(taken["existing"].as_str().unwrap()).await.expect(200);

    let get =
        async |path: &str| app.send(app.request(Method::GET, path).header("accept", "text/html")).await.expect(200);
    let of_operations = ["/docs/reference/permits_list", "/docs/admin/invite_user"];
    for page in ["/", "/sign-in", "/problems", "/docs", "/docs/definitions", "/docs/reference", "/docs/admin"]
        .into_iter()
        .chain(of_operations)
    {
        let html = get(page).await.body;
        let places = ["href=\"", "src=\"", "action=\""].map(|name| html.split(name).skip(1).map(ToOwned::to_owned));
        for place in places.into_iter().flatten().map(|rest| rest.split('"').next().unwrap().to_owned()) {
            let is_within = ["/api/v1/", "#", "data:"].iter().any(|own| place.starts_with(own));
            // They name standards.
            let is_guide = ["/docs", "/docs/definitions"].contains(&page);
            let is_within = is_within || (is_guide && place.starts_with("https://"));
            assert!(is_within, "{page} leads to {place}");
        }
    }
}

#[tokio::test]
async fn behind_a_path_prefix_a_problem_leads_to_the_page_that_explains_it() {
    let (app, key) = behind_a_prefix().await;
    // By routes, by the edge, by extractors, by the connection, and on the port for operators.
    let mut problems = vec![
        app.get("/permits?statsu=x", &key).await.expect(400),
        app.get("/permits", "wrong").await.expect(401),
        app.get("/permits/nothing", &key).await.expect(404),
        app.get("/nothing", &key).await.expect(404),
        app.get(&format!("/{}", "x".repeat(17_000)), &key).await.expect(414),
        app.admin_send(Method::POST, "/users", &json!({ "mail": 1 })).await.expect(400),
        app.admin_send(Method::DELETE, "/problems", &json!({})).await.expect(405),
        app.ops_get("/nothing").await.expect(404),
    ];
    app.service().readiness.set(false);
    problems.push(app.ops_get("/health/ready").await.expect(503));
    let mut raw = Raw::to_api(&app);
    raw.send("G@T / HTTP/1.1\r\n\r\n");
    let mut documents: Vec<Value> = problems.iter().map(crate::app::Answer::json).collect();
    documents.push(serde_json::from_str(&raw.answer().unwrap().body).unwrap());
    let api = app.send(app.request(Method::GET, "/openapi.json")).await.expect(200).json();
    let types = api["components"]["schemas"]["Problem"]["properties"]["type"]["enum"].as_array().unwrap();
    for document in documents {
        assert!(types.contains(&document["type"]), "{document}");
        let page = document["type"].as_str().unwrap().strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{document}"));
        let page = app.send(app.request(Method::GET, page)).await.expect(200);
        assert!(page.body.contains("href=\"/api/v1/problems\""), "{}", page.body);
    }
    let list = app.send(app.request(Method::GET, "/problems")).await.expect(200).body;
    assert!(list.contains("href=\"/api/v1/problems/invalid-key\""), "{list}");
    let text = api.to_string();
    assert!(text.contains(&format!("]({PUBLIC}/problems/")) && !text.contains("](/problems/"));
}

#[tokio::test]
async fn who_is_turned_away_behind_a_path_prefix_is_led_to_the_page_below_it() {
    let settings = vec![("public_url", PUBLIC.to_owned()), ("http.connections_per_address_max", "1".to_owned())];
    let app = TestApp::with(Options { settings, ..Options::default() }).await;
    let mut held = Raw::to_api(&app);
    held.send("GET /problems HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(held.answer().unwrap().status, 200);
    let told: Value = serde_json::from_str(&Raw::to_api(&app).answer().unwrap().body).unwrap();
    assert_eq!(told["type"], format!("{PUBLIC}/problems/too-many-from-address"));
}

#[tokio::test]
async fn a_slash_at_the_end_leads_to_the_path_without_it() {
    let (app, key) = behind_a_prefix().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let ask = async |method: Method, path: &str| {
        let answer = client.request(method, app.url(path)).header("x-api-key", &key).send().await.unwrap();
        let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    };
    for (path, target) in [
        ("/permits/", "/permits"),
        ("/permits/?limit=1&sort=-file_date", "/permits?limit=1&sort=-file_date"),
        ("/permits/%23201612013997/", "/permits/%23201612013997"),
        ("/permits/201612013997/1/", "/permits/201612013997/1"),
        ("/permits/201612013997/1/history/?limit=1", "/permits/201612013997/1/history?limit=1"),
        ("/permits/facets/?columns=status", "/permits/facets?columns=status"),
        ("/users/", "/users"),
        ("/docs/", "/docs"),
        ("/admin/", "/admin"),
    ] {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(ask(method, path).await, (308, Some(format!("{PUBLIC}{target}"))), "{path}");
        }
    }
    assert_eq!(ask(Method::POST, "/users/").await.0, 308, "method and body are kept");
    for nowhere in ["/nothing/", "/permits//", "//permits/", "/permits/1/2/3/", "//x.example/"] {
        assert_eq!(ask(Method::GET, nowhere).await, (404, None), "{nowhere}");
        let detail = app.get(nowhere, &key).await.expect(404).json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail.contains("two slashes"), nowhere.contains("//"), "{detail}");
    }
}

/// Whoever reaches the server under an address that it does not know is not led to another one.
#[tokio::test]
async fn without_a_public_url_the_path_alone_is_led_to() {
    let app = TestApp::with_sample(5).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    for (path, target) in [("/permits/?limit=1", "/permits?limit=1"), ("/users/", "/users")] {
        let answer = client.get(app.url(path)).header("host", "api.example.org").send().await.unwrap();
        assert_eq!(answer.status(), 308);
        assert_eq!(answer.headers().get("location").unwrap(), target);
    }
}

#[tokio::test]
async fn nothing_on_a_page_is_refused_and_too_much_is_brought_down() {
    let (app, key) = serving(20).await;
    for path in [
        "/permits?limit=0",
        "/permits?limit=00",
        "/permits?limit=-1",
        "/permits?limit=",
        "/permits?format=csv&limit=0",
        "/permits?format=ndjson&limit=0",
        "/permits/facets?columns=status&limit=0",
        "/permits/changes?since=1&limit=0",
        "/permits/201612013997/history?limit=0",
    ] {
        let refused = app.get(path, &key).await.expect(400);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(refused.json()["invalid_params"][0]["name"], "limit", "{path}");
    }
    let reason =
        app.get("/permits?limit=0&count=exact", &key).await.expect(400).json()["invalid_params"][0]["reason"].clone();
    assert!(reason.as_str().unwrap().ends_with("to count only, ask for limit=1&count=exact"), "{reason}");
    for path in ["/users", "/events", "/imports", "/dead-letters"] {
        for limit in ["0", "-1", "1.5"] {
            let refused = app.admin_get(&format!("{path}?limit={limit}")).await.expect(400);
            assert_eq!(refused.json()["invalid_params"][0]["name"], "limit", "{path} {limit}");
        }
    }
    for path in ["/permits?limit=1001", "/permits/changes?since=1&limit=99999999999999999999"] {
        assert_eq!(app.get(path, &key).await.expect(200).json()["page"]["limit"], 1000, "{path}");
    }
    for path in ["/users?limit=1001", "/events?limit=99999999999999999999999"] {
        assert_eq!(app.admin_get(path).await.expect(200).json()["page"]["limit"], 1000, "{path}");
    }
}

/// Things with a moment.
fn timed() -> Definition {
    let columns = r#"
        [[column]]
        name = "made"
        type = "timestamp"
        description = "When it was made."
        headers = ["Made"]
    "#;
    things_with("", columns)
}

#[tokio::test]
async fn a_day_is_a_moment_and_a_plus_sign_gets_a_hint() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let rows = b"Name,Made\na,2016-11-30T23:59:59Z\nb,2016-12-01T00:00:00Z\nc,2016-12-01T12:00:00Z\n".to_vec();
    import(&app, timed(), rows, "things.csv").await;
    let names = async |query: &str| -> Vec<String> {
        let answer = app.get(&format!("/things?{query}"), &key).await.expect(200).json();
        answer["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("made__gte=2016-12-01").await, ["b", "c"]);
    assert_eq!(names("made=2016-12-01").await, ["b"]);
    assert_eq!(names("made__between=2016-11-30,2016-12-01").await, ["a", "b"]);
    assert_eq!(names("made__in=2016-12-01,2016-11-30T23:59:59Z").await, ["a", "b"]);
    assert_eq!(names("filter=made%20%3C%202016-12-01").await, ["a"]);
    assert_eq!(names("made__gte=2016-12-01T01:00:00%2B01:00").await, ["b", "c"]);
    for query in [
        "made__gte=2016-12-01T01:00:00+01:00",
        "made__in=2016-12-01,2016-12-01T01:00:00+01:00",
        "made__between=2016-12-01T01:00:00+01:00,2016-12-02",
        "filter=made%20%3E%20%222016-12-01T01:00:00+01:00%22",
        "filter=made%20%3E%202016-12-01T01:00:00+01:00",
        "filter=in(made,%20%222016-12-01T01:00:00+01:00%22)",
    ] {
        let refused = app.get(&format!("/things?{query}"), &key).await.expect(400).json();
        let reasons = refused["invalid_params"].to_string();
        assert!(reasons.contains("%2B"), "{query}: {reasons}");
    }
    for wrong in ["2016-12-32", "2016-12", "tomorrow"] {
        let refused = app.get(&format!("/things?made__gte={wrong}"), &key).await.expect(400).json();
        let reason = refused["invalid_params"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("or a day such as") && !reason.contains("%2B"), "{reason}");
    }
}

/// Things with a text as it is, in small letters and in capitals.
fn texts() -> Definition {
    let column = |name: &str, more: &str| {
        format!("[[column]]\nname = {name:?}\ndescription = \"A text.\"\nheaders = [{name:?}]\n{more}\n")
    };
    let folded = ["fold = \"lower\"\ndefault = \"NONE\"", "fold = \"upper\""];
    things_with("", &[column("txt", ""), column("low", folded[0]), column("up", folded[1])].concat())
}

#[tokio::test]
async fn texts_are_found_whatever_their_case_and_composition() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let rows = "Name,txt,low,up\n\
                a,Οδος με τέλος,ΤΈΛΟΣ,τέλος\n\
                b,Lange Straße,Straße,Straße\n\
                c,café,Issued,İstanbul\n\
                e\u{301},İstanbul,,cafe\u{301}\n";
    import(&app, texts(), rows.as_bytes().to_vec(), "things.csv").await;
    let names = async |parameter: &str, value: &str| -> String {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(parameter, value).finish();
        let answer = app.get(&format!("/things?{query}"), &key).await.expect(200).json();
        answer["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    };
    for (parameter, value, found) in [
        ("txt__contains", "ΤΈΛΟΣ", "a"),
        ("txt__contains", "τέλοσ", "a"),
        ("txt__contains", "strasse", "b"),
        ("txt__contains", "STRAẞE", "b"),
        ("txt__contains", "CAFE\u{301}", "c"),
        ("txt__contains", "istanbul", "é"),
        ("txt__contains", "cafe", ""),
        ("txt", "cafe\u{301}", "c"),
        ("txt", "Café", ""),
        ("txt__in", "cafe\u{301},x", "c"),
        ("txt__startswith", "cafe\u{301}", "c"),
        ("low", "Issued", "c"),
        ("low", "STRASSE", "b"),
        ("low", "Straße", "b"),
        ("low", "τέλος", "a"),
        ("low", "None", "é"),
        ("low__ne", "ISSUED", "abé"),
        ("low__in", "[\"ISSUED\",\"TÉLOS\",\"Τέλος\"]", "ac"),
        ("low__notin", "ISSUED,NONE", "ab"),
        ("low__startswith", "ISS", "c"),
        ("low__startswith", "Straß", "b"),
        ("low__contains", "SSU", "c"),
        ("low__between", "I,S", "cé"),
        ("low__gte", "STRA", "ab"),
        ("up", "strasse", "b"),
        ("up", "Café", "é"),
        ("up__startswith", "i", "c"),
        ("up__contains", "traß", "b"),
        ("filter", "low = Issued OR up = \"straße\"", "bc"),
        ("filter", "in(low, \"Issued\", STRASSE) AND NOT startswith(low, ISS)", "b"),
        ("filter", "contains(txt, \"ΤΈΛΟΣ\")", "a"),
        ("name", "e\u{301}", "é"),
        ("name__in", "e\u{301},a", "aé"),
    ] {
        assert_eq!(names(parameter, value).await, found, "{parameter}={value}");
    }
    let mut tags = Vec::new();
    for path in ["/things/%C3%A9", "/things/e%CC%81", "/things/e%CC%81/1"] {
        let answer = app.get(path, &key).await.expect(200);
        assert!(answer.body.contains("\"name\":\"é\""), "{}", answer.body);
        tags.push(answer.headers["etag"].clone());
    }
    assert_eq!(tags[0], tags[1]);
    let shown = app.get("/things?select=low,up&name__in=a,b,c", &key).await.expect(200).json();
    assert_eq!(
        shown["data"],
        serde_json::json!([
            { "low": "τέλοσ", "up": "ΤΈΛΟΣ" },
            { "low": "strasse", "up": "STRASSE" },
            { "low": "issued", "up": "ISTANBUL" },
        ])
    );
    // A walk goes on with either form.
    let first = app.get("/things?low__ne=ISSUED&limit=1", &key).await.expect(200);
    let next = first.link("next").expect("a next page").replace("ISSUED", "issued");
    let next = next.split_once("/things").unwrap().1.split_once('>').unwrap().0.to_owned();
    assert_eq!(app.get(&format!("/things{next}"), &key).await.expect(200).json()["data"][0]["name"], "b");
}
