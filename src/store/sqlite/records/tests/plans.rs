//! SQLite's plans for the statements: the named index, searched on the intended columns, and no sort if the index has the order.

use rusqlite::{Connection, params_from_iter, types::Value as Sql};

use super::{
    super::{
        read, schema,
        shape::Shape,
        statement::Segment,
        way::{self, Way},
    },
    *,
};
use crate::dataset::query::Position;

fn database() -> (Store, Connection) {
    let store = Store::new();
    let records: Vec<Record> = (0..50).map(|n| record(&format!("k{n}"), "filed", n)).collect();
    store.import(&definition(), &records);
    let connection = Connection::open(store.folder.path().join("records/things.db")).unwrap();
    schema::add_functions(&connection).unwrap();
    (store, connection)
}

fn explained(connection: &Connection, sql: &str, params: &[Sql]) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

fn explained_way(connection: &Connection, way: &Way) -> String {
    let explain = |segment: &Segment| {
        let mut params = segment.params.clone();
        params.push(Sql::Integer(10));
        explained(connection, &segment.sql, &params)
    };
    let stream = |stream: &Vec<Segment>| stream.iter().map(explain).collect::<Vec<_>>().join(" | ");
    way.streams.iter().map(stream).collect::<Vec<_>>().join(" & ")
}

/// What answers a query: an index, an index within a budget and then columns, or columns.
fn plan(connection: &Connection, raw_query: &str, after: bool) -> (&'static str, String) {
    let definition = definition();
    let mut query = parsed(&definition, raw_query);
    if after {
        let order = query.order(&definition);
        let values = order.iter().map(|term| match definition.columns[term.column].kind {
            ColumnType::Text => Value::Text("k2".into()),
            ColumnType::Integer => Value::Integer(3),
            ColumnType::Money => Value::Money(3),
            ColumnType::Number => Value::Number(3.0),
            ColumnType::Date => Value::Date(date(2016, 12, 5)),
            ColumnType::Timestamp => Value::Timestamp(jiff::Timestamp::UNIX_EPOCH),
            ColumnType::Point => panic!("no index has points"),
        });
        query.after = Some(Position { version: 1, values: values.collect() });
    }
    let way = way::way(&definition, &Shape::of(&Arc::new(definition.clone()), 1), &query);
    let Some(way) = way else { return ("columns", String::new()) };
    let plan = explained_way(connection, &way);
    assert!(!plan.contains("TEMP B-TREE"), "{raw_query}: {plan}");
    let kind = match (way.complete, way.narrow) {
        (true, _) => "index",
        (false, true) => "index, then columns",
        (false, false) => "index for a moment, then columns",
    };
    (kind, plan.replace("COVERING ", ""))
}

#[test]
fn each_kind_of_query_has_its_plan() {
    let (_store, connection) = database();
    let (by_status, by_cost) = ("by:status:filed:number:record_id", "by:cost:number:record_id");
    let by = |index: &str, search: &str| format!("SEARCH records USING INDEX {index} ({search})");
    let by_key = |search: &str| by("by_key", search);
    let all = "SCAN records USING INDEX by_key".to_owned();
    let (index, then, moment) = ("index", "index, then columns", "index for a moment, then columns");
    let cases: &[(&str, &str, String)] = &[
        ("", index, all.clone()),
        ("number=k1", index, by_key("$key=?")),
        ("number=k1&record_id=1", index, by_key("$key=? AND $id=?")),
        ("number__startswith=k", index, by_key("$key>? AND $key<?")),
        // The key's order is not that of the index on the status and the filing date.
        ("status=filed", moment, all.clone()),
        ("status=filed&sort=-filed", index, by(by_status, "status=?")),
        (
            "status=filed&sort=filed",
            index,
            format!("{} | {}", by(by_status, "status=? AND filed>?"), by(by_status, "status=? AND filed=?")),
        ),
        ("status=filed&filed__gte=2016-01-01&sort=filed", index, by(by_status, "status=? AND filed>?")),
        (
            "status=filed&filed__between=2016-01-01,2017-01-01&sort=-filed&latitude__gt=3",
            then,
            by(by_status, "status=? AND filed>? AND filed<?"),
        ),
        ("status__isnull=true&sort=-filed", index, by(by_status, "status=?")),
        ("cost__gt=5&sort=cost", index, by(by_cost, "cost>?")),
        ("sort=-cost", index, format!("SCAN records USING INDEX {by_cost}")),
        ("cost__gt=5", moment, all.clone()),
        ("latitude__gt=5", moment, all.clone()),
        ("sort=latitude", "columns", String::new()),
        ("sort=-filed,cost", "columns", String::new()),
        ("status__in=filed,issued&sort=latitude", "columns", String::new()),
        // A list is looked up value by value.
        (
            "status__in=filed,issued&sort=-filed",
            index,
            format!("{} & {}", by(by_status, "status=?"), by(by_status, "status=?")),
        ),
        ("number__in=k1,k2", index, format!("{} & {}", by_key("$key=?"), by_key("$key=?"))),
        // So are alternatives with an index each.
        ("filter=number+%3D+k1+OR+cost+%3D+5", index, format!("{} & {}", by_key("$key=?"), by(by_cost, "cost=?"))),
        ("filter=status+%3D+filed+OR+cost+%3E+5", moment, all.clone()),
        ("filter=latitude+%3D+1+OR+cost+%3D+5", moment, all.clone()),
        ("status=filed&sort=-filed&filter=latitude+%3D+1+OR+units+%3D+5", then, by(by_status, "status=?")),
        ("filter=NOT+status+%3D+filed", moment, all.clone()),
        ("filter=NOT+(isnull(cost)+OR+cost+%3C+5)&sort=cost", then, by(by_cost, "cost>?")),
    ];
    for (raw_query, kind, expected) in cases {
        assert_eq!(plan(&connection, raw_query, false), (*kind, expected.clone()), "{raw_query}");
    }
}

#[test]
fn a_later_page_starts_where_the_last_one_ended() {
    let (_store, connection) = database();
    let cases: &[(&str, &str)] = &[
        ("", "SEARCH records USING INDEX by_key (($key,$id)>(?,?))"),
        ("number=k2", "SEARCH records USING INDEX by_key ($key=? AND $id>?)"),
        (
            "status=filed&sort=-filed",
            "SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND (filed,$key,$id)<(?,?,?)) | \
             SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND filed=?)",
        ),
        (
            "status=filed&filed__between=2016-01-01,2017-01-01&sort=filed",
            "SEARCH records USING INDEX by:status:filed:number:record_id \
             (status=? AND (filed,$key,$id)>(?,?,?) AND filed<?)",
        ),
        ("sort=-cost&cost__lt=50", "SEARCH records USING INDEX by:cost:number:record_id ((cost,$key,$id)<(?,?,?))"),
        ("number__startswith=k", "SEARCH records USING INDEX by_key (($key,$id)>(?,?) AND $key<?)"),
    ];
    for (raw_query, expected) in cases {
        assert_eq!(plan(&connection, raw_query, true), ("index", (*expected).to_owned()), "{raw_query}");
    }
}

#[test]
fn a_point_read_is_one_search() {
    let (_store, connection) = database();
    for (sql, search) in [(read::GET, "($key=?)"), (read::GET_ONE, "($key=? AND $id=?)")] {
        let params: Vec<Sql> = (0..sql.matches('?').count()).map(|_| Sql::Integer(1)).collect();
        let plan = explained(&connection, sql, &params);
        assert_eq!(plan, format!("SCAN state; SEARCH records USING INDEX by_key {search}"));
    }
}
