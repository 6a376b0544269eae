//! The process is killed from outside, at moments that nobody chose.

use std::time::Duration;

use crate::deployment::Deployment;

/// Milliseconds from the first request to each death.
const DEATHS_MS: [u64; 10] = [3, 170, 41, 90, 11, 260, 67, 25, 130, 6];

#[tokio::test]
async fn rows_01_to_14_killed_at_any_moment() {
    let deployment = Deployment::new().await;
    deployment.import("", 10);
    let (mut invited, mut deleted, mut open): (Vec<(String, String)>, Vec<(String, String)>, Vec<String>) =
        (Vec::new(), Vec::new(), Vec::new());
    for (round, death_ms) in DEATHS_MS.into_iter().enumerate() {
        let mut serving = deployment.serve("");
        let writing = async {
            for number in 0..40 {
                let address = format!("user{round}-{number}@example.org");
                open.push(address.clone());
                let Ok(user) = deployment.invite(&serving, &address).await else { return };
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
        tokio::select! {
            () = writing => {}
            () = tokio::time::sleep(Duration::from_millis(death_ms)) => {}
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
    assert!(invited.len() > 10, "{} people in {} lives", invited.len(), DEATHS_MS.len());
    for (user, address) in &invited {
        deployment.check_invited(&serving, user, address).await;
    }
    for (user, address) in &deleted {
        deployment.check_deleted(&serving, user, address).await;
    }
    drop(serving);
    deployment.verify();
}
