//! The server secret in the table `secrets`, for nodes that share no file. It has the same form as in `secret.json`.
//!
//! Guarantees: nodes that make the secret at once get the same one; a stored secret is never replaced; nothing of it is logged.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Dynamo, StoreError, fetch,
    item::{self, get_text, text},
    schema::SECRETS,
    write,
};
use crate::{
    domain::checkpoint::CheckpointKey,
    secrets::{Entropy, Secrets, SecretsError, new_checkpoint_key, read_checkpoint_key},
};

/// The item of the server secret.
const SERVER: &str = "server";
/// The item of the key that checkpoints are signed with.
const CHECKPOINTS: &str = "checkpoints";

/// Why there is no server secret.
#[derive(Debug, thiserror::Error)]
pub enum OpenSecretError {
    /// The table does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The item holds no server secret, or none could be made.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

/// Reads the server secret, or makes one.
///
/// # Errors
/// When the table cannot be read or written, the stored secret is damaged, or there are no random bytes.
pub async fn open(dynamo: &Dynamo, entropy: &dyn Entropy) -> Result<Secrets, OpenSecretError> {
    if let Some(secrets) = find(dynamo).await? {
        return Ok(secrets);
    }
    keep(dynamo, Secrets::generate(entropy)?.as_str()).await
}

/// Keeps a server secret in its stored form, unless there is one. Returns the one that is there then.
///
/// # Errors
/// When the table cannot be read or written, or the stored secret is damaged.
pub async fn keep(dynamo: &Dynamo, json: &str) -> Result<Secrets, OpenSecretError> {
    let table = dynamo.table(SECRETS);
    create(dynamo, &table, SERVER, text(json)).await?;
    // Another node may have been first: the stored secret counts.
    let made = find(dynamo).await?;
    Ok(made.ok_or_else(|| StoreError::Corrupt(format!("table {table} loses what is put into it")))?)
}

/// Reads the server secret, if there is one.
///
/// # Errors
/// When the table cannot be read, or the stored secret is damaged.
pub async fn find(dynamo: &Dynamo) -> Result<Option<Secrets>, OpenSecretError> {
    let kept = fetch::get(dynamo, &dynamo.table(SECRETS), item::item([("k", text(SERVER))])).await?;
    let read = |kept: item::Item| Ok(Secrets::from_json(get_text(&kept, "json")?.as_bytes(), &place(dynamo))?);
    kept.map(read).transpose()
}

/// Reads the key that checkpoints are signed with, or makes one. Nodes that make it at once get the same one.
///
/// # Errors
/// When the table cannot be read or written, the stored key is damaged, or there are no random bytes.
pub async fn checkpoint_key(dynamo: &Dynamo, entropy: &dyn Entropy) -> Result<CheckpointKey, OpenSecretError> {
    if let Some(key) = find_checkpoint_key(dynamo).await? {
        return Ok(key);
    }
    let table = dynamo.table(SECRETS);
    create(dynamo, &table, CHECKPOINTS, text(new_checkpoint_key(entropy)?.as_str())).await?;
    let made = find_checkpoint_key(dynamo).await?;
    Ok(made.ok_or_else(|| StoreError::Corrupt(format!("table {table} loses what is put into it")))?)
}

/// Reads the key that checkpoints are signed with, if there is one.
///
/// # Errors
/// When the table cannot be read, or the stored key is damaged.
pub async fn find_checkpoint_key(dynamo: &Dynamo) -> Result<Option<CheckpointKey>, OpenSecretError> {
    let table = dynamo.table(SECRETS);
    let kept = fetch::get(dynamo, &table, item::item([("k", text(CHECKPOINTS))])).await?;
    let place = format!("the item {CHECKPOINTS} of table {table}");
    let read = |kept: item::Item| Ok(read_checkpoint_key(get_text(&kept, "json")?.as_bytes(), &place)?);
    kept.map(read).transpose()
}

/// Where the server secret is, for messages.
pub fn place(dynamo: &Dynamo) -> String {
    format!("the item {SERVER} of table {}", dynamo.table(SECRETS))
}

async fn create(dynamo: &Dynamo, table: &str, name: &str, json: AttributeValue) -> Result<(), StoreError> {
    let put = || {
        let request = dynamo.client().put_item().table_name(table).item("k", text(name)).item("json", json.clone());
        request.condition_expression("attribute_not_exists(k)").send()
    };
    write::conditional(table, put).await?;
    Ok(())
}
