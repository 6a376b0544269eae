//! The pages for people, as a browser without script uses them.

mod about;
