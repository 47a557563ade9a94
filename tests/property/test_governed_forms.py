"""Random queries of one form, by the thousand. Three files make the slow queries, so that three workers can."""

from __future__ import annotations

import pytest

from property.governed_queries import Asked, check_forms

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("start", range(40_000, 44_000, 100))
def test_thousands_of_one_form_see_the_same(asked: tuple[Asked, ...], start: int) -> None:
    check_forms(asked, range(start, start + 100))
