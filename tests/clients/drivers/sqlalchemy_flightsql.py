"""flightsql-dbapi's SQLAlchemy dialect, made for DataFusion."""

from importlib.metadata import version

import flightsql.sqlalchemy  # noqa: F401  (registers the dialect)
import sqlalchemy as sa
from sqlalchemy_trials import try_all
from trial import Server, main


def make(server: Server) -> sa.engine.Engine:
    url = f"datafusion+flightsql://{server.user}:{server.password}@{server.host}:{server.port}?insecure=True"
    return sa.create_engine(f"{url}&feature-sqlalchemy-prepared-statements=on")


try_all(make)
main(version("flightsql-dbapi"))
