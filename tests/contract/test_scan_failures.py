"""Scans that fail, over the stock driver: what users are told, that the columns stay closed, and what mends them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.clients import PASSWORD
from contract.conftest import serving
from contract.test_scanned_over_flight import Run, code, driver
from flight.service import Service

SOON_S = 30.0
ROWS = 3000
SETUP = (
    "CALL neurolake.create_role('analyst')",
    f"CALL neurolake.create_user('ann', '{PASSWORD}', ['analyst'])",
    "CALL neurolake.grant('read', 'lake', 'analyst')",
    "CALL neurolake.set_policy('mails', '*', 'entity:EMAIL_ADDRESS', 'partial', {'email': true})",
)
STATUS = "SELECT pii_status FROM neurolake.columns WHERE table_name = ? AND column_name = 'c'"
SEEN_BY_ANN = "SELECT c FROM t ORDER BY c LIMIT 1"


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def mails(file: Path) -> bytes:
    """A file of addresses, and what it must be for all of it to be read."""
    pq.write_table(pa.table({"c": [f"u{i:04}@example.com" for i in range(ROWS)]}), file)
    return file.read_bytes()


def spoilt(file: Path, whole: bytes) -> None:
    """Its footer is whole, so that it can be registered; its rows are not."""
    file.write_bytes(whole[:100] + bytes(4000) + whole[4100:])


def closed(service: Service, admin: Run) -> bool:
    """Whether nobody has looked at the column, and a governed role does not see it."""
    with driver(service, "ann") as ann:
        assert code(ann, SEEN_BY_ANN) == "relation_denied"
    return admin(STATUS, ["t"]) == [{"pii_status": "unscanned"}]


def is_open(service: Service) -> bool:
    with driver(service, "ann") as ann:
        return ann(SEEN_BY_ANN) == [{"c": "u***@example.com"}]


def failures(admin: Run) -> set[tuple[str, str]]:
    """How scans in the background have ended that did not end well."""
    sql = "SELECT state, error_code FROM neurolake.queries WHERE client = 'background' AND state <> 'done'"
    return {(row["state"], row["error_code"]) for row in admin(sql)}


@pytest.mark.parametrize("mode", ["made", "background"])
def test_a_source_whose_rows_cannot_be_read_is_closed_until_a_scan_has_read_them(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mails.parquet"
    whole = mails(file)
    spoilt(file, whole)
    with serving(tmp_path, pii_scan=mode) as service, driver(service, "admin") as admin:
        for sql in SETUP:
            admin(sql)
        admin("CALL neurolake.register('t', ?)", [str(file)])  # it is registered, whatever its scan comes to
        until(lambda: "t was not scanned for personal data" in caplog.text)
        assert "source_corrupt" in caplog.text
        assert closed(service, admin)
        if mode == "background":
            until(lambda: ("failed", "source_corrupt") in failures(admin))
        assert code(admin, "CALL neurolake.scan_pii('t')") == "source_corrupt"
        assert code(admin, "CALL neurolake.scan_pii()") == "scan_incomplete"
        file.unlink()
        assert code(admin, "CALL neurolake.scan_pii('t')") == "source_empty"
        assert closed(service, admin), "a scan that failed says nothing of a column"
        file.write_bytes(whole)
        assert [row["entity"] for row in admin("CALL neurolake.scan_pii('t')")] == ["EMAIL_ADDRESS"]
        assert is_open(service)
    assert "example.com" not in caplog.text


def unsure(folder: Path, needed: Path) -> Path:
    """A pipeline with a part of its author's own, which fails while a file is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spacy
        from spacy.language import Language

        @Language.component(f"asks_for_{needed.name}")
        def asks(document: object) -> object:
            assert needed.exists(), "the word list of parcel u0001@example.com is missing"
            return document

        nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Qwylla Vrantok"}])
    nlp.add_pipe(f"asks_for_{needed.name}")
    nlp.to_disk(folder)
    return folder


TEXT = f"""CREATE TABLE t AS SELECT 'the parcel of number ' || i || ' was left at the door' AS c, i AS n
FROM range({ROWS}) r(i)"""


@pytest.mark.parametrize("mode", ["made", "background"])
def test_a_fault_closes_the_table_it_is_met_in_and_no_other(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    needed = tmp_path / mode
    pipeline = unsure(tmp_path / "pipeline", needed)
    with serving(tmp_path, pii_scan=mode, pii_ner=str(pipeline)) as service, driver(service, "admin") as admin:
        for sql in SETUP:
            admin(sql)
        admin(TEXT)  # it is made, whatever its scan comes to
        admin("CREATE TABLE others AS SELECT 'u' || i || '@example.com' AS c FROM range(100) r(i)")
        until(lambda: admin(STATUS, ["others"]) == [{"pii_status": "scanned"}])
        assert "t was not scanned for personal data" in caplog.text
        assert "scan_failed" in caplog.text
        assert closed(service, admin)
        if mode == "background":
            assert failures(admin) == {("failed", "scan_failed")}
        assert code(admin, "CALL neurolake.scan_pii('t')") == "scan_failed"
        assert code(admin, "CALL neurolake.scan_pii()") == "scan_incomplete"
        needed.touch()
        assert admin("CALL neurolake.scan_pii('t')") == []
        with driver(service, "ann") as ann:
            assert ann("SELECT c FROM t WHERE n = 7") == [{"c": "the parcel of number 7 was left at the door"}]
    assert "example.com" not in caplog.text, "what a fault says may quote a cell"


def test_what_failed_in_the_background_is_scanned_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "mails.parquet"
    whole = mails(file)
    spoilt(file, whole)
    with serving(tmp_path, pii_scan="background") as service, driver(service, "admin") as admin:
        for sql in SETUP:
            admin(sql)
        admin("CALL neurolake.register('t', ?)", [str(file)])
        until(lambda: ("failed", "source_corrupt") in failures(admin))
        assert closed(service, admin)
    file.write_bytes(whole)
    with serving(tmp_path, pii_scan="background") as service:
        with driver(service, "admin") as admin:
            until(lambda: admin(STATUS, ["t"]) == [{"pii_status": "scanned"}])
        assert is_open(service)


def test_columns_called_like_numbers_of_rows_and_half_letters_in_json_are_scanned(tmp_path: Path) -> None:
    """The first named what the sample is taken by, the others were a fault."""
    rare = [f"nothing of note in row {i}" for i in range(ROWS)]
    rare[2222] = "please write to ann.b@example.org today"  # between the runs of rows that a sample is
    columns = {"mail": [f"u{i}@example.com" for i in range(ROWS)], "file_row_number": rare}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    halves = """('{"name": "\\ud83d", "mail": "u' || i || '@example.com", "of\\udc00": "\\ud83d\\ude00"}')"""
    with serving(tmp_path) as service, driver(service, "admin") as admin:
        admin("CALL neurolake.register('files', ?)", [str(tmp_path / "rows.parquet")])
        admin("CREATE TABLE made AS SELECT mail, file_row_number AS RowId FROM files")
        admin(f"CREATE TABLE counted AS SELECT 1000000000000 * i AS rowid, {halves} AS mail FROM range({ROWS}) r(i)")
        for table, texts in (("files", "file_row_number"), ("made", "rowid")):
            sampled = admin(f"CALL neurolake.scan_pii('{table}')")
            assert [(row["column_name"], row["entity"]) for row in sampled] == [("mail", "EMAIL_ADDRESS")]
            every = admin(f"CALL neurolake.scan_pii('{table}', full => true)")
            assert {row["column_name"]: row["entity"] for row in every} == {"mail": "EMAIL_ADDRESS", texts: "FREE_TEXT"}
        (row,) = admin("CALL neurolake.scan_pii('counted', full => true)")
        assert (row["entity"], row["evidence"].rpartition(" in ")[2]) == ("EMAIL_ADDRESS", "mail.mail")
