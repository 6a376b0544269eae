//! Records the end of imports whose process died.

use uuid::Uuid;

use super::{
    ImportError,
    staging::failed_to,
    summary::counts,
    work::{ImportWork, blocking},
};
use crate::{
    actors::{
        commit::{CommandError, Envelope},
        lineage::is_of_a_file,
    },
    domain::{
        data_set::DataSetLog,
        event::{Event, Origin},
        id::{CommandId, StreamId, Who},
        view::{HELD, ImportRow, State},
    },
    store::records::LastImport,
};

impl ImportWork {
    /// Records the end of all other imports of a data set whose process died. Only for an import that holds the data set: then no other
    /// import is running, whatever the log says, and the last visible one is final.
    pub(super) async fn end_others(&self, dataset: &str, import: Uuid) -> Result<(), ImportError> {
        let last = self.last_visible(dataset).await?;
        let log = self.log_of(dataset).await?;
        let mut over = Vec::new();
        for other in log.running().map(|running| running.id).filter(|other| *other != import) {
            if last.as_ref().is_some_and(|last| last.id == other) || !self.waits(&log, other).await? {
                over.push(other);
            }
        }
        let envelope = Envelope::new(CommandId::from_import(import, "others-ended"), recovery_origin(import));
        let decide = |state: &State| match state {
            State::DataSet(_, log) => {
                let over = log.running().filter(|running| over.contains(&running.id));
                Ok(over.map(|running| ending(log, running.id, last.as_ref())).collect())
            }
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await?;
        Ok(())
    }

    /// Whether an import that is running by the log is approved and waits for its turn. If its file is here: while a process has locked it.
    /// If it is on another machine, which sees to it itself: as long as imports are held.
    async fn waits(&self, log: &DataSetLog, import: Uuid) -> Result<bool, ImportError> {
        let Some(since) = log.approved(import) else { return Ok(false) };
        let spool = self.spool.clone();
        let is_taken = blocking(move || spool.is_taken(import).map_err(failed_to("read"))).await?;
        Ok(is_taken.unwrap_or_else(|| !self.is_older(since, self.settings.held_for)))
    }

    /// Records the end of an import whose process died, unless its end is recorded.
    pub(super) async fn died(&self, dataset: &str, import: Uuid, last: Option<LastImport>) -> Result<(), CommandError> {
        let envelope = Envelope::new(CommandId::unique(self.committer.new_id()?), recovery_origin(import));
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(log.end_import(import, ending(log, import, last.as_ref()))),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await.map(drop)
    }

    /// The import that produced the present records of a data set.
    pub(super) async fn last_visible(&self, dataset: &str) -> Result<Option<LastImport>, ImportError> {
        let refreshed = self.records.refresh().await;
        match (refreshed, self.records.data_set(dataset)) {
            // The trouble may be this data set's: an import is not to be taken for dead because its records cannot be read.
            (Err(error), None) => Err(error.into()),
            (Err(error), Some(_)) if !is_of_a_file(&error) => Err(error.into()),
            (_, stored) => Ok(stored.map(|stored| stored.last_import.clone())),
        }
    }

    /// Records the end of dead imports among the last `last` ones; returns how many.
    pub(super) async fn recover(&self, last: usize) -> Result<u64, ImportError> {
        let known = self.committer.stores.views.imports(None, last).await.map_err(CommandError::from)?;
        let is_expired =
            |import: &&ImportRow| import.status == HELD && self.is_older(import.started_at, self.settings.held_for);
        for import in known.iter().filter(is_expired) {
            self.expire(import.id).await?;
        }
        let mut ended = 0;
        for import in known.into_iter().filter(|import| import.status == "running") {
            // The order matters: an import that ends meanwhile is seen as running, or as visible.
            if self.records.is_importing(&import.dataset)? {
                continue;
            }
            let last = self.last_visible(&import.dataset).await?;
            let is_visible = last.as_ref().is_some_and(|last| last.id == import.id);
            if !is_visible && self.waits(&self.log_of(&import.dataset).await?, import.id).await? {
                continue;
            }
            self.died(&import.dataset, import.id, last).await?;
            ended += 1;
        }
        Ok(ended)
    }
}

/// The origin of recorded ends of dead imports.
fn recovery_origin(import: Uuid) -> Origin {
    Origin { who: Who::system("importer"), correlation_id: import.to_string(), causation_id: Some(import.to_string()) }
}

/// The end of a dead import: it is visible, or had no effect.
fn ending(log: &DataSetLog, import: Uuid, last: Option<&LastImport>) -> Event {
    match last {
        Some(LastImport { id, result, .. }) if *id == import => {
            Event::ImportCompleted { import, dataset_version: result.version, counts: counts(result) }
        }
        _ => log.died(import),
    }
}
