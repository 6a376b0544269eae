//! Why a command about signing in is refused.

/// Why a command about signing in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// The link does not work: it is unknown, was used, has expired, or was replaced by a newer one. The answer does not say which.
    #[error("this link does not work any more: it was used, it has expired, or a newer one was sent")]
    LinkOver,
    /// Enough mails with links were sent to this person.
    #[error("enough mails were sent to this person in this hour")]
    TooManyMails,
    /// Address, password or code is wrong. The answer does not say which.
    #[error("the address, the password or the code is wrong")]
    Credentials,
    /// Address and password are right; a code of the second factor is required, too.
    #[error("a code of the second factor is wanted as well")]
    CodeWanted,
    /// The code is wrong, or was used.
    #[error("the code is wrong, too old, or was used before: wait for the next one")]
    WrongCode,
    /// The person signed in too often in this hour.
    #[error("too many sessions were started in this hour: use one of them, or wait")]
    TooManySessions,
    /// A session with this id exists already.
    #[error("there is such a session already: try again")]
    SessionExists,
    /// There is no such session.
    #[error("there is no such session")]
    NoSession,
    /// A second factor exists already.
    #[error("there is a second factor already: remove it first")]
    FactorExists,
    /// No second factor was begun.
    #[error("no second factor was begun: begin one first")]
    NoFactor,
}
