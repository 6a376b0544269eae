//! A node that serves: its two ports, from the first request to a stop in order.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::dev::ServerHandle;

use super::{Node, StartError, background, ports};
use crate::{
    config::Settings,
    http::{state::Service, wire::Wire},
};

/// How long a stop waits for connections without a request before it gives up the port, so that new ones are refused.
const FIRST_DRAIN: Duration = Duration::from_millis(400);

/// Addresses that are listened on but not yet served.
pub struct Listeners {
    public: TcpListener,
    ops: TcpListener,
}

impl Listeners {
    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn bind(settings: &Settings) -> Result<Self, StartError> {
        let bind = |setting, address| {
            TcpListener::bind(address).map_err(|source| StartError::Listen { setting, address, source })
        };
        Ok(Self { public: bind("listen", settings.listen)?, ops: bind("ops.listen", settings.ops.listen)? })
    }

    /// The address of the API.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn public_address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address of health and metrics.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ops_address(&self) -> std::io::Result<SocketAddr> {
        self.ops.local_addr()
    }
}

/// A node that serves.
pub struct Server {
    node: Node,
    public: ServerHandle,
    ops: ServerHandle,
    wire: Arc<Wire>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Serves a node.
    ///
    /// # Errors
    /// When the system gives no threads or sockets.
    pub fn start(node: Node, listeners: Listeners) -> std::io::Result<Self> {
        let service = node.service.clone();
        let wire = Arc::new(Wire::new(&service.settings.http, Arc::clone(&service.committer.clock)));
        let patience = requests_patience(&service.settings);
        let public = ports::public(&service, listeners.public, Arc::clone(&wire), patience)?;
        let ops = ports::ops(&service, listeners.ops)?;
        let handles = (public.handle(), ops.handle());
        actix_web::rt::spawn(public);
        actix_web::rt::spawn(ops);
        let mut tasks = vec![actix_web::rt::spawn(background::refresh(service.clone()))];
        let mut node = node;
        if let Some(premises) = node.premises.take() {
            tasks.push(actix_web::rt::spawn(background::watch(service.clone(), premises)));
        }
        service.readiness.set(true);
        Ok(Self { node, public: handles.0, ops: handles.1, wire, tasks })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Stops in order: says that it is not ready, finishes the requests in flight while the mailers finish the message they
    /// are at, gives the grants back. All of it within `http.shutdown_timeout_s`.
    pub async fn stop(self) {
        let service = &self.node.service;
        service.readiness.set(false);
        // The locks are in one of them; they are given up at the end.
        let (refreshing, watching) = self.tasks.split_at(1);
        refreshing.iter().for_each(tokio::task::JoinHandle::abort);
        let patience = requests_patience(&service.settings);
        let (left, mailers) =
            tokio::join!(self.end_requests(patience), tokio::time::timeout(patience, service.mailers.stop(patience)));
        if left > 0 {
            tracing::warn!(connections = left, "requests were still at work and are cut off");
        }
        if !matches!(mailers, Ok(Ok(()))) {
            tracing::warn!("a mailer is still at work; its message will be received again");
        }
        if let Err(error) = service.book.withdraw_all().await {
            tracing::warn!(%error, "the unspent part of grants could not be given back");
        }
        if service.readiness.closed().is_none() {
            close(service).await;
        }
        self.ops.stop(false).await;
        watching.iter().for_each(tokio::task::JoinHandle::abort);
    }

    /// Answers what has arrived, and closes all connections of the API. How many were cut off after `patience`.
    async fn end_requests(&self, patience: Duration) -> usize {
        let began = Instant::now();
        self.public.pause().await;
        if self.wire.drain(FIRST_DRAIN.min(patience)).await == 0 {
            self.public.stop(false).await;
            return 0;
        }
        // Some take longer: whoever comes meanwhile is to try elsewhere at once.
        let (left, ()) =
            tokio::join!(self.wire.drain(patience.saturating_sub(began.elapsed())), self.public.stop(true));
        left
    }
}

/// Leaves files that are whole by themselves: what stands in write-ahead logs is moved into the databases.
async fn close(service: &Service) {
    if let Err(error) = service.committer.stores.upkeep.close().await {
        tracing::warn!(%error, "the database was not closed in order; nothing is lost");
    }
    if let Err(error) = service.records.close().await {
        tracing::warn!(%error, "the records were not closed in order; nothing is lost");
    }
}

/// What a stop leaves to the requests in flight: all of its time but what it needs itself.
pub(super) fn requests_patience(settings: &Settings) -> Duration {
    Duration::from_secs(settings.http.shutdown_timeout_s.saturating_sub(1).max(1))
}
