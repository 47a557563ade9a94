"""Results on their way out: personal data that nobody has found yet is said, redacted or kept back, on every way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pytest

import neurolake
from contract.clients import failure_of
from contract.conftest import serving, uri
from contract.test_governed import Rows, Run, embedded
from flight.service import Service
from neurolake import errors
from neurolake.cli import run as cli
from neurolake.lake import EmbeddedLake
from neurolake.query import OWNER, Request

PASSWORD = "a password for ann"
MAIL, CARD, PHONE, IBAN = "ann@example.org", "4111 1111 1111 1111", "+49 30 1234567", "DE89 3704 0044 0532 0130 00"
TABLE = f"""
CREATE TABLE notes AS SELECT i::INTEGER AS id,
    CASE i WHEN 7 THEN 'call {MAIL} or {PHONE}' WHEN 8 THEN 'paid by {CARD}, order 4111111111111112'
           WHEN 9 THEN 'to {IBAN} please' ELSE 'parcel ' || i END AS remark,
    'u' || i || '@example.org' AS mail, 'v' || i || '@example.org' AS hidden,
    {{'of': ['none', CASE i WHEN 7 THEN '{MAIL}' END], 'n': i}} AS nested,
    MAP {{'k' || i: CASE i WHEN 7 THEN '{MAIL}' ELSE 'none' END}} AS pairs,
    CASE i WHEN 7 THEN '{{"to": ["{MAIL}"]}}' ELSE '{{"to": []}}' END::JSON AS document,
    encode(CASE i WHEN 7 THEN '{MAIL}' ELSE 'none' END) AS bytes,
    (CASE i WHEN 7 THEN '{MAIL}' ELSE 'none' END)::ENUM ('none', '{MAIL}') AS label
FROM range(20) r(i);
CALL neurolake.create_role('analyst');
CALL neurolake.create_role('support', ['analyst']);
CALL neurolake.set_pii('notes', null, 'confirmed');
CALL neurolake.set_pii('column:notes.mail', 'EMAIL_ADDRESS', 'confirmed');
CALL neurolake.set_pii('column:notes.hidden', 'EMAIL_ADDRESS', 'confirmed');
CALL neurolake.set_policy('mails', '*', 'column:notes.mail', 'allow');
CALL neurolake.set_policy('hidden', '*', 'column:notes.hidden', 'partial', {{'email': true}});
CALL neurolake.grant('read', 'lake', 'analyst');
CALL neurolake.create_user('ann', '{PASSWORD}', ['analyst', 'support']);
CREATE TABLE log (id INTEGER, remark VARCHAR);
CALL neurolake.set_pii('log', null, 'confirmed');
CALL neurolake.grant('write', 'log', 'analyst');
"""
COLUMNS = "id, remark, nested, pairs, document, bytes, label"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("checked"), pii_literals="off") as service:
        owner(service, TABLE)
        yield service


def owner(service: Service, sql: str) -> Rows:
    return service.engine.run(Request(sql, service.engine.session(OWNER))).fetchall()


@contextmanager
def driver(service: Service) -> Iterator[Run]:
    """The stock driver, with the transaction that it opens by itself."""
    with flight_sql.connect(uri(service), {"username": "ann", "password": PASSWORD}) as connection:

        def run(sql: str, values: Any = None) -> Rows:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return list(zip(*(column.to_pylist() for column in cursor.fetch_arrow_table().columns), strict=True))

        yield run


@pytest.fixture(params=[embedded, driver], ids=["embedded", "driver"])
def ann(request: pytest.FixtureRequest, service: Service) -> Iterator[Run]:
    with request.param(service) as run:
        yield run


@pytest.fixture
def said(service: Service) -> Iterator[Callable[..., None]]:
    """Sets policies on results, which go when the test ends."""
    names: list[str] = []

    def say(action: str, target: str = "result:*", role: str = "*") -> None:
        names.append(f"results_{len(names)}")
        owner(service, f"CALL neurolake.set_policy('{names[-1]}', '{role}', '{target}', '{action}')")

    yield say
    for name in names:
        owner(service, f"CALL neurolake.drop_policy('{name}')")


def failure(run: Run, sql: str) -> tuple[str, str]:
    """The code and the text of the error that a statement ends with."""
    with pytest.raises((errors.NeuroLakeError, adbc_driver_manager.Error)) as caught:
        run(sql)
    found = failure_of(caught.value)
    return found.code, found.text


def last(service: Service) -> dict[str, Any]:
    """What the audit log says of ann's last statement."""
    ((details,),) = owner(
        service,
        "SELECT details FROM neurolake.audit WHERE user_name = 'ann' AND event IN ('decision', 'denied') "
        "ORDER BY number DESC LIMIT 1",
    )
    found: dict[str, Any] = json.loads(details)
    return found


def everywhere(service: Service) -> str:
    """All that the lake keeps about statements."""
    told = owner(service, "SELECT details FROM neurolake.audit")
    return str(told) + str(owner(service, "SELECT * FROM neurolake.queries WHERE user_name = 'ann'"))


class TestWarn:
    def test_the_rows_arrive_and_the_audit_log_says_what_they_held(
        self, service: Service, ann: Run, said: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        said("warn")
        caplog.set_level("INFO", "neurolake")
        assert ann("SELECT remark FROM notes WHERE id = 7") == [(f"call {MAIL} or {PHONE}",)]
        assert last(service)["personal"] == {"remark": ["EMAIL_ADDRESS", "PHONE_NUMBER"]}
        assert "The column remark holds personal data: EMAIL_ADDRESS, PHONE_NUMBER." in caplog.text
        assert MAIL not in caplog.text
        assert MAIL not in everywhere(service)

    def test_clean_rows_are_not_spoken_of(self, service: Service, ann: Run, said: Callable[..., None]) -> None:
        said("warn")
        assert ann("SELECT remark FROM notes WHERE id = 3") == [("parcel 3",)]
        assert "personal" not in last(service)

    def test_who_reads_through_neurolake_is_told(self, service: Service, said: Callable[..., None]) -> None:
        said("warn")
        with neurolake.connect(uri(service), user="ann", password=PASSWORD) as lake:
            result = lake.sql("SELECT id, remark FROM notes WHERE id > 6")
            assert result.warnings == ()  # nothing was read yet
            result.arrow()
            assert result.warnings == ("The column remark holds personal data: "
                                       "CREDIT_CARD, EMAIL_ADDRESS, IBAN_CODE, PHONE_NUMBER.",)  # fmt: skip

    def test_the_command_says_it_on_standard_error(
        self, service: Service, said: Callable[..., None], capfd: pytest.CaptureFixture[str], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        said("warn")
        monkeypatch.setenv("NEUROLAKE_PASSWORD", PASSWORD)
        arguments = ["sql", "SELECT remark FROM notes", "--uri", uri(service), "--user", "ann"]
        assert cli([*arguments, "--output", str(tmp_path / "notes.csv")]) == 0
        shown = capfd.readouterr()
        assert "warning: The column remark holds personal data: CREDIT_CARD" in shown.err
        assert MAIL in (tmp_path / "notes.csv").read_text()
        assert MAIL not in shown.err


class TestRedact:
    def test_what_is_found_is_taken_out_of_the_cell(
        self, service: Service, ann: Run, said: Callable[..., None]
    ) -> None:
        said("redact")
        rows = ann("SELECT remark FROM notes WHERE id BETWEEN 6 AND 9 ORDER BY id")
        assert rows == [("parcel 6",), ("call *** or ***",), ("paid by ***, order 4111111111111112",),
                        ("to *** please",)]  # fmt: skip
        assert last(service)["personal"]["remark"] == ["CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "PHONE_NUMBER"]

    def test_nested_values_bytes_and_labels_too(self, ann: Run, said: Callable[..., None]) -> None:
        said("redact")
        sql = "SELECT nested, pairs, document, bytes, label::VARCHAR, label FROM notes WHERE id IN (6, 7) ORDER BY id"
        clean, hidden = ann(sql)
        assert clean == ({"of": ["none", None], "n": 6}, [("k6", "none")], '{"to": []}', b"none", "none", "none")
        assert hidden == ({"of": ["none", "***"], "n": 7}, [("k7", "***")], '{"to": ["***"]}', b"***", "***", "***")

    def test_types_names_and_nulls_stay(self, service: Service, said: Callable[..., None]) -> None:
        session = service.engine.session(service.engine.governance.principal("ann"))

        def read() -> pa.Table:
            return service.engine.run(Request(f"SELECT {COLUMNS} FROM notes ORDER BY id", session)).arrow()

        before = read()
        said("redact")
        after = read()
        assert after.schema == before.schema
        assert [c.null_count for c in after.columns] == [c.null_count for c in before.columns]
        assert after.schema.metadata[b"neurolake.result_check"] == b"redact"
        after.validate(full=True)
        session.close()

    def test_what_a_write_returns(self, ann: Run, said: Callable[..., None], service: Service) -> None:
        said("block")  # what is written is written
        assert ann(f"INSERT INTO log VALUES (1, '{MAIL}') RETURNING remark") == [("***",)]


class TestBlock:
    def test_no_row_leaves(self, service: Service, ann: Run, said: Callable[..., None]) -> None:
        said("block")
        code, text = failure(ann, "SELECT remark FROM notes")
        assert code == "result_personal"
        assert "remark" in text
        assert MAIL not in text
        assert last(service)["error"] == "result_personal"
        assert ann("SELECT remark FROM notes WHERE id < 5 ORDER BY id")[0] == ("parcel 0",)

    def test_prepared_statements_and_exports(
        self, ann: Run, said: Callable[..., None], service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said("block")
        assert ann("SELECT remark FROM notes WHERE id = ?", [3]) == [("parcel 3",)]
        with pytest.raises((errors.NeuroLakeError, adbc_driver_manager.Error)) as caught:
            ann("SELECT remark FROM notes WHERE id = ?", [7])
        assert failure_of(caught.value).code == "result_personal"
        monkeypatch.setenv("NEUROLAKE_PASSWORD", PASSWORD)
        kept = tmp_path / "notes.parquet"
        arguments = ["sql", "SELECT remark FROM notes", "--uri", uri(service), "--user", "ann", "--output", str(kept)]
        assert cli(arguments) != 0
        assert not kept.exists()

    def test_batches_ahead_of_it_have_left_and_it_has_not(self, service: Service, said: Callable[..., None]) -> None:
        said("block")
        rows = 300_000
        owner(service, f"CREATE OR REPLACE TABLE long AS SELECT i, CASE i WHEN {rows - 1} THEN '{MAIL}' ELSE 'x' END "
                       f"AS remark FROM range({rows}) r(i)")  # fmt: skip
        owner(service, "CALL neurolake.set_pii('long', null, 'confirmed')")
        login = {"username": "ann", "password": PASSWORD}
        with flight_sql.connect(uri(service), login) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT remark FROM long ORDER BY i")
            reader, seen = cursor.fetch_record_batch(), []
            with pytest.raises((OSError, adbc_driver_manager.Error), match="result_personal"):
                seen.extend(iter(reader))
        assert 0 < sum(batch.num_rows for batch in seen) < rows
        assert not any(MAIL in batch.column(0).to_pylist() for batch in seen)


class TestWhatIsKnown:
    @pytest.mark.parametrize("action", ["redact", "block"])
    def test_columns_that_the_role_may_see_or_sees_masked_are_left_alone(
        self, ann: Run, said: Callable[..., None], action: str
    ) -> None:
        said(action)
        assert ann("SELECT mail, hidden FROM notes WHERE id = 7") == [("u7@example.org", "v***@example.org")]

    def test_another_name_does_not_make_a_column_known(self, ann: Run, said: Callable[..., None]) -> None:
        said("redact")
        sql = "SELECT remark AS mail, mail AS remark, upper(mail) AS hidden FROM notes WHERE id = 7"
        assert ann(sql) == [("call *** or ***", "u7@example.org", "***")]
        swapped = "SELECT {} FROM (SELECT remark AS mail, mail AS remark FROM notes WHERE id = 7)"
        assert ann(swapped.format("mail")) == [("call *** or ***",)]
        assert ann(swapped.format("*")) == [("call *** or ***", "u7@example.org")]
        renamed = "SELECT x_1 FROM (SELECT id AS x, remark AS x, mail AS x_1 FROM notes WHERE id = 7)"
        assert ann(renamed) == [("call *** or ***",)]
        assert ann("SELECT mail FROM notes WHERE id = 1 UNION ALL SELECT remark FROM notes WHERE id = 7") == [
            ("***",), ("call *** or ***",)
        ]  # fmt: skip

    @pytest.mark.parametrize("sql", [
        "WITH m AS (SELECT id, mail, hidden FROM notes WHERE id = 7) SELECT mail, hidden FROM m",
        "WITH m AS (FROM notes WHERE id = 7), n AS MATERIALIZED (FROM m) SELECT n.mail, n.hidden FROM n, m",
        "WITH m(a, b) AS (SELECT mail, hidden FROM notes WHERE id = 7) SELECT a, b FROM m",
        "SELECT x.a, x.b FROM (SELECT mail, hidden FROM notes WHERE id = 7) x(a, b)",
        "SELECT mail, hidden FROM notes WHERE id = 7 UNION SELECT mail, hidden FROM notes WHERE id = 7",
        "SELECT * FROM (SELECT mail, hidden FROM notes WHERE id = 7 UNION ALL SELECT mail, hidden FROM notes LIMIT 1)",
        "WITH notes AS (SELECT * FROM notes WHERE id = 7) SELECT mail, hidden FROM notes",
    ])  # fmt: skip
    def test_common_tables_and_unions_are_followed(self, ann: Run, said: Callable[..., None], sql: str) -> None:
        said("block")
        assert ann(sql) == [("u7@example.org", "v***@example.org")]

    @pytest.mark.parametrize("sql", [
        "WITH m AS (SELECT remark AS mail FROM notes WHERE id = 7) SELECT mail FROM m",
        "WITH m(mail) AS (SELECT remark FROM notes WHERE id = 7) SELECT mail FROM m",
        "WITH m AS (SELECT mail AS remark, remark AS mail FROM notes WHERE id = 7) SELECT mail FROM m",
        "WITH notes AS (SELECT remark AS mail FROM notes WHERE id = 7) SELECT mail FROM notes",
        "SELECT mail FROM (WITH notes AS (SELECT remark AS mail FROM notes WHERE id = 7) SELECT mail FROM notes)",
        "WITH a AS (SELECT mail FROM notes), b AS (SELECT remark AS mail FROM notes WHERE id = 7) SELECT mail FROM b",
        "SELECT x.mail FROM (SELECT remark FROM notes WHERE id = 7) x(mail)",
        "SELECT mail FROM notes WHERE id > 90 UNION SELECT remark FROM notes WHERE id = 7",
        "SELECT mail FROM notes WHERE id > 90 UNION ALL BY NAME SELECT remark AS mail FROM notes WHERE id = 7",
        "SELECT hidden FROM notes WHERE id > 90 UNION ALL SELECT remark FROM notes WHERE id = 7",
        "SELECT mail FROM notes WHERE id > 90 UNION ALL (SELECT mail FROM notes WHERE id > 90 UNION ALL "
        "SELECT remark FROM notes WHERE id = 7)",
        "SELECT remark FROM notes WHERE id = 7 EXCEPT SELECT mail FROM notes",
        "SELECT remark FROM notes WHERE id = 7 INTERSECT SELECT remark FROM notes",
        "WITH RECURSIVE r AS (SELECT mail FROM notes WHERE id > 90 UNION SELECT remark FROM notes WHERE id = 7) FROM r",
        "WITH RECURSIVE r AS (SELECT mail, 1 AS n FROM notes WHERE id = 1 UNION ALL "
        "SELECT notes.remark, n + 1 FROM r, notes WHERE notes.id = 7 AND n < 2) SELECT mail FROM r WHERE n = 2",
    ])  # fmt: skip
    def test_and_anything_else_under_the_same_name_is_checked(
        self, ann: Run, said: Callable[..., None], sql: str
    ) -> None:
        said("redact")
        assert ann(sql) == [("call *** or ***",)]

    def test_of_two_kinds_in_one_column_neither_is_known(self, ann: Run, said: Callable[..., None]) -> None:
        said("redact")
        sql = "SELECT mail FROM notes WHERE id = 1 UNION ALL SELECT hidden FROM notes WHERE id = 1"
        assert ann(sql) == [("***",), ("v***@example.org",)]

    def test_a_view_of_ones_own_does_not_either(self, service: Service, said: Callable[..., None]) -> None:
        said("redact")
        with embedded(service) as run:
            run("CREATE TEMP VIEW swapped AS SELECT remark AS mail, mail AS remark FROM notes WHERE id = 7")
            assert run("SELECT mail, remark FROM swapped") == [("call *** or ***", "u7@example.org")]

    def test_what_one_says_oneself_and_system_tables_are_not_looked_at(
        self, ann: Run, said: Callable[..., None]
    ) -> None:
        said("block")
        assert ann(f"SELECT '{MAIL}'") == [(MAIL,)]
        assert len(ann(f"SELECT sql FROM neurolake.queries WHERE sql LIKE '%{MAIL}%' LIMIT 1")) == 1
        assert ann(f"EXPLAIN SELECT * FROM notes WHERE remark = '{MAIL}'")

    def test_temporary_tables_are_looked_at(self, ann: Run, said: Callable[..., None]) -> None:
        said("redact")
        ann("CREATE TEMP TABLE mine AS SELECT remark FROM notes WHERE id = 7")
        assert ann("SELECT * FROM mine") == [("call *** or ***",)]


class TestDisguises:
    @pytest.mark.parametrize("expression", [
        "upper(remark)", "lower(remark)", "[remark]", "{'a': {'b': remark}}", "MAP {remark: 1}", "encode(remark)",
        "to_json(remark)", "remark || remark", "replace(to_json({'a': remark})::VARCHAR, '@', '\\u0040')",
        "(SELECT string_agg(remark) FROM notes)", "[remark]::VARCHAR[1]", "UNION_VALUE(t := remark)",
    ])  # fmt: skip
    def test_are_seen_through(self, service: Service, said: Callable[..., None], expression: str) -> None:
        said("block", "result:EMAIL_ADDRESS")
        with embedded(service) as run:
            code, _ = failure(run, f"SELECT {expression} AS x FROM notes WHERE id = 7")
        assert code == "result_personal"

    def test_a_name_that_is_a_value_is_not_repeated(self, service: Service, said: Callable[..., None]) -> None:
        said("block")
        with embedded(service) as run:
            _, text = failure(run, f'SELECT id, remark AS "{MAIL}" FROM notes')
        assert "The column 2 holds" in text
        assert MAIL not in text


class TestPolicies:
    def test_of_a_role_of_a_kind_and_the_strictest(self, service: Service, said: Callable[..., None]) -> None:
        said("redact")
        said("allow", "result:PHONE_NUMBER", "analyst")
        with embedded(service) as run:
            assert run("SELECT remark FROM notes WHERE id = 7") == [(f"call *** or {PHONE}",)]
            said("warn", "result:*", "support")  # a role's own stands in place of what it would inherit
            run("SET ROLE support")
            assert run("SELECT remark FROM notes WHERE id = 7") == [(f"call {MAIL} or {PHONE}",)]
            run("RESET ROLE")
            said("block")
            assert failure(run, "SELECT remark FROM notes WHERE id = 7")[0] == "result_personal"

    def test_only_what_a_result_can_be_done_to(self, service: Service) -> None:
        for target, action in (("result:*", "token"), ("column:notes.remark", "warn"), ("result:*", "null")):
            with pytest.raises(errors.InvalidRequest, match="policy_action"):
                owner(service, f"CALL neurolake.set_policy('p', '*', '{target}', '{action}')")
        with pytest.raises(errors.InvalidRequest, match="policy_options"):
            owner(service, "CALL neurolake.set_policy('p', '*', 'result:*', 'warn', {'last': 4})")

    def test_only_administrators_of_the_lake_set_them(self, service: Service) -> None:
        with embedded(service) as run:
            assert failure(run, "CALL neurolake.set_policy('p', '*', 'result:*', 'allow')")[0] == "access_denied"


def test_a_masked_snapshot_is_whole_or_refused(tmp_path: Path) -> None:
    with EmbeddedLake.open(tmp_path / "lake", pii_results="redact") as lake:
        lake.sql(TABLE)
        with pytest.raises(errors.AccessDenied, match="result_personal"):
            lake.call("create_snapshot", tables=["notes"], as_role="analyst")
        lake.call("set_policy", "snapshots", "analyst", "result:*", "warn")
        (taken,) = lake.call("create_snapshot", tables=["log"], as_role="analyst").to_pylist()
        states = lake.call("verify_snapshot", taken["snapshot_id"], full=True)["state"].to_pylist()
        assert set(states) == {"whole"}


class TestSettings:
    def test_hold_where_no_policy_does_and_for_administrators_by_a_setting_of_its_own(self, tmp_path: Path) -> None:
        with serving(tmp_path, pii_results="redact", pii_results_admins=True) as service:
            owner(service, TABLE)
            with embedded(service) as run:
                assert run("SELECT remark FROM notes WHERE id = 7") == [("call *** or ***",)]
            assert owner(service, "SELECT remark, mail FROM notes WHERE id = 7") == [
                ("call *** or ***", "u7@example.org")
            ]
            for known in (
                "WITH m AS (FROM notes) SELECT mail FROM m WHERE id = 7",
                "SELECT mail FROM notes WHERE id = 7 UNION SELECT mail FROM (FROM notes) WHERE id = 7",
            ):
                assert owner(service, known) == [("u7@example.org",)]
            for other in (
                "WITH notes AS (SELECT remark AS mail FROM notes WHERE id = 7) SELECT mail FROM notes",
                "SELECT x.mail FROM notes, (WITH notes AS (SELECT remark AS mail FROM main.notes WHERE id = 7) "
                "SELECT mail FROM notes) x LIMIT 1",
                "SELECT mail FROM notes WHERE id > 90 UNION ALL SELECT remark FROM notes WHERE id = 7",
            ):
                assert owner(service, other) == [("call *** or ***",)]
            # Of these no schema is known before they run.
            assert owner(service, f"PIVOT (SELECT 'k' AS k, '{MAIL}' AS v) ON k USING first(v)") == [("***",)]
            assert owner(service, f"PREPARE p AS SELECT $1 || '{MAIL}'; EXECUTE p('to ')") == [("to ***",)]

    def test_an_owner_is_told_in_the_notebook(self, tmp_path: Path) -> None:
        with EmbeddedLake.open(tmp_path / "lake", pii_results="warn", pii_results_admins=True) as lake:
            lake.load("notes", {"remark": [f"call {MAIL}"]})
            assert "The column remark holds personal data: EMAIL_ADDRESS." in lake.sql("FROM notes")._repr_html_()
