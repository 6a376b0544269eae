//! DynamoDB, on both of its emulators.

use std::sync::Arc;

use permitd::{
    aws::Bridge,
    clock::SharedClock,
    dataset::Definition,
    queue::{Policy, Queue},
    store::{
        Stores,
        dynamodb::{
            Dynamo,
            records::{DynamoRecordStore, RecordSettings},
        },
        records::RecordStore,
    },
};

use crate::support::emulator::{self, Kind};

/// The tables of one deployment in a running emulator.
struct Tables {
    dynamo: Dynamo,
    scratch: tempfile::TempDir,
}

impl Tables {
    fn new(kind: Kind) -> Self {
        let endpoints = emulator::shared_endpoints(kind);
        let dynamo = on_a_thread(async move {
            let dynamo = Dynamo::new(&emulator::access(endpoints).await, &emulator::prefix());
            emulator::make_tables(&dynamo, &Definition::builtin().expect("definitions")).await;
            dynamo
        });
        let scratch = tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory");
        Self { dynamo, scratch }
    }

    fn records(&self, clock: SharedClock) -> Arc<dyn RecordStore> {
        let settings = RecordSettings {
            cache_bytes: 1 << 20,
            shards: 4,
            find_records_max: 10_000,
            parallel_requests: 4,
            index_settle_ms: 0,
            find_waiting_max: 16,
            find_timeout_ms: 60_000,
            scratch: self.scratch.path().to_owned(),
        };
        let dynamo = self.dynamo.with_own_connections();
        on_a_thread(async move {
            let store = DynamoRecordStore::open(dynamo, settings, clock).await.expect("a record store");
            Arc::new(store)
        })
    }
}

/// Runs what waits for AWS, for a test that is itself run by a runtime.
fn on_a_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    Bridge::start("test").expect("a thread").run(work).expect("an end")
}

macro_rules! backend {
    ($module:ident, $kind:expr) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) struct Backend(Tables);

            impl crate::backend::Backend for Backend {
                fn new() -> Self {
                    Self(Tables::new($kind))
                }

                fn stores(&self) -> Stores {
                    panic!("the log, the views and the ledger in DynamoDB")
                }

                fn stores_of_another_process(&self) -> Stores {
                    panic!("the log, the views and the ledger in DynamoDB")
                }

                fn queue(&self, _: SharedClock, _: Policy) -> Arc<dyn Queue> {
                    panic!("DynamoDB has no queue")
                }

                fn records(&self, clock: SharedClock) -> Arc<dyn RecordStore> {
                    self.0.records(clock)
                }
            }
        }
    };
}

backend!(dynoxide, Kind::Dynoxide);
backend!(ministack, Kind::Ministack);
