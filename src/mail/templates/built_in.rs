//! A mail's built-in templates.

/// The file names of a mail's three parts in its folder.
pub const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];

/// The place shown for a built-in part.
pub const BUILT_IN: &str = "built in";

/// The frame of HTML mails: `{% extends "layout.html" %}`, with the blocks `title` and `body`.
pub(super) const LAYOUT: (&str, &str) = ("layout.html", include_str!("layout.html"));

/// A mail's built-in templates.
pub(super) struct BuiltIn {
    /// Its folder's name.
    pub(super) name: &'static str,
    /// Its description.
    pub(super) about: &'static str,
    /// Its parts, in the order of [`PARTS`].
    pub(super) parts: [&'static str; 3],
    /// Example values as JSON: the first has all values, the others lack optional ones.
    pub(super) examples: fn() -> Vec<serde_json::Value>,
}
