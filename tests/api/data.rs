//! Reading data.

use std::{collections::BTreeSet, io::Cursor, sync::Arc};

use permitd::{
    actors::import::{Order, Summary},
    dataset::{
        Definition,
        sample::{self, SampleFormat},
    },
    domain::{event::Origin, id::Who},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Options, TestApp};

/// A server with a sample and a key that no limit stops.
pub(crate) async fn serving(rows: u64) -> (TestApp, String) {
    let app = TestApp::with_sample(rows).await;
    let key = unlimited(&app).await;
    (app, key)
}

pub(crate) async fn unlimited(app: &TestApp) -> String {
    let plan = json!({ "rate_per_s": 100_000, "burst": 100_000, "quota_per_day": 1_000_000 });
    let answer = app.admin_send(Method::PUT, "/plans/unlimited", &plan).await;
    assert!((200..300).contains(&answer.status), "{}", answer.body);
    app.invite_as(&json!({ "email": "ana@example.org", "plan": "unlimited" })).await.1
}

/// A small data set of one's own: things with a height.
pub(crate) fn things() -> Definition {
    let columns = r#"
        [[column]]
        name = "height"
        type = "integer"
        description = "Height."
        headers = ["Height"]
        [[column]]
        name = "maker"
        type = "text"
        description = "Who made it."
        headers = ["Maker"]
        publish = false
        [[column]]
        name = "load_date"
        type = "date"
        description = "Load date."
        import = true
    "#;
    things_with("load_date = \"load_date\"", columns)
}

/// A data set with a column of every type.
pub(crate) const TREES: &str = r#"
    name = "trees"
    title = "Trees of the city"
    record_id = "record_id"
    [about]
    public = true
    access = "Ask the gardeners."
    contact = "trees@example.org"
    [key]
    column = "tag"
    [[column]]
    name = "tag"
    description = "The tag on the trunk."
    headers = ["Tag"]
    [[column]]
    name = "record_id"
    type = "integer"
    import = true
    [[column]]
    name = "cut"
    description = "How it was cut."
    searchable = true
    headers = ["Cut"]
    [[column]]
    name = "rings"
    type = "integer"
    headers = ["Rings"]
    [[column]]
    name = "worth"
    type = "money"
    headers = ["Worth"]
    [[column]]
    name = "girth"
    type = "number"
    headers = ["Girth"]
    [[column]]
    name = "planted"
    type = "date"
    headers = ["Planted"]
    [[column]]
    name = "seen"
    type = "timestamp"
    headers = ["Seen"]
    [[column]]
    name = "place"
    type = "point"
    headers = ["Place"]
"#;

/// Columns of these names and types, whose headers are their names.
pub(crate) fn columns_of(columns: &[(&str, &str)]) -> String {
    let column = |(name, kind): &(&str, &str)| {
        format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\nheaders = [\"{name}\"]\n")
    };
    columns.iter().map(column).collect()
}

/// A server with things that have these columns besides, of the rows of a CSV file, and a key that no limit stops.
pub(crate) async fn things_of(columns: &str, rows: &str) -> (TestApp, String) {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    import(&app, things_with("", columns), rows.as_bytes().to_vec(), "things.csv").await;
    (app, key)
}

/// The names of the things on a page.
pub(crate) fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect()
}

/// Things that have a name and a record id, with more entries and columns.
pub(crate) fn things_with(entries: &str, columns: &str) -> Definition {
    let text = format!(
        r#"
        name = "things"
        title = "Things"
        record_id = "record_id"
        {entries}
        [key]
        column = "name"
        [[column]]
        name = "name"
        type = "text"
        description = "The name."
        headers = ["Name"]
        required = true
        [[column]]
        name = "record_id"
        type = "integer"
        description = "Ordinal."
        import = true
        {columns}"#
    );
    match Definition::from_toml(&text, "things.toml") {
        Ok(definition) => definition,
        Err(error) => panic!("{error}"),
    }
}

/// What no double can hold, and what one can.
fn exact() -> Definition {
    let columns = r#"
        [[column]]
        name = "count_of_all"
        type = "integer"
        headers = ["Count"]
        [[column]]
        name = "cost"
        type = "money"
        headers = ["Cost"]
        [[column]]
        name = "size"
        type = "number"
        headers = ["Size"]
    "#;
    things_with("", columns)
}

/// Every page of a query, following `Link`; the records and the number of pages.
pub(crate) async fn walk(app: &TestApp, key: &str, path: &str) -> (Vec<Value>, usize) {
    let (mut records, mut pages, mut next) = (Vec::new(), 0, path.to_owned());
    loop {
        let answer = app.get(&next, key).await.expect(200);
        let document = answer.json();
        let page = document["data"].as_array().expect("a list");
        assert!(page.len() <= usize::try_from(document["page"]["limit"].as_u64().unwrap()).unwrap());
        records.extend(page.clone());
        pages += 1;
        let cursor = document["page"]["next"].as_str().map(ToOwned::to_owned);
        let Some(link) = answer.link("next") else {
            assert_eq!(cursor, None, "no link, no cursor");
            return (records, pages);
        };
        let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a next link");
        assert!(target.contains(&format!("cursor={}", cursor.expect("a cursor"))));
        next = target.to_owned();
    }
}

pub(crate) fn identity(record: &Value) -> (String, i64) {
    (record["application_number"].as_str().unwrap().to_owned(), record["record_id"].as_i64().unwrap())
}

#[tokio::test]
async fn a_permit_is_read_by_its_number_with_or_without_the_sign() {
    let (app, key) = serving(200).await;
    let bare = app.get("/permits/201612013997", &key).await.expect(200);
    assert_eq!(bare.header("content-type"), Some("application/json"));
    let document = bare.json();
    assert_eq!(document["dataset"], json!({ "name": "permits", "version": 1 }));
    let records = document["data"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["application_number"], "#201612013997");
    assert_eq!(records[0]["address"], "235 Bella Vista Wy");
    assert_eq!(records[0]["record_id"], 1);
    assert_eq!(app.get("/permits/%23201612013997", &key).await.expect(200).body, bare.body);
    let one = app.get("/permits/201612013997/1", &key).await.expect(200).json();
    assert_eq!((&one["data"], &one["dataset"]), (&records[0], &document["dataset"]));
    for missing in ["/permits/201612013997/2", "/permits/201612013997/01", "/permits/201612013997/x", "/permits/0"] {
        let answer = app.get(missing, &key).await.expect(404);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{missing}");
    }
    let refused = app.get("/permits/201612013997?limit=1", &key).await.expect(400).json();
    assert_eq!(refused["invalid_params"][0]["name"], "limit");
}

#[tokio::test]
async fn the_record_has_the_fields_and_types_that_are_promised() {
    let (app, key) = serving(50).await;
    let record = app.get("/permits/201612013997/1", &key).await.expect(200).json()["data"].clone();
    let fields = [
        "application_number",
        "record_id",
        "status",
        "status_date",
        "file_date",
        "expiration_date",
        "estimated_cost",
        "revised_cost",
        "existing_use",
        "proposed_use",
        "description",
        "address",
        "load_date",
    ];
    let names: Vec<&String> = record.as_object().unwrap().keys().collect();
    assert_eq!(names[..fields.len()], fields, "the reference system's, in its order");
    assert!(
        record["estimated_cost"].is_number()
            && record["status"]
                == record["status"].to_string().to_lowercase()[1..record["status"].to_string().len() - 1]
    );
    let date = record["file_date"].as_str().unwrap();
    assert!(date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok(), "{date}");
}

#[tokio::test]
async fn filters_sorting_and_selection_do_what_they_say() {
    let (app, key) = serving(500).await;
    let (all, _) = walk(&app, &key, "/permits?limit=1000").await;
    assert_eq!(all.len(), 500);
    let cost = |record: &Value| record["estimated_cost"].as_f64();
    let costs = |low: f64, high: f64| all.iter().filter(|r| cost(r).is_some_and(|c| c >= low && c <= high)).count();
    let found = async |query: &str| walk(&app, &key, &format!("/permits?limit=1000&{query}")).await.0;
    assert_eq!(found("estimated_cost__between=10000,50000").await.len(), costs(10_000.0, 50_000.0));
    assert_eq!(found("estimated_cost__gte=10000").await.len(), costs(10_000.0, f64::MAX));
    assert_eq!(
        found("estimated_cost__isnull=true").await.len(),
        all.iter().filter(|record| record["estimated_cost"].is_null()).count()
    );
    let issued = all.iter().filter(|record| record["status"] == "issued").count();
    assert_eq!(found("status=issued").await.len(), issued);
    assert_eq!(found("status__ne=issued").await.len() + issued, 500);
    assert_eq!(found("status__in=issued,complete&estimated_cost__lt=0").await.len(), 0);
    let described = found("description__contains=REPLACE").await;
    let expected =
        all.iter().filter(|r| r["description"].as_str().is_some_and(|d| d.to_lowercase().contains("replace")));
    assert_eq!(described.len(), expected.count());
    let sorted = found("sort=-estimated_cost,file_date").await;
    assert!(sorted.iter().filter_map(cost).is_sorted_by(|left, right| left >= right));
    assert_eq!(sorted.len(), 500);
    let selected = found("select=address,record_id").await;
    assert!(selected.iter().all(|record| record.as_object().unwrap().keys().eq(["address", "record_id"])));
}

#[tokio::test]
async fn a_query_is_explained_to_whoever_asks() {
    let (app, key) = serving(50).await;
    let plain = app.get("/permits?status=issued&sort=-file_date&limit=2", &key).await.expect(200).json();
    assert_eq!(plain["page"].as_object().unwrap().keys().collect::<Vec<_>>(), ["limit", "next"]);
    let cursor = plain["page"]["next"].as_str().unwrap();
    let path = format!("/permits?status=issued&sort=-file_date&limit=2&explain=true&cursor={cursor}");
    let explained = app.get(&path, &key).await.expect(200).json();
    let plan = explained["page"]["explain"]["plan"].as_array().unwrap();
    assert!(plan[0].as_str().unwrap().contains("status:file_date"), "{plan:?}");
    assert!(explained["page"]["next"].is_string(), "a cursor is good with and without");
    let sorted = app.get("/permits?sort=description&explain=true", &key).await.expect(200).json();
    let plan = sorted["page"]["explain"]["plan"].as_array().unwrap();
    assert!(plan[0].as_str().unwrap().starts_with("compare the columns of all records"), "{plan:?}");
    let refused = app.get("/permits?explain=please", &key).await.expect(400).json();
    assert_eq!(refused["invalid_params"][0]["name"], "explain");
}

#[tokio::test]
async fn cursors_lead_through_every_record_once() {
    let (app, key) = serving(500).await;
    for sort in ["", "&sort=-estimated_cost", "&sort=status,-file_date", "&sort=expiration_date"] {
        let (records, pages) = walk(&app, &key, &format!("/permits?limit=30{sort}")).await;
        assert_eq!((records.len(), pages), (500, 17), "{sort}");
        assert_eq!(records.iter().map(identity).collect::<BTreeSet<_>>().len(), 500, "{sort}");
        let (whole, _) = walk(&app, &key, &format!("/permits?limit=1000{sort}")).await;
        assert_eq!(records, whole, "{sort}");
    }
    assert_eq!(app.get("/permits", &key).await.json()["page"]["limit"], 100);
    assert_eq!(app.get("/permits?limit=5000", &key).await.json()["page"]["limit"], 1000, "coerced and echoed");
    let page = app.get("/permits?limit=3&status=issued", &key).await.json();
    let cursor = page["page"]["next"].as_str().expect("a cursor").to_owned();
    for foreign in [
        format!("/permits?limit=3&cursor={cursor}"),
        format!("/permits?limit=3&status=complete&cursor={cursor}"),
        format!("/permits?limit=3&status=issued&cursor={}x", &cursor[..cursor.len() - 2]),
        "/permits?cursor=junk".to_owned(),
    ] {
        let refused = app.get(&foreign, &key).await.expect(400).json();
        assert_eq!(refused["invalid_params"][0]["name"], "cursor", "{foreign}");
    }
    app.get(&format!("/permits?limit=5&status=issued&cursor={cursor}"), &key).await.expect(200);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_a_hint() {
    let (app, key) = serving(50).await;
    let refused = async |query: &str| app.get(&format!("/permits?{query}"), &key).await.expect(400).json();
    let hint = async |query: &str| refused(query).await["invalid_params"][0]["did_you_mean"].clone();
    assert_eq!(hint("statsu=issued").await, "status");
    assert_eq!(hint("limt=3").await, "limit");
    assert!(hint("estimated_cost__gt3=3").await.to_string().contains("gt"), "{}", hint("estimated_cost__gt3=3").await);
    for query in [
        "sort=nothing",
        "select=nothing",
        "limit=-1",
        "limit=x",
        "estimated_cost__gte=much",
        "file_date__lt=2016-13-01",
        "estimated_cost__between=1",
        "status=issued&status=complete",
        "limit=1&limit=2",
        "estimated_cost__isnull=perhaps",
        "%ff=1",
        "=1",
    ] {
        let problem = refused(query).await;
        let params = problem["invalid_params"].as_array().unwrap_or_else(|| panic!("{query}: {problem}"));
        assert!(!params.is_empty() && params.iter().all(|param| param["reason"].is_string()), "{query}: {problem}");
    }
    let both = refused("statsu=issued&limt=3").await;
    assert_eq!(both["invalid_params"].as_array().map(Vec::len), Some(2), "all that is wrong at once: {both}");
    assert_eq!(both["status"], 400);
    assert!(both["type"].is_string() && both["title"].is_string() && both["instance"].is_string());
}

#[tokio::test]
async fn other_methods_preflight_and_request_ids() {
    let (app, key) = serving(20).await;
    for path in ["/permits", "/permits/201612013997", "/permits/201612013997/1"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = app.send(app.request(method, path).header("x-api-key", &key)).await.expect(405);
            let allow = answer.header("allow").unwrap_or_default();
            assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
        }
        let head = app.send(app.request(Method::HEAD, path).header("x-api-key", &key)).await.expect(200);
        assert_eq!(head.body, "");
        let preflight = app
            .request(Method::OPTIONS, path)
            .header("origin", "https://example.org")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "x-api-key");
        let preflight = app.send(preflight).await.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
        assert!(preflight.header("access-control-allow-headers").unwrap_or_default().contains("x-api-key"));
        // What Allow names, the resource has.
        let options = app.send(app.request(Method::OPTIONS, path)).await;
        assert!(
            (200..300).contains(&options.status),
            "{path}: OPTIONS is named in Allow but answers {}",
            options.status
        );
        assert!(options.header("allow").unwrap_or_default().contains("OPTIONS"));
    }
    let request = app.request(Method::GET, "/permits?limit=1").header("x-api-key", &key);
    let cross = app.send(request.header("origin", "https://example.org").header("x-request-id", "my-id-1")).await;
    assert_eq!((cross.status, cross.header("x-request-id")), (200, Some("my-id-1")));
    let exposed = cross.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
    for name in ["link", "etag", "ratelimit", "ratelimit-policy", "retry-after"] {
        assert!(exposed.split(',').any(|exposed| exposed.trim() == name), "{name}: {exposed}");
    }
    let (one, two) = (app.get("/permits/1", &key).await, app.get("/nothing", &key).await);
    let ids: Vec<&str> = [&one, &two].map(|answer| answer.header("x-request-id").expect("an id")).into();
    assert_ne!(ids[0], ids[1]);
    assert!(one.json()["instance"].as_str().unwrap().contains(ids[0]), "the problem names the request");
}

/// The built-in definition.
pub(crate) fn permits() -> Definition {
    Definition::builtin().unwrap().into_iter().find(|definition| definition.name == "permits").unwrap()
}

pub(crate) async fn import(app: &TestApp, definition: Definition, file: Vec<u8>, name: &str) -> u64 {
    imported(app, definition, file, name).await.counts.inserted
}

pub(crate) async fn imported(app: &TestApp, definition: Definition, file: Vec<u8>, name: &str) -> Summary {
    app.place().make_room_for(&definition).await;
    let definition = Arc::new(definition);
    let order = Order {
        file: Box::new(Cursor::new(file)),
        file_name: name.to_owned(),
        definition: Arc::clone(&definition),
        reading: definition,
        replace: false,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "import".to_owned(), causation_id: None },
        progress: Arc::default(),
    };
    app.service().imports.import(order).await.expect("an import")
}

#[tokio::test]
async fn a_second_data_set_is_served_without_a_line_of_code() {
    let app = TestApp::with(Options { sample_rows: 20, ..Options::default() }).await;
    let key = unlimited(&app).await;
    app.get("/sf_open_data", &key).await.expect(404);
    let Some(file) = crate::support::shared_data("sf_building_permits_post2013.csv") else { return };
    let definition = Definition::builtin().unwrap().into_iter().find(|definition| definition.name == "sf_open_data");
    let inserted = import(&app, definition.unwrap(), std::fs::read(file).unwrap(), "sf.csv").await;
    assert!(inserted > 2000, "{inserted}");
    let (records, _) = walk(&app, &key, "/sf_open_data?limit=1000").await;
    assert_eq!(u64::try_from(records.len()).unwrap(), inserted);
    let (number, record_id) =
        (records[7]["permit_number"].as_str().unwrap(), records[7]["record_id"].as_str().unwrap());
    let one = app.get(&format!("/sf_open_data/{number}/{record_id}"), &key).await.expect(200).json();
    assert_eq!((&one["data"], &one["dataset"]["name"]), (&records[7], &json!("sf_open_data")));
    assert_eq!(app.get("/permits/201612013997", &key).await.expect(200).json()["dataset"]["name"], "permits");
}

#[tokio::test]
async fn a_definition_of_ones_own_is_served_the_same_way() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    import(&app, things(), b"Name,Height,Maker\nA1,3,Eve\nA1,4,Eve\nB2,,Eve\n".to_vec(), "things.csv").await;
    let things = app.get("/things/A1", &key).await.expect(200);
    assert_eq!(things.json()["data"].as_array().map(Vec::len), Some(2));
    assert!(!things.body.contains("Eve") && !things.body.contains("maker"), "{}", things.body);
    assert_eq!(app.get("/things?height__gte=4", &key).await.expect(200).json()["data"][0]["record_id"], 2);
    app.get("/things?maker=Eve", &key).await.expect(400);
}

/// The values of the columns that are not published, as the sample invents them (the same seed as the app's).
fn unpublished(rows: u64) -> BTreeSet<String> {
    let mut file = Cursor::new(Vec::new());
    sample::generate(rows, 1, SampleFormat::Csv, &mut file).unwrap();
    let mut reader = csv::Reader::from_reader(Cursor::new(file.into_inner()));
    let headers = reader.headers().unwrap().clone();
    let personal: Vec<usize> = headers
        .iter()
        .enumerate()
        .filter(|(_, header)| {
            ["CONTACT", "PHONE", "FIRST_NAME", "LAST_NAME", "AGENT"].iter().any(|p| header.contains(p))
        })
        .map(|(at, _)| at)
        .collect();
    assert!(personal.len() >= 3, "{headers:?}");
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let values = records.iter().flat_map(|record| personal.iter().map(|at| record[*at].trim().to_owned()));
    values.filter(|value| value.len() >= 7 && value.contains(|c: char| c.is_ascii_digit())).collect()
}

#[tokio::test]
async fn unpublished_columns_appear_in_no_answer() {
    let (app, key) = serving(300).await;
    let definition: toml::Value =
        include_str!("../../schemas/datasets/permits.toml").parse::<toml::Table>().unwrap().into();
    let is_hidden = |column: &&toml::Value| column.get("publish").and_then(toml::Value::as_bool) == Some(false);
    let hidden = definition["column"].as_array().unwrap().iter().filter(is_hidden);
    let hidden: Vec<&str> = hidden.filter_map(|column| column["name"].as_str()).collect();
    assert!(hidden.len() > 10, "{hidden:?}");
    let mut answers: Vec<Answer> = Vec::new();
    for path in ["/permits?limit=1000", "/permits/201612013997", "/permits/201612013997/1", "/permits?sort=-file_date"]
    {
        answers.push(app.get(path, &key).await.expect(200));
    }
    for column in &hidden {
        for query in [
            format!("{column}=x"),
            format!("sort={column}"),
            format!("select={column}"),
            format!("{column}__isnull=true"),
        ] {
            app.get(&format!("/permits?{query}"), &key).await.expect(400);
        }
    }
    answers.push(app.get("/permits?statsu=1&contrator=2&phon=3", &key).await.expect(400));
    let secrets = unpublished(300);
    assert!(secrets.len() > 20, "{}", secrets.len());
    for answer in &answers {
        for column in &hidden {
            assert!(!answer.body.contains(&format!("\"{column}\"")), "{column}");
        }
        for secret in &secrets {
            assert!(!answer.body.contains(secret.as_str()), "a personal value in an answer");
        }
    }
}

/// JavaScript and others keep every number as a double: who asks for it gets texts, in every answer alike.
#[tokio::test]
async fn whole_numbers_and_amounts_are_texts_for_who_asks() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let rows = "Name,Count,Cost,Size\na,9007199254740993,90071992547409.93,1.5\na,-5,,2\nb,,7,\n";
    import(&app, exact(), rows.as_bytes().to_vec(), "things.csv").await;
    import(&app, exact(), b"Name,Count,Cost,Size\nb,1,7.5,\n".to_vec(), "things.csv").await;
    let get = async |path: &str| app.get(path, &key).await.expect(200);
    let first = json!({ "name": "a", "record_id": "1", "count_of_all": "9007199254740993", "cost": "90071992547409.93", "size": 1.5 });
    let second = json!({ "name": "a", "record_id": "2", "count_of_all": "-5", "cost": null, "size": 2 });
    let third = json!({ "name": "b", "record_id": "1", "count_of_all": "1", "cost": "7.50", "size": null });

    let page = get("/things?numbers=text&limit=2").await;
    assert_eq!(page.header("content-type"), Some("application/vnd.permitd.numbers-as-texts+json"));
    assert_eq!(page.json()["data"], json!([first, second]));
    assert_eq!((&page.json()["page"]["limit"], &page.json()["dataset"]["version"]), (&json!(2), &json!(2)));
    // A walk may change its form, and the link keeps it.
    let link = page.link("next").unwrap();
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    assert_eq!(get(&next).await.json()["data"], json!([third]));
    let selected = get("/things?numbers=text&select=cost,size&sort=-cost&limit=1").await.json();
    assert_eq!(selected["data"], json!([{ "cost": "90071992547409.93", "size": 1.5 }]));

    assert_eq!(get("/things/a?numbers=text").await.json()["data"], json!([first, second]));
    assert_eq!(get("/things/a/2?numbers=text").await.json()["data"], second);
    let exported = get("/things?format=ndjson&numbers=text").await;
    assert_eq!(exported.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = exported.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [first.clone(), second, third.clone()]);

    let changes = get("/things/changes?since=1&numbers=text").await.json();
    assert_eq!((&changes["data"][0]["after"], &changes["data"][0]["record_id"]), (&third, &json!("1")));
    assert_eq!(changes["data"][0]["version"], 2, "what is said of it is no value");
    let history = get("/things/b/history?numbers=text").await.json();
    assert_eq!((&history["data"][1]["record"], &history["data"][1]["record_id"]), (&third, &json!("1")));
    let facets = get("/things/facets?columns=count_of_all,size&numbers=text").await.json();
    let values = json!([{ "value": "-5", "count": 1 }, { "value": "1", "count": 1 }, { "value": "9007199254740993", "count": 1 }]);
    assert_eq!(facets["facets"][0]["values"], values);
    assert_eq!(facets["limit"], 100);
    let stats = get("/things/stats?columns=count_of_all,cost,size&numbers=text").await.json()["stats"].clone();
    assert_eq!(
        (&stats[0]["max"], &stats[0]["sum"], &stats[1]["sum"]),
        (&json!("9007199254740993"), &json!("9007199254740989"), &json!("90071992547417.43"))
    );
    assert_eq!((&stats[0]["count"], &stats[2]["sum"]), (&json!(3), &json!(3.5)));

    // So do records that are read by their key have the columns that are selected, in their order.
    let sizes = get("/things/a?select=size,name").await;
    assert!(sizes.body.starts_with("{\"data\":[{\"size\":1.5,\"name\":\"a\"},{\"size\":2"), "{}", sizes.body);
    assert_eq!(sizes.json()["dataset"], get("/things/a").await.json()["dataset"]);
    assert_ne!(sizes.header("etag"), get("/things/a?select=name,size").await.header("etag"));
    assert_ne!(sizes.header("etag"), get("/things/a").await.header("etag"));
    assert_eq!(get("/things/b/1?select=cost&numbers=text").await.json()["data"], json!({ "cost": "7.50" }));
    let mistyped = app.get("/things/a?select=csot", &key).await.expect(400).json();
    assert_eq!(mistyped["invalid_params"][0]["did_you_mean"], "cost", "{mistyped}");

    // Each form has a tag of its own.
    for path in [
        "/things",
        "/things/a",
        "/things/a/1",
        "/things/a?select=cost",
        "/things/a/1?select=cost,name",
        "/things/stats?columns=cost",
        "/things/changes?since=1",
    ] {
        let join = if path.contains('?') { '&' } else { '?' };
        let (plain, texts) = (get(path).await, get(&format!("{path}{join}numbers=text")).await);
        assert_ne!(plain.header("etag"), texts.header("etag"), "{path}");
        assert_eq!(plain.header("content-type"), Some("application/json"));
        let request = app.request(Method::GET, &format!("{path}{join}numbers=text")).header("x-api-key", &key);
        app.send(request.header("if-none-match", texts.header("etag").unwrap())).await.expect(304);
    }
    for wrong in [
        "/things/a?numbers=texts",
        "/things/a?numbers=text&numbers=text",
        "/things/a/1?limit=1",
        "/things/a?select=csot",
    ] {
        app.get(wrong, &key).await.expect(400);
    }
}

/// A page may end at a text of any length: its cursor does not hold it, and the walk goes on in either direction.
#[tokio::test]
async fn a_walk_by_long_texts_comes_to_its_end() {
    let app = TestApp::start().await;
    let key = unlimited(&app).await;
    let columns = "[[column]]\nname = \"txt\"\nheaders = [\"Txt\"]\n";
    let lengths = [10, 3_000, 5_000, 5_000, 5_900, 6_200, 7_000, 10];
    let letters = ["a", "b", "c", "c", "é", "f", "g", "h"];
    let row = |nth: usize| format!("k{nth},{}\n", letters[nth].repeat(lengths[nth]));
    let file: String = (0..lengths.len()).map(row).collect();
    import(&app, things_with("", columns), format!("Name,Txt\n{file}").into_bytes(), "things.csv").await;
    let mut expected: Vec<String> = ["k0", "k1", "k2", "k3", "k5", "k6", "k7", "k4"].map(str::to_owned).into();
    for sort in ["txt", "-txt"] {
        for limit in [1, 3] {
            let (records, pages) = walk(&app, &key, &format!("/things?sort={sort}&limit={limit}")).await;
            let names: Vec<&str> = records.iter().map(|record| record["name"].as_str().unwrap()).collect();
            assert_eq!((names.len(), pages), (8, 8_usize.div_ceil(limit)), "{sort}");
            assert_eq!(names, expected, "{sort} {limit}");
        }
        expected.reverse();
    }
}
