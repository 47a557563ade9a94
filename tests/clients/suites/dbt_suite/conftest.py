"""dbt's tests of adapters, with dbt-gizmosql on a server of ours."""

import os

import pytest

pytest_plugins = ["dbt.tests.fixtures.project"]


@pytest.fixture(scope="class")
def dbt_profile_target():
    return {
        "type": "gizmosql",
        "host": os.environ["TEST_HOST"],
        "port": int(os.environ["TEST_PORT"]),
        "user": os.environ["TEST_USER"],
        "password": os.environ["TEST_PASSWORD"],
        "use_encryption": False,
        "threads": 1,
    }
