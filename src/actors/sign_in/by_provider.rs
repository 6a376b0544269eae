//! Signs in a person for whom a provider of identities vouches.

use std::sync::Arc;

use uuid::Uuid;

use super::{SignInError, SignIns, Started, by};
use crate::{
    actors::{
        commit::{CommandError, Envelope},
        person::user_in,
    },
    domain::{
        email::Email,
        event::Role,
        id::{StreamId, UserId},
        key::KeyId,
        sign_in::{NewSession, SignInRefusal},
        user::{Command, CommandRefusal, ProviderSignIn, decide},
        view::State,
    },
    failpoint::crash_point,
};

/// A person who comes from a provider.
pub struct Entering {
    /// The person; `None` when nobody here has the address.
    pub user: Option<UserId>,
    /// The new role, if the provider assigns roles.
    pub role: Option<Role>,
    /// Whether the person used a second factor at the provider that counts here.
    pub has_factor: bool,
    /// A code of the person's second factor here.
    pub code: Option<String>,
    /// The id of the session: one for each visit and person.
    pub session: KeyId,
    /// The client's network.
    pub network: String,
}

impl SignIns {
    /// Begins the session. Finding out whether the person exists takes the same work as whether they may sign in.
    ///
    /// # Errors
    /// [`CommandRefusal::NoUser`], also for a disabled or deleted person; [`SignInRefusal::CodeWanted`]; [`SignInRefusal::Credentials`] for
    /// a wrong code; [`SignInRefusal::SessionExists`] for a visit that has begun a session; [`SignInError::Wait`].
    pub async fn start_by_provider(&self, entering: Entering, envelope: &Envelope) -> Result<Started, SignInError> {
        let Entering { user, role, has_factor, code, session, network } = entering;
        let user = user.unwrap_or(UserId(Uuid::nil()));
        // Only a code can be guessed: the provider has checked the rest.
        let account = match &code {
            Some(_) => {
                let known = self.committer.load_user(user).await?;
                let account = known.map(|known| self.codes_of(&known)).unwrap_or_default();
                self.begin(&account)?;
                Some(account)
            }
            None => None,
        };
        let token = self.committer.secrets.session_token(session);
        let now = self.committer.clock.now();
        let expires_at = now.checked_add(self.policy.session).unwrap_or(now);
        let session =
            NewSession { id: token.id(), hash: token.hash(), expires_at, idle_s: self.policy.idle_s, network };
        let command = ProviderSignIn { role, session, has_factor, code, now, bounds: self.policy.bounds };
        crash_point("session-start-before");
        let decided = |state: &State| Ok(decide(user_in(state), Command::SignInByProvider(Box::new(command.clone())))?);
        let committed = self.committer.run(&StreamId::User(user), &by(user, envelope), decided).await;
        let is_right =
            !matches!(&committed, Err(CommandError::Refused(CommandRefusal::SignIn(SignInRefusal::Credentials))));
        if let Some(account) = account.filter(|_| is_right) {
            self.attempts.forget(&account);
        }
        let committed = committed.map_err(|error| match error {
            CommandError::Refused(CommandRefusal::Disabled | CommandRefusal::Deleted) => CommandRefusal::NoUser.into(),
            error => error,
        })?;
        self.forget_changed(&committed).await;
        crash_point("session-started");
        Ok(Started { user, token, committed })
    }

    /// The person with this mailbox.
    pub(in crate::actors) async fn somebody(self: &Arc<Self>, email: &Email) -> Result<Option<UserId>, CommandError> {
        self.find(Some(email)).await
    }
}
