//! DynamoDB: the log, the views, the ledger and the records in tables that any number of servers share. [`schema`] describes the
//! tables.
//!
//! Guarantees: every paged read follows `LastEvaluatedKey`; limits of items, batches and transactions are checked here, with errors
//! that say what to do; reads that decide something are consistent.

mod admin_tokens;
mod administrators;
mod answers;
mod append;
mod chain;
mod checkpoints;
mod claims;
mod commit;
mod commits;
mod endings;
mod feed;
mod fetch;
mod item;
mod ledger;
mod log;
mod now;
mod orphans;
mod project;
mod quarantine;
mod read_pace;
pub mod records;
mod repair;
mod replay;
mod rows;
pub mod schema;
pub mod secrets;
mod seen_open;
pub mod setup;
mod spool;
mod standing;
mod stores;
mod streams;
mod terms;
mod transfer;
mod twice;
mod upkeep;
mod views;
mod write;

use std::sync::{Arc, atomic::AtomicU16};

use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata, SdkError},
};

use self::{endings::Endings, seen_open::SeenOpen};
pub use self::{
    ledger::DynamoLedger,
    seen_open::{CLOSING_WAIT, MARK_UNWATCHED},
};
use super::StoreError;
use crate::{
    aws::{self, Access},
    clock::SharedClock,
};

/// Largest item, bytes: names and values of its attributes together.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Writes of one batch.
pub const BATCH_WRITES_MAX: usize = 25;
/// Reads of one batch.
pub const BATCH_READS_MAX: usize = 100;
/// Writes of one transaction.
pub const TRANSACTION_WRITES_MAX: usize = 100;
/// Largest batch or transaction, bytes.
pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest partition key, bytes.
pub const PARTITION_KEY_BYTES_MAX: usize = 2048;
/// Longest sort key, bytes.
pub const SORT_KEY_BYTES_MAX: usize = 1024;

/// Requests of one operation that run at once.
const PARALLEL: usize = 16;

/// A client and the names of this deployment's tables. Clones share connections.
#[derive(Debug, Clone)]
pub struct Dynamo {
    client: Client,
    access: Access,
    prefix: String,
    /// The counter that tells the commits of one microsecond apart: see [`commit`].
    ties: Arc<AtomicU16>,
    /// The ends of rotated keys, in a process that keeps time.
    endings: Option<Endings>,
    /// When the deployment was last seen to be open.
    seen_open: SeenOpen,
}

impl Dynamo {
    /// The tables with this name prefix. Sends nothing yet.
    pub fn new(access: &Access, prefix: &str) -> Self {
        let (client, access, prefix) = (client(access), access.clone(), prefix.to_owned());
        Self { client, access, prefix, ties: Arc::default(), endings: None, seen_open: SeenOpen::default() }
    }

    /// The same for a process that reckons the ends of rotated keys by its monotonic clock. A process that only looks uses the wall
    /// clock.
    #[must_use]
    pub fn keeping_time_by(self, clock: SharedClock) -> Self {
        Self { endings: Some(Endings::by(clock)), ..self }
    }

    /// The same over connections of its own: see [`Access::with_own_connections`].
    pub fn with_own_connections(&self) -> Self {
        let new = Self::new(&self.access.with_own_connections(), &self.prefix);
        Self { ties: Arc::clone(&self.ties), endings: self.endings.clone(), seen_open: self.seen_open.clone(), ..new }
    }

    /// A table's whole name, such as `permitd-events` for `events`.
    pub fn table(&self, table: &str) -> String {
        schema::table_name(&self.prefix, table)
    }

    fn seen_open(&self) -> &SeenOpen {
        &self.seen_open
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The prefix of the table names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

fn client(access: &Access) -> Client {
    let mut config = aws_sdk_dynamodb::config::Builder::from(access.config()).interceptor(access.counter());
    if let Some(endpoint) = &access.endpoints().dynamodb {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// Tells whether DynamoDB refused with this code.
fn has_code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    let found = error.as_service_error().and_then(ProvideErrorMetadata::code);
    found.is_some_and(|found| found.ends_with(code))
}

/// Why a call failed, for users of the store. `table` tells a missing table from others.
fn unavailable<E, R>(table: &str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata,
{
    if has_code(error, "ResourceNotFoundException") {
        return StoreError::Unavailable(format!(
            "table {table}, or what is asked of it, is missing: run `permitd aws setup`, with --datasets DIR for definitions of your own"
        ));
    }
    StoreError::Unavailable(format!("table {table}: {}", aws::reason("DynamoDB", error)))
}

/// The error for work of a thread that AWS is called from.
fn no_bridge(error: aws::BridgeError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// The error for a request that cannot be built.
fn not_built(error: BuildError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
