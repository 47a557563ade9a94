"""Users of a lake in this process: who one is must be proven, and what one may see is what a server would show."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import pytest

import neurolake
from contract.clients import PASSWORD
from contract.conftest import serving, uri
from contract.test_governed import ANN, RULES
from neurolake import errors
from neurolake.governance.lockout import FREE_FAILURES
from neurolake.lake import EmbeddedLake, Lake

READS = (
    "SELECT * FROM people ORDER BY id",
    "SELECT region, count(*), min(email) FROM people WHERE salary IS NULL GROUP BY ALL ORDER BY ALL",
    "SELECT p.email, o.amount FROM orders o JOIN people p ON p.id = o.person ORDER BY ALL",
    "DESCRIBE people",
    "SHOW TABLES",
    "SELECT table_name, column_name FROM neurolake.columns ORDER BY ALL",
    "SELECT name, role, target FROM neurolake.policies ORDER BY ALL",
    "SELECT user_name, role FROM neurolake.running",
)
DENIED = (
    "FROM vault",
    "SELECT ssn FROM people",
    "DELETE FROM orders",
    "FROM duckdb_tables()",
    "COPY people TO 'x.csv'",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with users and rules, to be copied."""
    folder: Path = tmp_path_factory.mktemp("users") / "lake"
    with neurolake.connect(folder, admin_password=PASSWORD) as lake:
        lake.sql(RULES).close()
        lake.call("create_user", "bob", "a password for bob", roles=["analyst"])
    return folder


@pytest.fixture
def home(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "lake"))


@pytest.fixture
def owned(home: Path) -> Iterator[Lake]:
    with neurolake.connect(home) as lake:
        yield lake


@pytest.fixture(params=["connect", "as_user"])
def ann(request: pytest.FixtureRequest, home: Path) -> Iterator[Lake]:
    """Ann's lake, the only one that is open, or beside the owner's."""
    if request.param == "connect":
        with neurolake.connect(home, user="ann", password=ANN) as lake:
            yield lake
        return
    with neurolake.connect(home) as owned, owned.as_user("ann", password=ANN) as lake:
        yield lake


def code_of(work: Callable[[], Any]) -> str:
    with pytest.raises(errors.NeuroLakeError) as caught:
        work()
    return caught.value.code


def rows(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    return lake.sql(sql).fetchall()


class TestWhoOneIs:
    @pytest.mark.parametrize(
        ("proof", "code"),
        [
            ({"user": "ann", "password": "wrong"}, "login_failed"),
            ({"user": "nobody", "password": "wrong"}, "login_failed"),
            ({"user": "owner", "password": "wrong"}, "login_failed"),
            ({"user": "ann", "password": ""}, "login_failed"),
            ({"user": "ann"}, "login_missing"),
            ({"password": ANN}, "login_missing"),
            ({"user": "bob", "token": "nl_x_y"}, "login_missing"),
            ({"token": ""}, "session_unknown"),
            ({"token": "nlp_nothing"}, "session_unknown"),
        ],
    )
    def test_what_proves_nothing_opens_nothing(self, home: Path, proof: dict[str, Any], code: str) -> None:
        with pytest.raises(errors.LoginFailed) as caught:
            neurolake.connect(home, **proof)
        assert caught.value.code == code
        assert caught.value.next_step
        with neurolake.connect(home) as lake:  # and the folder is free again
            assert code_of(lambda: lake.as_user(**proof)) == code

    def test_a_failure_is_recorded_counted_and_slowed_down(self, owned: Lake) -> None:
        for _ in range(FREE_FAILURES):
            assert code_of(lambda: owned.as_user("ann", password="wrong")) == "login_failed"
        assert code_of(lambda: owned.as_user("ann", password=ANN)) == "login_back_off"
        audit = "SELECT user_name, details->>'method' FROM neurolake.audit WHERE event = 'login_failed'"
        assert rows(owned, audit)[:FREE_FAILURES] == [("ann", "password")] * FREE_FAILURES
        assert isinstance(owned, EmbeddedLake)
        failed = {"method": "password", "outcome": "login_failed"}
        counted = owned.engine.metrics.registry.get_sample_value("neurolake_logins_total", failed)
        assert counted == FREE_FAILURES

    def test_nobody_makes_a_lake_by_a_login(self, tmp_path: Path) -> None:
        with pytest.raises(errors.HomeProblem):
            neurolake.connect(tmp_path / "none", user="ann", password=ANN)
        assert not (tmp_path / "none").exists()

    def test_a_lake_in_memory_begins_without_users(self) -> None:
        assert code_of(lambda: neurolake.connect(":memory:", user="ann", password=ANN)) == "no_users"
        with neurolake.connect(":memory:") as lake:
            lake.call("create_user", "ann", ANN, roles=[])
            with lake.as_user("ann", password=ANN) as ann:
                assert rows(ann, "SELECT user_name FROM neurolake.running") == [("ann",)]

    def test_over_flight_as_well(self, tmp_path: Path) -> None:
        with serving(tmp_path) as service, neurolake.connect(uri(service), user="admin", password=PASSWORD) as admin:
            admin.call("create_user", "ann", ANN, roles=[])
            with admin.as_user("ann", password=ANN) as ann:
                assert rows(ann, "SELECT user_name FROM neurolake.running") == [("ann",)]
            assert code_of(lambda: admin.as_user("ann", password="wrong")) == "login_failed"
            assert code_of(lambda: admin.as_user()) == "login_missing"


class TestWhatTheySee:
    def test_the_same_as_over_flight(self, home: Path) -> None:
        over_flight = {}
        with (
            serving(home.parent) as service,
            flight_sql.connect(uri(service), {"username": "ann", "password": ANN}, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            for sql in READS:
                cursor.execute(sql)
                over_flight[sql] = cursor.fetchall()
        with neurolake.connect(home, user="ann", password=ANN) as ann:
            assert {sql: rows(ann, sql) for sql in READS} == over_flight
        assert over_flight[READS[0]][3] == (3, "name3", "u***@example.org", None, "south")

    def test_and_nothing_else(self, ann: Lake, tmp_path: Path) -> None:
        for sql in DENIED:
            with pytest.raises(errors.NeuroLakeError):
                ann.sql(sql).fetchall()
        assert ann.tables() == ["orders", "people"]
        assert ann["people"].arrow().num_columns == 5
        assert ann.catalog.tables()["columns"].to_pylist() == [3, 5]
        assert ann.catalog.columns("people")["column_name"].to_pylist() == ann["people"].columns
        assert code_of(lambda: ann.catalog.columns("vault")) == "not_found"
        assert code_of(lambda: ann["vault"].arrow()) == "relation_denied"
        assert not (tmp_path / "x").exists()

    def test_what_lies_under_a_null_does_not_leave(self, ann: Lake) -> None:
        column = ann.sql("SELECT salary FROM people").arrow()["salary"].combine_chunks()
        assert column.null_count == 10
        assert not any(bytes(buffer).strip(b"\0") for buffer in column.buffers() if buffer is not None)

    def test_what_they_write(self, ann: Lake, tmp_path: Path) -> None:
        ann.sql("SET ROLE writer").close()
        with pytest.raises(RuntimeError), ann.transaction():
            ann.sql("INSERT INTO orders VALUES (100, 1, 5.0)").close()
            raise RuntimeError
        with ann.transaction():
            ann.sql("INSERT INTO orders VALUES (101, 1, 5.0)").close()
        assert rows(ann, "SELECT id FROM orders WHERE id >= 100") == [(101,)]
        assert ann.load("lab.own", {"a": [1, 2]}) == 2
        assert code_of(lambda: ann.load("main.own", {"a": [1]})) == "privilege_missing"
        file = tmp_path / "people.csv"
        file.write_text("a\n3\n")
        with pytest.raises(errors.AccessDenied):
            ann.load("lab.own", file, mode="append")

    def test_helpers_obey(self, ann: Lake) -> None:
        for helper in (
            ann.backups.create, ann.backups.list, ann.backups.verify, ann.backups.mount, ann.backups.prune,
            lambda: ann.pii.scan("people"), ann.pii.findings, lambda: ann.pii.protect("people", apply=True),
            lambda: ann.catalog.tag("people", "gold"), lambda: ann.catalog.describe("orders", "all paid"),
            lambda: ann.register("mine", "/etc/passwd"), lambda: ann.call("grant", "read", "vault", "analyst"),
            lambda: ann.call("create_user", "eve", "a password of eve", roles=["admin"]),
        ):  # fmt: skip
            with pytest.raises(errors.AccessDenied):
                helper()

    def test_policies_hold_for_the_next_statement(self, owned: Lake) -> None:
        with owned.as_user("ann", password=ANN) as ann, ann.transaction():
            assert rows(ann, "SELECT email FROM people WHERE id = 1") == [("u***@example.org",)]
            owned.call("set_policy", "email", "analyst", "column:people.email", "null")
            assert rows(ann, "SELECT email FROM people WHERE id = 1") == [(None,)]


class TestTheEnd:
    def test_each_closes_alone_and_the_owner_closes_all(self, home: Path) -> None:
        owned = neurolake.connect(home)
        ann, bob = owned.as_user("ann", password=ANN), owned.as_user("bob", password="a password for bob")
        ann.close()
        assert code_of(lambda: rows(ann, "SELECT 1")) == "session_closed"
        assert rows(bob, "SELECT 1") == rows(owned, "SELECT 1") == [(1,)]
        owned.close()
        assert code_of(lambda: rows(bob, "SELECT 1")) == "closed"
        neurolake.connect(home).close()

    def test_a_new_password_ends_the_sessions_of_the_old_one(self, owned: Lake) -> None:
        with owned.as_user("ann", password=ANN) as one, owned.as_user("ann", password=ANN) as other:
            one.call("set_password", "ann", "another password")
            assert rows(one, "SELECT 1") == [(1,)]
            assert code_of(lambda: rows(other, "SELECT 1")) == "session_closed"
        assert code_of(lambda: owned.as_user("ann", password=ANN)) == "login_failed"

    def test_what_runs_ends_with_its_login(self, owned: Lake) -> None:
        with owned.as_user("ann", password=ANN) as ann:
            codes: list[str] = []
            endless = "SELECT count(*) FROM range(1e15::BIGINT) r(i) WHERE i % 3 = 7"
            thread = threading.Thread(target=lambda: codes.append(code_of(lambda: rows(ann, endless))))
            thread.start()
            while not rows(owned, "SELECT 1 FROM neurolake.running WHERE user_name = 'ann' AND state = 'running'"):
                time.sleep(0.01)
            owned.call("drop_user", "ann")
            thread.join()
        assert codes == ["cancelled"]

    def test_by_a_token_its_roles_and_its_life(self, owned: Lake) -> None:
        made = owned.call("create_token", "ann", roles=["writer"], expires="2s").to_pylist()[0]
        with owned.as_user(token=made["token"]) as ann:
            assert rows(ann, "SELECT user_name, role FROM neurolake.running") == [("ann", "writer")]
            assert code_of(lambda: ann.call("set_password", "ann", "another password")) == "access_denied"
            assert code_of(lambda: ann.sql("SET ROLE analyst").close()) == "role_denied"
            until = time.time() + 10
            while time.time() < until:
                try:
                    rows(ann, "SELECT 1")
                except errors.Cancelled:
                    continue  # it was at work when its session ended
                except errors.Unavailable as error:
                    assert error.code == "session_closed"
                    break
                time.sleep(0.05)
            else:
                raise AssertionError("it lasts longer than its token")
        assert code_of(lambda: owned.as_user(token=made["token"])) == "token_expired"

    def test_a_revoked_token_ends_what_it_opened(self, owned: Lake) -> None:
        made = owned.call("create_token", "ann").to_pylist()[0]
        with owned.as_user(token=made["token"]) as ann:
            owned.call("revoke_token", made["token_id"])
            assert code_of(lambda: rows(ann, "SELECT 1")) == "session_closed"
