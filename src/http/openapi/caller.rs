//! Who may call an operation.

use std::iter;

use serde_json::{Value, json};

use crate::{
    domain::permission::{Permission, Permissions},
    http::ProblemCode,
};

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Anybody.
    Anybody,
    /// Anybody; a caller with a credential is shown more.
    Welcome,
    /// Whoever has an API key or a session, for data.
    Reader,
    /// Whoever has a session.
    Person,
    /// Whoever has a session, or an API key.
    Oneself,
    /// Whoever has these permissions.
    Admin(Permissions),
}

impl Caller {
    pub(super) fn security(self) -> Vec<Value> {
        match self {
            Self::Anybody => Vec::new(),
            Self::Welcome => {
                let ways = ["apiKey", "bearer", "basic", "session", "sessionCookie", "adminToken"];
                iter::once(json!({})).chain(ways.map(|way| json!({ way: [] }))).collect()
            }
            Self::Person => vec![json!({ "session": [] }), json!({ "sessionCookie": [] })],
            Self::Reader | Self::Oneself => {
                ["apiKey", "bearer", "basic", "session", "sessionCookie"].map(|way| json!({ way: [] })).to_vec()
            }
            Self::Admin(needed) => {
                let scopes: Vec<&str> = needed.list().map(Permission::as_str).collect();
                ["adminToken", "session", "sessionCookie"].map(|way| json!({ way: scopes })).to_vec()
            }
        }
    }

    /// The problems of every operation for this caller. A caller who is not admitted learns nothing else.
    pub(super) fn problems(self) -> &'static [ProblemCode] {
        use ProblemCode::{
            CrossOrigin, DataSetWithdrawn, HeadTooLarge, Internal, InvalidKey, InvalidRequest, InvalidToken,
            KeyNotAllowedHere, MissingPermission, Overloaded, OwnShare, QuotaExceeded, Scope, SecondFactorRequired,
            SignInRequired, TooManyFromAddress, Unavailable, UrlTooLong,
        };
        match self {
            Self::Anybody => &[UrlTooLong, Internal],
            Self::Welcome => &[
                InvalidRequest,
                InvalidKey,
                InvalidToken,
                SignInRequired,
                KeyNotAllowedHere,
                Scope,
                UrlTooLong,
                QuotaExceeded,
                TooManyFromAddress,
                HeadTooLarge,
                Internal,
                Overloaded,
                Unavailable,
            ],
            Self::Reader => &[
                InvalidRequest,
                InvalidKey,
                KeyNotAllowedHere,
                Scope,
                SecondFactorRequired,
                DataSetWithdrawn,
                UrlTooLong,
                QuotaExceeded,
                OwnShare,
                TooManyFromAddress,
                HeadTooLarge,
                Internal,
                Overloaded,
                Unavailable,
            ],
            Self::Person | Self::Oneself => &[
                InvalidRequest,
                InvalidKey,
                SignInRequired,
                UrlTooLong,
                TooManyFromAddress,
                HeadTooLarge,
                Internal,
                Overloaded,
                Unavailable,
            ],
            Self::Admin(_) => &[
                InvalidToken,
                SignInRequired,
                MissingPermission,
                CrossOrigin,
                SecondFactorRequired,
                UrlTooLong,
                TooManyFromAddress,
                HeadTooLarge,
                Internal,
                Overloaded,
                Unavailable,
            ],
        }
    }
}
