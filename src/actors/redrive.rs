//! Redrives and discards dead letters as a client's command: once for each `Idempotency-Key`, although the queue does not know commands.
//!
//! Guarantees: the intention is recorded before the letter is sent, and the result before the answer. A retry after a crash in between
//! examines the letter: one that is gone, or has died again since, was sent.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    answers::Answered,
    commit::{CommandError, Committer, Envelope},
};
use crate::{
    failpoint::crash_point,
    queue::{
        QueueError,
        letters::{LetterAct, LetterFilter},
    },
    store::AnswerPlace,
};

/// How long an earlier try may be at work before it counts as dead.
const AT_WORK: SignedDuration = SignedDuration::from_secs(60);
/// Letters that are searched for one that has died again.
const LETTERS_MAX: usize = 1000;
/// How often the end of another try is waited for, and the interval.
const LOOKS_MAX: u32 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Why a dead letter was not redriven.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// The queue failed, or the letter does not exist.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The idempotency key was used before, or the store of answers failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The most dead letters that one command redrives or discards.
pub const SETTLED_MAX: u64 = 10_000;
/// Dead letters that are read at a time: as many as SQS shows, since each look goes through all of them.
const BATCH_LETTERS: usize = 1_000;
/// The counts of a kept answer. An earlier permitd kept how many were redriven, alone.
const SETTLED: &str = "settled";
const LEFT: &str = "left";
const REDRIVEN: &str = "redriven";

/// What became of the dead letters that a command was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledLetters {
    /// How many were redriven or discarded.
    pub settled: u64,
    /// How many of them are left, as far as was looked.
    pub left: u64,
}

/// The outcome of an earlier try.
enum FirstRedrive {
    /// There was none: this try begins.
    None,
    /// It began then, and is at work or dead.
    Begun { since: Timestamp, at_work: bool, kept: String },
    /// It was answered.
    Ended(Result<(), RedriveError>),
}

impl Committer {
    /// Redrives a dead letter. A repeated command does so once, and gets the first answer.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetter`], which is stored as an answer; [`CommandError::Contended`] while another try of the same command is at
    /// work; when the queue or the store does not answer.
    pub async fn redrive(&self, id: &str, envelope: &Envelope) -> Result<(), RedriveError> {
        if envelope.request_hash.is_none() {
            return Ok(self.queue.redrive(id).await?);
        }
        for _ in 0..LOOKS_MAX {
            let (died, kept) = match self.first_redrive(id, envelope).await? {
                FirstRedrive::Ended(answer) => return answer,
                FirstRedrive::Begun { since, at_work: true, .. } if self.is_recent(since) => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                }
                FirstRedrive::Begun { since, kept, .. } => (Some(since), Some(kept)),
                FirstRedrive::None => (None, None),
            };
            let since = self.clock.now();
            let redriving = Answered::Redriving { since, at_work: true };
            if !self.keep_answer(envelope, &redriving, kept).await? {
                continue;
            }
            let sent = self.redrive_once(id, died).await;
            let answered = match &sent {
                Ok(()) => Answered::Redriven,
                Err(QueueError::NoDeadLetter(_)) => Answered::NoDeadLetter,
                // It is unknown whether the letter was sent: the next try finds out, and need not wait.
                Err(_) => Answered::Redriving { since: died.unwrap_or(since), at_work: false },
            };
            let redriving = redriving.write().map_err(CommandError::from)?;
            self.keep_answer(envelope, &answered, Some(redriving)).await?;
            return Ok(sent?);
        }
        Err(CommandError::Contended.into())
    }

    /// Redrives or discards the present dead letters that the filter takes, at most [`SETTLED_MAX`]; returns how many, and how many are
    /// left. A repeated command does so once; after a crash in between, another try does the rest.
    ///
    /// # Errors
    /// When the queue or the store does not answer: then a part was done.
    pub async fn settle_dead(
        &self,
        act: LetterAct,
        wanted: &LetterFilter,
        envelope: &Envelope,
    ) -> Result<SettledLetters, RedriveError> {
        if let Some(counts) = self.begin_many(envelope).await? {
            let of = |name: &str| counts.get(name).copied().unwrap_or(0);
            return Ok(SettledLetters { settled: of(SETTLED) + of(REDRIVEN), left: of(LEFT) });
        }
        let begun = self.clock.now();
        // Letters that died after the beginning are left out, or they would be sent endlessly.
        let wanted = LetterFilter {
            died_until: Some(wanted.died_until.map_or(begun, |until| until.min(begun))),
            ..wanted.clone()
        };
        let mut settled = 0;
        let left = loop {
            let found = self.queue.find_dead(&wanted, BATCH_LETTERS).await?;
            let ids: Vec<String> = found.letters.into_iter().map(|letter| letter.id).collect();
            if ids.is_empty() || settled >= SETTLED_MAX {
                break found.matching;
            }
            let done = self.queue.settle_dead(act, &ids).await?;
            crash_point("letters-settled");
            // None: somebody else was faster, or somebody looks at them.
            if done.is_empty() {
                break found.matching;
            }
            settled += u64::try_from(done.len()).unwrap_or(0);
        };
        let counts = [(SETTLED, settled), (LEFT, left)].map(|(name, count)| (name.to_owned(), count));
        self.end_many(envelope, BTreeMap::from(counts)).await?;
        Ok(SettledLetters { settled, left })
    }

    async fn first_redrive(&self, id: &str, envelope: &Envelope) -> Result<FirstRedrive, RedriveError> {
        let kept = match self.find_answer(envelope).await? {
            None => return Ok(FirstRedrive::None),
            // Requests of this kind have no commit.
            Some(AnswerPlace::Commit(_)) => return Err(CommandError::KeyReused.into()),
            Some(AnswerPlace::Text(kept)) => kept,
        };
        Ok(match Answered::read(&kept).map_err(CommandError::from)? {
            Answered::Redriving { since, at_work } => FirstRedrive::Begun { since, at_work, kept },
            Answered::Redriven => FirstRedrive::Ended(Ok(())),
            Answered::NoDeadLetter => FirstRedrive::Ended(Err(QueueError::NoDeadLetter(id.to_owned()).into())),
            _ => FirstRedrive::Ended(Err(CommandError::KeyReused.into())),
        })
    }

    /// The difference counts in both directions: a clock that is off by more tells nothing.
    fn is_recent(&self, since: Timestamp) -> bool {
        self.clock.now().duration_since(since).abs() < AT_WORK
    }

    /// Sends the letter. `died` is when an earlier try that died began, if one did: a letter that it sent is not sent again.
    async fn redrive_once(&self, id: &str, died: Option<Timestamp>) -> Result<(), QueueError> {
        crash_point("redrive-before");
        if let Some(since) = died {
            let letters = self.queue.dead_letters(LETTERS_MAX).await?;
            if letters.iter().any(|letter| letter.id == id && letter.died_at > since) {
                return Ok(());
            }
        }
        let sent = self.queue.redrive(id).await;
        crash_point("redrive-after");
        match sent {
            Err(QueueError::NoDeadLetter(_)) if died.is_some() => Ok(()),
            sent => sent,
        }
    }
}
