//! Composes a mail by RFC 5322: multipart/alternative, encoded headers, a stable Message-ID.

use jiff::Timestamp;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};
use thiserror::Error;

use super::{MailError, OutgoingMail};
use crate::domain::email::ascii_domain;

const MESSAGE_ID_CHARS_MAX: usize = 100;
const SUBJECT_CHARS_MAX: usize = 300;
/// The longest line of a mail without its line end, bytes (RFC 5322, section 2.1.1).
const LINE_BYTES_MAX: usize = 998;

/// The kind of carrier that takes mails; it decides how their parts are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Takes ASCII only: every mail server.
    Server,
    /// Takes any bytes.
    File,
}

/// The sender of mails, and the address for answers.
#[derive(Debug, Clone)]
pub struct Sender {
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

/// An invalid sender's address.
#[derive(Debug, Error)]
#[error("`{0}` is not an address such as permits@example.org or \"Permit office <permits@example.org>\"")]
pub struct SenderError(String);

impl Sender {
    /// Reads `address` or `name <address>`; an empty `reply_to` means none.
    ///
    /// # Errors
    /// When one of them is no address.
    pub fn parse(from: &str, reply_to: &str) -> Result<Self, SenderError> {
        let parse = |text: &str| -> Result<Mailbox, SenderError> {
            let wrong = || SenderError(text.to_owned());
            if text.chars().any(char::is_control) {
                return Err(wrong());
            }
            let Mailbox { name, email } = text.parse().map_err(|_| wrong())?;
            Ok(Mailbox::new(name, with_ascii_domain(email.user(), email.domain()).ok_or_else(wrong)?))
        };
        let reply_to = (!reply_to.is_empty()).then(|| parse(reply_to)).transpose()?;
        Ok(Self { from: parse(from)?, reply_to })
    }

    /// The sender's address, without a name.
    pub fn address(&self) -> &str {
        self.from.email.as_ref()
    }

    /// The domain of the sender's address.
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Composes the mail for this carrier, with the date `at`.
    pub(super) fn compose(&self, mail: &OutgoingMail, at: Timestamp, carrier: Carrier) -> Result<Message, MailError> {
        let rejected = |reason: &str| MailError::rejected(reason);
        let to = recipient(mail)?;
        if !is_token(&mail.message_id) {
            return Err(rejected("the message id may hold only letters, digits, `.`, `_` and `-`"));
        }
        if mail.subject.chars().any(char::is_control) || mail.subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(rejected("the subject is not one line of reasonable length"));
        }
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .date(at.into())
            .message_id(Some(format!("<{}@{}>", mail.message_id, self.from.email.domain())))
            .subject(mail.subject.as_str());
        // The envelope is given explicitly, not read back from the fields just written.
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to]);
        message = message.envelope(envelope.map_err(|error| rejected(&format!("the mail has no way: {error}")))?);
        if let Some(reply_to) = &self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        for (name, value) in &mail.headers {
            let name =
                HeaderName::new_from_ascii((*name).to_owned()).map_err(|_| rejected("a header's name is wrong"))?;
            if value.chars().any(char::is_control) {
                return Err(rejected("a header's value is not one line"));
            }
            message = message.raw_header(HeaderValue::new(name, value.clone()));
        }
        message
            .multipart(alternatives(mail, carrier))
            .map_err(|e| rejected(&format!("the mail cannot be composed: {e}")))
    }
}

/// The text and HTML parts. The whole is 8bit when one of its parts is (RFC 2045, section 6.4).
fn alternatives(mail: &OutgoingMail, carrier: Carrier) -> MultiPart {
    let parts = [(&mail.text, ContentType::TEXT_PLAIN), (&mail.html, ContentType::TEXT_HTML)];
    let [text, html] = parts.map(|(text, kind)| (body(text, carrier), kind));
    let has_eight_bits = [&text, &html].iter().any(|(body, _)| body.encoding() == ContentTransferEncoding::EightBit);
    let whole = MultiPart::alternative();
    let whole = if has_eight_bits { whole.header(ContentTransferEncoding::EightBit) } else { whole };
    let [text, html] = [text, html].map(|(body, kind)| SinglePart::builder().header(kind).body(body));
    whole.singlepart(text).singlepart(html)
}

/// A part with its lines unchanged where possible: people copy keys and links out of a file, and one that is broken over two lines does not
/// work. Otherwise quoted-printable, which is still readable.
fn body(text: &str, carrier: Carrier) -> Body {
    let is_plain = |line: &str| line.len() <= LINE_BYTES_MAX && !line.contains(['\0', '\r']);
    let encoding = match text.is_ascii() {
        _ if !text.lines().all(is_plain) => ContentTransferEncoding::QuotedPrintable,
        true => ContentTransferEncoding::SevenBit,
        false if carrier == Carrier::File => ContentTransferEncoding::EightBit,
        false => ContentTransferEncoding::QuotedPrintable,
    };
    if encoding == ContentTransferEncoding::QuotedPrintable {
        return Body::new_with_encoding(text.to_owned(), encoding).unwrap_or_else(Body::new);
    }
    let lines = text.replace("\r\n", "\n").replace('\n', "\r\n");
    Body::dangerous_pre_encoded(lines.into_bytes(), encoding)
}

/// The recipient's address in a form that every server takes, unless its local part has letters beyond ASCII.
pub(super) fn recipient(mail: &OutgoingMail) -> Result<Address, MailError> {
    let parts = mail.to.rsplit_once('@');
    let address = parts.and_then(|(local, domain)| with_ascii_domain(local, domain));
    address.ok_or_else(|| MailError::rejected("the recipient's address is not an email address"))
}

/// An address with its domain in ASCII (RFC 5890, A-labels), so that no server needs SMTPUTF8.
fn with_ascii_domain(local: &str, domain: &str) -> Option<Address> {
    if domain.is_ascii() {
        return Address::new(local, domain).ok();
    }
    Address::new(local, ascii_domain(domain).ok()?).ok()
}

fn is_token(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MESSAGE_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_carry_a_key_is_overwritten() {
        use zeroize::Zeroize as _;
        let before = OutgoingMail { headers: vec![("X-Key", "pmt_k1".to_owned())], ..mail() };
        let mut mail = before.clone();
        mail.zeroize();
        assert!(mail.text.is_empty() && mail.html.is_empty() && mail.headers[0].1.is_empty());
        assert_eq!((mail.to, mail.message_id), (before.to, before.message_id), "what tells which mail it was stays");
    }

    fn mail() -> OutgoingMail {
        OutgoingMail {
            to: "ada@example.org".to_owned(),
            recipient: None,
            subject: "Zugang für Ada".to_owned(),
            text: "the key".to_owned(),
            html: "<p>the key</p>".to_owned(),
            message_id: "invitation-k1".to_owned(),
            headers: vec![("Auto-Submitted", "auto-generated".to_owned())],
        }
    }

    fn compose(mail: &OutgoingMail) -> Result<String, MailError> {
        let sender = Sender::parse("Permit Office <permits@sf.example>", "help@sf.example").unwrap();
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        sender.compose(mail, at, Carrier::Server).map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_mail_has_the_headers_and_both_parts() {
        let text = compose(&mail()).unwrap();
        for line in [
            "From: \"Permit Office\" <permits@sf.example>\r\n",
            "To: ada@example.org\r\n",
            "Reply-To: help@sf.example\r\n",
            "Message-ID: <invitation-k1@sf.example>\r\n",
            "Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: multipart/alternative",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Type: text/html; charset=utf-8",
        ] {
            assert!(text.contains(line), "{line:?} is missing in\n{text}");
        }
        assert!(!text.contains("für"), "the subject is encoded");
    }

    #[test]
    fn nothing_can_slip_into_the_headers() {
        let changes: [fn(&mut OutgoingMail); 5] = [
            |mail| mail.subject = "x\r\nBcc: eve@example.org".to_owned(),
            |mail| mail.to = "ada@example.org\r\nBcc: eve@example.org".to_owned(),
            |mail| mail.to = "ada@example.org, eve@example.org".to_owned(),
            |mail| mail.message_id = "x>\r\nBcc: eve@example.org".to_owned(),
            |mail| mail.headers = vec![("X-A", "x\nBcc: eve@example.org".to_owned())],
        ];
        for change in changes {
            let mut mail = mail();
            change(&mut mail);
            assert!(matches!(compose(&mail), Err(MailError::Rejected { .. })));
        }
        assert!(Sender::parse("a@b.example\r\nBcc: eve@example.org", "").is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_has_the_headers_of_its_kind_and_no_others(
            subject in ".{0,80}|.{0,20}\r?\n(Bcc: eve@example.org|X: y)",
            to in "[a-z.]{1,8}@[a-z.]{1,12}|.{0,30}",
            value in ".{0,80}",
        ) {
            let headers = vec![("X-A", value)];
            if let Ok(text) = compose(&OutgoingMail { subject, to, headers, ..mail() }) {
                let (head, _) = text.split_once("\r\n\r\n").unwrap();
                let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).map(|line| {
                    line.split_once(':').map_or(line, |(name, _)| name)
                });
                let known = ["From", "To", "Reply-To", "Date", "Message-ID", "Subject", "X-A", "MIME-Version", "Content-Type"];
                for name in names {
                    proptest::prop_assert!(known.contains(&name), "{} in {}", name, head);
                }
                proptest::prop_assert!(!head.replace("\r\n", "").contains(['\r', '\n']));
            }
        }
    }

    #[test]
    fn a_domain_travels_in_ascii() {
        let text = compose(&OutgoingMail { to: "ana@exämple.org".to_owned(), ..mail() }).unwrap();
        assert!(text.contains("To: ana@xn--exmple-cua.org\r\n"), "{text}");
        let sender = Sender::parse("Amt <amt@bücher.example>", "").unwrap();
        assert_eq!(sender.address(), "amt@xn--bcher-kva.example");
        let message = sender.compose(&mail(), Timestamp::UNIX_EPOCH, Carrier::Server).unwrap();
        assert!(message.formatted().is_ascii());
        assert_eq!(message.envelope().from().map(ToString::to_string).as_deref(), Some("amt@xn--bcher-kva.example"));
    }

    proptest::proptest! {
        #[test]
        fn whoever_can_be_invited_can_be_written_to(
            to in "\\PC{1,10}@\\PC{1,8}\\.org|[a-zß-ÿ.\"\\\\ @!#$%&'*+/=?^_`{|}~-]{1,12}@[a-zà-ÿ_.-]{1,9}|\"[ -~]{1,9}\"@example\\.org",
        ) {
            use crate::domain::email::Email;
            if let Ok(email) = Email::parse(&to) {
                let sender = Sender::parse("a@b.example", "").unwrap();
                let composed = sender.compose(&OutgoingMail { to: email.as_str().to_owned(), ..mail() }, Timestamp::UNIX_EPOCH, Carrier::File);
                let message = composed.map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))?;
                let [recipient] = message.envelope().to() else { panic!("one recipient") };
                proptest::prop_assert!(recipient.domain().is_ascii());
                proptest::prop_assert_eq!(Email::parse(recipient.as_ref()), Ok(email));
            }
        }
    }

    fn written(text: &str, carrier: Carrier) -> String {
        let sender = Sender::parse("a@b.example", "").unwrap();
        let mail = OutgoingMail { text: text.to_owned(), ..mail() };
        let message = sender.compose(&mail, Timestamp::UNIX_EPOCH, carrier).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    }

    #[test]
    fn a_link_stays_on_its_line() {
        let link = format!("https://permits.example.org/links/pml_{}", "x".repeat(100));
        for carrier in [Carrier::Server, Carrier::File] {
            let plain = written(&format!("Set a password:\n\n  {link}\n"), carrier);
            assert!(plain.contains("Content-Transfer-Encoding: 7bit\r\n"), "{plain}");
            assert!(plain.contains(&format!("\r\n\r\n  {link}\r\n")), "{plain}");
        }
        let beyond = format!("Zoë, set a password:\n\n  {link}\n");
        let filed = written(&beyond, Carrier::File);
        assert_eq!(filed.matches("Content-Transfer-Encoding: 8bit\r\n").count(), 2, "the whole and the part: {filed}");
        assert!(filed.contains(&format!("Zoë, set a password:\r\n\r\n  {link}\r\n")), "{filed}");
        let sent = written(&beyond, Carrier::Server);
        assert!(sent.is_ascii() && sent.contains("quoted-printable") && sent.contains("Zo=C3=AB, set"), "{sent}");
        let letters = written("日本語の手紙です", Carrier::Server);
        assert!(letters.contains("quoted-printable") && !letters.contains("base64"), "{letters}");
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_longer_than_mails_have_and_none_ends_by_half(
            text in "(([ -~é\r]{0,40}|x{990,1010}|\0)(\n|\r\n)){0,6}", is_file in proptest::bool::ANY,
        ) {
            let carrier = if is_file { Carrier::File } else { Carrier::Server };
            let mail = written(&text, carrier);
            proptest::prop_assert!(is_file || mail.is_ascii());
            for line in mail.split("\r\n") {
                proptest::prop_assert!(line.len() <= LINE_BYTES_MAX && !line.contains(['\r', '\n', '\0']), "{:?}", line);
            }
        }
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_content() {
        let mut mail = mail();
        assert!(!format!("{mail:?}").contains("the key"));
        mail.to = "nobody".to_owned();
        assert!(!format!("{:?}", compose(&mail)).contains("the key"));
    }
}
