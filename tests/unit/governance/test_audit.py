"""The audit log: complete, in order, and no record changed, removed or slipped in without its showing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection

import pytest

import neurolake
from neurolake import errors
from neurolake.catalog.store import Store
from neurolake.governance.audit import ACCESS, CHANGES, START, Audit
from neurolake.lake import EmbeddedLake
from neurolake.query import OWNER, Principal

ANN = Principal("ann", "analyst")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "system.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def audit(store: Store, tmp_path: Path) -> Iterator[Audit]:
    opened = open_audit(store, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    opened = neurolake.connect(":memory:")
    assert isinstance(opened, EmbeddedLake)
    with opened:
        yield opened


def open_audit(store: Store, folder: Path, interval_s: float = 60.0) -> Audit:
    return Audit(store, lambda: 7, folder, interval_s)


def problems(audit: Audit) -> dict[str, str | None]:
    return {chain: problem for chain, _, _, problem, *_ in audit.verify()}


def counts(audit: Audit) -> dict[str, int]:
    return {chain: records for chain, records, *_ in audit.verify()}


def fill(audit: Audit) -> None:
    for number in range(5):
        audit.record("decision", ANN, f"q{number}", tables=["main.people"], masked={"people.email": "null"})
        audit.record("grant", OWNER, f"q{number}", privilege="read", object="table:main.people", role="analyst")


class TestChains:
    def test_all_that_was_recorded_is_there_in_order(self, audit: Audit) -> None:
        fill(audit)
        rows = audit.rows()
        assert [row[3] for row in rows] == ["decision", "grant"] * 5
        assert [row[6] for row in rows] == [f"q{n}" for n in range(5) for _ in "ab"]
        assert {row[7] for row in rows} == {7}
        assert counts(audit) == {CHANGES: 5, ACCESS: 5}
        assert problems(audit) == {CHANGES: None, ACCESS: None}

    def test_an_empty_log_is_whole(self, audit: Audit) -> None:
        assert counts(audit) == {CHANGES: 0, ACCESS: 0}
        assert problems(audit) == {CHANGES: None, ACCESS: None}

    def test_many_at_once_make_one_chain(self, audit: Audit) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: audit.record("decision", ANN, str(n)), range(400)))
            list(pool.map(lambda n: audit.record("tag", OWNER, str(n)), range(20)))
        assert counts(audit) == {CHANGES: 20, ACCESS: 400}
        assert problems(audit) == {CHANGES: None, ACCESS: None}

    def test_it_goes_on_after_a_restart(self, store: Store, tmp_path: Path) -> None:
        for _ in range(3):
            audit = open_audit(store, tmp_path)
            fill(audit)
            audit.close()
        audit = open_audit(store, tmp_path)
        assert counts(audit) == {CHANGES: 15, ACCESS: 15}
        assert problems(audit) == {CHANGES: None, ACCESS: None}
        audit.close()

    @pytest.mark.parametrize("chain", [CHANGES, ACCESS])
    @pytest.mark.parametrize(
        ("sql", "place"),
        [
            ("UPDATE audit SET details = '{}' WHERE chain = ? AND number = 3", 3),
            ("UPDATE audit SET user_name = 'eve' WHERE chain = ? AND number = 1", 1),
            ("UPDATE audit SET at = at + 1 WHERE chain = ? AND number = 5", 5),
            ("DELETE FROM audit WHERE chain = ? AND number = 2", 2),
            ("DELETE FROM audit WHERE chain = ? AND number >= 4", 4),
            ("DELETE FROM audit WHERE chain = ?", 1),
            ("UPDATE audit SET number = number + 1 WHERE chain = ? AND number = 5", 5),
            (
                "UPDATE audit SET hash = (SELECT hash FROM audit b WHERE b.chain = audit.chain AND b.number = 2) "
                "WHERE chain = ? AND number = 4",
                4,
            ),
        ],
    )
    def test_what_was_done_to_it_shows(self, audit: Audit, store: Store, chain: str, sql: str, place: int) -> None:
        fill(audit)
        audit.flush()
        with store.durable() as db:
            db.execute(sql, (chain,))
        (found,) = [one for one in audit.verify() if one[0] == chain]
        assert found[1] == place - 1
        assert str(place) in str(found[3])
        assert [problem for other, problem in problems(audit).items() if other != chain] == [None]

    def test_a_record_slipped_in_shows(self, audit: Audit, store: Store) -> None:
        fill(audit)
        with store.durable() as db:
            row = ["changes", 6, 1.0, "grant", "eve", "admin", "", 7, "{}", "0" * 64]
            db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        assert problems(audit)[CHANGES] == "record 6 was changed, or does not follow the one before"


class TestDurability:
    def test_access_survives_a_kill(self, store: Store, tmp_path: Path) -> None:
        killed = open_audit(store, tmp_path)
        fill(killed)  # and nothing is flushed: the journal is all there is of it
        again = open_audit(store, tmp_path)
        assert counts(again) == {CHANGES: 5, ACCESS: 5}
        assert problems(again) == {CHANGES: None, ACCESS: None}
        again.close()
        killed.close()

    def test_a_lost_moment_is_recorded(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "system.sqlite")
        audit = open_audit(store, tmp_path)
        fill(audit)
        audit.close()
        store.set_fact("open_in_boot", "a boot before this one")
        store._db.close()
        store = Store(tmp_path / "system.sqlite")
        audit = open_audit(store, tmp_path)
        assert [row[3] for row in audit.rows()][-1] == "gap"
        assert problems(audit) == {CHANGES: None, ACCESS: None}
        audit.close()
        store.close()

    def test_synchronous_records_need_no_journal(self, store: Store, tmp_path: Path) -> None:
        audit = Audit(store, lambda: 1, tmp_path, 60.0, synchronous=True)
        audit.record("decision", ANN, "q")
        assert store.rows("SELECT query_id FROM audit") == [("q",)]
        audit.close()

    def test_a_change_and_its_record_are_there_together_or_not_at_all(self, lake: EmbeddedLake) -> None:
        lake.call("create_role", "analyst")
        before = lake.engine.governance.version
        with pytest.raises(errors.AlreadyExists):
            lake.call("create_role", "analyst")
        assert [row[3] for row in lake.engine.governance.audit.rows()] == ["create_role"]
        assert lake.engine.governance.version == before


class TestWhatUsersSee:
    def test_every_change_is_in_it(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE people (id INT, email VARCHAR)").close()
        calls: list[tuple[object, ...]] = [
            ("create_role", "analyst"), ("create_user", "ann", "a good password", ["analyst"]),
            ("set_attribute", "ann", "region", "north"), ("create_role", "auditor"), ("grant_role", "auditor", "ann"),
            ("revoke_role", "auditor", "ann"), ("drop_role", "auditor"), ("grant", "read", "people", "analyst"),
            ("set_pii", "people", None, "confirmed"), ("set_policy", "p", "*", "people", "null"),
            ("set_row_filter", "f", "*", "people", "id = 1"), ("tag", "people", "secret"),
            ("untag", "people", "secret"), ("set_description", "people", "Who they are."),
            ("declassify", "column:people.id", "a running number"), ("drop_row_filter", "f"), ("drop_policy", "p"),
            ("revoke", "read", "people", "analyst"), ("drop_user", "ann"),
        ]  # fmt: skip
        for name, *arguments in calls:
            lake.call(str(name), *arguments)
        rows = lake.sql("SELECT event, user_name, role, details FROM neurolake.audit ORDER BY number").fetchall()
        assert [row[0] for row in rows] == [name for name, *_ in calls]
        assert {row[1:3] for row in rows} == {("owner", "admin")}
        assert not any("good password" in row[3] for row in rows)

    def test_verify_audit_says_whether_it_is_whole(self, lake: EmbeddedLake) -> None:
        lake.call("create_role", "analyst")
        assert lake.call("verify_audit").column("intact").to_pylist() == [True, True]
        with lake.engine.store.durable() as db:
            db.execute("UPDATE audit SET details = '{}'")
        rows = lake.call("verify_audit").to_pylist()
        assert [row["intact"] for row in rows] == [False, True]
        assert rows[0]["problem"] == "record 1 was changed, or does not follow the one before"

    def test_a_hash_that_was_kept_says_whether_it_is_the_same_log(self, lake: EmbeddedLake) -> None:
        lake.call("create_role", "analyst")
        kept = lake.call("verify_audit").to_pylist()[0]
        assert kept["holds_last_hash"] is None
        lake.call("create_role", "other")
        assert kept["last_hash"] != lake.call("verify_audit").to_pylist()[0]["last_hash"]
        found = lake.call("verify_audit", last_hash=f" {kept['last_hash'].upper()}\n").to_pylist()
        assert [row["holds_last_hash"] for row in found] == [True, False]
        with lake.engine.store.durable() as db:  # written anew, and in itself as good as the other
            db.execute("DELETE FROM audit WHERE chain = 'changes' AND number = 1")
            db.execute("UPDATE audit SET number = number - 1 WHERE chain = 'changes'")
            db.execute("UPDATE facts SET value = 1 WHERE name = 'audit_changes'")
            rechain(db, CHANGES, 0)
        found = lake.call("verify_audit", last_hash=kept["last_hash"]).to_pylist()
        assert [(row["intact"], row["holds_last_hash"]) for row in found] == [(True, False), (True, False)]

    def test_an_export_can_be_checked_without_us(self, lake: EmbeddedLake) -> None:
        """By nothing but what the page on governance says of a hash."""
        for number in range(20):
            lake.call("create_role", f"rôle_{number}")
        before = START
        for row in (
            lake.sql("SELECT * FROM neurolake.audit WHERE chain = 'changes' ORDER BY number").arrow().to_pylist()
        ):
            at = round(row["recorded_at"].timestamp() * 1e6) / 1e6
            values = [before, row["chain"], row["number"], at]
            values += [row[k] for k in ("event", "user_name", "role", "query_id", "policy_version", "details")]
            before = hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()
            assert row["hash"] == before
        assert before == lake.call("verify_audit").column("last_hash").to_pylist()[0]


class TestCut:
    """What is too old is cut off at the beginning of a chain, and the rest still proves itself."""

    @pytest.fixture
    def old(self, store: Store, tmp_path: Path) -> Iterator[Audit]:
        first = open_audit(store, tmp_path)
        fill(first)
        first.close()
        with store.durable() as db:  # as if the first three records of each chain were made forty days ago
            for chain in (CHANGES, ACCESS):
                rechain(db, chain, 3)
        opened = Audit(store, lambda: 7, tmp_path, 60.0, keep_days=30)
        yield opened
        opened.close()

    def test_what_is_old_goes_and_the_rest_is_whole(self, old: Audit) -> None:
        assert problems(old) == {CHANGES: None, ACCESS: None}
        old.cut(time.time())
        found = {one.chain: one for one in old.verify()}
        assert (found[ACCESS].first, found[ACCESS].records, found[ACCESS].problem) == (4, 2, None)
        assert (found[CHANGES].first, found[CHANGES].records, found[CHANGES].problem) == (4, 4, None)
        assert [row[3] for row in old.rows() if row[0] == CHANGES][-2:] == ["audit_cut", "audit_cut"]
        old.cut(time.time())
        assert {one.chain: one for one in old.verify()} == found  # there is nothing more to cut
        old.cut(time.time() + 90 * 86_400)
        assert problems(old) == {CHANGES: None, ACCESS: None}
        assert counts(old)[ACCESS] == 1  # the newest stays, so that the chain goes on
        old.record("decision", ANN, "later")
        assert problems(old) == {CHANGES: None, ACCESS: None}

    def test_it_goes_on_after_a_restart(self, old: Audit, store: Store, tmp_path: Path) -> None:
        old.cut(time.time())
        old.close()
        again = Audit(store, lambda: 7, tmp_path, 60.0, keep_days=30)
        fill(again)
        assert problems(again) == {CHANGES: None, ACCESS: None}
        assert {one.chain: one.first for one in again.verify()} == {CHANGES: 4, ACCESS: 4}
        again.close()

    def test_a_chain_that_does_not_pass_is_kept(self, old: Audit, store: Store) -> None:
        with store.durable() as db:
            db.execute("UPDATE audit SET user_name = 'bob' WHERE chain = ? AND number = 2", (ACCESS,))
        old.cut(time.time())
        assert (problems(old)[ACCESS] or "").startswith("record 2 was changed")
        assert {one.chain: one.first for one in old.verify()} == {CHANGES: 4, ACCESS: 1}

    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM audit WHERE chain = 'access' AND number = 4",
            "DELETE FROM facts WHERE name = 'audit_anchor_access'",
            "UPDATE facts SET value = replace(value, '[3,', '[4,') WHERE name = 'audit_anchor_access'",
            "UPDATE audit SET details = replace(details, '\"number\":3', '\"number\":4') WHERE event = 'audit_cut'",
        ],
    )
    def test_more_than_was_cut_shows(self, old: Audit, store: Store, change: str) -> None:
        old.cut(time.time())
        with store.durable() as db:
            assert db.execute(change).rowcount > 0
        assert any(problems(old).values())

    def test_a_cut_of_their_own_shows(self, old: Audit, store: Store) -> None:
        with store.durable() as db:
            (last_hash,) = db.execute("SELECT hash FROM audit WHERE chain = 'access' AND number = 3").fetchone()
            db.execute("DELETE FROM audit WHERE chain = 'access' AND number <= 3")
            db.execute("INSERT INTO facts VALUES ('audit_anchor_access', ?)", (json.dumps([3, last_hash]),))
        assert "no record says so" in (problems(old)[ACCESS] or "")

    def test_it_holds_the_last_record_that_was_cut_and_none_before(self, old: Audit, store: Store) -> None:
        hashes = [row[0] for row in store.rows("SELECT hash FROM audit WHERE chain = 'access' ORDER BY number")]
        old.cut(time.time())
        held = [next(one.holds for one in old.verify(kept) if one.chain == ACCESS) for kept in hashes]
        assert held == [False, False, True, True, True]


def rechain(db: Connection, chain: str, until: int) -> None:
    """Date the first records of a chain forty days back, with the hashes that they would have."""
    rows = db.execute("SELECT * FROM audit WHERE chain = ? ORDER BY number", (chain,)).fetchall()
    before = START
    for row in rows:
        said = list(row[:-1])
        said[2] -= 40 * 86_400 if said[1] <= until else 0
        text = json.dumps([before, *said], separators=(",", ":"))
        before = hashlib.sha256(text.encode()).hexdigest()
        sql = "UPDATE audit SET at = ?, hash = ? WHERE chain = ? AND number = ?"
        db.execute(sql, (said[2], before, chain, said[1]))


def test_the_setting_cuts_by_itself(tmp_path: Path) -> None:
    with neurolake.connect(str(tmp_path / "lake")) as lake:
        lake.call("create_role", name="analyst")
        lake.call("create_role", name="other")
    with neurolake.connect(str(tmp_path / "lake"), audit_keep_days=1) as lake:
        assert isinstance(lake, EmbeddedLake)
        lake.engine.governance.audit.cut(time.time() + 2 * 86_400)
        found = {row["chain"]: row for row in lake.call("verify_audit").to_pylist()}
        assert found["changes"]["intact"]
        assert found["changes"]["first_number"] > 1
