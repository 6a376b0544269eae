//! Claims on names, in the table `state`.

use super::{
    Dynamo, StoreError, fetch,
    item::{self, Item, get_text, text},
    schema::STATE,
};

/// The kind of the claims in the table `state`.
pub(super) const CLAIM: &str = "claim";

/// The key of a claim's item.
pub(super) fn claim_key(name: &str) -> Item {
    item::item([("k", text(CLAIM)), ("r", text(name))])
}

pub(super) async fn owner_of(dynamo: &Dynamo, name: &str) -> Result<Option<String>, StoreError> {
    let claim = fetch::get(dynamo, &dynamo.table(STATE), claim_key(name)).await?;
    claim.map(|claim| get_text(&claim, "owner").map(ToOwned::to_owned)).transpose()
}
