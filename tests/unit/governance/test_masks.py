"""Masks keep name and type, hide what they should, and give a value or NULL whatever they meet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

from neurolake import errors
from neurolake.catalog.store import Store
from neurolake.governance import masks
from neurolake.governance.actions import check
from neurolake.governance.gate_keys import Keys


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    connection = duckdb.connect()
    keys = Keys(Store(None))
    keys.need(frozenset(("lake", "other")))
    statement = keys.statement()
    assert statement is not None
    connection.execute(statement)
    yield connection
    connection.close()


def masked(connection: Any, action: str, of: str, data_type: str = "VARCHAR", **options: Any) -> object:
    """What a mask makes of a value, given as SQL; its type must be the column's own."""
    made = masks.expression(action, check(action, options), 't."x"', data_type)
    shown, kind = connection.execute(
        f"SELECT CAST({made} AS VARCHAR), typeof({made}) FROM (SELECT CAST({of} AS {data_type}) AS x) t"
    ).fetchone()
    assert kind == masks.kept_type(data_type)
    return shown


class TestText:
    @pytest.mark.parametrize(
        ("value", "options", "shown"),
        [
            ("'4111111111111111'", {"last": 4}, "***1111"),
            ("'abcdefgh'", {"first": 2, "last": 1}, "ab***h"),
            ("'abc'", {"first": 2, "last": 1}, "***"),
            ("''", {"last": 4}, "***"),
            ("'äöü€😀xyz'", {"last": 4}, "***😀xyz"),
            ("NULL", {"last": 4}, None),
            ("'ann@example.org'", {"email": True}, "a***@example.org"),
            ("'@'", {"email": True}, "***"),
            ("'änn@münchen.example'", {"email": True}, "ä***@münchen.example"),
            ("'a@b@c'", {"email": True}, "***"),
            ("'a@x.org, b@y.org'", {"email": True}, "***"),
            ("'ann@example.org (Anna, +49 30 1)'", {"email": True}, "***"),
            ("'Anna Nowak <ann@example.org>'", {"email": True}, "***"),
            ("""'{"mail":"a@x.org","name":"Anna Nowak","iban":"DE89"}'""", {"email": True}, "***"),
            ("'ann@example.org' || chr(10) || 'Anna'", {"email": True}, "***"),
            ("'nobody'", {"email": True}, "***"),
        ],
    )
    def test_partial(self, connection: Any, value: str, options: dict[str, Any], shown: str | None) -> None:
        assert masked(connection, "partial", value, **options) == shown

    @pytest.mark.parametrize(("value", "shown"), [("'94110'", "941**"), ("'SW1'", "**"), ("''", "**"), ("NULL", None)])
    def test_postcode(self, connection: Any, value: str, shown: str | None) -> None:
        assert masked(connection, "postcode", value, keep=3) == shown

    @pytest.mark.parametrize(
        ("value", "options", "shown"),
        [
            ("'203.0.113.77'", {}, "203.0.113.0/24"),
            ("'203.0.113.77'", {"v4_bits": 8}, "203.0.0.0/8"),
            ("'203.0.113.77/28'", {"v4_bits": 16}, "203.0.0.0/16"),
            ("'203.0.113.7/a:b' || chr(10)", {}, "203.0.113.0/24"),
            ("'203.0.113.7' || chr(10)", {}, None),
            ("'203.0.113.7.9'", {}, None),
            ("'203.0.255.77'", {"v4_bits": 20}, "203.0.240.0/20"),
            ("'203.0.113.77'", {"v4_bits": 0}, "0.0.0.0/0"),
            ("'2001:db8:85a3::8a2e:370:7334'", {}, "2001:db8:85a3::/48"),
            ("'2001:db8::1:abcd'", {"v6_bits": 124}, "2001:db8:0:0:0:0:1:abc0/124"),
            ("'::1'", {"v6_bits": 128}, "0:0:0:0:0:0:0:1/128"),
            ("'2001:db8::1'", {"v6_bits": 0}, "::/0"),
            ("'not an address'", {}, None),
            ("NULL", {}, None),
        ],
    )
    def test_ip_prefix(self, connection: Any, value: str, options: dict[str, Any], shown: str | None) -> None:
        assert masked(connection, "ip_prefix", value, **options) == shown

    def test_redact_takes_out_what_identifies(self, connection: Any) -> None:
        text = (
            "'Ask ann@x.org or +44 (0)20 7946-0958; DE89 3704 0044 0532 0130 00 from 10.0.0.1, see https://a.b/c?d=1'"
        )
        assert masked(connection, "redact", text) == "Ask *** or ***; *** from ***, see ***"
        assert masked(connection, "redact", "'nothing of the kind'") == "nothing of the kind"


class TestTokens:
    def test_equal_values_have_equal_tokens_within_a_scope_and_others_across(self, connection: Any) -> None:
        one = masked(connection, "token", "'ann'")
        assert isinstance(one, str)
        assert one.startswith("tok_")
        assert masked(connection, "token", "'ann'") == one
        assert masked(connection, "token", "'bob'") != one
        assert masked(connection, "token", "'ann'", scope="other") != one
        assert masked(connection, "token", "NULL") is None

    def test_it_is_hmac_with_a_key_of_the_scope(self, connection: Any) -> None:
        import hashlib
        import hmac

        store = Store(None)
        keys = Keys(store)
        keys.need(frozenset(("lake",)))
        secret = bytes.fromhex(store.fact("mask_key_1"))
        key = hmac.digest(secret, b"neurolake token\0lake", "sha256")
        own = duckdb.connect()
        own.execute(str(keys.statement()))
        assert masked(own, "token", "'ann'") == "tok_" + hmac.new(key, b"ann", hashlib.sha256).hexdigest()[:32]
        own.close()

    def test_a_rotation_changes_them(self) -> None:
        store = Store(None)
        keys = Keys(store)
        before = keys.derive("lake")
        assert keys.rotate(lambda version: store.durable()) == 2
        assert keys.derive("lake") != before

    def test_a_rotation_that_cannot_be_recorded_has_not_happened(self) -> None:
        store = Store(None)
        keys = Keys(store)
        before = keys.derive("lake")

        @contextmanager
        def full(version: int) -> Iterator[sqlite3.Connection]:
            with store.durable() as db:
                yield db
                raise sqlite3.OperationalError("database or disk is full")

        with pytest.raises(errors.LimitReached):
            keys.rotate(full)
        assert (keys.version, keys.derive("lake")) == (1, before)

    def test_without_keys_nothing_is_shown(self) -> None:
        bare = duckdb.connect()
        assert masked(bare, "token", "'ann'") is None
        assert masked(bare, "date_shift", "DATE '2026-01-01'", "DATE") is None
        bare.close()


MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")


class TestMoments:
    @pytest.mark.parametrize("kind", MOMENTS)
    def test_a_shift_is_never_none_and_never_more_than_allowed(self, connection: Any, kind: str) -> None:
        shown = masked(connection, "date_shift", "'2026-03-15'", kind, days_max=5)
        assert shown is not None
        (days,) = connection.execute(
            f"SELECT abs(date_diff('day', '{shown}'::{kind}, '2026-03-15'::{kind}))"
        ).fetchone()
        assert 1 <= days <= 5

    @pytest.mark.parametrize("kind", MOMENTS)
    @pytest.mark.parametrize("action", ["date_shift", "date_trunc"])
    @pytest.mark.parametrize("value", ["'infinity'", "'-infinity'", "NULL"])
    def test_what_cannot_be_moved_is_hidden(self, connection: Any, kind: str, action: str, value: str) -> None:
        assert masked(connection, action, value, kind) is None

    def test_the_ends_of_the_calendar_make_no_error(self, connection: Any) -> None:
        for value, kind in (("'5881580-07-10'", "DATE"), ("'294247-01-10 04:00:54.775806'", "TIMESTAMP")):
            assert masked(connection, "date_shift", value, kind) is None
            assert masked(connection, "date_trunc", value, kind) is None

    def test_truncation(self, connection: Any) -> None:
        assert masked(connection, "date_trunc", "'2026-03-15'", "DATE", unit="month") == "2026-03-01"


class TestNumbers:
    @pytest.mark.parametrize(
        ("kind", "value", "width", "shown"),
        [
            ("INTEGER", "17", 10, "10"),
            ("INTEGER", "-1", 10, "-10"),
            ("TINYINT", "-128", 10, None),
            ("BIGINT", "-9223372036854775808", 10, None),
            ("BIGINT", "9223372036854775807", 10, "9223372036854775800"),
            ("BIGINT", "-25", 1 << 50, str(-(1 << 50))),
            ("UBIGINT", "18446744073709551615", 10, "18446744073709551610"),
            ("DOUBLE", "12.7", 2.5, "12.5"),
            ("DECIMAL(18,2)", "-0.01", 10, "-10.00"),
            ("DECIMAL(4,2)", "99.99", 7, "98.00"),
            ("BIGINT", "NULL", 10, None),
        ],
    )
    def test_buckets(self, connection: Any, kind: str, value: str, width: float, shown: str | None) -> None:
        assert masked(connection, "bucket", value, kind, width=width) == shown

    def test_a_sessions_own_division_changes_nothing(self, connection: Any) -> None:
        connection.execute("SET integer_division = true")
        try:
            assert masked(connection, "bucket", "12.7", "DOUBLE", width=2.5) == "12.5"
        finally:
            connection.execute("RESET integer_division")


class TestTypes:
    @pytest.mark.parametrize(
        "kind",
        ["VARCHAR", "BIGINT", "BOOLEAN", "DATE", "BLOB", "UUID", "INTEGER[]", "STRUCT(a INTEGER, b VARCHAR)",
         "MAP(VARCHAR, INTEGER)", "DECIMAL(10,2)", "INTERVAL", "TIME", "HUGEINT", "INTEGER[3]", "JSON"],
    )  # fmt: skip
    def test_null_keeps_the_type(self, connection: Any, kind: str) -> None:
        assert masked(connection, "null", "NULL", kind) is None

    def test_the_labels_of_an_enum_are_values_too(self, connection: Any) -> None:
        assert masks.kept_type("ENUM('ann', 'bob', 'it''s')") == "VARCHAR"
        assert masks.kept_type("STRUCT(a ENUM('x'), b INTEGER)[]") == "STRUCT(a VARCHAR, b INTEGER)[]"
        assert masked(connection, "null", "'ann'", "ENUM('ann', 'bob')") is None

    def test_what_does_not_fit_hides_all(self) -> None:
        assert masks.expression("partial", check("partial", None), "x", "BIGINT") == "CAST(NULL AS BIGINT)"
        assert masks.expression("of_a_later_release", {}, "x", "BIGINT") == "CAST(NULL AS BIGINT)"

    def test_constants_are_quoted(self, connection: Any) -> None:
        assert masked(connection, "constant", "'a'", value="it's") == "it's"
        assert masked(connection, "constant", "NULL", "TINYINT", value=5) == "5"
