//! Builds a node from its settings: stores, queue, mailer, actors and, for `serve`, the servers; and stops them in order.

mod admin_token;
mod backend;
mod background;
mod backup;
mod data_dir;
mod definitions;
mod deployment;
mod error;
mod listeners;
mod node;
mod open_files;
mod ports;
mod purpose;
mod secret;
mod server;

use std::sync::Arc;

pub use self::{
    admin_token::new_admin_token,
    backend::mailer,
    backup::{BackupError, ByteReport, Manifest, backup, restore},
    data_dir::{Premises, refuse_a_lost_database},
    definitions::{
        DefinitionPlace, KnownDefinition, chosen_definition, definitions, known_definitions, read_definition,
    },
    error::StartError,
    listeners::Listeners,
    node::Node,
    open_files::raise_limit,
    purpose::Purpose,
    secret::{ReplacedSecret, replace_secret},
    server::Server,
};
use crate::{
    aws::Access,
    clock::SharedClock,
    config::Settings,
    store::{Stores, records::RecordStore},
};

/// Runs `work` with what actors need on the calling thread, until it has ended.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    ports::mark_main_thread();
    let system = actix_web::rt::System::new();
    // An actor that was started and has not begun does so when the system is dropped, and sets its timers then: they want the
    // runtime entered.
    let runtime = system.runtime().tokio_runtime().handle().clone();
    let _entered = runtime.enter();
    let outcome = system.block_on(work);
    drop(system);
    outcome
}

/// Opens the stores and nothing else: whoever has only these can neither publish nor send. Without an access to AWS, that of
/// the environment is used where one is needed.
///
/// # Errors
/// When they cannot be opened.
pub async fn open_stores(settings: &Settings, aws: Option<Access>) -> Result<Stores, StartError> {
    backend::open_stores(settings, aws).await
}

/// Opens the records and nothing else.
///
/// # Errors
/// When they cannot be opened.
pub async fn open_records(
    settings: &Settings,
    clock: &SharedClock,
    aws: Option<Access>,
) -> Result<Arc<dyn RecordStore>, StartError> {
    backend::open_records(settings, clock, aws).await
}
