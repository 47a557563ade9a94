"""The benchmark's own arithmetic and words: a wrong ratio is worse than none."""

from __future__ import annotations

import doctest
import json
import threading
from importlib import import_module
from pathlib import Path

import adbc_driver_flightsql.dbapi
import pyarrow as pa
import pytest

from benchmarks import compare, measure, report
from benchmarks.__main__ import main
from benchmarks.answers import difference_of_tables
from benchmarks.baselines import ConstantServer
from benchmarks.bench import Figure
from benchmarks.report import Report
from benchmarks.workload import TABLES, queries

CONDITIONS = {
    "scale": 1.0,
    "rounds": 5,
    "cores": 2,
    "processor": "any",
    "memory_bytes": 24_000_000_000,
    "system": "any",
    "python": "3.11.0",
    "packages": {"duckdb": "2.0.0"},
    "commit": "abc",
    "load_before": 0.1,
    "load_after": 0.2,
}


def a_report(*figures: Figure, **failures: str) -> Report:
    return Report(CONDITIONS, list(figures), failures)


def figure(name: str = "fetch", value: float = 1.0, **more: object) -> Figure:
    return Figure(name=name, against="floor", value=value, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", ["answers", "baselines", "bench", "measure", "processes", "report", "workload"])
def test_examples_run(module: str) -> None:
    results = doctest.testmod(import_module(f"benchmarks.{module}"))
    assert results.failed == 0


def test_floor_is_the_wall_time_of_bare_flight_on_many_cores() -> None:
    assert measure.bulk_floor_s(0.6, [0.9, 0.3, 0.8], core_count=16) == 0.6


def test_floor_is_the_processors_time_on_few_cores() -> None:
    assert measure.bulk_floor_s(0.6, [0.9, 0.3, 0.8], core_count=1) == pytest.approx(2.0)


def test_a_ratio_is_that_of_each_round_so_that_one_slow_round_does_not_count() -> None:
    assert measure.median_ratio([1.2, 12.0, 1.3], [1.0, 10.0, 1.0]) == pytest.approx(1.2)


def test_rounds_must_pair_up() -> None:
    with pytest.raises(ValueError, match="longer"):
        measure.median_ratio([1.0], [1.0, 2.0])


def test_every_side_runs_once_a_round_and_the_order_turns() -> None:
    order: list[str] = []
    measure.interleaved(3, {name: lambda name=name: order.append(name) for name in "abc"})
    assert "".join(order) == "abccbaabc"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_quantiles(share: float, expected: int) -> None:
    assert measure.quantile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(1.2, False, True), (1.21, False, False), (1.2, True, True), (1.19, True, False)],
)
def test_a_target_is_an_upper_or_a_lower_bound(value: float, at_least: bool, met: bool) -> None:
    assert figure(value=value, target=1.2, at_least=at_least).met is met


def test_a_figure_without_target_is_neither_met_nor_missed() -> None:
    assert figure().met is None


def test_memory_peak_sees_what_was_freed_again() -> None:
    import os

    with measure.MemoryPeak(os.getpid()) as peak:
        before = measure.rss_bytes(os.getpid())
        block = bytearray(b"x" * 80_000_000)
        threading.Event().wait(0.1)
        del block
    assert peak.bytes > before + 60_000_000


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    written = a_report(figure(target=1.2, raw={"wall_s": 1.0}), s3="it broke")
    written.write(tmp_path / "run.json")
    assert Report.read(tmp_path / "run.json") == written


def test_a_report_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="not a benchmark report"):
        Report.read(path)


def test_the_table_names_value_target_verdict_baseline_and_raw_figures() -> None:
    text = a_report(figure(value=1.3, target=1.2, raw={"wall_s": 1.04, "floor_s": 0.8})).text()
    line = next(line for line in text.splitlines() if "fetch" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["fetch", "1.3 ×", "≤ 1.2 ×", "**no**", "floor", "wall 1.04 s, floor 0.8 s"]


def test_a_failed_case_is_a_line_of_the_table() -> None:
    text = a_report(tpch="WrongAnswer: q01: 3 rows\nagainst 4").text()
    assert "| tpch    | failed |        | no  |         | WrongAnswer: q01: 3 rows against 4 |" in text


def test_the_table_goes_between_the_markers_and_again(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for words in ("first", "second"):
        report.update_document(path, words)
    assert path.read_text() == f"before\n{report.BEGIN}\n\nsecond\n{report.END}\nafter\n"


def test_a_document_without_markers_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.md"
    path.write_text("words")
    with pytest.raises(ValueError, match="lacks the lines"):
        report.update_document(path, "table")
    assert path.read_text() == "words"


def test_the_published_document_has_its_place() -> None:
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text.index(report.BEGIN) < text.index(report.END)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (figure(value=1.0), figure(value=1.05), "same"),
        (figure(value=1.0), figure(value=1.2), "worse"),
        (figure(value=1.0), figure(value=0.8), "better"),
        (figure(value=1.0, at_least=True), figure(value=0.8, at_least=True), "worse"),
        (figure(value=1.19, target=1.2), figure(value=1.21, target=1.2), "missed"),
        (figure(), None, "gone"),
        (None, figure(), "new"),
    ],
)
def test_a_change_in_one_word(before: Figure | None, after: Figure | None, verdict: str) -> None:
    assert compare.Change("fetch", before, after).verdict() == verdict


@pytest.mark.parametrize(("value", "code"), [(1.02, 0), (0.5, 0), (1.5, 1)])
def test_compare_fails_when_something_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float, code: int
) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    a_report(figure(value=1.0)).write(before)
    a_report(figure(value=value), figure("ingest", 1.5)).write(after)
    assert main(["compare", str(before), str(after)]) == code
    printed = capsys.readouterr().out
    assert f"{value - 1:+.1%}" in printed
    assert "new" in printed


def test_a_run_prints_writes_and_publishes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, result = tmp_path / "performance.md", tmp_path / "run.json"
    document.write_text(f"{report.BEGIN}\n{report.END}\n")
    arguments = ["--quick", "--only", "import", "--server", "unused", "--data", str(tmp_path / "data")]
    assert main([*arguments, "--json", str(result), "--markdown", str(document)]) == 0
    assert "import neurolake" in capsys.readouterr().out
    (figure, *_) = Report.read(result).figures
    assert (figure.unit, figure.target) == ("s", None)
    assert "import neurolake" in document.read_text()
    assert list((tmp_path / "data").iterdir()) == []


def test_a_server_that_does_not_start_is_a_failed_case_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "sh -c 'echo no such lake; exit 7'"
    arguments = ["--quick", "--only", "cold_start", "import", "--server", command, "--data", str(tmp_path)]
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "ended with exit code 7: no such lake" in printed
    assert "import neurolake" in printed


def test_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"bulk", "short", "throughput", "tpch", "ingest", "s3", "cold_start", "import"} <= set(names)


def test_the_queries_are_the_22_and_read_only_known_tables() -> None:
    texts = queries()
    assert list(texts) == [f"q{number:02}" for number in range(1, 23)]
    assert all("--" not in text for text in texts.values())
    assert {table for table in TABLES for text in texts.values() if table in text} == set(TABLES)


def test_the_bare_server_answers_the_stock_driver() -> None:
    table = pa.table({"value": pa.array(range(100_000), pa.int32())})
    server = ConstantServer(table)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        uri = f"grpc://127.0.0.1:{server.port}"
        with adbc_driver_flightsql.dbapi.connect(uri) as connection, connection.cursor() as cursor:
            for text in ("SELECT 1", "SELECT 2"):
                cursor.execute(text)
                assert cursor.fetch_arrow_table() == table
            connection.commit()
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ({"a": [1.0, 2.0]}, {"a": [2.0, 1.0 + 1e-13]}, ""),
        ({"a": [1.0]}, {"a": [1.0 + 1e-6]}, "row"),
        ({"a": [1]}, {"a": [1.0]}, "columns"),
        ({"a": [1]}, {"b": [1]}, "columns"),
        ({"a": [1, 1]}, {"a": [1]}, "2 rows against 1"),
        ({"a": [None, "x"]}, {"a": ["x", None]}, ""),
        ({"a": ["x", "x", "y"]}, {"a": ["x", "y", "y"]}, "row"),
        ({"a": [float("nan")]}, {"a": [float("nan")]}, ""),
    ],
)
def test_answers_are_compared_as_bags_of_rows(
    ours: dict[str, list[object]], theirs: dict[str, list[object]], found: str
) -> None:
    difference = difference_of_tables(pa.table(ours), pa.table(theirs))
    assert difference.startswith(found)
    assert bool(difference) == bool(found)
