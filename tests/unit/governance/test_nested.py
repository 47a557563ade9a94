"""Redacted text at any depth: what is hidden, what stays, and that no value makes it fail."""

from __future__ import annotations

from typing import Any

import pytest

import neurolake
from neurolake.governance import masks
from neurolake.governance.actions import fits

CASES = [
    ("JSON", """'{"to": "ann@example.org", "n": [1, -2.5], "ok": true}'""", '{"to": "***", "n": [0], "ok": true}'),
    ("JSON", """'{"to": "ann\\u0040example.org"}'""", None),
    ("JSON", """'"call 030 12345"'""", '"call 0"'),
    ("VARCHAR[]", "['a', NULL, 'ann@example.org']", ["a", None, "***"]),
    ("VARCHAR[2]", "['a', 'ann@example.org']", ("a", "***")),
    ("VARCHAR[][]", "[['ann@example.org'], NULL, []]", [["***"], None, []]),
    ("STRUCT(a VARCHAR, b BIGINT, c BOOLEAN)", "{'a': 'call 7', 'b': 4915112345678, 'c': true}",
     {"a": "call ***", "b": None, "c": True}),
    ('STRUCT("o ""d" VARCHAR, "select" STRUCT(x VARCHAR[], d DATE))',
     """{'o "d': '7', 'select': {'x': ['ann@example.org', NULL], 'd': DATE '1980-01-01'}}""",
     {'o "d': "***", "select": {"x": ["***", None], "d": None}}),
    ("STRUCT(a VARCHAR)[]", "[{'a': '7'}, NULL, {'a': NULL}]", [{"a": "***"}, None, {"a": None}]),
    ("MAP(VARCHAR, VARCHAR)", "MAP {'ann@example.org': 'x', 'k': '7'}", {"***": "x", "k": "***"}),
    ("MAP(VARCHAR, VARCHAR)", "MAP {'ann@example.org': 'x', 'bob@example.org': 'y'}", None),  # keys must differ
    ("MAP(VARCHAR, STRUCT(a VARCHAR)[])", "MAP {'k': [{'a': '7'}]}", {"k": [{"a": "***"}]}),
    ("STRUCT(a VARCHAR, e ENUM('ann@example.org'))", "{'a': 'x', 'e': 'ann@example.org'}", {"a": "x", "e": "***"}),
    ("STRUCT(a VARCHAR, j JSON)", """{'a': 'x', 'j': '{"n": 7}'}""", {"a": "x", "j": '{"n": 0}'}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "shown"), CASES)
def test_text_is_hidden_and_the_type_stays(kind: str, value: str, shown: Any) -> None:
    assert fits("redact", {}, kind)
    masked = masks.expression("redact", {}, "c", kind)
    with neurolake.connect(":memory:") as lake:
        rows = lake.sql(
            f"SELECT m, typeof(m) = typeof(CAST(NULL AS {masks.kept_type(kind)})) FROM "
            f"(SELECT {masked} AS m FROM (VALUES (1, CAST({value} AS {kind})), (2, CAST(NULL AS {kind}))) v(i, c) "
            "ORDER BY i)"
        ).fetchall()
    found = dict(rows[0][0]) if isinstance(shown, dict) and kind.startswith("MAP") and rows[0][0] else rows[0][0]
    assert _plain(found) == _plain(shown)
    assert rows[1][0] is None
    assert [same for _, same in rows] == [True, True]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("kind", ["BLOB", "UNION(a VARCHAR)", "MAP(INTEGER, VARCHAR)", "INTEGER[]", "STRUCT(b BLOB)"])
def test_what_holds_no_text_or_cannot_be_made_again_is_null(kind: str) -> None:
    assert not fits("redact", {}, kind)
    assert masks.expression("redact", {}, "c", kind) == f"CAST(NULL AS {kind})"
