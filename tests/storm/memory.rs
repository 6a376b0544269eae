//! What the storm has asked, what it was answered, and whom and what it knows by that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

/// Fields of answers that are erased with a person.
const PERSONAL: [&str; 4] = ["email", "name", "label", "mail_failure"];

/// A command as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    /// Its `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// Its `x-request-id`, which the events that it causes bear.
    pub(crate) id: Uuid,
    pub(crate) sent_at: Instant,
    /// None while it is under way, and for ever when the server died over it.
    pub(crate) answer: Option<Answer>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) at: Instant,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// An `Idempotency-Key` that belongs to another request.
    pub(crate) fn is_reuse(&self) -> bool {
        self.status == 422
    }

    /// Whether it says what became of the command for good, so that a repeat has to say the same. Who is told to come again
    /// later is told nothing; nor is who sent what cannot be a command.
    pub(crate) fn is_final(&self) -> bool {
        let is_refusal_of_the_state = self.status == 400 && !self.body["known_plans"].is_null();
        self.is_success() || is_refusal_of_the_state || matches!(self.status, 404 | 409 | 412)
    }

    /// What a repeat has to say again: all but the text of a key, and what is personal of whoever was erased meanwhile.
    pub(crate) fn lasting(&self, is_erased: bool) -> (u16, Value) {
        let mut body = self.body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("key");
            fields.remove("key_withheld");
            if is_erased {
                PERSONAL.iter().for_each(|field| drop(fields.remove(*field)));
            }
            // A problem names the request that it answers.
            fields.remove("instance");
            fields.remove("request_id");
        }
        (self.status, body)
    }
}

impl Request {
    /// What is asked for, whoever asks and however often.
    pub(crate) fn target(&self) -> (&str, &str, String) {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        (self.method.as_str(), &self.path, body)
    }

    /// Whether a success means that a commit of its own is in the log; that others changed nothing is possible.
    pub(crate) fn always_commits(&self) -> bool {
        let is_of_a_person = self.path.starts_with("/users/") && self.path.matches('/').count() == 2;
        self.method == Method::POST || (self.method == Method::DELETE && is_of_a_person)
    }

    /// What was sent, as a person reads it.
    pub(crate) fn sent(&self) -> String {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        format!("{} {} {body} [{}] {}", self.method, self.path, self.key.as_deref().unwrap_or("-"), self.id)
    }

    /// The same of the answer.
    pub(crate) fn answered(&self) -> String {
        let answer = self.answer.as_ref();
        answer.map_or_else(|| "no answer".to_owned(), |answer| format!("{} {}", answer.status, answer.body))
    }

    pub(crate) fn told(&self) -> String {
        format!("{}: {}", self.sent(), self.answered())
    }
}

/// Somebody who was invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) address: String,
}

/// A key whose text is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) text: String,
}

/// A request with a key.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) key: String,
    pub(crate) sent_at: Instant,
    /// The UTC days at its beginning and its end.
    pub(crate) days: (i64, i64),
    pub(crate) status: u16,
    /// What it counts as.
    pub(crate) cost: u64,
    pub(crate) path: String,
}

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) requests: Vec<Request>,
    pub(crate) people: Vec<Person>,
    pub(crate) keys: Vec<KnownKey>,
    pub(crate) readings: Vec<Reading>,
    /// Addresses of mails, and the key in each.
    pub(crate) mails: BTreeSet<(String, String)>,
    /// Imports that were said to be complete: their ids, and the rows of their files.
    pub(crate) imported: BTreeMap<String, u64>,
}

impl Memory {
    pub(crate) fn learn_person(&mut self, id: &str, address: &str) {
        match self.people.iter().find(|person| person.id == id) {
            Some(known) => assert_eq!(known.address, address, "the address of {id} has become another one"),
            None => self.people.push(Person { id: id.to_owned(), address: address.to_owned() }),
        }
    }

    pub(crate) fn learn_key(&mut self, id: &str, owner: &str, text: &str) {
        match self.keys.iter().find(|key| key.id == id) {
            Some(known) => {
                assert_eq!((known.owner.as_str(), known.text.as_str()), (owner, text), "two keys have the id {id}");
            }
            None => {
                let key = KnownKey { id: id.to_owned(), owner: owner.to_owned(), text: text.to_owned() };
                self.keys.push(key);
            }
        }
    }

    /// Takes in what an answer tells.
    pub(crate) fn learn(&mut self, number: usize) {
        let request = &self.requests[number];
        let Some(answer) = request.answer.clone().filter(Answer::is_success) else { return };
        let text = |name: &str| answer.body[name].as_str().map(ToOwned::to_owned);
        if let (Some(id), Some(owner), Some(key)) = (text("id"), text("user"), text("key")) {
            assert!(request.path.contains(&owner), "somebody else's key: {}", request.told());
            self.learn_key(&id, &owner, &key);
        } else if let (Some(id), Some(address)) = (text("id"), text("email")) {
            let is_of_the_path = request.path == "/users" || request.path.contains(&id);
            assert!(is_of_the_path, "about somebody else: {}", request.told());
            self.learn_person(&id, &address);
        }
    }
}
