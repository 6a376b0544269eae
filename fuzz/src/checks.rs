//! The properties, one module for each target.

mod cursor;
mod definition;
mod expression;
mod filter;
mod infer;
mod key;
mod reader;

pub use cursor::{HISTORIES, check as cursor, questions};
pub use definition::check as definition;
pub use filter::check as filter;
pub use infer::check as infer;
pub use key::check as key;
pub use reader::{check_delimited, check_workbook};
