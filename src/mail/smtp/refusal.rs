//! Describes an SMTP server's refusals in our own words: the server's may repeat the address.

use std::{error::Error as _, io};

use lettre::transport::smtp::Error;

use crate::mail::{MailError, one_line};

/// Why a mail cannot go through a server without SMTPUTF8 (RFC 6531).
pub(super) const NO_SMTPUTF8: &str = "the address has letters beyond ASCII before its @, and the mail server does not take \
                                      such (it has no SMTPUTF8)";

/// Classifies an error by the server's codes, or by how the connection ended.
pub(super) fn judged(error: &Error) -> MailError {
    let reason = one_line(&error.to_string());
    let Some(code) = error.status().map(u16::from) else {
        return MailError::Unavailable { class: broken(error), reason };
    };
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    let class = class(code, &said);
    match code {
        // RFC 4954: these concern our account, not this mail, which can be sent once the settings are right.
        530 | 534 | 535 | 538 => MailError::Unavailable { class, reason },
        500.. => MailError::Rejected { class, reason },
        _ => MailError::Unavailable { class, reason },
    }
}

/// Describes a connection that ended without a refusal.
fn broken(error: &Error) -> String {
    if error.is_tls() {
        // The words of our own TLS library about the server's certificate.
        return one_line(&format!("the connection to the mail server cannot be protected: {error}"));
    }
    if error.is_timeout() {
        return "the mail server did not answer in time".to_owned();
    }
    if error.is_response() {
        return "the mail server's answer cannot be read".to_owned();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return format!("no connection to the mail server: {}", cause.kind());
        }
        source = cause.source();
    }
    "no connection to the mail server".to_owned()
}

/// The class of an answer, such as `550 5.1.1, refused the address`.
fn class(code: u16, said: &str) -> String {
    match enhanced(said) {
        Some((enhanced, subject, detail)) => format!("{code} {enhanced}, {}", meaning(subject, detail)),
        None => format!("{code}, {}", plain_meaning(code)),
    }
}

/// The enhanced status code (RFC 3463) at the start of an answer: its text, subject and detail.
fn enhanced(said: &str) -> Option<(&str, u16, u16)> {
    let first = said.split_whitespace().next()?;
    let mut parts = first.split('.');
    let mut number = |digits_max: usize| {
        let part = parts.next().filter(|part| (1..=digits_max).contains(&part.len()))?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok()).flatten()
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    (parts.next().is_none() && matches!(class, 4 | 5)).then_some((first, subject, detail))
}

/// The meaning of the subjects of RFC 3463, section 3.
fn meaning(subject: u16, detail: u16) -> &'static str {
    match (subject, detail) {
        (1, 7 | 8) => "refused the sender's address",
        (1, _) => "refused the address",
        (2, 2) => "the mailbox is full",
        (2, _) => "the mailbox takes no mail",
        (3, _) => "the mail system takes no mail",
        (4, _) => "the way to the mailbox failed",
        (5, _) => "the mail servers do not understand each other",
        (6, _) => "refused the content",
        (7, _) => "refused by a rule of the server",
        _ => "refused the mail",
    }
}

/// The meaning of the codes of RFC 5321, section 4.2, and RFC 4954.
fn plain_meaning(code: u16) -> &'static str {
    match code {
        421 => "the mail server is closing",
        452 | 552 => "too little room",
        400..=499 => "not now",
        530 | 534 | 535 | 538 => "our account is not accepted",
        550 | 551 | 553 => "refused the address",
        _ => "refused the mail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_the_codes_and_nothing_of_the_words() {
        for (code, said, expected) in [
            (550, "5.1.1 <ana@example.org>: no such mailbox", "550 5.1.1, refused the address"),
            (550, "<ana@example.org>: no such mailbox", "550, refused the address"),
            (550, "5.1.ana@example.org", "550, refused the address"),
            (550, "5.1.1.1 x", "550, refused the address"),
            (450, "4.7.1 <ana@example.org> greylisted", "450 4.7.1, refused by a rule of the server"),
            (452, "4.2.2 full", "452 4.2.2, the mailbox is full"),
            (451, "", "451, not now"),
            (535, "5.7.8 bad credentials of ana@example.org", "535 5.7.8, refused by a rule of the server"),
            (554, "5.999.0 x", "554 5.999.0, refused the mail"),
        ] {
            assert_eq!(class(code, said), expected);
        }
    }
}
