//! Sign-in at a provider of identities: sends a browser there and handles its answer. Not an actor, like [`SignIns`].
//!
//! Guarantees: an answer counts only for the browser that began, for ten minutes, and for one session; all problems with a person's
//! identity get the same refusal; people are created only in the configured domains, with no more permissions than the settings give.

use std::sync::Arc;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    ask::Busy,
    commit::{CommandError, Envelope},
    invite::{Invitee, Inviting},
    sign_in::{Entering, SignInError, SignIns, Started},
};
use crate::{
    clock::SharedClock,
    domain::{
        event::Role,
        id::{CommandId, UserId, hex},
        key::KeyId,
        provider::{Proven, ProviderPolicy, ProviderVisit, VISIT_ID_BYTES, VISIT_LIFE, VisitId, Vouched},
        sign_in::SignInRefusal,
        user::CommandRefusal,
    },
    failpoint::crash_point,
    identity::{IdentityProvider, ProviderAnswer, ProviderError},
    secrets::{Entropy, OpenedVisit, Secrets, VisitSecrets},
};

/// Answers of the provider that are handled at the same time.
const ANSWERS_AT_ONCE: usize = 32;

/// Why a provider's answer signs nobody in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderSignInError {
    /// The browser has no open visit.
    #[error(
        "this browser has begun no sign-in, it was begun more than ten minutes ago, or it was used already: begin again at GET \
         /sign-in/provider"
    )]
    NotBegun,
    /// The provider did not sign the person in, or the answer says so.
    #[error("the provider did not sign you in: begin again at GET /sign-in/provider")]
    Declined,
    /// The provider vouches for nobody who may sign in. The reason is not told.
    #[error(
        "the provider's answer lets nobody in here: the address there must be verified, and be one that was invited; ask whoever runs this \
         server"
    )]
    NotAdmitted,
    /// The provider cannot be called.
    #[error(transparent)]
    Provider(ProviderError),
    /// The session could not begin.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

impl From<CommandError> for ProviderSignInError {
    fn from(error: CommandError) -> Self {
        Self::SignIn(error.into())
    }
}

impl ProviderSignInError {
    /// Whether the given data was wrong, so that it counts as a guess.
    pub fn is_wrong_guess(&self) -> bool {
        match self {
            Self::NotAdmitted => true,
            Self::SignIn(error) => error.is_wrong_guess(),
            Self::NotBegun | Self::Declined | Self::Provider(_) => false,
        }
    }
}

/// A redirect of a browser to the provider.
pub struct SentThere {
    /// The address at the provider.
    pub address: String,
    /// The sealed visit, which the browser keeps.
    pub visit: String,
}

/// The data that a browser returns with.
#[derive(Default)]
pub struct BroughtBack {
    /// The sealed visit.
    pub visit: Option<String>,
    /// The state that came back with the answer.
    pub state: String,
    /// The answer; `None` when the provider says that it signed nobody in.
    pub answer: Option<ProviderAnswer>,
}

/// The result of an answer.
pub enum Entered {
    /// The person is signed in.
    In {
        /// The session.
        started: Box<Started>,
        /// Where to redirect the browser.
        return_to: String,
    },
    /// A code of the person's second factor is needed, too.
    CodeWanted {
        /// The sealed visit, which the browser keeps until then.
        visit: String,
    },
}

/// Signs in people who come from a provider.
pub struct ProviderSignIns {
    provider: Arc<dyn IdentityProvider>,
    policy: ProviderPolicy,
    sign_ins: Arc<SignIns>,
    inviting: Inviting,
    default_plan: String,
    secrets: Secrets,
    clock: SharedClock,
    entropy: Arc<dyn Entropy>,
    places: Semaphore,
}

impl ProviderSignIns {
    /// Signing in by this provider and policy. New people get `default_plan`.
    pub fn new(
        provider: Arc<dyn IdentityProvider>,
        policy: ProviderPolicy,
        sign_ins: Arc<SignIns>,
        inviting: Inviting,
        default_plan: String,
    ) -> Self {
        let committer = sign_ins.committer();
        let (secrets, clock) = (committer.secrets.clone(), Arc::clone(&committer.clock));
        let entropy = Arc::clone(&committer.entropy);
        let places = Semaphore::new(ANSWERS_AT_ONCE);
        Self { provider, policy, sign_ins, inviting, default_plan, secrets, clock, entropy, places }
    }

    /// Calls the provider once, so that the log shows problems.
    pub async fn look(&self) {
        if self.begin("/".to_owned()).await.is_ok() {
            tracing::debug!("the provider of identities answers");
        }
    }

    /// Sends a browser to the provider; it finally returns to this path of the server.
    ///
    /// # Errors
    /// When the provider cannot be called.
    pub async fn begin(&self, return_to: String) -> Result<SentThere, ProviderSignInError> {
        let mut id = [0; VISIT_ID_BYTES];
        self.entropy.fill(&mut id).map_err(CommandError::from)?;
        let now = self.clock.now();
        let expires_at = now.checked_add(VISIT_LIFE).unwrap_or(now);
        let visit = ProviderVisit { id, expires_at, return_to, proven: None };
        let secrets = self.visit_secrets(self.secrets.current_version(), &id)?;
        let address = self.provider.sign_in_address(&secrets).await.map_err(provider_failed)?;
        Ok(SentThere { address, visit: self.secrets.seal_visit(&visit) })
    }

    /// Signs in the person whom the provider has sent back.
    ///
    /// # Errors
    /// [`ProviderSignInError`].
    pub async fn finish(
        &self,
        brought: BroughtBack,
        network: String,
        envelope: &Envelope,
    ) -> Result<Entered, ProviderSignInError> {
        let OpenedVisit { visit, secret_version } = self.opened(brought.visit.as_deref())?;
        let secrets = self.visit_secrets(secret_version, &visit.id)?;
        if visit.proven.is_some() || !secrets.is_state(&brought.state) {
            return Err(ProviderSignInError::NotBegun);
        }
        let answer = brought.answer.ok_or(ProviderSignInError::Declined)?;
        let _place = self.places.try_acquire().map_err(|_| CommandError::from(Busy::Full))?;
        let claims = self.provider.claims(&answer, &secrets, self.clock.now()).await.map_err(provider_failed)?;
        let Some(vouched) = self.policy.vouched(&claims) else { return Err(not_admitted("no verified address")) };
        crash_point("provider-vouched");
        let user = self.user_of(&vouched, &visit.id, envelope).await?;
        let (role, has_factor) = (vouched.role, vouched.second_factor);
        let opened = OpenedVisit { visit, secret_version };
        let session = self.session_of(&opened, user)?;
        let entering = Entering { user, role, has_factor, code: None, session, network };
        match self.sign_ins.start_by_provider(entering, envelope).await {
            Err(SignInError::Command(CommandError::Refused(CommandRefusal::SignIn(SignInRefusal::CodeWanted)))) => {
                let proven = user.map(|user| Proven { user, role });
                let visit = ProviderVisit { proven, ..opened.visit };
                Ok(Entered::CodeWanted { visit: self.secrets.seal_visit(&visit) })
            }
            entered => self.entered(entered, opened.visit.return_to),
        }
    }

    /// Signs in the person who gives the missing code.
    ///
    /// # Errors
    /// [`ProviderSignInError`].
    pub async fn give_code(
        &self,
        visit: Option<&str>,
        code: String,
        network: String,
        envelope: &Envelope,
    ) -> Result<Entered, ProviderSignInError> {
        let opened = self.opened(visit)?;
        let Proven { user, role } = opened.visit.proven.ok_or(ProviderSignInError::NotBegun)?;
        let (session, user) = (self.session_of(&opened, Some(user))?, Some(user));
        let entering = Entering { user, role, has_factor: false, code: Some(code), session, network };
        let entered = self.sign_ins.start_by_provider(entering, envelope).await;
        self.entered(entered, opened.visit.return_to)
    }

    fn entered(
        &self,
        entered: Result<Started, SignInError>,
        return_to: String,
    ) -> Result<Entered, ProviderSignInError> {
        match entered {
            Ok(started) => Ok(Entered::In { started: Box::new(started), return_to }),
            Err(SignInError::Command(CommandError::Refused(CommandRefusal::NoUser))) => Err(not_admitted("nobody")),
            Err(SignInError::Command(CommandError::Refused(CommandRefusal::SignIn(SignInRefusal::SessionExists)))) => {
                Err(ProviderSignInError::NotBegun)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The id of the session that a visit begins for a person, or would begin if the person existed.
    fn session_of(&self, of: &OpenedVisit, user: Option<UserId>) -> Result<KeyId, ProviderSignInError> {
        let whose = user.unwrap_or(UserId(Uuid::nil()));
        let session = self.secrets.visit_session(of.secret_version, &of.visit.id, whose);
        session.ok_or(ProviderSignInError::NotBegun)
    }

    /// The person with the address; creates one when the settings allow it.
    async fn user_of(
        &self,
        vouched: &Vouched,
        visit: &VisitId,
        envelope: &Envelope,
    ) -> Result<Option<UserId>, CommandError> {
        let found = self.sign_ins.somebody(&vouched.email).await?;
        if found.is_some() || !vouched.may_be_created {
            return Ok(found);
        }
        let role = vouched.role.unwrap_or(Role::Reader);
        let plan = self.default_plan.clone();
        let invitee = Invitee { email: vouched.email.clone(), name: vouched.name.clone(), role, plan };
        // Repeating a visit creates no second person.
        let command = CommandId::stored(&format!("visit:{}", hex(visit)));
        let user = command.derived_user();
        match self.inviting.invite(invitee, Envelope { command, ..envelope.clone() }).await {
            Ok(_) => {
                crash_point("provider-person-created");
                Ok(Some(user))
            }
            // Another tab of the person, or an administrator, was faster.
            Err(CommandError::EmailTaken { .. }) => self.sign_ins.somebody(&vouched.email).await,
            Err(error) => Err(error),
        }
    }

    fn opened(&self, visit: Option<&str>) -> Result<OpenedVisit, ProviderSignInError> {
        let opened = visit.and_then(|visit| self.secrets.open_visit(visit));
        let now = self.clock.now();
        opened.filter(|opened| opened.visit.is_open(now)).ok_or(ProviderSignInError::NotBegun)
    }

    fn visit_secrets(&self, version: u32, id: &VisitId) -> Result<VisitSecrets, ProviderSignInError> {
        self.secrets.visit_secrets(version, id).ok_or(ProviderSignInError::NotBegun)
    }
}

fn provider_failed(error: ProviderError) -> ProviderSignInError {
    match error {
        ProviderError::Untrusted(why) => not_admitted(&why),
        ProviderError::Unavailable(_) => {
            tracing::warn!(%error, "nobody can sign in at the provider");
            ProviderSignInError::Provider(error)
        }
    }
}

fn not_admitted(why: &str) -> ProviderSignInError {
    tracing::info!(why, "somebody whom the provider sent back is not let in");
    ProviderSignInError::NotAdmitted
}
