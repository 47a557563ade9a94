"""What the steps of quickstart share: the folder, the server, the connection, and how to reach them again."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from neurolake import errors
from neurolake.adbc import translated
from neurolake.config import load, resolve_secret

if TYPE_CHECKING:
    import subprocess

    import pyarrow as pa

    from neurolake.lake import Lake

__all__ = ["Demo"]

MARK = "made-by-neurolake-quickstart"
"""A file in the data folder: what lies there may be made anew."""
ROWS_SHOWN = 8
PORT = 31337


class Demo:
    """One run of quickstart. Leaving its `with` block stops and closes whatever is still open."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.name = shlex.quote(str(folder))
        self.home = folder.expanduser().absolute()
        self.data = self.home / "data"
        self.open = ExitStack()
        self.lake: Lake | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.uri = ""
        self.connection: Any = None
        self.result: pa.Table | None = None
        self.password = ""
        self.is_ours = False
        self._say = say

    @property
    def is_again(self) -> bool:
        """Whether an earlier quickstart made the folder.

        Raises:
            HomeProblem: it holds something else.
        """
        if (self.data / MARK).exists():
            return True
        if self.home.exists() and (not self.home.is_dir() or any(self.home.iterdir())):
            raise errors.HomeProblem(
                f"{self.name} is not empty, and no earlier quickstart made it.",
                code="folder_not_empty",
                next_step="Name another folder: neurolake quickstart DIR.",
            )
        return False

    def choose_password(self) -> str:
        """The administrator's: as the settings say, else a new one, which is shown."""
        configured = load(self.home).admin_password
        self.is_ours = not configured
        self.password = resolve_secret(configured) if configured else secrets.token_urlsafe(12)
        return self.password

    def say(self, text: str) -> None:
        """Say something below the step's title."""
        for line in text.splitlines():
            self._say(f"   {line}".rstrip())

    def ask(self, sql: str, connection: Any = None) -> pa.Table:
        """Run SQL through the driver, as the administrator or as given, and show it and what came back."""
        from neurolake.formats import render

        self.say(sql)
        with translated(self.uri), (connection or self.connection).cursor() as cursor:
            cursor.execute(sql)
            table: pa.Table = cursor.fetch_arrow_table()
        self.say("\n" + render(table.schema, table.to_batches(), rows_max=ROWS_SHOWN))
        return table

    def shown_password(self) -> dict[str, object]:
        """The password, where it was made here; one that was set elsewhere is not repeated."""
        return {"password": self.password} if self.is_ours else {}

    def how_to_connect(self) -> str:
        """The lines that end the run."""
        password = self.password if self.is_ours else "…"
        login = f"user admin, password {password}" if self.is_ours else "user admin, with the password you have set"
        uri = f"grpc://127.0.0.1:{PORT}"
        return f"""\
The lake stays in {self.name}. Serve it:

   neurolake serve {self.name}

Then connect as {login}:

   Notebook    import neurolake
               lake = neurolake.connect("{uri}", user="admin", password="{password}")
               lake.sql("SELECT * FROM orders LIMIT 5").arrow()       # or .df(), .pl()

   ADBC        import adbc_driver_flightsql.dbapi as flightsql
               connection = flightsql.connect("{uri}", db_kwargs={{"username": "admin", "password": "{password}"}})
   pandas      pandas.read_sql("SELECT * FROM orders LIMIT 5", connection)
   polars      polars.read_database("SELECT * FROM orders LIMIT 5", connection)
               (.df() and .pl(), pandas and polars are extras: pip install 'neurolake[pandas,polars]')

   BI tools    ADBC: driver adbc_driver_flightsql, uri {uri}
               or Flight SQL over JDBC, untested: jdbc:arrow-flight-sql://127.0.0.1:{PORT}?useEncryption=false&user=admin

Without a server, from Python or the command line:

   neurolake.connect({str(self.home)!r}).sql("SELECT count(*) FROM orders").fetchall()
   neurolake sql "SELECT count(*) FROM orders" --lake {self.name}
   neurolake shell --lake {self.name}"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.close()
