"""Settings as text: from a file, a variable or a flag to a typed value, and back for a reader."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Literal

__all__ = ["Kind", "format_bytes", "format_value", "parse_bytes", "parse_value"]

Kind = Literal["flag", "count", "bytes", "seconds", "milliseconds", "text", "list"]

_BYTES = re.compile(r"(\d[\d_]*(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_UNITS: Mapping[str, int] = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgtp", start=1)
    for ending, base in (("b", 1000), ("ib", 1024))
}
_FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def parse_bytes(value: object) -> int:
    """A size in bytes, from a number or from text with a unit (B, kB, MB, GB, TB; KiB, MiB, GiB, TiB).

    Raises:
        ValueError: what was expected instead.

    >>> parse_bytes("300MB"), parse_bytes("1.5 GiB"), parse_bytes(4096)
    (300000000, 1610612736, 4096)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _BYTES.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError("a size such as 300MB, 1.5GiB or a number of bytes")
    unit = _UNITS[match[2].lower()]
    return round(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def format_bytes(value: int) -> str:
    """The shortest exact text of a size; `parse_bytes` reads it back.

    >>> format_bytes(16 << 20), format_bytes(300_000_000), format_bytes(4097)
    ('16MiB', '300MB', '4097')
    """
    if value == 0:
        return "0"
    for unit in ("PiB", "PB", "TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "KB"):
        if value % _UNITS[unit.lower()] == 0:
            return f"{value // _UNITS[unit.lower()]}{unit}"
    return str(value)


def parse_value(kind: Kind, value: object) -> object:
    """A setting's value from TOML, text or Python.

    Raises:
        ValueError: what was expected instead.

    >>> parse_value("flag", "off"), parse_value("seconds", "2.5"), parse_value("list", "a, b")
    (False, 2.5, ('a', 'b'))
    """
    return _PARSERS[kind](value)


def format_value(kind: Kind, value: object) -> str:
    """A setting's value as text that `parse_value` reads back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == "bytes" and isinstance(value, int):
        return format_bytes(value)
    if kind == "list" and isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def _parse_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    if known is None:
        raise ValueError("true or false")
    return known


def _parse_count(value: object) -> int:
    if isinstance(value, str):
        try:
            return int(value.strip())
        except ValueError:
            raise ValueError("a whole number") from None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("a whole number")


def _parse_number(unit: str) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                number = math.nan
            if math.isfinite(number):
                return number
        raise ValueError(f"a number of {unit}, without a unit")

    return parse


def _parse_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("text")


def _parse_list(value: object) -> tuple[str, ...]:
    """A list of texts: a TOML array, a JSON array in text, or texts between commas."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except json.JSONDecodeError:
                raise ValueError('a list such as a,b or ["a", "b"]') from None
        else:
            value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise ValueError('a list of texts such as ["a", "b"]')


_PARSERS: Mapping[Kind, Callable[[object], object]] = {
    "flag": _parse_flag,
    "count": _parse_count,
    "bytes": parse_bytes,
    "seconds": _parse_number("seconds"),
    "milliseconds": _parse_number("milliseconds"),
    "text": _parse_text,
    "list": _parse_list,
}
