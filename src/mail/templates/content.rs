//! The values that each mail's template is given.

use serde::Serialize;

/// The values of an invitation.
#[derive(Clone, Serialize)]
pub struct Invitation {
    /// The name of the service.
    pub brand: String,
    /// The invited person's name, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The inviting person, as far as it may be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// The contact for questions, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The readable data sets. Empty before the first import: the mail then says that data will come.
    pub datasets: Vec<Dataset>,
    /// The API key, where the mail carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The address of a link that shows the key once, where the mail carries a link instead of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_link: Option<String>,
    /// The address of a link to set a password, for people who can sign in and have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_link: Option<String>,
    /// The path of a working request, such as `/permits/201612013997`. `None` before there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example_path: Option<String>,
    /// What the plan allows.
    pub limits: MailedLimits,
}

/// Overwrites the key and the links: code that holds one here keeps it in [`zeroize::Zeroizing`].
impl zeroize::Zeroize for Invitation {
    fn zeroize(&mut self) {
        self.key.zeroize();
        self.claim_link.zeroize();
        self.password_link.zeroize();
    }
}

/// The values of the mail to people who forgot their password.
#[derive(Clone, Serialize)]
pub struct PasswordReset {
    /// The name of the service.
    pub brand: String,
    /// The person's name, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The contact for questions, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The address of the link.
    pub link: String,
    /// When the link expires, as people read it.
    pub expires_at: String,
}

/// Overwrites the link: code that holds one here keeps it in [`zeroize::Zeroizing`].
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
pub struct MailedLimits {
    /// Requests per second in the long run, as people write it.
    pub rate_per_s: String,
    /// Requests at once after a pause.
    pub burst: u32,
    /// Requests per day, UTC.
    pub quota_per_day: u64,
}

/// The values of the mails about a leak.
#[derive(Debug, Clone, Serialize)]
pub struct KeyLeak {
    /// The name of the service.
    pub brand: String,
    /// The owner's name, if known: only in the mail to the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// The contact for questions, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What has leaked: `key`, `session` or `link`.
    pub what: &'static str,
    /// The public id of the key or session.
    pub key_id: String,
    /// The last four characters of the key.
    pub last_four: String,
    /// The owner's id.
    pub user: String,
}

/// The values of a notice.
#[derive(Clone, Serialize)]
pub struct NoticeMail<T> {
    /// The name of the service.
    pub brand: String,
    /// The person's name, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// The contact for questions, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The values of this kind of notice.
    #[serde(flatten)]
    pub told: T,
}

impl NoticeMail<()> {
    /// The same notice with these values.
    pub fn telling<T>(self, told: T) -> NoticeMail<T> {
        let Self { brand, name, public_url, contact, told: () } = self;
        NoticeMail { brand, name, public_url, contact, told }
    }
}

/// Somebody else made a key for the recipient.
#[derive(Clone, Serialize)]
pub struct KeyMade {
    /// The key.
    pub key: KeyTold,
}

/// Somebody else revoked a key of the recipient.
#[derive(Clone, Serialize)]
pub struct KeyRevoked {
    /// The key.
    pub key: KeyTold,
}

/// A key of the recipient expires.
#[derive(Clone, Serialize)]
pub struct KeyExpires {
    /// The key.
    pub key: KeyTold,
    /// Whether the key expired before this mail.
    pub is_over: bool,
}

/// A share of the day's quota is used.
#[derive(Clone, Serialize)]
pub struct QuotaSpent {
    /// The UTC day, such as `2026-03-01`.
    pub day: String,
    /// The share, percent.
    pub percent: u8,
    /// The quota.
    pub quota: u64,
}

/// A key as its owner knows it; never the key itself. Times are written for people.
#[derive(Clone, Serialize)]
pub struct KeyTold {
    /// Its public id.
    pub id: String,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// Its owner's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The key that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// When the replaced key stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_until: Option<String>,
}

/// The facts about the service that mails tell.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceFacts {
    /// The name of the service.
    pub brand: String,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// The contact for questions, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}
