//! The source of the style and the script of all pages.

/// The style of all servers.
pub(super) const STYLE: &str = include_str!("assets/style.css");

/// The script.
pub(super) const SCRIPT: &str = include_str!("assets/script.js");
