//! Points and areas against other ways to find out the same.

use proptest::prelude::*;

use super::*;

fn point(text: &str) -> Point {
    Point::parse(text).unwrap()
}

fn any_point() -> impl Strategy<Value = Point> {
    let any = (-900_000_000_i32..=900_000_000, -1_800_000_000_i32..=1_800_000_000);
    let edges = (
        proptest::sample::select(vec![-900_000_000, 0, 900_000_000, 377_749_000]),
        proptest::sample::select(vec![-1_800_000_000, 0, 1_800_000_000, -1_224_194_000]),
    );
    prop_oneof![3 => any, 1 => edges].prop_map(|(latitude, longitude)| Point { latitude, longitude })
}

/// Points of a small grid, so that many lie on edges and corners.
fn grid_point() -> impl Strategy<Value = Point> {
    (-4_i32..=4, -4_i32..=4).prop_map(|(latitude, longitude)| Point { latitude, longitude })
}

#[test]
fn points_are_read_in_all_their_forms() {
    let expected = Point { latitude: 377_749_000, longitude: -1_224_194_000 };
    for form in [
        "POINT (-122.4194 37.7749)",
        "POINT(-122.4194 37.7749)",
        "point ( -122.4194   37.7749 )",
        "SRID=4326;POINT (-122.4194 37.7749)",
        "(37.7749, -122.4194)",
        "37.7749,-122.4194",
        " 37.7749 , -122.4194 ",
        "+37.7749,-122.41940000000001",
        "{\"type\":\"Point\",\"coordinates\":[-122.4194,37.7749]}",
        "{\"type\": \"Point\", \"coordinates\": [-1.224194e2, 37.7749, 12]}",
        "{'latitude': '37.7749', 'longitude': '-122.4194', 'human_address': '{}'}",
        "{\"latitude\":37.7749,\"longitude\":-122.4194}",
    ] {
        assert_eq!(Point::parse(form), Ok(expected), "{form}");
    }
    assert_eq!(point("0,0").to_string(), "POINT (0 0)");
    assert_eq!(point("-0.0000001,-0.5").to_string(), "POINT (-0.5 -0.0000001)");
    assert_eq!(point("90,-180").to_string(), "POINT (-180 90)");
    // Half away from zero.
    assert_eq!(point("0.00000005,-0.00000005").to_string(), "POINT (-0.0000001 0.0000001)");
    assert_eq!(point("0.00000004,-0.00000004").to_string(), "POINT (0 0)");
    assert_eq!(point("5e-8,1e1").to_string(), "POINT (10 0.0000001)");
    for wrong in [
        "",
        "{\"latitude\":\"37,7749\",\"longitude\":\"-122,4194\"}",
        "{\"latitude\":37,5,\"longitude\":10.5}",
        "{'latitude': '37,5', 'longitude': '10.5'}",
        "{\"a\":{\"latitude\":1},\"latitude\":37.5,\"longitude\":10.5}",
        "{\"latitude\":37.5,\"longitude\":10.5,\"latitude\":12}",
        "{\"latitude\":37.5,\"longitude\":10.5}}}",
        "{\"latitude\":37.5,\"longitude\":10.5} and more",
        "{\"latitude\":\"37.5,\"longitude\":10.5}",
        "POINT EMPTY",
        "POINT (1)",
        "POINT (1 2 3)",
        "POINT (1, 2)",
        "37.7",
        "a,b",
        "1,2,3",
        "(1,2",
        "nan,0",
        "1e999,0",
        "SRID=3857;POINT (1 2)",
        "LINESTRING (1 2, 3 4)",
        "{\"type\":\"Polygon\",\"coordinates\":[1,2]}",
        "{}",
        "{\"latitude\":1}",
        "{\"type\":\"Point\",\"coordinates\":[\"1\",\"2\"]}",
        "{\"type\":\"Point\",\"coordinates\":[]}",
        ",",
        ".,.",
    ] {
        assert_eq!(Point::parse(wrong), Err(PointError::Form), "{wrong}");
    }
    assert_eq!(Point::parse("-122.4194,37.7749"), Err(PointError::Exchanged));
    assert_eq!(Point::parse("POINT (37.7749 -122.4194)"), Err(PointError::Exchanged));
    assert_eq!(Point::parse("90.0000001,100"), Err(PointError::Latitude));
    assert_eq!(Point::parse("POINT (180.0000001 5)"), Err(PointError::Longitude));
    assert_eq!(Point::parse("99999999999999999999999999,0"), Err(PointError::Latitude));
    // The least number of 32 bits has no positive counterpart.
    assert_eq!(Point::parse("-214.7483648,0"), Err(PointError::Latitude));
    assert_eq!(Point::parse("0,-214.7483648"), Err(PointError::Longitude));
    assert_eq!(Point::unpacked(0), None);
    assert_eq!(degrees_of("POINT (-122.41364091508 37.5)"), Ok((37.5, -122.413_640_915_08)));
}

#[test]
fn distances_are_those_that_others_compute() {
    // One degree of latitude is 111.195 km on this sphere.
    assert_eq!(point("0,0").distance_cm(point("1,0")), 11_119_508);
    assert_eq!(point("0,0").distance_cm(point("0,1")), 11_119_508);
    // San Francisco's city hall to its ferry building, and to Paris.
    let (hall, ferry, paris) = (point("37.7793,-122.4193"), point("37.7955,-122.3937"), point("48.8566,2.3522"));
    assert!((288_000..288_300).contains(&hall.distance_cm(ferry)), "{}", hall.distance_cm(ferry));
    assert!((895_000_000..896_500_000).contains(&hall.distance_cm(paris)), "{}", hall.distance_cm(paris));
    assert_eq!(point("90,0").distance_cm(point("-90,0")), 2_001_511_444);
    assert_eq!(point("5,180").distance_cm(point("5,-180")), 0);
}

#[test]
fn geohashes_are_those_that_others_compute() {
    for (place, expected) in [
        ("57.64911,10.40744", "u4pruydqqvj8"),
        ("37.7749,-122.4194", "9q8yyk8ytpxr"),
        ("-25.382708,-49.265506", "6gkzwgjzn820"),
        ("0,0", "s00000000000"),
        ("-90,-180", "000000000000"),
        ("90,180", "zzzzzzzzzzzz"),
    ] {
        assert_eq!(geohash(point(place), 12), expected, "{place}");
        assert_eq!(geohash(point(place), 5), expected[..5], "{place}");
    }
}

fn circle(text: &str) -> Result<Circle, AreaError> {
    Circle::parse(text)
}

#[test]
fn circles_are_a_point_and_a_distance_with_a_unit() {
    for (text, radius_cm) in [
        ("37.77,-122.42,500m", 50_000),
        ("(37.77, -122.42), 0.5 km", 50_000),
        ("POINT (-122.42 37.77),1mi", 160_934),
        ("37.77,-122.42,10ft", 305),
        ("37.77,-122.42,0m", 0),
        ("37.77,-122.42,20015.11444km", 2_001_511_444),
    ] {
        assert_eq!(circle(text), Ok(Circle::new(point("37.77,-122.42"), radius_cm)), "{text}");
    }
    for (text, error) in [
        ("37.77,-122.42", AreaError::Near),
        ("37.77,500m", AreaError::Near),
        ("", AreaError::Near),
        ("a,b,500m", AreaError::Near),
        ("37.77,-122.42,500", AreaError::NoUnit("500".to_owned())),
        ("37.77,-122.42,far", AreaError::Distance),
        ("37.77,-122.42,-5m", AreaError::Distance),
        ("37.77,-122.42,1e3m", AreaError::Distance),
        ("37.77,-122.42,m", AreaError::Distance),
        ("37.77,-122.42,..m", AreaError::Distance),
        ("37.77,-122.42,20016km", AreaError::TooFar),
        ("-122.42,37.77,500m", AreaError::Point(PointError::Exchanged)),
    ] {
        assert_eq!(circle(text), Err(error), "{text}");
    }
}

#[test]
fn boxes_may_cross_the_antimeridian() {
    let boxed = |text: &str| Area::Box(GeoBox::parse(text).unwrap());
    let fiji = boxed("177,-20,-178,-15");
    for (inside, outside) in [("-17,178", "-17,-177"), ("-17,-179", "-17,176"), ("-20,177", "-20.1,178")] {
        assert!(fiji.contains(point(inside)), "{inside}");
        assert!(!fiji.contains(point(outside)), "{outside}");
    }
    let far_east = boxed("170,-10,180,10");
    assert!(far_east.contains(point("0,180")) && far_east.contains(point("0,-180")));
    assert_eq!(GeoBox::parse("1,2,3"), Err(AreaError::Box));
    assert_eq!(GeoBox::parse("1,2,3,x"), Err(AreaError::Box));
    assert_eq!(GeoBox::parse("1,2,0,3,4,5"), Err(AreaError::Box));
    assert_eq!(GeoBox::parse("1,5,3,4"), Err(AreaError::UpsideDown("5".into(), "4".into())));
    assert_eq!(GeoBox::parse("37,-122,38,-121"), Err(AreaError::Point(PointError::Exchanged)));
}

#[test]
fn polygons_have_holes_and_edges() {
    let read = |text: &str| Polygon::parse(text, 200).map(Area::Polygon);
    let text = "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0), (4 4, 6 4, 6 6, 4 6))";
    let square = read(text).unwrap();
    for (place, is_within) in [
        ("1,1", true),
        ("5,5", false),
        ("4,5", true),
        ("4,4", true),
        ("0,0", true),
        ("10,5", true),
        ("5,10.0000001", false),
        ("-0.0000001,5", false),
    ] {
        assert_eq!(square.contains(point(place)), is_within, "{place}");
    }
    let json =
        r#"{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[4,4],[6,4],[6,6],[4,6],[4,4]]]}"#;
    assert_eq!(read(json), Ok(square.clone()));
    assert_eq!(square.to_string(), "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0), (4 4, 6 4, 6 6, 4 6, 4 4))");
    assert_eq!(read("POLYGON ((0 0, 1 1, 0 0))"), Err(AreaError::FewCorners(2)));
    let many = format!(
        "POLYGON (({}))",
        (0..201).map(|nth| format!("{} {}", nth % 90, nth / 90)).collect::<Vec<_>>().join(",")
    );
    assert_eq!(read(&many), Err(AreaError::TooManyVertices { vertices: 201, most: 200 }));
    assert_eq!(read("POLYGON ((0 0, 5 95, 5 0))"), Err(AreaError::Point(PointError::Exchanged)));
    for wrong in [
        "",
        "POLYGON",
        "POLYGON ()",
        "POLYGON (())",
        "POLYGON ((0 0, 1 1, 1 0)",
        "POLYGON (0 0, 1 1, 1 0)",
        "POINT (1 2)",
        "POLYGON ((0 0, 1 1, 1 0) (2 2, 3 3, 3 2))",
        "{\"type\":\"Polygon\",\"coordinates\":[[1,2]]}",
        "{\"type\":\"Point\"}",
        "POLYGON ((0,0 1,1 1,0))",
    ] {
        assert_eq!(read(wrong), Err(AreaError::Polygon), "{wrong}");
    }
    assert_eq!(read("{\"type\":\"Polygon\",\"coordinates\":[]}"), Err(AreaError::Polygon));
    assert_eq!(read("{\"type\":\"Polygon\",\"coordinates\":[[]]}"), Err(AreaError::FewCorners(0)));
}

/// The winding of a ring around a point by fractions, for points that are on no edge.
fn is_in_ring(ring: &[(i64, i64)], (x, y): (i64, i64)) -> bool {
    let mut is_within = false;
    for (nth, (ax, ay)) in ring.iter().enumerate() {
        let (bx, by) = ring[(nth + 1) % ring.len()];
        if (*ay > y) != (by > y) {
            // Where the edge has the height of the point: ax + (y - ay) * (bx - ax) / (by - ay).
            let at = *ax as f64 + (y - ay) as f64 * (bx - ax) as f64 / (by - ay) as f64;
            is_within ^= at > x as f64;
        }
    }
    is_within
}

fn is_on_edge(ring: &[(i64, i64)], (x, y): (i64, i64)) -> bool {
    (0..ring.len()).any(|nth| {
        let ((ax, ay), (bx, by)) = (ring[nth], ring[(nth + 1) % ring.len()]);
        let is_straight = (bx - ax) * (y - ay) == (by - ay) * (x - ax);
        is_straight && (ax.min(bx)..=ax.max(bx)).contains(&x) && (ay.min(by)..=ay.max(by)).contains(&y)
    })
}

proptest! {
    #[test]
    fn points_are_numbers_in_their_order(a in any_point(), b in any_point()) {
        prop_assert_eq!(a.packed().cmp(&b.packed()), a.cmp(&b));
        prop_assert_eq!(Point::unpacked(a.packed()), Some(a));
    }

    #[test]
    fn a_number_that_is_no_point_is_none(packed in any::<i64>()) {
        prop_assert!(Point::unpacked(packed).is_none_or(|point| point.packed() == packed));
    }

    #[test]
    fn what_is_written_is_read(point in any_point()) {
        prop_assert_eq!(Point::parse(&point.to_string()), Ok(point));
        let mut geojson = Vec::new();
        point.write_geojson(&mut geojson);
        let text = String::from_utf8(geojson).unwrap();
        prop_assert_eq!(Point::of_geojson(&text), Ok(point));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read["type"], "Point");
        let degrees = |nth: usize| read["coordinates"][nth].as_f64().unwrap();
        prop_assert_eq!((degrees(0), degrees(1)), (point.longitude(), point.latitude()));
        prop_assert_eq!(Point::of_degrees(point.latitude(), point.longitude()), Ok(point));
    }

    #[test]
    fn no_text_makes_reading_fail_otherwise_than_by_an_error(text in any::<String>(), geo in "[POINTLYG(){}\\[\\]0-9., \"-]{0,40}") {
        for text in [text, geo] {
            drop((Point::parse(&text), Circle::parse(&text), GeoBox::parse(&text), Polygon::parse(&text, 9)));
        }
    }

    #[test]
    fn a_circle_holds_what_is_no_farther_than_its_radius(
        centre in any_point(),
        other in any_point(),
        near in (-2_000_000_i32..2_000_000, -2_000_000_i32..2_000_000),
        radius in prop_oneof![0_u32..30_000_000, 0_u32..=2_001_511_444],
    ) {
        let beside = Point {
            latitude: (centre.latitude + near.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
            longitude: (centre.longitude + near.1).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
        };
        for point in [other, beside, centre] {
            let distance = centre.distance_cm(point);
            prop_assert_eq!(distance, point.distance_cm(centre));
            // At the distance itself, too, where the box around the circle might leave it out.
            for radius in [radius, distance, distance.saturating_sub(1), distance.saturating_add(1).min(2_001_511_444)] {
                let area = Area::Near(Circle::new(centre, radius));
                prop_assert_eq!(area.contains(point), distance <= radius, "{} {} {}", centre, point, radius);
                let (low, high) = area.ends();
                prop_assert!(!area.contains(point) || (low <= point && point <= high));
                prop_assert!(!area.contains(point) || area.reach().has(point.packed()));
            }
        }
    }

    #[test]
    fn a_box_holds_what_is_between_its_sides(west in any_point(), east in any_point(), point in any_point()) {
        let (south, north) = (west.latitude.min(east.latitude), west.latitude.max(east.latitude));
        let area = Area::Box(GeoBox { west: west.longitude, south, east: east.longitude, north });
        // Eastwards from the west, the point is met no later than the east.
        let eastwards = |to: i32| (i64::from(to) - i64::from(west.longitude)).rem_euclid(3_600_000_000);
        let is_whole = west.longitude == -LONGITUDE_MAX && east.longitude == LONGITUDE_MAX;
        let is_between = is_whole || eastwards(point.longitude) <= eastwards(east.longitude);
        // Two sides on the two sides of one meridian: nothing else is between them.
        prop_assume!(!(west.longitude == LONGITUDE_MAX && east.longitude == -LONGITUDE_MAX) || point.longitude.abs() != LONGITUDE_MAX);
        prop_assert_eq!(area.contains(point), is_between && (south..=north).contains(&point.latitude));
        prop_assert!(!is_between || area.reach().has(point.packed()));
    }

    #[test]
    fn a_polygon_holds_what_its_first_ring_surrounds_and_no_other(
        rings in proptest::collection::vec(proptest::collection::vec(grid_point(), 3..8), 1..4),
        point in grid_point(),
    ) {
        let Ok(polygon) = Polygon::of_rings(rings.clone(), 200) else { return Ok(()) };
        let plain = |point: &Point| (i64::from(point.longitude), i64::from(point.latitude));
        let rings: Vec<Vec<(i64, i64)>> = rings.iter().map(|ring| ring.iter().map(plain).collect()).collect();
        let at = plain(&point);
        let is_on = |ring: &[(i64, i64)]| is_on_edge(ring, at);
        let expected = (is_on(&rings[0]) || is_in_ring(&rings[0], at))
            && rings[1..].iter().all(|hole| is_on(hole) || !is_in_ring(hole, at));
        let area = Area::Polygon(polygon.clone());
        prop_assert_eq!(area.contains(point), expected);
        prop_assert!(!expected || area.reach().has(point.packed()));
        let written = area.to_string();
        prop_assert_eq!(Polygon::parse(&written, 200), Ok(polygon));
    }

    #[test]
    fn a_geohash_begins_with_that_of_the_cell_around_it(point in any_point(), length in 1_u8..12) {
        let (long, short) = (geohash(point, length + 1), geohash(point, length));
        prop_assert!(long.starts_with(&short) && long.len() == usize::from(length) + 1);
        // The cell by halving, as the geohash is defined.
        let (mut low, mut high) = ([-90.0, -180.0], [90.0, 180.0]);
        let degrees = [point.latitude(), point.longitude()];
        let mut bits = String::new();
        for nth in 0..usize::from(length) * 5 {
            let of = if nth % 2 == 0 { 1 } else { 0 };
            let middle: f64 = (low[of] + high[of]) / 2.0;
            if degrees[of] >= middle { low[of] = middle; bits.push('1'); } else { high[of] = middle; bits.push('0'); }
        }
        let letters: String = bits.as_bytes().chunks(5).map(|bits| {
            let code = bits.iter().fold(0, |code, bit| code * 2 + usize::from(*bit == b'1'));
            char::from(b"0123456789bcdefghjkmnpqrstuvwxyz"[code])
        }).collect();
        prop_assert_eq!(short, letters);
    }
}
