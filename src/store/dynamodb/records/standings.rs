//! A node's standing for each data set: the latest known state, the version that it shows, and the progress of its replica.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{epochs::Epochs, manifest::DataSetManifest, row::Layout};
use crate::store::records::{CopyProgress, DataSet, RecordStoreError};

/// The state of a data set for reads by key: one version.
#[derive(Debug)]
pub(super) struct RecordView {
    /// Unlike the name, never used again for another data set.
    pub(super) id: u64,
    /// The table's whole name.
    pub(super) table: String,
    pub(super) data_set: Arc<DataSet>,
    pub(super) epochs: Epochs,
    /// The epoch that the records begin with.
    pub(super) born: u64,
    pub(super) layout: Arc<Layout>,
}

/// The progress of a copy, as counted by its maker.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) records: AtomicU64,
    pub(super) wanted: AtomicU64,
}

impl Copied {
    fn share(&self) -> f64 {
        let (records, wanted) = (self.records.load(Ordering::Relaxed), self.wanted.load(Ordering::Relaxed));
        // A copy is whole only when its maker says so.
        if wanted == 0 { 0.0 } else { (records as f64 / wanted as f64).min(0.99) }
    }
}

/// A node's standing for one data set.
#[derive(Debug)]
struct NodeStanding {
    head: DataSetManifest,
    view: Arc<RecordView>,
    /// Whether the replica answers questions.
    is_ready: bool,
    copied: Arc<Copied>,
    is_copying: bool,
    /// Whether the replica has to be made anew, whatever it says of itself.
    is_distrusted: bool,
    /// Why the replica is stuck.
    trouble: Option<String>,
    /// The time of the next try, and the number of failed ones.
    retry: (i64, u32),
    behind_since_us: Option<i64>,
}

/// All data sets of a node.
#[derive(Debug, Default)]
pub(super) struct NodeStandings {
    standings: RwLock<BTreeMap<String, NodeStanding>>,
    next_id: AtomicU64,
    /// When the states of all data sets were last read, microseconds of the monotonic clock.
    heard_us: AtomicI64,
    /// Lets one task at a time bring a replica further.
    following: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Notified when a copy has ended, or a version is shown.
    pub(super) changed: Notify,
}

/// The first pause after a failed copy, microseconds; each further pause is twice as long.
const RETRY_US: i64 = 1_000_000;
const RETRIES_MAX: u32 = 6;

impl NodeStandings {
    fn read<T>(&self, name: &str, read: impl FnOnce(&NodeStanding) -> T) -> Option<T> {
        self.standings.read().unwrap_or_else(PoisonError::into_inner).get(name).map(read)
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut NodeStanding) -> T) -> Option<T> {
        let mut standings = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        standings.get_mut(name).map(change)
    }

    fn all<T>(&self, read: impl Fn(&NodeStanding) -> T) -> Vec<T> {
        self.standings.read().unwrap_or_else(PoisonError::into_inner).values().map(read).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.standings.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) fn data_sets(&self) -> Vec<Arc<DataSet>> {
        self.all(|standing| Arc::clone(&standing.view.data_set))
    }

    pub(super) fn views(&self) -> Vec<Arc<RecordView>> {
        self.all(|standing| Arc::clone(&standing.view))
    }

    pub(super) fn view(&self, name: &str) -> Option<Arc<RecordView>> {
        self.read(name, |standing| Arc::clone(&standing.view))
    }

    pub(super) fn head(&self, name: &str) -> Option<DataSetManifest> {
        self.read(name, |standing| standing.head.clone())
    }

    /// Tells whether questions are answered, or why not.
    pub(super) fn ready(&self, name: &str) -> Option<Result<(), RecordStoreError>> {
        self.read(name, |standing| match (standing.is_ready, &standing.trouble) {
            (true, _) => Ok(()),
            (false, Some(reason)) if !standing.is_copying => Err(RecordStoreError::Unavailable {
                doing: format!("copy the records of {name} to this server"),
                reason: reason.clone(),
            }),
            (false, _) => {
                // A whole number below a hundred.
                let percent = (standing.copied.share() * 100.0) as u8;
                Err(RecordStoreError::Copying { name: name.to_owned(), percent })
            }
        })
    }

    /// Takes in a state that was read. An older state than the known one changes nothing.
    pub(super) fn hear(&self, table: String, head: DataSetManifest, now_us: i64) {
        let name = head.data_set.definition.name.clone();
        let mut standings = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        match standings.get_mut(&name) {
            Some(known) if known.head.data_set.instance == head.data_set.instance => {
                if head.epochs.visible() < known.head.epochs.visible() {
                    return;
                }
                if head.data_set.version > known.view.data_set.version {
                    known.behind_since_us.get_or_insert(now_us);
                }
                known.head = head;
                if !known.is_ready {
                    known.view = Arc::new(RecordView::of_head(known.view.id, table, &known.head));
                }
            }
            _ => {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                let view = Arc::new(RecordView::of_head(id, table, &head));
                let standing = NodeStanding {
                    head,
                    view,
                    is_ready: false,
                    copied: Arc::default(),
                    is_copying: false,
                    is_distrusted: false,
                    trouble: None,
                    retry: (i64::MIN, 0),
                    behind_since_us: None,
                };
                standings.insert(name, standing);
            }
        }
    }

    /// Forgets a removed data set.
    pub(super) fn forget(&self, name: &str) {
        self.standings.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.changed.notify_waiters();
    }

    pub(super) fn heard_at(&self, asked_us: i64) {
        self.heard_us.fetch_max(asked_us, Ordering::Release);
    }

    pub(super) fn heard_us(&self) -> i64 {
        self.heard_us.load(Ordering::Acquire)
    }

    /// Shows the replica's version. `epochs` and `layout` are those of that version.
    pub(super) fn show(&self, data_set: &Arc<DataSet>, epochs: Epochs, layout: Arc<Layout>) {
        let name = &data_set.definition.name;
        self.change(name, |standing| {
            // A new copy, or one that was put in the place of another, may be older than what reads by key show already.
            if data_set.version < standing.view.data_set.version {
                return;
            }
            let RecordView { id, table, .. } = &*standing.view;
            let (id, table, data_set) = (*id, table.clone(), Arc::clone(data_set));
            if data_set.version >= standing.head.data_set.version {
                standing.behind_since_us = None;
            }
            let born = standing.head.born;
            standing.view = Arc::new(RecordView { id, table, data_set, epochs, born, layout });
            (standing.is_ready, standing.is_copying, standing.trouble) = (true, false, None);
            standing.retry = (i64::MIN, 0);
        });
        self.changed.notify_waiters();
    }

    /// Stops answering questions from the replica: it has to be made anew.
    pub(super) fn distrust(&self, name: &str, reason: &str) {
        tracing::error!(data_set = name, reason, "this node's copy of the records is damaged: it is copied anew");
        self.change(name, |standing| {
            standing.is_distrusted = true;
            standing.fall_back();
        });
    }

    /// Stops answering questions from the replica: there is none, and none can be made.
    pub(super) fn refuse(&self, name: &str) {
        self.change(name, NodeStanding::fall_back);
    }

    /// Tells whether the replica has to be made anew.
    pub(super) fn is_distrusted(&self, name: &str) -> bool {
        self.read(name, |standing| standing.is_distrusted).unwrap_or_default()
    }

    /// Begins to make a replica, unless a copy is under way or failed a moment ago. Returns the counter of its progress.
    pub(super) fn begin_copy(&self, name: &str, now_us: i64) -> Option<Arc<Copied>> {
        self.change(name, |standing| {
            standing.fall_back();
            if standing.is_copying || now_us < standing.retry.0 {
                return None;
            }
            (standing.is_copying, standing.is_distrusted) = (true, false);
            standing.copied = Arc::default();
            Some(Arc::clone(&standing.copied))
        })
        .flatten()
    }

    /// Notes that a copy ended: well, or with a reason.
    pub(super) fn end_copy(&self, name: &str, trouble: Option<String>, now_us: i64) {
        self.change(name, |standing| {
            standing.is_copying = false;
            let tries = standing.retry.1;
            standing.retry = match trouble {
                Some(_) => (now_us.saturating_add(RETRY_US << tries.min(RETRIES_MAX)), tries.saturating_add(1)),
                None => (i64::MIN, 0),
            };
            standing.trouble = trouble;
        });
        self.changed.notify_waiters();
    }

    /// Notes why a replica is stuck, or that it is not.
    pub(super) fn note_trouble(&self, name: &str, trouble: Option<String>) {
        self.change(name, |standing| standing.trouble = trouble);
    }

    /// Why a data set's replica is stuck.
    pub(super) fn trouble(&self, name: &str) -> Option<String> {
        self.read(name, |standing| standing.trouble.clone().filter(|_| !standing.is_copying)).flatten()
    }

    /// The lock for bringing a replica further.
    pub(super) fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut following: MutexGuard<'_, _> = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(following.entry(name.to_owned()).or_default())
    }

    pub(super) fn progress(&self, now_us: i64, bytes: impl Fn(&str) -> u64) -> Vec<CopyProgress> {
        self.all(|standing| {
            let (head, shown) = (&standing.head.data_set, &standing.view.data_set);
            let name = head.definition.name.clone();
            let behind_us = standing.behind_since_us.map_or(0, |since_us| now_us.saturating_sub(since_us).max(0));
            CopyProgress {
                bytes: bytes(&name),
                is_ready: standing.is_ready,
                share: if standing.is_ready { 1.0 } else { standing.copied.share() },
                versions_behind: head.version.saturating_sub(shown.version),
                seconds_behind: behind_us as f64 / 1_000_000.0,
                trouble: standing.trouble.clone(),
                name,
            }
        })
    }
}

impl NodeStanding {
    /// Continues with reads by key alone, at the latest version.
    fn fall_back(&mut self) {
        self.is_ready = false;
        let RecordView { id, table, .. } = &*self.view;
        self.view = Arc::new(RecordView::of_head(*id, table.clone(), &self.head));
    }
}

impl RecordView {
    fn of_head(id: u64, table: String, head: &DataSetManifest) -> Self {
        Self {
            id,
            table,
            data_set: Arc::clone(&head.data_set),
            epochs: head.epochs.clone(),
            born: head.born,
            layout: Arc::clone(&head.layout),
        }
    }

    /// Tells whether rows of an epoch are seen.
    pub(super) fn sees(&self, epoch: u64) -> bool {
        epoch >= self.born && self.epochs.is_committed(epoch)
    }
}
