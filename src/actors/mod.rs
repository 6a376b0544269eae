//! The actors, one file each: the only folder that imports `actix`. All other code uses their handles.
//!
//! Mailboxes are bounded, and senders never wait for room: a full one is [`Busy`], which a client sees as 503 with `Retry-After`. No
//! durable data is in a mailbox, so that a restarted actor loses nothing that was acknowledged.

pub mod about;
pub mod account;
mod answers;
mod ask;
pub mod commit;
mod counting;
pub mod gate;
pub mod grants;
pub mod hashing;
pub mod import;
pub mod invite;
mod key_rules;
pub mod leaks;
pub mod lineage;
pub mod log;
pub mod mailer;
pub mod notices;
pub mod person;
pub mod provider;
pub mod query;
pub mod redrive;
pub mod relay;
pub mod session_uses;
pub mod sign_in;
pub mod tokens;
pub mod turns;

pub use ask::Busy;
