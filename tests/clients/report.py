"""The tables of docs/clients.md, from what the tests measured.

python -m clients.report      (in tests/, after pytest -m clients) publishes the last run
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from clients.results import HERE, PUBLISHED, Results, known, published
from clients.running import CLIENTS

PAGE = HERE.parents[1] / "docs" / "clients.md"

CAPABILITIES = {
    "query": "query",
    "nested": "lists, structs",
    "parameters": "parameters",
    "many": "many rows of them",
    "write": "counts of writes",
    "transactions": "transactions",
    "load": "bulk load",
    "catalog": "catalog",
    "keys": "keys",
    "schema": "schema of a query",
    "session": "session lasts",
    "large": "500,000 rows",
    "empty": "no rows",
    "errors": "our error codes",
    "login": "refused login",
    "cancel": "cancel",
}

SUITES = {
    "adbc": "The ADBC project's tests of its driver that need no server of its own",
    "dbapi-compliance": "DB-API compliance suite 1.15, on ADBC's dbapi",
    "pandas-suite": "pandas' tests of SQL over ADBC",
    "sqlalchemy": "SQLAlchemy 2.0's dialect suite, GizmoSQL dialect",
    "dbt": "dbt's adapter tests, dbt-gizmosql 1.10",
    "tpch": "TPC-H, each query against DuckDB in process",
    "tpcds": "TPC-DS, each query against DuckDB in process",
}


def marks() -> dict[tuple[str, str], int]:
    """By client and trial, the number of the note that says why it fails."""
    found = {}
    number = 0
    for name in CLIENTS:
        for reason in known().get(name, ()):
            number += 1
            found.update({(name, test): number for test in reason.tests})
    return found


def capabilities(measured: Mapping[str, Any]) -> Iterator[str]:
    """The table of clients by capabilities, turned so that it fits a page, and its notes."""
    numbers = marks()
    yield "| | version | " + " | ".join(CAPABILITIES.values()) + " |"
    yield "|---|---|" + "---|" * len(CAPABILITIES)
    for name, client in CLIENTS.items():
        entry = measured["clients"][name]
        cells = [_cell(entry["trials"].get(trial), numbers.get((name, trial))) for trial in CAPABILITIES]
        yield f"| {client.title} | {entry['version']} | " + " | ".join(cells) + " |"
    yield ""
    number = 0
    for name, client in CLIENTS.items():
        for reason in known().get(name, ()):
            number += 1
            yield f"{number}. {client.title}: {reason.why}."


def _cell(outcome: str | None, number: int | None) -> str:
    if outcome is None:
        return ""
    return "yes" if outcome == "yes" else f"no ({number})"


def suites(measured: Mapping[str, Any]) -> Iterator[str]:
    """The table of suites, and every failure's reason."""
    yield "| suite | run | passed | | skipped by the suite itself |"
    yield "|---|---|---|---|---|"
    entries = [(title, name, measured["suites"][name]) for name, title in SUITES.items()]
    for title, _, entry in entries:
        run = entry["passed"] + len(entry["failed"])
        yield f"| {title} | {run} | {entry['passed']} | {100 * entry['passed'] // run} % | {entry['skipped']} |"
    yield ""
    for title, name, _ in entries:
        for reason in known().get(name, ()):
            yield f"- {title.partition(',')[0]}: {reason.failures} × {reason.why} ({reason.whose})."


def written(page: str, measured: Mapping[str, Any]) -> str:
    """The page with its tables as they were measured."""
    for name, lines in (("capabilities", capabilities(measured)), ("suites", suites(measured))):
        before, begin, rest = page.partition(f"<!-- {name}: made by tests/clients/report.py -->\n")
        _, end, after = rest.partition(f"<!-- {name}: end -->")
        assert end, f"the page has no place for {name}"
        page = before + begin + "\n".join(lines) + "\n" + end + after
    return page


def _client(entry: Mapping[str, Any]) -> dict[str, Any]:
    trials = {trial: "yes" if outcome == "yes" else "no" for trial, outcome in entry["trials"].items()}
    return {"version": entry["version"], "trials": trials}


def _suite(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"passed": entry["passed"], "failed": sorted(entry["failed"]), "skipped": sum(entry["skipped"].values())}


def main() -> None:
    """Publish what the last run measured."""
    last = Results().read()
    measured = {
        "clients": {name: _client(last["clients"][name]) for name in CLIENTS},
        "suites": {name: _suite(last["suites"][name]) for name in SUITES},
    }
    PUBLISHED.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), published()), encoding="utf-8")


if __name__ == "__main__":
    main()
