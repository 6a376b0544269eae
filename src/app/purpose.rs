//! What a node is for.

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It serves requests: it alone has the data directory's lock, and works on the queue all the time.
    Serve,
    /// It runs one command, beside a server or without one.
    Command,
    /// It replaces the deployment's server secret, and therefore does not compare the secret with the log.
    ReplaceSecret,
    /// It shows a data directory as it stands, and changes nothing: it has neither queue nor mailer nor server secret.
    Rehearse,
}
