"""What came of the trials and suites: the last run's in the cache, the published one's in `results.json`.

`known.toml` names every failure that stands, and whose it is.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clients import environments

HERE = Path(__file__).parent
PUBLISHED = HERE / "results.json"
KNOWN = HERE / "known.toml"


class Reason(NamedTuple):
    """Why some tests of a client or suite fail.

    Attributes:
        whose: client | suite | engine (DuckDB) | server (what pyarrow's Flight server cannot do).
        why: what happens.
        tests: their names; a `*` stands for anything.
        says: a part of their messages; empty, any.
        failures: how many there are.
    """

    whose: str
    why: str
    tests: tuple[str, ...]
    says: str
    failures: int

    def explains(self, test: str, message: str) -> bool:
        """Whether this is the reason of that failure."""
        return self.says in message and any(re.fullmatch(_pattern(name), test) for name in self.tests)


def _pattern(name: str) -> str:
    return ".*".join(map(re.escape, name.split("*")))


def known() -> Mapping[str, tuple[Reason, ...]]:
    """By client or suite, the failures that stand."""
    with KNOWN.open("rb") as file:
        content = tomllib.load(file)
    return {name: tuple(map(_reason, entries)) for name, entries in content.items()}


def _reason(entry: Mapping[str, Any]) -> Reason:
    tests = tuple(entry["tests"])
    return Reason(entry["whose"], entry["why"], tests, entry.get("says", ""), entry.get("count", len(tests)))


def unexplained(name: str, failed: Mapping[str, str]) -> dict[str, str]:
    """The failures that nobody has named, and reasons that no longer have as many."""
    left = dict(failed)
    wrong = {}
    for reason in known().get(name, ()):
        explained = [test for test, message in left.items() if reason.explains(test, message)]
        if len(explained) != reason.failures:
            wrong[reason.why] = f"{len(explained)} failures, {reason.failures} in known.toml"
        for test in explained:
            del left[test]
    return {**left, **wrong}


class Results:
    """What the last run measured; each entry is written as it comes, so that a part can be run again by itself."""

    def __init__(self) -> None:
        self.path = environments.cache() / "results.json"

    def read(self) -> dict[str, Any]:
        """Everything measured so far."""
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def keep(self, section: str, name: str, entry: Mapping[str, Any]) -> None:
        """Keep one entry."""
        content = self.read()
        content.setdefault(section, {})[name] = entry
        self.path.write_text(json.dumps(content, indent=1, sort_keys=True))


def published() -> dict[str, Any]:
    """What docs/clients.md shows."""
    content: dict[str, Any] = json.loads(PUBLISHED.read_text())
    return content
