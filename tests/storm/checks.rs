//! What must hold between what was answered, what the log says, and what the server does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::Value;

use crate::{
    acting::answer_to,
    deployment::{self, Serving},
    history::{History, KeyFacts, Standing},
    living::Storm,
    looking_back::Place,
    memory::{Answer, Memory, Request},
};

/// How long a repeat may show the key that was issued.
const KEY_SHOWN_FOR: Duration = Duration::from_secs(3600);
/// What a moment of the log and one of this process may differ by, and a request may take.
const SLACK: SignedDuration = SignedDuration::from_secs(3);
/// Keys that are tried at one check.
const KEYS_TRIED: usize = 30;
const RECORD: &str = "/permits/201612013997";

/// The id in a key: `pmt_<id>_<secret>_<checksum>`.
pub(crate) fn id_in(key: &str) -> String {
    key.split('_').nth(1).expect("a key's id").to_owned()
}

impl Storm {
    /// The deployment, by one of its servers.
    pub(crate) fn place<'a>(&'a self, serving: &'a Serving) -> Place<'a> {
        Place { url: &serving.url, token: self.deployment.token() }
    }

    /// An answer to an administrator, which must be one.
    pub(crate) async fn ask_at(&self, Place { url, token }: Place<'_>, path: &str) -> Value {
        let request = self.client.get(format!("{url}{path}")).bearer_auth(token);
        let (status, body) = answer_to(request).await.unwrap_or_else(|| panic!("GET {path} is not answered"));
        assert_eq!(status, 200, "GET {path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("GET {path}: {error}: {body}"))
    }

    /// All items of a list.
    pub(crate) async fn whole(&self, serving: &Serving, path: &str) -> Vec<Value> {
        self.whole_at(self.place(serving), path).await
    }

    /// The same, at any place.
    pub(crate) async fn whole_at(&self, place: Place<'_>, path: &str) -> Vec<Value> {
        let (mut items, mut next) = (Vec::new(), format!("{path}?limit=1000"));
        loop {
            let mut page = self.ask_at(place, &next).await;
            items.append(page["data"].as_array_mut().expect("a list"));
            match page["page"]["next"].as_str() {
                // It may be a whole address.
                Some(link) => next = link[link.find(path).expect("the same path")..].to_owned(),
                None => return items,
            }
        }
    }

    /// Takes in what a server that runs in peace shows, and the mails.
    pub(crate) async fn learn(&self, serving: &Serving) -> History {
        for user in self.whole(serving, "/users").await {
            if let (Some(id), Some(address)) = (user["id"].as_str(), user["email"].as_str())
                && id != self.auditor().owner
            {
                self.memory.borrow_mut().learn_person(id, address);
            }
        }
        // Mails before the log: the server may be sending others, whose keys were issued after the log was read.
        let mails = self.deployment.mails();
        let history = History::of(&self.whole(serving, "/events").await);
        let keys = history.keys();
        let mut memory = self.memory.borrow_mut();
        for mail in mails {
            // A notice has none.
            let Some(key) = mail.key else { continue };
            let id = id_in(&key);
            let facts =
                keys.get(&id).unwrap_or_else(|| panic!("the key {id} was mailed to {} and never issued", mail.to));
            if facts.owner != self.auditor().owner {
                memory.learn_key(&id, &facts.owner, &key);
            }
            memory.mails.insert((mail.to, id));
        }
        history
    }

    /// Everything that needs no more than the log and what was answered.
    pub(crate) fn check_log(&self, history: &History) {
        history.check_order();
        let memory = self.memory.borrow();
        let commits = history.commits_by_request();
        let count = |request: &Request| commits.get(request.id.to_string().as_str()).map_or(0, BTreeSet::len);
        let known: BTreeSet<String> = memory.requests.iter().map(|request| request.id.to_string()).collect();
        for (request, commits) in &commits {
            let is_ours = known.contains(*request) || commits.iter().all(|commit| self.is_of_the_setup(commit));
            assert!(is_ours, "nobody asked for the commits {commits:?} of {request}");
        }
        for request in &memory.requests {
            check_request(request, count(request), history);
        }
        check_keys_of_commands(&memory, &count, history);
        check_mails(&memory, history);
        check_readings(&memory, history, self.grant_life());
        for (import, rows) in &memory.imported {
            let imports = history.imports("permits");
            let told = imports.iter().find(|told| told.id == *import);
            let is_complete = told.is_some_and(|told| told.end.as_ref().is_some_and(|(completed, ..)| *completed));
            assert!(is_complete, "the import {import} of {rows} rows was said to be complete: {told:?}");
        }
    }

    /// What is served is what the last import that was completed has brought, whole.
    pub(crate) async fn check_records(&self, serving: &Serving, history: &History) {
        let imports = history.imports("permits");
        let unfinished: Vec<_> = imports.iter().filter(|import| import.end.is_none()).collect();
        assert!(unfinished.is_empty(), "after a start nobody imports: {unfinished:?}");
        let completed = imports.iter().filter_map(|import| match &import.end {
            Some((true, version, data)) => Some((version, data["dataset_version"].as_u64(), &import.file)),
            _ => None,
        });
        let (_, version, file) = completed.max_by_key(|(version, ..)| **version).expect("the first import");
        let rows: u64 = file.trim_start_matches("sample-").trim_end_matches(".csv").parse().expect("rows in the name");
        let request = self.client.get(format!("{}/permits?limit=1&count=exact", serving.url));
        let (status, body) = answer_to(request.header("x-api-key", &self.auditor().text)).await.expect("an answer");
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        let found = (page["page"]["count"].as_u64(), page["dataset"]["version"].as_u64());
        assert_eq!(found, (Some(rows), version), "{file} was imported last: {imports:#?}");
    }

    /// Keys that ended are refused; those that did not are admitted, if their quota allows it.
    pub(crate) async fn check_admission(&self, serving: &Serving, history: &History) {
        let facts = history.keys();
        let mut tried = self.memory.borrow().keys.clone();
        let skipped = tried.len().saturating_sub(KEYS_TRIED);
        for key in tried.split_off(skipped) {
            let Some(works) = works(&facts[&key.id], &history.standing(&key.owner, None)) else { continue };
            let Some((status, body)) = self.read_with(&serving.url, &key.id, &key.text, RECORD, 1).await else {
                panic!("a server in peace does not answer")
            };
            let is_right = if works { [200, 429].contains(&status) } else { status == 401 };
            assert!(is_right, "the key {} of {} is answered {status} {body}; works: {works}", key.id, key.owner);
        }
    }

    /// Waits for the mails that are still to come.
    pub(crate) async fn check_invitations(&self, serving: &Serving) {
        let deadline = Instant::now() + deployment::PATIENCE;
        loop {
            let waiting = unfulfilled(&self.learn(serving).await);
            if waiting.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let (_, letters) = self.deployment.run("", &["dead-letters", "list", "--json"]);
                panic!("waited in vain for the mails of the invitations {waiting:?}; the dead letters: {letters}");
            }
            tokio::time::sleep(deployment::LOOK_INTERVAL).await;
        }
        // The log before the mails: what is said to be mailed by then is among them.
        let history = History::of(&self.whole(serving, "/events").await);
        self.learn(serving).await;
        let memory = self.memory.borrow();
        for (stream, events) in &history.streams {
            let Some(person) = memory.people.iter().find(|person| *stream == format!("user#{}", person.id)) else {
                continue;
            };
            // What was erased has no mails any more.
            if history.standing(&person.id, None).is_deleted {
                continue;
            }
            for mailed in events.iter().filter(|event| event.type_name == "ApiKeyMailed") {
                let key = mailed.data["key_id"].as_str().expect("a key's id").to_owned();
                let mail = (person.address.clone(), key);
                assert!(memory.mails.contains(&mail), "{mail:?} is said to be mailed; there are {:?}", memory.mails);
            }
        }
    }
}

/// The invitations that are neither mailed nor given up.
fn unfulfilled(history: &History) -> Vec<String> {
    let mut waiting = Vec::new();
    for (stream, events) in &history.streams {
        let Some(person) = stream.strip_prefix("user#") else { continue };
        let ever = |type_name: &str| events.iter().any(|event| event.type_name == type_name);
        if history.standing(person, None).is_deleted
            || ever("UserDisabled")
            || ever("ApiKeyRevoked")
            || ever("ApiKeyRotated")
        {
            continue;
        }
        let invitation = |event: &crate::history::Event| event.data["invitation"].as_str().map(ToOwned::to_owned);
        let of = |types: &[&str]| -> Vec<String> {
            events.iter().filter(|event| types.contains(&event.type_name.as_str())).filter_map(invitation).collect()
        };
        let mailed = of(&["ApiKeyMailed", "MailFailed"]);
        waiting.extend(of(&["UserInvited", "InvitationResent"]).into_iter().filter(|wanted| !mailed.contains(wanted)));
    }
    waiting
}

/// Whether a key is admitted; none when that is just about to change.
fn works(key: &KeyFacts, owner: &Standing) -> Option<bool> {
    if key.is_revoked || owner.is_disabled || owner.is_deleted {
        return Some(false);
    }
    let Some(until) = key.valid_until else { return Some(true) };
    let left = until.duration_since(Timestamp::now());
    (left.abs() > SLACK).then_some(left.is_positive())
}

/// One command by itself.
fn check_request(request: &Request, commits: usize, history: &History) {
    let told = || format!("{} has {commits} commits", request.told());
    assert!(commits <= 1, "{}", told());
    let Some(answer) = &request.answer else { return };
    let known = answer.is_success() || [400, 404, 409, 412, 422, 429, 503].contains(&answer.status);
    assert!(known, "{}", told());
    if (400..500).contains(&answer.status) {
        assert_eq!(commits, 0, "{}", told());
    }
    if answer.is_success() && request.key.is_none() && request.always_commits() {
        assert_eq!(commits, 1, "{}", told());
    }
    if answer.is_success() {
        check_state(request, answer, history);
    }
}

/// What was answered of a person is what the log says of that version.
fn check_state(request: &Request, answer: &Answer, history: &History) {
    let body = &answer.body;
    let (Some(id), Some(version), Some(status)) =
        (body["id"].as_str(), body["version"].as_u64(), body["status"].as_str())
    else {
        return;
    };
    let standing = history.standing(id, Some(version));
    let expected = (standing.role.as_str(), standing.plan.as_str(), standing.is_disabled, standing.is_deleted);
    let told = (
        body["role"].as_str().unwrap_or_default(),
        body["plan"].as_str().unwrap_or_default(),
        status == "disabled",
        status == "deleted",
    );
    assert_eq!(told, expected, "{} is not what the log says of version {version}", request.told());
}

/// Commands by their `Idempotency-Key`: one request has it, happens once, and is answered the same however often.
fn check_keys_of_commands(memory: &Memory, commits: &impl Fn(&Request) -> usize, history: &History) {
    let mut uses: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in &memory.requests {
        if let Some(key) = &request.key {
            uses.entry(key).or_default().push(request);
        }
    }
    for (key, uses) in uses {
        let all = || uses.iter().map(|request| format!("\n  {}", request.told())).collect::<String>();
        let done: usize = uses.iter().map(|request| commits(request)).sum();
        assert!(done <= 1, "the key {key} of a command has led to {done} commits:{}", all());
        let mut answered: Vec<(&Request, &Answer)> =
            uses.iter().filter_map(|request| Some((*request, request.answer.as_ref()?))).collect();
        answered.sort_by_key(|(_, answer)| answer.at);
        for (refused, _) in answered.iter().filter(|(_, answer)| answer.is_reuse()) {
            let others = uses.iter().any(|other| other.target() != refused.target());
            assert!(others, "nobody else used the key {key}:{}", all());
        }
        let finals: Vec<_> = answered.into_iter().filter(|(_, answer)| answer.is_final()).collect();
        let Some((first, first_answer)) = finals.first() else { continue };
        for (request, answer) in &finals {
            assert_eq!(request.target(), first.target(), "the key {key} was taken for two requests:{}", all());
            let erased = erased_by(first_answer, history);
            let [first, again] = [first_answer, answer].map(|answer| answer.lasting(erased));
            assert_eq!(again, first, "a repeat of {key} is answered otherwise:{}", all());
        }
        let is_refused_itself = uses
            .iter()
            .any(|request| request.target() == first.target() && request.answer.as_ref().is_some_and(Answer::is_reuse));
        assert!(!is_refused_itself, "the request that has the key {key} was refused for it:{}", all());
        match first_answer.is_success() {
            true if first.always_commits() => {
                assert_eq!(done, 1, "{key}: what was answered is not in the log:{}", all())
            }
            true => {}
            false => assert_eq!(done, 0, "{key}: what was refused happened later:{}", all()),
        }
        check_shown_keys(memory, &finals, &all);
    }
}

/// Whether the person whom an answer is about was deleted, so that it may have less to say when it is given again.
fn erased_by(answer: &Answer, history: &History) -> bool {
    let ids = ["user", "id"].map(|field| answer.body[field].as_str());
    ids.into_iter().flatten().any(|id| history.standing(id, None).is_deleted)
}

/// The text of a key is shown again within an hour, and not once the key was revoked.
fn check_shown_keys(memory: &Memory, finals: &[(&Request, &Answer)], all: &impl Fn() -> String) {
    let Some((_, first)) = finals.first() else { return };
    let Some(id) = first.body["id"].as_str().filter(|_| first.body["last_four"].is_string()) else { return };
    let owner = first.body["user"].as_str().unwrap_or_default();
    let mut shown = BTreeSet::new();
    for (request, answer) in finals {
        let mut ends =
            memory.requests.iter().filter(|other| is_end_of(other, id)).filter_map(|other| other.answer.as_ref());
        let is_revoked_before = ends.any(|end| end.is_success() && end.at < request.sent_at);
        let may_have_ended = memory.requests.iter().any(|other| may_end(other, id, owner) && other.sent_at < answer.at);
        match answer.body["key"].as_str() {
            Some(key) => {
                assert!(!is_revoked_before, "a revoked key is shown:{}", all());
                assert_eq!(id_in(key), id, "another key is shown:{}", all());
                shown.insert(key.to_owned());
            }
            None => {
                let is_late = answer.at.duration_since(first.at) >= KEY_SHOWN_FOR;
                assert!(is_late || may_have_ended, "a retry does not get the key:{}", all());
            }
        }
    }
    assert!(shown.len() <= 1, "two texts of one key:{}", all());
}

/// Whether a command may be why a key does not work: it is about the key, or its owner was disabled or deleted.
fn may_end(request: &Request, key: &str, owner: &str) -> bool {
    let is_about_the_key = request.path.contains(key);
    is_about_the_key || ([Method::DELETE, Method::PATCH].contains(&request.method) && request.path.ends_with(owner))
}

/// Whether a command revokes this key.
fn is_end_of(request: &Request, key: &str) -> bool {
    request.method == Method::DELETE && request.path.ends_with(&format!("/keys/{key}"))
}

/// Each mail carries a key of whoever has the address.
fn check_mails(memory: &Memory, history: &History) {
    let keys = history.keys();
    for (address, key) in &memory.mails {
        let owner = &keys[key].owner;
        let person = memory.people.iter().find(|person| person.id == *owner);
        assert!(person.is_none_or(|person| person.address == *address), "{address} got the key {key} of {person:?}");
    }
}

/// What passed with each key, and what was refused.
fn check_readings(memory: &Memory, history: &History, grant_life: Duration) {
    let keys = history.keys();
    let mut passed: BTreeMap<(&str, i64), u64> = BTreeMap::new();
    for reading in &memory.readings {
        if ![200, 404].contains(&reading.status) {
            continue;
        }
        let owner = &keys[&reading.key].owner;
        let ended = memory.requests.iter().find(|request| {
            let is_of_the_person = request.method == Method::DELETE && request.path == format!("/users/{owner}");
            let answered = request.answer.as_ref().filter(|answer| answer.is_success());
            (is_of_the_person || is_end_of(request, &reading.key))
                && answered.is_some_and(|answer| answer.at + grant_life < reading.sent_at)
        });
        assert!(
            ended.is_none(),
            "{} was read with the key {} after {}",
            reading.path,
            reading.key,
            ended.unwrap().told()
        );
        // Over midnight it may have counted on either day.
        if reading.days.0 == reading.days.1 {
            *passed.entry((&reading.key, reading.days.0)).or_default() += reading.cost;
        }
    }
    for ((key, day), count) in passed {
        let quota = history.quota_max(&keys[key].owner);
        assert!(
            count <= quota,
            "{count} requests passed with the key {key} on day {day}; no plan ever allowed more than {quota}"
        );
    }
}
