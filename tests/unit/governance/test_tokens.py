"""Personal access tokens: shown once, kept as a hash, limited, and over when they must be."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import neurolake
from neurolake import errors
from neurolake.governance import tokens as pat
from neurolake.governance.logins import Login, Method
from neurolake.lake import EmbeddedLake

PASSWORD = "a good password"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def lake(folder: Path) -> Iterator[EmbeddedLake]:
    lake = neurolake.connect(folder / "lake")
    assert isinstance(lake, EmbeddedLake)
    lake.engine.users.make_admin(PASSWORD)
    for role in ("analyst", "reader"):
        lake.call("create_role", role)
    lake.call("create_user", "ada", password=PASSWORD, roles=["reader", "analyst"])
    with lake:
        yield lake


def made(lake: EmbeddedLake, user: str = "ada", **about: object) -> dict[str, Any]:
    (row,) = lake.call("create_token", user, **about).to_pylist()
    return row


def refused(lake: EmbeddedLake, text: str) -> str:
    with pytest.raises(errors.LoginFailed) as caught:
        lake.engine.logins.bearer(text)
    return caught.value.code


def as_user(lake: EmbeddedLake, login: Login, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement as the server does for somebody who has logged in."""
    from neurolake.query import Request

    session = lake.engine.session(login.principal)
    session.login = login
    try:
        return lake.engine.run(Request(sql, session, list(values) or None)).fetchall()
    finally:
        session.close()


class TestLogin:
    def test_it_stands_for_its_user(self, lake: EmbeddedLake) -> None:
        row = made(lake)
        login = lake.engine.logins.bearer(row["token"])
        assert (login.principal.name, login.principal.role, login.principal.roles) == (
            "ada", "reader", ("reader", "analyst"),
        )  # fmt: skip
        assert (login.method, login.credential) == (Method.TOKEN, row["token_id"])

    def test_it_lasts_as_long_as_asked(self, lake: EmbeddedLake) -> None:
        row = made(lake, expires="2h")
        left = row["expires_at"] - datetime.datetime.now(datetime.UTC)
        assert 7100 < left.total_seconds() <= 7200
        assert lake.engine.logins.bearer(row["token"]).expires == pytest.approx(row["expires_at"].timestamp())

    def test_after_that_it_is_over(self, lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch) -> None:
        row = made(lake, expires="2h")
        now = row["expires_at"].timestamp() + 1e-6  # it is told to the microsecond
        monkeypatch.setattr(pat.time, "time", lambda: now)
        assert refused(lake, row["token"]) == "token_expired"

    def test_only_whole(self, lake: EmbeddedLake) -> None:
        text = made(lake)["token"]
        tails = (text[:-1], text + "x", text.upper(), text[:17] + "x" * 43)
        for wrong in (*tails, f" {text}", text.replace("nlt_", "nlt_0")):
            assert refused(lake, wrong) in ("token_unknown", "session_unknown")

    def test_one_id_with_anothers_secret(self, lake: EmbeddedLake) -> None:
        one, other = made(lake), made(lake, "admin")
        mixed = f"nlt_{other['token_id']}_{one['token'].split('_', 2)[2]}"
        assert refused(lake, mixed) == "token_unknown"


class TestRoles:
    def test_it_has_those_it_is_limited_to(self, lake: EmbeddedLake) -> None:
        login = lake.engine.logins.bearer(made(lake, roles=["Analyst"])["token"])
        assert (login.principal.role, login.principal.roles) == ("analyst", ("analyst",))
        with pytest.raises(errors.AccessDenied):
            as_user(lake, login, "SET ROLE reader")

    def test_an_administrators_token_need_not_be_one(self, lake: EmbeddedLake) -> None:
        lake.call("grant_role", "analyst", "admin")
        principal = lake.engine.logins.bearer(made(lake, "admin", roles=["analyst"])["token"]).principal
        assert (principal.role, principal.is_admin) == ("analyst", False)

    @pytest.mark.parametrize("roles", [["admin"], ["reader", "admin"], ["no such role"], []])
    def test_no_more_than_its_user_has(self, lake: EmbeddedLake, roles: list[str]) -> None:
        with pytest.raises(errors.AccessDenied) as caught:
            made(lake, roles=roles)
        assert caught.value.code == "role_denied"

    def test_a_role_taken_from_its_user_is_taken_from_it(self, lake: EmbeddedLake) -> None:
        text = made(lake, roles=["analyst"])["token"]
        lake.call("revoke_role", "analyst", "ada")
        assert refused(lake, text) == "token_roles"
        lake.call("grant_role", "analyst", "ada")


class TestWhoMayMakeThem:
    def test_users_their_own(self, lake: EmbeddedLake) -> None:
        login = lake.engine.logins.password("ada", PASSWORD)
        ((_, token, *_),) = as_user(lake, login, "CALL neurolake.create_token('ada')")
        assert lake.engine.logins.bearer(token).principal.name == "ada"

    def test_not_anothers(self, lake: EmbeddedLake) -> None:
        login = lake.engine.logins.password("ada", PASSWORD)
        with pytest.raises(errors.AccessDenied):
            as_user(lake, login, "CALL neurolake.create_token('admin')")

    def test_not_by_a_token(self, lake: EmbeddedLake) -> None:
        login = lake.engine.logins.bearer(made(lake)["token"])
        with pytest.raises(errors.AccessDenied):
            as_user(lake, login, "CALL neurolake.create_token('ada')")

    def test_a_token_changes_no_password(self, lake: EmbeddedLake) -> None:
        login = lake.engine.logins.bearer(made(lake)["token"])
        with pytest.raises(errors.AccessDenied):
            as_user(lake, login, "CALL neurolake.set_password('ada', 'another password')")
        assert lake.engine.logins.password("ada", PASSWORD).principal.name == "ada"

    def test_not_of_nobody(self, lake: EmbeddedLake) -> None:
        with pytest.raises(errors.NotFound):
            made(lake, "nobody")

    @pytest.mark.parametrize("expires", ["", "90", "-1d", "0d", "1 year", "9999999d", "366d", "1e3s"])
    def test_not_for_any_time(self, lake: EmbeddedLake, expires: str) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            made(lake, expires=expires)
        assert caught.value.code == "period"


class TestRevoked:
    def test_at_once(self, lake: EmbeddedLake) -> None:
        row = made(lake)
        lake.call("revoke_token", row["token_id"])
        assert refused(lake, row["token"]) == "token_revoked"

    def test_by_its_user_but_not_by_another(self, lake: EmbeddedLake) -> None:
        mine, admins = made(lake), made(lake, "admin")
        login = lake.engine.logins.password("ada", PASSWORD)
        with pytest.raises(errors.NotFound) as caught:
            as_user(lake, login, "CALL neurolake.revoke_token(?)", admins["token_id"])
        assert caught.value.code == "token_unknown"
        as_user(lake, login, "CALL neurolake.revoke_token(?)", mine["token_id"])
        assert refused(lake, mine["token"]) == "token_revoked"

    def test_with_its_user_and_for_good(self, lake: EmbeddedLake) -> None:
        lake.call("create_user", "bob", roles=["reader"])
        row = made(lake, "bob")
        assert lake.engine.logins.bearer(row["token"]).principal.name == "bob"
        lake.call("drop_user", "bob")
        assert refused(lake, row["token"]) == "token_unknown"
        lake.call("create_user", "bob", roles=["reader"])
        assert refused(lake, row["token"]) == "token_unknown"

    def test_it_stays_so_after_a_restart(self, tmp_path: Path) -> None:
        with neurolake.connect(tmp_path / "lake") as lake:
            assert isinstance(lake, EmbeddedLake)
            lake.engine.users.make_admin(PASSWORD)
            kept, gone = made(lake, "admin"), made(lake, "admin")
            lake.call("revoke_token", gone["token_id"])
        with neurolake.connect(tmp_path / "lake") as lake:
            assert isinstance(lake, EmbeddedLake)
            assert lake.engine.logins.bearer(kept["token"]).principal.name == "admin"
            assert refused(lake, gone["token"]) == "token_revoked"


class TestKept:
    def test_its_text_is_in_no_file_and_no_table(self, lake: EmbeddedLake, folder: Path) -> None:
        row = made(lake)
        lake.engine.logins.bearer(row["token"])
        secret = row["token"].split("_", 2)[2]
        for table in ("tokens", "queries", "audit"):
            assert secret not in str(lake.sql(f"FROM neurolake.{table}").fetchall())
        lake.engine.governance.audit.flush()
        found = [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert found == []

    def test_the_table_shows_ones_own(self, lake: EmbeddedLake) -> None:
        made(lake, "admin")
        mine = made(lake, roles=["analyst"])
        ada = lake.engine.logins.password("ada", PASSWORD)
        rows = as_user(lake, ada, "SELECT token_id, roles FROM neurolake.tokens")
        assert as_user(lake, ada, "SELECT DISTINCT user_name FROM neurolake.tokens") == [("ada",)]
        assert (mine["token_id"], ["analyst"]) in rows
        users = {user for (user,) in lake.sql("SELECT DISTINCT user_name FROM neurolake.tokens").fetchall()}
        assert {"ada", "admin"} <= users

    def test_making_and_ending_them_is_in_the_audit_log(self, lake: EmbeddedLake) -> None:
        row = made(lake)
        lake.call("revoke_token", row["token_id"])
        events = [(event, details) for _, _, _, event, _, _, _, _, details, _ in lake.engine.governance.audit.rows()]
        for event in ("create_token", "revoke_token"):
            assert any(found == event and row["token_id"] in details for found, details in events), event
