"""Reads the places of a data set as people do who have these libraries, and compares them with its NDJSON.

places.py URL API_KEY DATA_SET: says "done" when every reader reads the same coordinates of the column `location`.
"""

import io
import json
import sys
import urllib.request

import duckdb
import openpyxl
import pandas
import polars
import pyarrow
import pyarrow.ipc
import pyarrow.parquet

url, key, data_set = sys.argv[1:]
HEADERS = {"x-api-key": key}


def address(query):
    return f"{url}/{data_set}?select=name,location&{query}"


def fetched(query):
    with urllib.request.urlopen(urllib.request.Request(address(query), headers=HEADERS)) as answer:
        return answer.read()


def same(what, got):
    assert got == expected, f"{what}: {next(pair for pair in zip(got, expected) if pair[0] != pair[1])}"


def pair(place):
    """Longitude and latitude of what a reader makes of a place."""
    return None if place is None else (place["x"], place["y"])


def well_known_text(text):
    return tuple(float(part) for part in text.removeprefix("POINT (").removesuffix(")").split()) if text else None


records = [json.loads(line) for line in fetched("format=ndjson").splitlines()]
expected = [None if record["location"] is None else tuple(record["location"]["coordinates"]) for record in records]
assert None in expected and len(set(expected)) > 100

file, stream = fetched("format=parquet"), fetched("format=arrow")
table = pyarrow.parquet.read_table(io.BytesIO(file))
same("parquet by pyarrow", [pair(place) for place in table["location"].to_pylist()])
said = json.loads(pyarrow.parquet.ParquetFile(io.BytesIO(file)).metadata.metadata[b"geo"])
assert said["primary_column"] == "location" and said["columns"]["location"]["encoding"] == "point", said
table = pyarrow.ipc.open_stream(stream).read_all()
same("arrow by pyarrow", [pair(place) for place in table["location"].to_pylist()])
assert table.schema.field("location").metadata[b"ARROW:extension:name"] == b"geoarrow.point", table.schema

frame = pandas.read_parquet(address("format=parquet"), storage_options=HEADERS)
same("pandas", [pair(place) for place in frame["location"]])
same("polars", [pair(place) for place in polars.read_parquet(io.BytesIO(file))["location"].to_list()])
same("polars, arrow", [pair(place) for place in polars.read_ipc_stream(io.BytesIO(stream))["location"].to_list()])
connection = duckdb.connect()
connection.register("batches", table)
same("DuckDB", [None if x is None else (x, y) for x, y in connection.execute("SELECT location.x, location.y FROM batches").fetchall()])

frame = pandas.read_csv(address("format=csv"), storage_options=HEADERS, dtype=str, keep_default_na=False)
same("CSV", [well_known_text(text) for text in frame["location"]])
_, *rows = openpyxl.load_workbook(io.BytesIO(fetched("format=xlsx"))).active.iter_rows(values_only=True)
same("a workbook", [well_known_text(row[1]) for row in rows])
features = json.loads(fetched("format=geojson"))["features"]
same("GeoJSON", [None if one["geometry"] is None else tuple(one["geometry"]["coordinates"]) for one in features])

print("done")
