"""ARCHITECTURE.md names every module there is, and none that is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGES = ("neurolake", "flight")
UNNAMED = {"__pycache__", "py.typed"}


def _tree() -> set[str]:
    """The paths that the tree names."""
    tree = re.search(r"<!-- tree:.*?-->\n```\n(.*?)```", PAGE, re.DOTALL)
    assert tree is not None
    paths, folder = set(), ""
    for line in tree[1].splitlines():
        name = line.split()[0]
        folder = folder if line.startswith("  ") else name
        paths.add(name if name == folder else folder + name)
    return paths


def test_every_path_it_names_exists() -> None:
    named = _tree() | set(re.findall(r"`((?:neurolake|flight)/[\w/.]*)`", PAGE))
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [path for path in named if (ROOT / path).is_dir() != path.endswith("/")] == []


def test_every_module_at_the_top_of_a_package_is_named() -> None:
    for package in PACKAGES:
        there = {path for path in (ROOT / package).iterdir() if path.name not in UNNAMED}
        shown = {f"{package}/{path.name}{'/' * path.is_dir()}" for path in there}
        assert shown - _tree() - {"flight/__init__.py"} == set()


def test_imports_point_down_the_layers() -> None:
    drawn = re.search(r"<!-- layers:.*?-->\n```\n(.*?)```", PAGE, re.DOTALL)
    assert drawn is not None
    depth = {unit: level for level, line in enumerate(drawn[1].splitlines()) for unit in line.split()}
    modules = {path: _unit(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("neurolake/**/*.py")}
    assert {unit for unit in modules.values() if unit} == set(depth)
    up = [
        f"{path.relative_to(ROOT)} imports {imported}"
        for path, unit in modules.items()
        for imported in _imported(ast.parse(path.read_text(encoding="utf-8")).body)
        if unit and depth.get(_unit(imported.split(".")), len(depth)) < depth[unit]
    ]
    assert up == []


def _unit(parts: Sequence[str]) -> str:
    """The module or package at the top of `neurolake` that a module belongs to."""
    return parts[1] if len(parts) > 1 and parts[1] != "__init__" else ""


def _imported(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The modules of `neurolake` that are imported as soon as this one is."""
    for statement in body:
        match statement:
            case ast.ImportFrom(module="neurolake", names=names):
                yield from (f"neurolake.{alias.name}" for alias in names)
            case ast.ImportFrom(module=str(module)) if module.startswith("neurolake."):
                yield module


def test_the_stages_are_the_ones_that_run() -> None:
    from neurolake.engine.planning import STAGES

    shown = re.findall(r"^\| `(\w+)` \| ", PAGE.split("## Cursors")[0], re.MULTILINE)
    assert shown == [stage.__name__ for stage in STAGES]
