"""Check digits: whether a number, without separators, is one that its issuer could have given out.

Each function takes upper-case letters and digits and never fails on them; the shape is the pattern's to check. The
rules are the issuers' published ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

__all__ = ["bitcoin", "compact", "iban", "iban_in_front", "iso_11_10", "luhn", "verhoeff", "wallet", "weighing"]

Check = Callable[[str], bool]

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_NIF_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_SEPARATORS = str.maketrans("", "", " -./\u00a0()")


def compact(text: str) -> str:
    """A number without its separators, in upper case.

    >>> compact("756.9217.0769.85 "), compact("k1234567 (9)")
    ('7569217076985', 'K12345679')
    """
    return text.translate(_SEPARATORS).upper()


def weighing(weights: Sequence[int], modulus: int, *, rest: int = 0) -> Check:
    """A check that the sum of digits times weights leaves a certain rest.

    >>> weighing((9, 8, 7, 6, 5, 4, 3, 2, -1), 11)("111222333")
    True
    """

    def check(text: str) -> bool:
        if len(text) != len(weights) or not text.isdecimal():
            return False
        return sum(int(d) * w for d, w in zip(text, weights, strict=True)) % modulus == rest

    return check


def luhn(text: str) -> bool:
    """Luhn's test (ISO/IEC 7812-1), of cards and many other numbers.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    if not text.isdecimal():
        return False
    total = 0
    for place, char in enumerate(reversed(text)):
        number = int(char) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def iso_11_10(text: str) -> bool:
    """ISO 7064 MOD 11,10: German and Croatian tax numbers.

    >>> iso_11_10("86095742719")
    True
    """
    if not text.isdecimal():
        return False
    product = 10
    for char in text[:-1]:
        product = ((int(char) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(text[-1])


_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _dihedral(a: int, b: int) -> int:
    """The product in the symmetries of a pentagon: 0-4 turn it, 5-9 turn and flip."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def verhoeff(text: str) -> bool:
    """Verhoeff's test, of Aadhaar.

    >>> verhoeff("2363"), verhoeff("2364")
    (True, False)
    """
    state = 0
    for place, char in enumerate(reversed(text)):
        if not char.isdecimal():
            return False
        number = int(char)
        for _ in range(place % 8):
            number = _TURN[number]
        state = _dihedral(state, number)
    return state == 0


def iban(text: str) -> bool:
    """ISO 13616: the whole, letters spelt as numbers and the front moved to the back, leaves 1 of 97.

    >>> iban("DE89370400440532013000")
    True
    """
    turned = text[4:] + text[:4]
    return turned.isalnum() and turned.isascii() and int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (
        pair.split(":")
        for pair in (
            "15:NO 16:BE 18:DK,FI,FO,GL,NL,SD,FK 19:MK,SI 20:AT,BA,EE,KZ,LT,LU,XK,MN 21:CH,HR,LI,LV "
            "22:BG,BH,CR,DE,GB,GE,IE,ME,RS,VA 23:AE,GI,IL,IQ,OM,TL,SO "
            "24:AD,CZ,ES,MD,PK,RO,SA,SE,SK,TN,VG 25:AO,CV,GW,LY,MZ,PT,ST 26:DZ,IR,IS,TR "
            "27:BI,CF,CG,CM,DJ,FR,GA,GQ,GR,IT,KM,MC,MG,MR,SM,TD "
            "28:AL,AZ,BF,BJ,BY,CI,CY,DO,GT,HN,HU,LB,MA,ML,NE,NI,PL,SN,SV,TG "
            "29:BR,EG,PS,QA,UA 30:JO,KW,MU,YE 31:MT,SC 32:LC 33:RU"
        ).split()
    )
    for country in countries.split(",")
}
"""How long an account number is in each country of the IBAN registry, and in some that use its form."""


def iban_in_front(text: str) -> bool:
    """Whether a text begins with an IBAN as long as its country's are. In running text a word may follow it.

    >>> iban_in_front("DE89370400440532013000PAID"), iban_in_front("AB12345678901234"), iban_in_front("DE")
    (True, False, False)
    """
    length = IBAN_LENGTHS.get(text[:2])
    return length is not None and len(text) >= length and iban(text[:length])


def bitcoin(text: str) -> bool:
    """Base58Check of Bitcoin addresses; those in Bech32 pass by their shape. Case matters, so it takes the raw text.

    >>> bitcoin("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2")
    True
    """
    if text.startswith("bc1"):
        return True
    number = 0
    for char in text:
        if char not in _BASE58:
            return False
        number = number * 58 + _BASE58.index(char)
    raw = number.to_bytes(25, "big") if number < 1 << 200 else b""
    return raw[-4:] == hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] if raw else False


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_STEPS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_RESTS = (1, 0x2BC830A3)


def wallet(text: str) -> bool:
    """Bitcoin addresses in running text: Base58Check, or the sum of Bech32 and Bech32m (BIP 173 and 350).

    >>> wallet("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), wallet("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    (True, True)
    >>> wallet("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5")
    False
    """
    if not text.lower().startswith("bc1"):
        return bitcoin(text)
    sum_ = 1
    for value in (3, 3, 0, 2, 3, *map(_BECH32.find, text.lower()[3:])):
        top, sum_ = sum_ >> 25, (sum_ & 0x1FFFFFF) << 5 ^ value
        for place, step in enumerate(_BECH32_STEPS):
            sum_ ^= step if top >> place & 1 else 0
    return sum_ in _BECH32_RESTS


def nif(text: str) -> bool:
    """Spain's DNI: the letter follows from the number."""
    return text[:-1].isdecimal() and _NIF_LETTERS[int(text[:-1]) % 23] == text[-1]


def nie(text: str) -> bool:
    """Spain's NIE: as the DNI, with X, Y, Z for 0, 1, 2."""
    return text[:1] in "XYZ" and nif(str("XYZ".index(text[0])) + text[1:])


def nir(text: str) -> bool:
    """France's NIR: a key of two digits; 2A and 2B are Corsica."""
    body = text[:-2].replace("2A", "19").replace("2B", "18")
    return body.isdecimal() and text[-2:].isdecimal() and 97 - int(body) % 97 == int(text[-2:])


def belgian(text: str) -> bool:
    """Belgium's national number; those born since 2000 count with a 2 before it."""
    return any(97 - int(start + text[:9]) % 97 == int(text[9:]) for start in ("", "2"))


def tax_id_german(text: str) -> bool:
    """Germany's tax number: ISO 7064, and one digit comes two or three times among the first ten."""
    repeats = sorted(text[:10].count(d) for d in set(text[:10]))
    return repeats[-1] in (2, 3) and repeats.count(repeats[-1]) == 1 and iso_11_10(text)


def _digit_sums(text: str, weights: Sequence[int]) -> int:
    return sum(sum(map(int, str(int(d) * w))) for d, w in zip(text, weights, strict=False))


def pension_german(text: str) -> bool:
    """Germany's pension number: 8 digits, a letter, 3 digits."""
    spelt = f"{text[:8]}{ord(text[8]) - 64:02}{text[9:11]}"
    return _digit_sums(spelt, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)) % 10 == int(text[11])


def health_german(text: str) -> bool:
    """Germany's health insurance number: a letter and 9 digits."""
    return _digit_sums(f"{ord(text[0]) - 64:02}{text[1:9]}", (1, 2) * 5) % 10 == int(text[9])


def document(text: str) -> bool:
    """A travel document's number with its check digit (ICAO 9303: weights 7, 3, 1)."""
    total = sum(int(c, 36) * (7, 3, 1)[place % 3] for place, c in enumerate(text[:-1]))
    return text[-1].isdecimal() and total % 10 == int(text[-1])


def austrian(text: str) -> bool:
    """Austria's social insurance number: the fourth digit checks the others."""
    rest = sum(
        int(text[at]) * w for at, w in zip((0, 1, 2, 4, 5, 6, 7, 8, 9), (3, 7, 9, 5, 8, 4, 2, 1, 6), strict=True)
    )
    return rest % 11 == int(text[3])


_FISCAL_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def fiscal_code(text: str) -> bool:
    """Italy's codice fiscale: the last letter checks the others."""
    even = sum(int(c) if c.isdecimal() else ord(c) - 65 for c in text[1:15:2])
    return chr(65 + (even + sum(_FISCAL_ODD[c] for c in text[0:15:2])) % 26) == text[15]


def portuguese(text: str) -> bool:
    """Portugal's NIF."""
    check = 11 - sum(int(d) * w for d, w in zip(text, range(9, 1, -1), strict=False)) % 11
    return (0 if check > 9 else check) == int(text[8])


def romanian(text: str) -> bool:
    """Romania's CNP."""
    rest = sum(int(d) * w for d, w in zip(text, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), strict=False)) % 11
    return (1 if rest == 10 else rest) == int(text[12])


def personnummer(text: str) -> bool:
    """Sweden's personnummer, with or without the century."""
    return luhn(text[-10:])


def norwegian(text: str) -> bool:
    """Norway's fødselsnummer: two check digits."""
    first, second = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
    return weighing(first, 11)(text[:10]) and weighing(second, 11)(text)


def finnish(text: str) -> bool:
    """Finland's henkilötunnus; the sign of the century is gone from a compact one unless it is a letter."""
    digits = "".join(c for c in text[:-1] if c.isdecimal())
    return len(digits) == 9 and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == text[-1]


def baltic(text: str) -> bool:
    """Estonia's and Lithuania's personal code: two rounds of weights."""
    for weights in ((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)):
        rest = sum(int(d) * w for d, w in zip(text, weights, strict=False)) % 11
        if rest < 10:
            return rest == int(text[10])
    return text[10] == "0"


def bulgarian(text: str) -> bool:
    """Bulgaria's EGN."""
    rest = sum(int(d) * w for d, w in zip(text, (2, 4, 8, 5, 10, 9, 7, 3, 6), strict=False)) % 11 % 10
    return rest == int(text[9])


def irish(text: str) -> bool:
    """Ireland's PPS number: a second letter counts nine times."""
    total = sum(int(d) * w for d, w in zip(text[:7], range(8, 1, -1), strict=True))
    if len(text) == 9 and text[8] != "W":
        total += 9 * (ord(text[8]) - 64)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == text[7]


def turkish(text: str) -> bool:
    """Türkiye's identity number."""
    numbers = list(map(int, text))
    tenth = (sum(numbers[0:9:2]) * 7 - sum(numbers[1:8:2])) % 10
    return tenth == numbers[9] and sum(numbers[:10]) % 10 == numbers[10]


def snils(text: str) -> bool:
    """Russia's SNILS."""
    total = sum(int(d) * w for d, w in zip(text, range(9, 0, -1), strict=False))
    return total % 101 % 100 == int(text[9:])


def dea(text: str) -> bool:
    """The number that the United States' DEA gives to prescribers."""
    digits = list(map(int, text[2:]))
    return (sum(digits[0:6:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


def npi(text: str) -> bool:
    """The United States' NPI: Luhn's test with 80840 before it."""
    return luhn("80840" + text)


def abn(text: str) -> bool:
    """Australia's business number."""
    return weighing((10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19), 89, rest=10)(text)


def medicare(text: str) -> bool:
    """Australia's Medicare number: the ninth digit checks the first eight."""
    return sum(int(d) * w for d, w in zip(text, (1, 3, 7, 9) * 2, strict=False)) % 10 == int(text[8])


def gstin(text: str) -> bool:
    """India's GSTIN: base 36."""
    total = 0
    for place, char in enumerate(text[:-1]):
        number = int(char, 36) * (1 + place % 2)
        total += number // 36 + number % 36
    return -total % 36 == int(text[-1], 36)


def nric(text: str) -> bool:
    """Singapore's NRIC and FIN."""
    total = sum(int(d) * w for d, w in zip(text[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(text[0], 0)
    table = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}.get(text[0], "XWUTRQPNMLK")
    return table[(10 - total % 11) if text[0] == "M" else total % 11] == text[8]


def eleven_minus(weights: Sequence[int]) -> Check:
    """A last digit of (11 - sum mod 11) mod 10: Korea and Thailand."""

    def check(text: str) -> bool:
        total = sum(int(d) * w for d, w in zip(text, weights, strict=False))
        return (11 - total % 11) % 10 == int(text[-1])

    return check


def chinese(text: str) -> bool:
    """China's resident number: 17 digits and a digit or X."""
    total = sum(int(d) * w for d, w in zip(text, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), strict=False))
    return "10X98765432"[total % 11] == text[17]


def my_number(text: str) -> bool:
    """Japan's My Number."""
    rest = sum(int(d) * w for d, w in zip(text, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=False)) % 11
    return (0 if rest <= 1 else 11 - rest) == int(text[11])


def hong_kong(text: str) -> bool:
    """Hong Kong's identity card with one letter in front, or two."""
    padded = [36, *(int(c, 36) for c in text)] if len(text) == 8 else [int(c, 36) for c in text]
    return sum(v * w for v, w in zip(padded, range(9, 0, -1), strict=True)) % 11 == 0


def taiwanese(text: str) -> bool:
    """Taiwan's identity number."""
    code = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0]) + 10
    total = code // 10 + code % 10 * 9 + sum(int(d) * w for d, w in zip(text[1:9], range(8, 0, -1), strict=True))
    return (total + int(text[9])) % 10 == 0


def cpf(text: str) -> bool:
    """Brazil's CPF: two check digits; eleven equal digits pass the sums and are not given out."""
    if len(set(text)) == 1:
        return False
    return all(
        sum(int(d) * w for d, w in zip(text, range(end + 1, 1, -1), strict=False)) * 10 % 11 % 10 == int(text[end])
        for end in (9, 10)
    )


def cnpj(text: str) -> bool:
    """Brazil's CNPJ: two check digits."""
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    for end in (12, 13):
        rest = sum(int(d) * w for d, w in zip(text[:end], weights[13 - end :], strict=True)) % 11
        if (0 if rest < 2 else 11 - rest) != int(text[end]):
            return False
    return True


def curp(text: str) -> bool:
    """Mexico's CURP."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(alphabet.index(c) * (18 - place) for place, c in enumerate(text[:17]))
    return str(-total % 10) == text[17]


def rut(text: str) -> bool:
    """Chile's RUT: a digit or K."""
    total = sum(int(d) * (2 + place % 6) for place, d in enumerate(reversed(text[:-1])))
    check = 11 - total % 11
    return text[-1] == ("0" if check == 11 else "K" if check == 10 else str(check))


def cuit(text: str) -> bool:
    """Argentina's CUIT and CUIL."""
    check = 11 - sum(int(d) * w for d, w in zip(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=False)) % 11
    return (0 if check == 11 else check) == int(text[10])


def vin(text: str) -> bool:
    """A vehicle's number with the check digit of North America."""
    value = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9),
                     strict=True))  # fmt: skip
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum((int(c) if c.isdecimal() else value[c]) * w for c, w in zip(text, weights, strict=True))
    return "0123456789X"[total % 11] == text[8]
