//! Places: what `near`, `bbox` and `within` find, in which order, in every format, and what is said where it cannot be asked.

use serde_json::{Value, json};

use crate::{
    app::TestApp,
    data::{import, names, things_of, things_with, unlimited},
};

const COLUMNS: &str = "[[column]]\nname = \"location\"\ntype = \"point\"\nheaders = [\"Location\"]\n\
    [[column]]\nname = \"size\"\ntype = \"integer\"\nheaders = [\"Size\"]\n";

/// A on the square, b 111 m north of it, c across the bay, d nowhere, e on the antimeridian.
const ROWS: &str = "\
Name,Location,Size
a,POINT (-122.4194 37.7749),1
b,\"(37.7759, -122.4194)\",2
c,\"{\"\"type\"\":\"\"Point\"\",\"\"coordinates\"\":[-122.2711,37.8044]}\",3
d,,4
e,\"-17.5, 180\",5
";

#[tokio::test]
async fn records_are_found_by_their_places() {
    let (app, key) = things_of(COLUMNS, ROWS).await;
    for (query, expected) in [
        ("near=37.7749,-122.4194,100m", vec!["a"]),
        ("near=37.7749,-122.4194,120m", vec!["a", "b"]),
        ("location__near=37.7749,-122.4194,20km", vec!["a", "b", "c"]),
        ("near=37.7759,-122.4194,20km&sort=distance", vec!["b", "a", "c"]),
        ("near=37.7759,-122.4194,20km&sort=-distance", vec!["c", "a", "b"]),
        ("near=37.7759,-122.4194,20km&sort=distance&size__gt=1", vec!["b", "c"]),
        ("bbox=-122.5,37.7,-122.4,37.8", vec!["a", "b"]),
        ("bbox=179,-18,-179,-17", vec!["e"]),
        ("within=POLYGON((-122.3+37.7,-122.2+37.7,-122.2+37.9,-122.3+37.9))", vec!["c"]),
        ("location__isnull=true", vec!["d"]),
        ("location=37.7749,-122.4194", vec!["a"]),
        ("filter=NOT+near(location,37.7749,-122.4194,%2220km%22)", vec!["d", "e"]),
    ] {
        let answer = app.get(&format!("/things?{query}&count=exact"), &key).await.expect(200).json();
        assert_eq!(names(&answer), expected, "{query}");
        assert_eq!(answer["page"]["count"], expected.len(), "{query}");
    }
    // A walk by distance, a record at a time.
    let (mut found, mut path) = (Vec::new(), "/things?near=37.7759,-122.4194,20km&sort=distance&limit=1".to_owned());
    loop {
        let answer = app.get(&path, &key).await.expect(200).json();
        found.extend(names(&answer).into_iter().map(str::to_owned));
        let Some(cursor) = answer["page"]["next"].as_str() else { break };
        path = format!("/things?near=37.7759,-122.4194,20km&sort=distance&limit=1&cursor={cursor}");
    }
    assert_eq!(found, ["b", "a", "c"]);
    let groups = app.get("/things/groups?by=geohash(location,4)&sort=-count", &key).await.expect(200).json();
    assert_eq!(groups["groups"][0], json!({ "geohash_location": "9q8y", "count": 2 }));
}

#[tokio::test]
async fn a_place_is_a_geometry_in_every_answer() {
    let (app, key) = things_of(COLUMNS, ROWS).await;
    let point = json!({ "type": "Point", "coordinates": [-122.4194, 37.7749] });
    for path in ["/things/a?select=location,name", "/things?name=a&select=location,name&numbers=text"] {
        let answer = app.get(path, &key).await.expect(200).json();
        assert_eq!(answer["data"][0], json!({ "location": point, "name": "a" }), "{path}");
    }
    let history = app.get("/things/a/history?numbers=text", &key).await.expect(200).json();
    assert_eq!(history["data"][0]["record"]["location"], point);
    let csv = app.get("/things?format=csv&select=location&size__lte=2", &key).await.expect(200);
    assert_eq!(csv.body, "location\r\nPOINT (-122.4194 37.7749)\r\nPOINT (-122.4194 37.7759)\r\n");
    let answer = app.get("/things?format=geojson", &key).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    let collection = answer.json();
    assert_eq!(collection["type"], "FeatureCollection");
    let features = collection["features"].as_array().unwrap();
    assert_eq!(features.len(), 5);
    assert_eq!(features[0]["type"], "Feature");
    assert_eq!(features[0]["geometry"], point);
    assert_eq!(features[0]["properties"]["size"], 1);
    assert!(features[0]["properties"].get("location").is_none());
    assert_eq!(features[3]["geometry"], Value::Null);
    // What an export writes is imported again as it is.
    let lines = app.get("/things?format=ndjson&select=name,location,size", &key).await.expect(200).body;
    let again = COLUMNS.replace("Location", "location").replace("\"Size", "\"size");
    let other = TestApp::start().await;
    let other_key = unlimited(&other).await;
    let definition = things_with("", &again);
    let mut definition = definition;
    definition.source.fields.iter_mut().for_each(|field| {
        if let permitd::dataset::definition::FieldOrigin::Header { headers, .. } = &mut field.origin {
            headers.push(field.name.clone());
        }
    });
    import(&other, definition, lines.clone().into_bytes(), "things.ndjson").await;
    let written = other.get("/things?format=ndjson&select=name,location,size", &other_key).await.expect(200).body;
    assert_eq!(written, lines);
}

#[tokio::test]
async fn what_cannot_be_asked_of_places_is_said() {
    let (app, key) = things_of(COLUMNS, ROWS).await;
    for (query, expected) in [
        ("near=37.7749,-122.4194,500", "no unit"),
        ("near=-122.4194,37.7749,500m", "exchanged"),
        ("bbox=1,2,3", "west,south,east,north"),
        ("within=POLYGON((0+0,1+1))", ""),
        ("sort=location", "no order"),
        ("sort=distance", "distance is from a point"),
        ("near=0,0,1m&location__near=1,1,1m&sort=distance", "distance is from one point"),
        ("near=0,0,1m&sort=size,distance", "distance comes before columns"),
        ("location__gt=0,0", "no order"),
    ] {
        let answer = app.get(&format!("/things?{query}"), &key).await.expect(400).json();
        let reason = answer["invalid_params"][0]["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{query}: {reason}");
    }
    app.get("/things/stats?columns=location", &key).await.expect(400);
    app.get("/things/groups?by=name&measure=sum(location)", &key).await.expect(400);
}
