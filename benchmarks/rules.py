"""`python -m benchmarks.rules`: what each optimiser rule wins, as the ratio of a statement as written to rewritten.

Six million rows in the order of their dates, in a table and in Parquet with groups of 20,000 rows; both texts run in
turn on one connection, the medians are compared. A rule that does not win on either side has no place in `RULES`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from neurolake.optimizer import RULES, Context, optimise

ROWS = 6_000_000
QUICK_ROWS = 300_000
ROUNDS = 7
GROUP_ROWS = 20_000

_LISTED = ", ".join(str(value * 2999) for value in range(2000))
_CHAIN = " OR ".join(f"k = {value * 7919}" for value in range(200))

STATEMENTS = {
    "case_condition": "SELECT count(*), max(v) FROM {t} WHERE CASE WHEN d >= DATE '1995-03-01' THEN 1 ELSE 0 END = 1 "
    "AND CASE WHEN d < DATE '1995-03-08' THEN TRUE ELSE FALSE END",
    "integer_text": "SELECT count(*), max(v) FROM {t} WHERE id::VARCHAR IN ('123456', '3456789')",
    "or_to_in": f"SELECT count(*), max(v) FROM {{t}} WHERE {_CHAIN}",
    "strftime_range": "SELECT count(*), max(v) FROM {t} WHERE strftime(d, '%Y-%m') = '1995-03'",
    "text_prefix": "SELECT count(*), max(v) FROM {t} WHERE ts::VARCHAR LIKE '1995-03%'",
    "day_shift": "SELECT count(*), max(v) FROM {t} WHERE ts + INTERVAL 30 DAY > DATE '1998-08-01'",
    "date_diff": "SELECT count(*), max(v) FROM {t} WHERE date_diff('month', ts, DATE '1995-08-02') = 2",
    "calendar_range": "SELECT count(*), max(v) FROM {t} WHERE ts::DATE IN (DATE '1995-03-01', DATE '1996-03-01')",
    "make_date": "SELECT count(*), max(v) FROM {t} WHERE make_date(y, m, 1) = DATE '1995-03-01'",
    "long_list": f"SELECT count(*), max(v) FROM {{t}} WHERE id NOT IN ({_LISTED})",
    "distinct_group": "SELECT count(*), max(n) FROM (SELECT DISTINCT k, count(*) AS n FROM {t} GROUP BY k)",
    "subquery_order": "SELECT count(*), max(v) FROM (SELECT * FROM {t} ORDER BY v, k)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a rule and side; 1 when a rule loses on both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows: does it all work?")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        connection, sides = _data(Path(folder), QUICK_ROWS if given.quick else ROWS)
        losers = [rule.name for rule in RULES if not _wins(connection, rule.name, sides)]
        connection.close()
    if losers:
        print("no gain:", ", ".join(losers))
    return 1 if losers and not given.quick else 0


def _data(folder: Path, rows: int) -> tuple[duckdb.DuckDBPyConnection, dict[str, str]]:
    connection = duckdb.connect(str(folder / "rules.duckdb"))
    connection.execute(
        "CREATE TABLE t AS SELECT DATE '1992-01-01' + (i * 2400 // ?)::INTEGER AS d, "
        "TIMESTAMP '1992-01-01' + to_microseconds(i * (2400 * 86400000000 // ?)) AS ts, i AS id, year(d) AS y, "
        "month(d) AS m, (hash(i) % 1000000)::INTEGER AS k, (hash(i + 1) % 100000)::INTEGER AS v FROM range(?) r(i)",
        [rows, rows, rows],
    )
    parquet = folder / "t.parquet"
    connection.execute(f"COPY t TO '{parquet}' (ROW_GROUP_SIZE {GROUP_ROWS})")
    return connection, {"table": "t", "parquet": f"read_parquet('{parquet}')"}


def _wins(connection: duckdb.DuckDBPyConnection, rule: str, sides: dict[str, str]) -> bool:
    types = {"d": "DATE", "ts": "TIMESTAMP", "id": "BIGINT", "y": "BIGINT", "m": "BIGINT", "k": "INTEGER"}
    won = False
    for side, relation in sides.items():
        written = STATEMENTS[rule].format(t=relation)
        done = optimise(written, Context(describe=lambda _: types))
        if rule not in done.fired:
            print(f"{rule:<16}{side:<9}did not fire")
            continue
        before, after = _medians(connection, written, done.text)
        won = won or before > after
        print(f"{rule:<16}{side:<9}{before * 1e3:8.1f} ms →{after * 1e3:8.1f} ms   {before / after:6.1f} ×")
    return won


def _medians(connection: duckdb.DuckDBPyConnection, written: str, rewritten: str) -> tuple[float, float]:
    times: dict[str, list[float]] = {written: [], rewritten: []}
    answers = set()
    for _ in range(ROUNDS):
        for text, taken in times.items():
            began = time.perf_counter()
            answers.add(tuple(connection.execute(text).fetchall()))
            taken.append(time.perf_counter() - began)
    if len(answers) != 1:
        raise SystemExit(f"the answers differ: {written}")
    return statistics.median(times[written]), statistics.median(times[rewritten])


if __name__ == "__main__":
    sys.exit(main())
