"""What of a column's cells is looked at, and what of them may be said."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pyarrow as pa
import pytest

from neurolake.pii.samples import Leaf, Taken, take


def taken(cells: list[Any]) -> Taken:
    return take(pa.table({"c": pa.array(cells)}))


def leaves(cells: list[Any]) -> dict[str, Leaf]:
    return {leaf.path: leaf for leaf in taken(cells).leaves if leaf.values}


def test_keys_that_are_values_are_looked_at_and_never_part_of_a_path() -> None:
    both = taken([json.dumps({f"a{i}@b.org": f"+49 30 {i:07}"}) for i in range(9)]).leaves
    assert [leaf.path for leaf in both] == ["c.*", "c.*"]
    assert [leaf.values[0] for leaf in both] == ["a0@b.org", "+49 30 0000000"]


@pytest.mark.parametrize("key", ["ann@example.org", "Anna Nowak", "4711", "customer_20417", "AKIAABCDEFGHIJKLMNOP"])
def test_a_key_of_every_document_may_be_a_value_too(key: str) -> None:
    (path,) = leaves([json.dumps({key: f"x{i}"}) for i in range(20)])
    assert path == "c.*"


def test_rare_keys_are_hidden_and_what_stands_below_them_is_not() -> None:
    found = leaves([json.dumps({f"anna{chr(97 + i)}": {"phone": f"+49 30 {i:07}"}, "n": 1}) for i in range(20)])
    assert set(found) == {"c.*", "c.*.phone", "c.n"}


def test_keys_of_maps_are_values() -> None:
    column = pa.array([[("ann@example.org", "x")], [("bob@example.org", "y")]], pa.map_(pa.string(), pa.string()))
    found = take(pa.table({"c": column})).leaves
    assert [leaf.values for leaf in found] == [("ann@example.org", "bob@example.org"), ("x", "y")]


def test_long_documents_and_deep_ones_are_looked_into() -> None:
    deep: Any = "a@example.org"
    for place in range(6):
        deep = [{f"k{place}": [deep]}]
    assert set(leaves([json.dumps({"pad": "x" * 5000, "iban": "DE89"})] * 3)) == {"c.pad", "c.iban"}
    (leaf,) = leaves([json.dumps(deep)] * 3).values()
    assert leaf.values == ("a@example.org",)


def test_what_is_left_out_is_said() -> None:
    assert taken([json.dumps({f"k{i}": i for i in range(90)})]).left_out == frozenset()
    wide = [json.dumps({f"a{chr(97 + i // 26)}{chr(97 + i % 26)}": i + j for i in range(300)}) for j in range(9)]
    for cells in (wide, ["[" * 100_000 + "]" * 100_000], ["[" * 30 + "1" + "]" * 30]):
        assert taken(cells).left_out == {"c"}


def test_days_and_whole_numbers_count_wherever_they_stand() -> None:
    found = leaves([{"born": datetime.date(1980, 5, i), "n": float(i), "rate": i / 7} for i in range(1, 9)])
    assert {path: leaf.type for path, leaf in found.items()} == {"c.born": "day", "c.n": "number"}
    (numbers,) = taken([4930123456.0, None, float("nan")]).leaves
    assert (numbers.type, numbers.values) == ("number", ("4930123456",))
    assert taken([0.5, 1.0]).leaves[0].type == "other"


@pytest.mark.parametrize("cells", [[None, None], [{"a": None}], [[], None]])
def test_a_column_without_a_value_was_not_looked_at(cells: list[Any]) -> None:
    assert taken(cells).empty == {"c"}


def test_the_end_of_a_long_text_is_looked_at() -> None:
    (leaf,) = leaves(["word " * 300 + "ann@example.org"]).values()
    assert leaf.values[0].endswith("ann@example.org")


def test_json_beside_other_text_is_looked_into_and_so_is_the_other() -> None:
    found = leaves([*(json.dumps({"n": f"x{i}"}) for i in range(8)), "ann@example.org"])
    assert found["c"].values == ("ann@example.org",)
    assert len(found["c.n"].values) == 8
