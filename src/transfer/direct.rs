//! Copies a log from one deployment into another, without a file in between.

use std::{sync::mpsc::sync_channel, thread};

use sha2::{Digest, Sha256};

use super::{ChainCount, TransferError, TransferPhase, TransferReport, Transferred, verify_chains};
use crate::{
    domain::{chain::ChainHash, persisted::StoredCommit},
    failpoint::crash_point,
    store::{LogOrder, LogTarget, StoreError, Transferable},
};

/// Chunks that are read ahead.
const AHEAD: usize = 1;

/// What a log is, in a word: its commits, and a digest over all of them, whatever the order of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDigest {
    /// Streams and commits.
    pub chains: ChainCount,
    /// The exclusive or of the SHA-256 of each commit's stream, version and hash.
    pub heads: [u8; 32],
}

/// The digest of a log.
///
/// # Errors
/// When the log cannot be read.
pub fn log_digest(log: &dyn Transferable, report: TransferReport<'_>) -> Result<LogDigest, TransferError> {
    let mut source = log.log_source(LogOrder::Streams)?;
    let mut heads = [0; 32];
    let mut seen = |commit: &StoredCommit, head: ChainHash| {
        let mut digest = Sha256::new_with_prefix(commit.stream.to_string());
        digest.update(commit.version.to_be_bytes());
        digest.update(head.as_bytes());
        for (all, one) in heads.iter_mut().zip(digest.finalize()) {
            *all ^= one;
        }
    };
    // A stream in quarantine may be broken: it is compared all the same, by what its last hash would be.
    let chains = verify_chains(&mut *source, report, &mut seen, &mut |_| {})?;
    Ok(LogDigest { chains, heads })
}

/// Copies the commits after the first `after`, in log order, and what is beside the log with the keys of people's data. `prepare` sees each
/// commit before it is written. Returns the number of commits that the target has then.
///
/// # Errors
/// [`TransferError`]: the copy can be repeated, and goes on where it was.
pub fn copy_log(
    source: &dyn Transferable,
    target: &mut dyn LogTarget,
    after: u64,
    prepare: &mut dyn FnMut(&mut StoredCommit),
    report: TransferReport<'_>,
) -> Result<u64, TransferError> {
    let mut log = source.log_source(LogOrder::Positions)?;
    let mut copied = Transferred { phase: TransferPhase::Log, commits: 0 };
    thread::scope(|scope| {
        let (send, chunks) = sync_channel::<Vec<StoredCommit>>(AHEAD);
        let reading = scope.spawn(move || -> Result<_, TransferError> {
            loop {
                let commits = log.next()?.commits;
                // The writer is gone after an error, which it tells itself.
                if commits.is_empty() || send.send(commits).is_err() {
                    return Ok(log);
                }
            }
        });
        for mut commits in chunks {
            let known = usize::try_from(after.saturating_sub(copied.commits)).unwrap_or(usize::MAX);
            copied.commits = copied.commits.saturating_add(u64::try_from(commits.len()).unwrap_or(u64::MAX));
            commits.drain(..known.min(commits.len()));
            if !commits.is_empty() {
                crash_point("move-log-batch");
                commits.iter_mut().for_each(&mut *prepare);
                target.put(&commits)?;
            }
            report(copied);
        }
        let ended = || StoreError::Unavailable("a thread that read the log has ended".to_owned());
        let mut log = reading.join().map_err(|_| ended())??;
        log.beside(true, &mut |items| target.put_beside(&items))?;
        Ok(copied.commits)
    })
}
