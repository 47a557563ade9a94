"""A pipeline of the user's own: what it adds to scans and redacted copies, and what happens where it is no good."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pytest
from contract.clients import PASSWORD
from contract.conftest import serving, uri

import neurolake
from neurolake import errors
from neurolake.pii import ner

# Names that no list has: of a family that these tests have made up.
FIRST = ("Qwylla", "Brzyn", "Tchoumi", "Xhevi", "Ngozu", "Ørvil", "Zsanko", "Wrenka", "Ylvost", "Kwabi")
LAST = ("Vrantok", "Pelzun", "Quorrad", "Hjelvam", "Zubrek", "Otonga", "Skrivec", "Maldru", "Tolvaj", "Brankz")
NAMES = [f"{first} {last}" for first in FIRST for last in LAST]
ADDRESSES = [f"Corner {i} Oldmarket" for i in range(60)]
TEXTS = [f"the parcel of {name} was left at the door today" if i % 8 == 0 else f"nothing of note happened in week {i}"
         for i, name in enumerate(NAMES)]  # fmt: skip


def pipeline(folder: Path, *, people: str = "PERSON") -> Path:
    """A pipeline of patterns, which saves the tests a training; scans see no difference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spacy
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([
        {"label": people, "pattern": [{"TEXT": {"IN": list(FIRST)}}, {"TEXT": {"IN": list(LAST)}}]},
        {"label": "ADDRESS", "pattern": [{"LOWER": "corner"}, {"IS_DIGIT": True}, {"IS_TITLE": True}]},
        {"label": "DATE", "pattern": [{"LOWER": "week"}, {"IS_DIGIT": True}]},
    ])  # fmt: skip
    nlp.meta.update(name="tiny", version="1.2")
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipeline(tmp_path_factory.mktemp("pipelines") / "tiny")


COLUMNS = {
    "c1": NAMES,
    "c2": ADDRESSES + ADDRESSES[:40],
    "c3": TEXTS,
    "product_name": NAMES,
    "c5": ["Qwylla Vrantok", "Brzyn Pelzun"] * 50,
    "c6": [f"lot-{i}" for i in range(100)],
}


def found(lake: neurolake.Lake, columns: dict[str, list[str]]) -> dict[str, str]:
    lake.load("t", pa.table(columns), mode="replace")
    return {row["column_name"]: row["entity"] for row in lake.call("scan_pii", "t").to_pylist()}


def test_names_that_no_list_has_are_found_by_it(tiny: Path) -> None:
    with neurolake.connect(":memory:") as lake:
        assert found(lake, COLUMNS) == {}
    with neurolake.connect(":memory:", pii_ner=str(tiny)) as lake:
        # Neither a column of products, nor two words that come again and again.
        assert found(lake, COLUMNS) == {"c1": "PERSON", "c2": "STREET_ADDRESS", "c3": "FREE_TEXT"}
        rows = {row["column_name"]: row for row in lake.call("pii_findings", "t").to_pylist()}
    assert rows["c1"]["evidence"] == "named entities of en_tiny 1.2 1.00"
    assert rows["c3"]["evidence"] == "in text: PERSON 0.1333 by en_tiny 1.2"
    assert all(row["confidence"] < 0.8 for row in rows.values()), "a model alone is reviewed by a person"
    assert not any(name in str(rows) for name in FIRST)


def test_nested_text_and_a_package_s_folder(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "en_tiny" / "en_tiny-1.2")
    with neurolake.connect(":memory:", pii_ner=str(tmp_path / "en_tiny")) as lake:
        lake.load("t", pa.table({"who": [{"is": name} for name in NAMES]}))
        (row,) = lake.call("scan_pii", "t").to_pylist()
    assert (row["entity"], row["evidence"]) == ("PERSON", "named entities of en_tiny 1.2 1.00 in who.is")


def test_copies_lack_what_it_finds(tiny: Path) -> None:
    texts = ["ask Qwylla Vrantok", "at Corner 7 Oldmarket", "in week 7", None]
    for path, shown in (
        ("", ["ask Qwylla Vrantok", "at Corner *** Oldmarket", "in week ***", None]),
        (str(tiny), ["ask ***", "at ***", "in week ***", None]),
    ):
        with neurolake.connect(":memory:", pii_ner=path) as lake:
            lake.load("t", pa.table({"n": range(4), "c": texts}))
            lake.call("redact_deep", "t", "clean", columns=["c"])
            assert lake.sql("SELECT c FROM clean ORDER BY n").arrow()["c"].to_pylist() == shown


def broken(folder: Path, tiny: Path) -> dict[str, Path]:
    cut, foreign = folder / "cut", folder / "foreign"
    for one in (cut, foreign):
        shutil.copytree(tiny, one)
    (cut / "tokenizer").write_bytes(b"no tokenizer")
    (foreign / "config.cfg").write_text((tiny / "config.cfg").read_text().replace("entity_ruler", "their_own_thing"))
    return {"cut": cut, "foreign": foreign, "missing": folder / "nowhere", "empty": folder}


@pytest.mark.parametrize("which", ["cut", "foreign", "missing", "empty", "useless"])
def test_one_that_cannot_be_used_fails_the_scan_and_the_copy(which: str, tiny: Path, tmp_path: Path) -> None:
    path = pipeline(tmp_path / "u", people="ADDRESS") if which == "useless" else broken(tmp_path / "b", tiny)[which]
    if which == "useless":
        config = path / "entity_ruler" / "patterns.jsonl"
        config.write_text(config.read_text().replace("ADDRESS", "GPE"))
    with neurolake.connect(":memory:", pii_ner=str(path)) as lake:
        lake.load("t", pa.table(COLUMNS))
        for call in (("scan_pii", "t"), ("redact_deep", "t", "clean", ["c3"])):
            with pytest.raises(errors.InvalidRequest) as problem:
                lake.call(*call)
            assert problem.value.code == "ner_unusable"
            assert str(path) in problem.value.message
        assert lake.call("pii_findings", "t").num_rows == 0
        assert not lake.sql("SELECT 1 FROM information_schema.tables WHERE table_name = 'clean'").fetchall()


def test_a_scan_goes_on_without_where_the_setting_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with neurolake.connect(":memory:", pii_ner=str(tmp_path / "gone"), pii_ner_required=False) as lake:
        with caplog.at_level(logging.WARNING, "neurolake"):
            assert found(lake, {"c": [f"u{i}@example.com" for i in range(50)]}) == {"c": "EMAIL_ADDRESS"}
        assert "without a pipeline for names" in caplog.text
        with pytest.raises(errors.InvalidRequest):  # a copy that lacks less than its maker asked for is none
            lake.call("redact_deep", "t", "clean", ["c"])


def test_a_table_stays_closed_where_its_scan_could_not_ask_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with neurolake.connect(":memory:", pii_ner=str(tmp_path / "gone"), pii_scan="made") as lake:
        lake.load("t", pa.table({"c": NAMES}))
        status = lake.sql("SELECT pii_status FROM neurolake.columns WHERE table_name = 't'").fetchall()
    assert status == [("unscanned",)]
    assert "ner_unusable" in caplog.text


def test_what_it_has_read_is_not_kept(tiny: Path) -> None:
    loaded = ner.load(tiny)
    words = loaded._nlp.vocab.strings
    before = len(words)
    for start in range(0, 5000, 500):
        loaded.spans([f"word{i} of row{i}" for i in range(start, start + 500)])
    assert len(words) == before


WITHOUT_A_NETWORK = """
import sys
met = []
sys.addaudithook(lambda event, given: met.append((event, given)) if event.startswith("socket.") else None)
import neurolake
names = sys.argv[2].split(",")
with neurolake.connect(":memory:", pii_ner=sys.argv[1]) as lake:
    assert "spacy" not in sys.modules
    lake.load("t", {"c": names})
    print(*lake.call("scan_pii")["entity"].to_pylist())
calls = [event for event in met if event[0] in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
                                                 "socket.sendto", "socket.sendmsg")]
assert not calls, calls
"""


def test_it_uses_no_network(tiny: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_A_NETWORK, str(tiny), ",".join(NAMES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "PERSON"), done.stderr


def test_over_flight_with_the_stock_driver(tiny: Path, tmp_path: Path) -> None:
    login = {"username": "admin", "password": PASSWORD}
    with (
        serving(tmp_path / "good", pii_ner=str(tiny)) as service,
        flight_sql.connect(uri(service), login, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_ingest("t", pa.table({"c": NAMES}))
        cursor.execute("CALL neurolake.scan_pii('t')")
        assert cursor.fetch_arrow_table()["entity"].to_pylist() == ["PERSON"]
    with (
        serving(tmp_path / "bad", pii_ner=str(tmp_path / "nowhere")) as service,
        flight_sql.connect(uri(service), login, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_ingest("t", pa.table({"c": NAMES}))
        with pytest.raises(adbc_driver_manager.ProgrammingError, match="ner_unusable"):
            cursor.execute("CALL neurolake.scan_pii('t')")
