"""SQLAlchemy's own suite for dialects, on the dialect that the URL names."""

import pytest
from sqlalchemy.dialects import registry

for name in ("gizmosql", "gizmosql.adbc"):
    registry.register(name, "superset_sqlalchemy_gizmosql_adbc_dialect", "GizmoSQLDialect")
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403
