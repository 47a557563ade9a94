"""Personal data within a text: patterns that both RE2 and Python read, and the checks of what they find.

A kind is here where little else passes for it: either few things have its form, or of forty codes of the very same form
one at most has what is fixed in it and true check digits. Everything that looks
inside a text knows these kinds and no others: the pass over all rows, the checks of statements and of results, and what
`redact` takes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from neurolake.pii import checks
from neurolake.pii.kinds import KINDS

__all__ = ["ANYTHING", "CHECKS", "INSIDE"]

INSIDE: Final[Mapping[str, str]] = {
    "SECRET_KEY": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{20,}|\bgithub_pat_[0-9A-Za-z_]{20,}"
    r"|\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}|\bxox[abprs]-[0-9A-Za-z-]{10,}|\bAIza[0-9A-Za-z_-]{30}"
    r"|\bglpat-[0-9A-Za-z_-]{16,}|\bnpm_[0-9A-Za-z]{20,}|\bpypi-AgE[0-9A-Za-z_-]{16,}|\bhf_[0-9A-Za-z]{20,}"
    r"|\bsk-(?:proj|svcacct|ant-api\d\d)-[0-9A-Za-z_-]{16,}"
    r"|\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}|-----BEGIN (?:[A-Z]{1,9} )?PRIVATE KEY-----"
    r"|://[\w.~%!$&*+,;=-]*:[\w.~%!$&*+,;=-]+@",
    "EMAIL_ADDRESS": r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b",
    "IBAN_CODE": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "CREDIT_CARD": r"\b(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2})[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b"
    r"|\b3[47]\d{2}[ -]?\d{6}[ -]?\d{5}\b",
    "US_SSN": r"\b(?:00[1-9]|0[1-9]\d|[1-5]\d\d|6[0-57-9]\d|66[0-57-9]|[78]\d\d)-\d{2}-\d{4}\b",
    "US_ITIN": r"\b9\d\d-[5-9]\d-\d{4}\b",
    "PHONE_NUMBER": r"\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}\b"
    r"|\(\d{3}\) ?\d{3}-\d{4}\b|\b[2-9]\d{2}-[2-9]\d{2}-\d{4}\b",
    "IP_ADDRESS": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"
    r"|\b[0-9a-f]{3,4}(?::[0-9a-f]{1,4}){7}\b"
    r"|\b(?:2[0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{1,4}){0,6}::(?:[0-9a-f]{1,4}:){0,5}"
    r"[0-9a-f]{1,4}\b",
    "MAC_ADDRESS": r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5,}\b|\b[0-9a-f]{2}(?:-[0-9a-f]{2}){5,}\b"
    r"|\b[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}\b",
    "CRYPTO": r"\b[13][1-9a-z]{25,34}\b|\bbc1[02-9ac-hj-np-z]{38,}\b",
    "ETHEREUM_ADDRESS": r"\b0x[0-9a-f]{40}\b",
    "IMEI": r"\b(?:01|35|86)\d{13}\b",
    "VIN": r"\b[a-hj-npr-z0-9]{13}\d{4}\b",
    "IT_FISCAL_CODE": r"\b[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]\b",
    "FR_NIR": r"\b[12]\d{14}\b|\b[12] \d\d \d\d \d[\dab] \d{3} \d{3} \d\d\b",
    "BE_NATIONAL_NUMBER": r"\b\d\d\.\d\d\.\d\d-\d{3}\.\d\d\b",
    "CH_AHV": r"\b756(?:\d{10}|\.\d{4}\.\d{4}\.\d\d)\b",
    "ES_NIE": r"\b[xyz]-?\d{7}-?[a-z]\b",
    "NO_FNR": r"\b\d{6} \d{5}\b",
    "SE_PERSONNUMMER": r"\b(?:19|20)?\d{6}[-+]\d{4}\b",
    "FI_PERSONAL_IDENTITY_CODE": r"\b\d{6}[-+a-fu-y]\d{3}[0-9a-y]\b",
    "DE_SOCIAL_SECURITY": r"\b\d\d ?\d{6} ?[a-z] ?\d{3}\b",
    "UK_NINO": r"\b[a-z]{2} \d\d \d\d \d\d [a-d]\b",
    "UK_DRIVING_LICENCE": r"\b[a-z9]{5}\d{6}[a-z9]{2}[2-9a-z][a-z]{2}\b",
    "US_MBI": r"\b[1-9][a-z][a-z0-9]\d-[a-z][a-z0-9]\d-[a-z]{2}\d\d\b",
    "BR_CPF": r"\b\d{3}\.\d{3}\.\d{3}-\d\d\b",
    "BR_CNPJ": r"\b\d\d\.\d{3}\.\d{3}/\d{4}-\d\d\b",
    "MX_CURP": r"\b[a-z]{4}\d{6}[a-z]{6}[a-z0-9]\d\b",
    "CL_RUT": r"\b\d{1,2}\.\d{3}\.\d{3}-[\dk]\b",
    "AR_CUIT": r"\b[23]\d-\d{8}-\d\b",
    "IN_GSTIN": r"\b[0-3]\d[a-z]{5}\d{4}[a-z][1-9a-z]z[0-9a-z]\b",
    "SG_NRIC_FIN": r"\b[stfgm]\d{7}[a-z]\b",
    "HK_ID": r"\b[a-z]{1,2}\d{6}\([0-9a]\)",
    "KR_RRN": r"\b\d{6}-[1-4]\d{6}\b",
    "TH_TNIN": r"\b[1-8]-\d{4}-\d{5}-\d\d-\d\b",
    "CN_RESIDENT_ID": r"\b[1-8]\d{5}(?:19|20)\d{9}[0-9x]\b",
    "RU_SNILS": r"\b\d{3}-\d{3}-\d{3} \d\d\b",
    "AE_EMIRATES_ID": r"\b784-\d{4}-\d{7}-\d\b",
}  # fmt: skip
"""What is looked for inside a cell or a literal, without regard to case. Where a kind has a check, the pattern may be
wider than its numbers: what RE2 need not tell apart keeps its automaton small, on which the speed depends.
"""

ANYTHING: Final = "|".join(f"(?:{pattern})" for pattern in INSIDE.values())
"""Any of it."""


def _hardware(text: str) -> bool:
    """Six pairs and no more, as fingerprints have, with a letter among them, as times and days have not."""
    return len(text) in (14, 17) and any(char.isalpha() for char in text)


def _vehicle(text: str) -> bool:
    """With letters: of bare numbers every eleventh passes."""
    return sum(map(str.isalpha, text)) >= 3 and _number("VIN")(text)


def _number(entity: str) -> checks.Check:
    """Whether a text is a number of a kind: of its shape to the letter, and with true check digits if it has any."""
    kind = KINDS[entity]
    shape = re.compile(kind.pattern, re.ASCII | re.IGNORECASE)  # to RE2, K is one with the sign of Kelvin
    return lambda text: bool(shape.fullmatch(text)) and (kind.check is None or kind.check(checks.compact(text)))


CHECKS: Final[Mapping[str, checks.Check]] = {
    "MAC_ADDRESS": _hardware,
    "CRYPTO": checks.wallet,
    "VIN": _vehicle,
    "IBAN_CODE": lambda text: checks.iban_in_front(checks.compact(text)),
    "CREDIT_CARD": lambda text: checks.luhn(checks.compact(text)),
    **{
        entity: _number(entity)
        for entity in (
            "US_ITIN", "IMEI", "IT_FISCAL_CODE", "FR_NIR", "BE_NATIONAL_NUMBER", "CH_AHV", "ES_NIE", "NO_FNR",
            "SE_PERSONNUMMER", "FI_PERSONAL_IDENTITY_CODE", "DE_SOCIAL_SECURITY", "UK_NINO", "UK_DRIVING_LICENCE",
            "US_MBI", "BR_CPF", "BR_CNPJ", "MX_CURP", "CL_RUT", "AR_CUIT", "IN_GSTIN", "SG_NRIC_FIN", "HK_ID",
            "KR_RRN", "TH_TNIN", "CN_RESIDENT_ID", "RU_SNILS", "AE_EMIRATES_ID",
        )
    },
}  # fmt: skip
"""Whether what a pattern has found, as it stands in the text, is what it looks like."""
