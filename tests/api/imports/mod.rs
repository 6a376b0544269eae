//! Files that are sent to be imported, as an administrator does it.

mod datasets;
mod guarded;
mod sending;

use permitd::dataset::Definition;
use reqwest::Method;
use serde_json::Value;

use crate::{
    app::{Answer, TestApp},
    data::{imported, unlimited},
};

/// A data set of three columns.
pub(crate) const THINGS: &str = include_str!("../../datasets/things.toml");

/// A server with so many things, and a key that reads them.
pub(crate) struct Things {
    pub(crate) app: TestApp,
    pub(crate) key: String,
}

impl Things {
    pub(crate) async fn with(rows: usize) -> Self {
        Self::set(rows, &[]).await
    }

    pub(crate) async fn set(rows: usize, settings: &[(&'static str, &str)]) -> Self {
        let app = TestApp::set(settings, 0).await;
        let definition = Definition::from_toml(THINGS, "things.toml").unwrap();
        imported(&app, definition, things(0..rows).into_bytes(), "things.csv").await;
        let key = unlimited(&app).await;
        Self { app, key }
    }

    /// Sends a file as the body.
    pub(crate) async fn send(&self, query: &str, file: impl Into<Vec<u8>>) -> Answer {
        let request = self.app.admin(Method::POST, &format!("/imports?dataset=things{query}"));
        self.app.send(request.header("content-type", "text/csv").body(file.into())).await
    }

    /// Sends a file and waits until nothing further happens to it.
    pub(crate) async fn import(&self, query: &str, file: impl Into<Vec<u8>>) -> Value {
        let accepted = self.send(query, file).await.expect(202).json();
        self.settled(accepted["id"].as_str().unwrap()).await
    }

    /// An import, once nothing further happens to it.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        let path = format!("/imports/{id}");
        self.app
            .eventually("the import to come to rest", async || {
                let shown = self.app.admin_get(&path).await.expect(200).json();
                let is_at_work = ["uploading", "reading", "committing"].contains(&shown["status"].as_str().unwrap());
                (!is_at_work).then_some(shown)
            })
            .await
    }

    /// A command about an import.
    pub(crate) async fn decide(&self, id: &str, command: &str) -> Answer {
        self.app.send(self.app.admin(Method::POST, &format!("/imports/{id}/{command}"))).await
    }

    /// How many things there are, and their version.
    pub(crate) async fn state(&self) -> (u64, u64) {
        let page = self.app.get("/things?count=exact&limit=1", &self.key).await.expect(200).json();
        (page["page"]["count"].as_u64().unwrap(), page["dataset"]["version"].as_u64().unwrap())
    }
}

/// A file of things.
pub(crate) fn things(numbers: std::ops::Range<usize>) -> String {
    let rows = numbers.map(|number| format!("T{number},red,{number}\n"));
    String::from("Tag,Colour,Height\n") + &rows.collect::<String>()
}

/// What the files of a folder are called.
pub(crate) fn files(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
