//! An import as server-sent events: one event whenever the import has changed, until it is settled.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    actors::import::ImportStatus,
    http::{Problem, ProblemCode, routes::answer::Answer, state::Service, store_problem::RETRY_AFTER_S},
};

/// The media type with which a request asks for events.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// Most listeners at the same time on one server.
const LISTENERS_MAX: usize = 100;
static LISTENERS: Semaphore = Semaphore::const_new(LISTENERS_MAX);
/// Time between two looks at an import that runs on this server.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The same for an import of which only the log can be asked.
const FAR_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Looks without news after which a comment keeps the connection open.
const QUIET_LOOKS_MAX: u32 = 40;

struct Listener {
    service: web::Data<Service>,
    status: ImportStatus,
    /// Whether the first event, with the status at the beginning, is still to be sent.
    first: bool,
    _place: SemaphorePermit<'static>,
}

/// Answers with the events of an import.
pub(super) fn stream(service: web::Data<Service>, status: ImportStatus) -> Answer {
    let place = LISTENERS.try_acquire().map_err(|_| {
        let detail =
            format!("{LISTENERS_MAX} imports are listened to, which is the most: ask for its state now and then");
        Problem::new(ProblemCode::Overloaded, detail).retry_after(RETRY_AFTER_S)
    })?;
    let listener = Listener { service, status, first: true, _place: place };
    let events = stream::unfold(Some(listener), |listener| async move {
        let (event, listener) = listener?.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .content_type(MEDIA_TYPE)
        .streaming(events))
}

impl Listener {
    /// The next event, with the listener if more events follow. `None` at the end.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        if std::mem::take(&mut self.first) {
            return Some(self.told());
        }
        for _ in 0..QUIET_LOOKS_MAX {
            let is_here = self.status.progress.is_some();
            tokio::time::sleep(if is_here { LOOK_INTERVAL } else { FAR_LOOK_INTERVAL }).await;
            // A server that stops does not wait for listeners.
            if !self.service.readiness.get() {
                return None;
            }
            // A status that cannot be read now is read at the next look.
            let Ok(found) = self.service.imports.status(self.status.id).await else { continue };
            let found = found?;
            if found != self.status {
                self.status = found;
                return Some(self.told());
            }
        }
        Some((Bytes::from_static(b": still listening\n\n"), Some(self)))
    }

    fn told(self) -> (Bytes, Option<Self>) {
        // A status is always JSON.
        let document = serde_json::to_string(&self.status).unwrap_or_default();
        let event = format!("event: {}\ndata: {document}\n\n", self.status.status);
        let is_over = self.status.is_settled();
        (event.into(), (!is_over).then_some(self))
    }
}
