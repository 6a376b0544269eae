//! What a data set says about itself: for anybody where it says so, for whoever may read it otherwise.

use reqwest::Method;
use serde_json::{Value, json};

use permitd::dataset::Definition;

use crate::{
    accounts::{member, sign_in},
    app::{Answer, TestApp},
    data::imported,
    imports::{THINGS, Things, things},
};

/// As a browser asks, with these cookies.
async fn page(app: &TestApp, path: &str, more: &[(&'static str, String)]) -> Answer {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let request = client.get(app.url(path)).header("accept", "text/html,*/*;q=0.8");
    app.send(more.iter().fold(request, |request, (name, value)| request.header(*name, value))).await
}

/// The text of a page: without its markup.
fn text(page: &Answer) -> String {
    let body = page.body.split("<main").nth(1).unwrap();
    let parts = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the page tells search engines.
fn json_ld(page: &Answer) -> Value {
    let text = page.body.split("<script type=\"application/ld+json\">").nth(1).unwrap().split("</script>").next();
    serde_json::from_str(text.unwrap()).unwrap()
}

#[tokio::test]
async fn anybody_sees_what_a_public_data_set_is_and_none_of_its_records() {
    let app = TestApp::with_sample(400).await;
    let shown = page(&app, "/permits/about", &[]).await.expect(200);
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    let text = text(&shown);
    for said in [
        "San Francisco building permits",
        "what is to be built or altered",
        "Publisher San Francisco Department of Building Inspection",
        "Licence Open Data Commons Public Domain Dedication and License (PDDL) 1.0",
        "New records come every month",
        "Records 400",
        "New records 400 Changed records 0 Removed records 0",
        "The state of the application, in lower case. Text 0%",
        "Ask whoever runs this server to invite you.",
        "Sign in to look at the records",
        "counts as 10 requests",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let described = app.admin_get("/datasets/permits").await.expect(200).json();
    let of = |name: &str| {
        described["figures"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .find(|column| column["name"] == name)
            .unwrap()
            .clone()
    };
    let most = &of("status")["values"][0];
    assert!(text.contains(&format!("{} {}", most["value"].as_str().unwrap(), most["count"])), "{most}: {text}");
    assert!(text.contains(" 2016 to ") || of("file_date")["least"].is_string());
    assert!(!text.contains("201612013997") && !shown.body.contains("Bella Vista Wy</"), "no key and no rare value");

    let data = json_ld(&shown);
    assert_eq!((&data["@type"], &data["name"]), (&"Dataset".into(), &"San Francisco building permits".into()));
    assert_eq!(data["license"], "https://opendatacommons.org/licenses/pddl/1-0/");
    assert_eq!(data["publisher"]["name"], "San Francisco Department of Building Inspection");
    assert_eq!(data["variableMeasured"].as_array().unwrap().len(), described["columns"].as_array().unwrap().len());
    assert_eq!(data["dateModified"], described["last_change"]["at"]);
    // As every page: nothing from elsewhere, and nothing that the policy would have to allow.
    let policy = shown.header("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe") && !policy.contains("sha256"), "{policy}");
    for inline in [" style=", "<style", "<script>", " onclick=", "src=\"http"] {
        assert!(!shown.body.contains(inline), "{inline}");
    }
    page(&app, "/permits/about?x=1", &[]).await.expect(200);
    let head = app.send(app.request(Method::HEAD, "/permits/about")).await.expect(200);
    assert!(head.body.is_empty());
    app.send(app.request(Method::POST, "/permits/about")).await.expect(405);
}

#[tokio::test]
async fn a_german_reader_reads_german() {
    let app = TestApp::with_sample(50).await;
    let german = page(&app, "/permits/about", &[("accept-language", "de".to_owned())]).await.expect(200);
    assert!(german.body.contains("<html lang=\"de\">"));
    let text = text(&german);
    for said in [
        "Herausgeber San Francisco",
        "Letzter Import",
        "So erhalten Sie Zugang",
        "Neue Datensätze kommen monatlich",
        "0\u{a0}%",
    ] {
        assert!(text.contains(&said.replace('\u{a0}', " ")) || german.body.contains(said), "{said}: {text}");
    }
}

#[tokio::test]
async fn a_data_set_that_is_not_public_is_described_to_whoever_may_read_it() {
    let of = Things::with(30).await;
    let stranger = page(&of.app, "/things/about", &[]).await.expect(303);
    assert_eq!(stranger.header("location"), Some("/sign-in?return_to=%2Fthings%2Fabout"));
    assert!(!stranger.body.contains("Things"));
    member(&of.app, "eve@example.org").await;
    let session = [("cookie", format!("permitd={}", sign_in(&of.app, "eve@example.org").await))];
    let shown = page(&of.app, "/things/about", &session).await.expect(200);
    let said = text(&shown);
    for words in [
        "Things",
        "Records 30",
        "has not described it yet",
        "Not stated",
        "red 30",
        "From 0 to 29",
        "Look at the records",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!shown.body.contains("ld+json"), "search engines do not sign in");
    // Whose plan does not have it is told whom to ask, and sees no value of it.
    let plan = json!({ "rate_per_s": 1, "burst": 2, "quota_per_day": 3, "datasets": ["others"] });
    of.app.admin_send(Method::PUT, "/plans/others", &plan).await;
    let users = of.app.admin_get("/users?search=eve").await.expect(200).json();
    let user = format!("/users/{}", users["data"][0]["id"].as_str().unwrap());
    let change = |plan: &str| json!({ "plan": plan });
    of.app.admin_send(Method::PATCH, &user, &change("others")).await.expect(200);
    let refused = page(&of.app, "/things/about", &session).await.expect(403);
    assert!(text(&refused).contains("Your access does not include this data"), "{}", refused.body);
    assert!(!refused.body.contains("From 0 to 29"));
    of.app.admin_send(Method::PATCH, &user, &change("default")).await.expect(200);
    // An administrator who withdraws it takes the page away as well.
    of.app.send(of.app.admin(Method::POST, "/datasets/things/withdraw")).await.expect(200);
    page(&of.app, "/things/about", &session).await.expect(410);
    page(&of.app, "/things/about", &[]).await.expect(303);
    page(&of.app, "/nothing/about", &session).await.expect(404);
}

#[tokio::test]
async fn what_a_definition_and_a_file_say_cannot_become_markup() {
    let of = Things::with(1).await;
    let hostile = "</script><script>alert('x')</script>";
    let about = format!(
        "[about]\npublic = true\ndescription = \"{hostile}\"\npublisher = \"{hostile}\"\nkeywords = [\"{hostile}\"]\n"
    );
    let text = THINGS.replace("title = \"Things\"", &format!("title = \"{hostile}\"")) + &about;
    let definition = Definition::from_toml(&text, "things.toml").unwrap();
    let file = things(0..30).replace(",red,", &format!(",{hostile},"));
    imported(&of.app, definition, file.into_bytes(), "things.csv").await;
    let shown = page(&of.app, "/things/about", &[]).await.expect(200);
    assert!(!shown.body.contains("<script>alert"), "{}", shown.body);
    assert!(shown.body.contains("&lt;script&gt;alert"));
    assert_eq!(json_ld(&shown)["name"], hostile);
}

#[tokio::test]
async fn values_of_personal_columns_stand_on_no_page() {
    let of = Things::with(1).await;
    let text = THINGS.replace("headers = [\"Colour\"]", "headers = [\"Colour\"]\n    personal = true");
    let definition = Definition::from_toml(&format!("{text}[about]\npublic = true\n"), "things.toml").unwrap();
    imported(&of.app, definition, things(0..30).into_bytes(), "things.csv").await;
    let shown = page(&of.app, "/things/about", &[]).await.expect(200);
    let said = self::text(&shown);
    assert!(said.contains("Tells of people: not shown") && !said.contains("red 30"), "{said}");
}
