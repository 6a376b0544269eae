//! When administrators' tokens were last used: items of the kind `token-use` in the table `state`, by token id. Tokens from before
//! tokens were events are items of the kind `admin`, by ids of their own, beside an item that counted their changes.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Dynamo, StoreError, fetch,
    item::{self, Item, damaged, get_moment, get_text, moment, text},
    schema::STATE,
    write,
};
use crate::{
    domain::key::{KeyHash, KeyId},
    store::{AdminTokens, EarlierToken},
};

/// The kind of the items of last uses.
const USE: &str = "token-use";
/// The kind of the items of earlier tokens.
const EARLIER: &str = "admin";
/// The item that counted their changes.
const CHANGES: &str = "first";

/// The item of an earlier token.
pub(super) fn earlier_item(token: &EarlierToken) -> Item {
    let at = moment(Timestamp::UNIX_EPOCH);
    let names = [("k", text(EARLIER)), ("r", text(&token.id)), ("sha256", text(token.hash.to_hex())), ("at", at)];
    item::item(names)
}

#[async_trait]
impl AdminTokens for Dynamo {
    async fn earlier(&self) -> Result<Vec<EarlierToken>, StoreError> {
        let mut found = Vec::new();
        for item in fetch::of_kind(self, EARLIER).await? {
            let id = get_text(&item, "r")?;
            if id != CHANGES {
                let hash = KeyHash::parse(get_text(&item, "sha256")?).map_err(|error| damaged("sha256", error))?;
                found.push((get_moment(&item, "at")?, EarlierToken { id: id.to_owned(), hash }));
            }
        }
        found.sort_by(|(at, token), (other_at, other)| (at, &token.id).cmp(&(other_at, &other.id)));
        Ok(found.into_iter().map(|(_, token)| token).collect())
    }

    async fn note_use(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        let table = self.table(STATE);
        let put = || {
            let request = self.client().put_item().table_name(&table).item("k", text(USE)).item("r", text(id.as_str()));
            request
                .item("at", moment(at))
                .condition_expression("attribute_not_exists(k) OR #at < :at")
                .expression_attribute_names("#at", "at")
                .expression_attribute_values(":at", moment(at))
                .send()
        };
        // Another node may have noted a later use.
        write::conditional(&table, put).await?;
        Ok(())
    }

    async fn uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        let read = |item| {
            Ok((KeyId::parse(get_text(item, "r")?).map_err(|error| damaged("r", error))?, get_moment(item, "at")?))
        };
        fetch::of_kind(self, USE).await?.iter().map(read).collect()
    }
}
