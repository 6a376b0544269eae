//! The roles of people.

use serde::{Deserialize, Serialize};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads the data.
    Reader,
    /// Imports and manages the data, but no people.
    Manager,
    /// Administers.
    Admin,
}

impl Role {
    /// All of them, each with more permissions than the one before.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Manager, Self::Admin];

    /// The name in answers and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Manager => "manager",
            Self::Admin => "admin",
        }
    }

    /// The role with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}
