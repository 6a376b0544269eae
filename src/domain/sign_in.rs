//! How a person signs in: links, password, sessions, second factor. A part of the state and events of the person's stream.
//!
//! The stream makes everything happen once: the use of a link, the acceptance of a code, the end of a session. Two simultaneous requests
//! decide one after the other, because both append under the version that they decided on.

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

    /// Tells whether the person signed in at the provider.
    pub const fn is_by_provider(self) -> bool {
        !matches!(self, Self::Password | Self::PasswordAndCode | Self::PasswordAndRecoveryCode)
    }

    /// Tells whether a second factor was shown that counts here.
    pub const fn has_factor(self) -> bool {
        !matches!(self, Self::Password | Self::Provider)
    }

    /// The same method with a code of the second factor.
    const fn with_code(self) -> Self {
        match self {
            Self::Password => Self::PasswordAndCode,
            Self::Provider => Self::ProviderAndCode,
            other => other,
        }
    }

    /// The same method at the provider instead of by password.
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

/// An event about how a person signs in.
#[derive(Debug, Clone, PartialEq)]
pub enum SignInEvent {
    /// A link was issued. An earlier link of the same purpose stops working.
    LinkIssued {
        /// The link's number for that person, from 1.
        number: u32,
        /// The link's purpose.
        purpose: LinkPurpose,
        /// The mail that carries the link; for an invitation, its id.
        mail: Uuid,
        /// The SHA-256 of the link's token.
        hash: KeyHash,
        /// The version of the server secret that the token was derived from.
        secret_version: u32,
        /// When the link stops working.
        expires_at: Timestamp,
    },
    /// A mail with the link was handed to the mail system.
    LinkMailed {
        /// The link's number.
        number: u32,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// The link was used for its purpose.
    LinkUsed {
        /// The link's number.
        number: u32,
    },
    /// The link leaked, and does not work any more.
    LinkVoided {
        /// The link's number.
        number: u32,
    },
    /// A password was set. It ends all sessions but the one that set it.
    PasswordSet {
        /// The password's hash (PHC string).
        phc: Personal,
        /// The session that set it.
        session: Option<KeyId>,
    },
    /// The same password was hashed with other parameters.
    PasswordRehashed {
        /// The password's hash (PHC string).
        phc: Personal,
    },
    /// The person signed in.
    SessionStarted {
        /// The session's public id.
        session: KeyId,
        /// The SHA-256 of the session's token.
        hash: KeyHash,
        /// When the session ends at the latest.
        expires_at: Timestamp,
        /// Seconds without use after which the session ends.
        idle_s: u32,
        /// How the person signed in.
        method: SignInMethod,
        /// The client's network; the address in events of an earlier version.
        network: Personal,
    },
    /// The session was used. Recorded now and then, so that the session does not end as idle.
    SessionSeen {
        /// The session's id.
        session: KeyId,
    },
    /// The session never works again.
    SessionEnded {
        /// The session's id.
        session: KeyId,
        /// The reason.
        reason: SessionEnd,
    },
    /// The person was given a secret for a second factor, and has not confirmed it yet.
    SecondFactorBegun {
        /// The secret in base-32.
        secret: Personal,
    },
    /// The person confirmed the second factor: signing in takes a code from now on.
    SecondFactorConfirmed {
        /// The time step of the confirming code.
        step: u64,
        /// The SHA-256 of each recovery code, as a JSON list.
        recovery: Personal,
    },
    /// A code of the second factor was used.
    SecondFactorUsed {
        /// The time step of the code, unless it is a recovery code.
        step: Option<u64>,
        /// The place of the recovery code, from 0.
        recovery: Option<u8>,
    },
    /// The second factor was removed: signing in takes no code any more.
    SecondFactorRemoved,
}

impl SignInEvent {
    /// The event's type as it is stored.
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

/// A link, as its person's stream records it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The link's number for that person.
    pub number: u32,
    /// The link's purpose.
    pub purpose: LinkPurpose,
    /// The mail that carries the link.
    pub mail: Uuid,
    /// The SHA-256 of the link's token.
    pub hash: KeyHash,
    /// The version of the server secret that the token was derived from.
    pub secret_version: u32,
    /// When the link stops working.
    pub expires_at: Timestamp,
    /// Whether a mail with the link was handed to the mail system.
    pub mailed: bool,
    /// Whether the link was used, or voided.
    pub used: bool,
}

impl Link {
    /// Tells whether the link still works.
    pub fn is_open(&self, now: Timestamp) -> bool {
        !self.used && now < self.expires_at
    }
}

/// A session, as its person's stream records it.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The session's public id.
    pub id: KeyId,
    /// Version of the last commit that changed the session.
    pub version: u64,
    /// The SHA-256 of the session's token.
    pub hash: KeyHash,
    /// When the session began.
    pub started_at: Timestamp,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
    /// Seconds without use after which the session ends.
    pub idle_s: u32,
    /// When the session was last used, as far as recorded.
    pub seen_at: Timestamp,
    /// How the person signed in.
    pub method: SignInMethod,
    /// The client's network; `None` once erased.
    pub network: Option<Personal>,
    /// When and why the session ended before its time.
    pub ended: Option<(Timestamp, SessionEnd)>,
}

impl Session {
    /// When the session ends unless it is used.
    pub fn idle_at(&self) -> Timestamp {
        let idle = SignedDuration::from_secs(i64::from(self.idle_s));
        self.seen_at.checked_add(idle).map_or(self.expires_at, |idle| idle.min(self.expires_at))
    }

    /// Tells whether the session works.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.idle_at()
    }

    /// Tells whether a use has to be recorded: a quarter of the idle time has passed since the last one.
    pub fn is_to_be_seen(&self, now: Timestamp) -> bool {
        now.duration_since(self.seen_at) >= SignedDuration::from_secs(i64::from(self.idle_s / 4))
    }
}

/// A confirmed second factor.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondFactor {
    /// The secret in base-32.
    pub secret: Personal,
    /// The time step of the last code that was used.
    pub step: u64,
    /// The SHA-256 of each recovery code, as a JSON list.
    pub recovery: Personal,
    /// The places of the recovery codes that were used.
    pub recovery_used: BTreeSet<u8>,
    /// When the second factor was confirmed.
    pub since: Timestamp,
}

impl SecondFactor {
    /// The number of recovery codes not used yet.
    pub fn recovery_left(&self) -> usize {
        RECOVERY_CODES.saturating_sub(self.recovery_used.len())
    }
}

/// How a person signs in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignIn {
    /// The number of links ever issued.
    pub links_issued: u32,
    /// The newest link of each purpose.
    pub links: Vec<Link>,
    /// The mails of requested links, and when each was requested.
    pub reset_mails: Vec<(Uuid, Timestamp)>,
    /// The password's hash (PHC string).
    pub password: Option<Personal>,
    /// All sessions.
    pub sessions: BTreeMap<KeyId, Session>,
    /// A secret handed out for a second factor and not confirmed yet.
    pub begun: Option<Personal>,
    /// The second factor.
    pub second_factor: Option<SecondFactor>,
}

impl SignIn {
    /// Tells whether somebody has signed in from this network.
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

    /// Tells whether they have a known way to sign in: a password, or a provider that has known them.
    pub fn has_way_in(&self) -> bool {
        self.password.is_some() || self.sessions.values().any(|session| session.method.is_by_provider())
    }

    /// Tells whether this session meets the demand of a second factor: the person has one here, or showed one at the provider.
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

    /// Erases everything that concerns the person or comes from them.
    pub(super) fn erase(&mut self, at: Timestamp, version: u64) {
        self.end_all(at, version, SessionEnd::Deleted, None);
        for session in self.sessions.values_mut() {
            // The session's row in the view changes with it.
            session.network = None;
            session.version = version;
        }
        self.links.clear();
        self.password = None;
        self.begun = None;
        self.second_factor = None;
    }

    /// Applies an event.
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
                // Other links to set a password must not work any more.
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
                // The remaining session has shown a code; the others ended.
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
