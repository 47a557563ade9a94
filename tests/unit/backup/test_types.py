"""Types are read from the engine's own text, and refused where a snapshot could not give their values back."""

from __future__ import annotations

import pytest

from neurolake import errors
from neurolake.backup.encodings import encoded_type, refuse_unkept
from neurolake.sql.types import parse_type


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("INTEGER", "INTEGER"),
        ("DECIMAL(38,10)", "DECIMAL(38,10)"),
        ("HUGEINT[]", "VARCHAR[]"),
        ("INTEGER[2][3]", "INTEGER[][]"),
        ("TIMESTAMP WITH TIME ZONE[]", "TIMESTAMP WITH TIME ZONE[]"),
        ("ENUM('a', 'it''s', '),(')", "VARCHAR"),
        ('STRUCT("a b" UUID, "q""t" ENUM(\'x\'))', 'STRUCT("a b" VARCHAR, "q""t" VARCHAR)'),
        ("MAP(VARCHAR, INTERVAL)", "MAP(VARCHAR, VARCHAR)"),
        ("UNION(a INTEGER, b BIT)", 'STRUCT(tag VARCHAR, value STRUCT("a" INTEGER, "b" VARCHAR))'),
        ("TUPLE(INTEGER, JSON)", "STRUCT(element1 INTEGER, element2 VARCHAR)"),
        ("GEOMETRY('OGC:CRS84')", "BLOB"),
        ('"NULL"', "INTEGER"),
    ],
)
def test_what_a_type_is_written_as(text: str, written: str) -> None:
    assert encoded_type(parse_type(text)) == written
    refuse_unkept("t", "c", text)


@pytest.mark.parametrize("text", ["VARIANT", "VARIANT[]", "STRUCT(a VARIANT)", "SOMETHING_NEW"])
def test_what_would_be_lost_is_refused(text: str) -> None:
    with pytest.raises(errors.NotSupported) as caught:
        refuse_unkept("sales.orders", "total", text)
    assert "total of sales.orders" in caught.value.message


@pytest.mark.parametrize("text", ["", "STRUCT(", "INTEGER)", "INTEGER[", "1 + ?"])
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(errors.NotSupported):
        parse_type(text)
