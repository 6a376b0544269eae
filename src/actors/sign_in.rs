//! Signing in: links, passwords, sessions, second factors. No actor of its own: what it decides is decided by the person's stream, and
//! what costs is bounded by the pool that hashes.
//!
//! Guarantees: whether an address is known is told by no answer, nor by what is done for it: each try compares one password with one
//! hash, and asks the store the same. What was acknowledged is in the log: a session that was ended is refused by every node from then
//! on, since each asks the store; at data it is refused by this node at once, and by the others within a grant's life. A link or a code counts once, whoever uses it at the same moment.

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

/// Requests for a new password that are worked on at the same time, after they were answered.
const RESETS_AT_ONCE: usize = 64;
/// Networks of sign-ins that are remembered; others are forgotten first that were not seen for long.
const NETWORKS_MAX: usize = 10_000;
/// Accounts of which wrong tries are remembered: some megabytes.
const ACCOUNTS_MAX: usize = 16_384;

/// How long links and sessions last, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct SignInPolicy {
    /// How long the link to set another password works.
    pub reset_link: SignedDuration,
    /// Mails with such a link to one person in an hour.
    pub resets_per_hour: u32,
    /// How long a session lasts at the longest.
    pub session: SignedDuration,
    /// Seconds without use after which it ends.
    pub idle_s: u32,
    /// How many sessions there may be.
    pub bounds: Bounds,
    /// How wrong passwords and codes of one account are slowed.
    pub slowing: Slowing,
    /// The shortest password, characters.
    pub password_chars_min: usize,
}

/// Why somebody is not signed in, or something about that was not done.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The command was not carried out.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The text cannot be a password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Too many wrong tries for this account.
    #[error("too many wrong passwords or codes for this account: wait {0} seconds before the next try")]
    Wait(u64),
}

impl From<SignInRefusal> for SignInError {
    fn from(refusal: SignInRefusal) -> Self {
        Self::Command(CommandError::Refused(refusal.into()))
    }
}

impl SignInError {
    /// Whether what was given was wrong, so that it counts as a guess.
    pub fn is_wrong_guess(&self) -> bool {
        let Self::Command(CommandError::Refused(CommandRefusal::SignIn(refusal))) = self else { return false };
        matches!(refusal, SignInRefusal::Credentials | SignInRefusal::WrongCode | SignInRefusal::LinkOver)
    }
}

/// What somebody gives who signs in.
pub struct Credentials {
    /// Their address, if what they gave is one.
    pub email: Option<Email>,
    /// Their password.
    pub password: Zeroizing<String>,
    /// A code of their second factor.
    pub code: Option<String>,
    /// Where from.
    pub network: String,
}

/// A session that began.
pub struct Started {
    /// Whose.
    pub user: UserId,
    /// Its token: shown this once.
    pub token: SessionToken,
    /// The person's state afterwards.
    pub committed: Committed,
}

/// Who is signed in, and by what.
#[derive(Debug, Clone)]
pub struct SignedInAs {
    /// The person.
    pub user: User,
    /// The session.
    pub session: KeyId,
}

/// What is behind a link, for whoever has it and has not used it yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// What for.
    pub purpose: LinkPurpose,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// What came of a link.
pub enum Redeemed {
    /// The password is set.
    PasswordSet,
    /// The key, shown this once.
    Key(ApiKey),
}

/// Signs people in.
pub struct SignIns {
    committer: Arc<Committer>,
    pool: HashingPool,
    attempts: Attempts<String>,
    /// Networks from which somebody has signed in here.
    networks: Cache<String, ()>,
    policy: SignInPolicy,
    resets: Arc<Semaphore>,
    book: Arc<GrantBook>,
    uses: SessionUses,
}

impl SignIns {
    /// Signing in by this pool and policy. What sessions may read is in `book`.
    pub fn new(committer: Arc<Committer>, pool: HashingPool, policy: SignInPolicy, book: Arc<GrantBook>) -> Self {
        let (attempts, resets) =
            (Attempts::new(policy.slowing, ACCOUNTS_MAX), Arc::new(Semaphore::new(RESETS_AT_ONCE)));
        let uses = SessionUses::new(Arc::clone(&committer));
        let networks = Cache::new(NETWORKS_MAX);
        Self { committer, pool, attempts, networks, policy, resets, book, uses }
    }

    /// What carries commands out.
    pub fn committer(&self) -> &Arc<Committer> {
        &self.committer
    }

    /// The pool that hashes passwords.
    pub fn pool(&self) -> &HashingPool {
        &self.pool
    }

    /// Whose session this token is of, as long as it works. Its use is written down now and then.
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
        // Whose secret is not the deployment's any more cannot tell a forged one: the store is asked.
        if !secrets.recognises_session(id, hash) && secrets.doubted().is_none() {
            return Ok(None);
        }
        let Some(row) = self.committer.stores.views.session(id).await? else { return Ok(None) };
        if row.hash != *hash {
            return Ok(None);
        }
        let now = self.committer.clock.now();
        let Some(user) = self.committer.load_user(row.user).await? else { return Ok(None) };
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

    /// Has a link mailed to whoever has this address, if somebody does. What it comes to is told by nothing: it is done after the
    /// answer.
    ///
    /// # Errors
    /// [`Busy`] when too many were asked for at once.
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

    /// Has a link mailed by which a person sets another password; `per_hour` bounds how often.
    ///
    /// # Errors
    /// When there is no such person, or they are disabled or deleted.
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

    /// What is behind a link. Spends nothing.
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

    /// Does what a link is for, once.
    ///
    /// # Errors
    /// [`SignInRefusal::LinkOver`]; when the text cannot be a password, and then the link still works.
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

    /// Uses a link up. Who is disabled or deleted has none that works.
    async fn used(&self, user: UserId, envelope: &Envelope, command: SignInCommand) -> Result<(), SignInError> {
        match self.run(user, &by(user, envelope), command).await {
            Err(CommandError::Refused(CommandRefusal::Disabled | CommandRefusal::Deleted)) => {
                Err(SignInRefusal::LinkOver.into())
            }
            used => Ok(used.map(drop)?),
        }
    }

    /// Sets another password, for who knows the present one. Their other sessions end.
    ///
    /// # Errors
    /// [`SignInRefusal::Credentials`] when it is not the present one; when the new one cannot be one; [`SignInError::Wait`].
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

    /// The hash of the person's password, if this is it.
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

    /// Gives out a secret for a second factor, in base-32.
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
        // A repeated command is told the secret of the first try.
        let earlier = begun.events.iter().find_map(|recorded| match &recorded.event {
            Event::SignIn(SignInEvent::SecondFactorBegun { secret }) => secret.known(),
            _ => None,
        });
        Ok(earlier.map_or(secret, |earlier| Zeroizing::new(earlier.to_owned())))
    }

    /// Confirms a second factor by a code of it. Returns the recovery codes: shown this once.
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
        // The codes of the first try of a repeated command are not kept.
        if confirmed.repeated && !confirmed.events.iter().any(|recorded| has_codes(&recorded.event, &codes)) {
            return Err(SignInRefusal::FactorExists.into());
        }
        Ok(codes)
    }

    /// Removes a person's second factor, for who gives a code of it, and the password where they give one.
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

    /// Removes a person's second factor, for an administrator: of who has lost it.
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

    /// Has this node ask the ledger at once about the sessions that a commit has changed; the others do within a grant's life.
    async fn forget_changed(&self, committed: &Committed) {
        let Some(user) = user_in(&committed.state).filter(|_| !committed.events.is_empty()) else { return };
        let changed = user.sign_in.sessions.values().filter(|session| session.version == user.version);
        self.book.forget(changed.map(|session| session.id)).await;
    }

    /// Whoever has this mailbox. The store is asked the same whether somebody does or not.
    async fn find(&self, email: Option<&Email>) -> Result<Option<UserId>, CommandError> {
        let mut found = None;
        for form in email.map(Email::forms).unwrap_or_default() {
            let user = self.committer.stores.views.user_by_email(&form).await?;
            found = found.or(user.map(|user| user.id));
        }
        Ok(found)
    }

    /// The name by which wrong tries are counted: it is no address.
    fn account(&self, email: Option<&Email>) -> String {
        let names = email.map(|email| self.committer.claim_names(email.as_str()));
        names.and_then(|names| names.into_iter().min()).unwrap_or_default()
    }

    /// Takes a try for an account. An address that nobody has is an account like any other, so that a wait tells nothing.
    fn begin(&self, account: &String) -> Result<(), SignInError> {
        let wait = |wait_us| SignInError::Wait(u64::try_from(wait_us).unwrap_or(0).div_ceil(1_000_000));
        self.attempts.begin(account, self.committer.clock.monotonic_us()).map_err(wait)
    }

    fn account_of(&self, user: &User) -> String {
        let email = user.email.known().and_then(|email| Email::parse(email).ok());
        self.account(email.as_ref())
    }

    /// The same for passwords that somebody tries who is signed in: strangers' tries at signing in are counted apart.
    fn account_within(&self, user: &User) -> String {
        format!("{} within", self.account_of(user))
    }

    /// The same for codes of the second factor, wherever they are given. A right password has none of them forgotten.
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

/// The same command, given by the person themselves: only now it is known who they are.
fn by(user: UserId, envelope: &Envelope) -> Envelope {
    let mut envelope = envelope.clone();
    envelope.origin.who = Who::user(user);
    envelope
}
