//! Writing down how imports ended whose processes did not say so.

use uuid::Uuid;

use super::{
    ImportError,
    work::{ImportWork, counts},
};
use crate::{
    actors::commit::{CommandError, Envelope},
    domain::{
        data_set::DataSetLog,
        event::{Event, Origin},
        id::{CommandId, StreamId, Who},
        view::{HELD, ImportRow, State},
    },
    store::records::LastImport,
};

impl ImportWork {
    /// Writes down how the imports of a data set ended whose processes did not. To be called by an import that has the data set
    /// for itself: then no other one is under way, whatever the log says, and the last visible one is the last that ever became
    /// visible.
    pub(super) async fn end_others(&self, dataset: &str, import: Uuid) -> Result<(), ImportError> {
        let last = self.last_visible(dataset).await?;
        let envelope = Envelope {
            command: CommandId::from_import(import, "others-ended"),
            request_hash: None,
            expected_version: None,
            origin: recovery_origin(import),
        };
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(log.running().map(|running| ending(log, running.id, last.as_ref())).collect()),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await?;
        Ok(())
    }

    /// Writes down how an import ended whose process did not, if it has not ended.
    pub(super) async fn died(&self, dataset: &str, import: Uuid, last: Option<LastImport>) -> Result<(), CommandError> {
        let envelope = Envelope {
            command: CommandId::unique(self.committer.new_id()?),
            request_hash: None,
            expected_version: None,
            origin: recovery_origin(import),
        };
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(log.end_import(import, ending(log, import, last.as_ref()))),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await.map(drop)
    }

    /// The import that the records of a data set are of, looked at now.
    pub(super) async fn last_visible(&self, dataset: &str) -> Result<Option<LastImport>, ImportError> {
        self.records.refresh().await?;
        Ok(self.records.data_set(dataset).map(|stored| stored.last_import.clone()))
    }

    /// Ends those of the last `last` imports that run by the log and no longer in fact; how many.
    pub(super) async fn recover(&self, last: usize) -> Result<u64, ImportError> {
        let known = self.committer.stores.views.imports(None, last).await.map_err(CommandError::from)?;
        let is_expired =
            |import: &&ImportRow| import.status == HELD && self.is_older(import.started_at, self.settings.held_for);
        for import in known.iter().filter(is_expired) {
            self.expire(import.id).await?;
        }
        let mut ended = 0;
        for import in known.into_iter().filter(|import| import.status == "running") {
            // In this order: one that ends meanwhile is seen as running, or as visible.
            if self.records.is_importing(&import.dataset)? {
                continue;
            }
            let last = self.last_visible(&import.dataset).await?;
            self.died(&import.dataset, import.id, last).await?;
            ended += 1;
        }
        Ok(ended)
    }
}

/// Who writes down how an import ended whose process did not.
fn recovery_origin(import: Uuid) -> Origin {
    Origin { who: Who::system("importer"), correlation_id: import.to_string(), causation_id: Some(import.to_string()) }
}

/// How an import ended whose process did not say so: it is visible, or has had no effect.
fn ending(log: &DataSetLog, import: Uuid, last: Option<&LastImport>) -> Event {
    match last {
        Some(LastImport { id, result, .. }) if *id == import => {
            Event::ImportCompleted { import, dataset_version: result.version, counts: counts(result) }
        }
        _ => log.died(import),
    }
}
