"""What a column's cells and name say, through the lake's own SQL."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

import neurolake
from neurolake import Lake, errors
from neurolake.pii import custom
from neurolake.pii.kinds import Tier
from neurolake.pii.names import read


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with neurolake.connect(":memory:") as lake:
        yield lake


def found(lake: Lake, columns: dict[str, list[object]], **options: bool) -> dict[str, str]:
    lake.load("t", columns, mode="replace")
    rows = lake.call("scan_pii", "t", **options).to_pylist()
    return {row["column_name"]: row["entity"] for row in reversed(rows)}


def luhn(body: str) -> str:
    total = sum(sum(map(int, str(int(d) * (2 - place % 2)))) for place, d in enumerate(reversed(body)))
    return f"{body}{-total % 10}"


def numbers(count: int = 200) -> list[str]:
    random = Random(1)
    return [luhn(f"4{random.randrange(10**14):014}") for _ in range(count)]


def test_a_card_number_needs_no_name_and_an_order_number_stays_one(lake: Lake) -> None:
    orders = [f"4{Random(i).randrange(10**15):015}" for i in range(200)]
    assert found(lake, {"c1": list(numbers()), "c2": list(orders)}) == {"c1": "CREDIT_CARD"}


def test_a_weak_shape_needs_the_name(lake: Lake) -> None:
    nine = [str(100_000_007 + 37 * i) for i in range(200)]
    assert found(lake, {"ssn": list(nine), "passport_number": list(nine), "c3": list(nine)}) == {
        "ssn": "US_SSN", "passport_number": "US_PASSPORT"
    }  # fmt: skip


def test_a_name_for_a_thing_speaks_against(lake: Lake) -> None:
    names = ["Anna Nowak", "Oak Desk", "Carla Rossi"] * 30
    assert found(lake, {"product_name": list(names), "full_name": list(names)}) == {"full_name": "PERSON"}


def test_some_spoilt_cells_change_nothing(lake: Lake) -> None:
    cells: list[object] = [
        f"user{i}@example.com" if i % 10 < 7 else ("n/a", None, "see notes")[i % 3] for i in range(300)
    ]
    assert found(lake, {"c": cells}) == {"c": "EMAIL_ADDRESS"}


def test_nested_fields_and_json_are_looked_into(lake: Lake) -> None:
    rows = range(100)
    columns: dict[str, list[object]] = {
        "contact": [{"primary": {"mail": f"a{i}@example.org"}} for i in rows],
        "tags": [[f"b{i}@example.org"] for i in rows],
        "document": [f'{{"iban": "DE89370400440532013000", "n": {i}}}' for i in rows],
    }
    assert found(lake, columns) == {"contact": "EMAIL_ADDRESS", "tags": "EMAIL_ADDRESS", "document": "IBAN_CODE"}


def test_text_is_flagged_and_a_full_pass_finds_the_one_row(lake: Lake) -> None:
    some: list[object] = [
        f"please call me back about parcel {i}" + ", b@example.org" * (i % 20 == 0) for i in range(200)
    ]
    rare: list[object] = [f"nothing to see in this remark {i % 7}" for i in range(20_000)]
    rare[11_111] = "my new address is c@example.org as of today"
    assert found(lake, {"note": some}) == {"note": "FREE_TEXT"}
    assert found(lake, {"remark": rare}) == {}
    assert found(lake, {"remark": rare}, full=True) == {"remark": "FREE_TEXT"}


def test_what_a_person_rejected_stays_rejected(lake: Lake) -> None:
    lake.load("r", {"c": [f"x{i}@example.com" for i in range(50)]}, mode="replace")
    lake.call("scan_pii", "r")
    lake.call("set_pii", "column:r.c", "EMAIL_ADDRESS", "rejected")
    assert [row["status"] for row in lake.call("scan_pii", "r").to_pylist()] == ["rejected"]


def test_names_are_read_as_words() -> None:
    assert read("customerEmailAddress").speaks_for("email address")
    assert read("GEBURTSDATUM").speaks_for("geburtsdatum")
    assert not read("emailed_count").speaks_for("email")


def test_recognisers_of_ones_own() -> None:
    kinds = custom.parse('[EMPLOYEE_ID]\npattern = "E[0-9]{6}"\nnames = ["employee id"]\nname_needed = true')
    assert kinds["EMPLOYEE_ID"].tier is Tier.NAMED
    for wrong in ("[x", "[lower]\npattern = 'a'", "[A_B]\npattern = '('", "[A_B]\npattern = 'a'\nother = 1"):
        with pytest.raises(errors.InvalidRequest) as problem:
            custom.parse(wrong)
        assert problem.value.code == "recogniser_invalid"
