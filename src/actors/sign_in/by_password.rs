//! Sign-in with a password: at once with a code of the second factor, or in two steps. Nothing is stored between the steps: the person
//! holds a sealed proof of the right password, for some minutes and for one session.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Credentials, SignInError, SignIns, Started, by};
use crate::{
    actors::commit::{CommandError, Envelope},
    domain::{
        id::{UserId, hex},
        key::KeyId,
        password::PasswordText,
        session_token::SessionToken,
        sign_in::{NewSession, SignInCommand, SignInRefusal},
        user::{CommandRefusal, Standing, User},
    },
    failpoint::crash_point,
};

/// When a refusal with a wait is answered: by then it is known, for every account, whether the person may try all the same.
const WAIT_TOLD_AFTER: Duration = Duration::from_millis(100);
/// The label of a proof's seal.
const PROOF_LABEL: &str = "permitd/password-proof/v1";
/// The life of a proof.
pub const PROOF_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Digits of the hash that identifies the password's hash in a proof.
const HASH_DIGITS: usize = 32;

/// The result of the first step.
pub enum SignInStep {
    /// The person is signed in.
    In(Box<Started>),
    /// A code of the second factor is needed, too. Has the proof of the right password.
    CodeWanted(String),
}

/// A person whose password was right.
struct Right {
    user: User,
    /// The hash that the password was compared with.
    checked: String,
    /// A hash by the present parameters, if they have changed.
    rehashed: Option<String>,
}

/// The proof that a person gave the right password a short time ago.
struct Proof {
    user: UserId,
    /// The one session that it can begin.
    session: KeyId,
    /// When it expires.
    until: Timestamp,
    /// Identifies the password's hash: a proof does not outlive a change of the password.
    of: String,
}

impl Proof {
    fn to_text(&self) -> String {
        format!("{}.{}.{}.{}", self.user, self.session, self.until.as_second(), self.of)
    }

    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [user, session, until, of] = parts.as_slice() else { return None };
        let (user, session) = (UserId::parse(user).ok()?, KeyId::parse(session).ok()?);
        let until = Timestamp::from_second(until.parse().ok()?).ok()?;
        Some(Self { user, session, until, of: (*of).to_owned() })
    }
}

/// The identification of a password's hash in a proof.
fn name_of(phc: &str) -> String {
    let mut name = hex(&Sha256::digest(phc.as_bytes()));
    name.truncate(HASH_DIGITS);
    name
}

impl SignIns {
    /// Signs a person in.
    ///
    /// # Errors
    /// [`SignInRefusal::Credentials`] for any wrong credential; [`SignInRefusal::CodeWanted`] when only the code is missing;
    /// [`SignInError::Wait`].
    pub async fn start(&self, given: Credentials, envelope: &Envelope) -> Result<Started, SignInError> {
        let right = self.right(&given).await?;
        let token = self.new_token()?;
        let Credentials { code, network, .. } = given;
        self.session_of(right, token, Given { code, network }, envelope).await
    }

    /// The first step of two: asks for the code afterwards, and not for the password again.
    ///
    /// # Errors
    /// As [`Self::start`], except [`SignInRefusal::CodeWanted`].
    pub async fn start_by_steps(&self, given: Credentials, envelope: &Envelope) -> Result<SignInStep, SignInError> {
        let right = self.right(&given).await?;
        let token = self.new_token()?;
        let rehashed = right.rehashed.clone();
        let now = self.committer.clock.now();
        let until = now.checked_add(PROOF_LIFE).unwrap_or(now);
        let mut proof = Proof { user: right.user.id, session: token.id(), until, of: name_of(&right.checked) };
        let checked = right.checked.clone();
        let Credentials { code, network, .. } = given;
        match self.session_of(right, token, Given { code, network }, envelope).await {
            Ok(started) => Ok(SignInStep::In(Box::new(started))),
            Err(SignInError::Command(CommandError::Refused(CommandRefusal::SignIn(SignInRefusal::CodeWanted)))) => {
                // The second step has no password to hash again.
                if let Some(phc) = rehashed {
                    proof.of = name_of(&phc);
                    let rehash = SignInCommand::RehashPassword { checked, phc };
                    self.run(proof.user, &by(proof.user, envelope), rehash).await?;
                }
                Ok(SignInStep::CodeWanted(self.committer.secrets.seal(PROOF_LABEL, &proof.to_text())))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a proof is valid.
    pub fn is_proof(&self, sealed: &str) -> bool {
        self.proof(sealed).is_some()
    }

    fn proof(&self, sealed: &str) -> Option<Proof> {
        let (_, text) = self.committer.secrets.open_sealed(PROOF_LABEL, sealed)?;
        Proof::parse(text).filter(|proof| self.committer.clock.now() < proof.until)
    }

    /// The second step: a code of the second factor, or a recovery code. `None` when the proof is no longer valid.
    ///
    /// # Errors
    /// [`SignInRefusal::Credentials`] for a wrong code; [`SignInError::Wait`].
    pub async fn give_code(
        &self,
        sealed: &str,
        code: String,
        network: String,
        envelope: &Envelope,
    ) -> Result<Option<Started>, SignInError> {
        let Some(proof) = self.proof(sealed) else { return Ok(None) };
        let user = self.committer.load_admissible(proof.user).await?.filter(|user| user.standing == Standing::Enabled);
        let Some(user) = user else { return Ok(None) };
        let phc = user.sign_in.password.as_ref().and_then(|phc| phc.known()).map(ToOwned::to_owned);
        let Some(checked) = phc.filter(|phc| name_of(phc) == proof.of) else { return Ok(None) };
        let token = self.committer.secrets.session_token(proof.session);
        let right = Right { user, checked, rehashed: None };
        let given = Given { code: Some(code), network };
        match self.session_of(right, token, given, envelope).await {
            // The proof's session exists already: the proof is used up.
            Err(SignInError::Command(CommandError::Refused(CommandRefusal::SignIn(SignInRefusal::SessionExists)))) => {
                Ok(None)
            }
            started => started.map(Some),
        }
    }

    /// The person with these credentials, if the password is right.
    async fn right(&self, given: &Credentials) -> Result<Right, SignInError> {
        let asked = Instant::now();
        let mut account = self.account(given.email.as_ref());
        let waits = self.begin(&account);
        let user = self.find(given.email.as_ref()).await?;
        let known = self.committer.load_admissible(user.unwrap_or(UserId(Uuid::nil()))).await?;
        let known = known.filter(|user| user.standing == Standing::Enabled);
        if let Err(wait) = waits {
            // Strangers' guesses do not keep a person out at a network where they have signed in: attempts there are counted separately.
            // This holds for every account at a network where anybody has signed in, so that it does not tell which accounts exist.
            let is_theirs = known.as_ref().is_some_and(|user| user.sign_in.has_come_from(&given.network));
            let may_try = is_theirs || self.networks.get(&given.network).is_some();
            account = format!("{account} {}", given.network);
            if let Err(wait) = if may_try { self.begin(&account) } else { Err(wait) } {
                // Hides that reading a person takes longer than finding nobody.
                tokio::time::sleep_until(asked + WAIT_TOLD_AFTER).await;
                return Err(wait);
            }
        }
        let phc = known.as_ref().and_then(|user| user.sign_in.password.as_ref()?.known().map(ToOwned::to_owned));
        let password = PasswordText::given(&given.password);
        let is_right = self.pool.verify(password.clone().unwrap_or_else(PasswordText::nobodys), phc.clone()).await?;
        let (Some(user), Some(checked), Some(password), true) = (known, phc, password, is_right) else {
            return Err(SignInRefusal::Credentials.into());
        };
        let rehashed = match self.pool.is_outdated(&checked) {
            true => Some(self.pool.hash(password).await?),
            false => None,
        };
        self.attempts.forget(&account);
        Ok(Right { user, checked, rehashed })
    }

    /// Begins the session after a right password. Codes are counted separately: otherwise giving the right password alone would reset the
    /// count of wrong codes.
    async fn session_of(
        &self,
        Right { user, checked, rehashed }: Right,
        token: SessionToken,
        Given { code, network }: Given,
        envelope: &Envelope,
    ) -> Result<Started, SignInError> {
        let codes = code.as_ref().map(|_| self.codes_of(&user));
        if let Some(codes) = &codes {
            self.begin(codes)?;
        }
        let now = self.committer.clock.now();
        let expires_at = now.checked_add(self.policy.session).unwrap_or(now);
        let idle_s = self.policy.idle_s;
        let session = NewSession { id: token.id(), hash: token.hash(), expires_at, idle_s, network: network.clone() };
        let bounds = self.policy.bounds;
        let command = SignInCommand::StartSession { checked, rehashed, session, code, now, bounds };
        let committed = match self.run(user.id, &by(user.id, envelope), command).await {
            // Disabled or deleted meanwhile.
            Err(CommandError::Refused(CommandRefusal::Disabled | CommandRefusal::Deleted)) => {
                return Err(SignInRefusal::Credentials.into());
            }
            committed => committed?,
        };
        if let Some(codes) = &codes {
            self.attempts.forget(codes);
        }
        if !network.is_empty() {
            self.networks.insert(network, ());
        }
        crash_point("session-started");
        Ok(Started { user: user.id, token, committed })
    }
}

/// The data given besides the password.
struct Given {
    code: Option<String>,
    network: String,
}
