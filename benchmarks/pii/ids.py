"""Numbers that states, banks and makers give out, made at random with true check digits, without separators.

The arithmetic is public fact (ISO 7064, ISO 13616, the issuers' own descriptions), written down here on its own so
that a mistake of the detector is not repeated by its examiner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from random import Random

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"


def digits(r: Random, count: int, first: str = DIGITS) -> str:
    """So many digits, the first one of `first`."""
    return r.choice(first) + "".join(r.choices(DIGITS, k=count - 1))


def letters(r: Random, count: int, of: str = LETTERS) -> str:
    """So many letters."""
    return "".join(r.choices(of, k=count))


def born(r: Random, first: int = 1940, last: int = 2006) -> date:
    """A day of birth."""
    start = date(first, 1, 1)
    return start + timedelta(days=r.randrange((date(last, 12, 31) - start).days))


def weighted(text: str, weights: Sequence[int]) -> int:
    """The sum of digits times weights."""
    return sum(int(d) * w for d, w in zip(text, weights, strict=True))


def luhn_digit(body: str) -> str:
    """The digit that makes a number pass Luhn's test."""
    total = 0
    for place, char in enumerate(reversed(body)):
        number = int(char) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return str(-total % 10)


def iso_11_10(body: str) -> str:
    """The check digit of ISO 7064 MOD 11,10."""
    product = 10
    for char in body:
        total = (int(char) + product) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


_D = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
      [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
      [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
      [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]  # fmt: skip
_P = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
      [8, 9, 1, 6, 0, 4, 3, 5, 2, 7], [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
      [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8]]  # fmt: skip


def verhoeff_ok(text: str) -> bool:
    """Whether a number passes Verhoeff's test."""
    state = 0
    for place, char in enumerate(reversed(text)):
        state = _D[state][_P[place % 8][int(char)]]
    return state == 0


def _until(make: Callable[[], str], good: Callable[[str], bool]) -> str:
    while not good(found := make()):
        pass
    return found


# The United States


def _us_ssn(r: Random) -> str:
    area = _until(lambda: digits(r, 3, "012345678"), lambda a: a not in ("000", "666"))
    return f"{area}{r.randrange(1, 100):02}{r.randrange(1, 10000):04}"


def _us_itin(r: Random) -> str:
    group = r.choice([*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)])
    return f"9{digits(r, 2)}{group}{digits(r, 4)}"


def _us_npi(r: Random) -> str:
    body = digits(r, 9, "12")
    return body + luhn_digit("80840" + body)


def _us_mbi(r: Random) -> str:
    alpha = "ACDEFGHJKMNPQRTUVWXY"
    text = r.choice("123456789") + r.choice(alpha) + r.choice(alpha + DIGITS) + r.choice(DIGITS) + r.choice(alpha)
    text += r.choice(alpha + DIGITS) + r.choice(DIGITS) + letters(r, 2, alpha) + digits(r, 2)
    return text


def _aba(r: Random) -> str:
    start = r.choice([*range(1, 13), *range(21, 33), *range(61, 73)])
    body = f"{start:02}{digits(r, 6)}"
    return body + str(-weighted(body, (3, 7, 1, 3, 7, 1, 3, 7)) % 10)


def _dea(r: Random) -> str:
    body = digits(r, 6)
    total = sum(map(int, body[::2])) + 2 * sum(map(int, body[1::2]))
    return r.choice("ABFGMP") + r.choice(LETTERS) + body + str(total % 10)


def _us_passport(r: Random) -> str:
    return digits(r, 9, "123456") if r.random() < 0.7 else r.choice("ACXZ") + digits(r, 8)


def _us_licence(r: Random) -> str:
    kind = r.randrange(3)
    if kind == 0:
        return r.choice(LETTERS) + digits(r, 7)
    return digits(r, 8) if kind == 1 else r.choice("DFLS") + digits(r, 12)


def _us_account(r: Random) -> str:
    return digits(r, r.choice((9, 10, 12)), "123456789")


# The United Kingdom, Ireland, Canada, Australia


def _uk_nhs(r: Random) -> str:
    def make() -> str:
        body = digits(r, 9, "4679")
        check = 11 - weighted(body, range(10, 1, -1)) % 11
        return body + ("0" if check == 11 else "x" if check == 10 else str(check))

    return _until(make, str.isdigit)


def _uk_nino(r: Random) -> str:
    first = r.choice("ABCEGHJKLMNOPRSTWXYZ") + r.choice("ABCEGHJKLMNPRSTWXYZ")
    if first in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
        first = "AB"
    return first + digits(r, 6) + r.choice("ABCD")


def _uk_postcode(r: Random) -> str:
    area = r.choice(("SW", "NE", "LS", "M", "B", "EH", "CF", "BS", "G", "L", "OX", "YO", "BT", "PL", "CB"))
    return f"{area}{r.randrange(1, 29)} {r.randrange(1, 10)}{letters(r, 2, 'ABDEFGHJLNPQRSTUWXYZ')}"


def _uk_licence(r: Random) -> str:
    day = born(r, 1950, 2003)
    month = day.month + (50 if r.random() < 0.5 else 0)
    name = letters(r, r.randrange(3, 6)).ljust(5, "9")
    year = str(day.year)
    return f"{name}{year[2]}{month:02}{day.day:02}{year[3]}{letters(r, 1)}{r.choice(LETTERS + '9')}9{letters(r, 2)}"


def _uk_passport(r: Random) -> str:
    return digits(r, 9, "0123459")


def _ie_pps(r: Random) -> str:
    body = digits(r, 7)
    return body + "WABCDEFGHIJKLMNOPQRSTUV"[weighted(body, range(8, 1, -1)) % 23]


def _ca_sin(r: Random) -> str:
    body = digits(r, 8, "1234567")
    return body + luhn_digit(body)


def _ca_postal(r: Random) -> str:
    good, first = "ABCEGHJKLMNPRSTVWXYZ", "ABCEGHJKLMNPRSTVXY"
    return f"{r.choice(first)}{digits(r, 1)}{r.choice(good)}{digits(r, 1)}{r.choice(good)}{digits(r, 1)}"


def _au_tfn(r: Random) -> str:
    return _until(lambda: digits(r, 9, "123456789"), lambda t: weighted(t, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0)


def _au_abn(r: Random) -> str:
    def good(text: str) -> bool:
        return (weighted(text, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) - 10) % 89 == 0

    return _until(lambda: digits(r, 11, "123456789"), good)


def _au_medicare(r: Random) -> str:
    body = digits(r, 8, "23456")
    return body + str(weighted(body, (1, 3, 7, 9, 1, 3, 7, 9)) % 10) + r.choice("123456789")


# Germany, Austria, Switzerland


def _de_tax(r: Random) -> str:
    def make() -> str:
        order = r.sample(DIGITS, 10)
        order[r.randrange(10)] = r.choice(order)
        return "".join(order)

    def good(body: str) -> bool:
        counts = sorted(body.count(d) for d in set(body))
        return body[0] != "0" and counts[-1] == 2 and counts.count(2) == 1

    body = _until(make, good)
    return body + iso_11_10(body)


def _de_id(r: Random) -> str:
    good = "CFGHJKLMNPRTVWXYZ" + DIGITS
    body = r.choice("LMNPRTVWXY") + "".join(r.choices(good, k=8))
    value = [int(c) if c.isdigit() else LETTERS.index(c) + 10 for c in body]
    return body + str(sum(v * w for v, w in zip(value, (7, 3, 1) * 3, strict=True)) % 10)


def _de_social(r: Random) -> str:
    day = born(r)
    body = f"{r.choice((12, 15, 21, 24, 44, 50, 53, 65, 68)):02}{day:%d%m%y}"
    letter = r.choice(LETTERS)
    serial = f"{r.randrange(100):02}"
    spelled = f"{body}{LETTERS.index(letter) + 1:02}{serial}"
    total = 0
    for char, weight in zip(spelled, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True):
        total += sum(map(int, str(int(char) * weight)))
    return f"{body}{letter}{serial}{total % 10}"


def _de_health(r: Random) -> str:
    letter, body = r.choice(LETTERS), digits(r, 8)
    total = 0
    for place, char in enumerate(f"{LETTERS.index(letter) + 1:02}{body}"):
        total += sum(map(int, str(int(char) * (1 + place % 2))))
    return f"{letter}{body}{total % 10}"


def _de_plate(r: Random) -> str:
    town = r.choice(("B", "HH", "M", "K", "F", "S", "HRO", "WAF", "KA", "DD", "L", "MKK"))
    return f"{town}-{letters(r, r.randrange(1, 3))} {r.randrange(1, 10000)}"


def _at_social(r: Random) -> str:
    def make() -> str:
        serial, day = digits(r, 3, "123456789"), born(r)
        tail = f"{day:%d%m%y}"
        check = (weighted(serial, (3, 7, 9)) + weighted(tail, (5, 8, 4, 2, 1, 6))) % 11
        return f"{serial}{check}{tail}" if check < 10 else ""

    return _until(make, bool)


def _ch_ahv(r: Random) -> str:
    body = "756" + digits(r, 9)
    return body + str(-weighted(body, (1, 3) * 6) % 10)


# The rest of Europe


def _es_nif(r: Random) -> str:
    number = r.randrange(10**6, 10**8)
    return f"{number:08}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def _es_nie(r: Random) -> str:
    first, body = r.randrange(3), digits(r, 7)
    return f"{'XYZ'[first]}{body}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(f'{first}{body}') % 23]}"


_IT_ODD = dict(zip(DIGITS + LETTERS, (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18,
    20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip


def _it_fiscal(r: Random) -> str:
    day, consonants = born(r), "BCDFGLMNPRSTVZ"
    body = letters(r, 6, consonants) + f"{day:%y}{'ABCDEHLMPRST'[day.month - 1]}"
    body += f"{day.day + (40 if r.random() < 0.5 else 0):02}{r.choice('ABCDEFGHIL')}{digits(r, 3)}"
    even = sum(int(c) if c.isdigit() else LETTERS.index(c) for c in body[1::2])
    return body + LETTERS[(even + sum(_IT_ODD[c] for c in body[::2])) % 26]


def _it_card(r: Random) -> str:
    return f"C{r.choice('ABCDEFGHIJ')}{digits(r, 5)}{letters(r, 2)}"


def _fr_nir(r: Random) -> str:
    body = f"{r.choice('12')}{r.randrange(40, 100):02}{r.randrange(1, 13):02}{r.randrange(1, 96):02}"
    body += f"{r.randrange(1, 990):03}{r.randrange(1, 999):03}"
    return f"{body}{97 - int(body) % 97:02}"


def _nl_bsn(r: Random) -> str:
    return _until(lambda: digits(r, 9, "123456789"), lambda t: weighted(t, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0)


def _be_national(r: Random) -> str:
    day = born(r)
    body = f"{day:%y%m%d}{r.randrange(1, 998):03}"
    return f"{body}{97 - int(('2' if day.year >= 2000 else '') + body) % 97:02}"


def _pt_nif(r: Random) -> str:
    body = digits(r, 8, "123")
    check = 11 - weighted(body, range(9, 1, -1)) % 11
    return body + str(0 if check > 9 else check)


def _pl_pesel(r: Random) -> str:
    day = born(r)
    body = f"{day:%y}{day.month + (20 if day.year >= 2000 else 0):02}{day:%d}{digits(r, 4)}"
    return body + str(-weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def _cz_birth(r: Random) -> str:
    def make() -> str:
        day = born(r, 1955, 2003)
        return f"{day:%y}{day.month + (50 if r.random() < 0.5 else 0):02}{day:%d}{digits(r, 4)}"

    return _until(make, lambda text: int(text) % 11 == 0)


def _ro_cnp(r: Random) -> str:
    day = born(r)
    first = (5 if day.year >= 2000 else 1) + r.randrange(2)
    body = f"{first}{day:%y%m%d}{r.randrange(1, 47):02}{r.randrange(1, 1000):03}"
    check = weighted(body, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return body + str(1 if check == 10 else check)


def _dk_cpr(r: Random) -> str:
    return f"{born(r):%d%m%y}{digits(r, 4)}"


def _se_person(r: Random) -> str:
    body = f"{born(r):%y%m%d}{digits(r, 3)}"
    return body + luhn_digit(body)


def _no_fnr(r: Random) -> str:
    def make() -> str:
        body = f"{born(r):%d%m%y}{digits(r, 3)}"
        first = -weighted(body, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
        if first == 10:
            return ""
        second = -weighted(f"{body}{first}", (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return "" if second == 10 else f"{body}{first}{second}"

    return _until(make, bool)


def _fi_hetu(r: Random) -> str:
    day = born(r)
    serial = f"{r.randrange(2, 900):03}"
    check = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(f"{day:%d%m%y}{serial}") % 31]
    return f"{day:%d%m%y}{'A' if day.year >= 2000 else '-'}{serial}{check}"


def _ee_id(r: Random) -> str:
    day = born(r)
    body = f"{(5 if day.year >= 2000 else 3) + r.randrange(2)}{day:%y%m%d}{digits(r, 3)}"
    check = weighted(body, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(body, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return f"{body}{check}"


def _bg_egn(r: Random) -> str:
    day = born(r)
    body = f"{day:%y}{day.month + (40 if day.year >= 2000 else 0):02}{day:%d}{digits(r, 3)}"
    return body + str(weighted(body, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10)


def _hr_oib(r: Random) -> str:
    body = digits(r, 10)
    return body + iso_11_10(body)


def _tr_id(r: Random) -> str:
    body = digits(r, 9, "123456789")
    numbers = list(map(int, body))
    tenth = (sum(numbers[::2]) * 7 - sum(numbers[1::2])) % 10
    return f"{body}{tenth}{(sum(numbers) + tenth) % 10}"


def _ru_snils(r: Random) -> str:
    body = digits(r, 9, "123456789")
    check = weighted(body, range(9, 0, -1)) % 101 % 100
    return f"{body}{check:02}"


# Asia, Africa, Latin America


def _in_aadhaar(r: Random) -> str:
    body = digits(r, 11, "23456789")
    return next(body + d for d in DIGITS if verhoeff_ok(body + d))


def _in_pan(r: Random) -> str:
    return letters(r, 3) + r.choice("PPPPCHF") + letters(r, 1) + digits(r, 4) + letters(r, 1)


def _in_gstin(r: Random) -> str:
    body = f"{r.randrange(1, 38):02}{_in_pan(r)}{r.choice('123456789')}Z"
    alphabet, total = DIGITS + LETTERS, 0
    for place, char in enumerate(body):
        number = alphabet.index(char) * (1 + place % 2)
        total += number // 36 + number % 36
    return body + alphabet[-total % 36]


def _in_voter(r: Random) -> str:
    return letters(r, 3) + digits(r, 7)


def _sg_nric(r: Random) -> str:
    first, body = r.choice("STFG"), digits(r, 7)
    total = weighted(body, (2, 7, 6, 5, 4, 3, 2)) + (4 if first in "TG" else 0)
    return first + body + ("JZIHGFEDCBA" if first in "ST" else "XWUTRQPNMLK")[total % 11]


def _kr_rrn(r: Random) -> str:
    day = born(r)
    body = f"{day:%y%m%d}{(3 if day.year >= 2000 else 1) + r.randrange(2)}{digits(r, 5)}"
    return body + str((11 - weighted(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10)


def _th_id(r: Random) -> str:
    body = digits(r, 12, "12345678")
    return body + str((11 - weighted(body, range(13, 1, -1)) % 11) % 10)


def _cn_id(r: Random) -> str:
    area = r.choice(("110101", "310104", "440305", "510107", "320106", "330102", "420106", "610113"))
    body = f"{area}{born(r):%Y%m%d}{digits(r, 3)}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[weighted(body, weights) % 11]


def _jp_number(r: Random) -> str:
    body = digits(r, 11)
    rest = weighted(body, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return body + str(0 if rest <= 1 else 11 - rest)


def _hk_id(r: Random) -> str:
    letter, body = r.choice(LETTERS), digits(r, 6)
    total = 36 * 9 + (LETTERS.index(letter) + 10) * 8 + weighted(body, range(7, 1, -1))
    return f"{letter}{body}({'A' if (check := -total % 11) == 10 else check})"


def _tw_id(r: Random) -> str:
    letter, body = r.choice(LETTERS), r.choice("12") + digits(r, 7)
    code = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(letter) + 10
    total = code // 10 + code % 10 * 9 + weighted(body, range(8, 0, -1))
    return f"{letter}{body}{-total % 10}"


def _il_id(r: Random) -> str:
    body = digits(r, 8)
    return body + luhn_digit(body)


def _za_id(r: Random) -> str:
    body = f"{born(r):%y%m%d}{digits(r, 4)}08"
    return body + luhn_digit(body)


def _ng_nin(r: Random) -> str:
    return digits(r, 11, "123456789")


def _ph_tin(r: Random) -> str:
    return digits(r, 9, "123479") + "000"


def _br_cpf(r: Random) -> str:
    body = digits(r, 9)
    for start in (10, 11):
        body += str(weighted(body, range(start, 1, -1)) * 10 % 11 % 10)
    return body


def _br_cnpj(r: Random) -> str:
    body = digits(r, 8) + "0001"
    for weights in ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)):
        rest = weighted(body, weights) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return body


def _mx_curp(r: Random) -> str:
    day, consonants = born(r, 1940, 1999), "BCDFGHJKLMNPQRSTVWXYZ"
    state = r.choice(("DF", "JC", "NL", "PL", "VZ", "YN", "OC", "MC", "GT"))
    body = f"{r.choice(LETTERS)}{r.choice('AEIOU')}{letters(r, 2)}{day:%y%m%d}{r.choice('HM')}{state}"
    body += letters(r, 3, consonants) + "0"
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(alphabet.index(c) * (18 - place) for place, c in enumerate(body))
    return body + str(-total % 10)


def _mx_rfc(r: Random) -> str:
    return f"{r.choice(LETTERS)}{r.choice('AEIOU')}{letters(r, 2)}{born(r):%y%m%d}{letters(r, 2)}{digits(r, 1)}"


def _cl_rut(r: Random) -> str:
    body = str(r.randrange(4_000_000, 26_000_000))
    total = sum(int(d) * (2 + place % 6) for place, d in enumerate(reversed(body)))
    check = 11 - total % 11
    return body + ("0" if check == 11 else "K" if check == 10 else str(check))


def _ar_cuit(r: Random) -> str:
    def make() -> str:
        body = r.choice(("20", "23", "24", "27")) + digits(r, 8, "1234")
        check = 11 - weighted(body, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return body + ("0" if check == 11 else "x" if check == 10 else str(check))

    return _until(make, str.isdigit)


# Anywhere


def _card(r: Random) -> str:
    start, length = r.choice((("4", 16), ("4", 16), ("51", 16), ("54", 16), ("2223", 16), ("37", 15), ("6011", 16)))
    body = start + digits(r, length - len(start) - 1)
    return body + luhn_digit(body)


_ACCOUNTS: Mapping[str, str] = {
    "DE": "n" * 18, "AT": "n" * 16, "ES": "n" * 20, "GB": "aaaa" + "n" * 14, "FR": "n" * 23, "IT": "a" + "n" * 22,
    "NL": "aaaa" + "n" * 10, "BE": "n" * 12, "PL": "n" * 24, "PT": "n" * 21, "CH": "n" * 17, "NO": "n" * 11,
}  # fmt: skip


def iban(r: Random, countries: Sequence[str]) -> str:
    """An account number of one of these countries."""
    country = r.choice(countries)
    account = "".join(r.choice(DIGITS) if kind == "n" else r.choice(LETTERS) for kind in _ACCOUNTS[country])
    spelled = "".join(str(int(c, 36)) for c in f"{account}{country}00")
    return f"{country}{98 - int(spelled) % 97:02}{account}"


def _imei(r: Random) -> str:
    body = r.choice(("35", "86", "01")) + digits(r, 12)
    return body + luhn_digit(body)


def _vin(r: Random) -> str:
    good = "ABCDEFGHJKLMNPRSTUVWXYZ"
    body = list(r.choice(("1HG", "5YJ", "1FT", "2T1", "3VW", "4T1")) + "".join(r.choices(good + DIGITS, k=14)))
    body[8], body[11:] = "0", list(digits(r, 6))
    value = dict(zip(good, (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum((int(c) if c.isdigit() else value[c]) * w for c, w in zip(body, weights, strict=True))
    body[8] = "0123456789X"[total % 11]
    return "".join(body)


_B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _bitcoin(r: Random) -> str:
    raw = b"\x00" + r.randbytes(20)
    raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _B58[rest] + text
    return "1" + text


COMPACT: Mapping[str, Callable[[Random], str]] = {
    "US_SSN": _us_ssn, "US_ITIN": _us_itin, "US_NPI": _us_npi, "US_MBI": _us_mbi, "ABA_ROUTING_NUMBER": _aba,
    "MEDICAL_LICENSE": _dea, "US_PASSPORT": _us_passport, "US_DRIVER_LICENSE": _us_licence,
    "US_BANK_NUMBER": _us_account, "UK_NHS": _uk_nhs, "UK_NINO": _uk_nino, "UK_POSTCODE": _uk_postcode,
    "UK_DRIVING_LICENCE": _uk_licence, "UK_PASSPORT": _uk_passport, "IE_PPS": _ie_pps, "CA_SIN": _ca_sin,
    "CA_POSTAL_CODE": _ca_postal, "AU_TFN": _au_tfn, "AU_ABN": _au_abn, "AU_MEDICARE": _au_medicare,
    "DE_TAX_ID": _de_tax, "DE_ID_CARD": _de_id, "DE_SOCIAL_SECURITY": _de_social, "DE_HEALTH_INSURANCE": _de_health,
    "DE_KFZ": _de_plate, "AT_SVNR": _at_social, "CH_AHV": _ch_ahv, "ES_NIF": _es_nif, "ES_NIE": _es_nie,
    "IT_FISCAL_CODE": _it_fiscal, "IT_IDENTITY_CARD": _it_card, "FR_NIR": _fr_nir, "NL_BSN": _nl_bsn,
    "BE_NATIONAL_NUMBER": _be_national, "PT_NIF": _pt_nif, "PL_PESEL": _pl_pesel, "CZ_BIRTH_NUMBER": _cz_birth,
    "RO_CNP": _ro_cnp, "DK_CPR": _dk_cpr, "SE_PERSONNUMMER": _se_person, "NO_FNR": _no_fnr,
    "FI_PERSONAL_IDENTITY_CODE": _fi_hetu, "EE_ISIKUKOOD": _ee_id, "BG_EGN": _bg_egn, "HR_OIB": _hr_oib,
    "TR_NATIONAL_ID": _tr_id, "RU_SNILS": _ru_snils, "IN_AADHAAR": _in_aadhaar, "IN_PAN": _in_pan,
    "IN_GSTIN": _in_gstin, "IN_VOTER": _in_voter, "SG_NRIC_FIN": _sg_nric, "KR_RRN": _kr_rrn, "TH_TNIN": _th_id,
    "CN_RESIDENT_ID": _cn_id, "JP_MY_NUMBER": _jp_number, "HK_ID": _hk_id, "TW_ID": _tw_id, "IL_ID": _il_id,
    "ZA_ID_NUMBER": _za_id, "NG_NIN": _ng_nin, "PH_TIN": _ph_tin, "BR_CPF": _br_cpf, "BR_CNPJ": _br_cnpj,
    "MX_CURP": _mx_curp, "MX_RFC": _mx_rfc, "CL_RUT": _cl_rut, "AR_CUIT": _ar_cuit, "CREDIT_CARD": _card,
    "IMEI": _imei, "VIN": _vin, "CRYPTO": _bitcoin,
}  # fmt: skip
"""A maker of every kind of number, by entity."""
