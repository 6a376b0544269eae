//! Geohashes: cells of the earth, each with a text that begins with that of the cell around it.

use super::{LATITUDE_MAX, LONGITUDE_MAX, Point};

/// The most letters of a geohash: such a cell is 4 cm wide.
pub const GEOHASH_LENGTH_MAX: u8 = 12;
/// The bits of each coordinate in the longest geohash.
const BITS: u32 = 30;
const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

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
