//! Moves the records of all data sets, with their past, from one backend to the other.
//!
//! Guarantees: the source is only read, and nobody imports into it meanwhile. A data set is visible in the target when all of it is
//! there, or not at all. Who dies on the way is followed by one who goes on: what is there whole is left.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use uuid::Uuid;

use super::{StartError, backend, copying, data_dir};
use crate::{
    aws::Access,
    clock::SharedClock,
    config::{Backend, Settings},
    private::{self, PrivacyError},
    store::{
        dynamodb::records::{self as tables, FillError, FillOrder, FillState, RecordsSize},
        records::{DataSet, Held, RecordStore, RecordStoreError},
        sqlite::records::make_own,
    },
};

/// How often the progress is told.
const TOLD_EVERY: Duration = Duration::from_millis(200);
/// Makes a data set's holder of its instance: a move that goes on takes over from the one that died.
const HOLDER: u128 = u128::from_be_bytes(*b"permitd-moving..");

/// What there is to move of a data set.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataSetSize {
    /// Its name.
    pub name: String,
    /// Its records.
    pub records: u64,
    /// The changes to them that are kept.
    pub changes: u64,
    /// The versions that are kept.
    pub versions: u64,
    /// The bytes that it takes in the source. DynamoDB counts them every few hours.
    pub bytes: u64,
}

/// A data set that was moved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MovedDataSet {
    /// Its name.
    pub name: String,
    /// The version that it is at.
    pub version: u64,
    /// Its records.
    pub records: u64,
}

/// What a move of records is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsMoveStep {
    /// This data set is next.
    Begun(String),
    /// So many of its states and changes are written.
    Written {
        /// The data set.
        name: String,
        /// How many.
        count: u64,
    },
    /// This part of its records has been read from the tables.
    Copied {
        /// The data set.
        name: String,
        /// The part, in percent.
        percent: u8,
    },
    /// It is there, as a whole.
    Moved(MovedDataSet),
    /// It was there before.
    Left(MovedDataSet),
}

/// Why records are not moved, or not all of them. Repeat the move once that is put right.
#[derive(Debug, thiserror::Error)]
pub enum RecordsMoveError {
    /// A deployment cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Records cannot be read or written, or an import is running.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// DynamoDB cannot keep something, or has other records under a name.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// A directory cannot be used.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// Both deployments have the same backend.
    #[error(
        "records are moved from one backend to the other, and both deployments have the same: name another one as the target"
    )]
    SameBackend,
    /// Replicas that are no longer needed are still there.
    #[error("cannot remove {}: {source}. The records are moved; remove it by hand", path.display())]
    Replicas {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Receives what a move of records is at.
pub type RecordsMoveReport<'a> = &'a mut dyn FnMut(RecordsMoveStep);

/// What there is to move, without writing anything. Of an embedded deployment it is found out as well whether DynamoDB can keep it.
///
/// # Errors
/// When the records cannot be read, or DynamoDB could not keep something: see [`FillError`].
pub async fn measure_records(source: &Settings, clock: &SharedClock) -> Result<Vec<DataSetSize>, RecordsMoveError> {
    measure_records_with(source, clock, None).await
}

/// As [`measure_records`], with this access to AWS.
///
/// # Errors
/// As there.
pub async fn measure_records_with(
    source: &Settings,
    clock: &SharedClock,
    aws: Option<Access>,
) -> Result<Vec<DataSetSize>, RecordsMoveError> {
    let sizes = match source.backend {
        Backend::Aws => tables::measure_tables(&backend::dynamo(source, aws).await?.1).await?,
        Backend::Sqlite => {
            let store = backend::open_records(source, clock, None).await?;
            let files = store.data_sets().into_iter().map(|data_set| file_of(source, &data_set)).collect();
            store.close().await?;
            blocking(move || measured(files)).await?
        }
    };
    let size = |RecordsSize { name, records, changes, versions, bytes }| DataSetSize {
        name,
        records,
        changes,
        versions,
        bytes,
    };
    Ok(sizes.into_iter().map(size).collect())
}

fn measured(files: Vec<PathBuf>) -> Result<Vec<RecordsSize>, RecordsMoveError> {
    let measured = files.iter().map(|file| tables::measure_file(file).transpose());
    Ok(measured.flatten().collect::<Result<_, _>>()?)
}

/// Moves the records of every data set. What is there whole already is left. `workspace` is a directory for replicas on the way: keep
/// it for the next try, and it need not begin anew.
///
/// # Errors
/// When not all records are moved: see [`RecordsMoveError`].
pub async fn move_records(
    source: &Settings,
    target: &Settings,
    clock: &SharedClock,
    workspace: &Path,
    report: RecordsMoveReport<'_>,
) -> Result<Vec<MovedDataSet>, RecordsMoveError> {
    move_records_with((source, target), clock, None, workspace, report).await
}

/// As [`move_records`], with this access to AWS.
///
/// # Errors
/// As there.
pub async fn move_records_with(
    (source, target): (&Settings, &Settings),
    clock: &SharedClock,
    aws: Option<Access>,
    workspace: &Path,
    report: RecordsMoveReport<'_>,
) -> Result<Vec<MovedDataSet>, RecordsMoveError> {
    match (source.backend, target.backend) {
        (Backend::Sqlite, Backend::Aws) => into_tables((source, target), clock, aws, report).await,
        (Backend::Aws, Backend::Sqlite) => into_files((source, target), clock, aws, workspace, report).await,
        _ => Err(RecordsMoveError::SameBackend),
    }
}

/// Moves the records of an embedded deployment into tables.
async fn into_tables(
    (source, target): (&Settings, &Settings),
    clock: &SharedClock,
    aws: Option<Access>,
    report: RecordsMoveReport<'_>,
) -> Result<Vec<MovedDataSet>, RecordsMoveError> {
    let dynamo = backend::dynamo(target, aws).await?.1;
    let parallel_requests = target.aws.parallel_requests;
    let store = backend::open_records(source, clock, None).await?;
    let held = hold(&store).await?;
    // All is looked at before anything is written.
    let mut states = Vec::new();
    for data_set in store.data_sets() {
        let (dynamo, clock, file) = (dynamo.clone(), Arc::clone(clock), file_of(source, &data_set));
        let state =
            blocking(move || Ok(tables::look(&FillOrder { dynamo, parallel_requests, clock, file: &file })?)).await?;
        states.push((data_set, state));
    }
    let mut moved = Vec::new();
    for (data_set, state) in states {
        let told = moved_of(&data_set);
        match state {
            FillState::NoRecords => continue,
            FillState::Whole => report(RecordsMoveStep::Left(told.clone())),
            FillState::Missing => {
                report(RecordsMoveStep::Begun(told.name.clone()));
                tables::make_table(&dynamo, &data_set.definition).await?;
                let (dynamo, clock, file) = (dynamo.clone(), Arc::clone(clock), file_of(source, &data_set));
                let written = Arc::new(AtomicU64::new(0));
                let counted = Arc::clone(&written);
                let filling = blocking(move || {
                    let order = FillOrder { dynamo, parallel_requests, clock, file: &file };
                    let mut count = |more| {
                        counted.fetch_add(more, Ordering::Relaxed);
                    };
                    Ok(tables::fill(&order, &mut count)?)
                });
                watched(filling, || report(written_of(&told.name, &written))).await?;
                report(RecordsMoveStep::Moved(told.clone()));
            }
        }
        moved.push(told);
    }
    release(held).await?;
    store.close().await?;
    Ok(moved)
}

/// Moves the records of a deployment in AWS into files.
async fn into_files(
    (source, target): (&Settings, &Settings),
    clock: &SharedClock,
    aws: Option<Access>,
    workspace: &Path,
    report: RecordsMoveReport<'_>,
) -> Result<Vec<MovedDataSet>, RecordsMoveError> {
    private::directory(workspace)?;
    private::root(&target.data)?;
    let records = data_dir::records(&target.data);
    private::directory(&records)?;
    let store = backend::open_replicas_with(source, clock, workspace, aws).await?;
    let held = hold(&store).await?;
    copying::until_copied(&*store, |copies| {
        for copy in copies.iter().filter(|copy| !copy.is_ready) {
            let percent = (0..=100).rev().find(|percent| f64::from(*percent) <= copy.share * 100.0).unwrap_or(0);
            report(RecordsMoveStep::Copied { name: copy.name.clone(), percent });
            if let Some(reason) = copy.trouble.clone() {
                return Err(RecordStoreError::Unavailable { doing: format!("copy {}", copy.name), reason });
            }
        }
        Ok(copies.iter().all(|copy| copy.is_ready && copy.versions_behind == 0))
    })
    .await?;
    let data_sets = store.data_sets();
    store.close().await?;
    let mut moved = Vec::new();
    for data_set in data_sets {
        let told = moved_of(&data_set);
        report(RecordsMoveStep::Begun(told.name.clone()));
        let file = format!("{}.db", told.name);
        let (replica, to) = (workspace.join(&file), records.join(&file));
        let is_made = blocking(move || Ok(make_own(&replica, &to, &data_set)?)).await?;
        report(if is_made { RecordsMoveStep::Moved(told.clone()) } else { RecordsMoveStep::Left(told.clone()) });
        moved.push(told);
    }
    release(held).await?;
    drop(store);
    for name in moved.iter().map(|moved| &moved.name) {
        for end in ["db", "db-wal", "db-shm"] {
            let path = workspace.join(format!("{name}.{end}"));
            match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RecordsMoveError::Replicas { path, source });
                }
                _ => {}
            }
        }
    }
    Ok(moved)
}

/// Keeps imports away until the answer is dropped, which blocks. The store shows all that is there then.
async fn hold(store: &Arc<dyn RecordStore>) -> Result<Vec<Box<dyn Held>>, RecordsMoveError> {
    let (holding, data_sets) = (Arc::clone(store), store.data_sets());
    let names: Vec<String> = data_sets.iter().map(|data_set| data_set.definition.name.clone()).collect();
    let held = blocking(move || {
        let hold = |data_set: Arc<DataSet>| {
            let who = Uuid::from_u128(data_set.instance.as_u128() ^ HOLDER);
            holding.hold(&data_set.definition.name, who)
        };
        Ok(data_sets.into_iter().map(hold).collect::<Result<Vec<_>, _>>()?)
    });
    let held = held.await?;
    store.refresh().await?;
    // One that has just begun is held by nobody.
    match store.data_sets().into_iter().find(|data_set| !names.contains(&data_set.definition.name)) {
        Some(new) => Err(RecordStoreError::ImportRunning { name: new.definition.name.clone() }.into()),
        None => Ok(held),
    }
}

/// Lets imports begin again.
async fn release(held: Vec<Box<dyn Held>>) -> Result<(), RecordsMoveError> {
    blocking(move || {
        drop(held);
        Ok(())
    })
    .await
}

fn file_of(settings: &Settings, data_set: &DataSet) -> PathBuf {
    data_dir::records(&settings.data).join(format!("{}.db", data_set.definition.name))
}

fn moved_of(data_set: &DataSet) -> MovedDataSet {
    MovedDataSet { name: data_set.definition.name.clone(), version: data_set.version, records: data_set.records }
}

fn written_of(name: &str, count: &AtomicU64) -> RecordsMoveStep {
    RecordsMoveStep::Written { name: name.to_owned(), count: count.load(Ordering::Relaxed) }
}

/// Calls `tell` again and again until the work has come to its end.
async fn watched<T>(work: impl Future<Output = T>, mut tell: impl FnMut()) -> T {
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(TOLD_EVERY, &mut work).await {
            Ok(done) => return done,
            Err(_) => tell(),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RecordsMoveError> + Send + 'static,
) -> Result<T, RecordsMoveError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let doing = "move records".to_owned();
        Err(RecordStoreError::Unavailable { doing, reason: error.to_string() }.into())
    })
}
