"""What a column's name says: phrases that speak for a kind, and words that speak against any."""

from __future__ import annotations

import re
from functools import lru_cache

from neurolake.pii.kinds import Kind, titles
from neurolake.pii.scripts import bare

__all__ = ["Title", "read"]

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FOLD = str.maketrans("ßłøæœđı", "slooodi")
LONG = 7
"""A phrase so long is found inside a word too: `customeremailaddress`."""

AGAINST = frozenset(
    """order orders sku article artikel item product produit prodotto producto produto invoice rechnung facture factura
    fattura fatura factuur batch charge lot serial version build release firmware hash checksum digest md5 sha sha1
    sha256 etag uuid guid ulid ean gtin upc barcode isbn issn isin lei swift bic tracking track parcel shipment voucher
    coupon commit epoch timestamp ts created updated modified price amount total quantity qty count stock status state
    category rubric colour color size weight height width length duration currency language locale version latitude
    longitude lat lng lon coordinates geo city town stadt ville ciudad cidade citta country land pays pais region
    company firma vendor supplier hersteller societe empresa bedrijf brand model make department team job position
    role file filename path url link uri agent browser message log comment notes description title subject payload
    json port flag active enabled percent rate discount score rating ticket asset airport flight container event
    order_id request transaction session trace span commande pedido bestellung bestelling ordine zamowienie
    warehouse store shop branch plant machine sensor device_type test sample gene sequence""".split()
)
"""Words for things that are not people."""


class Title:
    """A column's name, read as words. Nested fields bring the names above them."""

    def __init__(self, text: str) -> None:
        self.words = tuple(re.findall(r"[^\W\d_]+|\d+", bare(_CAMEL.sub(" ", text)).translate(_FOLD)))
        self._spaced = f" {' '.join(self.words)} "
        self._joined = "".join(self.words)

    def speaks_for(self, phrases: str) -> int:
        """How long the longest phrase is that the name contains; one more if it is all of the name; 0: none.

        >>> Title("customer.emailAddress").speaks_for("email|email address"), Title("gmail_count").speaks_for("mail")
        (13, 0)
        """
        best = 0
        for phrase, joined in _phrases(phrases):
            if joined == self._joined:
                best = max(best, len(phrase) + 1)
            elif f" {phrase} " in self._spaced or (_stands_inside(joined) and joined in self._joined):
                best = max(best, len(phrase))
        return best

    def speaks_against(self) -> bool:
        """Whether the name is that of a thing, not of a person's data."""
        return any(word in AGAINST for word in self.words) or (
            not self._joined.isascii() and self.speaks_for(titles.AGAINST) > 0
        )

    def supports(self, kind: Kind) -> int:
        """How much the name speaks for a kind; see `speaks_for`."""
        return self.speaks_for(kind.names)


def _stands_inside(phrase: str) -> bool:
    """Whether a phrase is found inside a word: a long one, and any of a script that writes without spaces."""
    return len(phrase) >= LONG or (len(phrase) >= 2 and "\u2e80" <= phrase[0] <= "\ud7ff")


@lru_cache(maxsize=1024)
def _phrases(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((phrase.strip(), phrase.replace(" ", "")) for phrase in bare(text).split("|"))


@lru_cache(maxsize=4096)
def read(text: str) -> Title:
    """A column's name, read once."""
    return Title(text)
