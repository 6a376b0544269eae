//! Lists of people, and people as they were, without a server.

use std::fs;

use super::{Home, key_in, number, server::Server};

#[test]
fn a_list_is_looked_at_and_invited() {
    let home = Home::new();
    fs::write(home.path("people.csv"), "email;name\nana@example.org;Ana\nbob;Bob\neve@example.org;Eve\n").unwrap();
    let preview = home.json(&["invite", "--from", "people.csv", "--dry-run"]);
    assert_eq!((number(&preview["counts"], "invite"), number(&preview["counts"], "wrong")), (2, 1));
    let ran = home.run(&["invite", "--from", "people.csv", "--dry-run"]);
    assert!(ran.exit == 0 && ran.out.ends_with("\n3 rows: 2 would be invited, 1 is wrong\n"), "{}", ran.out);
    let ran = home.run(&["invite", "--from", "people.csv"]);
    assert_eq!(ran.exit, 4);
    assert!(ran.out.contains("1 of 3 rows is wrong, and nobody was invited; mend it, or add --good"), "{}", ran.out);
    assert!(ran.out.contains("bob"), "{}", ran.out);
    fs::write(home.path("nobody.csv"), "email,name\n").unwrap();
    for arguments in [&["invite", "--from", "nobody.csv"][..], &["invite", "--from", "nobody.csv", "--dry-run"]] {
        assert!(home.refused(2, arguments).contains("no rows"), "{arguments:?}");
    }
    assert!(home.mails().is_empty());
    let ran = home.run(&["invite", "--from", "people.csv", "--good", "--json"]);
    let done: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, number(&done["counts"], "invited")), (4, 2), "one row is wrong");
    assert_eq!(home.mails().len(), 2);
    fs::write(home.path("people.csv"), "email\nana@example.org\nzoe@example.org\n").unwrap();
    let done = home.json(&["invite", "--from", "people.csv", "--plan", "default"]);
    assert_eq!((number(&done["counts"], "invited"), number(&done["counts"], "exists")), (1, 1));
    let again = home.run(&["invite", "--from", "people.csv", "--dry-run"]);
    assert!(again.out.ends_with("\n2 rows: 2 were invited before\n"), "{}", again.out);
    assert_eq!(home.json(&["invite", "--resend-unfulfilled"])["resent"], 0);
    home.refused(3, &["invite", "--from", "none.csv"]);
    home.refused(2, &["invite", "ana@example.org", "--dry-run"]);
    assert_eq!(home.json(&["users", "list", "--invitation", "mailed"])["users"].as_array().unwrap().len(), 3);
    assert_eq!(home.json(&["users", "list", "--invitation", "failed"])["users"].as_array().unwrap().len(), 0);
    assert_eq!(home.json(&["users", "list", "--plan", "default"])["users"].as_array().unwrap().len(), 3);
    assert_eq!(home.json(&["plans", "list", "--people"])["plans"][0]["people"], 3);
}

/// Beside a server a list waits for none of its mails, and says so.
#[test]
fn beside_a_server_a_list_says_who_sends_its_mails() {
    let home = Home::new();
    fs::write(home.path("people.csv"), "email\nana@example.org\neve@example.org\n").unwrap();
    fs::write(home.path("more.csv"), "email\nzoe@example.org\n").unwrap();
    let mut server = Server::start(&home, "serve");
    let ran = home.run(&["invite", "--from", "people.csv"]);
    assert!(ran.exit == 0 && ran.out.contains("2 people invited\n"), "{}", ran.out);
    assert!(ran.out.contains("the running server does that now"), "{}", ran.out);
    assert!(ran.out.contains("`permitd users list --invitation invited`"), "{}", ran.out);
    let notes = home.json(&["invite", "--from", "more.csv"])["notes"].to_string();
    assert!(notes.contains("--invitation failed"), "{notes}");
    let shown = home.run(&["users", "list"]).out;
    assert!(shown.starts_with("EMAIL\tNAME\tSTATUS\tROLE\tPLAN\tINVITED\tINVITATION\tID\n"), "{shown}");
    server.stop();
    fs::write(home.path("more.csv"), "email\nlea@example.org\n").unwrap();
    let alone = home.run(&["invite", "--from", "more.csv"]);
    assert!(alone.out.contains("1 person invited\n") && !alone.out.contains("running server"), "{}", alone.out);
    assert_eq!(home.mails().len(), 4);
}

#[test]
fn a_notice_that_there_is_not_is_named() {
    let home = Home::new();
    let told = home.refused(2, &["users", "set", "ana@example.org", "--notices", "expiry,foo"]);
    assert!(told.contains("\"foo\" is no notice") && told.contains("expiry, keys and quota"), "{told}");
}

#[test]
fn a_user_is_shown_as_they_were() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "--name", "Ana"]);
    home.json(&["users", "set", "ana@example.org", "--role", "manager"]);
    let first = home.json(&["users", "show", "ana@example.org", "--as-of", "1"]);
    assert_eq!((&first["user"]["role"], &first["user"]["name"]), (&"reader".into(), &"Ana".into()));
    assert_eq!((first["keys"].as_array().unwrap().len(), number(&first["user"], "version")), (0, 1));
    let now = home.json(&["users", "show", "ana@example.org", "--as-of", "9999-01-01T00:00:00Z"]);
    assert_eq!(now["user"], home.json(&["users", "show", "ana@example.org"])["user"]);
    home.refused(3, &["users", "show", "ana@example.org", "--as-of", "1999-01-01T00:00:00Z"]);
    home.refused(2, &["users", "show", "ana@example.org", "--as-of", "soon"]);
    let none = home.json(&["events", "list", "--until", "1999-01-01T00:00:00Z"]);
    assert!(none["events"].as_array().unwrap().is_empty());
    let all = home.json(&["events", "list", "--since", "1999-01-01T00:00:00Z"]);
    assert_eq!(all, home.json(&["events", "list"]));
}

#[tokio::test]
async fn what_a_user_has_used_is_shown_with_the_words_of_the_api() {
    let home = Home::new();
    home.sample(5, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["invite", "ana@example.org"]);
    let key = key_in(&home.mails()[0]);
    let mut server = Server::start(&home, "serve");
    for (path, status) in [("/permits?limit=1", 200), ("/permits?limit=1", 200), ("/permits/none", 404)] {
        assert_eq!(server.status(path, &key).await.as_u16(), status);
    }
    server.stop();
    let usage = |more: &[&str]| home.json(&[&["users", "usage", "ana@example.org"], more].concat());
    let all = usage(&["--days", "1"]);
    assert_eq!((number(&all["data"][0], "used"), number(&all["data"][0], "requests")), (3, 3), "{all}");
    assert_eq!(all["from"], all["to"]);
    let by_dataset = usage(&["--by", "dataset"]);
    assert_eq!((&by_dataset["data"][0]["dataset"], number(&by_dataset["data"][0], "used")), (&"permits".into(), 3));
    let by_status = usage(&["--by", "status"]);
    let statuses: Vec<u64> = by_status["data"].as_array().unwrap().iter().map(|line| number(line, "status")).collect();
    assert_eq!(statuses, [200, 404]);
    let csv = home.run(&["users", "usage", "ana@example.org", "--by", "key", "--csv"]);
    let lines: Vec<&str> = csv.out.split("\r\n").collect();
    assert_eq!((csv.exit, lines[0], lines.len()), (0, "day,key,used,requests,refused", 3), "{}", csv.out);
    assert!(lines[1].contains(&key[4..20]) && lines[1].ends_with(",3,3,0"), "{}", csv.out);
    let table = home.run(&["users", "usage", "ana@example.org", "--by", "key"]);
    assert!(table.out.starts_with("DAY\tKEY OR SESSION\tUSED\tREQUESTS\tREFUSED\n"), "{}", table.out);
    home.refused(2, &["users", "usage", "ana@example.org", "--by", "colour"]);
    let whose = home.refused(2, &["users", "usage"]);
    assert!(whose.contains("EMAIL is a person's address or id") && whose.contains("`permitd users list`"), "{whose}");
    home.refused(3, &["users", "usage", "nobody@example.org"]);
    assert_eq!(home.json(&["users", "list", "--invitation", "used"])["users"].as_array().unwrap().len(), 1);
}
