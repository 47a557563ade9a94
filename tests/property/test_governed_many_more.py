"""The other half of what test_governed_many.py makes."""

from __future__ import annotations

import pytest

from property.governed_queries import Asked, check

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("start", range(16_000, 31_000, 1000))
def test_thousands_more(asked: tuple[Asked, ...], start: int) -> None:
    assert check(asked, range(start, start + 1000)) > 300
