//! The views.
//!
//! Guarantees: rows that are looked up by id, a person's keys and a data set's imports are read consistently: a client finds what
//! it was told is done. Lists and addresses are looked up in indexes, which show a row a moment after it was written, and the rows
//! themselves are read from the table: a list may lack a very new row, but never shows an outdated one.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Dynamo, StoreError,
    commit::STREAM_BYTES_MAX,
    fetch,
    item::{self, Item, find_text, get_text, text},
    rows::{self, IMPORTS, PLANS, RowKind, USERS, pointer_key, row_key},
    schema::{EMAILS, LEDGER, LISTS, VIEWS},
    terms::live_key,
    unavailable,
};
use crate::{
    dataset::text::{contains_folded, folded},
    domain::{
        email::EMAIL_BYTES_MAX,
        id::{StreamId, UserId},
        key::KeyId,
        view::{ImportRow, InvitationState, KeyRow, PlanRow, SessionRow, TokenRow, UserRow, UserStatus},
    },
    store::{DueFilter, DueNotice, UserFilter, Views, view_rows::ViewRow},
};

/// Entries of a list per read.
const PAGE_ENTRIES: usize = 200;

#[async_trait]
impl Views for Dynamo {
    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        row(self, row_key(&StreamId::User(id), RowKind::User)).await?.as_ref().map(rows::read).transpose()
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, StoreError> {
        user_by_email(self, email).await
    }

    async fn users(&self, filter: UserFilter) -> Result<Vec<UserRow>, StoreError> {
        users(self, &filter).await
    }

    async fn keys(&self, user: UserId) -> Result<Vec<KeyRow>, StoreError> {
        let mut keys: Vec<KeyRow> = rows_beginning_with(self, &StreamId::User(user), rows::KEY_PREFIX).await?;
        keys.sort_by_key(|key| (key.issued_at, key.id));
        Ok(keys)
    }

    async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, StoreError> {
        let Some(live) = fetch::get(self, &self.table(LEDGER), live_key(id)).await? else { return Ok(None) };
        let Some(user) = find_text(&live, "u")? else { return Ok(None) };
        let user = UserId::parse(user).map_err(|error| item::damaged("u", error))?;
        row(self, row_key(&StreamId::User(user), RowKind::Key(id))).await?.as_ref().map(rows::read).transpose()
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let mut sessions: Vec<SessionRow> =
            rows_beginning_with(self, &StreamId::User(user), rows::SESSION_PREFIX).await?;
        sessions.sort_by_key(|session| (session.started_at, session.id));
        Ok(sessions)
    }

    async fn session(&self, id: KeyId) -> Result<Option<SessionRow>, StoreError> {
        by_pointer(self, RowKind::Session(id)).await
    }

    async fn due_notices(&self, filter: DueFilter) -> Result<Vec<DueNotice>, StoreError> {
        due_notices(self, filter).await
    }

    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError> {
        let list = IndexList { name: PLANS, newest_first: false, before: None, page: PAGE_ENTRIES };
        list.rows(self, usize::MAX, |_| true).await
    }

    async fn plan(&self, name: &str) -> Result<Option<PlanRow>, StoreError> {
        row(self, row_key(&StreamId::Plan(name.to_owned()), RowKind::Plan)).await?.as_ref().map(rows::read).transpose()
    }

    async fn people_of_plans(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let list = IndexList { name: USERS, newest_first: true, before: None, page: PAGE_ENTRIES };
        let mut counted = BTreeMap::new();
        for user in list.rows(self, usize::MAX, |user: &UserRow| user.status != UserStatus::Deleted).await? {
            *counted.entry(user.plan).or_default() += 1;
        }
        Ok(counted)
    }

    async fn people_by_standing(&self) -> Result<BTreeMap<(UserStatus, InvitationState), u64>, StoreError> {
        let list = IndexList { name: USERS, newest_first: true, before: None, page: PAGE_ENTRIES };
        let mut counted = BTreeMap::new();
        for user in list.rows(self, usize::MAX, |_: &UserRow| true).await? {
            *counted.entry((user.status, user.invitation.state)).or_default() += 1;
        }
        Ok(counted)
    }

    async fn admin_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        rows_beginning_with(self, &StreamId::AdminTokens, rows::TOKEN_PREFIX).await
    }

    async fn admin_token(&self, id: KeyId) -> Result<Option<TokenRow>, StoreError> {
        row(self, row_key(&StreamId::AdminTokens, RowKind::Token(id))).await?.as_ref().map(rows::read).transpose()
    }

    async fn imports(&self, dataset: Option<&str>, limit: usize) -> Result<Vec<ImportRow>, StoreError> {
        let Some(dataset) = dataset else {
            let list = IndexList { name: IMPORTS, newest_first: true, before: None, page: PAGE_ENTRIES.min(limit) };
            return list.rows(self, limit, |_| true).await;
        };
        let mut imports: Vec<ImportRow> =
            rows_beginning_with(self, &StreamId::DataSet(dataset.to_owned()), rows::IMPORT_PREFIX).await?;
        imports.sort_by_key(|import| Reverse((import.started_at, import.id)));
        imports.truncate(limit);
        Ok(imports)
    }

    async fn import(&self, id: Uuid) -> Result<Option<ImportRow>, StoreError> {
        by_pointer(self, RowKind::Import(id)).await
    }
}

/// A session or an import, by its id alone.
async fn by_pointer<T: ViewRow>(dynamo: &Dynamo, kind: RowKind) -> Result<Option<T>, StoreError> {
    let Some(pointer) = row(dynamo, pointer_key(kind)).await? else { return Ok(None) };
    row(dynamo, row_key(&rows::read_pointer(&pointer)?, kind)).await?.as_ref().map(rows::read).transpose()
}

/// Reads the first notices of each list: together they contain the first notices of all.
async fn due_notices(dynamo: &Dynamo, filter: DueFilter) -> Result<Vec<DueNotice>, StoreError> {
    let DueFilter { from, until, after, limit } = filter;
    // The empty id sorts before every id of that moment, and `~` after every id.
    let first = after.map_or_else(|| rows::order(from, ""), |after| rows::order(after.at, after.key));
    let last = rows::order(until, "~");
    if first > last || limit == 0 {
        return Ok(Vec::new());
    }
    let of_list = |list| due_in(dynamo, list, &first, &last, limit.saturating_add(1));
    let mut due = fetch::in_parallel(rows::NOTICES.map(of_list).into()).await?.concat();
    due.retain(|notice| {
        after.is_none_or(|after| (notice.at, notice.key) > (after.at, after.key)) && notice.at <= until
    });
    due.sort_unstable();
    due.truncate(limit);
    Ok(due)
}

async fn due_in(
    dynamo: &Dynamo,
    list: &str,
    first: &str,
    last: &str,
    limit: usize,
) -> Result<Vec<DueNotice>, StoreError> {
    let table = dynamo.table(VIEWS);
    let request = dynamo
        .client()
        .query()
        .table_name(&table)
        .index_name(LISTS)
        .key_condition_expression("l = :list AND o BETWEEN :first AND :last")
        .expression_attribute_values(":list", text(list))
        .expression_attribute_values(":first", text(first))
        .expression_attribute_values(":last", text(last))
        .limit(fetch::page_limit(limit));
    let shown = fetch::query(&table, request, limit).await?;
    let keys: Vec<KeyRow> = shown.iter().map(rows::read).collect::<Result<_, _>>()?;
    let due = |key: KeyRow| key.notice_at.map(|at| DueNotice { at, key: key.id, user: key.user });
    Ok(keys.into_iter().filter_map(due).collect())
}

async fn row(dynamo: &Dynamo, key: Item) -> Result<Option<Item>, StoreError> {
    if get_text(&key, "k")?.len() > STREAM_BYTES_MAX {
        // No stream has such a name, so no rows exist.
        return Ok(None);
    }
    fetch::get(dynamo, &dynamo.table(VIEWS), key).await
}

/// The rows of a stream whose names have this prefix, read consistently.
async fn rows_beginning_with<T: ViewRow>(
    dynamo: &Dynamo,
    stream: &StreamId,
    prefix: &str,
) -> Result<Vec<T>, StoreError> {
    let (table, stream) = (dynamo.table(VIEWS), stream.to_string());
    if stream.len() > STREAM_BYTES_MAX {
        return Ok(Vec::new());
    }
    let request = dynamo
        .client()
        .query()
        .table_name(&table)
        .key_condition_expression("k = :k AND begins_with(r, :r)")
        .expression_attribute_values(":k", text(stream))
        .expression_attribute_values(":r", text(prefix))
        .consistent_read(true);
    fetch::query(&table, request, usize::MAX).await?.iter().map(rows::read).collect()
}

async fn user_by_email(dynamo: &Dynamo, email: &str) -> Result<Option<UserRow>, StoreError> {
    if email.is_empty() || email.len() > EMAIL_BYTES_MAX {
        // Nobody can have this address, and the index cannot be asked for it.
        return Ok(None);
    }
    let table = dynamo.table(VIEWS);
    let request = dynamo
        .client()
        .query()
        .table_name(&table)
        .index_name(EMAILS)
        .key_condition_expression("email = :email")
        .expression_attribute_values(":email", text(email));
    let items = current(dynamo, fetch::query(&table, request, usize::MAX).await?).await?;
    let found: Vec<UserRow> = items.iter().map(rows::read).collect::<Result<_, _>>()?;
    Ok(found.into_iter().find(|user| user.status != UserStatus::Deleted && user.email.as_deref() == Some(email)))
}

async fn users(dynamo: &Dynamo, filter: &UserFilter) -> Result<Vec<UserRow>, StoreError> {
    let mut before = None;
    if let Some(after) = filter.after
        && let Some(user) = row(dynamo, row_key(&StreamId::User(after), RowKind::User)).await?
    {
        before = Some(get_text(&user, "o")?.to_owned());
    }
    let search = filter.search.as_deref().map(folded);
    let holds = |text: &Option<String>| {
        let is_in = |search: &Cow<'_, str>| text.as_ref().is_some_and(|text| contains_folded(text, search));
        search.as_ref().is_none_or(is_in)
    };
    let wanted = |user: &UserRow| {
        let is_there = user.status != UserStatus::Deleted;
        let has_plan = |plan: &String| *plan == user.plan && is_there;
        let has_come_to = |(state, now)| is_there && state == user.invitation.at(now).state;
        (holds(&user.email) || holds(&user.name))
            && filter.status.is_none_or(|status| status == user.status)
            && filter.invitation.is_none_or(has_come_to)
            && filter.plan.as_ref().is_none_or(has_plan)
            && filter.unreached.is_none_or(|now| user.is_unreached(now))
    };
    // If few of many people match, a page takes many entries.
    let by_standing = filter.status.is_some() || filter.invitation.is_some() || filter.unreached.is_some();
    let picks = search.is_some() || by_standing || filter.plan.is_some();
    let page = if picks { PAGE_ENTRIES } else { PAGE_ENTRIES.min(filter.limit) };
    let list = IndexList { name: USERS, newest_first: true, before, page };
    list.rows(dynamo, filter.limit, wanted).await
}

/// A list, as the index has it.
struct IndexList {
    name: &'static str,
    newest_first: bool,
    /// Only entries after this place.
    before: Option<String>,
    /// Entries per read.
    page: usize,
}

impl IndexList {
    /// Matching rows of the list, at most `limit`. The index only says where to look: rows are read from the table.
    async fn rows<T: ViewRow>(
        self,
        dynamo: &Dynamo,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let table = dynamo.table(VIEWS);
        let mut condition = "l = :list".to_owned();
        let mut request = dynamo.client().query().table_name(&table).index_name(LISTS);
        if let Some(before) = self.before {
            condition.push_str(" AND o < :before");
            request = request.expression_attribute_values(":before", text(before));
        }
        let request = request
            .key_condition_expression(condition)
            .expression_attribute_values(":list", text(self.name))
            .scan_index_forward(!self.newest_first)
            .limit(fetch::page_limit(self.page));
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| unavailable(&table, &error))?;
            let mut shown = Vec::new();
            for item in page.items.unwrap_or_default() {
                if wanted(&rows::read(&item)?) {
                    shown.push(item);
                }
            }
            for item in &current(dynamo, shown).await? {
                found.extend(Some(rows::read(item)?).filter(&wanted));
            }
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// The present rows of index entries, read from the table in the same order, without rows that were removed.
async fn current(dynamo: &Dynamo, shown: Vec<Item>) -> Result<Vec<Item>, StoreError> {
    let place = |item: &Item| Ok((get_text(item, "k")?.to_owned(), get_text(item, "r")?.to_owned()));
    let places: Vec<(String, String)> = shown.iter().map(place).collect::<Result<_, StoreError>>()?;
    let keys = places.iter().map(|(k, r)| item::item([("k", text(k)), ("r", text(r))])).collect();
    let mut by_place = HashMap::new();
    for item in fetch::get_all(dynamo, &dynamo.table(VIEWS), keys).await? {
        by_place.insert(place(&item)?, item);
    }
    Ok(places.iter().filter_map(|place| by_place.remove(place)).collect())
}
