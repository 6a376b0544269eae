//! A node that serves: its two ports, from the first request to an orderly stop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::dev::ServerHandle;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Listeners, Node, background, ports};
use crate::http::{state::Service, wire::Wire};

/// How long a stop drains, beyond the time that connections without a request have, before it closes the port and new connections are
/// refused.
const FIRST_DRAIN: Duration = Duration::from_millis(150);

/// A node that serves.
pub struct Server {
    node: Node,
    public: ServerHandle,
    ops: ServerHandle,
    wire: Arc<Wire>,
    /// The background tasks, ended before the requests are.
    tasks: Vec<JoinHandle<()>>,
    /// Watches the files and holds their locks, which are released at the end.
    watching: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves a node.
    ///
    /// # Errors
    /// When the system gives no threads or sockets.
    pub fn start(mut node: Node, listeners: Listeners) -> std::io::Result<Self> {
        let service = node.service.clone();
        let wire = Arc::new(Wire::new(&service.settings, Arc::clone(&service.committer.clock)));
        let patience = service.settings.http.requests_patience();
        let public = ports::public(&service, listeners.public, Arc::clone(&wire), patience)?;
        let ops = ports::ops(&service, listeners.ops)?;
        let handles = (public.handle(), ops.handle());
        actix_web::rt::spawn(public);
        actix_web::rt::spawn(ops);
        let tasks = background::start(&service);
        let watching = node.premises.take();
        let watching = watching.map(|premises| actix_web::rt::spawn(background::watch(service.clone(), premises)));
        service.readiness.set(true);
        Ok(Self { node, public: handles.0, ops: handles.1, wire, tasks, watching })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The administrator's token, when this start made the first one; returned only once.
    pub fn take_first_admin_token(&mut self) -> Option<Zeroizing<String>> {
        self.node.first_admin_token.take()
    }

    /// Stops in order: reports not ready, finishes the requests in flight while the mailers finish their current message, and returns the
    /// grants. All of it within `http.shutdown_timeout_s`.
    pub async fn stop(self) {
        let service = &self.node.service;
        service.readiness.set(false);
        self.tasks.iter().for_each(JoinHandle::abort);
        let (began, patience) = (Instant::now(), service.settings.http.requests_patience());
        let (left, mailers) =
            tokio::join!(self.end_requests(patience), tokio::time::timeout(patience, service.mailers.stop(patience)));
        if left > 0 {
            tracing::warn!(connections = left, "requests were still at work and are cut off");
        }
        if !matches!(mailers, Ok(Ok(()))) {
            tracing::warn!("a mailer is still at work; its message will be received again");
        }
        if tokio::time::timeout(patience.saturating_sub(began.elapsed()), service.book.has_written_down())
            .await
            .is_err()
        {
            tracing::warn!("not all first requests and uses of sessions are written down; the next ones are");
        }
        if let Err(error) = service.book.withdraw_all().await {
            tracing::warn!(%error, "the unspent part of grants could not be given back");
        }
        if service.readiness.closed().is_none() {
            close(service).await;
        }
        self.ops.stop(false).await;
        self.watching.iter().for_each(JoinHandle::abort);
    }

    /// Answers what has arrived, and closes all connections of the API. Returns how many were cut off after `patience`.
    async fn end_requests(&self, patience: Duration) -> usize {
        let began = Instant::now();
        self.public.pause().await;
        let first_drain = FIRST_DRAIN + self.wire.last_request_patience();
        if self.wire.drain(first_drain.min(patience)).await == 0 {
            self.public.stop(false).await;
            return 0;
        }
        // Some requests take longer: meanwhile new clients should try elsewhere at once.
        let (left, ()) =
            tokio::join!(self.wire.drain(patience.saturating_sub(began.elapsed())), self.public.stop(true));
        left
    }
}

/// Moves write-ahead logs into the databases, so that each file is complete by itself.
async fn close(service: &Service) {
    if let Err(error) = service.committer.stores.upkeep.close().await {
        tracing::warn!(%error, "the database was not closed in order; nothing is lost");
    }
    if let Err(error) = service.records.close().await {
        tracing::warn!(%error, "the records were not closed in order; nothing is lost");
    }
}
