//! What one request led to: commits as a tree, by the event that caused each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::persisted::{self, CodecError, StoredCommit};

/// Types of events that tell of mails which came back.
const FEEDBACK: [&str; 2] = ["MailBounced", "MailComplained"];
/// The importer, which ends what a request began without knowing the request any more.
const IMPORTER: &str = "system:importer";
/// How deep the tree goes; what is deeper stands at this depth.
const DEPTH_MAX: usize = 32;

/// What became of an event's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageState {
    /// The commit is not published yet.
    Unpublished,
    /// It was published, and something is left to do: it waits, or is being worked on.
    Waiting,
    /// It was published; the log does not tell whether something is left to do.
    Published,
    /// Nothing is left to do.
    Done,
    /// It failed too often.
    Dead {
        /// The dead letter.
        letter: String,
        /// Why it failed the last time.
        reason: String,
    },
}

impl MessageState {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Unpublished => "unpublished",
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Done => "done",
            Self::Dead { .. } => "dead_letter",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Unpublished => "its message is not published yet: a running server does it".to_owned(),
            Self::Waiting => "its message was published, and waits in the queue or is being worked on".to_owned(),
            Self::Published => "its message was published".to_owned(),
            Self::Done => "its message is done with".to_owned(),
            Self::Dead { letter, reason } => format!(
                "its message failed too often: {reason}; `permitd dead-letters redrive {letter}` sends it again"
            ),
        }
    }

    fn document(&self) -> Value {
        match self {
            Self::Dead { letter, reason } => json!({ "state": self.as_str(), "dead_letter": letter, "reason": reason }),
            _ => json!({ "state": self.as_str() }),
        }
    }
}

/// A commit, and its events as documents.
#[derive(Debug, Clone)]
pub struct TracedCommit {
    /// The commit.
    pub commit: StoredCommit,
    documents: Vec<Value>,
    /// The event that caused it, if that is known.
    cause: Option<String>,
}

/// The commits of a request, each below the event that caused it.
#[derive(Debug)]
pub struct Trace {
    request: String,
    /// In the order of the tree, with their depths.
    commits: Vec<(usize, TracedCommit)>,
    messages: BTreeMap<String, MessageState>,
}

fn text<'d>(document: &'d Value, name: &str) -> &'d str {
    document.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn data<'d>(document: &'d Value, name: &str) -> &'d str {
    document.get("data").map(|data| text(data, name)).unwrap_or_default()
}

/// The part of a Message-ID that feedback about the mail repeats.
fn local_part(message_id: &str) -> &str {
    message_id.trim_start_matches('<').split('@').next().unwrap_or_default()
}

impl Trace {
    /// Whether a commit of another request may follow from one: feedback about a mail, or the end of an import.
    pub fn may_follow(commit: &StoredCommit) -> bool {
        FEEDBACK.iter().any(|name| commit.events.contains(name)) || commit.events.contains(IMPORTER)
    }

    /// Of commits in the order of the log those that belong to a request or follow from it.
    ///
    /// # Errors
    /// When a commit cannot be read.
    pub fn select(request: &str, commits: Vec<StoredCommit>) -> Result<Vec<TracedCommit>, CodecError> {
        let mut selected: Vec<TracedCommit> = Vec::new();
        let (mut events, mut mails, mut imports) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        for commit in commits {
            let documents = persisted::positioned(&commit)?;
            let first = documents.first().unwrap_or(&Value::Null);
            let caused_by = text(first, "causation_id").to_owned();
            let mail =
                FEEDBACK.contains(&text(first, "type")).then(|| mails.get(local_part(data(first, "message_id"))));
            let cause: Option<String> = mail.flatten().or_else(|| imports.get(&caused_by)).cloned();
            let cause = cause.or_else(|| (!caused_by.is_empty()).then_some(caused_by));
            let follows = cause.as_ref().is_some_and(|cause| events.contains(cause));
            if !follows && !persisted::belongs_to(&commit, request) {
                continue;
            }
            for document in &documents {
                let id = text(document, "id").to_owned();
                for (names, of) in
                    [(&mut mails, local_part(data(document, "message_id"))), (&mut imports, data(document, "import"))]
                {
                    if !of.is_empty() && !FEEDBACK.contains(&text(document, "type")) {
                        names.entry(of.to_owned()).or_insert_with(|| id.clone());
                    }
                }
                events.insert(id);
            }
            selected.push(TracedCommit { commit, documents, cause });
        }
        Ok(selected)
    }

    /// The tree of such commits; `message` tells what became of an event's message.
    pub fn of(request: &str, commits: Vec<TracedCommit>, message: impl Fn(Uuid) -> Option<MessageState>) -> Self {
        let owner: BTreeMap<String, usize> = commits
            .iter()
            .enumerate()
            .flat_map(|(nth, traced)| traced.documents.iter().map(move |event| (text(event, "id").to_owned(), nth)))
            .collect();
        let parent = |nth: usize| -> Option<usize> {
            let cause = commits.get(nth)?.cause.as_ref()?;
            owner.get(cause).copied().filter(|parent| *parent != nth)
        };
        let (mut children, mut roots): (BTreeMap<usize, Vec<usize>>, Vec<usize>) = (BTreeMap::new(), Vec::new());
        for nth in 0..commits.len() {
            match parent(nth) {
                Some(parent) => children.entry(parent).or_default().push(nth),
                None => roots.push(nth),
            }
        }
        let (mut order, mut placed) = (Vec::new(), BTreeSet::new());
        // Commits that cause each other in a circle, which no permitd writes, stand at the end.
        for root in roots.into_iter().chain(0..commits.len()) {
            let mut next = vec![(0, root)];
            while let Some((depth, nth)) = next.pop() {
                if !placed.insert(nth) {
                    continue;
                }
                order.push((depth, nth));
                let below = children.get(&nth).into_iter().flatten().rev();
                next.extend(below.map(|child| ((depth + 1).min(DEPTH_MAX), *child)));
            }
        }
        let messages = owner.keys().filter_map(|id| {
            let state = message(Uuid::parse_str(id).ok()?)?;
            Some((id.clone(), state))
        });
        let messages = messages.collect();
        let mut commits: Vec<Option<TracedCommit>> = commits.into_iter().map(Some).collect();
        let taken = |(depth, nth): (usize, usize)| Some((depth, commits.get_mut(nth)?.take()?));
        Self { request: request.to_owned(), commits: order.into_iter().filter_map(taken).collect(), messages }
    }

    /// The tree in words; `shown` writes a moment.
    pub fn told(&self, shown: impl Fn(Timestamp) -> String) -> String {
        let mails = self.events().filter(|event| is_mail(text(event, "type"))).count();
        let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let (commits, mails) = (count(self.commits.len(), "commit"), count(mails, "mail"));
        let mut told = format!("request {} led to {commits} and {mails}\n", self.request);
        for (depth, TracedCommit { commit, documents, .. }) in &self.commits {
            let indent = "    ".repeat(*depth);
            let actor = documents.first().map(|event| text(event, "actor")).unwrap_or_default();
            told.push_str(&format!(
                "{indent}{}  {} version {}, position {}, by {actor}\n",
                shown(commit.recorded_at),
                commit.stream,
                commit.version,
                commit.position,
            ));
            for event in documents {
                told.push_str(&format!("{indent}  {}{}\n", text(event, "type"), told_of(event)));
                if let Some(state) = self.messages.get(text(event, "id")) {
                    told.push_str(&format!("{indent}    {}\n", state.words()));
                }
            }
        }
        told
    }

    /// The commits in the order of the tree, each with its depth, its cause and its events.
    pub fn documents(&self) -> Vec<Value> {
        let document = |(depth, TracedCommit { commit, documents, cause }): &(usize, TracedCommit)| {
            let with_message = |event: &Value| {
                let mut event = event.clone();
                let state = self.messages.get(text(&event, "id")).map(MessageState::document);
                if let Some(fields) = event.as_object_mut() {
                    fields.insert("message".to_owned(), state.unwrap_or(Value::Null));
                }
                event
            };
            json!({
                "depth": depth,
                "caused_by": cause,
                "stream": commit.stream.to_string(),
                "version": commit.version,
                "position": documents.first().and_then(|event| event.get("position")),
                "recorded_at": commit.recorded_at,
                "events": documents.iter().map(with_message).collect::<Vec<_>>(),
            })
        };
        self.commits.iter().map(document).collect()
    }

    fn events(&self) -> impl Iterator<Item = &Value> {
        self.commits.iter().flat_map(|(_, traced)| &traced.documents)
    }
}

/// Whether an event tells that a mail was handed over.
fn is_mail(type_name: &str) -> bool {
    ["ApiKeyMailed", "LinkMailed", "NoticeMailed", "LeakNoticeMailed"].contains(&type_name)
}

/// What an event says of a mail, a key or an import, for people.
fn told_of(event: &Value) -> String {
    let (name, class) = (text(event, "type"), data(event, "class"));
    let with = |name: &str, words: &str| match data(event, name) {
        "" => String::new(),
        value => format!("{words}{value}"),
    };
    match name {
        "LeakNoticeMailed" if !data(event, "refused").is_empty() => {
            format!(": the mail system refused the mail: {}", data(event, "refused"))
        }
        name if is_mail(name) => format!(": a mail was handed to the mail system{}", with("message_id", ", as ")),
        "MailFailed" | "NoticeFailed" => format!(": the mail system refused the mail: {class}"),
        "MailBounced" => format!(": the mail came back: {class}"),
        "MailComplained" => format!(": its recipient complained about the mail: {class}"),
        _ => [with("key_id", ": key "), with("import", ": import ")].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{CommandId, StreamId};

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn commit(
        position: u64,
        event: u128,
        type_name: &str,
        of: (&str, Option<Uuid>, &str),
        data: Value,
    ) -> StoredCommit {
        let (request, cause, actor) = of;
        let event = json!({
            "id": id(event), "type": type_name, "schema_version": 1, "actor": actor, "correlation_id": request,
            "causation_id": cause, "data": data,
        });
        StoredCommit {
            stream: StreamId::Plan("p".to_owned()),
            version: position,
            position,
            command: CommandId::stored("c"),
            request_hash: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            events: json!([event]).to_string(),
            marked: false,
            hash: None,
        }
    }

    fn traced(commits: Vec<StoredCommit>) -> Vec<(usize, u64)> {
        let selected = Trace::select("r", commits).unwrap();
        let trace = Trace::of("r", selected, |_| None);
        trace.commits.iter().map(|(depth, traced)| (*depth, traced.commit.position)).collect()
    }

    #[test]
    fn each_commit_stands_below_what_caused_it() {
        let mailed = json!({ "message_id": "<m.1@example.org>" });
        let commits = vec![
            commit(1, 1, "UserInvited", ("r", None, "token:a"), json!({})),
            commit(2, 2, "UserInvited", ("other", None, "token:a"), json!({})),
            commit(3, 3, "ApiKeyIssued", ("r", Some(id(1)), "system:mailer"), json!({})),
            commit(4, 4, "ApiKeyMailed", ("r", Some(id(1)), "system:mailer"), mailed),
            commit(5, 5, "ApiKeyMailed", ("other", Some(id(2)), "system:mailer"), json!({ "message_id": "<m.2@x>" })),
            commit(6, 6, "MailBounced", ("f", None, "system:ses"), json!({ "message_id": "m.1", "class": "gone" })),
            commit(7, 7, "MailBounced", ("f", None, "system:ses"), json!({ "message_id": "m.2", "class": "gone" })),
            commit(8, 8, "PlanDefined", ("r", None, "token:a"), json!({})),
        ];
        assert_eq!(traced(commits), [(0, 1), (1, 3), (1, 4), (2, 6), (0, 8)]);
    }

    #[test]
    fn an_import_that_ended_after_a_crash_is_told_with_the_request_that_began_it() {
        let import = id(90);
        let of = |position, event, name: &str, of| commit(position, event, name, of, json!({ "import": import }));
        let commits = vec![
            of(1, 1, "ImportStarted", ("r", None, "token:a")),
            of(2, 2, "ImportFailed", (&import.to_string(), Some(import), "system:importer")),
            of(3, 3, "ImportFailed", ("x", Some(id(91)), "system:importer")),
        ];
        assert_eq!(traced(commits), [(0, 1), (1, 2)]);
    }

    #[test]
    fn a_circle_is_told_once() {
        let commits = vec![
            commit(1, 1, "A", ("r", Some(id(2)), "a"), json!({})),
            commit(2, 2, "B", ("r", Some(id(1)), "a"), json!({})),
            commit(3, 3, "C", ("r", Some(id(3)), "a"), json!({})),
        ];
        assert_eq!(traced(commits), [(0, 3), (0, 1), (1, 2)]);
    }

    #[test]
    fn what_became_of_a_message_is_told_with_its_event() {
        let selected = Trace::select("r", vec![commit(1, 1, "UserInvited", ("r", None, "a"), json!({}))]).unwrap();
        let dead = MessageState::Dead { letter: "7".to_owned(), reason: "no room".to_owned() };
        let trace = Trace::of("r", selected, |event| (event == id(1)).then(|| dead.clone()));
        let told = trace.told(|at| at.to_string());
        assert!(told.starts_with("request r led to 1 commit and 0 mails\n"), "{told}");
        assert!(told.contains("no room; `permitd dead-letters redrive 7`"), "{told}");
        assert_eq!(trace.documents()[0]["events"][0]["message"]["state"], "dead_letter");
    }
}
