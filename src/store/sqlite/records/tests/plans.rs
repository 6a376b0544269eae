//! SQLite's plans for the statements: the named index, searched on the intended columns, and no sort if the index has the order.

use rusqlite::{Connection, params_from_iter, types::Value as Sql};

use super::{
    super::{
        lane::Shape,
        read, schema,
        statement::Segment,
        way::{self, Way, WayStream},
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

fn explained_way(connection: &Connection, way: &Way) -> Vec<String> {
    let explain = |segment: &Segment| {
        let mut params = segment.params.clone();
        params.push(Sql::Integer(10));
        explained(connection, &segment.sql, &params)
    };
    let stream = |stream: &WayStream| stream.segments.iter().map(explain).collect::<Vec<_>>().join(" | ");
    way.streams.iter().map(stream).collect()
}

/// The plans of the statements of each way.
fn plans(connection: &Connection, raw_query: &str, after: bool) -> Vec<String> {
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
        });
        query.after = Some(Position { version: 1, values: values.collect() });
    }
    let explain = |way: &Way| {
        let plan = explained_way(connection, way).join(" & ");
        assert_eq!(way.ordered, !plan.contains("TEMP B-TREE"), "{raw_query}: {plan}");
        plan.replace("USE TEMP B-TREE FOR ORDER BY", "sort").replace("COVERING ", "")
    };
    way::ways(&definition, &Shape::of(&Arc::new(definition.clone()), 1), &query, None).iter().map(explain).collect()
}

#[test]
fn each_kind_of_query_has_its_plan() {
    let (_store, connection) = database();
    let cases: &[(&str, &[&str])] = &[
        ("", &["SCAN records USING INDEX by_key"]),
        ("number=k1", &["SEARCH records USING INDEX by_key ($key=?)"]),
        ("number=k1&record_id=1", &["SEARCH records USING INDEX by_key ($key=? AND $id=?)"]),
        ("number__startswith=k", &["SEARCH records USING INDEX by_key ($key>? AND $key<?)"]),
        // The key's order is not that of the index on the status and the filing date.
        (
            "status=filed",
            &[
                "SEARCH records USING INDEX by:status:filed:number:record_id (status=?); sort",
                "SCAN records USING INDEX by_key",
            ],
        ),
        ("status=filed&sort=-filed", &["SEARCH records USING INDEX by:status:filed:number:record_id (status=?)"]),
        (
            "status=filed&sort=filed",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND filed>?) | \
               SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND filed=?)"],
        ),
        (
            "status=filed&filed__gte=2016-01-01&sort=filed",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND filed>?)"],
        ),
        (
            "status=filed&filed__between=2016-01-01,2017-01-01&sort=-filed&latitude__gt=3",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND filed>? AND filed<?)"],
        ),
        (
            "status__isnull=true&sort=-filed",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=?)"],
        ),
        ("cost__gt=5&sort=cost", &["SEARCH records USING INDEX by:cost:number:record_id (cost>?)"]),
        ("sort=-cost", &["SCAN records USING INDEX by:cost:number:record_id"]),
        (
            "cost__gt=5",
            &["SEARCH records USING INDEX by:cost:number:record_id (cost>?); sort", "SCAN records USING INDEX by_key"],
        ),
        ("latitude__gt=5", &["SCAN records; sort", "SCAN records USING INDEX by_key"]),
        ("sort=latitude", &["SCAN records; sort"]),
        ("sort=-filed,cost", &["SCAN records; sort"]),
        (
            "status__in=filed,issued&sort=latitude",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=?); sort"],
        ),
        // A list is looked up value by value if that gives the order.
        (
            "status__in=filed,issued&sort=-filed",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=?) & \
               SEARCH records USING INDEX by:status:filed:number:record_id (status=?)"],
        ),
        (
            "number__in=k1,k2",
            &["SEARCH records USING INDEX by_key ($key=?) & SEARCH records USING INDEX by_key ($key=?)"],
        ),
        // So are alternatives with an index each.
        (
            "filter=number+%3D+k1+OR+cost+%3D+5",
            &[
                "SEARCH records USING INDEX by_key ($key=?) & SEARCH records USING INDEX by:cost:number:record_id (cost=?)",
            ],
        ),
        (
            "filter=status+%3D+filed+OR+cost+%3E+5",
            &[
                "SEARCH records USING INDEX by:status:filed:number:record_id (status=?); sort & \
                 SEARCH records USING INDEX by:cost:number:record_id (cost>?); sort",
                "SCAN records USING INDEX by_key",
            ],
        ),
        ("filter=latitude+%3D+1+OR+cost+%3D+5", &["SCAN records; sort", "SCAN records USING INDEX by_key"]),
        (
            "status=filed&sort=-filed&filter=latitude+%3D+1+OR+units+%3D+5",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=?)"],
        ),
        ("filter=NOT+status+%3D+filed", &["SCAN records; sort", "SCAN records USING INDEX by_key"]),
        (
            "filter=NOT+(isnull(cost)+OR+cost+%3C+5)&sort=cost",
            &["SEARCH records USING INDEX by:cost:number:record_id (cost>?)"],
        ),
    ];
    for (raw_query, expected) in cases {
        assert_eq!(plans(&connection, raw_query, false), *expected, "{raw_query}");
    }
}

#[test]
fn a_later_page_starts_where_the_last_one_ended() {
    let (_store, connection) = database();
    let cases: &[(&str, &[&str])] = &[
        ("", &["SEARCH records USING INDEX by_key (($key,$id)>(?,?))"]),
        ("number=k2", &["SEARCH records USING INDEX by_key ($key=? AND $id>?)"]),
        (
            "status=filed&sort=-filed",
            &["SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND (filed,$key,$id)<(?,?,?)) | \
               SEARCH records USING INDEX by:status:filed:number:record_id (status=? AND filed=?)"],
        ),
        (
            "status=filed&filed__between=2016-01-01,2017-01-01&sort=filed",
            &["SEARCH records USING INDEX by:status:filed:number:record_id \
               (status=? AND (filed,$key,$id)>(?,?,?) AND filed<?)"],
        ),
        ("sort=-cost&cost__lt=50", &["SEARCH records USING INDEX by:cost:number:record_id ((cost,$key,$id)<(?,?,?))"]),
        ("number__startswith=k", &["SEARCH records USING INDEX by_key (($key,$id)>(?,?) AND $key<?)"]),
        ("sort=latitude", &["SCAN records; sort"]),
    ];
    for (raw_query, expected) in cases {
        assert_eq!(plans(&connection, raw_query, true), *expected, "{raw_query}");
    }
}

#[test]
fn an_earlier_version_is_read_by_the_same_indexes() {
    let (_store, connection) = database();
    let definition = definition();
    let shape = Shape::of(&Arc::new(definition.clone()), 1);
    let cases: &[(&str, &str)] = &[
        ("", "SCAN records USING INDEX by_key & SCAN old USING INDEX old:by_key"),
        (
            "status=filed&sort=-filed",
            "SEARCH records USING INDEX by:status:filed:number:record_id (status=?) & \
             SEARCH old USING INDEX old:by:status:filed:number:record_id (status=?)",
        ),
        ("sort=latitude", "SCAN records; sort & SCAN old; sort"),
    ];
    for (raw_query, expected) in cases {
        let ways = way::ways(&definition, &shape, &parsed(&definition, raw_query), Some(1));
        let plan = explained_way(&connection, &ways[0]).join(" & ");
        let plan = plan.replace("USE TEMP B-TREE FOR ORDER BY", "sort").replace("COVERING ", "");
        // The values of a replaced record are in its change.
        let plan =
            plan.replace("; CORRELATED SCALAR SUBQUERY 1; SEARCH changes USING INTEGER PRIMARY KEY (rowid=?)", "");
        assert_eq!(plan, *expected, "{raw_query}");
    }
}

#[test]
fn counting_and_summing_up_read_no_more_than_an_index_where_it_has_all() {
    let (_store, connection) = database();
    let definition = definition();
    let shape = Shape::of(&Arc::new(definition.clone()), 1);
    let cases: &[(&str, &[usize], &str)] = &[
        ("status=filed", &[], "SEARCH records USING COVERING INDEX by:status:filed:number:record_id (status=?)"),
        ("filed__gt=2016-12-01", &[], "SCAN records USING COVERING INDEX by:status:filed:number:record_id"),
        ("status=filed", &[4], "SEARCH records USING INDEX by:status:filed:number:record_id (status=?)"),
        ("", &[4], "SCAN records USING COVERING INDEX by:cost:number:record_id"),
        ("latitude__gt=3", &[], "SCAN records"),
    ];
    for (raw_query, columns, expected) in cases {
        let filter = parsed(&definition, raw_query).filter;
        let matching = way::matching(&definition, &shape, &filter, columns, (schema::RecordTable::Records, None));
        let names: Vec<&str> = columns.iter().map(|column| shape.name(*column)).collect();
        let sql = format!(
            "SELECT count(*){}{}",
            names.iter().map(|name| format!(", sum({name})")).collect::<String>(),
            matching.sql
        );
        assert_eq!(explained(&connection, &sql, &matching.params), *expected, "{raw_query}");
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
