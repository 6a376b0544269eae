//! How a person signs in: links, password, sessions, second factor. A part of their stream's state, and the events of it.
//!
//! What is said once in the stream holds once: a link that was used, a code that was taken, a session that ended. Two requests at
//! the same moment decide one after the other, since both append under the version that they decided on.

mod decide;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    decide::{Bounds, FactorProof, NewLink, NewSession, SignInCommand, decide, recovery_hash, start_by_provider},
    refusal::SignInRefusal,
};
use super::{
    key::{KeyHash, KeyId},
    link::LinkPurpose,
    personal::Personal,
};

/// Recovery codes that are made with a second factor.
pub const RECOVERY_CODES: usize = 10;

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    /// By a password.
    Password,
    /// By a password and a code of the second factor.
    PasswordAndCode,
    /// By a password and a recovery code.
    PasswordAndRecoveryCode,
    /// At the provider of identities.
    Provider,
    /// At the provider, which has seen a second factor that counts here.
    ProviderAndItsFactor,
    /// At the provider, and by a code of the second factor.
    ProviderAndCode,
    /// At the provider, and by a recovery code.
    ProviderAndRecoveryCode,
}

impl SignInMethod {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Password,
        Self::PasswordAndCode,
        Self::PasswordAndRecoveryCode,
        Self::Provider,
        Self::ProviderAndItsFactor,
        Self::ProviderAndCode,
        Self::ProviderAndRecoveryCode,
    ];

    /// The name in answers and in the view.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PasswordAndCode => "password_and_code",
            Self::PasswordAndRecoveryCode => "password_and_recovery_code",
            Self::Provider => "provider",
            Self::ProviderAndItsFactor => "provider_and_its_factor",
            Self::ProviderAndCode => "provider_and_code",
            Self::ProviderAndRecoveryCode => "provider_and_recovery_code",
        }
    }

    /// Whether it was the provider that knew them.
    pub const fn is_by_provider(self) -> bool {
        !matches!(self, Self::Password | Self::PasswordAndCode | Self::PasswordAndRecoveryCode)
    }

    /// Whether a second factor was shown that counts here.
    pub const fn has_factor(self) -> bool {
        !matches!(self, Self::Password | Self::Provider)
    }

    /// The same with a code of the second factor beside it.
    const fn with_code(self) -> Self {
        match self {
            Self::Password => Self::PasswordAndCode,
            Self::Provider => Self::ProviderAndCode,
            other => other,
        }
    }

    /// The same with the provider in place of the password.
    const fn by_provider(self) -> Self {
        match self {
            Self::Password => Self::Provider,
            Self::PasswordAndCode => Self::ProviderAndCode,
            Self::PasswordAndRecoveryCode => Self::ProviderAndRecoveryCode,
            other => other,
        }
    }
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Its owner signed out.
    SignedOut,
    /// Its owner ended it from elsewhere.
    EndedByOwner,
    /// An administrator ended it.
    EndedByAdministrator,
    /// The person has another password.
    PasswordChanged,
    /// The person was disabled.
    Disabled,
    /// The person was deleted.
    Deleted,
    /// The person may do something else.
    RoleChanged,
    /// There were newer ones, as many as one person may have.
    TooMany,
    /// Its token was found where others could read it.
    Leaked,
}

impl SessionEnd {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SignedOut,
        Self::EndedByOwner,
        Self::EndedByAdministrator,
        Self::PasswordChanged,
        Self::Disabled,
        Self::Deleted,
        Self::RoleChanged,
        Self::TooMany,
        Self::Leaked,
    ];

    /// The name in answers and in the view.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::EndedByOwner => "ended_by_owner",
            Self::EndedByAdministrator => "ended_by_administrator",
            Self::PasswordChanged => "password_changed",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::RoleChanged => "role_changed",
            Self::TooMany => "too_many",
            Self::Leaked => "leaked",
        }
    }
}

/// Something that happened to how a person signs in.
#[derive(Debug, Clone, PartialEq)]
pub enum SignInEvent {
    /// There is a link. One of the same purpose from before does not work any more.
    LinkIssued {
        /// Which of theirs, from 1.
        number: u32,
        /// What for.
        purpose: LinkPurpose,
        /// The mail that it is in: of an invitation its id.
        mail: Uuid,
        /// The SHA-256 of its token.
        hash: KeyHash,
        /// Which server secret it was derived from.
        secret_version: u32,
        /// When it stops working.
        expires_at: Timestamp,
    },
    /// A mail with the link was handed to the mail system.
    LinkMailed {
        /// Which link.
        number: u32,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// Somebody did what the link is for.
    LinkUsed {
        /// Which link.
        number: u32,
    },
    /// The link was found where others could read it, and does not work any more.
    LinkVoided {
        /// Which link.
        number: u32,
    },
    /// They have this password. Their sessions end, but for the one that set it.
    PasswordSet {
        /// Its hash (PHC string).
        phc: Personal,
        /// The session that set it.
        session: Option<KeyId>,
    },
    /// The same password is hashed otherwise.
    PasswordRehashed {
        /// Its hash (PHC string).
        phc: Personal,
    },
    /// They signed in.
    SessionStarted {
        /// The session's public id.
        session: KeyId,
        /// The SHA-256 of its token.
        hash: KeyHash,
        /// When it ends at the latest.
        expires_at: Timestamp,
        /// Seconds without use after which it ends.
        idle_s: u32,
        /// How they signed in.
        method: SignInMethod,
        /// The network that it came from: of one that an earlier version began, the address.
        network: Personal,
    },
    /// The session was used: written down now and then, so that it does not end as an idle one.
    SessionSeen {
        /// Which.
        session: KeyId,
    },
    /// The session never works again.
    SessionEnded {
        /// Which.
        session: KeyId,
        /// Why.
        reason: SessionEnd,
    },
    /// They were given a secret for a second factor, and have not shown yet that they have it.
    SecondFactorBegun {
        /// The secret in base-32.
        secret: Personal,
    },
    /// They have shown it: signing in takes a code from now on.
    SecondFactorConfirmed {
        /// The time step of the code.
        step: u64,
        /// The SHA-256 of each recovery code, as a JSON list.
        recovery: Personal,
    },
    /// A code was taken.
    SecondFactorUsed {
        /// The time step of a code by the time.
        step: Option<u64>,
        /// Which recovery code, from 0.
        recovery: Option<u8>,
    },
    /// Signing in takes no code any more.
    SecondFactorRemoved,
}

impl SignInEvent {
    /// The type as it is stored.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::LinkIssued { .. } => "LinkIssued",
            Self::LinkMailed { .. } => "LinkMailed",
            Self::LinkUsed { .. } => "LinkUsed",
            Self::LinkVoided { .. } => "LinkVoided",
            Self::PasswordSet { .. } => "PasswordSet",
            Self::PasswordRehashed { .. } => "PasswordRehashed",
            Self::SessionStarted { .. } => "SessionStarted",
            Self::SessionSeen { .. } => "SessionSeen",
            Self::SessionEnded { .. } => "SessionEnded",
            Self::SecondFactorBegun { .. } => "SecondFactorBegun",
            Self::SecondFactorConfirmed { .. } => "SecondFactorConfirmed",
            Self::SecondFactorUsed { .. } => "SecondFactorUsed",
            Self::SecondFactorRemoved => "SecondFactorRemoved",
        }
    }
}

/// A link, as its person's stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Which of theirs.
    pub number: u32,
    /// What for.
    pub purpose: LinkPurpose,
    /// The mail that it is in.
    pub mail: Uuid,
    /// The SHA-256 of its token.
    pub hash: KeyHash,
    /// Which server secret it was derived from.
    pub secret_version: u32,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// Whether a mail with it was handed over.
    pub mailed: bool,
    /// Whether it was used, or voided.
    pub used: bool,
}

impl Link {
    /// Whether it still works.
    pub fn is_open(&self, now: Timestamp) -> bool {
        !self.used && now < self.expires_at
    }
}

/// A session, as its person's stream tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its public id.
    pub id: KeyId,
    /// Version of the last commit that changed it.
    pub version: u64,
    /// The SHA-256 of its token.
    pub hash: KeyHash,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Seconds without use after which it ends.
    pub idle_s: u32,
    /// When it was last used, as far as it is written down.
    pub seen_at: Timestamp,
    /// How they signed in.
    pub method: SignInMethod,
    /// Where from; none once erased.
    pub network: Option<Personal>,
    /// When and why it ended before its time.
    pub ended: Option<(Timestamp, SessionEnd)>,
}

impl Session {
    /// When it ends unless it is used.
    pub fn idle_at(&self) -> Timestamp {
        let idle = SignedDuration::from_secs(i64::from(self.idle_s));
        self.seen_at.checked_add(idle).map_or(self.expires_at, |idle| idle.min(self.expires_at))
    }

    /// Whether it works.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.idle_at()
    }

    /// Whether a use is to be written down: a quarter of the idle time has passed since the last one.
    pub fn is_to_be_seen(&self, now: Timestamp) -> bool {
        now.duration_since(self.seen_at) >= SignedDuration::from_secs(i64::from(self.idle_s / 4))
    }
}

/// A second factor that was confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondFactor {
    /// The secret in base-32.
    pub secret: Personal,
    /// The last step of which a code was taken.
    pub step: u64,
    /// The SHA-256 of each recovery code, as a JSON list.
    pub recovery: Personal,
    /// Which of them were used.
    pub recovery_used: BTreeSet<u8>,
    /// Since when.
    pub since: Timestamp,
}

impl SecondFactor {
    /// Recovery codes that were not used.
    pub fn recovery_left(&self) -> usize {
        RECOVERY_CODES.saturating_sub(self.recovery_used.len())
    }
}

/// How a person signs in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignIn {
    /// Links that were ever issued.
    pub links_issued: u32,
    /// The newest link of each purpose.
    pub links: Vec<Link>,
    /// The mails of links that were asked for, and when.
    pub reset_mails: Vec<(Uuid, Timestamp)>,
    /// The password's hash (PHC string).
    pub password: Option<Personal>,
    /// All sessions.
    pub sessions: BTreeMap<KeyId, Session>,
    /// A secret that was given out and not confirmed yet.
    pub begun: Option<Personal>,
    /// The second factor.
    pub second_factor: Option<SecondFactor>,
}

impl SignIn {
    /// Whether somebody has signed in from this network.
    pub fn has_come_from(&self, network: &str) -> bool {
        let networks = self.sessions.values().filter_map(|session| session.network.as_ref()?.known());
        !network.is_empty() && networks.into_iter().any(|known| known == network)
    }

    /// The number of the next link.
    pub fn next_link(&self) -> u32 {
        self.links_issued.saturating_add(1)
    }

    /// A link by its number, unless a newer one has replaced it.
    pub fn link(&self, number: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.number == number)
    }

    /// The link for this purpose that is in this mail.
    pub fn link_in(&self, mail: Uuid, purpose: LinkPurpose) -> Option<&Link> {
        self.links.iter().find(|link| link.mail == mail && link.purpose == purpose)
    }

    /// Whether they have a way to sign in, as far as is known: a password, or a provider that has known them.
    pub fn has_way_in(&self) -> bool {
        self.password.is_some() || self.sessions.values().any(|session| session.method.is_by_provider())
    }

    /// Whether this session meets the demand of a second factor: they have one here, or have shown one at the provider.
    pub fn has_factor_in(&self, session: KeyId) -> bool {
        let method = self.sessions.get(&session).map(|session| session.method);
        self.second_factor.is_some() || method == Some(SignInMethod::ProviderAndItsFactor)
    }

    /// The sessions that work, oldest first.
    pub fn live_sessions(&self, now: Timestamp) -> Vec<&Session> {
        let mut live: Vec<&Session> = self.sessions.values().filter(|session| session.is_live(now)).collect();
        live.sort_by_key(|session| (session.started_at, session.id));
        live
    }

    /// Ends all sessions that have not ended, but for one.
    pub(super) fn end_all(&mut self, at: Timestamp, version: u64, reason: SessionEnd, but: Option<KeyId>) {
        for session in self.sessions.values_mut().filter(|session| session.ended.is_none() && Some(session.id) != but) {
            session.version = version;
            session.ended = Some((at, reason));
        }
    }

    /// Forgets all that was said of the person and by them.
    pub(super) fn erase(&mut self, at: Timestamp, version: u64) {
        self.end_all(at, version, SessionEnd::Deleted, None);
        for session in self.sessions.values_mut() {
            // The view's row changes with it.
            session.network = None;
            session.version = version;
        }
        self.links.clear();
        self.password = None;
        self.begun = None;
        self.second_factor = None;
    }

    /// Takes in an event.
    pub(super) fn apply(&mut self, event: &SignInEvent, at: Timestamp, version: u64) {
        match event {
            SignInEvent::LinkIssued { number, purpose, mail, hash, secret_version, expires_at } => {
                self.links_issued = self.links_issued.max(*number);
                self.links.retain(|link| link.purpose != *purpose);
                if *purpose == LinkPurpose::PasswordReset {
                    self.reset_mails.push((*mail, at));
                }
                let (number, purpose, mail, hash, secret_version, expires_at) =
                    (*number, *purpose, *mail, *hash, *secret_version, *expires_at);
                let (mailed, used) = (false, false);
                self.links.push(Link { number, purpose, mail, hash, secret_version, expires_at, mailed, used });
            }
            SignInEvent::LinkMailed { number, .. } => self.change_link(*number, |link| link.mailed = true),
            SignInEvent::LinkUsed { number } | SignInEvent::LinkVoided { number } => {
                self.change_link(*number, |link| link.used = true)
            }
            SignInEvent::PasswordSet { phc, session } => {
                self.password = Some(phc.clone());
                // Whoever else has a link could set another one.
                self.links.retain(|link| link.used || link.purpose == LinkPurpose::ClaimKey);
                self.end_all(at, version, SessionEnd::PasswordChanged, *session);
                if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session)) {
                    session.version = version;
                }
            }
            SignInEvent::PasswordRehashed { phc } => self.password = Some(phc.clone()),
            SignInEvent::SessionStarted { session, hash, expires_at, idle_s, method, network } => {
                let started = Session {
                    id: *session,
                    version,
                    hash: *hash,
                    started_at: at,
                    expires_at: *expires_at,
                    idle_s: *idle_s,
                    seen_at: at,
                    method: *method,
                    network: Some(network.clone()),
                    ended: None,
                };
                self.sessions.insert(*session, started);
            }
            SignInEvent::SessionSeen { session } => {
                self.change_session(*session, version, |session| session.seen_at = at)
            }
            SignInEvent::SessionEnded { session, reason } => {
                self.change_session(*session, version, |session| session.ended = Some((at, *reason)));
            }
            SignInEvent::SecondFactorBegun { secret } => self.begun = Some(secret.clone()),
            SignInEvent::SecondFactorConfirmed { step, recovery } => {
                self.second_factor = self.begun.take().map(|secret| SecondFactor {
                    secret,
                    step: *step,
                    recovery: recovery.clone(),
                    recovery_used: BTreeSet::new(),
                    since: at,
                });
                // The one that is left has shown a code: the others ended with it.
                for session in self.sessions.values_mut().filter(|session| session.ended.is_none()) {
                    session.method = session.method.with_code();
                    session.version = version;
                }
            }
            SignInEvent::SecondFactorUsed { step, recovery } => {
                if let Some(factor) = &mut self.second_factor {
                    factor.step = step.unwrap_or(factor.step).max(factor.step);
                    factor.recovery_used.extend(recovery);
                }
            }
            SignInEvent::SecondFactorRemoved => {
                self.second_factor = None;
                self.begun = None;
            }
        }
    }

    fn change_link(&mut self, number: u32, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.iter_mut().find(|link| link.number == number) {
            change(link);
        }
    }

    fn change_session(&mut self, id: KeyId, version: u64, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.version = version;
            change(session);
        }
    }
}
