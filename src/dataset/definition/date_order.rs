//! The order of day and month in dates that write both as numbers.

use serde::{Deserialize, Serialize};

/// The order of day and month in dates that write both as numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// Month, day, year, as in the United States.
    #[default]
    MonthFirst,
    /// Day, month, year.
    DayFirst,
}

impl DateOrder {
    /// The name that definitions use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MonthFirst => "month_first",
            Self::DayFirst => "day_first",
        }
    }
}

/// The orders of day and month, by the names that definitions use.
pub const DATE_ORDERS: [(&str, DateOrder); 2] =
    [("month_first", DateOrder::MonthFirst), ("day_first", DateOrder::DayFirst)];
