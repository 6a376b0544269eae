//! The traits that a node works with, over these tables.

use std::sync::Arc;

use super::{Dynamo, ledger::DynamoLedger};
use crate::store::{Quarantines, Stores};

impl Dynamo {
    /// The traits that a node works with, all over these tables.
    pub fn stores(&self) -> Stores {
        let ledger = Arc::new(DynamoLedger::new(self.clone(), Arc::new(self.clone())));
        Stores {
            log: Arc::new(self.clone()),
            answers: Arc::new(self.clone()),
            views: Arc::new(self.clone()),
            ledger: Arc::clone(&ledger) as _,
            accounts: ledger,
            admin_tokens: Arc::new(self.clone()),
            quarantines: Quarantines::new(Arc::new(self.clone())),
            checkpoints: Arc::new(self.clone()),
            replay: Arc::new(self.clone()),
            transfer: Arc::new(self.clone()),
            upkeep: Arc::new(self.clone()),
        }
    }
}
