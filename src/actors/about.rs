//! Collects everything stored about a person in one document: for them, and for an administrator whom they ask.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    commit::{CommandError, Committer},
    mailer::Mailers,
};
use crate::{
    domain::{
        event::Role,
        id::{StreamId, UserId, Who},
        persisted,
        personal::PersonalKey,
    },
    queue::EventMessage,
    store::StoreError,
};

/// Commits that are read at a time.
const PAGE_COMMITS: usize = 256;
/// Imports whose data sets are searched for the person's actions.
const IMPORTS_MAX: usize = 10_000;
/// The newest commits of the log, in which the person's actions on other people are searched for.
const LOOKED_THROUGH_MAX: usize = 20_000;
/// Dead letters that are searched for those about the person.
const LETTERS_MAX: usize = 1000;

/// Includes the person's row, keys and sessions with their uses, usage, dead letters, stored mails, and all events about them with personal
/// data opened; and their own actions: on data sets, plans and tokens, and recent ones on other people, without these people's data.
/// Credentials, such as the password's hash, are named but not shown. `None` when there is no such person.
///
/// # Errors
/// When the store, the queue or the outbox does not answer, or holds something unreadable.
pub async fn everything(committer: &Committer, mailers: &Mailers, user: UserId) -> Result<Option<Value>, CommandError> {
    let stores = &committer.stores;
    let Some(row) = stores.views.user(user).await? else { return Ok(None) };
    let row = row.at(committer.clock.now());
    let key = stores.log.personal_key(user).await?;
    let events = documents(committer, &StreamId::User(user), key.as_ref()).await?;
    let had_permissions = row.role != Role::Reader || events.iter().any(|event| event["type"] == "RoleChanged");
    let done = if had_permissions { done_by(committer, user).await? } else { Vec::new() };
    let mails = match committer.load_user(user).await? {
        Some(person) => mailers.kept(&person).await.map_err(|error| StoreError::Unavailable(error.to_string()))?,
        None => Vec::new(),
    };
    let counts = stores.ledger.counts(user, 0).await?;
    let counts = counts.iter().map(|count| {
        json!({
            "day": count.day, "key": count.key, "dataset": count.dataset, "status": count.status,
            "requests": count.requests, "used": count.counted,
        })
    });
    Ok(Some(json!({
        "exported_at": committer.clock.now(),
        "user": row,
        "keys": stores.used_keys(user).await?,
        "sessions": stores.used_sessions(user).await?,
        "usage": stores.ledger.usage(user, 0).await?,
        "requests": counts.collect::<Vec<_>>(),
        "dead_letters": dead_letters(committer, user).await?,
        "mails": mails,
        "events": events,
        "done": done,
    })))
}

/// All events of a stream as documents.
async fn documents(
    committer: &Committer,
    stream: &StreamId,
    key: Option<&PersonalKey>,
) -> Result<Vec<Value>, CommandError> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let commits = committer.stores.log.load(stream, after, PAGE_COMMITS).await?;
        for commit in &commits {
            events.extend(persisted::opened_documents(commit, key)?);
            after = commit.version;
        }
        if commits.len() < PAGE_COMMITS {
            return Ok(events);
        }
    }
}

/// The events of data sets, plans and tokens that the person caused.
async fn done_by(committer: &Committer, user: UserId) -> Result<Vec<Value>, CommandError> {
    let views = &committer.stores.views;
    let data_sets: BTreeSet<String> =
        views.imports(None, IMPORTS_MAX).await?.into_iter().map(|import| import.dataset).collect();
    let plans = views.plans().await?.into_iter().map(|plan| StreamId::Plan(plan.name));
    let streams = data_sets.into_iter().map(StreamId::DataSet).chain(plans).chain([StreamId::AdminTokens]);
    let who = json!(Who::user(user));
    let mut done = Vec::new();
    for stream in streams {
        let events = documents(committer, &stream, None).await?;
        done.extend(events.into_iter().filter(|event| event["actor"] == who));
    }
    done.extend(done_to_people(committer, user).await?);
    Ok(done)
}

/// The person's actions on other people in the newest commits of the log, without these people's data.
async fn done_to_people(committer: &Committer, user: UserId) -> Result<Vec<Value>, CommandError> {
    let (who, mentioned) = (json!(Who::user(user)), user.to_string());
    let (mut done, mut before, mut looked) = (Vec::new(), None, 0);
    while looked < LOOKED_THROUGH_MAX {
        let commits = committer.stores.log.read_back(before, PAGE_COMMITS).await?;
        let is_of_another = |stream: &StreamId| matches!(stream, StreamId::User(other) if *other != user);
        for commit in
            commits.iter().filter(|commit| is_of_another(&commit.stream) && commit.events.contains(&mentioned))
        {
            let events = persisted::documents(commit)?.into_iter().filter(|event| event["actor"] == who);
            done.extend(events.map(|mut event| {
                event.as_object_mut().and_then(|event| event.insert("data".to_owned(), json!({})));
                event
            }));
        }
        looked += commits.len();
        before = commits.last().map(|commit| commit.position);
        if commits.len() < PAGE_COMMITS {
            break;
        }
    }
    Ok(done)
}

/// The dead letters about the person.
async fn dead_letters(committer: &Committer, user: UserId) -> Result<Vec<Value>, CommandError> {
    let letters = committer.queue.dead_letters(LETTERS_MAX).await;
    let letters = letters.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let stream = StreamId::User(user).to_string();
    let shown = letters.into_iter().filter_map(|letter| {
        let message: EventMessage = serde_json::from_str(&letter.body).ok()?;
        (message.stream == stream).then(|| {
            json!({
                "id": letter.id, "type": message.type_name, "reason": letter.reason, "sent_at": letter.sent_at,
                "died_at": letter.died_at,
            })
        })
    });
    Ok(shown.collect())
}
