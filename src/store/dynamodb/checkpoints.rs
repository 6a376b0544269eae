//! The signed checkpoints: items of the kind `checkpoint` in the table `state`, by number. The leaves of each are in parts, items of the kind
//! `checkpoint-leaves`; the parts are written before the checkpoint, which makes them count.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{
    Dynamo, StoreError,
    commit::position_of,
    fetch,
    item::{self, Item, binary, damaged, get_binary, get_number, get_text, number, text},
    schema::STATE,
    unavailable, write,
};
use crate::{
    domain::checkpoint::SignedCheckpoint,
    store::checkpoints::{KeptCheckpoint, KeptCheckpoints, LEAVES_PART_BYTES, LeavesName, PACKED_BYTES_MAX},
};

const CHECKPOINT: &str = "checkpoint";
const LEAVES: &str = "checkpoint-leaves";
const MAILED: &str = "checkpoint-mailed";
/// How long after its moment a commit may appear: AWS refuses who is off by more than five minutes, and a request is tried again for less than
/// that. Four times as much.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(20);

#[async_trait]
impl KeptCheckpoints for Dynamo {
    async fn settled(&self, now: Timestamp) -> Result<u64, StoreError> {
        let until = now.checked_sub(SETTLED_AFTER).unwrap_or(Timestamp::MIN);
        Ok(position_of(until.as_microsecond()))
    }

    async fn checkpoints(&self, before: Option<u64>, max: usize) -> Result<Vec<KeptCheckpoint>, StoreError> {
        let table = self.table(STATE);
        let request = self
            .client()
            .query()
            .table_name(&table)
            .key_condition_expression("k = :k AND r < :r")
            .expression_attribute_values(":k", text(CHECKPOINT))
            .expression_attribute_values(":r", text(before.map_or_else(|| "~".to_owned(), place)))
            .scan_index_forward(false)
            .limit(fetch::page_limit(max))
            .consistent_read(true);
        fetch::query(&table, request, max).await?.iter().map(kept).collect()
    }

    async fn leaves(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(head) = fetch::get(self, &self.table(STATE), key(number)).await? else { return Ok(None) };
        let (sha256, parts): (String, usize) =
            (get_text(&head, "leaves_sha256")?.to_owned(), get_number(&head, "parts")?);
        let mut leaves = Vec::new();
        for part in 0..parts {
            let key = part_key(number, &sha256, part);
            let found = fetch::get(self, &self.table(STATE), key).await?;
            let found = found.ok_or_else(|| {
                StoreError::Corrupt(format!("the leaves of checkpoint {number} lack part {part} of {parts}"))
            })?;
            leaves.extend_from_slice(get_binary(&found, "leaves")?);
            if leaves.len() > PACKED_BYTES_MAX {
                return Err(StoreError::Limit(format!(
                    "the leaves of checkpoint {number} are more than {PACKED_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(Some(leaves))
    }

    async fn keep(&self, checkpoint: KeptCheckpoint, leaves: Vec<u8>) -> Result<bool, StoreError> {
        let table = self.table(STATE);
        let name = LeavesName::of(&leaves);
        let item = head(&checkpoint, &name)?;
        for (nth, bytes) in leaves.chunks(LEAVES_PART_BYTES).enumerate() {
            let item = part(checkpoint.number, &name.sha256, nth, bytes);
            let put = self.client().put_item().table_name(&table).set_item(Some(item)).send().await;
            put.map_err(|error| unavailable(&table, &error))?;
        }
        let put = || {
            let request = self.client().put_item().table_name(&table).set_item(Some(item.clone()));
            request.condition_expression("attribute_not_exists(k)").send()
        };
        let is_kept = write::conditional(&table, put).await?;
        if !is_kept {
            self.forget_parts(checkpoint.number, &name).await?;
        }
        Ok(is_kept)
    }

    async fn mailed(&self) -> Result<Option<u64>, StoreError> {
        let found = fetch::get(self, &self.table(STATE), mailed_key()).await?;
        found.map(|found| get_number(&found, "number")).transpose()
    }

    async fn note_mailed(&self, mailed: u64) -> Result<(), StoreError> {
        let table = self.table(STATE);
        let mut item = mailed_key();
        item.insert("number".to_owned(), number(mailed));
        let put = || {
            let request = self.client().put_item().table_name(&table).set_item(Some(item.clone()));
            let request = request.condition_expression("attribute_not_exists(k) OR #n < :n");
            request.expression_attribute_names("#n", "number").expression_attribute_values(":n", number(mailed)).send()
        };
        write::conditional(&table, put).await.map(drop)
    }
}

impl Dynamo {
    /// Removes the parts of leaves that are not those of the checkpoint with this number.
    async fn forget_parts(&self, number: u64, name: &LeavesName) -> Result<(), StoreError> {
        let table = self.table(STATE);
        let there = fetch::get(self, &table, key(number)).await?;
        if there.map(|there| get_text(&there, "leaves_sha256").map(|there| there == name.sha256)).transpose()?
            == Some(true)
        {
            return Ok(());
        }
        for part in 0..name.parts {
            let key = part_key(number, &name.sha256, part);
            let deleted = self.client().delete_item().table_name(&table).set_key(Some(key)).send().await;
            deleted.map_err(|error| unavailable(&table, &error))?;
        }
        Ok(())
    }
}

/// The item of a checkpoint with leaves of this name.
pub(super) fn head(
    KeptCheckpoint { number: it, signed, proofs }: &KeptCheckpoint,
    leaves: &LeavesName,
) -> Result<Item, StoreError> {
    let proofs = serde_json::to_string(proofs).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut item = key(*it);
    item.extend(item::item([
        ("number", number(it)),
        ("text", text(&signed.text)),
        ("signature", text(&signed.signature)),
        ("public_key", text(&signed.public_key)),
        ("proofs", text(proofs)),
        ("leaves_sha256", text(&leaves.sha256)),
        ("parts", number(leaves.parts)),
    ]));
    item::check_size("a checkpoint", &item)?;
    Ok(item)
}

/// The item of a part of the leaves.
pub(super) fn part(number: u64, sha256: &str, part: usize, bytes: &[u8]) -> Item {
    let mut item = part_key(number, sha256, part);
    item.insert("leaves".to_owned(), binary(bytes));
    item
}

/// Numbers in the order of their texts.
fn place(number: u64) -> String {
    format!("{number:020}")
}

fn key(number: u64) -> Item {
    item::item([("k", text(CHECKPOINT)), ("r", text(place(number)))])
}

/// The key of the item that tells which checkpoints were mailed.
fn mailed_key() -> Item {
    item::item([("k", text(MAILED)), ("r", text("last"))])
}

/// The key of a part: two nodes that make one number at once have parts of their own.
fn part_key(number: u64, sha256: &str, part: usize) -> Item {
    item::item([("k", text(LEAVES)), ("r", text(format!("{}#{sha256}#{part:06}", place(number))))])
}

fn kept(item: &Item) -> Result<KeptCheckpoint, StoreError> {
    Ok(KeptCheckpoint {
        number: get_number(item, "number")?,
        signed: SignedCheckpoint {
            text: get_text(item, "text")?.to_owned(),
            signature: get_text(item, "signature")?.to_owned(),
            public_key: get_text(item, "public_key")?.to_owned(),
        },
        proofs: serde_json::from_str(get_text(item, "proofs")?).map_err(|error| damaged("proofs", error))?,
    })
}
