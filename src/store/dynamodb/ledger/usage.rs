//! Reads what people have used, by day and by kind of request, and when their keys were last used.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    super::{
        item::{Item, damaged, find_number, get_number, get_text, text},
        schema::VIEWS,
        terms::LIVE,
        unavailable,
    },
    DynamoLedger, KEY_ROWS, PARALLEL,
    known::{counts, lines, uses},
    partition,
};
use crate::{
    domain::{admission::UsageCount, id::UserId, key::KeyId},
    store::{DayUsage, LastUse, NETWORK, StoreError, dynamodb::commits, use_name},
};

impl DynamoLedger {
    pub(super) async fn usage_by_day(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        let mut days = self.usage_of(partition(user), from_day).await?;
        let keys = self.keys_of(user).await?;
        let reads = stream::iter(keys.into_iter().map(|key| self.usage_of(key.to_string(), from_day)));
        let of_keys: Vec<Vec<DayUsage>> = reads.buffered(PARALLEL).try_collect().await?;
        // Days that an earlier version counted by key. The last of them is in the person's count.
        let first = days.iter().map(|told| told.day).min().unwrap_or(i64::MAX);
        let mut before: BTreeMap<i64, u64> = BTreeMap::new();
        for DayUsage { day, used } in of_keys.into_iter().flatten().filter(|told| told.day < first) {
            let sum = before.entry(day).or_default();
            *sum = sum.saturating_add(used);
        }
        days.extend(before.into_iter().map(|(day, used)| DayUsage { day, used }));
        days.sort_by_key(|told| told.day);
        Ok(days)
    }

    pub(super) async fn counts_by_day(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError> {
        let mut told = self.counts_of(partition(user), from_day).await?;
        // Counts of an earlier version, by key.
        for key in self.keys_of(user).await? {
            for DayUsage { day, used } in self.usage_of(key.to_string(), from_day).await? {
                let requests = i64::try_from(used).unwrap_or(i64::MAX);
                let line =
                    UsageCount { day, key: Some(key), dataset: Box::default(), status: 0, requests, counted: requests };
                told.push(line);
            }
        }
        told.sort_by(|a, b| {
            let place =
                |line: &UsageCount| (line.day, line.key.map(|key| key.to_string()), line.dataset.clone(), line.status);
            place(a).cmp(&place(b))
        });
        Ok(told)
    }

    pub(super) async fn uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError> {
        let Some(item) = self.item(partition(user), LIVE.to_owned()).await? else { return Ok(Vec::new()) };
        let own = commits::personal_key(&self.dynamo, user).await?;
        let mut told = Vec::new();
        for (key, at_us, sealed) in uses(&item)? {
            let at = Timestamp::from_microsecond(at_us).map_err(|error| damaged("l", error))?;
            let open = |(at_us, sealed): (i64, String)| own.as_ref()?.open(use_name(key, at_us), NETWORK, &sealed);
            told.push(LastUse { key, at, network: sealed.and_then(open) });
        }
        told.sort_by_key(|told| told.key);
        Ok(told)
    }

    /// The lines of the days from one on, those of the live day first.
    async fn counts_of(&self, partition: String, from_day: i64) -> Result<Vec<UsageCount>, StoreError> {
        let mut told: Vec<UsageCount> = Vec::new();
        for item in self.days_of(partition).await? {
            let Some(day) = day_of_item(&item)?.filter(|day| *day >= from_day) else { continue };
            for line in lines(day, &counts(&item)?) {
                // A day that was left and resumed has items of both times.
                match told.iter_mut().find(|known| known.is_like(&line)) {
                    Some(known) => {
                        known.requests += line.requests;
                        known.counted += line.counted;
                    }
                    None => told.push(line),
                }
            }
        }
        Ok(told)
    }

    async fn days_of(&self, partition: String) -> Result<Vec<Item>, StoreError> {
        let table = self.table();
        let query = self.dynamo.client().query().table_name(&table).consistent_read(true);
        let pages = query
            .key_condition_expression("k = :k")
            .expression_attribute_values(":k", text(partition))
            .into_paginator()
            .items()
            .send();
        pages.collect::<Result<Vec<Item>, _>>().await.map_err(|error| unavailable(&table, &error))
    }

    pub(super) async fn keys_of(&self, user: UserId) -> Result<Vec<KeyId>, StoreError> {
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

    async fn usage_of(&self, partition: String, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        let mut days = Vec::new();
        for item in self.days_of(partition).await? {
            // The live item comes first. A day that was left and resumed also has an older item of its own.
            let is_told = |day: &i64| days.iter().any(|told: &DayUsage| told.day == *day);
            if let Some(day) = day_of_item(&item)?.filter(|day| *day >= from_day && !is_told(day)) {
                days.push(DayUsage { day, used: get_number(&item, "used")? });
            }
        }
        Ok(days)
    }
}

/// The day that an item counts; none for a live item without counts.
fn day_of_item(item: &Item) -> Result<Option<i64>, StoreError> {
    Ok(match get_text(item, "d")? {
        LIVE => find_number(item, "day")?,
        day => Some(day.parse().map_err(|error| damaged("d", error))?),
    })
}
