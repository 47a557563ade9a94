"""A plain DuckDB with values that are hard to get right: NULLs, duplicates, infinities, before Christ, far future."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from neurolake.optimizer import Context

ROWS = """
CREATE TABLE days AS
SELECT d, d::TIMESTAMP + INTERVAL (a) HOUR AS t, d::TIMESTAMP::TIMESTAMPTZ AS z, a, a % 4 AS b, a / 2 AS f,
       chr((97 + a % 9)::INTEGER) AS s
FROM (SELECT DATE '1994-12-01' + (i * 3)::INTEGER AS d, (i % 11)::INTEGER AS a FROM range(400) r(i));
INSERT INTO days FROM days WHERE a = 3;
INSERT INTO days VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('infinity', 'infinity', NULL, 1, 1, 1, 'it''s'), ('-infinity', '-infinity', NULL, 2, 2, 2, NULL),
  ('1995-03-04 (BC)', '1995-03-04 (BC)', NULL, 3, 3, 'nan', 'a'), ('19950-03-01', '19950-03-01', NULL, 4, 4, 4, 'b'),
  ('1995-03-01', '1995-03-01 23:59:59.999999', NULL, NULL, 0, 0, 'c');
CREATE TABLE parts AS SELECT year(d) AS y, month(d) AS m, a FROM days WHERE isfinite(d) OR d IS NULL;
CREATE TABLE keys AS SELECT (i * 5 - 20)::BIGINT AS id, (i % 100)::TINYINT AS tiny, 'k' || (i % 600) AS name,
       i::DOUBLE AS f FROM range(1000) r(i);
INSERT INTO keys FROM keys WHERE id % 7 = 0;
INSERT INTO keys VALUES (NULL, NULL, NULL, NULL), (123, 123, 'it''s', 'nan'), (0, 0, '', 0);
CREATE TABLE texts (s VARCHAR, c VARCHAR COLLATE NOCASE);
INSERT INTO texts SELECT name, name FROM keys;
"""


@pytest.fixture(scope="session")
def plain() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(ROWS)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def context(plain: duckdb.DuckDBPyConnection) -> Context:
    def describe(relation: str) -> dict[str, str] | None:
        try:
            rows = plain.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        except duckdb.Error:
            return None
        return {name: kind for name, kind, *_ in rows}

    return Context(describe=describe)
