//! Keys that two people were issued, as older versions allowed: finds the first owner of each. Searches only where a key turns out
//! to have two owners, so that a log without such keys costs nothing.

use rusqlite::{Connection, params};

use super::{StoreError, corrupt};
use crate::{
    domain::{
        id::{StreamId, UserId},
        key::KeyId,
        persisted,
        user::User,
        view::State,
    },
    store::IssuedTwice,
};

/// The keys of a person's stream that the views or the list of issued keys give to another person, whose stream issued them as well.
pub(super) fn of_stream(connection: &Connection, stream: &StreamId) -> Result<Vec<IssuedTwice>, StoreError> {
    let StreamId::User(user) = stream else { return Ok(Vec::new()) };
    let keys: Vec<KeyId> =
        person(connection, *user)?.map(|person| person.keys.into_keys().collect()).unwrap_or_default();
    let mut twice = Vec::new();
    for key in keys {
        let sql = "SELECT user FROM keys WHERE id = ?1 UNION SELECT owner FROM issued_keys WHERE id = ?1";
        let owners: Vec<String> =
            connection.prepare_cached(sql)?.query_map([key.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for owner in owners {
            // An owner that is no person cannot have issued a key.
            let Ok(owner) = UserId::parse(&owner) else { continue };
            if owner != *user && issued_at(connection, owner, key)?.is_some() {
                twice.extend(pairs(connection, key, &[*user, owner])?);
            }
        }
    }
    Ok(twice)
}

/// Keeps only the first owner's row of keys that have several rows in the table with this suffix.
pub(super) fn leave_to_the_first(connection: &Connection, suffix: &str) -> Result<Vec<IssuedTwice>, StoreError> {
    let sql = format!("SELECT id FROM keys{suffix} GROUP BY id HAVING count(*) > 1 ORDER BY id");
    let ids: Vec<String> = connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut twice = Vec::new();
    for id in ids {
        let key = KeyId::parse(&id).map_err(|error| corrupt("key id", error))?;
        let sql = format!("SELECT user FROM keys{suffix} WHERE id = ?1");
        let owners: Vec<String> =
            connection.prepare_cached(&sql)?.query_map([&id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let owners = owners.iter().map(|owner| UserId::parse(owner).map_err(|error| corrupt("user id", error)));
        let pairs = pairs(connection, key, &owners.collect::<Result<Vec<_>, _>>()?)?;
        for IssuedTwice { other, .. } in &pairs {
            let sql = format!("DELETE FROM keys{suffix} WHERE id = ?1 AND user = ?2");
            connection.prepare_cached(&sql)?.execute(params![id, other.to_string()])?;
        }
        twice.extend(pairs);
    }
    Ok(twice)
}

/// Pairs the first of a key's owners with each of the others.
fn pairs(connection: &Connection, key: KeyId, owners: &[UserId]) -> Result<Vec<IssuedTwice>, StoreError> {
    let mut in_order = Vec::new();
    for owner in owners {
        in_order.push((issued_at(connection, *owner, key)?.unwrap_or(i64::MAX), *owner));
    }
    in_order.sort_unstable();
    let Some(((_, first), others)) = in_order.split_first() else { return Ok(Vec::new()) };
    let is_revoked = |user| -> Result<bool, StoreError> {
        let person = person(connection, user)?;
        Ok(person.and_then(|person| person.keys.get(&key).map(|key| key.revoked.is_some())).unwrap_or(true))
    };
    let first_is_over = is_revoked(*first)?;
    let pair = |(_, other): &(i64, UserId)| {
        Ok(IssuedTwice { key, first: *first, other: *other, is_over: first_is_over && is_revoked(*other)? })
    };
    others.iter().map(pair).collect()
}

/// The log position at which a person was issued a key, if they were.
fn issued_at(connection: &Connection, user: UserId, key: KeyId) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT position, events FROM commits WHERE stream = ?1 AND instr(events, ?2) > 0 ORDER BY version";
    let mut statement = connection.prepare_cached(sql)?;
    let mut commits = statement.query(params![StreamId::User(user).to_string(), key.as_str()])?;
    while let Some(commit) = commits.next()? {
        let events = commit.get_ref(1)?.as_str().map_err(|error| corrupt("commit", error))?;
        let issued = persisted::issued_keys(events).map_err(|error| corrupt("commit", error))?;
        if issued.contains(&key) {
            return Ok(Some(commit.get(0)?));
        }
    }
    Ok(None)
}

/// A person by their stream.
fn person(connection: &Connection, user: UserId) -> Result<Option<User>, StoreError> {
    Ok(match super::batches::folded(connection, &StreamId::User(user))? {
        State::User(person) => person,
        State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => None,
    })
}
