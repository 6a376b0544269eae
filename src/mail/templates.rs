//! The mails there are. Each has a folder under `templates/` with its subject, its text and its HTML, which those of a directory
//! replace, one by one.
//!
//! Guarantees: a template sees what its mail is given, the frame [`LAYOUT`], and nothing else, neither files nor other templates; a variable that is not
//! there is an error, never a gap; in HTML all that is filled in is escaped; a subject is one line of bounded length, whatever is in
//! it; what a template does and makes is bounded. No error holds anything that was filled in.

mod check;
mod directory;
mod examples;
mod render;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;

pub use self::{
    check::{CheckedMail, Mistake, check},
    directory::{TemplatesError, write_built_in},
    render::TemplateError,
};
use self::{
    examples::{PUBLIC_URL, examples_of},
    render::TemplateSource,
};

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
pub struct Limits {
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

/// The names of a mail's three parts, as its folder has them.
pub const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];
/// The place of a part of the program.
pub const BUILT_IN: &str = "built in";

/// What the HTML of mails is put into: `{% extends "layout.html" %}`, with the blocks `title` and `body`.
const LAYOUT: (&str, &str) = ("layout.html", include_str!("templates/layout.html"));

/// A mail as the program has it.
struct BuiltIn {
    /// Its folder's name.
    name: &'static str,
    /// What it is.
    about: &'static str,
    /// Its parts, in the order of [`PARTS`].
    parts: [&'static str; 3],
    /// What it may be given, as JSON: first all that there can be, then what can be left out is.
    examples: fn() -> Vec<serde_json::Value>,
}

/// Lists the mails: for each what it is, the function that renders it, what it is given, and its folder.
macro_rules! mails {
    ($($(#[doc = $doc:literal])+ $function:ident($context:ty) = $folder:literal;)+) => {
        const MAILS: &[BuiltIn] = &[$(BuiltIn {
            name: $folder,
            about: concat!($($doc),+),
            parts: [
                include_str!(concat!("templates/", $folder, "/subject.txt")),
                include_str!(concat!("templates/", $folder, "/body.txt")),
                include_str!(concat!("templates/", $folder, "/body.html")),
            ],
            examples: examples_of::<$context>,
        }),+];

        impl Templates {
            $($(#[doc = $doc])+
            ///
            /// # Errors
            /// When a template cannot be filled in.
            pub fn $function(&self, context: &$context) -> Result<Rendered, TemplateError> {
                self.render($folder, context)
            })+
        }
    };
}

mails! {
    /// The mail that carries a new user's key.
    invitation(Invitation) = "invitation";
    /// The mail to who forgot their password.
    password_reset(PasswordReset) = "password-reset";
    /// The mail that tells somebody that an administrator made a key for them.
    key_made(NoticeMail<KeyMade>) = "key-made";
    /// The mail that tells somebody that an administrator revoked a key of theirs.
    key_revoked(NoticeMail<KeyRevoked>) = "key-revoked";
    /// The mail that tells somebody that a key of theirs expires.
    key_expiring(NoticeMail<KeyExpires>) = "key-expiring";
    /// The mail that tells somebody how much of a day's quota is used.
    quota_reached(NoticeMail<QuotaSpent>) = "quota-reached";
    /// The mail that tells the owner of a key that it was revoked because it had leaked.
    key_leaked(KeyLeak) = "key-leaked";
    /// The mail that tells an administrator of it.
    key_leaked_told(KeyLeak) = "key-leaked-told";
}

/// The templates in force: those of the program, or what replaces them.
#[derive(Debug, Clone)]
pub struct Templates {
    /// In the order of [`MAILS`] and [`PARTS`].
    mails: Arc<Vec<[TemplateSource; 3]>>,
}

impl Default for Templates {
    /// Those of the program.
    fn default() -> Self {
        Self {
            mails: Arc::new(
                MAILS.iter().map(|mail| std::array::from_fn(|part| TemplateSource::built_in(mail, part))).collect(),
            ),
        }
    }
}

impl Templates {
    /// The names of the mails.
    pub fn names() -> impl Iterator<Item = &'static str> {
        MAILS.iter().map(|mail| mail.name)
    }

    /// The mail of this name with an example of what it is given; what it says of the service is `of_service`'s. None where there
    /// is no such mail.
    ///
    /// # Errors
    /// When a template cannot be filled in.
    pub fn example(&self, name: &str, of_service: &ServiceFacts) -> Option<Result<Rendered, TemplateError>> {
        let mail = MAILS.iter().find(|mail| mail.name == name)?;
        let mut example = (mail.examples)().into_iter().next()?;
        if let (Some(fields), Ok(serde_json::Value::Object(facts))) =
            (example.as_object_mut(), serde_json::to_value(of_service))
        {
            let here = |value: &serde_json::Value| {
                value.as_str()?.strip_prefix(PUBLIC_URL).map(|path| format!("{}{path}", of_service.public_url))
            };
            fields.values_mut().for_each(|value| {
                if let Some(here) = here(value) {
                    *value = here.into();
                }
            });
            fields.remove("contact");
            fields.extend(facts);
        }
        Some(self.render(mail.name, &example))
    }

    fn render(&self, name: &str, context: &impl Serialize) -> Result<Rendered, TemplateError> {
        let place = MAILS.iter().position(|mail| mail.name == name);
        let Some([subject, text, html]) = place.and_then(|place| self.mails.get(place)) else {
            return Err(TemplateError::no_mail(name));
        };
        Ok(Rendered {
            subject: render::in_one_line(&subject.render(context)?),
            text: text.render(context)?,
            html: html.render(context)?,
        })
    }
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
