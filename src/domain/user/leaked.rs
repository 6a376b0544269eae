//! Ends sessions and links that leaked; keys have a command of their own.

use jiff::Timestamp;

use super::person::User;
use crate::domain::{
    event::Event,
    key::{KeyHash, KeyId},
    link::PresentedLink,
    sign_in::{SessionEnd, SignInEvent},
};

/// A found session or link. A different one with the same id or number goes on working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeakedAccess {
    /// A session's token.
    Session {
        /// The session's id.
        id: KeyId,
        /// The hash of the found token.
        hash: KeyHash,
    },
    /// A link's token.
    Link(PresentedLink),
}

/// Ends the session or link if it still works.
pub(super) fn decide(user: &User, leaked: LeakedAccess, now: Timestamp) -> Vec<Event> {
    let ended = match leaked {
        LeakedAccess::Session { id, hash } => {
            let session = user.sign_in.sessions.get(&id).filter(|known| known.hash == hash && known.is_live(now));
            session.map(|known| SignInEvent::SessionEnded { session: known.id, reason: SessionEnd::Leaked })
        }
        LeakedAccess::Link(link) => {
            let known = user.sign_in.link(link.place.number);
            let known = known.filter(|known| known.hash == link.hash && known.is_open(now));
            known.map(|known| SignInEvent::LinkVoided { number: known.number })
        }
    };
    ended.map(Event::SignIn).into_iter().collect()
}
