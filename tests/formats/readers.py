"""Reads exports of a data set as people do who have these libraries, and compares them with its NDJSON.

readers.py URL API_KEY DATA_SET: says "done" when every reader reads the same values, of the types that are promised.
"""

import datetime
import decimal
import io
import json
import sys
import tempfile
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
# The columns by their types.
TEXTS, WHOLES, AMOUNTS, NUMBERS, DAYS, MOMENTS = ["name", "note"], ["record_id", "count_of_all"], ["cost"], ["size"], ["day"], ["seen"]
COLUMNS = ["name", "record_id", "count_of_all", "cost", "size", "day", "seen", "note"]


def address(query):
    return f"{url}/{data_set}?{query}"


def fetched(query):
    with urllib.request.urlopen(urllib.request.Request(address(query), headers=HEADERS)) as answer:
        return answer.read()


def moment(text):
    return datetime.datetime.fromisoformat(text)


def value(name, shown):
    """A value of NDJSON with numbers=text, as Python has it."""
    if shown is None or name in TEXTS:
        return shown
    if name in NUMBERS:
        return float(shown)
    if name in WHOLES:
        return int(shown)
    if name in AMOUNTS:
        return decimal.Decimal(shown)
    return datetime.date.fromisoformat(shown) if name in DAYS else moment(shown)


def expected(query=""):
    lines = fetched(f"format=ndjson&numbers=text{query}").decode().splitlines()
    return [{name: value(name, shown) for name, shown in json.loads(line).items()} for line in lines]


def same(what, got, wanted):
    assert len(got) == len(wanted), f"{what}: {len(got)} rows, not {len(wanted)}"
    for row, (left, right) in enumerate(zip(got, wanted)):
        assert left.keys() == right.keys(), f"{what}: {left.keys()}"
        for name in right:
            # Also the sign of zero, and the cents that are zero.
            is_same = type(left[name]) is type(right[name]) and repr(left[name]) == repr(right[name])
            if name in MOMENTS and left[name] is not None:
                is_same = left[name] == right[name] and left[name].utcoffset() == datetime.timedelta()
            assert is_same, f"{what}, row {row}, {name}: {left[name]!r} is not {right[name]!r}"


def of_arrow(table):
    return [{name: row[name] for name in table.column_names} for row in table.to_pylist()]


def types_of_arrow(what, schema):
    wanted = {
        **dict.fromkeys(TEXTS, pyarrow.string()),
        **dict.fromkeys(WHOLES, pyarrow.int64()),
        **dict.fromkeys(AMOUNTS, pyarrow.decimal128(19, 2)),
        **dict.fromkeys(NUMBERS, pyarrow.float64()),
        **dict.fromkeys(DAYS, pyarrow.date32()),
        **dict.fromkeys(MOMENTS, pyarrow.timestamp("us", tz="UTC")),
    }
    assert schema.names == COLUMNS, f"{what}: {schema.names}"
    for field in schema:
        assert field.type == wanted[field.name] and field.nullable, f"{what}: {field}"


records = expected()
assert len(records) > 5
parquet, arrow = fetched("format=parquet"), fetched("format=arrow")

# pyarrow, which says all that the files say.
table = pyarrow.parquet.read_table(io.BytesIO(parquet))
types_of_arrow("parquet", table.schema)
same("parquet by pyarrow", of_arrow(table), records)
stream = pyarrow.ipc.open_stream(arrow).read_all()
types_of_arrow("arrow", stream.schema)
same("arrow by pyarrow", of_arrow(stream), records)
metadata = pyarrow.parquet.ParquetFile(io.BytesIO(parquet)).metadata
assert metadata.row_group(0).column(0).compression == "ZSTD"
counts = metadata.row_group(0).column(COLUMNS.index("count_of_all")).statistics
assert counts.min == min(r["count_of_all"] for r in records if r["count_of_all"] is not None), counts
for cut in [len(arrow) - 1, len(arrow) - 9, len(arrow) // 2]:
    try:
        pyarrow.ipc.open_stream(arrow[:cut]).read_all()
    except (pyarrow.ArrowInvalid, OSError, EOFError):
        continue
    # Without the mark at the end alone, the stream is whole for this reader.
    assert cut > len(arrow) - 9, f"a stream that is cut after {cut} bytes is taken for whole"
for cut in [len(parquet) - 1, len(parquet) // 2]:
    try:
        pyarrow.parquet.read_table(io.BytesIO(parquet[:cut]))
    except (pyarrow.ArrowInvalid, OSError):
        continue
    raise AssertionError("a file that is cut is taken for whole")

# pandas over HTTP, with the key in a header.
frame = pandas.read_parquet(address("format=parquet"), storage_options=HEADERS)
assert str(frame["seen"].dtype) == "datetime64[us, UTC]", frame.dtypes
assert str(frame["size"].dtype) == "float64", frame.dtypes
assert [None if pandas.isna(cost) else cost for cost in frame["cost"]] == [r["cost"] for r in records], frame["cost"]
assert sum(cost for cost in frame["cost"] if not pandas.isna(cost)) == sum(r["cost"] for r in records if r["cost"] is not None)
assert [None if pandas.isna(day) else day for day in frame["day"]] == [r["day"] for r in records]
assert [None if pandas.isna(at) else at.to_pydatetime() for at in frame["seen"]] == [r["seen"] for r in records]
assert [None if pandas.isna(text) else text for text in frame["note"]] == [r["note"] for r in records]
typed = pandas.read_parquet(address("format=parquet"), storage_options=HEADERS, dtype_backend="pyarrow")
assert [None if pandas.isna(n) else int(n) for n in typed["count_of_all"]] == [r["count_of_all"] for r in records]
few = pandas.read_parquet(address("format=parquet&select=cost,name&sort=-cost&limit=3"), storage_options=HEADERS)
assert list(few.columns) == ["cost", "name"] and len(few) == 3
most = sorted((r["cost"] for r in records if r["cost"] is not None), reverse=True)[:3]
assert list(few["cost"]) == most, few

# polars.
for what, frame in [("parquet", polars.read_parquet(io.BytesIO(parquet))), ("arrow", polars.read_ipc_stream(io.BytesIO(arrow)))]:
    assert frame.columns == COLUMNS
    assert frame.schema["cost"] == polars.Decimal(19, 2) and frame.schema["count_of_all"] == polars.Int64, frame.schema
    assert frame.schema["seen"] == polars.Datetime("us", "UTC") and frame.schema["day"] == polars.Date, frame.schema
    same(f"{what} by polars", frame.to_dicts(), records)

# DuckDB, from a file and from memory.
with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
    file.write(parquet)
    file.flush()
    connection = duckdb.connect()
    # Before the first question: a connection takes nothing else while it answers one.
    connection.register("batches", stream)
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{file.name}')").fetchall()
    types = {name: kind for name, kind, *_ in described}
    assert types["cost"] == "DECIMAL(19,2)" and types["count_of_all"] == "BIGINT", types
    assert types["seen"] == "TIMESTAMP WITH TIME ZONE" and types["day"] == "DATE", types
    assert types["size"] == "DOUBLE" and types["note"] == "VARCHAR", types
    rows = connection.execute(f"SELECT * EXCLUDE seen, epoch_us(seen) AS seen FROM read_parquet('{file.name}')").fetchall()
    names = [column for column in COLUMNS if column != "seen"] + ["seen"]
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    microsecond = datetime.timedelta(microseconds=1)
    for row, record in zip(rows, records, strict=True):
        wanted = [record[name] for name in names[:-1]]
        wanted.append(None if record["seen"] is None else (record["seen"] - epoch) // microsecond)
        assert list(row) == wanted, f"{row} is not {wanted}"
    total = connection.execute(f"SELECT sum(cost) FROM read_parquet('{file.name}')").fetchall()[0][0]
    assert total == sum(r["cost"] for r in records if r["cost"] is not None), total
    grouped = connection.execute(f"SELECT count(*) FROM read_parquet('{file.name}') WHERE cost >= 0").fetchall()[0][0]
    assert grouped == sum(1 for r in records if r["cost"] is not None and r["cost"] >= 0)
assert connection.execute("SELECT count(*), sum(cost) FROM batches").fetchall() == [(len(records), total)]

# Whole numbers and amounts as texts.
texts = pyarrow.parquet.read_table(io.BytesIO(fetched("format=parquet&numbers=text"))).to_pylist()
for row, record in zip(texts, records, strict=True):
    for name in WHOLES + AMOUNTS:
        assert row[name] == (None if record[name] is None else str(record[name])), (name, row)

# Nothing that matches.
none = polars.read_parquet(io.BytesIO(fetched("format=parquet&name=nobody")))
assert none.height == 0 and none.columns == COLUMNS
assert pyarrow.ipc.open_stream(fetched("format=arrow&name=nobody")).read_all().num_rows == 0

# A workbook, by openpyxl.
sheet = openpyxl.load_workbook(io.BytesIO(fetched("format=xlsx"))).active
assert sheet.title == data_set and sheet.freeze_panes == "A2"
assert sheet.auto_filter.ref == f"A1:H{len(records) + 1}", sheet.auto_filter.ref
head, *rows = sheet.iter_rows()
assert [cell.value for cell in head] == COLUMNS and all(cell.font.bold for cell in head)
assert all(width.width > 5 for width in sheet.column_dimensions.values())
EXCEL_FIRST, EXCEL_LAST = datetime.date(1900, 3, 1), datetime.date(9999, 12, 31)
for row, record in zip(rows, records, strict=True):
    for cell, name in zip(row, COLUMNS, strict=True):
        wanted, shown = record[name], cell.value
        where = f"{name} of {record['name']}: {cell.data_type} {shown!r} is not {wanted!r}"
        assert cell.data_type != "f", where
        if wanted is None:
            assert shown is None, where
        elif name in TEXTS:
            assert cell.data_type == "s" and openpyxl.utils.escape.unescape(shown) == wanted, where
        elif name in WHOLES + AMOUNTS:
            digits = str(wanted).replace("-", "").replace(".", "").lstrip("0")
            if len(digits) > 15:
                assert cell.data_type == "s" and shown == str(wanted), where
            else:
                exact = decimal.Decimal(repr(shown)).quantize(decimal.Decimal("0.01"))
                assert cell.data_type == "n" and exact == wanted, where
                assert name in WHOLES or cell.number_format == "0.00", where
        elif name in NUMBERS:
            assert shown == wanted or cell.data_type == "s" and float(shown) == wanted, where
        elif name in DAYS:
            if EXCEL_FIRST <= wanted <= EXCEL_LAST:
                assert cell.is_date and shown.date() == wanted, where
            else:
                assert cell.data_type == "s" and shown == wanted.isoformat(), where
        elif EXCEL_FIRST <= wanted.date() <= EXCEL_LAST and wanted.microsecond % 1000 == 0:
            assert cell.is_date and shown.replace(tzinfo=datetime.timezone.utc) == wanted, where
        else:
            assert cell.data_type == "s" and moment(shown) == wanted, where
by_pandas = pandas.read_excel(address("format=xlsx"), storage_options=HEADERS, dtype={"name": str})
assert list(by_pandas.columns) == COLUMNS and list(by_pandas["name"]) == [r["name"] for r in records]

# CSV with another delimiter.
for delimiter, character in [("semicolon", ";"), ("tab", "\t"), ("pipe", "|"), ("comma", ",")]:
    frame = pandas.read_csv(
        address(f"format=csv&delimiter={delimiter}"), sep=character, storage_options=HEADERS, dtype=str, keep_default_na=False
    )
    assert list(frame.columns) == COLUMNS and list(frame["note"]) == [r["note"] or "" for r in records], delimiter

print("done")
