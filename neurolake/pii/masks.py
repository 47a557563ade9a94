"""What a sensible policy does to each kind of personal data, for `neurolake pii protect`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurolake.governance.actions import fits
from neurolake.governance.facts import Finding
from neurolake.pii.freetext import ENTITY as FREE_TEXT

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


@dataclass(frozen=True, slots=True)
class Proposal:
    """One policy that is proposed: the arguments of `set_policy`, and why."""

    name: str
    target: str
    action: str
    options: Mapping[str, Any] = field(default_factory=dict)
    entity: str = ""
    confidence: float = 0.0
    role: str = "*"


def propose(table: str, findings: Mapping[str, list[Finding]], types: Mapping[str, str]) -> list[Proposal]:
    """A policy for each column in which something was found: by the surest finding that was not rejected.

    Args:
        table: the table's full name.
        findings: by column.
        types: the columns' DuckDB types; an action that cannot keep a type gives way to null.
    """
    proposals = []
    for column, found in findings.items():
        live = [one for one in found if one.status != "rejected" and one.entity]
        if not live:
            continue
        best = max(live, key=lambda one: (one.status == "confirmed", one.confidence))
        action, options = DEFAULTS.get(best.entity or "", OTHERWISE)
        if not fits(action, options, types.get(column, "VARCHAR")):
            action, options = "null", {}
        name = f"pii_{table}_{column}".replace(".", "_").replace(" ", "_")
        proposals.append(
            Proposal(name, f"column:{table}.{column}", action, options, best.entity or "", best.confidence)
        )
    return proposals
