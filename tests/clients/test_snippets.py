"""What docs/clients.md shows for clients with environments of their own runs there, and prints what the page shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import adbc_driver_flightsql.dbapi as flight_sql
import pytest

from clients import environments
from clients.report import PAGE
from clients.running import Address, clean_environment

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1200)]

RUN_TIMEOUT_S = 120
_BLOCK = re.compile(
    r"<!-- doc: skip: tests/clients runs it with (?P<environment>[\w-]+) -->\n"
    r"```(?P<language>\w+)\n(?P<code>.*?)```\n\n"
    r"<!-- doc: skip: what that prints -->\n```text\n(?P<shown>.*?)```",
    re.DOTALL,
)


class Snippet(NamedTuple):
    """A block of the page, what runs it, and what it shows."""

    environment: str
    language: str
    code: str
    shown: str


def snippets() -> Iterator[Snippet]:
    text = PAGE.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        yield Snippet(match["environment"], match["language"], match["code"], match["shown"])


@pytest.fixture(scope="module")
def orders(address: Address) -> Iterator[None]:
    """The page's table."""
    login = {"username": address.user, "password": address.password}
    uri = f"grpc://{address.host}:{address.port}"
    with flight_sql.connect(uri, db_kwargs=login, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE orders AS SELECT i AS id, i % 3 AS customer_id FROM range(1000) r(i)")
        yield
        cursor.execute("DROP TABLE orders")


def run(snippet: Snippet, code: str, folder: Path) -> str:
    """Run a snippet in its environment; what it prints."""
    if snippet.language == "js":
        project = environments.node(snippet.environment)
        script = project / "snippet.mjs"
        script.write_text(code)
        command = ["node", str(script)]
    else:
        python = environments.python(snippet.environment)
        if snippet.language == "yaml":
            (folder / "profiles.yml").write_text(code)
            (folder / "dbt_project.yml").write_text("name: snippet\nprofile: lake\n")
            command = [str(python.with_name("dbt")), "debug", "--profiles-dir", "."]
        else:
            (folder / "snippet.py").write_text(code)
            command = [str(python), "snippet.py"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False, env=clean_environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("snippet", list(snippets()), ids=lambda snippet: f"{snippet.environment}-{snippet.language}")
def test_a_snippet_prints_what_the_page_shows(snippet: Snippet, address: Address, tmp_path: Path) -> None:
    code = snippet.code.replace("31337", str(address.port)).replace("correct-horse-battery", address.password)
    wanted = ".*".join(map(re.escape, snippet.shown.strip().split("…")))
    printed = run(snippet, code, tmp_path).strip()
    assert re.fullmatch(wanted, printed, re.DOTALL), printed


def test_the_page_has_a_snippet_for_each_environment() -> None:
    assert {snippet.environment for snippet in snippets()} == {"dbapi", "sqlalchemy", "dbt", *environments.NODE}
