//! Mail against a real SMTP server, which is installed into `target/` when it is not there; `PERMITD_TEST_SMTP=skip` does without.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up fails")]

mod support;

use std::{fs, process::Command};

use permitd::{
    app,
    clock::{ManualClock, SystemClock},
    config::{ConfigError, LoadFrom, Settings},
    mail::{MailError, Mailer, OutgoingMail, Receipt, templates},
};
use support::{Process, tools};

/// A server with a folder that mail arrives in.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    _process: Process,
}

impl Server {
    /// Starts one; `None` when the tests are told to do without.
    fn start(options: &[&str]) -> Option<Self> {
        if std::env::var("PERMITD_TEST_SMTP").is_ok_and(|value| value == "skip") {
            support::skip("PERMITD_TEST_SMTP=skip");
            return None;
        }
        let python = tools::folder().join("venv/bin/python");
        let folder = support::data_dir();
        let mut command = Command::new(python);
        command.arg(support::repository().join("tests/mail/smtp_server.py"));
        command.arg("--folder").arg(folder.path()).args(options);
        let (process, port) =
            Process::start(&mut command, |line| line.strip_prefix("listening on ")?.trim().parse().ok());
        Some(Self { folder, port, _process: process })
    }

    fn received(&self) -> Vec<String> {
        let mut paths: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .collect();
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// Settings for this server, and further ones.
    fn mailer(&self, further: &[(&str, &str)]) -> std::sync::Arc<dyn Mailer> {
        mailer(self.port, further)
    }

    fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
}

fn settings(port: u16, further: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let port = port.to_string();
    let first = [
        ("PERMITD_MAIL_TRANSPORT", "smtp"),
        ("PERMITD_MAIL_SMTP_HOST", "localhost"),
        ("PERMITD_MAIL_SMTP_PORT", &port),
        ("PERMITD_MAIL_SMTP_TLS", "none"),
        ("PERMITD_MAIL_SMTP_TIMEOUT_S", "60"),
        ("PERMITD_MAIL_FROM", "Permit Office <permits@sf.example>"),
    ];
    let env = first.iter().chain(further).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(LoadFrom { config_file: None, env, overrides: &[] })
}

fn mailer(port: u16, further: &[(&str, &str)]) -> std::sync::Arc<dyn Mailer> {
    app::mailer(&settings(port, further).unwrap(), SystemClock::shared(), None).unwrap()
}

fn invitation(to: &str) -> OutgoingMail {
    let rendered = templates::Templates::default()
        .invitation(&templates::Invitation {
            brand: "SF Permits".to_owned(),
            name: Some("Zoë Ångström".to_owned()),
            invited_by: None,
            public_url: "https://permits.example.org".to_owned(),
            contact: None,
            datasets: vec![templates::Dataset { title: "Building permits".to_owned(), path: "/permits".to_owned() }],
            key: Some("pmt_k1_secret_crc".to_owned()),
            claim_link: None,
            password_link: None,
            example_path: Some("/permits/201612013997".to_owned()),
            limits: templates::MailedLimits { rate_per_s: "5".to_owned(), burst: 10, quota_per_day: 1000 },
        })
        .unwrap();
    OutgoingMail {
        to: to.to_owned(),
        recipient: None,
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        message_id: "invitation-k1".to_owned(),
        headers: vec![("Auto-Submitted", "auto-generated".to_owned())],
    }
}

async fn send(mailer: &dyn Mailer, to: &str) -> Result<Receipt, MailError> {
    mailer.send(&invitation(to)).await
}

#[tokio::test]
async fn an_accepted_mail_arrives_whole() {
    let Some(server) = Server::start(&[]) else { return };
    let receipt = send(&*server.mailer(&[]), "zoe@example.org").await.unwrap();
    assert_eq!(receipt.reference, "250 2.0.0 queued as test-1");
    let received = server.received();
    let [mail] = received.as_slice() else { panic!("{} mails", received.len()) };
    for part in [
        "To: zoe@example.org",
        "From: \"Permit Office\" <permits@sf.example>",
        "Subject: Your key to SF Permits",
        "Message-ID: <invitation-k1@sf.example>",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "pmt_k1_secret_crc",
    ] {
        assert!(mail.contains(part), "{part:?} is missing in\n{mail}");
    }
}

#[tokio::test]
async fn a_permanent_refusal_is_told_from_a_temporary_one() {
    let Some(server) = Server::start(&[]) else { return };
    let mailer = server.mailer(&[]);
    let refused = send(&*mailer, "nobody@example.org").await.unwrap_err();
    assert!(matches!(&refused, MailError::Rejected { reason, .. } if reason.contains("no such mailbox")), "{refused}");
    for to in ["later@example.org", "greylisted@example.org"] {
        let refused = send(&*mailer, to).await.unwrap_err();
        assert!(matches!(&refused, MailError::Unavailable { .. }), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("pmt_k1"));
    }
    let refused = send(&*mailer, "not an address").await.unwrap_err();
    assert!(matches!(refused, MailError::Rejected { .. }));
    assert!(server.received().is_empty());
    send(&*mailer, "zoe@example.org").await.expect("a refusal does not spoil the next mail");
}

#[tokio::test]
async fn what_a_server_says_is_kept_apart_from_what_may_be_told() {
    let Some(server) = Server::start(&[]) else { return };
    let mailer = server.mailer(&[]);
    let refused = send(&*mailer, "echoed@example.org").await.unwrap_err();
    let MailError::Rejected { class, reason } = &refused else { panic!("{refused}") };
    assert_eq!(class, "550 5.1.1, refused the address");
    assert!(reason.contains("echoed@example.org"), "{reason}");
    assert!(!format!("{refused} {refused:?}").contains("echoed"), "neither is in a log line");
    let later = send(&*mailer, "greylisted@example.org").await.unwrap_err();
    assert!(matches!(&later, MailError::Unavailable { class, .. } if class.starts_with("450 4.7.1, ")), "{later}");
    let nobody = support::Nobody::new();
    let away = send(&*self::mailer(nobody.address().port(), &[]), "zoe@example.org").await.unwrap_err();
    assert_eq!(
        away.to_string(),
        "the mail could not be handed over, try again later: no connection to the mail server: connection refused"
    );
}

#[tokio::test]
async fn a_domain_beyond_ascii_needs_nothing_of_the_server() {
    for options in [&[][..], &["--utf8"]] {
        let Some(server) = Server::start(options) else { return };
        send(&*server.mailer(&[]), "ana@exämple.org").await.unwrap();
        let received = server.received().concat();
        assert!(received.contains("X-Test-To: ana@xn--exmple-cua.org\r\n"), "{received}");
        assert!(received.contains("To: ana@xn--exmple-cua.org"), "{received}");
    }
}

#[tokio::test]
async fn a_local_part_beyond_ascii_is_refused_at_once_where_the_server_takes_none() {
    let Some(server) = Server::start(&[]) else { return };
    let refused = send(&*server.mailer(&[]), "josé@example.org").await.unwrap_err();
    let MailError::Rejected { class, .. } = &refused else { panic!("{refused}") };
    assert!(class.contains("SMTPUTF8") && !class.contains("jos"), "{class}");
    assert!(server.received().is_empty());
    let Some(server) = Server::start(&["--utf8"]) else { return };
    send(&*server.mailer(&[]), "josé@exämple.org").await.unwrap();
    assert!(server.received().concat().contains("X-Test-To: jos\\xe9@xn--exmple-cua.org\r\n"));
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_later() {
    let nobody = support::Nobody::new();
    let refused = send(&*mailer(nobody.address().port(), &[]), "zoe@example.org").await.unwrap_err();
    assert!(matches!(refused, MailError::Unavailable { .. }), "{refused}");
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let Some(server) = Server::start(&[]) else { return };
    let refused = send(&*server.mailer(&[("PERMITD_MAIL_SMTP_TIMEOUT_S", "1")]), "stalled@example.org").await;
    assert!(matches!(refused, Err(MailError::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn starttls_is_required_when_it_is_set() {
    let Some(server) = Server::start(&["--tls", "starttls"]) else { return };
    let ca_file = server.ca_file();
    let starttls = ("PERMITD_MAIL_SMTP_TLS", "starttls");
    send(&*server.mailer(&[starttls, ("PERMITD_MAIL_SMTP_CA_FILE", &ca_file)]), "zoe@example.org").await.unwrap();
    assert!(server.received().concat().contains("X-Test-Tls: True"));

    let untrusted = send(&*server.mailer(&[starttls]), "zoe@example.org").await.unwrap_err();
    assert!(matches!(untrusted, MailError::Unavailable { .. }), "{untrusted}");

    let Some(plain) = Server::start(&[]) else { return };
    let refused = send(&*plain.mailer(&[starttls]), "zoe@example.org").await.unwrap_err();
    assert!(matches!(refused, MailError::Unavailable { .. }), "{refused}");
    assert!(plain.received().is_empty(), "no mail goes out unprotected");
}

#[tokio::test]
async fn tls_from_the_first_byte() {
    let Some(server) = Server::start(&["--tls", "tls"]) else { return };
    let further = [("PERMITD_MAIL_SMTP_TLS", "tls"), ("PERMITD_MAIL_SMTP_CA_FILE", &server.ca_file())];
    send(&*server.mailer(&further), "zoe@example.org").await.unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn an_account_that_is_refused_can_be_put_right_and_tried_again() {
    let Some(server) = Server::start(&["--tls", "starttls", "--auth"]) else { return };
    let ca_file = server.ca_file();
    let further = |password: &'static str| {
        [
            ("PERMITD_MAIL_SMTP_TLS", "starttls".to_owned()),
            ("PERMITD_MAIL_SMTP_CA_FILE", ca_file.clone()),
            ("PERMITD_MAIL_SMTP_USERNAME", "permitd".to_owned()),
            ("PERMITD_MAIL_SMTP_PASSWORD", password.to_owned()),
        ]
    };
    let mailer = |password| {
        let further = further(password);
        server.mailer(&further.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    };
    let refused = send(&*mailer("open barley"), "zoe@example.org").await.unwrap_err();
    assert!(matches!(refused, MailError::Unavailable { .. }), "{refused}");
    assert!(!format!("{refused} {:?}", mailer("open barley")).contains("barley"), "{refused}");
    send(&*mailer("open sesame"), "zoe@example.org").await.unwrap();
    assert!(server.received().concat().contains("X-Test-User: permitd"));
}

#[test]
fn a_file_without_certificates_stops_the_start() {
    let dir = support::data_dir();
    let path = dir.path().join("ca.pem");
    fs::write(&path, "nothing").unwrap();
    let further = [("PERMITD_MAIL_SMTP_TLS", "tls"), ("PERMITD_MAIL_SMTP_CA_FILE", path.to_str().unwrap())];
    let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
    let refused = app::mailer(&settings(1, &further).unwrap(), clock, None).unwrap_err().to_string();
    assert!(refused.contains("mail.smtp.ca_file") && refused.contains("holds no certificate"), "{refused}");
}

#[tokio::test]
async fn a_mail_stays_in_the_outbox_for_as_many_days_as_the_setting_says() {
    let (folder, clock) = (support::data_dir(), ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap()));
    let data = folder.path().display().to_string();
    let own = [("PERMITD_MAIL_TRANSPORT", "file"), ("PERMITD_DATA", &data), ("PERMITD_MAIL_OUTBOX_DAYS", "2")];
    let mailer = app::mailer(&settings(25, &own).unwrap(), clock.clone(), None).unwrap();
    assert_eq!(mailer.expire().await.unwrap(), 0);
    send(&*mailer, "zoe@example.org").await.unwrap();
    let two_days_us = 2 * 86_400 * 1_000_000;
    clock.advance_us(two_days_us);
    assert_eq!(mailer.expire().await.unwrap(), 0);
    clock.advance_us(1_000_000);
    assert_eq!(mailer.expire().await.unwrap(), 1);
}

#[test]
fn a_mail_is_tried_for_as_many_hours_as_the_setting_says() {
    let tried = |hours: &str| settings(25, &[("PERMITD_MAIL_RETRY_FOR_H", hours)]).map(|read| read.mail.retry_for());
    assert_eq!(tried("3").unwrap(), std::time::Duration::from_secs(3 * 3600));
    for wrong in ["0", "337", "soon"] {
        let refused = tried(wrong).unwrap_err().to_string();
        assert!(refused.contains("mail.retry_for_h"), "{refused}");
    }
}
