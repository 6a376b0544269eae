//! Emulators of AWS for tests: ministack (DynamoDB, SQS, SES) and dynoxide (DynamoDB alone, stricter). They are installed into
//! `target/` by `make test-tools`, started on free ports, and end with the test's process.
//!
//! `PERMITD_TEST_DYNAMODB`, `PERMITD_TEST_SQS` and `PERMITD_TEST_SES` name endpoints that are used instead: then nothing is
//! started but where a test moves the queue's time: no other than our own can be moved.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use permitd::{
    aws::{Access, Endpoints},
    dataset::Definition,
    store::dynamodb::{Dynamo, schema, setup},
};

use super::{Process, repository, tools};

/// Which emulator of DynamoDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ministack,
    Dynoxide,
}

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Emulator {
    address: SocketAddr,
    control_port: u16,
    _process: Mutex<Process>,
    /// Its files. It removes them itself where it ends with the test's process.
    _folder: tempfile::TempDir,
}

impl Emulator {
    pub(crate) fn start(kind: Kind) -> Self {
        let tools = tools::folder();
        let mut command = Command::new(tools.join("venv/bin/python"));
        let folder = super::data_dir();
        command.arg(repository().join("tests/support/emulators.py")).arg(folder.path());
        match kind {
            Kind::Ministack => command.arg("ministack"),
            Kind::Dynoxide => command.arg("dynoxide").arg(tools.join("node_modules/@dynoxide/linux-x64/dynoxide")),
        };
        command.env_remove("AWS_ENDPOINT_URL").stderr(std::process::Stdio::null());
        let find = |line: &str| {
            let mut words = line.strip_prefix("ready ")?.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        let (process, (address, control_port)) = Process::start(&mut command, find);
        Self { address, control_port, _process: Mutex::new(process), _folder: folder }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Moves its clock forward.
    pub(crate) fn advance(&self, duration: Duration) {
        self.control(&duration.as_secs_f64().to_string());
    }

    /// From now on its clock moves only when it is moved.
    fn hold(&self) {
        self.control("hold");
    }

    fn control(&self, command: &str) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.control_port)).expect("the control port");
        writeln!(connection, "{command}").expect("a command");
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).expect("an answer");
        assert_eq!(answer, "ok\n");
    }
}

static MINISTACK: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Kind::Ministack));
static DYNOXIDE: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Kind::Dynoxide));

fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}

/// Everything at endpoints of this process's emulators, which all its tests share.
pub(crate) fn shared_endpoints(kind: Kind) -> Endpoints {
    Endpoints {
        dynamodb: Some(shared_dynamodb(kind)),
        sqs: named("PERMITD_TEST_SQS").or_else(|| Some(MINISTACK.url())),
        ses: named("PERMITD_TEST_SES").or_else(|| Some(MINISTACK.url())),
        sns: named("PERMITD_TEST_SNS").or_else(|| Some(MINISTACK.url())),
    }
}

/// DynamoDB of these alone.
pub(crate) fn shared_dynamodb(kind: Kind) -> String {
    named("PERMITD_TEST_DYNAMODB").unwrap_or_else(|| match kind {
        Kind::Ministack => MINISTACK.url(),
        Kind::Dynoxide => DYNOXIDE.url(),
    })
}

/// A ministack that nobody else uses while this is kept, so that its clock may be moved. By itself it stands: what waits for
/// messages there waits until one comes.
#[derive(Debug)]
pub(crate) struct Lease(Option<Emulator>);

/// Those that are not leased at the moment. What their tests left behind lies under prefixes that nobody uses again.
static IDLE: Mutex<Vec<Emulator>> = Mutex::new(Vec::new());

/// Leases one; starts one when all are in use, so that there are never more than tests at once.
pub(crate) fn lease() -> Lease {
    let idle = IDLE.lock().unwrap().pop();
    Lease(Some(idle.unwrap_or_else(|| {
        let emulator = Emulator::start(Kind::Ministack);
        emulator.hold();
        emulator
    })))
}

impl std::ops::Deref for Lease {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        self.0.as_ref().expect("it is given back at the end only")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        IDLE.lock().unwrap().extend(self.0.take());
    }
}

/// A prefix that no other test uses, in this process or another.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static RUN: LazyLock<String> = LazyLock::new(|| uuid::Uuid::now_v7().simple().to_string());
    let run = RUN.get(20..).expect("a whole id");
    format!("test-{}-{run}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Makes the tables of a deployment, with those of the definitions' records.
pub(crate) async fn make_tables(dynamo: &Dynamo, definitions: &[Definition]) {
    let tables: Vec<_> = schema::base_tables().into_iter().chain(definitions.iter().map(schema::records)).collect();
    let dynamo = dynamo.with_own_connections();
    // On a thread of its own, so that whoever waits for it may be on any.
    let make = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(setup::setup(&dynamo, &tables)).expect("the tables");
    });
    make.join().expect("the tables");
}

/// Takes a table away, whatever protects it.
pub(crate) async fn drop_table(dynamo: &Dynamo, table: &str) {
    let name = dynamo.table(table);
    let unprotected = dynamo.client().update_table().table_name(&name).deletion_protection_enabled(false);
    unprotected.send().await.expect("its protection goes");
    dynamo.client().delete_table().table_name(name).send().await.expect("the table goes");
}

/// Access to these endpoints.
pub(crate) async fn access(endpoints: Endpoints) -> Access {
    Access::to_endpoints(endpoints).await
}
