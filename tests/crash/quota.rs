//! The quota holds over any number of deaths.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::deployment::Deployment;

const CONNECTIONS: usize = 8;
const QUOTA: u64 = 1000;

fn today() -> String {
    Timestamp::now().to_string().chars().take(10).collect()
}

#[tokio::test]
async fn the_days_total_never_passes_the_quota_however_often_the_process_dies() {
    let day = today();
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let limits = json!({ "rate_per_s": 100_000, "burst": 100_000, "quota_per_day": QUOTA });
    let (status, plan) = deployment.admin(&serving, Method::PUT, "/plans/default", "", Some(limits)).await.unwrap();
    assert!((200..300).contains(&status), "{status} {plan}");
    let user = deployment.invite(&serving, "ana@example.org").await.expect("an answer");
    deployment.settled(&serving, &user, "ana@example.org").await;
    let key = deployment.mailed("ana@example.org").pop().expect("a mail");
    drop(serving);

    let (answered, mut lives) = (AtomicU64::new(0), 0);
    // In every life but the last the process dies after some answers; then one is left to use up what there is.
    for deaths_after in [1, 60, 130, 17, 200, u64::MAX] {
        lives += 1;
        let mut serving = deployment.serve("");
        let before = answered.load(Ordering::SeqCst);
        let connection = || async {
            loop {
                match deployment.read(&serving, "/permits?limit=1", &key).await {
                    Ok(200) => answered.fetch_add(1, Ordering::SeqCst),
                    Ok(429) => return,
                    Ok(status) => panic!("{status}"),
                    Err(e) => {
                        println!("{e:?}");
                        return;
                    }
                };
            }
        };
        let dies = async {
            while answered.load(Ordering::SeqCst) < before.saturating_add(deaths_after) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = join_all((0..CONNECTIONS).map(|_| connection())) => {}
            () = dies => {}
        }
        serving.process.kill();
    }
    let total = answered.load(Ordering::SeqCst);
    if day != today() {
        println!("skipped: midnight came in between, {total} requests over two days prove nothing");
        return;
    }
    assert!(total <= QUOTA, "{total} of {QUOTA} in {lives} lives");
    assert!(total > 400, "{total}: the deaths cost what was out in grants, not everything");
    deployment.verify();
}
