"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples every time, so that a change is blamed for what it did; `--hypothesis-profile=explore` draws others.
settings.register_profile("neurolake", settings.get_profile("explore"), derandomize=True)
settings.load_profile("neurolake")

# Tests start hundreds of processes: like a user's, they keep what they have compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
