//! Whom a document is for.

/// The readers of a document. Each operation is in one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// People who read data, or are invited to.
    Consumers,
    /// Administrators.
    Administrators,
}

impl Audience {
    /// The path of the document.
    pub fn path(self) -> &'static str {
        match self {
            Self::Consumers => "/openapi.json",
            Self::Administrators => "/openapi-admin.json",
        }
    }

    pub(super) fn title(self, brand: &str) -> String {
        match self {
            Self::Consumers => brand.to_owned(),
            Self::Administrators => format!("{brand}: administration"),
        }
    }

    /// The description of the whole document.
    pub(in crate::http) fn description(self) -> &'static str {
        match self {
            Self::Consumers => {
                "Tables of records, for those who were invited.

**Data** is read with the key from the invitation, in the header `x-api-key`. Conditions are parameters named after columns: \
`status=issued`, `estimated_cost__gte=10000`; `filter` takes a whole expression. What is unknown, repeated or of the wrong type is \
refused, never ignored. Every answer says in `RateLimit` what is left of the plan. `/docs` is a guide to it.

**People** sign in with their address and a password, which they set by the link in their invitation, and see and change what is theirs \
below `/me`.

Whatever fails is answered with a problem document (RFC 9457), whose `type` leads to a page that explains it.

What administrators call is described at `/openapi-admin.json`."
            }
            Self::Administrators => {
                "What administrators of this server call: people and their keys, plans, imports, data sets, the log.

It wants an administrator's token that has the scope of the operation, or the session of somebody whose role has it, as \
`Authorization: Bearer`. Writes take an `Idempotency-Key` and, in `If-Match`, the version that they were decided upon.

Whatever fails is answered with a problem document (RFC 9457), whose `type` leads to a page that explains it.

What keys and sessions call is described at `/openapi.json`."
            }
        }
    }
}
