"""Copies with deeply redacted text: what is gone, what stays, who may make and see them, and how they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.clients import PASSWORD
from contract.conftest import serving, uri

from flight.service import Service
from neurolake import errors
from neurolake.lake import EmbeddedLake
from neurolake.pii import presidio
from neurolake.query import Request
from neurolake.sql.text import Name

TEXTS = [
    "Anna Nowak called about her parcel",
    "please ask Mr Xu, reach him at xu@example.org",
    "her number is AB 12 34 56 C, from ÖRJAN to jürgen müller",
    "card 4111 1111 1111 1111 was declined twice",
    "the box was left at the door",
    None,
]
GONE = ["Anna", "Nowak", "Xu", "example", "AB 12", "56 C", "müller", "4111"]


@pytest.fixture
def lake(tmp_path: Path) -> EmbeddedLake:
    return EmbeddedLake.open(tmp_path / "lake")


def notes(lake: EmbeddedLake, times: int = 1) -> None:
    lake.load("notes", pa.table({
        "id": pa.array(range(len(TEXTS) * times), pa.int32()),
        "remark": TEXTS * times,
        "mail": ["someone@example.org"] * len(TEXTS) * times,
    }))  # fmt: skip
    lake.call("set_pii", "column:notes.remark", "FREE_TEXT", "confirmed")
    lake.call("set_pii", "column:notes.mail", "EMAIL_ADDRESS", "confirmed")


def test_names_and_numbers_are_gone_and_the_rest_stays(lake: EmbeddedLake) -> None:
    with lake:
        notes(lake)
        (done,) = lake.call("redact_deep", "notes", "clean").to_pylist()
        rows = lake.sql("FROM clean ORDER BY id").arrow()
    assert done == {"table_name": "clean", "rows": len(TEXTS), "redacted": ["remark"], "left_out": ["mail"]}
    assert rows.schema.types == [pa.int32(), pa.string()]
    shown = rows["remark"].to_pylist()
    assert not any(word in str(shown) for word in GONE)
    assert shown[0] == "*** called about her parcel"
    assert shown[4:] == TEXTS[4:]


def test_nested_text_keeps_its_type(lake: EmbeddedLake) -> None:
    kind = pa.struct([("said", pa.list_(pa.string())), ("n", pa.int64()), ("raw", pa.binary())])
    value = {"said": ["ask Anna Nowak", None, "fine"], "n": 4, "raw": b"Anna Nowak"}
    with lake:
        lake.load("calls", pa.table({"c": pa.array([value, None], kind)}))
        lake.call("redact_deep", "calls", "clean", columns=["C"])
        rows = lake.sql("FROM clean").arrow()
    assert rows.schema.field("c").type == kind
    assert rows["c"].to_pylist() == [{"said": ["ask ***", None, "fine"], "n": 4, "raw": None}, None]


def test_sources_are_copied_in_batches(lake: EmbeddedLake, tmp_path: Path) -> None:
    plain = ["row " + str(i).translate(str.maketrans("0123456789", "abcdefghij")) for i in range(10_000)]
    pq.write_table(pa.table({"t": [*plain, "ask Anna Nowak"]}), tmp_path / "t.parquet")
    with lake:
        lake.register("t", tmp_path / "t.parquet")
        (found,) = lake.call("scan_pii", "t", full=True).to_pylist() or [None]
        assert found is None  # a name alone is nothing that expressions find
        (done,) = lake.call("redact_deep", "t", "clean", columns=["t"]).to_pylist()
        assert done["rows"] == 10_001
        assert lake.sql("SELECT t FROM clean WHERE t LIKE 'ask%' OR t LIKE 'row jjjj' ORDER BY t DESC").fetchall() == [
            ("row jjjj",), ("ask ***",)
        ]  # fmt: skip


def test_a_cell_that_cannot_be_looked_at_is_null(lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        supported_entities = ("UK_NINO",)
        context = ()

        def analyze(self, text: str, *_: object) -> list[object]:
            raise ValueError(text)

    with lake:
        notes(lake)
        lake.sql(f"INSERT INTO notes VALUES (6, '{'long ' * 30_000}', NULL)")
        monkeypatch.setattr(presidio, "_asked", lambda passed_over: (Failing(),))
        lake.call("redact_deep", "notes", "clean")
        shown = dict(lake.sql("SELECT id, remark FROM clean").fetchall())
    assert shown == {0: "*** called about her parcel", 1: "please ask Mr ***, reach him at ***", 2: None, 3: None,
                     4: TEXTS[4], 5: None, 6: None}  # fmt: skip


def test_the_copy_is_closed_until_it_was_looked_at(lake: EmbeddedLake) -> None:
    with lake:
        notes(lake)
        lake.sql("CALL neurolake.create_role('analyst'); CALL neurolake.grant('read', 'lake', 'analyst');"
                 "CALL neurolake.create_user('ann', 'a password for ann', ['analyst'])")  # fmt: skip
        lake.call("redact_deep", "notes", "clean")
        session = lake.engine.session(lake.engine.governance.principal("ann"))
        with pytest.raises(errors.AccessDenied):
            lake.engine.run(Request("SELECT remark FROM clean", session))
        lake.call("set_pii", "table:clean", None, "confirmed")
        rows = lake.engine.run(Request("SELECT remark FROM clean WHERE id = 0", session)).fetchall()
        assert rows == [("*** called about her parcel",)]
        with pytest.raises(errors.AccessDenied):  # who does not administer a table copies nothing
            lake.engine.run(Request("CALL neurolake.redact_deep('notes', 'mine')", session)).fetchall()


HIDING = (
    "CALL neurolake.set_policy('wide', '*', 'lake', 'null')",
    "CALL neurolake.set_policy('wide', '*', 'schema:main', 'block')",
    "CALL neurolake.tag('column:{t}.code', 'secret'); "
    "CALL neurolake.set_policy('wide', 'steward', 'tag:secret', 'partial')",
    "CALL neurolake.tag('column:{t}.remark', 'secret'); CALL neurolake.set_policy('wide', '*', 'tag:secret', 'redact')",
    "CALL neurolake.set_pii('column:{t}.remark', 'FREE_TEXT', 'confirmed')",
    "CALL neurolake.set_row_filter('{t}', '*', '{t}', 'id > 1')",
    "ALTER TABLE {t} ADD COLUMN fresh VARCHAR DEFAULT 'XQ7'",
)
"""What hides something of a table from who administers it."""


def test_who_does_not_see_all_of_a_table_copies_none_of_it(tmp_path: Path) -> None:
    with serving(tmp_path) as service, ExitStack() as clients:
        admin = runs(clients, service, "admin", PASSWORD)
        admin("CREATE SCHEMA lab; CALL neurolake.create_role('steward');"
              "CALL neurolake.grant('create', 'schema:lab', 'steward');"
              "CALL neurolake.create_user('sue', 'a password of sue', ['steward'])")  # fmt: skip
        sue = runs(clients, service, "sue", "a password of sue")
        for number, rule in enumerate(HIDING):
            table = f"calls_{number}"
            admin(f"CREATE TABLE {table} AS SELECT i AS id, 'XQ7' || i AS code, 'ask Anna Nowak' AS remark "
                  f"FROM range(3) r(i); CALL neurolake.set_pii('{table}', null, 'confirmed');"
                  f"CALL neurolake.grant('admin', '{table}', 'steward')")  # fmt: skip
            sue(f"CALL neurolake.redact_deep('{table}', 'lab.seen_{number}', columns => ['remark'])")
            admin(rule.format(t=table))
            with pytest.raises(adbc_driver_manager.Error, match="redact_denied") as caught:
                sue(f"CALL neurolake.redact_deep('{table}', 'lab.mine', columns => ['remark'])")
            assert "XQ7" not in str(caught.value)
            admin(f"CALL neurolake.redact_deep('{table}', 'lab.theirs_{number}', columns => ['remark'])")
            if "'wide'" in rule:
                admin("CALL neurolake.drop_policy('wide')")
        made = {
            name for (name,) in admin("SELECT table_name FROM information_schema.tables WHERE table_schema = 'lab'")
        }
        assert made == {f"{who}_{number}" for who in ("seen", "theirs") for number in range(len(HIDING))}


def runs(clients: ExitStack, service: Service, user: str, password: str) -> Callable[[str], list[tuple[object, ...]]]:
    """What runs statements as a user, through the stock driver."""
    login = {"username": user, "password": password}
    connection = clients.enter_context(flight_sql.connect(uri(service), login, autocommit=True))
    cursor = clients.enter_context(connection.cursor())

    def run(sql: str) -> list[tuple[object, ...]]:
        cursor.execute(sql)
        return list(cursor.fetchall())

    return run


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("notes", "notes"), "already_exists"),
        (("notes", "clean", ["nowhere"]), "redact_nothing"),
        (("notes", "clean", ["id"]), "redact_nothing"),
        (("plain", "clean"), "redact_nothing"),
        (("nowhere", "clean"), "not_found"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_behind(
    lake: EmbeddedLake, arguments: tuple[object, ...], code: str
) -> None:
    with lake:
        notes(lake)
        lake.sql("CREATE TABLE plain AS SELECT 'x' AS c")
        with pytest.raises(errors.NeuroLakeError) as caught:
            lake.call("redact_deep", *arguments)
        assert caught.value.code == code
        assert "Anna" not in str(caught.value)
        assert Name("main", "clean") not in {
            Name(*row) for row in lake.sql("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        }


def test_it_ends_when_it_is_cancelled(lake: EmbeddedLake) -> None:
    with lake:
        notes(lake)
        lake.sql("CREATE TABLE many AS SELECT 'Anna ' || i || ' of AB 12 34 56 C' AS remark FROM range(50000) r(i)")
        failed: list[BaseException] = []

        def copy() -> None:
            try:
                lake.call("redact_deep", "many", "clean", columns=["remark"])
            except errors.NeuroLakeError as problem:
                failed.append(problem)

        thread = threading.Thread(target=copy)
        thread.start()
        while not (running := [one for one in lake.engine.activities.snapshot() if "redact_deep" in one.text]):
            time.sleep(0.01)
        time.sleep(0.5)
        lake.cancel(running[0].query_id)
        thread.join(20)
        assert not thread.is_alive()
        assert isinstance(failed[0], errors.Cancelled)
        assert lake.sql("SELECT 1 FROM information_schema.tables WHERE table_name = 'clean'").fetchall() == []


def test_a_rollback_does_not_undo_it(lake: EmbeddedLake) -> None:
    with lake:
        notes(lake)
        lake.sql("BEGIN")
        lake.sql("CALL neurolake.redact_deep('notes', destination => 'clean')")
        lake.sql("ROLLBACK")
        assert lake.sql("SELECT count(*) FROM clean").fetchall() == [(len(TEXTS),)]


def test_over_flight_with_the_stock_driver(tmp_path: Path) -> None:
    login = {"username": "admin", "password": PASSWORD}
    with (
        serving(tmp_path) as service,
        flight_sql.connect(uri(service), login) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE calls AS SELECT 'ask Anna Nowak' AS remark")
        connection.commit()
        cursor.execute("CALL neurolake.redact_deep('calls', 'clean', columns => ['remark'])")
        cursor.execute("SELECT remark FROM clean")
        assert cursor.fetchall() == [("ask ***",)]
