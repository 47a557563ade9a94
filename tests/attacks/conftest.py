"""The two lakes, served for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.lakes import Served, served


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two lakes that differ in hidden values alone."""
    with served(tmp_path_factory.mktemp("alpha"), 0) as alpha, served(tmp_path_factory.mktemp("omega"), 1) as omega:
        yield alpha, omega
