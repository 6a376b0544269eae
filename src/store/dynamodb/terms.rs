//! The terms of a key or a session: its ledger row names the owner and the plan and says whether it works, so that a node needs no
//! other row to admit it. They follow from the person's rows and carry the version of the person's stream. The row's other
//! attributes are counts of an earlier version: nothing here touches them.
//!
//! | attribute | holds |
//! |---|---|
//! | `k`, `d` | the id of the key or session, `0` |
//! | `u`, `h` | the owner, the SHA-256 of the key or token |
//! | `pl` | the plan |
//! | `vu` | when it stops working because it was rotated, microseconds since the Unix epoch; absent otherwise |
//! | `ex` | when it expires, microseconds; absent otherwise. Of a session when it ends unless it is used |
//! | `se` | of a session, when its use is to be written down, microseconds; absent where it cannot last longer |
//! | `lf` | true for the session of an administrator that began without a second factor; absent otherwise |
//! | `ip`, `ds`, `ac` | the networks that it may be used from, the data sets and actions that it may be used for; absent for all |
//! | `vs` | when it was rotated, microseconds; absent otherwise, and where an earlier version wrote it |
//! | `on` | false once it is revoked or ended, and while its owner is disabled or deleted |
//! | `pv` | the version of the owner's stream |

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Item, damaged, find_moment, find_text, get_number, get_text, moment, number, text};
use crate::{
    domain::{
        bounds::{DataAction, KeyScopes},
        id::UserId,
        key::{KeyHash, KeyId},
        view::{Rows, SessionRow, UserStatus},
    },
    store::StoreError,
};

/// The sort key of the live item of a person or a key, beside those of past days.
pub(super) const LIVE: &str = "0";

/// The terms of a key or a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    /// The key or session.
    pub(super) key: KeyId,
    /// Its owner.
    pub(super) user: UserId,
    /// Its SHA-256.
    pub(super) hash: KeyHash,
    /// When a rotated key stops working.
    pub(super) valid_until: Option<Timestamp>,
    /// When it was rotated: the start of the key's grace.
    pub(super) since: Option<Timestamp>,
    /// When it expires.
    pub(super) expires_at: Option<Timestamp>,
    /// The networks that it may be used from.
    pub(super) allowed_ips: Option<Vec<String>>,
    /// What it may be used for.
    pub(super) scopes: KeyScopes,
    /// The plan.
    pub(super) plan: String,
    /// When the use of a session is to be written down.
    pub(super) see_at: Option<Timestamp>,
    /// Whether it is the session of an administrator that began without a second factor.
    pub(super) lacks_factor: bool,
    /// Whether it works, judging by revocation and its owner's status.
    pub(super) works: bool,
    /// The version of the owner's stream.
    pub(super) version: u64,
}

impl Terms {
    /// The terms of all keys and sessions of the person in `rows`; no terms for those of others or of nobody. Nor for a session
    /// that was over when the person last changed: it ends by its earlier terms.
    pub(super) fn of(rows: &Rows) -> Vec<Self> {
        let Some(user) = rows.users.first() else { return Vec::new() };
        let owner_works = !matches!(user.status, UserStatus::Disabled | UserStatus::Deleted);
        let theirs = rows.keys.iter().filter(|key| key.user == user.id);
        let issued_at = |id| rows.keys.iter().find(|key| key.id == id).map(|key| key.issued_at);
        let terms = theirs.map(|key| Self {
            key: key.id,
            user: user.id,
            hash: key.hash,
            valid_until: key.valid_until,
            since: key.valid_until.and(key.replaced_by).and_then(issued_at),
            expires_at: key.expires_at,
            allowed_ips: key.allowed_ips.clone(),
            scopes: key.scopes.clone(),
            plan: user.plan.clone(),
            see_at: None,
            lacks_factor: false,
            works: owner_works && key.revoked_at.is_none(),
            version: user.version,
        });
        let has_terms =
            |row: &&SessionRow| row.user == user.id && (row.ended_at.is_some() || row.idle_at > user.changed_at);
        let of_sessions = rows.sessions.iter().filter(has_terms).map(|session| Self {
            key: session.id,
            user: user.id,
            hash: session.hash,
            valid_until: None,
            since: None,
            expires_at: Some(session.idle_at),
            allowed_ips: None,
            scopes: KeyScopes::default(),
            plan: user.plan.clone(),
            see_at: session.see_at(),
            lacks_factor: session.lacks_factor(user.role),
            works: owner_works && session.ended_at.is_none(),
            version: user.version,
        });
        terms.chain(of_sessions).collect()
    }

    /// The terms that a commit may have changed: of keys and sessions that work, and of those that it revoked or ended.
    pub(super) fn of_commit(rows: &Rows, version: u64) -> Vec<Self> {
        let mut terms = Self::of(rows);
        let keys = rows.keys.iter().filter(|key| key.revoked_at.is_none() || key.version == version).map(|key| key.id);
        let sessions = rows.sessions.iter().filter(|row| row.ended_at.is_none() || row.version == version);
        let touched: HashSet<KeyId> = keys.chain(sessions.map(|session| session.id)).collect();
        terms.retain(|terms| touched.contains(&terms.key));
        terms
    }

    /// The key of the item.
    pub(super) fn item_key(&self) -> Item {
        live_key(self.key)
    }

    /// The update that writes the terms, and the values in it; `#on` stands for `on`, which is a reserved word.
    pub(super) fn update(&self) -> (String, Vec<(&'static str, AttributeValue)>) {
        let mut values = vec![
            (":u", text(self.user.to_string())),
            (":h", text(self.hash.to_hex())),
            (":pl", text(&self.plan)),
            (":on", AttributeValue::Bool(self.works)),
            (":pv", number(self.version)),
        ];
        let (mut set, mut remove) = (String::new(), Vec::new());
        for (name, value) in self.further() {
            match value {
                Some(value) => {
                    set.push_str(&format!(", {} = {name}", name.trim_start_matches(':')));
                    values.push((name, value));
                }
                None => remove.push(name.trim_start_matches(':')),
            }
        }
        let mut update = format!("SET u = :u, h = :h, pl = :pl, #on = :on, pv = :pv{set}");
        if !remove.is_empty() {
            update.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        (update, values)
    }

    /// The attributes that only some terms have.
    fn further(&self) -> [(&'static str, Option<AttributeValue>); 8] {
        let actions: Vec<&str> = self.scopes.actions.iter().map(|action| action.as_str()).collect();
        [
            (":vu", self.valid_until.map(moment)),
            (":vs", self.since.map(moment)),
            (":ex", self.expires_at.map(moment)),
            (":ip", self.allowed_ips.as_ref().map(|networks| text(networks.join(" ")))),
            (":ds", self.scopes.datasets.as_ref().map(|names| text(names.join(" ")))),
            (":ac", (self.scopes.actions != DataAction::ALL).then(|| text(actions.join(" ")))),
            (":se", self.see_at.map(moment)),
            (":lf", self.lacks_factor.then_some(AttributeValue::Bool(true))),
        ]
    }

    /// Reads the item of a key or a session; nothing if it has no terms: then there is no such key.
    pub(super) fn read(item: &Item) -> Result<Option<Self>, StoreError> {
        if !item.contains_key("h") {
            return Ok(None);
        }
        let is_true = |name| matches!(item.get(name), Some(AttributeValue::Bool(true)));
        let split = |text: &str| text.split_ascii_whitespace().map(ToOwned::to_owned).collect();
        let words = |name| find_text(item, name).map(|text| text.map(split));
        let action = |word: &str| {
            let named = DataAction::ALL.into_iter().find(|action| action.as_str() == word);
            named.ok_or_else(|| damaged("ac", word))
        };
        let actions = match find_text(item, "ac")? {
            Some(text) => text.split_ascii_whitespace().map(action).collect::<Result<_, _>>()?,
            None => DataAction::ALL.to_vec(),
        };
        Ok(Some(Self {
            key: KeyId::parse(get_text(item, "k")?).map_err(|error| damaged("k", error))?,
            user: UserId::parse(get_text(item, "u")?).map_err(|error| damaged("u", error))?,
            hash: KeyHash::parse(get_text(item, "h")?).map_err(|error| damaged("h", error))?,
            valid_until: find_moment(item, "vu")?,
            since: find_moment(item, "vs")?,
            expires_at: find_moment(item, "ex")?,
            allowed_ips: words("ip")?,
            scopes: KeyScopes { datasets: words("ds")?, actions },
            plan: get_text(item, "pl")?.to_owned(),
            see_at: find_moment(item, "se")?,
            lacks_factor: is_true("lf"),
            works: is_true("on"),
            version: get_number(item, "pv")?,
        }))
    }

    /// Tells whether an item agrees with these terms. For a key that does not work only that and its owner are compared: its plan
    /// is not kept up to date. An item that is newer than these terms is wrong, since later terms would not replace it.
    pub(super) fn are_in(&self, item: &Item) -> bool {
        let Ok(Some(kept)) = Self::read(item) else { return false };
        let is_theirs = (kept.user, kept.hash) == (self.user, self.hash);
        let is_as_new = kept.version <= self.version && kept.works == self.works;
        // An earlier version did not write when a key was rotated.
        let is_same = |kept| Self { since: self.since, version: self.version, ..kept } == *self;
        is_theirs && is_as_new && (!self.works || is_same(kept))
    }
}

/// The item key of a key's live row.
pub(super) fn live_key(key: KeyId) -> Item {
    item::item([("k", text(key.as_str())), ("d", text(LIVE))])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{domain::view::KeyRow, store::view_rows::samples};

    fn rows(status: UserStatus) -> Rows {
        let mut rows = samples::bare();
        let at = Timestamp::UNIX_EPOCH;
        rows.sessions.clear();
        for user in &mut rows.users {
            (user.version, user.plan, user.status) = (9, "large".to_owned(), status);
        }
        let bare = rows.keys.remove(0);
        let key = |number, version, revoked_at| KeyRow {
            id: KeyId::from_random([number; 12]),
            version,
            issued_at: at,
            valid_until: Some(at).filter(|_| number == 2),
            revoked_at,
            ..bare.clone()
        };
        rows.keys = vec![key(1, 4, None), key(2, 5, None), key(3, 9, Some(at)), key(4, 8, Some(at))];
        rows
    }

    fn item_of(terms: &Terms) -> Item {
        let mut item = terms.item_key();
        for (name, value) in terms.update().1 {
            item.insert(name.trim_start_matches(':').to_owned(), value);
        }
        item
    }

    #[test]
    fn terms_follow_from_the_person_and_the_key() {
        let works = |status| Terms::of(&rows(status)).iter().map(|terms| terms.works).collect::<Vec<_>>();
        assert_eq!(works(UserStatus::Active), [true, true, false, false]);
        assert_eq!(works(UserStatus::Invited), [true, true, false, false]);
        assert_eq!(works(UserStatus::Disabled), [false; 4]);
        assert_eq!(works(UserStatus::Deleted), [false; 4]);
        assert!(Terms::of(&rows(UserStatus::Active)).iter().all(|terms| terms.version == 9 && terms.plan == "large"));
        let nobody = Rows { users: Vec::new(), ..rows(UserStatus::Active) };
        assert_eq!(Terms::of(&nobody), [], "without their owner nothing is known of keys");
    }

    #[test]
    fn a_commit_leaves_the_terms_of_keys_alone_that_were_revoked_before() {
        let terms = Terms::of_commit(&rows(UserStatus::Active), 9);
        let keys: Vec<KeyId> = terms.iter().map(|terms| terms.key).collect();
        assert_eq!(keys, [1, 2, 3].map(|number| KeyId::from_random([number; 12])));
    }

    #[test]
    fn an_item_is_compared_with_what_it_should_say() {
        let terms = Terms::of(&rows(UserStatus::Active));
        for terms in &terms {
            assert!(terms.are_in(&item_of(terms)));
            assert!(!terms.are_in(&terms.item_key()), "a row that only counts says nothing");
            let older = Terms { version: 3, ..terms.clone() };
            assert!(terms.are_in(&item_of(&older)), "terms that have not changed since");
            let newer = Terms { version: 10, ..terms.clone() };
            assert!(!terms.are_in(&item_of(&newer)), "they would never be replaced");
            let turned = Terms { works: !terms.works, ..terms.clone() };
            assert!(!terms.are_in(&item_of(&turned)));
            let of_another = Terms { user: UserId(Uuid::from_u128(2)), ..terms.clone() };
            assert!(!terms.are_in(&item_of(&of_another)));
        }
        let other_plan = |terms: &Terms| item_of(&Terms { plan: "small".to_owned(), ..terms.clone() });
        assert!(!terms[0].are_in(&other_plan(&terms[0])));
        assert!(terms[3].are_in(&other_plan(&terms[3])), "the plan of a key that does not work");
        let no_end = item_of(&Terms { valid_until: None, ..terms[1].clone() });
        assert!(!terms[1].are_in(&no_end));
    }

    #[test]
    fn what_a_key_may_is_part_of_its_terms() {
        let mut rows = rows(UserStatus::Active);
        let plain = Terms::of(&rows).remove(0);
        rows.keys[0].expires_at = Some(Timestamp::UNIX_EPOCH);
        rows.keys[0].allowed_ips = Some(vec!["192.0.2.0/24".to_owned(), "2001:db8::1".to_owned()]);
        rows.keys[0].scopes = KeyScopes { datasets: Some(vec!["permits".to_owned()]), actions: vec![DataAction::Read] };
        let bounded = Terms::of(&rows).remove(0);
        assert!(bounded.update().0.ends_with("ex = :ex, ip = :ip, ds = :ds, ac = :ac REMOVE vu, vs, se, lf"));
        assert!(bounded.are_in(&item_of(&bounded)));
        assert!(!bounded.are_in(&item_of(&plain)) && !plain.are_in(&item_of(&bounded)));
    }

    #[test]
    fn an_end_that_is_no_more_is_removed() {
        let terms = Terms::of(&rows(UserStatus::Active));
        assert!(terms[0].update().0.ends_with("pv = :pv REMOVE vu, vs, ex, ip, ds, ac, se, lf"));
        assert!(terms[1].update().0.ends_with("vu = :vu REMOVE vs, ex, ip, ds, ac, se, lf"));
        let mut rows = rows(UserStatus::Active);
        rows.keys[1].replaced_by = Some(rows.keys[0].id);
        let rotated = Terms::of(&rows).remove(1);
        assert_eq!(rotated.since, Some(Timestamp::UNIX_EPOCH), "when the one was issued that replaces it");
        assert!(rotated.update().0.ends_with("vu = :vu, vs = :vs REMOVE ex, ip, ds, ac, se, lf"));
    }
}
