//! Why a command was not carried out.

use crate::{
    actors::Busy,
    domain::{
        admin_token::TokenRefusal, data_set::HoldRefusal, event::Role, permission::Permissions, persisted::CodecError,
        plan::PlanError, user::CommandRefusal,
    },
    secrets::{EntropyError, SecretsError},
    store::{Quarantine, StoreError},
};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The person's state does not allow it.
    #[error(transparent)]
    Refused(#[from] CommandRefusal),
    /// The command's sender has fewer permissions than the person whom it concerns.
    #[error("to do this to somebody of the role {}, the permission {needed} is needed; you have {has}", role.as_str())]
    Beyond {
        /// The role of that person.
        role: Role,
        /// The needed permissions.
        needed: Permissions,
        /// The sender's permissions.
        has: Permissions,
    },
    /// The import's state does not allow the command.
    #[error(transparent)]
    Hold(#[from] HoldRefusal),
    /// The administrators' tokens do not allow it.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The plan is invalid.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan does not exist, or was retired.
    #[error("there is no plan {name:?} to assign; there are: {}", known.join(", "))]
    NoPlan {
        /// The name.
        name: String,
        /// The plans that can be assigned.
        known: Vec<String>,
    },
    /// The plan is the default plan.
    #[error(
        "{name:?} is the plan of every invitation that names none: name another one in the setting users.default_plan \
         (PERMITD_USERS_DEFAULT_PLAN), start the server again, then retire it"
    )]
    DefaultPlan {
        /// The plan.
        name: String,
    },
    /// The address belongs to somebody who was invited before.
    #[error("somebody with this address was invited already")]
    EmailTaken {
        /// The person.
        user: String,
    },
    /// The hour's limit of mailed invitations is reached.
    #[error("{whose} in an hour, which is the most: try again in {}", told(*wait_s))]
    TooManyInvitations {
        /// The count, and whose invitations they are.
        whose: String,
        /// Seconds until the next one is possible.
        wait_s: u64,
    },
    /// The stream is not at the version that the client expects.
    #[error("it has changed meanwhile: its version is {current}")]
    Stale {
        /// The stream's version.
        current: u64,
    },
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used before, for another request: give each request a key of its own")]
    KeyReused,
    /// Too many others write to the same stream.
    #[error("too many changes of the same at once: try again")]
    Contended,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream cannot be read, or the events cannot be written.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The stream is in quarantine.
    #[error(
        "{0}. It takes no commands until `permitd events release` has taken it out, once this permitd can read it; `permitd events \
         quarantine --list` shows what it could not read"
    )]
    Quarantined(Box<Quarantine>),
    /// The server secret has changed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The password cannot be hashed with the settings.
    #[error("a password cannot be hashed: {0}")]
    Hashing(String),
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
}

/// A duration as people say it.
fn told(seconds: u64) -> String {
    match seconds {
        0..=1 => "1 second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
