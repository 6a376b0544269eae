//! Reads what SES reports of mails that it took, in each form: an event of a configuration set or a notification of an identity, each alone
//! or in an envelope of SNS or EventBridge.
//!
//! Guarantees: a message of another form is refused, never passed over; a class holds only words that are known here; no error holds
//! content of a message.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        event::BounceKind,
        id::UserId,
        text::hidden,
        user::{Comeback, ComebackKind},
    },
    mail::one_line,
};

/// The tag that holds the recipient's user id.
pub(super) const USER_TAG: &str = "permitd-user";
/// The tag that holds the message id.
pub(super) const MESSAGE_TAG: &str = "permitd-message";
/// The most nested envelopes that are opened.
const ENVELOPES_MAX: usize = 3;
/// The longest Message-ID that is kept, characters.
const MESSAGE_ID_CHARS_MAX: usize = 100;

/// A report of SES on a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feedback {
    /// The mail bounced, or its recipient complained.
    Comeback(Box<Told>),
    /// A report that needs no action, such as a delivery.
    Nothing,
}

/// A bounce or complaint, and its mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Told {
    /// The report's id: the same whenever SES repeats the report.
    pub id: String,
    /// The mail's recipient, where the mail has the tag.
    pub user: Option<UserId>,
    /// The address that the mail went to.
    pub address: Option<String>,
    /// The kind of bounce or complaint.
    pub comeback: Comeback,
}

/// Leaves out the address.
impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A message that is no report of SES.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message is not one in which SES tells of mails: {0}")]
pub struct FeedbackError(String);

impl FeedbackError {
    fn of(what: &str, error: &serde_json::Error) -> Self {
        // Shows only the error's category: its words may hold what was read.
        Self(format!(
            "{what} cannot be read ({:?} at line {}, column {})",
            error.classify(),
            error.line(),
            error.column()
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeedbackShape {
    #[serde(alias = "notificationType")]
    event_type: Option<String>,
    mail: Option<MailShape>,
    bounce: Option<BounceShape>,
    complaint: Option<ComplaintShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MailShape {
    message_id: String,
    #[serde(default)]
    tags: std::collections::BTreeMap<String, Vec<String>>,
    #[serde(default)]
    headers: Vec<HeaderShape>,
}

#[derive(Deserialize)]
struct HeaderShape {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BounceShape {
    bounce_type: String,
    #[serde(default)]
    bounce_sub_type: String,
    bounced_recipients: Vec<RecipientShape>,
    feedback_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ComplaintShape {
    complained_recipients: Vec<RecipientShape>,
    feedback_id: Option<String>,
    complaint_feedback_type: Option<String>,
    complaint_sub_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecipientShape {
    email_address: String,
    status: Option<String>,
    diagnostic_code: Option<String>,
}

/// Whether a text looks like a report on mails, valid or not.
pub fn looks_like_it(body: &str) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_str(body) else { return false };
    ["eventType", "notificationType", "detail", "TopicArn"].iter().any(|field| fields.contains_key(*field))
}

/// Reads a message.
///
/// # Errors
/// When the message has none of the forms.
pub fn read(body: &str) -> Result<Feedback, FeedbackError> {
    let mut value: Value = serde_json::from_str(body).map_err(|error| FeedbackError::of("it", &error))?;
    for _ in 0..ENVELOPES_MAX {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let inner = if value.get("TopicArn").is_some() {
            let brought = text("Message").filter(|_| text("Type") == Some("Notification"));
            let asks = || FeedbackError("SNS brings no notification; it may ask to confirm a subscription".to_owned());
            serde_json::from_str(brought.ok_or_else(asks)?)
                .map_err(|error| FeedbackError::of("what SNS brings", &error))?
        } else if let Some(detail) = value.get_mut("detail") {
            detail.take()
        } else {
            break;
        };
        value = inner;
    }
    let FeedbackShape { event_type, mail, bounce, complaint } =
        serde_json::from_value(value).map_err(|error| FeedbackError::of("what SES says", &error))?;
    let missing = |what: &str| FeedbackError(format!("{what} is missing"));
    match event_type.as_deref().ok_or_else(|| missing("eventType"))? {
        "Bounce" => bounced(mail.ok_or_else(|| missing("mail"))?, bounce.ok_or_else(|| missing("bounce"))?),
        "Complaint" => complained(mail.ok_or_else(|| missing("mail"))?, complaint.ok_or_else(|| missing("complaint"))?),
        "Send"
        | "Delivery"
        | "Open"
        | "Click"
        | "Reject"
        | "Rendering Failure"
        | "DeliveryDelay"
        | "Subscription"
        | "AmazonSnsSubscriptionSucceeded" => Ok(Feedback::Nothing),
        _ => Err(FeedbackError("its eventType is not known".to_owned())),
    }
}

fn bounced(mail: MailShape, bounce: BounceShape) -> Result<Feedback, FeedbackError> {
    let BounceShape { bounce_type, bounce_sub_type, bounced_recipients, feedback_id } = bounce;
    // An undetermined bounce may be a full mailbox as well as a missing one.
    let kind = match bounce_type.as_str() {
        "Permanent" => BounceKind::Permanent,
        "Transient" | "Undetermined" => BounceKind::Transient,
        _ => return Err(FeedbackError("its bounceType is not known".to_owned())),
    };
    let recipient = bounced_recipients.into_iter().next();
    let RecipientShape { email_address, status, diagnostic_code } =
        recipient.ok_or_else(|| FeedbackError("bouncedRecipients is empty".to_owned()))?;
    let status = status.filter(|status| is_status(status)).map(|status| format!(" {status}")).unwrap_or_default();
    let class = format!("{bounce_type}/{}{status}", known_sub_type(&bounce_sub_type));
    Ok(mail.told(ComebackKind::Bounce(kind), class, diagnostic_code, email_address, feedback_id))
}

fn complained(mail: MailShape, complaint: ComplaintShape) -> Result<Feedback, FeedbackError> {
    let ComplaintShape { complained_recipients, feedback_id, complaint_feedback_type, complaint_sub_type } = complaint;
    // RFC 5965 and its registry of feedback types.
    let class = match complaint_feedback_type.as_deref() {
        // The recipient marked the mail as wanted.
        Some("not-spam") => return Ok(Feedback::Nothing),
        Some(known @ ("abuse" | "auth-failure" | "fraud" | "virus")) => known,
        _ if complaint_sub_type.as_deref() == Some("OnAccountSuppressionList") => {
            "the address is on SES's suppression list"
        }
        _ => "other",
    };
    let recipient = complained_recipients.into_iter().next();
    let address = recipient.ok_or_else(|| FeedbackError("complainedRecipients is empty".to_owned()))?.email_address;
    let class = format!("complaint: {class}");
    Ok(mail.told(ComebackKind::Complaint, class, None, address, feedback_id))
}

impl MailShape {
    fn told(
        self,
        kind: ComebackKind,
        class: String,
        reason: Option<String>,
        address: String,
        feedback_id: Option<String>,
    ) -> Feedback {
        let tag = |name: &str| self.tags.get(name).and_then(|values| values.first());
        let user = tag(USER_TAG).and_then(|id| Uuid::try_parse(id).ok()).map(UserId);
        let header = || {
            let header = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case("message-id"))?;
            let id = header.value.trim().strip_prefix('<')?.split_once('@')?.0;
            Some(id.to_owned())
        };
        let is_ours = |id: &String| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            id.len() <= MESSAGE_ID_CHARS_MAX && id.bytes().all(plain)
        };
        let message_id = tag(MESSAGE_TAG).cloned().or_else(header).filter(is_ours);
        let reason =
            reason.map(|reason| one_line(&reason)).filter(|reason| reason.chars().any(|c| hidden(c).is_none()));
        let comeback = Comeback { kind, reason: reason.unwrap_or_else(|| class.clone()), class, message_id };
        // Older events of SES have no feedback id: then each kind of comeback counts once for a mail.
        let id = feedback_id.unwrap_or_else(|| format!("{} {kind:?}", self.message_id));
        Feedback::Comeback(Box::new(Told { id, user, address: Some(address), comeback }))
    }
}

/// An enhanced status code (RFC 3463).
fn is_status(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(is_number)
}

fn known_sub_type(text: &str) -> &str {
    const KNOWN: [&str; 12] = [
        "Undetermined",
        "General",
        "NoEmail",
        "Suppressed",
        "OnAccountSuppressionList",
        "UnsubscribedRecipient",
        "MailboxFull",
        "MessageTooLarge",
        "CustomTimeoutExceeded",
        "ContentRejected",
        "AttachmentRejected",
        "EmailAddressVerified",
    ];
    KNOWN.into_iter().find(|known| *known == text).unwrap_or("other")
}

#[cfg(test)]
mod tests;
