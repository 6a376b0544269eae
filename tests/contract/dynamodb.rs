//! DynamoDB, as two emulators have it.

use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use permitd::{
    aws::{Access, Bridge},
    clock::SharedClock,
    domain::{admission::Return, id::UserId, key::KeyId},
    queue::{Policy, Queue},
    store::{
        DayUsage, GrantRequest, Granted, KeyRefusal, Ledger, StoreError, Stores, dynamodb::Dynamo, records::RecordStore,
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
        let bridge = Bridge::start("make-tables").expect("a thread");
        let make = async move {
            let access = emulator::access(endpoints).await;
            let dynamo = Dynamo::new(&access, &emulator::prefix());
            emulator::make_tables(&dynamo, &[]).await;
            (access, dynamo.with_own_connections())
        };
        let (access, dynamo) = bridge.run(make).expect("the tables");
        Self { access, dynamo, emulated: PhantomData }
    }

    fn stores(&self) -> Stores {
        stores(&self.dynamo)
    }

    fn stores_of_another_process(&self) -> Stores {
        stores(&self.dynamo_of_another_process())
    }

    fn queue(&self, _: SharedClock, _: Policy) -> Arc<dyn Queue> {
        panic!("DynamoDB is no queue: leave the module `queue` out of this backend's list")
    }

    fn records(&self, _: SharedClock) -> Arc<dyn RecordStore> {
        panic!("no record store here: leave the module `records` out of this backend's list")
    }
}

fn stores(dynamo: &Dynamo) -> Stores {
    dynamo.stores(Arc::new(NoLedger))
}

/// For cases that need none.
struct NoLedger;

#[async_trait]
impl Ledger for NoLedger {
    async fn grant(&self, _: GrantRequest) -> Result<Result<Granted, KeyRefusal>, StoreError> {
        panic!("no ledger here: leave the module `ledger` out of this backend's list")
    }

    async fn give_back(&self, _: Vec<(KeyId, Return)>) -> Result<(), StoreError> {
        panic!("no ledger here: leave the module `ledger` out of this backend's list")
    }

    async fn usage(&self, _: UserId, _: i64) -> Result<Vec<DayUsage>, StoreError> {
        panic!("no ledger here: leave the module `ledger` out of this backend's list")
    }
}
