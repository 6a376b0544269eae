//! The reference: that its pages say what the documents say, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use permitd::dataset::Definition;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::docs::{Asking, trees};
use crate::{
    accounts::{member, sign_in},
    app::TestApp,
    browser::{Browser, Page},
    data::{TREES, imported, unlimited},
    imports::{THINGS, Things, things},
};

/// The documents, and where they are shown.
const DOCUMENTS: [(&str, &str); 2] = [("/openapi.json", "/docs/reference"), ("/openapi-admin.json", "/docs/admin")];
/// The most that a page, its style and its script may have, compressed, bytes.
const WEIGHT_MAX: usize = 60_000;

async fn planted() -> TestApp {
    let app = TestApp::with_sample(20).await;
    imported(&app, Definition::from_toml(TREES, "trees.toml").unwrap(), trees().into_bytes(), "trees.csv").await;
    app
}

async fn document(app: &TestApp, path: &str) -> Value {
    app.admin_get(path).await.expect(200).json()
}

/// Somebody who may read every data set.
async fn reading(app: &TestApp) -> Browser<'_> {
    member(app, "eve@example.org").await;
    let browser = Browser::new(app);
    browser.sign_in("eve@example.org", "correct horse battery").await.expect(200);
    browser
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = |(path, methods): (&'_ String, &'_ Value)| (path.clone(), methods.as_object().unwrap().clone());
    let all = paths.map(of_path).flat_map(|(path, methods)| {
        let keys: Vec<String> = methods.keys().cloned().collect();
        keys.into_iter().map(move |method| (path.clone(), method))
    });
    all.map(|(path, method)| {
        let (path, methods) = document["paths"].as_object().unwrap().get_key_value(&path).unwrap();
        (method.to_uppercase(), path.as_str(), &methods[&method])
    })
    .collect()
}

/// What `$ref` leads to.
fn followed<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(value, |pointer| document.pointer(pointer).unwrap())
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Words without what is around them on a page, or in Markdown.
fn plain(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Fails unless the page says all that the document says of an operation.
fn says_all_of(page: &Page, document: &Value, method: &str, path: &str, operation: &Value) {
    let shown = plain(&page.text());
    let says = |words: &Value| {
        let words = plain(words.as_str().unwrap_or_default());
        assert!(shown.contains(&words), "{words:?} is not on {}:\n{}", page.path, page.text());
    };
    let names = |name: &str| {
        assert!(page.html.contains(&format!("<code>{name}</code>")), "{name} is not on {}", page.path);
    };
    says(&operation["summary"]);
    says(&operation["description"]);
    assert!(page.html.contains(&format!(">{method}</span> <code>{path}</code>")), "{}", page.main());
    for way in operation["security"].as_array().unwrap().iter().flat_map(members) {
        says(&document["components"]["securitySchemes"][way.0]["description"]);
        if operation["tags"][0] != "data sets" {
            way.1.as_array().unwrap().iter().for_each(|scope| names(scope.as_str().unwrap()));
        }
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = followed(document, parameter);
        names(parameter["name"].as_str().unwrap());
        if parameter["x-column"].is_null() {
            says(&parameter["description"]);
        }
        for word in parameter["schema"]["enum"].as_array().into_iter().flatten() {
            names(word.as_str().unwrap());
        }
    }
    let mut contents: Vec<(&String, &Value)> = members(&operation["requestBody"]["content"]).collect();
    for (status, answer) in members(&operation["responses"]) {
        let answer = followed(document, answer);
        assert!(page.html.contains(&format!("id=\"answer-{status}\"")), "{status} is not on {}", page.path);
        for (name, field) in members(&answer["headers"]) {
            names(name);
            says(&field["description"]);
        }
        let own = members(&answer["content"]);
        let (problems, others): (Vec<_>, Vec<_>) = own.partition(|(media, _)| media.contains("problem+json"));
        contents.extend(others);
        let description = answer["description"].as_str().unwrap();
        match problems.is_empty() {
            true => says(&answer["description"]),
            false => {
                assert!(page.links().contains(&"#object-Problem".to_owned()), "{}", page.path);
                for link in description.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
                    assert!(page.links().contains(&link.to_owned()), "{link} is not on {}", page.path);
                }
            }
        }
    }
    for (media_type, content) in contents {
        names(media_type);
        let mut schema = &content["schema"];
        while !schema["$ref"].is_null() {
            schema = followed(document, schema);
        }
        for (name, member) in members(&schema["properties"]) {
            names(name);
            says(&member["description"]);
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_page_with_all_that_its_document_says() {
    let app = planted().await;
    let browser = Browser::new(&app);
    for (path, list) in DOCUMENTS {
        let document = document(&app, path).await;
        let listed = browser.open(list).await.expect(200);
        listed.shows(path);
        for tag in document["tags"].as_array().unwrap() {
            assert!(plain(&listed.text()).contains(&plain(tag["description"].as_str().unwrap_or_default())), "{tag}");
        }
        let operations = operations(&document);
        assert!(operations.len() > 30, "{}", operations.len());
        for (method, path, operation) in operations {
            let own = format!("{list}/{}", operation["operationId"].as_str().unwrap());
            assert!(listed.links().contains(&own), "{own} is not listed");
            assert!(listed.html.contains(&format!(">{method}</span> <code>{path}</code>")), "{method} {path}");
            let page = browser.open(&own).await.expect(200);
            says_all_of(&page, &document, &method, path, operation);
        }
    }
    // An operation stands in one of them.
    for path in
        ["/docs/admin/permits_list", "/docs/reference/list_users", "/docs/reference/none", "/docs/admin/%3Cb%3E"]
    {
        browser.open(path).await.expect(404);
    }
}

#[tokio::test]
async fn every_link_of_the_reference_leads_to_what_is_there() {
    let app = planted().await;
    let browser = Browser::new(&app);
    let mut left: Vec<String> = DOCUMENTS.map(|(_, list)| list.to_owned()).into();
    let mut seen: BTreeMap<String, Page> = BTreeMap::new();
    let mut places: BTreeSet<(String, String)> = BTreeSet::new();
    while let Some(path) = left.pop() {
        if seen.contains_key(&path) {
            continue;
        }
        let page = browser.open(&path).await.expect(200);
        let is_of_docs = path.starts_with("/docs/");
        // The language of definitions names a standard.
        for link in page.links().into_iter().filter(|link| is_of_docs && !link.starts_with("https://")) {
            let (to, place) = link.split_once('#').map_or((link.as_str(), ""), |(to, place)| (to, place));
            let to = if to.is_empty() { path.clone() } else { to.to_owned() };
            if !place.is_empty() {
                places.insert((to.clone(), place.to_owned()));
            }
            left.push(to);
        }
        seen.insert(path, page);
    }
    assert!(seen.len() > 100, "{:?}", seen.keys());
    for (path, place) in &places {
        assert!(seen[path].html.contains(&format!("id=\"{place}\"")), "{path} has no place {place}");
    }
    // No two things of a page have one name.
    for (path, page) in &seen {
        let ids: Vec<&str> = page.html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path}: {ids:?}");
    }
}

fn unescaped(text: &str) -> String {
    let marks = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    marks.iter().fold(text.to_owned(), |text, (mark, plain)| text.replace(mark, plain))
}

/// The line of an operation's page, as it is copied.
fn line(page: &Page) -> String {
    let text = page.html.split("<pre id=\"operation-line\"").nth(1).unwrap().split_once('>').unwrap().1;
    let text = text.split("</pre>").next().unwrap().replace("<mark>", "").replace("</mark>", "");
    unescaped(&text)
}

#[tokio::test]
async fn the_lines_of_the_reference_are_asked_as_they_stand() {
    let app = planted().await;
    let key = unlimited(&app).await;
    let browser = Browser::new(&app);
    let asking = Asking::of(&app, &key, "trees", ["tag", "record_id"]).await;
    for what in ["list", "by_key", "record", "facets", "stats", "changes", "history", "history_by_id"] {
        let page = browser.open(&format!("/docs/reference/trees_{what}")).await.expect(200);
        assert!(page.html.contains("<mark>$KEY</mark>"), "{}", page.main());
        let answer: Value = serde_json::from_slice(&asking.run(&line(&page))).unwrap();
        assert_eq!(answer["dataset"]["name"], "trees", "{what}: {answer}");
    }
    // What the administration is sent, too: a plan is made as its page says.
    let page = browser.open("/docs/admin/define_plan").await.expect(200);
    let made = asking.run(&line(&page).replace("$ADMIN_TOKEN", &app.admin_token).replace("$NAME", "gold"));
    assert_eq!(serde_json::from_slice::<Value>(&made).unwrap()["name"], "gold");
}

/// Forty columns of all types.
fn wide(name: &str) -> Definition {
    let types = ["text", "integer", "money", "number", "date", "timestamp"];
    let column = |nth: usize| {
        let kind = types[nth % types.len()];
        format!(
            "[[column]]\nname = \"the_{kind}_column_{nth}\"\ntype = \"{kind}\"\nheaders = [\"C{nth}\"]\n\
             description = \"What {name} says of the {nth}th thing that is written down of every record, as {kind}.\"\n"
        )
    };
    let columns: String = (0..38).map(column).collect();
    let text = format!(
        "name = \"{name}\"\ntitle = \"Records of {name}\"\nrecord_id = \"record_id\"\n[key]\ncolumn = \"tag\"\n\
         [[column]]\nname = \"tag\"\nheaders = [\"Tag\"]\n\
         [[column]]\nname = \"record_id\"\ntype = \"integer\"\nimport = true\n{columns}"
    );
    Definition::from_toml(&text, "wide.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// With twenty data sets of forty columns no page is heavy.
#[tokio::test]
async fn the_pages_of_the_reference_are_light() {
    let app = TestApp::start().await;
    let head = (0..38).map(|nth| format!(",C{nth}")).collect::<String>();
    let file = format!("Tag{head}\nT1{}\n", ",".repeat(38));
    for nth in 0..20 {
        imported(&app, wide(&format!("wide_data_set_{nth}")), file.clone().into_bytes(), "wide.csv").await;
    }
    let weight = async |path: &str| {
        let request = app.request(Method::GET, path).header("accept-encoding", "gzip, br, zstd");
        let answer = app.send(request.header("accept", "text/html")).await.expect(200);
        answer.header("content-length").unwrap().parse::<usize>().unwrap()
    };
    let page = Browser::new(&app).open("/docs/reference").await.expect(200);
    let files: Vec<&str> = page.html.split('"').filter(|text| text.starts_with("/-/")).collect();
    assert_eq!(files.len(), 2, "one style and one script: {files:?}");
    let of_files = weight(files[0]).await + weight(files[1]).await;
    let own = ["/docs/reference/wide_data_set_7_", "/docs/reference/"];
    let pages = page.links().into_iter().filter(|link| link.starts_with(own[0]) || !link.contains("wide_data_set"));
    let pages: Vec<String> = pages.filter(|link| link.starts_with(own[1])).collect();
    assert!(pages.len() > 30, "{pages:?}");
    let mut all = vec!["/docs/reference".to_owned(), "/docs/admin".to_owned()];
    all.extend(pages);
    all.extend(
        Browser::new(&app).open("/docs/admin").await.links().into_iter().filter(|to| to.starts_with("/docs/admin/")),
    );
    let mut weights = Vec::new();
    for path in all {
        weights.push((weight(&path).await + of_files, path));
    }
    let heaviest = weights.iter().max().unwrap();
    println!("the heaviest: {heaviest:?}, of which {of_files} are style and script");
    assert!(heaviest.0 < WEIGHT_MAX, "{heaviest:?}");
}

#[tokio::test]
async fn what_a_definition_says_becomes_no_markup_of_the_reference() {
    let of = Things::with(1).await;
    let hostile = "</pre><script>alert('x')</script> [press](javascript:alert(1)) ![seen](https://evil.example/x.png) `</code><b>`";
    let text = THINGS.replace("title = \"Things\"", &format!("title = \"{hostile}\""));
    let text = text.replace("name = \"colour\"", &format!("name = \"colour\"\n    description = \"{hostile}\""));
    let definition = Definition::from_toml(&text, "things.toml").unwrap();
    imported(&of.app, definition, things(0..30).into_bytes(), "things.csv").await;
    let browser = reading(&of.app).await;
    for path in ["", "/things_list", "/things_record", "/things_facets", "/things_changes"] {
        let page = browser.open(&format!("/docs/reference{path}")).await.expect(200);
        for markup in ["<script>", "</pre><script", "javascript:alert", "<img", "<b>"] {
            let is_text = markup == "javascript:alert" && !page.html.contains("href=\"javascript");
            assert!(is_text || !page.html.contains(markup), "{path}: {markup}: {}", page.main());
        }
        page.shows("<script>alert('x')</script>").shows("press").shows("</code><b>");
        assert!(!page.links().iter().any(|link| link.contains("evil") || link.contains("javascript")), "{path}");
    }
}

/// A data set that is not for everybody is described, named and counted to whoever may read it alone.
#[tokio::test]
async fn strangers_are_told_of_what_is_public_alone() {
    let of = Things::with(5).await;
    let app = &of.app;
    let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": 100_000, "datasets": ["permits"] });
    app.admin_send(Method::PUT, "/plans/others", &plan).await;
    let (_, others_key) = app.invite_as(&json!({ "email": "cem@example.org", "plan": "others" })).await;
    let told = async |path: &str, header: (&'static str, String)| {
        app.send(app.request(Method::GET, path).header(header.0, header.1)).await
    };
    member(app, "eve@example.org").await;
    let session = format!("Bearer {}", sign_in(app, "eve@example.org").await);
    let token = format!("Bearer {}", app.admin_token);
    for (header, sees) in [
        (("x-nothing", "x".to_owned()), false),
        (("x-api-key", others_key), false),
        (("x-api-key", of.key.clone()), true),
        (("authorization", session.clone()), true),
        (("authorization", token), true),
        (("cookie", session.replace("Bearer ", "permitd=")), true),
    ] {
        let shown = told("/openapi.json", header.clone()).await.expect(200);
        assert_eq!(shown.body.contains("things"), sees, "{header:?}");
        assert_eq!(shown.body.contains("colour"), sees, "{header:?}");
    }
    told("/openapi.json", ("x-api-key", "pmt_nobody".to_owned())).await.expect(401);
    told("/openapi.json", ("authorization", "Bearer pmt_admin_nobody".to_owned())).await.expect(401);
    let limited = told("/openapi.json", ("x-api-key", of.key.clone())).await;
    assert!(limited.header("ratelimit").is_some(), "with a key it is a request");

    let (stranger, reader) = (Browser::new(app), Browser::new(app));
    reader.sign_in("eve@example.org", "correct horse battery").await.expect(200);
    for path in ["/", "/docs", "/docs/reference", "/docs/reference/things_list", "/openapi.json"] {
        let page = stranger.open(path).await;
        assert!(!page.main().contains("colour") && !page.main().contains("Things"), "{path}: {}", page.main());
    }
    assert_eq!(stranger.open("/docs/reference/things_list").await.status, 404);
    reader.open("/").await.expect(200).shows("Things");
    reader.open("/docs/reference").await.expect(200).shows("things");
    reader.open("/docs/reference/things_list").await.expect(200).shows("colour");
    // Nor is somebody whose plan has another one alone, in their invitation or where they try.
    let mail = app.mail_to("cem@example.org", 1).await;
    assert!(!mail.text.contains("hings") && !mail.text.contains("curl"), "{}", mail.text);
    let user = member(app, "dan@example.org").await;
    app.admin_send(Method::PATCH, &format!("/users/{user}"), &json!({ "plan": "others" })).await.expect(200);
    let other = Browser::new(app);
    other.sign_in("dan@example.org", "correct horse battery").await.expect(200);
    let refused = async |status: u16| {
        for path in ["/things/about", "/things/explore", "/things/explore/T1"] {
            let page = other.open(path).await.expect(status);
            assert!(!page.html.contains("Things"), "{path}: {}", page.html);
        }
    };
    refused(403).await;
    app.send(app.admin(Method::POST, "/datasets/things/withdraw")).await.expect(200);
    refused(410).await;
    let listed = app.send(app.request(Method::GET, "/").header("accept", "application/json")).await.expect(200);
    assert!(!listed.body.contains("things"), "{}", listed.body);
}

#[tokio::test]
async fn the_reference_shows_what_the_document_shows_and_not_more() {
    let of = Things::with(5).await;
    let browser = reading(&of.app).await;
    let document_has = async || document(&of.app, "/openapi.json").await["paths"]["/things"].is_object();
    assert!(document_has().await);
    browser.open("/docs/reference/things_list").await.expect(200);
    of.app.send(of.app.admin(Method::POST, "/datasets/things/withdraw")).await.expect(200);
    assert!(!document_has().await);
    let list = browser.open("/docs/reference").await.expect(200);
    assert!(!list.html.contains("things"), "{}", list.main());
    for path in ["/docs/reference/things_list", "/docs/reference/show_me"] {
        let page = browser.open(path).await;
        assert_eq!(page.status, if path.ends_with("show_me") { 200 } else { 404 }, "{path}");
        assert!(!page.main().contains("colour"), "{path}");
    }
}

#[tokio::test]
async fn a_german_reader_finds_the_way_in_german_and_what_is_described_in_english() {
    let app = TestApp::with_sample(5).await;
    let browser = Browser::reading(&app, "de");
    let list = browser.open("/docs/reference").await.expect(200);
    list.shows("Referenz").shows("Die Beschreibungen sind auf Englisch.");
    assert!(list.html.contains("<article lang=\"en\">"), "{}", list.main());
    let page = browser.open("/docs/reference/permits_list").await.expect(200);
    for said in ["Wer das aufrufen darf", "Eine Zeile zum Kopieren", "Bedingungen auf Spalten", "Was schiefgehen kann"]
    {
        page.shows(said);
    }
    assert!(page.html.contains("<h1 lang=\"en\">Find records</h1>"), "{}", page.main());
}
