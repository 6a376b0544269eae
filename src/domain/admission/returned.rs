//! What a node gives back of a grant.

/// A node's return of a grant that it will not spend any further.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Return {
    /// The node and its grant.
    pub holder: GrantHolder,
    /// Requests of the grant that were spent.
    pub spent: u64,
    /// The number of the node's last grants in a row without another node's grant in between.
    pub streak: u8,
    /// When that streak began.
    pub since_ns: i64,
    /// Whether the stretch ended before its first request could be decided.
    pub late: bool,
    /// Requests that do not count against the quota: unspent, or refunded after the server's own failure.
    pub unspent: u64,
    /// The theoretical arrival time after the last admitted request.
    pub tat_ns: i64,
    /// The theoretical arrival time at which the grant would have been spent.
    pub limit_ns: i64,
    /// The UTC day of the grant.
    pub day: i64,
    /// The interval of the bucket that the stretch was cut from.
    pub interval_ns: i64,
    /// Whether the grant's answer was lost. The place of its stretch is uncertain then, so nobody goes on in it.
    pub unanswered: bool,
}

/// A node and one of its grants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrantHolder {
    /// The node's number: unique, and new after every restart.
    pub node: u64,
    /// The grant's serial number: it rises with every request of the node for a key. 0 means a grant that the ledger did not record,
    /// because it holds nothing.
    pub serial: u64,
}
