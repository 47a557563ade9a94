"""What a statement is, told from its text and DuckDB's parser."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from neurolake import errors
from neurolake._duckdb import Cursor, Instance, InstanceOptions
from neurolake.query import Kind
from neurolake.sql.statements import (
    Unbound,
    cautious,
    copies_in,
    explained,
    first_word,
    kind_of,
    made_of,
    masked,
    read_call,
    role_of,
    setting_of,
    target_of,
)


@pytest.fixture(scope="module")
def cursor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cursor]:
    folder = tmp_path_factory.mktemp("statements")
    instance = Instance(InstanceOptions(None, str(folder), 1_000_000_000, 1_000_000_000, 1))
    yield instance.cursor()
    instance.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [("SELECT 1", Kind.SELECT), ("FROM t", Kind.SELECT), ("VALUES (1)", Kind.SELECT), ("(SELECT 1)", Kind.SELECT),
     ("WITH x AS (SELECT 1) FROM x", Kind.SELECT), ("PIVOT t ON a USING sum(b)", Kind.SELECT),
     ("DESCRIBE t", Kind.SELECT), ("SUMMARIZE t", Kind.SELECT), ("SHOW TABLES", Kind.SELECT),
     ("CALL range(3)", Kind.SELECT), ("CALL neurolake.cancel('x')", Kind.CALL),
     ("/* a */ call\n\"lake\" . neurolake.x()", Kind.SELECT), ("call lake.neurolake.x()", Kind.CALL),
     ("INSERT INTO t VALUES (1)", Kind.WRITE), ("WITH x AS (SELECT 1) INSERT INTO t FROM x", Kind.WRITE),
     ("UPDATE t SET a = 1", Kind.WRITE), ("DELETE FROM t", Kind.WRITE), ("COPY t TO 'x.csv'", Kind.WRITE),
     ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", Kind.WRITE), ("TRUNCATE t", Kind.WRITE),
     ("CREATE TABLE t (a INT)", Kind.DDL), ("DROP VIEW v", Kind.DDL), ("ALTER TABLE t ADD COLUMN b INT", Kind.DDL),
     ("CREATE MACRO m(x) AS x", Kind.DDL), ("CHECKPOINT", Kind.DDL), ("VACUUM", Kind.DDL),
     ("ATTACH 'x.db' AS x", Kind.DDL), ("COMMENT ON TABLE t IS 'x'", Kind.DDL),
     ("BEGIN", Kind.BEGIN), ("START TRANSACTION", Kind.BEGIN), ("-- x\nCOMMIT", Kind.COMMIT), ("END", Kind.COMMIT),
     ("ROLLBACK", Kind.ROLLBACK), ("ABORT", Kind.ROLLBACK),
     ("SET TimeZone = 'UTC'", Kind.SET), ("RESET TimeZone", Kind.SET), ("USE s", Kind.SET),
     ("SET VARIABLE a = 1", Kind.SET), ("EXPLAIN SELECT 1", Kind.EXPLAIN),
     ("PREPARE p AS SELECT 1", Kind.LOCAL), ("EXECUTE p", Kind.LOCAL), ("DEALLOCATE p", Kind.LOCAL)],
)  # fmt: skip
def test_the_kind_of_a_statement(cursor: Cursor, text: str, kind: Kind) -> None:
    (parsed,) = cursor.parse(text)
    assert kind_of(parsed.kind, text) is kind


@pytest.mark.parametrize(
    ("text", "word"),
    [("select 1", "SELECT"), ("  \n\tSelect", "SELECT"), ("-- a\n-- b\nFROM x", "FROM"), ("/* a /* b */ DROP", "DROP"),
     ("", ""), ("-- only", ""), ("(SELECT 1)", "")],
)  # fmt: skip
def test_the_first_word(text: str, word: str) -> None:
    assert first_word(text) == word


@pytest.mark.parametrize(
    ("text", "target"),
    [("INSERT INTO t VALUES (1)", ("t",)), ("insert or replace into a.b select 1", ("a", "b")),
     ("INSERT INTO lake.main.t BY NAME SELECT 1", ("lake", "main", "t")), ('INSERT INTO "my t"(a) SELECT 1', ("my t",)),
     ('INSERT INTO "a.b"."c""d" VALUES (1)', ("a.b", 'c"d')), ("UPDATE t SET a = 1", ("t",)),
     ("DELETE FROM s.t", ("s", "t")),
     ("TRUNCATE t", ("t",)), ("TRUNCATE TABLE t", ("t",)), ("CREATE TABLE IF NOT EXISTS t (a INT)", ("t",)),
     ("CREATE OR REPLACE TEMP TABLE t AS SELECT 1", ("t",)), ("CREATE TEMPORARY VIEW v AS SELECT 1", ("v",)),
     ("CREATE SCHEMA IF NOT EXISTS s", ("s",)), ("DROP TABLE IF EXISTS lake.s.t CASCADE", ("lake", "s", "t")),
     ("ALTER TABLE t RENAME TO u", ("t",)), ("CREATE UNIQUE INDEX i ON t (a)", ("i",)), ("COPY t FROM 'x.csv'", ("t",)),
     ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", ("t",)), ("COMMENT ON TABLE t IS 'x'", ("t",)),
     ("WITH x AS (SELECT 1) INSERT INTO t FROM x", ("t",)), ("/* INSERT INTO no */ INSERT INTO t VALUES (1)", ("t",)),
     ("INSERT INTO t(a) VALUES ('INSERT INTO u')", ("t",)), ("SELECT 1", None), ("VACUUM", None)],
)  # fmt: skip
def test_what_a_write_is_about(text: str, target: tuple[str, ...] | None) -> None:
    assert target_of(text) == target


def test_what_is_made() -> None:
    assert made_of("CREATE OR REPLACE MACRO m(x) AS x") == "MACRO"
    assert made_of("CREATE TEMP VIEW v AS SELECT 1") == "VIEW"
    assert made_of("DELETE FROM t") == "DELETE"


@pytest.mark.parametrize(
    ("text", "into"),
    [("COPY t FROM 'x'", True), ("copy a.b (c, d) from 'x'", True), ("COPY t TO 'x'", False),
     ("COPY (SELECT a FROM t) TO 'x'", False), ("COPY (FROM t) TO 'from'", False)],
)  # fmt: skip
def test_whether_a_copy_writes_the_table(text: str, into: bool) -> None:
    assert copies_in(text) is into


@pytest.mark.parametrize(
    ("text", "inner", "analyze"),
    [("EXPLAIN SELECT 1", "SELECT 1", False), ("explain analyze select 1", "select 1", True),
     ("/* a */ EXPLAIN /* b */ SELECT 1", "SELECT 1", False), ("EXPLAIN\nANALYZE\nFROM t", "FROM t", True)],
)  # fmt: skip
def test_what_is_explained(text: str, inner: str, analyze: bool) -> None:
    assert explained(text) == (inner, analyze)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [("SET TimeZone = 'UTC'", "timezone", "UTC"), ("set timezone to 'It''s'", "timezone", "It's"),
     ("SET SESSION a = 1", "a", "1"), ("RESET a", "a", None), ("USE s", "schema", "s"),
     ("USE lake.s;", "schema", "lake.s"),
     ('USE "my schema"', "schema", '"my schema"'), ("SET a = -1.5", "a", "-1.5"),
     ("PRAGMA threads = 4", "threads", "4"),
     ("SET a = ['x', 'y']", "a", "['x', 'y']"), ("SET a=''", "a", "")],
)  # fmt: skip
def test_a_setting(text: str, name: str, value: str | None) -> None:
    found = setting_of(text)
    assert (found.name, found.value) == (name, value)


def test_the_scope_of_a_setting() -> None:
    assert setting_of("SET GLOBAL threads = 1").is_global
    assert setting_of("SET VARIABLE a = 1").is_variable


def test_a_role() -> None:
    assert (
        role_of("SET ROLE analyst") == role_of("set role = 'analyst';") == role_of('SET ROLE TO "analyst"') == "analyst"
    )
    assert role_of("SELECT 'SET ROLE x'") is None


class TestCall:
    def test_positions_and_names(self, cursor: Cursor) -> None:
        call = read_call(cursor, "CALL neurolake.Register('a', location => 'b')", None)
        assert (call.name, call.positional, call.named) == ("register", ("a",), {"location": "b"})

    @pytest.mark.parametrize(
        ("sql", "value"),
        [("1", 1), ("-1", -1), ("1.50", Decimal("1.50")), ("1e3", Decimal("1e3")), ("true", True), ("NULL", None),
         ("'it''s'", "it's"), ("'é🦆'", "é🦆"), ("''", ""), ("['a', NULL]", ["a", None]), ("[]", []),
         ("{'a': 1, 'b': ['x']}", {"a": 1, "b": ["x"]}), ("MAP {'a': 1}", {"a": 1}),
         ("DATE '2024-01-01'", "2024-01-01"),
         ("'1'::INT", "1"), ("12345678901234567890123", 12345678901234567890123), ("$$x$$", "x"), ("E'a\\nb'", "a\nb")],
    )  # fmt: skip
    def test_constants(self, cursor: Cursor, sql: str, value: object) -> None:
        assert read_call(cursor, f"CALL neurolake.f({sql})", None).positional == (value,)

    def test_parameters(self, cursor: Cursor) -> None:
        assert read_call(cursor, "CALL neurolake.f(?, ?)", ["a", None]).positional == ("a", None)
        assert read_call(cursor, "CALL neurolake.f(x => $name)", {"name": [1]}).named == {"x": [1]}
        assert read_call(cursor, "CALL neurolake.f(?)", None).positional == (Unbound,)

    @pytest.mark.parametrize("values", [[], {}, {"other": 1}])
    def test_a_missing_parameter(self, cursor: Cursor, values: object) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            read_call(cursor, "CALL neurolake.f($1)", values)  # type: ignore[arg-type]
        assert caught.value.code == "parameter_missing"

    @pytest.mark.parametrize("sql", ["1 + 1", "now()", "(SELECT 1)", "a", "'a' || 'b'", "[random()]"])
    def test_what_is_no_constant(self, cursor: Cursor, sql: str) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            read_call(cursor, f"CALL neurolake.f({sql})", None)
        assert caught.value.code == "argument_not_constant"

    @pytest.mark.parametrize(
        "argument",
        ["'secret'", "'secret'::VARCHAR", "CAST('secret' AS VARCHAR)", "VARCHAR 'secret'", "['secret', 'secret']",
         "{'k': 'secret'}", "E'secret'", "$$secret$$", "'s''ecret'", "  'secret'  "],
    )  # fmt: skip
    @pytest.mark.parametrize("before", ["'x'", "'ä🦆€'", "NULL", "/* ünï */ 'x'"])
    def test_where_an_argument_stands(self, cursor: Cursor, before: str, argument: str) -> None:
        text = f"/* ö */ CALL neurolake.f({before}, {argument}, named => 'shown')"
        shown = masked(text, [read_call(cursor, text, None).spans[1]])
        assert "ecret" not in shown
        assert shown.startswith(f"/* ö */ CALL neurolake.f({before}, ")
        assert shown.endswith(", named => 'shown')")


class TestCautious:
    @pytest.mark.parametrize(
        "text",
        ["CALL neurolake.set_password('a', 'hidden')", "call neurolake.SET_PASSWORD('a', 'hidden",
         "set_password 'hidden",
         "SELECT 1; CALL neurolake.set_password('a', E'hid\\'den')",
         "EXPLAIN CALL neurolake.set_password('a', $x$hidden$x$)",
         'CALL neurolake.set_password("hidden")', "SET s3_secret_access_key = 'hidden'", "SET x_token='hidden'",
         "CREATE SECRET s (TYPE s3, KEY_ID 'hidden', SECRET 'hidden')", "ATTACH 'x' (ENCRYPTION_KEY 'hidden')",
         "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'hidden')", "COPY t TO 'x' (encryption_key 'hidden')"],
    )  # fmt: skip
    def test_what_may_hold_a_secret_shows_no_literal(self, text: str) -> None:
        assert "hidden" not in cautious(text, ["set_password"]).replace("hid'", "hidden")

    @pytest.mark.parametrize(
        "text", ["SELECT 'shown'", "SELECT token FROM t WHERE token = 'shown'", "INSERT INTO t VALUES ('shown')"]
    )
    def test_everything_else_stays(self, text: str) -> None:
        assert cautious(text, ["set_password"]) == text
