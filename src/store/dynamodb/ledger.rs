//! The ledger: one item a key, with what the key may (its terms, which the log's projection writes) and what it has consumed
//! (which only this file writes).
//!
//! A grant is one conditional write. It says what it needs of the item, not what the item was: that the key works and its
//! terms are those that were last seen, that the day's count has room, that the bucket's TAT is on the right side of the
//! clock. So it succeeds although other nodes have written since this node last saw the item. Where it fails, the answer
//! holds the item, and the next try knows it.
//!
//! Guarantees: a write whose answer was lost is not repeated with what it gave back; what was given back with it then stays
//! counted. So the quota is never exceeded.

mod attempt;
mod known;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    config::{Builder, retry::RetryConfig},
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{CancellationReason, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use self::{
    attempt::{Attempt, Change},
    known::Known,
};
use super::{
    Dynamo,
    item::{Item, damaged, find_number, get_number, get_text, number, text},
    schema::{LEDGER, VIEWS},
    unavailable,
};
use crate::{
    domain::{
        admission::{Asked, Bucket, LedgerRow, Return, SECOND_NS, Step},
        id::UserId,
        key::KeyId,
        plan::Limits,
    },
    store::{DayUsage, GrantRequest, Granted, KeyRefusal, Ledger, StoreError, Views},
};

/// The sort key of the item that is written by grants; past days have theirs, see [`day_key`].
pub(super) const LIVE: &str = "0";
/// How often a grant is tried that others come in between of.
const TRIES_MAX: u32 = 8;
/// How often a grant is tried whose write was throttled or not answered.
const FAILURES_MAX: u32 = 3;
/// Pause before the first try after a failure; it doubles.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a plan's limits are not looked up again, by the node's clock.
const PLAN_LIFE_NS: i64 = SECOND_NS;
/// Keys that are remembered before all are forgotten: to remember one saves a read.
const KNOWN_KEYS_MAX: usize = 100_000;
/// Items that are read or written at the same time for one request.
const PARALLEL: usize = 16;

/// The ledger of a deployment, as one node writes it.
pub struct DynamoLedger {
    dynamo: Dynamo,
    views: Arc<dyn Views>,
    known: Mutex<HashMap<KeyId, Known>>,
    plans: Mutex<HashMap<String, (Limits, i64)>>,
}

/// What became of a write.
enum Written {
    /// It was carried out: the item after it.
    Done(Known),
    /// Its condition did not hold: the item as it is, if there is one.
    Refused(Option<Item>),
    /// It was not carried out, and may be tried again as it is.
    Throttled(StoreError),
    /// Whether it was carried out is not known.
    Unknown(StoreError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sort key of a past day's count.
fn day_key(day: i64) -> String {
    format!("{day:08}")
}

impl DynamoLedger {
    /// The ledger in these tables. `views` tells the plans' limits.
    pub fn new(dynamo: Dynamo, views: Arc<dyn Views>) -> Self {
        Self { dynamo, views, known: Mutex::default(), plans: Mutex::default() }
    }

    fn table(&self) -> String {
        self.dynamo.table(LEDGER)
    }

    fn remember(&self, key: KeyId, known: Known) {
        let mut keys = lock(&self.known);
        if keys.len() >= KNOWN_KEYS_MAX && !keys.contains_key(&key) {
            keys.clear();
        }
        keys.insert(key, known);
    }

    async fn read(&self, key: KeyId) -> Result<Option<Known>, StoreError> {
        let table = self.table();
        let request = self.dynamo.client().get_item().table_name(&table).consistent_read(true);
        let answer = request.key("k", text(key.as_str())).key("d", text(LIVE)).send().await;
        let item = answer.map_err(|error| unavailable(&table, &error))?.item;
        item.as_ref().map(Known::read).transpose().map(Option::flatten)
    }

    /// The limits of a plan, as they were at most [`PLAN_LIFE_NS`] ago.
    async fn limits(&self, plan: &str, now_ns: i64) -> Result<Limits, StoreError> {
        if let Some((limits, at_ns)) = lock(&self.plans).get(plan)
            && (*at_ns..at_ns.saturating_add(PLAN_LIFE_NS)).contains(&now_ns)
        {
            return Ok(*limits);
        }
        let row = self.views.plan(plan).await?;
        let limits = row.ok_or_else(|| damaged("pl", "the plan of a key's owner does not exist"))?.limits;
        lock(&self.plans).insert(plan.to_owned(), (limits, now_ns));
        Ok(limits)
    }

    async fn take(&self, request: GrantRequest) -> Result<Result<Granted, KeyRefusal>, StoreError> {
        let GrantRequest { key, now_ns, life_ns, want, mut returned } = request;
        let mut known = lock(&self.known).get(&key).cloned();
        let (mut fresh, mut failures) = (false, 0);
        for _ in 0..TRIES_MAX {
            let seen = match known.take() {
                Some(seen) if fresh || seen.terms.work_at(now_ns) => seen,
                _ => {
                    fresh = true;
                    match self.read(key).await? {
                        Some(seen) => seen,
                        None => return Ok(Err(KeyRefusal::Unknown)),
                    }
                }
            };
            if !seen.terms.work_at(now_ns) {
                self.remember(key, seen);
                if let Some(returned) = returned {
                    self.return_one(key, returned).await?;
                }
                return Ok(Err(KeyRefusal::Ended));
            }
            let limits = self.limits(&seen.terms.plan, now_ns).await?;
            let asked = Asked { bucket: Bucket::of(&limits), now_ns, life_ns, want, returned };
            let attempt = Attempt::plan(&seen, asked, fresh);
            if attempt.needs_no_write() {
                if fresh {
                    let granted = attempt.granted(&seen, &seen.row);
                    self.remember(key, seen);
                    return Ok(Ok(granted));
                }
                // Before anybody is refused, the item is asked whether there is really nothing to be had: by a read.
                continue;
            }
            match self.write(key, &seen, &attempt).await? {
                Written::Done(after) => {
                    let granted = attempt.granted(&seen, &after.row);
                    let shared = attempt.shared_after(&seen, &after.row);
                    self.remember(key, Known { shared, ..after });
                    return Ok(Ok(granted));
                }
                Written::Refused(item) => {
                    let after = item.as_ref().map(Known::read).transpose()?.flatten();
                    let Some(after) = after else { return Ok(Err(KeyRefusal::Unknown)) };
                    let shared = seen.shared || attempt.step == Step::Resumed;
                    (known, fresh) = (Some(Known { shared, ..after }), true);
                }
                Written::Throttled(error) => {
                    failures = pause(failures, error).await?;
                    known = Some(seen);
                }
                Written::Unknown(error) => {
                    // It may have been carried out: what it gave back must not be given back again.
                    returned = None;
                    failures = pause(failures, error).await?;
                }
            }
        }
        Err(StoreError::Unavailable("too many nodes take grants of one key at the same time".to_owned()))
    }

    async fn write(&self, key: KeyId, seen: &Known, attempt: &Attempt) -> Result<Written, StoreError> {
        let change = attempt.change(seen);
        match attempt.ended_day(seen) {
            Some(ended) => self.send_with_day(key, change, &ended, attempt.known_after(seen)).await,
            None => self.send(change.of(self.update(key))).await,
        }
    }

    fn update(&self, key: KeyId) -> UpdateItemFluentBuilder {
        let update = self.dynamo.client().update_item().table_name(self.table());
        update
            .key("k", text(key.as_str()))
            .key("d", text(LIVE))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Sends a write once: to repeat one that was carried out would count twice.
    async fn send(&self, update: UpdateItemFluentBuilder) -> Result<Written, StoreError> {
        let error = match update.customize().config_override(once()).send().await {
            Ok(done) => {
                let after = Known::read(&done.attributes.unwrap_or_default())?;
                return after.map(Written::Done).ok_or_else(|| damaged("h", "it is missing"));
            }
            Err(error) => error,
        };
        let failure = unavailable(&self.table(), &error);
        Ok(match error {
            SdkError::ServiceError(service) => match service.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refused) => Written::Refused(refused.item),
                error if was_not_done(error.code()) => Written::Throttled(failure),
                _ => Written::Unknown(failure),
            },
            SdkError::ConstructionFailure(_) => Written::Throttled(failure),
            _ => Written::Unknown(failure),
        })
    }

    /// Sends a write that begins a day, once, together with the count of the day that ends: neither without the other.
    async fn send_with_day(
        &self,
        key: KeyId,
        change: Change,
        ended: &LedgerRow,
        after: Known,
    ) -> Result<Written, StoreError> {
        let table = self.table();
        let built = |error: BuildError| StoreError::Unavailable(error.to_string());
        let update = Update::builder().table_name(&table).key("k", text(key.as_str())).key("d", text(LIVE));
        let update = change.of_transaction(update).build().map_err(built)?;
        let day = Put::builder().table_name(&table).item("k", text(key.as_str())).item("d", text(day_key(ended.day)));
        let day = day.item("used", number(ended.used)).build().map_err(built)?;
        let writes = self.dynamo.client().transact_write_items();
        let writes = writes
            .transact_items(TransactWriteItem::builder().update(update).build())
            .transact_items(TransactWriteItem::builder().put(day).build());
        let error = match writes.customize().config_override(once()).send().await {
            Ok(_) => return Ok(Written::Done(after)),
            Err(error) => error,
        };
        let failure = unavailable(&table, &error);
        Ok(match error {
            SdkError::ServiceError(service) => match service.into_err() {
                TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                    let reasons = cancelled.cancellation_reasons.unwrap_or_default();
                    let refused = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
                    match reasons.into_iter().find(refused) {
                        Some(reason) => Written::Refused(reason.item),
                        // Somebody else's transaction was in the way, or it was throttled.
                        None => Written::Throttled(failure),
                    }
                }
                error if was_not_done(error.code()) => Written::Throttled(failure),
                _ => Written::Unknown(failure),
            },
            SdkError::ConstructionFailure(_) => Written::Throttled(failure),
            _ => Written::Unknown(failure),
        })
    }

    /// Gives back what will not be spent: in one write if nobody has taken a grant since, else in two.
    async fn return_one(&self, key: KeyId, returned: Return) -> Result<(), StoreError> {
        let spare = returned.spare();
        let whole = self
            .update(key)
            .update_expression("SET tat = :tat, used = used - :spare")
            .condition_expression("tat = :limit AND #day = :day AND used >= :spare")
            .expression_attribute_names("#day", "day")
            .expression_attribute_values(":tat", number(returned.tat_ns))
            .expression_attribute_values(":limit", number(returned.limit_ns))
            .expression_attribute_values(":day", number(returned.day))
            .expression_attribute_values(":spare", number(spare));
        let Some(item) = self.returned(key, self.send(whole).await?)? else { return Ok(()) };
        let Some(row) = Known::read(&item)?.map(|known| known.row) else { return Ok(()) };
        let part = if row.tat_ns == returned.limit_ns {
            let update = self.update(key).update_expression("SET tat = :tat").condition_expression("tat = :limit");
            update
                .expression_attribute_values(":tat", number(returned.tat_ns))
                .expression_attribute_values(":limit", number(returned.limit_ns))
        } else if row.day == returned.day && spare > 0 {
            let update = self.update(key).update_expression("SET used = used - :spare");
            update
                .condition_expression("#day = :day AND used >= :spare")
                .expression_attribute_names("#day", "day")
                .expression_attribute_values(":day", number(returned.day))
                .expression_attribute_values(":spare", number(spare))
        } else {
            return Ok(());
        };
        // What others come in between of now stays counted.
        self.returned(key, self.send(part).await?).map(drop)
    }

    /// The item when a return's condition did not hold.
    fn returned(&self, key: KeyId, written: Written) -> Result<Option<Item>, StoreError> {
        match written {
            Written::Done(after) => {
                let shared = lock(&self.known).get(&key).is_some_and(|known| known.shared);
                self.remember(key, Known { shared, ..after });
                Ok(None)
            }
            Written::Refused(None) => Ok(None),
            Written::Refused(Some(item)) => Ok(Some(item)),
            Written::Throttled(error) | Written::Unknown(error) => Err(error),
        }
    }

    async fn keys_of(&self, user: UserId) -> Result<Vec<KeyId>, StoreError> {
        let table = self.dynamo.table(VIEWS);
        let query = self.dynamo.client().query().table_name(&table).consistent_read(true);
        let mut pages = query
            .key_condition_expression("k = :k AND begins_with(r, :key)")
            .expression_attribute_values(":k", text(format!("user#{user}")))
            .expression_attribute_values(":key", text(KEY_ROWS))
            .projection_expression("r")
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| unavailable(&table, &error))?;
            let id = get_text(&item, "r")?.trim_start_matches(KEY_ROWS);
            keys.push(KeyId::parse(id).map_err(|error| damaged("r", error))?);
        }
        Ok(keys)
    }

    async fn usage_of(&self, key: KeyId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        let table = self.table();
        let query = self.dynamo.client().query().table_name(&table).consistent_read(true);
        let mut pages = query
            .key_condition_expression("k = :k")
            .expression_attribute_values(":k", text(key.as_str()))
            .into_paginator()
            .items()
            .send();
        let mut days = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| unavailable(&table, &error))?;
            let day = match get_text(&item, "d")? {
                LIVE => find_number(&item, "day")?,
                day => Some(day.parse().map_err(|error| damaged("d", error))?),
            };
            if let Some(day) = day.filter(|day| *day >= from_day) {
                days.push(DayUsage { key, day, used: get_number(&item, "used")? });
            }
        }
        Ok(days)
    }
}

/// Waits before another try, if there is to be one; the number of failures then.
async fn pause(failures: u32, error: StoreError) -> Result<u32, StoreError> {
    if failures + 1 >= FAILURES_MAX {
        return Err(error);
    }
    tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
    Ok(failures + 1)
}

/// What the sort keys of a person's keys begin with in the views.
const KEY_ROWS: &str = "key#";

/// The SDK tries such a call once only.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// Whether DynamoDB says by this code that it did not carry a write out.
fn was_not_done(code: Option<&str>) -> bool {
    let not_done = [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TransactionConflictException",
        "ResourceNotFoundException",
        "AccessDeniedException",
        "UnrecognizedClientException",
    ];
    code.is_some_and(|code| not_done.contains(&code))
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn grant(&self, request: GrantRequest) -> Result<Result<Granted, KeyRefusal>, StoreError> {
        self.take(request).await
    }

    async fn give_back(&self, returns: Vec<(KeyId, Return)>) -> Result<(), StoreError> {
        let writes = returns.into_iter().map(|(key, returned)| self.return_one(key, returned));
        // All are tried, even if one fails.
        let done: Vec<Result<(), StoreError>> = stream::iter(writes).buffer_unordered(PARALLEL).collect().await;
        done.into_iter().collect()
    }

    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        let keys = self.keys_of(user).await?;
        let reads = stream::iter(keys.into_iter().map(|key| self.usage_of(key, from_day)));
        let days: Vec<Vec<DayUsage>> = reads.buffered(PARALLEL).try_collect().await?;
        let mut days: Vec<DayUsage> = days.into_iter().flatten().collect();
        days.sort_by(|a, b| (a.day, a.key.as_str()).cmp(&(b.day, b.key.as_str())));
        Ok(days)
    }
}
