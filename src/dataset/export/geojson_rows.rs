//! Rows as a feature collection of GeoJSON (RFC 7946): one feature a line.

use super::published;
use crate::dataset::{Column, Definition, json, query::Query};

const BEGIN: &[u8] = b"{\"type\":\"FeatureCollection\",\"features\":[";
/// A collection that breaks off has no end, so that no reader takes it for whole.
const END: &[u8] = b"\n]}\n";

/// Writes rows as features. Each is identified by `<key>/<record id>`.
#[derive(Debug, Clone)]
pub(super) struct GeoRows {
    /// The columns whose values are taken in: those of the properties, the geometry's, the key's and the record id's.
    places: Vec<usize>,
    /// For each property, the text before it, and whether it is a number that is written as a text; none for the geometry.
    properties: Vec<Option<(Vec<u8>, bool)>>,
    /// Where the geometry is among the values.
    geometry: usize,
    rows: u64,
}

impl GeoRows {
    /// Writes the features of a query, whose geometries are in this column.
    pub(super) fn new(definition: &Definition, query: &Query, geometry: usize) -> Self {
        let selected: Vec<usize> = match &query.select {
            None => (0..definition.columns.len()).collect(),
            Some(select) => select.clone(),
        };
        let mut is_first = true;
        let mut property = |(place, column): (usize, &Column)| {
            if place == geometry {
                return None;
            }
            let mut before = if std::mem::take(&mut is_first) { Vec::new() } else { vec![b','] };
            json::write_string(&column.name, &mut before);
            before.push(b':');
            Some((before, query.numbers_as_texts && json::may_be_text(column.kind)))
        };
        let columns = selected.iter().filter_map(|place| Some((*place, definition.columns.get(*place)?)));
        let properties = columns.map(&mut property).collect();
        let own = selected.iter().position(|place| *place == geometry);
        let behind = selected.len();
        let mut places = selected;
        places.extend([geometry, definition.key, definition.record_id]);
        Self { places, properties, geometry: own.unwrap_or(behind), rows: 0 }
    }

    /// The columns whose values a row consists of, by place.
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }

    /// Appends what precedes the first feature.
    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(BEGIN);
    }

    /// Appends a feature from the values of the columns at [`GeoRows::places`].
    pub(super) fn row<'v>(&mut self, values: impl IntoIterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        let values: Vec<&[u8]> = values.into_iter().collect();
        let value = |place: usize| values.get(place).copied().unwrap_or(b"null");
        out.extend_from_slice(if self.rows == 0 { b"\n" } else { b",\n" });
        self.rows += 1;
        out.extend_from_slice(b"{\"type\":\"Feature\",\"id\":\"");
        // Behind the properties and the geometry.
        let identity = self.properties.len() + 1;
        push_text(value(identity), out);
        out.push(b'/');
        push_text(value(identity + 1), out);
        out.extend_from_slice(b"\",\"geometry\":");
        out.extend_from_slice(value(self.geometry));
        out.extend_from_slice(b",\"properties\":{");
        for ((nth, property), _) in self.properties.iter().enumerate().zip(&values) {
            let Some((before, as_text)) = property else { continue };
            out.extend_from_slice(before);
            if *as_text { json::write_as_text(value(nth), out) } else { out.extend_from_slice(value(nth)) }
        }
        out.extend_from_slice(b"}}");
    }

    /// Appends the end.
    pub(super) fn finish(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(END);
    }
}

/// Appends a key or record id, within a JSON string.
fn push_text(value: &[u8], out: &mut Vec<u8>) {
    match published::text(value) {
        Some(text) => json::write_escaped(&text, out),
        None => out.extend_from_slice(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::{Point, Value, query::Format, samples};

    fn written(select: Option<Vec<usize>>, numbers_as_texts: bool) -> serde_json::Value {
        let columns = [("key", "text"), ("record_id", "integer"), ("location", "point"), ("size", "integer")];
        let definition = samples::definition("things", &columns);
        let query = Query { select, numbers_as_texts, format: Some(Format::Geojson), ..Query::everything(9) };
        let geometry = query.geometry(&definition).unwrap();
        let mut rows = GeoRows::new(&definition, &query, geometry);
        let place = Value::Point(Point::parse("37.7749,-122.4194").unwrap());
        let records = [
            [Value::Text("a\"b".into()), Value::Integer(1), place, Value::Integer(7)],
            [Value::Text("c".into()), Value::Integer(2), Value::Null, Value::Null],
        ];
        let mut out = Vec::new();
        rows.begin(&mut out);
        for record in &records {
            let values: Vec<Vec<u8>> = rows
                .places()
                .iter()
                .map(|place| {
                    let mut text = Vec::new();
                    json::write_value(&record[*place], &mut text);
                    text
                })
                .collect();
            rows.row(values.iter().map(Vec::as_slice), &mut out);
        }
        rows.finish(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn records_are_features() {
        let point = json!({ "type": "Point", "coordinates": [-122.4194, 37.7749] });
        let whole = json!({ "type": "FeatureCollection", "features": [
            { "type": "Feature", "id": "a\"b/1", "geometry": point, "properties": { "key": "a\"b", "record_id": 1, "size": 7 } },
            { "type": "Feature", "id": "c/2", "geometry": null, "properties": { "key": "c", "record_id": 2, "size": null } },
        ] });
        assert_eq!(written(None, false), whole);
        let some = written(Some(vec![2, 3]), true);
        assert_eq!(some["features"][0]["properties"], json!({ "size": "7" }));
        assert_eq!((&some["features"][0]["geometry"], &some["features"][0]["id"]), (&point, &json!("a\"b/1")));
        let without = written(Some(vec![3]), false);
        assert_eq!(without["features"][0]["geometry"], point);
    }
}
