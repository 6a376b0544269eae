//! What the routes have at hand.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    actors::{
        account::Accounts, commit::Committer, grants::GrantBook, import::Imports, invite::Inviting, mailer::Mailers,
        query::Shares, relay::Relay,
    },
    aws::Access,
    config::Settings,
    dataset::cursor::CursorKey,
    http::{meter::RequestMeter, ready::ReadyAnswers},
    store::records::RecordStore,
};

/// The handles of the node's actors and stores. The gate and the query actor are not here: every worker has its own.
#[derive(Clone)]
pub struct Service {
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// The base of links, without a slash at its end.
    pub public_url: String,
    /// Carries commands out, and holds the stores, the queue and the clock.
    pub committer: Arc<Committer>,
    /// The grants of this node.
    pub book: Arc<GrantBook>,
    /// The records.
    pub records: Arc<dyn RecordStore>,
    /// What questions that take long share.
    pub shares: Shares,
    /// Invites.
    pub inviting: Inviting,
    /// Changes accounts and plans.
    pub accounts: Accounts,
    /// Publishes what was left behind.
    pub relay: Relay,
    /// Fulfils invitations and deletions.
    pub mailers: Mailers,
    /// Imports files.
    pub imports: Imports,
    /// Seals cursors.
    pub cursor_key: CursorKey,
    /// Answers that are ready for who asks the same.
    pub ready: Arc<ReadyAnswers>,
    /// Whether the node wants requests.
    pub readiness: Readiness,
    /// Access to AWS, where the node has one: it counts its calls.
    pub aws: Option<Access>,
    /// Counts the answers.
    pub meter: Arc<RequestMeter>,
}

/// Whether the node wants requests: `/health/ready` says so.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether it does.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::SeqCst);
    }

    /// Whether it does.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
