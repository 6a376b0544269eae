//! The descriptions of the interface: they are what the server does, and tools that know nothing else can work with them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use permitd::{
    dataset::{ColumnType, Definition, query::Operator},
    http::DataRoute,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    accounts::{member, sign_in},
    app::{Options, TestApp},
    data::{TREES, import, unlimited},
    support::{self, repository, tools},
};

/// A column that nobody is shown.
const PLANTER: &str = r#"
    [[column]]
    name = "planter"
    headers = ["Planter"]
    publish = false
"#;

/// Pages that programs may look at as well. All others are for people alone.
const DESCRIBED_PAGES: [&str; 9] = [
    "/",
    "/admin/counters",
    "/docs",
    "/docs/admin",
    "/docs/reference",
    "/openapi.json",
    "/openapi-admin.json",
    "/problems",
    "/problems/{code}",
];

/// The answers that are checked, of whatever is asked.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";
/// How long the tool that asks at random may take on a busy machine, seconds; alone it takes less than a minute.
const ASKING_S_MAX: &str = "600";

/// The definition of trees, with that column besides.
fn trees_toml() -> String {
    [TREES, PLANTER].concat()
}

fn trees() -> Definition {
    Definition::from_toml(&trees_toml(), "trees.toml").unwrap_or_else(|e| panic!("{e}"))
}

/// Three trees, of which a second import changes one; and a sample of permits.
async fn planted(rows: u64) -> TestApp {
    // Whoever asks at random guesses much, and is not to wait for each answer.
    let app = TestApp::set(&[("http.refusal_delay_max_ms", "0")], rows).await;
    let head = "Tag,Worth,Girth,Planted,Seen,Planter,Cut,Place\n";
    let whole = "1.5,2016-12-01,2016-12-01T09:30:00Z,Eve,an old oak,POINT (-122.4 37.7)";
    let first = format!("{head}A1,0.07,{whole}\nA1,4,,,,,,\nB2,1.13,2e-3,,,Eve,,\n");
    let then = format!("{head}A1,12345.67,{whole}\nA1,4,,,,,,\n");
    import(&app, trees(), first.into_bytes(), "trees.csv").await;
    import(&app, trees(), then.into_bytes(), "trees.csv").await;
    app
}

/// A program of the tools for tests.
fn tool(name: &str) -> Command {
    let program = tools::folder().join("venv/bin").join(name);
    assert!(program.exists(), "{} is missing: run `make test-tools`", program.display());
    Command::new(program)
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = || [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}\n{}", said());
    output
}

/// The document as `permitd openapi` prints it.
fn printed(arguments: &[&str]) -> String {
    let output = succeeds(support::permitd().arg("openapi").args(arguments).env("PERMITD_DATA", "/nowhere"));
    String::from_utf8(output.stdout).unwrap()
}

/// What consumers may call.
async fn served(app: &TestApp) -> Value {
    app.admin_get("/openapi.json").await.expect(200).json()
}

/// What administrators call.
async fn served_to_administrators(app: &TestApp) -> Value {
    app.send(app.request(Method::GET, "/openapi-admin.json")).await.expect(200).json()
}

/// What `$ref` leads to.
fn followed<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere")),
        None => value,
    }
}

/// Every operation: method, path and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &'_ Value)| -> Vec<(String, String)> {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    let all = paths.iter().flat_map(of_path);
    all.map(|(method, path)| {
        let operation = &document["paths"][&path][method.to_lowercase()];
        (method, path, operation)
    })
    .collect()
}

#[test]
fn the_documents_are_valid_and_those_in_the_repository_are_current() {
    for (arguments, file) in [(&[][..], "schemas/openapi.json"), (&["--admin"], "schemas/openapi-admin.json")] {
        let document = printed(arguments);
        let path = repository().join(file);
        let kept = fs::read_to_string(&path).unwrap_or_default();
        // Not `assert_eq`: nobody wants to read both.
        assert!(
            kept == document,
            "the interface has changed: `permitd openapi {}> {file}`, and look at the difference",
            arguments.iter().map(|argument| format!("{argument} ")).collect::<String>()
        );
        succeeds(tool("openapi-spec-validator").arg(&path));
        let compact: Value = serde_json::from_str(&printed(&[arguments, &["--json"]].concat())).unwrap();
        assert_eq!(compact, serde_json::from_str::<Value>(&document).unwrap());
    }
}

/// What a document refers to, as pointers.
fn references(part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn each_document_is_whole_without_the_other_and_each_operation_stands_in_one() {
    let app = planted(5).await;
    let (consumers, administrators) = (served(&app).await, served_to_administrators(&app).await);
    let names = |document: &Value| -> BTreeSet<(String, String)> {
        operations(document).into_iter().map(|(method, path, _)| (method, path)).collect()
    };
    let both: Vec<(String, String)> = names(&consumers).intersection(&names(&administrators)).cloned().collect();
    assert!(both.is_empty(), "in both: {both:?}");
    for document in [&consumers, &administrators] {
        let mut named = BTreeSet::new();
        references(document, &mut named);
        assert!(!named.is_empty());
        for reference in &named {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        // Nothing is there that only the other one needs.
        for kind in ["schemas", "parameters", "responses"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(named.contains(&format!("#/components/{kind}/{name}")), "nothing leads to {kind}/{name}");
            }
        }
        for (_, path, operation) in operations(document) {
            for way in operation["security"].as_array().unwrap().iter().flat_map(|way| way.as_object().unwrap().keys())
            {
                assert!(document["components"]["securitySchemes"][way].is_object(), "{path}: {way}");
            }
            for tag in operation["tags"].as_array().unwrap() {
                assert!(
                    document["tags"].as_array().unwrap().iter().any(|known| known["name"] == *tag),
                    "{path}: {tag}"
                );
            }
        }
    }
    // What a key or a session may call is in the one, and what takes a scope alone in the other.
    for (method, path, operation) in operations(&consumers) {
        let ways = operation["security"].as_array().unwrap();
        let for_all = ways.is_empty() || ways.iter().any(|way| way["session"].as_array().is_some_and(Vec::is_empty));
        assert!(for_all, "{method} {path}");
    }
    for (method, path, operation) in operations(&administrators) {
        let ways = operation["security"].as_array().unwrap();
        let scoped = ways.iter().any(|way| way["adminToken"].as_array().is_some_and(|scopes| !scopes.is_empty()));
        let is_itself = ["/openapi-admin.json", "/docs/admin"].contains(&path.as_str());
        assert!(scoped || is_itself, "{method} {path}");
        assert!(ways.iter().all(|way| way["apiKey"].is_null()), "{method} {path}");
    }
    for (document, other) in [(&consumers, "/openapi-admin.json"), (&administrators, "/openapi.json")] {
        assert!(document["info"]["description"].as_str().unwrap().contains(other));
    }
    let paths = |document: &Value| document["paths"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert!(paths(&consumers).contains("/me/keys") && !paths(&consumers).contains("/users"));
    assert!(paths(&administrators).contains("/users") && !paths(&administrators).contains("/permits"));
    assert!(administrators["components"]["schemas"]["permits_record"].is_null());

    // Each is kept by clients, and asked for again.
    let tags = ["/openapi.json", "/openapi-admin.json"].map(|path| (path, app.request(Method::GET, path)));
    for (path, request) in tags {
        let tag = app.send(request).await.expect(200).header("etag").unwrap().to_owned();
        app.send(app.request(Method::GET, path).header("if-none-match", &tag)).await.expect(304);
        // What is compressed has fewer bytes, and a tag of its own.
        let compressed = async |tag: &str| {
            let request = app.request(Method::GET, path).header("accept-encoding", "gzip").header("if-none-match", tag);
            app.send(request).await
        };
        let short = compressed(&tag).await.expect(200);
        assert_eq!(
            (short.header("content-encoding"), short.header("vary")),
            (Some("gzip"), Some("Accept-Encoding, Authorization, Cookie, X-Api-Key"))
        );
        assert!(short.header("content-length").unwrap().parse::<usize>().unwrap() < 60_000);
        let of_it = short.header("etag").unwrap();
        assert_ne!(of_it, tag);
        assert_eq!(compressed(of_it).await.expect(304).header("etag"), Some(of_it));
    }
}

/// The routes that the sources declare, on the public port: path and methods.
fn declared(folder: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            declared(&path, found);
        }
        // The port for operators; tests; where routes are made.
        if !name.ends_with(".rs") || ["operation.rs", "tests.rs", "method.rs"].contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for other_way in ["web::resource(", "web::scope(", ".route(\"", "#[get(", "#[post("] {
            assert!(
                !text.contains(other_way),
                "{}: {other_way} declares a route that this test does not see",
                path.display()
            );
        }
        for (call, methods) in [("method::readable(", Some("GET")), ("method::resource(", None)] {
            for rest in text.split(call).skip(1) {
                let mut literals = rest.split('"').skip(1).step_by(2);
                let path = literals.next().unwrap();
                let methods = methods.unwrap_or_else(|| literals.next().unwrap());
                let own = methods.split(", ").filter(|method| !["HEAD", "OPTIONS"].contains(method));
                found.extend(own.map(|method| (method.to_owned(), path.to_owned())));
            }
        }
    }
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let app = planted(5).await;
    let documents = [served(&app).await, served_to_administrators(&app).await];
    let described_operations: Vec<(String, String, &Value)> = documents.iter().flat_map(operations).collect();
    let mut routes = BTreeSet::new();
    declared(&repository().join("src/http"), &mut routes);
    assert!(routes.contains(&("PATCH".to_owned(), "/users/{id}".to_owned())), "{routes:?}");
    let mut pages = BTreeSet::new();
    declared(&repository().join("src/http/pages"), &mut pages);
    assert!(pages.contains(&("POST".to_owned(), "/sign-in".to_owned())), "{pages:?}");
    pages.retain(|(_, path)| !DESCRIBED_PAGES.contains(&path.as_str()));
    routes.retain(|route| !pages.contains(route));
    for data_set in ["permits", "trees"] {
        let patterns = DataRoute::OF_API.map(DataRoute::pattern).into_iter();
        let patterns = patterns.chain(["/{dataset}/{key}/{record_id}/history"]);
        routes.extend(patterns.map(|pattern| ("GET".to_owned(), pattern.replace("{dataset}", data_set))));
    }
    let described: BTreeSet<(String, String)> =
        described_operations.iter().map(|(method, path, _)| (method.clone(), path.clone())).collect();
    assert_eq!(described, routes);

    // A data set takes none of these paths away.
    let all = routes.iter().chain(&pages);
    for path in all.map(|(_, path)| path.trim_start_matches('/').split('/').next().unwrap()) {
        if !["", "permits", "trees", "openapi.json", "openapi-admin.json"].contains(&path) {
            let named = trees_toml().replacen("\"trees\"", &format!("{path:?}"), 1);
            assert!(Definition::from_toml(&named, "x.toml").is_err(), "a data set can be named {path}");
        }
    }

    // Each is there, and lets in whom it says.
    let key = unlimited(&app).await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in described_operations {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
        let concrete = path
            .replace("{code}", "not-found")
            .replace("{key}", "A1")
            .replace("{record_id}", "1")
            .replace("{key_id}", &key[4..20])
            .replace("{id}", "00000000-0000-0000-0000-000000000000")
            .replace("{number}", "1")
            .replace("{name}", "gold");
        let request = app.request(method.parse().unwrap(), &concrete).header("content-type", "application/json");
        let answer = app.send(request.body("{}")).await;
        let is_open = operation["security"].as_array().unwrap().first().is_none_or(|first| *first == json!({}));
        let expected = match (is_open, path.as_str()) {
            (false, _) => 401,
            // No link has this token.
            (true, "/links/{token}") => 410,
            // There is no provider here.
            (true, "/sign-in/provider" | "/sign-in/provider/callback") => 404,
            (true, _) if operation["requestBody"]["required"] == true => 400,
            (true, _) => 200,
        };
        assert_eq!(answer.status, expected, "{method} {concrete}: {}", answer.body);
        let documented = &operation["responses"][answer.status.to_string()];
        assert!(documented.is_object(), "{method} {path}");
    }
}

/// The parameters of an operation by name.
fn parameters<'d>(document: &'d Value, path: &str) -> Vec<(&'d str, &'d Value)> {
    let listed = document["paths"][path]["get"]["parameters"].as_array().unwrap_or_else(|| panic!("{path}"));
    let named = |one: &'d Value| {
        let parameter = followed(document, one);
        (parameter["name"].as_str().unwrap(), parameter)
    };
    listed.iter().map(named).collect()
}

#[test]
fn every_column_and_operator_is_a_parameter_with_a_type() {
    let document: Value = serde_json::from_str(&printed(&[])).unwrap();
    for definition in Definition::builtin().unwrap() {
        for path in ["", "/facets", "/stats"].map(|below| format!("/{}{below}", definition.name)) {
            let parameters = parameters(&document, &path);
            let mut conditions = 0;
            for column in &definition.columns {
                for operator in Operator::ALL.into_iter().filter(|operator| operator.suits(column.kind)) {
                    let name = match operator {
                        Operator::Equal => column.name.clone(),
                        _ => format!("{}__{}", column.name, operator.name()),
                    };
                    let found = parameters.iter().find(|(known, _)| *known == name);
                    let schema = &found.unwrap_or_else(|| panic!("{path}: {name}")).1["schema"];
                    let value = if operator.takes_list() { &schema["items"] } else { schema };
                    let (kind, format) = match (operator, column.kind) {
                        (Operator::IsNull, _) => ("boolean", None),
                        (_, ColumnType::Text) => ("string", None),
                        (_, ColumnType::Integer) => ("integer", Some("int64")),
                        (_, ColumnType::Money) => ("number", Some("decimal")),
                        (_, ColumnType::Number) => ("number", Some("double")),
                        (_, ColumnType::Date) => ("string", Some("date")),
                        (_, ColumnType::Timestamp) => ("string", Some("date-time")),
                        (_, ColumnType::Point) => ("string", None),
                    };
                    assert_eq!((&value["type"], value["format"].as_str()), (&json!(kind), format), "{path}: {name}");
                    conditions += 1;
                }
            }
            let others = parameters.iter().filter(|(_, parameter)| parameter["x-column"].is_null()).count();
            assert_eq!(parameters.len(), conditions + others, "{path} has no other conditions");
        }
        let record = &document["components"]["schemas"][format!("{}_record", definition.name)];
        let names: Vec<&String> = record["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, definition.columns.iter().map(|column| &column.name).collect::<Vec<_>>());
        assert_eq!(
            (record["required"].as_array().unwrap().len(), &record["additionalProperties"]),
            (names.len(), &json!(false))
        );
    }
}

#[tokio::test]
async fn a_definition_of_ones_own_is_described_without_a_line_of_code() {
    let folder = support::data_dir();
    fs::write(folder.path().join("trees.toml"), trees_toml()).unwrap();
    let printed: Value = serde_json::from_str(&printed(&["--datasets", &folder.path().display().to_string()])).unwrap();

    // A server describes what it serves: the data set is in the document from its import on, without a restart.
    let app = TestApp::with(Options { sample_rows: 5, ..Options::default() }).await;
    let before = app.admin_get("/openapi.json").await.expect(200);
    assert!(before.json()["paths"]["/trees"].is_null());
    import(&app, trees(), b"Tag,Worth\nA1,3.5\n".to_vec(), "trees.csv").await;
    let served = served(&app).await;
    for document in [&printed, &served] {
        let properties = &document["components"]["schemas"]["trees_record"]["properties"];
        assert_eq!(properties["tag"], json!({ "type": "string", "description": "The tag on the trunk." }));
        assert_eq!(properties["planted"], json!({ "type": ["string", "null"], "format": "date" }));
        assert!(properties["planter"].is_null(), "it is not published");
        let names: Vec<&str> = parameters(document, "/trees").into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"girth__between") && names.contains(&"tag__startswith") && !names.contains(&"planter"));
        assert!(
            document["tags"]
                .as_array()
                .unwrap()
                .contains(&json!({ "name": "trees", "description": "Trees of the city" }))
        );
    }
    assert_eq!(printed["paths"]["/trees"], served["paths"]["/trees"]);

    // The document is kept by clients, and asked for again.
    let again = async |tag: &str| {
        let request = app.admin(Method::GET, "/openapi.json").header("if-none-match", tag);
        app.send(request.header("origin", "https://example.org")).await
    };
    let tag = before.header("etag").unwrap().to_owned();
    let renewed = again(&tag).await.expect(200);
    assert_ne!(renewed.header("etag"), Some(tag.as_str()));
    assert_eq!(renewed.header("access-control-allow-origin"), Some("*"));
    let kept = again(&format!("\"other\", {}", renewed.header("etag").unwrap())).await.expect(304);
    assert_eq!((kept.body.as_str(), kept.header("etag")), ("", renewed.header("etag")));
    assert_eq!(kept.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn clients_that_are_generated_from_them_work() {
    let app = planted(200).await;
    let key = unlimited(&app).await;
    member(&app, "eve@example.org").await;
    let session = sign_in(&app, "eve@example.org").await;
    let folder = support::data_dir();
    for (document, package) in
        [(served(&app).await, "permits_client"), (served_to_administrators(&app).await, "permits_admin_client")]
    {
        let file = folder.path().join(package).with_extension("json");
        fs::write(&file, document.to_string()).unwrap();
        let generated = ["generate", "--meta", "none", "--fail-on-warning", "--path"];
        let mut generate = tool("openapi-python-client");
        generate.args(generated).arg(&file).arg("--output-path").arg(folder.path().join(package));
        succeeds(generate.arg("--config").arg(sources("generator.yml")));
    }
    let mut client = tool("python");
    client.arg(sources("client.py")).arg(folder.path()).args([app.url(""), key, app.admin_token.clone(), session]);
    let said = succeeds(client.env("PYTHONDONTWRITEBYTECODE", "1")).stdout;
    assert_eq!(String::from_utf8_lossy(&said).trim(), "done");
}

fn sources(file: &str) -> PathBuf {
    repository().join("tests/openapi").join(file)
}

/// Asks the server all that the document allows, and much that it does not: every answer has to be one that is described.
fn ask_all(app: &TestApp, document: &Value, credentials: &str, arguments: &[&str]) {
    // In a folder of its own: it keeps notes.
    let folder = support::data_dir();
    fs::write(folder.path().join("document.json"), document.to_string()).unwrap();
    // Following has no end.
    let quiet =
        "[[operations]]\ninclude-operation-id = \"list_events\"\nparameters = { \"query.follow\" = \"false\" }\n";
    if document["paths"]["/events"].is_object() {
        fs::write(folder.path().join("schemathesis.toml"), quiet).unwrap();
    }
    let mut ask = Command::new("timeout");
    ask.args(["--kill-after=5", ASKING_S_MAX]).arg(tool("schemathesis").get_program()).arg("run");
    ask.args(["document.json", "--url", &app.url("")]).args([
        "--checks",
        CHECKS,
        "--header",
        credentials,
        "--seed",
        "1",
    ]);
    ask.args(["--continue-on-failure", "--warnings", "off", "--no-color"]).args(arguments);
    succeeds(ask.current_dir(folder.path()));
}

#[tokio::test]
async fn whatever_is_asked_of_the_data_is_answered_as_described() {
    let app = planted(20).await;
    let consumers = served(&app).await;
    let key = format!("x-api-key: {}", unlimited(&app).await);
    ask_all(
        &app,
        &consumers,
        &key,
        &["--include-path-regex", "^/trees", "--phases", "examples,coverage,fuzzing", "--max-examples", "10"],
    );
    ask_all(
        &app,
        &consumers,
        &key,
        &["--include-path-regex", "^/permits", "--phases", "examples,fuzzing", "--max-examples", "5"],
    );
}

#[tokio::test]
async fn whatever_is_asked_of_the_administration_is_answered_as_described() {
    let app = planted(20).await;
    let documents = [served(&app).await, served_to_administrators(&app).await];
    let [consumers, administrators] = &documents;
    unlimited(&app).await;
    let token = format!("authorization: Bearer {}", app.admin_token);
    let phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", "12"];
    ask_all(&app, administrators, &token, &phases);
    // What anybody may call stands in the other one, and what readers and administrators both may.
    let others = ["--exclude-path-regex", "^/(trees|permits)"];
    ask_all(&app, consumers, &token, &[others.as_slice(), &phases].concat());
}

/// Those that end the session come last: after them nothing is asked as somebody any more.
#[tokio::test]
async fn whatever_is_asked_with_a_session_is_answered_as_described() {
    let app = planted(20).await;
    let consumers = served(&app).await;
    member(&app, "ana@example.org").await;
    let session = format!("authorization: Bearer {}", sign_in(&app, "ana@example.org").await);
    let ends = ["sign_out", "end_my_sessions", "end_my_session"];
    let paths = ["--include-path-regex", "^/(me|sessions|links|password-resets)"];
    let phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", "8"];
    let others = ends.iter().flat_map(|operation| ["--exclude-operation-id", *operation]);
    let others: Vec<&str> = paths.into_iter().chain(phases).chain(others).collect();
    ask_all(&app, &consumers, &session, &others);
    let me = app.request(Method::GET, "/me").header("authorization", session.split_once(": ").unwrap().1);
    app.send(me).await.expect(200);
    let them: Vec<&str> =
        ends.iter().flat_map(|operation| ["--include-operation-id", *operation]).chain(phases).collect();
    ask_all(&app, &consumers, &session, &them);
}
