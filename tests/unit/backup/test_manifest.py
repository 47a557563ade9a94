"""What is read of a manifest, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

from neurolake import errors
from neurolake.backup.manifest import Column, Manifest, Part, Statement, TableEntry, read, write

PART = Part("ab" * 32, 10, 3, 7, ((0, 6),))
TABLE = TableEntry(
    "main", "t", "CREATE TABLE t(i INTEGER)", ("COMMENT …",), (Column("i", "INTEGER", "INTEGER"),), 122_880, (PART,)
)
WHOLE = Manifest(
    "20261123t130500_0a1b2c", "lake", "2026-11-23T13:05:00+00:00", "full", False, "duckdb", 5, (TABLE,),
    (Statement("view", "main", "v", "CREATE VIEW v AS SELECT 1"),), ({"name": ["main", "s"]},),
    {"users": [{"user_name": "Ann"}]}, ("view broken: no",), 10,
)  # fmt: skip


def test_it_comes_back_as_it_was_written() -> None:
    assert read(write(WHOLE), "x") == WHOLE
    odd = dataclasses.replace(WHOLE, metadata={"tags": [{"table_name": "Straße"}]})
    assert read(write(odd), "x") == dataclasses.replace(odd, format=3)  # which older releases refuse
    table = dataclasses.replace(TABLE, parts=(PART, dataclasses.replace(PART, blocks="cd" * 32)))
    digested = dataclasses.replace(WHOLE, tables=(table,))
    assert read(write(digested), "x") == dataclasses.replace(digested, format=6)
    assert (WHOLE.rows, WHOLE.bytes, WHOLE.files()) == (3, 10, {"ab" * 32})


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", write(WHOLE)[:-20], write(WHOLE).replace(b'"rows": 3', b'"rows": 4'),
     write(WHOLE).replace(b'"full"', b'"data"')],
)  # fmt: skip
def test_what_is_not_whole_is_refused(data: bytes) -> None:
    with pytest.raises(errors.SourceFailed) as caught:
        read(data, "20261123t130500_0a1b2c")
    assert caught.value.code == "snapshot_corrupt"
    assert "20261123t130500_0a1b2c" in caught.value.message


def test_a_newer_format_is_refused_by_its_number() -> None:
    content = json.loads(write(WHOLE)) | {"format": 99}
    with pytest.raises(errors.NotSupported) as caught:
        read(json.dumps(content).encode(), "x")
    assert caught.value.code == "snapshot_too_new"
    assert "99" in caught.value.message
