//! The set of the administrators who can sign in: one item of the table `state`, replaced together with the commit that changes it.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::{
    Dynamo, StoreError, fetch,
    item::{self, Item, get_text, text},
    not_built,
    schema::STATE,
};
use crate::{
    domain::id::UserId,
    store::{AdministratorsChange, user_list},
};

/// The kind of the item, and its name.
const SET: &str = "administrators";

/// Reads the set; none when no commit has written one.
pub(super) async fn read(dynamo: &Dynamo) -> Result<Option<Vec<UserId>>, StoreError> {
    let found = fetch::get(dynamo, &dynamo.table(STATE), place()).await?;
    found.map(|item| user_list::read(get_text(&item, "users")?)).transpose()
}

/// The write that replaces the set, if it is still the one that was seen.
pub(super) fn write(dynamo: &Dynamo, change: &AdministratorsChange) -> Result<TransactWriteItem, StoreError> {
    let set = item(&change.now);
    item::check_size("the set of administrators", &set)?;
    let put = Put::builder().table_name(dynamo.table(STATE)).set_item(Some(set));
    let put = match &change.seen {
        None => put.condition_expression("attribute_not_exists(k)"),
        Some(seen) => put
            .condition_expression("#users = :seen")
            .expression_attribute_names("#users", "users")
            .expression_attribute_values(":seen", text(user_list::write(seen))),
    };
    Ok(TransactWriteItem::builder().put(put.build().map_err(not_built)?).build())
}

/// The item of a set.
pub(super) fn item(users: &[UserId]) -> Item {
    let mut set = place();
    set.insert("users".to_owned(), text(user_list::write(users)));
    set
}

fn place() -> Item {
    item::item([("k", text(SET)), ("r", text(SET))])
}
