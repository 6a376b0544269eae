//! The log line by line (NDJSON): all matching events, and later ones as they come.
//!
//! Guarantees: a follower gets every matching event, in the order of the log, each with the position after which the follower may
//! resume. The answer ends when the follower's credentials end, and when the server stops.

use std::{sync::Arc, time::Duration};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{self, HeaderValue},
};
use bytes::Bytes;
use futures_util::stream;
use jiff::SignedDuration;
use tokio::sync::OwnedSemaphorePermit;

use super::{answer::Answer, events::documents, store_problem};
use crate::{
    actors::log::{EventReading, LogPage},
    config::Backend,
    http::{
        Problem, ProblemCode,
        session::{Admin, OfEvents},
        state::{FOLLOWERS_MAX, Service},
        store_problem::RETRY_AFTER_S,
    },
};

/// Time between two looks for new commits.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Looks without a new commit after which an empty line is sent, and credentials are checked again.
const QUIET_LOOKS_MAX: u32 = 20;
/// Commits that are read at once.
const PAGE_COMMITS: usize = 256;
/// How long a commit rests before a follower gets it, where several servers write by clocks of their own: a commit that a server writes
/// late, because its clock is behind by at most this, still gets its place.
const SETTLING: SignedDuration = SignedDuration::from_secs(30);
const NDJSON: &str = "application/x-ndjson";

/// The part of the log that is sent.
pub(super) struct Extent {
    /// The position after which it begins.
    pub(super) after: Option<u64>,
    /// Most commits that are sent.
    pub(super) limit: Option<usize>,
    /// Whether later commits follow.
    pub(super) follows: bool,
}

/// Whether the request prefers lines to a page.
pub(super) fn is_accepted(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let first = accepted.split(',').next().and_then(|first| first.split(';').next()).unwrap_or_default();
    [NDJSON, "application/ndjson", "application/jsonl"].contains(&first.trim().to_ascii_lowercase().as_str())
}

/// A client that gets the log line by line.
struct Follower {
    request: HttpRequest,
    service: Service,
    log: EventReading,
    extent: Extent,
    quiet_looks: u32,
    is_over: bool,
    _place: Option<OwnedSemaphorePermit>,
}

/// Answers with lines.
pub(super) fn lines(request: HttpRequest, service: &Service, log: EventReading, extent: Extent) -> Answer {
    let place = match extent.follows {
        true => Some(Arc::clone(&service.followers).try_acquire_owned().map_err(|_| {
            let detail = format!("{FOLLOWERS_MAX} others follow the log of this server already");
            Problem::new(ProblemCode::Overloaded, detail).retry_after(RETRY_AFTER_S)
        })?),
        false => None,
    };
    let service = service.clone();
    let follower = Follower { request, service, log, extent, quiet_looks: 0, is_over: false, _place: place };
    let lines = stream::try_unfold(follower, |mut follower| async move {
        let next = follower.next().await.map_err(|problem| {
            tracing::warn!(detail = %problem, "the log is told no further");
            std::io::Error::other("the log is told no further")
        })?;
        Ok::<_, std::io::Error>(next.map(|lines| (lines, follower)))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(NDJSON)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .streaming(lines))
}

impl Follower {
    /// The next lines; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while !self.is_over {
            let max = self.extent.limit.unwrap_or(PAGE_COMMITS).min(PAGE_COMMITS);
            let page = self.log.page(self.extent.after, max).await.map_err(store_problem)?;
            let (commits, is_all) = self.settled(page);
            self.extent.limit = self.extent.limit.map(|limit| limit.saturating_sub(commits.len()));
            self.is_over = (is_all && !self.extent.follows) || self.extent.limit == Some(0);
            let events = documents(&commits, |name| self.log.sieve.wants_type(name))?;
            if !events.is_empty() {
                self.quiet_looks = 0;
                return Ok(Some(events.iter().map(|event| format!("{event}\n")).collect::<String>().into()));
            }
            if is_all
                && self.extent.follows
                && let Some(heartbeat) = self.wait().await?
            {
                return Ok(Some(heartbeat));
            }
        }
        Ok(None)
    }

    /// The commits that may be sent, and whether there are no more for now. Notes the position that is reached.
    fn settled(&mut self, page: LogPage) -> (Vec<crate::domain::persisted::StoredCommit>, bool) {
        let LogPage { mut commits, next, seen, seen_at } = page;
        let settling = self.extent.follows && self.service.settings.backend == Backend::Aws;
        let is_young = |at| settling && self.service.committer.clock.now().duration_since(at) < SETTLING;
        if seen_at.is_some_and(is_young) {
            // A commit of the page is too young: those before it are sent, and the page is read again later.
            if let Some(young) = commits.iter().position(|commit| is_young(commit.recorded_at)) {
                commits.truncate(young);
            }
            self.extent.after = commits.last().map(|commit| commit.position).or(self.extent.after);
            return (commits, true);
        }
        self.extent.after = seen.or(self.extent.after);
        (commits, next.is_none())
    }

    /// Waits a moment. Now and then returns an empty line, which shows both sides that the connection holds.
    async fn wait(&mut self) -> Result<Option<Bytes>, Problem> {
        if !self.service.readiness.get() {
            self.is_over = true;
            return Ok(None);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        self.quiet_looks += 1;
        if self.quiet_looks < QUIET_LOOKS_MAX {
            return Ok(None);
        }
        self.quiet_looks = 0;
        if Admin::<OfEvents>::from_request(&self.request, &mut Payload::None).await.is_err() {
            self.is_over = true;
            return Ok(None);
        }
        Ok(Some(Bytes::from_static(b"\n")))
    }
}
