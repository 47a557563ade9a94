"""The house keeps its shape: who may import what, how large a module may be, and what an import costs."""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

import neurolake
from neurolake.procedures import REGISTRY, load_all

ROOT = Path(__file__).parents[2]
LINES_MAX = 500
IMPORT_CPU_S_MAX = 0.3

# From the ground up. A module may import from the layers below its own, and from its own package.
# The longest name that fits counts.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("neurolake.errors", "neurolake.arrays", "neurolake.identifiers", "neurolake.urls"),
    (
        "neurolake.engine_errors",
        "neurolake.interrupts",
        "neurolake.journal",
        "neurolake.nulls",
        "neurolake.observe",
        "neurolake.query",
        "neurolake.spill",
        "neurolake.incoming",
        "neurolake.pii.kinds",
        "neurolake.pii.checks",
    ),
    ("neurolake.sql", "neurolake.config", "neurolake.formats", "neurolake.pii.inside"),
    ("neurolake.home", "neurolake._duckdb", "neurolake.adbc", "neurolake.catalog", "neurolake.sources"),
    ("neurolake.optimizer", "neurolake.governance", "neurolake.notification", "neurolake.sources.problems"),
    ("neurolake.procedures",),
    ("neurolake.pii", "neurolake.activity", "neurolake.outbox", "neurolake.parameters", "neurolake.sql.statements"),
    (
        "neurolake.backup",
        "neurolake.catalog.browse",
        "neurolake.catalog.information",
        "neurolake.catalog.system_governance",
        "neurolake.catalog.visible",
        "neurolake.procedures.governance_policies",
    ),
    (
        "neurolake.catalog.system",
        "neurolake.catalog.system_backups",
        "neurolake.catalog.system_snapshots",
        "neurolake.procedures.sources",
        "neurolake.loading",
        "neurolake.result",
    ),
    ("neurolake.pii.deep",),
    (
        "neurolake.history",
        "neurolake.pii.background",
        "neurolake.procedures.pii",
        "neurolake.procedures.snapshots",
        "neurolake.session",
    ),
    ("neurolake.engine",),
    ("neurolake.user_sessions",),
    ("neurolake.lake", "neurolake.scheduler", "neurolake.upgrading"),
    ("neurolake.remote",),
    ("neurolake.__init__",),
    ("neurolake.quickstart",),
    ("neurolake.cli",),
    ("neurolake.__main__",),
    (
        "flight.__init__",
        "flight.protocol",
        "flight.errors",
        "flight.http",
        "flight.tls",
        "flight.uploads",
        "flight.connections",
    ),
    ("flight.sessions", "flight.metadata"),
    ("flight.auth", "flight.actions", "flight.puts", "flight.streams"),
    ("flight.server",),
    ("flight.listener",),
    ("flight.service",),
)

# Imports inside functions that lead up, each for a reason.
UPWARD = {
    ("neurolake", "neurolake.lake"),  # heavy: imported by the first connect
    ("neurolake", "neurolake.remote"),
    ("neurolake.catalog.system", "neurolake.procedures"),  # one of its tables lists them
    ("flight.server", "flight.service"),  # what the entry point names
    ("neurolake.remote", "neurolake.lake"),  # a client's own file is read by an engine of its own
}

HEAVY = (
    "duckdb", "pyarrow", "sqlglot", "pandas", "polars", "fsspec", "obstore", "adbc_driver_manager", "argon2",
    "jwt", "cryptography",
    "presidio_analyzer", "prometheus_client", "opentelemetry", "rich", "prompt_toolkit", "tomlkit", "google.protobuf",
    "click",
)  # fmt: skip


class Import(NamedTuple):
    """One import of a module: what, and whether it is made inside a function."""

    name: str
    lazy: bool


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the product, by its dotted name."""
    for package in ("neurolake", "flight"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The tree of a module; two dozen tests look at every one."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path) -> tuple[Import, ...]:
    """What a module imports when it runs; what only type checkers read is left out."""
    return tuple(_imports(parsed(path), lazy=False))


def _imports(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        inside = lazy or isinstance(child, ast.FunctionDef)
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield Import(full if full in MODULES else str(child.module), lazy)
        else:
            yield from _imports(child, lazy=inside)


def layer(name: str) -> int:
    """The layer of a module. A new one must be put somewhere."""
    name = f"{name}.__init__" if name in ("neurolake", "flight") else name
    fitting = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if name == prefix or name.startswith(f"{prefix}.")
    ]
    assert fitting, f"{name} stands in no layer"
    return max(fitting)[1]


def package(name: str) -> str:
    """The package a module belongs to; a module right below the top is one by itself."""
    return ".".join(name.split(".")[:2])


FOLDS_WORDS = frozenset(
    f"neurolake.{name}"
    for name in (
        "cli.shell.console",
        "cli.shell.terminal",  # what one types at a prompt
        "engine_errors",
        "governance.gate",
        "governance.writes",  # what a message says
        "formats.writers",
        "sources.relation",  # endings of files
        "backup.service",
        "engine.governed_explain",
        "governance.access",
        "governance.model",
        "governance.objects",
        "governance.policies",
        "governance.roles",
        "governance.clauses",
        "procedures.governance",
        "procedures.governance_catalog",
        "procedures.tokens",  # roles, tags, actions
        "optimizer.case_condition",
        "pii.presidio",
        "pii.samples",  # values
    )
) | {"flight.auth"}  # headers
"""Who may fold words that are no identifiers of SQL; those go through `neurolake.identifiers.fold`."""


def test_identifiers_are_folded_in_one_place() -> None:
    folding = {name for name, path in modules() if ".casefold(" in path.read_text(encoding="utf-8")}
    assert folding - {"neurolake.governance.refolding", "neurolake.governance.facts"} == FOLDS_WORDS


def test_imports_point_down() -> None:
    wrong = [
        f"{name} -> {found.name}"
        for name, path in MODULES.items()
        for found in imports(path)
        if found.name in MODULES
        and not found.lazy
        and layer(found.name) >= layer(name)
        and package(found.name) != package(name)
    ]
    assert wrong == []


def test_imports_inside_functions_point_down_too() -> None:
    wrong = {
        (name, found.name)
        for name, path in MODULES.items()
        for found in imports(path)
        if found.name in MODULES
        and found.lazy
        and layer(found.name) > layer(name)
        and package(found.name) != package(name)
    }
    assert wrong <= UPWARD


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        name: {found.name for found in imports(path) if found.name in MODULES and not found.lazy and found.name != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name not in done:
            for below in graph[name]:
                walk(below, (*above, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize(
    ("library", "allowed"),
    [("presidio_analyzer", ("neurolake.pii",)), ("spacy", ("neurolake.pii.ner",)),
     ("duckdb", ("neurolake._duckdb",)), ("_duckdb", ()),
     ("argon2", ("neurolake.governance",)), ("jwt", ("neurolake.governance.oidc",)),
     ("cryptography", ("flight.tls", "neurolake.backup.sealing")),
     ("prometheus_client", ("neurolake.observe", "flight")), ("google.protobuf", ("flight.protocol",)),
     ("sqlite3", ("neurolake.catalog.store",)), ("obstore", ("neurolake.sources",)),
     ("fsspec", ("neurolake.sources",)), ("paramiko", ("neurolake.sources.sftp",)),
     ("sqlglot", ("neurolake.sql", "neurolake.optimizer")), ("click", ("neurolake.cli",)),
     ("rich", ("neurolake.cli", "neurolake.formats")),
     ("adbc_driver_manager", ("neurolake.adbc", "neurolake.quickstart")), ("pyarrow.flight", ("flight",))],
)  # fmt: skip
def test_one_place_imports_a_library(library: str, allowed: tuple[str, ...]) -> None:
    importers = {
        name
        for name, path in MODULES.items()
        for found in imports(path)
        if found.name == library or found.name.startswith(f"{library}.")
    }
    assert {name for name in importers if not name.startswith(allowed or ("nothing",))} == set()


def test_the_engine_knows_nothing_of_the_server() -> None:
    wrong = [
        f"{name} -> {found.name}"
        for name, path in MODULES.items()
        if name.startswith("neurolake")
        for found in imports(path)
        if found.name.split(".")[0] == "flight"
    ]
    assert wrong == []


def test_the_server_reaches_no_further_than_the_engines_interface() -> None:
    wrong = [
        f"{name} -> {found.name}"
        for name, path in MODULES.items()
        if name.startswith("flight")
        for found in imports(path)
        if found.name.split(".")[0] in ("duckdb", "_duckdb", "sqlglot", "presidio_analyzer", "sqlite3")
        or found.name.startswith("neurolake._")
    ]
    assert wrong == []


def test_the_two_flights_are_told_apart() -> None:
    """`from pyarrow import flight` would hide the package of that name."""
    texts = [path.read_text(encoding="utf-8") for path in MODULES.values()]
    assert not any("from pyarrow import flight" in text for text in texts)
    assert not any("import pyarrow.flight\n" in text for text in texts)


@pytest.mark.parametrize(("name", "path"), MODULES.items(), ids=MODULES)
def test_modules_are_small(name: str, path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LINES_MAX


def test_only_the_boundary_catches_everything() -> None:
    """A handler of `Exception` hides faults; the few that stand at an edge say so here."""
    allowed = {
        "flight.errors", "neurolake.cli.exits", "neurolake.notification.notifier", "neurolake.scheduler",
        "neurolake.sources.waiting", "neurolake.engine.jobs",
    }  # fmt: skip
    broad = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    }
    assert broad <= allowed


def by_kind(name: str) -> tuple[bool, bool, str]:
    """The order ruff keeps: constants, classes, functions."""
    return not name.isupper(), not name[0].isupper(), name


class TestPublicNames:
    def with_all(self) -> list[str]:
        return [name for name, path in MODULES.items() if "\n__all__" in path.read_text(encoding="utf-8")]

    def test_every_list_is_sorted_and_true(self) -> None:
        for name in self.with_all():
            public = list(importlib.import_module(name).__all__)
            assert public == sorted(public) or public == sorted(public, key=by_kind), name
            assert all(hasattr(sys.modules[name], one) for one in public), name

    def test_what_neurolake_offers(self) -> None:
        assert neurolake.__all__ == ["Engine", "Lake", "Result", "connect", "errors"]
        with pytest.raises(AttributeError):
            _ = neurolake.nothing_of_that_name


class TestCost:
    SCRIPT = """
import sys, time
start = time.process_time()
import neurolake
print(time.process_time() - start)
print(*sorted(sys.modules))
"""

    def test_importing_it_is_cheap_and_brings_nothing_heavy(self) -> None:
        done = subprocess.run([sys.executable, "-c", self.SCRIPT], capture_output=True, text=True, check=True, cwd=ROOT)
        seconds, names = done.stdout.splitlines()
        assert float(seconds) < IMPORT_CPU_S_MAX
        loaded = set(names.split())
        assert {heavy for heavy in HEAVY if heavy in loaded} == set()

    def test_the_commands_help_needs_no_engine(self) -> None:
        script = """
import sys
from neurolake.cli import run
assert run(["--help"]) == 0
print(*sorted(sys.modules), file=sys.stderr)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
        assert {"duckdb", "pyarrow", "sqlglot"}.isdisjoint(done.stderr.split())

    def test_a_command_brings_no_frames(self, tmp_path: Path) -> None:
        script = """
import atexit, sys
from neurolake.cli import main
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
sys.argv = ["neurolake", "sql", "SELECT [i, NULL] AS a FROM range(3) r(i)"]
main()
"""
        neurolake.connect(tmp_path / "lake").close()
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path / "lake"
        )
        assert "pandas" not in done.stderr.split()


class TestProcedures:
    load_all()

    @pytest.mark.parametrize("name", REGISTRY)
    def test_they_parse_without_quotes(self, name: str) -> None:
        found = REGISTRY[name]
        named = ", ".join(f"{argument.name} => 'x'" for argument in found.arguments)
        positional = ", ".join("'x'" for _ in found.arguments)
        for arguments in (named, positional):
            (statement,) = duckdb.extract_statements(f"CALL neurolake.{name}({arguments})")
            assert statement.type.name == "CALL"
            (read,) = duckdb.extract_statements(f"FROM neurolake.{name}({arguments})")
            assert read.type.name == "SELECT"

    @pytest.mark.parametrize("name", REGISTRY)
    def test_they_explain_themselves(self, name: str) -> None:
        found = REGISTRY[name]
        assert found.help.endswith(".")
        assert found.privilege in ("own", "call", "admin", "read", "write", "create")
        assert len(found.returns) > 0
