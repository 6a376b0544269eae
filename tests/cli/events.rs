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
