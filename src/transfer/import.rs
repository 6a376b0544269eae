//! Reads a log from a file into a deployment that has none.
//!
//! Guarantees: the whole file is read and compared with its digest before anything is written. The deployment is marked until the log is complete, its
//! chains are verified and its views are made: no server starts on it before. A killed import goes on where it was.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    ChainCount, FileHead, FileKeys, TransferError, TransferPhase, TransferReport, Transferred,
    chain::require_whole,
    failed,
    line::{FORM, FileEnd, FileLine},
};
use crate::{
    domain::{id::hex, persisted::StoredCommit},
    failpoint::crash_point,
    replay,
    store::{BesideLog, LogOrder, LogTarget, Room, StoreError, Stores},
};

/// The longest line, bytes.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// Commits that are written at a time, and the bytes of their events.
const BATCH_COMMITS: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;
/// What is beside the log, written at a time.
const BATCH_BESIDE: usize = 1024;
/// Batches that are read ahead.
const AHEAD: usize = 1;

/// A file that holds a log, whole.
pub struct LogFile {
    path: PathBuf,
    keys: FileKeys,
    head: FileHead,
    end: FileEnd,
}

/// A secret of a file, as it is stored.
#[derive(Clone, Copy)]
pub enum GivenSecret<'a> {
    /// The server secret.
    Server(&'a str),
    /// The key that checkpoints are signed with.
    CheckpointKey(&'a str),
}

/// What to import, and where to.
pub struct LogImportOrder<'a> {
    /// The log.
    pub file: &'a LogFile,
    /// The deployment.
    pub stores: &'a Stores,
    /// Keeps the server secret of the file, if it has one; the same secret may be kept already.
    pub keep_secret: &'a mut dyn FnMut(GivenSecret<'_>) -> Result<(), TransferError>,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// The file's own id.
    pub id: uuid::Uuid,
    /// What its chains came to.
    #[serde(flatten)]
    pub chains: ChainCount,
    /// Commits that an interrupted import had written.
    pub resumed_after: u64,
    /// Whether the file had the keys of people's data.
    pub with_personal_keys: bool,
    /// Whether it had the server secret.
    pub with_secret: bool,
}

/// The lines of a file.
struct LogFileLines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: Zeroizing<Vec<u8>>,
    number: u64,
}

impl LogFileLines {
    fn open(path: &Path, keys: &FileKeys) -> Result<Self, TransferError> {
        let mut file = BufReader::with_capacity(1 << 16, keys.open(path)?);
        let start = file.fill_buf().map_err(failed("cannot read", path))?;
        // A file that somebody has decompressed is a log, too.
        let reader: Box<dyn BufRead + Send> = if start.starts_with(b"{") {
            Box::new(file)
        } else {
            let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(failed("cannot read", path))?;
            Box::new(BufReader::with_capacity(1 << 18, decoder))
        };
        Ok(Self { path: path.to_owned(), reader, line: Zeroizing::new(Vec::new()), number: 0 })
    }

    /// Reads the next line, with its end; empty at the end.
    fn advance(&mut self) -> Result<&[u8], TransferError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        read.map_err(|error| match self.number {
            1 => self.no_log(&error.to_string()),
            _ => self.damaged(&format!("it cannot be read: {error}")),
        })?;
        if !self.line.is_empty() && !self.line.ends_with(b"\n") {
            return Err(self.damaged("it does not end: the file was cut off, or the line is longer than any of a log"));
        }
        Ok(&self.line)
    }

    fn parsed(&self) -> Result<FileLine<'_>, TransferError> {
        serde_json::from_slice(&self.line).map_err(|error| self.damaged(&format!("it is no line of a log: {error}")))
    }

    fn damaged(&self, why: &str) -> TransferError {
        TransferError::Damaged { path: self.path.clone(), line: self.number, why: why.to_owned() }
    }

    fn no_log(&self, why: &str) -> TransferError {
        TransferError::NoLog { path: self.path.clone(), why: why.to_owned() }
    }

    /// Reads the first line.
    fn head(&mut self) -> Result<FileHead, TransferError> {
        self.advance()?;
        let Ok(FileLine::Log(head)) = serde_json::from_slice(&self.line) else {
            return Err(self.no_log("its first line does not say so"));
        };
        if head.form > FORM {
            return Err(TransferError::Newer { path: self.path.clone(), permitd: head.permitd, form: head.form });
        }
        Ok(head)
    }
}

impl LogFile {
    /// Reads a file to its end, and sees to it that it is whole: every line can be read, and together they have the digest that the last one
    /// says.
    ///
    /// # Errors
    /// [`TransferError`] where it is no log, is damaged, or cannot be decrypted.
    pub fn check(path: &Path, keys: FileKeys, report: TransferReport<'_>) -> Result<Self, TransferError> {
        let mut lines = LogFileLines::open(path, &keys)?;
        let head = lines.head()?;
        let mut digest = Sha256::new_with_prefix(lines.line.as_slice());
        let mut checked = Transferred { phase: TransferPhase::Check, commits: 0 };
        loop {
            if lines.advance()?.is_empty() {
                return Err(lines.damaged("the file ends without its last line: it was cut off"));
            }
            let mut end = None;
            let wrong = match lines.parsed()? {
                FileLine::Commit(commit) => commit.commit().err().map(|error| error.to_string()),
                FileLine::Beside(beside) => beside.item().err(),
                FileLine::Secret(_) | FileLine::CheckpointKey(_) => None,
                FileLine::Log(_) => Some("a second log begins".to_owned()),
                FileLine::End(found) => {
                    end = Some(found);
                    None
                }
            };
            if let Some(end) = end {
                if end.sha256 != hex(&digest.finalize()) || end.commits != checked.commits {
                    return Err(lines.damaged("the lines before it are not those that it was written for"));
                }
                if !lines.advance()?.is_empty() {
                    return Err(lines.damaged("something follows the last line"));
                }
                return Ok(Self { path: path.to_owned(), keys, head, end });
            }
            if let Some(wrong) = wrong {
                return Err(lines.damaged(&wrong));
            }
            digest.update(lines.line.as_slice());
            if lines.line.starts_with(b"{\"commit\":") {
                checked.commits += 1;
                if checked.commits.is_multiple_of(BATCH_COMMITS as u64) {
                    report(checked);
                }
            }
        }
    }

    /// What the file is.
    pub fn head(&self) -> &FileHead {
        &self.head
    }

    /// The commits in it.
    pub fn commits(&self) -> u64 {
        self.end.commits
    }
}

/// What is written together.
enum Batch {
    Commits(Vec<StoredCommit>),
    Beside(Vec<BesideLog>),
    Secret(Zeroizing<String>),
    CheckpointKey(Zeroizing<String>),
}

/// Imports a log.
///
/// # Errors
/// [`TransferError`]. The deployment is as it was, or stays marked: then the import can be repeated.
pub fn import(order: LogImportOrder<'_>, report: TransferReport<'_>) -> Result<Imported, TransferError> {
    let LogImportOrder { file, stores, keep_secret } = order;
    let mut target = stores.transfer.log_target()?;
    let id = file.head.id;
    let resumed_after = match target.room()? {
        Room::Taken => return Err(TransferError::Taken),
        Room::Filling { source, .. } if source != id => {
            return Err(TransferError::OtherFile { began: source, given: id });
        }
        Room::Filling { commits, .. } => commits,
        Room::Empty => {
            target.begin(id)?;
            0
        }
    };
    let mut written = Transferred { phase: TransferPhase::Log, commits: resumed_after };
    let (mut secret, mut checkpoint_key) = (None, None);
    thread::scope(|scope| {
        let (send, batches) = sync_channel::<Batch>(AHEAD);
        let reading = scope.spawn(move || read(file, resumed_after, |batch| send.send(batch).is_ok()));
        for batch in batches {
            match batch {
                Batch::Commits(commits) => {
                    crash_point("import-log-batch");
                    target.put(&commits)?;
                    written.commits += u64::try_from(commits.len()).unwrap_or(u64::MAX);
                    report(written);
                }
                Batch::Beside(items) => target.put_beside(&items)?,
                Batch::Secret(text) => secret = Some(text),
                Batch::CheckpointKey(text) => checkpoint_key = Some(text),
            }
        }
        reading.join().map_err(|_| StoreError::Unavailable("a thread of the import has ended".to_owned()))?
    })?;
    crash_point("import-log-written");
    let chains = complete(&mut *target, stores, file.end.commits, report)?;
    if let Some(secret) = secret {
        keep_secret(GivenSecret::Server(&secret))?;
    }
    if let Some(key) = checkpoint_key {
        keep_secret(GivenSecret::CheckpointKey(&key))?;
    }
    crash_point("import-log-before-finish");
    target.finish()?;
    let FileHead { with_personal_keys, with_secret, .. } = file.head;
    Ok(Imported { id, chains, resumed_after, with_personal_keys, with_secret })
}

/// Makes a written log usable: complete, verified, with its views.
///
/// # Errors
/// [`TransferError`] where the log is not whole, or has not so many commits. It can be repeated.
pub fn complete(
    target: &mut dyn LogTarget,
    stores: &Stores,
    commits: u64,
    report: TransferReport<'_>,
) -> Result<ChainCount, TransferError> {
    target.settle()?;
    crash_point("import-log-settled");
    let mut space = stores.replay.replay_space()?;
    let quarantined = space.quarantined()?;
    let mut source = stores.transfer.log_source(LogOrder::Streams)?;
    let chains = require_whole(&mut *source, &quarantined, report)?;
    drop(source);
    if chains.commits != commits {
        let found = chains.commits;
        let what =
            format!("the deployment has {found} commits, and its source {commits}: something else writes into it");
        return Err(StoreError::Corrupt(what).into());
    }
    replay::rebuild(&mut *space, &mut |progress| {
        report(Transferred { phase: TransferPhase::Views, commits: progress.commits });
    })?;
    Ok(chains)
}

/// Reads what a file has after so many commits. Ends early when nobody takes it.
fn read(file: &LogFile, after: u64, give: impl Fn(Batch) -> bool) -> Result<(), TransferError> {
    let mut lines = LogFileLines::open(&file.path, &file.keys)?;
    if lines.head()? != file.head {
        return Err(lines.damaged("the file has become another one"));
    }
    let (mut seen, mut commits, mut bytes, mut beside) = (0, Vec::new(), 0, Vec::new());
    loop {
        if lines.advance()?.is_empty() {
            return Err(lines.damaged("the file has become shorter"));
        }
        if seen < after && lines.line.starts_with(b"{\"commit\":") {
            seen += 1;
            continue;
        }
        let mut batches = Vec::new();
        let mut take = |is_due: bool, commits: &mut Vec<StoredCommit>, beside: &mut Vec<BesideLog>| {
            if is_due && !commits.is_empty() {
                batches.push(Batch::Commits(std::mem::take(commits)));
            }
            if (is_due || beside.len() >= BATCH_BESIDE) && !beside.is_empty() {
                batches.push(Batch::Beside(std::mem::take(beside)));
            }
        };
        let mut is_end = false;
        match lines.parsed()? {
            FileLine::Commit(commit) => {
                let commit = commit.commit().map_err(|error| lines.damaged(&error.to_string()))?;
                bytes += commit.events.len();
                commits.push(commit);
                take(commits.len() >= BATCH_COMMITS || bytes >= BATCH_BYTES, &mut commits, &mut beside);
            }
            FileLine::Beside(item) => {
                beside.push(item.item().map_err(|error| lines.damaged(&error))?);
                take(false, &mut commits, &mut beside);
            }
            FileLine::Secret(secret) => batches.push(Batch::Secret(Zeroizing::new(secret.into_owned()))),
            FileLine::CheckpointKey(key) => batches.push(Batch::CheckpointKey(Zeroizing::new(key.into_owned()))),
            FileLine::Log(_) => return Err(lines.damaged("a second log begins")),
            FileLine::End(_) => {
                is_end = true;
                take(true, &mut commits, &mut beside);
            }
        }
        if commits.is_empty() {
            bytes = 0;
        }
        for batch in batches {
            if !give(batch) {
                return Ok(());
            }
        }
        if is_end {
            return Ok(());
        }
    }
}
