"""Recognisers of the lake's own: a file of patterns, words of column names, and checks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolake import errors
from neurolake.pii import checks
from neurolake.pii.kinds import Kind, Tier
from neurolake.sql.text import literal

if TYPE_CHECKING:
    from neurolake.engine import Engine

__all__ = ["FILE", "load", "parse"]

FILE = "recognisers.toml"
"""In the home folder, unless the setting `pii_recognisers` names another file."""
CHECKS: Mapping[str, checks.Check] = {
    "luhn": checks.luhn, "verhoeff": checks.verhoeff, "iban": checks.iban, "mod_11_10": checks.iso_11_10
}  # fmt: skip
_KEYS = frozenset(("pattern", "names", "check", "name_needed"))
_ENTITY = re.compile(r"[A-Z][A-Z0-9_]{1,63}")


def load(engine: Engine) -> dict[str, Kind]:
    """The recognisers of a lake, read anew at each scan.

    Raises:
        InvalidRequest: `recogniser_invalid`: the file cannot be read as such.
    """
    named = engine.settings.pii_recognisers
    path = Path(named) if named else engine.home.path / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise _invalid(f"There is no file {path}.") from None
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        said = "it is not UTF-8" if isinstance(problem, UnicodeDecodeError) else problem.strerror
        raise _invalid(f"{path} cannot be read: {said}.") from None
    kinds = parse(text)
    for kind in kinds.values():
        _check_pattern(engine, kind)
    return kinds


def _check_pattern(engine: Engine, kind: Kind) -> None:
    sql = f"SELECT regexp_full_match('', {literal(kind.pattern)}, 'i')"
    try:
        engine.instance.acquire_and(lambda cursor: cursor.rows(sql))
    except errors.NeuroLakeError:
        raise _invalid(f"RE2 does not read the pattern of {kind.entity}.") from None


def parse(text: str) -> dict[str, Kind]:
    """Read the file's text.

    >>> kinds = parse('[EMPLOYEE_ID]\\npattern = "E[0-9]{6}"\\nnames = ["employee id", "emp no"]')
    >>> kinds["EMPLOYEE_ID"].names
    'employee id|emp no'

    Raises:
        InvalidRequest: `recogniser_invalid`.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise _invalid(f"The file is no TOML: {problem}.") from None
    return {entity: _kind(entity, table) for entity, table in tables.items()}


def _kind(entity: str, table: Any) -> Kind:
    if not isinstance(table, dict) or not _ENTITY.fullmatch(entity):
        raise _invalid(f"{entity} is not the name of an entity.")
    unknown = set(table) - _KEYS
    pattern, names, check = table.get("pattern"), table.get("names", []), table.get("check")
    named = table.get("name_needed", False)
    if (
        unknown
        or not isinstance(pattern, str)
        or not isinstance(names, list)
        or not isinstance(named, bool)
        or (check is not None and check not in CHECKS)
    ):
        raise _invalid(f"{entity} takes pattern, names, check ({', '.join(CHECKS)}) and name_needed.")
    spoken = "|".join(str(name).lower() for name in names)
    tier = Tier.CHECKED if check else Tier.NAMED if named else Tier.STRUCTURAL
    try:
        re.compile(pattern)
    except re.error:
        raise _invalid(f"The pattern of {entity} is no regular expression.") from None
    spoken = spoken or entity.lower().replace("_", " ")
    return Kind(entity, tier, pattern, spoken, CHECKS.get(check or ""), named=named)


def _invalid(message: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        message,
        code="recogniser_invalid",
        next_step='Write a table for each entity: [EMPLOYEE_ID], pattern = "E[0-9]{6}", names = ["employee id"].',
    )
