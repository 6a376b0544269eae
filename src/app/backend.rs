//! Opens what a node stores: files on this machine, or tables and queues in AWS. The only place that knows which.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    CopyMark, Purpose, StartError,
    copy_mark::refuse_an_unfinished_copy,
    data_dir::{self, Premises},
    deployment,
};
use crate::{
    actors::{query::Shares, turns::Capacity},
    aws::Access,
    clock::{PastClock, SharedClock},
    config::{Backend, Settings},
    dataset::columns::BLOCK_ROWS,
    domain::checkpoint::CheckpointKey,
    mail::{self, Mailer, NoMailer, settings::MailTransport},
    private::FilePlace,
    queue::{Queue, nothing::NoQueue, sqlite::SqliteQueue, sqs::SqsQueue},
    secrets::{self, CHECKPOINT_KEY_FILE, Entropy, Secrets, SecretsError},
    store::{
        DeploymentMark, Stores,
        dynamodb::{
            self, Dynamo,
            records::{DynamoRecordStore, RecordSettings as DynamoRecordSettings},
        },
        records::{RecordStore, Retention},
        sqlite::{
            self, Database,
            records::{ColumnSettings, FileRole, SqliteRecordSettings, SqliteRecordStore},
        },
    },
};

/// Bounds of the age at which a node still trusts what it heard of a data set without asking again: four refresh intervals, clamped to
/// these. A longer age also delays the end of what an import removes.
const HEARING_MIN_MS: u64 = 200;
const HEARING_MAX_MS: u64 = 30_000;

/// The key that checkpoints are signed with, for messages.
const CHECKPOINT_KEY: &str = "the key of checkpoints";
/// Queries that may wait for each one that runs.
const FIND_WAITING_PER_THREAD: usize = 32;

/// All that a node stores, and how the node relates to others.
pub(super) struct KeptByNode {
    pub(super) secrets: Secrets,
    pub(super) stores: Stores,
    pub(super) queue: Arc<dyn Queue>,
    /// The queue of delivery reports from the mail system, if there is one.
    pub(super) feedback: Option<Arc<dyn Queue>>,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) mailer: Arc<dyn Mailer>,
    /// Whether a server works on the same data at the same time, as far as is known.
    pub(super) beside_server: bool,
    /// Whether others may admit requests of the same keys.
    pub(super) shared: bool,
    /// The data directory that the node serves, with its locks.
    pub(super) premises: Option<Premises>,
    /// Access to AWS, if the node needs it.
    pub(super) aws: Option<Access>,
    /// What is shown and as of when, where the node only shows it.
    pub(super) rehearsed: Option<ShownCopy>,
}

/// What a node shows that changes nothing.
pub(super) struct ShownCopy {
    /// The deployment, for people.
    pub(super) of: String,
    /// The moment.
    pub(super) as_of: Timestamp,
    /// A clock that began at the moment.
    pub(super) clock: SharedClock,
}

/// The purpose of a node on what the settings name: a copy is only read, whatever for.
///
/// # Errors
/// When nobody may open it for this purpose.
pub(super) fn purpose_on(settings: &Settings, purpose: Purpose) -> Result<Purpose, StartError> {
    if settings.backend == Backend::Aws {
        return if purpose == Purpose::Rehearse { Err(StartError::ReadOnlyNeedsFiles) } else { Ok(purpose) };
    }
    refuse_an_unfinished_copy(&settings.data)?;
    match CopyMark::read(&settings.data)? {
        Some(_) if matches!(purpose, Purpose::Command | Purpose::Rehearse) => Ok(Purpose::Rehearse),
        Some(mark) => Err(StartError::IsCopy { path: settings.data.clone(), what: mark.told() }),
        None => Ok(purpose),
    }
}

/// Opens a data directory only to show it. Nothing of what is made here could write, send or publish: no secret is read, no queue or mailer
/// opened, and no connection to a file can change it.
fn open_to_show(settings: &Settings, clock: &SharedClock, entropy: &dyn Entropy) -> Result<KeptByNode, StartError> {
    if settings.data.join(sqlite::FILE_NAME).symlink_metadata().is_err() {
        return Err(StartError::NothingToRead { path: settings.data.clone() });
    }
    let premises = data_dir::take_to_read(&settings.data)?;
    let database = Database::open_read_only(&settings.data)?;
    let (of, as_of) = match CopyMark::read(&settings.data)? {
        Some(mark) => (mark.of, mark.as_of),
        None => (settings.data.display().to_string(), database.last_moment()?),
    };
    let clock = PastClock::from(as_of, Arc::clone(clock));
    let records = SqliteRecordSettings { role: FileRole::ReadOnly, ..sqlite_records(settings, Purpose::Rehearse) };
    Ok(KeptByNode {
        secrets: Secrets::of_no_deployment(entropy)?,
        stores: database.stores(),
        queue: Arc::new(NoQueue),
        feedback: None,
        records: Arc::new(SqliteRecordStore::open(records, Arc::clone(&clock))?),
        mailer: Arc::new(NoMailer),
        beside_server: false,
        shared: false,
        premises: Some(premises),
        aws: None,
        rehearsed: Some(ShownCopy { of, as_of, clock }),
    })
}

/// Opens what the settings name.
pub(super) async fn open(
    settings: &Settings,
    clock: &SharedClock,
    entropy: &dyn Entropy,
    purpose: Purpose,
    aws: Option<Access>,
) -> Result<KeptByNode, StartError> {
    match settings.backend {
        _ if purpose == Purpose::Rehearse => open_to_show(settings, clock, entropy),
        Backend::Sqlite => open_sqlite(settings, clock, entropy, purpose, aws).await,
        Backend::Aws => open_aws(settings, clock, entropy, purpose, aws).await,
    }
}

/// The limits that all queries of a node share, and the part that one person gets.
pub(super) fn shares(settings: &Settings) -> Shares {
    let records = &settings.records;
    let waiting_max = records.find_threads * FIND_WAITING_PER_THREAD;
    Shares::new(
        Capacity::shared(records.find_threads, records.scans_per_person_max, waiting_max),
        Capacity::shared(records.exports_max, records.exports_per_person_max, 0),
        Duration::from_millis(records.find_timeout_ms),
    )
}

fn retention(settings: &Settings) -> Retention {
    Retention { days: settings.records.history_days, changes_max: settings.records.history_changes_max }
}

/// The fewest states for which a column projection pays: fewer are read from SQLite as fast.
const COLUMN_STATES_MIN: u64 = 500;
/// The most changed records that are brought into a column projection while a question waits for them.
const COLUMN_CHANGES_MAX: u64 = 20_000;

fn columns(settings: &Settings, purpose: Purpose) -> ColumnSettings {
    ColumnSettings {
        bytes_max: settings.records.columns_bytes_max,
        states_min: COLUMN_STATES_MIN,
        block_rows: BLOCK_ROWS,
        changes_max: COLUMN_CHANGES_MAX,
        // A command asks no questions.
        kept: purpose == Purpose::Serve,
    }
}

fn sqlite_records(settings: &Settings, purpose: Purpose) -> SqliteRecordSettings {
    let find_threads = settings.records.find_threads;
    SqliteRecordSettings {
        role: FileRole::Truth,
        directory: data_dir::records(&settings.data),
        cache_bytes: settings.records.cache_bytes_max,
        find_threads,
        find_waiting_max: find_threads * FIND_WAITING_PER_THREAD,
        find_timeout_ms: settings.records.find_timeout_ms,
        columns: columns(settings, purpose),
        retention: retention(settings),
        exports_max: settings.records.exports_max,
        export_timeout_ms: settings.records.export_timeout_ms,
        export_stall_ms: settings.records.export_stall_ms,
        workbook_bytes_max: settings.records.workbook_bytes_max,
    }
}

fn dynamo_records(settings: &Settings, purpose: Purpose) -> DynamoRecordSettings {
    let hearing_ms = settings.records.refresh_interval_ms.saturating_mul(4);
    DynamoRecordSettings {
        parallel_requests: settings.aws.parallel_requests,
        hearing_ms: hearing_ms.clamp(HEARING_MIN_MS, HEARING_MAX_MS),
        is_server: purpose == Purpose::Serve,
        replica: sqlite_records(settings, purpose),
    }
}

/// Opens only the records.
pub(super) async fn open_records(
    settings: &Settings,
    clock: &SharedClock,
    aws: Option<Access>,
) -> Result<Arc<dyn RecordStore>, StartError> {
    Ok(match settings.backend {
        Backend::Sqlite => {
            let role = match purpose_on(settings, Purpose::Command)? {
                Purpose::Rehearse => FileRole::ReadOnly,
                _ => FileRole::Truth,
            };
            let settings = SqliteRecordSettings { role, ..sqlite_records(settings, Purpose::Command) };
            Arc::new(SqliteRecordStore::open(settings, Arc::clone(clock))?)
        }
        Backend::Aws => {
            let dynamo = dynamo(settings, aws).await?.1;
            Arc::new(
                DynamoRecordStore::open(dynamo, dynamo_records(settings, Purpose::Command), Arc::clone(clock)).await?,
            )
        }
    })
}

/// Opens the records in AWS, with replicas of their own in a directory.
///
/// # Errors
/// When the records cannot be opened.
pub(super) async fn open_replicas(
    settings: &Settings,
    clock: &SharedClock,
    directory: &Path,
) -> Result<Arc<dyn RecordStore>, StartError> {
    open_replicas_with(settings, clock, directory, None).await
}

/// As [`open_replicas`], with this access to AWS.
///
/// # Errors
/// As there.
pub(super) async fn open_replicas_with(
    settings: &Settings,
    clock: &SharedClock,
    directory: &Path,
    aws: Option<Access>,
) -> Result<Arc<dyn RecordStore>, StartError> {
    let dynamo = dynamo(settings, aws).await?.1;
    let of_node = dynamo_records(settings, Purpose::Command);
    let replica = SqliteRecordSettings { directory: directory.to_owned(), ..of_node.replica };
    let of_copy = DynamoRecordSettings { is_server: true, replica, ..of_node };
    Ok(Arc::new(DynamoRecordStore::open(dynamo, of_copy, Arc::clone(clock)).await?))
}

/// Opens the stores of a data directory to compare them with others. No table is migrated.
///
/// # Errors
/// When the directory cannot be opened, or another permitd wrote its tables.
pub(super) fn open_to_compare(settings: &Settings) -> Result<Stores, StartError> {
    if purpose_on(settings, Purpose::Command)? == Purpose::Rehearse {
        return Ok(Database::open_read_only(&settings.data)?.stores());
    }
    data_dir::open(&settings.data, Purpose::Command)?;
    data_dir::refuse_a_lost_database(&settings.data)?;
    Database::check(&settings.data)?;
    Ok(Database::open(&settings.data)?.stores())
}

/// Opens only the queue.
///
/// # Errors
/// When it cannot be opened.
pub(super) async fn open_queue(settings: &Settings, clock: SharedClock) -> Result<Arc<dyn Queue>, StartError> {
    Ok(match settings.backend {
        Backend::Sqlite => Arc::new(SqliteQueue::new(Database::open(&settings.data)?, clock, settings.queue.policy())),
        Backend::Aws => {
            let (access, _) = dynamo(settings, None).await?;
            Arc::new(SqsQueue::open(&access, &settings.aws.prefix, settings.queue.policy()).await?)
        }
    })
}

/// Opens only the stores.
pub(super) async fn open_stores(settings: &Settings, aws: Option<Access>) -> Result<Stores, StartError> {
    match settings.backend {
        Backend::Sqlite => {
            if purpose_on(settings, Purpose::Command)? == Purpose::Rehearse {
                return Ok(Database::open_read_only(&settings.data)?.stores());
            }
            data_dir::open(&settings.data, Purpose::Command)?;
            data_dir::refuse_a_lost_database(&settings.data)?;
            Ok(Database::open(&settings.data)?.stores())
        }
        Backend::Aws => Ok(dynamo(settings, aws).await?.1.stores()),
    }
}

async fn open_sqlite(
    settings: &Settings,
    clock: &SharedClock,
    entropy: &dyn Entropy,
    purpose: Purpose,
    aws: Option<Access>,
) -> Result<KeptByNode, StartError> {
    data_dir::open(&settings.data, purpose)?;
    data_dir::refuse_a_lost_database(&settings.data)?;
    let (premises, beside_server) = data_dir::take_locks(&settings.data, purpose).await?;
    if premises.is_some() {
        data_dir::remove_unfinished(&settings.data, &settings.outbox())?;
    }
    let database = Database::open(&settings.data)?;
    if beside_server {
        database.is_beside_server();
    }
    let stores = database.stores();
    refuse_marked(&stores).await?;
    let secrets = local_secrets(settings, &stores, entropy, purpose).await?;
    let aws = match (aws, settings.mail_transport()) {
        (None, MailTransport::Ses) => Some(Access::from_environment().await),
        (aws, _) => aws,
    };
    let records = SqliteRecordStore::open(sqlite_records(settings, purpose), Arc::clone(clock))?;
    let unseen = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Io { doing: "cannot look at", path, source }
    };
    let premises = match premises {
        Some(premises) => {
            let (directory, (file, is_named)) = (data_dir::records(&settings.data), secret_file(settings));
            let place = FilePlace::of(&directory).map_err(unseen(&directory))?;
            let premises = premises.and(database.places()).and(&[place]);
            Some(premises.and_secret(&file, is_named, secrets.clone()).map_err(unseen(&file))?)
        }
        None => None,
    };
    Ok(KeptByNode {
        secrets,
        stores,
        queue: Arc::new(SqliteQueue::new(database, Arc::clone(clock), settings.queue.policy())),
        feedback: None,
        records: Arc::new(records),
        mailer: mailer(settings, Arc::clone(clock), aws.as_ref())?,
        beside_server,
        shared: beside_server,
        premises,
        aws,
        rehearsed: None,
    })
}

/// Makes the mailer that the settings ask for. Only SES needs access to AWS.
///
/// # Errors
/// When the sender or the SMTP settings cannot be used, or access is missing.
pub fn mailer(
    settings: &Settings,
    clock: SharedClock,
    access: Option<&Access>,
) -> Result<Arc<dyn Mailer>, mail::SetupError> {
    let premises = mail::MailSetting { transport: settings.mail_transport(), outbox: settings.outbox(), access };
    mail::from_settings(&settings.mail, premises, clock)
}

async fn open_aws(
    settings: &Settings,
    clock: &SharedClock,
    entropy: &dyn Entropy,
    purpose: Purpose,
    aws: Option<Access>,
) -> Result<KeptByNode, StartError> {
    data_dir::open(&settings.data, purpose)?;
    if purpose == Purpose::Serve {
        data_dir::remove_unfinished(&settings.data, &settings.outbox())?;
    }
    let (access, dynamo) = dynamo(settings, aws).await?;
    let dynamo = dynamo.keeping_time_by(Arc::clone(clock));
    let stores = dynamo.stores();
    refuse_marked(&stores).await?;
    if purpose == Purpose::Serve {
        // The records of a deployment there would be taken for replicas, and replaced.
        if settings.data.join(sqlite::FILE_NAME).symlink_metadata().is_ok() {
            return Err(StartError::HasDeployment { data: settings.data.clone() });
        }
        chain_meanwhile(dynamo.clone());
    }
    let secrets = shared_secrets(settings, &dynamo, &stores, entropy, purpose).await?;
    let (prefix, policy, told_in) = (&settings.aws.prefix, settings.queue.policy(), &settings.mail.ses.feedback_queue);
    // Commands do not listen for delivery reports.
    let feedback: Option<Arc<dyn Queue>> = match purpose == Purpose::Serve && !told_in.is_empty() {
        true => Some(Arc::new(SqsQueue::open_feedback(&access, prefix, told_in, policy).await?)),
        false => None,
    };
    Ok(KeptByNode {
        secrets,
        stores,
        queue: Arc::new(SqsQueue::open(&access, prefix, policy).await?),
        feedback,
        records: Arc::new(DynamoRecordStore::open(dynamo, dynamo_records(settings, purpose), Arc::clone(clock)).await?),
        mailer: mailer(settings, Arc::clone(clock), Some(&access))?,
        // A command cannot know whether a server runs somewhere, so it acts itself on what follows from it.
        beside_server: purpose == Purpose::Command,
        shared: true,
        premises: None,
        aws: Some(access),
        rehearsed: None,
    })
}

/// The path of this machine's server secret, and whether the settings name it.
pub(super) fn secret_file(settings: &Settings) -> (PathBuf, bool) {
    let is_named = !settings.secret_file.as_os_str().is_empty();
    (if is_named { settings.secret_file.clone() } else { settings.data.join(secrets::FILE_NAME) }, is_named)
}

/// Has the commits from before streams were chained get their hashes while the node serves.
fn chain_meanwhile(dynamo: Dynamo) {
    actix_web::rt::spawn(async move {
        if let Err(error) = dynamo.chain_once().await {
            tracing::warn!(%error, "not all commits of earlier versions have their hash; the next start goes on");
        }
    });
}

/// Refuses a deployment that is being filled, or was moved.
///
/// # Errors
/// [`StartError::Marked`].
pub async fn refuse_marked(stores: &Stores) -> Result<(), StartError> {
    stores.upkeep.mark().await?.map_or(Ok(()), |mark| Err(StartError::Marked(mark)))
}

/// Refuses a deployment that is being filled: what is read of it would be a part.
///
/// # Errors
/// [`StartError::Marked`].
pub(super) async fn refuse_filling(stores: &Stores) -> Result<(), StartError> {
    match stores.upkeep.mark().await? {
        Some(mark @ DeploymentMark::Filling { .. }) => Err(StartError::Marked(mark)),
        Some(DeploymentMark::Moving(_) | DeploymentMark::Moved { .. }) | None => Ok(()),
    }
}

/// The server secret that is kept where the settings say, if there is one.
pub(super) async fn kept_secret(settings: &Settings) -> Result<Option<Secrets>, StartError> {
    let (file, is_named) = secret_file(settings);
    if settings.backend == Backend::Aws && !is_named {
        let (_, dynamo) = dynamo(settings, None).await?;
        return Ok(dynamodb::secrets::find(&dynamo).await?);
    }
    if Secrets::is_there(&file)? { Ok(Some(Secrets::read_file(&file)?)) } else { Ok(None) }
}

/// The server secret, as it is stored.
pub(super) async fn secret_json(settings: &Settings) -> Result<Zeroizing<String>, StartError> {
    let (file, is_named) = secret_file(settings);
    if settings.backend == Backend::Aws && !is_named {
        let (_, dynamo) = dynamo(settings, None).await?;
        let place = || dynamodb::secrets::place(&dynamo);
        let secrets = dynamodb::secrets::find(&dynamo).await?.ok_or_else(|| SecretsError::Lost { place: place() })?;
        return Ok(secrets.json()?);
    }
    Ok(Secrets::read_file(&file)?.json()?)
}

/// Keeps a server secret where the settings say. It may be there already, but no other.
///
/// # Errors
/// Where another one is there, or it cannot be written.
pub(super) async fn keep_secret(settings: &Settings, json: &str) -> Result<(), StartError> {
    let given = Secrets::from_json(json.as_bytes(), "the file")?;
    let (file, is_named) = secret_file(settings);
    let kept = if settings.backend == Backend::Aws && !is_named {
        let (_, dynamo) = dynamo(settings, None).await?;
        dynamodb::secrets::keep(&dynamo, json).await?
    } else {
        Secrets::keep_file(&file, json)?
    };
    if kept.marks() == given.marks() && kept.current_mark() == given.current_mark() {
        return Ok(());
    }
    let what = "it is another one than the log's: move it away".to_owned();
    Err(SecretsError::NotOurs { place: kept.place().to_owned(), what }.into())
}

/// The stored form of the key that checkpoints are signed with, in the data directory or in AWS; none before the first checkpoint.
async fn stored_checkpoint_key(settings: &Settings) -> Result<Option<Zeroizing<Vec<u8>>>, StartError> {
    if settings.backend == Backend::Aws {
        let (_, dynamo) = dynamo(settings, None).await?;
        return Ok(dynamodb::secrets::find_checkpoint_key(&dynamo).await?);
    }
    Ok(secrets::find_checkpoint_key(&settings.data.join(CHECKPOINT_KEY_FILE))?)
}

/// Keeps a key, unless there is one; the one that is there then.
async fn kept_checkpoint_key(settings: &Settings, json: &str) -> Result<CheckpointKey, StartError> {
    let kept = match settings.backend {
        Backend::Sqlite => secrets::keep_checkpoint_key(&settings.data.join(CHECKPOINT_KEY_FILE), json)?,
        Backend::Aws => {
            let (_, dynamo) = dynamo(settings, None).await?;
            dynamodb::secrets::keep_checkpoint_key(&dynamo, json).await?
        }
    };
    Ok(secrets::read_checkpoint_key(&kept, CHECKPOINT_KEY)?)
}

/// The key that checkpoints are signed with; the first use makes it.
pub(super) async fn checkpoint_key(settings: &Settings, entropy: &dyn Entropy) -> Result<CheckpointKey, StartError> {
    match find_checkpoint_key(settings).await? {
        Some(key) => Ok(key),
        None => kept_checkpoint_key(settings, &secrets::new_checkpoint_key(entropy)?).await,
    }
}

/// The same, if it was made.
pub(super) async fn find_checkpoint_key(settings: &Settings) -> Result<Option<CheckpointKey>, StartError> {
    let stored = stored_checkpoint_key(settings).await?;
    Ok(stored.map(|json| secrets::read_checkpoint_key(&json, CHECKPOINT_KEY)).transpose()?)
}

/// The same, as it is stored.
pub(super) async fn checkpoint_key_json(settings: &Settings) -> Result<Option<Zeroizing<String>>, StartError> {
    let Some(json) = stored_checkpoint_key(settings).await? else { return Ok(None) };
    secrets::read_checkpoint_key(&json, CHECKPOINT_KEY)?;
    Ok(std::str::from_utf8(&json).ok().map(|json| Zeroizing::new(json.to_owned())))
}

/// Keeps a key of checkpoints where the settings say. It may be there already, but no other.
///
/// # Errors
/// Where another one is there, or it cannot be written.
pub(super) async fn keep_checkpoint_key(settings: &Settings, json: &str) -> Result<(), StartError> {
    let given = secrets::read_checkpoint_key(json.as_bytes(), "the file")?;
    if kept_checkpoint_key(settings, json).await?.public() == given.public() {
        return Ok(());
    }
    let what = "it is another one than the log's: move it away".to_owned();
    Err(SecretsError::NotOurs { place: CHECKPOINT_KEY.to_owned(), what }.into())
}

/// Opens the server secret in a file of this machine; makes it unless the log knows of one.
async fn local_secrets(
    settings: &Settings,
    stores: &Stores,
    entropy: &dyn Entropy,
    purpose: Purpose,
) -> Result<Secrets, StartError> {
    let (file, is_named) = secret_file(settings);
    if !Secrets::is_there(&file)? && purpose != Purpose::ReplaceSecret {
        deployment::may_begin(stores, &file.display().to_string()).await?;
    }
    let secrets = if is_named { Secrets::open_file(&file, entropy)? } else { Secrets::open(&settings.data, entropy)? };
    if purpose != Purpose::ReplaceSecret {
        deployment::settle(stores, &secrets).await?;
    }
    Ok(secrets)
}

/// Opens the server secret that all nodes share; makes it unless the log knows of one.
async fn shared_secrets(
    settings: &Settings,
    dynamo: &Dynamo,
    stores: &Stores,
    entropy: &dyn Entropy,
    purpose: Purpose,
) -> Result<Secrets, StartError> {
    let file = &settings.secret_file;
    let secrets = match file.as_os_str().is_empty() {
        // A missing file is not created: a mistyped path would give one node a secret of its own.
        false => Secrets::read_file(file)?,
        true => match dynamodb::secrets::find(dynamo).await? {
            Some(secrets) => secrets,
            None => {
                if purpose != Purpose::ReplaceSecret {
                    deployment::may_begin(stores, &dynamodb::secrets::place(dynamo)).await?;
                }
                dynamodb::secrets::open(dynamo, entropy).await?
            }
        },
    };
    if purpose != Purpose::ReplaceSecret {
        deployment::settle(stores, &secrets).await?;
    }
    Ok(secrets)
}

/// The tables of the deployment, and the access to them.
///
/// # Errors
/// When there is no access.
pub(super) async fn dynamo(settings: &Settings, aws: Option<Access>) -> Result<(Access, Dynamo), StartError> {
    let access = match aws {
        Some(access) => access,
        None => Access::from_environment().await,
    };
    access.check().await?;
    let dynamo = Dynamo::new(&access, &settings.aws.prefix);
    Ok((access, dynamo))
}
