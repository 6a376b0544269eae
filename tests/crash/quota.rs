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
const RATE_PER_S: u64 = 200;
const BURST: u64 = 50;
/// Answers after which each life ends; the last one uses up what there is.
const LIVES: [u64; 4] = [1, 90, 40, u64::MAX];

fn today() -> String {
    Timestamp::now().to_string().chars().take(10).collect()
}

#[tokio::test]
async fn the_days_total_never_passes_the_quota_however_often_the_process_dies() {
    let day = today();
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let serving = deployment.serve("");
    let limits = json!({ "rate_per_s": RATE_PER_S, "burst": BURST, "quota_per_day": QUOTA });
    let (status, plan) = deployment.admin(&serving, Method::PUT, "/plans/default", "", Some(limits)).await.unwrap();
    assert!((200..300).contains(&status), "{status} {plan}");
    let user = deployment.invite(&serving, "ana@example.org").await.expect("an answer");
    deployment.settled(&serving, &user, "ana@example.org").await;
    let key = deployment.mailed("ana@example.org").pop().expect("a mail");
    drop(serving);

    let answered = AtomicU64::new(0);
    for deaths_after in LIVES {
        let mut serving = deployment.serve("");
        let before = answered.load(Ordering::SeqCst);
        let connection = || async {
            loop {
                match deployment.get(&serving, "/permits?limit=1", &key).await {
                    Ok((200, _)) => drop(answered.fetch_add(1, Ordering::SeqCst)),
                    Ok((429, problem)) if problem.contains("\"daily\"") => return,
                    Ok((429, _)) => tokio::task::yield_now().await,
                    Ok((status, problem)) => panic!("{status} {problem}"),
                    Err(_) => return,
                }
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
    assert!(total <= QUOTA, "{total} of {QUOTA}");
    // A death costs what its grant held: at most the burst and what flows in while a grant lives, which is a second.
    let deaths = u64::try_from(LIVES.len()).unwrap() - 1;
    assert!(total >= QUOTA - deaths * (BURST + RATE_PER_S), "{total}: the deaths cost more than a grant each");
    deployment.verify();
}

/// When a key was last used, and from where, is not older after a death than a grant's life, however seldom it is used.
#[tokio::test]
async fn the_last_use_of_a_key_outlives_the_process() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let mut serving = deployment.serve("");
    let user = deployment.invite(&serving, "ana@example.org").await.expect("an answer");
    deployment.settled(&serving, &user, "ana@example.org").await;
    let key = deployment.mailed("ana@example.org").pop().expect("a mail");
    for _ in 0..2 {
        let began = Timestamp::now();
        let (status, body) = deployment.get(&serving, "/permits?limit=1", &key).await.unwrap();
        assert_eq!(status, 200, "{body}");
        serving.process.kill();
        drop(serving);
        serving = deployment.serve("");
        let path = format!("/users/{user}/keys");
        let (_, keys) = deployment.admin(&serving, Method::GET, &path, "", None).await.unwrap();
        let shown = &keys["data"][0];
        let used: Timestamp = shown["last_used_at"].as_str().expect("a last use").parse().unwrap();
        assert!(used >= began && used <= Timestamp::now(), "{began}: {shown}");
        assert_eq!(shown["last_used_from"], "127.0.0.0/24");
    }
    drop(serving);
    deployment.verify();
}
