"""The shell: where statements end, what it shows, what Tab offers, and what it does not write down."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

import neurolake
from neurolake import errors
from neurolake.cli.shell.completion import LakeCompleter
from neurolake.cli.shell.console import Console, Quit
from neurolake.cli.shell.split import split
from neurolake.cli.shell.terminal import _history, run_script
from neurolake.cli.target import Target
from neurolake.home import Home


@pytest.fixture(scope="module")
def lake() -> Iterator[neurolake.Lake]:
    with neurolake.connect(":memory:") as lake:
        lake.sql("CREATE TABLE orders (order_id INT, ordered_at DATE)")
        lake.sql("INSERT INTO orders SELECT i, DATE '2026-01-01' FROM range(500) AS t(i)")
        lake.sql('CREATE SCHEMA sales; CREATE TABLE sales."Q1 2026" (amount INT)')
        yield lake


@pytest.fixture
def console(lake: neurolake.Lake) -> Console:
    return Console(lake)


@pytest.mark.parametrize(
    ("text", "statements", "rest"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"], ""),
        ("SELECT 1", [], "SELECT 1"),
        (";; ;SELECT 1;;", ["SELECT 1"], ""),
        ("SELECT 'a;b'; x", ["SELECT 'a;b'"], "x"),
        ("SELECT 'it''s;'; ", ["SELECT 'it''s;'"], ""),
        ("SELECT e'a\\';b';", ["SELECT e'a\\';b'"], ""),
        ('SELECT "a;b";', ['SELECT "a;b"'], ""),
        ("SELECT $$a;b$$, $t$;$$;$t$;", ["SELECT $$a;b$$, $t$;$$;$t$"], ""),
        ("SELECT 1 -- not;\n; ", ["SELECT 1 -- not;"], ""),
        ("SELECT 1 /* not; */;", ["SELECT 1 /* not; */"], ""),
        ("SELECT 'open; ", [], "SELECT 'open; "),
        ("SELECT 1; /* open; ", ["SELECT 1"], "/* open; "),
        ("SELECT $1; SELECT $x;", ["SELECT $1", "SELECT $x"], ""),
        ("-- only a comment;", [], ""),
    ],
)
def test_statements_end_at_semicolons_that_are_not_quoted(text: str, statements: list[str], rest: str) -> None:
    found = split(text)
    assert (found.statements, found.rest.strip()) == (statements, rest.strip())


def test_a_backslash_does_not_escape_in_a_plain_string() -> None:
    assert split("SELECT 'C:\\'; SELECT 2;").statements == ["SELECT 'C:\\'", "SELECT 2"]


# What it shows


def test_a_statement_shows_its_rows(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    console.do("SELECT 1 AS a")
    assert capfd.readouterr().out == "a\n─\n1\n(1 row)\n"


def test_a_change_shows_how_many_rows_and_the_rest_ok(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    console.do("CREATE TEMP TABLE t AS SELECT 1 AS a")
    console.do("INSERT INTO t VALUES (2), (3)")
    console.do("DELETE FROM t WHERE a = 2")
    assert capfd.readouterr().out == "ok\n2 rows\n1 row\n"


def test_the_rows_of_a_table_are_limited(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    console.do(".rows 3")
    console.do("FROM orders")
    lines = capfd.readouterr().out.splitlines()
    assert len([line for line in lines if "2026-01-01" in line]) == 3
    assert "(the first 3 rows)" in lines
    console.do(".rows all")
    console.do("FROM orders")
    assert "(500 rows)" in capfd.readouterr().out


def test_modes_and_timing(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    console.do(".mode csv")
    console.do("SELECT 1 AS a, 'x' AS b")
    assert capfd.readouterr().out == "a,b\n1,x\n"
    console.do(".timing on")
    console.do("SELECT 1 AS a")
    assert capfd.readouterr().out.endswith(" ms\n")


def test_tables_and_schema(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    console.do(".tables")
    assert capfd.readouterr().out.splitlines()[:2] == ["orders", 'sales."Q1 2026"']
    console.do(".tables ORD*")
    assert capfd.readouterr().out == "orders\n"
    console.do(".schema Orders")
    shown = capfd.readouterr().out
    assert "order_id" in shown
    assert "INTEGER" in shown
    console.do('.schema sales."Q1 2026"')
    assert "amount" in capfd.readouterr().out
    console.do(".help")
    assert ".schema TABLE" in capfd.readouterr().out


@pytest.mark.parametrize(
    "line", [".nonsense", ".mode xml", ".timing", ".rows -1", ".rows", ".schema", ".schema nothing"]
)
def test_a_command_that_is_wrong_says_how_it_is_right(console: Console, line: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        console.do(line)


def test_quit(console: Console) -> None:
    for line in (".quit", ".exit", ".QUIT"):
        with pytest.raises(Quit):
            console.do(line)


def test_a_script_runs_to_its_first_error(lake: neurolake.Lake, capfd: pytest.CaptureFixture[str]) -> None:
    text = "SELECT 1\nAS a;\n.mode csv\nSELECT 2 AS b; SELECT nothing;\nSELECT 3;"
    assert run_script(Console(lake, mode="json"), io.StringIO(text), as_json=True) == 1
    out, err = capfd.readouterr()
    assert out == '[\n  {"a": 1}\n]\nb\n2\n'
    assert json.loads(err)["error"]["code"] == "binding"


def test_a_scripts_last_statement_needs_no_semicolon(lake: neurolake.Lake, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_script(Console(lake, mode="csv"), io.StringIO("SELECT 1 AS a;\nSELECT 2 AS b"), as_json=False) == 0
    assert capfd.readouterr().out == "a\n1\nb\n2\n"
    assert run_script(Console(lake), io.StringIO(".quit\nSELECT nothing;"), as_json=False) == 0


# Tab


def offered(console: Console, before: str, after: str = "") -> list[str]:
    event = CompleteEvent(completion_requested=True)
    document = Document(before + after, len(before))
    return [found.text for found in LakeCompleter(console).get_completions(document, event)]


def test_tab_offers_what_fits_where_the_cursor_is(console: Console) -> None:
    assert offered(console, "SELECT * FROM ord")[0] == "orders"
    assert set(offered(console, "SELECT orders.order")) == {"order_id", "ordered_at"}
    assert offered(console, "SELECT ordered") == ["ordered_at"]
    assert "CREATE" in offered(console, "cre")
    assert "register(" in offered(console, "CALL neurolake.reg")
    assert offered(console, "FROM sales.") == ['"Q1 2026"']
    assert offered(console, "SELECT zzz") == []
    assert offered(console, ".ta") == [".tables"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("SELECT * FROM orders o WHERE o.order", ""), ("SELECT o.order", " FROM orders AS o"),
     ("SELECT 1 FROM orders p, orders O JOIN orders x ON O.order", ""),
     ("FROM lake.main.orders\n  o SELECT o.order", ""), ('FROM "orders" "o" SELECT o.order', ""),
     ("FROM orders SELECT lake.main.orders.order", "")],
)  # fmt: skip
def test_tab_knows_aliases(console: Console, before: str, after: str) -> None:
    assert sorted(offered(console, before, after)) == ["order_id", "ordered_at"]


def test_tab_offers_nothing_for_what_is_no_alias(console: Console) -> None:
    assert offered(console, "SELECT * FROM orders o WHERE q.order") == []
    assert offered(console, "SELECT 'x' o FROM nothing n WHERE n.order") == []


def test_tab_knows_a_table_once_it_is_made(console: Console) -> None:
    completer = LakeCompleter(console)

    def found(before: str) -> list[str]:
        event = CompleteEvent(completion_requested=True)
        return [one.text for one in completer.get_completions(Document(before), event)]

    assert found("FROM brand_") == []
    console.do("CREATE TABLE brand_new (a INT)")
    assert found("FROM brand_") == ["brand_new"]
    console.do("DROP TABLE brand_new")
    assert found("FROM brand_") == []


# History


def test_the_history_is_the_owners_alone_and_holds_no_passwords(tmp_path: Path) -> None:
    Home.init(tmp_path / "lake").close()
    history = _history(Target(tmp_path / "lake"))
    history.store_string("SELECT 1;")
    history.store_string("CALL neurolake.set_password('ann', 'top secret');")
    history.store_string("FROM 'https://host/x.parquet?X-Amz-Signature=top secret';")
    file = tmp_path / "lake" / "run" / "shell_history"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "SELECT 1;" in file.read_text()
    assert "top secret" not in file.read_text()


def test_the_history_of_a_server_is_among_the_users_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    _history(Target(None, "grpc://h:1")).store_string("SELECT 2;")
    assert "SELECT 2;" in (tmp_path / "neurolake" / "shell_history").read_text()
