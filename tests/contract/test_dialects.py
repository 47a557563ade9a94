"""A session's dialect reaches every part of a statement once: scripts, EXPLAIN and parameters too."""

from __future__ import annotations

import neurolake


def test_parts_of_a_statement_are_translated_once() -> None:
    with neurolake.connect(":memory:") as lake:
        lake.sql("CREATE TABLE t AS SELECT 7 AS s").close()
        lake.sql("SET dialect = 'bigquery'").close()
        assert lake.sql("SELECT 1; SELECT `s` FROM t").fetchall() == [(7,)]
        shown = dict(lake.sql("EXPLAIN SELECT `s` FROM t").fetchall())
        assert shown["neurolake_sql"] == "SELECT s FROM t" or '"s"' in shown["neurolake_sql"]
        lake.sql("SET dialect = 'spark'").close()
        assert lake.sql("SELECT locate(?, ?)", ["l", "hello"]).fetchall() == [(3,)]
