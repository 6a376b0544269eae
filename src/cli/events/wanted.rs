//! Which events are wanted.

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{Failure, people},
    domain::{
        id::StreamId,
        persisted::{self, StoredCommit},
    },
    store::Stores,
};

/// Which events are wanted.
#[derive(Debug, Args)]
pub(super) struct EventsWanted {
    /// Only of this type, such as ApiKeyIssued; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only of this user's stream: their address or id
    #[arg(long, value_name = "EMAIL", conflicts_with = "stream")]
    user: Option<String>,
    /// Only of this stream: user#<id>, plan#<name> or dataset#<name>
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only of this request: its id, as the answer's x-request-id has it
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
}

impl EventsWanted {
    /// Looks up who and what is named.
    pub(super) async fn find(&self, stores: &Stores) -> Result<FoundEvents, Failure> {
        self.types.iter().try_for_each(|name| known_type(name))?;
        let stream = match (&self.stream, &self.user) {
            (Some(stream), _) => {
                Some(StreamId::parse(stream).map_err(|error| Failure::usage(format!("--stream: {error}")))?)
            }
            (None, Some(user)) => Some(StreamId::User(people::find(&*stores.views, user).await?.id)),
            (None, None) => None,
        };
        Ok(FoundEvents { types: self.types.clone(), stream, correlation: self.correlation.clone() })
    }
}

/// The same, with the stream of whoever was named.
pub(super) struct FoundEvents {
    types: Vec<String>,
    stream: Option<StreamId>,
    correlation: Option<String>,
}

impl FoundEvents {
    /// The wanted events of a commit.
    pub(super) fn documents(&self, commit: &StoredCommit) -> Result<Vec<Value>, Failure> {
        if self.stream.as_ref().is_some_and(|stream| *stream != commit.stream) {
            return Ok(Vec::new());
        }
        let mut documents = persisted::positioned(commit)?;
        documents.retain(|event| {
            let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            (self.types.is_empty() || self.types.iter().any(|name| name == text("type")))
                && self.correlation.as_ref().is_none_or(|id| id == text("correlation_id"))
        });
        Ok(documents)
    }
}

/// Refuses a name that no type of event has.
pub(super) fn known_type(name: &str) -> Result<(), Failure> {
    if persisted::is_type(name) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--type: there is no event type {name:?}; there are: {}",
        persisted::types().join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types() {
        assert!(known_type("UserInvited").is_ok());
        assert!(known_type("userinvited").unwrap_err().message.contains("ApiKeyRevoked"));
    }
}
