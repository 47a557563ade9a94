"""The embedded lake: a home folder opened in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from neurolake import errors, loading
from neurolake.catalog.client import Catalog
from neurolake.config import Settings, load
from neurolake.engine import Engine
from neurolake.home import Home
from neurolake.pii.client import Pii
from neurolake.query import OWNER, Request, Values
from neurolake.result import Result
from neurolake.sql.text import Name
from neurolake.user_sessions import UserSessions

if TYPE_CHECKING:
    from neurolake.activity import Step
    from neurolake.backup.interface import LakeBackups
    from neurolake.session import Session

__all__ = ["EmbeddedLake", "Lake"]


class Lake:
    """What every lake can do, embedded or remote. `neurolake.connect` opens one; `with` closes it.

    The primitives, `sql`, `load` and `as_user`, differ between the two; everything else is composed of them.
    """

    def sql(self, text: str, values: Values = None, *, timeout_s: float | None = None, **named: object) -> Result:
        """Run one statement.

        Args:
            text: the SQL, with `?` or `$name` for parameters.
            values: the parameters: a sequence for `?`, a mapping for `$name`.
            timeout_s: stop after so long.
            named: parameters by name, as keywords.

        Raises:
            NeuroLakeError: what went wrong, with a stable code and a next step.
        """
        raise NotImplementedError

    def load(self, name: str, data: object, mode: str = "create", keys: Sequence[str] = ()) -> int:
        """Put a table, a frame or a file into a managed table, all of it or nothing; how many rows it brought.

        `mode` is create, append, create_append, replace, or upsert by `keys`.
        """
        raise NotImplementedError

    def as_user(self, user: str | None = None, *, password: str | None = None, token: str | None = None) -> Lake:
        """The same lake for another user: a session of its own, to be closed like any lake.

        Args:
            user, password: who, and the proof.
            token: instead of both: a token that stands for its user.

        Raises:
            LoginFailed: the proof is missing, wrong or over, or failures slow the next try down.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the lake. Statements in flight are cancelled."""
        raise NotImplementedError

    def progress(self) -> Step | None:
        """How far the work is that this session waits for; None where nobody can tell. From any thread."""
        raise NotImplementedError

    def _execute(self, text: str) -> None:
        with self.sql(text):
            pass

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of this thread in the block are one transaction: committed at its end, or rolled back.

        What the block raises comes out as it is, with a note where the ROLLBACK failed, too: the session may be lost.
        """
        self._execute("BEGIN")
        try:
            yield
        except BaseException as error:
            try:
                self._execute("ROLLBACK")
            except errors.NeuroLakeError as problem:
                error.add_note(f"The ROLLBACK failed: {problem}")
            raise
        self._execute("COMMIT")

    def call(self, procedure: str, *positional: object, **named: object) -> pa.Table:
        """Call a procedure; its answer as an Arrow table. `CALL neurolake.<name>(…)` does the same in SQL."""
        placed = [f"${position}" for position in range(1, len(positional) + 1)]
        placed += [f"{name} => ${len(positional) + number}" for number, name in enumerate(named, 1)]
        text = f"CALL neurolake.{procedure}({', '.join(placed)})"
        values = [*positional, *named.values()]
        return self.sql(text, values or None).arrow()

    def register(
        self,
        name: str,
        location: str | Path,
        format: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> pa.Table:
        """Give files a name: a path or URL, a glob, a folder, a hive-partitioned tree."""
        return self.call("register", name, str(location), format=format, options=dict(options) if options else None)

    def unregister(self, name: str) -> pa.Table:
        """Forget a registered source. Its files stay."""
        return self.call("unregister", name)

    def cancel(self, query_id: str) -> pa.Table:
        """Cancel a running statement by its id."""
        return self.call("cancel", query_id)

    @property
    def backups(self) -> LakeBackups:
        """Snapshots: take, verify and restore them."""
        from neurolake.backup.interface import LakeBackups

        return LakeBackups(self)

    @property
    def catalog(self) -> Catalog:
        """See what tables, columns and sources there are; tag and describe them."""
        return Catalog(self)

    @property
    def pii(self) -> Pii:
        """Find personal data, see what was found, and mask it."""
        return Pii(self)

    def tables(self) -> list[str]:
        """The names of all tables, views and sources."""
        rows = self.sql("SELECT DISTINCT table_schema, table_name FROM neurolake.columns ORDER BY ALL").fetchall()
        return [str(Name(schema, table)) for schema, table in rows]

    def __getitem__(self, name: str) -> Result:
        return self.sql(f"SELECT * FROM {Name.parse(name).sql()}")

    def _ipython_key_completions_(self) -> list[str]:
        return self.tables()

    def __enter__(self) -> Lake:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EmbeddedLake(Lake):
    """A lake in this process. Thread-safe: many threads may share it, each result on a cursor of its own.

    Args:
        engine: what runs the statements.
        session: whose they are.
        users: the sessions of the lake's users.
        shared: the engine is another lake's, and stays open when this one is closed.
    """

    def __init__(self, engine: Engine, session: Session, users: UserSessions, *, shared: bool = False) -> None:
        self.engine = engine
        self.session = session
        self._users = users
        self._shared = shared

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        **flags: object,
    ) -> EmbeddedLake:
        """Open a home folder, made if missing, as its owner, or as a user; ':memory:' keeps nothing.

        Raises:
            HomeProblem: the folder is in use, too new or damaged; or it is no lake, and so has no users.
            InvalidRequest: ':memory:' is opened as a user.
            LoginFailed: the user's proof is missing, wrong or over.
        """
        proof = (user, password, token)
        by_proof, in_memory = any(part is not None for part in proof), str(path) == ":memory:"
        if by_proof and in_memory:
            raise errors.InvalidRequest(
                "A new lake in memory has no users.",
                code="no_users",
                next_step="Open it without user, password and token, make users, and use lake.as_user.",
            )
        if in_memory:
            return cls.in_memory(load(None, flags=flags))
        home = Home.open(path, create=not by_proof)
        try:
            engine = Engine(home, load(home.path, flags=flags))
        except BaseException:
            home.close()
            raise
        try:
            users = UserSessions(engine)
            return cls(engine, users.enter(*proof) if by_proof else engine.session(OWNER, per_thread=True), users)
        except BaseException:
            engine.close()
            raise

    @classmethod
    def in_memory(cls, settings: Settings) -> EmbeddedLake:
        """A new lake that keeps nothing."""
        home = Home.memory()
        try:
            engine = Engine(home, settings, in_memory=True)
        except BaseException:
            home.close()
            raise
        return cls(engine, engine.session(OWNER, per_thread=True), UserSessions(engine))

    def as_user(
        self, user: str | None = None, *, password: str | None = None, token: str | None = None
    ) -> EmbeddedLake:
        """The same lake for another user. See `Lake.as_user`."""
        return EmbeddedLake(self.engine, self._users.enter(user, password, token), self._users, shared=True)

    def sql(self, text: str, values: Values = None, *, timeout_s: float | None = None, **named: object) -> Result:
        """Run one statement. See `Lake.sql`."""
        if named and values is not None:
            raise errors.InvalidRequest(
                "Give parameters once: as a sequence, a mapping, or keywords.", code="parameters"
            )
        return self.engine.run(Request(text, self.session, named or values, timeout_s=timeout_s))

    def load(self, name: str, data: object, mode: str = "create", keys: Sequence[str] = ()) -> int:
        """Load data into a managed table. See `Lake.load`."""
        return loading.load(self.engine, self.session, name, data, mode, keys)

    def progress(self) -> Step | None:
        """How far the session's oldest statement is. See `Lake.progress`."""
        return self.engine.activities.step_of(self.session)

    def close(self) -> None:
        """Close the lake, and those that `as_user` gave; one of these closes alone."""
        self._users.close(self.session)
        if not self._shared:
            self._users.close_all()
            self.engine.close()

    def __repr__(self) -> str:
        return f"<Lake {self.engine.home.path}>"
