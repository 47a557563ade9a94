"""ARCHITECTURE.md names every module there is, and none that is not."""

from __future__ import annotations

import re
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


def test_the_stages_are_the_ones_that_run() -> None:
    from neurolake.engine.planning import STAGES

    shown = re.findall(r"^\| `(\w+)` \| ", PAGE.split("## Cursors")[0], re.MULTILINE)
    assert shown == [stage.__name__ for stage in STAGES]
