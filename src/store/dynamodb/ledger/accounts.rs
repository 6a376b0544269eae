//! People's accounts in the ledger as a whole.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{TryStreamExt, stream};

use super::{
    super::{
        item::{self, Item, number, text},
        terms::LIVE,
        unavailable,
    },
    DynamoLedger, PARALLEL,
    counting::COUNTS_MAX,
    day_key,
    known::{count_names, use_names, uses},
    partition,
};
use crate::{
    domain::{
        admission::{LedgerRow, UsageCount},
        id::UserId,
    },
    store::{
        StoreError,
        accounts::{LedgerAccounts, PersonAccount, SealedLastUse, newest},
    },
};

#[async_trait]
impl LedgerAccounts for DynamoLedger {
    async fn account(&self, user: UserId) -> Result<PersonAccount, StoreError> {
        let (days, counts) = (self.usage_by_day(user, i64::MIN).await?, self.counts_by_day(user, i64::MIN).await?);
        let row = self.read(user).await?.row;
        let live = self.item(partition(user), LIVE.to_owned()).await?;
        let found = live.as_ref().map(uses).transpose()?.unwrap_or_default();
        let uses = found.into_iter().map(|(key, at_us, network)| SealedLastUse { key, at_us, network }).collect();
        Ok(PersonAccount { user, row, days, counts, uses: newest(uses) })
    }

    async fn put_accounts(&self, accounts: Vec<PersonAccount>) -> Result<(), StoreError> {
        let items: Vec<Item> = accounts.iter().filter(|account| !account.is_empty()).flat_map(items).collect();
        stream::iter(items.into_iter().map(Ok)).try_for_each_concurrent(PARALLEL, |item| self.put(item)).await
    }
}

impl DynamoLedger {
    async fn put(&self, item: Item) -> Result<(), StoreError> {
        let table = self.table();
        item::check_size("a person's account", &item)?;
        let sent = self.dynamo.client().put_item().table_name(&table).set_item(Some(item)).send().await;
        sent.map(drop).map_err(|error| unavailable(&table, &error))
    }
}

/// The items of an account: the live one, and one a day before.
fn items(account: &PersonAccount) -> Vec<Item> {
    let key = |sort: String| item::item([("k", text(partition(account.user))), ("d", text(sort))]);
    let row = &account.row;
    let mut counts: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    for line in &account.counts {
        // The counts of the live day are attributes of an item that an update of 4 KB changes: beyond a number of them, requests
        // are counted in a line that names neither key nor data set.
        let of_day = counts.entry(line.day).or_default();
        let [mut requests, mut differs] = count_names(line);
        if line.day == row.day && of_day.len() >= COUNTS_MAX && !of_day.contains_key(&requests) {
            let unnamed = UsageCount { key: None, dataset: Box::default(), status: 0, ..line.clone() };
            [requests, differs] = count_names(&unnamed);
        }
        *of_day.entry(requests).or_default() += line.requests;
        if line.counted != line.requests {
            *of_day.entry(differs).or_default() += line.counted - line.requests;
        }
    }
    let mut live = key(LIVE.to_owned());
    if *row != LedgerRow::default() {
        live.extend(item::item([
            ("tat", number(row.tat_ns)),
            ("day", number(row.day)),
            ("used", number(row.used)),
            ("iv", number(row.interval_ns)),
            ("ow", number(row.owed_ns)),
            ("ob", number(row.owed_burst)),
        ]));
    }
    // A day after the live one was left for it, and is not begun from nothing.
    let far_day = account.days.iter().map(|told| told.day).filter(|day| *day > row.day).max();
    live.extend(far_day.map(|day| ("far".to_owned(), number(day))));
    let add = |item: &mut Item, counts: Option<BTreeMap<String, i64>>| {
        item.extend(counts.unwrap_or_default().into_iter().map(|(name, value)| (name, number(value))));
    };
    add(&mut live, counts.remove(&row.day));
    for used in &account.uses {
        let [at, network] = use_names(used.key);
        live.insert(at, number(used.at_us));
        live.extend(used.network.as_ref().map(|(at_us, sealed)| (network, text(format!("{at_us} {sealed}")))));
    }
    let mut items = vec![live];
    for told in account.days.iter().filter(|told| told.day != row.day) {
        let mut day = key(day_key(told.day));
        day.insert("used".to_owned(), number(told.used));
        add(&mut day, counts.remove(&told.day));
        items.push(day);
    }
    // Counts of a day whose sum is not known, as an earlier version may have left them.
    for (day, counts) in counts {
        let mut item = key(day_key(day));
        item.insert("used".to_owned(), number(0));
        add(&mut item, Some(counts));
        items.push(item);
    }
    items
}
