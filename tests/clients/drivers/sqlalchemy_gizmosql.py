"""The SQLAlchemy dialect of Superset's GizmoSQL connector, unchanged, on a server of ours."""

from importlib.metadata import version

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy_trials import try_all
from trial import Server, main

PACKAGE = "superset-sqlalchemy-gizmosql-adbc-dialect"
registry.register("gizmosql", PACKAGE.replace("-", "_"), "GizmoSQLDialect")


def make(server: Server) -> sa.engine.Engine:
    return sa.create_engine(f"gizmosql://{server.user}:{server.password}@{server.host}:{server.port}")


try_all(make)
main(version(PACKAGE))
