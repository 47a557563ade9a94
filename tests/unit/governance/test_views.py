"""Secure views are made once, by many threads at a time, and old ones go when there are too many."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolake import errors
from neurolake._duckdb import Instance, InstanceOptions
from neurolake.catalog.store import Store
from neurolake.governance import views
from neurolake.governance.gate_keys import Keys
from neurolake.governance.views import SecureViews


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(InstanceOptions(None, str(tmp_path), 1 << 30, 1 << 30, 1))
    instance.acquire_and(lambda cursor: cursor.run("CREATE TABLE lake.main.t AS SELECT 1 AS a, 'x' AS b"))
    yield instance
    instance.close()


def read(secure: SecureViews, path: tuple[str, ...]) -> list[tuple[object, ...]]:
    cursor = secure.acquire()
    try:
        return cursor.rows(f"SELECT * FROM {'.'.join(path)}")
    finally:
        secure.release(cursor)


def test_one_text_is_one_view(instance: Instance) -> None:
    secure = SecureViews(instance, Keys(Store(None)), lambda: None)
    text = "SELECT t.a AS a FROM lake.main.t AS t"
    path = secure.view(text, "a INTEGER")
    assert secure.view(text, "a INTEGER") == path
    assert secure.view(text, "a BIGINT") != path
    assert read(secure, path) == [(1,)]
    secure.close()


def test_many_threads_make_it_once(instance: Instance) -> None:
    secure = SecureViews(instance, Keys(Store(None)), lambda: None)
    found: list[tuple[str, ...]] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        found.append(secure.view("SELECT t.b AS b FROM lake.main.t AS t", ""))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert read(secure, found[0]) == [("x",)]
    secure.close()


def test_what_cannot_be_made_is_no_view(instance: Instance) -> None:
    secure = SecureViews(instance, Keys(Store(None)), lambda: None)
    with pytest.raises(errors.NeuroLakeError):
        secure.view("SELECT t.nothing AS a FROM lake.main.t AS t", "")
    secure.close()


def test_old_catalogs_go(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "VIEWS_PER_CATALOG", 2)
    dropped: list[bool] = []
    secure = SecureViews(instance, Keys(Store(None)), lambda: dropped.append(True))
    for number in range(9):
        path = secure.view(f"SELECT {number} AS n", "")
        assert read(secure, path) == [(number,)]
    sql = "SELECT count(*) FROM duckdb_databases() WHERE starts_with(database_name, '__neurolake_views')"
    ((catalogs,),) = instance.acquire_and(lambda cursor: cursor.rows(sql))
    assert catalogs == views.CATALOGS_KEPT
    assert len(dropped) == 2
    assert read(secure, secure.view("SELECT 0 AS n", "")) == [(0,)]
    secure.close()


def test_a_connection_comes_back_to_the_lake(instance: Instance) -> None:
    secure = SecureViews(instance, Keys(Store(None)), lambda: None)
    cursor = instance.cursor()
    secure.prepare(cursor)
    with pytest.raises(errors.NotFound):
        cursor.rows("SELECT * FROM t")
    secure.restore(cursor, "main")
    assert cursor.rows("SELECT a FROM t") == [(1,)]
    cursor.close()
    secure.close()
