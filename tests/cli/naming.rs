//! Renaming and removing data sets, beside a server and interrupted.

use reqwest::StatusCode;

use super::{Home, key_in, number, server::Server};

fn with_trees() -> (Home, String) {
    let home = Home::new();
    std::fs::write(home.path("trees.csv"), "Tree No,Height\nT1,3\nT2,4\n").unwrap();
    std::fs::write(home.path("trees.toml"), home.run(&["import", "--define", "trees.csv"]).out).unwrap();
    home.json(&["import", "trees.csv", "--definition", "trees.toml"]);
    std::fs::write(home.path("trees.csv"), "Tree No,Height\nT1,3\nT2,5\n").unwrap();
    assert_eq!(number(&home.json(&["import", "trees.csv", "--dataset", "trees"]), "dataset_version"), 2);
    home.json(&["invite", "ana@example.org"]);
    let key = key_in(&home.mails()[0]);
    (home, key)
}

fn verified(home: &Home) {
    assert_eq!(number(&home.json(&["events", "verify"]), "differences"), 0);
    home.json(&["events", "replay"]);
    assert_eq!(number(&home.json(&["events", "verify"]), "differences"), 0);
}

fn killed(home: &Home, failpoint: &str, arguments: &[&str]) {
    let output = home.command(arguments).env("FAILPOINTS", format!("{failpoint}=return")).output().unwrap();
    assert!(output.status.code().is_none(), "{failpoint}: {output:?}");
}

/// Files in the place of a data set's: an older one of its own, and that of another data set. No command takes them for the records.
#[test]
fn nothing_that_lies_in_the_place_of_records_gets_into_the_log() {
    let (home, _) = with_trees();
    let place = home.data().join("records/trees.db");
    let older = std::fs::read(&place).unwrap();
    std::fs::write(home.path("trees.csv"), "Tree No,Height\nT1,3\nT2,6\n").unwrap();
    assert_eq!(number(&home.json(&["import", "trees.csv", "--dataset", "trees"]), "dataset_version"), 3);
    let right = std::fs::read(&place).unwrap();
    home.sample(20, "permits.csv");
    home.json(&["import", "permits.csv", "--dataset", "permits"]);
    let other = std::fs::read(home.data().join("records/permits.db")).unwrap();
    for (there, why) in [(older, "are older than the log"), (other, "are gone")] {
        std::fs::write(&place, there).unwrap();
        for arguments in [
            ["datasets", "rename", "trees", "oaks"].as_slice(),
            &["datasets", "withdraw", "trees"],
            &["datasets", "restore", "trees"],
            &["datasets", "show", "trees"],
        ] {
            let told = home.refused(7, arguments);
            assert!(told.contains(why) && told.contains("import the whole file again"), "{told}");
        }
        let listed = home.json(&["datasets", "list"]);
        assert_eq!(listed["datasets"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(
            (&listed["datasets"][0]["name"], &listed["not_served"][0]["dataset"]),
            (&"permits".into(), &"trees".into())
        );
        assert!(home.run(&["datasets", "list"]).out.contains(why));
        // Nor is it taken for free: it is another's file.
        home.refused(4, &["datasets", "rename", "permits", "trees"]);
        // Other data sets go on.
        home.json(&["datasets", "withdraw", "permits"]);
        home.json(&["datasets", "restore", "permits"]);
        home.json(&["import", "permits.csv", "--dataset", "permits"]);
    }
    std::fs::write(&place, right).unwrap();
    home.json(&["datasets", "rename", "trees", "oaks"]);
    verified(&home);
    // A file that the log knows nothing of is not written over.
    std::fs::copy(home.data().join("records/permits.db"), &place).unwrap();
    let told = home.refused(7, &["datasets", "rename", "oaks", "trees"]);
    assert!(told.contains("holds the data set \"permits\""), "{told}");
    std::fs::remove_file(&place).unwrap();
    home.json(&["datasets", "rename", "oaks", "trees"]);
    verified(&home);
}

#[tokio::test]
async fn a_renamed_data_set_keeps_its_records_past_and_keys() {
    let (home, key) = with_trees();
    let server = Server::start(&home, "serve");
    server.becomes(StatusCode::OK, "/trees/T1", &key).await;
    let renamed = home.json(&["datasets", "rename", "trees", "street_trees"]);
    assert_eq!((renamed["path"].as_str(), number(&renamed, "version")), (Some("/street_trees"), 2));
    server.becomes(StatusCode::OK, "/street_trees/T1", &key).await;
    // Its former name leads to it.
    server.becomes(StatusCode::OK, "/trees/T1", &key).await;
    server.becomes(StatusCode::OK, "/street_trees/changes?since=1", &key).await;
    let types = |stream: &str| {
        let events = home.json(&["events", "list", "--stream", stream]);
        let events = events["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(types("dataset#trees").last().unwrap(), "DataSetRenamed");
    assert_eq!(types("dataset#street_trees"), ["DataSetTakenOver"]);
    verified(&home);
    // It goes on under its name, with the definition that went with it; the old name is free.
    assert_eq!(number(&home.json(&["import", "trees.csv", "--dataset", "street_trees"]), "unchanged"), 2);
    let again = home.json(&["import", "trees.csv", "--definition", "trees.toml"]);
    assert_eq!((number(&again, "inserted"), number(&again, "dataset_version")), (2, 3), "no version comes again");
    assert!(home.refused(4, &["datasets", "rename", "trees", "street_trees"]).contains("already"));
    home.refused(2, &["datasets", "rename", "trees", "users"]);
    home.refused(2, &["datasets", "rename", "trees", "No!"]);
    home.refused(3, &["datasets", "rename", "tree", "oaks"]);
    verified(&home);
}

#[tokio::test]
async fn a_removed_data_set_is_gone_and_the_log_tells_of_it() {
    let (home, key) = with_trees();
    let server = Server::start(&home, "serve");
    server.becomes(StatusCode::OK, "/trees/T1", &key).await;
    assert!(home.refused(2, &["datasets", "remove", "trees"]).contains("--yes"));
    assert_eq!(home.json(&["datasets", "remove", "trees", "--yes"])["removed"], true);
    server.becomes(StatusCode::NOT_FOUND, "/trees/T1", &key).await;
    assert!(server.is_ready(200).await.contains("ready"), "it is not missed");
    let left = std::fs::read_dir(home.data().join("records")).unwrap().count();
    assert_eq!(left, 0, "nothing of it is left");
    home.refused(3, &["datasets", "remove", "trees", "--yes"]);
    assert!(home.json(&["events", "list", "--type", "DataSetRemoved"])["events"].as_array().unwrap().len() == 1);
    verified(&home);
    assert_eq!(number(&home.json(&["import", "trees.csv", "--definition", "trees.toml"]), "dataset_version"), 3);
    server.becomes(StatusCode::OK, "/trees/T1", &key).await;
    server.becomes(StatusCode::GONE, "/trees/changes?since=1", &key).await;
    verified(&home);
}

#[test]
fn what_was_interrupted_is_finished_by_the_same_command() {
    for failpoint in ["dataset-takeover-recorded", "dataset-copied", "dataset-renamed"] {
        let (home, _) = with_trees();
        killed(&home, failpoint, &["datasets", "rename", "trees", "oaks"]);
        assert_eq!(number(&home.json(&["datasets", "rename", "trees", "oaks"]), "version"), 2, "{failpoint}");
        verified(&home);
        let listed = home.json(&["datasets", "list"]);
        assert_eq!(
            (listed["datasets"].as_array().unwrap().len(), listed["datasets"][0]["name"].as_str()),
            (1, Some("oaks"))
        );
    }
    let (home, _) = with_trees();
    killed(&home, "dataset-removal-recorded", &["datasets", "remove", "trees", "--yes"]);
    home.json(&["datasets", "remove", "trees", "--yes"]);
    verified(&home);
    assert_eq!(home.json(&["datasets", "list"])["datasets"], serde_json::json!([]));
}
