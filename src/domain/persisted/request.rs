//! The request that a commit belongs to.

use serde::Deserialize;

use super::stored::{StoredCommit, StoredText};

/// Whether events of the commit carry this correlation id. Of other commits hardly any is parsed.
pub fn belongs_to(commit: &StoredCommit, correlation_id: &str) -> bool {
    #[derive(Deserialize)]
    struct OfRequest<'a> {
        #[serde(borrow)]
        correlation_id: StoredText<'a>,
    }
    // JSON escapes quotes, backslashes and control characters; ids with them are rare.
    let is_plain = correlation_id.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'/'));
    if is_plain && !commit.events.contains(correlation_id) {
        return false;
    }
    let events: Vec<OfRequest<'_>> = serde_json::from_str(&commit.events).unwrap_or_default();
    events.iter().any(|event| event.correlation_id.0 == correlation_id)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::id::{CommandId, StreamId};

    #[test]
    fn the_id_counts_and_not_that_it_occurs() {
        let commit = |events: &str| StoredCommit {
            stream: StreamId::Plan("p".to_owned()),
            version: 1,
            position: 1,
            command: CommandId::stored("c"),
            request_hash: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            events: events.to_owned(),
            marked: false,
            hash: None,
        };
        let of = commit(r#"[{"type":"X","correlation_id":"r-1","data":{"a":"r-2"}},{"correlation_id":"a\"b"}]"#);
        assert!(belongs_to(&of, "r-1") && belongs_to(&of, "a\"b"));
        assert!(!belongs_to(&of, "r-2") && !belongs_to(&of, "r-") && !belongs_to(&of, ""));
        assert!(!belongs_to(&commit("r-1"), "r-1"), "what cannot be read belongs to no request");
    }
}
