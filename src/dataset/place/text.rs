//! The forms in which points are written.

use std::fmt;

use serde_json::value::RawValue;

use super::{
    Geometry, Point,
    degrees::{Degrees, PointError, number, units},
};

impl Point {
    /// Reads a point: `POINT (lon lat)` (WKT, also with `SRID=4326;` before it), `(lat, lon)` or `lat, lon`, a GeoJSON point, or an
    /// object with the members `latitude` and `longitude`, as Socrata writes them.
    ///
    /// # Errors
    /// When the text has none of these forms, or a coordinate is beyond its range.
    pub fn parse(text: &str) -> Result<Self, PointError> {
        let Coordinates { latitude, longitude } = Coordinates::of(text)?;
        let units = |text: &str| units(text).ok_or(PointError::Form);
        Self::of_units(units(latitude)?, units(longitude)?)
    }

    /// Appends the point as a GeoJSON geometry: `{"type":"Point","coordinates":[-122.4194,37.7749]}`.
    pub fn write_geojson(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"Point\",\"coordinates\":[");
        out.extend_from_slice(Degrees(self.longitude).to_string().as_bytes());
        out.push(b',');
        out.extend_from_slice(Degrees(self.latitude).to_string().as_bytes());
        out.extend_from_slice(b"]}");
    }

    /// Reads a GeoJSON point, which may have an altitude.
    ///
    /// # Errors
    /// As [`Point::parse`].
    pub fn of_geojson(text: &str) -> Result<Self, PointError> {
        let Coordinates { latitude, longitude } = Coordinates::of_geojson(text)?;
        let units = |text: &str| units(text).ok_or(PointError::Form);
        Self::of_units(units(latitude)?, units(longitude)?)
    }
}

/// The point of two numbers of GeoJSON.
pub(super) fn position(longitude: &RawValue, latitude: &RawValue) -> Result<Point, PointError> {
    let units = |number: &RawValue| units(number.get()).ok_or(PointError::Form);
    Point::of_units(units(latitude)?, units(longitude)?)
}

/// The latitude and longitude that a text holds in one of the forms of [`Point::parse`], in degrees as they are written, unrounded.
///
/// # Errors
/// As [`Point::parse`].
pub fn degrees_of(text: &str) -> Result<(f64, f64), PointError> {
    Point::parse(text)?;
    let Coordinates { latitude, longitude } = Coordinates::of(text)?;
    let degrees = |text: &str| number(text).ok_or(PointError::Form);
    Ok((degrees(latitude)?, degrees(longitude)?))
}

/// The coordinates of a point as they are written.
struct Coordinates<'t> {
    latitude: &'t str,
    longitude: &'t str,
}

impl<'t> Coordinates<'t> {
    fn of(text: &'t str) -> Result<Self, PointError> {
        let text = text.trim();
        if text.starts_with('{') {
            return Self::of_geojson(text).or_else(|_| Self::of_members(text).ok_or(PointError::Form));
        }
        let bare = text.get(..5).filter(|tag| tag.eq_ignore_ascii_case("SRID=")).and_then(|_| text.split_once(';'));
        let bare = match bare {
            None => text,
            Some((tag, rest)) if tag.get(5..).map(str::trim) == Some("4326") => rest.trim_start(),
            Some(_) => return Err(PointError::Form),
        };
        if bare.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("POINT")) {
            let pair = bare.get(5..).and_then(inside).ok_or(PointError::Form)?;
            let (longitude, latitude) = pair.split_once(char::is_whitespace).ok_or(PointError::Form)?;
            return Ok(Self { latitude: latitude.trim(), longitude });
        }
        let (latitude, longitude) = inside(text).unwrap_or(text).split_once(',').ok_or(PointError::Form)?;
        Ok(Self { latitude: latitude.trim(), longitude: longitude.trim() })
    }

    fn of_geojson(text: &'t str) -> Result<Self, PointError> {
        let geometry: Geometry<'t> = serde_json::from_str(text).map_err(|_| PointError::Form)?;
        if geometry.kind != "Point" {
            return Err(PointError::Form);
        }
        let numbers: Vec<&'t RawValue> =
            serde_json::from_str(geometry.coordinates.get()).map_err(|_| PointError::Form)?;
        match numbers.as_slice() {
            [longitude, latitude] | [longitude, latitude, _] => {
                Ok(Self { latitude: latitude.get(), longitude: longitude.get() })
            }
            _ => Err(PointError::Form),
        }
    }

    fn of_members(text: &'t str) -> Option<Self> {
        let count = |brace| text.matches(brace).count();
        if !text.ends_with('}') || count('{') != count('}') {
            return None;
        }
        Some(Self { latitude: member(text, "latitude")?, longitude: member(text, "longitude")? })
    }
}

/// Writes `POINT (-122.4194 37.7749)`.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "POINT ({} {})", Degrees(self.longitude), Degrees(self.latitude))
    }
}

/// The value of a member of an object, without its quotes; none where there are two of the name, or something else than the next member
/// follows: what is cut short there would be another number.
fn member<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    const QUOTES: [char; 2] = ['\'', '"'];
    let key =
        QUOTES.map(|quote| format!("{quote}{name}{quote}")).into_iter().find(|key| text.contains(key.as_str()))?;
    let (_, behind) = text.split_once(&key).filter(|(_, behind)| !behind.contains(&key))?;
    let value = behind.trim_start().strip_prefix(':')?.trim_start();
    let (value, rest) = match value.strip_prefix(QUOTES) {
        Some(quoted) => quoted.split_once(value.chars().next()?)?,
        None => value.split_at(value.find([',', '}'])?),
    };
    let rest = rest.trim_start();
    let is_over =
        rest.starts_with('}') || rest.strip_prefix(',').is_some_and(|next| next.trim_start().starts_with(QUOTES));
    is_over.then(|| value.trim())
}

/// The text between parentheses that are all around it.
fn inside(text: &str) -> Option<&str> {
    Some(text.trim_start().strip_prefix('(')?.strip_suffix(')')?.trim())
}
