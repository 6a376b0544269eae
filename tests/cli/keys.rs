//! What keys may, what plans say of them, and what people are told, without a server.

use serde_json::{Value, json};

use super::{Home, number};

#[test]
fn a_key_is_issued_and_changed_with_its_bounds() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let issue = ["keys", "issue", "--user", "ana@example.org"];
    let bounds = "--label nightly --expires-at 2031-05-06 --allow-ip 192.0.2.9/24 --allow-ip 2001:db8::1 --dataset permits --scope read";
    let bounds: Vec<&str> = bounds.split(' ').collect();
    let issued = home.json(&[issue.as_slice(), &bounds].concat());
    assert_eq!((&issued["label"], &issued["expires_at"]), (&json!("nightly"), &json!("2031-05-06T00:00:00Z")));
    assert_eq!(issued["allowed_ips"], json!(["192.0.2.0/24", "2001:db8::1"]));
    assert_eq!(issued["scopes"], json!({ "datasets": ["permits"], "actions": ["read"] }));
    let id = issued["id"].as_str().unwrap();

    let change = |more: &[&str]| home.json(&[&["keys", "change", id], more].concat());
    let changed = change(&["--scope", "export", "--clear", "label"]);
    assert_eq!((&changed["changed"], &changed["label"]), (&json!(true), &Value::Null));
    assert_eq!(changed["scopes"], json!({ "datasets": ["permits"], "actions": ["export"] }), "the data sets stay");
    assert_eq!(changed["allowed_ips"], issued["allowed_ips"]);
    assert_eq!(change(&["--scope", "export"])["changed"], false);
    let cleared = change(&["--clear", "expires-at", "--clear", "allowed-ips", "--clear", "scopes"]);
    assert_eq!((&cleared["expires_at"], &cleared["allowed_ips"]), (&Value::Null, &Value::Null));
    assert_eq!(cleared["scopes"], json!({ "datasets": null, "actions": ["read", "export"] }));
    assert!(change(&["--expires-in", "90d"])["expires_at"].is_string());

    for wrong in [
        &["--expires-in", "90d", "--expires-at", "2031-05-06"][..],
        &["--expires-at", "2001-05-06"],
        &["--expires-at", "soon"],
        &["--expires-in", "4000d"],
        &["--allow-ip", "here"],
        &["--scope", "write"],
        &["--label", "x", "--clear", "label"],
        &[],
    ] {
        home.refused(2, &[&["keys", "change", id], wrong].concat());
    }
    let listed = home.run(&["keys", "list"]).out;
    let line = listed.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(line.contains("works until") && line.contains("anywhere"), "{line}");
    let mails = home.mails();
    assert!(mails.iter().any(|mail| mail.contains("A key was made for you")), "an invitation and a notice");
    home.json(&["keys", "revoke", id]);
    home.refused(4, &["keys", "change", id, "--label", "x"]);
    assert_eq!(home.mails().len(), 3);
}

#[test]
fn a_plan_bounds_keys_and_keeps_what_is_left_out() {
    let home = Home::new();
    let set = ["plans", "set", "partners"];
    let plan =
        home.json(&[set.as_slice(), &["--key-max-age", "90", "--dataset", "permits", "--keys-max", "1"]].concat());
    assert_eq!((number(&plan["plan"], "key_max_age_days"), number(&plan["plan"], "keys_max")), (90, 1));
    let plan = home.json(&[set.as_slice(), &["--quota", "5"]].concat());
    assert_eq!((&plan["plan"]["datasets"], number(&plan["plan"], "key_max_age_days")), (&json!(["permits"]), 90));
    home.json(&["invite", "ana@example.org", "--plan", "partners"]);
    assert!(home.json(&["users", "show", "ana@example.org"])["keys"][0]["expires_at"].is_string());
    assert!(home.refused(4, &["keys", "issue", "--user", "ana@example.org"]).contains("1 active keys"));
    let plan =
        home.json(&[set.as_slice(), &["--key-max-age", "none", "--all-datasets", "--keys-max", "none"]].concat());
    let rules = ["key_max_age_days", "datasets", "keys_max"].map(|name| plan["plan"][name].clone());
    assert_eq!(rules, [Value::Null, Value::Null, Value::Null]);
    home.refused(2, &[set.as_slice(), &["--keys-max", "0"]].concat());
    home.refused(2, &[set.as_slice(), &["--dataset", "No!"]].concat());
}

#[test]
fn somebody_chooses_what_they_are_told() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let set =
        |which: &str| home.json(&["users", "set", "ana@example.org", "--notices", which])["user"]["notices"].clone();
    assert_eq!(set("expiry,quota"), json!({ "expiry": true, "keys": false, "quota": true }));
    assert_eq!(set("none"), json!({ "expiry": false, "keys": false, "quota": false }));
    home.json(&["keys", "issue", "--user", "ana@example.org"]);
    assert_eq!(home.mails().len(), 1, "the invitation alone");
    assert_eq!(set("all"), json!({ "expiry": true, "keys": true, "quota": true }));
    home.refused(2, &["users", "set", "ana@example.org", "--notices", "some"]);
}
