"""pandas' own tests of `read_sql` and `to_sql` over ADBC, with our server in the place of PostgreSQL.

What the tests find in the wheel is pandas' own; the data of one fixture is not in it and is made here.
"""

import csv
import os

import pytest
from adbc_driver_flightsql import dbapi
from pandas.tests.io.test_sql import *  # noqa: F403

URI = f"grpc://{os.environ['TEST_HOST']}:{os.environ['TEST_PORT']}"
LOGIN = {"username": os.environ["TEST_USER"], "password": os.environ["TEST_PASSWORD"]}


@pytest.fixture
def postgresql_adbc_conn():
    with dbapi.connect(URI, db_kwargs=LOGIN) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS public")
        connection.commit()
        yield connection
        connection.rollback()
        cursor.execute("SELECT table_schema, table_name, table_type FROM information_schema.tables "
                       "WHERE table_schema IN ('main', 'public') ORDER BY table_type DESC")  # fmt: skip
        for schema, table, kind in cursor.fetchall():
            cursor.execute(f'DROP {kind.removeprefix("BASE ")} "{schema}"."{table}"')
        connection.commit()


@pytest.fixture
def iris_path(tmp_path):
    path = tmp_path / "iris.csv"
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["SepalLength", "SepalWidth", "PetalLength", "PetalWidth", "Name"])
        rows.writerow([5.1, 3.5, 1.4, 0.2, "Iris-setosa"])
        rows.writerows([4 + i / 50, 2 + i / 100, 1 + i / 40, 0.1 + i / 80, f"Iris-{i % 3}"] for i in range(1, 150))
    return path
