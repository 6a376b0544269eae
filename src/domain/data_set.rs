//! The imports of a data set, as its `dataset#<name>` stream records them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    event::{Event, Fact, ImportCounts},
    guard::Excess,
    key,
};

/// The state or end of an import.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The import has not ended yet.
    Running,
    /// The rows of the import are visible.
    Completed {
        /// The data set's version after the import.
        dataset_version: u64,
        /// What the import did.
        counts: ImportCounts,
    },
    /// The import failed; the data set is unchanged.
    Failed {
        /// Why.
        reason: String,
    },
    /// The import exceeds the guard: it waits for somebody to approve or discard it.
    Held,
    /// The import was discarded by somebody, or because nobody approved of it in time.
    Discarded {
        /// The reason, if nobody asked for the discard.
        reason: Option<String>,
    },
    /// Somebody cancelled the import; the data set is unchanged.
    Cancelled,
    /// The import was completed, but its records are not under this name any more.
    Removed {
        /// The data set's version after the import.
        dataset_version: u64,
        /// What the import did.
        counts: ImportCounts,
    },
}

/// Why and where an import is held.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldFor {
    /// The data set's version that the import was compared with; 0 if there was none.
    pub dataset_version: u64,
    /// What the import would do.
    pub counts: ImportCounts,
    /// The limits that the import exceeds.
    pub why: Vec<Excess>,
    /// The machine that keeps the import's file.
    pub node: String,
    /// Since when the import is held.
    pub since: Timestamp,
}

/// An import.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The import's id.
    pub id: Uuid,
    /// Version of the last commit that changed the import.
    pub version: u64,
    /// The file's name.
    pub file_name: String,
    /// The fingerprint of the definition that read it.
    pub definition: String,
    /// Whether the file was the whole data set.
    pub replace: bool,
    /// When the import began.
    pub started_at: Timestamp,
    /// When the import ended.
    pub ended_at: Option<Timestamp>,
    /// The import's state or end.
    pub outcome: Outcome,
    /// Why the import was last held, if it ever was.
    pub held: Option<HeldFor>,
}

/// Longest file name that is written into the log, characters.
const FILE_NAME_CHARS_MAX: usize = 200;

/// A file name as the log keeps it, for ever: cut to 200 characters; a name that contains an address or a key is replaced.
pub fn name_to_keep(file_name: &str) -> String {
    if file_name.contains(['@', '\u{ff20}', '\u{fe6b}']) {
        return "(a name with an address in it)".to_owned();
    }
    if file_name.to_ascii_lowercase().contains(key::PREFIX) {
        return "(a name with a key in it)".to_owned();
    }
    file_name.chars().take(FILE_NAME_CHARS_MAX).collect()
}

/// A data set's imports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataSetLog {
    /// Version of the last commit.
    pub version: u64,
    /// The imports by id.
    pub imports: BTreeMap<Uuid, Import>,
    /// The records' former name, and the id that stands for their import, if they were renamed to this name.
    pub taken_over: Option<(String, Uuid)>,
    /// Whether the data set is withdrawn: its records are kept and served to nobody.
    pub withdrawn: bool,
}

/// Why a command on an import is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    /// The import does not exist.
    #[error("there is no such import")]
    Unknown,
    /// The import is not held.
    #[error("the import is not held: it {0}")]
    NotHeld(String),
    /// The import is not under way.
    #[error("the import is not under way: it has ended, or waits to be approved or discarded")]
    NotRunning,
}

impl DataSetLog {
    /// Applies one event of the data set's stream.
    pub fn apply(&mut self, fact: Fact<'_>) {
        self.version = fact.version;
        let at = fact.recorded_at;
        let version = fact.version;
        match fact.event {
            Event::ImportStarted { import, file_name, definition, replace } => {
                let started = Import {
                    id: *import,
                    version: fact.version,
                    file_name: file_name.clone(),
                    definition: definition.clone(),
                    replace: *replace,
                    started_at: at,
                    ended_at: None,
                    outcome: Outcome::Running,
                    held: None,
                };
                self.imports.insert(*import, started);
            }
            Event::ImportHeld { import, dataset_version, counts, why, node } => {
                self.change(*import, version, None, Outcome::Held);
                if let Some(import) = self.imports.get_mut(import) {
                    let (dataset_version, counts, why) = (*dataset_version, *counts, why.clone());
                    import.held = Some(HeldFor { dataset_version, counts, why, node: node.clone(), since: at });
                }
            }
            Event::ImportApproved { import } => self.change(*import, version, None, Outcome::Running),
            Event::ImportDiscarded { import, reason } => {
                self.end(*import, version, at, Outcome::Discarded { reason: reason.clone() });
            }
            Event::ImportCancelled { import } => self.end(*import, version, at, Outcome::Cancelled),
            Event::DataSetWithdrawn => self.withdrawn = true,
            Event::DataSetRestored => self.withdrawn = false,
            Event::ImportCompleted { import, dataset_version, counts } => {
                self.end(
                    *import,
                    version,
                    at,
                    Outcome::Completed { dataset_version: *dataset_version, counts: *counts },
                );
            }
            Event::ImportFailed { import, reason } => {
                self.end(*import, version, at, Outcome::Failed { reason: reason.clone() })
            }
            Event::DataSetRemoved { .. } | Event::DataSetRenamed { .. } => {
                (self.taken_over, self.withdrawn) = (None, false);
                self.remove_all(version);
            }
            Event::DataSetTakenOver { import, from, definition, dataset_version, records } => {
                let counts = ImportCounts { unchanged: *records, ..ImportCounts::default() };
                let taken_over = Import {
                    id: *import,
                    version,
                    file_name: name_to_keep(&format!("(renamed from {from})")),
                    definition: definition.clone(),
                    replace: false,
                    started_at: at,
                    ended_at: Some(at),
                    outcome: Outcome::Completed { dataset_version: *dataset_version, counts },
                    held: None,
                };
                self.imports.insert(*import, taken_over);
                self.taken_over = Some((from.clone(), *import));
            }
            _ => {}
        }
    }

    fn end(&mut self, import: Uuid, version: u64, at: Timestamp, outcome: Outcome) {
        self.change(import, version, Some(at), outcome);
    }

    fn change(&mut self, import: Uuid, version: u64, ended_at: Option<Timestamp>, outcome: Outcome) {
        if let Some(import) = self.imports.get_mut(&import) {
            import.version = version;
            import.ended_at = ended_at;
            import.outcome = outcome;
        }
    }

    /// Marks all completed imports as removed from this name.
    fn remove_all(&mut self, version: u64) {
        for import in self.imports.values_mut() {
            if let Outcome::Completed { dataset_version, counts } = import.outcome {
                import.version = version;
                import.outcome = Outcome::Removed { dataset_version, counts };
            }
        }
    }

    /// The version of the records that the log knows under this name, if any.
    pub fn known_version(&self) -> Option<u64> {
        let completed = |import: &Import| match import.outcome {
            Outcome::Completed { dataset_version, .. } => Some(dataset_version),
            _ => None,
        };
        self.imports.values().filter_map(completed).max()
    }

    /// Decides the removal or renaming of the records. Returns no event if there are no records.
    pub fn end_records(&self, ending: impl FnOnce(u64) -> Event) -> Vec<Event> {
        self.known_version().map(ending).into_iter().collect()
    }

    /// The events that end an import; none if it has ended or never began.
    pub fn end_import(&self, import: Uuid, ending: Event) -> Vec<Event> {
        match self.imports.get(&import) {
            Some(known) if known.outcome == Outcome::Running => vec![ending],
            _ => Vec::new(),
        }
    }

    /// An import that waits for somebody to approve or discard it.
    ///
    /// # Errors
    /// When the import is not held.
    pub fn held(&self, import: Uuid) -> Result<(&Import, &HeldFor), HoldRefusal> {
        let import = self.imports.get(&import).ok_or(HoldRefusal::Unknown)?;
        let what = match (&import.outcome, &import.held) {
            (Outcome::Held, Some(held)) => return Ok((import, held)),
            (Outcome::Held | Outcome::Running, _) => "is being done",
            (Outcome::Completed { .. } | Outcome::Removed { .. }, _) => "has been completed",
            (Outcome::Failed { .. }, _) => "has failed",
            (Outcome::Discarded { .. }, _) => "was discarded",
            (Outcome::Cancelled, _) => "was cancelled",
        };
        Err(HoldRefusal::NotHeld(what.to_owned()))
    }

    /// Since when an approved import that has not ended was held; `None` for any other import.
    pub fn approved(&self, import: Uuid) -> Option<Timestamp> {
        let import = self.imports.get(&import).filter(|import| import.outcome == Outcome::Running)?;
        import.held.as_ref().map(|held| held.since)
    }

    /// The event for an import whose process died before its rows were visible: an import that was held is held again.
    pub fn died(&self, import: Uuid) -> Event {
        let held = self.imports.get(&import).and_then(|import| import.held.clone());
        match held {
            Some(HeldFor { dataset_version, counts, why, node, .. }) => {
                Event::ImportHeld { import, dataset_version, counts, why, node }
            }
            None => {
                let reason = "the process ended before the import did; the data set is as it was".to_owned();
                Event::ImportFailed { import, reason }
            }
        }
    }

    /// Decides to withdraw the records or to serve them again. Returns no event if nothing changes.
    pub fn serve(&self, is_served: bool) -> Vec<Event> {
        match (self.withdrawn, is_served) {
            (false, false) => vec![Event::DataSetWithdrawn],
            (true, true) => vec![Event::DataSetRestored],
            _ => Vec::new(),
        }
    }

    /// The imports that have not ended.
    pub fn running(&self) -> impl Iterator<Item = &Import> {
        self.imports.values().filter(|import| import.outcome == Outcome::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_known_no_more_and_stays_in_the_log() {
        let stream = crate::domain::id::StreamId::DataSet("things".to_owned());
        let mut log = DataSetLog::default();
        let mut take = |version: u64, event: Event| {
            log.apply(Fact { stream: &stream, version, recorded_at: Timestamp::UNIX_EPOCH, event: &event });
            (log.known_version(), log.taken_over.clone())
        };
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let started = |import| Event::ImportStarted {
            import,
            file_name: "a.csv".to_owned(),
            definition: String::new(),
            replace: false,
        };
        let completed = |import, dataset_version| Event::ImportCompleted {
            import,
            dataset_version,
            counts: ImportCounts::default(),
        };
        assert_eq!(take(1, started(one)), (None, None));
        assert_eq!(take(2, completed(one, 1)), (Some(1), None));
        assert_eq!(take(3, Event::DataSetRemoved { dataset_version: 1 }), (None, None));
        let from = "others".to_owned();
        let taken = Event::DataSetTakenOver {
            import: two,
            from: from.clone(),
            definition: String::new(),
            dataset_version: 4,
            records: 9,
        };
        assert_eq!(take(4, taken), (Some(4), Some((from, two))));
        assert_eq!(take(5, Event::DataSetRenamed { to: "more".to_owned(), dataset_version: 4 }), (None, None));
        assert_eq!(log.end_records(|dataset_version| Event::DataSetRemoved { dataset_version }), []);
        assert!(log.imports.values().all(|import| matches!(import.outcome, Outcome::Removed { .. })));
    }

    #[test]
    fn what_is_held_waits_and_is_held_again_when_its_approval_dies() {
        let stream = crate::domain::id::StreamId::DataSet("things".to_owned());
        let (mut log, import) = (DataSetLog::default(), Uuid::from_u128(1));
        let mut version = 0;
        let mut take = |log: &mut DataSetLog, event: Event| {
            version += 1;
            log.apply(Fact { stream: &stream, version, recorded_at: Timestamp::UNIX_EPOCH, event: &event });
        };
        let started =
            Event::ImportStarted { import, file_name: "a".to_owned(), definition: String::new(), replace: true };
        let (counts, node) = (ImportCounts { removed: 7, ..ImportCounts::default() }, "one".to_owned());
        let held = Event::ImportHeld { import, dataset_version: 3, counts, why: Vec::new(), node };
        assert_eq!(log.held(import).unwrap_err(), HoldRefusal::Unknown);
        take(&mut log, started);
        assert!(matches!(log.died(import), Event::ImportFailed { .. }));
        assert!(matches!(log.held(import), Err(HoldRefusal::NotHeld(_))));
        take(&mut log, held.clone());
        assert_eq!((log.held(import).unwrap().1.counts, log.running().count(), log.known_version()), (counts, 0, None));
        assert_eq!(log.approved(import), None);
        take(&mut log, Event::ImportApproved { import });
        assert!(log.approved(import).is_some() && log.held(import).is_err(), "nobody discards it any more");
        assert_eq!((log.running().count(), log.died(import)), (1, held.clone()));
        take(&mut log, held);
        take(&mut log, Event::ImportDiscarded { import, reason: None });
        assert_eq!(log.held(import).unwrap_err(), HoldRefusal::NotHeld("was discarded".to_owned()));
        assert!(log.imports[&import].ended_at.is_some());
    }

    #[test]
    fn what_is_withdrawn_is_served_again_once() {
        let mut log = DataSetLog::default();
        assert_eq!(log.serve(true), []);
        assert_eq!(log.serve(false), [Event::DataSetWithdrawn]);
        log.withdrawn = true;
        assert_eq!((log.serve(false), log.serve(true)), (vec![], vec![Event::DataSetRestored]));
    }

    #[test]
    fn no_address_and_no_key_is_kept_with_a_files_name() {
        for (name, kept) in [
            ("permits 2026-11 (final).xlsx", "permits 2026-11 (final).xlsx"),
            ("ana@example.org.csv", "(a name with an address in it)"),
            ("for ana＠example.org.csv", "(a name with an address in it)"),
            ("PMT_0123_secret.csv", "(a name with a key in it)"),
        ] {
            assert_eq!(name_to_keep(name), kept);
        }
        assert_eq!(name_to_keep(&"ü".repeat(300)).chars().count(), 200);
    }
}
