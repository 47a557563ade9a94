"""Passwords: hashed, slowed down after failures, never told apart from unknown users by time."""

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
from neurolake.governance.lockout import FREE_FAILURES
from neurolake.governance.users import Users

PASSWORD = "a good password"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "system.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def users(store: Store) -> Users:
    users = Users(store)
    users.make_admin(PASSWORD)
    return users


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr("neurolake.governance.lockout.time.monotonic", lambda: self.now)


def refused(users: Users, name: str, password: str) -> errors.LoginFailed:
    with pytest.raises(errors.LoginFailed) as caught:
        users.login(name, password)
    return caught.value


class TestLogin:
    def test_the_right_password(self, users: Users) -> None:
        principal = users.login("admin", PASSWORD)
        assert (principal.name, principal.role, principal.is_admin) == ("admin", "admin", True)

    @pytest.mark.parametrize(
        ("name", "password"),
        [("admin", "another password"), ("admin", ""), ("admin", PASSWORD + " "), ("admin", PASSWORD.upper()),
         ("Admin", PASSWORD), ("nobody", PASSWORD), ("", ""), ("admin' OR 1=1 --", PASSWORD), ("admin\0", PASSWORD),
         ("admin", "x" * 10_000), ("admin", "\ud800".encode("utf-8", "replace").decode())],
    )  # fmt: skip
    def test_anything_else(self, users: Users, name: str, password: str) -> None:
        problem = refused(users, name, password)
        assert problem.code == "login_failed"
        assert problem.message == "The user name or the password is wrong."

    def test_twice_takes_no_second_hash(self, users: Users) -> None:
        users.login("admin", PASSWORD)
        start = time.perf_counter()
        users.login("admin", PASSWORD)
        assert time.perf_counter() - start < 0.02

    def test_a_changed_password_holds_at_once(self, users: Users) -> None:
        users.login("admin", PASSWORD)
        users.set_password("admin", "another password")
        refused(users, "admin", PASSWORD)
        assert users.login("admin", "another password").name == "admin"

    def test_an_unknown_user_takes_as_long_as_a_wrong_password(self, users: Users) -> None:
        def seconds(name: str) -> float:
            start = time.perf_counter()
            refused(users, name, "wrong password")
            return time.perf_counter() - start

        refused(users, "warm-up", "wrong password")
        wrong, unknown = [], []
        for number in range(3):
            wrong.append(seconds("admin"))
            unknown.append(seconds(f"nobody {number}"))
        ratio = statistics.median(unknown) / statistics.median(wrong)
        assert 0.3 < ratio < 3


class TestBackOff:
    def test_it_grows_and_ends(self, users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock(monkeypatch)
        for _ in range(FREE_FAILURES):
            assert refused(users, "admin", "wrong").code == "login_failed"
        problem = refused(users, "admin", "wrong")
        assert (problem.code, problem.retryable) == ("login_back_off", True)
        clock.now += 1.1
        assert refused(users, "admin", "wrong").code == "login_failed"
        clock.now += 1.1
        assert refused(users, "admin", "wrong").code == "login_back_off"
        clock.now += 1
        assert users.login("admin", PASSWORD).name == "admin"
        assert refused(users, "admin", "wrong").code == "login_failed"

    def test_it_is_never_longer_than_half_a_minute(self, users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock(monkeypatch)
        monkeypatch.setattr(users, "_verify", lambda hashed, password: False)
        for _ in range(200):
            refused(users, "admin", "wrong")
            clock.now += 31
        monkeypatch.undo()
        Clock(monkeypatch).now = clock.now
        assert users.login("admin", PASSWORD).name == "admin"

    def test_one_users_failures_are_not_anothers(self, users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
        Clock(monkeypatch)
        for _ in range(FREE_FAILURES + 1):
            refused(users, "nobody", "wrong")
        assert users.login("admin", PASSWORD).name == "admin"

    def test_side_by_side(self, users: Users) -> None:
        def attempt(_: int) -> str:
            return refused(users, "admin", "wrong").code

        with ThreadPoolExecutor(4) as pool:
            codes = list(pool.map(attempt, range(12)))
        assert "login_back_off" in codes


class TestKept:
    def test_only_hashes(self, users: Users, store: Store) -> None:
        ((kept,),) = store.rows("SELECT password FROM users")
        assert kept.startswith("$argon2id$")
        assert PASSWORD not in kept

    def test_in_no_file(self, users: Users, tmp_path: Path) -> None:
        assert all(PASSWORD.encode() not in path.read_bytes() for path in tmp_path.iterdir())

    @pytest.mark.parametrize("password", ["", "short", "1234567"])
    def test_a_short_password_is_refused(self, users: Users, password: str) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            users.set_password("admin", password)
        assert caught.value.code == "password_too_short"
        assert users.login("admin", PASSWORD).name == "admin"

    def test_of_nobody(self, users: Users) -> None:
        with pytest.raises(errors.NotFound) as caught:
            users.set_password("nobody", PASSWORD)
        assert caught.value.code == "user_unknown"

    def test_a_damaged_hash_lets_nobody_in(self, users: Users, tmp_path: Path) -> None:
        db = sqlite3.connect(tmp_path / "system.sqlite")
        db.execute("UPDATE users SET password = ''")
        db.commit()
        db.close()
        refused(users, "admin", "")
        refused(users, "admin", PASSWORD)


class TestFirstAdministrator:
    def test_one_is_made_up(self, store: Store) -> None:
        users = Users(store)
        assert not users.has_admin()
        made = users.make_admin(None)
        assert made is not None
        assert len(made) >= 16
        assert users.has_admin()
        assert users.login("admin", made).is_admin

    def test_given(self, store: Store) -> None:
        users = Users(store)
        assert users.make_admin(PASSWORD) is None
        assert users.login("admin", PASSWORD).is_admin

    def test_too_short_makes_none(self, store: Store) -> None:
        users = Users(store)
        with pytest.raises(errors.InvalidRequest):
            users.make_admin("short")
        assert not users.has_admin()
