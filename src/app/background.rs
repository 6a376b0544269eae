//! Background tasks of a node that serves: it watches its files, and notices what other processes did and left behind.

use std::time::{Duration, Instant};

use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior},
};

use super::{
    checkpoints::make_while_serving,
    data_dir::{Premises, SECRET_LOOKS},
};
use crate::{
    config::Backend,
    failpoint::is_off,
    http::state::Service,
    store::{dynamodb::MARK_UNWATCHED, records::RecordStoreError},
};

/// How often a server checks that its files are still in place.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
// A removed file is noticed within a second, and so is the secret, which may be half-written for a moment.
const _: () = assert!(WATCH_INTERVAL.as_millis() * (SECRET_LOOKS as u128 + 1) <= 1000);
/// How often a server looks for imports that died on other nodes, on a backend where a dead import keeps its data set for a while.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(60);
/// The same on a backend where an import's death is known at once.
const LOCAL_RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How long dead imports are looked for at every tick after the relay has published a commit that was left behind.
const RECOVERY_FOLLOWS_FOR: Duration = Duration::from_secs(5);
/// How often a server checks that its secret is still the deployment's, when it shares the secret with others.
const SECRET_INTERVAL: Duration = Duration::from_secs(60);
/// How often a server of a shared deployment looks whether it was closed for a move. Until then its writes are refused one by one.
const MOVE_INTERVAL: Duration = Duration::from_secs(3);
/// How often a server removes expired answers to idempotency keys.
const ANSWERS_SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// How often a server settles the usage of people who stopped sending requests.
const SETTLE_INTERVAL: Duration = Duration::from_secs(10);

/// Checks that the data directory and its files are still in place. Once one was removed or replaced, the server would go on in a file that
/// nobody finds, or beside another server: from then on it answers only 503.
pub(super) async fn watch(service: Service, mut premises: Premises) {
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
    let patience = service.settings.http.requests_patience();
    if service.mailers.stop(patience).await.is_err() {
        tracing::warn!("a mailer is still at work");
    }
    // Keeps the locks: no other server may take the directory while this process lives.
    std::future::pending::<()>().await;
    drop(premises);
}

/// Starts the background tasks of a node that serves.
pub(super) fn start(service: &Service) -> Vec<JoinHandle<()>> {
    if service.rehearsed.is_some() {
        return Vec::new();
    }
    let mut tasks = vec![
        actix_web::rt::spawn(notice_imports(service.clone())),
        actix_web::rt::spawn(write_down_the_dead(service.clone())),
        actix_web::rt::spawn(sweep_answers(service.clone())),
        actix_web::rt::spawn(settle_usage(service.clone())),
    ];
    if let Some(provider) = service.provider.clone() {
        // Logs problems of the provider at the start, before the first sign-in.
        tasks.push(actix_web::rt::spawn(async move { provider.look().await }));
    }
    if service.settings.checkpoints.every_h > 0 || !service.settings.checkpoints.mail_to.is_empty() {
        tasks.push(actix_web::rt::spawn(make_while_serving(service.clone())));
    }
    if service.settings.backend == Backend::Aws {
        tasks.push(actix_web::rt::spawn(check_secret(service.clone())));
        tasks.push(actix_web::rt::spawn(notice_move(service.clone())));
    }
    tasks
}

/// Notices what other processes have imported.
async fn notice_imports(service: Service) {
    let mut ticks = ticks(refresh_interval(&service));
    // The records were just read: also compares imports that finished since.
    compare_with_log(&service).await;
    loop {
        ticks.tick().await;
        match service.records.refresh().await {
            Ok(()) => {}
            Err(error @ RecordStoreError::Unavailable { .. }) => {
                tracing::warn!(%error, "data sets cannot be looked at")
            }
            Err(error) => tracing::error!(%error, "the records cannot be read again"),
        }
        // Compares even after a failed refresh: the other data sets, and those that are gone, are still known.
        compare_with_log(&service).await;
    }
}

/// Records the death of imports whose process died. A dead import may hold its data set for a while; it is recorded only after that.
async fn write_down_the_dead(service: Service) {
    let is_shared = service.settings.backend == Backend::Aws;
    let interval = if is_shared { RECOVERY_INTERVAL } else { LOCAL_RECOVERY_INTERVAL };
    let mut ticks = ticks(refresh_interval(&service));
    let (mut looked, mut relayed, mut is_soon_until) = (Instant::now(), 0, Instant::now());
    loop {
        ticks.tick().await;
        // The relay may have published a dead import's first commit. The list of imports shows the import a little later.
        let published = service.relay.counts().published;
        if published > relayed {
            (relayed, is_soon_until) = (published, Instant::now() + RECOVERY_FOLLOWS_FOR);
        }
        if Instant::now() >= is_soon_until && looked.elapsed() < interval {
            continue;
        }
        looked = Instant::now();
        if let Err(error) = service.imports.recover_recent().await {
            tracing::warn!(%error, "imports that died cannot be written down yet");
        }
        if let Err(error) = service.imports.tend().await {
            tracing::warn!(%error, "files that were sent to be imported cannot be tended yet");
        }
    }
}

/// Checks that the server secret is still the deployment's: a node with another secret takes no more messages.
async fn check_secret(service: Service) {
    let mut ticks = ticks(SECRET_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = service.committer.check_secret().await {
            tracing::warn!(%error, "whether the server secret is still the deployment's cannot be seen");
        }
    }
}

/// Notices that the deployment was closed for a move: from then on this server answers only that, takes no messages, and gives back what
/// it holds of people's quotas, so that it is not lost to them.
async fn notice_move(service: Service) {
    let mut ticks = ticks(MOVE_INTERVAL);
    let (mark, told) = loop {
        ticks.tick().await;
        if is_off(MARK_UNWATCHED) {
            continue;
        }
        match service.committer.stores.upkeep.mark().await {
            Ok(None) => {}
            Ok(Some(mark)) => {
                if let Some(told) = mark.told_to_clients() {
                    break (mark, told);
                }
            }
            Err(error) => tracing::warn!(%error, "whether the deployment was moved cannot be seen"),
        }
    };
    tracing::warn!(%mark, "nothing is answered any more: stop this server");
    service.readiness.close_as_moved(mark.to_string(), told);
    if service.mailers.stop(service.settings.http.requests_patience()).await.is_err() {
        tracing::warn!("a mailer is still at work");
    }
    if let Err(error) = service.book.withdraw_all().await {
        tracing::warn!(%error, "the unspent part of grants could not be given back");
    }
}

/// Removes expired answers to idempotency keys.
async fn sweep_answers(service: Service) {
    let mut ticks = ticks(ANSWERS_SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = service.committer.sweep_answers().await {
            tracing::warn!(%error, "answers that have expired cannot be removed yet");
        }
    }
}

/// Reports the counted requests of people who stopped sending any to the ledger, and returns the rest of their grants.
async fn settle_usage(service: Service) {
    let mut ticks = ticks(SETTLE_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = service.book.settle_idle().await {
            tracing::warn!(%error, "what people have used could not be told to the ledger yet");
        }
    }
}

fn refresh_interval(service: &Service) -> Duration {
    Duration::from_millis(service.settings.records.refresh_interval_ms)
}

/// Ticks, the first of them after one interval.
fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Compares records that have changed with the log.
async fn compare_with_log(service: &Service) {
    if let Err(error) = service.lineages.look_again().await {
        tracing::warn!(%error, "records that have changed cannot be compared with the log yet");
    }
}
