//! Points that are made of two columns.

use permitd::dataset::{Definition, Point, Value};

use crate::support::import;

fn definition(published: bool) -> Definition {
    let hidden = if published { "" } else { "publish = false\n" };
    let text = format!(
        "name = \"things\"\nrecord_id = \"record_id\"\n[key]\ncolumn = \"name\"\n\
         [[column]]\nname = \"name\"\nheaders = [\"Name\"]\n\
         [[column]]\nname = \"record_id\"\ntype = \"integer\"\nimport = true\n\
         [[column]]\nname = \"lat\"\ntype = \"number\"\nheaders = [\"Lat\"]\n{hidden}\
         [[column]]\nname = \"lon\"\ntype = \"number\"\nheaders = [\"Lon\"]\n{hidden}\
         [[column]]\nname = \"place\"\ntype = \"point\"\nlatitude = \"lat\"\nlongitude = \"lon\"\n"
    );
    Definition::from_toml(&text, "things.toml").unwrap()
}

const FILE: &[u8] =
    b"Name,Lat,Lon\na,37.7749,-122.4194\nb,,\nc,secret-1,1\nd,37.5,\ne,95.4321,1\nf,-122.4194,37.7749\n";

#[test]
fn two_columns_make_a_point() {
    let definition = definition(true);
    let imported = import(FILE, "things.csv", &definition).unwrap();
    let place = definition.column_index("place").unwrap();
    let places: Vec<&Value> = imported.rows.iter().map(|(.., record)| &record.values[place]).collect();
    let expected = Value::Point(Point::parse("37.7749,-122.4194").unwrap());
    assert_eq!(places, [&expected, &Value::Null]);
}

#[test]
fn coordinates_that_are_not_published_are_shown_to_nobody() {
    for published in [true, false] {
        let imported = import(FILE, "things.csv", &definition(published)).unwrap();
        let told = format!("{:?}", imported.rejected);
        assert!(told.contains("look exchanged") && told.contains("beyond 90 degrees"), "{told}");
        for value in ["secret-1", "37.5", "95.4321", "-122.4194"] {
            assert_eq!(told.contains(value), published, "{value}: {told}");
        }
    }
}
