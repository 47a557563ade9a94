"""The lakes that governed queries are compared on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from property.governed_queries import ANN, SEEN, Asked, governed, opened


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[Asked, ...]]:
    """The role on two lakes, and the administrator of the model."""
    lakes = [governed("ALPHA", 71000, 0), governed("OM", 52222, 4), opened(SEEN)]
    sessions = [lake.engine.session(ANN) for lake in lakes[:2]]
    yield (*map(Asked, lakes, sessions), Asked(lakes[2], lakes[2].session))
    for lake in lakes:
        lake.close()
