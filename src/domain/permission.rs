//! Permissions of callers of the administration: a role or an administrator's token has them, and each route needs some.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::role::Role;

/// A part of the administration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// People and their keys.
    People,
    /// Data sets and imports.
    Data,
    /// Plans.
    Plans,
    /// The event log.
    Events,
    /// What the server counts, and messages that were given up.
    Server,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::People, Self::Data, Self::Plans, Self::Events, Self::Server];

    /// The name in answers and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Data => "data",
            Self::Plans => "plans",
            Self::Events => "events",
            Self::Server => "server",
        }
    }

    /// The permission of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Whether an access reads or changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessKind {
    /// It reads.
    Read,
    /// It changes something.
    Write,
}

/// A set of permissions, which may be for reading only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    set: u8,
    /// Whether the permissions allow reading only.
    pub read_only: bool,
}

impl Permissions {
    /// No permissions.
    pub const NONE: Self = Self::of(&[]);
    /// All permissions, for reading and writing.
    pub const ALL: Self = Self::of(&Permission::ALL);

    /// These permissions, for reading and writing.
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut set = 0;
        let mut rest = permissions;
        while let [first, others @ ..] = rest {
            set |= first.bit();
            rest = others;
        }
        Self { set, read_only: false }
    }

    /// The same permissions, for reading only if `read_only`.
    #[must_use]
    pub const fn only_reading(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// The permissions of a person with this role.
    pub const fn of_role(role: Role) -> Self {
        match role {
            Role::Reader => Self::NONE,
            Role::Manager => Self::of(&[Permission::Data]),
            Role::Admin => Self::ALL,
        }
    }

    /// Tells whether all permissions in `needed` are held for this access.
    pub const fn may(self, needed: Self, access: AccessKind) -> bool {
        let is_in = self.set & needed.set == needed.set;
        is_in && (matches!(access, AccessKind::Read) || !self.read_only)
    }

    /// The permissions in the set, in their order.
    pub fn list(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.set & permission.bit() != 0)
    }

    /// Tells whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.set == 0
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.list().map(Permission::as_str).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        write!(f, "{names}{}", if self.read_only { " (read-only)" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some() -> impl Strategy<Value = Permissions> {
        (proptest::sample::subsequence(Permission::ALL.to_vec(), 0..=5), any::<bool>())
            .prop_map(|(some, read_only)| Permissions::of(&some).only_reading(read_only))
    }

    proptest! {
        #[test]
        fn nobody_may_more_than_is_in_the_set(has in some(), needed in some()) {
            let all_in = needed.list().all(|one| has.list().any(|own| own == one));
            prop_assert_eq!(has.may(needed, AccessKind::Read), all_in);
            prop_assert_eq!(has.may(needed, AccessKind::Write), all_in && !has.read_only);
            prop_assert_eq!(Permissions::of(&has.list().collect::<Vec<_>>()).only_reading(has.read_only), has);
        }
    }

    #[test]
    fn each_role_may_what_the_one_below_it_may() {
        let [reader, manager, admin] = Role::ALL.map(Permissions::of_role);
        assert!(reader.is_empty());
        assert!(manager.may(Permissions::of(&[Permission::Data]), AccessKind::Write));
        for other in [Permission::People, Permission::Plans, Permission::Events, Permission::Server] {
            assert!(!manager.may(Permissions::of(&[other]), AccessKind::Read), "{other:?}");
        }
        assert!(admin.may(Permissions::ALL, AccessKind::Write));
    }

    #[test]
    fn they_are_named() {
        let some = Permissions::of(&[Permission::Data, Permission::People]);
        assert_eq!(some.to_string(), "people, data");
        assert_eq!(some.only_reading(true).to_string(), "people, data (read-only)");
        assert_eq!(Permissions::NONE.to_string(), "none");
    }
}
