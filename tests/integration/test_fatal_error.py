"""A fatal engine error: the database is opened again by itself, nothing committed is lost, nobody is left hanging."""

from __future__ import annotations

from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake._duckdb import Cursor


def break_the_engine(lake: neurolake.Lake) -> None:
    """DuckDB 2.0 invalidates the whole instance when HUGEINT's minimum comes in through Arrow and is cast to text."""
    lowest = lake.sql("SELECT (-170141183460469231731687303715884105728)::HUGEINT AS h").arrow()

    def cast(cursor: Cursor) -> None:
        cursor.attach("lowest", lowest)
        cursor.rows("SELECT h::VARCHAR FROM lowest")

    with pytest.raises(errors.NeuroLakeError):
        lake.engine.instance.acquire_and(cast)  # type: ignore[attr-defined]


def test_the_lake_comes_back_with_all_that_was_committed(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql("CREATE TABLE t AS SELECT * FROM range(1000) r(i)").close()
        reading = lake.sql("SELECT * FROM range(50_000_000)")
        assert reading.read() is not None
        break_the_engine(lake)
        with pytest.raises(errors.Unavailable) as caught:
            lake.sql("SELECT count(*) FROM t").fetchall()
        assert (caught.value.code, caught.value.retryable) == ("engine_restarted", True)
        with pytest.raises(errors.Unavailable) as caught:
            for _ in reading:
                pass
        assert caught.value.code == "engine_restarted"
        assert lake.sql("SELECT count(*) FROM t").fetchall() == [(1000,)]
        lake.sql("INSERT INTO t VALUES (1)").close()
    with neurolake.connect(tmp_path / "lake") as lake:
        assert lake.sql("SELECT count(*) FROM t").fetchall() == [(1001,)]


def test_an_open_transaction_is_lost_and_says_so(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql("CREATE TABLE t (i INTEGER)").close()
        lake.sql("BEGIN").close()
        lake.sql("INSERT INTO t VALUES (1)").close()
        break_the_engine(lake)
        codes = []
        for _ in range(2):
            with pytest.raises(errors.Unavailable) as caught:
                lake.sql("INSERT INTO t VALUES (2)").close()
            codes.append(caught.value.code)
        assert codes == ["engine_restarted", "transaction_lost"]
        assert lake.sql("SELECT count(*) FROM t").fetchall() == [(0,)]
