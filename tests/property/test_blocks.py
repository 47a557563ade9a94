"""Where the engine's file holds the same bytes of a part, the part has the same rows: whatever was done in between."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import neurolake
from neurolake._duckdb import Cursor
from neurolake.backup import manifest
from neurolake.backup.blocks import part_digests
from neurolake.backup.definitions import TableDefinition, read_definitions
from neurolake.backup.select import Select
from neurolake.backup.writing import PART_ROWS
from neurolake.errors import NeuroLakeError

SALT = 7
ROWS = 5 * PART_ROWS + 1000
STEPS = 30
EITHER = "UNION(n INTEGER, t VARCHAR)"
VALUES = {
    "a": ("BIGINT", "{x}"),
    "same": ("INTEGER", "4"),
    "word": ("VARCHAR", "'w' || ({x}) % 900"),
    "text": ("VARCHAR", "md5(({x})::VARCHAR) || repeat('-', ({x}) % 40)"),
    "long": ("VARCHAR", "if(({x}) % 5000 = 1, repeat(md5(({x})::VARCHAR), 200), NULL)"),
    "real": ("DOUBLE", "if(({x}) % 3 = 0, NULL, ({x}) / 7)"),
    "yes": ("BOOLEAN", "({x}) % 2 = 0"),
    "list": ("INTEGER[]", "range(({x}) % 4)"),
    "pair": ("STRUCT(k VARCHAR, v DECIMAL(18, 2))", "{{'k': 'k' || ({x}) % 50, 'v': ({x}) / 100}}"),
    "mood": ("ENUM('x', 'y', 'z')", "['x', 'y', 'z'][1 + ({x}) % 3]"),
    "id": ("UUID", "md5(({x})::VARCHAR)::UUID"),
    "at": ("TIMESTAMP WITH TIME ZONE", "to_timestamp(({x}))"),
    "void": ("INTEGER", "NULL"),
    "json": ("JSON", "'{{\"k\": ' || ({x}) % 5 || '}}'"),
    "bits": ("BIT", "bitstring(bin(({x}) % 64), 70)"),
    "clock": ("TIME WITH TIME ZONE", "TIME '00:00:00' + to_seconds(({x}) % 86400)"),
    "map": ("MAP(VARCHAR, INTEGER)", "if(({x}) % 9 = 0, NULL, MAP {{'k' || ({x}) % 3: ({x}) % 7}})"),
    "three": ("DOUBLE[3]", "[({x}), NULL, ({x}) / 2]"),
    "either": (EITHER, f"if(({{x}}) % 2 = 0, ({{x}})::INTEGER::{EITHER}, ('x' || ({{x}}) % 9)::{EITHER})"),
    "span": ("INTERVAL", "to_microseconds(({x}) * ({x}))"),
}
SHAPES = {"shape": ("GEOMETRY", "'LINESTRING(0 0, ' || ({x}) || ' 1)'")}


class Table:
    """A table that is changed at random, by several connections, and looked at by others that came before or after."""

    def __init__(self, home: Path, seed: int, columns: Sequence[str] = ()) -> None:
        self.home = home
        self.draw = random.Random(seed)
        names = columns or ["a", *self.draw.sample(sorted(set(VALUES) - {"a"}), 3)]
        self.columns = {name: (VALUES | SHAPES)[name] for name in names}
        self.seen: dict[str, tuple[int, int, tuple[str, ...]]] = {}
        self.shared = 0
        self.done: list[str] = []
        self.readers: list[Cursor] = []
        self.lake = neurolake.connect(home)
        self.create()
        self.pool = ThreadPoolExecutor(2)

    def create(self) -> None:
        self.do(f"CREATE OR REPLACE TABLE t AS SELECT {self.row('i')} FROM range({ROWS}) r(i)")

    def row(self, x: str) -> str:
        return ", ".join(f"({value.format(x=x)})::{kind} AS {name}" for name, (kind, value) in self.columns.items())

    def do(self, *statements: str) -> None:
        """Statements on a connection of their own; what the engine refuses has not happened."""
        cursor = self.lake.engine.instance.cursor()
        try:
            for statement in statements:
                self.done.append(statement)
                cursor.run(statement)
        except NeuroLakeError as problem:
            self.done.append(f"-- {problem}")
        finally:
            cursor.close()

    def step(self) -> None:
        steps: list[Callable[[], None]] = [
            self.insert, self.insert, self.update, self.update, self.update, self.scatter, self.swap, self.delete,
            self.checkpoint, self.checkpoint, self.checkpoint, self.rolled_back, self.reader, self.leave, self.reopen,
            self.again, self.alter, self.index, self.crash, self.retype,
        ]  # fmt: skip
        self.draw.choice(steps)()

    def some(self) -> str:
        begin = self.draw.randrange(ROWS)
        return f"rowid BETWEEN {begin} AND {begin + self.draw.choice([0, 1, 3000, PART_ROWS])}"

    def assigned(self) -> str:
        name = self.draw.choice(sorted(self.columns))
        return f"{name} = ({self.columns[name][1].format(x=f'a + {self.draw.randrange(3)}')})"

    def insert(self) -> None:
        self.do(f"INSERT INTO t SELECT {self.row('i')} FROM range({self.draw.choice([1, 2000, 130_000])}) r(i)")

    def update(self) -> None:
        self.do(f"UPDATE t SET {self.assigned()} WHERE {self.some()}")

    def scatter(self) -> None:
        self.do(f"UPDATE t SET {self.assigned()} WHERE a % {self.draw.choice([7, 4000])} = 0")

    def swap(self) -> None:
        """Two neighbours change places: sums and exclusive ors of all values stay as they are."""
        begin = self.draw.randrange(ROWS)
        self.do(f"UPDATE t SET a = {2 * begin + 1} - a WHERE rowid IN ({begin}, {begin + 1})")

    def delete(self) -> None:
        self.do(f"DELETE FROM t WHERE {self.some()}")

    def checkpoint(self) -> None:
        self.do("CHECKPOINT")

    def rolled_back(self) -> None:
        self.do("BEGIN", f"UPDATE t SET {self.assigned()} WHERE {self.some()}", "ROLLBACK")

    def reader(self) -> None:
        cursor = self.lake.engine.instance.cursor()
        cursor.run("BEGIN")
        cursor.rows("SELECT count(*) FROM t")
        self.done.append("-- a reader comes")
        self.readers.append(cursor)

    def leave(self) -> None:
        while self.readers:
            self.done.append("-- a reader leaves")
            self.readers.pop().close()

    def reopen(self, home: Path | None = None) -> None:
        self.leave()
        self.lake.close()
        self.home = home or self.home
        self.lake = neurolake.connect(self.home)
        self.done.append("-- opened again")

    def crash(self) -> None:
        """Go on with what a power cut would have left: the file as it was, and the log of what came after."""
        left = self.home.with_name(f"{self.home.name}.")
        shutil.copytree(self.home, left, ignore=shutil.ignore_patterns("run", "tmp"))
        self.reopen(left)

    def again(self) -> None:
        """The same table once more: of the same rows, or in another order."""
        self.do(f"CREATE OR REPLACE TABLE t AS FROM t ORDER BY {self.draw.choice(['rowid', 'a DESC', 'a'])}")

    def alter(self) -> None:
        self.do("ALTER TABLE t ADD COLUMN new INTEGER DEFAULT 3")
        self.do("ALTER TABLE t DROP COLUMN IF EXISTS new")

    def retype(self) -> None:
        self.do(f"ALTER TABLE t ALTER a TYPE BIGINT USING a + {self.draw.randrange(2)}")

    def index(self) -> None:
        self.do("CREATE INDEX i ON t (a)", "CHECKPOINT")
        self.do("DROP INDEX IF EXISTS i")

    def look(self) -> int:
        """Compare what every connection sees; how many parts had a digest."""
        fresh = self.lake.engine.instance.cursor()
        fresh.run("BEGIN")
        try:
            return sum(self.compare(cursor) for cursor in [fresh, *self.readers])
        finally:
            fresh.close()

    def compare(self, cursor: Cursor) -> int:
        (table,) = read_definitions(cursor, self.lake.engine.home.tmp).tables
        digests = self.digests(cursor, table)
        select = Select(table.full_name, table.columns, SALT)
        found = {number: (rows, total) for number, rows, total in cursor.rows(select.sums(PART_ROWS, [(0, None)]))}
        for number, digest in digests.items():
            content = (*found[number], tuple(column.type for column in table.columns))
            self.shared += digest in self.seen
            assert self.seen.setdefault(digest, content) == content, "\n".join(self.done)
        return len(digests)

    def digests(
        self, cursor: Cursor, table: TableDefinition, meanwhile: Callable[[], None] = lambda: None
    ) -> dict[int, str]:
        file = self.lake.engine.instance.file()
        assert file is not None
        return part_digests(cursor, file, table, PART_ROWS, SALT, self.pool, meanwhile)

    def snapshot(self) -> None:
        """Take a snapshot; what it says of the parts is what their rows add up to."""
        folder = self.home / "snapshots" / "snapshots"
        self.lake.backups.create()
        newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        taken = manifest.read(newest.read_bytes(), newest.name)
        (table,) = taken.tables
        select = Select(table.full_name, table.columns, taken.salt)
        cursor = self.lake.engine.instance.cursor()
        found = cursor.rows(select.sums(table.part_rows, [(0, None)]))
        cursor.close()
        assert [(part.rows, part.sum) for part in table.parts] == [(rows, total % 2**64) for _, rows, total in found]

    def close(self) -> None:
        self.leave()
        self.lake.close()
        self.pool.shutdown()


@pytest.fixture
def table(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Table]:
    made = Table(tmp_path / "home", request.param)
    yield made
    made.close()


def holds(table: Table, steps: int) -> None:
    for step in range(steps):
        table.step()
        table.look()
        if step % 5 == 0:
            table.snapshot()
    table.leave()
    table.create()
    table.checkpoint()
    assert table.look() == ROWS // PART_ROWS + 1
    table.do("UPDATE t SET a = a + 1 WHERE rowid = 5", "CHECKPOINT")
    before = table.shared
    assert table.look() - (table.shared - before) == 1


@pytest.mark.parametrize("table", range(3), indirect=True)
def test_the_same_bytes_are_the_same_rows(table: Table) -> None:
    holds(table, STEPS)


def test_blocks_that_are_used_again_are_told_apart(tmp_path: Path) -> None:
    """Two neighbours' values change places, in a column that is kept as it is: the engine's own checksum of the block
    stays the same. What is free is used again at the second checkpoint, so blocks come back with other contents."""
    table = Table(tmp_path / "home", 0, ("a", "span"))
    table.checkpoint()
    table.look()
    for row in range(0, 20, 2):
        other = f"({2 * row + 1} - a)"
        table.lake.sql(f"UPDATE t SET span = to_microseconds({other} * {other}) WHERE a IN ({row}, {row + 1})").close()
        table.lake.sql("CHECKPOINT").close()
        assert table.look() == ROWS // PART_ROWS + 1
    table.close()


def test_a_value_that_needs_no_block_is_told_apart(tmp_path: Path) -> None:
    table = Table(tmp_path / "home", 0, ("a", "same"))
    for value in range(4):
        table.lake.sql(f"UPDATE t SET same = {value}").close()
        table.lake.sql("CHECKPOINT").close()
        assert table.look() == ROWS // PART_ROWS + 1
    assert table.shared == 0
    table.close()


def test_bytes_that_may_be_read_in_two_ways_tell_nothing(tmp_path: Path) -> None:
    table = Table(tmp_path / "home", 0, ("a", "shape"))
    table.checkpoint()
    assert table.look() == 0
    table.close()


def test_while_the_engine_writes_its_file_the_bytes_tell_nothing(tmp_path: Path) -> None:
    table = Table(tmp_path / "home", 0, ("a", "text"))
    table.checkpoint()
    (definition,) = read_definitions(table.lake.engine.instance.cursor(), table.home / "tmp").tables
    table.lake.sql("CREATE TABLE other (i INTEGER)").close()
    cursor = table.lake.engine.instance.cursor()
    cursor.run("BEGIN")
    assert len(table.digests(cursor, definition)) == ROWS // PART_ROWS + 1
    table.done.clear()
    assert table.digests(cursor, definition, lambda: table.do("INSERT INTO other VALUES (1)", "CHECKPOINT")) == {}
    assert "--" not in "".join(table.done)
    cursor.close()
    table.close()


def test_neither_odd_names_nor_columns_that_are_computed_matter(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "home") as lake:
        lake.sql('CREATE SCHEMA "a.b"').close()
        lake.sql(
            """CREATE TABLE "a.b"."it's ""t" (g INTEGER GENERATED ALWAYS AS (n + 1), n INTEGER, "x.y" VARCHAR)"""
        ).close()
        lake.sql(f"""INSERT INTO "a.b"."it's ""t" SELECT i, 'x' || i FROM range({ROWS}) r(i)""").close()
        lake.sql("CHECKPOINT").close()
        lake.backups.create()
        lake.sql("""UPDATE "a.b"."it's ""t" SET n = -n WHERE n > 600_000""").close()
        lake.backups.create()
        first, second = (one["bytes_new"] for one in lake.backups.list())
        assert 0 < second < first / 3
        lake.sql("""CREATE TABLE kept AS FROM "a.b"."it's ""t" """).close()
        lake.sql("""DELETE FROM "a.b"."it's ""t" """).close()
        lake.backups.restore(tables=['"a.b"."it\'s ""t"'], overwrite=True)
        same = """SELECT count(*) FROM "a.b"."it's ""t" JOIN kept USING (g, n, "x.y")"""
        assert lake.sql(same).fetchone() == (ROWS,)


def test_the_engine_keeps_its_lock_on_the_file_that_was_read(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "home") as lake:
        lake.sql("CREATE TABLE t AS SELECT 1 AS i").close()
        for _ in range(2):
            lake.backups.create()
        opened = f"import duckdb; duckdb.connect({str(tmp_path / 'home' / 'lake.duckdb')!r})"
        other = subprocess.run([sys.executable, "-c", opened], capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert "lock" in other.stderr


@pytest.mark.slow
@pytest.mark.parametrize("table", range(100, 120), indirect=True)
def test_the_same_bytes_are_the_same_rows_at_length(table: Table) -> None:
    holds(table, 3 * STEPS)
