"""Real data that installed libraries carry, as columns with labels: `python -m benchmarks.pii.real` measures on them.

Telephone numbers, place and carrier names are of Google's libphonenumber (phonenumbers), certificates of Mozilla's list
(certifi), time zones of IANA, domains of the Public Suffix List (tldextract), sentences of spaCy's languages, names of
services of botocore, and the rest is what pip knows of installed packages. Nothing is fetched, and nothing of it stands
in this repository; what is installed differs between machines, and so may the figures.
"""

from __future__ import annotations

import importlib
import json
import mimetypes
import pkgutil
import re
import unicodedata
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator
from email.utils import getaddresses
from http import HTTPStatus
from importlib.metadata import distributions
from pathlib import Path
from random import Random

from benchmarks.pii import corpus
from benchmarks.pii.corpus import Column
from benchmarks.pii.evaluate import predictions, score

__all__ = ["columns", "libphonenumber"]

CELLS_MIN, CELLS_MAX = 20, 200


def _column(name: str, entity: str | None, family: str, cells: Iterable[str]) -> Iterator[Column]:
    """A column of distinct cells in no order, unless there are too few."""
    values = sorted(set(filter(None, cells)))
    Random(family).shuffle(values)
    if len(values) >= CELLS_MIN:
        empty = (None,) * (CELLS_MAX - len(values))  # columns of one table are of one length
        yield Column(name, entity, family, (*values[:CELLS_MAX], *empty))


def libphonenumber() -> Iterator[Column]:
    """Telephone numbers of 245 regions, in each form and of each sort; names of places and carriers."""
    import phonenumbers
    from phonenumbers.carrierdata import CARRIER_DATA
    from phonenumbers.geodata import GEOCODE_DATA

    forms = phonenumbers.PhoneNumberFormat
    for form in ("INTERNATIONAL", "NATIONAL", "E164", "RFC3966"):
        for sort in ("FIXED_LINE", "MOBILE", "TOLL_FREE", "PREMIUM_RATE", "VOIP", "SHARED_COST"):
            kind = getattr(phonenumbers.PhoneNumberType, sort)
            numbers = (phonenumbers.example_number_for_type(one, kind) for one in phonenumbers.SUPPORTED_REGIONS)
            cells = (phonenumbers.format_number(number, getattr(forms, form)) for number in numbers if number)
            yield from _column("phone", "PHONE_NUMBER", f"{form} {sort}", cells)
    for name, data in (("place", GEOCODE_DATA), ("carrier", CARRIER_DATA)):
        grouped: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for prefix, names in data.items():
            for language, text in names.items():
                grouped[language, prefix[:2]].add(text)
        for (language, prefix), texts in sorted(grouped.items()):
            yield from _column(name, None, f"{name} {language} {prefix}", texts)


def _certificates() -> Iterator[Column]:
    import certifi

    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in Path(certifi.where()).read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"# (Issuer|Label|Serial|MD5 Fingerprint|SHA256 Fingerprint): (.*)", line):
            found[match[1]].append(match[2].strip('"'))
    for name, cells in found.items():
        yield from _column(name.lower().replace(" ", "_"), None, f"certificate {name}", cells)


def _packages() -> Iterator[Column]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one in distributions():
        about = one.metadata
        found["package"].append(about["Name"])
        found["version"].append(one.version)
        found["summary"].append(about["Summary"] or "")
        found["licence"].append((about["License-Expression"] or about["License"] or "")[:60])
        found["classifier"] += about.get_all("Classifier") or []
        found["requirement"] += one.requires or []
        found["url"] += [text.partition(", ")[2] for text in about.get_all("Project-URL") or []]
        given = [about[key] for key in ("Author-email", "Maintainer-email") if about[key]]
        found["author_email"] += [mail for _, mail in getaddresses(given) if "@" in mail]
        for file in one.files or ():
            found["file"].append(str(file))
            found["hash"].append(file.hash.value if file.hash else "")
            found["bytes"].append(str(file.size or ""))
    for name, cells in found.items():
        yield from _column(name, "EMAIL_ADDRESS" if name == "author_email" else None, f"package {name}", cells)


def _words() -> Iterator[Column]:
    import botocore
    import spacy.lang
    import tldextract

    yield from _column("time_zone", None, "time zone", zoneinfo.available_timezones())
    yield from _column("media_type", None, "media type", mimetypes.types_map.values())
    yield from _column("reason", None, "HTTP status", (status.phrase for status in HTTPStatus))
    yield from _column("label", None, "Unicode name", (unicodedata.name(chr(code), "") for code in range(0x250)))
    snapshot = Path(tldextract.__file__).with_name(".tld_set_snapshot").read_text(encoding="utf-8")
    yield from _column("suffix", None, "domain", (line for line in snapshot.splitlines() if not line.startswith("//")))
    endpoints = json.loads((Path(botocore.__file__).parent / "data" / "endpoints.json").read_text(encoding="utf-8"))
    regions = {key: about["description"] for part in endpoints["partitions"] for key, about in part["regions"].items()}
    yield from _column("region_code", None, "region code", regions)
    yield from _column("region_label", None, "region", regions.values())
    yield from _column("service", None, "service", endpoints["partitions"][0]["services"])
    sentences: list[str] = []
    for module in pkgutil.iter_modules(spacy.lang.__path__, "spacy.lang."):
        if module.ispkg and importlib.util.find_spec(f"{module.name}.examples"):
            sentences += importlib.import_module(f"{module.name}.examples").sentences
    yield from _column("text", None, "sentence", sentences)


def columns() -> list[Column]:
    """All columns."""
    return [*libphonenumber(), *_certificates(), *_packages(), *_words()]


def main() -> int:
    """Print what is found, with names of columns and without; 0."""
    given = columns()
    for label, variant in (("names", given), ("no names", corpus.hidden(given))):
        said = predictions(variant)
        found = score(variant, said)
        print(
            f"{label}: {found.true} of {found.there} columns found, precision {found.precision:.3f}, "
            f"recall {found.recall:.3f}, F1 {found.f1:.3f}; {found.false_on_negatives} of {found.negatives} negatives"
        )
        for column, entity in zip(variant, said, strict=True):
            if entity != column.entity:
                print(f"  {column.family}: {entity or 'missed'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
