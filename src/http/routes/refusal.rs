//! The one place that maps the errors of commands to problems.

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde_json::json;

use crate::{
    actors::{Busy, commit::CommandError, import::ImportError, redrive::RedriveError, sign_in::SignInError},
    domain::{admin_token::TokenRefusal, data_set::HoldRefusal, sign_in::SignInRefusal, user::CommandRefusal},
    http::{
        Problem, ProblemCode,
        credentials::beyond,
        store_problem::{RETRY_AFTER_S, store_problem},
        wire,
    },
    queue::QueueError,
    secrets::SecretsError,
    store::records::RecordStoreError,
};

/// Seconds after which an hourly limit has room again, at the latest.
const HOUR_S: u64 = 3600;
pub(super) const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"permitd\"");

/// The problem of a failed command.
pub(in crate::http) fn command_problem(error: CommandError) -> Problem {
    let text = error.to_string();
    match error {
        CommandError::Refused(refusal) => refused(&refusal, text),
        CommandError::Beyond { needed, .. } => beyond(text, needed),
        CommandError::Hold(HoldRefusal::Unknown) => Problem::new(ProblemCode::NotFound, text),
        CommandError::Hold(HoldRefusal::NotHeld(_) | HoldRefusal::NotRunning) => {
            Problem::new(ProblemCode::Conflict, text)
        }
        CommandError::Token(refusal) => Problem::new(token_code(&refusal), text),
        CommandError::Plan(_) => Problem::new(ProblemCode::InvalidBody, text),
        CommandError::NoPlan { known, .. } => {
            Problem::new(ProblemCode::InvalidBody, text).member("known_plans", json!(known))
        }
        CommandError::DefaultPlan { .. } => Problem::new(ProblemCode::Conflict, text),
        CommandError::EmailTaken { user } => {
            let path = format!("/users/{user}");
            Problem::new(ProblemCode::Conflict, format!("{text}: {path}")).member("existing", json!(path))
        }
        CommandError::TooManyInvitations { wait_s, .. } => {
            Problem::new(ProblemCode::InvitationLimit, text).retry_after(wait_s)
        }
        CommandError::Stale { current } => {
            Problem::new(ProblemCode::PreconditionFailed, text).member("current_version", json!(current))
        }
        CommandError::KeyReused => Problem::new(ProblemCode::IdempotencyKeyReused, text),
        CommandError::Quarantined(_) => Problem::new(ProblemCode::Conflict, text),
        CommandError::Contended => Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S),
        CommandError::Busy(busy) => busy_problem(busy),
        CommandError::Store(error) => store_problem(error),
        CommandError::Secrets(SecretsError::NotOurs { .. }) => {
            let detail = "this server has another server secret than its deployment: nothing was done; ask another server, or the \
                          operator to start this one again with the right one";
            Problem::new(ProblemCode::Unavailable, detail).because(text).retry_after(RETRY_AFTER_S)
        }
        CommandError::Codec(_) | CommandError::Secrets(_) | CommandError::Entropy(_) | CommandError::Hashing(_) => {
            Problem::internal(text)
        }
    }
}

fn refused(refusal: &CommandRefusal, text: String) -> Problem {
    let code = match refusal {
        CommandRefusal::NoUser | CommandRefusal::NoKey(_) => ProblemCode::NotFound,
        CommandRefusal::Deleted
        | CommandRefusal::Disabled
        | CommandRefusal::MailStopped(_)
        | CommandRefusal::Exists
        | CommandRefusal::KeyExists(_)
        | CommandRefusal::KeyEnded(_)
        | CommandRefusal::KeyExpired(_)
        | CommandRefusal::TooManyKeys { .. }
        | CommandRefusal::LastAdministrator
        | CommandRefusal::TooManyAdministrators => ProblemCode::Conflict,
        CommandRefusal::SignIn(refusal) => return sign_in_refused(*refusal, text),
        CommandRefusal::TooLong { .. } | CommandRefusal::Hidden { .. } | CommandRefusal::Bounds(_) => {
            ProblemCode::InvalidBody
        }
    };
    Problem::new(code, text)
}

fn sign_in_refused(refusal: SignInRefusal, text: String) -> Problem {
    let code = match refusal {
        SignInRefusal::LinkOver => ProblemCode::LinkOver,
        SignInRefusal::Credentials => ProblemCode::InvalidCredentials,
        SignInRefusal::WrongCode => ProblemCode::InvalidBody,
        SignInRefusal::CodeWanted => ProblemCode::CodeRequired,
        SignInRefusal::NoSession => ProblemCode::NotFound,
        SignInRefusal::TooManySessions => return Problem::new(ProblemCode::TooManyAttempts, text).retry_after(HOUR_S),
        SignInRefusal::TooManyMails => return Problem::new(ProblemCode::InvitationLimit, text).retry_after(HOUR_S),
        SignInRefusal::SessionExists | SignInRefusal::FactorExists | SignInRefusal::NoFactor => ProblemCode::Conflict,
    };
    let problem = Problem::new(code, text);
    if code.status() == StatusCode::UNAUTHORIZED { problem.header(header::WWW_AUTHENTICATE, BEARER) } else { problem }
}

/// The problem of a failed sign-in, or of a related command. A wrong guess counts for the client's address.
pub(super) async fn sign_in_problem(error: SignInError, request: &HttpRequest) -> Problem {
    let is_guess = error.is_wrong_guess();
    let problem = match error {
        SignInError::Command(error) => command_problem(error),
        SignInError::Password(error) => Problem::new(ProblemCode::InvalidBody, format!("at `password`: {error}")),
        SignInError::Wait(wait_s) => {
            Problem::new(ProblemCode::TooManyAttempts, SignInError::Wait(wait_s).to_string()).retry_after(wait_s)
        }
    };
    if is_guess { wire::guessed(request, problem).await } else { problem }
}

/// The result of a sign-in or a related command, or its problem.
pub(in crate::http) async fn sign_in_done<T>(
    done: Result<T, SignInError>,
    request: &HttpRequest,
) -> Result<T, Problem> {
    match done {
        Ok(done) => Ok(done),
        Err(error) => Err(sign_in_problem(error, request).await),
    }
}

fn token_code(refusal: &TokenRefusal) -> ProblemCode {
    match refusal {
        TokenRefusal::NoToken(_) => ProblemCode::NotFound,
        TokenRefusal::Exists(_) | TokenRefusal::NameTaken { .. } | TokenRefusal::TooMany => ProblemCode::Conflict,
        TokenRefusal::LongName | TokenRefusal::Hidden(_) | TokenRefusal::NoScope | TokenRefusal::Past => {
            ProblemCode::InvalidBody
        }
    }
}

/// The problem of an actor that did not answer.
pub(super) fn busy_problem(busy: Busy) -> Problem {
    Problem::new(ProblemCode::Overloaded, busy.to_string()).retry_after(RETRY_AFTER_S)
}

/// The problem of a failed queue.
pub(in crate::http) fn queue_problem(error: QueueError) -> Problem {
    match error {
        QueueError::Unavailable(cause) => {
            tracing::warn!(%cause, "the queue does not answer");
            Problem::new(ProblemCode::Unavailable, "the queue does not answer").retry_after(RETRY_AFTER_S)
        }
        QueueError::Store(error) => store_problem(error),
        QueueError::Unreadable(_) | QueueError::TooLong { .. } => Problem::internal(error),
        QueueError::NoDeadLetter(_) => Problem::new(ProblemCode::NotFound, error.to_string()),
    }
}

/// The problem of a dead letter that was not sent again.
pub(in crate::http) fn redrive_problem(error: RedriveError) -> Problem {
    match error {
        RedriveError::Queue(error) => queue_problem(error),
        RedriveError::Command(error) => command_problem(error),
    }
}

/// The problem of a failed import, or of a failed command on a data set.
pub(in crate::http) fn import_problem(error: ImportError) -> Problem {
    let text = error.to_string();
    match error {
        ImportError::Command(error) => command_problem(error),
        ImportError::Busy(busy) => busy_problem(busy),
        ImportError::Records(error) => records_problem(&error),
        ImportError::NoDefinition { .. } => Problem::new(
            ProblemCode::NotFound,
            format!("{text}: put one into the folder of definitions, or import it once by a command"),
        ),
        ImportError::Lost(_) => Problem::new(ProblemCode::Unavailable, text),
        ImportError::FileName(_) | ImportError::Read(_) | ImportError::Said(_) => {
            Problem::new(ProblemCode::InvalidBody, text)
        }
        ImportError::Guarded(_) | ImportError::Cancelled | ImportError::Elsewhere { .. } | ImportError::NotHere => {
            Problem::new(ProblemCode::Conflict, text)
        }
        ImportError::Definitions(_)
        | ImportError::Spool { .. }
        | ImportError::Rejects { .. }
        | ImportError::Interrupted(_) => Problem::internal(text),
    }
}

fn records_problem(error: &RecordStoreError) -> Problem {
    let text = error.to_string();
    match error {
        RecordStoreError::UnknownDataSet { .. } => Problem::new(ProblemCode::NotFound, text),
        RecordStoreError::BadName { .. } => Problem::new(ProblemCode::InvalidBody, text),
        RecordStoreError::NameTaken { .. } | RecordStoreError::NotRenamed | RecordStoreError::ImportRunning { .. } => {
            Problem::new(ProblemCode::Conflict, text)
        }
        RecordStoreError::Unavailable { .. } => {
            tracing::warn!(cause = text, "the records do not answer");
            Problem::new(ProblemCode::Unavailable, "the records do not answer").retry_after(RETRY_AFTER_S)
        }
        _ => Problem::internal(text),
    }
}
