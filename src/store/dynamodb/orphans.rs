//! Orphans: items that no stream accounts for. Rows of streams that do not exist, ledger terms of keys that nobody has, and claims
//! and personal keys without a person.
//!
//! Guarantees: every suspect is checked again on its stream after it was found, so that nothing that was created meanwhile is taken
//! for an orphan. A key's consumption stays.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Dynamo, StoreError,
    claims::{CLAIM, claim_key},
    commits, fetch,
    item::{Item, damaged, get_text, text},
    now::Now,
    quarantine,
    repair::{place_of, remove_row},
    rows::{self, RowKind},
    schema::{LEDGER, PERSONAL, STATE, VIEWS},
    streams::{SCAN_SEGMENTS, Streams},
    terms::{LIVE, live_key},
    write,
};
use crate::{
    domain::{
        id::{StreamId, UserId},
        key::KeyId,
        user::Standing,
        view::State,
    },
    store::ReplayView,
};

/// An item that no stream accounts for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Orphan {
    /// A row of the views, or the pointer to an import or a session that does not exist.
    Row { name: String, item: Item },
    /// The ledger's terms of a key or a session.
    Terms { key: KeyId, version: Option<AttributeValue> },
    /// A claim.
    Claim { name: String, owner: String },
    /// A personal key.
    Personal { user: UserId },
}

impl Orphan {
    /// Whether it is of a view. Claims and personal keys are of none; the terms of the ledger go with the keys.
    pub(super) fn is_of(&self, view: ReplayView) -> bool {
        match self {
            Self::Row { name, .. } => {
                let name = name.strip_prefix("place of ").unwrap_or(name);
                // Such as `users 0192…`, `keys pmt…` or, of a pointer, `session 0192…`.
                name.split(' ')
                    .next()
                    .is_some_and(|kind| view.name().trim_end_matches('s') == kind.trim_end_matches('s'))
            }
            Self::Terms { .. } => view == ReplayView::Keys,
            Self::Claim { .. } | Self::Personal { .. } => false,
        }
    }

    /// The name for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Row { name, .. } => name.clone(),
            Self::Terms { key, .. } => format!("ledger terms of key {key}"),
            Self::Claim { owner, .. } => format!("claim of user {owner}"),
            Self::Personal { user } => format!("personal key of user {user}"),
        }
    }
}

/// Finds all orphans.
pub(super) async fn find(dynamo: &Dynamo, streams: &Streams) -> Result<Vec<Orphan>, StoreError> {
    let (rows, _) = scan_views(dynamo).await?;
    let seen = LiveRows::of(&rows);
    let mut suspects = Vec::new();
    for row in rows {
        suspects.extend(seen.suspect(row, streams));
    }
    suspects.extend(suspects_in_ledger(dynamo, &seen).await?);
    suspects.extend(suspects_among_claims(dynamo, &seen).await?);
    suspects.extend(suspects_among_personal_keys(dynamo, &seen).await?);
    // What a stream in quarantine accounts for cannot be told.
    let quarantined = quarantine::streams(dynamo).await?;
    suspects.retain(|suspect| !suspect.doubt.stream().is_some_and(|stream| quarantined.contains(&stream)));
    let work = suspects.into_iter().map(|suspect| confirmed(dynamo, suspect)).collect();
    Ok(fetch::in_parallel(work).await?.into_iter().flatten().collect())
}

/// Removes orphans, each if it is still as it was found.
pub(super) async fn remove(dynamo: &Dynamo, orphans: Vec<Orphan>) -> Result<(), StoreError> {
    let work = orphans.into_iter().map(|orphan| remove_one(dynamo, orphan)).collect();
    fetch::in_parallel(work).await?;
    Ok(())
}

/// An item of the views.
struct ViewItem {
    /// The stream that the item follows from.
    stream: StreamId,
    /// Its row of the stream.
    kind: RowKind,
    /// Whether it only points to that row.
    is_pointer: bool,
    item: Item,
}

async fn scan_views(dynamo: &Dynamo) -> Result<(Vec<ViewItem>, u64), StoreError> {
    let table = dynamo.table(VIEWS);
    let request = dynamo
        .client()
        .scan()
        .table_name(&table)
        .projection_expression("k, r, pv, email, dataset, #user")
        .expression_attribute_names("#user", "user")
        .consistent_read(true);
    fetch::scan(&table, request, SCAN_SEGMENTS, ViewItem::read).await
}

impl ViewItem {
    fn read(item: Item) -> Result<Self, StoreError> {
        if let Some(kind) = rows::pointed_at(&item)? {
            return Ok(Self { stream: rows::read_pointer(&item)?, kind, is_pointer: true, item });
        }
        let (stream, kind) = (StreamId::parse(get_text(&item, "k")?), RowKind::of(get_text(&item, "r")?));
        match (stream, kind) {
            (Ok(stream @ StreamId::User(_)), Some(kind @ (RowKind::User | RowKind::Key(_) | RowKind::Session(_))))
            | (Ok(stream @ StreamId::Plan(_)), Some(kind @ RowKind::Plan))
            | (Ok(stream @ StreamId::DataSet(_)), Some(kind @ RowKind::Import(_)))
            | (Ok(stream @ StreamId::AdminTokens), Some(kind @ RowKind::Token(_))) => {
                Ok(Self { stream, kind, is_pointer: false, item })
            }
            _ => Err(rows::unknown(&item)),
        }
    }

    /// The name for people.
    fn name(&self) -> String {
        match (self.kind, &self.stream) {
            (kind, _) if self.is_pointer => place_of(kind),
            (RowKind::User, StreamId::User(user)) => format!("users {user}"),
            (RowKind::Plan, StreamId::Plan(plan)) => format!("plans {plan}"),
            // Such as `key#…`.
            (kind, _) => kind.to_string().replacen('#', "s ", 1),
        }
    }
}

/// The live rows of the views.
#[derive(Default)]
struct LiveRows {
    living: HashSet<UserId>,
    rows: HashSet<RowKind>,
}

impl LiveRows {
    fn of(items: &[ViewItem]) -> Self {
        let mut seen = Self::default();
        for ViewItem { stream, kind, item, .. } in items.iter().filter(|item| !item.is_pointer) {
            match (kind, stream) {
                // A deleted person has no address. For other people without one, the stream decides.
                (RowKind::User, StreamId::User(user)) if item.contains_key("email") => drop(seen.living.insert(*user)),
                (kind, _) => drop(seen.rows.insert(*kind)),
            }
        }
        seen
    }

    fn suspect(&self, found: ViewItem, streams: &Streams) -> Option<OrphanSuspect> {
        let is_there = if found.is_pointer { self.rows.contains(&found.kind) } else { streams.has(&found.stream) };
        let name = found.name();
        let ViewItem { stream, kind, is_pointer, item } = found;
        let doubt = if is_pointer { Doubt::NoRow(stream, kind) } else { Doubt::NoStream(stream) };
        (!is_there).then_some(OrphanSuspect { orphan: Orphan::Row { name, item }, doubt })
    }
}

/// A possible orphan.
struct OrphanSuspect {
    orphan: Orphan,
    doubt: Doubt,
}

/// The condition under which a suspect is an orphan.
enum Doubt {
    /// Nothing.
    None,
    /// The stream has no commit.
    NoStream(StreamId),
    /// The stream never had the row; for a key, nor a session of the same id.
    NoRow(StreamId, RowKind),
    /// There is no such person, or they were deleted.
    NotLiving(UserId),
}

impl Doubt {
    /// The stream that decides.
    fn stream(&self) -> Option<StreamId> {
        match self {
            Self::None => None,
            Self::NoStream(stream) | Self::NoRow(stream, _) => Some(stream.clone()),
            Self::NotLiving(user) => Some(StreamId::User(*user)),
        }
    }
}

async fn confirmed(
    dynamo: &Dynamo,
    OrphanSuspect { orphan, doubt }: OrphanSuspect,
) -> Result<Option<Orphan>, StoreError> {
    let is_orphan = match doubt {
        Doubt::None => true,
        Doubt::NoStream(stream) => commits::load(dynamo, &stream, 0, 1).await?.is_empty(),
        Doubt::NoRow(stream, kind) => match (Now::read(dynamo, &stream).await?.state, kind) {
            (State::DataSet(_, log), RowKind::Import(id)) => !log.imports.contains_key(&id),
            (State::User(Some(user)), RowKind::Session(id)) => !user.sign_in.sessions.contains_key(&id),
            (State::User(Some(user)), RowKind::Key(id)) => {
                !user.keys.contains_key(&id) && !user.sign_in.sessions.contains_key(&id)
            }
            _ => true,
        },
        Doubt::NotLiving(user) => match Now::read(dynamo, &StreamId::User(user)).await?.state {
            State::User(Some(user)) => user.standing == Standing::Deleted,
            State::User(None) | State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => true,
        },
    };
    Ok(is_orphan.then_some(orphan))
}

async fn suspects_in_ledger(dynamo: &Dynamo, seen: &LiveRows) -> Result<Vec<OrphanSuspect>, StoreError> {
    let table = dynamo.table(LEDGER);
    let request = dynamo
        .client()
        .scan()
        .table_name(&table)
        .filter_expression("d = :live AND attribute_exists(u)")
        .expression_attribute_values(":live", text(LIVE))
        .projection_expression("k, u, pv")
        .consistent_read(true);
    let suspect = |item: Item| {
        let key = KeyId::parse(get_text(&item, "k")?).map_err(|error| damaged("k", error))?;
        if [RowKind::Key(key), RowKind::Session(key)].iter().any(|kind| seen.rows.contains(kind)) {
            return Ok(None);
        }
        let doubt = UserId::parse(get_text(&item, "u")?)
            .map_or(Doubt::None, |user| Doubt::NoRow(StreamId::User(user), RowKind::Key(key)));
        Ok(Some(OrphanSuspect { orphan: Orphan::Terms { key, version: item.get("pv").cloned() }, doubt }))
    };
    let (suspects, _) = fetch::scan(&table, request, SCAN_SEGMENTS, suspect).await?;
    Ok(suspects.into_iter().flatten().collect())
}

async fn suspects_among_claims(dynamo: &Dynamo, seen: &LiveRows) -> Result<Vec<OrphanSuspect>, StoreError> {
    let mut suspects = Vec::new();
    for item in fetch::of_kind(dynamo, CLAIM).await? {
        let (name, owner) = (get_text(&item, "r")?.to_owned(), get_text(&item, "owner")?.to_owned());
        let doubt = match UserId::parse(&owner) {
            Ok(user) if seen.living.contains(&user) => continue,
            Ok(user) => Doubt::NotLiving(user),
            Err(_) => Doubt::None,
        };
        suspects.push(OrphanSuspect { orphan: Orphan::Claim { name, owner }, doubt });
    }
    Ok(suspects)
}

async fn suspects_among_personal_keys(dynamo: &Dynamo, seen: &LiveRows) -> Result<Vec<OrphanSuspect>, StoreError> {
    let table = dynamo.table(PERSONAL);
    // Leaves out the keys themselves.
    let request = dynamo.client().scan().table_name(&table).projection_expression("k").consistent_read(true);
    let suspect = |item: Item| {
        let user = UserId::parse(get_text(&item, "k")?).map_err(|error| damaged("k", error))?;
        let suspect = OrphanSuspect { orphan: Orphan::Personal { user }, doubt: Doubt::NotLiving(user) };
        Ok(Some(suspect).filter(|_| !seen.living.contains(&user)))
    };
    let (suspects, _) = fetch::scan(&table, request, SCAN_SEGMENTS, suspect).await?;
    Ok(suspects.into_iter().flatten().collect())
}

async fn remove_one(dynamo: &Dynamo, orphan: Orphan) -> Result<(), StoreError> {
    let client = dynamo.client();
    match orphan {
        Orphan::Row { item, .. } => drop(remove_row(dynamo, &item).await?),
        Orphan::Terms { key, version } => {
            let table = dynamo.table(LEDGER);
            let remove = || {
                let request = client
                    .update_item()
                    .table_name(&table)
                    .set_key(Some(live_key(key)))
                    .update_expression("REMOVE u, h, pl, vu, vs, ex, ip, ds, ac, se, lf, pv, #on")
                    .expression_attribute_names("#on", "on");
                let request = match &version {
                    Some(version) => {
                        request.condition_expression("pv = :seen").expression_attribute_values(":seen", version.clone())
                    }
                    None => request.condition_expression("attribute_not_exists(pv)"),
                };
                request.send()
            };
            write::conditional(&table, remove).await?;
        }
        Orphan::Claim { name, owner } => {
            let table = dynamo.table(STATE);
            let remove = || {
                let request = client.delete_item().table_name(&table).set_key(Some(claim_key(&name)));
                request
                    .condition_expression("#owner = :owner")
                    .expression_attribute_names("#owner", "owner")
                    .expression_attribute_values(":owner", text(&owner))
                    .send()
            };
            write::conditional(&table, remove).await?;
        }
        Orphan::Personal { user } => {
            let table = dynamo.table(PERSONAL);
            let remove =
                || client.delete_item().table_name(&table).set_key(Some(commits::personal_item_key(user))).send();
            write::conditional(&table, remove).await?;
        }
    }
    Ok(())
}
