"""Masks: the SQL that stands in a secure view for a column that a role may not see as it is.

Every expression keeps the column's name and type and is total: whatever the value, it gives a value or NULL and never
an error, since an error would print what it met. Functions are called by their full name, so that nobody's macro of the
same name can stand in. Keys come from a variable of the connection and never stand in the text of a view; without the
variable a mask that needs a key gives NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from neurolake.governance import nested
from neurolake.governance.actions import ABSENT, fits
from neurolake.pii.inside import ANYTHING
from neurolake.sql.text import literal, quote

KEYS_VARIABLE: Final = "__neurolake_keys"
"""Holds, by the name of a key, a structure of `i` and `o`, the two padded keys of HMAC-SHA256, and of `n`, a number."""

HIDDEN: Final = "***"
_ADDRESS: Final = r"[^@]+@[\p{L}\p{N}.-]+\.\p{L}[\p{L}\p{N}-]+"
"""What stands behind the `@` is shown only where it is a host and nothing else: not the rest of a document."""
_ENUM: Final = re.compile(r"ENUM\((?:'(?:[^']|'')*'(?:,\s*)?)*\)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT)\Z")
_WIDTH_MAX: Final = 1 << 40
_YEARS: Final = ("0001-01-01", "9999-12-31")
_ZONED: Final = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
_YEARS_OF_NANOSECONDS: Final = ("1700-01-01", "2250-01-01")

REDACTED: Final = (
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+",  # mail addresses
    r"(?:https?|ftp)://\S+",
    r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b",  # IBANs
    r"\b[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f:.]*",  # IPv6 and hardware addresses
    f"(?i:{ANYTHING})",  # whatever else the scans know inside a text
    r"[+(]?\d(?:[\d\s().,/:-]*\d)+",  # telephone, card, account and identity numbers, IPv4, dates
    r"\d",
)
"""What is taken out of free text. Names of people are not among it: only a reader of the language finds those."""
_WORDS: Final = 4
"""So many of them are no numbers, of which JSON has to keep one in each place."""


def kept_type(data_type: str) -> str:
    """The type a masked column has: its own, but that the labels of an enum are values too, and stay hidden.

    >>> kept_type("BIGINT"), kept_type("STRUCT(m ENUM('ann', 'bob'))")
    ('BIGINT', 'STRUCT(m VARCHAR)')
    """
    return _ENUM.sub("VARCHAR", data_type)


def expression(action: str, options: Mapping[str, Any], column: str, data_type: str) -> str:
    """The SQL of a masked column.

    Args:
        action: an action of `set_policy`; `absent` columns have no expression, and must be left out.
        options: of the action, complete.
        column: the SQL that names the column.
        data_type: its DuckDB type.

    >>> expression("null", {}, 't."email"', "VARCHAR")
    'CAST(NULL AS VARCHAR)'
    """
    if action == "allow":
        return column
    kept = kept_type(data_type)
    make = _MASKS.get(action)
    if make is None or not fits(action, options, data_type) or action == ABSENT:
        return f"CAST(NULL AS {kept})"
    return make(options, column, kept)


def keys_of(decisions: Iterable[tuple[str, Mapping[str, Any]]]) -> frozenset[str]:
    """The scopes whose keys these actions need."""
    return frozenset(str(options.get("scope", "lake")) for action, options in decisions if action in _KEYED)


def key_name(scope: str) -> str:
    """What a scope's key is called inside the variable."""
    return f"s_{scope.encode().hex()}"


def call(function: str, *arguments: str) -> str:
    """A call of one of the engine's own functions, by its full name.

    >>> call("lower", "x")
    'system.main."lower"(x)'
    """
    return f"system.main.{quote(function)}({', '.join(arguments)})"


def _constant(options: Mapping[str, Any], column: str, kind: str) -> str:
    return f"TRY_CAST({literal(options.get('value'))} AS {kind})"


def _partial(options: Mapping[str, Any], column: str, kind: str) -> str:
    if options.get("email"):
        host = _piece(column, "@", -1)
        shown = call("concat", call("left", column, "1"), literal(f"{HIDDEN}@"), host)
        return _if(call("regexp_full_match", column, literal(_ADDRESS)), shown, column, HIDDEN)
    first, last = int(options.get("first", 0)), int(options.get("last", 0))
    parts = [literal(HIDDEN)]
    if first:
        parts.insert(0, call("left", column, str(first)))
    if last:
        parts.append(call("substr", column, str(-last)))
    # A value no longer than what would stay must not be shown whole.
    return _if(f"{call('length', column)} > {first + last}", call("concat", *parts), column, HIDDEN)


def _token(options: Mapping[str, Any], column: str, kind: str) -> str:
    inner = call("sha256", call("||", _key(options, "i"), call("encode", column)))
    outer = call("sha256", call("||", _key(options, "o"), call("unhex", inner)))
    return _joined("'tok_'", call("left", outer, "32"))


def _date_shift(options: Mapping[str, Any], column: str, kind: str) -> str:
    days_max = int(options.get("days_max", 30))
    number = _key(options, "n")
    # From 1 to days_max, back or forth: never no shift at all.
    days = f"((({number}) % {days_max}) + 1) * (CASE WHEN ({number}) < 1073741824 THEN -1 ELSE 1 END)"
    here, kept = _in_utc(column, kind)
    shifted = f"{here} + {call('to_days', f'CAST({days} AS INTEGER)')}"
    return _zoned(_within_years(here, f"TRY_CAST(({shifted}) AS {kept})", kept), kind)


def _date_trunc(options: Mapping[str, Any], column: str, kind: str) -> str:
    unit = literal(options.get("unit", "year"))
    here, kept = _in_utc(column, kind)
    return _zoned(_within_years(here, f"TRY_CAST({call('date_trunc', unit, here)} AS {kept})", kept), kind)


def _in_utc(column: str, kind: str) -> tuple[str, str]:
    """A moment as what a clock in UTC shows, and the type of that: else sessions in other zones would see more."""
    if kind not in _ZONED:
        return column, kind
    return call("make_timestamp", call("epoch_us", column)), "TIMESTAMP"


def _zoned(shown: str, kind: str) -> str:
    return call("make_timestamptz", call("epoch_us", shown)) if kind in _ZONED else shown


def _within_years(column: str, shown: str, kind: str) -> str:
    """Moments at the ends of their type, and infinite ones, would overflow."""
    days = _YEARS_OF_NANOSECONDS if kind == "TIMESTAMP_NS" else _YEARS
    least, most = (f"TRY_CAST('{day}' AS {kind})" for day in days)
    return f"CASE WHEN {column} BETWEEN {least} AND {most} THEN TRY({shown}) ELSE NULL END"


def _bucket(options: Mapping[str, Any], column: str, kind: str) -> str:
    width = options.get("width", 10)
    if _WHOLE.match(kind) and isinstance(width, int):
        small = kind != "UBIGINT" and width < _WIDTH_MAX
        wide = f"CAST({column} AS {'BIGINT' if small else 'HUGEINT'})"
        lower = f"TRY_CAST({wide} - ((({wide} % {width}) + {width}) % {width}) AS {kind})"
        return f"CASE WHEN {wide} > {-(1 << 62)} THEN {lower} END" if small else lower
    wide = f"TRY_CAST({column} AS DOUBLE)"
    # Not by `/`, which a session's setting changes the meaning of.
    return f"TRY_CAST(TRY({call('floor', f'{wide} * CAST({1 / width!r} AS DOUBLE)')} * {float(width)!r}) AS {kind})"


def _ip_prefix(options: Mapping[str, Any], column: str, kind: str) -> str:
    v4_bits, v6_bits = int(options.get("v4_bits", 24)), int(options.get("v6_bits", 48))
    text = _piece(column, "/", 1)
    is_v4 = call("regexp_full_match", text, r"'(\d{1,3}\.){3}\d{1,3}'")
    is_v6 = call("regexp_full_match", text, "'[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}'")
    either = f"CASE WHEN {is_v4} THEN {_v4(text, v4_bits)} WHEN {is_v6} THEN {_v6(text, v6_bits)} ELSE NULL END"
    if v4_bits not in (8, 16, 24):
        return either
    # Most are plain IPv4, for which one look is enough: what it gives is computed once, and names what is kept.
    kept, cut = r"\d{1,3}\." * (v4_bits // 8), r"\.\d{1,3}" * (3 - v4_bits // 8)
    pattern = literal(rf"\A({kept})\d{{1,3}}{cut}(?:/(?s:.*))?\z")
    found = call("regexp_extract", column, pattern, "1")
    zeros = literal(".".join("0" * (4 - v4_bits // 8)) + f"/{v4_bits}")
    return f"CASE WHEN {found} <> '' THEN {_joined(found, zeros)} ELSE {either} END"


def _v4(text: str, bits: int) -> str:
    if bits % 8 == 0:
        kept = bits // 8
        pattern, zeros = rf"^((?:\d+\.){{{min(kept, 3)}}})" + (".*" if kept < 4 else ""), ".".join("0" * (4 - kept))
        return call("regexp_replace", text, literal(pattern), literal(rf"\1{zeros}")) + f" || '/{bits}'"
    parts = []
    for place in range(4):
        part = f"TRY_CAST({_piece(text, '.', place + 1)} AS INTEGER)"
        parts.append(_leading(part, min(8, max(0, bits - 8 * place)), 8))
    dotted = [piece for part in parts for piece in (f"CAST({part} AS VARCHAR)", "'.'")][:-1]
    return _joined(*dotted, literal(f"/{bits}"))


def _v6(text: str, bits: int) -> str:
    """The groups behind a `::` count from the end, and what it stands for is zero.

    A lambda over a list of one element names a value once that the expression needs several times.
    """
    halves = call("string_split", text, "'::'")
    behind = call("string_split", "h[2]", "':'")
    tail = f"CASE WHEN coalesce(h[2], '') = '' THEN CAST([] AS VARCHAR[]) ELSE {behind} END"
    head = call("string_split", "h[1]", "':'")
    padded = call("list_resize", head, f"greatest(0, 8 - {call('len', 't')})", "'0'")
    groups = _let("h", halves, _let("t", tail, call("list_concat", padded, "t")))
    shown = []
    for place in range(-(-bits // 16)):
        number = f"TRY_CAST('0x' || coalesce(nullif(g[{place + 1}], ''), '0') AS INTEGER)"
        part = _leading(number, min(16, bits - 16 * place), 16)
        shown += [call("lower", call("to_hex", part)), "':'"]
    if len(shown) == 16:
        joined = _joined(*shown[:-1], literal(f"/{bits}"))
    else:
        joined = _joined(*(shown or ["':'"]), "':'", literal(f"/{bits}"))
    return _let("g", groups, joined)


def _piece(text: str, separator: str, number: int) -> str:
    """One of the pieces between separators, of which there must be so many.

    `split_part` is a macro of the engine's, which it takes apart anew for each statement that reads the view.
    """
    return call("array_extract", call("string_split", text, literal(separator)), str(number))


def _let(name: str, value: str, expression: str) -> str:
    return f"{call('list_transform', f'[{value}]', f'lambda {name}: {expression}')}[1]"


def _leading(number: str, bits: int, width: int) -> str:
    """The leading bits of a number of `width` bits, the others zero."""
    step = 1 << (width - bits)
    return number if step == 1 else f"({number} - ({number} % {step}))"


def _postcode(options: Mapping[str, Any], column: str, kind: str) -> str:
    keep = int(options.get("keep", 3))
    shown = call("concat", call("left", column, str(keep)), "'**'")
    return _if(f"{call('length', column)} > {keep}", shown, column, "**")


def _redact(options: Mapping[str, Any], column: str, kind: str) -> str:
    if nested.holds_text(kind) and kind != "VARCHAR":
        return nested.expression(column, kind, _without_personal, call)
    return _without_personal(column, is_json=False)


def _without_personal(text: str, is_json: bool) -> str:
    """Text without what is personal in it. In JSON a number stays one, and what is no JSON any more is NULL."""
    if not is_json:
        return call("regexp_replace", text, literal("|".join(REDACTED)), literal(HIDDEN), "'g'")
    words, digits = "|".join(REDACTED[:_WORDS]), "|".join(REDACTED[_WORDS:])
    shown = call("regexp_replace", text, literal(words), literal(HIDDEN), "'g'")
    return f"TRY_CAST({call('regexp_replace', shown, literal(digits), literal('0'), literal('g'))} AS JSON)"


def _if(condition: str, shown: str, column: str, otherwise: str) -> str:
    """What is shown where the condition holds, a fixed text where it does not, NULL for NULL."""
    return f"CASE WHEN {condition} THEN {shown} WHEN {column} IS NOT NULL THEN {literal(otherwise)} END"


def _joined(*parts: str) -> str:
    """Text put together; NULL where a part of it is."""
    joined = parts[0]
    for part in parts[1:]:
        joined = call("||", joined, part)
    return joined


def _key(options: Mapping[str, Any], part: str) -> str:
    keys = call("getvariable", literal(KEYS_VARIABLE))
    key = call("struct_extract", keys, literal(key_name(str(options.get("scope", "lake")))))
    return call("struct_extract", key, literal(part))


_KEYED: Final = frozenset(("token", "date_shift"))
_MASKS: Final[Mapping[str, Callable[[Mapping[str, Any], str, str], str]]] = {
    "null": lambda options, column, kind: f"CAST(NULL AS {kind})",
    "constant": _constant,
    "partial": _partial,
    "token": _token,
    "date_shift": _date_shift,
    "date_trunc": _date_trunc,
    "bucket": _bucket,
    "ip_prefix": _ip_prefix,
    "postcode": _postcode,
    "redact": _redact,
}
