"""Check digits, on numbers that issuers print as examples or that are publicly known."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from neurolake.pii import checks
from neurolake.pii.kinds import KINDS, Tier

EXAMPLES = {
    "CREDIT_CARD": "4111 1111 1111 1111", "IBAN_CODE": "GB82 WEST 1234 5698 7654 32", "IMEI": "35-209900-176148-1",
    "VIN": "1M8GDM9AXKP042788", "CRYPTO": "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "UK_NHS": "943 476 5919",
    "IE_PPS": "1234567T", "DE_TAX_ID": "86 095 742 719", "DE_ID_CARD": "T220001293",
    "DE_SOCIAL_SECURITY": "65180539W001", "AT_SVNR": "1237 010180", "CH_AHV": "756.9217.0769.85",
    "ES_NIF": "12345678Z", "ES_NIE": "X1234567L", "IT_FISCAL_CODE": "RSSMRA85T10A562S", "FR_NIR": "255081416802538",
    "NL_BSN": "111222333", "BE_NATIONAL_NUMBER": "85.07.30-033.28", "PT_NIF": "123456789", "PL_PESEL": "44051401359",
    "CZ_BIRTH_NUMBER": "710319/2745", "RO_CNP": "1800101221144", "SE_PERSONNUMMER": "811228-9874",
    "NO_FNR": "01010750160", "FI_PERSONAL_IDENTITY_CODE": "131052-308T", "EE_ISIKUKOOD": "37605030299",
    "BG_EGN": "7523169263", "HR_OIB": "33392005961", "TR_NATIONAL_ID": "17291716060", "RU_SNILS": "112-233-445 95",
    "US_NPI": "1234567893", "ABA_ROUTING_NUMBER": "011000015", "CA_SIN": "130 692 544", "AU_TFN": "123 456 782",
    "AU_ABN": "51 824 753 556", "AU_ACN": "004 085 616", "AU_MEDICARE": "2123 45670 1", "BR_CPF": "390.533.447-05",
    "BR_CNPJ": "16.727.230/0001-97", "CL_RUT": "12.531.909-2", "AR_CUIT": "20-05536168-2", "IN_AADHAAR": "234123412346",
    "IN_GSTIN": "27AAPFU0939F1ZV", "SG_NRIC_FIN": "S1234567D", "CN_RESIDENT_ID": "11010519491231002X",
    "HK_ID": "A123456(3)", "TW_ID": "A123456789", "IL_ID": "039337423", "ZA_ID_NUMBER": "8001015009087",
    "MX_CURP": "BOXW310820HNERXN09", "TH_TNIN": "1112034563562", "JP_MY_NUMBER": "123456789018",
    "MEDICAL_LICENSE": "F91234563",
}  # fmt: skip


@pytest.mark.parametrize("entity", EXAMPLES)
def test_known_numbers_pass_and_changed_ones_do_not(entity: str) -> None:
    kind, text = KINDS[entity], EXAMPLES[entity]
    assert kind.check is not None
    assert re.fullmatch(kind.pattern, text, re.IGNORECASE), "the shape"
    number = text if kind.raw else checks.compact(text)
    assert kind.check(number)
    caught = [
        place for place, char in enumerate(number) if char.isdecimal() and others_pass(kind.check, number, place) <= 1
    ]
    assert len(caught) >= 3


def others_pass(check: Callable[[str], bool], number: str, place: int) -> int:
    """How many other digits pass at one place."""
    changed = [number[:place] + digit + number[place + 1 :] for digit in "0123456789" if digit != number[place]]
    return sum(map(check, changed))


def test_every_checked_kind_has_a_check() -> None:
    assert [kind.entity for kind in KINDS.values() if (kind.tier is Tier.CHECKED) != (kind.check is not None)] == []


def test_there_are_enough_kinds_and_countries() -> None:
    assert len(KINDS) >= 60
    assert len({kind.country for kind in KINDS.values() if kind.country}) >= 20
