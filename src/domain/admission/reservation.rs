//! The ledger's record of the last grant that each node took of a key, so that a grant whose answer was lost is found again.
//!
//! With each request a node says which grant's answer it received last, and since when its requests went unanswered. The ledger keeps the
//! grant that it gave the node last. If the two are the same, the node's return is taken back. If not, the answer with the ledger's grant
//! was lost: nothing of that grant was spent, so all of it is taken back; the node's return was taken back with the request for it. Each is
//! taken back once, because the same write replaces the ledger's record.

use super::returned::{GrantHolder, Return};

/// A grant as the ledger records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The grant's serial number within its node.
    pub serial: u64,
    /// Requests that the grant holds.
    pub count: u64,
    /// The UTC day to which the requests count.
    pub day: i64,
    /// Where the grant's stretch begins.
    pub tat_ns: i64,
    /// Where the grant's stretch ends.
    pub limit_ns: i64,
    /// The interval of the grant's bucket.
    pub interval_ns: i64,
}

impl Reservation {
    /// The return of the whole grant, for a grant whose answer was lost.
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

/// Tells whether an unanswered request of the node was carried out, so that its return was received.
pub fn was_carried_out(kept: Option<Reservation>, unanswered_from: Option<u64>) -> bool {
    kept.is_some_and(|kept| unanswered_from.is_some_and(|from| kept.serial >= from))
}

/// What to take back from a node: `kept` is the ledger's last grant to it, `returned` the node's return, and `unanswered_from` the first of
/// its requests since then that got no answer.
pub fn settled(
    node: u64,
    kept: Option<Reservation>,
    returned: Option<Return>,
    unanswered_from: Option<u64>,
) -> Option<Return> {
    if let Some(kept) = kept.filter(|_| was_carried_out(kept, unanswered_from)) {
        return Some(kept.unspent(node));
    }
    // A grant that was not recorded holds nothing, so nothing of it can be taken back twice.
    returned.filter(|back| match kept {
        Some(kept) => back.holder.serial == kept.serial || back.holder.serial == 0,
        None => back.holder.serial == 0,
    })
}
