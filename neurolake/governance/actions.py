"""What a policy may do to a column: the actions, how restrictive each is, its options, and the types it can keep."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurolake import errors
from neurolake.governance import nested

ABSENT = "absent"
"""What `block` makes of a column: there is none of that name."""

RANKS: Mapping[str, int] = {
    "block": 7, "null": 6, "constant": 5, "redact": 4, "token": 3,
    "partial": 2, "bucket": 2, "date_trunc": 2, "ip_prefix": 2, "postcode": 2,
    "date_shift": 1, "allow": 0,
}  # fmt: skip
"""The actions; a higher rank is more restrictive."""

SHOWN_RANKS: Mapping[str, Mapping[str, int]] = {
    "result": {"block": 3, "redact": 2, "warn": 1, "allow": 0},
    "literal": {"block": 2, "warn": 1, "allow": 0},
}
"""What a policy on `result:…` or `literal:…` may do, as restrictive."""

_TEXT = re.compile(r"(VARCHAR|TEXT|STRING)(\(\d+\))?\Z")
_MOMENT = re.compile(r"(DATE|TIMESTAMP(_S|_MS|_NS)?|TIMESTAMP WITH TIME ZONE|TIMESTAMPTZ)\Z")
_WHOLE = {
    "TINYINT": (-(1 << 7), (1 << 7) - 1), "SMALLINT": (-(1 << 15), (1 << 15) - 1),
    "INTEGER": (-(1 << 31), (1 << 31) - 1), "BIGINT": (-(1 << 63), (1 << 63) - 1),
    "HUGEINT": (-(1 << 127), (1 << 127) - 1), "UTINYINT": (0, (1 << 8) - 1), "USMALLINT": (0, (1 << 16) - 1),
    "UINTEGER": (0, (1 << 32) - 1), "UBIGINT": (0, (1 << 64) - 1), "UHUGEINT": (0, (1 << 128) - 1),
}  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)\Z")
_FLOATS = ("FLOAT", "DOUBLE")


def _is_text(kind: str) -> bool:
    return _TEXT.match(kind) is not None


def _is_text_at_any_depth(kind: str) -> bool:
    return _is_text(kind) or nested.holds_text(kind)


def _is_moment(kind: str) -> bool:
    return _MOMENT.match(kind) is not None


def _is_number(kind: str) -> bool:
    return kind in _WHOLE or kind in _FLOATS or _DECIMAL.match(kind) is not None


_KEEPS: Mapping[str, Callable[[str], bool]] = {
    "redact": _is_text_at_any_depth,
    "token": _is_text, "partial": _is_text, "ip_prefix": _is_text, "postcode": _is_text,
    "bucket": _is_number, "date_trunc": _is_moment, "date_shift": _is_moment,
}  # fmt: skip


def fits(action: str, options: Mapping[str, Any], data_type: str) -> bool:
    """Whether an action keeps a column of this DuckDB type a column of this type.

    >>> fits("partial", {}, "VARCHAR"), fits("partial", {}, "BIGINT"), fits("null", {}, "STRUCT(a INTEGER)")
    (True, False, True)
    >>> fits("constant", {"value": 300}, "TINYINT"), fits("constant", {"value": 0}, "TINYINT")
    (False, True)
    """
    kind = data_type.strip().upper()
    if action in ("allow", "null", "block"):
        return True
    if action == "constant":
        return _constant_fits(options.get("value"), kind)
    keeps = _KEEPS.get(action)
    return keeps is not None and keeps(kind)


def _constant_fits(value: object, kind: str) -> bool:
    if isinstance(value, bool) or kind == "BOOLEAN":
        return isinstance(value, bool) and kind == "BOOLEAN"
    if isinstance(value, int) and kind in _WHOLE:
        least, most = _WHOLE[kind]
        return least <= value <= most
    if isinstance(value, int | float) and kind in _FLOATS:
        return math.isfinite(value)
    if isinstance(value, int | float) and (decimal := _DECIMAL.match(kind)):
        return math.isfinite(value) and abs(value) < 10 ** (int(decimal[1]) - int(decimal[2]))
    return isinstance(value, str) and (_is_text(kind) or (_is_moment(kind) and _is_a_date(value)))


def _is_a_date(value: str) -> bool:
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Option:
    type: type
    default: object = None
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()


_SCOPE = _Option(str, "lake")
OPTIONS: Mapping[str, Mapping[str, _Option]] = {
    "constant": {"value": _Option(object)},
    "partial": {"first": _Option(int, 0, 0, 1000), "last": _Option(int, 0, 0, 1000), "email": _Option(bool, False)},
    "token": {"scope": _SCOPE},
    "date_shift": {"days_max": _Option(int, 30, 1, 36_500), "scope": _SCOPE},
    "date_trunc": {"unit": _Option(str, "year", choices=("day", "week", "month", "quarter", "year", "decade"))},
    "bucket": {"width": _Option(float, 10)},
    "ip_prefix": {"v4_bits": _Option(int, 24, 0, 32), "v6_bits": _Option(int, 48, 0, 128)},
    "postcode": {"keep": _Option(int, 3, 0, 10)},
}
"""The options of each action. `first` and `last`: characters that stay; `email`: the first letter and the host stay;
`scope`: tokens of one scope can be joined; `v4_bits`, `v6_bits`: the part of an address that stays."""


def check(action: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of an action, complete and checked.

    >>> check("date_trunc", None), check("partial", {"last": 4})
    ({'unit': 'year'}, {'first': 0, 'last': 4, 'email': False})

    Raises:
        InvalidRequest: no such action or option, or a value that does not fit.
    """
    if action not in RANKS:
        raise errors.InvalidRequest(
            f"{action} is no action of a policy.", code="policy_action", next_step=f"There are: {', '.join(RANKS)}."
        )
    known = OPTIONS.get(action, {})
    given = dict(options or {})
    for name in given:
        if name not in known:
            raise _misfit(action, f"has no option {name}")
    if action == "constant" and given.get("value") is None:
        raise _misfit(action, "needs its option value")
    checked = {name: _checked(action, name, option, given.get(name, option.default)) for name, option in known.items()}
    if action == "partial" and not (given.keys() & {"first", "last", "email"}):
        checked["last"] = 4
    return checked


def check_shown(place: str, action: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of an action on results or literals: there are none.

    Raises:
        InvalidRequest: no such action, or an option.
    """
    if action not in SHOWN_RANKS[place]:
        raise errors.InvalidRequest(
            f"{action} is nothing that a policy does to {place}s.", code="policy_action",
            next_step=f"There are: {', '.join(SHOWN_RANKS[place])}.",
        )  # fmt: skip
    if options:
        raise _misfit(action, f"takes no option on {place}s")
    return {}


def _checked(action: str, name: str, option: _Option, value: Any) -> Any:
    if option.type is object:
        if isinstance(value, str | int | float):
            return value
        if hasattr(value, "__float__"):  # a Decimal, which a number written in SQL is
            return float(value)
    elif option.type is float:
        if isinstance(value, bool) is False and hasattr(value, "__float__") and 0 < float(value) < math.inf:
            return float(value) if float(value) % 1 else int(value)
    elif option.type is int:
        if isinstance(value, int) and not isinstance(value, bool) and option.least <= value <= option.most:
            return value
    elif isinstance(value, option.type) and (not option.choices or value in option.choices) and value != "":
        return value
    raise _misfit(action, f"cannot take {value!r} for its option {name}")


def _misfit(action: str, what: str) -> errors.InvalidRequest:
    shown = ", ".join(OPTIONS.get(action, ())) or "none"
    return errors.InvalidRequest(
        f"The action {action} {what}.", code="policy_options", next_step=f"Its options are: {shown}."
    )


def strictest(
    found: Sequence[tuple[str, Mapping[str, Any], str | None]],
) -> tuple[str, Mapping[str, Any], str | None, str]:
    """The most restrictive of (action, options, policy): what it comes to, with the policy's name and the reason.

    Without a policy stands what no policy says: that a column holds something for which there is none, or may do so.

    >>> strictest([("allow", {}, "a"), ("partial", {"last": 4}, "b")])
    ('partial', {'last': 4}, 'b', 'policy b')
    >>> strictest([("bucket", {"width": 5}, "a"), ("partial", {"last": 4}, "b")])
    ('null', {}, None, 'policies a, b: different ones of equal rank')
    >>> strictest([("null", {}, None), ("allow", {}, "a")])
    ('null', {}, None, 'it holds what no policy is meant for, or awaits a review')
    """
    top = max(RANKS[action] for action, _, _ in found)
    winners = sorted((one for one in found if RANKS[one[0]] == top), key=lambda one: (one[2] is None, one[2]))
    action, options, policy = winners[0]
    if policy is None:
        return action, options, None, "it holds what no policy is meant for, or awaits a review"
    if any(other[0] != action or other[1] != options for other in winners):
        return "null", {}, None, f"policies {', '.join(str(w[2]) for w in winners)}: different ones of equal rank"
    return action, options, policy, f"policy {policy}"
