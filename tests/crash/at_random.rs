//! The process is killed from outside, at moments that nobody chose.

use std::{cell::Cell, time::Duration};

use permitd::queue::Policy;

use crate::deployment::{Deployment, POLICY};

/// Of each life, the answers after which its end is near, and the milliseconds that it still has then.
const DEATHS: [(u32, u64); 10] =
    [(0, 3), (8, 30), (1, 41), (5, 0), (0, 11), (12, 60), (2, 67), (0, 25), (6, 7), (1, 6)];
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

#[tokio::test]
async fn rows_01_to_14_killed_at_any_moment() {
    // A message that five lives in a row received in vain would be a dead letter, as it should: that is not what this is about.
    let policy = Policy { receives_max: 10 * POLICY.receives_max, ..POLICY };
    let deployment = Deployment::with(crate::MODE, policy, &[]).await;
    deployment.import("", 10);
    let (mut invited, mut deleted, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for (round, (answers, death_ms)) in DEATHS.into_iter().enumerate() {
        let mut serving = deployment.serve("");
        let answered = Cell::new(0);
        let writing = async {
            for number in 0..40 {
                let address = format!("user{round}-{number}@example.org");
                open.push(address.clone());
                let Ok(user) = deployment.invite(&serving, &address).await else { return };
                answered.set(answered.get() + 1);
                open.pop();
                invited.push((user.clone(), address.clone()));
                if number % 4 == 3 {
                    // Whether an unanswered deletion took place is not known: it is repeated below.
                    invited.pop();
                    deleted.push((user.clone(), address));
                    if deployment.delete(&serving, &user).await.is_err() {
                        return;
                    }
                }
            }
        };
        let dying = async {
            while answered.get() < answers {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            tokio::time::sleep(Duration::from_millis(death_ms)).await;
        };
        tokio::select! {
            () = writing => {}
            () = dying => {}
        }
        serving.process.kill();
    }
    let serving = deployment.serve("");
    for address in open {
        invited.push((deployment.invite(&serving, &address).await.expect("an answer"), address));
    }
    for (user, _) in &deleted {
        deployment.delete(&serving, user).await.expect("an answer");
    }
    assert!(invited.len() > 10, "{} people in {} lives", invited.len(), DEATHS.len());
    for (user, address) in &invited {
        deployment.check_invited(&serving, user, address).await;
    }
    for (user, address) in &deleted {
        deployment.check_deleted(&serving, user, address).await;
    }
    drop(serving);
    deployment.verify();
}
