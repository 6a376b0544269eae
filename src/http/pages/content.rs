//! The one style and the one script of all pages, as they are in the program.

/// The style of all servers.
pub(super) const STYLE: &str = include_str!("assets/style.css");

/// The script.
pub(super) const SCRIPT: &str = include_str!("assets/script.js");
