"""Scans of files and tables through a real lake: what is read, what is kept, and that nothing leaves the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import neurolake
from neurolake import errors
from neurolake.cli import run
from neurolake.lake import EmbeddedLake
from neurolake.pii import reading
from neurolake.query import Request
from neurolake.sql.text import Name

# Every name that is looked up and every connection that is made is told to an audit hook, by whatever library.
WITHOUT_A_NETWORK = """
import sys
import time
met = []
sys.addaudithook(lambda event, given: met.append((event, given)) if event.startswith("socket.") else None)
import socket
import neurolake
from neurolake import errors
from neurolake.cli import run
from neurolake.lake import EmbeddedLake
from neurolake.pii import reading
from neurolake.sql.text import Name
rows = [{"mail": f"a{i}@some-company.co.uk", "phone": f"+49 30 12{i:05}", "site": f"https://{i}.example.com/x",
         "iban": "DE89370400440532013000", "nine": str(123456789 + i)} for i in range(100)]
with neurolake.connect(":memory:") as lake:
    lake.load("t", rows)
    print(*sorted(row["entity"] for row in lake.call("scan_pii").to_pylist()))
with neurolake.connect(":memory:", pii_scan="background", pii_results="warn", pii_results_admins=True,
                       pii_literals="warn") as lake:
    lake.load("t", [{"remark": f"call +49 30 12{i:05}, ask for Anna Nowak"} for i in range(100)])
    lake.pii.scan("t", full=True)
    lake.call("redact_deep", "t", "clean")
    with lake.sql("SELECT remark || '' AS remark FROM t WHERE remark <> 'a@some-company.co.uk'") as result:
        result.fetchall()
        assert len(result.warnings) == 2, result.warnings
    while lake.sql("SELECT 1 FROM neurolake.running WHERE sql NOT LIKE '%running%'").fetchall():
        time.sleep(0.05)
    assert lake.call("pii_findings").num_rows
calls = [event for event in met if event[0] in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
                                                 "socket.sendto", "socket.sendmsg")]
assert not calls, calls
try:
    socket.create_connection(("127.0.0.1", 9), timeout=0.1)
except OSError:
    pass
assert any(event[0] == "socket.connect" for event in met), "the hook hears nothing"
"""


def test_detection_uses_no_network() -> None:
    alone = ["unshare", "--map-root-user", "--net"]  # no hook hears what compiled libraries do
    try:
        subprocess.run([*alone, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        alone = []
    program = [*alone, sys.executable, "-c", WITHOUT_A_NETWORK]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "EMAIL_ADDRESS" in done.stdout
    assert "PHONE_NUMBER" in done.stdout


def people(first: int, count: int) -> pa.Table:
    return pa.table(
        {"id": list(range(first, first + count)), "c": [f"u{i}@example.com" for i in range(first, first + count)]}
    )


def test_no_value_is_kept_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    pq.write_table(people(0, 3000), tmp_path / "people.parquet")
    with neurolake.connect(home) as lake:
        lake.register("people", tmp_path / "people.parquet")
        (found,) = lake.call("scan_pii", "people").to_pylist()
    assert (found["column_name"], found["entity"], found["status"]) == ("c", "EMAIL_ADDRESS", "auto")
    assert found["confidence"] > 0.9
    assert found["sample_size"] == 1000
    for file in home.rglob("*"):
        if file.is_file() and file.name != "lake.duckdb":
            assert b"@example.com" not in file.read_bytes(), file.name


def test_a_scan_shows_in_the_columns_table(tmp_path: Path) -> None:
    with neurolake.connect(":memory:") as lake:
        lake.load("people", people(0, 100))
        before = lake.sql("SELECT DISTINCT pii_status FROM neurolake.columns WHERE table_name = 'people'").fetchall()
        lake.call("scan_pii", "people")
        after = lake.sql(
            "SELECT column_name, entity, pii_status FROM neurolake.columns WHERE table_name = 'people' ORDER BY 1"
        ).fetchall()
    assert before == [("unscanned",)]
    assert after == [("c", "EMAIL_ADDRESS", "scanned"), ("id", None, "scanned")]


def test_only_new_files_of_a_growing_set_are_scanned_again(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.table({"c": ["red", "green", "blue"] * 10}), folder / "1.parquet")
    with neurolake.connect(":memory:") as lake:
        lake.register("t", folder)
        assert lake.call("scan_pii", "t", only_new=True).num_rows == 0
        pq.write_table(people(0, 50).select(["c"]), folder / "2.parquet")
        (found,) = lake.call("scan_pii", "t", only_new=True).to_pylist()
        assert (found["entity"], found["sample_size"]) == ("EMAIL_ADDRESS", 50)
        pq.write_table(pa.table({"c": ["red", "green"] * 9}), folder / "3.parquet")
        assert [row["entity"] for row in lake.call("scan_pii", "t", only_new=True).to_pylist()] == ["EMAIL_ADDRESS"]


def test_recognisers_of_ones_own(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    with neurolake.connect(home) as lake:
        lake.load("staff", {"c": [f"E{i:06}" for i in range(100)]})
        assert lake.call("scan_pii", "staff").num_rows == 0
        (home / "recognisers.toml").write_text('[EMPLOYEE_ID]\npattern = "E[0-9]{6}"\n')
        assert [row["entity"] for row in lake.call("scan_pii", "staff").to_pylist()] == ["EMPLOYEE_ID"]


def test_recognisers_as_the_guide_writes_them(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "pii.md").read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(guide.split("```toml\n", 1)[1].split("```", 1)[0], encoding="utf-8")
    staff, numbers = [f"E{i:06}" for i in range(100)], [_with_luhn(f"63{i * 7919 + 10**12:013}") for i in range(100)]
    near = [f"{number[:-1]}{(int(number[-1]) + 1 + i % 8) % 10}" for i, number in enumerate(numbers)]
    with neurolake.connect(":memory:", pii_recognisers=str(own)) as lake:
        lake.load("t", {"staff_no": staff, "part": staff, "loyal": numbers, "near": near})
        found = {row["column_name"]: row["entity"] for row in lake.call("scan_pii", "t").to_pylist()}
        assert found == {"staff_no": "EMPLOYEE_ID", "loyal": "LOYALTY_NUMBER"}
        own.write_text(own.read_text().replace('check = "luhn" ', 'name_needed = true\ncheck = "luhn" '))
        lake.load("u", {"c": numbers, "loyalty_number": numbers})
        assert lake.call("scan_pii", "u")["column_name"].to_pylist() == ["loyalty_number"]


def _with_luhn(digits: str) -> str:
    """The digits and the one that makes them pass: https://en.wikipedia.org/wiki/Luhn_algorithm."""
    doubled = [sum(divmod(2 * int(one), 10)) if place % 2 == 0 else int(one) for place, one in enumerate(digits[::-1])]
    return digits + str(-sum(doubled) % 10)


@pytest.mark.parametrize(
    "content", [b"[EMPLOYEE_ID]\npattern = 'E\xe9'\n", None, b"[A_B]\npattern = 'a'\nname_needed = 'no'"]
)
def test_a_file_of_recognisers_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    own = tmp_path / "own.toml"
    if content is None:
        own.mkdir()
    else:
        own.write_bytes(content)
    with neurolake.connect(":memory:", pii_recognisers=str(own)) as lake:
        lake.load("t", people(0, 50))
        with pytest.raises(errors.InvalidRequest) as problem:
            lake.call("scan_pii", "t")
        assert problem.value.code == "recogniser_invalid"
        assert problem.value.next_step


def test_proposed_policies_are_ones_that_set_policy_takes() -> None:
    with neurolake.connect(":memory:") as lake:
        lake.load("people", {"mail": [f"a{i}@example.com" for i in range(50)], "password": ["hunter22"] * 50})
        lake.call("scan_pii", "people")
        proposed = lake.call("propose_policies", "people").to_pylist()
        assert {row["target"]: row["action"] for row in proposed} == {
            "column:main.people.mail": "partial", "column:main.people.password": "block"
        }  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_with_hardly_a_row_are_scanned_too(rows: int) -> None:
    with neurolake.connect(":memory:") as lake:
        lake.load("t", people(0, 5).slice(0, rows))
        assert lake.call("scan_pii", "t").num_rows == rows


def test_the_command_line_scans_reports_and_protects(tmp_path: Path) -> None:
    home = tmp_path / "lake"
    with neurolake.connect(home) as lake:
        lake.load("people", people(0, 100))
    page = tmp_path / "report.html"
    for arguments in (
        ["scan", "--all"], ["report", "--format", "html", "--output", str(page)], ["protect", "people", "--apply"]
    ):  # fmt: skip
        assert run(["pii", *arguments, "--lake", str(home)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "EMAIL_ADDRESS" in text
    assert "@example.com" not in text
    assert not any(word in text for word in ("<script", "http:", "https:", "<link", "url("))
    with neurolake.connect(home) as lake:
        (policy,) = lake.sql("SELECT target, action FROM neurolake.policies").fetchall()
    assert policy == ("column:main.people.c", "partial")
    assert run(["pii", "scan", "--lake", str(home)]) == 2


def test_what_is_made_is_scanned_as_part_of_making_it(tmp_path: Path) -> None:
    pq.write_table(people(0, 50), tmp_path / "people.parquet")

    def known(lake: neurolake.Lake, table: str) -> list[tuple[object, ...]]:
        sql = "SELECT entity, pii_status FROM neurolake.columns WHERE table_name = ? AND column_name = 'c'"
        return lake.sql(sql, [table]).fetchall()

    with neurolake.connect(":memory:", pii_scan="made") as lake:
        lake.register("files", tmp_path / "people.parquet")
        lake.load("loaded", people(0, 50))
        with lake.sql("CREATE TABLE made AS SELECT * FROM files"), lake.sql("CREATE TABLE filled (c VARCHAR)"):
            pass
        assert known(lake, "filled") == [(None, "unscanned")]
        with lake.transaction():
            lake.sql("INSERT INTO filled SELECT c FROM files").close()
            lake.sql("CREATE TABLE later AS SELECT * FROM files").close()
        for table in ("files", "loaded", "made", "filled", "later"):
            assert known(lake, table) == [("EMAIL_ADDRESS", "scanned")], table


def test_nothing_is_scanned_unless_the_setting_says_so() -> None:
    with neurolake.connect(":memory:") as lake:
        lake.load("loaded", people(0, 50))
        assert lake.call("pii_findings").num_rows == 0


def test_the_helper_does_what_the_procedures_do() -> None:
    with neurolake.connect(":memory:") as lake:
        lake.load("people", people(0, 50))
        assert lake.pii.scan("people").equals(lake.pii.findings())
        assert lake.pii.protect("people", apply=True)["action"].to_pylist() == ["partial"]
        assert lake.sql("SELECT count(*) FROM neurolake.policies").fetchall() == [(1,)]


def test_personal_literals_are_hidden_in_the_history_or_refused() -> None:
    text = "SELECT count(*) FROM (VALUES ('ann@example.org')) v(mail) WHERE mail = 'ann@example.org' AND 'x' <> 'y'"
    with neurolake.connect(":memory:", pii_literals="redact") as lake:
        assert lake.sql(text).fetchall() == [(1,)]
        (kept,) = lake.sql("SELECT sql FROM neurolake.queries WHERE sql LIKE '%VALUES%'").fetchall()[0]
        assert kept == text.replace("ann@example.org", "***")
    with neurolake.connect(":memory:", pii_literals="refuse") as lake:
        with pytest.raises(errors.InvalidRequest) as problem:
            lake.sql(text)
        assert problem.value.code == "literal_personal"
        assert "ann@" not in str(problem.value)
        bound = "SELECT ? = 'x'"
        assert lake.sql(bound, ["ann@example.org"]).fetchall() == [(False,)]
        assert not lake.sql("SELECT 1 FROM neurolake.queries WHERE contains(sql, ?)", ["ann@"]).fetchall()


def test_a_scan_of_everything_says_what_it_could_not_read(tmp_path: Path) -> None:
    for name in ("gone", "here"):
        pq.write_table(people(0, 50), tmp_path / f"{name}.parquet")
    with neurolake.connect(":memory:") as lake:
        for name in ("gone", "here"):
            lake.register(name, tmp_path / f"{name}.parquet")
        (tmp_path / "gone.parquet").unlink()
        with pytest.raises(errors.SourceFailed) as problem:
            lake.pii.scan()
        assert problem.value.code == "scan_incomplete"
        assert "gone" in problem.value.message
        assert lake.pii.findings()["table_name"].to_pylist() == ["here"]


def test_a_full_scan_ends_when_its_time_is_up() -> None:
    with neurolake.connect(":memory:") as lake:
        lake.sql(
            "CREATE TABLE t AS SELECT repeat('some words of a long text ', 40) || i AS c FROM range(200000) r(i)"
        ).close()
        with pytest.raises(errors.TimedOut):
            lake.sql("CALL neurolake.scan_pii('t', full => true)", timeout_s=0.3)
        assert lake.sql("SELECT 1").fetchall() == [(1,)]


def test_a_sample_is_spread_over_the_table_and_its_files(tmp_path: Path) -> None:
    """Only the last tenth of the rows, and only one file of twenty, hold anything personal."""
    plain = pa.table({"c": [f"item {i}" for i in range(90_000)]})
    mixed = pa.concat_tables([plain, people(0, 10_000).select(["c"])])
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(20):
        pq.write_table(mixed if number == 19 else plain, folder / f"{number:02}.parquet", row_group_size=20_000)
    with neurolake.connect(":memory:") as lake:
        lake.load("managed", mixed)
        lake.register("one", folder / "19.parquet")
        lake.register("many", folder)
        assert isinstance(lake, EmbeddedLake)
        read = {name: reading.read(lake.engine, Name.parse(name)) for name in ("managed", "one", "many")}
    for sample in read.values():
        assert sample.rows.num_rows == 1000
        assert any("@" in value for value in sample.rows["c"].to_pylist())
    assert len(read["many"].files) == 20


def test_text_files_are_scanned_from_their_start(tmp_path: Path) -> None:
    for number in range(3):
        rows = "\n".join(f"{i},u{i}@example.com" for i in range(500))
        (tmp_path / f"{number}.csv").write_text(f"id,mail\n{rows}\n")
        (tmp_path / f"{number}.json").write_text("\n".join(f'{{"mail": "u{i}@example.com"}}' for i in range(500)))
    with neurolake.connect(":memory:") as lake:
        for kind in ("csv", "json"):
            lake.register(kind, tmp_path / f"*.{kind}")
            (found,) = lake.pii.scan(kind).to_pylist()
            assert (found["column_name"], found["entity"]) == ("mail", "EMAIL_ADDRESS")
            assert found["sample_size"] == 999


SPARSE = {
    "remark": "{}",
    "short": "{}",
    "lower": "lower({})",
    "structure": "{{'note': [{}], 'n': i}}",
    "pairs": "MAP {{'k': {}}}",
    "document": "to_json({{'note': {}, 'n': i}})",
    "document_text": "to_json({{'note': {}}})::VARCHAR",
}


def test_one_row_in_ten_thousand_is_found_by_a_full_pass_and_redacted() -> None:
    rare = "'please write to Ann.Lee@example.org, or pay to NO93 8601 1117 947 now'"
    cell = f"CASE WHEN i % 10000 = 5000 THEN {rare} ELSE 'the parcel was left at the door' END"
    columns = ", ".join(f"{made.format(cell)} AS {name}" for name, made in SPARSE.items())
    with EmbeddedLake.open(":memory:") as lake:
        lake.sql(f"CREATE TABLE t AS SELECT i, {columns} FROM range(20000) r(i)")
        assert lake.call("scan_pii", "t").num_rows == 0
        found = {row["column_name"]: row for row in lake.call("scan_pii", "t", full=True).to_pylist()}
        assert set(found) == set(SPARSE)
        for row in found.values():
            assert (row["entity"], row["share"]) == ("FREE_TEXT", 0.0001)
            assert row["evidence"] == "in text: EMAIL_ADDRESS 0.0001, IBAN_CODE 0.0001"
        proposed = lake.call("propose_policies", "t").to_pylist()
        assert {row["action"] for row in proposed} == {"redact"}
        lake.sql("CALL neurolake.create_role('analyst'); CALL neurolake.grant('read', 't', 'analyst');"
                 "CALL neurolake.create_user('ann', 'a password for ann', ['analyst']);")  # fmt: skip
        for row in proposed:
            lake.call("set_policy", row["name"], row["role"], row["target"], row["action"])
        session = lake.engine.session(lake.engine.governance.principal("ann"))
        rows = lake.engine.run(Request("SELECT * EXCLUDE (i) FROM t WHERE i IN (1, 5000) ORDER BY i", session)).arrow()
    clean, hidden = (str(row) for row in rows.to_pylist())
    assert clean.count("the parcel was left at the door") == len(SPARSE)
    assert hidden.count("please write to ***") == len(SPARSE)
    assert not any(word in hidden.lower() for word in ("example", "lee", "8601", "947"))
