"""Answers questions in SQL by DuckDB: in this process, with one thread. The bench starts it (benches/goals/asks/duckdb.rs).

It reads one JSON document a line, and writes one a line for each:

    {"load": ["CREATE TABLE ...", ...]}                      {"loaded": true}
    {"ask": ["SELECT ...", ...], "times": 25, "seconds": 2}  {"median_ms": 1.5, "answers": [{"rows": 100, "first": {"status": "issued"}}]}

Several statements are one question: its time is that of all of them. All rows are fetched as values of Python. The first run of a question is
not measured. `first` has the columns of the first row as texts, null where they are null. What fails is {"error": "..."}.
"""

import json
import statistics
import sys
import time

import duckdb


def answer_of(connection, statement):
    """Runs one statement and fetches all of its rows."""
    cursor = connection.execute(statement)
    return cursor.description, cursor.fetchall()


def shown(description, rows):
    """How many rows there are, and the first of them."""
    cells = zip(description, rows[0]) if rows else ()
    first = {column[0]: None if value is None else str(value) for column, value in cells}
    return {"rows": len(rows), "first": first}


def asked(connection, statements, times, seconds):
    """The median of several runs, and what the statements found."""
    answers = [shown(*answer_of(connection, statement)) for statement in statements]
    took_ms, begun = [], time.perf_counter()
    while len(took_ms) < times and (not took_ms or time.perf_counter() - begun < seconds):
        started = time.perf_counter()
        for statement in statements:
            answer_of(connection, statement)
        took_ms.append((time.perf_counter() - started) * 1000)
    return {"median_ms": statistics.median_low(took_ms), "answers": answers}


def main():
    """Answers until the input ends."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET threads = 1")
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if "load" in order:
                for statement in order["load"]:
                    connection.execute(statement)
                answer = {"loaded": True}
            else:
                answer = asked(connection, order["ask"], order["times"], order["seconds"])
        except duckdb.Error as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
