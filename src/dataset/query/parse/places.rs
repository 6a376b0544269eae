//! The conditions on places without the name of their column: `near=37.77,-122.42,500m`, `bbox=…`, `within=…`.

use std::borrow::Cow;

use super::QueryReading;
use crate::dataset::{ColumnType, query::Operator};

impl QueryReading<'_> {
    /// Takes a parameter that is a condition on the only column of points. False where it is none: columns have had such names.
    pub(super) fn is_place(&mut self, name: &str, value: &str) -> bool {
        let Some(operator) = Operator::PLACES.into_iter().find(|operator| operator.name() == name) else {
            return false;
        };
        if self.definition.column_index(name).is_some() {
            return false;
        }
        let points = self.definition.points();
        match points.as_slice() {
            [column] => self.condition_on(name, (*column, operator), value),
            [] => {
                let reason = "is a condition on a column of points, and this data set has none".to_owned();
                self.refuse(name, reason, None);
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|place| format!("{}__{name}", self.definition.column_name(*place))).collect();
                let reason = format!("does not say which column of points it is about: write {}", names.join(" or "));
                self.refuse(name, reason, names.into_iter().next());
            }
        }
        true
    }

    /// The values of a list of a column. Commas within a point separate nothing: points are in parentheses, or pairs of numbers.
    pub(super) fn values<'t>(&self, column: usize, text: &'t str) -> Result<Vec<Cow<'t, str>>, String> {
        if self.definition.column_kind(column) != ColumnType::Point || text.starts_with('[') {
            return self.list(text);
        }
        let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
        for (at, next) in text.char_indices() {
            match next {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                // The first comma of a pair of numbers separates nothing.
                ',' if depth == 0 && text.get(start..at).is_some_and(|item| item.contains(['(', ','])) => {
                    items.push(Cow::Borrowed(text.get(start..at).unwrap_or_default()));
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(Cow::Borrowed(text.get(start..).unwrap_or_default()));
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::{
        Definition, Point, Value,
        cursor::CursorKey,
        query::{InvalidParam, Query, QueryLimits, Test, parse, parse_groups, parse_stats},
        samples,
    };

    fn definition(columns: &[(&str, &str)]) -> Definition {
        let own = [("key", "text"), ("record_id", "integer")];
        samples::definition("things", &[own.as_slice(), columns].concat())
    }

    fn read(definition: &Definition, raw: &str) -> Result<Query, Vec<InvalidParam>> {
        parse(definition, raw, &QueryLimits::default(), &CursorKey::new([9; 32]))
    }

    /// The values that the only condition accepts, of some places.
    fn accepted(definition: &Definition, raw: &str) -> Vec<&'static str> {
        let filter = read(definition, raw).unwrap_or_else(|problems| panic!("{raw}: {problems:?}")).filter;
        let places = ["37.77,-122.42", "37.78,-122.41", "0,0"];
        let accepts = |test: &Test, place: &str| test.accepts(&Value::Point(Point::parse(place).unwrap()));
        let terms = filter.conjuncts();
        places.into_iter().filter(|place| terms.iter().all(|term| accepts(&term.test, place))).collect()
    }

    #[test]
    fn places_are_asked_for_in_many_ways() {
        let definition = definition(&[("location", "point")]);
        let (one, two, none) = ("37.77,-122.42", "37.78,-122.41", "0,0");
        for (raw, expected) in [
            ("near=37.77,-122.42,500m", vec![one]),
            ("location__near=37.77,-122.42,2km", vec![one, two]),
            ("near=(37.77,-122.42),1ft", vec![one]),
            ("bbox=-123,37,-122,38", vec![one, two]),
            ("within=POLYGON((-1+-1,1+-1,1+1))", vec![none]),
            ("within=%7B%22type%22:%22Polygon%22,%22coordinates%22:[[[-1,-1],[1,-1],[1,1],[-1,-1]]]%7D", vec![none]),
            ("location=37.77,-122.42", vec![one]),
            ("location=POINT(-122.42+37.77)", vec![one]),
            ("location__ne=(37.77,-122.42)", vec![two, none]),
            ("location__in=37.77,-122.42,0,0", vec![one, none]),
            ("location__in=POINT(-122.42+37.77),(0,0)", vec![one, none]),
            ("location__in=[%2237.77,-122.42%22]", vec![one]),
            ("location__isnull=false", vec![one, two, none]),
            ("filter=near(location,37.77,-122.42,%22500m%22)", vec![one]),
            ("filter=near(location,%2237.77,-122.42%22,500m)", vec![one]),
            ("filter=bbox(location,-123,37,-122,38)+AND+location!=%2237.77,-122.42%22", vec![two]),
            ("filter=within(location,%22POLYGON((-1+-1,1+-1,1+1))%22)", vec![none]),
            ("near=37.77,-122.42,2km&bbox=-122.415,37,-122,38", vec![two]),
        ] {
            assert_eq!(accepted(&definition, raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let one = definition(&[("location", "point"), ("size", "number")]);
        for (raw, name, reason) in [
            ("near=37.77,-122.42,500", "near", "no unit: write 500m"),
            ("near=-122.42,37.77,500m", "near", "look exchanged"),
            ("bbox=1,2,3", "bbox", "west,south,east,north"),
            ("within=circle", "within", "expected a polygon"),
            ("location__lt=0,0", "location__lt", "points have no order"),
            ("location__contains=x", "location__contains", "for text columns only"),
            ("size__near=0,0,5m", "size__near", "for columns of points only"),
            ("location=far", "location", "expected a point"),
            ("sort=location", "sort", "points have no order"),
            ("lat=5", "lat", "places are near="),
            ("filter=near(location)", "filter", "takes a column and one value"),
        ] {
            let problems = read(&one, raw).unwrap_err();
            assert!(problems[0].name == name && problems[0].reason.contains(reason), "{raw}: {problems:?}");
        }
        let none = definition(&[("size", "number")]);
        assert!(read(&none, "near=0,0,5m").unwrap_err()[0].reason.contains("has none"));
        let several = definition(&[("home", "point"), ("work", "point")]);
        let problem = read(&several, "bbox=1,2,3,4").unwrap_err().remove(0);
        assert_eq!(problem.did_you_mean.as_deref(), Some("home__bbox"));
        assert!(problem.reason.contains("home__bbox or work__bbox"), "{problem:?}");
        // A column of such a name is asked for by it, as before.
        let named = definition(&[("near", "text"), ("location", "point")]);
        let filter = read(&named, "near=here").unwrap().filter;
        assert_eq!(filter.conjuncts()[0].test, Test::Equal(Value::Text("here".into())));
    }

    #[test]
    fn groups_have_geohashes_and_no_ends_of_points() {
        let (definition, limits) = (definition(&[("location", "point"), ("size", "number")]), QueryLimits::default());
        let groups =
            parse_groups(&definition, "by=geohash(location,6)&measure=count,distinct(location)", &limits).unwrap();
        assert_eq!(groups.by[0].name, "geohash_location");
        let part = |place: &str| groups.by[0].part.of(&Value::Point(Point::parse(place).unwrap()));
        assert_eq!(part("57.64911,10.40744"), Value::Text("u4pruy".into()));
        let refused = |raw: &str| parse_groups(&definition, raw, &limits).unwrap_err().remove(0).reason;
        assert!(refused("by=geohash(location,13)").contains("from 1 to 12"));
        assert!(refused("by=geohash(location)").contains("from 1 to 12"));
        assert!(refused("by=geohash(size,3)").contains("no such column"));
        assert!(refused("by=size&measure=min(location)").contains("no min of points"));
        assert!(refused("by=size&measure=sum(location)").contains("no sum of points"));
        let stats = parse_stats(&definition, "columns=location", &limits).unwrap_err();
        assert!(stats[0].reason.contains("has no figures"), "{stats:?}");
    }
}
