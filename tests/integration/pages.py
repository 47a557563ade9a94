"""Pages of Markdown, and how their code is run: each page from top to bottom, in a folder of its own.

A comment right above a block says what is special about it:

    <!-- doc: serves -->          a server: started, and stopped at the page's end or by the next one
    <!-- doc: output -->          not code: what the block before it printed, with … for what changes
    <!-- doc: fails -->           an error is what the block shows
    <!-- doc: skip: reason -->    not run, and why

A block that readers need not see stands in a comment: `<!-- doc: hidden sh`, its lines, `-->`; in place of the language
`serves` starts a server.
"""

from __future__ import annotations

import ast
import contextlib
import http.client
import io
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
RUN = ("python", "sh", "sql", "toml")
SERVES_WITHIN_S = 60
BLOCK_TIMEOUT_S = 120
OWN_LAKE = ".lake"

_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>\w*)[ \t]*\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE
)
_HIDDEN = re.compile(r"^<!-- doc: hidden (?P<language>\w+)\n(?P<code>.*?)^-->[ \t]*$", re.DOTALL | re.MULTILINE)
_ABOVE = re.compile(r"<!-- doc: (?P<words>[^\n]*?) -->\s*\Z")
_KNOWN = re.compile(r"serves|output|fails|skip: \S.*|")


class Block(NamedTuple):
    """One fenced block, where it stands, and what the comment above it says."""

    page: Path
    line: int
    language: str
    code: str
    directive: str

    @property
    def place(self) -> str:
        """Where it stands, for a message."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether it is code that the tests run."""
        return self.language in RUN and not self.directive.startswith("skip")


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, hidden ones included, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in [*_HIDDEN.finditer(text), *_FENCE.finditer(text)]:
        above = _ABOVE.search(text, 0, match.start()) if match.re is _FENCE else None
        line = text.count("\n", 0, match.start()) + 1
        language, directive = match["language"], above["words"] if above else ""
        if language == "serves":
            language, directive = "sh", "serves"
        block = Block(page, line, language, match["code"], directive)
        assert _KNOWN.fullmatch(directive), f"{block.place}: {directive!r} says nothing that is known"
        found.append(block)
    return sorted(found, key=lambda block: block.line)


class Runner:
    """Runs the blocks of one page. A context manager: what the page started or opened ends with it.

    Args:
        folder: an empty folder; the blocks run in it.
        environment: changed by the page's blocks, as a reader's shell is.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.ports = {documented: str(free_port()) for documented in ("31337", "31338", "8080")}
        self.environment["NEUROLAKE_PORT"] = self.ports["31337"]
        self.environment["NEUROLAKE_HTTP_PORT"] = self.ports["8080"]
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.printed = ""
        self._server: subprocess.Popen[str] | None = None
        self._connection: Any = None

    def run(self, block: Block) -> None:
        """Run one block, or compare the output it shows."""
        code = block.code
        for documented, free in self.ports.items():
            code = code.replace(documented, free)
        if block.directive == "output":
            self._compare(block, code)
        elif block.directive == "serves":
            self._serve(block.place, code)
        elif block.is_run:
            failed = getattr(self, f"_run_{block.language}")(code)
            wanted = block.directive == "fails"
            assert bool(failed) == wanted, f"{block.place} {'did not fail' if wanted else 'failed'}:\n{self.printed}"

    def _compare(self, block: Block, shown: str) -> None:
        wanted = ".*?".join(re.escape(part) for part in _trimmed(shown).split("…"))
        assert re.fullmatch(wanted, _trimmed(self.printed), re.DOTALL), (
            f"{block.place} shows something else than was printed:\n{self.printed}"
        )

    def _run_python(self, code: str) -> bool:
        """As a notebook does: the value of a last expression is shown."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                tree = ast.parse(code)
                last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
                exec(compile(tree, "<page>", "exec"), self.names)
                if isinstance(last, ast.Expr):
                    value = eval(compile(ast.Expression(last.value), "<page>", "eval"), self.names)
                    print("" if value is None else value)
            except Exception as error:
                print(*traceback.format_exception_only(error))
                failed = True
            else:
                failed = False
        self.printed = printed.getvalue()
        return failed

    def _run_sh(self, code: str) -> bool:
        """In bash, which passes what it exports on to the page's next blocks."""
        kept = self.folder / ".environment"
        script = f"set -euo pipefail\ntrap 'env -0 > {kept}' EXIT\n{code}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BLOCK_TIMEOUT_S, check=False,
        )  # fmt: skip
        for pair in filter(None, kept.read_text().split("\0")):
            name, _, value = pair.partition("=")
            self.environment[name] = value
        self.printed = done.stdout
        return done.returncode != 0

    def _run_sql(self, code: str) -> bool:
        """Statement by statement over Flight SQL, on one connection for the whole page."""
        from adbc_driver_manager import Error

        from neurolake.formats.table import render

        self.printed = ""
        with self.connection().cursor() as cursor:
            for statement in re.split(r";[ \t]*$", code, flags=re.MULTILINE):
                if not statement.strip():
                    continue
                try:
                    cursor.execute(statement)
                    table = cursor.fetch_arrow_table()
                    if table.num_columns:
                        self.printed = render(table.schema, table.to_batches())
                except Error as error:
                    self.printed = str(error)
                    return True
        return False

    def _run_toml(self, code: str) -> bool:
        """As a lake's settings."""
        from neurolake import config, errors

        (self.folder / config.SETTINGS_FILE).write_text(code)
        try:
            config.load(self.folder, environ={})
        except errors.NeuroLakeError as problem:
            self.printed = str(problem)
            return True
        finally:
            (self.folder / config.SETTINGS_FILE).unlink()
        return False

    def connection(self) -> Any:
        """A connection of the stock driver to the server that the page has started, else to one with an empty lake."""
        from adbc_driver_flightsql import dbapi

        if self._server is None:
            self.environment.setdefault("NEUROLAKE_ADMIN_PASSWORD", secrets.token_urlsafe(12))
            self._serve("a page without a server", f"neurolake init {OWN_LAKE}\nneurolake serve {OWN_LAKE}")
        if self._connection is None:
            login = {"username": "admin", "password": self.environment["NEUROLAKE_ADMIN_PASSWORD"]}
            uri = f"grpc://127.0.0.1:{self.ports['31337']}"
            self._connection = dbapi.connect(uri, db_kwargs=login, autocommit=True)
        return self._connection

    def _serve(self, place: str, code: str) -> None:
        self._stop_server()
        log = self.folder / ".server"
        with log.open("w") as out:
            self._server = subprocess.Popen(
                ["bash", "-c", f"set -e\n{_exec_last(code)}"], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        until = time.monotonic() + SERVES_WITHIN_S
        while not (is_ready(self.ports["8080"]) and log.read_text().endswith("\n")):  # it says so once it is ready
            gone = self._server.poll() is not None or time.monotonic() > until
            assert not gone, f"{place} does not serve:\n{log.read_text()}"
            time.sleep(0.05)
        self.printed = log.read_text()

    def _stop_server(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGTERM)
            assert server.wait(BLOCK_TIMEOUT_S) == 0, (self.folder / ".server").read_text()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        for value in list(self.names.values()):
            if type(value).__module__.split(".")[0] in ("neurolake", "adbc_driver_manager") and hasattr(value, "close"):
                value.close()
        self._stop_server()


def _exec_last(code: str) -> str:
    """The last command in place of the shell, so that signals reach it."""
    *before, last = code.strip().split("\n")
    command = re.sub(r"^((?:\w+=\S+ )*)", r"\1exec ", last)
    return "\n".join([*before, command])


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def is_ready(port: str | int) -> bool:
    """Whether the server whose HTTP port this is says that all its parts work."""
    unverified = ssl._create_unverified_context()
    for scheme in ("http", "https"):
        url = f"{scheme}://127.0.0.1:{port}/readyz"
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(url, timeout=5, context=unverified) as answer,
        ):
            return bool(answer.status == 200)
    return False


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(home: Path) -> dict[str, str]:
    """The environment a reader has: this Python's commands first, and no settings of somebody else's lake."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("NEUROLAKE_", "PYTEST_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**ours, "PATH": path, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "100"}


def pages() -> Iterator[Path]:
    """The pages whose code is run."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))
