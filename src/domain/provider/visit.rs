//! A visit to a provider: the state that a browser keeps while its person signs in there. The server keeps none of it, so that any node can
//! finish a visit that another began. Whoever writes a visit seals it, and so recognises it later.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};

use crate::domain::{
    event::Role,
    id::{UserId, hex, unhex},
};

/// How long a visit may take.
pub const VISIT_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Bytes of a visit's id.
pub const VISIT_ID_BYTES: usize = 16;
/// The longest path to return to, bytes.
pub const PATH_BYTES_MAX: usize = 1024;
/// The longest visit, as text.
const TEXT_BYTES_MAX: usize = 2048;
/// The first part of a visit's text.
const FORM: &str = "1";

/// A visit's id: random.
pub type VisitId = [u8; VISIT_ID_BYTES];

/// A visit to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderVisit {
    /// The visit's id, from which everything that the provider repeats is derived.
    pub id: VisitId,
    /// When the visit ends.
    pub expires_at: Timestamp,
    /// The path of this server to which the browser returns.
    pub return_to: String,
    /// The person, if only a code of their second factor is missing.
    pub proven: Option<Proven>,
}

/// Somebody for whom a provider has vouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// The person's id.
    pub user: UserId,
    /// Their role from now on, if the provider decides it.
    pub role: Option<Role>,
}

impl ProviderVisit {
    /// The visit as text: letters, digits, hyphens, underscores and dots.
    pub fn to_text(&self) -> String {
        let Self { id, expires_at, return_to, proven } = self;
        let user = proven.map_or_else(|| "-".to_owned(), |proven| proven.user.to_string());
        let role = proven.and_then(|proven| proven.role).map_or("-", Role::as_str);
        let return_to = URL_SAFE_NO_PAD.encode(return_to);
        format!("{FORM}.{}.{}.{user}.{role}.{return_to}", hex(id), expires_at.as_second())
    }

    /// Reads a visit's text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [FORM, id, expires_at, user, role, return_to] = parts.as_slice() else { return None };
        let id = VisitId::try_from(unhex(id)?).ok()?;
        let expires_at = Timestamp::from_second(expires_at.parse().ok()?).ok()?;
        let role = if *role == "-" { None } else { Some(Role::named(role)?) };
        let proven = match *user {
            "-" if role.is_some() => return None,
            "-" => None,
            user => Some(Proven { user: UserId::parse(user).ok()?, role }),
        };
        let return_to = String::from_utf8(URL_SAFE_NO_PAD.decode(return_to).ok()?).ok()?;
        is_local_path(&return_to).then_some(Self { id, expires_at, return_to, proven })
    }

    /// Tells whether the visit is not over.
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// Tells whether every reader of addresses takes the text for one of this server: one slash, then visible ASCII without backslashes, which
/// browsers take for slashes, and without steps upwards, which would leave the path that the server is below.
pub fn is_local_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let is_step = |part: &str| [".", ".."].contains(&part.to_ascii_lowercase().replace("%2e", ".").as_str());
    let is_here = text.starts_with('/') && !text.starts_with("//") && !path.split('/').any(is_step);
    text.len() <= PATH_BYTES_MAX && is_here && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_paths_of_this_server_are_returned_to() {
        for path in [
            "/",
            "/admin",
            "/permits?status=issued&limit=3#top",
            "/a//b",
            "/@evil.org",
            "/%2f%2fevil.org",
            "/a..b/.c?x=/../y",
        ] {
            assert!(is_local_path(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        for path in [
            "",
            "admin",
            "//evil.org",
            "///evil.org",
            "/\\evil.org",
            "\\\\evil.org",
            "/\t/evil.org",
            "/a\r\nset-cookie: x",
            "/ü",
            "https://evil.org",
            "javascript:alert(1)",
            " /admin",
            "/../evil",
            "/a/%2E./%2e%2e/b",
            "/.",
            "/ad min",
            long.as_str(),
        ] {
            assert!(!is_local_path(path), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn a_visit_reads_back(
            id: VisitId,
            second in 0i64..4_000_000_000,
            path in "/[a-z?=&.%-]{0,40}".prop_filter("leads elsewhere", |path| is_local_path(path)),
            user in prop::option::of(any::<u128>()),
            role in prop::option::of(0usize..3),
        ) {
            let role = role.map(|at| Role::ALL[at]);
            let proven = user.map(|user| Proven { user: UserId(Uuid::from_u128(user)), role });
            let expires_at = Timestamp::from_second(second).unwrap();
            let visit = ProviderVisit { id, expires_at, return_to: path, proven };
            let text = visit.to_text();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
            prop_assert_eq!(ProviderVisit::parse(&text), Some(visit));
        }

        #[test]
        fn whatever_else_is_read_leads_to_this_server(text in "(1\\.)?[a-f0-9-]{0,40}\\.[0-9]{0,12}\\.-\\.-\\.[A-Za-z0-9_-]{0,20}|\\PC{0,60}") {
            if let Some(visit) = ProviderVisit::parse(&text) {
                prop_assert!(is_local_path(&visit.return_to));
            }
        }
    }
}
