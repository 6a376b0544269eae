//! The server secret in the table `secrets`, for nodes that share no file. It has the same form as in `secret.json`.
//!
//! Guarantees: nodes that make the secret at once get the same one; a stored secret is never replaced; nothing of it is logged.

use aws_sdk_dynamodb::types::AttributeValue;
use zeroize::Zeroizing;

use super::{
    Dynamo, StoreError, fetch,
    item::{self, get_text, text},
    schema::SECRETS,
    write,
};
use crate::secrets::{Entropy, Secrets, SecretsError};

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

/// Keeps a key that checkpoints are signed with, in its stored form, unless there is one. Returns the one that is there then.
///
/// # Errors
/// When the table cannot be read or written.
pub async fn keep_checkpoint_key(dynamo: &Dynamo, json: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let table = dynamo.table(SECRETS);
    create(dynamo, &table, CHECKPOINTS, text(json)).await?;
    let made = find_checkpoint_key(dynamo).await?;
    made.ok_or_else(|| StoreError::Corrupt(format!("table {table} loses what is put into it")))
}

/// Reads the stored form of the key that checkpoints are signed with, if there is one.
///
/// # Errors
/// When the table cannot be read.
pub async fn find_checkpoint_key(dynamo: &Dynamo) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let kept = fetch::get(dynamo, &dynamo.table(SECRETS), item::item([("k", text(CHECKPOINTS))])).await?;
    kept.map(|kept| Ok(Zeroizing::new(get_text(&kept, "json")?.as_bytes().to_vec()))).transpose()
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
