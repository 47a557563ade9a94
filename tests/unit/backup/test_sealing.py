"""Sealed streams: what was sealed comes back, and whatever was done to it is found."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import pytest

from neurolake import errors
from neurolake.backup.sealing import PIECE, TAG, Key, Keyring, open_sealed, plain_size, seal

KEY, OTHER = Key.of(bytes(32)), Key.of(bytes([1]) * 32)
HEAD = 44


def sealed(data: bytes, name: str = "a", key: Key = KEY) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(data), target, key, name)
    return target.getvalue()


def opened(data: bytes, name: str = "a", *keys: Key) -> bytes:
    target = io.BytesIO()
    open_sealed(io.BytesIO(data), target.write, Keyring(keys or (KEY,)), name)
    return target.getvalue()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 5])
def test_any_size_comes_back(size: int) -> None:
    data = secrets.token_bytes(size)
    made = sealed(data)
    assert opened(made) == data
    assert plain_size(len(made)) == size


def test_the_same_twice_is_not_the_same(size: int = 100) -> None:
    assert sealed(bytes(size)) != sealed(bytes(size))


def test_every_change_is_found() -> None:
    data = secrets.token_bytes(3 * PIECE)
    whole = sealed(data)
    first, second = (whole[HEAD + place * (PIECE + TAG) :][: PIECE + TAG] for place in (0, 1))
    rest = whole[HEAD + 2 * (PIECE + TAG) :]
    changed = [
        whole[: HEAD + 2 * (PIECE + TAG)],  # cut between pieces
        whole[:-1],
        whole + b"\0",
        whole[:HEAD] + second + first + rest,
        whole[:HEAD] + first + rest,
        sealed(data)[:HEAD] + whole[HEAD:],
        whole[:HEAD],
        b"",
    ]
    for at in (0, 15, 40, HEAD, HEAD + PIECE, len(whole) - 1):
        changed.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for one in changed:
        with pytest.raises(errors.SourceFailed) as caught:
            opened(one)
        assert caught.value.code == "snapshot_corrupt"


def test_it_opens_under_its_own_name_alone() -> None:
    with pytest.raises(errors.SourceFailed):
        opened(sealed(b"rows", "data/one"), "data/other")


def test_the_right_key_among_several() -> None:
    assert opened(sealed(b"rows", key=OTHER), "a", KEY, OTHER) == b"rows"
    with pytest.raises(errors.AccessDenied) as caught:
        opened(sealed(b"rows", key=OTHER))
    assert caught.value.code == "snapshot_key_unknown"
    assert OTHER.id in caught.value.message


def test_keys_come_by_reference_and_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32 + "\n")
    monkeypatch.setenv("A_KEY", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=")
    ring = Keyring.of([f"file:{key}", "env:A_KEY"])
    assert ring.keys[0] == ring.keys[1]
    assert "ab" * 8 not in repr(ring)
    assert repr(bytes([0xAB]) * 8)[2:-1] not in repr(ring)
    monkeypatch.setenv("SHORT", "abcd")
    for wrong in ("ab" * 32, "plain:" + "ab" * 32, "env:SHORT"):
        with pytest.raises(errors.InvalidRequest) as caught:
            Keyring.of([wrong])
        assert caught.value.code == "snapshot_key"
        assert "abab" not in str(caught.value)
