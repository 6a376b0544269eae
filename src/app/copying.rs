//! Makes a copy of a deployment as it was at an earlier moment, while its servers run: a data directory that is only shown.
//!
//! Guarantees: the source is only read. The copy has no server secret, no message and no mail, and is marked as a copy from its first moment
//! on; until it is whole it is marked as unfinished, and the next try begins it anew. Whoever was erased meanwhile stays erased, since their
//! personal key is gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{CopiedDataSet, CopyMark, StartError, UncopiedDataSet, backend, copy_mark::FILE_NAME, data_dir};
use crate::{
    clock::SharedClock,
    config::{Backend, Settings},
    domain::{
        admission::day_of,
        guard::ImportCounts,
        id::UserId,
        lineage::Lineage,
        view::{ImportRow, REMOVED},
    },
    failpoint::crash_point,
    private::{self, PrivacyError},
    replay::{self, Progress, ReplayError},
    store::{
        StoreError, Stores,
        records::{CopyProgress, LastImport, RecordStore, RecordStoreError},
        sqlite::{
            CopiedLog, CopiedPerson,
            records::{WantedVersion, WindBackError, result_of, wind_back},
        },
    },
};

/// Commits that are read at a time.
const PAGE_COMMITS: usize = 1000;
/// People whose accounts are read at the same time.
const PEOPLE_AT_ONCE: usize = 16;
/// How long an index of DynamoDB may lag behind: a later moment than this ago is waited for.
const INDEX_LAG: Duration = Duration::from_secs(5);
/// The folder of the records' replicas that are made on the way, below the copy.
const REPLICAS: &str = ".replicas";
/// How often a replica that is being made is looked at.
const REPLICA_LOOK: Duration = Duration::from_millis(100);

/// The moment that a copy is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyPoint {
    /// What was recorded at this moment or earlier.
    Moment(Timestamp),
    /// What stands at this position of the log or before it.
    Position(u64),
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The directory is not empty, and is no unfinished copy.
    #[error("{path} is not empty, and no unfinished copy: name a directory that does not exist yet, or an empty one", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is in the data directory.
    #[error("{path} is in the data directory that is copied: a copy belongs elsewhere", path = path.display())]
    Inside {
        /// The directory.
        path: PathBuf,
    },
    /// The moment has not come yet.
    #[error("{at} has not come yet: nothing can be shown as of it")]
    Future {
        /// The moment.
        at: Timestamp,
    },
    /// Nothing was recorded by then.
    #[error("nothing was recorded by {0}: there is nothing to copy. `permitd events list` shows when the log begins")]
    Nothing(String),
    /// A file cannot be read or written.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is not its owner's alone.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The deployment cannot be opened, or the mark not be written.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log cannot be read, or the copy not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views of the copy could not be made.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Records cannot be read, or their copy not be written.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
}

/// What a copy is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyStep {
    /// So many commits will be read, and folded, at most.
    Begun(u64),
    /// So many commits of the log were read.
    Log(u64),
    /// The views are made of it: so many commits were folded.
    Views(u64),
    /// So many people's accounts were read.
    People(u64),
    /// The records of this data set are copied.
    Records(String),
}

/// Receives what a copy is at.
pub type CopyReport<'a> = &'a mut dyn FnMut(CopyStep);

/// Makes the copy in `into`, which must not exist, be empty, or hold an unfinished copy. Servers may run and imports be made meanwhile.
///
/// # Errors
/// When there is no copy: see [`CopyError`]. What is there by then is marked as unfinished.
pub async fn copy_as_of(
    settings: &Settings,
    clock: &SharedClock,
    point: CopyPoint,
    into: &Path,
    report: CopyReport<'_>,
) -> Result<CopyMark, CopyError> {
    if let CopyPoint::Moment(at) = point
        && at > clock.now()
    {
        return Err(CopyError::Future { at });
    }
    let stores = backend::open_stores(settings, None).await?;
    let (moment, position) = match point {
        CopyPoint::Moment(at) => (at, None),
        CopyPoint::Position(position) => (Timestamp::MAX, Some(position)),
    };
    let mark = CopyMark::begun(name_of(settings), moment.min(clock.now()), position, clock.now());
    begin_directory(settings, into)?;
    mark.write(into)?;
    crash_point("copy-begun");
    wait_for_index(settings, clock, point).await;
    report(CopyStep::Begun(stores.replay.replay_space()?.commits_total()?));
    let mut copy = CopiedLog::begin(into)?;
    copy_log(&stores, point, &mut copy, report).await?;
    copy.drop_behind_gaps()?;
    copy.put_quarantines(stores.quarantines.fresh().await?.iter())?;
    let Some((last, _)) = copy.last()? else {
        return Err(CopyError::Nothing(match point {
            CopyPoint::Moment(at) => at.to_string(),
            CopyPoint::Position(position) => format!("position {position}"),
        }));
    };
    // As of a position, the moment is that of the commit there.
    let as_of = if position.is_some() { last } else { moment };
    copy_people(&stores, &mut copy, as_of, report).await?;
    crash_point("copy-before-views");
    {
        let mut space = copy.database().stores().replay.replay_space()?;
        replay::rebuild(&mut *space, &mut |progress: Progress| report(CopyStep::Views(progress.commits)))?;
    }
    let (datasets, left_out) = copy_records(settings, clock, &copy, into, report).await?;
    copy.finish().await?;
    crash_point("copy-before-whole");
    let mark = CopyMark { as_of, datasets, left_out, is_whole: true, ..mark };
    mark.write(into)?;
    Ok(mark)
}

/// The deployment, as people know it.
fn name_of(settings: &Settings) -> String {
    match settings.backend {
        _ if !settings.public_url.is_empty() => settings.public_url.clone(),
        Backend::Sqlite => settings.data.display().to_string(),
        Backend::Aws => format!("{} in AWS", settings.aws.prefix),
    }
}

/// Makes the directory, or empties what an interrupted copy left.
fn begin_directory(settings: &Settings, into: &Path) -> Result<(), CopyError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Io { doing, path, source }
    };
    if settings.backend == Backend::Sqlite {
        let real = |path: &Path| {
            let there = path.ancestors().find(|path| path.exists())?;
            fs::canonicalize(if there.as_os_str().is_empty() { Path::new(".") } else { there }).ok()
        };
        if real(into).zip(real(&settings.data)).is_some_and(|(into, data)| into.starts_with(data)) {
            return Err(CopyError::Inside { path: into.to_owned() });
        }
    }
    let is_unfinished = CopyMark::read(into)?.is_some_and(|mark| !mark.is_whole);
    if into.exists() && !is_unfinished {
        let is_empty = fs::read_dir(into).map_err(failed("cannot read", into))?.next().is_none();
        if !is_empty {
            return Err(CopyError::NotEmpty { path: into.to_owned() });
        }
    }
    private::root(into)?;
    for entry in fs::read_dir(into).map_err(failed("cannot read", into))? {
        let path = entry.map_err(failed("cannot read", into))?.path();
        // The mark goes last, with the new one: without it a half-made copy would look like a deployment.
        let removed = match () {
            () if path.file_name().is_some_and(|name| name == FILE_NAME) => Ok(()),
            () if path.is_dir() => fs::remove_dir_all(&path),
            () => fs::remove_file(&path),
        };
        removed.map_err(failed("cannot remove", &path))?;
    }
    Ok(())
}

/// Waits until the index of time surely shows what was recorded by the moment, where there is one that lags.
async fn wait_for_index(settings: &Settings, clock: &SharedClock, point: CopyPoint) {
    let (Backend::Aws, CopyPoint::Moment(at)) = (settings.backend, point) else { return };
    let passed = Duration::try_from(clock.now().duration_since(at)).unwrap_or_default();
    tokio::time::sleep(INDEX_LAG.saturating_sub(passed)).await;
}

/// Copies the commits of the log up to a point.
async fn copy_log(
    stores: &Stores,
    point: CopyPoint,
    copy: &mut CopiedLog,
    report: CopyReport<'_>,
) -> Result<(), CopyError> {
    let (mut after, mut read) = (0, 0_u64);
    loop {
        let mut commits = stores.log.read(after, PAGE_COMMITS).await?;
        let is_last = commits.len() < PAGE_COMMITS;
        let Some(last) = commits.last() else { return Ok(()) };
        after = last.position;
        read = read.saturating_add(u64::try_from(commits.len()).unwrap_or(0));
        let is_beyond = match point {
            CopyPoint::Position(position) => after >= position,
            // A clock that was set back may have stamped a later commit with an earlier moment, and commits that were moved here have
            // places of their own: all of the log is read.
            CopyPoint::Moment(_) => false,
        };
        commits.retain(|commit| match point {
            CopyPoint::Position(position) => commit.position <= position,
            CopyPoint::Moment(at) => commit.recorded_at <= at,
        });
        copy.put(&commits)?;
        report(CopyStep::Log(read));
        if is_last || is_beyond {
            return Ok(());
        }
    }
}

/// Copies what is kept of people beside their streams.
async fn copy_people(
    stores: &Stores,
    copy: &mut CopiedLog,
    as_of: Timestamp,
    report: CopyReport<'_>,
) -> Result<(), CopyError> {
    let day = day_of(as_of.as_microsecond().saturating_mul(1000));
    let (mut after, mut done) = (None, 0_u64);
    loop {
        let people = copy.people(after)?;
        let Some(last) = people.last() else { break };
        after = Some(*last);
        done = done.saturating_add(u64::try_from(people.len()).unwrap_or(0));
        let read = stream::iter(people.into_iter().map(|user| copied_person(stores, user))).buffered(PEOPLE_AT_ONCE);
        let people: Vec<(UserId, CopiedPerson)> = read.try_collect().await?;
        copy.put_people(&people, as_of, day)?;
        report(CopyStep::People(done));
    }
    let (earlier, uses) = (stores.admin_tokens.earlier().await?, stores.admin_tokens.uses().await?);
    Ok(copy.put_tokens(&earlier, &uses, as_of)?)
}

async fn copied_person(stores: &Stores, user: UserId) -> Result<(UserId, CopiedPerson), StoreError> {
    let key = stores.log.personal_key(user).await?;
    let (usage, counts) = (stores.ledger.usage(user, 0).await?, stores.ledger.counts(user, 0).await?);
    Ok((user, CopiedPerson { key, usage, counts, uses: stores.ledger.last_uses(user).await? }))
}

/// Copies the records of every data set as of the version that the copy's log knows.
async fn copy_records(
    settings: &Settings,
    clock: &SharedClock,
    copy: &CopiedLog,
    into: &Path,
    report: CopyReport<'_>,
) -> Result<(Vec<CopiedDataSet>, Vec<UncopiedDataSet>), CopyError> {
    let imports = copy.imports()?;
    let known: Vec<uuid::Uuid> = imports.iter().map(|import| import.id).collect();
    let (mut copied, mut left_out) = (Vec::new(), Vec::new());
    let names = Lineage::all(&imports).into_keys();
    let wanted: Vec<(String, &ImportRow, u64)> = names.filter_map(|name| last_import(&imports, name)).collect();
    if wanted.is_empty() {
        return Ok((copied, left_out));
    }
    let records = data_dir::records(into);
    private::directory(&records)?;
    let replicas = into.join(REPLICAS);
    let source = match settings.backend {
        Backend::Sqlite => data_dir::records(&settings.data),
        Backend::Aws => {
            make_replicas(settings, clock, &replicas, &wanted).await?;
            replicas.clone()
        }
    };
    for (name, import, version) in wanted {
        report(CopyStep::Records(name.clone()));
        let result = result_of(version, import.counts.as_ref().unwrap_or(&ImportCounts::default()));
        let day = import.started_at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let wanted = WantedVersion {
            version,
            import: LastImport { id: import.id, day, result },
            withdrawn: copy.is_withdrawn(&name)?,
            known: known.clone(),
        };
        let file = format!("{name}.db");
        let (from, to) = (source.join(&file), records.join(&file));
        let made = tokio::task::spawn_blocking(move || {
            let made = wind_back(&from, &to, &wanted);
            if made.is_err() && to.exists() {
                fs::remove_file(&to).ok();
            }
            made
        });
        let ended =
            |_| RecordStoreError::Unavailable { doing: "copy records".to_owned(), reason: "a thread ended".to_owned() };
        match made.await.map_err(ended)? {
            Ok(data_set) => copied.push(CopiedDataSet { name, version, records: data_set.records }),
            Err(WindBackError::Gone(reason)) => left_out.push(UncopiedDataSet { name, reason }),
            Err(WindBackError::Records(error)) => return Err(error.into()),
        }
        crash_point("copy-records");
    }
    if replicas.exists() {
        let failed = |source| CopyError::Io { doing: "cannot remove", path: replicas.clone(), source };
        fs::remove_dir_all(&replicas).map_err(failed)?;
    }
    Ok((copied, left_out))
}

/// The last completed import of a data set that has records, and the version that it left.
fn last_import(imports: &[ImportRow], name: String) -> Option<(String, &ImportRow, u64)> {
    let of_it = imports.iter().filter(|import| import.dataset == name && import.status != REMOVED);
    let completed = of_it.filter_map(|import| Some((import, import.dataset_version?)));
    let completed = completed.filter(|(import, _)| import.status == "completed");
    let (import, version) = completed.max_by_key(|(import, version)| (*version, import.ended_at, import.started_at))?;
    Some((name, import, version))
}

/// Copies the records of data sets out of AWS, into replicas below the copy.
async fn make_replicas(
    settings: &Settings,
    clock: &SharedClock,
    directory: &Path,
    wanted: &[(String, &ImportRow, u64)],
) -> Result<(), CopyError> {
    let store = backend::open_replicas(settings, clock, directory).await?;
    let is_wanted = |copy: &CopyProgress| wanted.iter().any(|(wanted, ..)| *wanted == copy.name);
    until_copied(&*store, |copies| Ok(copies.iter().filter(|copy| is_wanted(copy)).all(|copy| copy.is_ready))).await?;
    Ok(store.close().await?)
}

/// Looks at the replicas that are being made until `is_enough`.
///
/// # Errors
/// Where one cannot be made, or that of `is_enough`.
pub(super) async fn until_copied(
    store: &dyn RecordStore,
    mut is_enough: impl FnMut(&[CopyProgress]) -> Result<bool, RecordStoreError>,
) -> Result<(), RecordStoreError> {
    while !is_enough(&store.copies())? {
        tokio::time::sleep(REPLICA_LOOK).await;
        // Begins what was not begun, and fails where it cannot be.
        store.refresh().await?;
    }
    Ok(())
}
