"""Real telephone numbers, and real names of places and carriers, that an installed library carries."""

from __future__ import annotations

import pytest

from benchmarks.pii import corpus, real
from benchmarks.pii.corpus import Column
from benchmarks.pii.evaluate import predictions

NUMBERS = [column for column in real.libphonenumber() if column.entity]
OTHERS = [column for column in real.libphonenumber() if column.entity is None]
ENDINGS_OF_NAMES = frozenset(("be", "kk", "ru"))
"""Languages in whose places family names end, which docs/pii.md tells of."""


def said(columns: list[Column]) -> dict[str, str | None]:
    return dict(zip((column.family for column in columns), predictions(columns), strict=True))


def test_numbers_of_all_regions_are_found_by_their_column_s_name() -> None:
    assert len(NUMBERS) > 20
    assert set(said(NUMBERS).values()) == {"PHONE_NUMBER"}


def test_without_it_international_ones_are() -> None:
    found = said(corpus.hidden(NUMBERS))
    assert {family for family, entity in found.items() if entity != "PHONE_NUMBER"} <= {
        family for family in found if family.startswith("NATIONAL")
    }


@pytest.mark.parametrize("hidden", [False, True])
def test_places_and_carriers_are_nobody(hidden: bool) -> None:
    some = OTHERS[::3]
    assert len(some) > 40
    taken = {family for family, entity in said(corpus.hidden(some) if hidden else some).items() if entity}
    assert {family.split()[1] for family in taken} <= ENDINGS_OF_NAMES
