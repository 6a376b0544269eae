//! Exports a deployment's log into a file, and imports one into a deployment that has none.

use std::path::Path;

use super::{Purpose, StartError, backend, block_on, data_dir};
use crate::{
    clock::Clock,
    config::{Backend, Settings},
    secrets::Entropy,
    store::{Stores, sqlite::Database},
    transfer::{
        self, Exported, FileHead, FileKeys, FileLock, GivenSecret, Imported, LogExportOrder, LogFile, LogImportOrder,
        TransferError, TransferReport,
    },
};

/// What a file gets beside the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportWith {
    /// The keys of people's data.
    pub personal_keys: bool,
    /// The server secret.
    pub secret: bool,
}

/// Exports the log of the deployment that the settings name. Servers may run.
///
/// # Errors
/// When the deployment cannot be opened, or the file not be made: there is none then.
pub fn export_log(
    settings: &Settings,
    (to, lock, with): (&Path, FileLock, ExportWith),
    (clock, entropy): (&dyn Clock, &dyn Entropy),
    report: TransferReport<'_>,
) -> Result<Exported, StartError> {
    let stores = block_on(super::open_stores(settings, None))?;
    let secret = if with.secret { Some(block_on(backend::secret_json(settings))?) } else { None };
    let checkpoint_key = if with.secret { block_on(backend::checkpoint_key_json(settings))? } else { None };
    let mut random = [0; 10];
    entropy.fill(&mut random)?;
    let made_at = clock.now();
    let millis = u64::try_from(made_at.as_millisecond()).unwrap_or(0);
    let head = FileHead {
        form: transfer::FORM,
        id: uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid(),
        permitd: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        with_personal_keys: with.personal_keys,
        with_secret: with.secret,
    };
    Ok(transfer::export(&*stores.transfer, LogExportOrder { to, lock, head, secret, checkpoint_key }, report)?)
}

/// Imports a log into the deployment that the settings name, which has none, or in which an import of the same file was interrupted.
/// `begun` hears of the file once it is known to be whole.
///
/// # Errors
/// When the deployment cannot be opened or has a log, or the file is not whole: nothing was changed then; or when the import is not complete:
/// then it can be repeated.
pub fn import_log(
    settings: &Settings,
    (path, keys): (&Path, FileKeys),
    begun: impl FnOnce(&LogFile),
    report: TransferReport<'_>,
) -> Result<Imported, StartError> {
    let file = LogFile::check(path, keys, report)?;
    let (stores, locks) = match settings.backend {
        Backend::Sqlite => {
            data_dir::open(&settings.data, Purpose::Serve)?;
            // A server must not begin in it meanwhile.
            let (premises, _) = block_on(data_dir::take_locks(&settings.data, Purpose::Serve))?;
            (Database::open(&settings.data)?.stores(), premises)
        }
        Backend::Aws => (block_on(backend::open_stores(settings, None))?, None),
    };
    begun(&file);
    let mut keep_secret = |given: GivenSecret<'_>| {
        let kept = match given {
            GivenSecret::Server(json) => block_on(backend::keep_secret(settings, json)),
            GivenSecret::CheckpointKey(json) => block_on(backend::keep_checkpoint_key(settings, json)),
        };
        kept.map_err(|error| TransferError::Secret(error.to_string()))
    };
    let imported =
        transfer::import(LogImportOrder { file: &file, stores: &stores, keep_secret: &mut keep_secret }, report)?;
    close(&stores);
    drop(locks);
    Ok(imported)
}

fn close(stores: &Stores) {
    if let Err(error) = block_on(stores.upkeep.close()) {
        tracing::debug!(%error, "the database was not closed in order; nothing is lost");
    }
}
