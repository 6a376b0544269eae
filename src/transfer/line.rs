//! The lines of a log's file.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroize;

use crate::{
    domain::{
        checkpoint::{LeafProof, SignedCheckpoint},
        id::{CommandId, StreamId, UserId},
        key::KeyHash,
        persisted::line::CommitLine,
        personal::PersonalKey,
    },
    secrets::SecretMark,
    store::{BesideLog, EarlierToken, KeptCheckpoint, LeavesName, Quarantine},
};

/// The form of the files that this permitd writes.
pub const FORM: u32 = 1;

/// What a file is: its first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHead {
    /// The form of the file.
    pub form: u32,
    /// The file's own id.
    pub id: Uuid,
    /// The program that made it.
    pub permitd: String,
    /// When.
    pub made_at: Timestamp,
    /// Whether it has the keys of people's data.
    pub with_personal_keys: bool,
    /// Whether it has the server secret.
    pub with_secret: bool,
}

/// What a file has: its last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEnd {
    /// Commits.
    pub(super) commits: u64,
    /// The SHA-256 of all lines before this one, each with its line end, hexadecimal.
    pub(super) sha256: String,
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileLine<'a> {
    Log(FileHead),
    #[serde(borrow)]
    Commit(CommitLine<'a>),
    #[serde(borrow)]
    Beside(BesideLine<'a>),
    /// The server secret, as `secret.json` holds it.
    #[serde(borrow)]
    Secret(Cow<'a, str>),
    /// The key that checkpoints are signed with, as `checkpoint-key.json` holds it.
    #[serde(borrow)]
    CheckpointKey(Cow<'a, str>),
    End(FileEnd),
}

/// What is beside a log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum BesideLine<'a> {
    Answer {
        command: Cow<'a, str>,
        request_hash: Cow<'a, str>,
        answer: Cow<'a, str>,
        expires_at: Timestamp,
    },
    Claim {
        name: Cow<'a, str>,
        owner: Cow<'a, str>,
    },
    Administrators(Vec<UserId>),
    SecretMark {
        version: u32,
        fingerprint: Cow<'a, str>,
    },
    EarlierToken {
        id: Cow<'a, str>,
        sha256: Cow<'a, str>,
    },
    Quarantine {
        stream: Cow<'a, str>,
        since: Timestamp,
        who: Cow<'a, str>,
        reason: Cow<'a, str>,
        problem: Cow<'a, str>,
    },
    Checkpoint {
        number: u64,
        text: Cow<'a, str>,
        signature: Cow<'a, str>,
        public_key: Cow<'a, str>,
        proofs: Cow<'a, [LeafProof]>,
        leaves_sha256: Cow<'a, str>,
        parts: usize,
    },
    /// A part of a checkpoint's leaves, in base64.
    CheckpointLeaves {
        number: u64,
        sha256: Cow<'a, str>,
        part: usize,
        leaves: String,
    },
    /// A key of 32 bytes, in base64.
    PersonalKey {
        user: UserId,
        key: String,
    },
}

impl Drop for BesideLine<'_> {
    fn drop(&mut self) {
        if let Self::PersonalKey { key, .. } = self {
            key.zeroize();
        }
    }
}

impl<'a> From<&'a BesideLog> for BesideLine<'a> {
    fn from(item: &'a BesideLog) -> Self {
        match item {
            BesideLog::Answer { command, request_hash, answer, expires_at } => Self::Answer {
                command: command.as_str().into(),
                request_hash: request_hash.into(),
                answer: answer.into(),
                expires_at: *expires_at,
            },
            BesideLog::Claim { name, owner } => Self::Claim { name: name.into(), owner: owner.into() },
            BesideLog::Administrators(users) => Self::Administrators(users.clone()),
            BesideLog::SecretMark(SecretMark { version, fingerprint }) => {
                Self::SecretMark { version: *version, fingerprint: fingerprint.into() }
            }
            BesideLog::EarlierToken(EarlierToken { id, hash }) => {
                Self::EarlierToken { id: id.into(), sha256: hash.to_hex().into() }
            }
            BesideLog::Quarantine(Quarantine { stream, since, who, reason, problem }) => Self::Quarantine {
                stream: stream.to_string().into(),
                since: *since,
                who: who.into(),
                reason: reason.into(),
                problem: problem.into(),
            },
            BesideLog::Checkpoint(KeptCheckpoint { number, signed, proofs }, leaves) => Self::Checkpoint {
                number: *number,
                text: (&signed.text).into(),
                signature: (&signed.signature).into(),
                public_key: (&signed.public_key).into(),
                proofs: proofs.into(),
                leaves_sha256: (&leaves.sha256).into(),
                parts: leaves.parts,
            },
            BesideLog::CheckpointLeaves { number, sha256, part, bytes } => Self::CheckpointLeaves {
                number: *number,
                sha256: sha256.into(),
                part: *part,
                leaves: BASE64.encode(bytes),
            },
            BesideLog::PersonalKey(user, key) => Self::PersonalKey { user: *user, key: BASE64.encode(key.as_bytes()) },
        }
    }
}

impl BesideLine<'_> {
    /// What the line says.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn item(&self) -> Result<BesideLog, String> {
        Ok(match self {
            Self::Answer { command, request_hash, answer, expires_at } => BesideLog::Answer {
                command: CommandId::stored(command),
                request_hash: request_hash.clone().into_owned(),
                answer: answer.clone().into_owned(),
                expires_at: *expires_at,
            },
            Self::Claim { name, owner } => {
                BesideLog::Claim { name: name.clone().into_owned(), owner: owner.clone().into_owned() }
            }
            Self::Administrators(users) => BesideLog::Administrators(users.clone()),
            Self::SecretMark { version, fingerprint } => {
                BesideLog::SecretMark(SecretMark { version: *version, fingerprint: fingerprint.clone().into_owned() })
            }
            Self::EarlierToken { id, sha256 } => BesideLog::EarlierToken(EarlierToken {
                id: id.clone().into_owned(),
                hash: KeyHash::parse(sha256).map_err(|error| format!("the hash of a token: {error}"))?,
            }),
            Self::Quarantine { stream, since, who, reason, problem } => BesideLog::Quarantine(Quarantine {
                stream: StreamId::parse(stream).map_err(|error| error.to_string())?,
                since: *since,
                who: who.clone().into_owned(),
                reason: reason.clone().into_owned(),
                problem: problem.clone().into_owned(),
            }),
            Self::Checkpoint { number, text, signature, public_key, proofs, leaves_sha256, parts } => {
                let signed = SignedCheckpoint {
                    text: text.clone().into_owned(),
                    signature: signature.clone().into_owned(),
                    public_key: public_key.clone().into_owned(),
                };
                let proofs = proofs.clone().into_owned();
                let name = LeavesName { sha256: leaves_sha256.clone().into_owned(), parts: *parts };
                BesideLog::Checkpoint(KeptCheckpoint { number: *number, signed, proofs }, name)
            }
            Self::CheckpointLeaves { number, sha256, part, leaves } => BesideLog::CheckpointLeaves {
                number: *number,
                sha256: sha256.clone().into_owned(),
                part: *part,
                bytes: BASE64.decode(leaves).map_err(|_| "the leaves of a checkpoint are no base64".to_owned())?,
            },
            Self::PersonalKey { user, key } => {
                let mut bytes = BASE64.decode(key).map_err(|_| "the key of a person is no base64".to_owned())?;
                let key = <[u8; 32]>::try_from(bytes.as_slice()).map(PersonalKey::from_bytes);
                bytes.zeroize();
                BesideLog::PersonalKey(*user, key.map_err(|_| "the key of a person is not 32 bytes long".to_owned())?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_a_log_reads_back() {
        let user = UserId(Uuid::from_u128(1));
        let items = [
            BesideLog::Answer {
                command: CommandId::stored("idem:\"1\""),
                request_hash: "mark".to_owned(),
                answer: "{\"a\":\n1}".to_owned(),
                expires_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            },
            BesideLog::Claim { name: "email#1".to_owned(), owner: user.to_string() },
            BesideLog::Administrators(vec![user]),
            BesideLog::SecretMark(SecretMark { version: 1, fingerprint: "ab".to_owned() }),
            BesideLog::EarlierToken(EarlierToken { id: "1".to_owned(), hash: KeyHash::of(b"token") }),
            BesideLog::Quarantine(Quarantine {
                stream: StreamId::User(user),
                since: "2026-01-01T00:00:00Z".parse().unwrap(),
                who: "cli:ana".to_owned(),
                reason: "after the rollback".to_owned(),
                problem: "an event is unknown".to_owned(),
            }),
            BesideLog::Checkpoint(
                KeptCheckpoint {
                    number: 3,
                    signed: SignedCheckpoint {
                        text: "permitd checkpoint 1\n".to_owned(),
                        signature: "ab".to_owned(),
                        public_key: "cd".to_owned(),
                    },
                    proofs: vec![LeafProof {
                        leaf: "dataset a 1 00".to_owned(),
                        index: 2,
                        path: vec!["00".to_owned()],
                    }],
                },
                LeavesName::of(&[0, 255, 10]),
            ),
            BesideLog::CheckpointLeaves { number: 3, sha256: "00".to_owned(), part: 0, bytes: vec![0, 255, 10] },
            BesideLog::PersonalKey(user, PersonalKey::from_bytes([7; 32])),
        ];
        for item in items {
            let text = serde_json::to_string(&FileLine::Beside(BesideLine::from(&item))).unwrap();
            assert!(!text.contains('\n'));
            let FileLine::Beside(line) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!(line.item().unwrap(), item);
        }
    }
}
