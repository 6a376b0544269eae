//! Removes and renames data sets.
//!
//! Guarantees: the log records a removal or renaming before the records are touched, so that a crash loses none. Repeating an interrupted
//! command finishes it; until then the records are not served under a name that the log does not know.

use std::sync::Arc;

use super::{
    ImportError,
    staging::failed_to,
    work::{ImportWork, blocking},
};
use crate::{
    actors::{
        commit::{CommandError, Envelope},
        lineage::{judged, look_at},
    },
    domain::{
        data_set::DataSetLog,
        event::{Event, Origin},
        id::{CommandId, StreamId},
        view::State,
    },
    failpoint::crash_point,
    store::{
        AnswerPlace,
        records::{DataSet, Held, RecordStoreError, Renaming},
    },
};

impl ImportWork {
    pub(super) async fn remove(&self, dataset: &str, envelope: &Envelope) -> Result<u64, ImportError> {
        let _turn = self.one_at_a_time.lock().await;
        look_at(&self.records).await?;
        let stored = self.records.data_set(dataset).map(|stored| stored.version);
        let known = self.log_of(dataset).await?.known_version();
        let is_repeated = matches!(self.committer.find_answer(envelope).await?, Some(AnswerPlace::Commit(_)));
        if stored.or(known).is_none() && !is_repeated {
            return Err(unknown(dataset));
        }
        // Held before the log has the removal: no import becomes visible in between.
        let held = self.hold(dataset).await?;
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(log.end_records(|dataset_version| Event::DataSetRemoved { dataset_version })),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        let committed = self.committer.run(&StreamId::DataSet(dataset.to_owned()), envelope, decide).await?;
        let removed = committed.events.iter().find_map(|recorded| match recorded.event {
            Event::DataSetRemoved { dataset_version } => Some(dataset_version),
            _ => None,
        });
        let version = removed.or(stored).or(known).ok_or_else(|| unknown(dataset))?;
        crash_point("dataset-removal-recorded");
        // A late repetition must not remove what was imported under the name since.
        if self.log_of(dataset).await?.known_version().is_none() {
            blocking(move || Ok(held.remove()?)).await?;
            self.forget_files(dataset).await?;
        }
        look_at(&self.records).await?;
        Ok(version)
    }

    pub(super) async fn withdraw(
        &self,
        dataset: &str,
        withdrawn: bool,
        envelope: &Envelope,
    ) -> Result<u64, ImportError> {
        let _turn = self.one_at_a_time.lock().await;
        look_at(&self.records).await?;
        let stored = self.sound(dataset).await?;
        let held = self.hold(dataset).await?;
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(log.serve(!withdrawn)),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        let committed = self.committer.run(&StreamId::DataSet(dataset.to_owned()), envelope, decide).await?;
        crash_point("dataset-withdrawal-recorded");
        // The log's present state: a late repetition reverts nothing.
        let is_withdrawn = match committed.repeated {
            true => self.log_of(dataset).await?.withdrawn,
            false => withdrawn,
        };
        blocking(move || Ok(held.withdraw(is_withdrawn)?)).await?;
        look_at(&self.records).await?;
        Ok(stored.version)
    }

    /// The data set of this name, if its records are those of the log: no act takes others into the log.
    async fn sound(&self, dataset: &str) -> Result<Arc<DataSet>, ImportError> {
        let (_, _, verdict) = judged(&self.committer, &self.records, dataset).await?;
        verdict.map_err(ImportError::Lost)?;
        self.records.data_set(dataset).ok_or_else(|| unknown(dataset))
    }

    pub(super) async fn rename(&self, dataset: &str, to: &str, origin: Origin) -> Result<u64, ImportError> {
        if !self.records.can_rename() {
            return Err(RecordStoreError::NotRenamed.into());
        }
        let _turn = self.one_at_a_time.lock().await;
        look_at(&self.records).await?;
        let (stored, other) = (self.records.data_set(dataset), self.records.data_set(to));
        let log = self.log_of(to).await?;
        let earlier = log.taken_over.as_ref().filter(|(from, _)| from == dataset).map(|(_, import)| *import);
        let is_copied = other.as_ref().is_some_and(|other| Some(other.last_import.id) == earlier);
        if let Some(other) = other {
            // An interrupted renaming lacks only the end of the old name, or left its file as well.
            let is_left = match &stored {
                Some(stored) => stored.instance == other.instance,
                None => self.log_of(dataset).await?.known_version() == Some(other.version),
            };
            return match is_copied && is_left {
                true => self.finish(dataset, to, &origin).await.map(|()| other.version),
                false if stored.is_none() => Err(unknown(dataset)),
                false => Err(RecordStoreError::NameTaken { name: to.to_owned() }.into()),
            };
        }
        let stored = self.sound(dataset).await?;
        if earlier.is_none() && log.known_version().is_some() {
            return Err(RecordStoreError::NameTaken { name: to.to_owned() }.into());
        }
        let held = self.hold(dataset).await?;
        let renaming = self.taken_over(&stored, to, earlier, &origin).await?;
        crash_point("dataset-takeover-recorded");
        blocking(move || Ok(held.rename(renaming)?)).await?;
        crash_point("dataset-renamed");
        self.finish(dataset, to, &origin).await?;
        Ok(stored.version)
    }

    /// Removes this node's files of the data set: uploads and rejected rows.
    async fn forget_files(&self, dataset: &str) -> Result<(), ImportError> {
        let (spool, rejects, name) = (self.spool.clone(), self.settings.rejects.clone(), dataset.to_owned());
        let held: Vec<uuid::Uuid> = self.log_of(dataset).await?.imports.keys().copied().collect();
        blocking(move || {
            for import in held {
                spool.remove(import).map_err(failed_to("removed"))?;
                match std::fs::remove_file(rejects.join(format!("{name}-{import}.csv"))) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(failed_to("removed")(error));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Ends the old name after its records have moved: removes its remaining file, and records the renaming in the log.
    async fn finish(&self, dataset: &str, to: &str, origin: &Origin) -> Result<(), ImportError> {
        let held = self.hold(dataset).await?;
        blocking(move || Ok(held.remove()?)).await?;
        let ending = |dataset_version| Event::DataSetRenamed { to: to.to_owned(), dataset_version };
        self.append(dataset, origin, |log| log.end_records(ending)).await?;
        Ok(look_at(&self.records).await?)
    }

    /// Records that the other name has taken over the records, unless that is recorded already.
    async fn taken_over(
        &self,
        stored: &DataSet,
        to: &str,
        earlier: Option<uuid::Uuid>,
        origin: &Origin,
    ) -> Result<Renaming, ImportError> {
        let mut definition = (*stored.definition).clone();
        definition.name = to.to_owned();
        let import = match earlier {
            Some(import) => return Ok(Renaming { definition, import }),
            None => self.committer.new_id().map_err(CommandError::from)?,
        };
        let event = Event::DataSetTakenOver {
            import,
            from: stored.definition.name.clone(),
            definition: definition.fingerprint(),
            dataset_version: stored.version,
            records: stored.records,
        };
        self.append(
            to,
            origin,
            move |log| if log.known_version().is_none() { vec![event.clone()] } else { Vec::new() },
        )
        .await?;
        Ok(Renaming { definition, import })
    }

    async fn hold(&self, dataset: &str) -> Result<Box<dyn Held>, ImportError> {
        let who = self.committer.new_id().map_err(CommandError::from)?;
        let (records, name) = (self.records.clone(), dataset.to_owned());
        blocking(move || Ok(records.hold(&name, who)?)).await
    }

    pub(super) async fn log_of(&self, dataset: &str) -> Result<DataSetLog, ImportError> {
        let loaded = self.committer.load(&StreamId::DataSet(dataset.to_owned()), None).await?;
        Ok(match loaded.state {
            State::DataSet(_, log) => log,
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => DataSetLog::default(),
        })
    }

    async fn append(
        &self,
        dataset: &str,
        origin: &Origin,
        events: impl Fn(&DataSetLog) -> Vec<Event>,
    ) -> Result<(), ImportError> {
        let id = self.committer.new_id().map_err(CommandError::from)?;
        let envelope = Envelope::new(CommandId::unique(id), origin.clone());
        let decide = |state: &State| match state {
            State::DataSet(_, log) => Ok(events(log)),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await?;
        Ok(())
    }
}

fn unknown(dataset: &str) -> ImportError {
    RecordStoreError::UnknownDataSet { name: dataset.to_owned() }.into()
}
