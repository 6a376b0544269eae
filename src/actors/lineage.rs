//! Checks that the served records are those that the log knows. Not an actor: every request reads the verdicts.
//!
//! Guarantee: a data set whose records are gone, older than the log or of another log is not served from the first request that meets them;
//! the others are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use serde_json::{Value, json};

use super::commit::Committer;
use crate::{
    domain::lineage::{Lineage, Loss, RecordsIdentity},
    store::{
        StoreError,
        records::{DataSet, RecordStore, RecordStoreError},
    },
};

/// A verdict on a data set's records, and the records that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judged {
    stored: Option<RecordsIdentity>,
    verdict: Result<(), Loss>,
}

/// The verdicts on all data sets.
pub struct Lineages {
    committer: Arc<Committer>,
    records: Arc<dyn RecordStore>,
    judged: RwLock<BTreeMap<String, Judged>>,
    /// Held while a data set is judged, so that many waiting requests ask the log once.
    judging: tokio::sync::Mutex<()>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records cannot be examined.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
}

/// How often records that seem wrong are judged again, since they or the log may have just changed.
const LOOKS_MAX: u32 = 3;

/// Reads again what data sets there are. A file that cannot be served counts as missing, which stops nothing that is done about another
/// data set.
pub(super) async fn look_at(records: &Arc<dyn RecordStore>) -> Result<(), RecordStoreError> {
    records.refresh().await.or_else(|error| if is_of_a_file(&error) { Ok(()) } else { Err(error) })
}

/// Whether an error is about one file, which cannot be served.
pub(super) fn is_of_a_file(error: &RecordStoreError) -> bool {
    matches!(error, RecordStoreError::Corrupt { .. } | RecordStoreError::WrongRole { .. })
}

/// The records of a data set, its imports in the log, and the verdict on them.
pub(super) async fn judged(
    committer: &Committer,
    records: &Arc<dyn RecordStore>,
    name: &str,
) -> Result<(Option<RecordsIdentity>, Lineage, Result<(), Loss>), JudgeError> {
    let present = || records.data_set(name).map(|data_set| data_set.identity());
    let mut looks = 0;
    loop {
        // The order matters: the log has an import before its records exist.
        let found = present();
        let lineage = Lineage::of(name, &committer.stores.views.imports(Some(name), usize::MAX).await?);
        let verdict = lineage.judge(found.as_ref());
        looks += 1;
        if verdict.is_ok() || looks >= LOOKS_MAX {
            return Ok((found, lineage, verdict));
        }
        // The log may have an import that ended elsewhere and was not noticed here.
        match look_at(records).await {
            Ok(()) => {}
            // A file that cannot be served counts as missing, whatever the reason.
            Err(_) if found.is_none() => {}
            Err(error) => return Err(error.into()),
        }
        if present() == found {
            return Ok((found, lineage, verdict));
        }
    }
}

impl Lineages {
    /// Starts without verdicts.
    pub fn new(committer: Arc<Committer>, records: Arc<dyn RecordStore>) -> Self {
        Self { committer, records, judged: RwLock::default(), judging: tokio::sync::Mutex::default() }
    }

    /// The verdict on these records; `None` when they were not judged yet.
    pub fn verdict(&self, data_set: &DataSet) -> Option<Result<(), Loss>> {
        let judged = self.judged.read().unwrap_or_else(PoisonError::into_inner);
        let known = judged.get(&data_set.definition.name)?;
        (known.stored == Some(data_set.identity())).then(|| known.verdict.clone())
    }

    /// All data sets but those whose records are known not to be those of the log.
    pub fn not_lost(&self) -> Vec<Arc<DataSet>> {
        let mut data_sets = self.records.data_sets();
        data_sets.retain(|data_set| !self.has_lost(data_set));
        data_sets
    }

    /// The data set of this name, unless its records are known not to be those of the log.
    pub fn unless_lost(&self, name: &str) -> Option<Arc<DataSet>> {
        self.records.data_set(name).filter(|data_set| !self.has_lost(data_set))
    }

    /// Whether these records are known not to be those of the log. Records that were not judged yet count as lost where they do not
    /// follow from those that were: they may have just been put in their place.
    fn has_lost(&self, data_set: &DataSet) -> bool {
        let Some(known) = self.known(&data_set.definition.name) else { return false };
        let found = data_set.identity();
        let follows = |before: RecordsIdentity| before.instance == found.instance && before.version <= found.version;
        known.verdict.is_err() || known.stored.is_some_and(|before| !follows(before))
    }

    /// Whether a data set of this name without records is to be judged before anybody is told that there is none: it has lost them, or had
    /// some a moment ago.
    pub fn may_be_lost(&self, name: &str) -> bool {
        let judged = self.judged.read().unwrap_or_else(PoisonError::into_inner);
        judged.get(name).is_some_and(|known| known.verdict.is_err() || known.stored.is_some())
    }

    /// The data sets that are not served.
    pub fn losses(&self) -> Vec<Loss> {
        let judged = self.judged.read().unwrap_or_else(PoisonError::into_inner);
        judged.values().filter_map(|known| known.verdict.clone().err()).collect()
    }

    /// The data sets that are not served, as documents: which, why, and what to do.
    pub fn lost(&self) -> Vec<Value> {
        let told =
            |loss: &Loss| json!({ "dataset": loss.data_set(), "reason": loss.to_string(), "remedy": loss.remedy() });
        self.losses().iter().map(told).collect()
    }

    /// Compares the records of a data set with the log, unless these records were judged already.
    ///
    /// # Errors
    /// When the log or the records cannot be read.
    pub async fn judge(&self, name: &str) -> Result<Result<(), Loss>, JudgeError> {
        let _turn = self.judging.lock().await;
        if let Some(known) = self.known(name).filter(|known| known.stored == self.present(name)) {
            return Ok(known.verdict);
        }
        self.judge_now(name).await
    }

    async fn judge_now(&self, name: &str) -> Result<Result<(), Loss>, JudgeError> {
        let (found, _, verdict) = judged(&self.committer, &self.records, name).await?;
        Ok(self.note(name, found, verdict))
    }

    /// Compares all records with all imports in the log: before anything is served.
    ///
    /// # Errors
    /// When the log or the records cannot be read.
    pub async fn judge_all(&self) -> Result<(), JudgeError> {
        let imports = self.committer.stores.views.imports(None, usize::MAX).await?;
        let known: BTreeSet<String> = imports.into_iter().map(|import| import.dataset).collect();
        self.judge_each(known).await?;
        self.look_again().await
    }

    /// Judges changed data sets again, and those that were wrong, since the log may have been repaired: after every refresh of the records.
    ///
    /// # Errors
    /// When the log or the records cannot be read.
    pub async fn look_again(&self) -> Result<(), JudgeError> {
        let mut changed: BTreeSet<String> = {
            let judged = self.judged.read().unwrap_or_else(PoisonError::into_inner);
            let is_other = |name: &str, known: &Judged| known.verdict.is_err() || known.stored != self.present(name);
            let other = judged.iter().filter(|(name, known)| is_other(name, known));
            other.map(|(name, _)| name.clone()).collect()
        };
        let present = self.records.data_sets();
        let names = present.iter().map(|data_set| &data_set.definition.name);
        changed.extend(names.filter(|name| self.known(name).is_none()).cloned());
        self.judge_each(changed).await
    }

    async fn judge_each(&self, names: BTreeSet<String>) -> Result<(), JudgeError> {
        for name in names {
            // `note` logs and remembers a loss.
            let _turn = self.judging.lock().await;
            drop(self.judge_now(&name).await?);
        }
        Ok(())
    }

    fn present(&self, name: &str) -> Option<RecordsIdentity> {
        self.records.data_set(name).map(|data_set| data_set.identity())
    }

    fn known(&self, name: &str) -> Option<Judged> {
        self.judged.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn note(&self, name: &str, stored: Option<RecordsIdentity>, verdict: Result<(), Loss>) -> Result<(), Loss> {
        let mut judged = self.judged.write().unwrap_or_else(PoisonError::into_inner);
        let before = judged.insert(name.to_owned(), Judged { stored, verdict: verdict.clone() });
        let before = before.map(|before| before.verdict);
        match &verdict {
            Err(loss) if before.as_ref() != Some(&verdict) => {
                tracing::error!(dataset = name, remedy = loss.remedy(), "{loss}; it is not served");
            }
            Ok(()) if before.is_some_and(|before| before.is_err()) => {
                tracing::info!(dataset = name, "the records are those that the log knows again");
            }
            _ => {}
        }
        verdict
    }
}
