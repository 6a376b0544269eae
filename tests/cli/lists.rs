//! Lists of people, and people as they were, without a server.

use std::fs;

use super::{Home, key_in, number, server::Server};

#[test]
fn a_list_is_looked_at_and_invited() {
    let home = Home::new();
    fs::write(home.path("people.csv"), "email;name\nana@example.org;Ana\nbob;Bob\neve@example.org;Eve\n").unwrap();
    let preview = home.json(&["invite", "--from", "people.csv", "--dry-run"]);
    assert_eq!((number(&preview["counts"], "invite"), number(&preview["counts"], "wrong")), (2, 1));
    let ran = home.run(&["invite", "--from", "people.csv"]);
    assert_eq!(ran.exit, 4);
    assert!(ran.out.contains("nobody was invited") && ran.out.contains("bob"), "{}", ran.out);
    assert!(home.mails().is_empty());
    let ran = home.run(&["invite", "--from", "people.csv", "--good", "--json"]);
    let done: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, number(&done["counts"], "invited")), (4, 2), "one row is wrong");
    assert_eq!(home.mails().len(), 2);
    fs::write(home.path("people.csv"), "email\nana@example.org\nzoe@example.org\n").unwrap();
    let done = home.json(&["invite", "--from", "people.csv", "--plan", "default"]);
    assert_eq!((number(&done["counts"], "invited"), number(&done["counts"], "exists")), (1, 1));
    assert_eq!(home.json(&["invite", "--resend-unfulfilled"])["resent"], 0);
    home.refused(3, &["invite", "--from", "none.csv"]);
    home.refused(2, &["invite", "ana@example.org", "--dry-run"]);
    assert_eq!(home.json(&["users", "list", "--invitation", "mailed"])["users"].as_array().unwrap().len(), 3);
    assert_eq!(home.json(&["users", "list", "--invitation", "failed"])["users"].as_array().unwrap().len(), 0);
    assert_eq!(home.json(&["users", "list", "--plan", "default"])["users"].as_array().unwrap().len(), 3);
    assert_eq!(home.json(&["plans", "list", "--people"])["plans"][0]["people"], 3);
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
    assert_eq!((&by_dataset["data"][0]["dataset"], number(&by_dataset["data"][0], "counted")), (&"permits".into(), 3));
    let by_status = usage(&["--by", "status"]);
    let statuses: Vec<u64> = by_status["data"].as_array().unwrap().iter().map(|line| number(line, "status")).collect();
    assert_eq!(statuses, [200, 404]);
    let csv = home.run(&["users", "usage", "ana@example.org", "--by", "key", "--csv"]);
    let lines: Vec<&str> = csv.out.split("\r\n").collect();
    assert_eq!((csv.exit, lines[0], lines.len()), (0, "day,key,requests,refused,counted", 3), "{}", csv.out);
    assert!(lines[1].contains(&key[4..20]) && lines[1].ends_with(",3,0,3"), "{}", csv.out);
    home.refused(2, &["users", "usage", "ana@example.org", "--by", "colour"]);
    home.refused(3, &["users", "usage", "nobody@example.org"]);
    assert_eq!(home.json(&["users", "list", "--invitation", "used"])["users"].as_array().unwrap().len(), 1);
}
