"""Personal data within a text: patterns that both RE2 and Python read, and the checks of what they find."""

from __future__ import annotations

from collections.abc import Mapping

from neurolake.pii import checks

__all__ = ["ANYTHING", "CHECKS", "INSIDE"]

INSIDE: Mapping[str, str] = {
    "EMAIL_ADDRESS": r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b",
    "IBAN_CODE": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "CREDIT_CARD": r"\b(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2})[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b"
    r"|\b3[47]\d{2}[ -]?\d{6}[ -]?\d{5}\b",
    "US_SSN": r"\b(?:00[1-9]|0[1-9]\d|[1-5]\d\d|6[0-57-9]\d|66[0-57-9]|[78]\d\d)-\d{2}-\d{4}\b",
    "PHONE_NUMBER": r"\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}\b"
    r"|\(\d{3}\) ?\d{3}-\d{4}\b|\b[2-9]\d{2}-[2-9]\d{2}-\d{4}\b",
    "IP_ADDRESS": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "SECRET_KEY": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{30,}|\b[sr]k_live_[0-9A-Za-z]{16,}",
}
"""What is looked for inside a cell or a literal."""

ANYTHING = "|".join(f"(?:{pattern})" for pattern in INSIDE.values())
"""Any of it."""

CHECKS: Mapping[str, checks.Check] = {"IBAN_CODE": checks.iban_in_front, "CREDIT_CARD": checks.luhn}
