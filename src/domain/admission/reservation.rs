//! What the ledger keeps of the last grant that each node took of a key, so that a grant whose answer was lost is found again.
//!
//! A node says with each request which grant it holds the answer of, and since when it asked without an answer. The ledger keeps
//! which grant it gave the node last. If the two are the same, what the node returns is taken back. If not, the ledger's grant
//! is one whose answer never came: nothing of it was spent, so that all of it is taken back; and what the node returns came
//! back with the request for it. Each is taken back once, since the ledger's word is replaced with the same write.

use super::returned::{GrantHolder, Return};

/// A grant as the ledger keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Which grant of the node.
    pub serial: u64,
    /// Requests that it holds.
    pub count: u64,
    /// The UTC day that they were counted to.
    pub day: i64,
    /// Where its stretch begins.
    pub tat_ns: i64,
    /// Where its stretch ends.
    pub limit_ns: i64,
    /// The interval of its bucket.
    pub interval_ns: i64,
}

impl Reservation {
    /// All of it, as it comes back of a grant whose answer was lost.
    fn unspent(&self, node: u64) -> Return {
        Return {
            holder: GrantHolder { node, serial: self.serial },
            spent: 0,
            streak: 0,
            since_ns: i64::MAX,
            late: false,
            unspent: self.count,
            tat_ns: self.tat_ns,
            limit_ns: self.limit_ns,
            day: self.day,
            interval_ns: self.interval_ns,
            unanswered: true,
        }
    }
}

/// Whether a request of the node that it has no answer to was carried out: what came with it came.
pub fn was_carried_out(kept: Option<Reservation>, unanswered_from: Option<u64>) -> bool {
    kept.is_some_and(|kept| unanswered_from.is_some_and(|from| kept.serial >= from))
}

/// What is to be taken back of a node: `kept` is what the ledger gave it last, `returned` what the node gives back, and
/// `unanswered_from` the first of its requests since then that it has no answer to.
pub fn settled(
    node: u64,
    kept: Option<Reservation>,
    returned: Option<Return>,
    unanswered_from: Option<u64>,
) -> Option<Return> {
    if let Some(kept) = kept.filter(|_| was_carried_out(kept, unanswered_from)) {
        return Some(kept.unspent(node));
    }
    // Of what was not written down nothing can come back twice: it holds nothing.
    returned.filter(|back| match kept {
        Some(kept) => back.holder.serial == kept.serial || back.holder.serial == 0,
        None => back.holder.serial == 0,
    })
}
