"""The commands for users, roles, policies, the catalog and the audit log."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import neurolake
from neurolake.cli import run
from neurolake.lake import EmbeddedLake


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line on a lake with one table."""
    home = tmp_path / "lake"
    with neurolake.connect(home) as lake:
        lake.sql("CREATE TABLE people AS SELECT 1 AS id, 'ada@example.org' AS email, 'north' AS region").close()

    def call(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfd.readouterr()
        code = run([*arguments, "--lake", str(home)])
        return Ended(code, *capfd.readouterr())

    return call


def rows(command: Run, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(command(*arguments, "--json").out)
    return found


def test_users_and_roles_from_end_to_end(command: Run, tmp_path: Path) -> None:
    for line, said in (
        ("role create staff", "Made the role staff."),
        ("role create Analyst --inherits staff", "Made the role analyst."),
        ("user create ann --role analyst --stdin", "Made the user ann."),
        ("user create loader", "Made the user loader."),
        ("user attribute ann region north", "Set region of ann."),
        ("role give staff loader", "loader has the role staff."),
        ("role take staff loader", "loader has the role staff no more."),
    ):
        assert command(*line.split(), stdin="a good password\n") == (0, f"{said}\n", "")
    assert rows(command, "user", "list") == [
        {"user_name": "ann", "role": "analyst", "roles": ["analyst"], "attributes": '{"region": "north"}'},
        {"user_name": "loader", "role": None, "roles": [], "attributes": "{}"},
    ]
    assert rows(command, "role", "list") == [
        {"role": "admin", "inherits": []},
        {"role": "analyst", "inherits": ["staff"]},
        {"role": "staff", "inherits": []},
    ]  # fmt: skip
    lake = neurolake.connect(tmp_path / "lake")
    assert isinstance(lake, EmbeddedLake)
    with lake:
        assert lake.engine.users.knows("ann", "a good password")
    assert command("user", "password", "ann", "--stdin", stdin="another password\n").code == 0
    token = command("user", "token", "ann", "--role", "analyst", "--expires", "1d").out.strip()
    (shown,) = rows(command, "user", "tokens")
    assert token
    assert token not in json.dumps(shown)
    assert command("user", "revoke", str(shown["token_id"])).code == 0
    assert command("user", "drop", "ann").out == "Dropped the user ann.\n"
    assert command("user", "drop", "ann").code == 1


def test_grants_policies_and_the_catalog_from_end_to_end(command: Run) -> None:
    for line in (
        ["role", "create", "analyst"],
        ["policy", "grant", "read", "people", "analyst"],
        ["catalog", "review", "people"],
        ["catalog", "review", "column:people.email", "email_address"],
        ["catalog", "tag", "column:people.id", "Key"],
        ["catalog", "tag", "people", "internal"],
        ["catalog", "tag", "people", "internal", "--remove"],
        ["catalog", "describe", "column:people.id", "A running number."],
        ["catalog", "declassify", "column:people.region", "--reason", "regions are public"],
        ["policy", "set", "mails", "entity:EMAIL_ADDRESS", "partial", "--option", "email=true"],
        ["policy", "set", "ids", "tag:key", "bucket", "--role", "analyst", "--option", "width=100"],
        ["policy", "filter", "own", "people", "region = neurolake.attribute('region')"],
    ):
        ended = command(*line)
        assert (ended.code, ended.err) == (0, ""), ended
    assert [
        (row["column_name"], row["tags"], row["entity"], row["pii_status"], row["description"])
        for row in rows(command, "catalog", "columns", "People")
    ] == [
        ("id", ["key"], None, "confirmed", "A running number."),
        ("email", [], "EMAIL_ADDRESS", "confirmed", None),
        ("region", [], None, "confirmed", None),
    ]
    assert [(row["name"], row["role"], row["action"]) for row in rows(command, "policy", "list")] == [
        ("ids", "analyst", "bucket"), ("mails", "*", "partial"), ("own", "*", "row_filter"),
    ]  # fmt: skip
    assert [row["object"] for row in rows(command, "policy", "grants")] == ["table:main.people"]
    explained = command("policy", "explain", "SELECT * FROM people", "--role", "analyst")
    assert "partial" in explained.out
    assert explained.code == 0
    explained = command("policy", "explain", "--object", "column:people.email", "--role", "analyst")
    assert (explained.code, "partial" in explained.out) == (0, True)
    unknown = command("policy", "explain", "--object", "people", "--for-user", "nobody")
    assert (unknown.code, "nobody" in unknown.err) == (1, True)
    assert command("policy", "drop", "own", "--filter").code == 0
    assert command("policy", "drop", "own").code == 1
    assert command("policy", "revoke", "read", "people", "analyst").code == 0


def test_the_audit_log_is_checked_and_exported(command: Run, tmp_path: Path) -> None:
    command("role", "create", "analyst")
    assert command("audit", "verify").code == 0
    (row, _) = json.loads(command("audit", "verify", "--json").out)
    assert command("audit", "verify", "--last-hash", row["last_hash"]).code == 0
    other = command("audit", "verify", "--last-hash", row["last_hash"][::-1])
    assert (other.code, "does not hold" in other.err) == (4, True)
    file = tmp_path / "audit.json"
    assert command("audit", "export", "--output", str(file)).code == 0
    assert [record["event"] for record in json.loads(file.read_text())] == ["create_role"]
    lake = neurolake.connect(tmp_path / "lake")
    assert isinstance(lake, EmbeddedLake)
    with lake, lake.engine.store.durable() as db:
        db.execute("UPDATE audit SET user_name = 'somebody else'")
    ended = command("audit", "verify")
    assert ended.code == 4
    assert "[audit_broken]" in ended.err


@pytest.mark.parametrize(
    "line", ["user create ann --ask --stdin", "catalog declassify people", "policy set p people null --option x"]
)
def test_wrong_usage(command: Run, line: str) -> None:
    assert command(*line.split()).code == 2
