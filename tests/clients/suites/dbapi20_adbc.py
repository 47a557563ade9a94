"""The DB-API compliance suite on `adbc_driver_flightsql.dbapi`."""

import os

import dbapi20
from adbc_driver_flightsql import dbapi

URI = f"grpc://{os.environ['TEST_HOST']}:{os.environ['TEST_PORT']}"
LOGIN = {"username": os.environ["TEST_USER"], "password": os.environ["TEST_PASSWORD"]}


class TestAdbc(dbapi20.DatabaseAPI20Test):
    driver = dbapi
    connect_args = (URI,)
    connect_kw_args = {"db_kwargs": LOGIN}  # noqa: RUF012  (the suite's own name for it)

    def test_nextset(self):
        """The suite leaves this test to the driver, and several results are optional in the standard."""
        with self._connect() as connection, connection.cursor() as cursor:
            self.assertRaises(dbapi.NotSupportedError, cursor.nextset)

    def test_setoutputsize(self):
        """The suite leaves this test to the driver."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.setoutputsize(1000)
            cursor.setoutputsize(2000, 0)
