"""The error tree, seen from the other end of the wire."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolake import errors

PRODUCT = Path(errors.__file__).parent
UNTOLD = ("LimitReached", "SourceFailed")
"""Classes that reach a client under the same gRPC status as others."""
REFUSALS = ("AccessDenied", "AlreadyExists", "LoginFailed")


def raised() -> Iterator[tuple[str, str]]:
    """Every (class, code) of these classes in the sources."""
    for path in PRODUCT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in UNTOLD:
                    for keyword in node.keywords:
                        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                            yield name, str(keyword.value.value)


@pytest.mark.parametrize(("name", "code"), sorted(set(raised())))
def test_a_client_gets_the_class_that_was_raised(name: str, code: str) -> None:
    found = errors.from_code(code, "no")
    assert type(found).__name__ == name
    assert found.code == code


def test_an_unknown_code_is_kept() -> None:
    assert errors.from_code("of_a_later_release", "no").code == "of_a_later_release"


@pytest.mark.parametrize("package", ["neurolake", "flight"])
def test_who_is_refused_is_told_what_to_do(package: str) -> None:
    silent = [
        f"{path.name}:{node.lineno}"
        for path in (PRODUCT.parent / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in REFUSALS
        and all(keyword.arg != "next_step" for keyword in node.keywords)
    ]  # fmt: skip
    assert not silent
