//! `permitd events trace`: what one request led to.
//!
//! Guarantees: changes nothing. It looks at dead letters, and receives no message.

use std::collections::BTreeMap;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::Node,
    cli::{
        CommandAnswer, Failure,
        number::whole,
        output::{counted, moment},
    },
    domain::{
        fulfilment::{self, Duty, FulfilmentStep, MailContents},
        id::StreamId,
        persisted::{self, StoredCommit},
        trace::{MessageState, Trace, TracedCommit},
        view::State,
    },
    queue::Message,
};

/// Commits that are read at once.
const PAGE_COMMITS: usize = 512;
/// Commits of one request that are shown at most.
const COMMITS_MAX: usize = 10_000;
/// Commits of other requests that are looked at at most, since they may follow from this one.
const CANDIDATES_MAX: usize = 50_000;
/// Dead letters that are looked at.
const DEAD_LETTERS_MAX: usize = 1_000;
/// How far the clocks of two servers may be apart, and how far one may have been set back.
const SLACK: SignedDuration = SignedDuration::from_mins(10);
const DAY_H: i64 = 24;

/// Tell what one request led to: commit by commit, message by message, mail by mail
///
/// Reads the log back to the moment of the request, which its id has in it if the server made it; else as many days as --days says.
/// What bounced, or was complained about, and what became of a file that was sent to be imported, are told with it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events trace 019ace3e-6c7a-7000-8000-000000000000
  permitd events trace cli-019ace3e-6c7a-7000-8000-000000000000 --json
  permitd events trace 0d5c2f5e-93b0-4b3a-9f57-7a3c1b1f8a52 --days 90
  permitd events trace 0d5c2f5e-93b0-4b3a-9f57-7a3c1b1f8a52 --since 2026-03-01T12:00:00Z")]
pub(super) struct TraceArgs {
    /// The request's id: x-request-id of its answer, request_id in the log lines, correlation_id of its events
    #[arg(value_name = "REQUEST_ID")]
    request: String,
    /// Look at the log from this moment on
    #[arg(long, value_name = "TIME", conflicts_with = "days")]
    since: Option<Timestamp>,
    /// Look at the log of so many days, where the id does not tell its moment
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = whole(1..=36_500_u32))]
    days: u32,
}

/// The part of the log that was looked through.
#[derive(Default)]
struct LookedThrough {
    commits: u64,
    candidates: usize,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl TraceArgs {
    pub(super) async fn answer(self, node: &Node) -> Result<CommandAnswer, Failure> {
        let since = self.begins(node.service.committer.clock.now());
        let (commits, looked) = self.find(node, since).await?;
        let mut told = looked_at(&looked, since);
        if commits.is_empty() {
            return Err(Failure::not_found(format!(
                "nothing in the log belongs to request {}: {told}; --since looks further back. A request that only read leaves nothing \
                 there, nor does one that was refused",
                self.request
            )));
        }
        let states = states(node, &commits).await?;
        let trace = Trace::of(&self.request, commits, |event| states.get(&event).cloned());
        let mut text = trace.told(|at| moment(Some(at)));
        told.push('\n');
        text.push_str(&told);
        let document = json!({
            "request": self.request,
            "commits": trace.documents(),
            "looked_through": {
                "since": since, "commits": looked.commits, "from": looked.from, "until": looked.until,
            },
        });
        Ok(CommandAnswer::new(document, text))
    }

    /// The moment from which the log is looked at.
    fn begins(&self, now: Timestamp) -> Timestamp {
        let back = |from: Timestamp, time| from.checked_sub(time).unwrap_or(Timestamp::MIN);
        let days = SignedDuration::from_hours(DAY_H.saturating_mul(self.days.into()));
        self.since.or_else(|| made_at(&self.request).map(|at| back(at, SLACK))).unwrap_or_else(|| back(now, days))
    }

    /// The commits of the request and what follows from them, the oldest first.
    async fn find(&self, node: &Node, since: Timestamp) -> Result<(Vec<TracedCommit>, LookedThrough), Failure> {
        let log = &node.service.committer.stores.log;
        let oldest = since.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        let (mut found, mut looked, mut before) = (Vec::new(), LookedThrough::default(), None);
        loop {
            let commits = log.read_back(before, PAGE_COMMITS).await?;
            let is_end = commits.len() < PAGE_COMMITS;
            before = commits.last().map(|commit| commit.position);
            // Clocks may have been set back: only a whole page of older commits ends it.
            let is_past = commits.iter().all(|commit| commit.recorded_at < oldest);
            for commit in commits.into_iter().filter(|commit| commit.recorded_at >= since) {
                looked.commits += 1;
                looked.until = looked.until.max(Some(commit.recorded_at));
                looked.from = Some(looked.from.map_or(commit.recorded_at, |from| from.min(commit.recorded_at)));
                if persisted::belongs_to(&commit, &self.request) {
                    found.push(commit);
                } else if Trace::may_follow(&commit) {
                    looked.candidates += 1;
                    if looked.candidates > CANDIDATES_MAX {
                        return Err(Failure::usage(format!(
                            "more than {CANDIDATES_MAX} commits since {} tell of mails that came back and of imports that ended: look at \
                             less of the log with --since or --days",
                            moment(Some(since))
                        )));
                    }
                    found.push(commit);
                }
            }
            if is_end || is_past {
                break;
            }
        }
        found.reverse();
        let found = Trace::select(&self.request, found)?;
        if found.len() > COMMITS_MAX {
            let count = counted(u64::try_from(found.len()).unwrap_or(u64::MAX), "commit");
            return Err(Failure::usage(format!(
                "{count} belong to this request, more than are told at once ({COMMITS_MAX}): `permitd events tail --correlation` lists them"
            )));
        }
        Ok((found, looked))
    }
}

/// The moment in an id that a server or a command made.
fn made_at(request: &str) -> Option<Timestamp> {
    let id = Uuid::parse_str(request.strip_prefix("cli-").unwrap_or(request)).ok()?;
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

fn looked_at(looked: &LookedThrough, since: Timestamp) -> String {
    let commits = counted(looked.commits, "commit");
    match (looked.from, looked.until) {
        (Some(from), Some(until)) => {
            let (from, until) = (moment(Some(from)), moment(Some(until)));
            format!("looked through {commits} from {from} to {until}, all since {}", moment(Some(since)))
        }
        _ => format!("looked through {commits}: there are none since {}", moment(Some(since))),
    }
}

/// What became of the message of each event that has one.
async fn states(node: &Node, commits: &[TracedCommit]) -> Result<BTreeMap<Uuid, MessageState>, Failure> {
    let mut states = BTreeMap::new();
    let mut waiting = Vec::new();
    for TracedCommit { commit, .. } in commits {
        for (event, duty) in duties(commit)? {
            let state = match commit.marked {
                true => MessageState::Unpublished,
                false => state_of(node, &commit.stream, duty).await?,
            };
            if matches!(state, MessageState::Waiting | MessageState::Published) {
                waiting.push(event);
            }
            states.insert(event, state);
        }
    }
    if waiting.is_empty() {
        return Ok(states);
    }
    let letters = node.service.committer.queue.dead_letters(DEAD_LETTERS_MAX).await?;
    for letter in letters {
        if let Ok(Message::V1(message)) = serde_json::from_str(&letter.body)
            && waiting.contains(&message.event)
        {
            states.insert(message.event, MessageState::Dead { letter: letter.id, reason: letter.reason });
        }
    }
    Ok(states)
}

/// The events of a commit that have a message, and what it asks for.
fn duties(commit: &StoredCommit) -> Result<Vec<(Uuid, Duty)>, Failure> {
    // Personal data stays sealed: no duty depends on it.
    let events = persisted::decode(commit, None)?;
    Ok(events.iter().filter_map(|recorded| Some((recorded.id, fulfilment::duty(recorded)?))).collect())
}

/// What became of a message that was published, as the person's stream has it.
async fn state_of(node: &Node, stream: &StreamId, duty: Duty) -> Result<MessageState, Failure> {
    let State::User(user) = node.service.committer.load(stream, None).await?.state else {
        return Ok(MessageState::Published);
    };
    // What a mail carries decides how, and not whether, something is left to do.
    let contents = MailContents { key: true, sign_in: false };
    Ok(match fulfilment::next_step(user.as_ref(), duty, contents) {
        FulfilmentStep::Acknowledge => MessageState::Done,
        // Whom to tell is decided when it is told.
        FulfilmentStep::TellOfLeak(_) => MessageState::Published,
        _ => MessageState::Waiting,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_ours_tells_its_moment() {
        let at = Timestamp::from_millisecond(0x019a_ce3e_6c7a).unwrap();
        assert_eq!(made_at("019ace3e-6c7a-7000-8000-000000000000"), Some(at));
        assert_eq!(made_at("cli-019ace3e-6c7a-7000-8000-000000000000"), Some(at));
        assert_eq!(made_at("0d5c2f5e-93b0-4b3a-9f57-7a3c1b1f8a52"), None, "a random one");
        assert_eq!(made_at("order 7"), None);
    }
}
