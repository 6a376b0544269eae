//! What a node that serves does beside answering: it watches its files, and notices what other processes did and left behind.

use std::time::{Duration, Instant};

use super::{Premises, server::requests_patience};
use crate::{config::Backend, http::state::Service, store::records::RecordStoreError};

/// How often a server looks whether its files are still where they were.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// How often a server looks for imports that died elsewhere where these keep their data sets for a while.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(60);
/// The same where it is known at once that they died.
const LOCAL_RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How often a server removes what has expired of the answers that are kept with idempotency keys.
const ANSWERS_SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// Looks whether the data directory and the files in it are still where they were. When one was taken away the server goes on
/// in a file that nobody will find, or beside another one: it answers nothing but 503 from then on.
pub(super) async fn watch(service: Service, premises: Premises) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    loop {
        ticks.tick().await;
        if let Some(trouble) = premises.trouble() {
            tracing::error!(
                trouble,
                "nothing is answered any more: stop this server, put the data directory back as it was, or restore it from \
                 the backup, and start again"
            );
            service.readiness.close(trouble);
            break;
        }
    }
    let patience = requests_patience(&service.settings);
    if service.mailers.stop(patience).await.is_err() {
        tracing::warn!("a mailer is still at work");
    }
    // The locks stay: no other server is to find the directory free while this one is there.
    std::future::pending::<()>().await;
    drop(premises);
}

/// Notices what other processes have imported, and those that died of it, for as long as the node serves.
pub(super) async fn refresh(service: Service) {
    let mut ticks = tokio::time::interval(Duration::from_millis(service.settings.records.refresh_interval_ms));
    // The first is over at once: the records have only just been read. What was imported since is compared at once, too.
    ticks.tick().await;
    compare_with_log(&service).await;
    let is_shared = service.settings.backend == Backend::Aws;
    let recovery_interval = if is_shared { RECOVERY_INTERVAL } else { LOCAL_RECOVERY_INTERVAL };
    let (mut recovered, mut swept) = (Instant::now(), Instant::now());
    loop {
        ticks.tick().await;
        match service.records.refresh().await {
            Ok(()) => compare_with_log(&service).await,
            Err(error @ RecordStoreError::Unavailable { .. }) => {
                tracing::warn!(%error, "data sets cannot be looked at")
            }
            Err(error) => tracing::error!(%error, "the records cannot be read again"),
        }
        // An import that died may hold its data set for a while; only then can it be written down.
        if recovered.elapsed() >= recovery_interval {
            recovered = Instant::now();
            if let Err(error) = service.imports.recover_recent().await {
                tracing::warn!(%error, "imports that died cannot be written down yet");
            }
            if is_shared && let Err(error) = service.committer.check_secret().await {
                tracing::warn!(%error, "whether the server secret is still the deployment's cannot be seen");
            }
        }
        if swept.elapsed() >= ANSWERS_SWEEP_INTERVAL {
            swept = Instant::now();
            if let Err(error) = service.committer.sweep_answers().await {
                tracing::warn!(%error, "answers that have expired cannot be removed yet");
            }
        }
    }
}

/// Compares records that have changed with the log.
async fn compare_with_log(service: &Service) {
    if let Err(error) = service.lineages.look_again().await {
        tracing::warn!(%error, "records that have changed cannot be compared with the log yet");
    }
}
