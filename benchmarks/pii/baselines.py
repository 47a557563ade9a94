"""Other ways to classify a column, measured on the same cells: plain Presidio, presidio-structured, names alone."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from benchmarks.pii.corpus import Column

__all__ = ["baselines"]

CELLS = 20
"""Cells of a column that Presidio reads here: it takes a millisecond or more for each."""
SHARE_MIN = 0.5
"""The share of cells that must hold an entity for the column to count as one."""

WORDS = {
    "EMAIL_ADDRESS": "email|mail",
    "PHONE_NUMBER": "phone|mobile|tel",
    "PERSON": "name",
    "STREET_ADDRESS": "address|street",
    "DATE_OF_BIRTH": "birth|dob",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "mac",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card|cc",
    "PASSWORD": "password|passwd|pwd",
    "SECRET_KEY": "secret|token|apikey|key",
    "CVV": "cvv|cvc",
    "US_SSN": "ssn|social",
    "US_PASSPORT": "passport",
    "US_DRIVER_LICENSE": "license|licence",
    "US_BANK_NUMBER": "account",
    "UK_NHS": "nhs",
    "UK_POSTCODE": "postcode|zip",
    "IN_AADHAAR": "aadhaar",
    "BR_CPF": "cpf",
    "IMEI": "imei",
    "VIN": "vin",
}
"""The dictionary of the detector that only reads names: what is most often found in such tools."""


@cache
def _engine(everything: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NlpEngineProvider

        setattr(tldextract.tldextract, "TLD_EXTRACTOR", tldextract.TLDExtract(cache_dir=None, suffix_list_urls=()))  # noqa: B010
        setattr(tldextract, "extract", tldextract.tldextract.TLD_EXTRACTOR)  # noqa: B010
        model = {"nlp_engine_name": "no_op", "models": [{"lang_code": "en", "model_name": "no_op"}]}
        nlp = NlpEngineProvider(nlp_configuration=model).create_engine()
        registry = RecognizerRegistry()
        registry.load_predefined_recognizers(languages=["en"])
        registry.remove_recognizer("SpacyRecognizer")  # it would need a model
        if everything:
            from neurolake.pii import presidio

            known = {type(one) for one in registry.recognizers}
            for those in presidio._recognisers().values():
                for one in those:
                    if type(one) not in known:
                        one.supported_language = "en"
                        registry.add_recognizer(one)
                        known.add(type(one))
        return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])


def _presidio(everything: bool) -> Callable[[Column], str | None]:
    def classify(column: Column) -> str | None:
        cells = [value for value in dict.fromkeys(column.values) if value][:CELLS]
        if not cells or column.type in ("DOUBLE", "TIMESTAMP"):
            return None
        found: Counter[str] = Counter()
        for cell in cells:
            hits = _engine(everything).analyze(cell, language="en")
            if hits:
                found[max(hits, key=lambda hit: hit.score).entity_type] += 1
        entity, count = found.most_common(1)[0] if found else ("", 0)
        if count < SHARE_MIN * len(cells) or entity in ("URL", "UUID", "DATE_TIME", "DE_PLZ"):
            return None
        return entity

    return classify


def _by_name(column: Column) -> str | None:
    words = set(re.split(r"[^a-z0-9]+", column.name.lower()))
    return next((entity for entity, those in WORDS.items() if words & set(those.split("|"))), None)


def _structured() -> Callable[[Sequence[Column]], list[str | None]] | None:
    """presidio-structured, where it is installed, with the same engine: it has no rule about covering a cell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pandas as pd
            from presidio_structured import PandasAnalysisBuilder
    except ImportError:
        return None

    def classify(columns: Sequence[Column]) -> list[str | None]:
        frame = pd.DataFrame({str(n): [v or "" for v in c.values[:CELLS]] for n, c in enumerate(columns)})
        analysis = PandasAnalysisBuilder(analyzer=_engine(False)).generate_analysis(frame)
        found = analysis.entity_mapping
        return [
            None if found.get(str(n)) in (None, "URL", "UUID", "DATE_TIME") else found[str(n)]
            for n in range(len(columns))
        ]

    return classify


def _each(classify: Callable[[Column], str | None]) -> Callable[[Sequence[Column]], list[str | None]]:
    return lambda columns: [classify(column) for column in columns]


def baselines() -> dict[str, Callable[[Sequence[Column]], list[str | None]]]:
    """Every baseline by what the table calls it."""
    found = {
        "Presidio as it comes": _each(_presidio(everything=False)),
        "Presidio, all recognisers": _each(_presidio(everything=True)),
        "names of columns alone": _each(_by_name),
    }
    if (structured := _structured()) is not None:
        found["presidio-structured"] = structured
    return found
