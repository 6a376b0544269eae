//! What the routes have at hand.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Semaphore;

use super::{checkup::Checkup, meter::RequestMeter, pages::look::Look, ready::ReadyAnswers, token_uses::TokenUses};
use crate::{
    actors::{
        account::Accounts, commit::Committer, grants::GrantBook, import::Imports, invite::Inviting, leaks::Leaks,
        lineage::Lineages, mailer::Mailers, notices::Notices, provider::ProviderSignIns, query::Shares, relay::Relay,
        sign_in::SignIns, tokens::Tokens,
    },
    aws::Access,
    config::Settings,
    dataset::cursor::CursorKey,
    domain::{id::Who, key::KeyId},
    store::records::RecordStore,
};

/// Those who follow the log of one server at most.
pub(in crate::http) const FOLLOWERS_MAX: usize = 16;

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
    /// Whether they are those that the log knows.
    pub lineages: Arc<Lineages>,
    /// Invites.
    pub inviting: Inviting,
    /// Changes accounts and plans.
    pub accounts: Accounts,
    /// Signs people in.
    pub sign_ins: Arc<SignIns>,
    /// Signs people in who come from a provider of identities, where there is one.
    pub provider: Option<Arc<ProviderSignIns>>,
    /// Revokes keys that are reported as leaked.
    pub leaks: Leaks,
    /// Publishes what was left behind.
    pub relay: Relay,
    /// Fulfils invitations and deletions.
    pub mailers: Mailers,
    /// Notices what people are to be told.
    pub notices: Notices,
    /// Imports files.
    pub imports: Imports,
    /// Seals cursors.
    pub cursor_key: CursorKey,
    /// Answers that are ready for who asks the same.
    pub ready: Arc<ReadyAnswers>,
    /// Whether the node wants requests.
    pub readiness: Readiness,
    /// Whether it could answer them.
    pub checkup: Arc<Checkup>,
    /// Access to AWS, where the node has one: it counts its calls.
    pub aws: Option<Access>,
    /// The administrators' tokens that were there at the start, by their hashes: those of the older form, without an id in
    /// them, are known by them.
    pub old_tokens: Arc<HashMap<String, OldToken>>,
    /// When this node noted the use of each.
    pub token_uses: Arc<TokenUses>,
    /// Makes and revokes them.
    pub tokens: Tokens,
    /// Places for those who follow the log.
    pub followers: Arc<Semaphore>,
    /// How the pages look.
    pub look: Arc<Look>,
    /// Counts the answers.
    pub meter: Arc<RequestMeter>,
}

/// A token that was there at the start.
#[derive(Debug, Clone)]
pub struct OldToken {
    /// Its public id.
    pub id: KeyId,
    /// How the log names whoever uses it. One that is older than its events is named as before: commands that are repeated are found by it.
    pub who: Who,
}

/// Whether the node wants requests: `/health/ready` says so.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<ReadinessState>);

#[derive(Debug, Default)]
struct ReadinessState {
    wanted: AtomicBool,
    /// Why nothing may be answered any more.
    closed: OnceLock<String>,
}

/// Places for so many followers of the log as one server has.
pub fn followers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(FOLLOWERS_MAX))
}

impl Readiness {
    /// Says whether it does.
    pub fn set(&self, ready: bool) {
        self.0.wanted.store(ready, Ordering::SeqCst);
    }

    /// Whether it does.
    pub fn get(&self) -> bool {
        self.0.wanted.load(Ordering::SeqCst) && self.closed().is_none()
    }

    /// Says that nothing may be answered any more, and why. There is no way back but a new start.
    pub fn close(&self, why: String) {
        // Who comes first says why.
        self.0.closed.set(why).ok();
    }

    /// Why nothing may be answered any more, if that is so.
    pub fn closed(&self) -> Option<&str> {
        self.0.closed.get().map(String::as_str)
    }
}
