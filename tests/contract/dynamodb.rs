//! DynamoDB, as two emulators have it.

use std::{marker::PhantomData, sync::Arc};

use permitd::{
    aws::{Access, Bridge},
    clock::SharedClock,
    queue::{Policy, Queue},
    store::{
        StoreError, Stores,
        dynamodb::{Dynamo, DynamoLedger},
        records::RecordStore,
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

impl<E: Emulated> DynamoBackend<E> {
    /// The tables, over connections of the caller's.
    pub(crate) fn dynamo(&self) -> Dynamo {
        self.dynamo.clone()
    }

    /// The same tables as another process has them.
    pub(crate) fn dynamo_of_another_process(&self) -> Dynamo {
        Dynamo::new(&self.access.with_own_connections(), self.dynamo.prefix())
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
    let of = || Arc::new(dynamo.clone());
    let ledger = Arc::new(DynamoLedger::new(dynamo.clone(), of()));
    Stores { log: of(), views: of(), ledger, admin_tokens: of(), replay: Arc::new(NoReplay) }
}

struct NoReplay;

impl permitd::store::Replayable for NoReplay {
    fn replay_space(&self) -> Result<Box<dyn permitd::store::ReplaySpace>, StoreError> {
        panic!("no replay here")
    }
}
