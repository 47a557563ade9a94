"""docs/clients.md shows what was measured, and every failure it shows has its reason."""

from __future__ import annotations

from clients.report import CAPABILITIES, PAGE, SUITES, written
from clients.results import known, published
from clients.running import CLIENTS


def test_the_tables_are_those_of_the_published_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, published()) == page, "run: cd tests && python -m clients.report"


def test_every_published_failure_is_named() -> None:
    measured = published()
    for name, entry in measured["clients"].items():
        named = {test for reason in known().get(name, ()) for test in reason.tests}
        assert {trial for trial, outcome in entry["trials"].items() if outcome != "yes"} == named
    for name, entry in measured["suites"].items():
        assert sum(reason.failures for reason in known().get(name, ())) == len(entry["failed"]), name


def test_everything_known_is_of_something_that_runs() -> None:
    measured = published()
    assert set(known()) <= {*CLIENTS, *SUITES}
    assert set(measured["clients"]) == set(CLIENTS)
    assert set(measured["suites"]) == set(SUITES)
    assert {trial for entry in measured["clients"].values() for trial in entry["trials"]} == set(CAPABILITIES)
