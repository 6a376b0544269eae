//! Records that are gone, older than the log, or of another deployment.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    data::{import, permits, serving, things, unlimited},
    pages::staff::administrator,
    past::one_permit,
};

/// The version that an answer is of.
async fn version(app: &TestApp, key: &str) -> u64 {
    app.get("/permits?limit=1", key).await.expect(200).json()["dataset"]["version"].as_u64().unwrap()
}

/// Every way to ask is refused, and told why; nothing of it counts. Other data sets are served.
async fn is_lost(app: &TestApp, key: &str, why: &str) {
    for path in [
        "/permits",
        "/permits?limit=1",
        "/permits?format=csv",
        "/permits/201612013997",
        "/permits/201612013997/1",
        "/permits/201612013997/history",
        "/permits/changes?since=1",
        "/permits/facets?columns=status",
        "/permits/groups?by=status",
        "/permits/stats?columns=estimated_cost",
    ] {
        let refused = app.get(path, key).await.expect(503);
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
        assert!(refused.header("retry-after").is_some());
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("\"permits\"") && detail.contains(why), "{path}: {detail}");
    }
    for (path, told) in [
        ("/datasets/permits", app.get("/datasets/permits", key).await),
        ("the administrator's", app.admin_get("/datasets/permits").await),
    ] {
        let detail = told.expect(503).json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("\"permits\"") && detail.contains(why), "{path}: {detail}");
    }
    let listed = app.get("/datasets", key).await.expect(200).json();
    let names = listed["data"].as_array().unwrap().iter().map(|set| &set["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["things"], "what is in the place of the records is described nowhere");
    let described = app.get("/openapi.json", key).await.expect(200).body;
    assert!(described.contains("/things") && !described.contains("/permits"), "{described}");
    // No act takes what is there for the data set of the log.
    for (act, body) in [("withdraw", json!({})), ("restore", json!({})), ("rename", json!({ "to": "elsewhere" }))] {
        if act == "rename" && crate::MODE == crate::support::backend::Mode::Aws {
            continue;
        }
        let refused = app.admin_send(Method::POST, &format!("/datasets/permits/{act}"), &body).await.expect(503).json();
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(why) && detail.contains("import the whole file again"), "{act}: {detail}");
    }
    let administrator = administrator(app).await;
    let page = administrator.open("/admin/data").await.expect(200);
    page.shows("The data set permits is not served.").shows(why).shows("import the whole file again").shows("things");
    assert!(!page.links().iter().any(|link| link == "/admin/data/permits"), "{:?}", page.links());
    administrator.open("/admin/data/permits").await.expect(503).shows(why);
    app.get("/permits", "pmt_nobody").await.expect(401);
    app.get("/things/a", key).await.expect(200);
    let ready = app.ops_get("/health/ready").await.expect(200).json();
    assert!(is_in_the_metrics(app).await);
    assert_eq!((&ready["status"], &ready["not_served"][0]["dataset"]), (&"ready".into(), &"permits".into()), "{ready}");
    assert!(ready["not_served"][0]["remedy"].as_str().unwrap().contains("import the whole file again"), "{ready}");
}

/// Whether the metrics say that `permits` is not served.
async fn is_in_the_metrics(app: &TestApp) -> bool {
    let metrics = app.ops_get("/metrics").await.expect(200).body;
    metrics.contains("permitd_dataset_not_served{dataset=\"permits\"} 1")
}

/// A server with two data sets, of which `permits` is at version 3.
async fn serving_two() -> (TestApp, String, Vec<String>) {
    let (app, key) = serving(30).await;
    import(&app, things(), b"Name,Height\na,1\n".to_vec(), "things.csv").await;
    for (number, status) in [("900000000001", "filed"), ("900000000002", "issued")] {
        import(&app, permits(), one_permit(number, status), "more.csv").await;
    }
    assert_eq!(version(&app, &key).await, 3);
    let next = |document: &Value| document["page"]["next"].as_str().unwrap().to_owned();
    let page = app.get("/permits?limit=5", &key).await.expect(200).json();
    let changes = app.get("/permits/changes?since=1&limit=1", &key).await.expect(200).json();
    let places = vec![
        format!("/permits?limit=5&cursor={}", next(&page)),
        format!("/permits/changes?limit=1&since={}", next(&changes)),
        "/permits/changes?since=3".to_owned(),
        "/permits/changes?since=2".to_owned(),
    ];
    for place in &places {
        app.get(place, &key).await.expect(200);
    }
    (app, key, places)
}

/// An import heals it: above every version that the log knows, and nothing goes on from before.
async fn is_healed(app: &TestApp, key: &str, places: &[String], at_least: u64) {
    import(app, permits(), one_permit("201612013997", "anew"), "whole.csv").await;
    assert_eq!(version(app, key).await, at_least);
    let page = app.get("/permits?count=exact", key).await.expect(200).json();
    assert_eq!((&page["page"]["count"], &page["data"][0]["status"]), (&1.into(), &"anew".into()));
    for place in places {
        let gone = app.get(place, key).await.expect(410).json();
        assert!(gone["type"].as_str().unwrap().ends_with("/problems/version-gone"), "{place}: {gone}");
    }
    import(app, permits(), one_permit("201612013997", "later"), "more.csv").await;
    let changes = app.get(&format!("/permits/changes?since={at_least}"), key).await.expect(200).json();
    assert_eq!(changes["data"][0]["after"]["status"], "later");
    assert_eq!(app.ops_get("/health/ready").await.expect(200).json(), serde_json::json!({ "status": "ready" }));
    assert!(!is_in_the_metrics(app).await);
}

#[tokio::test]
async fn records_that_are_gone_are_missed_and_an_import_goes_on_above_them() {
    let (mut app, key, places) = serving_two().await;
    app.stop().await;
    app.place().forget_the_records("permits").await;
    app.restart().await;
    is_lost(&app, &key, "are gone: the log knows them at version 3").await;
    is_healed(&app, &key, &places, 4).await;
    app.restart().await;
    assert_eq!(version(&app, &key).await, 5);
}

#[tokio::test]
async fn records_that_are_taken_away_under_a_server_are_missed() {
    let (app, key, places) = serving_two().await;
    app.place().forget_the_records("permits").await;
    app.eventually("a refusal", async || (app.get("/permits?limit=1", &key).await.status == 503).then_some(())).await;
    is_lost(&app, &key, "are gone").await;
    is_healed(&app, &key, &places, 4).await;
}

#[tokio::test]
async fn records_in_whose_place_is_no_file_are_missed() {
    for instead in ["a pipe", "a folder", "a link to them"] {
        let (app, key, places) = serving_two().await;
        let (place, away) = (app.data().join("records/permits.db"), app.data().join("away"));
        if crate::MODE == crate::support::backend::Mode::Aws {
            // There the file is a copy: nothing is missed with it.
            return;
        }
        std::fs::rename(&place, &away).unwrap();
        match instead {
            "a pipe" => assert!(std::process::Command::new("mkfifo").arg(&place).status().unwrap().success()),
            "a folder" => std::fs::create_dir(&place).unwrap(),
            _ => std::os::unix::fs::symlink(&away, &place).unwrap(),
        }
        let answers = async |status| {
            app.eventually(instead, async || (app.get("/permits?limit=1", &key).await.status == status).then_some(()))
                .await;
        };
        answers(503).await;
        is_lost(&app, &key, "are gone").await;
        match instead {
            "a folder" => std::fs::remove_dir(&place).unwrap(),
            _ => std::fs::remove_file(&place).unwrap(),
        }
        std::fs::rename(&away, &place).unwrap();
        answers(200).await;
        for place in &places {
            app.get(place, &key).await.expect(200);
        }
    }
}

#[tokio::test]
async fn records_of_an_older_copy_are_noticed() {
    let (app, key) = serving(30).await;
    let copy = app.place().copy_of_the_records("permits").await;
    drop(app);
    drop(key);
    let (mut app, key, places) = serving_two().await;
    let right = app.place().copy_of_the_records("permits").await;
    // Of another deployment: its log knows nothing of the import that made them.
    app.stop().await;
    app.place().put_back_the_records("permits", &copy).await;
    app.restart().await;
    is_lost(&app, &key, "are not those of this log").await;
    // The right ones are put back, and served without an import.
    app.stop().await;
    app.place().put_back_the_records("permits", &right).await;
    app.restart().await;
    assert_eq!(version(&app, &key).await, 3);
    for place in &places {
        app.get(place, &key).await.expect(200);
    }
    // Of the same deployment, but older.
    import(&app, permits(), one_permit("900000000003", "filed"), "more.csv").await;
    app.stop().await;
    app.place().put_back_the_records("permits", &right).await;
    app.restart().await;
    is_lost(&app, &key, "are older than the log: they are of version 3, and the log knows version 4").await;
    is_healed(&app, &key, &places, 5).await;
}

#[tokio::test]
async fn a_data_set_of_which_the_log_knows_nothing_is_not_served() {
    let (app, _) = serving(30).await;
    let copy = app.place().copy_of_the_records("permits").await;
    let mut other = TestApp::start().await;
    let key = unlimited(&other).await;
    other.get("/permits", &key).await.expect(404);
    other.stop().await;
    std::fs::create_dir_all(other.data().join("records")).unwrap();
    other.place().put_back_the_records("permits", &copy).await;
    other.restart().await;
    let refused = other.get("/permits", &key).await.expect(503).json();
    assert!(refused["detail"].as_str().unwrap().contains("are not those of this log"), "{refused}");
}

/// What is put in the place of a data set's file while a server has it open.
#[tokio::test]
async fn what_cannot_be_served_in_the_place_of_records_is_as_good_as_none() {
    if crate::MODE == crate::support::backend::Mode::Aws {
        // There the file is a copy: `everywhere/replicas.rs` of the tests of the stores.
        return;
    }
    for (instead, why) in [
        ("no database", "are gone"),
        ("a folder", "are gone"),
        ("a node's copy", "are gone"),
        ("others' records", "are not those of this log"),
        ("others' records, into the file", "are not those of this log"),
        ("another data set's", "are gone"),
        ("another data set's, into the file", "are gone"),
    ] {
        let (others, _) = serving(20).await;
        let theirs = std::fs::read(others.data().join("records/permits.db")).unwrap();
        let (mut app, key, places) = serving_two().await;
        assert_eq!(version(&app, &key).await, 3);
        let (place, beside) = (app.data().join("records/permits.db"), app.data().join("beside.db"));
        let log = std::fs::metadata(app.data().join("records/permits.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "a log that is left would be read as a part of what is put there");
        match instead {
            "no database" => std::fs::write(&beside, vec![7; 50_000]).unwrap(),
            "a node's copy" => {
                std::fs::write(&beside, &theirs).unwrap();
                let copy = rusqlite::Connection::open(&beside).unwrap();
                let sql = "CREATE TABLE replica (one INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, made_by TEXT NOT NULL) STRICT;
                    INSERT INTO replica VALUES (1, 5, '018f0000-0000-7000-8000-000000000000')";
                copy.execute_batch(sql).unwrap();
            }
            _ if instead.starts_with("another data set's") => {
                std::fs::copy(app.data().join("records/things.db"), &beside).map(drop).unwrap();
            }
            _ => std::fs::write(&beside, &theirs).unwrap(),
        }
        if instead == "a folder" {
            std::fs::remove_file(&place).unwrap();
            std::fs::create_dir(&place).unwrap();
        } else if instead.ends_with("into the file") {
            std::fs::copy(&beside, &place).unwrap();
        } else {
            std::fs::rename(&beside, &place).unwrap();
        }
        app.eventually(instead, async || (app.get("/permits?limit=1", &key).await.status == 503).then_some(())).await;
        let lost = async || {
            let detail =
                app.get("/permits?limit=1", &key).await.json()["detail"].as_str().unwrap_or_default().to_owned();
            detail.contains(why).then_some(())
        };
        app.eventually(why, lost).await;
        is_lost(&app, &key, why).await;
        if instead.starts_with("another data set's") {
            app.stop().await;
            app.restart().await;
            is_lost(&app, &key, why).await;
            std::fs::rename(&place, app.data().join("moved-away.db")).unwrap();
        }
        if why != "are gone" || instead.starts_with("another data set's") {
            is_healed(&app, &key, &places, 4).await;
        }
    }
}
