//! Who began an import, by the log.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domain::{
        id::{StreamId, UserId, Who},
        permission::{AccessKind, Permission, Permissions},
        view::ImportRow,
    },
    http::{
        Problem,
        pages::visit::{KnownVisitor, Visit, Visitor},
        store_problem::store_problem,
    },
};

/// Commits of a data set's log that are searched for the beginnings of its imports.
const COMMITS_MAX: usize = 500;
/// Commits between an import's first and last event, about.
const COMMITS_BEFORE: u64 = 10;

/// Finds who began each of these imports, in words, within the searched part of the log.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn of<W: Visitor>(visit: &Visit<W>, imports: &[ImportRow]) -> Result<HashMap<Uuid, Value>, Problem> {
    let log = &visit.service.committer.stores.log;
    let mut from: BTreeMap<&str, u64> = BTreeMap::new();
    for import in imports {
        let first = from.entry(&import.dataset).or_insert(import.version);
        *first = (*first).min(import.version);
    }
    let mut began = HashMap::new();
    for (dataset, version) in from {
        let stream = StreamId::DataSet(dataset.to_owned());
        let commits = log.load(&stream, version.saturating_sub(COMMITS_BEFORE), COMMITS_MAX).await;
        for commit in commits.map_err(store_problem)? {
            for event in crate::domain::persisted::positioned(&commit).map_err(Problem::internal)? {
                let import = event.pointer("/data/import").and_then(Value::as_str).and_then(|id| id.parse().ok());
                let is_start = event.get("type").and_then(Value::as_str) == Some("ImportStarted");
                let who = event.get("who").and_then(Value::as_str).map(ToOwned::to_owned);
                if let (true, Some(import), Some(who)) = (is_start, import, who) {
                    began.insert(import, Who(who));
                }
            }
        }
    }
    let mut told: HashMap<String, Value> = HashMap::new();
    let mut all = HashMap::new();
    for (import, who) in began.into_iter().filter(|(id, _)| imports.iter().any(|import| import.id == *id)) {
        let shown = match told.get(&who.0) {
            Some(shown) => shown.clone(),
            None => {
                let shown = self::told(visit, &who).await?;
                told.insert(who.0.clone(), shown.clone());
                shown
            }
        };
        all.insert(import, shown);
    }
    Ok(all)
}

/// Describes an actor: `kind` is one of `you`, `person`, `token`, `server`, `command`; `name` is set for a person whom the visitor may see.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn told<W: Visitor>(visit: &Visit<W>, who: &Who) -> Result<Value, Problem> {
    let own = match visit.known() {
        Some(KnownVisitor::Person(person)) => Some(Who::user(person.user.id)),
        Some(KnownVisitor::Token(caller)) => Some(caller.who.clone()),
        None => None,
    };
    let kind = match who.0.split_once(':').map(|(kind, _)| kind) {
        _ if own.as_ref() == Some(who) => "you",
        Some("user") => "person",
        Some("admin") => "token",
        _ if who.is_system() => "server",
        _ => "command",
    };
    let sees_people = visit.permissions().may(Permissions::of(&[Permission::People]), AccessKind::Read);
    let id = who.0.strip_prefix("user:").filter(|_| sees_people).and_then(|id| UserId::parse(id).ok());
    let name = match id {
        Some(id) => {
            let user = visit.service.committer.stores.views.user(id).await.map_err(store_problem)?;
            user.and_then(|user| user.name.or(user.email))
        }
        None => None,
    };
    Ok(json!({ "kind": kind, "name": name }))
}
