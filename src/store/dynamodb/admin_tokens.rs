//! The administrators' tokens: items of the kind `admin` in the table `state`, by id. One more, `first`, is there as soon as
//! there has been a token, and counts the changes: each change is made in one transaction that succeeds only if nobody else
//! made one since the tokens were read.

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{Delete, Put, TransactWriteItem, Update},
};
use jiff::Timestamp;

use super::{
    Dynamo, StoreError, TRANSACTION_WRITES_MAX, fetch,
    item::{self, Item, find_number, get_text, moment, number, text},
    not_built,
    schema::STATE,
    unavailable,
    write::back_off,
};
use crate::store::{AdminTokens, PutToken};

/// The kind of the items.
const ADMIN: &str = "admin";
/// The item that counts the changes.
const FIRST: &str = "first";
/// Most tokens: so many can be replaced in one transaction, beside the new one and the count.
const TOKENS_MAX: usize = TRANSACTION_WRITES_MAX - 2;
/// Times that a change is made anew because somebody else was faster.
const TRIES_MAX: u32 = 10;

#[async_trait]
impl AdminTokens for Dynamo {
    async fn count(&self) -> Result<u64, StoreError> {
        let Tokens { tokens, .. } = read(self).await?;
        Ok(u64::try_from(tokens.len()).unwrap_or(u64::MAX))
    }

    async fn put(&self, id: &str, sha256: &str, created_at: Timestamp, how: PutToken) -> Result<bool, StoreError> {
        if id == FIRST {
            return Err(StoreError::Limit(format!("no token can have the id {FIRST:?}")));
        }
        let token =
            item::item([("k", text(ADMIN)), ("r", text(id)), ("sha256", text(sha256)), ("at", moment(created_at))]);
        for tries in 0..TRIES_MAX {
            let there = read(self).await?;
            let same_id = there.tokens.iter().find(|(other, _)| other == id);
            match same_id {
                // An earlier try that was not answered.
                Some((_, hash)) if hash == sha256 => return Ok(true),
                Some(_) if how == PutToken::Beside => {
                    return Err(StoreError::Limit(format!("there is an administrator's token {id} already")));
                }
                Some(_) | None => {}
            }
            if how == PutToken::First && there.changes.is_some() {
                return Ok(false);
            }
            if there.change(self, id, token.clone(), how).await? {
                return Ok(true);
            }
            back_off(tries).await;
        }
        Err(StoreError::Unavailable("the administrators' tokens are being changed all the time: try again".to_owned()))
    }

    async fn find(&self, sha256: &str) -> Result<Option<String>, StoreError> {
        let Tokens { tokens, .. } = read(self).await?;
        Ok(tokens.into_iter().find(|(_, hash)| hash == sha256).map(|(id, _)| id))
    }

    async fn hashes(&self) -> Result<Vec<String>, StoreError> {
        let Tokens { tokens, .. } = read(self).await?;
        Ok(tokens.into_iter().map(|(_, hash)| hash).collect())
    }
}

/// All tokens, as they were read.
struct Tokens {
    /// Ids and hashes.
    tokens: Vec<(String, String)>,
    /// How often they were changed; none when there has been no token.
    changes: Option<u64>,
}

async fn read(dynamo: &Dynamo) -> Result<Tokens, StoreError> {
    let mut found = Tokens { tokens: Vec::new(), changes: None };
    for item in fetch::of_kind(dynamo, ADMIN).await? {
        match get_text(&item, "r")? {
            FIRST => found.changes = Some(find_number(&item, "changes")?.unwrap_or(0)),
            id => found.tokens.push((id.to_owned(), get_text(&item, "sha256")?.to_owned())),
        }
    }
    Ok(found)
}

fn key(id: &str) -> Item {
    item::item([("k", text(ADMIN)), ("r", text(id))])
}

impl Tokens {
    /// Makes a change, unless somebody else made one meanwhile: then `false`.
    async fn change(&self, dynamo: &Dynamo, id: &str, token: Item, how: PutToken) -> Result<bool, StoreError> {
        let table = dynamo.table(STATE);
        let replaced = match how {
            PutToken::Instead => self.tokens.as_slice(),
            PutToken::Beside | PutToken::First => &[],
        };
        if self.tokens.len() >= TOKENS_MAX && how != PutToken::Instead {
            let count = self.tokens.len();
            return Err(StoreError::Limit(format!(
                "there are {count} administrators' tokens, which is the most: make one that replaces them"
            )));
        }
        let mut writes = vec![self.count(&table)?];
        let put = Put::builder().table_name(&table).set_item(Some(token));
        // Another token of this id would be lost; one that is replaced is.
        let put = if how == PutToken::Instead { put } else { put.condition_expression("attribute_not_exists(k)") };
        writes.push(TransactWriteItem::builder().put(put.build().map_err(not_built)?).build());
        for (other, _) in replaced.iter().filter(|(other, _)| other != id) {
            let delete = Delete::builder().table_name(&table).set_key(Some(key(other))).build().map_err(not_built)?;
            writes.push(TransactWriteItem::builder().delete(delete).build());
        }
        if writes.len() > TRANSACTION_WRITES_MAX {
            let count = self.tokens.len();
            return Err(StoreError::Limit(format!("{count} administrators' tokens cannot be replaced at once")));
        }
        let sent = dynamo.client().transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(error) = sent else { return Ok(true) };
        match error.as_service_error() {
            // Whatever the reason: what is there now decides.
            Some(TransactWriteItemsError::TransactionCanceledException(_)) => Ok(false),
            _ => Err(unavailable(&table, &error)),
        }
    }

    /// Counts the change, if it is the next after those that were read.
    fn count(&self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(key(FIRST)))
            .update_expression("SET changes = :next")
            .expression_attribute_values(":next", number(self.changes.unwrap_or(0) + 1));
        let update = match self.changes {
            None => update.condition_expression("attribute_not_exists(k)"),
            Some(changes) => {
                update.condition_expression("changes = :seen").expression_attribute_values(":seen", number(changes))
            }
        };
        Ok(TransactWriteItem::builder().update(update.build().map_err(not_built)?).build())
    }
}
