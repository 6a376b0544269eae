//! One import at a time, over all servers: a lease in the table `state`, with the epoch of its holder.
//!
//! The holder renews its lease; others can take it over once it has run out. If the clocks of two machines disagree, the renewals
//! decide: a renewed lock is alive, one that stays silent for long is not ([`SilentLocks`]). So a wrong clock can neither make a
//! live import look dead nor let a dead one keep others away. A holder that was overtaken all the same cannot commit: the commit is
//! conditional on the lease.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
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
            item::{Item, damaged, find_number, find_text, get_number, number, text},
            schema, unavailable,
        },
    },
};

/// The kind of these items: their partition key in the table `state`.
pub(super) const KIND: &str = "import";
/// The attribute for the holder: the import's id.
pub(super) const HOLDER: &str = "holder";
/// The attribute for the last epoch that was given out.
pub(super) const EPOCH: &str = "epoch";
const UNTIL: &str = "until";
/// The attribute for epochs that have begun to write and are neither committed nor cleared away.
const WROTE: &str = "wrote";

/// The length of a lease without renewal.
const LEASE_US: i64 = 60_000_000;
/// Time between renewals.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// The longest time for giving the lease back when an import is given up: others wait no longer than for the lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The end of a lease that was ended by hand.
const ENDED: i64 = 0;
/// How long a doubtful lock has to be silent to count as dead: three renewals.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data set's lock.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    dynamo: Dynamo,
    clock: SharedClock,
    name: String,
    holder: String,
}

/// The facts known when the lock is taken.
struct TakenLock {
    epoch: u64,
    dead: Vec<u64>,
}

impl TakenLock {
    fn read(item: &Item) -> Result<Self, StoreError> {
        let wrote = item.get(WROTE).and_then(|epochs| epochs.as_ns().ok()).map_or(&[][..], Vec::as_slice);
        let dead = wrote.iter().map(|epoch| epoch.parse().map_err(|error| damaged(WROTE, error)));
        Ok(Self { epoch: get_number(item, EPOCH)?, dead: dead.collect::<Result<_, _>>()? })
    }
}

/// The lock, held.
#[derive(Debug)]
pub(super) struct Lease {
    lock: Lock,
    bridge: Arc<Bridge>,
    epoch: u64,
    /// Epochs of imports that died after they had begun to write.
    dead: Vec<u64>,
    lost: Arc<AtomicBool>,
    renewing: tokio::task::JoinHandle<()>,
    ended: bool,
}

impl Lock {
    pub(super) fn new(dynamo: Dynamo, clock: SharedClock, name: &str, import: Uuid) -> Self {
        Self { dynamo, clock, name: name.to_owned(), holder: import.to_string() }
    }

    /// The key of the lock's item.
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

    /// Takes the lock, with a new epoch; none if somebody else has it. Waits if it is unclear whether the holder is alive.
    async fn take(&self, watch: &SilentLocks) -> Result<Option<TakenLock>, StoreError> {
        // An earlier try may have succeeded although its answer came too late.
        let free = self.taking("attribute_not_exists(#h) OR #h = :h", HashMap::new());
        let found = match self.taken(free).await? {
            Ok(taken) => return Ok(Some(taken)),
            Err(found) => found,
        };
        let mark = match found.judged(self.now_us()) {
            LockState::Held => return Ok(None),
            LockState::Free => found,
            LockState::Doubtful if watch.is_silent(&self.name, &found) => found,
            LockState::Doubtful => {
                let (data_set, seconds) = (&self.name, watch.patience.as_secs());
                tracing::info!(
                    data_set,
                    seconds,
                    "an import's lock may be left of one that died; waiting to see whether it is renewed"
                );
                tokio::time::sleep(watch.patience).await;
                found
            }
        };
        // Takes the lock only in the state that was seen, without a renewal or a new holder since.
        let unchanged = "(#h = :seen AND #e = :epoch AND #u = :until) OR #h = :h";
        let values = HashMap::from([
            (":seen".to_owned(), text(&mark.holder)),
            (":epoch".to_owned(), number(mark.epoch)),
            (":until".to_owned(), number(mark.until_us)),
        ]);
        Ok(self.taken(self.taking(unchanged, values)).await?.ok())
    }

    fn taking(&self, condition: &str, values: HashMap<String, AttributeValue>) -> UpdateItemFluentBuilder {
        let request = self.dynamo.client().update_item().table_name(self.table()).set_key(Some(self.key()));
        let request = request
            .update_expression("SET #h = :h, #u = :u, #e = if_not_exists(#e, :zero) + :one")
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .expression_attribute_names("#h", HOLDER)
            .expression_attribute_names("#u", UNTIL)
            .expression_attribute_names("#e", EPOCH);
        request
            .expression_attribute_values(":h", text(&self.holder))
            .expression_attribute_values(":u", number(self.now_us().saturating_add(LEASE_US)))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// The new epoch, or the present holder.
    async fn taken(&self, request: UpdateItemFluentBuilder) -> Result<Result<TakenLock, LockMark>, StoreError> {
        let error = match request.send().await {
            Ok(taken) => return TakenLock::read(taken.attributes().unwrap_or(&Item::new())).map(Ok),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Err(LockMark::read(refused.item().unwrap_or(&Item::new()))?))
            }
            _ => Err(unavailable(&self.table(), &error)),
        }
    }

    /// An update that DynamoDB refuses unless this import still holds the lock.
    fn as_holder(&self, epoch: u64, update: &str) -> UpdateItemFluentBuilder {
        let request = self.dynamo.client().update_item().table_name(self.table()).set_key(Some(self.key()));
        request
            .update_expression(update)
            .condition_expression("#h = :h AND #e = :e")
            .expression_attribute_names("#h", HOLDER)
            .expression_attribute_names("#e", EPOCH)
            .expression_attribute_values(":h", text(&self.holder))
            .expression_attribute_values(":e", number(epoch))
    }

    /// Renews the lock; false if somebody else has it by now.
    async fn renew(&self, epoch: u64) -> Result<bool, StoreError> {
        let until = self.now_us().saturating_add(LEASE_US);
        let request = self.as_holder(epoch, "SET #u = :u").expression_attribute_names("#u", UNTIL);
        self.held(request.expression_attribute_values(":u", number(until))).await
    }

    /// Sends an update of the holder; false if somebody else has the lock by now.
    async fn held(&self, request: UpdateItemFluentBuilder) -> Result<bool, StoreError> {
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(unavailable(&self.table(), &error)),
        }
    }

    /// Gives the lock back, if this import still has it.
    async fn release(&self, epoch: u64) -> Result<(), StoreError> {
        let request = self.as_holder(epoch, "REMOVE #h, #u").expression_attribute_names("#u", UNTIL);
        self.held(request).await.map(drop)
    }
}

/// The update that gives the lock back, for a transaction: it fails without the lock.
pub(super) fn release_within(
    lease: &Lease,
) -> Result<aws_sdk_dynamodb::types::Update, aws_sdk_dynamodb::error::BuildError> {
    aws_sdk_dynamodb::types::Update::builder()
        .table_name(lease.lock.table())
        .set_key(Some(lease.lock.key()))
        .update_expression(format!("REMOVE #h, #u DELETE {WROTE} :w"))
        .expression_attribute_values(":w", AttributeValue::Ns(vec![lease.epoch.to_string()]))
        .condition_expression("#h = :h AND #e = :e")
        .expression_attribute_names("#h", HOLDER)
        .expression_attribute_names("#u", UNTIL)
        .expression_attribute_names("#e", EPOCH)
        .expression_attribute_values(":h", text(lease.lock.holder()))
        .expression_attribute_values(":e", number(lease.epoch))
        .build()
}

/// Tells whether somebody holds the lock of a data set, as far as can be known.
pub(super) async fn is_held(
    dynamo: &Dynamo,
    name: &str,
    now: Timestamp,
    watch: &SilentLocks,
) -> Result<bool, StoreError> {
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
    let mark = LockMark::read(&item)?;
    Ok(match mark.judged(now.as_microsecond()) {
        LockState::Free => false,
        LockState::Held => true,
        LockState::Doubtful => !watch.is_silent(name, &mark),
    })
}

/// The holder of a lock, and its end by the holder's clock. It changes with every renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LockMark {
    holder: String,
    epoch: u64,
    until_us: i64,
}

/// The state of a lock by the clocks of the holder and of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LockState {
    /// Nobody has it, or it was ended by hand.
    Free,
    /// Somebody has it.
    Held,
    /// The lock was not renewed in time, or lasts longer than a lease can: its holder has died, or one of the clocks is wrong.
    Doubtful,
}

impl LockMark {
    fn read(item: &Item) -> Result<Self, StoreError> {
        let holder = find_text(item, HOLDER)?.unwrap_or_default().to_owned();
        let (epoch, until_us) = (find_number(item, EPOCH)?.unwrap_or(0), find_number(item, UNTIL)?.unwrap_or(ENDED));
        Ok(Self { holder, epoch, until_us })
    }

    fn judged(&self, now_us: i64) -> LockState {
        let left_us = self.until_us.saturating_sub(now_us);
        if self.holder.is_empty() || self.until_us == ENDED {
            return LockState::Free;
        }
        if (0..=2 * LEASE_US).contains(&left_us) { LockState::Held } else { LockState::Doubtful }
    }
}

/// Remembers since when doubtful locks have been silent, by this process's monotonic clock: a live holder renews, whatever the
/// machines' clocks say.
#[derive(Debug)]
pub(super) struct SilentLocks {
    clock: SharedClock,
    patience: Duration,
    seen: Mutex<HashMap<String, (LockMark, i64)>>,
}

impl SilentLocks {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, patience: PATIENCE, seen: Mutex::default() }
    }

    /// Sets another patience.
    pub(super) fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Tells whether the lock was unchanged for long enough. The first look starts the time.
    fn is_silent(&self, name: &str, mark: &LockMark) -> bool {
        let now_us = self.clock.monotonic_us();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(name) {
            Some((known, since_us)) if known == mark => {
                u128::try_from(now_us - since_us).is_ok_and(|silent_us| silent_us >= self.patience.as_micros())
            }
            _ => {
                seen.insert(name.to_owned(), (mark.clone(), now_us));
                false
            }
        }
    }
}

impl Lease {
    /// Takes the lock and keeps renewing it; none if somebody else has it.
    pub(super) fn take(lock: Lock, watch: Arc<SilentLocks>, bridge: Arc<Bridge>) -> Result<Option<Self>, StoreError> {
        let taking = lock.clone();
        let taken = bridge.run(async move { taking.take(&watch).await });
        let taken = taken.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        let Some(TakenLock { epoch, dead }) = taken else { return Ok(None) };
        let lost = Arc::new(AtomicBool::new(false));
        let renewing = bridge.spawn(renew(lock.clone(), epoch, Arc::clone(&lost)));
        Ok(Some(Self { lock, bridge, epoch, dead, lost, renewing, ended: false }))
    }

    /// The epoch of the holder.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The epochs of imports that died after they had begun to write.
    pub(super) fn dead(&self) -> &[u64] {
        &self.dead
    }

    /// Notes that the holder begins to write; false if somebody else has the lock by now.
    pub(super) fn begin_to_write(&self) -> Result<bool, StoreError> {
        self.note(format!("ADD {WROTE} :w"), vec![self.epoch])
    }

    /// Notes that imports that died are cleared away.
    pub(super) fn dead_are_cleared(&mut self) -> Result<bool, StoreError> {
        let dead = std::mem::take(&mut self.dead);
        self.note(format!("DELETE {WROTE} :w"), dead)
    }

    fn note(&self, update: String, epochs: Vec<u64>) -> Result<bool, StoreError> {
        let (lock, epoch) = (self.lock.clone(), self.epoch);
        let noted = self.bridge.run(async move {
            let epochs = AttributeValue::Ns(epochs.iter().map(ToString::to_string).collect());
            let request = lock.as_holder(epoch, &update).expression_attribute_values(":w", epochs);
            lock.held(request).await
        });
        noted.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// Tells whether somebody else is known to have the lock.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Renews the lock at once; false if somebody else has it by now.
    pub(super) fn renew(&self) -> Result<bool, StoreError> {
        let (lock, epoch) = (self.lock.clone(), self.epoch);
        let renewed = self.bridge.run(async move { lock.renew(epoch).await });
        let is_held = renewed.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        if !is_held {
            self.lost.store(true, Ordering::Release);
        }
        Ok(is_held)
    }

    /// Stops renewing: the lock is about to be given back.
    pub(super) fn stop_renewing(&self) {
        self.renewing.abort();
    }

    /// Gives the lock back, and has the next holder's epoch be above `epoch`, too.
    pub(super) fn give_back_at(mut self, epoch: u64) -> Result<(), StoreError> {
        self.renewing.abort();
        let (lock, own) = (self.lock.clone(), self.epoch);
        let given = self.bridge.run(async move {
            let request = lock.as_holder(own, "SET #e = :to REMOVE #h, #u").expression_attribute_names("#u", UNTIL);
            lock.held(request.expression_attribute_values(":to", number(epoch.max(own)))).await
        });
        let is_given = given.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        if is_given {
            self.ended()
        } else {
            self.lost.store(true, Ordering::Release)
        }
        Ok(())
    }

    /// Notes that the lock was given back.
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
        // The lock frees itself later.
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
            // The lease lasts for several tries; a commit without it is refused.
            Err(error) => tracing::warn!(data_set = lock.name, %error, "an import's lock was not renewed"),
        }
    }
}

fn is_refused(error: &SdkError<aws_sdk_dynamodb::operation::update_item::UpdateItemError>) -> bool {
    error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception())
}
