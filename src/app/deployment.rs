//! Checks that a node belongs to its deployment by the secret versions in the log: a node with another server secret would answer every key
//! with 401, claim addresses under other names, and find no key for a mail.

use super::StartError;
use crate::{
    domain::view::KeyRow,
    secrets::{Secrets, SecretsError},
    store::Stores,
};

/// Checks that a secret may be made: the log knows of none, and of no key that was derived from one.
///
/// # Errors
/// [`SecretsError::Lost`], or the store does not answer.
pub(super) async fn may_begin(stores: &Stores, place: &str) -> Result<(), StartError> {
    let lost = || SecretsError::Lost { place: place.to_owned() };
    if !stores.upkeep.secret_marks().await?.is_empty() {
        return Err(lost().into());
    }
    let is_foreign = |_: &_| true;
    if find_key(stores, is_foreign).await? { Err(lost().into()) } else { Ok(()) }
}

/// Checks that a secret is the deployment's, and adds its new versions to the log.
///
/// # Errors
/// [`SecretsError::NotOurs`], or the store does not answer.
pub(super) async fn settle(stores: &Stores, secrets: &Secrets) -> Result<(), StartError> {
    let known = stores.upkeep.secret_marks().await?;
    let new = secrets.check(&known)?;
    if known.is_empty() {
        // A log of an earlier permitd has no secret marks: its keys tell.
        let is_foreign = |row: &KeyRow| !secrets.recognises(row.id, &row.hash);
        if find_key(stores, is_foreign).await? {
            let what = "keys in the log were derived from another".to_owned();
            return Err(SecretsError::NotOurs { place: secrets.place().to_owned(), what }.into());
        }
    }
    if !new.is_empty() {
        stores.upkeep.add_secret_marks(new).await?;
        // Another node may have added a different secret under the same version at the same moment.
        secrets.check(&stores.upkeep.secret_marks().await?)?;
    }
    Ok(())
}

/// Whether anybody has a key in force that satisfies `holds`. Reads all keys when nobody has: only once, in a log that remembers no secret
/// yet.
async fn find_key(stores: &Stores, holds: impl Fn(&KeyRow) -> bool) -> Result<bool, StartError> {
    let mut everybody = stores.everybody();
    while let Some(people) = everybody.next_page().await? {
        for person in &people {
            let keys = stores.views.keys(person.id).await?;
            if keys.iter().any(|key| key.revoked_at.is_none() && holds(key)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
