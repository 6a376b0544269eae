//! Keys that two people were issued, as older versions allowed: finds the first owner of each. The ledger has one place for a key,
//! so it names the other owner to one of the two: such keys are noticed there.

use std::collections::{HashMap, hash_map::Entry};

use super::{Dynamo, StoreError, fetch, item::find_text, now::Now, schema::LEDGER, terms::live_key};
use crate::{
    domain::{
        id::{StreamId, UserId},
        user::User,
        view::State,
    },
    store::IssuedTwice,
};

/// The keys in a person's stream that the ledger gives to another person, whose stream issued them as well.
pub(super) async fn of_stream(dynamo: &Dynamo, stream: &StreamId, now: &Now) -> Result<Vec<IssuedTwice>, StoreError> {
    let (StreamId::User(user), State::User(Some(person))) = (stream, &now.state) else { return Ok(Vec::new()) };
    let keys = person.keys.keys().map(|key| live_key(*key)).collect();
    let (mut twice, mut others) = (Vec::new(), HashMap::new());
    for item in fetch::get_all(dynamo, &dynamo.table(LEDGER), keys).await? {
        // A malformed owner means wrong terms, which are replaced.
        let Some(other) = find_text(&item, "u")?.and_then(|owner| UserId::parse(owner).ok()) else { continue };
        let Some(key) =
            person.keys.values().find(|key| find_text(&item, "k").is_ok_and(|k| k == Some(key.id.as_str())))
        else {
            continue;
        };
        if other == *user {
            continue;
        }
        let other_person = match others.entry(other) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(read(dynamo, other).await?),
        };
        let Some(theirs) = other_person.as_ref().and_then(|other| other.keys.get(&key.id)) else {
            continue;
        };
        let is_over = key.revoked.is_some() && theirs.revoked.is_some();
        let is_first = (key.issued_at, *user) < (theirs.issued_at, other);
        let (first, other) = if is_first { (*user, other) } else { (other, *user) };
        twice.push(IssuedTwice { key: key.id, first, other, is_over });
    }
    Ok(twice)
}

async fn read(dynamo: &Dynamo, user: UserId) -> Result<Option<User>, StoreError> {
    Ok(match Now::read(dynamo, &StreamId::User(user)).await?.state {
        State::User(person) => person,
        State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => None,
    })
}
