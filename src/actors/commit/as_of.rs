//! Streams as they were: one read of the stream, and nothing else, unless something ended by itself at about a position of the log.
//!
//! Guarantees: no view is asked. What was erased since stays erased, since its key is gone.

use jiff::Timestamp;

use super::{CommandError, Committer, LoadedStream, PAGE_COMMITS};
use crate::domain::{
    chain::ChainHash,
    event::AsOf,
    id::{StreamId, UserId},
    view::{KeyRow, Rows, State, UserRow},
};

/// A stream as it was.
pub struct PastStream {
    /// Its state then.
    pub state: State,
    /// When that was, for what ends by itself, such as a key that expires: the present, where a version was named.
    pub at: Timestamp,
}

impl PastStream {
    /// The person as they were, and their keys; none where there was no such person then.
    pub fn person(&self) -> Option<(UserRow, Vec<KeyRow>)> {
        let Rows { mut users, keys, .. } = self.state.rows();
        users.pop().map(|user| (user.at(self.at), keys))
    }
}

impl Committer {
    /// The state of a stream at an earlier point. Data erased since stays erased.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn load_as_of(&self, stream: &StreamId, as_of: AsOf) -> Result<PastStream, CommandError> {
        let key = self.personal_key(stream).await?;
        let mut loaded =
            LoadedStream { state: State::empty(stream), version: 0, head: ChainHash::START, key, earlier: None };
        let (mut last, mut next) = (Timestamp::MIN, None);
        'all: loop {
            let commits = self.stores.log.load(stream, loaded.version, PAGE_COMMITS).await?;
            for commit in &commits {
                // Later commits stay excluded even if the clock was set back.
                if !as_of.holds(commit.version, commit.position, commit.recorded_at) {
                    next = Some(commit.recorded_at);
                    break 'all;
                }
                loaded.take(commit, None, &self.secrets)?;
                last = last.max(commit.recorded_at);
            }
            if commits.len() < PAGE_COMMITS {
                break;
            }
        }
        let at = self.moment_of(as_of, &loaded.state, last, next).await?;
        Ok(PastStream { state: loaded.state, at })
    }

    /// A person as they were, and their keys; none where there was no such person then.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn person_as_of(
        &self,
        user: UserId,
        as_of: AsOf,
    ) -> Result<Option<(UserRow, Vec<KeyRow>)>, CommandError> {
        Ok(self.load_as_of(&StreamId::User(user), as_of).await?.person())
    }

    /// The moment at which to judge what ends by itself, of a state between two commits of its stream. That of a position lies between
    /// theirs: the log is asked for it only where something ends in between.
    async fn moment_of(
        &self,
        as_of: AsOf,
        state: &State,
        last: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<Timestamp, CommandError> {
        let now = self.clock.now();
        Ok(match as_of {
            AsOf::Version(_) => now,
            AsOf::Moment(moment) => moment.min(now),
            AsOf::Position(position) => {
                let until = next.unwrap_or(now).min(now);
                if state.rows().ends().any(|end| last < end && end <= until) {
                    self.stores.log.moment_of(position).await?.unwrap_or(now).min(now)
                } else {
                    until.max(last).min(now)
                }
            }
        })
    }
}
