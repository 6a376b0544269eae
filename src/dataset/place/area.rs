//! Areas: circles, boxes and polygons, and which points are in them.

use std::fmt::{self, Write};

use serde_json::value::RawValue;

use super::{
    EARTH_RADIUS_CM, Geometry, LATITUDE_MAX, LONGITUDE_MAX, Point,
    degrees::{self, Degrees, PointError, UNITS_OF_DEGREE},
    text,
};

/// The longest distance on the earth, in whole centimetres: half its circumference.
const DISTANCE_MAX_CM: u32 = 2_001_511_444;
/// What is added to the box around a circle, so that rounding loses no point.
const MARGIN: i32 = 16;

/// An area of the earth.
#[derive(Debug, Clone, PartialEq)]
pub enum Area {
    /// What is near a point.
    Near(Circle),
    /// Between two latitudes and two longitudes.
    Box(GeoBox),
    /// Within a polygon.
    Polygon(Polygon),
}

/// Why a text is no area. Completes "the parameter …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AreaError {
    /// No point and radius.
    #[error("expected a point and a distance, such as 37.77,-122.42,500m (latitude first)")]
    Near,
    /// The distance has no unit.
    #[error("the distance has no unit: write {0}m for metres; the units are m, km, mi and ft")]
    NoUnit(String),
    /// The distance is none.
    #[error("expected a distance such as 500m, 1.5km, 2mi or 300ft")]
    Distance,
    /// The distance is longer than any.
    #[error("the distance is longer than half the earth's circumference, 20015.1km")]
    TooFar,
    /// No four numbers.
    #[error("expected four numbers: west,south,east,north, such as -122.52,37.70,-122.35,37.83 (longitude first)")]
    Box,
    /// The south is north of the north.
    #[error("the south ({0}) is above the north ({1}): the order is west,south,east,north")]
    UpsideDown(String, String),
    /// No polygon.
    #[error(
        "expected a polygon such as POLYGON ((-122.52 37.70, -122.35 37.70, -122.35 37.83, -122.52 37.70)), or a GeoJSON Polygon"
    )]
    Polygon,
    /// A ring has fewer corners than a triangle.
    #[error("a ring of the polygon has {0} different corners: it needs at least 3")]
    FewCorners(usize),
    /// Too many vertices.
    #[error("the polygon has {vertices} vertices: at most {most} are allowed")]
    TooManyVertices {
        /// How many it has.
        vertices: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A coordinate is wrong.
    #[error(transparent)]
    Point(#[from] PointError),
}

/// A unit of distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthUnit {
    /// Metres.
    Metre,
    /// Kilometres.
    Kilometre,
    /// Miles of 1,609.344 metres.
    Mile,
    /// Feet of 0.3048 metres.
    Foot,
}

impl LengthUnit {
    /// All of them by their signs.
    const SIGNS: [(&'static str, Self); 4] =
        [("km", Self::Kilometre), ("mi", Self::Mile), ("ft", Self::Foot), ("m", Self::Metre)];

    /// Its length in centimetres.
    fn centimetres(self) -> f64 {
        match self {
            Self::Metre => 100.0,
            Self::Kilometre => 100_000.0,
            Self::Mile => 160_934.4,
            Self::Foot => 30.48,
        }
    }
}

/// Reads a distance with its unit, in whole centimetres.
fn distance_of(text: &str) -> Result<u32, AreaError> {
    let text = text.trim();
    let found =
        LengthUnit::SIGNS.into_iter().find_map(|(sign, unit)| Some((text.strip_suffix(sign)?.trim_end(), unit)));
    let number = |text: &str| {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_plain { text.parse::<f64>().ok() } else { None }
    };
    let Some((digits, unit)) = found else {
        return Err(if number(text).is_some() && text.len() < 20 {
            AreaError::NoUnit(text.to_owned())
        } else {
            AreaError::Distance
        });
    };
    let centimetres = (number(digits).ok_or(AreaError::Distance)? * unit.centimetres()).round();
    if centimetres > f64::from(DISTANCE_MAX_CM) {
        return Err(AreaError::TooFar);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the longest distance")]
    let centimetres = centimetres as u32;
    Ok(centimetres)
}

/// What is no farther from a point than a radius, by [`Point::distance_cm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circle {
    centre: Point,
    radius_cm: u32,
    /// A box around it.
    around: GeoBox,
}

impl Circle {
    /// The circle around a point with a radius in centimetres.
    pub fn new(centre: Point, radius_cm: u32) -> Self {
        // The angle of the radius, seen from the earth's centre. Distances are rounded to centimetres.
        let angle = (f64::from(radius_cm) + 1.0) / EARTH_RADIUS_CM;
        let band = units_of(angle);
        let north = centre.latitude.saturating_add(band).min(LATITUDE_MAX);
        let south = centre.latitude.saturating_sub(band).max(-LATITUDE_MAX);
        let has_pole = north == LATITUDE_MAX || south == -LATITUDE_MAX;
        let widest = (angle.sin() / centre.latitude().to_radians().cos()).asin();
        let (west, east) = if has_pole || !widest.is_finite() || angle >= std::f64::consts::FRAC_PI_2 {
            (-LONGITUDE_MAX, LONGITUDE_MAX)
        } else {
            let width = i64::from(units_of(widest));
            let around = |units: i64| {
                let whole = 2 * i64::from(LONGITUDE_MAX);
                let turned = (units + i64::from(LONGITUDE_MAX)).rem_euclid(whole) - i64::from(LONGITUDE_MAX);
                i32::try_from(turned).unwrap_or(LONGITUDE_MAX)
            };
            match 2 * width < 2 * i64::from(LONGITUDE_MAX) {
                true => (around(i64::from(centre.longitude) - width), around(i64::from(centre.longitude) + width)),
                false => (-LONGITUDE_MAX, LONGITUDE_MAX),
            }
        };
        Self { centre, radius_cm, around: GeoBox { west, south, east, north } }
    }

    /// Its centre.
    pub fn centre(&self) -> Point {
        self.centre
    }

    /// Its radius in centimetres.
    pub fn radius_cm(&self) -> u32 {
        self.radius_cm
    }

    /// Reads `37.77,-122.42,500m`: a point in any of its forms, then a distance with its unit.
    ///
    /// # Errors
    /// What is wrong with the point or the distance.
    pub fn parse(text: &str) -> Result<Self, AreaError> {
        let (point, distance) = text.rsplit_once(',').ok_or(AreaError::Near)?;
        if !point.contains([',', '(']) {
            return Err(AreaError::Near);
        }
        let centre = Point::parse(point).map_err(|error| match error {
            PointError::Form => AreaError::Near,
            other => other.into(),
        })?;
        Ok(Self::new(centre, distance_of(distance)?))
    }

    fn contains(&self, point: Point) -> bool {
        self.around.contains(point) && self.centre.distance_cm(point) <= self.radius_cm
    }
}

/// The units of an angle in radians, rounded up, with a margin.
fn units_of(angle: f64) -> i32 {
    let units = (angle.to_degrees() * f64::from(UNITS_OF_DEGREE)).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest")]
    let units = units as i32;
    units.saturating_add(MARGIN)
}

/// What lies between two latitudes and two longitudes, all included. Where the west is east of the east, it crosses the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeoBox {
    pub(super) west: i32,
    pub(super) south: i32,
    pub(super) east: i32,
    pub(super) north: i32,
}

impl GeoBox {
    /// Reads `west,south,east,north`, as RFC 7946 and OGC API have it.
    ///
    /// # Errors
    /// When these are not four numbers in their ranges.
    pub fn parse(text: &str) -> Result<Self, AreaError> {
        let units: Option<Vec<i64>> = text.split(',').map(|part| degrees::units(part.trim())).collect();
        let Some([west, south, east, north]) = units.as_deref() else { return Err(AreaError::Box) };
        let (low, high) = (Point::of_units(*south, *west)?, Point::of_units(*north, *east)?);
        if low.latitude > high.latitude {
            let shown = |units: i32| Degrees(units).to_string();
            return Err(AreaError::UpsideDown(shown(low.latitude), shown(high.latitude)));
        }
        Ok(Self { west: low.longitude, south: low.latitude, east: high.longitude, north: high.latitude })
    }

    fn contains(&self, point: Point) -> bool {
        if point.latitude < self.south || point.latitude > self.north {
            return false;
        }
        let has = |longitude: i32| match self.west <= self.east {
            true => self.west <= longitude && longitude <= self.east,
            false => longitude >= self.west || longitude <= self.east,
        };
        // 180 degrees west and east are one meridian.
        has(point.longitude) || (point.longitude.abs() == LONGITUDE_MAX && has(-point.longitude))
    }
}

/// A polygon with holes. Its edges are straight in degrees, as on a map of latitudes and longitudes; it does not cross the
/// antimeridian. Within it is what the first ring surrounds and no other one does; the edges of the first ring and of holes in it are
/// within it. A ring that crosses itself surrounds what it goes round an odd number of times.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon {
    /// The corners of each ring, the first one once.
    rings: Vec<Vec<Point>>,
    low: Point,
    high: Point,
}

impl Polygon {
    /// Reads a polygon: `POLYGON ((lon lat, …), …)` (WKT), or a GeoJSON geometry of the type Polygon. A ring that is not closed is
    /// closed.
    ///
    /// # Errors
    /// When the text is no polygon, a ring has too few corners, or there are more vertices than allowed.
    pub fn parse(text: &str, vertices_max: usize) -> Result<Self, AreaError> {
        let text = text.trim();
        let rings = if text.starts_with('{') { rings_of_geojson(text)? } else { rings_of_text(text)? };
        Self::of_rings(rings, vertices_max)
    }

    pub(super) fn of_rings(mut rings: Vec<Vec<Point>>, most: usize) -> Result<Self, AreaError> {
        for ring in &mut rings {
            if ring.len() > 1 && ring.first() == ring.last() {
                ring.pop();
            }
        }
        let vertices: usize = rings.iter().map(Vec::len).sum();
        if vertices > most {
            return Err(AreaError::TooManyVertices { vertices, most });
        }
        for ring in &rings {
            let mut corners = ring.clone();
            corners.sort_unstable();
            corners.dedup();
            if corners.len() < 3 {
                return Err(AreaError::FewCorners(corners.len()));
            }
        }
        let all = || rings.iter().flatten();
        let ends = (
            all().map(|corner| corner.latitude).min(),
            all().map(|corner| corner.longitude).min(),
            all().map(|corner| corner.latitude).max(),
            all().map(|corner| corner.longitude).max(),
        );
        let (Some(south), Some(west), Some(north), Some(east)) = ends else { return Err(AreaError::Polygon) };
        let low = Point { latitude: south, longitude: west };
        let high = Point { latitude: north, longitude: east };
        Ok(Self { rings, low, high })
    }

    fn contains(&self, point: Point) -> bool {
        let is_between = |at: i32, low: i32, high: i32| low <= at && at <= high;
        if !is_between(point.latitude, self.low.latitude, self.high.latitude)
            || !is_between(point.longitude, self.low.longitude, self.high.longitude)
        {
            return false;
        }
        let [outline, holes @ ..] = self.rings.as_slice() else { return false };
        place_in(outline, point) != RingPlace::Outside
            && holes.iter().all(|hole| place_in(hole, point) != RingPlace::Inside)
    }
}

/// Where a point lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RingPlace {
    Inside,
    Edge,
    Outside,
}

/// Where a point lies by a ring.
fn place_in(ring: &[Point], point: Point) -> RingPlace {
    let is_between = |at: i32, low: i32, high: i32| low <= at && at <= high;
    let mut is_inside = false;
    for (from, to) in ring.iter().zip(ring.iter().skip(1).chain(ring.first())) {
        let (low, high) = if from.latitude <= to.latitude { (from, to) } else { (to, from) };
        if !is_between(point.latitude, low.latitude, high.latitude) {
            continue;
        }
        match side(*low, *high, point) {
            0 => {
                let (west, east) = (low.longitude.min(high.longitude), low.longitude.max(high.longitude));
                if is_between(point.longitude, west, east) {
                    return RingPlace::Edge;
                }
            }
            // The edge is east of the point. Its upper end counts for the next edge.
            side if side > 0 && point.latitude < high.latitude => is_inside = !is_inside,
            _ => {}
        }
    }
    if is_inside { RingPlace::Inside } else { RingPlace::Outside }
}

/// On which side of a line a point lies: above zero to the left of it, zero on it. Exact.
fn side(from: Point, to: Point, point: Point) -> i128 {
    let apart = |left: i32, right: i32| i128::from(left) - i128::from(right);
    apart(to.longitude, from.longitude) * apart(point.latitude, from.latitude)
        - apart(to.latitude, from.latitude) * apart(point.longitude, from.longitude)
}

fn rings_of_geojson(text: &str) -> Result<Vec<Vec<Point>>, AreaError> {
    let geometry: Geometry<'_> = serde_json::from_str(text).map_err(|_| AreaError::Polygon)?;
    if geometry.kind != "Polygon" {
        return Err(AreaError::Polygon);
    }
    let rings: Vec<Vec<Vec<&RawValue>>> =
        serde_json::from_str(geometry.coordinates.get()).map_err(|_| AreaError::Polygon)?;
    let vertex = |numbers: &Vec<&RawValue>| match numbers.as_slice() {
        [longitude, latitude] | [longitude, latitude, _] => Ok(text::position(longitude, latitude)?),
        _ => Err(AreaError::Polygon),
    };
    rings.iter().map(|ring| ring.iter().map(vertex).collect()).collect()
}

fn rings_of_text(text: &str) -> Result<Vec<Vec<Point>>, AreaError> {
    let tag = text.get(..7).filter(|tag| tag.eq_ignore_ascii_case("POLYGON")).ok_or(AreaError::Polygon)?;
    let inside =
        |text: &'_ str| -> Option<String> { Some(text.trim().strip_prefix('(')?.strip_suffix(')')?.trim().to_owned()) };
    let all = text.get(tag.len()..).and_then(inside).ok_or(AreaError::Polygon)?;
    // Rings are separated by commas between parentheses.
    let (mut rings, mut rest) = (Vec::new(), all.as_str());
    loop {
        let (ring, behind) = rest.split_once(')').ok_or(AreaError::Polygon)?;
        let ring = ring.trim_start().strip_prefix('(').ok_or(AreaError::Polygon)?;
        let vertex = |pair: &str| {
            let (longitude, latitude) = pair.trim().split_once(char::is_whitespace).ok_or(AreaError::Polygon)?;
            let units = |text: &str| degrees::units(text.trim()).ok_or(AreaError::Polygon);
            Ok(Point::of_units(units(latitude)?, units(longitude)?)?)
        };
        rings.push(ring.split(',').map(vertex).collect::<Result<Vec<_>, AreaError>>()?);
        rest = behind.trim_start();
        if rest.is_empty() {
            return Ok(rings);
        }
        rest = rest.strip_prefix(',').ok_or(AreaError::Polygon)?;
    }
}

/// Meridians from a western one to an eastern one, as [`Point::packed`] has longitudes. It may cross the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    west: u32,
    span: u32,
}

impl Reach {
    /// Tells whether a packed point lies between them.
    pub fn has(self, packed: i64) -> bool {
        packed_longitude(packed).wrapping_sub(self.west) <= self.span
    }
}

/// The longitude of a packed point, counted from one that is west of all.
fn packed_longitude(packed: i64) -> u32 {
    let [longitude @ .., _, _, _, _] = packed.to_le_bytes();
    u32::from_le_bytes(longitude)
}

impl Area {
    /// Tells whether a point is in the area.
    pub fn contains(&self, point: Point) -> bool {
        match self {
            Self::Near(circle) => circle.contains(point),
            Self::Box(area) => area.contains(point),
            Self::Polygon(polygon) => polygon.contains(point),
        }
    }

    /// Two points between which, in the order of points, every point of the area lies.
    pub fn ends(&self) -> (Point, Point) {
        let (south, north) = match self {
            Self::Near(circle) => (circle.around.south, circle.around.north),
            Self::Box(area) => (area.south, area.north),
            Self::Polygon(polygon) => (polygon.low.latitude, polygon.high.latitude),
        };
        let low = Point { latitude: south, longitude: -LONGITUDE_MAX };
        (low, Point { latitude: north, longitude: LONGITUDE_MAX })
    }

    /// The meridians between which every point of the area lies.
    pub fn reach(&self) -> Reach {
        let (west, east) = match self {
            Self::Near(Circle { around: area, .. }) | Self::Box(area) => (area.west, area.east),
            Self::Polygon(polygon) => (polygon.low.longitude, polygon.high.longitude),
        };
        // 180 degrees west and east are one meridian, at both ends of the numbers.
        if west.abs() == LONGITUDE_MAX || east.abs() == LONGITUDE_MAX {
            return Reach { west: 0, span: u32::MAX };
        }
        let west = packed_longitude(Point { latitude: 0, longitude: west }.packed());
        Reach { west, span: packed_longitude(Point { latitude: 0, longitude: east }.packed()).wrapping_sub(west) }
    }

    /// Reads the operator and the value that [`Area::written`] gives.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn read(operator: &str, value: &str) -> Result<Self, AreaError> {
        match operator {
            "near" => Circle::parse(value).map(Self::Near),
            "bbox" => GeoBox::parse(value).map(Self::Box),
            _ => Polygon::parse(value, usize::MAX).map(Self::Polygon),
        }
    }

    /// The operator of a condition that asks for the area, and the value that it is written with.
    pub fn written(&self) -> (&'static str, String) {
        let name = match self {
            Self::Near(_) => "near",
            Self::Box(_) => "bbox",
            Self::Polygon(_) => "within",
        };
        (name, self.to_string())
    }
}

/// Writes the value of a condition: `37.77,-122.42,500m`, `-122.52,37.7,-122.35,37.83`, `POLYGON ((…))`.
impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near(Circle { centre, radius_cm, .. }) => {
                write!(f, "{},{},", Degrees(centre.latitude), Degrees(centre.longitude))?;
                match (radius_cm / 100, radius_cm % 100) {
                    (metres, 0) => write!(f, "{metres}m"),
                    (metres, rest) => write!(f, "{metres}.{rest:02}m"),
                }
            }
            Self::Box(GeoBox { west, south, east, north }) => {
                write!(f, "{},{},{},{}", Degrees(*west), Degrees(*south), Degrees(*east), Degrees(*north))
            }
            Self::Polygon(polygon) => {
                f.write_str("POLYGON (")?;
                for (nth, ring) in polygon.rings.iter().enumerate() {
                    f.write_str(if nth > 0 { ", (" } else { "(" })?;
                    for corner in ring.iter().chain(ring.first()).enumerate() {
                        let (nth, corner) = corner;
                        if nth > 0 {
                            f.write_str(", ")?;
                        }
                        write!(f, "{} {}", Degrees(corner.longitude), Degrees(corner.latitude))?;
                    }
                    f.write_char(')')?;
                }
                f.write_char(')')
            }
        }
    }
}
