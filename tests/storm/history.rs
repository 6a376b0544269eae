//! The log as the server shows it, and what follows from it: folded here by other code than the server's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) type_name: String,
    pub(crate) actor: String,
    pub(crate) correlation_id: String,
    pub(crate) data: Value,
}

/// How a person stands at some version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: String,
    pub(crate) plan: String,
    pub(crate) is_disabled: bool,
    pub(crate) is_deleted: bool,
}

/// What the log says of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyFacts {
    pub(crate) owner: String,
    pub(crate) is_revoked: bool,
    /// When a rotated one stops working.
    pub(crate) valid_until: Option<Timestamp>,
}

/// The log, stream by stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    pub(crate) streams: BTreeMap<String, Vec<Event>>,
}

impl History {
    pub(crate) fn of(documents: &[Value]) -> Self {
        let mut history = Self::default();
        let text = |document: &Value, name: &str| document[name].as_str().unwrap_or_default().to_owned();
        for document in documents {
            let event = Event {
                id: text(document, "id"),
                version: document["version"].as_u64().expect("a version"),
                type_name: text(document, "type"),
                actor: text(document, "actor"),
                correlation_id: text(document, "correlation_id"),
                data: document["data"].clone(),
            };
            history.streams.entry(text(document, "stream")).or_default().push(event);
        }
        history
    }

    /// Everything that was there is there still, unchanged, and what came is behind it.
    pub(crate) fn check_grown_from(&self, earlier: &Self) {
        for (stream, events) in &earlier.streams {
            let now = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
            assert!(now.starts_with(events), "the log of {stream} has changed: {events:#?} became {now:#?}");
        }
    }

    /// Versions rise by one; nothing happens twice that happens once.
    pub(crate) fn check_order(&self) {
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (stream, events) in &self.streams {
            let mut versions: Vec<u64> = events.iter().map(|event| event.version).collect();
            versions.dedup();
            let expected: Vec<u64> = (1..=u64::try_from(versions.len()).unwrap()).collect();
            assert_eq!(versions, expected, "the versions of {stream}");
            for event in events {
                assert!(ids.insert(event.id.clone()), "the event {} is there twice", event.id);
                if event.type_name == "ApiKeyIssued" {
                    let key = event.data["key_id"].to_string();
                    assert!(keys.insert(key.clone()), "the key {key} was issued twice, the second time in {stream}");
                }
            }
            self.check_person(stream, events);
        }
    }

    fn check_person(&self, stream: &str, events: &[Event]) {
        let (mut issued, mut mailed, mut is_deleted) = (BTreeSet::new(), BTreeSet::new(), false);
        for event in events {
            let invitation = event.data["invitation"].as_str().map(ToOwned::to_owned);
            match event.type_name.as_str() {
                "ApiKeyIssued" => {
                    assert!(!is_deleted, "{stream} got a key after the deletion");
                    // A key that takes another's place is of the same invitation.
                    if let Some(invitation) = invitation.filter(|_| event.actor.starts_with("system:")) {
                        assert!(issued.insert(invitation), "{stream}: two keys for one invitation");
                    }
                }
                "ApiKeyMailed" => {
                    let invitation = invitation.expect("an invitation");
                    assert!(mailed.insert(invitation), "{stream}: the mail of an invitation is written down twice");
                }
                "UserDeleted" => {
                    assert!(!is_deleted, "{stream} was deleted twice");
                    is_deleted = true;
                }
                _ => {}
            }
        }
    }

    /// The commits that a request of the administrator led to: stream and version of each.
    pub(crate) fn commits_by_request(&self) -> BTreeMap<&str, BTreeSet<(&str, u64)>> {
        let mut commits: BTreeMap<&str, BTreeSet<(&str, u64)>> = BTreeMap::new();
        for (stream, events) in &self.streams {
            for event in events.iter().filter(|event| event.actor.starts_with("admin:")) {
                commits.entry(&event.correlation_id).or_default().insert((stream, event.version));
            }
        }
        commits
    }

    /// The events of a person.
    pub(crate) fn of_person(&self, id: &str) -> &[Event] {
        self.streams.get(&format!("user#{id}")).map(Vec::as_slice).unwrap_or_default()
    }

    /// How a person stood right after the commit of a version; now without one.
    pub(crate) fn standing(&self, id: &str, version: Option<u64>) -> Standing {
        let mut standing = Standing::default();
        let text = |event: &Event, name: &str| event.data[name].as_str().unwrap_or_default().to_owned();
        for event in
            self.of_person(id).iter().take_while(|event| version.is_none_or(|version| event.version <= version))
        {
            match event.type_name.as_str() {
                "UserInvited" => {
                    (standing.role, standing.plan) = (text(event, "role"), text(event, "plan"));
                }
                "RoleChanged" => standing.role = text(event, "role"),
                "PlanAssigned" => standing.plan = text(event, "plan"),
                "UserDisabled" => standing.is_disabled = true,
                "UserEnabled" => standing.is_disabled = false,
                "UserDeleted" => standing.is_deleted = true,
                _ => {}
            }
        }
        standing
    }

    /// All keys that were ever issued.
    pub(crate) fn keys(&self) -> BTreeMap<String, KeyFacts> {
        let mut keys = BTreeMap::new();
        for (stream, events) in &self.streams {
            let Some(owner) = stream.strip_prefix("user#") else { continue };
            for event in events {
                let Some(id) = event.data["key_id"].as_str() else { continue };
                if event.type_name == "ApiKeyIssued" {
                    let facts = KeyFacts { owner: owner.to_owned(), is_revoked: false, valid_until: None };
                    keys.insert(id.to_owned(), facts);
                }
                let Some(key) = keys.get_mut(id) else { continue };
                match event.type_name.as_str() {
                    "ApiKeyRevoked" => key.is_revoked = true,
                    "ApiKeyRotated" => {
                        let until = event.data["valid_until"].as_str().expect("a moment");
                        key.valid_until = Some(until.parse().expect("a moment"));
                    }
                    _ => {}
                }
            }
        }
        keys
    }

    /// The most requests of a day that any plan allowed that the person ever had.
    pub(crate) fn quota_max(&self, person: &str) -> u64 {
        let plans: BTreeSet<String> = self
            .of_person(person)
            .iter()
            .filter(|event| ["UserInvited", "PlanAssigned"].contains(&event.type_name.as_str()))
            .filter_map(|event| event.data["plan"].as_str().map(ToOwned::to_owned))
            .collect();
        let definitions = plans.iter().filter_map(|plan| self.streams.get(&format!("plan#{plan}"))).flatten();
        let quotas = definitions.filter_map(|event| {
            event.data["limits"]["quota_per_day"].as_u64().or_else(|| event.data["quota_per_day"].as_u64())
        });
        quotas.max().expect("a plan that was defined")
    }

    /// The imports of a data set by id: file, whether it is the whole, and how it ended, if it did.
    pub(crate) fn imports(&self, data_set: &str) -> Vec<Import> {
        let mut imports: Vec<Import> = Vec::new();
        for event in self.streams.get(&format!("dataset#{data_set}")).map(Vec::as_slice).unwrap_or_default() {
            let id = event.data["import"].as_str().expect("an import").to_owned();
            match event.type_name.as_str() {
                "ImportStarted" => {
                    let file = event.data["file_name"].as_str().unwrap_or_default().to_owned();
                    imports.push(Import { id, file, end: None });
                }
                type_name => {
                    let import = imports.iter_mut().find(|import| import.id == id).expect("an import that began");
                    assert!(import.end.is_none(), "the import {id} ended twice");
                    import.end = Some((type_name == "ImportCompleted", event.version, event.data.clone()));
                }
            }
        }
        imports
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Import {
    pub(crate) id: String,
    pub(crate) file: String,
    /// Whether it was completed, the version of its last commit, and what was written down.
    pub(crate) end: Option<(bool, u64, Value)>,
}
