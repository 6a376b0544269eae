//! What permitd decides: commands, events, the user and key state machines, plans and admission. Pure: no I/O, no clock,
//! no randomness; identifiers, moments and random bytes are handed in.

pub mod admin_token;
pub mod admission;
pub mod attempts;
pub mod bounds;
pub mod credential;
pub mod data_set;
pub mod email;
pub mod event;
pub mod fulfilment;
pub mod guard;
pub mod id;
pub mod key;
pub mod leak;
pub mod lineage;
pub mod link;
pub mod misfit;
pub mod network;
pub mod notice;
pub mod pace;
pub mod password;
pub mod permission;
pub mod persisted;
pub mod personal;
pub mod plan;
pub mod provider;
pub mod reach;
pub mod retry;
pub mod roster;
pub mod session_token;
pub mod sign_in;
pub mod text;
pub mod totp;
pub mod usage;
pub mod user;
pub mod view;
