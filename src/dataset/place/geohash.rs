//! Geohashes: cells of the earth, each with a text that begins with that of the cell around it.

use super::{LATITUDE_MAX, LONGITUDE_MAX, Point};

/// The most letters of a geohash: such a cell is 4 cm wide.
pub const GEOHASH_LENGTH_MAX: u8 = 12;
/// The bits of each coordinate in the longest geohash.
const BITS: u32 = 30;
const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// The ends of a cell in degrees: west, south, east and north. None for a text that is no geohash.
pub fn geohash_ends(hash: &str) -> Option<[f64; 4]> {
    let (mut east, mut north) = ((-180.0, 180.0), (-90.0, 90.0));
    let mut is_of_longitude = true;
    for letter in hash.bytes() {
        let code = LETTERS.iter().position(|known| *known == letter)?;
        for nth in (0..5).rev() {
            let (low, high): &mut (f64, f64) = if is_of_longitude { &mut east } else { &mut north };
            let middle = f64::midpoint(*low, *high);
            if code >> nth & 1 == 1 {
                *low = middle;
            } else {
                *high = middle;
            }
            is_of_longitude = !is_of_longitude;
        }
    }
    Some([east.0, north.0, east.1, north.1])
}

/// The cell of so many letters that a point is in; of twelve at most.
pub fn geohash(point: Point, length: u8) -> String {
    // The number of a coordinate's cell among 2^30.
    let cell = |units: i32, most: i32| {
        let from_edge = i64::from(units) + i64::from(most);
        ((from_edge << BITS) / (2 * i64::from(most))).min((1 << BITS) - 1)
    };
    let east = cell(point.longitude, LONGITUDE_MAX);
    let north = cell(point.latitude, LATITUDE_MAX);
    // The bits take turns, the longitude's first.
    let bit = |nth: u32| {
        let of = if nth.is_multiple_of(2) { east } else { north };
        (of >> (BITS - 1 - nth / 2)) & 1
    };
    let letter = |nth: u32| {
        let code = (nth * 5..nth * 5 + 5).fold(0_i64, |code, nth| code << 1 | bit(nth));
        usize::try_from(code).ok().and_then(|code| LETTERS.get(code)).map_or('0', |letter| char::from(*letter))
    };
    (0..u32::from(length.min(GEOHASH_LENGTH_MAX))).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_point_lies_in_its_cell(latitude in -89.9_f64..89.9, longitude in -179.9_f64..179.9, length in 1_u8..=9) {
            let point = Point::of_degrees(latitude, longitude).unwrap();
            let [west, south, east, north] = geohash_ends(&geohash(point, length)).unwrap();
            prop_assert!(west <= point.longitude() && point.longitude() <= east, "{west} {east}");
            prop_assert!(south <= point.latitude() && point.latitude() <= north, "{south} {north}");
        }
    }

    #[test]
    fn cells_have_ends() {
        assert_eq!(geohash_ends(""), Some([-180.0, -90.0, 180.0, 90.0]));
        assert_eq!(geohash_ends("9q8yy"), Some([-122.431640625, 37.7490234375, -122.3876953125, 37.79296875]));
        assert_eq!(geohash_ends("a"), None);
    }
}
