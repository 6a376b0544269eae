//! What a node that serves does beside answering: it watches its files, and notices what other processes did and left behind.

use std::time::{Duration, Instant};

use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior},
};

use super::data_dir::{Premises, SECRET_LOOKS};
use crate::{config::Backend, http::state::Service, store::records::RecordStoreError};

/// How often a server looks whether its files are still where they were.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
// Whatever is taken away is noticed within a second, also the secret, which may be half-written for a moment.
const _: () = assert!(WATCH_INTERVAL.as_millis() * (SECRET_LOOKS as u128 + 1) <= 1000);
/// How often a server looks for imports that died elsewhere where these keep their data sets for a while.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(60);
/// The same where it is known at once that they died.
const LOCAL_RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// For how long imports that died are looked for again and again once the relay has made something good.
const RECOVERY_FOLLOWS_FOR: Duration = Duration::from_secs(5);
/// How often a server that shares its secret with others looks whether it still does.
const SECRET_INTERVAL: Duration = Duration::from_secs(60);
/// How often a server removes what has expired of the answers that are kept with idempotency keys.
const ANSWERS_SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// How often a server looks for people who ask for nothing any more.
const SETTLE_INTERVAL: Duration = Duration::from_secs(10);

/// Looks whether the data directory and the files in it are still where they were. When one was taken away the server goes on
/// in a file that nobody will find, or beside another one: it answers nothing but 503 from then on.
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
    // The locks stay: no other server is to find the directory free while this one is there.
    std::future::pending::<()>().await;
    drop(premises);
}

/// Starts what a node does for as long as it serves.
pub(super) fn start(service: &Service) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![
        actix_web::rt::spawn(notice_imports(service.clone())),
        actix_web::rt::spawn(write_down_the_dead(service.clone())),
        actix_web::rt::spawn(sweep_answers(service.clone())),
        actix_web::rt::spawn(settle_usage(service.clone())),
    ];
    if let Some(provider) = service.provider.clone() {
        // What is wrong with it is in the log from the start, and not when somebody is to sign in.
        tasks.push(actix_web::rt::spawn(async move { provider.look().await }));
    }
    if service.settings.backend == Backend::Aws {
        tasks.push(actix_web::rt::spawn(check_secret(service.clone())));
    }
    tasks
}

/// Notices what other processes have imported.
async fn notice_imports(service: Service) {
    let mut ticks = ticks(refresh_interval(&service));
    // The records have only just been read. What was imported since is compared at once, too.
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
        // Also where one of them could not be read: the others, and what is gone.
        compare_with_log(&service).await;
    }
}

/// Writes imports down that other processes have died of. Such an import may hold its data set for a while; only then can it be.
async fn write_down_the_dead(service: Service) {
    let is_shared = service.settings.backend == Backend::Aws;
    let interval = if is_shared { RECOVERY_INTERVAL } else { LOCAL_RECOVERY_INTERVAL };
    let mut ticks = ticks(refresh_interval(&service));
    let (mut looked, mut relayed, mut is_soon_until) = (Instant::now(), 0, Instant::now());
    loop {
        ticks.tick().await;
        // The relay may have made good what such an import left of its first commit. The list of imports shows it a little later.
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

/// Sees that the server secret is still the deployment's: a node that has another one takes no messages any more.
async fn check_secret(service: Service) {
    let mut ticks = ticks(SECRET_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = service.committer.check_secret().await {
            tracing::warn!(%error, "whether the server secret is still the deployment's cannot be seen");
        }
    }
}

/// Removes what has expired of the answers that are kept with idempotency keys.
async fn sweep_answers(service: Service) {
    let mut ticks = ticks(ANSWERS_SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = service.committer.sweep_answers().await {
            tracing::warn!(%error, "answers that have expired cannot be removed yet");
        }
    }
}

/// Tells the ledger what was counted of people who ask for nothing any more, and gives back what is left of their grants.
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
