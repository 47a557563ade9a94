"""Half of the random queries, by the thousand; test_governed_many_more.py is the other, for another worker."""

from __future__ import annotations

import pytest

from property.governed_queries import Asked, check

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("start", range(1000, 16_000, 1000))
def test_thousands_of_them(asked: tuple[Asked, ...], start: int) -> None:
    assert check(asked, range(start, start + 1000)) > 300
