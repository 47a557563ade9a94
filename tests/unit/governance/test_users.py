"""Passwords: hashed, slowed down and locked after failures, never told apart from unknown users by time."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neurolake import errors
from neurolake.catalog.store import Store
from neurolake.config import load
from neurolake.governance.lockout import FREE_FAILURES, Lockout
from neurolake.governance.logins import Logins
from neurolake.governance.model import Governance
from neurolake.governance.tokens import Tokens
from neurolake.governance.users import Users
from neurolake.observe import Metrics

PASSWORD = "a good password"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("users") / "system.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def users(store: Store) -> Users:
    users = Users(store)
    users.make_admin(PASSWORD)
    return users


@pytest.fixture(scope="module")
def governance(store: Store) -> Iterator[Governance]:
    governance = Governance(store)
    yield governance
    governance.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def logins(users: Users, store: Store, governance: Governance, metrics: Metrics) -> Logins:
    return Logins(users, Tokens(store), load(None, {}, {}), governance, metrics)


def refused(logins: Logins, name: str, password: str) -> errors.LoginFailed:
    with pytest.raises(errors.LoginFailed) as caught:
        logins.password(name, password)
    return caught.value


class TestLogin:
    def test_the_right_password(self, logins: Logins) -> None:
        principal = logins.password("admin", PASSWORD).principal
        assert (principal.name, principal.role, principal.is_admin) == ("admin", "admin", True)

    @pytest.mark.parametrize(
        ("name", "password"),
        [("admin", "another password"), ("admin", ""), ("admin", PASSWORD + " "), ("admin", PASSWORD.upper()),
         ("Admin", PASSWORD), ("nobody", PASSWORD), ("", ""), ("admin' OR 1=1 --", PASSWORD), ("admin\0", PASSWORD),
         ("admin", "x" * 10_000), ("admin", "\ud800".encode("utf-8", "replace").decode())],
    )  # fmt: skip
    def test_anything_else(self, logins: Logins, name: str, password: str) -> None:
        problem = refused(logins, name, password)
        assert problem.code == "login_failed"
        assert problem.message == "The user name or the password is wrong."

    def test_twice_takes_no_second_hash(self, logins: Logins) -> None:
        def seconds() -> float:
            start = time.perf_counter()
            logins.password("admin", PASSWORD)
            return time.perf_counter() - start

        start = time.perf_counter()
        refused(logins, "admin", "wrong")
        hashing = time.perf_counter() - start
        logins.password("admin", PASSWORD)
        assert min(seconds() for _ in range(5)) < hashing / 4

    def test_a_changed_password_holds_at_once(self, logins: Logins, users: Users) -> None:
        login = logins.password("admin", PASSWORD)
        assert logins.holds(login)
        users.set_password("admin", "another password")
        assert not logins.holds(login)
        refused(logins, "admin", PASSWORD)
        assert logins.password("admin", "another password").principal.name == "admin"
        users.set_password("admin", PASSWORD)

    def test_an_unknown_user_takes_as_long_as_a_wrong_password(self, logins: Logins) -> None:
        def seconds(name: str) -> float:
            start = time.thread_time()
            refused(logins, name, "wrong password")
            return time.thread_time() - start

        refused(logins, "warm-up", "wrong password")
        wrong, unknown = [], []
        for number in range(4):
            wrong.append(seconds("admin"))
            unknown.append(seconds(f"nobody {number}"))
        ratio = statistics.median(unknown) / statistics.median(wrong)
        assert 0.5 < ratio < 2


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr("neurolake.governance.lockout.time.monotonic", lambda: self.now)


def code(door: Lockout, name: str = "ada", address: str = "") -> str:
    """What a try that fails meets."""
    try:
        door.check(name, address)
    except errors.LoginFailed as problem:
        assert problem.retryable
        return problem.code
    return "locks" if door.failed(name, address) else "fails"


class TestBackOff:
    def test_it_grows_and_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, door = Clock(monkeypatch), Lockout(20, 900)
        assert [code(door) for _ in range(FREE_FAILURES)] == ["fails"] * FREE_FAILURES
        assert code(door) == "login_back_off"
        clock.now += 1.1
        assert code(door) == "fails"
        clock.now += 1.1
        assert code(door) == "login_back_off"
        clock.now += 1
        door.check("ada", "")
        door.succeeded("ada")
        assert code(door) == "fails"

    def test_it_is_never_longer_than_half_a_minute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, door = Clock(monkeypatch), Lockout(0, 900)
        for _ in range(2000):
            assert code(door) == "fails"
            clock.now += 31

    def test_many_failures_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, door = Clock(monkeypatch), Lockout(8, 900)
        found = []
        for _ in range(8):
            found.append(code(door))
            clock.now += 31
        assert found == ["fails"] * 7 + ["locks"]
        assert code(door) == "login_locked"
        clock.now += 800
        assert code(door) == "login_locked"
        clock.now += 100
        door.check("ada", "")

    def test_an_unknown_name_looks_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, door = Clock(monkeypatch), Lockout(8, 900)
        for _ in range(30):
            assert code(door, "ada") == code(door, "nobody")
            clock.now += 3

    def test_one_names_failures_are_not_anothers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Clock(monkeypatch)
        door = Lockout(20, 900)
        for _ in range(FREE_FAILURES + 1):
            code(door, "nobody")
        assert code(door, "ada") == "fails"

    def test_many_names_from_one_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Clock(monkeypatch)
        door = Lockout(20, 900)
        found = [code(door, f"user {number}", "192.0.2.7") for number in range(60)]
        assert found[:50] == ["fails"] * 50
        assert set(found[50:]) == {"login_back_off"}
        assert code(door, "user 60", "192.0.2.8") == "fails"
        door.succeeded("user 1")
        assert code(door, "user 1", "192.0.2.7") == "login_back_off"

    def test_old_failures_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, door = Clock(monkeypatch), Lockout(20, 900)
        for number in range(1000):
            code(door, f"user {number}")
        clock.now += 901
        code(door, "ada")
        assert len(door._failed) == 1

    def test_side_by_side(self, logins: Logins) -> None:
        def attempt(_: int) -> str:
            return refused(logins, "admin", "wrong").code

        with ThreadPoolExecutor(4) as pool:
            codes = list(pool.map(attempt, range(12)))
        assert "login_back_off" in codes


class TestRecorded:
    def test_in_the_audit_log_and_in_metrics(
        self, logins: Logins, governance: Governance, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = len(governance.audit.rows())
        logins.password("admin", PASSWORD)
        refused(logins, "admin", "wrong")
        refused(logins, "my secret in the wrong field", "wrong")
        rows = governance.audit.rows()[before:]
        assert [(row[3], row[4]) for row in rows] == [
            ("login", "admin"),
            ("login_failed", "admin"),
            ("login_failed", ""),
        ]
        assert "my secret" not in str(rows)
        for outcome, times in (("done", 1.0), ("login_failed", 2.0)):
            labels = {"method": "password", "outcome": outcome}
            assert metrics.registry.get_sample_value("neurolake_logins_total", labels) == times

    def test_a_flood_of_strangers_fills_no_disk(
        self, logins: Logins, governance: Governance, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock(monkeypatch)
        before = len(governance.audit.rows())
        for _ in range(1000):
            with pytest.raises(errors.LoginFailed):
                logins.bearer("nlt_no_such_token")
        assert len(governance.audit.rows()) - before == 100
        clock.now += 11
        with pytest.raises(errors.LoginFailed):
            logins.bearer("nlt_no_such_token")
        assert '"not_recorded":900' in governance.audit.rows()[-1][8]
        labels = {"method": "token", "outcome": "token_unknown"}
        assert metrics.registry.get_sample_value("neurolake_logins_total", labels) == 1001

    def test_a_lock_too(self, users: Users, store: Store, governance: Governance, metrics: Metrics) -> None:
        settings = load(None, {}, {"login_failures_max": 2})
        logins = Logins(users, Tokens(store), settings, governance, metrics)
        assert [refused(logins, "admin", "wrong").code for _ in range(3)] == [
            "login_failed",
            "login_failed",
            "login_locked",
        ]
        assert refused(logins, "admin", PASSWORD).code == "login_locked"
        assert "login_locked" in [row[3] for row in governance.audit.rows()]
        logins.unlock("admin")
        assert logins.password("admin", PASSWORD).principal.name == "admin"


class TestKept:
    def test_only_hashes(self, users: Users, store: Store) -> None:
        ((kept,),) = store.rows("SELECT password FROM users")
        assert kept.startswith("$argon2id$")
        assert PASSWORD not in kept

    @pytest.mark.parametrize("password", ["", "short", "1234567"])
    def test_a_short_password_is_refused(self, users: Users, logins: Logins, password: str) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            users.set_password("admin", password)
        assert caught.value.code == "password_too_short"
        assert users.knows("admin", PASSWORD)

    def test_of_nobody(self, users: Users) -> None:
        with pytest.raises(errors.NotFound) as caught:
            users.set_password("nobody", PASSWORD)
        assert caught.value.code == "user_unknown"

    def test_in_no_file_and_a_damaged_hash_lets_nobody_in(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "system.sqlite")
        users = Users(store)
        users.make_admin(PASSWORD)
        assert all(PASSWORD.encode() not in path.read_bytes() for path in tmp_path.iterdir())
        db = sqlite3.connect(tmp_path / "system.sqlite")
        db.execute("UPDATE users SET password = ''")
        db.commit()
        db.close()
        assert not users.knows("admin", "")
        assert not users.knows("admin", PASSWORD)
        store.close()


class TestFirstAdministrator:
    def test_one_is_made_up(self) -> None:
        users = Users(Store(None))
        assert not users.has_admin()
        made = users.make_admin(None)
        assert made is not None
        assert len(made) >= 16
        assert users.has_admin()
        assert users.knows("admin", made)

    def test_given(self) -> None:
        users = Users(Store(None))
        assert users.make_admin(PASSWORD) is None
        assert users.knows("admin", PASSWORD)

    def test_too_short_makes_none(self) -> None:
        users = Users(Store(None))
        with pytest.raises(errors.InvalidRequest):
            users.make_admin("short")
        assert not users.has_admin()
