//! Exports whose clients do not take them: they have cost what they cost.

use std::fmt::Write as _;

use permitd::{clock::ManualClock, dataset::Definition};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Options, TestApp},
    data::{import, things_with},
    raw::Raw,
};

/// Rows, and bytes of a cell in each: in all, more than an export and two systems hold on behalf of a client that takes nothing.
const ROWS: usize = 600;
const CELL_BYTES: usize = 20_000;
/// What a client takes at a time that takes little.
const SIP_BYTES: usize = 512;
const DAY: &str = "2026-03-01";
const QUOTA: u64 = 1_000;

/// Things with notes of some length.
fn notes() -> Definition {
    let note = r#"
        [[column]]
        name = "note"
        type = "text"
        description = "What is to be said."
        headers = ["Note"]
    "#;
    things_with("", note)
}

struct Stage {
    app: TestApp,
    clock: std::sync::Arc<ManualClock>,
    user: String,
    key: String,
}

/// A server with more than a client's system takes, and a person with a quota. Nothing but `settings` gives anybody up.
async fn stage(settings: &[(&'static str, &str)]) -> Stage {
    let clock = ManualClock::at(format!("{DAY}T00:00:00Z").parse().unwrap());
    let never = [
        ("http.write_timeout_ms", "600000"),
        ("records.export_stall_ms", "600000"),
        ("records.export_timeout_ms", "86400000"),
        ("records.exports_max", "1"),
    ];
    let settings = never.iter().chain(settings).map(|(path, value)| (*path, (*value).to_owned())).collect();
    let app = TestApp::with(Options { clock: clock.clone(), settings, ..Options::default() }).await;
    let plan = json!({ "rate_per_s": 1000, "burst": 1000, "quota_per_day": QUOTA });
    app.admin_send(Method::PUT, "/plans/large", &plan).await;
    let (user, key) = app.invite_as(&json!({ "email": "ana@example.org", "plan": "large" })).await;
    let mut file = "Name,Note\n".to_owned();
    for row in 0..ROWS {
        writeln!(file, "n{row},{}", "x".repeat(CELL_BYTES)).unwrap();
    }
    import(&app, notes(), file.into_bytes(), "things.csv").await;
    Stage { app, clock, user, key }
}

impl Stage {
    /// Begins an export, and takes its head.
    fn export(&self) -> Raw {
        let mut raw = Raw::narrow(&self.app);
        raw.send(format!("GET /things?format=ndjson HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n", self.key));
        let head = raw.head().expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        raw
    }

    /// What was used of that day's quota, once no node holds any of it.
    async fn used(mut self) -> Value {
        self.app.restart().await;
        let path = format!("/users/{}/usage", self.user);
        let usage = self.app.send(self.app.admin(Method::GET, &path)).await.expect(200).json();
        let days = usage["data"].as_array().unwrap();
        days.iter().find(|day| day["day"] == DAY).unwrap_or_else(|| panic!("{usage}"))["used"].clone()
    }
}

#[tokio::test]
async fn an_export_that_its_client_stalls_is_broken_off_and_charged() {
    let stage = stage(&[("records.export_stall_ms", "1000")]).await;
    let mut raw = stage.export();
    // It takes hardly anything, while the export's time passes: as soon as there is no room for a part, that is over.
    let mut taken = 0;
    while let Some(bytes) = raw.sip(SIP_BYTES) {
        taken += bytes;
        stage.clock.advance_us(1_001_000);
        assert!(taken < ROWS * CELL_BYTES / 2, "an export that hardly moves is given up");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(!raw.unread().ends_with(b"0\r\n\r\n"), "what is not whole does not look so");
    assert_eq!(stage.used().await, 10, "all that the export costs");
}

#[tokio::test]
async fn an_export_that_its_client_takes_nothing_of_is_cut_off_and_charged() {
    let stage = stage(&[("http.write_timeout_ms", "200")]).await;
    let mut raw = stage.export();
    // One at a time: there is a place again when the first is given up, and not before.
    let small = "/things?format=csv&limit=1&select=name";
    let asked = async || Some(stage.app.get(small, &stage.key).await).filter(|answer| answer.status == 200);
    stage.app.eventually("the place of the export that nobody takes", asked).await;
    let got = raw.drain();
    assert!(got < ROWS * CELL_BYTES, "{got} bytes came");
    // Refused ones took nothing.
    assert_eq!(stage.used().await, 20, "all that both exports cost");
}

#[tokio::test]
async fn an_export_that_its_client_leaves_is_charged_and_gives_its_place_back() {
    let stage = stage(&[]).await;
    drop(stage.export());
    let small = "/things?format=csv&limit=1&select=name";
    let asked = async || Some(stage.app.get(small, &stage.key).await).filter(|answer| answer.status == 200);
    stage.app.eventually("the place of the export that was left", asked).await;
    assert_eq!(stage.used().await, 20);
}
