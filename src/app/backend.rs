//! What a node keeps things in: files of this machine, or tables and queues in AWS. The only place that knows which.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{Purpose, StartError};
use crate::{
    actors::{query::Shares, turns::Capacity},
    aws::Access,
    clock::SharedClock,
    config::{Backend, MailTransport, Settings},
    mail::{self, Mailer},
    queue::{Queue, sqlite::SqliteQueue, sqs::SqsQueue},
    secrets::{Entropy, Secrets, create_private_dir},
    store::{
        Stores,
        dynamodb::{
            self, Dynamo,
            records::{DynamoRecordStore, RecordSettings as DynamoRecordSettings},
        },
        records::{RecordStore, Retention},
        sqlite::{
            Database,
            records::{Settings as SqliteRecordSettings, SqliteRecordStore},
        },
    },
};

/// Queries that may wait for each one that runs.
const FIND_WAITING_PER_THREAD: usize = 32;
/// How often a server tries to get the data directory's lock: a command holds it for the moment in which it looks.
const LOCK_TRIES: u32 = 10;
/// Time between two such tries.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// All that a node keeps, and how it stands to others.
pub(super) struct Kept {
    pub(super) secrets: Secrets,
    pub(super) stores: Stores,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) mailer: Arc<dyn Mailer>,
    /// Whether a server works on the same at the same time, as far as is known.
    pub(super) beside_server: bool,
    /// Whether others may admit requests of the same keys.
    pub(super) shared: bool,
    /// Held for as long as the node serves.
    pub(super) lock: Option<File>,
    /// Access to AWS, if it is needed.
    pub(super) aws: Option<Access>,
}

/// Opens what the settings name.
pub(super) async fn open(
    settings: &Settings,
    clock: &SharedClock,
    entropy: &dyn Entropy,
    purpose: Purpose,
    aws: Option<Access>,
) -> Result<Kept, StartError> {
    match settings.backend {
        Backend::Sqlite => open_sqlite(settings, clock, entropy, purpose, aws).await,
        Backend::Aws => open_aws(settings, clock, entropy, purpose, aws).await,
    }
}

/// What the questions of a node share, and how much of it one person gets.
pub(super) fn shares(settings: &Settings) -> Shares {
    let records = &settings.records;
    let waiting_max = records.find_threads * FIND_WAITING_PER_THREAD;
    // Over DynamoDB a question has no thread: it waits for the network.
    let at_work_max = match settings.backend {
        Backend::Sqlite => records.find_threads,
        Backend::Aws => waiting_max,
    };
    Shares::new(
        Capacity::shared(at_work_max, records.scans_per_person_max, waiting_max),
        Capacity::shared(records.exports_max, records.exports_per_person_max, 0),
        Duration::from_millis(records.find_timeout_ms),
    )
}

fn retention(settings: &Settings) -> Retention {
    Retention { days: settings.records.history_days, changes_max: settings.records.history_changes_max }
}

/// Opens the stores and nothing else.
pub(super) async fn open_stores(settings: &Settings, aws: Option<Access>) -> Result<Stores, StartError> {
    match settings.backend {
        Backend::Sqlite => Ok(Database::open(&settings.data)?.stores()),
        Backend::Aws => Ok(dynamo(settings, aws).await?.1.stores()),
    }
}

async fn open_sqlite(
    settings: &Settings,
    clock: &SharedClock,
    entropy: &dyn Entropy,
    purpose: Purpose,
    aws: Option<Access>,
) -> Result<Kept, StartError> {
    create_private_dir(&settings.data)?;
    let file = &settings.secret_file;
    let secrets = match file.as_os_str().is_empty() {
        false => Secrets::open_file(file, entropy)?,
        true => Secrets::open(&settings.data, entropy)?,
    };
    let (lock, beside_server) = take_lock(&settings.data, purpose).await?;
    let database = Database::open(&settings.data)?;
    let aws = match (aws, settings.mail_transport()) {
        (None, MailTransport::Ses) => Some(Access::from_environment().await),
        (aws, _) => aws,
    };
    let find_threads = settings.records.find_threads;
    let record_settings = SqliteRecordSettings {
        directory: settings.data.join("records"),
        cache_bytes: settings.records.cache_bytes_max,
        find_threads,
        find_waiting_max: find_threads * FIND_WAITING_PER_THREAD,
        find_timeout_ms: settings.records.find_timeout_ms,
        retention: retention(settings),
        exports_max: settings.records.exports_max,
        export_timeout_ms: settings.records.export_timeout_ms,
        export_stall_ms: settings.records.export_stall_ms,
    };
    Ok(Kept {
        secrets,
        stores: database.stores(),
        queue: Arc::new(SqliteQueue::new(database, Arc::clone(clock), settings.queue.policy())),
        records: Arc::new(SqliteRecordStore::open(record_settings, Arc::clone(clock))?),
        mailer: mail::from_settings(settings, Arc::clone(clock), aws.as_ref())?,
        beside_server,
        shared: beside_server,
        lock,
        aws,
    })
}

/// Takes the data directory's lock for a server; for a command, tells whether a server has it.
async fn take_lock(data: &Path, purpose: Purpose) -> Result<(Option<File>, bool), StartError> {
    let path = data.join("serve.lock");
    let failed = |source| StartError::Io { doing: "cannot lock", path: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    if purpose == Purpose::Command {
        // Shared, so that two commands do not take each other for a server.
        return match file.try_lock_shared() {
            Ok(()) => Ok((None, false)),
            Err(TryLockError::WouldBlock) => Ok((None, true)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        };
    }
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok((Some(file), false)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY).await,
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(StartError::Served { path: data.to_owned() })
}

async fn open_aws(
    settings: &Settings,
    clock: &SharedClock,
    entropy: &dyn Entropy,
    purpose: Purpose,
    aws: Option<Access>,
) -> Result<Kept, StartError> {
    create_private_dir(&settings.data)?;
    let (access, dynamo) = dynamo(settings, aws).await?;
    let file = &settings.secret_file;
    let secrets = match file.as_os_str().is_empty() {
        // Not made when it is missing: a mistyped path would give one node a secret of its own.
        false => Secrets::read_file(file)?,
        true => dynamodb::secrets::open(&dynamo, entropy).await?,
    };
    let find_waiting_max = settings.records.find_threads * FIND_WAITING_PER_THREAD;
    let record_settings = DynamoRecordSettings {
        cache_bytes: settings.records.cache_bytes_max,
        shards: settings.aws.index_shards,
        find_records_max: settings.aws.find_records_max,
        parallel_requests: settings.aws.parallel_requests,
        index_settle_ms: settings.aws.index_settle_ms,
        find_waiting_max,
        find_timeout_ms: settings.records.find_timeout_ms,
        exports_max: settings.records.exports_max,
        export_timeout_ms: settings.records.export_timeout_ms,
        export_stall_ms: settings.records.export_stall_ms,
        retention: retention(settings),
        scratch: settings.data.join("scratch"),
    };
    Ok(Kept {
        secrets,
        stores: dynamo.stores(),
        queue: Arc::new(SqsQueue::open(&access, &settings.aws.prefix, settings.queue.policy()).await?),
        records: Arc::new(DynamoRecordStore::open(dynamo, record_settings, Arc::clone(clock)).await?),
        mailer: mail::from_settings(settings, Arc::clone(clock), Some(&access))?,
        // Whether a server runs somewhere cannot be known; what follows from a command is one's to do.
        beside_server: purpose == Purpose::Command,
        shared: true,
        lock: None,
        aws: Some(access),
    })
}

async fn dynamo(settings: &Settings, aws: Option<Access>) -> Result<(Access, Dynamo), StartError> {
    let access = match aws {
        Some(access) => access,
        None => Access::from_environment().await,
    };
    access.check().await?;
    let dynamo = Dynamo::new(&access, &settings.aws.prefix);
    Ok((access, dynamo))
}
