//! One import at a time, over all servers: a lease in the table `state`, with the epoch that its holder writes under.
//!
//! Who holds it renews it; it can be taken over once it has run out. A holder that was overtaken cannot commit: the commit is
//! conditional on the lease.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::SdkError, operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    aws::Bridge,
    clock::SharedClock,
    store::{
        StoreError,
        dynamodb::{
            Dynamo,
            item::{Item, find_number, find_text, get_number, number, text},
            schema, unavailable,
        },
    },
};

/// The kind of these items: their partition key in the table `state`.
pub(super) const KIND: &str = "import";
/// The attribute of who holds it: the import's id.
pub(super) const HOLDER: &str = "holder";
/// The attribute of the last epoch that was given out.
pub(super) const EPOCH: &str = "epoch";
const UNTIL: &str = "until";

/// How long a lease lasts that is not renewed.
const LEASE_US: i64 = 60_000_000;
/// Time between renewals.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// How long giving it back may take when an import is given up: others need not wait longer than for the lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Later than any lease ends that was taken by a clock that is right, or wrong by less than a lease.
fn far(now_us: i64) -> i64 {
    now_us.saturating_add(2 * LEASE_US)
}

/// A data set's lock.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    dynamo: Dynamo,
    clock: SharedClock,
    name: String,
    holder: String,
}

/// The lock, held.
#[derive(Debug)]
pub(super) struct Lease {
    lock: Lock,
    bridge: Arc<Bridge>,
    epoch: u64,
    lost: Arc<AtomicBool>,
    renewing: tokio::task::JoinHandle<()>,
    ended: bool,
}

impl Lock {
    pub(super) fn new(dynamo: Dynamo, clock: SharedClock, name: &str, import: Uuid) -> Self {
        Self { dynamo, clock, name: name.to_owned(), holder: import.to_string() }
    }

    /// The key of its item.
    pub(super) fn key(&self) -> Item {
        [("k".to_owned(), text(KIND)), ("r".to_owned(), text(&self.name))].into()
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    fn table(&self) -> String {
        self.dynamo.table(schema::STATE)
    }

    /// Takes it, with a new epoch; none if somebody else has it.
    async fn take(&self) -> Result<Option<u64>, StoreError> {
        let now_us = self.now_us();
        let taken = self
            .dynamo
            .client()
            .update_item()
            .table_name(self.table())
            .set_key(Some(self.key()))
            .update_expression("SET #h = :h, #u = :u, #e = if_not_exists(#e, :zero) + :one")
            // An earlier try of this one may have been answered too late.
            // A lease that would last longer than one can was taken by a clock that is ahead, or this one was set back: nobody
            // may have to wait for that. Its holder, if it lives, cannot commit any more.
            .condition_expression("attribute_not_exists(#h) OR #u < :now OR #u > :far OR #h = :h")
            .expression_attribute_names("#h", HOLDER)
            .expression_attribute_names("#u", UNTIL)
            .expression_attribute_names("#e", EPOCH)
            .expression_attribute_values(":h", text(&self.holder))
            .expression_attribute_values(":u", number(now_us.saturating_add(LEASE_US)))
            .expression_attribute_values(":now", number(now_us))
            .expression_attribute_values(":far", number(far(now_us)))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        match taken {
            Ok(taken) => get_number(taken.attributes().unwrap_or(&Item::new()), EPOCH).map(Some),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(unavailable(&self.table(), &error)),
        }
    }

    /// A change that is refused unless it is still this one's.
    fn as_holder(&self, epoch: u64, update: &str) -> UpdateItemFluentBuilder {
        let request = self.dynamo.client().update_item().table_name(self.table()).set_key(Some(self.key()));
        request
            .update_expression(update)
            .condition_expression("#h = :h AND #e = :e")
            .expression_attribute_names("#h", HOLDER)
            .expression_attribute_names("#u", UNTIL)
            .expression_attribute_names("#e", EPOCH)
            .expression_attribute_values(":h", text(&self.holder))
            .expression_attribute_values(":e", number(epoch))
    }

    /// Renews it; false if it is somebody else's by now.
    async fn renew(&self, epoch: u64) -> Result<bool, StoreError> {
        let until = self.now_us().saturating_add(LEASE_US);
        let request = self.as_holder(epoch, "SET #u = :u").expression_attribute_values(":u", number(until));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(unavailable(&self.table(), &error)),
        }
    }

    /// Gives it back, if it is still this one's.
    async fn release(&self, epoch: u64) -> Result<(), StoreError> {
        let released = self.as_holder(epoch, "REMOVE #h, #u").send().await;
        match released {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(unavailable(&self.table(), &error)),
        }
    }
}

/// The update that gives the lock back, as a part of a transaction that fails without the lock.
pub(super) fn release_within(
    lease: &Lease,
) -> Result<aws_sdk_dynamodb::types::Update, aws_sdk_dynamodb::error::BuildError> {
    aws_sdk_dynamodb::types::Update::builder()
        .table_name(lease.lock.table())
        .set_key(Some(lease.lock.key()))
        .update_expression("REMOVE #h, #u")
        .condition_expression("#h = :h AND #e = :e")
        .expression_attribute_names("#h", HOLDER)
        .expression_attribute_names("#u", UNTIL)
        .expression_attribute_names("#e", EPOCH)
        .expression_attribute_values(":h", text(lease.lock.holder()))
        .expression_attribute_values(":e", number(lease.epoch))
        .build()
}

/// Whether somebody holds the lock of a data set at the moment.
pub(super) async fn is_held(dynamo: &Dynamo, name: &str, now: Timestamp) -> Result<bool, StoreError> {
    let table = dynamo.table(schema::STATE);
    let read = dynamo
        .client()
        .get_item()
        .table_name(&table)
        .consistent_read(true)
        .key("k", text(KIND))
        .key("r", text(name))
        .send()
        .await
        .map_err(|error| unavailable(&table, &error))?;
    let Some(item) = read.item else { return Ok(false) };
    let until: Option<i64> = find_number(&item, UNTIL)?;
    let now_us = now.as_microsecond();
    Ok(find_text(&item, HOLDER)?.is_some() && until.is_some_and(|until| (now_us..=far(now_us)).contains(&until)))
}

impl Lease {
    /// Takes the lock and keeps renewing it; none if somebody else has it.
    pub(super) fn take(lock: Lock, bridge: Arc<Bridge>) -> Result<Option<Self>, StoreError> {
        let taking = lock.clone();
        let taken = bridge.run(async move { taking.take().await });
        let Some(epoch) = taken.map_err(|error| StoreError::Unavailable(error.to_string()))?? else { return Ok(None) };
        let lost = Arc::new(AtomicBool::new(false));
        let renewing = bridge.spawn(renew(lock.clone(), epoch, Arc::clone(&lost)));
        Ok(Some(Self { lock, bridge, epoch, lost, renewing, ended: false }))
    }

    /// The epoch that its holder writes under.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether somebody else is known to have it by now.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Renews it at once; false if somebody else has it by now.
    pub(super) fn renew(&self) -> Result<bool, StoreError> {
        let (lock, epoch) = (self.lock.clone(), self.epoch);
        let renewed = self.bridge.run(async move { lock.renew(epoch).await });
        let is_held = renewed.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        if !is_held {
            self.lost.store(true, Ordering::Release);
        }
        Ok(is_held)
    }

    /// Does not renew it any more: it is about to be given back.
    pub(super) fn stop_renewing(&self) {
        self.renewing.abort();
    }

    /// Notes that it was given back.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
        if self.ended || self.is_lost() {
            return;
        }
        let (lock, epoch) = (self.lock.clone(), self.epoch);
        let released = self.bridge.run(async move { tokio::time::timeout(RELEASE_TIMEOUT, lock.release(epoch)).await });
        let failed = match released {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "DynamoDB did not answer in time".to_owned(),
            Err(error) => error.to_string(),
        };
        // It heals itself.
        tracing::warn!(data_set = self.lock.name, error = failed, "an import's lock is held until its lease runs out");
    }
}

async fn renew(lock: Lock, epoch: u64, lost: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(RENEWAL_INTERVAL).await;
        match lock.renew(epoch).await {
            Ok(true) => {}
            Ok(false) => {
                lost.store(true, Ordering::Release);
                return;
            }
            // The lease lasts for several tries; who commits without it is refused.
            Err(error) => tracing::warn!(data_set = lock.name, %error, "an import's lock was not renewed"),
        }
    }
}

fn is_refused(error: &SdkError<aws_sdk_dynamodb::operation::update_item::UpdateItemError>) -> bool {
    error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception())
}
