//! Why a command was not carried out.

use crate::{
    actors::Busy,
    domain::{
        admin_token::TokenRefusal, data_set::HoldRefusal, event::Role, permission::Permissions, persisted::CodecError,
        plan::PlanError, user::CommandRefusal,
    },
    secrets::{EntropyError, SecretsError},
    store::StoreError,
};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The person's state does not allow it.
    #[error(transparent)]
    Refused(#[from] CommandRefusal),
    /// Whoever gives the command may less than whom it is about.
    #[error("to do this to somebody of the role {}, the permission {needed} is needed; you have {has}", role.as_str())]
    Beyond {
        /// The role of whom it is about.
        role: Role,
        /// What is needed.
        needed: Permissions,
        /// What there is.
        has: Permissions,
    },
    /// The import is not what the command is for.
    #[error(transparent)]
    Hold(#[from] HoldRefusal),
    /// The administrators' tokens do not allow it.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The plan cannot be.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no such plan, or it was retired.
    #[error("there is no plan {name:?} to assign; there are: {}", known.join(", "))]
    NoPlan {
        /// The name.
        name: String,
        /// The names that would do.
        known: Vec<String>,
    },
    /// The plan is the one that people get when none is named.
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
        /// Who.
        user: String,
    },
    /// As many invitations are mailed in an hour as are to be.
    #[error("{whose} in an hour, which is the most: try again in {}", told(*wait_s))]
    TooManyInvitations {
        /// How many of whom.
        whose: String,
        /// When one more is possible, seconds from now.
        wait_s: u64,
    },
    /// The stream is not at the version that the client expects.
    #[error("it has changed meanwhile: its version is {current}")]
    Stale {
        /// Its version.
        current: u64,
    },
    /// The same idempotency key was used for something else.
    #[error("this idempotency key was used before, for another request: give each request a key of its own")]
    KeyReused,
    /// Too many others write to the same stream.
    #[error("too many changes of the same at once: try again")]
    Contended,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream cannot be read or the events not be written.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The server secret is not what it was.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// A password cannot be hashed by the settings.
    #[error("a password cannot be hashed: {0}")]
    Hashing(String),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
}

/// A time as people say it.
fn told(seconds: u64) -> String {
    match seconds {
        0..=1 => "1 second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
