//! The imports of a data set, as its `dataset#<name>` stream tells them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    event::{Event, Fact, ImportCounts},
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
                };
                self.imports.insert(*import, started);
            }
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
            _ => {}
        }
    }

    fn end(&mut self, import: Uuid, version: u64, at: Timestamp, outcome: Outcome) {
        if let Some(import) = self.imports.get_mut(&import) {
            import.version = version;
            import.ended_at = Some(at);
            import.outcome = outcome;
        }
    }

    /// The events that end an import; none when it ended before or never began.
    pub fn end_import(&self, import: Uuid, ending: Event) -> Vec<Event> {
        match self.imports.get(&import) {
            Some(known) if known.outcome == Outcome::Running => vec![ending],
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
