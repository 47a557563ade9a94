"""Every other scheme through fsspec, shown on the one that needs no server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from storage import Lakeside, fingerprint, unique

from neurolake.errors import NeuroLakeError
from neurolake.sources.storage import StorageOptions

QUICK = StorageOptions(request_timeout_s=0.5, retries=2)


@pytest.fixture
def folder() -> Iterator[str]:
    name = unique("folder")
    yield name
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


@pytest.fixture
def lake() -> Iterator[Lakeside]:
    made = Lakeside({}, QUICK)
    yield made
    made.close()


def put(folder: str, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        fsspec.filesystem("memory").pipe(f"/{folder}/{name}", data)


def refused(lake: Lakeside, location: str) -> NeuroLakeError:
    with pytest.raises(NeuroLakeError) as caught:
        lake.storage.refresh(location)
    return caught.value


def test_the_same_as_of_the_local_file(lake: Lakeside, folder: str, tpch_folder: Path) -> None:
    """Threads share one in-memory file object here, position and all; reads take turns."""
    local = tpch_folder / "orders.parquet"
    put(folder, {"x.parquet": local.read_bytes()})
    expected = lake.rows(fingerprint(f"'{local}'"))
    with ThreadPoolExecutor(4) as pool:
        queries = [pool.submit(lake.rows, fingerprint(f"'memory://{folder}/x.parquet'")) for _ in range(8)]
        assert [query.result() for query in queries] == [expected] * 8


def test_patterns_hive_folders_and_names(lake: Lakeside, folder: str) -> None:
    put(folder, {"y=1/a b.csv": b"v\n1\n", "y=2/ü%+.csv": b"v\n2\n", "y=2/d/z.csv": b"v\n4\n", "top.csv": b"v\n8\n"})

    def total(pattern: str) -> object:
        return lake.rows(f"SELECT sum(v) FROM read_csv('memory://{folder}/{pattern}')")[0][0]

    assert [total(p) for p in ("*.csv", "y=*/*.csv", "**/*.csv", "y=2/**/*.csv", "y=?/[!a]*.csv")] == [8, 3, 15, 6, 2]
    assert lake.storage.refresh(f"memory://{folder}/y=*/*.csv").paths == [
        f"memory://{folder}/y=1/a b.csv",
        f"memory://{folder}/y=2/ü%+.csv",
    ]


def test_a_refresh_sees_what_is_new(lake: Lakeside, folder: str) -> None:
    for count in (1, 2, 3):
        put(folder, {f"{count}.csv": b"v\n1\n"})
        lake.storage.refresh(f"memory://{folder}/*.csv")
        assert lake.rows(f"SELECT count(*) FROM 'memory://{folder}/*.csv'") == [(count,)]


def test_what_is_not_there(lake: Lakeside, folder: str) -> None:
    put(folder, {"x.csv": b"v\n1\n"})
    assert refused(lake, f"memory://{folder}/none.csv").code == "source_missing"
    assert refused(lake, f"memory://{folder}/*.parquet").code == "source_empty"
    assert refused(lake, f"memory://{folder}x/*.csv").code == "source_empty"
    assert refused(lake, f"memory://{folder}/../x.csv").code == "location_invalid"
    folder_error = refused(lake, f"memory://{folder}")
    assert folder_error.next_step == f"It is a folder: write memory://{folder}/."


def test_a_scheme_nothing_reads_names_what_to_install(lake: Lakeside) -> None:
    error = refused(lake, "gs://bucket/*.parquet")
    assert error.code == "not_supported"
    assert error.next_step is not None and "gcsfs" in error.next_step


@pytest.mark.parametrize("scheme", ["local", "zip", "simplecache::file", "github", "reference", "data"])
def test_schemes_that_lead_elsewhere_are_left_out(lake: Lakeside, scheme: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("v\n1\n")
    lake.problem(f"FROM read_csv('{scheme}://{tmp_path}/x.csv')")


def test_short_answers_are_refused(lake: Lakeside, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, {"x.csv": b"v\n" + b"1\n" * 1000})
    whole = MemoryFileSystem.cat_file
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda *args, **named: whole(*args, **named)[:-1])
    error = lake.problem(f"FROM 'memory://{folder}/x.csv'")
    assert (error.code, error.retryable) == ("source_truncated", True)


def test_one_that_falls_silent_blocks_neither_its_statement_nor_others(
    lake: Lakeside, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, {"x.csv": b"v\n1\n"})
    silent = threading.Event()
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda *args, **named: silent.wait(20))
    with ThreadPoolExecutor() as pool:
        query = pool.submit(lake.problem, f"FROM 'memory://{folder}/x.csv'")
        assert lake.rows("SELECT 1") == [(1,)]
        assert query.result(10).code == "source_unreachable"
    silent.set()
