"""Forms that were gated before, and columns that a statement does not name: what is seen stays the same."""

from __future__ import annotations

import doctest
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import neurolake
from neurolake import errors
from neurolake.governance import gate_forms
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal, Request
from neurolake.session import Session

ANN = Principal("ann", "analyst", roles=("analyst",), attributes={"region": "north"})
BOB = Principal("bob", "analyst", roles=("analyst",), attributes={"region": "south"})
RULES = (
    "CREATE TABLE people AS SELECT i AS id, 'u' || i || '@x.org' AS email, 1000 * i AS salary, "
    "CASE i % 2 WHEN 0 THEN 'north' ELSE 'south' END AS region, {'a': i} AS box FROM range(10) r(i)",
    "CREATE TABLE open AS SELECT i AS id, i * 0.5 AS amount FROM range(10) r(i)",
    "CALL neurolake.create_role('analyst')",
    *(f"CALL neurolake.set_pii('{table}', null, 'confirmed')" for table in ("people", "open")),
    *(f"CALL neurolake.grant('read', '{table}', 'analyst')" for table in ("people", "open")),
    "CALL neurolake.set_policy('e', 'analyst', 'column:people.email', 'partial', {'email': true})",
    "CALL neurolake.set_policy('s', 'analyst', 'column:people.salary', 'bucket', {'width': 5000})",
)

Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    with neurolake.connect(":memory:") as opened:
        assert isinstance(opened, EmbeddedLake)
        for statement in RULES:
            opened.sql(statement).close()
        yield opened


def asking(lake: EmbeddedLake, session: Session) -> Ask:
    return lambda sql: lake.engine.run(Request(sql, session)).fetchall()


@pytest.fixture
def ann(lake: EmbeddedLake) -> Iterator[Ask]:
    session = lake.engine.session(ANN)
    yield asking(lake, session)
    session.close()


def test_examples_run() -> None:
    assert doctest.testmod(gate_forms).failed == 0


class TestForms:
    @pytest.mark.parametrize(
        ("form", "values"),
        [
            ("SELECT {}", ["1", "-7", "1.25", "99999999999999999999", "1e3"]),
            ("SELECT {}", ["'it''s'", "'a\\\"b'", "'ü\n'", "'__x_0_'", "''"]),
            ("SELECT {} AS x, 1 AS y FROM open WHERE id = 1", ["1", "2", "300", "1.5", "-1", "'1'"]),
            ("SELECT id FROM open WHERE id > 1 ORDER BY {} LIMIT 2 OFFSET 1", ["1", "id", "1 DESC"]),
            ("SELECT id, amount FROM open ORDER BY id LIMIT {} OFFSET {}", ["1", "2", "3", "0"]),
            ("SELECT DATE '2020-01-0{}' + INTERVAL '{}' DAY, INTERVAL {} DAY", ["1", "2", "3", "4"]),
            ("SELECT CAST(amount AS DECIMAL(18, {})) FROM open WHERE id = 5", ["1", "2", "3", "4"]),
            ("SELECT 'x{}' AS a, (SELECT max(id) FROM open WHERE id < {}), {}", ["1", "2", "3", "4"]),
            ("WITH t AS (SELECT id, {} AS c FROM open) SELECT c, count(*) FROM t WHERE id <> {} GROUP BY 1",
             ["1", "2", "3", "4"]),
            ("SELECT region, {} AS n, '{}' AS t FROM people WHERE box.a = {} OR id = 0 ORDER BY id",
             ["1", "2", "3", "4"]),
            ("SELECT [10, 20, 30, 40, 50][{}], ['a', '{}'], {{'k': {}}}, x'0{}'", ["1", "2", "3", "4"]),
        ],
    )  # fmt: skip
    def test_another_value_gives_its_own_rows(self, lake: EmbeddedLake, ann: Ask, form: str, values: list[str]) -> None:
        admin = asking(lake, lake.session)
        for value in [*values, *values[::-1]]:
            sql = form.replace("{}", value).replace("{{", "{").replace("}}", "}")
            assert ann(sql) == admin(sql), sql

    def test_columns_have_the_names_that_this_text_gives_them(self, lake: EmbeddedLake, ann: Ask) -> None:
        session = lake.engine.session(ANN)
        for value in range(5):
            for text in (
                f"SELECT {value}",
                f"SELECT (SELECT id + {value} FROM open LIMIT 1)",
                f"SELECT id * {value} FROM open",
            ):
                named = lake.engine.run(Request(text, session)).schema.names
                assert named == lake.sql(text).schema.names, text
        session.close()

    def test_a_known_form_follows_the_policies(self, lake: EmbeddedLake, ann: Ask) -> None:
        def seen(value: int) -> object:
            return ann(f"SELECT email FROM people WHERE id = {value}")[0][0]

        assert [seen(value) for value in (1, 2, 3)] == ["u***@x.org"] * 3
        lake.sql("CALL neurolake.set_policy('e', 'analyst', 'column:people.email', 'null')").close()
        assert seen(4) is None
        lake.sql("CALL neurolake.set_policy('e', 'analyst', 'column:people.email', 'block')").close()
        with pytest.raises(errors.NeuroLakeError):
            seen(5)
        lake.sql("CALL neurolake.revoke('read', 'people', 'analyst')").close()
        with pytest.raises(errors.AccessDenied):
            seen(6)

    def test_a_known_form_follows_the_table(self, lake: EmbeddedLake, ann: Ask) -> None:
        def seen(value: int) -> object:
            return ann(f"SELECT id FROM open WHERE id = {value}")

        assert [seen(value) for value in (1, 2, 3)] == [[(1,)], [(2,)], [(3,)]]
        lake.sql("CREATE OR REPLACE TABLE open AS SELECT 'raw' || i AS id FROM range(9) r(i)").close()
        with pytest.raises(errors.AccessDenied):
            seen(4)

    def test_a_known_form_is_each_users_own(self, lake: EmbeddedLake) -> None:
        lake.sql(
            "CALL neurolake.set_row_filter('r', 'analyst', 'people', 'region = neurolake.attribute(''region'')')"
        ).close()
        sessions = [lake.engine.session(who) for who in (ANN, BOB)]
        ann, bob = (asking(lake, session) for session in sessions)
        for value in range(4):
            sql = f"SELECT DISTINCT region, {value} FROM people WHERE id > {value}"
            assert (ann(sql), bob(sql)) == ([("north", value)], [("south", value)])
        for session in sessions:
            session.close()


class TestTransactions:
    def test_views_are_made_again_after_a_rollback(self, lake: EmbeddedLake, ann: Ask) -> None:
        for value in range(3):
            ann("BEGIN")
            assert ann(f"SELECT email FROM people WHERE id = {value}") == [("u***@x.org",)]
            ann("COMMIT" if value == 1 else "ROLLBACK")

    def test_the_next_statement_follows_the_policies(self, lake: EmbeddedLake, ann: Ask) -> None:
        ann("BEGIN")
        assert [ann(f"SELECT salary FROM people WHERE id = {value}") for value in (1, 2, 9)] == [
            [(0,)],
            [(0,)],
            [(5000,)],
        ]
        lake.sql("CALL neurolake.set_policy('s', 'analyst', 'column:people.salary', 'null')").close()
        assert ann("SELECT salary FROM people WHERE id = 8") == [(None,)]
        ann("ROLLBACK")

    def test_a_table_that_another_session_changes_is_decided_as_the_transaction_sees_it(
        self, lake: EmbeddedLake, ann: Ask
    ) -> None:
        ann("BEGIN")
        assert [ann(f"SELECT amount FROM open WHERE id = {value}") for value in (2, 4, 6)] == [[(1,)], [(2,)], [(3,)]]
        lake.sql("ALTER TABLE open ALTER amount TYPE VARCHAR").close()
        lake.sql("CALL neurolake.set_pii('open', null, 'confirmed')").close()
        with pytest.raises(errors.NeuroLakeError):  # the type it sees is not the one that was confirmed
            ann("SELECT amount FROM open WHERE id = 8")
        ann("ROLLBACK")
        assert ann("SELECT amount FROM open WHERE id = 8") == [("4.0",)]

    def test_a_table_of_the_transaction_is_seen_as_it_is_now(self, lake: EmbeddedLake) -> None:
        for rule in ("read", "write", "create"):
            lake.sql(f"CALL neurolake.grant('{rule}', 'schema:main', 'analyst')").close()
        session = lake.engine.session(ANN)
        ann = asking(lake, session)
        ann("BEGIN")
        ann("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        assert ann("SELECT a FROM mine WHERE a = 1") == [(1,)]
        ann("CREATE OR REPLACE TEMP TABLE mine AS SELECT 'x' AS a, 2 AS b")
        assert ann("SELECT * FROM mine WHERE b = 2") == [("x", 2)]
        ann("ROLLBACK")
        session.close()

    def test_a_temporary_table_may_be_another_one_next_time(self, lake: EmbeddedLake) -> None:
        sessions = [lake.engine.session(ANN), lake.engine.session(ANN)]
        for session, value, shown in zip(sessions, ("1", "'x'"), (1, "x"), strict=True):
            ann = asking(lake, session)
            for again in range(2):
                ann(f"CREATE OR REPLACE TEMP TABLE mine AS SELECT {value} AS a, [{again}] AS b")
                for number in range(4):
                    assert ann(f"SELECT a, b FROM mine WHERE len(b) > {number - 9}") == [(shown, [again])]
            ann("CREATE OR REPLACE TEMP TABLE mine AS SELECT 1.5::DOUBLE AS a, 'b' AS b")
            for number in range(4):
                assert ann(f"SELECT a, b FROM mine WHERE len(b) > {number - 9}") == [(1.5, "b")]
            session.close()


class TestTemporary:
    """What is temporary keeps its name when it is made again with other columns, and has it in every session."""

    def test_a_known_form_follows_a_temporary_table(self, lake: EmbeddedLake, ann: Ask) -> None:
        for value in range(4):
            ann(f"CREATE OR REPLACE TEMP TABLE mine AS SELECT {value} AS a")
            ann("CREATE OR REPLACE TEMP VIEW over AS SELECT * FROM mine")
            for table in ("mine", "over", "temp.mine"):
                assert ann(f"SELECT a FROM {table} WHERE 1 < {value + 5}") == [(value,)]
        ann("CREATE OR REPLACE TEMP TABLE mine AS SELECT 'x' AS a")
        session = lake.engine.session(ANN)
        other = asking(lake, session)
        other("CREATE TEMP TABLE mine AS SELECT [1] AS a")
        for table in ("mine", "over", "temp.mine"):
            assert ann(f"SELECT a FROM {table} WHERE 1 < 17") == [("x",)]
        assert other("SELECT a FROM mine WHERE 1 < 18") == [([1],)]
        session.close()

    @pytest.mark.parametrize("name", ['"my table"', '"a""b"', '"é 1-a"'])
    def test_a_name_that_is_no_word_is_found(self, lake: EmbeddedLake, ann: Ask, name: str) -> None:
        for who in (ann, asking(lake, lake.session)):
            who(f"CREATE TEMP TABLE {name} AS SELECT 'ann@example.org' AS a")
            assert who(f"SELECT * FROM {name}") == who(f"FROM {name.replace('a', 'A')}") == [("ann@example.org",)]
            who(f"DROP TABLE {name}")

    def test_rows_of_such_a_name_are_looked_at_on_their_way_out(self, lake: EmbeddedLake, ann: Ask) -> None:
        lake.sql("CALL neurolake.set_policy('r', 'analyst', 'result:*', 'redact')").close()
        ann("""CREATE TEMP TABLE "my table" AS SELECT 'write to ann@example.org today' AS a""")
        assert "ann@" not in str(ann('SELECT * FROM "my table"'))


class TestColumnsThatAreNotNamed:
    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT p FROM people p WHERE id = 3",
            "SELECT people FROM people WHERE id = 3",
            "SELECT #2 FROM people WHERE id = 3",
            "SELECT * FROM people WHERE id = 3",
            "SELECT p.* FROM people p WHERE id = 3",
            "SELECT COLUMNS('e.*') FROM people WHERE id = 3",
            "SELECT b FROM people AS p(a, b, c) WHERE a = 3",
            "FROM people WHERE id = 3",
            "SELECT q FROM (FROM people WHERE id = 3) q",
            "SELECT count(e) FROM people p(i, e)",
            "SELECT o.id FROM open o NATURAL JOIN people",
            "SELECT id FROM people a JOIN people b USING (id, email) WHERE id = 3",
            "SELECT EMAIL, p.Salary FROM people p WHERE id = 3",
            "SELECT max(salary) FROM people WHERE email LIKE 'u*%'",
            "SELECT x FROM (SELECT email AS x FROM people WHERE id = 3)",
            "WITH t AS (SELECT * FROM people) SELECT salary FROM t WHERE id = 3",
            "SELECT (SELECT email FROM people WHERE people.id = open.id) FROM open WHERE id = 3",
            "SELECT hash(p) IS NOT NULL, row_to_json(p) FROM people p WHERE id = 3",
            "SELECT p.to_json() FROM people p WHERE id = 3",
            "SELECT count(*) FROM people",
            "SELECT 1 FROM people LIMIT 1",
            "SUMMARIZE people",
            "DESCRIBE people",
        ],
    )
    def test_everything_is_found_that_a_whole_view_has(self, lake: EmbeddedLake, ann: Ask, sql: str) -> None:
        lake.sql(
            "CREATE TABLE seen AS SELECT id, 'u***@x.org' AS email, (salary // 5000) * 5000 AS salary, region, box "
            "FROM people"
        ).close()
        named = sql.replace("SELECT people FROM", "SELECT seen FROM").replace("people.id", "seen.id")
        expected = lake.sql(named.replace(" people", " seen")).fetchall()
        assert ann(sql) == expected

    def test_a_table_of_masked_columns_alone_can_be_counted(self, lake: EmbeddedLake, ann: Ask) -> None:
        for column in ("id", "region", "box"):
            lake.sql(f"CALL neurolake.set_policy('{column}', 'analyst', 'column:people.{column}', 'null')").close()
        assert ann("SELECT count(*), count(1) FROM people") == [(10, 10)]


class TestSpelling:
    """Texts that differ in plain literals alone; each is asked often enough to be taken up without being read again."""

    @pytest.mark.parametrize(
        "form",
        [
            "SELECT id FROM open WHERE id = {0} OR id = {1} ORDER BY id LIMIT {2}",
            "SELECT id, 'a{0}''b' AS \"x{1}\" FROM open WHERE id < {1} AND 'q' <> 'p{2}' ORDER BY id",
            "SELECT 1{0}, {1}{1}, 1.{2}, 'é{0}', id FROM open ORDER BY 5 LIMIT {1} OFFSET {2}",
            "SELECT CAST({0} AS DECIMAL(1{1}, {2})), DATE '2020-01-0{0}', INTERVAL {1} DAY, INTERVAL '{2}' HOUR",
            "SELECT x{0}.id FROM open AS x{0} WHERE x{0}.id = {1} -- {2}",
            "SELECT $${0}$$, E'{1}\\n', 'a'\n'b{2}'",
            "SELECT [1, 2, 3, 4, 5][{0}:{1}], {{'k{2}': {0}}}, -{1}, - {2}, 1-{0}",
            "SELECT id FROM open WHERE id IN ({0}, {1}, {2}) GROUP BY 1 HAVING count(*) >= 1 ORDER BY 1",
            "SELECT typeof({0}), typeof({1}00000000), typeof({2}0000000000), typeof('{0}'), 0{1}",
            "WITH t{0} AS (SELECT {1} AS a) SELECT a + {2} FROM t{0}",
        ],
    )
    def test_every_value_comes_to_its_own_place(self, lake: EmbeddedLake, ann: Ask, form: str) -> None:
        admin = asking(lake, lake.session)
        for values in ((1, 2, 3), (1, 1, 1), (3, 2, 1), (2, 4, 2), (4, 1, 4), (2, 2, 1)):
            sql = form.format(*values)
            assert ann(sql) == admin(sql), sql

    def test_a_number_too_large_for_its_place_is_refused_as_ever(self, ann: Ask) -> None:
        for value in (1, 2, 3, 4):
            assert ann(f"SELECT {value}::TINYINT FROM open LIMIT 1") == [(value,)]
        with pytest.raises(errors.ConversionFailed):
            ann("SELECT 900::TINYINT FROM open LIMIT 1")
        with pytest.raises(errors.NeuroLakeError):
            ann("SELECT 5::TINYINT FROM vault LIMIT 1")
