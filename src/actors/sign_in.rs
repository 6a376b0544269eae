//! Sign-in: links, passwords, sessions, second factors. Not an actor: the person's stream decides, and the hashing pool limits the costly
//! work.
//!
//! Guarantees: neither an answer nor its work tells whether an address is known: each try compares one password with one hash, and asks the
//! store the same. Acknowledged changes are in the log: every node refuses an ended session from then on, since each asks the store; for
//! data this node refuses at once, and others within a grant's life. A link or a code counts once, even when used twice at the same moment.

mod by_password;
mod by_provider;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tracing::{Instrument, Span};
use zeroize::Zeroizing;

use super::{
    ask::Busy,
    commit::{CommandError, Committed, Committer, Envelope},
    grants::GrantBook,
    hashing::HashingPool,
    person::user_in,
    session_uses::SessionUses,
};
use crate::{
    domain::{
        attempts::{Attempts, Slowing},
        email::Email,
        event::Event,
        id::{StreamId, UserId, Who},
        key::{ApiKey, KeyHash, KeyId},
        link::{LinkPlace, LinkPurpose, PresentedLink},
        password::{PasswordError, PasswordText},
        session_token::SessionToken,
        sign_in::{
            Bounds, FactorProof, NewLink, RECOVERY_CODES, SessionEnd, SignInCommand, SignInEvent, SignInRefusal,
            recovery_hash,
        },
        totp,
        user::{Command, CommandRefusal, Standing, User, decide},
        view::State,
    },
    failpoint::crash_point,
};

pub use self::{
    by_password::{PROOF_LIFE, SignInStep},
    by_provider::Entering,
};

/// Requests for a new password that are handled at the same time, after their answers.
const RESETS_AT_ONCE: usize = 64;
/// Remembered networks of sign-ins; those not seen for longest are forgotten first.
const NETWORKS_MAX: usize = 10_000;
/// Accounts whose wrong attempts are remembered: some megabytes.
const ACCOUNTS_MAX: usize = 16_384;

/// The life and the limits of links and sessions.
#[derive(Debug, Clone, Copy)]
pub struct SignInPolicy {
    /// The life of a link to set another password.
    pub reset_link: SignedDuration,
    /// The most mails with such a link to one person in an hour.
    pub resets_per_hour: u32,
    /// The longest life of a session.
    pub session: SignedDuration,
    /// Seconds without use after which a session ends.
    pub idle_s: u32,
    /// The limits of sessions.
    pub bounds: Bounds,
    /// How wrong passwords and codes slow further attempts at one account.
    pub slowing: Slowing,
    /// The shortest password, characters.
    pub password_chars_min: usize,
}

/// Why a sign-in or a related command failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The command was not carried out.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The text cannot be a password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Too many wrong attempts at this account.
    #[error("too many wrong passwords or codes for this account: wait {0} seconds before the next try")]
    Wait(u64),
}

impl From<SignInRefusal> for SignInError {
    fn from(refusal: SignInRefusal) -> Self {
        Self::Command(CommandError::Refused(refusal.into()))
    }
}

impl SignInError {
    /// Whether the given data was wrong, so that it counts as a guess.
    pub fn is_wrong_guess(&self) -> bool {
        let Self::Command(CommandError::Refused(CommandRefusal::SignIn(refusal))) = self else { return false };
        matches!(refusal, SignInRefusal::Credentials | SignInRefusal::WrongCode | SignInRefusal::LinkOver)
    }
}

/// What a person gives to sign in.
pub struct Credentials {
    /// The address, if the given text is one.
    pub email: Option<Email>,
    /// Their password.
    pub password: Zeroizing<String>,
    /// A code of their second factor.
    pub code: Option<String>,
    /// The client's network.
    pub network: String,
}

/// A new session.
pub struct Started {
    /// The person.
    pub user: UserId,
    /// The token: shown only now.
    pub token: SessionToken,
    /// The person's state afterwards.
    pub committed: Committed,
}

/// The signed-in person and their session.
#[derive(Debug, Clone)]
pub struct SignedInAs {
    /// The person.
    pub user: User,
    /// The session.
    pub session: KeyId,
}

/// The content of an unused link, for its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Its purpose.
    pub purpose: LinkPurpose,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The result of using a link.
pub enum Redeemed {
    /// The password is set.
    PasswordSet,
    /// The key, shown only now.
    Key(ApiKey),
}

/// Signs people in.
pub struct SignIns {
    committer: Arc<Committer>,
    pool: HashingPool,
    attempts: Attempts<String>,
    /// Networks from which people have signed in here.
    networks: Cache<String, ()>,
    policy: SignInPolicy,
    resets: Arc<Semaphore>,
    book: Arc<GrantBook>,
    uses: SessionUses,
}

impl SignIns {
    /// Signing in with this pool and policy. `book` has the grants of sessions.
    pub fn new(committer: Arc<Committer>, pool: HashingPool, policy: SignInPolicy, book: Arc<GrantBook>) -> Self {
        let (attempts, resets) =
            (Attempts::new(policy.slowing, ACCOUNTS_MAX), Arc::new(Semaphore::new(RESETS_AT_ONCE)));
        let uses = SessionUses::new(Arc::clone(&committer));
        let networks = Cache::new(NETWORKS_MAX);
        Self { committer, pool, attempts, networks, policy, resets, book, uses }
    }

    /// The committer.
    pub fn committer(&self) -> &Arc<Committer> {
        &self.committer
    }

    /// The hashing pool.
    pub fn pool(&self) -> &HashingPool {
        &self.pool
    }

    /// The person and session of this token, while it works. Records the use of the session at intervals.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn signed_in(
        &self,
        id: KeyId,
        hash: &KeyHash,
        envelope: &Envelope,
    ) -> Result<Option<SignedInAs>, CommandError> {
        let secrets = &self.committer.secrets;
        // A node whose secret is no longer the deployment's cannot detect forged tokens: it asks the store.
        if !secrets.recognises_session(id, hash) && secrets.doubted().is_none() {
            return Ok(None);
        }
        let Some(row) = self.committer.stores.views.session(id).await? else { return Ok(None) };
        if row.hash != *hash {
            return Ok(None);
        }
        let now = self.committer.clock.now();
        let Some(user) = self.committer.load_admissible(row.user).await? else { return Ok(None) };
        let session = user.sign_in.sessions.get(&id).filter(|session| session.is_live(now) && session.hash == *hash);
        let Some(session) = session.filter(|_| user.standing == Standing::Enabled) else { return Ok(None) };
        if session.is_to_be_seen(now) {
            self.uses.note(user.id, id, &by(user.id, envelope)).await;
        }
        Ok(Some(SignedInAs { user, session: id }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`SignInRefusal::NoSession`].
    pub async fn end(
        &self,
        user: UserId,
        session: KeyId,
        reason: SessionEnd,
        envelope: &Envelope,
    ) -> Result<Committed, CommandError> {
        crash_point("session-end-before");
        let ended = self.run(user, envelope, SignInCommand::EndSession { session, reason }).await;
        crash_point("session-end-after");
        ended
    }

    /// Ends all sessions of a person.
    ///
    /// # Errors
    /// When there is no such person.
    pub async fn end_all(
        &self,
        user: UserId,
        reason: SessionEnd,
        envelope: &Envelope,
    ) -> Result<Committed, CommandError> {
        let now = self.committer.clock.now();
        self.run(user, envelope, SignInCommand::EndSessions { reason, now }).await
    }

    /// Mails a link to the person with this address, if there is one. Nothing tells the result: the work follows the answer.
    ///
    /// # Errors
    /// [`Busy`] when too many such requests wait.
    pub fn ask_for_reset(self: &Arc<Self>, email: Option<Email>, envelope: Envelope) -> Result<(), CommandError> {
        let place = Arc::clone(&self.resets).try_acquire_owned().map_err(|_| Busy::Full)?;
        let signing = Arc::clone(self);
        let mailing = async move {
            let _place = place;
            let asked = async {
                let Some(user) = signing.find(email.as_ref()).await? else { return Ok(()) };
                let envelope = by(user, &envelope);
                signing.mail_reset(user, Some(signing.policy.resets_per_hour), &envelope).await.map(drop)
            };
            match asked.await {
                Ok(()) | Err(CommandError::Refused(_)) => {}
                Err(error) => tracing::warn!(%error, "a link for a new password was asked for and is not mailed"),
            }
        };
        actix::spawn(mailing.instrument(Span::current()));
        Ok(())
    }

    /// Mails a link for setting another password; `per_hour` limits how often.
    ///
    /// # Errors
    /// When the person does not exist, is disabled or deleted.
    pub async fn mail_reset(
        &self,
        user: UserId,
        per_hour: Option<u32>,
        envelope: &Envelope,
    ) -> Result<Committed, CommandError> {
        let stream = StreamId::User(user);
        let mail = envelope.command.derived_uuid("reset", &stream);
        let decided = |state: &State| {
            let person = user_in(state);
            let number = person.map_or(1, |person| person.sign_in.next_link());
            let secret_version = self.committer.secrets.current_version();
            let token = self.committer.secrets.link_token(secret_version, LinkPlace { user, number })?;
            let now = self.committer.clock.now();
            let expires_at = now.checked_add(self.policy.reset_link).unwrap_or(now);
            let (purpose, hash) = (LinkPurpose::PasswordReset, token.hash());
            let link = NewLink { purpose, number, mail, hash, secret_version, expires_at };
            Ok(decide(person, Command::SignIn(SignInCommand::AskForReset { link, per_hour, now }))?)
        };
        self.committer.run(&stream, envelope, decided).await
    }

    /// The content of a link. Does not use it up.
    ///
    /// # Errors
    /// [`SignInRefusal::LinkOver`].
    pub async fn behind(&self, link: &PresentedLink) -> Result<Behind, SignInError> {
        let (_, behind) = self.open_link(link).await?;
        Ok(behind)
    }

    async fn open_link(&self, link: &PresentedLink) -> Result<(User, Behind), SignInError> {
        if !self.committer.secrets.recognises_link(link) {
            return Err(SignInRefusal::LinkOver.into());
        }
        let now = self.committer.clock.now();
        let user = self.committer.load_user(link.place.user).await?;
        let user = user.filter(|user| user.standing == Standing::Enabled).ok_or(SignInRefusal::LinkOver)?;
        let found = user.sign_in.link(link.place.number).filter(|known| known.hash == link.hash && known.is_open(now));
        let found = found.ok_or(SignInRefusal::LinkOver)?;
        let behind = Behind { purpose: found.purpose, expires_at: found.expires_at };
        Ok((user, behind))
    }

    /// Uses a link, once.
    ///
    /// # Errors
    /// [`SignInRefusal::LinkOver`]; when the text cannot be a password: then the link still works.
    pub async fn redeem(
        &self,
        link: PresentedLink,
        password: Option<&str>,
        envelope: &Envelope,
    ) -> Result<Redeemed, SignInError> {
        let (user, behind) = self.open_link(&link).await?;
        let now = self.committer.clock.now();
        if behind.purpose == LinkPurpose::ClaimKey {
            let key = user.invitation_key().ok_or(SignInRefusal::LinkOver)?;
            let shown = self.committer.secrets.api_key(key.secret_version, key.id).map_err(CommandError::from)?;
            if shown.hash() != key.hash {
                return Err(SignInRefusal::LinkOver.into());
            }
            self.used(user.id, envelope, SignInCommand::ClaimKey { link, now }).await?;
            return Ok(Redeemed::Key(shown));
        }
        let password = PasswordText::new(password.unwrap_or_default(), self.policy.password_chars_min, &user.email)?;
        let phc = self.pool.hash(password).await?;
        self.used(user.id, envelope, SignInCommand::SetPasswordByLink { link, phc, now }).await?;
        self.attempts.forget(&self.account_of(&user));
        Ok(Redeemed::PasswordSet)
    }

    /// Uses a link up. Disabled or deleted people have no working link.
    async fn used(&self, user: UserId, envelope: &Envelope, command: SignInCommand) -> Result<(), SignInError> {
        match self.run(user, &by(user, envelope), command).await {
            Err(CommandError::Refused(CommandRefusal::Disabled | CommandRefusal::Deleted)) => {
                Err(SignInRefusal::LinkOver.into())
            }
            used => Ok(used.map(drop)?),
        }
    }

    /// Changes the password of a person who knows the present one. Ends their other sessions.
    ///
    /// # Errors
    /// [`SignInRefusal::Credentials`] when the present one is wrong; when the new one is invalid; [`SignInError::Wait`].
    pub async fn change_password(
        &self,
        who: &SignedInAs,
        current: &str,
        new: &str,
        envelope: &Envelope,
    ) -> Result<Committed, SignInError> {
        let new = PasswordText::new(new, self.policy.password_chars_min, &who.user.email)?;
        let checked = self.check(&who.user, current).await?;
        let phc = self.pool.hash(new).await?;
        let change = SignInCommand::ChangePassword { checked, phc, session: who.session };
        Ok(self.run(who.user.id, envelope, change).await?)
    }

    /// The hash of the person's password, if `password` is right.
    async fn check(&self, user: &User, password: &str) -> Result<String, SignInError> {
        let account = self.account_within(user);
        self.begin(&account)?;
        let phc = user.sign_in.password.as_ref().and_then(|phc| phc.known()).map(ToOwned::to_owned);
        let given = PasswordText::given(password).unwrap_or_else(PasswordText::nobodys);
        match (self.pool.verify(given, phc.clone()).await?, phc) {
            (true, Some(phc)) => {
                self.attempts.forget(&account);
                Ok(phc)
            }
            _ => Err(SignInRefusal::Credentials.into()),
        }
    }

    /// Issues a secret for a second factor, in base-32.
    ///
    /// # Errors
    /// [`SignInRefusal::FactorExists`].
    pub async fn begin_second_factor(
        &self,
        user: UserId,
        envelope: &Envelope,
    ) -> Result<Zeroizing<String>, SignInError> {
        let mut bytes = Zeroizing::new([0; totp::TOTP_SECRET_BYTES]);
        self.committer.entropy.fill(&mut *bytes).map_err(CommandError::from)?;
        let secret = Zeroizing::new(totp::base32(&*bytes));
        let begin = SignInCommand::BeginSecondFactor { secret: secret.to_string() };
        let begun = self.run(user, envelope, begin).await?;
        // A repeated command gets the first try's secret.
        let earlier = begun.events.iter().find_map(|recorded| match &recorded.event {
            Event::SignIn(SignInEvent::SecondFactorBegun { secret }) => secret.known(),
            _ => None,
        });
        Ok(earlier.map_or(secret, |earlier| Zeroizing::new(earlier.to_owned())))
    }

    /// Confirms a second factor by one of its codes. Returns the recovery codes, which are shown only now.
    ///
    /// # Errors
    /// [`SignInRefusal::WrongCode`], [`SignInRefusal::NoFactor`], [`SignInRefusal::FactorExists`]; [`SignInError::Wait`].
    pub async fn confirm_second_factor(
        &self,
        who: &SignedInAs,
        code: &str,
        envelope: &Envelope,
    ) -> Result<Vec<Zeroizing<String>>, SignInError> {
        let account = self.codes_of(&who.user);
        self.begin(&account)?;
        let codes: Vec<Zeroizing<String>> =
            (0..RECOVERY_CODES).map(|_| self.recovery_code()).collect::<Result<_, CommandError>>()?;
        let recovery = codes.iter().map(|code| recovery_hash(code)).collect();
        let (code, now, session) = (code.to_owned(), self.committer.clock.now(), who.session);
        let confirm = SignInCommand::ConfirmSecondFactor { code, recovery, now, session };
        let confirmed = self.run(who.user.id, envelope, confirm).await?;
        self.attempts.forget(&account);
        // The codes of a repeated command's first try are not stored.
        if confirmed.repeated && !confirmed.events.iter().any(|recorded| has_codes(&recorded.event, &codes)) {
            return Err(SignInRefusal::FactorExists.into());
        }
        Ok(codes)
    }

    /// Removes the second factor of a person who gives one of its codes, and the password if given.
    ///
    /// # Errors
    /// [`SignInRefusal::WrongCode`], [`SignInRefusal::Credentials`]; [`SignInError::Wait`].
    pub async fn remove_second_factor(
        &self,
        who: &SignedInAs,
        password: Option<&str>,
        code: &str,
        envelope: &Envelope,
    ) -> Result<Committed, SignInError> {
        if let Some(password) = password {
            self.check(&who.user, password).await?;
        }
        let account = self.codes_of(&who.user);
        self.begin(&account)?;
        let (proof, now) = (FactorProof::Code(code.to_owned()), self.committer.clock.now());
        let removed = self.run(who.user.id, envelope, SignInCommand::RemoveSecondFactor { proof, now }).await?;
        self.attempts.forget(&account);
        Ok(removed)
    }

    /// Removes a person's lost second factor, for an administrator.
    ///
    /// # Errors
    /// When there is no such person.
    pub async fn drop_second_factor(&self, user: UserId, envelope: &Envelope) -> Result<Committed, CommandError> {
        let (proof, now) = (FactorProof::Administrator, self.committer.clock.now());
        self.run(user, envelope, SignInCommand::RemoveSecondFactor { proof, now }).await
    }

    async fn run(&self, user: UserId, envelope: &Envelope, command: SignInCommand) -> Result<Committed, CommandError> {
        let decided = |state: &State| -> Result<Vec<Event>, CommandError> {
            Ok(decide(user_in(state), Command::SignIn(command.clone()))?)
        };
        let committed = self.committer.run(&StreamId::User(user), envelope, decided).await?;
        self.forget_changed(&committed).await;
        Ok(committed)
    }

    /// Makes this node ask the ledger at once about the sessions that a commit changed; others do so within a grant's life.
    async fn forget_changed(&self, committed: &Committed) {
        let Some(user) = user_in(&committed.state).filter(|_| !committed.events.is_empty()) else { return };
        let changed = user.sign_in.sessions.values().filter(|session| session.version == user.version);
        self.book.forget(changed.map(|session| session.id)).await;
    }

    /// The person with this mailbox. The store is asked the same whether there is one or not.
    async fn find(&self, email: Option<&Email>) -> Result<Option<UserId>, CommandError> {
        let mut found = None;
        for form in email.map(Email::forms).unwrap_or_default() {
            let user = self.committer.stores.views.user_by_email(&form).await?;
            found = found.or(user.map(|user| user.id));
        }
        Ok(found)
    }

    /// The account's name for counting wrong attempts: not an address.
    fn account(&self, email: Option<&Email>) -> String {
        let names = email.map(|email| self.committer.claim_names(email.as_str()));
        names.and_then(|names| names.into_iter().min()).unwrap_or_default()
    }

    /// Begins an attempt at an account. Unknown addresses count like accounts, so that a wait tells nothing.
    fn begin(&self, account: &String) -> Result<(), SignInError> {
        let wait = |wait_us| SignInError::Wait(u64::try_from(wait_us).unwrap_or(0).div_ceil(1_000_000));
        self.attempts.begin(account, self.committer.clock.monotonic_us()).map_err(wait)
    }

    fn account_of(&self, user: &User) -> String {
        let email = user.email.known().and_then(|email| Email::parse(email).ok());
        self.account(email.as_ref())
    }

    /// The same for passwords that a signed-in person tries: strangers' sign-in attempts are counted separately.
    fn account_within(&self, user: &User) -> String {
        format!("{} within", self.account_of(user))
    }

    /// The same for codes of the second factor, wherever given. A right password does not reset this count.
    fn codes_of(&self, user: &User) -> String {
        format!("{} codes", self.account_of(user))
    }

    fn new_token(&self) -> Result<SessionToken, CommandError> {
        let mut id = [0; 12];
        self.committer.entropy.fill(&mut id)?;
        Ok(self.committer.secrets.session_token(KeyId::from_random(id)))
    }

    /// A recovery code: 80 bits in base-32, in groups of four.
    fn recovery_code(&self) -> Result<Zeroizing<String>, CommandError> {
        let mut bytes = Zeroizing::new([0; 10]);
        self.committer.entropy.fill(&mut *bytes)?;
        let text = Zeroizing::new(totp::base32(&*bytes));
        let mut code = Zeroizing::new(String::with_capacity(text.len() + text.len() / 4));
        for (place, char) in text.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                code.push('-');
            }
            code.push(char);
        }
        Ok(code)
    }
}

/// Whether an event confirms a second factor with these recovery codes.
fn has_codes(event: &Event, codes: &[Zeroizing<String>]) -> bool {
    let Event::SignIn(SignInEvent::SecondFactorConfirmed { recovery, .. }) = event else { return false };
    codes.iter().all(|code| recovery.known().is_some_and(|kept| kept.contains(&recovery_hash(code))))
}

/// The same command, given by the person: only now it is known who they are.
fn by(user: UserId, envelope: &Envelope) -> Envelope {
    let mut envelope = envelope.clone();
    envelope.origin.who = Who::user(user);
    envelope
}
