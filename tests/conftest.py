"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# How long an example takes says more of the machine than of the code.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples every time, so that a change is blamed for what it did; `--hypothesis-profile=explore` draws others.
settings.register_profile("neurolake", settings.get_profile("explore"), derandomize=True)
settings.load_profile("neurolake")

# Tests start hundreds of processes: like a user's, they keep what they have compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class ByFileAndPage(LoadFileScheduling):
    """Keeps a file's tests together, but for the pages of the documentation: they share nothing, and take minutes."""

    PAGES = "tests/integration/test_docs.py::test_every_block_of_a_page"

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(self.PAGES) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time a test waits for a server, a disk or a clock."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return ByFileAndPage(config, log) if config.getoption("dist") == "loadfile" else None
