//! Checks whether the records of a data set are those that the log knows. The log says which import made which version; the records name
//! their version and the import that made it. If these do not fit, the records were lost, restored from an older copy, or brought from
//! elsewhere, and are not served.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::view::{ImportRow, REMOVED};

/// What the records say about their origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsIdentity {
    /// The import that began the records.
    pub instance: Uuid,
    /// The records' version.
    pub version: u64,
    /// The last committed import, whether it changed anything or not.
    pub last_import: Uuid,
}

/// The imports of one data set, as the log records them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    name: String,
    /// Every import, with the version that it made if it is known to have completed. Imports whose records were removed are left out.
    imports: BTreeMap<Uuid, Option<u64>>,
    /// The highest version of records that were removed or renamed.
    removed: u64,
}

/// Why the records of a data set cannot be served. Clients see the messages, too: they state what there is and what there should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The records are gone.
    #[error("the records of {name:?} are gone: the log knows them at version {known}, and there are none")]
    Missing {
        /// The data set.
        name: String,
        /// The version that the log knows.
        known: u64,
    },
    /// The records have an earlier version.
    #[error(
        "the records of {name:?} are older than the log: they are of version {found}, and the log knows version {known}"
    )]
    Older {
        /// The data set.
        name: String,
        /// The version that the log knows.
        known: u64,
        /// The version of the records.
        found: u64,
    },
    /// The records come from an import that the log does not know.
    #[error(
        "the records of {name:?} are not those of this log: their version {found} was made by the import {import}, of which \
         the log says otherwise or nothing; it knows version {known}"
    )]
    Foreign {
        /// The data set.
        name: String,
        /// The version that the log knows; 0 if none.
        known: u64,
        /// The version of the records.
        found: u64,
        /// The import that the records name.
        import: Uuid,
    },
}

impl Loss {
    /// The data set.
    pub fn data_set(&self) -> &str {
        match self {
            Self::Missing { name, .. } | Self::Older { name, .. } | Self::Foreign { name, .. } => name,
        }
    }

    /// The remedy, for the operator.
    pub fn remedy(&self) -> String {
        let (name, next) = match self {
            Self::Missing { name, known } => (name, known + 1),
            Self::Older { name, known, .. } => (name, known + 1),
            Self::Foreign { name, known, found, .. } => (name, known.max(found) + 1),
        };
        let first = match self {
            Self::Missing { .. } => {
                "move away the file in the place of the records, if there is one that cannot be read or is of another data set, and "
            }
            Self::Older { .. } | Self::Foreign { .. } => "",
        };
        format!(
            "restore the records of {name} from the copy that was made together with the log, or {first}import the whole file again \
             (with --definition, if its definition was stored with the records alone): that begins {name} anew, at version {next}, \
             with what the file holds and nothing else"
        )
    }
}

impl Lineage {
    /// The lineage of a data set, from its imports; those of other data sets are ignored.
    pub fn of<'r>(name: &str, imports: impl IntoIterator<Item = &'r ImportRow>) -> Self {
        let mut lineage = Self { name: name.to_owned(), ..Self::default() };
        imports.into_iter().filter(|import| import.dataset == name).for_each(|import| lineage.take(import));
        lineage
    }

    /// The lineages of all data sets that have imports, by name.
    pub fn all(imports: &[ImportRow]) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for import in imports {
            let lineage = all.entry(import.dataset.clone()).or_default();
            lineage.name.clone_from(&import.dataset);
            lineage.take(import);
        }
        all
    }

    fn take(&mut self, import: &ImportRow) {
        if import.status == REMOVED {
            self.removed = self.removed.max(import.dataset_version.unwrap_or(0));
        } else {
            self.imports.insert(import.id, import.dataset_version);
        }
    }

    /// The highest version that a completed import made, even if its records were removed; 0 if none completed.
    pub fn version(&self) -> u64 {
        self.present_version().max(self.removed)
    }

    fn present_version(&self) -> u64 {
        self.imports.values().flatten().copied().max().unwrap_or(0)
    }

    /// Compares the records with the log.
    ///
    /// Records ahead of the log count as sound if the log knows the import that began them: an import may be visible before its end is
    /// recorded, and a log may have been restored without its records.
    ///
    /// # Errors
    /// The mismatch between records and log.
    pub fn judge(&self, stored: Option<&RecordsIdentity>) -> Result<(), Loss> {
        let (name, known) = (self.name.clone(), self.present_version());
        let Some(stored) = stored else {
            return if known == 0 { Ok(()) } else { Err(Loss::Missing { name, known }) };
        };
        let found = stored.version;
        let foreign = Loss::Foreign { name: name.clone(), known, found, import: stored.last_import };
        match self.imports.get(&stored.last_import) {
            Some(Some(version)) if *version != found => Err(foreign),
            Some(_) if found < known => Err(Loss::Older { name, known, found }),
            Some(_) => Ok(()),
            None if found > known && self.imports.contains_key(&stored.instance) => Ok(()),
            None => Err(foreign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(imports: &[(u128, Option<u64>)]) -> Lineage {
        let imports = imports.iter().map(|(id, version)| (Uuid::from_u128(*id), *version)).collect();
        Lineage { name: "things".to_owned(), imports, removed: 0 }
    }

    fn stored(instance: u128, version: u64, last_import: u128) -> RecordsIdentity {
        RecordsIdentity { instance: Uuid::from_u128(instance), version, last_import: Uuid::from_u128(last_import) }
    }

    #[test]
    fn records_are_sound_when_the_log_knows_how_they_came_to_be() {
        let known = lineage(&[(1, Some(1)), (2, Some(2)), (3, None), (4, Some(2))]);
        // Recorded as such; made by an import without changes; made by an import whose end is not recorded yet.
        for sound in [stored(1, 2, 4), stored(1, 2, 2), stored(1, 3, 3)] {
            assert_eq!(known.judge(Some(&sound)), Ok(()), "{sound:?}");
        }
        // The log was restored without its records.
        assert_eq!(known.judge(Some(&stored(1, 7, 99))), Ok(()));
        assert_eq!(lineage(&[]).judge(None), Ok(()));
        assert_eq!(lineage(&[(1, None)]).judge(None), Ok(()), "the first import has not ended");
    }

    #[test]
    fn what_was_removed_is_not_missed_and_its_versions_do_not_come_again() {
        let removed = Lineage { removed: 7, ..lineage(&[(8, None)]) };
        assert_eq!((removed.judge(None), removed.version()), (Ok(()), 7));
        // Records that a crash left behind are not served.
        assert!(matches!(removed.judge(Some(&stored(1, 7, 4))), Err(Loss::Foreign { .. })));
        assert_eq!(Lineage { removed: 7, ..lineage(&[(9, Some(8))]) }.version(), 8);
    }

    #[test]
    fn records_that_are_gone_older_or_of_others_are_noticed() {
        let known = lineage(&[(1, Some(1)), (2, Some(2)), (3, None)]);
        let judged = |stored: Option<RecordsIdentity>| known.judge(stored.as_ref()).unwrap_err();
        assert!(matches!(judged(None), Loss::Missing { known: 2, .. }));
        assert!(matches!(judged(Some(stored(1, 1, 1))), Loss::Older { known: 2, found: 1, .. }));
        for foreign in [stored(9, 2, 9), stored(9, 5, 9), stored(1, 2, 9), stored(1, 1, 9), stored(1, 5, 2)] {
            let loss = judged(Some(foreign));
            assert!(matches!(loss, Loss::Foreign { .. }), "{foreign:?}: {loss}");
            assert!(loss.remedy().contains("import the whole file again"));
        }
        assert!(matches!(lineage(&[]).judge(Some(&stored(9, 1, 9))), Err(Loss::Foreign { known: 0, .. })));
    }
}
