use super::{examples::Example, *};

fn example() -> Invitation {
    Invitation::examples().remove(0)
}

#[test]
fn an_invitation_says_what_is_needed_in_both_parts() {
    let mail = Templates::default().invitation(&example()).unwrap();
    assert_eq!(mail.subject, "Your key to SF Permits");
    let curl = "curl -H 'x-api-key: pmt_EXAMPLE_this-is-not-a-key' 'https://permits.example.org/permits/201612013997'";
    assert!(mail.text.lines().any(|line| line.trim() == curl), "{}", mail.text);
    let shown_html = mail.html.replace("&#x2f;", "/").replace("&#x27;", "'");
    assert!(shown_html.contains(&format!(">{curl}</pre>")), "{}", mail.html);
    for part in [&mail.text, &mail.html] {
        for words in [
            "Ada Lovelace",
            "the permit office",
            "Building permits",
            "pmt_EXAMPLE_this-is-not-a-key",
            "5",
            "10",
            "1000",
        ] {
            assert!(part.contains(words), "{words:?} is missing in\n{part}");
        }
        assert!(part.contains("did not expect"), "{part}");
        let shown = part.replace("&#x2f;", "/").replace("&lt;", "<").replace("&gt;", ">");
        assert!(
            shown.contains("https://permits.example.org/docs") && shown.contains("Bea <bea@example.org>"),
            "{part}"
        );
        assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
    }
    let list = "reading:\n\n  - Building permits: https://permits.example.org/permits\n  - Open data: ";
    assert!(mail.text.contains(list), "{}", mail.text);
    assert!(mail.text.lines().all(|line| line.len() < 120 && line.trim_end() == line), "{}", mail.text);
}

#[test]
fn before_the_first_import_no_request_is_promised() {
    let mail =
        Templates::default().invitation(&Invitation { datasets: Vec::new(), example_path: None, ..example() }).unwrap();
    for part in [&mail.text, &mail.html] {
        assert!(part.contains("No data has been published yet"), "{part}");
        assert!(part.contains("pmt_EXAMPLE_this-is-not-a-key"), "the key is there all the same: {part}");
        assert!(!part.contains("curl") && !part.contains("<ul>") && !part.contains("{%"), "{part}");
        let shown = part.replace("&#x2f;", "/");
        assert!(shown.contains("https://permits.example.org"), "where the data will be: {part}");
    }
    assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
    assert!(mail.text.lines().all(|line| line.len() < 120 && line.trim_end() == line), "{}", mail.text);
}

#[test]
fn what_is_not_known_leaves_no_gap() {
    let mail = Templates::default()
        .invitation(&Invitation { name: None, invited_by: None, contact: None, ..example() })
        .unwrap();
    assert!(mail.text.starts_with("Hello,\n"), "{}", mail.text);
    assert!(mail.text.contains("Questions: ask whoever"), "{}", mail.text);
    assert!(!mail.text.contains("None") && !mail.html.contains("None") && !mail.text.contains("none"));
}

#[test]
fn a_leak_is_told_to_the_owner_by_name_and_to_administrators_by_id() {
    let leak = KeyLeak {
        brand: "SF Permits".to_owned(),
        name: Some("Ada <b>".to_owned()),
        public_url: "https://permits.example.org".to_owned(),
        contact: None,
        what: "key",
        key_id: "3fE9kQ0aZb7LmN2p".to_owned(),
        last_four: "wXyZ".to_owned(),
        user: "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11".to_owned(),
    };
    let (owner, told) = (
        Templates::default().key_leaked(&leak).unwrap(),
        Templates::default().key_leaked_told(&KeyLeak { name: None, ..leak }).unwrap(),
    );
    for part in [&owner.text, &owner.html, &told.text, &told.html] {
        for words in ["3fE9kQ0aZb7LmN2p", "revoked", "SF Permits"] {
            assert!(part.contains(words), "{words}: {part}");
        }
        assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
    }
    assert!(!owner.html.contains("<b>"), "{}", owner.html);
    assert!(owner.text.starts_with("Hello Ada <b>,\n") && owner.text.contains("wXyZ"), "{}", owner.text);
    assert!(owner.text.contains("ask whoever invited you"), "{}", owner.text);
    assert!(told.text.contains("permitd users show 0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11"), "{}", told.text);
    for mail in [&owner, &told] {
        assert!(mail.text.lines().all(|line| line.len() < 120 && line.trim_end() == line), "{}", mail.text);
    }
}

#[test]
fn names_cannot_inject_headers_or_html() {
    let hostile = "Eve\r\nBcc: all@example.org<script>alert(1)</script>".to_owned();
    let mail = Templates::default()
        .invitation(&Invitation { name: Some(hostile.clone()), brand: hostile, ..example() })
        .unwrap();
    assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
    assert!(!mail.html.contains("<script>"), "{}", mail.html);
    assert!(!format!("{mail:?}").contains("pmt_"));
}

#[test]
fn a_link_stands_in_place_of_the_key() {
    let claim = "https://permits.example.org/links/pml_claim".to_owned();
    let mail =
        Templates::default().invitation(&Invitation { key: None, claim_link: Some(claim), ..example() }).unwrap();
    for part in [&mail.text, &mail.html] {
        let shown = part.replace("&#x2f;", "/");
        assert!(shown.contains("https://permits.example.org/links/pml_claim"), "{part}");
        assert!(!part.contains("pmt_") && !part.contains("none") && !part.contains("{%"), "{part}");
    }
    assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
}

#[test]
fn whoever_can_sign_in_is_told_where_to_set_a_password() {
    let link = "https://permits.example.org/links/pml_password".to_owned();
    let mail = Templates::default().invitation(&Invitation { password_link: Some(link), ..example() }).unwrap();
    for part in [&mail.text, &mail.html] {
        let shown = part.replace("&#x2f;", "/");
        assert!(shown.contains("/links/pml_password") && shown.contains("pmt_EXAMPLE"), "{part}");
    }
    assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
    assert!(
        !Templates::default()
            .invitation(&Invitation { password_link: None, ..example() })
            .unwrap()
            .text
            .contains("password")
    );
}

#[test]
fn a_reset_says_what_it_is_and_what_to_do_about_one_that_nobody_wanted() {
    let reset = PasswordReset {
        brand: "SF Permits".to_owned(),
        name: Some("Eve\r\nBcc: all@example.org".to_owned()),
        contact: None,
        link: "https://permits.example.org/links/pml_x".to_owned(),
        expires_at: "2026-03-01 11:00 UTC".to_owned(),
    };
    let mail = Templates::default().password_reset(&reset).unwrap();
    assert_eq!(mail.subject, "A new password for SF Permits");
    for part in [&mail.text, &mail.html] {
        let shown = part.replace("&#x2f;", "/");
        assert!(shown.contains("/links/pml_x") && part.contains("2026-03-01 11:00 UTC"), "{part}");
        assert!(part.contains("did not ask") && !part.contains("{%"), "{part}");
    }
}

fn key() -> KeyTold {
    KeyTold {
        id: "3fE9kQ0aZb7LmN2p".to_owned(),
        last_four: "Zz9a".to_owned(),
        label: Some("laptop <old>".to_owned()),
        expires_at: Some("2026-04-01 12:00 UTC".to_owned()),
        revoked_at: Some("2026-03-01 12:00 UTC".to_owned()),
        replaces: Some("OLDkQ0aZb7LmN2pq".to_owned()),
        replaces_until: Some("2026-03-02 12:00 UTC".to_owned()),
    }
}

fn of<T>(told: T) -> NoticeMail<T> {
    NoticeMail {
        brand: "SF Permits".to_owned(),
        name: Some("Ada Lovelace".to_owned()),
        public_url: "https://permits.example.org".to_owned(),
        contact: Some("Bea <bea@example.org>".to_owned()),
        told,
    }
}

#[test]
fn notices_say_what_happened_and_what_to_do_in_both_parts() {
    let bare = KeyTold { label: None, expires_at: None, replaces: None, replaces_until: None, ..key() };
    let mails = Templates::default();
    let made = |key| mails.key_made(&of(KeyMade { key })).unwrap();
    let revoked = |key| mails.key_revoked(&of(KeyRevoked { key })).unwrap();
    let expiring = |is_over| mails.key_expiring(&of(KeyExpires { key: key(), is_over })).unwrap();
    let quota = |percent| {
        let spent = QuotaSpent { day: "2026-03-01".to_owned(), percent, quota: 1000 };
        mails.quota_reached(&of(spent)).unwrap()
    };
    let cases = [
        (
            made(key()),
            "A key was made for you at SF Permits",
            vec!["3fE9kQ0aZb7LmN2p", "Zz9a", "2026-04-01 12:00 UTC", "OLDkQ0aZb7LmN2pq", "2026-03-02 12:00 UTC"],
        ),
        (made(bare), "A key was made for you at SF Permits", vec!["3fE9kQ0aZb7LmN2p"]),
        (revoked(key()), "A key of yours at SF Permits was revoked", vec!["3fE9kQ0aZb7LmN2p", "2026-03-01 12:00 UTC"]),
        (expiring(false), "Your key to SF Permits expires on 2026-04-01 12:00 UTC", vec!["stops working", "Zz9a"]),
        (expiring(true), "Your key to SF Permits has expired", vec!["stopped working", "Zz9a"]),
        (quota(80), "80 % of your requests to SF Permits for 2026-03-01 are used", vec!["1000", "2026-03-01"]),
        (quota(100), "All of your requests to SF Permits for 2026-03-01 are used", vec!["1000", "midnight"]),
    ];
    for (mail, subject, words) in cases {
        assert_eq!(mail.subject, subject);
        for part in [&mail.text, &mail.html] {
            let shown = part.replace("&lt;", "<").replace("&gt;", ">").replace("&#x2f;", "/");
            for words in words.iter().chain(&["Ada Lovelace", "Bea <bea@example.org>"]) {
                assert!(shown.contains(words), "{words:?} is missing in\n{part}");
            }
            assert!(!part.contains("{{") && !part.contains("{%") && !part.contains("none"), "{part}");
        }
        assert!(!mail.html.contains("<old>"), "{}", mail.html);
        assert!(mail.text.lines().all(|line| line.len() < 120 && line.trim_end() == line), "{}", mail.text);
        assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
    }
}
