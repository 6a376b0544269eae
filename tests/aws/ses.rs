//! Mail through SES: an emulator where it does as SES does, and SES's answers in its own words where it does not.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use permitd::{
    app,
    aws::{Access, CheckedResource, Endpoints, ResourceState, SetupAction},
    clock::{ManualClock, SystemClock},
    config::{LoadFrom, Settings},
    mail::{MailError, Mailer, OutgoingMail, Sender, SesMailer, SetupError, ses},
};
use serde_json::{Value, json};

use crate::support::{
    canned::{Answer, Canned, Request},
    emulator::{self, Emulator, Kind},
};

const KEY: &str = "pmt_k1_secret_crc";

fn mail(to: &str) -> OutgoingMail {
    OutgoingMail {
        to: to.to_owned(),
        recipient: None,
        subject: "Zugang für Zoë".to_owned(),
        text: format!("The key is {KEY}."),
        html: format!("<p>The key is {KEY}.</p>"),
        message_id: "invitation-0a1b.c-k1".to_owned(),
        headers: Vec::new(),
    }
}

fn clock() -> Arc<ManualClock> {
    ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap())
}

async fn access(url: String) -> Access {
    Access::to_endpoints(Endpoints { ses: Some(url), ..Endpoints::default() }).await
}

/// Access to the emulator that all tests of this process share, or to what is used instead.
async fn shared() -> Access {
    Access::to_endpoints(emulator::shared_endpoints(Kind::Ministack)).await
}

/// Whether something is used instead, which may know no identities, or not let tests make any. Says so.
fn is_instead() -> bool {
    let is_instead = std::env::var("PERMITD_TEST_SES").is_ok_and(|url| !url.is_empty());
    if is_instead {
        println!("skipped: PERMITD_TEST_SES names a service that may know no identities");
    }
    is_instead
}

/// A sender in a domain that no other test has.
fn sender() -> Sender {
    Sender::parse(&format!("Permit Office <permits@{}.example>", emulator::prefix()), "").unwrap()
}

fn mailer(access: &Access, sender: &Sender) -> SesMailer {
    SesMailer::new(access, sender.clone(), clock(), "").with_backoff(Duration::from_millis(1))
}

/// What a mailer makes of these answers to its mails, and what it asked.
async fn send_to(answer: impl FnMut(&Request) -> Answer + Send + 'static) -> (Result<(), MailError>, Vec<Request>) {
    let server = Canned::start(answer);
    let sender = Sender::parse("Permit Office <permits@sf.example>", "").unwrap();
    let mailer = SesMailer::new(&access(server.url()).await, sender, clock(), "permitd-events")
        .with_backoff(Duration::from_millis(1));
    let sent = mailer.send(&mail("zoe@example.org")).await;
    if let Err(error) = &sent {
        let said = format!("{error} {error:?}");
        assert!(!said.contains(KEY) && !said.contains("zoe@"), "{said}");
    }
    (sent.map(drop), server.requests())
}

/// The mails that the emulator has for this address.
async fn received(access: &Access, to: &str) -> Vec<Value> {
    let url = format!("{}/_ministack/ses/messages", access.endpoints().ses.as_ref().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(url).send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let accounts = answer["messages"].as_object().unwrap().values();
    let mails = accounts.flat_map(|mails| mails.as_array().unwrap());
    mails.filter(|mail| mail["To"] == json!([to])).cloned().collect()
}

#[tokio::test]
async fn a_mail_is_taken_with_one_call() {
    let (access, sender) = (shared().await, sender());
    if !is_instead() {
        ses::setup(&access, &sender, "", SetupAction::Make).await.unwrap();
    }
    let to = format!("{}@example.org", emulator::prefix());
    let before = access.calls();
    let receipt = mailer(&access, &sender).send(&mail(&to)).await.unwrap();
    assert!(!receipt.reference.is_empty());
    let calls = access.calls();
    let made: Vec<_> = calls.iter().filter(|(call, count)| before.get(call) != Some(count)).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    let sent = ("SESv2".to_owned(), "SendEmail".to_owned());
    assert_eq!(calls.get(&sent), Some(&1), "{calls:?}");
    if is_instead() {
        return;
    }
    let mails = received(&access, &to).await;
    let [taken] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(taken["Source"], sender.address());
    assert_eq!(taken["Subject"], "Zugang für Zoë");
    assert!(taken["BodyText"].as_str().unwrap().contains(KEY));
    assert!(taken["BodyHtml"].as_str().unwrap().contains(KEY));
}

#[tokio::test]
async fn the_whole_mail_travels_with_its_tags_and_configuration_set() {
    let (sent, requests) = send_to(|_| Answer::ok(r#"{"MessageId":"0101"}"#)).await;
    sent.unwrap();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.line, "POST /v2/email/outbound-emails");
    assert_eq!(request.body["FromEmailAddress"], "permits@sf.example");
    assert_eq!(request.body["Destination"]["ToAddresses"], json!(["zoe@example.org"]));
    assert_eq!(request.body["ConfigurationSetName"], "permitd-events");
    let tags = json!([
        { "Name": "permitd-mail", "Value": "invitation" },
        { "Name": "permitd-message", "Value": "invitation-0a1b_c-k1" },
    ]);
    assert_eq!(request.body["EmailTags"], tags);
    let raw = BASE64_STANDARD.decode(request.body["Content"]["Raw"]["Data"].as_str().unwrap()).unwrap();
    let raw = String::from_utf8(raw).unwrap();
    for line in [
        "From: \"Permit Office\" <permits@sf.example>\r\n",
        "To: zoe@example.org\r\n",
        "Message-ID: <invitation-0a1b.c-k1@sf.example>\r\n",
        "Date: Sun, 01 Mar 2026 12:00:00 +0000\r\n",
        KEY,
    ] {
        assert!(raw.contains(line), "{line:?} is missing in\n{raw}");
    }
}

#[tokio::test]
async fn throttling_is_tried_again_a_few_times() {
    let slower = || Answer::ses_error(429, "TooManyRequestsException", "Maximum sending rate exceeded.");
    let mut answers = vec![Answer::ok(r#"{"MessageId":"0101"}"#), slower(), slower(), slower()];
    let (sent, requests) = send_to(move |_| answers.pop().unwrap()).await;
    sent.unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.body == requests[0].body), "always the same mail");

    let (sent, requests) = send_to(move |_| slower()).await;
    let refused = sent.unwrap_err();
    assert!(
        matches!(&refused, MailError::Unavailable { reason, .. } if reason.contains("Maximum sending rate exceeded")),
        "{refused}"
    );
    assert_eq!(requests.len(), 6, "then the queue brings the mail again");
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_again_here() {
    let (sent, requests) = send_to(|_| Answer::ses_error(500, "InternalServiceErrorException", "internal")).await;
    assert!(matches!(sent, Err(MailError::Unavailable { .. })), "{sent:?}");
    assert_eq!(requests.len(), 1);
    let nobody = crate::support::Nobody::new();
    let away = Endpoints { ses: Some(format!("http://{}", nobody.address())), ..Endpoints::default() };
    let sent = mailer(&Access::to_endpoints(away).await, &sender()).send(&mail("zoe@example.org")).await;
    assert!(
        matches!(&sent, Err(MailError::Unavailable { reason, .. }) if reason.contains("SES cannot be reached")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn what_ses_says_of_the_deployment_keeps_the_mail() {
    for (status, code, message, advice) in [
        (400, "MailFromDomainNotVerifiedException", "not verified", "MAIL FROM"),
        (400, "AccountSuspendedException", "suspended", "SES console"),
        (400, "SendingPausedException", "paused", "SES console"),
        (404, "NotFoundException", "Configuration set <permitd-events> does not exist.", "mail.ses.configuration_set"),
        (403, "AccessDeniedException", "not authorized to perform: ses:SendEmail", "AccessDenied"),
    ] {
        let (sent, requests) = send_to(move |_| Answer::ses_error(status, code, message)).await;
        assert!(
            matches!(&sent, Err(MailError::Unavailable { reason, .. }) if reason.contains(message) && reason.contains(advice)),
            "{sent:?}"
        );
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn what_ses_says_of_the_mail_is_for_good() {
    for (code, message) in [
        ("MessageRejected", "Address blacklisted."),
        ("BadRequestException", "Domain contains illegal character: zoe@example.org"),
    ] {
        let (sent, _) = send_to(move |_| Answer::ses_error(400, code, message)).await;
        assert!(matches!(&sent, Err(MailError::Rejected { reason, .. }) if reason.contains(code)), "{sent:?}");
    }
    let access = shared().await;
    let sent = mailer(&access, &sender()).send(&mail("not an address")).await;
    assert!(matches!(sent, Err(MailError::Rejected { .. })), "{sent:?}");
}

#[tokio::test]
async fn an_unverified_sender_keeps_the_mail() {
    if is_instead() {
        return;
    }
    let sent = mailer(&shared().await, &sender()).send(&mail("zoe@example.org")).await;
    assert!(
        matches!(&sent, Err(MailError::Unavailable { reason, .. }) if reason.contains("not verified") && reason.contains("aws check")),
        "{sent:?}"
    );
}

const UNVERIFIED: &str =
    "Email address is not verified. The following identities failed the check in region US-EAST-1: zoe@example.org";

#[tokio::test]
async fn an_unverified_recipient_is_told_of_the_sandbox() {
    for (account, words) in [
        (Answer::ok(r#"{"ProductionAccessEnabled":false,"SendingEnabled":true}"#), "the account is in SES's sandbox"),
        (Answer::ses_error(403, "AccessDeniedException", "no"), "the account may be in SES's sandbox"),
        (Answer::ok(r#"{"ProductionAccessEnabled":true,"SendingEnabled":true}"#), "region US-EAST-1: the recipient's"),
    ] {
        let (sent, _) = send_to(move |request| match request.line.as_str() {
            "GET /v2/email/account" => account.clone(),
            _ => Answer::ses_error(400, "MessageRejected", UNVERIFIED),
        })
        .await;
        assert!(matches!(&sent, Err(MailError::Rejected { reason, .. }) if reason.contains(words)), "{sent:?}");
    }
}

#[tokio::test]
async fn an_account_in_the_sandbox_is_recognised() {
    let emulator = Emulator::start(Kind::Ministack);
    let access = access(emulator.url()).await;
    let sender = sender();
    ses::setup(&access, &sender, "", SetupAction::Make).await.unwrap();
    let config = aws_sdk_sesv2::config::Builder::from(access.config()).endpoint_url(emulator.url());
    let client = aws_sdk_sesv2::Client::from_conf(config.build());
    let details = client.put_account_details().production_access_enabled(false);
    details.mail_type("TRANSACTIONAL".into()).website_url("https://sf.example").send().await.unwrap();
    let sent = mailer(&access, &sender).send(&mail("zoe@example.org")).await;
    assert!(
        matches!(&sent, Err(MailError::Rejected { reason, .. }) if reason.contains("sandbox") && !reason.contains("zoe@")),
        "{sent:?}"
    );
    let account = ses::setup(&access, &sender, "", SetupAction::Check).await.unwrap().remove(1);
    assert!(matches!(&account.found, ResourceState::Notice(words) if words.contains("sandbox")), "{account:?}");
    assert!(!account.found.is_wrong());
}

fn found(checked: &[CheckedResource]) -> Vec<(&str, &ResourceState)> {
    checked.iter().map(|checked| (checked.resource.as_str(), &checked.found)).collect()
}

#[tokio::test]
async fn setup_makes_what_is_missing_once() {
    if is_instead() {
        return;
    }
    let (access, sender, set) = (shared().await, sender(), emulator::prefix());
    let identity = format!("identity {}", sender.address());
    let named = format!("configuration set {set}");
    let (right, made, missing) = (&ResourceState::Right, &ResourceState::Made, &ResourceState::Missing);
    let all = |found| [(identity.as_str(), found), ("SES account", right), (named.as_str(), found)];
    assert_eq!(found(&ses::setup(&access, &sender, &set, SetupAction::Check).await.unwrap()), all(missing));
    assert_eq!(found(&ses::setup(&access, &sender, &set, SetupAction::Make).await.unwrap()), all(made));
    assert_eq!(found(&ses::setup(&access, &sender, &set, SetupAction::Make).await.unwrap()), all(right));
    assert_eq!(found(&ses::setup(&access, &sender, &set, SetupAction::Check).await.unwrap()), all(right));
    assert_eq!(
        found(&ses::setup(&access, &sender, "", SetupAction::Check).await.unwrap()),
        all(right)[..2],
        "no set is named"
    );
    let below = Sender::parse(&format!("a@below.{}", sender.domain()), "").unwrap();
    assert_eq!(
        ses::setup(&access, &below, "", SetupAction::Check).await.unwrap()[0].found,
        ResourceState::Missing,
        "an address is no domain"
    );
}

const ACCOUNT: &str = r#"{"ProductionAccessEnabled":true,"SendingEnabled":true,"EnforcementStatus":"HEALTHY"}"#;

/// What is found of the sender `permits@mail.sf.example`, whose identities are these.
async fn check_among(
    identities: &'static [(&'static str, &'static str)],
    account: &'static str,
) -> Vec<CheckedResource> {
    let server = Canned::start(move |request| {
        if request.line == "GET /v2/email/account" {
            return Answer::ok(account);
        }
        let name = request.line.rsplit('/').next().unwrap().replace("%40", "@");
        let known = identities.iter().find(|(known, _)| *known == name);
        known.map_or(Answer::ses_error(404, "NotFoundException", "no"), |(_, body)| Answer::ok(body))
    });
    let sender = Sender::parse("permits@mail.sf.example", "").unwrap();
    ses::setup(&access(server.url()).await, &sender, "", SetupAction::Check).await.unwrap()
}

#[tokio::test]
async fn a_person_is_told_how_to_verify_an_identity() {
    const PENDING: &str = r#"{"IdentityType":"DOMAIN","VerifiedForSendingStatus":false,
        "DkimAttributes":{"Status":"PENDING","Tokens":["t1","t2"]}}"#;
    const ADDRESS: &str = r#"{"IdentityType":"EMAIL_ADDRESS","VerifiedForSendingStatus":false}"#;
    const VERIFIED: &str = r#"{"IdentityType":"DOMAIN","VerifiedForSendingStatus":true}"#;
    let checked = check_among(&[("mail.sf.example", PENDING)], ACCOUNT).await;
    assert_eq!(checked[0].resource, "identity mail.sf.example");
    assert!(
        matches!(&checked[0].found, ResourceState::Different(how) if how.contains("t2._domainkey.mail.sf.example CNAME t2.dkim.amazonses.com")),
        "{checked:?}"
    );
    let checked = check_among(&[("permits@mail.sf.example", ADDRESS)], ACCOUNT).await;
    assert!(matches!(&checked[0].found, ResourceState::Different(how) if how.contains("open it")), "{checked:?}");
    let verified = &[("permits@mail.sf.example", ADDRESS), ("sf.example", VERIFIED)];
    let checked = check_among(verified, ACCOUNT).await;
    assert_eq!(found(&checked)[0], ("identity sf.example", &ResourceState::Right), "one that is verified is enough");
    let stopped = r#"{"ProductionAccessEnabled":true,"SendingEnabled":false,"EnforcementStatus":"SHUTDOWN"}"#;
    let checked = check_among(verified, stopped).await;
    assert!(matches!(&checked[1].found, ResourceState::Different(_)), "{checked:?}");
}

#[tokio::test]
async fn an_identity_that_a_person_has_to_verify_is_said_when_it_is_made() {
    let server = Canned::start(|request| match request.line.as_str() {
        "GET /v2/email/account" => Answer::ok(ACCOUNT),
        "POST /v2/email/identities" => {
            assert_eq!(request.body["EmailIdentity"], "permits@sf.example");
            Answer::ok(r#"{"IdentityType":"EMAIL_ADDRESS","VerifiedForSendingStatus":false}"#)
        }
        _ => Answer::ses_error(404, "NotFoundException", "no"),
    });
    let sender = Sender::parse("permits@sf.example", "").unwrap();
    let made = ses::setup(&access(server.url()).await, &sender, "", SetupAction::Make).await.unwrap();
    let notice = "made: SES sends permits@sf.example a mail with a link: open it";
    assert_eq!(made[0].found, ResourceState::Notice(notice.to_owned()));
}

#[tokio::test]
async fn the_default_sender_is_nobody_that_ses_knows() {
    let server = Canned::start(|request| {
        assert_eq!(request.line, "GET /v2/email/account");
        Answer::ok(ACCOUNT)
    });
    let sender = Sender::parse("permitd <permitd@localhost>", "").unwrap();
    let checked = ses::setup(&access(server.url()).await, &sender, "", SetupAction::Make).await.unwrap();
    assert!(matches!(&checked[0].found, ResourceState::Different(how) if how.contains("mail.from")), "{checked:?}");
}

#[tokio::test]
async fn settings_name_ses() {
    let env = [("PERMITD_MAIL_TRANSPORT", "ses"), ("PERMITD_MAIL_FROM", "permits@sf.example")];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::load(LoadFrom { config_file: None, env, overrides: &[] }).unwrap();
    let refused = app::mailer(&settings, SystemClock::shared(), None).unwrap_err();
    assert!(matches!(refused, SetupError::NoAccess), "{refused}");
    let server = Canned::start(|_| Answer::ok(r#"{"MessageId":"0101"}"#));
    let access = access(server.url()).await;
    let mailer = app::mailer(&settings, SystemClock::shared(), Some(&access)).unwrap();
    assert_eq!(mailer.send(&mail("zoe@example.org")).await.unwrap().reference, "0101");
}
