//! Classifies the refusals of SES.

use crate::aws::one_line;

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SesRefusal {
    /// Too many mails at once, or for today.
    Throttled(String),
    /// A problem of the deployment, with advice where there is some; the mail can be sent once it is solved.
    Deployment(String, Option<&'static str>),
    /// A problem of this mail, permanent.
    Mail(String),
    /// The recipient is not verified, and the sandbox sends to verified addresses only.
    UnverifiedRecipient(String),
}

/// Classifies an error by its code and words.
///
/// Codes: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>; words as SES has
/// them in <https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html>.
pub(super) fn why(code: &str, words: &str, sender: &str, recipient: &str) -> SesRefusal {
    let known = one_line(&format!("SES: {code}: {}", without(words, recipient)));
    let advised = |advice: &'static str| SesRefusal::Deployment(format!("{known}: {advice}"), Some(advice));
    match code {
        "TooManyRequestsException" | "LimitExceededException" | "ThrottlingException" | "Throttling" => {
            SesRefusal::Throttled(known)
        }
        "MessageRejected" if has(words, "not verified") => match failed_identities(words) {
            // When the recipient is the sender's own address, the failure counts as the sender's.
            Some(failed) if failed.iter().all(|one| is_same(one, recipient) && !is_same(one, sender)) => {
                SesRefusal::UnverifiedRecipient(known)
            }
            _ => advised("the sender's address or domain has to be verified: see `permitd aws check`"),
        },
        "MessageRejected" if has(words, "suspended") || has(words, "paused") => advised(PAUSED),
        "MessageRejected" => SesRefusal::Mail(known),
        // SES answers this for impossible addresses, usually the recipient's.
        "BadRequestException" if !has(words, sender) && !has(words, "configuration set") => SesRefusal::Mail(known),
        "BadRequestException" => advised("check mail.from and mail.ses.configuration_set"),
        "NotFoundException" => advised("check mail.ses.configuration_set, or run `permitd aws setup`"),
        "MailFromDomainNotVerifiedException" => {
            advised("the MAIL FROM domain of the sender's identity has to be verified")
        }
        "AccountSuspendedException" | "SendingPausedException" => advised(PAUSED),
        _ => SesRefusal::Deployment(known, None),
    }
}

const PAUSED: &str = "sending is stopped for this account or configuration set: see the SES console for the reason";

/// The identities that SES names as not verified, listed after the region's name. `None` when it names none.
fn failed_identities(words: &str) -> Option<Vec<&str>> {
    let (_, after) = words.split_once("failed the check in region")?;
    let (_, named) = after.split_once(':')?;
    let failed: Vec<&str> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    (!failed.is_empty()).then_some(failed)
}

/// Whether an identity is this address, with or without a name before it.
fn is_same(identity: &str, address: &str) -> bool {
    let bare = identity.rsplit_once('<').map_or(identity, |(_, rest)| rest.trim_end_matches('>'));
    bare.trim().eq_ignore_ascii_case(address)
}

fn has(words: &str, part: &str) -> bool {
    words.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

/// The words without this address: it is personal data, and reasons are logged.
fn without(words: &str, address: &str) -> String {
    if address.is_empty() {
        return words.to_owned();
    }
    // Lower-casing ASCII keeps the length, so that positions in one are positions in the other.
    let (lower, wanted) = (words.to_ascii_lowercase(), address.to_ascii_lowercase());
    let mut kept = String::with_capacity(words.len());
    let mut end = 0;
    for (place, _) in lower.match_indices(&wanted) {
        kept.push_str(words.get(end..place).unwrap_or_default());
        kept.push_str("the recipient's address");
        end = place + wanted.len();
    }
    kept.push_str(words.get(end..).unwrap_or_default());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: &str = "permits@sf.example";
    const ANA: &str = "ana@example.org";

    fn judge(code: &str, words: &str) -> SesRefusal {
        why(code, words, SENDER, ANA)
    }

    fn unverified(failed: &str) -> String {
        format!(
            "Email address is not verified. The following identities failed the check in region EU-WEST-1: {failed}"
        )
    }

    #[test]
    fn throttling_is_told_from_refusals() {
        for (code, words) in [
            ("TooManyRequestsException", "Maximum sending rate exceeded."),
            ("LimitExceededException", "Daily message quota exceeded."),
            ("ThrottlingException", "Rate exceeded"),
        ] {
            assert!(matches!(judge(code, words), SesRefusal::Throttled(reason) if reason.contains(words)));
        }
    }

    #[test]
    fn an_unverified_sender_is_told_from_an_unverified_recipient() {
        let reason = "SES: MessageRejected: Email address is not verified. The following identities failed the check in \
                      region EU-WEST-1: the recipient's address";
        for failed in [ANA, "ANA@Example.org"] {
            let judged = judge("MessageRejected", &unverified(failed));
            assert!(
                matches!(&judged, SesRefusal::UnverifiedRecipient(said) if said == reason),
                "{judged:?} is not {reason}"
            );
        }
        for failed in [
            SENDER,
            "ana@example.org, permits@sf.example",
            "Permit Office <permits@sf.example>",
            "arn:aws:ses:eu-west-1:123456789012:identity/sf.example",
            "joanna@example.org.sf.example",
            "",
        ] {
            let judged = judge("MessageRejected", &unverified(failed));
            assert!(
                matches!(&judged, SesRefusal::Deployment(said, _) if said.contains("permitd aws check")),
                "{judged:?}"
            );
        }
        let own = why("MessageRejected", &unverified(SENDER), SENDER, SENDER);
        assert!(matches!(own, SesRefusal::Deployment(..)), "{own:?}");
    }

    #[test]
    fn what_speaks_of_the_deployment_does_not_lose_the_mail() {
        for (code, words) in [
            ("MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified"),
            ("AccountSuspendedException", "suspended"),
            ("SendingPausedException", "Sending paused for this configuration set"),
            ("MessageRejected", "Sending suspended for this account. For more information, see your inbox."),
            ("NotFoundException", "Configuration set <nope> does not exist."),
            ("BadRequestException", "Invalid address permits@SF.example"),
            ("AccessDeniedException", "User is not authorized to perform: ses:SendEmail"),
            ("InternalServiceErrorException", "internal"),
            ("SomethingNew", "new"),
        ] {
            let judged = judge(code, words);
            assert!(matches!(&judged, SesRefusal::Deployment(reason, _) if reason.contains(words)), "{judged:?}");
        }
    }

    #[test]
    fn what_speaks_of_the_mail_is_for_good_and_does_not_name_the_person() {
        for (code, words) in [
            ("MessageRejected", "Address blacklisted: ANA@example.org, and ana@example.org again"),
            ("BadRequestException", "Domain contains illegal character: ana@example.org"),
            ("BadRequestException", "Missing final '@domain'"),
        ] {
            let judged = judge(code, words);
            assert!(matches!(&judged, SesRefusal::Mail(reason) if !reason.to_lowercase().contains(ANA)), "{judged:?}");
        }
        assert_eq!(without("to ANA@example.org!", ANA), "to the recipient's address!");
        assert_eq!(without("nothing", ANA), "nothing");
        assert_eq!(without("ñ ana@example.org ñ", ANA), "ñ the recipient's address ñ");
    }
}
