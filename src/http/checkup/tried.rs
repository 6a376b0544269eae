//! Probes the parts that requests need.

use std::time::Duration;

use tokio::time::timeout;

use super::Checkup;
use crate::http::state::Service;

/// How long each probe may take.
const PATIENCE: Duration = Duration::from_secs(2);

impl Checkup {
    /// The troubles that prevent answers to requests, each with its reason; empty when requests can be answered.
    pub async fn troubles(&self, service: &Service) -> Vec<String> {
        self.kept_or(service.committer.clock.monotonic_us(), look(service)).await
    }
}

async fn look(service: &Service) -> Vec<String> {
    let committer = &service.committer;
    let (store, records, queue, secret) = tokio::join!(
        timeout(PATIENCE, committer.stores.upkeep.probe()),
        timeout(PATIENCE, service.records.probe()),
        timeout(PATIENCE, committer.queue.probe()),
        timeout(PATIENCE, committer.check_secret()),
    );
    let troubles = [
        trouble("the store of keys and limits", store),
        trouble("the records", records),
        trouble("the queue", queue),
        trouble("what the log knows of the server secret", secret.map(|outcome| outcome.map(drop))),
        service.book.trouble().map(|reason| format!("grants are refused: {reason}")),
        // A copy has no server secret, and needs none.
        committer.secrets.doubted().filter(|_| service.rehearsed.is_none()).map(ToOwned::to_owned),
    ];
    troubles.into_iter().flatten().chain(copying(service)).collect()
}

/// The copies of records that are not ready yet: queries on them are not answered.
fn copying(service: &Service) -> Vec<String> {
    if service.settings.records.ready_while_copying {
        return Vec::new();
    }
    let copies = service.records.copies().into_iter().filter(|copy| !copy.is_ready);
    let told = copies.map(|copy| {
        let why = copy.trouble.map(|trouble| format!("; it is tried again: {trouble}")).unwrap_or_default();
        format!("the records of {}: {:.0} percent are copied to this server{why}", copy.name, copy.share * 100.0)
    });
    told.collect()
}

/// The trouble that a probe found.
fn trouble<E: std::fmt::Display>(
    what: &str,
    tried: Result<Result<(), E>, tokio::time::error::Elapsed>,
) -> Option<String> {
    match tried {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{what}: {error}")),
        Err(_) => Some(format!("{what}: no answer within {} s", PATIENCE.as_secs())),
    }
}
