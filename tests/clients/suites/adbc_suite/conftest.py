"""The servers that the ADBC project's tests ask for by name, all of them ours."""

import os

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pytest


@pytest.fixture(scope="session")
def dremio_uri():
    return f"grpc://{os.environ['TEST_HOST']}:{os.environ['TEST_PORT']}"


@pytest.fixture(scope="session")
def dremio_user():
    return os.environ["TEST_USER"]


@pytest.fixture(scope="session")
def dremio_pass():
    return os.environ["TEST_PASSWORD"]


@pytest.fixture
def dremio(dremio_uri, dremio_user, dremio_pass):
    login = {"username": dremio_user, "password": dremio_pass}
    with (
        adbc_driver_flightsql.connect(dremio_uri, db_kwargs=login) as database,
        adbc_driver_manager.AdbcConnection(database) as connection,
    ):
        yield connection


@pytest.fixture
def gizmosql(dremio):
    return dremio


@pytest.fixture
def dremio_dbapi(dremio_uri, dremio_user, dremio_pass):
    login = {"username": dremio_user, "password": dremio_pass}
    with adbc_driver_flightsql.dbapi.connect(dremio_uri, db_kwargs=login) as connection:
        yield connection


@pytest.fixture
def gizmosql_dbapi(dremio_dbapi):
    return dremio_dbapi
