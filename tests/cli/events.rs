//! The log, verifying and rebuilding the views.

use super::{Home, number};

#[test]
fn listing_filters_and_pages() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "bob@example.org"]);
    let all = home.json(&["events", "list"]);
    let events = all["events"].as_array().unwrap();
    assert!(events.len() >= 7);
    let positions: Vec<u64> = events.iter().map(|event| number(event, "position")).collect();
    assert!(positions.windows(2).all(|pair| pair[0] <= pair[1]));
    let page = home.json(&["events", "list", "--limit", "2"]);
    let next = page["next"].to_string();
    let rest = home.json(&["events", "list", "--after", &next]);
    let count = |document: &serde_json::Value| document["events"].as_array().unwrap().len();
    assert_eq!(count(&page) + count(&rest), events.len());
    assert_eq!(count(&home.json(&["events", "list", "--type", "ApiKeyMailed"])), 2);
    assert_eq!(count(&home.json(&["events", "list", "--stream", "plan#default"])), 1);
    assert_eq!(count(&home.json(&["events", "list", "--user", "ana@example.org"])), 4);
    let issued = home.json(&["events", "list", "--user", "ana@example.org", "--type", "ApiKeyIssued"]);
    assert_eq!(issued["events"][0]["schema_version"], 3);
    home.refused(2, &["events", "list", "--type", "apikeymailed"]);
    home.refused(2, &["events", "list", "--stream", "nonsense"]);
    home.refused(3, &["events", "list", "--stream", "plan#gold"]);
    home.refused(3, &["events", "list", "--user", "nobody@example.org"]);
    let mails = home.mails().len();
    let lines = home.run(&["events", "list"]).out;
    assert!(lines.starts_with("POSITION\t") && lines.contains("\tUserInvited\t"), "{lines}");
    assert_eq!(home.mails().len(), mails);
}

#[test]
fn a_tampered_view_is_found_and_repaired() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    home.sample(10, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let clean = home.run(&["events", "verify"]);
    assert_eq!((clean.exit, clean.out.starts_with("no differences")), (0, true), "{}", clean.out);

    let tamper = |sql: &str| {
        let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
        assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
    };
    tamper("UPDATE users SET document = json_set(document, '$.plan', 'gold', '$.email', 'eve@example.org')");
    tamper("UPDATE keys SET document = json_set(document, '$.hash', printf('%064d', 0))");
    tamper("DELETE FROM imports");
    let found = home.run(&["events", "verify"]);
    assert_eq!(found.exit, 1);
    assert!(
        found.out.contains("users ") && found.out.contains("gold") && found.out.contains("no row"),
        "{}",
        found.out
    );
    assert!(!found.out.contains("example.org"), "no addresses in a report: {}", found.out);
    let document = home.run(&["events", "verify", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&document.out).unwrap();
    // The person, and the columns beside their row, which the row does not lead to any more; the key; the import.
    assert_eq!(number(&document, "differences"), 4);
    assert!(found.out.contains("columns of users "), "{}", found.out);

    let mails = home.mails().len();
    let rebuilt = home.json(&["events", "replay"]);
    assert_eq!((number(&rebuilt, "streams"), number(&rebuilt, "commits")), (3, 6));
    assert_eq!(home.run(&["events", "verify"]).exit, 0);
    assert_eq!(home.json(&["users", "show", "ana@example.org"])["user"]["plan"], "default");
    assert_eq!(home.mails().len(), mails, "a rebuild sends nothing");
}

#[test]
fn records_that_do_not_fit_the_log_are_differences() {
    let home = Home::new();
    home.sample(10, "a.csv");
    home.sample(12, "b.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let file = home.data().join("records/permits.db");
    let older = std::fs::read(&file).unwrap();
    home.json(&["import", "b.csv", "--dataset", "permits"]);
    assert_eq!(home.run(&["events", "verify"]).exit, 0);

    std::fs::write(&file, older).unwrap();
    let found = home.run(&["events", "verify"]);
    assert_eq!(found.exit, 1, "{}", found.out);
    for told in
        ["records permits", "version 2", "version 1 by the import", "older than the log", "import the whole file"]
    {
        assert!(found.out.contains(told), "{told}: {}", found.out);
    }
    assert!(!found.out.contains("rebuilds the views"), "a replay does not bring records back: {}", found.out);
    std::fs::remove_file(&file).unwrap();
    let found = home.run(&["events", "verify"]);
    assert!(found.exit == 1 && found.out.contains("are gone"), "{}", found.out);
    let document = home.run(&["events", "verify", "--json"]).out;
    assert_eq!(number(&serde_json::from_str(&document).unwrap(), "differences"), 1);

    // The next import begins it anew, above what was.
    let imported = home.json(&["import", "a.csv", "--dataset", "permits"]);
    assert_eq!(number(&imported, "dataset_version"), 3, "{imported}");
    assert_eq!(home.run(&["events", "verify"]).exit, 0);
}

#[test]
fn an_unknown_event_stops_a_replay_and_leaves_the_views() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
    let sql = "UPDATE commits SET events = replace(events, 'ApiKeyMailed', 'ApiKeyFramed')";
    connection.execute(sql, []).unwrap();
    drop(connection);
    for command in ["replay", "verify"] {
        let err = home.refused(7, &["events", command]);
        assert!(err.contains("ApiKeyFramed") && err.contains("user#"), "{err}");
    }
    assert_eq!(home.run(&["users", "show", "ana@example.org"]).exit, 0);
}

#[test]
fn a_stream_that_cannot_be_read_is_set_aside_and_taken_back() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "ben@example.org"]);
    let ana = home.json(&["users", "show", "ana@example.org"])["user"]["id"].as_str().unwrap().to_owned();
    let stream = format!("user#{ana}");
    let change = |from: &str, to: &str| {
        let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
        let sql = "UPDATE commits SET events = replace(events, ?1, ?2) WHERE stream = ?3";
        assert!(connection.execute(sql, [from, to, &stream]).unwrap() > 0);
    };
    let err = home.refused(4, &["events", "quarantine", &stream, "--reason", "for fun"]);
    assert!(err.contains("can be read"), "{err}");
    change("ApiKeyMailed", "ApiKeyFramed");
    home.refused(7, &["events", "replay"]);
    let aside = home.json(&["events", "quarantine", &stream, "--reason", "after the rollback"]);
    assert_eq!(aside["quarantined"]["reason"], "after the rollback");
    assert!(aside["quarantined"]["problem"].as_str().unwrap().contains("ApiKeyFramed"), "{aside}");
    for command in ["replay", "verify"] {
        assert_eq!(home.json(&["events", command])["quarantined"], serde_json::json!([stream]));
        let said = home.run(&["events", command]).out;
        assert!(said.contains("1 stream") && said.contains(&stream), "{said}");
    }
    let err = home.refused(4, &["users", "disable", "ana@example.org"]);
    assert!(err.contains("after the rollback") && err.contains("events release"), "{err}");
    assert_eq!(home.run(&["users", "disable", "ben@example.org"]).exit, 0, "all else goes on");
    assert_eq!(home.run(&["users", "list"]).exit, 0);
    assert!(home.run(&["events", "list", "--stream", &stream]).out.contains("ApiKeyFramed"), "it is shown");
    home.refused(4, &["events", "quarantine", &stream, "--reason", "again"]);
    let err = home.refused(7, &["events", "release", &stream]);
    assert!(err.contains("ApiKeyFramed"), "{err}");
    change("ApiKeyFramed", "ApiKeyMailed");
    let err = home.refused(4, &["users", "disable", "ana@example.org"]);
    assert!(err.contains("quarantine"), "until it is released: {err}");
    assert_eq!(home.json(&["events", "release", &stream])["released"]["stream"], stream.as_str());
    home.refused(3, &["events", "release", &stream]);
    let listed = home.json(&["events", "quarantine", "--list"]);
    assert_eq!((listed["quarantined"].as_array().unwrap().len(), listed["released"].as_array().unwrap().len()), (0, 1));
    assert_eq!(home.run(&["users", "disable", "ana@example.org"]).exit, 0);
    assert_eq!(home.run(&["events", "verify"]).exit, 0);
    home.refused(2, &["events", "quarantine", &stream]);
    home.refused(3, &["events", "quarantine", "plan#none", "--reason", "x"]);
}

#[test]
fn one_view_or_one_person_is_rebuilt() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "ben@example.org"]);
    let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
    let tamper = |table: &str| {
        let sql = format!("UPDATE {table} SET document = json_set(document, '$.version', 99)");
        assert_eq!(connection.execute(&sql, []).unwrap(), 2);
    };
    let wrong =
        || number(&serde_json::from_str(&home.run(&["events", "verify", "--json"]).out).unwrap(), "differences");
    tamper("users");
    tamper("keys");
    let all = wrong();
    let rebuilt = home.json(&["events", "replay", "--view", "keys"]);
    assert_eq!((&rebuilt["view"], number(&rebuilt, "resumed_after_commits")), (&"keys".into(), 0), "{rebuilt}");
    assert!(wrong() < all && wrong() > 0, "the people are as they were");
    let mended = home.json(&["events", "replay", "--user", "ana@example.org"]);
    assert_eq!(number(&mended, "streams"), 1);
    let left = wrong();
    assert!(left > 0, "the other one is as they were");
    let said = home.run(&["events", "replay", "--view", "users"]).out;
    assert!(said.starts_with("the view users rebuilt: "), "{said}");
    assert_eq!(wrong(), 0);
    assert!(home.refused(2, &["events", "replay", "--view", "records"]).contains("users, keys, sessions"));
    home.refused(2, &["events", "replay", "--view", "plans", "--user", "ana@example.org"]);
    home.refused(2, &["events", "replay", "--stream", "plan#default", "--user", "ana@example.org"]);
    home.refused(3, &["events", "replay", "--stream", "plan#none"]);
    assert!(home.refused(4, &["events", "replay", "--read-units-per-s", "5"]).contains("DynamoDB"));
}

#[test]
fn a_damaged_commit_is_shown_and_stops_no_list() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "ben@example.org"]);
    let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
    // Bytes that are no text at all, and a text that ends too early.
    let sql = "UPDATE commits SET events = CASE position % 2 WHEN 0 THEN CAST(x'5b7bfffe' AS TEXT) ELSE substr(events, 1, 40) END
               WHERE stream = (SELECT max(stream) FROM commits)";
    assert!(connection.execute(sql, []).unwrap() > 1);
    drop(connection);
    let listed = home.json(&["events", "list"]);
    let types: Vec<&str> =
        listed["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(types.contains(&"Unreadable") && types.contains(&"UserInvited"), "{types:?}");
    let unread = listed["events"].as_array().unwrap().iter().find(|event| event["type"] == "Unreadable").unwrap();
    let stream = unread["stream"].as_str().unwrap();
    home.json(&["events", "quarantine", stream, "--reason", "a bad disk"]);
    assert_eq!(home.json(&["events", "replay"])["quarantined"], serde_json::json!([stream]));
    assert_eq!(home.run(&["events", "verify"]).exit, 0);
}

#[test]
fn dead_letters() {
    let home = Home::new();
    home.json(&["plans", "set", "default"]);
    // An outbox that cannot be written: the mail fails, one receive is the most.
    std::fs::write(home.data().join("outbox"), "in the way").unwrap();
    let ran =
        home.command(&["invite", "ana@example.org", "--json"]).env("PERMITD_QUEUE_RECEIVES_MAX", "1").output().unwrap();
    assert!(ran.status.success(), "the invitation itself is in the log");
    let document: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(document["invited"][0]["mail"], "pending");
    let letters = home.json(&["dead-letters", "list"]);
    let letter = &letters["dead_letters"][0];
    assert!(letter["reason"].as_str().unwrap().contains("outbox"), "{letters}");
    assert!(home.run(&["dead-letters", "list"]).out.contains("UserInvited user#"));
    home.refused(3, &["dead-letters", "redrive", "nope"]);
    std::fs::remove_file(home.data().join("outbox")).unwrap();
    let id = letter["id"].as_str().unwrap();
    assert_eq!(home.json(&["dead-letters", "redrive", id])["redriven"][0], id);
    assert_eq!(home.mails().len(), 1);
    assert!(home.json(&["dead-letters", "list"])["dead_letters"].as_array().unwrap().is_empty());
    assert!(home.json(&["dead-letters", "redrive", "--all"])["redriven"].as_array().unwrap().is_empty());
}

#[test]
fn dead_letters_in_bulk_by_reason_and_type() {
    let home = Home::new();
    home.json(&["plans", "set", "default"]);
    std::fs::write(home.data().join("outbox"), "in the way").unwrap();
    let addresses: Vec<String> = (0..5).map(|n| format!("user{n}@example.org")).collect();
    for address in &addresses {
        let mut ran = home.command(&["invite", address]);
        assert!(ran.env("PERMITD_QUEUE_RECEIVES_MAX", "1").output().unwrap().status.success());
    }
    std::fs::remove_file(home.data().join("outbox")).unwrap();
    let summary = home.json(&["dead-letters", "list", "--summary"]);
    assert_eq!((summary["matching"].as_u64(), summary["groups"][0]["count"].as_u64()), (Some(5), Some(5)), "{summary}");
    assert_eq!(summary["groups"][0]["type"], "UserInvited");
    assert!(home.run(&["dead-letters", "list", "--summary"]).out.contains("UserInvited"));
    let matching = |arguments: &[&str]| {
        let listed = home.json(&[&["dead-letters", "list"], arguments].concat());
        (listed["matching"].as_u64().unwrap(), listed["dead_letters"].as_array().unwrap().len())
    };
    assert_eq!(matching(&["--type", "UserInvited", "--reason", "outbox", "--limit", "2"]), (5, 2));
    assert_eq!(matching(&["--type", "UserDeleted"]), (0, 0));
    assert_eq!(matching(&["--reason", "no such reason"]), (0, 0));

    // Dry first: nothing is done.
    let would = home.json(&["dead-letters", "redrive", "--type", "UserInvited", "--reason", "outbox", "--dry-run"]);
    assert_eq!((would["matching"].as_u64(), would["groups"][0]["count"].as_u64()), (Some(5), Some(5)), "{would}");
    assert!(
        home.run(&["dead-letters", "discard", "--type", "UserInvited", "--dry-run"]).out.contains("would discard 5")
    );
    // Without a terminal somebody has to say that it is meant.
    for act in ["redrive", "discard"] {
        let err = home.refused(2, &["dead-letters", act, "--type", "UserInvited"]);
        assert!(err.contains("5 dead letters") && err.contains("--yes"), "{err}");
    }
    assert_eq!(matching(&[]), (5, 5));
    home.refused(2, &["dead-letters", "discard", "--yes"]);
    home.refused(2, &["dead-letters", "redrive", "--all", "--type", "UserInvited"]);

    let letters = home.json(&["dead-letters", "list"]);
    let id = letters["dead_letters"][0]["id"].as_str().unwrap();
    home.refused(3, &["dead-letters", "discard", "nope", "--yes"]);
    let gone = home.json(&["dead-letters", "discard", id, "--yes"]);
    assert_eq!((&gone["discarded"][0]["id"], &gone["left"]), (&serde_json::json!(id), &serde_json::json!(0)), "{gone}");
    assert_eq!(
        home.json(&["dead-letters", "redrive", "--type", "UserDeleted", "--yes"])["redriven"],
        serde_json::json!([])
    );
    let sent = home.json(&["dead-letters", "redrive", "--type", "UserInvited", "--yes"]);
    assert_eq!(sent["redriven"].as_array().unwrap().len(), 4);
    assert_eq!(home.mails().len(), 4, "the one that was discarded is not sent");
    assert_eq!(matching(&[]), (0, 0));
}
