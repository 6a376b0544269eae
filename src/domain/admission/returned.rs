//! What a node gives back of a grant.

/// What a node gives back of a grant that it will not spend any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Return {
    /// Whose grant it was, and which.
    pub holder: GrantHolder,
    /// Requests that were spent.
    pub spent: u64,
    /// Grants in a row since which nobody else has taken one.
    pub streak: u8,
    /// Since when that is so.
    pub since_ns: i64,
    /// Whether the grant's stretch was over before its first request could be decided.
    pub late: bool,
    /// Requests that do not count against the quota: not spent, or given back after the server's own failure.
    pub unspent: u64,
    /// The theoretical arrival time after the last request that was admitted.
    pub tat_ns: i64,
    /// The theoretical arrival time at which the grant would have been spent.
    pub limit_ns: i64,
    /// The UTC day of the grant.
    pub day: i64,
    /// The interval of the bucket that the stretch was cut from.
    pub interval_ns: i64,
    /// Whether the grant's answer never came. Where its stretch lies is then not known for sure: nobody goes on in it.
    pub unanswered: bool,
}

/// A node, and one of its grants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrantHolder {
    /// The node: a number that no other node has, also not the same one after a restart.
    pub node: u64,
    /// The grant: rises from one request of the node for a key to the next. 0 is one that the ledger has not written down,
    /// since it holds nothing.
    pub serial: u64,
}
