//! The tables as a whole: their health, and the server secret that they were written with. The marks of the server secret's
//! versions are items of the kind `secret` in the table `state`, by version; the secret itself is elsewhere.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};

use super::{
    Dynamo, StoreError,
    claims::CLAIM,
    fetch,
    item::{self, Item, get_text, number, text},
    not_built,
    schema::{EVENTS, LEDGER, STATE, VIEWS},
    unavailable, write,
};
use crate::{
    secrets::SecretMark,
    store::{DeploymentMark, Upkeep},
};

/// The kind of the marks.
const MARK: &str = "secret";
/// The kind of the deployment's own mark, and its name.
const DEPLOYMENT: &str = "deployment";
/// What the stored mark of a deployment that is being filled begins with.
const FILLING: &str = "{\"state\":\"filling\"";
/// The key of the item that a probe tries to write. The write's condition never holds, so that no such item exists.
const PROBE: &str = "probe";

#[async_trait]
impl Upkeep for Dynamo {
    /// Tries one write of the ledger that its condition refuses, which DynamoDB reports only when the write could have been made;
    /// and reads the log and the views once.
    async fn probe(&self) -> Result<(), StoreError> {
        let table = self.table(LEDGER);
        let update = || {
            let request = self.client().update_item().table_name(&table).key("k", text(PROBE)).key("d", text(PROBE));
            request
                .update_expression("SET p = :p")
                .condition_expression("attribute_exists(k) AND attribute_not_exists(k)")
                .expression_attribute_values(":p", text(PROBE))
                .send()
        };
        write::conditional(&table, update).await?;
        let [events, views] = [EVENTS, VIEWS].map(|table| self.table(table));
        let commit = item::item([("s", text(PROBE)), ("v", number(0))]);
        let row = item::item([("k", text(PROBE)), ("r", text(PROBE))]);
        fetch::probe(self, vec![(events, commit), (views, row)]).await
    }

    async fn secret_marks(&self) -> Result<Vec<SecretMark>, StoreError> {
        let mark = |item: Item| {
            let version = get_text(&item, "r")?;
            let version =
                version.parse().map_err(|_| StoreError::Corrupt(format!("a secret's version {version:?}")))?;
            Ok(SecretMark { version, fingerprint: get_text(&item, "fp")?.to_owned() })
        };
        let mut marks: Vec<SecretMark> =
            fetch::of_kind(self, MARK).await?.into_iter().map(mark).collect::<Result<_, StoreError>>()?;
        marks.sort_by_key(|mark| mark.version);
        Ok(marks)
    }

    async fn add_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError> {
        let table = self.table(STATE);
        for mark in marks {
            let put = || {
                let request = self.client().put_item().table_name(&table).set_item(Some(mark_item(&mark)));
                request.condition_expression("attribute_not_exists(k)").send()
            };
            write::conditional(&table, put).await?;
        }
        Ok(())
    }

    async fn replace_secret_marks(&self, marks: Vec<SecretMark>) -> Result<(), StoreError> {
        let table = self.table(STATE);
        for mark in self.secret_marks().await? {
            if !marks.contains(&mark) {
                let request = self.client().delete_item().table_name(&table).key("k", text(MARK));
                let deleted = request.key("r", text(mark.version.to_string())).send().await;
                deleted.map_err(|error| unavailable(&table, &error))?;
            }
        }
        self.add_secret_marks(marks).await
    }

    async fn reclaim(&self, owners: Vec<(String, Vec<String>)>) -> Result<Vec<(String, String)>, StoreError> {
        let table = self.table(STATE);
        let wanted: HashSet<&String> = owners.iter().flat_map(|(_, names)| names).collect();
        let mut held: HashMap<String, String> = HashMap::new();
        for kept in fetch::of_kind(self, CLAIM).await? {
            let (name, owner) = (get_text(&kept, "r")?.to_owned(), get_text(&kept, "owner")?.to_owned());
            if wanted.contains(&name) {
                held.insert(name, owner);
                continue;
            }
            let request = self.client().delete_item().table_name(&table).key("k", text(CLAIM)).key("r", text(&name));
            // If somebody has changed it meanwhile, it is not the one that was read.
            let delete = || {
                let owned = request.clone().condition_expression("#o = :o").expression_attribute_names("#o", "owner");
                owned.expression_attribute_values(":o", text(&owner)).send()
            };
            write::conditional(&table, delete).await?;
        }
        let mut taken = Vec::new();
        for (owner, names) in &owners {
            for name in names {
                match held.get(name) {
                    Some(holder) if holder != owner => taken.push((owner.clone(), holder.clone())),
                    Some(_) => {}
                    None if claim(self, &table, name, owner).await? => {
                        held.insert(name.clone(), owner.clone());
                    }
                    None => taken.push((owner.clone(), "somebody who was invited meanwhile".to_owned())),
                }
            }
        }
        taken.dedup();
        Ok(taken)
    }

    async fn mark(&self) -> Result<Option<DeploymentMark>, StoreError> {
        let asked = Instant::now();
        let found = fetch::get(self, &self.table(STATE), deployment_key()).await?;
        if found.is_none() {
            self.seen_open().note(asked);
        }
        found.map(|found| DeploymentMark::read(get_text(&found, "mark")?)).transpose()
    }

    async fn set_mark(&self, mark: Option<DeploymentMark>) -> Result<(), StoreError> {
        let table = self.table(STATE);
        let Some(mark) = mark else {
            let request = self.client().delete_item().table_name(&table).set_key(Some(deployment_key()));
            return request.send().await.map(drop).map_err(|error| unavailable(&table, &error));
        };
        let mut marked = deployment_key();
        marked.insert("mark".to_owned(), text(mark.json()?));
        let request = self.client().put_item().table_name(&table).set_item(Some(marked));
        request.send().await.map(drop).map_err(|error| unavailable(&table, &error))
    }

    async fn swap_mark(&self, from: Option<DeploymentMark>, to: Option<DeploymentMark>) -> Result<bool, StoreError> {
        let table = self.table(STATE);
        let old = from.as_ref().map(DeploymentMark::json).transpose()?;
        let swapped = match &to {
            Some(mark) => {
                let mut marked = deployment_key();
                marked.insert("mark".to_owned(), text(mark.json()?));
                let put = || {
                    let request = self.client().put_item().table_name(&table).set_item(Some(marked.clone()));
                    match &old {
                        None => request.condition_expression("attribute_not_exists(k)"),
                        Some(old) => {
                            request.condition_expression("mark = :old").expression_attribute_values(":old", text(old))
                        }
                    }
                    .send()
                };
                write::conditional(&table, put).await?
            }
            None => {
                let delete = || {
                    let request = self.client().delete_item().table_name(&table).set_key(Some(deployment_key()));
                    match &old {
                        None => request.condition_expression("attribute_not_exists(k)"),
                        Some(old) => {
                            request.condition_expression("mark = :old").expression_attribute_values(":old", text(old))
                        }
                    }
                    .send()
                };
                write::conditional(&table, delete).await?
            }
        };
        // An earlier try may have been carried out although its answer was lost.
        Ok(swapped || self.mark().await? == to)
    }

    /// Does nothing: all answered writes are in the tables.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The item of a mark of the server secret.
pub(super) fn mark_item(mark: &SecretMark) -> Item {
    item::item([("k", text(MARK)), ("r", text(mark.version.to_string())), ("fp", text(&mark.fingerprint))])
}

/// The key of the item with the deployment's mark.
fn deployment_key() -> Item {
    item::item([("k", text(DEPLOYMENT)), ("r", text(DEPLOYMENT))])
}

/// A part of a transaction: it fails unless the deployment remembers this mark of the server secret.
pub(super) fn remembers(dynamo: &Dynamo, mark: &SecretMark) -> Result<TransactWriteItem, StoreError> {
    let check = ConditionCheck::builder()
        .table_name(dynamo.table(STATE))
        .key("k", text(MARK))
        .key("r", text(mark.version.to_string()))
        .condition_expression("fp = :fp")
        .expression_attribute_values(":fp", text(&mark.fingerprint));
    Ok(TransactWriteItem::builder().condition_check(check.build().map_err(not_built)?).build())
}

/// A part of a transaction: it fails where the deployment was closed for a move. One that is being filled is written to.
pub(super) fn is_not_moved(dynamo: &Dynamo) -> Result<TransactWriteItem, StoreError> {
    let check = ConditionCheck::builder()
        .table_name(dynamo.table(STATE))
        .set_key(Some(deployment_key()))
        .condition_expression("attribute_not_exists(k) OR begins_with(mark, :filling)")
        .expression_attribute_values(":filling", text(FILLING));
    Ok(TransactWriteItem::builder().condition_check(check.build().map_err(not_built)?).build())
}

/// Claims a name for its owner. Returns whether the name was free.
async fn claim(dynamo: &Dynamo, table: &str, name: &str, owner: &str) -> Result<bool, StoreError> {
    let put = || {
        let claim = item::item([("k", text(CLAIM)), ("r", text(name)), ("owner", text(owner))]);
        let request = dynamo.client().put_item().table_name(table).set_item(Some(claim));
        request.condition_expression("attribute_not_exists(k)").send()
    };
    write::conditional(table, put).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_mark_of_a_filling_is_known_by_its_beginning() {
        let mark = DeploymentMark::Filling { source: uuid::Uuid::nil(), commits: 7 };
        assert!(mark.json().unwrap().starts_with(FILLING));
        let moved =
            DeploymentMark::Moved { to: "elsewhere".to_owned(), at: jiff::Timestamp::UNIX_EPOCH, address: None };
        assert!(!moved.json().unwrap().starts_with(FILLING));
    }
}
