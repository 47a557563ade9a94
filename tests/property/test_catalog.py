"""The catalog is a dict: whatever is registered, forgotten, reopened, in any order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

import neurolake
from neurolake import errors
from neurolake.sql.text import Name, quote

NAMES = st.sampled_from(["orders", "Orders", "ORDERS", "my table", "select", "a.b", "naïve", 'say "hi"', "t1"])
SCHEMAS = st.sampled_from(["main", "MAIN", "sales"])


class Catalog(RuleBasedStateMachine):
    """Registers sources and tables in a lake, and keeps the books in a dict beside it."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="catalog-"))
        self.lake = neurolake.connect(self.folder / "lake")
        self.lake.sql("CREATE SCHEMA sales")
        self.sources: dict[tuple[str, str], int] = {}
        self.tables: dict[tuple[str, str], int] = {}
        self.made = 0

    def teardown(self) -> None:
        self.lake.close()
        shutil.rmtree(self.folder)

    @initialize(target=files)
    def first_file(self) -> tuple[Path, int]:
        return self.file()

    @rule(target=files)
    def file(self) -> tuple[Path, int]:
        """A file of one row that says which it is."""
        self.made += 1
        path = self.folder / f"{self.made}.parquet"
        pq.write_table(pa.table({"which": pa.array([self.made], pa.int64())}), path)
        return path, self.made

    def key(self, schema: str, name: str) -> tuple[str, str]:
        return schema.casefold(), name.casefold()

    @rule(file=files, schema=SCHEMAS, name=NAMES)
    def register(self, file: tuple[Path, int], schema: str, name: str) -> None:
        key = self.key(schema, name)
        try:
            self.lake.register(f"{quote(schema)}.{quote(name)}", file[0])
        except errors.AlreadyExists:
            assert key in self.sources or key in self.tables
        else:
            assert key not in self.sources
            assert key not in self.tables
            self.sources[key] = file[1]

    @rule(schema=SCHEMAS, name=NAMES)
    def unregister(self, schema: str, name: str) -> None:
        key = self.key(schema, name)
        try:
            self.lake.unregister(f"{quote(schema)}.{quote(name)}")
        except errors.NotFound:
            assert key not in self.sources
        else:
            del self.sources[key]

    @rule(schema=SCHEMAS, name=NAMES)
    def make_table(self, schema: str, name: str) -> None:
        key = self.key(schema, name)
        self.made += 1
        try:
            self.lake.sql(f"CREATE TABLE {quote(schema)}.{quote(name)} AS SELECT {self.made} AS which")
        except errors.AlreadyExists:
            assert key in self.tables
        except errors.NotSupported as problem:
            assert (problem.code, key in self.sources) == ("read_only_relation", True)
        else:
            assert key not in self.sources
            self.tables[key] = self.made

    @rule(schema=SCHEMAS, name=NAMES)
    def drop_table(self, schema: str, name: str) -> None:
        key = self.key(schema, name)
        try:
            self.lake.sql(f"DROP TABLE {quote(schema)}.{quote(name)}")
        except errors.NotFound:
            assert key not in self.tables
        except errors.NotSupported:
            assert key in self.sources
        else:
            del self.tables[key]

    @rule()
    def open_again(self) -> None:
        self.lake.close()
        self.lake = neurolake.connect(self.folder / "lake")

    @invariant()
    def the_books_agree(self) -> None:
        listed = self.lake.sql("SELECT table_schema, table_name FROM neurolake.sources").fetchall()
        assert sorted(self.key(*row) for row in listed) == sorted(self.sources)
        known = {
            self.key(*row) for row in self.lake.sql("SELECT table_schema, table_name FROM neurolake.columns").fetchall()
        }
        assert known == {*self.sources, *self.tables}
        for (schema, name), which in {**self.sources, **self.tables}.items():
            assert self.lake.sql(f"SELECT which FROM {Name(schema, name).sql()}").fetchall() == [(which,)]


Catalog.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestCatalog = Catalog.TestCase
