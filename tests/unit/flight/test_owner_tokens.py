"""The owner's token: made anew now and then, while the one before still holds for whoever has just read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import pytest

from flight import service
from flight.service import OwnerTokens
from neurolake import errors


@pytest.fixture
def numbers() -> Iterator[int]:
    return iter(count(1))


def wait_for(tokens: OwnerTokens, token: str) -> None:
    until = time.monotonic() + 10
    while not tokens.holds(token):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_it_changes_and_the_one_before_holds_a_while(numbers: Iterator[int], monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = OwnerTokens("token 0", lambda: f"token {next(numbers)}", 0.2)
    assert tokens.holds("token 0")
    wait_for(tokens, "token 1")
    tokens.close()
    assert tokens.holds("token 0")
    later = time.monotonic() + service.OWNER_GRACE_S + 1
    monkeypatch.setattr(service.time, "monotonic", lambda: later)
    assert not tokens.holds("token 0")
    assert tokens.holds("token 1")
    for wrong in ("", "token", "token 2", "TOKEN 1"):
        assert not tokens.holds(wrong)


def test_one_that_cannot_be_written_changes_nothing() -> None:
    tried: list[bool] = []

    def fails() -> str:
        tried.append(True)
        raise errors.HomeProblem("The disk is full.")

    tokens = OwnerTokens("token 0", fails, 0.01)
    while len(tried) < 2:
        time.sleep(0.005)
    tokens.close()
    assert tokens.holds("token 0")
