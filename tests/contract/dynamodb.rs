//! DynamoDB, as two emulators have it.

use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use permitd::{
    aws::Access,
    clock::SharedClock,
    dataset::Definition,
    domain::id::StreamId,
    queue::{Policy, Queue},
    store::{
        Stores,
        dynamodb::{
            Dynamo,
            records::{DynamoRecordStore, RecordSettings},
            schema,
        },
        records::{RecordStore, Retention},
        sqlite::records::{ColumnSettings, FileRole, SqliteRecordSettings as Settings},
    },
};

use crate::support::emulator::{self, Kind};

/// Which emulator.
pub(crate) trait Emulated: Send + Sync + 'static {
    const KIND: Kind;
}

/// Tables of a test of its own.
pub(crate) struct DynamoBackend<E> {
    access: Access,
    dynamo: Dynamo,
    scratch: tempfile::TempDir,
    emulated: PhantomData<E>,
}

pub(crate) mod ministack {
    pub(crate) type Backend = super::DynamoBackend<Ministack>;

    pub(crate) struct Ministack;

    impl super::Emulated for Ministack {
        const KIND: super::Kind = super::Kind::Ministack;
    }
}

pub(crate) mod dynoxide {
    pub(crate) type Backend = super::DynamoBackend<Dynoxide>;

    pub(crate) struct Dynoxide;

    impl super::Emulated for Dynoxide {
        const KIND: super::Kind = super::Kind::Dynoxide;
    }
}

/// Tables that a case can look into.
pub(crate) trait Tables: crate::backend::Backend {
    /// The tables.
    fn dynamo(&self) -> Dynamo;
    /// The same tables as another process has them.
    fn dynamo_of_another_process(&self) -> Dynamo;
    /// How often each operation of DynamoDB was sent so far.
    fn calls(&self) -> BTreeMap<String, u64>;
}

impl<E: Emulated> Tables for DynamoBackend<E> {
    fn dynamo(&self) -> Dynamo {
        self.dynamo.clone()
    }

    fn dynamo_of_another_process(&self) -> Dynamo {
        Dynamo::new(&self.access.with_own_connections(), self.dynamo.prefix())
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        self.access.calls().into_iter().map(|((_, operation), count)| (operation, count)).collect()
    }
}

impl<E: Emulated> crate::backend::Backend for DynamoBackend<E> {
    fn new() -> Self {
        let endpoints = emulator::shared_endpoints(E::KIND);
        let (access, dynamo) = on_a_thread(async move || {
            let access = emulator::access(endpoints).await;
            let dynamo = Dynamo::new(&access, &emulator::prefix());
            emulator::make_tables(&dynamo, &[]).await;
            (access, dynamo.with_own_connections())
        });
        let scratch = tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory");
        Self { access, dynamo, scratch, emulated: PhantomData }
    }

    fn stores(&self) -> Stores {
        self.dynamo.stores()
    }

    fn stores_of_another_process(&self) -> Stores {
        self.dynamo_of_another_process().stores()
    }

    fn copy_last_commit(&self, from: &StreamId, to: &StreamId, version: u64) {
        let (dynamo, from, to) = (self.dynamo_of_another_process(), from.to_string(), to.to_string());
        on_a_thread(async move || {
            let table = dynamo.table(schema::EVENTS);
            let last = dynamo.client().query().table_name(&table).key_condition_expression("s = :s");
            let last = last.expression_attribute_values(":s", AttributeValue::S(from));
            let last = last.scan_index_forward(false).limit(1).consistent_read(true).send().await.expect("commits");
            let mut item = last.items()[0].clone();
            let at: i64 = item["t"].as_n().expect("a number").parse().expect("a moment");
            item.insert("t".to_owned(), AttributeValue::N((at + 1).to_string()));
            item.insert("s".to_owned(), AttributeValue::S(to));
            item.insert("v".to_owned(), AttributeValue::N(version.to_string()));
            item.remove("ob");
            dynamo.client().put_item().table_name(&table).set_item(Some(item)).send().await.expect("a commit");
        });
    }

    fn queue(&self, _: SharedClock, _: Policy) -> Arc<dyn Queue> {
        panic!("DynamoDB is no queue: leave the module `queue` out of this backend's list")
    }

    fn records(&self, clock: SharedClock) -> Arc<dyn RecordStore> {
        let settings = RecordSettings {
            parallel_requests: 4,
            hearing_ms: 0,
            is_server: true,
            replica: Settings {
                role: FileRole::Replica,
                directory: self.scratch.path().join(uuid::Uuid::now_v7().to_string()),
                cache_bytes: 1 << 20,
                find_threads: 1,
                find_waiting_max: 16,
                find_timeout_ms: 60_000,
                exports_max: 2,
                export_timeout_ms: 60_000,
                columns: ColumnSettings::NONE,
                export_stall_ms: 10_000,
                workbook_bytes_max: 1 << 30,
                retention: Retention::default(),
            },
        };
        let dynamo = self.dynamo_of_another_process();
        on_a_thread(async move || {
            emulator::make_tables(&dynamo, &Definition::builtin().expect("definitions")).await;
            let store = DynamoRecordStore::open(dynamo, settings, clock).await.expect("a record store");
            Arc::new(store)
        })
    }
}

/// Runs what waits for AWS, for a case that is made while its runtime's thread waits.
fn on_a_thread<T: Send + 'static>(work: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work())
    };
    std::thread::spawn(run).join().expect("an end")
}
