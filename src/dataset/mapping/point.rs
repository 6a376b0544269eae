//! Points whose coordinates are in two columns of a file.

use super::reading::CellError;
use crate::dataset::{Point, Value, ValueError};

/// How a column of points is made of two others.
pub(super) struct PointStep {
    pub(super) name: String,
    pub(super) target: usize,
    pub(super) required: bool,
    pub(super) default: Value,
    /// Whether both coordinates are published: what is not is shown to nobody.
    pub(super) is_shown: bool,
    /// The fields of the coordinates.
    pub(super) latitude: usize,
    pub(super) longitude: usize,
}

/// A coordinate of the current row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum FoundCoordinate {
    /// The cell is blank.
    #[default]
    Blank,
    /// The cell is no number, which is reported already.
    Wrong,
    /// The number.
    Degrees(f64),
}

impl FoundCoordinate {
    /// The coordinate of a cell that was read as a number; none where it could not be read.
    pub(super) fn of(read: Option<&Value>) -> Self {
        match read {
            Some(Value::Number(degrees)) => Self::Degrees(*degrees),
            Some(_) => Self::Blank,
            None => Self::Wrong,
        }
    }
}

impl PointStep {
    /// The value, null where both coordinates are blank and there is no default.
    pub(super) fn value(&self, coordinates: &[FoundCoordinate]) -> Result<Value, CellError> {
        let of = |field: usize| coordinates.get(field).copied().unwrap_or_default();
        match (of(self.latitude), of(self.longitude)) {
            (FoundCoordinate::Degrees(latitude), FoundCoordinate::Degrees(longitude)) => {
                Ok(Value::Point(Point::of_degrees(latitude, longitude).map_err(ValueError::from)?))
            }
            (FoundCoordinate::Degrees(_), FoundCoordinate::Blank) => {
                Err(CellError::OneCoordinate("latitude", "longitude"))
            }
            (FoundCoordinate::Blank, FoundCoordinate::Degrees(_)) => {
                Err(CellError::OneCoordinate("longitude", "latitude"))
            }
            (FoundCoordinate::Blank, FoundCoordinate::Blank) => Ok(self.default.clone()),
            // The row is rejected for it.
            _ => Ok(Value::Null),
        }
    }

    /// The coordinates as a person sees them; nothing where they are not published.
    pub(super) fn shown(&self, coordinates: &[FoundCoordinate]) -> String {
        if !self.is_shown {
            return String::new();
        }
        let of = |field: usize| match coordinates.get(field) {
            Some(FoundCoordinate::Degrees(degrees)) => degrees.to_string(),
            _ => String::new(),
        };
        format!("{}, {}", of(self.latitude), of(self.longitude))
    }
}
