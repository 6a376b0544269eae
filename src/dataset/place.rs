//! Places: points on the earth, and areas that conditions ask for.
//!
//! A coordinate is a whole number of ten-millionths of a degree (WGS 84), which is 1.1 cm at most: RFC 7946 (section 11.2) asks for no
//! more. So equality, order and areas are exact. A coordinate with more decimals is rounded, half away from zero.

mod area;
mod degrees;
mod geohash;
mod text;

use serde_json::value::RawValue;

pub use area::{Area, AreaError, Circle, GeoBox, LengthUnit, Polygon, Reach};
pub use degrees::PointError;
use degrees::UNITS_OF_DEGREE;
pub use geohash::{GEOHASH_LENGTH_MAX, geohash, geohash_ends};
pub use text::degrees_of;

const LATITUDE_MAX: i32 = 90 * UNITS_OF_DEGREE;
const LONGITUDE_MAX: i32 = 180 * UNITS_OF_DEGREE;
/// The mean radius of the earth (IUGG), in centimetres.
const EARTH_RADIUS_CM: f64 = 637_100_880.0;

/// A point on the earth. Its order is by latitude, then longitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// From -90 to 90 degrees, in units of 1e-7 degrees.
    latitude: i32,
    /// From -180 to 180 degrees, in units of 1e-7 degrees.
    longitude: i32,
}

impl Point {
    /// The point at these coordinates, in degrees.
    ///
    /// # Errors
    /// When a coordinate is beyond its range.
    pub fn of_degrees(latitude: f64, longitude: f64) -> Result<Self, PointError> {
        // The shortest decimal of a number is what its author wrote.
        let units = |degrees: f64| degrees::units(&degrees.to_string()).ok_or(PointError::Form);
        Self::of_units(units(latitude)?, units(longitude)?)
    }

    /// The point at these coordinates, in units of 1e-7 degrees.
    fn of_units(latitude: i64, longitude: i64) -> Result<Self, PointError> {
        let within = |units: i64, most: i32| i32::try_from(units).ok().filter(|units| (-most..=most).contains(units));
        match (within(latitude, LATITUDE_MAX), within(longitude, LONGITUDE_MAX)) {
            (Some(latitude), Some(longitude)) => Ok(Self { latitude, longitude }),
            (None, _) if within(longitude, LATITUDE_MAX).is_some() && within(latitude, LONGITUDE_MAX).is_some() => {
                Err(PointError::Exchanged)
            }
            (None, _) => Err(PointError::Latitude),
            (_, None) => Err(PointError::Longitude),
        }
    }

    /// Degrees north; negative in the south.
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude) / f64::from(UNITS_OF_DEGREE)
    }

    /// Degrees east; negative in the west.
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude) / f64::from(UNITS_OF_DEGREE)
    }

    /// One number for the point. Numbers have the order of the points.
    pub fn packed(self) -> i64 {
        (i64::from(self.latitude) << 32) | (i64::from(self.longitude) - i64::from(i32::MIN))
    }

    /// The point of a number; none where there is no such point.
    pub fn unpacked(packed: i64) -> Option<Self> {
        Self::of_units(packed >> 32, (packed & i64::from(u32::MAX)) + i64::from(i32::MIN)).ok()
    }

    /// The distance to another point in centimetres, on a sphere of the earth's mean radius (haversine), rounded.
    pub fn distance_cm(self, other: Self) -> u32 {
        let (from, to) = (self.latitude().to_radians(), other.latitude().to_radians());
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let north = half(other.latitude() - self.latitude());
        let east = half(other.longitude() - self.longitude());
        let square = (north + from.cos() * to.cos() * east).clamp(0.0, 1.0);
        let distance = 2.0 * EARTH_RADIUS_CM * square.sqrt().asin();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "half the circumference fits")]
        let rounded = distance.round() as u32;
        rounded
    }
}

/// The members of a GeoJSON geometry that are read.
#[derive(serde::Deserialize)]
struct Geometry<'t> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    coordinates: &'t RawValue,
}

#[cfg(test)]
mod tests;
