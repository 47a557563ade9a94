"""PIVOT without listed values, for governed roles: the values are asked for through the gate, and then listed.

DuckDB's parser makes several statements of such a PIVOT and shows none of them as a tree. So its parts are told apart
by their keywords, the values are read as the role sees them, and the PIVOT with its values goes through the gate like
any other SELECT: a part that was cut wrongly can fail, and means nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import governed, planning
from neurolake.governance.gate import denied
from neurolake.governance.merges import TOKEN
from neurolake.query import Plan, evolve
from neurolake.sql.text import literal

if TYPE_CHECKING:
    from neurolake.engine import Engine

VALUES_MAX = 1000
"""How many values one PIVOT may find."""

_REST = frozenset(("USING", "GROUP", "ORDER", "LIMIT", "OFFSET"))


class Pivot(NamedTuple):
    """The parts of a PIVOT: what it reads, what it spreads, and all that follows."""

    source: str
    items: tuple[str, ...]
    rest: str


def listed(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """The same PIVOT with its values, as the role sees them now.

    Raises:
        AccessDenied: it cannot be told apart, or the role may not read what it reads.
        InvalidRequest: there are no values, or too many.
    """
    if engine.serialise(draft.text).get("error") is False:
        return draft
    found = _parts(draft.text)
    items = [item if _is_listed(item) else _filled(engine, draft, activity, found, item) for item in found.items]
    return evolve(draft, text=f"PIVOT {found.source} ON {', '.join(items)} {found.rest}")


def _filled(engine: Engine, draft: Plan, activity: Activity, found: Pivot, item: str) -> str:
    query = (
        f"SELECT DISTINCT CAST(({item}\n) AS VARCHAR) FROM {found.source}\n"
        f"WHERE ({item}\n) IS NOT NULL ORDER BY 1 LIMIT {VALUES_MAX + 1}"
    )
    request = evolve(draft.request, text=query, values=None, translated=True)
    inner = governed.plan(engine, request, activity)
    if len(inner.types) != 1 or inner.parameters:
        raise denied("this form of PIVOT", code="pivot_denied")
    with planning.borrowed(inner, activity) as cursor:
        values = [value for (value,) in cursor.rows(inner.text)]
    if len(values) > VALUES_MAX:
        raise errors.InvalidRequest(
            f"The PIVOT has more than {VALUES_MAX} values.", code="pivot_values", next_step="List those you want."
        )
    if not values:
        raise errors.InvalidRequest("The PIVOT finds no values.", code="pivot_values", next_step="List some.")
    return f"CAST(({item}\n) AS VARCHAR) IN ({', '.join(map(literal, values))})"


def _parts(text: str) -> Pivot:
    pieces = dict[str, str]()
    place = "source"
    for word in _words(text):
        if place == "source" and word.upper() == "ON":
            place = "items"
        elif place == "items" and word.upper() in _REST:
            place = "rest"
            pieces[place] = word
        else:
            pieces[place] = pieces.get(place, "") + word
    head, _, source = pieces.get("source", "").strip().partition(" ")
    if head.upper() != "PIVOT" or "items" not in pieces:
        raise denied("this form of PIVOT", code="pivot_denied")
    return Pivot(source.strip(), tuple(_items(pieces["items"])), pieces.get("rest", ""))


def _words(text: str) -> Iterator[str]:
    """The tokens of a text, what stands in brackets as one of them; a space for each comment."""
    depth, held = 0, ""
    for token in TOKEN.finditer(text):
        word = " " if token[0].startswith(("--", "/*")) else " " if token[0].isspace() else token[0]
        depth += (word in "([{") - (word in ")]}")
        held += word
        if depth == 0:
            yield held
            held = ""
    if held:
        raise denied("this form of PIVOT", code="pivot_denied")


def _items(text: str) -> Iterator[str]:
    item = ""
    for word in _words(text):
        if word == ",":
            yield item.strip()
            item = ""
        else:
            item += word
    yield item.strip()


def _is_listed(item: str) -> bool:
    return any(word.upper() == "IN" for word in _words(item))
