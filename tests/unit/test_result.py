"""Result: streams once, is accounted once, ends however it is left, and can be set aside."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import neurolake
from neurolake import Result, errors
from neurolake.activity import Activity
from neurolake.query import OWNER
from neurolake.result import Limits
from neurolake.spill import SpillBuffer

SCHEMA = pa.schema([("n", pa.int64())])


class Batches:
    """A stream of so many batches of ten rows; it fails after them when told to."""

    def __init__(self, count: int, problem: BaseException | None = None) -> None:
        self.left = count
        self.closed = 0
        self.problem = problem

    def read(self) -> pa.RecordBatch | None:
        if self.left == 0:
            if self.problem is not None:
                raise self.problem
            return None
        self.left -= 1
        return pa.record_batch({"n": pa.array(range(self.left * 10, self.left * 10 + 10), pa.int64())})

    def close(self) -> None:
        self.closed += 1


class Opened:
    """A result over such a stream, and what was accounted."""

    def __init__(self, stream: Any, **limits: Any) -> None:
        self.accounts: list[BaseException | None] = []
        self.stream = stream
        self.activity = Activity("q1", OWNER, "test", "SELECT n")
        self.result = Result(SCHEMA, stream, self.activity, self._account, Limits(**limits))

    def _account(self, activity: Activity, problem: BaseException | None) -> None:
        self.accounts.append(problem)


@pytest.fixture(scope="module")
def lake() -> Iterator[neurolake.Lake]:
    with neurolake.connect(":memory:") as lake:
        yield lake


class TestAccounting:
    def test_read_to_its_end(self) -> None:
        opened = Opened(Batches(3))
        assert sum(batch.num_rows for batch in opened.result) == 30
        assert opened.accounts == [None]
        assert (opened.activity.rows_out, opened.activity.bytes_out) == (30, 240)
        opened.result.close()
        assert (opened.accounts, opened.stream.closed) == ([None], 1)

    def test_closed_in_the_middle(self) -> None:
        opened = Opened(Batches(3))
        opened.result.read()
        opened.result.close()
        opened.result.close()
        assert (opened.accounts, opened.stream.closed) == ([None], 1)

    def test_what_was_left_unread_does_not_look_like_an_end(self) -> None:
        opened = Opened(Batches(3))
        assert opened.result.read() is not None
        opened.result.close()
        for _ in range(2):
            with pytest.raises(errors.InvalidRequest) as caught:
                opened.result.fetchall()
            assert caught.value.code == "result_closed"

    def test_a_failure_is_told_again(self) -> None:
        opened = Opened(Batches(1, errors.SourceFailed("gone")))
        for _ in range(2):
            with pytest.raises(errors.SourceFailed, match="gone"):
                opened.result.fetchall()
        assert len(opened.accounts) == 1

    def test_left_by_a_with_block(self) -> None:
        opened = Opened(Batches(3))
        with pytest.raises(ZeroDivisionError), opened.result:
            raise ZeroDivisionError
        assert opened.accounts == [None]

    @pytest.mark.parametrize("read", [0, 1])
    def test_forgotten(self, read: int) -> None:
        opened = Opened(Batches(3))
        for _ in range(read):
            opened.result.read()
        del opened.result
        gc.collect()
        assert (opened.accounts, opened.stream.closed) == ([None], 1)

    def test_a_reader_of_it_that_is_forgotten(self) -> None:
        opened = Opened(Batches(3))
        reader = opened.result.reader()
        reader.read_next_batch()
        del opened.result, reader
        gc.collect()
        assert (opened.accounts, opened.stream.closed) == ([None], 1)

    def test_failed(self) -> None:
        problem = errors.ConversionFailed("no")
        opened = Opened(Batches(1, problem))
        with pytest.raises(errors.ConversionFailed) as caught:
            opened.result.arrow()
        assert (caught.value.query_id, opened.accounts, opened.stream.closed) == ("q1", [problem], 1)

    def test_stopped(self) -> None:
        opened = Opened(Batches(3))
        opened.result.read()
        opened.activity.stop(errors.Cancelled("by hand"))
        with pytest.raises(errors.Cancelled, match="by hand"):
            opened.result.read()
        assert [type(problem) for problem in opened.accounts] == [errors.Cancelled]

    def test_stopped_after_the_last_row(self) -> None:
        opened = Opened(Batches(1))
        opened.result.read()
        opened.activity.stop(errors.TimedOut("late"))
        with pytest.raises(errors.TimedOut):
            opened.result.read()

    def test_what_the_engine_raises_when_stopped_is_told_as_the_stop(self) -> None:
        opened = Opened(Batches(0, errors.Cancelled("the engine's words")))
        opened.activity.problem = errors.TimedOut("too long")
        with pytest.raises(errors.TimedOut, match="too long"):
            opened.result.read()

    def test_two_threads_read_every_batch_once(self) -> None:
        opened = Opened(Batches(2000))
        seen: list[int] = []

        def read() -> None:
            while (batch := opened.result.read()) is not None:
                seen.extend(batch["n"].to_pylist())

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == list(range(20_000))
        assert opened.accounts == [None]


class TestLimits:
    def test_rows(self) -> None:
        opened = Opened(Batches(3), rows_max=25)
        with pytest.raises(errors.LimitReached, match="result_rows_max"):
            opened.result.arrow()
        assert (len(opened.accounts), opened.stream.closed) == (1, 1)
        assert Opened(Batches(3), rows_max=30).result.arrow().num_rows == 30

    def test_bytes(self) -> None:
        with pytest.raises(errors.LimitReached, match="result_bytes_max"):
            Opened(Batches(3), bytes_max=239).result.arrow()
        assert Opened(Batches(3), bytes_max=240).result.arrow().num_rows == 30


class TestForms:
    def test_all_of_them(self, lake: neurolake.Lake) -> None:
        sql = "SELECT range AS n, 'x' || range AS s FROM range(3)"
        rows = [(0, "x0"), (1, "x1"), (2, "x2")]
        assert lake.sql(sql).fetchall() == rows
        assert lake.sql(sql).arrow().to_pylist() == [{"n": n, "s": s} for n, s in rows]
        assert lake.sql(sql).df().to_dict("list") == {"n": [0, 1, 2], "s": ["x0", "x1", "x2"]}
        assert lake.sql(sql).pl().rows() == rows
        assert pa.table(lake.sql(sql)).num_rows == 3
        assert pa.RecordBatchReader.from_stream(lake.sql(sql)).read_all().num_rows == 3
        assert [batch.num_rows for batch in lake.sql(sql)] == [3]
        assert lake.sql(sql).columns == ["n", "s"]

    @pytest.mark.parametrize(("library", "take"), [("pandas", Result.df), ("polars", Result.pl)])
    def test_a_library_that_is_not_installed_costs_no_row(
        self, lake: neurolake.Lake, monkeypatch: pytest.MonkeyPatch, library: str, take: Callable[[Result], object]
    ) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        result = lake.sql("SELECT 42 AS n")
        with pytest.raises(errors.NotSupported) as caught:
            take(result)
        assert caught.value.code == "library_missing"
        assert f"pip install 'neurolake[{library}]'" in str(caught.value.next_step)
        assert result.fetchall() == [(42,)]

    def test_one_row_at_a_time(self, lake: neurolake.Lake) -> None:
        result = lake.sql("FROM range(3)")
        assert [result.fetchone() for _ in range(4)] == [(0,), (1,), (2,), None]

    def test_one_row_then_the_rest(self, lake: neurolake.Lake) -> None:
        result = lake.sql("FROM range(10_000)")
        assert result.fetchone() == (0,)
        assert len(result.fetchall()) == 9999

    def test_read_once(self, lake: neurolake.Lake) -> None:
        result = lake.sql("SELECT 1")
        assert result.arrow().num_rows == 1
        assert result.arrow().num_rows == 0
        assert result.fetchone() is None

    def test_times_that_python_cannot_hold(self, lake: neurolake.Lake) -> None:
        with pytest.raises(errors.ConversionFailed) as caught:
            lake.sql("SELECT 'infinity'::DATE AS d").fetchall()
        assert "arrow()" in str(caught.value)
        shown = lake.sql("SELECT 'infinity'::DATE AS d, 'infinity'::TIMESTAMP AS t, 7 AS n")._repr_html_()
        assert "<td>7</td>" in shown


class TestNotebook:
    def test_it_shows_some_rows_and_keeps_them(self, lake: neurolake.Lake) -> None:
        result = lake.sql("SELECT range AS n FROM range(100_000)")
        shown = result._repr_html_()
        assert shown.count("<tr>") == 21
        assert "more rows" in shown
        assert result.arrow().num_rows == 100_000

    def test_it_is_bounded_however_wide_and_long_the_values_are(self, lake: neurolake.Lake) -> None:
        wide = ", ".join(f"repeat('x', 10_000) AS c{n}" for n in range(200))
        assert len(lake.sql(f"SELECT {wide} FROM range(30)")._repr_html_()) < 200_000
        nested = "SELECT range(100_000) AS l, {'k': repeat('y', 100_000)} AS s"
        assert len(lake.sql(nested)._repr_html_()) < 10_000

    def test_values_are_escaped(self, lake: neurolake.Lake) -> None:
        shown = lake.sql("SELECT '<script>alert(1)</script>' AS \"<b>\"")._repr_html_()
        assert "<script>" not in shown
        assert "<b>" not in shown

    def test_no_rows(self, lake: neurolake.Lake) -> None:
        assert "<th>n</th>" in lake.sql("SELECT 1 AS n WHERE false")._repr_html_()

    def test_a_failure_is_raised(self, lake: neurolake.Lake) -> None:
        with pytest.raises(errors.InvalidRequest):
            lake.sql("SELECT CASE WHEN range = 5 THEN error('no') END AS n FROM range(10)")._repr_html_()

    def test_its_plain_form_names_the_columns(self, lake: neurolake.Lake) -> None:
        result = lake.sql("SELECT 1 AS n")
        assert repr(result) == f"<Result {result.query_id} (open): n>"
        assert result.fetchall() == [(1,)]
        assert "(read)" in repr(result)
        with lake.sql("SELECT 1 AS n") as left:
            pass
        assert "(closed)" in repr(left)

    def test_rows_that_were_read_are_not_shown_as_none(self, lake: neurolake.Lake) -> None:
        result = lake.sql("SELECT 1 AS n")
        result.fetchall()
        assert "have been read" in result._repr_html_()


class TestSetAside:
    def test_in_memory(self, tmp_path: Path) -> None:
        opened = Opened(Batches(3), buffer_path=tmp_path)
        opened.result.read()
        opened.result.set_aside()
        assert (opened.stream.closed, opened.accounts) == (1, [])
        assert opened.result.arrow().num_rows == 20
        assert opened.accounts == [None]
        assert list(tmp_path.iterdir()) == []

    def test_spilled(self, tmp_path: Path) -> None:
        opened = Opened(Batches(100), buffer_path=tmp_path, buffer_memory_bytes_max=100)
        opened.result.set_aside()
        assert len(list(tmp_path.iterdir())) == 1
        assert sorted(opened.result.arrow()["n"].to_pylist()) == list(range(1000))
        assert list(tmp_path.iterdir()) == []

    def test_forgotten_after_it(self, tmp_path: Path) -> None:
        opened = Opened(Batches(100), buffer_path=tmp_path, buffer_memory_bytes_max=100)
        opened.result.set_aside()
        del opened.result
        gc.collect()
        assert (opened.accounts, list(tmp_path.iterdir())) == ([None], [])

    def test_over_the_limit(self, tmp_path: Path) -> None:
        opened = Opened(Batches(100), buffer_path=tmp_path, buffer_bytes_max=1000)
        opened.result.set_aside()
        with pytest.raises(errors.LimitReached) as caught:
            opened.result.arrow()
        assert caught.value.code == "home_buffer_full"
        assert (len(opened.accounts), opened.stream.closed, list(tmp_path.iterdir())) == (1, 1, [])

    def test_a_failure_is_told_to_who_reads_it(self, tmp_path: Path) -> None:
        opened = Opened(Batches(2, errors.ConversionFailed("no")), buffer_path=tmp_path)
        opened.result.set_aside()
        with pytest.raises(errors.ConversionFailed):
            opened.result.arrow()
        assert len(opened.accounts) == 1

    def test_a_stop_while_it_is_set_aside_is_told_as_the_stop(self, tmp_path: Path) -> None:
        opened = Opened(Batches(2, errors.Cancelled("interrupted")), buffer_path=tmp_path)
        opened.activity.stop(errors.TimedOut("too long"))
        opened.result.set_aside()
        with pytest.raises(errors.TimedOut) as caught:
            opened.result.arrow()
        assert (caught.value.query_id, opened.accounts) == ("q1", [caught.value])

    def test_the_time_limit_goes_on(self, tmp_path: Path) -> None:
        opened = Opened(Batches(3), buffer_path=tmp_path)
        opened.result.set_aside()
        opened.activity.stop(errors.TimedOut("too long"))
        with pytest.raises(errors.TimedOut):
            opened.result.read()

    def test_twice_and_when_closed(self, tmp_path: Path) -> None:
        opened = Opened(Batches(3), buffer_path=tmp_path)
        opened.result.set_aside()
        opened.result.set_aside()
        assert opened.result.arrow().num_rows == 30
        opened.result.set_aside()
        assert opened.accounts == [None]


class TestSpillBuffer:
    def batch(self, *values: int) -> pa.RecordBatch:
        return pa.record_batch({"n": pa.array(values, pa.int64())})

    def drain(self, buffer: SpillBuffer) -> list[int]:
        found: list[int] = []
        while (batch := buffer.read()) is not None:
            found.extend(batch["n"].to_pylist())
        return found

    @pytest.mark.parametrize("memory", [0, 8, 20, 1000])
    def test_first_in_first_out(self, tmp_path: Path, memory: int) -> None:
        buffer = SpillBuffer(SCHEMA, tmp_path / "b", memory, 10_000)
        for n in range(10):
            buffer.append(self.batch(n))
        buffer.finish()
        assert self.drain(buffer) == list(range(10))
        buffer.close()
        assert list(tmp_path.iterdir()) == []

    def test_dictionaries(self, tmp_path: Path) -> None:
        schema = pa.schema([("d", pa.dictionary(pa.int8(), pa.string()))])
        buffer = SpillBuffer(schema, tmp_path / "b", 0, 100_000)
        sent = [pa.record_batch([pa.array(values).dictionary_encode().cast(schema.field(0).type)], schema=schema)
                for values in (["a", "b"], ["c", "a"])]  # fmt: skip
        for batch in sent:
            buffer.append(batch)
        buffer.finish()
        assert [buffer.read(), buffer.read(), buffer.read()] == [*sent, None]
        buffer.close()
