//! The state that the routes of a node share.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
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
    domain::{
        id::Who,
        key::{KeyHash, KeyId},
    },
    store::records::RecordStore,
};

/// Most clients that follow the log of one server.
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
    /// The shared places of scans and exports.
    pub shares: Shares,
    /// Checks that the records are those that the log knows.
    pub lineages: Arc<Lineages>,
    /// Invites.
    pub inviting: Inviting,
    /// Changes accounts and plans.
    pub accounts: Accounts,
    /// Signs people in.
    pub sign_ins: Arc<SignIns>,
    /// Signs people in who come from a provider, if one is configured.
    pub provider: Option<Arc<ProviderSignIns>>,
    /// Revokes keys that are reported as leaked.
    pub leaks: Leaks,
    /// Finishes commits that were left unpublished.
    pub relay: Relay,
    /// Fulfils invitations and deletions.
    pub mailers: Mailers,
    /// Sends what is mailed to no person of the log.
    pub mailer: Arc<dyn crate::mail::Mailer>,
    /// Notices what people are to be told.
    pub notices: Notices,
    /// Imports files.
    pub imports: Imports,
    /// Seals cursors.
    pub cursor_key: CursorKey,
    /// The cache of ready answers.
    pub ready: Arc<ReadyAnswers>,
    /// Whether the node wants requests.
    pub readiness: Readiness,
    /// Checks whether the node can answer requests.
    pub checkup: Arc<Checkup>,
    /// Access to AWS, where the node has one: it counts its calls.
    pub aws: Option<Access>,
    /// The administrators' tokens that existed at the start, by their hashes. Tokens of the older form have no id in them and are
    /// recognised by their hashes.
    pub old_tokens: Arc<HashMap<String, OldToken>>,
    /// When this node noted the last use of each administrator's token.
    pub token_uses: Arc<TokenUses>,
    /// Makes and revokes administrators' tokens.
    pub tokens: Tokens,
    /// The places of clients that follow the log.
    pub followers: Arc<Semaphore>,
    /// How the pages look.
    pub look: Arc<Look>,
    /// Counts the answers.
    pub meter: Arc<RequestMeter>,
    /// What the node shows, if it only shows a copy and changes nothing.
    pub rehearsed: Option<Arc<Rehearsed>>,
}

/// What a node shows that changes nothing.
#[derive(Debug)]
pub struct Rehearsed {
    /// The deployment, for people.
    pub of: String,
    /// The moment that it shows.
    pub as_of: Timestamp,
    /// The one token of this process with which an administrator looks at all of it. It is stored nowhere.
    pub token: AdminTokenOfRun,
}

/// A token that a process has made for itself.
#[derive(Debug, Clone, Copy)]
pub struct AdminTokenOfRun {
    /// Its id.
    pub id: KeyId,
    /// Its hash.
    pub hash: KeyHash,
}

/// An administrator's token that existed when the node started.
#[derive(Debug, Clone)]
pub struct OldToken {
    /// Its public id.
    pub id: KeyId,
    /// The log's name for the token's user. A token older than its events keeps its former name: repeated commands are found by it.
    pub who: Who,
}

/// Whether the node wants requests: `/health/ready` says so.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<ReadinessState>);

#[derive(Debug, Default)]
struct ReadinessState {
    wanted: AtomicBool,
    /// Set once nothing may be answered any more.
    closed: OnceLock<Closed>,
}

/// Why a node is closed.
#[derive(Debug)]
struct Closed {
    why: String,
    /// What clients are told where the deployment was moved.
    moved: Option<String>,
}

/// The places of `FOLLOWERS_MAX` followers of the log.
pub fn followers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(FOLLOWERS_MAX))
}

impl Readiness {
    /// Sets whether the node wants requests.
    pub fn set(&self, ready: bool) {
        self.0.wanted.store(ready, Ordering::SeqCst);
    }

    /// Whether the node wants requests and is not closed.
    pub fn get(&self) -> bool {
        self.0.wanted.load(Ordering::SeqCst) && self.closed().is_none()
    }

    /// Closes the node: nothing may be answered any more, for this reason. Only a restart opens it again.
    pub fn close(&self, why: String) {
        // The first reason stays.
        self.0.closed.set(Closed { why, moved: None }).ok();
    }

    /// Closes the node because its deployment was moved; `told` is what clients are told. Only a restart opens it again.
    pub fn close_as_moved(&self, why: String, told: String) {
        // As above.
        self.0.closed.set(Closed { why, moved: Some(told) }).ok();
    }

    /// What clients are told of a deployment that was moved, if it was.
    pub fn moved(&self) -> Option<&str> {
        self.0.closed.get().and_then(|closed| closed.moved.as_deref())
    }

    /// Why nothing may be answered any more, if the node is closed.
    pub fn closed(&self) -> Option<&str> {
        self.0.closed.get().map(|closed| closed.why.as_str())
    }
}
