//! Events as they are shown.

use serde_json::Value;

use crate::{
    domain::persisted::{self, StoredCommit},
    http::Problem,
};

/// The events of commits, as they are shown.
pub(in crate::http::routes) fn documents(
    commits: &[StoredCommit],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Value>, Problem> {
    let mut events: Vec<Value> = Vec::new();
    for commit in commits {
        events.extend(persisted::positioned(commit).map_err(Problem::internal)?);
    }
    events.retain(|event| event.get("type").and_then(Value::as_str).is_some_and(&wanted));
    Ok(events)
}
