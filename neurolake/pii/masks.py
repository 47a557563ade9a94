"""What a sensible policy does to each kind of personal data, for `neurolake pii protect`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurolake.governance.actions import fits
from neurolake.governance.facts import Finding
from neurolake.governance.objects import Object
from neurolake.pii.freetext import ENTITY as FREE_TEXT
from neurolake.pii.inside import INSIDE
from neurolake.sql.text import Name

__all__ = ["Proposal", "propose"]

_KEEP_YEAR = ("date_trunc", {"unit": "year"})
_LAST_FOUR: tuple[str, Mapping[str, Any]] = ("partial", {"last": 4})
DEFAULTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "EMAIL_ADDRESS": ("partial", {"email": True}),
    "PHONE_NUMBER": ("partial", {"last": 2}),
    "CREDIT_CARD": _LAST_FOUR,
    "IBAN_CODE": _LAST_FOUR,
    "US_BANK_NUMBER": _LAST_FOUR,
    "PERSON": ("partial", {"first": 1}),
    "MAIDEN_NAME": ("null", {}),
    "STREET_ADDRESS": ("null", {}),
    "DATE_OF_BIRTH": _KEEP_YEAR,
    "IP_ADDRESS": ("ip_prefix", {}),
    "UK_POSTCODE": ("postcode", {}),
    "CA_POSTAL_CODE": ("postcode", {}),
    "PASSWORD": ("block", {}),
    "SECRET_KEY": ("block", {}),
    "CVV": ("block", {}),
    "GENDER": ("null", {}),
    "USERNAME": ("token", {}),
    "MAC_ADDRESS": ("token", {}),
    "IMEI": ("token", {}),
    "VIN": ("token", {}),
    FREE_TEXT: ("redact", {}),
}
"""What is most often wanted. Every other kind is a person's number and becomes a token, on which joins still work."""
OTHERWISE: tuple[str, Mapping[str, Any]] = ("token", {})
REDACTABLE = frozenset((*INSIDE, "US_BANK_NUMBER", FREE_TEXT))
"""What `redact` hides wherever it stands in a cell, and whatever stands beside it."""
NAME_LENGTH_MAX = 100
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One policy that is proposed: the arguments of `set_policy`, and why."""

    name: str
    target: Object
    action: str
    options: Mapping[str, Any] = field(default_factory=dict)
    entity: str = ""
    confidence: float = 0.0
    role: str = "*"


def propose(table: Name, findings: Mapping[str, list[Finding]], types: Mapping[str, str]) -> list[Proposal]:
    """A policy for each column in which something was found that was not rejected.

    Args:
        table: the table.
        findings: by column.
        types: the columns' DuckDB types; an action that cannot keep a type gives way to null.
    """
    proposals = []
    for column, found in findings.items():
        live = [one for one in found if one.status != "rejected" and one.entity]
        if not live:
            continue
        best = max(live, key=lambda one: (one.status == "confirmed", one.confidence))
        action, options = _mask(live, best)
        if not fits(action, options, types.get(column, "VARCHAR")):
            action, options = "null", {}
        on = Object.of(table, column)
        proposals.append(Proposal(_name(on), on, action, options, best.entity or "", best.confidence))
    return proposals


def _mask(live: Sequence[Finding], best: Finding) -> tuple[str, Mapping[str, Any]]:
    """What hides all that a column holds: a mask that keeps a part of the cell knows one kind, as a whole cell."""
    entities = {one.entity or "" for one in live}
    if len(entities) == 1 and not any(one.nested for one in live):
        return DEFAULTS.get(best.entity or "", OTHERWISE)
    if any(DEFAULTS.get(entity, OTHERWISE)[0] == "block" for entity in entities):
        return "block", {}
    return ("redact" if entities <= REDACTABLE else "null"), {}


def _name(on: Object) -> str:
    """A name that no other column's policy has.

    >>> _name(Object.parse("column:sales.people.mail")), _name(Object.parse('column:people."First Name"'))
    ('pii:sales.people.mail', 'pii:main.people.first_name-7375f4976525')
    """
    parts = (on.schema, on.table, on.column)
    shown = ".".join(parts)
    if all(map(_PLAIN.fullmatch, parts)) and len(shown) <= NAME_LENGTH_MAX:
        return f"pii:{shown}"
    told_apart = hashlib.blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()
    return f"pii:{re.sub(r'[^a-z0-9_.]', '_', shown)[:NAME_LENGTH_MAX]}-{told_apart}"
