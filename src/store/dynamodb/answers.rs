//! The answers to clients' commands: items of the table `state`.
//!
//! | attribute | holds |
//! |---|---|
//! | `k`, `r` | `command#<id>`, `answer` |
//! | `h` | the mark of the request |
//! | `s` | the stream that it committed in, if it did: written in one transaction with the commit, and kept for ever |
//! | `a` | the answer otherwise |
//! | `x` | when that expires, seconds since the Unix epoch: DynamoDB removes it some time after; until then it is not looked at |

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

use super::{
    Dynamo, StoreError, fetch,
    item::{self, Item, damaged, find_number, find_text, get_number, get_text, number, text},
    not_built,
    schema::{EXPIRES, STATE},
    write,
};
use crate::{
    domain::{
        id::{CommandId, StreamId},
        persisted::StoredCommit,
    },
    store::{AnswerPlace, Append, BesideLog, KeptAnswer, KeptAnswers, NewAnswer},
};

/// The prefix of the partition keys of these items: each item has a partition of its own.
const COMMAND_PREFIX: &str = "command#";
const ANSWER: &str = "answer";
/// The condition for keeping an answer: there is none, or it has expired.
const IS_OPEN: &str = "attribute_not_exists(k) OR x <= :now";

#[async_trait]
impl KeptAnswers for Dynamo {
    async fn find(&self, command: &CommandId, _: &str, now: Timestamp) -> Result<Option<KeptAnswer>, StoreError> {
        let found = fetch::get(self, &self.table(STATE), key(command)).await?;
        found.filter(|item| !has_expired(item, now)).as_ref().map(read).transpose()
    }

    async fn keep(&self, answer: NewAnswer) -> Result<bool, StoreError> {
        self.require_open().await?;
        let NewAnswer { command, request_hash, answer, instead_of, now, expires_at } = answer;
        let item = item_of(&command, &request_hash, &answer, expires_at);
        item::check_size(&format!("the answer of the command {}", command.as_str()), &item)?;
        let table = self.table(STATE);
        let put = || {
            let request = self.client().put_item().table_name(&table).set_item(Some(item.clone()));
            let request = request.expression_attribute_values(":now", number(now.as_second()));
            match &instead_of {
                None => request.condition_expression(IS_OPEN),
                Some(answer) => request
                    .condition_expression(format!("{IS_OPEN} OR a = :instead_of"))
                    .expression_attribute_values(":instead_of", text(answer)),
            }
            .send()
        };
        if write::conditional(&table, put).await? {
            return Ok(true);
        }
        // An earlier try may have kept the answer although its reply was lost.
        let kept = fetch::get(self, &table, key(&command)).await?;
        Ok(kept.is_some_and(|kept| kept == item))
    }

    /// Nothing: DynamoDB removes them.
    async fn sweep(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}

fn key(command: &CommandId) -> Item {
    item::item([("k", text(format!("{COMMAND_PREFIX}{}", command.as_str()))), ("r", text(ANSWER))])
}

fn has_expired(item: &Item, now: Timestamp) -> bool {
    find_number::<i64>(item, EXPIRES).is_ok_and(|expires| expires.is_some_and(|expires| expires <= now.as_second()))
}

fn read(item: &Item) -> Result<KeptAnswer, StoreError> {
    let kept = match find_text(item, "s")? {
        Some(stream) => AnswerPlace::Commit(StreamId::parse(stream).map_err(|error| damaged("s", error))?),
        None => AnswerPlace::Text(get_text(item, "a")?.to_owned()),
    };
    Ok(KeptAnswer { request_hash: get_text(item, "h")?.to_owned(), kept })
}

/// Whether items of this kind are answers.
pub(super) fn is_answer(kind: &str) -> bool {
    kind.starts_with(COMMAND_PREFIX)
}

/// The answer of an item; none where a commit answers.
pub(super) fn beside(item: &Item) -> Result<Option<BesideLog>, StoreError> {
    let Some(answer) = find_text(item, "a")? else { return Ok(None) };
    let command = get_text(item, "k")?.strip_prefix(COMMAND_PREFIX).unwrap_or_default();
    let expires = Timestamp::from_second(get_number(item, EXPIRES)?).map_err(|error| damaged(EXPIRES, error))?;
    Ok(Some(BesideLog::Answer {
        command: CommandId::stored(command),
        request_hash: get_text(item, "h")?.to_owned(),
        answer: answer.to_owned(),
        expires_at: expires,
    }))
}

/// The item of an answer.
pub(super) fn item_of(command: &CommandId, request_hash: &str, answer: &str, expires_at: Timestamp) -> Item {
    let mut item = key(command);
    item.extend(item::item([
        ("h", text(request_hash)),
        ("a", text(answer)),
        (EXPIRES, number(expires_at.as_second())),
    ]));
    item
}

/// The item that notes where a client's command committed; none for a command without a client.
pub(super) fn of_moved(commit: &StoredCommit) -> Option<Item> {
    let request_hash = commit.request_hash.as_ref()?;
    Some(committed(&commit.command, request_hash, &commit.stream))
}

fn committed(command: &CommandId, request_hash: &str, stream: &StreamId) -> Item {
    let mut item = key(command);
    item.extend(item::item([("h", text(request_hash)), ("s", text(stream.to_string()))]));
    item
}

/// The part of a commit's transaction that notes where its command committed; none for a command without a client.
pub(super) fn of_commit(dynamo: &Dynamo, append: &Append) -> Result<Option<(Item, Put)>, StoreError> {
    let Some(request_hash) = &append.request_hash else { return Ok(None) };
    let item = committed(&append.command, request_hash, &append.stream);
    let put = Put::builder()
        .table_name(dynamo.table(STATE))
        .set_item(Some(item.clone()))
        .condition_expression(IS_OPEN)
        .expression_attribute_values(":now", number(append.recorded_at.as_second()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::None)
        .build()
        .map_err(not_built)?;
    Ok(Some((item, put)))
}
