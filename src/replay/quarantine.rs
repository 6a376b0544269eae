//! Sets aside a stream that cannot be read, so that everything else goes on, and takes it back once it can be read.

use jiff::Timestamp;

use crate::{
    domain::{
        id::StreamId,
        persisted::{CodecError, StoredCommit},
        view::State,
    },
    store::{Quarantine, StoreError, Stores, last_readable, quarantine::QUARANTINES_MAX},
};

/// Commits that are loaded at a time.
const PAGE_COMMITS: usize = 256;

/// Why a stream was not set aside, or not taken back.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The log has no such stream.
    #[error("there is no stream {0}; `permitd events list` shows them")]
    NoStream(StreamId),
    /// The stream can be read.
    #[error(
        "{0} can be read by this permitd: quarantine is for streams that cannot. To keep a person out, disable them"
    )]
    Readable(StreamId),
    /// The stream is in quarantine already.
    #[error("{0}; `permitd events release` takes it out")]
    Already(Box<Quarantine>),
    /// The stream is in no quarantine.
    #[error("{0} is in no quarantine; `permitd events quarantine --list` shows those that are")]
    NotQuarantined(StreamId),
    /// The stream still cannot be read.
    #[error("{stream} stays in quarantine, since it still cannot be read: {source}")]
    Unreadable {
        /// The stream.
        stream: StreamId,
        /// What cannot be read.
        source: CodecError,
    },
    /// There are too many.
    #[error(
        "{QUARANTINES_MAX} streams are in quarantine already: so many are no accident; restore a backup, or use the permitd that wrote them"
    )]
    TooMany,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stream as far as it can be read.
struct ReadableStream {
    state: State,
    problem: Option<CodecError>,
}

/// Reads a stream to its end.
async fn read(stores: &Stores, stream: &StreamId) -> Result<ReadableStream, QuarantineError> {
    let mut commits: Vec<StoredCommit> = Vec::new();
    loop {
        let version = commits.last().map_or(0, |commit| commit.version);
        let page = stores.log.load(stream, version, PAGE_COMMITS).await?;
        let is_last = page.len() < PAGE_COMMITS;
        commits.extend(page);
        if is_last {
            break;
        }
    }
    if commits.is_empty() {
        return Err(QuarantineError::NoStream(stream.clone()));
    }
    let key = match stream {
        StreamId::User(user) => stores.log.personal_key(*user).await?,
        StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => None,
    };
    let encoded = commits.iter().map(|commit| (commit.encoded(), key.as_ref()));
    let (state, _, problem) = last_readable(stream, encoded);
    Ok(ReadableStream { state, problem })
}

/// Sets a stream aside: it takes no commands, its person's keys are refused, and replay and verification go on without it. Returns what was
/// recorded.
///
/// # Errors
/// [`QuarantineError`]; one that can be read is refused.
pub async fn quarantine(
    stores: &Stores,
    stream: &StreamId,
    (who, since): (&str, Timestamp),
    reason: &str,
) -> Result<Quarantine, QuarantineError> {
    let quarantined = stores.quarantines.fresh().await?;
    if let Some(known) = quarantined.of(stream) {
        return Err(QuarantineError::Already(Box::new(known.clone())));
    }
    if quarantined.iter().len() >= QUARANTINES_MAX {
        return Err(QuarantineError::TooMany);
    }
    let Some(problem) = read(stores, stream).await?.problem else {
        return Err(QuarantineError::Readable(stream.clone()));
    };
    let new = Quarantine {
        stream: stream.clone(),
        since,
        who: who.to_owned(),
        reason: reason.to_owned(),
        problem: problem.to_string(),
    };
    if !stores.quarantines.begin(new.clone()).await? {
        return Err(QuarantineError::Already(Box::new(new)));
    }
    Ok(new)
}

/// Takes a stream back: writes its rows, which may have been made by a part of it, and ends its quarantine. Returns what had been recorded.
///
/// # Errors
/// [`QuarantineError`]; a stream that still cannot be read stays in quarantine.
pub async fn release(
    stores: &Stores,
    stream: &StreamId,
    (who, at): (&str, Timestamp),
) -> Result<Quarantine, QuarantineError> {
    let quarantined = stores.quarantines.fresh().await?;
    let Some(known) = quarantined.of(stream) else { return Err(QuarantineError::NotQuarantined(stream.clone())) };
    let ReadableStream { state, problem } = read(stores, stream).await?;
    if let Some(source) = problem {
        return Err(QuarantineError::Unreadable { stream: stream.clone(), source });
    }
    // A crash from here on leaves the right rows, and the quarantine: the next try ends it.
    stores.log.project(state.rows()).await?;
    if !stores.quarantines.end(stream, at, who).await? {
        return Err(QuarantineError::NotQuarantined(stream.clone()));
    }
    Ok(known.clone())
}
