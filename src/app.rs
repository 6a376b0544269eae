//! Builds a node from its settings: stores, queue, mailer, actors and, for `serve`, the servers; and stops these in order.

mod admin_token;
mod backend;
mod background;
mod backup;
mod checkpoints;
mod copy_mark;
mod copying;
mod data_dir;
mod definitions;
mod deployment;
mod error;
mod listeners;
mod move_error;
mod move_plan;
mod move_sides;
mod moved_records;
mod moving;
mod node;
mod open_files;
mod ports;
mod purpose;
mod secret;
mod server;
mod transfer;

use std::sync::Arc;

pub use self::{
    admin_token::new_admin_token,
    backend::{mailer, refuse_marked},
    backup::{BackupError, ByteReport, Manifest, backup, restore},
    checkpoints::{ProofOrder, mail_checkpoint, prove, seal_log},
    copy_mark::{CopiedDataSet, CopyMark, UncopiedDataSet, refuse_a_copy, refuse_an_unfinished_copy},
    copying::{CopyError, CopyPoint, CopyReport, CopyStep, copy_as_of},
    data_dir::{Premises, refuse_a_lost_database},
    definitions::{
        DefinitionPlace, KnownDefinition, chosen_definition, definitions, known_definitions, read_definition,
    },
    error::StartError,
    listeners::Listeners,
    move_error::MoveError,
    move_plan::{MoveEstimate, estimate_move},
    moved_records::{
        DataSetSize, MovedDataSet, RecordsMoveError, RecordsMoveReport, RecordsMoveStep, measure_records,
        measure_records_with, move_records, move_records_with,
    },
    moving::{MoveOrder, MoveReport, MoveReports, MovedDeployment, PreparedMove, abandon_move, other_side},
    node::Node,
    open_files::raise_limit,
    purpose::Purpose,
    secret::{ReplacedSecret, replace_secret},
    server::Server,
    transfer::{ExportWith, export_log, import_log},
};
use crate::{
    aws::Access,
    clock::SharedClock,
    config::Settings,
    store::{Stores, records::RecordStore},
};

/// Runs `work` to its end on the calling thread, with the runtime that actors need.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    ports::mark_main_thread();
    let system = actix_web::rt::System::new();
    // An actor that was started but has not begun does so while the system is dropped, and then sets timers, which need an entered runtime.
    let runtime = system.runtime().tokio_runtime().handle().clone();
    let _entered = runtime.enter();
    let outcome = system.block_on(work);
    drop(system);
    outcome
}

/// Opens only the stores, so that the caller can neither publish nor send. Without `aws`, the environment's access to AWS is used where one
/// is needed.
///
/// # Errors
/// When the stores cannot be opened.
pub async fn open_stores(settings: &Settings, aws: Option<Access>) -> Result<Stores, StartError> {
    let stores = backend::open_stores(settings, aws).await?;
    backend::refuse_filling(&stores).await?;
    Ok(stores)
}

/// Opens the stores of a data directory to compare them with others. No table is migrated.
///
/// # Errors
/// When the directory cannot be opened, or another permitd wrote its tables.
pub fn open_to_compare(settings: &Settings) -> Result<Stores, StartError> {
    backend::open_to_compare(settings)
}

/// Opens only the records.
///
/// # Errors
/// When the records cannot be opened.
pub async fn open_records(
    settings: &Settings,
    clock: &SharedClock,
    aws: Option<Access>,
) -> Result<Arc<dyn RecordStore>, StartError> {
    backend::open_records(settings, clock, aws).await
}
