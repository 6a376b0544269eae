//! What people do with the pages.

mod anybody;
mod below_a_prefix;
mod documentation;
