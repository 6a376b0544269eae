//! Writes a log into a file.

use std::{
    io::Write,
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, ScopedJoinHandle},
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    FileHead, FileLock, TransferError, TransferPhase, TransferReport, Transferred, failed,
    line::{BesideLine, FileEnd, FileLine},
    seal::LockedWriter,
};
use crate::{
    domain::{
        id::hex,
        persisted::{StoredCommit, line::CommitLine},
    },
    store::{LogOrder, StoreError, Transferable},
};

/// How much zstd tries. Of a log this makes a smaller file than its default, in less than half the time.
const ZSTD_LEVEL: i32 = 1;
/// Pieces that may wait between two threads.
const AHEAD: usize = 2;

/// What to export, and where to.
pub struct LogExportOrder<'a> {
    /// The file to make.
    pub to: &'a Path,
    /// Who may read it.
    pub lock: FileLock,
    /// What it is.
    pub head: FileHead,
    /// The server secret as `secret.json` holds it, if the file is to have it.
    pub secret: Option<Zeroizing<String>>,
    /// The key of checkpoints as `checkpoint-key.json` holds it, if the file is to have it.
    pub checkpoint_key: Option<Zeroizing<String>>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// The file's own id.
    pub id: uuid::Uuid,
    /// Commits.
    pub commits: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The SHA-256 of its lines, before they were compressed, hexadecimal.
    pub sha256: String,
}

/// Exports a log, whole or not at all: the file has its name once it is complete and on the disk. Appends go on meanwhile.
///
/// # Errors
/// [`TransferError`]: there is no file then.
pub fn export(
    log: &dyn Transferable,
    order: LogExportOrder<'_>,
    report: TransferReport<'_>,
) -> Result<Exported, TransferError> {
    let LogExportOrder { to, lock, head, secret, checkpoint_key } = order;
    let folder = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if to.symlink_metadata().is_ok() {
        return Err(TransferError::Exists { path: to.to_owned() });
    }
    let unfinished = tempfile::Builder::new()
        .prefix(".log-")
        .tempfile_in(folder)
        .map_err(failed("cannot make a file in", folder))?;
    let file = unfinished.reopen().map_err(failed("cannot write", to))?;
    let writer = lock.through(file).map_err(failed("cannot write", to))?;
    let mut source = log.log_source(LogOrder::Positions)?;
    let (id, with_personal_keys) = (head.id, head.with_personal_keys);
    let (commits, sha256, bytes) = thread::scope(|scope| {
        let (send_lines, lines) = sync_channel::<Zeroizing<Vec<u8>>>(AHEAD);
        let (send_commits, to_write) = sync_channel::<Vec<StoredCommit>>(AHEAD);
        let writing = scope.spawn(move || compress(writer, &lines));
        send_lines.send(line_of(&FileLine::Log(head))?).map_err(|_| interrupted())?;
        let commit_lines = send_lines.clone();
        let encoding: ScopedJoinHandle<'_, Result<(), TransferError>> = scope.spawn(move || {
            for commits in to_write {
                let mut some = Zeroizing::new(Vec::with_capacity(commits.len() * 1024));
                for commit in &commits {
                    add_line(&mut some, &FileLine::Commit(CommitLine::of(commit)))?;
                }
                // The writer is gone after an error, which it tells itself.
                if commit_lines.send(some).is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        let mut transferred = Transferred { phase: TransferPhase::Log, commits: 0 };
        loop {
            let commits = source.next()?.commits;
            if commits.is_empty() {
                break;
            }
            transferred.commits += u64::try_from(commits.len()).unwrap_or(u64::MAX);
            if send_commits.send(commits).is_err() {
                break;
            }
            report(transferred);
        }
        drop(send_commits);
        encoding.join().map_err(|_| interrupted())??;
        let send = |line: &FileLine<'_>| -> Result<(), TransferError> {
            // As above.
            send_lines.send(line_of(line)?).ok();
            Ok(())
        };
        source.beside(with_personal_keys, &mut |items| {
            let mut some = Zeroizing::new(Vec::new());
            for item in &items {
                add_line(&mut some, &FileLine::Beside(BesideLine::from(item)))
                    .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            }
            send_lines.send(some).ok();
            Ok(())
        })?;
        if let Some(secret) = &secret {
            send(&FileLine::Secret(secret.as_str().into()))?;
        }
        if let Some(key) = &checkpoint_key {
            send(&FileLine::CheckpointKey(key.as_str().into()))?;
        }
        drop(send_lines);
        let (mut encoder, digest) = writing.join().map_err(|_| interrupted())?.map_err(failed("cannot write", to))?;
        let sha256 = hex(&digest.finalize());
        let end = line_of(&FileLine::End(FileEnd { commits: transferred.commits, sha256: sha256.clone() }))?;
        let finished = encoder.write_all(&end).and_then(|()| encoder.finish()).and_then(LockedWriter::finish);
        let file = finished.map_err(failed("cannot write", to))?;
        file.sync_all().map_err(failed("cannot write", to))?;
        let bytes = file.metadata().map_err(failed("cannot look at", to))?.len();
        Ok::<_, TransferError>((transferred.commits, sha256, bytes))
    })?;
    match unfinished.persist_noclobber(to) {
        Ok(_) => {}
        Err(refused) if refused.error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(TransferError::Exists { path: to.to_owned() });
        }
        Err(refused) => return Err(failed("cannot give its name to", to)(refused.error)),
    }
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed("cannot write", folder))?;
    Ok(Exported { id, commits, bytes, sha256 })
}

type Compressing = zstd::stream::write::Encoder<'static, LockedWriter>;

/// Compresses lines as they come, and takes their digest.
fn compress(writer: LockedWriter, lines: &Receiver<Zeroizing<Vec<u8>>>) -> std::io::Result<(Compressing, Sha256)> {
    let mut encoder = zstd::stream::write::Encoder::new(writer, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    let mut digest = Sha256::new();
    for some in lines {
        digest.update(some.as_slice());
        encoder.write_all(&some)?;
    }
    Ok((encoder, digest))
}

fn add_line(lines: &mut Vec<u8>, line: &FileLine<'_>) -> Result<(), TransferError> {
    let unwritable = |error: serde_json::Error| StoreError::Unavailable(format!("a line cannot be written: {error}"));
    serde_json::to_writer(&mut *lines, line).map_err(unwritable)?;
    lines.push(b'\n');
    Ok(())
}

fn line_of(line: &FileLine<'_>) -> Result<Zeroizing<Vec<u8>>, TransferError> {
    let mut bytes = Zeroizing::new(Vec::new());
    add_line(&mut bytes, line)?;
    Ok(bytes)
}

fn interrupted() -> TransferError {
    StoreError::Unavailable("a thread of the export has ended".to_owned()).into()
}
