"""The wheel as a user gets it: built from the tree, installed into a fresh environment, used from outside the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PACKAGES = {"flight", "neurolake"}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    # What lies around in a checkout must not be packed with it.
    (tree / "tests").mkdir()
    (tree / "tests" / "__init__.py").touch()
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", "dist", ".", cwd=tree)
    [built] = (tree / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    run(folder / "bin" / "python", "-m", "pip", "install", wheel, cwd=folder)
    return folder / "bin"


def test_it_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {PurePosixPath(name) for name in archive.namelist()}
    about = {file for file in files if file.parts[0].endswith(".dist-info")}
    modules = {path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    marks = {PurePosixPath(name, "py.typed") for name in PACKAGES}
    assert files - about == {PurePosixPath(path) for path in modules} | marks
    assert any(file.name == "LICENSE" for file in about)


def test_flight_and_pyarrows_flight_live_side_by_side(bin_folder: Path, tmp_path: Path) -> None:
    code = (
        "import flight, flight.server, neurolake, pyarrow.flight as paflight\n"
        "print(flight.__file__, paflight.__file__, neurolake.__file__, sep='\\n')\n"
        "print(issubclass(flight.server.FlightSqlServer, paflight.FlightServerBase))\n"
    )
    ours, arrows, engine, is_server = run(bin_folder / "python", "-c", code, cwd=tmp_path).split("\n")[:4]
    installed = str(bin_folder.parent)
    assert ours.startswith(installed) and ours.endswith("site-packages/flight/__init__.py")
    assert arrows.startswith(installed) and arrows.endswith("site-packages/pyarrow/flight.py")
    assert engine.startswith(installed)
    assert is_server == "True"


def test_its_requirements_are_met_and_fit_together(bin_folder: Path, tmp_path: Path) -> None:
    run(bin_folder / "python", "-m", "pip", "check", cwd=tmp_path)


def test_the_command_works(bin_folder: Path, tmp_path: Path) -> None:
    assert "quickstart" in run(bin_folder / "neurolake", "--help", cwd=tmp_path)
    run(bin_folder / "neurolake", "quickstart", cwd=tmp_path)
    assert (tmp_path / "neurolake-demo" / "neurolake.toml").is_file()
