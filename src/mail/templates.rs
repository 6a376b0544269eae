//! The mails there are. Each has a folder under `templates/` with its subject, its text and its HTML.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, value::Serde};
use serde::Serialize;
use thiserror::Error;

/// What an invitation says.
#[derive(Clone, Serialize)]
pub struct Invitation {
    /// What the service calls itself.
    pub brand: String,
    /// The invited person's name, if known.
    pub name: Option<String>,
    /// Who invited, as far as it may be told.
    pub invited_by: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
    pub contact: Option<String>,
    /// What can be read. Empty before the first import: the mail then says that data will come.
    pub datasets: Vec<Dataset>,
    /// The API key, where the mail carries it.
    pub key: Option<String>,
    /// The address of a link that shows the key once, where the mail carries that instead.
    pub claim_link: Option<String>,
    /// The address of a link to set a password, for whoever can sign in and has none.
    pub password_link: Option<String>,
    /// The path of a request that works, such as `/permits/201612013997`. None where none does yet.
    pub example_path: Option<String>,
    /// What the plan allows.
    pub limits: Limits,
}

/// Overwrites the key and the links: whoever has one here keeps it in [`zeroize::Zeroizing`].
impl zeroize::Zeroize for Invitation {
    fn zeroize(&mut self) {
        self.key.zeroize();
        self.claim_link.zeroize();
        self.password_link.zeroize();
    }
}

/// What the mail to who forgot their password says.
#[derive(Clone, Serialize)]
pub struct PasswordReset {
    /// What the service calls itself.
    pub brand: String,
    /// The person's name, if known.
    pub name: Option<String>,
    /// Whom to ask, if known.
    pub contact: Option<String>,
    /// The address of the link.
    pub link: String,
    /// Until when it works, for people.
    pub expires_at: String,
}

/// Overwrites the link: whoever has one here keeps it in [`zeroize::Zeroizing`].
impl zeroize::Zeroize for PasswordReset {
    fn zeroize(&mut self) {
        self.link.zeroize();
    }
}

/// A data set that the invited person can read.
#[derive(Debug, Clone, Serialize)]
pub struct Dataset {
    /// Its title for people.
    pub title: String,
    /// Its path, such as `/permits`.
    pub path: String,
}

/// A plan's limits.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// Requests per second in the long run, as people write it.
    pub rate_per_s: String,
    /// Requests at once after a pause.
    pub burst: u32,
    /// Requests per day, UTC.
    pub quota_per_day: u64,
}

/// What the mails about a leaked key say.
#[derive(Debug, Clone, Serialize)]
pub struct KeyLeak {
    /// What the service calls itself.
    pub brand: String,
    /// The owner's name, if known: for the owner alone.
    pub name: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
    pub contact: Option<String>,
    /// The key's public id.
    pub key_id: String,
    /// The last four characters of its secret.
    pub last_four: String,
    /// The owner's id.
    pub user: String,
}

/// What a notice says.
#[derive(Serialize)]
pub struct NoticeMail {
    /// What the service calls itself.
    pub brand: String,
    /// The person's name, if known.
    pub name: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
    pub contact: Option<String>,
    /// What it is about.
    #[serde(flatten)]
    pub told: NoticeTold,
}

/// What somebody is told.
#[derive(Serialize)]
#[serde(untagged)]
pub enum NoticeTold {
    /// Somebody else made a key for them.
    KeyMade {
        /// The key.
        key: KeyTold,
    },
    /// Somebody else revoked a key of theirs.
    KeyRevoked {
        /// The key.
        key: KeyTold,
    },
    /// A key of theirs expires.
    KeyExpiring {
        /// The key.
        key: KeyTold,
        /// Whether its end has come before this mail.
        is_over: bool,
    },
    /// A share of a day's quota is spent.
    QuotaReached {
        /// The UTC day, such as `2026-03-01`.
        day: String,
        /// The share, percent.
        percent: u8,
        /// The quota.
        quota: u64,
    },
}

/// A key as its owner knows it; never the key itself. Moments as people read them.
#[derive(Serialize)]
pub struct KeyTold {
    /// Its public id.
    pub id: String,
    /// The last four characters of its secret.
    pub last_four: String,
    /// What its owner calls it.
    pub label: Option<String>,
    /// When it stops working by itself.
    pub expires_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// The key that it replaces.
    pub replaces: Option<String>,
    /// Until when that one works.
    pub replaces_until: Option<String>,
}

/// A mail's three parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// Says that it is a rendered mail, not what is in it.
impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").finish_non_exhaustive()
    }
}

/// A template that cannot be rendered: a defect of the program.
#[derive(Debug, Error)]
#[error("the mail template {template} cannot be rendered: {reason}; please report this")]
pub struct TemplateError {
    template: &'static str,
    reason: String,
}

/// Renders the mail of a folder.
macro_rules! mail {
    ($folder:literal, $context:expr) => {{
        let part = |template, source| render(template, source, $context);
        Ok(Rendered {
            subject: in_one_line(&part(
                concat!($folder, "/subject.txt"),
                include_str!(concat!("templates/", $folder, "/subject.txt")),
            )?),
            text: part(concat!($folder, "/body.txt"), include_str!(concat!("templates/", $folder, "/body.txt")))?,
            html: part(concat!($folder, "/body.html"), include_str!(concat!("templates/", $folder, "/body.html")))?,
        })
    }};
}

/// What the HTML of notices is put into.
const LAYOUT: (&str, &str) = ("layout.html", include_str!("templates/layout.html"));

/// The mail that carries a new user's key.
///
/// # Errors
/// When a template is damaged.
pub fn invitation(invitation: &Invitation) -> Result<Rendered, TemplateError> {
    mail!("invitation", invitation)
}

/// The mail to who forgot their password.
///
/// # Errors
/// When a template is damaged.
pub fn password_reset(reset: &PasswordReset) -> Result<Rendered, TemplateError> {
    mail!("password-reset", reset)
}

/// The mail that tells somebody of a key of theirs, or of their quota.
///
/// # Errors
/// When a template is damaged.
pub fn notice(notice: &NoticeMail) -> Result<Rendered, TemplateError> {
    match notice.told {
        NoticeTold::KeyMade { .. } => mail!("key-made", notice),
        NoticeTold::KeyRevoked { .. } => mail!("key-revoked", notice),
        NoticeTold::KeyExpiring { .. } => mail!("key-expiring", notice),
        NoticeTold::QuotaReached { .. } => mail!("quota-reached", notice),
    }
}

/// The mail that tells the owner of a key that it was revoked because it had leaked.
///
/// # Errors
/// When a template is damaged.
pub fn key_leaked(leak: &KeyLeak) -> Result<Rendered, TemplateError> {
    mail!("key-leaked", leak)
}

/// The mail that tells an administrator of it.
///
/// # Errors
/// When a template is damaged.
pub fn key_leaked_told(leak: &KeyLeak) -> Result<Rendered, TemplateError> {
    mail!("key-leaked-told", leak)
}

/// A subject in one line: a name with a line break in it must not reach the headers.
fn in_one_line(subject: &str) -> String {
    subject.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn render<C: Serialize>(template: &'static str, source: &'static str, context: &C) -> Result<String, TemplateError> {
    let failed =
        |e: minijinja::Error| TemplateError { template, reason: format!("{:?} at line {:?}", e.kind(), e.line()) };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    environment.add_template(LAYOUT.0, LAYOUT.1).map_err(failed)?;
    environment.add_template(template, source).map_err(failed)?;
    environment.get_template(template).and_then(|compiled| compiled.render(Serde(context))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Invitation {
        Invitation {
            brand: "SF Permits".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            invited_by: Some("the permit office".to_owned()),
            public_url: "https://permits.example.org".to_owned(),
            contact: Some("Bea <bea@example.org>".to_owned()),
            datasets: vec![
                Dataset { title: "Building permits".to_owned(), path: "/permits".to_owned() },
                Dataset { title: "Open data".to_owned(), path: "/sf_open_data".to_owned() },
            ],
            key: Some("pmt_abc_def_012".to_owned()),
            claim_link: None,
            password_link: None,
            example_path: Some("/permits/201612013997".to_owned()),
            limits: Limits { rate_per_s: "5".to_owned(), burst: 10, quota_per_day: 1000 },
        }
    }

    #[test]
    fn an_invitation_says_what_is_needed_in_both_parts() {
        let mail = invitation(&example()).unwrap();
        assert_eq!(mail.subject, "Your key to SF Permits");
        let curl = "curl -H 'x-api-key: pmt_abc_def_012' 'https://permits.example.org/permits/201612013997'";
        assert!(mail.text.lines().any(|line| line.trim() == curl), "{}", mail.text);
        let shown_html = mail.html.replace("&#x2f;", "/").replace("&#x27;", "'");
        assert!(shown_html.contains(&format!(">{curl}</pre>")), "{}", mail.html);
        for part in [&mail.text, &mail.html] {
            for words in ["Ada Lovelace", "the permit office", "Building permits", "pmt_abc_def_012", "5", "10", "1000"]
            {
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
        let mail = invitation(&Invitation { datasets: Vec::new(), example_path: None, ..example() }).unwrap();
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("No data has been published yet"), "{part}");
            assert!(part.contains("pmt_abc_def_012"), "the key is there all the same: {part}");
            assert!(!part.contains("curl") && !part.contains("<ul>") && !part.contains("{%"), "{part}");
            let shown = part.replace("&#x2f;", "/");
            assert!(shown.contains("https://permits.example.org"), "where the data will be: {part}");
        }
        assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
        assert!(mail.text.lines().all(|line| line.len() < 120 && line.trim_end() == line), "{}", mail.text);
    }

    #[test]
    fn what_is_not_known_leaves_no_gap() {
        let mail = invitation(&Invitation { name: None, invited_by: None, contact: None, ..example() }).unwrap();
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
            key_id: "3fE9kQ0aZb7LmN2p".to_owned(),
            last_four: "wXyZ".to_owned(),
            user: "0197b2b6-5f6e-7c3a-8a56-0b7a4e8c6a11".to_owned(),
        };
        let (owner, told) = (key_leaked(&leak).unwrap(), key_leaked_told(&KeyLeak { name: None, ..leak }).unwrap());
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
        let mail = invitation(&Invitation { name: Some(hostile.clone()), brand: hostile, ..example() }).unwrap();
        assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
        assert!(!mail.html.contains("<script>"), "{}", mail.html);
        assert!(!format!("{mail:?}").contains("pmt_"));
    }

    #[test]
    fn a_link_stands_in_place_of_the_key() {
        let claim = "https://permits.example.org/links/pml_claim".to_owned();
        let mail = invitation(&Invitation { key: None, claim_link: Some(claim), ..example() }).unwrap();
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
        let mail = invitation(&Invitation { password_link: Some(link), ..example() }).unwrap();
        for part in [&mail.text, &mail.html] {
            let shown = part.replace("&#x2f;", "/");
            assert!(shown.contains("/links/pml_password") && shown.contains("pmt_abc_def_012"), "{part}");
        }
        assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
        assert!(!invitation(&example()).unwrap().text.contains("password"));
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
        let mail = password_reset(&reset).unwrap();
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

    fn told(told: NoticeTold) -> Rendered {
        let mail = NoticeMail {
            brand: "SF Permits".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            public_url: "https://permits.example.org".to_owned(),
            contact: Some("Bea <bea@example.org>".to_owned()),
            told,
        };
        notice(&mail).unwrap()
    }

    #[test]
    fn notices_say_what_happened_and_what_to_do_in_both_parts() {
        let bare = KeyTold { label: None, expires_at: None, replaces: None, replaces_until: None, ..key() };
        let quota = |percent| NoticeTold::QuotaReached { day: "2026-03-01".to_owned(), percent, quota: 1000 };
        let cases = [
            (
                NoticeTold::KeyMade { key: key() },
                "A key was made for you at SF Permits",
                vec!["3fE9kQ0aZb7LmN2p", "Zz9a", "2026-04-01 12:00 UTC", "OLDkQ0aZb7LmN2pq", "2026-03-02 12:00 UTC"],
            ),
            (NoticeTold::KeyMade { key: bare }, "A key was made for you at SF Permits", vec!["3fE9kQ0aZb7LmN2p"]),
            (
                NoticeTold::KeyRevoked { key: key() },
                "A key of yours at SF Permits was revoked",
                vec!["3fE9kQ0aZb7LmN2p", "2026-03-01 12:00 UTC"],
            ),
            (
                NoticeTold::KeyExpiring { key: key(), is_over: false },
                "Your key to SF Permits expires on 2026-04-01 12:00 UTC",
                vec!["stops working", "Zz9a"],
            ),
            (
                NoticeTold::KeyExpiring { key: key(), is_over: true },
                "Your key to SF Permits has expired",
                vec!["stopped working", "Zz9a"],
            ),
            (quota(80), "80 % of your requests to SF Permits for 2026-03-01 are used", vec!["1000", "2026-03-01"]),
            (quota(100), "All of your requests to SF Permits for 2026-03-01 are used", vec!["1000", "midnight"]),
        ];
        for (what, subject, words) in cases {
            let mail = told(what);
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
}
