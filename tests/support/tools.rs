//! What the tests need beside Rust.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{path::PathBuf, process::Command, sync::OnceLock};

use super::repository;

/// The folder that `make test-tools` installs into; a plain `cargo test` runs it, once.
pub(crate) fn folder() -> PathBuf {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let tools = INSTALLED.get_or_init(|| {
        let target = option_env!("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        let tools = target.join("test-tools");
        if !tools.join("ready").exists() {
            let made = Command::new("make").arg("test-tools").current_dir(repository()).status().unwrap();
            assert!(made.success(), "`make test-tools` failed: it needs Python 3 with venv and pip, and npm");
        }
        tools
    });
    tools.clone()
}
