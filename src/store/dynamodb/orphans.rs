//! What no stream accounts for: rows of streams that are not there, the ledger's terms of keys that nobody has, claims and
//! personal keys of nobody.
//!
//! Guarantees: whatever may be one is looked at again, after it was found and on the stream itself: nothing that came to be in
//! the meantime is taken for one. What a key consumed stays.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use super::{
    Dynamo, StoreError,
    claims::{CLAIM, claim_key},
    commits, fetch,
    item::{Item, damaged, get_text, text},
    now::Now,
    repair::remove_row,
    rows,
    schema::{LEDGER, PERSONAL, STATE, VIEWS},
    streams::{SCAN_SEGMENTS, Streams},
    terms::{LIVE, live_key},
    write,
};
use crate::domain::{
    id::{StreamId, UserId},
    key::KeyId,
    user::Standing,
    view::{State, UserStatus},
};

/// Something that no stream accounts for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Orphan {
    /// A row of the views.
    Row { name: String, item: Item },
    /// What leads to an import or a session that is not there.
    Pointer { name: String, item: Item },
    /// The ledger's terms of a key or a session.
    Terms { key: KeyId, version: Option<AttributeValue> },
    /// A claim.
    Claim { name: String, owner: String },
    /// A personal key.
    Personal { user: UserId },
}

impl Orphan {
    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Row { name, .. } => name.clone(),
            Self::Pointer { name, .. } => format!("place of {name}"),
            Self::Terms { key, .. } => format!("ledger terms of key {key}"),
            Self::Claim { owner, .. } => format!("claim of user {owner}"),
            Self::Personal { user } => format!("personal key of user {user}"),
        }
    }
}

/// Finds them.
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
    let work = suspects.into_iter().map(|suspect| confirmed(dynamo, suspect)).collect();
    Ok(fetch::in_parallel(work).await?.into_iter().flatten().collect())
}

/// Removes them, each if it is still what was found.
pub(super) async fn remove(dynamo: &Dynamo, orphans: Vec<Orphan>) -> Result<(), StoreError> {
    let work = orphans.into_iter().map(|orphan| remove_one(dynamo, orphan)).collect();
    fetch::in_parallel(work).await?;
    Ok(())
}

/// An item of the views.
enum ViewItem {
    Person { user: UserId, is_deleted: bool, item: Item },
    Key { user: UserId, key: KeyId, item: Item },
    Import { import: Uuid, data_set: String, item: Item },
    Pointer { import: Uuid, data_set: String, item: Item },
    Session { user: UserId, session: KeyId, item: Item },
    SessionPointer { session: KeyId, user: UserId, item: Item },
    Plan { plan: String, item: Item },
    Token { token: KeyId, item: Item },
}

async fn scan_views(dynamo: &Dynamo) -> Result<(Vec<ViewItem>, u64), StoreError> {
    let table = dynamo.table(VIEWS);
    let request = dynamo
        .client()
        .scan()
        .table_name(&table)
        .projection_expression("k, r, pv, #status, dataset, #user")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#user", "user")
        .consistent_read(true);
    fetch::scan(&table, request, SCAN_SEGMENTS, ViewItem::read).await
}

impl ViewItem {
    fn read(item: Item) -> Result<Self, StoreError> {
        match rows::pointed_at(&item)? {
            Some(rows::Target::Import(import)) => {
                let data_set = rows::read_pointer(&item)?.to_owned();
                return Ok(Self::Pointer { import, data_set, item });
            }
            Some(rows::Target::Session(session)) => {
                let user = rows::read_session_pointer(&item)?;
                return Ok(Self::SessionPointer { session, user, item });
            }
            None => {}
        }
        let row = get_text(&item, "r")?;
        Ok(match (StreamId::parse(get_text(&item, "k")?), rows::Kind::of(row)) {
            (Ok(StreamId::User(user)), Some(rows::Kind::User)) => {
                // Of somebody whose row cannot be read, the stream is asked.
                let is_deleted = rows::read_status(&item).map_or(true, |status| status == UserStatus::Deleted);
                Self::Person { user, is_deleted, item }
            }
            (Ok(StreamId::User(user)), Some(rows::Kind::Key(key))) => Self::Key { user, key, item },
            (Ok(StreamId::User(user)), Some(rows::Kind::Session(session))) => Self::Session { user, session, item },
            (Ok(StreamId::Plan(plan)), Some(rows::Kind::Plan)) => Self::Plan { plan, item },
            (Ok(StreamId::DataSet(data_set)), Some(rows::Kind::Import(import))) => {
                Self::Import { import, data_set, item }
            }
            (Ok(StreamId::AdminTokens), Some(rows::Kind::Token(token))) => Self::Token { token, item },
            _ => return Err(rows::unknown(&item)),
        })
    }
}

/// What the views hold.
#[derive(Default)]
struct LiveRows {
    living: HashSet<UserId>,
    keys: HashSet<KeyId>,
    imports: HashSet<Uuid>,
    sessions: HashSet<KeyId>,
}

impl LiveRows {
    fn of(rows: &[ViewItem]) -> Self {
        let mut seen = Self::default();
        for row in rows {
            match row {
                ViewItem::Person { user, is_deleted: false, .. } => drop(seen.living.insert(*user)),
                ViewItem::Key { key, .. } => drop(seen.keys.insert(*key)),
                ViewItem::Import { import, .. } => drop(seen.imports.insert(*import)),
                ViewItem::Session { session, .. } => drop(seen.sessions.insert(*session)),
                ViewItem::Person { .. }
                | ViewItem::Pointer { .. }
                | ViewItem::SessionPointer { .. }
                | ViewItem::Plan { .. }
                | ViewItem::Token { .. } => {}
            }
        }
        seen
    }

    fn suspect(&self, row: ViewItem, streams: &Streams) -> Option<Suspect> {
        let (stream, name, item) = match row {
            ViewItem::Person { user, item, .. } => (StreamId::User(user), format!("users {user}"), item),
            ViewItem::Key { user, key, item } => (StreamId::User(user), format!("keys {key}"), item),
            ViewItem::Plan { plan, item } => (StreamId::Plan(plan.clone()), format!("plans {plan}"), item),
            ViewItem::Token { token, item } => (StreamId::AdminTokens, format!("tokens {token}"), item),
            ViewItem::Import { import, data_set, item } => {
                (StreamId::DataSet(data_set), format!("imports {import}"), item)
            }
            ViewItem::Pointer { import, data_set, item } => {
                let is_there = self.imports.contains(&import);
                let doubt = Doubt::NoImport(data_set, import);
                let orphan = Orphan::Pointer { name: format!("import {import}"), item };
                return (!is_there).then_some(Suspect { orphan, doubt });
            }
            ViewItem::Session { user, session, item } => (StreamId::User(user), format!("sessions {session}"), item),
            ViewItem::SessionPointer { session, user, item } => {
                let is_there = self.sessions.contains(&session);
                let doubt = Doubt::NoSession(user, session);
                let orphan = Orphan::Pointer { name: format!("session {session}"), item };
                return (!is_there).then_some(Suspect { orphan, doubt });
            }
        };
        let is_known = streams.has(&stream);
        (!is_known).then_some(Suspect { orphan: Orphan::Row { name, item }, doubt: Doubt::NoStream(stream) })
    }
}

/// What may be an orphan.
struct Suspect {
    orphan: Orphan,
    doubt: Doubt,
}

/// What has to be so for a suspect to be an orphan.
enum Doubt {
    /// Nothing.
    None,
    /// The stream has no commit.
    NoStream(StreamId),
    /// The data set never had the import.
    NoImport(String, Uuid),
    /// The person never had the key, nor a session of this id.
    NoKey(UserId, KeyId),
    /// The person never had the session.
    NoSession(UserId, KeyId),
    /// There is no such person, or they were deleted.
    NotLiving(UserId),
}

async fn confirmed(dynamo: &Dynamo, Suspect { orphan, doubt }: Suspect) -> Result<Option<Orphan>, StoreError> {
    let is_orphan = match doubt {
        Doubt::None => true,
        Doubt::NoStream(stream) => commits::load(dynamo, &stream, 0, 1).await?.is_empty(),
        Doubt::NoImport(data_set, import) => match Now::read(dynamo, &StreamId::DataSet(data_set)).await?.state {
            State::DataSet(_, log) => !log.imports.contains_key(&import),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => true,
        },
        Doubt::NoKey(user, key) => match Now::read(dynamo, &StreamId::User(user)).await?.state {
            State::User(Some(user)) => !user.keys.contains_key(&key) && !user.sign_in.sessions.contains_key(&key),
            State::User(None) | State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => true,
        },
        Doubt::NoSession(user, session) => match Now::read(dynamo, &StreamId::User(user)).await?.state {
            State::User(Some(user)) => !user.sign_in.sessions.contains_key(&session),
            State::User(None) | State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => true,
        },
        Doubt::NotLiving(user) => match Now::read(dynamo, &StreamId::User(user)).await?.state {
            State::User(Some(user)) => user.standing == Standing::Deleted,
            State::User(None) | State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => true,
        },
    };
    Ok(is_orphan.then_some(orphan))
}

async fn suspects_in_ledger(dynamo: &Dynamo, seen: &LiveRows) -> Result<Vec<Suspect>, StoreError> {
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
        if seen.keys.contains(&key) || seen.sessions.contains(&key) {
            return Ok(None);
        }
        let doubt = UserId::parse(get_text(&item, "u")?).map_or(Doubt::None, |user| Doubt::NoKey(user, key));
        Ok(Some(Suspect { orphan: Orphan::Terms { key, version: item.get("pv").cloned() }, doubt }))
    };
    let (suspects, _) = fetch::scan(&table, request, SCAN_SEGMENTS, suspect).await?;
    Ok(suspects.into_iter().flatten().collect())
}

async fn suspects_among_claims(dynamo: &Dynamo, seen: &LiveRows) -> Result<Vec<Suspect>, StoreError> {
    let mut suspects = Vec::new();
    for item in fetch::of_kind(dynamo, CLAIM).await? {
        let (name, owner) = (get_text(&item, "r")?.to_owned(), get_text(&item, "owner")?.to_owned());
        let doubt = match UserId::parse(&owner) {
            Ok(user) if seen.living.contains(&user) => continue,
            Ok(user) => Doubt::NotLiving(user),
            Err(_) => Doubt::None,
        };
        suspects.push(Suspect { orphan: Orphan::Claim { name, owner }, doubt });
    }
    Ok(suspects)
}

async fn suspects_among_personal_keys(dynamo: &Dynamo, seen: &LiveRows) -> Result<Vec<Suspect>, StoreError> {
    let table = dynamo.table(PERSONAL);
    // Not the keys themselves.
    let request = dynamo.client().scan().table_name(&table).projection_expression("k").consistent_read(true);
    let suspect = |item: Item| {
        let user = UserId::parse(get_text(&item, "k")?).map_err(|error| damaged("k", error))?;
        let suspect = Suspect { orphan: Orphan::Personal { user }, doubt: Doubt::NotLiving(user) };
        Ok(Some(suspect).filter(|_| !seen.living.contains(&user)))
    };
    let (suspects, _) = fetch::scan(&table, request, SCAN_SEGMENTS, suspect).await?;
    Ok(suspects.into_iter().flatten().collect())
}

async fn remove_one(dynamo: &Dynamo, orphan: Orphan) -> Result<(), StoreError> {
    let client = dynamo.client();
    match orphan {
        Orphan::Row { item, .. } | Orphan::Pointer { item, .. } => drop(remove_row(dynamo, &item).await?),
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
