//! Records the use of sessions at intervals, so that used sessions do not end as idle.

use std::sync::Arc;

use super::{
    commit::{CommandError, Committer, Envelope},
    person::user_in,
};
use crate::domain::{
    event::Origin,
    id::{CommandId, StreamId, UserId, Who},
    key::KeyId,
    sign_in::SignInCommand,
    user::{Command, decide},
    view::State,
};

/// Records the use of sessions.
#[derive(Clone)]
pub struct SessionUses {
    committer: Arc<Committer>,
}

impl SessionUses {
    /// Records with this committer.
    pub fn new(committer: Arc<Committer>) -> Self {
        Self { committer }
    }

    /// Records a use, if the last record is old enough. After a failure the next use is recorded.
    pub(super) async fn note(&self, user: UserId, session: KeyId, envelope: &Envelope) {
        let see = SignInCommand::SeeSession { session, now: self.committer.clock.now() };
        let decided =
            |state: &State| -> Result<_, CommandError> { Ok(decide(user_in(state), Command::SignIn(see.clone()))?) };
        if let Err(error) = self.committer.run(&StreamId::User(user), envelope, decided).await {
            tracing::debug!(%user, %error, "the use of a session was not written down");
        }
    }

    /// The same as a separate command.
    pub(super) async fn note_in_passing(&self, user: UserId, session: KeyId) {
        match self.committer.new_id() {
            Ok(id) => {
                let origin = Origin { who: Who::user(user), correlation_id: id.to_string(), causation_id: None };
                self.note(user, session, &Envelope::new(CommandId::unique(id), origin)).await;
            }
            Err(error) => tracing::debug!(%user, %error, "the use of a session was not written down"),
        }
    }
}
