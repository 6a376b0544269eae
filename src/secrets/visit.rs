//! Derives what a visit to a provider needs ([`ProviderVisit`]): its seal, and the values that the provider repeats. So no visit is stored,
//! and any node with the secret can finish it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Secrets, derive};
use crate::domain::{
    id::UserId,
    key::KeyId,
    provider::{ProviderVisit, VisitId},
};

/// The values of a visit: sent along through the provider, or shown only to it.
pub struct VisitSecrets {
    /// Returned with the provider's answer.
    pub state: String,
    /// Returned in the provider's token.
    pub nonce: String,
    /// Proves to the provider that the visit was begun by whoever brings its answer (PKCE).
    pub verifier: Zeroizing<String>,
}

impl VisitSecrets {
    /// Compares with the visit's state in constant time.
    pub fn is_state(&self, given: &str) -> bool {
        bool::from(self.state.as_bytes().ct_eq(given.as_bytes()))
    }
}

/// A visit with a valid seal.
pub struct OpenedVisit {
    /// The visit.
    pub visit: ProviderVisit,
    /// The version of the server secret that sealed it.
    pub secret_version: u32,
}

impl Secrets {
    /// The visit as a sealed text, which anybody with this secret can check.
    pub fn seal_visit(&self, visit: &ProviderVisit) -> String {
        self.seal("permitd/visit/v1", &visit.to_text())
    }

    /// Reads a sealed visit; `None` when it was not sealed here.
    pub fn open_visit(&self, sealed: &str) -> Option<OpenedVisit> {
        let (secret_version, text) = self.open_sealed("permitd/visit/v1", sealed)?;
        Some(OpenedVisit { visit: ProviderVisit::parse(text)?, secret_version })
    }

    /// The values of a visit under this version of the secret; `None` when the version is gone.
    pub fn visit_secrets(&self, version: u32, id: &VisitId) -> Option<VisitSecrets> {
        let secret = self.0.versions.get(&version)?;
        let text = |label| URL_SAFE_NO_PAD.encode(*Zeroizing::new(derive(secret, label, id)));
        Some(VisitSecrets {
            state: text("permitd/visit-state/v1"),
            nonce: text("permitd/visit-nonce/v1"),
            verifier: Zeroizing::new(text("permitd/visit-verifier/v1")),
        })
    }

    /// The id of the one session that a visit can begin for a person; `None` when the secret's version is gone.
    pub fn visit_session(&self, version: u32, id: &VisitId, user: UserId) -> Option<KeyId> {
        let secret = self.0.versions.get(&version)?;
        let input = [id.as_slice(), user.0.as_bytes()].concat();
        let derived = derive(secret, "permitd/visit-session/v1", &input);
        derived.first_chunk().map(|bytes| KeyId::from_random(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::secrets::SeededEntropy;

    fn secrets(seed: u64) -> Secrets {
        let json = Secrets::generate(&SeededEntropy::new(seed)).unwrap();
        Secrets::from_json(json.as_bytes(), "a test").unwrap()
    }

    fn visit() -> ProviderVisit {
        let expires_at = "2026-03-01T12:10:00Z".parse().unwrap();
        ProviderVisit { id: [7; 16], expires_at, return_to: "/admin".to_owned(), proven: None }
    }

    #[test]
    fn a_visit_is_known_again_by_its_seal_and_by_nothing_else() {
        let ours = secrets(1);
        let sealed = ours.seal_visit(&visit());
        let opened = ours.open_visit(&sealed).unwrap();
        assert_eq!((opened.visit, opened.secret_version), (visit(), 1));
        assert!(secrets(2).open_visit(&sealed).is_none(), "sealed elsewhere");
        for at in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).unwrap();
            assert!(ours.open_visit(&other).is_none(), "{other}");
        }
        let proven = sealed.replacen(".-.-.", &format!(".{}.admin.", Uuid::from_u128(1)), 1);
        assert!(proven != sealed && ours.open_visit(&proven).is_none());
        for wrong in ["", "~", "1~~", "9~x~y", &"1~".repeat(9000)] {
            assert!(ours.open_visit(wrong).is_none());
        }
    }

    #[test]
    fn what_goes_with_a_visit_is_its_own() {
        let (ours, user) = (secrets(1), UserId(Uuid::from_u128(1)));
        let of = ours.visit_secrets(1, &[7; 16]).unwrap();
        assert!(of.is_state(&of.state) && !of.is_state(&of.nonce) && !of.is_state(""));
        // RFC 7636, section 4.1: 43 to 128 characters.
        assert!(of.verifier.len() == 43 && *of.verifier != of.state && of.nonce != of.state);
        let other = ours.visit_secrets(1, &[8; 16]).unwrap();
        assert!(other.state != of.state && other.nonce != of.nonce && other.verifier != of.verifier);
        assert_ne!(secrets(2).visit_secrets(1, &[7; 16]).unwrap().state, of.state);
        assert!(ours.visit_secrets(2, &[7; 16]).is_none());
        let session = |id, user| ours.visit_session(1, &[id; 16], UserId(Uuid::from_u128(user))).unwrap();
        assert_eq!(ours.visit_session(1, &[7; 16], user), Some(session(7, 1)));
        assert!(session(7, 1) != session(7, 2) && session(7, 1) != session(8, 1));
    }
}
