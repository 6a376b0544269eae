//! Invitations, users, keys and plans without a server.

use super::{Home, key_in, link_in, number, server::Server};

#[test]
fn an_invitation_is_a_mail_with_a_key() {
    let home = Home::new();
    let document = home.json(&["invite", "Ana@Example.org", "--name", "Ana"]);
    let invited = &document["invited"][0];
    assert_eq!((invited["email"].as_str(), invited["mail"].as_str()), (Some("ana@example.org"), Some("sent")));
    let mails = home.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("ana@example.org"));
    let key = key_in(&mails[0]);
    let shown = home.json(&["users", "show", "ana@example.org"]);
    assert_eq!(shown["user"]["status"], "active");
    assert!(key.contains(shown["keys"][0]["id"].as_str().unwrap()));
    assert!(!shown.to_string().contains(&key), "the key itself is nowhere but in the mail");
    assert!(home.refused(4, &["invite", "ana@example.org"]).contains("users resend"));
    let resent = home.json(&["users", "resend", "ana@example.org"]);
    assert_eq!(resent["mail"], "sent");
    let mails = home.mails();
    assert_eq!((mails.len(), key_in(&mails[1])), (2, key), "the same key again");
    let events = home.json(&["events", "list", "--user", "ana@example.org", "--type", "UserInvited"]);
    assert!(events["events"][0]["actor"].as_str().unwrap().starts_with("cli:"));
    assert!(!events.to_string().contains("ana@"), "sealed");
}

/// A person who pastes a line from a mail must not meet a 404: before the first import there is none to paste.
#[test]
fn an_invitation_promises_no_request_before_there_is_data() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    home.sample(20, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["users", "resend", "ana@example.org"]);
    let [before, after] = home.mails().try_into().unwrap();
    assert!(before.contains("No data has been published yet") && !before.contains("curl -H"), "{before}");
    assert_eq!(after.matches("curl -H").count(), 2, "in the text and in the HTML: {after}");
    assert!(!after.contains("No data has been published yet"), "{after}");
    assert_eq!(key_in(&before), key_in(&after));
}

#[test]
fn several_invitations_one_of_them_taken() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let ran = home.run(&["invite", "ana@example.org", "bob@example.org", "--json"]);
    assert_eq!(ran.exit, 4);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["invited"][0]["email"], "bob@example.org");
    assert_eq!(document["failed"][0]["email"], "ana@example.org");
    assert_eq!(home.mails().len(), 2);
    assert!(home.refused(3, &["invite", "eve@example.org", "--plan", "gold"]).contains("default"));
}

#[test]
fn an_unknown_address_gets_one_suggestion() {
    let home = Home::new();
    home.json(&["invite", "ana.lopez@example.org", "zoe@elsewhere.net"]);
    let err = home.refused(3, &["users", "show", "ana.lopes@example.org"]);
    assert!(err.contains("did you mean ana.lopez@example.org?") && !err.contains("zoe"), "{err}");
    let err = home.refused(3, &["users", "show", "qqq@w.xyz"]);
    assert!(!err.contains("zoe") && !err.contains("ana"), "{err}");
}

#[test]
fn a_users_life() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "bob@example.org", "eve@example.org"]);
    let listed = home.json(&["users", "list", "--limit", "2"]);
    assert_eq!(listed["users"].as_array().unwrap().len(), 2);
    let rest = home.json(&["users", "list", "--after", listed["next"].as_str().unwrap()]);
    assert_eq!(rest["users"][0]["email"], "ana@example.org");
    assert_eq!(home.json(&["users", "list", "--search", "BOB"])["users"].as_array().unwrap().len(), 1);
    home.json(&["invite", "müller@example.org"]);
    for search in ["MÜLLER", "mu\u{308}ll"] {
        let found = home.json(&["users", "list", "--search", search]);
        assert_eq!(found["users"].as_array().unwrap().len(), 1, "{search}");
    }

    assert_eq!(home.json(&["users", "disable", "bob@example.org"])["user"]["status"], "disabled");
    assert_eq!(home.json(&["users", "disable", "bob@example.org"])["changed"], false);
    assert!(home.refused(4, &["keys", "issue", "--user", "bob@example.org"]).contains("users enable bob@example.org"));
    assert_eq!(home.json(&["users", "enable", "bob@example.org"])["user"]["status"], "active");
    home.json(&["plans", "set", "research", "--quota", "5"]);
    let set = home.json(&["users", "set", "bob@example.org", "--plan", "research"]);
    assert_eq!((&set["user"]["plan"], &set["user"]["role"]), (&"research".into(), &"reader".into()));
    assert!(home.refused(2, &["users", "set", "bob@example.org"]).contains("--plan"), "nothing was given");

    let id = home.json(&["users", "show", "bob@example.org"])["user"]["id"].as_str().unwrap().to_owned();
    assert!(home.refused(2, &["users", "delete", "bob@example.org"]).contains("--yes"));
    let deleted = home.json(&["users", "delete", "bob@example.org", "--yes"]);
    assert_eq!(deleted["user"]["status"], "deleted");
    assert!(deleted["effective_at"].is_string());
    let shown = home.json(&["users", "show", &id]);
    assert_eq!(shown["user"]["email"], serde_json::Value::Null);
    assert!(shown["keys"].as_array().unwrap().iter().all(|key| key["revocation_reason"] == "user_deleted"));
    home.refused(3, &["users", "show", "bob@example.org"]);
    home.refused(4, &["users", "delete", &id, "--yes"]);
    assert!(home.run(&["users", "list"]).out.lines().any(|line| line.starts_with("erased\t")));
    home.json(&["invite", "bob@example.org"]);
}

#[test]
fn a_keys_life() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let issued = home.json(&["keys", "issue", "--user", "ana@example.org", "--label", "laptop"]);
    let (key, id) = (issued["key"].as_str().unwrap(), issued["id"].as_str().unwrap());
    assert!(key.starts_with(&format!("pmt_{id}_")));
    let listed = home.json(&["keys", "list", "--user", "ana@example.org"]);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(key));
    let rotated = home.json(&["keys", "rotate", id, "--grace", "1h"]);
    assert_eq!(rotated["replaces"], id);
    assert_ne!(rotated["key"].as_str().unwrap(), key);
    home.refused(4, &["keys", "rotate", id]);
    home.refused(2, &["keys", "rotate", id, "--grace", "1w"]);
    let revoked = home.json(&["keys", "revoke", id]);
    assert!(revoked["revoked_at"].is_string() && revoked["effective_at"].is_string());
    assert_eq!(home.json(&["keys", "revoke", key])["changed"], false, "a leaked key names itself");
    home.refused(3, &["keys", "revoke", "0000000000000000"]);
    home.refused(2, &["keys", "revoke", "x"]);
    home.refused(3, &["keys", "issue", "--user", "nobody@example.org"]);
    assert_eq!(home.json(&["keys", "list"])["keys"].as_array().unwrap().len(), 3);
    assert!(home.run(&["keys", "list"]).out.lines().nth(1).unwrap().contains('\t'));
}

#[test]
fn plans() {
    let home = Home::new();
    let set = home.json(&["plans", "set", "research", "--rate", "0.5", "--burst", "3"]);
    assert_eq!((&set["plan"]["rate_per_s"], number(&set["plan"], "quota_per_day")), (&0.5.into(), 1_000));
    assert_eq!(home.json(&["plans", "set", "research", "--burst", "3"])["changed"], false);
    assert_eq!(home.json(&["plans", "retire", "research"])["plan"]["retired"], true);
    home.refused(3, &["plans", "retire", "gold"]);
    home.refused(2, &["plans", "set", "Gold!"]);
    home.refused(2, &["plans", "set", "gold", "--rate", "-1"]);
    home.refused(2, &["plans", "set", "gold", "--burst", "0"]);
    let names: Vec<String> =
        home.run(&["plans", "list"]).out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["PLAN", "default", "research"]);
    home.refused(3, &["invite", "ana@example.org", "--plan", "research"]);
}

#[test]
fn tokens_of_the_administrator() {
    let home = Home::new();
    let first = home.json(&["admin-token", "new"]);
    let second = home.json(&["admin-token", "new", "--replace"]);
    assert_ne!(first["admin_token"], second["admin_token"]);
    let token = second["admin_token"].as_str().unwrap();
    assert!(second["sign_in_url"].as_str().unwrap().ends_with(&format!("/admin#token={token}")));
}

#[test]
fn commands_at_once_do_not_get_in_each_others_way() {
    let home = Home::new();
    home.json(&["plans", "set", "default"]);
    let running: Vec<_> = (0..6)
        .map(|n| {
            let mut command = home.command(&["invite", &format!("user{n}@example.org"), "--json"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // One may have taken another's message and have ended while that was invisible: whoever comes next finds it.
    assert_eq!(home.json(&["users", "list"])["users"].as_array().unwrap().len(), 6);
    assert_eq!(home.json(&["events", "verify"])["differences"], 0);
}

#[test]
fn names_that_hide_something_are_refused_and_blank_ones_are_none() {
    let home = Home::new();
    for (name, what) in [
        ("Line1\nBcc: evil@example.org", "line break"),
        ("Ana\u{1b}[2J", "control character"),
        ("Ana\u{202e}gro", "direction"),
    ] {
        let err = home.refused(2, &["invite", "eve@example.org", "--name", name]);
        assert!(err.contains(what) && !err.contains(['\u{1b}', '\u{202e}']), "{err:?}");
    }
    let blank = home.json(&["invite", "ana@example.org", "--name", "   "]);
    assert_eq!(blank["invited"][0]["name"], serde_json::Value::Null);
    assert!(home.mails()[0].contains("Hello,"));
    let err = home.refused(2, &["keys", "issue", "--user", "ana@example.org", "--label", "a\tb"]);
    assert!(err.contains("label"), "{err}");
    let err = home.refused(2, &["users", "show", "a\u{202e}na@example.org"]);
    assert!(!err.contains('\u{202e}'), "{err:?}");
}

#[test]
fn a_mailbox_is_found_in_either_form_of_its_domain() {
    let home = Home::new();
    home.json(&["invite", "ana@xn--exmple-cua.org"]);
    assert!(home.refused(4, &["invite", "ana@exämple.org"]).contains("invited already"));
    let ids = ["ana@exämple.org", "Ana@XN--EXMPLE-CUA.org"]
        .map(|address| home.json(&["users", "show", address])["user"]["id"].as_str().unwrap().to_owned());
    assert_eq!(ids[0], ids[1]);
    assert!(home.mails()[0].contains("To: ana@xn--exmple-cua.org"));
}

#[test]
fn more_invitations_than_an_hour_has_are_refused_with_when_to_try_again() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    for _ in 0..4 {
        home.json(&["users", "resend", "ana@example.org"]);
    }
    let err = home.refused(5, &["users", "resend", "ana@example.org"]);
    assert!(err.contains("5 invitations in an hour") && err.contains("60 minutes"), "{err}");
    assert_eq!(home.mails().len(), 5);
    home.json(&["invite", "ben@example.org"]);
}

#[test]
fn mails_of_a_deleted_user_leave_the_outbox() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "ben@example.org"]);
    home.json(&["users", "resend", "ana@example.org"]);
    assert_eq!(home.mails().len(), 3);
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    let mails = home.mails();
    assert!(mails.len() == 1 && mails[0].contains("ben@example.org"));
}

#[test]
fn the_plan_of_invitations_that_name_none_is_not_retired_unseen() {
    let home = Home::new();
    home.json(&["plans", "set", "research"]);
    let said = home.refused(4, &["plans", "retire", "default"]);
    assert!(said.contains("users.default_plan") && said.contains("PERMITD_USERS_DEFAULT_PLAN"), "{said}");
    home.json(&["invite", "ana@example.org"]);
    let other = |arguments: &[&str]| {
        let ran = home.command(arguments).env("PERMITD_USERS_DEFAULT_PLAN", "research").output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    assert_eq!(other(&["plans", "retire", "research"]).0, Some(4), "it is the default one here");
    assert_eq!(other(&["plans", "retire", "default"]).0, Some(0));
}

/// Nobody waits for a mail that lies in a folder, or follows a link that leads to another's own machine.
#[test]
fn mail_that_reaches_nobody_is_told_as_long_as_it_does() {
    let home = Home::new();
    let told = home.run(&["invite", "ana@example.org"]).out;
    for words in
        ["goes into files in data/outbox", "PERMITD_MAIL_TRANSPORT", "http://127.0.0.1:8080", "PERMITD_PUBLIC_URL"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    let resent = home.json(&["users", "resend", "ana@example.org"]);
    assert_eq!(resent["notes"].as_array().unwrap().len(), 2);
    let set = home
        .command(&["invite", "bob@example.org", "--json"])
        .env("PERMITD_PUBLIC_URL", "https://api.example.org")
        .env("PERMITD_MAIL_CONTACT", "Bea <bea@example.org>")
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&set.stdout).unwrap();
    assert_eq!(document["notes"].as_array().unwrap().len(), 1, "{document}");
    let mail = home.mails().into_iter().find(|mail| mail.contains("To: bob@")).unwrap();
    assert!(
        mail.contains("https://api.example.org/docs") && mail.contains("Questions: ask Bea <bea@example.org>"),
        "{mail}"
    );
}

#[test]
fn how_somebody_signs_in_is_administered_offline() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "--name", "Ana"]);
    let reset = home.json(&["users", "reset-password", "ana@example.org"]);
    assert_eq!(reset["mail"], "sent");
    let mails = home.mails();
    assert_eq!(mails.iter().filter(|mail| mail.contains("Subject: A new password")).count(), 1);
    assert_eq!(home.json(&["users", "sessions", "ana@example.org"])["sessions"], serde_json::json!([]));
    assert_eq!(home.json(&["users", "end-sessions", "ana@example.org"])["ended"], 0);
    assert_eq!(home.json(&["users", "second-factor", "remove", "ana@example.org"])["changed"], false);
    let export = home.json(&["users", "export", "ana@example.org"]);
    let types: Vec<&str> =
        export["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["UserInvited", "ApiKeyIssued", "LinkIssued", "ApiKeyMailed", "LinkIssued", "LinkMailed"]);
    assert_eq!(export["events"][0]["data"]["name"], "Ana");
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    let id = export["user"]["id"].as_str().unwrap();
    let erased = home.json(&["users", "export", id]);
    assert!(!erased.to_string().contains("ana@") && !erased.to_string().contains("\"Ana\""), "{erased}");
    assert!(home.mails().is_empty(), "the mails to somebody who is erased go, too");
    home.refused(4, &["users", "reset-password", id]);
}

#[test]
fn named_tokens_are_made_listed_and_revoked() {
    let home = Home::new();
    let made = home.json(&["admin-tokens", "create", "nightly", "--scopes", "data,plans", "--expires-in", "90d"]);
    assert!(made["admin_token"].as_str().unwrap().starts_with("pmt_admin_"));
    assert_eq!(made["token"]["scopes"], serde_json::json!(["data", "plans"]));
    let days =
        |name: &str| made["token"][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() / 86_400;
    assert_eq!(days("expires_at") - days("issued_at"), 90);
    let id = made["token"]["id"].as_str().unwrap();
    home.json(&["admin-tokens", "create", "audit", "--scopes", "all", "--read-only"]);
    let listed = home.run(&["admin-tokens", "list"]).out;
    assert!(
        listed.contains("nightly") && listed.contains("people, data, plans, events, server (read-only)"),
        "{listed}"
    );
    assert!(!listed.contains("pmt_admin_"));
    assert!(home.refused(4, &["admin-tokens", "create", "audit", "--scopes", "data"]).contains("already"));
    home.refused(2, &["admin-tokens", "create", "other"]);
    assert!(home.refused(2, &["admin-tokens", "create", "other", "--scopes", "money"]).contains("people, data"));
    home.refused(2, &["admin-tokens", "create", "other", "--scopes", "data", "--expires-in", "soon"]);
    assert_eq!(home.json(&["admin-tokens", "revoke", id])["changed"], true);
    assert_eq!(home.json(&["admin-tokens", "revoke", id])["changed"], false);
    home.refused(3, &["admin-tokens", "revoke", "0000000000000000"]);
    home.refused(2, &["admin-tokens", "revoke", "nightly"]);
    let count = |arguments: &[&str]| home.json(arguments)["admin_tokens"].as_array().unwrap().len();
    assert_eq!((count(&["admin-tokens", "list"]), count(&["admin-tokens", "list", "--all"])), (1, 2));
    // The log says who did it, and the views follow from it.
    let events = home.json(&["events", "list", "--stream", "tokens#admin"]);
    let who = |event: &serde_json::Value| event["actor"].as_str().unwrap().starts_with("cli:");
    assert!(events["events"].as_array().unwrap().len() == 3 && events["events"].as_array().unwrap().iter().all(who));
    assert_eq!(home.json(&["events", "verify"])["differences"], 0);
    home.json(&["events", "replay"]);
    assert_eq!((count(&["admin-tokens", "list"]), count(&["admin-tokens", "list", "--all"])), (1, 2));
}

#[tokio::test]
async fn the_last_administrator_is_not_taken_away() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "--role", "admin"]);
    home.json(&["invite", "ben@example.org", "--role", "manager"]);
    // Without a password nobody can sign in, so nobody is the last who can.
    home.json(&["users", "set", "ana@example.org", "--role", "manager"]);
    home.json(&["users", "set", "ana@example.org", "--role", "admin"]);
    let server = Server::start(&home, "serve");
    for mail in home.mails() {
        let url = format!("{}{}", server.ready()["url"].as_str().unwrap(), link_in(&mail));
        let set = server.client().post(url).json(&serde_json::json!({ "password": "correct horse battery" }));
        assert_eq!(set.send().await.unwrap().status(), 200);
    }
    drop(server);
    let last = |arguments: &[&str]| assert!(home.refused(4, arguments).contains("last administrator"));
    last(&["users", "set", "ana@example.org", "--role", "manager"]);
    last(&["users", "disable", "ana@example.org"]);
    last(&["users", "delete", "ana@example.org", "--yes"]);
    home.refused(2, &["users", "set", "ana@example.org", "--role", "king"]);
    home.json(&["users", "set", "ben@example.org", "--role", "admin"]);
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    last(&["users", "disable", "ben@example.org"]);
    assert_eq!(home.json(&["events", "verify"])["differences"], 0);
}

#[test]
fn a_leaked_key_is_revoked_and_its_owner_told() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let key = key_in(&home.mails()[0]);
    let (cut, _) = key.split_at(key.len() - 1);
    std::fs::write(home.path("found.txt"), format!("a: {cut}\nb: {key}\nc: {key}")).unwrap();
    let reported = home.json(&["keys", "report-leak", "found.txt"]);
    let found = reported["found"].as_array().unwrap();
    assert_eq!((found.len(), found[0]["outcome"].as_str()), (1, Some("revoked")), "{reported}");
    assert!(!reported.to_string().contains(&key));
    let mails = home.mails();
    assert!(mails.len() == 2 && mails[1].contains("has leaked and was revoked"), "{}", mails[1]);
    let again = home.json(&["keys", "report-leak", "found.txt"]);
    assert_eq!((again["found"][0]["outcome"].as_str(), home.mails().len()), (Some("had_ended"), 2));
    let shown = home.json(&["users", "show", "ana@example.org"]);
    assert_eq!(shown["keys"][0]["revocation_reason"], "leaked");
    assert!(home.refused(3, &["keys", "report-leak", "no-such-file"]).contains("no-such-file"));
}
