//! A sheet of a workbook.

/// A sheet of a workbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetName {
    /// The sheet's name.
    pub name: String,
    /// Whether the sheet is hidden.
    pub hidden: bool,
}
