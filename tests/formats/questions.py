"""Puts questions to a data set and to DuckDB, which has the same rows, and compares what they find.

questions.py URL API_KEY DATA_SET VERSION...: says "done" when both find the same at each of these versions. The rows are the exports of those
versions as Parquet.
"""

import datetime
import decimal
import json
import math
import sys
import tempfile
import urllib.parse
import urllib.request

import duckdb

url, key, data_set, *versions = sys.argv[1:]
HAVERSINE = (
    "2 * 6371008.8 * asin(sqrt(pow(sin(radians(lat - {lat}) / 2), 2)"
    " + cos(radians({lat})) * cos(radians(lat)) * pow(sin(radians(lon - {lon}) / 2), 2)))"
)
NEAR = HAVERSINE.format(lat=37.77, lon=-122.42)
POLYGON = [(-122.43, 37.76), (-122.405, 37.765), (-122.41, 37.79), (-122.418, 37.772), (-122.432, 37.785)]


def asked(path, parameters):
    query = urllib.parse.urlencode(parameters)
    request = urllib.request.Request(f"{url}/{path}?{query}", headers={"x-api-key": key})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def words(*looked_for):
    """Whether a text has words that begin so, whatever their case and accents."""
    text = "lower(strip_accents(note))"
    return " AND ".join(f"regexp_matches({text}, '(^|[^a-z0-9]){word}')" for word in looked_for)


def inside():
    """Whether a place lies in the polygon: a line to the east crosses its edges an odd number of times."""
    crossings = []
    for (x1, y1), (x2, y2) in zip(POLYGON, POLYGON[1:] + POLYGON[:1]):
        at = f"{x1} + (lat - {y1}) * ({x2} - {x1}) / ({y2} - {y1})"
        crossings.append(f"CAST(({y1} > lat) <> ({y2} > lat) AND lon < {at} AS INTEGER)")
    return f"({' + '.join(crossings)}) % 2 = 1"


POLYGON_TEXT = "POLYGON ((" + ", ".join(f"{x} {y}" for x, y in POLYGON) + "))"
# What is asked of permitd, and the condition in SQL.
CONDITIONS = [
    ({}, "true"),
    ({"kind": "tree"}, "kind = 'tree'"),
    ({"kind__ne": "tree"}, "kind IS DISTINCT FROM 'tree'"),
    ({"kind__in": "tree,Bush"}, "kind IN ('tree', 'Bush')"),
    ({"kind__notin": "tree,Bush"}, "kind IS NULL OR kind NOT IN ('tree', 'Bush')"),
    ({"kind__isnull": "true"}, "kind IS NULL"),
    ({"kind__startswith": "Bu"}, "starts_with(kind, 'Bu')"),
    ({"note__contains": "OAK tr"}, "contains(lower(note), 'oak tr')"),
    ({"note__contains": "é"}, "contains(lower(note), 'é')"),
    ({"count_of_all__gt": "500"}, "count_of_all > 500"),
    ({"count_of_all__between": "-20,20"}, "count_of_all BETWEEN -20 AND 20"),
    ({"cost__lte": "100.05"}, "cost <= 100.05"),
    ({"size__lt": "-0.5"}, "size < -0.5"),
    ({"day__gte": "2020-03-01", "day__lt": "2021-01-01"}, "day >= DATE '2020-03-01' AND day < DATE '2021-01-01'"),
    ({"seen__gte": "2019-06-01T12:00:00Z"}, "seen >= TIMESTAMPTZ '2019-06-01 12:00:00+00'"),
    (
        {"filter": 'NOT (kind = "tree" OR cost > 500) AND (size < 0 OR note : "oak")'},
        "NOT (coalesce(kind = 'tree', false) OR coalesce(cost > 500, false)) AND (size < 0 OR contains(lower(note), 'oak'))",
    ),
    ({"q": "oak"}, words("oak")),
    ({"q": "OLD oa"}, words("old", "oa")),
    ({"q": "cafe", "kind": "tree"}, words("cafe") + " AND kind = 'tree'"),
    ({"q": "lighthouse"}, "false"),
    ({"near": "37.77,-122.42,1500m"}, f"{NEAR} <= 1500"),
    ({"near": "37.77,-122.42,1mi", "kind": "tree"}, f"{NEAR} <= 1609.344 AND kind = 'tree'"),
    ({"bbox": "-122.43,37.76,-122.41,37.78"}, "lon BETWEEN -122.43 AND -122.41 AND lat BETWEEN 37.76 AND 37.78"),
    ({"within": POLYGON_TEXT}, inside()),
    ({"location__isnull": "true"}, "lat IS NULL"),
]
ORDERS = [
    ({}, "name"),
    ({"sort": "kind,-cost"}, "kind NULLS LAST, cost DESC NULLS LAST, name DESC"),
    ({"sort": "-count_of_all"}, "count_of_all DESC NULLS LAST, name DESC"),
    ({"sort": "size"}, "size NULLS LAST, name"),
    ({"sort": "-day,kind"}, "day DESC NULLS LAST, kind NULLS LAST, name"),
    ({"sort": "-seen"}, "seen DESC NULLS LAST, name DESC"),
]
# Groups: what is asked, the keys in SQL, and the measures.
GROUPS = [
    ("kind", ["kind"], "count", ["count(*)"]),
    (
        "kind,year(day)",
        ["kind", "year(day)"],
        "count,sum(cost),mean(cost),min(cost),max(cost),median(cost),distinct(cost),count(cost)",
        ["count(*)", "sum(cost)", "avg(cost)", "min(cost)", "max(cost)", "median(CAST(cost AS DECIMAL(20,3)))", "count(DISTINCT cost)", "count(cost)"],
    ),
    ("month(day)", ["strftime(day, '%Y-%m')"], "mean(size),median(count_of_all)", ["avg(size)", "median(count_of_all)"]),
    ("quarter(day)", ["strftime(day, '%Y') || '-Q' || quarter(day)"], "max(day)", ["max(day)"]),
    ("week(day)", ["strftime(day, '%G-W%V')"], "count", ["count(*)"]),
    ("weekday(day)", ["isodow(day)"], "distinct(kind)", ["count(DISTINCT kind)"]),
    ("hour(seen)", ["strftime(seen, '%Y-%m-%dT%H:00:00Z')"], "count,sum(count_of_all)", ["count(*)", "sum(count_of_all)"]),
    ("day(seen)", ["strftime(seen, '%Y-%m-%d')"], "count", ["count(*)"]),
    ("bin(cost,250)", ["floor(cost / 250) * 250"], "count", ["count(*)"]),
    ("bin(count_of_all,100),kind", ["floor(count_of_all / 100.0) * 100", "kind"], "sum(cost)", ["sum(cost)"]),
]


def same_names(parameters, wanted):
    lines = asked(data_set, {**parameters, "format": "ndjson", "select": "name"}).decode().splitlines()
    got = [json.loads(line)["name"] for line in lines]
    assert len(got) == len(wanted), f"{parameters}: {len(got)} records, not {len(wanted)}"
    others = [(place, *pair) for place, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]]
    assert not others, f"{parameters}: {others[:5]}"


def same_value(left, right):
    if isinstance(right, (datetime.date, datetime.datetime)):
        return left == right.isoformat()
    if left is None or right is None or isinstance(right, str):
        return left == right
    if isinstance(right, float):
        # A mean of amounts is rounded to cents.
        return math.isclose(float(left), right, rel_tol=1e-9, abs_tol=0.005000001)
    return decimal.Decimal(str(left)) == decimal.Decimal(str(right))


def same_rows(what, got, wanted):
    assert len(got) == len(wanted), f"{what}: {len(got)} rows, not {len(wanted)}"
    for left, right in zip(got, wanted):
        alike = len(left) == len(right) and all(same_value(*pair) for pair in zip(left, right))
        assert alike, f"{what}: {left} is not {right}"


def compared(version):
    """Asks everything at one version; the number of questions."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = 0
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(asked(data_set, {"format": "parquet", "as_of": version}))
        file.flush()
        columns = "* EXCLUDE location, location.x AS lon, location.y AS lat"
        connection.execute(f"CREATE TABLE rows AS SELECT {columns} FROM read_parquet('{file.name}')")

    def sql(columns, condition, rest):
        return connection.execute(f"SELECT {columns} FROM rows WHERE {condition} {rest}").fetchall()

    for parameters, condition in CONDITIONS:
        wanted = [name for name, in sql("name", condition, "ORDER BY name")]
        same_names({**parameters, "as_of": version}, wanted)
        page = json.loads(asked(data_set, {**parameters, "as_of": version, "limit": 1, "count": "exact"}))
        assert page["page"]["count"] == len(wanted), f"{parameters} as of {version}: {page['page']}"
        found += bool(wanted)
        for keys, keys_sql, measures, measures_sql in GROUPS[:2]:
            same_groups(sql, version, parameters, condition, (keys, keys_sql, measures, measures_sql))
    assert found >= len(CONDITIONS) - 1, found
    for parameters, order in ORDERS:
        for more, condition in [({}, "true"), ({"kind": "tree"}, "kind = 'tree'"), ({"q": "oak"}, words("oak"))]:
            wanted = [name for name, in sql("name", condition, f"ORDER BY {order}")]
            same_names({**parameters, **more, "as_of": version}, wanted)
    for sort, direction in [("distance", "ASC"), ("-distance", "DESC")]:
        wanted = [name for name, in sql("name", f"{NEAR} <= 2000", f"ORDER BY round({NEAR} * 100) {direction}, name")]
        same_names({"near": "37.77,-122.42,2km", "sort": sort, "as_of": version}, wanted)
    for group in GROUPS:
        same_groups(sql, version, {}, "true", group)
    having = {"having": "count > 20 AND sum_cost > 1000", "sort": "-sum_cost"}
    got = json.loads(
        asked(f"{data_set}/groups", {"by": "kind", "measure": "count,sum(cost)", "as_of": version, **having}),
        parse_float=decimal.Decimal,
    )["groups"]
    wanted = sql(
        "kind, count(*), sum(cost)",
        "true",
        "GROUP BY kind HAVING count(*) > 20 AND sum(cost) > 1000 ORDER BY sum(cost) DESC",
    )
    same_rows(f"having, as of {version}", [tuple(group.values()) for group in got], wanted)
    return len(sql("name", "true", ""))


def same_groups(sql, version, parameters, condition, group):
    keys, keys_sql, measures, measures_sql = group
    wanted = sql(
        ", ".join(keys_sql + measures_sql),
        condition,
        f"GROUP BY {', '.join(keys_sql)} ORDER BY {', '.join(f'{key} NULLS LAST' for key in keys_sql)}",
    )
    question = {**parameters, "by": keys, "measure": measures, "limit": 1000, "as_of": version}
    got = json.loads(asked(f"{data_set}/groups", question), parse_float=decimal.Decimal)["groups"]
    same_rows(f"groups by {keys} of {parameters} as of {version}", [tuple(group.values()) for group in got], wanted)


rows = [compared(version) for version in versions]
assert len(set(rows)) == len(rows), f"each version has other rows: {rows}"
print("done")
