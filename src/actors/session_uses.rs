//! Writing down that sessions are used, now and then, so that they do not end as idle ones.

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

/// Writes down that sessions are used.
#[derive(Clone)]
pub struct SessionUses {
    committer: Arc<Committer>,
}

impl SessionUses {
    /// Over this committer.
    pub fn new(committer: Arc<Committer>) -> Self {
        Self { committer }
    }

    /// Writes it down, if it is time again. What could not be written down is the next time.
    pub(super) async fn note(&self, user: UserId, session: KeyId, envelope: &Envelope) {
        let see = SignInCommand::SeeSession { session, now: self.committer.clock.now() };
        let decided =
            |state: &State| -> Result<_, CommandError> { Ok(decide(user_in(state), Command::SignIn(see.clone()))?) };
        if let Err(error) = self.committer.run(&StreamId::User(user), envelope, decided).await {
            tracing::debug!(%user, %error, "the use of a session was not written down");
        }
    }

    /// The same as a command of its own.
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
