//! Backups: a copy of a whole data directory, made while a server serves, and restored as a whole.
//!
//! Guarantees: a backup shows one moment and is complete, or does not exist: it is made under another name and then renamed. Its list has
//! the SHA-256 of each file; a backup that differs from its list is not restored. A restored data directory is whole, or lacks
//! `permitd.db`: then no server starts, and the next `restore` begins anew.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::data_dir::{self, RESTORING};
use crate::{
    config::{self, Backend, ConfigurationFile, Settings},
    domain::id::hex,
    failpoint::crash_point,
    private::{self, Earlier, PrivacyError},
    replay::{self, ReplayError},
    secrets,
    store::{
        StoreError,
        sqlite::{
            self, Database,
            copy::{self, Moment},
        },
    },
};

/// The list of the files in a backup.
const MANIFEST: &str = "manifest.json";
/// The version of the backup format that this permitd writes.
const FORMAT: u32 = 1;
/// The folder whose content becomes the data directory.
const DATA: &str = "data";
/// The folder of definitions, in a backup and in a restored data directory.
const DEFINITIONS: &str = "datasets";
/// How often the moment is taken again because an import became visible during it.
const MOMENT_TRIES_MAX: u32 = 100;
/// Time between two tries.
const MOMENT_RETRY: Duration = Duration::from_millis(20);
/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 1 << 20;
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// Describes a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the backup format.
    pub format: u32,
    /// The version of permitd that made it.
    pub permitd: String,
    /// The version of the tables in its log.
    pub schema_version: i64,
    /// When it was made.
    pub taken_at: Timestamp,
    /// Whether the backup has the server secret and the keys of people's data.
    pub with_secret: bool,
    /// The data sets.
    pub datasets: Vec<BackedUp>,
    /// Where the configuration file was, if there is one: the backup has it as `permitd.toml`.
    pub configuration: Option<ConfigurationFile>,
    /// Every other file.
    pub files: Vec<ListedFile>,
}

/// A data set in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// How many records it has.
    pub records: u64,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Its path below the backup.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// How large the backup is.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The deployment keeps its data in AWS, not in files.
    #[error(
        "with backend = \"aws\" everything is in tables of AWS, whose own backups hold it: `permitd aws setup` turns point-in-time \
         recovery on, `permitd aws check` says whether it is, and docs/OPERATIONS.md how to restore"
    )]
    Aws,
    /// The target is not empty.
    #[error("{path} is not empty: name a {what} that does not exist yet, or an empty one", path = path.display())]
    NotEmpty {
        /// The target.
        path: PathBuf,
        /// What the target is to become.
        what: &'static str,
    },
    /// The target is in the data directory: the backup would contain itself.
    #[error("{path} is in the data directory: a backup belongs elsewhere, on another disk at best", path = path.display())]
    Inside {
        /// Where.
        path: PathBuf,
    },
    /// The folder is no backup.
    #[error("{path} is no backup: there is no {MANIFEST} in it. `permitd backup DIR` makes one", path = path.display())]
    NoBackup {
        /// The folder.
        path: PathBuf,
    },
    /// The backup is damaged.
    #[error("the backup is damaged: {what}. Nothing was restored; use another backup")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// A newer version of permitd made the backup.
    #[error("the backup was made by permitd {permitd}, which is newer than this one: use that to restore it")]
    Newer {
        /// The version.
        permitd: String,
    },
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
    /// A file or folder is not its owner's alone.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views of a copy without people's data could not be rebuilt.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { doing, path, source }
}

/// Receives the bytes done so far and, when it is known, the total.
pub type ByteReport<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// Makes a backup in `to`, which must not exist or be empty. A server may serve and imports may run meanwhile. Without the secret, the
/// backup has no key of people's data either: nobody can make API keys of it, or read names and addresses.
///
/// # Errors
/// When no backup was made: see [`BackupError`].
pub async fn backup(
    settings: &Settings,
    to: &Path,
    with_secret: bool,
    report: ByteReport<'_>,
) -> Result<Manifest, BackupError> {
    if settings.backend == Backend::Aws {
        return Err(BackupError::Aws);
    }
    must_be_empty(to, "folder")?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent =
        fs::canonicalize(parent).map_err(failed("cannot find the folder that the backup is to be in", parent))?;
    let data = fs::canonicalize(&settings.data).map_err(failed("cannot find", &settings.data))?;
    if parent.starts_with(&data) {
        return Err(BackupError::Inside { path: to.to_owned() });
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unfinished = format!(".{name}.unfinished-");
    remove_unfinished(&parent, &unfinished)?;
    let staging = tempfile::Builder::new().prefix(&unfinished).tempdir_in(&parent);
    let staging = staging.map_err(failed("cannot make a folder in", &parent))?;
    let held = private::open_directory(staging.path()).map_err(failed("cannot open", staging.path()))?;
    // The lock tells other backups of this name that this one is still being made. Where nothing can be locked, the folder stays.
    held.try_lock().ok();
    let manifest = fill(settings, staging.path(), with_secret, report).await?;
    crash_point("backup-before-rename");
    finish(staging, to, &parent)?;
    crash_point("backup-after-rename");
    Ok(manifest)
}

/// Writes everything into a folder.
async fn fill(
    settings: &Settings,
    folder: &Path,
    with_secret: bool,
    report: ByteReport<'_>,
) -> Result<Manifest, BackupError> {
    let data = folder.join(DATA);
    private::directory(&data)?;
    let records = data_dir::records(&settings.data);
    private::directory(&data_dir::records(&data))?;
    let moment = moment(&settings.data, &records).await?;
    report(0, Some(moment.bytes()));
    crash_point("backup-before-copy");
    moment.copy_to(&data, &mut |bytes| report(bytes, None))?;
    crash_point("backup-copied");
    let log = data.join(sqlite::FILE_NAME);
    if with_secret {
        let (secret, _) = super::backend::secret_file(settings);
        copy_file(&secret, &data.join(secrets::FILE_NAME), &mut |_| {})?;
        let key = settings.data.join(secrets::CHECKPOINT_KEY_FILE);
        if key.symlink_metadata().is_ok() {
            copy_file(&key, &data.join(secrets::CHECKPOINT_KEY_FILE), &mut |_| {})?;
        }
    } else {
        copy::forget_people(&log)?;
        let stores = Database::open(&data)?.stores();
        replay::rebuild(&mut *stores.replay.replay_space()?, &mut |_| {})?;
        drop(stores);
        copy::compact(&log)?;
    }
    // A password in the configuration file is a secret, too.
    let configuration = settings.configuration().filter(|_| with_secret || !settings.has_secret_in_file());
    if let Some(file) = configuration {
        copy_file(&file.path, &folder.join(config::FILE_NAME), &mut |_| {})?;
    }
    if let Some(definitions) = settings.datasets() {
        copy_definitions(definitions, &folder.join(DEFINITIONS))?;
    }
    let datasets = moment.data_sets.iter().map(|(name, version, records)| BackedUp {
        name: name.clone(),
        version: *version,
        records: *records,
    });
    let manifest = Manifest {
        format: FORMAT,
        permitd: env!("CARGO_PKG_VERSION").to_owned(),
        schema_version: sqlite::SCHEMA_VERSION,
        taken_at: Timestamp::now(),
        with_secret,
        datasets: datasets.collect(),
        configuration: configuration.cloned(),
        files: list(folder)?,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| failed("cannot write", folder)(error.into()))?;
    let path = folder.join(MANIFEST);
    private::write_whole(&path, ".manifest-", &text, Earlier::Stays).map_err(failed("cannot write", &path))?;
    Ok(manifest)
}

/// Pins the present moment, once no import becomes visible during it.
async fn moment(data: &Path, records: &Path) -> Result<Moment, BackupError> {
    for _ in 0..MOMENT_TRIES_MAX {
        if let Some(moment) = Moment::take(data, records)? {
            return Ok(moment);
        }
        tokio::time::sleep(MOMENT_RETRY).await;
    }
    let what =
        "the records do not fit the log, or imports become visible all the time: `permitd events verify` says which"
            .to_owned();
    Err(StoreError::Unavailable(what).into())
}

fn copy_definitions(from: &Path, to: &Path) -> Result<(), BackupError> {
    private::directory(to)?;
    for entry in fs::read_dir(from).map_err(failed("cannot read", from))? {
        let path = entry.map_err(failed("cannot read", from))?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "toml")) {
            copy_file(&path, &to.join(name), &mut |_| {})?;
        }
    }
    Ok(())
}

/// Makes the finished backup durable, and gives it its name.
fn finish(staging: TempDir, to: &Path, parent: &Path) -> Result<(), BackupError> {
    sync_folders(staging.path())?;
    let staging = staging.keep();
    if let Err(error) = fs::rename(&staging, to) {
        // The next backup of the same name removes a folder that cannot be removed now.
        fs::remove_dir_all(&staging).ok();
        return Err(failed("cannot give the backup its name", to)(error));
    }
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("cannot write", parent))
}

/// Removes what killed backups of this name left.
fn remove_unfinished(parent: &Path, prefix: &str) -> Result<(), BackupError> {
    for entry in fs::read_dir(parent).map_err(failed("cannot read", parent))? {
        let path = entry.map_err(failed("cannot read", parent))?.path();
        let is_one = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        if is_one && private::open_directory(&path).is_ok_and(|folder| folder.try_lock().is_ok()) {
            fs::remove_dir_all(&path).map_err(failed("cannot remove", &path))?;
        }
    }
    Ok(())
}

fn must_be_empty(path: &Path, what: &'static str) -> Result<(), BackupError> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::NotEmpty { path: path.to_owned(), what }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("cannot use", path)(error)),
    }
}

/// Copies a file durably, readable only by its owner; returns the SHA-256 of its content.
fn copy_file(from: &Path, to: &Path, report: &mut dyn FnMut(u64)) -> Result<String, BackupError> {
    let mut source = File::open(from).map_err(failed("cannot read", from))?;
    let mut copy = private::new_file(to).map_err(failed("cannot make", to))?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = source.read(&mut piece).map_err(failed("cannot read", from))?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        digest.update(bytes);
        copy.write_all(bytes).map_err(failed("cannot write", to))?;
        report(u64::try_from(read).unwrap_or(0));
    }
    copy.sync_all().map_err(failed("cannot write", to))?;
    Ok(hex(&digest.finalize()))
}

fn digest_of(path: &Path) -> Result<String, BackupError> {
    let mut source = File::open(path).map_err(failed("cannot read", path))?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        let read = source.read(&mut piece).map_err(failed("cannot read", path))?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        digest.update(bytes);
    }
    Ok(hex(&digest.finalize()))
}

/// All files below a folder, as paths from it, in order.
fn files_below(folder: &Path) -> Result<BTreeSet<PathBuf>, BackupError> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        for entry in fs::read_dir(&path).map_err(failed("cannot read", &path))? {
            let entry = entry.map_err(failed("cannot read", &path))?;
            let relative = inner.join(entry.file_name());
            match entry.file_type().map_err(failed("cannot look at", &path))?.is_dir() {
                true => folders.push(relative),
                false => drop(found.insert(relative)),
            }
        }
    }
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<ListedFile>, BackupError> {
    let listed = |path: PathBuf| {
        let full = folder.join(&path);
        let file = File::open(&full).map_err(failed("cannot read", &full))?;
        file.sync_all().map_err(failed("cannot write", &full))?;
        let bytes = file.metadata().map_err(failed("cannot read", &full))?.len();
        Ok(ListedFile { path, bytes, sha256: digest_of(&full)? })
    };
    files_below(folder)?.into_iter().map(listed).collect()
}

/// Makes the names in a folder, and in the folders in it, durable.
fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    let synced =
        |path: &Path| File::open(path).and_then(|opened| opened.sync_all()).map_err(failed("cannot write", path));
    for entry in fs::read_dir(folder).map_err(failed("cannot read", folder))? {
        let path = entry.map_err(failed("cannot read", folder))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    synced(folder)
}

/// Restores a backup into the data directory of the settings, which must not exist or be empty; an interrupted restore begins anew. The
/// backup is checked before anything is written.
///
/// # Errors
/// When nothing was restored: see [`BackupError`].
pub fn restore(settings: &Settings, from: &Path, report: ByteReport<'_>) -> Result<Manifest, BackupError> {
    if settings.backend == Backend::Aws {
        return Err(BackupError::Aws);
    }
    let manifest = read_manifest(from)?;
    check(from, &manifest)?;
    let data = &settings.data;
    begin_restoring(data)?;
    report(0, Some(manifest.bytes()));
    crash_point("restore-begun");
    let log = Path::new(DATA).join(sqlite::FILE_NAME);
    // The log comes last: without it no server starts.
    let (first, last): (Vec<&ListedFile>, Vec<&ListedFile>) = manifest.files.iter().partition(|file| file.path != log);
    for file in first {
        if let Some(to) = place_of(&manifest, data, &file.path) {
            restore_file(from, file, &to, report)?;
            crash_point("restore-file");
        }
    }
    let unfinished = data.join(format!("{RESTORING}.db"));
    for file in last {
        restore_file(from, file, &unfinished, report)?;
    }
    sync_folders(data)?;
    crash_point("restore-before-log");
    let log = data.join(sqlite::FILE_NAME);
    fs::rename(&unfinished, &log).map_err(failed("cannot make", &log))?;
    sync_folders(data)?;
    crash_point("restore-after-log");
    let mark = data.join(RESTORING);
    fs::remove_file(&mark).map_err(failed("cannot remove", &mark))?;
    sync_folders(data)?;
    Ok(manifest)
}

/// Where a file of a backup belongs; `None` for a configuration file that was outside the data directory.
fn place_of(manifest: &Manifest, data: &Path, path: &Path) -> Option<PathBuf> {
    if let Ok(inner) = path.strip_prefix(DATA) {
        return Some(data.join(inner));
    }
    if path == Path::new(config::FILE_NAME) {
        let was_inside = manifest.was_in_data_directory();
        return was_inside.then(|| data.join(config::FILE_NAME));
    }
    Some(data.join(path))
}

impl Manifest {
    /// Whether the configuration file was in the data directory, where permitd finds it without being told.
    pub fn was_in_data_directory(&self) -> bool {
        self.configuration.as_ref().is_some_and(|file| file.in_data_directory)
    }

    /// Where definitions are in a restored data directory, if there were any.
    pub fn definitions_in(&self, data: &Path) -> Option<PathBuf> {
        self.files.iter().any(|file| file.path.starts_with(DEFINITIONS)).then(|| data.join(DEFINITIONS))
    }
}

fn restore_file(from: &Path, file: &ListedFile, to: &Path, report: ByteReport<'_>) -> Result<(), BackupError> {
    if let Some(folder) = to.parent() {
        private::directory(folder)?;
    }
    let sha256 = copy_file(&from.join(&file.path), to, &mut |bytes| report(bytes, None))?;
    if sha256 != file.sha256 {
        return Err(BackupError::Damaged { what: format!("{} changed while it was read", file.path.display()) });
    }
    Ok(())
}

/// Makes the data directory, or empties it after an interrupted restore.
fn begin_restoring(data: &Path) -> Result<(), BackupError> {
    let mark = data.join(RESTORING);
    let is_interrupted = mark.exists() && !data.join(sqlite::FILE_NAME).exists();
    if is_interrupted {
        for entry in fs::read_dir(data).map_err(failed("cannot read", data))? {
            let path = entry.map_err(failed("cannot read", data))?.path();
            let removed = match () {
                () if path == mark => Ok(()),
                () if path.is_dir() => fs::remove_dir_all(&path),
                () => fs::remove_file(&path),
            };
            removed.map_err(failed("cannot remove", &path))?;
        }
        return Ok(());
    }
    must_be_empty(data, "data directory")?;
    private::root(data)?;
    let marked = private::new_file(&mark).and_then(|file| file.sync_all());
    marked.map_err(failed("cannot make", &mark))?;
    sync_folders(data)
}

fn read_manifest(from: &Path) -> Result<Manifest, BackupError> {
    let path = from.join(MANIFEST);
    let file = match File::open(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(BackupError::NoBackup { path: from.to_owned() });
        }
        opened => opened.map_err(failed("cannot read", &path))?,
    };
    let mut text = Vec::new();
    file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(failed("cannot read", &path))?;
    let damaged = |what: &str| BackupError::Damaged { what: format!("{MANIFEST} {what}") };
    /// The fields that every format version has.
    #[derive(Deserialize)]
    struct FormHead {
        format: u32,
        permitd: String,
    }
    let form: FormHead = serde_json::from_slice(&text).map_err(|_| damaged("cannot be read"))?;
    if form.format > FORMAT {
        return Err(BackupError::Newer { permitd: form.permitd });
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged("cannot be read"))?;
    if manifest.schema_version > sqlite::SCHEMA_VERSION {
        return Err(BackupError::Newer { permitd: manifest.permitd });
    }
    let is_inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    if !manifest.files.iter().all(|file| is_inside(&file.path)) {
        return Err(damaged("names files outside the backup"));
    }
    if !manifest.files.iter().any(|file| file.path == Path::new(DATA).join(sqlite::FILE_NAME)) {
        return Err(damaged("does not list the log"));
    }
    Ok(manifest)
}

/// Checks that a backup has exactly the listed files, unchanged.
fn check(from: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let damaged = |what: String| Err(BackupError::Damaged { what });
    let mut there = files_below(from)?;
    there.remove(Path::new(MANIFEST));
    for ListedFile { path, bytes, sha256 } in &manifest.files {
        let (full, shown) = (from.join(path), path.display());
        if !there.remove(path) {
            return damaged(format!("{shown} is missing"));
        }
        let found = fs::symlink_metadata(&full).map_err(failed("cannot look at", &full))?;
        if !found.is_file() || found.len() != *bytes {
            return damaged(format!("{shown} has {} bytes instead of {bytes}", found.len()));
        }
        if digest_of(&full)? != *sha256 {
            return damaged(format!("{shown} is not what it was when the backup was made"));
        }
    }
    match there.first() {
        Some(other) => damaged(format!("{} is in it, and was not when it was made", other.display())),
        None => Ok(()),
    }
}
