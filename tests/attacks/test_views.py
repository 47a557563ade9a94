"""Views as a way around: what a governed role makes, what an administrator makes over it, and what is replaced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract.wire import Wire

from attacks.corpus import ATTACKS
from attacks.lakes import MARKS, USER_PASSWORD, Served, served
from attacks.test_attacks import attempt, canonical, compare
from neurolake import errors
from neurolake.sql.text import Name

BODIES = tuple(sql for sql in ATTACKS if sql.split(maxsplit=1)[0] in ("SELECT", "FROM", "WITH", "TABLE"))[::6]
"""A share of the queries of the corpus, each as the text of a view."""

WAYS: tuple[tuple[str, ...], ...] = (
    ("CREATE VIEW lab.t AS SELECT * FROM people", "SELECT ssn FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "SELECT salary FROM lab.t WHERE salary > 0"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "SELECT t::VARCHAR FROM lab.t ORDER BY 1"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "UPDATE people SET region = t.ssn FROM lab.t t WHERE t.id = 1"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "CREATE TABLE lab.u AS SELECT * FROM lab.t", "SELECT * FROM lab.u"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "SUMMARIZE lab.t"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "DELETE FROM people WHERE id IN (FROM lab.t SELECT ssn)"),
    ("CREATE VIEW lab.t AS SELECT id, ssn FROM people",),
    ("CREATE VIEW lab.t AS SELECT * FROM secrets",),
    ("CREATE VIEW lab.t AS SELECT * FROM v_people",),
    ("CREATE VIEW lab.t AS SELECT * FROM lab.t",),
    ("CREATE VIEW lab.t(a) AS SELECT 1 AS x) AS y, secrets AS z(b", "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT 1) SELECT * FROM secrets --", "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT 1 AS \"x FROM (SELECT 'SELECT * FROM secrets' AS __neurolake_invoker) WHERE \"",
     "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT 'SELECT * FROM secrets' AS __neurolake_invoker", "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT leak() AS x", "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT lower('A') AS x, md5('a') AS y", "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT * FROM range(3)", "SELECT * FROM lab.t"),
    ("CREATE TEMP VIEW t AS SELECT * FROM people", "SELECT ssn FROM t"),
    ("CREATE TEMP VIEW people AS SELECT * FROM lake.main.people", "SELECT * FROM people ORDER BY ALL"),
    ("CREATE TEMP VIEW secrets AS SELECT * FROM people", "SELECT * FROM lake.main.secrets"),
    ("CREATE TEMP VIEW t AS SELECT * FROM secrets", "SELECT * FROM t"),
    ("CREATE TEMP VIEW __neurolake_t AS SELECT 1 AS one",),
    ("CREATE VIEW lab.__neurolake_t AS SELECT 1 AS one",),
    ("CREATE SECURE VIEW lab.t AS SELECT * FROM people",),
    ("CREATE RECURSIVE VIEW lab.t (n) AS SELECT 1",),
    ("CREATE VIEW neurolake.t AS SELECT 1 AS one",),
    ("CREATE VIEW main.people AS SELECT 1 AS one",),
    ("CREATE OR REPLACE VIEW people AS SELECT 1 AS one",),
    ("CREATE OR REPLACE VIEW v_people AS SELECT * FROM people",),
    ("CREATE VIEW lab.t AS SELECT * FROM read_csv('/etc/passwd')",),
    ("CREATE VIEW lab.t AS SELECT * FROM duckdb_views()",),
    ("CREATE VIEW lab.t AS DESCRIBE people", "SELECT * FROM lab.t"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "ALTER VIEW lab.t RENAME TO u"),
    ("CREATE VIEW lab.t AS SELECT * FROM people", "COMMENT ON VIEW lab.t IS 'x'"),
    ("CREATE VIEW lab.t AS SELECT __neurolake_row FROM people",),
    ("CREATE VIEW lab.t AS SELECT * FROM __neurolake_target",),
    ("DROP VIEW v_people",),
    ("DROP VIEW IF EXISTS v_people",),
    ("DROP VIEW secrets",),
)  # fmt: skip


@pytest.fixture(scope="module")
def wils(lakes: tuple[Served, Served]) -> tuple[Wire, Wire]:
    first, second = (Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD) for lake in lakes)
    return first, second


def differing(wires: tuple[Wire, Wire], statements: tuple[str, ...]) -> list[object]:
    """The outcomes that differ between the lakes, of statements in a transaction that is rolled back."""
    for wire in wires:
        attempt(wire, "BEGIN")
    different: list[object] = []
    for place, sql in enumerate(statements):
        first, second = compare(wires, sql, "\n".join(statements[:place]))
        if canonical(first) != canonical(second):
            different.append((sql, canonical(first), canonical(second)))
    for wire in wires:
        attempt(wire, "ROLLBACK")
    return different


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "; ".join(way)[:60])
def test_views_bring_nothing_out(wils: tuple[Wire, Wire], way: tuple[str, ...]) -> None:
    assert differing(wils, way) == []


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:60])
def test_what_the_gate_denies_is_denied_in_a_view(wils: tuple[Wire, Wire], body: str) -> None:
    assert differing(wils, (f"CREATE VIEW lab.t AS {body}", "SELECT * FROM lab.t ORDER BY ALL")) == []


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("views"), 0) as lake:
        lake.admin("CALL neurolake.grant('read', 'schema:lab', 'analyst')")
        yield lake


def test_an_administrators_view_over_a_governed_one_cannot_be_turned(lake: Served) -> None:
    """Whoever may replace the inner view must not choose what the outer one reads with an administrator's rights."""
    wil = Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)
    wil.update("CREATE VIEW lab.inner_one AS SELECT 'open' AS s")
    lake.admin("CREATE VIEW lab.outer_one AS SELECT s FROM lab.inner_one")
    lake.admin("CALL neurolake.set_pii('lab.outer_one', null, 'confirmed')")
    assert attempt(wil, "SELECT * FROM lab.outer_one").rows == ["{'s': 'open'}"]
    wil.update("DROP VIEW lab.inner_one")
    wil.update("CREATE TABLE lab.inner_one AS SELECT 'own' AS s")
    assert attempt(wil, "SELECT * FROM lab.outer_one").rows == ["{'s': 'open'}"]


def test_a_stub_that_is_read_past_the_gate_shows_nothing(lake: Served) -> None:
    wil = Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)
    lake.admin("CREATE VIEW lab.base AS SELECT 'open' AS s")
    lake.admin("CREATE VIEW lab.over AS SELECT s FROM lab.base")
    lake.admin("CALL neurolake.set_pii('lab.over', null, 'confirmed')")
    lake.admin("CREATE MACRO past() AS TABLE SELECT * FROM lab.base")
    wil.update("CREATE OR REPLACE VIEW lab.base AS SELECT 'mine' AS s")
    outcome = attempt(wil, "SELECT * FROM lab.over")
    assert outcome.rows is None
    assert "mine" not in outcome.error
    with pytest.raises(Exception, match="read only by its own name"):
        lake.admin("SELECT * FROM past()")
    lake.admin("DROP VIEW lab.over")


FORGED = (
    "SELECT 1 AS \"x (SELECT 'SELECT s AS forged FROM lake.main.secrets' AS __neurolake_invoker) WHERE "
    'CAST(""system"".main.""error""(\'neurolake: a view that a governed role has made is read only by its own name\') '
    'AS BOOLEAN);"',
    "SELECT 1 AS \"x (SELECT 'SELECT 1) AS y; DROP TABLE people; --' AS __neurolake_invoker) WHERE \"",
    "SELECT '' AS a, '(SELECT ''SELECT s FROM lake.main.secrets'' AS __neurolake_invoker) WHERE ' AS \"'\"",
    "SELECT 'x' AS \"1' AS __neurolake_invoker) WHERE \"",
)


@pytest.mark.parametrize("body", FORGED)
def test_the_text_that_an_administrator_reads_cannot_be_forged(lake: Served, body: str) -> None:
    """An administrator reads the text as it is, with every right: it must be what has passed the gate."""
    wil = Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)
    wil.update(f"CREATE OR REPLACE VIEW lab.forged AS {body}")
    seen = lake.admin("SELECT * FROM lab.forged")
    assert seen in (
        [(1,)],
        [("", "(SELECT 'SELECT s FROM lake.main.secrets' AS __neurolake_invoker) WHERE ")],
        [("x",)],
    )
    assert len(lake.admin("SELECT * FROM people")) == 12


def test_a_view_of_an_administrator_may_say_what_it_likes(lake: Served) -> None:
    lake.admin("CREATE VIEW lab.said AS SELECT 1 AS __neurolake_invoker")
    assert lake.admin("SELECT * FROM lab.said") == [(1,)]
    assert lake.service.engine.catalog.views.get(Name("lab", "said")) is None


def test_views_do_not_keep_the_lake_from_being_scanned(lake: Served) -> None:
    wil = Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)
    wil.update("CREATE OR REPLACE VIEW lab.unscanned AS SELECT 1 AS one")
    with pytest.raises(errors.NotSupported):
        lake.admin("CALL neurolake.scan_pii('lab.unscanned')")
    lake.admin("CALL neurolake.scan_pii()")


def test_a_ticket_for_a_view_does_not_outlive_its_text_or_a_policy(lake: Served) -> None:
    from contract.wire import command

    wil = Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)
    wil.update("CREATE VIEW lab.ticketed AS SELECT region FROM people")
    lake.admin("CALL neurolake.grant('read', 'secrets', 'analyst')")
    lake.admin("CALL neurolake.set_pii('secrets', null, 'confirmed')")
    wil.update("CREATE VIEW lab.brief AS SELECT s FROM secrets")
    info = wil.info(command("CommandStatementQuery", query="SELECT s FROM lab.brief"))
    lake.admin("CALL neurolake.set_policy('late', '*', 'column:secrets.s', 'null')")
    assert wil.get(info.endpoints[0].ticket).to_pylist() == [{"s": None}]
    lake.admin("CALL neurolake.drop_policy('late')")
    lake.admin("CALL neurolake.revoke('read', 'secrets', 'analyst')")
    outcome = attempt(wil, "SELECT s FROM lab.brief")
    assert "[view_denied" in outcome.error
    assert all(mark not in outcome.error for mark in MARKS)
