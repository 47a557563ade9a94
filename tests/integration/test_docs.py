"""What the documentation shows is true: its code runs, its commands, settings, links and error codes exist."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from pages import ROOT, Runner, blocks, clean_environment, pages
from warm import Warm

from neurolake import errors
from neurolake.catalog.system import SCHEMAS
from neurolake.cli import cli
from neurolake.config import SETTINGS
from neurolake.procedures import REGISTRY, load_all

WRITTEN = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")]
WRITTEN += sorted((ROOT / "docs").rglob("*.md"))
DEPLOYED = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())
SOURCES = sorted([*(ROOT / "neurolake").rglob("*.py"), *(ROOT / "flight").rglob("*.py")])
WARM = ("docs/backup.md",)
"""Pages of dozens of commands, each of which would take most of its time to start."""
CONNECT_VARIABLES = {"LAKE", "URI", "USER", "PASSWORD", "TOKEN", "TLS_CA", "REPO"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page)], ids=_name)
def test_every_block_of_a_page_runs_and_prints_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    environment = clean_environment(tmp_path)
    if _name(page) in WARM:
        warm = Warm(tmp_path / "warm")
        request.addfinalizer(warm.close)
        environment["PATH"] = f"{warm.folder}{os.pathsep}{environment['PATH']}"
    with Runner(folder, environment) as runner:
        for block in blocks(page):
            runner.run(block)
            for name, value in runner.environment.items():
                if name.startswith("NEUROLAKE_") and name not in os.environ:
                    monkeypatch.setenv(name, value)


def test_the_commands_that_set_up_are_the_readmes() -> None:
    shown = [block.code.strip() for block in blocks(ROOT / "README.md") if block.directive == "skip: .ci/run runs it"]
    assert shown == ["pip install . && neurolake quickstart", "pip install -e '.[test]' && pytest"]


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{_name(page)} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{_name(page)} links to {link}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.casefold()).replace(" ", "-") for heading in headings}


# Commands


def _commands(path: Path) -> Iterator[str]:
    """Every `neurolake …` that a page, a file of deploy/ or a message of the product tells its reader to run."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        for block in blocks(path):
            if block.language in ("sh", "bash", "console"):
                lines = block.code.replace("\\\n", " ").splitlines()
                yield from (match[1] for line in lines for match in re.finditer(r"(?:^|[\s(|])(neurolake .*)", line))
    elif path.suffix != ".py":
        yield from (match[1] for match in re.finditer(r"(?:bin/|exec )(neurolake .*)", text))
    yield from (match[1] for match in re.finditer(r"(?<!`)`(neurolake [^`\n]*)`(?!`)", text))


@pytest.mark.parametrize("path", [*WRITTEN, *DEPLOYED, *SOURCES], ids=_name)
def test_commands_and_their_options_exist(path: Path) -> None:
    for text in _commands(path):
        shown = re.split(r"\s(?:&&|\||>|#|;)|[;)]", text.replace("…", " "))[0]
        words = shlex.split(shown) if shown.count('"') % 2 == 0 and shown.count("'") % 2 == 0 else shown.split()
        _check(cli, words[1:], f"{_name(path)}: {text}")


def _check(command: click.Command, words: Sequence[str], place: str) -> None:
    context = click.Context(command)
    if isinstance(command, click.Group) and words and re.fullmatch(r"[a-z]+", words[0]):
        found = command.get_command(context, words[0])
        assert found is not None, f"{place}: there is no command {words[0]}"
        _check(found, words[1:], place)
        return
    options = {name for parameter in command.get_params(context) for name in parameter.opts}
    for word in words:
        if match := re.match(r"\[?(--?[a-z][a-z-]*)", word):
            assert match[1] in options, f"{place}: {command.name} has no option {match[1]}"


# What SQL offers


def test_the_page_on_sql_shows_every_procedure_and_its_arguments() -> None:
    load_all()
    page = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(\w+\(.*?\))` \|", page, re.MULTILINE))
    assert shown == {f"{p.name}({', '.join(map(str, p.arguments))})" for p in REGISTRY.values()}


def test_the_page_on_sql_shows_every_system_table_and_its_columns() -> None:
    page = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (`.*`) \|$", page, re.MULTILINE)
    columns = {name: re.findall(r"`(\w+)`", shown) for name, shown in rows}
    assert columns == {name: schema.names for name, schema in SCHEMAS.items()}


# Settings and errors


@pytest.mark.parametrize("path", [*WRITTEN, *DEPLOYED], ids=_name)
def test_variables_are_settings(path: Path) -> None:
    known = {setting.name.upper() for setting in SETTINGS} | CONNECT_VARIABLES
    for name in re.findall(r"\bNEUROLAKE_([A-Z_]*[A-Z])\b", path.read_text(encoding="utf-8")):
        assert name in known, f"{_name(path)} names NEUROLAKE_{name}"


def test_every_code_of_an_error_is_documented_and_no_other() -> None:
    documented = [code for code, _ in _documented()]
    assert documented == list(dict.fromkeys(documented))
    raised = set().union(*map(_codes, SOURCES))
    assert raised - set(documented) == set()
    assert set(documented) - raised == set()


def test_a_codes_documented_class_is_one_it_is_raised_with() -> None:
    kinds: dict[str, set[str]] = {}
    for code, kind in set().union(*map(_kinds, SOURCES)):
        kinds.setdefault(code, set()).add(kind)
    for name in errors.__all__:
        if isinstance(kind := getattr(errors, name), type):
            kinds[kind.code] = {name}
    wrong = [(code, kind) for code, kind in _documented() if kind not in kinds.get(code, {kind})]
    assert wrong == []


def _documented() -> list[tuple[str, str]]:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([a-z]\w*)` \| (\w+) \|", page, re.MULTILINE)


def _codes(source: Path) -> set[str]:
    """The codes a module gives to errors: as `code=…`, as a class's own, or in a table that maps to codes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.keyword(arg="code"):
                found |= _texts(node.value)
            case ast.Assign(targets=[ast.Name(id="code" | "_CODES" | "_PATTERNS")]):
                found |= _texts(node.value)
            case ast.AnnAssign(target=ast.Name(id="code" | "_CODES" | "_PATTERNS"), value=ast.expr()):
                found |= _texts(node.value)
    return found - {errors.NeuroLakeError.code}


def _kinds(source: Path) -> set[tuple[str, str]]:
    """(code, class) of every error that a module makes in so many words."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in errors.__all__:
                codes = (_texts(keyword.value) for keyword in node.keywords if keyword.arg == "code")
                found |= {(code, name) for code in set().union(*codes)}
    return found


def _texts(tree: ast.expr) -> set[str]:
    keys = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in keys)
    return {value for value in constants if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]+", value)}
