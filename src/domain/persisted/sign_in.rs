//! The persisted form of the events about signing in.

use serde_json::value::RawValue;

use super::{
    decoder::Decoder,
    error::CodecError,
    leaks, provider,
    stored::{StoredEvent, raw},
    v1,
};
use crate::domain::{
    key::{KeyHash, KeyId},
    personal::Personal,
    sign_in::SignInEvent,
};

/// Fields with secrets by which people are recognised: no export shows them.
pub(super) const RECOGNISED_BY: [&str; 3] = ["phc", "secret", "recovery"];
/// The text that replaces such a secret.
pub(super) const NOT_SHOWN: &str = "(kept, and not shown)";

/// Encodes an event; `seal` seals its personal data.
pub(super) fn encode(
    event: &SignInEvent,
    seal: impl Fn(&str, &Personal) -> Result<v1::Sealed, CodecError>,
) -> Result<Box<RawValue>, CodecError> {
    let raw = match event {
        SignInEvent::LinkIssued { number, purpose, mail, hash, secret_version, expires_at } => raw(&v1::LinkIssued {
            number: *number,
            purpose: *purpose,
            mail: *mail,
            sha256: hash.to_hex(),
            secret_version: *secret_version,
            expires_at: expires_at.to_string(),
        }),
        SignInEvent::LinkMailed { number, message_id } => {
            raw(&v1::LinkMailed { number: *number, message_id: message_id.clone() })
        }
        SignInEvent::LinkUsed { number } => raw(&v1::LinkUsed { number: *number }),
        SignInEvent::LinkVoided { number } => raw(&leaks::LinkVoided { number: *number }),
        SignInEvent::PasswordSet { phc, session } => {
            raw(&v1::PasswordSet { phc: seal("phc", phc)?, session: session.as_ref().map(KeyId::to_string) })
        }
        SignInEvent::PasswordRehashed { phc } => raw(&v1::PasswordRehashed { phc: seal("phc", phc)? }),
        SignInEvent::SessionStarted { session, hash, expires_at, idle_s, method, network } => {
            let (session, sha256, expires_at) = (session.to_string(), hash.to_hex(), expires_at.to_string());
            let (idle_s, network) = (*idle_s, seal("network", network)?);
            match provider::earlier(*method) {
                Some(method) => raw(&v1::SessionStarted { session, sha256, expires_at, idle_s, method, network }),
                None => {
                    let method = *method;
                    raw(&provider::SessionStartedBy { session, sha256, expires_at, idle_s, method, network })
                }
            }
        }
        SignInEvent::SessionSeen { session } => raw(&v1::SessionSeen { session: session.to_string() }),
        SignInEvent::SessionEnded { session, reason } => {
            let session = session.to_string();
            match leaks::earlier_end(*reason) {
                Some(reason) => raw(&v1::SessionEnded { session, reason }),
                None => raw(&leaks::SessionEndedFor { session, reason: *reason }),
            }
        }
        SignInEvent::SecondFactorBegun { secret } => raw(&v1::SecondFactorBegun { secret: seal("secret", secret)? }),
        SignInEvent::SecondFactorConfirmed { step, recovery } => {
            raw(&v1::SecondFactorConfirmed { step: *step, recovery: seal("recovery", recovery)? })
        }
        SignInEvent::SecondFactorUsed { step, recovery } => {
            raw(&v1::SecondFactorUsed { step: *step, recovery: *recovery })
        }
        SignInEvent::SecondFactorRemoved => raw(&v1::SecondFactorRemoved {}),
    };
    raw.map_err(CodecError::Encode)
}

impl Decoder<'_> {
    /// Decodes an event of version 1; `None` for any other type.
    pub(super) fn decode_sign_in(
        &self,
        type_name: &str,
        stored: &StoredEvent<'_>,
    ) -> Result<Option<SignInEvent>, CodecError> {
        let hash = |text: &str| KeyHash::parse(text).map_err(|error| self.invalid(error));
        let moment = |text: &str| text.parse().map_err(|error: jiff::Error| self.invalid(error));
        Ok(Some(match type_name {
            "LinkIssued" => {
                let v1::LinkIssued { number, purpose, mail, sha256, secret_version, expires_at } = self.read(stored)?;
                let (hash, expires_at) = (hash(&sha256)?, moment(&expires_at)?);
                SignInEvent::LinkIssued { number, purpose, mail, hash, secret_version, expires_at }
            }
            "LinkMailed" => {
                let v1::LinkMailed { number, message_id } = self.read(stored)?;
                SignInEvent::LinkMailed { number, message_id }
            }
            "LinkUsed" => SignInEvent::LinkUsed { number: self.read::<v1::LinkUsed>(stored)?.number },
            "LinkVoided" => SignInEvent::LinkVoided { number: self.read::<leaks::LinkVoided>(stored)?.number },
            "PasswordSet" => {
                let v1::PasswordSet { phc, session } = self.read(stored)?;
                let session = session.map(|session| self.key_id(&session)).transpose()?;
                SignInEvent::PasswordSet { phc: self.open(stored.id, "phc", &phc)?, session }
            }
            "PasswordRehashed" => {
                let v1::PasswordRehashed { phc } = self.read(stored)?;
                SignInEvent::PasswordRehashed { phc: self.open(stored.id, "phc", &phc)? }
            }
            "SessionStarted" => {
                let v1::SessionStarted { session, sha256, expires_at, idle_s, method, network } = self.read(stored)?;
                let (session, hash, expires_at) = (self.key_id(&session)?, hash(&sha256)?, moment(&expires_at)?);
                let (network, method) = (self.open(stored.id, "network", &network)?, method.into());
                SignInEvent::SessionStarted { session, hash, expires_at, idle_s, method, network }
            }
            "SessionSeen" => {
                SignInEvent::SessionSeen { session: self.key_id(&self.read::<v1::SessionSeen>(stored)?.session)? }
            }
            "SessionEnded" => {
                let v1::SessionEnded { session, reason } = self.read(stored)?;
                SignInEvent::SessionEnded { session: self.key_id(&session)?, reason: reason.into() }
            }
            "SecondFactorBegun" => {
                let v1::SecondFactorBegun { secret } = self.read(stored)?;
                SignInEvent::SecondFactorBegun { secret: self.open(stored.id, "secret", &secret)? }
            }
            "SecondFactorConfirmed" => {
                let v1::SecondFactorConfirmed { step, recovery } = self.read(stored)?;
                SignInEvent::SecondFactorConfirmed { step, recovery: self.open(stored.id, "recovery", &recovery)? }
            }
            "SecondFactorUsed" => {
                let v1::SecondFactorUsed { step, recovery } = self.read(stored)?;
                SignInEvent::SecondFactorUsed { step, recovery }
            }
            "SecondFactorRemoved" => {
                self.read::<v1::SecondFactorRemoved>(stored).map(|_| SignInEvent::SecondFactorRemoved)?
            }
            _ => return Ok(None),
        }))
    }
}
