//! The ledger: one item a person, with the person's consumption, which only this file writes; and one item a key or session, with
//! its terms, which the log's projection writes.
//!
//! A grant is one conditional write of the person's item. Its condition is what the grant needs, not the item's earlier state: that
//! the day's count has room, that the bucket's TAT is on the right side of the clock. So it succeeds although other nodes have
//! written since this node last saw the item. If it fails, the answer holds the item, and the next try uses it. Whether a key works
//! is a read of the key's item, which every node makes once in a grant's life for each key in use.
//!
//! The person's item also holds the last grant of each node. A node's next write replaces that grant, under the condition that it
//! is the one that the node saw. So a node can tell whether a write whose answer was lost was carried out, and such a write cannot
//! be carried out late.
//!
//! An earlier version kept consumption in the items of keys. A person's first grant starts from these, as far as they are of the
//! same day.
//!
//! Guarantees: requests that a node gives back are taken once, and requests that it reserved without hearing of it come back with
//! its next grant. So the quota is never exceeded, and errors withhold nothing of it.

mod accounts;
mod attempt;
mod change;
mod counting;
mod known;
mod usage;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
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
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use self::{
    attempt::Attempt,
    change::Change,
    counting::{SealedNetwork, SealedUse, TallyWrite},
    known::{Known, consumption, reservation_name},
};
use super::{
    Dynamo, commits, fetch,
    item::{Item, damaged, get_number, number, text},
    schema::LEDGER,
    terms::{LIVE, Terms, live_key},
    unavailable,
};
use crate::{
    domain::{
        admission::{
            Asked, Bucket, GrantHolder, KeyUse, LedgerRow, Return, Tally, TatStep, UsageCount, settled, was_carried_out,
        },
        id::{StreamId, UserId},
        key::KeyId,
        plan::Limits,
        reach::KeyReach,
    },
    store::{
        DayUsage, GivenBack, GrantRequest, Granted, KeyRefusal, KeyTerms, LastUse, Ledger, NETWORK, PlanDatasets,
        StoreError, Views, use_name,
    },
};

/// Tries of a grant that other writers interfere with.
const TRIES_MAX: u32 = 8;
/// Tries of a grant whose write was throttled or not answered.
const FAILURES_MAX: u32 = 3;
/// Pause before the first try after a failure; it doubles.
const PAUSE: Duration = Duration::from_millis(25);
/// The part of a grant's life for which looked-up limits are used again: an eighth. Older limits would make grants short, and so
/// many.
const LIMITS_LIFE_PART: i64 = 8;
/// The number of remembered people at which all are forgotten: remembering a person saves a read.
const KNOWN_PEOPLE_MAX: usize = 100_000;
/// Items that one request reads or writes at the same time.
const PARALLEL: usize = 16;

/// The ledger of a deployment, as one node writes it.
pub struct DynamoLedger {
    dynamo: Dynamo,
    views: Arc<dyn Views>,
    known: Mutex<HashMap<UserId, Known>>,
    plans: Mutex<HashMap<String, PlanSeen>>,
    /// The network of each key's last use that this node wrote.
    networks: Mutex<HashMap<KeyId, String>>,
}

/// A plan's contents, and when they were looked up.
#[derive(Clone)]
struct PlanSeen {
    limits: Limits,
    datasets: PlanDatasets,
    at_ns: i64,
}

/// The outcome of a write.
enum LedgerWritten {
    /// The write was carried out: the item after it.
    Done(Known),
    /// The condition did not hold: the present item, if there is one.
    Refused(Option<Item>),
    /// The write was not carried out, and may be repeated.
    Throttled(StoreError),
    /// It is unknown whether the write was carried out.
    Unknown(StoreError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The partition key of a person's items.
fn partition(user: UserId) -> String {
    StreamId::User(user).to_string()
}

/// The sort key of a past day's count.
fn day_key(day: i64) -> String {
    format!("{day:08}")
}

impl DynamoLedger {
    /// The ledger in these tables. `views` gives the plans' limits.
    pub fn new(dynamo: Dynamo, views: Arc<dyn Views>) -> Self {
        Self { dynamo, views, known: Mutex::default(), plans: Mutex::default(), networks: Mutex::default() }
    }

    fn table(&self) -> String {
        self.dynamo.table(LEDGER)
    }

    fn remember(&self, user: UserId, known: Known) {
        let mut people = lock(&self.known);
        if people.len() >= KNOWN_PEOPLE_MAX && !people.contains_key(&user) {
            people.clear();
        }
        people.insert(user, known);
    }

    /// When a rotated key stops working, by a clock that stands at `now_ns`.
    fn until(&self, key: KeyId, terms: &Terms, now_ns: i64) -> Option<Timestamp> {
        let until = terms.valid_until?;
        let Some(endings) = &self.dynamo.endings else { return Some(until) };
        let now_us = now_ns / 1000;
        let left_us = endings.left_us(key, until, terms.since, now_us);
        Timestamp::from_microsecond(now_us.saturating_add(left_us)).ok().or(Some(until))
    }

    async fn item(&self, partition: String, sort: String) -> Result<Option<Item>, StoreError> {
        let table = self.table();
        let request = self.dynamo.client().get_item().table_name(&table).consistent_read(true);
        let answer = request.key("k", text(partition)).key("d", text(sort)).send().await;
        Ok(answer.map_err(|error| unavailable(&table, &error))?.item)
    }

    async fn read(&self, user: UserId) -> Result<Known, StoreError> {
        let known = match self.item(partition(user), LIVE.to_owned()).await? {
            Some(item) => Known::read(&item)?,
            None => Known { unused: true, ..Known::default() },
        };
        if !known.unused {
            return Ok(known);
        }
        Ok(Known { row: self.consumed_by_keys(user).await?, ..known })
    }

    /// The consumption of the person's keys in an earlier version, where each key had a bucket and a quota: the sum of the last
    /// day, and the emptiest of the buckets.
    async fn consumed_by_keys(&self, user: UserId) -> Result<LedgerRow, StoreError> {
        let keys: Vec<Item> = self.keys_of(user).await?.into_iter().map(live_key).collect();
        let mut together = LedgerRow::default();
        for item in fetch::get_all(&self.dynamo, &self.table(), keys).await? {
            let row = consumption(&item)?;
            if row.tat_ns > together.tat_ns {
                (together.tat_ns, together.interval_ns) = (row.tat_ns, row.interval_ns);
                (together.owed_ns, together.owed_burst) = (row.owed_ns, row.owed_burst);
            }
            together.used = match row.day.cmp(&together.day) {
                Ordering::Less => together.used,
                Ordering::Equal => together.used.saturating_add(row.used),
                Ordering::Greater => row.used,
            };
            together.day = together.day.max(row.day);
        }
        Ok(together)
    }

    /// A plan's contents. Their age shortens the grants that are made by them, so that a change of the plan is in force within a
    /// grant's life; whatever the number of keys, a plan is looked up a few times in that time.
    async fn plan(&self, plan: &str, now_ns: i64, life_ns: i64) -> Result<PlanSeen, StoreError> {
        if let Some(seen) = lock(&self.plans).get(plan)
            && (0..life_ns / LIMITS_LIFE_PART).contains(&now_ns.saturating_sub(seen.at_ns))
        {
            return Ok(seen.clone());
        }
        let row = self.views.plan(plan).await?;
        let row = row.ok_or_else(|| damaged("pl", "the plan of a key's owner does not exist"))?;
        let seen = PlanSeen { limits: row.limits, datasets: row.rules.datasets.map(Into::into), at_ns: now_ns };
        lock(&self.plans).insert(plan.to_owned(), seen.clone());
        Ok(seen)
    }

    /// The earlier count of a day that a grant begins: there is one only if the day was left for an earlier day before, or lies
    /// before the present one.
    async fn kept(&self, user: UserId, seen: &Known, now_ns: i64) -> Result<u64, StoreError> {
        let day = seen.row.day_at(now_ns);
        let is_left_before = seen.far_day.is_some_and(|far_day| day <= far_day);
        if seen.unused || day == seen.row.day || (day > seen.row.day && !is_left_before) {
            return Ok(0);
        }
        let item = self.item(partition(user), day_key(day)).await?;
        Ok(item.as_ref().map(|item| get_number(item, "used")).transpose()?.unwrap_or(0))
    }

    async fn take(&self, request: GrantRequest) -> Result<Granted, StoreError> {
        let GrantRequest {
            user,
            plan,
            now_ns,
            life_ns,
            want,
            need,
            holder,
            mut unanswered_from,
            returned,
            tally,
            used,
        } = request;
        let counting = self.sealed(user, tally.as_deref(), used).await?;
        let mut known = lock(&self.known).get(&user).cloned();
        let (mut fresh, mut failures) = (false, 0);
        for nth in 0..TRIES_MAX {
            self.dynamo.require_open().await?;
            let seen = match known.take() {
                // Only the item tells what became of an unanswered request.
                Some(seen) if fresh || unanswered_from.is_none() => seen,
                _ => {
                    fresh = true;
                    self.read(user).await?
                }
            };
            let kept = seen.reservations.get(&holder.node).copied();
            let returned = settled(holder.node, kept, returned, unanswered_from);
            let was_tallied = was_carried_out(kept, unanswered_from);
            let asking = counting.asking.clone();
            let counting = if was_tallied { TallyWrite { asking, ..TallyWrite::default() } } else { counting.clone() };
            let PlanSeen { limits, datasets, at_ns } = self.plan(&plan, now_ns, life_ns).await?;
            let limits_age_ns = now_ns.saturating_sub(at_ns);
            let kept = self.kept(user, &seen, now_ns).await?;
            let asked = Asked { bucket: Bucket::of(&limits), now_ns, life_ns, want, need, returned, kept };
            // Each try has a serial of its own, so that tries cannot be confused.
            let serial = holder.serial + u64::from(nth);
            let attempt = Attempt::plan(&seen, asked, GrantHolder { serial, ..holder }, fresh, counting);
            if attempt.needs_no_write() {
                if fresh {
                    let grant = attempt.unwritten().granted(&seen.row);
                    if !seen.unused {
                        self.remember(user, seen);
                    }
                    return Ok(Granted { grant, limits_age_ns, datasets, tallied: was_tallied });
                }
                // Before refusing anybody, read the item to make sure that nothing can be granted.
                continue;
            }
            match self.write(user, &seen, &attempt).await? {
                LedgerWritten::Done(after) => {
                    let grant = attempt.granted(&after.row);
                    self.remember_networks(attempt.uses());
                    let shared = attempt.shared_after(&seen, &after.row);
                    self.remember(user, Known { shared, ..after });
                    return Ok(Granted { grant, limits_age_ns, datasets, tallied: true });
                }
                LedgerWritten::Refused(item) => {
                    let shared = seen.shared || attempt.step == TatStep::Resumed;
                    let after = item.as_ref().map(Known::read).transpose()?.filter(|after| !after.unused);
                    // Where the item is missing or empty, the consumption of the keys counts.
                    known = after.map(|after| Known { shared, ..after });
                    fresh = known.is_some();
                }
                LedgerWritten::Throttled(error) => {
                    failures = pause(failures, error).await?;
                    known = Some(seen);
                }
                LedgerWritten::Unknown(error) => {
                    // The write may have been carried out: the item tells.
                    unanswered_from.get_or_insert(serial);
                    failures = pause(failures, error).await?;
                }
            }
        }
        Err(StoreError::Unavailable("too many nodes take grants of one person at the same time".to_owned()))
    }

    async fn write(&self, user: UserId, seen: &Known, attempt: &Attempt) -> Result<LedgerWritten, StoreError> {
        let change = attempt.change(seen);
        match attempt.ended_day(seen) {
            Some(ended) => self.send_with_day(user, change, ended, attempt.known_after(seen)).await,
            None => self.send(change.of(self.update(user))).await,
        }
    }

    fn update(&self, user: UserId) -> UpdateItemFluentBuilder {
        let update = self.dynamo.client().update_item().table_name(self.table());
        update
            .key("k", text(partition(user)))
            .key("d", text(LIVE))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Sends a write once: repeating one that was carried out would count twice.
    async fn send(&self, update: UpdateItemFluentBuilder) -> Result<LedgerWritten, StoreError> {
        let error = match update.customize().config_override(once()).send().await {
            Ok(done) => {
                return Known::read(&done.attributes.unwrap_or_default()).map(LedgerWritten::Done);
            }
            Err(error) => error,
        };
        let failure = unavailable(&self.table(), &error);
        Ok(match error {
            SdkError::ServiceError(service) => match service.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refused) => LedgerWritten::Refused(refused.item),
                error if was_not_done(error.code()) => LedgerWritten::Throttled(failure),
                _ => LedgerWritten::Unknown(failure),
            },
            SdkError::ConstructionFailure(_) => LedgerWritten::Throttled(failure),
            _ => LedgerWritten::Unknown(failure),
        })
    }

    /// Sends, once, a write that begins a day together with the count of the day that ends: both or neither.
    async fn send_with_day(
        &self,
        user: UserId,
        change: Change,
        (ended, counts): (LedgerRow, BTreeMap<String, i64>),
        after: Known,
    ) -> Result<LedgerWritten, StoreError> {
        let table = self.table();
        let built = |error: BuildError| StoreError::Unavailable(error.to_string());
        let update = Update::builder().table_name(&table).key("k", text(partition(user))).key("d", text(LIVE));
        let update = change.of_transaction(update).build().map_err(built)?;
        let day =
            Put::builder().table_name(&table).item("k", text(partition(user))).item("d", text(day_key(ended.day)));
        let day = counts.iter().fold(day, |day, (name, value)| day.item(name, number(value)));
        let day = day.item("used", number(ended.used)).build().map_err(built)?;
        let writes = self.dynamo.client().transact_write_items();
        let writes = writes
            .transact_items(TransactWriteItem::builder().update(update).build())
            .transact_items(TransactWriteItem::builder().put(day).build());
        let error = match writes.customize().config_override(once()).send().await {
            Ok(_) => return Ok(LedgerWritten::Done(after)),
            Err(error) => error,
        };
        let failure = unavailable(&table, &error);
        Ok(match error {
            SdkError::ServiceError(service) => match service.into_err() {
                TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                    let reasons = cancelled.cancellation_reasons.unwrap_or_default();
                    let refused = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
                    match reasons.into_iter().find(refused) {
                        Some(reason) => LedgerWritten::Refused(reason.item),
                        // Another transaction interfered, or the write was throttled.
                        None => LedgerWritten::Throttled(failure),
                    }
                }
                error if was_not_done(error.code()) => LedgerWritten::Throttled(failure),
                _ => LedgerWritten::Unknown(failure),
            },
            SdkError::ConstructionFailure(_) => LedgerWritten::Throttled(failure),
            _ => LedgerWritten::Unknown(failure),
        })
    }

    /// Takes back unspent requests: in one write if no grant was taken since, else in two. Does nothing if they came back before.
    async fn return_one(&self, user: UserId, returned: Return, counting: &TallyWrite) -> Result<(), StoreError> {
        let Return { holder, unspent, tat_ns, limit_ns, day, .. } = returned;
        let change = || {
            let mut change = Change::default();
            change.remove("#me".to_owned());
            change.only_if("#me.s = :mine");
            change.name("#me", &reservation_name(holder.node));
            change.value(":mine", number(holder.serial));
            counting.add_to(&BTreeMap::new(), &mut change);
            change
        };
        let of_bucket = |change: &mut Change| {
            change.set("tat = :tat");
            change.only_if("tat = :limit AND iv = :rate");
            change.value(":tat", number(tat_ns));
            change.value(":limit", number(limit_ns));
            change.value(":rate", number(returned.interval_ns));
        };
        let of_quota = |change: &mut Change| {
            change.set("used = used - :spare");
            change.only_if("#day = :day AND used >= :spare");
            change.name("#day", "day");
            change.value(":day", number(day));
            change.value(":spare", number(unspent));
        };
        let mut whole = change();
        of_bucket(&mut whole);
        of_quota(&mut whole);
        let Some(item) = self.returned(user, self.send(whole.of(self.update(user))).await?)? else { return Ok(()) };
        let known = Known::read(&item)?;
        let is_out = known.reservations.get(&holder.node).is_some_and(|kept| kept.serial == holder.serial);
        let row = known.row;
        if !is_out {
            // The requests came back before, or the grant was never written.
            return self.count(user, counting).await;
        }
        let mut part = change();
        if row.tat_ns == limit_ns && row.interval_ns == returned.interval_ns {
            of_bucket(&mut part);
        } else if row.day == day && unspent > 0 {
            of_quota(&mut part);
        }
        // What other writers consume meanwhile stays counted.
        self.returned(user, self.send(part.of(self.update(user))).await?).map(drop)
    }

    /// Counts a node's tally alone.
    async fn count(&self, user: UserId, counting: &TallyWrite) -> Result<(), StoreError> {
        if counting.is_empty() {
            return Ok(());
        }
        let mut change = Change::default();
        counting.add_to(&BTreeMap::new(), &mut change);
        self.returned(user, self.send(change.of(self.update(user))).await?).map(drop)
    }

    /// The tally and the asking use in the form that is written: networks other than the last written ones are sealed with the
    /// person's key. An erased person's uses are not kept.
    async fn sealed(
        &self,
        user: UserId,
        tally: Option<&Tally>,
        asking: Option<KeyUse>,
    ) -> Result<TallyWrite, StoreError> {
        let (lines, uses) = tally.map(|tally| (tally.lines().to_vec(), tally.uses())).unwrap_or_default();
        let is_known =
            |used: &KeyUse| used.network().is_none_or(|network| lock(&self.networks).get(&used.key) == Some(&network));
        let plain = |used: &KeyUse| SealedUse { key: used.key, at_us: used.at_us, network: None };
        if uses.iter().chain(&asking).all(is_known) {
            return Ok(TallyWrite {
                lines,
                uses: uses.iter().map(plain).collect(),
                asking: asking.as_ref().map(plain),
            });
        }
        let Some(own) = commits::personal_key(&self.dynamo, user).await? else {
            return Ok(TallyWrite { lines, ..TallyWrite::default() });
        };
        let seal = |used: &KeyUse| {
            let sealed = |network: String| {
                let sealed = own.seal(use_name(used.key, used.at_us), NETWORK, &network)?;
                Some(SealedNetwork { network, sealed })
            };
            SealedUse { network: used.network().and_then(sealed), ..plain(used) }
        };
        Ok(TallyWrite { lines, uses: uses.iter().map(seal).collect(), asking: asking.as_ref().map(seal) })
    }

    /// Remembers the written networks, which need not be sealed again.
    fn remember_networks(&self, written: &[SealedUse]) {
        let mut networks = lock(&self.networks);
        if networks.len() >= KNOWN_PEOPLE_MAX {
            networks.clear();
        }
        networks.extend(written.iter().filter_map(|used| Some((used.key, used.network.as_ref()?.network.clone()))));
    }

    async fn give_one_back(&self, GivenBack { user, returned, tally }: GivenBack) -> Result<(), StoreError> {
        let counting = self.sealed(user, tally.as_deref(), None).await?;
        match returned {
            Some(returned) => self.return_one(user, returned, &counting).await?,
            None => self.count(user, &counting).await?,
        }
        self.remember_networks(&counting.uses);
        Ok(())
    }

    /// The item if the condition of a return did not hold.
    fn returned(&self, user: UserId, written: LedgerWritten) -> Result<Option<Item>, StoreError> {
        match written {
            LedgerWritten::Done(after) => {
                let shared = lock(&self.known).get(&user).is_some_and(|known| known.shared);
                self.remember(user, Known { shared, ..after });
                Ok(None)
            }
            LedgerWritten::Refused(None) => Ok(None),
            LedgerWritten::Refused(Some(item)) => Ok(Some(item)),
            LedgerWritten::Throttled(error) | LedgerWritten::Unknown(error) => Err(error),
        }
    }
}

/// Waits before another try, if one remains; returns the number of failures.
async fn pause(failures: u32, error: StoreError) -> Result<u32, StoreError> {
    if failures + 1 >= FAILURES_MAX {
        return Err(error);
    }
    tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
    Ok(failures + 1)
}

/// The prefix of the sort keys of a person's keys in the views.
const KEY_ROWS: &str = "key#";

/// Limits the SDK to one try of such a call.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// Tells whether this code of DynamoDB means that a write was not carried out.
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
    async fn terms(&self, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError> {
        let item = self.item(key.to_string(), LIVE.to_owned()).await?;
        let Some(terms) = item.as_ref().map(Terms::read).transpose()?.flatten() else {
            return Ok(Err(KeyRefusal::Unknown));
        };
        let valid_until = self.until(key, &terms, now_ns).into_iter().chain(terms.expires_at).min();
        let has_ended = valid_until.is_some_and(|until| until.as_nanosecond() <= i128::from(now_ns));
        if !terms.works || has_ended {
            return Ok(Err(KeyRefusal::Ended));
        }
        let Terms { user, hash, plan, allowed_ips, scopes, see_at, lacks_factor, .. } = terms;
        let networks = allowed_ips.as_ref().map(|listed| listed.iter().map(String::as_str));
        let reach = Arc::new(KeyReach::new(networks, scopes));
        Ok(Ok(KeyTerms { user, hash, valid_until, reach, plan: plan.into(), see_at, lacks_factor }))
    }

    async fn grant(&self, request: GrantRequest) -> Result<Granted, StoreError> {
        self.take(request).await
    }

    async fn give_back(&self, given: Vec<GivenBack>) -> Result<(), StoreError> {
        let writes = given.into_iter().map(|given| self.give_one_back(given));
        // All writes are tried, even if one fails.
        let done: Vec<Result<(), StoreError>> = stream::iter(writes).buffer_unordered(PARALLEL).collect().await;
        done.into_iter().collect()
    }

    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        self.usage_by_day(user, from_day).await
    }

    async fn counts(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError> {
        self.counts_by_day(user, from_day).await
    }

    async fn last_uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError> {
        self.uses(user).await
    }
}
