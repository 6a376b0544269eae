//! The stores that a file holds.

use std::sync::Arc;

use super::{Database, copied_ledger::CopiedLedger};
use crate::store::{Quarantines, Stores};

impl Database {
    /// The stores that this file holds. A file that is only read keeps what is spent of it in memory.
    pub fn stores(&self) -> Stores {
        Stores {
            log: Arc::new(self.clone()),
            answers: Arc::new(self.clone()),
            views: Arc::new(self.clone()),
            ledger: match self.is_read_only() {
                true => Arc::new(CopiedLedger::new(self.clone())),
                false => Arc::new(self.clone()),
            },
            accounts: Arc::new(self.clone()),
            admin_tokens: Arc::new(self.clone()),
            quarantines: Quarantines::new(Arc::new(self.clone())),
            checkpoints: Arc::new(self.clone()),
            replay: Arc::new(self.clone()),
            transfer: Arc::new(self.clone()),
            upkeep: Arc::new(self.clone()),
        }
    }
}
