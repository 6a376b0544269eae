//! The two backends, for tests that do not mind which: places in which a deployment keeps its things, and what nodes over them
//! have.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use permitd::{
    actors::grants::GrantBook,
    aws::{Access, Endpoints},
    clock::{Clock, ManualClock, SharedClock},
    dataset::Definition,
    queue::{
        Policy, Queue,
        sqlite::SqliteQueue,
        sqs::{self, SqsQueue},
    },
    secrets::{Secrets, SystemEntropy},
    store::{
        Stores,
        dynamodb::{Dynamo, schema, secrets, setup},
        sqlite::Database,
    },
};

use super::{
    emulator::{self, Kind, Lease},
    proxy::Proxy,
};

/// The time at which every world begins.
pub(crate) const BEGINNING: &str = "2026-03-01T12:00:00Z";
/// The default of `admission.grant_ttl`.
const GRANT_TTL: SignedDuration = SignedDuration::from_secs(1);
/// What the SDK of a process finds instead of its usual files.
const EMPTY_FILE: &str = "aws-files";
/// How long a test's client waits before it tries again what was throttled.
const FIRST_BACKOFF: Duration = Duration::from_millis(1);

/// Which backend. Every test binary has its own: `MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Sqlite,
    Aws,
}

/// What was kept aside of a data set.
pub(crate) struct RecordsCopy {
    file: Vec<u8>,
    item: HashMap<String, AttributeValue>,
}

/// What a node has of a place.
pub(crate) struct Kept {
    pub(crate) stores: Stores,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) secrets: Secrets,
}

/// Where one deployment keeps its things: empty at first, and with nobody else in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    cloud: Option<Cloud>,
    /// What its nodes admit requests by.
    books: Mutex<Vec<Weak<GrantBook>>>,
}

/// Tables and queues of its own in emulators that others may share.
struct Cloud {
    prefix: String,
    endpoints: Endpoints,
    /// An emulator of SQS and SES that nobody shares, so that its clock can be moved.
    own: Option<Lease>,
    proxy: Option<Proxy>,
}

impl Place {
    /// One whose time can be moved.
    pub(crate) async fn new(mode: Mode) -> Arc<Self> {
        let cloud = (mode == Mode::Aws).then(|| {
            let own = emulator::lease();
            let own_url = || Some(own.url());
            let dynamodb = Some(emulator::shared_dynamodb(Kind::Dynoxide));
            let endpoints = Endpoints { dynamodb, sqs: own_url(), ses: own_url(), sns: own_url() };
            Cloud { prefix: emulator::prefix(), endpoints, own: Some(own), proxy: None }
        });
        Self::make(cloud, Policy::default()).await
    }

    /// One whose queue goes by the machine's clock.
    pub(crate) async fn in_real_time(mode: Mode, policy: Policy) -> Arc<Self> {
        let endpoints = || emulator::shared_endpoints(Kind::Dynoxide);
        let cloud = (mode == Mode::Aws).then(|| Cloud {
            prefix: emulator::prefix(),
            endpoints: endpoints(),
            own: None,
            proxy: None,
        });
        Self::make(cloud, policy).await
    }

    /// One in AWS whose time can be moved, and whose nodes reach AWS through a proxy that can misbehave.
    pub(crate) async fn behind_a_proxy() -> Arc<Self> {
        let own = emulator::lease();
        let proxy = Proxy::before(&own.url());
        let url = || Some(proxy.url());
        let endpoints = Endpoints { dynamodb: url(), sqs: url(), ses: url(), sns: url() };
        let cloud = Cloud { prefix: emulator::prefix(), endpoints, own: Some(own), proxy: Some(proxy) };
        Self::make(Some(cloud), Policy::default()).await
    }

    async fn make(cloud: Option<Cloud>, policy: Policy) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join(EMPTY_FILE), "").expect("an empty file");
        let place = Self { folder, cloud, books: Mutex::default() };
        if let (Some(cloud), Some(access)) = (&place.cloud, place.access().await) {
            let definitions = Definition::builtin().expect("the built-in definitions");
            emulator::make_tables(&Dynamo::new(&access, &cloud.prefix), &definitions).await;
            sqs::setup(&access, &cloud.prefix, policy, permitd::aws::SetupAction::Make).await.expect("the queues");
        }
        Arc::new(place)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside it that goes with the place.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A node here admits requests by this book.
    pub(crate) fn knows(&self, book: &Arc<GrantBook>) {
        self.books.lock().unwrap().push(Arc::downgrade(book));
    }

    /// Waits until its nodes have written down what is written down beside requests.
    pub(crate) async fn has_written_down(&self) {
        let books: Vec<_> = self.books.lock().unwrap().iter().filter_map(Weak::upgrade).collect();
        for book in books {
            book.has_written_down().await;
        }
    }

    /// What misbehaves, in a place behind it.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.cloud.as_ref().and_then(|cloud| cloud.proxy.as_ref()).expect("a place behind a proxy")
    }

    /// A table's whole name, in a place in AWS.
    pub(crate) fn table(&self, table: &str) -> String {
        schema::table_name(&self.cloud.as_ref().expect("a place in AWS").prefix, table)
    }

    /// The settings of a node on it that differ from the defaults.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("data", self.data().display().to_string())];
        if let Some(cloud) = &self.cloud {
            settings.extend([
                ("backend", "aws".to_owned()),
                ("aws.prefix", cloud.prefix.clone()),
                ("mail.transport", "file".to_owned()),
            ]);
        }
        settings
    }

    /// The same for a process, with what the SDK reads.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variable = |path: &str| format!("PERMITD_{}", path.to_uppercase().replace('.', "_"));
        let mut variables: Vec<_> = self.settings().into_iter().map(|(path, value)| (variable(path), value)).collect();
        if let Some(Cloud { endpoints, .. }) = &self.cloud {
            // Files that are there and say nothing, whoever runs the tests.
            let nothing = || self.folder.path().join(EMPTY_FILE).display().to_string();
            let endpoint = |endpoint: &Option<String>| endpoint.clone().expect("an emulator's address");
            let of_the_sdk = [
                ("AWS_ENDPOINT_URL_DYNAMODB", endpoint(&endpoints.dynamodb)),
                ("AWS_ENDPOINT_URL_SQS", endpoint(&endpoints.sqs)),
                ("AWS_ENDPOINT_URL_SESV2", endpoint(&endpoints.ses)),
                ("AWS_REGION", "us-east-1".to_owned()),
                // Those of `Access::to_endpoints`: an emulator may keep the tables of two accounts apart.
                ("AWS_ACCESS_KEY_ID", "ANOTREAL".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "notrealrnrELgWzOk3IfjzDKtFBhDby".to_owned()),
                ("AWS_SESSION_TOKEN", String::new()),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
                ("AWS_CONFIG_FILE", nothing()),
                ("AWS_SHARED_CREDENTIALS_FILE", nothing()),
            ];
            variables.extend(of_the_sdk.map(|(name, value)| (name.to_owned(), value)));
        }
        variables
    }

    /// Access to AWS with connections of its own, as every process has it; none where it is not needed.
    pub(crate) async fn access(&self) -> Option<Access> {
        let cloud = self.cloud.as_ref()?;
        Some(Access::to_endpoints(cloud.endpoints.clone()).await.with_first_backoff(FIRST_BACKOFF))
    }

    /// What a node has of it that begins now; nothing that another node holds in memory.
    pub(crate) async fn open(&self, clock: SharedClock) -> Kept {
        if let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) {
            return cloud.open(&access, clock).await;
        }
        permitd::private::root(&self.data()).expect("the folder");
        let secrets = Secrets::open(&self.data(), &SystemEntropy).expect("secrets");
        let database = Database::open(&self.data()).expect("a database");
        let queue = Arc::new(SqliteQueue::new(database.clone(), clock, Policy::default()));
        Kept { stores: database.stores(), queue, secrets }
    }

    /// Puts a message into the queue that no process of permitd has sent. With files of a machine, while none has them.
    pub(crate) async fn put_message(&self, body: &str) {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else {
            let database = rusqlite::Connection::open(self.data().join("permitd.db")).expect("the database");
            let sql = "INSERT INTO messages (id, body, sent_at, visible_at, receives) VALUES ('put', ?1, 0, 0, 0)";
            database.execute(sql, [body]).expect("a message");
            return;
        };
        let endpoint = access.endpoints().sqs.clone().expect("an emulator's address");
        let config = aws_sdk_sqs::config::Builder::from(access.config()).endpoint_url(endpoint).build();
        let client = aws_sdk_sqs::Client::from_conf(config);
        let queue =
            client.get_queue_url().queue_name(sqs::messages_name(&cloud.prefix)).send().await.expect("the queue");
        let url = queue.queue_url().expect("its address");
        client.send_message().queue_url(url).message_body(body).send().await.expect("a message");
    }

    /// Takes a data set's records away beneath running nodes.
    pub(crate) async fn lose_the_records(&self, data_set: &str) {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else {
            return lose_tables(&self.data().join("records"));
        };
        let dynamo = Dynamo::new(&access, &cloud.prefix);
        emulator::drop_table(&dynamo, &schema::records_table(data_set)).await;
    }

    /// Takes a table of AWS away beneath running nodes; nothing where there are none.
    pub(crate) async fn lose_a_table(&self, table: &str) -> bool {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else { return false };
        emulator::drop_table(&Dynamo::new(&access, &cloud.prefix), table).await;
        true
    }

    /// Takes away all that says that there are records of a data set: their file, or the item of the table `state`.
    pub(crate) async fn forget_the_records(&self, data_set: &str) {
        let Some((dynamo, table)) = self.state().await else {
            for end in ["db", "db-wal", "db-shm"] {
                std::fs::remove_file(self.data().join("records").join(format!("{data_set}.{end}"))).ok();
            }
            return;
        };
        let delete = dynamo.client().delete_item().table_name(&table);
        delete.key("k", text("dataset")).key("r", text(data_set)).send().await.expect("the item is taken away");
    }

    /// A copy of what says of a data set which records it has.
    pub(crate) async fn copy_of_the_records(&self, data_set: &str) -> RecordsCopy {
        let Some((dynamo, table)) = self.state().await else {
            let file = self.data().join("records").join(format!("{data_set}.db"));
            return RecordsCopy { file: std::fs::read(file).expect("the file"), item: HashMap::new() };
        };
        let get = dynamo.client().get_item().table_name(&table).consistent_read(true);
        let got = get.key("k", text("dataset")).key("r", text(data_set)).send().await.expect("the item");
        RecordsCopy { file: Vec::new(), item: got.item.expect("the data set") }
    }

    /// Puts a copy in the place of what is there, as a restored backup is put there.
    pub(crate) async fn put_back_the_records(&self, data_set: &str, copy: &RecordsCopy) {
        let Some((dynamo, table)) = self.state().await else {
            self.forget_the_records(data_set).await;
            let path = self.data().join("records").join(format!("{data_set}.db"));
            let beside = self.folder().join("restored");
            std::fs::write(&beside, &copy.file).expect("a copy");
            return std::fs::rename(beside, path).expect("the copy in its place");
        };
        let put = dynamo.client().put_item().table_name(&table).set_item(Some(copy.item.clone()));
        put.send().await.expect("the item is put back");
    }

    /// Every item of a table in AWS.
    pub(crate) async fn items_of(&self, table: &str) -> Vec<HashMap<String, AttributeValue>> {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else { return Vec::new() };
        let dynamo = Dynamo::new(&access, &cloud.prefix);
        let pages = dynamo.client().scan().table_name(dynamo.table(table)).consistent_read(true);
        pages.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.expect("the items")
    }

    /// Loses the server secret that nodes in AWS share.
    pub(crate) async fn lose_the_secret(&self) {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else { return };
        let dynamo = Dynamo::new(&access, &cloud.prefix);
        for item in self.items_of(schema::SECRETS).await {
            let deleted =
                dynamo.client().delete_item().table_name(dynamo.table(schema::SECRETS)).key("k", item["k"].clone());
            deleted.send().await.expect("the secret is gone");
        }
    }

    async fn state(&self) -> Option<(Dynamo, String)> {
        let (cloud, access) = (self.cloud.as_ref()?, self.access().await?);
        let dynamo = Dynamo::new(&access, &cloud.prefix);
        let table = dynamo.table(schema::STATE);
        Some((dynamo, table))
    }

    /// Makes room for the records of a definition that is not built in, as `permitd aws setup` does.
    pub(crate) async fn make_room_for(&self, definition: &Definition) {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else { return };
        let dynamo = Dynamo::new(&access, &cloud.prefix);
        setup::setup(&dynamo, &[schema::records(definition)]).await.expect("the table");
    }

    /// How much later than in the node that was asked a revocation is in force everywhere: others may admit requests from
    /// grants.
    pub(crate) fn revocation_delay(&self) -> SignedDuration {
        if self.cloud.is_some() { GRANT_TTL } else { SignedDuration::ZERO }
    }

    /// Lets the time pass for which an import that died keeps others away; files have no such time.
    pub(crate) async fn let_leases_end(&self) {
        let (Some(cloud), Some(access)) = (&self.cloud, self.access().await) else { return };
        let dynamo = Dynamo::new(&access, &cloud.prefix);
        let table = dynamo.table(schema::STATE);
        let leases = dynamo.client().query().table_name(&table).consistent_read(true);
        let leases =
            leases.key_condition_expression("k = :import").expression_attribute_values(":import", text("import"));
        for lease in leases.send().await.expect("the leases").items() {
            let end = dynamo.client().update_item().table_name(&table);
            let end = end.key("k", lease["k"].clone()).key("r", lease["r"].clone());
            let end = end.update_expression("SET #until = :past").expression_attribute_names("#until", "until");
            let end = end.expression_attribute_values(":past", AttributeValue::N("0".to_owned()));
            // One that was given back has no end.
            let ended = end
                .condition_expression("attribute_exists(#until)")
                .send()
                .await
                .map_err(|error| error.into_service_error());
            if let Err(error) = ended {
                assert!(error.is_conditional_check_failed_exception(), "{error:?}");
            }
        }
    }

    /// Lets time pass where it is not a clock's of ours.
    fn advance(&self, duration: Duration) {
        if let Some(own) = self.cloud.as_ref().and_then(|cloud| cloud.own.as_ref()) {
            own.advance(duration);
        }
    }
}

impl Cloud {
    async fn open(&self, access: &Access, clock: SharedClock) -> Kept {
        let dynamo = Dynamo::new(access, &self.prefix).keeping_time_by(clock);
        let secrets = secrets::open(&dynamo, &SystemEntropy).await.expect("secrets");
        let queue = SqsQueue::open(access, &self.prefix, Policy::default()).await.expect("the queues");
        Kept { stores: dynamo.stores(), queue: Arc::new(queue), secrets }
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// Takes the tables out of the databases of a folder.
fn lose_tables(folder: &Path) {
    let mut lost = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "db" && extension != "sqlite") {
            continue;
        }
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables: Vec<String> =
            connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for table in tables {
            lost += connection.execute_batch(&format!("DROP TABLE \"{table}\"")).map_or(0, |()| 1);
        }
    }
    assert!(lost > 0);
}

/// A clock that only moves when told to, and takes the time of its place's queue along.
#[derive(Clone)]
pub(crate) struct PlaceClock {
    clock: Arc<ManualClock>,
    place: Option<Arc<Place>>,
}

impl PlaceClock {
    /// The clock of a place's nodes, at the beginning.
    pub(crate) fn of(place: &Arc<Place>) -> Self {
        Self { clock: ManualClock::at(BEGINNING.parse().unwrap()), place: Some(Arc::clone(place)) }
    }

    /// The clock of a node that is `skew_s` seconds ahead, or behind. It moves alone.
    pub(crate) fn skewed(&self, skew_s: i64) -> Self {
        let clock = ManualClock::at(self.now());
        clock.advance_us(skew_s * 1_000_000);
        Self { clock, place: None }
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance_us(i64::try_from(duration.as_micros()).unwrap());
        if let Some(place) = &self.place {
            place.advance(duration);
        }
    }

    /// Sets the wall clock forward, or back when `seconds` is negative. No time passes by that.
    pub(crate) fn shift_wall(&self, seconds: i64) {
        self.clock.shift_wall_us(seconds * 1_000_000);
    }

    /// The same for whoever is handed a clock.
    pub(crate) fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl std::fmt::Debug for PlaceClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.clock.fmt(f)
    }
}

impl Clock for PlaceClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic_us(&self) -> i64 {
        self.clock.monotonic_us()
    }
}
