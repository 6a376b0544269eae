//! A mail as the program has it.

/// The names of a mail's three parts, as its folder has them.
pub const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];

/// The place of a part of the program.
pub const BUILT_IN: &str = "built in";

/// What the HTML of mails is put into: `{% extends "layout.html" %}`, with the blocks `title` and `body`.
pub(super) const LAYOUT: (&str, &str) = ("layout.html", include_str!("layout.html"));

/// A mail as the program has it.
pub(super) struct BuiltIn {
    /// Its folder's name.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    /// Its parts, in the order of [`PARTS`].
    pub(super) parts: [&'static str; 3],
    /// What it may be given, as JSON: first all that there can be, then what can be left out is.
    pub(super) examples: fn() -> Vec<serde_json::Value>,
}
