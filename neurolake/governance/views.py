"""Secure views: what stands in place of a relation for one role, made when a statement names it.

A view's name is made from its own SQL, so it never changes: another policy gives another text and another name.
Statements outside transactions read views in numbered in-memory catalogs that all sessions share; a statement on a
session's home cursor reads temporary secure views of that cursor, since an open transaction does not see what another
connection makes meanwhile. Connections that run governed statements stand in an empty schema: no name without a path
leads anywhere, and nobody's macro can stand in for one of the engine's functions.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from neurolake import errors
from neurolake._duckdb import CATALOG, Cursor, Instance
from neurolake.governance import masks
from neurolake.governance.access import TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.gate import Path
from neurolake.governance.gate_keys import Keys
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA, quote

RESERVED: Final = "__neurolake_"
"""How the names begin that no user may give to anything."""

VIEW: Final = f"{RESERVED}v_"
"""How the names of secure views begin: what follows is made from their text and the types of their columns."""

_EMPTY: Final = f"{RESERVED}empty"
_SCHEMA: Final = "v"
VIEWS_PER_CATALOG: Final = 1000
CATALOGS_KEPT: Final = 3
MAKING_TRIES: Final = 5
PLANNED_MAX: Final = 500
"""How many texts of views are kept, so that they need not be put together for each statement."""


def view_text(
    relation: str,
    columns: Mapping[str, str],
    decision: TableDecision,
    rows: str | None = None,
    named: Collection[str] | None = None,
) -> str:
    """The SELECT of a role's view on a relation.

    Args:
        relation: the SQL of what is read.
        columns: its columns and their DuckDB types.
        decision: what becomes of each, in the same order.
        rows: the condition that every visible row fulfils.
        named: folded, the names by which the statement may mean a column: masked ones are left out where they are not
            among them, since they would be bound for nothing. None where it may mean any.

    Raises:
        AccessDenied: nothing of the relation is visible.
    """
    visible = [column for column in decision.columns if column.action != ABSENT]
    if not visible:
        raise errors.AccessDenied(
            "Nothing of it is visible.", code="relation_denied", next_step="Ask an administrator for access."
        )
    if named is not None:
        meant = [c for c in visible if c.action == "allow" or fold(c.column) in named]
        visible = meant or visible[:1]
    shown = []
    for column in visible:
        name = quote(column.column)
        made = masks.expression(column.action, column.options, f"t.{name}", columns[column.column])
        shown.append(f"{made} AS {name}")
    source = relation if rows is None else f"(SELECT * FROM {relation} WHERE {rows})"
    return f"SELECT {', '.join(shown)} FROM {source} AS t"


class View(NamedTuple):
    """What a view is made of: its SELECT, the types of the relation's columns, the scopes whose keys it needs."""

    text: str
    types: str
    scopes: frozenset[str]


def of(text: str, columns: Mapping[str, str], decision: TableDecision) -> View:
    """The view that a SELECT makes of a relation with these columns, as it was decided."""
    scopes = masks.keys_of((column.action, column.options) for column in decision.columns)
    return View(text, json.dumps(list(columns.items())), scopes)


class SecureViews:
    """The views of one lake, and the connections that may read them. Safe to share between threads.

    Args:
        instance: the open database.
        keys: what masks need.
        dropped: called when a catalog of views was dropped, so that plans which read it are made again.
    """

    def __init__(self, instance: Instance, keys: Keys, dropped: Callable[[], None]) -> None:
        self._instance = instance
        self._dropped = dropped
        self.keys = keys
        self._lock = threading.Lock()
        self._generation = -1
        self._made: dict[str, Path] = {}
        self._catalogs: deque[str] = deque()
        self._count = 0
        self._number = 0
        self._prepared: weakref.WeakKeyDictionary[Cursor, int] = weakref.WeakKeyDictionary()
        self._temporary: weakref.WeakKeyDictionary[Cursor, set[str]] = weakref.WeakKeyDictionary()
        self._idle: list[Cursor] = []
        self._secret = secrets.token_bytes(32)
        self._planned: OrderedDict[tuple[object, ...], tuple[TableDecision, dict[str, str], View]] = OrderedDict()

    # Connections

    def acquire(self) -> Cursor:
        """A connection for one governed statement. Give it back with `release`."""
        try:
            cursor = self._idle.pop()
        except IndexError:
            cursor = self._instance.cursor()
        if cursor.generation != self._instance.generation:
            cursor = self._instance.cursor()
        self.prepare(cursor)
        return cursor

    def release(self, cursor: Cursor) -> None:
        """Take back a connection."""
        if cursor.generation == self._instance.generation and len(self._idle) < 64:
            self._idle.append(cursor)
        else:
            cursor.close()

    def prepare(self, cursor: Cursor) -> None:
        """Let a connection run governed statements: it stands in the empty schema, and has the masks' keys.

        Raises:
            NeuroLakeError: it could not be done, and nothing governed may run there.
        """
        if self._prepared.get(cursor) != self.keys.count:
            self._ensure()
            self._stand(cursor)

    def _stand(self, cursor: Cursor) -> None:
        count = self.keys.count
        if cursor not in self._prepared:
            cursor.run(f"USE {_EMPTY}.{_SCHEMA}")
        if (statement := self.keys.statement()) is not None:
            cursor.run(statement)
        self._prepared[cursor] = count

    def restore(self, cursor: Cursor, schema: str) -> None:
        """Give a connection back to who may see everything, standing in a schema of the lake."""
        if self._prepared.pop(cursor, None) is not None:
            cursor.run(f"USE {CATALOG}.{quote(schema or DEFAULT_SCHEMA)}")

    def _ensure(self) -> None:
        """Make the empty catalog, again after the engine was opened again."""
        with self._lock:
            if self._generation == self._instance.generation:
                return
            generation = self._instance.generation
            self._made.clear()
            self._catalogs.clear()
            self._count = 0
            maker = self._instance.cursor()
            maker.run(f"ATTACH IF NOT EXISTS ':memory:' AS {_EMPTY}")
            maker.run(f"CREATE SCHEMA IF NOT EXISTS {_EMPTY}.{_SCHEMA}")
            maker.close()
            self._generation = generation

    # Views

    def planned(
        self,
        relation: str,
        columns: Mapping[str, str],
        decision: TableDecision,
        rows: str | None,
        named: frozenset[str] | None,
    ) -> View:
        """What a view is made of; arguments and errors as those of `view_text`.

        Kept by the very object that holds the decision, which another policy, grant or finding makes anew, and by the
        columns: nothing that is asked for under one decision is answered from another.
        """
        meant = None if named is None else frozenset(c.column for c in decision.columns if fold(c.column) in named)
        key = (id(decision), relation, rows, meant)  # of what a statement names, other words are none of the view's
        kept = self._planned.get(key)
        if kept is not None and kept[0] is decision and kept[1] == columns:
            return kept[2]
        made = of(view_text(relation, columns, decision, rows, named), columns, decision)
        self._planned[key] = decision, dict(columns), made
        while len(self._planned) > PLANNED_MAX:
            self._planned.popitem(last=False)
        return made

    def view(self, text: str, types: str) -> Path:
        """The path of a view in a shared catalog, made if it is not there yet.

        Args:
            text: its SELECT.
            types: what else the view depends on: the types of its columns.

        Raises:
            NeuroLakeError: it cannot be made; nothing may be read in its place.
        """
        name = self._name_of(text, types)
        self._ensure()
        if (path := self._made.get(name)) is not None:
            return path
        with self._lock:
            catalog = self._catalog()
        path = (catalog, _SCHEMA, name)
        self._make(f"CREATE SECURE VIEW IF NOT EXISTS {'.'.join(path)} AS {text}")
        with self._lock:
            self._made[name] = path
            self._count += 1
        return path

    def _make(self, statement: str) -> None:
        """Not under the lock: what a view reads may answer slowly, and must not hold up who names something else."""
        cursor = self.acquire()
        try:
            for attempt in range(MAKING_TRIES):
                try:
                    cursor.run(statement)
                    return
                except errors.InvalidRequest as problem:  # another thread makes the same view just now
                    if problem.code != "transaction" or attempt == MAKING_TRIES - 1:
                        raise
        finally:
            self.release(cursor)

    def temporary_view(self, cursor: Cursor, text: str, types: str) -> Path:
        """The path of a view of this connection alone, made if it is not there."""
        name = self._name_of(text, types)
        self.prepare(cursor)
        there = self._temporary.setdefault(cursor, set())
        if name not in there:
            cursor.run(f"CREATE TEMP SECURE VIEW IF NOT EXISTS {name} AS {text}")
            there.add(name)
        return ("temp", DEFAULT_SCHEMA, name)

    def rolled_back(self, cursor: Cursor) -> None:
        """A transaction of a connection is undone, and with it the views that were made in it."""
        self._temporary.pop(cursor, None)

    def _catalog(self) -> str:
        """The catalog that new views go to; the oldest ones are dropped, which no running statement notices."""
        if self._count < VIEWS_PER_CATALOG and self._catalogs:
            return self._catalogs[-1]
        self._number += 1
        catalog = f"{RESERVED}views_{self._number}"
        self._instance.acquire_and(lambda cursor: self._rotate(cursor, catalog))
        return catalog

    def _rotate(self, cursor: Cursor, catalog: str) -> None:
        cursor.run(f"ATTACH ':memory:' AS {catalog}")
        cursor.run(f"CREATE SCHEMA {catalog}.{_SCHEMA}")
        self._catalogs.append(catalog)
        self._count = 0
        while len(self._catalogs) > CATALOGS_KEPT:
            old = self._catalogs.popleft()
            self._made = {name: path for name, path in self._made.items() if path[0] != old}
            cursor.run(f"DETACH {old}")
            self._dropped()

    def _name_of(self, text: str, types: str) -> str:
        """A view's name: another text, or other types, have another. It tells nothing about either."""
        said = "\0".join((text, types)).encode()
        return f"{VIEW}{hmac.digest(self._secret, said, 'sha256').hex()[:32]}"

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            for cursor in self._idle:
                cursor.close()
            self._idle.clear()
