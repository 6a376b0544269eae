//! The templates of all mails. Each mail has a folder under `templates/` with its subject, text and HTML; the parts in a directory of the
//! operator replace these one by one.
//!
//! Guarantees: a template sees its mail's values and the frame `LAYOUT`, but no file and no other template; an unknown variable is an
//! error, never a gap; HTML escapes all values; a subject is one line of bounded length, whatever its values; a template's steps and output
//! are bounded. No error holds a value.

mod built_in;
mod check;
mod content;
mod directory;
mod error;
mod examples;
mod render;

use std::sync::Arc;

use serde::Serialize;

pub use self::{
    built_in::{BUILT_IN, PARTS},
    check::{CheckedMail, check},
    content::{
        Dataset, Invitation, KeyExpires, KeyLeak, KeyMade, KeyRevoked, KeyTold, MailedLimits, NoticeMail,
        PasswordReset, QuotaSpent, ServiceFacts,
    },
    directory::write_built_in,
    error::{Mistake, TemplatesError},
    render::TemplateError,
};
use self::{
    built_in::{BuiltIn, LAYOUT},
    examples::{PUBLIC_URL, examples_of},
    render::TemplateSource,
};

#[cfg(test)]
mod tests;

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

/// Shows that it is a rendered mail, but not its content.
impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").finish_non_exhaustive()
    }
}

/// Lists the mails: for each its description, the function that renders it, its values' type, and its folder.
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

/// The templates in force: the built-in ones, or those that replace them.
#[derive(Debug, Clone)]
pub struct Templates {
    /// In the order of [`MAILS`] and [`PARTS`].
    mails: Arc<Vec<[TemplateSource; 3]>>,
}

impl Default for Templates {
    /// The built-in templates.
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

    /// Renders the mail of this name with example values and the facts of `of_service`. `None` where there is no such mail.
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
