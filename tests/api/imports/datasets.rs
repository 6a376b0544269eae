//! Data sets over HTTP: listed, described, withdrawn, renamed, removed.

use reqwest::Method;
use serde_json::{Value, json};

use permitd::dataset::Definition;

use super::{THINGS, Things, things};
use crate::{
    accounts::{member_as, set_password, sign_in},
    app::Answer,
    data::imported,
    support::backend::Mode,
};

async fn post(of: &Things, path: &str, body: Option<Value>) -> Answer {
    let request = of.app.admin(Method::POST, path);
    of.app.send(if let Some(body) = body { request.json(&body) } else { request }).await
}

#[tokio::test]
async fn a_key_sees_the_data_sets_that_it_reads() {
    let of = Things::with(7).await;
    let listed = of.app.get("/datasets", &of.key).await.expect(200);
    assert!(listed.header("ratelimit").is_some(), "it counts as any question");
    let things = &listed.json()["data"][0];
    assert_eq!((&things["name"], &things["version"], &things["records"]), (&json!("things"), &json!(1), &json!(7)));
    assert!(things["last_import_on"].is_string());
    of.app.get("/datasets?x=1", &of.key).await.expect(400);
    of.app.get("/datasets", "pmt_nobody").await.expect(401);
    of.app.send(of.app.request(Method::GET, "/datasets")).await.expect(401);
    post(&of, "/datasets/things/withdraw", None).await.expect(200);
    assert_eq!(of.app.get("/datasets", &of.key).await.expect(200).json()["data"], json!([]));
    assert_eq!(of.app.admin_get("/datasets").await.expect(200).json()["data"][0]["withdrawn"], true);
}

#[tokio::test]
async fn a_session_sees_the_data_sets_that_it_reads_and_one_that_administers_data_sees_all() {
    let of = Things::with(7).await;
    let (key, get) = (&of.key, |token: &str| of.app.request(Method::GET, "/datasets").bearer_auth(token));
    let mut tokens = Vec::new();
    for role in ["reader", "manager", "admin"] {
        let email = format!("{role}@example.org");
        member_as(&of.app, &email, role).await;
        tokens.push(sign_in(&of.app, &email).await);
    }
    let by_key = of.app.get("/datasets", key).await.expect(200).json();
    let by_session = of.app.send(get(&tokens[0])).await.expect(200);
    assert!(by_session.header("ratelimit").is_some(), "it counts as any question");
    assert_eq!(by_session.json(), by_key);
    let by_cookie = of.app.request(Method::GET, "/datasets").header("cookie", format!("permitd={}", tokens[0]));
    assert_eq!(of.app.send(by_cookie).await.expect(200).json(), by_key);
    let plan = json!({ "rate_per_s": 10, "burst": 10, "quota_per_day": 10, "datasets": ["trees"] });
    post(&of, "/datasets/things/withdraw", None).await.expect(200);
    assert_eq!(of.app.send(get(&tokens[0])).await.expect(200).json()["data"], json!([]));
    for token in &tokens[1..] {
        assert_eq!(of.app.send(get(token)).await.expect(200).json()["data"][0]["withdrawn"], true);
    }
    post(&of, "/datasets/things/restore", None).await.expect(200);
    of.app.admin_send(Method::PUT, "/plans/trees", &plan).await.expect(201);
    let invited = json!({ "email": "eve@example.org", "plan": "trees" });
    of.app.invite_as(&invited).await;
    set_password(&of.app, "eve@example.org").await;
    let token = sign_in(&of.app, "eve@example.org").await;
    assert_eq!(of.app.send(get(&token)).await.expect(200).json()["data"], json!([]), "the plan has it not");
    of.app.send(of.app.request(Method::DELETE, "/sessions/current").bearer_auth(&token)).await.expect(200);
    of.app.send(get(&token)).await.expect(401);
}

#[tokio::test]
async fn a_data_set_that_is_withdrawn_is_kept_and_served_to_nobody() {
    let of = Things::with(7).await;
    let described = of.app.admin_get("/datasets/things").await.expect(200).json();
    assert_eq!((&described["key"], &described["withdrawn"]), (&json!("tag"), &json!(false)), "{described}");
    assert_eq!(described["last_import"]["counts"]["inserted"], 7);
    for _ in 0..2 {
        assert_eq!(post(&of, "/datasets/things/withdraw", None).await.expect(200).json()["withdrawn"], true);
    }
    for path in ["/things", "/things/T1", "/things/T1/1", "/things/changes?since=1", "/things/stats"] {
        let gone = of.app.get(path, &of.key).await.expect(410).json();
        assert_eq!(gone["type"], "/problems/data-set-withdrawn", "{path}");
    }
    of.app.send(of.app.request(Method::GET, "/things")).await.expect(401);
    // It goes on being imported into.
    assert_eq!(of.import("", things(0..9)).await["status"], "completed");
    of.app.get("/things", &of.key).await.expect(410);
    assert_eq!(post(&of, "/datasets/things/restore", None).await.expect(200).json()["withdrawn"], false);
    assert_eq!(of.state().await, (9, 2));
    let events = of.app.admin_get("/events?limit=1000").await.body;
    assert_eq!([events.matches("DataSetWithdrawn").count(), events.matches("DataSetRestored").count()], [1, 1]);
    post(&of, "/datasets/nothing/withdraw", None).await.expect(404);
}

#[tokio::test]
async fn a_data_set_that_is_removed_stays_in_the_log_alone() {
    let of = Things::with(7).await;
    let send = async |key: &str| {
        of.app.send(of.app.admin(Method::DELETE, "/datasets/things").header("idempotency-key", key)).await
    };
    let removed = send("a").await.expect(200).json();
    assert_eq!(removed, json!({"name": "things", "removed": true, "version": 1}));
    of.app.get("/things", &of.key).await.expect(404);
    assert_eq!(send("a").await.expect(200).json(), removed, "a repeated request gets its first answer");
    send("b").await.expect(404);
    of.app.admin_get("/datasets/things").await.expect(404);
    let imports = of.app.admin_get("/imports?dataset=things").await.json();
    assert_eq!(imports["data"][0]["status"], "removed");
}

#[tokio::test]
async fn a_former_name_leads_to_the_present_one_until_it_is_used_again() {
    let of = Things::with(7).await;
    let renamed = post(&of, "/datasets/things/rename", Some(json!({ "to": "articles" }))).await;
    if crate::MODE == Mode::Aws {
        assert!(renamed.expect(409).body.contains("keeps its name"));
        return;
    }
    assert_eq!(renamed.expect(200).json()["former_names"], json!(["things"]));
    post(&of, "/datasets/things/rename", Some(json!({ "to": "articles" }))).await.expect(200);
    post(&of, "/datasets/articles/rename", Some(json!({ "to": "admin" }))).await.expect(400);
    post(&of, "/datasets/articles/rename", Some(json!({ "too": "x" }))).await.expect(400);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let asked = |path: &str| client.get(of.app.url(path)).header("x-api-key", &of.key);
    for (path, to) in [
        ("/things", "/articles"),
        ("/things/T1/1", "/articles/T1/1"),
        ("/things?height__gte=3&limit=2", "/articles?height__gte=3&limit=2"),
        ("/things/%2F%2Fevil.example", "/articles/%2F%2Fevil.example"),
    ] {
        let answer = asked(path).send().await.unwrap();
        assert_eq!(answer.status(), 308, "{path}");
        assert_eq!(answer.headers()["location"], of.app.url(to).as_str());
        assert!(answer.headers().contains_key("ratelimit"));
    }
    let stranger = client.get(of.app.url("/things")).send().await.unwrap();
    assert_eq!(stranger.status(), 401, "who may not ask is not told the name");
    assert_eq!(of.app.get("/things?limit=1", &of.key).await.expect(200).json()["dataset"]["name"], "articles");
    // Once the name is used again, it is the other's.
    let definition = Definition::from_toml(THINGS, "things.toml").unwrap();
    imported(&of.app, definition, things(0..2).into_bytes(), "things.csv").await;
    assert_eq!(of.app.get("/things?limit=1", &of.key).await.expect(200).json()["dataset"]["name"], "things");
    of.app.send(of.app.admin(Method::DELETE, "/datasets/things")).await.expect(200);
    assert_eq!(asked("/things").send().await.unwrap().status(), 308);
}

#[tokio::test]
async fn a_data_set_is_described_to_whoever_may_read_it() {
    let of = Things::with(30).await;
    let told = of.app.get("/datasets/things", &of.key).await.expect(200);
    assert!(told.header("ratelimit").is_some(), "it counts as any question");
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let told = told.json();
    assert_eq!(told["about"], json!({ "public": false }));
    let column = json!({ "name": "colour", "type": "text", "description": "", "personal": false });
    assert_eq!(told["columns"][2], column);
    let figures = &told["figures"];
    assert_eq!((&figures["version"], &figures["records"]), (&json!(1), &json!(30)));
    let empty = |name: &str| json!({ "name": name, "empty": 0, "least": null, "greatest": null, "values": [] });
    let mut expected = vec![empty("tag"), empty("record_id"), empty("colour"), empty("height")];
    expected[2]["values"] = json!([{ "value": "red", "count": 30 }]);
    (expected[3]["least"], expected[3]["greatest"]) = (json!(0), json!(29));
    assert_eq!(figures["columns"], json!(expected));
    let change = &told["last_change"];
    assert_eq!([&change["inserted"], &change["updated"], &change["removed"]], [30, 0, 0]);
    assert!(change["at"].as_str().unwrap().starts_with(change["on"].as_str().unwrap()));
    assert!(
        told.get("last_import").is_none() && told.get("definition").is_none(),
        "how it is kept is not theirs to know"
    );

    let full = of.app.admin_get("/datasets/things").await.expect(200).json();
    for member in ["about", "columns", "figures", "last_change", "records", "version"] {
        assert_eq!(full[member], told[member], "{member}");
    }
    assert_eq!(full["last_import"]["counts"]["inserted"], 30);
    member_as(&of.app, "ann@example.org", "reader").await;
    member_as(&of.app, "bob@example.org", "manager").await;
    let get = |token: &str| of.app.request(Method::GET, "/datasets/things").bearer_auth(token);
    let reader = sign_in(&of.app, "ann@example.org").await;
    assert_eq!(of.app.send(get(&reader)).await.expect(200).json(), told);
    let manager = sign_in(&of.app, "bob@example.org").await;
    assert_eq!(of.app.send(get(&manager)).await.expect(200).json(), full);

    of.app.get("/datasets/things?x=1", &of.key).await.expect(400);
    of.app.get("/datasets/none", &of.key).await.expect(404);
    of.app.get("/datasets/things", "pmt_nobody").await.expect(401);
    of.app.send(of.app.request(Method::GET, "/datasets/things")).await.expect(401);
    of.app.send(of.app.request(Method::DELETE, "/datasets/things").header("x-api-key", &of.key)).await.expect(401);
    let plan = json!({ "rate_per_s": 10, "burst": 10, "quota_per_day": 10, "datasets": ["trees"] });
    of.app.admin_send(Method::PUT, "/plans/trees", &plan).await.expect(201);
    of.app.invite_as(&json!({ "email": "eve@example.org", "plan": "trees" })).await;
    set_password(&of.app, "eve@example.org").await;
    let stranger = sign_in(&of.app, "eve@example.org").await;
    of.app.send(get(&stranger)).await.expect(403);
    post(&of, "/datasets/things/withdraw", None).await.expect(200);
    of.app.get("/datasets/things", &of.key).await.expect(410);
    assert_eq!(of.app.admin_get("/datasets/things").await.expect(200).json()["withdrawn"], true);
}

#[tokio::test]
async fn a_changed_self_description_is_taken_up_by_an_import_of_the_same_file() {
    let of = Things::with(30).await;
    let about = "[about]\npublisher = \"City gardens\"\ncontact = \"gardens@example.org\"\npublic = true\n";
    let text = format!("{THINGS}    personal = true\n{about}");
    let definition = Definition::from_toml(&text, "things.toml").unwrap();
    imported(&of.app, definition, things(0..30).into_bytes(), "things.csv").await;
    let told = of.app.get("/datasets/things", &of.key).await.expect(200).json();
    let expected = json!({ "publisher": "City gardens", "contact": "gardens@example.org", "public": true });
    assert_eq!((&told["about"], &told["version"]), (&expected, &json!(1)));
    assert_eq!(
        (&told["columns"][3]["personal"], &told["figures"]["columns"][3]["greatest"]),
        (&json!(true), &json!(null))
    );
    let change = &told["last_change"];
    assert_eq!([&change["inserted"], &change["updated"], &change["removed"]], [0, 0, 0]);
}
