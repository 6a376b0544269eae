//! What each mail says: what its template is given.

use serde::Serialize;

/// What an invitation says.
#[derive(Clone, Serialize)]
pub struct Invitation {
    /// What the service calls itself.
    pub brand: String,
    /// The invited person's name, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who invited, as far as it may be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What can be read. Empty before the first import: the mail then says that data will come.
    pub datasets: Vec<Dataset>,
    /// The API key, where the mail carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The address of a link that shows the key once, where the mail carries that instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_link: Option<String>,
    /// The address of a link to set a password, for whoever can sign in and has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_link: Option<String>,
    /// The path of a request that works, such as `/permits/201612013997`. None where none does yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example_path: Option<String>,
    /// What the plan allows.
    pub limits: MailedLimits,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom to ask, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
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
pub struct MailedLimits {
    /// Requests per second in the long run, as people write it.
    pub rate_per_s: String,
    /// Requests at once after a pause.
    pub burst: u32,
    /// Requests per day, UTC.
    pub quota_per_day: u64,
}

/// What the mails about a leak say.
#[derive(Debug, Clone, Serialize)]
pub struct KeyLeak {
    /// What the service calls itself.
    pub brand: String,
    /// The owner's name, if known: for the owner alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
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

/// What a notice says.
#[derive(Clone, Serialize)]
pub struct NoticeMail<T> {
    /// What the service calls itself.
    pub brand: String,
    /// The person's name, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What it is about.
    #[serde(flatten)]
    pub told: T,
}

impl NoticeMail<()> {
    /// The same, about this.
    pub fn telling<T>(self, told: T) -> NoticeMail<T> {
        let Self { brand, name, public_url, contact, told: () } = self;
        NoticeMail { brand, name, public_url, contact, told }
    }
}

/// Somebody else made a key for them.
#[derive(Clone, Serialize)]
pub struct KeyMade {
    /// The key.
    pub key: KeyTold,
}

/// Somebody else revoked a key of theirs.
#[derive(Clone, Serialize)]
pub struct KeyRevoked {
    /// The key.
    pub key: KeyTold,
}

/// A key of theirs expires.
#[derive(Clone, Serialize)]
pub struct KeyExpires {
    /// The key.
    pub key: KeyTold,
    /// Whether its end has come before this mail.
    pub is_over: bool,
}

/// A share of a day's quota is spent.
#[derive(Clone, Serialize)]
pub struct QuotaSpent {
    /// The UTC day, such as `2026-03-01`.
    pub day: String,
    /// The share, percent.
    pub percent: u8,
    /// The quota.
    pub quota: u64,
}

/// A key as its owner knows it; never the key itself. Moments as people read them.
#[derive(Clone, Serialize)]
pub struct KeyTold {
    /// Its public id.
    pub id: String,
    /// The last four characters of the key, by which people tell keys apart.
    pub last_four: String,
    /// What its owner calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it stops working by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The key that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Until when that one works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_until: Option<String>,
}

/// What mails say of the service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceFacts {
    /// What it calls itself.
    pub brand: String,
    /// The API's address without a slash at its end.
    pub public_url: String,
    /// Whom to ask, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}
