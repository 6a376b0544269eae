//! The set of administrators who can sign in: once it has a member, it must never become empty.
//!
//! A person's stream cannot tell whether they are the last administrator. So the set is kept beside the log. A commit that adds or removes
//! a member replaces the set in the same write, provided the set is unchanged since it was read: of two administrators who remove each
//! other at the same moment, one finds another set and is decided anew.

pub use super::refusal::ADMINISTRATORS_MAX;
use super::refusal::CommandRefusal;
use crate::domain::id::UserId;

/// The effect of a commit on the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The person is added.
    Joins(UserId),
    /// The person is removed.
    Leaves(UserId),
}

impl Move {
    /// The effect of a commit, given whether the person could administer before it and can after it.
    pub fn between(id: UserId, was: bool, is: bool) -> Option<Self> {
        match (was, is) {
            (false, true) => Some(Self::Joins(id)),
            (true, false) => Some(Self::Leaves(id)),
            _ => None,
        }
    }

    /// The set after the move, sorted.
    ///
    /// # Errors
    /// [`CommandRefusal::LastAdministrator`] if it would be empty; [`CommandRefusal::TooManyAdministrators`].
    pub fn made(self, of: &[UserId]) -> Result<Vec<UserId>, CommandRefusal> {
        let mut set = of.to_vec();
        match self {
            Self::Joins(id) if set.len() >= ADMINISTRATORS_MAX && !set.contains(&id) => {
                return Err(CommandRefusal::TooManyAdministrators);
            }
            Self::Joins(id) => set.push(id),
            Self::Leaves(id) => set.retain(|other| *other != id),
        }
        if set.is_empty() {
            return Err(CommandRefusal::LastAdministrator);
        }
        set.sort_unstable();
        set.dedup();
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u8) -> UserId {
        UserId(Uuid::from_u128(number.into()))
    }

    proptest! {
        #[test]
        fn somebody_is_always_left(moves in proptest::collection::vec((any::<bool>(), 0..5u8), 1..40)) {
            let mut set: Vec<UserId> = Vec::new();
            for (joins, number) in moves {
                let wanted = if joins { Move::Joins(id(number)) } else { Move::Leaves(id(number)) };
                match wanted.made(&set) {
                    Ok(after) => {
                        prop_assert!(!after.is_empty() && after.is_sorted());
                        prop_assert_eq!(after.contains(&id(number)), joins);
                        set = after;
                    }
                    Err(refusal) => {
                        prop_assert_eq!(refusal, CommandRefusal::LastAdministrator);
                        prop_assert!(!joins && set.iter().all(|other| *other == id(number)));
                    }
                }
            }
        }
    }

    #[test]
    fn the_set_is_bounded() {
        let full: Vec<UserId> = (0..1000).map(|number| UserId(Uuid::from_u128(number))).collect();
        let one_more = Move::Joins(UserId(Uuid::from_u128(1000)));
        assert_eq!(one_more.made(&full), Err(CommandRefusal::TooManyAdministrators));
        assert_eq!(Move::Joins(full[0]).made(&full).unwrap(), full);
    }
}
