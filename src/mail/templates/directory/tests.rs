use std::os::unix::fs::symlink;

use super::*;
use crate::mail::templates::{ServiceFacts, examples::Example};

/// A folder with one part of the invitation.
fn folder(part: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("invitation")).unwrap();
    fs::write(folder.path().join("invitation").join(part), text).unwrap();
    folder
}

fn refused(part: &str, text: &str) -> String {
    Templates::load(Some(folder(part, text).path())).unwrap_err().to_string()
}

fn invitation(templates: &Templates) -> crate::mail::templates::Rendered {
    templates.invitation(&crate::mail::templates::Invitation::examples().remove(0)).unwrap()
}

#[test]
fn a_part_replaces_that_part_alone() {
    let folder = folder("subject.txt", "Willkommen bei {{ brand }}\n");
    let (own, built_in) = (Templates::load(Some(folder.path())).unwrap(), Templates::default());
    let (own, built_in) = (invitation(&own), invitation(&built_in));
    assert_eq!((own.subject.as_str(), &own.text), ("Willkommen bei SF Permits", &built_in.text));
}

#[test]
fn what_is_written_to_begin_with_is_what_there_is() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("templates");
    assert_eq!(write_built_in(&folder).unwrap().len(), MAILS.len() * PARTS.len());
    let (own, built_in) = (Templates::load(Some(&folder)).unwrap(), Templates::default());
    assert!(invitation(&own) == invitation(&built_in));
    fs::remove_file(folder.join("invitation/body.txt")).unwrap();
    assert!(write_built_in(&folder).is_err(), "what is there stays");
    assert!(!folder.join("invitation/body.txt").exists(), "nothing or all");
}

#[test]
fn mistakes_are_told_with_file_and_line() {
    for (part, text, words) in [
        ("body.txt", "Hello\n{{ nmae }}", "body.txt:2: there is no variable nmae, perhaps name is meant"),
        ("body.txt", "Hello\n\n{{ limits.brust }}", "body.txt:3: there is no variable limits.brust"),
        ("body.txt", "{% for one in datasets %}{{ one.titel }}{% endfor %}", "body.txt:1: a variable is not there"),
        ("body.txt", "{% if name %}\n{{ name", "body.txt:2: syntax error"),
        ("body.txt", "x\n{{ brand|shout }}", "body.txt:2: there is no such filter"),
        ("body.html", "{% include '/etc/passwd' %}", "there is no such template"),
        ("body.html", "{% extends 'key-leaked/body.html' %}", "there is no such template"),
        ("body.html", "{% include 'invitation/body.html' %}", "body.html:1: "),
        ("body.html", "{% extends 'invitation/body.html' %}", "body.html:1: "),
        ("body.txt", "{% import '../secret.json' as s %}", "there is no such template"),
        ("subject.txt", "  \n", "the subject is empty"),
        ("body.html", "", "the part is empty"),
        (
            "body.txt",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}x",
            "does not come to an end",
        ),
        ("body.txt", &format!("{{% for a in range(99) %}}{}{{% endfor %}}", "x".repeat(60_000)), "it makes more than"),
        ("body.txt", &"x".repeat(70_000), "it has more than 65536 bytes"),
        ("body.text", "x", "there is no part of this name, perhaps body.txt is meant"),
    ] {
        let said = refused(part, text);
        assert!(said.contains(words), "{words}: {said}");
    }
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("invitations")).unwrap();
    let said = Templates::load(Some(other.path())).unwrap_err().to_string();
    assert!(said.contains("there is no mail of this name, perhaps invitation is meant"), "{said}");
    let said = Templates::load(Some(&other.path().join("none"))).unwrap_err().to_string();
    assert!(said.contains("config mails --write"), "{said}");
}

#[test]
fn what_may_be_missing_is_asked_for_before_it_is_shown() {
    let folder = folder("body.txt", "{% if contact %}{{ contact }}{% endif %}x");
    Templates::load(Some(folder.path())).unwrap();
    for text in ["Hello {{ name }}", "{{ name|upper }}", "{% if brand %}{{ example_path }}{% endif %}"] {
        assert!(refused("body.txt", text).contains("body.txt:1: a variable is not there, or may be missing"), "{text}");
    }
}

#[test]
fn what_only_one_kind_of_notice_has_is_known_to_be_missing_in_the_other() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("key-made")).unwrap();
    let part = folder.path().join("key-made/body.txt");
    for text in ["Hello {{ key.revoked_at }}", "Hello {{ key.label }}"] {
        fs::write(&part, text).unwrap();
        let said = Templates::load(Some(folder.path())).unwrap_err().to_string();
        assert!(said.contains("body.txt:1: "), "{text}: {said}");
    }
    let (checked, _) = crate::mail::templates::check(None).unwrap();
    let made = checked.iter().find(|mail| mail.mail == "key-made").unwrap();
    let is_optional = |name: &str| made.variables.iter().any(|variable| variable.name == name && variable.optional);
    assert!(is_optional("key.label") && is_optional("key.expires_at") && !is_optional("key.id"));
}

#[test]
fn a_link_leads_to_another_file_of_the_folder_and_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let folder = folder("subject.txt", "own");
    let part = folder.path().join("invitation/body.txt");
    symlink(outside.path().join("secret"), &part).unwrap();
    let said = Templates::load(Some(folder.path())).unwrap_err().to_string();
    assert!(said.contains("leads out of the directory") && !said.contains("secret:"), "{said}");
    fs::remove_file(&part).unwrap();
    // Kubernetes mounts volumes like this.
    fs::create_dir(folder.path().join("invitation/..data")).unwrap();
    fs::write(folder.path().join("invitation/..data/body.txt"), "by a link").unwrap();
    symlink("..data/body.txt", &part).unwrap();
    assert_eq!(invitation(&Templates::load(Some(folder.path())).unwrap()).text, "by a link");
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    assert!(Templates::load(Some(folder.path())).unwrap_err().to_string().contains("it is no file"));
}

#[test]
fn no_subject_becomes_more_than_one_header_and_html_is_escaped() {
    let folder = folder("subject.txt", "For {{ brand }}\r\nBcc: {% if contact %}{{ contact }}{% endif %}\u{2028}x");
    fs::write(folder.path().join("invitation/body.html"), "<b>{{ brand }}</b>").unwrap();
    let templates = Templates::load(Some(folder.path())).unwrap();
    let hostile = "a\r\nBcc: all@example.org <script>".to_owned();
    let service = ServiceFacts { brand: hostile.repeat(40), public_url: String::new(), contact: Some(hostile) };
    let mail = templates.example("invitation", &service).unwrap().unwrap();
    assert!(
        !mail.subject.contains(['\r', '\n', '\u{2028}']) && mail.subject.chars().count() <= 200,
        "{}",
        mail.subject
    );
    assert!(!mail.html.contains("<script>"), "{}", mail.html);
    assert!(templates.example("none", &service).is_none());
}

#[test]
fn no_error_tells_what_was_filled_in() {
    let folder = folder("body.txt", "{{ brand }}{% if brand == 'personal' %}{{ brand|int }}{% endif %}");
    let templates = Templates::load(Some(folder.path())).unwrap();
    let service = ServiceFacts { brand: "personal".to_owned(), public_url: String::new(), contact: None };
    let error = templates.example("invitation", &service).unwrap().unwrap_err().to_string();
    assert!(
        !error.contains("personal") && error.contains("body.txt, line 1,") && error.contains("config mails"),
        "{error}"
    );
}
