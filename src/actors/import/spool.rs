//! Files sent to this node for import, each with a ticket that says how to import it.
//!
//! Guarantees: once an import's id was answered, its file survives a crash; an aborted upload leaves at most a remainder until the next
//! start. All files are private to their owner, as in the whole data directory.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{ImportDifference, Summary};
use crate::{
    domain::{
        event::{ImportCounts, Origin},
        guard::Excess,
        id::{Who, hex},
    },
    private::{self, Earlier},
};

/// The prefix of the names of incomplete files.
pub(super) const UNFINISHED: &str = ".unfinished-";
const PART: &str = "part";
const FILE: &str = "file";
const TICKET: &str = "json";
const CANCEL: &str = "cancel";
/// The largest ticket that is read, bytes.
const TICKET_BYTES_MAX: u64 = 4 << 20;

/// How to import an uploaded file, and its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The import.
    pub id: Uuid,
    /// The data set.
    pub dataset: String,
    /// Whether the file is the whole data set.
    pub replace: bool,
    /// Whether it is a dry run.
    pub dry_run: bool,
    /// Whether stored records keep their values of columns that the file does not have.
    pub keep_absent: bool,
    /// The options for reading the file, by the names of parameters.
    pub options: Vec<(String, String)>,
    /// The definition for reading the file, when it differs from the data set's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The fingerprint of the data set's definition that this one replaces; `None` when the data set had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redefines: Option<String>,
    /// Its name.
    pub file_name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The sender.
    pub who: Who,
    /// The request.
    pub correlation_id: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its state, as far as the log does not have it.
    pub state: TicketState,
    /// What it did, or would do.
    pub report: Option<ImportReport>,
    /// Why it had no effect.
    pub reason: Option<String>,
}

impl Ticket {
    /// Whether two tickets belong to one request that was sent twice.
    pub(super) fn is_of_same_request(&self, other: &Self) -> bool {
        let request = |ticket: &Self| Self {
            accepted_at: Timestamp::UNIX_EPOCH,
            correlation_id: String::new(),
            state: TicketState::Waiting,
            report: None,
            reason: None,
            ..ticket.clone()
        };
        request(self) == request(other)
    }
}

/// The state of an uploaded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// It is still to be read.
    Waiting,
    /// It was read, and waits for approval.
    Held,
    /// It is done.
    Completed,
    /// The import failed.
    Failed,
    /// Somebody cancelled the import.
    Cancelled,
}

/// What an import did, or would do, apart from its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportReport")]
pub struct ImportReport {
    /// The version of the data set that it was compared with; 0 where there was none.
    pub version_before: u64,
    /// Whether the version rises.
    pub changed: bool,
    /// Rows by what becomes of them.
    pub counts: ImportCounts,
    /// The limits that it exceeds.
    pub exceeds: Vec<Excess>,
    /// The first values of stored records that it changes.
    pub differences: Vec<ImportDifference>,
    /// Columns that the file does not have, or not all of what they are made of.
    pub missing_columns: Vec<String>,
    /// Headers that no column reads.
    pub new_headers: Vec<String>,
    /// Of these, the ones that may mean a missing column.
    pub renamed_headers: Vec<Renamed>,
    /// What a person should know of the file.
    pub notes: Vec<String>,
}

/// A header that may mean a missing column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RenamedHeader")]
pub struct Renamed {
    /// The header.
    pub header: String,
    /// The column.
    pub column: String,
}

impl From<&Summary> for ImportReport {
    fn from(of: &Summary) -> Self {
        let renamed = of.similar_headers.iter();
        Self {
            version_before: of.version_before,
            changed: of.changed,
            counts: of.counts,
            exceeds: of.exceeds.clone(),
            differences: of.differences.clone(),
            missing_columns: of.absent_columns.clone(),
            new_headers: of.unmatched_headers.clone(),
            renamed_headers: renamed
                .map(|(header, column)| Renamed { header: header.clone(), column: column.clone() })
                .collect(),
            notes: of.notes.clone(),
        }
    }
}

/// Who cancelled an import from another process.
#[derive(Serialize, Deserialize)]
struct CancelMark {
    who: Who,
    correlation_id: String,
}

/// The folder of uploaded files.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    folder: PathBuf,
}

/// An arriving file. Dropping it removes the file unless it was kept.
#[derive(Debug)]
pub(super) struct Arriving {
    path: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    is_kept: bool,
}

impl Arriving {
    /// Appends bytes. Blocks.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the arrived file at another path on the same disk.
    pub(super) fn kept_at(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.is_kept = true;
        Ok(())
    }

    /// The SHA-256 of the arrived bytes.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // A file that cannot be removed now goes at the next start.
        if !self.is_kept {
            fs::remove_file(&self.path).ok();
        }
    }
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, id: Uuid, kind: &str) -> PathBuf {
        self.folder.join(format!("{id}.{kind}"))
    }

    /// Begins a file. `part` tells apart files of the same import.
    pub(super) fn begin(&self, id: Uuid, part: Uuid) -> io::Result<Arriving> {
        private::directory(&self.folder).map_err(io::Error::other)?;
        let path = self.folder.join(format!("{id}.{part}.{PART}"));
        let file = private::new_file(&path)?;
        Ok(Arriving { path, file, hash: Sha256::new(), bytes: 0, is_kept: false })
    }

    /// Free bytes on the disk.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        private::directory(&self.folder).map_err(io::Error::other)?;
        let found = rustix::fs::statvfs(&self.folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Keeps an arrived file, with its ticket.
    pub(super) fn keep(&self, mut arrived: Arriving, ticket: &Ticket) -> io::Result<()> {
        fs::rename(&arrived.path, self.path(ticket.id, FILE))?;
        arrived.is_kept = true;
        self.write(ticket)
    }

    /// Links a previewed file as an import's own, and writes its ticket. Both files stay.
    pub(super) fn keep_again(&self, path: &Path, ticket: &Ticket) -> io::Result<()> {
        let own = self.path(ticket.id, FILE);
        // An earlier try may have died halfway.
        gone(fs::remove_file(&own))?;
        fs::hard_link(path, own)?;
        self.write(ticket)
    }

    /// The folder of previewed files.
    pub(super) fn shelf(&self) -> PathBuf {
        self.folder.join("looked-at")
    }

    pub(super) fn write(&self, ticket: &Ticket) -> io::Result<()> {
        let content = serde_json::to_vec(ticket).map_err(io::Error::other)?;
        private::write_whole(&self.path(ticket.id, TICKET), UNFINISHED, &content, Earlier::Goes).map(drop)
    }

    /// The ticket of an import, if its file was sent to this node.
    pub(super) fn ticket(&self, id: Uuid) -> io::Result<Option<Ticket>> {
        read(&self.path(id, TICKET))
    }

    /// The imports with tickets.
    pub(super) fn imports(&self) -> io::Result<Vec<Uuid>> {
        let names = self.names()?.into_iter();
        Ok(names.filter_map(|(id, rest)| (rest == TICKET).then_some(id)).collect())
    }

    /// The files, by the ids and endings of their names.
    fn names(&self) -> io::Result<Vec<(Uuid, String)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some((id, rest)) = name.split_once('.') else { continue };
            if let Ok(id) = Uuid::parse_str(id) {
                names.push((id, rest.to_owned()));
            }
        }
        Ok(names)
    }

    pub(super) fn has_file(&self, id: Uuid) -> bool {
        self.path(id, FILE).symlink_metadata().is_ok_and(|found| found.is_file())
    }

    pub(super) fn open(&self, id: Uuid) -> io::Result<File> {
        private::open_to_read(&self.path(id, FILE))
    }

    /// Locks the file of an approved import as long as the returned file is open; `None` if somebody else has it. Others with the same
    /// folder see that the import waits or runs.
    pub(super) fn take(&self, id: Uuid) -> io::Result<Option<File>> {
        let file = self.open(id)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether somebody has locked the file of an import; `None` if it is not here.
    pub(super) fn is_taken(&self, id: Uuid) -> io::Result<Option<bool>> {
        match self.open(id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Ok(Some(false)),
                Err(TryLockError::WouldBlock) => Ok(Some(true)),
                Err(TryLockError::Error(error)) => Err(error),
            },
        }
    }

    /// Whether the file is still the uploaded one. Blocks.
    pub(super) fn is_whole(&self, ticket: &Ticket) -> io::Result<bool> {
        let (mut file, mut hash) = (self.open(ticket.id)?, HashWriter(Sha256::new()));
        io::copy(&mut file, &mut hash)?;
        Ok(hex(&hash.0.finalize()) == ticket.sha256)
    }

    pub(super) fn remove_file(&self, id: Uuid) -> io::Result<()> {
        for kind in [FILE, CANCEL] {
            gone(fs::remove_file(self.path(id, kind)))?;
        }
        Ok(())
    }

    /// Removes all files of an import.
    pub(super) fn remove(&self, id: Uuid) -> io::Result<()> {
        self.remove_file(id)?;
        gone(fs::remove_file(self.path(id, TICKET)))
    }

    /// Tells the process that imports a file to cancel.
    pub(super) fn ask_to_cancel(&self, id: Uuid, origin: &Origin) -> io::Result<()> {
        let mark = CancelMark { who: origin.who.clone(), correlation_id: origin.correlation_id.clone() };
        let content = serde_json::to_vec(&mark).map_err(io::Error::other)?;
        private::write_whole(&self.path(id, CANCEL), UNFINISHED, &content, Earlier::Stays).map(drop)
    }

    /// Who asked to cancel, if anybody did.
    pub(super) fn cancelled_by(&self, id: Uuid) -> Option<Origin> {
        // An unreadable mark is read again a moment later.
        let CancelMark { who, correlation_id } = read(&self.path(id, CANCEL)).ok().flatten()?;
        Some(Origin { who, correlation_id, causation_id: None })
    }

    /// Removes a crash's remainders: incomplete files and files without a ticket. Call it before any file arrives.
    pub(super) fn clear_unfinished(&self) -> io::Result<u64> {
        let names = self.names()?;
        let with_ticket: Vec<Uuid> = names.iter().filter(|(_, kind)| kind == TICKET).map(|(id, _)| *id).collect();
        let mut removed = private::remove_unfinished(&self.folder, UNFINISHED)?;
        for (id, kind) in names {
            if kind.ends_with(PART) || kind != TICKET && !with_ticket.contains(&id) {
                gone(fs::remove_file(self.folder.join(format!("{id}.{kind}"))))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ignores that a file was gone already.
pub(super) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match private::open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if file.metadata()?.len() > TICKET_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
    }
    let content = io::read_to_string(file)?;
    serde_json::from_str(&content).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn ticket(id: Uuid, sha256: String) -> Ticket {
        Ticket {
            id,
            dataset: "trees".to_owned(),
            replace: true,
            dry_run: false,
            keep_absent: false,
            options: vec![("delimiter".to_owned(), ";".to_owned())],
            definition: None,
            redefines: None,
            file_name: "trees.csv".to_owned(),
            bytes: 3,
            sha256,
            who: Who("admin:1".to_owned()),
            correlation_id: "r".to_owned(),
            accepted_at: Timestamp::UNIX_EPOCH,
            state: TicketState::Waiting,
            report: None,
            reason: None,
        }
    }

    #[test]
    fn what_arrived_is_kept_and_what_did_not_goes() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("imports"));
        let ids = [1, 2, 3].map(Uuid::from_u128);
        assert!(spool.imports().unwrap().is_empty());
        let mut arriving = spool.begin(ids[0], ids[0]).unwrap();
        arriving.write(b"a,b").unwrap();
        let kept = ticket(ids[0], arriving.sha256());
        spool.keep(arriving, &kept).unwrap();
        drop(spool.begin(ids[1], ids[1]).unwrap());
        std::mem::forget(spool.begin(ids[2], ids[2]).unwrap());
        assert_eq!(fs::read_dir(&spool.folder).unwrap().count(), 3, "a file, its ticket, and what a crash left");
        assert_eq!(spool.clear_unfinished().unwrap(), 1);
        assert_eq!((spool.imports().unwrap(), spool.ticket(ids[0]).unwrap()), (vec![ids[0]], Some(kept.clone())));
        assert!(spool.is_whole(&kept).unwrap() && spool.has_file(ids[0]));
        let mode = fs::metadata(spool.path(ids[0], FILE)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::write(spool.path(ids[0], FILE), "a,c").unwrap();
        assert!(!spool.is_whole(&kept).unwrap());
        // Another process learns who cancelled; the first one counts.
        assert!(spool.cancelled_by(ids[0]).is_none());
        for who in ["cli:ana", "cli:bob"] {
            let origin = Origin { who: Who(who.to_owned()), correlation_id: String::new(), causation_id: None };
            spool.ask_to_cancel(ids[0], &origin).unwrap();
        }
        assert_eq!(spool.cancelled_by(ids[0]).unwrap().who.0, "cli:ana");
        spool.remove(ids[0]).unwrap();
        assert_eq!(fs::read_dir(&spool.folder).unwrap().count(), 0);
    }
}
