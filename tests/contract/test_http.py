"""The HTTP port of a server: whether it lives, whether each part works, and its figures."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contract.clients import Flight
from contract.conftest import serving, uri
from flight.listener import _stop_listening
from flight.service import Service


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service


def get(service: Service, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def figures(service: Service) -> dict[str, float]:
    status, text = get(service, "/metrics")
    assert status == 200
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def ready(service: Service) -> tuple[int, dict[str, Any]]:
    status, text = get(service, "/readyz")
    return status, json.loads(text)["parts"]


def test_the_stock_drivers_statements_are_counted(served: Service) -> None:
    before = figures(served)
    assert before["neurolake_sessions"] == 0
    with closing(Flight(uri(served), autocommit=True)) as flight:
        assert flight.execute("SELECT range AS n FROM range(1000)").num_rows == 1000
        with pytest.raises(flight.connection.Error):
            flight.execute("SELECT nothing")
        after = figures(served)
    assert after["neurolake_sessions"] == 1
    assert after["neurolake_memory_bytes"] > 10_000_000
    assert after["neurolake_statements_in_flight"] == 0

    def more(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert more("neurolake_rows_out_total") == 1000
    assert 8000 <= more("neurolake_bytes_out_total") < 9000
    assert more('neurolake_statements_total{state="done"}') >= 1
    assert more('neurolake_statements_total{state="failed"}') == 1
    assert more("neurolake_statement_seconds_count") >= 2


def test_no_text_of_a_statement_and_no_user_is_among_them(served: Service) -> None:
    with closing(Flight(uri(served), autocommit=True)) as flight:
        flight.execute("SELECT 'a-very-secret-word' AS x")
    _, text = get(served, "/metrics")
    assert not re.search(r"secret-word|admin", text)


def _no_database(service: Service) -> None:
    service.engine.instance.close()


def _no_disk(service: Service) -> None:
    shutil.rmtree(service.home.tmp)


def _stopping(service: Service) -> None:
    service._listeners[0].refuse()


def _no_metadata(service: Service) -> None:
    service.engine.store._db = sqlite3.connect(":memory:")
    service.engine.store._db.close()


def _no_port(service: Service) -> None:
    assert _stop_listening(service.port)


@pytest.mark.parametrize(
    ("part", "fails"),
    [("engine", _no_database), ("disk", _no_disk), ("accepting", _stopping), ("metadata", _no_metadata),
     ("flight", _no_port)],
)  # fmt: skip
def test_each_part_is_tried(
    served: Service, part: str, fails: Callable[[Service], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.engine.store, "_db", served.engine.store._db)  # whole again when the server stops
    assert get(served, "/livez")[0] == 200
    status, parts = ready(served)
    assert (status, set(parts.values())) == (200, {True})
    assert set(parts) == {"accepting", "engine", "metadata", "flight", "disk"}
    fails(served)
    assert ready(served) == (503, parts | {part: False})
    assert get(served, "/livez")[0] == 200


def test_what_is_none_of_them(served: Service) -> None:
    assert get(served, "/")[0] == 404
