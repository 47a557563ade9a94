"""An open transaction sees rows as they were: what was found in newer ones does not open them."""

from __future__ import annotations

import pytest
from contract.test_governed import code_of, driver, owner, prepared, service

from flight.service import Service

__all__ = ["prepared", "service"]

LOOKS = (
    "CALL neurolake.scan_pii('letters')",
    "CALL neurolake.set_pii('column:letters.mail', 'EMAIL_ADDRESS', 'rejected')",
    "CALL neurolake.declassify('column:letters.mail', 'nothing in it any more')",
)
WRITES = (
    "UPDATE letters SET mail = 'plain words'",
    "DELETE FROM letters; INSERT INTO letters SELECT 'plain words' FROM range(50)",
    "BEGIN; UPDATE letters SET mail = 'plain'; UPDATE letters SET mail = mail || ' words'; COMMIT",
)


def letters(service: Service) -> None:
    for text in (
        "CREATE TABLE letters AS SELECT 'u' || i || '@example.org' AS mail FROM range(50) r(i)",
        "CALL neurolake.scan_pii('letters')",
        "CALL neurolake.grant('read', 'letters', 'analyst')",
    ):
        owner(service.engine)(text)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("write", WRITES)
def test_what_was_found_in_newer_rows_does_not_open_older_ones(service: Service, write: str, look: str) -> None:
    letters(service)
    run = owner(service.engine)
    with driver(service, autocommit=False) as ann:
        assert ann("SELECT DISTINCT mail FROM letters") == [(None,)]
        for text in write.split("; "):
            run(text)
        assert ann("SELECT DISTINCT mail FROM letters") == [(None,)]
        run(look)
        assert code_of(ann, "SELECT DISTINCT mail FROM letters") == "table_changing"
    with driver(service) as ann:
        assert ann("SELECT DISTINCT mail FROM letters") == [("plain words",)]


def test_a_look_alone_holds_for_the_next_statement_of_an_open_transaction(service: Service) -> None:
    letters(service)
    with driver(service, autocommit=False) as ann:
        assert ann("SELECT DISTINCT mail FROM letters") == [(None,)]
        owner(service.engine)(LOOKS[1])
        assert ann("SELECT count(DISTINCT mail) FROM letters") == [(50,)]
