//! The status of an import: from the log, this node's work in progress, and its stored files.

use std::{path::PathBuf, sync::atomic::Ordering};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{
    ImportError, Imports, Phase,
    desk::Working,
    spool::{ImportReport, Ticket, TicketState},
    work::ImportWork,
};
use crate::{
    actors::commit::CommandError,
    domain::{
        event::ImportCounts,
        guard::Excess,
        view::{HELD, ImportRow},
    },
};

/// An import.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportState")]
pub struct ImportStatus {
    /// Which.
    pub id: Uuid,
    /// The data set.
    pub dataset: String,
    /// `uploading`, `reading`, `committing`; `held` until somebody approves or discards it; `completed`, `failed`, `cancelled`,
    /// `discarded`; or `removed` where it was completed and its records are not under this name any more.
    #[schemars(extend("enum" = ["uploading", "reading", "committing", "held", "completed", "failed", "cancelled", "discarded", "removed"]))]
    pub status: String,
    /// Whether nothing is changed, and the rest says what would be.
    pub dry_run: bool,
    /// Whether the file is the whole data set, so that what it lacks is removed.
    pub replace: bool,
    /// The file's name.
    pub file_name: Option<String>,
    /// How far it is, where it is under way on this server.
    pub progress: Option<ShownProgress>,
    /// When it began, or was accepted.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The data set's version after it.
    pub dataset_version: Option<u64>,
    /// Rows by what became of them, or would.
    pub counts: Option<ImportCounts>,
    /// Why it failed, is held or was discarded.
    pub reason: Option<String>,
    /// What it is held for.
    pub held: Option<ShownHold>,
    /// What else is known of it, on the server that has its file.
    pub report: Option<ImportReport>,
    /// Where the rejected rows are, if there are any on this server.
    pub rejects: Option<String>,
}

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportProgress")]
pub struct ShownProgress {
    /// Bytes of the file that have arrived or been read.
    pub bytes: u64,
    /// Bytes of the file, once they are known.
    pub bytes_total: Option<u64>,
    /// Rows that have been read.
    pub rows: u64,
}

/// What an import is held for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportHold")]
pub struct ShownHold {
    /// Since when.
    pub since: Timestamp,
    /// When it is discarded unless somebody has decided.
    pub until: Timestamp,
    /// The machine that keeps its file.
    pub node: String,
    /// The data set's version that it was compared with; 0 where there was none.
    pub dataset_version: u64,
    /// The limits that it exceeds.
    pub why: Vec<Excess>,
}

impl ImportStatus {
    /// Whether nothing further happens to it of its own accord.
    pub fn is_settled(&self) -> bool {
        !["uploading", "reading", "committing"].contains(&self.status.as_str())
    }
}

impl From<ImportRow> for ImportStatus {
    fn from(row: ImportRow) -> Self {
        let status = if row.status == "running" { "reading".to_owned() } else { row.status };
        Self {
            id: row.id,
            dataset: row.dataset,
            status,
            dry_run: false,
            replace: row.replace,
            file_name: Some(row.file_name),
            progress: None,
            started_at: Some(row.started_at),
            ended_at: row.ended_at,
            dataset_version: row.dataset_version,
            counts: row.counts,
            reason: row.reason,
            held: None,
            report: None,
            rejects: None,
        }
    }
}

impl From<&Ticket> for ImportStatus {
    fn from(ticket: &Ticket) -> Self {
        let status = match ticket.state {
            TicketState::Waiting => "reading",
            TicketState::Held => HELD,
            TicketState::Completed => "completed",
            TicketState::Failed => "failed",
            TicketState::Cancelled => "cancelled",
        };
        Self {
            id: ticket.id,
            dataset: ticket.dataset.clone(),
            status: status.to_owned(),
            dry_run: ticket.dry_run,
            replace: ticket.replace,
            file_name: Some(ticket.file_name.clone()),
            progress: None,
            started_at: Some(ticket.accepted_at),
            ended_at: None,
            dataset_version: None,
            counts: ticket.report.as_ref().map(|report| report.counts),
            reason: ticket.reason.clone(),
            held: None,
            report: None,
            rejects: None,
        }
    }
}

impl Imports {
    /// The status of an import; `None` where there is no such import.
    ///
    /// # Errors
    /// When the log or the stored files cannot be read.
    pub async fn status(&self, import: Uuid) -> Result<Option<ImportStatus>, ImportError> {
        // The order matters: an import that ends meanwhile is seen as running, or as ended.
        let working = self.work.desk.find(import);
        let ticket = self.work.read_ticket(import).await?;
        let row = self.work.committer.stores.views.import(import).await.map_err(CommandError::from)?;
        let known = row.map(ImportStatus::from).or_else(|| ticket.as_ref().map(ImportStatus::from));
        let Some(mut status) = known.or_else(|| working.as_ref().map(|working| arriving(import, working))) else {
            return Ok(None);
        };
        // The file of a known import may arrive again, when a client retries.
        let is_known = status.status != "uploading";
        if let Some(working) = working.filter(|working| !is_known || working.progress.phase() != Phase::Uploading) {
            show_work(&mut status, &working);
        }
        if status.status == HELD {
            status.held = self.work.hold_of(&status.dataset, import).await?;
        }
        if let Some(ticket) = ticket {
            status.reason = match (status.reason, ticket.reason) {
                (Some(held), Some(failed)) if status.status == HELD => {
                    Some(format!("{held}; it was approved, and that failed: {failed}"))
                }
                (told, kept) => told.or(kept),
            };
            status.report = ticket.report;
        }
        status.rejects = self.work.rejects_of(&status).map(|_| format!("/imports/{import}/rejects"));
        Ok(Some(status))
    }

    /// The file of an import's rejected rows, if there is one here.
    ///
    /// # Errors
    /// When the import's data set cannot be found out.
    pub async fn rejects(&self, import: Uuid) -> Result<Option<PathBuf>, ImportError> {
        let status = self.status(import).await?;
        Ok(status.and_then(|status| self.work.rejects_of(&status)))
    }
}

impl ImportWork {
    fn rejects_of(&self, status: &ImportStatus) -> Option<PathBuf> {
        let path = self.settings.rejects.join(format!("{}-{}.csv", status.dataset, status.id));
        Some(path).filter(|path| path.symlink_metadata().is_ok_and(|found| found.is_file()))
    }

    async fn hold_of(&self, dataset: &str, import: Uuid) -> Result<Option<ShownHold>, ImportError> {
        let log = self.log_of(dataset).await?;
        let Ok((known, held)) = log.held(import) else { return Ok(None) };
        let until = known.started_at.checked_add(self.settings.held_for).unwrap_or(Timestamp::MAX);
        Ok(Some(ShownHold {
            since: held.since,
            until,
            node: held.node.clone(),
            dataset_version: held.dataset_version,
            why: held.why.clone(),
        }))
    }
}

/// The status of a file that is still arriving.
fn arriving(import: Uuid, working: &Working) -> ImportStatus {
    ImportStatus {
        id: import,
        dataset: working.dataset.clone(),
        status: "uploading".to_owned(),
        dry_run: false,
        replace: false,
        file_name: None,
        progress: None,
        started_at: None,
        ended_at: None,
        dataset_version: None,
        counts: None,
        reason: None,
        held: None,
        report: None,
        rejects: None,
    }
}

/// Adds the progress of an import that this node is doing.
fn show_work(status: &mut ImportStatus, working: &Working) {
    let progress = &working.progress;
    let phase = match progress.phase() {
        Phase::Uploading => "uploading",
        Phase::Reading => "reading",
        Phase::Committing => "committing",
    };
    let total = progress.bytes_total.load(Ordering::Relaxed);
    status.progress = Some(ShownProgress {
        bytes: progress.bytes.load(Ordering::Relaxed),
        bytes_total: (total > 0).then_some(total),
        rows: progress.rows.load(Ordering::Relaxed),
    });
    // An import that has just ended counts as ended only after its results are stored.
    (status.status, status.ended_at) = (phase.to_owned(), None);
}
