//! SQS, as an emulator has it. Each case has an emulator for itself, since moving its time would disturb others.

use std::{sync::Arc, time::Duration};

use permitd::{
    aws::{Access, Bridge, Endpoints},
    clock::{ManualClock, SharedClock},
    domain::id::StreamId,
    queue::{
        Policy, Queue,
        sqs::{self, SqsQueue},
    },
    store::{Stores, records::RecordStore},
};

use crate::{
    backend,
    support::emulator::{self, Lease},
};

pub(crate) struct Backend {
    /// Where the endpoint is that is used instead of an emulator.
    emulator: Option<Lease>,
    bridge: Bridge,
    access: Access,
    prefix: String,
}

fn named_endpoint() -> Option<String> {
    std::env::var("PERMITD_TEST_SQS").ok().filter(|url| !url.is_empty())
}

impl backend::Backend for Backend {
    fn new() -> Self {
        let emulator = named_endpoint().is_none().then(emulator::lease);
        let sqs = named_endpoint().or_else(|| emulator.as_ref().map(|own| own.url()));
        let bridge = Bridge::start("test-sqs").expect("a thread");
        let endpoints = Endpoints { sqs, ..Endpoints::default() };
        let access = bridge.run(Access::to_endpoints(endpoints)).expect("access");
        Self { emulator, bridge, access, prefix: emulator::prefix() }
    }

    fn stores(&self) -> Stores {
        panic!("SQS keeps no stores: run only `queue` on it")
    }

    fn copy_last_commit(&self, _: &StreamId, _: &StreamId, _: u64) {
        panic!("SQS holds no log: leave the module `replay` out of this backend's list")
    }

    fn stores_of_another_process(&self) -> Stores {
        self.stores()
    }

    fn queue(&self, _: SharedClock, policy: Policy) -> Arc<dyn Queue> {
        let (access, prefix) = (self.access.clone(), self.prefix.clone());
        let open = async move {
            sqs::setup(&access, &prefix, policy, permitd::aws::SetupAction::Make).await?;
            // The connections of the thread that opened it are not those that the case uses.
            SqsQueue::open(&access.with_own_connections(), &prefix, policy).await
        };
        Arc::new(self.bridge.run(open).expect("the bridge").expect("the queues"))
    }

    fn records(&self, _: SharedClock) -> Arc<dyn RecordStore> {
        panic!("SQS keeps no records: run only `queue` on it")
    }

    fn queue_time_moves() -> bool {
        named_endpoint().is_none()
    }

    fn advance(&self, clock: &ManualClock, duration: Duration) {
        self.emulator.as_ref().expect("an emulator").advance(duration);
        backend::advance(clock, duration);
    }

    fn queue_slack() -> Duration {
        Duration::from_secs(5)
    }

    fn queue_expires_by_itself() -> bool {
        true
    }
}
