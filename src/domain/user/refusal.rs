//! Why a command on a person is refused.

use super::person::{MailStop, Standing, User};
use crate::domain::{bounds::BoundsError, key::KeyId, sign_in::SignInRefusal, text::HiddenCharacter};

/// The most administrators who can sign in: the set is one small item.
pub const ADMINISTRATORS_MAX: usize = 1000;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// The person does not exist.
    #[error("there is no such user")]
    NoUser,
    /// The person was deleted.
    #[error("the user was deleted")]
    Deleted,
    /// The person is disabled.
    #[error("the user is disabled: enable the user first")]
    Disabled,
    /// The address gets no mail.
    #[error(
        "{}: nothing is sent to it until an administrator says so (`permitd users allow-mail EMAIL`, or POST /users/{{id}}/mail/allow)",
        .0.class()
    )]
    MailStopped(MailStop),
    /// The person exists already.
    #[error("this user exists already")]
    Exists,
    /// The person has no such key.
    #[error("the user has no key {0}")]
    NoKey(KeyId),
    /// The key does not work any more.
    #[error("key {0} was revoked or has been replaced")]
    KeyEnded(KeyId),
    /// A key with this id exists: it may have been revoked, and must not come to life again.
    #[error("the user has a key {0} already")]
    KeyExists(KeyId),
    /// A command about signing in is refused.
    #[error(transparent)]
    SignIn(#[from] SignInRefusal),
    /// The person has as many keys as their plan allows.
    #[error(
        "the user has {max} active keys, or as many that were replaced and still work, which is the most that their plan allows: revoke one first"
    )]
    TooManyKeys {
        /// The most.
        max: u32,
    },
    /// The key has expired: its successor would expire at once.
    #[error("key {0} has expired: give it another end first, or issue another key")]
    KeyExpired(KeyId),
    /// The bounds of a key are not valid.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// Nobody would be left who can sign in and administer.
    #[error(
        "the user is the last administrator who can sign in: make somebody else one first (`permitd users set EMAIL --role admin`, or \
         PATCH /users/{{id}} with {{\"role\": \"admin\"}})"
    )]
    LastAdministrator,
    /// The limit of [`ADMINISTRATORS_MAX`] is reached.
    #[error("there are {ADMINISTRATORS_MAX} administrators, which is the most: lower one to another role first")]
    TooManyAdministrators,
    /// A text is too long.
    #[error("{field} is longer than {max} characters")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        max: usize,
    },
    /// A text holds a character that could make it look like another one.
    #[error(
        "{field} holds {found}, which could make it look like something else: write it as one line of plain letters"
    )]
    Hidden {
        /// The field.
        field: &'static str,
        /// The character.
        found: HiddenCharacter,
    },
}

pub(super) fn enabled(user: &User) -> Result<(), CommandRefusal> {
    match user.standing {
        Standing::Enabled => Ok(()),
        Standing::Disabled => Err(CommandRefusal::Disabled),
        Standing::Deleted => Err(CommandRefusal::Deleted),
    }
}
