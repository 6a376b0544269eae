//! Builds a node from its settings: stores, queue, mailer, actors and, for `serve`, the servers; and stops them in order.

mod backend;
mod data_dir;
mod deployment;
mod open_files;
mod secret;
mod servers;

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::dev::ServerHandle;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::{
    data_dir::Premises,
    open_files::raise_limit,
    secret::{ReplacedSecret, replace_secret},
};
use crate::{
    actors::{
        account::Accounts,
        commit::{CommandError, Committer, Envelope},
        grants::GrantBook,
        import::{ImportError, Imports},
        invite::Inviting,
        lineage::{JudgeError, Lineages},
        mailer::{Mailers, Offer, Offering, Watch},
        relay::Relay,
    },
    aws::{Access, AccessError},
    clock::SharedClock,
    config::{Backend, Settings},
    dataset::{Definition, cursor::CursorKey, definition::DefinitionError, reader::Limits},
    domain::{
        event::Origin,
        id::{CommandId, Who, hex},
        key::KeyId,
        plan::{self, DEFAULT_PLAN},
    },
    http::{
        checkup::Checkup,
        ready::ReadyAnswers,
        state::{Readiness, Service},
        wire::Wire,
    },
    mail,
    private::PrivacyError,
    queue::QueueError,
    secrets::{Entropy, EntropyError, Secrets, SecretsError},
    store::{
        PutToken, StoreError, Stores, dynamodb,
        records::{RecordStore, RecordStoreError},
    },
};

/// Definition files that are read from a folder at most.
const DEFINITION_FILES_MAX: usize = 1000;
/// Largest definition file, bytes.
const DEFINITION_BYTES_MAX: u64 = 1 << 20;
/// How often a server looks whether its files are still where they were.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// How often a server looks for imports that died elsewhere where these keep their data sets for a while.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(60);
/// The same where it is known at once that they died.
const LOCAL_RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How often a server removes what has expired of the answers that are kept with idempotency keys.
const ANSWERS_SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// How long a stop waits for connections without a request before it gives up the port, so that new ones are refused.
const FIRST_DRAIN: Duration = Duration::from_millis(400);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or a file in it.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another server has the data directory.
    #[error("another permitd serves {path} already: stop it, or use another --data", path = path.display())]
    Served {
        /// The directory.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("{setting} = {address}: {source}; choose a free address")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A definition is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A definition file does not define the data set that it is named after, or two define the same.
    #[error("{0}")]
    Definitions(String),
    /// The data directory, or something in it, is not the owner's alone.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The secret file.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The mail settings.
    #[error(transparent)]
    Mail(#[from] mail::SetupError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// AWS cannot be used at all.
    #[error(transparent)]
    Aws(#[from] AccessError),
    /// The server secret that the nodes share.
    #[error(transparent)]
    SharedSecret(#[from] dynamodb::secrets::OpenError),
    /// The records.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
    /// The first events could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Interrupted imports could not be written down.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The records could not be compared with the log.
    #[error(transparent)]
    Judge(#[from] JudgeError),
}

/// Runs `work` with what actors need on the calling thread, until it has ended.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    servers::mark_main_thread();
    actix_web::rt::System::new().block_on(work)
}

/// Opens the stores and nothing else: whoever has only these can neither publish nor send. Without an access to AWS, that of
/// the environment is used where one is needed.
///
/// # Errors
/// When they cannot be opened.
pub async fn open_stores(settings: &Settings, aws: Option<Access>) -> Result<Stores, StartError> {
    backend::open_stores(settings, aws).await
}

/// Opens the records and nothing else.
///
/// # Errors
/// When they cannot be opened.
pub async fn open_records(
    settings: &Settings,
    clock: &SharedClock,
    aws: Option<Access>,
) -> Result<Arc<dyn RecordStore>, StartError> {
    backend::open_records(settings, clock, aws).await
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It serves requests: it alone has the data directory's lock, and works on the queue all the time.
    Serve,
    /// It carries out one command beside a server, or without one.
    Command,
    /// It gives the deployment another server secret, and therefore does not compare it with what the log remembers.
    ReplaceSecret,
}

/// A node: everything but the servers. It lives on an arbiter's thread, as its actors do.
pub struct Node {
    /// What the routes and the commands have at hand.
    pub service: Service,
    /// The definitions by which files are imported.
    pub definitions: Vec<Arc<Definition>>,
    /// The administrator's token, when this start of a server made the first one: shown once.
    pub first_admin_token: Option<String>,
    /// Whether a server has the data directory at the same time.
    pub beside_server: bool,
    /// The data directory that the node serves, with its locks.
    premises: Option<Premises>,
}

impl Node {
    /// Opens what the settings name, making the data directory when it is not there, and starts the actors on the calling
    /// thread's arbiter. Without an access to AWS, that of the environment is used where one is needed.
    ///
    /// # Errors
    /// [`StartError`]: what is wrong and what to do.
    pub async fn open(
        settings: Settings,
        clock: SharedClock,
        entropy: Arc<dyn Entropy>,
        purpose: Purpose,
        public_address: SocketAddr,
        aws: Option<Access>,
    ) -> Result<Self, StartError> {
        let definitions = definitions(settings.datasets())?;
        let kept = backend::open(&settings, &clock, &*entropy, purpose, aws).await?;
        let (beside_server, premises) = (kept.beside_server, kept.premises);
        let committer = Committer::new(kept.stores, kept.queue, clock, entropy, kept.secrets.clone())
            .keeping_answers_for(settings.commands.idempotency_days);
        let parts = Parts {
            committer: Arc::new(committer),
            records: kept.records,
            mailer: kept.mailer,
            secrets: kept.secrets,
            shared: kept.shared,
            aws: kept.aws,
        };
        let is_shared = parts.shared;
        let mut service = start_actors(settings, public_address, parts, purpose);
        // A command that happens to come first must not make a token that nobody gets to see.
        let first_admin_token = match purpose {
            Purpose::Serve => first_admin_token(&service).await?,
            Purpose::Command | Purpose::ReplaceSecret => None,
        };
        service.old_tokens = Arc::new(service.committer.stores.admin_tokens.hashes().await?.into_iter().collect());
        first_plan(&service).await?;
        let node = Self { service, definitions, first_admin_token, beside_server, premises };
        if is_shared && purpose == Purpose::Serve {
            // Of an import that died the rows may be missing by which it is found.
            if let Err(error) = node.service.relay.sweep().await {
                tracing::warn!(%error, "what others left unpublished cannot be swept yet; trying again later");
            }
        }
        if !beside_server {
            node.service.imports.recover().await?;
        }
        if purpose == Purpose::Serve {
            node.service.lineages.judge_all().await?;
        }
        Ok(node)
    }

    /// The definition of a data set, if there is one.
    pub fn definition(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.iter().find(|definition| definition.name == name)
    }
}

/// What actors are made of.
struct Parts {
    committer: Arc<Committer>,
    records: Arc<dyn RecordStore>,
    mailer: Arc<dyn mail::Mailer>,
    secrets: Secrets,
    shared: bool,
    aws: Option<Access>,
}

fn start_actors(settings: Settings, public_address: SocketAddr, parts: Parts, purpose: Purpose) -> Service {
    let Parts { committer, records, mailer, secrets, shared, aws } = parts;
    let (capacity, patience) = (settings.actors.mailbox_capacity, settings.actors.send_timeout());
    let life = settings.admission.grant_ttl();
    let public_url = settings.public_url(public_address);
    let ready = Arc::new(ReadyAnswers::new(settings.http.ready_bytes_max));
    let cursor_key = CursorKey::new(secrets.cursor_key());
    let ledger = Arc::clone(&committer.stores.ledger);
    let book = Arc::new(GrantBook::new(ledger, Arc::clone(&committer.clock), secrets, life));
    let elsewhere = shared.then_some(life);
    let accounts = Accounts::start(Arc::clone(&committer), Arc::clone(&book), elsewhere, capacity, patience);
    let serving = purpose == Purpose::Serve;
    let mailers = Mailers::start(
        Arc::clone(&committer),
        mailer,
        offering(&settings, &public_url, &records),
        Duration::from_secs(settings.queue.visibility_s.into()),
        settings.mail.retry_for(),
        settings.actors.mailers,
        serving.then(|| Watch {
            poll_interval: Duration::from_millis(settings.queue.poll_interval_ms),
            wait: Duration::from_secs(settings.queue.wait_s),
        }),
        capacity,
    );
    let limits = Limits {
        rows_max: settings.import.rows_max,
        sheet_bytes_max: settings.import.inflate_bytes_max,
        ..Limits::default()
    };
    let rejects = data_dir::rejects(&settings.data);
    Service {
        inviting: Inviting::start(Arc::clone(&committer), settings.mail.invitation_bounds(), capacity, patience),
        accounts,
        relay: Relay::start(Arc::clone(&committer), Duration::from_millis(settings.relay.sweep_interval_ms), capacity),
        mailers,
        imports: Imports::start(Arc::clone(&committer), Arc::clone(&records), limits, rejects, capacity),
        shares: backend::shares(&settings),
        lineages: Arc::new(Lineages::new(Arc::clone(&committer), Arc::clone(&records))),
        settings: Arc::new(settings),
        public_url,
        committer,
        book,
        records,
        cursor_key,
        ready,
        aws,
        readiness: Readiness::default(),
        checkup: Arc::new(Checkup::new(shared)),
        old_tokens: Arc::default(),
        meter: Arc::default(),
    }
}

/// What invitations say is on offer: the data sets at the time of the mail.
fn offering(settings: &Settings, public_url: &str, records: &Arc<dyn RecordStore>) -> Offering {
    let (brand, public_url, records) = (settings.mail.brand.clone(), public_url.to_owned(), Arc::clone(records));
    Arc::new(move || {
        let data_sets = records.data_sets();
        let offered = |data_set: &Arc<crate::store::records::DataSet>| mail::templates::Dataset {
            title: data_set.definition.title.clone(),
            path: format!("/{}", data_set.definition.name),
        };
        Offer {
            brand: brand.clone(),
            public_url: public_url.clone(),
            datasets: data_sets.iter().map(offered).collect(),
            // Before the first import every path of data is a 404.
            example_path: data_sets.first().map(|data_set| format!("/{}?limit=3", data_set.definition.name)),
        }
    })
}

/// The built-in definitions and those of a folder; one of the folder replaces a built-in one of the same name.
///
/// # Errors
/// When a file cannot be read or is no definition.
pub fn definitions(folder: Option<&Path>) -> Result<Vec<Arc<Definition>>, StartError> {
    let mut definitions: Vec<Arc<Definition>> = Definition::builtin()?.into_iter().map(Arc::new).collect();
    let Some(folder) = folder else { return Ok(definitions) };
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Io { doing, path, source }
    };
    let entries = std::fs::read_dir(folder).map_err(failed("cannot read the folder of definitions", folder))?;
    let mut files = Vec::new();
    for entry in entries.take(DEFINITION_FILES_MAX) {
        let path = entry.map_err(failed("cannot read the folder of definitions", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let definition = read_definition(&path)?;
        definitions.retain(|known| known.name != definition.name);
        definitions.push(Arc::new(definition));
    }
    Ok(definitions)
}

/// Reads one definition file.
///
/// # Errors
/// When it cannot be read, is too large, or is no definition.
pub fn read_definition(path: &Path) -> Result<Definition, StartError> {
    let failed = |source| StartError::Io { doing: "cannot read the definition", path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > DEFINITION_BYTES_MAX {
        let file = path.display();
        return Err(StartError::Definitions(format!("{file}: {bytes} bytes are more than {DEFINITION_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(Definition::from_toml(&text, &path.display().to_string())?)
}

/// What the node does of its own accord.
fn system_envelope(command: &str) -> Envelope {
    Envelope {
        command: CommandId::stored(command),
        request_hash: None,
        expected_version: None,
        origin: Origin { who: Who::system("start"), correlation_id: command.to_owned(), causation_id: None },
    }
}

async fn first_plan(service: &Service) -> Result<(), StartError> {
    if service.committer.stores.views.plan(DEFAULT_PLAN).await?.is_none() {
        let limits = plan::Limits::default();
        service.accounts.define_plan(DEFAULT_PLAN.to_owned(), limits, system_envelope("first-plan")).await?;
    }
    Ok(())
}

async fn first_admin_token(service: &Service) -> Result<Option<String>, StartError> {
    if service.committer.stores.admin_tokens.count().await? > 0 {
        return Ok(None);
    }
    put_admin_token(&service.committer, PutToken::First).await
}

/// Makes an administrator's token; with `replace` the others stop working. Only its SHA-256 is kept.
///
/// # Errors
/// When there are no random bytes or the token cannot be stored.
pub async fn new_admin_token(committer: &Committer, replace: bool) -> Result<String, StartError> {
    let how = if replace { PutToken::Instead } else { PutToken::Beside };
    // Only a token that is to be the first can come too late.
    Ok(put_admin_token(committer, how).await?.unwrap_or_default())
}

async fn put_admin_token(committer: &Committer, how: PutToken) -> Result<Option<String>, StartError> {
    let mut random = [0; 12];
    committer.entropy.fill(&mut random)?;
    let token = committer.secrets.admin_token(KeyId::from_random(random))?.reveal().to_owned();
    let id: Uuid = committer.new_id()?;
    let now = committer.clock.now();
    let put = committer.stores.admin_tokens.put(&id.to_string(), &admin_token_hash(&token), now, how).await?;
    Ok(put.then_some(token))
}

/// What is stored of an administrator's token.
pub fn admin_token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// Addresses that are listened on but not yet served.
pub struct Listeners {
    public: TcpListener,
    ops: TcpListener,
}

impl Listeners {
    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn bind(settings: &Settings) -> Result<Self, StartError> {
        let bind = |setting, address| {
            TcpListener::bind(address).map_err(|source| StartError::Listen { setting, address, source })
        };
        Ok(Self { public: bind("listen", settings.listen)?, ops: bind("ops.listen", settings.ops.listen)? })
    }

    /// The address of the API.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn public_address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address of health and metrics.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ops_address(&self) -> std::io::Result<SocketAddr> {
        self.ops.local_addr()
    }
}

/// A node that serves.
pub struct Server {
    node: Node,
    public: ServerHandle,
    ops: ServerHandle,
    wire: Arc<Wire>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Serves a node.
    ///
    /// # Errors
    /// When the system gives no threads or sockets.
    pub fn start(node: Node, listeners: Listeners) -> std::io::Result<Self> {
        let service = node.service.clone();
        let wire = Arc::new(Wire::new(&service.settings.http, Arc::clone(&service.committer.clock)));
        let patience = requests_patience(&service.settings);
        let public = servers::public(&service, listeners.public, Arc::clone(&wire), patience)?;
        let ops = servers::ops(&service, listeners.ops)?;
        let handles = (public.handle(), ops.handle());
        actix_web::rt::spawn(public);
        actix_web::rt::spawn(ops);
        let mut tasks = vec![actix_web::rt::spawn(refresh(service.clone()))];
        let mut node = node;
        if let Some(premises) = node.premises.take() {
            tasks.push(actix_web::rt::spawn(watch(service.clone(), premises)));
        }
        service.readiness.set(true);
        Ok(Self { node, public: handles.0, ops: handles.1, wire, tasks })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Stops in order: says that it is not ready, finishes the requests in flight while the mailers finish the message they
    /// are at, gives the grants back. All of it within `http.shutdown_timeout_s`.
    pub async fn stop(self) {
        let service = &self.node.service;
        service.readiness.set(false);
        // The locks are in one of them; they are given up at the end.
        let (refreshing, watching) = self.tasks.split_at(1);
        refreshing.iter().for_each(tokio::task::JoinHandle::abort);
        let patience = requests_patience(&service.settings);
        let (left, mailers) =
            tokio::join!(self.end_requests(patience), tokio::time::timeout(patience, service.mailers.stop(patience)));
        if left > 0 {
            tracing::warn!(connections = left, "requests were still at work and are cut off");
        }
        if !matches!(mailers, Ok(Ok(()))) {
            tracing::warn!("a mailer is still at work; its message will be received again");
        }
        if let Err(error) = service.book.withdraw_all().await {
            tracing::warn!(%error, "the unspent part of grants could not be given back");
        }
        if service.readiness.closed().is_none() {
            close(service).await;
        }
        self.ops.stop(false).await;
        watching.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Leaves files that are whole by themselves: what stands in write-ahead logs is moved into the databases.
async fn close(service: &Service) {
    if let Err(error) = service.committer.stores.upkeep.close().await {
        tracing::warn!(%error, "the database was not closed in order; nothing is lost");
    }
    if let Err(error) = service.records.close().await {
        tracing::warn!(%error, "the records were not closed in order; nothing is lost");
    }
}

/// Looks whether the data directory and the files in it are still where they were. When one was taken away the server goes on
/// in a file that nobody will find, or beside another one: it answers nothing but 503 from then on.
async fn watch(service: Service, premises: Premises) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    loop {
        ticks.tick().await;
        if let Some(trouble) = premises.trouble() {
            tracing::error!(
                trouble,
                "nothing is answered any more: stop this server, put the data directory back as it was, or restore it from \
                 the backup, and start again"
            );
            service.readiness.close(trouble);
            break;
        }
    }
    let patience = requests_patience(&service.settings);
    if service.mailers.stop(patience).await.is_err() {
        tracing::warn!("a mailer is still at work");
    }
    // The locks stay: no other server is to find the directory free while this one is there.
    std::future::pending::<()>().await;
    drop(premises);
}

impl Server {
    /// Answers what has arrived, and closes all connections of the API. How many were cut off after `patience`.
    async fn end_requests(&self, patience: Duration) -> usize {
        let began = Instant::now();
        self.public.pause().await;
        if self.wire.drain(FIRST_DRAIN.min(patience)).await == 0 {
            self.public.stop(false).await;
            return 0;
        }
        // Some take longer: whoever comes meanwhile is to try elsewhere at once.
        let (left, ()) =
            tokio::join!(self.wire.drain(patience.saturating_sub(began.elapsed())), self.public.stop(true));
        left
    }
}

/// What a stop leaves to the requests in flight: all of its time but what it needs itself.
fn requests_patience(settings: &Settings) -> Duration {
    Duration::from_secs(settings.http.shutdown_timeout_s.saturating_sub(1).max(1))
}

/// Notices what other processes have imported, and those that died of it, for as long as the node serves.
async fn refresh(service: Service) {
    let mut ticks = tokio::time::interval(Duration::from_millis(service.settings.records.refresh_interval_ms));
    // The first is over at once: the records have only just been read. What was imported since is compared at once, too.
    ticks.tick().await;
    compare_with_log(&service).await;
    let is_shared = service.settings.backend == Backend::Aws;
    let recovery_interval = if is_shared { RECOVERY_INTERVAL } else { LOCAL_RECOVERY_INTERVAL };
    let (mut recovered, mut swept) = (Instant::now(), Instant::now());
    loop {
        ticks.tick().await;
        match service.records.refresh().await {
            Ok(()) => compare_with_log(&service).await,
            Err(error @ RecordStoreError::Unavailable { .. }) => {
                tracing::warn!(%error, "data sets cannot be looked at")
            }
            Err(error) => tracing::error!(%error, "the records cannot be read again"),
        }
        // An import that died may hold its data set for a while; only then can it be written down.
        if recovered.elapsed() >= recovery_interval {
            recovered = Instant::now();
            if let Err(error) = service.imports.recover_recent().await {
                tracing::warn!(%error, "imports that died cannot be written down yet");
            }
            if is_shared && let Err(error) = service.committer.check_secret().await {
                tracing::warn!(%error, "whether the server secret is still the deployment's cannot be seen");
            }
        }
        if swept.elapsed() >= ANSWERS_SWEEP_INTERVAL {
            swept = Instant::now();
            if let Err(error) = service.committer.sweep_answers().await {
                tracing::warn!(%error, "answers that have expired cannot be removed yet");
            }
        }
    }
}

/// Compares records that have changed with the log.
async fn compare_with_log(service: &Service) {
    if let Err(error) = service.lineages.look_again().await {
        tracing::warn!(%error, "records that have changed cannot be compared with the log yet");
    }
}
