//! Keys as they are shown, and how one is found by what the user typed.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    app::Node,
    cli::{
        Failure,
        output::{Table, moment},
        people,
    },
    domain::{
        bounds::KeyScopes,
        key::{KeyId, PREFIX, PresentedKey},
        view::{KeyRow, UserRow},
    },
    store::last_use::UsedLast,
};

/// Reads a key's id. Whoever has only the key itself, such as a leaked one, may give that.
pub(super) fn key_id(text: &str) -> Result<KeyId, Failure> {
    if let Some(presented) = PresentedKey::parse(text.trim().as_bytes()) {
        return Ok(presented.id());
    }
    if text.trim().starts_with(PREFIX) {
        return Err(Failure::usage("this is no whole key; give its id, as `permitd keys list` shows it"));
    }
    KeyId::parse(text.trim()).map_err(|error| Failure::usage(format!("{error}; `permitd keys list` shows them")))
}

/// A key and its owner.
pub(super) async fn find(node: &Node, text: &str) -> Result<(KeyRow, UserRow), Failure> {
    let id = key_id(text)?;
    let views = &node.service.committer.stores.views;
    let key = views.key(id).await?;
    let key = key.ok_or_else(|| Failure::not_found(format!("there is no key {id}; `permitd keys list` shows them")))?;
    let user = people::find(&**views, &key.user.to_string()).await?;
    Ok((key, user))
}

/// How a key stands at `now`.
pub(super) fn state(key: &KeyRow, now: Timestamp) -> String {
    let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
    match key.valid_until.into_iter().chain(key.expires_at).min() {
        _ if key.revoked_at.is_some() => "revoked".to_owned(),
        _ if is_over(key.valid_until) => "replaced".to_owned(),
        _ if is_over(key.expires_at) => "expired".to_owned(),
        Some(until) => format!("works until {}", moment(Some(until))),
        None => "works".to_owned(),
    }
}

/// Where a key may be used from.
pub(super) fn from(key: &KeyRow) -> String {
    match key.allowed_ips.as_deref() {
        None => "anywhere".to_owned(),
        Some([network]) => network.clone(),
        Some(networks) => format!("{} networks", networks.len()),
    }
}

/// What a key may be used for.
pub(super) fn uses(key: &KeyRow) -> String {
    let KeyScopes { datasets, actions } = &key.scopes;
    let actions = match actions.as_slice() {
        [action] => action.as_str(),
        _ => "all",
    };
    match datasets {
        None => actions.to_owned(),
        Some(datasets) => format!("{actions} of {}", datasets.join(", ")),
    }
}

/// A table of keys with their owners' addresses.
pub(in crate::cli) fn table<'a>(keys: impl Iterator<Item = (&'a str, &'a KeyRow, &'a UsedLast)>) -> String {
    table_at(keys, Timestamp::now())
}

/// The same, with how each stood at a moment.
pub(in crate::cli) fn table_at<'a>(
    keys: impl Iterator<Item = (&'a str, &'a KeyRow, &'a UsedLast)>,
    at: Timestamp,
) -> String {
    let mut table = Table::new(&[
        "KEY ID",
        "ENDS IN",
        "STATE",
        "USER",
        "LABEL",
        "FROM",
        "MAY",
        "ISSUED",
        "MAILED",
        "LAST USED",
        "USED FROM",
    ]);
    for (email, key, used) in keys {
        table.row([
            key.id.to_string(),
            key.last_four.clone(),
            state(key, at),
            email.to_owned(),
            key.label.clone().unwrap_or_default(),
            from(key),
            uses(key),
            moment(Some(key.issued_at)),
            moment(key.mailed_at),
            moment(used.at),
            used.from.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// A key, name by name, as it stood at a moment.
pub(super) fn key_facts(key: &KeyRow, at: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        ("key id", key.id.to_string()),
        ("ends in", key.last_four.clone()),
        ("state", state(key, at)),
        ("label", key.label.clone().unwrap_or_default()),
        ("expires", moment(key.expires_at)),
        ("from", key.allowed_ips.as_ref().map_or_else(|| "anywhere".to_owned(), |networks| networks.join(", "))),
        ("may", uses(key)),
        ("issued", moment(Some(key.issued_at))),
        ("mailed", moment(key.mailed_at)),
        ("replaced by", key.replaced_by.map(|next| next.to_string()).unwrap_or_default()),
        ("revoked", moment(key.revoked_at)),
        ("why", key.revocation_reason.clone().unwrap_or_default()),
    ]
}

/// The key as a document, with its owner's address.
pub(super) fn document(key: &impl Serialize, user: &UserRow) -> Value {
    let mut document = json!(key);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("email".to_owned(), json!(user.email));
        fields.insert("owner_status".to_owned(), json!(user.status));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::ApiKey;

    #[test]
    fn a_key_gives_its_id_and_is_never_repeated_in_an_error() {
        let key = ApiKey::new(KeyId::from_random([7; 12]), &[9; 24]);
        assert_eq!(key_id(key.reveal()).unwrap(), key.id());
        assert_eq!(key_id(&key.id().to_string()).unwrap(), key.id());
        let (cut, _) = key.reveal().split_at(key.reveal().len() - 1);
        assert!(!key_id(cut).unwrap_err().message.contains(&key.reveal()[21..40]));
    }
}
