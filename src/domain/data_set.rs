//! The imports of a data set, as its `dataset#<name>` stream tells them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    event::{Event, Fact, ImportCounts},
    guard::Excess,
    key,
};

/// How an import ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has not ended yet.
    Running,
    /// Its rows are visible.
    Completed {
        /// The data set's version after it.
        dataset_version: u64,
        /// What it did.
        counts: ImportCounts,
    },
    /// The data set is as it was.
    Failed {
        /// Why.
        reason: String,
    },
    /// It would do too much: it waits for somebody to approve or discard it.
    Held,
    /// Nothing comes of it: somebody did not want it, or nobody did for too long.
    Discarded {
        /// Why, where nobody asked for it.
        reason: Option<String>,
    },
    /// Somebody ended it; the data set is as it was.
    Cancelled,
    /// It was completed, and its records are not under this name any more.
    Removed {
        /// The data set's version after it.
        dataset_version: u64,
        /// What it did.
        counts: ImportCounts,
    },
}

/// What an import was held for.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldFor {
    /// The data set's version that it was compared with; 0 where there was none.
    pub dataset_version: u64,
    /// What it would do.
    pub counts: ImportCounts,
    /// The limits that it exceeds.
    pub why: Vec<Excess>,
    /// The machine that keeps its file.
    pub node: String,
    /// Since when.
    pub since: Timestamp,
}

/// An import.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// Which.
    pub id: Uuid,
    /// Version of the last commit that changed it.
    pub version: u64,
    /// The file's name.
    pub file_name: String,
    /// The fingerprint of the definition that read it.
    pub definition: String,
    /// Whether the file was the whole data set.
    pub replace: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was held for last, if it ever was.
    pub held: Option<HeldFor>,
}

/// Longest file name that is written into the log, characters.
const FILE_NAME_CHARS_MAX: usize = 200;

/// A file's name as the log keeps it, for ever: at most 200 characters, and none of a name with an address or a key in it.
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
    /// The name that the records had before, and what stands for their import, if they were renamed to this one.
    pub taken_over: Option<(String, Uuid)>,
    /// Whether its records are kept and served to nobody.
    pub withdrawn: bool,
}

/// Why an import that was held is neither approved nor discarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    /// There is no such import.
    #[error("there is no such import")]
    Unknown,
    /// It is not held.
    #[error("the import is not held: it {0}")]
    NotHeld(String),
    /// It is not under way.
    #[error("the import is not under way: it has ended, or waits to be approved or discarded")]
    NotRunning,
}

impl DataSetLog {
    /// Takes in one event of the data set's stream.
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

    /// What was completed is not under this name any more.
    fn remove_all(&mut self, version: u64) {
        for import in self.imports.values_mut() {
            if let Outcome::Completed { dataset_version, counts } = import.outcome {
                import.version = version;
                import.outcome = Outcome::Removed { dataset_version, counts };
            }
        }
    }

    /// The version of the records that the log knows under this name, if it knows any.
    pub fn known_version(&self) -> Option<u64> {
        let completed = |import: &Import| match import.outcome {
            Outcome::Completed { dataset_version, .. } => Some(dataset_version),
            _ => None,
        };
        self.imports.values().filter_map(completed).max()
    }

    /// Decides that the records are removed, or go by another name: nothing happens where there are none.
    pub fn end_records(&self, ending: impl FnOnce(u64) -> Event) -> Vec<Event> {
        self.known_version().map(ending).into_iter().collect()
    }

    /// The events that end an import; none when it ended before or never began.
    pub fn end_import(&self, import: Uuid, ending: Event) -> Vec<Event> {
        match self.imports.get(&import) {
            Some(known) if known.outcome == Outcome::Running => vec![ending],
            _ => Vec::new(),
        }
    }

    /// An import that waits for somebody to approve or discard it.
    ///
    /// # Errors
    /// When it does not.
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

    /// Since when an import was held that is approved and has not ended since; none of any other.
    pub fn approved(&self, import: Uuid) -> Option<Timestamp> {
        let import = self.imports.get(&import).filter(|import| import.outcome == Outcome::Running)?;
        import.held.as_ref().map(|held| held.since)
    }

    /// What became of an import whose process died before it was visible: one that was held is so again.
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

    /// Decides that the records are kept and served to nobody, or to all again: nothing happens where that is so.
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
