//! Why stored events cannot be read, or new events not be written.

/// Largest commit, bytes of its encoded events. It leaves room for the rest within DynamoDB's item limit of 400 KB.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// Why stored events cannot be read, or new events not be written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// This binary does not know the event, which a newer one wrote. Unknown events are never skipped.
    #[error(
        "stream {stream}, version {version}: unknown event {type_name} v{schema_version}; this stream cannot be read by this \
         version of permitd: upgrade to the one that wrote it"
    )]
    Unknown {
        /// The stream.
        stream: String,
        /// The commit's version.
        version: u64,
        /// The event's type.
        type_name: String,
        /// Its schema version.
        schema_version: u32,
    },
    /// The stored bytes do not match the schema.
    #[error("stream {stream}, version {version}: the stored {what} cannot be read: {source}")]
    Malformed {
        /// The stream.
        stream: String,
        /// The commit's version.
        version: u64,
        /// The part that cannot be read.
        what: String,
        /// The decoder's error.
        source: serde_json::Error,
    },
    /// The stored bytes hold an impossible value.
    #[error("stream {stream}, version {version}: {detail}")]
    Invalid {
        /// The stream.
        stream: String,
        /// The commit's version.
        version: u64,
        /// The impossible value.
        detail: String,
    },
    /// The commit is too large.
    #[error("the commit would hold {bytes} bytes of events; the limit is {COMMIT_BYTES_MAX}: split the command")]
    TooLarge {
        /// The commit's size in bytes.
        bytes: usize,
    },
    /// There is personal data, but no key of the person.
    #[error("personal data cannot be written: the person's key was destroyed or does not exist")]
    NoPersonalKey,
    /// The events cannot be encoded.
    #[error("the events cannot be encoded: {0}")]
    Encode(serde_json::Error),
}
