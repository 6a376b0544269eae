//! How a file's columns become published ones: the part of a definition that only imports use.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{column::ColumnType, date_order::DateOrder, dialect::Dialect, node::hint};
use crate::dataset::text;

/// How the rows of a file are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// How keys are brought into one form.
    #[serde(default)]
    pub key_format: KeyFormat,
    /// Whether `1/2/2016` is the second of January or the first of February.
    #[serde(default)]
    pub date_order: DateOrder,
    /// Texts that mean "no value" in every column, besides the empty text. Compared without regard to case.
    #[serde(default)]
    pub blanks: Vec<String>,
    /// Everything that is read or derived from a row, published or not.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// The file's layout and way of writing values.
    #[serde(default, skip_serializing_if = "Dialect::is_default")]
    pub dialect: Dialect,
}

/// How key values are brought into the one form that is published and looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFormat {
    /// The prefix of every key; added if a file or a caller leaves it out.
    #[serde(default)]
    pub prefix: String,
    /// Texts removed from the beginning of a key, such as a `#` that only some files write.
    #[serde(default)]
    pub strip: Vec<String>,
    /// The case of keys.
    #[serde(default)]
    pub fold: Fold,
}

/// Folding of a text's case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// As it is in the file.
    #[default]
    None,
    /// Lower case, as [`text::lower`] makes it.
    Lower,
    /// Upper case, as [`text::upper`] makes it.
    Upper,
}

impl Fold {
    /// The text in this case and in NFC. Texts that differ by case alone become equal; a part of a text folds as in the whole.
    pub(in crate::dataset) fn folded(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => text::nfc(text),
            Self::Lower => text::lower(text),
            Self::Upper => text::upper(text),
        }
    }
}

/// A value that is read from a row, or derived from what was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The field's name; the published column's name if it is published.
    pub name: String,
    /// The type of its values.
    pub kind: ColumnType,
    /// The place in [`super::Definition::columns`] of the column that it fills, if published.
    pub target: Option<usize>,
    /// The source of the value.
    pub origin: FieldOrigin,
    /// Whether a file without this column, and a row without a value, is refused.
    #[serde(default)]
    pub required: bool,
    /// The value of a blank cell, as text.
    #[serde(default)]
    pub default: Option<String>,
    /// The case of texts.
    #[serde(default)]
    pub fold: Fold,
    /// Texts that mean "no value" in this column, besides the definition's.
    #[serde(default)]
    pub blanks: Vec<String>,
    /// The order of day and month in this column, if it differs from the definition's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_order: Option<DateOrder>,
    /// Whether a blank cell takes the value of the row above, as below a merged cell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fill_down: bool,
}

/// The source of a field's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldOrigin {
    /// A column of the file.
    Header {
        /// The known spellings of the header, compared by [`normal_header`].
        headers: Vec<String>,
        /// The occurrence among several columns with such a header, from 1.
        occurrence: usize,
        /// The part that is extracted from the cell.
        extract: Option<Extract>,
    },
    /// Other fields' texts, joined.
    Join {
        /// The parts, in order.
        parts: Vec<JoinPart>,
    },
    /// Two other fields, which hold the coordinates of a point.
    Coordinates {
        /// The place in [`Source::fields`] of the field with the degrees north.
        latitude: usize,
        /// That of the degrees east.
        longitude: usize,
    },
    /// The import fills it: an ordinal record id, the load date.
    Import,
}

/// A part extracted from a cell that holds several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// The latitude of `POINT (lon lat)` or `(lat, lon)`.
    Latitude,
    /// The longitude of the same.
    Longitude,
}

/// One part of a joined text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinPart {
    /// The field's place in [`Source::fields`]; always before the joined field.
    pub field: usize,
    /// The text written before the part, unless it is the first.
    pub before: String,
    /// The text always written before the part, after `before`.
    pub prefix: String,
    /// The change of the part's case.
    pub case: Case,
    /// Texts that count as blank here. Compared without regard to case.
    pub omit: Vec<String>,
}

/// A change of case in a joined text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// None.
    #[default]
    Keep,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// As street signs are written: see [`crate::dataset::mapping::title_case`].
    Title,
}

/// The form in which headers are compared: letters and digits in lower case, and few other marks. `#` and `NO` mean "number", `%` means
/// "percent", and a sign at the end counts: `Temp+` is not `Temp-`. So `STATUS_ DATE` equals `STATUS_DATE`, `FORM_  NUMBER` equals
/// `FORM NO.`, and `APPLICATION #` equals `APPLICATION_NUMBER`.
pub fn normal_header(header: &str) -> String {
    let mut normal = String::with_capacity(header.len());
    let trimmed = header.trim();
    let sign = match trimmed.chars().next_back() {
        Some('+') => "plus",
        Some('-' | '\u{2212}') => "minus",
        _ => "",
    };
    let with_words = trimmed.replace('#', " number ").replace('%', " percent ").to_lowercase();
    for word in with_words.split(|character: char| !character.is_alphanumeric()) {
        match word {
            "no" | "nbr" | "num" => normal.push_str("number"),
            _ => normal.push_str(word),
        }
    }
    if normal.is_empty() {
        // A header of marks alone has nothing else to compare.
        return trimmed.to_lowercase();
    }
    normal.push_str(sign);
    normal
}

/// Marks a column to be filled down: blank cells take the value above them.
pub(super) fn fill_down_column(fields: &mut [Field], name: &str) -> Result<(), String> {
    match fill_down_place(fields, name).and_then(|place| fields.get_mut(place)) {
        Some(field) => field.fill_down = true,
        None => {
            let known = fields.iter().filter(|field| matches!(field.origin, FieldOrigin::Header { .. }));
            let known: Vec<&str> = known.map(|field| field.name.as_str()).collect();
            return Err(format!("{name:?} is no column of the file{}", hint(name, &known)));
        }
    }
    Ok(())
}

/// The place of the file's column with this name.
pub(super) fn fill_down_place(fields: &[Field], name: &str) -> Option<usize> {
    // People know the header; no other column has it.
    let is_called_so = |field: &Field| match &field.origin {
        FieldOrigin::Header { headers, .. } => {
            field.name == name || headers.iter().any(|header| normal_header(header) == normal_header(name))
        }
        _ => false,
    };
    fields.iter().position(is_called_so)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_that_drifted_are_one() {
        for (left, right) in [
            ("STATUS_ DATE", "STATUS_DATE"),
            ("FORM_  NUMBER", "Form No."),
            ("APPLICATION NO.", "APPLICATION #"),
            ("APPLICATION_NUMBER", " application\n# "),
            ("15_DAY_HOLD?", "15 day hold"),
            ("CONTRACTOR PHONE", "CONTRACTORPHONE"),
            ("Score %", "score_percent"),
        ] {
            assert_eq!(normal_header(left), normal_header(right), "{left}");
        }
        for (left, right) in [("FILE_DATE", "STATUS_DATE"), ("Score", "Score %"), ("Temp+", "Temp-"), ("Temp", "Temp+")]
        {
            assert_ne!(normal_header(left), normal_header(right));
        }
    }

    proptest! {
        #[test]
        fn space_and_punctuation_do_not_matter(words in proptest::collection::vec("[a-z0-9]{1,6}", 1..4), gaps in proptest::collection::vec("[ _.]{1,3}", 4)) {
            let drifted: String = words.iter().zip(&gaps).map(|(word, gap)| format!("{word}{gap}")).collect();
            prop_assert_eq!(normal_header(&drifted.to_uppercase()), normal_header(&words.join(" ")));
        }
    }
}
