"""Ten thousand tables and fifty roles cost a session nothing that it does not name."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest

from neurolake.catalog.store import Store
from neurolake.governance.model import Governance
from neurolake.query import Principal
from neurolake.sql.text import Name

TABLES = 10_000
ROLES = 50
COLUMNS = {f"c{number}": "VARCHAR" for number in range(5)}
ANN = Principal("ann", f"r{ROLES - 1}")


@pytest.fixture(scope="module")
def governance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governance]:
    """A lake where every role may read some tables, and every column was scanned."""
    store = Store(tmp_path_factory.mktemp("scale") / "system.sqlite")
    with store.durable() as db:
        db.executemany("INSERT INTO roles VALUES (?, 'x', 0)", [(f"r{n}",) for n in range(ROLES)])
        db.executemany("INSERT INTO role_inherits VALUES (?, ?)", [(f"r{n}", f"r{n // 5}") for n in range(1, ROLES)])
        db.executemany(
            "INSERT INTO grants VALUES (?, 'read', 'table', 'main', ?, '', 'x', 0)",
            [(f"r{n % ROLES}", f"t{n}") for n in range(TABLES)],
        )
        db.executemany(
            "INSERT INTO scans VALUES ('main', ?, ?, 'VARCHAR', 'scanned', 0)",
            [(f"t{n}", column) for n in range(TABLES) for column in COLUMNS],
        )
        db.executemany(
            "INSERT INTO policies VALUES (?, '*', 'column', 'main', ?, 'c1', '', 'null', '{}', 'x', 0, 1)",
            [(f"p{n}", f"t{n}") for n in range(TABLES)],
        )
    made = Governance(store)
    yield made
    made.close()
    store.close()


def test_a_picture_and_a_decision_stay_small_and_quick(governance: Governance) -> None:
    seconds, peaks = [], []
    for number in range(5):
        governance.moved()  # as every change of a policy does
        tracemalloc.start()
        start = time.perf_counter()
        decision = governance.access.decide(ANN, Name("main", f"t{ROLES * (number + 1) - 1}"), COLUMNS)
        seconds.append(time.perf_counter() - start)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert {column.column: column.action for column in decision.columns} == {
            **dict.fromkeys(COLUMNS, "allow"), "c1": "null",
        }  # fmt: skip
    assert min(seconds) < 0.05
    assert min(peaks) < 500_000


def test_who_names_many_tables_keeps_a_bounded_number_in_memory(governance: Governance) -> None:
    governance.moved()
    access = governance.access
    for number in range(3_000):
        access.facts(Name("main", f"t{number}"))
    assert len(access._facts) <= 2_000


def test_who_lists_the_whole_catalog_sees_the_same(governance: Governance) -> None:
    one, whole = governance.access, Governance(governance.store)
    whole.access.read_all()
    for number in (0, 49, 99, 5_000, 9_999, 20_000):
        table = Name("main", f"T{number}")
        assert whole.access.decide(ANN, table, COLUMNS) == one.decide(ANN, table, COLUMNS)
    whole.access._whole_until = 1.0  # long ago
    assert whole.access.decide(ANN, table, COLUMNS) == one.decide(ANN, table, COLUMNS)
    assert len(whole.access._facts) == 1
    whole.close()
