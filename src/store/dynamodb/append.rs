//! Writes a commit: one conditional put, or one transaction with all that changes with it: claims, the personal key, the owner of a
//! new key in the ledger, and where a client's command was carried out. Then writes the rows that follow.
//!
//! Guarantees: an item that DynamoDB would refuse for its size is refused before anything is written. A commit stays marked until
//! its rows are written and its messages, if any, are sent: a process that dies in between leaves the mark.

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};

use super::{
    Dynamo, StoreError, TRANSACTION_BYTES_MAX, TRANSACTION_WRITES_MAX, administrators, answers,
    claims::{CLAIM, claim_key, owner_of},
    commit::{from_item, to_item},
    commits,
    item::{self, Item, binary, find_text, get_text, text},
    not_built, project,
    schema::{EVENTS, LEDGER, PERSONAL, STATE},
    terms::live_key,
    unavailable, upkeep,
    write::{TRIES_MAX, back_off, met_a_transaction},
};
use crate::{
    domain::{
        id::{StreamId, UserId},
        key::KeyId,
        persisted,
    },
    failpoint::crash_point,
    store::{Append, AppendError, ClaimChange, PersonalChange},
};

/// The condition of a commit: its version is not written yet.
const IS_NEW: &str = "attribute_not_exists(v)";

/// Writes a commit and its rows. Returns its version.
///
/// # Errors
/// [`AppendError`]; after `Store` the commit may have been written, perhaps without its rows: its mark tells.
pub(super) async fn append(dynamo: &Dynamo, append: Append) -> Result<u64, AppendError> {
    let version = append.expected_version.saturating_add(1);
    let commit = to_item(&append, version, dynamo.next_tie())?;
    let writes = project::of_commit(&append.rows, version)?;
    let keys = persisted::issued_keys(&append.events)
        .map_err(|error| StoreError::Corrupt(format!("the events of a commit cannot be read: {error}")))?;
    let is_alone = append.claims.is_empty() && append.personal == PersonalChange::Keep && keys.is_empty();
    if is_alone && append.request_hash.is_none() && append.administrators.is_none() {
        put(dynamo, &append, commit).await?;
    } else {
        transact(dynamo, &append, &keys, commit).await?;
    }
    crash_point("append-before-rows");
    project::write(dynamo, writes).await?;
    crash_point("append-before-mark");
    if !append.publishes
        && let Err(error) = commits::clear_mark(dynamo, &append.stream, version).await
    {
        // The commit is complete: the relay will find it and clear the mark.
        tracing::warn!(stream = %append.stream, version, %error, "a commit's mark was not cleared; left to the relay");
    }
    Ok(version)
}

async fn put(dynamo: &Dynamo, append: &Append, commit: Item) -> Result<(), AppendError> {
    let table = dynamo.table(EVENTS);
    let mut tries = 0;
    loop {
        dynamo.require_open().await?;
        let request = dynamo
            .client()
            .put_item()
            .table_name(&table)
            .set_item(Some(commit.clone()))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = request.send().await else { return Ok(()) };
        if let Some(PutItemError::ConditionalCheckFailedException(taken)) = error.as_service_error() {
            return Err(version_taken(dynamo, append, taken.item()).await);
        }
        tries += 1;
        if !met_a_transaction(&error) || tries == TRIES_MAX {
            return Err(unavailable(&table, &error).into());
        }
        back_off(tries).await;
    }
}

/// Tells who has written the version: an earlier try of this command, another command after an earlier try of this one, or another
/// command alone.
async fn version_taken(dynamo: &Dynamo, append: &Append, old: Option<&Item>) -> AppendError {
    let earlier = match old {
        Some(old) if get_text(old, "c").is_ok_and(|command| command == append.command.as_str()) => {
            from_item(old).map(Some)
        }
        _ => commits::find_command(dynamo, &append.stream, &append.command).await,
    };
    match earlier {
        Ok(Some(earlier)) => AppendError::AlreadyDone(Box::new(earlier)),
        Ok(None) => AppendError::Conflict,
        Err(error) => error.into(),
    }
}

/// The purpose of a part of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TransactionPart {
    Commit,
    Answer,
    Secret,
    Administrators,
    Key(KeyId),
    Take(String),
    Release(String),
    Personal(UserId),
}

/// Why a transaction was cancelled.
#[derive(Debug, PartialEq)]
enum Cancelled {
    /// The version is written already; by this commit.
    VersionTaken(Option<Item>),
    /// The command was answered before.
    Answered,
    /// The deployment has another server secret.
    OtherSecret,
    /// The set of administrators has changed.
    OtherAdministrators,
    /// The key was issued before.
    KeyIssued(KeyId),
    /// The name is taken, by this owner if DynamoDB says so.
    NameTaken { name: String, owner: Option<String> },
    /// The name to release belongs to somebody else: it stays.
    NotTheirs(String),
    /// A new person has a key already.
    KeyExists(UserId),
    /// Another write held one of the items, or capacity was short.
    TryAgain(String),
    /// A retry cannot succeed.
    Refused(String),
}

async fn transact(dynamo: &Dynamo, append: &Append, keys: &[KeyId], commit: Item) -> Result<(), AppendError> {
    let table = dynamo.table(EVENTS);
    let mut not_theirs = Vec::new();
    let mut tries = 0;
    loop {
        dynamo.require_open().await?;
        let (parts, writes) = parts(dynamo, append, keys, &commit, &not_theirs)?;
        let request = dynamo.client().transact_write_items().set_transact_items(Some(writes));
        let Err(error) = request.send().await else { return Ok(()) };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
            return Err(unavailable(&table, &error).into());
        };
        let mut problem = match why_cancelled(&parts, cancelled.cancellation_reasons()) {
            Cancelled::VersionTaken(old) => return Err(version_taken(dynamo, append, old.as_ref()).await),
            Cancelled::Answered => return Err(AppendError::Answered),
            Cancelled::OtherSecret => return Err(AppendError::OtherSecret),
            Cancelled::OtherAdministrators => return Err(AppendError::Conflict),
            Cancelled::KeyIssued(key) => return Err(AppendError::KeyIssued { key }),
            Cancelled::NameTaken { owner: Some(owner), .. } => return Err(AppendError::ClaimTaken { owner }),
            Cancelled::NameTaken { name, owner: None } => match owner_of(dynamo, &name).await? {
                Some(owner) => return Err(AppendError::ClaimTaken { owner }),
                None => "a name was let go meanwhile".to_owned(),
            },
            Cancelled::NotTheirs(name) => {
                not_theirs.push(name);
                continue;
            }
            Cancelled::KeyExists(user) => {
                let table = dynamo.table(PERSONAL);
                let what = format!(
                    "{table} has a key of user {user}, who has no commit: restore both tables as of one moment"
                );
                return Err(StoreError::Corrupt(what).into());
            }
            Cancelled::TryAgain(reason) => reason,
            Cancelled::Refused(reason) => {
                return Err(StoreError::Unavailable(format!("table {table}: {reason}")).into());
            }
        };
        tries += 1;
        if tries == TRIES_MAX {
            problem.insert_str(0, "a transaction was cancelled again and again: ");
            return Err(StoreError::Unavailable(problem).into());
        }
        back_off(tries).await;
    }
}

/// The transaction's writes, each with its purpose.
fn parts(
    dynamo: &Dynamo,
    append: &Append,
    keys: &[KeyId],
    commit: &Item,
    not_theirs: &[String],
) -> Result<(Vec<TransactionPart>, Vec<TransactWriteItem>), StoreError> {
    let mut bytes = item::bytes(commit);
    let put = put_of(&dynamo.table(EVENTS), commit.clone()).condition_expression(IS_NEW).build();
    let mut parts = vec![TransactionPart::Commit];
    let mut writes = vec![TransactWriteItem::builder().put(put.map_err(not_built)?).build()];
    if let Some((answer, put)) = answers::of_commit(dynamo, append)? {
        bytes += item::bytes(&answer);
        parts.push(TransactionPart::Answer);
        writes.push(TransactWriteItem::builder().put(put).build());
    }
    for key in keys {
        parts.push(TransactionPart::Key(*key));
        writes.push(key_write(&dynamo.table(LEDGER), &append.stream, *key)?);
    }
    if let Some(mark) = &append.secret {
        parts.push(TransactionPart::Secret);
        writes.push(upkeep::remembers(dynamo, mark)?);
    }
    if let Some(change) = &append.administrators {
        parts.push(TransactionPart::Administrators);
        writes.push(administrators::write(dynamo, change)?);
    }
    for change in &append.claims {
        let (ClaimChange::Take { name, owner } | ClaimChange::Release { name, owner }) = change;
        if matches!(change, ClaimChange::Release { name, .. } if not_theirs.contains(name)) {
            continue;
        }
        let claim = item::item([("k", text(CLAIM)), ("r", text(name)), ("owner", text(owner))]);
        item::check_size(&format!("the claim {name}"), &claim)?;
        bytes += item::bytes(&claim);
        let (part, write) = claim_write(&dynamo.table(STATE), change, claim)?;
        parts.push(part);
        writes.push(write);
    }
    if let Some((part, write)) = personal_write(&dynamo.table(PERSONAL), &append.personal)? {
        parts.push(part);
        writes.push(write);
    }
    if writes.len() > TRANSACTION_WRITES_MAX || bytes > TRANSACTION_BYTES_MAX {
        let count = writes.len();
        return Err(StoreError::Limit(format!(
            "a commit with {count} writes of {bytes} bytes; a transaction takes {TRANSACTION_WRITES_MAX} of \
             {TRANSACTION_BYTES_MAX}: split the command"
        )));
    }
    Ok((parts, writes))
}

fn put_of(table: &str, item: Item) -> aws_sdk_dynamodb::types::builders::PutBuilder {
    Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}

/// Sets the owner of a new key in the key's ledger item. An item that has an owner was issued before, to any person. The other
/// attributes follow with the rows.
fn key_write(table: &str, stream: &StreamId, key: KeyId) -> Result<TransactWriteItem, StoreError> {
    let StreamId::User(user) = stream else {
        return Err(StoreError::Corrupt(format!("{stream} issues the key {key}, but is no person's")));
    };
    let update = Update::builder()
        .table_name(table)
        .set_key(Some(live_key(key)))
        .update_expression("SET u = :u")
        .condition_expression("attribute_not_exists(u)")
        .expression_attribute_values(":u", text(user.to_string()));
    Ok(TransactWriteItem::builder().update(update.build().map_err(not_built)?).build())
}

fn claim_write(
    table: &str,
    change: &ClaimChange,
    claim: Item,
) -> Result<(TransactionPart, TransactWriteItem), StoreError> {
    let is_free_or_theirs = "attribute_not_exists(k) OR #owner = :owner";
    let write = TransactWriteItem::builder();
    Ok(match change {
        ClaimChange::Take { name, owner } => {
            let put = put_of(table, claim)
                .condition_expression(is_free_or_theirs)
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_values(":owner", text(owner));
            (TransactionPart::Take(name.clone()), write.put(put.build().map_err(not_built)?).build())
        }
        ClaimChange::Release { name, owner } => {
            let delete = Delete::builder()
                .table_name(table)
                .set_key(Some(claim_key(name)))
                .condition_expression(is_free_or_theirs)
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_values(":owner", text(owner));
            (TransactionPart::Release(name.clone()), write.delete(delete.build().map_err(not_built)?).build())
        }
    })
}

fn personal_write(
    table: &str,
    change: &PersonalChange,
) -> Result<Option<(TransactionPart, TransactWriteItem)>, StoreError> {
    let write = TransactWriteItem::builder();
    Ok(match change {
        PersonalChange::Keep => None,
        PersonalChange::Create(user, key) => {
            let personal = item::item([("k", text(user.to_string())), ("key", binary(key.as_bytes()))]);
            // An existing key is a secret: the reply must not return it.
            let put = Put::builder().table_name(table).set_item(Some(personal));
            let put = put.condition_expression("attribute_not_exists(k)").build().map_err(not_built)?;
            Some((TransactionPart::Personal(*user), write.put(put).build()))
        }
        PersonalChange::Destroy(user) => {
            let delete = Delete::builder().table_name(table).set_key(Some(commits::personal_item_key(*user)));
            Some((TransactionPart::Personal(*user), write.delete(delete.build().map_err(not_built)?).build()))
        }
    })
}

/// Reads the reasons of a cancelled transaction, which are in the order of its writes. The commit's reason comes first: if the
/// version is written, the claims' reasons mean nothing.
fn why_cancelled(parts: &[TransactionPart], reasons: &[CancellationReason]) -> Cancelled {
    const FAILED: &str = "ConditionalCheckFailed";
    let failed = parts.iter().zip(reasons).filter(|(_, reason)| reason.code() == Some(FAILED));
    let order = |part: &TransactionPart| match part {
        TransactionPart::Commit => 0,
        TransactionPart::Answer => 1,
        // If the secret differs, the reasons of the names mean nothing.
        TransactionPart::Secret => 2,
        TransactionPart::Administrators => 3,
        TransactionPart::Take(_) => 4,
        TransactionPart::Key(_) => 5,
        TransactionPart::Personal(_) => 6,
        TransactionPart::Release(_) => 7,
    };
    match failed.min_by_key(|(part, _)| order(part)) {
        Some((TransactionPart::Commit, reason)) => Cancelled::VersionTaken(reason.item().cloned()),
        Some((TransactionPart::Answer, _)) => Cancelled::Answered,
        Some((TransactionPart::Secret, _)) => Cancelled::OtherSecret,
        Some((TransactionPart::Administrators, _)) => Cancelled::OtherAdministrators,
        Some((TransactionPart::Key(key), _)) => Cancelled::KeyIssued(*key),
        Some((TransactionPart::Take(name), reason)) => {
            let owner = reason.item().and_then(|item| find_text(item, "owner").ok().flatten());
            Cancelled::NameTaken { name: name.clone(), owner: owner.map(ToOwned::to_owned) }
        }
        Some((TransactionPart::Personal(user), _)) => Cancelled::KeyExists(*user),
        Some((TransactionPart::Release(name), _)) => Cancelled::NotTheirs(name.clone()),
        None => {
            let other = reasons.iter().find(|reason| !matches!(reason.code(), None | Some("None")));
            let code = other.and_then(CancellationReason::code).unwrap_or("no reason given");
            match code {
                "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" => {
                    Cancelled::TryAgain(code.to_owned())
                }
                code => {
                    let message = other.and_then(CancellationReason::message).unwrap_or_default();
                    Cancelled::Refused(format!("{code}: {message}"))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    fn with_owner(owner: &str) -> CancellationReason {
        CancellationReason::builder().code("ConditionalCheckFailed").item("owner", text(owner)).build()
    }

    fn parts() -> [TransactionPart; 4] {
        let user = UserId(uuid::Uuid::from_u128(1));
        [
            TransactionPart::Commit,
            TransactionPart::Take("a".to_owned()),
            TransactionPart::Release("b".to_owned()),
            TransactionPart::Personal(user),
        ]
    }

    #[test]
    fn a_version_that_was_written_says_more_than_a_name_that_is_taken() {
        let old = item::item([("c", text("idem:1"))]);
        let taken = CancellationReason::builder().code("ConditionalCheckFailed").set_item(Some(old.clone())).build();
        let why = why_cancelled(&parts(), &[taken, with_owner("1"), reason("None"), reason("None")]);
        assert_eq!(why, Cancelled::VersionTaken(Some(old)));
        let why = why_cancelled(&parts(), &[reason("None"), with_owner("1"), with_owner("2"), reason("None")]);
        assert_eq!(why, Cancelled::NameTaken { name: "a".to_owned(), owner: Some("1".to_owned()) });
    }

    #[test]
    fn an_answer_says_more_than_what_the_commit_would_have_taken() {
        let (key, failed) = (KeyId::from_random([1; 12]), reason("ConditionalCheckFailed"));
        let parts = [
            TransactionPart::Commit,
            TransactionPart::Answer,
            TransactionPart::Key(key),
            TransactionPart::Take("a".to_owned()),
        ];
        let why = why_cancelled(&parts, &[reason("None"), failed.clone(), failed.clone(), with_owner("1")]);
        assert_eq!(why, Cancelled::Answered);
        let why = why_cancelled(&parts, &[reason("None"), reason("None"), failed.clone(), reason("None")]);
        assert_eq!(why, Cancelled::KeyIssued(key));
        let why = why_cancelled(&parts, &[failed.clone(), failed.clone(), failed, with_owner("1")]);
        assert_eq!(why, Cancelled::VersionTaken(None));
    }

    #[test]
    fn a_name_of_somebody_else_is_not_let_go_and_nothing_else_is_wrong() {
        let why = why_cancelled(&parts(), &[reason("None"), reason("None"), with_owner("2"), reason("None")]);
        assert_eq!(why, Cancelled::NotTheirs("b".to_owned()));
        let failed = reason("ConditionalCheckFailed");
        let why = why_cancelled(&parts(), &[reason("None"), failed.clone(), reason("None"), reason("None")]);
        assert_eq!(why, Cancelled::NameTaken { name: "a".to_owned(), owner: None }, "no owner was told");
        let why = why_cancelled(&parts(), &[reason("None"), reason("None"), reason("None"), failed]);
        assert!(matches!(why, Cancelled::KeyExists(_)));
    }

    #[test]
    fn conflicts_and_throttling_are_tried_again_and_nothing_else_is() {
        for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            let why = why_cancelled(&parts(), &[reason("None"), reason(code), reason("None"), reason("None")]);
            assert_eq!(why, Cancelled::TryAgain(code.to_owned()));
        }
        for code in ["ValidationError", "ItemCollectionSizeLimitExceeded", "None"] {
            let why = why_cancelled(&parts(), &[reason("None"), reason(code), reason("None"), reason("None")]);
            assert!(matches!(why, Cancelled::Refused(_)), "{code}");
        }
        assert!(matches!(why_cancelled(&parts(), &[]), Cancelled::Refused(_)));
    }
}
