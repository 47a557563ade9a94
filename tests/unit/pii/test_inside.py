"""What is told inside a text: each way that looks there knows the same kinds, and little else passes for one."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from random import Random

import pyarrow as pa
import pytest

from neurolake._duckdb import Cursor
from neurolake.activity import Activity
from neurolake.governance.masks import expression
from neurolake.lake import EmbeddedLake
from neurolake.pii.freetext import whole
from neurolake.pii.inside import CHECKS, INSIDE
from neurolake.pii.literals import find, kinds_in
from neurolake.pii.results import checked_table
from neurolake.query import OWNER
from neurolake.sql.text import literal

EXAMPLES = {
    "SECRET_KEY": ("AKIAIOSFODNN7EXAMPLE", "://shop:s3cret@"), "EMAIL_ADDRESS": ("ann@example.org",),
    "IBAN_CODE": ("GB82 WEST 1234 5698 7654 32",), "CREDIT_CARD": ("4111 1111 1111 1111", "4111111111111111"),
    "US_SSN": ("536-22-8765",), "US_ITIN": ("912-71-4321",), "PHONE_NUMBER": ("+49 30 1234567",),
    "IP_ADDRESS": ("203.0.113.7", "2001:db8:0:0:1:0:0:1", "2001:db8::1", "fe80::1ff:fe23:4567:890a"),
    "MAC_ADDRESS": ("00:1b:44:11:3a:b7", "00-1B-44-11-3A-B7", "001b.4411.3ab7"),
    "CRYPTO": ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    "ETHEREUM_ADDRESS": ("0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe",), "IMEI": ("352099001761481",),
    "VIN": ("1M8GDM9AXKP042788",), "IT_FISCAL_CODE": ("RSSMRA85T10A562S",),
    "FR_NIR": ("2 55 08 14 168 025 38", "255081416802538"), "BE_NATIONAL_NUMBER": ("85.07.30-033.28",),
    "CH_AHV": ("756.9217.0769.85", "7569217076985"), "ES_NIE": ("X1234567L", "X-1234567-L"),
    "NO_FNR": ("010107 50160",), "SE_PERSONNUMMER": ("811228-9874", "19811228-9874"),
    "FI_PERSONAL_IDENTITY_CODE": ("131052-308T",), "DE_SOCIAL_SECURITY": ("65180539W001", "65 180539 W 001"),
    "UK_NINO": ("AB 12 34 56 C",), "UK_DRIVING_LICENCE": ("MORGA657054SM9IJ",), "US_MBI": ("1EG4-TE5-MK73",),
    "BR_CPF": ("390.533.447-05",), "BR_CNPJ": ("16.727.230/0001-97",), "MX_CURP": ("BOXW310820HNERXN09",),
    "CL_RUT": ("12.531.909-2", "9.007.847-K"), "AR_CUIT": ("20-05536168-2",), "IN_GSTIN": ("27AAPFU0939F1ZV",),
    "SG_NRIC_FIN": ("S1234567D",), "HK_ID": ("A123456(3)",), "KR_RRN": ("820701-2409181",),
    "TH_TNIN": ("1-1120-34563-56-2",), "CN_RESIDENT_ID": ("11010519491231002X",), "RU_SNILS": ("112-233-445 95",),
    "AE_EMIRATES_ID": ("784-1984-1234567-4",),
}  # fmt: skip
"""Numbers that issuers print as examples, or that are publicly known, as they are written."""
PAIRS = [(entity, text) for entity, texts in EXAMPLES.items() for text in texts]
AROUND = ("we met {} at the door", "({}) is it", "see:{}, the rest")
FORMS = frozenset(("CREDIT_CARD", "US_SSN", "US_ITIN", "PHONE_NUMBER", "IP_ADDRESS", "EMAIL_ADDRESS", "SECRET_KEY",
                   "ETHEREUM_ADDRESS", "MAC_ADDRESS", "UK_NINO", "CL_RUT", "HK_ID", "TH_TNIN",
                   "AE_EMIRATES_ID", "UK_DRIVING_LICENCE", "US_MBI"))  # fmt: skip
"""Kinds that are told by a form which little else has, more than by check digits."""
CHANCE_MAX = 0.025


@pytest.fixture(scope="module")
def cursor() -> Iterator[Cursor]:
    import neurolake

    with neurolake.connect(":memory:") as lake:
        assert isinstance(lake, EmbeddedLake)
        with lake.session.at_home() as cursor:
            yield cursor


def test_every_kind_has_examples() -> None:
    assert EXAMPLES.keys() == INSIDE.keys()


@pytest.mark.parametrize(("entity", "text"), PAIRS)
def test_literals_and_results_tell_it(entity: str, text: str) -> None:
    for around in AROUND:
        said = around.format(text)
        (found,) = find(f"SELECT 1 FROM t WHERE c = {literal(said)}")
        assert entity in found.kinds
        for action in ("warn", "redact"):
            activity = Activity("q", OWNER, "test", "")
            table = checked_table(pa.table({"c": [said, None]}), [0], dict.fromkeys(INSIDE, action), activity)
            assert entity in activity.personal["c"] or action == "redact"
            shown = table["c"].to_pylist()[0]
            assert (text in shown) == (action == "warn")


@pytest.mark.parametrize(("entity", "text"), PAIRS)
def test_a_full_pass_tells_it(entity: str, text: str, cursor: Cursor) -> None:
    for said in (AROUND[0].format(text), text.upper(), text.lower()):
        if entity != "CRYPTO" or text in said:
            ((_, _, evidence, _),) = whole(cursor, [f"(SELECT {literal(said)} AS c)"], ["c"])
            assert entity in evidence


@pytest.mark.parametrize(("entity", "text"), PAIRS)
def test_redaction_leaves_nothing_of_it(entity: str, text: str, cursor: Cursor) -> None:
    said = AROUND[0].format(text)
    plain = expression("redact", {}, "c", "VARCHAR")
    ((shown,),) = cursor.rows(f"SELECT {plain} FROM (SELECT {literal(said)} AS c)")
    assert set(shown.removeprefix("we met ").removesuffix(" at the door")) <= set("* :/@-.()")
    document = json.dumps({"said": said, "card": 4111111111111111, "nir": 255081416802538, "n": 2.5})
    masked = expression("redact", {}, "c", "JSON")
    ((shown,),) = cursor.rows(f"SELECT CAST({masked} AS VARCHAR) FROM (SELECT {literal(document)}::JSON AS c)")
    after = json.loads(shown)
    assert (after["card"], after["nir"], after["n"]) == (0, 0, 0)
    assert set(after["said"].removeprefix("we met ").removesuffix(" at the door")) <= set("* :/@-.()0")


@pytest.mark.parametrize("entity", sorted(CHECKS.keys() - FORMS))
def test_of_forty_codes_of_its_form_one_at_most_passes(entity: str) -> None:
    source = Random(entity)
    for text in EXAMPLES[entity]:
        drawn = ["".join(_drawn(char, source) for char in text) for _ in range(1500)]
        assert sum(entity in kinds_in(one) for one in drawn) <= CHANCE_MAX * len(drawn)


def _drawn(char: str, source: Random) -> str:
    """Another digit for a digit, another letter for a letter."""
    for letters in (string.digits, string.ascii_uppercase, string.ascii_lowercase):
        if char in letters:
            return source.choice(letters)
    return char


def test_what_only_looks_like_it_is_none() -> None:
    texts = [
        "SHA1 da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:09", "at 10:11:12:13:14:15", "20-11-24-10-20-30",
        "std::vector<feed::add>", "c0ffee00-1234-4abc-8def-001122334455", "build 20241124-1030 of 241124-1030",
        "0x" + "ab" * 32, "3" + "a1b2c3" * 5, "12345678901234567", "1732412345678", "https://example.org:8080/a@b",
        "390.533.447-06", "sk-learn-contrib", "hf_hub_download", "eyJust", "T-1234567", "12.345.678-9 and 1.234.567",
    ]  # fmt: skip
    assert {text: kinds_in(text) for text in texts if kinds_in(text)} == {}


def test_letters_that_only_re2_takes_for_ascii_are_none(cursor: Cursor) -> None:
    """To RE2 the sign of Kelvin is a K and the long s is an S: a check must not stumble over them."""
    for text in (
        "9.007.848-\N{KELVIN SIGN}",
        "\N{LATIN SMALL LETTER LONG S}1234567D",
        "11010519491231002\N{KELVIN SIGN}",
    ):
        assert whole(cursor, [f"(SELECT {literal(text)} AS c)"], ["c"]) == []
        assert kinds_in(text) == ()
