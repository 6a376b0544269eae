//! The templates of mails, and whether mail arrives.

use std::fs;

use super::{Home, key_in, link_in};

#[test]
fn templates_are_listed_written_replaced_and_checked_at_start() {
    let home = Home::new();
    let listed = home.json(&["config", "mails"]);
    let invitation = listed["mails"].as_array().unwrap().iter().find(|mail| mail["mail"] == "invitation").unwrap();
    assert_eq!(invitation["parts"]["body.txt"], "built in");
    let variables = invitation["variables"].as_array().unwrap();
    let named = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!((&named("limits.burst")["example"], &named("name")["optional"]), (&"10".into(), &true.into()));
    assert!(invitation["example"]["text"].as_str().unwrap().contains("Ada Lovelace"));

    home.json(&["config", "mails", "--write", "own"]);
    assert!(home.refused(4, &["config", "mails", "--write", "own"]).contains("there is such a file"));
    fs::write(home.path("own/invitation/subject.txt"), "Ihr Schlüssel für {{ brand }}\n").unwrap();
    let checked = home.json(&["config", "mails", "--templates", "own"]);
    assert_eq!(checked["mistakes"], serde_json::json!([]));
    fs::write(home.path("permitd.toml"), "[mail]\ntemplates = \"own\"\n").unwrap();
    home.json(&["invite", "ana@example.org", "--config", "permitd.toml"]);
    let mail = home.mails().remove(0);
    assert!(mail.contains("Subject: Ihr =?utf-8?b?") && mail.contains(&key_in(&mail)), "{mail}");

    fs::write(home.path("own/invitation/body.txt"), "Hello\n{{ nmae }}\n").unwrap();
    let wrong = home.run(&["config", "mails", "--config", "permitd.toml"]);
    assert!(wrong.exit == 1 && wrong.err.contains("body.txt:2: there is no variable nmae"), "{}", wrong.err);
    let refused = home.refused(2, &["invite", "ben@example.org", "--config", "permitd.toml"]);
    assert!(refused.contains("mail.templates = own") && refused.contains("body.txt:2:"), "{refused}");
    assert!(home.refused(2, &["serve", "--config", "permitd.toml"]).contains("body.txt:2:"));
    assert!(home.refused(3, &["config", "mails", "--show", "none"]).contains("key-leaked-told"));
}

#[test]
fn an_example_is_sent_by_the_transport_and_its_answer_is_told() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let tested = home.json(&["mail", "test", "you@example.org"]);
    assert_eq!((&tested["outcome"], &tested["transport"]), (&"taken".into(), &"file".into()));
    let mail = home.mails().pop().unwrap();
    assert!(mail.contains("you@example.org") && mail.contains("pmt_EXAMPLE"), "{mail}");
    assert!(mail.contains("\r\nSubject: Test: Your key to "), "{mail}");
    assert!(!mail.contains("permits.example.org"), "all addresses are of these settings: {mail}");
    let told = home.run(&["mail", "test", "you@example.org", "--mail", "password-reset"]);
    let file = told.out.lines().next().unwrap().strip_prefix("the mail is in ").unwrap().to_owned();
    assert!(fs::read_to_string(home.path(&file)).unwrap().contains("/links/pml_EXAMPLE"), "{}", told.out);
    assert!(told.out.contains("note: mail goes into files in") && told.out.contains("reaches nobody"), "{}", told.out);
    home.json(&["mail", "test", "you@example.org", "--mail", "key-leaked"]);
    assert_eq!(home.mails().len(), 4);
    assert!(home.refused(2, &["mail", "test", "you@example.org", "--mail", "none"]).contains("none"));
    // An example to a person goes with the person.
    home.json(&["mail", "test", "ana@example.org"]);
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    assert!(home.mails().iter().all(|mail| !mail.contains("ana@example.org")));
    fs::remove_dir_all(home.data().join("outbox")).unwrap();
    fs::write(home.data().join("outbox"), "in the way").unwrap();
    let away = home.run(&["mail", "test", "you@example.org", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&away.out).unwrap();
    assert_eq!((away.exit, &told["outcome"]), (5, &"unavailable".into()), "{}", away.out);
}

/// As it stands in the file it can be copied, whatever letters are in the mail.
#[test]
fn a_link_in_a_file_is_whole() {
    let home = Home::new();
    for (email, name) in [("ana@example.org", "Ana"), ("zoe@example.org", "Zoë Núñez")] {
        let ran = home
            .command(&["invite", email, "--name", name])
            .env("PERMITD_PUBLIC_URL", "https://open-data-of-a-large-city.example.org")
            .output()
            .unwrap();
        assert!(ran.status.success());
        let mail = home.mails().into_iter().find(|mail| mail.contains(&format!("To: {email}"))).unwrap();
        let link = format!("  https://open-data-of-a-large-city.example.org{}", link_in(&mail));
        assert!(link.len() > 110 && mail.split("\r\n").any(|line| line == link), "{link}\n{mail}");
        assert!(mail.contains(name), "{mail}");
        assert!(!mail.contains("base64\r\n") && mail.lines().all(|line| line.len() <= 998), "{mail}");
    }
}

#[test]
fn mail_that_was_not_stopped_needs_no_leave() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    assert_eq!(home.json(&["users", "allow-mail", "ana@example.org"])["changed"], false);
    assert!(home.json(&["users", "show", "ana@example.org"])["user"]["mail_stop"].is_null());
}
