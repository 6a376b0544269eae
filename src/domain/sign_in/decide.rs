//! Decides commands about signing in.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{SecondFactor, SessionEnd, SignIn, SignInEvent, SignInMethod, SignInRefusal};
use crate::domain::{
    id::hex,
    key::{KeyHash, KeyId},
    link::{LinkPurpose, PresentedLink},
    pace,
    personal::Personal,
    totp,
};

/// A link that is about to be issued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLink {
    /// The link's purpose.
    pub purpose: LinkPurpose,
    /// The link's number for that person: the next one.
    pub number: u32,
    /// The mail that will carry the link.
    pub mail: Uuid,
    /// The SHA-256 of the link's token.
    pub hash: KeyHash,
    /// The version of the server secret that the token was derived from.
    pub secret_version: u32,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

/// A session that is about to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// The session's public id.
    pub id: KeyId,
    /// The SHA-256 of the session's token.
    pub hash: KeyHash,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
    /// Seconds without use after which the session ends.
    pub idle_s: u32,
    /// The client's network.
    pub network: String,
}

/// Limits on sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions of one person at the same time: a newer one ends the oldest.
    pub sessions: usize,
    /// Sessions that one person may start in an hour.
    pub sessions_per_hour: u32,
}

/// Why a second factor may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactorProof {
    /// The person gave a code of it, or a recovery code.
    Code(String),
    /// The caller is an administrator.
    Administrator,
}

/// A command about how a person signs in. The caller passes identifiers, moments and hashes.
#[derive(Debug, Clone, PartialEq)]
pub enum SignInCommand {
    /// Issue links, all in one mail.
    IssueLinks(Vec<NewLink>),
    /// Issue a link to set another password, if not too many were asked for.
    AskForReset {
        /// The link.
        link: NewLink,
        /// The most in an hour; no limit for an administrator.
        per_hour: Option<u32>,
        /// The present moment.
        now: Timestamp,
    },
    /// Record that a mail with a link was handed over.
    RecordLinkMailed {
        /// The link's number.
        number: u32,
        /// The mail's Message-ID.
        message_id: String,
    },
    /// Set the password by a link, which is then used up.
    SetPasswordByLink {
        /// The link.
        link: PresentedLink,
        /// The new password's hash.
        phc: String,
        /// The present moment.
        now: Timestamp,
    },
    /// Show the key by a link, which is then used up.
    ClaimKey {
        /// The link.
        link: PresentedLink,
        /// The present moment.
        now: Timestamp,
    },
    /// Set another password.
    ChangePassword {
        /// The hash of the password that was checked.
        checked: String,
        /// The new password's hash.
        phc: String,
        /// The session that asks.
        session: KeyId,
    },
    /// Rehash the same password with the present parameters.
    RehashPassword {
        /// The hash of the password that was checked.
        checked: String,
        /// The hash of the same password with the present parameters.
        phc: String,
    },
    /// Begin a session.
    StartSession {
        /// The hash of the password that was checked.
        checked: String,
        /// The hash of the same password with the present parameters, if they have changed.
        rehashed: Option<String>,
        /// The session.
        session: NewSession,
        /// A code of the second factor.
        code: Option<String>,
        /// The present moment.
        now: Timestamp,
        /// The limits on sessions.
        bounds: Bounds,
    },
    /// Record that a session was used.
    SeeSession {
        /// The session's id.
        session: KeyId,
        /// The present moment.
        now: Timestamp,
    },
    /// End a session.
    EndSession {
        /// The session's id.
        session: KeyId,
        /// The reason.
        reason: SessionEnd,
    },
    /// End all sessions that work.
    EndSessions {
        /// The reason.
        reason: SessionEnd,
        /// The present moment.
        now: Timestamp,
    },
    /// Give out a secret for a second factor.
    BeginSecondFactor {
        /// The secret in base-32.
        secret: String,
    },
    /// Confirm the second factor by a code of it.
    ConfirmSecondFactor {
        /// The code.
        code: String,
        /// The SHA-256 of each recovery code, in hexadecimal.
        recovery: Vec<String>,
        /// The present moment.
        now: Timestamp,
        /// The session that asks: all other sessions end, because they showed no second factor.
        session: KeyId,
    },
    /// Remove the second factor.
    RemoveSecondFactor {
        /// Why the second factor may be removed.
        proof: FactorProof,
        /// The present moment.
        now: Timestamp,
    },
}

/// Decides a command about an enabled person. Returns no event if nothing changes.
///
/// # Errors
/// Why the command is refused.
pub fn decide(state: &SignIn, command: SignInCommand) -> Result<Vec<SignInEvent>, SignInRefusal> {
    match command {
        SignInCommand::IssueLinks(links) => Ok(links.into_iter().map(issued).collect()),
        SignInCommand::AskForReset { link, per_hour, now } => {
            let earlier = state.reset_mails.iter().map(|(_, at)| *at);
            if per_hour.is_some_and(|bound| pace::wait(earlier, bound, now).is_some()) {
                return Err(SignInRefusal::TooManyMails);
            }
            Ok(vec![issued(link)])
        }
        SignInCommand::RecordLinkMailed { number, message_id } => Ok(match state.link(number) {
            Some(link) if !link.mailed => vec![SignInEvent::LinkMailed { number, message_id }],
            _ => Vec::new(),
        }),
        SignInCommand::SetPasswordByLink { link, phc, now } => {
            let purposes = [LinkPurpose::Invitation, LinkPurpose::PasswordReset];
            let number = open_link(state, &link, &purposes, now)?;
            let set = SignInEvent::PasswordSet { phc: Personal::Known(phc), session: None };
            Ok(vec![SignInEvent::LinkUsed { number }, set])
        }
        SignInCommand::ClaimKey { link, now } => {
            let number = open_link(state, &link, &[LinkPurpose::ClaimKey], now)?;
            Ok(vec![SignInEvent::LinkUsed { number }])
        }
        SignInCommand::ChangePassword { checked, phc, session } => {
            is_checked(state, &checked)?;
            Ok(vec![SignInEvent::PasswordSet { phc: Personal::Known(phc), session: Some(session) }])
        }
        SignInCommand::RehashPassword { checked, phc } => {
            is_checked(state, &checked)?;
            Ok(vec![SignInEvent::PasswordRehashed { phc: Personal::Known(phc) }])
        }
        SignInCommand::StartSession { checked, rehashed, session, code, now, bounds } => {
            is_checked(state, &checked)?;
            let (used, method) = factor_of(state, code.as_deref(), now)?;
            let rehashed = rehashed.map(|phc| SignInEvent::PasswordRehashed { phc: Personal::Known(phc) });
            start_session(state, used.into_iter().chain(rehashed), session, method, now, bounds)
        }
        SignInCommand::SeeSession { session, now } => Ok(match state.sessions.get(&session) {
            Some(known) if known.is_live(now) && known.is_to_be_seen(now) => vec![SignInEvent::SessionSeen { session }],
            _ => Vec::new(),
        }),
        SignInCommand::EndSession { session, reason } => match state.sessions.get(&session) {
            None => Err(SignInRefusal::NoSession),
            Some(known) if known.ended.is_some() => Ok(Vec::new()),
            Some(_) => Ok(vec![SignInEvent::SessionEnded { session, reason }]),
        },
        SignInCommand::EndSessions { reason, now } => Ok(end_others(state, None, reason, now)),
        SignInCommand::BeginSecondFactor { secret } => {
            if state.second_factor.is_some() {
                return Err(SignInRefusal::FactorExists);
            }
            Ok(vec![SignInEvent::SecondFactorBegun { secret: Personal::Known(secret) }])
        }
        SignInCommand::ConfirmSecondFactor { code, recovery, now, session } => {
            if state.second_factor.is_some() {
                return Err(SignInRefusal::FactorExists);
            }
            let secret = state.begun.as_ref().and_then(Personal::known).and_then(totp::unbase32);
            let secret = secret.ok_or(SignInRefusal::NoFactor)?;
            let step = totp::accepted_step(&secret, code.trim(), now, 0).ok_or(SignInRefusal::WrongCode)?;
            let recovery = serde_json::to_string(&recovery).map_err(|_| SignInRefusal::NoFactor)?;
            let confirmed = SignInEvent::SecondFactorConfirmed { step, recovery: Personal::Known(recovery) };
            let ended = end_others(state, Some(session), SessionEnd::EndedByOwner, now);
            Ok(std::iter::once(confirmed).chain(ended).collect())
        }
        SignInCommand::RemoveSecondFactor { proof, now } => {
            let Some(factor) = &state.second_factor else {
                return Ok(state.begun.iter().map(|_| SignInEvent::SecondFactorRemoved).collect());
            };
            let used = match proof {
                FactorProof::Code(code) => Some(taken(factor, &code, now).ok_or(SignInRefusal::WrongCode)?.0),
                FactorProof::Administrator => None,
            };
            Ok(used.into_iter().chain([SignInEvent::SecondFactorRemoved]).collect())
        }
    }
}

fn issued(link: NewLink) -> SignInEvent {
    let NewLink { purpose, number, mail, hash, secret_version, expires_at } = link;
    SignInEvent::LinkIssued { number, purpose, mail, hash, secret_version, expires_at }
}

/// The number of a link, if it works.
fn open_link(
    state: &SignIn,
    presented: &PresentedLink,
    purposes: &[LinkPurpose],
    now: Timestamp,
) -> Result<u32, SignInRefusal> {
    let is_it =
        |link: &&super::Link| link.hash == presented.hash && purposes.contains(&link.purpose) && link.is_open(now);
    state.link(presented.place.number).filter(is_it).map(|link| link.number).ok_or(SignInRefusal::LinkOver)
}

/// Checks that the verified password is still the current one: it may have been changed meanwhile.
fn is_checked(state: &SignIn, checked: &str) -> Result<(), SignInRefusal> {
    let is_same = state.password.as_ref().and_then(Personal::known) == Some(checked);
    if is_same { Ok(()) } else { Err(SignInRefusal::Credentials) }
}

/// Begins a session of a person whom the provider knows. `has_factor` says whether they showed a second factor there; otherwise a code of
/// their second factor here is required, if they have one.
///
/// # Errors
/// As [`decide`] for a session that begins with a password.
pub fn start_by_provider(
    state: &SignIn,
    session: NewSession,
    has_factor: bool,
    code: Option<&str>,
    now: Timestamp,
    bounds: Bounds,
) -> Result<Vec<SignInEvent>, SignInRefusal> {
    let (used, method) = match has_factor {
        true => (None, SignInMethod::ProviderAndItsFactor),
        false => factor_of(state, code, now).map(|(used, method)| (used, method.by_provider()))?,
    };
    start_session(state, used, session, method, now, bounds)
}

/// The use of the person's second factor, if they have one, and the sign-in method as if by a password.
fn factor_of(
    state: &SignIn,
    code: Option<&str>,
    now: Timestamp,
) -> Result<(Option<SignInEvent>, SignInMethod), SignInRefusal> {
    match (&state.second_factor, code) {
        (None, _) => Ok((None, SignInMethod::Password)),
        (Some(_), None) => Err(SignInRefusal::CodeWanted),
        (Some(factor), Some(code)) => {
            let (used, method) = taken(factor, code, now).ok_or(SignInRefusal::Credentials)?;
            Ok((Some(used), method))
        }
    }
}

fn start_session(
    state: &SignIn,
    first: impl IntoIterator<Item = SignInEvent>,
    session: NewSession,
    method: SignInMethod,
    now: Timestamp,
    bounds: Bounds,
) -> Result<Vec<SignInEvent>, SignInRefusal> {
    let earlier = state.sessions.values().map(|session| session.started_at);
    if pace::wait(earlier, bounds.sessions_per_hour, now).is_some() {
        return Err(SignInRefusal::TooManySessions);
    }
    let NewSession { id, hash, expires_at, idle_s, network } = session;
    if state.sessions.contains_key(&id) {
        return Err(SignInRefusal::SessionExists);
    }
    let live = state.live_sessions(now);
    let over = (live.len() + 1).saturating_sub(bounds.sessions);
    let ended = live
        .into_iter()
        .take(over)
        .map(|oldest| SignInEvent::SessionEnded { session: oldest.id, reason: SessionEnd::TooMany });
    let network = Personal::Known(network);
    let started = SignInEvent::SessionStarted { session: id, hash, expires_at, idle_s, method, network };
    Ok(first.into_iter().chain(ended).chain([started]).collect())
}

fn end_others(state: &SignIn, but: Option<KeyId>, reason: SessionEnd, now: Timestamp) -> Vec<SignInEvent> {
    let others = state.live_sessions(now).into_iter().filter(|session| Some(session.id) != but);
    others.map(|session| SignInEvent::SessionEnded { session: session.id, reason }).collect()
}

/// The event that records a right code, and the method: the time step of a code, or the place of a recovery code. Each is accepted once.
fn taken(factor: &SecondFactor, code: &str, now: Timestamp) -> Option<(SignInEvent, SignInMethod)> {
    let secret = totp::unbase32(factor.secret.known()?)?;
    let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if let Some(step) = totp::accepted_step(&secret, &code, now, factor.step) {
        let used = SignInEvent::SecondFactorUsed { step: Some(step), recovery: None };
        return Some((used, SignInMethod::PasswordAndCode));
    }
    let hashes: Vec<String> = serde_json::from_str(factor.recovery.known()?).ok()?;
    let given = recovery_hash(&code);
    let is_it = |hash: &String| bool::from(hash.as_bytes().ct_eq(given.as_bytes()));
    let matching: Vec<u8> = (0u8..).zip(&hashes).filter(|(_, hash)| is_it(hash)).map(|(place, _)| place).collect();
    let place = matching.into_iter().find(|place| !factor.recovery_used.contains(place))?;
    let used = SignInEvent::SecondFactorUsed { step: None, recovery: Some(place) };
    Some((used, SignInMethod::PasswordAndRecoveryCode))
}

/// The stored form of a recovery code: its SHA-256, regardless of case and hyphens.
pub fn recovery_hash(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    hex(&Sha256::digest(plain.as_bytes()))
}
