//! Sealed texts, which pass through a browser unchanged but readable; and form tokens, which tell this server's forms from another site's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use super::{Secrets, derive};
use crate::domain::id::hex;

/// Longest sealed text that is read, bytes.
const SEALED_BYTES_MAX: usize = 4096;
/// Bytes of a form token, and of its mask.
const TOKEN_BYTES: usize = 16;

impl Secrets {
    /// Adds a seal to the text that anybody with this secret can check. `label` is the text's purpose: under another label the seal is
    /// invalid.
    pub fn seal(&self, label: &str, text: &str) -> String {
        let (version, mac) = (self.current_version(), derive(&self.0.current_secret, label, text.as_bytes()));
        format!("{version}~{text}~{}", hex(&mac))
    }

    /// The secret's version that sealed a text, and the text; `None` when it was not sealed here under this label.
    pub fn open_sealed<'s>(&self, label: &str, sealed: &'s str) -> Option<(u32, &'s str)> {
        if sealed.len() > SEALED_BYTES_MAX {
            return None;
        }
        let (version, rest) = sealed.split_once('~')?;
        let (text, mac) = rest.rsplit_once('~')?;
        let secret_version = version.parse().ok()?;
        let secret = self.0.versions.get(&secret_version)?;
        let wanted = hex(&derive(secret, label, text.as_bytes()));
        bool::from(wanted.as_bytes().ct_eq(mac.as_bytes())).then_some((secret_version, text))
    }

    /// The form token for the browser with the cookie `bound_to`. A mask makes each one different: a text that is the same in every
    /// compressed answer could be guessed by the answers' lengths.
    pub fn form_token(&self, bound_to: &str, mask: [u8; TOKEN_BYTES]) -> String {
        let token = form_token(&self.0.current_secret, bound_to);
        let masked = token.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
        let bytes: Vec<u8> = mask.into_iter().chain(masked).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a form token belongs to the browser with this cookie, under any version of the secret.
    pub fn is_form_token(&self, bound_to: &str, given: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(given) else { return false };
        let Some((mask, masked)) = bytes.split_at_checked(TOKEN_BYTES) else { return false };
        let token: Vec<u8> = mask.iter().zip(masked).map(|(mask, byte)| mask ^ byte).collect();
        masked.len() == TOKEN_BYTES
            && self.0.versions.values().any(|secret| bool::from(form_token(secret, bound_to).ct_eq(&token)))
    }
}

fn form_token(secret: &[u8; 32], bound_to: &str) -> [u8; TOKEN_BYTES] {
    let derived = derive(secret, "permitd/form/v1", bound_to.as_bytes());
    *derived.first_chunk().unwrap_or(&[0; TOKEN_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SeededEntropy;

    fn secrets(seed: u64) -> Secrets {
        let json = Secrets::generate(&SeededEntropy::new(seed)).unwrap();
        Secrets::from_json(json.as_bytes(), "a test").unwrap()
    }

    #[test]
    fn a_seal_holds_for_one_text_one_purpose_and_one_secret() {
        let (ours, others) = (secrets(1), secrets(2));
        let sealed = ours.seal("a", "b~c");
        assert_eq!(ours.open_sealed("a", &sealed), Some((1, "b~c")));
        assert_eq!(ours.open_sealed("b", &sealed), None);
        assert_eq!(others.open_sealed("a", &sealed), None);
        assert_eq!(ours.open_sealed("a", &sealed.replace("b~c", "b~d")), None);
        assert_eq!(ours.open_sealed("a", ""), None);
    }

    #[test]
    fn a_form_token_holds_for_one_browser() {
        let (ours, others) = (secrets(1), secrets(2));
        let [first, second] = [1, 2].map(|mask| ours.form_token("session", [mask; TOKEN_BYTES]));
        assert_ne!(first, second);
        assert!(ours.is_form_token("session", &first) && ours.is_form_token("session", &second));
        assert!(!ours.is_form_token("another", &first));
        assert!(!others.is_form_token("session", &first));
        for junk in ["", "AA", "\u{e4}", &first[1..], &URL_SAFE_NO_PAD.encode([0; 32])] {
            assert!(!ours.is_form_token("session", junk), "{junk}");
        }
    }
}
