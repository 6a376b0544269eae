//! The kinds of problems. A kind's slug is part of the interface: its meaning never changes.

use actix_web::http::StatusCode;

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $name:ident = $slug:literal, $status:ident, $title:literal, $explanation:literal;)+) => {
        /// A kind of problem, with its status, title and page.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ProblemCode {
            /// All kinds, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name, last segment of the `type` URI.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug),+ }
            }

            /// The path of the page that explains the problem: the `type` URI, or its end if the server's address is set.
            pub fn path(self) -> &'static str {
                match self { $(Self::$name => concat!("/problems/", $slug)),+ }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),+ }
            }

            /// The `title`: the same for every problem of the kind.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// What the problem means and what to do, for its page.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation),+ }
            }
        }
    };
}

catalogue! {
    /// 400: not a request this server can read.
    InvalidRequest = "invalid-request", BAD_REQUEST, "The request cannot be read",
        "The request is not well formed. The detail says where; correct it before sending it again.";
    /// 400: parameters of the path or the query.
    InvalidParameters = "invalid-parameters", BAD_REQUEST, "A parameter is wrong",
        "A parameter is unknown, repeated, or has a value of the wrong kind. invalid_params names each with the reason and, \
         where there is one, the nearest right name. Nothing is ever ignored: a mistyped filter would otherwise return the \
         whole table.";
    /// 400: the body.
    InvalidBody = "invalid-body", BAD_REQUEST, "The body is wrong",
        "The body is not JSON, or a field is missing, unknown or of the wrong kind. The detail names the place.";
    /// 400: a sign-in at a provider.
    SignInAgain = "sign-in-again", BAD_REQUEST, "Begin the sign-in again",
        "A sign-in at the provider is finished by the browser that began it, within ten minutes, once. GET /sign-in/provider begins \
         another one. Cookies must be allowed.";
    /// 401: the API key.
    InvalidKey = "invalid-key", UNAUTHORIZED, "A valid API key is required",
        "Send the key from your invitation in the header x-api-key, as Authorization: Bearer, or as the user name of \
         Authorization: Basic; never in an address. A key that is missing, mistyped, unknown or revoked gets this same answer.";
    /// 401: the administrator's token.
    InvalidToken = "invalid-token", UNAUTHORIZED, "The administrator's token is required",
        "Send the token in the header Authorization: Bearer. A token that is missing or wrong gets this same answer.";
    /// 403: the key may not be used from this address.
    KeyNotAllowedHere = "key-not-allowed-here", FORBIDDEN, "The key may not be used from this address",
        "The key works, but only from some networks, and the request came from another. From which ones it works is not told. \
         Nothing was counted. Send the request from where the key is meant for, or ask whoever gave you the key to let it work from \
         here.";
    /// 403: the key may not be used for this purpose.
    Scope = "scope", FORBIDDEN, "The key may not be used for this",
        "The key works, but it or your plan does not allow this. needed says what is missing: read or export, that the key is for \
         this data set, or that your plan has it. Nothing was counted. Use a key that has it, or ask for it.";
    /// 401: a session.
    SignInRequired = "sign-in-required", UNAUTHORIZED, "Sign in first",
        "Send the token of a session in the header Authorization: Bearer, or its cookie. POST /sessions begins one. A session that is \
         missing, unknown or over gets this same answer.";
    /// 401: address, password, code.
    InvalidCredentials = "invalid-credentials", UNAUTHORIZED, "Address, password or code is wrong",
        "Whether there is such an account is not told. Whoever has no password, or forgot it, gets a link by mail: \
         POST /password-resets.";
    /// 401: the second factor.
    CodeRequired = "code-required", UNAUTHORIZED, "A code of the second factor is required",
        "The password is right. Send the code that the authenticator app shows, or a recovery code, as `code` beside it.";
    /// 403: another site's page.
    CrossOrigin = "cross-origin", FORBIDDEN, "The request comes from another site",
        "A cookie counts in a writing request only where it comes from a page of this server. Scripts send the session's token in the \
         header Authorization: Bearer instead.";
    /// 403: a page's form has expired.
    FormOver = "form-over", FORBIDDEN, "The form does not hold any more",
        "A form counts for the browser and the sign-in that it was shown to. Load the page again and send it from there. The browser must \
         take cookies of this server.";
    /// 403: the provider's answer admits nobody.
    NotAdmitted = "not-admitted", FORBIDDEN, "The provider's answer lets nobody in here",
        "The provider must have verified the address, and it must be one that was invited here and may come in. Which of these is not so is not told. \
         Whoever runs this server finds the reason in its log.";
    /// 403: administrators need a second factor.
    SecondFactorRequired = "second-factor-required", FORBIDDEN, "Set up a second factor first",
        "Here administrators need a second factor. POST /me/second-factor begins one, PUT /me/second-factor confirms it; until then \
         the session is good for nothing else.";
    /// 403: the caller is known and lacks a permission.
    MissingPermission = "missing-permission", FORBIDDEN, "This needs another permission",
        "The token, or the person who is signed in, is known but may not do this. The detail says which permission is needed and \
         which there are. An administrator gives another role, or makes a token that has the scope.";
    /// 403: the server shows a copy.
    ReadOnlyCopy = "read-only-copy", FORBIDDEN, "This is a read-only copy",
        "This server shows a copy of a deployment as it was at a moment of the past. Whatever only reads is answered as it would have been \
         then; nothing can be changed here, and nothing is sent. The detail says of what the copy is, and as of when. Send the request to the \
         deployment itself.";
    /// 404: no such resource.
    NotFound = "not-found", NOT_FOUND, "There is no such thing",
        "The path is right, but nothing of this name exists. The detail says what was looked for.";
    /// 404: no such path.
    UnknownPath = "unknown-path", NOT_FOUND, "There is nothing at this path",
        "No resource of this server has this path. Check its spelling.";
    /// 405.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The resource does not have this method",
        "The Allow header lists the methods that it has.";
    /// 408.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The request took too long to arrive",
        "The head or the body did not arrive in time. Send it again over a faster connection.";
    /// 409.
    Conflict = "conflict", CONFLICT, "This does not go with the present state",
        "What was asked contradicts what is there, such as a second user with the same address. The detail says with what.";
    /// 410.
    VersionGone = "version-gone", GONE, "That version is no longer held",
        "A cursor, as_of, or a question for what has changed, names a version of the data set that is not kept any more, or whose \
         columns were others. The detail says from which version on they are kept. Begin again: without the cursor, as of a later \
         version, or with a whole copy of the present one.";
    /// 410: a link of a mail.
    LinkOver = "link-over", GONE, "This link does not work any more",
        "It was used, has expired, or a newer one was sent. POST /password-resets mails a new link to set a password; whoever invited \
         you can send the invitation again.";
    /// 410: a withdrawn data set.
    DataSetWithdrawn = "data-set-withdrawn", GONE, "The data set is not served at the moment",
        "It was withdrawn by an administrator. Its records are kept, and may be served again. Ask the operator when.";
    /// 412.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "It has changed in the meantime",
        "If-Match named a version that is no longer the present one. Read it again, decide again, and send the new version.";
    /// 413.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "The detail says how large a body may be.";
    /// 414.
    UrlTooLong = "url-too-long", URI_TOO_LONG, "The address is too long",
        "Path and query together are longer than this server reads. Ask in several requests.";
    /// 415.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body is of the wrong media type",
        "Send JSON with the header content-type: application/json.";
    /// 422.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request",
        "An Idempotency-Key names one request and its body. This one was used with another body. Take a new key for a new \
         request.";
    /// 429.
    QuotaExceeded = "quota-exceeded", TOO_MANY_REQUESTS, "The plan's limit is used up",
        "violated-policies names the limit: burst refills within seconds, daily with the next UTC day. Wait for Retry-After \
         seconds. The RateLimit header of every answer says what is left, so that a client need not run into this.";
    /// 429: the person's share of slow requests is in use.
    OwnShare = "own-share", TOO_MANY_REQUESTS, "Your share of the server is in use",
        "Questions that take long, and exports, are shared between people. So many of yours are being answered, or wait \
         already, as are one person's share. Wait for one of them, then send the request again, not before Retry-After \
         seconds. It does not count against any limit.";
    /// 429: too many mails.
    InvitationLimit = "invitation-limit", TOO_MANY_REQUESTS, "Enough invitations were mailed in this hour",
        "One person is mailed a few invitations an hour at most, and all people together a number that the operator sets. \
         Nothing was done. Wait for Retry-After seconds, then send the request again.";
    /// 429: too many attempts on one account.
    TooManyAttempts = "too-many-attempts", TOO_MANY_REQUESTS, "Too many tries for one account",
        "Too many wrong passwords or codes were given for this account, or too many sessions started. Each further wrong one makes \
         the wait longer. Wait for Retry-After seconds. Sessions and keys that are there work on.";
    /// 429: too much from one address.
    TooManyFromAddress = "too-many-from-address", TOO_MANY_REQUESTS, "Too much from one address",
        "This address has sent too many wrong keys or tokens, or has as many connections or requests at the same time as an \
         address may have. The detail says which. A right key passes all the same; wait for Retry-After seconds with others: the wait doubles with \
         each further wrong one.";
    /// 431.
    HeadTooLarge = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too large",
        "The header fields are more or longer than this server reads. Send fewer, or shorter ones.";
    /// 500.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here",
        "It is not the request's fault. It may work again; if not, tell the operator the request id.";
    /// 503: too much to do.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too much to do",
        "The server has more work waiting than it can finish in time, or stopped a question that took too long. Wait for \
         Retry-After seconds, then send the request again.";
    /// 503: something that the server needs is unavailable.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available at the moment",
        "A part that the server needs to decide about the request is out of reach, and it refuses rather than guess. Wait for \
         Retry-After seconds, then send the request again. It does not count against any limit.";
    /// 503: the deployment was moved.
    Moved = "moved", SERVICE_UNAVAILABLE, "This server has moved",
        "What this server held goes on elsewhere, with the same keys, the same addresses of records, and the same limits. The detail says at \
         which address, if the operator gave one. Nothing was done and nothing counted. Send the request there; this server answers no more.";
    /// 507.
    InsufficientStorage = "insufficient-storage", INSUFFICIENT_STORAGE, "There is no room for the file",
        "The disk of the server has no room for what was sent. The operator has to make some; nothing was changed.";
}

impl ProblemCode {
    /// The kind of this slug.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.slug() == slug)
    }

    /// The `type` URI at a server that explains problems below this address.
    pub(in crate::http) fn address(self, explained_below: &str) -> String {
        format!("{explained_below}{}", self.path())
    }

    /// The code for a status that some other layer chose.
    pub(in crate::http) fn for_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::UnknownPath,
            405 => Self::MethodNotAllowed,
            408 => Self::RequestTimeout,
            413 => Self::BodyTooLarge,
            414 => Self::UrlTooLong,
            415 => Self::UnsupportedMediaType,
            431 => Self::HeadTooLarge,
            400..=499 => Self::InvalidRequest,
            503 => Self::Overloaded,
            _ => Self::Internal,
        }
    }
}
