//! Seals the log of a deployment, and proves that it is what it was.

use std::sync::Arc;

use super::{StartError, backend, block_on};
use crate::{
    clock::SharedClock,
    config::Settings,
    domain::checkpoint::SignedCheckpoint,
    sealing::{Expected, Forgery, HeldVersions, Proven, Sealed, TrustedKeys, expected, passes, prove_log, seal},
    secrets::Entropy,
    store::{LogOrder, Stores, records::RecordStore},
    transfer::TransferReport,
};

/// Tries of a checkpoint whose number another process takes.
const TRIES_MAX: u32 = 5;

/// Makes a checkpoint, with the key of the deployment, which the first one makes.
///
/// # Errors
/// When there is no key, or no checkpoint can be made.
pub async fn seal_log(
    settings: &Settings,
    stores: &Stores,
    records: Arc<dyn RecordStore>,
    (clock, entropy): (&SharedClock, &dyn Entropy),
) -> Result<Sealed, StartError> {
    let key = backend::checkpoint_key(settings, entropy).await?;
    let versions = HeldVersions(records);
    for _ in 1..TRIES_MAX {
        match seal(stores, &versions, &key, clock.now()).await? {
            Sealed::Overtaken => {}
            sealed => return Ok(sealed),
        }
    }
    Ok(seal(stores, &versions, &key, clock.now()).await?)
}

/// What a log is proven by.
#[derive(Debug, Default)]
pub struct ProofOrder {
    /// The first checkpoint; none for the first of all.
    pub from: Option<u64>,
    /// The last checkpoint; none for the last of all.
    pub to: Option<u64>,
    /// The keys that are trusted; without any, the deployment's own, if it is here.
    pub trusted: TrustedKeys,
    /// Checkpoints that were kept elsewhere.
    pub elsewhere: Vec<SignedCheckpoint>,
}

/// Compares the log with its checkpoints. Gives what was tampered with to `found`. Changes nothing; servers may run.
///
/// # Errors
/// When the log or the checkpoints cannot be read.
pub fn prove(
    settings: &Settings,
    stores: &Stores,
    mut order: ProofOrder,
    report: TransferReport<'_>,
    found: &mut dyn FnMut(Forgery),
) -> Result<Proven, StartError> {
    if order.trusted.is_empty()
        && let Some(key) = block_on(backend::find_checkpoint_key(settings))?
    {
        order.trusted.insert(key.public());
    }
    let range = (order.from, order.to);
    let mut proven = Proven { passes: block_on(passes(&*stores.checkpoints, order.to))?, ..Proven::default() };
    for part in 0..proven.passes {
        let by = (&order.trusted, order.elsewhere.as_slice());
        let reading = expected(&*stores.checkpoints, range, by, (part, proven.passes), found);
        let mut expected: Expected = block_on(reading)?;
        proven.checkpoints = expected.checkpoints();
        let mut source = stores.transfer.log_source(LogOrder::Streams)?;
        proven.chains = prove_log(&mut *source, &mut expected, report, found)?;
    }
    Ok(proven)
}
