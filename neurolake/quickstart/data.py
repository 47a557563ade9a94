"""Realistic data, the same at every run: customers with personal columns as CSV, orders as partitioned Parquet."""

from __future__ import annotations

import csv
import shutil
from datetime import date, timedelta
from pathlib import Path
from random import Random

from neurolake.sql.text import literal

__all__ = ["CUSTOMERS", "ORDERS", "write_customers", "write_orders"]

CUSTOMERS = 20_000
ORDERS = 300_000
SEED = 20_240_101

_FIRST = (
    "Anna", "Ben", "Carla", "David", "Elif", "Emma", "Felix", "Freja", "Greta", "Hanna", "Ida", "Jakub", "Jonas",
    "Julia", "Kasia", "Laura", "Leon", "Lucía", "Lukas", "Maja", "Marek", "María", "Mateo", "Mia", "Mikkel", "Noah",
    "Olivia", "Paula", "Piotr", "Sara", "Sofia", "Søren", "Tomasz", "Veera", "Zofia",
)  # fmt: skip
_LAST = (
    "Andersen", "Bauer", "Becker", "Fernández", "Fischer", "García", "Gruber", "Hansen", "Hoffmann", "Huber", "Jensen",
    "Kowalska", "Korhonen", "López", "Martínez", "Meyer", "Mäkinen", "Müller", "Nielsen", "Nieminen", "Nowak",
    "Pedersen", "Pérez", "Rodríguez", "Schmidt", "Schneider", "Schulz", "Steiner", "Virtanen", "Wagner", "Weber",
    "Wiśniewski", "Wójcik", "Zieliński",
)  # fmt: skip
_STREETS = (
    "Bahnhofstraße",
    "Calle Mayor",
    "Hauptstraße",
    "Kirkegade",
    "Lindenweg",
    "Mannerheimintie",
    "Polna",
    "Søndergade",
)
_DOMAINS = ("example.com", "example.net", "example.org", "mail.example", "post.example")
_PLACES = (
    ("DE", "Berlin", "10", "+49 30", 18), ("DE", "Hamburg", "20", "+49 40", 18), ("DE", "München", "80", "+49 89", 18),
    ("ES", "Madrid", "28", "+34 91", 20), ("ES", "Valencia", "46", "+34 96", 20), ("AT", "Wien", "11", "+43 1", 16),
    ("DK", "København", "21", "+45 33", 14), ("PL", "Kraków", "31", "+48 12", 24),
    ("PL", "Warszawa", "00", "+48 22", 24), ("FI", "Helsinki", "00", "+358 9", 14),
)  # fmt: skip
"""Country, city, how its postcodes begin, its dialling code, and the digits of the country's account numbers."""
_SEGMENTS = ("consumer", "consumer", "consumer", "business", "public")
_COLUMNS = (
    "customer_id", "full_name", "email", "phone", "birth_date", "street", "postcode", "city", "country", "iban",
    "segment", "signed_up_on",
)  # fmt: skip

_PRODUCTS = (
    ("garden", "lawn mower", 289.0), ("garden", "hedge trimmer", 119.5), ("garden", "garden hose", 34.9),
    ("garden", "pruning shears", 24.5), ("kitchen", "espresso machine", 449.0), ("kitchen", "blender", 79.9),
    ("kitchen", "chef's knife", 64.0), ("kitchen", "frying pan", 39.9), ("office", "desk", 329.0),
    ("office", "office chair", 259.0), ("office", "monitor arm", 89.0), ("office", "desk lamp", 45.5),
    ("outdoor", "tent", 219.0), ("outdoor", "backpack", 129.0), ("outdoor", "sleeping bag", 99.0),
    ("outdoor", "head torch", 29.9),
)  # fmt: skip


def write_customers(path: Path) -> int:
    """Write the customers as CSV; how many."""
    random = Random(SEED)  # noqa: S311  (made-up people need no secrecy)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_customer(number, random) for number in range(1, CUSTOMERS + 1))
    return CUSTOMERS


def _customer(number: int, random: Random) -> tuple[object, ...]:
    first, last = random.choice(_FIRST), random.choice(_LAST)
    country, city, postcode, dial, digits = random.choice(_PLACES)
    return (
        number,
        f"{first} {last}",
        f"{_ascii(first)}.{_ascii(last)}{number}@{random.choice(_DOMAINS)}",
        f"{dial} {random.randrange(10**6, 10**7)}",
        date(1940, 1, 1) + timedelta(days=random.randrange(66 * 365)),
        f"{random.choice(_STREETS)} {random.randrange(1, 180)}",
        f"{postcode}{random.randrange(1000):03}",
        city,
        country,
        iban(country, "".join(random.choices("0123456789", k=digits))),
        random.choice(_SEGMENTS),
        date(2019, 1, 1) + timedelta(days=random.randrange(5 * 365)),
    )


def _ascii(name: str) -> str:
    table = str.maketrans("áäéíłńóøśúüż", "aaeilnoosuuz")
    return name.lower().translate(table)


def iban(country: str, account: str) -> str:
    """An account number with its check digits, by ISO 13616.

    >>> iban("DE", "370400440532013000")
    'DE89370400440532013000'
    """
    letters = "".join(str(ord(letter) - ord("A") + 10) for letter in country)
    return f"{country}{98 - int(f'{account}{letters}00') % 97:02}{account}"


def write_orders(folder: Path) -> int:
    """Write two years of orders as Parquet, partitioned by year and month; how many."""
    import neurolake

    shutil.rmtree(folder, ignore_errors=True)
    written = "FORMAT parquet, PARTITION_BY (year, month), COMPRESSION zstd"
    with neurolake.connect(":memory:") as scratch:
        scratch.sql(f"COPY ({_orders()}) TO {literal(str(folder))} ({written})").close()
    return ORDERS


def _orders() -> str:
    """The orders as SQL: what looks like chance is a hash of the order's number.

    Some customers buy far more than others, and December is the best month.
    """
    products = ", ".join(f"({literal(c)}, {literal(p)}, {price})" for c, p, price in _PRODUCTS)
    return f"""
        WITH products AS (
            SELECT row_number() OVER () - 1 AS product_id, * FROM (VALUES {products}) AS t(category, product, price)
        ), chance AS (
            SELECT i AS order_id, {_chance("customer")} AS c, {_chance("day")} AS d, {_chance("product")} AS p,
                   {_chance("quantity")} AS q, {_chance("status")} AS s, {_chance("price")} AS r, {_chance("time")} AS t
            FROM range(1, {ORDERS + 1}) AS numbers(i)
        ), placed AS (
            SELECT *, TIMESTAMP '2024-01-01' + to_days(CAST(floor(731 * (1 - pow(1 - d, 1.2))) AS INTEGER))
                      + to_seconds(floor(86400 * t)) AS ordered_at
            FROM chance
        )
        SELECT order_id, 1 + CAST(floor({CUSTOMERS} * c * c) AS BIGINT) AS customer_id, ordered_at, category, product,
               1 + CAST(floor(5 * q * q) AS INTEGER) AS quantity,
               CAST(price * (0.9 + 0.2 * r) AS DECIMAL(9, 2)) AS unit_price,
               CASE WHEN s < 0.93 THEN 'delivered' WHEN s < 0.97 THEN 'returned' ELSE 'cancelled' END AS status,
               year(ordered_at) AS year, month(ordered_at) AS month
        FROM placed JOIN products ON product_id = CAST(floor({len(_PRODUCTS)} * p) AS BIGINT)
        ORDER BY order_id
    """


def _chance(what: str) -> str:
    """A number from 0 to 1 that belongs to the order."""
    return f"(hash(i, {literal(f'{SEED} {what}')}) % 1000003) / 1000003.0"
