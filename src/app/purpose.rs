//! What a node is for.

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It serves requests: it alone has the data directory's lock, and works on the queue all the time.
    Serve,
    /// It carries out one command beside a server, or without one.
    Command,
    /// It gives the deployment another server secret, and therefore does not compare it with what the log remembers.
    ReplaceSecret,
}
