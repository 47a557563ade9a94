"""The functions that users have made: the optimiser must not take one for DuckDB's own of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurolake._duckdb import Cursor
from neurolake.activity import Activity
from neurolake.identifiers import fold
from neurolake.query import Plan

if TYPE_CHECKING:
    from neurolake.engine import Engine

_OWN = "SELECT DISTINCT function_name FROM system.main.duckdb_functions() WHERE NOT internal"
"""It costs as much as a short statement does a dozen times over, since it goes through all that are built in."""


class OwnFunctions:
    """The folded names of users' functions, in every schema and attached database. Thread-safe.

    What everybody sees is known as long as the catalog stays as it is. It is asked for anew by each engine, since
    whatever else writes to the file while it is closed tells nobody.
    """

    def __init__(self) -> None:
        self._known: tuple[tuple[int, int], frozenset[str]] | None = None

    def seen_by(self, engine: Engine, plan: Plan, activity: Activity) -> frozenset[str]:
        """Those that a statement may call, its session's temporary ones and its transaction's among them."""
        from neurolake.engine import planning

        session = plan.request.session
        if session.in_transaction() and not session.sees_what_is(engine.catalog.version):
            with planning.borrowed(plan, activity) as cursor:
                return asked(cursor)
        state = (engine.catalog.version, engine.instance.generation)
        known = self._known
        if known is None or known[0] != state:
            known = self._known = (state, engine.instance.acquire_and(asked))
        return known[1] | session.temporary_functions


def asked(cursor: Cursor, *, temporary: bool = False) -> frozenset[str]:
    """The folded names of the functions that a cursor sees, or of the temporary ones alone."""
    only = " AND database_name = 'temp'" if temporary else ""
    return frozenset(fold(name) for (name,) in cursor.rows(_OWN + only))
