//! Keeps the answers to clients' commands by their `Idempotency-Key`: a repeated command gets its first answer, and is not carried out
//! again.
//! Guarantees: a command that committed is answered from its commit, for ever. The answer to a command that committed nothing ("it is so
//! already", or a refusal by the state) is stored before it is sent, for `commands.idempotency_days`. Answers that say nothing of the state
//! (the server was busy, a store was away, the request could not be read) are not stored: the command can be tried again. No personal data
//! is stored: an answer that shows some is made again from the stream.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::commit::{CommandError, Committed, Committer, EarlierTry, Envelope};
use crate::{
    domain::{
        admin_token::TokenRefusal,
        data_set::HoldRefusal,
        id::StreamId,
        key::KeyId,
        plan::KEYS_MAX_DEFAULT,
        user::{CommandRefusal, MailStop},
    },
    failpoint::crash_point,
    store::{AnswerPlace, KeptAnswer, NewAnswer, StoreError},
};

/// The stored answer of a command that committed nothing. Variants are added, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answered {
    /// The state was already as wanted at this version of the stream.
    Unchanged {
        /// The stream.
        stream: String,
        /// Its version.
        version: u64,
    },
    /// [`CommandRefusal::NoUser`]
    NoUser,
    /// [`CommandRefusal::Deleted`]
    Deleted,
    /// [`CommandRefusal::Disabled`]
    Disabled,
    /// [`CommandRefusal::MailStopped`]
    MailStopped(MailStop),
    /// [`CommandRefusal::Exists`]
    Exists,
    /// [`CommandRefusal::NoKey`]
    NoKey(KeyId),
    /// [`CommandRefusal::KeyEnded`]
    KeyEnded(KeyId),
    /// [`CommandRefusal::KeyExists`]
    KeyExists(KeyId),
    /// [`CommandRefusal::TooManyKeys`] of earlier permitds, whose plans all had the same maximum.
    TooManyKeys,
    /// [`CommandRefusal::TooManyKeys`]
    KeysMax {
        /// The maximum.
        max: u32,
    },
    /// [`CommandRefusal::KeyExpired`]
    KeyExpired(KeyId),
    /// [`CommandRefusal::LastAdministrator`]
    LastAdministrator,
    /// [`CommandRefusal::TooManyAdministrators`]
    TooManyAdministrators,
    /// [`TokenRefusal::NoToken`]
    NoToken(KeyId),
    /// [`TokenRefusal::Exists`]
    TokenExists(KeyId),
    /// [`TokenRefusal::NameTaken`]
    TokenNameTaken {
        /// The name.
        name: String,
        /// The token that has the name.
        id: KeyId,
    },
    /// [`TokenRefusal::TooMany`]
    TooManyTokens,
    /// [`CommandError::NoPlan`]
    NoPlan {
        /// The name.
        name: String,
        /// The plans that can be assigned.
        known: Vec<String>,
    },
    /// [`CommandError::EmailTaken`]
    EmailTaken {
        /// The user with the address.
        user: String,
    },
    /// [`CommandError::Stale`]
    Stale {
        /// The stream's version.
        current: u64,
    },
    /// A file to be imported was accepted.
    ImportAccepted {
        /// The import.
        import: Uuid,
    },
    /// [`HoldRefusal::Unknown`]
    NoImport,
    /// [`HoldRefusal::NotHeld`]
    NotHeld {
        /// The import's state instead.
        what: String,
    },
    /// [`HoldRefusal::NotRunning`]
    NotRunning,
    /// A dead letter is being redriven.
    Redriving {
        /// Since when.
        since: Timestamp,
        /// Whether that try may still be at work.
        at_work: bool,
    },
    /// A dead letter was redriven.
    Redriven,
    /// There was no such dead letter.
    NoDeadLetter,
    /// A command over many things began. Each thing has its own command, so that another try does the rest.
    Begun,
    /// The command over many things ended.
    Ended {
        /// Its results, by name.
        counts: BTreeMap<String, u64>,
    },
}

impl Answered {
    /// The stored form of an error; `None` for an error that says nothing of the state, so that the command can be tried again.
    fn of(error: &CommandError) -> Option<Self> {
        Some(match error {
            CommandError::Refused(refusal) => match refusal {
                CommandRefusal::NoUser => Self::NoUser,
                CommandRefusal::Deleted => Self::Deleted,
                CommandRefusal::Disabled => Self::Disabled,
                CommandRefusal::MailStopped(stop) => Self::MailStopped(*stop),
                CommandRefusal::Exists => Self::Exists,
                CommandRefusal::NoKey(key) => Self::NoKey(*key),
                CommandRefusal::KeyEnded(key) => Self::KeyEnded(*key),
                CommandRefusal::KeyExists(key) => Self::KeyExists(*key),
                CommandRefusal::TooManyKeys { max } => Self::KeysMax { max: *max },
                CommandRefusal::KeyExpired(key) => Self::KeyExpired(*key),
                CommandRefusal::LastAdministrator => Self::LastAdministrator,
                CommandRefusal::TooManyAdministrators => Self::TooManyAdministrators,
                // The request itself was wrong, whatever the state.
                CommandRefusal::TooLong { .. } | CommandRefusal::Hidden { .. } | CommandRefusal::Bounds(_) => {
                    return None;
                }
                // A wrong code, or an exceeded limit, is temporary.
                CommandRefusal::SignIn(_) => return None,
            },
            CommandError::Hold(HoldRefusal::Unknown) => Self::NoImport,
            CommandError::Hold(HoldRefusal::NotHeld(what)) => Self::NotHeld { what: what.clone() },
            CommandError::Hold(HoldRefusal::NotRunning) => Self::NotRunning,
            CommandError::Token(refusal) => match refusal {
                TokenRefusal::NoToken(id) => Self::NoToken(*id),
                TokenRefusal::Exists(id) => Self::TokenExists(*id),
                TokenRefusal::NameTaken { name, id } => Self::TokenNameTaken { name: name.clone(), id: *id },
                TokenRefusal::TooMany => Self::TooManyTokens,
                TokenRefusal::LongName | TokenRefusal::Hidden(_) | TokenRefusal::NoScope | TokenRefusal::Past => {
                    return None;
                }
            },
            CommandError::NoPlan { name, known } => Self::NoPlan { name: name.clone(), known: known.clone() },
            CommandError::EmailTaken { user } => Self::EmailTaken { user: user.clone() },
            CommandError::Stale { current } => Self::Stale { current: *current },
            _ => return None,
        })
    }

    pub(super) fn read(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|error| {
            StoreError::Incompatible(format!(
                "the answer that was kept with an idempotency key cannot be read ({error}): use the newer permitd that kept it"
            ))
        })
    }

    pub(super) fn write(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::Corrupt(format!("an answer cannot be kept: {error}")))
    }

    /// The answered error; `None` when the answer was no error of a stream's command.
    fn into_error(self) -> Option<CommandError> {
        let refusal = match self {
            Self::NoUser => CommandRefusal::NoUser,
            Self::Deleted => CommandRefusal::Deleted,
            Self::Disabled => CommandRefusal::Disabled,
            Self::MailStopped(stop) => CommandRefusal::MailStopped(stop),
            Self::Exists => CommandRefusal::Exists,
            Self::NoKey(key) => CommandRefusal::NoKey(key),
            Self::KeyEnded(key) => CommandRefusal::KeyEnded(key),
            Self::KeyExists(key) => CommandRefusal::KeyExists(key),
            Self::TooManyKeys => CommandRefusal::TooManyKeys { max: KEYS_MAX_DEFAULT },
            Self::KeysMax { max } => CommandRefusal::TooManyKeys { max },
            Self::KeyExpired(key) => CommandRefusal::KeyExpired(key),
            Self::LastAdministrator => CommandRefusal::LastAdministrator,
            Self::TooManyAdministrators => CommandRefusal::TooManyAdministrators,
            Self::NoToken(id) => return Some(TokenRefusal::NoToken(id).into()),
            Self::TokenExists(id) => return Some(TokenRefusal::Exists(id).into()),
            Self::TokenNameTaken { name, id } => return Some(TokenRefusal::NameTaken { name, id }.into()),
            Self::TooManyTokens => return Some(TokenRefusal::TooMany.into()),
            Self::NoPlan { name, known } => return Some(CommandError::NoPlan { name, known }),
            Self::EmailTaken { user } => return Some(CommandError::EmailTaken { user }),
            Self::Stale { current } => return Some(CommandError::Stale { current }),
            Self::NoImport => return Some(HoldRefusal::Unknown.into()),
            Self::NotHeld { what } => return Some(HoldRefusal::NotHeld(what).into()),
            Self::NotRunning => return Some(HoldRefusal::NotRunning.into()),
            Self::Unchanged { .. }
            | Self::ImportAccepted { .. }
            | Self::Redriving { .. }
            | Self::Redriven
            | Self::NoDeadLetter
            | Self::Begun
            | Self::Ended { .. } => return None,
        };
        Some(refusal.into())
    }
}

impl Committer {
    /// The outcome of an earlier try of a client's command.
    ///
    /// # Errors
    /// The error of the first answer; [`CommandError::KeyReused`] when that was for another request.
    pub(super) async fn earlier(&self, envelope: &Envelope) -> Result<EarlierTry, CommandError> {
        let Some(kept) = self.find_answer(envelope).await? else { return Ok(EarlierTry::None) };
        let answered = match kept {
            AnswerPlace::Commit(stream) => return Ok(EarlierTry::InStream(stream)),
            AnswerPlace::Text(text) => Answered::read(&text)?,
        };
        self.counters.repeated.add(1);
        let Answered::Unchanged { stream, version } = answered else {
            // All other answers are to requests that concern no stream.
            return Err(answered.into_error().unwrap_or(CommandError::KeyReused));
        };
        let stream = StreamId::parse(&stream).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let state = self.load_until(&stream, version).await?;
        Ok(EarlierTry::Unchanged(Box::new(Committed { state, version, events: Vec::new(), repeated: true })))
    }

    /// The stored answer of a client's command, if it is for the same request.
    ///
    /// # Errors
    /// [`CommandError::KeyReused`] when it is for another request.
    pub(super) async fn find_answer(&self, envelope: &Envelope) -> Result<Option<AnswerPlace>, CommandError> {
        let Some(request_hash) = &envelope.request_hash else { return Ok(None) };
        let found = self.stores.answers.find(&envelope.command, request_hash, self.clock.now()).await?;
        match found {
            Some(KeptAnswer { request_hash: kept, .. }) if !self.secrets.is_mark_of(&kept, request_hash) => {
                Err(CommandError::KeyReused)
            }
            found => Ok(found.map(|found| found.kept)),
        }
    }

    /// Stores that the state was already as wanted. `None` when another try was faster.
    pub(super) async fn keep_unchanged(
        &self,
        stream: &StreamId,
        envelope: &Envelope,
        unchanged: Committed,
    ) -> Result<Option<Committed>, CommandError> {
        let answered = Answered::Unchanged { stream: stream.to_string(), version: unchanged.version };
        Ok(self.keep_answer(envelope, &answered, None).await?.then_some(unchanged))
    }

    /// Stores an error as the command's answer, if it is of a stored kind. `None` when another try was faster.
    ///
    /// # Errors
    /// The error itself, once it is stored.
    pub(super) async fn keep_error(
        &self,
        envelope: &Envelope,
        error: CommandError,
    ) -> Result<Option<Committed>, CommandError> {
        let Some(answered) = Answered::of(&error) else { return Err(error) };
        if self.keep_answer(envelope, &answered, None).await? { Err(error) } else { Ok(None) }
    }

    /// Stores an answer of a client's command; other commands are not repeated once answered. `false` when another answer is stored
    /// already.
    pub(super) async fn keep_answer(
        &self,
        envelope: &Envelope,
        answered: &Answered,
        instead_of: Option<String>,
    ) -> Result<bool, CommandError> {
        let Some(request_hash) = &envelope.request_hash else { return Ok(true) };
        let now = self.clock.now();
        crash_point("answer-before-keeping");
        let kept = self.stores.answers.keep(NewAnswer {
            command: envelope.command.clone(),
            request_hash: self.secrets.request_mark(request_hash),
            answer: answered.write()?,
            instead_of,
            now,
            expires_at: now.checked_add(self.answers_kept_for).unwrap_or(Timestamp::MAX),
        });
        let kept = kept.await?;
        crash_point("answer-kept");
        Ok(kept)
    }

    /// Begins a client's command over many things, or continues it. Returns its results if it ended before.
    ///
    /// # Errors
    /// [`CommandError::KeyReused`] when the key was used for another request.
    pub(super) async fn begin_many(&self, envelope: &Envelope) -> Result<Option<BTreeMap<String, u64>>, CommandError> {
        // If another try is faster, the second round finds its answer.
        for _ in 0..2 {
            match self.find_answer(envelope).await? {
                Some(AnswerPlace::Commit(_)) => return Err(CommandError::KeyReused),
                Some(AnswerPlace::Text(kept)) => {
                    self.counters.repeated.add(1);
                    return match Answered::read(&kept)? {
                        Answered::Begun => Ok(None),
                        Answered::Ended { counts } => Ok(Some(counts)),
                        other => Err(other.into_error().unwrap_or(CommandError::KeyReused)),
                    };
                }
                None if self.keep_answer(envelope, &Answered::Begun, None).await? => return Ok(None),
                None => {}
            }
        }
        Err(CommandError::Contended)
    }

    /// Stores the results of a command over many things.
    pub(super) async fn end_many(
        &self,
        envelope: &Envelope,
        counts: BTreeMap<String, u64>,
    ) -> Result<(), CommandError> {
        let begun = Answered::Begun.write()?;
        // Another try may have ended first, with the same results.
        self.keep_answer(envelope, &Answered::Ended { counts }, Some(begun)).await?;
        Ok(())
    }

    /// Removes expired answers. Returns how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sweep_answers(&self) -> Result<u64, StoreError> {
        self.stores.answers.sweep(self.clock.now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_state_refuses_is_kept_and_comes_back_as_it_was() {
        let key = KeyId::from_random([3; 12]);
        let refused = [
            CommandRefusal::NoUser,
            CommandRefusal::Deleted,
            CommandRefusal::Disabled,
            CommandRefusal::MailStopped(MailStop::Bounced),
            CommandRefusal::Exists,
            CommandRefusal::NoKey(key),
            CommandRefusal::KeyEnded(key),
            CommandRefusal::KeyExists(key),
            CommandRefusal::TooManyKeys { max: 3 },
            CommandRefusal::KeyExpired(key),
            CommandRefusal::LastAdministrator,
            CommandRefusal::TooManyAdministrators,
        ];
        let of_tokens = [
            TokenRefusal::NoToken(key),
            TokenRefusal::Exists(key),
            TokenRefusal::NameTaken { name: "ci".to_owned(), id: key },
            TokenRefusal::TooMany,
        ];
        let others = [
            CommandError::NoPlan { name: "gold".to_owned(), known: vec!["default".to_owned()] },
            CommandError::EmailTaken { user: "1".to_owned() },
            CommandError::Stale { current: 7 },
            HoldRefusal::Unknown.into(),
            HoldRefusal::NotHeld("was discarded".to_owned()).into(),
            HoldRefusal::NotRunning.into(),
        ];
        for error in refused.into_iter().map(CommandError::from).chain(of_tokens.map(CommandError::from)).chain(others)
        {
            let kept = Answered::of(&error).expect("it is kept").write().unwrap();
            let again = Answered::read(&kept).unwrap().into_error().expect("an error");
            assert_eq!(format!("{again:?}"), format!("{error:?}"));
        }
    }

    #[test]
    fn what_says_nothing_of_the_state_is_not_kept() {
        let away = StoreError::Unavailable("away".to_owned());
        let errors = [
            CommandError::Refused(CommandRefusal::TooLong { field: "name", max: 200 }),
            CommandError::Contended,
            CommandError::KeyReused,
            CommandError::Store(away),
            CommandError::Busy(super::super::Busy::Full),
        ];
        assert!(errors.iter().all(|error| Answered::of(error).is_none()));
    }

    #[test]
    fn an_answer_of_a_newer_version_is_not_taken_for_another() {
        assert!(matches!(Answered::read("{\"forbidden\":{}}"), Err(StoreError::Incompatible(_))));
    }
}
